//! One run over a chunk's records.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use std::vec::IntoIter;

use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt};

use crate::catalog::RecordType;
use crate::domain::callback::{CallbackFor, KEY_BYTES};
use crate::domain::job::{Job, Status};
use crate::domain::record::{MAX_DEPTH, Outcome, OutcomeError, OutcomeStatus, Record, depth};
use crate::domain::suspended::Suspended;
use crate::domain::time::Timestamp;
use crate::jobs::{Ports, StepError};
use crate::ports::within;
use crate::providers;
use crate::providers::Registry;
use crate::providers::guards::answer_cache::Cache;
use crate::providers::guards::seen::Seen;
use crate::providers::waterfall::{Request, Waterfall, WaterfallOutcome};
use crate::schema::{Chunk, Part, job::read_status, meta_key};

/// The time between two checks of whether a running chunk's job was canceled.
const CANCEL_CHECK: Duration = Duration::from_secs(3);
/// The time that an outcome waits for its chunk's others before it is saved without them.
const KEEP_AFTER: Duration = Duration::from_secs(3);

/// Upstreams' posts for a chunk's records, by position in the chunk and provider, in the order of
/// arrival.
pub(crate) type Calls = BTreeMap<(u32, String), Vec<serde_json::Value>>;

/// The known state of a chunk's records.
#[derive(Debug, Default)]
pub(crate) struct ChunkProgress {
    pub(crate) finished: BTreeMap<u32, Outcome>,
    /// The waits of records that have not finished. Entries of those that have are ignored.
    pub(crate) suspended: BTreeMap<u32, Suspended>,
    /// Records asked about in this run, with the number of posts seen before.
    pub(crate) tried: BTreeMap<u32, usize>,
}

impl ChunkProgress {
    fn learn(&mut self, at: u32, record_outcome: RecordOutcome) {
        let callbacks_seen = self.suspended.get(&at).map_or(0, Suspended::callbacks_seen);
        self.tried.insert(at, callbacks_seen);
        match record_outcome {
            RecordOutcome::Done(outcome) => drop(self.finished.insert(at, outcome)),
            RecordOutcome::Suspended(suspended) => drop(self.suspended.insert(at, *suspended)),
        }
    }
}

/// Awaits `work` while the records under way go on: a slow table takes none of their time. Adds to
/// `done` what ends meanwhile.
async fn beside<T, S: Stream + Unpin>(
    running: &mut S,
    done: &mut Vec<S::Item>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        match select(work.as_mut(), running.next()).await {
            Either::Left((answer, _)) => return answer,
            Either::Right((Some(one), _)) => done.push(one),
            Either::Right((None, _)) => return work.await,
        }
    }
}

/// The outcome of a record in this run.
#[derive(Clone)]
pub(crate) enum RecordOutcome {
    Done(Outcome),
    Suspended(Box<Suspended>),
}

/// Records that are run concurrently.
struct Batch {
    /// Still to begin.
    waiting: Peekable<IntoIter<u32>>,
    /// The outcomes of those that have ended.
    fresh: Vec<(u32, RecordOutcome)>,
    /// The number of these that are saved.
    kept: usize,
    /// The number of parts that are stored.
    parts: u32,
}

/// One run over a chunk.
pub(crate) struct Run<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) registry: &'a Registry,
    pub(crate) job: &'a Job,
    pub(crate) chunk: &'a Chunk,
    pub(crate) number: u32,
    /// Names this run's parts; sorts by time.
    pub(crate) id: String,
    /// The end of every record's time.
    pub(crate) until: Timestamp,
    /// The most time for one record: a fresh invocation must be able to begin some.
    pub(crate) longest: Duration,
    pub(crate) calls: Calls,
    /// The time of the next poll, by the previous run.
    pub(crate) poll_at: Option<Timestamp>,
    /// Signs the URLs at which upstreams may leave answers. `None` where none of this type can, or
    /// where this deployment has no address from outside.
    pub(crate) callback_key: Option<[u8; KEY_BYTES]>,
    /// Earlier answers, where any are kept.
    pub(crate) cache: Option<Arc<Cache>>,
}

impl Run<'_> {
    fn len(&self) -> u32 {
        u32::try_from(self.chunk.records.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn missing(&self, finished: &BTreeMap<u32, Outcome>) -> Vec<u32> {
        (0..self.len())
            .filter(|at| !finished.contains_key(at))
            .collect()
    }

    /// Returns when the first of the missing records can go on: now, unless all of them wait for
    /// upstreams.
    pub(crate) fn next_at(&self, known: &ChunkProgress, status: Status) -> Timestamp {
        let now = self.ports.clock.now();
        let missing = self.missing(&known.finished);
        missing
            .into_iter()
            .map(|at| self.goes_on_at(at, known, status))
            .min()
            .unwrap_or(now)
    }

    /// Returns when a missing record can go on. A poll without an answer was not stored: the
    /// chunk's next poll, which was, stands for it.
    fn goes_on_at(&self, at: u32, known: &ChunkProgress, status: Status) -> Timestamp {
        let now = self.ports.clock.now();
        let Some(suspended) = known.suspended.get(&at) else {
            return now;
        };
        let (tried, ends) = (
            known.tried.get(&at),
            matches!(status, Status::Canceling | Status::Expiring),
        );
        if let Some(callbacks_seen) = tried {
            // Several posts are read one by one, unless the first could not be.
            let more = suspended.callbacks_seen() > *callbacks_seen
                && self.posted(at, suspended).is_some();
            if more { now } else { suspended.resume_at() }
        } else if ends || self.posted(at, suspended).is_some() {
            now
        } else {
            suspended.resume_at().max(self.poll_at.unwrap_or(now))
        }
    }

    /// Returns the first post, not yet read, of the upstream that a record waits for.
    fn posted(&self, at: u32, suspended: &Suspended) -> Option<&serde_json::Value> {
        self.calls
            .get(&(at, suspended.provider().to_owned()))?
            .get(suspended.callbacks_seen())
    }

    fn record(&self, at: u32) -> Option<&Record> {
        self.chunk.records.get(usize::try_from(at).ok()?)
    }

    /// Returns the most time that a record may take.
    fn limit(&self) -> Duration {
        let kind = self.registry.kind(&self.job.spec.kind);
        kind.map_or(self.longest, RecordType::record_timeout)
            .min(self.longest)
    }

    /// Returns the latest time for a record to begin, so that its whole limit fits.
    fn begin_until(&self) -> Timestamp {
        self.until.minus(self.limit())
    }

    /// Returns the outcome of a record that is not run, if it is not.
    fn not_run(&self, at: u32, status: Status) -> Option<Outcome> {
        if let Some(why) = &self.job.spec.unconfigured {
            return Some(Outcome::failed("provider_unconfigured", why));
        }
        if at >= self.chunk.funded {
            let what = if self.job.spec.short_of_credits {
                "the credits there were"
            } else {
                "the job's max_credits"
            };
            let detail = format!("{what} went to the records before this one");
            let error = OutcomeError::new("budget_exhausted", detail);
            return Some(Outcome::without_data(OutcomeStatus::Skipped, Some(error)));
        }
        match status {
            Status::Canceling => Some(Outcome::without_data(OutcomeStatus::Canceled, None)),
            Status::Expiring => Some(Outcome::failed(
                "job_expired",
                "the job did not end within its run limit",
            )),
            _ => None,
        }
    }

    /// Asks the waterfall. A run may have died after its request, and the upstream posted the
    /// answer. That post is read as soon as the request is made again: it may not be posted a
    /// second time.
    async fn ask(&self, at: u32, suspended: Option<Suspended>) -> RecordOutcome {
        let taken = suspended.as_ref().is_some_and(Suspended::is_taken);
        match self.ask_once(at, suspended).await {
            RecordOutcome::Suspended(now)
                if !taken && now.is_taken() && self.posted(at, &now).is_some() =>
            {
                self.ask_once(at, Some(*now)).await
            }
            record_outcome => record_outcome,
        }
    }

    /// Asks the waterfall, within the record's limit and the run's. A panic in a provider costs its
    /// record alone.
    async fn ask_once(&self, at: u32, suspended: Option<Suspended>) -> RecordOutcome {
        let (Some(record), Some(waterfall)) = (
            self.record(at),
            self.registry.waterfall(&self.job.spec.kind),
        ) else {
            return RecordOutcome::Done(Outcome::failed(
                "provider_unconfigured",
                format!(
                    "type {} is not in this deployment's providers.toml",
                    self.job.spec.kind
                ),
            ));
        };
        if suspended.is_none()
            && let Some(outcome) = self.names_none_configured(waterfall)
        {
            return RecordOutcome::Done(outcome);
        }
        let limit = self.limit().min(self.until.since(self.ports.clock.now()));
        let ports = self.provider_ports();
        let suspended = suspended.map(|suspended| {
            let posted = self.posted(at, &suspended).cloned();
            (suspended, posted)
        });
        let (key, base) = (self.callback_key, self.ports.public_url.as_deref());
        let url = key.zip(base).map(|(key, base)| {
            move |provider: &str| {
                let provider = provider.to_owned();
                CallbackFor {
                    job: self.job.spec.id.clone(),
                    chunk: self.number,
                    at,
                    provider,
                }
                .url(base, &key)
            }
        });
        let request = Request {
            input: &record.input,
            limit,
            order: self.job.spec.providers.as_deref(),
            key: &format!("{}/{}", self.job.spec.id, self.chunk.first + at),
            callback: url
                .as_ref()
                .map(|url| url as &(dyn Fn(&str) -> String + Sync)),
            cache: self.cache.as_deref(),
        };
        let asked = AssertUnwindSafe(waterfall.run(&request, suspended, &ports)).catch_unwind();
        RecordOutcome::Done(
            match within(self.ports.clock.as_ref(), limit, asked).await {
                Some(Ok(WaterfallOutcome::Done(outcome))) => self.bounded(outcome),
                Some(Ok(WaterfallOutcome::Suspended(suspended))) => {
                    waterfall
                        .tell(&suspended, self.until.since(self.ports.clock.now()), &ports)
                        .await;
                    return RecordOutcome::Suspended(suspended);
                }
                Some(Err(_)) => Outcome::failed(
                    "internal_error",
                    "a provider broke on this record; the log has the cause",
                ),
                None => Outcome::failed(
                    "deadline_exceeded",
                    format!("no provider answered within {} s", limit.as_secs()),
                ),
            },
        )
    }

    /// Returns the outcome of every record where the job names providers and this deployment has
    /// none of them.
    fn names_none_configured(&self, waterfall: &Waterfall) -> Option<Outcome> {
        let known = |name: &String| {
            waterfall
                .kind()
                .providers()
                .any(|provider| provider == name)
        };
        let order = self.job.spec.providers.as_ref()?;
        if order.iter().any(known) {
            return None;
        }
        let (names, kind) = (order.join(", "), &self.job.spec.kind);
        Some(Outcome::failed(
            "provider_unconfigured",
            format!(
                "type {kind} has none of the providers that the job names in this deployment: \
                 {names}"
            ),
        ))
    }

    fn provider_ports(&self) -> providers::Ports {
        providers::Ports {
            http: self.ports.http.clone(),
            dns: self.ports.dns.clone(),
            assets: self.ports.assets.clone(),
            clock: self.ports.clock.clone(),
            entropy: self.ports.entropy.clone(),
            shared: Some(self.ports.store.clone()),
            seen: Some(Seen::new(
                self.ports.store.clone(),
                self.job.spec.tenant.clone(),
            )),
            guard: None,
        }
    }

    /// Limits an outcome to what can be stored and read back, and to the price reserved at submit,
    /// whatever `providers.toml` says by now.
    fn bounded(&self, outcome: Outcome) -> Outcome {
        if outcome.data.values().any(|value| depth(value) > MAX_DEPTH) {
            return Outcome::failed(
                "outcome_too_deep",
                format!("a provider's answer nests deeper than {MAX_DEPTH} levels"),
            );
        }
        Outcome {
            credits: outcome.credits.min(self.job.spec.price),
            ..outcome
        }
    }

    /// Reads the job's status, while it runs.
    async fn status(&self) -> Result<Status, StepError> {
        let meta = self.ports.store.get(&meta_key(&self.job.spec.id)).await?;
        // An erased job counts as canceled: no more providers are asked for it.
        Ok(meta
            .as_ref()
            .and_then(read_status)
            .map_or(Status::Canceling, |status| {
                if status.is_live() {
                    status
                } else {
                    Status::Canceling
                }
            }))
    }

    /// Runs what is missing, as many records at once as the type allows. A record begins only where
    /// the time left covers its whole limit, so that no answer is paid for and then cut off.
    /// Outcomes are saved after a while though others still run: they can be shown, and are not
    /// bought again after a crash. What has finished when time runs out is saved too, and so are
    /// suspended records.
    pub(crate) async fn run_concurrent(&self, known: &mut ChunkProgress) -> Result<(), StepError> {
        let bound = self
            .registry
            .kind(&self.job.spec.kind)
            .map_or(1, RecordType::concurrency);
        let (mut status, mut checked) = (self.job.status, self.ports.clock.now());
        let ready = |at: &u32| self.goes_on_at(*at, known, status) <= self.ports.clock.now();
        let ready: Vec<u32> = self
            .missing(&known.finished)
            .into_iter()
            .filter(ready)
            .collect();
        let mut batch = Batch {
            waiting: ready.into_iter().peekable(),
            fresh: Vec::new(),
            kept: 0,
            parts: 0,
        };
        let mut running = FuturesUnordered::new();
        let (mut keep_at, mut noted) = (None, 0);
        loop {
            let now = self.ports.clock.now();
            if batch.waiting.peek().is_some() && now.since(checked) >= CANCEL_CHECK {
                // A failed read must not lose answers already paid for.
                status = beside(&mut running, &mut batch.fresh, self.status())
                    .await
                    .unwrap_or(status);
                checked = now;
            }
            if batch.fresh.len() > noted {
                keep_at.get_or_insert(self.ports.clock.now().plus(KEEP_AFTER));
            }
            while running.len() < bound
                && let Some(at) = self.next_to_ask(&mut batch, status)
            {
                let suspended = known.suspended.get(&at).cloned();
                running.push(async move { (at, self.ask(at, suspended).await) });
            }
            noted = batch.fresh.len();
            let next = match keep_at {
                Some(keep_at) if !running.is_empty() => {
                    let left = Timestamp::since(keep_at, self.ports.clock.now());
                    within(self.ports.clock.as_ref(), left, running.next()).await
                }
                _ => Some(running.next().await),
            };
            match next {
                Some(Some(done)) => batch.fresh.push(done),
                Some(None) => break,
                None => {
                    self.keep_early(&mut running, &mut batch, known).await;
                    keep_at = None;
                }
            }
        }
        drop(running);
        self.checkpoint_rest(&mut batch, known).await?;
        for (at, record_outcome) in batch.fresh {
            known.learn(at, record_outcome);
        }
        Ok(())
    }

    /// Returns the next waiting record that a provider is to be asked about; `None` if none is left,
    /// or no time. A record that is not run gets its outcome at once.
    fn next_to_ask(&self, batch: &mut Batch, status: Status) -> Option<u32> {
        loop {
            let at = *batch.waiting.peek()?;
            if let Some(outcome) = self.not_run(at, status) {
                batch.fresh.push((at, RecordOutcome::Done(outcome)));
                batch.waiting.next();
            } else if self.ports.clock.now() <= self.begin_until() {
                return batch.waiting.next();
            } else {
                return None;
            }
        }
    }

    /// Saves what has finished while others go on. Nothing depends on it: where it fails, these
    /// outcomes are saved with the next.
    async fn keep_early(
        &self,
        running: &mut (impl Stream<Item = (u32, RecordOutcome)> + Unpin),
        batch: &mut Batch,
        known: &ChunkProgress,
    ) {
        let these = batch.fresh[batch.kept..].to_vec();
        let put = self.checkpoint(&these, known, &mut batch.parts);
        match beside(running, &mut batch.fresh, put).await {
            Ok(()) => batch.kept += these.len(),
            Err(error) => tracing::warn!(error = %error, "outcomes not saved early"),
        }
    }

    /// Saves the rest, unless every record has finished: then they are in the result.
    async fn checkpoint_rest(
        &self,
        batch: &mut Batch,
        known: &ChunkProgress,
    ) -> Result<(), StepError> {
        let done = |(_, record_outcome): &&(u32, RecordOutcome)| {
            matches!(record_outcome, RecordOutcome::Done(_))
        };
        let done = batch.fresh.iter().filter(done).count();
        if known.finished.len() + done < self.chunk.records.len() {
            let rest = &batch.fresh[batch.kept..];
            self.checkpoint(rest, known, &mut batch.parts).await?;
        }
        Ok(())
    }

    /// Runs what is missing one record after the other. Each is marked before it begins and saved
    /// when it has ended, so that a record that takes the process down is found out and costs no
    /// other record its outcome.
    pub(crate) async fn run_isolated(&self, known: &mut ChunkProgress) -> Result<(), StepError> {
        let begin_until = self.begin_until();
        for (nth, at) in self.missing(&known.finished).into_iter().enumerate() {
            // The outcome's part follows its mark's, which may be put once more.
            let mark = 2 * at;
            let status = self.status().await?;
            if self.goes_on_at(at, known, status) > self.ports.clock.now() {
                continue;
            }
            let record_outcome = match self.not_run(at, status) {
                Some(outcome) => RecordOutcome::Done(outcome),
                None if self.ports.clock.now() > begin_until => return Ok(()),
                None => {
                    self.put_part(
                        mark,
                        &Part {
                            begun: Some(at),
                            ..Part::default()
                        },
                    )
                    .await?;
                    // Writing the mark took the record's time. The next run has more, unless it
                    // would begin with the same record, and then most of it must be left.
                    let left = self.until.since(self.ports.clock.now());
                    if nth > 0 && self.ports.clock.now() > begin_until || left < self.limit() / 2 {
                        self.put_part(mark, &Part::default()).await?;
                        return Ok(());
                    }
                    let record_outcome = self.ask(at, known.suspended.get(&at).cloned()).await;
                    let part = match &record_outcome {
                        RecordOutcome::Done(outcome) => Part {
                            outcomes: vec![(at, outcome.clone())],
                            ..Part::default()
                        },
                        RecordOutcome::Suspended(suspended) => Part {
                            suspended: vec![(at, (**suspended).clone())],
                            ..Part::default()
                        },
                    };
                    self.put_part(mark + 1, &part).await?;
                    record_outcome
                }
            };
            known.learn(at, record_outcome);
        }
        Ok(())
    }
}
