//! Reads request bodies. The checks are the same on every surface; the error texts are not.

use serde_json::{Map, Value};

use crate::domain::error::{ApiError, InputError, pointer_escape};
use crate::domain::json;
pub use crate::domain::json::size as bytes;
use crate::domain::record::{Blanks, MAX_DEPTH, MAX_RECORD_BYTES, depth, is_blank, present};

/// The most faults that one answer lists.
const MAX_FAULTS: usize = 100;
/// The most characters of a pointer or a detail: they quote names that the caller chose.
const MAX_FAULT_CHARS: usize = 400;

/// Collects the faults of a request: the first [`MAX_FAULTS`], and the number of the others. A body
/// of megabytes can have a fault in every other byte.
#[derive(Debug, Default)]
pub struct Faults {
    first: Vec<InputError>,
    more: usize,
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MAX_FAULT_CHARS) {
        None => text,
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

impl Faults {
    /// Adds a fault at a place, a JSON Pointer into the body or a name.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.push(InputError::new(pointer, detail));
    }

    /// Reads an optional truth value; `false` where it is absent.
    pub fn flag(&mut self, object: &Map<String, Value>, at: &str, name: &str) -> bool {
        match present(object, name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.add(format!("{at}/{name}"), "must be true or false");
                false
            }
        }
    }

    /// Adds a fault with the surface's own code.
    pub fn coded(
        &mut self,
        code: &'static str,
        pointer: impl Into<String>,
        detail: impl Into<String>,
    ) {
        self.push(InputError::new(pointer, detail).with_code(code));
    }

    fn push(&mut self, fault: InputError) {
        if self.first.len() < MAX_FAULTS {
            self.first.push(InputError {
                pointer: cut(fault.pointer),
                detail: cut(fault.detail),
                ..fault
            });
        } else {
            self.more += 1;
        }
    }

    /// Returns whether no fault was found.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Returns whether something is wrong at this place.
    pub fn has(&self, pointer: &str) -> bool {
        self.first.iter().any(|f| f.pointer == pointer)
    }

    /// Adds the faults of a part of the request, which stands at this place.
    pub fn under(&mut self, at: &str, part: &Self) {
        for fault in &part.first {
            self.push(InputError {
                pointer: format!("{at}{}", fault.pointer),
                ..fault.clone()
            });
        }
        self.more += part.more;
    }

    /// Writes the faults in one sentence, each with its place.
    pub fn words(&self) -> String {
        let words = self
            .first
            .iter()
            .map(|fault| match fault.pointer.strip_prefix('/') {
                Some(place) => format!("{place} {}", fault.detail),
                None => fault.detail.clone(),
            });
        words.collect::<Vec<_>>().join("; ")
    }

    /// Returns the first [`MAX_FAULTS`] faults and the number of the others.
    pub fn listed(mut self) -> Vec<InputError> {
        if self.more > 0 {
            self.first.push(InputError::new(
                "",
                format!("and {} more faults", self.more),
            ));
        }
        self.first
    }

    /// # Errors
    /// [`ApiError::Invalid`] with the first [`MAX_FAULTS`] faults, if there are any.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.first.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Invalid(self.listed()))
        }
    }

    /// Adds a fault for every member that is neither among `known` nor blank.
    pub fn closed(&mut self, at: &str, object: &Map<String, Value>, known: &[&str]) {
        let unknown = object
            .iter()
            .filter(|(name, value)| !known.contains(&name.as_str()) && !is_blank(value));
        for (name, _) in unknown {
            self.add(
                format!("{at}/{}", pointer_escape(name)),
                format!("is unknown; known are {}", known.join(", ")),
            );
        }
    }

    /// Reads an optional text of at most `max` characters.
    pub fn text(
        &mut self,
        object: &Map<String, Value>,
        at: &str,
        name: &str,
        max: usize,
    ) -> Option<String> {
        match present(object, name) {
            None => None,
            Some(Value::String(text)) if text.chars().count() > max => {
                self.add(
                    format!("{at}/{name}"),
                    format!("is longer than {max} characters"),
                );
                None
            }
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.add(format!("{at}/{name}"), "must be a string");
                None
            }
        }
    }
}

/// Reads the body as a JSON object.
///
/// # Errors
/// [`ApiError::Malformed`] where it is none, or nests deeper than [`MAX_DEPTH`].
pub fn object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    object_by(json::read, body)
}

/// Reads the body as [`object`] does, with the surface's own reader.
///
/// # Errors
/// As [`object`].
pub fn object_by(
    read: fn(&[u8]) -> Result<Value, json::NotJson>,
    body: &[u8],
) -> Result<Map<String, Value>, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::Malformed {
            detail: "the request has no body; send a JSON object".to_owned(),
        });
    }
    match read(body) {
        Ok(Value::Object(object)) => {
            if object.values().any(|value| depth(value) >= MAX_DEPTH) {
                return Err(ApiError::Malformed {
                    detail: format!("the body nests deeper than {MAX_DEPTH} levels"),
                });
            }
            Ok(object)
        }
        Ok(_) => Err(ApiError::Malformed {
            detail: "the body is JSON, but no object".to_owned(),
        }),
        Err(error) => Err(ApiError::Malformed {
            detail: format!("the body cannot be read as JSON: {error}"),
        }),
    }
}

/// # Errors
/// [`ApiError::TooLarge`] where the record at this position has more than [`MAX_RECORD_BYTES`] as
/// JSON.
pub fn bounded(at: usize, record: &impl serde::Serialize) -> Result<(), ApiError> {
    if json::size(record) > MAX_RECORD_BYTES {
        Err(too_large(at))
    } else {
        Ok(())
    }
}

pub(crate) fn too_large(at: usize) -> ApiError {
    ApiError::TooLarge {
        detail: format!(
            "record {at} is larger than {MAX_RECORD_BYTES} bytes as JSON; send less with it"
        ),
    }
}

/// Returns the texts of a list without blank ones, or `None` if none is left. `Err` if it is not a
/// list of texts.
pub(crate) fn texts(value: Option<&Value>) -> Result<Option<Vec<String>>, ()> {
    let Some(value) = value.filter(|value| !is_blank(value)) else {
        return Ok(None);
    };
    let there = value
        .as_array()
        .ok_or(())?
        .iter()
        .filter(|item| !is_blank(item));
    let texts = there
        .map(|item| item.as_str().map(str::to_owned).ok_or(()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Some(texts).filter(|texts| !texts.is_empty()))
}

/// Adds a found member to what was sent: where nothing stands yet, or nothing that says anything.
pub fn fill(shown: &mut Map<String, Value>, name: &str, found: &Value, blanks: Blanks) {
    let open = |value| !blanks.count() && is_unfilled(value);
    if shown.get(name).is_none_or(open) && !blanks.is_blank(found) {
        shown.insert(name.to_owned(), found.clone());
    }
}

/// Returns whether a field was sent to be filled: it is blank, or a list or object of nothing.
pub fn is_unfilled(value: &Value) -> bool {
    let empty = |value: &Value| match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    is_blank(value) || empty(value)
}

/// A field's name in snake case: `companyName`, `linkedinURL`, `IPAddress`.
pub fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 2);
    let (mut before, mut rest) = ('_', name.chars().peekable());
    while let Some(c) = rest.next() {
        let ends_acronym =
            before.is_ascii_uppercase() && rest.peek().is_some_and(char::is_ascii_lowercase);
        if c.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || before.is_ascii_digit() || ends_acronym)
        {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        before = c;
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_every_other_byte_of_a_body_was_kept_in_memory() {
        let mut faults = Faults::default();
        for n in 0..10_000 {
            faults.coded(
                "string_type",
                format!("/providers/{n}"),
                "Input should be a valid string",
            );
        }
        assert_eq!(faults.first.capacity().min(10_000), 128);
        let Err(ApiError::Invalid(reported)) = faults.finish() else {
            panic!()
        };
        assert_eq!(
            (reported.len(), reported[100].detail.as_str()),
            (101, "and 9900 more faults")
        );
    }

    #[test]
    fn names_are_read_in_every_usual_form() {
        for (name, snake) in [
            ("firstName", "first_name"),
            ("linkedinURL", "linkedin_url"),
            ("IPAddress", "ip_address"),
            ("sha256Hash", "sha256_hash"),
            ("LinkedIn", "linked_in"),
            ("full_name", "full_name"),
            ("URL", "url"),
            ("ÜberName", "Über_name"),
            ("", ""),
        ] {
            assert_eq!(snake_case(name), snake, "{name}");
        }
    }
}
