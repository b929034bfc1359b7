//! Errors: a status code, and a message.

use serde::Serialize;

use super::request::STATUS_PATH;
use super::response::{respond, too_large_for_one};
use crate::domain::error::{ApiError, InputError};
use crate::surfaces::common::message::{ApiRequest, ApiResponse, json_members};

/// The most faults that an error's message lists.
const MAX_LISTED: usize = 5;

/// An error.
#[derive(Debug, Serialize)]
struct Failure<'a> {
    status: &'static str,
    code: u16,
    message: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(super) fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let (code, message) = describe(error);
    let of_status = request
        .path
        .starts_with(STATUS_PATH.trim_end_matches("{id}"));
    // Clients that poll stop at `completed` and `failed` and ignore the status code.
    let ends_poll = of_status && matches!(error, ApiError::ResultsTooLarge { .. });
    let retry_after = match error {
        ApiError::Unavailable {
            retry_after_seconds,
        } => Some(*retry_after_seconds),
        _ => None,
    };
    let failure = Failure {
        status: if ends_poll { "failed" } else { "error" },
        code,
        message: &message,
        request_id: &request.request_id,
        retry_after,
        error: ends_poll.then_some(&message),
    };
    respond(code, json_members(&failure))
}

fn describe(error: &ApiError) -> (u16, String) {
    match error {
        ApiError::Unauthorized => (
            401,
            "send a valid API key in the X-API-Key header".to_owned(),
        ),
        ApiError::Forbidden { needs } => (403, format!("this API key lacks the scope {needs}")),
        ApiError::NotFound { what } => (404, format!("there is no such {what}")),
        ApiError::MethodNotAllowed { allow } => {
            (405, format!("this path takes {}", allow.join(" and ")))
        }
        ApiError::Malformed { detail } => (400, detail.clone()),
        ApiError::Invalid(faults) => (400, faults_as_text(faults)),
        ApiError::Coding { detail } => (415, detail.clone()),
        ApiError::TooLarge { detail } => (413, detail.clone()),
        ApiError::IdempotencyMismatch => (
            422,
            "this Idempotency-Key came before with another request; use a new key for a new request"
                .to_owned(),
        ),
        ApiError::NotEnoughCredits { needed, available } => (
            402,
            format!("the job needs up to {needed} credits and {available} are free"),
        ),
        ApiError::ResultsTooLarge { results_url } => (413, too_large_for_one(results_url)),
        ApiError::Conflict { detail } => (409, detail.clone()),
        ApiError::Unavailable {
            retry_after_seconds,
        } => (503, format!("try again in {retry_after_seconds} s")),
        ApiError::Internal => (
            500,
            "this is a fault of ours; quote request_id when you report it".to_owned(),
        ),
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
    use serde_json::{Value, json};

    use super::*;

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
