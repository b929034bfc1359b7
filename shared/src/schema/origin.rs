//! The speed of a receiver's origin, where it is known, and the lease of finding it out.

use url::Url;

use super::item::{EXPIRES_AT, digest, expires, get_n, key};
use super::lease::LeaseSlot;
use crate::domain::delivery::ENDPOINT_MEMORY;
use crate::domain::ids::TenantId;
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Update, Value};

/// Present where an origin answers quickly.
const QUICK: &str = "quick";
/// Of an origin: the right to find out whether it is quick.
const ORIGIN_LEASE: LeaseSlot = LeaseSlot::random("probe", "probe_until");

/// Returns the key of a URL's origin, which all URLs of one host, scheme and port share.
pub fn origin_key(tenant: &TenantId, url: &str) -> Key {
    let origin =
        Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization());
    key(format!("ENDPOINT#{tenant}#{}", digest(&origin)), "ORIGIN")
}

/// Reads whether an origin is known to answer quickly.
pub(crate) fn is_quick(item: &Item) -> bool {
    get_n(item, QUICK) == Some(1)
}

/// Takes an origin's lease, on condition that it is free and the origin is not known to be quick.
pub(crate) fn lease(key: Key, lease: &Lease, now: Timestamp) -> Update {
    let unknown = Condition::Any(vec![
        Condition::Absent(QUICK),
        Condition::AtMost(EXPIRES_AT, now.seconds()),
    ]);
    let free = ORIGIN_LEASE.is_free_for(lease, now);
    let mut changes = ORIGIN_LEASE.take(lease);
    // Of an item whose time is over.
    changes.extend([Change::Remove(QUICK), remembered(now)]);
    Update {
        key,
        changes,
        condition: Some(Condition::All(vec![unknown, free])),
    }
}

/// Stores that an origin is quick; its lease is not needed any more.
pub(crate) fn is_found_quick(key: Key, now: Timestamp) -> Update {
    let mut changes = vec![Change::Set(QUICK, Value::N(1))];
    changes.extend(ORIGIN_LEASE.give_back());
    changes.push(remembered(now));
    Update {
        key,
        changes,
        condition: None,
    }
}

/// Forgets that an origin is quick, on condition that it is known to be.
pub(crate) fn is_found_slow(key: Key) -> Update {
    Update {
        key,
        changes: vec![Change::Remove(QUICK)],
        condition: Some(Condition::Equals(QUICK, Value::N(1))),
    }
}

/// Gives an origin's lease back, on condition that it is this one.
pub(crate) fn give_back(key: Key, lease: &Lease) -> Update {
    Update {
        key,
        changes: ORIGIN_LEASE.give_back(),
        condition: Some(ORIGIN_LEASE.is_held_by(lease)),
    }
}

fn remembered(now: Timestamp) -> Change {
    expires(now.plus(ENDPOINT_MEMORY))
}
