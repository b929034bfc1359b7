//! `kind = "tech"`: the technologies that a site is made with.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::{ConfigError, KindConfig, Place, Settings, Table, WebConfig};

/// The technologies that a site is made with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TechConfig {
    /// The input field with the domain; `domain` if the file does not say.
    pub input: String,
    /// The rules, JSON in the public Wappalyzer format; relative to the directory of
    /// `providers.toml`.
    pub rules: String,
    /// The place of `rules`.
    pub rules_at: Place,
    /// `user_agent` and `timeout_s`: the fetching of pages.
    pub web: WebConfig,
}

/// The output field of the `tech` provider.
pub const TECH_FIELD: &str = "technologies";

impl KindConfig for TechConfig {
    const NAME: &'static str = "tech";
    const KEYS: &'static [&'static [&'static str]] = &[&["input", "rules"], &WebConfig::KEYS];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let rules = table.need(
            "rules",
            "name the rules, such as rules = \"data/technologies.json\"",
        )?;
        Ok(Self {
            input: table.input("domain")?,
            rules: rules.file(&[".json"])?,
            rules_at: rules.place(),
            web: WebConfig::read(table, 20)?,
        })
    }
}

impl Settings for TechConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn reads_sites(&self) -> bool {
        true
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(vec![TECH_FIELD.to_owned()])
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.web.timeout)
    }

    fn places(&mut self) -> Vec<&mut Place> {
        vec![&mut self.rules_at]
    }
}
