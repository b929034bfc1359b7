//! A job's progress: the chunks that are done, and the run that works on each of the others.

use std::sync::OnceLock;

use super::item::{UNSETTLED, get_n, get_set, insert_with, key, set, set_or_remove, ttl};
use super::lease::LeaseSlot;
use crate::domain::chunk::{SHARD_CHUNKS, shard_of};
use crate::domain::ids::JobId;
use crate::domain::lease::Lease;
use crate::domain::progress::{ChunkSummary, Progress};
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Change, Condition, Item, Key, Update, Value, Write};

/// The chunks of a shard that are done, a summary each.
pub const DONE: &str = "done";

/// Returns the key of a shard's progress.
pub fn progress_key(job: &JobId, shard: u32) -> Key {
    key(format!("JOB#{job}"), format!("PROGRESS#{shard:04}"))
}

/// Makes the progress of a shard of which nothing is done. It outlives the job until the job is
/// settled.
fn progress_item(job: &JobId, shard: u32, expires_at: Timestamp) -> Item {
    Item {
        key: progress_key(job, shard),
        attributes: Attributes::from([ttl(expires_at.plus(UNSETTLED))]),
    }
}

/// Reads the progress of shards.
pub fn read_progress<'a>(shards: impl IntoIterator<Item = &'a Item>) -> Progress {
    Progress::of(shards.into_iter().flat_map(|item| get_set(item, DONE)))
}

/// Returns the attribute of a progress shard that counts the attempts at a chunk, from its second
/// receive on. One of [`SHARD_CHUNKS`] fixed names, because attribute names of changes are static.
pub fn attempts_attribute(chunk: u32) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    chunk_attribute(&NAMES, "starts", chunk)
}

/// Returns the attribute of a progress shard with the end of a chunk's lease.
pub fn held_attribute(chunk: u32) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    chunk_attribute(&NAMES, "held", chunk)
}

/// Of a progress shard: the right to work on a chunk. Its end is its token, also when it was given
/// back: then another time that has passed is written, so that a run that has read the previous
/// lease knows that another ran since.
fn chunk_lease(chunk: u32) -> LeaseSlot {
    LeaseSlot::ending(held_attribute(chunk))
}

/// Returns the attribute of a progress shard with the time of a chunk's next poll. One message is
/// on its way for that time; others that come before it have nothing to do.
fn poll_attribute(chunk: u32) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    chunk_attribute(&NAMES, "wake", chunk)
}

fn chunk_attribute(
    names: &'static OnceLock<Vec<String>>,
    prefix: &str,
    chunk: u32,
) -> &'static str {
    let names = names.get_or_init(|| {
        (0..SHARD_CHUNKS)
            .map(|n| format!("{prefix}_{n:02}"))
            .collect()
    });
    &names[usize::try_from(chunk % SHARD_CHUNKS).unwrap_or(0)]
}

/// Puts the progress of a shard of a new job.
pub(crate) fn insert(job: &JobId, shard: u32, expires_at: Timestamp) -> Write {
    insert_with(progress_item(job, shard, expires_at))
}

/// Adds a chunk that is done.
pub(crate) fn add(job: &JobId, summary: &ChunkSummary) -> Update {
    Update {
        key: progress_key(job, shard_of(summary.chunk)),
        changes: vec![Change::AddToSet(DONE, set(summary.element()))],
        condition: Some(Condition::ItemExists),
    }
}

/// Checks that no chunk of a shard has ended since the shard was read.
pub(crate) fn unmoved(key: Key, read: Option<&Item>) -> Write {
    let done = read.and_then(|item| item.attributes.get(DONE)).cloned();
    Write::Check {
        key,
        condition: done.map_or(Condition::Absent(DONE), |done| {
            Condition::Equals(DONE, done)
        }),
    }
}

/// Reads the lease of a chunk, live or over.
pub(crate) fn read_lease(shard: &Item, chunk: u32) -> Option<Lease> {
    chunk_lease(chunk).read(shard)
}

/// Returns whether a chunk has this very lease: a write whose answer was lost has taken it then.
pub(crate) fn holds(shard: &Item, chunk: u32, lease: &Lease) -> bool {
    chunk_lease(chunk).holds(shard, lease)
}

/// Reads how many attempts at a chunk were counted.
pub(crate) fn read_starts(shard: &Item, chunk: u32) -> i64 {
    get_n(shard, attempts_attribute(chunk)).unwrap_or(0)
}

/// Reads the time of a chunk's next poll.
pub(crate) fn read_poll_at(shard: &Item, chunk: u32) -> Option<Timestamp> {
    get_n(shard, poll_attribute(chunk)).map(Timestamp)
}

/// Takes the lease of a chunk and counts the attempt where `counts`. On condition that it was not
/// taken since `shard` was read, or that it is `left`, which its holder left to this run. `None`
/// where a live one was read and nothing was left.
pub(crate) fn take_chunk(
    job: &JobId,
    chunk: u32,
    shard: &Item,
    lease: &Lease,
    left: Option<&Lease>,
    counts: bool,
    now: Timestamp,
) -> Option<Update> {
    let slot = chunk_lease(chunk);
    let mut changes = slot.take(lease);
    if counts {
        changes.push(Change::Add(attempts_attribute(chunk), 1));
    }
    let free: Vec<Condition> = slot
        .is_free_as_read(shard, now)
        .into_iter()
        .chain(left.map(|left| slot.is_held_by(left)))
        .collect();
    (!free.is_empty()).then(|| Update {
        key: progress_key(job, shard_of(chunk)),
        changes,
        condition: Some(Condition::All(vec![
            Condition::ItemExists,
            Condition::Any(free),
        ])),
    })
}

/// Sets the number of attempts at a chunk, or removes it, on condition that it has this very lease.
pub(crate) fn count_starts(
    job: &JobId,
    chunk: u32,
    lease: &Lease,
    attempts: Option<i64>,
) -> Update {
    Update {
        key: progress_key(job, shard_of(chunk)),
        changes: vec![set_or_remove(attempts_attribute(chunk), attempts)],
        condition: Some(chunk_lease(chunk).is_held_by(lease)),
    }
}

/// Gives a chunk back, on condition that it has this very lease. `over` is a lease that is over, as
/// [`chunk_lease`] says.
pub(crate) fn release(job: &JobId, chunk: u32, lease: &Lease, over: &Lease) -> Update {
    let slot = chunk_lease(chunk);
    Update {
        key: progress_key(job, shard_of(chunk)),
        changes: slot.take(over),
        condition: Some(slot.is_held_by(lease)),
    }
}

/// Stores the time of a chunk's next poll, and gives the chunk back where it has a lease, as
/// [`release`] does: `(lease, over)`.
pub(crate) fn suspend(
    job: &JobId,
    chunk: u32,
    poll_at: Timestamp,
    release: Option<(&Lease, &Lease)>,
) -> Update {
    let mut changes = vec![Change::Set(poll_attribute(chunk), Value::N(poll_at.0))];
    let mut conditions = vec![Condition::ItemExists];
    if let Some((lease, over)) = release {
        let slot = chunk_lease(chunk);
        changes.extend(slot.take(over));
        conditions.push(slot.is_held_by(lease));
    }
    Update {
        key: progress_key(job, shard_of(chunk)),
        changes,
        condition: Some(Condition::All(conditions)),
    }
}
