//! The kinds of provider, a file or a folder each, and readers that several of them use. This file
//! is their registry.

pub(crate) mod charset;
pub mod chat;
pub mod dataset;
pub mod email;
pub mod hem;
pub mod http;
pub mod ip;
pub mod phone;
pub(crate) mod suffix;
pub mod web;

use serde_json::Error;
use serde_json::value::RawValue;

use super::kind::{KindBuilder, Places, write};
use crate::catalog::{Kind, KindReader};

/// The registry: for each kind the module with its settings, and their type.
macro_rules! registry {
    ($table:ident) => {
        $table! {
            chat::config: ChatConfig,
            dataset::config: DatasetConfig,
            email::config: EmailCheckConfig,
            hem: HemConfig,
            http::config: HttpConfig,
            ip::config: IpConfig,
            phone::config: PhoneConfig,
            web::domain_finder: DomainFinderConfig,
            web::signals: SignalsConfig,
            web::site: SiteConfig,
            web::tech::config: TechConfig,
        }
    };
}

/// Reads the declarations of each kind. A program that names this table alone links no provider.
pub static READERS: &[KindReader] = registry!(kind_readers);

/// Builds the providers of each kind.
pub static BUILDERS: &[KindBuilder] = registry!(kind_builders);

/// Writes the settings of a provider of these kinds as JSON, for a compiled file.
///
/// # Errors
/// A provider of another kind, or a value that JSON cannot hold.
pub fn settings(kind: &Kind) -> Result<Box<RawValue>, Error> {
    write(BUILDERS, kind, Places::Kept)
}
