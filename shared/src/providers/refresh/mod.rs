//! Values that change while a process lives: secrets and tables. Limits how often a fault of either
//! is logged.

pub(crate) mod notice;
pub(crate) mod secret;
pub mod table;
