//! The adapters' contract.
//!
//! `store`, `queue` and `assets` hold one suite each, written against the ports alone. It runs over
//! the simulated ports (every case a test of its own) and over the AWS adapters on `MiniStack` and
//! on moto (one test each, which starts the emulator and stops it). Where an emulator differs from
//! AWS, AWS's documentation decides, and [`emulator::EmulatorName::differences`] names the case.
//! The case must fail there, so that the list cannot outlive the difference.
//!
//! `answers` scripts, over loopback, what no emulator can produce: throttling, conflicts,
//! unprocessed items, half-accepted batches, silence.

mod answers;
mod assets;
mod documented;
mod emulator;
mod history;
mod queue;
mod store;
mod wire;

/// The names of all cases that run on an emulator.
fn case_names() -> impl Iterator<Item = &'static str> {
    store::names()
        .chain(queue::names())
        .chain(assets::names())
        .chain(documented::names())
}
