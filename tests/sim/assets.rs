//! Secrets in parameters and tables in objects: read by every process anew, whatever becomes of the
//! reading.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;
use shared::catalog::Config;
use shared::domain::error::ApiError;
use shared::domain::ids::JobId;
use shared::domain::job::Status;
use shared::jobs::retry;
use shared::ports::Clock;
use shared::providers::kinds::READERS;
use shared::providers::{Registry, build};
use testkit::harness::{World, domains, submission};
use testkit::sim::{Fault, Op, Reply};

use crate::crash::{After, case, ended, sweep};
use crate::{HOUR, MINUTE, SECOND};

const CONFIG: &str = r#"
[types.company]
inputs = [["domain"]]
waterfall = ["table", "acme"]
until = ["name", "city"]

[providers.table]
kind = "dataset"
file = "s3://tables/cities.csv"
key = { domain = "domain" }
fields = { city = "city" }

[providers.acme]
kind = "http"
url = "https://acme.example/{{ input.domain }}"
headers = { Authorization = "Bearer {{ secret.key }}" }
secrets = { key = { ssm = "/millrace/acme" } }
fields = { name = "/name" }
retries = 0
breaker = false
timeout_s = 5
credits = 2
"#;

/// The providers as a process has them that has just begun.
fn registry() -> Arc<Registry> {
    let config = Config::parse(READERS, "assets", CONFIG).unwrap();
    Arc::new(
        Registry::assemble(&config, |provider| {
            build(provider, Path::new(""), &|_| None)
        })
        .unwrap(),
    )
}

/// A world whose providers need both, and an upstream that knows the secret `right`.
fn need(world: &mut World, right: &'static str) {
    world.registry = registry();
    world.cold = Some(Rc::new(registry));
    world.sim.assets.put(
        "tables",
        "cities.csv",
        format!("domain,city\n{},Bremen\n", domains("some", 4)[0]),
    );
    world.sim.http.on("https://acme.example/", move |request| {
        let bearer = request
            .headers
            .iter()
            .any(|(n, v)| n == "authorization" && *v == format!("Bearer {right}"));
        let domain = request.url.rsplit('/').next().unwrap_or_default();
        if bearer {
            Reply::json(200, &json!({"name": format!("Name of {domain}")}))
        } else {
            Reply::status(401)
        }
    });
}

/// All are found: the first by both providers, the others by one.
fn found(world: &World, id: &JobId, records: usize) -> Result<(), String> {
    ended(world, id, &[Status::Completed])?;
    let lines = world.results(id);
    let wrong = lines.iter().enumerate().find(|(at, line)| {
        let city = line.outcome.data.get("city");
        !line.outcome.data.contains_key("name") || city != (*at == 0).then_some(&json!("Bremen"))
    });
    match wrong {
        None if lines.len() == records => Ok(()),
        wrong => Err(format!(
            "{} lines, {:?}",
            lines.len(),
            wrong.map(|(_, line)| &line.outcome)
        )),
    }
}

fn kept(world: &mut World) -> After {
    need(world, "one");
    world.sim.assets.parameter("/millrace/acme", "one");
    let id = world
        .insist_on_job(&submission(&domains("some", 4)), "one")
        .expect("a job");
    world.run_for(MINUTE);
    Box::new(move |world| {
        // If one provider cannot read its table and the other finds something, that is the answer,
        // as in any waterfall. A record with that one provider alone waits for it.
        ended(world, &id, &[Status::Completed])?;
        let lines = world.results(&id);
        let data = |at: usize, field: &str| lines[at].outcome.data.contains_key(field);
        // A request that was lost is its record's own bad luck.
        let lost = |at: usize| {
            lines[at]
                .outcome
                .error
                .as_ref()
                .is_some_and(|error| error.code == "provider_timeout")
        };
        let others = (1..4).all(|at| data(at, "name") || lost(at));
        let found = lines.len() == 4 && others && (data(0, "name") || data(0, "city"));
        if found {
            Ok(())
        } else {
            Err(format!("{lines:?}"))
        }
    })
}

#[test]
fn a_job_whose_providers_read_what_is_outside_survives_every_crash() {
    sweep("assets", &case(kept));
}

#[test]
fn what_cannot_be_read_just_now_is_waited_for_and_fails_nobody() {
    let mut world = World::new();
    need(&mut world, "one");
    world.sim.assets.parameter("/millrace/acme", "one");
    let until = world.sim.clock.now().plus(2 * MINUTE);
    let clock = world.sim.clock.clone();
    world.faults(move |call| {
        let out =
            call.op == Op::Asset && call.subject.starts_with("/millrace") && clock.now() < until;
        if out {
            Fault::FailBefore
        } else {
            Fault::Proceed
        }
    });
    // None of them is in the table: no other provider can answer.
    let id = world.job(submission(&domains("other", 4)));
    assert!(
        !world.run_until(110 * SECOND, |world| !world.view(&id).status().is_live()),
        "nothing to ask with"
    );
    world.settle(HOUR);
    let lines = world.results(&id);
    assert!(
        lines.len() == 4
            && lines
                .iter()
                .all(|line| line.outcome.data.contains_key("name")),
        "{lines:?}"
    );
}

#[test]
fn no_record_is_lost_to_a_secret_that_changes_under_way() {
    let mut world = World::new();
    need(&mut world, "two");
    // Processes that live on: they have read the secret of before.
    world.cold = None;
    world.sim.assets.parameter("/millrace/acme", "one");
    let id = world.job(submission(&domains("early", 1)));
    world.run_for(MINUTE);
    assert_eq!(world.view(&id).counts().found, 0, "the secret is wrong");
    world.sim.assets.parameter("/millrace/acme", "two");
    let id = world.job(submission(&domains("some", 40)));
    world.settle(HOUR);
    assert_eq!(found(&world, &id, 40), Ok(()));
}

#[test]
fn a_record_that_no_provider_knew_while_its_vendor_refused_can_be_retried() {
    let mut world = World::new();
    need(&mut world, "two");
    world.sim.assets.parameter("/millrace/acme", "one");
    let id = world.job(submission(&domains("other", 3)));
    world.settle(HOUR);
    let counts = world.view(&id).counts();
    assert_eq!(
        (counts.not_found, counts.failed),
        (3, 0),
        "the table says no"
    );
    world.sim.assets.parameter("/millrace/acme", "two");
    let tenant = world.tenant.id.clone();
    let again = world
        .call(async |p| retry::read(p, &tenant, &id).await)
        .unwrap();
    assert_eq!(again.records.len(), 3);
    let id = world.job(again);
    world.settle(HOUR);
    assert_eq!(world.view(&id).counts().found, 3);
    let nothing = world.call(async |p| retry::read(p, &tenant, &id).await);
    assert!(
        matches!(nothing, Err(ApiError::Conflict { .. })),
        "{nothing:?}"
    );
}
