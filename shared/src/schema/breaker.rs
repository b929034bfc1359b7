//! A provider's circuit while it is open.

use super::item::{EXPIRES_AT, get_n, key, set_or_remove};
use super::lease::LeaseSlot;
use crate::domain::lease::Lease;
use crate::domain::suspended::Outage;
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Update, Value};

/// The time from when the circuit may be tried again to the removal of its item, in seconds.
const KEPT: i64 = 24 * 3600;

const OPEN_UNTIL: &str = "open_until";
const TIMES: &str = "times";
/// The right to send the trial request. Whether it still counts follows from the opening that it
/// was taken for.
const TRIAL_LEASE: LeaseSlot = LeaseSlot::ending("probe_until");
/// The HTTP status of the failure that opened it, where there was one.
const STATUS: &str = "open_status";

/// An opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    /// When the circuit may be tried again.
    pub(crate) until: Timestamp,
    /// The number of consecutive openings.
    pub(crate) times: u32,
    /// The lease of the trial request.
    pub(crate) lease: Option<Lease>,
    /// The failure that opened it.
    pub(crate) outage: Outage,
}

/// Returns the key of a provider's circuit.
pub(crate) fn breaker_key(provider: &str) -> Key {
    key(format!("BREAKER#{provider}"), "BREAKER")
}

/// Reads a circuit; `None` where it is closed.
pub(crate) fn read(item: Option<&Item>, now: Timestamp) -> Option<Open> {
    let item = item?;
    let number = |name: &str| get_n(item, name);
    if number(EXPIRES_AT).is_some_and(|at| now.seconds() >= at) {
        return None;
    }
    Some(Open {
        until: Timestamp(number(OPEN_UNTIL)?),
        times: number(TIMES)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(1),
        lease: TRIAL_LEASE.read(item),
        outage: Outage {
            status: number(STATUS).and_then(|n| u16::try_from(n).ok()),
        },
    })
}

/// Requires that the circuit is open as it was read.
fn same(open: &Open) -> Condition {
    Condition::Equals(OPEN_UNTIL, Value::N(open.until.0))
}

/// Takes the lease of a circuit's trial request, on condition that it is open as it was read and
/// the lease is free.
pub(crate) fn lease(key: Key, open: &Open, lease: &Lease, now: Timestamp) -> Update {
    Update {
        key,
        changes: TRIAL_LEASE.take(lease),
        condition: Some(Condition::All(vec![same(open), TRIAL_LEASE.is_free(now)])),
    }
}

/// Closes a circuit, on condition that it is open as it was read.
pub(crate) fn close(key: Key, open: &Open) -> Update {
    let mut changes = [OPEN_UNTIL, TIMES].map(Change::Remove).to_vec();
    changes.extend(TRIAL_LEASE.give_back());
    changes.push(Change::Remove(STATUS));
    Update {
        key,
        changes,
        condition: Some(same(open)),
    }
}

/// Opens a circuit: again, on condition that it is open as `before`, or, where it was closed, on
/// condition that it is still.
pub(crate) fn open(key: Key, before: Option<&Open>, open: &Open, now: Timestamp) -> Update {
    let condition = before.map_or_else(
        || {
            Condition::Any(vec![
                Condition::Absent(OPEN_UNTIL),
                Condition::AtMost(EXPIRES_AT, now.seconds()),
            ])
        },
        same,
    );
    let mut changes = vec![
        Change::Set(OPEN_UNTIL, Value::N(open.until.0)),
        Change::Set(TIMES, Value::N(i64::from(open.times))),
        Change::Set(EXPIRES_AT, Value::N(open.until.seconds() + KEPT)),
    ];
    changes.extend(TRIAL_LEASE.give_back());
    changes.push(set_or_remove(STATUS, open.outage.status));
    Update {
        key,
        changes,
        condition: Some(condition),
    }
}
