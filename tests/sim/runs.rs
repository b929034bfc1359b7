//! Runs over a chunk: those that stop in time, those that die, and those that do not fit.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::domain::job::{Status, Submission};
use shared::domain::record::OutcomeStatus;
use shared::jobs::read;
use shared::ports::QueueName::{Enrich, Webhook};
use shared::ports::{Clock, Message};
use testkit::harness::{BIG, Happened, Options, World, domains, submission};
use testkit::sim::{Fault, Op};

use crate::crash::{case, ended, sweep};
use crate::{HOUR, MINUTE, SECOND};

fn patient(domains: &[String]) -> Submission {
    Submission {
        kind: "patient".to_owned(),
        ..submission(domains)
    }
}

fn codes(world: &World, id: &shared::domain::ids::JobId) -> Vec<String> {
    let code = |line: shared::domain::job::ResultLine| {
        line.outcome.error.map_or_else(String::new, |e| e.code)
    };
    world.results(id).into_iter().map(code).collect()
}

#[test]
fn a_chunk_that_runs_out_of_time_goes_on_where_it_stopped() {
    let mut world = World::new();
    world.options.sweeping = false;
    let domains = domains("slow90", 7);
    let id = world.job(patient(&domains));
    world.settle(HOUR);
    assert_eq!(world.view(&id).counts().found, 7);
    let runs = world
        .happened()
        .iter()
        .filter(|h| matches!(h, Happened::ChunkOutcome { .. }))
        .count();
    assert_eq!(runs, 4);
    assert!(
        domains.iter().all(|d| world.asked_of(d) == 1),
        "a provider was asked twice: {:?}",
        world.asked()
    );
}

#[test]
fn a_record_past_its_own_deadline_fails_alone() {
    let mut world = World::new();
    let id = world.job(submission(&["slow40-0", "found-1"]));
    world.settle(HOUR);
    assert_eq!(codes(&world, &id), ["deadline_exceeded", ""]);
}

#[test]
fn a_panicking_provider_costs_its_record_alone() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0", "panic-1", "found-2"]));
    world.settle(HOUR);
    assert_eq!(codes(&world, &id), ["", "internal_error", ""]);
    let runs = world
        .happened()
        .iter()
        .filter(|h| matches!(h, Happened::ChunkOutcome { .. }))
        .count();
    assert_eq!(runs, 1);
}

#[test]
fn a_poisoned_record_costs_itself_and_nothing_else() {
    let mut world = World::new();
    let mut domains = domains("found", 130);
    domains[70] = "poison-70".to_owned();
    let id = world.job(submission(&domains));
    world.settle(3 * HOUR);
    let lines = world.results(&id);
    for (n, line) in lines.iter().enumerate() {
        let lost = line
            .outcome
            .error
            .as_ref()
            .is_some_and(|e| e.code == "worker_lost");
        assert_eq!(
            (lost, line.outcome.status == OutcomeStatus::Found),
            (n == 70, n != 70),
            "record {n}"
        );
    }
    assert_eq!(world.view(&id).status(), Status::Completed);
}

#[test]
fn two_poisoned_records_in_one_chunk_cost_themselves_and_nothing_else() {
    let mut world = World::new();
    let mut domains = domains("found", 20);
    domains[0] = "poison-0".to_owned();
    domains[19] = "poison-19".to_owned();
    let id = world.job(submission(&domains));
    world.settle(6 * HOUR);
    let lost: Vec<usize> = (0..20)
        .filter(|n| codes(&world, &id)[*n] == "worker_lost")
        .collect();
    assert_eq!(lost, [0, 19]);
}

#[test]
fn the_eighth_start_gives_up_what_is_left_of_a_chunk() {
    let mut world = World::new();
    let mut results = 0;
    world.faults(move |call| {
        if call.op == Op::Put && call.subject.contains("#PART#") {
            return Fault::Die;
        }
        if call.op == Op::Put && call.subject.ends_with("#RESULT") {
            results += 1;
            return if results <= 2 {
                Fault::Die
            } else {
                Fault::Proceed
            };
        }
        Fault::Proceed
    });
    let id = world.job(submission(&domains("found", 3)));
    world.settle(6 * HOUR);
    assert_eq!(
        codes(&world, &id),
        ["worker_lost", "worker_lost", "worker_lost"]
    );
    assert_eq!(world.credits(&world.tenant.id), (100_000, 0, 0));
}

#[test]
fn a_slow_chunk_with_a_poisoned_record_lost_the_others_too() {
    // A continuation of a run that worked one by one has to work one by one as well.
    let mut world = World::new();
    let mut domains = domains("slow50", 12);
    domains[4] = "poison-4".to_owned();
    domains[9] = "poison-9".to_owned();
    let id = world.job(patient(&domains));
    world.settle(12 * HOUR);
    let codes = codes(&world, &id);
    let lost: Vec<usize> = (0..12).filter(|n| codes[*n] == "worker_lost").collect();
    assert_eq!(lost, [4, 9]);
}

#[test]
fn a_slow_chunk_was_bought_twice_because_the_sweep_took_it_for_dead() {
    let mut world = World::with(Options {
        enrichers: 4,
        ..Options::default()
    });
    let domains = domains("slow90", 40);
    let id = world.job(patient(&domains));
    world.settle(6 * HOUR);
    assert_eq!(world.view(&id).counts().found, 40);
    let twice: Vec<_> = domains.iter().filter(|d| world.asked_of(d) > 1).collect();
    assert!(
        twice.is_empty(),
        "{} of 40 answers were bought twice",
        twice.len()
    );
}

#[test]
fn a_table_that_takes_no_results_for_minutes_costs_no_record() {
    let mut world = World::new();
    let until = world.now().plus(10 * MINUTE);
    let clock = world.sim.clock.clone();
    world.faults(move |call| {
        let outage = clock.now() < until && call.op == Op::Put && call.subject.ends_with("#RESULT");
        if outage {
            Fault::Throttle
        } else {
            Fault::Proceed
        }
    });
    let id = world.job(submission(&domains("found", 3)));
    world.settle(6 * HOUR);
    assert_eq!(world.view(&id).counts().found, 3);
}

#[test]
fn outcomes_too_big_for_one_item_come_back_whole() {
    let mut world = World::new();
    let id = world.job(submission(&domains("big", 30)));
    world.settle(HOUR);
    let lines = world.results(&id);
    assert!(lines.iter().all(|l| {
        l.outcome.data["name"]
            .as_str()
            .is_some_and(|t| t.len() >= BIG)
    }));
    let parts = world
        .sim
        .store
        .items()
        .iter()
        .filter(|i| i.key.sk.contains("#RESULT#"))
        .count();
    assert!(parts >= 10, "{parts} overflow items");
}

#[test]
fn a_job_of_several_shards_ends_once() {
    let mut world = World::with(Options {
        enrichers: 20,
        ..Options::default()
    });
    let id = world.job(submission(&domains("found", 6_500)));
    world.settle(HOUR);
    let view = world.view(&id);
    assert_eq!((view.job.spec.chunks, view.job.shards_done), (102, 2));
    assert_eq!((view.counts().found, view.credits_used()), (6_500, 13_000));
    assert_eq!(world.receiver.exchanges().len(), 1);
}

#[test]
fn a_job_past_its_run_limit_expires_and_keeps_what_it_has() {
    let mut world = World::new();
    let id = world.job(submission(&domains("slow5", 100)));
    // One chunk is done; then no function runs for a day.
    let done = world.run_until(MINUTE, |world| {
        world
            .happened()
            .iter()
            .any(|h| matches!(h, Happened::ChunkOutcome { .. }))
    });
    assert!(done);
    world.options.enrichers = 0;
    world.kill_enrichers();
    world.run_for(25 * HOUR);
    assert_eq!(world.view(&id).job.status, Status::Expiring);
    assert_eq!(world.view(&id).status(), Status::Running);
    world.options.enrichers = 1;
    world.settle(HOUR);
    let view = world.view(&id);
    assert_eq!(view.status(), Status::Expired);
    assert_eq!((view.counts().found, view.counts().failed), (50, 50));
    assert!(
        codes(&world, &id)[50..]
            .iter()
            .all(|code| code == "job_expired")
    );
    assert_eq!(world.receiver.exchanges()[0].json()["type"], "job.failed");
}

#[test]
fn a_type_without_providers_fails_the_job_and_costs_nothing() {
    let mut world = World::new();
    let id = world.job(Submission {
        kind: "bare".to_owned(),
        ..submission(&["found-0", "found-1"])
    });
    assert_eq!(world.view(&id).job.spec.reserved, 0);
    world.settle(HOUR);
    let view = world.view(&id);
    assert_eq!(view.status(), Status::Failed);
    assert_eq!(
        view.job.end.as_ref().unwrap().error.as_deref(),
        Some("name a provider")
    );
    assert_eq!(
        codes(&world, &id),
        ["provider_unconfigured", "provider_unconfigured"]
    );
    assert_eq!(world.receiver.exchanges()[0].json()["type"], "job.failed");
}

#[test]
fn every_message_twice_changes_nothing() {
    let mut world = World::with(Options {
        enrichers: 3,
        dispatchers: 3,
        ..Options::default()
    });
    let id = world.job(submission(&domains("slow5", 200)));
    for message in world.sim.queue.peek(Enrich) {
        world.sim.queue.duplicate(Enrich, &message.id);
    }
    world.options.dispatchers = 0;
    let reported = world.run_until(HOUR, |world| !world.sim.queue.peek(Webhook).is_empty());
    assert!(reported);
    for message in world.sim.queue.peek(Webhook) {
        world.sim.queue.duplicate(Webhook, &message.id);
    }
    world.options.dispatchers = 3;
    world.settle(HOUR);
    assert_eq!(world.view(&id).counts().found, 200);
    assert_eq!(world.receiver.exchanges().len(), 1);
}

#[test]
fn a_message_that_cannot_be_read_ends_among_the_dead_letters() {
    let mut world = World::new();
    for body in [
        "{",
        "{}",
        r#"{"v":1,"job":"job_x","chunk":0,"start":"first"}"#,
    ] {
        let message = Message {
            body: body.to_owned(),
            delay: Duration::ZERO,
            group: "acme".to_owned(),
        };
        world
            .call(async |p| p.queue.send(Enrich, vec![message.clone()]).await)
            .unwrap();
    }
    let id = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    assert_eq!(world.sim.queue.dead_letters(Enrich).len(), 3);
    assert_eq!(world.view(&id).counts().found, 1);
    world.run_for(SECOND);
}

#[test]
fn outcomes_put_away_before_their_chunk_ends_survive_every_crash() {
    sweep(
        "kept early",
        &case(|world| {
            let sent = submission(&["found-0", "none-1", "slow6-2", "slow20-3"]);
            let id = world.insist_on_job(&sent, "one").expect("a job");
            Box::new(move |world| {
                ended(world, &id, &[Status::Completed])?;
                let counts = world.view(&id).counts();
                if (counts.found, counts.not_found) == (3, 1) {
                    Ok(())
                } else {
                    Err(format!("counts: {counts:?}"))
                }
            })
        }),
    );
}

#[test]
fn what_a_slow_chunk_had_put_away_was_bought_again_after_a_crash() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0", "slow6-1", "slow20-2"]));
    world.run_for(15 * SECOND);
    let entries = world.call(async |ports| {
        let view = read::job(ports, &world.tenant.id, &id).await?;
        read::entries(ports, &view).await
    });
    let there: Vec<bool> = entries
        .unwrap()
        .iter()
        .map(|entry| entry.outcome.is_some())
        .collect();
    assert_eq!(there, [true, true, false]);
    world.kill_enrichers();
    world.settle(HOUR);
    let asked: Vec<usize> = ["found-0", "slow6-1", "slow20-2"]
        .iter()
        .map(|domain| world.asked_of(domain))
        .collect();
    assert_eq!(asked, [1, 1, 2]);
    assert_eq!(world.view(&id).counts().found, 3);
}

#[test]
fn a_table_that_was_slow_to_take_early_outcomes_took_the_time_of_records_under_way() {
    let mut world = World::new();
    world.faults(|call| match call.op {
        Op::PutAll if call.subject.contains("#PART#") => Fault::Delay(8 * SECOND),
        _ => Fault::Proceed,
    });
    // The first ends after 8 s and is checkpointed from 11 s to 19 s. The second record asks its
    // second provider after 14 s.
    let id = world.job(Submission {
        kind: "duo".to_owned(),
        ..submission(&["slow4-0", "slow14-1"])
    });
    world.settle(HOUR);
    for line in world.results(&id) {
        let found: Vec<&str> = line.outcome.data.keys().map(String::as_str).collect();
        assert_eq!(
            found,
            ["name", "second_name"],
            "record {}: {:?}",
            line.index,
            line.outcome
        );
    }
}

#[test]
fn a_mark_that_came_in_once_more_took_its_records_answer_away() {
    let mut world = World::new();
    let mut marked = false;
    // The first mark of the first run in which the records go one by one. That run dies of the last
    // record.
    world.faults(move |call| {
        let first = !marked && call.op == Op::Put && call.subject.contains("#PART#");
        marked |= first;
        if first {
            Fault::Again(Duration::from_millis(20))
        } else {
            Fault::Proceed
        }
    });
    let id = world.job(submission(&["found-0", "slow3-1", "poison-2"]));
    world.settle(6 * HOUR);
    assert_eq!(codes(&world, &id), ["", "", "worker_lost"]);
    assert_eq!(
        world.asked_of("found-0"),
        world.asked_of("slow3-1"),
        "an answer that was put away was bought again"
    );
}

#[test]
fn a_mark_that_took_all_of_a_records_time_failed_it_unasked() {
    let mut world = World::with(Options {
        enrich_timeout: 45 * SECOND,
        ..Options::default()
    });
    let mut delayed = false;
    // The first mark of the first run in which the records go one by one.
    world.faults(move |call| {
        let first = !delayed && call.op == Op::Put && call.subject.contains("#PART#");
        delayed |= first;
        if first {
            Fault::Delay(40 * SECOND)
        } else {
            Fault::Proceed
        }
    });
    let id = world.job(submission(&["found-0", "found-1", "poison-2"]));
    world.settle(6 * HOUR);
    assert_eq!(codes(&world, &id), ["", "", "worker_lost"]);
}

#[test]
fn a_mark_that_was_slow_to_be_written_took_the_time_of_its_record() {
    let mut world = World::new();
    let mut puts = BTreeMap::new();
    // One by one, each record is a mark and an outcome. The fourth of a run begins with a second to
    // spare.
    world.faults(move |call| {
        if call.op != Op::Put || !call.subject.contains("#PART#") {
            return Fault::Proceed;
        }
        let put: &mut u32 = puts.entry(call.process).or_default();
        *put += 1;
        if *put != 7 {
            return Fault::Proceed;
        }
        Fault::Delay(8 * SECOND)
    });
    let mut domains = domains("slow27", 6);
    domains[5] = "poison-5".to_owned();
    let id = world.job(submission(&domains));
    world.settle(6 * HOUR);
    assert_eq!(codes(&world, &id), ["", "", "", "", "", "worker_lost"]);
}
