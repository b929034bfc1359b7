//! Sums of the table's changes so far: ledgers, and the facts of every time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use shared::domain::callback::CallbackFor;
use shared::domain::chunk::shard_count;
use shared::domain::delivery::DeliveryState;
use shared::domain::ids::{DeliveryId, JobId, TenantId};
use shared::domain::job::{Job, Status};
use shared::domain::progress::Progress;
use shared::domain::time::Timestamp;
use shared::ports::{Item, Key};
use shared::schema::{
    BALANCE, DONE, STATE, USED, credits_key, get_s, get_set, progress_key, read_chunks,
};

use super::steps::{Moment, STEPS, head, is_meta, job_of, number};
use crate::harness::Version;
use crate::harness::upstream::Upstream;
use crate::sim::{Changed, SimStore};

/// The sums of the steps so far.
#[derive(Debug, Default)]
pub struct Steps {
    ledgers: BTreeMap<TenantId, Ledger>,
    past: Past,
}

/// A tenant's credits as its live jobs account for them.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The operator's grants.
    pub(super) granted: i64,
    /// The reservations of live jobs.
    pub(super) reserved: i64,
    /// The chunks of live jobs.
    pub(super) chunks: i64,
}

impl Steps {
    /// Checks the changes of one step. Returns the broken invariants, each line beginning with its
    /// name.
    pub fn see(
        &mut self,
        store: &SimStore,
        upstream: &Upstream,
        at: Timestamp,
        changes: &[Changed],
    ) -> Vec<String> {
        if changes.is_empty() {
            return Vec::new();
        }
        self.account(store, changes);
        self.past.see(store, at, changes);
        if !upstream.is_idle() {
            self.past.see_suspended(at, changes);
        }
        let moment = Moment {
            store,
            at,
            changes,
            ledgers: &self.ledgers,
            upstream,
        };
        STEPS
            .iter()
            .filter_map(|(name, step)| step(&moment).err().map(|why| format!("{name}: {why}")))
            .collect()
    }

    fn account(&mut self, store: &SimStore, changes: &[Changed]) {
        let mut granted = BTreeSet::new();
        for changed in changes {
            if is_meta(&changed.key) {
                let [before, after] =
                    [&changed.before, &changed.after].map(|item| head(item.as_deref()));
                for (job, sign) in before
                    .map(|job| (job, -1))
                    .into_iter()
                    .chain(after.map(|job| (job, 1)))
                {
                    if job.status.is_live() {
                        let ledger = self.ledgers.entry(job.spec.tenant).or_default();
                        ledger.reserved +=
                            sign * i64::try_from(job.spec.reserved).unwrap_or(i64::MAX);
                        ledger.chunks += sign * i64::from(job.spec.chunks);
                    }
                }
            }
            let new = changed.before.is_none();
            // A grant leaves a mark under its own key, which is not a job's.
            let mark = changed
                .after
                .as_ref()
                .is_some_and(|after| new && get_s(after, "job").is_none());
            if let Some(tenant) = changed.key.pk.strip_prefix("TENANT#").filter(|_| new) {
                granted.extend(TenantId::parse(tenant));
            } else if let Some((tenant, _)) = changed
                .key
                .pk
                .strip_prefix("IDEM#")
                .and_then(|r| r.split_once('#'))
                && mark
            {
                granted.extend(TenantId::parse(tenant));
            }
        }
        for tenant in granted {
            let ledger = self.ledgers.entry(tenant.clone()).or_default();
            if let Some(credits) = store.peek(&credits_key(&tenant)) {
                ledger.granted =
                    number(&credits, BALANCE) + number(&credits, USED) + ledger.reserved;
            }
        }
    }

    /// The credits that an operator gave this tenant so far.
    pub fn granted(&self, tenant: &TenantId) -> i64 {
        self.ledgers.get(tenant).map_or(0, |ledger| ledger.granted)
    }

    /// Returns the facts of every time.
    pub fn past(&self) -> &Past {
        &self.past
    }
}

/// The values of something, each with the time from which it had it.
#[derive(Debug)]
struct History<T>(Vec<(Timestamp, T)>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> History<T> {
    fn note(&mut self, at: Timestamp, value: T) {
        self.0.push((at, value));
    }

    /// Returns every value from one moment to another. A value that changed in the first
    /// millisecond had both values then.
    fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = &T> {
        let first = self.0.iter().rposition(|(at, _)| *at < from).unwrap_or(0);
        self.0[first..]
            .iter()
            .take_while(move |(at, _)| *at <= to)
            .map(|(_, value)| value)
    }
}

/// The facts of every time that answers to clients depend on.
#[derive(Debug, Default)]
pub struct Past {
    balances: BTreeMap<TenantId, History<i64>>,
    statuses: BTreeMap<JobId, History<Status>>,
    /// Each job before its erasure.
    jobs: BTreeMap<JobId, Job>,
    /// The cost of the records of each erased job that were done before.
    erased: BTreeMap<JobId, (TenantId, RangeInclusive<i64>)>,
    deliveries: BTreeMap<DeliveryId, History<bool>>,
    superseded: BTreeSet<DeliveryId>,
    rotations: BTreeMap<TenantId, Vec<Timestamp>>,
    /// The time at which each question's upstream token was first stored.
    upstream_tokens: BTreeMap<CallbackFor, Timestamp>,
    /// The count of records stored as waiting for a lease.
    lease_waits: u64,
}

impl Past {
    fn see(&mut self, store: &SimStore, at: Timestamp, changes: &[Changed]) {
        for (n, changed) in changes.iter().enumerate() {
            let (key, after) = (&changed.key, changed.after.as_deref());
            match (key.sk.as_str(), after) {
                ("META", Some(item)) => {
                    let Some(job) = head(Some(item)) else {
                        continue;
                    };
                    let id = job.spec.id.clone();
                    self.statuses
                        .entry(id.clone())
                        .or_default()
                        .note(at, job.status);
                    if job.status != Status::Deleted {
                        self.jobs.insert(id, job);
                    } else if let Some(was) =
                        head(changed.before.as_deref()).filter(|was| was.status != Status::Deleted)
                    {
                        let later = &changes[n..];
                        let cost = done_before(store, &was, changed.write, later);
                        self.erased.insert(id, (job.spec.tenant, cost));
                    }
                }
                ("CREDITS", Some(item)) => {
                    let tenant = key.pk.strip_prefix("TENANT#").and_then(TenantId::parse);
                    let Some(tenant) = tenant else { continue };
                    self.balances
                        .entry(tenant)
                        .or_default()
                        .note(at, number(item, BALANCE));
                }
                ("WEBHOOK", Some(item)) => {
                    let rotation = |item: &Item| get_s(item, "rotation").map(str::to_owned);
                    let tenant = key.pk.strip_prefix("SECRET#").and_then(TenantId::parse);
                    if let Some(tenant) = tenant
                        && rotation(item) != changed.before.as_deref().and_then(rotation)
                    {
                        self.rotations.entry(tenant).or_default().push(at);
                    }
                }
                (sk, after) => {
                    let n = sk.strip_prefix("DELIVERY#").and_then(|n| n.parse().ok());
                    let Some((job, n)) = job_of(key).zip(n) else {
                        continue;
                    };
                    let id = DeliveryId { job, n };
                    if after.is_some() != changed.before.is_some() {
                        self.deliveries
                            .entry(id.clone())
                            .or_default()
                            .note(at, after.is_some());
                    }
                    let is_superseded = |item: &Item| {
                        let over = get_s(item, STATE) == Some(DeliveryState::Exhausted.as_str());
                        over && get_s(item, "reason") == Some("superseded")
                    };
                    if after.is_some_and(is_superseded) {
                        self.superseded.insert(id);
                    }
                }
            }
        }
    }

    /// Records the checkpoints of suspended records.
    fn see_suspended(&mut self, at: Timestamp, changes: &[Changed]) {
        for changed in changes {
            let Some(item) = changed
                .after
                .as_deref()
                .filter(|item| item.key.sk.contains("#PART#"))
            else {
                continue;
            };
            let Some(job) = job_of(&changed.key) else {
                continue;
            };
            for (chunk, state) in read_chunks(std::slice::from_ref(item)).unwrap_or_default() {
                for (place, suspended) in state.suspended {
                    let provider = suspended.provider().to_owned();
                    let of = CallbackFor {
                        job: job.clone(),
                        chunk,
                        at: place,
                        provider,
                    };
                    let stored = serde_json::to_value(&suspended).unwrap_or_default();
                    if stored["ticket"].is_null() {
                        self.lease_waits += 1;
                    } else {
                        self.upstream_tokens.entry(of).or_insert(at);
                    }
                }
            }
        }
    }

    /// Returns the time at which this question's upstream token was first stored.
    pub fn upstream_token(&self, of: &CallbackFor) -> Option<Timestamp> {
        self.upstream_tokens.get(of).copied()
    }

    /// Counts the records stored as waiting for an answer, and the times that one was stored as
    /// waiting for a lease.
    pub fn suspended(&self) -> (usize, u64) {
        (self.upstream_tokens.len(), self.lease_waits)
    }

    /// Returns the time at which a job was over, ended or erased.
    pub fn over_at(&self, job: &JobId) -> Option<Timestamp> {
        let known = &self.statuses.get(job)?.0;
        known
            .iter()
            .find(|(_, status)| !status.is_live())
            .map(|(at, _)| *at)
    }

    /// Returns the balances that a tenant had in this time.
    pub fn balances(
        &self,
        tenant: &TenantId,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = i64> {
        self.balances
            .get(tenant)
            .into_iter()
            .flat_map(move |known| known.between(from, to))
            .copied()
    }

    /// Returns the statuses that a job had in this time.
    pub fn statuses(
        &self,
        job: &JobId,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = Status> {
        self.statuses
            .get(job)
            .into_iter()
            .flat_map(move |known| known.between(from, to))
            .copied()
    }

    /// Returns a job as it is, or as it was before it was erased.
    pub fn job(&self, job: &JobId) -> Option<&Job> {
        self.jobs.get(job)
    }

    /// Returns true if the delivery was missing at some moment in this time.
    pub fn lacked(&self, delivery: &DeliveryId, from: Timestamp, to: Timestamp) -> bool {
        let Some(known) = self.deliveries.get(delivery) else {
            return true;
        };
        let begun = known.0.first().is_none_or(|(at, _)| *at >= from);
        begun || known.between(from, to).any(|there| !there)
    }

    /// Returns every delivery that ever existed.
    pub(super) fn ever_delivered(&self) -> impl Iterator<Item = &DeliveryId> {
        self.deliveries.keys()
    }

    /// Returns true if a newer job's event made this one void.
    pub fn was_superseded(&self, delivery: &DeliveryId) -> bool {
        self.superseded.contains(delivery)
    }

    /// Counts the replacements of a tenant's webhook secret in this time.
    pub fn rotations(&self, tenant: &TenantId, from: Timestamp, to: Timestamp) -> usize {
        self.rotations.get(tenant).map_or(0, |all| {
            all.iter().filter(|at| (from..=to).contains(at)).count()
        })
    }

    /// Returns the cost of a tenant's erased jobs: the results that were done when they were
    /// erased. The least is the cost known to the version before, which cannot read every element
    /// of progress of a live job.
    pub fn cost_of_erased(&self, tenant: &TenantId) -> RangeInclusive<i64> {
        let own = self.erased.values().filter(|(of, _)| of == tenant);
        own.fold(0..=0, |sum, (_, cost)| {
            sum.start() + cost.start()..=sum.end() + cost.end()
        })
    }
}

/// Returns the cost of the stored results of the chunks that were done when a job was erased, by
/// the write of that number: as the version before knew it, and the true one. `later` are the
/// changes from that one on.
fn done_before(store: &SimStore, job: &Job, write: u64, later: &[Changed]) -> RangeInclusive<i64> {
    let prefix = format!("JOB#{}", job.spec.id);
    let mine = |key: &Key| {
        key.pk
            .strip_prefix(&prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
    };
    let items = store.items().into_iter().filter(|item| mine(&item.key));
    let mut then: BTreeMap<Key, Item> = items.map(|item| (item.key.clone(), item)).collect();
    // Back to that write, which itself changes only the head.
    for changed in later
        .iter()
        .rev()
        .filter(|changed| changed.write > write && mine(&changed.key))
    {
        match &changed.before {
            Some(before) => drop(then.insert(changed.key.clone(), Item::clone(before))),
            None => drop(then.remove(&changed.key)),
        }
    }
    let shards = (0..shard_count(job.spec.chunks))
        .filter_map(|shard| then.get(&progress_key(&job.spec.id, shard)));
    let elements: Vec<&String> = shards.flat_map(|item| get_set(item, DONE)).collect();
    let cost = |chunk: u32| {
        let own = then.values().filter(|item| {
            let parts: Vec<&str> = item.key.sk.split('#').collect();
            parts[0] == "CHUNK" && parts.get(1).and_then(|n| n.parse().ok()) == Some(chunk)
        });
        let own: Vec<Item> = own.cloned().collect();
        let result = read_chunks(&own)
            .ok()
            .and_then(|mut chunks| chunks.remove(&chunk)?.result);
        result
            .unwrap_or_default()
            .iter()
            .map(|outcome| i64::from(outcome.credits))
            .sum::<i64>()
    };
    // The cost of an ended job was settled at its end, by a version that read all of its progress.
    let over = !job.status.is_live();
    let [all, known] = [
        elements.clone(),
        elements
            .into_iter()
            .filter(|e| Version::Previous.reads_progress(e))
            .collect(),
    ]
    .map(Progress::of)
    .map(|done| {
        (0..job.spec.chunks)
            .filter(|chunk| over || done.has(*chunk))
            .map(cost)
            .sum()
    });
    known..=all
}
