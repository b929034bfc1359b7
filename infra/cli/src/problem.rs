//! The API's refusals: problem documents (RFC 9457) as text.

use serde_json::Value;

use crate::records::{Fault, by_kind};
use crate::screen::plain;

/// A refusal. API Gateway's own answers (`{"message": …}`) are read as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    /// The last part of its `type`, such as `not-enough-credits`; empty if it is not a
    /// problem document.
    pub(crate) kind: String,
    title: String,
    detail: String,
    request_id: String,
    errors: Vec<(String, String)>,
    /// Advice, where this side knows more than the API says.
    pub(crate) hint: Option<&'static str>,
}

impl Problem {
    /// Reads the body of an unsuccessful answer.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let document: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let text = |value: &Value, name: &str| {
            value[name]
                .as_str()
                .map(|t| plain(t, 500))
                .unwrap_or_default()
        };
        let errors = document["errors"].as_array().into_iter().flatten();
        let title = [text(&document, "title"), text(&document, "message")]
            .into_iter()
            .find(|t| !t.is_empty());
        Self {
            status,
            kind: text(&document, "type")
                .rsplit(':')
                .next()
                .unwrap_or_default()
                .to_owned(),
            title: title
                .unwrap_or_else(|| "the answer is not Millrace's; is the URL right?".to_owned()),
            detail: text(&document, "detail"),
            request_id: text(&document, "request_id"),
            errors: errors
                .map(|e| (text(e, "pointer"), text(e, "detail")))
                .collect(),
            hint: None,
        }
    }

    /// Describes the problem, one line for each kind of fault. `line` maps the position of a record
    /// to its line in the file.
    pub(crate) fn text(&self, line: &dyn Fn(usize) -> Option<u64>) -> String {
        let mut shown = self.title.clone();
        match &self.errors[..] {
            [] if self.detail.is_empty() => {}
            [] => shown += &format!(": {}", self.detail),
            errors => {
                for kind in by_kind(&faults(errors, line)) {
                    shown += &format!("\n  {kind}");
                }
            }
        }
        shown += &format!(
            "\n  ({}{})",
            self.status,
            prefixed(", request ", &self.request_id)
        );
        shown += &prefixed("\n", self.hint.unwrap_or_default());
        shown
    }
}

fn prefixed(prefix: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{prefix}{text}")
    }
}

/// Reads the faults of a request from pointers and details. A pointer into a record of a file
/// becomes that record's line.
pub(crate) fn faults(
    errors: &[(String, String)],
    line: &dyn Fn(usize) -> Option<u64>,
) -> Vec<Fault> {
    let fault = |(pointer, detail): &(String, String)| {
        let record = pointer
            .strip_prefix("/records/")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        let at = record.and_then(|(at, rest)| Some((line(at.parse().ok()?)?, rest)));
        let (line, place) = at.map_or_else(
            || (0, pointer.clone()),
            |(line, rest)| (line, rest.replace("~1", "/").replace("~0", "~")),
        );
        let text = if place.is_empty() {
            detail.clone()
        } else {
            format!("{place}: {detail}")
        };
        Fault {
            line,
            text: plain(&text, 600),
        }
    };
    errors.iter().map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_by_the_line_of_the_file() {
        let body =
            br#"{"type": "urn:millrace:problem:invalid", "title": "The request is not valid",
            "status": 400,
            "detail": "3 faults; see errors", "request_id": "r-1", "errors": [
            {"pointer": "/records/1/input/domain", "detail": "must be a text"},
            {"pointer": "/records/7", "detail": "must be an object"},
            {"pointer": "/webhook_url", "detail": "is relative"}]}"#;
        let problem = Problem::read(400, body);
        let text = problem.text(&|at| [2, 3, 5].get(at).copied());
        assert_eq!(problem.kind, "invalid");
        assert_eq!(
            text,
            "The request is not valid\n  line 3: input/domain: must be a text\n  /records/7: must \
             be an object\n  /webhook_url: is relative\n  (400, request r-1)"
        );
    }

    #[test]
    fn equal_faults_are_one_line() {
        let errors: Vec<String> = (0..90)
            .map(|n| {
                format!(r#"{{"pointer": "/records/{n}/input/domain", "detail": "is required"}}"#)
            })
            .collect();
        let body = format!(r#"{{"title": "No", "errors": [{}]}}"#, errors.join(","));
        let text = Problem::read(400, body.as_bytes()).text(&|at| Some(at as u64 + 2));
        assert_eq!(
            text,
            "No\n  90 rows: input/domain: is required (lines 2, 3, 4, 5, 6, …)\n  (400)"
        );
    }

    #[test]
    fn other_bodies_are_readable_too() {
        let gateway = Problem::read(500, br#"{"message": "Internal Server Error"}"#);
        assert_eq!(gateway.text(&|_| None), "Internal Server Error\n  (500)");
        assert!(
            Problem::read(404, b"<html>")
                .text(&|_| None)
                .contains("is the URL right?")
        );
    }
}
