//! The API of Sixtyfour: one task a request, told of by one webhook. Requests are held to the vendor's own schemas, and
//! refused as `FastAPI` does.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::{Call, Event, MAX_URL_CHARS, Reading, Route, Shown, Shows, Signing, Surface};
use crate::domain::delivery::DeliveryRules;
use crate::domain::error::{ApiError, InputError, pointer_escape};
use crate::domain::ids::JobId;
use crate::domain::job::{Accepted, End, JobView, Status, Submission, Webhook};
use crate::domain::json;
use crate::domain::record::{
    Blanks, Outcome, OutcomeStatus, Record, is_blank, present, without_blanks,
};
use crate::domain::signature::{self, Secret};
use crate::domain::time::Timestamp;
use crate::surfaces::common::contact;
use crate::surfaces::common::contact::{EMAIL_FIELDS, Email, EmailStatus, PHONE_FIELDS};
use crate::surfaces::common::message::{ApiRequest, ApiResponse};
use crate::surfaces::common::read::{Faults, bounded, fill, object, snake_case};

/// The Sixtyfour surface.
pub const SURFACE: Surface = Surface {
    name: "sixtyfour",
    operations: &TASKS,
    routes: ROUTES,
    shows: Shows::Own,
    key,
    id: JobId::uuid,
    parse_id: JobId::parse_uuid,
    error,
    delivery,
    inline: End::fits_one_response,
    body,
    sign,
};

const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/find-email-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/find-email-bulk-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/find-phone-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/find-phone-bulk-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/people-intelligence-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/company-intelligence-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/research-agent-async",
        call: SUBMIT,
    },
    Route {
        method: "POST",
        path: "/qa-agent-async",
        call: SUBMIT,
    },
    Route {
        method: "GET",
        path: "/job-status/{task_id}",
        call: Call::Job { records, show },
    },
];

const SUBMIT: Call = Call::Submit {
    read,
    answer: accepted,
};

/// The most leads of a bulk request.
const MAX_LEADS: usize = 100;
/// The waits before the five retries.
const DELAYS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];
/// How long an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An error shows the input that it is about, up to so many bytes of JSON.
const MAX_SHOWN_INPUT: usize = 400;
/// The confidence score of a certain answer.
const FULL_SCORE: f64 = 10.0;

/// One of the eight kinds of tasks.
struct Operation {
    path: &'static str,
    /// What the vendor calls the task; also the name that `providers.toml` maps to a type.
    task: &'static str,
    subject: Subject,
    /// The member of the request that says whom or what the task is about.
    member: &'static str,
    options: &'static [Field],
}

/// Whom or what a task is about, which decides what its fields' names mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Person,
    /// Several, each a record of its own.
    People,
    Company,
    Anything,
}

/// A member of a request beside its subject.
struct Field {
    name: &'static str,
    shape: Shape,
    need: Need,
}

/// Whether a member must be there, may be null, and what it is when it is absent.
enum Need {
    Required,
    Nullable(Preset),
    /// May be absent but not null.
    Optional(Preset),
}

enum Preset {
    None,
    Flag(bool),
    Whole(i64),
    Text(&'static str),
    Empty,
}

/// What a member's value must be.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    Flag,
    /// A number without a fraction, however it is written.
    Whole,
    Number,
    Object,
    OneOf(&'static [&'static str]),
    Texts,
    /// An object whose values are texts.
    TextMap,
    TextMaps,
    Criteria,
}

const fn option(name: &'static str, shape: Shape, need: Need) -> Field {
    Field { name, shape, need }
}

const PROVIDERS: Field = option("providers", Shape::Texts, Need::Nullable(Preset::None));
const RESEARCH_PLAN: Field = option("research_plan", Shape::Text, Need::Nullable(Preset::None));
const TIERS: &[&str] = &["low", "medium", "high"];
const PERSON_TIERS: &[&str] = &["low", "medium", "high", "xhigh"];
const MODES: &[&str] = &["PROFESSIONAL", "PERSONAL"];

const EMAIL_OPTIONS: &[Field] = &[
    option(
        "verify_emails",
        Shape::Flag,
        Need::Optional(Preset::Flag(true)),
    ),
    option(
        "mode",
        Shape::OneOf(MODES),
        Need::Optional(Preset::Text("PROFESSIONAL")),
    ),
    PROVIDERS,
];

/// The tasks of [`OPERATIONS`].
const TASKS: [&str; OPERATIONS.len()] = {
    let mut tasks = [""; OPERATIONS.len()];
    let mut at = 0;
    while at < tasks.len() {
        tasks[at] = OPERATIONS[at].task;
        at += 1;
    }
    tasks
};

const OPERATIONS: &[Operation] = &[
    Operation {
        path: "/find-email-async",
        task: "find_email",
        subject: Subject::Person,
        member: "lead",
        options: EMAIL_OPTIONS,
    },
    Operation {
        path: "/find-email-bulk-async",
        task: "find_email_bulk",
        subject: Subject::People,
        member: "leads",
        options: EMAIL_OPTIONS,
    },
    Operation {
        path: "/find-phone-async",
        task: "find_phone",
        subject: Subject::Person,
        member: "lead",
        options: &[PROVIDERS],
    },
    Operation {
        path: "/find-phone-bulk-async",
        task: "find_phone_bulk",
        subject: Subject::People,
        member: "leads",
        options: &[PROVIDERS],
    },
    Operation {
        path: "/people-intelligence-async",
        task: "enrich_lead",
        subject: Subject::Person,
        member: "lead_info",
        options: &[
            option("struct", Shape::Object, Need::Nullable(Preset::None)),
            RESEARCH_PLAN,
            option("max_iterations", Shape::Whole, Need::Nullable(Preset::None)),
            option("benchmark", Shape::Flag, Need::Nullable(Preset::Flag(true))),
            option(
                "tier",
                Shape::OneOf(PERSON_TIERS),
                Need::Nullable(Preset::None),
            ),
        ],
    },
    Operation {
        path: "/company-intelligence-async",
        task: "enrich_company",
        subject: Subject::Company,
        member: "target_company",
        options: &[
            option("struct", Shape::Object, Need::Required),
            option(
                "find_people",
                Shape::Flag,
                Need::Optional(Preset::Flag(false)),
            ),
            option(
                "people_focus_prompt",
                Shape::Text,
                Need::Nullable(Preset::None),
            ),
            option("lead_struct", Shape::Object, Need::Nullable(Preset::None)),
            RESEARCH_PLAN,
            option(
                "max_iterations",
                Shape::Whole,
                Need::Nullable(Preset::Whole(8)),
            ),
            option(
                "benchmark",
                Shape::Flag,
                Need::Nullable(Preset::Flag(false)),
            ),
            option("tier", Shape::OneOf(TIERS), Need::Nullable(Preset::None)),
            option(
                "full_org_chart",
                Shape::Flag,
                Need::Optional(Preset::Flag(false)),
            ),
        ],
    },
    Operation {
        path: "/research-agent-async",
        task: "research_agent",
        subject: Subject::Anything,
        member: "input_data",
        options: &[
            option("struct", Shape::Object, Need::Nullable(Preset::None)),
            RESEARCH_PLAN,
            option(
                "max_iterations",
                Shape::Whole,
                Need::Nullable(Preset::Whole(2)),
            ),
            option(
                "benchmark",
                Shape::Flag,
                Need::Nullable(Preset::Flag(false)),
            ),
        ],
    },
    Operation {
        path: "/qa-agent-async",
        task: "qa_agent",
        subject: Subject::Anything,
        member: "data",
        options: &[
            option("qualification_criteria", Shape::Criteria, Need::Required),
            option("references", Shape::TextMaps, Need::Nullable(Preset::Empty)),
            option("struct", Shape::TextMap, Need::Nullable(Preset::None)),
            option(
                "max_tool_calls",
                Shape::Whole,
                Need::Nullable(Preset::Whole(10)),
            ),
        ],
    },
];

/// The members of a criterion.
const CRITERION: &[Field] = &[
    option("criteria_name", Shape::Text, Need::Required),
    option("description", Shape::Text, Need::Required),
    option("weight", Shape::Number, Need::Optional(Preset::None)),
    option("threshold", Shape::Number, Need::Nullable(Preset::None)),
];

/// Mail providers whose addresses are people's own and not an employer's.
const FREE_MAIL: [&str; 20] = [
    "gmail.com",
    "googlemail.com",
    "yahoo.com",
    "ymail.com",
    "hotmail.com",
    "outlook.com",
    "live.com",
    "msn.com",
    "icloud.com",
    "me.com",
    "mac.com",
    "aol.com",
    "proton.me",
    "protonmail.com",
    "gmx.com",
    "gmx.net",
    "gmx.de",
    "web.de",
    "mail.com",
    "mail.ru",
];

fn key(request: &ApiRequest) -> Option<&str> {
    request.header("x-api-key")
}

fn delivery() -> DeliveryRules {
    DeliveryRules::exact(&DELAYS, TIMEOUT)
}

/// Reads any of the eight requests. Every fault is reported at once.
fn read(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
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
    // A client that names the vendor's own providers is not refused: the names go to ours as an option like any other.
    let order = given
        .get("providers")
        .and_then(Value::as_array)
        .map(|names| {
            let names = names.iter().filter_map(Value::as_str).map(str::to_owned);
            names.collect::<Vec<_>>()
        });
    let known = reading.catalog.kind(&kind);
    let providers = order.filter(|names| known.is_some_and(|k| k.validate_order(names).is_ok()));
    let job = Submission::new(SURFACE.name, kind, records);
    Ok(Submission {
        operation: Some(operation.task.to_owned()),
        webhook,
        providers,
        ..job
    })
}

/// The request's body; what makes it none is reported as `FastAPI` does.
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

/// The options that were given, and what holds of those that were not.
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

/// Holds a value to its shape, as a JSON Schema would.
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

/// A record of what was sent: its fields under their canonical names, and the request's options beside them.
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
    // A lead's own field is data and no option, even where it is called like one. An empty list asks for nothing.
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

/// The fields under the names that providers know. A field that has such a name already is never pushed aside; the first of
/// several names for one thing wins, and the others stay what they are called.
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

/// The canonical name of a field, where it has another than its own.
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

fn accepted(accepted: &Accepted, _: Timestamp) -> ApiResponse {
    // A repeated request is answered as the first one was.
    let id = match accepted {
        Accepted::Job { view, .. } => view.job.spec.id.uuid(),
        Accepted::Priced { .. } => String::new(),
    };
    ApiResponse::json(200, &json!({"task_id": id, "status": "pending"}))
}

/// Whether a job ended with results that go along.
fn records(_: &ApiRequest, view: &JobView) -> bool {
    view.status() == Status::Completed && view.job.end.as_ref().is_some_and(End::fits_one_response)
}

#[expect(clippy::unnecessary_wraps, reason = "other surfaces refuse here")]
fn show(shown: &Shown<'_>) -> Result<ApiResponse, ApiError> {
    let results = shown.records.map(|entries| {
        let ended = entries
            .iter()
            .filter_map(|entry| Some((&entry.record, entry.outcome.as_ref()?)));
        ended.collect::<Vec<_>>()
    });
    Ok(ApiResponse::json(
        200,
        &task(shown.view, results.as_deref()),
    ))
}

/// A task, as it is polled and as it is told.
fn task(view: &JobView, results: Option<&[(&Record, &Outcome)]>) -> Value {
    let spec = &view.job.spec;
    let name = spec.operation.as_deref().unwrap_or_default();
    let pages = view.results_url();
    let failed = |error: String| ("failed", Some(("error", Value::String(error))));
    let reason = || view.job.end.as_ref().and_then(|end| end.error.clone());
    let (status, end) = match view.status() {
        Status::Queued => ("pending", None),
        Status::Running | Status::Canceling | Status::Expiring => ("processing", None),
        Status::Completed => match results {
            None => failed(format!(
                "the result is too large for one answer; read it page by page from {pages}"
            )),
            Some(results) => match result(name, results, spec.blanks) {
                Ok(result) => ("completed", Some(("result", result))),
                Err(error) => failed(error),
            },
        },
        Status::Canceled => failed(format!(
            "the task was canceled; what was found before that is at {pages}"
        )),
        Status::Failed => failed(reason().unwrap_or_else(|| "the task could not run".to_owned())),
        Status::Expired => {
            failed(reason().unwrap_or_else(|| "the task did not end in time".to_owned()))
        }
        Status::Deleted => failed("the task was erased".to_owned()),
    };
    let mut task = json!({"task_id": spec.id.uuid(), "status": status, "task_type": name});
    if let (Some(members), Some((name, value))) = (task.as_object_mut(), end) {
        members.insert(name.to_owned(), value);
    }
    task
}

/// What a task came to. `Err` where its only record failed.
fn result(name: &str, results: &[(&Record, &Outcome)], blanks: Blanks) -> Result<Value, String> {
    let operation = OPERATIONS.iter().find(|o| o.task == name);
    if operation.is_some_and(|o| o.subject == Subject::People) {
        let results: Vec<Value> = results
            .iter()
            .map(|(record, outcome)| {
                let mut found = contacts(name, record, outcome, blanks);
                if let Some(error) = failure(outcome) {
                    found.insert("error".to_owned(), error.into());
                }
                found.into()
            })
            .collect();
        return Ok(json::object([("results", results.into())]));
    }
    let Some((record, outcome)) = results.first() else {
        return Err("the task has no record".to_owned());
    };
    match failure(outcome) {
        Some(error) => Err(error),
        None if name.starts_with("find_") => Ok(contacts(name, record, outcome, blanks).into()),
        None => Ok(intelligence(record, outcome, blanks)),
    }
}

/// Why a record could not be worked on, if it could not.
fn failure(outcome: &Outcome) -> Option<String> {
    let words = match outcome.status {
        OutcomeStatus::Found | OutcomeStatus::NotFound => return None,
        OutcomeStatus::Failed => "failed",
        OutcomeStatus::Invalid => "invalid",
        OutcomeStatus::Skipped => "skipped",
        OutcomeStatus::Canceled => "canceled",
    };
    Some(
        outcome
            .error
            .as_ref()
            .map_or_else(|| words.to_owned(), |e| format!("{}: {}", e.code, e.detail)),
    )
}

/// A lead's own fields, and what was found beside them.
fn contacts(name: &str, record: &Record, outcome: &Outcome, blanks: Blanks) -> Map<String, Value> {
    let sent = record.sent();
    let wants_email = name.starts_with("find_email");
    let own: &[&str] = if wants_email {
        &EMAIL_FIELDS
    } else {
        &PHONE_FIELDS
    };
    let mut shown = sent.clone();
    for (field, value) in outcome
        .data
        .iter()
        .filter(|(field, _)| !own.contains(&field.as_str()))
    {
        fill(&mut shown, field, value, blanks);
    }
    if wants_email {
        show_emails(record, outcome, &mut shown, blanks);
    } else {
        show_phones(outcome, &mut shown, blanks);
    }
    shown
}

/// E-mail addresses as triples of address, status and type; personal ones in a field of their own where these were asked
/// for. An address that the lead came with is one of them.
fn show_emails(record: &Record, outcome: &Outcome, shown: &mut Map<String, Value>, blanks: Blanks) {
    let mut found = contact::emails(&outcome.data, blanks);
    let mut add = |address: &str, personal| {
        if !address.is_empty()
            && !found
                .iter()
                .any(|f| f.address.eq_ignore_ascii_case(address))
        {
            found.push(Email {
                address: address.to_owned(),
                status: None,
                personal,
            });
        }
    };
    let apart = record.input.get("mode").and_then(Value::as_str) == Some("PERSONAL");
    if let Some(own) = shown.get("email").and_then(Value::as_str) {
        add(own.trim(), None);
    }
    if let Some(own) = shown
        .get("personal_email")
        .and_then(Value::as_str)
        .filter(|_| apart)
    {
        add(own.trim(), Some(true));
    }
    let (personal, other): (Vec<&Email>, Vec<&Email>) =
        found.iter().partition(|e| apart && is_personal(e));
    let fields = [("email", other), ("personal_email", personal)];
    for (field, emails) in fields.into_iter().take(if apart { 2 } else { 1 }) {
        let triples: Vec<Value> = emails
            .iter()
            .map(|e| json!([e.address, word(e.status), kind(e)]))
            .collect();
        // A list that the lead came with is its own answer.
        if !triples.is_empty() || !shown.get(field).is_some_and(Value::is_array) {
            shown.insert(field.to_owned(), triples.into());
        }
    }
}

fn is_personal(email: &Email) -> bool {
    email.personal.unwrap_or_else(|| {
        let domain = email
            .address
            .rsplit('@')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        FREE_MAIL.contains(&domain.as_str())
    })
}

fn kind(email: &Email) -> &'static str {
    if is_personal(email) {
        "PERSONAL"
    } else {
        "COMPANY"
    }
}

fn word(status: Option<EmailStatus>) -> &'static str {
    match status {
        Some(EmailStatus::Deliverable | EmailStatus::HighProbability) => "OK",
        Some(EmailStatus::CatchAll) => "CATCH_ALL",
        Some(EmailStatus::Risky) => "RISKY",
        Some(EmailStatus::Invalid | EmailStatus::InvalidDomain) => "INVALID",
        None => "UNKNOWN",
    }
}

/// One phone number as a text, several as an array, none as an empty text.
fn show_phones(outcome: &Outcome, shown: &mut Map<String, Value>, blanks: Blanks) {
    let found = contact::phones(&outcome.data, blanks);
    let value = match found.as_slice() {
        [] if blanks
            .present(shown, "phone")
            .is_some_and(|own| own.is_string() || own.is_array()) =>
        {
            return;
        }
        [] => Value::String(String::new()),
        [only] => Value::String(only.number.clone()),
        several => several
            .iter()
            .map(|p| json!({"number": p.number, "region": p.region}))
            .collect(),
    };
    shown.insert("phone".to_owned(), value);
}

/// The inside of a Markdown code block, which many models put around their JSON, or the text as it is.
fn unfenced(text: &str) -> &str {
    let inside = text
        .trim()
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"));
    inside
        .and_then(|block| block.split_once('\n'))
        .map_or(text, |(_, inside)| inside)
}

/// What an agent found out.
fn intelligence(record: &Record, outcome: &Outcome, blanks: Blanks) -> Value {
    let mut data = outcome.data.clone();
    data.retain(|_, value| !blanks.is_blank(value));
    let mut structured = Map::new();
    match data.shift_remove("structured_data") {
        Some(Value::Object(fields)) => structured = fields,
        Some(Value::String(text)) => match json::read(unfenced(&text).as_bytes()) {
            // A chat endpoint gives its answer as text: the whole of it, or the fields alone.
            Ok(Value::Object(mut answer)) => match answer.shift_remove("structured_data") {
                Some(Value::Object(fields)) => {
                    structured = fields;
                    answer.extend(data);
                    data = answer;
                }
                _ => structured = answer,
            },
            _ => {
                data.entry("notes").or_insert(Value::String(text));
            }
        },
        Some(other) => {
            structured.insert("structured_data".to_owned(), other);
        }
        None => {}
    }
    let notes = match data.shift_remove("notes") {
        Some(Value::String(notes)) => notes,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let references = references(data.shift_remove("references"));
    let score = data
        .shift_remove("confidence_score")
        .filter(Value::is_number)
        .unwrap_or_else(|| score(outcome));
    for (name, value) in &data {
        fill(&mut structured, name, value, blanks);
    }
    // Every field that was asked for is there.
    for name in record
        .input
        .get("struct")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
    {
        structured.entry(name).or_insert(Value::Null);
    }
    json::object([
        ("structured_data", structured.into()),
        ("notes", notes.into()),
        ("references", references),
        ("confidence_score", score),
    ])
}

/// URLs with what they are about.
fn references(found: Option<Value>) -> Value {
    let mut references = Map::new();
    match found {
        Some(Value::Object(known)) => references = known,
        Some(Value::Array(items)) => {
            for item in &items {
                let member = |name: &str| item.get(name).and_then(Value::as_str);
                if let Some(url) = item.as_str().or_else(|| member("url")) {
                    references.insert(
                        url.to_owned(),
                        member("description").unwrap_or_default().into(),
                    );
                }
            }
        }
        Some(Value::String(url)) => {
            references.insert(url, "".into());
        }
        _ => {}
    }
    references.into()
}

/// How sure the sources are on average, from 0 to 10, with one decimal; null where none says.
fn score(outcome: &Outcome) -> Value {
    if outcome.data.is_empty() {
        return json!(0.0);
    }
    let said: Vec<f64> = outcome
        .sources
        .iter()
        .filter_map(|(_, source)| source.confidence)
        .collect();
    let Ok(count) = u32::try_from(said.len()) else {
        return Value::Null;
    };
    if count == 0 {
        return Value::Null;
    }
    let mean = said.iter().sum::<f64>() / f64::from(count);
    json!((mean * FULL_SCORE * 10.0).round() / 10.0)
}

fn body(event: &Event<'_>) -> Vec<u8> {
    let Some(view) = event.job else {
        return json!({"status": "completed", "task_type": event.kind.as_str(), "result": {}})
            .to_string()
            .into_bytes();
    };
    let results: Option<Vec<(&Record, &Outcome)>> = event.results.map(|lines| {
        lines
            .iter()
            .map(|line| (&line.record, &line.outcome))
            .collect()
    });
    task(view, results.as_deref()).to_string().into_bytes()
}

/// The vendor's headers, one `v1` for each live secret, newest first, and those of Standard Webhooks.
fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    let seconds = signing.at.seconds();
    let mut signature = format!("t={seconds}");
    for secret in signing.secrets {
        signature += ",v1=";
        signature += &hex::encode(mac(secret, seconds, signing.body));
    }
    let mut headers = signature::headers(signing.secrets, signing.id, signing.at, signing.body);
    headers.extend([
        ("sixtyfour-signature".to_owned(), signature),
        ("sixtyfour-event-id".to_owned(), event_id(signing.id)),
        ("sixtyfour-event-type".to_owned(), event_type(signing)),
        (
            "sixtyfour-delivery-attempt".to_owned(),
            signing.attempt.to_string(),
        ),
    ]);
    headers
}

/// Keyed with the secret's text as the customer has it.
fn mac(secret: &Secret, seconds: i64, body: &[u8]) -> impl AsRef<[u8]> + use<> {
    let key = secret.reveal().as_bytes();
    // HMAC takes a key of any length: the error cannot happen, and an empty key would only fail verification.
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::<Sha256>::new(&[0; 64].into()));
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes()
}

/// The event's id as a UUID; a task has only one event, its end.
fn event_id(id: &str) -> String {
    let ulid = id.strip_prefix("evt_").and_then(|id| id.strip_suffix("_0"));
    let job = ulid.and_then(|ulid| JobId::parse(&format!("job_{ulid}")));
    job.map_or_else(|| id.to_owned(), |job| job.uuid())
}

fn event_type(signing: &Signing<'_>) -> String {
    #[derive(Deserialize)]
    struct Told {
        task_type: String,
    }
    let told: Result<Told, _> = serde_json::from_slice(signing.body);
    told.map_or_else(|_| signing.event.as_str().to_owned(), |told| told.task_type)
}

fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    let (status, detail) = describe(error, request);
    ApiResponse::json(status, &json!({ "detail": detail }))
}

fn describe(error: &ApiError, request: &ApiRequest) -> (u16, Value) {
    let (status, text) = match error {
        ApiError::Invalid(faults) => return (422, faults_of(faults, &request.body)),
        ApiError::Malformed { detail } => {
            let fault = InputError::new("", detail.clone()).with_code("json_invalid");
            return (422, faults_of(&[fault], &request.body));
        }
        ApiError::IdempotencyMismatch => {
            let detail =
                "this key came before with another request; use a new key for a new request";
            let fault =
                InputError::new("Idempotency-Key", detail).with_code("idempotency_mismatch");
            return (422, faults_of(&[fault], &request.body));
        }
        ApiError::Unauthorized => (401, "send a valid key in the header x-api-key".to_owned()),
        ApiError::Forbidden { needs } => (403, format!("the key lacks the scope {needs}")),
        ApiError::NotFound { what } => (
            404,
            format!(
                "there is no such {}",
                if *what == "job" { "task" } else { what }
            ),
        ),
        ApiError::MethodNotAllowed { allow } => {
            (405, format!("this path takes {}", allow.join(" and ")))
        }
        ApiError::Coding { detail } => (415, detail.clone()),
        ApiError::TooLarge { detail } => (413, detail.clone()),
        ApiError::NotEnoughCredits { needed, available } => (
            402,
            format!("the task needs up to {needed} credits and {available} are free"),
        ),
        ApiError::ResultsTooLarge { results_url } => (
            413,
            format!(
                "the result is too large for one answer; read it page by page from {results_url}"
            ),
        ),
        ApiError::Conflict { detail } => (409, detail.clone()),
        ApiError::Unavailable {
            retry_after_seconds,
        } => (503, format!("try again in {retry_after_seconds} s")),
        ApiError::Internal => (
            500,
            format!(
                "this is a fault of ours; quote {} when you report it",
                request.request_id
            ),
        ),
    };
    (status, text.into())
}

/// Faults as `FastAPI` lists them.
fn faults_of(faults: &[InputError], body: &[u8]) -> Value {
    let body = json::read(body).unwrap_or_default();
    let shown = faults.iter().map(|fault| {
        let (loc, input) = locate(&fault.pointer, &body);
        let mut shown =
            json!({"type": fault.code.unwrap_or("value_error"), "loc": loc, "msg": fault.detail});
        if let (Some(members), Some(input)) = (shown.as_object_mut(), input)
            && input.to_string().len() <= MAX_SHOWN_INPUT
        {
            members.insert("input".to_owned(), input.clone());
        }
        shown
    });
    shown.collect()
}

/// A place as `FastAPI` names it (positions in arrays are numbers), and what is there; of what is missing, what it is
/// missing from.
fn locate<'b>(pointer: &str, body: &'b Value) -> (Vec<Value>, Option<&'b Value>) {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return (vec!["header".into(), pointer.into()], None);
    }
    let (mut loc, mut here) = (vec![Value::from("body")], body);
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        let next = match here {
            Value::Array(items) => {
                let at = segment.parse::<usize>().ok();
                loc.push(at.map_or_else(|| segment.clone().into(), Value::from));
                at.and_then(|at| items.get(at))
            }
            other => {
                loc.push(segment.clone().into());
                other.get(&segment)
            }
        };
        here = next.unwrap_or(here);
    }
    (loc, Some(here))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::EventType;

    fn renamed(subject: Subject, sent: &Value) -> Value {
        canonical(subject, sent.as_object().unwrap()).into()
    }

    #[test]
    fn a_field_of_the_canonical_name_is_never_pushed_aside() {
        let sent = json!({"name": "alias", "full_name": "own", "linkedin": "a", "profile_url": "b", "firstName": "J"});
        let expected = json!({"name": "alias", "full_name": "own", "linkedin_url": "a", "profile_url": "b", "first_name": "J"});
        assert_eq!(renamed(Subject::Person, &sent), expected);
    }

    #[test]
    fn an_answer_in_a_code_block_was_taken_for_prose() {
        let record = Record::default();
        for text in [
            "```json\n{\"age\": 4}\n```",
            " ```\n{\"structured_data\": {\"age\": 4}}\n``` \n",
            "{\"age\": 4}",
        ] {
            let data = Map::from_iter([("structured_data".to_owned(), text.into())]);
            let told = intelligence(
                &record,
                &Outcome {
                    data,
                    ..Outcome::without_data(OutcomeStatus::Found, None)
                },
                Blanks::Absent,
            );
            assert_eq!(
                (&told["structured_data"], &told["notes"]),
                (&json!({"age": 4}), &json!("")),
                "{text}"
            );
        }
        for prose in ["```", "``````", "see ```x```", "```json\nnothing\n```"] {
            let data = Map::from_iter([("structured_data".to_owned(), prose.into())]);
            let told = intelligence(
                &record,
                &Outcome {
                    data,
                    ..Outcome::without_data(OutcomeStatus::Found, None)
                },
                Blanks::Absent,
            );
            assert_eq!(told["notes"], prose);
        }
    }

    #[test]
    fn a_name_is_a_persons_or_a_companys() {
        let sent = json!({"name": "Acme", "website": "https://acme.example"});
        assert_eq!(
            renamed(Subject::Person, &sent),
            json!({"full_name": "Acme", "website": "https://acme.example"})
        );
        let company = json!({"company_name": "Acme", "website": "https://acme.example", "domain": "https://acme.example"});
        assert_eq!(renamed(Subject::Company, &sent), company);
        let known = json!({"domain": "acme.example", "website": "https://other.example"});
        assert_eq!(renamed(Subject::Company, &known), known);
    }

    #[test]
    fn a_signature_of_another_implementation() {
        // Made with Python's hmac module.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let sent = sign(&Signing {
            secrets: &[&secret],
            id: "evt_01J00000000000000000000000_0",
            event: EventType::JobCompleted,
            attempt: 3,
            at: Timestamp(1_614_265_330_999),
            body: r#"{"task_type":"find_email","a":"ü"}"#.as_bytes(),
        });
        let of = |name: &str| {
            sent.iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
        };
        let expected =
            "t=1614265330,v1=b60ca20f9e61e82c88e3a75e4676b25ca1eda7464856527f4cc50d5a84df8b23";
        assert_eq!(of("sixtyfour-signature"), Some(expected));
        assert_eq!(
            (of("sixtyfour-event-type"), of("sixtyfour-delivery-attempt")),
            (Some("find_email"), Some("3"))
        );
        assert_eq!(of("webhook-id"), Some("evt_01J00000000000000000000000_0"));
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
            let told = match faults.finish() {
                Err(ApiError::Invalid(faults)) => faults[0].code,
                _ => None,
            };
            assert_eq!(told, code, "{value}");
        }
    }

    #[test]
    fn an_input_of_megabytes_is_not_sent_back() {
        let body = json!({"lead": {}, "mode": "x".repeat(3_000_000)}).to_string();
        let fault = InputError::new("/mode", "wrong").with_code("literal_error");
        let told = faults_of(&[fault], body.as_bytes());
        assert_eq!(
            told,
            json!([{"type": "literal_error", "loc": ["body", "mode"], "msg": "wrong"}])
        );
    }

    #[test]
    fn a_place_under_a_name_of_digits_is_a_text_and_one_in_an_array_a_number() {
        let body = json!({"references": [{"0": 1}]});
        let (loc, input) = locate("/references/0/0", &body);
        assert_eq!(
            (json!(loc), input),
            (json!(["body", "references", 0, "0"]), Some(&json!(1)))
        );
        assert_eq!(
            locate("/lead", &body).1,
            Some(&body),
            "what is missing is missing from there"
        );
    }
}
