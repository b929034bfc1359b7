//! Webhook signatures after the Standard Webhooks specification, version 1.0.
//!
//! `webhook-signature` is `v1,` and the base 64 of HMAC-SHA256 over `id.timestamp.body`, one for
//! each live secret, separated by a space. A secret is shown as `whsec_` and the base 64 of its
//! bytes; the bytes are the key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::time::Timestamp;

/// Bytes of a new secret. The specification asks for 24 to 64.
pub const SECRET_BYTES: usize = 32;
/// The most secrets that sign at once.
pub const MAX_SECRETS: usize = 5;
/// The most that the timestamp may be off for a receiver, in seconds. Source: the reference
/// libraries of Standard Webhooks.
pub const TOLERANCE_SECONDS: i64 = 5 * 60;

/// A webhook secret: the key that signs a tenant's deliveries. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// Makes a secret of fresh random bytes.
    pub fn new(random: &[u8; SECRET_BYTES]) -> Self {
        Self(format!("whsec_{}", STANDARD.encode(random)))
    }

    /// Reads `whsec_` and base 64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
        (24..=64)
            .contains(&bytes.len())
            .then(|| Self(text.to_owned()))
    }

    /// Takes a text that a tenant chose for a surface, which has checked its form. Such a secret
    /// signs with its text; it never signs after Standard Webhooks.
    pub fn chosen(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text a customer sees, prefix included. For showing once and for surfaces that sign with
    /// the text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn mac(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        let key = self
            .0
            .strip_prefix("whsec_")
            .and_then(|t| STANDARD.decode(t).ok())
            .unwrap_or_default();
        // HMAC takes a key of any length: the error cannot happen, and an empty key would only fail
        // verification.
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&[0; 64].into()));
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

/// A secret and when it stops signing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveSecret {
    /// The key itself.
    pub secret: Secret,
    /// `None` for the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// The secrets that sign at `now`, newest first.
pub fn live(secrets: &[LiveSecret], now: Timestamp) -> Vec<&Secret> {
    secrets
        .iter()
        .filter(|s| s.expires_at.is_none_or(|at| now < at))
        .map(|s| &s.secret)
        .take(MAX_SECRETS)
        .collect()
}

/// Puts a new secret in front; the ones before sign along for `overlap` at most.
pub fn rotate(
    secrets: &[LiveSecret],
    new: Secret,
    now: Timestamp,
    overlap: std::time::Duration,
) -> Vec<LiveSecret> {
    let end = now.plus(overlap);
    let older = secrets
        .iter()
        .filter(|s| s.expires_at.is_none_or(|at| now < at))
        .map(|s| LiveSecret {
            secret: s.secret.clone(),
            expires_at: Some(s.expires_at.map_or(end, |at| at.min(end))),
        });
    std::iter::once(LiveSecret {
        secret: new,
        expires_at: None,
    })
    .chain(older)
    .take(MAX_SECRETS)
    .collect()
}

/// As [`rotate`] for the secrets of a surface: what has stopped signing is not kept.
pub fn replace(
    secrets: &[LiveSecret],
    new: Secret,
    now: Timestamp,
    overlap: std::time::Duration,
) -> Vec<LiveSecret> {
    let mut next = rotate(secrets, new, now, overlap);
    next.retain(|s| s.expires_at.is_none_or(|at| now < at));
    next
}

/// The three headers of a delivery, signed with every secret given.
pub fn headers(secrets: &[&Secret], id: &str, at: Timestamp, body: &[u8]) -> Vec<(String, String)> {
    let signatures: Vec<String> = secrets
        .iter()
        .map(|s| {
            format!(
                "v1,{}",
                STANDARD.encode(s.mac(id, at.seconds(), body).finalize().into_bytes())
            )
        })
        .collect();
    vec![
        ("webhook-id".to_owned(), id.to_owned()),
        ("webhook-timestamp".to_owned(), at.seconds().to_string()),
        ("webhook-signature".to_owned(), signatures.join(" ")),
    ]
}

/// Why a signature did not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// A header is missing, or not in the form of Standard Webhooks.
    #[error("a webhook-id, webhook-timestamp or webhook-signature header is missing or malformed")]
    Headers,
    /// The time of the attempt is further off than the tolerance.
    #[error(
        "the timestamp is more than five minutes off: replayed, or one of the two clocks is wrong"
    )]
    Timestamp,
    /// No signature is this secret's over these bytes.
    #[error(
        "no signature matches: another secret, or the body was changed on the way (sign the raw \
         bytes)"
    )]
    Signature,
}

/// Verifies a delivery as a receiver does, in constant time for each signature.
pub fn verify(
    secret: &Secret,
    id: Option<&str>,
    timestamp: Option<&str>,
    signatures: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Unverified> {
    let (Some(id), Some(timestamp), Some(signatures)) = (id, timestamp, signatures) else {
        return Err(Unverified::Headers);
    };
    let at: i64 = timestamp.parse().map_err(|_| Unverified::Headers)?;
    if now.seconds().abs_diff(at) > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(Unverified::Timestamp);
    }
    let matches = |signature: &str| {
        signature
            .strip_prefix("v1,")
            .and_then(|s| STANDARD.decode(s).ok())
            .is_some_and(|bytes| secret.mac(id, at, body).verify_slice(&bytes).is_ok())
    };
    if signatures.split(' ').any(matches) {
        Ok(())
    } else {
        Err(Unverified::Signature)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The example of the Standard Webhooks reference libraries.
    #[test]
    fn standard_webhooks_vector() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let sent = headers(
            &[&secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            Timestamp(1_614_265_330_000),
            body,
        );
        assert_eq!(sent[2].1, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_live_secret_signs_and_any_of_them_verifies() {
        let now = Timestamp(1_800_000_000_000);
        let old = vec![LiveSecret {
            secret: Secret::new(&[1; 32]),
            expires_at: None,
        }];
        let both = rotate(&old, Secret::new(&[2; 32]), now, Duration::from_secs(3600));
        let sent = headers(&live(&both, now), "evt_1", now, b"{}");
        let check = |secret: &Secret, at| {
            verify(
                secret,
                Some("evt_1"),
                Some(&sent[1].1),
                Some(&sent[2].1),
                b"{}",
                at,
            )
        };
        assert_eq!(check(&Secret::new(&[1; 32]), now), Ok(()));
        assert_eq!(check(&Secret::new(&[2; 32]), now), Ok(()));
        assert_eq!(
            check(&Secret::new(&[3; 32]), now),
            Err(Unverified::Signature)
        );
        assert_eq!(
            check(&Secret::new(&[2; 32]), now.plus(Duration::from_secs(301))),
            Err(Unverified::Timestamp)
        );
        assert_eq!(live(&both, now.plus(Duration::from_secs(3600))).len(), 1);
    }

    #[test]
    fn rotating_keeps_at_most_five_and_never_lengthens_an_expiry() {
        let now = Timestamp(0);
        let mut secrets = Vec::new();
        for n in 0..9 {
            secrets = rotate(
                &secrets,
                Secret::new(&[n; 32]),
                now,
                Duration::from_secs(if n == 8 { 9999 } else { 10 }),
            );
        }
        assert_eq!(secrets.len(), MAX_SECRETS);
        assert_eq!(secrets[2].expires_at, Some(Timestamp(10_000)));
    }

    #[test]
    fn a_signature_covers_id_time_and_body() {
        let (secret, now) = (Secret::new(&[7; 32]), Timestamp(1_000_000));
        let sent = headers(&[&secret], "evt_1", now, b"{}");
        let check = |id: &str, at: &str, body: &[u8]| {
            verify(&secret, Some(id), Some(at), Some(&sent[2].1), body, now)
        };
        assert_eq!(check("evt_1", "1000", b"{}"), Ok(()));
        assert_eq!(check("evt_2", "1000", b"{}"), Err(Unverified::Signature));
        assert_eq!(check("evt_1", "1001", b"{}"), Err(Unverified::Signature));
        assert_eq!(check("evt_1", "1000", b"{ }"), Err(Unverified::Signature));
    }
}
