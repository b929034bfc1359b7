//! What is kept of a request with an idempotency key.

use super::item::{Corrupt, DATA, digest, key, pack, unpack};
use crate::domain::error::InputError;
use crate::domain::ids::TenantId;
use crate::ports::{Item, Key, Value};

pub fn idempotency_key(tenant: &TenantId, caller_key: &str) -> Key {
    key(format!("IDEM#{tenant}#{}", digest(caller_key)), "IDEM")
}

/// What an idempotency item keeps of the faults that a submission was answered with, where there are any.
pub fn faults_attribute(faults: &[InputError]) -> Result<Option<(String, Value)>, Corrupt> {
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

/// Reads them; an item of a version that kept none has none.
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
