//! The indexes: `due`, which is what the sweep looks at, and `by_tenant`, the list of a tenant's jobs.

use crate::domain::ids::{DeliveryId, JobId, TenantId};
use crate::ports::Key;

/// Shards of the `due` index, so that no single index partition takes every write.
pub const DUE_SHARDS: u8 = 8;
pub const DUE: &str = "due";
pub const DUE_SHARD: &str = "due_shard";
pub const WINDOW: &str = "window_ms";

pub fn tenant_jobs(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}")
}

/// The shard of the `due` index that a job's items are in.
pub fn due_shard(job: &JobId) -> String {
    let byte = job
        .as_str()
        .bytes()
        .fold(0_u8, |sum, b| sum.wrapping_mul(31).wrapping_add(b));
    due_shard_name(byte % DUE_SHARDS)
}

pub fn due_shard_name(n: u8) -> String {
    format!("DUE#{n:02}")
}

/// What an item of the `due` index belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DueItem {
    Job(JobId),
    Delivery(DeliveryId),
}

/// Reads the key of an item of the `due` index.
pub fn due_item(key: &Key) -> Option<DueItem> {
    let job = JobId::parse(key.pk.strip_prefix("JOB#")?)?;
    if key.sk == "META" {
        return Some(DueItem::Job(job));
    }
    let n = key.sk.strip_prefix("DELIVERY#")?.parse().ok()?;
    Some(DueItem::Delivery(job.delivery(n)))
}

/// The job of an item of the `by_tenant` index.
pub fn listed_job(key: &Key) -> Option<JobId> {
    JobId::parse(key.pk.strip_prefix("JOB#")?)
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
    fn due_keys_are_read_back_and_strangers_are_not() {
        let id = job().delivery(3);
        assert_eq!(due_item(&meta_key(&job())), Some(DueItem::Job(job())));
        assert_eq!(due_item(&delivery_key(&id)), Some(DueItem::Delivery(id)));
        assert_eq!(due_item(&credits_key(&TenantId::parse("t").unwrap())), None);
        assert_eq!(due_item(&progress_key(&job(), 0)), None);
    }
}
