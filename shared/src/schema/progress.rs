//! A job's progress: which chunks are done, and which run has one.

use std::sync::OnceLock;

use super::item::{UNSETTLED, get_set, key, ttl};
use super::lease::LeaseSlot;
use crate::domain::chunk::SHARD_CHUNKS;
use crate::domain::ids::JobId;
use crate::domain::progress::Progress;
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Item, Key};

pub const DONE: &str = "done";

pub fn progress_key(job: &JobId, shard: u32) -> Key {
    key(format!("JOB#{job}"), format!("PROGRESS#{shard:04}"))
}

pub fn progress_item(job: &JobId, shard: u32, expires_at: Timestamp) -> Item {
    Item {
        key: progress_key(job, shard),
        attributes: Attributes::from([ttl(expires_at.plus(UNSETTLED))]),
    }
}

pub fn read_progress<'a>(shards: impl IntoIterator<Item = &'a Item>) -> Progress {
    Progress::of(shards.into_iter().flat_map(|item| get_set(item, DONE)))
}

/// The attribute of a progress shard that counts the starts of a chunk, from its second receive on.
/// One of [`SHARD_CHUNKS`] fixed names, because attribute names of changes are static.
pub fn starts_attribute(chunk: u32) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    chunk_attribute(&NAMES, "starts", chunk)
}

/// The attribute of a progress shard that says until when a run may be at work on a chunk.
pub fn held_attribute(chunk: u32) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    chunk_attribute(&NAMES, "held", chunk)
}

/// Of a progress shard: the right to work on a chunk. Its end is its token, also of one that was given back: that is another
/// end that has passed, so that who has read the one before knows that there was a run since.
pub fn chunk_lease(chunk: u32) -> LeaseSlot {
    LeaseSlot::ending(held_attribute(chunk))
}

/// The attribute of a progress shard that says when the first parked record of a chunk is asked for again. One message is
/// on its way for that time; others that come before it have nothing to do.
pub fn wake_attribute(chunk: u32) -> &'static str {
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
