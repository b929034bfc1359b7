//! The two global secondary indexes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shared::domain::time::Timestamp;
use shared::ports::{Item, Key, Value};

/// The position of an item within its part of an index.
pub(super) trait Position: Ord + Clone {
    /// The attributes that the index holds besides the item's key.
    const PROJECTED: &'static [&'static str];

    /// The item's part of the index and its position there; `None` where the item is not in this
    /// index.
    fn of(item: &Item) -> Option<(String, Self)>;
}

/// A position in `by_tenant`: the job's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ByJob(pub String);

/// A position in `due`: a time in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ByTime(pub i64);

impl Position for ByJob {
    const PROJECTED: &'static [&'static str] = &["tenant_jobs", "job_id", "status"];

    fn of(item: &Item) -> Option<(String, Self)> {
        match (
            item.attributes.get("tenant_jobs")?,
            item.attributes.get("job_id")?,
        ) {
            (Value::S(tenant), Value::S(job)) => Some((tenant.clone(), Self(job.clone()))),
            _ => None,
        }
    }
}

impl Position for ByTime {
    const PROJECTED: &'static [&'static str] = &["due_shard", "due"];

    fn of(item: &Item) -> Option<(String, Self)> {
        match (
            item.attributes.get("due_shard")?,
            item.attributes.get("due")?,
        ) {
            (Value::S(shard), Value::N(at)) => Some((shard.clone(), Self(*at))),
            _ => None,
        }
    }
}

/// An index: by its hash attribute, then by position, then by key. It follows the table with a
/// delay, item by item in the order of their writes.
#[derive(Debug)]
pub(super) struct Index<P> {
    entries: BTreeMap<String, BTreeMap<(P, Key), Arc<Item>>>,
    /// The place where each item is shown.
    shown: BTreeMap<Key, (String, P)>,
    /// The changes still to show, by their time.
    coming: BTreeMap<Place, (Key, Option<Arc<Item>>)>,
    /// The last change still to show of an item.
    last: BTreeMap<Key, Place>,
    follows: u64,
}

/// The time to show a change, and its order at that time.
type Place = (Timestamp, u64);

impl<P> Default for Index<P> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            shown: BTreeMap::new(),
            coming: BTreeMap::new(),
            last: BTreeMap::new(),
            follows: 0,
        }
    }
}

impl<P: Position> Index<P> {
    /// Follows a write of the table `lag` after `now`, and counts the writes of the index: a new,
    /// changed or removed entry is one, one that moves is two. `lag` is called where there is
    /// something to follow.
    pub(super) fn follow(
        &mut self,
        before: Option<&Arc<Item>>,
        after: Option<&Arc<Item>>,
        now: Timestamp,
        lag: impl FnOnce() -> Duration,
    ) -> u64 {
        let Some(key) = before.or(after).map(|item| &item.key) else {
            return 0;
        };
        let old = before.and_then(|item| Some((P::of(item)?, item)));
        let new = after.and_then(|item| Some((P::of(item)?, item)));
        let cost = match (&old, &new) {
            (None, None) => 0,
            (Some((from, _)), Some((to, _))) if from != to => 2,
            (Some((_, old)), Some((_, new))) => u64::from(
                P::PROJECTED
                    .iter()
                    .any(|name| old.attributes.get(*name) != new.attributes.get(*name)),
            ),
            _ => 1,
        };
        if cost == 0 {
            return 0;
        }
        let new = new.map(|(_, item)| Arc::clone(item));
        let last = self.last.get(key).map(|(at, _)| *at);
        let at = last.unwrap_or(now).max(now.plus(lag()));
        if at <= now && last.is_none() {
            self.show(key, new);
        } else {
            self.follows += 1;
            self.coming.insert((at, self.follows), (key.clone(), new));
            self.last.insert(key.clone(), (at, self.follows));
        }
        cost
    }

    /// Shows the changes that are due by now.
    pub(super) fn catch_up(&mut self, now: Timestamp) {
        while let Some(entry) = self
            .coming
            .first_entry()
            .filter(|entry| entry.key().0 <= now)
        {
            let (at, (key, item)) = entry.remove_entry();
            if self.last.get(&key) == Some(&at) {
                self.last.remove(&key);
            }
            self.show(&key, item);
        }
    }

    fn show(&mut self, key: &Key, item: Option<Arc<Item>>) {
        if let Some((hash, position)) = self.shown.remove(key)
            && let Some(part) = self.entries.get_mut(&hash)
        {
            part.remove(&(position, key.clone()));
        }
        if let Some(item) = item
            && let Some((hash, position)) = P::of(&item)
        {
            self.shown
                .insert(key.clone(), (hash.clone(), position.clone()));
            self.entries
                .entry(hash)
                .or_default()
                .insert((position, key.clone()), item);
        }
    }

    /// Returns one part of the index, in its order.
    pub(super) fn part(&self, hash: &str) -> impl DoubleEndedIterator<Item = (&P, &Arc<Item>)> {
        self.entries
            .get(hash)
            .into_iter()
            .flatten()
            .map(|((position, _), item)| (position, item))
    }

    /// Returns an item as the index shows it.
    pub(super) fn projection(item: &Item) -> Item {
        let kept = item
            .attributes
            .iter()
            .filter(|(name, _)| P::PROJECTED.contains(&name.as_str()));
        Item {
            key: item.key.clone(),
            attributes: kept
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }
}
