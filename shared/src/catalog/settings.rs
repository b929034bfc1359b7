//! The settings that every kind of provider has.

use std::any::Any;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ConfigError, Place};
use super::reader::Table;
use super::secret::SecretConfig;

/// The keys that every kind of provider has.
pub(super) const COMMON: [&str; 8] = [
    "kind",
    "confidence",
    "license",
    "credits",
    "rate",
    "concurrency",
    "breaker",
    "cache",
];

/// The settings of one kind of provider: its keys, and how they are read.
///
/// They are kept as JSON in a compiled file; what is written there is read by the same code.
pub trait KindConfig: Settings + Serialize + DeserializeOwned {
    /// The kind's name: the value of `kind` in the file. Never changes.
    const NAME: &'static str;

    /// The keys that only this kind has, in groups. Any other key is refused before
    /// [`read`](Self::read) is called.
    const KEYS: &'static [&'static [&'static str]];

    /// Reads the settings of a provider's table.
    ///
    /// # Errors
    /// The first key that is missing or wrong, with its line and column, and what to write instead.
    fn read(table: &Table<'_>) -> Result<Self, ConfigError>;
}

/// The questions that the settings of every kind answer. Submit and status know no more of a
/// provider.
pub trait Settings: Any + Send + Sync {
    /// Returns the input fields that it uses, needed or not: a type must know all of them.
    fn needs(&self) -> Vec<String>;

    /// Returns the input fields without which it is not asked.
    fn required(&self) -> Vec<String> {
        self.needs()
    }

    /// Returns the input fields on which an answer may depend; `None` if it depends on all.
    fn reads(&self) -> Option<Vec<String>> {
        Some(self.needs())
    }

    /// Returns the fields that it can give; `None` if only its answers show them.
    fn outputs(&self) -> Option<Vec<String>>;

    /// Returns the longest it takes for one record; `None` if it only computes.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// Returns the secrets to which the file refers.
    fn secrets(&self) -> Vec<&SecretConfig> {
        Vec::new()
    }

    /// Returns whether it reads objects that are not in the bundle.
    fn reads_objects(&self) -> bool {
        false
    }

    /// Returns whether all its requests go to one upstream, so that some that fail say something
    /// of the others.
    fn one_upstream(&self) -> bool {
        false
    }

    /// Returns whether it reads the sites of records, which are many hosts.
    fn reads_sites(&self) -> bool {
        false
    }

    /// Returns whether `confidence` may say where in an answer it stands, instead of a number.
    fn computes_confidence(&self) -> bool {
        false
    }

    /// Returns every place that it keeps, so that faults found later name the deployed file.
    fn places(&mut self) -> Vec<&mut Place> {
        Vec::new()
    }
}
