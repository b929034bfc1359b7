//! The object that a model answers with, among all that it says.

use serde_json::{Map, Value};

use super::super::http::json::parse;
use super::structure::{Judged, Structure};
use crate::domain::json;

/// How many bytes are read in vain, of texts that look like objects and are none.
const MAX_VAIN: usize = 8 * 1024 * 1024;
/// What ends the thoughts that reasoning models write before their answer.
const THOUGHTS_END: &str = "</think>";

/// Judges the object that is the answer: what stands behind the model's thoughts before what is in them; of several the one that
/// has most of the wanted fields, and of equals the last, so that a draft counts less than what it became. What only says the
/// question again is no answer.
pub(super) fn judge(text: &str, structure: &Structure, record: &Map<String, Value>) -> Result<Judged, &'static str> {
    let spoken = text.rfind(THOUGHTS_END).map(|at| &text[at + THOUGHTS_END.len()..]);
    let mut none = "it is not one JSON object";
    let mut best = |text: &str| {
        let objects = objects(text).into_iter().flat_map(|object| unwrapped(object, structure));
        let answers = objects.filter(|object| {
            let question = structure.is_question(object, record);
            none = if question { "it repeats the question" } else { none };
            !question
        });
        answers.max_by_key(|object| structure.fit(object))
    };
    let answers = |object: &Map<String, Value>| structure.has_any(object) || object.is_empty();
    let object = spoken.and_then(&mut best).filter(answers).or_else(|| best(text));
    object.map(|object| structure.judge(object)).ok_or(none)
}

/// The objects of a text, none inside another.
fn objects(text: &str) -> Vec<Map<String, Value>> {
    // Some answer with a text that holds the object.
    if let Some(Value::String(inner)) = parse(text) {
        return objects(&inner);
    }
    let (mut objects, mut rest, mut vain) = (Vec::new(), text, 0);
    while let Some(at) = rest.find('{').filter(|_| vain < MAX_VAIN) {
        rest = &rest[at..];
        match json::read_first(rest) {
            Ok((Value::Object(object), length)) => {
                objects.push(object);
                rest = &rest[length..];
            }
            Ok((_, length)) | Err(length) => {
                vain += length;
                rest = &rest[1..];
            }
        }
    }
    objects
}

/// An object, or where it has none of the wanted fields, what it is put around: `{"answer": {…}}`.
fn unwrapped(object: Map<String, Value>, structure: &Structure) -> Vec<Map<String, Value>> {
    let inside = |value: &Value| value.as_object().filter(|inner| structure.has_any(inner)).cloned();
    if !structure.has_any(&object)
        && let Some(inner) = object.values().find_map(inside)
    {
        return vec![inner];
    }
    vec![object]
}
