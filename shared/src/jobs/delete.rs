//! Delete: a tombstone first, which also settles a live job, then the items, now and once more
//! after every worker that could still be writing has ended.

use std::time::Duration;

use super::{Ports, StepError, transact};
use crate::domain::chunk::shard_count;
use crate::domain::error::ApiError;
use crate::domain::ids::{JobId, TenantId};
use crate::domain::job::{Job, JobEvent, Status, next_status};
use crate::jobs::read;
use crate::ports::{Key, Query, StoreError, Write};
use crate::schema;
use crate::schema::{detail_ranges, progress_key, read_progress, settle, shard_range};

/// Items read at once to erase them: a query brings their contents along.
const ERASED_AT_ONCE: usize = 50;

/// Erases a job: its inputs, results, progress and deliveries. A live one is ended first: what its
/// finished records cost is charged, the rest given back, and no event is sent. Repeating it
/// answers not found, like any erased job.
pub async fn delete(
    ports: &Ports,
    tenant: &TenantId,
    id: &JobId,
    timeout: Duration,
) -> Result<(), ApiError> {
    for _ in 0..Status::ALL.len() {
        let view = read::job(ports, tenant, id).await?;
        let Some(deleted) = next_status(view.job.status, JobEvent::Delete) else {
            return Err(ApiError::NotFound { what: "job" });
        };
        let due = ports.clock.now().plus(2 * timeout);
        let mut writes = vec![schema::job::entomb(&view.job, deleted, due)];
        if view.job.status.is_live() {
            writes.extend(settled(ports, &view.job).await?);
        }
        match transact(ports, writes).await {
            Ok(()) => return erased(ports, &view.job).await,
            Err(StoreError::ConditionFailed(failed)) => {
                // Erased meanwhile: by our own earlier try, whose answer was lost, or by another's
                // request.
                let head = failed
                    .iter()
                    .find(|f| f.at == 0)
                    .and_then(|f| f.existing.as_ref());
                if head.and_then(schema::job::read_status) == Some(Status::Deleted) {
                    return erased(ports, &view.job).await;
                }
            }
            Err(error) => return Err(StepError::from(error).into()),
        }
    }
    Err(ApiError::Unavailable {
        retry_after_seconds: 1,
    })
}

/// Settles a live job by its progress, on condition that this does not change meanwhile: a chunk
/// that ends at the last moment is charged like the others.
async fn settled(ports: &Ports, job: &Job) -> Result<Vec<Write>, StepError> {
    let keys: Vec<Key> = (0..shard_count(job.spec.chunks))
        .map(|shard| progress_key(&job.spec.id, shard))
        .collect();
    let items = ports.store.get_many(&keys).await?;
    let mut writes = vec![settle(job, &read_progress(items.iter().flatten()))];
    let read = keys.into_iter().zip(&items);
    writes.extend(read.map(|(key, item)| schema::progress::unmoved(key, item.as_ref())));
    Ok(writes)
}

/// Erases what is under a tombstone. The sweep repeats what fails here.
async fn erased(ports: &Ports, job: &Job) -> Result<(), ApiError> {
    if let Err(error) = erase(ports, job).await {
        tracing::warn!(error = %error, "job not wholly erased yet; the sweep will");
    }
    Ok(())
}

/// Removes everything of a job but its head, in any state; may be repeated.
pub(crate) async fn erase(ports: &Ports, job: &Job) -> Result<(), StepError> {
    let shards = (0..shard_count(job.spec.chunks)).map(|shard| shard_range(&job.spec.id, shard));
    for select in shards.chain(detail_ranges(&job.spec.id)) {
        let query = Query {
            select,
            limit: ERASED_AT_ONCE,
            descending: false,
            consistent: true,
        };
        loop {
            let keys: Vec<Key> = ports
                .store
                .query(&query)
                .await?
                .into_iter()
                .map(|i| i.key)
                .collect();
            let more = keys.len() == ERASED_AT_ONCE;
            if !keys.is_empty() {
                ports.store.delete_all(keys).await?;
            }
            if !more {
                break;
            }
        }
    }
    Ok(())
}
