//! What is known of every kind of provider.

use std::time::Duration;

use super::error::Place;
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

/// What the waterfall must know of a kind of provider before it is asked.
pub trait Settings {
    /// The input fields without which it cannot be asked, and those that it uses where they are there: a type must know all
    /// of them.
    fn needs(&self) -> Vec<String>;

    /// The input fields without which it is not asked.
    fn required(&self) -> Vec<String> {
        self.needs()
    }

    /// The input fields on which an answer may depend; `None`: all that there are.
    fn reads(&self) -> Option<Vec<String>> {
        Some(self.needs())
    }

    /// The fields that it can give; `None` where only its answers show them.
    fn outputs(&self) -> Option<Vec<String>>;

    /// The longest it takes for one record; nothing where it only computes.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// What it needs that the file only refers to.
    fn secrets(&self) -> Vec<&SecretConfig> {
        Vec::new()
    }

    /// Whether all its requests go to one upstream, so that some that fail say something of the others.
    fn one_upstream(&self) -> bool {
        false
    }

    /// Every place that it keeps, so that faults found later name the file that was deployed.
    fn places(&mut self) -> Vec<&mut Place> {
        Vec::new()
    }
}
