//! Receivers that store the last event of a URL: exchanges with the URL do not overlap, and no
//! event arrives after a newer one.

use std::collections::BTreeSet;
use std::time::Duration;

use shared::domain::delivery::{Delivery, DeliveryState, DeliveryTask};
use shared::domain::ids::JobId;
use shared::domain::job::{Status, Submission};
use shared::jobs::{delete, read};
use shared::ports::{Message, QueueName};
use shared::schema::{get_n, latest_key};
use shared::webhooks::replay;
use testkit::harness::mutation::Mutation;
use testkit::harness::{Exchange, HOOK, Options, World, invariants, submission};
use testkit::sim::{Call, Fault, Op, Reply};

use crate::crash::{After, Case, calls, ended, had_a_delivery, play, sweep, ways};
use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND};

/// A job on a surface whose receivers store the latest event.
pub(crate) fn latest(script: &str) -> Submission {
    let of_old = submission(&[script]);
    Submission {
        surface: "springbolt".to_owned(),
        ..of_old
    }
}

fn two_senders() -> World {
    World::with(Options {
        enrichers: 2,
        dispatchers: 2,
        ..Options::default()
    })
}

/// An older and a newer job with one URL.
fn two_jobs(world: &mut World, older: &str, newer: &str) -> (JobId, JobId) {
    let first = world.job(latest(older));
    world.run_for(SECOND);
    (first, world.job(latest(newer)))
}

fn delivery(world: &World, id: &JobId) -> Delivery {
    world
        .call(async |p| read::delivery(p, &world.tenant.id, &id.delivery(0)).await)
        .unwrap()
}

/// Returns the jobs of the events sent, in order, with the receiver's answers.
fn reported(world: &World, jobs: &[&JobId]) -> Vec<(usize, Option<u16>)> {
    let of = |e: &Exchange| {
        jobs.iter()
            .position(|job| job.event(0) == e.id())
            .expect("one of these jobs")
    };
    world
        .receiver
        .exchanges()
        .iter()
        .map(|e| (of(e), e.status))
        .collect()
}

fn superseded(delivery: &Delivery) -> bool {
    (delivery.state, delivery.reason.as_deref()) == (DeliveryState::Exhausted, Some("superseded"))
}

#[test]
fn an_older_job_that_ends_later_is_superseded() {
    let mut world = two_senders();
    let (older, newer) = two_jobs(&mut world, "slow30-0", "found-1");
    world.settle(HOUR);
    assert_eq!(reported(&world, &[&older, &newer]), [(1, Some(200))]);
    let late = delivery(&world, &older);
    assert!(superseded(&late), "{late:?}");
    assert_eq!((late.attempts, late.log.len()), (0, 0));
}

#[test]
fn a_retry_is_superseded_by_what_was_told_meanwhile() {
    let mut world = two_senders();
    world.receiver.answers([500]);
    let (older, newer) = two_jobs(&mut world, "found-0", "found-1");
    world.settle(HOUR);
    assert_eq!(
        reported(&world, &[&older, &newer]),
        [(0, Some(500)), (1, Some(200))]
    );
    let failed = delivery(&world, &older);
    assert!(superseded(&failed), "{failed:?}");
    assert_eq!(failed.log.len(), 1);
}

#[test]
fn an_older_job_is_told_while_the_newer_one_has_not_arrived() {
    let mut world = two_senders();
    world.receiver.answers([500]);
    let (older, newer) = two_jobs(&mut world, "slow3-0", "found-1");
    world.settle(HOUR);
    assert_eq!(
        reported(&world, &[&older, &newer]),
        [(1, Some(500)), (0, Some(200)), (1, Some(200))]
    );
    assert_eq!(delivery(&world, &older).state, DeliveryState::Delivered);
}

#[test]
fn a_newer_event_waits_while_an_older_one_is_on_its_way() {
    let mut world = two_senders();
    world
        .receiver
        .replies([Reply::status(200).after(15 * SECOND)]);
    let (older, newer) = two_jobs(&mut world, "found-0", "found-1");
    world.settle(HOUR);
    assert_eq!(
        reported(&world, &[&older, &newer]),
        [(0, Some(200)), (1, Some(200))]
    );
    let exchanges = world.receiver.exchanges();
    let waited = exchanges[1].at.since(exchanges[0].until);
    assert!(
        exchanges[1].at >= exchanges[0].until && waited <= 4 * SECOND,
        "{waited:?}"
    );
    // Waiting is not an attempt, and does not go round in circles.
    assert_eq!(delivery(&world, &newer).attempts, 1);
    let moved = world
        .happened()
        .iter()
        .filter(|h| format!("{h:?}").contains("Moved"))
        .count();
    assert!(moved <= 10, "asked {moved} times in 15 s");
}

#[test]
fn urls_and_tenants_do_not_wait_for_one_another() {
    let mut world = World::with(Options {
        enrichers: 2,
        dispatchers: 3,
        ..Options::default()
    });
    world
        .receiver
        .from_then_on(Reply::status(200).after(15 * SECOND));
    let (other, registry, ports) = (
        world.tenant("other"),
        world.registry.clone(),
        world.ports.clone(),
    );
    world.job(latest("found-0"));
    let elsewhere = shared::domain::job::Webhook {
        url: format!("{HOOK}?2"),
    };
    world.job(Submission {
        webhook: Some(elsewhere),
        ..latest("found-1")
    });
    world
        .call(async |_| World::request(&ports, &registry, &other, latest("found-2"), None).await)
        .unwrap();
    world.run_for(10 * SECOND);
    assert_eq!(world.receiver.exchanges().len(), 3);
}

#[test]
fn a_replay_of_an_older_event_is_superseded_and_of_the_newest_sent() {
    let mut world = two_senders();
    let (older, newer) = two_jobs(&mut world, "found-0", "slow5-1");
    world.settle(HOUR);
    assert_eq!(
        reported(&world, &[&older, &newer]),
        [(0, Some(200)), (1, Some(200))]
    );
    for id in [&older, &newer] {
        world
            .call(async |p| replay::replay(p, &world.tenant.id, &id.delivery(0), None).await)
            .unwrap();
        world.settle(HOUR);
    }
    assert_eq!(reported(&world, &[&older, &newer])[2..], [(1, Some(200))]);
    assert!(superseded(&delivery(&world, &older)));
    assert_eq!(
        delivery(&world, &older).log.len(),
        1,
        "what was sent before stays in the log"
    );
}

#[test]
fn what_was_told_is_remembered_for_as_long_as_anything_older_is_kept() {
    let mut world = two_senders();
    let (older, newer) = two_jobs(&mut world, "found-0", "slow5-1");
    world.settle(HOUR);
    let kept = world.view(&older).job.spec.expires_at;
    let item = world
        .sim
        .store
        .peek(&latest_key(&world.tenant.id, HOOK))
        .unwrap();
    assert!(
        get_n(&item, "expires_at").is_some_and(|at| at > kept.seconds()),
        "the table would have forgotten it"
    );
    world.sim.clock.advance_to(kept.minus(MINUTE));
    world
        .call(async |p| replay::replay(p, &world.tenant.id, &older.delivery(0), None).await)
        .unwrap();
    world.run_for(30 * SECOND);
    assert!(superseded(&delivery(&world, &older)));
    assert_eq!(reported(&world, &[&older, &newer]).len(), 2);
}

#[test]
fn an_older_event_waits_for_a_newer_one_that_may_have_arrived() {
    let mut world = two_senders();
    let mut armed = true;
    world.faults(move |call| {
        let hit = call.op == Op::Http && std::mem::take(&mut armed);
        if hit { Fault::DieAfter } else { Fault::Proceed }
    });
    let (older, newer) = two_jobs(&mut world, "slow5-0", "found-1");
    world.settle(HOUR);
    assert_eq!(
        reported(&world, &[&older, &newer]),
        [(1, Some(200)), (1, Some(200))]
    );
    assert!(superseded(&delivery(&world, &older)));
}

#[test]
fn an_older_event_does_not_wait_for_ever() {
    let mut world = two_senders();
    let mut armed = true;
    world.faults(move |call| {
        let hit = call.op == Op::Http && std::mem::take(&mut armed);
        if hit { Fault::DieAfter } else { Fault::Proceed }
    });
    let (older, newer) = two_jobs(&mut world, "slow5-0", "found-1");
    assert!(
        world.run_until(MINUTE, |w| w.receiver.exchanges().len() == 1
            && w.working().is_empty())
    );
    // The newer job is erased, and with it the event that may or may not have arrived: it is not
    // repeated.
    world
        .call(async |p| delete::delete(p, &world.tenant.id, &newer, ENRICH_TIMEOUT).await)
        .unwrap();
    world.settle(HOUR);
    let exchanges = world.receiver.exchanges();
    assert_eq!(exchanges.len(), 2);
    let waited = exchanges[1].at.since(exchanges[0].at);
    assert!(waited > 15 * MINUTE && waited < 17 * MINUTE, "{waited:?}");
    assert_eq!(delivery(&world, &older).state, DeliveryState::Delivered);
}

#[test]
fn an_attempt_that_was_put_off_showed_an_interrupted_one_at_the_wrong_time() {
    let mut world = two_senders();
    world
        .receiver
        .replies([Reply::status(200), Reply::status(200).after(15 * SECOND)]);
    let mut armed = true;
    world.faults(move |call| {
        let hit = call.op == Op::Http && std::mem::take(&mut armed);
        if hit { Fault::DieAfter } else { Fault::Proceed }
    });
    let lost = world.job(latest("found-0"));
    world.run_for(SECOND);
    let begun = world.receiver.exchanges()[0].at;
    // The sweep has it repeated after two minutes; just then another event is on its way.
    world.run_for(110 * SECOND);
    world.job(latest("found-1"));
    world.settle(HOUR);
    assert!(
        world
            .happened()
            .iter()
            .any(|h| format!("{h:?}").contains("Moved")),
        "nothing was put off"
    );
    let log = delivery(&world, &lost).log;
    assert_eq!(
        (log[0].error.as_deref(), log[0].at),
        (Some("interrupted"), begun)
    );
}

/// Injects the fault for each update of the URL's lease, by its number from 1.
fn turns(
    mut fault: impl FnMut(usize) -> Fault + Send + 'static,
) -> impl FnMut(&Call) -> Fault + Send + 'static {
    let mut seen = 0;
    move |call| {
        let takes_url = call.op == Op::Update && call.subject.ends_with("/LATEST");
        seen += usize::from(takes_url);
        if takes_url {
            fault(seen)
        } else {
            Fault::Proceed
        }
    }
}

#[test]
fn an_answer_that_could_not_be_remembered_does_not_count() {
    let mut world = two_senders();
    // The lease is taken; every later attempt to release it is lost.
    world.faults(turns(|n| {
        if (2..=5).contains(&n) {
            Fault::FailBefore
        } else {
            Fault::Proceed
        }
    }));
    let (older, newer) = two_jobs(&mut world, "slow5-0", "found-1");
    world.settle(HOUR);
    assert_eq!(
        reported(&world, &[&older, &newer]),
        [(1, Some(200)), (1, Some(200))]
    );
    let log = delivery(&world, &newer).log;
    let errors: Vec<_> = log.iter().map(|attempt| attempt.error.as_deref()).collect();
    assert_eq!(errors, [Some("interrupted"), None]);
}

#[test]
fn a_turn_whose_answer_was_lost_is_taken_all_the_same() {
    let mut world = two_senders();
    world.faults(turns(|n| {
        if n == 1 {
            Fault::FailAfter
        } else {
            Fault::Proceed
        }
    }));
    world.job(latest("found-0"));
    world.run_for(SECOND);
    assert_eq!(world.receiver.exchanges().len(), 1);
    world.settle(HOUR);
}

#[test]
fn a_turn_without_a_lease_is_given_back() {
    let mut world = two_senders();
    let mut armed = true;
    world.faults(move |call| {
        let lease = call.op == Op::Update
            && call.subject.contains("DELIVERY")
            && std::mem::take(&mut armed);
        if lease {
            Fault::Throttle
        } else {
            Fault::Proceed
        }
    });
    world.job(latest("found-0"));
    world.run_for(10 * SECOND);
    assert_eq!(world.receiver.exchanges().len(), 1);
    world.settle(HOUR);
}

#[test]
fn an_answer_counts_though_its_turn_ran_out_before_it_was_written() {
    let mut world = World::with(Options {
        enrichers: 3,
        dispatchers: 3,
        ..Options::default()
    });
    world.faults(turns(|n| {
        if n == 2 {
            Fault::Delay(40 * SECOND)
        } else {
            Fault::Proceed
        }
    }));
    world.receiver.answers([200, 500, 500]);
    let oldest = world.job(Submission {
        kind: "patient".to_owned(),
        ..latest("slow60-0")
    });
    world.run_for(SECOND);
    let middle = world.job(latest("found-1"));
    world.run_for(SECOND);
    let newest = world.job(latest("slow28-2"));
    world.settle(HOUR);
    let expected = [
        (1, Some(200)),
        (2, Some(500)),
        (2, Some(500)),
        (2, Some(200)),
    ];
    assert_eq!(reported(&world, &[&oldest, &middle, &newest]), expected);
    assert!(superseded(&delivery(&world, &oldest)));
    assert_eq!(delivery(&world, &middle).log.len(), 1);
}

#[test]
fn surfaces_whose_receivers_keep_everything_pay_nothing_for_it() {
    let writes = |surface: &str| {
        let mut world = World::new();
        world.job(Submission {
            surface: surface.to_owned(),
            ..submission(&["found-0"])
        });
        world.settle(HOUR);
        let kept = world
            .sim
            .store
            .peek(&latest_key(&world.tenant.id, HOOK))
            .is_some();
        (
            world.sim.gate.count(Op::Update),
            world.sim.gate.count(Op::GetMany),
            kept,
        )
    };
    let (native, springbolt) = (writes("native"), writes("springbolt"));
    assert!(!native.2 && springbolt.2);
    assert_eq!(
        (springbolt.0, springbolt.1),
        (native.0 + 2, native.1),
        "one write before the exchange and one after"
    );
}

/// No two exchanges with the URL at once.
fn one_at_a_time(world: &World) -> Result<(), String> {
    let exchanges = world.receiver.exchanges();
    let overlaps = |pair: &&[Exchange]| pair[1].at < pair[0].until;
    match exchanges.windows(2).find(overlaps) {
        None => Ok(()),
        Some(pair) => Err(format!(
            "one_at_a_time: {} until {}, {}",
            pair[0].at, pair[0].until, pair[1].at
        )),
    }
}

/// Both end; the newer one's event was sent last, and the older one's before or not at all.
fn both(world: &mut World, older: &str, newer: &str) -> After {
    let first = world.insist_on_job(&latest(older), "older").expect("a job");
    world.run_for(SECOND);
    let second = world.insist_on_job(&latest(newer), "newer").expect("a job");
    Box::new(move |world| {
        ended(world, &first, &[Status::Completed])?;
        ended(world, &second, &[Status::Completed])?;
        had_a_delivery(world, &second)?;
        one_at_a_time(world)?;
        let old = delivery(world, &first);
        if old.state != DeliveryState::Delivered && !superseded(&old) {
            return Err(format!("told_or_superseded: {old:?}"));
        }
        let exchanges = world.receiver.exchanges();
        let last = exchanges
            .iter()
            .rev()
            .find(|e| e.status == Some(200))
            .map(|e| e.id().to_owned());
        if last == Some(second.event(0)) {
            Ok(())
        } else {
            Err(format!("newest_last: {last:?} came last"))
        }
    })
}

fn case(play: fn(&mut World) -> After) -> Case {
    Case {
        options: Options {
            enrichers: 2,
            dispatchers: 2,
            ..Options::default()
        },
        play,
        mutation: None,
    }
}

#[test]
fn an_older_job_that_ends_later_survives_every_crash() {
    sweep(
        "older later",
        &case(|world| both(world, "slow8-0", "found-1")),
    );
}

#[test]
fn two_jobs_at_once_survive_every_crash() {
    sweep(
        "two at once",
        &case(|world| {
            world.receiver.answers([500, 500]);
            both(world, "slow1-0", "found-1")
        }),
    );
}

#[test]
fn a_slow_receiver_of_two_jobs_survives_every_crash() {
    sweep(
        "slow receiver",
        &case(|world| {
            world.receiver.replies([
                Reply::status(200).after(4 * SECOND),
                Reply::status(200).after(4 * SECOND),
            ]);
            both(world, "found-0", "found-1")
        }),
    );
}

#[test]
fn two_jobs_survive_pairs_of_faults() {
    let case = case(|world| {
        world
            .receiver
            .replies([Reply::status(200).after(3 * SECOND), Reply::status(500)]);
        both(world, "slow2-0", "found-1")
    });
    let calls = calls(&case);
    let dice = World::dice(11);
    let mut wrong = Vec::new();
    let tried = 200;
    for _ in 0..tried {
        let one = &calls[dice.below(calls.len())];
        let two = one.number + 1 + dice.below(calls.len()) as u64;
        let first = ways(one.op)[dice.below(ways(one.op).len())];
        let second = [
            Fault::Die,
            Fault::DieAfter,
            Fault::FailBefore,
            Fault::FailAfter,
        ][dice.below(4)];
        let k = one.number;
        let (_, mutation) = play(&case, move |c| match c.number {
            n if n == k => first,
            n if n == two => second,
            _ => Fault::Proceed,
        });
        wrong.extend(
            mutation
                .iter()
                .map(|b| format!("#{k} {first:?}, #{two} {second:?}: {b}")),
        );
    }
    assert!(
        wrong.is_empty(),
        "{} of {tried} pairs break something: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(20)]
    );
}

#[test]
fn a_turn_that_is_stolen_is_found_out() {
    let late: fn(&mut World) -> After = |world| both(world, "slow8-0", "found-1");
    let slow: fn(&mut World) -> After = |world| {
        world
            .receiver
            .from_then_on(Reply::status(200).after(8 * SECOND));
        both(world, "found-0", "found-1")
    };
    let mut found = BTreeSet::new();
    for play_it in [late, slow] {
        let case = Case {
            mutation: Some(Mutation::UrlLeaseIsStolen),
            ..case(play_it)
        };
        let (world, wrong) = play(&case, |_| Fault::Proceed);
        found.extend(
            wrong
                .iter()
                .chain(&invariants::check(&world))
                .filter_map(|w| w.split(':').next())
                .map(str::to_owned),
        );
    }
    for name in [
        "no_older_event_after_a_newer_one",
        "newest_last",
        "one_at_a_time",
    ] {
        assert!(
            found.contains(name),
            "{name} did not find it; found: {found:?}"
        );
    }
}

/// Counts how often an event was put off while an older one was under way for 15 s, with this many
/// messages for it in the queue.
fn put_off(surplus: usize) -> usize {
    let mut world = two_senders();
    world
        .receiver
        .replies([Reply::status(200).after(15 * SECOND)]);
    let (_, newer) = two_jobs(&mut world, "found-0", "found-1");
    world.run_for(SECOND);
    // As the sweep sends them while the queue is behind, or the queue itself now and then.
    let waiting = delivery(&world, &newer);
    for _ in 0..surplus {
        let body =
            serde_json::to_string(&DeliveryTask::new(&waiting.id, waiting.attempts + 1)).unwrap();
        let message = Message {
            body,
            delay: Duration::ZERO,
            group: "t".to_owned(),
        };
        world
            .call(async |p| {
                p.queue
                    .send(QueueName::WebhookRetry, vec![message.clone()])
                    .await
            })
            .unwrap();
    }
    world.settle(HOUR);
    assert_eq!(world.receiver.exchanges().len(), 2);
    world
        .happened()
        .iter()
        .filter(|h| format!("{h:?}").contains("Moved"))
        .count()
}

#[test]
fn every_surplus_message_of_a_waiting_event_went_round_for_as_long_as_it_waited() {
    let (one, five) = (put_off(0), put_off(4));
    assert!(
        five <= one + 4,
        "put off {one} times with one message and {five} times with five"
    );
}

#[test]
fn events_behind_a_receiver_that_hangs_asked_for_their_turn_every_other_second() {
    let mut world = World::with(Options {
        enrichers: 4,
        dispatchers: 30,
        ..Options::default()
    });
    world
        .receiver
        .from_then_on(Reply::status(500).after(19 * SECOND));
    for n in 0..20 {
        world.job(latest(&format!("found-{n}")));
    }
    world.run_for(10 * MINUTE);
    let asked = world
        .happened()
        .iter()
        .filter(|h| format!("{h:?}").contains("Moved"))
        .count();
    assert!(asked < 1500, "20 events asked {asked} times in ten minutes");
}

/// A wait for the URL's lease is bounded by the exchanges before it.
#[test]
fn many_events_for_one_url_end_with_the_newest() {
    let mut world = World::with(Options {
        enrichers: 8,
        dispatchers: 4,
        ..Options::default()
    });
    world
        .receiver
        .from_then_on(Reply::status(200).after(Duration::from_millis(300)));
    let mut jobs = Vec::new();
    for n in 0..12 {
        jobs.push(world.job(latest(&format!("slow{}-{n}", (n * 7) % 12))));
        world.run_for(Duration::from_millis(100));
    }
    world.settle(HOUR);
    assert_eq!(one_at_a_time(&world), Ok(()));
    let last = world.receiver.exchanges().last().map(|e| e.id().to_owned());
    assert_eq!(last, jobs.last().map(|id| id.event(0)));
    let over = |id: &&JobId| {
        superseded(&delivery(&world, id)) || delivery(&world, id).state == DeliveryState::Delivered
    };
    assert_eq!(jobs.iter().filter(over).count(), jobs.len());
}
