//! Webhook secrets: one is current, older ones also sign until their overlap ends.

use std::time::Duration;

use crate::domain::error::ApiError;
use crate::domain::ids::{JobId, TenantId};
use crate::domain::signature::{LiveSecret, SECRET_BYTES, Secret, rotate as rotated};
use crate::domain::time::Timestamp;
use crate::jobs::idempotency::Idempotency;
use crate::jobs::{Ports, StepError, transact};
use crate::ports::StoreError;
use crate::schema::{read_rotation, read_secrets, rotate_secrets, secret_key};

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
