//! Negative controls: each breaks one promise on purpose, and the invariants must find it out.

use std::collections::BTreeSet;
use std::sync::Arc;

use tests::harness::broken::{Broken, BrokenStore};
use tests::harness::{Options, World, invariants, submission};
use tests::sim::{Fault, Op, Reply};

use crate::crash::{After, Case, calls, job, play, ways};
use crate::{HOUR, SECOND};

fn broken_world(how: Broken, options: Options) -> World {
    World::over(options, |inner| Arc::new(BrokenStore { inner, how }))
}

/// What the crash sweep of the plain job finds with this store.
fn found_by_the_sweep(how: Broken, op: Op) -> BTreeSet<String> {
    let case = |broken| Case { options: Options::default(), play: job as fn(&mut World) -> After, broken };
    let mut found = BTreeSet::new();
    for call in calls(&case(None)).iter().filter(|call| call.op == op) {
        for fault in ways(op) {
            let k = call.number;
            let (_, wrong) = play(&case(Some(how)), move |c| if c.number == k { fault } else { Fault::Proceed });
            found.extend(wrong.iter().filter_map(|w| w.split(':').next()).map(str::to_owned));
        }
    }
    found
}

fn has(found: &BTreeSet<String>, name: &str) {
    assert!(found.contains(name), "{name} did not find it; found: {found:?}");
}

#[test]
fn a_result_that_is_overwritten_is_found_out() {
    let mut world = broken_world(Broken::ResultOverwrites, Options { enrichers: 2, ..Options::default() });
    world.receiver.answers([500]);
    world
        .call(async |p| shared::app::tenants::set_webhook_schedule(p, &world.tenant.id, Some(vec![60])).await)
        .unwrap();
    world.job(submission(&["slow20-0"]));
    world.run_for(SECOND);
    let message = world.sim.queue.peek(shared::ports::QueueName::Enrich)[0].id.clone();
    world.sim.queue.duplicate(shared::ports::QueueName::Enrich, &message);
    assert_eq!(world.quiet_within(HOUR), Ok(()));
    let found = invariants::check(&world);
    assert!(found.iter().any(|f| f.starts_with("one_body_per_event")), "{found:?}");
}

#[test]
fn an_end_that_looks_at_nothing_is_found_out() {
    has(&found_by_the_sweep(Broken::EndLooksAtNothing, Op::Transact), "credits_charged_once");
}

#[test]
fn an_end_in_single_writes_is_found_out() {
    let found = found_by_the_sweep(Broken::EndIsSplit, Op::Transact);
    has(&found, "done_told_and_settled_at_once");
    has(&found, "credits_charged_once");
    has(&found, "every_event_is_told_or_exhausted");
}

#[test]
fn credits_that_are_not_settled_are_found_out() {
    has(&found_by_the_sweep(Broken::NothingIsSettled, Op::Transact), "credits_charged_once");
}

#[test]
fn progress_that_forgets_is_found_out() {
    has(&found_by_the_sweep(Broken::ProgressIsReplaced, Op::Transact), "all_ends");
}

#[test]
fn a_key_that_is_taken_twice_is_found_out() {
    let found = (0..20).any(|seed| {
        let mut world = broken_world(Broken::KeyIsTakenTwice, Options { seed, ..Options::default() });
        for n in 0..5 {
            let (ports, registry, tenant) = (world.ports.clone(), world.registry.clone(), world.tenant.clone());
            world.spawn(&format!("client {n}"), async move {
                let _ = World::request(&ports, &registry, &tenant, submission(&["found-0"]), Some("key")).await;
            });
        }
        assert_eq!(world.quiet_within(HOUR), Ok(()));
        let known = world.submit(submission(&["found-0"]), Some("key"));
        assert!(known.is_ok());
        invariants::check(&world).iter().any(|f| f.starts_with("no_job_without_a_client"))
    });
    assert!(found, "nobody noticed a second job");
}

#[test]
fn a_lease_that_is_stolen_is_found_out() {
    let found = (0..40).any(|seed| {
        let options = Options { seed, dispatchers: 3, ..Options::default() };
        let mut world = broken_world(Broken::LeaseIsStolen, options);
        world.receiver.from_then_on(Reply::status(200).after(10 * SECOND));
        world.options.dispatchers = 0;
        world.job(submission(&["found-0"]));
        world.run_for(SECOND);
        for _ in 0..2 {
            let message = world.sim.queue.peek(shared::ports::QueueName::Webhook)[0].id.clone();
            world.sim.queue.duplicate(shared::ports::QueueName::Webhook, &message);
        }
        world.options.dispatchers = 3;
        let _ = world.quiet_within(HOUR);
        invariants::check(&world).iter().any(|f| f.starts_with("attempts_never_overlap"))
    });
    assert!(found, "nobody noticed two attempts at once");
}

#[test]
fn a_sweep_that_sleeps_is_found_out() {
    let case = Case { options: Options { sweeping: false, ..Options::default() }, play: job, broken: None };
    let mut armed = true;
    let (_, wrong) = play(&case, move |call| {
        let hit = call.op == Op::Send && std::mem::take(&mut armed);
        if hit { Fault::FailBefore } else { Fault::Proceed }
    });
    assert!(wrong.iter().any(|w| w.starts_with("all_ends")), "{wrong:?}");
}
