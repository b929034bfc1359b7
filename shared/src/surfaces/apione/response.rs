//! The answers: a job, and the results that there are.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::error::ApiError;
use crate::domain::job::{Accepted, End, JobView, MAX_ESCAPED_PAGE_BYTES, Status};
use crate::domain::json::escaped_size;
use crate::domain::record::{Outcome, OutcomeStatus, Record};
use crate::domain::time::Timestamp;
use crate::surfaces::common::ecmascript;
use crate::surfaces::common::message::{ApiRequest, ApiResponse, json_members};
use crate::surfaces::{NOMINAL_PER_RECORD, Shown};

/// Times as their documentation writes them: RFC 3339 in UTC, in whole seconds.
pub(super) fn time(at: Timestamp) -> String {
    let text = at.rfc3339();
    format!("{}Z", text.split('.').next().unwrap_or_default())
}

/// Answers with a body of [`json_members`]. What was sent is added to them as it is: to serialize
/// it into values would write its numbers anew.
pub(super) fn respond(status: u16, body: Map<String, Value>) -> ApiResponse {
    let body = ecmascript::to_vec(&Value::Object(body));
    ApiResponse::new(status, "application/json", body)
}

/// A job that was taken on.
#[derive(Debug, Serialize)]
struct Started<'a> {
    status: &'static str,
    job_id: &'a str,
    total_records: u32,
    #[serde(flatten)]
    estimate: Estimate,
}

/// The price of a job.
#[derive(Debug, Serialize)]
struct Price {
    status: &'static str,
    total_records: usize,
    estimated_credits: u64,
}

/// When a job will have ended.
#[derive(Debug, Serialize)]
struct Estimate {
    estimated_completion: String,
    estimated_completion_seconds: u64,
}

/// A job as it is polled, but for its results.
#[derive(Debug, Serialize)]
struct Polled<'a> {
    job_id: &'a str,
    status: &'static str,
    progress: u32,
    #[serde(flatten)]
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    #[serde(flatten)]
    estimate: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    results_count: u64,
}

/// The members of a job that its status and its event share.
#[derive(Debug, Serialize)]
pub(super) struct Counts {
    total_records: u32,
    successful: u32,
    not_found: u32,
    failed: u32,
    credits_used: u64,
}

impl Counts {
    pub(super) fn of(view: &JobView) -> Self {
        let counts = view.counts();
        Self {
            total_records: view.job.spec.total,
            successful: counts.found,
            not_found: counts.not_found,
            failed: counts.failed + counts.invalid + counts.skipped + counts.canceled,
            credits_used: view.credits_used(),
        }
    }
}

/// Answers a submission. 200 and not 202: the document names no status, and 200 is what a client
/// takes that compares it instead of asking whether it is a 2xx.
pub(super) fn accepted(accepted: &Accepted, now: Timestamp) -> ApiResponse {
    let body = match accepted {
        Accepted::Job { view, .. } => json_members(&Started {
            status: "success",
            job_id: view.job.spec.id.as_str(),
            total_records: view.job.spec.total,
            estimate: estimate(view, now),
        }),
        // Nothing on this surface asks for a dry run.
        Accepted::Priced {
            records,
            reservation,
            ..
        } => json_members(&Price {
            status: "success",
            total_records: *records,
            estimated_credits: reservation.reserved,
        }),
    };
    respond(200, body)
}

/// Tells when the job will have ended; of one that has, which the answer to a repeated submission
/// may be about, when it did.
fn estimate(view: &JobView, now: Timestamp) -> Estimate {
    let ended = view.job.end.as_ref().map(|end| end.at);
    let at = view
        .estimate(now, NOMINAL_PER_RECORD)
        .or(ended)
        .unwrap_or(now);
    let seconds = u64::try_from(at.since(now).as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    Estimate {
        estimated_completion: time(at),
        estimated_completion_seconds: seconds,
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Queued => "queued",
        Status::Running | Status::Canceling | Status::Expiring => "processing",
        Status::Completed => "completed",
        Status::Canceled | Status::Failed | Status::Expired | Status::Deleted => "failed",
    }
}

/// Returns whether a job's results go along with its status and its event.
pub(super) fn fits(view: &JobView) -> bool {
    view.job.end.as_ref().is_none_or(End::fits_one_response)
}

pub(super) fn records_at_end(_: &ApiRequest, view: &JobView) -> bool {
    !view.job.status.is_live() && fits(view)
}

pub(super) fn too_large_for_one(results_url: &str) -> String {
    format!(
        "the results are too large for one response; read them page by page from {results_url} \
         with the same key"
    )
}

/// Returns why an ended job cannot be shown as completed, if it cannot.
pub(super) fn trouble(view: &JobView, fits: bool) -> Option<String> {
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

/// One record's result. Why it failed stands beside what the document has.
pub(super) fn result(record: &Record, outcome: &Outcome) -> Value {
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

/// Shows a job and, where `results` are given, those.
fn show(
    shown: &Shown<'_>,
    results: Option<Vec<Value>>,
    fits: bool,
) -> Result<ApiResponse, ApiError> {
    let view = shown.view;
    let end = view.job.end.as_ref();
    let trouble = end.and_then(|_| trouble(view, fits));
    let count = results
        .as_ref()
        .map_or(u64::from(view.counts().total()), |results| {
            results.len() as u64
        });
    let mut body = json_members(&Polled {
        job_id: view.job.spec.id.as_str(),
        status: if trouble.is_some() {
            "failed"
        } else {
            word(view.status())
        },
        progress: view.percent(),
        counts: Counts::of(view),
        completed_at: end.map(|end| time(end.at)),
        estimate: end.is_none().then(|| estimate(view, shown.now)),
        error: trouble,
        results_count: count,
    });
    if let Some(results) = results {
        body.insert("results".to_owned(), Value::Array(results));
    }
    let response = respond(200, body);
    // Numbers can take more room here than where they were counted: 1e20 has 21 digits.
    if escaped_size(&response.body) > MAX_ESCAPED_PAGE_BYTES {
        return Err(ApiError::ResultsTooLarge {
            results_url: view.results_url(),
        });
    }
    Ok(response)
}

/// Returns what of a job has ended so far, in input order.
fn ended(shown: &Shown<'_>) -> Option<Vec<Value>> {
    let entries = shown.records?.iter();
    Some(
        entries
            .filter_map(|entry| Some(result(&entry.record, entry.outcome.as_ref()?)))
            .collect(),
    )
}

/// Results come with the end only, so that polling reads no more than it must.
pub(super) fn show_status(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    let results = ended(shown);
    let missing = results.is_none() && !shown.view.job.status.is_live();
    show(
        shown,
        if missing { Some(Vec::new()) } else { results },
        !missing,
    )
}

/// While the job runs, what has ended so far.
pub(super) fn show_results(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    match ended(shown) {
        Some(results) => show(shown, Some(results), true),
        None => Err(ApiError::ResultsTooLarge {
            results_url: shown.view.results_url(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_whole_seconds() {
        assert_eq!(time(Timestamp(1_731_681_120_999)), "2024-11-15T14:32:00Z");
    }
}
