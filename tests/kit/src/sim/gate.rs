//! The gate that every call out of a simulated process passes: numbering, faults, counts, trace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use sha2::{Digest, Sha256};
use shared::domain::time::Timestamp;
use shared::ports::Clock;

use super::SimClock;

/// The kind of a call. One for each request of the real adapter, so batches count once per batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    Get,
    /// 100 keys at most.
    GetMany,
    Query,
    Put,
    Update,
    Transact,
    /// 25 items at most.
    PutAll,
    /// 25 keys at most.
    DeleteAll,
    /// 10 messages at most.
    Send,
    Postpone,
    Http,
    /// A parameter or an object.
    Asset,
}

/// The fate of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call proceeds.
    Proceed,
    /// It has no effect, and the answer is lost.
    FailBefore,
    /// It takes effect, but the acknowledgement is lost.
    FailAfter,
    /// A batch takes effect for its first half, then as [`FailAfter`](Self::FailAfter). Other
    /// calls: `FailBefore`.
    FailPartly,
    /// The process dies before the call takes effect.
    Die,
    /// The process dies after the call took effect.
    DieAfter,
    /// No effect, throttled. Ports without that answer: as [`FailBefore`](Self::FailBefore).
    Throttle,
    /// No effect; another transaction holds an item. Calls without that answer: as
    /// [`FailBefore`](Self::FailBefore).
    Conflict,
    /// It takes effect after this time.
    Delay(Duration),
    /// A write gets no answer and takes effect this much later, if its conditions hold then. Other
    /// calls: as [`FailBefore`](Self::FailBefore). A client's time-out ends its wait and not the
    /// request.
    Late(Duration),
    /// The process dies, and its write takes effect this much later, if its conditions hold then.
    /// Other calls: as [`Die`](Self::Die).
    DieLate(Duration),
    /// A write takes effect, and this much later once more, if its conditions hold then: an SDK
    /// repeats an unanswered request by itself, and its first try may come in last. Other calls: as
    /// [`Proceed`](Self::Proceed).
    Again(Duration),
}

/// The effect of a write that comes later, at this time. Returns true if it had one.
pub(super) type Later = Box<dyn FnOnce(Timestamp) -> bool + Send>;

/// Writes that took effect later than they were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LateEffects {
    pub applied: u64,
    /// By their conditions, or because their target was gone.
    pub refused: u64,
}

/// A call, as the hook sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// From 1, over all ports, since the world began or [`Gate::renumber`].
    pub number: u64,
    pub op: Op,
    /// The process that calls: 0 outside of any driver, else counted from 1.
    pub process: u64,
    /// The name of that process, as it was spawned; empty outside of any driver.
    pub name: Arc<str>,
    /// Its subject: `pk/sk` keys, queue, or method and URL.
    pub subject: String,
}

/// The failure of a call, for the port to put in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Lost,
    Throttled,
    Conflict,
}

/// The part of a call that takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    FirstHalf,
}

/// The runs of each function in one chain of invocations and messages: the trace that the SDK
/// passes on with what it sends.
pub type Chain = BTreeMap<String, u32>;

type Hook = Box<dyn FnMut(&Call) -> Fault + Send>;

/// Numbers, counts, traces and breaks the calls of all ports.
pub struct Gate {
    clock: Arc<SimClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    calls: u64,
    counts: BTreeMap<Op, u64>,
    hook: Option<Hook>,
    trace: Option<Vec<String>>,
    /// All writes and queries since the trace began.
    written: Sha256,
    processes: u64,
    names: BTreeMap<u64, Arc<str>>,
    chains: BTreeMap<u64, Chain>,
    current: u64,
    dead: BTreeSet<u64>,
    late: LateEffects,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("calls", &self.calls())
            .finish_non_exhaustive()
    }
}

/// A hook that gives `fault` to call number `k` and lets all others proceed.
pub fn at(k: u64, fault: Fault) -> impl FnMut(&Call) -> Fault + Send + 'static {
    move |call| {
        if call.number == k {
            fault
        } else {
            Fault::Proceed
        }
    }
}

impl Gate {
    pub(super) fn new(clock: Arc<SimClock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Asks `hook` about every call from now on. It must not call the ports itself.
    pub fn inject(&self, hook: impl FnMut(&Call) -> Fault + Send + 'static) {
        self.state.lock().unwrap().hook = Some(Box::new(hook));
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.state.lock().unwrap().hook = None;
    }

    /// Counts the calls, failed ones included.
    pub fn calls(&self) -> u64 {
        self.state.lock().unwrap().calls
    }

    /// Counts the calls by kind.
    pub fn counts(&self) -> BTreeMap<Op, u64> {
        self.state.lock().unwrap().counts.clone()
    }

    /// Counts the calls of one kind.
    pub fn count(&self, op: Op) -> u64 {
        self.state
            .lock()
            .unwrap()
            .counts
            .get(&op)
            .copied()
            .unwrap_or(0)
    }

    /// Counts the late effects so far.
    pub fn late_effects(&self) -> LateEffects {
        self.state.lock().unwrap().late
    }

    /// Forgets the calls so far: the next one is number 1. For after a test's preparations.
    pub fn renumber(&self) {
        let mut state = self.state.lock().unwrap();
        state.calls = 0;
        state.counts.clear();
    }

    /// Records a trace from now on, one line for each call: time, process by name and number,
    /// call's number, kind, subject, fault, outcome.
    pub fn start_trace(&self) {
        self.state.lock().unwrap().trace = Some(Vec::new());
    }

    /// Returns the trace so far.
    pub fn trace(&self) -> Vec<String> {
        self.state.lock().unwrap().trace.clone().unwrap_or_default()
    }

    /// Returns the trace and the contents of all writes, queries and HTTP requests since it began,
    /// as a digest in hex. It is equal where two versions of the code make the same calls with the
    /// same contents in the same order.
    pub fn fingerprint(&self) -> String {
        let state = self.state.lock().unwrap();
        let mut digest = state.written.clone();
        for line in state.trace.iter().flatten() {
            digest.update(line);
            digest.update("\n");
        }
        hex::encode(digest.finalize())
    }

    /// Adds a line of the test's own to the trace.
    pub fn note(&self, text: &str) {
        let now = self.clock.now();
        if let Some(trace) = &mut self.state.lock().unwrap().trace {
            trace.push(format!("{now} {text}"));
        }
    }

    pub(super) fn new_process(&self, name: &str) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.processes += 1;
        let number = state.processes;
        state.names.insert(number, name.into());
        number
    }

    /// Forgets the name of a process that has ended.
    pub(super) fn end_process(&self, process: u64) {
        let mut state = self.state.lock().unwrap();
        state.names.remove(&process);
        state.chains.remove(&process);
    }

    /// Makes a process part of a chain: what it sends carries the chain on.
    pub fn continue_chain(&self, process: u64, chain: Chain) {
        self.state.lock().unwrap().chains.insert(process, chain);
    }

    /// Returns the chain of the process at work. One that no message started begins a chain.
    pub(super) fn chain(&self) -> Chain {
        let state = self.state.lock().unwrap();
        state
            .chains
            .get(&state.current)
            .cloned()
            .unwrap_or_default()
    }

    /// Polls `work` as the process, and returns whether it died of it.
    pub(super) fn poll_as<T>(
        &self,
        process: u64,
        work: impl FnOnce() -> Poll<T>,
    ) -> (Poll<T>, bool) {
        let before = std::mem::replace(&mut self.state.lock().unwrap().current, process);
        let poll = work();
        let mut state = self.state.lock().unwrap();
        state.current = before;
        (poll, state.dead.contains(&process))
    }

    /// Returns the name of the polled process, as it was spawned; empty outside of any driver.
    pub fn caller(&self) -> Arc<str> {
        let state = self.state.lock().unwrap();
        state.names.get(&state.current).cloned().unwrap_or_default()
    }

    /// Ends a process from outside, between two of its steps.
    pub(super) fn mark_dead(&self, process: u64) {
        self.state.lock().unwrap().dead.insert(process);
    }

    /// Takes one call through the gate. `effect` runs at most once, in one go, between two points
    /// where other processes may run.
    pub(super) async fn call<T, E>(
        self: &Arc<Self>,
        op: Op,
        subject: String,
        fail: impl Fn(Failure) -> E,
        effect: impl FnOnce(Extent) -> Result<T, E>,
    ) -> Result<T, E> {
        self.pass(op, subject, fail, effect, None).await
    }

    /// As [`call`](Self::call), for a write of `content`, whose effect may come `later`.
    pub(super) async fn write<T, E>(
        self: &Arc<Self>,
        op: Op,
        subject: String,
        content: &(dyn fmt::Debug + Sync),
        fail: impl Fn(Failure) -> E,
        effect: impl FnOnce(Extent) -> Result<T, E>,
        later: &(dyn Fn() -> Later + Sync),
    ) -> Result<T, E> {
        self.note_content(content);
        self.pass(op, subject, fail, effect, Some(later)).await
    }

    /// Adds a call's content to the fingerprint.
    pub(super) fn note_content(&self, content: &dyn fmt::Debug) {
        let mut state = self.state.lock().unwrap();
        if state.trace.is_some() {
            state.written.update(format!("{content:?}\n"));
        }
    }

    async fn pass<T, E>(
        self: &Arc<Self>,
        op: Op,
        subject: String,
        fail: impl Fn(Failure) -> E,
        effect: impl FnOnce(Extent) -> Result<T, E>,
        later: Option<&(dyn Fn() -> Later + Sync)>,
    ) -> Result<T, E> {
        let (call, fault) = self.admit(op, subject).await;
        if let (Fault::Late(by) | Fault::DieLate(by), Some(later)) = (fault, later) {
            self.owe(&call, by, later());
        }
        if let Fault::Delay(by) = fault {
            self.clock.sleep(by).await;
        }
        let result = match fault {
            Fault::Proceed | Fault::Delay(_) | Fault::Again(_) => {
                let result = effect(Extent::Whole);
                if let (Fault::Again(by), Some(later), Ok(_)) = (fault, later, &result) {
                    self.owe(&call, by, later());
                }
                let outcome = if result.is_ok() { "ok" } else { "error" };
                self.record(&call, fault, outcome);
                return result;
            }
            Fault::Die | Fault::DieLate(_) => self.die(&call, fault).await,
            Fault::DieAfter => {
                let _ = effect(Extent::Whole);
                self.die(&call, fault).await
            }
            Fault::Throttle => Err(fail(Failure::Throttled)),
            Fault::Conflict => Err(fail(Failure::Conflict)),
            // An effect that fails is answered with its own error: without an acknowledgement, none
            // can be lost.
            Fault::FailAfter => effect(Extent::Whole).and(Err(fail(Failure::Lost))),
            Fault::FailPartly if matches!(op, Op::PutAll | Op::DeleteAll | Op::Send) => {
                effect(Extent::FirstHalf).and(Err(fail(Failure::Lost)))
            }
            Fault::FailBefore | Fault::FailPartly | Fault::Late(_) => Err(fail(Failure::Lost)),
        };
        self.record(&call, fault, "error");
        result
    }

    /// Schedules the effect for later. It belongs to the table or the queue, and not to the
    /// process.
    fn owe(self: &Arc<Self>, call: &Call, by: Duration, effect: Later) {
        let (gate, call): (Weak<Self>, Call) = (Arc::downgrade(self), call.clone());
        let apply = move |at| {
            let Some(gate) = gate.upgrade() else { return };
            let applied = effect(at);
            let mut state = gate.state.lock().unwrap();
            *(if applied {
                &mut state.late.applied
            } else {
                &mut state.late.refused
            }) += 1;
            state.line(at, &call, " late", if applied { "ok" } else { "error" });
        };
        self.clock
            .call_at(self.clock.now().plus(by), Box::new(apply));
    }

    async fn admit(&self, op: Op, subject: String) -> (Call, Fault) {
        // Others may run before every call: that is where real processes interleave.
        Yield(false).await;
        let admitted = {
            let mut state = self.state.lock().unwrap();
            // Other branches of a dead process may be polled once more in the poll it died in.
            if state.dead.contains(&state.current) {
                None
            } else {
                state.calls += 1;
                *state.counts.entry(op).or_default() += 1;
                let name = state.names.get(&state.current).cloned().unwrap_or_default();
                let call = Call {
                    number: state.calls,
                    op,
                    process: state.current,
                    name,
                    subject,
                };
                let fault = state
                    .hook
                    .as_mut()
                    .map_or(Fault::Proceed, |hook| hook(&call));
                Some((call, fault))
            }
        };
        match admitted {
            Some(admitted) => admitted,
            None => pending().await,
        }
    }

    async fn die<T>(&self, call: &Call, fault: Fault) -> T {
        self.record(call, fault, "dead");
        self.mark_dead(call.process);
        pending().await
    }

    fn record(&self, call: &Call, fault: Fault, outcome: &str) {
        let fault = if fault == Fault::Proceed {
            String::new()
        } else {
            format!(" {fault:?}")
        };
        self.state
            .lock()
            .unwrap()
            .line(self.clock.now(), call, &fault, outcome);
    }
}

impl State {
    /// Adds a call to the trace, if one is recorded.
    fn line(&mut self, at: Timestamp, call: &Call, fault: &str, outcome: &str) {
        if let Some(trace) = &mut self.trace {
            let Call {
                number,
                op,
                process,
                name,
                subject,
            } = call;
            let process = if name.is_empty() {
                format!("p{process}")
            } else {
                format!("{name} p{process}")
            };
            trace.push(format!(
                "{at} {process} #{number} {op:?} {subject}{fault} -> {outcome}"
            ));
        }
    }
}

/// Lets others run once.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
