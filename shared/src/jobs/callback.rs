//! Takes what an upstream posts for a record that waits for it. The post is stored under the record
//! and the provider; a repeated one is stored once. A message then has the chunk's next run read
//! it. Where that message is lost, the next planned run finds the post, only later.

use std::time::Duration;

use serde_json::Value;

use super::submit::{lanes, send_later};
use super::{Ports, StepError};
use crate::domain::callback::{CallbackFor, Claimed};
use crate::domain::chunk::{ChunkMessage, Start};
use crate::domain::error::ApiError;
use crate::domain::job::Job;
use crate::ports::StoreError;
use crate::schema::{
    credits_key, current, enqueue_callbacks, insert_call, job::read_callback_key, meta_key,
    read_call, read_credits, read_meta,
};

/// The time that a post waits for more of the same chunk. Otherwise an upstream that answers for a
/// thousand records would have each chunk read once for each of them.
const GATHER: Duration = Duration::from_secs(2);
/// The most posts that a URL takes. An upstream may first report that it has begun, or post what
/// belongs to another request, and that must not keep its answer out. Each post costs a run.
pub const MAX_POSTS: usize = 3;
/// The most that two instances' clocks differ.
const SKEW: Duration = Duration::from_millis(500);

/// The outcome of an upstream's post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It is stored, and the chunk is sent to be worked on again.
    Taken,
    /// Nothing changed: it repeats an earlier post, the URL is used up, or the record has ended.
    NoOp,
}

/// Takes `body` for the record that the claim names.
///
/// # Errors
/// [`ApiError::NotFound`] where the job's key did not sign this, or the job does not exist.
pub async fn post(ports: &Ports, claimed: &Claimed, body: &Value) -> Result<Posted, ApiError> {
    const UNKNOWN: ApiError = ApiError::NotFound { what: "callback" };
    let meta = ports
        .store
        .get(&meta_key(&claimed.of.job))
        .await
        .map_err(StepError::from)?;
    let meta = current(meta, ports.clock.now()).ok_or(UNKNOWN)?;
    if !read_callback_key(&meta).is_some_and(|key| claimed.verify(key)) {
        return Err(UNKNOWN);
    }
    let of = &claimed.of;
    // Only now: a caller without a signature does not choose what a line is about.
    tracing::Span::current()
        .record("job.id", tracing::field::display(&of.job))
        .record("chunk", of.chunk);
    let job = read_meta(&meta)?;
    if !job.status.is_live() || of.chunk >= job.spec.chunks {
        return Ok(Posted::NoOp);
    }
    let posted = store_post(ports, &job, of, body).await?;
    // An equal post may be our own earlier one, whose answer was lost, and its message with it.
    enqueue_chunk(ports, &job, of).await?;
    Ok(posted)
}

/// Stores a post behind the earlier ones, unless it repeats one or there are [`MAX_POSTS`].
async fn store_post(
    ports: &Ports,
    job: &Job,
    of: &CallbackFor,
    body: &Value,
) -> Result<Posted, StepError> {
    for nth in 0..MAX_POSTS {
        let put = insert_call(of, nth, body, job.spec.expires_at)?;
        match ports.store.put(put).await {
            Ok(()) => return Ok(Posted::Taken),
            Err(StoreError::ConditionFailed(failed)) => {
                let before = failed.iter().find_map(|failed| failed.existing.as_ref());
                if before.is_some_and(|before| read_call(before).is_ok_and(|said| said == *body)) {
                    return Ok(Posted::NoOp);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Posted::NoOp)
}

/// Sends a message for the chunk, unless one was sent within [`GATHER`]: that one arrives after the
/// post that was just stored.
async fn enqueue_chunk(ports: &Ports, job: &Job, of: &CallbackFor) -> Result<(), StepError> {
    let now = ports.clock.now();
    let update = enqueue_callbacks(of, now.plus(GATHER), now.plus(SKEW), job.spec.expires_at);
    match ports.store.update(update).await {
        Ok(_) => {}
        Err(StoreError::ConditionFailed(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    // By the rule of a submission: a tenant whose upstreams answer for much at once does not delay
    // the other tenants.
    let credits = ports.store.get(&credits_key(&job.spec.tenant)).await?;
    let open = read_credits(credits.as_ref()).open_chunks;
    for (lane, chunks) in lanes(ports, job, open, &[of.chunk]) {
        let messages = chunks
            .iter()
            .map(|chunk| ChunkMessage::new(of.job.clone(), *chunk, Start::Resume));
        send_later(ports, &job.spec.tenant, messages.collect(), lane, GATHER).await?;
    }
    Ok(())
}
