//! Makes a request from templates and values.
//!
//! Values are encoded for their place: percent-encoded in path and query (and never `.` or `..` as
//! a whole path segment), without control characters in headers, through `serde_json` in bodies. A
//! member of a body, a query parameter or a header whose template has no value is left out.
//! out.

use std::time::Duration;

use serde_json::{Map, Value};

use super::expression::TemplateValues;
use crate::catalog::{BodyTemplate, Part, RequestTemplate, Template};
use crate::ports::HttpRequest;

/// The most bytes that are read of a response.
pub const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// Makes the request without its deadline. `Err` names the value that does not fit.
pub(super) fn request(
    template: &RequestTemplate,
    known: &TemplateValues<'_>,
) -> Result<HttpRequest, String> {
    let mut url = String::new();
    for part in &template.url.0 {
        match part {
            Part::Text(text) => url.push_str(text),
            part => {
                let value = text(part, known)?
                    .ok_or_else(|| format!("{} has no value for this input", name(part)))?;
                url.push_str(&percent_encode(&value));
            }
        }
    }
    check_segments(&url)?;
    for (name, template) in &template.query {
        if let Some(value) = joined(template, known)? {
            add_parameter(&mut url, name, &value);
        }
    }
    let mut headers = Vec::new();
    for (name, template) in &template.headers {
        if let Some(value) = joined(template, known)? {
            check_header(&value)?;
            headers.push((name.clone(), value));
        }
    }
    let mut default = |name: &str, value: &str| {
        if !headers.iter().any(|(n, _)| n == name) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    };
    default("accept", "application/json");
    let mut bytes = Vec::new();
    if let Some(template) = &template.body {
        default("content-type", "application/json");
        let value = body(template, known)?.unwrap_or(Value::Null);
        bytes = serde_json::to_vec(&value).map_err(|_| "the input is not JSON".to_owned())?;
    }
    Ok(HttpRequest {
        method: template.method.clone().into_owned(),
        url,
        headers,
        body: bytes,
        deadline: Duration::ZERO,
        plain_http: false,
        max_response_bytes: MAX_RESPONSE_BYTES,
    })
}

/// Adds a parameter to a URL's query.
pub(super) fn add_parameter(url: &mut String, name: &str, value: &str) {
    url.push(if url.contains('?') { '&' } else { '?' });
    url.push_str(&percent_encode(name));
    url.push('=');
    url.push_str(&percent_encode(value));
}

/// Makes the JSON of a body; `None` if it is a single text without a value.
pub(super) fn body(
    template: &BodyTemplate,
    known: &TemplateValues<'_>,
) -> Result<Option<Value>, String> {
    Ok(match template {
        BodyTemplate::Literal(value) => Some(value.clone()),
        BodyTemplate::Text(template) => match template.0.as_slice() {
            [Part::Input(name)] => known
                .member("input", name)
                .filter(|value| !value.is_null())
                .cloned(),
            [Part::Expr(expr)] => known.eval(expr)?,
            _ => joined(template, known)?.map(Value::String),
        },
        BodyTemplate::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| body(item, known)).collect();
            Some(Value::Array(items?.into_iter().flatten().collect()))
        }
        BodyTemplate::Object(members) => {
            let mut object = Map::new();
            for (name, member) in members {
                if let Some(value) = body(member, known)? {
                    object.insert(name.clone(), value);
                }
            }
            Some(Value::Object(object))
        }
    })
}

/// Joins the text with its values; `None` if one of them is absent.
pub(in crate::providers) fn joined(
    template: &Template,
    known: &TemplateValues<'_>,
) -> Result<Option<String>, String> {
    let parts = template.0.iter().map(|part| text(part, known));
    Ok(parts
        .collect::<Result<Option<Vec<_>>, _>>()?
        .map(|parts| parts.concat()))
}

fn text(part: &Part, known: &TemplateValues<'_>) -> Result<Option<String>, String> {
    let computed;
    let value = match part {
        Part::Text(text) => return Ok(Some(text.clone())),
        Part::Secret(name) => known.member("secret", name),
        Part::Input(name) => known.member("input", name),
        Part::Expr(expr) => {
            computed = known.eval(expr)?;
            computed.as_ref()
        }
    };
    match value {
        None | Some(Value::Null) => Ok(None),
        value => match scalar(value) {
            None => Err(format!(
                "{} must be a string, a number or a boolean",
                name(part)
            )),
            text => Ok(text),
        },
    }
}

fn name(part: &Part) -> String {
    match part {
        Part::Text(_) => "the text".to_owned(),
        Part::Input(name) | Part::Secret(name) => format!("`{name}`"),
        Part::Expr(expr) => format!("`{}`", expr.text),
    }
}

/// Writes a text, a number or a truth value.
pub(in crate::providers) fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Encodes all but RFC 3986's unreserved characters, so that a value stays one segment or one query
/// value.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

fn check_header(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("the input holds a line break or another control character".to_owned());
    }
    Ok(())
}

/// Refuses `.` and `..` segments, encoded or not: URL parsers take them as steps through the path.
fn check_segments(url: &str) -> Result<(), String> {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.split('?').next().unwrap_or_default();
    if path
        .split('/')
        .skip(1)
        .any(|segment| matches!(segment, "." | ".."))
    {
        return Err("the input cannot stand in a path".to_owned());
    }
    Ok(())
}
