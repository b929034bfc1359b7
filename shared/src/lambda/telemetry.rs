//! Log lines: one JSON object each, words in `message`, facts in dotted fields, units in names. No
//! secret and nothing personal goes into one.

use crate::aws::Meter;

/// Starts logging to standard output. Called once, first of all.
pub fn init(level: tracing::Level) {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(level)
        .with_span_list(false)
        .init();
}

/// Logs what an invocation used, where metering is on: one line a kind of call.
pub fn report_usage(meter: Option<&std::sync::Arc<Meter>>) {
    let Some(meter) = meter else { return };
    for (call, usage) in meter.snapshot_and_reset() {
        tracing::info!(
            usage.call = call,
            usage.calls = usage.calls,
            usage.errors = usage.errors,
            usage.read_units = usage.read_units,
            usage.write_units = usage.write_units,
            usage.index_write_units = usage.index_write_units,
            usage.bytes = usage.bytes,
            "usage"
        );
    }
}
