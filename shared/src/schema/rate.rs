//! A provider's schedule: its next free slot, of all processes. Times are in microseconds since the
//! epoch.

use super::item::{EXPIRES_AT, get_n, key};
use crate::ports::{Change, Condition, Item, Key, Update, Value};

/// The time of the next free slot.
const NEXT: &str = "next_us";
/// The time until which the upstream wants no request. Removed when it answers again.
const HELD: &str = "held_us";
/// The HTTP status with which it said so. Removed when it answers again.
const HELD_STATUS: &str = "held_status";
/// The time after which the item of an unused schedule is removed, in seconds.
const KEPT: i64 = 24 * 3600;

/// Returns the key of a provider's schedule.
pub(crate) fn rate_key(provider: &str) -> Key {
    key(format!("RATE#{provider}"), "RATE")
}

/// Reads when the next free slot is; 0 where none was ever taken.
pub(crate) fn read_next(item: &Item) -> i64 {
    get_n(item, NEXT).unwrap_or(0)
}

/// Reads until when the upstream wants no request, and the HTTP status with which it said so. Both
/// are 0 where it did not.
pub(crate) fn read_held(item: &Item) -> (i64, u16) {
    let status = get_n(item, HELD_STATUS).unwrap_or(0);
    (
        get_n(item, HELD).unwrap_or(0),
        u16::try_from(status).unwrap_or_default(),
    )
}

fn expires(at: i64) -> Change {
    Change::Set(EXPIRES_AT, Value::N(at / 1_000_000 + KEPT))
}

/// Leases a block of slots behind those that are taken, on condition that the first of them is not
/// before `from` nor after `latest`.
pub(crate) fn append(key: Key, block: i64, from: i64, latest: i64) -> Update {
    Update {
        key,
        changes: vec![Change::Add(NEXT, block), expires(from)],
        condition: Some(Condition::All(vec![
            Condition::AtLeast(NEXT, from),
            Condition::AtMost(NEXT, latest),
        ])),
    }
}

/// Begins the schedule anew at `from` with a block of slots, on condition that its next free slot
/// is before then.
pub(crate) fn begin(key: Key, block: i64, from: i64) -> Update {
    Update {
        key,
        changes: vec![Change::Set(NEXT, Value::N(from + block)), expires(from)],
        condition: Some(Condition::Any(vec![
            Condition::Absent(NEXT),
            Condition::AtMost(NEXT, from - 1),
        ])),
    }
}

/// Stores that the upstream answers again, on condition that the pause it asked for is over.
pub(crate) fn answers(key: Key, now: i64) -> Update {
    Update {
        key,
        changes: [HELD, HELD_STATUS].map(Change::Remove).to_vec(),
        condition: Some(Condition::AtMost(HELD, now)),
    }
}

/// Stores that the upstream wants no request until then, and moves the next free slot there, on
/// condition that it is not behind.
pub(crate) fn back_off(key: Key, until: i64, status: u16) -> Update {
    let mut changes = held(until, status);
    changes.push(Change::Set(NEXT, Value::N(until)));
    not_behind(key, changes, NEXT, until)
}

/// As [`back_off`], where the slots before then are taken already: the next free slot stays, and
/// the upstream must not have wanted no request for longer.
pub(crate) fn hold_taken(key: Key, until: i64, status: u16) -> Update {
    not_behind(key, held(until, status), HELD, until)
}

fn held(until: i64, status: u16) -> Vec<Change> {
    vec![
        Change::Set(HELD, Value::N(until)),
        Change::Set(HELD_STATUS, Value::N(status.into())),
        expires(until),
    ]
}

fn not_behind(key: Key, changes: Vec<Change>, name: &'static str, until: i64) -> Update {
    Update {
        key,
        changes,
        condition: Some(Condition::Any(vec![
            Condition::Absent(name),
            Condition::AtMost(name, until),
        ])),
    }
}
