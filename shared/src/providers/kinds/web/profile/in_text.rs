//! Fields from a page's text, if no surer source has them.

use serde_json::Value;

use super::fields::{Profile, add_values, sure};
use super::{country, founded, imprint, phones, postal};
use crate::providers::kinds::phone;
use crate::providers::kinds::web::credits::Credits;
use crate::providers::kinds::web::html::Document;
use crate::providers::kinds::web::places::Place;

/// Puts the fields of the page's text that no surer source has.
pub(super) fn put_text(
    profile: &mut Profile,
    page: &Document,
    host: &str,
    this_year: i32,
    credits: &Credits,
    faxes: &[String],
) {
    let said = |field: &str| profile.fields.get(field).and_then(Value::as_str);
    let legal_name = || imprint::legal_name(&page.lines, host, said("company_name"));
    let legal_name = if said("legal_name").is_none() {
        legal_name()
    } else {
        None
    };
    if let Some((name, places)) = legal_name {
        let sure = match places {
            imprint::Places::Agree => sure::TEXT_TWICE,
            imprint::Places::One => sure::TEXT,
            imprint::Places::Differ => sure::ALONE,
        };
        profile.put_text("legal_name", Some(name), sure);
    }
    if !profile.fields.contains_key("founded_year") {
        let called = ["company_name", "legal_name"]
            .map(|field| profile.fields.get(field).and_then(Value::as_str));
        let year = founded::year_in(&page.lines, host, called.into_iter().flatten(), this_year);
        if let Some((year, said)) = year {
            let sure = match said {
                founded::Said::Founded => sure::TEXT,
                founded::Said::Since => sure::ALONE,
            };
            profile.put("founded_year", Some(year.into()), sure);
        }
    }
    if !profile.fields.contains_key("address") {
        profile.put(
            "address",
            postal::shown(&page.lines).map(Value::Object),
            sure::ALONE,
        );
    }
    if !profile.fields.contains_key("phones") {
        let address = profile
            .fields
            .get("address")
            .and_then(|address| address.get("country")?.as_str());
        let locale = page
            .language
            .as_deref()
            .or_else(|| page.meta(&["og:locale"]));
        let country = country::of(address, host, &page.lines, locale);
        let lines = page
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.place != Place::Others);
        // Beside others they would count as equally sure.
        let mut phones = phone::shown(
            lines.map(|(number, line)| credits.own_part(number, &line.text)),
            country,
        );
        phones.retain(|number| !faxes.iter().any(|fax| phones::same(fax, number)));
        add_values(profile, "phones", phones, sure::TEXT);
    }
}
