//! What upstreams posted for a chunk's records.

use std::collections::BTreeMap;

use super::chunk::shard_pk;
use super::item::{Corrupt, DATA, expires, insert, key, pack, ttl, unpacked};
use crate::domain::callback::CallbackFor;
use crate::domain::chunk::shard_of;
use crate::domain::ids::JobId;
use crate::domain::json;
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Change, Condition, Item, Key, Put, Select, Update, Value};

/// Until when a message is on its way for what upstreams posted.
const ENQUEUED_UNTIL: &str = "wake_until";

/// Returns the key of what an upstream posted, the `nth` time. Behind all chunks of the shard, so that
/// who reads results does not read it along.
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

/// Returns the key of the mark that a message is on its way for what upstreams posted for a chunk.
fn callback_task_key(job: &JobId, chunk: u32) -> Key {
    key(
        shard_pk(job, shard_of(chunk)),
        format!("CHUNK#CALL#{chunk:05}#WAKE"),
    )
}

/// Selects all that upstreams posted for a chunk.
pub fn calls_range(job: &JobId, chunk: u32) -> Select {
    let pk = shard_pk(job, shard_of(chunk));
    // Letters sort after digits: the chunk's `WAKE` stays outside.
    Select::Partition {
        pk,
        from: format!("CHUNK#CALL#{chunk:05}#"),
        to: format!("CHUNK#CALL#{chunk:05}#:"),
    }
}

/// Puts what an upstream posted, the `nth` time, on condition that nothing is there.
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

/// Says that a message for what upstreams posted for a chunk is on its way until then, on condition
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

/// Reads what was posted, of one item.
///
/// # Errors
/// [`Corrupt`] where it is no JSON.
pub fn read_call(item: &Item) -> Result<serde_json::Value, Corrupt> {
    json::read(&unpacked(item)?).map_err(|_| Corrupt(DATA))
}

/// Reads what upstreams posted for a chunk's records, in the order in which it came: by position in
/// the chunk and provider. The items stand in the order of their keys.
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
