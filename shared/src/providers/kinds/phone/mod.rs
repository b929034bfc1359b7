//! The facts that a phone number has by itself, by the numbering plans of Google's
//! libphonenumber.
//!
//! | field | |
//! | --- | --- |
//! | `e164` | `+493012345678` (ITU-T E.164) |
//! | `national`, `international` | as people write it at home and abroad |
//! | `country_calling_code` | `"49"` |
//! | `region` | two letters of ISO 3166-1; absent where the plan does not tell, as with `+800` |
//! | `line_type` | see below |
//! | `valid` | the plan has numbers of this form; this one need not be in service |
//! | `extension` | digits to dial once the call is taken, where there are any |
//!
//! `line_type` is `fixed_line`, `mobile`, `fixed_line_or_mobile`, `toll_free`, `premium_rate`,
//! `shared_cost`, `voip`, `personal_number`, `pager`, `uan`, `voicemail` or `unknown`.
//!
//! Text around the number is skipped: labels before it, and remarks behind it, as in `Tel. +49 30
//! 123456 (Fax)`. Letters are dialled only if digits alone are not a number of the plan:
//! `1-800-FLOWERS`. Extensions are read as libphonenumber reads them, and `tel:` links with their
//! parameters (RFC 3966).
//!
//! Ported numbers keep the type and region of their range. A number that can be read is `found`,
//! valid or not; any other text is `invalid`.

mod candidates;
pub mod config;
mod country;
mod labels;
mod lookalikes;
mod plain;
mod plan;
mod read;
mod remarks;
mod shown;
mod spelled;
mod words;
mod written;

use std::sync::Arc;

use async_trait::async_trait;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region};
use serde_json::{Map, Value};

use self::config::PhoneConfig;
pub(super) use self::country::region;
pub(super) use self::shown::{is_called, is_fax, shown};
pub(super) use self::written::written;
use crate::catalog::ConfigError;
use crate::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

/// The confidence of the answer: the plans are public, the networks' use of them is not.
const CONFIDENCE: f64 = 0.9;

impl BuildKind for PhoneConfig {
    fn build(&self, _context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(Arc::new(Phone::new(self)))
    }
}

/// The `phone` provider. It only computes. The plans are read at the first question.
#[derive(Debug)]
pub struct Phone {
    config: PhoneConfig,
}

impl Phone {
    /// Makes the provider of a declaration in `providers.toml`.
    pub fn new(config: &PhoneConfig) -> Self {
        Self {
            config: config.clone(),
        }
    }

    fn answer(&self, input: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        let name = &self.config.input;
        let text = input
            .get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("`{name}` is needed"))?;
        let region = match self
            .config
            .country_input
            .as_ref()
            .and_then(|field| Some((field, input.get(field)?)))
        {
            Some((field, value)) if !value.is_null() => {
                let region = value.as_str().and_then(country::region);
                Some(region.ok_or_else(|| {
                    format!("`{field}` must be a country: its name, or DE, or DEU (ISO 3166-1)")
                })?)
            }
            _ => self
                .config
                .default_country
                .as_deref()
                .and_then(|code| code.parse().ok()),
        };
        let number = read::read(text, region).map_err(|why| format!("`{name}` {why}"))?;
        Ok(fields(&number))
    }
}

#[async_trait]
impl Provider for Phone {
    async fn ask(&self, question: &Question<'_>, _ports: &Ports) -> Answer {
        match self.answer(question.input) {
            Ok(fields) => Answer::Found {
                fields,
                confidence: Some(CONFIDENCE.into()),
            },
            Err(why) => Answer::Invalid(why),
        }
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
    set(
        "country_calling_code",
        number.country_code.to_string().into(),
    );
    if let Some(region) = util
        .get_region_for_number(number)
        .filter(|region| *region != Region::World)
    {
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

    use super::config::PHONE_FIELDS;
    use super::*;
    use crate::providers::testing::{input, ports, question};

    async fn ask(default: Option<&str>, value: Value) -> Answer {
        let config = PhoneConfig {
            input: "phone".to_owned(),
            country_input: Some("country".to_owned()),
            default_country: default.map(str::to_owned),
        };
        Phone::new(&config)
            .ask(&question(&input(value), Duration::from_secs(1)), &ports().0)
            .await
    }

    async fn found(default: Option<&str>, value: Value) -> Value {
        match ask(default, value.clone()).await {
            Answer::Found { fields, confidence } => {
                assert_eq!(confidence, Some(CONFIDENCE.into()));
                assert!(
                    fields
                        .keys()
                        .all(|name| PHONE_FIELDS.contains(&name.as_str())),
                    "{fields:?}"
                );
                Value::Object(fields)
            }
            other => panic!("{value}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_number_is_told_whole() {
        let wanted = json!({
            "e164": "+493012345678", "national": "030 12345678", "international": "+49 30 12345678",
            "country_calling_code": "49", "region": "DE", "line_type": "fixed_line", "valid": true,
        });
        assert_eq!(
            found(None, json!({"phone": " +49 (0)30 123 456 78 "})).await,
            wanted
        );
        assert_eq!(
            found(Some("DE"), json!({"phone": "030/12345678"})).await,
            wanted
        );
        assert_eq!(
            found(
                Some("US"),
                json!({"phone": "030 12345678", "country": "de"})
            )
            .await,
            wanted
        );
        assert_eq!(
            found(Some("DE"), json!({"phone": "03012345678", "country": null})).await,
            wanted
        );
    }

    /// libphonenumber's own examples, and numbers that their owners publish.
    #[tokio::test]
    async fn regions_types_and_forms_are_the_plans_own() {
        for (text, e164, region, kind, valid) in [
            (
                "+1 650-253-0000",
                "+16502530000",
                json!("US"),
                "fixed_line_or_mobile",
                true,
            ),
            (
                "+1 800 555 0199",
                "+18005550199",
                json!("US"),
                "toll_free",
                true,
            ),
            (
                "+44 7400 123456",
                "+447400123456",
                json!("GB"),
                "mobile",
                true,
            ),
            // Reserved by the regulator for films.
            (
                "+44 7700 900123",
                "+447700900123",
                Value::Null,
                "unknown",
                false,
            ),
            ("+39 06 6982", "+39066982", json!("VA"), "fixed_line", true),
            (
                "+39 02 1234567",
                "+39021234567",
                json!("IT"),
                "fixed_line",
                true,
            ),
            (
                "+33 6 12 34 56 78",
                "+33612345678",
                json!("FR"),
                "mobile",
                true,
            ),
            (
                "+800 1234 5678",
                "+80012345678",
                Value::Null,
                "toll_free",
                true,
            ),
            (
                "tel:+1-650-253-0000",
                "+16502530000",
                json!("US"),
                "fixed_line_or_mobile",
                true,
            ),
            (
                "+１６５０２５３００００",
                "+16502530000",
                json!("US"),
                "fixed_line_or_mobile",
                true,
            ),
            ("+1 234", "+1234", Value::Null, "unknown", false),
        ] {
            let fields = found(None, json!({"phone": text})).await;
            assert_eq!(fields["e164"], e164, "{text}");
            assert_eq!(
                fields.get("region").cloned().unwrap_or_default(),
                region,
                "{text}"
            );
            assert_eq!(
                (&fields["line_type"], &fields["valid"]),
                (&json!(kind), &json!(valid)),
                "{text}"
            );
        }
        for text in [
            "+1 650-253-0000 ext. 12",
            "TEL:+1-650-253-0000;isub=1;ext=12;phone-context=+44",
        ] {
            let fields = found(None, json!({"phone": text})).await;
            assert_eq!(
                (&fields["e164"], &fields["extension"]),
                (&json!("+16502530000"), &json!("12")),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_remark_is_not_dialled() {
        for (text, country, e164, extension) in [
            ("+49 30 123456 (Fax)", None, "+4930123456", None),
            ("+49 30 123456 Fax", None, "+4930123456", None),
            ("+49 30 123456 (24/7)", None, "+4930123456", None),
            ("(650) 253-0000 (2)", Some("US"), "+16502530000", None),
            ("+49 30 123456 - Zentrale", None, "+4930123456", None),
            ("+49 30 123456 [Büro, 2. OG]", None, "+4930123456", None),
            ("+49 30 123456 (2. OG)", None, "+4930123456", None),
            ("+49 30 123456 Mo-Fr 8-17 Uhr", None, "+4930123456", None),
            ("030/123456 privat", Some("DE"), "+4930123456", None),
            ("+1 650-253-0000 home", None, "+16502530000", None),
            ("(650) 253-0000 (o)", Some("US"), "+16502530000", None),
            ("650.253.0000 mobile", Some("US"), "+16502530000", None),
            (
                "650-253-0000 cell, call after 5",
                Some("US"),
                "+16502530000",
                None,
            ),
            (
                "1-800-356-9377 (1-800-FLOWERS)",
                Some("US"),
                "+18003569377",
                None,
            ),
            ("+7 495 123-45-67 факс", None, "+74951234567", None),
            ("+81 3-1234-5678（代表）", None, "+81312345678", None),
            (
                "+49 30 123456 ext. 12 (Zentrale)",
                None,
                "+4930123456",
                Some("12"),
            ),
            ("+49 30 123456 (Zentrale) x", None, "+4930123456", None),
            // No labels of extensions.
            ("+49 30 123456 (Telefax 12)", None, "+4930123456", None),
            ("+49 30 123456 (Fax 13)", None, "+4930123456", None),
            ("+49 30 123456 (Fax: 123457)", None, "+4930123456", None),
            (
                "020 7946 0958 (Fax 0959)",
                Some("GB"),
                "+442079460958",
                None,
            ),
            ("+49 30 123456 -12 (Fax -13)", None, "+493012345612", None),
            ("+1 650-253-0000 (box 12)", None, "+16502530000", None),
            ("+1 650-253-0000 box 12", None, "+16502530000", None),
            ("+1 650-253-0000 Unix 12", None, "+16502530000", None),
            (
                "Tel. 030/123456 Fax 030/123457",
                Some("DE"),
                "+4930123456",
                None,
            ),
            ("+49 30 123456 Fax 123457", None, "+4930123456", None),
            ("+49 30 123456 Telefax: 12", None, "+4930123456", None),
            ("+49 30 123456 (x12)", None, "+4930123456", Some("12")),
            (
                "+49 30 123456 (Durchwahl 12)",
                None,
                "+4930123456",
                Some("12"),
            ),
            // Hours, prices, floors.
            ("+49 30 123456 24h", None, "+4930123456", None),
            ("+49 30 123456 24 h", None, "+4930123456", None),
            ("+49 30 123456 24/7", None, "+4930123456", None),
            ("+49 30 123456 24x7", None, "+4930123456", None),
            ("+33 1 23 45 67 89 7j/7", None, "+33123456789", None),
            ("+49 30 123456 8-17 Uhr", None, "+4930123456", None),
            ("+49 30 123456 8 - 17 Uhr", None, "+4930123456", None),
            ("+49 30 123456 8 bis 17 Uhr", None, "+4930123456", None),
            ("+49 30 123456 8.30-17.00 Uhr", None, "+4930123456", None),
            ("+49 30 123456 9:00-17:00", None, "+4930123456", None),
            ("+49 30 123456 9am - 5pm", None, "+4930123456", None),
            ("+49 30 123456 2. OG", None, "+4930123456", None),
            ("+49 30 123456 3. Etage links", None, "+4930123456", None),
            ("+39 02 1234567 24 ore", None, "+39021234567", None),
            ("0180 5 123456 14 Ct/min", Some("DE"), "+491805123456", None),
            (
                "0180 5 123456 0,14 €/Min.",
                Some("DE"),
                "+491805123456",
                None,
            ),
            ("+49 30 1234 5678 Zentrale", None, "+493012345678", None),
            ("+49 30 12 34 56 Zentrale", None, "+4930123456", None),
            (
                "0180 5 123456 14 Ct pro Minute",
                Some("DE"),
                "+491805123456",
                None,
            ),
            // No prices, but people and offices.
            ("030 12345 678 Sek/Büro", Some("DE"), "+493012345678", None),
            (
                "030 12345678 14 Ct. / Min.",
                Some("DE"),
                "+493012345678",
                None,
            ),
            ("030 12345 678 Sek.", Some("DE"), "+493012345678", None),
            ("030 12345 678 Ron", Some("DE"), "+493012345678", None),
            ("030 12345 678 Kr.", Some("DE"), "+493012345678", None),
            ("030 12345678 (20 SEK)", Some("DE"), "+493012345678", None),
            ("030 12345678 2,50 SEK", Some("DE"), "+493012345678", None),
            // Second endings.
            ("030 12345678/79", Some("DE"), "+493012345678", None),
            ("030 123456-78/-79", Some("DE"), "+493012345678", None),
            (
                "030 / 12 34 56 - 78 / 79",
                Some("DE"),
                "+493012345678",
                None,
            ),
            ("+49 30 12345678/79/80", None, "+493012345678", None),
            ("+49 34604/20202", None, "+493460420202", None),
            ("01/23/45/67/89", Some("FR"), "+33123456789", None),
            // No extensions behind a comma.
            ("+1 650-253-0000, 5th floor", None, "+16502530000", None),
            ("+1 650-253-0000, 5 Main Street", None, "+16502530000", None),
            ("+1 650-253-0000, 24/7", None, "+16502530000", None),
            ("+49 30 123456, 2. Stock", None, "+4930123456", None),
            (
                "020 7946 0958, 9am to 5pm",
                Some("GB"),
                "+442079460958",
                None,
            ),
            // Labels.
            ("Tel.: +49 30 123456", None, "+4930123456", None),
            (
                "Tel. 030 123456 / Fax 030 123457",
                Some("DE"),
                "+4930123456",
                None,
            ),
            ("Büro 2: 030 123456", Some("DE"), "+4930123456", None),
            (
                "24h Hotline 0800 3301000",
                Some("DE"),
                "+498003301000",
                None,
            ),
            ("☎ +49 30 123456", None, "+4930123456", None),
            // The first of several.
            ("+49 30 123456, +49 171 1234567", None, "+4930123456", None),
            ("+49 30 123456; +49 171 1234567", None, "+4930123456", None),
            ("+49 30 123456 / +49 171 1234567", None, "+4930123456", None),
            (
                "0171 1234567 / 030 123456",
                Some("DE"),
                "+491711234567",
                None,
            ),
            (
                "+49 30 123456 oder +49 171 1234567",
                None,
                "+4930123456",
                None,
            ),
            ("+49 30 123456\n+49 171 1234567", None, "+4930123456", None),
            // Words to dial.
            ("1-800-FLOWERS", Some("US"), "+18003569377", None),
            (
                "1-800-FLOWERS (toll free)",
                Some("US"),
                "+18003569377",
                None,
            ),
            (
                "1-800-FLOWERS ext. 12",
                Some("US"),
                "+18003569377",
                Some("12"),
            ),
            ("1 (800) GO FEDEX", Some("US"), "+18004633339", None),
            ("1-800-HOME-CAR", Some("US"), "+18004663227", None),
            ("1-800-CONTACTS", Some("US"), "+18002668228", None),
            ("+1 800 MATTRESS", None, "+18006288737", None),
            ("13 CATS", Some("AU"), "+61132287", None),
            ("1300 FLOWERS", Some("AU"), "+611300356937", None),
            ("0800 REWE", Some("DE"), "+498007393", None),
            ("0800 REWEREWE", Some("DE"), "+4980073937393", None),
            // Incomplete, and still not a word.
            ("650 2530 fax", Some("US"), "+16502530", None),
            ("+49 30 12 (Fax)", None, "+493012", None),
        ] {
            let fields = found(country, json!({"phone": text})).await;
            assert_eq!(
                (&fields["e164"], fields["extension"].as_str()),
                (&json!(e164), extension),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_price_is_a_remark() {
        let number = "+49 30 123456";
        for price in [
            "(0,20 EUR)",
            "(0.20 EUR)",
            "(1,99 €/min)",
            "[1.99 €]",
            "(20 Cent)",
            "(20ct/min)",
            "(€ 0,20)",
            "(€0.20/min)",
            "($0.99)",
            "(0,20 pro Minute)",
            "(0.20 per call)",
            "(0,20/min)",
            "(2 CHF/Anruf)",
            "(CHF 2.-/Min)",
            "(0,14 €/Min. aus dem Festnetz, max. 0,42 €)",
            "0,20 EUR",
            "0.20 EUR",
            "1,99 €/min",
            "1.99€/min",
            "0,20€",
            "- 0,20 €/Min.",
            ", 0,20 EUR/Min",
            "; 1.99 GBP",
            "€ 0,20",
            "$0.99/min",
            "US$ 0.99",
            "2,50 zł/min",
            "20 kr/min",
            "5 Kč/min",
            "0,123 €",
            "0,20 pro Anruf",
            "EUR 0,20",
            "0,20 euros",
            "1.99 USD per minute",
            "10 ₽",
            "₹5/min",
            "150 Ft/perc",
            "(0,20 Euro inkl. MwSt.)",
            "0,20 CHF",
            "2.- CHF",
        ] {
            let text = format!("{number} {price}");
            for (text, country) in [
                (text.clone(), None),
                (text.replace("+49 ", "0"), Some("DE")),
            ] {
                let fields = found(country, json!({"phone": text})).await;
                let reported = (&fields["e164"], &fields["valid"], fields.get("extension"));
                assert_eq!(
                    reported,
                    (&json!("+4930123456"), &json!(true), None),
                    "{text}"
                );
            }
        }
        for text in ["0,20 EUR/Min: 0180 5 123456", "(0,20 €/Min.) 0180 5 123456"] {
            assert_eq!(
                found(Some("DE"), json!({"phone": text})).await["e164"],
                "+491805123456",
                "{text}"
            );
        }
    }

    /// Without the prefix of calls at home, and with the country's digits: the plus was left out.
    #[tokio::test]
    async fn a_number_may_lack_its_plus_and_its_prefix() {
        for (text, country, e164) in [
            ("49 171 1234567", "DE", "+491711234567"),
            ("491711234567", "DE", "+491711234567"),
            ("491711234567.0", "DE", "+491711234567"),
            ("49-171-1234567", "DE", "+491711234567"),
            ("(49) 171 1234567", "DE", "+491711234567"),
            ("Tel. 49 171 1234567", "DE", "+491711234567"),
            ("49 171 1234567 (mobil)", "DE", "+491711234567"),
            ("49 (0)171 1234567", "DE", "+491711234567"),
            ("49 30 123456", "DE", "+4930123456"),
            ("43 664 1234567", "AT", "+436641234567"),
            ("44 7400 123456", "GB", "+447400123456"),
            ("91 98765 43210", "IN", "+919876543210"),
            // Towns and ranges whose digits are those of the country.
            ("0491 12345", "DE", "+4949112345"),
            ("(0491) 1234567", "DE", "+494911234567"),
            ("4921 123456", "DE", "+494921123456"),
            ("04921 123456", "DE", "+494921123456"),
            ("055 3221 1234", "BR", "+555532211234"),
            ("55 3221 1234", "BR", "+555532211234"),
            ("393 123 4567", "IT", "+393931234567"),
            ("45 12 34 56", "DK", "+4545123456"),
            ("91234 56789", "IN", "+919123456789"),
            ("650-253-0000", "US", "+16502530000"),
            ("1 650-253-0000", "US", "+16502530000"),
        ] {
            assert_eq!(
                found(None, json!({"phone": text, "country": country})).await["e164"],
                e164,
                "{text} {country}"
            );
        }
    }

    #[tokio::test]
    async fn what_stands_before_a_complete_number_is_no_part_of_it() {
        for (text, country, e164) in [
            ("3 x 030 123456", "DE", "+4930123456"),
            ("3x 030 123456", "DE", "+4930123456"),
            ("2 × 0171 1234567", "DE", "+491711234567"),
            ("3 x +49 30 123456", "US", "+4930123456"),
            ("10115 Berlin, 030 123456", "DE", "+4930123456"),
            ("10115 Berlin 030 123456", "DE", "+4930123456"),
            ("20148 Hamburg, Tel. 040 1234567", "DE", "+49401234567"),
            ("80331 München, 089 123456", "DE", "+4989123456"),
            ("D-10115 Berlin, +49 30 123456", "DE", "+4930123456"),
            (
                "Hauptstr. 12, 10115 Berlin, 030 123456",
                "DE",
                "+4930123456",
            ),
            (
                "Hauptstr. 12, 10115 Berlin-Mitte, Haus 3, 2. OG links, Deutschland, Tel.: \
                 030 123456",
                "DE",
                "+4930123456",
            ),
            ("1010 Wien, 01 588580", "AT", "+431588580"),
            ("8001 Zürich, 044 668 18 00", "CH", "+41446681800"),
            ("75001 Paris, 01 23 45 67 89", "FR", "+33123456789"),
            ("00184 Roma, 06 69812345", "IT", "+390669812345"),
            ("New York, NY 10001, (212) 555-0123", "US", "+12125550123"),
            ("London SW1A 1AA, 020 7946 0958", "GB", "+442079460958"),
            ("13 22 87 / 02 1234 5678", "AU", "+61132287"),
            ("2026-11-30, 030 123456", "DE", "+4930123456"),
            ("030 123456, 30.11.2026", "DE", "+4930123456"),
        ] {
            let fields = found(None, json!({"phone": text, "country": country})).await;
            assert_eq!(
                (&fields["e164"], &fields["valid"]),
                (&json!(e164), &json!(true)),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_date_is_no_number() {
        for text in [
            "2026-11-30",
            "2026/11/30",
            "2026.11.30",
            "2026-11-30T10:15:00Z",
            "2026-11-30 10:15",
            "30.11.2026",
            "30. 11. 2026",
            "30/11/2026",
            "11/30/2026",
            "30-11-2026",
            "1.5.2026",
            "Datum: 30.11.2026",
            "30. November 2026",
            "30 Nov 2026",
            "Nov 30, 2026",
            "November 30th, 2026",
            "30 de noviembre de 2026",
            "30-Nov-2026",
            "seit 30.11.2026",
            "4,93012E+11",
            "4.93012e11",
        ] {
            for country in ["DE", "US", "FR", "DK"] {
                let answer = ask(None, json!({"phone": text, "country": country})).await;
                assert!(
                    matches!(
                        &answer,
                        Answer::Invalid(why) if why.contains("is not a phone number")
                    ),
                    "{text} {country}: {answer:?}"
                );
            }
        }
        // A span of years, but where the plan has its digits.
        for text in ["2019 - 2026", "2010-2015", "2010-2015."] {
            for country in ["DE", "US", "FR"] {
                let answer = ask(None, json!({"phone": text, "country": country})).await;
                assert!(
                    matches!(answer, Answer::Invalid(_)),
                    "{text} {country}: {answer:?}"
                );
            }
        }
        // Grouped like dates, and numbers.
        for (text, country, e164) in [
            ("2010-2015", "DK", "+4520102015"),
            ("2010-2015", "CR", "+50620102015"),
            ("2010 - 2015", "DK", "+4520102015"),
            ("Tel. 20 1985", "FO", "+298201985"),
            ("Telefon: 20 1985", "FO", "+298201985"),
            ("Telefon nr. 20 1985", "FO", "+298201985"),
            ("Fax 20 1985", "FO", "+298201985"),
            ("20 26 11 30", "DK", "+4520261130"),
            ("030 11 2026", "DE", "+4930112026"),
        ] {
            assert_eq!(
                found(Some(country), json!({"phone": text})).await["e164"],
                e164,
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn words_behind_a_number_that_misses_digits_are_not_dialled() {
        for (text, country, e164) in [
            ("+49 30 12 Zentrale", None, "+493012"),
            ("+49 30 12 Office", None, "+493012"),
            ("+49 30 12 mobil", None, "+493012"),
            ("+49 30 12 Fax", None, "+493012"),
            ("+49 30 12 direct", None, "+493012"),
            ("+49 30 12 - Buchhaltung", None, "+493012"),
            ("+49 30 12 BUCHHALTUNG", None, "+493012"),
            ("030 12 Frau Meier", Some("DE"), "+493012"),
            ("+49 171 12 Jane", None, "+4917112"),
            ("0800 123 Bestellung", Some("DE"), "+49800123"),
            ("+44 20 79 Front Desk", None, "+442079"),
            ("+33 1 23 accueil", None, "+33123"),
            ("+61 2 12 Reception", None, "+61212"),
            ("415-2368 work", Some("US"), "+14152368"),
            ("650-253-000 home", Some("US"), "+1650253000"),
            ("(650) 253 accounting", Some("US"), "+1650253"),
            ("(650) 253 Home", Some("US"), "+1650253"),
            ("(650) Accounting", Some("US"), "+1650"),
            ("800-356 Orders", Some("US"), "+1800356"),
            ("(650) 253-DESK", Some("US"), "+1650253"),
            ("650 253 HOME", Some("US"), "+1650253"),
            ("1800 FREE", Some("IE"), "+3531800"),
            ("+49 800 Firma Meyer", None, "+49800"),
            ("+49 800 Meyer", None, "+49800"),
            ("+49 800 Flugreise", None, "+49800"),
            ("0180 5 Service", Some("DE"), "+491805"),
            ("0180 5 SERVICE", Some("DE"), "+491805"),
        ] {
            let fields = found(country, json!({"phone": text})).await;
            assert_eq!(
                (&fields["e164"], &fields["valid"]),
                (&json!(e164), &json!(false)),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn words_that_are_sold_as_numbers_are_dialled() {
        for (text, country, e164, valid) in [
            ("0800-REISE", "DE", "+4980073473", false),
            ("0800 7 REISEN", "DE", "+498007734736", true),
            ("0800 PIZZAPIZZA", "DE", "+498007499274992", true),
            ("0180 5 REISEN", "DE", "+491805734736", true),
            ("0700 PETERPAN", "DE", "+4970073837726", true),
            ("+49 800 FLUGREISE", "DE", "+49800358473473", true),
            ("0800 flugreise", "DE", "+49800358473473", true),
            ("0800 FLOWERS", "GB", "+448003569377", true),
            ("1-800-flowers", "US", "+18003569377", true),
            ("1-888-4-CREDIT", "US", "+18884273348", true),
            ("1-800-SIX-FLAGS", "US", "+18007493524", true),
            ("(212) NEW-YORK", "US", "+12126399675", true),
            ("650-253-PLUM", "US", "+16502537586", true),
            ("1800 REVERSE", "AU", "+611800738377", true),
        ] {
            let fields = found(None, json!({"phone": text, "country": country})).await;
            assert_eq!(
                (&fields["e164"], &fields["valid"]),
                (&json!(e164), &json!(valid)),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn of_two_numbers_within_a_town_the_first_counts() {
        for text in [
            "555-0100 / 555-0101",
            "555-0100, 555-0101",
            "555 0100/555 0101",
            "555-0100 or 555-0101",
        ] {
            assert_eq!(
                found(Some("US"), json!({"phone": text})).await["e164"],
                "+15550100",
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn extensions_are_read_in_every_notation() {
        for tail in [
            "ext 123",
            "ext.123",
            "ext. 123",
            "Ext: 123",
            "EXT 123",
            "extn 123",
            "extension 123",
            "extensión 123",
            "x123",
            "x 123",
            " X.123",
            "#123",
            " # 123",
            "~123",
            ";ext=123",
            ";EXT=123",
            "; ext=1-23",
            ";isub=1;ext=123;foo=bar",
            "доб 123",
            "ДОБ. 123",
            " int 123",
            "anexo 123",
            " Anexo:123",
            " ｅｘｔ １２３",
            "；ｅｘｔ＝１２３",
            "ｘ１２３",
            " ｉｎｔ 123",
            ",123",
            ",,123#",
            ";123",
            " - 123#",
            " Durchwahl 123",
            ", Poste: 123",
            " DW123",
            " (ext. 123)",
            " ext. \u{661}\u{662}\u{663}",
        ] {
            let fields = found(None, json!({"phone": format!("+1 650-253-0000{tail}")})).await;
            assert_eq!(
                (&fields["e164"], &fields["extension"]),
                (&json!("+16502530000"), &json!("123")),
                "{tail}"
            );
        }
    }

    #[tokio::test]
    async fn links_are_read_with_their_parameters_in_any_case() {
        for (text, country, e164) in [
            ("tel:030-123456;phone-context=+49", None, "+4930123456"),
            ("TEL:030-123456;Phone-Context=+49", None, "+4930123456"),
            ("tel:253-0000;phone-context=+1-650", None, "+16502530000"),
            (
                "tel:253-0000;isub=12;PHONE-CONTEXT=+1650;ext=1",
                None,
                "+16502530000",
            ),
            (
                "tel:030123456;phone-context=example.com",
                Some("DE"),
                "+4930123456",
            ),
            ("tel:+49-30-123456;phone-context=+1", None, "+4930123456"),
            ("tel://+49-30-123456", None, "+4930123456"),
            ("tel:+49%2030%20123456", None, "+4930123456"),
            ("tel:%2B4930123456", None, "+4930123456"),
            ("callto:+4930123456", None, "+4930123456"),
            ("sms:+4930123456?body=x", None, "+4930123456"),
        ] {
            assert_eq!(
                found(country, json!({"phone": text})).await["e164"],
                e164,
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn countries_and_the_prefixes_for_calls_abroad_are_read_as_people_write_them() {
        for (text, country, e164) in [
            ("030 123456", "DEU", "+4930123456"),
            ("030 123456", "Germany", "+4930123456"),
            ("030 123456", "Deutschland", "+4930123456"),
            ("0049 30 123456", "DE", "+4930123456"),
            ("00 49 (0)30 123456", "DE", "+4930123456"),
            ("(0049) 30 123456", "de", "+4930123456"),
            ("0044 20 7946 0018", "DE", "+442079460018"),
            ("0049 30 123456 (Fax)", "DE", "+4930123456"),
            ("011 49 30 123456", "US", "+4930123456"),
            ("0049 30 123456", "US", "+4930123456"),
            ("0049 30 123456", "BR", "+4930123456"),
            ("0049 30 123456", "Russia", "+4930123456"),
            ("810 49 30 123456", "RU", "+4930123456"),
            ("0011 49 30 123456", "AU", "+4930123456"),
            ("010 49 30 123456", "Japan", "+4930123456"),
            ("+49 30 123456", "US", "+4930123456"),
            ("０３０－１２３４５６", "DE", "+4930123456"),
            ("＋４９（３０）１２３４５６", "US", "+4930123456"),
            (
                "\u{660}\u{663}\u{660} \u{661}\u{662}\u{663}\u{664}\u{665}\u{666}",
                "DE",
                "+4930123456",
            ),
            (
                "\u{6f0}\u{6f0}\u{6f4}\u{6f9} \u{6f3}\u{6f0} \
                 \u{6f1}\u{6f2}\u{6f3}\u{6f4}\u{6f5}\u{6f6}",
                "DE",
                "+4930123456",
            ),
            (
                "\u{202a}+49\u{a0}30\u{2011}123456\u{202c}",
                "DE",
                "+4930123456",
            ),
            ("03ー1234ー5678", "JP", "+81312345678"),
            ("49301234567.0", "DE", "+49301234567"),
            ("+4930123456.0", "DE", "+4930123456"),
            ("+4930123456.00", "US", "+4930123456"),
            ("4930123456,0", "DE", "+4930123456"),
            ("4930123450.0", "DE", "+4930123450"),
            ("6325.0000", "SG", "+6563250000"),
            ("63250000.0", "SG", "+6563250000"),
            ("01·23·45·67·89", "FR", "+33123456789"),
            ("(0xx11) 4107-2510", "BR", "+551141072510"),
        ] {
            assert_eq!(
                found(None, json!({"phone": text, "country": country})).await["e164"],
                e164,
                "{text} {country}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_no_number_is_invalid_and_says_why() {
        let long = "1".repeat(2_000);
        for (value, why) in [
            (json!({"phone": "030 12345678"}), "has no country"),
            (json!({"phone": "call me"}), "is not a phone number"),
            (
                json!({"phone": "+999 12345678"}),
                "country code that does not exist",
            ),
            (json!({"phone": "+49 1"}), "is too short"),
            (json!({"phone": long}), "is too long"),
            (
                json!({"phone": "030 12345678", "country": "Atlantis"}),
                "`country` must be a country",
            ),
            (
                json!({"phone": "030 12345678", "country": "ZZ"}),
                "`country` must be a country",
            ),
            (
                json!({"phone": "030 12345678", "country": 49}),
                "`country` must be a country",
            ),
            (json!({"phone": "030 123456 (Fax)"}), "has no country"),
            (json!({"phone": "030 123456 факс"}), "has no country"),
            (
                json!({"phone": "tel:7042;phone-context=+", "country": "DE"}),
                "is not a phone number",
            ),
            (
                json!({"phone": "tel:7042;phone-context=a..b", "country": "DE"}),
                "is not a phone number",
            ),
            (
                json!({"phone": "tel:12345678;phone-context=example.com"}),
                "has no country",
            ),
            (json!({}), "`phone` is needed"),
        ] {
            let answer = ask(None, value.clone()).await;
            assert!(
                matches!(&answer, Answer::Invalid(reported) if reported.contains(why)),
                "{value}: {answer:?}"
            );
        }
    }

    #[test]
    fn numbers_are_read_as_links_and_people_write_them() {
        for (text, wanted) in [
            ("tel:+49\u{2013}30\u{2011}123456", &["+49-30-123456"][..]),
            ("Tel:+49 30 123456", &["+49 30 123456"]),
            ("TEL:+4930123456", &["+4930123456"]),
            ("tel://+49 (30) 123456", &["+49 (30) 123456"]),
            ("tel:+49%2030%20123456", &["+49 30 123456"]),
            ("tel:+49\u{a0}30\u{2009}123456", &["+49 30 123456"]),
            ("tel:\u{ff0b}\u{ff14}\u{ff19}30123456", &["+4930123456"]),
            ("tel:+1-555-010-9999;ext=12", &["+1-555-010-9999;ext=12"]),
            (
                "tel:+1-555-010-9999;EXT=12;isub=3",
                &["+1-555-010-9999;ext=12"],
            ),
            ("tel:0109999;phone-context=+1555", &["+15550109999"]),
            ("tel:0109999;phone-context=acme.example", &["0109999"]),
            ("+1 555 010 9999 ext. 12", &["+1 555 010 9999 ext. 12"]),
            ("+1 555 010 9999 Ext 12", &["+1 555 010 9999 ext. 12"]),
            (
                "+1 555 010 9999, extension 12",
                &["+1 555 010 9999 ext. 12"],
            ),
            ("+1 555 010 9999 x12", &["+1 555 010 9999 ext. 12"]),
            ("+1 555 010 9999 (ext. 12)", &["+1 555 010 9999 ext. 12"]),
            ("+1 555 010 9999 #12", &["+1 555 010 9999 ext. 12"]),
            ("+49 30 123456 Durchwahl 12", &["+49 30 123456 ext. 12"]),
            ("+33 1 23 45 67 89 poste 12", &["+33 1 23 45 67 89 ext. 12"]),
            ("Tel.: +49 30 123456", &["+49 30 123456"]),
            ("Telefon +49 30 123456", &["+49 30 123456"]),
            ("Tel. (030) 123456", &["(030) 123456"]),
            ("+49 (0)30 / 123456", &["+49 (0)30 / 123456"]),
            ("+49 34604/20202", &["+49 34604/20202"]),
            ("030/123456-7", &["030/123456-7"]),
            ("01/23/45/67/89", &["01/23/45/67/89"]),
            (
                "\u{660}\u{663}\u{660} \u{661}\u{662}\u{663}\u{664}\u{665}\u{666}",
                &["030 123456"],
            ),
            ("555-0100 / 555-0101", &["555-0100", "555-0101"]),
            ("030 123456 / 030 123457", &["030 123456", "030 123457"]),
            (
                "+49 30 123456/+49 171 1234567; 0171 1234568",
                &["+49 30 123456", "+49 171 1234567", "0171 1234568"],
            ),
            ("555-0100 / 555,-0101", &[]),
            (
                "01/23/45/67/89, 01/23/45/67/90",
                &["01/23/45/67/89", "01/23/45/67/90"],
            ),
            ("Tel. 030 123456 / Fax 030 123457", &["030 123456"]),
            ("Fax: +49 30 123456", &[]),
            ("Faxnr. +49 30 123456", &[]),
            ("Halifax: +44 1422 345678", &["+44 1422 345678"]),
            ("Fairfax +1 703-253-0000", &["+1 703-253-0000"]),
            ("Tel./Fax: +49 30 123456", &["+49 30 123456"]),
            ("Telefon & Fax +49 30 123456", &["+49 30 123456"]),
            ("Tel. ( 030 ) 123456", &["(030) 123456"]),
            ("tel:138 0013 8000", &["138 0013 8000"]),
            ("138 0571 8888", &["138 0571 8888"]),
            ("338 012 3456", &["338 012 3456"]),
            ("2 0171 1234567", &["0171 1234567"]),
            ("9-17 030 123456", &["030 123456"]),
            ("Telefax +49 30 123456", &[]),
            ("+49 30 123456 (Fax)", &[]),
            ("+49 30 123456 (Telefax 12)", &[]),
            ("+49 30 123456 Box 12", &[]),
            ("030 12345678/79", &["030 12345678"]),
            ("030 123456-78/-79", &["030 123456-78"]),
            ("030 / 12 34 56 - 78 / 79", &["030 / 12 34 56 - 78"]),
            ("+49 30 123456/78", &["+49 30 123456"]),
            ("24/7 030 123456", &["030 123456"]),
            ("24/7 (030) 123456", &["(030) 123456"]),
            ("Box 12 +49 30 123456", &["+49 30 123456"]),
            ("(+49) 30 123456", &["(+49) 30 123456"]),
            ("555 0100", &["555 0100"]),
            ("01 02 03 04 05", &["01 02 03 04 05"]),
            ("912.345.678", &["912.345.678"]),
            ("2024-01-05", &[]),
            ("05.01.2024", &[]),
            ("1/5/2024", &[]),
            ("1998 - 2024", &[]),
            ("10.000.000", &[]),
            ("1.250.000", &[]),
            ("250.000.000", &[]),
            ("++++++123456", &[]),
            ("030 123456 +49 30 123456", &[]),
            ("+1 800 FLOWERS", &[]),
            ("+1 555 010 9999 and more", &[]),
            ("+1 555 010 9999 ext. 123456789", &[]),
            ("+1 555 010 9999 x", &[]),
            ("12345", &[]),
            ("1234567890123456", &[]),
            ("tel:", &[]),
            ("", &[]),
        ] {
            assert_eq!(written(text), wanted, "{text}");
            for number in wanted {
                assert_eq!(written(number), [*number], "{text}");
            }
        }
    }

    /// Cut at every place, with an odd piece in every place: there is an answer, and a valid number
    /// reads as itself.
    #[test]
    fn malformed_texts_end_in_an_answer_and_numbers_read_as_themselves() {
        let odd = [
            "",
            "+",
            ";",
            ";ext=",
            ";phone-context=",
            "(",
            "x",
            " Fax ",
            "\u{661}",
            "é",
            "00",
        ];
        for form in [
            "Tel: +49 (0)30 123456 ext. 12 (Büro 2), 030 1",
            "tel:030-123456;ext=1;phone-context=+49",
            "1-800-FLOWERS #12",
        ] {
            for (at, _) in form.char_indices() {
                let (head, tail) = form.split_at(at);
                for text in odd
                    .iter()
                    .flat_map(|odd| [format!("{head}{odd}"), format!("{head}{odd}{tail}")])
                {
                    let Ok(number) = read::read(&text, Some(Region::US)) else {
                        continue;
                    };
                    if PHONE_NUMBER_UTIL.is_valid_number(&number) {
                        let e164 = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164);
                        let again = read::read(&e164, None)
                            .unwrap_or_else(|why| panic!("{text:?}: {e164} {why}"));
                        assert_eq!(
                            PHONE_NUMBER_UTIL.format(&again, PhoneNumberFormat::E164),
                            e164,
                            "{text:?}"
                        );
                    }
                }
            }
        }
    }

    /// Inputs that made ports of the library panic (GHSA-whhr-7f2w-qqj2, GHSA-mjw4-jj88-v687, and
    /// one found here).
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
            "1-800-FLOWERS #12345\u{20ac}\u{20ac}",
            "0800 ABC ext. 1\u{20ac}",
            "\u{660}\u{661}\u{662}\u{663}\u{664}",
            "9;phone-context=doorkiezer00ext.;ext=00~*1939tel:.ext.doorkiezerx;\
             phone-context=\u{ff0b}\u{1f4a9}",
        ] {
            for country in [None, Some("DE")] {
                let answer = ask(country, json!({"phone": text})).await;
                assert!(
                    matches!(answer, Answer::Found { .. } | Answer::Invalid(_)),
                    "{text:?}: {answer:?}"
                );
            }
        }
    }
}
