//! Providers scripted by the first letters of their input.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared::catalog::Config;
use shared::domain::record::FailureCode;
use shared::domain::time::Timestamp;
use shared::ports::HttpRequest;
use shared::providers::kinds::READERS;
use shared::providers::kinds::http::Http;
use shared::providers::{Answer, Ports, Provider, Question, Registry};

use super::upstream::{Late, Upstream};

/// The source of the registry. The kind of `first` and `second` is for the reader of the file
/// alone: scripted providers replace them, and `late`. `web` and `vendor` are real.
pub const CONFIG: &str = r#"
[types.company]
description = "One provider"
inputs = [["domain"]]
waterfall = ["first"]

[types.duo]
description = "Two providers"
inputs = [["domain"]]
waterfall = ["first", "second"]
until = ["name", "second_name"]

[types.patient]
description = "Few records at once, each of which may take long"
inputs = [["domain"]]
waterfall = ["first"]
record_timeout_s = 100
concurrency = 2

[types.web]
description = "A provider that is asked over HTTP, as any is that an operator configures"
inputs = [["domain"]]
waterfall = ["web"]

[types.late]
description = "A provider that answers later, and one that is asked where that never comes"
inputs = [["domain"]]
waterfall = ["late", "second"]

[types.vendor]
description = "A provider over HTTP that answers later, under limits, and whose answers are cached"
inputs = [["domain"]]
waterfall = ["vendor"]
record_timeout_s = 20

[types.bare]
description = "No provider"
inputs = [["domain"]]
waterfall = []
unconfigured = "name a provider"

[providers.first]
kind = "http"
url = "https://first.example/"
fields = { name = "/name" }
credits = 2
timeout_s = 100
breaker = false

[providers.second]
kind = "http"
url = "https://second.example/"
fields = { second_name = "/name" }
credits = 3
timeout_s = 100
breaker = false

[providers.web]
kind = "http"
url = "https://web.example/{{ input.domain }}"
fields = { name = "/name" }
not_found = { status = [404] }
invalid_status = [422]
retries = 2
credits = 2
timeout_s = 20
# The outcome of a record follows from that record alone;
# tests/sim/limits.rs is about upstreams with many records.
breaker = false

[providers.late]
kind = "http"
url = "https://late.example/"
fields = { name = "/name" }
credits = 2
breaker = false

[providers.vendor]
kind = "http"
method = "POST"
url = "https://vendor.example/v1/jobs"
headers = { Idempotency-Key = "{{ request.key }}" }
body = { domain = "{{ input.domain }}", callback = "{{ callback.url }}" }
requires = ["domain"]
fields = { name = "/name" }
not_found = { missing = ["/name"] }
# Its questions cost money: none is put twice.
retries = 0
timeout_s = 10
credits = 2
rate = { per_second = 5 }
concurrency = 3
breaker = { failures = 3, open_s = 20, max_open_s = 60 }
cache = { found_s = 3600, not_found_s = 600 }

[providers.vendor.later]
id = "/id"
when = "status == 202"
done = "response.status == 'done'"
failed = "response.status == 'failed'"
give_up_s = 1200
poll = { url = "https://vendor.example/v1/jobs/{{ later.id }}", every_s = 120 }
callback = { verify = "nothing" }
"#;

/// One question to a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub at: Timestamp,
    pub provider: String,
    pub domain: String,
}

#[derive(Debug)]
struct Scripted {
    name: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// The bytes of data found for a `big` record.
pub const BIG: usize = 120 * 1024;

/// Text that hardly compresses below the six bits of each letter.
pub(super) fn noise(seed: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = seed.bytes().fold(1_469_598_103_934_665_603_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(1_099_511_628_211)
    });
    let mut text = Vec::with_capacity(BIG + 10);
    while text.len() < BIG {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.extend(
            (0..10).map(|n| LETTERS[usize::try_from((state >> (6 * n)) & 63).unwrap_or(0)]),
        );
    }
    String::from_utf8(text).expect("letters")
}

#[async_trait]
impl Provider for Scripted {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let domain = question
            .input
            .get("domain")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let asked = Asked {
            at: ports.clock.now(),
            provider: self.name.clone(),
            domain: domain.clone(),
        };
        self.asked.lock().unwrap().push(asked);
        let script = domain.split('-').next().unwrap_or_default();
        let seconds = script
            .trim_start_matches(char::is_alphabetic)
            .parse()
            .unwrap_or(0);
        let field = if self.name == "second" {
            "second_name"
        } else {
            "name"
        };
        let found = |value: String| Answer::Found {
            fields: Map::from_iter([(field.to_owned(), Value::String(value))]),
            confidence: None,
        };
        match script.trim_end_matches(char::is_numeric) {
            "slow" => {
                ports.clock.sleep(Duration::from_secs(seconds)).await;
                found(format!("Name of {domain}"))
            }
            "none" => Answer::NotFound,
            "fail" => Answer::Failed {
                code: FailureCode::ProviderError,
                detail: "broken today".to_owned(),
            },
            "invalid" => Answer::Invalid("no domain".to_owned()),
            // Without the hook that prints where a panic comes from: it takes longer than the rest
            // of a schedule.
            "panic" => {
                std::panic::resume_unwind(Box::new(format!("the provider of {domain} broke")))
            }
            "poison" => {
                // The harness lets the process die at this request.
                let request = HttpRequest {
                    method: "GET".to_owned(),
                    url: "https://poison.example/".to_owned(),
                    headers: Vec::new(),
                    body: Vec::new(),
                    deadline: Duration::from_secs(5),
                    plain_http: false,
                    max_response_bytes: 1,
                };
                let _ = ports.http.send(request).await;
                found("survived".to_owned())
            }
            "big" => found(noise(&domain)),
            "deep" => {
                let value = (0..seconds).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
                Answer::Found {
                    fields: Map::from_iter([(field.to_owned(), value)]),
                    confidence: None,
                }
            }
            // Another answer each time.
            "vary" => {
                let times = self
                    .asked
                    .lock()
                    .unwrap()
                    .iter()
                    .filter(|asked| asked.domain == domain)
                    .count();
                ports.clock.sleep(Duration::from_secs(seconds)).await;
                if times % 2 == 0 {
                    Answer::NotFound
                } else {
                    found(format!("Name {times} of {domain}"))
                }
            }
            "only" if self.name == "first" => Answer::NotFound,
            _ => found(format!("Name of {domain}")),
        }
    }
}

/// The source of the harness's registries, and the state that they share.
#[derive(Debug)]
pub(super) struct RegistryParts {
    config: Config,
    asked: Arc<Mutex<Vec<Asked>>>,
    upstream: Arc<Upstream>,
}

impl RegistryParts {
    pub(super) fn new(asked: Arc<Mutex<Vec<Asked>>>, upstream: Arc<Upstream>) -> Self {
        Self {
            config: Config::parse(READERS, "harness", CONFIG).expect("the harness's configuration"),
            asked,
            upstream,
        }
    }

    /// Builds a registry as one process has it.
    pub(super) fn registry(&self) -> Registry {
        self.registry_of(&self.config)
    }

    /// Builds one of another configuration, whose providers have the names and the scripts of
    /// these.
    pub(super) fn registry_of(&self, config: &Config) -> Registry {
        Registry::assemble(config, |provider| {
            match (provider.kind.downcast_ref(), provider.name.as_str()) {
                (Some(http), "web" | "vendor") => {
                    Ok(Arc::new(Http::new(&provider.name, http, &|_| None)?))
                }
                (_, "late") => Ok(Arc::new(Late(Arc::clone(&self.upstream)))),
                (_, name) => Ok(Arc::new(Scripted {
                    name: name.to_owned(),
                    asked: Arc::clone(&self.asked),
                })),
            }
        })
        .expect("providers without secrets are always complete")
    }
}
