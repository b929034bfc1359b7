//! The events of the native API.

use serde::Serialize;
use serde_json::Value;

use super::response::Job;
use crate::domain::delivery::EventType;
use crate::domain::job::ResultLine;
use crate::domain::signature;
use crate::surfaces::common::message::json_bytes;
use crate::surfaces::{Event, Signing};

/// An event.
#[derive(Debug, Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    event: &'static str,
    timestamp: String,
    data: Data<'a>,
}

/// The subject of an event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Record(RecordData<'a>),
    Job(Box<JobData<'a>>),
    Test(TestData),
}

#[derive(Debug, Serialize)]
struct RecordData<'a> {
    object: &'static str,
    job_id: &'a str,
    result: Option<Value>,
}

/// A job, and its results where they go along.
#[derive(Debug, Serialize)]
struct JobData<'a> {
    #[serde(flatten)]
    job: Job<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Value>>,
}

#[derive(Debug, Serialize)]
struct TestData {
    object: &'static str,
    message: &'static str,
}

/// Writes the body of an event. Everything in it is fixed when the job ends.
pub(super) fn event_body(event: &Event<'_>) -> Vec<u8> {
    let data = match event.job {
        Some(view) if event.kind == EventType::RecordFinished => Data::Record(RecordData {
            object: "record",
            job_id: view.job.spec.id.as_str(),
            result: event
                .results
                .and_then(<[ResultLine]>::first)
                .map(ResultLine::to_json),
        }),
        Some(view) => Data::Job(Box::new(JobData {
            job: Job::new(view, event.at),
            results: event
                .results
                .map(|lines| lines.iter().map(ResultLine::to_json).collect()),
        })),
        None => Data::Test(TestData {
            object: "test",
            message: "This is a test event. Its signature is as real as any.",
        }),
    };
    json_bytes(&Envelope {
        event: event.kind.as_str(),
        timestamp: event.at.rfc3339(),
        data,
    })
}

pub(super) fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    signature::headers(signing.secrets, signing.id, signing.at, signing.body)
}
