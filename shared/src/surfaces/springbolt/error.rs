//! Errors: a message, and that it was no success.

use serde::Serialize;

use crate::domain::error::ApiError;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

#[derive(Debug, Serialize)]
struct Failure {
    success: bool,
    status: &'static str,
    message: String,
}

pub(super) fn failed(status: u16, message: impl Into<String>) -> ApiResponse {
    let failure = Failure {
        success: false,
        status: "error",
        message: message.into(),
    };
    ApiResponse::json(status, &failure)
}

pub(super) fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    match error {
        ApiError::Unauthorized => failed(
            401,
            "send a valid API key as x-api-key or as Authorization: Bearer",
        ),
        ApiError::Forbidden { needs } => {
            failed(403, format!("the API key lacks the scope {needs}"))
        }
        ApiError::NotFound { what } => failed(404, format!("there is no such {what}")),
        ApiError::MethodNotAllowed { allow } => {
            failed(405, format!("this path takes {}", allow.join(" and ")))
        }
        ApiError::Malformed { detail } => failed(400, detail),
        ApiError::Invalid(faults) => {
            let reported = faults
                .iter()
                .map(|fault| match fault.pointer.trim_start_matches('/') {
                    "" => fault.detail.clone(),
                    place => format!("{place} {}", fault.detail),
                });
            failed(400, reported.collect::<Vec<_>>().join("; "))
        }
        ApiError::Coding { detail } => failed(415, detail),
        ApiError::TooLarge { detail } => failed(413, detail),
        ApiError::IdempotencyMismatch => failed(
            422,
            "this Idempotency-Key came before with another request; use a new one for a new request",
        ),
        ApiError::NotEnoughCredits { needed, available } => failed(
            402,
            format!("this needs up to {needed} credits and {available} are free"),
        ),
        ApiError::ResultsTooLarge { results_url } => failed(
            413,
            format!(
                "the results do not fit one response; read them page by page from {results_url}"
            ),
        ),
        ApiError::Conflict { detail } => failed(409, detail),
        ApiError::Unavailable {
            retry_after_seconds,
        } => failed(
            503,
            format!(
                "try again in {retry_after_seconds} s, with the same Idempotency-Key if you sent \
                 one"
            ),
        ),
        ApiError::Internal => failed(
            500,
            format!(
                "a fault of ours; quote {} when you report it",
                request.request_id
            ),
        ),
    }
}
