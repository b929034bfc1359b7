//! The known state of receivers, by URL.

use std::time::Duration;

use super::item::{EXPIRES_AT, digest, expires, get_n, key};
use crate::domain::delivery::ENDPOINT_MEMORY;
use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Update, Value};

const DISABLED: &str = "disabled";
const SLOW: &str = "slow";
const NOT_BEFORE: &str = "not_before";

/// Returns the key of a URL's known state.
pub fn endpoint_key(tenant: &TenantId, url: &str) -> Key {
    key(format!("ENDPOINT#{tenant}#{}", digest(url)), "ENDPOINT")
}

/// The known state of a receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// It said that it is gone; nothing is sent until a caller asks for it.
    pub disabled: bool,
    /// Its last answer took longer than [`crate::domain::delivery::SLOW_AFTER`].
    pub slow: bool,
    /// It asked for a pause until then.
    pub not_before: Option<Timestamp>,
}

/// Reads the known state of a receiver; nothing is known without an item.
pub fn read_endpoint(item: Option<&Item>) -> Endpoint {
    item.map_or_else(Endpoint::default, |item| Endpoint {
        disabled: get_n(item, DISABLED) == Some(1),
        slow: get_n(item, SLOW) == Some(1),
        not_before: get_n(item, NOT_BEFORE).map(Timestamp),
    })
}

/// The findings of one exchange with a receiver; `None` where it showed nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lesson {
    /// It is slow, or it is not.
    pub(crate) slow: Option<bool>,
    /// The pause that it asked for.
    pub(crate) pause: Option<Duration>,
    /// It is gone; `false` where it is back.
    pub(crate) disabled: Option<bool>,
}

/// Stores the findings of an exchange with a receiver, and no more, so that two exchanges at once
/// do not undo each other's. `known` is the state before. `None` where there are none. A receiver
/// not known as disabled is changed on condition that it is not.
pub(crate) fn learn(key: Key, known: &Endpoint, lesson: &Lesson, now: Timestamp) -> Option<Update> {
    let flag = |name, value: bool| Change::Set(name, Value::N(value.into()));
    let mut changes = Vec::new();
    changes.extend(lesson.slow.map(|slow| flag(SLOW, slow)));
    let until = lesson.pause.map(|pause| now.plus(pause));
    changes.extend(until.map(|until| Change::Set(NOT_BEFORE, Value::N(until.0))));
    changes.extend(lesson.disabled.map(|disabled| flag(DISABLED, disabled)));
    if changes.is_empty() {
        return None;
    }
    // A disabled receiver stays so until a caller asks for it; everything else is forgotten after a
    // while.
    changes.push(if lesson.disabled.unwrap_or(known.disabled) {
        Change::Remove(EXPIRES_AT)
    } else {
        expires(now.plus(ENDPOINT_MEMORY))
    });
    let enabled = Condition::Any(vec![
        Condition::Absent(DISABLED),
        Condition::Equals(DISABLED, Value::N(0)),
    ]);
    let gone = lesson.disabled == Some(true);
    Some(Update {
        key,
        changes,
        condition: (!gone && !known.disabled).then_some(enabled),
    })
}
