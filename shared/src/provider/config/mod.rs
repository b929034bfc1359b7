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
pub mod expression;
mod hem;
mod http;
mod ip;
mod later;
mod limits;
mod mapping;
mod oauth;
mod phone;
mod reader;
mod secret;
mod signals;
mod site;
mod tech;
mod template;
mod types;
mod web;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

pub use self::batch::{BatchConfig, Matching, Next};
pub use self::chat::{ChatConfig, ChatFormat, Extra};
pub use self::dataset::{DatasetConfig, Format, KeyColumn, Lookup, Normal, Search};
pub use self::domain_finder::{DOMAIN_FINDER_FIELDS, DomainFinderConfig};
pub use self::email_check::{EMAIL_CHECK_FIELDS, EmailCheckConfig};
pub use self::hem::{HEM_FIELD, HemConfig};
pub use self::http::HttpConfig;
pub use self::ip::{IP_FIELDS, IpConfig};
pub use self::later::{LaterConfig, Verify};
pub use self::limits::{BreakerConfig, CacheConfig, LimitsConfig, RateConfig};
pub use self::mapping::{Mapping, Pick};
pub use self::oauth::{ClientAuth, OauthConfig};
pub use self::phone::{PHONE_FIELDS, PhoneConfig};
use self::reader::{Entry, Source, Table};
pub use self::secret::{Environment, SecretConfig, SecretRef, Secrets};
pub use self::signals::{SIGNALS_FIELDS, SignalsConfig};
pub use self::site::{SITE_FIELDS, SiteConfig};
pub use self::tech::{TECH_FIELD, TechConfig};
pub use self::template::{BodyTemplate, Part, RequestTemplate, Template};
pub use self::types::{DEFAULT_WAIT, TypeConfig, Until};
pub use self::web::WebConfig;

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub file: String,
    /// From 1; 0 where the fault is the whole file's.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Place {
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError { at: self.clone(), message: message.into() }
    }
}

/// What is wrong with the configuration, where, and what to do: `FILE:LINE:COLUMN: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub at: Place,
    pub message: String,
}

impl ConfigError {
    /// A fault of a whole file.
    pub fn file(file: &str, message: impl Into<String>) -> Self {
        Self { at: Place { file: file.to_owned(), line: 0, column: 0 }, message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.line == 0 {
            return write!(f, "{}: {}", self.at.file, self.message);
        }
        write!(f, "{}:{}:{}: {}", self.at.file, self.at.line, self.at.column, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// `[providers.NAME]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProviderConfig {
    pub name: String,
    pub at: Place,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// SPDX identifier or the provider's own words.
    pub license: Option<String>,
    /// 0 to 1000, for a record to which it contributed a field; 1 where the file says nothing.
    pub credits: u32,
    pub limits: LimitsConfig,
    pub kind: Kind,
}

impl ProviderConfig {
    /// The longest this provider takes for one record; nothing where it only computes.
    pub fn timeout(&self) -> Option<Duration> {
        self.kind.settings().timeout()
    }

    fn read(name: &str, table: &Table<'_>) -> Result<Self, ConfigError> {
        let kind = Kind::read(table)?;
        // Where it is no number, it is computed from each answer.
        let computed = |entry: &Entry<'_>| kind.computes_confidence() && !entry.is_number();
        let confidence = table.get("confidence").filter(|entry| !computed(entry));
        Ok(Self {
            name: name.to_owned(),
            at: table.source.place(table.at),
            confidence: confidence.map(|entry| entry.fraction()).transpose()?,
            license: table.text("license")?.map(|(text, _)| text),
            credits: u32::try_from(table.number("credits", 0, 1000)?.unwrap_or(1)).unwrap_or(1),
            limits: LimitsConfig::read(table, kind.settings())?,
            kind,
        })
    }
}

/// What the waterfall must know of a kind of provider before it is asked.
pub trait Settings {
    /// The input fields without which it cannot be asked, and those that it uses where they are there: a type must know all
    /// of them.
    fn needs(&self) -> Vec<String>;

    /// The input fields without which it is not asked.
    fn required(&self) -> Vec<String> {
        self.needs()
    }

    /// The input fields on which an answer may depend; `None`: all that there are.
    fn reads(&self) -> Option<Vec<String>> {
        Some(self.needs())
    }

    /// The fields that it can give; `None` where only its answers show them.
    fn outputs(&self) -> Option<Vec<String>>;

    /// The longest it takes for one record; nothing where it only computes.
    fn timeout(&self) -> Option<Duration> {
        None
    }

    /// What it needs that the file only refers to.
    fn secrets(&self) -> Vec<&SecretConfig> {
        Vec::new()
    }

    /// Whether all its requests go to one upstream, so that some that fail say something of the others.
    fn one_upstream(&self) -> bool {
        false
    }

    /// Every place that it keeps, so that faults found later name the file that was deployed.
    fn places(&mut self) -> Vec<&mut Place> {
        Vec::new()
    }
}

/// `kind = …` and what belongs to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Kind {
    Chat(Box<ChatConfig>),
    Dataset(DatasetConfig),
    EmailCheck(EmailCheckConfig),
    Hem(HemConfig),
    Http(Box<HttpConfig>),
    Ip(IpConfig),
    Phone(PhoneConfig),
    Site(SiteConfig),
    Tech(TechConfig),
    DomainFinder(DomainFinderConfig),
    Signals(SignalsConfig),
}

impl ProviderConfig {
    /// Whether it needs what the operator keeps outside of the bundle, parameters or objects, in this environment.
    pub fn uses_assets(&self, environment: &dyn Fn(&str) -> Option<String>) -> bool {
        let secrets = self.kind.settings().secrets();
        let table = matches!(&self.kind, Kind::Dataset(table) if table.object().is_some());
        let unread = |secret: &&SecretConfig| {
            matches!(secret.from, SecretRef::Parameter(_)) && secret.known(environment).is_none()
        };
        table || secrets.iter().any(unread)
    }
}

impl Kind {
    const NAMES: [&str; 11] =
        ["chat", "dataset", "domain_finder", "email_check", "hem", "http", "ip", "phone", "signals", "site", "tech"];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let names = Self::NAMES.join(", ");
        let entry = table.need("kind", &format!("say which: {names}"))?;
        Ok(match entry.str()? {
            "chat" => Self::Chat(Box::new(ChatConfig::read(table)?)),
            "dataset" => Self::Dataset(DatasetConfig::read(table)?),
            "email_check" => Self::EmailCheck(EmailCheckConfig::read(table)?),
            "hem" => Self::Hem(HemConfig::read(table)?),
            "http" => Self::Http(Box::new(HttpConfig::read(table)?)),
            "ip" => Self::Ip(IpConfig::read(table)?),
            "phone" => Self::Phone(PhoneConfig::read(table)?),
            "site" => Self::Site(SiteConfig::read(table)?),
            "tech" => Self::Tech(TechConfig::read(table)?),
            "domain_finder" => Self::DomainFinder(DomainFinderConfig::read(table)?),
            "signals" => Self::Signals(SignalsConfig::read(table)?),
            other => return Err(entry.error(format!("there is no kind of provider `{other}`; it is one of {names}"))),
        })
    }

    pub fn settings(&self) -> &dyn Settings {
        match self {
            Self::Chat(chat) => chat.as_ref(),
            Self::Dataset(dataset) => dataset,
            Self::EmailCheck(check) => check,
            Self::Hem(hem) => hem,
            Self::Http(http) => http.as_ref(),
            Self::Ip(ip) => ip,
            Self::Phone(phone) => phone,
            Self::Site(site) => site,
            Self::Tech(tech) => tech,
            Self::DomainFinder(finder) => finder,
            Self::Signals(signals) => signals,
        }
    }

    /// The same whatever stands around it in the file.
    #[must_use]
    pub fn without_places(mut self) -> Self {
        let nowhere = Place { file: String::new(), line: 0, column: 0 };
        self.settings_mut().places().into_iter().for_each(|at| at.clone_from(&nowhere));
        self
    }

    /// Whether `confidence` may say where in an answer it stands.
    fn computes_confidence(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    fn settings_mut(&mut self) -> &mut dyn Settings {
        match self {
            Self::Chat(chat) => chat.as_mut(),
            Self::Dataset(dataset) => dataset,
            Self::EmailCheck(check) => check,
            Self::Hem(hem) => hem,
            Self::Http(http) => http.as_mut(),
            Self::Ip(ip) => ip,
            Self::Phone(phone) => phone,
            Self::Site(site) => site,
            Self::Tech(tech) => tech,
            Self::DomainFinder(finder) => finder,
            Self::Signals(signals) => signals,
        }
    }
}

/// The keys that every kind of provider has.
const COMMON: [&str; 8] = ["kind", "confidence", "license", "credits", "rate", "concurrency", "breaker", "cache"];

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    pub types: Vec<TypeConfig>,
    pub providers: Vec<ProviderConfig>,
    /// (surface, operation, type).
    pub operations: Vec<(String, String, String)>,
}

impl Config {
    /// Every place in it belongs to this file from now on.
    pub fn relabel(&mut self, file: &str) {
        for provider in &mut self.providers {
            file.clone_into(&mut provider.at.file);
            provider.kind.settings_mut().places().into_iter().for_each(|at| file.clone_into(&mut at.file));
        }
    }

    /// Reads and checks the text of a file; `file` is its name in messages. The first fault is the error.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let source = Source { file, text };
        let root = DeTable::parse(text).map_err(|e| {
            let at = e.span().unwrap_or_default();
            let place = source.place(at.start);
            match text.get(at).filter(|name| !name.is_empty()) {
                Some(name) if e.message() == "duplicate key" => place
                    .error(format!("duplicate key: the key or table `{name}` stands twice; remove one, or rename it")),
                _ => place.error(e.message().to_owned()),
            }
        })?;
        let root = Table::new(source, "the file", root.span().start, root.get_ref());
        root.only(&["types", "providers", "operations"])?;

        let mut providers = Vec::new();
        for (name, value) in root.tables("providers")? {
            providers.push(ProviderConfig::read(name, &value)?);
        }
        let mut types = Vec::new();
        for (name, value) in root.tables("types")? {
            types.push(TypeConfig::read(name, &value, &providers)?);
        }
        if types.is_empty() {
            return Err(root.error("there is no type; add a [types.NAME] with inputs and a waterfall"));
        }
        let mut operations = Vec::new();
        for (surface, table) in root.tables("operations")? {
            for (operation, value) in table.members() {
                let kind = value.str()?;
                if !types.iter().any(|t| t.name == kind) {
                    let known: Vec<&str> = types.iter().map(|t| t.name.as_str()).collect();
                    return Err(value.error(format!("there is no type `{kind}`; name one of: {}", known.join(", "))));
                }
                operations.push((surface.to_owned(), operation.to_owned(), kind.to_owned()));
            }
        }
        Ok(Self { types, providers, operations })
    }
}

#[cfg(test)]
mod tests;
