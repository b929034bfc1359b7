//! Counts the costs of calls, for `make bench`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

/// The use of one operation's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Calls answered or not; the SDK's own retries of a call are not counted.
    pub calls: u64,
    /// Calls that ended in an error, failed conditions among them.
    pub errors: u64,
    /// Capacity units as the table reports them. A call that fails reports none, though a failed
    /// condition is billed.
    pub read_units: f64,
    /// Index writes included.
    pub write_units: f64,
    /// The part of `write_units` that the indexes took.
    pub index_write_units: f64,
    /// Bytes of message bodies.
    pub bytes: u64,
}

/// Usage by operation, named `dynamodb.PutItem`, `sqs.SendMessageBatch` and so on.
pub type Reading = BTreeMap<String, Usage>;

/// Counts calls and capacity units, when metering is on.
#[derive(Debug, Default)]
pub struct Meter(Mutex<BTreeMap<&'static str, Usage>>);

impl Meter {
    pub(super) fn count(&self, operation: &'static str, usage: Usage) {
        let mut all = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let sum = all.entry(operation).or_default();
        sum.calls += usage.calls;
        sum.errors += usage.errors;
        sum.read_units += usage.read_units;
        sum.write_units += usage.write_units;
        sum.index_write_units += usage.index_write_units;
        sum.bytes += usage.bytes;
    }

    /// Returns what was used since the last reading. One JSON line of it an invocation adds up to
    /// the whole.
    pub fn snapshot_and_reset(&self) -> Reading {
        let all = std::mem::take(
            &mut *self
                .0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        all.into_iter()
            .map(|(operation, usage)| (operation.to_owned(), usage))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_starts_the_next_one_from_nothing() {
        let meter = Meter::default();
        let once = Usage {
            calls: 1,
            write_units: 2.5,
            ..Usage::default()
        };
        meter.count("dynamodb.PutItem", once);
        meter.count("dynamodb.PutItem", once);
        let reading = meter.snapshot_and_reset();
        assert_eq!(
            reading["dynamodb.PutItem"],
            Usage {
                calls: 2,
                write_units: 5.0,
                ..Usage::default()
            }
        );
        assert!(meter.snapshot_and_reset().is_empty());
    }
}
