//! `kind = "phone"`: the facts that a phone number has by itself.

use serde::{Deserialize, Serialize};

use crate::catalog::{ConfigError, Entry, KindConfig, Settings, Table};

/// A phone number, analysed by the numbering plans.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PhoneConfig {
    /// The input field with the number; `phone` if the file does not say.
    pub input: String,
    /// The input field with the country that a number without `+` belongs to.
    pub country_input: Option<String>,
    /// The country if that field is absent or empty.
    pub default_country: Option<String>,
}

/// The output fields of the `phone` provider.
pub const PHONE_FIELDS: [&str; 8] = [
    "e164",
    "national",
    "international",
    "country_calling_code",
    "region",
    "line_type",
    "valid",
    "extension",
];

impl KindConfig for PhoneConfig {
    const NAME: &'static str = "phone";
    const KEYS: &'static [&'static [&'static str]] =
        &[&["input", "country_input", "default_country"]];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let input = table.input("phone")?;
        let country_input = table
            .get("country_input")
            .map(|entry| entry.field())
            .transpose()?;
        let default_country = table
            .get("default_country")
            .map(|entry| country(&entry))
            .transpose()?;
        Ok(Self {
            input,
            country_input,
            default_country,
        })
    }
}

fn country(entry: &Entry<'_>) -> Result<String, ConfigError> {
    let code = entry.str()?;
    if code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()) {
        Ok(code.to_owned())
    } else {
        Err(entry.error("a country is two capital letters of ISO 3166-1, such as \"DE\""))
    }
}

impl Settings for PhoneConfig {
    fn needs(&self) -> Vec<String> {
        [Some(&self.input), self.country_input.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    fn required(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(PHONE_FIELDS.map(str::to_owned).to_vec())
    }
}
