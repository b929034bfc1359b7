//! Reads for callers. Nothing here writes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Ports, StepError, full_range};
use crate::domain::chunk::shard_of;
use crate::domain::delivery::Delivery;
use crate::domain::error::ApiError;
use crate::domain::ids::{DeliveryId, JobId, TenantId};
use crate::domain::job::{
    Entry, Job, JobView, MAX_ESCAPED_PAGE_BYTES, MAX_PAGE_BYTES, ResultLine, Status, public_view,
};
use crate::domain::json::escaped_size;
use crate::jobs::enrich::finish::load;
use crate::ports::{Query, Select};
use crate::providers::guards::waits::waiting_for;
use crate::schema::{
    ChunkState, chunk_range, current, deliveries_range, delivery::read_log_text, delivery_key,
    job::read_status, listed_job, meta_key, progress_key, read_chunks, read_delivery, read_meta,
    read_progress, tenant_jobs,
};

/// Reads a job of this tenant. Another tenant's, an expired or an erased job is not found.
pub async fn job(ports: &Ports, tenant: &TenantId, id: &JobId) -> Result<JobView, ApiError> {
    let view = load(ports, id).await?;
    view.filter(|v| v.job.spec.tenant == *tenant)
        .ok_or(ApiError::NotFound { what: "job" })
}

/// The age from which a job shows what it waits for: a younger one may just end.
const YOUNG: Duration = Duration::from_secs(10);

/// Adds the providers that its records wait for to a live job older than [`YOUNG`]. `order` are its
/// type's providers. Where they cannot be read, the job is shown without.
pub async fn with_waits<'a>(
    ports: &Ports,
    mut view: JobView,
    order: impl Iterator<Item = &'a str>,
) -> JobView {
    let now = ports.clock.now();
    if view.job.status.is_live() && now.since(view.job.spec.created_at) >= YOUNG {
        let own = view.job.spec.providers.clone();
        let asked = order.filter(|name| {
            own.as_ref()
                .is_none_or(|own| own.iter().any(|own| own == name))
        });
        match waiting_for(ports.store.as_ref(), asked, now).await {
            Ok(waits) => view.waiting_for = waits,
            Err(error) => {
                tracing::warn!(error = %error, "the providers that it waits for are not read");
            }
        }
    }
    view
}

/// Explains why an item of a job is missing: the job was erased since its head was read. Otherwise
/// the item is lost, which cannot be.
pub(crate) async fn missing(ports: &Ports, id: &JobId, what: &'static str) -> ApiError {
    match is_gone(ports, id).await {
        Ok(true) => ApiError::NotFound { what: "job" },
        Ok(false) => StepError::Corrupt(what).into(),
        Err(error) => error.into(),
    }
}

/// Checks whether a job has expired or was erased by now.
pub(crate) async fn is_gone(ports: &Ports, id: &JobId) -> Result<bool, StepError> {
    Ok(load(ports, id).await?.is_none())
}

/// The time between two reads of a held request.
const POLL: Duration = Duration::from_millis(500);

/// Polls until `settled` says that the job is worth answering with, or the time is up; then answers
/// with what is there.
pub async fn wait_for(
    ports: &Ports,
    tenant: &TenantId,
    id: &JobId,
    wait: Duration,
    settled: impl Fn(&JobView) -> bool,
) -> Result<JobView, ApiError> {
    let until = ports.clock.now().plus(wait);
    let mut pause = POLL;
    loop {
        let view = job(ports, tenant, id).await?;
        let left = until.since(ports.clock.now());
        if left.is_zero() || settled(&view) {
            return Ok(view);
        }
        ports.clock.sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(4 * POLL);
    }
}

/// A place in a job's results: a chunk, and a record in it. It carries positions only; whose
/// results they are is decided by the request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResultCursor {
    /// The chunk's number in the job, from 0.
    pub chunk: u32,
    /// The record's position in the chunk, from 0; less than a chunk's most records.
    pub offset: u32,
}

impl ResultCursor {
    /// Reads what [`Display`](std::fmt::Display) writes: `CHUNK.OFFSET`, in decimal. Returns `None`
    /// for anything else and for an offset that no chunk has.
    pub fn parse(text: &str) -> Option<Self> {
        let (chunk, offset) = text.split_once('.')?;
        let cursor = Self {
            chunk: chunk.parse().ok()?,
            offset: offset.parse().ok()?,
        };
        (cursor.to_string() == text).then_some(cursor)
    }
}

impl std::fmt::Display for ResultCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.chunk, self.offset)
    }
}

/// A page of results, in input order without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultPage {
    /// The records with their outcomes; empty where none from here on has ended yet.
    pub lines: Vec<ResultLine>,
    /// The place to go on from. While the job runs, it may have no results yet; ask again later.
    pub next: Option<ResultCursor>,
}

/// The most chunks read at once.
const CHUNKS_AT_ONCE: u32 = 8;

/// Returns how many chunks to read at once: about a page's worth, by the finished ones' average.
/// Parsed JSON takes many times its text, so large chunks are read one by one.
fn chunks_at_once(view: &JobView) -> u32 {
    let (bytes, chunks) = match &view.job.end {
        Some(end) => (end.bytes, view.job.spec.chunks),
        None => (view.progress.bytes(), view.progress.chunks()),
    };
    let average = (bytes / u64::from(chunks.max(1))).max(1);
    u32::try_from(MAX_PAGE_BYTES as u64 / average)
        .unwrap_or(u32::MAX)
        .clamp(1, CHUNKS_AT_ONCE)
}

/// Reads at most `at_once` chunks from `from` on, all of one shard, and returns which is the last.
async fn chunks_from(
    ports: &Ports,
    job: &Job,
    from: u32,
    at_once: u32,
) -> Result<(u32, BTreeMap<u32, ChunkState>), StepError> {
    let to = (from + at_once).min(job.spec.chunks) - 1;
    let to = (from..=to)
        .take_while(|chunk| shard_of(*chunk) == shard_of(from))
        .last()
        .unwrap_or(from);
    let items = full_range(ports, chunk_range(&job.spec.id, from, to)).await?;
    Ok((to, read_chunks(&items)?))
}

/// As [`results`], for a caller: of a job that was erased after its head was read, parts may be left.
pub async fn page(
    ports: &Ports,
    view: &JobView,
    cursor: ResultCursor,
    limit: usize,
) -> Result<ResultPage, ApiError> {
    match results(ports, view, cursor, limit).await {
        Err(StepError::Corrupt(what)) => Err(missing(ports, &view.job.spec.id, what).await),
        answer => Ok(answer?),
    }
}

/// Reads results from `cursor` on: at most `limit` lines, at most [`MAX_PAGE_BYTES`] of JSON, and
/// up to the first chunk that has no result yet.
pub async fn results(
    ports: &Ports,
    view: &JobView,
    cursor: ResultCursor,
    limit: usize,
) -> Result<ResultPage, StepError> {
    let (job, at_once) = (
        &view.job,
        chunks_at_once(view).min(u32::try_from(limit).unwrap_or(u32::MAX)),
    );
    let (mut lines, mut bytes, mut escaped, mut at) = (Vec::new(), 0, 0, cursor);
    while at.chunk < job.spec.chunks {
        let (to, mut chunks) = chunks_from(ports, job, at.chunk, at_once).await?;
        for n in at.chunk..=to {
            let state = chunks.remove(&n).unwrap_or_default();
            let Some((chunk, outcomes)) = state.chunk.zip(state.result) else {
                return Ok(ResultPage {
                    lines,
                    next: Some(at),
                });
            };
            let skip = usize::try_from(at.offset).unwrap_or(usize::MAX);
            let pairs = (chunk.first..)
                .zip(chunk.records.into_iter().zip(outcomes))
                .skip(skip);
            for (index, (record, outcome)) in pairs {
                let line = ResultLine {
                    index,
                    record,
                    outcome,
                };
                let text = crate::schema::json(&line.to_json());
                bytes += text.len() + 1;
                escaped += ResultLine::escaped_bytes(&text);
                let full = bytes > MAX_PAGE_BYTES || escaped > MAX_ESCAPED_PAGE_BYTES;
                if lines.len() == limit || (full && !lines.is_empty()) {
                    return Ok(ResultPage {
                        lines,
                        next: Some(at),
                    });
                }
                lines.push(line);
                at.offset += 1;
            }
            at = ResultCursor {
                chunk: n + 1,
                offset: 0,
            };
        }
    }
    Ok(ResultPage { lines, next: None })
}

/// Reads every record of a job in input order, those without an outcome too.
///
/// # Errors
/// [`ApiError::ResultsTooLarge`] past [`MAX_PAGE_BYTES`] of JSON, or what a response can carry.
pub async fn entries(ports: &Ports, view: &JobView) -> Result<Vec<Entry>, ApiError> {
    let (job, at_once) = (&view.job, chunks_at_once(view));
    let too_large = || ApiError::ResultsTooLarge {
        results_url: view.results_url(),
    };
    let (mut entries, mut bytes, mut escaped, mut next) = (Vec::new(), 0, 0, 0);
    while next < job.spec.chunks {
        let (to, states) = match chunks_from(ports, job, next, at_once).await {
            Err(StepError::Corrupt(what)) => return Err(missing(ports, &job.spec.id, what).await),
            read => read?,
        };
        for state in states.into_values() {
            let Some(chunk) = state.chunk else {
                return Err(missing(ports, &job.spec.id, "chunk").await);
            };
            let mut finished = match state.result {
                Some(outcomes) => (0..).zip(outcomes).collect(),
                None => state.finished,
            };
            for (at, record) in (0..).zip(chunk.records) {
                let (index, outcome) = (chunk.first + at, finished.remove(&at));
                let text = public_view(&record, outcome.as_ref());
                bytes += text.len();
                escaped += escaped_size(text.as_bytes());
                if bytes > MAX_PAGE_BYTES || escaped > MAX_ESCAPED_PAGE_BYTES {
                    return Err(too_large());
                }
                entries.push(Entry {
                    index,
                    record,
                    outcome,
                });
            }
        }
        next = to + 1;
    }
    if entries.len() != usize::try_from(job.spec.total).unwrap_or(usize::MAX) {
        return Err(missing(ports, &job.spec.id, "chunks").await);
    }
    Ok(entries)
}

/// A page of a tenant's jobs, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// May be empty although `next` says that there is more: a filter can leave out a whole page.
    pub jobs: Vec<JobView>,
    /// The last job that was read, where there may be more.
    pub next: Option<JobId>,
}

/// Reads jobs of this tenant before `before`, at most `limit`, of one status where one is given.
pub async fn jobs(
    ports: &Ports,
    tenant: &TenantId,
    status: Option<Status>,
    before: Option<JobId>,
    limit: usize,
) -> Result<JobPage, ApiError> {
    let (mut found, mut at) = (Vec::new(), before);
    // A rare status is searched for in this many index pages; the cursor goes on from there.
    for _ in 0..10 {
        let select = Select::JobsOfTenant {
            tenant_jobs: tenant_jobs(tenant),
            before: at.as_ref().map(ToString::to_string),
        };
        let query = Query {
            select,
            limit: 100,
            descending: true,
            consistent: false,
        };
        let listed = ports.store.query(&query).await.map_err(StepError::from)?;
        let more = listed.len() == 100;
        let mut ids = Vec::new();
        for item in &listed {
            let Some(id) = listed_job(&item.key) else {
                continue;
            };
            let stored = read_status(item);
            // Only progress distinguishes queued from running; the index has none.
            let shown =
                |s: Status| matches!(s, Status::Queued | Status::Running | Status::Expiring);
            let may_match = match (status, stored) {
                (_, Some(Status::Deleted)) | (Some(_), None) => false,
                (None, _) => true,
                (Some(wanted), Some(stored)) => {
                    wanted == stored || (shown(wanted) && shown(stored))
                }
            };
            if may_match {
                ids.push(id.clone());
            }
            at = Some(id);
        }
        for view in views(ports, &ids).await? {
            if status.is_none_or(|s| view.status() == s) && view.job.spec.tenant == *tenant {
                found.push(view);
            }
            if found.len() == limit {
                let next = found.last().map(|v: &JobView| v.job.spec.id.clone());
                return Ok(JobPage { jobs: found, next });
            }
        }
        if !more {
            return Ok(JobPage {
                jobs: found,
                next: None,
            });
        }
    }
    Ok(JobPage {
        jobs: found,
        next: at,
    })
}

async fn views(ports: &Ports, ids: &[JobId]) -> Result<Vec<JobView>, StepError> {
    let keys: Vec<_> = ids
        .iter()
        .flat_map(|id| [meta_key(id), progress_key(id, 0)])
        .collect();
    let items = ports.store.get_many(&keys).await?;
    let now = ports.clock.now();
    let mut views = Vec::new();
    for pair in items.chunks(2) {
        let Some(meta) = current(pair[0].clone(), now) else {
            continue;
        };
        let job = read_meta(&meta)?;
        if job.status == Status::Deleted || job.is_expired(now) {
            continue;
        }
        let view = if job.status.is_live() && job.spec.chunks > crate::domain::chunk::SHARD_CHUNKS {
            load(ports, &job.spec.id).await?
        } else {
            Some(JobView::new(job, read_progress(pair[1].as_ref())))
        };
        views.extend(view);
    }
    Ok(views)
}

/// A page of a job's delivery log.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryPage {
    /// In the order of their ids.
    pub deliveries: Vec<Delivery>,
    /// The position to go on from.
    pub next: Option<u32>,
}

/// Estimates the most bytes that a delivery takes of a response, as Lambda returns it. Its log is
/// shown much as it is stored, each attempt adds names and nulls, and the rest is its URL and a few
/// hundred bytes.
fn shown_bytes(delivery: &Delivery, log: &str) -> usize {
    const ATTEMPT: usize = 256;
    const REST: usize = 1024;
    let escaped = |text: &str| escaped_size(text.as_bytes());
    escaped(log) + ATTEMPT * delivery.log.len() + 2 * escaped(&delivery.url) + REST
}

/// Reads deliveries of a job from position `from` on, as many as fit a response and one at least: a
/// receiver's answers of a few bytes can be large in a log.
pub async fn deliveries(
    ports: &Ports,
    tenant: &TenantId,
    id: &JobId,
    from: u32,
    limit: usize,
) -> Result<DeliveryPage, ApiError> {
    job(ports, tenant, id).await?;
    let query = Query {
        select: deliveries_range(id, from),
        limit: limit + 1,
        descending: false,
        consistent: true,
    };
    let (mut deliveries, mut bytes) = (Vec::new(), 0);
    for item in ports.store.query(&query).await.map_err(StepError::from)? {
        let n = item
            .key
            .sk
            .strip_prefix("DELIVERY#")
            .and_then(|n| n.parse().ok());
        let n: u32 = n.ok_or(StepError::Corrupt("delivery key"))?;
        let delivery = read_delivery(&id.delivery(n), &item)?;
        bytes += shown_bytes(&delivery, read_log_text(&item));
        if deliveries.len() == limit || (bytes > MAX_ESCAPED_PAGE_BYTES && !deliveries.is_empty()) {
            return Ok(DeliveryPage {
                deliveries,
                next: Some(n),
            });
        }
        deliveries.push(delivery);
    }
    Ok(DeliveryPage {
        deliveries,
        next: None,
    })
}

/// Reads one delivery of this tenant.
pub async fn delivery(
    ports: &Ports,
    tenant: &TenantId,
    id: &DeliveryId,
) -> Result<Delivery, ApiError> {
    let items = ports
        .store
        .get_many(&[delivery_key(id), meta_key(&id.job)])
        .await
        .map_err(StepError::from)?;
    let [item, head] = <[_; 2]>::try_from(items).map_err(|_| StepError::Corrupt("read"))?;
    // Under a tombstone it only waits to be erased. One of no job has no head.
    let erased = head.as_ref().and_then(read_status) == Some(Status::Deleted);
    let item = current(item, ports.clock.now()).filter(|_| !erased);
    let found = item.map(|item| read_delivery(id, &item)).transpose()?;
    found
        .filter(|d| d.tenant == *tenant)
        .ok_or(ApiError::NotFound { what: "delivery" })
}
