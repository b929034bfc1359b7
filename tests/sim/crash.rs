//! The crash sweep: a small piece of work runs once to count its calls. Then it runs again for
//! every call and every way in which that call can fail. Each time the outcome must be the same, if
//! later.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::ENRICH_TIMEOUT;
use serde_json::Value;
use shared::domain::delivery::DeliveryState;
use shared::domain::error::ApiError;
use shared::domain::ids::JobId;
use shared::domain::job::{Status, Submission};
use shared::domain::signature::Secret;
use shared::domain::time::Timestamp;
use shared::jobs::idempotency::Idempotency;
use shared::jobs::{Ports, cancel, delete, read, retry};
use shared::schema::get_s;
use shared::surfaces::OwnSecret;
use shared::webhooks::{replay, secrets};
use testkit::harness::mutation::{BrokenStore, Mutation};
use testkit::harness::{HOOK, Options, World, invariants, submission};
use testkit::sim::{Call, Fault, Op};

/// Whatever goes wrong once, everything is over so much later.
const BOUND: Duration = Duration::from_secs(3 * 3600);

/// Checks what else must hold when all is quiet.
pub(crate) type After = Box<dyn Fn(&World) -> Result<(), String>>;

/// A piece of work: the clients' actions, and the required outcome.
pub(crate) struct Case {
    pub options: Options,
    pub play: fn(&mut World) -> After,
    /// A promise that the store breaks; for the controls.
    pub mutation: Option<Mutation>,
}

pub(crate) fn case(play: fn(&mut World) -> After) -> Case {
    Case {
        options: Options::default(),
        play,
        mutation: None,
    }
}

fn prepared(case: &Case) -> World {
    let options = case.options.clone();
    let world = match case.mutation {
        Some(how) => World::over(options, |inner| Arc::new(BrokenStore { inner, how })),
        None => World::with(options),
    };
    world
        .call(async |ports| {
            shared::maintenance::tenants::set_webhook_schedule(
                ports,
                &world.tenant.id,
                Some(vec![1, 2, 60, 60]),
            )
            .await
        })
        .expect("a schedule");
    world.sim.gate.renumber();
    world
}

/// Does the work under these faults, and returns what does not hold afterwards.
pub(crate) fn play(
    case: &Case,
    hook: impl FnMut(&Call) -> Fault + Send + 'static,
) -> (World, Vec<String>) {
    let mut world = prepared(case);
    world.faults(hook);
    let after = (case.play)(&mut world);
    if let Err(why) = world.quiet_within(BOUND) {
        return (world, vec![format!("all_ends: {why}")]);
    }
    world.faults(|_| Fault::Proceed);
    let mut wrong = invariants::check(&world);
    wrong.extend(after(&world).err());
    (world, wrong)
}

/// The calls that the work makes when nothing goes wrong.
pub(crate) fn calls(case: &Case) -> Vec<Call> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&seen);
    let (_, wrong) = play(case, move |call| {
        note.lock().unwrap().push(call.clone());
        Fault::Proceed
    });
    assert_eq!(wrong, Vec::<String>::new(), "without any fault");
    Arc::try_unwrap(seen).map_or_else(
        |seen| seen.lock().unwrap().clone(),
        |seen| seen.into_inner().unwrap(),
    )
}

/// After the tries that a step makes by itself, and after a client that got no answer has asked
/// again.
const LATE: [Fault; 3] = [
    Fault::Late(Duration::from_secs(3)),
    Fault::DieLate(Duration::from_secs(8)),
    Fault::Again(Duration::from_secs(3)),
];

/// Every way in which such a call can go wrong.
pub(crate) fn ways(op: Op) -> Vec<Fault> {
    let mut ways = vec![
        Fault::Die,
        Fault::DieAfter,
        Fault::FailBefore,
        Fault::FailAfter,
    ];
    match op {
        Op::PutAll | Op::DeleteAll | Op::Send => ways.push(Fault::FailPartly),
        Op::Update | Op::Put => ways.push(Fault::Throttle),
        Op::Transact => ways.extend([Fault::Throttle, Fault::Conflict]),
        // Longer than a record's provider has, and shorter than its own limit.
        Op::Asset => ways.push(Fault::Delay(Duration::from_secs(9))),
        _ => {}
    }
    if !matches!(op, Op::Get | Op::GetMany | Op::Query | Op::Http | Op::Asset) {
        ways.extend(LATE);
    }
    ways
}

/// Lets every call go wrong in every way, one at a time.
pub(crate) fn sweep(name: &str, case: &Case) {
    let (mut wrong, mut tried, mut looks) = (Vec::new(), 0, 0);
    for call in calls(case) {
        // A sweep that finds nothing is like the one before: two of them are enough.
        looks += u32::from(call.subject.starts_with("due "));
        if looks > 16 && call.subject.starts_with("due ") {
            continue;
        }
        for fault in ways(call.op) {
            let k = call.number;
            let (_, mutation) = play(
                case,
                move |c| if c.number == k { fault } else { Fault::Proceed },
            );
            tried += 1;
            wrong.extend(
                mutation
                    .iter()
                    .map(|b| format!("{name} #{k} {:?} {} {fault:?}: {b}", call.op, call.subject)),
            );
        }
    }
    println!("{name}: {tried} faults tried");
    let shown: Vec<&String> = wrong.iter().take(30).collect();
    assert!(
        wrong.is_empty(),
        "{} of {tried} faults break something:\n{shown:#?}",
        wrong.len()
    );
}

/// Two chunks: one record more than fits one, of which the first, the last and one between follow
/// these scripts.
fn two_chunks(scripts: [&str; 3]) -> Submission {
    let mut domains: Vec<String> = (0..65).map(|n| format!("none-{n}")).collect();
    for (at, script) in [0, 31, 64].into_iter().zip(scripts) {
        domains[at] = format!("{script}-{at}");
    }
    submission(&domains)
}

pub(crate) fn ended(world: &World, id: &JobId, allowed: &[Status]) -> Result<(), String> {
    let status = world.view(id).status();
    if allowed.contains(&status) {
        Ok(())
    } else {
        Err(format!("ended_as_asked: {id} is {status:?}"))
    }
}

pub(crate) fn had_a_delivery(world: &World, id: &JobId) -> Result<(), String> {
    let delivery = world
        .call(async |ports| read::delivery(ports, &world.tenant.id, &id.delivery(0)).await)
        .map_err(|e| format!("delivered: {e:?}"))?;
    if delivery.state == DeliveryState::Delivered {
        Ok(())
    } else {
        Err(format!("delivered: {delivery:?}"))
    }
}

/// A job of two chunks whose receiver fails once.
pub(crate) fn job(world: &mut World) -> After {
    world.receiver.answers([500]);
    let id = world
        .insist_on_job(&two_chunks(["found", "fail", "found"]), "one")
        .expect("a job");
    Box::new(move |world| {
        ended(world, &id, &[Status::Completed])?;
        had_a_delivery(world, &id)?;
        let counts = world.view(&id).counts();
        if (counts.found, counts.not_found, counts.failed) == (2, 62, 1) {
            Ok(())
        } else {
            Err(format!("counts: {counts:?}"))
        }
    })
}

#[test]
fn a_job_survives_every_crash() {
    sweep("job", &case(job));
}

#[test]
fn a_job_on_many_workers_survives_every_crash() {
    let options = Options {
        enrichers: 4,
        dispatchers: 4,
        ..Options::default()
    };
    let play: fn(&mut World) -> After = |world| {
        world.receiver.answers([500]);
        let id = world
            .insist_on_job(&two_chunks(["slow7", "panic", "slow9"]), "one")
            .expect("a job");
        Box::new(move |world| {
            ended(world, &id, &[Status::Completed])?;
            had_a_delivery(world, &id)
        })
    };
    sweep(
        "many workers",
        &Case {
            options,
            play,
            mutation: None,
        },
    );
}

#[test]
fn a_job_that_needs_several_runs_survives_every_crash() {
    sweep(
        "runs",
        &case(|world| {
            let domains: Vec<String> = (0..6).map(|n| format!("slow90-{n}")).collect();
            let long = Submission {
                kind: "patient".to_owned(),
                ..submission(&domains)
            };
            let id = world.insist_on_job(&long, "one").expect("a job");
            Box::new(move |world| {
                ended(world, &id, &[Status::Completed])?;
                let found = world.view(&id).counts().found;
                if found == 6 {
                    Ok(())
                } else {
                    Err(format!("counts: {found} of 6 found"))
                }
            })
        }),
    );
}

#[test]
fn outcomes_that_overflow_their_item_survive_every_crash() {
    sweep(
        "overflow",
        &case(|world| {
            let id = world
                .insist_on_job(&submission(&["big-0", "big-1", "big-2", "big-3"]), "one")
                .expect("a job");
            Box::new(move |world| ended(world, &id, &[Status::Completed]))
        }),
    );
}

fn canceled(world: &mut World, wait: Duration) -> After {
    let id = world
        .insist_on_job(&two_chunks(["slow20", "slow20", "slow20"]), "one")
        .expect("a job");
    world.run_for(wait);
    let tenant = world.tenant.id.clone();
    let asked = world.ask_until_answered(async |ports| {
        cancel::cancel(ports, &tenant, &id, ENRICH_TIMEOUT).await
    });
    match asked {
        Ok(_) => Box::new(move |world| {
            ended(world, &id, &[Status::Canceled])?;
            had_a_delivery(world, &id)
        }),
        Err(ApiError::Conflict { .. }) => {
            Box::new(move |world| ended(world, &id, &[Status::Completed]))
        }
        Err(other) => Box::new(move |_| Err(format!("cancel answered {other:?}"))),
    }
}

#[test]
fn a_cancel_while_queued_survives_every_crash() {
    sweep(
        "cancel queued",
        &case(|world| canceled(world, Duration::ZERO)),
    );
}

#[test]
fn a_cancel_while_running_survives_every_crash() {
    sweep(
        "cancel running",
        &case(|world| canceled(world, Duration::from_secs(25))),
    );
}

fn deleted(world: &mut World, wait: Duration) -> After {
    let id = world
        .insist_on_job(&two_chunks(["slow20", "slow20", "slow20"]), "one")
        .expect("a job");
    world.run_for(wait);
    let tenant = world.tenant.id.clone();
    let answer = world.ask_until_answered(async |ports| {
        delete::delete(ports, &tenant, &id, ENRICH_TIMEOUT).await
    });
    Box::new(move |world| {
        match &answer {
            // A client that got no answer and asks again learns that the job is not there any more.
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
}

#[test]
fn a_delete_of_a_live_job_survives_every_crash() {
    sweep(
        "delete live",
        &case(|world| deleted(world, Duration::from_secs(25))),
    );
}

#[test]
fn a_delete_of_an_ended_job_survives_every_crash() {
    sweep(
        "delete ended",
        &case(|world| deleted(world, Duration::from_secs(300))),
    );
}

fn key(name: &str) -> Idempotency {
    Idempotency::new(name, "POST", name, b"")
}

#[test]
fn a_replay_survives_every_crash() {
    sweep(
        "replay",
        &case(|world| {
            world.receiver.answers([410]);
            let id = world
                .insist_on_job(&submission(&["found-0"]), "one")
                .expect("a job");
            world.run_for(Duration::from_secs(600));
            let (tenant, delivery) = (world.tenant.id.clone(), id.delivery(0));
            let again = async |ports: &Ports| {
                replay::replay(ports, &tenant, &delivery, Some(&key("two"))).await
            };
            let answer = world.ask_until_answered(again);
            Box::new(move |world| {
                answer
                    .as_ref()
                    .map_err(|e| format!("replay answered {e:?}"))?;
                had_a_delivery(world, &id)?;
                let good = world
                    .receiver
                    .exchanges()
                    .iter()
                    .filter(|e| e.status == Some(200))
                    .count();
                if good >= 1 {
                    Ok(())
                } else {
                    Err("replayed: nothing was sent".to_owned())
                }
            })
        }),
    );
}

#[test]
fn a_test_delivery_survives_every_crash() {
    sweep(
        "test delivery",
        &case(|world| {
            world.receiver.answers([500]);
            let tenant = world.tenant.id.clone();
            let send = async |ports: &Ports| {
                let url = || Ok(HOOK.to_owned());
                replay::test(ports, &tenant, "native", url, Some(&key("test"))).await
            };
            let answer = world.ask_until_answered(send);
            Box::new(move |world| {
                let id = answer
                    .as_ref()
                    .map_err(|e| format!("test answered {e:?}"))?
                    .id
                    .clone();
                had_a_delivery(world, &id.job)?;
                let ids: std::collections::BTreeSet<String> = world
                    .receiver
                    .exchanges()
                    .iter()
                    .map(|e| e.id().to_owned())
                    .collect();
                if ids.len() == 1 {
                    Ok(())
                } else {
                    Err(format!("one key, one event: {ids:?}"))
                }
            })
        }),
    );
}

#[test]
fn a_rotation_survives_every_crash() {
    sweep(
        "rotate",
        &case(|world| {
            let id = world
                .insist_on_job(&submission(&["found-0"]), "one")
                .expect("a job");
            let tenant = world.tenant.id.clone();
            let day = Duration::from_secs(24 * 3600);
            let rotate = async |ports: &Ports| {
                secrets::rotate(ports, &tenant, day, Some(&key("rotate"))).await
            };
            let answer = world.ask_until_answered(rotate);
            Box::new(move |world| {
                had_a_delivery(world, &id)?;
                let shown = &answer
                    .as_ref()
                    .map_err(|e| format!("rotate answered {e:?}"))?
                    .secret;
                let item = world
                    .sim
                    .store
                    .peek(&shared::schema::secret_key(&world.tenant.id));
                let stored =
                    shared::schema::read_secrets(item.as_ref()).map_err(|e| e.to_string())?;
                if stored.len() == 2
                    && stored[0].secret == *shown
                    && stored[1].secret == world.tenant.secret
                {
                    Ok(())
                } else {
                    Err(format!("rotated once: {} secrets", stored.len()))
                }
            })
        }),
    );
}

#[test]
fn an_own_secret_survives_every_crash() {
    sweep(
        "own secret",
        &case(|world| {
            let tenant = world.tenant.id.clone();
            let own = OwnSecret {
                surface: "fullenrich".to_owned(),
                secret: Some(Secret::chosen("chosen-by-the-tenant-0001")),
            };
            let day = Duration::from_secs(24 * 3600);
            let set = async |ports: &Ports| {
                secrets::set_own(ports, &tenant, &own, day, Some(&key("own"))).await
            };
            let answer = world.ask_until_answered(set);
            Box::new(move |world| {
                let set = answer.as_ref().map_err(|e| format!("it answered {e:?}"))?;
                let item = world
                    .sim
                    .store
                    .peek(&shared::schema::secret_key(&world.tenant.id));
                let stored = item.as_ref().and_then(|item| get_s(item, "own"));
                let stored: Value =
                    serde_json::from_str(stored.unwrap_or_default()).map_err(|e| e.to_string())?;
                let secrets = &stored["fullenrich"]["secrets"];
                let until = secrets[1]["expires_at"].as_i64().map(Timestamp);
                if secrets.as_array().map(Vec::len) == Some(2)
                    && secrets[0]["secret"] == "chosen-by-the-tenant-0001"
                    && until.is_some()
                    && until == set.previous_expires_at
                {
                    Ok(())
                } else {
                    Err("it was not set once".to_owned())
                }
            })
        }),
    );
}

#[test]
fn a_retry_survives_every_crash() {
    sweep(
        "retry",
        &case(|world| {
            let id = world
                .insist_on_job(&submission(&["found-0", "fail-1", "fail-2"]), "one")
                .expect("a job");
            world.run_for(Duration::from_secs(600));
            let tenant = world.tenant.id.clone();
            let again =
                world.ask_until_answered(async |ports| retry::read(ports, &tenant, &id).await);
            let second = again.and_then(|submission| world.insist_on_job(&submission, "two"));
            Box::new(move |world| {
                let second = second
                    .as_ref()
                    .map_err(|e| format!("retry answered {e:?}"))?;
                ended(world, second, &[Status::Completed])?;
                let lines = world.results(second);
                let ids: Vec<_> = lines
                    .iter()
                    .map(|l| l.record.id.clone().unwrap_or_default())
                    .collect();
                if ids == ["row-1", "row-2"] {
                    Ok(())
                } else {
                    Err(format!("retried: {ids:?}"))
                }
            })
        }),
    );
}
