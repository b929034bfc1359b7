//! Secrets by reference.

use serde_json::{Map, Value};

use crate::catalog::Secrets;
use crate::catalog::{ConfigError, SecretConfig, SecretRef};

/// Returns the values of these secrets. A missing, empty or unusable one is an error that names its
/// place, never its value.
pub(in crate::providers) fn resolve(
    provider: &str,
    wanted: &[SecretConfig],
    secrets: Secrets<'_>,
) -> Result<Map<String, Value>, ConfigError> {
    let mut values = Map::new();
    for secret in wanted {
        let from = &secret.from;
        let value = secrets(secret).filter(|v| !v.is_empty()).ok_or_else(|| {
            let what = if matches!(from, SecretRef::Env(_)) {
                "not set"
            } else {
                "empty"
            };
            secret.at.error(format!(
                "providers.{provider} needs {from}, which is {what}"
            ))
        })?;
        if value.chars().any(char::is_control) {
            return Err(secret.at.error(format!(
                "providers.{provider}: {from} holds a line break or another control character"
            )));
        }
        values.insert(secret.name.clone(), value.into());
    }
    Ok(values)
}
