//! The usage of one job, by either count of it.

use std::collections::BTreeMap;

use shared::aws::Usage;

/// Usage by function and operation.
pub(crate) type Calls = BTreeMap<(String, String), Usage>;

/// The usage of one job.
#[derive(Debug, Default, Clone)]
pub(crate) struct Used {
    pub(crate) calls: Calls,
    /// Messages that went through the queues.
    pub(crate) messages: u64,
}

impl Used {
    pub(crate) fn sum<T: std::iter::Sum>(&self, of: impl Fn(&Usage) -> T) -> T {
        self.calls.values().map(of).sum()
    }

    pub(crate) fn calls(&self) -> u64 {
        self.sum(|usage| usage.calls)
    }

    pub(crate) fn read_units(&self) -> f64 {
        self.sum(|usage| usage.read_units)
    }

    pub(crate) fn write_units(&self) -> f64 {
        self.sum(|usage| usage.write_units)
    }

    pub(crate) fn sqs_calls(&self) -> u64 {
        self.calls
            .iter()
            .filter(|((_, call), _)| call.starts_with("sqs."))
            .map(|(_, usage)| usage.calls)
            .sum()
    }
}

/// Prints usage by function and operation, with the sum.
pub(crate) fn table(used: &Used) {
    println!(
        "  {:10} {:30} {:>6} {:>6} {:>9} {:>9} {:>9}",
        "function", "call", "calls", "failed", "read u.", "write u.", "of index"
    );
    for ((function, call), usage) in &used.calls {
        row(function, call, usage);
    }
    let total = used
        .calls
        .values()
        .fold(Usage::default(), |sum, usage| add(sum, *usage));
    row("all", "", &total);
}

fn row(function: &str, call: &str, usage: &Usage) {
    let Usage {
        calls,
        errors,
        read_units,
        write_units,
        index_write_units,
        ..
    } = usage;
    println!(
        "  {function:10} {call:30} {calls:6} {errors:6} {read_units:9.1} {write_units:9.1} \
         {index_write_units:9.1}"
    );
}

/// Adds both.
pub(crate) fn add(a: Usage, b: Usage) -> Usage {
    Usage {
        calls: a.calls + b.calls,
        errors: a.errors + b.errors,
        read_units: a.read_units + b.read_units,
        write_units: a.write_units + b.write_units,
        index_write_units: a.index_write_units + b.index_write_units,
        bytes: a.bytes + b.bytes,
    }
}
