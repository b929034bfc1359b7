//! The asynchronous enrichment of `ApiOne`: one route to submit, two to read, one event at the end. `shared/surfaces/apione.md`
//! says what of it is theirs and what had to be decided.
//!
//! Every body is written by [`ecmascript`]: their receivers sign `JSON.stringify` of what they parsed, not what they got.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::native::NOMINAL_PER_RECORD;
use super::{Call, Event, MAX_URL_CHARS, Reading, Route, Shown, Shows, Signing, Surface};
use crate::domain::delivery::DeliveryRules;
use crate::domain::error::{ApiError, InputError};
use crate::domain::ids::JobId;
use crate::domain::job::{
    Accepted, End, JobView, MAX_ESCAPED_PAGE_BYTES, MAX_RECORDS, Status, Submission, Webhook,
};
use crate::domain::json;
use crate::domain::record::{
    MAX_RECORD_BYTES, Outcome, OutcomeStatus, Record, present, without_blanks,
};
use crate::domain::signature;
use crate::domain::time::Timestamp;
use crate::surfaces::common::ecmascript;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};
use crate::surfaces::common::read::{Faults, object_by, too_large};

/// The `apione` surface.
pub const SURFACE: Surface = Surface {
    name: "apione",
    operations: &OPERATIONS,
    routes: ROUTES,
    shows: Shows::Own,
    key,
    id: JobId::to_string,
    parse_id: JobId::parse,
    error,
    delivery,
    inline: End::fits_one_response,
    body: event_body,
    sign,
};

const STATUS_PATH: &str = "/api/v1/async/status/{id}";

const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/api/v1/async/enrich",
        call: Call::Submit {
            read,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: STATUS_PATH,
        call: Call::Job {
            records: records_at_end,
            show: show_status,
        },
    },
    Route {
        method: "GET",
        path: "/api/v1/async/results/{id}",
        call: Call::Job {
            records: |_, view| fits(view),
            show: show_results,
        },
    },
];

/// What `type` may say.
const OPERATIONS: [&str; 5] = ["company", "people", "email", "tech", "signals"];
/// A receiver has so long to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The waits after the first, second and third failed attempt.
const DELAYS: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
];
/// The most faults that an error's message lists.
const MAX_LISTED: usize = 5;

fn key(request: &ApiRequest) -> Option<&str> {
    request.header("x-api-key")
}

fn delivery() -> DeliveryRules {
    DeliveryRules::exact(&DELAYS, TIMEOUT)
}

/// Reads a submission. Members besides the three are left out of account, as are members of records that no provider asks for.
fn read(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
    let mut request = object_by(json::read_unchanged, &request.body)?;
    let mut faults = Faults::default();
    let operation = match request.get("type").and_then(Value::as_str) {
        Some(text) => OPERATIONS.into_iter().find(|known| *known == text),
        None => None,
    };
    if operation.is_none() {
        faults.add("/type", format!("must be one of {}", OPERATIONS.join(", ")));
    }
    let url = faults.text(&request, "", "webhook_url", MAX_URL_CHARS);
    if let Some(fault) = url.as_ref().and_then(|url| reading.url_fault(url)) {
        faults.add("/webhook_url", fault);
    }
    let items = match request.swap_remove("records") {
        Some(Value::Array(items)) if (1..=MAX_RECORDS).contains(&items.len()) => items,
        Some(Value::Array(items)) => {
            faults.add(
                "/records",
                format!("has {} records; a job has 1 to {MAX_RECORDS}", items.len()),
            );
            Vec::new()
        }
        _ => {
            faults.add(
                "/records",
                format!("must be an array of 1 to {MAX_RECORDS} records"),
            );
            Vec::new()
        }
    };
    let mut records = Vec::with_capacity(items.len());
    let mut oversize = None;
    for (at, item) in items.into_iter().enumerate() {
        let Value::Object(sent) = item else {
            faults.add(
                format!("/records/{at}"),
                "must be an object like {\"domain\": …}",
            );
            continue;
        };
        if serde_json::to_vec(&sent).map_or(0, |bytes| bytes.len()) > MAX_RECORD_BYTES {
            oversize.get_or_insert(at);
        }
        records.push(record(sent, operation.unwrap_or_default()));
    }
    faults.finish()?;
    if let Some(at) = oversize {
        return Err(too_large(at));
    }
    let operation = operation.unwrap_or_default();
    Ok(Submission {
        operation: Some(operation.to_owned()),
        webhook: url.map(|url| Webhook { url }),
        ..Submission::new(SURFACE.name, reading.kind(operation), records)
    })
}

/// A record with the names that providers know, and as it was sent where that differs.
fn record(sent: Map<String, Value>, operation: &str) -> Record {
    let mut input = Map::with_capacity(sent.len());
    for (name, value) in without_blanks(&sent).iter() {
        let wanted = canonical(name, operation).filter(|_| value.is_string());
        let wanted = wanted
            .filter(|wanted| present(&sent, wanted).is_none() && !input.contains_key(*wanted));
        input.insert(wanted.unwrap_or(name).to_owned(), value.clone());
    }
    // A company's website is on its domain; a person's need not be.
    if !matches!(operation, "people" | "email")
        && !input.contains_key("domain")
        && let Some(website) = input
            .get("website")
            .filter(|website| website.is_string())
            .cloned()
    {
        input.insert("domain".to_owned(), website);
    }
    let original = (input != sent).then_some(sent);
    Record {
        input,
        original,
        ..Record::default()
    }
}

/// What providers call a field that clients write in one of the usual ways, in any case and with any separator.
fn canonical(name: &str, operation: &str) -> Option<&'static str> {
    // No name below is longer.
    if name.len() > 32 {
        return None;
    }
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    Some(match letters.to_ascii_lowercase().as_str() {
        "name" if matches!(operation, "people" | "email") => "full_name",
        "name" | "company" | "companyname" | "organization" | "organisation"
        | "organizationname" => "company_name",
        "domain" | "companydomain" => "domain",
        "firstname" => "first_name",
        "lastname" => "last_name",
        "fullname" => "full_name",
        "email" | "emailaddress" => "email",
        "phone" | "phonenumber" => "phone",
        "linkedin"
        | "linkedinurl"
        | "linkedinprofile"
        | "linkedinprofileurl"
        | "profileurl"
        | "professionalnetworkurl" => "linkedin_url",
        "ip" | "ipaddress" => "ip",
        "website" | "websiteurl" => "website",
        "title" | "jobtitle" => "title",
        "keyword" => "keyword",
        "address" => "address",
        "location" => "location",
        "country" => "country",
        _ => return None,
    })
}

/// Times as their documentation writes them: RFC 3339 in UTC, in whole seconds.
fn time(at: Timestamp) -> String {
    let text = at.rfc3339();
    format!("{}Z", text.split('.').next().unwrap_or_default())
}

fn respond(status: u16, body: &Value) -> ApiResponse {
    ApiResponse::new(status, "application/json", ecmascript::to_vec(body))
}

/// The answer to a submission. 200 and not 202: the document names no status, and 200 is what a client takes that
/// compares it instead of asking whether it is a 2xx.
fn accepted(accepted: &Accepted, now: Timestamp) -> ApiResponse {
    let view = match accepted {
        Accepted::Job { view, .. } => view,
        // Nothing on this surface asks for a dry run.
        Accepted::Priced { records, deal, .. } => {
            let body = json!({"status": "success", "total_records": records, "estimated_credits": deal.reserved});
            return respond(200, &body);
        }
    };
    let mut body = Map::new();
    body.insert("status".to_owned(), "success".into());
    body.insert("job_id".to_owned(), view.job.spec.id.as_str().into());
    body.insert("total_records".to_owned(), view.job.spec.total.into());
    estimate(&mut body, view, now);
    respond(200, &Value::Object(body))
}

/// When the job will have ended; of one that has, which the answer to a repeated submission may be about, when it did.
fn estimate(body: &mut Map<String, Value>, view: &JobView, now: Timestamp) {
    let ended = view.job.end.as_ref().map(|end| end.at);
    let at = view
        .estimate(now, NOMINAL_PER_RECORD)
        .or(ended)
        .unwrap_or(now);
    let seconds = u64::try_from(at.since(now).as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    body.insert("estimated_completion".to_owned(), time(at).into());
    body.insert("estimated_completion_seconds".to_owned(), seconds.into());
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Queued => "queued",
        Status::Running | Status::Canceling | Status::Expiring => "processing",
        Status::Completed => "completed",
        Status::Canceled | Status::Failed | Status::Expired | Status::Deleted => "failed",
    }
}

/// Whether a job's results go along with its status and its event.
fn fits(view: &JobView) -> bool {
    view.job.end.as_ref().is_none_or(End::fits_one_response)
}

fn records_at_end(_: &ApiRequest, view: &JobView) -> bool {
    !view.job.status.is_live() && fits(view)
}

fn too_large_for_one(results_url: &str) -> String {
    format!(
        "the results are too large for one response; read them page by page from {results_url} with the same key"
    )
}

/// Why an ended job cannot be told of as completed, if it cannot.
fn trouble(view: &JobView, fits: bool) -> Option<String> {
    let end = match view.job.status {
        Status::Completed => None,
        Status::Canceled => Some("the job was canceled".to_owned()),
        _ => {
            let said = view.job.end.as_ref().and_then(|end| end.error.clone());
            Some(said.unwrap_or_else(|| "the job could not be run".to_owned()))
        }
    };
    let rest = (!fits).then(|| too_large_for_one(&view.results_url()));
    let all: Vec<String> = end.into_iter().chain(rest).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// The members of a job that its status and its event share.
fn counts(body: &mut Map<String, Value>, view: &JobView) {
    let counts = view.counts();
    let failed = counts.failed + counts.invalid + counts.skipped + counts.canceled;
    body.insert("total_records".to_owned(), view.job.spec.total.into());
    body.insert("successful".to_owned(), counts.found.into());
    body.insert("not_found".to_owned(), counts.not_found.into());
    body.insert("failed".to_owned(), failed.into());
    body.insert("credits_used".to_owned(), view.credits_used().into());
}

/// One record's result. Why it failed stands beside what the document has.
fn result(record: &Record, outcome: &Outcome) -> Value {
    let (status, data) = match outcome.status {
        OutcomeStatus::Found => ("success", Value::Object(outcome.data.clone())),
        OutcomeStatus::NotFound => ("not_found", Value::Null),
        _ => ("failed", Value::Null),
    };
    let mut result = Map::new();
    result.insert("status".to_owned(), status.into());
    result.insert("input".to_owned(), Value::Object(record.sent().clone()));
    result.insert("data".to_owned(), data);
    if status == "failed" {
        let why = outcome
            .error
            .as_ref()
            .map(|error| format!("{}: {}", error.code, error.detail));
        result.insert(
            "error".to_owned(),
            why.unwrap_or_else(|| outcome.status.as_str().to_owned())
                .into(),
        );
    }
    Value::Object(result)
}

/// A job and, where `results` are given, those.
fn show(
    shown: &Shown<'_>,
    results: Option<Vec<Value>>,
    fits: bool,
) -> Result<ApiResponse, ApiError> {
    let view = shown.view;
    let trouble = if view.job.end.is_some() {
        trouble(view, fits)
    } else {
        None
    };
    let mut body = Map::new();
    body.insert("job_id".to_owned(), view.job.spec.id.as_str().into());
    let status = if trouble.is_some() {
        "failed"
    } else {
        word(view.status())
    };
    body.insert("status".to_owned(), status.into());
    body.insert("progress".to_owned(), view.percent().into());
    counts(&mut body, view);
    match &view.job.end {
        Some(end) => _ = body.insert("completed_at".to_owned(), time(end.at).into()),
        None => estimate(&mut body, view, shown.now),
    }
    if let Some(trouble) = trouble {
        body.insert("error".to_owned(), trouble.into());
    }
    let count = results
        .as_ref()
        .map_or(u64::from(view.counts().total()), |results| {
            results.len() as u64
        });
    body.insert("results_count".to_owned(), count.into());
    if let Some(results) = results {
        body.insert("results".to_owned(), Value::Array(results));
    }
    let response = respond(200, &Value::Object(body));
    // Numbers can take more room here than where they were counted: 1e20 has 21 digits.
    let escaped: usize = response
        .body
        .iter()
        .map(|b| if matches!(b, b'"' | b'\\') { 2 } else { 1 })
        .sum();
    if escaped > MAX_ESCAPED_PAGE_BYTES {
        return Err(ApiError::ResultsTooLarge {
            results_url: view.results_url(),
        });
    }
    Ok(response)
}

/// What of a job has ended so far, in input order.
fn ended(shown: &Shown<'_>) -> Option<Vec<Value>> {
    let entries = shown.records?.iter();
    Some(
        entries
            .filter_map(|entry| Some(result(&entry.record, entry.outcome.as_ref()?)))
            .collect(),
    )
}

/// Results come with the end only, so that polling reads no more than it must.
fn show_status(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    let results = ended(shown);
    let missing = results.is_none() && !shown.view.job.status.is_live();
    show(
        shown,
        if missing { Some(Vec::new()) } else { results },
        !missing,
    )
}

/// While the job runs, what has ended so far.
fn show_results(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    match ended(shown) {
        Some(results) => show(shown, Some(results), true),
        None => Err(ApiError::ResultsTooLarge {
            results_url: shown.view.results_url(),
        }),
    }
}

/// The body of an event. Everything in it is fixed when the job ends.
fn event_body(event: &Event<'_>) -> Vec<u8> {
    let mut body = Map::new();
    let Some(view) = event.job else {
        body.insert("event".to_owned(), event.kind.as_str().into());
        body.insert("completed_at".to_owned(), time(event.at).into());
        return ecmascript::to_vec(&Value::Object(body));
    };
    let trouble = trouble(view, event.results.is_some());
    let kind = if trouble.is_some() {
        "job.failed"
    } else {
        "job.completed"
    };
    body.insert("event".to_owned(), kind.into());
    body.insert("job_id".to_owned(), view.job.spec.id.as_str().into());
    body.insert("completed_at".to_owned(), time(event.at).into());
    counts(&mut body, view);
    if let Some(trouble) = trouble {
        body.insert("error".to_owned(), trouble.into());
    }
    let lines = event.results.unwrap_or_default().iter();
    body.insert(
        "results".to_owned(),
        lines
            .map(|line| result(&line.record, &line.outcome))
            .collect(),
    );
    ecmascript::to_vec(&Value::Object(body))
}

/// One value only, as their receivers compare the whole header. While a secret is being replaced the old one signs: receivers
/// have that one until their owner has put the new one everywhere. The key is the secret's text, which their code hands to
/// `createHmac` as it is.
fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    let mut headers = signature::headers(signing.secrets, signing.id, signing.at, signing.body);
    let oldest = signing.secrets.last();
    // HMAC takes a key of any length.
    if let Some(mut mac) =
        oldest.and_then(|secret| Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).ok())
    {
        mac.update(signing.body);
        let digest = hex::encode(mac.finalize().into_bytes());
        headers.push(("x-apione-signature".to_owned(), format!("sha256={digest}")));
    }
    headers
}

fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let (code, message) = describe(error);
    let mut body = Map::new();
    body.insert("status".to_owned(), "error".into());
    body.insert("code".to_owned(), code.into());
    body.insert("message".to_owned(), message.clone().into());
    body.insert("request_id".to_owned(), request.request_id.clone().into());
    match error {
        ApiError::Unavailable {
            retry_after_seconds,
        } => {
            body.insert("retry_after".to_owned(), (*retry_after_seconds).into());
        }
        // Clients that poll stop at `completed` and `failed` and look at no status code.
        ApiError::ResultsTooLarge { .. }
            if request
                .path
                .starts_with(STATUS_PATH.trim_end_matches("{id}")) =>
        {
            body.insert("status".to_owned(), "failed".into());
            body.insert("error".to_owned(), message.into());
        }
        _ => {}
    }
    respond(code, &Value::Object(body))
}

fn describe(error: &ApiError) -> (u16, String) {
    match error {
        ApiError::Unauthorized => (401, "send a valid API key in the X-API-Key header".to_owned()),
        ApiError::Forbidden { needs } => (403, format!("this API key lacks the scope {needs}")),
        ApiError::NotFound { what } => (404, format!("there is no such {what}")),
        ApiError::MethodNotAllowed { allow } => (405, format!("this path takes {}", allow.join(" and "))),
        ApiError::Malformed { detail } => (400, detail.clone()),
        ApiError::Invalid(faults) => (400, faults_as_text(faults)),
        ApiError::Coding { detail } => (415, detail.clone()),
        ApiError::TooLarge { detail } => (413, detail.clone()),
        ApiError::IdempotencyMismatch => {
            (422, "this Idempotency-Key came before with another request; use a new key for a new request".to_owned())
        }
        ApiError::NotEnoughCredits { needed, available } => {
            (402, format!("the job needs up to {needed} credits and {available} are free"))
        }
        ApiError::ResultsTooLarge { results_url } => (413, too_large_for_one(results_url)),
        ApiError::Conflict { detail } => (409, detail.clone()),
        ApiError::Unavailable { retry_after_seconds } => (503, format!("try again in {retry_after_seconds} s")),
        ApiError::Internal => (500, "this is a fault of ours; quote request_id when you report it".to_owned()),
    }
}

fn faults_as_text(faults: &[InputError]) -> String {
    let place = |fault: &InputError| match fault.pointer.trim_start_matches('/') {
        "" => fault.detail.clone(),
        place => format!("{place} {}", fault.detail),
    };
    let more = faults.len().saturating_sub(MAX_LISTED);
    let listed = faults.iter().take(MAX_LISTED).map(place);
    listed
        .chain((more > 0).then(|| format!("and {more} more faults")))
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn records_get_the_names_that_providers_know_and_keep_what_was_sent() {
        let sent = map(
            &json!({"firstName": "Ada", "Last-Name": "L", "name": "Ada L", "company": "Acme", "crm": {"id": 1}}),
        );
        let record = record(sent.clone(), "people");
        let names: Vec<_> = record.input.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "first_name",
                "last_name",
                "full_name",
                "company_name",
                "crm"
            ]
        );
        assert_eq!((record.sent(), record.original.is_some()), (&sent, true));
    }

    #[test]
    fn a_name_is_taken_once_and_only_for_texts() {
        let sent = map(
            &json!({"company": "A", "company_name": "B", "Domain": 7, "linkedin": "x", "profile_url": "y"}),
        );
        let record = record(sent.clone(), "company");
        let wanted = json!({"company": "A", "company_name": "B", "Domain": 7, "linkedin_url": "x", "profile_url": "y"});
        assert_eq!(Value::Object(record.input), wanted);
        let plain = super::record(
            map(&json!({"domain": "a.example", "10": 1, "toJSON": "x"})),
            "company",
        );
        assert_eq!(plain.original, None, "nothing is kept twice without need");
    }

    #[test]
    fn name_is_a_persons_or_a_companys() {
        assert_eq!(canonical("name", "email"), Some("full_name"));
        assert_eq!(canonical("name", "signals"), Some("company_name"));
        assert_eq!(canonical(&"a".repeat(100_000), "people"), None);
    }

    #[test]
    fn a_company_known_by_its_website_alone_was_not_looked_up() {
        let read = |sent: Value, operation| {
            let Value::Object(sent) = sent else {
                panic!("{sent} is no object")
            };
            record(sent, operation)
        };
        let company = read(json!({"Website": "https://www.a.example/x"}), "company");
        assert_eq!(company.input["domain"], "https://www.a.example/x");
        assert_eq!(
            Value::from(company.sent().clone()),
            json!({"Website": "https://www.a.example/x"})
        );
        for empty in [Value::Null, json!(""), json!(" ")] {
            let company = read(json!({"domain": empty, "website": "a.example"}), "company");
            assert_eq!(company.input["domain"], "a.example");
        }
        let both = read(
            json!({"domain": "a.example", "website": "b.example"}),
            "tech",
        );
        assert_eq!(
            (both.input["domain"].as_str(), both.original.is_none()),
            (Some("a.example"), true)
        );
        assert!(
            !read(json!({"website": "https://john.example/"}), "people")
                .input
                .contains_key("domain")
        );
        assert!(
            !read(json!({"website": 5}), "company")
                .input
                .contains_key("domain")
        );
    }

    #[test]
    fn times_are_in_whole_seconds() {
        assert_eq!(time(Timestamp(1_731_681_120_999)), "2024-11-15T14:32:00Z");
    }

    /// Source of the digest: Python's `hmac` over the same secret and body.
    #[test]
    fn the_secrets_text_signs_prefix_included_and_the_oldest_alone() {
        let (old, new) = (
            signature::Secret::new(&[1; 32]),
            signature::Secret::new(&[2; 32]),
        );
        let signing = Signing {
            secrets: &[&new, &old],
            id: "evt_1",
            event: crate::domain::delivery::EventType::JobCompleted,
            attempt: 1,
            at: Timestamp(0),
            body: b"{}",
        };
        let sent = sign(&signing);
        let of = |name: &str| {
            sent.iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
        };
        assert_eq!(
            of("x-apione-signature"),
            Some("sha256=e932e979856513dda4c9a46d886d8095356e73e185a4aeeb8042b45bec48523b")
        );
        assert_eq!(
            of("webhook-signature").map(|v| v.split(' ').count()),
            Some(2)
        );
    }

    #[test]
    fn every_error_has_the_shape_of_the_document() {
        let request = ApiRequest {
            method: "GET".to_owned(),
            path: "/api/v1/async/status/job_1".to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            request_id: "req-1".to_owned(),
        };
        let shown =
            |e: &ApiError| serde_json::from_slice::<Value>(&error(e, &request).body).unwrap();
        let body = shown(&ApiError::Unavailable {
            retry_after_seconds: 3,
        });
        assert_eq!(
            (&body["status"], &body["code"], &body["retry_after"]),
            (&json!("error"), &json!(503), &json!(3))
        );
        assert_eq!(body["request_id"], "req-1");
        let body = shown(&ApiError::ResultsTooLarge {
            results_url: "/v1/jobs/job_1/results".to_owned(),
        });
        assert_eq!(
            (&body["status"], &body["code"]),
            (&json!("failed"), &json!(413))
        );
        assert!(
            body["error"]
                .as_str()
                .unwrap()
                .contains("/v1/jobs/job_1/results")
        );
        let faults = (0..9).map(|n| InputError::new(format!("/records/{n}"), "must be an object"));
        let message = shown(&ApiError::Invalid(faults.collect()))["message"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            message.starts_with("records/0 must be an object; ")
                && message.ends_with("; and 4 more faults")
        );
    }
}
