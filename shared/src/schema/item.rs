//! Common parts of all items: keys, typed attributes, compressed payloads, and an expiry.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Put, Value, Write};

/// A compressed payload up to this fits one item beside its other attributes. Source: 400 KB item
/// size limit.
pub const MAX_PAYLOAD_BYTES: usize = 300 * 1024;
/// A stored payload never unpacks to more: 64 outcomes of 256 KiB, and their frames.
const MAX_UNPACKED_BYTES: usize = 20 * 1024 * 1024;
/// zstd's default level: near its best ratio for JSON of this size at a tenth of the time.
pub(super) const ZSTD_LEVEL: i32 = 3;
/// The end of an item's time, in seconds since the epoch: the table's own expiry attribute.
pub const EXPIRES_AT: &str = "expires_at";
/// Of a live job's head: the end of its time. The item stays for longer.
pub(super) const OVER_AT: &str = "over_at";
/// The unchanging part of an item, as JSON.
pub(super) const SPEC: &str = "spec";
/// A payload, as compressed JSON.
pub(super) const DATA: &str = "data";

/// A stored item is not as this version writes it; names the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stored item is corrupt: {0}")]
pub struct Corrupt(pub &'static str);

/// Makes a key.
pub(super) fn key(pk: String, sk: impl Into<String>) -> Key {
    Key { pk, sk: sk.into() }
}

/// Returns the SHA-256 of a text, in hex.
pub(super) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Makes a string value.
pub(super) fn s(text: impl Into<String>) -> Value {
    Value::S(text.into())
}

/// Makes a set of one element.
pub(super) fn set(element: impl Into<String>) -> BTreeSet<String> {
    BTreeSet::from([element.into()])
}

/// Returns a string attribute; `None` where there is none of that name and type.
pub fn get_s<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.attributes.get(name) {
        Some(Value::S(text)) => Some(text),
        _ => None,
    }
}

/// Returns a number attribute; `None` where there is none of that name and type.
pub fn get_n(item: &Item, name: &str) -> Option<i64> {
    match item.attributes.get(name) {
        Some(Value::N(n)) => Some(*n),
        _ => None,
    }
}

/// Returns the elements of a string-set attribute, in order; none where the set is absent.
pub fn get_set<'a>(item: &'a Item, name: &str) -> impl Iterator<Item = &'a String> + use<'a> {
    match item.attributes.get(name) {
        Some(Value::Ss(set)) => Some(set.iter()),
        _ => None,
    }
    .into_iter()
    .flatten()
}

/// Reads an attribute of JSON text.
pub(super) fn get_json<T: DeserializeOwned>(item: &Item, name: &'static str) -> Result<T, Corrupt> {
    get_s(item, name)
        .and_then(|text| serde_json::from_str(text).ok())
        .ok_or(Corrupt(name))
}

/// Returns the JSON text of a value of ours. Our types have string keys and finite numbers, so that
/// it cannot fail.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Compresses the JSON of a value.
pub(super) fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, Corrupt> {
    zstd::bulk::compress(json(value).as_bytes(), ZSTD_LEVEL).map_err(|_| Corrupt("payload"))
}

/// Returns the JSON of an item's payload.
pub(super) fn unpacked(item: &Item) -> Result<Vec<u8>, Corrupt> {
    let Some(Value::B(data)) = item.attributes.get(DATA) else {
        return Err(Corrupt(DATA));
    };
    zstd::bulk::decompress(data, MAX_UNPACKED_BYTES).map_err(|_| Corrupt(DATA))
}

/// Reads an item's payload.
pub(super) fn unpack<T: DeserializeOwned>(item: &Item) -> Result<T, Corrupt> {
    serde_json::from_slice(&unpacked(item)?).map_err(|_| Corrupt(DATA))
}

/// Returns the attribute that ends an item's time.
pub(super) fn ttl(at: Timestamp) -> (String, Value) {
    (EXPIRES_AT.into(), Value::N(at.seconds()))
}

/// Moves the end of an item's time.
pub(super) fn expires(at: Timestamp) -> Change {
    Change::Set(EXPIRES_AT, Value::N(at.seconds()))
}

/// Sets a number, or removes the attribute where there is none.
pub(super) fn set_or_remove(name: &'static str, number: Option<impl Into<i64>>) -> Change {
    number.map_or(Change::Remove(name), |number| {
        Change::Set(name, Value::N(number.into()))
    })
}

/// Puts an item, on condition that there is none with its key.
pub(crate) fn insert(item: Item) -> Put {
    Put {
        item,
        condition: Some(Condition::ItemAbsent),
    }
}

/// As [`insert`], as a part of a transaction.
pub(crate) fn insert_with(item: Item) -> Write {
    Write::Put(insert(item))
}

/// Puts an item in the place of whatever has its key.
pub(crate) fn overwrite(item: Item) -> Put {
    Put {
        item,
        condition: None,
    }
}

/// The time that a live head and its progress are stored for longer than their job. The table may
/// delete an expired item at any moment, and the sweep has yet to settle the job's credits. A sweep
/// that stood still for longer has raised its alarm.
pub(super) const UNSETTLED: Duration = Duration::from_secs(7 * 24 * 3600);

fn is_expired(item: &Item, now: Timestamp) -> bool {
    get_n(item, OVER_AT)
        .or_else(|| get_n(item, EXPIRES_AT))
        .is_some_and(|at| now.seconds() >= at)
}

/// Returns the item, unless its time is over: the table removes expired items only days later.
pub fn current(item: Option<Item>, now: Timestamp) -> Option<Item> {
    item.filter(|i| !is_expired(i, now))
}

/// Returns a duration in milliseconds.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
