//! `make interference`: how long one tenant's small jobs take, alone and beside another tenant's
//! load.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shared::lambda::config::environment;
use testkit::servers::{Answer, Server};
use tokio::sync::Notify;

use crate::api::{Api, Tenant};
use crate::faults::Faults;
use crate::{Failed, variable};

/// The small tenant's jobs in each step; one starts every [`EVERY`] whether or not those before
/// have ended.
const JOBS: u32 = 100;
const EVERY: Duration = Duration::from_millis(500);
const RECORDS: u32 = 10;
/// The large tenant's jobs, and the time of its upstream API for a record: it occupies functions
/// and little processor.
const LARGE_JOBS: u32 = 100;
const LARGE_RECORDS: u32 = 1000;
const LOOKUP: Duration = Duration::from_millis(800);
/// Webhooks of the large tenant that are due at once to a receiver that hangs.
const DEAD_WEBHOOKS: u32 = 100;
/// A job without an event by then counts as if it had taken this long.
const PATIENCE: Duration = Duration::from_secs(180);

/// Beside a load, the 99th percentile may be at most this many times that of the first step.
const MOST: f64 = 2.0;

/// The load beside the small tenant's jobs.
#[derive(Debug, Clone, Copy, Default)]
struct Beside {
    jobs: bool,
    dead: bool,
}

/// The small tenant's receiver: the time of each job's webhook.
#[derive(Clone)]
struct Finished {
    at: Arc<Mutex<BTreeMap<String, Instant>>>,
    changed: Arc<Notify>,
}

struct Measured {
    name: &'static str,
    took: Vec<Duration>,
    missing: usize,
    /// The share of the machine's processor time that was used.
    busy: Option<f64>,
}

pub(crate) async fn run() -> Result<bool, Failed> {
    let reported = Finished {
        at: Arc::default(),
        changed: Arc::default(),
    };
    let seen = reported.clone();
    let receiver = Server::start(move |_, got| {
        seen.at
            .lock()
            .unwrap()
            .entry(got.path.trim_start_matches('/').to_owned())
            .or_insert_with(Instant::now);
        seen.changed.notify_waiters();
        Answer::Status(204)
    })
    .await;
    let dead = Server::start(|_, _| Answer::NeverAnswer).await;
    Server::start_at(variable("MILLRACE_TEST_UPSTREAM")?.parse()?, |_, got| {
        let answer = json!({"answer": 1});
        if got.path.starts_with("/lookup/large") {
            Answer::Later(LOOKUP, answer)
        } else {
            Answer::Json(answer)
        }
    })
    .await;

    let api = Api::new(&environment, Arc::new(Faults::new(0)))?;
    let steps = [
        ("alone", Beside::default()),
        (
            "beside 100 jobs of 1,000 records",
            Beside {
                jobs: true,
                dead: false,
            },
        ),
        ("alone again", Beside::default()),
        (
            "beside 100 webhooks to a dead receiver",
            Beside {
                jobs: false,
                dead: true,
            },
        ),
        (
            "beside both",
            Beside {
                jobs: true,
                dead: true,
            },
        ),
    ];
    let mut measured = Vec::new();
    for (number, (name, beside)) in steps.into_iter().enumerate() {
        // New tenants, so that no step meets the leftovers of an earlier one.
        let large = api.tenant(2 * number, 10_000_000, &[600]).await?;
        let small = api.tenant(2 * number + 1, 1_000_000, &[1]).await?;
        let begun = load(&api, &large, number, beside, &dead).await?;
        println!("{name} …");
        measured.push(measure(&api, &small, number, name, &receiver, &reported).await?);
        clear(&api, &large, &begun).await?;
    }
    print(&measured);
    let mut all = measured.iter().all(|step| step.missing == 0);
    for (step, (_, beside)) in measured.iter().zip(steps) {
        if beside.jobs || beside.dead {
            let (reached, verdict) = verdict(&measured[0], step);
            println!("  {}: {verdict}", step.name);
            all &= reached;
        }
    }
    Ok(all)
}

/// Starts the large tenant's load; all of it is accepted when this returns. Returns the ids of its
/// large jobs.
async fn load(
    api: &Api,
    large: &Tenant,
    step: usize,
    beside: Beside,
    dead: &Server,
) -> Result<Vec<String>, Failed> {
    let mut ids = Vec::new();
    if beside.dead {
        for n in 0..DEAD_WEBHOOKS {
            let body = json!({"url": dead.url("/dead")}).to_string();
            let key = format!("dead-{step}-{n}");
            let reply = api
                .call(
                    large,
                    "POST",
                    "/v1/webhooks/test",
                    Some(&key),
                    body.as_bytes(),
                )
                .await?;
            if reply.status != 202 {
                return Err(
                    format!("a test webhook answers {}: {}", reply.status, reply.text()).into(),
                );
            }
        }
    }
    if beside.jobs {
        for n in 0..LARGE_JOBS {
            ids.push(
                submit(
                    api,
                    large,
                    &format!("large-{step}-{n}"),
                    LARGE_RECORDS,
                    &dead.url("/dead"),
                )
                .await?,
            );
        }
    }
    Ok(ids)
}

async fn submit(
    api: &Api,
    tenant: &Tenant,
    key: &str,
    records: u32,
    hook: &str,
) -> Result<String, Failed> {
    let records: Vec<Value> = (0..records)
        .map(|n| json!({"input": {"key": format!("{key}.{n}")}}))
        .collect();
    let body = json!({"type": "lookup", "records": records, "webhook_url": hook}).to_string();
    let reply = api
        .call(tenant, "POST", "/v1/jobs", Some(key), body.as_bytes())
        .await?;
    if reply.status != 202 {
        return Err(format!("submit answers {}: {}", reply.status, reply.text()).into());
    }
    let job: Value = serde_json::from_slice(&reply.body)?;
    Ok(job["id"].as_str().ok_or("a job without an id")?.to_owned())
}

/// Ends the rest of the large tenant's jobs before the next step, and purges its messages, which
/// would have no effect.
async fn clear(api: &Api, large: &Tenant, ids: &[String]) -> Result<(), Failed> {
    for url in api.config.queues.values() {
        api.sqs("PurgeQueue", &json!({"QueueUrl": url})).await?;
    }
    for id in ids {
        api.call(large, "DELETE", &format!("/v1/jobs/{id}"), None, b"")
            .await?;
    }
    Ok(())
}

async fn measure(
    api: &Api,
    small: &Tenant,
    step: usize,
    name: &'static str,
    receiver: &Server,
    reported: &Finished,
) -> Result<Measured, Failed> {
    let before = processor();
    let mut running = Vec::new();
    let mut tick = tokio::time::interval(EVERY);
    for n in 0..JOBS {
        tick.tick().await;
        let (api, small, reported) = (api.clone(), small.clone(), reported.clone());
        let key = format!("small-{step}-{n}");
        let hook = receiver.url(&format!("/{key}"));
        running.push(tokio::spawn(async move {
            let begun = Instant::now();
            submit(&api, &small, &key, RECORDS, &hook).await?;
            let waiting = async {
                loop {
                    let changed = reported.changed.notified();
                    if let Some(at) = reported.at.lock().unwrap().get(&key) {
                        return at.duration_since(begun);
                    }
                    changed.await;
                }
            };
            Ok::<_, Failed>(tokio::time::timeout(PATIENCE, waiting).await.ok())
        }));
    }
    let mut took = Vec::new();
    for job in running {
        took.push(job.await??);
    }
    let missing = took.iter().filter(|t| t.is_none()).count();
    let mut took: Vec<Duration> = took.into_iter().map(|t| t.unwrap_or(PATIENCE)).collect();
    took.sort_unstable();
    let busy = before
        .zip(processor())
        .map(|(before, after)| share(before, after));
    Ok(Measured {
        name,
        took,
        missing,
        busy,
    })
}

/// Returns the busy and all ticks of the machine's processors so far, where the system reports
/// them. Source: proc(5), /proc/stat.
fn processor() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|t| t.parse().ok())
        .collect();
    let all: u64 = ticks.iter().take(8).sum();
    Some((all - ticks.get(3)? - ticks.get(4)?, all))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share, and ticks of a few minutes"
)]
fn share(before: (u64, u64), after: (u64, u64)) -> f64 {
    (after.0 - before.0) as f64 / (after.1 - before.1).max(1) as f64
}

/// Returns the least value that this share of all does not exceed; `sorted` is not empty.
fn percentile(sorted: &[Duration], of_hundred: usize) -> Duration {
    sorted[(sorted.len() * of_hundred)
        .div_ceil(100)
        .clamp(1, sorted.len())
        - 1]
}

/// Judges whether a step is fast enough, with words for it.
fn verdict(alone: &Measured, step: &Measured) -> (bool, String) {
    let times =
        percentile(&step.took, 99).as_secs_f64() / percentile(&alone.took, 99).as_secs_f64();
    if times > MOST {
        (false, format!("missed: p99 {times:.2}x, at most {MOST}x"))
    } else {
        (true, format!("reached: p99 {times:.2}x, at most {MOST}x"))
    }
}

fn print(measured: &[Measured]) {
    println!(
        "\nFrom submit to webhook, {JOBS} jobs of {RECORDS} records, one each {} ms, \
         on this machine",
        EVERY.as_millis()
    );
    println!(
        "  {:40} {:>8} {:>8} {:>8}  {:>6} {:>6}  {:>9}",
        "", "p50 ms", "p99 ms", "most ms", "p50 x", "p99 x", "processor"
    );
    let base: Vec<Duration> = [50, 99].map(|p| percentile(&measured[0].took, p)).into();
    for step in measured {
        let (p50, p99) = (percentile(&step.took, 50), percentile(&step.took, 99));
        let most = percentile(&step.took, 100);
        println!(
            "  {:40} {:8} {:8} {:8}  {:6.2} {:6.2}  {:>9}",
            step.name,
            p50.as_millis(),
            p99.as_millis(),
            most.as_millis(),
            p50.as_secs_f64() / base[0].as_secs_f64(),
            p99.as_secs_f64() / base[1].as_secs_f64(),
            step.busy.map_or("unknown".to_owned(), |busy| format!(
                "{:.0} %",
                busy * 100.0
            ))
        );
        if step.missing > 0 {
            println!(
                "  {} jobs had no event within {} s",
                step.missing,
                PATIENCE.as_secs()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_is_reported_as_one() {
        let step = |ms| Measured {
            name: "a step",
            took: vec![Duration::from_millis(ms)],
            missing: 0,
            busy: None,
        };
        let alone = step(100);
        assert_eq!(
            verdict(&alone, &step(200)),
            (true, "reached: p99 2.00x, at most 2x".to_owned())
        );
        assert_eq!(
            verdict(&alone, &step(4360)),
            (false, "missed: p99 43.60x, at most 2x".to_owned())
        );
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(
            [50, 99, 100].map(|p| percentile(&sorted, p).as_millis()),
            [50, 99, 100]
        );
        assert_eq!(percentile(&sorted[..1], 99).as_millis(), 1);
    }
}
