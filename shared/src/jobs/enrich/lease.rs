//! The lease of a chunk: of many messages only one buys answers, and a record that kills its
//! process again and again is found out.

use std::time::Duration;

use crate::domain::chunk::{ChunkMessage, Start, shard_of};
use crate::domain::job::Job;
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::jobs::{Ports, StepError};
use crate::ports::{Item, StoreError};
use crate::schema;
use crate::schema::progress::{
    count_starts, holds, progress_key, read_starts, suspend, take_chunk,
};

/// The attempt, counted from the second receive on, from which records run one by one, each marked
/// before it begins.
pub(crate) const ISOLATE_FROM_ATTEMPT: i64 = 2;
/// The counted attempt that fails what is left: the eighth with the first, which is not counted.
pub(crate) const LAST_ATTEMPT: i64 = 7;
/// A first message received this soon after the submission has its chunk to itself: the sweep asks
/// for nothing before, and every window exceeds an invocation by as much.
const ALONE: Duration = Duration::from_secs(30);

/// A run's lease of its chunk.
pub(crate) struct ChunkLease {
    /// Attempts counted so far, this one included if it is counted.
    pub(crate) attempts: i64,
    /// As written; `None` where none was needed.
    pub(crate) lease: Option<Lease>,
}

/// Takes the chunk's lease for this run, and counts the attempt if it may follow a death.
///
/// Returns `None` where another run has the lease, or has had it since `shard` was read, so that
/// what this run knows of the chunk is old. That run ends the chunk or sends a message for it, or
/// dies, and then the sweep asks again. So of many messages only one buys answers, and messages
/// that waited together do not count as deaths. Only money depends on it.
///
/// `receives` counts how often the message was received; `deadline` is when the invocation ends.
/// `alone` says that only submit and the sweep send messages for the chunk; then a first run needs
/// no lease.
pub(crate) async fn take(
    ports: &Ports,
    job: &Job,
    message: &ChunkMessage,
    receives: u32,
    deadline: Timestamp,
    shard: &Item,
    alone: bool,
) -> Result<Option<ChunkLease>, StepError> {
    let now = ports.clock.now();
    let chunk = message.chunk;
    let again = receives >= 2 || message.start == Start::Redrive;
    if alone && !again && message.start == Start::First && now < job.spec.created_at.plus(ALONE) {
        return Ok(Some(ChunkLease {
            attempts: read_starts(shard, chunk),
            lease: None,
        }));
    }
    // Not the deadline alone: a run must recognise its own lease after an answer was lost.
    let jitter = i64::from(u16::from_be_bytes(ports.random::<2>()) % 1000);
    let lease = Lease::ending(Timestamp(deadline.0 + jitter));
    // A run that stopped leaves its lease to the one that resumes; it may not take another's.
    let left = message
        .lease_until
        .map(|until| Lease::ending(Timestamp(until)));
    let id = &job.spec.id;
    let Some(update) = take_chunk(id, chunk, shard, &lease, left.as_ref(), again, now) else {
        return Ok(None);
    };
    let item = match ports.store.update(update).await {
        Ok(item) => item,
        // No answer came: if the lease is ours, this run has the chunk.
        Err(StoreError::Unavailable(cause)) => {
            match ports.store.get(&progress_key(id, shard_of(chunk))).await? {
                Some(item) if holds(&item, chunk, &lease) => item,
                _ => return Err(StoreError::Unavailable(cause).into()),
            }
        }
        Err(StoreError::ConditionFailed(failed)) => {
            match failed.into_iter().find_map(|f| f.existing) {
                Some(item) if holds(&item, chunk, &lease) => item,
                Some(_) => return Ok(None),
                None => return Err(StoreError::ConditionFailed(Vec::new()).into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let counted = read_starts(&item, chunk);
    // A continuation goes on as the previous run, one by one if that did, and fails no record for
    // its attempts.
    Ok(Some(ChunkLease {
        attempts: if again {
            counted
        } else {
            counted.min(LAST_ATTEMPT - 1)
        },
        lease: Some(lease),
    }))
}

/// Takes back the count of an attempt that ended in time with outcomes: neither it nor the run
/// before it died. In a lane that is behind, messages of a healthy chunk wait longer than any
/// lease. A chunk that runs one by one goes on so.
pub(crate) async fn forget_attempts(ports: &Ports, job: &Job, chunk: u32, held: &ChunkLease) {
    let (Some(lease), 1..) = (&held.lease, held.attempts) else {
        return;
    };
    let attempts = (held.attempts >= ISOLATE_FROM_ATTEMPT).then_some(ISOLATE_FROM_ATTEMPT);
    let update = count_starts(&job.spec.id, chunk, lease, attempts);
    match ports.store.update(update).await {
        Ok(_) | Err(StoreError::ConditionFailed(_)) => {}
        Err(error) => {
            tracing::warn!(error = %error, "attempts at the chunk not reset; the next run does it");
        }
    }
}

/// Returns a lease that is over. Each has its own token, so that a run that has read the previous
/// one knows that another ran since.
fn over(ports: &Ports) -> Lease {
    let since = i64::from(u16::from_be_bytes(ports.random::<2>()));
    Lease::ending(Timestamp(ports.clock.now().0 - since))
}

/// Suspends a chunk whose remaining records all wait for upstreams: gives its lease back, so that a
/// run with news of them can take it, and stores the time of the next poll. If this write is lost,
/// the lease ends by itself, and every message polls.
pub(crate) async fn suspend_chunk(
    ports: &Ports,
    job: &Job,
    chunk: u32,
    held: &ChunkLease,
    next_at: Timestamp,
) {
    let release = held.lease.as_ref().map(|lease| (lease, over(ports)));
    let release = release.as_ref().map(|(lease, over)| (*lease, over));
    let update = suspend(&job.spec.id, chunk, next_at, release);
    match ports.store.update(update).await {
        Ok(_) | Err(StoreError::ConditionFailed(_)) => {}
        Err(error) => {
            tracing::warn!(error = %error, "chunk not left in order; the next run is");
        }
    }
}

/// Gives the lease back after an error, so that the message can try again soon. If this write is
/// lost, the lease ends by itself.
pub(crate) async fn release(ports: &Ports, job: &Job, chunk: u32, held: &ChunkLease) {
    let Some(lease) = &held.lease else { return };
    let update = schema::progress::release(&job.spec.id, chunk, lease, &over(ports));
    if let Err(error) = ports.store.update(update).await {
        tracing::warn!(error = %error, "lease of the chunk not given back; it runs out");
    }
}
