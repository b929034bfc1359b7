//! JSON as upstreams send it.

use serde_json::Value;

use super::super::charset;
use crate::domain::json;
use crate::ports::HttpAnswer;

/// Reads an answer's JSON, in the encoding that the answer says.
pub(in crate::providers) fn read(answer: &HttpAnswer) -> Option<Value> {
    parse(&charset::text(&answer.body, answer.header("content-type"))?)
}

/// Reads JSON.
pub(in crate::providers) fn parse(text: &str) -> Option<Value> {
    json::read_upstream(text.as_bytes()).ok()
}

pub(in crate::providers) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
