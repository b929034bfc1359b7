//! Errors as `FastAPI` writes them.

use serde::Serialize;
use serde_json::Value;

use crate::domain::error::{ApiError, InputError};
use crate::domain::json;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

/// An error shows the input that it is about, up to this many bytes of JSON.
const MAX_SHOWN_INPUT: usize = 400;

/// An error.
#[derive(Debug, Serialize)]
struct Refusal {
    detail: Detail,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Detail {
    Text(String),
    Faults(Vec<Fault>),
}

/// A fault of a request.
#[derive(Debug, Serialize)]
struct Fault {
    #[serde(rename = "type")]
    code: &'static str,
    loc: Vec<Value>,
    msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
}

pub(super) fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let (status, detail) = describe(error, request);
    ApiResponse::json(status, &Refusal { detail })
}

fn describe(error: &ApiError, request: &ApiRequest) -> (u16, Detail) {
    let (status, text) = match error {
        ApiError::Invalid(faults) => {
            return (422, Detail::Faults(faults_of(faults, &request.body)));
        }
        ApiError::Malformed { detail } => {
            let fault = InputError::new("", detail.clone()).with_code("json_invalid");
            return (422, Detail::Faults(faults_of(&[fault], &request.body)));
        }
        ApiError::IdempotencyMismatch => {
            let detail =
                "this key came before with another request; use a new key for a new request";
            let fault =
                InputError::new("Idempotency-Key", detail).with_code("idempotency_mismatch");
            return (422, Detail::Faults(faults_of(&[fault], &request.body)));
        }
        ApiError::Unauthorized => (401, "send a valid key in the header x-api-key".to_owned()),
        ApiError::Forbidden { needs } => (403, format!("the key lacks the scope {needs}")),
        ApiError::NotFound { what } => (
            404,
            format!(
                "there is no such {}",
                if *what == "job" { "task" } else { what }
            ),
        ),
        ApiError::MethodNotAllowed { allow } => {
            (405, format!("this path takes {}", allow.join(" and ")))
        }
        ApiError::Coding { detail } => (415, detail.clone()),
        ApiError::TooLarge { detail } => (413, detail.clone()),
        ApiError::NotEnoughCredits { needed, available } => (
            402,
            format!("the task needs up to {needed} credits and {available} are free"),
        ),
        ApiError::ResultsTooLarge { results_url } => (
            413,
            format!(
                "the result is too large for one answer; read it page by page from {results_url}"
            ),
        ),
        ApiError::Conflict { detail } => (409, detail.clone()),
        ApiError::Unavailable {
            retry_after_seconds,
        } => (503, format!("try again in {retry_after_seconds} s")),
        ApiError::Internal => (
            500,
            format!(
                "this is a fault of ours; quote {} when you report it",
                request.request_id
            ),
        ),
    };
    (status, Detail::Text(text))
}

/// Faults as `FastAPI` lists them.
fn faults_of(faults: &[InputError], body: &[u8]) -> Vec<Fault> {
    let body = json::read(body).unwrap_or_default();
    let shown = faults.iter().map(|fault| {
        let (loc, input) = locate(&fault.pointer, &body);
        Fault {
            code: fault.code.unwrap_or("value_error"),
            loc,
            msg: fault.detail.clone(),
            input: input
                .filter(|input| json::size(*input) <= MAX_SHOWN_INPUT)
                .cloned(),
        }
    });
    shown.collect()
}

/// A place as `FastAPI` names it (positions in arrays are numbers), and what is there; of what is
/// missing, what it is missing from.
fn locate<'b>(pointer: &str, body: &'b Value) -> (Vec<Value>, Option<&'b Value>) {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return (vec!["header".into(), pointer.into()], None);
    }
    let (mut loc, mut here) = (vec![Value::from("body")], body);
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        let next = match here {
            Value::Array(items) => {
                let at = segment.parse::<usize>().ok();
                loc.push(at.map_or_else(|| segment.clone().into(), Value::from));
                at.and_then(|at| items.get(at))
            }
            other => {
                loc.push(segment.clone().into());
                other.get(&segment)
            }
        };
        here = next.unwrap_or(here);
    }
    (loc, Some(here))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_input_of_megabytes_is_not_sent_back() {
        let body = json!({"lead": {}, "mode": "x".repeat(3_000_000)}).to_string();
        let fault = InputError::new("/mode", "wrong").with_code("literal_error");
        let reported = faults_of(&[fault], body.as_bytes());
        assert_eq!(
            json!(reported),
            json!([{"type": "literal_error", "loc": ["body", "mode"], "msg": "wrong"}])
        );
    }

    #[test]
    fn a_place_under_a_name_of_digits_is_a_text_and_one_in_an_array_a_number() {
        let body = json!({"references": [{"0": 1}]});
        let (loc, input) = locate("/references/0/0", &body);
        assert_eq!(
            (json!(loc), input),
            (json!(["body", "references", 0, "0"]), Some(&json!(1)))
        );
        assert_eq!(
            locate("/lead", &body).1,
            Some(&body),
            "what is missing is missing from there"
        );
    }
}
