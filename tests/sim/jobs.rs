//! A job from its submission to its end: what comes back, once, and what it costs.

use std::collections::BTreeSet;

use shared::domain::error::ApiError;
use shared::domain::job::Accepted;
use shared::domain::job::{MAX_PAGE_BYTES, Status, Submission};
use shared::domain::record::OutcomeStatus;
use shared::jobs::read;
use shared::jobs::read::{ResultCursor, results};
use shared::ports::Clock;
use testkit::harness::{Options, World, domains, submission};
use testkit::sim::Op;

use crate::{HOUR, MINUTE, SECOND};

fn id_of(accepted: &Accepted) -> String {
    match accepted {
        Accepted::Job { view, .. } => view.job.spec.id.to_string(),
        Accepted::Priced { .. } => panic!("a dry run makes no job"),
    }
}

#[test]
fn a_thousand_records_come_back_in_order_with_one_webhook() {
    let mut world = World::new();
    let scripts = ["found", "none", "fail", "found", "invalid"];
    let domains: Vec<String> = (0..1000)
        .map(|n| format!("{}-{n}", scripts[n % 5]))
        .collect();
    let sent = submission(&domains);
    let id = world.job(sent.clone());
    world.settle(HOUR);

    let view = world.view(&id);
    assert_eq!(view.status(), Status::Completed);
    let lines = world.results(&id);
    let records: Vec<_> = lines.iter().map(|line| line.record.clone()).collect();
    assert_eq!(records, sent.records);
    let counts = view.counts();
    assert_eq!(
        (
            counts.found,
            counts.not_found,
            counts.failed,
            counts.invalid
        ),
        (400, 200, 200, 200)
    );
    assert_eq!((view.credits_used(), view.job.spec.reserved), (800, 2000));
    assert_eq!(world.credits(&world.tenant.id), (99_200, 800, 0));
    assert!(domains.iter().all(|d| world.asked_of(d) == 1));

    let exchanges = world.receiver.exchanges();
    assert_eq!(exchanges.len(), 1);
    let body = exchanges[0].json();
    assert_eq!(body["type"], "job.completed");
    assert_eq!(body["data"]["counts"]["found"], 400);
    assert_eq!(body["data"]["results"].as_array().unwrap().len(), 1000);
}

#[test]
fn a_small_jobs_results_go_along_with_its_event() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0", "none-1"]));
    world.settle(HOUR);
    let body = world.receiver.exchanges()[0].json();
    let lines: Vec<_> = world
        .results(&id)
        .iter()
        .map(shared::domain::job::ResultLine::to_json)
        .collect();
    assert_eq!(body["data"]["results"], serde_json::Value::Array(lines));
    assert_eq!(body["data"]["status"], "completed");
    assert_eq!(body["data"]["progress"], 100);
}

#[test]
fn many_results_stay_behind_and_the_event_links_to_them() {
    let mut world = World::new();
    world.job(submission(&domains("big", 3)));
    world.settle(HOUR);
    let body = world.receiver.exchanges()[0].json();
    assert!(body["data"].get("results").is_none());
    assert!(body["data"]["results_url"].is_string());
}

#[test]
fn a_thousand_records_take_few_calls() {
    let mut world = World::new();
    world.job(submission(&domains("found", 1000)));
    world.settle(HOUR);
    let sweep_calls: u64 = world
        .sim
        .gate
        .counts()
        .get(&Op::Query)
        .copied()
        .unwrap_or(0);
    let all = world.sim.gate.calls();
    // The sweep's calls of each minute do not count. Source of the bound: the target, 120
    // for a job.
    assert!(
        all - sweep_calls + 16 <= 120,
        "{:?}",
        world.sim.gate.counts()
    );
    let units = world.sim.store.units();
    println!("{:?}, {units:?}", world.sim.gate.counts());
}

#[test]
fn the_same_key_and_body_give_the_same_job() {
    let mut world = World::new();
    let sent = submission(&["found-0", "found-1"]);
    let first = world.submit(sent.clone(), Some("key")).unwrap();
    let at_once = world.submit(sent.clone(), Some("key")).unwrap();
    world.settle(HOUR);
    let later = world.submit(sent, Some("key")).unwrap();
    assert_eq!(id_of(&first), id_of(&at_once));
    assert_eq!(id_of(&first), id_of(&later));
    let replayed = |a: &Accepted| matches!(a, Accepted::Job { replayed: true, .. });
    assert_eq!(
        (replayed(&first), replayed(&at_once), replayed(&later)),
        (false, true, true)
    );
    world.settle(HOUR);
    assert_eq!(world.receiver.exchanges().len(), 1);
}

#[test]
fn the_same_key_with_another_body_is_refused_and_stores_nothing() {
    let mut world = World::new();
    world.submit(submission(&["found-0"]), Some("key")).unwrap();
    let before = world.sim.store.items();
    assert_eq!(
        world.submit(submission(&["found-1"]), Some("key")),
        Err(ApiError::IdempotencyMismatch)
    );
    assert_eq!(world.sim.store.items(), before);
}

#[test]
fn a_key_is_free_again_after_a_day_although_the_table_still_has_it() {
    let mut world = World::new();
    let first = world.submit(submission(&["found-0"]), Some("key")).unwrap();
    world.settle(HOUR);
    world.sim.clock.advance(1439 * MINUTE);
    world.run_for(MINUTE);
    let second = world.submit(submission(&["found-1"]), Some("key")).unwrap();
    assert_ne!(id_of(&first), id_of(&second));
    world.settle(HOUR);
}

#[test]
fn of_many_requests_with_one_key_at_once_one_makes_the_job() {
    for seed in 0..20 {
        let mut world = World::with(Options {
            seed,
            ..Options::default()
        });
        let answers = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        for n in 0..5 {
            let (ports, registry) = (world.ports.clone(), world.registry.clone());
            let (tenant, answers) = (world.tenant.clone(), answers.clone());
            world.spawn(&format!("client {n}"), async move {
                let sent = submission(&["found-0", "found-1"]);
                let answer = World::request(&ports, &registry, &tenant, sent, Some("key")).await;
                answers.borrow_mut().push(id_of(&answer.unwrap()));
            });
        }
        world.run_for(SECOND);
        let ids: BTreeSet<String> = answers.borrow().iter().cloned().collect();
        assert_eq!((answers.borrow().len(), ids.len()), (5, 1), "seed {seed}");
        let tenant = world.tenant.id.clone();
        let known = ids
            .iter()
            .filter_map(|id| shared::domain::ids::JobId::parse(id));
        world.accepted = known.map(|id| (id, tenant.clone())).collect();
        world.settle(HOUR);
        // The losers' earlier writes are gone too.
        let chunks = world
            .sim
            .store
            .items()
            .iter()
            .filter(|i| i.key.sk.starts_with("CHUNK#") && !i.key.sk.contains("RESULT"))
            .count();
        assert_eq!(chunks, 1, "seed {seed}");
    }
}

#[test]
fn without_enough_credits_nothing_is_stored() {
    let mut world = World::new();
    world.call(async |ports| {
        shared::maintenance::tenants::add_credits(ports, &world.tenant.id, -99_995)
            .await
            .unwrap();
    });
    let before = world.sim.store.items();
    let answer = world.submit(submission(&domains("found", 3)), Some("key"));
    assert_eq!(
        answer,
        Err(ApiError::NotEnoughCredits {
            needed: 6,
            available: 5
        })
    );
    assert_eq!(world.sim.store.items(), before);
    // The key was not used up by the refusal.
    assert!(
        world
            .submit(submission(&domains("found", 2)), Some("key"))
            .is_ok()
    );
}

#[test]
fn two_jobs_at_once_cannot_reserve_the_same_credits() {
    for seed in 0..20 {
        let mut world = World::with(Options {
            seed,
            ..Options::default()
        });
        let tenant = world.tenant.id.clone();
        world.call(async |ports| {
            shared::maintenance::tenants::add_credits(ports, &tenant, -99_995)
                .await
                .unwrap();
        });
        let answers = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        for n in 0..2 {
            let (ports, registry) = (world.ports.clone(), world.registry.clone());
            let (tenant, answers) = (world.tenant.clone(), answers.clone());
            world.spawn(&format!("client {n}"), async move {
                let answer = World::request(
                    &ports,
                    &registry,
                    &tenant,
                    submission(&domains("found", 2)),
                    None,
                )
                .await;
                answers.borrow_mut().push(answer);
            });
        }
        world.run_for(SECOND);
        let answers = answers.borrow();
        assert_eq!(
            answers.iter().filter(|a| a.is_ok()).count(),
            1,
            "seed {seed}"
        );
        let refused = answers
            .iter()
            .filter(|a| matches!(a, Err(ApiError::NotEnoughCredits { .. })))
            .count();
        assert_eq!(refused, 1, "seed {seed}");
    }
}

#[test]
fn records_past_max_credits_are_skipped_and_cost_nothing() {
    let mut world = World::new();
    let id = world.job(Submission {
        max_credits: Some(7),
        ..submission(&domains("found", 100))
    });
    assert_eq!(world.credits(&world.tenant.id).0, 99_994);
    world.settle(HOUR);
    let counts = world.view(&id).counts();
    assert_eq!((counts.found, counts.skipped), (3, 97));
    assert_eq!(world.credits(&world.tenant.id), (99_994, 6, 0));
    let lines = world.results(&id);
    assert_eq!(lines[2].outcome.status, OutcomeStatus::Found);
    assert_eq!(
        lines[3].outcome.error.as_ref().unwrap().code,
        "budget_exhausted"
    );
    assert_eq!(world.asked().len(), 3);
}

#[test]
fn a_dry_run_prices_and_stores_nothing() {
    let mut world = World::new();
    let before = world.sim.store.items();
    let dry = Submission {
        dry_run: true,
        max_credits: Some(5),
        ..submission(&domains("found", 10))
    };
    let Ok(Accepted::Priced {
        reservation,
        records,
        price,
        ..
    }) = world.submit(dry, Some("key"))
    else {
        panic!("no price")
    };
    assert_eq!(
        (reservation.funded, reservation.reserved, records, price),
        (2, 4, 10, 2)
    );
    assert_eq!(world.sim.store.items(), before);
    assert_eq!(world.sim.queue.next_visible(), None);
}

#[test]
fn a_waterfall_charges_for_the_providers_that_contributed() {
    let mut world = World::new();
    let id = world.job(Submission {
        kind: "duo".to_owned(),
        ..submission(&["found-0", "only-1", "none-2"])
    });
    world.settle(HOUR);
    let credits: Vec<u32> = world
        .results(&id)
        .iter()
        .map(|line| line.outcome.credits)
        .collect();
    assert_eq!(credits, [5, 3, 0]);
    assert_eq!(world.view(&id).job.spec.reserved, 15);
}

#[test]
fn a_chosen_order_asks_only_whom_it_names() {
    let mut world = World::new();
    let providers = Some(vec!["second".to_owned()]);
    let id = world.job(Submission {
        kind: "duo".to_owned(),
        providers,
        ..submission(&["found-0"])
    });
    world.settle(HOUR);
    assert_eq!(
        (
            world.view(&id).job.spec.reserved,
            world.view(&id).credits_used()
        ),
        (3, 3)
    );
    assert!(world.asked().iter().all(|a| a.provider == "second"));
}

#[test]
fn results_read_while_the_job_runs_are_a_prefix_without_gaps() {
    // The chunks end in any order: what comes after an unfinished one has to wait.
    let mut world = World::with(Options {
        enrichers: 3,
        seed: 5,
        ..Options::default()
    });
    let domains: Vec<String> = (0..500)
        .map(|n| format!("slow{}-{n}", 1 + (n * 37) % 23))
        .collect();
    let id = world.job(submission(&domains));
    let (mut longest, mut partial) = (0, 0);
    while !world.is_quiet() {
        world.run_for(SECOND);
        let view = world.view(&id);
        let mut cursor = Some(ResultCursor::default());
        let mut seen = Vec::new();
        while let Some(at) = cursor {
            let page = world
                .call(async |ports| results(ports, &view, at, 30).await)
                .unwrap();
            let stop = page.lines.is_empty();
            seen.extend(page.lines);
            // A cursor survives its way through text.
            let next = page
                .next
                .map(|next| ResultCursor::parse(&next.to_string()).unwrap());
            cursor = next.filter(|_| !stop);
        }
        let indices: Vec<usize> = seen.iter().map(|line| line.index as usize).collect();
        assert_eq!(indices, (0..seen.len()).collect::<Vec<_>>());
        assert!(seen.len() >= longest, "results disappear");
        longest = seen.len();
        partial += usize::from(longest > 0 && longest < 500);
        assert!(
            world
                .now()
                .since(shared::domain::time::Timestamp(1_767_225_600_000))
                < HOUR
        );
    }
    assert_eq!(longest, 500);
    assert!(partial > 3, "the job was never read in the middle");
    world.settle(HOUR);
}

#[test]
fn a_page_of_results_stays_below_its_limit_of_bytes() {
    let mut world = World::new();
    let id = world.job(submission(&domains("big", 40)));
    world.settle(HOUR);
    let view = world.view(&id);
    let (mut cursor, mut pages, mut lines) = (Some(ResultCursor::default()), 0, 0);
    while let Some(at) = cursor {
        let page = world
            .call(async |ports| results(ports, &view, at, 1000).await)
            .unwrap();
        let bytes: usize = page
            .lines
            .iter()
            .map(|l| l.to_json().to_string().len() + 1)
            .sum();
        assert!(bytes <= MAX_PAGE_BYTES, "{bytes}");
        pages += 1;
        lines += page.lines.len();
        cursor = page.next;
    }
    assert_eq!((pages, lines), (2, 40));
}

#[test]
fn foreign_cursors_are_no_cursors() {
    for text in [
        "",
        "1",
        "1.",
        ".1",
        "01.2",
        "1.2.3",
        "-1.0",
        "a.b",
        "99999999999.0",
    ] {
        assert_eq!(ResultCursor::parse(text), None, "{text}");
    }
    let mut world = World::new();
    let id = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    let view = world.view(&id);
    for (chunk, offset) in [(0, 5), (7, 0), (u32::MAX, u32::MAX)] {
        let at = ResultCursor { chunk, offset };
        let page = world
            .call(async |ports| results(ports, &view, at, 10).await)
            .unwrap();
        assert_eq!((page.lines.len(), page.next), (0, None));
    }
}

#[test]
fn jobs_are_listed_newest_first_page_by_page_and_by_status() {
    let mut world = World::new();
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(world.job(submission(&[format!("found-{n}")])));
        world.run_for(SECOND);
    }
    world.sim.queue.lose(shared::ports::QueueName::Enrich);
    made.push(world.job(submission(&["found-8"])));
    world.sim.queue.lose(shared::ports::QueueName::Enrich);
    made.reverse();
    let list = |status, before, limit| {
        world
            .call(async |ports| read::jobs(ports, &world.tenant.id, status, before, limit).await)
            .unwrap()
    };
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let page = list(None, before, 3);
        listed.extend(page.jobs.iter().map(|view| view.job.spec.id.clone()));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(listed, made);
    assert_eq!(list(Some(Status::Completed), None, 100).jobs.len(), 7);
    assert_eq!(list(Some(Status::Queued), None, 100).jobs.len(), 1);
    assert_eq!(list(Some(Status::Failed), None, 100).jobs.len(), 0);
}

#[test]
fn waiting_for_a_job_ends_with_the_job_or_with_the_time() {
    let mut world = World::new();
    let id = world.job(submission(&["slow30-0"]));
    world.run_for(SECOND);
    let start = world.now();
    let over = |view: &shared::domain::job::JobView| !view.job.status.is_live();
    let view = world
        .call(async |ports| read::wait_for(ports, &world.tenant.id, &id, 20 * SECOND, over).await);
    assert_eq!(view.unwrap().status(), Status::Running);
    assert_eq!(world.sim.clock.now().since(start), 20 * SECOND);
    world.settle(HOUR);
    let start = world.now();
    let view = world
        .call(async |ports| read::wait_for(ports, &world.tenant.id, &id, 20 * SECOND, over).await);
    assert!(over(&view.unwrap()));
    assert!(
        world.sim.clock.now().since(start) < SECOND,
        "an ended job changes no more"
    );
}

#[test]
fn an_expired_job_is_not_there_although_the_table_still_has_it() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    world.sim.clock.advance(30 * 24 * HOUR);
    let gone = |e: Result<_, ApiError>| matches!(e, Err(ApiError::NotFound { .. }));
    let tenant = &world.tenant.id;
    assert!(gone(world.call(async |ports| {
        read::job(ports, tenant, &id).await.map(drop)
    })));
    assert!(gone(world.call(async |ports| {
        read::delivery(ports, tenant, &id.delivery(0))
            .await
            .map(drop)
    })));
    let listed = world
        .call(async |ports| read::jobs(ports, tenant, None, None, 10).await)
        .unwrap();
    assert_eq!(listed.jobs.len(), 0);
}
