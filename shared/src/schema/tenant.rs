//! A tenant's settings, credits, webhook secrets and API keys.

use std::collections::BTreeSet;

use super::item::{Corrupt, SPEC, get_json, get_s, get_set, json, key, s};
use crate::domain::ids::TenantId;
use crate::domain::signature::LiveSecret;
use crate::domain::tenant::{Profile, Scope};
use crate::ports::{Attributes, Item, Key, Value};

pub const BALANCE: &str = "balance";
pub const USED: &str = "used";
pub const OPEN_CHUNKS: &str = "open_chunks";
pub const SECRETS: &str = "secrets";
const TENANT: &str = "tenant";
const SCOPES: &str = "scopes";

pub fn profile_key(tenant: &TenantId) -> Key {
    key(format!("TENANT#{tenant}"), "PROFILE")
}

pub fn credits_key(tenant: &TenantId) -> Key {
    key(format!("TENANT#{tenant}"), "CREDITS")
}

pub fn secret_key(tenant: &TenantId) -> Key {
    key(format!("SECRET#{tenant}"), "WEBHOOK")
}

pub fn api_key_key(hash: &str) -> Key {
    key(format!("KEY#{hash}"), "KEY")
}

pub fn profile_item(profile: &Profile) -> Item {
    Item {
        key: profile_key(&profile.tenant),
        attributes: Attributes::from([(SPEC.into(), profile_value(profile))]),
    }
}

pub fn profile_value(profile: &Profile) -> Value {
    s(json(profile))
}

pub fn read_profile(item: &Item) -> Result<Profile, Corrupt> {
    get_json(item, SPEC)
}

/// `hash` is that of the key.
pub fn api_key_item(hash: &str, tenant: &TenantId, scopes: &BTreeSet<Scope>) -> Item {
    let scopes = scopes.iter().map(|s| s.as_str().to_owned()).collect();
    let attributes = Attributes::from([
        (TENANT.into(), s(tenant.as_str())),
        (SCOPES.into(), Value::Ss(scopes)),
    ]);
    Item {
        key: api_key_key(hash),
        attributes,
    }
}

/// Reads whose key it is, and what it may do.
pub fn read_api_key(item: &Item) -> Result<(TenantId, BTreeSet<Scope>), Corrupt> {
    let tenant = get_s(item, TENANT)
        .and_then(TenantId::parse)
        .ok_or(Corrupt("key"))?;
    Ok((
        tenant,
        get_set(item, SCOPES)
            .filter_map(|scope| Scope::parse(scope))
            .collect(),
    ))
}

pub fn secrets_value(secrets: &[LiveSecret]) -> Value {
    s(json(&secrets))
}

pub fn read_secrets(item: Option<&Item>) -> Result<Vec<LiveSecret>, Corrupt> {
    item.map_or(Ok(Vec::new()), |item| get_json(item, SECRETS))
}
