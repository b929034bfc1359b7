//! Reads the request of a task, and reports every fault of it at once.

use serde_json::{Map, Value, json};

use super::tasks::{CRITERION, Field, Need, OPERATIONS, Operation, Preset, Shape, Subject};
use crate::domain::error::{ApiError, InputError, pointer_escape};
use crate::domain::job::{Submission, Webhook};
use crate::domain::json;
use crate::domain::record::{Record, is_blank, present, without_blanks};
use crate::surfaces::common::message::ApiRequest;
use crate::surfaces::common::read::{Faults, bounded, object, snake_case};
use crate::surfaces::{MAX_URL_CHARS, Reading};

/// The most leads of a bulk request.
const MAX_LEADS: usize = 100;

pub(super) fn key(request: &ApiRequest) -> Option<&str> {
    request.header("x-api-key")
}

/// Reads any of the eight requests. Every fault is reported at once.
pub(super) fn read(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
    let path = request.path.trim_start_matches('/');
    let operation = OPERATIONS
        .iter()
        .find(|o| o.path.trim_start_matches('/') == path);
    let operation = operation.ok_or(ApiError::NotFound { what: "path" })?;
    let mut body = read_body(&request.body)?;
    let mut faults = Faults::default();
    let subjects = read_subjects(operation, body.shift_remove(operation.member), &mut faults);
    let (given, preset) = read_options(operation.options, &mut body, &mut faults);
    let webhook = read_url(&body, reading, &mut faults).map(|url| Webhook { url });
    faults.finish()?;

    let mut records = Vec::with_capacity(subjects.len());
    for (at, sent) in subjects.into_iter().enumerate() {
        bounded(at, &sent)?;
        let record = record(operation.subject, sent, &given, &preset);
        bounded(at, &record.input)?;
        records.push(record);
    }
    let kind = reading.kind(operation.task);
    // A client that names the vendor's own providers is not refused: the names go to ours as an
    // option like any other.
    let order = given
        .get("providers")
        .and_then(Value::as_array)
        .map(|names| {
            let names = names.iter().filter_map(Value::as_str).map(str::to_owned);
            names.collect::<Vec<_>>()
        });
    let known = reading.catalog.kind(&kind);
    let providers = order.filter(|names| known.is_some_and(|k| k.validate_order(names).is_ok()));
    let job = Submission::new(reading.surface.name, kind, records);
    Ok(Submission {
        operation: Some(operation.task.to_owned()),
        webhook,
        providers,
        ..job
    })
}

/// Reads the request's body; a malformed one is reported as `FastAPI` does.
fn read_body(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    object(body).map_err(|error| {
        let ApiError::Malformed { detail } = error else {
            return error;
        };
        let code = match json::read(body) {
            _ if body.iter().all(u8::is_ascii_whitespace) => "missing",
            Err(_) => "json_invalid",
            Ok(Value::Object(_)) => "recursion_loop",
            Ok(_) => "model_attributes_type",
        };
        ApiError::Invalid(vec![InputError::new("", detail).with_code(code)])
    })
}

fn read_subjects(
    operation: &Operation,
    value: Option<Value>,
    faults: &mut Faults,
) -> Vec<Map<String, Value>> {
    let at = format!("/{}", operation.member);
    match value {
        None => {
            faults.coded("missing", at, "Field required");
            Vec::new()
        }
        Some(Value::Object(sent)) if operation.subject != Subject::People => vec![sent],
        Some(Value::Array(leads)) if operation.subject == Subject::People => {
            if leads.is_empty() {
                faults.coded(
                    "too_short",
                    at,
                    format!("List should have 1 to {MAX_LEADS} items, not 0"),
                );
                return Vec::new();
            }
            if leads.len() > MAX_LEADS {
                let count = leads.len();
                faults.coded(
                    "too_long",
                    at,
                    format!("List should have 1 to {MAX_LEADS} items, not {count}"),
                );
                return Vec::new();
            }
            let mut subjects = Vec::with_capacity(leads.len());
            for (n, lead) in leads.into_iter().enumerate() {
                match lead {
                    Value::Object(sent) => subjects.push(sent),
                    other => check(&other, Shape::Object, &format!("{at}/{n}"), faults),
                }
            }
            subjects
        }
        Some(_) if operation.subject == Subject::People => {
            faults.coded("list_type", at, "Input should be a valid list");
            Vec::new()
        }
        Some(other) => {
            check(&other, Shape::Object, &at, faults);
            Vec::new()
        }
    }
}

/// Reads the options that were given, with the presets of the others.
fn read_options(
    fields: &[Field],
    body: &mut Map<String, Value>,
    faults: &mut Faults,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut given, mut preset) = (Map::new(), Map::new());
    check_fields(body, fields, "", faults);
    for field in fields {
        match (body.shift_remove(field.name), &field.need) {
            (None, Need::Required) => {}
            (Some(value), _) if is_blank(&value) => {}
            (Some(value), _) => {
                given.insert(field.name.to_owned(), value);
            }
            (None, Need::Nullable(default) | Need::Optional(default)) => {
                let value = match default {
                    Preset::None => continue,
                    Preset::Flag(flag) => (*flag).into(),
                    Preset::Whole(number) => (*number).into(),
                    Preset::Text(text) => (*text).into(),
                    Preset::Empty => json!([]),
                };
                preset.insert(field.name.to_owned(), value);
            }
        }
    }
    (given, preset)
}

fn check_fields(object: &Map<String, Value>, fields: &[Field], at: &str, faults: &mut Faults) {
    for field in fields {
        let place = format!("{at}/{}", field.name);
        match (object.get(field.name), &field.need) {
            (None, Need::Required) => faults.coded("missing", place, "Field required"),
            (None, _) | (Some(Value::Null), Need::Nullable(_)) => {}
            (Some(value), _) => check(value, field.shape, &place, faults),
        }
    }
}

/// Checks a value against its shape, as a JSON Schema would.
fn check(value: &Value, shape: Shape, at: &str, faults: &mut Faults) {
    let (code, should) = match (shape, value) {
        (Shape::Text, Value::String(_))
        | (Shape::Flag, Value::Bool(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Object, Value::Object(_)) => return,
        (Shape::Whole, Value::Number(number)) => {
            if number.as_f64().is_some_and(|n| n.fract() == 0.0) {
                return;
            }
            (
                "int_from_float",
                "a valid integer, got a number with a fractional part".to_owned(),
            )
        }
        (Shape::OneOf(words), Value::String(word)) if words.contains(&word.as_str()) => return,
        (Shape::OneOf(words), _) => {
            let words: Vec<String> = words.iter().map(|w| format!("'{w}'")).collect();
            let (last, rest) = words
                .split_last()
                .map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
            ("literal_error", format!("{} or {last}", rest.join(", ")))
        }
        (Shape::Texts | Shape::TextMaps | Shape::Criteria, Value::Array(items)) => {
            for (n, item) in items.iter().enumerate() {
                let place = format!("{at}/{n}");
                match (shape, item) {
                    (Shape::Criteria, Value::Object(criterion)) => {
                        check_fields(criterion, CRITERION, &place, faults);
                    }
                    (Shape::Criteria, other) => check(other, Shape::Object, &place, faults),
                    (Shape::TextMaps, other) => check(other, Shape::TextMap, &place, faults),
                    (_, other) => check(other, Shape::Text, &place, faults),
                }
            }
            return;
        }
        (Shape::TextMap, Value::Object(members)) => {
            for (name, member) in members {
                check(
                    member,
                    Shape::Text,
                    &format!("{at}/{}", pointer_escape(name)),
                    faults,
                );
            }
            return;
        }
        (Shape::Text, _) => ("string_type", "a valid string".to_owned()),
        (Shape::Flag, _) => ("bool_type", "a valid boolean".to_owned()),
        (Shape::Whole, _) => ("int_type", "a valid integer".to_owned()),
        (Shape::Number, _) => ("float_type", "a valid number".to_owned()),
        (Shape::Object | Shape::TextMap, _) => ("dict_type", "a valid dictionary".to_owned()),
        (Shape::Texts | Shape::TextMaps | Shape::Criteria, _) => {
            ("list_type", "a valid list".to_owned())
        }
    };
    faults.coded(code, at, format!("Input should be {should}"));
}

fn read_url(
    body: &Map<String, Value>,
    reading: &Reading<'_>,
    faults: &mut Faults,
) -> Option<String> {
    let at = "/webhook_url";
    let url = match body.get("webhook_url")? {
        Value::Null => return None,
        Value::String(url) => url.trim(),
        _ => {
            faults.coded("url_type", at, "URL input should be a string");
            return None;
        }
    };
    let Some(fault) = reading.url_fault(url) else {
        return Some(url.to_owned());
    };
    let scheme = url
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    let code = match scheme.as_deref() {
        _ if url.chars().count() > MAX_URL_CHARS => "url_too_long",
        None => "url_parsing",
        Some("http" | "https") => "value_error",
        Some(_) => "url_scheme",
    };
    faults.coded(code, at, format!("URL {fault}"));
    None
}

/// Makes a record of the sent fields, under their canonical names, and the request's options.
fn record(
    subject: Subject,
    sent: Map<String, Value>,
    given: &Map<String, Value>,
    preset: &Map<String, Value>,
) -> Record {
    let mut input = canonical(subject, &sent);
    for (name, value) in given {
        input.insert(name.clone(), value.clone());
    }
    // A lead's own field is data, not an option, even if it has the name of one. An empty list
    // requests nothing.
    for (name, value) in preset {
        if !input.contains_key(name) || value.as_array().is_none_or(|items| !items.is_empty()) {
            input.insert(name.clone(), value.clone());
        }
    }
    let original = (input != sent).then_some(sent);
    Record {
        input,
        original,
        ..Record::default()
    }
}

/// Returns the fields under the names that providers know. A field that has such a name already
/// keeps it; of several names for one thing the first wins, and the others stay as they are.
fn canonical(subject: Subject, sent: &Map<String, Value>) -> Map<String, Value> {
    let mut input = Map::new();
    for (name, value) in without_blanks(sent).iter() {
        let known =
            meaning(subject, &snake_case(name)).filter(|known| present(sent, known).is_none());
        let name = known
            .filter(|known| !input.contains_key(*known))
            .unwrap_or(name);
        input.insert(name.to_owned(), value.clone());
    }
    if subject == Subject::Company
        && !input.contains_key("domain")
        && let Some(website) = input.get("website").filter(|w| w.is_string()).cloned()
    {
        input.insert("domain".to_owned(), website);
    }
    input
}

/// Returns the canonical name of a field, if it differs from its own.
fn meaning(subject: Subject, name: &str) -> Option<&'static str> {
    Some(match name {
        "name" if subject == Subject::Company => "company_name",
        "name" | "full_name" => "full_name",
        "first_name" => "first_name",
        "last_name" => "last_name",
        "company" | "company_name" => "company_name",
        "domain" | "company_domain" => "domain",
        "linkedin"
        | "linkedin_url"
        | "linkedin_profile"
        | "linkedin_profile_url"
        | "profile_url"
        | "professional_network_url" => "linkedin_url",
        "company_website" | "website_url" if subject == Subject::Company => "website",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(subject: Subject, sent: &Value) -> Value {
        canonical(subject, sent.as_object().unwrap()).into()
    }

    #[test]
    fn a_field_of_the_canonical_name_is_never_pushed_aside() {
        let sent = json!({"name": "alias", "full_name": "own", "linkedin": "a",
            "profile_url": "b", "firstName": "J"});
        let expected = json!({"name": "alias", "full_name": "own", "linkedin_url": "a",
            "profile_url": "b", "first_name": "J"});
        assert_eq!(renamed(Subject::Person, &sent), expected);
    }

    #[test]
    fn a_name_is_a_persons_or_a_companys() {
        let sent = json!({"name": "Acme", "website": "https://acme.example"});
        assert_eq!(
            renamed(Subject::Person, &sent),
            json!({"full_name": "Acme", "website": "https://acme.example"})
        );
        let company = json!({"company_name": "Acme", "website": "https://acme.example",
            "domain": "https://acme.example"});
        assert_eq!(renamed(Subject::Company, &sent), company);
        let known = json!({"domain": "acme.example", "website": "https://other.example"});
        assert_eq!(renamed(Subject::Company, &known), known);
    }

    #[test]
    fn integers_are_judged_as_a_schema_does() {
        for (value, code) in [
            ("3", None),
            ("3.0", None),
            ("-1e3", None),
            ("123456789012345678901234567890", None),
            ("3.5", Some("int_from_float")),
            ("\"3\"", Some("int_type")),
            ("true", Some("int_type")),
            ("[]", Some("int_type")),
        ] {
            let mut faults = Faults::default();
            check(
                &serde_json::from_str(value).unwrap(),
                Shape::Whole,
                "/x",
                &mut faults,
            );
            let reported = match faults.finish() {
                Err(ApiError::Invalid(faults)) => faults[0].code,
                _ => None,
            };
            assert_eq!(reported, code, "{value}");
        }
    }
}
