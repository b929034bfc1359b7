//! E-mail addresses: their forms, and whether mail reaches them.

pub(crate) mod address;
mod check;
pub mod config;

pub use self::check::EmailCheck;
pub use self::config::{EMAIL_CHECK_FIELDS, EmailCheckConfig};
