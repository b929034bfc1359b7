//! Idempotency keys: the same key and request give the same job, whatever was lost on the way.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::table::{EXPIRES_AT, current, get_s, idempotency_key, s};
use super::{Ports, StepError};
use crate::domain::error::ApiError;
use crate::domain::ids::{JobId, TenantId};
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Condition, Item, Put, Value, Write};

/// How long a key is remembered.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The most characters of a key.
pub const MAX_KEY_CHARS: usize = 255;

/// A caller's key, and what it was used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub key: String,
    /// SHA-256 in hex over method, path and body.
    pub fingerprint: String,
}

impl Idempotency {
    pub fn new(key: &str, method: &str, path: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { key: key.to_owned(), fingerprint: hex::encode(hash.finalize()) }
    }

    /// What an earlier request with this key made, if one did. Another fingerprint is an error.
    pub async fn find(&self, ports: &Ports, tenant: &TenantId) -> Result<Option<JobId>, ApiError> {
        let item = ports.store.get(&idempotency_key(tenant, &self.key)).await.map_err(StepError::from)?;
        current(item, ports.clock.now()).map(|item| self.resolve(&item)).transpose()
    }

    /// Reads an item that a request with this key left.
    pub(crate) fn resolve(&self, item: &Item) -> Result<JobId, ApiError> {
        if get_s(item, "fingerprint") != Some(&self.fingerprint) {
            return Err(ApiError::IdempotencyMismatch);
        }
        get_s(item, "job").and_then(JobId::parse).ok_or(ApiError::Internal)
    }

    /// The write that takes the key, on condition that it is free.
    pub(crate) fn claim(&self, tenant: &TenantId, job: &JobId, now: Timestamp) -> Write {
        let attributes = Attributes::from([
            ("fingerprint".into(), s(&self.fingerprint)),
            ("job".into(), s(job.as_str())),
            (EXPIRES_AT.into(), Value::N(now.plus(LIFETIME).seconds())),
        ]);
        Write::Put(Put {
            item: Item { key: idempotency_key(tenant, &self.key), attributes },
            condition: Some(Condition::Any(vec![Condition::ItemAbsent, Condition::AtMost(EXPIRES_AT, now.seconds())])),
        })
    }
}
