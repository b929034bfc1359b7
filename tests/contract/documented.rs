//! Rules that AWS documents and the adapters rely on or must not break, checked by hand-made calls
//! to the emulators. The calls bypass the adapters: an emulator that accepts more than AWS would
//! let the adapters send it.

use serde_json::{Value as Json, json};

use crate::emulator::{Emulator, EmulatorName, TABLE};
use crate::wire;

type Case = fn(u16, &str);

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), $name)),*];
    };
}

cases!(
    a_transaction_with_a_token_has_its_effect_once,
    a_transaction_of_more_than_4_megabytes_is_refused,
    a_batch_of_more_than_25_writes_is_refused,
    a_batch_returns_16_megabytes_and_names_the_rest,
    a_page_that_ends_at_its_limit_has_a_key_to_go_on_from,
    a_number_of_more_than_38_digits_is_refused,
    a_delay_of_more_than_15_minutes_is_refused,
    a_visibility_time_out_of_more_than_12_hours_is_refused,
    a_control_character_in_a_message_is_refused,
    a_receipt_of_an_earlier_receive_is_taken,
);

fn dynamo(port: u16, operation: &str, body: &Json) -> (u16, Json) {
    wire::call(port, &format!("DynamoDB_20120810.{operation}"), body)
}

fn sqs(port: u16, operation: &str, body: &Json) -> (u16, Json) {
    wire::call(port, &format!("AmazonSQS.{operation}"), body)
}

fn taken((status, answer): (u16, Json)) -> Json {
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The service refuses with this code.
fn refused((status, answer): &(u16, Json), code: &str) {
    let named = answer["__type"]
        .as_str()
        .is_some_and(|name| name.contains(code));
    assert!(
        *status == 400 && named,
        "{status} where {code} is due: {answer:.500}"
    );
}

fn key(pk: &str, sk: usize) -> Json {
    json!({"pk": {"S": pk}, "sk": {"S": sk.to_string()}})
}

fn item(pk: &str, sk: usize, name: &str, value: Json) -> Json {
    let mut item = key(pk, sk);
    item[name] = value;
    item
}

fn large(pk: &str, sk: usize) -> Json {
    item(pk, sk, "text", json!({"S": "x".repeat(390_000)}))
}

fn put(port: u16, item: &Json) -> (u16, Json) {
    dynamo(port, "PutItem", &json!({"TableName": TABLE, "Item": item}))
}

fn a_transaction_with_a_token_has_its_effect_once(port: u16, name: &str) {
    let update = json!({
        "TableName": TABLE,
        "Key": key(name, 0),
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    });
    let body =
        json!({"ClientRequestToken": "the-same-token", "TransactItems": [{"Update": update}]});
    taken(dynamo(port, "TransactWriteItems", &body));
    taken(dynamo(port, "TransactWriteItems", &body));
    let got = taken(dynamo(
        port,
        "GetItem",
        &json!({"TableName": TABLE, "Key": key(name, 0)}),
    ));
    assert_eq!(got["Item"]["n"]["N"], "1");
}

/// The code of the error is not documented.
fn a_transaction_of_more_than_4_megabytes_is_refused(port: u16, name: &str) {
    let put = |n| json!({"Put": {"TableName": TABLE, "Item": large(name, n)}});
    let body = json!({"TransactItems": (0..12).map(put).collect::<Vec<_>>()});
    refused(&dynamo(port, "TransactWriteItems", &body), "Exception");
}

fn a_batch_of_more_than_25_writes_is_refused(port: u16, name: &str) {
    let put = |n| json!({"PutRequest": {"Item": key(name, n)}});
    let body = json!({"RequestItems": {TABLE: (0..26).map(put).collect::<Vec<_>>()}});
    refused(
        &dynamo(port, "BatchWriteItem", &body),
        "ValidationException",
    );
}

fn a_batch_returns_16_megabytes_and_names_the_rest(port: u16, name: &str) {
    let number = 44;
    for n in 0..number {
        taken(put(port, &large(name, n)));
    }
    let keys: Vec<Json> = (0..number).map(|n| key(name, n)).collect();
    let got = taken(dynamo(
        port,
        "BatchGetItem",
        &json!({"RequestItems": {TABLE: {"Keys": keys}}}),
    ));
    let count = |value: &Json| value.as_array().map_or(0, Vec::len);
    let (read, left) = (
        count(&got["Responses"][TABLE]),
        count(&got["UnprocessedKeys"][TABLE]["Keys"]),
    );
    assert!(
        read + left == number && left > 0,
        "{read} read, {left} left"
    );
}

fn a_page_that_ends_at_its_limit_has_a_key_to_go_on_from(port: u16, name: &str) {
    for n in 0..3 {
        taken(put(port, &key(name, n)));
    }
    let body = json!({
        "TableName": TABLE,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": name}},
        "Limit": 3,
    });
    let got = taken(dynamo(port, "Query", &body));
    assert_eq!(
        got["LastEvaluatedKey"],
        key(name, 2),
        "the key to go on from"
    );
}

fn a_number_of_more_than_38_digits_is_refused(port: u16, name: &str) {
    taken(put(
        port,
        &item(name, 38, "n", json!({"N": "1".repeat(38)})),
    ));
    refused(
        &put(port, &item(name, 39, "n", json!({"N": "1".repeat(39)}))),
        "ValidationException",
    );
}

fn queue(port: u16, name: &str) -> String {
    let answer = taken(sqs(port, "CreateQueue", &json!({"QueueName": name})));
    answer["QueueUrl"].as_str().unwrap().to_owned()
}

/// The receipt of a message, if the queue returns one.
fn receive(port: u16, url: &str, visibility: u64) -> Option<String> {
    let got = taken(sqs(
        port,
        "ReceiveMessage",
        &json!({"QueueUrl": url, "VisibilityTimeout": visibility}),
    ));
    got["Messages"][0]["ReceiptHandle"]
        .as_str()
        .map(str::to_owned)
}

fn a_delay_of_more_than_15_minutes_is_refused(port: u16, name: &str) {
    let url = queue(port, name);
    let send = |seconds| {
        sqs(
            port,
            "SendMessage",
            &json!({"QueueUrl": url, "MessageBody": "later", "DelaySeconds": seconds}),
        )
    };
    taken(send(900));
    refused(&send(901), "InvalidParameterValue");
}

fn a_visibility_time_out_of_more_than_12_hours_is_refused(port: u16, name: &str) {
    let url = queue(port, name);
    taken(sqs(
        port,
        "SendMessage",
        &json!({"QueueUrl": url, "MessageBody": "m"}),
    ));
    let receipt = receive(port, &url, 600).unwrap();
    let body = json!({"QueueUrl": url, "ReceiptHandle": receipt, "VisibilityTimeout": 43_201});
    refused(
        &sqs(port, "ChangeMessageVisibility", &body),
        "InvalidParameterValue",
    );
}

fn a_control_character_in_a_message_is_refused(port: u16, name: &str) {
    let url = queue(port, name);
    let body = json!({"QueueUrl": url, "MessageBody": "a\u{1}b"});
    refused(&sqs(port, "SendMessage", &body), "InvalidMessageContents");
}

/// AWS does not promise that the message is deleted; moto deletes it.
fn a_receipt_of_an_earlier_receive_is_taken(port: u16, name: &str) {
    let url = queue(port, name);
    taken(sqs(
        port,
        "SendMessage",
        &json!({"QueueUrl": url, "MessageBody": "m"}),
    ));
    let first = receive(port, &url, 0).unwrap();
    receive(port, &url, 0).unwrap();
    taken(sqs(
        port,
        "DeleteMessage",
        &json!({"QueueUrl": url, "ReceiptHandle": first}),
    ));
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

#[test]
fn of_ministack() {
    of(EmulatorName::MiniStack);
}

#[test]
fn of_moto() {
    of(EmulatorName::Moto);
}

fn of(kind: EmulatorName) {
    let stack = Emulator::start(kind);
    stack.create_table();
    stack.run_all(CASES, |name, case| case(stack.port, name));
}
