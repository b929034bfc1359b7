//! The problem documents of the native API. Source: RFC 9457.

use serde_json::{Value, json};

use crate::domain::error::{ApiError, InputError};
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

pub(super) fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let (status, problem) = problem(error, &request.request_id);
    ApiResponse::new(
        status,
        "application/problem+json",
        problem.to_string().into_bytes(),
    )
}

/// An error's status code and its problem document. Source: RFC 9457.
pub(super) fn problem(error: &ApiError, request_id: &str) -> (u16, Value) {
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

pub(super) fn faults_shown(faults: &[InputError]) -> Value {
    faults
        .iter()
        .map(|fault| json!({"pointer": fault.pointer, "detail": fault.detail}))
        .collect()
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
