//! The native API, version 1: what its requests mean and how its answers look. RFC 9457 problems, JSON Pointers,
//! field names in snake case.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Call, Event, MAX_URL_CHARS, Reading, ResultsPage, Route, Shows, Signing, Surface};
use crate::catalog::{Catalog, RecordType};
use crate::domain::delivery::{Delivery, DeliveryRules, EventType};
use crate::domain::error::{ApiError, InputError};
use crate::domain::export;
use crate::domain::ids::JobId;
use crate::domain::job::{
    Accepted, INLINE_RESULT_BYTES, InvalidRecords, JobView, MAX_RECORDS, ResultLine, Submission,
    Webhook,
};
use crate::domain::json;
use crate::domain::record::{
    FailureCode, MAX_RECORD_BYTES, OutcomeError, Record, is_blank, present,
};
use crate::domain::signature::{self, Secret};
use crate::domain::tenant::Caller;
use crate::domain::time::Timestamp;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};
use crate::surfaces::common::read::{Faults, bytes, object, texts, too_large};

/// The native surface.
pub const SURFACE: Surface = Surface {
    name: "native",
    operations: &[],
    routes: ROUTES,
    shows: Shows::Every,
    key,
    id: JobId::to_string,
    parse_id: JobId::parse,
    error,
    delivery: DeliveryRules::native,
    inline: |end| end.bytes <= INLINE_RESULT_BYTES,
    body: event_body,
    sign,
};

const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/v1/jobs",
        call: Call::Submit {
            read: read_submission,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: "/v1/jobs",
        call: Call::Jobs { show: job_page },
    },
    Route {
        method: "GET",
        path: "/v1/jobs/{id}",
        call: Call::Watch {
            show: show_job,
            state: job_state,
        },
    },
    Route {
        method: "DELETE",
        path: "/v1/jobs/{id}",
        call: Call::Delete,
    },
    Route {
        method: "GET",
        path: "/v1/jobs/{id}/results",
        call: Call::Results { show: result_page },
    },
    Route {
        method: "POST",
        path: "/v1/jobs/{id}/cancel",
        call: Call::Cancel { show: canceling },
    },
    Route {
        method: "POST",
        path: "/v1/jobs/{id}/retry",
        call: Call::Retry { answer: accepted },
    },
    Route {
        method: "GET",
        path: "/v1/jobs/{id}/deliveries",
        call: Call::Deliveries {
            show: delivery_page,
        },
    },
    Route {
        method: "GET",
        path: "/v1/deliveries/{id}",
        call: Call::Delivery {
            show: show_delivery,
        },
    },
    Route {
        method: "POST",
        path: "/v1/deliveries/{id}/replay",
        call: Call::Replay { show: replaying },
    },
    Route {
        method: "POST",
        path: "/v1/webhooks/test",
        call: Call::TestWebhook {
            read: read_test,
            show: testing,
        },
    },
    Route {
        method: "POST",
        path: "/v1/webhooks/secret/rotate",
        call: Call::RotateSecret {
            read: read_rotation,
            show: rotated,
        },
    },
    Route {
        method: "GET",
        path: "/v1/account",
        call: Call::Account { show: show_account },
    },
];

/// The most characters of a job's name.
const MAX_NAME_CHARS: usize = 200;
/// The most characters of a caller's record id.
const MAX_ID_CHARS: usize = 256;
/// What a record is reckoned to take until the job has a pace of its own.
pub(super) const NOMINAL_PER_RECORD: Duration = Duration::from_millis(10);

/// `Authorization: Bearer KEY` or `X-API-Key: KEY`.
fn key(request: &ApiRequest) -> Option<&str> {
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
fn read_submission(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
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
    let record_webhook = match present(&request, "webhook_events") {
        None => None,
        Some(Value::Object(events)) => {
            let finished = EventType::RecordFinished.as_str();
            faults.closed("/webhook_events", events, &[finished]);
            read_url(events, "/webhook_events", finished, reading, &mut faults)
                .map(|url| Webhook { url })
        }
        Some(_) => {
            faults.add(
                "/webhook_events",
                "must be an object like {\"record.finished\": \"https://…\"}",
            );
            None
        }
    };
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
    let items = match request
        .swap_remove("records")
        .filter(|value| !is_blank(value))
    {
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
    };
    let (records, invalid) = read_records(items, kind, strict, faults)?;
    let kind = kind.map(|k| k.name().to_owned()).unwrap_or_default();
    let job = Submission::new(SURFACE.name, kind, records);
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

/// Reads the records. Those that cannot be worked on are told apart, unless nothing would be left, they are to be refused,
/// or the rest of the request has `faults`: then every fault is reported at once.
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

/// Why a record of this surface is invalid: its input is not what the type asks for; it has not the form of a record; it is
/// over the limit.
const INVALID_INPUT: &str = "invalid_input";
const INVALID_RECORD: &str = "invalid_record";
const RECORD_TOO_LARGE: &str = "record_too_large";

/// Reads a record. One that cannot be worked on is kept as far as it can be echoed, with the code and the faults, whose
/// places are within the record.
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

/// What is kept of a record over the limit: its id, and of its metadata and input what is within the limit with that.
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
fn read_test(request: &ApiRequest, reading: &Reading<'_>) -> Result<String, ApiError> {
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

/// Reads `POST /v1/webhooks/secret/rotate`: how long the secret before signs along. The body may be empty.
fn read_rotation(request: &ApiRequest) -> Result<Duration, ApiError> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Duration::from_secs(24 * 3600));
    }
    let request = object(&request.body)?;
    let mut faults = Faults::default();
    faults.closed("", &request, &["overlap_hours"]);
    let hours = match present(&request, "overlap_hours") {
        None => 24,
        Some(value) => value.as_u64().filter(|h| *h <= 72).unwrap_or_else(|| {
            faults.add("/overlap_hours", "must be a whole number from 0 to 72");
            0
        }),
    };
    faults.finish()?;
    Ok(Duration::from_secs(hours * 3600))
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.rfc3339().into())
}

/// A job. `now` is what the estimate is reckoned from; an ended job has none, so that its form never changes.
fn job(view: &JobView, now: Timestamp) -> Value {
    let (spec, counts) = (&view.job.spec, view.counts());
    json!({
        "id": spec.id.as_str(),
        "object": "job",
        "type": spec.kind,
        "name": spec.name,
        "status": view.status().as_str(),
        "progress": view.percent(),
        "counts": {
            "total": spec.total,
            "found": counts.found,
            "not_found": counts.not_found,
            "failed": counts.failed,
            "invalid": counts.invalid,
            "skipped": counts.skipped,
            "canceled": counts.canceled,
        },
        "credits": {"reserved": spec.reserved, "used": view.credits_used()},
        "error": view.job.end.as_ref().and_then(|end| end.error.clone()),
        "retry_of": spec.retry_of.as_ref().map(ToString::to_string),
        "created_at": spec.created_at.rfc3339(),
        "started_at": time(view.job.started_at),
        "completed_at": time(view.job.end.as_ref().map(|end| end.at)),
        "estimated_completion_at": time(view.estimate(now, NOMINAL_PER_RECORD)),
        "expires_at": spec.expires_at.rfc3339(),
        "results_url": view.results_url(),
    })
}

/// What a job's `ETag` is made from: the job without what the clock alone changes.
fn job_state(view: &JobView) -> String {
    let mut state = job(view, view.job.spec.created_at);
    if let Some(members) = state.as_object_mut() {
        members.swap_remove("estimated_completion_at");
    }
    state.to_string()
}

fn show_job(view: &JobView, now: Timestamp) -> ApiResponse {
    let mut shown = job(view, now);
    if let Some(members) = shown.as_object_mut().filter(|_| view.job.status.is_live()) {
        let waits = view.waiting_for.iter().map(|wait| {
            json!({
                "provider": wait.provider,
                "status": wait.status,
                "since": wait.since.rfc3339(),
                "until": wait.until.rfc3339(),
            })
        });
        members.insert("waiting_for".to_owned(), waits.collect());
    }
    ApiResponse::json(200, &shown)
}

fn canceling(view: &JobView, now: Timestamp) -> ApiResponse {
    ApiResponse::json(202, &job(view, now))
}

/// The answer to a submission.
fn accepted(accepted: &Accepted, now: Timestamp) -> ApiResponse {
    match accepted {
        Accepted::Priced {
            deal,
            records,
            price,
            invalid,
            unconfigured,
        } => {
            let valid = records - invalid.records.len();
            let warnings: Vec<Value> = unconfigured
                .iter()
                .map(|detail| json!({"code": FailureCode::ProviderUnconfigured.as_str(), "detail": detail}))
                .collect();
            let mut estimate = json!({
                "object": "estimate",
                "records": records,
                "invalid": invalid.records.len(),
                "credits": {"per_record_at_most": price, "reserved": deal.reserved},
                "skipped": valid - deal.funded,
                "warnings": warnings,
            });
            show_faults(&mut estimate, &invalid.faults);
            ApiResponse::json(200, &estimate)
        }
        Accepted::Job { view, faults, .. } => {
            let left = view
                .estimate(now, NOMINAL_PER_RECORD)
                .map_or(0, |at| at.since(now).as_secs());
            let mut shown = job(view, now);
            show_faults(&mut shown, faults);
            ApiResponse::json(202, &shown)
                .with("location", format!("/v1/jobs/{}", view.job.spec.id))
                .with("retry-after", left.clamp(1, 30).to_string())
        }
    }
}

fn job_page(jobs: &[JobView], next: Option<&JobId>, now: Timestamp) -> ApiResponse {
    let jobs: Vec<_> = jobs.iter().map(|view| job(view, now)).collect();
    ApiResponse::json(
        200,
        &json!({"jobs": jobs, "next_cursor": next.map(JobId::as_str)}),
    )
}

/// A page of results, as JSON, NDJSON or CSV.
fn result_page(page: &ResultsPage<'_>) -> ApiResponse {
    // Lines of JSON have no registered name; an answer has the one that was asked for.
    const OFFERS: [&str; 8] = [
        "application/json",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonl",
        "application/jsonlines",
        "application/x-jsonlines",
        "text/csv",
    ];
    let response = match page.request.preferred(&OFFERS) {
        Some(lines) if ![OFFERS[0], "text/csv"].contains(&lines) => {
            let text = page
                .lines
                .iter()
                .flat_map(|line| [export::json_line(&line.to_json()), "\n".to_owned()]);
            ApiResponse::new(200, lines, text.collect::<String>().into_bytes())
        }
        Some("text/csv") => {
            ApiResponse::new(200, "text/csv; charset=utf-8", csv(page.lines, page.first))
        }
        _ => {
            let lines: Vec<_> = page.lines.iter().map(ResultLine::to_json).collect();
            let next = page.next.clone().into();
            return ApiResponse::json(
                200,
                &json::object([("results", lines.into()), ("next_cursor", next)]),
            );
        }
    };
    match &page.next {
        Some(next) => {
            let target = format!(
                "</v1/jobs/{}/results?cursor={next}&limit={}>; rel=\"next\"",
                page.job, page.limit
            );
            response
                .with("link", target)
                .with("millrace-next-cursor", next)
        }
        None => response,
    }
}

/// Says of an answer what is wrong with records that end `invalid`, where there are any.
fn show_faults(answer: &mut Value, faults: &[InputError]) {
    if !faults.is_empty() {
        answer["errors"] = faults_shown(faults);
    }
}

fn faults_shown(faults: &[InputError]) -> Value {
    faults
        .iter()
        .map(|fault| json!({"pointer": fault.pointer, "detail": fault.detail}))
        .collect()
}

/// A delivery and its log.
fn delivery(delivery: &Delivery) -> Value {
    let log = delivery.log.iter().map(|attempt| {
        json!({
            "number": attempt.number,
            "at": attempt.at.rfc3339(),
            "status_code": attempt.status,
            "latency_ms": attempt.latency_ms,
            "error": attempt.error,
            "detail": attempt.detail,
            "response": attempt.response,
        })
    });
    let pending = delivery.state == crate::domain::delivery::DeliveryState::Pending;
    json!({
        "id": delivery.id.to_string(),
        "object": "delivery",
        "event_id": delivery.id.event(),
        "type": delivery.event.as_str(),
        "url": delivery.url,
        "state": delivery.state.as_str(),
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "next_attempt_at": time(pending.then_some(delivery.next_attempt_at)),
        "created_at": delivery.event_at.rfc3339(),
        "log": log.collect::<Vec<_>>(),
    })
}

fn show_delivery(shown: &Delivery) -> ApiResponse {
    ApiResponse::json(200, &delivery(shown))
}

fn replaying(shown: &Delivery) -> ApiResponse {
    ApiResponse::json(202, &delivery(shown))
}

fn testing(shown: &Delivery) -> ApiResponse {
    ApiResponse::json(202, &delivery(shown))
        .with("location", format!("/v1/deliveries/{}", shown.id))
}

fn delivery_page(deliveries: &[Delivery], next: Option<u32>) -> ApiResponse {
    let rows: Vec<_> = deliveries.iter().map(delivery).collect();
    ApiResponse::json(
        200,
        &json!({"deliveries": rows, "next_cursor": next.map(|n| n.to_string())}),
    )
}

fn rotated(secret: &Secret, previous_expires_at: Option<Timestamp>) -> ApiResponse {
    let previous = previous_expires_at.map(Timestamp::rfc3339);
    ApiResponse::json(
        200,
        &json!({"object": "webhook_secret", "secret": secret.reveal(), "previous_expires_at": previous}),
    )
}

fn show_account(caller: &Caller, catalog: &Catalog) -> ApiResponse {
    ApiResponse::json(200, &account(caller, catalog))
}

/// The caller's account.
fn account(caller: &Caller, catalog: &Catalog) -> Value {
    let types = catalog.kinds().map(|kind| {
        json!({
            "type": kind.name(),
            "description": kind.description(),
            "inputs": kind.inputs(),
            "optional_inputs": kind.optional_inputs(),
            "providers": kind.providers().collect::<Vec<_>>(),
            "credits_per_record_at_most": kind.price(None),
            "usable": kind.usable().is_ok(),
        })
    });
    json!({
        "object": "account",
        "tenant": caller.tenant().as_str(),
        "credits": {"balance": caller.balance, "used": caller.used},
        "usage": {"open_chunks": caller.open_chunks},
        "limits": {
            "records_per_job": MAX_RECORDS,
            "body_bytes": crate::domain::job::MAX_BODY_BYTES,
            "record_bytes": MAX_RECORD_BYTES,
        },
        "types": types.collect::<Vec<_>>(),
    })
}

/// The body of an event. Everything in it is fixed when the job ends.
fn event_body(event: &Event<'_>) -> Vec<u8> {
    let mut data = match event.job {
        Some(view) if event.kind == EventType::RecordFinished => {
            let result = event
                .results
                .and_then(<[ResultLine]>::first)
                .map(ResultLine::to_json);
            let job = view.job.spec.id.as_str().into();
            json::object([
                ("object", "record".into()),
                ("job_id", job),
                ("result", result.into()),
            ])
        }
        Some(view) => job(view, event.at),
        None => {
            json!({"object": "test", "message": "This is a test event. Its signature is as real as any."})
        }
    };
    let lines = event
        .results
        .filter(|_| event.kind != EventType::RecordFinished);
    if let (Some(members), Some(lines)) = (data.as_object_mut(), lines) {
        members.insert(
            "results".to_owned(),
            lines.iter().map(ResultLine::to_json).collect(),
        );
    }
    let (kind, at) = (event.kind.as_str().into(), event.at.rfc3339().into());
    json::object([("type", kind), ("timestamp", at), ("data", data)])
        .to_string()
        .into_bytes()
}

fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    signature::headers(signing.secrets, signing.id, signing.at, signing.body)
}

/// The columns of results as CSV.
const CSV_COLUMNS: [&str; 8] = [
    "index", "id", "status", "input", "metadata", "data", "credits", "error",
];

/// Results as CSV, with a header line where asked for. `input`, `metadata` and `data` are JSON in one cell each, because
/// their fields differ from line to line.
fn csv(lines: &[ResultLine], header: bool) -> Vec<u8> {
    let mut rows: Vec<[String; 8]> = Vec::with_capacity(lines.len() + 1);
    if header {
        rows.push(CSV_COLUMNS.map(str::to_owned));
    }
    let cell = |members: &Map<String, Value>| {
        if members.is_empty() {
            String::new()
        } else {
            serde_json::to_string(members).unwrap_or_default()
        }
    };
    let echo = |value: Value| match value {
        Value::Null => String::new(),
        Value::Object(members) => cell(&members),
        Value::String(text) => export::cell(&text).into_owned(),
        other => export::cell(&other.to_string()).into_owned(),
    };
    for line in lines {
        let [id, input, metadata] = line.record.echo().map(echo);
        rows.push([
            line.index.to_string(),
            id,
            line.outcome.status.as_str().to_owned(),
            input,
            metadata,
            cell(&line.outcome.data),
            line.outcome.credits.to_string(),
            line.outcome
                .error
                .as_ref()
                .map(error_cell)
                .unwrap_or_default(),
        ]);
    }
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for row in rows {
        // Writing to memory does not fail, and every row has as many cells.
        let _ = writer.write_record(&row);
    }
    writer.into_inner().unwrap_or_default()
}

fn error_cell(error: &OutcomeError) -> String {
    export::cell(&format!("{}: {}", error.code, error.detail)).into_owned()
}

fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let (status, problem) = problem(error, &request.request_id);
    ApiResponse::new(
        status,
        "application/problem+json",
        problem.to_string().into_bytes(),
    )
}

/// An error's status code and its problem document. Source: RFC 9457.
fn problem(error: &ApiError, request_id: &str) -> (u16, Value) {
    let (status, kind, title, detail) = describe(error);
    let mut document = json!({
        "type": format!("urn:millrace:problem:{kind}"),
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    });
    if let (ApiError::Invalid(faults), Some(members)) = (error, document.as_object_mut()) {
        members.insert("errors".to_owned(), faults_shown(faults));
    }
    (status, document)
}

fn describe(error: &ApiError) -> (u16, &'static str, &'static str, String) {
    match error {
        ApiError::Unauthorized => (
            401,
            "unauthorized",
            "No valid API key",
            "send a valid key as `Authorization: Bearer KEY` or `X-API-Key: KEY`".to_owned(),
        ),
        ApiError::Forbidden { needs } => {
            (403, "forbidden", "The key may not do this", format!("the key lacks the scope {needs}"))
        }
        ApiError::NotFound { what } => (404, "not-found", "Not found", format!("there is no such {what}")),
        ApiError::MethodNotAllowed { allow } => {
            (405, "method-not-allowed", "Method not allowed", format!("this path takes {}", allow.join(" and ")))
        }
        ApiError::Malformed { detail } => (400, "malformed", "The body cannot be read", detail.clone()),
        ApiError::Invalid(faults) => {
            let n = faults.len();
            let detail = match &faults[..] {
                [only] => format!("{}: {}", if only.pointer.is_empty() { "body" } else { &only.pointer }, only.detail),
                _ => format!("{n} faults; see errors"),
            };
            (400, "invalid", "The request is not valid", detail)
        }
        ApiError::Coding { detail } => (415, "unsupported-coding", "The body's coding is not read", detail.clone()),
        ApiError::TooLarge { detail } => (413, "too-large", "Too large", detail.clone()),
        ApiError::IdempotencyMismatch => (
            422,
            "idempotency-mismatch",
            "Idempotency-Key used for another request",
            "this key came before with another request (bodies are compared byte for byte); use a new key for a new request".to_owned(),
        ),
        ApiError::NotEnoughCredits { needed, available } => (
            402,
            "not-enough-credits",
            "Not enough credits",
            format!("the job needs up to {needed} credits and {available} are free; set max_credits or get more"),
        ),
        ApiError::ResultsTooLarge { results_url } => (
            413,
            "results-too-large",
            "The results do not fit one response",
            format!("read them page by page from {results_url}"),
        ),
        ApiError::Conflict { detail } => (409, "conflict", "Not possible in this state", detail.clone()),
        ApiError::Unavailable { retry_after_seconds } => (
            503,
            "unavailable",
            "Try again",
            format!("try again in {retry_after_seconds} s, with the same Idempotency-Key"),
        ),
        ApiError::Internal => (
            500,
            "internal",
            "Internal error",
            "this is a fault of ours; quote request_id when you report it".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::ports::{HttpError, HttpSender};

    struct Anything;

    #[async_trait::async_trait]
    impl HttpSender for Anything {
        async fn send(
            &self,
            _: crate::ports::HttpRequest,
        ) -> Result<crate::ports::HttpAnswer, HttpError> {
            Err(HttpError::Timeout)
        }

        fn check(&self, _: &str, _: bool) -> Result<(), HttpError> {
            Ok(())
        }
    }

    fn read(body: &str) -> Result<Submission, ApiError> {
        let text = "[types.company]\ndescription = \"d\"\ninputs = [[\"domain\"]]\nunconfigured = \"x\"\nwaterfall = []\n";
        let config = crate::catalog::Config::parse("t", text).unwrap();
        let request = ApiRequest {
            method: "POST".to_owned(),
            path: "/v1/jobs".to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            request_id: "r".to_owned(),
        };
        let reading = Reading {
            surface: &SURFACE,
            catalog: &Catalog::of(&config),
            http: &Anything,
        };
        read_submission(&request, &reading)
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_place() {
        let body = r#"{"type": "company", "colour": 1, "max_credits": -1, "records": [
            {"input": {"domain": "a.example"}}, 7, {"input": {}}, {"input": {"domain": 5}, "metadata": []}, {"x/y": 1}]}"#;
        let Err(ApiError::Invalid(faults)) = read(body) else {
            panic!("accepted")
        };
        let places: Vec<&str> = faults.iter().map(|f| f.pointer.as_str()).collect();
        let expected = [
            "/colour",
            "/max_credits",
            "/records/1",
            "/records/2/input/domain",
            "/records/3/metadata",
            "/records/3/input/domain",
            "/records/4/x~1y",
            "/records/4/input",
        ];
        assert_eq!(places, expected);
    }

    /// A request with these records beside a good one.
    fn with_good(records: &Value, more: &str) -> Result<Submission, ApiError> {
        let mut all = vec![json!({"id": "good", "input": {"domain": "a.example"}})];
        all.extend(records.as_array().unwrap().iter().cloned());
        read(&format!(
            r#"{{"type": "company", "records": {}{more}}}"#,
            Value::from(all)
        ))
    }

    #[test]
    fn a_bad_record_is_told_apart_with_its_reason_and_its_echo() {
        let long = "x".repeat(MAX_ID_CHARS + 1);
        let large = "x".repeat(MAX_RECORD_BYTES);
        for (sent, code, detail, echo) in [
            (
                json!({"id": "r", "input": {}}),
                "invalid_input",
                "input/domain is required",
                json!(["r", {}, null]),
            ),
            (
                json!({"input": {"domain": "", "x": 1}, "metadata": {"n": 1}}),
                "invalid_input",
                "input/x is not a field of type company; input/domain is required",
                json!([null, {"domain": "", "x": 1}, {"n": 1}]),
            ),
            (
                json!({"id": "r"}),
                "invalid_input",
                "input is required",
                json!(["r", null, null]),
            ),
            (
                json!({"input": "a.example"}),
                "invalid_input",
                "input must be an object",
                json!([null, "a.example", null]),
            ),
            (
                json!({"id": 7, "input": {"domain": "a.example"}, "metadata": {"n": 1}}),
                "invalid_record",
                "id must be a string",
                json!([7, {"domain": "a.example"}, {"n": 1}]),
            ),
            (
                json!({"id": long, "input": {"domain": 5}}),
                "invalid_record",
                "id is longer than 256 characters; input/domain must be a string",
                json!([long, {"domain": 5}, null]),
            ),
            (
                json!({"input": {"domain": "a.example"}, "metadata": [1], "more": 1}),
                "invalid_record",
                "more is unknown; known are id, input, metadata; metadata must be an object",
                json!([null, {"domain": "a.example"}, [1]]),
            ),
            (
                json!("a.example"),
                "invalid_record",
                "must be an object like {\"id\": …, \"input\": {…}}",
                json!([null, "a.example", null]),
            ),
            (
                json!({"id": "r", "input": {"domain": large}, "metadata": {"n": 1}}),
                "record_too_large",
                "is larger than 65536 bytes as JSON; send less with it",
                json!(["r", null, {"n": 1}]),
            ),
            (
                json!({"id": "r", "input": {"domain": "a.example"}, "metadata": {"n": large}}),
                "record_too_large",
                "is larger than 65536 bytes as JSON; send less with it",
                json!(["r", {"domain": "a.example"}, null]),
            ),
        ] {
            let submission =
                with_good(&json!([sent]), "").unwrap_or_else(|error| panic!("{sent}: {error:?}"));
            assert_eq!(submission.records.len(), 2);
            let invalid = &submission.invalid;
            let error = &invalid.records[&1];
            assert_eq!(
                (
                    invalid.records.len(),
                    error.code.as_str(),
                    error.detail.as_str()
                ),
                (1, code, detail),
                "{sent}"
            );
            assert!(
                invalid
                    .faults
                    .iter()
                    .all(|fault| fault.pointer.starts_with("/records/1")),
                "{invalid:?}"
            );
            assert_eq!(json!(submission.records[1].echo()), echo, "{sent}");
            // Alone, or where the caller wants it so, it is refused as a whole.
            for body in [
                with_good(&json!([sent]), r#", "strict": true"#),
                read(&json!({"type": "company", "records": [sent]}).to_string()),
            ] {
                match body.unwrap_err() {
                    ApiError::TooLarge { .. } => assert_eq!(code, "record_too_large"),
                    ApiError::Invalid(faults) => {
                        assert_eq!(faults.len(), detail.split("; ").count().min(faults.len()));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn of_many_bad_records_the_first_faults_are_listed_and_all_are_told_apart() {
        let submission = with_good(
            &json!(vec![json!({"input": {}}); 300]),
            r#", "strict": "","dry_run": false"#,
        )
        .unwrap();
        assert_eq!(
            (
                submission.invalid.records.len(),
                submission.invalid.faults.len()
            ),
            (300, 101)
        );
        assert_eq!(submission.invalid.faults[100].detail, "and 200 more faults");
        let Err(ApiError::Invalid(faults)) = with_good(&json!([7]), r#", "strict": 1"#) else {
            panic!("accepted")
        };
        let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            places,
            ["/strict", "/records/1"],
            "with a fault of the body all are reported"
        );
        assert!(
            with_good(&json!([]), r#", "strict": true"#)
                .is_ok_and(|submission| submission.invalid == InvalidRecords::default())
        );
    }

    #[test]
    fn a_name_of_megabytes_made_an_answer_too_large_for_lambda() {
        let body = format!(
            r#"{{"type": "company", "{}": 1, "records": [{{"input": {{"domain": "a"}}}}]}}"#,
            "\u{7f}".repeat(3_000_000)
        );
        let error = read(&body).unwrap_err();
        assert!(problem(&error, "r").1.to_string().len() < 10_000);
    }

    #[test]
    fn cells_that_look_like_formulas_are_escaped() {
        for code in ["=1+1", "+1", "-1", "@x", "\tx", "\u{ff1d}1"] {
            let error = OutcomeError {
                code: code.to_owned(),
                detail: "d".to_owned(),
            };
            assert_eq!(error_cell(&error), format!("'{code}: d"));
        }
    }
}
