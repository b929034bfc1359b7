//! The callback: what was sent, and beside it what was found.

use std::time::Duration;

use serde_json::{Map, Value};

use super::request::{CALLBACK, folded, is_callback};
use super::settings::is_nested;
use crate::domain::backoff::NATIVE_DELAYS;
use crate::domain::delivery::DeliveryRules;
use crate::domain::job::ResultLine;
use crate::domain::record::{Blanks, Outcome, OutcomeStatus};
use crate::domain::signature;
use crate::surfaces::common::message::json_bytes;
use crate::surfaces::common::read::is_unfilled;
use crate::surfaces::{Event, Signing};

/// Time-out of one callback.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Returns the native rules without jitter: the document names no schedule and no time-out. A
/// receiver keeps the last callback it got.
pub(super) fn rules() -> DeliveryRules {
    DeliveryRules {
        latest_wins: true,
        ..DeliveryRules::exact(&NATIVE_DELAYS, TIMEOUT)
    }
}

/// Writes the body of a callback.
pub(super) fn body(event: &Event<'_>) -> Vec<u8> {
    let payload = match (event.job, event.results.and_then(<[ResultLine]>::first)) {
        (Some(view), Some(line)) if is_nested(&view.job.spec) => nested(line, view.job.spec.blanks),
        (Some(view), Some(line)) => resolved(line, view.job.spec.blanks),
        (Some(view), None) => {
            let pages = view.results_url();
            unresolved(
                Map::new(),
                "failed",
                format!("the result does not fit a callback; read it from {pages}"),
            )
        }
        (None, _) => Map::from_iter([("message".to_owned(), "a test of this callback URL".into())]),
    };
    json_bytes(&payload)
}

/// Returns the sent members with the found ones, or with the reason why there are none.
fn resolved(line: &ResultLine, blanks: Blanks) -> Map<String, Value> {
    let (sent, outcome) = (line.record.sent(), &line.outcome);
    let camel = blanks.present(sent, CALLBACK[0]).is_some();
    let echoed = sent.iter().filter(|(name, _)| !is_callback(name));
    let mut payload: Map<String, Value> = echoed
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some((status, message)) = why_nothing(outcome) {
        return unresolved(payload, status, message);
    }
    let known: Vec<(String, String)> = payload
        .keys()
        .map(|name| (folded(name), name.clone()))
        .collect();
    for (name, value) in found(outcome, blanks) {
        let same = || {
            known
                .iter()
                .filter(|(known, _)| *known == folded(name))
                .map(|(_, sent)| sent)
        };
        if let Some(first) = same().next() {
            // A client that sends every column has blanks where it knows nothing; they are there to
            // be filled.
            let open = match blanks {
                Blanks::Absent => same().all(|sent| payload.get(sent).is_none_or(is_unfilled)),
                Blanks::Count => payload.get(first).is_some_and(Value::is_null),
            };
            if open {
                payload.insert(first.clone(), value.clone());
            }
            continue;
        }
        // Two found fields may differ in nothing but their spelling; both are kept.
        let free =
            |shown: &String| !payload.contains_key(shown) && !outcome.data.contains_key(shown);
        let shown = Some(camel_case(name)).filter(|shown| camel && free(shown));
        payload.insert(shown.unwrap_or_else(|| name.clone()), value.clone());
    }
    payload
}

/// As [`resolved`], in the form of the vendor's sample: all of it inside `lead`, under the names that
/// providers know, and the hashes of addresses as a list.
fn nested(line: &ResultLine, blanks: Blanks) -> Map<String, Value> {
    let outcome = &line.outcome;
    let mut lead = line.record.input.clone();
    let verdict = why_nothing(outcome);
    if verdict.is_none() {
        for (name, value) in found(outcome, blanks) {
            let hashes = (name == HASHES).then(|| hashed_emails(value)).flatten();
            let (name, value) = match hashes {
                Some(hashes) => (HASHED_EMAILS, hashes),
                None => (name.as_str(), value.clone()),
            };
            if lead.get(name).is_none_or(is_unfilled) {
                lead.insert(name.to_owned(), value);
            }
        }
    }
    let lead = Map::from_iter([("lead".to_owned(), Value::Object(lead))]);
    match verdict {
        Some((status, message)) => unresolved(lead, status, message),
        None => lead,
    }
}

/// The field that providers give hashes of addresses in.
const HASHES: &str = "hashes";
/// The same in the vendor's sample.
const HASHED_EMAILS: &str = "hashed_emails";

/// Returns the SHA-256 hashes of addresses as the vendor's sample lists them. `hashes` has those of
/// one address or a list of them. `None` where there is none.
fn hashed_emails(hashes: &Value) -> Option<Value> {
    let of_one = |hashes: &Value| {
        let hash = hashes["plain"]["sha256"]
            .as_str()
            .or_else(|| hashes["sha256"].as_str())
            .or_else(|| hashes.as_str());
        hash.map(|hash| Map::from_iter([("email".to_owned(), hash.into())]))
    };
    let all: Vec<Map<String, Value>> = match hashes {
        Value::Array(several) => several.iter().filter_map(of_one).collect(),
        one => of_one(one).into_iter().collect(),
    };
    (!all.is_empty()).then(|| all.into())
}

/// Returns the found fields that have a value.
fn found(outcome: &Outcome, blanks: Blanks) -> impl Iterator<Item = (&String, &Value)> {
    let fields = outcome.data.iter();
    fields.filter(move |(_, value)| !blanks.is_blank(value))
}

/// Returns the status and the message of a request without a result; `None` where there is one.
fn why_nothing(outcome: &Outcome) -> Option<(&'static str, String)> {
    let reason = outcome.error.as_ref().map(|error| error.detail.as_str());
    let otherwise = match outcome.status {
        OutcomeStatus::Found => return None,
        OutcomeStatus::NotFound => {
            let message = match reason {
                None => "nothing was found for this input".to_owned(),
                Some(reason) => format!(
                    "nothing was found for this input; not every provider could be asked: {reason}"
                ),
            };
            return Some(("not_found", message));
        }
        OutcomeStatus::Failed => "the input could not be worked on",
        OutcomeStatus::Invalid => "the input is not what this operation needs",
        OutcomeStatus::Skipped => "no credits were left for it",
        OutcomeStatus::Canceled => "it was canceled before it was begun",
    };
    Some(("failed", reason.unwrap_or(otherwise).to_owned()))
}

/// Shows a request without a result. Our members replace fields of the same names that the client
/// sent: a failure must not look like a result.
fn unresolved(mut echoed: Map<String, Value>, status: &str, message: String) -> Map<String, Value> {
    echoed.insert("status".to_owned(), status.into());
    echoed.insert("message".to_owned(), message.into());
    echoed
}

/// Writes `linkedin_url` as `linkedinUrl`. Underscores at either end stay.
fn camel_case(name: &str) -> String {
    let body = name.trim_matches('_');
    let start = name.len() - name.trim_start_matches('_').len();
    let mut words = body.split('_').filter(|word| !word.is_empty());
    let mut camel = name[..start].to_owned();
    camel.extend(words.next());
    for word in words {
        let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    camel.push_str(&name[start + body.len()..]);
    camel
}

pub(super) fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    signature::headers(signing.secrets, signing.id, signing.at, signing.body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::record::Record;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else {
            panic!("{value} is not an object")
        };
        map
    }

    fn reported(sent: Value, outcome: Outcome) -> Value {
        let record = Record {
            original: Some(map(sent)),
            ..Record::default()
        };
        Value::Object(resolved(
            &ResultLine {
                index: 0,
                record,
                outcome,
            },
            Blanks::Absent,
        ))
    }

    fn result(data: Value) -> Outcome {
        Outcome {
            data: map(data),
            ..Outcome::without_data(OutcomeStatus::Found, None)
        }
    }

    #[test]
    fn found_names_are_written_in_camel_case() {
        for (name, written) in [
            ("company_name", "companyName"),
            ("sha256_base64", "sha256Base64"),
            ("_id", "_id"),
            ("a__b_", "aB_"),
            ("___", "___"),
            ("x_übung", "xübung"),
            ("companyName", "companyName"),
        ] {
            assert_eq!(camel_case(name), written);
        }
    }

    #[test]
    fn what_was_sent_stays_however_its_name_is_written() {
        let data = json!({"company_name": "Found", "brand_color": "red", "hq": {"zip_code": 1}});
        let camel = reported(
            json!({"companyName": "Sent", "callbackUrl": "u"}),
            result(data.clone()),
        );
        assert_eq!(
            camel,
            json!({"companyName": "Sent", "brandColor": "red", "hq": {"zip_code": 1}})
        );
        let mixed = reported(
            json!({"companyName": "Sent", "callback_url": "u"}),
            result(data.clone()),
        );
        assert_eq!(
            mixed,
            json!({"companyName": "Sent", "brand_color": "red", "hq": {"zip_code": 1}})
        );
        let snake = reported(
            json!({"company_name": null, "callbackUrl": "u", "brandcolor": 1}),
            result(data.clone()),
        );
        assert_eq!(
            snake,
            json!({"company_name": "Found", "brandcolor": 1, "hq": {"zip_code": 1}})
        );
        for blank in [
            json!(""),
            json!(" \t"),
            json!("\u{a0}"),
            json!([]),
            json!({}),
        ] {
            let filled = reported(
                json!({"companyName": blank, "BrandColor": "", "callbackUrl": "u"}),
                result(data.clone()),
            );
            let expected =
                json!({"companyName": "Found", "BrandColor": "red", "hq": {"zip_code": 1}});
            assert_eq!(filled, expected, "{blank}");
        }
        let both = reported(
            json!({"companyName": "", "company_name": "Sent", "callbackUrl": "u"}),
            result(data.clone()),
        );
        assert_eq!(
            (&both["companyName"], &both["company_name"]),
            (&json!(""), &json!("Sent"))
        );
        let blank = reported(
            json!({"city": null, "callbackUrl": "u"}),
            result(json!({"city": "", "hq": 1})),
        );
        assert_eq!(
            blank,
            json!({"city": null, "hq": 1}),
            "nothing was found for it"
        );
        let named = reported(
            json!({"callbackUrl": " ", "callback_url": "u"}),
            result(data),
        );
        assert_eq!(
            named["brand_color"], "red",
            "a blank name of the URL is none"
        );
    }

    #[test]
    fn found_names_that_meet_in_camel_case_are_both_kept() {
        let both = reported(
            json!({"callbackUrl": "u"}),
            result(json!({"line_1": "a", "line1": "b"})),
        );
        assert_eq!(both, json!({"line1": "b", "line_1": "a"}));
    }

    #[test]
    fn a_failure_shows_even_where_the_client_sent_a_status() {
        let sent = json!({"status": "active", "callbackUrl": "u", "message": "hi", "email": "x"});
        let missing = Outcome::without_data(OutcomeStatus::NotFound, None);
        let shown = reported(sent.clone(), missing);
        assert_eq!(
            (&shown["status"], &shown["email"]),
            (&json!("not_found"), &json!("x"))
        );
        let broken = reported(
            sent.clone(),
            Outcome::failed("provider_error", "out of order"),
        );
        assert_eq!(
            broken,
            json!({"status": "failed", "message": "out of order", "email": "x"})
        );
        let good = reported(sent, result(json!({"status": "known", "hash": 1})));
        assert_eq!(
            good,
            json!({"status": "active", "message": "hi", "email": "x", "hash": 1})
        );
    }

    #[test]
    fn every_end_without_a_result_says_so() {
        for status in OutcomeStatus::ALL
            .into_iter()
            .filter(|status| *status != OutcomeStatus::Found)
        {
            let shown = reported(
                json!({"email": "x", "callback_url": "u"}),
                Outcome::without_data(status, None),
            );
            let word = if status == OutcomeStatus::NotFound {
                "not_found"
            } else {
                "failed"
            };
            assert_eq!(shown["status"], word);
            assert!(
                shown["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty())
            );
            assert_eq!(shown.as_object().map(Map::len), Some(3), "{shown}");
        }
    }

    #[test]
    fn a_nested_callback_has_all_inside_lead() {
        let nested = |input: Value, outcome: Outcome| {
            let record = Record {
                input: map(input),
                original: Some(map(json!({"profileUrl": "l", "callbackUrl": "u"}))),
                ..Record::default()
            };
            let index = 0;
            let line = ResultLine {
                index,
                record,
                outcome,
            };
            Value::Object(nested(&line, Blanks::Absent))
        };
        let plain = json!({"plain": {"sha256": "aa", "address": "x@y"}, "uid2": {"sha256": "bb"}});
        for (input, found, lead) in [
            (
                json!({"linkedin_url": "l"}),
                json!({"hashes": plain}),
                json!({"linkedin_url": "l", "hashed_emails": [{"email": "aa"}]}),
            ),
            (
                json!({"linkedin_url": "l"}),
                json!({"hashes": [plain, "cc", {"sha256": "dd"}, 7], "name": ""}),
                json!({"linkedin_url": "l",
                    "hashed_emails": [{"email": "aa"}, {"email": "cc"}, {"email": "dd"}]}),
            ),
            (
                json!({"email": "e", "hashes": "mine"}),
                json!({"hashes": {"md5": "m"}, "email": "other", "phone": "+1"}),
                json!({"email": "e", "hashes": "mine", "phone": "+1"}),
            ),
            (
                json!({"email": "e"}),
                json!({"hashes": {"md5": "m"}}),
                json!({"email": "e", "hashes": {"md5": "m"}}),
            ),
        ] {
            assert_eq!(nested(input, result(found)), json!({"lead": lead}));
        }
        let missing = nested(
            json!({"status": "x"}),
            Outcome::without_data(OutcomeStatus::NotFound, None),
        );
        assert_eq!(
            missing,
            json!({"lead": {"status": "x"}, "status": "not_found",
                "message": "nothing was found for this input"})
        );
    }
}
