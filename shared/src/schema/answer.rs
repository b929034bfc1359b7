//! A provider's cached answer, and the key under whose HMAC answers are found.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::item::{DATA, EXPIRES_AT, ZSTD_LEVEL, get_n, insert, key, ttl};
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Item, Key, Put, Value};

/// A packed answer that is larger is not cached, in bytes.
const MAX_PACKED_BYTES: usize = 64 * 1024;
/// An answer whose JSON is larger is not cached, in bytes.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

const SECRET: &str = "secret";

/// Returns the key of an answer. `scope` is the tenant or, where all share it, `*`; `asked` is the
/// HMAC of the request.
pub(crate) fn answer_key(scope: &str, provider: &str, asked: &str) -> Key {
    key(format!("CACHE#{scope}#{provider}#{asked}"), "CACHE")
}

/// Makes the item of an answer; `None` where it is too large.
pub(crate) fn answer_item(
    key: Key,
    answer: &impl Serialize,
    expires_at: Timestamp,
) -> Option<Item> {
    let json = serde_json::to_vec(answer)
        .ok()
        .filter(|json| json.len() <= MAX_BYTES)?;
    let packed = zstd::bulk::compress(&json, ZSTD_LEVEL)
        .ok()
        .filter(|packed| packed.len() <= MAX_PACKED_BYTES)?;
    Some(Item {
        key,
        attributes: Attributes::from([(DATA.into(), Value::B(packed)), ttl(expires_at)]),
    })
}

/// Reads an answer. `None` where its time is over, or it is not what this version writes.
pub(crate) fn read_answer<T: DeserializeOwned>(item: &Item, now: Timestamp) -> Option<T> {
    let Some(Value::B(packed)) = item.attributes.get(DATA) else {
        return None;
    };
    if now.seconds() >= get_n(item, EXPIRES_AT)? {
        return None;
    }
    let json = zstd::bulk::decompress(packed, MAX_BYTES).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Returns the key of the item with the HMAC's key.
pub(crate) fn hmac_key_key() -> Key {
    key("CACHE".to_owned(), "KEY")
}

/// Puts the HMAC's key, on condition that there is none.
pub(crate) fn insert_hmac_key(bytes: &[u8]) -> Put {
    insert(Item {
        key: hmac_key_key(),
        attributes: Attributes::from([(SECRET.into(), Value::B(bytes.to_vec()))]),
    })
}

/// Reads the HMAC's key.
pub(crate) fn read_hmac_key(item: &Item) -> Option<&[u8]> {
    match item.attributes.get(SECRET) {
        Some(Value::B(bytes)) => Some(bytes),
        _ => None,
    }
}
