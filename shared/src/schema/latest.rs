//! The attempt that may send to a URL, and the job of the newest event that it answered well.

use std::time::Duration;

use super::endpoint::endpoint_key;
use super::item::{expires, get_n, key};
use super::lease::LeaseSlot;
use crate::domain::delivery::Delivery;
use crate::domain::ids::TenantId;
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Update, Value};

/// Of a URL: the right to send to it, as long as the attempt's own lease and with its token.
const URL_LEASE: LeaseSlot = LeaseSlot::random("turn", "turn_until");
/// The time when the job of that attempt was submitted, in milliseconds.
const LATEST_JOB: &str = "turn_job";
/// The time when the newest job whose event was answered well was submitted, in milliseconds.
pub const NEWEST: &str = "newest";
/// The time that an event is remembered for longer than the deliveries of its job.
const BEYOND: Duration = Duration::from_secs(7 * 24 * 3600);

/// Returns the key of a URL's lease and newest event. Kept apart from the receiver's other state,
/// which has an expiry of its own.
pub fn latest_key(tenant: &TenantId, url: &str) -> Key {
    key(endpoint_key(tenant, url).pk, "LATEST")
}

/// Reads when the newest job was submitted whose event was answered well.
pub(crate) fn read_newest(item: &Item) -> Option<Timestamp> {
    get_n(item, NEWEST).map(Timestamp)
}

/// Reads the lease of a URL, live or over.
pub(crate) fn read_lease(item: &Item) -> Option<Lease> {
    URL_LEASE.read(item)
}

/// Takes the URL for an attempt, on condition that no event of a newer job was answered well and
/// that no other attempt has it: none, one of an older or the same job that is over, or any that
/// was over at `abandoned`.
pub(crate) fn take(
    delivery: &Delivery,
    lease: &Lease,
    now: Timestamp,
    abandoned: Timestamp,
) -> Update {
    let job = submitted_at(delivery);
    let over = Condition::All(vec![
        URL_LEASE.is_over(now),
        Condition::AtMost(LATEST_JOB, job.0),
    ]);
    let free = Condition::Any(vec![
        URL_LEASE.is_absent(),
        // An earlier try of this very call, whose answer was lost.
        URL_LEASE.is_held_by(lease),
        over,
        URL_LEASE.is_over(abandoned),
    ]);
    let mut changes = URL_LEASE.take(lease);
    changes.extend([Change::Set(LATEST_JOB, Value::N(job.0)), expiry(delivery)]);
    update(
        delivery,
        changes,
        Condition::All(vec![none_newer(job), free]),
    )
}

/// Gives the URL back, on condition that it has this very lease.
pub(crate) fn give_back(delivery: &Delivery, lease: &Lease) -> Update {
    update(delivery, released(), URL_LEASE.is_held_by(lease))
}

/// Stores that the event was answered well and gives the URL back, on condition that it has this
/// very lease and that no event of a newer job was answered well.
pub(crate) fn answered(delivery: &Delivery, lease: &Lease) -> Update {
    let job = submitted_at(delivery);
    let mut changes = released();
    changes.push(newest(job));
    let held = URL_LEASE.is_held_by(lease);
    update(
        delivery,
        changes,
        Condition::All(vec![held, none_newer(job)]),
    )
}

/// Stores that the event was answered well, whichever attempt has the URL, on condition that no
/// event of a newer job was.
pub(crate) fn remember(delivery: &Delivery) -> Update {
    let job = submitted_at(delivery);
    update(
        delivery,
        vec![newest(job), expiry(delivery)],
        none_newer(job),
    )
}

fn update(delivery: &Delivery, changes: Vec<Change>, condition: Condition) -> Update {
    Update {
        key: latest_key(&delivery.tenant, &delivery.url),
        changes,
        condition: Some(condition),
    }
}

fn submitted_at(delivery: &Delivery) -> Timestamp {
    delivery.id.job.created_at()
}

fn newest(job: Timestamp) -> Change {
    Change::Set(NEWEST, Value::N(job.0))
}

/// Requires that no event of a newer job was answered well.
fn none_newer(job: Timestamp) -> Condition {
    Condition::Any(vec![
        Condition::Absent(NEWEST),
        Condition::AtMost(NEWEST, job.0),
    ])
}

/// Anything older is gone by then: it was submitted before, and nothing is stored for longer.
fn expiry(delivery: &Delivery) -> Change {
    expires(delivery.expires_at.plus(BEYOND))
}

fn released() -> Vec<Change> {
    let mut changes = URL_LEASE.give_back();
    changes.push(Change::Remove(LATEST_JOB));
    changes
}
