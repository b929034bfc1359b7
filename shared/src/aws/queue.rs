//! The queues on SQS.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

use super::failure::{Failure, failure};
use super::meter::{Meter, Usage};
use crate::ports::{Clock, Entropy, MAX_QUEUE_DELAY, Message, Queue, QueueError, QueueName};

/// Source: Amazon SQS API reference, `SendMessageBatch`.
const MAX_MESSAGES: usize = 10;
/// SQS takes 1 MiB a batch since August 2025; 256 KiB is what it took before, and bills as four
/// requests.
const MAX_BATCH_BYTES: usize = 256 * 1024;
/// Source: Amazon SQS API reference, `ChangeMessageVisibility`: 12 hours.
const MAX_VISIBILITY: Duration = Duration::from_hours(12);
/// The most times that entries are sent which the service failed on its own account.
const MAX_ROUNDS: u32 = 5;
/// The wait after the first round, before jitter; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The client of SQS, built when it is first used: some functions and most invocations send no
/// message.
pub(super) type LazySqs =
    Arc<LazyLock<aws_sdk_sqs::Client, Box<dyn FnOnce() -> aws_sdk_sqs::Client + Send>>>;

/// The queues, by URL.
pub struct SqsQueue {
    client: LazySqs,
    urls: BTreeMap<QueueName, String>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    meter: Option<Arc<Meter>>,
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

impl From<Failure> for QueueError {
    fn from(failure: Failure) -> Self {
        Self(match failure {
            Failure::Throttled | Failure::Conflict => "throttled".to_owned(),
            Failure::Unavailable(why) | Failure::Refused(why) => why,
        })
    }
}

/// Whole seconds; a part counts as one more, so that nothing comes early.
fn seconds(duration: Duration, most: Duration) -> i32 {
    let duration = duration.min(most);
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// After this many batches that failed, what is left is not sent.
const MAX_FAILED_BATCHES: usize = 2;

/// Batches of at most ten messages and 256 KiB; a message that is larger alone goes alone, for SQS
/// to judge.
fn batches(messages: &[Message]) -> Vec<&[Message]> {
    let mut batches = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (at, message) in messages.iter().enumerate() {
        if at > start
            && (at - start == MAX_MESSAGES || bytes + message.body.len() > MAX_BATCH_BYTES)
        {
            batches.push(&messages[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += message.body.len();
    }
    if start < messages.len() {
        batches.push(&messages[start..]);
    }
    batches
}

fn entry(id: usize, message: &Message) -> Result<SendMessageBatchRequestEntry, QueueError> {
    SendMessageBatchRequestEntry::builder()
        .id(id.to_string())
        .message_body(&message.body)
        .delay_seconds(seconds(message.delay, MAX_QUEUE_DELAY))
        // Standard queues take groups since July 2025 and share their receivers fairly between
        // them.
        .set_message_group_id(Some(message.group.clone()).filter(|group| !group.is_empty()))
        .build()
        .map_err(|_| QueueError("the request could not be built".to_owned()))
}

impl SqsQueue {
    pub(super) fn new(
        client: LazySqs,
        urls: BTreeMap<QueueName, String>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        meter: Option<Arc<Meter>>,
    ) -> Self {
        Self {
            client,
            urls,
            clock,
            entropy,
            meter,
        }
    }

    fn url(&self, queue: QueueName) -> Result<&str, QueueError> {
        let url = self.urls.get(&queue);
        url.map(String::as_str)
            .ok_or_else(|| QueueError(format!("no URL is known for the queue {queue:?}")))
    }

    fn count(&self, operation: &'static str, ok: bool, bytes: usize) {
        if let Some(meter) = &self.meter {
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            meter.count(
                operation,
                Usage {
                    calls: 1,
                    errors: u64::from(!ok),
                    bytes,
                    ..Usage::default()
                },
            );
        }
    }

    async fn send_batch(&self, url: &str, batch: &[Message]) -> Result<(), QueueError> {
        let mut left: Vec<usize> = (0..batch.len()).collect();
        for round in 0..MAX_ROUNDS {
            let entries: Result<Vec<_>, _> =
                left.iter().map(|at| entry(*at, &batch[*at])).collect();
            let bytes = left.iter().map(|at| batch[*at].body.len()).sum();
            let answer = self
                .client
                .send_message_batch()
                .queue_url(url)
                .set_entries(Some(entries?))
                .send()
                .await;
            self.count("sqs.SendMessageBatch", answer.is_ok(), bytes);
            let failed = answer.map_err(|error| failure(&error))?.failed;
            if let Some(refused) = failed.iter().find(|entry| entry.sender_fault()) {
                return Err(QueueError(format!(
                    "a message was refused: {}",
                    refused.code()
                )));
            }
            left = failed
                .iter()
                .filter_map(|entry| entry.id().parse().ok())
                .filter(|at| *at < batch.len())
                .collect();
            if left.is_empty() {
                return Ok(());
            }
            let longest = FIRST_WAIT.saturating_mul(1 << round);
            self.clock.sleep(longest.mul_f64(self.entropy.unit())).await;
        }
        Err(QueueError(format!(
            "{} messages were not accepted",
            left.len()
        )))
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        let url = self.url(queue)?;
        let mut failures = Vec::new();
        for batch in batches(&messages) {
            // One batch that is lost does not take the others along; a queue that does not answer
            // is not asked for ever.
            failures.extend(self.send_batch(url, batch).await.err());
            if failures.len() == MAX_FAILED_BATCHES {
                break;
            }
        }
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    async fn postpone(
        &self,
        queue: QueueName,
        receipt: &str,
        delay: Duration,
    ) -> Result<(), QueueError> {
        let url = self.url(queue)?;
        let answer = self
            .client
            .change_message_visibility()
            .queue_url(url)
            .receipt_handle(receipt)
            .visibility_timeout(seconds(delay, MAX_VISIBILITY))
            .send()
            .await;
        self.count("sqs.ChangeMessageVisibility", answer.is_ok(), 0);
        answer.map(|_| ()).map_err(|error| failure(&error).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Message {
        Message {
            body: "x".repeat(bytes),
            delay: Duration::ZERO,
            group: String::new(),
        }
    }

    #[test]
    fn batches_are_cut_by_number_and_by_bytes() {
        let sizes = |messages: &[Message]| {
            batches(messages)
                .iter()
                .map(|batch| batch.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&vec![message(1); 23]), [10, 10, 3]);
        assert_eq!(sizes(&vec![message(100 * 1024); 5]), [2, 2, 1]);
        assert_eq!(sizes(&[message(300 * 1024), message(1)]), [1, 1]);
    }

    #[test]
    fn delays_are_whole_seconds_and_never_early() {
        assert_eq!(seconds(Duration::ZERO, MAX_QUEUE_DELAY), 0);
        assert_eq!(seconds(Duration::from_millis(1001), MAX_QUEUE_DELAY), 2);
        assert_eq!(seconds(Duration::from_hours(1), MAX_QUEUE_DELAY), 900);
    }
}
