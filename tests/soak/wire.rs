//! Answers of `DynamoDB` and SQS in their JSON protocol, as the services give them under load, and
//! batches cut in two.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// An answer made up here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ScriptedAnswer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// SQS sends its code in a header too, as in its older protocol.
    pub(crate) query_error: Option<&'static str>,
}

fn error(status: u16, kind: &str, more: Value) -> ScriptedAnswer {
    let mut body = json!({"__type": kind, "message": "made by the soak"});
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    ScriptedAnswer {
        status,
        body,
        query_error: None,
    }
}

/// The ids of the jobs that a call is about, by the keys of its items and the messages in it.
pub(crate) fn jobs(body: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(body);
    let behind = text
        .match_indices("job_")
        .filter_map(|(at, mark)| text.get(at + mark.len()..at + mark.len() + 26));
    let ulids = behind.filter(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()));
    ulids.map(|ulid| format!("job_{ulid}")).collect()
}

/// The service throttles. Source: Amazon `DynamoDB` developer guide, "error handling"; Amazon SQS
/// API reference, "common errors".
pub(crate) fn throttled(operation: &str, sqs: bool, transaction_of: usize) -> ScriptedAnswer {
    if sqs {
        let answer = error(400, "com.amazonaws.sqs#RequestThrottled", json!({}));
        return ScriptedAnswer {
            query_error: Some("RequestThrottled;Sender"),
            ..answer
        };
    }
    if operation == "TransactWriteItems" {
        return cancelled("ThrottlingError", transaction_of);
    }
    let kind = match operation {
        "Query" | "GetItem" => "com.amazon.coral.availability#ThrottlingException",
        _ => "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    };
    error(400, kind, json!({}))
}

/// The items are part of another transaction.
pub(crate) fn conflict(operation: &str, transaction_of: usize) -> ScriptedAnswer {
    if operation == "TransactWriteItems" {
        return cancelled("TransactionConflict", transaction_of);
    }
    error(
        400,
        "com.amazonaws.dynamodb.v20120810#TransactionConflictException",
        json!({}),
    )
}

/// A transaction whose last action is to blame. The reasons stand in the order of the actions.
fn cancelled(code: &str, actions: usize) -> ScriptedAnswer {
    let reasons: Vec<_> = (1..=actions.max(1))
        .map(|n| {
            if n == actions.max(1) {
                json!({"Code": code, "Message": "made by the soak"})
            } else {
                json!({"Code": "None"})
            }
        })
        .collect();
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    error(400, kind, json!({"CancellationReasons": reasons}))
}

/// The service itself failed.
pub(crate) fn failed(sqs: bool) -> ScriptedAnswer {
    if sqs {
        let answer = error(500, "com.amazonaws.sqs#InternalFailure", json!({}));
        return ScriptedAnswer {
            query_error: Some("InternalFailure;Receiver"),
            ..answer
        };
    }
    error(
        500,
        "com.amazonaws.dynamodb.v20120810#InternalServerError",
        json!({}),
    )
}

/// Counts the actions of a transaction.
pub(crate) fn actions(body: &Value) -> usize {
    body["TransactItems"].as_array().map_or(1, Vec::len)
}

/// Messages acknowledged but never delivered.
pub(crate) fn lost(body: &Value) -> ScriptedAnswer {
    let entries = body["Entries"].as_array().map_or(&[][..], Vec::as_slice);
    let sent: Vec<_> = entries
        .iter()
        .map(|e| {
            json!({"Id": e["Id"], "MessageId": "lost",
                "MD5OfMessageBody": "00000000000000000000000000000000"})
        })
        .collect();
    ScriptedAnswer {
        status: 200,
        body: json!({"Successful": sent, "Failed": []}),
        query_error: None,
    }
}

/// A batch without its second half, and the answer to add for that half. `None` for the batch where
/// nothing of it is left.
pub(crate) struct Cut {
    pub(crate) batch: Option<Value>,
    left: Left,
}

enum Left {
    Writes(Value),
    Keys(Value),
    Messages(Vec<Value>),
}

/// Cuts a batch in two; `None` if the call is not a batch.
pub(crate) fn cut(operation: &str, body: &Value) -> Option<Cut> {
    let half = |list: &[Value]| {
        (
            list[..list.len() / 2].to_vec(),
            list[list.len() / 2..].to_vec(),
        )
    };
    let with = |name: &str, value: Value| {
        let mut body = body.clone();
        body[name] = value;
        body
    };
    if operation == "SendMessageBatch" {
        let (kept, left) = half(body["Entries"].as_array()?);
        let batch = (!kept.is_empty()).then(|| with("Entries", kept.into()));
        return Some(Cut {
            batch,
            left: Left::Messages(left),
        });
    }
    let reads = match operation {
        "BatchGetItem" => true,
        "BatchWriteItem" => false,
        _ => return None,
    };
    let (mut kept_of, mut left_of) = (Map::new(), Map::new());
    for (table, asked) in body["RequestItems"].as_object()? {
        let list = if reads { &asked["Keys"] } else { asked };
        let (kept, left) = half(list.as_array()?);
        let put = |list: Vec<Value>| {
            let mut whole = asked.clone();
            if reads {
                whole["Keys"] = list.into();
            } else {
                whole = list.into();
            }
            whole
        };
        if !kept.is_empty() {
            kept_of.insert(table.clone(), put(kept));
        }
        left_of.insert(table.clone(), put(left));
    }
    let batch = (!kept_of.is_empty()).then(|| with("RequestItems", kept_of.into()));
    let left = if reads {
        Left::Keys(left_of.into())
    } else {
        Left::Writes(left_of.into())
    };
    Some(Cut { batch, left })
}

impl Cut {
    /// The answer to the whole batch, from the answer to the part that was passed on.
    pub(crate) fn answer(&self, mut answer: Value) -> Value {
        match &self.left {
            Left::Writes(left) => answer["UnprocessedItems"] = left.clone(),
            Left::Keys(left) => {
                answer["UnprocessedKeys"] = left.clone();
                if answer["Responses"].is_null() {
                    answer["Responses"] = json!({});
                }
            }
            Left::Messages(left) => {
                let failed = left.iter().map(|e| {
                    json!({"Id": e["Id"], "SenderFault": false, "Code": "InternalError",
                        "Message": "made by the soak"})
                });
                answer["Failed"] = failed.collect();
                if answer["Successful"].is_null() {
                    answer["Successful"] = json!([]);
                }
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jobs_of_a_call_are_found_in_keys_and_messages() {
        let (one, two) = ("01JABCDEFGHJKMNPQRSTVWXYZ0", "01JABCDEFGHJKMNPQRSTVWXYZ1");
        let put = format!("{{\"pk\":{{\"S\":\"JOB#job_{one}#0000\"}},\"x\":\"JOB#job_short\"}}");
        let message = format!("{{\"MessageBody\":\"{{\\\"job\\\":\\\"job_{two}\\\"}}\"}}");
        assert_eq!(jobs(put.as_bytes()), BTreeSet::from([format!("job_{one}")]));
        assert_eq!(
            jobs(message.as_bytes()),
            BTreeSet::from([format!("job_{two}")])
        );
    }

    #[test]
    fn both_halves_of_a_batch_are_the_whole() {
        let writes = json!({"RequestItems": {"t": [1, 2, 3]}, "ReturnConsumedCapacity": "TOTAL"});
        let cut_in_two = cut("BatchWriteItem", &writes).unwrap();
        assert_eq!(
            cut_in_two.batch.clone().unwrap()["RequestItems"],
            json!({"t": [1]})
        );
        assert_eq!(
            cut_in_two.batch.clone().unwrap()["ReturnConsumedCapacity"],
            "TOTAL"
        );
        assert_eq!(
            cut_in_two.answer(json!({})),
            json!({"UnprocessedItems": {"t": [2, 3]}})
        );

        let reads = json!({"RequestItems": {"t": {"Keys": [1], "ConsistentRead": true}}});
        let nothing = cut("BatchGetItem", &reads).unwrap();
        assert_eq!(nothing.batch, None);
        let answer = nothing.answer(json!({}));
        assert_eq!(answer["UnprocessedKeys"], reads["RequestItems"]);

        let sent = json!({"QueueUrl": "q", "Entries": [{"Id": "0"}, {"Id": "1"}]});
        let one = cut("SendMessageBatch", &sent).unwrap();
        assert_eq!(
            one.batch.clone().unwrap(),
            json!({"QueueUrl": "q", "Entries": [{"Id": "0"}]})
        );
        assert_eq!(
            one.answer(json!({"Successful": [{"Id": "0"}]}))["Failed"][0]["Id"],
            "1"
        );
        assert!(cut("PutItem", &json!({})).is_none());
    }

    #[test]
    fn a_cancelled_transaction_has_a_reason_for_each_action() {
        let body = json!({"TransactItems": [{}, {}, {}]});
        let answer = conflict("TransactWriteItems", actions(&body));
        let codes: Vec<_> = answer.body["CancellationReasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["Code"].clone())
            .collect();
        assert_eq!(codes, ["None", "None", "TransactionConflict"]);
    }
}
