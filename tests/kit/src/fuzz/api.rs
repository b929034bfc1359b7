//! Requests to the API: every route of every surface, over the simulated world.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::ids::JobId;
use shared::domain::job::{MAX_RECORDS, Status};
use shared::domain::json;
use shared::domain::record::{MAX_DEPTH, MAX_RECORD_BYTES, depth, is_blank};
use shared::lambda::http::{GatewayRequest, GatewayResponse};
use shared::ports::{Attributes, Item, Key};
use shared::schema::{Chunk, ChunkState, listed_job, read_chunks, read_meta};
use shared::surfaces::common::message::{ApiRequest, ApiResponse};
use shared::surfaces::{Routed, SURFACES, route};

use super::wire::Wire;
use crate::harness::{HOOK, ServedApi, World, found};
use crate::sim::item_size;

/// The largest answer that Lambda takes. Source: AWS Lambda quotas.
const LAMBDA_BYTES: usize = 6_291_456;
/// The largest item. Source: Amazon `DynamoDB` quotas.
const ITEM_BYTES: usize = 400 * 1024;
/// The inputs that one world serves before the next is made: its logs grow.
const INPUTS: u32 = 500;

/// A world with one ended job for each surface.
struct Prepared {
    served: ServedApi,
    /// The table before a request.
    items: BTreeMap<Key, Attributes>,
    /// Placeholders of seeds, and what they stand for.
    names: Vec<(String, String)>,
    inputs: u32,
}

thread_local! {
    static PREPARED: RefCell<Option<Prepared>> = const { RefCell::new(None) };
}

/// `[operations]` that map every operation of every surface to the type `any`, but one of each
/// surface that stays unmapped.
fn operations() -> String {
    let mut toml = String::new();
    for surface in SURFACES
        .iter()
        .filter(|surface| !surface.operations.is_empty())
    {
        let _ = writeln!(toml, "[operations.{}]", surface.name);
        for operation in surface
            .operations
            .iter()
            .rev()
            .skip(usize::from(surface.operations.len() > 1))
        {
            let _ = writeln!(toml, "{operation} = \"any\"");
        }
    }
    toml
}

fn items(served: &ServedApi) -> BTreeMap<Key, Attributes> {
    served
        .world
        .sim
        .store
        .items()
        .into_iter()
        .map(|item| (item.key, item.attributes))
        .collect()
}

impl Prepared {
    fn new() -> Self {
        // The fields found are as odd as the input.
        let answer = |input: &serde_json::Map<String, Value>| {
            let echo: Value = input.values().next_back().cloned().unwrap_or(Value::Null);
            (
                Duration::from_secs(1),
                found(json!({"name": echo, "email": "a@b.example"})),
            )
        };
        let mut served = ServedApi::new(World::new(), SURFACES, &operations(), answer);
        served.listen_everywhere();
        let key = served.key().to_owned();
        let bearer = format!("Bearer {key}");
        let headers = [
            ("x-api-key", key.as_str()),
            ("authorization", bearer.as_str()),
        ];
        let record = json!({"domain": "a.example", "note": "=1+1"});
        for (path, body) in [
            (
                "/v1/jobs",
                json!({"type": "any", "webhook_url": HOOK, "records": [
                    {"id": "=1", "input": {"domain": "a.example"}},
                    {"input": {"domain": "b.example"}}]}),
            ),
            (
                "/api/v1/async/enrich",
                json!({"type": "company", "records": [record], "webhook_url": HOOK}),
            ),
            (
                "/find-email-async",
                json!({"lead": {"name": "A B"}, "webhook_url": HOOK}),
            ),
            (
                "/email-to-hem",
                json!({"email": "a@b.example", "callbackUrl": HOOK}),
            ),
            (
                "/api/v2/contact/enrich/bulk",
                json!({"name": "n", "webhook_url": HOOK,
                    "data": [{"first_name": "A", "last_name": "B", "domain": "a.example"}]}),
            ),
        ] {
            let response = served.post(path, &headers, &body);
            assert!(
                response.status < 300,
                "{path}: {}",
                String::from_utf8_lossy(&response.body)
            );
        }
        served.settle();
        let mut names = vec![("$KEY".to_owned(), key)];
        for job in jobs(&items(&served)) {
            let meta = read_meta(
                &served
                    .world
                    .sim
                    .store
                    .peek(&shared::schema::meta_key(&job))
                    .expect("a head"),
            )
            .expect("a job");
            let surface = SURFACES
                .iter()
                .find(|s| s.name == meta.spec.surface)
                .expect("a surface");
            names.push((
                format!("${}", surface.name.to_ascii_uppercase()),
                (surface.id)(&job),
            ));
            if surface.name == SURFACES[0].name {
                names.push(("$DELIVERY".to_owned(), job.end_delivery().to_string()));
            }
        }
        Self {
            items: items(&served),
            served,
            names,
            inputs: 0,
        }
    }

    /// Returns true if the next input finds the world as this one did.
    fn is_fresh(&self) -> bool {
        self.inputs < INPUTS
            && self.served.world.now().since(
                shared::domain::time::Timestamp::parse("2026-01-01T00:00:00Z").expect("a date"),
            ) < Duration::from_secs(20 * 24 * 3600)
    }

    fn fill(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, value)| {
                text.replace(name, value)
            })
    }
}

fn jobs(items: &BTreeMap<Key, Attributes>) -> Vec<JobId> {
    items
        .keys()
        .filter(|key| key.sk == "META")
        .filter_map(listed_job)
        .collect()
}

/// A request in the form of [`Wire`]; `$KEY` is a valid key, and `$NATIVE`, `$APIONE` … are jobs as
/// these surfaces write them.
pub fn request(bytes: &[u8]) {
    let wire = Wire::parse(bytes);
    with_world(|world| {
        let first = world.fill(&wire.first);
        let (method, target) = first.split_once(' ').unwrap_or(("POST", &first));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = wire
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), world.fill(value)))
            .collect();
        Some(ApiRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            headers,
            body: wire.body.clone(),
            request_id: "req-1".to_owned(),
        })
    });
}

/// An event as API Gateway sends it, with the same placeholders.
pub fn gateway_event(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    with_world(|world| {
        let event: GatewayRequest = serde_json::from_str(&world.fill(text)).ok()?;
        Some(event.into_api("req-1".to_owned()))
    });
}

fn with_world(request: impl FnOnce(&Prepared) -> Option<ApiRequest>) {
    // Taken, so that a panic leaves none behind.
    let mut world = PREPARED
        .take()
        .filter(Prepared::is_fresh)
        .unwrap_or_else(Prepared::new);
    let Some(request) = request(&world) else {
        return PREPARED.set(Some(world));
    };
    let secrets = [
        world.served.key().to_owned(),
        world.served.world.tenant.secret.reveal().to_owned(),
    ];
    let changed =
        super::without_secrets(&[&secrets[0], &secrets[1]], || serve(&mut world, &request));
    world.inputs += 1;
    PREPARED.set(Some(world).filter(|_| !changed));
}

/// Serves a request and checks everything about its answer. Returns true if the table has changed.
fn serve(world: &mut Prepared, request: &ApiRequest) -> bool {
    let response = world.served.carry_out(request);
    answered(request, &response);
    let after = items(&world.served);
    let changed = after != world.items;
    let refused = response.status >= 400 || request.method == "GET";
    assert!(
        !(changed && refused),
        "a request that is answered {} changed the table: {:?}",
        response.status,
        difference(&world.items, &after)
    );
    for (key, attributes) in &after {
        let size = item_size(&Item {
            key: key.clone(),
            attributes: attributes.clone(),
        });
        assert!(size <= ITEM_BYTES, "{key:?} has {size} bytes");
    }
    let before = jobs(&world.items);
    let new: Vec<JobId> = jobs(&after)
        .into_iter()
        .filter(|job| !before.contains(job))
        .collect();
    assert!(new.len() <= 1, "one request made {} jobs", new.len());
    if changed {
        for job in &new {
            accepted(&world.served, job);
        }
        world.served.settle();
        for job in &new {
            ended(&mut world.served, job, request);
        }
    }
    changed
}

fn difference(before: &BTreeMap<Key, Attributes>, after: &BTreeMap<Key, Attributes>) -> Vec<Key> {
    after
        .iter()
        .filter(|(key, item)| before.get(*key) != Some(*item))
        .map(|(key, _)| key.clone())
        .collect()
}

/// Checks an answer against the promises of every surface.
fn answered(request: &ApiRequest, response: &ApiResponse) {
    let text = String::from_utf8_lossy(&response.body);
    let shown: String = text.chars().take(300).collect();
    assert!(
        matches!(
            response.status,
            200 | 202 | 204 | 304 | 400 | 401 | 402 | 404 | 405 | 409 | 413 | 422
        ),
        "{} {}: {} {shown}",
        request.method,
        request.path,
        response.status
    );
    let whole = serde_json::to_string(&GatewayResponse::from(response.clone()))
        .expect("a response is JSON");
    assert!(
        whole.len() <= LAMBDA_BYTES,
        "an answer of {} bytes",
        whole.len()
    );
    for (name, value) in &response.headers {
        assert!(
            value
                .chars()
                .all(|c| c == '\t' || (c.is_ascii() && !c.is_ascii_control())),
            "{name}: {value:?}"
        );
    }
    let media = response
        .headers
        .iter()
        .find(|(name, _)| *name == "content-type")
        .map(|(_, value)| value.as_str());
    if response.body.is_empty() {
        return;
    }
    if media == Some("application/json") || media == Some("application/problem+json") {
        let body: Value =
            serde_json::from_slice(&response.body).unwrap_or_else(|e| panic!("{e}: {shown}"));
        if response.status >= 400 {
            is_an_error(request, response.status, media, &body);
        }
    } else {
        assert!(
            response.status == 200
                && media.is_some_and(|m| m.contains("csv") || m.contains("ndjson")),
            "{media:?}: {shown}"
        );
    }
}

/// Checks the form that the surface documents for its errors: `docs/API.md`, `docs/surfaces`.
fn is_an_error(request: &ApiRequest, status: u16, media: Option<&str>, body: &Value) {
    let surface = match route(SURFACES, request) {
        Routed::To { surface, .. } | Routed::Method { surface, .. } => surface.name,
        Routed::Nowhere => SURFACES[0].name,
    };
    let text = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
    let fits = match surface {
        "native" => {
            media == Some("application/problem+json")
                && body["type"]
                    .as_str()
                    .is_some_and(|kind| kind.starts_with("urn:millrace:problem:"))
                && body["status"] == status
                && text("title")
                && text("detail")
                && body["request_id"] == "req-1"
        }
        "apione" => {
            body["status"] == "error"
                && body["code"] == status
                && text("message")
                && body["request_id"] == "req-1"
        }
        "sixtyfour" => match &body["detail"] {
            Value::String(detail) => !detail.is_empty() && status != 422,
            Value::Array(faults) => {
                let is_fault = |fault: &Value| {
                    fault["type"].is_string() && fault["msg"].is_string() && fault["loc"].is_array()
                };
                status == 422 && !faults.is_empty() && faults.iter().all(is_fault)
            }
            _ => false,
        },
        "springbolt" => body["success"] == false && body["status"] == "error" && text("message"),
        // An enrichment that is running or has no credits is shown with such a status, too.
        "fullenrich" => (text("code") && text("message")) || body["id"].is_string(),
        other => panic!("{other} has no form of errors here"),
    };
    assert!(fits, "{surface} {status}: {body}");
}

/// Everything of an accepted job can be read again, and is within the limits.
fn accepted(served: &ServedApi, job: &JobId) {
    let store = &served.world.sim.store;
    let head = read_meta(&store.peek(&shared::schema::meta_key(job)).expect("a head"))
        .expect("a head can be read");
    assert!(
        head.status == Status::Queued && (1..=MAX_RECORDS).contains(&(head.spec.total as usize)),
        "{head:?}"
    );
    let mine = format!("JOB#{job}#");
    let items: Vec<Item> = store
        .items()
        .into_iter()
        .filter(|item| item.key.pk.starts_with(&mine))
        .collect();
    let chunks: Vec<Chunk> = read_chunks(&items)
        .expect("chunks can be read")
        .into_values()
        .filter_map(|ChunkState { chunk, .. }| chunk)
        .collect();
    assert_eq!(chunks.len(), head.spec.chunks as usize);
    let records: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.records).collect();
    assert_eq!(records.len(), head.spec.total as usize);
    for record in records {
        // Providers can see a value of the caller's under two names.
        for (members, most) in [
            (Some(record.sent()), 1),
            (Some(&record.input), 2),
            (record.metadata.as_ref(), 1),
        ] {
            let value = Value::Object(members.cloned().unwrap_or_default());
            let (size, deep) = (value.to_string().len(), depth(&value));
            assert!(size <= most * MAX_RECORD_BYTES, "a record of {size} bytes");
            assert!(deep <= MAX_DEPTH, "a record of depth {deep}");
        }
        let bounded = |id: &String| id.trim().is_empty() || id.chars().count() <= 256;
        assert!(record.id.as_ref().is_none_or(bounded), "{:?}", record.id);
        assert!(
            record
                .blank_metadata
                .as_ref()
                .is_none_or(|text| text.trim().is_empty()),
            "{record:?}"
        );
    }
}

/// The results of a job that has ended: every form has one line for each record, and returns what
/// was sent.
fn ended(served: &mut ServedApi, job: &JobId, request: &ApiRequest) {
    let bearer = format!("Bearer {}", served.key());
    let path = format!("/v1/jobs/{job}");
    let mut get = |path: &str, accept: &str| {
        served.get(path, &[("authorization", &bearer), ("accept", accept)])
    };
    let shown = get(&path, "*/*");
    assert_eq!(shown.status, 200);
    let total =
        serde_json::from_slice::<Value>(&shown.body).expect("a job is JSON")["counts"]["total"]
            .as_u64()
            .expect("a number");
    let mut lines: Vec<Value> = Vec::new();
    for media in ["application/json", "application/x-ndjson", "text/csv"] {
        let (mut rows, mut cursor) = (0, String::new());
        loop {
            let page = get(&format!("{path}/results?limit=1000{cursor}"), media);
            assert_eq!(page.status, 200, "{}", String::from_utf8_lossy(&page.body));
            let next = match media {
                "application/json" => {
                    let mut body = json::read(&page.body).expect("a page is JSON");
                    let Value::Array(results) = body["results"].take() else {
                        panic!("no results")
                    };
                    rows += results.len() as u64;
                    lines.extend(results);
                    body["next_cursor"].as_str().map(str::to_owned)
                }
                "text/csv" => {
                    let mut reader = csv::ReaderBuilder::new()
                        .has_headers(cursor.is_empty())
                        .from_reader(&page.body[..]);
                    for row in reader.records() {
                        let row = row.expect("a row of CSV");
                        assert_eq!(row.len(), 8);
                        rows += 1;
                    }
                    header(&page, "millrace-next-cursor")
                }
                _ => {
                    for line in page
                        .body
                        .split(|b| *b == b'\n')
                        .filter(|line| !line.is_empty())
                    {
                        let line: Value = serde_json::from_slice(line).expect("a line is JSON");
                        assert_eq!(line["index"], rows);
                        rows += 1;
                    }
                    header(&page, "millrace-next-cursor")
                }
            };
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(rows, total, "{media}");
    }
    if request.path == "/v1/jobs" {
        let sent = json::read(&request.body).expect("it was accepted");
        for (line, sent) in lines
            .iter()
            .zip(sent["records"].as_array().expect("it was accepted"))
        {
            let large = line["error"]["code"] == "record_too_large";
            for member in ["id", "input", "metadata"] {
                // A value sent in place of a record is shown as its input.
                let whole = (member == "input" && !sent.is_object()).then_some(sent);
                let sent = whole
                    .or_else(|| sent.get(member))
                    .cloned()
                    .unwrap_or(Value::Null);
                let left_out = line[member].is_null() && (is_blank(&sent) || large);
                assert!(
                    line[member] == sent || left_out,
                    "{member} comes back: {sent}, {line}"
                );
            }
        }
    }
}

fn header(response: &ApiResponse, name: &str) -> Option<String> {
    response
        .headers
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value.clone())
}
