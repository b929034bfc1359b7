//! Faults of the file, with their places.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file's name in messages.
    pub file: String,
    /// From 1; 0 where the fault is the whole file's.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Place {
    /// Creates the error of what stands here.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError {
            at: self.clone(),
            message: message.into(),
        }
    }
}

/// A fault of the configuration, its place, and what to do: `FILE:LINE:COLUMN: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where the fault is.
    pub at: Place,
    /// The fault, and what to write instead.
    pub message: String,
}

impl ConfigError {
    /// Creates the error of a whole file.
    pub fn file(file: &str, message: impl Into<String>) -> Self {
        Self {
            at: Place {
                file: file.to_owned(),
                line: 0,
                column: 0,
            },
            message: message.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.line == 0 {
            return write!(f, "{}: {}", self.at.file, self.message);
        }
        write!(
            f,
            "{}:{}:{}: {}",
            self.at.file, self.at.line, self.at.column, self.message
        )
    }
}

impl std::error::Error for ConfigError {}
