//! Test support: the simulated ports, and a world built of them.

pub mod harness;
pub mod schema;
pub mod sim;
