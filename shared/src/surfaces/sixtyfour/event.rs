//! The webhook of a task, how it is signed, and when it is tried again.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use super::response::task;
use crate::domain::delivery::DeliveryRules;
use crate::domain::ids::JobId;
use crate::domain::record::{Outcome, Record};
use crate::domain::signature::{self, Secret};
use crate::surfaces::common::message::json_bytes;
use crate::surfaces::{Event, Signing};

/// The waits before the five retries.
const DELAYS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];

/// The time that an attempt may take.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn delivery() -> DeliveryRules {
    DeliveryRules::exact(&DELAYS, TIMEOUT)
}

pub(super) fn body(event: &Event<'_>) -> Vec<u8> {
    let Some(view) = event.job else {
        let test = json!({"status": "completed", "task_type": event.kind.as_str(), "result": {}});
        return json_bytes(&test);
    };
    let results: Option<Vec<(&Record, &Outcome)>> = event.results.map(|lines| {
        lines
            .iter()
            .map(|line| (&line.record, &line.outcome))
            .collect()
    });
    json_bytes(&task(view, results.as_deref()))
}

/// Signs with the vendor's headers, one `v1` for each live secret, newest first, and with those of
/// Standard Webhooks.
pub(super) fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    let seconds = signing.at.seconds();
    let mut signature = format!("t={seconds}");
    for secret in signing.vendor() {
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

/// Computes the HMAC under the secret's text as the customer has it.
fn mac(secret: &Secret, seconds: i64, body: &[u8]) -> impl AsRef<[u8]> + use<> {
    let key = secret.reveal().as_bytes();
    // HMAC takes a key of any length: the error cannot happen, and an empty key would only fail
    // verification.
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::<Sha256>::new(&[0; 64].into()));
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    mac.finalize().into_bytes()
}

/// Returns the event's id as a UUID; a task has only one event, its end.
fn event_id(id: &str) -> String {
    let ulid = id.strip_prefix("evt_").and_then(|id| id.strip_suffix("_0"));
    let job = ulid.and_then(|ulid| JobId::parse(&format!("job_{ulid}")));
    job.map_or_else(|| id.to_owned(), |job| job.uuid())
}

fn event_type(signing: &Signing<'_>) -> String {
    #[derive(Deserialize)]
    struct Body {
        task_type: String,
    }
    let body: Result<Body, _> = serde_json::from_slice(signing.body);
    body.map_or_else(|_| signing.event.as_str().to_owned(), |body| body.task_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::EventType;
    use crate::domain::time::Timestamp;

    #[test]
    fn a_signature_of_another_implementation() {
        // Made with Python's hmac module.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let sent = sign(&Signing {
            secrets: &[&secret],
            own: &[],
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
}
