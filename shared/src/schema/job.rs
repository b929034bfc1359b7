//! A job's head.

use std::time::Duration;

use super::due::{
    DUE, DUE_SHARD, WINDOW, due_at, due_shard, move_due_with, not_due, read_due, tenant_jobs,
};
use super::item::{
    Corrupt, OVER_AT, SPEC, UNSETTLED, expires, get_json, get_n, get_s, get_set, insert_with, json,
    key, millis, s, set, ttl,
};
use crate::domain::ids::JobId;
use crate::domain::job::{End, Job, Spec, Status};
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Change, Condition, Item, Key, Select, Update, Value, Write};

/// The job's status, by its name.
pub const STATUS: &str = "status";
const SHARDS_DONE: &str = "shards_done";
const STARTED_AT: &str = "started_at";
/// The number of chunks that were done at the sweep's last check.
const SEEN: &str = "seen";
/// The job's end, as JSON.
pub const END: &str = "end";
/// The partition of the `by_tenant` index that the job is listed in.
const TENANT_JOBS: &str = "tenant_jobs";
/// Of a job's head: the key that signs its callback URLs, where there are any.
pub const CALLBACK_KEY: &str = "callback_key";

/// Returns the key of a job's head.
pub fn meta_key(job: &JobId) -> Key {
    key(format!("JOB#{job}"), "META")
}

/// Selects everything under the job's own partition: head, progress, deliveries.
pub fn job_range(job: &JobId) -> Select {
    Select::Partition {
        pk: format!("JOB#{job}"),
        from: " ".into(),
        to: "~".into(),
    }
}

/// Selects everything under the job's own partition but its head: deliveries, and progress.
pub fn detail_ranges(job: &JobId) -> [Select; 2] {
    ["DELIVERY#", "PROGRESS#"].map(|kind| Select::Partition {
        pk: format!("JOB#{job}"),
        from: kind.to_owned(),
        to: format!("{kind}~"),
    })
}

/// Lets a settled head expire at its job's time.
fn settled(job: &Job) -> [Change; 2] {
    [expires(job.spec.expires_at), Change::Remove(OVER_AT)]
}

/// Makes the head of a new job.
pub fn meta_item(job: &Job) -> Item {
    let mut attributes = Attributes::from([
        (SPEC.into(), s(json(&job.spec))),
        (STATUS.into(), s(job.status.as_str())),
        (TENANT_JOBS.into(), s(tenant_jobs(&job.spec.tenant))),
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

/// Reads a job's head.
///
/// # Errors
/// [`Corrupt`] where it is not what a version of ours writes.
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
        due: read_due(item),
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

/// Reads a head's status, of a whole head or of what the index of a tenant's jobs has of it.
pub(crate) fn read_status(item: &Item) -> Option<Status> {
    get_s(item, STATUS).and_then(Status::parse)
}

/// Reads the key that signs a job's callback URLs, where there is one.
pub(crate) fn read_callback_key(item: &Item) -> Option<&[u8]> {
    match item.attributes.get(CALLBACK_KEY) {
        Some(Value::B(key)) => Some(key),
        _ => None,
    }
}

/// Puts a new job's head.
pub(crate) fn insert(job: &Job) -> Write {
    insert_with(meta_item(job))
}

/// Changes a head, on condition that its status is unchanged.
fn update(job: &Job, changes: Vec<Change>) -> Update {
    Update {
        key: meta_key(&job.spec.id),
        changes,
        condition: Some(Condition::Equals(STATUS, s(job.status.as_str()))),
    }
}

/// Changes a head, on condition that there is one.
fn update_any(job: &JobId, change: Change) -> Update {
    Update {
        key: meta_key(job),
        changes: vec![change],
        condition: Some(Condition::ItemExists),
    }
}

fn status(status: Status) -> Change {
    Change::Set(STATUS, s(status.as_str()))
}

/// Marks a job as begun. The sweep checks it a `window` later.
pub(crate) fn begin(job: &Job, running: Status, now: Timestamp, window: Duration) -> Update {
    let mut changes = vec![
        status(running),
        Change::SetIfAbsent(STARTED_AT, Value::N(now.0)),
        Change::Set(WINDOW, Value::N(millis(window))),
    ];
    changes.extend(due_at(&job.spec.id, now.plus(window)));
    update(job, changes)
}

/// Asks a job to stop, and has the sweep check it then, where a time is given.
pub(crate) fn cancel(job: &Job, canceling: Status, due: Option<Timestamp>) -> Update {
    let mut changes = vec![status(canceling)];
    changes.extend(due.into_iter().flat_map(|at| due_at(&job.spec.id, at)));
    update(job, changes)
}

/// Marks a job as past its run limit.
pub(crate) fn expire(job: &Job, expiring: Status) -> Update {
    update(job, vec![status(expiring)])
}

/// Ends a job.
pub(crate) fn close(job: &Job, ended: Status, end: &End) -> Write {
    let mut changes = vec![status(ended), Change::Set(END, s(json(end)))];
    changes.extend(not_due());
    changes.extend(settled(job));
    Write::Update(update(job, changes))
}

/// Ends a job that outlived its own retention.
pub(crate) fn lapse(job: &Job, expired: Status) -> Write {
    let mut changes = vec![status(expired)];
    changes.extend(not_due());
    changes.extend(settled(job));
    Write::Update(update(job, changes))
}

/// Makes a job's head a tombstone: out of the tenant's list, and without anything personal, as a
/// name is the caller's text. The sweep erases what is left at `due`.
pub(crate) fn entomb(job: &Job, deleted: Status, due: Timestamp) -> Write {
    let mut changes = vec![
        status(deleted),
        Change::Remove(TENANT_JOBS),
        Change::Remove(END),
    ];
    changes.extend(due_at(&job.spec.id, due));
    changes.extend(settled(job));
    let stripped = Spec {
        name: None,
        webhook: None,
        record_webhook: None,
        ..job.spec.clone()
    };
    changes.push(Change::Set(SPEC, s(json(&stripped))));
    Write::Update(update(job, changes))
}

/// Stores that a shard's chunks are all done.
pub(crate) fn shard_done(job: &JobId, shard: u32) -> Update {
    update_any(job, Change::AddToSet(SHARDS_DONE, set(shard.to_string())))
}

/// Stores the key that signs a job's callback URLs, unless there is one.
pub(crate) fn keep_callback_key(job: &JobId, key: &[u8]) -> Update {
    update_any(
        job,
        Change::SetIfAbsent(CALLBACK_KEY, Value::B(key.to_vec())),
    )
}

/// Moves the sweep's next check of a job a `window` on from `now`, and stores how many chunks are
/// done, on condition that `due` is unchanged.
pub(crate) fn look_again(
    job: &JobId,
    read: Timestamp,
    done: u32,
    window: Duration,
    now: Timestamp,
) -> Update {
    let changes = vec![
        Change::Set(SEEN, Value::N(done.into())),
        Change::Set(WINDOW, Value::N(millis(window))),
    ];
    move_due_with(changes, meta_key(job), read, due_at(job, now.plus(window)))
}
