//! Test support: the simulated ports, and a world built of them.

pub mod fuzz;
pub mod harness;
pub mod schema;
pub mod sim;
