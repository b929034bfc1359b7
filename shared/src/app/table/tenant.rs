//! A tenant's settings, credits, webhook secrets and API keys.

use super::item::{Corrupt, SPEC, get_json, json, key, s};
use crate::domain::ids::TenantId;
use crate::domain::signature::LiveSecret;
use crate::domain::tenant::Profile;
use crate::ports::{Attributes, Item, Key, Value};

pub const BALANCE: &str = "balance";
pub const USED: &str = "used";
pub const OPEN_CHUNKS: &str = "open_chunks";
pub const SECRETS: &str = "secrets";

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
    Item { key: profile_key(&profile.tenant), attributes: Attributes::from([(SPEC.into(), profile_value(profile))]) }
}

pub fn profile_value(profile: &Profile) -> Value {
    s(json(profile))
}

pub fn read_profile(item: &Item) -> Result<Profile, Corrupt> {
    get_json(item, SPEC)
}

pub fn secrets_value(secrets: &[LiveSecret]) -> Value {
    s(json(&secrets))
}

pub fn read_secrets(item: Option<&Item>) -> Result<Vec<LiveSecret>, Corrupt> {
    item.map_or(Ok(Vec::new()), |item| get_json(item, SECRETS))
}
