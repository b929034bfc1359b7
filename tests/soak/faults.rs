//! The choice of faults, their frequency, and their count.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testkit::servers::Answer;
use testkit::sim::SimEntropy;

use crate::check::Life;
use crate::wire;

/// One reading call in this many to the table meets a fault.
const READS: usize = 16;
/// One of its other calls in this many. There are fewer of them, and more depends on each.
const WRITES: usize = 6;
/// One fault in this many ends the process that made the call.
const KILLS: usize = 12;
/// The same while the process starts.
const KILLS_IN_INIT: usize = 3;
/// One fault in this many starts an outage: all calls of the operation meet the same fault for a
/// while.
const OUTAGES: usize = 20;
/// The prefix of the names of all kills.
const KILLED: &str = "process killed";
/// The prefixes of the faults that even a brief soak needs in order to show anything.
const NEEDED: [&str; 3] = [KILLED, "dropped", "throttled"];

/// The proxy's treatment of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Passed on late.
    Delay(Duration),
    /// The connection is closed and nothing passed on.
    DropBefore,
    /// Passed on; the connection is closed instead of the answer.
    DropAfter,
    /// A server error and nothing passed on.
    FailBefore,
    /// Passed on, and a server error answered.
    FailAfter,
    Throttle,
    /// The items are part of another transaction.
    Conflict,
    /// A part of the batch is passed on and the rest returned.
    Partial,
    /// Messages: answered well and never sent.
    Lose,
    /// Messages: sent, and a copy after this time.
    Duplicate(Duration),
    /// The caller's process is killed and nothing passed on.
    KillBefore,
    /// Passed on; the caller's process is killed before it gets the answer.
    KillAfter,
}

impl Fault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delay(_) => "delayed",
            Self::DropBefore => "dropped before it took effect",
            Self::DropAfter => "dropped after it took effect",
            Self::FailBefore => "server error before it took effect",
            Self::FailAfter => "server error after it took effect",
            Self::Throttle => "throttled",
            Self::Conflict => "transaction conflict",
            Self::Partial => "batch taken in part",
            Self::Lose => "messages lost",
            Self::Duplicate(_) => "messages duplicated",
            Self::KillBefore => "process killed at a call",
            Self::KillAfter => "process killed after a call",
        }
    }

    /// Returns true if its repair may wait for the sweep or the queue's visibility, a minute or
    /// more.
    fn takes_a_minute(self) -> bool {
        matches!(self, Self::Lose | Self::KillBefore | Self::KillAfter)
    }
}

/// Seeded choice of faults, and the count of those that were made.
#[derive(Debug)]
pub(crate) struct Faults {
    rng: SimEntropy,
    on: AtomicBool,
    /// True while faults whose repair takes a minute are made too.
    slow: AtomicBool,
    outages: Mutex<BTreeMap<String, (Fault, Instant)>>,
    total: AtomicU64,
    counts: Mutex<BTreeMap<(&'static str, String), u64>>,
    /// Requests that clients gave up by themselves, not by any fault of the stack.
    gave_up: AtomicU64,
    begun: Instant,
    /// The instances of enrich that ran, by name.
    lives: Mutex<BTreeMap<String, Life>>,
    /// The time and operation of each call about a job that met a fault, by the job's id.
    of_jobs: Mutex<BTreeMap<String, Vec<(Duration, String)>>>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: SimEntropy::new(seed),
            on: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            outages: Mutex::default(),
            total: AtomicU64::new(0),
            counts: Mutex::default(),
            gave_up: AtomicU64::new(0),
            begun: Instant::now(),
            lives: Mutex::default(),
            of_jobs: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, on: bool, slow: bool) {
        self.on.store(on, Ordering::SeqCst);
        self.slow.store(slow, Ordering::SeqCst);
    }

    pub(crate) fn on(&self) -> bool {
        self.on.load(Ordering::SeqCst)
    }

    /// Returns true if faults whose repair takes a minute are made.
    pub(crate) fn slow(&self) -> bool {
        self.on() && self.slow.load(Ordering::SeqCst)
    }

    /// A number in `0..bound`, whether faults are on or off.
    pub(crate) fn below(&self, bound: usize) -> usize {
        self.rng.below(bound)
    }

    /// Returns true once in this many times, while faults are on.
    pub(crate) fn once_in(&self, times: usize) -> bool {
        self.on() && self.rng.below(times) == 0
    }

    fn upto(&self, most: Duration) -> Duration {
        most.mul_f64(f64::from(u32::try_from(self.rng.below(1000)).unwrap_or(0)) / 1000.0)
    }

    /// Notes that a fault was made.
    pub(crate) fn count(&self, kind: &'static str, place: &str) {
        self.total.fetch_add(1, Ordering::SeqCst);
        *self
            .counts
            .lock()
            .unwrap()
            .entry((kind, place.to_owned()))
            .or_default() += 1;
    }

    /// Notes that an instance of a function was killed, which ran `then`.
    pub(crate) fn count_kill(
        &self,
        kind: &'static str,
        function: &str,
        instance: &str,
        then: Duration,
    ) {
        self.count(kind, function);
        if function == "enrich" {
            let life = Life {
                seen: then,
                gone: Some(self.elapsed()),
            };
            self.lives.lock().unwrap().insert(instance.to_owned(), life);
        }
    }

    /// Notes the running instances of enrich. Those that ran before have ended, by whatever cause:
    /// when one dies in its Init, the emulator also ends all others of its function, and a function
    /// has a time-out.
    pub(crate) fn note_running(&self, instances: &BTreeSet<String>) {
        let (at, mut lives) = (self.elapsed(), self.lives.lock().unwrap());
        for (_, life) in lives
            .iter_mut()
            .filter(|(name, life)| life.gone.is_none() && !instances.contains(*name))
        {
            life.gone = Some(at);
        }
        for instance in instances {
            let life = lives.entry(instance.clone()).or_insert(Life {
                seen: at,
                gone: None,
            });
            if life.gone.is_none() {
                life.seen = at;
            }
        }
    }

    /// Notes that a call with this body met a fault.
    pub(crate) fn note_call(&self, operation: &str, body: &[u8]) {
        let mut of_jobs = self.of_jobs.lock().unwrap();
        for job in wire::jobs(body) {
            of_jobs
                .entry(job)
                .or_default()
                .push((self.elapsed(), operation.to_owned()));
        }
    }

    /// The faults of calls, by the job that they were about.
    pub(crate) fn of_jobs(&self) -> BTreeMap<String, Vec<(Duration, String)>> {
        self.of_jobs.lock().unwrap().clone()
    }

    /// Notes that a client gave up a request; not an injection.
    pub(crate) fn count_given_up(&self) {
        self.gave_up.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn given_up(&self) -> u64 {
        self.gave_up.load(Ordering::SeqCst)
    }

    /// The clock of everything noted here.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn lives(&self) -> BTreeMap<String, Life> {
        self.lives.lock().unwrap().clone()
    }

    /// Returns the kinds that must happen in every soak and did not. `kills`: true if this system
    /// shows which process is a function; without that nothing can be killed.
    pub(crate) fn missing(&self, kills: bool) -> Vec<&'static str> {
        let counts = self.counts.lock().unwrap();
        let made = |kind: &&str| counts.keys().any(|(k, _)| k.starts_with(kind));
        NEEDED
            .into_iter()
            .filter(|kind| (kills || *kind != KILLED) && !made(kind))
            .collect()
    }

    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::SeqCst)
    }

    /// Counts by kind and place.
    pub(crate) fn counts(&self) -> BTreeMap<(&'static str, String), u64> {
        self.counts.lock().unwrap().clone()
    }

    /// The fault that a call of this operation meets, if any. `Init` is a process that opens its
    /// first connection.
    pub(crate) fn of_call(&self, operation: &str) -> Option<Fault> {
        if !self.on() {
            return None;
        }
        let mut outages = self.outages.lock().unwrap();
        if let Some((fault, until)) = outages.get(operation) {
            if Instant::now() < *until {
                return Some(*fault);
            }
            outages.remove(operation);
        }
        let reads = matches!(operation, "GetItem" | "BatchGetItem" | "Query");
        if self.rng.below(if reads { READS } else { WRITES }) != 0 {
            return None;
        }
        let fault = if self.rng.below(if operation == INIT {
            KILLS_IN_INIT
        } else {
            KILLS
        }) == 0
        {
            [Fault::KillBefore, Fault::KillAfter][self.rng.below(2)]
        } else {
            let mut kinds = vec![
                Fault::Delay(self.upto(Duration::from_millis(600))),
                Fault::DropBefore,
                Fault::DropAfter,
                Fault::FailBefore,
                Fault::FailAfter,
            ];
            // Longer than an attempt of the functions' clients may take.
            if self.rng.below(4) == 0 {
                kinds[0] = Fault::Delay(Duration::from_secs(2) + self.upto(Duration::from_secs(1)));
            }
            if operation != INIT {
                kinds.push(Fault::Throttle);
            }
            if operation.starts_with("Batch") || operation.ends_with("Batch") {
                kinds.extend([Fault::Partial; 3]);
            }
            if matches!(
                operation,
                "TransactWriteItems" | "PutItem" | "UpdateItem" | "DeleteItem"
            ) {
                kinds.extend([Fault::Conflict; 2]);
            }
            if operation == "SendMessageBatch" {
                kinds.extend([
                    Fault::Lose,
                    Fault::Duplicate(self.upto(Duration::from_secs(8))),
                ]);
                kinds.push(Fault::Duplicate(Duration::ZERO));
            }
            kinds[self.rng.below(kinds.len())]
        };
        if fault.takes_a_minute() {
            return self.slow().then_some(fault);
        }
        if self.rng.below(OUTAGES) == 0 && operation != INIT {
            let until = Instant::now()
                + Duration::from_millis(200)
                + self.upto(Duration::from_millis(1300));
            outages.insert(operation.to_owned(), (fault, until));
        }
        Some(fault)
    }

    /// A fault of a receiver or an upstream API in place of its answer, once in `times`, with its
    /// name. `location` is the target of a redirect.
    pub(crate) fn of_exchange(
        &self,
        times: usize,
        location: &'static str,
    ) -> Option<(&'static str, Answer)> {
        if !self.once_in(times) {
            return None;
        }
        Some(match self.rng.below(14) {
            // It holds a sender until that one's patience ends, so that it is rarer than the
            // others.
            0 => ("hung", Answer::NeverAnswer),
            1 => ("dripped a byte a second", Answer::Drip),
            2 => ("sent headers without end", Answer::EndlessHeaders),
            3 => ("sent a body without end", Answer::EndlessBody),
            4 | 5 => ("reset the connection", Answer::Reset),
            6 | 7 => ("closed without an answer", Answer::Close),
            8 => (
                "redirected to a private address",
                Answer::With(302, "Location", location),
            ),
            9 => (
                "answered 429 with Retry-After",
                Answer::With(429, "Retry-After", "2"),
            ),
            10 => (
                "answered 503 with Retry-After",
                Answer::With(503, "Retry-After", "1"),
            ),
            _ => ("answered 500", Answer::Status(500)),
        })
    }
}

/// The operation of a process that opens its first connection to a service.
pub(crate) const INIT: &str = "Init";

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults that many seeds choose. Outages last longer than this takes, so that one seed
    /// would show a few alone.
    fn chosen(slow: bool) -> BTreeSet<&'static str> {
        let operations = [
            "SendMessageBatch",
            "TransactWriteItems",
            "BatchWriteItem",
            "GetItem",
            INIT,
        ];
        let of_seed = |seed| {
            let faults = Faults::new(seed);
            faults.set(true, slow);
            (0..50)
                .filter_map(|n| faults.of_call(operations[n % operations.len()]))
                .map(Fault::name)
                .collect::<Vec<_>>()
        };
        (0..500).flat_map(of_seed).collect()
    }

    #[test]
    fn every_fault_is_made_and_none_when_off() {
        let made = chosen(true);
        assert_eq!(made.len(), 12, "{made:?}");
        let quick = chosen(false);
        assert_eq!(
            quick.len(),
            9,
            "kills and lost messages take a minute: {quick:?}"
        );
        let faults = Faults::new(1);
        for _ in 0..1000 {
            assert!(faults.of_call("GetItem").is_none() && faults.of_exchange(1, "").is_none());
        }
    }

    #[test]
    fn a_soak_without_a_kill_a_drop_or_a_throttle_is_noticed() {
        let faults = Faults::new(1);
        assert_eq!(
            faults.missing(true),
            ["process killed", "dropped", "throttled"]
        );
        assert_eq!(faults.missing(false), ["dropped", "throttled"]);
        faults.count("delayed", "Query");
        faults.count("process killed in its Init", "submit");
        faults.count(Fault::DropAfter.name(), "Query");
        assert_eq!(faults.missing(true), ["throttled"]);
        faults.count(Fault::Throttle.name(), "Query");
        assert!(faults.missing(true).is_empty());
    }

    #[test]
    fn an_instance_of_enrich_has_ended_when_it_was_killed_or_is_not_there_any_more() {
        let faults = Faults::new(1);
        let running = |names: &[&str]| {
            faults.note_running(&names.iter().map(|name| (*name).to_owned()).collect());
        };
        let ended = || {
            let ended = faults
                .lives()
                .into_iter()
                .filter(|(_, life)| life.gone.is_some());
            ended.map(|(name, _)| name).collect::<Vec<_>>()
        };
        faults.count_kill(Fault::KillAfter.name(), "submit", "a", faults.elapsed());
        running(&["b", "c", "d"]);
        assert!(ended().is_empty());
        faults.count_kill(Fault::KillAfter.name(), "enrich", "b", faults.elapsed());
        let killed = faults.lives()["b"];
        // Listed before it was killed, and reported after.
        running(&["b", "c"]);
        assert_eq!(
            (ended(), faults.lives()["b"]),
            (vec!["b".to_owned(), "d".to_owned()], killed)
        );
    }

    #[test]
    fn what_clients_give_up_is_not_an_injection() {
        let faults = Faults::new(1);
        faults.count_given_up();
        assert_eq!(
            (faults.given_up(), faults.total(), faults.counts().len()),
            (1, 0, 0)
        );
    }

    #[test]
    fn a_call_of_init_or_of_one_item_meets_no_fault_of_a_batch() {
        let faults = Faults::new(2);
        faults.set(true, true);
        for _ in 0..5000 {
            assert!(!matches!(
                faults.of_call(INIT),
                Some(Fault::Throttle | Fault::Conflict | Fault::Partial)
            ));
            assert!(!matches!(
                faults.of_call("Query"),
                Some(Fault::Conflict | Fault::Partial | Fault::Lose)
            ));
        }
    }
}
