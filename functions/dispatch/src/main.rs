//! Makes delivery attempts from the webhook queues.

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::Service;
use shared::lambda::sqs::dispatch;
use shared::lambda::start::{SURFACES, start_sending};
use shared::lambda::telemetry::report_usage;

/// The function's time-out, for runtimes that give no deadline.
const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let started = &start_sending(SURFACES)?;
    // Only a failed attempt has a message to send.
    started.clients.warm_only(&[Service::Table]).await;
    lambda_runtime::run(service_fn(|event: LambdaEvent<_>| async move {
        let deadline = started.deadline(&event.context, TIMEOUT);
        let done = dispatch(&started.invocation(deadline), event.payload).await;
        report_usage(started.meter.as_ref());
        done.map(|batch| batch.response()).map_err(Error::from)
    }))
    .await
}
