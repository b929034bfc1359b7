//! A task as it is polled and as its webhook shows it.

use serde::Serialize;

use super::result::{TaskResult, result};
use crate::domain::error::ApiError;
use crate::domain::job::{Accepted, End, JobView, Status};
use crate::domain::record::{Outcome, Record};
use crate::domain::time::Timestamp;
use crate::surfaces::Shown;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

/// A task that was taken on.
#[derive(Debug, Serialize)]
struct Started {
    task_id: String,
    status: &'static str,
}

/// A task as it is polled and as its webhook shows it.
#[derive(Debug, Serialize)]
pub(super) struct Task<'a> {
    task_id: String,
    status: &'static str,
    task_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<TaskResult>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

pub(super) fn accepted(accepted: &Accepted, _: Timestamp) -> ApiResponse {
    // A repeated request is answered as the first one was.
    let id = match accepted {
        Accepted::Job { view, .. } => view.job.spec.id.uuid(),
        Accepted::Priced { .. } => String::new(),
    };
    let started = Started {
        task_id: id,
        status: "pending",
    };
    ApiResponse::json(200, &started)
}

/// Returns whether a job ended with results that fit.
pub(super) fn records(_: &ApiRequest, view: &JobView) -> bool {
    view.status() == Status::Completed && view.job.end.as_ref().is_some_and(End::fits_one_response)
}

#[expect(clippy::unnecessary_wraps, reason = "other surfaces refuse here")]
pub(super) fn show(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    let results = shown.records.map(|entries| {
        let ended = entries
            .iter()
            .filter_map(|entry| Some((&entry.record, entry.outcome.as_ref()?)));
        ended.collect::<Vec<_>>()
    });
    Ok(ApiResponse::json(
        200,
        &task(shown.view, results.as_deref()),
    ))
}

/// Shows a task with its result.
pub(super) fn task<'a>(view: &'a JobView, results: Option<&[(&Record, &Outcome)]>) -> Task<'a> {
    let spec = &view.job.spec;
    let name = spec.operation.as_deref().unwrap_or_default();
    let pages = view.results_url();
    let failed = |error: String| ("failed", None, Some(error));
    let reason = || view.job.end.as_ref().and_then(|end| end.error.clone());
    let (status, result, error) = match view.status() {
        Status::Queued => ("pending", None, None),
        Status::Running | Status::Canceling | Status::Expiring => ("processing", None, None),
        Status::Completed => match results {
            None => failed(format!(
                "the result is too large for one answer; read it page by page from {pages}"
            )),
            Some(results) => match result(name, results, spec.blanks) {
                Ok(result) => ("completed", Some(result), None),
                Err(error) => failed(error),
            },
        },
        Status::Canceled => failed(format!(
            "the task was canceled; what was found before that is at {pages}"
        )),
        Status::Failed => failed(reason().unwrap_or_else(|| "the task could not run".to_owned())),
        Status::Expired => {
            failed(reason().unwrap_or_else(|| "the task did not end in time".to_owned()))
        }
        Status::Deleted => failed("the task was erased".to_owned()),
    };
    Task {
        task_id: spec.id.uuid(),
        status,
        task_type: name,
        result,
        error,
    }
}
