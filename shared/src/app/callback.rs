//! Takes what an upstream posts for a record that waits for it. It is stored once, under the record and the provider; a
//! message has the chunk's next run look at it. A message that is lost costs time: the run that was due anyway finds it.

use std::time::Duration;

use serde_json::Value;

use super::submit::send_later;
use super::table::{CALLBACK_KEY, WAKE_UNTIL, call_item, call_wake_key, current, meta_key, read_meta};
use super::{Ports, StepError};
use crate::domain::callback::{CallbackFor, Claimed};
use crate::domain::chunk::{ChunkMessage, Start};
use crate::domain::error::ApiError;
use crate::domain::job::Job;
use crate::ports::{self, Change, Condition, Put, QueueName, StoreError, Update};

/// How long what is posted waits for more of the same chunk: an upstream that answers for a thousand records would
/// otherwise have each chunk read as often as it has records.
const GATHER: Duration = Duration::from_secs(2);
/// How far two instances' clocks may be apart.
const SKEW: Duration = Duration::from_millis(500);

/// What became of what was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    Taken,
    /// There is one already, or nobody waits any more: nothing was changed.
    Moot,
}

/// Takes `body` for the record that the claim names.
///
/// # Errors
/// [`ApiError::NotFound`] where the job's key did not sign this, which is also said of jobs that there are not.
pub async fn post(ports: &Ports, claimed: &Claimed, body: &Value) -> Result<Posted, ApiError> {
    const UNKNOWN: ApiError = ApiError::NotFound { what: "callback" };
    let meta = ports.store.get(&meta_key(&claimed.of.job)).await.map_err(StepError::from)?;
    let meta = current(meta, ports.clock.now()).ok_or(UNKNOWN)?;
    let signed = match meta.attributes.get(CALLBACK_KEY) {
        Some(ports::Value::B(key)) => claimed.verify(key),
        _ => false,
    };
    if !signed {
        return Err(UNKNOWN);
    }
    let job = read_meta(&meta)?;
    let of = &claimed.of;
    if !job.status.is_live() || of.chunk >= job.spec.chunks {
        return Ok(Posted::Moot);
    }
    let item = call_item(of, body, job.spec.expires_at)?;
    let posted = match ports.store.put(Put { item, condition: Some(Condition::ItemAbsent) }).await {
        Ok(()) => Posted::Taken,
        // Ours, whose answer was lost, or an earlier one; its message may not have been sent.
        Err(StoreError::ConditionFailed(_)) => Posted::Moot,
        Err(error) => return Err(StepError::from(error).into()),
    };
    wake(ports, &job, of).await?;
    Ok(posted)
}

/// Sends for the chunk, unless somebody has within [`GATHER`]: that message comes after what was just stored.
async fn wake(ports: &Ports, job: &Job, of: &CallbackFor) -> Result<(), StepError> {
    let now = ports.clock.now();
    let until = now.plus(GATHER);
    let update = Update {
        key: call_wake_key(&of.job, of.chunk),
        changes: vec![
            Change::Set(WAKE_UNTIL, ports::Value::N(until.0)),
            Change::Set(super::table::EXPIRES_AT, ports::Value::N(job.spec.expires_at.seconds())),
        ],
        condition: Some(Condition::Any(vec![
            Condition::Absent(WAKE_UNTIL),
            Condition::AtMost(WAKE_UNTIL, now.plus(SKEW).0),
        ])),
    };
    match ports.store.update(update).await {
        Ok(_) => {}
        Err(StoreError::ConditionFailed(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let message = ChunkMessage::new(of.job.clone(), of.chunk, Start::Resume);
    send_later(ports, &job.spec.tenant, vec![message], QueueName::Enrich, GATHER).await
}
