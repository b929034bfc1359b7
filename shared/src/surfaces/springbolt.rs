//! Springbolt: one record per call, and the bare result posted to the callback URL that came with it.
//!
//! A client that says `callbackUrl` speaks camel case and is answered in it; one that says `callback_url` gets found
//! fields under the names that providers give them. What it sent comes back as it was sent.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Call, Event, MAX_URL_CHARS, Reading, Route, Shows, Signing, Surface};
use crate::domain::backoff::NATIVE_DELAYS;
use crate::domain::delivery::DeliveryRules;
use crate::domain::error::ApiError;
use crate::domain::ids::JobId;
use crate::domain::job::{Accepted, End, ResultLine, Submission, Webhook};
use crate::domain::record::{
    Blanks, MAX_RECORD_BYTES, OutcomeStatus, Record, present, without_blanks,
};
use crate::domain::signature;
use crate::domain::time::Timestamp;
use crate::surfaces::common::message::{ApiRequest, ApiResponse};
use crate::surfaces::common::read::{Faults, bounded, is_unfilled, object, snake_case};

/// The Springbolt surface.
pub const SURFACE: Surface = Surface {
    name: "springbolt",
    operations: &[
        "enrichment",
        "deanonymization",
        "linkedin_to_phone",
        "linkedin_to_hem",
        "email_to_hem",
        "ip_to_company",
        "organization_domain_finder",
        "keyword_to_lead",
    ],
    routes: ROUTES,
    shows: Shows::Own,
    key,
    id,
    parse_id: |text| JobId::parse_hex(text.strip_prefix("res_")?),
    error,
    delivery: rules,
    // One record, which is never as much.
    inline: End::fits_one_response,
    body,
    sign,
};

const SUBMIT: Call = Call::Submit { read, answer };

macro_rules! routes {
    ($($operation:literal),* $(,)?) => {
        &[$(
            Route { method: "POST", path: concat!("/", $operation), call: SUBMIT },
            Route { method: "POST", path: concat!("/lead/resolution/", $operation), call: SUBMIT },
        )*]
    };
}

/// Every operation in both spellings.
const ROUTES: &[Route] = routes![
    "enrichment",
    "deanonymization",
    "linkedin_to_phone",
    "linkedin-to-phone",
    "linkedin_to_hem",
    "linkedin-to-hem",
    "email_to_hem",
    "email-to-hem",
    "ip_to_company",
    "ip-to-company",
    "organization_domain_finder",
    "organization-domain-finder",
    "keyword_to_lead",
    "keyword-to-lead",
];

/// The names of the callback URL; the first is that of clients that speak camel case.
const CALLBACK: [&str; 2] = ["callbackUrl", "callback_url"];

fn is_callback(name: &str) -> bool {
    CALLBACK.contains(&name)
}

/// Time-out of one callback.
const TIMEOUT: Duration = Duration::from_secs(20);

/// `x-api-key: KEY` or `Authorization: Bearer KEY`.
fn key(request: &ApiRequest) -> Option<&str> {
    request.header("x-api-key").or_else(|| request.bearer())
}

fn id(job: &JobId) -> String {
    format!("res_{}", job.hex())
}

/// The document names no schedule and no time-out: the native ones, exact. A receiver keeps the last callback it got.
fn rules() -> DeliveryRules {
    DeliveryRules {
        latest_wins: true,
        ..DeliveryRules::exact(&NATIVE_DELAYS, TIMEOUT)
    }
}

fn read(request: &ApiRequest, reading: &Reading<'_>) -> Result<Submission, ApiError> {
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
        ..Submission::new(SURFACE.name, reading.kind(&operation), vec![record])
    })
}

/// What providers see of a request: its fields under the names that they know. Of several that mean the same, one that has
/// the known name goes before all others, then the first; the rest stay what they are called.
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

/// What providers call a field that has more than one usual name.
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

/// `linkedin_url` → `linkedinUrl`. Underscores at either end stay.
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

/// The same for every way to write a name.
fn folded(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

fn answer(accepted: &Accepted, _: Timestamp) -> ApiResponse {
    let Accepted::Job { view, .. } = accepted else {
        return failed(500, "this surface has no dry run");
    };
    let spec = &view.job.spec;
    let answer = json!({
        "success": true,
        "status": "processing",
        "message": "Your request was taken on; its result goes to the callback URL as soon as it is there.",
        "resolution": {
            "id": id(&spec.id),
            "status": "processing",
            "requested_at": spec.created_at.rfc3339(),
            "callback_url": spec.webhook.as_ref().map(|webhook| &webhook.url),
        },
    });
    ApiResponse::json(200, &answer)
}

/// The body of a callback.
fn body(event: &Event<'_>) -> Vec<u8> {
    let payload = match (event.job, event.results.and_then(<[ResultLine]>::first)) {
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
    Value::Object(payload).to_string().into_bytes()
}

/// What was sent, and beside it what was found or why there is nothing.
fn resolved(line: &ResultLine, blanks: Blanks) -> Map<String, Value> {
    let (sent, outcome) = (line.record.sent(), &line.outcome);
    let camel = blanks.present(sent, CALLBACK[0]).is_some();
    let echoed = sent.iter().filter(|(name, _)| !is_callback(name));
    let mut payload: Map<String, Value> = echoed
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let reason = outcome.error.as_ref().map(|error| error.detail.as_str());
    let why_not = |otherwise: &str| reason.unwrap_or(otherwise).to_owned();
    match outcome.status {
        OutcomeStatus::Found => {
            let known: Vec<(String, String)> = payload
                .keys()
                .map(|name| (folded(name), name.clone()))
                .collect();
            for (name, value) in outcome
                .data
                .iter()
                .filter(|(_, value)| !blanks.is_blank(value))
            {
                let same = || {
                    known
                        .iter()
                        .filter(|(known, _)| *known == folded(name))
                        .map(|(_, sent)| sent)
                };
                if let Some(first) = same().next() {
                    // A client that sends every column has blanks where it knows nothing; they are there to be filled.
                    let open = match blanks {
                        Blanks::Absent => {
                            same().all(|sent| payload.get(sent).is_none_or(is_unfilled))
                        }
                        Blanks::Count => payload.get(first).is_some_and(Value::is_null),
                    };
                    if open {
                        payload.insert(first.clone(), value.clone());
                    }
                    continue;
                }
                // Two found fields may differ in nothing but their spelling; both are kept.
                let free = |shown: &String| {
                    !payload.contains_key(shown) && !outcome.data.contains_key(shown)
                };
                let shown = Some(camel_case(name)).filter(|shown| camel && free(shown));
                payload.insert(shown.unwrap_or_else(|| name.clone()), value.clone());
            }
            payload
        }
        OutcomeStatus::NotFound => {
            let message = match reason {
                None => "nothing was found for this input".to_owned(),
                Some(reason) => format!(
                    "nothing was found for this input; not everybody could be asked: {reason}"
                ),
            };
            unresolved(payload, "not_found", message)
        }
        OutcomeStatus::Failed => unresolved(
            payload,
            "failed",
            why_not("the input could not be worked on"),
        ),
        OutcomeStatus::Invalid => unresolved(
            payload,
            "failed",
            why_not("the input is not what this operation needs"),
        ),
        OutcomeStatus::Skipped => {
            unresolved(payload, "failed", why_not("no credits were left for it"))
        }
        OutcomeStatus::Canceled => unresolved(
            payload,
            "failed",
            why_not("it was canceled before it was begun"),
        ),
    }
}

/// Says what became of a request without result. Here the words are ours even where the client sent fields of these
/// names: a failure must not look like what was asked for.
fn unresolved(mut echoed: Map<String, Value>, status: &str, message: String) -> Map<String, Value> {
    echoed.insert("status".to_owned(), status.into());
    echoed.insert("message".to_owned(), message.into());
    echoed
}

fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    signature::headers(signing.secrets, signing.id, signing.at, signing.body)
}

fn failed(status: u16, message: impl Into<String>) -> ApiResponse {
    ApiResponse::json(
        status,
        &json!({"success": false, "status": "error", "message": message.into()}),
    )
}

fn error(error: &ApiError, request: &ApiRequest) -> ApiResponse {
    match error {
        ApiError::Unauthorized => failed(
            401,
            "send a valid API key as x-api-key or as Authorization: Bearer",
        ),
        ApiError::Forbidden { needs } => {
            failed(403, format!("the API key lacks the scope {needs}"))
        }
        ApiError::NotFound { what } => failed(404, format!("there is no such {what}")),
        ApiError::MethodNotAllowed { allow } => {
            failed(405, format!("this path takes {}", allow.join(" and ")))
        }
        ApiError::Malformed { detail } => failed(400, detail),
        ApiError::Invalid(faults) => {
            let told = faults
                .iter()
                .map(|fault| match fault.pointer.trim_start_matches('/') {
                    "" => fault.detail.clone(),
                    place => format!("{place} {}", fault.detail),
                });
            failed(400, told.collect::<Vec<_>>().join("; "))
        }
        ApiError::Coding { detail } => failed(415, detail),
        ApiError::TooLarge { detail } => failed(413, detail),
        ApiError::IdempotencyMismatch => failed(
            422,
            "this Idempotency-Key came before with another request; use a new one for a new request",
        ),
        ApiError::NotEnoughCredits { needed, available } => failed(
            402,
            format!("this needs up to {needed} credits and {available} are free"),
        ),
        ApiError::ResultsTooLarge { results_url } => failed(
            413,
            format!(
                "the results do not fit one response; read them page by page from {results_url}"
            ),
        ),
        ApiError::Conflict { detail } => failed(409, detail),
        ApiError::Unavailable {
            retry_after_seconds,
        } => failed(
            503,
            format!(
                "try again in {retry_after_seconds} s, with the same Idempotency-Key if you sent one"
            ),
        ),
        ApiError::Internal => failed(
            500,
            format!(
                "a fault of ours; quote {} when you report it",
                request.request_id
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::record::Outcome;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else {
            panic!("{value} is no object")
        };
        map
    }

    fn told(sent: Value, outcome: Outcome) -> Value {
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

    fn found(data: Value) -> Outcome {
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

    #[test]
    fn what_was_sent_stays_however_its_name_is_written() {
        let data = json!({"company_name": "Found", "brand_color": "red", "hq": {"zip_code": 1}});
        let camel = told(
            json!({"companyName": "Sent", "callbackUrl": "u"}),
            found(data.clone()),
        );
        assert_eq!(
            camel,
            json!({"companyName": "Sent", "brandColor": "red", "hq": {"zip_code": 1}})
        );
        let mixed = told(
            json!({"companyName": "Sent", "callback_url": "u"}),
            found(data.clone()),
        );
        assert_eq!(
            mixed,
            json!({"companyName": "Sent", "brand_color": "red", "hq": {"zip_code": 1}})
        );
        let snake = told(
            json!({"company_name": null, "callbackUrl": "u", "brandcolor": 1}),
            found(data.clone()),
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
            let filled = told(
                json!({"companyName": blank, "BrandColor": "", "callbackUrl": "u"}),
                found(data.clone()),
            );
            let expected =
                json!({"companyName": "Found", "BrandColor": "red", "hq": {"zip_code": 1}});
            assert_eq!(filled, expected, "{blank}");
        }
        let both = told(
            json!({"companyName": "", "company_name": "Sent", "callbackUrl": "u"}),
            found(data.clone()),
        );
        assert_eq!(
            (&both["companyName"], &both["company_name"]),
            (&json!(""), &json!("Sent"))
        );
        let blank = told(
            json!({"city": null, "callbackUrl": "u"}),
            found(json!({"city": "", "hq": 1})),
        );
        assert_eq!(
            blank,
            json!({"city": null, "hq": 1}),
            "nothing was found for it"
        );
        let named = told(
            json!({"callbackUrl": " ", "callback_url": "u"}),
            found(data),
        );
        assert_eq!(
            named["brand_color"], "red",
            "a blank name of the URL is none"
        );
    }

    #[test]
    fn found_names_that_meet_in_camel_case_are_both_kept() {
        let both = told(
            json!({"callbackUrl": "u"}),
            found(json!({"line_1": "a", "line1": "b"})),
        );
        assert_eq!(both, json!({"line1": "b", "line_1": "a"}));
    }

    #[test]
    fn a_failure_shows_even_where_the_client_sent_a_status() {
        let sent = json!({"status": "active", "callbackUrl": "u", "message": "hi", "email": "x"});
        let missing = Outcome::without_data(OutcomeStatus::NotFound, None);
        let shown = told(sent.clone(), missing);
        assert_eq!(
            (&shown["status"], &shown["email"]),
            (&json!("not_found"), &json!("x"))
        );
        let broken = told(
            sent.clone(),
            Outcome::failed("provider_error", "out of order"),
        );
        assert_eq!(
            broken,
            json!({"status": "failed", "message": "out of order", "email": "x"})
        );
        let good = told(sent, found(json!({"status": "known", "hash": 1})));
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
            let shown = told(
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
    fn every_operation_has_four_paths_or_two() {
        let routed: BTreeSet<String> = ROUTES
            .iter()
            .filter_map(|r| Some(r.path.rsplit('/').next()?.replace('-', "_")))
            .collect();
        assert_eq!(
            routed,
            SURFACE.operations.iter().map(|o| (*o).to_owned()).collect()
        );
        assert_eq!(ROUTES.len(), 28);
    }
}
