//! The same job in the simulation, whose table counts capacity units by the rules of AWS's
//! documentation: a second opinion on what the emulator reports.
//!
//! Every chunk runs at once there, which is the most contention there can be: each run finds the
//! job still queued.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use shared::aws::Usage;
use shared::catalog::Catalog;
use shared::domain::chunk::ChunkMessage;
use shared::domain::delivery::DeliveryTask;
use shared::domain::ids::TenantId;
use shared::domain::tenant::{ENRICH_CONCURRENCY, fast_chunks};
use shared::jobs::Ports;
use shared::jobs::enrich::step;
use shared::lambda::api::Api;
use shared::lambda::http::ApiRequest;
use shared::maintenance::tenants;
use shared::ports::{Clock, QueueName};
use shared::providers::Registry;
use shared::providers::kinds::READERS;
use shared::surfaces::SURFACES;
use shared::webhooks::dispatch;
use testkit::sim::{Op, Reply, Sim};

use crate::Failed;
use crate::cost::Used;

const RECEIVER: &str = "https://receiver.test/webhook";
const TIMEOUT: Duration = Duration::from_secs(120);

/// Runs the job of `body` from submit to delivered. Calls are not told apart by kind here.
pub(crate) fn run(body: &Value) -> Result<Used, Failed> {
    let sim = Sim::new(1);
    let ports = Ports {
        store: sim.store.clone(),
        queue: sim.queue.clone(),
        http: sim.http.clone(),
        dns: sim.dns.clone(),
        assets: sim.assets.clone(),
        clock: sim.clock.clone(),
        entropy: sim.entropy.clone(),
        surfaces: SURFACES,
        public_url: None,
        fast_chunks: fast_chunks(ENRICH_CONCURRENCY),
        large: Arc::default(),
    };
    sim.http.on(RECEIVER, |_| Reply::status(200));
    let tenant = TenantId::parse("demo").ok_or("demo is not a valid tenant")?;
    let key = sim
        .finish(tenants::create(&ports, &tenant, 1_000_000))?
        .api_key;
    let infra = Path::new("infra");
    let catalog = Catalog::load(READERS, infra)?;
    let registry = Arc::new(Registry::load(infra, &|_| None)?);
    let mut counter = Counter::new(&sim);
    let mut used = Used::default();

    let mut body = body.clone();
    body["webhook_url"] = RECEIVER.into();
    let request = ApiRequest {
        method: "POST".to_owned(),
        path: "/v1/jobs".to_owned(),
        query: Vec::new(),
        headers: vec![
            ("authorization".to_owned(), format!("Bearer {key}")),
            ("idempotency-key".to_owned(), "bench".to_owned()),
        ],
        body: body.to_string().into_bytes(),
        request_id: "bench".to_owned(),
    };
    let retention = Duration::from_secs(7 * 24 * 3600);
    let api = Api {
        ports: ports.clone(),
        catalog,
        retention,
        enrich_timeout: TIMEOUT,
        max_wait: shared::lambda::config::MAX_WAIT,
    };
    let answer = sim.finish(api.write(&request));
    if answer.status != 202 {
        return Err(format!("the model's submit answers {}", answer.status).into());
    }
    counter.note("submit", &mut used);

    let mut schedule = sim.schedule(1);
    // A tenant's share of the fast lane is smaller than a job of a thousand records.
    for lane in [QueueName::Enrich, QueueName::EnrichBulk] {
        for received in sim.queue.receive(lane, usize::MAX) {
            let message: ChunkMessage = serde_json::from_str(&received.body)?;
            let (ports, registry) = (ports.clone(), registry.clone());
            used.messages += 1;
            schedule.spawn(format!("enrich {}", message.chunk), async move {
                let deadline = ports.clock.now().plus(TIMEOUT);
                let receipt = step::ChunkReceipt {
                    lane,
                    receives: 1,
                    deadline,
                    timeout: TIMEOUT,
                };
                // What goes wrong shows in the delivery that does not come.
                let _ = step::step(&ports, &registry, &message, &receipt).await;
            });
        }
    }
    schedule.run();
    drop(schedule);
    counter.note("enrich", &mut used);

    for received in sim.queue.receive(QueueName::Webhook, usize::MAX) {
        let message: DeliveryTask = serde_json::from_str(&received.body)?;
        let deadline = sim.clock.now().plus(Duration::from_secs(60));
        let receipt = dispatch::DeliveryReceipt {
            lane: QueueName::Webhook,
            deadline,
        };
        used.messages += 1;
        sim.finish(dispatch::step(&ports, &message, &receipt))?;
    }
    counter.note("dispatch", &mut used);
    if sim.http.sent().len() != 1 {
        return Err(format!("the model delivered {} webhooks", sim.http.sent().len()).into());
    }
    Ok(used)
}

/// Counts the usage since the last count.
struct Counter<'a> {
    sim: &'a Sim,
    last: Usage,
}

impl<'a> Counter<'a> {
    fn new(sim: &'a Sim) -> Self {
        Self {
            sim,
            last: Self::now(sim),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "units of one job are few")]
    fn now(sim: &Sim) -> Usage {
        let units = sim.store.units();
        Usage {
            calls: sim
                .gate
                .counts()
                .iter()
                .filter(|(op, _)| **op != Op::Http)
                .map(|(_, n)| n)
                .sum(),
            read_units: units.half_reads as f64 / 2.0,
            write_units: (units.writes + units.index_writes) as f64,
            index_write_units: units.index_writes as f64,
            ..Usage::default()
        }
    }

    fn note(&mut self, function: &str, used: &mut Used) {
        let now = Self::now(self.sim);
        let last = std::mem::replace(&mut self.last, now);
        let usage = Usage {
            calls: now.calls - last.calls,
            read_units: now.read_units - last.read_units,
            write_units: now.write_units - last.write_units,
            index_write_units: now.index_write_units - last.index_write_units,
            ..Usage::default()
        };
        used.calls.insert(
            (function.to_owned(), "by the documented rules".to_owned()),
            usage,
        );
    }
}
