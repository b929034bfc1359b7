//! Reads the requests of the native API, and reports every fault of one at once.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::catalog::{Catalog, RecordType};
use crate::domain::delivery::EventType;
use crate::domain::error::ApiError;
use crate::domain::job::{InvalidRecords, MAX_RECORDS, Submission, Webhook};
use crate::domain::record::{MAX_RECORD_BYTES, OutcomeError, Record, is_blank, present};
use crate::domain::signature::Secret;
use crate::surfaces::common::message::ApiRequest;
use crate::surfaces::common::read::{Faults, bytes, object, texts, too_large};
use crate::surfaces::{MAX_OWN_SECRET, MAX_URL_CHARS, OwnSecret, Reading, Rotation};

/// The most characters of a job's name.
const MAX_NAME_CHARS: usize = 200;

/// The most characters of a caller's record id.
pub(super) const MAX_ID_CHARS: usize = 256;

/// Reads `Authorization: Bearer KEY` or `X-API-Key: KEY`.
pub(super) fn key(request: &ApiRequest) -> Option<&str> {
    request.bearer().or_else(|| request.header("x-api-key"))
}

fn read_url(
    request: &Map<String, Value>,
    at: &str,
    name: &str,
    reading: &Reading<'_>,
    faults: &mut Faults,
) -> Option<String> {
    let url = faults.text(request, at, name, MAX_URL_CHARS)?;
    match reading.url_fault(&url) {
        None => Some(url),
        Some(fault) => {
            faults.add(format!("{at}/{name}"), fault);
            None
        }
    }
}

/// Reads `POST /v1/jobs`. Every fault of a request that is refused is reported at once.
pub(super) fn read_submission(
    request: &ApiRequest,
    reading: &Reading<'_>,
) -> Result<Submission, ApiError> {
    const KNOWN: [&str; 9] = [
        "type",
        "name",
        "records",
        "webhook_url",
        "webhook_events",
        "providers",
        "max_credits",
        "dry_run",
        "strict",
    ];
    let mut request = object(&request.body)?;
    let mut faults = Faults::default();
    faults.closed("", &request, &KNOWN);

    let kind = read_kind(&request, reading.catalog, &mut faults);
    let name = faults.text(&request, "", "name", MAX_NAME_CHARS);
    let webhook =
        read_url(&request, "", "webhook_url", reading, &mut faults).map(|url| Webhook { url });
    let record_webhook = read_record_webhook(&request, reading, &mut faults);
    let providers = kind.and_then(|kind| read_providers(&request, kind, &mut faults));
    let max_credits = match present(&request, "max_credits") {
        None => None,
        Some(value) => {
            let number = value.as_u64();
            if number.is_none() {
                faults.add("/max_credits", "must be a whole number of at least 0");
            }
            number
        }
    };
    let dry_run = faults.flag(&request, "", "dry_run");
    let strict = faults.flag(&request, "", "strict");
    let items = read_items(request.swap_remove("records"), &mut faults);
    let (records, invalid) = read_records(items, kind, strict, faults)?;
    let kind = kind.map(|k| k.name().to_owned()).unwrap_or_default();
    let job = Submission::new(reading.surface.name, kind, records);
    Ok(Submission {
        name,
        invalid,
        webhook,
        record_webhook,
        providers,
        max_credits,
        dry_run,
        ..job
    })
}

/// Reads the receivers of the events of records.
fn read_record_webhook(
    request: &Map<String, Value>,
    reading: &Reading<'_>,
    faults: &mut Faults,
) -> Option<Webhook> {
    match present(request, "webhook_events") {
        None => None,
        Some(Value::Object(events)) => {
            let finished = EventType::RecordFinished.as_str();
            faults.closed("/webhook_events", events, &[finished]);
            read_url(events, "/webhook_events", finished, reading, faults)
                .map(|url| Webhook { url })
        }
        Some(_) => {
            faults.add(
                "/webhook_events",
                "must be an object like {\"record.finished\": \"https://…\"}",
            );
            None
        }
    }
}

/// Reads the member `records` and checks its length; `None` if it is wrong.
fn read_items(records: Option<Value>, faults: &mut Faults) -> Vec<Value> {
    match records.filter(|value| !is_blank(value)) {
        None => {
            faults.add("/records", "is required: 1 to 1,000 records");
            Vec::new()
        }
        Some(Value::Array(items)) if items.is_empty() => {
            faults.add("/records", "is empty; a job has 1 to 1,000 records");
            Vec::new()
        }
        Some(Value::Array(items)) if items.len() > MAX_RECORDS => {
            faults.add(
                "/records",
                format!(
                    "has {} records; a job has at most {MAX_RECORDS}",
                    items.len()
                ),
            );
            Vec::new()
        }
        Some(Value::Array(items)) => items,
        Some(_) => {
            faults.add("/records", "must be an array of records");
            Vec::new()
        }
    }
}

/// Reads the records. Invalid ones are set apart, unless all are invalid, the caller wants them
/// refused, or the rest of the request has `faults`: then every fault is reported at once.
fn read_records(
    items: Vec<Value>,
    kind: Option<&RecordType>,
    strict: bool,
    mut faults: Faults,
) -> Result<(Vec<Record>, InvalidRecords), ApiError> {
    let (mut records, mut invalid, mut theirs) = (
        Vec::with_capacity(items.len()),
        InvalidRecords::default(),
        Faults::default(),
    );
    for (at, item) in items.into_iter().enumerate() {
        let (record, wrong) = read_record(item, kind);
        records.push(record);
        if let Some((code, wrong)) = wrong {
            theirs.under(&format!("/records/{at}"), &wrong);
            invalid
                .records
                .insert(at, OutcomeError::new(code, wrong.words()));
        }
    }
    let none = invalid.records.len() == records.len();
    if !faults.is_empty() || none || strict && !invalid.records.is_empty() {
        let large = |error: &OutcomeError| error.code == RECORD_TOO_LARGE;
        if let Some((at, _)) = invalid.records.first_key_value()
            && faults.is_empty()
            && invalid.records.values().all(large)
        {
            return Err(too_large(*at));
        }
        faults.under("", &theirs);
        faults.finish()?;
    }
    invalid.faults = theirs.listed();
    Ok((records, invalid))
}

fn read_kind<'a>(
    request: &Map<String, Value>,
    catalog: &'a Catalog,
    faults: &mut Faults,
) -> Option<&'a RecordType> {
    let offered = || {
        catalog
            .kinds()
            .map(RecordType::name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match present(request, "type") {
        None => {
            faults.add(
                "/type",
                format!("is required; this deployment offers {}", offered()),
            );
            None
        }
        Some(Value::String(name)) => {
            let kind = catalog.kind(name);
            if kind.is_none() {
                faults.add(
                    "/type",
                    format!("is not offered; this deployment offers {}", offered()),
                );
            }
            kind
        }
        Some(_) => {
            faults.add("/type", "must be a string");
            None
        }
    }
}

fn read_providers(
    request: &Map<String, Value>,
    kind: &RecordType,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    let Ok(names) = texts(request.get("providers")) else {
        faults.add("/providers", "must be an array of provider names");
        return None;
    };
    let names = names?;
    if let Err(wrong) = kind.validate_order(&names) {
        let has = kind.providers().collect::<Vec<_>>().join(", ");
        let detail = format!(
            "names {}; type {} has {has}, each at most once",
            wrong.join(", "),
            kind.name()
        );
        faults.add("/providers", detail);
        return None;
    }
    Some(names)
}

/// The reasons why a record of this surface is invalid: its input does not fit the type; it has not
/// the form of a record; it is over the limit.
const INVALID_INPUT: &str = "invalid_input";

const INVALID_RECORD: &str = "invalid_record";

const RECORD_TOO_LARGE: &str = "record_too_large";

/// Reads a record. One that cannot be worked on is kept as far as it can be echoed, with the code
/// and the faults, whose places are within the record.
fn read_record(item: Value, kind: Option<&RecordType>) -> (Record, Option<(&'static str, Faults)>) {
    let malformed = |sent| Record {
        malformed: Some(sent),
        ..Record::default()
    };
    let mut faults = Faults::default();
    if bytes(&item) > MAX_RECORD_BYTES {
        faults.add(
            "",
            format!("is larger than {MAX_RECORD_BYTES} bytes as JSON; send less with it"),
        );
        return (malformed(small(item)), Some((RECORD_TOO_LARGE, faults)));
    }
    let Value::Object(mut sent) = item else {
        faults.add("", "must be an object like {\"id\": …, \"input\": {…}}");
        let sent = Map::from_iter([("input".to_owned(), item)]);
        return (malformed(sent), Some((INVALID_RECORD, faults)));
    };
    faults.closed("", &sent, &["id", "input", "metadata"]);
    _ = faults.text(&sent, "", "id", MAX_ID_CHARS);
    if present(&sent, "metadata").is_some_and(|metadata| !metadata.is_object()) {
        faults.add("/metadata", "must be an object");
    }
    let code = if faults.is_empty() {
        INVALID_INPUT
    } else {
        INVALID_RECORD
    };
    let mut fits = faults.is_empty();
    match present(&sent, "input") {
        Some(Value::Object(input)) => {
            for (place, detail) in kind
                .and_then(|kind| kind.check_input(input).err())
                .unwrap_or_default()
            {
                faults.add(format!("/input{place}"), detail);
            }
        }
        other => {
            fits = false;
            faults.add(
                "/input",
                if other.is_some() {
                    "must be an object"
                } else {
                    "is required"
                },
            );
        }
    }
    let record = if fits {
        let (mut metadata, mut blank_metadata) = (None, None);
        match sent.swap_remove("metadata") {
            Some(Value::Object(members)) => metadata = Some(members),
            Some(Value::String(blank)) => blank_metadata = Some(blank),
            _ => {}
        }
        let id = sent
            .swap_remove("id")
            .and_then(|id| id.as_str().map(str::to_owned));
        let input = match sent.swap_remove("input") {
            Some(Value::Object(members)) => members,
            _ => Map::new(),
        };
        Record {
            id,
            input,
            metadata,
            blank_metadata,
            ..Record::default()
        }
    } else {
        sent.retain(|name, _| matches!(name.as_str(), "id" | "input" | "metadata"));
        malformed(sent)
    };
    (record, (!faults.is_empty()).then_some((code, faults)))
}

/// Returns what is kept of a record over the limit: its id, and of its metadata and input what is
/// within the limit with that.
fn small(item: Value) -> Map<String, Value> {
    let (mut kept, mut size) = (Map::new(), 0);
    let Value::Object(mut sent) = item else {
        return kept;
    };
    for name in ["id", "metadata", "input"] {
        let Some(value) = sent.swap_remove(name) else {
            continue;
        };
        let more = bytes(&value);
        if size + more <= MAX_RECORD_BYTES {
            size += more;
            kept.insert(name.to_owned(), value);
        }
    }
    kept
}

/// Reads `POST /v1/webhooks/test`: the URL.
pub(super) fn read_test(request: &ApiRequest, reading: &Reading<'_>) -> Result<String, ApiError> {
    let body = object(&request.body)?;
    let mut faults = Faults::default();
    faults.closed("", &body, &["url"]);
    let url = read_url(&body, "", "url", reading, &mut faults);
    if url.is_none() && !faults.has("/url") {
        faults.add("/url", "is required");
    }
    faults.finish()?;
    Ok(url.unwrap_or_default())
}

/// Reads `POST /v1/webhooks/secret/rotate`: how long the previous secret also signs, and for a
/// surface the tenant's own secret, or `remove`. The body may be empty.
pub(super) fn read_rotation(request: &ApiRequest) -> Result<Rotation, ApiError> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Rotation {
            overlap: DEFAULT_OVERLAP,
            own: None,
        });
    }
    let request = object(&request.body)?;
    let mut faults = Faults::default();
    let known = ["overlap_hours", "surface", "secret", "remove"];
    faults.closed("", &request, &known);
    let surface = faults.text(&request, "", "surface", MAX_OWN_SECRET);
    let secret = faults.text(&request, "", "secret", MAX_OWN_SECRET);
    let remove = match present(&request, "remove") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => {
            faults.add("/remove", "must be true or false");
            false
        }
    };
    // A tenant that chooses a secret has told its receivers; what is made here they have yet to
    // learn.
    let otherwise = if surface.is_some() {
        Duration::ZERO
    } else {
        DEFAULT_OVERLAP
    };
    let overlap = match present(&request, "overlap_hours") {
        None => otherwise,
        Some(value) => {
            let hours = value.as_u64().filter(|h| *h <= 72).unwrap_or_else(|| {
                faults.add("/overlap_hours", "must be a whole number from 0 to 72");
                0
            });
            Duration::from_secs(hours * 3600)
        }
    };
    let sent = |name| present(&request, name).is_some();
    match (sent("surface"), sent("secret"), remove) {
        (false, false, false) | (true, true, false) | (true, false, true) => {}
        (true, false, false) => faults.add("/secret", "is required with surface, or remove: true"),
        (_, true, true) => faults.add("/remove", "does not go with secret"),
        (false, _, _) => faults.add("/surface", "is required with secret and with remove"),
    }
    faults.finish()?;
    Ok(Rotation {
        overlap,
        own: surface.map(|surface| OwnSecret {
            surface,
            secret: secret.as_deref().map(Secret::chosen),
        }),
    })
}

/// The time for which the previous secret also signs, unless said otherwise.
const DEFAULT_OVERLAP: Duration = Duration::from_secs(24 * 3600);
