//! `[providers.NAME]`: a provider, its price and its limits.

use std::time::Duration;

use super::error::{ConfigError, Place};
use super::kind::{Kind, KindReader};
use super::limits::LimitsConfig;
use super::reader::{Entry, Table};
use super::secret::{Environment, SecretConfig, SecretRef};

/// `[providers.NAME]`.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// NAME of the table: 1 to 64 lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Where the table begins.
    pub at: Place,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// SPDX identifier or the provider's own words.
    pub license: Option<String>,
    /// The price, 0 to 1000, of a record to which it contributed a field; 1 by default.
    pub credits: u32,
    /// The limits that spare its upstream.
    pub limits: LimitsConfig,
    /// Its kind, with the settings of that kind.
    pub kind: Kind,
}

impl ProviderConfig {
    /// Returns the longest time this provider takes for one record; `None` where it only computes.
    pub fn timeout(&self) -> Option<Duration> {
        self.kind.settings().timeout()
    }

    pub(super) fn read(
        kinds: &[KindReader],
        name: &str,
        table: &Table<'_>,
    ) -> Result<Self, ConfigError> {
        let kind = Kind::read(kinds, table)?;
        // If it is not a number, it is computed from each answer.
        let computes = kind.settings().computes_confidence();
        let computed = |entry: &Entry<'_>| computes && !entry.is_number();
        let confidence = table.get("confidence").filter(|entry| !computed(entry));
        Ok(Self {
            name: name.to_owned(),
            at: table.source.place(table.at),
            confidence: confidence.map(|entry| entry.fraction()).transpose()?,
            license: table.text("license")?.map(|(text, _)| text),
            credits: u32::try_from(table.number("credits", 0, 1000)?.unwrap_or(1)).unwrap_or(1),
            limits: LimitsConfig::read(table, kind.settings())?,
            kind,
        })
    }

    /// Returns whether it needs parameters or objects outside of the bundle in this environment.
    pub fn uses_assets(&self, environment: Environment<'_>) -> bool {
        let settings = self.kind.settings();
        let unread = |secret: &&SecretConfig| {
            matches!(secret.from, SecretRef::Parameter(_)) && secret.known(environment).is_none()
        };
        settings.reads_objects() || settings.secrets().iter().any(unread)
    }
}
