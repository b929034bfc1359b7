//! Records that cannot be worked on: they end `invalid` in their places, are free, and cost other
//! records nothing.

use shared::domain::job::{Accepted, Status, Submission};
use shared::domain::record::OutcomeStatus::{self, Found, Invalid, Skipped};
use testkit::harness::{Options, UNFIT, Version, World, domains, invalid, invariants, submission};

use crate::HOUR;
use crate::crash::{After, case, ended, had_a_delivery, sweep};

/// A job with this number of records, those at these places unfit.
fn job(records: usize, unfit: impl Iterator<Item = usize> + Clone) -> Submission {
    let mut domains = domains("found", records);
    for at in unfit.clone() {
        domains[at] = format!("{UNFIT}-{at}");
    }
    Submission {
        invalid: invalid(unfit),
        ..submission(&domains)
    }
}

fn statuses(world: &World, id: &shared::domain::ids::JobId) -> Vec<OutcomeStatus> {
    world
        .results(id)
        .iter()
        .map(|line| line.outcome.status)
        .collect()
}

#[test]
fn invalid_records_keep_their_places_and_cost_nothing() {
    let mut world = World::new();
    // Of three chunks one has only unfit records, and one is mixed.
    let unfit = (44..88).chain([0, 3, 129]);
    let sent = job(130, unfit.clone());
    let id = world.job(sent.clone());
    assert_eq!(world.view(&id).job.spec.reserved, 2 * 83);
    world.settle(HOUR);
    assert_eq!(invariants::check(&world), Vec::<String>::new());
    let lines = world.results(&id);
    assert_eq!(lines.len(), 130);
    for (at, line) in lines.iter().enumerate() {
        let expected = if unfit.clone().any(|unfit| unfit == at) {
            Invalid
        } else {
            Found
        };
        assert_eq!(
            (line.outcome.status, &line.record),
            (expected, &sent.records[at]),
            "{at}"
        );
    }
    assert_eq!(
        lines[0]
            .outcome
            .error
            .as_ref()
            .map(|error| error.code.as_str()),
        Some("invalid_input")
    );
    let counts = world.view(&id).counts();
    assert_eq!(
        (counts.found, counts.invalid, counts.total()),
        (83, 47, 130)
    );
    assert_eq!(world.view(&id).percent(), 100);
    assert_eq!(
        (world.credits(&world.tenant.id), world.asked().len()),
        ((100_000 - 166, 166, 0), 83)
    );
}

#[test]
fn a_budget_is_for_the_valid_records_alone() {
    for (most, funded) in [(Some(0), 0), (Some(4), 2), (Some(5), 2), (None, 4)] {
        let mut world = World::new();
        let sent = Submission {
            max_credits: most,
            ..job(7, [0, 2, 6].into_iter())
        };
        let dry = world.submit(
            Submission {
                dry_run: true,
                ..sent.clone()
            },
            None,
        );
        let Ok(Accepted::Priced {
            reservation,
            records,
            invalid,
            ..
        }) = dry
        else {
            panic!("no price")
        };
        assert_eq!(
            (
                reservation.funded,
                reservation.reserved,
                records,
                invalid.records.len()
            ),
            (funded, 2 * funded as u64, 7, 3)
        );
        let id = world.job(sent);
        world.settle(HOUR);
        assert_eq!(invariants::check(&world), Vec::<String>::new());
        let of = |nth: usize| if nth < funded { Found } else { Skipped };
        assert_eq!(
            statuses(&world, &id),
            [Invalid, of(0), Invalid, of(1), of(2), of(3), Invalid],
            "{most:?}"
        );
    }
    // Exactly what the valid ones need is enough.
    let mut world = World::with(Options {
        credits: 8,
        ..Options::default()
    });
    let id = world.job(job(7, [0, 2, 6].into_iter()));
    world.settle(HOUR);
    assert_eq!(
        (
            world.view(&id).counts().found,
            world.credits(&world.tenant.id)
        ),
        (4, (0, 8, 0))
    );
}

#[test]
fn a_job_that_was_canceled_or_has_no_provider_still_says_which_records_are_invalid() {
    let mut world = World::new();
    let id = world.job(Submission {
        kind: "bare".to_owned(),
        ..job(3, [1].into_iter())
    });
    world.settle(HOUR);
    assert_eq!(world.view(&id).status(), Status::Failed);
    assert_eq!(
        statuses(&world, &id),
        [OutcomeStatus::Failed, Invalid, OutcomeStatus::Failed]
    );

    let id = world.job(job(3, [1].into_iter()));
    let tenant = world.tenant.id.clone();
    let asked = world
        .call(async |p| shared::jobs::cancel::cancel(p, &tenant, &id, crate::ENRICH_TIMEOUT).await);
    asked.expect("a job to cancel");
    world.settle(HOUR);
    assert_eq!(
        statuses(&world, &id),
        [OutcomeStatus::Canceled, Invalid, OutcomeStatus::Canceled]
    );
    assert_eq!(invariants::check(&world), Vec::<String>::new());
}

#[test]
fn a_retry_takes_no_invalid_record_along() {
    let mut world = World::new();
    let mut sent = job(3, [0].into_iter());
    sent.records[2] = testkit::harness::record(2, "fail-2");
    let id = world.job(sent);
    world.settle(HOUR);
    let tenant = world.tenant.id.clone();
    let again = world
        .call(async |p| shared::jobs::retry::read(p, &tenant, &id).await)
        .expect("a retry");
    let ids: Vec<_> = again
        .records
        .iter()
        .map(|record| record.id.clone().unwrap_or_default())
        .collect();
    assert_eq!(
        (ids, again.invalid.records.len()),
        (vec!["row-2".to_owned()], 0)
    );
}

#[test]
fn every_version_takes_what_another_knew_at_submit() {
    let versions = [Version::Previous, Version::Current, Version::Next];
    for (from, to) in versions
        .into_iter()
        .flat_map(|from| versions.map(|to| (from, to)))
    {
        let mut world = World::new();
        world.deploy(from);
        let id = world
            .insist_on_job(&job(70, (0..35).chain([40])), "one")
            .expect("a job");
        world.deploy(to);
        assert_eq!(world.quiet_within(3 * HOUR), Ok(()), "{from:?}, {to:?}");
        assert_eq!(
            invariants::check(&world),
            Vec::<String>::new(),
            "{from:?}, {to:?}"
        );
        let counts = world.view(&id).counts();
        assert_eq!((counts.found, counts.invalid), (34, 36), "{from:?}, {to:?}");
    }
}

/// A chunk of invalid records alone, and a mixed one.
fn played(world: &mut World) -> After {
    world.receiver.answers([500]);
    let sent = job(66, (0..33).chain([40, 65]));
    let id = world.insist_on_job(&sent, "one").expect("a job");
    Box::new(move |world| {
        ended(world, &id, &[Status::Completed])?;
        had_a_delivery(world, &id)?;
        let counts = world.view(&id).counts();
        if (counts.found, counts.invalid) == (31, 35) {
            Ok(())
        } else {
            Err(format!("counts: {counts:?}"))
        }
    })
}

#[test]
fn a_job_with_invalid_records_survives_every_crash() {
    sweep("invalid", &case(played));
}

#[test]
fn a_job_that_tells_of_each_record_survives_every_crash_with_invalid_ones_among_them() {
    sweep(
        "invalid, reported one by one",
        &case(|world| {
            let webhook = Some(world.tenant.webhook("record"));
            let sent = Submission {
                record_webhook: webhook,
                ..job(3, [0, 2].into_iter())
            };
            let id = world.insist_on_job(&sent, "one").expect("a job");
            Box::new(move |world| {
                ended(world, &id, &[Status::Completed])?;
                let reported = world
                    .receiver
                    .exchanges()
                    .into_iter()
                    .map(|e| e.json())
                    .filter(|e| e["type"] == "record.finished");
                let invalid = reported
                    .filter(|event| event["data"]["result"]["status"] == "invalid")
                    .count();
                if invalid >= 2 {
                    Ok(())
                } else {
                    Err(format!("{invalid} invalid records are reported"))
                }
            })
        }),
    );
}
