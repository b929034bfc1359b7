//! Tenants and their keys: what an operator does with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::TenantId;
use crate::domain::signature::{LiveSecret, SECRET_BYTES, Secret};
use crate::domain::tenant::{Profile, Scope, SettingChange, SurfaceSettings, api_key, hash_key};
use crate::jobs::idempotency::LIFETIME;
use crate::jobs::{Ports, StepError, transact};
use crate::ports::{StoreError, Write};
use crate::schema::{
    add_to_balance, api_key_item, api_key_key, credits_item, credits_key, insert_with, leave_mark,
    profile_item, profile_key, read_credits, read_profile, replace_profile, replace_settings,
    secrets_item, tenant_exists,
};

/// A new tenant's secrets, shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenant {
    /// The key in full, as callers send it; only its digest is stored.
    pub api_key: String,
    /// Signs the tenant's deliveries.
    pub webhook_secret: Secret,
}

/// Makes a tenant with a balance, a key that may read and write, and a webhook secret.
/// `ConditionFailed` when there is such a tenant already.
pub async fn create(
    ports: &Ports,
    tenant: &TenantId,
    credits: i64,
) -> Result<NewTenant, StoreError> {
    let key = api_key(&ports.random());
    let secret = Secret::new(&ports.random::<SECRET_BYTES>());
    let profile = Profile {
        tenant: tenant.clone(),
        created_at: ports.clock.now(),
        webhook_schedule: None,
        surfaces: BTreeMap::new(),
    };
    let live = [LiveSecret {
        secret: secret.clone(),
        expires_at: None,
    }];
    let writes = vec![
        insert_with(profile_item(&profile)),
        insert_with(credits_item(tenant, credits)),
        insert_with(secrets_item(tenant, &live)),
        insert_with(api_key_item(
            &hash_key(&key),
            tenant,
            &BTreeSet::from([Scope::Read, Scope::Write]),
        )),
    ];
    commit(ports, writes, &key).await?;
    Ok(NewTenant {
        api_key: key,
        webhook_secret: secret,
    })
}

/// Runs writes of which one puts a fresh key. If a condition fails because an earlier try of this
/// very call went through and its answer was lost, that is success: no other call can have put that
/// key.
async fn commit(ports: &Ports, writes: Vec<Write>, key: &str) -> Result<(), StoreError> {
    match transact(ports, writes).await {
        Err(StoreError::ConditionFailed(failed)) => {
            match ports.store.get(&api_key_key(&hash_key(key))).await? {
                Some(_) => Ok(()),
                None => Err(StoreError::ConditionFailed(failed)),
            }
        }
        answer => answer,
    }
}

/// Makes another key for a tenant. `ConditionFailed` when the tenant does not exist.
pub async fn create_key(
    ports: &Ports,
    tenant: &TenantId,
    scopes: &BTreeSet<Scope>,
) -> Result<String, StoreError> {
    let key = api_key(&ports.random());
    let writes = vec![
        tenant_exists(tenant),
        insert_with(api_key_item(&hash_key(&key), tenant, scopes)),
    ];
    commit(ports, writes, &key).await?;
    Ok(key)
}

/// Revokes a key. It stops working at once.
pub async fn revoke_key(ports: &Ports, key: &str) -> Result<(), StoreError> {
    ports
        .store
        .delete_all(vec![api_key_key(&hash_key(key))])
        .await
}

/// A tenant's profile and credits, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Status, limits and schedule.
    pub profile: Profile,
    /// Credits that are left to spend; those of running jobs are taken off already.
    pub balance: i64,
    /// Credits that ended jobs have cost.
    pub used: i64,
    /// Chunks of jobs that have not ended.
    pub open_chunks: i64,
}

/// Reads a tenant.
pub async fn show(ports: &Ports, tenant: &TenantId) -> Result<Option<Account>, StepError> {
    let items = ports
        .store
        .get_many(&[profile_key(tenant), credits_key(tenant)])
        .await?;
    let [Some(profile), Some(credits)] = &items[..] else {
        return Ok(None);
    };
    let credits = read_credits(Some(credits));
    Ok(Some(Account {
        profile: read_profile(profile)?,
        balance: credits.balance,
        used: credits.used,
        open_chunks: credits.open_chunks,
    }))
}

/// Adds credits to a tenant, or takes some away, once however often its writes are tried. Returns
/// the balance, or `None` when the tenant does not exist.
pub async fn add_credits(
    ports: &Ports,
    tenant: &TenantId,
    credits: i64,
) -> Result<Option<i64>, StepError> {
    // The grant leaves a mark of its own, so that the next try recognises one whose answer was
    // lost.
    let mark = format!("grant {}", hex::encode(ports.random::<16>()));
    let expires_at = ports.clock.now().plus(LIFETIME);
    let writes = vec![
        leave_mark(tenant, &mark, expires_at),
        add_to_balance(tenant, credits),
    ];
    match transact(ports, writes).await {
        Ok(()) => {}
        Err(StoreError::ConditionFailed(failed)) if failed.iter().any(|f| f.at == 0) => {}
        Err(StoreError::ConditionFailed(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    Ok(show(ports, tenant).await?.map(|account| account.balance))
}

/// Sets, or with `None` unsets, a tenant's own webhook schedule (seconds). `ConditionFailed` when
/// the tenant does not exist.
pub async fn set_webhook_schedule(
    ports: &Ports,
    tenant: &TenantId,
    schedule: Option<Vec<u64>>,
) -> Result<(), StepError> {
    let Some(account) = show(ports, tenant).await? else {
        return Err(StoreError::ConditionFailed(Vec::new()).into());
    };
    let profile = Profile {
        webhook_schedule: schedule,
        ..account.profile
    };
    ports.store.update(replace_profile(&profile)).await?;
    Ok(())
}

/// The most tries at a write that others get in front of.
const TURNS: u32 = 8;

/// Changes what is chosen for a tenant on its surfaces, and returns all that is chosen then. Jobs
/// that were submitted before keep what they were submitted with. `ConditionFailed` if the tenant does
/// not exist.
pub async fn change_settings(
    ports: &Ports,
    tenant: &TenantId,
    changes: &[SettingChange<'_>],
) -> Result<BTreeMap<String, SurfaceSettings>, StepError> {
    for _ in 0..TURNS {
        let Some(item) = ports.store.get(&profile_key(tenant)).await? else {
            return Err(StoreError::ConditionFailed(Vec::new()).into());
        };
        let before = read_profile(&item)?.surfaces;
        let mut surfaces = before.clone();
        for change in changes {
            change.apply(&mut surfaces);
        }
        if surfaces == before {
            return Ok(surfaces);
        }
        let write = replace_settings(tenant, &item, &surfaces);
        match ports.store.update(write).await {
            Ok(_) => return Ok(surfaces),
            // Another change came first, or an earlier try of this one, which the next turn sees.
            Err(StoreError::ConditionFailed(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}
