//! Secrets by reference: where they are, never what they are.

use serde::{Deserialize, Serialize};

use super::reader::{Entry, FIELD_RULE, is_field};
use super::{ConfigError, Place};

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretRef {
    /// An environment variable, read when the function starts.
    Env(String),
}

/// A secret, by the name it has in templates.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretConfig {
    pub name: String,
    pub from: SecretRef,
    pub at: Place,
}

impl SecretConfig {
    /// `secrets = { NAME = { env = "VARIABLE" } }`.
    pub(super) fn read_all(entry: &Entry<'_>) -> Result<Vec<Self>, ConfigError> {
        let mut secrets = Vec::new();
        for (name, value) in entry.entries()? {
            if !is_field(name) {
                return Err(value.error(FIELD_RULE));
            }
            secrets.push(Self::read(name, &value)?);
        }
        Ok(secrets)
    }

    /// `{ env = "VARIABLE" }`.
    pub(super) fn read(name: &str, entry: &Entry<'_>) -> Result<Self, ConfigError> {
        let inner = entry
            .table("{}")
            .map_err(|_| entry.error("a secret is a reference: { env = \"NAME_OF_VARIABLE\" }; never the value"))?;
        inner.only(&["env"])?;
        let env = inner.need("env", "the name of the environment variable that holds the secret")?;
        let variable = env.str()?;
        if variable.is_empty() || !variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(env.error("the name of an environment variable has letters, digits and _ only"));
        }
        Ok(Self { name: name.to_owned(), from: SecretRef::Env(variable.to_owned()), at: entry.place() })
    }
}
