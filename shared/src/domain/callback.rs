//! The URLs at which upstreams leave answers that they give later. A URL is for one record and one
//! provider, is signed with a key of its job's own, and takes few posts: what is posted again
//! changes nothing.
//!
//! `BASE/v1/callbacks/ULID.CHUNK.RECORD.PROVIDER.MAC`; MAC is HMAC-SHA256 over what stands before
//! its dot, in base 64 for URLs. Anyone with the URL can answer for the upstream, so it goes
//! nowhere but to the upstream.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::ids::JobId;

/// The path of the URLs, before the token.
pub const CALLBACKS: &str = "/v1/callbacks/";
/// Bytes of a job's key.
pub const KEY_BYTES: usize = 32;
/// The most bytes that an upstream may post. An outcome may have as many as JSON.
pub const MAX_POSTED_BYTES: usize = super::record::MAX_OUTCOME_BYTES;

/// Separates these signatures from any others that the same key might ever make.
const PURPOSE: &[u8] = b"millrace callback 1\n";

/// Whose answer a URL takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallbackFor {
    /// The job that the record belongs to.
    pub job: JobId,
    /// The chunk's number in the job, from 0.
    pub chunk: u32,
    /// The record's position in the chunk.
    pub at: u32,
    /// The provider's name in `providers.toml`: lower-case letters, digits, `-` and `_`.
    pub provider: String,
}

/// The claims of a URL, before it is verified.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The record and provider that the URL names.
    pub of: CallbackFor,
    signed: String,
    mac: Vec<u8>,
}

impl CallbackFor {
    fn signed(&self) -> String {
        let job = self.job.as_str().trim_start_matches("job_");
        format!("{job}.{}.{}.{}", self.chunk, self.at, self.provider)
    }

    /// The URL below `base`, which has no slash at its end.
    pub fn url(&self, base: &str, key: &[u8; KEY_BYTES]) -> String {
        let signed = self.signed();
        let mac = URL_SAFE_NO_PAD.encode(mac(key, &signed).finalize().into_bytes());
        format!("{base}{CALLBACKS}{signed}.{mac}")
    }
}

impl Claimed {
    /// Reads a token, the part of the path after [`CALLBACKS`]. `None` where it is none.
    pub fn parse(token: &str) -> Option<Self> {
        let (signed, mac) = token.rsplit_once('.')?;
        let mut parts = signed.split('.');
        let (job, chunk, at, provider) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let of = CallbackFor {
            job: JobId::parse(&format!("job_{job}"))?,
            chunk: chunk.parse().ok()?,
            at: at.parse().ok()?,
            provider: provider.to_owned(),
        };
        // One spelling for each: `03` is not `3`.
        (of.signed() == signed).then(|| {
            Some(Self {
                signed: signed.to_owned(),
                mac: URL_SAFE_NO_PAD.decode(mac).ok()?,
                of,
            })
        })?
    }

    /// Returns whether the job's key signed this, compared in constant time.
    pub fn verify(&self, key: &[u8]) -> bool {
        key.len() == KEY_BYTES && mac(key, &self.signed).verify_slice(&self.mac).is_ok()
    }
}

fn mac(key: &[u8], signed: &str) -> Hmac<Sha256> {
    // HMAC takes a key of any length: the error cannot happen.
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::<Sha256>::new(&[0; 64].into()));
    mac.update(PURPOSE);
    mac.update(signed.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn of() -> CallbackFor {
        let job = JobId::new(Timestamp(1_767_225_600_000), [7; 10]);
        CallbackFor {
            job,
            chunk: 3,
            at: 17,
            provider: "full-enrich_2".to_owned(),
        }
    }

    fn token(url: &str) -> &str {
        url.strip_prefix("https://api.example")
            .and_then(|path| path.strip_prefix(CALLBACKS))
            .unwrap()
    }

    #[test]
    fn what_was_signed_is_read_again_and_verified() {
        let url = of().url("https://api.example", &[1; KEY_BYTES]);
        let claimed = Claimed::parse(token(&url)).unwrap();
        assert_eq!(claimed.of, of());
        assert!(claimed.verify(&[1; KEY_BYTES]));
        assert!(
            !claimed.verify(&[2; KEY_BYTES]) && !claimed.verify(&[]) && !claimed.verify(&[1; 31])
        );
    }

    #[test]
    fn nothing_of_a_url_can_be_changed() {
        let url = of().url("https://api.example", &[1; KEY_BYTES]);
        let token = token(&url);
        for at in 0..token.len() {
            for other in ["0", "Z", "a", ".", "-"] {
                let mut changed = token.to_owned();
                changed.replace_range(at..=at, other);
                let accepted =
                    Claimed::parse(&changed).filter(|claimed| claimed.verify(&[1; KEY_BYTES]));
                // The last character of base 64 has two bits that say nothing; the decoder refuses
                // all but zeros there.
                assert!(changed == token || accepted.is_none(), "{changed}");
            }
        }
        for wrong in [
            "",
            ".",
            "....",
            &token[1..],
            &format!("{token}."),
            &token.replace(".3.", ".03."),
            "a.b.c.d.e",
        ] {
            assert!(
                Claimed::parse(wrong).is_none_or(|claimed| !claimed.verify(&[1; KEY_BYTES])),
                "{wrong}"
            );
        }
    }
}
