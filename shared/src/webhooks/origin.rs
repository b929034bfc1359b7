//! Origins: whether a receiver's host is known to answer quickly.
//!
//! That a host hangs is known only when the first exchange with it has run out of time, and until then a burst of events
//! for it would hold every slot of the fast lane. So an origin that is not known to be quick gets one attempt at a time
//! through that lane, its probe, and the rest go through the lane of later attempts.
//!
//! This decides about lanes and nothing else: an attempt is made whether or not a write of these comes through. A probe
//! that nobody lived to give back ends with its time.

use crate::domain::delivery::Delivery;
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::jobs::Ports;
use crate::ports::{Item, Key, StoreError, Update};
use crate::schema::current;
use crate::schema::origin::{self, origin_key};

/// One attempt's dealings with its origin.
pub(crate) struct OriginAdmission {
    key: Key,
    quick: bool,
    /// Of a probe that may be held.
    lease: Option<Lease>,
}

impl OriginAdmission {
    /// `item` is what is stored of the origin.
    pub(crate) fn new(delivery: &Delivery, item: Option<Item>, now: Timestamp) -> Self {
        Self {
            key: origin_key(&delivery.tenant, &delivery.url),
            quick: is_quick(item, now),
            lease: None,
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
        let take = origin::lease(self.key.clone(), &lease, now);
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
        self.lease = Some(lease);
        true
    }

    /// Remembers whether the origin answered quickly, and gives the probe back. What is known already costs no write.
    pub(crate) async fn learn(&mut self, ports: &Ports, quick: bool) {
        let key = self.key.clone();
        let update = match (quick, self.quick) {
            (true, true) => return,
            (true, false) => {
                self.lease = None;
                origin::is_found_quick(key, ports.clock.now())
            }
            (false, true) => origin::is_found_slow(key),
            (false, false) => return self.leave(ports).await,
        };
        write(ports, update).await;
    }

    /// Gives the probe back, if this attempt holds it.
    pub(crate) async fn leave(&mut self, ports: &Ports) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        write(ports, origin::give_back(self.key.clone(), &lease)).await;
    }
}

fn is_quick(item: Option<Item>, now: Timestamp) -> bool {
    current(item, now).is_some_and(|item| origin::is_quick(&item))
}

async fn write(ports: &Ports, update: Update) {
    match ports.store.update(update).await {
        Ok(_) | Err(StoreError::ConditionFailed(_)) => {}
        Err(error) => {
            tracing::warn!(error = %error, "what the exchange taught of the receiver's origin was not kept");
        }
    }
}
