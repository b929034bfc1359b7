//! Idempotency keys: the same key and request give the same job, whichever answers were lost.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Ports, StepError};
use crate::domain::error::{ApiError, InputError};
use crate::domain::ids::{JobId, TenantId};
use crate::domain::time::Timestamp;
use crate::ports::{Item, Write};
use crate::schema::{
    Claim, claim_key, current, idempotency_key, read_claimed_job, read_faults, read_fingerprint,
};

/// The time that a key is remembered.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The most characters of a key.
pub const MAX_KEY_CHARS: usize = 255;

/// The answer to an earlier request with the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// The job that it made.
    pub job: JobId,
    /// The faults of its records that end `invalid`.
    pub faults: Vec<InputError>,
}

/// A caller's key, and the request that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// As the caller sent it; 1 to [`MAX_KEY_CHARS`] characters.
    pub key: String,
    /// SHA-256 in hex over method, path and body.
    pub fingerprint: String,
}

impl Idempotency {
    /// Takes the fingerprint of the request that `key` came with. The key is not checked here.
    pub fn new(key: &str, method: &str, path: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self {
            key: key.to_owned(),
            fingerprint: hex::encode(hash.finalize()),
        }
    }

    /// Finds what an earlier request with this key made, if one did. Another fingerprint is an
    /// error.
    pub async fn find(
        &self,
        ports: &Ports,
        tenant: &TenantId,
    ) -> Result<Option<Earlier>, ApiError> {
        let item = ports
            .store
            .get(&idempotency_key(tenant, &self.key))
            .await
            .map_err(StepError::from)?;
        current(item, ports.clock.now())
            .map(|item| self.resolve(&item))
            .transpose()
    }

    /// Reads an item that a request with this key left.
    pub(crate) fn resolve(&self, item: &Item) -> Result<Earlier, ApiError> {
        if read_fingerprint(item) != Some(&self.fingerprint) {
            return Err(ApiError::IdempotencyMismatch);
        }
        let job = read_claimed_job(item).ok_or(ApiError::Internal)?;
        Ok(Earlier {
            job,
            faults: read_faults(item)?,
        })
    }

    /// Returns the write that takes the key, on condition that it is free, and stores the `faults`
    /// that the answer lists.
    pub(crate) fn claim(
        &self,
        tenant: &TenantId,
        job: &JobId,
        faults: &[InputError],
        now: Timestamp,
    ) -> Result<Write, StepError> {
        let claim = Claim {
            tenant,
            key: &self.key,
            fingerprint: &self.fingerprint,
            job,
            faults,
            expires_at: now.plus(LIFETIME),
        };
        Ok(claim_key(&claim, now)?)
    }
}
