//! POST and DELETE of the API.

use lambda_http::{Error, LambdaEvent, lambda_runtime, service_fn};
use shared::aws::Service;
use shared::lambda::api::Api;
use shared::lambda::http::{GatewayRequest, GatewayResponse};
use shared::lambda::start::{SURFACES, start};
use shared::lambda::telemetry::report_usage;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let started = start(SURFACES)?;
    // Messages are the last thing that a request sends, so Init does not wait for the queues'
    // connection.
    let clients = started.clients.clone();
    tokio::spawn(async move { clients.warm_only(&[Service::Queues]).await });
    // The table's connection is made while the types are read.
    let ((), api) = tokio::join!(started.clients.warm_only(&[Service::Table]), async {
        Api::of(&started)
    });
    let (api, meter) = (&api?, &started.meter);
    lambda_runtime::run(service_fn(
        |event: LambdaEvent<GatewayRequest>| async move {
            let response = api
                .write(&event.payload.into_api(event.context.request_id))
                .await;
            report_usage(meter.as_ref());
            Ok::<_, Error>(GatewayResponse::from(response))
        },
    ))
    .await
}
