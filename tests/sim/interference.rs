//! Tenants compete: what a small tenant waits from submit to webhook while a large one does its
//! worst.
//!
//! In virtual time with the template's concurrency and latencies as on AWS, so that the figures
//! tell of lanes and shares alone. `make interference` measures the deployed functions on one
//! machine, where the processor is shared as well.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shared::domain::job::{Accepted, Submission, Webhook};
use shared::domain::tenant::fast_chunks;
use shared::domain::time::Timestamp;
use shared::maintenance::tenants;
use shared::ports::HttpError;
use testkit::harness::{Options, World, domains, submission};
use testkit::sim::{Fault, Op, Reply};

use crate::{HOUR, SECOND};

/// The time of a call of `DynamoDB` or SQS within the region.
const CALL: Duration = Duration::from_millis(6);
/// B's jobs.
const JOBS: usize = 200;
/// B's first jobs start before A's, and its last ones after.
const A_BEGINS: Duration = Duration::from_secs(10);

/// The default of a parameter of the template.
pub(crate) fn parameter(name: &str) -> usize {
    let template = include_str!("../../infra/template.yaml");
    let (_, block) = template
        .split_once(&format!("\n  {name}:\n"))
        .expect("the template has the parameter");
    let (_, default) = block.split_once("Default: ").expect("it has a default");
    default
        .lines()
        .next()
        .and_then(|n| n.trim().parse().ok())
        .expect("a number")
}

/// A scenario of two tenants that compete.
struct Contest {
    options: Options,
    /// The interval between B's jobs.
    every: Duration,
    beside: Vec<Submission>,
    /// The interval between A's jobs.
    apart: Duration,
}

impl Contest {
    /// Uses the template's concurrency; A's jobs start all at once.
    fn with(beside: Vec<Submission>) -> Self {
        let enrichers = parameter("EnrichConcurrency");
        let options = Options {
            enrichers,
            fast_chunks: fast_chunks(u32::try_from(enrichers).unwrap()),
            bulk_enrichers: Some(parameter("EnrichBulkConcurrency")),
            dispatchers: parameter("WebhookConcurrency"),
            retry_dispatchers: Some(parameter("WebhookRetryConcurrency")),
            ..Options::default()
        };
        Self {
            options,
            every: Duration::from_millis(500),
            beside,
            apart: Duration::ZERO,
        }
    }

    /// B's 99th percentile beside A is at most twice what it is alone.
    fn harms_nobody(&self) {
        let (alone, slowest_alone) = self.waits(&[]);
        let (beside, slowest_beside) = self.waits(&self.beside);
        println!(
            "p50 {alone:?} alone, {beside:?} beside the other; p99 {slowest_alone:?} and \
             {slowest_beside:?}"
        );
        assert!(
            slowest_beside <= 2 * slowest_alone,
            "{slowest_alone:?} alone, {slowest_beside:?} beside the other"
        );
    }

    /// Returns B's waits from its request to the webhook at its receiver, beside these jobs of A's:
    /// the median and the 99th percentile.
    fn waits(&self, beside: &[Submission]) -> (Duration, Duration) {
        let mut world = World::with(self.options.clone());
        let (every, apart) = (self.every, self.apart);
        world.faults(|call| {
            if call.op == Op::Http {
                Fault::Proceed
            } else {
                Fault::Delay(CALL)
            }
        });
        let (large, small) = (world.tenant("large"), world.tenant.clone());
        world
            .call(async |p| tenants::add_credits(p, &large.id, 1_000_000).await)
            .expect("credits");
        world.sim.http.on("https://dead.example/", |_| {
            Reply::error(HttpError::Timeout).after(HOUR)
        });
        let asked: Rc<RefCell<Vec<(String, Timestamp)>>> = Rc::default();
        let (ports, registry) = (world.ports.clone(), world.registry.clone());
        for n in 0..JOBS {
            let (ports, registry, small, asked) = (
                ports.clone(),
                registry.clone(),
                small.clone(),
                asked.clone(),
            );
            world.spawn("small", async move {
                ports.clock.sleep(every * u32::try_from(n).unwrap()).await;
                let begun = ports.clock.now();
                let sent = submission(&domains("slow1", 10));
                match World::request(&ports, &registry, &small, sent, None).await {
                    Ok(Accepted::Job { view, .. }) => asked
                        .borrow_mut()
                        .push((view.job.spec.id.to_string(), begun)),
                    other => panic!("{other:?}"),
                }
            });
        }
        for (n, sent) in (0..).zip(beside.iter().cloned()) {
            let (ports, registry, large) = (ports.clone(), registry.clone(), large.clone());
            world.spawn("large", async move {
                ports.clock.sleep(A_BEGINS + apart * n).await;
                World::request(&ports, &registry, &large, sent, None)
                    .await
                    .expect("accepted");
            });
        }
        world.run_for(every * u32::try_from(JOBS).unwrap() + 300 * SECOND);
        let reported = world.receiver.exchanges();
        let mut waits: Vec<Duration> = asked
            .borrow()
            .iter()
            .map(|(job, begun)| {
                let exchange = reported
                    .iter()
                    .find(|e| e.json()["data"]["id"] == job.as_str());
                exchange
                    .unwrap_or_else(|| panic!("{job} was not reported"))
                    .at
                    .since(*begun)
            })
            .collect();
        assert_eq!(waits.len(), JOBS);
        waits.sort();
        (waits[JOBS / 2], waits[JOBS * 99 / 100])
    }
}

/// A's jobs, each with a webhook of a host that hangs.
fn jobs(script: &str, records: usize, url: impl Fn(usize) -> String) -> Vec<Submission> {
    let reported = |n| Submission {
        webhook: Some(Webhook { url: url(n) }),
        ..submission(&domains(script, records))
    };
    (0..100).map(reported).collect()
}

fn one_url(_: usize) -> String {
    "https://dead.example/hook".to_owned()
}

fn url_per_job(n: usize) -> String {
    format!("https://dead.example/hooks/{n}")
}

#[test]
fn a_large_tenant_and_its_dead_receiver_do_not_slow_a_small_one() {
    Contest::with(jobs("slow1", 1000, one_url)).harms_nobody();
}

#[test]
fn one_tenants_share_was_all_of_a_small_fast_lane() {
    let mut contest = Contest::with(jobs("slow20", 300, one_url));
    contest.options = Options {
        enrichers: 4,
        bulk_enrichers: Some(4),
        fast_chunks: fast_chunks(4),
        ..contest.options
    };
    // A's first job finds the lane empty before the others start, and B stays within its share.
    contest.apart = SECOND;
    contest.every = 2 * SECOND;
    contest.harms_nobody();
}

#[test]
fn a_burst_to_a_receiver_that_hangs_held_every_slot_for_its_time_out() {
    Contest::with(jobs("found", 1, one_url)).harms_nobody();
}

#[test]
fn a_burst_to_many_urls_of_a_host_that_hangs_held_every_slot_for_its_time_out() {
    Contest::with(jobs("found", 1, url_per_job)).harms_nobody();
}
