//! Secrets by reference: their places, never their values.

use serde::{Deserialize, Serialize};

use super::error::{ConfigError, Place};
use super::reader::{Entry, FIELD_RULE, is_field};

/// The place of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SecretRef {
    /// An environment variable, read when the function starts.
    Env(String),
    /// A parameter of AWS Systems Manager, by its full name; read when the first record asks, and
    /// again from time to time.
    Parameter(String),
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(variable) => write!(f, "the environment variable {variable}"),
            Self::Parameter(name) => write!(f, "the parameter {name}"),
        }
    }
}

/// Returns the value of a secret; `None` where there is none.
pub type Secrets<'a> = &'a dyn Fn(&SecretConfig) -> Option<String>;

/// Returns the value of an environment variable; `None` where it is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A secret, by the name it has in templates.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretConfig {
    /// Its name in templates: `{{ secret.NAME }}`.
    pub name: String,
    /// The place of its value.
    pub from: SecretRef,
    /// A variable that, where it is set, goes before the parameter: for trials away from AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
    /// Where the file refers to it.
    pub at: Place,
}

impl SecretConfig {
    /// Returns the environment variable that may hold it.
    pub fn variable(&self) -> Option<&str> {
        if let SecretRef::Env(variable) = &self.from {
            Some(variable)
        } else {
            self.unless.as_deref()
        }
    }

    /// Returns its value, where that is in this environment.
    pub fn known(&self, environment: Environment<'_>) -> Option<String> {
        environment(self.variable()?).filter(|value| !value.is_empty())
    }

    /// Reads `secrets = { NAME = { ssm = "/path/name" } }`.
    pub fn read_all(entry: &Entry<'_>) -> Result<Vec<Self>, ConfigError> {
        let mut secrets = Vec::new();
        for (name, value) in entry.entries()? {
            if !is_field(name) {
                return Err(value.error(FIELD_RULE));
            }
            secrets.push(Self::read(name, &value)?);
        }
        Ok(secrets)
    }

    /// Reads `{ env = "VARIABLE" }`, `{ ssm = "/path/name" }`, or both.
    pub fn read(name: &str, entry: &Entry<'_>) -> Result<Self, ConfigError> {
        const REFERENCE: &str = "a secret is a reference: { ssm = \"/path/of/parameter\" } or { \
                                 env = \"NAME_OF_VARIABLE\" }; never the value";
        let inner = entry.table("{}").map_err(|_| entry.error(REFERENCE))?;
        inner.only(&["env", "ssm"])?;
        let env = inner.get("env").map(|env| variable(&env)).transpose()?;
        let ssm = inner.get("ssm").map(|ssm| parameter(&ssm)).transpose()?;
        let (from, unless) = match (env, ssm) {
            (Some(variable), None) => (SecretRef::Env(variable), None),
            (unless, Some(name)) => (SecretRef::Parameter(name), unless),
            (None, None) => return Err(entry.error(REFERENCE)),
        };
        Ok(Self {
            name: name.to_owned(),
            from,
            unless,
            at: entry.place(),
        })
    }
}

fn variable(entry: &Entry<'_>) -> Result<String, ConfigError> {
    let name = entry.str()?;
    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(name.to_owned());
    }
    Err(entry.error("the name of an environment variable has letters, digits and _ only"))
}

/// Reads the full name of a parameter: permission is given to a role for that. Source of the rule:
/// AWS Systems Manager, "Creating parameters" (at most 1,011 characters, 15 levels).
fn parameter(entry: &Entry<'_>) -> Result<String, ConfigError> {
    let name = entry.str()?;
    let part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let levels = name
        .strip_prefix('/')
        .map(|path| path.split('/').collect::<Vec<_>>())
        .unwrap_or_default();
    if !(1..=15).contains(&levels.len())
        || name.len() > 1_011
        || !levels.iter().all(|level| part(level))
    {
        return Err(entry.error(
            "the full name of a parameter is such as /millrace/acme-key: letters, digits, . _ - \
             and /",
        ));
    }
    Ok(name.to_owned())
}
