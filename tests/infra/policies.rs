//! The template's policies, evaluated as IAM does it, over the calls that the functions make in a
//! run.
//!
//! The emulator does not know the condition key `dynamodb:LeadingKeys`, so what hangs on it is
//! shown here. Sources: IAM user guide, "Policy evaluation logic" and "Multivalued context keys";
//! Amazon `DynamoDB` developer guide, "Using IAM policy conditions for fine-grained access control"
//! and "Using IAM with `DynamoDB` transactions".

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::domain::record::FailureCode;
use shared::ports::{
    Item, Key, Message, Put, Query, Queue, QueueError, QueueName, Select, Store, StoreError,
    Update, Write,
};
use shared::providers::Answer;
use shared::surfaces::SURFACES;
use testkit::harness::{HOOK, ServedApi, World, found};
use testkit::sim::{Gate, Reply};

use crate::template::{FUNCTIONS, list, statements};

/// A request to IAM: one action on one resource, with its partition keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    action: &'static str,
    resource: String,
    leading: Vec<String>,
}

impl Asked {
    fn of_table<'a>(action: &'static str, keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            action,
            resource: "Table.Arn".to_owned(),
            leading: keys.into_iter().map(str::to_owned).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allowed,
    /// A statement says no, and nothing outweighs it.
    Denied,
    /// No statement says yes.
    NotAllowed,
}

/// `*` stands for any characters, `?` for one.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        ([b'*', rest @ ..], text) => (0..=text.len()).any(|n| like(rest, &text[n..])),
        ([b'?', rest @ ..], [_, text @ ..]) => like(rest, text),
        ([p, rest @ ..], [t, text @ ..]) => p == t && like(rest, text),
        _ => false,
    }
}

/// A resource as the policies name it, with what is only known once deployed written as its name.
fn resolved(value: &Value) -> String {
    match (
        value.as_str(),
        value["Fn::GetAtt"].as_array(),
        value["Fn::Sub"].as_str(),
        value["Ref"].as_str(),
    ) {
        (Some(text), ..) => text.to_owned(),
        (_, Some(path), ..) => path
            .iter()
            .map(|part| part.as_str().unwrap())
            .collect::<Vec<_>>()
            .join("."),
        (_, _, Some(text), _) => text.replace("${", "").replace('}', ""),
        (.., Some(name)) => name.to_owned(),
        _ => panic!("{value} is not a known resource"),
    }
}

fn applies(statement: &Value, asked: &Asked) -> bool {
    let any = |patterns: &Value, text: &str| {
        list(patterns)
            .into_iter()
            .any(|pattern| like(resolved(pattern).as_bytes(), text.as_bytes()))
    };
    let known = ["Effect", "Action", "Resource", "Condition"];
    assert!(
        statement
            .as_object()
            .unwrap()
            .keys()
            .all(|key| known.contains(&key.as_str())),
        "{statement}"
    );
    let condition = statement["Condition"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(operator, keys)| {
            assert_eq!(
                operator, "ForAnyValue:StringLike",
                "no other is understood here"
            );
            keys.as_object().unwrap().iter().all(|(key, patterns)| {
                assert_eq!(key, "dynamodb:LeadingKeys", "no other is understood here");
                // A request without the key has no value that could match.
                asked.leading.iter().any(|value| any(patterns, value))
            })
        });
    any(&statement["Action"], asked.action)
        && any(&statement["Resource"], &asked.resource)
        && condition
}

fn verdict(function: &str, asked: &Asked) -> Verdict {
    if statements(function, "Deny")
        .into_iter()
        .any(|statement| applies(statement, asked))
    {
        Verdict::Denied
    } else if statements(function, "Allow")
        .into_iter()
        .any(|statement| applies(statement, asked))
    {
        Verdict::Allowed
    } else {
        Verdict::NotAllowed
    }
}

/// Notes which function asks for what.
struct Recorder {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    gate: Arc<Gate>,
    /// The function that carries out a request, which is not a process of the simulation.
    api: Mutex<Option<&'static str>>,
    asked: Mutex<BTreeMap<&'static str, BTreeSet<Asked>>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl Recorder {
    fn note(&self, asked: impl IntoIterator<Item = Asked>) {
        let function = match &*self.gate.caller() {
            "Enrich" | "EnrichBulk" => Some("Enrich"),
            "Webhook" | "WebhookRetry" => Some("Dispatch"),
            "sweep" => Some("Sweep"),
            "request" => *self.api.lock().unwrap(),
            other => panic!("{other} is not a function"),
        };
        // Without a function, the test itself reads.
        if let Some(function) = function {
            self.asked
                .lock()
                .unwrap()
                .entry(function)
                .or_default()
                .extend(asked);
        }
    }
}

#[async_trait]
impl Store for Recorder {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.note([Asked::of_table("dynamodb:GetItem", [key.pk.as_str()])]);
        self.store.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        self.note([Asked::of_table(
            "dynamodb:BatchGetItem",
            keys.iter().map(|key| key.pk.as_str()),
        )]);
        self.store.get_many(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        let (index, key) = match &query.select {
            Select::Partition { pk, .. } => ("", pk),
            Select::JobsOfTenant { tenant_jobs, .. } => ("/index/by_tenant", tenant_jobs),
            Select::Due { due_shard, .. } => ("/index/due", due_shard),
        };
        let mut asked = Asked::of_table("dynamodb:Query", [key.as_str()]);
        asked.resource += index;
        self.note([asked]);
        self.store.query(query).await
    }

    async fn put(&self, put: Put) -> Result<(), StoreError> {
        self.note([Asked::of_table(
            "dynamodb:PutItem",
            [put.item.key.pk.as_str()],
        )]);
        self.store.put(put).await
    }

    async fn update(&self, update: Update) -> Result<Item, StoreError> {
        self.note([Asked::of_table(
            "dynamodb:UpdateItem",
            [update.key.pk.as_str()],
        )]);
        self.store.update(update).await
    }

    /// Each item of a transaction is judged as an action of its own.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.note(writes.iter().map(|write| match write {
            Write::Put(put) => Asked::of_table("dynamodb:PutItem", [put.item.key.pk.as_str()]),
            Write::Update(update) => {
                Asked::of_table("dynamodb:UpdateItem", [update.key.pk.as_str()])
            }
            Write::Check { key, .. } => {
                Asked::of_table("dynamodb:ConditionCheckItem", [key.pk.as_str()])
            }
        }));
        self.store.transact(writes).await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.note([Asked::of_table(
            "dynamodb:BatchWriteItem",
            items.iter().map(|item| item.key.pk.as_str()),
        )]);
        self.store.put_all(items).await
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        self.note([Asked::of_table(
            "dynamodb:BatchWriteItem",
            keys.iter().map(|key| key.pk.as_str()),
        )]);
        self.store.delete_all(keys).await
    }
}

fn of_queue(action: &'static str, queue: QueueName) -> Asked {
    Asked {
        action,
        resource: format!("{queue:?}Queue.Arn"),
        leading: Vec::new(),
    }
}

#[async_trait]
impl Queue for Recorder {
    async fn send(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        self.note([of_queue("sqs:SendMessage", queue)]);
        self.queue.send(queue, messages).await
    }

    async fn postpone(
        &self,
        queue: QueueName,
        receipt: &str,
        delay: Duration,
    ) -> Result<(), QueueError> {
        self.note([of_queue("sqs:ChangeMessageVisibility", queue)]);
        self.queue.postpone(queue, receipt, delay).await
    }
}

/// A deployment that is used in every way of the API, with receivers that fail.
fn run() -> BTreeMap<&'static str, BTreeSet<Asked>> {
    let mut world = World::new();
    let recorder = Arc::new(Recorder {
        store: world.ports.store.clone(),
        queue: world.ports.queue.clone(),
        gate: world.sim.gate.clone(),
        api: Mutex::default(),
        asked: Mutex::default(),
    });
    world.ports.store = recorder.clone();
    world.ports.queue = recorder.clone();
    world.receiver.replies([
        Reply::status(500),
        Reply::status(503).header("retry-after", "60"),
    ]);
    let mut served = ServedApi::new(world, SURFACES, "", |input| {
        match input["domain"].as_str().unwrap() {
            "down.example" => (
                Duration::ZERO,
                Answer::Failed {
                    code: FailureCode::ProviderError,
                    detail: "down".to_owned(),
                },
            ),
            domain => (Duration::from_secs(1), found(json!({"name": domain}))),
        }
    });
    let bearer = format!("Bearer {}", served.key());
    let mut asks = 0;
    let mut ask = |served: &mut ServedApi, method: &str, path: &str, sent: Value| -> Value {
        asks += 1;
        *recorder.api.lock().unwrap() = Some(if method == "GET" { "Status" } else { "Submit" });
        let (key, sent) = (
            asks.to_string(),
            if sent.is_null() {
                String::new()
            } else {
                sent.to_string()
            },
        );
        let headers = [
            ("authorization", bearer.as_str()),
            ("x-api-key", &bearer[7..]),
            ("idempotency-key", &key),
        ];
        let response = served.call(method, path, &headers, sent.as_bytes());
        *recorder.api.lock().unwrap() = None;
        let text = String::from_utf8_lossy(&response.body);
        assert!(
            (200..300).contains(&response.status),
            "{method} {path}: {} {text}",
            response.status
        );
        serde_json::from_str(&text).unwrap_or_default()
    };
    let records: Vec<Value> = ["a", "down", "b"]
        .iter()
        .map(|name| json!({"input": {"domain": format!("{name}.example")}}))
        .collect();
    let job = json!({"type": "any", "records": records, "webhook_url": HOOK,
        "webhook_events": {"record.finished": format!("{HOOK}?record")}});
    let first = ask(&mut served, "POST", "/v1/jobs", job)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    ask(&mut served, "GET", "/v1/account", Value::Null);
    served.settle();
    let at = format!("/v1/jobs/{first}");
    ask(&mut served, "GET", &at, Value::Null);
    ask(&mut served, "GET", "/v1/jobs", Value::Null);
    ask(&mut served, "GET", &format!("{at}/results"), Value::Null);
    let deliveries = ask(&mut served, "GET", &format!("{at}/deliveries"), Value::Null);
    let delivery = deliveries["deliveries"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    ask(
        &mut served,
        "GET",
        &format!("/v1/deliveries/{delivery}"),
        Value::Null,
    );
    ask(
        &mut served,
        "POST",
        &format!("/v1/deliveries/{delivery}/replay"),
        Value::Null,
    );
    ask(&mut served, "POST", &format!("{at}/retry"), Value::Null);
    ask(
        &mut served,
        "POST",
        "/v1/webhooks/test",
        json!({"url": HOOK}),
    );
    ask(
        &mut served,
        "POST",
        "/v1/webhooks/secret/rotate",
        Value::Null,
    );
    // Its receivers store only the last event.
    ask(
        &mut served,
        "POST",
        "/email-to-hem",
        json!({"email": "john.doe@example.com", "callbackUrl": HOOK}),
    );
    served.settle();
    let again = ask(&mut served, "POST", &format!("{at}/retry"), Value::Null);
    ask(
        &mut served,
        "POST",
        &format!("/v1/jobs/{}/cancel", again["id"].as_str().unwrap()),
        Value::Null,
    );
    for queue in [
        QueueName::Enrich,
        QueueName::EnrichBulk,
        QueueName::Webhook,
        QueueName::WebhookRetry,
    ] {
        served.world.sim.queue.lose(queue);
    }
    served.settle();
    ask(&mut served, "DELETE", &at, Value::Null);
    served.settle();
    recorder.asked.lock().unwrap().clone()
}

#[test]
fn the_roles_permit_every_call_that_the_functions_make() {
    let asked = run();
    assert_eq!(
        asked.keys().copied().collect::<BTreeSet<_>>(),
        FUNCTIONS.into_iter().collect()
    );
    for (function, asked) in &asked {
        for asked in asked {
            assert_eq!(
                verdict(function, asked),
                Verdict::Allowed,
                "{function}: {asked:?}"
            );
        }
        let actions: BTreeSet<&str> = asked.iter().map(|asked| asked.action).collect();
        assert!(
            actions.len() >= 3,
            "{function} did too little to show anything: {actions:?}"
        );
    }
    let leads = |function: &str, action: &str, key: &str| {
        asked[function]
            .iter()
            .any(|asked| asked.action == action && asked.leading.iter().any(|k| k.starts_with(key)))
    };
    for function in ["Submit", "Status"] {
        assert!(
            leads(function, "dynamodb:GetItem", "KEY#"),
            "{function} knows who asks"
        );
    }
    assert!(
        leads("Dispatch", "dynamodb:BatchGetItem", "SECRET#"),
        "dispatch signs"
    );
    assert!(
        leads("Submit", "dynamodb:UpdateItem", "SECRET#"),
        "submit rotates"
    );
}

#[test]
fn no_function_can_make_or_revoke_an_api_key() {
    let writes = [
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:BatchWriteItem",
    ];
    let mut only_for_the_denial = BTreeSet::new();
    for function in FUNCTIONS {
        for action in writes {
            let keys: &[&[&str]] = match action {
                "dynamodb:BatchWriteItem" => {
                    &[&["KEY#0f"], &["JOB#1", "KEY#0f"], &["KEY#0f", "JOB#1"]]
                }
                _ => &[&["KEY#0f"]],
            };
            for keys in keys {
                let asked = Asked::of_table(action, keys.iter().copied());
                assert_eq!(
                    verdict(function, &asked),
                    Verdict::Denied,
                    "{function}: {asked:?}"
                );
                if statements(function, "Allow")
                    .into_iter()
                    .any(|statement| applies(statement, &asked))
                {
                    only_for_the_denial.insert((function, action));
                }
            }
            let other = verdict(
                function,
                &Asked::of_table(action, ["JOB#1", "MONKEY#1", "key#1"]),
            );
            assert_ne!(other, Verdict::Denied, "{function}: {action}");
        }
    }
    assert!(
        only_for_the_denial.contains(&("Submit", "dynamodb:PutItem")),
        "{only_for_the_denial:?}"
    );
}

#[test]
fn only_who_signs_reads_a_webhook_secret() {
    for function in FUNCTIONS {
        let wanted = if ["Submit", "Dispatch"].contains(&function) {
            Verdict::Allowed
        } else {
            Verdict::Denied
        };
        for (action, keys) in [
            ("dynamodb:GetItem", &["SECRET#t"][..]),
            ("dynamodb:BatchGetItem", &["JOB#1", "SECRET#t"]),
            ("dynamodb:Query", &["SECRET#t"]),
        ] {
            assert_eq!(
                verdict(function, &Asked::of_table(action, keys.iter().copied())),
                wanted,
                "{function}: {action}"
            );
        }
        let whole = Asked::of_table("dynamodb:Scan", []);
        assert_eq!(
            verdict(function, &whole),
            Verdict::NotAllowed,
            "{function}: a scan has no keys to judge by"
        );
    }
}

/// S3 tells who may not list a bucket that an object is denied when it is not there.
#[test]
fn only_enrich_reads_the_operators_files_and_it_may_list_the_bucket() {
    let asked = |action, resource: &str| Asked {
        action,
        resource: resource.to_owned(),
        leading: Vec::new(),
    };
    let parameter = "arn:AWS::Partition:ssm:AWS::Region:AWS::AccountId:parameterSecretsPath";
    for (call, wanted) in [
        (
            asked(
                "s3:GetObject",
                "arn:AWS::Partition:s3:::TablesBucket/tables/a.csv",
            ),
            Verdict::Allowed,
        ),
        (
            asked("s3:ListBucket", "arn:AWS::Partition:s3:::TablesBucket"),
            Verdict::Allowed,
        ),
        (
            asked("s3:ListBucket", "arn:AWS::Partition:s3:::another"),
            Verdict::NotAllowed,
        ),
        (
            asked(
                "s3:PutObject",
                "arn:AWS::Partition:s3:::TablesBucket/tables/a.csv",
            ),
            Verdict::NotAllowed,
        ),
        (
            asked("ssm:GetParameter", &format!("{parameter}/my-api-key")),
            Verdict::Allowed,
        ),
        (
            asked("ssm:GetParameter", &format!("{parameter}-of-another/key")),
            Verdict::NotAllowed,
        ),
    ] {
        for function in FUNCTIONS {
            let wanted = if function == "Enrich" {
                wanted
            } else {
                Verdict::NotAllowed
            };
            assert_eq!(verdict(function, &call), wanted, "{function}: {call:?}");
        }
    }
}
