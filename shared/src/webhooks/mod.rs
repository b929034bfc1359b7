//! What becomes of an event: one delivery a URL, its attempts, their order, and their secrets.

pub mod dispatch;
mod exchange;
pub(crate) mod order;
pub(crate) mod origin;
mod render;
pub mod replay;
pub mod secrets;
