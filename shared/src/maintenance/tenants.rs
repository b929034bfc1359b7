//! Tenants and their keys: what an operator does with them.

use std::collections::BTreeSet;

use crate::domain::ids::TenantId;
use crate::domain::signature::{LiveSecret, SECRET_BYTES, Secret};
use crate::domain::tenant::{Profile, Scope, api_key, hash_key};
use crate::jobs::idempotency::LIFETIME;
use crate::jobs::{Ports, StepError, transact};
use crate::ports::{Attributes, Change, Condition, Item, Put, StoreError, Update, Value, Write};
use crate::schema::{
    BALANCE, EXPIRES_AT, OPEN_CHUNKS, SECRETS, SPEC, USED, api_key_item, api_key_key, credits_key,
    get_n, idempotency_key, profile_item, profile_key, profile_value, read_profile, secret_key,
    secrets_value,
};

/// A new tenant's secrets, shown once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTenant {
    pub api_key: String,
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
    };
    let put = |item| {
        Write::Put(Put {
            item,
            condition: Some(Condition::ItemAbsent),
        })
    };
    let live = [LiveSecret {
        secret: secret.clone(),
        expires_at: None,
    }];
    let writes = vec![
        put(profile_item(&profile)),
        put(Item {
            key: credits_key(tenant),
            attributes: Attributes::from([
                (BALANCE.into(), Value::N(credits)),
                (USED.into(), Value::N(0)),
                (OPEN_CHUNKS.into(), Value::N(0)),
            ]),
        }),
        put(Item {
            key: secret_key(tenant),
            attributes: Attributes::from([(SECRETS.into(), secrets_value(&live))]),
        }),
        put(api_key_item(
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

/// Runs writes of which one puts a fresh key. A condition that fails because an earlier try of this very call had gone
/// through, its answer lost, is success: nobody else can have put that key.
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

/// Makes another key for a tenant. `ConditionFailed` when there is no such tenant.
pub async fn create_key(
    ports: &Ports,
    tenant: &TenantId,
    scopes: &BTreeSet<Scope>,
) -> Result<String, StoreError> {
    let key = api_key(&ports.random());
    let writes = vec![
        Write::Check {
            key: profile_key(tenant),
            condition: Condition::ItemExists,
        },
        Write::Put(Put {
            item: api_key_item(&hash_key(&key), tenant, scopes),
            condition: Some(Condition::ItemAbsent),
        }),
    ];
    commit(ports, writes, &key).await?;
    Ok(key)
}

/// Takes a key back. It stops working at once.
pub async fn revoke_key(ports: &Ports, key: &str) -> Result<(), StoreError> {
    ports
        .store
        .delete_all(vec![api_key_key(&hash_key(key))])
        .await
}

/// A tenant's profile and credits, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub profile: Profile,
    pub balance: i64,
    pub used: i64,
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
    Ok(Some(Account {
        profile: read_profile(profile)?,
        balance: get_n(credits, BALANCE).unwrap_or(0),
        used: get_n(credits, USED).unwrap_or(0),
        open_chunks: get_n(credits, OPEN_CHUNKS).unwrap_or(0),
    }))
}

/// Adds credits to a tenant, or takes some away, once however often its writes are tried. Answers the balance, or `None`
/// when there is no such tenant.
pub async fn add_credits(
    ports: &Ports,
    tenant: &TenantId,
    credits: i64,
) -> Result<Option<i64>, StepError> {
    // The grant leaves a mark of its own, so that a try whose answer was lost is known by the next.
    let mark = idempotency_key(
        tenant,
        &format!("grant {}", hex::encode(ports.random::<16>())),
    );
    let expires_at = ports.clock.now().plus(LIFETIME).seconds();
    let attributes = Attributes::from([(EXPIRES_AT.into(), Value::N(expires_at))]);
    let writes = vec![
        Write::Put(Put {
            item: Item {
                key: mark,
                attributes,
            },
            condition: Some(Condition::ItemAbsent),
        }),
        Write::Update(Update {
            key: credits_key(tenant),
            changes: vec![Change::Add(BALANCE, credits)],
            condition: Some(Condition::ItemExists),
        }),
    ];
    match transact(ports, writes).await {
        Ok(()) => {}
        Err(StoreError::ConditionFailed(failed)) if failed.iter().any(|f| f.at == 0) => {}
        Err(StoreError::ConditionFailed(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    Ok(show(ports, tenant).await?.map(|account| account.balance))
}

/// Sets, or with `None` unsets, a tenant's own webhook schedule (seconds). `ConditionFailed` when there is no such tenant.
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
    // An update, so that what a later version keeps beside it stays.
    let update = Update {
        key: profile_key(tenant),
        changes: vec![Change::Set(SPEC, profile_value(&profile))],
        condition: Some(Condition::ItemExists),
    };
    ports.store.update(update).await?;
    Ok(())
}
