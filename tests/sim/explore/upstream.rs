//! The upstreams that are asked over HTTP, of `web` and `vendor`: they do what the domain's first
//! letters say. And who posts to callback URLs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::time::Timestamp;
use shared::ports::{Clock, HttpError, HttpRequest};
use testkit::harness::World;
use testkit::harness::upstream::{Upstream, body};
use testkit::sim::Reply;

use crate::SECOND;

/// Upstreams that post at the same time, each in a process of its own that may die.
const CALLERS: usize = 2;

/// Lets upstreams call back until then.
pub(super) fn call_back(world: &mut World, until: Timestamp) {
    for _ in 0..CALLERS {
        let (ports, clock) = (world.ports.clone(), world.sim.clock.clone());
        let calling = Arc::clone(&world.upstream).call_back(ports, clock, until);
        world.spawn("upstream", calling);
    }
}

/// Puts them into a world.
pub(super) fn listen(world: &World) {
    let (upstream, clock) = (Arc::clone(&world.upstream), world.sim.clock.clone());
    let mut refused: BTreeSet<String> = BTreeSet::new();
    world
        .sim
        .http
        .on("https://vendor.example/v1/jobs", move |request| {
            vendor(&upstream, request, clock.now(), &mut refused)
        });
    let mut asked: BTreeMap<String, u32> = BTreeMap::new();
    world.sim.http.on("https://web.example/", move |request| {
        let domain = request
            .url
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let times = asked.entry(domain).or_default();
        *times += 1;
        answer(request, *times)
    });
}

/// A vendor that takes questions and answers later. Records in `refused` were asked to come back
/// later.
fn vendor(
    upstream: &Upstream,
    request: &HttpRequest,
    now: Timestamp,
    refused: &mut BTreeSet<String>,
) -> Reply {
    if request.method == "GET" {
        let key = request.url.rsplit('/').next().unwrap_or_default();
        return match upstream.poll(key, now) {
            Some(said) => {
                let said = said.as_ref().map(|(says, domain)| (*says, domain.as_str()));
                Reply::json(200, &body(key, said))
            }
            None => Reply::status(404),
        };
    }
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let domain = asked["domain"].as_str().unwrap_or_default();
    let named = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("idempotency-key")
            .then(|| value.clone())
    };
    let key = request.headers.iter().find_map(named).unwrap_or_default();
    match domain.split('-').next().unwrap_or_default() {
        "down" => return Reply::status(500),
        "busy" if refused.insert(key.clone()) => {
            return Reply::status(429).header("retry-after", "40");
        }
        "slow25" => return Reply::status(200).after(Duration::from_secs(25)),
        _ => {}
    }
    match upstream.ask(&key, domain, asked["callback"].as_str(), now) {
        Some(says) => Reply::json(200, &body(&key, Some((says, domain)))),
        None => Reply::json(202, &body(&key, None)),
    }
}

fn answer(request: &HttpRequest, times: u32) -> Reply {
    let domain = request.url.rsplit('/').next().unwrap_or_default();
    let script = domain.split('-').next().unwrap_or_default();
    let seconds: u64 = script
        .trim_start_matches(char::is_alphabetic)
        .parse()
        .unwrap_or(0);
    let found = || Reply::json(200, &json!({"name": format!("Name of {domain}")}));
    match script.trim_end_matches(char::is_numeric) {
        "none" => Reply::status(404),
        "invalid" => Reply::status(422),
        "fail" => Reply::status(500),
        "panic" => Reply::body(200, "<html>no JSON</html>"),
        "slow" => found().after(Duration::from_secs(seconds)),
        // Well only the second time.
        "flaky" if times % 2 == 1 => Reply::status(503),
        "later" if times % 2 == 1 => Reply::status(429).header("retry-after", "3"),
        // For longer than a record can wait.
        "limited" => Reply::status(429).header("retry-after", "60"),
        "broken" if times % 2 == 1 => {
            Reply::error(HttpError::Protocol("broke off".to_owned())).after(SECOND)
        }
        "big" => Reply::json(200, &json!({"name": domain.repeat(10_000)})),
        "deep" => Reply::json(
            200,
            &json!({"name": (0..seconds).fold(Value::Null, |inner, _| json!([inner]))}),
        ),
        _ => found(),
    }
}
