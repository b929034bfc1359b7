//! `kind = "domain_finder"`: a company's domain by its name, found by looking.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::reader::Table;
use super::settings::{COMMON, Settings};
use super::web::{self, WebConfig};

/// A company's domain by its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainFinderConfig {
    /// The input field that holds the name; `company_name` where the file says nothing.
    pub input: String,
    /// Tried behind the name in this order. Never empty.
    pub tlds: Vec<String>,
    /// How many domains are looked up in the DNS for a record, 1 to 50.
    pub max_candidates: usize,
    /// How many sites are asked for their home page for a record, 1 to 10.
    pub max_fetches: usize,
    pub web: WebConfig,
}

/// The output fields of the `domain_finder` provider.
pub const DOMAIN_FINDER_FIELDS: [&str; 2] = ["domain", "company_name"];

/// Where the file says nothing.
const TLDS: [&str; 10] = [
    "com", "io", "ai", "co", "net", "org", "app", "dev", "de", "co.uk",
];

impl DomainFinderConfig {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let own = ["input", "tlds", "max_candidates", "max_fetches"];
        table.only_and(&COMMON, &[&own[..], &WebConfig::KEYS].concat())?;
        let mut tlds: Vec<String> = Vec::new();
        if let Some(entry) = table.get("tlds") {
            for item in entry.array()? {
                let tld = item.str()?;
                let label = |l: &str| {
                    !l.is_empty()
                        && l.bytes()
                            .all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit())
                };
                if tld.len() > 63 || !tld.split('.').all(label) {
                    return Err(item.error(format!(
                        "`{tld}` is no top-level domain; write it as in tlds = [\"com\", \"co.uk\"]"
                    )));
                }
                if tlds.iter().any(|t| t == tld) {
                    return Err(item.error(format!("`{tld}` is there twice; remove one")));
                }
                tlds.push(tld.to_owned());
            }
            if tlds.is_empty() {
                return Err(entry.error(
                    "tlds is empty; name some, such as tlds = [\"com\", \"io\"], or leave it out",
                ));
            }
        } else {
            tlds = TLDS.map(str::to_owned).to_vec();
        }
        let count = |name, most, default| {
            let number = table.number(name, 1, most)?.unwrap_or(default);
            Ok::<_, ConfigError>(usize::try_from(number).unwrap_or(usize::MAX))
        };
        Ok(Self {
            input: web::input(table, "company_name")?,
            tlds,
            max_candidates: count("max_candidates", 50, 20)?,
            max_fetches: count("max_fetches", 10, 4)?,
            web: WebConfig::read(table, 25)?,
        })
    }
}

impl Settings for DomainFinderConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(DOMAIN_FINDER_FIELDS.map(str::to_owned).to_vec())
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.web.timeout)
    }
}
