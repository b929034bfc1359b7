//! An SQS batch, message by message: each succeeds or fails alone, and a failed one comes back
//! soon, with jitter.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::future::{FutureExt, join_all};
use serde::de::DeserializeOwned;
use tracing::{Instrument, error_span};

use crate::domain::backoff::message_delay;
use crate::domain::chunk::ChunkMessage;
use crate::domain::delivery::DeliveryTask;
use crate::domain::time::Timestamp;
use crate::jobs::enrich::step;
use crate::jobs::enrich::step::ChunkOutcome;
use crate::jobs::{Ports, StepError};
use crate::ports::QueueName;
use crate::providers::Registry;
use crate::webhooks::dispatch;
use crate::webhooks::dispatch::Dispatched;

/// The surroundings of the work on a batch.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// Table, queues, clock and randomness.
    pub ports: &'a Ports,
    /// The queues by URL, to tell from its ARN which one a message came from.
    pub queues: &'a BTreeMap<QueueName, String>,
    /// When the invocation ends.
    pub deadline: Timestamp,
}

/// A message of a batch, read.
#[derive(Debug)]
struct Received<'a, M> {
    message: &'a M,
    lane: QueueName,
    receives: u32,
}

/// The result of a message whose content is an `M`, and whose work ends in a `T`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled<M, T> {
    /// SQS's id of the message.
    pub id: String,
    /// The queue it came from.
    pub lane: QueueName,
    /// The number of times that it was received, this one included.
    pub receives: u32,
    /// Its content; `None` where it cannot be read.
    pub message: Option<M>,
    /// The end of the work, or why there is none.
    pub outcome: Result<T, Failed>,
    /// It has to come back; if not, it may be deleted.
    pub again: bool,
}

/// Why a message was not worked on to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The body is not the JSON of this queue's messages; holds the parser's words.
    #[error("the message cannot be read: {0}")]
    Unreadable(String),
    /// The work panicked; the message comes back.
    #[error("the work panicked")]
    Panicked,
    /// A call of the step failed.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// The results of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<M, T>(pub Vec<Handled<M, T>>);

impl<M, T> Batch<M, T> {
    /// The answer for Lambda: the messages that have to come back. It deletes the others.
    pub fn response(&self) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = self
            .0
            .iter()
            .filter(|handled| handled.again)
            .map(|handled| failure(&handled.id))
            .collect();
        response
    }
}

fn failure(id: &str) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    id.clone_into(&mut failure.item_identifier);
    failure
}

/// Works on a batch of chunks. `timeout` is how long an invocation can last.
pub async fn enrich(
    invocation: &Invocation<'_>,
    registry: &Registry,
    timeout: Duration,
    event: SqsEvent,
) -> Result<Batch<ChunkMessage, ChunkOutcome>, NoIdentity> {
    let (ports, deadline) = (invocation.ports, invocation.deadline);
    ports.http.forget_connections();
    batch(
        invocation,
        QueueName::Enrich,
        event,
        |_| false,
        async |received: Received<'_, ChunkMessage>| {
            let Received {
                message,
                lane,
                receives,
            } = received;
            let receipt = step::ChunkReceipt {
                lane,
                receives,
                deadline,
                timeout,
            };
            let span = error_span!("chunk", job.id = %message.job, chunk = message.chunk);
            async {
                let ran = step::step(ports, registry, message, &receipt).await;
                match &ran {
                    Ok(ran) => tracing::debug!(ran = ?ran, "chunk worked on"),
                    Err(error) => tracing::error!(error = %error, "chunk failed; it comes back"),
                }
                ran
            }
            .instrument(span)
            .await
        },
    )
    .await
}

/// Makes the attempts that a batch asks for.
pub async fn dispatch(
    invocation: &Invocation<'_>,
    event: SqsEvent,
) -> Result<Batch<DeliveryTask, Dispatched>, NoIdentity> {
    let (ports, deadline) = (invocation.ports, invocation.deadline);
    let no_time = |done: &Dispatched| *done == Dispatched::NoTime;
    batch(
        invocation,
        QueueName::Webhook,
        event,
        no_time,
        async |received: Received<'_, DeliveryTask>| {
            let Received { message, lane, .. } = received;
            let id = message.job.delivery(message.delivery);
            let span =
                error_span!("delivery", job.id = %id.job, delivery.id = %id, delivery = id.n);
            async {
                let done = dispatch::step(
                    ports,
                    message,
                    &dispatch::DeliveryReceipt { lane, deadline },
                )
                .await;
                if let Err(error) = &done {
                    tracing::error!(error = %error, "attempt failed; it comes back");
                }
                done
            }
            .instrument(span)
            .await
        },
    )
    .await
}

/// Works on every message of a batch at once. Of the steps that went well, `again` says which have
/// to be repeated.
async fn batch<M: DeserializeOwned, T>(
    invocation: &Invocation<'_>,
    fallback: QueueName,
    event: SqsEvent,
    again: impl Fn(&T) -> bool,
    work: impl AsyncFn(Received<'_, M>) -> Result<T, StepError>,
) -> Result<Batch<M, T>, NoIdentity> {
    // An answer with an empty identifier makes SQS bring back the whole batch; so does this error,
    // but it says why.
    if event
        .records
        .iter()
        .any(|r| r.message_id.as_deref().unwrap_or_default().is_empty())
    {
        return Err(NoIdentity);
    }
    let handled = event.records.into_iter().map(|record| {
        let span = error_span!(
            "message",
            message.id = record.message_id,
            receives = receives(&record)
        );
        one(invocation, fallback, record, &again, &work).instrument(span)
    });
    Ok(Batch(join_all(handled).await))
}

/// A message without an id came, which SQS does not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of the batch has no messageId; the whole batch has to come back")]
pub struct NoIdentity;

async fn one<M: DeserializeOwned, T>(
    invocation: &Invocation<'_>,
    fallback: QueueName,
    record: SqsMessage,
    again: &impl Fn(&T) -> bool,
    work: &impl AsyncFn(Received<'_, M>) -> Result<T, StepError>,
) -> Handled<M, T> {
    let ports = invocation.ports;
    let lane = lane_of(invocation.queues, record.event_source_arn.as_deref()).unwrap_or(fallback);
    let receives = receives(&record);
    let id = record.message_id.unwrap_or_default();
    let (message, outcome) = match serde_json::from_str(record.body.as_deref().unwrap_or_default())
    {
        Ok(message) => {
            // A panic fails its message and no other; the message comes back and its starts are
            // counted.
            let work = AssertUnwindSafe(work(Received {
                message: &message,
                lane,
                receives,
            }))
            .catch_unwind()
            .await;
            let outcome = work.map_or_else(
                |_| {
                    tracing::error!("a message made its handler panic");
                    Err(Failed::Panicked)
                },
                |outcome| outcome.map_err(Failed::from),
            );
            (Some(message), outcome)
        }
        Err(error) => {
            tracing::error!(
                error = %error,
                "the message cannot be read; it goes to the dead-letter queue"
            );
            (None, Err(Failed::Unreadable(error.to_string())))
        }
    };
    let again = outcome.as_ref().map_or(true, again);
    if again
        && let Some(receipt) = &record.receipt_handle
        && let Err(error) = ports
            .queue
            .postpone(lane, receipt, message_delay(receives, ports.entropy.unit()))
            .await
    {
        tracing::warn!(error = %error, "the message comes back only after its visibility time-out");
    }
    Handled {
        id,
        lane,
        receives,
        message,
        outcome,
        again,
    }
}

/// Returns how often a message was received, this time included.
fn receives(record: &SqsMessage) -> u32 {
    let count = record.attributes.get("ApproximateReceiveCount");
    count.and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// Which queue an ARN is of: the one whose URL ends in the same name.
fn lane_of(queues: &BTreeMap<QueueName, String>, arn: Option<&str>) -> Option<QueueName> {
    let name = arn?.rsplit(':').next()?;
    queues
        .iter()
        .find(|(_, url)| url.rsplit('/').next() == Some(name))
        .map(|(queue, _)| *queue)
}
