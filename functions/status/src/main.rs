//! GET of the API. It may read and not write.

use std::time::Duration;

use lambda_http::{Error, LambdaEvent, lambda_runtime, service_fn};
use shared::aws::Service;
use shared::lambda::api::Api;
use shared::lambda::http::{GatewayRequest, GatewayResponse};
use shared::lambda::start::{SURFACES, start};
use shared::lambda::telemetry::report_usage;

/// The function's time-out, for runtimes that give no deadline.
const TIMEOUT: Duration = Duration::from_secs(29);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let started = &start(SURFACES)?;
    // The connection is made while the types are read.
    let ((), api) = tokio::join!(started.clients.warm_only(&[Service::Table]), async {
        Api::of(started)
    });
    let api = &api?;
    lambda_runtime::run(service_fn(
        |event: LambdaEvent<GatewayRequest>| async move {
            let deadline = started.deadline(&event.context, TIMEOUT);
            let response = api
                .read(&event.payload.into_api(event.context.request_id), deadline)
                .await;
            report_usage(started.meter.as_ref());
            Ok::<_, Error>(GatewayResponse::from(response))
        },
    ))
    .await
}
