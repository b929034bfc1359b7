//! The sample events, for `cargo lambda invoke`, are what the functions take.

use aws_lambda_events::sqs::SqsEvent;
use serde::de::DeserializeOwned;
use shared::catalog::Catalog;
use shared::domain::chunk::ChunkMessage;
use shared::domain::delivery::DeliveryTask;
use shared::lambda::http::{ApiRequest, GatewayRequest};
use shared::providers::kinds::READERS;
use shared::surfaces::{Call, Reading, Routed, SURFACES, route};
use testkit::sim::Sim;

use crate::{root, source};

fn event<T: DeserializeOwned>(function: &str) -> T {
    let file = format!("infra/events/{function}.json");
    serde_json::from_str(&source(&file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn request(function: &str) -> ApiRequest {
    event::<GatewayRequest>(function).into_api("r-1".to_owned())
}

#[test]
fn the_submit_event_is_a_submission() {
    let request = request("submit");
    assert_eq!(
        (request.method.as_str(), request.segments()),
        ("POST", vec!["v1", "jobs"])
    );
    let Routed::To {
        surface,
        call: Call::Submit { read, .. },
        ..
    } = route(SURFACES, &request)
    else {
        panic!()
    };
    assert!((surface.key)(&request).is_some() && request.header("idempotency-key").is_some());
    let (catalog, sim) = (
        Catalog::load(READERS, &root().join("infra")).unwrap(),
        Sim::new(1),
    );
    let submission = read(
        &request,
        &Reading {
            surface,
            catalog: &catalog,
            http: sim.http.as_ref(),
        },
    )
    .unwrap();
    assert!(!submission.records.is_empty());
}

#[test]
fn the_status_event_asks_for_a_job() {
    let request = request("status");
    assert_eq!(
        (request.method.as_str(), request.parameter("wait")),
        ("GET", Some("20"))
    );
    let Routed::To {
        surface,
        call: Call::Watch { .. },
        id: Some(id),
    } = route(SURFACES, &request)
    else {
        panic!()
    };
    assert!((surface.parse_id)(id).is_some() && (surface.key)(&request).is_some());
}

fn message<T: DeserializeOwned>(function: &str, queue: &str) -> T {
    let event: SqsEvent = event(function);
    assert_eq!(event.records.len(), 1);
    let record = &event.records[0];
    assert!(
        record
            .message_id
            .as_deref()
            .is_some_and(|id| !id.is_empty())
            && record.receipt_handle.is_some()
    );
    assert_eq!(record.attributes["ApproximateReceiveCount"], "1");
    assert!(record.event_source_arn.as_deref().unwrap().contains(queue));
    serde_json::from_str(record.body.as_deref().unwrap()).unwrap()
}

#[test]
fn the_queue_events_hold_messages() {
    assert_eq!(message::<ChunkMessage>("enrich", "EnrichQueue").v, 1);
    assert_eq!(
        message::<DeliveryTask>("dispatch", "WebhookQueue").attempt,
        1
    );
}

#[test]
fn every_function_has_an_event() {
    for entry in std::fs::read_dir(root().join("functions"))
        .unwrap()
        .flatten()
    {
        event::<serde_json::Value>(entry.file_name().to_str().unwrap());
    }
}
