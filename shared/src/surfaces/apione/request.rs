//! Reads a submission.

use serde_json::{Map, Value};

use crate::domain::error::ApiError;
use crate::domain::job::{MAX_RECORDS, Submission, Webhook};
use crate::domain::json;
use crate::domain::record::{MAX_RECORD_BYTES, Record, present, without_blanks};
use crate::surfaces::common::message::ApiRequest;
use crate::surfaces::common::read::{Faults, object_by, too_large};
use crate::surfaces::{MAX_URL_CHARS, Reading};

pub(super) const STATUS_PATH: &str = "/api/v1/async/status/{id}";

/// The values of `type`.
pub(super) const OPERATIONS: [&str; 5] = ["company", "people", "email", "tech", "signals"];

pub(super) fn key(request: &ApiRequest) -> Option<&str> {
    request.header("x-api-key")
}

/// Reads a submission. Other members are ignored, as are members of records that no
/// provider reads.
pub(super) fn read(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
    let mut request = object_by(json::read_unchanged, &request.body)?;
    let mut faults = Faults::default();
    let operation = match request.get("type").and_then(Value::as_str) {
        Some(text) => OPERATIONS.into_iter().find(|known| *known == text),
        None => None,
    };
    if operation.is_none() {
        faults.add("/type", format!("must be one of {}", OPERATIONS.join(", ")));
    }
    let url = faults.text(&request, "", "webhook_url", MAX_URL_CHARS);
    if let Some(fault) = url.as_ref().and_then(|url| reading.url_fault(url)) {
        faults.add("/webhook_url", fault);
    }
    let items = match request.swap_remove("records") {
        Some(Value::Array(items)) if (1..=MAX_RECORDS).contains(&items.len()) => items,
        Some(Value::Array(items)) => {
            faults.add(
                "/records",
                format!("has {} records; a job has 1 to {MAX_RECORDS}", items.len()),
            );
            Vec::new()
        }
        _ => {
            faults.add(
                "/records",
                format!("must be an array of 1 to {MAX_RECORDS} records"),
            );
            Vec::new()
        }
    };
    let mut records = Vec::with_capacity(items.len());
    let mut oversize = None;
    for (at, item) in items.into_iter().enumerate() {
        let Value::Object(sent) = item else {
            faults.add(
                format!("/records/{at}"),
                "must be an object like {\"domain\": …}",
            );
            continue;
        };
        if json::size(&sent) > MAX_RECORD_BYTES {
            oversize.get_or_insert(at);
        }
        records.push(record(sent, operation.unwrap_or_default()));
    }
    faults.finish()?;
    if let Some(at) = oversize {
        return Err(too_large(at));
    }
    let operation = operation.unwrap_or_default();
    Ok(Submission {
        operation: Some(operation.to_owned()),
        webhook: url.map(|url| Webhook { url }),
        ..Submission::new(reading.surface.name, reading.kind(operation), records)
    })
}

/// A record with the names that providers know, and as it was sent where that differs.
fn record(sent: Map<String, Value>, operation: &str) -> Record {
    let mut input = Map::with_capacity(sent.len());
    for (name, value) in without_blanks(&sent).iter() {
        let wanted = canonical(name, operation).filter(|_| value.is_string());
        let wanted = wanted
            .filter(|wanted| present(&sent, wanted).is_none() && !input.contains_key(*wanted));
        input.insert(wanted.unwrap_or(name).to_owned(), value.clone());
    }
    // A company's website is on its domain; a person's need not be.
    if !matches!(operation, "people" | "email")
        && !input.contains_key("domain")
        && let Some(website) = input
            .get("website")
            .filter(|website| website.is_string())
            .cloned()
    {
        input.insert("domain".to_owned(), website);
    }
    let original = (input != sent).then_some(sent);
    Record {
        input,
        original,
        ..Record::default()
    }
}

/// Returns what providers call a field that clients write in one of the usual ways, in any case and
/// with any separator.
fn canonical(name: &str, operation: &str) -> Option<&'static str> {
    // No name below is longer.
    if name.len() > 32 {
        return None;
    }
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    Some(match letters.to_ascii_lowercase().as_str() {
        "name" if matches!(operation, "people" | "email") => "full_name",
        "name" | "company" | "companyname" | "organization" | "organisation"
        | "organizationname" => "company_name",
        "domain" | "companydomain" => "domain",
        "firstname" => "first_name",
        "lastname" => "last_name",
        "fullname" => "full_name",
        "email" | "emailaddress" => "email",
        "phone" | "phonenumber" => "phone",
        "linkedin"
        | "linkedinurl"
        | "linkedinprofile"
        | "linkedinprofileurl"
        | "profileurl"
        | "professionalnetworkurl" => "linkedin_url",
        "ip" | "ipaddress" => "ip",
        "website" | "websiteurl" => "website",
        "title" | "jobtitle" => "title",
        "keyword" => "keyword",
        "address" => "address",
        "location" => "location",
        "country" => "country",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn records_get_the_names_that_providers_know_and_keep_what_was_sent() {
        let sent = map(
            &json!({"firstName": "Ada", "Last-Name": "L", "name": "Ada L", "company": "Acme",
                "crm": {"id": 1}}),
        );
        let record = record(sent.clone(), "people");
        let names: Vec<_> = record.input.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "first_name",
                "last_name",
                "full_name",
                "company_name",
                "crm"
            ]
        );
        assert_eq!((record.sent(), record.original.is_some()), (&sent, true));
    }

    #[test]
    fn a_name_is_taken_once_and_only_for_texts() {
        let sent = map(
            &json!({"company": "A", "company_name": "B", "Domain": 7, "linkedin": "x",
                "profile_url": "y"}),
        );
        let record = record(sent.clone(), "company");
        let wanted = json!({"company": "A", "company_name": "B", "Domain": 7, "linkedin_url": "x",
            "profile_url": "y"});
        assert_eq!(Value::Object(record.input), wanted);
        let plain = super::record(
            map(&json!({"domain": "a.example", "10": 1, "toJSON": "x"})),
            "company",
        );
        assert_eq!(plain.original, None, "nothing is kept twice without need");
    }

    #[test]
    fn name_is_a_persons_or_a_companys() {
        assert_eq!(canonical("name", "email"), Some("full_name"));
        assert_eq!(canonical("name", "signals"), Some("company_name"));
        assert_eq!(canonical(&"a".repeat(100_000), "people"), None);
    }

    #[test]
    fn a_company_known_by_its_website_alone_was_not_looked_up() {
        let read = |sent: Value, operation| {
            let Value::Object(sent) = sent else {
                panic!("{sent} is not an object")
            };
            record(sent, operation)
        };
        let company = read(json!({"Website": "https://www.a.example/x"}), "company");
        assert_eq!(company.input["domain"], "https://www.a.example/x");
        assert_eq!(
            Value::from(company.sent().clone()),
            json!({"Website": "https://www.a.example/x"})
        );
        for empty in [Value::Null, json!(""), json!(" ")] {
            let company = read(json!({"domain": empty, "website": "a.example"}), "company");
            assert_eq!(company.input["domain"], "a.example");
        }
        let both = read(
            json!({"domain": "a.example", "website": "b.example"}),
            "tech",
        );
        assert_eq!(
            (both.input["domain"].as_str(), both.original.is_none()),
            (Some("a.example"), true)
        );
        assert!(
            !read(json!({"website": "https://john.example/"}), "people")
                .input
                .contains_key("domain")
        );
        assert!(
            !read(json!({"website": 5}), "company")
                .input
                .contains_key("domain")
        );
    }
}
