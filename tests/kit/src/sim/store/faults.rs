//! Faults of a table that a small test does not see: indexes that lag, reads that are stale, items
//! that expire late, transactions that meet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use shared::domain::time::Timestamp;
use shared::ports::{Item, Key, Value};

use super::SimEntropy;

/// The faults of the table, off by default. Their times are drawn from a seed.
///
/// Source: Amazon `DynamoDB` developer guide, "read consistency", "global secondary indexes", "time
/// to live", "transaction conflict handling".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreFaults {
    /// The most by which an index shows a write later, each item's writes in their order.
    pub index_lag: Duration,
    /// The most by which a read of a partition without consistency is late.
    pub stale: Duration,
    /// The most by which an expired item is deleted late. `None`: never.
    pub expiry: Option<Duration>,
    /// The most for which a transaction locks its items before it takes effect; other writes of
    /// them meet a conflict.
    pub transaction: Duration,
}

impl StoreFaults {
    /// No faults.
    pub const NONE: Self = Self {
        index_lag: Duration::ZERO,
        stale: Duration::ZERO,
        expiry: None,
        transaction: Duration::ZERO,
    };
}

/// Draws a time up to this.
pub(super) fn some_of(dice: &SimEntropy, time: Duration) -> Duration {
    if time.is_zero() {
        return time;
    }
    let millis = usize::try_from(time.as_millis()).unwrap_or(usize::MAX - 1);
    Duration::from_millis(dice.below(millis + 1) as u64)
}

/// Earlier versions of items, for stale reads.
#[derive(Debug, Default)]
pub(super) struct History {
    versions: BTreeMap<Key, VecDeque<Version>>,
}

/// An earlier version of an item, with the time at which it was overwritten.
type Version = (Timestamp, Option<Arc<Item>>);

impl History {
    /// Notes what was overwritten at `now`, and forgets what no read sees any more.
    pub(super) fn retain(
        &mut self,
        key: &Key,
        before: Option<Arc<Item>>,
        now: Timestamp,
        egress: Duration,
    ) {
        let versions = self.versions.entry(key.clone()).or_default();
        versions.push_back((now, before));
        while versions
            .front()
            .is_some_and(|(until, _)| now.since(*until) > egress)
        {
            versions.pop_front();
        }
    }

    /// Returns the keys between these that have a past.
    pub(super) fn keys(&self, from: &Key, to: &Key) -> BTreeSet<Key> {
        self.versions
            .range(from..=to)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Returns an item as it was then; `now` is the current one.
    pub(super) fn at(
        &self,
        key: &Key,
        then: Timestamp,
        now: Option<&Arc<Item>>,
    ) -> Option<Arc<Item>> {
        let versions = self.versions.get(key).into_iter().flatten();
        match versions.into_iter().find(|(until, _)| *until > then) {
            Some((_, version)) => version.clone(),
            None => now.cloned(),
        }
    }
}

/// The planned deletions of items.
#[derive(Debug, Default)]
pub(super) struct Expiry {
    planned: BTreeSet<(Timestamp, Key)>,
    of: BTreeMap<Key, Timestamp>,
}

impl Expiry {
    /// Plans the deletion of an item that was written, up to `late` after its time.
    pub(super) fn plan(
        &mut self,
        key: &Key,
        item: Option<&Item>,
        late: Duration,
        dice: &SimEntropy,
    ) {
        if let Some(at) = self.of.remove(key) {
            self.planned.remove(&(at, key.clone()));
        }
        if let Some(Value::N(seconds)) = item.and_then(|item| item.attributes.get("expires_at")) {
            let at = Timestamp(seconds.saturating_mul(1000)).plus(some_of(dice, late));
            self.planned.insert((at, key.clone()));
            self.of.insert(key.clone(), at);
        }
    }

    /// Returns the next item whose time has come.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Key> {
        let (_, key) = self.planned.first().filter(|(at, _)| *at <= now)?.clone();
        self.planned.pop_first();
        self.of.remove(&key);
        Some(key)
    }
}
