//! E-mail addresses: how they are written, and whether mail reaches them.

pub(crate) mod address;
mod check;

pub use self::check::EmailCheck;
