//! `kind = "signals"`: what is new about a company, by its own site.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::reader::Table;
use super::settings::{COMMON, Settings};
use super::web::{self, WebConfig};

/// What is new about a company, by its own site.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignalsConfig {
    /// The input field that holds the domain; `domain` where the file says nothing.
    pub input: String,
    /// How many signals a record gets, 1 to 100, the newest.
    pub max_items: usize,
    /// What is older is no news, 1 to 3650 days.
    pub max_age: Duration,
    pub web: WebConfig,
}

/// The output fields of the `signals` provider.
pub const SIGNALS_FIELDS: [&str; 4] = ["signals", "open_positions", "careers_url", "feed_url"];

impl SignalsConfig {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let own = ["input", "max_items", "max_age_days"];
        table.only_and(&COMMON, &[&own[..], &WebConfig::KEYS].concat())?;
        let days = table.number("max_age_days", 1, 3650)?.unwrap_or(365);
        Ok(Self {
            input: web::input(table, "domain")?,
            max_items: usize::try_from(table.number("max_items", 1, 100)?.unwrap_or(20))
                .unwrap_or(20),
            max_age: Duration::from_secs(days * 86_400),
            web: WebConfig::read(table, 25)?,
        })
    }
}

impl Settings for SignalsConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(SIGNALS_FIELDS.map(str::to_owned).to_vec())
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.web.timeout)
    }
}
