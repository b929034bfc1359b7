//! Clients: each carries out one action of the plan as processes beside the functions, asks again when it got no answer,
//! and remembers what it was told, which must stay true.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use shared::app::idempotency::Idempotency;
use shared::app::status::{ResultCursor, results};
use shared::app::{Ports, cancel, delete, deliveries, retry, secrets, status};
use shared::domain::error::ApiError;
use shared::domain::ids::JobId;
use shared::domain::job::{Accepted, JobView, Status, Submission};
use shared::domain::record::Outcome;
use shared::provider::Registry;
use tests::harness::{Tenant, Version, World};

use super::plan::What;
use crate::ENRICH_TIMEOUT;

/// Lines that a client reads at once.
const PAGE: usize = 40;
/// The longest overlap there is, so that a receiver that never learns of a new secret can verify every event.
const OVERLAP: Duration = secrets::MAX_OVERLAP;

/// What clients were told, of all jobs.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The outcome of each line that was shown.
    lines: BTreeMap<(JobId, u32), Outcome>,
    /// The status that was shown of an ended job.
    ended: BTreeMap<JobId, Status>,
    /// Records shown as done.
    done: BTreeMap<JobId, u32>,
    canceled: BTreeSet<JobId>,
    /// Jobs that somebody asked to erase.
    doomed: BTreeSet<JobId>,
    /// Jobs that were answered to be erased.
    gone: BTreeSet<JobId>,
    secrets: BTreeMap<String, String>,
    /// Everything that contradicts what was told before.
    pub(super) wrong: Vec<String>,
}

impl Told {
    fn note(&mut self, ok: bool, why: impl FnOnce() -> String) {
        if !ok {
            self.wrong.push(why());
        }
    }

    /// A job that was accepted is there until somebody erases it, and never again afterwards.
    pub(super) fn absent(&mut self, id: &JobId) {
        let doomed = self.doomed.contains(id);
        self.note(doomed, || format!("accepted_for_good: {id} is not found, and nobody erased it"));
        self.gone.insert(id.clone());
    }

    /// `was_gone`: whether the job had been told to be erased before the request began.
    fn view(&mut self, view: &JobView, was_gone: bool, version: Version) {
        let id = &view.job.spec.id;
        self.note(!was_gone, || format!("erased_stays_erased: {id} is shown again"));
        let status = view.status();
        match self.ended.get(id).copied() {
            Some(before) => {
                self.note(before == status, || format!("told_stays_true: {id} was {before:?}, now {status:?}"));
            }
            None if !status.is_live() => drop(self.ended.insert(id.clone(), status)),
            None => {}
        }
        let (done, total) = (view.counts().total(), view.job.spec.total);
        // The version before cannot read the progress that this one writes, and shows less of a live job until it is
        // replaced again: no version to come can change that. What has ended it shows in full.
        let before = if version == Version::Previous { 0 } else { self.done.insert(id.clone(), done).unwrap_or(0) };
        self.note(before <= done && done <= total, || {
            format!("told_stays_true: {before} of {total} records of {id} were done, now {done}")
        });
        if self.canceled.contains(id) {
            let stopped = matches!(status, Status::Canceling | Status::Canceled);
            self.note(stopped, || format!("canceled_stays_canceled: {id} is {status:?}"));
        }
    }

    fn line(&mut self, id: &JobId, index: u32, outcome: &Outcome) {
        let before = self.lines.entry((id.clone(), index)).or_insert_with(|| outcome.clone());
        if before != outcome {
            let why = format!("told_stays_true: line {index} of {id} was {before:?}, now {outcome:?}");
            self.wrong.push(why);
        }
    }

    /// Holds what was told against how everything ended.
    pub(super) fn check(&mut self, world: &World, version: Version) {
        for (id, tenant) in world.accepted.clone() {
            let was_gone = self.gone.contains(&id);
            match world.call(async |ports| status::job(ports, &tenant, &id).await) {
                Ok(view) => {
                    self.view(&view, was_gone, version);
                    for line in world.results(&id) {
                        self.line(&id, line.index, &line.outcome);
                    }
                }
                Err(ApiError::NotFound { .. }) => self.absent(&id),
                Err(other) => self.wrong.push(format!("accepted_for_good: {id}: {other:?}")),
            }
        }
    }
}

/// What a client learns from an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Got {
    /// A job of its own.
    Job(JobId),
    /// Something that only the trace tells.
    Done(&'static str),
}

pub(super) type Reply = Rc<RefCell<Option<Result<Got, ApiError>>>>;

/// What a request needs.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) ports: Ports,
    pub(super) registry: std::sync::Arc<Registry>,
    pub(super) tenant: Tenant,
    pub(super) told: Rc<RefCell<Told>>,
    /// Which version answers.
    pub(super) version: Version,
}

/// What a client asks for, with the job that the plan means.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Submit { sent: Submission, key: String },
    OfJob { what: What, job: JobId, key: String },
    Rotate { key: String },
    TestWebhook { key: String },
}

impl Desk {
    /// One request, as the functions carry it out.
    pub(super) async fn carry_out(self, request: Request) -> Result<Got, ApiError> {
        let (ports, tenant) = (&self.ports, &self.tenant.id);
        match request {
            Request::Submit { sent, key } => {
                let accepted = World::request(ports, &self.registry, &self.tenant, sent, Some(&key)).await?;
                Ok(accepted_as(accepted))
            }
            Request::Rotate { key } => {
                let rotated = secrets::rotate(ports, tenant, OVERLAP, Some(&key_of(&key))).await?;
                let shown = rotated.secret.reveal().to_owned();
                let mut told = self.told.borrow_mut();
                let before = told.secrets.insert(key.clone(), shown.clone());
                told.note(before.is_none_or(|before| before == shown), || format!("one_secret_per_key: {key}"));
                Ok(Got::Done("rotated"))
            }
            Request::TestWebhook { key } => {
                let url = self.tenant.webhook("test").url;
                deliveries::test(ports, tenant, "native", &url, Some(&key_of(&key))).await?;
                Ok(Got::Done("test sent"))
            }
            Request::OfJob { what, job, key } => {
                let answer = self.of_job(&what, &job, &key).await;
                // A delivery may not be there yet; the job is. Of a retry it may be the new job that was erased.
                if answer == Err(ApiError::NotFound { what: "job" }) && !what.makes_a_job() {
                    self.told.borrow_mut().absent(&job);
                }
                answer
            }
        }
    }

    async fn of_job(&self, what: &What, job: &JobId, key: &str) -> Result<Got, ApiError> {
        let (ports, tenant) = (&self.ports, &self.tenant.id);
        let was_gone = self.told.borrow().gone.contains(job);
        match what {
            What::Cancel { .. } => {
                let view = cancel::cancel(ports, tenant, job).await?;
                let mut told = self.told.borrow_mut();
                told.canceled.insert(job.clone());
                told.view(&view, was_gone, self.version);
                Ok(Got::Done("canceled"))
            }
            What::Delete { .. } => {
                self.told.borrow_mut().doomed.insert(job.clone());
                delete::delete(ports, tenant, job, ENRICH_TIMEOUT).await?;
                let mut told = self.told.borrow_mut();
                told.note(!was_gone, || format!("erased_stays_erased: {job} was erased twice"));
                told.gone.insert(job.clone());
                Ok(Got::Done("erased"))
            }
            What::Replay { record, .. } => {
                let id = record.map_or_else(|| job.delivery(0), |record| job.record_delivery(record));
                let delivery = deliveries::replay(ports, tenant, &id, Some(&key_of(key))).await?;
                let same = delivery.tenant == *tenant && delivery.id == id;
                self.told.borrow_mut().note(same, || format!("replayed_as_asked: {id} became {}", delivery.id));
                Ok(Got::Done("replayed"))
            }
            What::Retry { .. } => {
                let caller = World::caller(ports, &self.tenant).await?;
                let terms = |sent: &Submission| World::terms(&self.registry, sent);
                Ok(accepted_as(retry::retry(ports, &caller, job, terms, Some(&key_of(key))).await?))
            }
            What::Read { .. } => self.read(job, was_gone).await,
            _ => unreachable!("{what:?} is not about a job"),
        }
    }

    async fn read(&self, job: &JobId, was_gone: bool) -> Result<Got, ApiError> {
        let view = status::job(&self.ports, &self.tenant.id, job).await?;
        self.told.borrow_mut().view(&view, was_gone, self.version);
        let mut next = Some(ResultCursor::default());
        let mut index = 0;
        while let Some(cursor) = next {
            let page = results(&self.ports, &view, cursor, PAGE).await.map_err(ApiError::from)?;
            let mut told = self.told.borrow_mut();
            for line in &page.lines {
                told.note(line.index == index, || format!("in_input_order: {job} shows {} for {index}", line.index));
                told.line(job, line.index, &line.outcome);
                index += 1;
            }
            if page.lines.is_empty() {
                let cut = page.next.is_some() && !view.job.status.is_live() && !told.doomed.contains(job);
                told.note(!cut, || format!("no_gap_in_results: {job} has ended and shows {index} lines"));
                break;
            }
            next = page.next;
        }
        Ok(Got::Done("read"))
    }
}

fn key_of(key: &str) -> Idempotency {
    Idempotency::new(key, "POST", key, b"")
}

fn accepted_as(accepted: Accepted) -> Got {
    match accepted {
        Accepted::Job { view, .. } => Got::Job(view.job.spec.id.clone()),
        Accepted::Priced { .. } => unreachable!("no client asks for a price"),
    }
}

/// Whether the answer is one that the request may get, at whatever moment it comes.
pub(super) fn is_allowed(request: &Request, error: &ApiError) -> bool {
    match request {
        Request::Submit { .. } => {
            matches!(error, ApiError::NotEnoughCredits { .. } | ApiError::NotFound { what: "job" })
        }
        Request::OfJob { what: What::Retry { .. }, .. } => {
            matches!(error, ApiError::NotEnoughCredits { .. } | ApiError::NotFound { .. } | ApiError::Conflict { .. })
        }
        Request::OfJob { what: What::Replay { .. } | What::Cancel { .. }, .. } => {
            matches!(error, ApiError::NotFound { .. } | ApiError::Conflict { .. })
        }
        Request::OfJob { .. } => matches!(error, ApiError::NotFound { .. }),
        Request::Rotate { .. } => matches!(error, ApiError::Conflict { .. }),
        Request::TestWebhook { .. } => false,
    }
}
