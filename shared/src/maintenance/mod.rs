//! Work that runs by the clock and for operators.

pub mod sweep;
pub mod tenants;
