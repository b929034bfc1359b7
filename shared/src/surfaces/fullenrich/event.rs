//! The events, how they are signed, and when they are tried again.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha1::Sha1;

use super::code;
use super::error::{Failure, too_large};
use super::first;
use super::response::{IN_PROGRESS, batch, state};
use super::version::Version;
use crate::domain::delivery::{DeliveryRules, EventType};
use crate::domain::signature;
use crate::surfaces::common::message::json_bytes;
use crate::surfaces::{Event, Signing};

/// The time that an attempt to deliver may take. The description has no limit; this is the native
/// surface's.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The wait after each failed attempt: a minute, five times.
const RETRIES: [Duration; 5] = [Duration::from_secs(60); 5];

pub(super) fn delivery() -> DeliveryRules {
    DeliveryRules::exact(&RETRIES, TIMEOUT)
}

/// Writes the body of an event: what the poll answers, or of one contact the same around it alone.
pub(super) fn event_body(event: &Event<'_>) -> Vec<u8> {
    let Some(view) = event.job else {
        return json_bytes(&json!({"status": "UNKNOWN", "data": [], "cost": {"credits": 0}}));
    };
    let lines = event.results.unwrap_or_default();
    let (state, credits) = if event.kind == EventType::RecordFinished && event.results.is_some() {
        let credits = lines.iter().map(|line| u64::from(line.outcome.credits));
        (IN_PROGRESS, credits.sum())
    } else {
        (state(view), view.credits_used())
    };
    let contacts = lines.iter().map(|line| (&line.record, Some(&line.outcome)));
    let failure = event.results.is_none().then(|| Failure {
        code: code::RESULTS_TOO_LARGE,
        message: too_large(&view.results_url()),
    });
    match Version::of(view) {
        Version::First => {
            let mut shown = first::batch(view, state, credits, contacts);
            if failure.is_some() {
                shown.datas = None;
            }
            shown.failure = failure;
            json_bytes(&shown)
        }
        Version::Second => {
            let mut shown = batch(view, state, credits, contacts);
            if failure.is_some() {
                shown.data = None;
            }
            shown.failure = failure;
            json_bytes(&shown)
        }
    }
}

/// Signs with the hex HMAC-SHA1 of the body under the secret's text. There is room for one value:
/// while a secret is being replaced it is the old one's, which every receiver knows.
pub(super) fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    let mut headers = signature::headers(signing.secrets, signing.id, signing.at, signing.body);
    if let Some(mac) = signing
        .vendor()
        .last()
        .and_then(|s| Hmac::<Sha1>::new_from_slice(s.reveal().as_bytes()).ok())
    {
        let digest = mac.chain_update(signing.body).finalize().into_bytes();
        headers.push(("x-signature-sha1".to_owned(), hex::encode(digest)));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signature::Secret;
    use crate::domain::time::Timestamp;

    #[test]
    fn the_body_is_signed_with_the_text_of_the_oldest_secret() {
        let (new, old) = (
            Secret::new(&[7; 32]),
            Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap(),
        );
        let signing = Signing {
            secrets: &[&new, &old],
            own: &[],
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
            own: &[],
            ..signing
        });
        assert!(
            !none.iter().any(|(name, _)| name == "x-signature-sha1"),
            "no secret, no signature"
        );
    }
}
