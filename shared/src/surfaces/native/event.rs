//! The events of the native API.

use serde_json::json;

use super::response::job;
use crate::domain::delivery::EventType;
use crate::domain::job::ResultLine;
use crate::domain::{json, signature};
use crate::surfaces::{Event, Signing};

/// The body of an event. Everything in it is fixed when the job ends.
pub(super) fn event_body(event: &Event<'_>) -> Vec<u8> {
    let mut data = match event.job {
        Some(view) if event.kind == EventType::RecordFinished => {
            let result = event
                .results
                .and_then(<[ResultLine]>::first)
                .map(ResultLine::to_json);
            let job = view.job.spec.id.as_str().into();
            json::object([
                ("object", "record".into()),
                ("job_id", job),
                ("result", result.into()),
            ])
        }
        Some(view) => job(view, event.at),
        None => {
            json!({"object": "test", "message": "This is a test event. Its signature is as real as any."})
        }
    };
    let lines = event
        .results
        .filter(|_| event.kind != EventType::RecordFinished);
    if let (Some(members), Some(lines)) = (data.as_object_mut(), lines) {
        members.insert(
            "results".to_owned(),
            lines.iter().map(ResultLine::to_json).collect(),
        );
    }
    let (kind, at) = (event.kind.as_str().into(), event.at.rfc3339().into());
    json::object([("type", kind), ("timestamp", at), ("data", data)])
        .to_string()
        .into_bytes()
}

pub(super) fn sign(signing: &Signing<'_>) -> Vec<(String, String)> {
    signature::headers(signing.secrets, signing.id, signing.at, signing.body)
}
