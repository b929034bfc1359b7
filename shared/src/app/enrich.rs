//! Enrich: works on one chunk. Everything is read first, the work done only where it is missing, the result put once;
//! progress and the job's end follow from what is stored, whoever stored it.
//!
//! Killed anywhere, the message comes back or the sweep sends another, and this runs again: what was put is found, what
//! was not is done again. Only a provider's answer that was not stored yet is asked for twice.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};

use super::finish::{Finished, finish, look_at, wake};
use super::submit::send;
use super::table::{
    self, Chunk, ChunkState, DONE, Part, SHARDS_DONE, STARTED_AT, STATUS, WINDOW, chunk_range, current, delivery_item,
    get_n, get_s, groups, held_attribute, meta_key, millis, part_item, progress_key, read_chunks, read_meta,
    read_progress, result_items, s, set, starts_attribute,
};
use super::{Ports, StepError};
use crate::domain::chunk::{ChunkMessage, Start, chunks_in_shard, shard_count, shard_of};
use crate::domain::delivery::{Delivery, EventType, FAST_EVENTS};
use crate::domain::ids::{JobId, ulid};
use crate::domain::job::{Job, ResultLine, Status, Webhook, told};
use crate::domain::progress::ChunkSummary;
use crate::domain::record::{MAX_DEPTH, Outcome, OutcomeError, OutcomeStatus, Record, depth};
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Put, Query, QueueName, StoreError, Update, Value, within};
use crate::provider::{self, Registry};

/// The start, counted from the second receive on, from which records run one by one, each marked before it begins.
const SERIAL_FROM: i64 = 2;
/// The counted start that fails what is left: the eighth with the first, which is not counted.
const LAST_START: i64 = 7;
/// A record begun so often on its own without an outcome is lost.
const MAX_BEGUN: u32 = 2;
/// Kept free at the end of an invocation for storing what there is.
pub const RESERVE: Duration = Duration::from_secs(8);
/// A fresh invocation has so long to begin records that take their whole limit.
const BEGIN: Duration = Duration::from_secs(4);
/// A first message received so soon after the submission has its chunk to itself: the sweep asks for nothing before, and
/// every window is longer than an invocation by as much.
const ALONE: Duration = Duration::from_secs(30);
/// How often a running chunk looks whether its job was canceled.
const CANCEL_CHECK: Duration = Duration::from_secs(3);
/// How long an outcome waits for its chunk's others before it is put away without them.
const KEEP_AFTER: Duration = Duration::from_secs(3);

/// The longest that one record can be worked on where an invocation can last `timeout`.
pub fn longest_record(timeout: Duration) -> Duration {
    timeout.saturating_sub(RESERVE + BEGIN)
}

/// What came of one run over a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// The chunk has its result, and progress shows it.
    Done,
    /// Time ran out; what was finished is kept, and a message for the rest is sent.
    Continues,
    /// The job has ended or is gone, there is no such chunk, or another run holds it: nothing to do.
    Moot,
}

/// How this run came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The queue it came from; its continuation goes there too.
    pub lane: QueueName,
    /// How often this message was received, this time included.
    pub receives: u32,
    /// When the invocation ends.
    pub deadline: Timestamp,
    /// How long an invocation can last: the sweep waits longer before it takes a run for dead.
    pub timeout: Duration,
}

/// Works on the chunk that the message names.
pub async fn step(
    ports: &Ports,
    registry: &Registry,
    message: &ChunkMessage,
    receipt: &Receipt,
) -> Result<Ran, StepError> {
    match run(ports, registry, message, receipt).await {
        // The job was erased while this ran: its items are not there to be updated.
        Err(StepError::Store(StoreError::ConditionFailed(_))) => Ok(Ran::Moot),
        answer => answer,
    }
}

async fn run(ports: &Ports, registry: &Registry, message: &ChunkMessage, receipt: &Receipt) -> Result<Ran, StepError> {
    let (id, n) = (&message.job, message.chunk);
    let heads = [meta_key(id), progress_key(id, shard_of(n))];
    let query = Query { select: chunk_range(id, n, n), limit: usize::MAX, descending: false, consistent: true };
    let (heads, items) = futures_util::join!(ports.store.get_many(&heads), ports.store.query(&query));
    let [meta, shard] = <[_; 2]>::try_from(heads?).map_err(|_| StepError::Corrupt("read"))?;
    let (Some(meta), Some(shard)) = (current(meta, ports.clock.now()), shard) else { return Ok(Ran::Moot) };
    let job = read_meta(&meta)?;
    if !job.status.is_live() || n >= job.spec.chunks {
        return Ok(Ran::Moot);
    }
    let mut state = read_chunks(&items?)?.remove(&n).unwrap_or_default();
    let Some(chunk) = state.chunk.take() else { return chunkless(ports, id).await };

    let outcomes = if let Some(outcomes) = state.result.take() {
        outcomes
    } else {
        if job.status == Status::Queued {
            begin(ports, &job, receipt.timeout).await?;
        }
        let Some(hold) = take(ports, &job, message, receipt, &shard).await? else { return Ok(Ran::Moot) };
        match work(ports, registry, &job, message, &chunk, state, receipt, &hold).await {
            Ok(Some(outcomes)) => outcomes,
            Ok(None) => return Ok(Ran::Continues),
            Err(error) => {
                release(ports, &job, message.chunk, &hold).await;
                return Err(error);
            }
        }
    };
    if let Some(webhook) = &job.spec.record_webhook {
        tell_of_records(ports, &job, &chunk, webhook).await?;
    }
    let summary = summarise(n, &chunk, &outcomes);
    // By whichever version.
    let shard = if read_progress([&shard]).has(n) { shard } else { add_progress(ports, &job, &summary).await? };
    close_shard(ports, &job, shard_of(n), read_progress([&shard]).chunks_of_shard(shard_of(n))).await
}

/// A chunk that is not there was erased after the head was read, or was never written, which cannot be.
async fn chunkless(ports: &Ports, id: &JobId) -> Result<Ran, StepError> {
    let meta = current(ports.store.get(&meta_key(id)).await?, ports.clock.now());
    let live = meta.as_ref().map(read_meta).transpose()?.is_some_and(|job| job.status.is_live());
    if live { Err(StepError::Corrupt("chunk")) } else { Ok(Ran::Moot) }
}

/// Puts the delivery of each record's event, between its result and its progress: whoever dies after the result comes
/// back here, and whoever sees the progress can rely on the event. The ids follow from the records' places, so that
/// repeating this adds nothing.
async fn tell_of_records(ports: &Ports, job: &Job, chunk: &Chunk, webhook: &Webhook) -> Result<(), StepError> {
    let spec = &job.spec;
    for (index, _) in (chunk.first..).zip(&chunk.records) {
        let now = ports.clock.now();
        // A job with many records to tell of leaves the fast lane to the ends of everybody's jobs.
        let fast = index < FAST_EVENTS;
        let lane = if fast { QueueName::Webhook } else { QueueName::WebhookRetry };
        let event = EventType::RecordFinished;
        let id = spec.id.record_delivery(index);
        let delivery = Delivery::new(id, spec.tenant.clone(), &spec.dialect, event, now, &webhook.url, spec.expires_at);
        let item = delivery_item(&delivery, Some(delivery.due(now)));
        match ports.store.put(Put { item, condition: Some(Condition::ItemAbsent) }).await {
            Ok(()) => wake(ports, &delivery, lane).await,
            Err(StoreError::ConditionFailed(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What a chunk adds to progress, derived from what is stored alone.
fn summarise(n: u32, chunk: &Chunk, outcomes: &[Outcome]) -> ChunkSummary {
    let lines = (chunk.first..).zip(chunk.records.iter().zip(outcomes)).map(|(index, (record, outcome))| {
        let line = ResultLine { index, record: record.clone(), outcome: outcome.clone() };
        table::json(&line.to_json()).len() as u64 + 1
    });
    let told = chunk.records.iter().zip(outcomes).map(|(record, outcome)| told(record, Some(outcome)).len() as u64);
    ChunkSummary::of(n, outcomes, lines.sum(), told.sum())
}

async fn add_progress(ports: &Ports, job: &Job, summary: &ChunkSummary) -> Result<Item, StepError> {
    let update = Update {
        key: progress_key(&job.spec.id, shard_of(summary.chunk)),
        changes: vec![Change::AddToSet(DONE, set(summary.element()))],
        condition: Some(Condition::ItemExists),
    };
    Ok(ports.store.update(update).await?)
}

/// Level-triggered: every run that sees its shard full carries the news on, whether or not it filled it.
async fn close_shard(ports: &Ports, job: &Job, shard: u32, done: u32) -> Result<Ran, StepError> {
    let (id, chunks) = (&job.spec.id, job.spec.chunks);
    if done < chunks_in_shard(shard, chunks) {
        return Ok(Ran::Done);
    }
    if shard_count(chunks) > 1 {
        let update = Update {
            key: meta_key(id),
            changes: vec![Change::AddToSet(SHARDS_DONE, set(shard.to_string()))],
            condition: Some(Condition::ItemExists),
        };
        let meta = read_meta(&ports.store.update(update).await?)?;
        if meta.shards_done < shard_count(chunks) {
            return Ok(Ran::Done);
        }
    }
    match finish(ports, id).await? {
        Finished::Now | Finished::Before | Finished::NotYet => Ok(Ran::Done),
        Finished::Gone => Ok(Ran::Moot),
    }
}

/// Finds the outcome of every record of the chunk and puts the result. `None` when time ran out.
#[expect(clippy::too_many_arguments, reason = "everything that was read of one chunk")]
async fn work(
    ports: &Ports,
    registry: &Registry,
    job: &Job,
    message: &ChunkMessage,
    chunk: &Chunk,
    state: ChunkState,
    receipt: &Receipt,
    hold: &Hold,
) -> Result<Option<Vec<Outcome>>, StepError> {
    let starts = hold.starts;
    let run = Run {
        ports,
        registry,
        job,
        chunk,
        number: message.chunk,
        id: ulid(ports.clock.now(), ports.random()),
        until: receipt.deadline.minus(RESERVE),
        longest: longest_record(receipt.timeout),
    };
    let mut finished = state.finished;
    if starts >= LAST_START {
        for at in run.missing(&finished) {
            finished.insert(at, lost("the worker ended before this record did, eight times; its chunk was given up"));
        }
    }
    for (at, times) in state.begun {
        if times >= MAX_BEGUN {
            finished.entry(at).or_insert_with(|| lost("the worker ended twice while it worked on this record"));
        }
    }
    let before = finished.len();
    if starts >= SERIAL_FROM {
        run.one_by_one(&mut finished).await?;
    } else {
        run.together(&mut finished).await?;
    }
    let missing = run.missing(&finished);
    if missing.is_empty() {
        return run.put(finished.into_values().collect()).await.map(Some);
    }
    let gained = finished.len() - before;
    tracing::info!(job.id = %job.spec.id, chunk = run.number, left = missing.len(), gained, "chunk continues in another run");
    if gained > 0 {
        forget_starts(ports, job, message.chunk, hold).await;
    }
    let next = ChunkMessage { hold: hold.until, ..ChunkMessage::new(job.spec.id.clone(), run.number, Start::Resume) };
    send(ports, &job.spec.tenant, vec![next], receipt.lane).await?;
    Ok(None)
}

fn lost(detail: &str) -> Outcome {
    Outcome::failed("worker_lost", detail)
}

/// Marks the job as running. Whoever loses the race has nothing to do.
async fn begin(ports: &Ports, job: &Job, timeout: Duration) -> Result<(), StepError> {
    let now = ports.clock.now();
    let window = timeout + Duration::from_secs(30);
    let mut changes = vec![
        Change::Set(STATUS, s(Status::Running.as_str())),
        Change::SetIfAbsent(STARTED_AT, Value::N(now.0)),
        Change::Set(WINDOW, Value::N(millis(window))),
    ];
    // A run that is at work is not overdue before its invocation must have ended.
    changes.extend(look_at(&job.spec.id, now.plus(window)));
    let condition = Some(Condition::Equals(STATUS, s(Status::Queued.as_str())));
    match ports.store.update(Update { key: meta_key(&job.spec.id), changes, condition }).await {
        Ok(_) | Err(StoreError::ConditionFailed(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A run's hold on its chunk.
struct Hold {
    /// Starts counted so far, this one included if it is.
    starts: i64,
    /// As written; `None` where none was needed.
    until: Option<i64>,
}

/// Takes the chunk for this run, and counts the start if it may follow a death. `None` where another run holds it: that
/// one ends the chunk, or dies, and then the sweep asks again. So only one of many messages buys answers, and messages
/// that waited together do not count as deaths. A hint all the same: nothing but money depends on it.
async fn take(
    ports: &Ports,
    job: &Job,
    message: &ChunkMessage,
    receipt: &Receipt,
    shard: &Item,
) -> Result<Option<Hold>, StepError> {
    let now = ports.clock.now();
    let (starts, held) = (starts_attribute(message.chunk), held_attribute(message.chunk));
    let again = receipt.receives >= 2 || message.start == Start::Nudge;
    if !again && message.start == Start::First && now < job.spec.created_at.plus(ALONE) {
        return Ok(Some(Hold { starts: get_n(shard, starts).unwrap_or(0), until: None }));
    }
    // Not the deadline alone, so that a run knows its own hold when it meets it after an answer was lost.
    let jitter = i64::from(u16::from_be_bytes(ports.random::<2>()) % 1000);
    let until = receipt.deadline.0 + jitter;
    let mut changes = vec![Change::Set(held, Value::N(until))];
    if again {
        changes.push(Change::Add(starts, 1));
    }
    let mut free = vec![Condition::Absent(held), Condition::AtMost(held, now.0)];
    // A run that stopped leaves its hold to the one that resumes; another's it may not take.
    free.extend(message.hold.map(|left| Condition::Equals(held, Value::N(left))));
    let key = progress_key(&job.spec.id, shard_of(message.chunk));
    let condition = Some(Condition::All(vec![Condition::ItemExists, Condition::Any(free)]));
    let item = match ports.store.update(Update { key: key.clone(), changes, condition }).await {
        Ok(item) => item,
        // No answer came: if the hold is ours, this run has the chunk.
        Err(StoreError::Unavailable(cause)) => match ports.store.get(&key).await? {
            Some(item) if get_n(&item, held) == Some(until) => item,
            _ => return Err(StoreError::Unavailable(cause).into()),
        },
        Err(StoreError::ConditionFailed(failed)) => match failed.into_iter().find_map(|f| f.existing) {
            Some(item) if get_n(&item, held) == Some(until) => item,
            Some(_) => return Ok(None),
            None => return Err(StoreError::ConditionFailed(Vec::new()).into()),
        },
        Err(error) => return Err(error.into()),
    };
    let counted = get_n(&item, starts).unwrap_or(0);
    // A continuation goes on as the run before it, one by one where that did, and gives nothing up.
    Ok(Some(Hold { starts: if again { counted } else { counted.min(LAST_START - 1) }, until: Some(until) }))
}

/// A run that ends in time and has something to show for it was no death, and neither was what made it start: in a lane
/// that is behind, messages of a healthy chunk wait longer than any hold lasts. What goes one by one goes on so.
async fn forget_starts(ports: &Ports, job: &Job, chunk: u32, hold: &Hold) {
    let (Some(until), 1..) = (hold.until, hold.starts) else { return };
    let starts = starts_attribute(chunk);
    let change =
        if hold.starts < SERIAL_FROM { Change::Remove(starts) } else { Change::Set(starts, Value::N(SERIAL_FROM)) };
    let update = Update {
        key: progress_key(&job.spec.id, shard_of(chunk)),
        changes: vec![change],
        condition: Some(Condition::Equals(held_attribute(chunk), Value::N(until))),
    };
    match ports.store.update(update).await {
        Ok(_) | Err(StoreError::ConditionFailed(_)) => {}
        Err(error) => {
            tracing::warn!(job.id = %job.spec.id, chunk, error = %error, "starts of the chunk not forgotten; the next run does");
        }
    }
}

/// Gives the chunk back after an error, so that the message can try again soon. Lost, the hold runs out by itself.
async fn release(ports: &Ports, job: &Job, chunk: u32, hold: &Hold) {
    let Some(until) = hold.until else { return };
    let held = held_attribute(chunk);
    let update = Update {
        key: progress_key(&job.spec.id, shard_of(chunk)),
        changes: vec![Change::Remove(held)],
        condition: Some(Condition::Equals(held, Value::N(until))),
    };
    if let Err(error) = ports.store.update(update).await {
        tracing::warn!(job.id = %job.spec.id, chunk, error = %error, "hold on the chunk not given back; it runs out");
    }
}

/// Awaits `work` while the records under way go on: a table that is slow takes none of their time. What ends meanwhile is
/// added to `done`.
async fn beside<T, S: Stream + Unpin>(running: &mut S, done: &mut Vec<S::Item>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        match select(work.as_mut(), running.next()).await {
            Either::Left((answer, _)) => return answer,
            Either::Right((Some(one), _)) => done.push(one),
            Either::Right((None, _)) => return work.await,
        }
    }
}

/// One run over a chunk.
struct Run<'a> {
    ports: &'a Ports,
    registry: &'a Registry,
    job: &'a Job,
    chunk: &'a Chunk,
    number: u32,
    /// Names this run's parts; sorts by time.
    id: String,
    /// No record goes on past this.
    until: Timestamp,
    /// No record is given longer: a fresh invocation must be able to begin some.
    longest: Duration,
}

impl Run<'_> {
    fn len(&self) -> u32 {
        u32::try_from(self.chunk.records.len()).unwrap_or(u32::MAX)
    }

    fn missing(&self, finished: &BTreeMap<u32, Outcome>) -> Vec<u32> {
        (0..self.len()).filter(|at| !finished.contains_key(at)).collect()
    }

    fn record(&self, at: u32) -> Option<&Record> {
        self.chunk.records.get(usize::try_from(at).ok()?)
    }

    /// How long a record may take.
    fn limit(&self) -> Duration {
        let kind = self.registry.kind(&self.job.spec.kind);
        kind.map_or(self.longest, provider::RecordType::record_timeout).min(self.longest)
    }

    /// The outcome of a record that is not run, if it is not.
    fn not_run(&self, at: u32, status: Status) -> Option<Outcome> {
        if let Some(why) = &self.job.spec.unconfigured {
            return Some(Outcome::failed("provider_unconfigured", why));
        }
        if at >= self.chunk.funded {
            let what = if self.job.spec.short_of_credits { "the credits there were" } else { "the job's max_credits" };
            let detail = format!("{what} went to the records before this one");
            let error = OutcomeError::new("budget_exhausted", detail);
            return Some(Outcome::without_data(OutcomeStatus::Skipped, Some(error)));
        }
        match status {
            Status::Canceling => Some(Outcome::without_data(OutcomeStatus::Canceled, None)),
            Status::Expiring => Some(Outcome::failed("job_expired", "the job did not end within its run limit")),
            _ => None,
        }
    }

    /// Asks the waterfall, within the record's limit and the run's. A panic in a provider costs its record alone.
    async fn ask(&self, at: u32) -> Outcome {
        let (Some(record), Some(waterfall)) = (self.record(at), self.registry.waterfall(&self.job.spec.kind)) else {
            return Outcome::failed(
                "provider_unconfigured",
                format!("type {} is not in this deployment's providers.toml any more", self.job.spec.kind),
            );
        };
        let limit = self.limit().min(self.until.since(self.ports.clock.now()));
        let ports = provider::Ports {
            http: self.ports.http.clone(),
            clock: self.ports.clock.clone(),
            entropy: self.ports.entropy.clone(),
        };
        let order = self.job.spec.providers.as_deref();
        let asked = AssertUnwindSafe(waterfall.run(&record.input, limit, order, &ports)).catch_unwind();
        match within(self.ports.clock.as_ref(), limit, asked).await {
            Some(Ok(outcome)) => self.bounded(outcome),
            Some(Err(_)) => Outcome::failed("internal_error", "a provider broke on this record; the log has the cause"),
            None => Outcome::failed("deadline_exceeded", format!("no provider answered within {} s", limit.as_secs())),
        }
    }

    /// Holds an outcome to what can be stored and read back, and to the price that was dealt at submit, whatever
    /// `providers.toml` says by now.
    fn bounded(&self, outcome: Outcome) -> Outcome {
        if outcome.data.values().any(|value| depth(value) > MAX_DEPTH) {
            return Outcome::failed(
                "outcome_too_deep",
                format!("a provider's answer nests deeper than {MAX_DEPTH} levels"),
            );
        }
        Outcome { credits: outcome.credits.min(self.job.spec.price), ..outcome }
    }

    /// The job's status now, while it runs.
    async fn status(&self) -> Result<Status, StepError> {
        let meta = self.ports.store.get(&meta_key(&self.job.spec.id)).await?;
        // A job erased meanwhile is as good as canceled: no more provider is asked for it.
        Ok(meta
            .as_ref()
            .and_then(|m| get_s(m, STATUS))
            .and_then(Status::parse)
            .map_or(Status::Canceling, |status| if status.is_live() { status } else { Status::Canceling }))
    }

    /// Runs what is missing under the type's bound. A record begins only where the time left covers its whole limit, so
    /// that no answer is paid for and then cut off. What is finished while others go on is put away after a while, so that
    /// it can be shown and is not bought again after a crash; what is finished when time runs out is put away too.
    async fn together(&self, finished: &mut BTreeMap<u32, Outcome>) -> Result<(), StepError> {
        let bound = self.registry.kind(&self.job.spec.kind).map_or(1, provider::RecordType::concurrency);
        let mut waiting = self.missing(finished).into_iter().peekable();
        let mut running = FuturesUnordered::new();
        let (mut fresh, mut kept, mut parts) = (Vec::new(), 0, 0);
        let (mut keep_at, mut noted) = (None, 0);
        let (mut status, mut checked) = (self.job.status, self.ports.clock.now());
        let begin_until = self.until.minus(self.limit());
        loop {
            let now = self.ports.clock.now();
            if waiting.peek().is_some() && now.since(checked) >= CANCEL_CHECK {
                // Answers already paid for are not given up because this read failed.
                status = beside(&mut running, &mut fresh, self.status()).await.unwrap_or(status);
                checked = now;
            }
            if fresh.len() > noted {
                keep_at.get_or_insert(self.ports.clock.now().plus(KEEP_AFTER));
            }
            while running.len() < bound {
                let Some(at) = waiting.peek().copied() else { break };
                if let Some(outcome) = self.not_run(at, status) {
                    fresh.push((at, outcome));
                } else if self.ports.clock.now() <= begin_until {
                    running.push(async move { (at, self.ask(at).await) });
                } else {
                    break;
                }
                waiting.next();
            }
            noted = fresh.len();
            let next = match keep_at {
                Some(keep_at) if !running.is_empty() => {
                    let left = Timestamp::since(keep_at, self.ports.clock.now());
                    within(self.ports.clock.as_ref(), left, running.next()).await
                }
                _ => Some(running.next().await),
            };
            match next {
                Some(Some(done)) => fresh.push(done),
                Some(None) => break,
                None => {
                    let these = fresh[kept..].to_vec();
                    // Nothing depends on it: where it fails, these outcomes are put away with the next.
                    match beside(&mut running, &mut fresh, self.put_away(&these, &mut parts)).await {
                        Ok(()) => kept += these.len(),
                        Err(error) => {
                            let (job, chunk) = (&self.job.spec.id, self.number);
                            tracing::warn!(job.id = %job, chunk, error = %error, "outcomes not put away early");
                        }
                    }
                    keep_at = None;
                }
            }
        }
        if waiting.peek().is_some() {
            self.put_away(&fresh[kept..], &mut parts).await?;
        }
        finished.extend(fresh);
        Ok(())
    }

    /// Runs what is missing one record after the other, each marked before it begins and put away when it has ended: a
    /// record that takes the process down with it is found out, and costs nobody else's outcome.
    async fn one_by_one(&self, finished: &mut BTreeMap<u32, Outcome>) -> Result<(), StepError> {
        let begin_until = self.until.minus(self.limit());
        for (nth, at) in self.missing(finished).into_iter().enumerate() {
            let status = self.status().await?;
            let outcome = match self.not_run(at, status) {
                Some(outcome) => outcome,
                None if self.ports.clock.now() > begin_until => return Ok(()),
                None => {
                    self.keep(at, &Part { begun: Some(at), outcomes: Vec::new() }).await?;
                    // The mark took the record's time. The next run has more, unless it would begin with the same.
                    if nth > 0 && self.ports.clock.now() > begin_until {
                        self.keep(at, &Part { begun: None, outcomes: Vec::new() }).await?;
                        return Ok(());
                    }
                    let outcome = self.ask(at).await;
                    self.keep(at, &Part { begun: None, outcomes: vec![(at, outcome.clone())] }).await?;
                    outcome
                }
            };
            finished.insert(at, outcome);
        }
        Ok(())
    }

    /// Puts outcomes away as parts, numbered from `parts` on.
    async fn put_away(&self, outcomes: &[(u32, Outcome)], parts: &mut u32) -> Result<(), StepError> {
        let mut items = Vec::new();
        for outcomes in groups(outcomes.to_vec()) {
            items.push(self.part(*parts, &Part { begun: None, outcomes })?);
            *parts += 1;
        }
        if items.is_empty() { Ok(()) } else { Ok(self.ports.store.put_all(items).await?) }
    }

    fn part(&self, k: u32, part: &Part) -> Result<Item, StepError> {
        part_item(&self.job.spec.id, self.number, &self.id, k, part, self.job.spec.expires_at)
    }

    /// Puts a part under this run's own name; nobody else writes there.
    async fn keep(&self, k: u32, part: &Part) -> Result<(), StepError> {
        Ok(self.ports.store.put(Put { item: self.part(k, part)?, condition: None }).await?)
    }

    /// Puts the result if there is none yet. The first writer wins, and everybody goes on with that one.
    async fn put(&self, outcomes: Vec<Outcome>) -> Result<Vec<Outcome>, StepError> {
        let (id, expires_at) = (&self.job.spec.id, self.job.spec.expires_at);
        let (overflow, head) = result_items(id, self.number, &self.id, &outcomes, expires_at)?;
        if !overflow.is_empty() {
            self.ports.store.put_all(overflow).await?;
        }
        match self.ports.store.put(Put { item: head, condition: Some(Condition::ItemAbsent) }).await {
            Ok(()) => Ok(outcomes),
            Err(StoreError::ConditionFailed(_)) => {
                let select = chunk_range(id, self.number, self.number);
                let query = Query { select, limit: usize::MAX, descending: false, consistent: true };
                let state = read_chunks(&self.ports.store.query(&query).await?)?.remove(&self.number);
                state.and_then(|s| s.result).ok_or(StepError::Corrupt("result"))
            }
            Err(error) => Err(error.into()),
        }
    }
}
