//! The adapters against answers that no emulator gives on demand, scripted over loopback.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use shared::aws::{AwsClients, AwsLimits, AwsSettings, DynamoStore, Service, SqsQueue};
use shared::ports::{
    Change, Condition, FailedCondition, Item, Key, Message, Put, Queue, QueueName, Store,
    StoreError, Update, Value, Write,
};
use testkit::authority::Authority;
use testkit::servers::{Answer, Got, Server, blocking, closed_port};

use crate::wire::{self, block_on, error};

fn key(sk: &str) -> Key {
    Key {
        pk: "P".to_owned(),
        sk: sk.to_owned(),
    }
}

fn item(sk: &str) -> Item {
    Item {
        key: key(sk),
        attributes: BTreeMap::new(),
    }
}

fn put() -> Put {
    Put {
        item: item("a"),
        condition: Some(Condition::ItemAbsent),
    }
}

fn update(change: Change) -> Update {
    Update {
        key: key("a"),
        changes: vec![change],
        condition: None,
    }
}

fn transaction() -> Vec<Write> {
    ["a", "b"]
        .map(|sk| {
            Write::Put(Put {
                item: item(sk),
                condition: Some(Condition::ItemAbsent),
            })
        })
        .into()
}

fn store(clients: &AwsClients) -> DynamoStore {
    clients.store("t", wire::clock(), wire::entropy())
}

fn queue(clients: &AwsClients) -> SqsQueue {
    let urls = BTreeMap::from([(
        QueueName::Enrich,
        "http://queue.example/1/enrich".to_owned(),
    )]);
    clients.queue(urls, wire::clock(), wire::entropy())
}

fn messages(count: usize) -> Vec<Message> {
    (0..count)
        .map(|n| Message {
            body: n.to_string(),
            delay: Duration::from_millis(1500),
            group: "tenant".to_owned(),
        })
        .collect()
}

fn ok() -> Answer {
    wire::json(200, &json!({}))
}

fn raw_key(sk: &str) -> serde_json::Value {
    json!({"pk": {"S": "P"}, "sk": {"S": sk}})
}

fn cancelled(reasons: &serde_json::Value) -> Answer {
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    wire::json(
        400,
        &json!({"__type": kind, "message": "cancelled", "CancellationReasons": reasons}),
    )
}

fn unavailable<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Unavailable(_))),
        "{result:?}"
    );
}

#[test]
fn a_transaction_in_conflict_is_not_a_verdict() {
    for reasons in [
        json!([{"Code": "None"}, {"Code": "TransactionConflict"}]),
        json!([{"Code": "ConditionalCheckFailed"}, {"Code": "TransactionConflict"}]),
    ] {
        let server = wire::serve(move |_, _| cancelled(&reasons));
        let result = block_on(store(&wire::clients_of(&server)).transact(transaction()));
        assert_eq!(result, Err(StoreError::Conflict));
        assert_eq!(server.got().len(), 1);
    }
}

#[test]
fn a_throttled_transaction_is_throttled_and_a_wrong_one_refused() {
    for (code, expected) in [
        ("ThrottlingError", StoreError::Throttled),
        ("ProvisionedThroughputExceeded", StoreError::Throttled),
        (
            "ValidationError",
            StoreError::Refused("action 0: ValidationError".to_owned()),
        ),
        (
            "ItemCollectionSizeLimitExceeded",
            StoreError::Refused("action 0: ItemCollectionSizeLimitExceeded".to_owned()),
        ),
    ] {
        let reasons = json!([{"Code": code, "Message": "secret"}, {"Code": "None"}]);
        let server = wire::serve(move |_, _| cancelled(&reasons));
        assert_eq!(
            block_on(store(&wire::clients_of(&server)).transact(transaction())),
            Err(expected)
        );
    }
}

#[test]
fn a_single_write_to_an_item_in_a_transaction_is_in_conflict() {
    let server = wire::serve(|_, _| error(400, "TransactionConflictException"));
    let clients = wire::clients_of(&server);
    assert_eq!(
        block_on(store(&clients).put(put())),
        Err(StoreError::Conflict)
    );
    assert_eq!(
        block_on(store(&clients).update(update(Change::Add("n", 1)))),
        Err(StoreError::Conflict)
    );
}

#[test]
fn throttling_is_waited_out() {
    let server = wire::serve(|n, _| {
        if n < 3 {
            error(400, "ThrottlingException")
        } else {
            ok()
        }
    });
    let limits = AwsLimits {
        first_wait: Duration::from_millis(400),
        ..wire::settings(0, false).limits
    };
    let clients = AwsClients::new(&AwsSettings {
        limits,
        ..wire::settings(server.port(), false)
    })
    .unwrap();
    let start = Instant::now();
    assert_eq!(block_on(store(&clients).put(put())), Ok(()));
    assert_eq!(server.got().len(), 4);
    // Three jittered waits of up to 0.4, 0.8 and 1 second: their sum is less than this once in a
    // million runs.
    assert!(
        start.elapsed() > Duration::from_millis(15),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn lasting_throttling_is_returned_after_the_last_attempt() {
    for code in [
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
    ] {
        let server = wire::serve(|_, _| error(400, code));
        assert_eq!(
            block_on(store(&wire::clients_of(&server)).put(put())),
            Err(StoreError::Throttled)
        );
        assert_eq!(server.got().len(), 4, "{code}");
    }
}

#[test]
fn a_failing_service_is_asked_again_and_then_unavailable() {
    let server = wire::serve(|_, _| error(500, "InternalServerError"));
    unavailable(&block_on(store(&wire::clients_of(&server)).get(&key("a"))));
    assert_eq!(server.got().len(), 4);
}

#[test]
fn a_write_that_counts_is_not_repeated_when_its_effect_is_unknown() {
    let failing = wire::serve(|_, _| error(500, "InternalServerError"));
    unavailable(&block_on(
        store(&wire::clients_of(&failing)).update(update(Change::Add("n", 1))),
    ));
    assert_eq!(failing.got().len(), 1);

    let closing = wire::serve(|_, _| Answer::Close);
    unavailable(&block_on(
        store(&wire::clients_of(&closing)).update(update(Change::Add("n", 1))),
    ));
    assert_eq!(closing.got().len(), 1);

    let silent = wire::serve(|_, _| Answer::NeverAnswer);
    unavailable(&block_on(
        store(&wire::hasty_clients(silent.port())).update(update(Change::Add("n", 1))),
    ));
    assert_eq!(silent.got().len(), 1);

    let throttled = wire::serve(|n, _| {
        let item = json!({"Attributes": {"pk": {"S": "P"}, "sk": {"S": "a"}, "n": {"N": "1"}}});
        if n == 0 {
            error(400, "ThrottlingException")
        } else {
            wire::json(200, &item)
        }
    });
    let counted =
        block_on(store(&wire::clients_of(&throttled)).update(update(Change::Add("n", 1)))).unwrap();
    assert_eq!(counted.attributes["n"], Value::N(1));
    assert_eq!(throttled.got().len(), 2);
}

fn condition_failed() -> Answer {
    let kind = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException";
    wire::json(
        400,
        &json!({"__type": kind, "message": "failed", "Item": raw_key("a")}),
    )
}

#[test]
fn a_condition_that_fails_after_an_unanswered_attempt_is_not_a_verdict() {
    // The first attempt may have been the write that the second one finds.
    let server = wire::serve(|n, _| {
        if n == 0 {
            error(500, "InternalServerError")
        } else {
            condition_failed()
        }
    });
    unavailable(&block_on(store(&wire::clients_of(&server)).put(put())));
    assert_eq!(server.got().len(), 2);

    let server = wire::serve(|n, _| {
        if n == 0 {
            error(400, "ThrottlingException")
        } else {
            condition_failed()
        }
    });
    let failed = FailedCondition {
        at: 0,
        existing: Some(item("a")),
    };
    assert_eq!(
        block_on(store(&wire::clients_of(&server)).put(put())),
        Err(StoreError::ConditionFailed(vec![failed]))
    );
}

#[test]
fn all_attempts_of_a_transaction_carry_one_token() {
    let server = wire::serve(|n, _| {
        if n < 2 {
            error(500, "InternalServerError")
        } else {
            ok()
        }
    });
    block_on(store(&wire::clients_of(&server)).transact(transaction())).unwrap();
    let got = server.got();
    let tokens: Vec<String> = got
        .iter()
        .map(|got| got.json()["ClientRequestToken"].to_string())
        .collect();
    assert_eq!(tokens.len(), 3);
    assert!(
        got.iter()
            .all(|got| wire::operation(got) == "TransactWriteItems")
    );
    assert!(
        tokens
            .iter()
            .all(|token| *token == tokens[0] && token != "null")
    );
}

#[test]
fn a_refusal_names_its_code_and_no_contents() {
    for code in [
        "AccessDeniedException",
        "ValidationException",
        "ResourceNotFoundException",
    ] {
        let server = wire::serve(|_, _| error(400, code));
        let result = block_on(store(&wire::clients_of(&server)).get(&key("a")));
        assert_eq!(result, Err(StoreError::Refused(format!("400 {code}"))));
        assert_eq!(server.got().len(), 1);
    }
}

#[test]
fn a_transaction_still_in_progress_is_not_said_to_have_failed() {
    let server = wire::serve(|_, _| error(400, "TransactionInProgressException"));
    unavailable(&block_on(
        store(&wire::clients_of(&server)).transact(transaction()),
    ));
}

fn written(got: &Got) -> Vec<String> {
    let body = got.json();
    let requests = body["RequestItems"]["t"].as_array().unwrap();
    requests
        .iter()
        .map(|r| {
            r["PutRequest"]["Item"]["sk"]["S"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn unprocessed_items_go_out_again_alone() {
    let server = wire::serve(|n, got| match n {
        0 => {
            let left = got.json()["RequestItems"]["t"].as_array().unwrap()[1..].to_vec();
            wire::json(200, &json!({"UnprocessedItems": {"t": left}}))
        }
        _ => wire::json(200, &json!({"UnprocessedItems": {}})),
    });
    let items = ["a", "b", "c"].map(item).to_vec();
    block_on(store(&wire::clients_of(&server)).put_all(items)).unwrap();
    let got = server.got();
    assert_eq!(
        got.iter().map(written).collect::<Vec<_>>(),
        [vec!["a", "b", "c"], vec!["b", "c"]]
    );
}

#[test]
fn items_never_processed_are_throttled_in_the_end() {
    let server = wire::serve(|_, got| {
        wire::json(
            200,
            &json!({"UnprocessedItems": got.json()["RequestItems"]}),
        )
    });
    let result = block_on(store(&wire::clients_of(&server)).put_all(vec![item("a")]));
    assert_eq!(result, Err(StoreError::Throttled));
    assert_eq!(server.got().len(), 6);
}

#[test]
fn unprocessed_keys_are_read_again_and_the_order_kept() {
    let server = wire::serve(|n, got| {
        let asked = got.json()["RequestItems"]["t"].clone();
        let keys = asked["Keys"].as_array().unwrap();
        assert_eq!(asked["ConsistentRead"], json!(true));
        // The last of what was asked for is answered, the rest left.
        let (read, left) = if n < 2 {
            keys.split_at(keys.len() - 1)
        } else {
            (&[][..], &keys[..])
        };
        let unprocessed = if read.is_empty() {
            json!({})
        } else {
            json!({"t": {"Keys": read}})
        };
        wire::json(
            200,
            &json!({"Responses": {"t": left}, "UnprocessedKeys": unprocessed}),
        )
    });
    let keys = ["c", "a", "b"].map(key);
    let found = block_on(store(&wire::clients_of(&server)).get_many(&keys)).unwrap();
    assert_eq!(found, ["c", "a", "b"].map(|sk| Some(item(sk))));
    assert_eq!(server.got().len(), 3);
}

#[test]
fn messages_that_the_queue_failed_go_out_again_alone() {
    let server = wire::serve(|n, got| {
        let body = got.json();
        let entries = body["Entries"].as_array().unwrap();
        let fails = |id: &str| n == 0 && (id == "1" || id == "2");
        let (failed, sent): (Vec<_>, Vec<_>) = entries
            .iter()
            .partition(|entry| fails(entry["Id"].as_str().unwrap()));
        let sent: Vec<_> = sent
            .iter()
            .map(|e| json!({"Id": e["Id"], "MessageId": "m", "MD5OfMessageBody": "x"}))
            .collect();
        let failed: Vec<_> = failed
            .iter()
            .map(|e| json!({"Id": e["Id"], "SenderFault": false, "Code": "InternalError"}))
            .collect();
        wire::json(200, &json!({"Successful": sent, "Failed": failed}))
    });
    block_on(queue(&wire::clients_of(&server)).send(QueueName::Enrich, messages(12))).unwrap();
    let got = server.got();
    let bodies = |got: &Got| -> Vec<String> {
        let body = got.json();
        let entries = body["Entries"].as_array().unwrap();
        entries
            .iter()
            .map(|entry| entry["MessageBody"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(got.len(), 3);
    assert_eq!(bodies(&got[0]).len(), 10);
    assert_eq!(bodies(&got[1]), ["1", "2"]);
    assert_eq!(bodies(&got[2]), ["10", "11"]);
    let entry = got[0].json()["Entries"][0].clone();
    assert_eq!(
        (&entry["DelaySeconds"], &entry["MessageGroupId"]),
        (&json!(2), &json!("tenant"))
    );
}

#[test]
fn a_message_that_is_the_senders_fault_is_an_error_at_once() {
    let server = wire::serve(|_, _| {
        wire::json(
            200,
            &json!({"Successful": [], "Failed": [
            {"Id": "0", "SenderFault": true, "Code": "InvalidMessageContents",
                "Message": "secret-in-message"}]}),
        )
    });
    let result = block_on(queue(&wire::clients_of(&server)).send(QueueName::Enrich, messages(1)))
        .unwrap_err();
    assert_eq!(result.0, "a message was refused: InvalidMessageContents");
    assert_eq!(server.got().len(), 1);
}

#[test]
fn a_queue_that_fails_or_is_not_known_is_an_error() {
    let server = wire::serve(|_, _| error(500, "InternalFailure"));
    let queue = queue(&wire::clients_of(&server));
    assert!(block_on(queue.send(QueueName::Enrich, messages(1))).is_err());
    assert!(block_on(queue.postpone(QueueName::Enrich, "r", Duration::ZERO)).is_err());
    let before = server.got().len();
    assert!(block_on(queue.send(QueueName::Webhook, messages(1))).is_err());
    assert_eq!(server.got().len(), before);
}

#[test]
fn silence_and_refused_connections_end_within_the_operation_time_out() {
    let silent = wire::serve(|_, _| Answer::NeverAnswer);
    let (_held, closed) = closed_port();
    for port in [silent.port(), closed] {
        let clients = wire::hasty_clients(port);
        unavailable(&block_on(store(&clients).get(&key("a"))));
        assert!(block_on(queue(&clients).send(QueueName::Enrich, messages(1))).is_err());
    }
    // Each attempt was cut off by itself, because more than one fitted into the operation. Each
    // operation was cut off too, because not all its attempts were made.
    let (got, all) = (silent.got().len(), wire::hasty_limits().attempts as usize);
    assert!(
        (4..2 * all - 1).contains(&got),
        "{got} of twice {all} attempts"
    );
}

#[test]
fn capacity_is_asked_for_only_where_it_is_metered() {
    let answer = json!({"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 3.0,
        "Table": {"CapacityUnits": 1.0},
            "GlobalSecondaryIndexes": {"due": {"CapacityUnits": 2.0}}}});
    let server = wire::serve(move |_, _| wire::json(200, &answer));
    let plain = wire::clients(server.port(), false);
    block_on(store(&plain).put(put())).unwrap();
    assert!(plain.meter().is_none());
    assert!(server.got()[0].json()["ReturnConsumedCapacity"].is_null());

    let metered = wire::clients(server.port(), true);
    block_on(store(&metered).put(put())).unwrap();
    assert_eq!(
        server.got()[1].json()["ReturnConsumedCapacity"],
        json!("INDEXES")
    );
    let usage = metered.meter().unwrap().snapshot_and_reset()["dynamodb.PutItem"];
    assert_eq!((usage.calls, usage.errors), (1, 0));
    assert!(
        (usage.write_units - 3.0).abs() < f64::EPSILON
            && (usage.index_write_units - 2.0).abs() < f64::EPSILON
    );
}

#[test]
fn warming_opens_a_connection_and_never_fails() {
    let server = wire::serve(|_, _| ok());
    block_on(wire::clients_of(&server).warm());
    assert_eq!(server.got().len(), 2);
    let (_held, port) = closed_port();
    block_on(wire::clients(port, false).warm());
    // It ends although no answer arrives.
    block_on(wire::clients_of(&wire::serve(|_, _| Answer::NeverAnswer)).warm());
}

#[test]
fn an_authority_is_trusted_only_where_the_operator_says_so() {
    let authority = Authority::default();
    let config = authority.server(&["127.0.0.1"]);
    let server = blocking(Server::start_tls(config, |_, _| ok()));
    let settings = |extra_ca_pem| AwsSettings {
        endpoint_url: Some(server.url("")),
        extra_ca_pem,
        limits: wire::hasty_limits(),
        ..wire::settings(server.port(), false)
    };
    let untrusting = AwsClients::new(&settings(None)).unwrap();
    unavailable(&block_on(store(&untrusting).put(put())));
    assert!(server.got().is_empty());

    let settings = AwsSettings {
        limits: AwsLimits::default(),
        ..settings(Some(authority.pem().into_bytes()))
    };
    let trusting = AwsClients::new(&settings).unwrap();
    assert_eq!(block_on(store(&trusting).put(put())), Ok(()));
    assert_eq!(server.got().len(), 1);
}

#[test]
fn a_warmed_connection_is_the_one_that_the_first_call_uses() {
    let authority = Authority::default();
    let config = authority.server(&["127.0.0.1"]);
    let server = blocking(Server::start_tls(config, |_, _| ok()));
    let clients = AwsClients::new(&AwsSettings {
        endpoint_url: Some(server.url("")),
        extra_ca_pem: Some(authority.pem().into_bytes()),
        ..wire::settings(server.port(), false)
    })
    .unwrap();
    block_on(async {
        clients.warm_only(&[Service::Table]).await;
        store(&clients).put(put()).await.unwrap();
        store(&clients).put(put()).await.unwrap();
    });
    assert_eq!(server.connections(), 1);
}
