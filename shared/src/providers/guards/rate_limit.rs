//! A rate that all processes keep together.
//!
//! Requests follow a virtual schedule of evenly spaced slots; the next free one is in one item of
//! the table. A process leases as many slots as it has requests waiting, with one conditional
//! update, and sends each at its slot. An idle schedule begins anew at the present, so that it
//! saves nothing up for a burst. A slot that could not be used in time is lost and never made up
//! for: late requests would meet punctual ones.
//!
//! Slots are spaced for a little less than the rate ([`PACE`]). Clocks that differ by some tens of
//! milliseconds, and requests that take unequally long to arrive, do not exceed it then.
//!
//! Without a table the schedule is the process's own.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::catalog::RateConfig;
use crate::domain::backoff::store_wait;
use crate::domain::suspended::Outage;
use crate::domain::time::Timestamp;
use crate::ports::{Item, Key, StoreError, Update, within};
use crate::providers::Ports;
use crate::schema::rate;

/// The share of the rate that is used, in hundredths.
const PACE: i64 = 96;
/// The time for which a slot can be used, in microseconds.
const TOLERANCE: i64 = 50_000;
/// The most slots of one lease.
const MAX_BLOCK: usize = 64;
/// The longest wait for a slot, so that a process that ends leaves only a small gap.
const HORIZON: Duration = Duration::from_secs(60);
/// The longest that a lease waits for more requests.
const LONGEST_GATHER: Duration = Duration::from_secs(2);
/// The most that a slow table moves an idle schedule's beginning, in microseconds.
const MAX_LEAD: i64 = 1_000_000;
/// The shortest pause before a lease is tried again, so that the clock moves on.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause that an upstream can ask for.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(3600);
/// The least time between two reports to other processes of an upstream that refuses without saying
/// for how long, in microseconds.
const REPORT_EVERY: i64 = 10_000_000;

/// A provider's schedule as this process sees it.
#[derive(Debug)]
pub struct Limiter {
    key: Key,
    /// The time between two slots, in microseconds.
    interval: i64,
    slots: Mutex<Slots>,
    leasing: futures_util::lock::Mutex<()>,
}

/// All times in microseconds since the epoch.
#[derive(Debug, Default)]
struct Slots {
    /// Slots that are leased and not taken yet, ascending.
    free: VecDeque<i64>,
    /// The number of requests that have no slot yet.
    waiting: usize,
    /// The earliest time of the schedule's next free slot.
    next: i64,
    /// The time before which the upstream wants no request.
    held: i64,
    /// The status with which it refused; 0 once it has given any other answer.
    held_status: u16,
    /// The time at which this process reported the refusal to the others.
    reported: i64,
    /// Set while the item says that it refuses.
    reported_of: bool,
    /// The time that a lease took of late.
    lead: i64,
}

/// A request's time, in microseconds since the epoch.
#[derive(Debug, PartialEq, Eq)]
pub struct Slot(i64);

/// No slot is free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLate {
    /// The time at which the schedule has one, roughly.
    pub at: Timestamp,
    /// The refusal of an upstream that has given no other answer since.
    pub held: Option<Outage>,
}

fn micros(at: Timestamp) -> i64 {
    at.0.saturating_mul(1000)
}

/// Rounds up to a millisecond.
fn millis(micros: i64) -> Timestamp {
    Timestamp(micros.div_euclid(1000) + i64::from(micros.rem_euclid(1000) > 0))
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Slots {
    /// Takes the first leased slot that can still be used.
    fn claim(&mut self, now: i64) -> Option<i64> {
        while self.free.front().is_some_and(|at| self.is_lost(*at, now)) {
            self.free.pop_front();
        }
        self.free.pop_front()
    }

    fn is_lost(&self, at: i64, now: i64) -> bool {
        at < now - TOLERANCE || at < self.held
    }

    fn too_late(&self, at: Timestamp) -> TooLate {
        let status = Some(self.held_status).filter(|status| *status > 0);
        TooLate {
            at,
            held: status.map(|status| Outage {
                status: Some(status),
            }),
        }
    }

    /// Copies from the item whether the upstream refuses.
    fn learn(&mut self, item: &Item) {
        let (until, status) = rate::read_held(item);
        self.held = self.held.max(until);
        self.held_status = status;
        self.reported_of = self.held_status > 0;
    }

    /// Adds leased slots to the free ones. `took` is the time of the lease, in microseconds.
    fn add(&mut self, first: i64, leased: i64, interval: i64, took: i64) {
        self.lead = took.max(self.lead * 9 / 10).min(MAX_LEAD);
        self.next = self.next.max(first + leased * interval);
        (0..leased).for_each(|n| self.give_back(first + n * interval));
    }

    fn give_back(&mut self, at: i64) {
        let place = self.free.partition_point(|other| *other < at);
        self.free.insert(place, at);
    }
}

/// Counts a request among those without a slot.
struct Waiting<'a>(&'a Limiter);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.slots().waiting -= 1;
    }
}

/// A slot that goes back if its request is dropped before it is used.
struct Taken<'a> {
    limiter: &'a Limiter,
    at: Option<i64>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(at) = self.at.take() {
            self.limiter.slots().give_back(at);
        }
    }
}

impl Limiter {
    /// Makes a provider's limiter. It has no slots yet: they are leased from the table as needed.
    pub fn new(provider: &str, rate: &RateConfig) -> Self {
        let interval = micros_of(rate.per) * 100 / (i64::from(rate.requests.max(1)) * PACE);
        Self {
            key: rate::rate_key(provider),
            interval: interval.max(1),
            slots: Mutex::default(),
            leasing: futures_util::lock::Mutex::new(()),
        }
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a slot until `latest` at most. Dropped, it uses none.
    pub async fn take(&self, ports: &Ports, latest: Timestamp) -> Result<Slot, TooLate> {
        let clock = ports.clock.as_ref();
        let latest = latest.min(clock.now().plus(HORIZON));
        loop {
            let at = self.reserve(ports, latest).await?;
            let mut taken = Taken {
                limiter: self,
                at: Some(at),
            };
            let wait = millis(at).since(clock.now());
            if !wait.is_zero() {
                clock.sleep(wait).await;
            }
            taken.at = None;
            let slot = Slot(at);
            if self.holds(&slot, clock.now()) {
                return Ok(slot);
            }
        }
    }

    /// Returns whether a request may still be sent at this slot.
    pub fn holds(&self, slot: &Slot, now: Timestamp) -> bool {
        !self.slots().is_lost(slot.0, micros(now))
    }

    /// Gives the slot of a request that was not sent to another one.
    pub fn give_back(&self, Slot(at): Slot) {
        self.slots().give_back(at);
    }

    /// Takes a slot of this process's own; leases one if need be.
    async fn reserve(&self, ports: &Ports, latest: Timestamp) -> Result<i64, TooLate> {
        let clock = ports.clock.as_ref();
        self.slots().waiting += 1;
        let _waiting = Waiting(self);
        loop {
            if let Some(slot) = self.reserved(clock.now(), latest)? {
                return Ok(slot);
            }
            // One lease at a time: the next caller to get here finds what the one before leased.
            let Some(_leasing) =
                within(clock, latest.since(clock.now()), self.leasing.lock()).await
            else {
                return Err(self.slots().too_late(latest));
            };
            if let Some(slot) = self.reserved(clock.now(), latest)? {
                return Ok(slot);
            }
            let lease = async {
                let gather = self.gather(clock.now(), latest);
                if !gather.is_zero() {
                    clock.sleep(gather).await;
                }
                self.lease(ports, micros(latest)).await
            };
            if within(clock, latest.since(clock.now()), lease).await != Some(true) {
                let slots = self.slots();
                return Err(slots.too_late(millis(slots.next).max(latest)));
            }
        }
    }

    /// Returns the time for which a lease waits for more requests to share it: none if the schedule
    /// is idle. If it is busy, a later lease waits less for its slot.
    fn gather(&self, now: Timestamp, latest: Timestamp) -> Duration {
        let busy = self.slots().next.saturating_sub(micros(now)).max(0);
        let gather = Duration::from_millis(u64::try_from(busy / 2000).unwrap_or(0));
        gather.min(LONGEST_GATHER).min(latest.since(now) / 4)
    }

    /// Answers without the table, if it can: a slot, that none is free in time, or `None`.
    fn reserved(&self, now: Timestamp, latest: Timestamp) -> Result<Option<i64>, TooLate> {
        let mut slots = self.slots();
        match slots.claim(micros(now)) {
            Some(at) if at <= micros(latest) => Ok(Some(at)),
            Some(at) => {
                slots.give_back(at);
                Err(slots.too_late(millis(at)))
            }
            None if slots.next > micros(latest) || now >= latest => {
                Err(slots.too_late(millis(slots.next).max(latest)))
            }
            None => Ok(None),
        }
    }

    /// Counts the slots from `first` on that can be used in time; at least one.
    fn useful(&self, wanted: i64, first: i64, latest: i64) -> i64 {
        (latest.saturating_sub(first).div_euclid(self.interval) + 1).clamp(1, wanted)
    }

    /// Leases a slot for every request that waits and can be served in time. `false`: the schedule
    /// has none before `latest`.
    async fn lease(&self, ports: &Ports, latest: i64) -> bool {
        let wanted = i64::try_from(self.slots().waiting.clamp(1, MAX_BLOCK)).unwrap_or(1);
        let mut attempt = 0;
        loop {
            let began = micros(ports.clock.now());
            match self.lease_once(ports, began, wanted, latest).await {
                Ok(Leased::Full(next)) => {
                    self.slots().next = next;
                    return false;
                }
                Ok(Leased::From(first, leased)) => {
                    let took = micros(ports.clock.now()) - began;
                    self.slots().add(first, leased, self.interval, took);
                    return true;
                }
                // Leasing twice wastes slots and exceeds nothing.
                Err(error) => {
                    attempt += 1;
                    if attempt == 1 {
                        tracing::warn!(
                            item = %self.key.pk,
                            error = %error,
                            "no slot leased; trying again"
                        );
                    }
                    let pause = store_wait(attempt, ports.entropy.unit());
                    ports.clock.sleep(pause.max(LEAST_PAUSE)).await;
                }
            }
        }
    }

    /// Leases slots from the table's schedule, or without a table from the process's own.
    async fn lease_once(
        &self,
        ports: &Ports,
        began: i64,
        wanted: i64,
        latest: i64,
    ) -> Result<Leased, StoreError> {
        let (mut known, from) = {
            let slots = self.slots();
            (slots.next, (began + slots.lead).max(slots.held))
        };
        let Some(store) = &ports.shared else {
            if known > latest {
                return Ok(Leased::Full(known));
            }
            let first = known.max(from);
            return Ok(Leased::From(first, self.useful(wanted, first, latest)));
        };
        loop {
            let plan = if known >= from {
                Plan::Append
            } else {
                Plan::Begin
            };
            let slots = self.useful(wanted, known.max(from), latest);
            let item = match store.update(self.update(plan, from, slots, latest)).await {
                Ok(item) => item,
                Err(StoreError::ConditionFailed(failed)) => {
                    let found = failed.iter().find_map(|f| f.existing.as_ref());
                    if let Some(item) = found {
                        self.slots().learn(item);
                    }
                    known = found.map_or(0, rate::read_next);
                    if known > latest {
                        return Ok(Leased::Full(known));
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.slots().learn(&item);
            let first = match plan {
                Plan::Append => rate::read_next(&item) - slots * self.interval,
                Plan::Begin => from,
            };
            return Ok(Leased::From(first, slots));
        }
    }

    fn update(&self, plan: Plan, from: i64, slots: i64, latest: i64) -> Update {
        let block = slots * self.interval;
        // The last of the slots is in time, too.
        let latest = latest - (block - self.interval);
        match plan {
            Plan::Append => rate::append(self.key.clone(), block, from, latest),
            Plan::Begin => rate::begin(self.key.clone(), block, from),
        }
    }

    /// Notes an answer that is not a refusal.
    pub async fn answered(&self, ports: &Ports) {
        let now = micros(ports.clock.now());
        {
            let mut slots = self.slots();
            // Requests that were under way when it refused say nothing.
            if slots.held_status == 0 || now < slots.held {
                return;
            }
            slots.held_status = 0;
            if !std::mem::take(&mut slots.reported_of) {
                return;
            }
        }
        let Some(store) = &ports.shared else { return };
        match store.update(rate::answers(self.key.clone(), now)).await {
            Ok(_) | Err(StoreError::ConditionFailed(_)) => {}
            Err(error) => {
                tracing::warn!(
                    item = %self.key.pk,
                    error = %error,
                    "other processes do not know that the upstream answers"
                );
            }
        }
    }

    /// Notes a refusal with this status. No slot is used before `wait` is over (which may be zero),
    /// and requests that wait for one know why.
    pub async fn back_off(&self, ports: &Ports, wait: Duration, status: u16) {
        let now = micros(ports.clock.now());
        let until = micros(ports.clock.now().plus(wait.min(LONGEST_BACK_OFF)));
        {
            let mut slots = self.slots();
            slots.held_status = status;
            if until <= slots.held || (wait.is_zero() && now < slots.reported + REPORT_EVERY) {
                return;
            }
            (slots.held, slots.reported, slots.reported_of) = (until, now, true);
            slots.next = slots.next.max(until);
        }
        let Some(store) = &ports.shared else { return };
        let back_off = rate::back_off(self.key.clone(), until, status);
        let reported = match store.update(back_off).await {
            // The slots before then are taken already.
            Err(StoreError::ConditionFailed(_)) => {
                let back_off = rate::hold_taken(self.key.clone(), until, status);
                store.update(back_off).await
            }
            reported => reported,
        };
        match reported {
            Ok(_) | Err(StoreError::ConditionFailed(_)) => {}
            Err(error) => {
                tracing::warn!(
                    item = %self.key.pk,
                    error = %error,
                    "other processes do not know that the upstream wants to be let alone"
                );
            }
        }
    }
}

/// The way in which slots are taken from the schedule.
#[derive(Clone, Copy)]
enum Plan {
    /// After those that are taken.
    Append,
    /// The schedule is behind the present, and begins there.
    Begin,
}

enum Leased {
    /// The first of the slots, and their number.
    From(i64, i64),
    /// The next free slot, which is too late.
    Full(i64),
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;
    use crate::providers::testing::ports;

    fn limiter(requests: u32) -> Limiter {
        Limiter::new(
            "api",
            &RateConfig {
                requests,
                per: Duration::from_secs(1),
            },
        )
    }

    #[tokio::test]
    async fn an_idle_schedule_begins_now_and_spaces_its_slots() {
        let (ports, _script) = ports();
        let limiter = limiter(10);
        let began = ports.clock.now();
        let latest = began.plus(Duration::from_secs(30));
        let times = join_all((0..20).map(|_| async {
            limiter.take(&ports, latest).await.unwrap();
            ports.clock.now().since(began).as_millis()
        }))
        .await;
        let mut sorted = times.clone();
        sorted.sort_unstable();
        assert_eq!(sorted[0], 0);
        for (n, at) in (0_u128..).zip(&sorted) {
            assert!((n * 104..=n * 105).contains(at), "slot {n} at {at} ms");
        }
        ports.clock.sleep(Duration::from_secs(60)).await;
        let began = ports.clock.now();
        limiter
            .take(&ports, began.plus(Duration::from_secs(1)))
            .await
            .unwrap();
        limiter
            .take(&ports, began.plus(Duration::from_secs(1)))
            .await
            .unwrap();
        assert_eq!(
            ports.clock.now().since(began).as_millis(),
            105,
            "nothing was saved up"
        );
    }

    #[tokio::test]
    async fn what_comes_too_late_is_told_and_takes_no_slot() {
        let (ports, _script) = ports();
        let limiter = limiter(1);
        let now = ports.clock.now();
        limiter
            .take(&ports, now.plus(Duration::from_secs(5)))
            .await
            .unwrap();
        let soon = now.plus(Duration::from_secs(1));
        let late = limiter.take(&ports, soon).await.unwrap_err();
        assert_eq!((late.at.since(now).as_millis(), late.held), (1042, None));
        assert_eq!(
            limiter.take(&ports, soon).await.unwrap_err(),
            late,
            "the schedule did not move"
        );
        assert_eq!(limiter.slots().waiting, 0);
    }

    #[tokio::test]
    async fn who_gives_up_gives_the_slot_back() {
        let (ports, _script) = ports();
        let limiter = limiter(1);
        let now = ports.clock.now();
        let latest = now.plus(Duration::from_secs(10));
        limiter.take(&ports, latest).await.unwrap();
        let given_up = within(
            ports.clock.as_ref(),
            Duration::from_millis(300),
            limiter.take(&ports, latest),
        )
        .await;
        assert_eq!(given_up, None);
        limiter.take(&ports, latest).await.unwrap();
        assert_eq!(ports.clock.now().since(now).as_millis(), 1042);
    }

    #[tokio::test]
    async fn an_upstream_that_wants_to_be_let_alone_is() {
        let (ports, _script) = ports();
        let limiter = limiter(10);
        let now = ports.clock.now();
        let latest = now.plus(Duration::from_secs(30));
        let (_, _, ()) = futures_util::join!(
            limiter.take(&ports, latest),
            limiter.take(&ports, latest),
            async {
                limiter.back_off(&ports, Duration::from_secs(7), 429).await;
                limiter.back_off(&ports, Duration::from_secs(3), 429).await;
            }
        );
        assert!(
            ports.clock.now().since(now) >= Duration::from_secs(7),
            "the leased slot was before"
        );
    }
}
