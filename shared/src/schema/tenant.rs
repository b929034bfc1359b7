//! A tenant's settings, credits, webhook secrets and API keys.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::item::{Corrupt, SPEC, get_json, get_n, get_s, get_set, json, key, s};
use crate::domain::ids::TenantId;
use crate::domain::job::{Job, Spec};
use crate::domain::progress::Progress;
use crate::domain::signature::LiveSecret;
use crate::domain::tenant::{Profile, Scope, SurfaceSettings};
use crate::ports::{Attributes, Change, Condition, Item, Key, Update, Value, Write};

/// The credits that a tenant may still spend.
pub const BALANCE: &str = "balance";
/// The credits that a tenant has spent.
pub const USED: &str = "used";
/// The chunks of a tenant's jobs that have not ended.
pub const OPEN_CHUNKS: &str = "open_chunks";
/// The live webhook secrets, as JSON.
const SECRETS: &str = "secrets";
/// Of webhook secrets: those of single surfaces, as JSON.
const OWN: &str = "own";
/// Of webhook secrets: the rotation that made the current one.
const ROTATION: &str = "rotation";
/// Of a profile: the choices for each surface, as JSON. Every value is a text, in later versions too:
/// this one reads no other.
const SETTINGS: &str = "settings";
const TENANT: &str = "tenant";
const SCOPES: &str = "scopes";

/// Returns the key of a tenant's settings.
pub fn profile_key(tenant: &TenantId) -> Key {
    key(format!("TENANT#{tenant}"), "PROFILE")
}

/// Returns the key of a tenant's credits.
pub fn credits_key(tenant: &TenantId) -> Key {
    key(format!("TENANT#{tenant}"), "CREDITS")
}

/// Returns the key of a tenant's webhook secrets.
pub fn secret_key(tenant: &TenantId) -> Key {
    key(format!("SECRET#{tenant}"), "WEBHOOK")
}

/// Returns the key of an API key's item. `hash` is that of the key.
pub fn api_key_key(hash: &str) -> Key {
    key(format!("KEY#{hash}"), "KEY")
}

/// Makes a tenant's settings.
pub(crate) fn profile_item(profile: &Profile) -> Item {
    Item {
        key: profile_key(&profile.tenant),
        attributes: Attributes::from([(SPEC.into(), profile_value(profile))]),
    }
}

fn profile_value(profile: &Profile) -> Value {
    s(json(profile))
}

/// Replaces a tenant's profile, on condition that there is one. Other attributes, of a later
/// version, stay.
pub(crate) fn replace_profile(profile: &Profile) -> Update {
    Update {
        key: profile_key(&profile.tenant),
        changes: vec![Change::Set(SPEC, profile_value(profile))],
        condition: Some(Condition::ItemExists),
    }
}

/// Replaces what was chosen for the surfaces, on condition that there is such a tenant and that what
/// was chosen is as `read`. Without any choice nothing is kept.
pub(crate) fn replace_settings(
    tenant: &TenantId,
    read: &Item,
    surfaces: &BTreeMap<String, SurfaceSettings>,
) -> Update {
    let unchanged = match read.attributes.get(SETTINGS) {
        Some(before) => Condition::Equals(SETTINGS, before.clone()),
        None => Condition::Absent(SETTINGS),
    };
    Update {
        key: profile_key(tenant),
        changes: vec![if surfaces.is_empty() {
            Change::Remove(SETTINGS)
        } else {
            Change::Set(SETTINGS, s(json(surfaces)))
        }],
        condition: Some(Condition::All(vec![Condition::ItemExists, unchanged])),
    }
}

/// Makes the credits of a tenant that has used none.
pub(crate) fn credits_item(tenant: &TenantId, balance: i64) -> Item {
    Item {
        key: credits_key(tenant),
        attributes: Attributes::from([
            (BALANCE.into(), Value::N(balance)),
            (USED.into(), Value::N(0)),
            (OPEN_CHUNKS.into(), Value::N(0)),
        ]),
    }
}

/// Adds credits to a tenant's balance, on condition that the tenant exists.
pub(crate) fn add_to_balance(tenant: &TenantId, credits: i64) -> Write {
    Write::Update(Update {
        key: credits_key(tenant),
        changes: vec![Change::Add(BALANCE, credits)],
        condition: Some(Condition::ItemExists),
    })
}

/// Reserves a new job's credits and counts its chunks as open, on condition that the tenant can
/// afford it.
pub(crate) fn reserve(spec: &Spec) -> Write {
    let reserved = i64::try_from(spec.reserved).unwrap_or(i64::MAX);
    let mut afforded = vec![Condition::ItemExists];
    afforded.extend((reserved > 0).then_some(Condition::AtLeast(BALANCE, reserved)));
    Write::Update(Update {
        key: credits_key(&spec.tenant),
        changes: vec![
            Change::Add(BALANCE, -reserved),
            Change::Add(OPEN_CHUNKS, spec.chunks.into()),
        ],
        condition: Some(Condition::All(afforded)),
    })
}

/// Gives back credits that were reserved and not used. It is in one transaction with the write that
/// ends the job, so it happens once.
pub(crate) fn settle(job: &Job, progress: &Progress) -> Write {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let used = number(progress.credits());
    let mut changes = vec![Change::Add(OPEN_CHUNKS, -i64::from(job.spec.chunks))];
    if number(job.spec.reserved) != used {
        changes.push(Change::Add(BALANCE, number(job.spec.reserved) - used));
    }
    if used != 0 {
        changes.push(Change::Add(USED, used));
    }
    Write::Update(Update {
        key: credits_key(&job.spec.tenant),
        changes,
        condition: Some(Condition::ItemExists),
    })
}

/// Checks that the tenant exists.
pub(crate) fn tenant_exists(tenant: &TenantId) -> Write {
    Write::Check {
        key: profile_key(tenant),
        condition: Condition::ItemExists,
    }
}

/// The numbers of a credits item; absent ones are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credits {
    pub(crate) balance: i64,
    pub(crate) used: i64,
    pub(crate) open_chunks: i64,
}

/// Reads a tenant's credits; without an item all are 0.
pub(crate) fn read_credits(item: Option<&Item>) -> Credits {
    let number = |name| item.and_then(|item| get_n(item, name)).unwrap_or(0);
    Credits {
        balance: number(BALANCE),
        used: number(USED),
        open_chunks: number(OPEN_CHUNKS),
    }
}

/// Reads a tenant's settings.
///
/// # Errors
/// [`Corrupt`] where they are not what a version of ours writes.
pub fn read_profile(item: &Item) -> Result<Profile, Corrupt> {
    let profile: Profile = get_json(item, SPEC)?;
    let surfaces = match item.attributes.get(SETTINGS) {
        Some(_) => get_json(item, SETTINGS)?,
        None => BTreeMap::new(),
    };
    Ok(Profile {
        surfaces,
        ..profile
    })
}

/// Makes an API key's item. `hash` is that of the key.
pub(crate) fn api_key_item(hash: &str, tenant: &TenantId, scopes: &BTreeSet<Scope>) -> Item {
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

/// Reads a key's tenant, and its scopes.
///
/// # Errors
/// [`Corrupt`] where it names no tenant.
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

fn secrets_value(secrets: &[LiveSecret]) -> Value {
    s(json(&secrets))
}

/// Makes a tenant's webhook secrets.
pub(crate) fn secrets_item(tenant: &TenantId, secrets: &[LiveSecret]) -> Item {
    Item {
        key: secret_key(tenant),
        attributes: Attributes::from([(SECRETS.into(), secrets_value(secrets))]),
    }
}

/// Replaces a tenant's secrets, on condition that they are as `read`. Other attributes, of a later
/// version, stay.
pub(crate) fn rotate_secrets(
    tenant: &TenantId,
    read: Option<&Item>,
    secrets: &[LiveSecret],
    rotation: &str,
) -> Write {
    let condition = match read.and_then(|item| item.attributes.get(SECRETS)) {
        Some(before) => Condition::Equals(SECRETS, before.clone()),
        None => Condition::Absent(SECRETS),
    };
    Write::Update(Update {
        key: secret_key(tenant),
        changes: vec![
            Change::Set(SECRETS, secrets_value(secrets)),
            Change::Set(ROTATION, s(rotation)),
        ],
        condition: Some(condition),
    })
}

/// A surface's own secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OwnSecrets {
    /// The current one first. Empty where the tenant's secrets sign again.
    pub(crate) secrets: Vec<LiveSecret>,
    /// The change that made them so.
    pub(crate) rotation: String,
}

/// Reads the secrets of single surfaces, by surface; none without an item.
///
/// # Errors
/// [`Corrupt`] where they are not what a version of ours writes.
pub(crate) fn read_own_secrets(
    item: Option<&Item>,
) -> Result<BTreeMap<String, OwnSecrets>, Corrupt> {
    match item.filter(|item| item.attributes.contains_key(OWN)) {
        Some(item) => get_json(item, OWN),
        None => Ok(BTreeMap::new()),
    }
}

/// Replaces the secrets of single surfaces, on condition that they and the tenant's are as `read`.
pub(crate) fn replace_own_secrets(
    tenant: &TenantId,
    read: Option<&Item>,
    own: &BTreeMap<String, OwnSecrets>,
) -> Write {
    let unchanged = |name| match read.and_then(|item| item.attributes.get(name)) {
        Some(before) => Condition::Equals(name, before.clone()),
        None => Condition::Absent(name),
    };
    Write::Update(Update {
        key: secret_key(tenant),
        changes: vec![Change::Set(OWN, s(json(own)))],
        condition: Some(Condition::All(vec![
            Condition::ItemExists,
            unchanged(OWN),
            unchanged(SECRETS),
        ])),
    })
}

/// Reads which rotation made the current secret.
pub(crate) fn read_rotation(item: &Item) -> Option<&str> {
    get_s(item, ROTATION)
}

/// Reads a tenant's webhook secrets, the current one first; none without an item.
///
/// # Errors
/// [`Corrupt`] where they are not what a version of ours writes.
pub fn read_secrets(item: Option<&Item>) -> Result<Vec<LiveSecret>, Corrupt> {
    item.map_or(Ok(Vec::new()), |item| get_json(item, SECRETS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn what_was_chosen_is_kept_beside_the_profile_and_read_back() {
        let tenant = TenantId::parse("t").unwrap();
        let profile = Profile {
            tenant: tenant.clone(),
            created_at: Timestamp(1),
            webhook_schedule: None,
            surfaces: BTreeMap::new(),
        };
        let mut item = profile_item(&profile);
        assert_eq!(get_s(&item, SPEC), Some(r#"{"tenant":"t","created_at":1}"#));
        assert_eq!(read_profile(&item), Ok(profile));
        let chosen = SurfaceSettings::from([("tone".to_owned(), "high".to_owned())]);
        let surfaces = BTreeMap::from([("s".to_owned(), chosen)]);
        let write = replace_settings(&tenant, &item, &surfaces);
        let stored = s(r#"{"s":{"tone":"high"}}"#);
        assert_eq!(write.changes, [Change::Set(SETTINGS, stored.clone())]);
        item.attributes.insert(SETTINGS.into(), stored.clone());
        assert_eq!(
            read_profile(&item).map(|profile| profile.surfaces),
            Ok(surfaces)
        );
        let write = replace_settings(&tenant, &item, &BTreeMap::new());
        assert_eq!(write.changes, [Change::Remove(SETTINGS)]);
        let unchanged = Condition::Equals(SETTINGS, stored);
        assert_eq!(
            write.condition,
            Some(Condition::All(vec![Condition::ItemExists, unchanged]))
        );
        item.attributes.insert(SETTINGS.into(), s("[]"));
        assert!(read_profile(&item).is_err());
    }
}
