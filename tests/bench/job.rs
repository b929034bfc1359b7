//! The main job on a local stack: 1,000 records in, one webhook out, and what that used.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::aws::{AwsClients, AwsLimits, AwsSettings, Usage};
use shared::domain::ids::{JobId, TenantId};
use shared::domain::tenant::{ENRICH_CONCURRENCY, fast_chunks};
use shared::jobs::Ports;
use shared::lambda::system::{NoAssets, NoDns, SystemClock, SystemEntropy};
use shared::maintenance::tenants;
use shared::net::{PlainHttp, ReqwestSender, SenderSettings};
use shared::ports::{Entropy, HttpRequest, Item, Query, Select, Store};
use shared::schema::{idempotency_key, job_range, shard_range};
use shared::surfaces::SURFACES;
use testkit::servers::{Answer, Server};
use testkit::sim::item_size;

use crate::cost::{self, Used};
use crate::{Failed, INPUT, Target, model, price};

/// The functions that the job passes through. The sweep runs by the clock, whatever jobs there are.
const FUNCTIONS: [&str; 3] = ["submit", "enrich", "dispatch"];
const MAX_CALLS: f64 = 120.0;
const MAX_WRITE_UNITS: f64 = 500.0;
/// The time that the whole job may take here.
const PATIENCE: Duration = Duration::from_secs(120);

/// Invocations of one function.
#[derive(Debug, Default, Clone, Copy)]
struct Invocations {
    number: u32,
    seconds: f64,
    gb_seconds: f64,
}

/// The functions' log lines about themselves so far.
#[derive(Debug, Default, Clone)]
struct Logged {
    used: Used,
    invocations: BTreeMap<String, Invocations>,
}

pub(crate) fn run() -> Result<Vec<Target>, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure())
}

fn variable(name: &str) -> Result<String, Failed> {
    env::var(name).map_err(|_| format!("{name} is not set: run it by make bench").into())
}

/// The request's body, but for its webhook, and how many records it has.
fn body() -> Result<(Value, usize), Failed> {
    let mut reader = csv::Reader::from_path(INPUT).map_err(|error| format!("{INPUT}: {error}"))?;
    let mut records = Vec::new();
    for row in reader.deserialize() {
        let (id, domain, crm_id): (String, String, String) = row?;
        records
            .push(json!({"id": id, "input": {"domain": domain}, "metadata": {"crm_id": crm_id}}));
    }
    let number = records.len();
    Ok((json!({"type": "company", "records": records}), number))
}

async fn measure() -> Result<Vec<Target>, Failed> {
    let clients = AwsClients::new(&AwsSettings {
        region: variable("AWS_REGION")?,
        access_key_id: variable("AWS_ACCESS_KEY_ID")?,
        secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?,
        session_token: None,
        endpoint_url: Some(variable("AWS_ENDPOINT_URL")?),
        extra_ca_pem: None,
        metered: false,
        limits: AwsLimits::default(),
    })?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let http = Arc::new(ReqwestSender::new(SenderSettings {
        allowed: vec!["127.0.0.0/8".parse()?],
        allow_http: PlainHttp::Always,
        local: true,
        nameserver: None,
        extra_ca_pem: None,
        user_agent: "bench".to_owned(),
        decompress: false,
        keep_idle: Duration::ZERO,
    })?);
    let store =
        Arc::new(clients.store(&variable("MILLRACE_TABLE")?, clock.clone(), entropy.clone()));
    let queue = Arc::new(clients.queue(BTreeMap::new(), clock.clone(), entropy.clone()));
    let ports = Ports {
        store: store.clone(),
        queue,
        http,
        dns: Arc::new(NoDns),
        assets: Arc::new(NoAssets),
        clock,
        entropy: entropy.clone(),
        surfaces: SURFACES,
        public_url: None,
        fast_chunks: fast_chunks(ENRICH_CONCURRENCY),
        large: Arc::default(),
    };

    // A tenant of its own, so that the bench needs no command line tool and meets no earlier job.
    let mut random = [0; 4];
    entropy.fill(&mut random);
    let name = format!(
        "bench-{}",
        random.map(|byte| format!("{byte:02x}")).concat()
    );
    let tenant = TenantId::parse(&name).ok_or("the bench's tenant has no valid name")?;
    let key = tenants::create(&ports, &tenant, 1_000_000).await?.api_key;

    let (mut body, records) = body()?;
    let modelled = model::run(&body)?;
    let receiver = Server::start(|_, _| Answer::Status(200)).await;
    body["webhook_url"] = receiver.url("/webhook").into();
    let before = logged()?;
    let begun = Instant::now();
    let job = submit(&ports, &key, &name, &body).await?;
    let delivery = receiver.wait("webhook", |got| !got.is_empty());
    let event = tokio::time::timeout(PATIENCE, delivery).await?[0].json();
    let took = begun.elapsed();
    let counts = &event["data"]["counts"];
    if event["data"]["id"] != job.as_str() || counts["total"] != records {
        return Err(format!("the webhook is of something else: {event}").into());
    }
    let after = settled(&before).await?;

    let found = &counts["found"];
    println!(
        "\nThe main job: {records} records, {found} of them found; webhook after {:.1} s on \
         this machine",
        took.as_secs_f64()
    );
    println!(
        "\nAWS calls, as the functions counted them, with capacity units as the local stack \
         reports them"
    );
    let mut used = after.used;
    used.messages = modelled.messages;
    cost::table(&used);
    println!(
        "\nThe same job in the simulation, all chunks at once, with capacity units by AWS's \
         documented rules"
    );
    cost::table(&modelled);
    stored(store.as_ref(), &job, &tenant, &name, records).await?;
    bill(&used, &modelled, &after.invocations, records);
    let larger = |of: fn(&Used) -> f64| of(&used).max(of(&modelled));
    #[expect(clippy::cast_precision_loss, reason = "calls of one job are few")]
    let calls = larger(|used| used.calls() as f64);
    Ok(vec![
        Target::new(
            "AWS calls for 1,000 records (larger count)",
            calls,
            MAX_CALLS,
        ),
        Target::new(
            "write units for 1,000 records (larger count)",
            larger(Used::write_units),
            MAX_WRITE_UNITS,
        ),
    ])
}

async fn submit(
    ports: &Ports,
    key: &str,
    idempotency: &str,
    body: &Value,
) -> Result<JobId, Failed> {
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: format!("{}/v1/jobs", variable("MILLRACE_URL")?),
        headers: vec![
            ("authorization".to_owned(), format!("Bearer {key}")),
            ("content-type".to_owned(), "application/json".to_owned()),
            ("idempotency-key".to_owned(), idempotency.to_owned()),
        ],
        body: body.to_string().into_bytes(),
        deadline: Duration::from_secs(30),
        plain_http: false,
        max_response_bytes: 1024 * 1024,
    };
    let answer = ports.http.send(request).await?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != 202 {
        return Err(format!("submit answers {}: {text}", answer.status).into());
    }
    let job: Value = serde_json::from_str(&text)?;
    job["id"]
        .as_str()
        .and_then(JobId::parse)
        .ok_or_else(|| format!("no job in {text}").into())
}

/// Everything the functions have logged, read by the stack's own command.
fn logged() -> Result<Logged, Failed> {
    let mut all = Logged::default();
    for function in FUNCTIONS {
        let port = variable("MILLRACE_PORT")?;
        let python = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let output = Command::new(python)
            .args(["infra/local/stack.py", "--port", &port, "logs", function])
            .env("PYTHONWARNINGS", "ignore")
            .output()?;
        if !output.status.success() {
            return Err(
                format!("stack.py logs: {}", String::from_utf8_lossy(&output.stderr)).into(),
            );
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Some(line) = line
                .strip_prefix(function)
                .and_then(|line| line.strip_prefix(": "))
            else {
                continue;
            };
            if let Some((call, usage)) = usage_line(line) {
                let sum = all
                    .used
                    .calls
                    .entry((function.to_owned(), call))
                    .or_default();
                *sum = cost::add(*sum, usage);
            } else if let Some((milliseconds, megabytes)) = report_line(line) {
                let sum = all.invocations.entry(function.to_owned()).or_default();
                sum.number += 1;
                sum.seconds += milliseconds / 1000.0;
                sum.gb_seconds += milliseconds / 1000.0 * megabytes / 1024.0;
            }
        }
    }
    Ok(all)
}

fn usage_line(line: &str) -> Option<(String, Usage)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let call = value["usage.call"].as_str()?.to_owned();
    let usage = Usage {
        calls: value["usage.calls"].as_u64()?,
        errors: value["usage.errors"].as_u64()?,
        read_units: value["usage.read_units"].as_f64()?,
        write_units: value["usage.write_units"].as_f64()?,
        index_write_units: value["usage.index_write_units"].as_f64()?,
        bytes: value["usage.bytes"].as_u64()?,
    };
    Some((call, usage))
}

/// Reads milliseconds and megabytes of the line that ends each invocation's log; tabs part its
/// fields.
fn report_line(line: &str) -> Option<(f64, f64)> {
    let field = |name: &str| {
        line.split('\t')
            .find_map(|part| part.strip_prefix(name)?.split(' ').next()?.parse().ok())
    };
    line.starts_with("REPORT ").then_some(())?;
    Some((field("Duration: ")?, field("Memory Size: ")?))
}

/// Returns what was logged since `before`, once the last invocation has logged: a line appears
/// when its invocation is over.
async fn settled(before: &Logged) -> Result<Logged, Failed> {
    let give_up = Instant::now() + PATIENCE;
    let mut last = 0;
    while Instant::now() < give_up {
        let now = since(before, logged()?);
        let recorded = now
            .used
            .calls
            .contains_key(&("dispatch".to_owned(), "dynamodb.UpdateItem".to_owned()));
        if recorded && now.used.calls() == last {
            return Ok(now);
        }
        last = now.used.calls();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Err("the functions log no usage: is the stack's parameter Metered=true?".into())
}

fn since(before: &Logged, mut now: Logged) -> Logged {
    for (place, old) in &before.used.calls {
        if let Some(new) = now.used.calls.get_mut(place) {
            new.calls -= old.calls;
            new.errors -= old.errors;
            new.read_units -= old.read_units;
            new.write_units -= old.write_units;
            new.index_write_units -= old.index_write_units;
            new.bytes -= old.bytes;
        }
    }
    now.used.calls.retain(|_, usage| usage.calls > 0);
    for (function, old) in &before.invocations {
        if let Some(new) = now.invocations.get_mut(function) {
            new.number -= old.number;
            new.seconds -= old.seconds;
            new.gb_seconds -= old.gb_seconds;
        }
    }
    now
}

/// Prints the items that the job left.
async fn stored(
    store: &dyn Store,
    job: &JobId,
    tenant: &TenantId,
    key: &str,
    records: usize,
) -> Result<(), Failed> {
    let all = |select: Select| Query {
        select,
        limit: usize::MAX,
        descending: false,
        consistent: true,
    };
    let mut items = store.query(&all(job_range(job))).await?;
    items.extend(store.query(&all(shard_range(job, 0))).await?);
    items.extend(store.get(&idempotency_key(tenant, key)).await?);
    let mut kinds: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for item in &items {
        let (number, bytes) = kinds.entry(kind(item)).or_default();
        *number += 1;
        *bytes += item_size(item);
    }
    let total: usize = items.iter().map(item_size).sum();
    println!(
        "\nStored until it expires: {} items, {total} bytes ({} a record)",
        items.len(),
        total / records
    );
    for (kind, (number, bytes)) in kinds {
        println!("  {kind:10} {number:4} items {bytes:8} bytes");
    }
    Ok(())
}

/// The word in an item's sort key that says what it is.
fn kind(item: &Item) -> String {
    let word = item
        .key
        .sk
        .split('#')
        .rfind(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_uppercase()));
    word.unwrap_or("?").to_lowercase()
}

/// Prints the list price of a million records in jobs like this one.
#[expect(clippy::cast_precision_loss, reason = "sums of one job are small")]
fn bill(used: &Used, modelled: &Used, invocations: &BTreeMap<String, Invocations>, records: usize) {
    let scale = 1e6 / records as f64;
    let reads = used.read_units().max(modelled.read_units());
    let writes = used.write_units().max(modelled.write_units());
    // What Lambda does on its own account: each message is received once and deleted once.
    let polling = 2 * used.messages;
    let requests: u32 = invocations.values().map(|sum| sum.number).sum();
    let seconds: f64 = invocations.values().map(|sum| sum.seconds).sum();
    let gb_seconds: f64 = invocations.values().map(|sum| sum.gb_seconds).sum();
    let lines = [
        (
            format!("DynamoDB: {writes:.0} write units a job"),
            writes * price::WRITE_UNIT,
        ),
        (
            format!("DynamoDB: {reads:.0} read units a job"),
            reads * price::READ_UNIT,
        ),
        (
            format!(
                "SQS: {} calls a job, {polling} more by Lambda (estimated)",
                used.sqs_calls()
            ),
            (used.sqs_calls() + polling) as f64 * price::SQS_REQUEST,
        ),
        (
            format!("Lambda: {requests} requests a job"),
            f64::from(requests) * price::LAMBDA_REQUEST,
        ),
        (
            format!("Lambda: {gb_seconds:.2} GB-s a job ({seconds:.2} s on this machine)"),
            gb_seconds * price::LAMBDA_GB_SECOND,
        ),
        ("HTTP API: 1 request a job".to_owned(), price::HTTP_REQUEST),
    ];
    println!("\nList price of 1,000,000 records in such jobs, us-east-1, on demand, arm64");
    for (what, dollars) in &lines {
        println!("  {what:60} ${:8.4}", dollars * scale);
    }
    println!(
        "  {:60} ${:8.4}",
        "all",
        lines.iter().map(|(_, dollars)| dollars).sum::<f64>() * scale
    );
    println!(
        "  Capacity units: the larger of the two counts. GB-seconds are those of this machine and\n\
         \x20 of its emulator, not of AWS, where a call to DynamoDB and the processor take other\n\
         \x20 times. Not in it: log lines, storage (${} a GB and month), data transfer, status\n\
         \x20 requests, the sweep, and Lambda's empty receives on idle queues.",
        price::STORED_GB_MONTH
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_log_are_read() {
        let (call, usage) = usage_line(
            r#"{"level":"INFO","message":"usage","usage.call":"dynamodb.PutItem",
                "usage.calls":2,"usage.errors":0,"usage.read_units":0.0,"usage.write_units":3.5,
                "usage.index_write_units":1.0,"usage.bytes":0}"#,
        )
        .unwrap();
        assert_eq!(
            (call.as_str(), usage.calls, usage.write_units),
            ("dynamodb.PutItem", 2, 3.5)
        );
        assert!(usage_line(r#"{"message":"request served"}"#).is_none());
        let line = "REPORT RequestId: x\tDuration: 12 ms\tBilled Duration: 12 ms\t\
                    Memory Size: 512 MB\tMax Memory Used: 9 MB";
        assert_eq!(report_line(line), Some((12.0, 512.0)));
        assert_eq!(report_line("END RequestId: x"), None);
    }
}
