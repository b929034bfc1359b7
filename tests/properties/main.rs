//! Readers of outside data, with inputs malformed by rule; `testkit::fuzz` says what must hold.
//!
//! The seed is fixed. `PROPTEST_RNG_SEED=7` sets another, `PROPTEST_CASES=10000` the number of
//! inputs of each test. A failing test prints its smallest input as it would stand in a file of
//! `tests/fuzz/corpus`, where it then belongs.

mod corpus;
mod inputs;
mod malform;
mod memory;
mod round_trips;
mod sites;

use std::fmt;

use proptest::test_runner::{Config, RngSeed};

/// `cases` inputs from a fixed seed, unless the environment says otherwise.
fn config(cases: u32) -> Config {
    let set = |name: &str| std::env::var_os(name).is_some();
    let asked = Config::default();
    Config {
        cases: if set("PROPTEST_CASES") {
            asked.cases
        } else {
            cases
        },
        rng_seed: if set("PROPTEST_RNG_SEED") {
            asked.rng_seed
        } else {
            RngSeed::Fixed(1)
        },
        failure_persistence: None,
        max_shrink_iters: 500,
        ..asked
    }
}

/// Bytes that are shown as text.
#[derive(Clone, PartialEq, Eq)]
struct Input(Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}
