//! Whom records wait for, in one small item of each provider, so that callers can be shown it.
//!
//! It is written where a record is suspended because of a provider's limits or its upstream, and once more when the upstream
//! has answered a question since, each about every [`EVERY`] by each process. Of several waits it tells the longest. Nothing is
//! decided by it, and nothing depends on a write of it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::job::WaitingFor;
use crate::domain::suspended::Outage;
use crate::domain::time::Timestamp;
use crate::ports::{Change, Condition, Item, Key, Store, StoreError, Update, Value, within};
use crate::providers::Ports;

/// A process repeats what it wrote at most this often.
const EVERY: Duration = Duration::from_secs(5);
/// A write takes at most this long.
const WRITE_LIMIT: Duration = Duration::from_secs(2);
/// A wait is taken to go on for this long after the provider was to be asked again: whoever asks it then tells so, or that
/// it has answered.
const GRACE: Duration = Duration::from_secs(30);
/// The item is removed this long after that, in seconds.
const KEPT: i64 = 24 * 3600;
/// The most providers that one answer names.
const MAX_SHOWN: usize = 25;

const SINCE: &str = "wait_since";
const UNTIL: &str = "wait_until";
const STATUS: &str = "wait_status";
/// When the upstream answered since; what waits still is asked at its time.
const OVER: &str = "wait_over";
const EXPIRES_AT: &str = "expires_at";

fn key(provider: &str) -> Key {
    Key {
        pk: format!("WAITS#{provider}"),
        sk: "WAITS".to_owned(),
    }
}

/// A provider's wait as this process tells it.
#[derive(Debug)]
pub struct Waits {
    provider: String,
    written: Mutex<Option<Written>>,
}

/// What this process wrote last.
#[derive(Debug, Clone, Copy)]
struct Written {
    at: Timestamp,
    until: Timestamp,
    over: bool,
    /// It was because of the upstream.
    outage: bool,
}

impl Waits {
    /// Nothing is written yet.
    pub fn new(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            written: Mutex::default(),
        }
    }

    /// Tells that a record waits until then, because of an outage or for its turn at a rate. Takes at most `limit`.
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
            let told = written.filter(|written| !written.over);
            if told.is_some_and(|told| now < told.at.plus(EVERY) && until <= told.until.plus(EVERY))
            {
                return;
            }
            let until = told.map_or(until, |told| told.until.max(until));
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

    /// Tells that the upstream has answered, where this process told that records wait for it, or where the record did
    /// (`waited`). Takes at most `limit`.
    pub async fn over(&self, ports: &Ports, waited: bool, limit: Duration) {
        let Some(store) = &ports.shared else { return };
        let now = ports.clock.now();
        {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            let due = written.map_or(waited, |told| {
                (waited || (told.outage && !told.over)) && now >= told.at.plus(EVERY)
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
        let update = Update {
            key: key(&self.provider),
            changes: vec![Change::Set(OVER, Value::N(now.0))],
            condition: Some(Condition::ItemExists),
        };
        let write = async {
            match store.update(update).await {
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
                tracing::warn!(provider = self.provider, error = %error, "not told whether records wait");
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
        let alive = now.minus(GRACE).0;
        let mut changes = vec![
            Change::Set(EXPIRES_AT, Value::N(until.seconds() + KEPT)),
            status.map_or(Change::Remove(STATUS), |status| {
                Change::Set(STATUS, Value::N(status.into()))
            }),
        ];
        let same = vec![
            Condition::Absent(OVER),
            Condition::AtLeast(UNTIL, alive),
            // Another record waits longer.
            Condition::AtMost(UNTIL, until.0),
        ];
        let condition = Some(Condition::All(same));
        let goes_on = Update {
            key: key(&self.provider),
            changes: [&changes[..], &[Change::Set(UNTIL, Value::N(until.0))]].concat(),
            condition,
        };
        let there = match store.update(goes_on).await {
            Err(StoreError::ConditionFailed(failed)) => {
                failed.into_iter().next().and_then(|failed| failed.existing)
            }
            answer => return answer.map(drop),
        };
        let number = |name| there.as_ref().and_then(|item| number(item, name));
        let longer = number(UNTIL).filter(|told| *told > until.0);
        match (number(OVER), longer) {
            (None, Some(_)) => return Ok(()),
            // What waited before the answer waits on.
            (Some(_), Some(longer)) => changes.push(Change::Set(UNTIL, Value::N(longer))),
            _ => changes.push(Change::Set(UNTIL, Value::N(until.0))),
        }
        changes.extend([Change::Set(SINCE, Value::N(now.0)), Change::Remove(OVER)]);
        let over = vec![
            Condition::Absent(UNTIL),
            Condition::AtMost(UNTIL, alive - 1),
            Condition::AtLeast(OVER, 0),
        ];
        let begins = Update {
            key: key(&self.provider),
            changes,
            condition: Some(Condition::Any(over)),
        };
        match store.update(begins).await {
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
    let keys: Vec<Key> = names.iter().map(|name| key(name)).collect();
    let items = store.get_many(&keys).await?;
    let waits = names.into_iter().zip(items);
    Ok(waits
        .filter_map(|(name, item)| read(name, &item?, now))
        .collect())
}

fn number(item: &Item, name: &str) -> Option<i64> {
    match item.attributes.get(name) {
        Some(Value::N(n)) => Some(*n),
        _ => None,
    }
}

fn read(provider: &str, item: &Item, now: Timestamp) -> Option<WaitingFor> {
    let number = |name| number(item, name);
    let (since, until) = (Timestamp(number(SINCE)?), Timestamp(number(UNTIL)?));
    let grace = if number(OVER).is_some() {
        Duration::ZERO
    } else {
        GRACE
    };
    (now < until.plus(grace)).then(|| WaitingFor {
        provider: provider.to_owned(),
        status: number(STATUS).and_then(|status| u16::try_from(status).ok()),
        since,
        until,
    })
}
