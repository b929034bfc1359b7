//! Plays a plan in a world, and judges the outcome.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shared::domain::chunk::shard_count;
use shared::domain::error::ApiError;
use shared::domain::ids::{DeliveryId, JobId};
use shared::domain::job::RUN_LIMIT;
use shared::domain::time::Timestamp;
use shared::maintenance::tenants;
use shared::schema::{EXPIRES_AT, get_n, read_delivery};
use testkit::harness::invariants::{self, ClientView, Observed, Request, Sent};
use testkit::harness::mutation::Mutation;
use testkit::harness::{Options, Tenant, Version, World};
use testkit::sim::{Fault, Reply};

use super::client::{self, ClientContext, Got};
use super::faults::{Labels, Place, inject};
use super::plan::{Action, Plan, What};
use super::tally::Tally;
use super::upstream;
use crate::HOUR;

/// Names of the tenants, by their place in the plan.
const NAMES: [&str; 3] = ["acme", "globex", "initech"];
/// Receivers answer well from so long after the beginning, and nothing goes wrong any more.
const PEACE: Duration = Duration::from_secs(20 * 60);
/// So long afterwards upstreams go on to call back.
const PATIENT_FOR: Duration = Duration::from_secs(30 * 60);
/// A client that got no answer asks again so much later.
const PATIENCE: Duration = Duration::from_secs(5);

/// The outcome of a plan.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The broken invariants: lines that begin with their names.
    pub(super) wrong: Vec<String>,
    pub(super) tally: Tally,
    /// Only with [`Detail::Full`].
    pub(super) trace: Vec<String>,
    /// Of the trace and the writes; of nothing if no trace was recorded.
    pub(super) fingerprint: String,
    /// Only with [`Detail::Full`].
    pub(super) faults: Vec<(Place, Fault)>,
    pub(super) labels: Labels,
}

impl Verdict {
    /// Returns the names of broken invariants.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.wrong
            .iter()
            .map(|why| why.split(':').next().unwrap_or(why))
    }
}

/// The parts of a run that are recorded besides its verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Verdict,
    Full,
}

/// Plays a plan; with `mutation`, over a store that breaks that promise.
pub(super) fn play(plan: &Plan, mutation: Option<Mutation>, detail: Detail) -> Verdict {
    let mut game = Game::new(plan, mutation);
    if detail == Detail::Full {
        game.world.sim.gate.start_trace();
    }
    let record = inject(&game.world, plan.seed, &plan.faults, detail == Detail::Full);
    let start = game.world.now();
    let waits = plan.waits();
    if waits {
        upstream::call_back(&mut game.world, start.plus(PEACE + PATIENT_FOR));
    }
    game.clients();
    let left = start.plus(PEACE).since(game.world.now());
    game.world.run_for(left);
    game.go_on();
    game.world.calm_since = Some(game.world.now());
    if waits && game.world.now() > start.plus(PEACE + PATIENT_FOR) {
        let until = game.world.now().plus(PATIENT_FOR);
        upstream::call_back(&mut game.world, until);
    }
    for tenant in &game.world.tenants {
        tenant.receiver.from_then_on(Reply::status(200));
    }
    // Few workers may have much to do: as much time again.
    let bound = 2 * invariants::bound(&game.world);
    // A broken promise may keep a run from ending, and is found before.
    let bound = if mutation.is_some() {
        bound.min(12 * HOUR)
    } else {
        bound
    };
    let quiet = game.world.quiet_within(bound);
    let mut trace = game.world.sim.gate.trace();
    if let Err(why) = quiet {
        game.wrong.push(format!("everything_ends_in_time: {why}"));
        game.wrong.extend(game.world.mutation.iter().cloned());
    } else {
        let found = invariants::check(&game.world);
        game.wrong.extend(found);
        game.context
            .reported
            .borrow_mut()
            .look_again(&game.world, game.context.version);
    }
    game.wrong
        .append(&mut game.context.reported.borrow_mut().take_wrong());
    if game.wrong.is_empty() {
        game.count();
    }
    if plan.afterwards && game.wrong.is_empty() {
        game.afterwards();
        trace = game.world.sim.gate.trace();
    }
    game.wrong
        .append(&mut game.context.reported.borrow_mut().take_wrong());
    game.world.sim.gate.clear();
    let fingerprint = game.world.sim.gate.fingerprint();
    let (wrong, mut tally) = (game.wrong, game.tally);
    drop((game.world, game.context, game.asked));
    let record = std::mem::take(&mut *record.lock().unwrap());
    tally.join(record.tally);
    Verdict {
        wrong,
        tally,
        trace,
        fingerprint,
        faults: record.listed,
        labels: record.labels,
    }
}

/// A request of a client, until it is answered.
struct Asked {
    /// The action it comes from.
    number: usize,
    tenant: usize,
    name: String,
    request: Request,
    reply: client::Reply,
    first_at: Timestamp,
    sent_at: Timestamp,
    /// When it is sent again.
    again_at: Option<Timestamp>,
}

impl Asked {
    /// True once the process that carried it out has ended or died.
    fn is_over(&self) -> bool {
        self.again_at.is_none() && Rc::strong_count(&self.reply) == 1
    }
}

/// A job that clients know.
struct KnownJob {
    id: JobId,
    request: Request,
}

struct Game<'a> {
    plan: &'a Plan,
    world: World,
    context: ClientContext,
    tenants: Vec<Tenant>,
    asked: Vec<Asked>,
    /// By the number of the action that created it.
    jobs: BTreeMap<usize, KnownJob>,
    /// The requests for jobs under way, by the number of their action.
    sent: BTreeMap<usize, Request>,
    wrong: Vec<String>,
    tally: Tally,
}

impl<'a> Game<'a> {
    fn new(plan: &'a Plan, mutation: Option<Mutation>) -> Self {
        let options = Options {
            seed: plan.seed,
            enrichers: plan.enrichers,
            dispatchers: plan.dispatchers,
            dispatch_batch: plan.dispatch_batch,
            max_receives: plan.max_receives,
            malformed: plan.malformed,
            enrich_timeout: plan.enrich_timeout,
            credits: plan.tenants[0].credits,
            queue: plan.queue,
            store: plan.store,
            ..Options::default()
        };
        let mut world = match mutation {
            Some(how) => World::over(options, |inner| how.store(inner)),
            None => World::with(options),
        };
        upstream::listen(&world);
        if plan.waits() {
            world.start_cold();
        }
        for (tenant, name) in plan.tenants.iter().zip(NAMES).skip(1) {
            world.tenant_with(name, tenant.credits);
        }
        world.tenant("stranger");
        for (tenant, planned) in world.tenants.iter().zip(&plan.tenants) {
            let schedule = planned.schedule.clone();
            let set = async |ports: &shared::jobs::Ports| {
                tenants::set_webhook_schedule(ports, &tenant.id, schedule)
                    .await
                    .expect("a schedule");
            };
            world.call(set);
            tenant
                .receiver
                .replies(planned.answers.iter().map(|answer| answer.reply()));
        }
        if plan.version != Version::default() {
            world.deploy(plan.version);
        }
        world.sim.gate.renumber();
        let tenants = world.tenants.clone();
        let context = ClientContext {
            ports: world.ports.clone(),
            registry: Arc::clone(&world.registry),
            tenant: world.tenant.clone(),
            reported: Rc::new(RefCell::new(ClientView::default())),
            version: plan.version,
        };
        let (asked, jobs, sent) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut tally = Tally::default();
        tally.one(format!("began with: {:?}", plan.version));
        Self {
            plan,
            world,
            context,
            tenants,
            asked,
            jobs,
            sent,
            wrong: Vec::new(),
            tally,
        }
    }

    /// Lets everybody act at their time, and everything else go on meanwhile, until the last client
    /// has its answer.
    fn clients(&mut self) {
        let start = self.world.now();
        let mut waiting: Vec<&Action> = self.plan.actions.iter().collect();
        loop {
            let now = self.world.now();
            // A client that means a job whose submission is not answered yet waits for that.
            let (due, later): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|action| start.plus(action.at) <= now && !self.must_wait(action));
            waiting = later;
            for action in due {
                self.act(action);
            }
            for n in 0..self.asked.len() {
                if self.asked[n].again_at.is_some_and(|at| at <= now) {
                    self.send(n);
                }
            }
            let times = waiting
                .iter()
                .map(|action| start.plus(action.at))
                .filter(|at| *at > now);
            let next = times
                .chain(self.asked.iter().filter_map(|asked| asked.again_at))
                .min();
            if next.is_none() && self.asked.is_empty() {
                return;
            }
            let asked = std::mem::take(&mut self.asked);
            let until = next.unwrap_or(now.plus(HOUR));
            let answered = self
                .world
                .run_until(until.since(now), |_| asked.iter().any(Asked::is_over));
            self.asked = asked;
            if !answered {
                if next.is_none() {
                    let mut reported = self.context.reported.borrow_mut();
                    return self
                        .asked
                        .iter()
                        .for_each(|asked| reported.hear(&Observed::Silence { who: &asked.name }));
                }
                self.world.sim.clock.advance_to(until);
            }
            self.answers();
        }
    }

    fn must_wait(&self, action: &Action) -> bool {
        action
            .what
            .job()
            .is_some_and(|job| !self.jobs.contains_key(&job) && self.sent.contains_key(&job))
    }

    fn act(&mut self, action: &Action) {
        let Action {
            number,
            tenant,
            what,
            ..
        } = action;
        self.world.sim.gate.note(&format!("--- {action}"));
        let key = format!("key-{number}");
        match what {
            What::Submit(job) => {
                let sent = Box::new(job.submission(&self.tenants[*tenant]));
                self.send_job(
                    *number,
                    *tenant,
                    job.clients,
                    &Request::Submit { sent, key },
                );
            }
            What::Repeat { job } => {
                if let Some(known) = self.jobs.get(job) {
                    let request = known.request.clone();
                    self.ask(*job, *tenant, format!("client {number}"), request);
                }
            }
            What::Rotate => {
                // The same request, sent twice.
                for name in [format!("client {number}"), format!("client {number}.2")] {
                    self.ask(*number, *tenant, name, Request::Rotate { key: key.clone() });
                }
            }
            What::TestWebhook => self.ask(
                *number,
                *tenant,
                format!("client {number}"),
                Request::TestWebhook { key },
            ),
            What::Read { .. } => self.read(*number, *tenant, what),
            What::Snoop { job } => {
                let Some(known) = self.jobs.get(job) else {
                    return;
                };
                // The last tenant has no jobs of its own.
                let snooping = self.desk_of(self.tenants.len() - 1).snoop(known.id.clone());
                self.world.spawn(&format!("stranger {number}"), snooping);
            }
            What::Cancel { job }
            | What::Delete { job }
            | What::Replay { job, .. }
            | What::Retry { job } => {
                let Some(known) = self.jobs.get(job) else {
                    return;
                };
                let request = client::about(what, &known.id, key);
                if what.makes_a_job() {
                    self.send_job(*number, *tenant, 1, &request);
                } else {
                    self.ask(*number, *tenant, format!("client {number}"), request);
                }
            }
            What::Receiver(answer) => self.tenants[*tenant].receiver.from_then_on(answer.reply()),
            What::Lose(lane) => self.world.sim.queue.lose(*lane),
            What::Duplicate(lane) => {
                for message in self.world.sim.queue.peek(*lane) {
                    self.world.sim.queue.duplicate(*lane, &message.id);
                }
            }
            What::Nonsense { lane, body } => self.world.sim.queue.place(*lane, body),
            What::Halt => self.world.options.enrichers = 0,
            What::KillEnrichers => self.world.kill_enrichers(),
            What::Deploy(version) => {
                self.world.deploy(*version);
                self.context.version = *version;
                self.tally.one(format!("deployed: {version:?}"));
            }
            What::Sweep => self.world.sweep(),
        }
    }

    fn send_job(&mut self, number: usize, tenant: usize, clients: usize, request: &Request) {
        self.sent.insert(number, request.clone());
        for n in 1..=clients {
            let name = if n == 1 {
                format!("client {number}")
            } else {
                format!("client {number}.{n}")
            };
            self.ask(number, tenant, name, request.clone());
        }
    }

    /// Returns the conditions that a request of a tenant's client meets now.
    fn desk_of(&self, tenant: usize) -> ClientContext {
        ClientContext {
            ports: self.world.ports.clone(),
            tenant: self.tenants[tenant].clone(),
            ..self.context.clone()
        }
    }

    fn ask(&mut self, number: usize, tenant: usize, name: String, request: Request) {
        let reply = client::Reply::default();
        let (first_at, sent_at) = (self.world.now(), self.world.now());
        self.asked.push(Asked {
            number,
            tenant,
            name,
            request,
            reply,
            first_at,
            sent_at,
            again_at: None,
        });
        self.send(self.asked.len() - 1);
    }

    fn send(&mut self, n: usize) {
        let context = self.desk_of(self.asked[n].tenant);
        let asked = &mut self.asked[n];
        (asked.reply, asked.sent_at, asked.again_at) =
            (client::Reply::default(), self.world.now(), None);
        let (reply, request) = (Rc::clone(&asked.reply), asked.request.clone());
        self.world.spawn(&asked.name, async move {
            let answer = context.carry_out(request).await;
            reply.borrow_mut().replace(answer);
        });
    }

    fn read(&mut self, number: usize, tenant: usize, what: &What) {
        let What::Read { job, times, every } = what else {
            return;
        };
        let Some(known) = self.jobs.get(job) else {
            return;
        };
        let watching = self.desk_of(tenant).watch(
            client::about(what, &known.id, String::new()),
            *times,
            *every,
        );
        self.world.spawn(&format!("reader {number}"), watching);
    }

    /// Takes the answers that arrived, and plans the repetition of requests without one.
    fn answers(&mut self) {
        let (over, under_way): (Vec<_>, Vec<_>) = std::mem::take(&mut self.asked)
            .into_iter()
            .partition(Asked::is_over);
        self.asked = under_way;
        for mut asked in over {
            let answer = asked.reply.borrow_mut().take();
            let reported = match &answer {
                None => "no answer: its process died".to_owned(),
                Some(Ok(Got::Job(id))) => format!("accepted as {id}"),
                Some(Ok(Got::Done(what))) => (*what).to_owned(),
                Some(Err(error)) => format!("{error:?}"),
            };
            self.world
                .sim
                .gate
                .note(&format!("--- {}: {reported}", asked.name));
            match answer {
                None | Some(Err(ApiError::Unavailable { .. } | ApiError::Internal)) => {
                    self.tally.one("client: asks again");
                    asked.again_at = Some(self.world.now().plus(PATIENCE));
                    self.asked.push(asked);
                }
                Some(Ok(got)) => self.learn(&asked, got),
                Some(Err(error)) => self.refused(&asked, &error),
            }
        }
    }

    fn learn(&mut self, asked: &Asked, got: Got) {
        match got {
            Got::Job(id) => {
                let tenant = self.tenants[asked.tenant].id.clone();
                self.world.learn(&id, &tenant);
                if let Request::Submit { sent, .. } = &asked.request {
                    self.world
                        .submitted
                        .insert(id.clone(), sent.records.clone());
                }
                let request = asked.request.clone();
                self.jobs.entry(asked.number).or_insert_with(|| KnownJob {
                    id: id.clone(),
                    request,
                });
                self.tally.one("answer: job accepted");
            }
            Got::Done(what) => self.tally.one(format!("answer: {what}")),
        }
    }

    fn refused(&mut self, asked: &Asked, error: &ApiError) {
        let kind = format!("{error:?}");
        let kind = kind.split([' ', '(']).next().unwrap_or_default().to_owned();
        self.tally.one(format!("answer: {kind}"));
        let sent = Sent {
            tenant: &self.tenants[asked.tenant].id,
            request: &asked.request,
            first_at: asked.first_at,
            at: asked.sent_at,
            answered_at: self.world.now(),
        };
        let past = Some((self.world.steps.past(), &*self.world.registry));
        let mut reported = self.context.reported.borrow_mut();
        reported.hear(&Observed::Refused { sent, error, past });
        if let (Request::Submit { .. }, ApiError::NotFound { .. }, Some(known)) =
            (&asked.request, error, self.jobs.get(&asked.number))
        {
            reported.hear(&Observed::Absent { job: &known.id });
        }
        drop(reported);
        if !self.asked.iter().any(|other| other.number == asked.number) {
            self.sent.remove(&asked.number);
        }
    }

    /// Lets enrich functions begin again, if they were halted, after the jobs' run limit.
    fn go_on(&mut self) {
        if self.world.options.enrichers == 0 {
            self.world.run_for(RUN_LIMIT + HOUR);
            self.world.options.enrichers = self.plan.enrichers;
        }
    }

    /// After everything's retention nothing is there for anybody, whether or not the table has
    /// deleted it, and a key that was used stands for nothing: the same request makes another job.
    fn afterwards(&mut self) {
        let longest = self
            .world
            .sim
            .store
            .items()
            .iter()
            .filter_map(|item| get_n(item, EXPIRES_AT))
            .max();
        let late = self.plan.store.expiry.unwrap_or_default();
        self.world
            .sim
            .clock
            .advance_to(Timestamp(longest.unwrap_or(0) * 1000).plus(late + HOUR));
        self.world.run_for(HOUR);
        for (id, tenant) in self.world.accepted.clone() {
            let seen = self
                .world
                .call(async |ports| shared::jobs::read::job(ports, &tenant, &id).await);
            if seen != Err(ApiError::NotFound { what: "job" }) {
                self.wrong
                    .push(format!("absent_after_its_retention: {id} is {seen:?}"));
            }
            let listed = self.world.call(async |ports| {
                shared::jobs::read::jobs(ports, &tenant, None, None, 100).await
            });
            if !listed.is_ok_and(|page| page.jobs.is_empty()) {
                self.wrong.push(format!(
                    "absent_after_its_retention: {tenant} has a list of jobs"
                ));
            }
        }
        let left = self
            .world
            .sim
            .store
            .items()
            .into_iter()
            .filter(|item| item.attributes.contains_key(EXPIRES_AT));
        if let (Some(_), Some(item)) = (self.plan.store.expiry, left.into_iter().next()) {
            self.wrong.push(format!(
                "absent_after_its_retention: {:?} is stored",
                item.key
            ));
        }
        for (kind, times) in self.world.sim.store.expired() {
            self.tally.add(format!("deleted by TTL: {kind}"), times);
        }
        let known = self
            .jobs
            .iter()
            .find_map(|(number, known)| match &known.request {
                Request::Submit { sent, key } => {
                    Some((self.plan.tenant_of(*number)?, sent.clone(), key.clone()))
                }
                _ => None,
            });
        let Some((tenant, sent, key)) = known else {
            return;
        };
        match self
            .world
            .insist_on_job_as(&self.tenants[tenant], &sent, &key)
        {
            Ok(id)
                if self.world.quiet_within(HOUR * 48).is_ok()
                    && self.jobs.values().all(|known| known.id != id) =>
            {
                self.tally.one("key: used again after its time");
            }
            Err(ApiError::NotEnoughCredits { .. }) => {}
            other => self
                .wrong
                .push(format!("a_key_is_free_after_its_time: {other:?}")),
        }
        self.wrong.extend(self.world.mutation.iter().cloned());
    }

    /// Counts all outcomes.
    fn count(&mut self) {
        self.tally.end(&self.world);
        for item in self.world.sim.store.items() {
            let job = item.key.pk.strip_prefix("JOB#").and_then(JobId::parse);
            let n = item
                .key
                .sk
                .strip_prefix("DELIVERY#")
                .and_then(|n| n.parse().ok());
            if let Some((job, n)) = job.zip(n)
                && let Ok(delivery) = read_delivery(&DeliveryId { job, n }, &item)
            {
                self.tally.delivery(&delivery);
            }
        }
        for (id, tenant) in &self.world.accepted {
            match self
                .world
                .call(async |ports| shared::jobs::read::job(ports, tenant, id).await)
            {
                Ok(view) => {
                    self.tally.one(format!("job: {}", view.status().as_str()));
                    self.tally.add(
                        "job: of several shards",
                        u64::from(shard_count(view.job.spec.chunks) > 1),
                    );
                    for line in self.world.results(id) {
                        let code = line
                            .outcome
                            .error
                            .as_ref()
                            .map(|error| format!(" {}", error.code));
                        let code = code.unwrap_or_default();
                        self.tally
                            .one(format!("record: {}{code}", line.outcome.status.as_str()));
                        self.tally.waited(&view.job.spec.kind, &line);
                    }
                }
                Err(_) => self.tally.one("job: erased"),
            }
        }
    }
}
