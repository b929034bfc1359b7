//! The native API, version 1: what its requests mean and how its answers look. RFC 9457 problems, JSON Pointers,
//! field names in snake case.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::message::{ApiRequest, ApiResponse};
use super::read::{Faults, object, too_large};
use super::{Call, Event, MAX_URL_CHARS, Reading, ResultsPage, Route, Shows, Signing, Surface};
use crate::domain::credits::Deal;
use crate::domain::delivery::{Delivery, DeliveryRules, EventType};
use crate::domain::error::ApiError;
use crate::domain::ids::JobId;
use crate::domain::job::{Accepted, INLINE_RESULT_BYTES, JobView, MAX_RECORDS, ResultLine, Submission, Webhook};
use crate::domain::record::{FailureCode, MAX_RECORD_BYTES, Record};
use crate::domain::signature::{self, Secret};
use crate::domain::tenant::Caller;
use crate::domain::time::Timestamp;
use crate::provider::{Catalog, RecordType};

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
    Route { method: "POST", path: "/v1/jobs", call: Call::Submit { read: read_submission, answer: accepted } },
    Route { method: "GET", path: "/v1/jobs", call: Call::Jobs { show: job_page } },
    Route { method: "GET", path: "/v1/jobs/{id}", call: Call::Watch { show: show_job, state: job_state } },
    Route { method: "DELETE", path: "/v1/jobs/{id}", call: Call::Delete },
    Route { method: "GET", path: "/v1/jobs/{id}/results", call: Call::Results { show: result_page } },
    Route { method: "POST", path: "/v1/jobs/{id}/cancel", call: Call::Cancel { show: canceling } },
    Route { method: "POST", path: "/v1/jobs/{id}/retry", call: Call::Retry { answer: accepted } },
    Route { method: "GET", path: "/v1/jobs/{id}/deliveries", call: Call::Deliveries { show: delivery_page } },
    Route { method: "GET", path: "/v1/deliveries/{id}", call: Call::Delivery { show: show_delivery } },
    Route { method: "POST", path: "/v1/deliveries/{id}/replay", call: Call::Replay { show: replaying } },
    Route { method: "POST", path: "/v1/webhooks/test", call: Call::TestWebhook { read: read_test, show: testing } },
    Route {
        method: "POST",
        path: "/v1/webhooks/secret/rotate",
        call: Call::RotateSecret { read: read_rotation, show: rotated },
    },
    Route { method: "GET", path: "/v1/account", call: Call::Account { show: show_account } },
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

/// Reads `POST /v1/jobs`. Every fault of the request is reported at once.
fn read_submission(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
    const KNOWN: [&str; 8] =
        ["type", "name", "records", "webhook_url", "webhook_events", "providers", "max_credits", "dry_run"];
    let mut request = object(&request.body)?;
    let mut faults = Faults::default();
    faults.closed("", &request, &KNOWN);

    let kind = read_kind(&request, reading.catalog, &mut faults);
    let name = faults.text(&request, "", "name", MAX_NAME_CHARS);
    let webhook = read_url(&request, "", "webhook_url", reading, &mut faults).map(|url| Webhook { url });
    let record_webhook = match request.get("webhook_events") {
        None | Some(Value::Null) => None,
        Some(Value::Object(events)) => {
            let finished = EventType::RecordFinished.as_str();
            faults.closed("/webhook_events", events, &[finished]);
            read_url(events, "/webhook_events", finished, reading, &mut faults).map(|url| Webhook { url })
        }
        Some(_) => {
            faults.add("/webhook_events", "must be an object like {\"record.finished\": \"https://…\"}");
            None
        }
    };
    let providers = kind.and_then(|kind| read_providers(&request, kind, &mut faults));
    let max_credits = match request.get("max_credits") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let number = value.as_u64();
            if number.is_none() {
                faults.add("/max_credits", "must be a whole number of at least 0");
            }
            number
        }
    };
    let dry_run = match request.get("dry_run") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(dry)) => *dry,
        Some(_) => {
            faults.add("/dry_run", "must be true or false");
            false
        }
    };
    let mut oversize = None;
    let records = match request.swap_remove("records") {
        None | Some(Value::Null) => {
            faults.add("/records", "is required: 1 to 1,000 records");
            Vec::new()
        }
        Some(Value::Array(items)) if items.is_empty() => {
            faults.add("/records", "is empty; a job has 1 to 1,000 records");
            Vec::new()
        }
        Some(Value::Array(items)) if items.len() > MAX_RECORDS => {
            faults.add("/records", format!("has {} records; a job has at most {MAX_RECORDS}", items.len()));
            Vec::new()
        }
        Some(Value::Array(items)) => {
            let read = |(at, item)| read_record(at, item, kind, &mut faults, &mut oversize);
            items.into_iter().enumerate().filter_map(read).collect()
        }
        Some(_) => {
            faults.add("/records", "must be an array of records");
            Vec::new()
        }
    };
    if faults.is_empty()
        && let Some(at) = oversize
    {
        return Err(too_large(at));
    }
    faults.finish()?;
    let kind = kind.map(|k| k.name().to_owned()).unwrap_or_default();
    let job = Submission::new(SURFACE.name, kind, records);
    Ok(Submission { name, webhook, record_webhook, providers, max_credits, dry_run, ..job })
}

fn read_kind<'a>(request: &Map<String, Value>, catalog: &'a Catalog, faults: &mut Faults) -> Option<&'a RecordType> {
    let offered = || catalog.kinds().map(RecordType::name).collect::<Vec<_>>().join(", ");
    match request.get("type") {
        None | Some(Value::Null) => {
            faults.add("/type", format!("is required; this deployment offers {}", offered()));
            None
        }
        Some(Value::String(name)) => {
            let kind = catalog.kind(name);
            if kind.is_none() {
                faults.add("/type", format!("is not offered; this deployment offers {}", offered()));
            }
            kind
        }
        Some(_) => {
            faults.add("/type", "must be a string");
            None
        }
    }
}

fn read_providers(request: &Map<String, Value>, kind: &RecordType, faults: &mut Faults) -> Option<Vec<String>> {
    let value = request.get("providers").filter(|v| !v.is_null())?;
    let names: Option<Vec<String>> =
        value.as_array().and_then(|items| items.iter().map(|i| i.as_str().map(str::to_owned)).collect());
    let Some(names) = names else {
        faults.add("/providers", "must be an array of provider names");
        return None;
    };
    match kind.validate_order(&names) {
        Ok(()) => Some(names),
        Err(wrong) => {
            let has = kind.providers().collect::<Vec<_>>().join(", ");
            let what = if wrong.is_empty() { "is empty".to_owned() } else { format!("names {}", wrong.join(", ")) };
            faults.add("/providers", format!("{what}; type {} has {has}, each at most once", kind.name()));
            None
        }
    }
}

fn read_record(
    at: usize,
    item: Value,
    kind: Option<&RecordType>,
    faults: &mut Faults,
    oversize: &mut Option<usize>,
) -> Option<Record> {
    let pointer = format!("/records/{at}");
    let Value::Object(mut record) = item else {
        faults.add(pointer, "must be an object like {\"id\": …, \"input\": {…}}");
        return None;
    };
    if serde_json::to_vec(&record).map_or(0, |b| b.len()) > MAX_RECORD_BYTES {
        oversize.get_or_insert(at);
    }
    faults.closed(&pointer, &record, &["id", "input", "metadata"]);
    let id = faults.text(&record, &pointer, "id", MAX_ID_CHARS);
    let metadata = match record.swap_remove("metadata") {
        None | Some(Value::Null) => None,
        Some(Value::Object(metadata)) => Some(metadata),
        Some(_) => {
            faults.add(format!("{pointer}/metadata"), "must be an object");
            None
        }
    };
    match record.swap_remove("input") {
        None | Some(Value::Null) => {
            faults.add(format!("{pointer}/input"), "is required");
            None
        }
        Some(Value::Object(input)) => {
            if let Some(Err(wrong)) = kind.map(|k| k.check_input(&input)) {
                for (place, detail) in wrong {
                    faults.add(format!("{pointer}/input{place}"), detail);
                }
            }
            Some(Record { id, input, metadata, original: None })
        }
        Some(_) => {
            faults.add(format!("{pointer}/input"), "must be an object");
            None
        }
    }
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
    let hours = match request.get("overlap_hours") {
        None | Some(Value::Null) => 24,
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
        "results_url": format!("/v1/jobs/{}/results", spec.id),
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
        Accepted::Priced { deal, records, price, unconfigured } => {
            ApiResponse::json(200, &priced(*deal, *records, *price, unconfigured.as_deref()))
        }
        Accepted::Job { view, .. } => {
            let left = view.estimate(now, NOMINAL_PER_RECORD).map_or(0, |at| at.since(now).as_secs());
            ApiResponse::json(202, &job(view, now))
                .with("location", format!("/v1/jobs/{}", view.job.spec.id))
                .with("retry-after", left.clamp(1, 30).to_string())
        }
    }
}

fn job_page(jobs: &[JobView], next: Option<&JobId>, now: Timestamp) -> ApiResponse {
    let jobs: Vec<_> = jobs.iter().map(|view| job(view, now)).collect();
    ApiResponse::json(200, &json!({"jobs": jobs, "next_cursor": next.map(JobId::as_str)}))
}

/// A page of results, as JSON, NDJSON or CSV.
fn result_page(page: &ResultsPage<'_>) -> ApiResponse {
    const KNOWN: [&str; 6] = ["application/json", "application/x-ndjson", "text/csv", "*/*", "application/*", "text/*"];
    let response = match page.request.accepts().find(|media| KNOWN.contains(media)) {
        Some("application/x-ndjson") => {
            let lines = page.lines.iter().flat_map(|line| [line.to_json().to_string(), "\n".to_owned()]);
            ApiResponse::new(200, "application/x-ndjson", lines.collect::<String>().into_bytes())
        }
        Some("text/csv" | "text/*") => ApiResponse::new(200, "text/csv; charset=utf-8", csv(page.lines, page.first)),
        _ => {
            let lines: Vec<_> = page.lines.iter().map(ResultLine::to_json).collect();
            return ApiResponse::json(200, &json!({"results": lines, "next_cursor": page.next}));
        }
    };
    match &page.next {
        Some(next) => {
            let target = format!("</v1/jobs/{}/results?cursor={next}&limit={}>; rel=\"next\"", page.job, page.limit);
            response.with("link", target).with("millrace-next-cursor", next)
        }
        None => response,
    }
}

/// The answer to a dry run.
fn priced(deal: Deal, records: usize, price: u32, unconfigured: Option<&str>) -> Value {
    let warnings: Vec<Value> = unconfigured
        .iter()
        .map(|detail| json!({"code": FailureCode::ProviderUnconfigured.as_str(), "detail": detail}))
        .collect();
    json!({
        "object": "estimate",
        "records": records,
        "credits": {"per_record_at_most": price, "reserved": deal.reserved},
        "skipped": records - deal.funded,
        "warnings": warnings,
    })
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
    ApiResponse::json(202, &delivery(shown)).with("location", format!("/v1/deliveries/{}", shown.id))
}

fn delivery_page(deliveries: &[Delivery], next: Option<u32>) -> ApiResponse {
    let rows: Vec<_> = deliveries.iter().map(delivery).collect();
    ApiResponse::json(200, &json!({"deliveries": rows, "next_cursor": next.map(|n| n.to_string())}))
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
            let result = event.results.and_then(<[ResultLine]>::first).map(ResultLine::to_json);
            json!({"object": "record", "job_id": view.job.spec.id.as_str(), "result": result})
        }
        Some(view) => job(view, event.at),
        None => json!({"object": "test", "message": "This is a test event. Its signature is as real as any."}),
    };
    let lines = event.results.filter(|_| event.kind != EventType::RecordFinished);
    if let (Some(members), Some(lines)) = (data.as_object_mut(), lines) {
        members.insert("results".to_owned(), lines.iter().map(ResultLine::to_json).collect());
    }
    let body = json!({"type": event.kind.as_str(), "timestamp": event.at.rfc3339(), "data": data});
    body.to_string().into_bytes()
}

fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    signature::headers(signing.secrets, signing.id, signing.at, signing.body)
}

/// The columns of results as CSV.
const CSV_COLUMNS: [&str; 8] = ["index", "id", "status", "input", "metadata", "data", "credits", "error"];

/// Results as CSV, with a header line where asked for. `input`, `metadata` and `data` are JSON in one cell each, because
/// their fields differ from line to line.
fn csv(lines: &[ResultLine], header: bool) -> Vec<u8> {
    let mut rows: Vec<[String; 8]> = Vec::with_capacity(lines.len() + 1);
    if header {
        rows.push(CSV_COLUMNS.map(str::to_owned));
    }
    let cell =
        |members: &Map<String, Value>| if members.is_empty() { String::new() } else { json!(members).to_string() };
    for line in lines {
        rows.push([
            line.index.to_string(),
            guarded(line.record.id.clone().unwrap_or_default()),
            line.outcome.status.as_str().to_owned(),
            cell(&line.record.input),
            line.record.metadata.as_ref().map(cell).unwrap_or_default(),
            cell(&line.outcome.data),
            line.outcome.credits.to_string(),
            line.outcome.error.as_ref().map(|e| guarded(format!("{}: {}", e.code, e.detail))).unwrap_or_default(),
        ]);
    }
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for row in rows {
        // Writing to memory does not fail, and every row has as many cells.
        let _ = writer.write_record(&row);
    }
    writer.into_inner().unwrap_or_default()
}

/// Keeps spreadsheets from taking a cell for a formula. Source: OWASP, CSV injection.
fn guarded(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let (status, problem) = problem(error, &request.request_id);
    ApiResponse::new(status, "application/problem+json", problem.to_string().into_bytes())
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
        let errors = faults.iter().map(|f| json!({"pointer": f.pointer, "detail": f.detail}));
        members.insert("errors".to_owned(), errors.collect());
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
        async fn send(&self, _: crate::ports::HttpRequest) -> Result<crate::ports::HttpAnswer, HttpError> {
            Err(HttpError::Timeout)
        }

        fn check(&self, _: &str, _: bool) -> Result<(), HttpError> {
            Ok(())
        }
    }

    fn read(body: &str) -> Result<Submission, ApiError> {
        let text =
            "[types.company]\ndescription = \"d\"\ninputs = [[\"domain\"]]\nunconfigured = \"x\"\nwaterfall = []\n";
        let config = crate::provider::config::Config::parse("t", text).unwrap();
        let request = ApiRequest {
            method: "POST".to_owned(),
            path: "/v1/jobs".to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            request_id: "r".to_owned(),
        };
        let reading = Reading { surface: &SURFACE, catalog: &Catalog::of(&config), http: &Anything };
        read_submission(&request, &reading)
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_place() {
        let body = r#"{"type": "company", "colour": 1, "max_credits": -1, "records": [
            {"input": {"domain": "a.example"}}, 7, {"input": {}}, {"input": {"domain": 5}, "metadata": []}, {"x/y": 1}]}"#;
        let Err(ApiError::Invalid(faults)) = read(body) else { panic!("accepted") };
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
        for cell in ["=1+1", "+1", "-1", "@x", "\tx"] {
            assert_eq!(guarded(cell.to_owned()), format!("'{cell}"));
        }
        assert_eq!(guarded("a=1".to_owned()), "a=1");
    }
}
