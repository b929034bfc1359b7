//! An SQS batch, message by message: each succeeds or fails alone, and a failed one comes back soon, with jitter.

use std::panic::AssertUnwindSafe;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::{FutureExt, join_all};
use serde::de::DeserializeOwned;

use super::config::Config;
use super::start::Started;
use crate::app::dispatch::{self, Dispatched};
use crate::app::{Ports, enrich};
use crate::domain::backoff::message_delay;
use crate::domain::chunk::ChunkMessage;
use crate::domain::delivery::WakeMessage;
use crate::domain::time::Timestamp;
use crate::ports::QueueName;
use crate::provider::Registry;

/// A message of a batch, read.
#[derive(Debug)]
pub struct Received<T> {
    pub message: T,
    pub lane: QueueName,
    /// How often it was received, this time included.
    pub receives: u32,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It may be deleted.
    Done,
    /// It has to come back.
    Again,
}

/// Works on a batch of chunks.
pub async fn enrich(
    started: &Started,
    registry: &Registry,
    event: SqsEvent,
    deadline: Timestamp,
) -> Result<SqsBatchResponse, NoIdentity> {
    started.ports.http.forget_connections();
    let (ports, timeout) = (&started.ports, started.config.enrich_timeout);
    batch(ports, &started.config, QueueName::Enrich, event, async |received: Received<ChunkMessage>| {
        let Received { message, lane, receives } = received;
        let receipt = enrich::Receipt { lane, receives, deadline, timeout };
        match enrich::step(ports, registry, &message, &receipt).await {
            Ok(ran) => {
                tracing::debug!(job.id = %message.job, chunk = message.chunk, ran = ?ran, "chunk worked on");
                Handled::Done
            }
            Err(error) => {
                tracing::error!(job.id = %message.job, chunk = message.chunk, receives, error = %error, "chunk failed; it comes back");
                Handled::Again
            }
        }
    })
    .await
}

/// Makes the attempts that a batch asks for.
pub async fn dispatch(started: &Started, event: SqsEvent, deadline: Timestamp) -> Result<SqsBatchResponse, NoIdentity> {
    let ports = &started.ports;
    batch(ports, &started.config, QueueName::Webhook, event, async |received: Received<WakeMessage>| {
        let Received { message, lane, receives } = received;
        match dispatch::step(ports, &message, &dispatch::Receipt { lane, deadline }).await {
            Ok(Dispatched::NoTime) => Handled::Again,
            Ok(_) => Handled::Done,
            Err(error) => {
                tracing::error!(job.id = %message.job, delivery = message.delivery, receives, error = %error, "attempt failed; it comes back");
                Handled::Again
            }
        }
    })
    .await
}

/// Works on every message of a batch at once and answers which failed.
async fn batch<T: DeserializeOwned>(
    ports: &Ports,
    config: &Config,
    fallback: QueueName,
    event: SqsEvent,
    work: impl AsyncFn(Received<T>) -> Handled,
) -> Result<SqsBatchResponse, NoIdentity> {
    // An answer with an empty identifier makes SQS bring back the whole batch; so does this error, but it says why.
    if event.records.iter().any(|r| r.message_id.as_deref().unwrap_or_default().is_empty()) {
        return Err(NoIdentity);
    }
    let handled = join_all(event.records.into_iter().map(|record| one(ports, config, fallback, record, &work))).await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = handled.into_iter().flatten().collect();
    Ok(response)
}

/// A message without an id came, which SQS does not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of the batch has no messageId; the whole batch has to come back")]
pub struct NoIdentity;

async fn one<T: DeserializeOwned>(
    ports: &Ports,
    config: &Config,
    fallback: QueueName,
    record: SqsMessage,
    work: &impl AsyncFn(Received<T>) -> Handled,
) -> Option<BatchItemFailure> {
    let lane = lane_of(config, record.event_source_arn.as_deref()).unwrap_or(fallback);
    let receives = record.attributes.get("ApproximateReceiveCount").and_then(|n| n.parse().ok()).unwrap_or(1);
    let handled = match serde_json::from_str(record.body.as_deref().unwrap_or_default()) {
        Ok(message) => {
            // A panic fails its message and no other; the message comes back and its starts are counted.
            AssertUnwindSafe(work(Received { message, lane, receives })).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!(message.id = record.message_id, "a message made its handler panic");
                Handled::Again
            })
        }
        Err(error) => {
            tracing::error!(message.id = record.message_id, error = %error, receives, "the message cannot be read; it goes to the dead-letter queue");
            Handled::Again
        }
    };
    if handled == Handled::Done {
        return None;
    }
    if let Some(receipt) = &record.receipt_handle
        && let Err(error) = ports.queue.postpone(lane, receipt, message_delay(receives, ports.entropy.unit())).await
    {
        tracing::warn!(message.id = record.message_id, error = %error, "the message comes back only after its visibility time-out");
    }
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = record.message_id.unwrap_or_default();
    Some(failure)
}

/// Which queue an ARN is of: the one whose URL ends in the same name.
fn lane_of(config: &Config, arn: Option<&str>) -> Option<QueueName> {
    let name = arn?.rsplit(':').next()?;
    config.queues.iter().find(|(_, url)| url.rsplit('/').next() == Some(name)).map(|(queue, _)| *queue)
}
