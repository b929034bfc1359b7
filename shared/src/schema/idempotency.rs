//! The stored trace of a request with an idempotency key.

use super::item::{Corrupt, DATA, EXPIRES_AT, digest, get_s, key, pack, s, ttl, unpack};
use crate::domain::error::InputError;
use crate::domain::ids::{JobId, TenantId};
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Condition, Item, Key, Put, Value, Write};

const FINGERPRINT: &str = "fingerprint";
const JOB: &str = "job";

/// Returns the item's key. It holds a digest of the caller's: that may be any text.
pub fn idempotency_key(tenant: &TenantId, caller_key: &str) -> Key {
    key(format!("IDEM#{tenant}#{}", digest(caller_key)), "IDEM")
}

/// A request that takes a key.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) key: &'a str,
    pub(crate) fingerprint: &'a str,
    pub(crate) job: &'a JobId,
    /// The faults that the answer lists.
    pub(crate) faults: &'a [InputError],
    pub(crate) expires_at: Timestamp,
}

/// Takes a key, on condition that it is free or its time is over.
pub(crate) fn claim_key(claim: &Claim<'_>, now: Timestamp) -> Result<Write, Corrupt> {
    let mut attributes = Attributes::from([
        (FINGERPRINT.into(), s(claim.fingerprint)),
        (JOB.into(), s(claim.job.as_str())),
        ttl(claim.expires_at),
    ]);
    attributes.extend(faults_attribute(claim.faults)?);
    Ok(Write::Put(Put {
        item: Item {
            key: idempotency_key(claim.tenant, claim.key),
            attributes,
        },
        condition: Some(Condition::Any(vec![
            Condition::ItemAbsent,
            Condition::AtMost(EXPIRES_AT, now.seconds()),
        ])),
    }))
}

/// Stores a mark that an operator's change has been made, on condition that there is none: by it a
/// try whose answer was lost is recognised.
pub(crate) fn leave_mark(tenant: &TenantId, mark: &str, expires_at: Timestamp) -> Write {
    Write::Put(Put {
        item: Item {
            key: idempotency_key(tenant, mark),
            attributes: Attributes::from([ttl(expires_at)]),
        },
        condition: Some(Condition::ItemAbsent),
    })
}

/// Reads the fingerprint of the request that took a key.
pub(crate) fn read_fingerprint(item: &Item) -> Option<&str> {
    get_s(item, FINGERPRINT)
}

/// Reads the job that the request with a key made.
pub(crate) fn read_claimed_job(item: &Item) -> Option<JobId> {
    get_s(item, JOB).and_then(JobId::parse)
}

/// Makes the attribute of the faults in a submission's answer, where there are any.
fn faults_attribute(faults: &[InputError]) -> Result<Option<(String, Value)>, Corrupt> {
    let kept: Vec<_> = faults
        .iter()
        .map(|fault| (&fault.pointer, &fault.detail))
        .collect();
    if kept.is_empty() {
        Ok(None)
    } else {
        Ok(Some((DATA.into(), Value::B(pack(&kept)?))))
    }
}

/// Reads the faults; an item of a version that stored none has none.
pub fn read_faults(item: &Item) -> Result<Vec<InputError>, Corrupt> {
    if !item.attributes.contains_key(DATA) {
        return Ok(Vec::new());
    }
    let kept: Vec<(String, String)> = unpack(item)?;
    Ok(kept
        .into_iter()
        .map(|(pointer, detail)| InputError::new(pointer, detail))
        .collect())
}
