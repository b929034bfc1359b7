//! JSON as upstreams send it.

use serde_json::Value;

/// Reads JSON. Lone surrogates, which an escape can write and UTF-8 cannot, become U+FFFD: one of them in one text is no
/// reason to lose an answer.
pub(in crate::provider) fn parse(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).or_else(|_| serde_json::from_slice(&without_lone_surrogates(body))).ok()
}

/// The same JSON with `\ufffd` for each escape of half a surrogate pair. Outside texts there are no escapes.
fn without_lone_surrogates(json: &[u8]) -> Vec<u8> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut out, mut at) = (Vec::with_capacity(json.len()), 0);
    while at < json.len() {
        let (taken, lone) = match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, false),
            (Some(0xD800..=0xDFFF), _) => (6, true),
            // The second byte of an escape, which may be another backslash, begins none.
            _ if json[at] == b'\\' => (2, false),
            _ => (1, false),
        };
        let end = (at + taken).min(json.len());
        out.extend_from_slice(if lone { b"\\ufffd" } else { &json[at..end] });
        at = end;
    }
    out
}

pub(in crate::provider) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
