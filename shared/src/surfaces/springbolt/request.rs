//! Reads a request: one record, and where its result goes.

use serde_json::{Map, Value};

use crate::domain::error::ApiError;
use crate::domain::job::{Submission, Webhook};
use crate::domain::record::{MAX_RECORD_BYTES, Record, present, without_blanks};
use crate::surfaces::common::message::ApiRequest;
use crate::surfaces::common::read::{Faults, bounded, object, snake_case};
use crate::surfaces::{MAX_URL_CHARS, Reading};

/// The names of the callback URL; the first is that of clients that speak camel case.
pub(super) const CALLBACK: [&str; 2] = ["callbackUrl", "callback_url"];

pub(super) fn is_callback(name: &str) -> bool {
    CALLBACK.contains(&name)
}

/// `x-api-key: KEY` or `Authorization: Bearer KEY`.
pub(super) fn key(request: &ApiRequest) -> Option<&str> {
    request.header("x-api-key").or_else(|| request.bearer())
}

pub(super) fn read(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
    let operation = request
        .segments()
        .last()
        .map(|last| last.replace('-', "_"))
        .unwrap_or_default();
    let sent = object(&request.body)?;
    let mut faults = Faults::default();
    let [camel, snake] = CALLBACK.map(|name| faults.text(&sent, "", name, MAX_URL_CHARS));
    if let (Some(camel), Some(snake)) = (&camel, &snake)
        && camel != snake
    {
        faults.add(
            "/callback_url",
            "differs from callbackUrl; send one of the two, or the same URL in both",
        );
    }
    let named = CALLBACK[usize::from(camel.is_none() && snake.is_some())];
    let url = camel.or(snake);
    if let Some(fault) = url.as_deref().and_then(|url| reading.url_fault(url)) {
        faults.add(format!("/{named}"), fault);
    }
    if url.is_none() && faults.is_empty() {
        faults.add("/callbackUrl", "is required: the result is sent there");
    }
    faults.finish()?;
    bounded(0, &sent).map_err(|_| ApiError::TooLarge {
        detail: format!(
            "the request has more than {MAX_RECORD_BYTES} bytes as JSON; send less with it"
        ),
    })?;
    let input = input(&sent, &operation);
    let record = Record {
        input,
        original: Some(sent),
        ..Record::default()
    };
    Ok(Submission {
        webhook: url.map(|url| Webhook { url }),
        operation: Some(operation.clone()),
        ..Submission::new(reading.surface.name, reading.kind(&operation), vec![record])
    })
}

/// Returns what providers see of a request: its fields under the names that they know. Of several
/// that mean the same, one that has the known name goes before all others, then the first; the rest
/// stay what they are called.
fn input(sent: &Map<String, Value>, operation: &str) -> Map<String, Value> {
    let mut input = Map::new();
    for (name, value) in without_blanks(sent)
        .iter()
        .filter(|(name, _)| !is_callback(name))
    {
        let known = meaning(name, operation).map_or_else(|| snake_case(name), str::to_owned);
        let taken =
            known != *name && (present(sent, &known).is_some() || input.contains_key(&known));
        input.insert(if taken { name.clone() } else { known }, value.clone());
    }
    input
}

/// Returns what providers call a field that has more than one usual name.
fn meaning(name: &str, operation: &str) -> Option<&'static str> {
    Some(match folded(name).as_str() {
        // An organisation is meant where its domain is looked for, else a person.
        "name" if operation == "organization_domain_finder" => "company_name",
        "name" => "full_name",
        "company" | "organization" | "organizationname" => "company_name",
        "companydomain" | "organizationdomain" => "domain",
        "companywebsite" => "website",
        "linkedin"
        | "linkedinurl"
        | "linkedinprofile"
        | "linkedinprofileurl"
        | "profileurl"
        | "professionalnetworkurl" => "linkedin_url",
        "emailaddress" => "email",
        "hashedemail" => "hem",
        "phonenumber" => "phone",
        "ipaddress" => "ip",
        "keywords" => "keyword",
        "jobtitle" => "title",
        _ => return None,
    })
}

/// The same for every way to write a name.
pub(super) fn folded(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else {
            panic!("{value} is not an object")
        };
        map
    }

    #[test]
    fn providers_see_the_names_they_know() {
        for (sent, seen) in [
            (
                json!({"companyName": "A", "callbackUrl": "u", "callback_url": "u"}),
                json!({"company_name": "A"}),
            ),
            (
                json!({"LinkedInProfileUrl": "l", "ipAddress": 7}),
                json!({"linkedin_url": "l", "ip": 7}),
            ),
            (
                json!({"company": "A", "organization": "B"}),
                json!({"company_name": "A", "organization": "B"}),
            ),
            (
                json!({"companyName": "A", "company_name": "B"}),
                json!({"company_name": "B", "companyName": "A"}),
            ),
            (
                json!({"teamSize": 1, "team_size": 2}),
                json!({"teamSize": 1, "team_size": 2}),
            ),
            (
                json!({"company": "", "organization": "B"}),
                json!({"company_name": "B"}),
            ),
            (
                json!({"companyName": "A", "company_name": "\u{2003}", "teamSize": null}),
                json!({"company_name": "A"}),
            ),
            (
                json!({"teamSize": 1, "name": "N", "color": [1]}),
                json!({"team_size": 1, "full_name": "N", "color": [1]}),
            ),
        ] {
            assert_eq!(Value::Object(input(&map(sent), "enrichment")), seen);
        }
        let organization = input(&map(json!({"name": "N"})), "organization_domain_finder");
        assert_eq!(Value::Object(organization), json!({"company_name": "N"}));
    }
}
