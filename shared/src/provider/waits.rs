//! What a provider's records wait for, in one small item of each provider, so that callers can be shown it.
//!
//! It is written where a record is suspended because its upstream cannot be asked, at most every [`EVERY`] by each process.
//! Nothing is decided by it, and nothing depends on a write of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Ports;
use crate::domain::job::WaitingFor;
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Store, StoreError, Update, Value, within};

/// A process writes the item at most this often, unless the upstream says something new.
const EVERY: Duration = Duration::from_secs(5);
/// A write takes at most this long of a record's time.
const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// A wait whose time to ask again has been over for this long is over too.
const GRACE: Duration = Duration::from_secs(60);
/// The item is removed this long after it was written, in seconds.
const KEPT: i64 = 24 * 3600;
/// The most providers that one answer names.
const MAX_SHOWN: usize = 25;

const SINCE: &str = "wait_since";
const UNTIL: &str = "wait_until";
const STATUS: &str = "wait_status";
const EXPIRES_AT: &str = "expires_at";

fn key(provider: &str) -> Key {
    Key { pk: format!("WAITS#{provider}"), sk: "WAITS".to_owned() }
}

/// A provider's wait as this process knows it.
#[derive(Debug)]
pub struct Waits {
    provider: String,
    local: Mutex<Local>,
}

#[derive(Debug, Default)]
struct Local {
    /// What the upstream said last, where it was that it cannot be asked.
    status: Option<u16>,
    /// The last write, and the status that it told.
    written: Option<(Timestamp, Option<u16>)>,
}

impl Waits {
    pub fn new(provider: &str) -> Self {
        Self { provider: provider.to_owned(), local: Mutex::default() }
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the upstream said last: the status of an answer that refused, or nothing.
    pub fn heard(&self, status: Option<u16>) {
        self.local().status = status;
    }

    /// The status with which the upstream refused last; `None` where it did not.
    pub fn status(&self) -> Option<u16> {
        self.local().status
    }

    /// Tells that a record waits until then. Takes at most half of `left`.
    pub async fn begin(&self, ports: &Ports, until: Timestamp, status: Option<u16>, left: Duration) {
        let Some(store) = &ports.shared else { return };
        let now = ports.clock.now();
        {
            let mut local = self.local();
            if local.written.is_some_and(|(at, told)| told == status && now < at.plus(EVERY)) {
                return;
            }
            local.written = Some((now, status));
        }
        let write = self.write(store.as_ref(), now, until, status);
        match within(ports.clock.as_ref(), WRITE_LIMIT.min(left / 2), write).await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(provider = self.provider, error = %error, "not told that records wait");
            }
            None => tracing::warn!(provider = self.provider, "not told in time that records wait"),
        }
    }

    async fn write(
        &self,
        store: &dyn Store,
        now: Timestamp,
        until: Timestamp,
        status: Option<u16>,
    ) -> Result<(), StoreError> {
        let alive = now.minus(GRACE).0;
        let mut changes =
            vec![Change::Set(UNTIL, Value::N(until.0)), Change::Set(EXPIRES_AT, Value::N(until.seconds() + KEPT))];
        changes.extend(status.map(|status| Change::Set(STATUS, Value::N(status.into()))));
        let condition = Some(Condition::AtLeast(UNTIL, alive));
        let goes_on = Update { key: key(&self.provider), changes: changes.clone(), condition };
        match store.update(goes_on).await {
            Err(StoreError::ConditionFailed(_)) => {}
            answer => return answer.map(drop),
        }
        changes.push(Change::Set(SINCE, Value::N(now.0)));
        changes.extend(status.is_none().then_some(Change::Remove(STATUS)));
        let over = vec![Condition::Absent(UNTIL), Condition::AtMost(UNTIL, alive - 1)];
        let begins = Update { key: key(&self.provider), changes, condition: Some(Condition::Any(over)) };
        match store.update(begins).await {
            // Another process was first.
            Ok(_) | Err(StoreError::ConditionFailed(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells that the upstream answers again, where this process told that it did not. Takes at most half of `left`.
    pub async fn end(&self, ports: &Ports, left: Duration) {
        let Some(store) = &ports.shared else { return };
        if self.local().written.take().is_none() {
            return;
        }
        let changes = [SINCE, UNTIL, STATUS].map(Change::Remove).to_vec();
        let update = Update { key: key(&self.provider), changes, condition: Some(Condition::ItemExists) };
        // Where it fails, the wait is over by itself soon.
        let _ = within(ports.clock.as_ref(), WRITE_LIMIT.min(left / 2), store.update(update)).await;
    }
}

/// Returns which of these providers are waited for now, in their order, read at once.
pub async fn waiting_for<'a>(
    store: &dyn Store,
    providers: impl Iterator<Item = &'a str>,
    now: Timestamp,
) -> Result<Vec<WaitingFor>, StoreError> {
    let names: Vec<&str> = providers.take(MAX_SHOWN).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<Key> = names.iter().map(|name| key(name)).collect();
    let items = store.get_many(&keys).await?;
    let waits = names.into_iter().zip(items);
    Ok(waits.filter_map(|(name, item)| read(name, &item?, now)).collect())
}

fn read(provider: &str, item: &Item, now: Timestamp) -> Option<WaitingFor> {
    let number = |name: &str| match item.attributes.get(name) {
        Some(Value::N(n)) => Some(*n),
        _ => None,
    };
    let (since, until) = (Timestamp(number(SINCE)?), Timestamp(number(UNTIL)?));
    (now < until.plus(GRACE)).then(|| WaitingFor {
        provider: provider.to_owned(),
        status: number(STATUS).and_then(|status| u16::try_from(status).ok()),
        since,
        until,
    })
}
