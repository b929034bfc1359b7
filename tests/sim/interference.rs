//! Tenants compete: what a small tenant waits from submit to webhook while a large one does its worst.
//!
//! In virtual time with the template's concurrency and latencies as on AWS, so that the figures tell of lanes and shares
//! alone. `make interference` measures the deployed functions on one machine, where the processor is shared as well.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shared::app::tenants;
use shared::domain::job::{Accepted, Webhook};
use shared::domain::time::Timestamp;
use shared::ports::HttpError;
use tests::harness::{Options, World, domains, submission};
use tests::sim::{Fault, Op, Reply};

use crate::{HOUR, SECOND};

/// What a call of `DynamoDB` or SQS takes, within the region.
const CALL: Duration = Duration::from_millis(6);
/// B's jobs, one every so often.
const JOBS: usize = 200;
const EVERY: Duration = Duration::from_millis(500);
/// B's first jobs come before A's, and its last ones after.
const A_BEGINS: Duration = Duration::from_secs(10);

/// The default of a parameter of the template.
fn parameter(name: &str) -> usize {
    let template = include_str!("../../infra/template.yaml");
    let (_, block) = template.split_once(&format!("\n  {name}:\n")).expect("the template has the parameter");
    let (_, default) = block.split_once("Default: ").expect("it has a default");
    default.lines().next().and_then(|n| n.trim().parse().ok()).expect("a number")
}

fn options() -> Options {
    Options {
        enrichers: parameter("EnrichConcurrency"),
        bulk_enrichers: Some(parameter("EnrichBulkConcurrency")),
        dispatchers: parameter("WebhookConcurrency"),
        retry_dispatchers: Some(parameter("WebhookRetryConcurrency")),
        ..Options::default()
    }
}

/// What B waits from its request to the webhook at its receiver, beside so many jobs of A's: the median and the 99th
/// percentile.
fn waits(beside: usize) -> (Duration, Duration) {
    let mut world = World::with(options());
    world.faults(|call| if call.op == Op::Http { Fault::Proceed } else { Fault::Delay(CALL) });
    let (large, small) = (world.tenant("large"), world.tenant.clone());
    world.call(async |p| tenants::add_credits(p, &large.id, 1_000_000).await).expect("credits");
    world.sim.http.on("https://dead.example/", |_| Reply::error(HttpError::Timeout).after(HOUR));
    let asked: Rc<RefCell<Vec<(String, Timestamp)>>> = Rc::default();
    let (ports, registry) = (world.ports.clone(), world.registry.clone());
    for n in 0..JOBS {
        let (ports, registry, small, asked) = (ports.clone(), registry.clone(), small.clone(), asked.clone());
        world.spawn("small", async move {
            ports.clock.sleep(EVERY * u32::try_from(n).unwrap()).await;
            let begun = ports.clock.now();
            let sent = submission(&domains("slow1", 10));
            match World::request(&ports, &registry, &small, sent, None).await {
                Ok(Accepted::Job { view, .. }) => asked.borrow_mut().push((view.job.spec.id.to_string(), begun)),
                other => panic!("{other:?}"),
            }
        });
    }
    for _ in 0..beside {
        let (ports, registry, large) = (ports.clone(), registry.clone(), large.clone());
        world.spawn("large", async move {
            ports.clock.sleep(A_BEGINS).await;
            let mut sent = submission(&domains("slow1", 1000));
            sent.webhook = Some(Webhook { url: "https://dead.example/hook".to_owned() });
            World::request(&ports, &registry, &large, sent, None).await.expect("accepted");
        });
    }
    world.run_for(EVERY * u32::try_from(JOBS).unwrap() + 300 * SECOND);
    let told = world.receiver.exchanges();
    let mut waits: Vec<Duration> = asked
        .borrow()
        .iter()
        .map(|(job, begun)| {
            let exchange = told.iter().find(|e| e.json()["data"]["id"] == job.as_str());
            exchange.unwrap_or_else(|| panic!("{job} was not told of")).at.since(*begun)
        })
        .collect();
    assert_eq!(waits.len(), JOBS);
    waits.sort();
    (waits[JOBS / 2], waits[JOBS * 99 / 100])
}

#[test]
fn a_large_tenant_and_its_dead_receiver_do_not_slow_a_small_one() {
    let ((alone, slowest_alone), (beside, slowest_beside)) = (waits(0), waits(100));
    println!("p50 {alone:?} alone, {beside:?} beside the other; p99 {slowest_alone:?} and {slowest_beside:?}");
    assert!(slowest_beside <= 2 * slowest_alone, "{slowest_alone:?} alone, {slowest_beside:?} beside the other");
}
