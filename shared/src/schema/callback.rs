//! Upstreams' posts for a chunk's records.

use std::collections::BTreeMap;

use super::chunk::shard_pk;
use super::item::{Corrupt, DATA, expires, insert, key, pack, ttl, unpacked};
use crate::domain::callback::CallbackFor;
use crate::domain::chunk::shard_of;
use crate::domain::ids::JobId;
use crate::domain::json;
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Change, Condition, Item, Key, Put, Select, Update, Value};

/// The time until which a message for upstreams' posts is on its way.
const ENQUEUED_UNTIL: &str = "wake_until";

/// Returns the key of an upstream's `nth` post. It stands behind all chunks of the shard, so that a
/// query for results does not read it too.
pub fn call_key(of: &CallbackFor, nth: usize) -> Key {
    let again = if nth == 0 {
        String::new()
    } else {
        format!("#{nth}")
    };
    let sk = format!(
        "CHUNK#CALL#{:05}#{:05}#{}{again}",
        of.chunk, of.at, of.provider
    );
    key(shard_pk(&of.job, shard_of(of.chunk)), sk)
}

/// Returns the key of the mark that a message for upstreams' posts to a chunk is on its way.
fn callback_task_key(job: &JobId, chunk: u32) -> Key {
    key(
        shard_pk(job, shard_of(chunk)),
        format!("CHUNK#CALL#{chunk:05}#WAKE"),
    )
}

/// Selects all upstreams' posts for a chunk.
pub fn calls_range(job: &JobId, chunk: u32) -> Select {
    let pk = shard_pk(job, shard_of(chunk));
    // Letters sort after digits: the chunk's `WAKE` stays outside.
    Select::Partition {
        pk,
        from: format!("CHUNK#CALL#{chunk:05}#"),
        to: format!("CHUNK#CALL#{chunk:05}#:"),
    }
}

/// Puts an upstream's `nth` post, on condition that nothing is there.
///
/// # Errors
/// [`Corrupt`] where it cannot be packed.
pub(crate) fn insert_call(
    of: &CallbackFor,
    nth: usize,
    posted: &serde_json::Value,
    expires_at: Timestamp,
) -> Result<Put, Corrupt> {
    let attributes = Attributes::from([(DATA.into(), Value::B(pack(posted)?)), ttl(expires_at)]);
    Ok(insert(Item {
        key: call_key(of, nth),
        attributes,
    }))
}

/// Stores that a message for upstreams' posts to a chunk is on its way until then, on condition
/// that none is, or that one was until `over` at most.
pub(crate) fn enqueue_callbacks(
    of: &CallbackFor,
    until: Timestamp,
    over: Timestamp,
    expires_at: Timestamp,
) -> Update {
    Update {
        key: callback_task_key(&of.job, of.chunk),
        changes: vec![
            Change::Set(ENQUEUED_UNTIL, Value::N(until.0)),
            expires(expires_at),
        ],
        condition: Some(Condition::Any(vec![
            Condition::Absent(ENQUEUED_UNTIL),
            Condition::AtMost(ENQUEUED_UNTIL, over.0),
        ])),
    }
}

/// Reads the post in one item.
///
/// # Errors
/// [`Corrupt`] where it is not JSON.
pub fn read_call(item: &Item) -> Result<serde_json::Value, Corrupt> {
    json::read(&unpacked(item)?).map_err(|_| Corrupt(DATA))
}

/// Reads upstreams' posts for a chunk's records, by position in the chunk and provider, in the
/// order of arrival. The items stand in the order of their keys.
///
/// # Errors
/// As [`read_call`].
pub fn read_calls(
    items: &[Item],
) -> Result<BTreeMap<(u32, String), Vec<serde_json::Value>>, Corrupt> {
    let of = |item: &Item| {
        let mut parts = item.key.sk.split('#').skip(3);
        Some((parts.next()?.parse().ok()?, parts.next()?.to_owned()))
    };
    let mut calls = BTreeMap::<_, Vec<_>>::new();
    for (of, item) in items
        .iter()
        .filter_map(|item| of(item).map(|of| (of, item)))
    {
        calls.entry(of).or_default().push(read_call(item)?);
    }
    Ok(calls)
}
