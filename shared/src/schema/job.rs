//! A job's head.

use std::time::Duration;

use super::due::{DUE, DUE_SHARD, WINDOW, due_shard, tenant_jobs};
use super::item::{
    Corrupt, EXPIRES_AT, OVER_AT, SPEC, UNSETTLED, get_json, get_n, get_s, get_set, json, key,
    millis, s, ttl,
};
use crate::domain::ids::JobId;
use crate::domain::job::{End, Job, Spec, Status};
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Change, Item, Key, Select, Value};

pub const STATUS: &str = "status";
pub const SHARDS_DONE: &str = "shards_done";
pub const STARTED_AT: &str = "started_at";
pub const SEEN: &str = "seen";
pub const END: &str = "end";
/// Of a job's head: the key that signs its callback URLs, where there are any.
pub const CALLBACK_KEY: &str = "callback_key";

pub fn meta_key(job: &JobId) -> Key {
    key(format!("JOB#{job}"), "META")
}

/// Everything under the job's own partition: head, progress, deliveries.
pub fn job_range(job: &JobId) -> Select {
    Select::Partition {
        pk: format!("JOB#{job}"),
        from: " ".into(),
        to: "~".into(),
    }
}

/// Everything under the job's own partition but its head: deliveries, and progress.
pub fn detail_ranges(job: &JobId) -> [Select; 2] {
    ["DELIVERY#", "PROGRESS#"].map(|kind| Select::Partition {
        pk: format!("JOB#{job}"),
        from: kind.to_owned(),
        to: format!("{kind}~"),
    })
}

/// The changes by which a head that is settled goes at its job's time.
pub(crate) fn settled(job: &Job) -> [Change; 2] {
    [
        Change::Set(EXPIRES_AT, Value::N(job.spec.expires_at.seconds())),
        Change::Remove(OVER_AT),
    ]
}

pub fn meta_item(job: &Job) -> Item {
    let mut attributes = Attributes::from([
        (SPEC.into(), s(json(&job.spec))),
        (STATUS.into(), s(job.status.as_str())),
        ("tenant_jobs".into(), s(tenant_jobs(&job.spec.tenant))),
        ("job_id".into(), s(job.spec.id.as_str())),
        (SEEN.into(), Value::N(i64::from(job.seen))),
        (WINDOW.into(), Value::N(millis(job.window))),
        (OVER_AT.into(), Value::N(job.spec.expires_at.seconds())),
        ttl(job.spec.expires_at.plus(UNSETTLED)),
    ]);
    if let Some(due) = job.due {
        attributes.insert(DUE.into(), Value::N(due.0));
        attributes.insert(DUE_SHARD.into(), s(due_shard(&job.spec.id)));
    }
    Item {
        key: meta_key(&job.spec.id),
        attributes,
    }
}

pub fn read_meta(item: &Item) -> Result<Job, Corrupt> {
    let spec: Spec = get_json(item, SPEC)?;
    let status = get_s(item, STATUS)
        .and_then(Status::parse)
        .ok_or(Corrupt(STATUS))?;
    let end: Option<End> = item
        .attributes
        .contains_key(END)
        .then(|| get_json(item, END))
        .transpose()?;
    Ok(Job {
        spec,
        status,
        started_at: get_n(item, STARTED_AT).map(Timestamp),
        end,
        due: get_n(item, DUE).map(Timestamp),
        seen: get_n(item, SEEN)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0),
        window: Duration::from_millis(
            get_n(item, WINDOW)
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or(60_000),
        ),
        shards_done: u32::try_from(get_set(item, SHARDS_DONE).count()).unwrap_or(u32::MAX),
    })
}
