//! Origins: whether a receiver's host is known to answer quickly.
//!
//! That a host hangs is known only when the first exchange with it has run out of time. Until then
//! a burst of events for it would hold every slot of the fast lane. So an origin that is not known
//! to be quick gets one attempt at a time through that lane, by its lease. The rest go through the
//! lane of later attempts.
//!
//! This decides about lanes and nothing else: an attempt is made whether or not these writes come
//! through. A lease whose holder died ends with its time.

use crate::domain::delivery::Delivery;
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::jobs::Ports;
use crate::ports::{Item, Key, StoreError, Update};
use crate::schema::current;
use crate::schema::origin::{self, origin_key};

/// One attempt's admission to its origin.
pub(crate) struct OriginAdmission {
    key: Key,
    quick: bool,
    /// The origin's lease, where this attempt may have it.
    lease: Option<Lease>,
}

impl OriginAdmission {
    /// Reads the origin's stored `item`.
    pub(crate) fn new(delivery: &Delivery, item: Option<Item>, now: Timestamp) -> Self {
        Self {
            key: origin_key(&delivery.tenant, &delivery.url),
            quick: is_quick(item, now),
            lease: None,
        }
    }

    /// Checks whether an attempt that is over at `until` may go through the fast lane: the origin
    /// is quick, or its lease was free and is now this attempt's.
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
                tracing::warn!(
                    error = %error,
                    "the lease of a receiver's origin was not written; the attempt goes on"
                );
            }
            Ok(_) => {}
        }
        self.lease = Some(lease);
        true
    }

    /// Stores whether the origin answered quickly, and gives its lease back. What is known already
    /// costs no write.
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

    /// Gives the origin's lease back, if this attempt has it.
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
            tracing::warn!(error = %error, "whether the receiver's origin is quick was not stored");
        }
    }
}
