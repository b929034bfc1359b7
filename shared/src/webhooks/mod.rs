//! What becomes of an event: one delivery a URL, its attempts, their order, and their secrets.

pub mod dispatch;
pub(crate) mod order;
pub(crate) mod origin;
pub mod replay;
pub mod secrets;
