//! Drivers: they poll simulated processes and move the virtual clock when all of them wait.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use shared::domain::time::Timestamp;
use shared::ports::Clock;

use super::{Gate, SimClock, SimEntropy};

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended<T> {
    Done(T),
    /// A call had the fate to die; the future has been dropped.
    Died,
    /// Nothing can run and no timer is set.
    Stuck,
}

impl<T> Ended<T> {
    /// Returns the value of a run that was done.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Died | Self::Stuck => None,
        }
    }
}

struct Flag(AtomicBool);

impl Flag {
    fn raised() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub(super) fn one<T>(gate: &Gate, clock: &SimClock, work: impl Future<Output = T>) -> Ended<T> {
    let mut work = pin!(work);
    let process = gate.new_process("request");
    let flag = Flag::raised();
    let waker = Waker::from(Arc::clone(&flag));
    loop {
        while flag.take() {
            let (poll, died) = gate.poll_as(process, || {
                work.as_mut().poll(&mut Context::from_waker(&waker))
            });
            if died {
                return Ended::Died;
            }
            if let Poll::Ready(value) = poll {
                return Ended::Done(value);
            }
        }
        match clock.next_timer() {
            Some(next) => clock.advance_to(next),
            None => return Ended::Stuck,
        }
    }
}

/// Processes side by side, on one thread. The next of those that can run is drawn from the seed.
pub struct Schedule<'a> {
    gate: Arc<Gate>,
    clock: Arc<SimClock>,
    choice: SimEntropy,
    processes: BTreeMap<u64, Process<'a>>,
}

struct Process<'a> {
    name: String,
    work: Pin<Box<dyn Future<Output = ()> + 'a>>,
    flag: Arc<Flag>,
}

impl fmt::Debug for Schedule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.alive()).finish()
    }
}

impl<'a> Schedule<'a> {
    pub(super) fn new(gate: Arc<Gate>, clock: Arc<SimClock>, seed: u64) -> Self {
        Self {
            gate,
            clock,
            choice: SimEntropy::new(seed),
            processes: BTreeMap::new(),
        }
    }

    /// Adds a process; it first runs when the schedule does. Returns its number, which
    /// [`Call`](super::Call)s carry.
    pub fn spawn(&mut self, name: impl Into<String>, work: impl Future<Output = ()> + 'a) -> u64 {
        let name = name.into();
        let number = self.gate.new_process(&name);
        let process = Process {
            name,
            work: Box::pin(work),
            flag: Flag::raised(),
        };
        self.processes.insert(number, process);
        number
    }

    /// Kills a process where it stands: its future is dropped.
    pub fn kill(&mut self, process: u64) {
        self.gate.mark_dead(process);
        self.gate.end_process(process);
        self.processes.remove(&process);
    }

    /// Returns the processes that have neither ended nor died, by number and name.
    pub fn alive(&self) -> impl Iterator<Item = (u64, &str)> {
        self.processes
            .iter()
            .map(|(number, process)| (*number, process.name.as_str()))
    }

    /// Polls one process that can run. Returns `false` if none can before time moves.
    pub fn step(&mut self) -> bool {
        let ready: Vec<u64> = self
            .processes
            .iter()
            .filter(|(_, p)| p.flag.is_raised())
            .map(|(n, _)| *n)
            .collect();
        if ready.is_empty() {
            return false;
        }
        let number = ready[self.choice.below(ready.len())];
        let process = self
            .processes
            .get_mut(&number)
            .expect("chosen from the processes");
        process.flag.take();
        let waker = Waker::from(Arc::clone(&process.flag));
        let (poll, died) = self.gate.poll_as(number, || {
            process.work.as_mut().poll(&mut Context::from_waker(&waker))
        });
        if died || poll.is_ready() {
            self.gate.end_process(number);
            self.processes.remove(&number);
        }
        true
    }

    /// Runs until every process has ended or died, or none can go on. Returns `true` if none is
    /// left.
    pub fn run(&mut self) -> bool {
        loop {
            while self.step() {}
            match self.clock.next_timer() {
                Some(next) if !self.processes.is_empty() => self.clock.advance_to(next),
                _ => return self.processes.is_empty(),
            }
        }
    }

    /// Runs what can run until this time has passed, and leaves the clock there.
    pub fn run_for(&mut self, time: Duration) {
        let until: Timestamp = self.clock.now().plus(time);
        loop {
            while self.step() {}
            match self.clock.next_timer() {
                Some(next) if next <= until => self.clock.advance_to(next),
                _ => break,
            }
        }
        self.clock.advance_to(until);
        while self.step() {}
    }
}
