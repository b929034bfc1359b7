//! A task as it is polled and as it is told.

use serde_json::{Value, json};

use super::result::result;
use crate::domain::error::ApiError;
use crate::domain::job::{Accepted, End, JobView, Status};
use crate::domain::record::{Outcome, Record};
use crate::domain::time::Timestamp;
use crate::surfaces::Shown;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

pub(super) fn accepted(accepted: &Accepted, _: Timestamp) -> ApiResponse {
    // A repeated request is answered as the first one was.
    let id = match accepted {
        Accepted::Job { view, .. } => view.job.spec.id.uuid(),
        Accepted::Priced { .. } => String::new(),
    };
    ApiResponse::json(200, &json!({"task_id": id, "status": "pending"}))
}

/// Whether a job ended with results that go along.
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

/// A task, as it is polled and as it is told.
pub(super) fn task(view: &JobView, results: Option<&[(&Record, &Outcome)]>) -> Value {
    let spec = &view.job.spec;
    let name = spec.operation.as_deref().unwrap_or_default();
    let pages = view.results_url();
    let failed = |error: String| ("failed", Some(("error", Value::String(error))));
    let reason = || view.job.end.as_ref().and_then(|end| end.error.clone());
    let (status, end) = match view.status() {
        Status::Queued => ("pending", None),
        Status::Running | Status::Canceling | Status::Expiring => ("processing", None),
        Status::Completed => match results {
            None => failed(format!(
                "the result is too large for one answer; read it page by page from {pages}"
            )),
            Some(results) => match result(name, results, spec.blanks) {
                Ok(result) => ("completed", Some(("result", result))),
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
    let mut task = json!({"task_id": spec.id.uuid(), "status": status, "task_type": name});
    if let (Some(members), Some((name, value))) = (task.as_object_mut(), end) {
        members.insert(name.to_owned(), value);
    }
    task
}
