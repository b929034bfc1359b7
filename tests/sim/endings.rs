//! Jobs that end otherwise: canceled, erased, tried again.

use shared::domain::error::ApiError;
use shared::domain::ids::JobId;
use shared::domain::job::{Status, Submission};
use shared::domain::record::OutcomeStatus;
use shared::jobs::enrich::step;
use shared::jobs::{cancel, delete, read, retry};
use shared::maintenance::sweep;
use shared::ports::QueueName;
use shared::schema::meta_key;
use testkit::harness::{Happened, Options, World, domains, submission};
use testkit::sim::{Fault, Op, StoreFaults};

use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND};

fn cancel_it(world: &World, id: &JobId) -> Result<Status, ApiError> {
    world
        .call(async |p| cancel::cancel(p, &world.tenant.id, id, ENRICH_TIMEOUT).await)
        .map(|view| view.status())
}

fn delete_it(world: &World, id: &JobId) -> Result<(), ApiError> {
    world.call(async |p| delete::delete(p, &world.tenant.id, id, ENRICH_TIMEOUT).await)
}

#[test]
fn a_job_canceled_in_the_middle_keeps_what_it_has_and_settles() {
    let mut world = World::new();
    let id = world.job(submission(&domains("slow5", 200)));
    world.run_for(22 * SECOND);
    assert_eq!(cancel_it(&world, &id), Ok(Status::Canceling));
    assert_eq!(cancel_it(&world, &id), Ok(Status::Canceling));
    world.settle(HOUR);
    let view = world.view(&id);
    assert_eq!(view.status(), Status::Canceled);
    let counts = view.counts();
    assert!(counts.found >= 50 && counts.canceled >= 50, "{counts:?}");
    assert_eq!(counts.found + counts.canceled, 200);
    assert_eq!(
        world.credits(&world.tenant.id).1,
        i64::from(counts.found) * 2
    );
    assert_eq!(world.receiver.exchanges()[0].json()["type"], "job.canceled");
    assert_eq!(cancel_it(&world, &id), Ok(Status::Canceled));
}

#[test]
fn a_job_canceled_while_queued_asks_nobody() {
    let mut world = World::new();
    let id = world.job(submission(&domains("found", 100)));
    assert_eq!(cancel_it(&world, &id), Ok(Status::Canceling));
    world.settle(HOUR);
    assert_eq!(world.view(&id).counts().canceled, 100);
    assert_eq!(world.asked(), []);
    assert_eq!(world.credits(&world.tenant.id), (100_000, 0, 0));
}

#[test]
fn a_canceled_job_whose_messages_were_lost_ends_all_the_same() {
    let mut world = World::new();
    let id = world.job(submission(&domains("found", 100)));
    world.sim.queue.lose(QueueName::Enrich);
    assert_eq!(cancel_it(&world, &id), Ok(Status::Canceling));
    world.settle(10 * MINUTE);
    assert_eq!(world.view(&id).status(), Status::Canceled);
}

#[test]
fn a_cancel_took_the_answers_away_from_a_run_that_was_at_work() {
    // The sweep must not ask for a chunk again that is still being worked on.
    let mut world = World::with(Options {
        enrichers: 2,
        ..Options::default()
    });
    let sent = Submission {
        kind: "patient".to_owned(),
        ..submission(&["slow100-0", "slow100-1"])
    };
    let id = world.job(sent);
    world.run_for(50 * SECOND);
    assert_eq!(cancel_it(&world, &id), Ok(Status::Canceling));
    world.settle(HOUR);
    let begun = world.asked().len();
    assert_eq!(begun, 2);
    assert_eq!(
        world.view(&id).counts().canceled,
        0,
        "records were begun and paid for, and then canceled"
    );
}

#[test]
fn a_job_that_has_ended_cannot_be_canceled() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    assert!(matches!(
        cancel_it(&world, &id),
        Err(ApiError::Conflict { .. })
    ));
    assert_eq!(world.view(&id).status(), Status::Completed);
}

#[test]
fn the_failed_records_of_a_job_are_tried_again_in_a_new_one() {
    let mut world = World::new();
    let sent = submission(&["found-0", "fail-1", "none-2", "fail-3", "panic-4"]);
    let id = world.job(sent.clone());
    let tenant = world.tenant.id.clone();
    let early = world.call(async |p| retry::read(p, &tenant, &id).await);
    assert!(matches!(early, Err(ApiError::Conflict { .. })));
    world.settle(HOUR);
    let again = world
        .call(async |p| retry::read(p, &tenant, &id).await)
        .unwrap();
    assert_eq!(
        again.records,
        [
            sent.records[1].clone(),
            sent.records[3].clone(),
            sent.records[4].clone()
        ]
    );
    assert_eq!(
        (again.retry_of.as_ref(), again.webhook.as_ref()),
        (Some(&id), sent.webhook.as_ref())
    );
    let second = world.job(again);
    world.settle(HOUR);
    assert_eq!(
        world.results(&second)[0].record.id.as_deref(),
        Some("row-1")
    );
    let good = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    let nothing = world.call(async |p| retry::read(p, &tenant, &good).await);
    assert!(matches!(nothing, Err(ApiError::Conflict { .. })));
}

#[test]
fn an_ended_job_is_erased_with_all_it_had() {
    let mut world = World::new();
    let id = world.job(submission(&domains("found", 100)));
    world.settle(HOUR);
    assert_eq!(delete_it(&world, &id), Ok(()));
    let left: Vec<String> = world
        .sim
        .store
        .items()
        .iter()
        .filter(|i| i.key.pk.starts_with(&format!("JOB#{id}")))
        .map(|i| i.key.sk.clone())
        .collect();
    assert_eq!(left, ["META"]);
    assert!(matches!(
        delete_it(&world, &id),
        Err(ApiError::NotFound { .. })
    ));
    world.settle(HOUR);
    assert_eq!(world.credits(&world.tenant.id), (99_800, 200, 0));
    assert_eq!(world.swept().erased, 1);
}

#[test]
fn a_live_job_that_is_erased_settles_and_tells_nobody() {
    let mut world = World::new();
    let id = world.job(submission(&domains("slow5", 200)));
    world.run_for(22 * SECOND);
    assert_eq!(delete_it(&world, &id), Ok(()));
    let (balance, used, open) = world.credits(&world.tenant.id);
    assert_eq!((balance + used, open), (100_000, 0));
    assert_eq!(used, 100);
    world.settle(HOUR);
    assert_eq!(world.receiver.exchanges().len(), 0);
    assert!(matches!(
        world.call(async |p| read::job(p, &world.tenant.id, &id).await),
        Err(ApiError::NotFound { .. })
    ));
}

#[test]
fn a_worker_that_ends_after_the_erasure_brings_nothing_back() {
    let mut world = World::new();
    world.options.sweeping = false;
    let id = world.job(submission(&["slow20-0", "big-1"]));
    world.run_for(5 * SECOND);
    assert_eq!(delete_it(&world, &id), Ok(()));
    world.run_for(MINUTE);
    // It put its finished work, which cannot be read; the second erasure deletes it.
    let prefix = format!("JOB#{id}");
    let left = |world: &World| {
        world
            .sim
            .store
            .items()
            .iter()
            .filter(|i| i.key.pk.starts_with(&prefix) && i.key.sk != "META")
            .count()
    };
    assert!(left(&world) > 0, "the worker was not late");
    world.options.sweeping = true;
    world.run_for(2 * ENRICH_TIMEOUT + 2 * MINUTE);
    assert_eq!(left(&world), 0);
    world.settle(HOUR);
    assert_eq!(world.credits(&world.tenant.id), (100_000, 0, 0));
}

#[test]
fn a_delivery_under_way_does_not_come_back_after_the_erasure() {
    let mut world = World::new();
    world
        .receiver
        .from_then_on(testkit::sim::Reply::status(500).after(10 * SECOND));
    let id = world.job(submission(&["found-0"]));
    world.run_for(5 * SECOND);
    assert_eq!(world.receiver.exchanges().len(), 1);
    assert_eq!(delete_it(&world, &id), Ok(()));
    world.settle(HOUR);
    assert_eq!(world.receiver.exchanges().len(), 1);
}

#[test]
fn a_delete_whose_answer_was_lost_on_the_way_answered_not_found() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    let mut once = true;
    world.faults(move |call| {
        let hit = call.op == Op::Transact && std::mem::take(&mut once);
        if hit {
            Fault::FailAfter
        } else {
            Fault::Proceed
        }
    });
    assert_eq!(delete_it(&world, &id), Ok(()));
    let left = world
        .sim
        .store
        .items()
        .iter()
        .filter(|i| i.key.pk.starts_with(&format!("JOB#{id}")))
        .count();
    assert_eq!(left, 1, "nothing was erased at once");
}

#[test]
fn a_chunk_erased_between_two_reads_of_a_run_was_logged_as_corrupt() {
    let mut world = World::new();
    // The head is read as it was before the erasure, the chunk as it is after it.
    let mut once = true;
    world.faults(move |call| {
        let late = call.op == Op::Query && call.process > 0 && std::mem::take(&mut once);
        if late {
            Fault::Delay(5 * SECOND)
        } else {
            Fault::Proceed
        }
    });
    let id = world.job(submission(&["found-0"]));
    world.run_for(SECOND);
    assert_eq!(delete_it(&world, &id), Ok(()));
    world.settle(HOUR);
    let ran: Vec<_> = world
        .happened()
        .into_iter()
        .filter(|h| matches!(h, Happened::ChunkOutcome { .. }))
        .collect();
    assert!(
        matches!(
            ran[..],
            [Happened::ChunkOutcome {
                receives: 1,
                answer: Ok(step::ChunkOutcome::NoOp),
                ..
            }]
        ),
        "one run that had nothing to do, and not {ran:?}"
    );
}

#[test]
fn reading_a_job_while_it_was_erased_answered_internal_error() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    let view = world.view(&id);
    let mut once = true;
    world.faults(move |call| {
        let partly = call.op == Op::DeleteAll && std::mem::take(&mut once);
        if partly {
            Fault::FailPartly
        } else {
            Fault::Proceed
        }
    });
    assert_eq!(delete_it(&world, &id), Ok(()));
    let read = world.call(async |p| read::entries(p, &view).await);
    assert!(matches!(read, Err(ApiError::NotFound { .. })), "{read:?}");
}

#[test]
fn deleting_twice_at_once_charges_once() {
    for seed in 0..20 {
        let mut world = World::with(Options {
            seed,
            ..Options::default()
        });
        let id = world.job(submission(&domains("slow5", 100)));
        world.run_for(22 * SECOND);
        for n in 0..3 {
            let (ports, tenant, id) = (world.ports.clone(), world.tenant.id.clone(), id.clone());
            world.spawn(&format!("client {n}"), async move {
                let _ = delete::delete(&ports, &tenant, &id, ENRICH_TIMEOUT).await;
            });
        }
        world.settle(HOUR);
    }
}

#[test]
fn cancel_delete_and_the_end_itself_may_meet() {
    for seed in 0..60 {
        let mut world = World::with(Options {
            seed,
            enrichers: 3,
            ..Options::default()
        });
        let id = world.job(submission(&domains("slow5", 100)));
        // About when the last chunk ends.
        world.run_for(19 * SECOND + std::time::Duration::from_millis(seed * 35));
        let (ports, tenant) = (world.ports.clone(), world.tenant.id.clone());
        let target = id.clone();
        world.spawn("cancel", async move {
            let _ = cancel::cancel(&ports, &tenant, &target, ENRICH_TIMEOUT).await;
        });
        if seed % 3 == 0 {
            let (ports, tenant, target) =
                (world.ports.clone(), world.tenant.id.clone(), id.clone());
            world.spawn("delete", async move {
                let _ = delete::delete(&ports, &tenant, &target, ENRICH_TIMEOUT).await;
            });
        }
        world.sweep();
        world.settle(HOUR);
    }
}

#[test]
fn a_live_job_that_expires_unfinished_frees_its_credits() {
    let mut world = World::new();
    let id = world.job(submission(&domains("found", 100)));
    world.options.enrichers = 0;
    world.options.sweeping = false;
    world.run_for(SECOND);
    // Everything stood still for a month.
    world.sim.clock.advance(31 * 24 * HOUR);
    let answer =
        world.call(async |p| sweep::step(p, ENRICH_TIMEOUT, world.now().plus(MINUTE)).await);
    assert!(answer.is_ok());
    assert!(matches!(
        world.call(async |p| read::job(p, &world.tenant.id, &id).await),
        Err(ApiError::NotFound { .. })
    ));
    assert_eq!(world.credits(&world.tenant.id), (100_000, 0, 0));
}

#[test]
fn a_live_jobs_head_was_deleted_by_the_table_before_its_credits_were_settled() {
    // The table deletes what has expired at once; the sweep comes later.
    let store = StoreFaults {
        expiry: Some(SECOND),
        ..StoreFaults::NONE
    };
    let mut world = World::with(Options {
        store,
        ..Options::default()
    });
    let id = world.job(submission(
        &[domains("found", 50), domains("slow20", 50)].concat(),
    ));
    world.run_for(5 * SECOND);
    assert_eq!(world.view(&id).progress.chunks(), 1);
    world.kill_enrichers();
    world.options.enrichers = 0;
    world.options.sweeping = false;
    world.run_for(SECOND);
    world
        .sim
        .clock
        .advance_to(world.view(&id).job.spec.expires_at.plus(2 * SECOND));
    world.run_for(20 * MINUTE);
    let answer =
        world.call(async |p| sweep::step(p, ENRICH_TIMEOUT, world.now().plus(MINUTE)).await);
    assert!(answer.is_ok());
    assert_eq!(
        world.credits(&world.tenant.id),
        (99_900, 100, 0),
        "one of two chunks was done, at 2 credits a record"
    );
    let tenant = &world.tenant.id;
    let seen = world.call(async |p| read::job(p, tenant, &id).await);
    assert!(matches!(seen, Err(ApiError::NotFound { .. })));
    world.run_for(2 * SECOND);
    assert_eq!(
        world.sim.store.peek(&meta_key(&id)),
        None,
        "settled, it goes as everything else"
    );
}

#[test]
fn skipped_and_canceled_records_are_told_apart() {
    let mut world = World::new();
    let id = world.job(Submission {
        max_credits: Some(20),
        ..submission(&domains("found", 30))
    });
    assert_eq!(cancel_it(&world, &id), Ok(Status::Canceling));
    world.settle(HOUR);
    let statuses: Vec<_> = world
        .results(&id)
        .iter()
        .map(|l| l.outcome.status)
        .collect();
    assert_eq!(statuses[9], OutcomeStatus::Canceled);
    assert_eq!(statuses[10], OutcomeStatus::Skipped);
}

#[test]
fn a_delivery_outlived_its_deleted_job_where_the_erasure_failed() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    let tenant = world.tenant.id.clone();
    let read =
        |world: &World| world.call(async |p| read::delivery(p, &tenant, &id.delivery(0)).await);
    assert!(read(&world).is_ok());
    world.faults(|call| {
        if call.op == Op::DeleteAll {
            Fault::FailBefore
        } else {
            Fault::Proceed
        }
    });
    world
        .call(async |p| delete::delete(p, &tenant, &id, ENRICH_TIMEOUT).await)
        .unwrap();
    assert_eq!(read(&world), Err(ApiError::NotFound { what: "delivery" }));
}
