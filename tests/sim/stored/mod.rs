//! Dumps of what each version stores in the middle of its work, in `tests/e2e/stored`. Later
//! versions must finish them. `maker` makes a dump. That it is finished is checked here over
//! simulated ports, and by `tests/e2e` with the deployed functions.

mod coverage;
mod maker;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::catalog::Config;
use shared::domain::callback::CALLBACKS;
use shared::lambda::api::Api;
use shared::lambda::config::MAX_WAIT;
use shared::lambda::http::{ApiRequest, ApiResponse};
use shared::ports::HttpRequest;
use shared::providers::kinds::READERS;
use shared::providers::{Registry, build};
use testkit::harness::{Options, Tenant, World, body};
use testkit::sim::Reply;
use testkit::stored::{Dump, VERSIONS, piece};

use crate::MINUTE;

const CREDITS: i64 = 10_000;
/// As run.py has it. Source: its `EnrichTimeout`.
const ENRICH_TIMEOUT: Duration = Duration::from_secs(30);
const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Where the tests' upstream is.
const UPSTREAM: &str = "https://upstream.example";
/// A question that the upstream takes this long over.
const SLOW: Duration = Duration::from_secs(10);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The providers of the end-to-end tests, as `configured` of run.py puts them together.
fn registry() -> Registry {
    let extra =
        file("tests/e2e/providers.toml").replace("http://127.0.0.1:UPSTREAM_PORT", UPSTREAM);
    let mut text = file("infra/providers.toml");
    let vendors = extra
        .lines()
        .filter_map(|line| line.strip_prefix("[providers.vendor-")?.strip_suffix(']'));
    for kind in vendors {
        let (head, rest) = text
            .split_once(&format!("[types.{kind}]\n"))
            .expect("a vendor's type");
        let (block, after) = rest
            .split_once("\n\n")
            .expect("a blank line after each type");
        assert!(block.contains("waterfall = []"), "{kind}");
        let block = block.replace(
            "waterfall = []",
            &format!("waterfall = [\"vendor-{kind}\"]"),
        );
        let block: Vec<&str> = block
            .lines()
            .filter(|line| !line.starts_with("unconfigured = "))
            .collect();
        text = format!("{head}[types.{kind}]\n{}\n\n{after}", block.join("\n"));
    }
    text = text.replace("\nsignals = \"signals\"\n", "\nsignals = \"nobodys\"\n");
    let config = Config::parse(READERS, "stored", &format!("{text}\n{extra}"))
        .unwrap_or_else(|error| panic!("{error}"));
    let built = Registry::assemble(&config, |provider| {
        build(provider, &root().join("infra"), &|_| None)
    });
    built.unwrap_or_else(|error| panic!("{error}"))
}

/// Returns whether the upstream knows a number's answer.
fn is_known(number: usize) -> bool {
    !number.is_multiple_of(7)
}

/// The upstream of tests/e2e/servers.rs, for what is asked here. Notes where it may post, by
/// domain. While `busy`, it takes some questions no more.
fn upstream(
    request: &HttpRequest,
    callbacks: &Mutex<BTreeMap<String, String>>,
    busy: &AtomicBool,
) -> Reply {
    let asked = || serde_json::from_slice::<Value>(&request.body).expect("JSON");
    let path = request.url.strip_prefix(UPSTREAM).expect("its own address");
    if path.starts_with("/piece/refusing") && busy.load(Ordering::SeqCst) {
        return Reply::status(429);
    }
    if let Some((status, answer)) = piece(path) {
        return Reply::json(status, &answer);
    }
    if let Some((tag, number)) = path
        .strip_prefix("/lookup/")
        .and_then(|path| path.rsplit_once('.'))
    {
        let number = number.parse().expect("a number");
        let reply = if is_known(number) {
            Reply::json(200, &json!({"answer": number}))
        } else {
            Reply::status(404)
        };
        // Of some jobs the first chunk is done at once.
        let at_once = ["-canceled", "-swept"].iter().any(|end| tag.ends_with(end));
        return if at_once && number < 33 {
            reply
        } else {
            reply.after(SLOW)
        };
    }
    if path == "/late" {
        let text = |name: &str| asked()[name].as_str().expect("a text").to_owned();
        let mut callbacks = callbacks.lock().unwrap();
        let before = callbacks.insert(text("domain"), text("callback"));
        assert_eq!(before, None, "asked twice");
        return Reply::json(200, &json!({"id": callbacks.len(), "status": "accepted"}));
    }
    let found = match path.strip_prefix("/vendor/") {
        _ if asked().to_string().contains("unknown") => return Reply::status(404),
        Some("email") => {
            json!({"emails": [{"email": "ada@example.com", "status": "deliverable",
                "type": "company"}]})
        }
        Some("phone") => json!({"phones": [{"number": "+1 555 0100", "region": "US"}]}),
        Some("person") => {
            json!({"profile": {"full_name": "ada"}, "full_name": "ada", "title": "Engineer"})
        }
        Some("reverse-email") => json!({"profile": {"full_name": "ada"}}),
        _ => panic!("{path} is not scripted"),
    };
    Reply::json(200, &found)
}

/// The functions behind their API, with one tenant.
struct Stack {
    world: World,
    api: Api,
    tenant: Tenant,
    callbacks: Arc<Mutex<BTreeMap<String, String>>>,
    busy: Arc<AtomicBool>,
}

impl Stack {
    fn new(version: &str, options: &Options) -> Self {
        let mut world = World::with(Options {
            enrich_timeout: ENRICH_TIMEOUT,
            credits: 0,
            ..options.clone()
        });
        // The tenant that every world has is not of the dump.
        for item in world.sim.store.items() {
            world.sim.store.place(&item.key, None);
        }
        let tenant = world.tenant_with(&format!("stored-{}", version.replace('.', "-")), CREDITS);
        let registry = registry();
        let catalog = registry.catalog().clone();
        world.registry = Arc::new(registry);
        let callbacks = Arc::<Mutex<BTreeMap<String, String>>>::default();
        let busy = Arc::<AtomicBool>::default();
        let (known, refuses) = (Arc::clone(&callbacks), Arc::clone(&busy));
        world
            .sim
            .http
            .on(UPSTREAM, move |request| upstream(request, &known, &refuses));
        let api = Api {
            ports: world.ports.clone(),
            catalog,
            retention: RETENTION,
            enrich_timeout: ENRICH_TIMEOUT,
            max_wait: MAX_WAIT,
        };
        Self {
            world,
            api,
            tenant,
            callbacks,
            busy,
        }
    }

    fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> ApiResponse {
        self.call_with(method, path, &[], headers, body)
    }

    fn call_with(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &str,
    ) -> ApiResponse {
        // Surfaces read it here or there.
        let (key, bearer) = (
            self.tenant.api_key.as_str(),
            format!("Bearer {}", self.tenant.api_key),
        );
        let key = [
            ("x-api-key", key),
            ("authorization", &bearer),
            ("content-type", "application/json"),
        ];
        let request = ApiRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            headers: key
                .iter()
                .chain(headers)
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body: body.as_bytes().to_vec(),
            request_id: "req-1".to_owned(),
        };
        let deadline = self.world.now().plus(Duration::from_secs(29));
        if method == "GET" {
            self.world.sim.finish(self.api.read(&request, deadline))
        } else {
            self.world.sim.finish(self.api.write(&request))
        }
    }

    fn get(&self, path: &str) -> Value {
        body(&self.call("GET", path, &[], ""), 200)
    }

    /// The tenant's jobs.
    fn listed(&self) -> Vec<String> {
        let page = self.call_with("GET", "/v1/jobs", &[("limit", "100")], &[], "");
        let page = body(&page, 200);
        page["jobs"]
            .as_array()
            .expect("jobs")
            .iter()
            .map(|job| job["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    /// Posts what an upstream has to say of a domain.
    fn post_answer(&self, url: &str, answer: &Value) {
        let at = url.find(CALLBACKS).expect("a URL of ours");
        assert_eq!(
            self.call("POST", &url[at..], &[], &answer.to_string())
                .status,
            204
        );
    }

    fn hook(&self, path: &str) -> String {
        format!("{}{path}", self.tenant.hooks)
    }
}

#[test]
fn what_versions_left_is_finished_with_exact_counts() {
    for version in VERSIONS {
        finish(&Dump::of(version), version);
    }
}

/// Attributes that save time or work, or guard against rivals that do not occur here: without them
/// everything ends the same.
const HINTS: [&str; 20] = [
    "disabled",
    "done",
    "expires_at",
    "held_00",
    "lease_token",
    "not_before",
    "over_at",
    "quick",
    "rotation",
    "round_start",
    "secret",
    "seen",
    "shards_done",
    "slow",
    "starts_00",
    "turn",
    "turn_job",
    "wake_00",
    "wake_until",
    "window_ms",
];

/// A control: the dump of a version that called an attribute otherwise would not be finished.
#[test]
fn an_attribute_of_another_name_is_noticed() {
    let version = VERSIONS.last().expect("a version");
    let dump = Dump::of(version);
    let attributes = dump.items.iter().flat_map(|item| item.attributes.keys());
    let names: BTreeSet<String> = attributes.cloned().collect();
    let unnoticed = unnoticed(version, names, |dump, name| {
        for item in &mut dump.items {
            item.attributes.remove(name);
        }
    });
    assert_eq!(unnoticed, HINTS);
}

/// Members of stored JSON without which the counts, lines and events that are compared come out the
/// same, and why. That a type reads each of them by its name is checked in `coverage`.
const OPTIONAL: [(&str, &str); 32] = [
    (
        "chunk message.chunk",
        "the sweep asks again for what a message did not",
    ),
    (
        "chunk message.hold",
        "the sweep asks again for what a message did not",
    ),
    (
        "chunk message.job",
        "the sweep asks again for what a message did not",
    ),
    (
        "chunk message.start",
        "the sweep asks again for what a message did not",
    ),
    (
        "chunk message.v",
        "the sweep asks again for what a message did not",
    ),
    (
        "chunk message.wake",
        "the sweep asks again for what a message did not",
    ),
    (
        "chunk.records.*.original",
        "no event that shows it is compared",
    ),
    ("end.told_bytes", "the other size is taken"),
    ("job.blanks", "no found field is blank"),
    ("job.operation", "no event that shows it is compared"),
    (
        "kept.confidence",
        "no line of a record that is answered from it is compared",
    ),
    (
        "kept.fields",
        "no line of a record that is answered from it is compared",
    ),
    (
        "part.outcomes.*.*.data",
        "no line of these records is compared, and credits are counted in progress",
    ),
    (
        "part.outcomes.*.*.error",
        "no line of these records is compared, and credits are counted in progress",
    ),
    (
        "part.outcomes.*.*.sources",
        "no line of these records is compared, and credits are counted in progress",
    ),
    (
        "part.parked.*.*.heard_posts",
        "what was posted is shown once more",
    ),
    (
        "part.parked.*.*.outage",
        "only how long a record waits depends on it",
    ),
    (
        "part.parked.*.*.outage.status",
        "only how long a record waits depends on it",
    ),
    (
        "part.parked.*.*.since",
        "only how long a record waits depends on it",
    ),
    ("profile.webhook_schedule", "the usual schedule holds"),
    (
        "result.*.credits",
        "no line of these records is compared, and credits are counted in progress",
    ),
    (
        "result.*.data",
        "no line of these records is compared, and credits are counted in progress",
    ),
    (
        "result.*.error",
        "no line of these records is compared, and credits are counted in progress",
    ),
    (
        "result.*.sources",
        "no line of these records is compared, and credits are counted in progress",
    ),
    (
        "result.*.sources.*.*.confidence",
        "no line of these records is compared, and credits are counted in progress",
    ),
    (
        "result.*.sources.*.*.license",
        "no line of these records is compared, and credits are counted in progress",
    ),
    (
        "secrets.*.expires_at",
        "the previous secret also signs for longer",
    ),
    (
        "wake message.at",
        "the sweep asks again for what a message did not",
    ),
    (
        "wake message.attempt",
        "the sweep asks again for what a message did not",
    ),
    (
        "wake message.delivery",
        "the sweep asks again for what a message did not",
    ),
    (
        "wake message.job",
        "the sweep asks again for what a message did not",
    ),
    (
        "wake message.v",
        "the sweep asks again for what a message did not",
    ),
];

/// A control: the dump of a version that called a member of stored JSON otherwise would not be
/// finished.
#[test]
fn a_member_of_another_name_is_noticed() {
    let version = VERSIONS.last().expect("a version");
    let members = Dump::of(version).members();
    assert!(members.len() > 100, "{members:?}");
    let unnoticed = unnoticed(version, members, Dump::forget);
    assert_eq!(unnoticed, OPTIONAL.map(|(name, _)| name));
}

/// Returns the names without which a dump is finished as if they were there.
fn unnoticed(
    version: &str,
    names: BTreeSet<String>,
    take: impl Fn(&mut Dump, &str) + std::panic::RefUnwindSafe,
) -> Vec<String> {
    let finished = |name: &String| {
        let finished = catch_unwind(|| {
            let mut dump = Dump::of(version);
            take(&mut dump, name);
            finish(&dump, version);
        });
        finished.is_ok()
    };
    names.into_iter().filter(finished).collect()
}

/// Returns whether everything that is expected to be shown is.
fn shows(shown: &Value, expected: &Value) -> bool {
    let expected = expected.as_object().expect("members by their pointers");
    expected
        .iter()
        .all(|(pointer, value)| shown.pointer(pointer).unwrap_or(&Value::Null) == value)
}

/// Restores a dump, lets everything run, and checks the outcome.
fn finish(dump: &Dump, version: &str) {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut stack = Stack::new(
        version,
        &Options {
            enrichers: 4,
            dispatchers: 4,
            ..Options::default()
        },
    );
    stack.world.sim.clock.advance(100 * 24 * 60 * MINUTE);
    for item in stack.world.sim.store.items() {
        stack.world.sim.store.place(&item.key, None);
    }
    let hooks = text(&dump.expected["hooks"]);
    assert_eq!(hooks, stack.tenant.hooks);
    let dump = dump.restored(stack.world.now(), &hooks, &hooks);
    let list = |name: &str| dump.expected[name].as_array().expect("a list").iter();
    for item in &dump.items {
        let attributes = Some(item.attributes.clone());
        stack.world.sim.store.place(&item.key, attributes);
    }
    for (queue, message) in &dump.messages {
        stack
            .world
            .call(async |ports| ports.queue.send(*queue, vec![message.clone()]).await)
            .expect("it is sent");
    }
    stack.tenant.api_key = text(&dump.expected["api_key"]);
    for post in list("to_post") {
        stack.post_answer(&text(&post["url"]), &post["answer"]);
    }
    let repeated = &dump.expected["repeated"];
    let key = text(&repeated["key"]);
    let answer = stack.call(
        "POST",
        "/v1/jobs",
        &[("idempotency-key", &key)],
        &text(&repeated["body"]),
    );
    let answer = body(&answer, 202);
    assert_eq!(
        (&answer["id"], &answer["errors"]),
        (&repeated["job"], &repeated["errors"])
    );
    assert_eq!(stack.world.quiet_within(60 * MINUTE), Ok(()));

    let listed = stack.listed();
    for job in list("jobs") {
        let shown = stack.get(&format!("/v1/jobs/{}", text(&job["job"])));
        assert_eq!(
            (&shown["status"], &shown["credits"]["used"]),
            (&job["status"], &job["credits"]),
            "{job}: {shown}"
        );
        assert!(
            job["started_at"].is_null() || job["started_at"] == shown["started_at"],
            "{job}: {shown}"
        );
        assert!(listed.contains(&text(&job["job"])), "{job}");
        assert!(shows(&shown, &job["shows"]), "{job}: {shown}");
        let counts = shown["counts"].as_object().expect("counts").iter();
        let counts: Map<_, _> = counts
            .filter(|(name, n)| **n != 0 && *name != "total")
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        assert_eq!(Value::from(counts), job["counts"], "{job}");
    }
    for line in list("lines") {
        let (job, at) = (text(&line["job"]), line["line"].as_u64().expect("a place"));
        let shown = stack.get(&format!("/v1/jobs/{job}/results"));
        let shown = &shown["results"][usize::try_from(at).expect("a place")];
        assert!(shows(shown, &line["shows"]), "{line}: {shown}");
    }
    let reported = stack.tenant.receiver.exchanges();
    for event in list("events") {
        let id = text(&event["delivery"]).replacen("dlv_", "evt_", 1);
        let came: Vec<_> = reported
            .iter()
            .filter(|exchange| exchange.id() == id)
            .collect();
        assert_eq!(came.len(), usize::from(event["to_come"] == true), "{event}");
        for came in came {
            let body = String::from_utf8_lossy(&came.body);
            assert!(
                body.contains(event["says"].as_str().unwrap_or_default()),
                "{event}: {body}"
            );
        }
        let delivery = stack.get(&format!("/v1/deliveries/{id}"));
        let state = event["state"].as_str().unwrap_or("delivered");
        assert_eq!(
            (&delivery["state"], &delivery["type"], &delivery["reason"]),
            (&json!(state), &event["type"], &event["reason"]),
            "{delivery}"
        );
        let before = event["log"].as_array().expect("a log");
        let log = delivery["log"].as_array().expect("a log");
        assert!(log.starts_with(before), "{event}: {delivery}");
    }
    let account = stack.get("/v1/account");
    let credits = json!({"balance": dump.expected["balance"], "used": dump.expected["used"]});
    assert_eq!(
        (&account["credits"], &account["usage"]["open_chunks"]),
        (&credits, &json!(0))
    );
    let sent = stack.world.sim.http.sent();
    let asked = |url: &str| {
        sent.iter()
            .filter(|sent| sent.request.url.contains(url))
            .count()
    };
    assert!(
        list("answered").all(|url| sent.iter().all(|sent| sent.request.url != *url)),
        "an answer was bought again"
    );
    assert_eq!(
        asked(&format!("/lookup/{}.", dump.tenant)) + list("answered").count(),
        40
    );
    assert_eq!(
        (asked("-canceled."), asked(&format!("{UPSTREAM}/late"))),
        (0, 0)
    );
    assert!(list("unasked").all(|url| asked(url.as_str().expect("a URL")) == 0));
}
