//! The upstream of the `web` provider, which is asked over HTTP: it does what the domain's first letters say.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use shared::ports::{HttpError, HttpRequest};
use tests::harness::World;
use tests::sim::Reply;

use crate::SECOND;

/// Puts it into a world.
pub(super) fn listen(world: &World) {
    let mut asked: BTreeMap<String, u32> = BTreeMap::new();
    world.sim.http.on("https://web.example/", move |request| {
        let domain = request.url.rsplit('/').next().unwrap_or_default().to_owned();
        let times = asked.entry(domain).or_default();
        *times += 1;
        answer(request, *times)
    });
}

fn answer(request: &HttpRequest, times: u32) -> Reply {
    let domain = request.url.rsplit('/').next().unwrap_or_default();
    let script = domain.split('-').next().unwrap_or_default();
    let seconds: u64 = script.trim_start_matches(char::is_alphabetic).parse().unwrap_or(0);
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
        "broken" if times % 2 == 1 => Reply::error(HttpError::Protocol("broke off".to_owned())).after(SECOND),
        "big" => Reply::json(200, &json!({"name": domain.repeat(10_000)})),
        "deep" => Reply::json(200, &json!({"name": (0..seconds).fold(Value::Null, |inner, _| json!([inner]))})),
        _ => found(),
    }
}
