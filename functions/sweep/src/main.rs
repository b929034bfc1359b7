//! Every minute: checks what is overdue and repairs it.

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use shared::aws::Service;
use shared::lambda::start::start;
use shared::lambda::telemetry::report_usage;
use shared::maintenance::sweep;

/// The function's time-out, for runtimes that give no deadline.
const TIMEOUT: Duration = Duration::from_secs(50);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let started = &start(&[])?;
    // Most minutes have no message to send.
    started.clients.warm_only(&[Service::Table]).await;
    lambda_runtime::run(service_fn(|event: LambdaEvent<IgnoredAny>| async move {
        let deadline = started.deadline(&event.context, TIMEOUT);
        let swept = sweep::step(&started.ports, started.config.enrich_timeout, deadline).await;
        report_usage(started.meter.as_ref());
        swept.map(drop).map_err(Error::from)
    }))
    .await
}
