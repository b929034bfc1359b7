//! Two versions of the functions at work on one job, as while one is deployed over the other.

use std::time::Duration;

use serde_json::json;
use shared::domain::job::{Status, Submission};
use shared::domain::record::Record;
use shared::domain::signature::Secret;
use shared::jobs::cancel;
use shared::jobs::enrich::newer::DEPLOYED_WITHIN;
use shared::maintenance::tenants;
use shared::ports::Clock;
use shared::ports::QueueName::{Enrich, EnrichBulk, Webhook, WebhookRetry};
use shared::schema::{attempts_attribute, profile_key, progress_key, secret_key};
use shared::surfaces::{OwnSecret, SURFACES, parse_setting};
use shared::webhooks::{replay, secrets};
use testkit::harness::{
    CONFIG, HOOK, Happened, Options, Version, World, invariants, record, submission,
};
use testkit::sim::Reply;

use crate::crash::{After, case, ended, had_a_delivery, sweep};
use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND, limits};

const VERSIONS: [Version; 3] = [Version::Previous, Version::Current, Version::Next];

fn world(seed: u64) -> World {
    let world = World::with(Options {
        seed,
        enrichers: 2,
        ..Options::default()
    });
    let schedule = Some(vec![1, 2, 60, 60]);
    world
        .call(async |p| tenants::set_webhook_schedule(p, &world.tenant.id, schedule.clone()).await)
        .expect("a schedule");
    world
}

/// Two chunks, of which one takes longer; one record ends in a second run.
fn job() -> Submission {
    let mut domains: Vec<String> = (0..65).map(|n| format!("found-{n}")).collect();
    for (at, script) in [
        (0, "slow5"),
        (1, "fail"),
        (31, "none"),
        (40, "slow25"),
        (64, "slow15"),
    ] {
        domains[at] = format!("{script}-{at}");
    }
    submission(&domains)
}

fn all_is_well(world: &mut World, id: &shared::domain::ids::JobId, what: &str) {
    assert_eq!(world.quiet_within(3 * HOUR), Ok(()), "{what}");
    assert_eq!(invariants::check(world), Vec::<String>::new(), "{what}");
    assert_eq!(ended(world, id, &[Status::Completed]), Ok(()), "{what}");
    assert_eq!(had_a_delivery(world, id), Ok(()), "{what}");
    let counts = world.view(id).counts();
    assert_eq!(
        (counts.found, counts.not_found, counts.failed),
        (63, 1, 1),
        "{what}"
    );
}

/// The fault at the switch.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Nothing,
    ProcessesDie,
    MessagesAreLost,
}

impl Trouble {
    fn strike(self, world: &mut World) {
        match self {
            Self::Nothing => {}
            Self::ProcessesDie => world.kill_enrichers(),
            Self::MessagesAreLost => {
                for lane in [Enrich, EnrichBulk, Webhook, WebhookRetry] {
                    world.sim.queue.lose(lane);
                }
            }
        }
    }
}

#[test]
fn a_job_goes_on_under_another_version_from_any_moment_on() {
    let pairs = VERSIONS
        .into_iter()
        .flat_map(|from| VERSIONS.map(|to| (from, to)));
    for (from, to) in pairs.filter(|(from, to)| from != to) {
        for trouble in [
            Trouble::Nothing,
            Trouble::ProcessesDie,
            Trouble::MessagesAreLost,
        ] {
            for millis in [0, 10_000, 20_000, 25_500, 27_000] {
                let mut world = world(millis);
                world.deploy(from);
                world.receiver.answers([500, 500]);
                let id = world.insist_on_job(&job(), "one").expect("a job");
                world.run_for(Duration::from_millis(millis));
                world.deploy(to);
                trouble.strike(&mut world);
                all_is_well(
                    &mut world,
                    &id,
                    &format!("{from:?}, {to:?} after {millis} ms, {trouble:?}"),
                );
            }
        }
    }
}

/// The display of blank fields is stored with the job: an earlier version showed them otherwise.
#[test]
fn an_event_keeps_its_bytes_whichever_version_sends_it() {
    let pairs = VERSIONS
        .into_iter()
        .flat_map(|from| VERSIONS.map(|to| (from, to)));
    for (from, to) in pairs {
        let what = format!("{from:?}, {to:?}");
        let mut world = world(1);
        world.deploy(from);
        world.receiver.answers([500, 500]);
        let sent = json!({"domain": "found-0", "Name": " ", "callback_url": HOOK});
        let record = Record {
            original: sent.as_object().cloned(),
            ..record(0, "found-0")
        };
        let (surface, operation) = ("springbolt".to_owned(), Some("enrichment".to_owned()));
        let job = Submission {
            surface,
            operation,
            records: vec![record],
            ..submission(&["found-0"])
        };
        let id = world.insist_on_job(&job, "one").expect("a job");
        assert!(
            world.run_until(MINUTE, |world| world.receiver.exchanges().len() == 1),
            "{what}"
        );
        world.deploy(to);
        assert_eq!(world.quiet_within(3 * HOUR), Ok(()), "{what}");
        assert_eq!(ended(&world, &id, &[Status::Completed]), Ok(()), "{what}");
        let exchanges = world.receiver.exchanges();
        assert_eq!(exchanges.len(), 3, "{what}");
        let name = if from == Version::Previous {
            " "
        } else {
            "Name of found-0"
        };
        for exchange in &exchanges {
            assert_eq!(
                (&exchange.body, &exchange.json()["Name"]),
                (&exchanges[0].body, &json!(name)),
                "{what}"
            );
        }
    }
}

#[test]
fn a_record_that_waits_for_an_upstream_goes_on_under_another_version() {
    let pairs = VERSIONS
        .into_iter()
        .flat_map(|from| VERSIONS.map(|to| (from, to)));
    for (from, to) in pairs.filter(|(from, to)| from != to) {
        for (limits, minutes, code) in [
            ("", 1, None),
            ("", 60, Some("rate_limited")),
            ("rate = { per_second = 5 }", 1, None),
        ] {
            let mut world = limits::world(
                &limits::api(limits),
                Options {
                    enrichers: 2,
                    ..Options::default()
                },
            );
            world.deploy(from);
            let (clock, back) = (world.sim.clock.clone(), world.now().plus(minutes * MINUTE));
            world.sim.http.on("https://api.example/", move |_| {
                if clock.now() < back {
                    Reply::status(429).header("retry-after", "20")
                } else {
                    limits::found()
                }
            });
            let id = world
                .insist_on_job(&limits::of("t", 40), "one")
                .expect("a job");
            world.run_for(30 * SECOND);
            world.deploy(to);
            world.kill_enrichers();
            let what = format!("{from:?}, {to:?}, {limits}, {minutes} minutes");
            assert_eq!(world.quiet_within(3 * HOUR), Ok(()), "{what}");
            assert_eq!(ended(&world, &id, &[Status::Completed]), Ok(()), "{what}");
            let results = world.results(&id);
            let codes = results
                .iter()
                .map(|line| line.outcome.error.as_ref().map(|error| error.code.as_str()));
            assert!(
                results.len() == 40 && codes.clone().all(|reported| reported == code),
                "{what}: {:?}",
                codes.collect::<Vec<_>>()
            );
        }
    }
}

/// One version cancels, replays and rotates what another wrote, while deployments change.
#[test]
fn requests_are_answered_whichever_version_wrote_what_they_read() {
    for seed in 0..24 {
        let dice = World::dice(seed);
        let mut world = world(seed);
        let tenant = world.tenant.id.clone();
        world.receiver.answers([500, 410]);
        let mut jobs = Vec::new();
        for n in 0..8 {
            world.deploy(VERSIONS[dice.below(3)]);
            match n {
                0 | 3 => jobs.push(
                    world
                        .insist_on_job(&job(), &format!("key-{n}"))
                        .expect("a job"),
                ),
                1 => {
                    let day = 24 * HOUR;
                    world
                        .ask_until_answered(async |p| secrets::rotate(p, &tenant, day, None).await)
                        .expect("a rotation");
                }
                4 => {
                    let _ = world.ask_until_answered(async |p| {
                        cancel::cancel(p, &tenant, &jobs[1], ENRICH_TIMEOUT).await
                    });
                }
                6 => {
                    let delivery = jobs[0].delivery(0);
                    let _ = world.ask_until_answered(async |p| {
                        replay::replay(p, &tenant, &delivery, None).await
                    });
                }
                _ => {}
            }
            world.run_for(Duration::from_secs(dice.below(20) as u64));
        }
        assert_eq!(world.quiet_within(24 * HOUR), Ok(()), "seed {seed}");
        assert_eq!(
            invariants::check(&world),
            Vec::<String>::new(),
            "seed {seed}"
        );
        assert_eq!(
            ended(&world, &jobs[0], &[Status::Completed]),
            Ok(()),
            "seed {seed}"
        );
    }
}

/// They were put as this version knows them.
#[test]
fn what_a_later_version_keeps_beside_a_tenants_secrets_and_settings_stays() {
    let mut world = World::new();
    world.deploy(Version::Next);
    let (tenant, day) = (world.tenant.id.clone(), 24 * HOUR);
    let settings = |world: &World| {
        world
            .call(async |p| tenants::set_webhook_schedule(p, &tenant, Some(vec![1])).await)
            .expect("a schedule");
        world
            .call(async |p| secrets::rotate(p, &tenant, day, None).await)
            .expect("a rotation");
        let own = OwnSecret {
            surface: "apione".to_owned(),
            secret: Some(Secret::chosen("chosen-by-the-tenant-0001")),
        };
        world
            .call(async |p| secrets::set_own(p, &tenant, &own, day, None).await)
            .expect("a secret of its own");
        let change = parse_setting(SURFACES, "springbolt.callback_enrichment=nested");
        let change = change.expect("a setting");
        world
            .call(async |p| tenants::change_settings(p, &tenant, &[change]).await)
            .expect("settings");
    };
    settings(&world);
    world.deploy(Version::Current);
    settings(&world);
    for key in [profile_key(&tenant), secret_key(&tenant)] {
        let item = world.sim.store.peek(&key).expect("a tenant's item");
        assert!(item.attributes.contains_key("later"), "{key:?} lost it");
    }
}

/// Its chunks were asked for again, until each had an element of this version as well.
#[test]
fn a_chunk_that_a_later_version_finished_is_not_asked_for_again() {
    let mut world = world(1);
    world.deploy(Version::Next);
    let id = world.insist_on_job(&job(), "one").expect("a job");
    world.run_for(20 * SECOND);
    assert_eq!(world.view(&id).progress.chunks(), 1);
    world.deploy(Version::Current);
    all_is_well(&mut world, &id, "after the switch");
    assert_eq!(
        (world.swept().redriven_chunks, world.asked_of("found-50")),
        (0, 1)
    );
}

/// Things that an enrich function older than submit does not know.
#[derive(Debug, Clone, Copy)]
enum Lacks {
    TheType,
    AProviderOfTheType,
    TheProviderThatIsNamed,
}

impl Lacks {
    const ALL: [Self; 3] = [
        Self::TheType,
        Self::AProviderOfTheType,
        Self::TheProviderThatIsNamed,
    ];

    /// The configuration of the older one.
    fn config(self) -> String {
        let duo = r#"waterfall = ["first", "second"]
until = ["name", "second_name"]"#;
        assert_eq!(CONFIG.matches(duo).count(), 1);
        match self {
            Self::TheType => CONFIG.replace("[types.duo]", "[types.single]"),
            Self::AProviderOfTheType => {
                CONFIG.replace(duo, "waterfall = []\nunconfigured = \"name a provider\"")
            }
            Self::TheProviderThatIsNamed => CONFIG.replace(duo, "waterfall = [\"first\"]"),
        }
    }

    /// Five records in one chunk that submit takes and the older enrich cannot serve.
    fn job(self) -> Submission {
        let providers =
            matches!(self, Self::TheProviderThatIsNamed).then(|| vec!["second".to_owned()]);
        let records = ["found-0", "found-1", "found-2", "found-3", "found-4"];
        Submission {
            kind: "duo".to_owned(),
            providers,
            ..submission(&records)
        }
    }
}

fn starts(world: &World, id: &shared::domain::ids::JobId) -> bool {
    let shard = world
        .sim
        .store
        .peek(&progress_key(id, 0))
        .expect("progress");
    shard.attributes.contains_key(attempts_attribute(0))
}

#[test]
fn what_enrich_does_not_know_yet_waits_until_it_does() {
    for lacks in Lacks::ALL {
        for updated_after in [3 * SECOND, 90 * SECOND, 14 * MINUTE] {
            let what = format!("{lacks:?}, updated after {updated_after:?}");
            let mut world = world(1);
            world.enrich_is_older(&lacks.config());
            let id = world.insist_on_job(&lacks.job(), "one").expect("a job");
            world.run_for(updated_after);
            let view = world.view(&id);
            assert_eq!(
                (view.status(), view.progress.chunks()),
                (Status::Queued, 0),
                "{what}"
            );
            assert!(world.asked().is_empty() && !starts(&world, &id), "{what}");
            // Of the first message and of each that the sweep sends.
            let runs = world
                .happened()
                .into_iter()
                .filter(|h| matches!(h, Happened::ChunkOutcome { .. }))
                .count();
            assert!(runs <= 60, "{what}: {runs} runs");
            world.enrich_is_updated();
            let ended_soon =
                world.run_until(2 * MINUTE, |world| !world.view(&id).status().is_live());
            assert!(ended_soon, "{what}: {:?}", world.view(&id).status());
            world.settle(HOUR);
            assert_eq!(world.view(&id).counts().found, 5, "{what}");
            assert_eq!(
                world.asked_of("found-0"),
                if lacks.job().providers.is_some() {
                    1
                } else {
                    2
                },
                "{what}"
            );
        }
    }
}

#[test]
fn what_enrich_never_learns_fails_when_the_job_is_15_minutes_old() {
    for lacks in Lacks::ALL {
        let mut world = world(1);
        let before = world.credits(&world.tenant.id);
        world.enrich_is_older(&lacks.config());
        let id = world.insist_on_job(&lacks.job(), "one").expect("a job");
        world.run_for(DEPLOYED_WITHIN.saturating_sub(SECOND));
        assert_eq!(world.view(&id).status(), Status::Queued, "{lacks:?}");
        let ended_soon = world.run_until(2 * MINUTE, |world| !world.view(&id).status().is_live());
        assert!(ended_soon, "{lacks:?}");
        assert_eq!(world.quiet_within(HOUR), Ok(()), "{lacks:?}");
        // By the rules of a world whose enrich knows the type these outcomes are wrong.
        let mut wrong = invariants::check(&world);
        wrong.retain(|why| !why.starts_with("outcomes_are_what_was_asked"));
        assert_eq!(wrong, Vec::<String>::new(), "{lacks:?}");
        for line in world.results(&id) {
            let error = line.outcome.error.expect("a reason");
            assert_eq!(
                (
                    error.code.as_str(),
                    error.detail.contains("duo") || error.detail == "name a provider"
                ),
                ("provider_unconfigured", true),
                "{lacks:?}: {error:?}"
            );
        }
        assert_eq!(
            world.credits(&world.tenant.id),
            before,
            "{lacks:?}: nothing is billed"
        );
    }
}

/// The job of [`Lacks`] while enrich is updated a minute and a half after submit.
fn updated_late(world: &mut World, lacks: Lacks) -> After {
    world.enrich_is_older(&lacks.config());
    let id = world.insist_on_job(&lacks.job(), "one").expect("a job");
    world.run_for(90 * SECOND);
    world.enrich_is_updated();
    Box::new(move |world| {
        ended(world, &id, &[Status::Completed])?;
        let counts = world.view(&id).counts();
        if counts.found == 5 {
            Ok(())
        } else {
            Err(format!("counts: {counts:?}"))
        }
    })
}

#[test]
fn a_job_that_waits_for_enrich_to_be_updated_survives_every_crash() {
    sweep(
        "a type to come",
        &case(|world| updated_late(world, Lacks::TheType)),
    );
    sweep(
        "a provider to come",
        &case(|world| updated_late(world, Lacks::TheProviderThatIsNamed)),
    );
}
