//! The ports in simulation: one thread, one seed, virtual time, and a fault wherever a test wants
//! one.
//!
//! A [`Sim`] holds the ports. All but the name server share one [`Gate`], which numbers every call
//! that leaves the process, counts it by kind, asks the test's hook for its fate, and records a
//! trace. [`Sim::run`] drives a future to its end: when nothing can run, the virtual clock jumps to
//! the next timer, so a sleep of an hour costs nothing. A call with the fate [`Fault::Die`] ends
//! the run there: the future is dropped, as a killed process drops everything it had.
//!
//! ```ignore
//! let sim = Sim::new(7);
//! sim.gate.inject(at(3, Fault::Die));
//! assert!(matches!(sim.run(step(&*sim.store, &*sim.clock)), Ended::Died));
//! sim.gate.clear();
//! sim.finish(step(&*sim.store, &*sim.clock)); // the same step, over the dead one's rest
//! ```
//!
//! The store models `DynamoDB` and the queue models SQS as their documentation describes them, not
//! as an emulator behaves; `tests/contract` runs one suite over these and over the adapters, so
//! that the two cannot drift apart.

mod assets;
mod clock;
mod dns;
mod entropy;
mod gate;
mod http;
pub mod mapping;
mod queue;
mod run;
mod store;

use std::sync::Arc;

pub use assets::SimAssets;
pub use clock::SimClock;
pub use dns::SimDns;
pub use entropy::SimEntropy;
pub use gate::{Call, Chain, Fault, Gate, LateEffects, Op, at};
pub use http::{Reply, Sent, SimHttp};
pub use queue::{QueueFaults, Received, SimQueue};
pub use run::{Ended, Schedule};
pub use store::{Changed, SimStore, StoreFaults, Units, item_size};

/// All ports of one simulated world.
#[derive(Debug, Clone)]
pub struct Sim {
    pub gate: Arc<Gate>,
    pub clock: Arc<SimClock>,
    pub entropy: Arc<SimEntropy>,
    pub store: Arc<SimStore>,
    pub queue: Arc<SimQueue>,
    pub http: Arc<SimHttp>,
    pub dns: Arc<SimDns>,
    pub assets: Arc<SimAssets>,
}

impl Sim {
    /// A world at 2026-01-01T00:00:00Z with an empty table, empty queues and no hosts. The same
    /// seed and the same calls give the same world, to the byte.
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::default());
        let gate = Arc::new(Gate::new(Arc::clone(&clock)));
        Self {
            entropy: Arc::new(SimEntropy::new(seed)),
            store: Arc::new(SimStore::new(Arc::clone(&gate), Arc::clone(&clock))),
            queue: Arc::new(SimQueue::new(Arc::clone(&gate), Arc::clone(&clock))),
            http: Arc::new(SimHttp::new(Arc::clone(&gate), Arc::clone(&clock))),
            dns: Arc::default(),
            assets: Arc::new(SimAssets::new(Arc::clone(&gate))),
            gate,
            clock,
        }
    }

    /// Drives one future as one process until it ends, dies or can go no further. Time moves by
    /// itself.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> Ended<T> {
        run::one(&self.gate, &self.clock, work)
    }

    /// As [`run`](Self::run), for work that must end.
    ///
    /// # Panics
    /// When the work died or got stuck.
    pub fn finish<T>(&self, work: impl Future<Output = T>) -> T {
        match self.run(work) {
            Ended::Done(value) => value,
            Ended::Died => panic!("the work died at call {}", self.gate.calls()),
            Ended::Stuck => panic!("the work waits for something that never comes"),
        }
    }

    /// Several processes side by side; `seed` decides their order.
    pub fn schedule<'a>(&self, seed: u64) -> Schedule<'a> {
        Schedule::new(Arc::clone(&self.gate), Arc::clone(&self.clock), seed)
    }
}
