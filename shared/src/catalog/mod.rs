//! `providers.toml`: the types of record and the providers behind them.
//!
//! `millrace providers compile` reads the file when a bundle is made, so that a faulty one stops
//! the build with the message that would stop the function's Init. The result goes into the bundle
//! too (`compiled.rs`).
//!
//! This module has the parts of declarations. Those of one kind of provider stand with that kind,
//! in `providers/kinds`; the caller passes the kinds, as a table of [`KindReader`].

mod address;
mod batch;
mod code;
pub mod compiled;
mod error;
pub mod expression;
mod file;
mod kind;
mod later;
mod limits;
mod mapping;
mod oauth;
mod provider;
mod reader;
mod record_type;
mod request;
mod secret;
mod settings;
mod template;
mod types;
mod web;

pub(crate) use self::address::check_url;
pub use self::batch::{BatchConfig, Matching, Next};
pub use self::error::{ConfigError, Place};
pub use self::file::Config;
pub use self::kind::{Kind, KindReader};
pub use self::later::{LaterConfig, Verify};
pub use self::limits::{BreakerConfig, CacheConfig, LimitsConfig, RateConfig};
pub use self::mapping::{Mapping, Pick};
pub use self::oauth::{ClientAuth, OauthConfig};
pub use self::provider::ProviderConfig;
pub(crate) use self::reader::is_field;
pub use self::reader::{Entry, FIELD_RULE, Table};
pub use self::record_type::{
    CONFIG_FILE, Catalog, MAX_INPUT_CHARS, RecordType, load_config, parse_config,
};
pub use self::request::{BodyTemplate, REQUEST_KEYS, RequestTemplate};
pub use self::secret::{Environment, SecretConfig, SecretRef, Secrets};
pub use self::settings::{KindConfig, Settings};
pub use self::template::{Part, Template};
pub use self::types::{DEFAULT_WAIT, TypeConfig, Until};
pub use self::web::WebConfig;

#[cfg(test)]
mod tests;
