//! Hashed e-mail addresses, under the normalisation rules that the receiving platforms publish.
//!
//! One output field, `hashes`:
//!
//! ```json
//! {"plain":  {"address": "…", "md5": "…", "sha1": "…", "sha256": "…"},
//!  "uid2":   {"address": "…", "md5": "…", "sha1": "…", "sha256": "…", "sha256_base64": "…"},
//!  "google": {"address": "…", "md5": "…", "sha1": "…", "sha256": "…"},
//!  "meta":   {"address": "…", "md5": "…", "sha1": "…", "sha256": "…"}}
//! ```
//!
//! `address` is the text of the digests beside it. Digests are lower-case hex, `sha256_base64` is
//! the standard alphabet with padding over the digest's bytes (UID2's `email_hash`). The rules:
//!
//! - `plain`: the address alone, without a name, a scheme or white space around it, in lower case
//!   and in Unicode's form NFC.
//! - `uid2`: as `plain`; at `gmail.com` alone also without dots and `+suffix` in the user part.
//!   Source: UID2 documentation, "Normalization and Encoding",
//!   <https://unifiedid.com/docs/getting-started/gs-normalization-encoding>.
//! - `google`: as `plain`; at `gmail.com` and `googlemail.com` also without dots and `+suffix`.
//!   Source: Google Ads API, "Manage online click conversions", normalise and hash. (Google's older
//!   client samples keep the suffix; an account's own address has none, so that a hash with it does
//!   not match.)
//! - `meta`: as `plain`. Source: Meta, Conversions API, "Customer Information Parameters", `em`.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::catalog::{ConfigError, KindConfig, Settings, Table};
use crate::providers::kinds::email::address::Email;
use crate::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

/// The hashes of an e-mail address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HemConfig {
    /// The input field with the address; `email` if the file does not say.
    pub input: String,
}

/// The output field of the `hem` provider.
pub const HEM_FIELD: &str = "hashes";

impl KindConfig for HemConfig {
    const NAME: &'static str = "hem";
    const KEYS: &'static [&'static [&'static str]] = &[&["input"]];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let input = table.input("email")?;
        Ok(Self { input })
    }
}

impl Settings for HemConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(vec![HEM_FIELD.to_owned()])
    }
}

impl BuildKind for HemConfig {
    fn build(&self, _context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(Arc::new(Hem::new(self)))
    }
}

/// The `hem` provider. Computes only; costs no call.
#[derive(Debug)]
pub struct Hem {
    input: String,
}

impl Hem {
    /// Creates the provider of these settings.
    pub fn new(config: &HemConfig) -> Self {
        Self {
            input: config.input.clone(),
        }
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
                Answer::Found {
                    fields,
                    confidence: Some(1.0.into()),
                }
            }
            Err(why) => Answer::Invalid(format!("`{}` {why}", self.input)),
        }
    }
}

/// Returns the address that UID2 hashes.
fn uid2(email: &Email) -> String {
    if email.domain() == "gmail.com" {
        canonical(email)
    } else {
        email.plain()
    }
}

/// Returns the address that Google hashes.
fn google(email: &Email) -> String {
    if matches!(email.domain(), "gmail.com" | "googlemail.com") {
        canonical(email)
    } else {
        email.plain()
    }
}

/// Returns the address without dots and `+suffix`, as Gmail delivers.
fn canonical(email: &Email) -> String {
    let user = email.local().split('+').next().unwrap_or_default();
    format!("{}@{}", user.replace('.', ""), email.domain())
}

fn hashes(text: &str) -> Result<Value, &'static str> {
    let email = Email::parse(text)?;
    let (uid2, google) = (uid2(&email), google(&email));
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
        "address": text,
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
        assert_eq!(
            hashes["meta"]["sha256"],
            "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
        );
        assert_eq!(hashes["meta"], hashes["plain"]);
    }

    #[test]
    fn the_rules_differ_where_the_platforms_differ() {
        let rules = |raw: &str| {
            let email = Email::parse(raw).unwrap();
            (email.plain(), uid2(&email), google(&email))
        };
        let wanted = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            rules("J.Doe+x@Gmail.com"),
            wanted("j.doe+x@gmail.com", "jdoe@gmail.com", "jdoe@gmail.com")
        );
        assert_eq!(
            rules("J.Doe+x@googlemail.com"),
            wanted(
                "j.doe+x@googlemail.com",
                "j.doe+x@googlemail.com",
                "jdoe@googlemail.com"
            )
        );
        assert_eq!(
            rules("J.Doe+x@mail.gmail.com"),
            wanted(
                "j.doe+x@mail.gmail.com",
                "j.doe+x@mail.gmail.com",
                "j.doe+x@mail.gmail.com"
            )
        );
    }

    #[test]
    fn md5_and_sha1_are_the_usual_ones() {
        let hashes = hashes("user@example.com").unwrap();
        assert_eq!(hashes["plain"]["md5"], "b58996c504c5638798eb6b511e6f49af");
        assert_eq!(
            hashes["plain"]["sha1"],
            "63a710569261a24b3766275b7000ce8d7b32e2f7"
        );
    }

    #[test]
    fn each_hash_says_what_it_was_made_of() {
        let shown = |raw: &str| {
            let hashes = hashes(raw).unwrap();
            ["plain", "uid2", "google", "meta"].map(|rule| {
                let address = hashes[rule]["address"].as_str().unwrap().to_owned();
                assert_eq!(
                    hashes[rule]["sha256"],
                    hex::encode(Sha256::digest(&address)),
                    "{raw}"
                );
                address
            })
        };
        assert_eq!(
            shown("\u{feff}\"Doe, Jane\" <J.Doe+x@GoogleMail.com>;"),
            [
                "j.doe+x@googlemail.com",
                "j.doe+x@googlemail.com",
                "jdoe@googlemail.com",
                "j.doe+x@googlemail.com"
            ]
        );
        assert_eq!(shown("mailto:jose\u{301}@x.com"), ["jos\u{e9}@x.com"; 4]);
        assert_eq!(shown("Jane Doe jane@x.com"), ["jane@x.com"; 4]);
        assert_eq!(hashes("jose\u{301}@x.com"), hashes("jos\u{e9}@x.com"));
    }

    #[test]
    fn refuses_what_is_no_address_or_several() {
        for raw in [
            "",
            "a@b",
            "+x@gmail.com",
            ".@gmail.com",
            "a@x.com, b@x.com",
            "jane doe@x.com",
            "a;b@x.com",
        ] {
            assert!(hashes(raw).is_err(), "{raw:?}");
        }
    }
}
