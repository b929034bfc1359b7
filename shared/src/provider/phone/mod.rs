//! What a phone number says by itself, by the numbering plans of Google's libphonenumber.
//!
//! | field | |
//! | --- | --- |
//! | `e164` | `+493012345678` (ITU-T E.164) |
//! | `national`, `international` | as people write it at home and abroad |
//! | `country_calling_code` | `"49"` |
//! | `region` | two letters of ISO 3166-1; absent where the plan does not tell, as with `+800` |
//! | `line_type` | `fixed_line`, `mobile`, `fixed_line_or_mobile`, `toll_free`, `premium_rate`, `shared_cost`, `voip`, `personal_number`, `pager`, `uan`, `voicemail`, `unknown` |
//! | `valid` | whether the plan has numbers of this form; not whether this one is in service |
//! | `extension` | digits after `ext.` or `x`, where there are any |
//!
//! Ported numbers keep the type and region that their range was given. A number that can be read is `found`, valid or not;
//! what cannot be read as one is `invalid`.

use async_trait::async_trait;
use rlibphonenumber::{PHONE_NUMBER_UTIL, ParseError, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region};
use serde_json::{Map, Value};

use super::config::PhoneConfig;
use super::{Answer, Ports, Provider, Question};

/// How sure the answer is: the plans are public, what networks do with them is not.
const CONFIDENCE: f64 = 0.9;
/// libphonenumber's own bound.
const MAX_CHARS: usize = 250;

/// The `phone` provider. Computes only. The plans are read at the first question.
#[derive(Debug)]
pub struct Phone {
    config: PhoneConfig,
}

impl Phone {
    pub fn new(config: &PhoneConfig) -> Self {
        Self { config: config.clone() }
    }

    fn answer(&self, input: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        let name = &self.config.input;
        let text = input.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is needed"))?;
        let country = match self.config.country_input.as_ref().and_then(|field| Some((field, input.get(field)?))) {
            Some((field, value)) if !value.is_null() => {
                Some(region(value).ok_or_else(|| format!("`{field}` must be two letters of ISO 3166-1, such as DE"))?)
            }
            _ => self.config.default_country.as_deref().and_then(|code| code.parse().ok()),
        };
        let number = read(text, country).map_err(|why| format!("`{name}` {why}"))?;
        Ok(fields(&number))
    }
}

#[async_trait]
impl Provider for Phone {
    async fn ask(&self, question: &Question<'_>, _ports: &Ports) -> Answer {
        match self.answer(question.input) {
            Ok(fields) => Answer::Found { fields, confidence: Some(CONFIDENCE.into()) },
            Err(why) => Answer::Invalid(why),
        }
    }
}

/// A country that the numbering plans know.
fn region(value: &Value) -> Option<Region> {
    let region: Region = value.as_str()?.trim().parse().ok()?;
    PHONE_NUMBER_UTIL.get_country_code_for_region(region).map(|_| region)
}

fn read(text: &str, country: Option<Region>) -> Result<PhoneNumber, &'static str> {
    let text = text.trim();
    if text.chars().nth(MAX_CHARS).is_some() {
        return Err("is too long for a phone number");
    }
    PHONE_NUMBER_UTIL.parse(plain(text), country).map_err(|error| match error {
        ParseError::InvalidCountryCode if country.is_none() && !text.contains('+') => {
            "has no country: write it with + and the country's code, or give the country"
        }
        ParseError::InvalidCountryCode => "begins with a country code that does not exist",
        ParseError::NotANumber(_) => "is not a phone number",
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn => "is too short for a phone number",
        ParseError::TooLongNsn => "is too long for a phone number",
    })
}

/// A `tel:` URI (RFC 3966) as people write numbers: without the scheme and all parameters but the extension. The library takes
/// such URIs itself, and panics on crafted ones (2.2.15: `9;phone-context=a;phone-context=+`), so that it never sees a `;`.
fn plain(text: &str) -> String {
    let scheme = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("tel:"));
    let text = if scheme { &text[4..] } else { text };
    let (number, parameters) = text.split_once(';').unwrap_or((text, ""));
    match parameters.split(';').find_map(|parameter| parameter.strip_prefix("ext=")) {
        Some(extension) => format!("{number} ext. {extension}"),
        None => number.to_owned(),
    }
}

fn fields(number: &PhoneNumber) -> Map<String, Value> {
    let util = &*PHONE_NUMBER_UTIL;
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    for (name, format) in [
        ("e164", PhoneNumberFormat::E164),
        ("national", PhoneNumberFormat::National),
        ("international", PhoneNumberFormat::International),
    ] {
        set(name, util.format(number, format).into());
    }
    set("country_calling_code", number.country_code.to_string().into());
    if let Some(region) = util.get_region_for_number(number).filter(|region| *region != Region::World) {
        set("region", region.to_string().into());
    }
    set("line_type", line_type(util.get_number_type(number)).into());
    set("valid", util.is_valid_number(number).into());
    if !number.extension().is_empty() {
        set("extension", number.extension().into());
    }
    fields
}

fn line_type(kind: PhoneNumberType) -> &'static str {
    match kind {
        PhoneNumberType::FixedLine => "fixed_line",
        PhoneNumberType::Mobile => "mobile",
        PhoneNumberType::FixedLineOrMobile => "fixed_line_or_mobile",
        PhoneNumberType::TollFree => "toll_free",
        PhoneNumberType::PremiumRate => "premium_rate",
        PhoneNumberType::SharedCost => "shared_cost",
        PhoneNumberType::VoIP => "voip",
        PhoneNumberType::PersonalNumber => "personal_number",
        PhoneNumberType::Pager => "pager",
        PhoneNumberType::UAN => "uan",
        PhoneNumberType::VoiceMail => "voicemail",
        PhoneNumberType::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::config::PHONE_FIELDS;
    use super::super::testing::{input, ports, question};
    use super::*;

    async fn ask(default: Option<&str>, value: Value) -> Answer {
        let config = PhoneConfig {
            input: "phone".to_owned(),
            country_input: Some("country".to_owned()),
            default_country: default.map(str::to_owned),
        };
        Phone::new(&config).ask(&question(&input(value), Duration::from_secs(1)), &ports().0).await
    }

    async fn found(default: Option<&str>, value: Value) -> Value {
        match ask(default, value).await {
            Answer::Found { fields, confidence } => {
                assert_eq!(confidence, Some(CONFIDENCE.into()));
                assert!(fields.keys().all(|name| PHONE_FIELDS.contains(&name.as_str())), "{fields:?}");
                Value::Object(fields)
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_number_is_told_whole() {
        let wanted = json!({
            "e164": "+493012345678", "national": "030 12345678", "international": "+49 30 12345678",
            "country_calling_code": "49", "region": "DE", "line_type": "fixed_line", "valid": true,
        });
        assert_eq!(found(None, json!({"phone": " +49 (0)30 123 456 78 "})).await, wanted);
        assert_eq!(found(Some("DE"), json!({"phone": "030/12345678"})).await, wanted);
        assert_eq!(found(Some("US"), json!({"phone": "030 12345678", "country": "de"})).await, wanted);
        assert_eq!(found(Some("DE"), json!({"phone": "03012345678", "country": null})).await, wanted);
    }

    /// libphonenumber's own examples, and numbers that their owners publish.
    #[tokio::test]
    async fn regions_types_and_forms_are_the_plans_own() {
        for (text, e164, region, kind, valid) in [
            ("+1 650-253-0000", "+16502530000", json!("US"), "fixed_line_or_mobile", true),
            ("+1 800 555 0199", "+18005550199", json!("US"), "toll_free", true),
            ("+44 7400 123456", "+447400123456", json!("GB"), "mobile", true),
            // Kept by the regulator for films, and given to nobody.
            ("+44 7700 900123", "+447700900123", Value::Null, "unknown", false),
            ("+39 06 6982", "+39066982", json!("VA"), "fixed_line", true),
            ("+39 02 1234567", "+39021234567", json!("IT"), "fixed_line", true),
            ("+33 6 12 34 56 78", "+33612345678", json!("FR"), "mobile", true),
            ("+800 1234 5678", "+80012345678", Value::Null, "toll_free", true),
            ("tel:+1-650-253-0000", "+16502530000", json!("US"), "fixed_line_or_mobile", true),
            ("+１６５０２５３００００", "+16502530000", json!("US"), "fixed_line_or_mobile", true),
            ("+1 234", "+1234", Value::Null, "unknown", false),
        ] {
            let fields = found(None, json!({"phone": text})).await;
            assert_eq!(fields["e164"], e164, "{text}");
            assert_eq!(fields.get("region").cloned().unwrap_or_default(), region, "{text}");
            assert_eq!((&fields["line_type"], &fields["valid"]), (&json!(kind), &json!(valid)), "{text}");
        }
        for text in ["+1 650-253-0000 ext. 12", "TEL:+1-650-253-0000;isub=1;ext=12;phone-context=+44"] {
            let fields = found(None, json!({"phone": text})).await;
            assert_eq!((&fields["e164"], &fields["extension"]), (&json!("+16502530000"), &json!("12")), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_no_number_is_invalid_and_says_why() {
        let long = "1".repeat(2_000);
        for (value, why) in [
            (json!({"phone": "030 12345678"}), "has no country"),
            (json!({"phone": "call me"}), "is not a phone number"),
            (json!({"phone": "+999 12345678"}), "country code that does not exist"),
            (json!({"phone": "+49 1"}), "is too short"),
            (json!({"phone": long}), "is too long"),
            (json!({"phone": "030 12345678", "country": "Germany"}), "`country` must be two letters"),
            (json!({"phone": "030 12345678", "country": "ZZ"}), "`country` must be two letters"),
            (json!({}), "`phone` is needed"),
        ] {
            let answer = ask(None, value.clone()).await;
            assert!(matches!(&answer, Answer::Invalid(told) if told.contains(why)), "{value}: {answer:?}");
        }
    }

    /// Inputs that made ports of the library panic (GHSA-whhr-7f2w-qqj2, GHSA-mjw4-jj88-v687, and one found here).
    #[tokio::test]
    async fn crafted_texts_end_in_an_answer() {
        for text in [
            ".;phone-context=",
            "+dwPAA;phone-context=AA",
            ";phone-context=",
            "tel:;phone-context=+",
            "+;phone-context=é",
            "tel:é;phone-context=+é",
            "+1;phone-context=ééé",
            "tel:0;phone-context=+\u{10000}",
            "+\u{fffc};phone-context=\u{fffc}",
            "+1 650 253 0000;isub=\u{1f4a9}",
            "x\u{0}1;ext=\u{ff10}",
            "\u{660}\u{661}\u{662}\u{663}\u{664}",
            "9;phone-context=doorkiezer00ext.;ext=00~*1939tel:.ext.doorkiezerx;phone-context=\u{ff0b}\u{1f4a9}",
        ] {
            for country in [None, Some("DE")] {
                let answer = ask(country, json!({"phone": text})).await;
                assert!(matches!(answer, Answer::Found { .. } | Answer::Invalid(_)), "{text:?}: {answer:?}");
            }
        }
    }
}
