//! The rules of Millrace, as pure functions and types: no I/O, no clock, no randomness.

pub mod backoff;
pub mod callback;
pub mod chunk;
pub mod credits;
pub mod delivery;
pub mod error;
pub mod export;
pub mod ids;
pub mod job;
pub mod json;
pub mod lease;
pub mod organisation;
pub mod progress;
pub mod record;
pub mod rows;
pub mod signature;
pub mod suspended;
pub mod tenant;
pub mod time;
