//! Deliveries: what is to be told, where, and how far that came.

use serde::{Deserialize, Serialize};

use super::due::{DUE, DUE_SHARD, WINDOW, due_shard};
use super::item::{Corrupt, SPEC, get_json, get_n, get_s, json, key, s, ttl};
use super::lease::LeaseSlot;
use crate::domain::delivery::{Delivery, DeliveryState, EventType};
use crate::domain::ids::{DeliveryId, JobId, TenantId};
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Change, Item, Key, Select, Value};

pub const ATTEMPTS: &str = "attempts";
pub const STATE: &str = "state";
pub const NEXT_ATTEMPT_AT: &str = "next_attempt_at";
pub const LEASE_TOKEN: &str = "lease_token";
pub const LEASE_UNTIL: &str = "lease_until";
/// Of a delivery: the right to make one attempt.
pub const ATTEMPT_LEASE: LeaseSlot = LeaseSlot::random(LEASE_TOKEN, LEASE_UNTIL);

pub fn delivery_key(id: &DeliveryId) -> Key {
    key(format!("JOB#{}", id.job), format!("DELIVERY#{:05}", id.n))
}

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
    dialect: String,
    event: EventType,
    event_at: Timestamp,
    url: String,
}

pub fn delivery_item(delivery: &Delivery, due: Option<Timestamp>) -> Item {
    let spec = DeliverySpec {
        tenant: delivery.tenant.clone(),
        dialect: delivery.dialect.clone(),
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

/// What an update sets of a delivery: all of it that changes, lease and `due` included.
pub fn delivery_changes(delivery: &Delivery, due: Option<Timestamp>) -> Vec<Change> {
    let mut changes = vec![
        Change::Set(STATE, s(delivery.state.as_str())),
        Change::Set(ATTEMPTS, Value::N(delivery.attempts.into())),
        Change::Set("round_start", Value::N(delivery.round_start.into())),
        Change::Set("explicit", Value::N(delivery.explicit.into())),
        Change::Set(NEXT_ATTEMPT_AT, Value::N(delivery.next_attempt_at.0)),
        Change::Set("log", s(json(&delivery.log))),
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
        Some(due) => {
            changes.push(Change::Set(DUE, Value::N(due.0)));
            changes.push(Change::Set(DUE_SHARD, s(due_shard(&delivery.id.job))));
        }
        None => changes.extend([Change::Remove(DUE), Change::Remove(DUE_SHARD)]),
    }
    changes
}

pub fn read_delivery(id: &DeliveryId, item: &Item) -> Result<Delivery, Corrupt> {
    let spec: DeliverySpec = get_json(item, SPEC)?;
    let number = |name| get_n(item, name).and_then(|n| u32::try_from(n).ok());
    Ok(Delivery {
        id: id.clone(),
        tenant: spec.tenant,
        dialect: spec.dialect,
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
        log: get_json(item, "log")?,
        expires_at: get_n(item, "expires_ms")
            .map(Timestamp)
            .ok_or(Corrupt("expires_ms"))?,
    })
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
