//! The world and its driver.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::catalog::Config;
use shared::domain::error::ApiError;
use shared::domain::ids::{JobId, TenantId};
use shared::domain::job::{Accepted, InvalidRecords, JobView, ResultLine, Submission, Webhook};
use shared::domain::record::{OutcomeError, Record};
use shared::domain::signature::Secret;
use shared::domain::tenant::{Caller, ENRICH_CONCURRENCY, Scope, fast_chunks};
use shared::domain::time::Timestamp;
use shared::jobs::authenticate::authenticate;
use shared::jobs::idempotency::Idempotency;
use shared::jobs::read::{ResultCursor, results};
use shared::jobs::submit::{Pricing, submit};
use shared::jobs::{Ports, read};
use shared::maintenance::sweep;
use shared::maintenance::sweep::Swept;
use shared::maintenance::tenants;
use shared::ports::{Clock, QueueName, Store, within};
use shared::providers::Registry;
use shared::providers::kinds::READERS;
use shared::schema::{credits_key, get_n};
use shared::surfaces::SURFACES;

use super::functions::{Function, Happened, LostRuns};
use super::invariants;
use super::providers::{Asked, RegistryParts};
use super::receiver::Receiver;
use super::upstream::Upstream;
use super::version::Version;
pub use crate::sim::Ended;
use crate::sim::mapping::{self, Readers};
use crate::sim::{Call, Fault, Op, QueueFaults, Schedule, Sim, SimEntropy, StoreFaults};

/// Enough for thousands of records at the types' prices.
pub(super) const INITIAL_CREDITS: i64 = 100_000;
/// The time for which results are kept.
pub(super) const RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);

/// The settings of a world.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides ids, jitter, and the order of processes.
    pub seed: u64,
    /// Enrich functions at once in each lane.
    pub enrichers: usize,
    /// In the bulk lane, where that is another number.
    pub bulk_enrichers: Option<usize>,
    /// A tenant's share of the fast lane, in open chunks.
    pub fast_chunks: i64,
    /// Dispatch functions at once in each lane.
    pub dispatchers: usize,
    /// In the lane of later attempts, where that is another number.
    pub retry_dispatchers: Option<usize>,
    /// The most messages that an enrich function gets at once. Source: the template.
    pub enrich_batch: usize,
    /// The most messages that a dispatch function gets at once. Source: the template.
    pub dispatch_batch: usize,
    /// The receives without deletion after which a message becomes a dead letter. Source: the
    /// template.
    pub max_receives: u32,
    /// The answers to a batch, of a thousand, that are malformed on their way; drawn from the seed.
    pub malformed: usize,
    /// True if the sweep runs every minute.
    pub sweeping: bool,
    /// The time-out of the enrich function.
    pub enrich_timeout: Duration,
    /// The time-out of the dispatch function.
    pub dispatch_timeout: Duration,
    /// The first tenant's credits.
    pub credits: i64,
    /// The faults of the queues, drawn from the seed.
    pub queue: QueueFaults,
    /// The faults of the table, drawn from the seed.
    pub store: StoreFaults,
}

impl Options {
    /// One worker in each lane, and no faults.
    pub const PLAIN: Self = Self {
        seed: 1,
        enrichers: 1,
        bulk_enrichers: None,
        fast_chunks: fast_chunks(ENRICH_CONCURRENCY),
        dispatchers: 1,
        retry_dispatchers: None,
        enrich_batch: 1,
        dispatch_batch: 5,
        max_receives: 10,
        malformed: 0,
        sweeping: true,
        enrich_timeout: Duration::from_secs(120),
        dispatch_timeout: Duration::from_secs(60),
        credits: INITIAL_CREDITS,
        queue: QueueFaults::NONE,
        store: StoreFaults::NONE,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::PLAIN
    }
}

/// A tenant, its secrets, and its receiver.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub id: TenantId,
    pub api_key: String,
    pub secret: Secret,
    /// The credits that it started with.
    pub credits: i64,
    /// The base URL of its receiver: `https://hook.example/` for the first,
    /// `https://NAME.hook.example/` for the others.
    pub hooks: String,
    pub receiver: Receiver,
}

impl Tenant {
    /// A webhook of its own receiver.
    pub fn webhook(&self, path: &str) -> Webhook {
        Webhook {
            url: format!("{}{path}", self.hooks),
        }
    }
}

/// The functions, the tenants and everything outside.
pub struct World {
    pub sim: Sim,
    pub ports: Ports,
    pub options: Options,
    pub registry: Arc<Registry>,
    /// Makes the registry of each run of enrich, where runs share nothing in memory.
    pub cold: Option<Rc<dyn Fn() -> Arc<Registry>>>,
    /// The harness's own, whose answers follow from the questions. A test may replace it.
    scripted: Arc<Registry>,
    /// The first tenant's.
    pub receiver: Receiver,
    /// The first tenant.
    pub tenant: Tenant,
    /// All tenants, the first before all others.
    pub tenants: Vec<Tenant>,
    /// The jobs that clients know of: accepted ones, with their tenants.
    pub accepted: BTreeMap<JobId, TenantId>,
    /// The records of each job that was submitted, as its client sent them.
    pub submitted: BTreeMap<JobId, Vec<Record>>,
    /// The runs over each chunk that ended without having done their work: killed, timed out or
    /// failed.
    pub lost_runs: LostRuns,
    /// Faults of invariants that must hold at every moment, in order.
    pub mutation: Vec<String>,
    /// The sums of the table's changes so far.
    pub steps: invariants::Steps,
    /// The ports of this version; [`ports`](Self::ports) are those of the version that is deployed.
    base: Ports,
    version: Version,
    /// Every version that was deployed so far.
    pub deployed: BTreeSet<Version>,
    /// The upstream of types `late` and `vendor`.
    pub upstream: Arc<Upstream>,
    /// The time at which faults ended, if they have.
    pub calm_since: Option<Timestamp>,
    /// The template's functions that read the queues. A test may replace them.
    pub readers: Readers,
    /// The registry of enrich while it is older than submit.
    older: Option<Arc<Registry>>,
    parts: Rc<RegistryParts>,
    asked: Arc<Mutex<Vec<Asked>>>,
    schedule: Schedule<'static>,
    happened: Rc<RefCell<Vec<Happened>>>,
    next_sweep: Timestamp,
    /// Decides which answers are malformed.
    malformation: SimEntropy,
    /// Each worker of a lane has one.
    at_work: BTreeMap<QueueName, Rc<()>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("now", &self.sim.clock.now())
            .finish_non_exhaustive()
    }
}

/// A record of this domain, with its own id and metadata.
pub fn record(n: usize, domain: &str) -> Record {
    Record {
        id: Some(format!("row-{n}")),
        input: Map::from_iter([("domain".to_owned(), Value::from(domain))]),
        metadata: Some(Map::from_iter([(
            "crm".to_owned(),
            json!({"id": n, "odd": "ünïcode \u{2028} \"quoted\""}),
        )])),
        ..Record::default()
    }
}

/// The script of records that are submitted as [`invalid`]: no provider may be asked about them.
pub const UNFIT: &str = "unfit";

/// Marks a submission's records at these places as invalid.
pub fn invalid(places: impl Iterator<Item = usize>) -> InvalidRecords {
    let why = |at| {
        (
            at,
            OutcomeError::new("invalid_input", "input/domain is required"),
        )
    };
    InvalidRecords {
        records: places.map(why).collect(),
        faults: Vec::new(),
    }
}

/// `n` times the same script.
pub fn domains(script: &str, n: usize) -> Vec<String> {
    (0..n).map(|at| format!("{script}-{at}")).collect()
}

/// A submission of these domains with a webhook.
pub fn submission<S: AsRef<str>>(domains: &[S]) -> Submission {
    let records = domains
        .iter()
        .enumerate()
        .map(|(n, d)| record(n, d.as_ref()))
        .collect();
    Submission {
        name: Some("a job".to_owned()),
        webhook: Some(Webhook {
            url: super::HOOK.to_owned(),
        }),
        ..Submission::new("native", "company", records)
    }
}

impl World {
    /// A world with one tenant, `acme`, whose credits never run out.
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        Self::over(options, |store| store)
    }

    /// A world whose store is wrapped: for controls that break a promise on purpose.
    pub fn over(options: Options, wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        let sim = Sim::new(options.seed);
        // Source of the times: the template.
        sim.queue
            .configure(6 * options.enrich_timeout, options.max_receives);
        for lane in [QueueName::Webhook, QueueName::WebhookRetry] {
            sim.queue.hide_for(lane, 6 * options.dispatch_timeout);
        }
        let ports = Ports {
            store: wrap(sim.store.clone()),
            queue: sim.queue.clone(),
            http: sim.http.clone(),
            dns: sim.dns.clone(),
            assets: sim.assets.clone(),
            clock: sim.clock.clone(),
            entropy: sim.entropy.clone(),
            surfaces: SURFACES,
            public_url: Some("https://api.example".to_owned()),
            fast_chunks: options.fast_chunks,
            large: Arc::default(),
        };
        let asked = Arc::new(Mutex::new(Vec::new()));
        sim.store.note_changes();
        let first = TenantId::parse("acme").expect("a tenant id");
        let tenant = create(
            &sim,
            &ports,
            first,
            options.credits,
            "https://hook.example/".to_owned(),
        );
        let upstream = Arc::<Upstream>::default();
        let parts = Rc::new(RegistryParts::new(
            Arc::clone(&asked),
            Arc::clone(&upstream),
        ));
        let scripted = Arc::new(parts.registry());
        let mut world = Self {
            registry: Arc::clone(&scripted),
            cold: None,
            scripted,
            schedule: sim.schedule(options.seed),
            next_sweep: sim.clock.now().plus(Duration::from_secs(60)),
            happened: Rc::default(),
            malformation: SimEntropy::new(options.seed ^ 0x53),
            accepted: BTreeMap::new(),
            submitted: BTreeMap::new(),
            lost_runs: LostRuns::default(),
            mutation: Vec::new(),
            steps: invariants::Steps::default(),
            at_work: BTreeMap::new(),
            receiver: tenant.receiver.clone(),
            tenants: vec![tenant.clone()],
            base: ports.clone(),
            version: Version::default(),
            deployed: BTreeSet::from([Version::default()]),
            sim,
            ports,
            options,
            tenant,
            upstream,
            calm_since: None,
            readers: mapping::readers(),
            older: None,
            parts,
            asked,
        };
        world.watch();
        world
            .sim
            .queue
            .misbehave(world.options.queue, world.options.seed ^ 0x51);
        world
            .sim
            .store
            .misbehave(world.options.store, world.options.seed ^ 0x52);
        world.faults(|_| Fault::Proceed);
        world.sim.gate.renumber();
        world
    }

    /// Another tenant, with its own receiver and credits that never run out.
    pub fn tenant(&mut self, name: &str) -> Tenant {
        self.tenant_with(name, INITIAL_CREDITS)
    }

    /// As [`tenant`](Self::tenant), with this many credits.
    pub fn tenant_with(&mut self, name: &str, credits: i64) -> Tenant {
        let id = TenantId::parse(name).expect("a tenant id");
        let tenant = create(
            &self.sim,
            &self.ports,
            id,
            credits,
            format!("https://{name}.hook.example/"),
        );
        self.tenants.push(tenant.clone());
        tenant
    }

    /// Deploys this version for functions and requests that start from now on. Those at work go on
    /// as they are.
    pub fn deploy(&mut self, version: Version) {
        self.version = version;
        self.deployed.insert(version);
        // The test's own replacements stay.
        self.ports = Ports {
            surfaces: self.ports.surfaces,
            ..version.over(&self.base)
        };
        self.sim.gate.note(&format!("{version:?} is deployed"));
    }

    /// Gives this configuration to runs of enrich that start from now on, while submit has the
    /// harness's own: it was updated first.
    pub fn enrich_is_older(&mut self, config: &str) {
        let config = Config::parse(READERS, "older", config).expect("a configuration");
        self.older = Some(Arc::new(self.parts.registry_of(&config)));
        self.sim.gate.note("submit is updated, enrich is not");
    }

    /// Gives submit's configuration to runs of enrich that start from now on.
    pub fn enrich_is_updated(&mut self) {
        self.older = None;
        self.sim.gate.note("enrich is updated");
    }

    /// Asks `hook` about every call; a malicious record kills its process whatever the hook says.
    pub fn faults(&self, mut hook: impl FnMut(&Call) -> Fault + Send + 'static) {
        self.sim.gate.inject(move |call| {
            let reported = hook(call);
            if call.op == Op::Http && call.subject.contains("poison") {
                Fault::Die
            } else {
                reported
            }
        });
    }

    /// Makes every run of enrich its own process from now on, which knows of others only what the
    /// table says.
    pub fn start_cold(&mut self) {
        let parts = Rc::clone(&self.parts);
        self.cold = Some(Rc::new(move || Arc::new(parts.registry())));
    }

    /// Returns true if the harness's own providers answer.
    pub(super) fn is_scripted(&self) -> bool {
        self.older.is_none() && Arc::ptr_eq(&self.registry, &self.scripted)
    }

    pub fn now(&self) -> Timestamp {
        self.sim.clock.now()
    }

    /// Returns every question to the providers.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Counts the questions about each domain.
    pub fn asked_of(&self, domain: &str) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|a| a.domain == domain)
            .count()
    }

    pub fn happened(&self) -> Vec<Happened> {
        self.happened.borrow().clone()
    }

    /// Returns the sums of the sweeps' work.
    pub fn swept(&self) -> Swept {
        self.happened()
            .iter()
            .fold(Swept::default(), |mut sum, happened| {
                if let Happened::Swept(one) = happened {
                    sum.due += one.due;
                    sum.finished += one.finished;
                    sum.redriven_chunks += one.redriven_chunks;
                    sum.redriven_deliveries += one.redriven_deliveries;
                    sum.erased += one.erased;
                    sum.expiring += one.expiring;
                    sum.errors += one.errors;
                }
                sum
            })
    }

    /// Returns the owner of a tenant's key.
    pub async fn caller(ports: &Ports, tenant: &Tenant) -> Result<Caller, ApiError> {
        authenticate(ports, Some(&tenant.api_key), Scope::Write).await
    }

    /// Returns the pricing of a submission here.
    pub fn pricing(registry: &Registry, submission: &Submission) -> Pricing {
        let kind = registry
            .kind(&submission.kind)
            .expect("a type of the harness");
        Pricing {
            price: kind.price(submission.providers.as_deref()),
            unconfigured: kind.usable().err().map(str::to_owned),
            retention: RETENTION,
        }
    }

    /// Returns the idempotency key of a submission, with the fingerprint of its content.
    pub fn idempotency(key: &str, submission: &Submission) -> Idempotency {
        let records = serde_json::to_vec(&submission.records).expect("records are JSON");
        Idempotency::new(
            key,
            "POST",
            "/v1/jobs",
            &[submission.kind.as_bytes(), &records].concat(),
        )
    }

    /// Submits one request as the submit function does.
    pub async fn request(
        ports: &Ports,
        registry: &Registry,
        tenant: &Tenant,
        submission: Submission,
        key: Option<&str>,
    ) -> Result<Accepted, ApiError> {
        let caller = Self::caller(ports, tenant).await?;
        let pricing = Self::pricing(registry, &submission);
        let key = key.map(|key| Self::idempotency(key, &submission));
        submit(ports, &caller, || Ok((submission, pricing)), key.as_ref()).await
    }

    /// Submits as the first tenant.
    pub fn submit(
        &mut self,
        submission: Submission,
        key: Option<&str>,
    ) -> Result<Accepted, ApiError> {
        self.submit_as(&self.tenant.clone(), submission, key)
    }

    /// Submits while everything else stands still.
    pub fn submit_as(
        &mut self,
        tenant: &Tenant,
        submission: Submission,
        key: Option<&str>,
    ) -> Result<Accepted, ApiError> {
        let (ports, registry) = (self.ports.clone(), self.registry.clone());
        let records = submission.records.clone();
        let accepted = self
            .sim
            .finish(Self::request(&ports, &registry, tenant, submission, key));
        if let Ok(Accepted::Job { view, .. }) = &accepted {
            self.learn(&view.job.spec.id, &tenant.id);
            self.submitted.insert(view.job.spec.id.clone(), records);
        }
        self.watch();
        accepted
    }

    /// Notes that a client of the tenant knows of a job.
    pub fn learn(&mut self, job: &JobId, tenant: &TenantId) {
        self.accepted.insert(job.clone(), tenant.clone());
    }

    /// Submits a job that must be accepted.
    pub fn job(&mut self, submission: Submission) -> JobId {
        self.job_as(&self.tenant.clone(), submission)
    }

    /// As [`job`](Self::job), of this tenant.
    pub fn job_as(&mut self, tenant: &Tenant, submission: Submission) -> JobId {
        match self.submit_as(tenant, submission, None) {
            Ok(Accepted::Job { view, .. }) => view.job.spec.id.clone(),
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Runs a request that must be answered, while everything else stands still.
    pub fn call<T>(&self, request: impl AsyncFnOnce(&Ports) -> T) -> T {
        self.sim.finish(request(&self.ports))
    }

    /// Repeats a request until it is answered, as a client does after a crash or without an answer:
    /// 5 s later, with the same idempotency key. Everything else goes on meanwhile.
    ///
    /// # Panics
    /// When no answer comes within an hour.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write the request in place"
    )]
    pub fn ask_until_answered<T>(
        &mut self,
        request: impl AsyncFn(&Ports) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        for _ in 0..720 {
            let ended = self.sim.run(request(&self.ports));
            self.watch();
            match ended {
                Ended::Died
                | Ended::Done(Err(ApiError::Unavailable { .. } | ApiError::Internal)) => {
                    self.run_for(Duration::from_secs(5));
                }
                Ended::Done(answer) => return answer,
                Ended::Stuck => panic!("the request waits for something that never comes"),
            }
        }
        panic!("no answer after an hour");
    }

    /// Submits as the first tenant with this key until there is an answer.
    pub fn insist_on_job(&mut self, submission: &Submission, key: &str) -> Result<JobId, ApiError> {
        self.insist_on_job_as(&self.tenant.clone(), submission, key)
    }

    /// Submits with this key until there is an answer.
    pub fn insist_on_job_as(
        &mut self,
        tenant: &Tenant,
        submission: &Submission,
        key: &str,
    ) -> Result<JobId, ApiError> {
        let registry = self.registry.clone();
        let request = async |ports: &Ports| {
            Self::request(ports, &registry, tenant, submission.clone(), Some(key)).await
        };
        match self.ask_until_answered(request)? {
            Accepted::Job { view, .. } => {
                let id = view.job.spec.id.clone();
                self.learn(&id, &tenant.id);
                self.submitted
                    .insert(id.clone(), submission.records.clone());
                Ok(id)
            }
            Accepted::Priced { .. } => panic!("a dry run makes no job"),
        }
    }

    /// Returns the job as its tenant sees it.
    pub fn view(&self, id: &JobId) -> JobView {
        let tenant = self.accepted.get(id).unwrap_or(&self.tenant.id);
        self.call(async |ports| read::job(ports, tenant, id).await)
            .expect("the job is there")
    }

    /// Returns all results of a job, page by page.
    pub fn results(&self, id: &JobId) -> Vec<ResultLine> {
        let view = self.view(id);
        let (mut lines, mut next) = (Vec::new(), Some(ResultCursor::default()));
        while let Some(cursor) = next {
            let page = self
                .call(async |ports| results(ports, &view, cursor, 100).await)
                .expect("results");
            assert!(
                !page.lines.is_empty() || page.next.is_none(),
                "an ended job's results have a gap at {cursor}"
            );
            lines.extend(page.lines);
            next = page.next;
        }
        lines
    }

    /// Returns a tenant's balance, used credits and open chunks.
    pub fn credits(&self, tenant: &TenantId) -> (i64, i64, i64) {
        let item = self
            .sim
            .store
            .peek(&credits_key(tenant))
            .expect("a tenant has credits");
        let number = |name| get_n(&item, name).unwrap_or(0);
        (number("balance"), number("used"), number("open_chunks"))
    }

    /// Adds a process beside the functions, a client for example.
    pub fn spawn(&mut self, name: &str, work: impl Future<Output = ()> + 'static) {
        self.schedule.spawn(name, work);
    }

    /// Kills every process that works on a chunk, where it stands.
    pub fn kill_enrichers(&mut self) {
        let doomed: Vec<u64> = self
            .schedule
            .alive()
            .filter(|(_, name)| name.starts_with("Enrich"))
            .map(|(n, _)| n)
            .collect();
        for process in doomed {
            self.schedule.kill(process);
        }
    }

    /// Returns the processes at work.
    pub fn working(&self) -> Vec<String> {
        self.schedule
            .alive()
            .map(|(_, name)| name.to_owned())
            .collect()
    }

    /// Runs everything for this time.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now().plus(time);
        self.run_while(until, |_| true);
        self.sim.clock.advance_to(until);
    }

    /// Runs until `there` holds, at most this long; returns true if it does.
    pub fn run_until(&mut self, limit: Duration, there: impl Fn(&Self) -> bool) -> bool {
        let until = self.now().plus(limit);
        self.run_while(until, |world| !there(world));
        there(self)
    }

    /// Runs until nothing is left to do. After this time, the error says what is left.
    pub fn quiet_within(&mut self, limit: Duration) -> Result<(), String> {
        let until = self.now().plus(limit);
        self.run_while(until, |world| !world.is_quiet());
        if self.is_quiet() {
            return Ok(());
        }
        let due: Vec<_> = self
            .due()
            .into_iter()
            .map(|(sk, at)| format!("{sk} at {at}"))
            .collect();
        Err(format!(
            "still busy after {limit:?}: due {due:?}, next message {:?}",
            self.sim.queue.next_visible()
        ))
    }

    /// As [`quiet_within`](Self::quiet_within), and checks every invariant.
    ///
    /// # Panics
    /// When something is left to do, or an invariant does not hold.
    pub fn settle(&mut self, limit: Duration) {
        let quiet = self.quiet_within(limit);
        assert_eq!(quiet, Ok(()));
        assert_eq!(invariants::check(self), Vec::<String>::new());
    }

    /// Returns true if nothing is queued, at work, due for the sweep, or to take effect later.
    pub fn is_quiet(&self) -> bool {
        self.schedule.alive().next().is_none()
            && self.sim.queue.next_visible().is_none()
            && !self.sim.store.any_due()
            && !self.sim.clock.owes()
    }

    fn due(&self) -> Vec<(String, Timestamp)> {
        self.sim
            .store
            .items()
            .iter()
            .filter_map(|item| {
                get_n(item, "due")
                    .map(|at| (format!("{}/{}", item.key.pk, item.key.sk), Timestamp(at)))
            })
            .collect()
    }

    fn run_while(&mut self, until: Timestamp, go_on: impl Fn(&Self) -> bool) {
        self.watch();
        loop {
            self.receive();
            while self.schedule.step() {
                self.watch();
                self.receive();
            }
            if !go_on(self) {
                return;
            }
            let now = self.now();
            let queued = self.sim.queue.next_visible().filter(|at| *at > now);
            let sweep = self.options.sweeping.then_some(self.next_sweep);
            let next = [self.sim.clock.next_timer(), queued, sweep]
                .into_iter()
                .flatten()
                .min();
            match next.filter(|at| *at <= until) {
                Some(at) => {
                    self.sim.clock.advance_to(at);
                    self.watch();
                }
                None => return,
            }
        }
    }

    /// Gives visible messages to free workers, and starts the sweep when its minute has come.
    fn receive(&mut self) {
        for lane in [
            QueueName::Enrich,
            QueueName::EnrichBulk,
            QueueName::Webhook,
            QueueName::WebhookRetry,
        ] {
            let enriching = matches!(lane, QueueName::Enrich | QueueName::EnrichBulk);
            let Options {
                enrichers,
                bulk_enrichers,
                dispatchers,
                retry_dispatchers,
                ..
            } = self.options;
            let most = match lane {
                QueueName::Enrich => enrichers,
                QueueName::EnrichBulk => bulk_enrichers.unwrap_or(enrichers),
                QueueName::Webhook => dispatchers,
                QueueName::WebhookRetry => retry_dispatchers.unwrap_or(dispatchers),
            };
            let at_work = Rc::clone(self.at_work.entry(lane).or_default());
            let busy = Rc::strong_count(&at_work) - 2;
            let size = if enriching {
                self.options.enrich_batch
            } else {
                self.options.dispatch_batch
            };
            for _ in busy..most {
                let batch = self.sim.queue.receive(lane, size);
                if batch.is_empty() {
                    break;
                }
                let Some(chain) = mapping::chain_of_run(&self.readers[&lane], &batch) else {
                    self.happened.borrow_mut().push(Happened::Stopped(lane));
                    continue;
                };
                let malformed = self.options.malformed;
                let function = Function {
                    malformed: (malformed > 0 && self.malformation.below(1000) < malformed)
                        .then(|| self.malformation.below(4)),
                    sim: self.sim.clone(),
                    ports: self.ports.clone(),
                    happened: self.happened.clone(),
                    lost_runs: self.lost_runs.clone(),
                    timeout: if enriching {
                        self.options.enrich_timeout
                    } else {
                        self.options.dispatch_timeout
                    },
                    lane,
                    batch: self.version.received(batch),
                    _at_work: Rc::clone(&at_work),
                };
                let name = format!("{lane:?}");
                let process = if enriching {
                    let own = || {
                        self.cold
                            .as_ref()
                            .map_or_else(|| self.registry.clone(), |cold| cold())
                    };
                    let registry = self.older.clone().unwrap_or_else(own);
                    self.schedule.spawn(name, function.enrich(registry))
                } else {
                    self.schedule.spawn(name, function.dispatch())
                };
                self.sim.gate.continue_chain(process, chain);
            }
        }
        if self.options.sweeping && self.now() >= self.next_sweep {
            self.next_sweep = self.now().plus(Duration::from_secs(60));
            self.sweep();
        }
    }

    /// Starts a run of the sweep beside all other processes.
    pub fn sweep(&mut self) {
        let (ports, happened) = (self.ports.clone(), self.happened.clone());
        let timeout = self.options.enrich_timeout;
        let work = async move {
            let deadline = ports.clock.now().plus(Duration::from_secs(50));
            if let Some(Ok(swept)) = within(
                &*ports.clock,
                Duration::from_secs(50),
                sweep::step(&ports, timeout, deadline),
            )
            .await
            {
                happened.borrow_mut().push(Happened::Swept(swept));
            }
        };
        self.schedule.spawn("sweep", work);
    }

    /// Checks the latest changes, and records broken invariants.
    fn watch(&mut self) {
        let changes = self.sim.store.take_changes();
        for why in self.steps.see(
            &self.sim.store,
            &self.upstream,
            self.sim.clock.now(),
            &changes,
        ) {
            self.sim.gate.note(&format!("!!! {why}"));
            if !self.mutation.contains(&why) {
                self.mutation.push(why);
            }
        }
    }

    /// A generator apart from the world's own, for a test's choices.
    pub fn dice(seed: u64) -> SimEntropy {
        SimEntropy::new(seed ^ 0x5151_5151)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

fn create(sim: &Sim, ports: &Ports, id: TenantId, credits: i64, hooks: String) -> Tenant {
    let made = sim
        .finish(tenants::create(ports, &id, credits))
        .expect("a new tenant");
    let receiver = Receiver::new(sim.clock.clone());
    let hook = receiver.clone();
    sim.http.on(&hooks, move |request| hook.take(request));
    Tenant {
        id,
        api_key: made.api_key,
        secret: made.webhook_secret,
        credits,
        hooks,
        receiver,
    }
}
