//! The declared kinds, `http` and `chat`, through a waterfall and the real HTTP client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use shared::catalog::Config;
use shared::domain::record::{Outcome, OutcomeStatus};
use shared::lambda::system::{NoAssets, NoDns, SystemClock, SystemEntropy};
use shared::net::{PlainHttp, ReqwestSender, SenderSettings};
use shared::providers::kinds::READERS;
use shared::providers::waterfall::{Request, Suspended, WaterfallOutcome};
use shared::providers::{Ports, Registry, build};
use testkit::servers::{Answer, Server};

const KEY: &str = "s3cret/key";

fn registry(server: &Server, providers: &str) -> Registry {
    let text = format!(
        "[types.t]\ninputs = [[\"domain\"]]\noptional_inputs = [\"struct\"]\n\
         waterfall = [\"api\"]\nrecord_timeout_s = 60\n{}",
        providers.replace("URL", server.url("").trim_end_matches('/'))
    );
    let config = Config::parse(READERS, "test", &text).unwrap_or_else(|e| panic!("{e}"));
    let secret = |name: &str| (name == "KEY").then(|| KEY.to_owned());
    let built = Registry::assemble(&config, |provider| build(provider, Path::new(""), &secret));
    built.unwrap_or_else(|e| panic!("{e}"))
}

fn ports() -> Ports {
    let sender = ReqwestSender::new(SenderSettings {
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: PlainHttp::Always,
        local: true,
        user_agent: "millrace-test".to_owned(),
        decompress: true,
        ..SenderSettings::default()
    });
    Ports {
        http: Arc::new(sender.unwrap()),
        dns: Arc::new(NoDns),
        assets: Arc::new(NoAssets),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        shared: None,
        seen: None,
        guard: None,
    }
}

async fn progress(
    registry: &Registry,
    value: Value,
    suspended: Option<(Suspended, Option<Value>)>,
    ports: &Ports,
) -> WaterfallOutcome {
    let Value::Object(input) = value else {
        panic!("an input is an object")
    };
    let callback = |provider: &str| format!("https://us.example/callbacks/{provider}");
    let request = Request {
        input: &input,
        limit: Duration::from_secs(20),
        order: None,
        key: "record-1",
        callback: Some(&callback),
        cache: None,
    };
    registry
        .waterfall("t")
        .expect("the type")
        .run(&request, suspended, ports)
        .await
}

async fn outcome(registry: &Registry, value: Value, ports: &Ports) -> Outcome {
    match progress(registry, value, None, ports).await {
        WaterfallOutcome::Done(outcome) => outcome,
        WaterfallOutcome::Suspended(suspended) => panic!("{suspended:?}"),
    }
}

fn suspended(progress: WaterfallOutcome) -> Suspended {
    let WaterfallOutcome::Suspended(suspended) = progress else {
        panic!("{progress:?}")
    };
    *suspended
}

const BULK: &str = r#"
[providers.api]
kind = "http"
method = "POST"
url = "URL/v2/companies/bulk"
license = "by contract"
credits = 2
confidence = { expr = "response.score / 100" }
fields = { company_name = "/name", place = { expr = "response.city ~ ', ' ~ response.country" } }
oauth = { token_url = "URL/oauth/token", client_id = { env = "KEY" }, client_secret = { env = "KEY" }, scope = "bulk" }
batch = { max = 50, wait_ms = 50, items = { id = "{{ input.domain }}" }, body = { companies = "{{ items }}" }, results = "/results", match = { by = "/id", key = "{{ input.domain }}" }, next = "/links/next" }
"#;

/// A vendor with access tokens, a bulk route and pages of ten.
fn bulk_vendor(got: &testkit::servers::Got) -> Answer {
    let page = |ids: &[String], from: usize| {
        let known = |id: &&String| !id.starts_with("unknown");
        let results: Vec<Value> = ids[from..ids.len().min(from + 10)]
            .iter()
            .filter(known)
            .map(|id| {
                json!({"id": id, "name": format!("Name of {id}"), "city": "Ulm", "country": "DE",
                    "score": 87})
            })
            .collect();
        let next = (from + 10 < ids.len()).then(|| {
            format!(
                "/v2/companies/bulk?from={}&ids={}",
                from + 10,
                ids.join(",")
            )
        });
        Answer::Json(json!({"results": results, "links": {"next": next}}))
    };
    if got.path == "/oauth/token" {
        let expected = "grant_type=client_credentials&scope=bulk";
        // Base 64 of the form-encoded pair, as RFC 6749 section 2.3.1 requires.
        let known = got.header("authorization") == "Basic czNjcmV0JTJGa2V5OnMzY3JldCUyRmtleQ==";
        return if known && got.body == expected.as_bytes() {
            Answer::Json(
                json!({"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600}),
            )
        } else {
            Answer::Status(401)
        };
    }
    if got.header("authorization") != "Bearer token-1" {
        return Answer::Status(401);
    }
    if let Some((_, rest)) = got.path.split_once("?from=") {
        let (from, ids) = rest.split_once("&ids=").expect("our own link");
        let ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
        return page(&ids, from.parse().expect("a number"));
    }
    let body = got.json();
    let ids = body["companies"].as_array().expect("a list");
    page(
        &ids.iter()
            .map(|one| one["id"].as_str().expect("an id").to_owned())
            .collect::<Vec<_>>(),
        0,
    )
}

#[tokio::test]
async fn a_bulk_route_behind_oauth_answers_a_chunk_in_few_calls() {
    let server = Server::start(|_, got| bulk_vendor(got)).await;
    let (registry, ports) = (registry(&server, BULK), ports());
    let domains: Vec<String> = (0..64)
        .map(|n| {
            if n % 8 == 0 {
                format!("unknown{n}.example")
            } else {
                format!("d{n}.example")
            }
        })
        .collect();
    let asked = domains
        .iter()
        .map(|domain| outcome(&registry, json!({"domain": domain}), &ports));
    for (domain, outcome) in domains.iter().zip(join_all(asked).await) {
        if domain.starts_with("unknown") {
            assert_eq!(
                outcome.status,
                OutcomeStatus::NotFound,
                "{domain}: {outcome:?}"
            );
            continue;
        }
        assert_eq!(
            outcome.data,
            Map::from_iter([
                (
                    "company_name".to_owned(),
                    json!(format!("Name of {domain}"))
                ),
                ("place".to_owned(), json!("Ulm, DE")),
            ])
        );
        let (_, source) = &outcome.sources[0];
        assert_eq!(
            (source.provider.as_str(), source.confidence),
            ("api", Some(0.87))
        );
        assert_eq!(
            (source.license.as_deref(), outcome.credits),
            (Some("by contract"), 2)
        );
    }
    let got = server.got();
    // One token; 64 records in batches of 50, each with its pages of ten.
    assert_eq!(
        got.iter().filter(|got| got.path == "/oauth/token").count(),
        1
    );
    assert_eq!(
        got.iter()
            .filter(|got| got.path == "/v2/companies/bulk")
            .count(),
        2
    );
    assert_eq!(got.len(), 1 + 5 + 2);
}

const SLOW: &str = r#"
[providers.api]
kind = "http"
method = "POST"
url = "URL/enrichments"
headers = { Authorization = "Bearer {{ secret.key }}", Idempotency-Key = "{{ request.key }}" }
body = { domain = "{{ input.domain }}", webhook_url = "{{ callback.url }}" }
secrets = { key = { env = "KEY" } }
fields = { emails = "/contact/emails" }
not_found = { when = "response.status == 'FINISHED' and response.contact is undefined" }
[providers.api.later]
id = "/enrichment_id"
done = "response.status == 'FINISHED'"
failed = "response.status == 'CREDITS_INSUFFICIENT'"
poll = { url = "URL/enrichments/{{ later.id }}", headers = { Authorization = "Bearer {{ secret.key }}" }, every_s = 5 }
"#;

#[tokio::test]
async fn an_upstream_that_answers_later_is_asked_again_and_believed_by_its_own_word_alone() {
    let server = Server::start(
        |_, got| match (got.path.as_str(), got.header("authorization")) {
            (_, wrong) if wrong != format!("Bearer {KEY}") => Answer::Status(401),
            ("/enrichments", _) => Answer::Json(
                json!({"enrichment_id": format!("e/{}", got.json()["domain"].as_str().unwrap())}),
            ),
            ("/enrichments/e%2Fdone.example", _) => Answer::Json(
                json!({"status": "FINISHED", "contact": {"emails": ["a@done.example"]}}),
            ),
            ("/enrichments/e%2Fnone.example", _) => Answer::Json(json!({"status": "FINISHED"})),
            ("/enrichments/e%2Fpoor.example", _) => {
                Answer::Json(json!({"status": "CREDITS_INSUFFICIENT"}))
            }
            ("/enrichments/e%2Fbusy.example", _) => Answer::With(429, "retry-after", "30"),
            _ => Answer::Json(json!({"status": "IN_PROGRESS"})),
        },
    )
    .await;
    let (registry, ports) = (registry(&server, SLOW), ports());
    assert!(registry.waterfall("t").unwrap().calls_back());
    let begun = async |domain: &str| {
        suspended(progress(&registry, json!({"domain": domain}), None, &ports).await)
    };
    let resumed = async |domain: &str, suspended: Suspended, posted: Option<Value>| {
        // As it is stored between two runs.
        let stored = serde_json::to_string(&suspended).unwrap();
        let suspended = serde_json::from_str(&stored).unwrap();
        progress(
            &registry,
            json!({"domain": domain}),
            Some((suspended, posted)),
            &ports,
        )
        .await
    };
    for (domain, wanted) in [
        ("done.example", OutcomeStatus::Found),
        ("none.example", OutcomeStatus::NotFound),
        ("poor.example", OutcomeStatus::Failed),
    ] {
        let first = begun(domain).await;
        let WaterfallOutcome::Done(outcome) = resumed(domain, first, None).await else {
            panic!("{domain} is suspended")
        };
        assert_eq!(outcome.status, wanted, "{domain}: {outcome:?}");
    }
    let first = server.got()[0].clone();
    assert_eq!(
        first.json(),
        json!({"domain": "done.example", "webhook_url": "https://us.example/callbacks/api"})
    );
    assert_eq!(first.header("idempotency-key").len(), 64, "a digest");
    // A forged answer at the callback URL only causes a poll, which has the true answer.
    let forged = json!({"status": "FINISHED", "contact": {"emails": ["mallory@example.com"]}});
    let waiting =
        suspended(resumed("wait.example", begun("wait.example").await, Some(forged)).await);
    assert_eq!(waiting.provider(), "api");
    // A busy upstream is asked when it says.
    let now = ports.clock.now();
    let busy = suspended(resumed("busy.example", begun("busy.example").await, None).await);
    let wait = busy.resume_at().since(now);
    assert!(
        (Duration::from_secs(25)..Duration::from_secs(60)).contains(&wait),
        "{wait:?}"
    );
}

const CHAT: &str = r#"
[providers.api]
kind = "chat"
url = "URL/v1"
model = "m"
key = { env = "KEY" }
instructions = "Research this company."
extras = ["notes", "confidence_score"]
timeout_s = 10
"#;

#[tokio::test]
async fn a_model_that_talks_around_its_answer_is_asked_once_more() {
    let server = Server::start(|before, got| {
        assert_eq!(
            (got.path.as_str(), got.header("authorization")),
            ("/v1/chat/completions", "Bearer s3cret/key")
        );
        let text = match before {
            0 => "I think that they have about forty people.",
            _ => {
                "Sorry! ```json\n{\"headcount\": 40, \"founded\": null, \
                 \"notes\": \"From its site.\", \"confidence_score\": 6}\n```"
            }
        };
        let message = json!({"role": "assistant", "content": text});
        Answer::Json(json!({"choices": [{"finish_reason": "stop", "message": message}]}))
    })
    .await;
    let registry = registry(&server, CHAT);
    let record = json!({"domain": "a.example", "struct": {
        "headcount": {"description": "employees", "type": "int"}, "founded": "year"}});
    let outcome = outcome(&registry, record, &ports()).await;
    assert_eq!(outcome.status, OutcomeStatus::Found, "{outcome:?}");
    assert_eq!(
        (&outcome.data["headcount"], outcome.sources[0].1.confidence),
        (&json!(40), Some(0.6))
    );
    let got = server.got();
    assert_eq!(
        (
            got.len(),
            got[1].json()["messages"].as_array().unwrap().len()
        ),
        (2, 4)
    );
}

const PLAIN: &str = r#"
[providers.api]
kind = "http"
url = "URL/{{ input.domain }}"
query = { key = "{{ secret.key }}" }
secrets = { key = { env = "KEY" } }
fields = { name = "/name" }
timeout_s = 2
retries = 1
"#;

#[tokio::test]
async fn vendors_that_misbehave_end_in_time_and_in_words_without_the_secret() {
    let server =
        Server::start(
            |before, got| match got.path.split('?').next().unwrap_or_default() {
                "/drip" => Answer::Drip,
                "/hold" => Answer::NeverAnswer,
                "/close" => Answer::Close,
                "/reset" => Answer::Reset,
                "/endless" => Answer::EndlessBody,
                "/headers" => Answer::EndlessHeaders,
                "/redirect" => Answer::With(302, "location", "/found"),
                "/limited" => Answer::With(429, "retry-after", "30"),
                "/denied" => Answer::Status(401),
                "/flaky" if before % 2 == 0 => Answer::Status(503),
                _ => Answer::Json(json!({"name": "A"})),
            },
        )
        .await;
    let (registry, ports) = (registry(&server, PLAIN), ports());
    let ask = async |domain: &str| {
        let outcome = outcome(&registry, json!({"domain": domain}), &ports).await;
        assert!(!format!("{outcome:?}").contains("s3cret"), "{outcome:?}");
        outcome
    };
    // The first request counts from 0: refused once, then answered.
    assert_eq!(ask("flaky").await.status, OutcomeStatus::Found);
    assert_eq!(server.got()[0].path, "/flaky?key=s3cret%2Fkey");
    for (domain, code, detail) in [
        ("drip", "provider_timeout", "timeout"),
        ("hold", "provider_timeout", "timeout"),
        ("close", "provider_error", "protocol"),
        ("reset", "provider_error", ""),
        ("endless", "provider_error", "larger than 1048576 bytes"),
        ("headers", "provider_timeout", "timeout"),
        ("redirect", "provider_error", "HTTP 302"),
        ("denied", "provider_error", "refused its credentials"),
    ] {
        let outcome = ask(domain).await;
        let error = outcome
            .error
            .clone()
            .unwrap_or_else(|| panic!("{domain}: {outcome:?}"));
        assert_eq!(outcome.status, OutcomeStatus::Failed, "{domain}");
        assert_eq!(error.code, code, "{domain}: {error:?}");
        assert!(error.detail.contains(detail), "{domain}: {error:?}");
    }
    assert!(
        !server
            .got()
            .iter()
            .any(|got| got.path.starts_with("/found")),
        "a redirect was followed"
    );
    // No other provider could answer: the record waits for as long as the vendor asks.
    let waits = suspended(progress(&registry, json!({"domain": "limited"}), None, &ports).await);
    let wait = waits.resume_at().since(ports.clock.now());
    assert!(
        (Duration::from_secs(20)..Duration::from_secs(45)).contains(&wait),
        "{wait:?}"
    );
}
