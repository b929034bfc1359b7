//! Upstreams that take a question and answer later: records are suspended, and no function waits
//! with them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::error::ApiError;
use shared::domain::ids::JobId;
use shared::domain::job::{Status, Submission};
use shared::domain::record::OutcomeStatus;
use shared::jobs::callback::Posted;
use shared::jobs::{cancel, delete, read};
use shared::ports::{Clock, QueueName};
use testkit::harness::upstream::{Calls, Manners, Says, Taken, Upstream, post};
use testkit::harness::{Options, World, domains, submission};
use testkit::sim::{Fault, Op};

use crate::crash::{After, case, ended, sweep};
use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND};

/// The behaviour of the harness's upstream for every question of a test.
#[derive(Clone, Copy)]
struct Treatment {
    /// `None`: never.
    after: Option<Duration>,
    poll_after: Duration,
    give_up_in: Duration,
}

impl Treatment {
    fn new(after: Duration, poll_after: Duration) -> Self {
        Self {
            after: Some(after),
            poll_after,
            give_up_in: 6 * HOUR,
        }
    }

    fn serve(self, world: &World) -> Arc<Upstream> {
        let manners = Manners {
            after: self.after,
            says: Says::Name,
            calls: Calls::Never,
        };
        world
            .upstream
            .treat(manners, self.poll_after, self.give_up_in);
        Arc::clone(&world.upstream)
    }
}

/// A job with this many records that ask there first, and elsewhere if it gives them up.
fn some(records: usize) -> Submission {
    named("some", records)
}

fn named(name: &str, records: usize) -> Submission {
    Submission {
        kind: "late".to_owned(),
        ..submission(&domains(name, records))
    }
}

fn urls(up: &Upstream) -> Vec<String> {
    up.taken()
        .into_iter()
        .filter_map(|taken| taken.callback)
        .collect()
}

/// The upstream's message once it has the answer.
fn ready(up: &Upstream, url: &str) -> Value {
    up.answer_for(url).expect("a URL that it was given")
}

/// Calls back whenever an answer is ready, until `records` were reported or an hour is over.
fn call_back(up: &Arc<Upstream>, world: &mut World, records: usize) {
    let (up, ports, clock) = (Arc::clone(up), world.ports.clone(), world.sim.clock.clone());
    world.spawn("upstream", async move {
        let (mut reported, until) = (BTreeSet::new(), clock.now().plus(HOUR));
        while reported.len() < records && clock.now() < until {
            clock.sleep(SECOND).await;
            let ready_now = |taken: &Taken| taken.ready_at.is_some_and(|at| at <= clock.now());
            let ready_now: Vec<String> = up
                .taken()
                .into_iter()
                .filter(ready_now)
                .filter_map(|taken| taken.callback)
                .collect();
            for url in ready_now {
                if !reported.insert(url.clone()) {
                    continue;
                }
                // As vendors do: tried again a few times, and then never.
                for _ in 0..3 {
                    match post(&ports, &url, &ready(&up, &url)).await {
                        Ok(_) => break,
                        Err(_) => clock.sleep(5 * SECOND).await,
                    }
                }
            }
        }
    });
}

fn all_found(world: &World, id: &JobId, records: u32) -> Result<(), String> {
    ended(world, id, &[Status::Completed])?;
    let counts = world.view(id).counts();
    if counts.found == records {
        Ok(())
    } else {
        Err(format!("counts: {counts:?} of {records}"))
    }
}

/// The seconds of `time` at whose end a worker was busy with a chunk.
fn busy_seconds(world: &mut World, time: Duration) -> u64 {
    let mut busy = 0;
    for _ in 0..time.as_secs() {
        world.run_for(SECOND);
        busy += u64::from(
            world
                .working()
                .iter()
                .any(|name| name.starts_with("Enrich")),
        );
    }
    busy
}

#[test]
fn an_upstream_that_answers_after_ten_minutes_costs_no_time_while_it_waits() {
    let mut world = World::with(Options {
        enrichers: 4,
        ..Options::default()
    });
    let up = Treatment::new(10 * MINUTE, HOUR).serve(&world);
    let id = world.job(some(100));
    call_back(&up, &mut world, 100);
    world.run_for(5 * SECOND);
    assert_eq!(up.taken().len(), 100, "all were asked for at once");
    let before = world.happened().len();
    assert_eq!(busy_seconds(&mut world, 9 * MINUTE), 0);
    let looks = world.happened().len() - before;
    // The sweep's, once a minute, and what it sends for a chunk that does not move, each time after
    // twice as long.
    assert!(
        looks <= 9 + 2 * 3,
        "{looks} invocations while nothing happened"
    );
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 100), Ok(()));
    let took = world.view(&id).job.end.unwrap().at.since(id.created_at());
    assert!(
        took < 11 * MINUTE,
        "answered at ten minutes, ended at {took:?}"
    );
    assert!(
        up.taken()
            .iter()
            .all(|taken| taken.bought.len() == 1 && taken.polled.is_empty())
    );
    assert_eq!(world.credits(&world.tenant.id).1, 200, "two credits each");
}

#[test]
fn lost_callbacks_are_made_up_for_by_polling() {
    let mut world = World::new();
    let up = Treatment::new(10 * MINUTE, 4 * MINUTE).serve(&world);
    let id = world.job(some(70));
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 70), Ok(()));
    assert!(
        up.taken()
            .iter()
            .all(|taken| (taken.bought.len(), taken.polled.len()) == (1, 3)),
        "{:?}",
        up.taken()
    );
}

#[test]
fn a_wait_that_is_longer_than_a_queues_longest_delay_is_kept() {
    let mut world = World::new();
    let up = Treatment::new(2 * HOUR, 2 * HOUR + MINUTE).serve(&world);
    let id = world.job(some(3));
    world.settle(4 * HOUR);
    assert_eq!(all_found(&world, &id, 3), Ok(()));
    assert!(
        up.taken()
            .iter()
            .all(|taken| (taken.bought.len(), taken.polled.len()) == (1, 1)),
        "{:?}",
        up.taken()
    );
}

#[test]
fn forged_and_repeated_callbacks_change_nothing() {
    let mut world = World::new();
    let up = Treatment::new(10 * MINUTE, HOUR).serve(&world);
    let other = world.job(named("other", 2));
    let id = world.job(some(2));
    world.run_for(5 * SECOND);
    let urls: BTreeSet<String> = urls(&up).into_iter().collect();
    assert_eq!(urls.len(), 4, "each record has its own");
    let of = |id: &JobId| {
        urls.iter()
            .filter(|url| url.contains(&id.as_str()[4..]))
            .cloned()
            .collect::<Vec<_>>()
    };
    let (ours, others) = (of(&id), of(&other));
    let before = world.sim.store.items();
    let body = ready(&up, &ours[0]);
    let mac = |url: &str| url.rsplit_once('.').map(|(_, mac)| mac.to_owned()).unwrap();
    let with_mac = |url: &str, mac: &str| format!("{}.{mac}", url.rsplit_once('.').unwrap().0);
    let other_record = ours[0]
        .replacen(".0.0.", ".0.9.", 1)
        .replacen(".0.1.", ".0.9.", 1);
    for forged in [
        with_mac(&ours[0], &mac(&ours[1])),
        with_mac(&ours[0], &mac(&others[0])),
        with_mac(&ours[0], &"A".repeat(43)),
        other_record,
        ours[0].replace(".late.", ".second."),
        ours[0].replace(&id.as_str()[4..], &other.as_str()[4..]),
        ours[0].replace(&id.as_str()[4..], "01JGFJJZ00ENHMZBNF8SBD1WXY"),
    ] {
        let answer = world.call(async |p| post(p, &forged, &body).await);
        assert_eq!(
            answer,
            Err(ApiError::NotFound { what: "callback" }),
            "{forged}"
        );
    }
    assert_eq!(world.sim.store.items(), before, "nothing was written");

    // A repeated callback causes no further poll.
    let waits = json!({"id": body["id"], "status": "pending"});
    assert_eq!(
        world.call(async |p| post(p, &ours[0], &waits).await),
        Ok(Posted::Taken)
    );
    world.run_for(MINUTE);
    for _ in 0..3 {
        assert_eq!(
            world.call(async |p| post(p, &ours[0], &waits).await),
            Ok(Posted::NoOp)
        );
        world.run_for(MINUTE);
    }
    assert!(world.view(&id).status().is_live(), "nothing was answered");
    let looks = up.taken().iter().map(|taken| taken.polled.len()).max();
    assert_eq!(
        looks,
        Some(1),
        "one look for the first post, none for its repetitions"
    );
    world.settle(3 * HOUR);
    assert_eq!(all_found(&world, &id, 2), Ok(()));
    assert_eq!(all_found(&world, &other, 2), Ok(()));
    assert_eq!(
        world.call(async |p| post(p, &ours[1], &body).await),
        Ok(Posted::NoOp),
        "the job has ended"
    );
}

/// A record whose upstream is not polled for hours, and the URL that it was given.
fn unpolled(world: &mut World) -> (Arc<Upstream>, JobId, String) {
    let up = Treatment::new(10 * MINUTE, 5 * HOUR).serve(world);
    let id = world.job(some(1));
    world.run_for(5 * SECOND);
    let url = urls(&up).pop().expect("a URL");
    (up, id, url)
}

#[test]
fn a_callback_about_another_question_used_the_url_up() {
    for pause in [0, 60] {
        let mut world = World::new();
        let (up, id, url) = unpolled(&mut world);
        let other = json!({"id": "another question", "status": "done", "name": "Name of another"});
        assert_eq!(
            world.call(async |p| post(p, &url, &other).await),
            Ok(Posted::Taken)
        );
        world.run_for(pause * SECOND);
        assert_eq!(
            world.call(async |p| post(p, &url, &ready(&up, &url)).await),
            Ok(Posted::Taken)
        );
        assert!(
            world.run_until(5 * MINUTE, |world| !world.view(&id).status().is_live()),
            "the answer was not received"
        );
        world.settle(HOUR);
        assert_eq!(all_found(&world, &id, 1), Ok(()));
        assert_eq!(world.results(&id)[0].outcome.data["name"], "Name of some-0");
    }
}

#[test]
fn a_url_takes_few_posts_that_say_nothing() {
    let mut world = World::new();
    let (_, id, url) = unpolled(&mut world);
    for percent in 0..6 {
        let said = json!({"status": "pending", "percent": percent});
        let expected = if percent < 3 {
            Posted::Taken
        } else {
            Posted::NoOp
        };
        assert_eq!(
            world.call(async |p| post(p, &url, &said).await),
            Ok(expected)
        );
        assert_eq!(
            world.call(async |p| post(p, &url, &said).await),
            Ok(Posted::NoOp)
        );
        world.run_for(MINUTE);
    }
    world.settle(6 * HOUR);
    assert_eq!(all_found(&world, &id, 1), Ok(()), "polls go on");
}

#[test]
fn a_message_that_came_twice_bought_an_answer_twice() {
    let mut world = World::with(Options {
        enrichers: 2,
        ..Options::default()
    });
    let up = Treatment::new(10 * MINUTE, HOUR).serve(&world);
    let id = world.job(some(1));
    for message in world.sim.queue.peek(QueueName::Enrich) {
        world.sim.queue.duplicate(QueueName::Enrich, &message.id);
    }
    // Both have read the chunk before either takes it. The second takes it when the first has left
    // it.
    let mut first = None;
    world.faults(move |call| {
        let takes = call.op == Op::Update
            && call.name.starts_with("Enrich")
            && call.subject.contains("PROGRESS");
        let other = takes && *first.get_or_insert(call.process) != call.process;
        if other {
            Fault::Delay(SECOND)
        } else {
            Fault::Proceed
        }
    });
    world.run_for(MINUTE);
    assert_eq!(up.taken()[0].bought.len(), 1);
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 1), Ok(()));
}

#[test]
fn a_queue_that_took_no_message_for_the_next_look_made_it_half_an_hour_late() {
    let mut world = World::new();
    let up = Treatment::new(5 * MINUTE, 5 * MINUTE).serve(&world);
    // The first message that a run sends for its chunk is not taken.
    let mut refused = false;
    world.faults(move |call| {
        let first = !refused && call.op == Op::Send && call.name.starts_with("Enrich");
        refused |= first;
        if first {
            Fault::FailBefore
        } else {
            Fault::Proceed
        }
    });
    let id = world.job(some(3));
    let ended = world.run_until(6 * MINUTE, |world| !world.view(&id).status().is_live());
    assert!(ended, "ready after 5 minutes, not ended after 6");
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 3), Ok(()));
    assert!(
        up.taken().iter().all(|taken| taken.bought.len() == 1),
        "{:?}",
        up.taken()
    );
}

#[test]
fn an_upstream_that_never_answers_is_given_up_and_the_next_one_asked() {
    let mut world = World::new();
    let up = Treatment {
        after: None,
        give_up_in: 30 * MINUTE,
        ..Treatment::new(MINUTE, 10 * MINUTE)
    };
    let _up = up.serve(&world);
    let id = world.job(named("never", 3));
    world.settle(HOUR);
    assert_eq!(all_found(&world, &id, 3), Ok(()));
    let lines = world.results(&id);
    assert!(lines.iter().all(|line| {
        line.outcome.sources[0].1.provider == "second" && line.outcome.credits == 3
    }));
    let took = world.view(&id).job.end.unwrap().at.since(id.created_at());
    assert!((30 * MINUTE..32 * MINUTE).contains(&took), "{took:?}");
}

#[test]
fn canceled_records_do_not_wait_for_their_upstream() {
    let mut world = World::new();
    Treatment::new(10 * HOUR, 10 * HOUR).serve(&world);
    let id = world.job(some(3));
    world.run_for(10 * MINUTE);
    let tenant = world.tenant.id.clone();
    world
        .call(async |p| cancel::cancel(p, &tenant, &id, ENRICH_TIMEOUT).await)
        .unwrap();
    assert!(
        world.run_until(5 * MINUTE, |world| !world.view(&id).status().is_live()),
        "canceled within five minutes"
    );
    world.settle(HOUR);
    assert!(
        world
            .results(&id)
            .iter()
            .all(|line| line.outcome.status == OutcomeStatus::Canceled)
    );
}

/// Callbacks for half of the records, polling for the others.
fn waiting(world: &mut World) -> After {
    let up = Treatment::new(10 * MINUTE, 20 * MINUTE).serve(world);
    let id = world.insist_on_job(&some(4), "one").expect("a job");
    call_back(&up, world, 2);
    world.run_for(30 * MINUTE);
    Box::new(move |world| {
        all_found(world, &id, 4)?;
        // A crash may buy twice, with the same key; a chunk without a crash never does.
        let bought = up.taken().iter().map(|taken| taken.bought.len()).max();
        if bought.is_some_and(|most| most <= 2) {
            Ok(())
        } else {
            Err(format!("bought: {bought:?} times"))
        }
    })
}

#[test]
fn a_job_that_waits_for_upstreams_survives_every_crash() {
    sweep("waits", &case(waiting));
}

#[test]
fn a_delete_of_a_job_that_waits_survives_every_crash() {
    sweep(
        "waits, deleted",
        &case(|world| {
            let up = Treatment::new(2 * MINUTE, 20 * MINUTE).serve(world);
            let id = world.insist_on_job(&some(2), "one").expect("a job");
            call_back(&up, world, 2);
            world.run_for(2 * MINUTE);
            let tenant = world.tenant.id.clone();
            let answer = world.ask_until_answered(async |ports| {
                delete::delete(ports, &tenant, &id, ENRICH_TIMEOUT).await
            });
            Box::new(move |world| {
                match &answer {
                    Ok(()) | Err(ApiError::NotFound { .. }) => {}
                    Err(other) => return Err(format!("delete answered {other:?}")),
                }
                let view = world.call(async |ports| read::job(ports, &world.tenant.id, &id).await);
                if view != Err(ApiError::NotFound { what: "job" }) {
                    return Err(format!("erased: {view:?}"));
                }
                let left = world.sim.store.items();
                let left: Vec<_> = left
                    .iter()
                    .filter(|item| item.key.sk.contains("CALL#"))
                    .collect();
                if left.is_empty() {
                    Ok(())
                } else {
                    Err(format!("erased: {left:?}"))
                }
            })
        }),
    );
}

#[test]
fn what_is_posted_while_a_run_holds_the_chunk_is_not_forgotten() {
    for delay in 0..12_u64 {
        let mut world = World::with(Options {
            enrichers: 4,
            ..Options::default()
        });
        let up = Treatment::new(Duration::from_millis(delay * 500), HOUR).serve(&world);
        // Checkpointing the suspended records takes long.
        world.faults(|call| {
            if call.op == Op::PutAll {
                Fault::Delay(5 * SECOND)
            } else {
                Fault::Proceed
            }
        });
        let id = world.job(some(3));
        call_back(&up, &mut world, 3);
        assert!(
            world.run_until(2 * MINUTE, |world| !world.view(&id).status().is_live()),
            "posted after {delay}/2 s"
        );
        assert!(
            up.taken().iter().all(|taken| taken.bought.len() == 1),
            "{:?}",
            up.taken()
        );
        world.settle(HOUR);
        assert_eq!(all_found(&world, &id, 3), Ok(()));
    }
}
