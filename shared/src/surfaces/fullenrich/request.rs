//! Reads batches of contacts. One fault is answered at a time: of the batch before its contacts, of
//! the first contact before the second.

use serde_json::{Map, Value};

use super::code;
use crate::domain::error::{ApiError, InputError, pointer_escape};
use crate::domain::job::{Submission, Webhook};
use crate::domain::record::{Record, is_blank, present};
use crate::surfaces::Reading;
use crate::surfaces::common::message::ApiRequest;
use crate::surfaces::common::read::{bounded, object};

/// The operations, as `providers.toml` maps them.
pub(super) const ENRICH: &str = "enrich";

pub(super) const REVERSE: &str = "reverse_email";

/// The most contacts of a batch.
const MAX_CONTACTS: usize = 100;

/// The most keys of a contact's `custom`: the description names 20 for an enrichment and 10 for a
/// reverse lookup.
const MAX_CUSTOM_KEYS: usize = 20;

const MAX_REVERSE_CUSTOM_KEYS: usize = 10;

/// The most characters of a value in `custom`.
const MAX_CUSTOM_CHARS: usize = 100;

/// The most characters of a batch's name. The description has no limit; what is stored with a job
/// needs one.
const MAX_NAME_CHARS: usize = 1000;

pub(super) const WORK_EMAILS: &str = "contact.work_emails";

pub(super) const PERSONAL_EMAILS: &str = "contact.personal_emails";

pub(super) const PHONES: &str = "contact.phones";

/// The fields that can be requested, and those that are requested where none is named.
const FIELDS: [&str; 3] = [WORK_EMAILS, PERSONAL_EMAILS, PHONES];

fn refused(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> ApiError {
    ApiError::Invalid(vec![InputError::new(pointer, detail).with_code(code)])
}

/// The beginning of a text that the caller chose.
fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// A text that has more than white space. Null and an empty text are as good as absent.
fn text<'a>(
    object: &'a Map<String, Value>,
    at: &str,
    name: &str,
) -> Result<Option<&'a str>, ApiError> {
    match present(object, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(refused(
            code::TYPE,
            format!("{at}/{name}"),
            "must be a string",
        )),
    }
}

pub(super) fn read_enrich(
    request: &ApiRequest,
    reading: &Reading<'_>,
) -> Result<Submission, ApiError> {
    read_batch(request, reading, ENRICH, read_contact)
}

pub(super) fn read_reverse(
    request: &ApiRequest,
    reading: &Reading<'_>,
) -> Result<Submission, ApiError> {
    read_batch(request, reading, REVERSE, read_address)
}

fn read_batch(
    request: &ApiRequest,
    reading: &Reading<'_>,
    operation: &str,
    read: fn(&str, &Map<String, Value>) -> Result<Record, ApiError>,
) -> Result<Submission, ApiError> {
    let mut batch = object(&request.body)?;
    let name = text(&batch, "", "name")?
        .ok_or_else(|| refused(code::NAME_EMPTY, "/name", "is required"))?;
    if name.chars().count() > MAX_NAME_CHARS {
        let detail = format!("is longer than {MAX_NAME_CHARS} characters");
        return Err(refused(code::NAME_EXCEEDED, "/name", detail));
    }
    let name = name.to_owned();
    let webhook = read_url(&batch, "", "webhook_url", reading)?;
    let record_webhook = match batch.get("webhook_events") {
        None | Some(Value::Null) => None,
        Some(Value::Object(events)) => {
            read_url(events, "/webhook_events", "contact_finished", reading)?
        }
        Some(_) => {
            let detail = "must be an object like {\"contact_finished\": \"https://…\"}";
            return Err(refused(code::TYPE, "/webhook_events", detail));
        }
    };
    let contacts = match batch.swap_remove("data") {
        None | Some(Value::Null) => return Err(refused(code::DATA_EMPTY, "/data", "is required")),
        Some(Value::Array(contacts)) => contacts,
        Some(_) => return Err(refused(code::TYPE, "/data", "must be an array of objects")),
    };
    if contacts.is_empty() {
        return Err(refused(code::DATA_EMPTY, "/data", "is empty"));
    }
    if contacts.len() > MAX_CONTACTS {
        let detail = format!(
            "has {} entries; a batch has at most {MAX_CONTACTS}",
            contacts.len()
        );
        return Err(refused(code::DATA_EXCEEDED, "/data", detail));
    }
    let mut records = Vec::with_capacity(contacts.len());
    for (at, contact) in contacts.iter().enumerate() {
        let pointer = format!("/data/{at}");
        let Value::Object(contact) = contact else {
            return Err(refused(code::TYPE, pointer, "must be an object"));
        };
        let record = read(&pointer, contact)?;
        bounded(at, &(&record.input, &record.metadata))?;
        bounded(at, &(&record.original, &record.metadata))?;
        records.push(record);
    }
    Ok(Submission {
        operation: Some(operation.to_owned()),
        name: Some(name),
        webhook,
        record_webhook,
        partial_budget: true,
        ..Submission::new(reading.surface.name, reading.kind(operation), records)
    })
}

fn read_url(
    object: &Map<String, Value>,
    at: &str,
    name: &str,
    reading: &Reading<'_>,
) -> Result<Option<Webhook>, ApiError> {
    let url = match present(object, name) {
        None => return Ok(None),
        Some(Value::String(url)) => url,
        Some(_) => {
            return Err(refused(
                code::WEBHOOK_URL,
                format!("{at}/{name}"),
                "must be a URL, as a string",
            ));
        }
    };
    match reading.url_fault(url) {
        None => Ok(Some(Webhook { url: url.clone() })),
        Some(fault) => {
            let detail = format!("must be a URL that starts with http:// or https://; it {fault}");
            Err(refused(code::WEBHOOK_URL, format!("{at}/{name}"), detail))
        }
    }
}

/// A contact's texts: the name in the request, in the echo, and among a provider's inputs. The
/// request may use the echo's name as well; where it has both, its own counts.
const TEXTS: [(&str, &str, &str); 6] = [
    ("first_name", "first_name", "first_name"),
    ("last_name", "last_name", "last_name"),
    ("full_name", "full_name", "full_name"),
    ("domain", "company_domain", "domain"),
    ("company_name", "company_name", "company_name"),
    ("linkedin_url", "professional_network_url", "linkedin_url"),
];

const DOMAIN_FAULT: &str = "must be a domain such as example.com";

const LINKEDIN_FAULT: &str =
    "must be a person's URL on LinkedIn, such as https://www.linkedin.com/in/NAME";

fn read_contact(at: &str, contact: &Map<String, Value>) -> Result<Record, ApiError> {
    let (mut input, mut sent) = (Map::new(), Map::new());
    for (name, value) in contact {
        if name == "custom" || name == "enrich_fields" {
            continue;
        }
        match TEXTS
            .iter()
            .find(|(own, echo, _)| name == own || name == echo)
        {
            None => {
                if !is_blank(value) {
                    input.insert(name.clone(), value.clone());
                }
                sent.insert(name.clone(), value.clone());
            }
            Some((own, echo, canonical)) => {
                let Some(text) = text(contact, at, name)? else {
                    continue;
                };
                if name == own || !sent.contains_key(*echo) {
                    input.insert((*canonical).to_owned(), text.into());
                    sent.insert((*echo).to_owned(), text.into());
                }
            }
        }
    }
    let known = |name: &str| input.get(name).and_then(Value::as_str);
    if known("linkedin_url").is_none() {
        for (name, code) in [
            ("first_name", code::FIRST_NAME_EMPTY),
            ("last_name", code::LAST_NAME_EMPTY),
        ] {
            if known(name).is_none() {
                let detail = "is required for a contact without linkedin_url";
                return Err(refused(code, format!("{at}/{name}"), detail));
            }
        }
        if known("domain").or(known("company_name")).is_none() {
            let detail = "or company_name is required for a contact without linkedin_url";
            return Err(refused(code::DOMAIN_EMPTY, format!("{at}/domain"), detail));
        }
    }
    for (names, fits, code, detail) in [
        (
            ["domain", "company_domain"],
            is_domain as fn(&str) -> bool,
            code::DOMAIN_INVALID,
            DOMAIN_FAULT,
        ),
        (
            ["linkedin_url", "professional_network_url"],
            is_linkedin_profile,
            code::LINKEDIN_URL_INVALID,
            LINKEDIN_FAULT,
        ),
    ] {
        for name in names {
            if text(contact, at, name)?.is_some_and(|text| !fits(text)) {
                return Err(refused(code, format!("{at}/{name}"), detail));
            }
        }
    }
    input.insert("enrich_fields".to_owned(), read_fields(at, contact)?.into());
    let metadata = read_custom(at, contact, MAX_CUSTOM_KEYS)?;
    Ok(Record {
        input,
        metadata,
        original: Some(sent),
        ..Record::default()
    })
}

fn read_address(at: &str, contact: &Map<String, Value>) -> Result<Record, ApiError> {
    let pointer = format!("{at}/email");
    let email = match present(contact, "email") {
        None => return Err(refused(code::EMAIL_EMPTY, pointer, "is required")),
        Some(Value::String(email)) => email,
        Some(_) => return Err(refused(code::EMAIL_INVALID, pointer, "must be a string")),
    };
    if !is_email(email) {
        return Err(refused(
            code::EMAIL_INVALID,
            pointer,
            "must be an e-mail address",
        ));
    }
    let metadata = read_custom(at, contact, MAX_REVERSE_CUSTOM_KEYS)?;
    let members = contact.iter().filter(|(name, _)| *name != "custom");
    let input = members
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Ok(Record {
        input,
        metadata,
        ..Record::default()
    })
}

/// Returns the requested fields, each once.
fn read_fields(at: &str, contact: &Map<String, Value>) -> Result<Vec<&'static str>, ApiError> {
    let pointer = format!("{at}/enrich_fields");
    let named = match contact.get("enrich_fields") {
        None | Some(Value::Null) => return Ok(FIELDS.to_vec()),
        Some(Value::Array(named)) => named,
        Some(_) => return Err(refused(code::TYPE, pointer, "must be an array of strings")),
    };
    if named.is_empty() {
        return Err(refused(
            code::ENRICH_FIELDS_EMPTY,
            pointer,
            "is empty; leave it out to ask for everything",
        ));
    }
    for (n, value) in named.iter().enumerate() {
        if !value.as_str().is_some_and(|field| FIELDS.contains(&field)) {
            let detail = format!(
                "is {}; it must be one of {}",
                short(&value.to_string()),
                FIELDS.join(", ")
            );
            return Err(refused(
                code::ENRICH_FIELD_VALUE,
                format!("{pointer}/{n}"),
                detail,
            ));
        }
    }
    Ok(FIELDS
        .into_iter()
        .filter(|field| named.iter().any(|value| value == field))
        .collect())
}

fn read_custom(
    at: &str,
    contact: &Map<String, Value>,
    max_keys: usize,
) -> Result<Option<Map<String, Value>>, ApiError> {
    let custom = match contact.get("custom") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(custom)) => custom,
        Some(_) => {
            return Err(refused(
                code::TYPE,
                format!("{at}/custom"),
                "must be an object of strings",
            ));
        }
    };
    if custom.len() > max_keys {
        let detail = format!("has {} keys; at most {max_keys} are taken", custom.len());
        return Err(refused(code::CUSTOM_KEYS, format!("{at}/custom"), detail));
    }
    for (key, value) in custom {
        let pointer = || format!("{at}/custom/{}", short(&pointer_escape(key)));
        let Some(value) = value.as_str() else {
            return Err(refused(code::CUSTOM_TYPE, pointer(), "must be a string"));
        };
        if value.chars().count() > MAX_CUSTOM_CHARS {
            let detail = format!("is longer than {MAX_CUSTOM_CHARS} characters");
            return Err(refused(code::CUSTOM_VALUE, pointer(), detail));
        }
    }
    Ok(Some(custom.clone()))
}

/// Returns whether a text names a host of at least two labels, of whichever script; `http://`
/// before it and a path behind it are let pass, as people paste them. Lengths are those of RFC
/// 1035, section 2.3.4.
fn is_domain(text: &str) -> bool {
    let text = text.trim();
    let host = without_scheme(text)
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let letter = |c: char| {
        c.is_ascii_alphanumeric() || (!c.is_ascii() && !c.is_whitespace() && !c.is_control())
    };
    let fits = |label: &&str| {
        (1..=63).contains(&label.chars().count())
            && label.chars().all(|c| letter(c) || c == '-' || c == '_')
            && label.starts_with(letter)
            && label.ends_with(letter)
    };
    // A last label of digits alone is an address.
    let top = labels
        .last()
        .is_some_and(|top| !top.bytes().all(|b| b.is_ascii_digit()));
    labels.len() >= 2 && host.chars().count() <= 253 && top && labels.iter().all(fits)
}

/// Returns whether a text is an address that mail can go to, as far as its form tells. Lengths are
/// those of RFC 5321, section 4.5.3.1, and its erratum 1690.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    (1..=64).contains(&local.chars().count())
        && text.chars().count() <= 254
        && !local.contains(odd)
        && !domain.contains([':', '/', '?', '#'])
        && !domain.contains(odd)
        && is_domain(domain)
}

/// Returns whether a text is the URL of a person on `LinkedIn` or its Sales Navigator; the scheme
/// may be missing.
fn is_linkedin_profile(text: &str) -> bool {
    let (host, path) = without_scheme(text.trim())
        .split_once('/')
        .unwrap_or_default();
    let host = host.to_ascii_lowercase();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    let person = match segments[..] {
        ["in" | "pub", name, ..] | ["sales", "lead" | "people", name, ..] => {
            !name.is_empty() && !name.contains(char::is_whitespace)
        }
        _ => false,
    };
    let country =
        |sub: &str| !sub.is_empty() && sub.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    person && (host == "linkedin.com" || host.strip_suffix(".linkedin.com").is_some_and(country))
}

fn without_scheme(text: &str) -> &str {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    &text[scheme.map_or(0, str::len)..]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn domains_are_told_from_what_is_none() {
        let label = "a".repeat(63);
        for good in [
            "example.com",
            "WWW.Example.CO.UK",
            "a-b_c.example",
            "münchen.example",
            "xn--mnchen-3ya.example",
            "例え.テスト",
            " example.com ",
            "https://example.com",
            "HTTP://example.com/about?x#y",
            "1.example",
            &format!("{label}.example"),
        ] {
            assert!(is_domain(good), "{good}");
        }
        for bad in [
            "",
            "example",
            "exa mple.com",
            ".example.com",
            "example..com",
            "example.com.",
            "-a.example",
            "a-.example",
            "1.2.3.4",
            "a@b.example",
            "example.com:443",
            "ftp://example.com",
            "http://",
            "a.b\u{a0}c",
            "a,b.example",
            &format!("a{label}.example"),
            &format!("{}example", "abcdefgh.".repeat(28)),
        ] {
            assert!(!is_domain(bad), "{bad}");
        }
    }

    #[test]
    fn people_on_linkedin_are_told_from_companies_and_other_hosts() {
        for good in [
            "https://www.linkedin.com/in/demoge",
            "http://LinkedIn.com/in/demoge/",
            "fr.linkedin.com/in/j%C3%A9r%C3%B4me?trk=1#x",
            "https://www.linkedin.com/in/ACwAACLLwaIBKi655883b",
            "https://www.linkedin.com/sales/lead/ACw,NAME_SEARCH,x",
            "https://www.linkedin.com/sales/people/ACw",
            "https://www.linkedin.com/pub/x/1/2/3",
        ] {
            assert!(is_linkedin_profile(good), "{good}");
        }
        for bad in [
            "",
            "demoge",
            "linkedin.com",
            "https://www.linkedin.com/in/",
            "https://www.linkedin.com/in/?x=1",
            "https://www.linkedin.com/company/x",
            "https://linkedin.com.evil.example/in/x",
            "https://evillinkedin.com/in/x",
            "https://evil.example/@www.linkedin.com/in/x",
            "https://evil.example?.linkedin.com/in/x",
            "ftp://linkedin.com/in/x",
            "https://www.linkedin.com/in/two words",
        ] {
            assert!(!is_linkedin_profile(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in [
            "a@b.example",
            "John.Snow+x@mail.example.co.uk",
            "ü@münchen.example",
            &format!("{}@b.example", "a".repeat(64)),
        ] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "@b.example",
            "a@",
            "a b@c.example",
            "a@b@c.example",
            "a@https://b.example",
            "a@b.example/x",
            " a@b.example",
            "a@b.example ",
            &format!("{}@b.example", "a".repeat(65)),
            &format!("{}@{}example", "a".repeat(60), "abcdefg.".repeat(24)),
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn a_code_of_megabytes_is_not_quoted_back_whole() {
        let long = "x".repeat(3_000_000);
        let contact = json!({"enrich_fields": [long]});
        let error = read_fields("/data/0", map(&contact)).unwrap_err();
        let custom = json!({"custom": {long: 5}});
        let other = read_custom("/data/0", map(&custom), 20).unwrap_err();
        assert!(format!("{error:?}{other:?}").len() < 1000);
    }
}
