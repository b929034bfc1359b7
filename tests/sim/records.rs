//! Jobs that tell of each record, and jobs that take what budget there is.

use std::sync::Arc;
use std::time::Duration;

use shared::domain::delivery::{Delivery, DeliveryState};
use shared::domain::error::ApiError;
use shared::domain::ids::JobId;
use shared::domain::job::{Accepted, Status, Submission, Webhook};
use shared::jobs::read::deliveries;
use shared::jobs::{cancel, delete, read};
use shared::ports::QueueName;
use testkit::harness::mutation::{BrokenStore, Mutation};
use testkit::harness::{Options, World, domains, invariants, submission};
use testkit::sim::Reply;

use crate::crash::{After, Case, case, ended, sweep};
use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND};

/// The URL of record events; the same receiver as for the job's end.
pub(crate) const RECORD_HOOK: &str = "https://hook.example/record";

fn telling<S: AsRef<str>>(domains: &[S]) -> Submission {
    Submission {
        record_webhook: Some(Webhook {
            url: RECORD_HOOK.to_owned(),
        }),
        ..submission(domains)
    }
}

fn reported(world: &World, id: &JobId) -> Vec<Delivery> {
    let page = world.call(async |ports| deliveries(ports, &world.tenant.id, id, 0, 2000).await);
    page.map(|page| page.deliveries).unwrap_or_default()
}

/// One event a record, one for the end, all delivered, and each record's event before the end of
/// its own job.
fn all_told(world: &World, id: &JobId, records: usize) -> Result<(), String> {
    let reported = reported(world, id);
    let bad: Vec<&Delivery> = reported
        .iter()
        .filter(|d| d.state != DeliveryState::Delivered)
        .collect();
    if reported.len() != records + 1 || !bad.is_empty() {
        return Err(format!(
            "all_told: {} events of {records} records and the end, not delivered: {bad:?}",
            reported.len()
        ));
    }
    let end = reported[0].event_at;
    let late: Vec<&Delivery> = reported[1..].iter().filter(|d| d.event_at > end).collect();
    if late.is_empty() {
        Ok(())
    } else {
        Err(format!("told_before_the_end: {late:?}"))
    }
}

#[test]
fn a_job_that_tells_of_each_record_survives_every_crash() {
    sweep(
        "records",
        &case(|world| {
            world.receiver.answers([500]);
            let id = world
                .insist_on_job(&telling(&["found-0", "none-1", "slow5-2"]), "one")
                .expect("a job");
            Box::new(move |world| {
                ended(world, &id, &[Status::Completed])?;
                all_told(world, &id, 3)
            })
        }),
    );
}

#[test]
fn a_cancel_of_a_job_that_tells_of_each_record_survives_every_crash() {
    sweep(
        "records canceled",
        &case(|world| {
            let id = world
                .insist_on_job(&telling(&["found-0", "slow20-1", "slow20-2"]), "one")
                .expect("a job");
            world.run_for(10 * SECOND);
            let tenant = world.tenant.id.clone();
            let asked = world.ask_until_answered(async |ports| {
                cancel::cancel(ports, &tenant, &id, ENRICH_TIMEOUT).await
            });
            let allowed = if asked.is_ok() {
                Status::Canceled
            } else {
                Status::Completed
            };
            Box::new(move |world| {
                ended(world, &id, &[allowed])?;
                all_told(world, &id, 3)
            })
        }),
    );
}

#[test]
fn a_delete_of_a_job_that_tells_of_each_record_survives_every_crash() {
    sweep(
        "records deleted",
        &case(|world| {
            let id = world
                .insist_on_job(&telling(&["found-0", "slow20-1"]), "one")
                .expect("a job");
            world.run_for(10 * SECOND);
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
                if view == Err(ApiError::NotFound { what: "job" }) {
                    Ok(())
                } else {
                    Err(format!("erased: {view:?}"))
                }
            })
        }),
    );
}

#[test]
fn a_record_event_that_is_never_put_is_found_out() {
    let mut world = World::over(Options::default(), |inner| {
        Arc::new(BrokenStore {
            inner,
            how: Mutation::RecordEventIsLost,
        })
    });
    world.job(telling(&["found-0"]));
    assert_eq!(world.quiet_within(HOUR), Ok(()));
    let found = invariants::check(&world);
    assert!(
        found
            .iter()
            .any(|f| f.starts_with("every_event_is_told_or_exhausted")),
        "{found:?}"
    );
}

#[test]
fn a_receiver_of_records_that_fails_keeps_nothing_else_waiting() {
    let mut world = World::with(Options {
        enrichers: 8,
        dispatchers: 2,
        ..Options::default()
    });
    world
        .call(async |p| {
            shared::maintenance::tenants::set_webhook_schedule(
                p,
                &world.tenant.id,
                Some(vec![60, 60]),
            )
            .await
        })
        .unwrap();
    world.receiver.replies((0..40).map(|_| Reply::status(503)));
    let id = world.job(telling(&domains("found", 30)));
    world.settle(HOUR);
    assert_eq!(all_told(&world, &id, 30), Ok(()));
    assert_eq!(world.view(&id).counts().found, 30);
}

#[test]
fn a_job_that_takes_what_budget_there_is_survives_every_crash() {
    sweep(
        "short",
        &Case {
            options: Options {
                credits: 5,
                ..Options::default()
            },
            play: short,
            mutation: None,
        },
    );
}

/// Price 2: five credits pay for two of four records.
fn short(world: &mut World) -> After {
    let sent = Submission {
        partial_budget: true,
        ..submission(&domains("found", 4))
    };
    let id = world.insist_on_job(&sent, "one").expect("a job");
    Box::new(move |world| {
        ended(world, &id, &[Status::Completed])?;
        let view = world.view(&id);
        let counts = view.counts();
        let said = world
            .results(&id)
            .pop()
            .and_then(|line| line.outcome.error)
            .map_or_else(String::new, |e| e.detail);
        if !said.starts_with("the credits there were") {
            return Err(format!("skipped_says_why: {said}"));
        }
        if (counts.found, counts.skipped, view.job.spec.short_of_credits) == (2, 2, true) {
            Ok(())
        } else {
            Err(format!("counts: {counts:?}"))
        }
    })
}

#[test]
fn a_job_without_a_credit_to_take_fails_and_says_why() {
    let mut world = World::with(Options {
        credits: 0,
        ..Options::default()
    });
    let id = world.job(Submission {
        partial_budget: true,
        ..submission(&domains("found", 3))
    });
    world.settle(HOUR);
    let view = world.view(&id);
    assert_eq!((view.status(), view.counts().skipped), (Status::Failed, 3));
    assert!(view.job.end.unwrap().error.unwrap().contains("credits"));
}

#[test]
fn submissions_that_race_for_the_last_credits_share_them() {
    for seed in 0..30 {
        let mut world = World::with(Options {
            seed,
            credits: 6,
            ..Options::default()
        });
        for n in 0..3 {
            let (ports, registry, tenant) = (
                world.ports.clone(),
                world.registry.clone(),
                world.tenant.clone(),
            );
            world.spawn(&format!("client {n}"), async move {
                let sent = Submission {
                    partial_budget: true,
                    ..submission(&domains("found", 2))
                };
                let answer = World::request(&ports, &registry, &tenant, sent, None).await;
                assert!(matches!(answer, Ok(Accepted::Job { .. })), "{answer:?}");
            });
        }
        assert_eq!(world.quiet_within(HOUR), Ok(()));
        let (balance, used, open) = world.credits(&world.tenant.id);
        assert_eq!((balance, used, open), (0, 6, 0), "seed {seed}");
    }
}

/// The event of a record names its job by what never changes: a job that went on meanwhile does not
/// change its body.
#[test]
fn a_record_event_has_one_body_however_far_its_job_went() {
    let mut world = World::new();
    world
        .call(async |p| {
            shared::maintenance::tenants::set_webhook_schedule(
                p,
                &world.tenant.id,
                Some(vec![60, 60]),
            )
            .await
        })
        .unwrap();
    world.receiver.answers([500, 500]);
    world.job(telling(&["found-0", "slow50-1"]));
    world.run_for(MINUTE / 2);
    world.settle(Duration::from_secs(24 * 3600));
    let wrong = invariants::check(&world);
    assert_eq!(wrong, Vec::<String>::new());
    let mut ids: Vec<String> = world
        .receiver
        .exchanges()
        .iter()
        .map(|e| e.id().to_owned())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), world.receiver.exchanges().len()), (3, 5));
}

#[test]
fn a_job_with_many_records_to_tell_of_leaves_the_fast_lanes_to_others() {
    let mut world = World::with(Options {
        enrichers: 0,
        dispatchers: 0,
        ..Options::default()
    });
    world.job(telling(&domains("found", 120)));
    assert_eq!(world.sim.queue.peek(QueueName::Enrich).len(), 4);
    assert_eq!(world.sim.queue.peek(QueueName::EnrichBulk).len(), 116);
    world.options.enrichers = 4;
    world.run_for(10 * SECOND);
    assert_eq!(
        world.sim.queue.peek(QueueName::Webhook).len(),
        11,
        "10 records and the end"
    );
    assert_eq!(world.sim.queue.peek(QueueName::WebhookRetry).len(), 110);
    world.options.dispatchers = 4;
    world.settle(HOUR);
}
