//! The guards between a provider and its upstream: rates, circuits, saved answers, and what tenants
//! have seen before.

pub mod answer_cache;
pub mod circuit_breaker;
pub mod guarded;
pub mod rate_limit;
pub mod seen;
pub mod waits;
