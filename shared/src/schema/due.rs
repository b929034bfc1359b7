//! The indexes: `due`, which the sweep reads, and `by_tenant`, the list of a tenant's jobs.

use super::item::{get_n, s};
use crate::domain::ids::{DeliveryId, JobId, TenantId};
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Update, Value};

/// Shards of the `due` index, so that no single index partition takes every write.
pub const DUE_SHARDS: u8 = 8;
/// The time of the sweep's next check of an item, in milliseconds since the epoch.
pub const DUE: &str = "due";
/// The shard of the `due` index that an item is in.
pub const DUE_SHARD: &str = "due_shard";
/// The time from one check of the sweep to the next, in milliseconds.
pub(super) const WINDOW: &str = "window_ms";

/// Returns the partition of the `by_tenant` index with a tenant's jobs.
pub fn tenant_jobs(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}")
}

/// Returns the shard of the `due` index that a job's items are in.
pub fn due_shard(job: &JobId) -> String {
    let byte = job
        .as_str()
        .bytes()
        .fold(0_u8, |sum, b| sum.wrapping_mul(31).wrapping_add(b));
    due_shard_name(byte % DUE_SHARDS)
}

/// Returns the name of shard `n` of the `due` index.
pub fn due_shard_name(n: u8) -> String {
    format!("DUE#{n:02}")
}

/// The owner of an item of the `due` index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DueItem {
    /// A job's head.
    Job(JobId),
    /// A delivery.
    Delivery(DeliveryId),
}

/// Reads the key of an item of the `due` index; `None` where the key is not ours.
pub fn due_item(key: &Key) -> Option<DueItem> {
    let job = JobId::parse(key.pk.strip_prefix("JOB#")?)?;
    if key.sk == "META" {
        return Some(DueItem::Job(job));
    }
    let n = key.sk.strip_prefix("DELIVERY#")?.parse().ok()?;
    Some(DueItem::Delivery(job.delivery(n)))
}

/// Reads the job of an item of the `by_tenant` index; `None` where its key is not ours.
pub fn listed_job(key: &Key) -> Option<JobId> {
    JobId::parse(key.pk.strip_prefix("JOB#")?)
}

/// Sets the time of the sweep's next check of a job's item.
pub(super) fn due_at(job: &JobId, at: Timestamp) -> [Change; 2] {
    due_in(due_shard(job), at)
}

fn due_in(shard: String, at: Timestamp) -> [Change; 2] {
    [
        Change::Set(DUE, Value::N(at.0)),
        Change::Set(DUE_SHARD, s(shard)),
    ]
}

/// Takes an item out of the `due` index.
pub(super) fn not_due() -> [Change; 2] {
    [Change::Remove(DUE), Change::Remove(DUE_SHARD)]
}

/// Reads the time of the sweep's next check of an item.
pub(crate) fn read_due(item: &Item) -> Option<Timestamp> {
    get_n(item, DUE).map(Timestamp)
}

/// Makes other changes together with the time of the next check, on condition that `due` is
/// unchanged: of two sweeps only one goes on.
pub(super) fn move_due_with(
    mut changes: Vec<Change>,
    key: Key,
    read: Timestamp,
    next: [Change; 2],
) -> Update {
    changes.extend(next);
    Update {
        key,
        changes,
        condition: Some(Condition::Equals(DUE, Value::N(read.0))),
    }
}

/// Moves an item's next check to a time, on condition that `due` is unchanged.
pub(crate) fn move_due(key: Key, read: Timestamp, shard: String, at: Timestamp) -> Update {
    move_due_with(Vec::new(), key, read, due_in(shard, at))
}

/// Takes an item out of the `due` index, on condition that `due` is unchanged.
pub(crate) fn end_due(key: Key, read: Timestamp) -> Update {
    move_due_with(Vec::new(), key, read, not_due())
}

#[cfg(test)]
mod tests {
    use super::super::{credits_key, delivery_key, meta_key, progress_key};
    use super::*;
    use crate::domain::ids::TenantId;
    use crate::domain::time::Timestamp;

    fn job() -> JobId {
        JobId::new(Timestamp(1), [3; 10])
    }

    #[test]
    fn due_keys_are_read_back_and_others_are_not() {
        let id = job().delivery(3);
        assert_eq!(due_item(&meta_key(&job())), Some(DueItem::Job(job())));
        assert_eq!(due_item(&delivery_key(&id)), Some(DueItem::Delivery(id)));
        assert_eq!(due_item(&credits_key(&TenantId::parse("t").unwrap())), None);
        assert_eq!(due_item(&progress_key(&job(), 0)), None);
    }
}
