//! The event of a job's end, how it is signed, and when it is tried again.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;

use super::response::{Counts, result, time, trouble};
use crate::domain::delivery::DeliveryRules;
use crate::domain::signature;
use crate::surfaces::common::ecmascript;
use crate::surfaces::common::message::json_members;
use crate::surfaces::{Event, Signing};

/// The time that a receiver has to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The waits after the first, second and third failed attempt.
const DELAYS: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
];

pub(super) fn delivery() -> DeliveryRules {
    DeliveryRules::exact(&DELAYS, TIMEOUT)
}

/// The event of a job's end, but for the results; of a test event the job is missing.
#[derive(Debug, Serialize)]
struct EventBody<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<&'a str>,
    completed_at: String,
    #[serde(flatten)]
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Writes the body of an event. Everything in it is fixed when the job ends.
pub(super) fn event_body(event: &Event<'_>) -> Vec<u8> {
    let trouble = event
        .job
        .and_then(|view| trouble(view, event.results.is_some()));
    let mut body = json_members(&EventBody {
        event: match event.job {
            None => event.kind.as_str(),
            Some(_) if trouble.is_some() => "job.failed",
            Some(_) => "job.completed",
        },
        job_id: event.job.map(|view| view.job.spec.id.as_str()),
        completed_at: time(event.at),
        counts: event.job.map(Counts::of),
        error: trouble,
    });
    if event.job.is_some() {
        let lines = event.results.unwrap_or_default().iter();
        let results = lines.map(|line| result(&line.record, &line.outcome));
        body.insert("results".to_owned(), results.collect());
    }
    ecmascript::to_vec(&Value::Object(body))
}

/// Signs with one value only, because their receivers compare the whole header. While a secret is
/// being replaced, the old one signs: receivers have it until the new one is everywhere. The key
/// is the secret's text, as their code hands it to `createHmac`.
pub(super) fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    let mut headers = signature::headers(signing.secrets, signing.id, signing.at, signing.body);
    let oldest = signing.vendor().last();
    // HMAC takes a key of any length.
    if let Some(mut mac) =
        oldest.and_then(|secret| Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).ok())
    {
        mac.update(signing.body);
        let digest = hex::encode(mac.finalize().into_bytes());
        headers.push(("x-apione-signature".to_owned(), format!("sha256={digest}")));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    /// Source of the digest: Python's `hmac` over the same secret and body.
    #[test]
    fn the_secrets_text_signs_prefix_included_and_the_oldest_alone() {
        let (old, new) = (
            signature::Secret::new(&[1; 32]),
            signature::Secret::new(&[2; 32]),
        );
        let signing = Signing {
            secrets: &[&new, &old],
            own: &[],
            id: "evt_1",
            event: crate::domain::delivery::EventType::JobCompleted,
            attempt: 1,
            at: Timestamp(0),
            body: b"{}",
        };
        let sent = sign(&signing);
        let of = |name: &str| {
            sent.iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
        };
        assert_eq!(
            of("x-apione-signature"),
            Some("sha256=e932e979856513dda4c9a46d886d8095356e73e185a4aeeb8042b45bec48523b")
        );
        assert_eq!(
            of("webhook-signature").map(|v| v.split(' ').count()),
            Some(2)
        );
    }
}
