//! `FullEnrich`'s API, version 2: bulk enrichment of contacts and reverse lookup of e-mail addresses. Source: its public
//! documentation of webhooks and its `OpenAPI` 3.1 description. `shared/surfaces/fullenrich.md` says where this differs.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::{Call, Event, Reading, Route, Shown, Shows, Signing, Surface};
use crate::catalog::Catalog;
use crate::domain::delivery::{DeliveryRules, EventType};
use crate::domain::error::{ApiError, InputError, pointer_escape};
use crate::domain::ids::{JobId, TenantId};
use crate::domain::job::{Accepted, End, JobView, Status, Submission, Webhook};
use crate::domain::json;
use crate::domain::record::{Blanks, Outcome, Record, is_blank, present};
use crate::domain::signature;
use crate::domain::tenant::Caller;
use crate::domain::time::Timestamp;
use crate::surfaces::common::contact;
use crate::surfaces::common::contact::{Email, EmailStatus, Phone};
use crate::surfaces::common::message::{ApiRequest, ApiResponse};
use crate::surfaces::common::read::{bounded, object};

/// The surface.
pub const SURFACE: Surface = Surface {
    name: "fullenrich",
    operations: &[ENRICH, REVERSE],
    routes: ROUTES,
    shows: Shows::Own,
    key: ApiRequest::bearer,
    id: JobId::uuid,
    parse_id: JobId::parse_uuid,
    error,
    delivery,
    inline: End::fits_one_response,
    body: event_body,
    sign,
};

const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/api/v2/contact/enrich/bulk",
        call: Call::Submit {
            read: read_enrich,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: "/api/v2/contact/enrich/bulk/{id}",
        call: Call::Job {
            records: wants_enriched,
            show: show_enriched,
        },
    },
    Route {
        method: "POST",
        path: "/api/v2/contact/reverse/email/bulk",
        call: Call::Submit {
            read: read_reverse,
            answer: accepted,
        },
    },
    Route {
        method: "GET",
        path: "/api/v2/contact/reverse/email/bulk/{id}",
        call: Call::Job {
            records: |_, view| is(view, REVERSE),
            show: show_reversed,
        },
    },
    Route {
        method: "GET",
        path: "/api/v2/account/keys/verify",
        call: Call::Account {
            show: show_workspace,
        },
    },
    Route {
        method: "GET",
        path: "/api/v2/account/credits",
        call: Call::Account { show: show_balance },
    },
];

/// The operations, as `providers.toml` maps them.
const ENRICH: &str = "enrich";
const REVERSE: &str = "reverse_email";

/// The most contacts of a batch.
const MAX_CONTACTS: usize = 100;
/// The most keys of a contact's `custom`: the description names 20 for an enrichment and 10 for a reverse lookup.
const MAX_CUSTOM_KEYS: usize = 20;
const MAX_REVERSE_CUSTOM_KEYS: usize = 10;
/// The most characters of a value in `custom`.
const MAX_CUSTOM_CHARS: usize = 100;
/// The most characters of a batch's name. The description has no limit; what is stored with a job needs one.
const MAX_NAME_CHARS: usize = 1000;
/// What the description asks a caller to wait who polls too early, in seconds.
const READY_IN_SECONDS: u32 = 30;
/// How long an attempt to deliver may take. The description has no limit; this is the native surface's.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The wait after each failed attempt: a minute, five times.
const RETRIES: [Duration; 5] = [Duration::from_secs(60); 5];

const WORK_EMAILS: &str = "contact.work_emails";
const PERSONAL_EMAILS: &str = "contact.personal_emails";
const PHONES: &str = "contact.phones";
/// What can be asked for, and what is where nothing is named.
const FIELDS: [&str; 3] = [WORK_EMAILS, PERSONAL_EMAILS, PHONES];

/// The description's error codes, and below them those for what it has no code for.
mod code {
    pub(super) const NAME_EMPTY: &str = "error.enrichment.name.empty";
    pub(super) const DATA_EMPTY: &str = "error.enrichment.data.empty";
    pub(super) const FIRST_NAME_EMPTY: &str = "error.enrichment.first_name.empty";
    pub(super) const LAST_NAME_EMPTY: &str = "error.enrichment.last_name.empty";
    pub(super) const DOMAIN_EMPTY: &str = "error.enrichment.domain.empty";
    pub(super) const DOMAIN_INVALID: &str = "error.enrichment.domain.invalid";
    pub(super) const LINKEDIN_URL_INVALID: &str = "error.enrichment.linkedin_url.invalid";
    pub(super) const ENRICH_FIELDS_EMPTY: &str = "error.enrichment.enrich_fields.empty";
    pub(super) const ENRICH_FIELD_VALUE: &str = "error.enrichment.enrich_field.value";
    pub(super) const WEBHOOK_URL: &str = "error.enrichment.webhook_url";
    pub(super) const CUSTOM_KEYS: &str = "error.enrichment.custom.key.exceeded";
    pub(super) const CUSTOM_VALUE: &str = "error.enrichment.custom.value.exceeded";
    pub(super) const IN_PROGRESS: &str = "error.enrichment.in_progress";
    pub(super) const NOT_FOUND: &str = "error.enrichment.not_found";
    pub(super) const EMAIL_EMPTY: &str = "error.reverse.email.empty";
    pub(super) const EMAIL_INVALID: &str = "error.reverse.email.invalid";
    pub(super) const REVERSE_NOT_FOUND: &str = "error.reverse.email.not_found";
    pub(super) const NOT_SET: &str = "error.authorization.not_set";
    pub(super) const NOT_BEARER: &str = "error.authorization.not_bearer";
    pub(super) const KEY: &str = "error.api.key";

    pub(super) const NAME_EXCEEDED: &str = "error.enrichment.name.exceeded";
    pub(super) const DATA_EXCEEDED: &str = "error.enrichment.data.exceeded";
    pub(super) const CUSTOM_TYPE: &str = "error.enrichment.custom.value.type";
    pub(super) const TYPE: &str = "error.request.type";
    pub(super) const INVALID: &str = "error.request.invalid";
    pub(super) const MALFORMED: &str = "error.request.malformed";
    pub(super) const CODING: &str = "error.request.coding";
    pub(super) const TOO_LARGE: &str = "error.request.too_large";
    pub(super) const PATH: &str = "error.request.path";
    pub(super) const METHOD: &str = "error.request.method";
    pub(super) const IDEMPOTENCY_KEY: &str = "error.idempotency_key.reused";
    pub(super) const SCOPE: &str = "error.api.key.scope";
    pub(super) const CREDITS: &str = "error.credits.insufficient";
    pub(super) const RESULTS_TOO_LARGE: &str = "error.results.too_large";
    pub(super) const CONFLICT: &str = "error.conflict";
    pub(super) const UNAVAILABLE: &str = "error.unavailable";
    pub(super) const INTERNAL: &str = "error.internal";
}

fn delivery() -> DeliveryRules {
    DeliveryRules::exact(&RETRIES, TIMEOUT)
}

// Requests. One fault is answered at a time: of the batch before its contacts, of the first contact before the second.

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

fn read_enrich(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
    read_batch(request, reading, ENRICH, read_contact)
}

fn read_reverse(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
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
        ..Submission::new(SURFACE.name, reading.kind(operation), records)
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

/// A contact's texts: the name in the request, in the echo, and among a provider's inputs. The request may use the echo's
/// name as well; where it has both, its own counts.
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

/// What is asked for, each once.
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

/// Whether a text names a host of at least two labels, of whichever script; `http://` before it and a path behind it are
/// let pass, as people paste them. Lengths are those of RFC 1035, section 2.3.4.
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

/// Whether a text is an address that mail can go to, as far as its form tells. Lengths are those of RFC 5321, section
/// 4.5.3.1, and its erratum 1690.
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

/// Whether a text is the URL of a person on `LinkedIn` or its Sales Navigator; the scheme may be missing.
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

// Answers.

/// The answer to a submission, also where credits are short.
fn accepted(accepted: &Accepted, _: Timestamp) -> ApiResponse {
    match accepted {
        Accepted::Job { view, .. } => {
            ApiResponse::json(200, &json!({"enrichment_id": view.job.spec.id.uuid()}))
        }
        // Nothing on this surface asks for a price.
        Accepted::Priced { .. } => failure(
            500,
            code::INTERNAL,
            "a price was reckoned that nobody asked for",
        ),
    }
}

fn is(view: &JobView, operation: &str) -> bool {
    view.job.spec.operation.as_deref() == Some(operation)
}

fn forced(request: &ApiRequest) -> bool {
    request
        .parameter("forceResults")
        .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}

fn wants_enriched(request: &ApiRequest, view: &JobView) -> bool {
    is(view, ENRICH) && (!view.status().is_live() || forced(request))
}

fn show_enriched(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    if !is(shown.view, ENRICH) {
        return Err(ApiError::NotFound { what: "enrichment" });
    }
    if shown.view.status().is_live() && !forced(shown.request) {
        let message =
            format!("the enrichment is not finished; try again in {READY_IN_SECONDS} seconds");
        let response = failure(400, code::IN_PROGRESS, &message);
        return Ok(response.with("retry-after", READY_IN_SECONDS.to_string()));
    }
    Ok(show(shown))
}

fn show_reversed(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    if is(shown.view, REVERSE) {
        Ok(show(shown))
    } else {
        Err(ApiError::NotFound {
            what: "reverse lookup",
        })
    }
}

fn show(shown: &Shown<'_>) -> ApiResponse {
    let entries = shown.records.unwrap_or_default();
    let contacts = entries
        .iter()
        .map(|entry| (&entry.record, entry.outcome.as_ref()));
    let state = state(shown.view);
    let status = if state == CREDITS_INSUFFICIENT {
        402
    } else {
        200
    };
    let credits = if shown.view.job.status.is_live() {
        // What is shown, and not what is counted so far: the two need not have been read at the same moment.
        entries
            .iter()
            .filter_map(|entry| entry.outcome.as_ref())
            .map(|outcome| u64::from(outcome.credits))
            .sum()
    } else {
        shown.view.credits_used()
    };
    ApiResponse::json(status, &batch(shown.view, state, credits, contacts))
}

const IN_PROGRESS: &str = "IN_PROGRESS";
const CREDITS_INSUFFICIENT: &str = "CREDITS_INSUFFICIENT";

/// The surface's word for where a job stands. Its `RATE_LIMIT` and `UNKNOWN` never happen here.
fn state(view: &JobView) -> &'static str {
    match view.status() {
        Status::Queued => "CREATED",
        Status::Running | Status::Canceling | Status::Expiring => IN_PROGRESS,
        // It was stopped before its end, by us.
        Status::Canceled | Status::Expired | Status::Deleted => "CANCELED",
        Status::Completed | Status::Failed if view.job.spec.short_of_credits => {
            CREDITS_INSUFFICIENT
        }
        // A type without a provider finds nothing; the native surface says why.
        Status::Completed | Status::Failed => "FINISHED",
    }
}

/// The batch as polled and as sent.
fn batch<'a>(
    view: &JobView,
    state: &str,
    credits: u64,
    contacts: impl Iterator<Item = (&'a Record, Option<&'a Outcome>)>,
) -> Value {
    let (enriched, blanks) = (is(view, ENRICH), view.job.spec.blanks);
    let data: Vec<Value> = contacts
        .map(|(record, outcome)| entry(enriched, record, outcome, blanks))
        .collect();
    json::object([
        ("id", view.job.spec.id.uuid().into()),
        ("name", view.job.spec.name.clone().into()),
        ("status", state.into()),
        ("data", data.into()),
        ("cost", json!({"credits": credits})),
    ])
}

/// One contact; `enriched`: of an enrichment and not of a reverse lookup.
fn entry(enriched: bool, record: &Record, outcome: Option<&Outcome>, blanks: Blanks) -> Value {
    let nothing = Map::new();
    let found = outcome.map_or(&nothing, |outcome| &outcome.data);
    let mut shown = Map::new();
    shown.insert("input".to_owned(), Value::Object(record.sent().clone()));
    if let Some(custom) = &record.metadata {
        shown.insert("custom".to_owned(), Value::Object(custom.clone()));
    }
    if enriched {
        shown.insert(
            "contact_info".to_owned(),
            Value::Object(contact_info(record, found, blanks)),
        );
    }
    // The description promises an enrichment's profile for contacts with a URL on LinkedIn.
    let made = !enriched || blanks.present(&record.input, "linkedin_url").is_some();
    if let Some(profile) = profile(found, made, blanks) {
        shown.insert("profile".to_owned(), Value::Object(profile));
    }
    Value::Object(shown)
}

/// What was found of what was asked for.
fn contact_info(record: &Record, found: &Map<String, Value>, blanks: Blanks) -> Map<String, Value> {
    let asked = |field: &str| match record.input.get("enrich_fields").and_then(Value::as_array) {
        Some(fields) => fields.iter().any(|asked| asked == field),
        None => true,
    };
    // An address that nobody calls personal is taken for one at work.
    let (personal, work): (Vec<Email>, Vec<Email>) = contact::emails(found, blanks)
        .into_iter()
        .partition(|email| email.personal == Some(true));
    let phones = contact::phones(found, blanks);
    let (work, personal) = (work.as_slice(), personal.as_slice());
    let mut info = Map::new();
    let emails = [
        (WORK_EMAILS, "most_probable_work_email", work),
        (PERSONAL_EMAILS, "most_probable_personal_email", personal),
    ];
    for (_, name, emails) in emails.iter().filter(|(field, ..)| asked(field)) {
        if let Some(best) = emails.iter().min_by_key(|email| doubt(email)) {
            info.insert((*name).to_owned(), show_email(best));
        }
    }
    if let Some(best) = phones.first().filter(|_| asked(PHONES)) {
        info.insert("most_probable_phone".to_owned(), show_phone(best));
    }
    for (field, name, emails) in [
        (WORK_EMAILS, "work_emails", work),
        (PERSONAL_EMAILS, "personal_emails", personal),
    ] {
        if asked(field) && !emails.is_empty() {
            info.insert(name.to_owned(), emails.iter().map(show_email).collect());
        }
    }
    if asked(PHONES) && !phones.is_empty() {
        info.insert("phones".to_owned(), phones.iter().map(show_phone).collect());
    }
    info
}

/// How much there is to doubt about an address, 0 the least; of equals the first is the most probable.
fn doubt(email: &Email) -> u8 {
    match email.status {
        Some(EmailStatus::Deliverable) => 0,
        Some(EmailStatus::HighProbability) => 1,
        Some(EmailStatus::CatchAll) => 2,
        None => 3,
        Some(EmailStatus::Risky) => 4,
        Some(EmailStatus::Invalid) => 5,
        Some(EmailStatus::InvalidDomain) => 6,
    }
}

fn show_email(email: &Email) -> Value {
    let status = email.status.map(|status| match status {
        EmailStatus::Deliverable => "DELIVERABLE",
        EmailStatus::HighProbability => "HIGH_PROBABILITY",
        // The description has no word for risky. Of its words this one says that nobody can tell.
        EmailStatus::CatchAll | EmailStatus::Risky => "CATCH_ALL",
        EmailStatus::Invalid => "INVALID",
        EmailStatus::InvalidDomain => "INVALID_DOMAIN",
    });
    match status {
        Some(status) => json!({"email": email.address, "status": status}),
        None => json!({"email": email.address}),
    }
}

fn show_phone(phone: &Phone) -> Value {
    match &phone.region {
        Some(region) => json!({"number": phone.number, "region": region}),
        None => json!({"number": phone.number}),
    }
}

/// The person: as a provider gave it, or where `made`, from what was found in single fields.
fn profile(found: &Map<String, Value>, made: bool, blanks: Blanks) -> Option<Map<String, Value>> {
    if let Some(Value::Object(profile)) = found.get("profile") {
        return Some(profile.clone());
    }
    if !made {
        return None;
    }
    let pick = |names: &[(&str, &str)]| -> Map<String, Value> {
        let text = |name: &str| {
            blanks
                .present(found, name)
                .filter(|v| v.as_str().is_some_and(|text| !text.is_empty()))
        };
        names
            .iter()
            .filter_map(|(from, to)| Some(((*to).to_owned(), text(from)?.clone())))
            .collect()
    };
    let same =
        |names: &[&'static str]| pick(&names.iter().map(|name| (*name, *name)).collect::<Vec<_>>());
    let mut profile = same(&["full_name", "first_name", "last_name", "headline"]);
    for (name, fits) in [
        ("location", Value::is_object as fn(&Value) -> bool),
        ("social_profiles", Value::is_object),
        ("educations", Value::is_array),
        ("languages", Value::is_array),
        ("skills", Value::is_array),
        ("employment", Value::is_object),
    ] {
        if let Some(value) = found.get(name).filter(|value| fits(value)) {
            profile.insert(name.to_owned(), value.clone());
        }
    }
    let add = |profile: &mut Map<String, Value>, name: &str, value: Map<String, Value>| {
        if !value.is_empty() && !profile.contains_key(name) {
            profile.insert(name.to_owned(), Value::Object(value));
        }
    };
    add(
        &mut profile,
        "location",
        same(&["country", "country_code", "city", "region"]),
    );
    let mut network = Map::new();
    add(
        &mut network,
        "professional_network",
        pick(&[("linkedin_url", "url")]),
    );
    add(&mut profile, "social_profiles", network);
    let (mut employment, mut current) = (Map::new(), pick(&[("title", "title")]));
    add(
        &mut current,
        "company",
        pick(&[
            ("company_name", "name"),
            ("domain", "domain"),
            ("website", "website"),
        ]),
    );
    if !current.is_empty() {
        current.insert("is_current".to_owned(), true.into());
    }
    add(&mut employment, "current", current);
    add(&mut profile, "employment", employment);
    Some(profile).filter(|profile| !profile.is_empty())
}

/// The namespace of workspace ids, a random UUID.
const WORKSPACES: [u8; 16] = [
    0x6f, 0x1d, 0x3c, 0x52, 0x0b, 0x7e, 0x4a, 0x95, 0x9c, 0x1f, 0x2e, 0xd8, 0x47, 0xa6, 0x30, 0xb1,
];

/// A tenant's id as a UUID of version 5. Source: RFC 9562, section 5.5.
fn workspace(tenant: &TenantId) -> String {
    let digest = Sha1::new()
        .chain_update(WORKSPACES)
        .chain_update(tenant.as_str())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = 0x50 | (bytes[6] & 0x0F);
    bytes[8] = 0x80 | (bytes[8] & 0x3F);
    let hex = hex::encode(bytes);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

fn show_workspace(caller: &Caller, _: &Catalog) -> ApiResponse {
    ApiResponse::json(200, &json!({"workspace_id": workspace(caller.tenant())}))
}

fn show_balance(caller: &Caller, _: &Catalog) -> ApiResponse {
    ApiResponse::json(200, &json!({"balance": caller.balance}))
}

// Events.

/// The body of an event: what the poll answers, or of one contact the same around it alone.
fn event_body(event: &Event<'_>) -> Vec<u8> {
    let lines = event
        .results
        .map(|lines| lines.iter().map(|line| (&line.record, Some(&line.outcome))));
    let body = match (event.job, lines) {
        (None, _) => json!({"status": "UNKNOWN", "data": [], "cost": {"credits": 0}}),
        (Some(view), Some(lines)) if event.kind == EventType::RecordFinished => {
            let credits = event
                .results
                .unwrap_or_default()
                .iter()
                .map(|line| u64::from(line.outcome.credits))
                .sum();
            batch(view, IN_PROGRESS, credits, lines)
        }
        (Some(view), Some(lines)) => batch(view, state(view), view.credits_used(), lines),
        (Some(view), None) => {
            let results_url = view.results_url();
            let mut body = batch(view, state(view), view.credits_used(), std::iter::empty());
            if let Some(members) = body.as_object_mut() {
                members.shift_remove("data");
                members.insert("code".to_owned(), code::RESULTS_TOO_LARGE.into());
                members.insert("message".to_owned(), too_large(&results_url).into());
            }
            body
        }
    };
    body.to_string().into_bytes()
}

/// Hex HMAC-SHA1 of the body under the secret's text. There is room for one value: while a secret is being replaced it is
/// the old one's, which every receiver knows.
fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    let mut headers = signature::headers(signing.secrets, signing.id, signing.at, signing.body);
    if let Some(mac) = signing
        .secrets
        .last()
        .and_then(|s| Hmac::<Sha1>::new_from_slice(s.reveal().as_bytes()).ok())
    {
        let digest = mac.chain_update(signing.body).finalize().into_bytes();
        headers.push(("x-signature-sha1".to_owned(), hex::encode(digest)));
    }
    headers
}

// Errors.

fn failure(status: u16, code: &str, message: &str) -> ApiResponse {
    ApiResponse::json(status, &json!({"code": code, "message": message}))
}

fn too_large(results_url: &str) -> String {
    format!("the results do not fit one answer; read them page by page from {results_url}")
}

fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let (status, code, message) = describe(error, request);
    failure(status, code, &message)
}

fn describe(error: &ApiError, request: &ApiRequest) -> (u16, &'static str, String) {
    match error {
        ApiError::Unauthorized => {
            let (code, message) = unauthorized(request);
            (401, code, message.to_owned())
        }
        ApiError::Forbidden { needs } => (403, code::SCOPE, format!("the key lacks the scope {needs}")),
        ApiError::NotFound { what: "path" } => (404, code::PATH, "there is no such path".to_owned()),
        ApiError::NotFound { .. } if request.path.starts_with("/api/v2/contact/reverse/") => {
            (404, code::REVERSE_NOT_FOUND, "there is no reverse lookup with this id".to_owned())
        }
        ApiError::NotFound { .. } => (404, code::NOT_FOUND, "there is no enrichment with this id".to_owned()),
        ApiError::MethodNotAllowed { allow } => (405, code::METHOD, format!("this path takes {}", allow.join(" and "))),
        ApiError::Malformed { detail } => (400, code::MALFORMED, detail.clone()),
        ApiError::Invalid(faults) => match faults.first() {
            None => (400, code::INVALID, "the request is not valid".to_owned()),
            Some(fault) => (400, fault.code.unwrap_or(code::INVALID), format!("{} {}", fault.pointer, fault.detail)),
        },
        ApiError::Coding { detail } => (415, code::CODING, detail.clone()),
        ApiError::TooLarge { detail } => (413, code::TOO_LARGE, detail.clone()),
        ApiError::IdempotencyMismatch => (
            422,
            code::IDEMPOTENCY_KEY,
            "this Idempotency-Key came before with another request; use a new one for a new request".to_owned(),
        ),
        ApiError::NotEnoughCredits { needed, available } => {
            (402, code::CREDITS, format!("up to {needed} credits are needed and {available} are free"))
        }
        ApiError::ResultsTooLarge { results_url } => (413, code::RESULTS_TOO_LARGE, too_large(results_url)),
        ApiError::Conflict { detail } => (409, code::CONFLICT, detail.clone()),
        ApiError::Unavailable { retry_after_seconds } => {
            (503, code::UNAVAILABLE, format!("try again in {retry_after_seconds} s, with the same Idempotency-Key"))
        }
        ApiError::Internal => {
            let message = format!("this is a fault of ours; report it with request {}", request.request_id);
            (500, code::INTERNAL, message)
        }
    }
}

fn unauthorized(request: &ApiRequest) -> (&'static str, &'static str) {
    let header = request.header("authorization").unwrap_or_default();
    let scheme = header.split_whitespace().next();
    match scheme {
        None => (
            code::NOT_SET,
            "the header Authorization is missing; send `Authorization: Bearer KEY`",
        ),
        Some(scheme) if !scheme.eq_ignore_ascii_case("bearer") => (
            code::NOT_BEARER,
            "the header Authorization is not of the scheme Bearer; send `Authorization: Bearer KEY`",
        ),
        Some(_) => (code::KEY, "this API key is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signature::Secret;

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
    fn the_least_doubtful_address_is_the_most_probable() {
        let record = Record::default();
        let best = |statuses: &[Value]| {
            let emails = (0..)
                .zip(statuses)
                .map(|(n, s)| json!({"email": format!("{n}@x.example"), "status": s}));
            let info = contact_info(
                &record,
                map(&json!({"work_emails": emails.collect::<Vec<_>>()})),
                Blanks::Absent,
            );
            (
                info["most_probable_work_email"].clone(),
                info["work_emails"].as_array().unwrap().len(),
            )
        };
        let email =
            |n: u8, status: &str| json!({"email": format!("{n}@x.example"), "status": status});
        let (none, words) = (Value::Null, |words: &[&str]| {
            words.iter().map(|w| json!(w)).collect::<Vec<_>>()
        });
        assert_eq!(
            best(&words(&["invalid", "probable", "ok", "ok"])),
            (email(2, "DELIVERABLE"), 4)
        );
        assert_eq!(
            best(&words(&["invalid_domain", "invalid"])),
            (email(1, "INVALID"), 2)
        );
        assert_eq!(
            best(&words(&["risky", "catch-all"])),
            (email(1, "CATCH_ALL"), 2)
        );
        assert_eq!(
            best(&words(&["invalid", "risky"])),
            (email(1, "CATCH_ALL"), 2)
        );
        assert_eq!(
            best(&[none, json!("risky")]).0,
            json!({"email": "0@x.example"}),
            "without a status it has none"
        );
    }

    #[test]
    fn a_profile_is_passed_on_or_made_of_single_fields() {
        let given = json!({"full_name": "A B", "connection_count": 7.50, "odd": null});
        assert_eq!(
            profile(
                map(&json!({"profile": given, "title": "CEO"})),
                false,
                Blanks::Absent
            )
            .as_ref(),
            Some(map(&given))
        );
        let found = json!({
            "full_name": "A B", "headline": "", "first_name": 7, "title": "CEO", "company_name": "C", "domain": "c.example",
            "country": "France", "linkedin_url": "https://www.linkedin.com/in/x", "skills": ["a"], "languages": "French",
            "work_email": "a@c.example",
        });
        let made = json!({
            "full_name": "A B", "skills": ["a"], "location": {"country": "France"},
            "social_profiles": {"professional_network": {"url": "https://www.linkedin.com/in/x"}},
            "employment": {"current": {"title": "CEO", "company": {"name": "C", "domain": "c.example"}, "is_current": true}},
        });
        assert_eq!(
            profile(map(&found), true, Blanks::Absent).map(Value::Object),
            Some(made)
        );
        assert_eq!(profile(map(&found), false, Blanks::Absent), None);
        assert_eq!(
            profile(
                map(&json!({"work_email": "a@c.example"})),
                true,
                Blanks::Absent
            ),
            None
        );
        let whole = json!({"location": {"city": "Paris"}, "country": "France", "employment": {"all": []}, "title": "CEO"});
        let made = json!({"location": {"city": "Paris"}, "employment": {"all": []}});
        assert_eq!(
            profile(map(&whole), true, Blanks::Absent).map(Value::Object),
            Some(made),
            "what is whole is not made anew"
        );
    }

    #[test]
    fn a_workspace_is_a_uuid_of_version_5() {
        // Python: uuid.uuid5(uuid.UUID("6f1d3c52-0b7e-4a95-9c1f-2ed847a630b1"), "acme")
        assert_eq!(
            workspace(&TenantId::parse("acme").unwrap()),
            "785f933c-158e-5b7d-89c2-8408b561419d"
        );
    }

    #[test]
    fn the_body_is_signed_with_the_text_of_the_oldest_secret() {
        let (new, old) = (
            Secret::new(&[7; 32]),
            Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap(),
        );
        let signing = Signing {
            secrets: &[&new, &old],
            id: "evt_1",
            event: EventType::JobCompleted,
            attempt: 1,
            at: Timestamp(0),
            body: br#"{"name":"a"}"#,
        };
        let headers = sign(&signing);
        let value = |name: &str| {
            headers
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
        };
        // printf '{"name":"a"}' | openssl dgst -sha1 -hmac whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
        assert_eq!(
            value("x-signature-sha1"),
            Some("b7cc4f5b932f2c452945f8e0deaea476d0b41b01")
        );
        assert_eq!(
            value("webhook-signature").map(|v| v.split(' ').count()),
            Some(2)
        );
        let none = sign(&Signing {
            secrets: &[],
            ..signing
        });
        assert!(
            !none.iter().any(|(name, _)| name == "x-signature-sha1"),
            "no secret, no signature"
        );
    }

    #[test]
    fn every_error_is_a_code_and_a_message() {
        let request = |path: &str| ApiRequest {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            request_id: "req-1".to_owned(),
        };
        for (fault, status, code) in [
            (ApiError::Unauthorized, 401, "error.authorization.not_set"),
            (
                ApiError::Forbidden { needs: "write" },
                403,
                "error.api.key.scope",
            ),
            (
                ApiError::NotFound { what: "job" },
                404,
                "error.enrichment.not_found",
            ),
            (
                ApiError::MethodNotAllowed {
                    allow: vec!["POST"],
                },
                405,
                "error.request.method",
            ),
            (
                ApiError::Malformed {
                    detail: "d".to_owned(),
                },
                400,
                "error.request.malformed",
            ),
            (
                ApiError::invalid("Idempotency-Key", "d"),
                400,
                "error.request.invalid",
            ),
            (ApiError::Invalid(Vec::new()), 400, "error.request.invalid"),
            (
                ApiError::TooLarge {
                    detail: "d".to_owned(),
                },
                413,
                "error.request.too_large",
            ),
            (
                ApiError::IdempotencyMismatch,
                422,
                "error.idempotency_key.reused",
            ),
            (
                ApiError::NotEnoughCredits {
                    needed: 2,
                    available: 1,
                },
                402,
                "error.credits.insufficient",
            ),
            (
                ApiError::ResultsTooLarge {
                    results_url: "/v1/jobs/x/results".to_owned(),
                },
                413,
                "error.results.too_large",
            ),
            (
                ApiError::Conflict {
                    detail: "d".to_owned(),
                },
                409,
                "error.conflict",
            ),
            (
                ApiError::Unavailable {
                    retry_after_seconds: 3,
                },
                503,
                "error.unavailable",
            ),
            (ApiError::Internal, 500, "error.internal"),
        ] {
            let response = error(&fault, &request("/api/v2/contact/enrich/bulk/x"));
            let body: Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(
                (response.status, &body["code"]),
                (status, &json!(code)),
                "{fault:?}"
            );
            assert!(
                body["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
                    && map(&body).len() == 2,
                "{body}"
            );
        }
        let missing = describe(
            &ApiError::NotFound { what: "job" },
            &request("/api/v2/contact/reverse/email/bulk/x"),
        );
        assert_eq!(
            (missing.0, missing.1),
            (404, "error.reverse.email.not_found")
        );
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
