//! The answers: a batch as it is polled, and the account.

use serde::Serialize;
use serde_json::{Map, Value};
use sha1::{Digest, Sha1};

use super::code;
use super::error::{Failure, failure};
use super::request::{PERSONAL_EMAILS, PHONES, WORK_EMAILS, is_set};
use super::settings::shows_running;
use super::version::{ENRICH, REVERSE, is};
use crate::catalog::Catalog;
use crate::domain::error::ApiError;
use crate::domain::ids::TenantId;
use crate::domain::job::{Accepted, JobView, Status};
use crate::domain::record::{Blanks, Outcome, Record};
use crate::domain::tenant::Caller;
use crate::domain::time::Timestamp;
use crate::surfaces::Shown;
use crate::surfaces::common::contact;
use crate::surfaces::common::contact::{Email, EmailStatus, Phone};
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

/// The wait that the description asks of a caller who polls too early, in seconds.
const READY_IN_SECONDS: u32 = 30;

/// An enrichment that was taken on.
#[derive(Debug, Serialize)]
struct Started {
    enrichment_id: String,
}

/// Answers a submission, also if credits are short.
pub(super) fn accepted(accepted: &Accepted, _: Timestamp) -> ApiResponse {
    match accepted {
        Accepted::Job { view, .. } => {
            let enrichment_id = view.job.spec.id.uuid();
            ApiResponse::json(200, &Started { enrichment_id })
        }
        // Nothing on this surface asks for a price.
        Accepted::Priced { .. } => failure(500, code::INTERNAL, "this surface has no dry run"),
    }
}

pub(super) fn is_forced(request: &ApiRequest) -> bool {
    is_set(request, "forceResults")
}

pub(super) fn wants_enriched(request: &ApiRequest, view: &JobView) -> bool {
    is(view, ENRICH) && (!view.status().is_live() || is_forced(request))
}

pub(super) fn show_enriched(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    if !is(shown.view, ENRICH) {
        return Err(ApiError::NotFound { what: "enrichment" });
    }
    if shown.view.status().is_live() && !is_forced(shown.request) {
        if shows_running(&shown.view.job.spec) {
            return Ok(ApiResponse::json(200, &running(shown.view)));
        }
        let message =
            format!("the enrichment is not finished; try again in {READY_IN_SECONDS} seconds");
        let response = failure(400, code::IN_PROGRESS, message);
        return Ok(response.with("retry-after", READY_IN_SECONDS.to_string()));
    }
    Ok(show(shown))
}

pub(super) fn show_reversed(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    if is(shown.view, REVERSE) {
        Ok(show(shown))
    } else {
        Err(ApiError::NotFound {
            what: "reverse lookup",
        })
    }
}

/// Shows a batch that is running without its contacts.
fn running(view: &JobView) -> Batch<'_> {
    Batch {
        data: None,
        ..batch(view, IN_PROGRESS, view.credits_used(), std::iter::empty())
    }
}

fn show(shown: &Shown<'_>) -> ApiResponse {
    let (status, state, credits) = standing(shown);
    ApiResponse::json(status, &batch(shown.view, state, credits, contacts(shown)))
}

/// Returns the contacts of an answer, with what was found.
pub(super) fn contacts<'a>(
    shown: &Shown<'a>,
) -> impl Iterator<Item = (&'a Record, Option<&'a Outcome>)> {
    let entries = shown.records.unwrap_or_default();
    entries
        .iter()
        .map(|entry| (&entry.record, entry.outcome.as_ref()))
}

/// Returns the status of an answer, the state of the batch, and its cost.
pub(super) fn standing(shown: &Shown<'_>) -> (u16, &'static str, u64) {
    let state = state(shown.view);
    let status = if state == CREDITS_INSUFFICIENT {
        402
    } else {
        200
    };
    let credits = if shown.view.job.status.is_live() {
        // What is shown, and not what is counted so far: the two need not have been read at the
        // same moment.
        contacts(shown)
            .filter_map(|(_, outcome)| outcome)
            .map(|outcome| u64::from(outcome.credits))
            .sum()
    } else {
        shown.view.credits_used()
    };
    (status, state, credits)
}

pub(super) const IN_PROGRESS: &str = "IN_PROGRESS";

const CREDITS_INSUFFICIENT: &str = "CREDITS_INSUFFICIENT";

/// Returns the surface's word for the state of a job. Its `RATE_LIMIT` and `UNKNOWN` never happen
/// here.
pub(super) fn state(view: &JobView) -> &'static str {
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
#[derive(Debug, Serialize)]
pub(super) struct Batch<'a> {
    id: String,
    name: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<Vec<Contact<'a>>>,
    cost: Cost,
    /// The reason why the contacts are not there.
    #[serde(flatten)]
    pub(super) failure: Option<Failure>,
}

#[derive(Debug, Serialize)]
pub(super) struct Cost {
    pub(super) credits: u64,
}

/// One contact.
#[derive(Debug, Serialize)]
pub(super) struct Contact<'a> {
    input: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<&'a Map<String, Value>>,
    /// Of an enrichment, and not of a reverse lookup.
    #[serde(skip_serializing_if = "Option::is_none")]
    contact_info: Option<ContactInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Map<String, Value>>,
}

/// The requested fields that were found.
#[derive(Debug, Default, Serialize)]
pub(super) struct ContactInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) most_probable_work_email: Option<ShownEmail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) most_probable_personal_email: Option<ShownEmail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) most_probable_phone: Option<ShownPhone>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) work_emails: Vec<ShownEmail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) personal_emails: Vec<ShownEmail>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) phones: Vec<ShownPhone>,
}

impl ContactInfo {
    fn forget_phone_details(&mut self) {
        let most = self.most_probable_phone.iter_mut();
        most.chain(&mut self.phones)
            .for_each(|phone| phone.details.clear());
    }
}

#[derive(Debug, Serialize)]
pub(super) struct ShownEmail {
    pub(super) email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct ShownPhone {
    pub(super) number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<String>,
    /// The other details that a provider gave.
    #[serde(flatten)]
    pub(super) details: Map<String, Value>,
}

/// Shows a batch with these contacts.
pub(super) fn batch<'a>(
    view: &'a JobView,
    state: &'static str,
    credits: u64,
    contacts: impl Iterator<Item = (&'a Record, Option<&'a Outcome>)>,
) -> Batch<'a> {
    let (enriched, blanks) = (is(view, ENRICH), view.job.spec.blanks);
    let mut data: Vec<_> = contacts
        .map(|(record, outcome)| entry(enriched, record, outcome, blanks))
        .collect();
    if !view.job.spec.phone_details {
        let infos = data.iter_mut().filter_map(|c| c.contact_info.as_mut());
        infos.for_each(ContactInfo::forget_phone_details);
    }
    Batch {
        id: view.job.spec.id.uuid(),
        name: view.job.spec.name.as_deref(),
        status: state,
        data: Some(data),
        cost: Cost { credits },
        failure: None,
    }
}

/// Shows one contact; `enriched`: of an enrichment and not of a reverse lookup.
fn entry<'a>(
    enriched: bool,
    record: &'a Record,
    outcome: Option<&Outcome>,
    blanks: Blanks,
) -> Contact<'a> {
    let nothing = Map::new();
    let found = outcome.map_or(&nothing, |outcome| &outcome.data);
    let made = makes_profile(enriched, record, blanks);
    Contact {
        input: record.sent(),
        custom: record.metadata.as_ref(),
        contact_info: enriched.then(|| contact_info(record, found, blanks)),
        profile: profile(found, made, blanks),
    }
}

/// Returns whether a profile is made of single fields: the description promises an enrichment's for
/// contacts with a URL on `LinkedIn`.
pub(super) fn makes_profile(enriched: bool, record: &Record, blanks: Blanks) -> bool {
    !enriched || blanks.present(&record.input, "linkedin_url").is_some()
}

/// Shows the requested fields that were found.
pub(super) fn contact_info(
    record: &Record,
    found: &Map<String, Value>,
    blanks: Blanks,
) -> ContactInfo {
    let asked = |field: &str| match record.input.get("enrich_fields").and_then(Value::as_array) {
        Some(fields) => fields.iter().any(|asked| asked == field),
        None => true,
    };
    // An address that is not called personal is taken for one at work.
    let (mut personal, mut work): (Vec<Email>, Vec<Email>) = contact::emails(found, blanks)
        .into_iter()
        .partition(|email| email.personal == Some(true));
    let mut phones = contact::phones(found, blanks);
    if !asked(WORK_EMAILS) {
        work.clear();
    }
    if !asked(PERSONAL_EMAILS) {
        personal.clear();
    }
    if !asked(PHONES) {
        phones.clear();
    }
    let best = |emails: &[Email]| {
        emails
            .iter()
            .min_by_key(|email| doubt(email))
            .map(show_email)
    };
    ContactInfo {
        most_probable_work_email: best(&work),
        most_probable_personal_email: best(&personal),
        most_probable_phone: phones.first().map(show_phone),
        work_emails: work.iter().map(show_email).collect(),
        personal_emails: personal.iter().map(show_email).collect(),
        phones: phones.iter().map(show_phone).collect(),
    }
}

/// Returns how much there is to doubt about an address, 0 the least; of equals the first is the
/// most probable.
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

fn show_email(email: &Email) -> ShownEmail {
    let status = email.status.map(|status| match status {
        EmailStatus::Deliverable => "DELIVERABLE",
        EmailStatus::HighProbability => "HIGH_PROBABILITY",
        // The description has no word for risky. Of its words this one says that it is not known.
        EmailStatus::CatchAll | EmailStatus::Risky => "CATCH_ALL",
        EmailStatus::Invalid => "INVALID",
        EmailStatus::InvalidDomain => "INVALID_DOMAIN",
    });
    let email = email.address.clone();
    ShownEmail { email, status }
}

fn show_phone(phone: &Phone) -> ShownPhone {
    let mut details = phone.details.clone();
    if let Some(Value::String(kind)) = details.get_mut("line_type") {
        *kind = line_type(kind).to_owned();
    }
    ShownPhone {
        number: phone.number.clone(),
        region: phone.region.clone(),
        details,
    }
}

/// The vendor's word for a kind of line, of the words of several providers.
fn line_type(text: &str) -> &'static str {
    let word = text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    match word.as_str() {
        "mobile" | "cell" | "cellular" => "MOBILE",
        "landline" | "fixed_line" | "fixed" => "LANDLINE",
        "voip" | "non_fixed_voip" | "fixed_voip" => "VOIP",
        _ => "UNKNOWN",
    }
}

/// Returns the person: as a provider gave it, or if `made`, from fields that were found.
pub(super) fn profile(
    found: &Map<String, Value>,
    made: bool,
    blanks: Blanks,
) -> Option<Map<String, Value>> {
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

/// Returns a tenant's id as a UUID of version 5. Source: RFC 9562, section 5.5.
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

#[derive(Debug, Serialize)]
struct Workspace {
    workspace_id: String,
}

#[derive(Debug, Serialize)]
struct Balance {
    balance: i64,
}

pub(super) fn show_workspace(caller: &Caller, _: &Catalog) -> ApiResponse {
    let workspace_id = workspace(caller.tenant());
    ApiResponse::json(200, &Workspace { workspace_id })
}

pub(super) fn show_balance(caller: &Caller, _: &Catalog) -> ApiResponse {
    let balance = caller.balance;
    ApiResponse::json(200, &Balance { balance })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> &Map<String, Value> {
        value.as_object().unwrap()
    }

    #[test]
    fn the_least_doubtful_address_is_the_most_probable() {
        let record = Record::default();
        let best = |statuses: &[Value]| {
            let emails = (0..)
                .zip(statuses)
                .map(|(n, s)| json!({"email": format!("{n}@x.example"), "status": s}));
            let info = json!(contact_info(
                &record,
                map(&json!({"work_emails": emails.collect::<Vec<_>>()})),
                Blanks::Absent,
            ));
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
            "full_name": "A B", "headline": "", "first_name": 7, "title": "CEO",
            "company_name": "C", "domain": "c.example",
            "country": "France", "linkedin_url": "https://www.linkedin.com/in/x",
            "skills": ["a"], "languages": "French", "work_email": "a@c.example",
        });
        let made = json!({
            "full_name": "A B", "skills": ["a"], "location": {"country": "France"},
            "social_profiles": {"professional_network": {"url": "https://www.linkedin.com/in/x"}},
            "employment": {"current": {"title": "CEO",
                "company": {"name": "C", "domain": "c.example"}, "is_current": true}},
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
        let whole = json!({"location": {"city": "Paris"}, "country": "France",
            "employment": {"all": []}, "title": "CEO"});
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
}
