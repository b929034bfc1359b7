//! Messages of queues: whole events of SQS and the messages in them.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use shared::domain::chunk::ChunkMessage;
use shared::domain::delivery::DeliveryTask;
use shared::lambda::sqs;
use shared::lambda::sqs::{Invocation, NoIdentity};

use crate::harness::{World, domains, submission};
use crate::sim::mapping;

/// An event, handed to enrich and to dispatch, while a job (`$JOB`) of two chunks is queued. Each
/// unreadable message fails alone; whatever the others say, the job ends normally.
pub fn batch(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut world = World::new();
    let job = world.job(submission(&domains("plain", 70)));
    let Ok(event) = serde_json::from_str::<SqsEvent>(&text.replace("$JOB", job.as_str())) else {
        return;
    };
    let secrets = [
        world.tenant.api_key.clone(),
        world.tenant.secret.reveal().to_owned(),
    ];
    super::without_secrets(&[&secrets[0], &secrets[1]], || {
        let queues = mapping::queue_urls();
        let chunk: fn(&str) -> bool = |body| serde_json::from_str::<ChunkMessage>(body).is_ok();
        let task: fn(&str) -> bool = |body| serde_json::from_str::<DeliveryTask>(body).is_ok();
        for (readable, enriching) in [(chunk, true), (task, false)] {
            let deadline = world.now().plus(Duration::from_secs(120));
            let invocation = Invocation {
                ports: &world.ports,
                queues: &queues,
                deadline,
            };
            let answer = world.sim.finish(async {
                if enriching {
                    let timeout = world.options.enrich_timeout;
                    let batch =
                        sqs::enrich(&invocation, &world.registry, timeout, event.clone()).await;
                    batch.map(|batch| batch.response())
                } else {
                    sqs::dispatch(&invocation, event.clone())
                        .await
                        .map(|batch| batch.response())
                }
            });
            check(&event, &answer, readable);
        }
        world.settle(Duration::from_secs(14 * 24 * 3600));
    });
}

fn check(
    event: &SqsEvent,
    answer: &Result<SqsBatchResponse, NoIdentity>,
    readable: fn(&str) -> bool,
) {
    let ids: Vec<&str> = event
        .records
        .iter()
        .map(|r| r.message_id.as_deref().unwrap_or_default())
        .collect();
    let nameless = ids.contains(&"");
    let Ok(answer) = answer else {
        return assert!(nameless, "{ids:?}");
    };
    assert!(!nameless, "an answer about messages without an id: {ids:?}");
    let failed: BTreeSet<&str> = answer
        .batch_item_failures
        .iter()
        .map(|f| f.item_identifier.as_str())
        .collect();
    assert!(
        failed.iter().all(|id| ids.contains(id)),
        "{failed:?} of {ids:?}"
    );
    for record in &event.records {
        let body = record.body.as_deref().unwrap_or_default();
        let id = record.message_id.as_deref().unwrap_or_default();
        assert!(
            readable(body) || failed.contains(id),
            "{id:?} was taken for done: {body:?}"
        );
    }
}
