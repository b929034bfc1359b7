//! The effects of a chunk's result: its records' events, and the job's progress.

use super::finish::enqueue_delivery;
use crate::domain::delivery::{Delivery, EventType, FAST_EVENTS};
use crate::domain::job::{Job, ResultLine, Webhook, public_view};
use crate::domain::json;
use crate::domain::progress::ChunkSummary;
use crate::domain::record::Outcome;
use crate::jobs::{Ports, StepError};
use crate::ports::{Item, QueueName, StoreError};
use crate::schema::{self, Chunk};

/// Puts the delivery of each record's event, after the chunk's result and before its progress. A
/// run that dies after the result comes back here, and progress implies that the events are stored.
/// The ids follow from the records' places, so that repeating this adds nothing.
pub(crate) async fn tell_of_records(
    ports: &Ports,
    job: &Job,
    chunk: &Chunk,
    webhook: &Webhook,
) -> Result<(), StepError> {
    let spec = &job.spec;
    for (index, _) in (chunk.first..).zip(&chunk.records) {
        let now = ports.clock.now();
        // A job with many record events leaves the fast lane to the ends of all jobs.
        let fast = index < FAST_EVENTS;
        let lane = if fast {
            QueueName::Webhook
        } else {
            QueueName::WebhookRetry
        };
        let event = EventType::RecordFinished;
        let id = spec.id.record_delivery(index);
        let delivery = Delivery::new(
            id,
            spec.tenant.clone(),
            &spec.surface,
            event,
            now,
            &webhook.url,
            spec.expires_at,
        );
        let put = schema::delivery::insert(&delivery, delivery.due(now));
        match ports.store.put(put).await {
            Ok(()) => enqueue_delivery(ports, &delivery, lane).await,
            Err(StoreError::ConditionFailed(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Counts what a chunk adds to progress, from stored outcomes alone.
pub(crate) fn summarise(n: u32, chunk: &Chunk, outcomes: &[Outcome]) -> ChunkSummary {
    let lines = (chunk.first..).zip(chunk.records.iter().zip(outcomes)).map(
        |(index, (record, outcome))| {
            let line = ResultLine {
                index,
                record: record.clone(),
                outcome: outcome.clone(),
            };
            json::size(&line.to_json()) as u64 + 1
        },
    );
    let public_view = chunk
        .records
        .iter()
        .zip(outcomes)
        .map(|(record, outcome)| public_view(record, Some(outcome)).len() as u64);
    ChunkSummary::of(n, outcomes, lines.sum(), public_view.sum())
}

pub(crate) async fn add_progress(
    ports: &Ports,
    job: &Job,
    summary: &ChunkSummary,
) -> Result<Item, StepError> {
    let update = schema::progress::add(&job.spec.id, summary);
    Ok(ports.store.update(update).await?)
}
