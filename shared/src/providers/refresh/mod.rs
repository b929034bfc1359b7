//! What changes while a process lives: secrets, tables, and how often a fault of either is logged.

pub(crate) mod notice;
pub(crate) mod secret;
pub mod table;
