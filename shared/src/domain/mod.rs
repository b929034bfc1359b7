//! The rules of Millrace, as pure functions and types: no I/O, no clock, no randomness.

pub mod ids;
pub mod record;
pub mod time;
