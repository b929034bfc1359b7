//! Webhook secrets: one is current, older ones also sign until their overlap ends. A tenant may
//! choose one of its own for a surface, which makes the vendor's signature there.

use std::time::Duration;

use crate::domain::error::ApiError;
use crate::domain::ids::{JobId, TenantId};
use crate::domain::signature::{LiveSecret, SECRET_BYTES, Secret, replace, rotate as rotated};
use crate::domain::tenant::{KEY_PREFIX, hash_key};
use crate::domain::time::Timestamp;
use crate::jobs::idempotency::Idempotency;
use crate::jobs::{Ports, StepError, transact};
use crate::ports::StoreError;
use crate::schema::{
    OwnSecrets, api_key_key, read_api_key, read_own_secrets, read_rotation, read_secrets,
    replace_own_secrets, rotate_secrets, secret_key,
};
use crate::surfaces::{OwnSecret, own_secret_form};

/// The longest overlap. Source: the API description.
pub const MAX_OVERLAP: Duration = Duration::from_secs(72 * 3600);

/// The answer to a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The new secret, in full; it signs from now on.
    pub secret: Secret,
    /// The time until which the previous secret signs too; `None` where there was none.
    pub previous_expires_at: Option<Timestamp>,
}

/// Makes a new secret the current one. Repeating the request with its idempotency key returns the
/// same secret as long as it is the current one.
pub async fn rotate(
    ports: &Ports,
    tenant: &TenantId,
    overlap: Duration,
    idempotency: Option<&Idempotency>,
) -> Result<Rotated, ApiError> {
    // Names the rotation in the idempotency item; no job has it.
    let rotation = JobId::new(ports.clock.now(), ports.random());
    let key = secret_key(tenant);
    for _ in 0..8 {
        // Read before the secrets, so that what was made with this key is among them.
        let earlier = match idempotency {
            Some(idempotency) => idempotency.find(ports, tenant).await?,
            None => None,
        };
        let stored = ports.store.get(&key).await.map_err(StepError::from)?;
        let secrets = read_secrets(stored.as_ref())?;
        if let Some(earlier) = earlier {
            return match stored.as_ref().and_then(read_rotation) {
                Some(current) if current == earlier.job.as_str() => answer(&secrets),
                _ => Err(ApiError::Conflict {
                    detail: "that rotation was followed by another; its secret is not shown again"
                        .to_owned(),
                }),
            };
        }
        let new = Secret::new(&ports.random::<SECRET_BYTES>());
        let next = rotated(&secrets, new, ports.clock.now(), overlap);
        let mut writes = vec![rotate_secrets(
            tenant,
            stored.as_ref(),
            &next,
            rotation.as_str(),
        )];
        if let Some(key) = idempotency {
            writes.push(key.claim(tenant, &rotation, &[], ports.clock.now())?);
        }
        match transact(ports, writes).await {
            Ok(()) => return answer(&next),
            Err(StoreError::ConditionFailed(failed)) => {
                // Our own earlier try, whose answer was lost.
                let ours = failed
                    .iter()
                    .filter_map(|f| f.existing.as_ref())
                    .find(|item| read_rotation(item) == Some(rotation.as_str()));
                if let Some(item) = ours {
                    return answer(&read_secrets(Some(item))?);
                }
            }
            Err(error) => return Err(StepError::from(error).into()),
        }
    }
    Err(ApiError::Unavailable {
        retry_after_seconds: 1,
    })
}

fn answer(secrets: &[LiveSecret]) -> Result<Rotated, ApiError> {
    let current = secrets.first().ok_or(ApiError::Internal)?;
    Ok(Rotated {
        secret: current.secret.clone(),
        previous_expires_at: secrets.get(1).and_then(|s| s.expires_at),
    })
}

/// The answer of a surface's own secret that was set or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSet {
    /// When the previous secret stops signing; `None` where none signs any more.
    pub previous_expires_at: Option<Timestamp>,
    /// The secret is an API key.
    pub is_key: bool,
}

/// Sets a tenant's own secret for a surface, or removes it, so that the tenant's secret signs again.
/// The previous one, at first the tenant's, also signs for `overlap`. With an idempotency key,
/// repeating the request changes nothing more. The item of the tenant's secrets must be there.
///
/// # Errors
/// `Invalid` with what is wrong with the surface or the form of the secret, never with its text.
pub async fn set_own(
    ports: &Ports,
    tenant: &TenantId,
    own: &OwnSecret,
    overlap: Duration,
    idempotency: Option<&Idempotency>,
) -> Result<OwnSet, ApiError> {
    let is_key = match &own.secret {
        Some(secret) => check_own(ports, tenant, &own.surface, secret).await?,
        None => own_secret_form(ports.surfaces, &own.surface)
            .map(|_| false)
            .map_err(|why| ApiError::invalid("/surface", why))?,
    };
    // Names the change in the idempotency item; no job has it.
    let rotation = JobId::new(ports.clock.now(), ports.random());
    let answer = |secrets: &[LiveSecret]| OwnSet {
        previous_expires_at: secrets.get(1).and_then(|s| s.expires_at),
        is_key,
    };
    let key = secret_key(tenant);
    for _ in 0..8 {
        // Before the secrets: what was set with this key is then among them.
        let earlier = match idempotency {
            Some(idempotency) => idempotency.find(ports, tenant).await?,
            None => None,
        };
        let stored = ports.store.get(&key).await.map_err(StepError::from)?;
        let mut all = read_own_secrets(stored.as_ref())?;
        let current = all.remove(&own.surface).unwrap_or_default();
        if let Some(earlier) = earlier {
            return if current.rotation == earlier.job.as_str() {
                Ok(answer(&current.secrets))
            } else {
                Err(ApiError::Conflict {
                    detail: "that secret was replaced by another since".to_owned(),
                })
            };
        }
        let now = ports.clock.now();
        let before = if current.secrets.is_empty() {
            read_secrets(stored.as_ref())?
        } else {
            current.secrets
        };
        let new = own.secret.clone();
        let next = new.map_or_else(Vec::new, |new| replace(&before, new, now, overlap));
        let changed = OwnSecrets {
            secrets: next.clone(),
            rotation: rotation.to_string(),
        };
        all.insert(own.surface.clone(), changed);
        let mut writes = vec![replace_own_secrets(tenant, stored.as_ref(), &all)];
        if let Some(key) = idempotency {
            writes.push(key.claim(tenant, &rotation, &[], now)?);
        }
        match transact(ports, writes).await {
            Ok(()) => return Ok(answer(&next)),
            Err(StoreError::ConditionFailed(_)) => {
                // Our own earlier try, whose answer was lost.
                let item = ports.store.get(&key).await;
                let item = item.map_err(StepError::from)?;
                let there = read_own_secrets(item.as_ref())?.remove(&own.surface);
                if let Some(there) = there.filter(|own| own.rotation == rotation.as_str()) {
                    return Ok(answer(&there.secrets));
                }
            }
            Err(error) => return Err(StepError::from(error).into()),
        }
    }
    Err(ApiError::Unavailable {
        retry_after_seconds: 1,
    })
}

/// Refuses what is not of the surface's form. Returns whether the secret is an API key: by its form,
/// or because it is a key of the tenant.
async fn check_own(
    ports: &Ports,
    tenant: &TenantId,
    surface: &str,
    secret: &Secret,
) -> Result<bool, ApiError> {
    let form = own_secret_form(ports.surfaces, surface)
        .map_err(|why| ApiError::invalid("/surface", why))?;
    let text = secret.reveal();
    if let Some(why) = form.fault(text) {
        return Err(ApiError::invalid("/secret", why));
    }
    // Found by its hash: nothing is compared that a caller could measure.
    let text = text.strip_prefix(form.prefix).unwrap_or(text);
    let is_key = text.starts_with(KEY_PREFIX) || {
        let item = ports.store.get(&api_key_key(&hash_key(text))).await;
        let item = item.map_err(StepError::from)?;
        let of = item.map(|item| read_api_key(&item)).transpose()?;
        of.is_some_and(|(of, _)| of == *tenant)
    };
    if is_key && !form.may_be_key {
        let why = "is an API key; a secret that signs webhooks must be another";
        return Err(ApiError::invalid("/secret", why));
    }
    Ok(is_key)
}
