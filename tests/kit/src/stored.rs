//! A table and its queues as a version of Millrace left them in the middle of its work. They are
//! restored at another time, for another version to go on from.
//!
//! A dump holds absolute times; [`Dump::restored`] moves them all by the same whole seconds. Every
//! attribute is listed here as a time or not; an unknown one is an error: nothing is guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use shared::domain::ids::TenantId;
use shared::domain::time::Timestamp;
use shared::ports::{Attributes, Item, Key, MAX_QUEUE_DELAY, Message, QueueName, Value as Stored};
use shared::schema::{endpoint_key, origin_key};

/// The versions with a dump, the newest last.
pub const VERSIONS: [&str; 1] = ["0.1"];

const QUEUES: [QueueName; 4] = [
    QueueName::Enrich,
    QueueName::EnrichBulk,
    QueueName::Webhook,
    QueueName::WebhookRetry,
];
/// A payload never unpacks to more.
const MAX_UNPACKED_BYTES: usize = 20 * 1024 * 1024;

/// The stored state of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Dump {
    pub made_at: Timestamp,
    pub tenant: TenantId,
    pub items: Vec<Item>,
    /// By queue; `delay` is the time that each was still invisible.
    pub messages: Vec<(QueueName, Message)>,
    /// The expected end, and what a client needs to see it.
    pub expected: Value,
}

/// Returns the path of a version's dump.
pub fn path(version: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../e2e/stored/v{version}.json"))
}

impl Dump {
    /// Reads the dump of a version.
    ///
    /// # Panics
    /// Where there is none, or it is not a dump.
    pub fn of(version: &str) -> Self {
        let path = path(version);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let dump: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let list = |name: &str| {
            dump[name]
                .as_array()
                .unwrap_or_else(|| panic!("a dump has {name}"))
                .iter()
        };
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let item = |item: &Value| Item {
            key: Key {
                pk: text(&item["pk"]),
                sk: text(&item["sk"]),
            },
            attributes: object(&item["attributes"])
                .iter()
                .map(|(name, value)| (name.clone(), read(value)))
                .collect(),
        };
        let message = |message: &Value| {
            let queue = QUEUES
                .into_iter()
                .find(|queue| format!("{queue:?}") == message["queue"])
                .expect("a queue");
            let delay = Duration::from_secs(message["delay_s"].as_u64().expect("seconds"));
            (
                queue,
                Message {
                    body: text(&message["body"]),
                    delay,
                    group: text(&message["group"]),
                },
            )
        };
        Self {
            made_at: Timestamp(dump["made_at"].as_i64().expect("a time")),
            tenant: TenantId::parse(&text(&dump["tenant"])).expect("a tenant id"),
            items: list("items").map(item).collect(),
            messages: list("messages").map(message).collect(),
            expected: dump["expected"].clone(),
        }
    }

    /// Returns the dump as text, with one item or message in each line.
    pub fn text(&self) -> String {
        let items = self.items.iter().map(|item| {
            let attributes: Map<_, _> = item
                .attributes
                .iter()
                .map(|(name, value)| (name.clone(), shown(value)))
                .collect();
            json!({"pk": item.key.pk, "sk": item.key.sk, "attributes": attributes})
        });
        let messages = self.messages.iter().map(|(queue, message)| {
            let Message { body, delay, group } = message;
            json!({"queue": format!("{queue:?}"), "delay_s": delay.as_secs(), "group": group,
                "body": body})
        });
        let lines = |lines: &mut dyn Iterator<Item = Value>| {
            lines
                .map(|line| format!("    {line}"))
                .collect::<Vec<_>>()
                .join(",\n")
        };
        let mut text = format!(
            "{{\n  \"made_at\": {},\n  \"tenant\": \"{}\",\n",
            self.made_at.0, self.tenant
        );
        let expected = serde_json::to_string_pretty(&self.expected)
            .expect("JSON")
            .replace('\n', "\n  ");
        for (name, lines) in [
            ("items", lines(&mut { items })),
            ("messages", lines(&mut { messages })),
        ] {
            let _ = writeln!(text, "  \"{name}\": [\n{lines}\n  ],");
        }
        let _ = writeln!(text, "  \"expected\": {expected}\n}}");
        text
    }

    /// Calls `edit` with each of our JSON values that is stored or sent, and its form.
    pub fn each_json(&mut self, mut edit: impl FnMut(&'static str, &mut Value)) {
        for item in &mut self.items {
            let key = item.key.clone();
            for (name, stored) in &mut item.attributes {
                let Some(form) = form(&key, name) else {
                    continue;
                };
                match stored {
                    Stored::B(bytes) => *bytes = payload(bytes, |value| edit(form, value)),
                    Stored::S(text) => {
                        let mut value = serde_json::from_str(text).expect("JSON");
                        edit(form, &mut value);
                        *text = value.to_string();
                    }
                    other => panic!("{name} of {key:?} holds no JSON: {other:?}"),
                }
            }
        }
        for (queue, message) in &mut self.messages {
            let form = match queue {
                QueueName::Enrich | QueueName::EnrichBulk => "chunk message",
                QueueName::Webhook | QueueName::WebhookRetry => "wake message",
            };
            let mut body = serde_json::from_str(&message.body).expect("a message is JSON");
            edit(form, &mut body);
            message.body = body.to_string();
        }
    }

    /// Returns each member of that JSON as its form and the path to it.
    pub fn members(&mut self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.each_json(|form, value| members(value, form, &mut found));
        found
    }

    /// Removes one of [`members`](Self::members), wherever it is.
    pub fn forget(&mut self, member: &str) {
        let (of, path) = member.split_once('.').expect("a member is of something");
        self.each_json(|form, value| {
            if form == of {
                remove(value, path);
            }
        });
    }

    /// Returns the same as if it had been stored just before `now`, with receivers below `to`
    /// instead of `from`.
    ///
    /// # Panics
    /// Where an attribute is not known here.
    #[must_use]
    pub fn restored(&self, now: Timestamp, from: &str, to: &str) -> Self {
        let seconds = (now.0 - self.made_at.0).div_euclid(1000);
        let mut moved = Moved {
            seconds,
            from: from.to_owned(),
            to: to.to_owned(),
            keys: BTreeMap::new(),
        };
        let mut items: Vec<Item> = self
            .items
            .iter()
            .map(|item| moved.item(item, &self.tenant))
            .collect();
        for item in items
            .iter_mut()
            .filter(|item| item.key.pk.starts_with("ENDPOINT#"))
        {
            item.key.pk.clone_from(
                moved
                    .keys
                    .get(&item.key.pk)
                    .expect("the state of a receiver that an event goes to"),
            );
        }
        let messages = self.messages.iter().map(|(queue, message)| {
            let mut body: Value = serde_json::from_str(&message.body).expect("a message is JSON");
            for name in ["hold", "wake", "at"] {
                moved.millis(&mut body, name);
            }
            (
                *queue,
                Message {
                    body: body.to_string(),
                    ..message.clone()
                },
            )
        });
        let messages = messages.collect();
        let mut expected = self.expected.clone();
        for job in list(expected.get_mut("jobs")).filter(|job| !job["started_at"].is_null()) {
            moved.text_time(&mut job["started_at"]);
        }
        for event in list(expected.get_mut("events")) {
            for attempt in list(event.get_mut("log")) {
                moved.text_time(&mut attempt["at"]);
            }
        }
        for line in list(expected.get_mut("lines")) {
            for shown in line["shows"].as_object_mut().expect("members").values_mut() {
                if shown["fetched_at"].is_string() {
                    moved.text_time(&mut shown["fetched_at"]);
                }
            }
        }
        Self {
            made_at: Timestamp(self.made_at.0 + 1000 * seconds),
            items,
            messages,
            expected,
            ..self.clone()
        }
    }
}

/// Returns the form of the JSON in an attribute, where it is ours: not the words of callers and
/// upstreams, and not pairs of texts.
fn form(key: &Key, attribute: &str) -> Option<&'static str> {
    let mut parts = key.sk.split('#');
    let sk = (parts.next(), parts.next(), parts.next());
    Some(match (attribute, sk) {
        ("spec", (Some("META"), ..)) => "job",
        ("spec", (Some("DELIVERY"), ..)) => "delivery",
        ("spec", (Some("PROFILE"), ..)) => "profile",
        ("end", _) => "end",
        ("log", _) => "log",
        ("secrets", _) => "secrets",
        ("data", (Some("CACHE"), ..)) => "kept",
        ("data", (Some("CHUNK"), Some(number), part)) if number != "CALL" => match part {
            None => "chunk",
            Some("PART") => "part",
            _ => "result",
        },
        _ => return None,
    })
}

/// Members with the words of callers, providers and operators: their content is not ours.
const OTHERS: [&str; 7] = [
    "data",
    "fields",
    "input",
    "malformed",
    "metadata",
    "original",
    "ticket",
];

/// Returns the path of each member in `value`, below `path`; `*` is each element of an array.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members_of) => {
            for (name, member) in members_of {
                let path = format!("{path}.{name}");
                if !OTHERS.contains(&name.as_str()) {
                    members(member, &path, found);
                }
                found.insert(path);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                members(element, &format!("{path}.*"), found);
            }
        }
        _ => {}
    }
}

fn remove(value: &mut Value, path: &str) {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    match (value, name, rest) {
        (Value::Array(elements), "*", _) => {
            for element in elements {
                remove(element, rest);
            }
        }
        (Value::Object(members), _, "") => {
            members.shift_remove(name);
        }
        (Value::Object(members), ..) => {
            if let Some(member) = members.get_mut(name) {
                remove(member, rest);
            }
        }
        _ => {}
    }
}

/// Returns the whole seconds for which a message is still invisible.
pub fn delay(visible_at: Timestamp, now: Timestamp) -> Duration {
    let left = u64::try_from(visible_at.since(now).as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    Duration::from_secs(left).min(MAX_QUEUE_DELAY)
}

fn object(value: &Value) -> &Map<String, Value> {
    value
        .as_object()
        .unwrap_or_else(|| panic!("no object: {value}"))
}

fn shown(value: &Stored) -> Value {
    match value {
        Stored::S(text) => json!({"S": text}),
        Stored::N(number) => json!({"N": number}),
        Stored::B(bytes) => json!({"B": STANDARD.encode(bytes)}),
        Stored::Ss(texts) => json!({"SS": texts}),
    }
}

fn read(value: &Value) -> Stored {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (kind, value) = object(value).iter().next().expect("a value has its type");
    match kind.as_str() {
        "S" => Stored::S(text(value)),
        "N" => Stored::N(value.as_i64().expect("a number")),
        "B" => Stored::B(STANDARD.decode(text(value)).expect("base 64")),
        "SS" => Stored::Ss(value.as_array().expect("texts").iter().map(text).collect()),
        other => panic!("no type of the table: {other}"),
    }
}

/// Moves times by this much, and receivers elsewhere.
struct Moved {
    seconds: i64,
    from: String,
    to: String,
    /// Partitions of receivers' state, by the former ones.
    keys: BTreeMap<String, String>,
}

impl Moved {
    fn item(&mut self, item: &Item, tenant: &TenantId) -> Item {
        let moved = item.attributes.iter().map(|(name, value)| {
            let moved = match value {
                Stored::N(number) => Stored::N(self.number(name, *number, &item.key)),
                Stored::S(text) => Stored::S(self.text(name, text, &item.key, tenant)),
                Stored::B(bytes) => Stored::B(self.bytes(name, bytes, &item.key)),
                Stored::Ss(_) => {
                    assert!(
                        ["done", "shards_done", "scopes"].contains(&name.as_str()),
                        "{name} of {:?}",
                        item.key
                    );
                    value.clone()
                }
            };
            (name.clone(), moved)
        });
        let attributes: Attributes = moved.collect();
        Item {
            key: item.key.clone(),
            attributes,
        }
    }

    fn number(&self, name: &str, number: i64, key: &Key) -> i64 {
        match name.split_once('_').map_or(name, |(first, rest)| {
            if rest.parse::<u32>().is_ok() {
                first
            } else {
                name
            }
        }) {
            "due" | "started_at" | "next_attempt_at" | "lease_until" | "expires_ms"
            | "not_before" | "turn_until" | "probe_until" | "wake_until" | "held" | "wake" => {
                number + 1000 * self.seconds
            }
            "expires_at" | "over_at" => number + self.seconds,
            // The first two say when a job was submitted, by its id, which stays.
            "turn_job" | "newest" | "seen" | "window_ms" | "balance" | "used" | "open_chunks"
            | "attempts" | "round_start" | "explicit" | "disabled" | "slow" | "quick" | "items"
            | "starts" => number,
            _ => panic!("say whether {name} of {key:?} is a time"),
        }
    }

    fn text(&mut self, name: &str, text: &str, key: &Key, tenant: &TenantId) -> String {
        let read = || {
            serde_json::from_str::<Value>(text)
                .unwrap_or_else(|error| panic!("{name} of {key:?}: {error}"))
        };
        match name {
            "spec" => {
                let mut spec = read();
                for name in ["created_at", "run_until", "expires_at", "event_at"] {
                    self.millis(&mut spec, name);
                }
                for place in ["/url", "/webhook/url", "/record_webhook/url"] {
                    if let Some(url) = spec.pointer_mut(place) {
                        self.url(url, tenant);
                    }
                }
                spec.to_string()
            }
            "end" => {
                let mut end = read();
                self.millis(&mut end, "at");
                end.to_string()
            }
            "log" | "secrets" => {
                let mut entries = read();
                for entry in entries.as_array_mut().expect("a list") {
                    self.millis(entry, if name == "log" { "at" } else { "expires_at" });
                }
                entries.to_string()
            }
            "status" | "due_shard" | "tenant_jobs" | "job_id" | "state" | "lease_token"
            | "turn" | "probe" | "reason" | "run" | "fingerprint" | "job" | "tenant"
            | "rotation" => text.to_owned(),
            _ => panic!("say whether {name} of {key:?} has times"),
        }
    }

    fn bytes(&self, name: &str, bytes: &[u8], key: &Key) -> Vec<u8> {
        let mut parts = key.sk.split('#');
        match (name, parts.next(), parts.next(), parts.next()) {
            // Keys; answers about a request's records; requests; an upstream's posts.
            ("callback_key", Some("META"), ..)
            | ("secret", Some("KEY"), ..)
            | ("data", Some("IDEM"), ..)
            | ("data", Some("CHUNK"), Some(_), None)
            | ("data", Some("CHUNK"), Some("CALL"), _) => bytes.to_vec(),
            ("data", Some("CACHE"), ..) => payload(bytes, |kept| {
                self.text_time(&mut kept["fetched_at"]);
            }),
            ("data", Some("CHUNK"), Some(_), Some("RESULT")) => payload(bytes, |outcomes| {
                for outcome in list(Some(outcomes)) {
                    // Overflow has each with its place.
                    self.outcome(if outcome.is_array() {
                        &mut outcome[1]
                    } else {
                        outcome
                    });
                }
            }),
            ("data", Some("CHUNK"), Some(_), Some("PART")) => payload(bytes, |part| {
                for outcome in list(part.get_mut("outcomes")) {
                    self.outcome(&mut outcome[1]);
                }
                for suspended in list(part.get_mut("parked")) {
                    for name in ["resume_at", "give_up_at", "since"] {
                        self.millis(&mut suspended[1], name);
                    }
                    self.outcome(&mut suspended[1]["merged"]);
                }
            }),
            _ => panic!("say whether {name} of {key:?} has times"),
        }
    }

    /// Moves the fetch times of an outcome's fields, and of the fields known before it.
    fn outcome(&self, outcome: &mut Value) {
        for source in list(outcome.get_mut("sources")) {
            self.text_time(&mut source[1]["fetched_at"]);
        }
    }

    /// Moves a time as it is shown.
    fn text_time(&self, time: &mut Value) {
        let at = time
            .as_str()
            .and_then(Timestamp::parse)
            .unwrap_or_else(|| panic!("{time} is not a time"));
        *time = Timestamp(at.0 + 1000 * self.seconds).rfc3339().into();
    }

    /// Moves a member that is a time in milliseconds, where it exists.
    fn millis(&self, object: &mut Value, name: &str) {
        if let Some(at) = object.get_mut(name).filter(|at| !at.is_null()) {
            *at = (at
                .as_i64()
                .unwrap_or_else(|| panic!("{name} is a time: {at}"))
                + 1000 * self.seconds)
                .into();
        }
    }

    /// Moves a receiver's address, and the partitions of its state.
    fn url(&mut self, url: &mut Value, tenant: &TenantId) {
        let before = url.as_str().expect("a URL").to_owned();
        let after = before
            .strip_prefix(&self.from)
            .map(|path| format!("{}{path}", self.to));
        let after = after.unwrap_or_else(|| panic!("{before} is not below {}", self.from));
        for key in [endpoint_key, origin_key] {
            self.keys
                .insert(key(tenant, &before).pk, key(tenant, &after).pk);
        }
        *url = after.into();
    }
}

fn list(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_array_mut).into_iter().flatten()
}

fn payload(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let text = zstd::bulk::decompress(bytes, MAX_UNPACKED_BYTES).expect("a payload is packed");
    let mut payload = serde_json::from_slice(&text).expect("a payload is JSON");
    change(&mut payload);
    zstd::bulk::compress(payload.to_string().as_bytes(), 0).expect("a payload can be packed")
}

/// Returns the answer of the tests' upstream at `/piece/WHAT?domain=DOMAIN`. Providers of several
/// types ask there, and the beginning of the domain decides the answer. `None` for another path.
pub fn piece(path: &str) -> Option<(u16, Value)> {
    let (what, domain) = path.strip_prefix("/piece/")?.split_once("?domain=")?;
    let known = match what {
        "kept" => json!({"one": "first", "sure": 0.5}),
        "last" => json!({"three": 3}),
        "refusing" => json!({"four": "at last"}),
        _ => return Some((404, Value::Null)),
    };
    Some(match (what, domain.split('.').next()) {
        ("kept", Some("no")) | ("last", Some("failure")) => (404, Value::Null),
        ("kept", Some("failure")) | ("last", Some("no" | "broken")) => (500, Value::Null),
        _ => (200, known),
    })
}
