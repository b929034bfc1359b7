//! The queues.

use std::time::Duration;

use async_trait::async_trait;

/// The queues, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueName {
    /// Chunks of tenants with little open work.
    Enrich,
    /// Chunks of tenants with much open work.
    EnrichBulk,
    /// First attempts of deliveries.
    Webhook,
    /// Later attempts, and deliveries to slow receivers.
    WebhookRetry,
}

/// The longest delay a queue takes. Source: Amazon SQS, `DelaySeconds`.
pub const MAX_QUEUE_DELAY: Duration = Duration::from_secs(900);

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// JSON of a `ChunkMessage` or a `DeliveryTask`, as the queue has them.
    pub body: String,
    /// Whole seconds up to [`MAX_QUEUE_DELAY`]; longer ones are cut to it.
    pub delay: Duration,
    /// The tenant, for fair queues.
    pub group: String,
}

/// Why a queue call gave no answer. A message may have been sent all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the queue did not answer: {0}")]
pub struct QueueError(pub String);

/// The queues. A message is a hint: it may arrive never, once or often, in any order; nothing may
/// depend on it but time.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends messages in batches. `Ok` means all were accepted; on an error some may have been.
    async fn send(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError>;

    /// Makes a received message visible again after `delay` instead of after the queue's visibility
    /// time-out.
    async fn postpone(
        &self,
        queue: QueueName,
        receipt: &str,
        delay: Duration,
    ) -> Result<(), QueueError>;
}
