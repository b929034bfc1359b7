//! `kind = "hem"`: the hashes of an e-mail address.

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::reader::Table;
use super::settings::{COMMON, Settings};

/// The hashes of an e-mail address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HemConfig {
    /// The input field that holds the address; `email` where the file says nothing.
    pub input: String,
}

/// The output field of the `hem` provider.
pub const HEM_FIELD: &str = "hashes";

impl HemConfig {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        table.only_and(&COMMON, &["input"])?;
        let input = table
            .get("input")
            .map_or_else(|| Ok("email".to_owned()), |entry| entry.field())?;
        Ok(Self { input })
    }
}

impl Settings for HemConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(vec![HEM_FIELD.to_owned()])
    }
}
