//! The providers that records wait for, in one small item each, so that callers can be shown them.
//!
//! It is written when a record is suspended because of a provider's limits or its upstream, and
//! when the upstream has answered since, about every [`EVERY`] by each process. Of several waits it
//! has the longest. Nothing is decided by it, and nothing depends on a write of it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::job::WaitingFor;
use crate::domain::suspended::Outage;
use crate::domain::time::Timestamp;
use crate::ports::{Item, Key, Store, StoreError, within};
use crate::providers::Ports;
use crate::schema::waits::{self, ReportedWait, waits_key};

/// A process repeats what it wrote at most this often.
const EVERY: Duration = Duration::from_secs(5);
/// A write takes at most this long.
const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// The time for which a wait goes on after the provider was to be asked again: the next caller
/// reports that, or the answer.
const GRACE: Duration = Duration::from_secs(30);
/// The most providers that one answer names.
const MAX_SHOWN: usize = 25;

/// A provider's wait as this process reports it.
#[derive(Debug)]
pub struct Waits {
    provider: String,
    written: Mutex<Option<Written>>,
}

/// The last write of this process.
#[derive(Debug, Clone, Copy)]
struct Written {
    at: Timestamp,
    until: Timestamp,
    over: bool,
    /// Set if it was because of the upstream.
    outage: bool,
}

impl Waits {
    /// Makes a wait of which nothing is written yet.
    pub fn new(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            written: Mutex::default(),
        }
    }

    /// Reports that a record waits until then, because of an outage or for a slot. Takes at most
    /// `limit`.
    pub async fn tell(
        &self,
        ports: &Ports,
        until: Timestamp,
        outage: Option<Outage>,
        limit: Duration,
    ) {
        let Some(store) = &ports.shared else { return };
        let now = ports.clock.now();
        {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let reported = written.filter(|written| !written.over);
            if reported.is_some_and(|reported| {
                now < reported.at.plus(EVERY) && until <= reported.until.plus(EVERY)
            }) {
                return;
            }
            let until = reported.map_or(until, |reported| reported.until.max(until));
            *written = Some(Written {
                at: now,
                until,
                over: false,
                outage: outage.is_some(),
            });
        }
        let write = self.write(
            store.as_ref(),
            now,
            until,
            outage.and_then(|outage| outage.status),
        );
        if !self.wrote(within(ports.clock.as_ref(), WRITE_LIMIT.min(limit), write).await) {
            *self.written.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Reports that the upstream has answered, if this process reported a wait for it, or if the
    /// record waited (`waited`). Takes at most `limit`.
    pub async fn over(&self, ports: &Ports, waited: bool, limit: Duration) {
        let Some(store) = &ports.shared else { return };
        let now = ports.clock.now();
        {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let due = written.map_or(waited, |reported| {
                (waited || (reported.outage && !reported.over)) && now >= reported.at.plus(EVERY)
            });
            if !due {
                return;
            }
            *written = Some(Written {
                at: now,
                until: now,
                over: true,
                outage: true,
            });
        }
        let write = async {
            match store.update(waits::over(&self.provider, now)).await {
                // It has expired.
                Ok(_) | Err(StoreError::ConditionFailed(_)) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.wrote(within(ports.clock.as_ref(), WRITE_LIMIT.min(limit), write).await);
    }

    fn wrote(&self, answer: Option<Result<(), StoreError>>) -> bool {
        match answer {
            Some(Ok(())) => return true,
            Some(Err(error)) => {
                tracing::warn!(
                    provider = self.provider,
                    error = %error,
                    "not told whether records wait"
                );
            }
            None => tracing::warn!(
                provider = self.provider,
                "not told in time whether records wait"
            ),
        }
        false
    }

    async fn write(
        &self,
        store: &dyn Store,
        now: Timestamp,
        until: Timestamp,
        status: Option<u16>,
    ) -> Result<(), StoreError> {
        let reported = ReportedWait {
            until,
            status,
            alive: now.minus(GRACE),
        };
        let found = match store.update(waits::go_on(&self.provider, &reported)).await {
            Err(StoreError::ConditionFailed(failed)) => {
                failed.into_iter().next().and_then(|failed| failed.existing)
            }
            answer => return answer.map(drop),
        };
        let Some(begin) = waits::begin(&self.provider, &reported, found.as_ref(), now) else {
            return Ok(());
        };
        match store.update(begin).await {
            // Another process was first.
            Ok(_) | Err(StoreError::ConditionFailed(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Returns which of these providers are waited for now, in their order, read at once.
///
/// # Errors
/// When the table cannot be read.
pub async fn waiting_for<'a>(
    store: &dyn Store,
    providers: impl Iterator<Item = &'a str>,
    now: Timestamp,
) -> Result<Vec<WaitingFor>, StoreError> {
    let names: Vec<&str> = providers.take(MAX_SHOWN).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<Key> = names.iter().map(|name| waits_key(name)).collect();
    let items = store.get_many(&keys).await?;
    let waits = names.into_iter().zip(items);
    Ok(waits
        .filter_map(|(name, item)| read(name, &item?, now))
        .collect())
}

fn read(provider: &str, item: &Item, now: Timestamp) -> Option<WaitingFor> {
    let wait = waits::read(item)?;
    let grace = if wait.is_over { Duration::ZERO } else { GRACE };
    (now < wait.until.plus(grace)).then(|| WaitingFor {
        provider: provider.to_owned(),
        status: wait.status,
        since: wait.since,
        until: wait.until,
    })
}
