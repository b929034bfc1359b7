//! The stack under test, and the servers that it talks to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::ids::TenantId;
use shared::domain::tenant::Scope;
use shared::jobs::Ports;
use shared::lambda::config::{Config, environment};
use shared::maintenance::tenants;
use testkit::servers::PATIENCE;
use testkit::stack::{self, owner};
pub(crate) use testkit::stack::{ROOT, Reply, ports};
use tokio::sync::{OnceCell, watch};

use crate::servers::{Got, Upstream, name_server};

/// Checks that the tests have what they need to start, and says what to do if not.
pub(crate) fn check() -> Result<(), String> {
    let missing: Vec<&str> = [
        "MILLRACE_URL",
        "MILLRACE_PORT",
        "MILLRACE_TEST_UPSTREAM",
        "MILLRACE_TEST_NAMESERVER",
    ]
    .into_iter()
    .filter(|name| environment(name).is_none())
    .collect();
    if missing.is_empty() {
        return Config::read(&environment)
            .map(drop)
            .map_err(|e| e.to_string());
    }
    Err(format!(
        "{} not set: the end-to-end tests need a stack of their own. \
         Run `make test`, or for them alone\n    \
         python3 tests/e2e/run.py -- cargo test --package tests --test e2e",
        missing.join(", ")
    ))
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn set(name: &str) -> String {
    environment(name).unwrap_or_else(|| panic!("{name} is not set"))
}

pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) config: Config,
    pub(crate) ports: Ports,
    pub(crate) upstream: Upstream,
    /// Names that the stack has resolved.
    pub(crate) names: Arc<Mutex<Vec<String>>>,
}

static WORLD: OnceCell<World> = OnceCell::const_new();

pub(crate) async fn world() -> &'static World {
    WORLD
        .get_or_init(async || {
            let config = Config::read(&environment).unwrap();
            let names = Arc::default();
            name_server(
                set("MILLRACE_TEST_NAMESERVER").parse().unwrap(),
                Arc::clone(&names),
            )
            .await;
            World {
                url: set("MILLRACE_URL"),
                ports: ports(&config),
                config,
                upstream: Upstream::start(
                    set("MILLRACE_TEST_UPSTREAM").parse::<SocketAddr>().unwrap(),
                )
                .await,
                names,
            }
        })
        .await
}

/// Sends one request, without any key unless `headers` has one.
pub(crate) async fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let world = world().await;
    send(method, &format!("{}{path}", world.url), headers, body).await
}

async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let sent = stack::send(&*world().await.ports.http, method, url, headers, body).await;
    sent.unwrap_or_else(|e| panic!("{method} {url}: {e}"))
}

/// A tenant of one test.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) key: String,
    pub(crate) secret: String,
}

impl Tenant {
    pub(crate) async fn new(name: &str) -> Self {
        Self::with_credits(name, 100_000).await
    }

    pub(crate) async fn with_credits(name: &str, credits: i64) -> Self {
        let ports = &world().await.ports;
        let id = TenantId::parse(&format!("{name}-{}", ports.clock.now().0)).unwrap();
        let new = tenants::create(ports, &id, credits).await.unwrap();
        Self {
            id,
            key: new.api_key,
            secret: new.webhook_secret.reveal().to_owned(),
        }
    }

    /// A tenant with these seconds of wait after each failed webhook attempt.
    pub(crate) async fn scheduled(name: &str, seconds: &[u64]) -> Self {
        let tenant = Self::new(name).await;
        tenants::set_webhook_schedule(&world().await.ports, &tenant.id, Some(seconds.to_vec()))
            .await
            .unwrap();
        tenant
    }

    pub(crate) async fn key_with(&self, scopes: &[Scope]) -> String {
        let scopes: BTreeSet<Scope> = scopes.iter().copied().collect();
        tenants::create_key(&world().await.ports, &self.id, &scopes)
            .await
            .unwrap()
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let bearer = format!("Bearer {}", self.key);
        let mut all = vec![
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        all.extend(headers);
        request(method, path, &all, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, &[], b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.call("POST", path, &[], body.as_bytes()).await
    }

    /// Submits and returns the job.
    pub(crate) async fn submit(&self, body: &Value) -> Value {
        self.post("/v1/jobs", body).await.json(202)
    }

    /// The job once it has ended.
    pub(crate) async fn ended(&self, job: &Value) -> Value {
        loop {
            let now = self
                .get(&format!("/v1/jobs/{}?wait=20", text(job, "id")))
                .await
                .json(200);
            if !["queued", "running", "canceling"].contains(&text(&now, "status")) {
                return now;
            }
        }
    }

    /// Every result line, page by page.
    pub(crate) async fn results(&self, job: &Value, limit: usize) -> Vec<Value> {
        let (mut lines, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/jobs/{}/results?limit={limit}{cursor}", text(job, "id"));
            let page = self.get(&path).await.json(200);
            let these = page["results"].as_array().unwrap();
            assert!(
                these.len() <= limit && (page["next_cursor"].is_null() || !these.is_empty()),
                "{path}"
            );
            lines.extend(these.iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return lines,
            }
        }
    }

    pub(crate) async fn deliveries(&self, job: &Value) -> Vec<Value> {
        let page = self
            .get(&format!("/v1/jobs/{}/deliveries", text(job, "id")))
            .await
            .json(200);
        page["deliveries"].as_array().unwrap().clone()
    }

    /// The only delivery of a job, once it is in this state.
    pub(crate) async fn delivery(&self, job: &Value, state: &str) -> Value {
        let path = format!(
            "/v1/deliveries/dlv_{}_0",
            text(job, "id").trim_start_matches("job_")
        );
        self.delivery_at(&path, state).await
    }

    /// The same, for a job that has not ended yet.
    pub(crate) async fn delivery_once(&self, job: &Value, state: &str) -> Value {
        self.ended(job).await;
        self.delivery(job, state).await
    }

    pub(crate) async fn delivery_at(&self, path: &str, state: &str) -> Value {
        eventually(&format!("delivery {state}"), async || {
            let delivery = self.get(path).await.json(200);
            (text(&delivery, "state") == state).then_some(delivery)
        })
        .await
    }

    pub(crate) async fn account(&self) -> Value {
        self.get("/v1/account").await.json(200)
    }
}

/// Polls with `look` for a state that no event announces.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            tokio::time::Instant::now() < until,
            "no {what} after {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no text {name} in {value}"))
}

/// Milliseconds of an RFC 3339 time.
#[track_caller]
pub(crate) fn millis(value: &Value) -> i64 {
    let text = value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a time"));
    shared::domain::time::Timestamp::parse(text)
        .unwrap_or_else(|| panic!("{text} is not a time"))
        .0
}

/// Returns the job's counts by status, without zeros and the total.
pub(crate) fn counts(job: &Value) -> Vec<(String, u64)> {
    let counts = job["counts"].as_object().unwrap().iter();
    counts
        .map(|(n, v)| (n.clone(), v.as_u64().unwrap()))
        .filter(|(n, v)| *v > 0 && n != "total")
        .collect()
}

#[track_caller]
pub(crate) fn assert_counts(job: &Value, expected: &[(&str, u64)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(n, v)| ((*n).to_owned(), *v))
        .collect();
    assert_eq!(counts(job), expected, "{job}");
    assert_eq!(
        job["counts"]["total"].as_u64(),
        Some(expected.iter().map(|(_, n)| n).sum()),
        "{job}"
    );
}

/// A submission of `count` records of the scripted type `lookup`, numbered from 0.
pub(crate) fn lookups(tag: &str, count: u32, webhook: Option<&str>) -> Value {
    let records: Vec<_> = (0..count)
        .map(|n| json!({"id": format!("n{n}"), "input": {"key": format!("{tag}.{n}")}}))
        .collect();
    let mut body = json!({"type": "lookup", "records": records});
    if let Some(url) = webhook {
        body["webhook_url"] = url.into();
    }
    body
}

/// A submission of these domains.
pub(crate) fn companies(domains: &[&str], webhook: Option<&str>) -> Value {
    let records: Vec<_> = domains
        .iter()
        .map(|d| json!({"input": {"domain": d}}))
        .collect();
    let mut body = json!({"type": "company", "records": records});
    if let Some(url) = webhook {
        body["webhook_url"] = url.into();
    }
    body
}

/// Checks a delivery with the public verifiers of Python and JavaScript. They must also refuse
/// another body, another id and another secret: a check that cannot fail shows nothing.
pub(crate) async fn verify(got: &Got, secret: &str) {
    let secret = secret.to_owned();
    let headers = json!({
        "webhook-id": got.header("webhook-id"),
        "webhook-timestamp": got.header("webhook-timestamp"),
        "webhook-signature": got.header("webhook-signature"),
    });
    let body = String::from_utf8(got.body.clone()).expect("UTF-8");
    let checked = tokio::task::spawn_blocking(move || {
        let changed = body.replacen('{', "{ ", 1);
        let mut other_id = headers.clone();
        other_id["webhook-id"] = "evt_other".into();
        let other_secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for (what, secret, headers, body, good) in [
            ("the delivery", secret.as_str(), &headers, &body, true),
            ("another body", &secret, &headers, &changed, false),
            ("another id", &secret, &other_id, &body, false),
            ("another secret", other_secret, &headers, &body, false),
        ] {
            let given = json!({"secret": secret, "headers": headers, "body": body}).to_string();
            for (program, script) in [
                (root().join(".local/tools/bin/python"), "verify.py"),
                (PathBuf::from("node"), "verify.mjs"),
            ] {
                let code = run(&program, &root().join("tests/e2e").join(script), &given)?;
                if code != if good { 0 } else { 3 } {
                    return Err(format!("{script} ended with {code} for {what}: {headers}"));
                }
            }
        }
        Ok(())
    });
    checked.await.unwrap().unwrap_or_else(|why| panic!("{why}"));
}

fn run(program: &Path, script: &Path, input: &str) -> Result<i32, String> {
    use std::io::Write;
    let mut child = Command::new(program)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| {
            format!(
                "{}: {e}; `make test` installs what is needed",
                program.display()
            )
        })?;
    let fed = child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(input.as_bytes()));
    let ended = child.wait().map_err(|e| e.to_string())?;
    fed.transpose()
        .map_err(|e| format!("{}: {e}", script.display()))?;
    ended
        .code()
        .ok_or_else(|| format!("{} was killed", script.display()))
}

/// Calls the stack's AWS services by the JSON protocol, as root or with the given credentials. The
/// stack identifies the caller by the access key and checks no signature.
pub(crate) async fn aws(target: &str, access_key: &str, body: &Value) -> (u16, Value) {
    let service = if target.starts_with("AmazonSQS") {
        "sqs"
    } else {
        "dynamodb"
    };
    let headers = [
        ("x-amz-target", target),
        ("content-type", "application/x-amz-json-1.0"),
    ];
    let reply = aws_request(
        "POST",
        "/",
        service,
        access_key,
        &headers,
        body.to_string().as_bytes(),
    )
    .await;
    (
        reply.status,
        serde_json::from_slice(&reply.body).unwrap_or(Value::Null),
    )
}

pub(crate) async fn aws_request(
    method: &str,
    path: &str,
    service: &str,
    access_key: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let world = world().await;
    let endpoint = world
        .config
        .aws
        .endpoint_url
        .as_deref()
        .expect("AWS_ENDPOINT_URL");
    let sent = stack::aws_request(
        &*world.ports.http,
        endpoint,
        (method, path),
        service,
        access_key,
        headers,
        body,
    )
    .await;
    sent.unwrap_or_else(|e| panic!("{method} {path}: {e}"))
}

/// Runs a function with an event and returns its answer.
pub(crate) async fn invoke(function: &str, event: &Value) -> Value {
    let world = world().await;
    let endpoint = world
        .config
        .aws
        .endpoint_url
        .as_deref()
        .expect("AWS_ENDPOINT_URL");
    let reply = stack::invoke(&*world.ports.http, endpoint, function, event)
        .await
        .unwrap();
    assert_eq!(reply.header("x-amz-function-error"), "", "{}", reply.text());
    reply.json(200)
}

/// Ends, by `kill -9`, the process of a function that has the connection from `peer`.
pub(crate) async fn kill_peer(peer: SocketAddr, function: &str) {
    let pid = eventually(
        &format!("process with the connection from {peer}"),
        async || owner(peer),
    )
    .await;
    if let Some(found) = stack::function(pid) {
        assert_eq!(found, function, "process {pid}");
    }
    assert!(stack::kill(pid), "kill -9 {pid}");
}

/// The cases that still have a process to kill.
static KILLS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
static LEFT: OnceCell<watch::Sender<usize>> = OnceCell::const_new();

pub(crate) fn kills_ahead(count: usize) {
    let _ = LEFT.set(watch::channel(count).0);
}

/// Notes that `case` kills no more.
pub(crate) fn killed(case: &'static str) {
    if KILLS.lock().unwrap().insert(case)
        && let Some(left) = LEFT.get()
    {
        left.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// Waits until all planned kills are done.
pub(crate) async fn calm() {
    if let Some(left) = LEFT.get() {
        let _ = left.subscribe().wait_for(|n| *n == 0).await;
    }
}
