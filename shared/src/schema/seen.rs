//! The times when a tenant first saw undated things at a site.

use std::collections::BTreeMap;

use super::item::{digest, expires, get_n, get_set, key};
use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Update, Value};

/// A set of `hash:seconds`, one element for each thing.
const SEEN: &str = "seen";

/// Returns the key of the things that a tenant saw at a site.
pub(crate) fn seen_key(tenant: &TenantId, site: &str) -> Key {
    key(format!("SEEN#{tenant}#{}", digest(site)), "SEEN")
}

/// Reads when an item's time is over, in seconds since the epoch.
pub(crate) fn read_end(item: &Item) -> Option<i64> {
    get_n(item, super::item::EXPIRES_AT)
}

/// Reads when each thing was first seen, in seconds since the epoch, by its hash.
pub(crate) fn read(item: &Item) -> BTreeMap<String, i64> {
    let element = |element: &String| {
        let (hash, at) = element.split_once(':')?;
        Some((hash.to_owned(), at.parse().ok()?))
    };
    get_set(item, SEEN).filter_map(element).collect()
}

/// Stores when each thing was first seen, on condition that the item was not written since it was
/// read.
pub(crate) fn remember(
    key: Key,
    read: Option<&Item>,
    things: &BTreeMap<&String, i64>,
    expires_at: Timestamp,
) -> Update {
    let elements = things.iter().map(|(hash, at)| format!("{hash}:{at}"));
    let unchanged = match read.and_then(|item| item.attributes.get(SEEN)) {
        Some(value) => Condition::Equals(SEEN, value.clone()),
        None => Condition::Absent(SEEN),
    };
    Update {
        key,
        changes: vec![
            Change::Set(SEEN, Value::Ss(elements.collect())),
            expires(expires_at),
        ],
        condition: Some(unchanged),
    }
}
