//! Test support: the simulated ports.
