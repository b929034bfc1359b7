//! Fields of a record on the command line, and the example that a provider is tried with.

use serde_json::{Map, Value};
use shared::domain::json;

/// A field and its value: `NAME=TEXT`, or `NAME:=JSON` for values other than text.
pub(crate) fn field(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("is not FIELD=VALUE, such as domain=stripe.com")?;
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => (
            name,
            json::read(value.as_bytes()).map_err(|e| format!("has no JSON behind :=, {e}"))?,
        ),
        None => (name, Value::from(value)),
    };
    if name.is_empty() {
        Err("has no field's name before =".to_owned())
    } else {
        Ok((name.to_owned(), value))
    }
}

/// Values that exist, for the fields of the types that ship: public figures and organisations only.
const USUAL: [(&str, &str); 13] = [
    ("company_name", "Wikimedia Foundation"),
    ("country", "US"),
    ("domain", "wikimedia.org"),
    ("email", "info@wikimedia.org"),
    ("first_name", "Jimmy"),
    ("full_name", "Jimmy Wales"),
    ("ip", "208.80.154.224"),
    ("keyword", "software"),
    ("last_name", "Wales"),
    (
        "linkedin_url",
        "https://www.linkedin.com/company/wikimedia-foundation",
    ),
    ("phone", "+1 415-839-6885"),
    ("qualification_criteria", "It is a non-profit organisation"),
    (
        "research_plan",
        "Find out where the organisation has its seat",
    ),
];

/// An input with these fields: as given, else the usual ones, else left out.
pub(crate) fn input(fields: &[String], given: &[(String, Value)]) -> Map<String, Value> {
    let value = |name: &String| {
        let given = given
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.clone());
        given.or_else(|| {
            USUAL
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, text)| Value::from(*text))
        })
    };
    fields
        .iter()
        .filter_map(|name| Some((name.clone(), value(name)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_texts_unless_they_say_json() {
        assert_eq!(
            field("domain=a=b.com").unwrap(),
            ("domain".to_owned(), json!("a=b.com"))
        );
        assert_eq!(field("limit:=5").unwrap(), ("limit".to_owned(), json!(5)));
        assert_eq!(
            field("struct:={\"a\": \"b\"}").unwrap(),
            ("struct".to_owned(), json!({"a": "b"}))
        );
        for wrong in ["domain", "=x", ":=5", "a:=nonsense"] {
            assert!(field(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_given_comes_before_what_is_usual() {
        let fields = ["domain", "ip", "unheard_of"].map(str::to_owned);
        let given = [
            ("ip".to_owned(), json!("1.1.1.1")),
            ("other".to_owned(), json!(1)),
        ];
        assert_eq!(
            Value::Object(input(&fields, &given)),
            json!({"domain": "wikimedia.org", "ip": "1.1.1.1"})
        );
    }
}
