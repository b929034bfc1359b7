//! Hosts, and the domains that they belong to.

use serde_json::{Map, Value};

use crate::providers::kinds::suffix;

/// Returns the host in an input field. The error says what is wrong with it.
pub(super) fn host(input: &Map<String, Value>, field: &str) -> Result<String, String> {
    let text = input
        .get(field)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("`{field}` is needed"))?;
    suffix::host(text).map_err(|why| format!("`{field}` {why}"))
}

/// Returns the registrable domain of a host, or the host if it has none. Public suffixes have sites
/// too: `www.nhs.uk` is that of `nhs.uk`, which is not a domain of one owner.
pub(super) fn owner(host: &str) -> &str {
    let owner = suffix::registrable(host).unwrap_or(host);
    owner
        .strip_prefix("www.")
        .filter(|suffix| suffix.contains('.'))
        .unwrap_or(owner)
}
