//! Finds the object that a model answers with, among all that it says.

use serde_json::{Map, Value};

use super::super::http::json::parse;
use super::structure::{Judged, Structure};
use crate::domain::json;

/// The most bytes that are read in vain, of texts that look like objects and are not.
const MAX_VAIN: usize = 8 * 1024 * 1024;
/// The tags around the thoughts that reasoning models write before their answer; the opening one
/// may be in the template of the model.
const THOUGHTS: [&str; 2] = ["<think>", "</think>"];
/// The most braces before a mark that may begin an object around it.
const MAX_OPENED: usize = 16;
/// The most nested texts that are opened. Each is kept while the next one is read.
const MAX_NESTED: usize = 4;

/// Judges the object that is the answer: the one with most of the wanted fields, and of equals the
/// last, so that a draft counts less than its final form. A thought is the answer only if there is
/// no other text, and never if it has no end. An echo of the question is not an answer.
pub(super) fn judge(
    text: &str,
    structure: &Structure,
    record: &Map<String, Value>,
) -> Result<Judged, &'static str> {
    // If the answer is a text of JSON, the tags are those inside.
    let (opened, nested) = opened(text);
    let text = opened.as_deref().unwrap_or(text);
    let finished = finished(text);
    let unfinished = finished.len() < text.len();
    let mut none = if unfinished {
        "it ends within a thought"
    } else {
        "it is not one JSON object"
    };
    let text = finished;
    let spoken = spoken(text);
    let silent = !unfinished && spoken.iter().all(|text| is_blank(text));
    let texts = if silent { vec![text] } else { spoken };
    let objects = texts.into_iter().flat_map(|text| objects(text, nested));
    let answers = objects
        .flat_map(|object| unwrapped(object, structure))
        .filter(|object| {
            let question = structure.is_question(object, record);
            none = if question {
                "it repeats the question"
            } else {
                none
            };
            !question
        });
    let object = answers.max_by_key(|object| structure.fit(object));
    object.map(|object| structure.judge(object)).ok_or(none)
}

/// Returns the text in a JSON string, and the text in that if it is one again; and the number of
/// further levels that may be opened.
fn opened(text: &str) -> (Option<String>, usize) {
    let (mut inner, mut nested) = (None, MAX_NESTED);
    while nested > 0
        && let Some(Value::String(more)) = parse(inner.as_deref().unwrap_or(text))
    {
        inner = Some(more);
        nested -= 1;
    }
    (inner, nested)
}

/// Removes the thought that ends a text, if one does: it was not finished. A tag begins a thought
/// only at the beginning of a text or a line, or behind an object or a sentence. Elsewhere it is
/// mentioned, and within an object it is part of a text.
fn finished(text: &str) -> &str {
    let [begin, end] = THOUGHTS;
    let last = text.rfind(end).map_or(0, |at| at + end.len());
    let begins = |at: usize| {
        let before = text[last..at].trim_end_matches([' ', '\t', '\u{feff}']);
        before.is_empty() || before.ends_with(['\n', '\r', '}', '.', '!', '?'])
    };
    let mut marks = text[last..].match_indices(begin).map(|(at, _)| last + at);
    let Some(at) = marks.find(|at| begins(*at)) else {
        return text;
    };
    let opened = text[last..at]
        .match_indices('{')
        .map(|(open, _)| last + open)
        .take(MAX_OPENED);
    let mut objects = opened.filter_map(|open| match json::read_first(&text[open..]) {
        Ok((Value::Object(_), length)) => Some(open + length),
        _ => None,
    });
    if objects.any(|ends| ends > at) {
        text
    } else {
        &text[..at]
    }
}

/// Returns the text around the thoughts.
fn spoken(text: &str) -> Vec<&str> {
    let [begin, end] = THOUGHTS;
    let mut pieces: Vec<&str> = text.split(end).collect();
    let last = pieces.pop();
    pieces
        .into_iter()
        .filter_map(|piece| Some(piece.split_once(begin)?.0))
        .chain(last)
        .collect()
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c == '\u{feff}')
}

/// Returns the objects of a text, none inside another.
fn objects(text: &str, nested: usize) -> Vec<Map<String, Value>> {
    // Some models answer with a text of JSON.
    if nested > 0
        && let Some(Value::String(inner)) = parse(text)
    {
        return objects(&inner, nested - 1);
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

/// Returns an object, or if it has none of the wanted fields, its objects: `{"answer": {…}}`.
fn unwrapped(object: Map<String, Value>, structure: &Structure) -> Vec<Map<String, Value>> {
    let inside = |value: &Value| {
        value
            .as_object()
            .filter(|inner| structure.has_any(inner))
            .cloned()
    };
    if !structure.has_any(&object)
        && let Some(inner) = object.values().find_map(inside)
    {
        return vec![inner];
    }
    vec![object]
}
