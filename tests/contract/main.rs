//! The adapters' contract.
//!
//! `store`, `queue` and `assets` hold one suite each, written against the ports alone. It runs over the simulated ports (every
//! case a test of its own) and over the AWS adapters on `MiniStack` (one test, which starts the emulator and stops it).
//! Where the emulator differs from AWS, AWS's documentation decides what the suite asks for, and
//! [`ministack::DIFFERENCES`] names the case: it must fail there, so that the list cannot outlive the difference.
//!
//! `answers` scripts, over loopback, what no emulator can be asked for: throttling, conflicts, unprocessed items,
//! half-accepted batches, silence.

mod answers;
mod assets;
mod history;
mod ministack;
mod queue;
mod store;
mod wire;
