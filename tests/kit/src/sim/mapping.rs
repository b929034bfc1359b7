//! Lambda's event source mapping: whether a function runs for a batch, the event that it gets, and
//! which messages its answer deletes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use shared::ports::QueueName;

use super::{Chain, Received, SimQueue};

/// The URLs of the queues, by which the functions identify them.
pub fn queue_urls() -> BTreeMap<QueueName, String> {
    let url = |queue| {
        (
            queue,
            format!(
                "https://sqs.eu-central-1.amazonaws.com/123456789012/{}",
                name(queue)
            ),
        )
    };
    [
        QueueName::Enrich,
        QueueName::EnrichBulk,
        QueueName::Webhook,
        QueueName::WebhookRetry,
    ]
    .map(url)
    .into()
}

/// Their names in the template.
fn name(queue: QueueName) -> &'static str {
    match queue {
        QueueName::Enrich => "EnrichQueue",
        QueueName::EnrichBulk => "EnrichBulkQueue",
        QueueName::Webhook => "WebhookQueue",
        QueueName::WebhookRetry => "WebhookRetryQueue",
    }
}

/// The runs of a function in one chain before recursive loop detection stops the next run. Source:
/// AWS Lambda developer guide, "Use Lambda recursive loop detection to prevent infinite loops":
/// "approximately 16 times in the same chain".
pub const MAX_RUNS_IN_CHAIN: u32 = 16;

/// The template that is deployed.
pub static TEMPLATE: LazyLock<String> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/template.yaml");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
});

/// The function that reads a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Its resource in the template.
    pub function: String,
    /// True if it says `RecursiveLoop: Allow`. By default Lambda stops loops.
    pub may_recur: bool,
}

/// The function that reads each queue.
pub type Readers = Arc<BTreeMap<QueueName, Reader>>;

/// The readers in the deployed template.
pub fn readers() -> Readers {
    static READERS: LazyLock<Readers> = LazyLock::new(|| readers_in(&TEMPLATE));
    Arc::clone(&READERS)
}

/// Parses the readers in a template's text, line by line: resources are indented by two, their
/// properties by six.
///
/// # Panics
/// When a queue has no reader.
pub fn readers_in(template: &str) -> Readers {
    let all = queue_urls().into_keys().map(|queue| {
        let (mut resource, mut recurs, mut reads) = ("", false, false);
        let source = format!("Queue: !GetAtt {}.Arn", name(queue));
        for line in template.lines() {
            let text = line.trim();
            match line.len() - line.trim_start().len() {
                _ if text.starts_with('#') => {}
                0 | 2 if text.ends_with(':') && reads => break,
                2 if text.ends_with(':') => {
                    (resource, recurs) = (text.trim_end_matches(':'), false);
                }
                6 if text == "RecursiveLoop: Allow" => recurs = true,
                _ => reads |= text == source,
            }
        }
        assert!(reads, "no function reads {}", name(queue));
        (
            queue,
            Reader {
                function: resource.to_owned(),
                may_recur: recurs,
            },
        )
    });
    Arc::new(all.collect())
}

/// The chain that the run for a batch is part of; `None` where Lambda stops it. Then nothing of the
/// batch is deleted: it returns after its visibility time-out, is stopped again, and becomes a dead
/// letter after its last receive.
///
/// Source: the same page. The chain of a run for several messages is not documented; here it is the
/// longest.
pub fn chain_of_run(reader: &Reader, batch: &[Received]) -> Option<Chain> {
    let mut chain = Chain::new();
    for (function, runs) in batch.iter().flat_map(|message| &message.chain) {
        let most = chain.entry(function.clone()).or_default();
        *most = (*most).max(*runs);
    }
    let runs = chain.entry(reader.function.clone()).or_default();
    *runs += 1;
    (reader.may_recur || *runs <= MAX_RUNS_IN_CHAIN).then_some(chain)
}

/// Builds the event of a batch. Source of its shape: AWS Lambda developer guide, "Using Lambda with
/// Amazon SQS".
pub fn event(queue: QueueName, batch: &[Received]) -> Value {
    let record = |message: &Received| {
        json!({
            "messageId": message.id,
            "receiptHandle": message.receipt,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": message.receive_count.to_string(),
                "SentTimestamp": message.sent_at.0.to_string(),
                "MessageGroupId": message.group,
            },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:eu-central-1:123456789012:{}", name(queue)),
            "awsRegion": "eu-central-1",
        })
    };
    json!({"Records": batch.iter().map(record).collect::<Vec<_>>()})
}

/// Returns, for each message of a batch, whether a function's answer keeps it in the queue.
///
/// Source of the rule: AWS Lambda developer guide, "Implementing partial batch responses", success
/// and failure conditions. An empty or null list, an empty or null answer: the whole batch
/// succeeded. The whole batch failed if the answer is not JSON, or an item's identifier is empty,
/// null, under another name, or unknown. JSON other than an object is not documented, and counts as
/// failed here.
fn kept(answer: &str, ids: &[&str]) -> Vec<bool> {
    let (none, all) = (vec![false; ids.len()], vec![true; ids.len()]);
    let failures = match serde_json::from_str(answer) {
        Ok(Value::Null) => return none,
        Ok(Value::Object(mut answer)) => answer.remove("batchItemFailures").unwrap_or_default(),
        Ok(_) | Err(_) => return all,
    };
    let failures = match failures {
        Value::Null => return none,
        Value::Array(failures) => failures,
        _ => return all,
    };
    let named: Option<Vec<&str>> = failures
        .iter()
        .map(|item| item["itemIdentifier"].as_str())
        .collect();
    match named {
        Some(named) if named.iter().all(|id| ids.contains(id)) => {
            ids.iter().map(|id| named.contains(id)).collect()
        }
        _ => all,
    }
}

/// Deletes the messages that a function's answer reports as done. The rest returns when its
/// visibility time-out ends, or when the function asked for. Without an answer (an error, a
/// time-out, a process that died) do not call this: the whole batch returns.
pub fn settle(queue: &SimQueue, name: QueueName, batch: &[Received], answer: &str) {
    let ids: Vec<&str> = batch.iter().map(|message| message.id.as_str()).collect();
    for (message, kept) in batch.iter().zip(kept(answer, &ids)) {
        if !kept {
            queue.delete(name, &message.receipt);
        }
    }
}
