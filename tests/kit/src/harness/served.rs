//! A world behind its API, used as clients use it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use shared::catalog::Config;
use shared::lambda::api::Api;
use shared::lambda::config::MAX_WAIT;
use shared::lambda::http::{ApiRequest, ApiResponse};
use shared::ports::HttpRequest;
use shared::providers::kinds::READERS;
use shared::providers::{Answer, Ports, Provider, Question, Registry};
use shared::schema::read_meta;
use shared::surfaces::Surface;

use super::world::{RETENTION, World};
use crate::sim::Reply;

/// Type `any` asks the closure that the test gives; type `bare` has no provider. `[operations]` of
/// a test map to them.
const TYPES: &str = r#"
[types.any]
description = "Whatever the test answers"
inputs = [["domain"]]
waterfall = ["any"]
record_timeout_s = 100

[types.bare]
description = "No provider"
inputs = [["domain"]]
waterfall = []
unconfigured = "add a provider for it to providers.toml"

[providers.any]
kind = "http"
url = "https://any.example/"
fields = { name = "/name" }
credits = 1
timeout_s = 100
"#;

type Script = dyn Fn(&Map<String, Value>) -> (Duration, Answer) + Send + Sync;

struct Scripted(Arc<Script>);

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let (after, answer) = (self.0)(question.input);
        ports.clock.sleep(after).await;
        answer
    }
}

/// Fields that were found.
///
/// # Panics
/// Where it is not an object.
pub fn found(fields: Value) -> Answer {
    let Value::Object(fields) = fields else {
        panic!("fields are an object: {fields}")
    };
    Answer::Found {
        fields,
        confidence: None,
    }
}

/// The functions behind their API.
#[derive(Debug)]
pub struct ServedApi {
    pub world: World,
    pub api: Api,
    /// Every question to the provider, in order.
    pub asked: Arc<Mutex<Vec<Map<String, Value>>>>,
}

impl ServedApi {
    /// `operations` is TOML: `[operations.SURFACE]` tables that map to the types `any` and `bare`.
    /// `answer` returns the answer of the provider of `any` to an input, and its delay.
    ///
    /// # Panics
    /// Where `operations` cannot be read.
    pub fn new(
        mut world: World,
        surfaces: &'static [Surface],
        operations: &str,
        answer: impl Fn(&Map<String, Value>) -> (Duration, Answer) + Send + Sync + 'static,
    ) -> Self {
        let config = Config::parse(READERS, "harness", &format!("{TYPES}\n{operations}"))
            .expect("operations");
        let asked: Arc<Mutex<Vec<Map<String, Value>>>> = Arc::default();
        let log = Arc::clone(&asked);
        let script: Arc<Script> = Arc::new(move |input| {
            log.lock().unwrap().push(input.clone());
            answer(input)
        });
        let registry = Registry::assemble(&config, |_| Ok(Arc::new(Scripted(Arc::clone(&script)))));
        world.registry = Arc::new(registry.expect("scripted providers are always complete"));
        world.ports.surfaces = surfaces;
        // The receiver listens without TLS as well.
        let hook = world.receiver.clone();
        world.sim.http.on(
            "http://hook.example/",
            move |request: &HttpRequest| -> Reply { hook.take(request) },
        );
        let api = Api {
            ports: world.ports.clone(),
            catalog: world.registry.catalog().clone(),
            retention: RETENTION,
            enrich_timeout: world.options.enrich_timeout,
            max_wait: MAX_WAIT,
        };
        Self { world, api, asked }
    }

    /// Sends one request, while everything else stands still; `path` with its query, header names
    /// in lower case.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> ApiResponse {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = query
            .split('&')
            .filter(|q| !q.is_empty())
            .map(|q| q.split_once('=').unwrap_or((q, "")));
        let request = ApiRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body: body.to_vec(),
            request_id: "req-1".to_owned(),
        };
        self.carry_out(&request)
    }

    /// Makes the receiver listen on every address from now on.
    pub fn listen_everywhere(&self) {
        let hook = self.world.receiver.clone();
        self.world
            .sim
            .http
            .on("http", move |request: &HttpRequest| -> Reply {
                hook.take(request)
            });
    }

    /// Carries out a request as the function behind that route does, while everything else stands
    /// still.
    pub fn carry_out(&mut self, request: &ApiRequest) -> ApiResponse {
        let deadline = self.world.now().plus(Duration::from_secs(29));
        if ["GET", "HEAD"].contains(&request.method.as_str()) {
            self.world.sim.finish(self.api.read(request, deadline))
        } else {
            let response = self.world.sim.finish(self.api.write(request));
            if response.status < 300 {
                // A client knows of it now, by any of its ids.
                let items = self.world.sim.store.items();
                let heads = items
                    .iter()
                    .filter(|item| item.key.sk == "META")
                    .filter_map(|item| read_meta(item).ok());
                self.world
                    .accepted
                    .extend(heads.map(|job| (job.spec.id, job.spec.tenant)));
            }
            response
        }
    }

    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &Value) -> ApiResponse {
        self.call("POST", path, headers, body.to_string().as_bytes())
    }

    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> ApiResponse {
        self.call("GET", path, headers, b"")
    }

    /// The first tenant's key.
    pub fn key(&self) -> &str {
        &self.world.tenant.api_key
    }

    /// Runs everything until nothing is left to do.
    pub fn settle(&mut self) {
        self.world.settle(Duration::from_secs(14 * 24 * 3600));
    }

    /// Returns a job as the native surface shows it, by the id of any surface.
    pub fn native(&mut self, id: &str) -> Value {
        let bearer = format!("Bearer {}", self.key());
        body(
            &self.get(&format!("/v1/jobs/{id}"), &[("authorization", &bearer)]),
            200,
        )
    }
}

/// Returns the JSON body of a response that must have this status.
///
/// # Panics
/// Where it has another.
#[track_caller]
pub fn body(response: &ApiResponse, status: u16) -> Value {
    let text = String::from_utf8_lossy(&response.body);
    assert_eq!(response.status, status, "{text}");
    shared::domain::json::read(&response.body).unwrap_or_else(|e| panic!("{e}: {text}"))
}
