//! Works on chunks from the enrich queues.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::aws::Service;
use shared::lambda::sqs::enrich;
use shared::lambda::start::start_asking;
use shared::lambda::telemetry::report_usage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let started = &start_asking()?;
    // The connection is made while the providers are built. Only the last of a job's chunks has a
    // message to send.
    let ((), registry) = tokio::join!(started.clients.warm_only(&[Service::Table]), async {
        started.registry()
    });
    let registry = &registry?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<_>| async move {
        let timeout = started.config.enrich_timeout;
        let invocation = started.invocation(started.deadline(&event.context, timeout));
        let done = enrich(&invocation, registry, timeout, event.payload).await;
        report_usage(started.meter.as_ref());
        done.map(|batch| batch.response()).map_err(Error::from)
    }))
    .await
}
