//! Secrets by reference.

use serde_json::{Map, Value};

use super::super::Secrets;
use super::super::config::{ConfigError, SecretConfig, SecretRef};

/// The values of these secrets. A missing, empty or unusable one is an error that names the variable, never the value.
pub(in crate::provider) fn resolve(
    provider: &str,
    wanted: &[SecretConfig],
    secrets: Secrets<'_>,
) -> Result<Map<String, Value>, ConfigError> {
    let mut values = Map::new();
    for secret in wanted {
        let SecretRef::Env(variable) = &secret.from;
        let value = secrets(variable).filter(|v| !v.is_empty()).ok_or_else(|| {
            let needs = format!("providers.{provider} needs the environment variable {variable}, which is not set");
            secret.at.error(needs)
        })?;
        if value.chars().any(char::is_control) {
            return Err(secret.at.error(format!(
                "providers.{provider}: the environment variable {variable} holds a line break or another control character"
            )));
        }
        values.insert(secret.name.clone(), value.into());
    }
    Ok(values)
}
