//! Hashed e-mail addresses, under the normalisation rules that the receiving platforms publish.
//!
//! One output field, `hashes`:
//!
//! ```json
//! {"plain":  {"md5": "…", "sha1": "…", "sha256": "…"},
//!  "uid2":   {"md5": "…", "sha1": "…", "sha256": "…", "sha256_base64": "…"},
//!  "google": {"md5": "…", "sha1": "…", "sha256": "…"},
//!  "meta":   {"md5": "…", "sha1": "…", "sha256": "…"}}
//! ```
//!
//! Digests are lower-case hex, `sha256_base64` is the standard alphabet with padding over the digest's bytes (what UID2
//! calls `email_hash`). The rules:
//!
//! - `plain`: white space around it removed, lower case.
//! - `uid2`: as `plain`; at `gmail.com` alone also without dots and `+suffix` in the user part. Source: UID2 documentation,
//!   "Normalization and Encoding", <https://unifiedid.com/docs/getting-started/gs-normalization-encoding>.
//! - `google`: as `plain`; at `gmail.com` and `googlemail.com` also without dots and `+suffix`. Source: Google Ads API, "Manage
//!   online click conversions", normalise and hash. (Google's older client samples keep the suffix; an account's own address
//!   has none, so that a hash with it matches nobody.)
//! - `meta`: as `plain`. Source: Meta, Conversions API, "Customer Information Parameters", `em`.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use serde_json::{Map, Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::config::{HEM_FIELD, HemConfig};
use super::{Answer, Ports, Provider, Question, suffix};

/// The `hem` provider. Computes only; costs no call.
#[derive(Debug)]
pub struct Hem {
    input: String,
}

impl Hem {
    pub fn new(config: &HemConfig) -> Self {
        Self { input: config.input.clone() }
    }
}

#[async_trait]
impl Provider for Hem {
    async fn ask(&self, question: &Question<'_>, _ports: &Ports) -> Answer {
        let Some(text) = question.input.get(&self.input).and_then(Value::as_str) else {
            return Answer::Invalid(format!("`{}` is needed", self.input));
        };
        match hashes(text) {
            Ok(hashes) => {
                let fields = Map::from_iter([(HEM_FIELD.to_owned(), hashes)]);
                Answer::Found { fields, confidence: Some(1.0.into()) }
            }
            Err(why) => Answer::Invalid(format!("`{}` {why}", self.input)),
        }
    }
}

/// An e-mail address, trimmed and in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Email {
    local: String,
    domain: String,
}

impl Email {
    /// Reads an address as people write them: a dot-atom of RFC 5322 (letters beyond ASCII allowed, quoting not), `@`, a
    /// domain with a dot; at most 254 bytes in all and 64 before the `@` (RFC 5321, 4.5.3.1).
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "is not an e-mail address";
        let text = text.trim().to_lowercase();
        let (local, domain) = text.rsplit_once('@').ok_or(WRONG)?;
        let atom = |c: char| {
            c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
        };
        let fits = text.len() <= 254 && (1..=64).contains(&local.len());
        if !fits || !local.split('.').all(|part| !part.is_empty() && part.chars().all(atom)) {
            return Err(WRONG);
        }
        let name = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
        if !domain.chars().all(name) || domain.ends_with('.') || suffix::host(domain).is_err() {
            return Err(WRONG);
        }
        Ok(Self { local: local.to_owned(), domain: domain.to_owned() })
    }

    /// The address itself.
    pub(super) fn plain(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// The part before the `@`.
    pub(super) fn local(&self) -> &str {
        &self.local
    }

    /// The part after the `@`, as it was written but for case.
    pub(super) fn domain(&self) -> &str {
        &self.domain
    }

    fn uid2(&self) -> String {
        if self.domain == "gmail.com" { self.canonical() } else { self.plain() }
    }

    fn google(&self) -> String {
        if matches!(self.domain.as_str(), "gmail.com" | "googlemail.com") { self.canonical() } else { self.plain() }
    }

    /// Without dots and `+suffix`, as Gmail delivers.
    fn canonical(&self) -> String {
        let user = self.local.split('+').next().unwrap_or_default();
        format!("{}@{}", user.replace('.', ""), self.domain)
    }
}

fn hashes(text: &str) -> Result<Value, &'static str> {
    let email = Email::parse(text)?;
    let (uid2, google) = (email.uid2(), email.google());
    if uid2.starts_with('@') || google.starts_with('@') {
        return Err("is not an e-mail address");
    }
    let plain = digests(&email.plain());
    let mut with_base64 = digests(&uid2);
    with_base64["sha256_base64"] = STANDARD.encode(Sha256::digest(&uid2)).into();
    Ok(json!({"plain": plain, "uid2": with_base64, "google": digests(&google), "meta": plain}))
}

fn digests(text: &str) -> Value {
    json!({
        "md5": hex::encode(Md5::digest(text)),
        "sha1": hex::encode(Sha1::digest(text)),
        "sha256": hex::encode(Sha256::digest(text)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// UID2 documentation, "Normalization Examples for Email" and "Email Address Hash Encoding".
    #[test]
    fn uid2_published_vectors() {
        for (raw, hex, base64) in [
            (
                "user@example.com",
                "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
                "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ=",
            ),
            (
                "MyEmail@example.com",
                "16c18d336f0b250f0e2d907452ceb9658a74ecdae8bc94864c23122a72cc27a5",
                "FsGNM28LJQ8OLZB0Us65ZYp07NrovJSGTCMSKnLMJ6U=",
            ),
            (
                "MYEMAIL@example.com",
                "16c18d336f0b250f0e2d907452ceb9658a74ecdae8bc94864c23122a72cc27a5",
                "FsGNM28LJQ8OLZB0Us65ZYp07NrovJSGTCMSKnLMJ6U=",
            ),
            (
                "My.Email@example.com",
                "e22b53bc6f871274f3a62ab37a3caed7214fc14d676215a96a242fcfada1c81f",
                "4itTvG+HEnTzpiqzejyu1yFPwU1nYhWpaiQvz62hyB8=",
            ),
            (
                "JANESAOIRSE@example.com",
                "d6670e7a92007f1b5ff785f1fc81e53aa6d3d7bd06bdf5c473cdc7286c284b6d",
                "1mcOepIAfxtf94Xx/IHlOqbT170GvfXEc83HKGwoS20=",
            ),
            (
                "jane.saoirse@example.com",
                "b196432c7b989a2ca91c83799957c515da53e6c13abf20b78fea94f117e90bf8",
                "sZZDLHuYmiypHIN5mVfFFdpT5sE6vyC3j+qU8RfpC/g=",
            ),
            (
                "JaneSaoirse+Work@example.com",
                "28aaee4815230cd3b4ebd88c515226550666e91ac019929e3adac3f66c288180",
                "KKruSBUjDNO069iMUVImVQZm6RrAGZKeOtrD9mwogYA=",
            ),
            (
                " JANE.SAOIRSE@gmail.com ",
                "92ee26057ed9dea2535d6c8b141d48373932476599196e00352254896db5888f",
                "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8=",
            ),
            (
                "JaneSaoirse+Work@gmail.com",
                "92ee26057ed9dea2535d6c8b141d48373932476599196e00352254896db5888f",
                "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8=",
            ),
        ] {
            let hashes = hashes(raw).unwrap();
            assert_eq!(hashes["uid2"]["sha256"], hex, "{raw}");
            assert_eq!(hashes["uid2"]["sha256_base64"], base64, "{raw}");
        }
    }

    /// Meta, "Customer Information Parameters", `em`.
    #[test]
    fn meta_published_vector() {
        let hashes = hashes("  John_Smith@gmail.com").unwrap();
        assert_eq!(hashes["meta"]["sha256"], "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f");
        assert_eq!(hashes["meta"], hashes["plain"]);
    }

    #[test]
    fn the_rules_differ_where_the_platforms_differ() {
        let rules = |raw: &str| {
            let email = Email::parse(raw).unwrap();
            (email.plain(), email.uid2(), email.google())
        };
        let wanted = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(rules("J.Doe+x@Gmail.com"), wanted("j.doe+x@gmail.com", "jdoe@gmail.com", "jdoe@gmail.com"));
        assert_eq!(
            rules("J.Doe+x@googlemail.com"),
            wanted("j.doe+x@googlemail.com", "j.doe+x@googlemail.com", "jdoe@googlemail.com")
        );
        assert_eq!(
            rules("J.Doe+x@mail.gmail.com"),
            wanted("j.doe+x@mail.gmail.com", "j.doe+x@mail.gmail.com", "j.doe+x@mail.gmail.com")
        );
    }

    #[test]
    fn md5_and_sha1_are_the_usual_ones() {
        let hashes = hashes("user@example.com").unwrap();
        assert_eq!(hashes["plain"]["md5"], "b58996c504c5638798eb6b511e6f49af");
        assert_eq!(hashes["plain"]["sha1"], "63a710569261a24b3766275b7000ce8d7b32e2f7");
    }

    #[test]
    fn refuses_what_is_no_address() {
        let long = format!("{}@example.com", "a".repeat(65));
        for raw in [
            "",
            "@",
            "a",
            "a@",
            "@b.com",
            "a@b",
            "a@@b.com",
            "a b@c.com",
            "a@b c.com",
            ".a@b.com",
            "a.@b.com",
            "a..b@c.com",
            "a\r\nbcc:x@y.com",
            "\"a b\"@c.com",
            "a@10.0.0.1",
            "a@[::1]",
            "a@b.com/x",
            "a@https://b.com",
            "+x@gmail.com",
            "a@b.com.",
            "<a@b.com>",
            &long,
        ] {
            assert!(hashes(raw).is_err(), "{raw:?}");
        }
    }
}
