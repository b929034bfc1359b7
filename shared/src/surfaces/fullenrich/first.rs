//! The answers and events of version 1: a batch as it is polled and as it is sent.

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::Failure;
use super::response::{
    ContactInfo, Cost, IN_PROGRESS, ShownEmail, ShownPhone, contact_info, contacts, is_forced,
    makes_profile, profile, standing,
};
use super::version::{ENRICH, REVERSE, is};
use crate::domain::error::ApiError;
use crate::domain::job::JobView;
use crate::domain::record::{Blanks, Outcome, Record};
use crate::surfaces::Shown;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

fn wants(request: &ApiRequest, view: &JobView) -> bool {
    !view.status().is_live() || is_forced(request)
}

pub(super) fn wants_enriched(request: &ApiRequest, view: &JobView) -> bool {
    is(view, ENRICH) && wants(request, view)
}

pub(super) fn wants_reversed(request: &ApiRequest, view: &JobView) -> bool {
    is(view, REVERSE) && wants(request, view)
}

pub(super) fn show_enriched(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    show(shown, ENRICH)
}

pub(super) fn show_reversed(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    show(shown, REVERSE)
}

/// Shows a batch; while it runs without its contacts, unless the caller forces them.
fn show(shown: &Shown<'_>, operation: &str) -> Result<ApiResponse, ApiError> {
    let view = shown.view;
    if !is(view, operation) {
        return Err(ApiError::NotFound { what: "enrichment" });
    }
    if wants(shown.request, view) {
        let (status, state, credits) = standing(shown);
        let shown = batch(view, state, credits, contacts(shown));
        return Ok(ApiResponse::json(status, &shown));
    }
    let running = Batch {
        datas: None,
        ..batch(view, IN_PROGRESS, view.credits_used(), std::iter::empty())
    };
    Ok(ApiResponse::json(200, &running))
}

/// The batch as polled and as sent.
#[derive(Debug, Serialize)]
pub(super) struct Batch<'a> {
    id: String,
    name: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) datas: Option<Vec<Entry<'a>>>,
    cost: Cost,
    /// The reason why the contacts are not there.
    #[serde(flatten)]
    pub(super) failure: Option<Failure>,
}

/// One contact with what its sender added.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a> {
    /// The address of a reverse lookup.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    contact: Contact,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<&'a Map<String, Value>>,
}

/// One contact. What is not known is an empty text or an empty list.
#[derive(Debug, Serialize)]
struct Contact {
    firstname: String,
    lastname: String,
    domain: String,
    most_probable_email: String,
    most_probable_email_status: &'static str,
    most_probable_personal_email: String,
    most_probable_personal_email_status: &'static str,
    most_probable_phone: String,
    emails: Vec<ShownEmail>,
    personal_emails: Vec<ShownEmail>,
    phones: Vec<ShownPhone>,
    social_medias: Vec<SocialMedia>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

#[derive(Debug, Serialize)]
struct SocialMedia {
    url: String,
    r#type: &'static str,
}

/// The person on `LinkedIn`.
#[derive(Debug, Serialize)]
struct Profile {
    #[serde(flatten)]
    network: Network,
    firstname: String,
    lastname: String,
    /// Not known here.
    sales_navigator_id: &'static str,
    /// Not known here.
    premium_account: bool,
    summary: String,
    headline: String,
    location: String,
    position: Position,
}

/// A page of a person or a company on `LinkedIn`.
#[derive(Debug, Serialize)]
struct Network {
    #[serde(skip_serializing_if = "Option::is_none")]
    linkedin_id: Option<Value>,
    linkedin_url: String,
    linkedin_handle: String,
}

#[derive(Debug, Serialize)]
struct Position {
    title: String,
    description: String,
    start_at: Option<Month>,
    end_at: Option<Month>,
    company: Company,
}

#[derive(Debug, Serialize, PartialEq, Eq)]
struct Month {
    month: u8,
    year: u16,
}

#[derive(Debug, Serialize)]
struct Company {
    #[serde(flatten)]
    network: Network,
    name: String,
    description: String,
    website: String,
    domain: String,
    industry: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    year_founded: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headcount: Option<Value>,
    headcount_range: String,
    headquarters: Headquarters,
}

#[derive(Debug, Serialize)]
struct Headquarters {
    region: String,
    city: String,
    country: String,
    country_code: String,
    postal_code: Option<String>,
    address_line_1: String,
    address_line_2: String,
}

/// Shows a batch with these contacts.
pub(super) fn batch<'a>(
    view: &'a JobView,
    state: &'static str,
    credits: u64,
    contacts: impl Iterator<Item = (&'a Record, Option<&'a Outcome>)>,
) -> Batch<'a> {
    let (enriched, blanks) = (is(view, ENRICH), view.job.spec.blanks);
    let datas = contacts.map(|(record, outcome)| entry(enriched, record, outcome, blanks));
    Batch {
        id: view.job.spec.id.uuid(),
        name: view.job.spec.name.as_deref(),
        status: state,
        datas: Some(datas.collect()),
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
) -> Entry<'a> {
    let nothing = Map::new();
    let found = outcome.map_or(&nothing, |outcome| &outcome.data);
    let person = profile(found, makes_profile(enriched, record, blanks), blanks);
    let person = person.map(Value::Object);
    let info = if enriched {
        contact_info(record, found, blanks)
    } else {
        ContactInfo::default()
    };
    let sent = |name: &str| record.sent().get(name).and_then(Value::as_str);
    Entry {
        input: sent("email").filter(|_| !enriched),
        contact: contact(record, person.as_ref().unwrap_or(&Value::Null), info),
        custom: record.metadata.as_ref(),
    }
}

/// The member at the end of this path.
fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name))
}

/// The text at the end of this path, or an empty one.
fn text(value: &Value, path: &[&str]) -> String {
    let text = at(value, path).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The number at the end of this path, as it was given.
fn number(value: &Value, path: &[&str]) -> Option<Value> {
    at(value, path).filter(|value| value.is_number()).cloned()
}

/// The first of two texts that says something.
fn either(first: Option<&str>, second: String) -> String {
    first
        .filter(|text| !text.is_empty())
        .map_or(second, str::to_owned)
}

fn contact(record: &Record, person: &Value, info: ContactInfo) -> Contact {
    let known = |name: &str| record.input.get(name).and_then(Value::as_str);
    let employment = employment(person);
    let best = |email: Option<ShownEmail>| match email {
        Some(email) => (email.email, email.status.unwrap_or_default()),
        None => (String::new(), ""),
    };
    let (most_probable_email, most_probable_email_status) = best(info.most_probable_work_email);
    let (most_probable_personal_email, most_probable_personal_email_status) =
        best(info.most_probable_personal_email);
    let url = text(person, &["social_profiles", "professional_network", "url"]);
    Contact {
        firstname: either(known("first_name"), text(person, &["first_name"])),
        lastname: either(known("last_name"), text(person, &["last_name"])),
        domain: either(known("domain"), text(&employment, &["company", "domain"])),
        most_probable_email,
        most_probable_email_status,
        most_probable_personal_email,
        most_probable_personal_email_status,
        most_probable_phone: info
            .most_probable_phone
            .map_or_else(String::new, |phone| phone.number),
        emails: info.work_emails,
        personal_emails: info.personal_emails,
        phones: info.phones,
        social_medias: (!url.is_empty())
            .then_some(SocialMedia {
                url,
                r#type: "LINKEDIN",
            })
            .into_iter()
            .collect(),
        profile: person.is_object().then(|| profile_of(person, &employment)),
    }
}

/// The current employment. Where it has a title alone, the rest is that of the first of all.
fn employment(person: &Value) -> Value {
    let current = at(person, &["employment", "current"]).and_then(Value::as_object);
    let all = at(person, &["employment", "all"]).and_then(Value::as_array);
    let first = all.and_then(|all| all.first()).and_then(Value::as_object);
    let mut shown = first.cloned().unwrap_or_default();
    let titled = |current: &Map<String, Value>| {
        let title = current.get("title").and_then(Value::as_str);
        title.is_some_and(|title| !title.is_empty())
    };
    if let Some(current) = current.filter(|current| first.is_none() || titled(current)) {
        let given = current.iter().filter(|(_, value)| !value.is_null());
        shown.extend(given.map(|(name, value)| (name.clone(), value.clone())));
    }
    Value::Object(shown)
}

fn network(of: &Value) -> Network {
    let page = at(of, &["social_profiles", "professional_network"]).unwrap_or(&Value::Null);
    Network {
        linkedin_id: page.get("id").filter(|id| !id.is_null()).cloned(),
        linkedin_url: text(page, &["url"]),
        linkedin_handle: text(page, &["handle"]),
    }
}

fn profile_of(person: &Value, employment: &Value) -> Profile {
    let places = ["city", "region", "country"].map(|name| text(person, &["location", name]));
    let places = places.into_iter().filter(|place| !place.is_empty());
    Profile {
        network: network(person),
        firstname: text(person, &["first_name"]),
        lastname: text(person, &["last_name"]),
        sales_navigator_id: "",
        premium_account: false,
        summary: text(person, &["description"]),
        headline: text(person, &["headline"]),
        location: places.collect::<Vec<_>>().join(", "),
        position: Position {
            title: text(employment, &["title"]),
            description: text(employment, &["description"]),
            start_at: month(&text(employment, &["start_at"])),
            end_at: month(&text(employment, &["end_at"])),
            company: company(employment.get("company").unwrap_or(&Value::Null)),
        },
    }
}

fn company(company: &Value) -> Company {
    let headquarters = |name: &str| text(company, &["locations", "headquarters", name]);
    let domain = text(company, &["domain"]);
    Company {
        network: network(company),
        name: text(company, &["name"]),
        description: text(company, &["description"]),
        website: either(Some(&text(company, &["website"])), domain.clone()),
        domain,
        industry: text(company, &["industry", "main_industry"]),
        r#type: text(company, &["company_type"]),
        year_founded: number(company, &["year_founded"]),
        headcount: number(company, &["headcount"]),
        headcount_range: text(company, &["headcount_range"]),
        headquarters: Headquarters {
            region: headquarters("region"),
            city: headquarters("city"),
            country: headquarters("country"),
            country_code: headquarters("country_code"),
            postal_code: Some(headquarters("postal_code")).filter(|code| !code.is_empty()),
            address_line_1: headquarters("line1"),
            address_line_2: headquarters("line2"),
        },
    }
}

/// The month of a date that begins with `YYYY-M` or `YYYY-MM`.
fn month(date: &str) -> Option<Month> {
    let (year, rest) = date.split_once('-')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let month = rest.get(..digits.min(2))?.parse().ok()?;
    let four = |year: &&str| year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit());
    let year = Some(year).filter(four)?.parse().ok()?;
    (1..=12).contains(&month).then_some(Month { month, year })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(sent: &Value, found: &Value) -> Value {
        let object = |value: &Value| value.as_object().unwrap().clone();
        let record = Record {
            input: object(sent),
            ..Record::default()
        };
        let info = contact_info(&record, &object(found), Blanks::Absent);
        let person = found.get("profile").unwrap_or(&Value::Null);
        json!(contact(&record, person, info))
    }

    #[test]
    fn a_contact_of_which_nothing_is_known_has_empty_members() {
        let empty = json!({
            "firstname": "", "lastname": "", "domain": "", "most_probable_email": "",
            "most_probable_email_status": "", "most_probable_personal_email": "",
            "most_probable_personal_email_status": "", "most_probable_phone": "", "emails": [],
            "personal_emails": [], "phones": [], "social_medias": [],
        });
        assert_eq!(shown(&json!({}), &json!({})), empty);
    }

    #[test]
    fn names_and_domain_are_the_senders_or_those_that_were_found() {
        let found = json!({"profile": {"first_name": "A", "last_name": "B",
            "employment": {"all": [{"company": {"domain": "found.example"}}]}}});
        for (sent, wanted) in [
            (json!({}), ["A", "B", "found.example"]),
            (
                json!({"first_name": "X", "last_name": "", "domain": "sent.example"}),
                ["X", "B", "sent.example"],
            ),
        ] {
            let contact = shown(&sent, &found);
            let names = ["firstname", "lastname", "domain"].map(|name| contact[name].clone());
            assert_eq!(json!(names), json!(wanted), "{sent}");
        }
    }

    #[test]
    fn the_position_is_the_current_one_filled_from_the_first_of_all() {
        let all = json!([{"title": "CEO", "start_at": "2024-01-15T00:00:00Z",
            "company": {"name": "All"}}]);
        for (current, title, name, start) in [
            (json!(null), "CEO", "All", json!({"month": 1, "year": 2024})),
            (
                json!({"is_current": true, "company": {"name": "Untitled"}}),
                "CEO",
                "All",
                json!({"month": 1, "year": 2024}),
            ),
            (
                json!({"title": "CTO", "start_at": null}),
                "CTO",
                "All",
                json!({"month": 1, "year": 2024}),
            ),
            (
                json!({"title": "CTO", "company": {"name": "Own"}, "start_at": "2023-7"}),
                "CTO",
                "Own",
                json!({"month": 7, "year": 2023}),
            ),
        ] {
            let profile = json!({"employment": {"current": current, "all": all}});
            let contact = shown(&json!({}), &json!({"profile": profile}));
            let position = &contact["profile"]["position"];
            assert_eq!(
                (
                    &position["title"],
                    &position["company"]["name"],
                    &position["start_at"]
                ),
                (&json!(title), &json!(name), &start),
                "{current}"
            );
        }
    }

    #[test]
    fn months_are_read_and_what_is_none_is_left() {
        for (date, wanted) in [
            ("2022-03-15T00:00:00Z", Some((3, 2022))),
            ("2024-1-0T00:00:00.000Z", Some((1, 2024))),
            ("2023-7-15", Some((7, 2023))),
            ("2023-12", Some((12, 2023))),
            ("2023-13", None),
            ("2023-00", None),
            ("2023-", None),
            ("23-07", None),
            ("+023-07", None),
            ("2023-é", None),
            ("not-a-date", None),
            ("", None),
        ] {
            let wanted = wanted.map(|(month, year)| Month { month, year });
            assert_eq!(month(date), wanted, "{date}");
        }
    }
}
