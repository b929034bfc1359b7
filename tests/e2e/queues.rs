//! Messages that no function can read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::jobs::Ports;
use shared::ports::{Message, Queue, QueueError, QueueName};
use shared::webhooks::replay;

use crate::servers::{Answer, Server};
use crate::world::{ROOT, Tenant, aws, eventually, invoke, text, world};

/// A queue that loses everything.
struct Lossy;

#[async_trait]
impl Queue for Lossy {
    async fn send(&self, _: QueueName, _: Vec<Message>) -> Result<(), QueueError> {
        Ok(())
    }

    async fn postpone(&self, _: QueueName, _: &str, _: Duration) -> Result<(), QueueError> {
        Ok(())
    }
}

/// A stored delivery without a message: its id, and the message.
async fn unsent(tenant: &Tenant, url: &str) -> (String, String) {
    let ports = Ports {
        queue: Arc::new(Lossy),
        ..world().await.ports.clone()
    };
    let delivery = replay::test(&ports, &tenant.id, "native", || Ok(url.to_owned()), None)
        .await
        .unwrap();
    let task = json!({"v": 1, "job": delivery.id.job.as_str(), "delivery": 0, "attempt": 1});
    (delivery.id.to_string(), task.to_string())
}

pub(crate) async fn an_unreadable_message_fails_alone() {
    let (world, tenant) = (world().await, Tenant::new("unreadable").await);
    let receiver = Server::start(|_, _| Answer::Status(204)).await;
    let bad = [
        "",
        "not JSON",
        "{}",
        "[]",
        r#"{"v":1,"job":"job_1","delivery":0,"attempt":1}"#,
        "{\"v\":1,\"more\":true}",
    ];

    // A batch by hand, so that good and bad messages surely share it.
    let (first, first_task) = unsent(&tenant, &receiver.url("/first")).await;
    let (last, last_task) = unsent(&tenant, &receiver.url("/last")).await;
    let bodies: Vec<&str> = std::iter::once(first_task.as_str())
        .chain(bad)
        .chain([last_task.as_str()])
        .collect();
    let records: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(n, body)| {
            json!({"messageId": format!("m{n}"), "receiptHandle": format!("unknown-{n}"),
                "body": body,
                   "attributes": {"ApproximateReceiveCount": "1"}, "eventSource": "aws:sqs"})
        })
        .collect();
    let answer = invoke("dispatch", &json!({"Records": records})).await;
    let failed: Vec<&str> = answer["batchItemFailures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| text(f, "itemIdentifier"))
        .collect();
    assert_eq!(
        failed,
        (1..=bad.len()).map(|n| format!("m{n}")).collect::<Vec<_>>()
    );
    for id in [first, last] {
        tenant
            .delivery_at(&format!("/v1/deliveries/{id}"), "delivered")
            .await;
    }
    let answer = invoke("enrich", &json!({"Records": [records[1].clone()]})).await;
    assert_eq!(
        answer,
        json!({"batchItemFailures": [{"itemIdentifier": "m1"}]})
    );

    // And through the queue. Ten receives take minutes; two show the same.
    let url = &world.config.queues[&QueueName::Webhook];
    let attributes = async |names: Value, url: &str| {
        let (code, answer) = aws(
            "AmazonSQS.GetQueueAttributes",
            ROOT,
            &json!({"QueueUrl": url, "AttributeNames": names}),
        )
        .await;
        assert_eq!(code, 200, "{answer}");
        answer["Attributes"].clone()
    };
    let policy = attributes(json!(["RedrivePolicy"]), url).await;
    let mut policy: Value = serde_json::from_str(text(&policy, "RedrivePolicy")).unwrap();
    let dead = text(&policy, "deadLetterTargetArn")
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    policy["maxReceiveCount"] = json!(2);
    let sooner = json!({"QueueUrl": url, "Attributes": {"RedrivePolicy": policy.to_string()}});
    assert_eq!(
        aws("AmazonSQS.SetQueueAttributes", ROOT, &sooner).await.0,
        200
    );
    let (_, found) = aws("AmazonSQS.GetQueueUrl", ROOT, &json!({"QueueName": dead})).await;
    let dead = text(&found, "QueueUrl").to_owned();

    let (first, first_task) = unsent(&tenant, &receiver.url("/queued")).await;
    let (last, last_task) = unsent(&tenant, &receiver.url("/queued")).await;
    let garbage = format!("garbage of {}", tenant.id);
    let message = |body: &str| Message {
        body: body.to_owned(),
        delay: Duration::ZERO,
        group: tenant.id.to_string(),
    };
    world
        .ports
        .queue
        .send(
            QueueName::Webhook,
            [&first_task, &garbage, &last_task]
                .map(|b| message(b))
                .into(),
        )
        .await
        .unwrap();
    for id in [first, last] {
        tenant
            .delivery_at(&format!("/v1/deliveries/{id}"), "delivered")
            .await;
    }
    let received = eventually("dead letter", async || {
        let take = json!({"QueueUrl": dead, "WaitTimeSeconds": 1, "MaxNumberOfMessages": 10});
        let (_, answer) = aws("AmazonSQS.ReceiveMessage", ROOT, &take).await;
        answer["Messages"]
            .as_array()
            .and_then(|all| all.iter().find(|m| m["Body"] == garbage).cloned())
    });
    received.await;
    assert_eq!(
        receiver.got().len(),
        4,
        "each good message was delivered once"
    );
}
