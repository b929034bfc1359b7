//! The result of a task: contacts, or what an agent found out.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::tasks::{OPERATIONS, Subject};
use crate::domain::json;
use crate::domain::record::{Blanks, Outcome, OutcomeStatus, Record};
use crate::surfaces::common::contact;
use crate::surfaces::common::contact::{EMAIL_FIELDS, Email, EmailStatus, PHONE_FIELDS};
use crate::surfaces::common::read::fill;

/// The confidence score of a certain answer.
const FULL_SCORE: f64 = 10.0;

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

/// The result of a task.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum TaskResult {
    Leads { results: Vec<Map<String, Value>> },
    Lead(Map<String, Value>),
    Intelligence(Intelligence),
}

/// The findings of an agent.
#[derive(Debug, Serialize)]
pub(super) struct Intelligence {
    structured_data: Map<String, Value>,
    notes: String,
    references: Map<String, Value>,
    confidence_score: Value,
}

/// Returns the result of a task. `Err` if its only record failed.
pub(super) fn result(
    name: &str,
    results: &[(&Record, &Outcome)],
    blanks: Blanks,
) -> Result<TaskResult, String> {
    let operation = OPERATIONS.iter().find(|o| o.task == name);
    if operation.is_some_and(|o| o.subject == Subject::People) {
        let results = results
            .iter()
            .map(|(record, outcome)| {
                let mut found = contacts(name, record, outcome, blanks);
                if let Some(error) = failure(outcome) {
                    found.insert("error".to_owned(), error.into());
                }
                found
            })
            .collect();
        return Ok(TaskResult::Leads { results });
    }
    let Some((record, outcome)) = results.first() else {
        return Err("the task has no record".to_owned());
    };
    match failure(outcome) {
        Some(error) => Err(error),
        None if name.starts_with("find_") => {
            Ok(TaskResult::Lead(contacts(name, record, outcome, blanks)))
        }
        None => Ok(TaskResult::Intelligence(intelligence(
            record, outcome, blanks,
        ))),
    }
}

/// Returns why a record could not be worked on, if it could not.
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

/// Shows a lead's own fields with the found ones.
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

/// Shows e-mail addresses as triples of address, status and type; personal ones in a field of their
/// own where these were requested. An address that the lead came with is one of them.
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

/// Shows one phone number as a text, several as an array, none as an empty text.
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

/// Takes a text out of its Markdown code block, which many models put around their JSON.
fn unfenced(text: &str) -> &str {
    let inside = text
        .trim()
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"));
    inside
        .and_then(|block| block.split_once('\n'))
        .map_or(text, |(_, inside)| inside)
}

/// Shows the findings of an agent.
fn intelligence(record: &Record, outcome: &Outcome, blanks: Blanks) -> Intelligence {
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
    // Every requested field is there.
    for name in record
        .input
        .get("struct")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::keys)
    {
        structured.entry(name).or_insert(Value::Null);
    }
    Intelligence {
        structured_data: structured,
        notes,
        references,
        confidence_score: score,
    }
}

/// URLs with what they are about.
fn references(found: Option<Value>) -> Map<String, Value> {
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
    references
}

/// Returns the average confidence of the sources, from 0 to 10, with one decimal; null where none
/// has one.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_a_code_block_was_taken_for_prose() {
        let record = Record::default();
        for text in [
            "```json\n{\"age\": 4}\n```",
            " ```\n{\"structured_data\": {\"age\": 4}}\n``` \n",
            "{\"age\": 4}",
        ] {
            let data = Map::from_iter([("structured_data".to_owned(), text.into())]);
            let reported = json!(intelligence(
                &record,
                &Outcome {
                    data,
                    ..Outcome::without_data(OutcomeStatus::Found, None)
                },
                Blanks::Absent,
            ));
            assert_eq!(
                (&reported["structured_data"], &reported["notes"]),
                (&json!({"age": 4}), &json!("")),
                "{text}"
            );
        }
        for prose in ["```", "``````", "see ```x```", "```json\nnothing\n```"] {
            let data = Map::from_iter([("structured_data".to_owned(), prose.into())]);
            let reported = json!(intelligence(
                &record,
                &Outcome {
                    data,
                    ..Outcome::without_data(OutcomeStatus::Found, None)
                },
                Blanks::Absent,
            ));
            assert_eq!(reported["notes"], prose);
        }
    }
}
