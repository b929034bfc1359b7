//! Answers of outside hosts, providers and receivers of webhooks, and the parts of a record that
//! providers receive.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::catalog::{Config, Kind, SecretConfig};
use shared::domain::delivery::{LOG_LENGTH, RESPONSE_LOG_BYTES};
use shared::domain::record::{MAX_DEPTH, MAX_OUTCOME_BYTES, depth};
use shared::ports::HttpRequest;
use shared::providers::kinds::READERS;
use shared::providers::kinds::hem::Hem;
use shared::providers::kinds::http::Http;
use shared::providers::{Answer, Ports, Provider, Question, Registry};
use shared::surfaces::SURFACES;

use super::wire::Wire;
use crate::harness::{HOOK, ServedApi, World, body};
use crate::sim::{Reply, Sim, item_size};

const SECRET: &str = "s3cr&t key/7";

/// Every place where a value can stand in a request, and every way to read an answer.
const PROVIDERS: &str = r#"
[types.any]
inputs = [["domain"], ["email"]]
optional_inputs = ["country", "employees", "note"]
waterfall = ["api", "hashes"]
record_timeout_s = 60

[providers.api]
kind = "http"
method = "POST"
url = "https://any.example/v1/{{ input.domain }}/x{{ input.country }}"
query = { fixed = "1", q = "{{ input.domain }}", note = "n {{ input.note }}" }
headers = { x-key = "{{ secret.key }}", x-note = "for {{ input.domain }}", x-computed = "{{ input.note | default('none') | trim }}" }
body = { domain = "{{ input.domain }}", n = "{{ input.employees }}", text = "for {{ input.note }}", up = "{{ input.domain | upper }}", list = ["{{ input.country }}", 3] }
requires = ["domain", "country"]
secrets = { key = { env = "API_KEY" } }
fields = { name = "/name", first = "/data/0/x", slash = "/a~1b", deep = "/deep", shout = { expr = "response.name | upper ~ '!'" }, sum = { expr = "response.a + response.b" } }
confidence = { expr = "response.score / 10" }
not_found = { status = [404, 410], missing = ["/found"], when = "response.count == 0 or 'gone' in response.state" }
invalid_status = [422]
timeout_s = 30
retries = 2

[providers.hashes]
kind = "hem"
input = "email"

[operations.apione]
company = "any"
"#;

fn config() -> Config {
    Config::parse(READERS, "answers", PROVIDERS).unwrap_or_else(|error| panic!("{error}"))
}

fn provider(kind: &Kind) -> Arc<dyn Provider> {
    let secret = |secret: &SecretConfig| (secret.name == "key").then(|| SECRET.to_owned());
    if let Some(http) = kind.downcast_ref() {
        return Arc::new(Http::new("api", http, &secret).expect("its secret is there"));
    }
    Arc::new(Hem::new(kind.downcast_ref().expect("no other is declared")))
}

fn reply(wire: &Wire) -> Reply {
    let status = wire.first.trim().parse().unwrap_or(200);
    wire.headers.iter().fold(
        Reply::body(status, wire.body.clone()),
        |reply, (name, value)| reply.header(name, value),
    )
}

/// An answer to a provider's request, in the form of [`Wire`], repeated for every request. Whatever
/// the answer, the record ends in its time, within the limits. The job's results can be read and
/// its event is sent.
pub fn of_a_provider(bytes: &[u8]) {
    let wire = Wire::parse(bytes);
    let mut served = ServedApi::new(World::new(), SURFACES, "", |_| {
        (Duration::ZERO, Answer::NotFound)
    });
    served.world.registry = Arc::new(
        Registry::assemble(&config(), |config| Ok(provider(&config.kind)))
            .expect("providers are complete"),
    );
    served.api.catalog = served.world.registry.catalog().clone();
    let answer = reply(&wire);
    served
        .world
        .sim
        .http
        .on("https://any.example/", move |_: &HttpRequest| {
            answer.clone()
        });
    let (key, secret) = (
        served.key().to_owned(),
        served.world.tenant.secret.reveal().to_owned(),
    );
    super::without_secrets(&[&key, &secret, SECRET], || {
        for (path, request) in [
            (
                "/v1/jobs",
                json!({"type": "any", "webhook_url": HOOK,
                    "records": [{"input": {"domain": "a.example", "country": "DE"}}]}),
            ),
            (
                "/api/v1/async/enrich",
                json!({"type": "company", "webhook_url": HOOK,
                    "records": [{"domain": "a.example", "country": "DE"}]}),
            ),
        ] {
            let asked = served.world.sim.http.sent().len();
            let headers = [("x-api-key", key.as_str())];
            let accepted: Value =
                serde_json::from_slice(&served.post(path, &headers, &request).body).expect("JSON");
            let begun = served.world.now();
            served.settle();
            let requests = served.world.sim.http.sent();
            let asked = requests[asked..]
                .iter()
                .filter(|sent| sent.request.url.starts_with("https://any.example/"));
            let asked: Vec<_> = asked.collect();
            assert!(
                (1..=3).contains(&asked.len()),
                "asked {} times",
                asked.len()
            );
            assert!(
                asked
                    .iter()
                    .all(|sent| sent.at.since(begun) <= Duration::from_secs(60))
            );
            let id = accepted["id"]
                .as_str()
                .or(accepted["job_id"].as_str())
                .expect("an id")
                .to_owned();
            let page = body(
                &served.get(&format!("/v1/jobs/{id}/results"), &headers),
                200,
            );
            outcome(&page["results"][0]);
            let csv = served.get(
                &format!("/v1/jobs/{id}/results"),
                &[headers[0], ("accept", "text/csv")],
            );
            assert_eq!(
                csv::Reader::from_reader(&csv.body[..])
                    .records()
                    .flatten()
                    .count(),
                1
            );
        }
        for exchange in served.world.receiver.exchanges() {
            assert!(exchange.json().is_object());
        }
    });
}

fn outcome(line: &Value) {
    let data = line["data"].as_object().expect("an object");
    let size = line["data"].to_string().len();
    assert!(
        size <= MAX_OUTCOME_BYTES && depth(&line["data"]) <= MAX_DEPTH + 1,
        "{size} bytes, {} deep",
        depth(&line["data"])
    );
    assert_eq!(data.is_empty(), line["status"] != "found", "{line}");
    assert_eq!(
        line["credits"].as_u64() > Some(0),
        line["status"] == "found",
        "{line}"
    );
    let names = ["name", "first", "slash", "deep", "shout", "sum"];
    assert!(
        data.keys().all(|name| names.contains(&name.as_str())),
        "{line}"
    );
    if line["status"] == "failed" {
        let code = line["error"]["code"].as_str().expect("a code");
        assert!(
            [
                "provider_error",
                "provider_input",
                "provider_unpaid",
                "rate_limited",
                "provider_timeout",
                "outcome_too_large",
                "outcome_too_deep",
                "deadline_exceeded"
            ]
            .contains(&code),
            "{code}"
        );
        let detail = line["error"]["detail"].as_str().expect("a detail");
        assert!(
            detail.chars().count() <= 400
                && !detail.contains(super::PERSONAL)
                && !detail.contains(SECRET),
            "{detail}"
        );
    }
}

/// A first question, without a callback URL.
pub(super) fn question(input: &Map<String, Value>) -> Question<'_> {
    Question {
        input,
        limit: Duration::from_secs(30),
        key: "record",
        callback: None,
        earlier: None,
        last: false,
        wait: shared::catalog::DEFAULT_WAIT,
    }
}

/// A record's input, a JSON object, as a provider gets it: each value stands in its own place and
/// nowhere else.
pub fn input_of_a_provider(bytes: &[u8]) {
    let Ok(input) = serde_json::from_slice::<Map<String, Value>>(bytes) else {
        return;
    };
    // An input that holds the secret would look like a leaked secret.
    if input
        .values()
        .any(|value| value.to_string().contains(SECRET))
    {
        return;
    }
    let sim = Sim::new(1);
    sim.http.on("https://any.example/", |_: &HttpRequest| {
        Reply::body(200, br#"{"found": 1, "name": "x"}"#.to_vec())
    });
    let ports = Ports {
        http: sim.http.clone(),
        dns: sim.dns.clone(),
        assets: sim.assets.clone(),
        clock: sim.clock.clone(),
        entropy: sim.entropy.clone(),
        shared: None,
        seen: None,
        guard: None,
    };
    let answers: Vec<Answer> = super::without_secrets(&[SECRET], || {
        let ask = |config: &shared::catalog::ProviderConfig| {
            sim.finish(provider(&config.kind).ask(&question(&input), &ports))
        };
        config().providers.iter().map(ask).collect()
    });
    let sent = sim.http.sent();
    let was_asked = matches!(answers[0], Answer::Found { .. });
    assert_eq!(sent.len(), usize::from(was_asked), "{:?}", answers[0]);
    if let Some(sent) = sent.first() {
        request(&sent.request, &input);
    }
    if let Answer::Found { fields, .. } = &answers[1] {
        assert!(fields.values().all(are_hashes), "{fields:?}");
    }
}

/// Returns true if every text but an address is hexadecimal or base 64, long enough for a digest.
fn are_hashes(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            text.len() >= 32
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+/=_-".contains(&b))
        }
        Value::Object(members) => members
            .iter()
            .all(|(name, value)| name == "address" || are_hashes(value)),
        _ => false,
    }
}

fn request(request: &HttpRequest, input: &Map<String, Value>) {
    let url =
        url::Url::parse(&request.url).unwrap_or_else(|error| panic!("{error}: {}", request.url));
    assert_eq!(
        (url.scheme(), url.host_str(), url.port(), url.fragment()),
        ("https", Some("any.example"), None, None)
    );
    let segments: Vec<&str> = url.path_segments().expect("a path").collect();
    assert!(
        segments.len() == 3 && segments[0] == "v1" && segments[2].starts_with('x'),
        "{}",
        request.url
    );
    let decoded: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut names: Vec<&str> = decoded.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let note = input.get("note").is_some_and(|note| !note.is_null());
    assert_eq!(
        names,
        if note {
            vec!["fixed", "note", "q"]
        } else {
            vec!["fixed", "q"]
        }
    );
    if let Some(Value::String(domain)) = input.get("domain") {
        assert!(
            decoded.contains(&("q".to_owned(), domain.clone())),
            "{decoded:?}"
        );
    }
    for (name, value) in &request.headers {
        assert!(!value.chars().any(char::is_control), "{name}: {value:?}");
        assert_eq!(name == "x-key", value.contains(SECRET), "{name}: {value:?}");
    }
    assert!(!request.url.contains(SECRET));
    let sent: Value = serde_json::from_slice(&request.body).expect("a body is JSON");
    let members: Vec<&str> = sent
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    assert!(
        members
            .iter()
            .all(|name| ["domain", "n", "text", "up", "list"].contains(name)),
        "{members:?}"
    );
    assert_eq!(sent.get("domain"), input.get("domain"));
    assert_eq!(
        sent.get("n"),
        input.get("employees").filter(|n| !n.is_null())
    );
}

/// A receiver's answer to a webhook, in the form of [`Wire`], to the first attempts of every
/// delivery. Each delivery ends, its log stays small, and it can be read.
pub fn of_a_receiver(bytes: &[u8]) {
    let answer = reply(&Wire::parse(bytes));
    let mut served = ServedApi::new(World::new(), SURFACES, "", |_| {
        (Duration::ZERO, Answer::NotFound)
    });
    let (key, secret) = (
        served.key().to_owned(),
        served.world.tenant.secret.reveal().to_owned(),
    );
    super::without_secrets(&[&key, &secret], || {
        // Three attempts of each of the four deliveries: the later ones are hours apart and show
        // nothing more.
        served.world.receiver.replies(vec![answer; 12]);
        let headers = [("x-api-key", key.as_str())];
        let records: Vec<Value> = (0..3)
            .map(|_| json!({"input": {"domain": "a.example"}}))
            .collect();
        let request = json!({"type": "any", "records": records, "webhook_url": HOOK,
            "webhook_events": {"record.finished": HOOK}});
        let job = body(&served.post("/v1/jobs", &headers, &request), 202);
        served.settle();
        for item in served.world.sim.store.items() {
            assert!(
                item_size(&item) <= 400 * 1024,
                "{:?} has {} bytes",
                item.key,
                item_size(&item)
            );
        }
        let path = format!(
            "/v1/jobs/{}/deliveries?limit=100",
            job["id"].as_str().expect("an id")
        );
        let page = served.get(&path, &headers);
        let deliveries = body(&page, 200);
        for delivery in deliveries["deliveries"].as_array().expect("deliveries") {
            let log = delivery["log"].as_array().expect("a log");
            let attempts = delivery["attempts"].as_u64().expect("a number");
            assert!(
                delivery["state"] != "pending"
                    && log.len() as u64 == attempts.min(LOG_LENGTH as u64),
                "{delivery}"
            );
            for attempt in log {
                let kept = attempt["response"].as_str().unwrap_or_default();
                assert!(
                    kept.chars().count() <= RESPONSE_LOG_BYTES,
                    "{} characters",
                    kept.chars().count()
                );
            }
        }
    });
}
