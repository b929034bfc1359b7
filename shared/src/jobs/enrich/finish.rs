//! Finish: the end of a job, the settlement of its credits and the delivery of its event are one
//! transaction.

use crate::domain::chunk::shard_count;
use crate::domain::delivery::{Delivery, DeliveryTask, EventType};
use crate::domain::ids::JobId;
use crate::domain::job::{End, JobEvent, JobView, Status, next_status};
use crate::jobs::{Ports, StepError, transact};
use crate::ports::{Message, QueueName, StoreError, Write};
use crate::schema;
use crate::schema::{current, json, meta_key, progress_key, read_meta, read_progress, settle};

/// More rounds than there are ways for a live job to change.
const ROUNDS: u32 = 8;

/// The outcome of trying to finish a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// By this call.
    Now,
    /// Before, by another.
    Before,
    /// Not every chunk has its result yet.
    NotYet,
    /// The job does not exist or was erased.
    Gone,
}

/// Reads a job and all of its progress, consistently. `None` where it is absent, expired or erased.
pub(crate) async fn load(ports: &Ports, id: &JobId) -> Result<Option<JobView>, StepError> {
    let first = ports
        .store
        .get_many(&[meta_key(id), progress_key(id, 0)])
        .await?;
    let [meta, shard] = <[_; 2]>::try_from(first).map_err(|_| StepError::Corrupt("read"))?;
    let Some(meta) = current(meta, ports.clock.now()) else {
        return Ok(None);
    };
    let job = read_meta(&meta)?;
    if job.status == Status::Deleted || job.is_expired(ports.clock.now()) {
        return Ok(None);
    }
    let mut shards: Vec<_> = shard.into_iter().collect();
    let more = shard_count(job.spec.chunks);
    if more > 1 && job.status.is_live() {
        let keys: Vec<_> = (1..more).map(|n| progress_key(id, n)).collect();
        shards.extend(ports.store.get_many(&keys).await?.into_iter().flatten());
    }
    Ok(Some(JobView::new(job, read_progress(&shards))))
}

/// Ends the job if every chunk has its result. Safe to call at any time, any number of times.
pub async fn finish(ports: &Ports, id: &JobId) -> Result<Finished, StepError> {
    // Each round decides anew on what is stored; a write between reading and writing only causes
    // another round.
    for _ in 0..ROUNDS {
        let Some(view) = load(ports, id).await? else {
            return Ok(Finished::Gone);
        };
        let finish = JobEvent::finish(view.job.spec.failure_reason().is_some());
        let Some(status) = next_status(view.job.status, finish) else {
            return Ok(Finished::Before);
        };
        if view.progress.chunks() < view.job.spec.chunks {
            return Ok(Finished::NotYet);
        }
        let end = End {
            at: ports.clock.now(),
            counts: view.progress.counts(),
            credits: view.progress.credits(),
            bytes: view.progress.bytes(),
            public_bytes: Some(view.progress.public_bytes()),
            error: match status {
                Status::Failed => view.job.spec.failure_reason().map(str::to_owned),
                Status::Expired => Some("the job did not end within its run limit".to_owned()),
                _ => None,
            },
        };
        let delivery = event(status)
            .zip(view.job.spec.webhook.as_ref())
            .map(|(event, webhook)| {
                let spec = &view.job.spec;
                let id = spec.id.delivery(0);
                Delivery::new(
                    id,
                    spec.tenant.clone(),
                    &spec.surface,
                    event,
                    end.at,
                    &webhook.url,
                    spec.expires_at,
                )
            });
        let mut writes = vec![
            schema::job::close(&view.job, status, &end),
            settle(&view.job, &view.progress),
        ];
        if let Some(delivery) = &delivery {
            let put = schema::delivery::insert(delivery, delivery.due(end.at));
            writes.push(Write::Put(put));
        }
        match transact(ports, writes).await {
            Ok(()) => {
                tracing::info!(
                    job.status = status.as_str(),
                    job.credits = end.credits,
                    "job ended"
                );
                if let Some(delivery) = &delivery {
                    enqueue_delivery(ports, delivery, QueueName::Webhook).await;
                }
                return Ok(Finished::Now);
            }
            Err(StoreError::ConditionFailed(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StepError::Corrupt(
        "the job's end finds no tenant to settle with",
    ))
}

/// Returns the event of such an end, if it has one.
fn event(status: Status) -> Option<EventType> {
    match status {
        Status::Completed => Some(EventType::JobCompleted),
        Status::Canceled => Some(EventType::JobCanceled),
        Status::Failed | Status::Expired => Some(EventType::JobFailed),
        _ => None,
    }
}

/// Sends the message for a delivery's next attempt, as late as the queue can hold it. The sweep
/// sends it where it is lost.
pub(crate) async fn enqueue_delivery(ports: &Ports, delivery: &Delivery, lane: QueueName) {
    let message = Message {
        body: json(&DeliveryTask::next(delivery)),
        delay: delivery.next_attempt_at.since(ports.clock.now()),
        group: delivery.tenant.to_string(),
    };
    if let Err(error) = ports.queue.send(lane, vec![message]).await {
        tracing::warn!(
            delivery.id = %delivery.id,
            error = %error,
            "attempt not enqueued; the sweep will"
        );
    }
}
