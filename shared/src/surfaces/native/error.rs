//! The problem documents of the native API. Source: RFC 9457.

use serde::Serialize;

use crate::domain::error::{ApiError, InputError};
use crate::surfaces::common::message::{ApiRequest, ApiResponse, json_bytes};

/// A problem document.
#[derive(Debug, Serialize)]
pub(super) struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<Fault<'a>>>,
}

/// A fault of a request, with its place.
#[derive(Debug, Serialize)]
pub(super) struct Fault<'a> {
    pointer: &'a str,
    detail: &'a str,
}

impl<'a> Fault<'a> {
    /// Lists the faults.
    pub(super) fn list(faults: &'a [InputError]) -> Vec<Self> {
        let one = |fault: &'a InputError| Self {
            pointer: &fault.pointer,
            detail: &fault.detail,
        };
        faults.iter().map(one).collect()
    }
}

pub(super) fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let problem = problem(error, &request.request_id);
    ApiResponse::new(
        problem.status,
        "application/problem+json",
        json_bytes(&problem),
    )
}

/// Makes the problem document of an error.
pub(super) fn problem<'a>(error: &'a ApiError, request_id: &'a str) -> Problem<'a> {
    let (status, kind, title) = heading(error);
    let errors = match error {
        ApiError::Invalid(faults) => Some(Fault::list(faults)),
        _ => None,
    };
    Problem {
        kind: format!("urn:millrace:problem:{kind}"),
        title,
        status,
        detail: detail(error),
        request_id,
        errors,
    }
}

/// Returns the status, the kind and the title of an error.
fn heading(error: &ApiError) -> (u16, &'static str, &'static str) {
    match error {
        ApiError::Unauthorized => (401, "unauthorized", "No valid API key"),
        ApiError::Forbidden { .. } => (403, "forbidden", "The key may not do this"),
        ApiError::NotFound { .. } => (404, "not-found", "Not found"),
        ApiError::MethodNotAllowed { .. } => (405, "method-not-allowed", "Method not allowed"),
        ApiError::Malformed { .. } => (400, "malformed", "The body cannot be read"),
        ApiError::Invalid(_) => (400, "invalid", "The request is not valid"),
        ApiError::Coding { .. } => (415, "unsupported-coding", "The body's coding is not read"),
        ApiError::TooLarge { .. } => (413, "too-large", "Too large"),
        ApiError::IdempotencyMismatch => {
            let title = "Idempotency-Key used for another request";
            (422, "idempotency-mismatch", title)
        }
        ApiError::NotEnoughCredits { .. } => (402, "not-enough-credits", "Not enough credits"),
        ApiError::ResultsTooLarge { .. } => {
            let title = "The results do not fit one response";
            (413, "results-too-large", title)
        }
        ApiError::Conflict { .. } => (409, "conflict", "Not possible in this state"),
        ApiError::Unavailable { .. } => (503, "unavailable", "Try again"),
        ApiError::Internal => (500, "internal", "Internal error"),
    }
}

fn detail(error: &ApiError) -> String {
    match error {
        ApiError::Unauthorized => {
            "send a valid key as `Authorization: Bearer KEY` or `X-API-Key: KEY`".to_owned()
        }
        ApiError::Forbidden { needs } => format!("the key lacks the scope {needs}"),
        ApiError::NotFound { what } => format!("there is no such {what}"),
        ApiError::MethodNotAllowed { allow } => format!("this path takes {}", allow.join(" and ")),
        ApiError::Malformed { detail }
        | ApiError::Coding { detail }
        | ApiError::TooLarge { detail }
        | ApiError::Conflict { detail } => detail.clone(),
        ApiError::Invalid(faults) => match &faults[..] {
            [only] if only.pointer.is_empty() => format!("body: {}", only.detail),
            [only] => format!("{}: {}", only.pointer, only.detail),
            _ => format!("{} faults; see errors", faults.len()),
        },
        ApiError::IdempotencyMismatch => {
            "this key came before with another request (bodies are compared byte for byte); use a \
             new key for a new request"
                .to_owned()
        }
        ApiError::NotEnoughCredits { needed, available } => format!(
            "the job needs up to {needed} credits and {available} are free; set max_credits or \
             get more"
        ),
        ApiError::ResultsTooLarge { results_url } => {
            format!("read them page by page from {results_url}")
        }
        ApiError::Unavailable {
            retry_after_seconds,
        } => format!("try again in {retry_after_seconds} s, with the same Idempotency-Key"),
        ApiError::Internal => {
            "this is a fault of ours; quote request_id when you report it".to_owned()
        }
    }
}
