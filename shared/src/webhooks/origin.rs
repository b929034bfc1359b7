//! Origins: whether a receiver's host is known to answer quickly.
//!
//! That a host hangs is known only when the first exchange with it has run out of time, and until then a burst of events
//! for it would hold every slot of the fast lane. So an origin that is not known to be quick gets one attempt at a time
//! through that lane, its probe, and the rest go through the lane of later attempts.
//!
//! This decides about lanes and nothing else: an attempt is made whether or not a write of these comes through. A probe
//! that nobody lived to give back ends with its time.

use crate::domain::delivery::{Delivery, ENDPOINT_MEMORY};
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::jobs::Ports;
use crate::ports::{Change, Condition, Item, Key, StoreError, Update, Value};
use crate::schema::{EXPIRES_AT, ORIGIN_LEASE, QUICK, current, get_n, origin_key};

/// One attempt's dealings with its origin.
pub(crate) struct Visit {
    key: Key,
    quick: bool,
    /// Of a probe that may be held.
    probe: Option<Lease>,
}

impl Visit {
    /// `item` is what is stored of the origin.
    pub(crate) fn new(delivery: &Delivery, item: Option<Item>, now: Timestamp) -> Self {
        Self {
            key: origin_key(&delivery.tenant, &delivery.url),
            quick: is_quick(item, now),
            probe: None,
        }
    }

    /// Whether an attempt that is over at `until` may go through the fast lane: the origin is quick, or its probe is free
    /// and now this attempt's.
    pub(crate) async fn enter(&mut self, ports: &Ports, until: Timestamp) -> bool {
        if self.quick {
            return true;
        }
        let now = ports.clock.now();
        let lease = Lease::random(ports.random(), until);
        let unknown = Condition::Any(vec![
            Condition::Absent(QUICK),
            Condition::AtMost(EXPIRES_AT, now.seconds()),
        ]);
        let free = ORIGIN_LEASE.is_free_for(&lease, now);
        let mut changes = ORIGIN_LEASE.take(&lease);
        // Of an item whose time is over.
        changes.extend([Change::Remove(QUICK), remembered(now)]);
        let take = Update {
            key: self.key.clone(),
            changes,
            condition: Some(Condition::All(vec![unknown, free])),
        };
        match ports.store.update(take).await {
            Err(StoreError::ConditionFailed(failed)) => {
                // Another exchange may have ended meanwhile.
                self.quick = is_quick(failed.into_iter().find_map(|failed| failed.existing), now);
                return self.quick;
            }
            Err(error) => {
                tracing::warn!(error = %error, "the probe of a receiver's origin was not noted; the attempt goes on");
            }
            Ok(_) => {}
        }
        self.probe = Some(lease);
        true
    }

    /// Remembers whether the origin answered quickly, and gives the probe back. What is known already costs no write.
    pub(crate) async fn learn(&mut self, ports: &Ports, quick: bool) {
        let changes = match (quick, self.quick) {
            (true, true) => return,
            (true, false) => {
                self.probe = None;
                let mut changes = vec![Change::Set(QUICK, Value::N(1))];
                changes.extend(ORIGIN_LEASE.give_back());
                changes.push(remembered(ports.clock.now()));
                changes
            }
            (false, true) => vec![Change::Remove(QUICK)],
            (false, false) => return self.leave(ports).await,
        };
        let condition = (!quick).then_some(Condition::Equals(QUICK, Value::N(1)));
        write(
            ports,
            Update {
                key: self.key.clone(),
                changes,
                condition,
            },
        )
        .await;
    }

    /// Gives the probe back, if this attempt holds it.
    pub(crate) async fn leave(&mut self, ports: &Ports) {
        let Some(lease) = self.probe.take() else {
            return;
        };
        write(
            ports,
            Update {
                key: self.key.clone(),
                changes: ORIGIN_LEASE.give_back(),
                condition: Some(ORIGIN_LEASE.is_held_by(&lease)),
            },
        )
        .await;
    }
}

fn is_quick(item: Option<Item>, now: Timestamp) -> bool {
    current(item, now).is_some_and(|item| get_n(&item, QUICK) == Some(1))
}

fn remembered(now: Timestamp) -> Change {
    Change::Set(EXPIRES_AT, Value::N(now.plus(ENDPOINT_MEMORY).seconds()))
}

async fn write(ports: &Ports, update: Update) {
    match ports.store.update(update).await {
        Ok(_) | Err(StoreError::ConditionFailed(_)) => {}
        Err(error) => {
            tracing::warn!(error = %error, "what the exchange taught of the receiver's origin was not kept");
        }
    }
}
