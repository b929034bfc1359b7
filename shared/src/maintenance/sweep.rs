//! Sweep: every minute, checks what is due and repairs it. It retries nothing itself; it sends the
//! message that was lost, or calls the step that a run died before calling.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tracing::field::{Empty, display};
use tracing::{Instrument, Span, error_span};

use crate::domain::chunk::{Start, shard_count, shard_of};
use crate::domain::delivery::{DeliveryState, GRACE, QUEUE_HORIZON};
use crate::domain::ids::{DeliveryId, JobId, TenantId};
use crate::domain::job::{Job, JobEvent, JobView, Status, next_status};
use crate::domain::time::Timestamp;
use crate::jobs::delete::erase;
use crate::jobs::enrich::finish::{Finished, enqueue_delivery, finish, load};
use crate::jobs::submit::{FIRST_LOOK, enqueue, lanes};
use crate::jobs::{Ports, StepError, transact};
use crate::ports::{Item, Key, Query, QueueName, Select, StoreError, Update};
use crate::schema;
use crate::schema::delivery::read_window;
use crate::schema::progress::read_lease;
use crate::schema::{
    DUE_SHARDS, DueItem, credits_key, current, delivery_key, due_item, due_shard, due_shard_name,
    end_due, meta_key, move_due, progress_key, read_credits, read_delivery, read_due, read_meta,
    read_progress, settle,
};

/// The longest wait between two checks of a job that does not change.
const MAX_WINDOW: Duration = Duration::from_secs(30 * 60);
/// The most chunks redriven at one check: half of the most that a job can have, one a record.
const MAX_REDRIVES: usize = 500;
/// The most items of a shard of the index read at once.
const PER_SHARD: usize = 100;
/// The most items of one tenant in one run: a tenant with much to repair does not delay the others.
const PER_TENANT: usize = 200;
/// No item is begun with less of the invocation left.
const RESERVE: Duration = Duration::from_secs(8);

/// The counts of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Items that were due.
    pub due: u32,
    /// Jobs whose chunks were all done, and that this run ended.
    pub finished: u32,
    /// Chunks for which a message was sent again.
    pub redriven_chunks: u32,
    /// Deliveries for which a message was sent again.
    pub redriven_deliveries: u32,
    /// Deleted jobs whose data is erased.
    pub erased: u32,
    /// Jobs past their run limit, of which what has not begun now fails.
    pub expiring: u32,
    /// Items whose repair failed; they are due again at their next check.
    pub errors: u32,
}

/// Checks everything that is due, shard by shard, until all is done or the time is up.
pub async fn step(
    ports: &Ports,
    timeout: Duration,
    deadline: Timestamp,
) -> Result<Swept, StepError> {
    let mut swept = Swept::default();
    let mut by_tenant = ByTenant::new();
    let mut unread = None;
    let mut seen = BTreeSet::new();
    // A run that ends early begins elsewhere the next time.
    let first = ports.random::<1>()[0] % DUE_SHARDS;
    // Round by round, so that a full shard delays neither the others nor, for longer than this run,
    // its own later items: one job can have a thousand events.
    let mut left: VecDeque<u8> = (0..DUE_SHARDS).map(|n| (first + n) % DUE_SHARDS).collect();
    while let Some(n) = left.pop_front() {
        let shard = due_shard_name(n);
        let items = match due_now(ports, &shard).await {
            Ok(items) => items,
            Err(error) => {
                // The other shards are swept all the same; the run fails at its end, for the alarm.
                tracing::error!(due.shard = %shard, error = %error, "shard not read");
                unread = Some(error);
                continue;
            }
        };
        // What was checked and is still there is not checked again: the index lags, or the repair
        // failed.
        let full = items.len() == PER_SHARD;
        let fresh: Vec<Item> = items
            .into_iter()
            .filter(|item| seen.insert(item.key.clone()))
            .collect();
        if full && !fresh.is_empty() {
            left.push_back(n);
        }
        for item in fresh {
            if deadline.since(ports.clock.now()) < RESERVE {
                tracing::error!(
                    swept.due = swept.due,
                    "sweep out of time; the rest is still due"
                );
                return Ok(swept);
            }
            swept.due += 1;
            look_at_item(ports, &item, &shard, timeout, &mut by_tenant, &mut swept)
                .instrument(span(&item.key))
                .await;
        }
    }
    tracing::info!(
        swept.due,
        swept.finished,
        swept.nudged_chunks = swept.redriven_chunks,
        swept.woken_deliveries = swept.redriven_deliveries,
        swept.erased,
        swept.expiring,
        swept.errors,
        "swept"
    );
    unread.map_or(Ok(swept), |error| Err(error.into()))
}

/// Reads what is due in a shard, earliest first.
async fn due_now(ports: &Ports, shard: &str) -> Result<Vec<Item>, StoreError> {
    let select = Select::Due {
        due_shard: shard.to_owned(),
        until: ports.clock.now().0,
    };
    let query = Query {
        select,
        limit: PER_SHARD,
        descending: false,
        consistent: false,
    };
    ports.store.query(&query).await
}

/// Checks one item that is due. Counts a repair that fails; sets aside what cannot be read.
async fn look_at_item(
    ports: &Ports,
    item: &Item,
    shard: &str,
    timeout: Duration,
    by_tenant: &mut ByTenant,
    swept: &mut Swept,
) {
    let repaired = match due_item(&item.key) {
        Some(DueItem::Job(id)) => look_at_job(ports, &id, timeout, by_tenant, swept).await,
        Some(DueItem::Delivery(id)) => look_at_delivery(ports, &id, by_tenant, swept).await,
        None => Err(StepError::Corrupt("due key")),
    };
    if let Err(error) = repaired {
        swept.errors += 1;
        tracing::error!(error = %error, "repair failed");
        if matches!(error, StepError::Corrupt(_)) {
            set_aside(ports, item, shard).await;
        }
    }
}

/// Opens the span of an item that is due.
fn span(key: &Key) -> Span {
    let span = error_span!(
        "due",
        item.pk = key.pk,
        item.sk = key.sk,
        job.id = Empty,
        delivery.id = Empty
    );
    match due_item(key) {
        Some(DueItem::Job(id)) => span.record("job.id", display(&id)),
        Some(DueItem::Delivery(id)) => span
            .record("job.id", display(&id.job))
            .record("delivery.id", display(&id)),
        None => &span,
    };
    span
}

/// Items checked in this run, by tenant.
type ByTenant = BTreeMap<String, usize>;

/// Counts an item, and returns whether its tenant has had its share of this run. The surplus moves
/// behind the others.
fn surplus(by_tenant: &mut ByTenant, tenant: &TenantId) -> bool {
    let position = by_tenant.entry(tenant.to_string()).or_default();
    *position += 1;
    *position > PER_TENANT
}

/// Puts off an item that this version cannot read, so that it does not stand before the others at
/// every check.
async fn set_aside(ports: &Ports, item: &Item, shard: &str) {
    let Some(due) = read_due(item) else { return };
    let at = ports.clock.now().plus(MAX_WINDOW);
    let update = move_due(item.key.clone(), due, shard.to_owned(), at);
    if let Err(error) = claim(ports, update).await {
        tracing::warn!(error = %error, "item not set aside");
    }
}

/// Makes an update that moves `due` on condition that it is unchanged, and returns whether it was:
/// of two sweeps only one goes on.
async fn claim(ports: &Ports, update: Update) -> Result<bool, StepError> {
    match ports.store.update(update).await {
        Ok(_) => Ok(true),
        Err(StoreError::ConditionFailed(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn look_at_job(
    ports: &Ports,
    id: &JobId,
    timeout: Duration,
    by_tenant: &mut ByTenant,
    swept: &mut Swept,
) -> Result<(), StepError> {
    let now = ports.clock.now();
    let Some(item) = ports.store.get(&meta_key(id)).await? else {
        return Ok(());
    };
    let job = read_meta(&item)?;
    let Some(due) = job.due.filter(|due| *due <= now) else {
        return Ok(());
    };
    if surplus(by_tenant, &job.spec.tenant) {
        let later = move_due(meta_key(id), due, due_shard(id), now.plus(FIRST_LOOK));
        return claim(ports, later).await.map(drop);
    }
    if job.status == Status::Deleted {
        // The due mark goes last: erasing can be repeated, forgetting to erase cannot.
        erase(ports, &job).await?;
        swept.erased += 1;
        claim(ports, end_due(meta_key(id), due)).await?;
        return Ok(());
    }
    if current(Some(item), now).is_none()
        && let Some(expired) = next_status(job.status, JobEvent::OutliveRetention)
    {
        return lapse(ports, &job, expired).await;
    }
    if !job.status.is_live() {
        claim(ports, end_due(meta_key(id), due)).await?;
        return Ok(());
    }
    let Some(view) = load(ports, id).await? else {
        return Ok(());
    };
    repair(ports, &view, due, timeout, swept).await
}

/// Ends a job that outlived its own retention. It can no longer be read and no event is sent, but
/// its tenant gets back the credits that it did not use.
async fn lapse(ports: &Ports, job: &Job, expired: Status) -> Result<(), StepError> {
    let id = &job.spec.id;
    let keys: Vec<Key> = (0..shard_count(job.spec.chunks))
        .map(|shard| progress_key(id, shard))
        .collect();
    let shards: Vec<Item> = ports
        .store
        .get_many(&keys)
        .await?
        .into_iter()
        .flatten()
        .collect();
    let writes = vec![
        schema::job::lapse(job, expired),
        settle(job, &read_progress(&shards)),
    ];
    match transact(ports, writes).await {
        Ok(()) | Err(StoreError::ConditionFailed(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn repair(
    ports: &Ports,
    view: &JobView,
    due: Timestamp,
    timeout: Duration,
    swept: &mut Swept,
) -> Result<(), StepError> {
    let (job, id) = (&view.job, &view.job.spec.id);
    let now = ports.clock.now();
    let done = view.progress.chunks();
    let moved = done > job.seen;
    let least = if job.status == Status::Queued {
        FIRST_LOOK
    } else {
        timeout + Duration::from_secs(30)
    };
    let window = if moved {
        least
    } else {
        (job.window * 2).clamp(least, MAX_WINDOW.max(least))
    };
    let next = schema::job::look_again(id, due, done, window, now);
    if !claim(ports, next).await? {
        return Ok(());
    }
    if done >= job.spec.chunks {
        if finish(ports, id).await? == Finished::Now {
            swept.finished += 1;
        }
        return Ok(());
    }
    let over = next_status(job.status, JobEvent::PassRunLimit);
    if let Some(expiring) = over.filter(|_| now >= job.spec.run_until) {
        expire(ports, job, expiring).await?;
        swept.expiring += 1;
    } else if moved {
        return Ok(());
    }
    let chunks = unleased(ports, view).await?;
    let credits = ports.store.get(&credits_key(&job.spec.tenant)).await?;
    let open = read_credits(credits.as_ref()).open_chunks;
    for (lane, chunks) in lanes(ports, job, open, &chunks) {
        enqueue(ports, job, chunks, Start::Redrive, lane).await?;
    }
    swept.redriven_chunks += u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    Ok(())
}

/// Returns the first chunks that are neither done nor leased by a run that may still be alive.
async fn unleased(ports: &Ports, view: &JobView) -> Result<Vec<u32>, StepError> {
    let (id, chunks, now) = (&view.job.spec.id, view.job.spec.chunks, ports.clock.now());
    let keys: Vec<Key> = (0..shard_count(chunks))
        .map(|shard| progress_key(id, shard))
        .collect();
    let shards = ports.store.get_many(&keys).await?;
    let held = |chunk: &u32| {
        let shard = usize::try_from(shard_of(*chunk))
            .ok()
            .and_then(|at| shards.get(at)?.as_ref());
        shard
            .and_then(|item| read_lease(item, *chunk))
            .is_some_and(|lease| lease.is_live(now))
    };
    Ok(view
        .progress
        .undone(chunks)
        .filter(|chunk| !held(chunk))
        .take(MAX_REDRIVES)
        .collect())
}

/// Ends a job past its run limit: what has not begun fails, and the job becomes `expired`.
async fn expire(ports: &Ports, job: &Job, expiring: Status) -> Result<(), StepError> {
    match ports.store.update(schema::job::expire(job, expiring)).await {
        Ok(_) | Err(StoreError::ConditionFailed(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn look_at_delivery(
    ports: &Ports,
    id: &DeliveryId,
    by_tenant: &mut ByTenant,
    swept: &mut Swept,
) -> Result<(), StepError> {
    let now = ports.clock.now();
    let Some(item) = ports.store.get(&delivery_key(id)).await? else {
        return Ok(());
    };
    let delivery = read_delivery(id, &item)?;
    let Some(due) = read_due(&item).filter(|due| *due <= now) else {
        return Ok(());
    };
    if delivery.state != DeliveryState::Pending || current(Some(item.clone()), now).is_none() {
        claim(ports, end_due(delivery_key(id), due)).await?;
        return Ok(());
    }
    if surplus(by_tenant, &delivery.tenant) {
        let at = now.plus(FIRST_LOOK);
        let later = move_due(delivery_key(id), due, due_shard(&id.job), at);
        return claim(ports, later).await.map(drop);
    }
    // The message waits in a queue that is behind, or was lost: it is sent again after waits that
    // double.
    let window = read_window(&item).unwrap_or(2 * GRACE);
    // An attempt under way is left alone; one that is far off is checked again in time.
    let busy = delivery.lease.as_ref().filter(|lease| lease.is_live(now));
    let far = delivery.next_attempt_at.since(now) > QUEUE_HORIZON + GRACE;
    let next = match busy {
        Some(lease) => lease.until.plus(GRACE),
        None if far => delivery.due(now),
        None => delivery.next_attempt_at.max(now).plus(window),
    };
    let again = busy.is_none() && !far;
    let longer = again.then(|| (2 * window).min(MAX_WINDOW));
    let update = schema::delivery::look_again(id, due, next, longer);
    if claim(ports, update).await? && again {
        enqueue_delivery(ports, &delivery, QueueName::WebhookRetry).await;
        swept.redriven_deliveries += 1;
    }
    Ok(())
}
