//! Webhooks: one delivery for each URL of an event, its attempts, their order, and their secrets.

pub mod dispatch;
mod exchange;
pub(crate) mod order;
pub(crate) mod origin;
mod render;
pub mod replay;
pub mod secrets;
