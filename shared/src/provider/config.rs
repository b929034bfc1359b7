//! `providers.toml`: the types of record and the providers behind them.
//!
//! Self-contained on purpose (std and toml): `build.rs` includes this file, so that a wrong `infra/providers.toml` stops
//! the build with the same message that stops the function's Init.

use std::fmt;
use std::time::Duration;

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// When a waterfall stops before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// As soon as a provider found anything.
    Any,
    /// As soon as all of these fields are there.
    Fields(Vec<String>),
}

/// `[types.NAME]`.
#[derive(Debug, Clone)]
pub struct TypeConfig {
    pub name: String,
    pub description: String,
    /// A record has every field of at least one set.
    pub inputs: Vec<Vec<String>>,
    /// Fields that may be there besides.
    pub optional_inputs: Vec<String>,
    pub waterfall: Vec<String>,
    pub until: Until,
    /// 1 to 100 s.
    pub record_timeout: Duration,
    /// 1 to 64.
    pub concurrency: usize,
    /// Set where the waterfall is empty: what to configure.
    pub unconfigured: Option<String>,
}

/// `[providers.NAME]`.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    pub name: String,
    pub at: Place,
    /// 0 to 1.
    pub confidence: Option<f64>,
    pub license: Option<String>,
    /// 0 to 1000, for a record to which it contributed a field.
    pub credits: u32,
}

impl ProviderConfig {
    /// The longest this provider takes for one record; nothing where it only computes.
    pub fn timeout(&self) -> Option<Duration> {
        None
    }
}

/// The whole file.
#[derive(Debug, Clone)]
pub struct Config {
    pub types: Vec<TypeConfig>,
    pub providers: Vec<ProviderConfig>,
}

impl Config {
    /// Reads and checks the text of a file; `file` is its name in messages.
    pub fn parse(file: &str, _text: &str) -> Result<Self, ConfigError> {
        Err(ConfigError::file(file, "cannot be read yet"))
    }
}
