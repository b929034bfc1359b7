//! `kind = "site"`: a company's profile from its home page.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::reader::Table;
use super::settings::{COMMON, Settings};
use super::web::{self, WebConfig};

/// A company's profile from its home page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SiteConfig {
    /// The input field that holds the domain; `domain` where the file says nothing.
    pub input: String,
    pub web: WebConfig,
}

/// The output fields of the `site` provider.
pub const SITE_FIELDS: [&str; 19] = [
    "company_name",
    "legal_name",
    "description",
    "domain",
    "url",
    "logo_url",
    "phones",
    "emails",
    "address",
    "founded_year",
    "employees",
    "employee_range",
    "social_profiles",
    "contact_url",
    "careers_url",
    "feed_url",
    "title",
    "language",
    "redirected_from",
];

impl SiteConfig {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        table.only_and(&COMMON, &[&["input"][..], &WebConfig::KEYS].concat())?;
        Ok(Self {
            input: web::input(table, "domain")?,
            web: WebConfig::read(table, 20)?,
        })
    }
}

impl Settings for SiteConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(SITE_FIELDS.map(str::to_owned).to_vec())
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.web.timeout)
    }
}
