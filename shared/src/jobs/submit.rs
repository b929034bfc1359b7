//! Submit: chunks first, then one transaction that makes them a job, then the messages.
//!
//! Killed before the transaction, nothing has happened: the chunks belong to no job and expire.
//! Killed after it, the job stands, and the sweep sends the messages. A caller that got no answer
//! asks again with its idempotency key.

use std::time::Duration;

use tracing::{Instrument, error_span};

use super::idempotency::{Earlier, Idempotency};
use super::{Ports, StepError, transact_and_report};
use crate::domain::chunk::{ChunkMessage, Start, plan, plan_singly, shard_count};
use crate::domain::credits::{Reservation, reserve};
use crate::domain::error::{ApiError, InputError};
use crate::domain::ids::{JobId, TenantId};
use crate::domain::job::{Accepted, Job, JobView, RUN_LIMIT, Spec, Status, Submission};
use crate::domain::json;
use crate::domain::progress::Progress;
use crate::domain::record::{Blanks, Outcome, OutcomeStatus};
use crate::domain::tenant::Caller;
use crate::jobs::read;
use crate::ports::{MAX_QUEUE_DELAY, Message, QueueName, StoreError};
use crate::schema;
use crate::schema::{
    ChunkOf, chunk_item, chunk_key, credits_key, known_item, known_key, meta_key, read_credits,
};
use crate::surfaces::surface;

/// The age from which the sweep checks a job that no run has begun.
pub const FIRST_LOOK: Duration = Duration::from_secs(60);

/// The price of a submission's type, and whether the type can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pricing {
    /// The most credits one record can cost.
    pub price: u32,
    /// Why no provider of the type can be asked.
    pub unconfigured: Option<String>,
    /// The time that results are kept.
    pub retention: Duration,
}

/// Accepts a job for good, or refuses it and leaves nothing that counts. `read` runs only where no
/// earlier request had the key: an earlier answer stands, whatever the request is refused for by
/// now.
pub async fn submit(
    ports: &Ports,
    caller: &Caller,
    read: impl FnOnce() -> Result<(Submission, Pricing), ApiError>,
    idempotency: Option<&Idempotency>,
) -> Result<Accepted, ApiError> {
    if let Some(accepted) = earlier(ports, caller, idempotency).await? {
        return Ok(accepted);
    }
    let (submission, pricing) = read()?;
    accept(ports, caller, submission, &pricing, idempotency).await
}

/// As [`submit`], where the caller has looked for [`earlier`] itself. The transaction's condition
/// finds a request that came in between.
pub(crate) async fn accept(
    ports: &Ports,
    caller: &Caller,
    submission: Submission,
    pricing: &Pricing,
    idempotency: Option<&Idempotency>,
) -> Result<Accepted, ApiError> {
    let price = if pricing.unconfigured.is_some() {
        0
    } else {
        pricing.price
    };
    let mut balance = caller.balance;
    // Others may spend between reading the balance and reserving; the next round decides on what is
    // there then.
    for _ in 0..ROUNDS {
        let budget = Budget::of(&submission, price, balance)?;
        if submission.dry_run {
            return Ok(Accepted::Priced {
                reservation: budget.reservation,
                records: submission.records.len(),
                price,
                invalid: submission.invalid,
                unconfigured: pricing.unconfigured.clone(),
            });
        }
        let (job, chunks) = prepare(ports, caller, &submission, pricing, &budget);
        let span = error_span!("submit", job.id = %job.spec.id);
        let offered = persist(ports, caller, &submission, job, &chunks, idempotency);
        if let Some(accepted) = offered.instrument(span).await? {
            return Ok(accepted);
        }
        let credits = ports
            .store
            .get(&credits_key(caller.tenant()))
            .await
            .map_err(StepError::from)?;
        balance = read_credits(credits.as_ref()).balance;
    }
    Err(ApiError::Unavailable {
        retry_after_seconds: 1,
    })
}

/// Returns the answer to an earlier request with this key, if there was one.
pub(crate) async fn earlier(
    ports: &Ports,
    caller: &Caller,
    idempotency: Option<&Idempotency>,
) -> Result<Option<Accepted>, ApiError> {
    let Some(key) = idempotency else {
        return Ok(None);
    };
    match key.find(ports, caller.tenant()).await? {
        Some(earlier) => replayed(ports, caller.tenant(), earlier).await.map(Some),
        None => Ok(None),
    }
}

/// More rounds than a tenant's other submissions are likely to take between a read and a write.
const ROUNDS: u32 = 8;

/// The records and credits that a job may use.
struct Budget {
    reservation: Reservation,
    price: u32,
    /// The balance, and not the caller's own bound, is what keeps records from running.
    short: bool,
}

impl Budget {
    fn of(submission: &Submission, price: u32, balance: i64) -> Result<Self, ApiError> {
        let records = submission.records.len() - submission.invalid.records.len();
        let wanted = reserve(records, price, submission.max_credits);
        // What costs nothing is taken in debt too.
        if wanted.reserved == 0
            || i64::try_from(wanted.reserved).is_ok_and(|needed| needed <= balance)
        {
            return Ok(Self {
                reservation: wanted,
                price,
                short: false,
            });
        }
        if !submission.partial_budget {
            return Err(ApiError::NotEnoughCredits {
                needed: wanted.reserved,
                available: balance,
            });
        }
        let there = u64::try_from(balance).unwrap_or(0);
        Ok(Self {
            reservation: reserve(records, price, Some(there)),
            price,
            short: true,
        })
    }
}

/// Stores a job and takes its credits. `None` where they are gone meanwhile; nothing is left then.
async fn persist(
    ports: &Ports,
    caller: &Caller,
    submission: &Submission,
    job: Job,
    chunks: &[ChunkOf<'_>],
    idempotency: Option<&Idempotency>,
) -> Result<Option<Accepted>, ApiError> {
    let mut items = Vec::with_capacity(chunks.len());
    for (n, chunk) in (0..).zip(chunks) {
        items.push(chunk_item(&job.spec.id, n, chunk, job.spec.expires_at)?);
        let known = known(submission, chunk);
        if !known.is_empty() {
            items.push(known_item(&job.spec.id, n, known, job.spec.expires_at)?);
        }
    }
    ports.store.put_all(items).await.map_err(StepError::from)?;

    match commit(ports, &job, &submission.invalid.faults, idempotency).await? {
        Commit::Done => {}
        Commit::Other(earlier) => {
            rollback(ports, &job).await;
            return replayed(ports, caller.tenant(), earlier).await.map(Some);
        }
        Commit::NoCredits => {
            rollback(ports, &job).await;
            return Ok(None);
        }
        // Its chunks are left to expire. A caller that repeats the key finds the job, if it was
        // made.
        Commit::Unsure => {
            return Err(ApiError::Unavailable {
                retry_after_seconds: 2,
            });
        }
    }
    // The caller was read before the commit: of many submissions at once none would see the others.
    let open = match ports.store.get(&credits_key(caller.tenant())).await {
        Ok(credits) => read_credits(credits.as_ref()).open_chunks,
        Err(_) => caller.open_chunks + i64::from(job.spec.chunks),
    };
    let all: Vec<u32> = (0..job.spec.chunks).collect();
    for (lane, chunks) in lanes(ports, &job, open, &all) {
        if let Err(error) = enqueue(ports, &job, chunks, Start::First, lane).await {
            tracing::warn!(error = %error, "chunks not enqueued at submit; the sweep will");
        }
    }
    let view = Box::new(JobView::new(job, Progress::default()));
    Ok(Some(Accepted::Job {
        view,
        replayed: false,
        faults: submission.invalid.faults.clone(),
    }))
}

/// Returns the outcomes of a chunk's records that cannot be worked on, by position in the chunk.
fn known(submission: &Submission, chunk: &ChunkOf<'_>) -> Vec<(u32, Outcome)> {
    let first = usize::try_from(chunk.first).unwrap_or(usize::MAX);
    let within = submission
        .invalid
        .records
        .range(first..first.saturating_add(chunk.records.len()));
    let invalid = |error| Outcome::without_data(OutcomeStatus::Invalid, Some(error));
    within
        .filter_map(|(at, why)| Some((u32::try_from(at - first).ok()?, invalid(why.clone()))))
        .collect()
}

/// Returns the position up to which records may run, so that `funded` of those that can be worked
/// on do.
fn funded_until(submission: &Submission, funded: usize) -> usize {
    let records = submission.records.len();
    let mut workable = (0..records).filter(|at| !submission.invalid.records.contains_key(at));
    workable.nth(funded).unwrap_or(records)
}

/// Assigns each of a job's chunks to a lane. `open_chunks` counts the tenant's, this job's among
/// them. The share of the fast lane that the tenant's other jobs leave is for this job's first
/// chunks. So whenever a chunk enters that lane, the sum is within the share: this job's chunks
/// that were ever sent there, and all open chunks of the others.
pub(crate) fn lanes<'a>(
    ports: &Ports,
    job: &Job,
    open_chunks: i64,
    chunks: &'a [u32],
) -> impl Iterator<Item = (QueueName, &'a [u32])> + use<'a> {
    let left = ports.fast_chunks - (open_chunks - i64::from(job.spec.chunks));
    let (fast, bulk) = chunks.split_at(chunks.partition_point(|chunk| i64::from(*chunk) < left));
    [(QueueName::Enrich, fast), (QueueName::EnrichBulk, bulk)]
        .into_iter()
        .filter(|(_, chunks)| !chunks.is_empty())
}

/// Asks for chunks to be worked on.
pub(crate) async fn enqueue(
    ports: &Ports,
    job: &Job,
    chunks: &[u32],
    start: Start,
    lane: QueueName,
) -> Result<(), StepError> {
    let messages = chunks
        .iter()
        .map(|chunk| ChunkMessage::new(job.spec.id.clone(), *chunk, start));
    send(ports, &job.spec.tenant, messages.collect(), lane).await
}

/// Sends messages for chunks of one tenant.
pub(crate) async fn send(
    ports: &Ports,
    tenant: &TenantId,
    messages: Vec<ChunkMessage>,
    lane: QueueName,
) -> Result<(), StepError> {
    send_later(ports, tenant, messages, lane, Duration::ZERO).await
}

/// As [`send`], to arrive after `delay`, whole seconds rounded up and cut to the longest that a
/// queue takes.
pub(crate) async fn send_later(
    ports: &Ports,
    tenant: &TenantId,
    messages: Vec<ChunkMessage>,
    lane: QueueName,
    delay: Duration,
) -> Result<(), StepError> {
    let delay = Duration::from_secs(
        delay
            .as_millis()
            .div_ceil(1000)
            .try_into()
            .unwrap_or(u64::MAX),
    );
    let delay = delay.min(MAX_QUEUE_DELAY);
    let message = |message: &ChunkMessage| Message {
        body: crate::schema::json(message),
        delay,
        group: tenant.to_string(),
    };
    Ok(ports
        .queue
        .send(lane, messages.iter().map(message).collect())
        .await?)
}

fn prepare<'a>(
    ports: &Ports,
    caller: &Caller,
    submission: &'a Submission,
    pricing: &Pricing,
    budget: &Budget,
) -> (Job, Vec<ChunkOf<'a>>) {
    let now = ports.clock.now();
    let total = u32::try_from(submission.records.len()).unwrap_or(u32::MAX);
    let sizes: Vec<usize> = submission.records.iter().map(json::size).collect();
    let ranges = if submission.record_webhook.is_some() {
        plan_singly(sizes.len())
    } else {
        plan(&sizes)
    };
    let reservation = budget.reservation;
    let until = funded_until(submission, reservation.funded);
    let chunks: Vec<ChunkOf<'_>> = ranges
        .iter()
        .map(|range| ChunkOf {
            first: u32::try_from(range.start).unwrap_or(u32::MAX),
            funded: u32::try_from(until.clamp(range.start, range.end) - range.start)
                .unwrap_or(u32::MAX),
            records: &submission.records[range.clone()],
        })
        .collect();
    let spec = Spec {
        id: JobId::new(now, ports.random()),
        tenant: caller.tenant().clone(),
        surface: submission.surface.clone(),
        kind: submission.kind.clone(),
        operation: submission.operation.clone(),
        name: submission.name.clone(),
        webhook: submission.webhook.clone(),
        record_webhook: submission.record_webhook.clone(),
        providers: submission.providers.clone(),
        total,
        chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
        reserved: reservation.reserved,
        price: budget.price,
        created_at: now,
        run_until: now.plus(RUN_LIMIT.min(pricing.retention / 2)),
        expires_at: now.plus(pricing.retention),
        retry_of: submission.retry_of.clone(),
        unconfigured: pricing.unconfigured.clone(),
        short_of_credits: budget.short,
        form: submission.form.clone(),
        blanks: Blanks::Absent,
        phone_details: true,
        settings: surface(ports.surfaces, &submission.surface)
            .zip(caller.profile.surfaces.get(&submission.surface))
            .map(|(surface, stored)| surface.chosen(stored))
            .unwrap_or_default(),
    };
    let job = Job {
        spec,
        status: Status::FIRST,
        started_at: None,
        end: None,
        due: Some(now.plus(FIRST_LOOK)),
        seen: 0,
        window: FIRST_LOOK,
        shards_done: 0,
    };
    (job, chunks)
}

enum Commit {
    Done,
    /// The idempotency key belongs to this job.
    Other(Earlier),
    NoCredits,
    /// There are no credits now, and a try that got no answer may still find some.
    Unsure,
}

/// The position of the head among the transaction's writes.
const META: usize = 0;
const IDEM: usize = 2;

async fn commit(
    ports: &Ports,
    job: &Job,
    faults: &[InputError],
    idempotency: Option<&Idempotency>,
) -> Result<Commit, ApiError> {
    let spec = &job.spec;
    let mut writes = vec![schema::job::insert(job), schema::reserve(spec)];
    if let Some(key) = idempotency {
        writes.push(key.claim(&spec.tenant, &spec.id, faults, spec.created_at)?);
    }
    // Not with the chunks: a batch has no conditions, and a late try of it would undo what was done
    // since.
    let shards = 0..shard_count(spec.chunks);
    writes.extend(shards.map(|n| schema::progress::insert(&spec.id, n, spec.expires_at)));
    let (answer, unanswered) = transact_and_report(ports, writes).await;
    match answer {
        Ok(()) => Ok(Commit::Done),
        Err(StoreError::ConditionFailed(failed)) => {
            // The job's id is fresh: a head under it was written by an earlier try whose answer was
            // lost.
            if failed.iter().any(|f| f.at == META) {
                return Ok(Commit::Done);
            }
            let taken = failed
                .iter()
                .find(|f| f.at == IDEM)
                .and_then(|f| f.existing.as_ref());
            match (idempotency, taken) {
                (Some(key), Some(item)) => key.resolve(item).map(Commit::Other),
                _ if unanswered => Ok(Commit::Unsure),
                _ => Ok(Commit::NoCredits),
            }
        }
        Err(StoreError::Unavailable(cause)) => match ports.store.get(&meta_key(&spec.id)).await {
            Ok(Some(_)) => Ok(Commit::Done),
            _ => Err(StepError::from(StoreError::Unavailable(cause)).into()),
        },
        Err(error) => Err(StepError::from(error).into()),
    }
}

/// Removes the chunks of a job that was not committed. They would expire by themselves.
async fn rollback(ports: &Ports, job: &Job) {
    let id = &job.spec.id;
    let keys = (0..job.spec.chunks).flat_map(|n| [chunk_key(id, n), known_key(id, n)]);
    if let Err(error) = ports.store.delete_all(keys.collect()).await {
        tracing::warn!(error = %error, "chunks of a refused job left to expire");
    }
}

async fn replayed(
    ports: &Ports,
    tenant: &TenantId,
    Earlier { job, faults }: Earlier,
) -> Result<Accepted, ApiError> {
    let view = read::job(ports, tenant, &job).await?;
    Ok(Accepted::Job {
        view: Box::new(view),
        replayed: true,
        faults,
    })
}
