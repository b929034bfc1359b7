//! The two global secondary indexes.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared::ports::{Item, Key, Value};

/// Where an item stands within its part of an index.
pub(super) trait Position: Ord + Clone {
    /// The attributes that the index holds besides the item's key.
    const PROJECTED: &'static [&'static str];

    /// The item's part of the index and its position there; `None` where the item is not in this index.
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
        match (item.attributes.get("tenant_jobs")?, item.attributes.get("job_id")?) {
            (Value::S(tenant), Value::S(job)) => Some((tenant.clone(), Self(job.clone()))),
            _ => None,
        }
    }
}

impl Position for ByTime {
    const PROJECTED: &'static [&'static str] = &["due_shard", "due"];

    fn of(item: &Item) -> Option<(String, Self)> {
        match (item.attributes.get("due_shard")?, item.attributes.get("due")?) {
            (Value::S(shard), Value::N(at)) => Some((shard.clone(), Self(*at))),
            _ => None,
        }
    }
}

/// An index: by its hash attribute, then by position, then by key.
#[derive(Debug)]
pub(super) struct Index<P> {
    entries: BTreeMap<String, BTreeMap<(P, Key), Arc<Item>>>,
}

impl<P> Default for Index<P> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<P: Position> Index<P> {
    /// Follows a write of the table, and counts the writes of the index: a new, changed or removed entry is one, one that
    /// moves is two.
    pub(super) fn follow(&mut self, before: Option<&Arc<Item>>, after: Option<&Arc<Item>>) -> u64 {
        let old = before.and_then(|item| Some((P::of(item)?, item)));
        let new = after.and_then(|item| Some((P::of(item)?, item)));
        let cost = match (&old, &new) {
            (None, None) => return 0,
            (Some((from, _)), Some((to, _))) if from != to => 2,
            (Some((_, old)), Some((_, new))) => {
                u64::from(P::PROJECTED.iter().any(|name| old.attributes.get(*name) != new.attributes.get(*name)))
            }
            _ => 1,
        };
        if let Some(((hash, position), item)) = old {
            self.remove(&hash, position, item);
        }
        if let Some(((hash, position), item)) = new {
            self.entries.entry(hash).or_default().insert((position, item.key.clone()), Arc::clone(item));
        }
        cost
    }

    fn remove(&mut self, hash: &str, position: P, item: &Item) {
        if let Some(part) = self.entries.get_mut(hash) {
            part.remove(&(position, item.key.clone()));
            if part.is_empty() {
                self.entries.remove(hash);
            }
        }
    }

    /// What the index holds of one part, in its order.
    pub(super) fn part(&self, hash: &str) -> impl DoubleEndedIterator<Item = (&P, &Arc<Item>)> {
        self.entries.get(hash).into_iter().flatten().map(|((position, _), item)| (position, item))
    }

    /// What the index shows of an item.
    pub(super) fn projection(item: &Item) -> Item {
        let kept = item.attributes.iter().filter(|(name, _)| P::PROJECTED.contains(&name.as_str()));
        Item { key: item.key.clone(), attributes: kept.map(|(name, value)| (name.clone(), value.clone())).collect() }
    }
}
