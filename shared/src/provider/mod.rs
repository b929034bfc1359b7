//! Providers and the waterfall over them.
//!
//! A provider answers one question: what do you know about this input? The waterfall (`waterfall.rs`) asks several in
//! order and merges what they find. `config` reads `providers.toml`, which declares types and providers.
//!
//! [`Catalog`] is what the file says about types (inputs, prices, limits) and is all that `submit` loads. [`Registry`]
//! is a catalog with its providers built: tables opened, secrets of the environment resolved. `enrich` loads that.

pub mod breaker;
pub mod cache;
mod catalog;
mod charset;
pub mod chat;
pub mod config;
mod contract;
pub mod dataset;
mod email;
pub mod email_check;
pub mod hem;
pub mod http;
pub mod ip;
mod keyed;
pub mod limit;
pub mod limited;
mod notice;
pub mod phone;
pub mod refreshed;
mod registry;
pub mod seen;
mod suffix;
#[cfg(test)]
mod testing;
pub mod waits;
pub mod waterfall;
pub mod web;

pub use self::catalog::{CONFIG_FILE, Catalog, MAX_INPUT_CHARS, RecordType, load_config, parse_config};
pub use self::config::{ConfigError, Environment, Secrets};
pub use self::contract::{Answer, Confidence, Earlier, Fate, Guard, Later, Ports, Provider, Question, Refused};
pub use self::registry::{Registry, build};
pub use self::waterfall::Waterfall;
pub use crate::domain::suspended::Outage;
