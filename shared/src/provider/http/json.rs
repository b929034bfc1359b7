//! JSON as upstreams send it.

use serde_json::Value;

use crate::domain::json;

/// Reads JSON.
pub(in crate::provider) fn parse(body: &[u8]) -> Option<Value> {
    json::read(body).ok()
}

pub(in crate::provider) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
