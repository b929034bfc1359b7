//! Two versions of the functions at work on one job, as while one is deployed over the other.

use std::time::Duration;

use shared::app::table::{profile_key, secret_key};
use shared::app::{cancel, deliveries, secrets, tenants};
use shared::domain::job::{Status, Submission};
use shared::ports::QueueName::{Enrich, EnrichBulk, Webhook, WebhookRetry};
use tests::harness::{Options, Version, World, invariants, submission};

use crate::crash::{ended, had_a_delivery};
use crate::{ENRICH_TIMEOUT, HOUR, SECOND};

const VERSIONS: [Version; 3] = [Version::Previous, Version::Current, Version::Next];

fn world(seed: u64) -> World {
    let world = World::with(Options { seed, enrichers: 2, ..Options::default() });
    let schedule = Some(vec![1, 2, 60, 60]);
    world
        .call(async |p| tenants::set_webhook_schedule(p, &world.tenant.id, schedule.clone()).await)
        .expect("a schedule");
    world
}

/// Two chunks, of which one takes longer; one record ends in a second run.
fn job() -> Submission {
    let mut domains: Vec<String> = (0..65).map(|n| format!("found-{n}")).collect();
    for (at, script) in [(0, "slow5"), (1, "fail"), (31, "none"), (40, "slow25"), (64, "slow15")] {
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
    assert_eq!((counts.found, counts.not_found, counts.failed), (63, 1, 1), "{what}");
}

/// What goes wrong at the switch.
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
    let pairs = VERSIONS.into_iter().flat_map(|from| VERSIONS.map(|to| (from, to)));
    for (from, to) in pairs.filter(|(from, to)| from != to) {
        for trouble in [Trouble::Nothing, Trouble::ProcessesDie, Trouble::MessagesAreLost] {
            for millis in [0, 10_000, 20_000, 25_500, 27_000] {
                let mut world = world(millis);
                world.deploy(from);
                world.receiver.answers([500, 500]);
                let id = world.insist_on_job(&job(), "one").expect("a job");
                world.run_for(Duration::from_millis(millis));
                world.deploy(to);
                trouble.strike(&mut world);
                all_is_well(&mut world, &id, &format!("{from:?}, {to:?} after {millis} ms, {trouble:?}"));
            }
        }
    }
}

/// Cancel, replay and rotation by one version of what another wrote, while versions come and go.
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
                0 | 3 => jobs.push(world.insist_on_job(&job(), &format!("key-{n}")).expect("a job")),
                1 => {
                    let day = 24 * HOUR;
                    world.insist(async |p| secrets::rotate(p, &tenant, day, None).await).expect("a rotation");
                }
                4 => {
                    let _ = world.insist(async |p| cancel::cancel(p, &tenant, &jobs[1], ENRICH_TIMEOUT).await);
                }
                6 => {
                    let delivery = jobs[0].delivery(0);
                    let _ = world.insist(async |p| deliveries::replay(p, &tenant, &delivery, None).await);
                }
                _ => {}
            }
            world.run_for(Duration::from_secs(dice.below(20) as u64));
        }
        assert_eq!(world.quiet_within(24 * HOUR), Ok(()), "seed {seed}");
        assert_eq!(invariants::check(&world), Vec::<String>::new(), "seed {seed}");
        assert_eq!(ended(&world, &jobs[0], &[Status::Completed]), Ok(()), "seed {seed}");
    }
}

/// They were put as this version knows them.
#[test]
fn what_a_later_version_keeps_beside_a_tenants_secrets_and_settings_stays() {
    let mut world = World::new();
    world.deploy(Version::Next);
    let (tenant, day) = (world.tenant.id.clone(), 24 * HOUR);
    let settings = |world: &World| {
        world.call(async |p| tenants::set_webhook_schedule(p, &tenant, Some(vec![1])).await).expect("a schedule");
        world.call(async |p| secrets::rotate(p, &tenant, day, None).await).expect("a rotation");
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
    assert_eq!((world.swept().nudged_chunks, world.asked_of("found-50")), (0, 1));
}
