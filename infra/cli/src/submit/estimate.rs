//! The result of a dry run.

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::screen::{plural, print, text, thousands};

/// The result of a dry run over all parts.
#[derive(Default)]
pub(super) struct Estimate {
    records: u64,
    invalid: u64,
    reserved: u64,
    skipped: u64,
    price: u64,
    /// The server's, the same for every part.
    warnings: Vec<Value>,
}

impl Estimate {
    pub(super) fn add(&mut self, answer: &Value) {
        self.records += answer["records"].as_u64().unwrap_or(0);
        self.invalid += answer["invalid"].as_u64().unwrap_or(0);
        self.reserved += answer["credits"]["reserved"].as_u64().unwrap_or(0);
        self.skipped += answer["skipped"].as_u64().unwrap_or(0);
        self.price = answer["credits"]["per_record_at_most"]
            .as_u64()
            .unwrap_or(0);
        self.warnings = answer["warnings"].as_array().cloned().unwrap_or_default();
    }

    pub(super) fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            return print(
                json!({"object": "estimate", "records": self.records, "invalid": self.invalid,
                "skipped": self.skipped, "credits": {"per_record_at_most": self.price,
                "reserved": self.reserved},
                "warnings": self.warnings}),
            );
        }
        let skipped = if self.skipped > 0 {
            format!("; {} would be skipped", thousands(self.skipped))
        } else {
            String::new()
        };
        let invalid = if self.invalid > 0 {
            format!("; {} are invalid", thousands(self.invalid))
        } else {
            String::new()
        };
        print(format!(
            "{}, at most {} ({} each){skipped}{invalid}; nothing was started{}",
            plural(self.records, "record"),
            plural(self.reserved, "credit"),
            self.price,
            self.warned()
        ))
    }

    /// A line for each warning.
    fn warned(&self) -> String {
        let lines = self.warnings.iter().map(|warning| {
            format!(
                "\nwarning: {}: every record would fail: {}",
                text(warning, "code"),
                text(warning, "detail")
            )
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_tells_that_every_record_would_fail() {
        let mut estimate = Estimate::default();
        let warning = json!({"code": "provider_unconfigured", "detail": "set X"});
        for _ in 0..2 {
            estimate.add(&json!({"records": 1, "warnings": [warning]}));
        }
        let reported = "\nwarning: provider_unconfigured: every record would fail: set X";
        assert_eq!(
            (estimate.records, estimate.warned().as_str()),
            (2, reported)
        );
        assert_eq!(Estimate::default().warned(), "");
    }
}
