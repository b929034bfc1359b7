//! Log lines: one JSON object each, words in `message`, facts in dotted fields, units in names.
//! Spans add the ids of the request, the job, the chunk and the delivery; they are of the level
//! `error`, so that lines of every level have them. No secret and nothing personal goes into one.

use std::collections::BTreeSet;
use std::fmt;
use std::str;

use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber};
use tracing_serde::SerdeMapVisitor;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::registry::{LookupSpan, SpanRef};
use tracing_subscriber::util::SubscriberInitExt;

use crate::aws::Meter;

/// Starts logging to standard output. Called once, first of all.
pub fn init(level: Level) {
    subscriber(level, std::io::stdout).init();
}

/// Returns what writes log lines.
pub fn subscriber<W>(level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_max_level(level)
        .fmt_fields(JsonFields::new())
        .event_format(Flat)
        .with_writer(writer)
        .finish()
}

/// Writes one flat object a line. The fields of this crate's spans stand beside the line's own; of
/// fields with the same name the innermost is written. The innermost span of other crates, such as
/// the runtime's with its `requestId`, is an object of its own: `span`.
struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Vec::with_capacity(512);
        write_line(context, event, &time, &mut line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", str::from_utf8(&line).map_err(|_| fmt::Error)?)
    }
}

fn write_line<S, N>(
    context: &FmtContext<'_, S, N>,
    event: &Event<'_>,
    time: &str,
    line: &mut Vec<u8>,
) -> serde_json::Result<()>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    let meta = event.metadata();
    let mut json = serde_json::Serializer::new(line);
    let mut map = json.serialize_map(None)?;
    map.serialize_entry("timestamp", time)?;
    map.serialize_entry("level", meta.level().as_str())?;
    let mut visitor = SerdeMapVisitor::new(map);
    event.record(&mut visitor);
    let mut map = visitor.take_serializer()?;

    let (mut written, mut others) = (BTreeSet::new(), None);
    for span in context.event_scope().into_iter().flatten() {
        if !is_own(span.metadata().target()) {
            others.get_or_insert(span);
            continue;
        }
        for (name, value) in fields::<S, N>(&span) {
            if meta.fields().field(&name).is_none() && !written.contains(&name) {
                map.serialize_entry(&name, &value)?;
                written.insert(name);
            }
        }
    }
    map.serialize_entry("target", meta.target())?;
    if let Some(span) = others {
        let mut fields = fields::<S, N>(&span);
        fields.insert("name".to_owned(), span.name().into());
        map.serialize_entry("span", &fields)?;
    }
    SerializeMap::end(map)
}

/// Returns whether a span is of this crate.
fn is_own(target: &str) -> bool {
    target.split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

/// Reads what a span has recorded.
fn fields<S, N>(span: &SpanRef<'_, S>) -> Map<String, Value>
where
    S: for<'a> LookupSpan<'a>,
    N: 'static,
{
    let extensions = span.extensions();
    let recorded = extensions.get::<FormattedFields<N>>();
    recorded
        .and_then(|recorded| serde_json::from_str(recorded).ok())
        .unwrap_or_default()
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
