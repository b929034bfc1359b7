//! `providers.toml`: the types of record and the providers behind them.
//!
//! `millrace providers compile` reads the file when a bundle is made, so that a wrong one stops the build with the same message
//! that would stop the function's Init; what it read goes into the bundle too (`compiled.rs`).
//!
//! One file per kind of provider: a struct of what the file says, its reader, and [`Settings`], which is what the waterfall
//! must know of it. A new kind is that file, a variant of [`Kind`], and a line in each of `Kind::read`, `Kind::settings`
//! and `Kind::settings_mut`.

mod address;
mod batch;
mod chat;
pub mod compiled;
mod dataset;
mod domain_finder;
mod email_check;
mod error;
pub mod expression;
mod file;
mod hem;
mod http;
mod ip;
mod kind;
mod later;
mod limits;
mod mapping;
mod oauth;
mod phone;
mod provider;
mod reader;
mod record_type;
mod request;
mod secret;
mod settings;
mod signals;
mod site;
mod tech;
mod template;
mod types;
mod web;

pub use self::batch::{BatchConfig, Matching, Next};
pub use self::chat::{ChatConfig, ChatFormat, Extra};
pub use self::dataset::{DatasetConfig, Format, KeyColumn, Lookup, Normal, Search};
pub use self::domain_finder::{DOMAIN_FINDER_FIELDS, DomainFinderConfig};
pub use self::email_check::{EMAIL_CHECK_FIELDS, EmailCheckConfig};
pub use self::error::{ConfigError, Place};
pub use self::file::Config;
pub use self::hem::{HEM_FIELD, HemConfig};
pub use self::http::HttpConfig;
pub use self::ip::{IP_FIELDS, IpConfig};
pub use self::kind::Kind;
pub use self::later::{LaterConfig, Verify};
pub use self::limits::{BreakerConfig, CacheConfig, LimitsConfig, RateConfig};
pub use self::mapping::{Mapping, Pick};
pub use self::oauth::{ClientAuth, OauthConfig};
pub use self::phone::{PHONE_FIELDS, PhoneConfig};
pub use self::provider::ProviderConfig;
pub use self::record_type::{
    CONFIG_FILE, Catalog, MAX_INPUT_CHARS, RecordType, load_config, parse_config,
};
pub use self::request::{BodyTemplate, RequestTemplate};
pub use self::secret::{Environment, SecretConfig, SecretRef, Secrets};
pub use self::settings::Settings;
pub use self::signals::{SIGNALS_FIELDS, SignalsConfig};
pub use self::site::{SITE_FIELDS, SiteConfig};
pub use self::tech::{TECH_FIELD, TechConfig};
pub use self::template::{Part, Template};
pub use self::types::{DEFAULT_WAIT, TypeConfig, Until};
pub use self::web::WebConfig;

#[cfg(test)]
mod tests;
