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
    /// The faults as an answer lists them.
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

/// The problem document of an error.
pub(super) fn problem<'a>(error: &'a ApiError, request_id: &'a str) -> Problem<'a> {
    let (status, kind, title, detail) = describe(error);
    let errors = match error {
        ApiError::Invalid(faults) => Some(Fault::list(faults)),
        _ => None,
    };
    Problem {
        kind: format!("urn:millrace:problem:{kind}"),
        title,
        status,
        detail,
        request_id,
        errors,
    }
}

fn describe(error: &ApiError) -> (u16, &'static str, &'static str, String) {
    match error {
        ApiError::Unauthorized => (
            401,
            "unauthorized",
            "No valid API key",
            "send a valid key as `Authorization: Bearer KEY` or `X-API-Key: KEY`".to_owned(),
        ),
        ApiError::Forbidden { needs } => (
            403,
            "forbidden",
            "The key may not do this",
            format!("the key lacks the scope {needs}"),
        ),
        ApiError::NotFound { what } => (
            404,
            "not-found",
            "Not found",
            format!("there is no such {what}"),
        ),
        ApiError::MethodNotAllowed { allow } => (
            405,
            "method-not-allowed",
            "Method not allowed",
            format!("this path takes {}", allow.join(" and ")),
        ),
        ApiError::Malformed { detail } => {
            (400, "malformed", "The body cannot be read", detail.clone())
        }
        ApiError::Invalid(faults) => {
            let n = faults.len();
            let detail = match &faults[..] {
                [only] => format!(
                    "{}: {}",
                    if only.pointer.is_empty() {
                        "body"
                    } else {
                        &only.pointer
                    },
                    only.detail
                ),
                _ => format!("{n} faults; see errors"),
            };
            (400, "invalid", "The request is not valid", detail)
        }
        ApiError::Coding { detail } => (
            415,
            "unsupported-coding",
            "The body's coding is not read",
            detail.clone(),
        ),
        ApiError::TooLarge { detail } => (413, "too-large", "Too large", detail.clone()),
        ApiError::IdempotencyMismatch => (
            422,
            "idempotency-mismatch",
            "Idempotency-Key used for another request",
            "this key came before with another request (bodies are compared byte for byte); use a \
             new key for a new request"
                .to_owned(),
        ),
        ApiError::NotEnoughCredits { needed, available } => (
            402,
            "not-enough-credits",
            "Not enough credits",
            format!(
                "the job needs up to {needed} credits and {available} are free; set max_credits or \
                 get more"
            ),
        ),
        ApiError::ResultsTooLarge { results_url } => (
            413,
            "results-too-large",
            "The results do not fit one response",
            format!("read them page by page from {results_url}"),
        ),
        ApiError::Conflict { detail } => (
            409,
            "conflict",
            "Not possible in this state",
            detail.clone(),
        ),
        ApiError::Unavailable {
            retry_after_seconds,
        } => (
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
