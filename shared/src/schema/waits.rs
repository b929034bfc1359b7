//! The wait of records for a provider: its beginning and its reason. Only shown.

use super::item::{EXPIRES_AT, get_n, key, set_or_remove};
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Update, Value};

/// The item is removed this long after the provider was to be asked again, in seconds.
const KEPT: i64 = 24 * 3600;

const SINCE: &str = "wait_since";
const UNTIL: &str = "wait_until";
const STATUS: &str = "wait_status";
/// The time when the upstream answered since; records that still wait are asked about at their
/// time.
const OVER: &str = "wait_over";

/// A wait for a provider as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// When it began.
    pub(crate) since: Timestamp,
    /// When the provider is to be asked again.
    pub(crate) until: Timestamp,
    /// The HTTP status with which the upstream failed.
    pub(crate) status: Option<u16>,
    /// The upstream has answered since.
    pub(crate) is_over: bool,
}

/// Returns the key of a provider's wait.
pub(crate) fn waits_key(provider: &str) -> Key {
    key(format!("WAITS#{provider}"), "WAITS")
}

/// Reads a wait; `None` where the item has none.
pub(crate) fn read(item: &Item) -> Option<Wait> {
    Some(Wait {
        since: Timestamp(get_n(item, SINCE)?),
        until: Timestamp(get_n(item, UNTIL)?),
        status: get_n(item, STATUS).and_then(|status| u16::try_from(status).ok()),
        is_over: get_n(item, OVER).is_some(),
    })
}

/// Stores that the upstream has answered, on condition that there is a wait.
pub(crate) fn over(provider: &str, now: Timestamp) -> Update {
    Update {
        key: waits_key(provider),
        changes: vec![Change::Set(OVER, Value::N(now.0))],
        condition: Some(Condition::ItemExists),
    }
}

/// A wait as a process reports it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReportedWait {
    /// When the provider is to be asked again.
    pub(crate) until: Timestamp,
    /// The HTTP status with which the upstream failed.
    pub(crate) status: Option<u16>,
    /// A record that was to ask the provider at this time or later may still do so.
    pub(crate) alive: Timestamp,
}

impl ReportedWait {
    fn changes(&self) -> Vec<Change> {
        vec![
            Change::Set(EXPIRES_AT, Value::N(self.until.seconds() + KEPT)),
            set_or_remove(STATUS, self.status),
        ]
    }
}

/// Extends a wait until then, on condition that there is one that goes on, and for no longer.
pub(crate) fn go_on(provider: &str, wait: &ReportedWait) -> Update {
    let mut changes = wait.changes();
    changes.push(Change::Set(UNTIL, Value::N(wait.until.0)));
    Update {
        key: waits_key(provider),
        changes,
        condition: Some(Condition::All(vec![
            Condition::Absent(OVER),
            Condition::AtLeast(UNTIL, wait.alive.0),
            // Another record waits longer.
            Condition::AtMost(UNTIL, wait.until.0),
        ])),
    }
}

/// Begins a wait, on condition that none goes on. `found` is the item that did not [`go_on`]: what
/// waited before the upstream's answer waits on. `None` where another record waits longer.
pub(crate) fn begin(
    provider: &str,
    wait: &ReportedWait,
    found: Option<&Item>,
    now: Timestamp,
) -> Option<Update> {
    let number = |name| found.and_then(|item| get_n(item, name));
    let longer = number(UNTIL).filter(|until| *until > wait.until.0);
    if number(OVER).is_none() && longer.is_some() {
        return None;
    }
    let mut changes = wait.changes();
    changes.extend([
        Change::Set(UNTIL, Value::N(longer.unwrap_or(wait.until.0))),
        Change::Set(SINCE, Value::N(now.0)),
        Change::Remove(OVER),
    ]);
    Some(Update {
        key: waits_key(provider),
        changes,
        condition: Some(Condition::Any(vec![
            Condition::Absent(UNTIL),
            Condition::AtMost(UNTIL, wait.alive.0 - 1),
            Condition::AtLeast(OVER, 0),
        ])),
    })
}
