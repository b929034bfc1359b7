//! Chains of runs and messages that are longer than Lambda lets them be unless the template says
//! that they are meant.

use std::time::Duration;

use shared::domain::ids::JobId;
use shared::domain::job::{Status, Submission};
use shared::maintenance::tenants;
use shared::ports::QueueName;
use testkit::harness::upstream::{Calls, Manners, Says};
use testkit::harness::{Happened, Options, World, submission};
use testkit::sim::mapping::{self, MAX_RUNS_IN_CHAIN};

use crate::crash::ended;
use crate::{HOUR, MINUTE, SECOND};

/// As if no function of the template said that it may run in a loop.
fn forbid_loops(world: &mut World) {
    let without = mapping::TEMPLATE.replace("RecursiveLoop: Allow", "");
    world.readers = mapping::readers_in(&without);
    assert!(world.readers.values().all(|reader| !reader.may_recur));
}

fn stopped(world: &World, lane: QueueName) -> usize {
    world
        .happened()
        .into_iter()
        .filter(|happened| *happened == Happened::Stopped(lane))
        .count()
}

/// A record whose upstream has its answer after 12 minutes and is asked for it every 30 seconds:
/// the job, and whether it has ended two minutes after that.
fn polls(world: &mut World) -> (JobId, bool) {
    let manners = Manners {
        after: Some(12 * MINUTE),
        says: Says::Name,
        calls: Calls::Never,
    };
    world.upstream.treat(manners, 30 * SECOND, 6 * HOUR);
    let id = world.job(Submission {
        kind: "late".to_owned(),
        ..submission(&["some-0"])
    });
    let in_time = world.run_until(14 * MINUTE, |world| !world.view(&id).status().is_live());
    (id, in_time)
}

#[test]
fn a_record_that_is_polled_for_longer_than_a_chain_may_be_ends_in_time() {
    let mut world = World::new();
    let (id, in_time) = polls(&mut world);
    assert!(in_time);
    world.settle(HOUR);
    assert_eq!(ended(&world, &id, &[Status::Completed]), Ok(()));
    assert!(
        world.upstream.taken()[0].polled.len() > MAX_RUNS_IN_CHAIN as usize,
        "{:?}",
        world.upstream.taken()
    );
    assert_eq!(stopped(&world, QueueName::Enrich), 0);
    assert_eq!(world.sim.queue.dead_letters(QueueName::Enrich), []);
}

#[test]
fn a_template_that_allows_no_loops_lets_a_polled_record_stall_and_its_message_die() {
    // The sweep would begin a new chain.
    let mut world = World::with(Options {
        sweeping: false,
        ..Options::default()
    });
    forbid_loops(&mut world);
    let (id, in_time) = polls(&mut world);
    assert!(!in_time, "stalled after {MAX_RUNS_IN_CHAIN} runs");
    world.run_for(3 * HOUR);
    assert!(
        world.view(&id).status().is_live(),
        "nothing goes on with it"
    );
    let dead = world.sim.queue.dead_letters(QueueName::Enrich);
    assert!(
        !dead.is_empty() && dead.iter().all(|message| message.receive_count == 10),
        "{dead:?}"
    );
    assert!(
        stopped(&world, QueueName::Enrich) >= 10,
        "each receive of it"
    );
}

/// An event whose receiver fails at more attempts than a chain may have runs, a minute apart:
/// whether it was taken in time.
fn attempts(world: &mut World) -> bool {
    const FAILURES: usize = 20;
    world
        .call(async |ports| {
            tenants::set_webhook_schedule(ports, &world.tenant.id, Some(vec![60; FAILURES + 4]))
                .await
        })
        .expect("a schedule");
    world.receiver.answers([500; FAILURES]);
    let id = world.job(submission(&["found-0"]));
    let taken = |world: &World| world.receiver.exchanges().len() > FAILURES;
    let in_time = world.run_until(Duration::from_mins(40), taken);
    world.settle(24 * HOUR);
    assert_eq!(ended(world, &id, &[Status::Completed]), Ok(()));
    in_time
}

#[test]
fn an_event_with_more_attempts_than_a_chain_may_have_is_delivered_in_time() {
    let mut world = World::new();
    assert!(attempts(&mut world));
    assert_eq!(
        stopped(&world, QueueName::Webhook) + stopped(&world, QueueName::WebhookRetry),
        0
    );
}

#[test]
fn a_template_that_allows_no_loops_stops_attempts() {
    let mut world = World::new();
    forbid_loops(&mut world);
    let _ = attempts(&mut world);
    assert!(stopped(&world, QueueName::WebhookRetry) > 0);
}
