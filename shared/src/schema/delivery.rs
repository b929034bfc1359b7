//! Deliveries: the event, its receiver, and its attempts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::due::{WINDOW, due_at, move_due_with, not_due};
use super::item::{Corrupt, SPEC, get_json, get_n, get_s, json, key, millis, s, ttl};
use super::lease::LeaseSlot;
use crate::domain::delivery::{Delivery, DeliveryState, EventType};
use crate::domain::ids::{DeliveryId, JobId, TenantId};
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Change, Condition, Item, Key, Put, Select, Update, Value, Write};

/// The number of attempts that were begun.
pub const ATTEMPTS: &str = "attempts";
/// The delivery's state, by its name.
pub const STATE: &str = "state";
const NEXT_ATTEMPT_AT: &str = "next_attempt_at";
const LOG: &str = "log";
/// The token of the lease of the attempt under way.
pub const LEASE_TOKEN: &str = "lease_token";
/// The end of that lease, in milliseconds since the epoch.
pub const LEASE_UNTIL: &str = "lease_until";
/// Of a delivery: the right to make one attempt.
const ATTEMPT_LEASE: LeaseSlot = LeaseSlot::random(LEASE_TOKEN, LEASE_UNTIL);

/// Returns the key of a delivery.
pub fn delivery_key(id: &DeliveryId) -> Key {
    key(format!("JOB#{}", id.job), format!("DELIVERY#{:05}", id.n))
}

/// Selects a job's deliveries from the `from`th on.
pub fn deliveries_range(job: &JobId, from: u32) -> Select {
    Select::Partition {
        pk: format!("JOB#{job}"),
        from: format!("DELIVERY#{from:05}"),
        to: "DELIVERY#~".into(),
    }
}

/// The part of a delivery that never changes.
#[derive(Serialize, Deserialize)]
struct DeliverySpec {
    tenant: TenantId,
    #[serde(rename = "dialect")]
    surface: String,
    event: EventType,
    event_at: Timestamp,
    url: String,
}

/// Makes a delivery; `due` is the time of the sweep's first check.
pub fn delivery_item(delivery: &Delivery, due: Option<Timestamp>) -> Item {
    let spec = DeliverySpec {
        tenant: delivery.tenant.clone(),
        surface: delivery.surface.clone(),
        event: delivery.event,
        event_at: delivery.event_at,
        url: delivery.url.clone(),
    };
    let mut attributes =
        Attributes::from([(SPEC.into(), s(json(&spec))), ttl(delivery.expires_at)]);
    attributes.insert("expires_ms".into(), Value::N(delivery.expires_at.0));
    for change in delivery_changes(delivery, due) {
        if let Change::Set(name, value) = change {
            attributes.insert(name.into(), value);
        }
    }
    Item {
        key: delivery_key(&delivery.id),
        attributes,
    }
}

/// Sets all of a delivery that changes, lease and `due` included.
fn delivery_changes(delivery: &Delivery, due: Option<Timestamp>) -> Vec<Change> {
    let mut changes = vec![
        Change::Set(STATE, s(delivery.state.as_str())),
        Change::Set(ATTEMPTS, Value::N(delivery.attempts.into())),
        Change::Set("round_start", Value::N(delivery.round_start.into())),
        Change::Set("explicit", Value::N(delivery.explicit.into())),
        Change::Set(NEXT_ATTEMPT_AT, Value::N(delivery.next_attempt_at.0)),
        Change::Set(LOG, s(json(&delivery.log))),
        Change::Remove(WINDOW),
    ];
    match &delivery.reason {
        Some(reason) => changes.push(Change::Set("reason", s(reason))),
        None => changes.push(Change::Remove("reason")),
    }
    match &delivery.lease {
        Some(lease) => changes.extend(ATTEMPT_LEASE.take(lease)),
        None => changes.extend(ATTEMPT_LEASE.give_back()),
    }
    match due {
        Some(due) => changes.extend(due_at(&delivery.id.job, due)),
        None => changes.extend(not_due()),
    }
    changes
}

/// Reads a delivery.
///
/// # Errors
/// [`Corrupt`] where it is not what a version of ours writes.
pub fn read_delivery(id: &DeliveryId, item: &Item) -> Result<Delivery, Corrupt> {
    let spec: DeliverySpec = get_json(item, SPEC)?;
    let number = |name| get_n(item, name).and_then(|n| u32::try_from(n).ok());
    Ok(Delivery {
        id: id.clone(),
        tenant: spec.tenant,
        surface: spec.surface,
        event: spec.event,
        event_at: spec.event_at,
        url: spec.url,
        state: get_s(item, STATE)
            .and_then(DeliveryState::parse)
            .ok_or(Corrupt(STATE))?,
        reason: get_s(item, "reason").map(str::to_owned),
        // One more can always be counted.
        attempts: number(ATTEMPTS)
            .filter(|n| *n < u32::MAX)
            .ok_or(Corrupt(ATTEMPTS))?,
        round_start: number("round_start").unwrap_or(0),
        explicit: number("explicit") == Some(1),
        next_attempt_at: get_n(item, NEXT_ATTEMPT_AT)
            .map(Timestamp)
            .ok_or(Corrupt(NEXT_ATTEMPT_AT))?,
        lease: ATTEMPT_LEASE.read(item),
        log: get_json(item, LOG)?,
        expires_at: get_n(item, "expires_ms")
            .map(Timestamp)
            .ok_or(Corrupt("expires_ms"))?,
    })
}

/// Returns the log of a delivery's attempts as it is stored.
pub(crate) fn read_log_text(item: &Item) -> &str {
    get_s(item, LOG).unwrap_or_default()
}

/// Reads how long the sweep waited before it last sent a delivery's message again.
pub(crate) fn read_window(item: &Item) -> Option<Duration> {
    let window = get_n(item, WINDOW).and_then(|ms| u64::try_from(ms).ok());
    window.map(Duration::from_millis)
}

/// Returns whether a delivery has this very lease: a write whose answer was lost has taken it then.
pub(crate) fn holds(item: &Item, lease: &Lease) -> bool {
    ATTEMPT_LEASE.holds(item, lease)
}

/// Puts a new delivery, with the time of the sweep's first check.
pub(crate) fn insert(delivery: &Delivery, due: Timestamp) -> Put {
    super::item::insert(delivery_item(delivery, Some(due)))
}

fn update(delivery: &Delivery, due: Option<Timestamp>, condition: Condition) -> Update {
    Update {
        key: delivery_key(&delivery.id),
        changes: delivery_changes(delivery, due),
        condition: Some(condition),
    }
}

/// Requires this state and this number of begun attempts.
fn is_at(state: DeliveryState, attempts: u32) -> [Condition; 2] {
    [
        Condition::Equals(STATE, s(state.as_str())),
        Condition::Equals(ATTEMPTS, Value::N(attempts.into())),
    ]
}

/// Requires the delivery as it was planned: this number of begun attempts, pending, and no live
/// lease.
fn as_planned(attempts: u32, now: Timestamp) -> Condition {
    let mut planned = is_at(DeliveryState::Pending, attempts).to_vec();
    planned.push(ATTEMPT_LEASE.is_free(now));
    Condition::All(planned)
}

/// Writes the lease of the next attempt, which the delivery counts already, on condition that
/// `planned` attempts were begun and none is under way.
pub(crate) fn lease(delivery: &Delivery, due: Timestamp, planned: u32, now: Timestamp) -> Update {
    update(delivery, Some(due), as_planned(planned, now))
}

/// Records the outcome of an attempt, on condition that its lease is still the delivery's.
pub(crate) fn record(delivery: &Delivery, due: Option<Timestamp>, lease: &Lease) -> Update {
    update(delivery, due, ATTEMPT_LEASE.is_held_by(lease))
}

/// Writes a delivery without an attempt, on condition that its next one is still planned for
/// `planned` and none is under way.
pub(crate) fn replan(
    delivery: &Delivery,
    due: Option<Timestamp>,
    planned: Timestamp,
    now: Timestamp,
) -> Update {
    let condition = Condition::All(vec![
        as_planned(delivery.attempts, now),
        Condition::Equals(NEXT_ATTEMPT_AT, Value::N(planned.0)),
    ]);
    update(delivery, due, condition)
}

/// Begins another round of a delivery's attempts, on condition that it has the state and the
/// attempts that were read, and none is under way.
pub(crate) fn replay(
    delivery: &Delivery,
    due: Timestamp,
    (state, attempts): (DeliveryState, u32),
    now: Timestamp,
) -> Write {
    let condition = if state == DeliveryState::Pending {
        as_planned(attempts, now)
    } else {
        Condition::All(is_at(state, attempts).to_vec())
    };
    Write::Update(update(delivery, Some(due), condition))
}

/// Moves the sweep's next check of a delivery, on condition that `due` is unchanged. `window` is
/// the time to the check after that, where the message is sent again.
pub(crate) fn look_again(
    id: &DeliveryId,
    read: Timestamp,
    at: Timestamp,
    window: Option<Duration>,
) -> Update {
    let window = window.map(|window| Change::Set(WINDOW, Value::N(millis(window))));
    move_due_with(
        window.into_iter().collect(),
        delivery_key(id),
        read,
        due_at(&id.job, at),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_that_cannot_be_counted_on_from_made_every_step_panic() {
        let tenant = TenantId::parse("t").unwrap();
        let (id, at) = (JobId::new(Timestamp(1), [3; 10]).delivery(0), Timestamp(0));
        let mut delivery = Delivery::new(
            id.clone(),
            tenant,
            "d",
            EventType::JobCompleted,
            at,
            "https://a.example/",
            at,
        );
        delivery.attempts = u32::MAX;
        assert_eq!(
            read_delivery(&id, &delivery_item(&delivery, None)),
            Err(Corrupt(ATTEMPTS))
        );
    }
}
