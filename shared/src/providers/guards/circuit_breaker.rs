//! A circuit breaker whose state all processes share.
//!
//! While the circuit is closed, every process counts its own failures. After enough of them it
//! opens the circuit for all processes with one conditional write. Once that time is over, one
//! request of all processes is let through: that of the process that wins the lease. If it is
//! answered the circuit closes; if not it stays open for twice as long.
//!
//! A process reads the item at most every [`REFRESH`], so a dead upstream costs each process a few
//! requests at the worst. An answer counts for the state in which its request was sent: stragglers
//! neither open nor close anything. If the table fails, a process goes on with what it knows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::catalog::BreakerConfig;
use crate::domain::backoff::{doubled, jittered};
use crate::domain::lease::Lease;
use crate::domain::suspended::Outage;
use crate::domain::time::Timestamp;
use crate::ports::{Key, StoreError, Update, within};
use crate::providers::Ports;
use crate::schema::breaker::{self, Open, breaker_key};

/// The time for which the item, once read, is believed.
const REFRESH: Duration = Duration::from_secs(5);
/// The time that the table has to return the circuit's state, taken from the record's own.
const READ_LIMIT: Duration = Duration::from_secs(2);
/// The time after which a lease whose request has not ended is over: its process has died.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(120);
/// The least number of requests of which a share of failures counts.
const FEW: u32 = 20;
/// The share by which an opening's length is varied at random, either way.
const JITTER: f64 = 0.1;

/// The results of the latest requests.
#[derive(Debug, Default)]
struct Tally {
    in_a_row: u32,
    since: Option<Timestamp>,
    failed: u32,
    all: u32,
}

impl Tally {
    /// Counts a result; returns whether the circuit opens.
    fn count(&mut self, failed: bool, now: Timestamp, rules: &BreakerConfig) -> bool {
        if self
            .since
            .is_none_or(|since| now.since(since) >= rules.window)
        {
            *self = Self {
                since: Some(now),
                in_a_row: self.in_a_row,
                ..Self::default()
            };
        }
        self.all += 1;
        if !failed {
            self.in_a_row = 0;
            return false;
        }
        self.in_a_row += 1;
        self.failed += 1;
        let share = f64::from(self.failed) / f64::from(self.all);
        self.in_a_row >= rules.failures || (self.all >= FEW && share >= rules.share)
    }
}

/// Returns the time for which the circuit is open the `times`th time in a row.
fn length(rules: &BreakerConfig, times: u32, unit: f64) -> Duration {
    let length = doubled(rules.open, rules.longest, times.saturating_sub(1));
    jittered(length, JITTER, unit)
}

/// Permission to send one request.
#[derive(Debug)]
pub struct Pass {
    era: u64,
    /// The opening that it tests.
    lease: Option<Open>,
}

/// A provider's circuit as this process knows it.
#[derive(Debug)]
pub struct Breaker {
    name: String,
    rules: BreakerConfig,
    local: Mutex<Local>,
    reading: futures_util::lock::Mutex<()>,
    telling: futures_util::lock::Mutex<()>,
}

#[derive(Debug, Default)]
struct Local {
    open: Option<Open>,
    read_at: Option<Timestamp>,
    tally: Tally,
    /// Counts the changes of state.
    era: u64,
    /// A change found here that the table does not have yet.
    untold: Option<Update>,
}

impl Local {
    fn learn(&mut self, open: Option<Open>) {
        if self.open.as_ref().map(|open| open.until) != open.as_ref().map(|open| open.until) {
            self.era += 1;
            self.tally = Tally::default();
        }
        self.open = open;
    }

    fn check(&self, now: Timestamp) -> Result<(), Timestamp> {
        match &self.open {
            Some(open) if now < open.until => Err(open.until),
            Some(Open {
                lease: Some(lease), ..
            }) if lease.is_live(now) => Err(lease.until.min(now.plus(REFRESH))),
            _ => Ok(()),
        }
    }
}

impl Breaker {
    /// Makes a provider's breaker, closed until the table says otherwise.
    pub fn new(provider: &str, rules: &BreakerConfig) -> Self {
        Self {
            name: provider.to_owned(),
            rules: *rules,
            local: Mutex::default(),
            telling: futures_util::lock::Mutex::new(()),
            reading: futures_util::lock::Mutex::new(()),
        }
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self) -> Key {
        breaker_key(&self.name)
    }

    /// Returns what opened the circuit, as far as this process knows; `None` if it is closed.
    pub fn outage(&self) -> Option<Outage> {
        self.local().open.as_ref().map(|open| open.outage)
    }

    /// Checks whether a request may be sent; returns the time of the next check if not.
    pub async fn check(&self, ports: &Ports) -> Result<(), Timestamp> {
        self.tell(ports).await;
        self.refresh(ports).await;
        self.local().check(ports.clock.now())
    }

    /// Permits one request now, under a lease if need be, or returns the time to ask again. It
    /// calls the table for a lease alone, so that a request is not late for its slot.
    pub async fn admit(&self, ports: &Ports) -> Result<Pass, Timestamp> {
        for _ in 0..2 {
            self.local().check(ports.clock.now())?;
            let now = ports.clock.now();
            let lease = Lease::ending(now.plus(TRIAL_TIMEOUT));
            let tried = {
                let mut local = self.local();
                let era = local.era;
                let Some(open) = &mut local.open else {
                    return Ok(Pass { era, lease: None });
                };
                let tried = open.clone();
                // No other request of this process tries meanwhile.
                open.lease = Some(lease.clone());
                tried
            };
            let pass = Pass {
                era: self.local().era,
                lease: Some(tried.clone()),
            };
            let Some(store) = &ports.shared else {
                return Ok(pass);
            };
            let update = breaker::lease(self.key(), &tried, &lease, now);
            match store.update(update).await {
                Ok(_) => {
                    tracing::info!(provider = self.name, "circuit is tried by a probe");
                    return Ok(pass);
                }
                Err(StoreError::ConditionFailed(failed)) => {
                    let found = failed.iter().find_map(|f| f.existing.as_ref());
                    self.local().learn(breaker::read(found, now));
                }
                Err(error) => {
                    tracing::warn!(
                        provider = self.name,
                        error = %error,
                        "circuit not tried: the table did not answer"
                    );
                    self.local().open = Some(tried);
                    return Err(now.plus(REFRESH));
                }
            }
        }
        Err(ports.clock.now().plus(REFRESH))
    }

    /// Reads the item if it was read too long ago. One caller of this process reads, the others
    /// wait.
    async fn refresh(&self, ports: &Ports) {
        let Some(store) = &ports.shared else { return };
        let fresh = || {
            self.local()
                .read_at
                .is_some_and(|at| ports.clock.now().since(at) < REFRESH)
        };
        if fresh() {
            return;
        }
        let _reading = self.reading.lock().await;
        if fresh() {
            return;
        }
        let era = self.local().era;
        let key = self.key();
        let read = within(ports.clock.as_ref(), READ_LIMIT, store.get(&key)).await;
        let read =
            read.unwrap_or_else(|| Err(StoreError::Unavailable("no answer in time".to_owned())));
        let now = ports.clock.now();
        let mut local = self.local();
        local.read_at = Some(now);
        match read {
            // What was learned meanwhile is newer.
            Ok(item) if local.era == era && local.untold.is_none() => {
                local.learn(breaker::read(item.as_ref(), now));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    provider = self.name,
                    error = %error,
                    "state of the circuit not read"
                );
            }
        }
    }

    /// Counts a request, and writes to the table if that changes the circuit.
    pub async fn report(&self, ports: &Ports, pass: &Pass, failure: Option<Outage>) {
        self.count(ports, pass, failure);
        self.tell(ports).await;
    }

    /// Counts as [`report`](Self::report) does, and leaves the write to the next request.
    pub fn count(&self, ports: &Ports, pass: &Pass, failure: Option<Outage>) {
        let now = ports.clock.now();
        let mut local = self.local();
        let (outage, times) = match &pass.lease {
            Some(before) => {
                let Some(outage) = failure else {
                    tracing::info!(
                        provider = self.name,
                        "circuit is closed: the probe was answered"
                    );
                    local.learn(None);
                    local.untold = Some(breaker::close(self.key(), before));
                    return;
                };
                (outage, before.times.saturating_add(1))
            }
            None if pass.era != local.era || local.open.is_some() => return,
            None if !local.tally.count(failure.is_some(), now, &self.rules) => return,
            None => (failure.unwrap_or_default(), 1),
        };
        let until = now.plus(length(&self.rules, times, ports.entropy.unit()));
        tracing::warn!(
            provider = self.name,
            until = %until,
            times,
            "circuit is open: the upstream fails"
        );
        let open = Open {
            until,
            times,
            lease: None,
            outage,
        };
        local.untold = Some(breaker::open(self.key(), pass.lease.as_ref(), &open, now));
        local.learn(Some(open));
    }

    /// Writes the change found here, unless another process was first. If cancelled, the next
    /// request does it.
    async fn tell(&self, ports: &Ports) {
        let Some(_telling) = self.telling.try_lock() else {
            return;
        };
        let Some(update) = self.local().untold.clone() else {
            return;
        };
        let reported = match &ports.shared {
            Some(store) => store.update(update.clone()).await,
            None => Err(StoreError::ConditionFailed(Vec::new())),
        };
        let mut local = self.local();
        if local.untold.as_ref() != Some(&update) {
            return;
        }
        match reported {
            Ok(_) => local.untold = None,
            Err(StoreError::ConditionFailed(failed)) => {
                local.untold = None;
                let found = failed.iter().find_map(|f| f.existing.as_ref());
                let theirs = breaker::read(found, ports.clock.now());
                // If it was closed meanwhile, it is open for this process alone.
                if theirs.is_some() {
                    local.learn(theirs);
                }
            }
            Err(error) => {
                tracing::warn!(
                    provider = self.name,
                    error = %error,
                    "others do not know of the circuit yet"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::ports;

    const FAILED: Option<Outage> = Some(Outage { status: Some(500) });

    const RULES: BreakerConfig = BreakerConfig {
        failures: 3,
        share: 0.5,
        window: Duration::from_secs(30),
        open: Duration::from_secs(10),
        longest: Duration::from_secs(35),
    };

    #[test]
    fn failures_in_a_row_or_a_share_of_them_are_enough() {
        let at = Timestamp(0);
        let mut tally = Tally::default();
        let counted: Vec<bool> = [true, true, false, true, true, true]
            .map(|f| tally.count(f, at, &RULES))
            .to_vec();
        assert_eq!(counted, [false, false, false, false, false, true]);
        let mut tally = Tally::default();
        let mixed: Vec<bool> = (0..20)
            .map(|n| tally.count(n % 2 == 1, at, &RULES))
            .collect();
        assert_eq!(
            mixed.iter().position(|enough| *enough),
            Some(19),
            "not before there are twenty"
        );
        let mut tally = Tally::default();
        let slow = (0..40).any(|n| tally.count(n % 2 == 1, Timestamp(n * 2000), &RULES));
        assert!(!slow, "the window forgets");
    }

    #[test]
    fn openings_double_up_to_the_longest() {
        let seconds: Vec<u64> = (1..6)
            .map(|times| length(&RULES, times, 0.5).as_secs())
            .collect();
        assert_eq!(seconds, [10, 20, 35, 35, 35]);
        assert_eq!(length(&RULES, 40, 0.0), Duration::from_millis(31_500));
    }

    #[tokio::test]
    async fn one_trial_decides_and_stragglers_do_not() {
        let (ports, script) = ports();
        let breaker = Breaker::new("api", &RULES);
        let early = breaker.admit(&ports).await.unwrap();
        for _ in 0..3 {
            let pass = breaker.admit(&ports).await.unwrap();
            breaker.report(&ports, &pass, FAILED).await;
        }
        let until = breaker.admit(&ports).await.unwrap_err();
        breaker.report(&ports, &early, None).await;
        assert_eq!(
            breaker.admit(&ports).await.unwrap_err(),
            until,
            "a straggler's answer closes nothing"
        );
        script.pass(until.since(ports.clock.now()));
        let lease = breaker.admit(&ports).await.unwrap();
        assert!(breaker.admit(&ports).await.is_err(), "one at a time");
        breaker.report(&ports, &lease, FAILED).await;
        let again = breaker.admit(&ports).await.unwrap_err();
        assert!(
            again.since(ports.clock.now()) >= Duration::from_secs(18),
            "twice as long"
        );
        assert_eq!(breaker.outage(), FAILED);
        script.pass(Duration::from_secs(25));
        let lease = breaker.admit(&ports).await.unwrap();
        breaker.report(&ports, &lease, None).await;
        for _ in 0..2 {
            let pass = breaker.admit(&ports).await.unwrap();
            breaker.report(&ports, &early, FAILED).await;
            breaker.report(&ports, &pass, FAILED).await;
        }
        assert!(
            breaker.admit(&ports).await.is_ok(),
            "counted from new, without the straggler"
        );
    }

    #[tokio::test]
    async fn a_trial_that_died_is_followed_by_another() {
        let (ports, script) = ports();
        let breaker = Breaker::new("api", &RULES);
        for _ in 0..3 {
            let pass = breaker.admit(&ports).await.unwrap();
            breaker.report(&ports, &pass, FAILED).await;
        }
        script.pass(Duration::from_secs(12));
        breaker.admit(&ports).await.unwrap();
        assert!(breaker.admit(&ports).await.is_err());
        script.pass(TRIAL_TIMEOUT);
        assert!(breaker.admit(&ports).await.is_ok());
    }
}
