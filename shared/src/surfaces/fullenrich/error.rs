//! Errors: a code and a message.

use serde::Serialize;

use super::code;
use crate::domain::error::ApiError;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

/// An error.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) message: String,
}

pub(super) fn failure(status: u16, code: &'static str, message: impl Into<String>) -> ApiResponse {
    let message = message.into();
    ApiResponse::json(status, &Failure { code, message })
}

pub(super) fn too_large(results_url: &str) -> String {
    format!("the results do not fit one answer; read them page by page from {results_url}")
}

pub(super) fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let (status, code, message) = describe(error, request);
    failure(status, code, message)
}

fn describe(error: &ApiError, request: &ApiRequest) -> (u16, &'static str, String) {
    match error {
        ApiError::Unauthorized => {
            let (code, message) = unauthorized(request);
            (401, code, message.to_owned())
        }
        ApiError::Forbidden { needs } => {
            (403, code::SCOPE, format!("the key lacks the scope {needs}"))
        }
        ApiError::NotFound { what: "path" } => {
            (404, code::PATH, "there is no such path".to_owned())
        }
        ApiError::NotFound { .. } if request.path.contains("/contact/reverse/") => (
            404,
            code::REVERSE_NOT_FOUND,
            "there is no reverse lookup with this id".to_owned(),
        ),
        ApiError::NotFound { .. } => (
            404,
            code::NOT_FOUND,
            "there is no enrichment with this id".to_owned(),
        ),
        ApiError::MethodNotAllowed { allow } => (
            405,
            code::METHOD,
            format!("this path takes {}", allow.join(" and ")),
        ),
        ApiError::Malformed { detail } => (400, code::MALFORMED, detail.clone()),
        ApiError::Invalid(faults) => match faults.first() {
            None => (400, code::INVALID, "the request is not valid".to_owned()),
            Some(fault) => (
                400,
                fault.code.unwrap_or(code::INVALID),
                format!("{} {}", fault.pointer, fault.detail),
            ),
        },
        ApiError::Coding { detail } => (415, code::CODING, detail.clone()),
        ApiError::TooLarge { detail } => (413, code::TOO_LARGE, detail.clone()),
        ApiError::IdempotencyMismatch => (
            422,
            code::IDEMPOTENCY_KEY,
            "this Idempotency-Key came before with another request; use a new one for a new request"
                .to_owned(),
        ),
        ApiError::NotEnoughCredits { needed, available } => (
            402,
            code::CREDITS,
            format!(
                "up to {needed} credits are needed and {available} are free"
            ),
        ),
        ApiError::ResultsTooLarge { results_url } => {
            (413, code::RESULTS_TOO_LARGE, too_large(results_url))
        }
        ApiError::Conflict { detail } => (409, code::CONFLICT, detail.clone()),
        ApiError::Unavailable {
            retry_after_seconds,
        } => (
            503,
            code::UNAVAILABLE,
            format!(
                "try again in {retry_after_seconds} s, with the same Idempotency-Key"
            ),
        ),
        ApiError::Internal => {
            let message = format!(
                "this is a fault of ours; report it with request {}",
                request.request_id
            );
            (500, code::INTERNAL, message)
        }
    }
}

fn unauthorized(request: &ApiRequest) -> (&'static str, &'static str) {
    let header = request.header("authorization").unwrap_or_default();
    let scheme = header.split_whitespace().next();
    match scheme {
        None => (
            code::NOT_SET,
            "the header Authorization is missing; send `Authorization: Bearer KEY`",
        ),
        Some(scheme) if !scheme.eq_ignore_ascii_case("bearer") => (
            code::NOT_BEARER,
            "the header Authorization is not of the scheme Bearer; send `Authorization: Bearer \
             KEY`",
        ),
        Some(_) => (code::KEY, "this API key is not known"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;

    fn map(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn every_error_is_a_code_and_a_message() {
        let request = |path: &str| ApiRequest {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            request_id: "req-1".to_owned(),
        };
        for (fault, status, code) in [
            (ApiError::Unauthorized, 401, "error.authorization.not_set"),
            (
                ApiError::Forbidden { needs: "write" },
                403,
                "error.api.key.scope",
            ),
            (
                ApiError::NotFound { what: "job" },
                404,
                "error.enrichment.not_found",
            ),
            (
                ApiError::MethodNotAllowed {
                    allow: vec!["POST"],
                },
                405,
                "error.request.method",
            ),
            (
                ApiError::Malformed {
                    detail: "d".to_owned(),
                },
                400,
                "error.request.malformed",
            ),
            (
                ApiError::invalid("Idempotency-Key", "d"),
                400,
                "error.request.invalid",
            ),
            (ApiError::Invalid(Vec::new()), 400, "error.request.invalid"),
            (
                ApiError::TooLarge {
                    detail: "d".to_owned(),
                },
                413,
                "error.request.too_large",
            ),
            (
                ApiError::IdempotencyMismatch,
                422,
                "error.idempotency_key.reused",
            ),
            (
                ApiError::NotEnoughCredits {
                    needed: 2,
                    available: 1,
                },
                402,
                "error.credits.insufficient",
            ),
            (
                ApiError::ResultsTooLarge {
                    results_url: "/v1/jobs/x/results".to_owned(),
                },
                413,
                "error.results.too_large",
            ),
            (
                ApiError::Conflict {
                    detail: "d".to_owned(),
                },
                409,
                "error.conflict",
            ),
            (
                ApiError::Unavailable {
                    retry_after_seconds: 3,
                },
                503,
                "error.unavailable",
            ),
            (ApiError::Internal, 500, "error.internal"),
        ] {
            let response = error(&fault, &request("/api/v2/contact/enrich/bulk/x"));
            let body: Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(
                (response.status, &body["code"]),
                (status, &json!(code)),
                "{fault:?}"
            );
            assert!(
                body["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
                    && map(&body).len() == 2,
                "{body}"
            );
        }
        for version in ["v1", "v2"] {
            let missing = describe(
                &ApiError::NotFound { what: "job" },
                &request(&format!("/api/{version}/contact/reverse/email/bulk/x")),
            );
            assert_eq!(
                (missing.0, missing.1),
                (404, "error.reverse.email.not_found")
            );
        }
    }
}
