//! The effects of a function's answer on its queue's trigger.

use std::time::Duration;

use shared::ports::{Message, Queue, QueueName};
use testkit::sim::Sim;
use testkit::sim::mapping::settle;

/// Returns what is left of a batch of two after this answer.
fn left(answer: Option<&str>) -> Vec<String> {
    let sim = Sim::new(1);
    let message = |body: &str| Message {
        body: body.to_owned(),
        delay: Duration::ZERO,
        group: "t".to_owned(),
    };
    sim.finish(
        sim.queue
            .send(QueueName::Webhook, vec![message("a"), message("b")]),
    )
    .unwrap();
    let batch = sim.queue.receive(QueueName::Webhook, 5);
    if let Some(answer) = answer {
        let answer = answer
            .replace("$a", &batch[0].id)
            .replace("$b", &batch[1].id);
        settle(&sim.queue, QueueName::Webhook, &batch, &answer);
    }
    // Nothing of it can be had before its visibility time-out.
    assert_eq!(sim.queue.receive(QueueName::Webhook, 5), []);
    sim.clock.advance(Duration::from_mins(12));
    sim.queue
        .receive(QueueName::Webhook, 5)
        .into_iter()
        .map(|message| message.body)
        .collect()
}

#[test]
fn failed_messages_come_back_and_the_others_are_deleted() {
    assert_eq!(
        left(Some(r#"{"batchItemFailures":[{"itemIdentifier":"$b"}]}"#)),
        ["b"]
    );
    assert_eq!(
        left(Some(
            r#"{"batchItemFailures":[{"itemIdentifier":"$b"},{"itemIdentifier":"$a"}]}"#
        )),
        ["a", "b"]
    );
}

#[test]
fn an_empty_or_null_list_is_a_success() {
    assert_eq!(
        left(Some(r#"{"batchItemFailures":[]}"#)),
        Vec::<String>::new()
    );
    assert_eq!(
        left(Some(r#"{"batchItemFailures":null}"#)),
        Vec::<String>::new()
    );
}

#[test]
fn an_empty_or_null_answer_is_a_success() {
    assert_eq!(left(Some("{}")), Vec::<String>::new());
    assert_eq!(left(Some("null")), Vec::<String>::new());
}

#[test]
fn an_answer_that_is_no_json_fails_the_batch() {
    assert_eq!(left(Some("")), ["a", "b"]);
    assert_eq!(left(Some(r#"{"batchItemFailures":["#)), ["a", "b"]);
}

#[test]
fn an_empty_identifier_fails_the_batch() {
    assert_eq!(
        left(Some(r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#)),
        ["a", "b"]
    );
    assert_eq!(
        left(Some(
            r#"{"batchItemFailures":[{"itemIdentifier":"$a"},{"itemIdentifier":""}]}"#
        )),
        ["a", "b"]
    );
}

#[test]
fn a_null_identifier_fails_the_batch() {
    assert_eq!(
        left(Some(r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#)),
        ["a", "b"]
    );
}

#[test]
fn an_identifier_under_another_name_fails_the_batch() {
    assert_eq!(
        left(Some(r#"{"batchItemFailures":[{"messageId":"$b"}]}"#)),
        ["a", "b"]
    );
}

#[test]
fn an_unknown_identifier_fails_the_batch() {
    assert_eq!(
        left(Some(
            r#"{"batchItemFailures":[{"itemIdentifier":"message-99999999"}]}"#
        )),
        ["a", "b"]
    );
}

#[test]
fn no_answer_fails_the_batch() {
    assert_eq!(left(None), ["a", "b"]);
}
