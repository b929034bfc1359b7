//! Test support: the simulated ports.

pub mod sim;
