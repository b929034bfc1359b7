//! Reads a response.
//!
//! A field whose pointer or expression has no value is left out. One whose expression cannot be
//! computed (a text where a number was meant) is left out too, if another field was found. If none
//! was, the answer is failed and names the field: "not found" would be wrong. A `not_found`
//! condition that cannot be computed fails the answer. A confidence that cannot be computed, or is
//! not a number from 0 to 1, is none. One that is absent because the provider says null (as `NaN`
//! is read) is 0: an answer must not be surer than it says.

use serde_json::{Map, Value};

use super::exchange::Fault;
use super::expression::TemplateValues;
use super::json::{is_empty, read};
use super::request::MAX_RESPONSE_BYTES;
use crate::catalog::{Mapping, Pick};
use crate::domain::record::FailureCode;
use crate::ports::HttpAnswer;
use crate::providers::Answer;
use crate::providers::kinds::charset;

/// Reads a response's JSON.
pub(in crate::providers) fn json(answer: &HttpAnswer) -> Result<Value, Fault> {
    if answer.truncated {
        return Err(Fault::lasting(format!(
            "the provider's response is larger than {MAX_RESPONSE_BYTES} bytes"
        )));
    }
    read(answer).ok_or_else(|| Fault::lasting(why_not_json(answer)))
}

/// Returns why a response cannot be read: its encoding is wrong, or it is not JSON.
fn why_not_json(answer: &HttpAnswer) -> &'static str {
    let content_type = answer.header("content-type");
    match (
        charset::text(&answer.body, content_type),
        charset::reported(content_type),
    ) {
        (Some(_), _) => "the provider's response is not JSON",
        (None, None) => {
            "the provider's response is not UTF-8, and its Content-Type names no charset"
        }
        (None, Some(_)) => {
            "the provider's response is not in the charset that its Content-Type names"
        }
    }
}

/// A response with the question it answers.
pub(super) struct Response<'a> {
    pub(super) json: &'a Value,
    pub(super) known: TemplateValues<'a>,
    status: u16,
    input: &'a Map<String, Value>,
}

impl<'a> Response<'a> {
    pub(super) fn new(json: &'a Value, status: u16, input: &'a Map<String, Value>) -> Self {
        let known = TemplateValues::new()
            .value("response", json)
            .own("status", status.into())
            .object("input", input);
        Self {
            json,
            known,
            status,
            input,
        }
    }

    /// Reads a value that is present and not empty.
    pub(super) fn pick(&self, pick: &Pick) -> Result<Option<Value>, String> {
        let value = match pick {
            Pick::Pointer(pointer) => self.json.pointer(pointer).cloned(),
            Pick::Expr(expr) => self.known.eval(expr)?,
        };
        Ok(value.filter(|value| !is_empty(value)))
    }

    /// Returns the answer that the response means.
    pub(super) fn map(&self, mapping: &Mapping) -> Answer {
        let missing = |pointer: &String| self.json.pointer(pointer).is_none_or(is_empty);
        if mapping.missing.iter().any(missing) {
            return Answer::NotFound;
        }
        match mapping
            .nothing
            .as_ref()
            .map_or(Ok(false), |condition| self.known.holds(condition))
        {
            Ok(true) => return Answer::NotFound,
            Ok(false) => {}
            Err(why) => return unfit("not_found", &why),
        }
        let (mut fields, mut fault) = (Map::new(), None);
        for (name, pick) in &mapping.fields {
            match self.pick(pick) {
                Ok(Some(value)) => {
                    fields.insert(name.clone(), value);
                }
                Ok(None) => {}
                Err(why) => {
                    fault.get_or_insert_with(|| unfit(&format!("fields.{name}"), &why));
                }
            }
        }
        if fields.is_empty() {
            return fault.unwrap_or(Answer::NotFound);
        }
        let confidence = mapping
            .confidence
            .as_ref()
            .and_then(|pick| self.confidence(pick));
        Answer::Found {
            fields,
            confidence: confidence.map(Into::into),
        }
    }

    fn confidence(&self, pick: &Pick) -> Option<f64> {
        if let Ok(Some(value)) = self.pick(pick) {
            return value.as_f64().filter(|sure| (0.0..=1.0).contains(sure));
        }
        let null = match pick {
            Pick::Pointer(pointer) => self.json.pointer(pointer).is_some_and(Value::is_null),
            // A value that is absent altogether has none with zeros either.
            Pick::Expr(_) => {
                let zeros = with_zeros(self.json);
                matches!(
                    Response::new(&zeros, self.status, self.input).pick(pick),
                    Ok(Some(_))
                )
            }
        };
        null.then_some(0.0)
    }
}

/// Replaces every null by 0.
fn with_zeros(value: &Value) -> Value {
    match value {
        Value::Null => 0.into(),
        Value::Array(items) => items.iter().map(with_zeros).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), with_zeros(value)))
            .collect(),
        plain => plain.clone(),
    }
}

/// Reports that the configuration does not fit the response.
pub(super) fn unfit(what: &str, why: &str) -> Answer {
    Answer::failed(
        FailureCode::ProviderError,
        format!("the provider's response does not fit {what} in its configuration: {why}"),
    )
}
