//! Reads batches of contacts, in the words of either version. One fault is answered at a time: of
//! the batch before its contacts, of the first contact before the second.

use serde_json::{Map, Value};

use super::code;
use super::forms::{is_domain, is_email, is_linkedin_profile};
use super::version::{ENRICH, REVERSE, Version};
use crate::domain::error::{ApiError, InputError, pointer_escape};
use crate::domain::job::{Submission, Webhook};
use crate::domain::record::{Record, is_blank, present};
use crate::surfaces::Reading;
use crate::surfaces::common::message::ApiRequest;
use crate::surfaces::common::read::{bounded, object};

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

/// The words of an enrichment's request.
struct Words {
    /// The member with the contacts.
    contacts: &'static str,
    /// A contact's texts: the name in the request, in the echo, and among a provider's inputs. The
    /// request may use the echo's name as well; where it has both, its own counts.
    texts: [(&'static str, &'static str, &'static str); 6],
    /// The fields that can be requested, by their names in the request.
    fields: [(&'static str, &'static str); 3],
    /// The fields that are requested where none is named.
    by_default: &'static [&'static str],
}

const SECOND: Words = Words {
    contacts: "data",
    texts: [
        ("first_name", "first_name", "first_name"),
        ("last_name", "last_name", "last_name"),
        ("full_name", "full_name", "full_name"),
        ("domain", "company_domain", "domain"),
        ("company_name", "company_name", "company_name"),
        ("linkedin_url", "professional_network_url", "linkedin_url"),
    ],
    fields: [
        (WORK_EMAILS, WORK_EMAILS),
        (PERSONAL_EMAILS, PERSONAL_EMAILS),
        (PHONES, PHONES),
    ],
    by_default: &[WORK_EMAILS, PERSONAL_EMAILS, PHONES],
};

const FIRST: Words = Words {
    contacts: "datas",
    texts: [
        ("firstname", "first_name", "first_name"),
        ("lastname", "last_name", "last_name"),
        ("full_name", "full_name", "full_name"),
        ("domain", "company_domain", "domain"),
        ("company_name", "company_name", "company_name"),
        ("linkedin_url", "professional_network_url", "linkedin_url"),
    ],
    fields: [
        ("contact.emails", WORK_EMAILS),
        (PERSONAL_EMAILS, PERSONAL_EMAILS),
        (PHONES, PHONES),
    ],
    // The documentation of version 1 has personal addresses only for those who name them.
    by_default: &[WORK_EMAILS, PHONES],
};

fn refused(code: &'static str, pointer: impl Into<String>, detail: impl Into<String>) -> ApiError {
    ApiError::Invalid(vec![InputError::new(pointer, detail).with_code(code)])
}

/// Returns the beginning of a text that the caller chose.
fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// Returns a text that has more than white space. Null and an empty text count as absent.
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

/// Returns whether a parameter of the query is set.
pub(super) fn is_set(request: &ApiRequest, name: &str) -> bool {
    request
        .parameter(name)
        .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}

pub(super) fn read_enrich(
    request: &ApiRequest,
    reading: &Reading<'_>,
) -> Result<Submission, ApiError> {
    let read = |at: &str, contact: &Map<String, Value>| read_contact(&SECOND, at, contact);
    read_batch(
        request,
        reading,
        (Version::Second, ENRICH),
        SECOND.contacts,
        read,
    )
}

pub(super) fn read_first_enrich(
    request: &ApiRequest,
    reading: &Reading<'_>,
) -> Result<Submission, ApiError> {
    let read = |at: &str, contact: &Map<String, Value>| read_contact(&FIRST, at, contact);
    read_batch(
        request,
        reading,
        (Version::First, ENRICH),
        FIRST.contacts,
        read,
    )
}

pub(super) fn read_reverse(
    request: &ApiRequest,
    reading: &Reading<'_>,
) -> Result<Submission, ApiError> {
    let operation = (Version::Second, REVERSE);
    read_batch(request, reading, operation, "data", read_address)
}

pub(super) fn read_first_reverse(
    request: &ApiRequest,
    reading: &Reading<'_>,
) -> Result<Submission, ApiError> {
    let operation = (Version::First, REVERSE);
    read_batch(request, reading, operation, "data", read_address)
}

/// Refuses an operation that no type can answer here.
///
/// # Errors
/// Always.
pub(super) fn read_unanswered(operation: &str, instead: &str) -> Result<Submission, ApiError> {
    let detail = format!("is not answered here: no type can be named for it; {instead}");
    Err(refused(code::NOT_CONFIGURED, operation, detail))
}

/// The remedy for people.
pub(super) const PEOPLE_INSTEAD: &str = "name a type as `enrich` under [operations.fullenrich] of \
     providers.toml, and send the people to /api/v2/contact/enrich/bulk";

/// The remedy for companies.
pub(super) const COMPANY_INSTEAD: &str = "configure a type that takes a company's domain in \
     providers.toml, and send the companies to /v1/jobs";

fn read_batch(
    request: &ApiRequest,
    reading: &Reading<'_>,
    (version, operation): (Version, &str),
    list: &str,
    read: impl Fn(&str, &Map<String, Value>) -> Result<Record, ApiError>,
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
    let place = format!("/{list}");
    let contacts = match batch.swap_remove(list) {
        None | Some(Value::Null) => return Err(refused(code::DATA_EMPTY, place, "is required")),
        Some(Value::Array(contacts)) => contacts,
        Some(_) => return Err(refused(code::TYPE, place, "must be an array of objects")),
    };
    if contacts.is_empty() {
        return Err(refused(code::DATA_EMPTY, place, "is empty"));
    }
    if contacts.len() > MAX_CONTACTS {
        let detail = format!(
            "has {} entries; a batch has at most {MAX_CONTACTS}",
            contacts.len()
        );
        return Err(refused(code::DATA_EXCEEDED, place, detail));
    }
    let skips = |fault: &InputError| is_skipped(request, version, fault);
    let records = read_contacts(&place, &contacts, read, skips)?;
    Ok(Submission {
        operation: Some(operation.to_owned()),
        form: version.form(),
        name: Some(name),
        webhook,
        record_webhook,
        partial_budget: true,
        ..Submission::new(reading.surface.name, reading.kind(operation), records)
    })
}

/// Returns whether the batch goes on without a contact that has this fault: `?silentFail=true`, and
/// on version 1 `?checkDomain=false` and `?checkLinkedinUrl=false`.
fn is_skipped(request: &ApiRequest, version: Version, fault: &InputError) -> bool {
    let unchecked = |name: &str, codes: &[&str]| {
        version == Version::First
            && fault.code.is_some_and(|code| codes.contains(&code))
            && request
                .parameter(name)
                .is_some_and(|value| value == "0" || value.eq_ignore_ascii_case("false"))
    };
    is_set(request, "silentFail")
        || unchecked("checkDomain", &[code::DOMAIN_EMPTY, code::DOMAIN_INVALID])
        || unchecked("checkLinkedinUrl", &[code::LINKEDIN_URL_INVALID])
}

fn read_contacts(
    place: &str,
    contacts: &[Value],
    read: impl Fn(&str, &Map<String, Value>) -> Result<Record, ApiError>,
    skips: impl Fn(&InputError) -> bool,
) -> Result<Vec<Record>, ApiError> {
    let (mut records, mut skipped) = (Vec::with_capacity(contacts.len()), None);
    for (at, contact) in contacts.iter().enumerate() {
        let pointer = format!("{place}/{at}");
        let record = match contact {
            Value::Object(contact) => read(&pointer, contact),
            _ => Err(refused(code::TYPE, pointer, "must be an object")),
        };
        let record = match record {
            Err(ApiError::Invalid(faults)) if faults.first().is_some_and(&skips) => {
                skipped = skipped.or(faults.into_iter().next());
                continue;
            }
            record => record?,
        };
        bounded(at, &(&record.input, &record.metadata))?;
        bounded(at, &(&record.original, &record.metadata))?;
        records.push(record);
    }
    match skipped {
        Some(fault) if records.is_empty() => {
            let detail = format!(
                "has no valid contact; the first fault: {} {}",
                fault.pointer, fault.detail
            );
            Err(refused(code::DATA_EMPTY, place, detail))
        }
        _ => Ok(records),
    }
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

const DOMAIN_FAULT: &str = "must be a domain such as example.com";

const LINKEDIN_FAULT: &str =
    "must be a person's URL on LinkedIn, such as https://www.linkedin.com/in/NAME";

fn read_contact(words: &Words, at: &str, contact: &Map<String, Value>) -> Result<Record, ApiError> {
    let (mut input, mut sent) = (Map::new(), Map::new());
    for (name, value) in contact {
        if name == "custom" || name == "enrich_fields" {
            continue;
        }
        match words
            .texts
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
        let codes = [code::FIRST_NAME_EMPTY, code::LAST_NAME_EMPTY];
        for ((name, _, canonical), code) in words.texts.iter().zip(codes) {
            if known(canonical).is_none() {
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
    input.insert(
        "enrich_fields".to_owned(),
        read_fields(words, at, contact)?.into(),
    );
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
fn read_fields(
    words: &Words,
    at: &str,
    contact: &Map<String, Value>,
) -> Result<Vec<&'static str>, ApiError> {
    let pointer = format!("{at}/enrich_fields");
    let named = match contact.get("enrich_fields") {
        None | Some(Value::Null) => return Ok(words.by_default.to_vec()),
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
        if !words.fields.iter().any(|(name, _)| value == name) {
            let detail = format!(
                "is {}; it must be one of {}",
                short(&value.to_string()),
                words.fields.map(|(name, _)| name).join(", ")
            );
            return Err(refused(
                code::ENRICH_FIELD_VALUE,
                format!("{pointer}/{n}"),
                detail,
            ));
        }
    }
    let asked = |(name, _): &(&str, &str)| named.iter().any(|value| value == name);
    let fields = words.fields.into_iter().filter(asked);
    Ok(fields.map(|(_, field)| field).collect())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn a_code_of_megabytes_is_not_quoted_back_whole() {
        let long = "x".repeat(3_000_000);
        let contact = json!({"enrich_fields": [long]});
        let error = read_fields(&SECOND, "/data/0", map(&contact)).unwrap_err();
        let custom = json!({"custom": {long: 5}});
        let other = read_custom("/data/0", map(&custom), 20).unwrap_err();
        assert!(format!("{error:?}{other:?}").len() < 1000);
    }
}
