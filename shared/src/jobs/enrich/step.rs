//! Enrich: works on one chunk. It reads everything first, works only on what is missing, and puts
//! the result once. Progress and the job's end follow from what is stored, whichever run stored it.
//!
//! If it is killed, the message comes back or the sweep sends another, and this runs again. It
//! finds what was stored and repeats the rest. Only a provider's answer that was not stored yet is
//! asked for twice.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chunk_end::{add_progress, summarise, tell_of_records};
use super::finish::{Finished, finish};
use super::newer;
use super::run::{Calls, ChunkProgress, Run};
use crate::domain::callback::KEY_BYTES;
use crate::domain::chunk::{ChunkMessage, Start, chunks_in_shard, shard_count, shard_of};
use crate::domain::ids::{JobId, ulid};
use crate::domain::job::{Job, JobEvent, Status, next_status};
use crate::domain::record::Outcome;
use crate::domain::time::Timestamp;
use crate::jobs::enrich::lease::{
    ChunkLease, ISOLATE_FROM_ATTEMPT, LAST_ATTEMPT, forget_attempts, release, suspend_chunk, take,
};
use crate::jobs::submit::{send, send_later};
use crate::jobs::{Ports, StepError, full_range};
use crate::ports::{Item, QueueName, StoreError};
use crate::providers::Registry;
use crate::providers::waterfall::Waterfall;
use crate::schema;
use crate::schema::{
    Chunk, ChunkState, calls_range, chunk_range, current, meta_key, progress_key, read_calls,
    read_chunks, read_meta, read_progress,
};

/// Attempts at a record by itself after which, without an outcome, it is lost.
const MAX_BEGUN: u32 = 2;
/// Time kept free at the end of an invocation for storing outcomes.
pub const RESERVE: Duration = Duration::from_secs(8);
/// The time that a fresh invocation has to begin records that take their whole limit.
const BEGIN: Duration = Duration::from_secs(4);

/// Returns the most time for one record where an invocation can last `timeout`.
pub fn longest_record(timeout: Duration) -> Duration {
    timeout.saturating_sub(RESERVE + BEGIN)
}

/// The outcome of one run over a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkOutcome {
    /// The chunk has its result, and progress shows it.
    Done,
    /// Time ran out; what had finished is saved, and a message for the rest is sent.
    Continues,
    /// The rest waits for upstreams that answer later, or for a version that knows what the job
    /// asks for. A message for that time is sent.
    Waits,
    /// Nothing to do: the job has ended or is gone, the chunk does not exist, or another run has
    /// it.
    NoOp,
}

/// The message that asks for a run, as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkReceipt {
    /// The queue it came from; its continuation goes there too.
    pub lane: QueueName,
    /// The number of times that this message was received, this time included.
    pub receives: u32,
    /// When the invocation ends.
    pub deadline: Timestamp,
    /// The most time of an invocation: the sweep waits longer before it takes a run for dead.
    pub timeout: Duration,
}

/// Works on the chunk that the message names.
pub async fn step(
    ports: &Ports,
    registry: &Registry,
    message: &ChunkMessage,
    receipt: &ChunkReceipt,
) -> Result<ChunkOutcome, StepError> {
    match run(ports, registry, message, receipt).await {
        // The job was erased while this ran: its items are not there to be updated.
        Err(StepError::Store(StoreError::ConditionFailed(_))) => Ok(ChunkOutcome::NoOp),
        answer => answer,
    }
}

async fn run(
    ports: &Ports,
    registry: &Registry,
    message: &ChunkMessage,
    receipt: &ChunkReceipt,
) -> Result<ChunkOutcome, StepError> {
    let (id, n) = (&message.job, message.chunk);
    let heads = [meta_key(id), progress_key(id, shard_of(n))];
    let (heads, items) = futures_util::join!(
        ports.store.get_many(&heads),
        full_range(ports, chunk_range(id, n, n))
    );
    let [meta, shard] = <[_; 2]>::try_from(heads?).map_err(|_| StepError::Corrupt("read"))?;
    let (Some(meta), Some(shard)) = (current(meta, ports.clock.now()), shard) else {
        return Ok(ChunkOutcome::NoOp);
    };
    let job = read_meta(&meta)?;
    if !job.status.is_live() || n >= job.spec.chunks {
        return Ok(ChunkOutcome::NoOp);
    }
    let mut state = read_chunks(&items?)?.remove(&n).unwrap_or_default();
    let Some(chunk) = state.chunk.take() else {
        return chunkless(ports, id).await;
    };

    let outcomes = if let Some(outcomes) = state.result.take() {
        outcomes
    } else {
        match find(
            ports,
            registry,
            &job,
            message,
            receipt,
            Read {
                meta: &meta,
                shard: &shard,
                chunk: &chunk,
                state,
            },
        )
        .await?
        {
            Progressed::All(outcomes) => outcomes,
            Progressed::Some(ran) => return Ok(ran),
        }
    };
    if let Some(webhook) = &job.spec.record_webhook {
        tell_of_records(ports, &job, &chunk, webhook).await?;
    }
    let summary = summarise(n, &chunk, &outcomes);
    // Any version may have put it.
    let shard = if read_progress([&shard]).has(n) {
        shard
    } else {
        add_progress(ports, &job, &summary).await?
    };
    close_shard(
        ports,
        &job,
        shard_of(n),
        read_progress([&shard]).chunks_of_shard(shard_of(n)),
    )
    .await
}

/// A chunk that is not there was erased after the head was read, or was never written, which cannot
/// be.
async fn chunkless(ports: &Ports, id: &JobId) -> Result<ChunkOutcome, StepError> {
    let meta = current(ports.store.get(&meta_key(id)).await?, ports.clock.now());
    let live = meta
        .as_ref()
        .map(read_meta)
        .transpose()?
        .is_some_and(|job| job.status.is_live());
    if live {
        Err(StepError::Corrupt("chunk"))
    } else {
        Ok(ChunkOutcome::NoOp)
    }
}

/// Carries on what follows from a full shard. Level-triggered: every run that sees its shard full
/// does so, whether or not it filled it.
async fn close_shard(
    ports: &Ports,
    job: &Job,
    shard: u32,
    done: u32,
) -> Result<ChunkOutcome, StepError> {
    let (id, chunks) = (&job.spec.id, job.spec.chunks);
    if done < chunks_in_shard(shard, chunks) {
        return Ok(ChunkOutcome::Done);
    }
    if shard_count(chunks) > 1 {
        let update = schema::job::shard_done(id, shard);
        let meta = read_meta(&ports.store.update(update).await?)?;
        if meta.shards_done < shard_count(chunks) {
            return Ok(ChunkOutcome::Done);
        }
    }
    match finish(ports, id).await? {
        Finished::Now | Finished::Before | Finished::NotYet => Ok(ChunkOutcome::Done),
        Finished::Gone => Ok(ChunkOutcome::NoOp),
    }
}

/// A chunk that has no result, as it was read.
struct Read<'a> {
    meta: &'a Item,
    shard: &'a Item,
    chunk: &'a Chunk,
    state: ChunkState,
}

/// The state of a chunk after a run.
enum Progressed {
    /// The outcome of every record, as stored.
    All(Vec<Outcome>),
    Some(ChunkOutcome),
}

/// Finds the outcome of every record of the chunk and puts the result.
async fn find(
    ports: &Ports,
    registry: &Registry,
    job: &Job,
    message: &ChunkMessage,
    receipt: &ChunkReceipt,
    read: Read<'_>,
) -> Result<Progressed, StepError> {
    let Read {
        meta,
        shard,
        chunk,
        state,
    } = read;
    let ChunkState {
        finished,
        suspended,
        begun,
        ..
    } = state;
    let waited_for = suspended
        .iter()
        .filter(|(at, _)| !finished.contains_key(at))
        .map(|(_, suspended)| suspended);
    if let Some(what) = newer::unknown(registry, job, waited_for)
        && let Some(at) = newer::try_again_at(job, ports.clock.now())
    {
        return put_off(ports, job, message, receipt.lane, &what, at)
            .await
            .map(Progressed::Some);
    }
    let mut known = ChunkProgress {
        finished,
        suspended,
        ..ChunkProgress::default()
    };
    let poll_at = schema::progress::read_poll_at(shard, message.chunk);
    let mut run = run_over(ports, registry, job, message.chunk, chunk, receipt, poll_at);
    if !known.suspended.is_empty() {
        run.calls = calls(ports, job, message.chunk).await?;
        if let Some(ran) = too_early(&run, &known, message, receipt.lane).await? {
            return Ok(Progressed::Some(ran));
        }
    }
    if let Some(running) = next_status(job.status, JobEvent::Begin) {
        begin(ports, job, running, receipt.timeout).await?;
    }
    let called_back = ports.public_url.is_some()
        && registry
            .waterfall(&job.spec.kind)
            .is_some_and(Waterfall::calls_back);
    let Some(held) = take(
        ports,
        job,
        message,
        receipt.receives,
        receipt.deadline,
        shard,
        !called_back,
    )
    .await?
    else {
        return Ok(Progressed::Some(ChunkOutcome::NoOp));
    };
    let found = async {
        if called_back {
            run.callback_key = Some(callback_key(ports, job, meta).await?);
        }
        work(&run, message, &mut known, &begun, receipt.lane, &held).await
    };
    match found.await {
        Ok(found) => Ok(found),
        Err(error) => {
            release(ports, job, message.chunk, &held).await;
            Err(error)
        }
    }
}

/// Makes the run that this message asks for, before upstreams' posts are read.
fn run_over<'a>(
    ports: &'a Ports,
    registry: &'a Registry,
    job: &'a Job,
    number: u32,
    chunk: &'a Chunk,
    receipt: &ChunkReceipt,
    poll_at: Option<Timestamp>,
) -> Run<'a> {
    Run {
        ports,
        registry,
        job,
        chunk,
        number,
        id: ulid(ports.clock.now(), ports.random()),
        until: receipt.deadline.minus(RESERVE),
        longest: longest_record(receipt.timeout),
        calls: Calls::default(),
        poll_at,
        callback_key: None,
        cache: registry.cache(
            &job.spec.kind,
            &ports.store,
            &job.spec.tenant,
            chunk.records.iter().map(|r| &r.input),
        ),
    }
}

/// Ends a run before it begins where all that is left waits for a later time.
async fn too_early(
    run: &Run<'_>,
    known: &ChunkProgress,
    message: &ChunkMessage,
    lane: QueueName,
) -> Result<Option<ChunkOutcome>, StepError> {
    let next_at = run.next_at(known, run.job.status);
    if next_at <= run.ports.clock.now() {
        return Ok(None);
    }
    // Of messages that come too early one is enough: the one sent for this time. If it is lost, the
    // sweep's arrives later.
    if message.poll_at != run.poll_at.map(|at| at.0) {
        return Ok(Some(ChunkOutcome::NoOp));
    }
    wait(run.ports, run.job, run.number, next_at, lane).await?;
    Ok(Some(ChunkOutcome::Waits))
}

/// Works on what is missing. Puts the result where nothing is missing any more, else sends a
/// message for the rest.
async fn work(
    run: &Run<'_>,
    message: &ChunkMessage,
    known: &mut ChunkProgress,
    begun: &BTreeMap<u32, u32>,
    lane: QueueName,
    held: &ChunkLease,
) -> Result<Progressed, StepError> {
    let (ports, job, attempts) = (run.ports, run.job, held.attempts);
    if attempts >= LAST_ATTEMPT {
        for at in run.missing(&known.finished) {
            let detail =
                "the worker ended before this record did, eight times; its chunk was given up";
            known.finished.insert(at, lost(detail));
        }
    }
    for (at, times) in begun {
        if *times >= MAX_BEGUN {
            let detail = "the worker ended twice while it worked on this record";
            known.finished.entry(*at).or_insert_with(|| lost(detail));
        }
    }
    let before = known.finished.len();
    if attempts >= ISOLATE_FROM_ATTEMPT {
        run.run_isolated(known).await?;
    } else {
        run.run_concurrent(known).await?;
    }
    let missing = run.missing(&known.finished).len();
    if missing == 0 {
        let outcomes = run
            .put(std::mem::take(&mut known.finished).into_values().collect())
            .await?;
        run.keep_answers().await;
        return Ok(Progressed::All(outcomes));
    }
    run.keep_answers().await;
    let gained = known.finished.len() - before;
    // A job canceled meanwhile is found by the sweep's message.
    let next_at = run.next_at(known, job.status);
    if next_at > ports.clock.now() {
        tracing::info!(left = missing, gained, "chunk waits for upstreams");
        forget_attempts(ports, job, message.chunk, held).await;
        // Sent before it is stored: if it were stored and not sent, this run's own message would
        // come back too early for anything. Where one was sent for the same time before, it is on
        // its way.
        if run.poll_at != Some(next_at) {
            wait(ports, job, message.chunk, next_at, lane).await?;
        }
        suspend_chunk(ports, job, message.chunk, held, next_at).await;
        // A post during this run sent a message that found the chunk's lease taken.
        let calls = calls(ports, job, message.chunk).await?;
        let count = |calls: &Calls| calls.values().map(Vec::len).sum::<usize>();
        if count(&calls) > count(&run.calls) {
            wait(ports, job, message.chunk, ports.clock.now(), lane).await?;
        }
        return Ok(Progressed::Some(ChunkOutcome::Waits));
    }
    tracing::info!(left = missing, gained, "chunk continues in another run");
    if gained > 0 {
        forget_attempts(ports, job, message.chunk, held).await;
    }
    let next = ChunkMessage {
        lease_until: held.lease.as_ref().map(|lease| lease.until.0),
        ..ChunkMessage::new(job.spec.id.clone(), run.number, Start::Resume)
    };
    send(ports, &job.spec.tenant, vec![next], lane).await?;
    Ok(Progressed::Some(ChunkOutcome::Continues))
}

/// Sends a message for a chunk at a later time. One beyond a queue's longest delay is sent again on
/// the way.
async fn wait(
    ports: &Ports,
    job: &Job,
    chunk: u32,
    at: Timestamp,
    lane: QueueName,
) -> Result<(), StepError> {
    let next = ChunkMessage {
        poll_at: Some(at.0),
        ..ChunkMessage::new(job.spec.id.clone(), chunk, Start::Resume)
    };
    send_later(
        ports,
        &job.spec.tenant,
        vec![next],
        lane,
        at.since(ports.clock.now()),
    )
    .await
}

/// Sends the message again for a time when this function may have been updated. Nothing is written:
/// no attempt is counted, and the chunk is as it was.
async fn put_off(
    ports: &Ports,
    job: &Job,
    message: &ChunkMessage,
    lane: QueueName,
    what: &str,
    at: Timestamp,
) -> Result<ChunkOutcome, StepError> {
    tracing::warn!(what, "not known to this version; tried again later");
    // A first message has its chunk to itself only right after the submission.
    let start = if message.start == Start::First {
        Start::Resume
    } else {
        message.start
    };
    let again = ChunkMessage {
        start,
        ..message.clone()
    };
    send_later(
        ports,
        &job.spec.tenant,
        vec![again],
        lane,
        at.since(ports.clock.now()),
    )
    .await?;
    Ok(ChunkOutcome::Waits)
}

async fn calls(ports: &Ports, job: &Job, chunk: u32) -> Result<Calls, StepError> {
    let items = full_range(ports, calls_range(&job.spec.id, chunk)).await?;
    Ok(read_calls(&items)?)
}

/// Returns the key that signs a job's callback URLs. The first run that needs it makes it.
async fn callback_key(ports: &Ports, job: &Job, meta: &Item) -> Result<[u8; KEY_BYTES], StepError> {
    let stored = |item: &Item| schema::job::read_callback_key(item)?.try_into().ok();
    if let Some(key) = stored(meta) {
        return Ok(key);
    }
    let update = schema::job::keep_callback_key(&job.spec.id, &ports.random::<KEY_BYTES>());
    stored(&ports.store.update(update).await?).ok_or(StepError::Corrupt("callback_key"))
}

fn lost(detail: &str) -> Outcome {
    Outcome::failed("worker_lost", detail)
}

/// Marks the job as running. A run that loses the race has nothing to do.
async fn begin(
    ports: &Ports,
    job: &Job,
    running: Status,
    timeout: Duration,
) -> Result<(), StepError> {
    // A run under way is not overdue before its invocation must have ended.
    let window = timeout + Duration::from_secs(30);
    let update = schema::job::begin(job, running, ports.clock.now(), window);
    match ports.store.update(update).await {
        Ok(_) | Err(StoreError::ConditionFailed(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
