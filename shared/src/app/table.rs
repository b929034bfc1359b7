//! The table's items: their keys, and how domain types are stored in them.
//!
//! | pk | sk | what |
//! | --- | --- | --- |
//! | `TENANT#t` | `PROFILE`, `CREDITS` | settings; balance and open chunks |
//! | `SECRET#t` | `WEBHOOK` | live webhook secrets |
//! | `KEY#sha256(key)` | `KEY` | API key → tenant, scopes |
//! | `IDEM#t#sha256(key)` | `IDEM` | request fingerprint → job, and the faults of its invalid records as they were answered |
//! | `JOB#j` | `META`, `PROGRESS#s`, `DELIVERY#d` | head, progress sets, deliveries |
//! | `JOB#j#s` | `CHUNK#n` | input records |
//! | `JOB#j#s` | `CHUNK#n#PART#run#k` | what a run that had to stop has finished, or has begun; run `0`: what was known at submit |
//! | `JOB#j#s` | `CHUNK#CALL#n#r#provider`, `CHUNK#CALL#n#r#provider#k`, `CHUNK#CALL#n#WAKE` | what an upstream posted for record r of chunk n, and then; until when a message is on its way for that |
//! | `JOB#j#s` | `CHUNK#n#RESULT`, `CHUNK#n#RESULT#run#k` | the outcomes; overflow of outcomes too big for one item |
//! | `ENDPOINT#t#sha256(url)` | `ENDPOINT`, `LATEST` | disabled, slow, not before; whose turn it is, and the newest job told |
//! | `ENDPOINT#t#sha256(origin)` | `ORIGIN` | quick, or whose probe it is |
//! | `RATE#p` | `RATE` | a provider's next free slot, of all processes (`provider::limit`) |
//! | `BREAKER#p` | `BREAKER` | a provider's circuit while it is open (`provider::breaker`) |
//! | `WAITS#p` | `WAITS` | since when records wait for a provider, and why; only shown (`provider::waits`) |
//! | `CACHE#t#p#hmac(question)` | `CACHE` | a provider's answer; `t` is `*` where all tenants share it (`provider::cache`) |
//! | `SEEN#t#sha256(site)` | `SEEN` | when a tenant first saw what a site shows without a date (`provider::seen`) |
//! | `CACHE` | `KEY` | that HMAC's key |
//!
//! A chunk's items share the prefix of their sort key, so that one query reads all that is known of a chunk, and one
//! range reads inputs and outcomes of neighbouring chunks together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use crate::domain::callback::CallbackFor;
use crate::domain::chunk::{SHARD_CHUNKS, shard_of};
use crate::domain::delivery::{Delivery, DeliveryState, EventType, Lease};
use crate::domain::error::InputError;
use crate::domain::ids::{DeliveryId, JobId, TenantId};
use crate::domain::job::{End, Job, Spec, Status};
use crate::domain::json;
use crate::domain::progress::Progress;
use crate::domain::record::{Outcome, Record};
use crate::domain::signature::LiveSecret;
use crate::domain::suspended::Parked;
use crate::domain::tenant::Profile;
use crate::domain::time::Timestamp;
use crate::ports::{Attributes, Change, Item, Key, Select, Value};

/// Shards of the `due` index, so that no single index partition takes every write.
pub const DUE_SHARDS: u8 = 8;
/// A compressed payload up to this fits one item beside its other attributes. Source: 400 KB item size limit.
pub const MAX_PAYLOAD_BYTES: usize = 300 * 1024;
/// A stored payload never unpacks to more: 64 outcomes of 256 KiB, and their frames.
const MAX_UNPACKED_BYTES: usize = 20 * 1024 * 1024;
/// zstd's default level: near its best ratio for JSON of this size at a tenth of the time.
const ZSTD_LEVEL: i32 = 3;

pub const STATUS: &str = "status";
pub const DUE: &str = "due";
pub const DUE_SHARD: &str = "due_shard";
pub const SHARDS_DONE: &str = "shards_done";
pub const DONE: &str = "done";
pub const STARTED_AT: &str = "started_at";
pub const SEEN: &str = "seen";
pub const WINDOW: &str = "window_ms";
pub const END: &str = "end";
pub const BALANCE: &str = "balance";
pub const USED: &str = "used";
pub const OPEN_CHUNKS: &str = "open_chunks";
pub const EXPIRES_AT: &str = "expires_at";
/// Of a live job's head: when its time is over. It is there for longer.
pub const OVER_AT: &str = "over_at";
pub const ATTEMPTS: &str = "attempts";
pub const STATE: &str = "state";
pub const NEXT_ATTEMPT_AT: &str = "next_attempt_at";
pub const LEASE_TOKEN: &str = "lease_token";
pub const LEASE_UNTIL: &str = "lease_until";
pub const SECRETS: &str = "secrets";
pub const DISABLED: &str = "disabled";
pub const SLOW: &str = "slow";
pub const NOT_BEFORE: &str = "not_before";
/// The lease token of the attempt that may go to a URL now.
pub const TURN: &str = "turn";
pub const TURN_UNTIL: &str = "turn_until";
/// When the job of that attempt was submitted, in milliseconds.
pub const TURN_JOB: &str = "turn_job";
/// When the newest job was submitted whose event was answered well, in milliseconds.
pub const NEWEST: &str = "newest";
/// Present where an origin answers quickly.
pub const QUICK: &str = "quick";
/// The token of the attempt that finds out whether an origin is quick.
pub const PROBE: &str = "probe";
pub const PROBE_UNTIL: &str = "probe_until";
/// Of a job's head: the key that signs its callback URLs, where there are any.
pub const CALLBACK_KEY: &str = "callback_key";
/// Until when a message is on its way for what upstreams posted.
pub const WAKE_UNTIL: &str = "wake_until";
pub const SPEC: &str = "spec";
const DATA: &str = "data";

/// A stored item is not what this version writes; what of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stored item is corrupt: {0}")]
pub struct Corrupt(pub &'static str);

fn key(pk: String, sk: impl Into<String>) -> Key {
    Key { pk, sk: sk.into() }
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

pub fn profile_key(tenant: &TenantId) -> Key {
    key(format!("TENANT#{tenant}"), "PROFILE")
}

pub fn credits_key(tenant: &TenantId) -> Key {
    key(format!("TENANT#{tenant}"), "CREDITS")
}

pub fn secret_key(tenant: &TenantId) -> Key {
    key(format!("SECRET#{tenant}"), "WEBHOOK")
}

pub fn api_key_key(hash: &str) -> Key {
    key(format!("KEY#{hash}"), "KEY")
}

pub fn idempotency_key(tenant: &TenantId, caller_key: &str) -> Key {
    key(format!("IDEM#{tenant}#{}", digest(caller_key)), "IDEM")
}

pub fn meta_key(job: &JobId) -> Key {
    key(format!("JOB#{job}"), "META")
}

pub fn progress_key(job: &JobId, shard: u32) -> Key {
    key(format!("JOB#{job}"), format!("PROGRESS#{shard:04}"))
}

pub fn delivery_key(id: &DeliveryId) -> Key {
    key(format!("JOB#{}", id.job), format!("DELIVERY#{:05}", id.n))
}

pub fn endpoint_key(tenant: &TenantId, url: &str) -> Key {
    key(format!("ENDPOINT#{tenant}#{}", digest(url)), "ENDPOINT")
}

/// Kept apart from the receiver's other state, which has an expiry of its own.
pub fn latest_key(tenant: &TenantId, url: &str) -> Key {
    key(endpoint_key(tenant, url).pk, "LATEST")
}

/// Of the URL's origin, which all URLs of one host, scheme and port share.
pub fn origin_key(tenant: &TenantId, url: &str) -> Key {
    let origin = Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization());
    key(format!("ENDPOINT#{tenant}#{}", digest(&origin)), "ORIGIN")
}

fn shard_pk(job: &JobId, shard: u32) -> String {
    format!("JOB#{job}#{shard:04}")
}

pub fn chunk_key(job: &JobId, chunk: u32) -> Key {
    key(shard_pk(job, shard_of(chunk)), format!("CHUNK#{chunk:05}"))
}

pub fn result_key(job: &JobId, chunk: u32) -> Key {
    key(shard_pk(job, shard_of(chunk)), format!("CHUNK#{chunk:05}#RESULT"))
}

fn overflow_key(job: &JobId, chunk: u32, run: &str, k: u32) -> Key {
    key(shard_pk(job, shard_of(chunk)), format!("CHUNK#{chunk:05}#RESULT#{run}#{k:03}"))
}

fn part_key(job: &JobId, chunk: u32, run: &str, k: u32) -> Key {
    key(shard_pk(job, shard_of(chunk)), format!("CHUNK#{chunk:05}#PART#{run}#{k:03}"))
}

/// What an upstream posted, the `nth` time. Behind all chunks of the shard, so that who reads results does not read it along.
pub fn call_key(of: &CallbackFor, nth: usize) -> Key {
    let again = if nth == 0 { String::new() } else { format!("#{nth}") };
    let sk = format!("CHUNK#CALL#{:05}#{:05}#{}{again}", of.chunk, of.at, of.provider);
    key(shard_pk(&of.job, shard_of(of.chunk)), sk)
}

/// Of the message that is sent for what upstreams posted for a chunk.
pub fn call_wake_key(job: &JobId, chunk: u32) -> Key {
    key(shard_pk(job, shard_of(chunk)), format!("CHUNK#CALL#{chunk:05}#WAKE"))
}

/// All that upstreams posted for a chunk.
pub fn calls_range(job: &JobId, chunk: u32) -> Select {
    let pk = shard_pk(job, shard_of(chunk));
    // Letters sort after digits: the chunk's `WAKE` stays outside.
    Select::Partition { pk, from: format!("CHUNK#CALL#{chunk:05}#"), to: format!("CHUNK#CALL#{chunk:05}#:") }
}

/// Everything of the chunks `from..=to`, which must lie in one shard.
pub fn chunk_range(job: &JobId, from: u32, to: u32) -> Select {
    Select::Partition {
        pk: shard_pk(job, shard_of(from)),
        from: format!("CHUNK#{from:05}"),
        // `~` sorts after every character that our sort keys have.
        to: format!("CHUNK#{to:05}#~"),
    }
}

/// Everything of one shard of a job.
pub fn shard_range(job: &JobId, shard: u32) -> Select {
    Select::Partition { pk: shard_pk(job, shard), from: "CHUNK#".into(), to: "CHUNK#~".into() }
}

/// Everything under the job's own partition: head, progress, deliveries.
pub fn job_range(job: &JobId) -> Select {
    Select::Partition { pk: format!("JOB#{job}"), from: " ".into(), to: "~".into() }
}

/// Everything under the job's own partition but its head: deliveries, and progress.
pub fn detail_ranges(job: &JobId) -> [Select; 2] {
    ["DELIVERY#", "PROGRESS#"].map(|kind| Select::Partition {
        pk: format!("JOB#{job}"),
        from: kind.to_owned(),
        to: format!("{kind}~"),
    })
}

pub fn deliveries_range(job: &JobId, from: u32) -> Select {
    Select::Partition { pk: format!("JOB#{job}"), from: format!("DELIVERY#{from:05}"), to: "DELIVERY#~".into() }
}

pub fn tenant_jobs(tenant: &TenantId) -> String {
    format!("TENANT#{tenant}")
}

/// The shard of the `due` index that a job's items are in.
pub fn due_shard(job: &JobId) -> String {
    let byte = job.as_str().bytes().fold(0_u8, |sum, b| sum.wrapping_mul(31).wrapping_add(b));
    due_shard_name(byte % DUE_SHARDS)
}

pub fn due_shard_name(n: u8) -> String {
    format!("DUE#{n:02}")
}

/// What an item of the `due` index belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DueItem {
    Job(JobId),
    Delivery(DeliveryId),
}

/// Reads the key of an item of the `due` index.
pub fn due_item(key: &Key) -> Option<DueItem> {
    let job = JobId::parse(key.pk.strip_prefix("JOB#")?)?;
    if key.sk == "META" {
        return Some(DueItem::Job(job));
    }
    let n = key.sk.strip_prefix("DELIVERY#")?.parse().ok()?;
    Some(DueItem::Delivery(job.delivery(n)))
}

/// The job of an item of the `by_tenant` index.
pub fn listed_job(key: &Key) -> Option<JobId> {
    JobId::parse(key.pk.strip_prefix("JOB#")?)
}

pub fn s(text: impl Into<String>) -> Value {
    Value::S(text.into())
}

pub fn set(element: impl Into<String>) -> BTreeSet<String> {
    BTreeSet::from([element.into()])
}

pub fn get_s<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.attributes.get(name) {
        Some(Value::S(text)) => Some(text),
        _ => None,
    }
}

pub fn get_n(item: &Item, name: &str) -> Option<i64> {
    match item.attributes.get(name) {
        Some(Value::N(n)) => Some(*n),
        _ => None,
    }
}

pub fn get_set<'a>(item: &'a Item, name: &str) -> impl Iterator<Item = &'a String> + use<'a> {
    match item.attributes.get(name) {
        Some(Value::Ss(set)) => Some(set.iter()),
        _ => None,
    }
    .into_iter()
    .flatten()
}

fn get_json<T: DeserializeOwned>(item: &Item, name: &'static str) -> Result<T, Corrupt> {
    get_s(item, name).and_then(|text| serde_json::from_str(text).ok()).ok_or(Corrupt(name))
}

/// JSON text of a value of ours. Our types have string keys and finite numbers, so that it cannot fail.
pub fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, Corrupt> {
    zstd::bulk::compress(json(value).as_bytes(), ZSTD_LEVEL).map_err(|_| Corrupt("payload"))
}

fn unpacked(item: &Item) -> Result<Vec<u8>, Corrupt> {
    let Some(Value::B(data)) = item.attributes.get(DATA) else { return Err(Corrupt(DATA)) };
    zstd::bulk::decompress(data, MAX_UNPACKED_BYTES).map_err(|_| Corrupt(DATA))
}

fn unpack<T: DeserializeOwned>(item: &Item) -> Result<T, Corrupt> {
    serde_json::from_slice(&unpacked(item)?).map_err(|_| Corrupt(DATA))
}

fn ttl(at: Timestamp) -> (String, Value) {
    (EXPIRES_AT.into(), Value::N(at.seconds()))
}

/// What an idempotency item keeps of the faults that a submission was answered with, where there are any.
pub fn faults_attribute(faults: &[InputError]) -> Result<Option<(String, Value)>, Corrupt> {
    let kept: Vec<_> = faults.iter().map(|fault| (&fault.pointer, &fault.detail)).collect();
    if kept.is_empty() { Ok(None) } else { Ok(Some((DATA.into(), Value::B(pack(&kept)?)))) }
}

/// Reads them; an item of a version that kept none has none.
pub fn read_faults(item: &Item) -> Result<Vec<InputError>, Corrupt> {
    if !item.attributes.contains_key(DATA) {
        return Ok(Vec::new());
    }
    let kept: Vec<(String, String)> = unpack(item)?;
    Ok(kept.into_iter().map(|(pointer, detail)| InputError::new(pointer, detail)).collect())
}

/// How much longer than its job a live head and its progress are kept from the table, which may delete what has expired at
/// any moment: until the sweep has settled what the job used. A sweep that stood still for longer was told of by its alarm.
const UNSETTLED: Duration = Duration::from_secs(7 * 24 * 3600);

fn is_expired(item: &Item, now: Timestamp) -> bool {
    get_n(item, OVER_AT).or_else(|| get_n(item, EXPIRES_AT)).is_some_and(|at| now.seconds() >= at)
}

/// The changes by which a head that is settled goes at its job's time.
pub(crate) fn settled(job: &Job) -> [Change; 2] {
    [Change::Set(EXPIRES_AT, Value::N(job.spec.expires_at.seconds())), Change::Remove(OVER_AT)]
}

/// The item, unless its time is over: the table removes what has expired only days later.
pub fn current(item: Option<Item>, now: Timestamp) -> Option<Item> {
    item.filter(|i| !is_expired(i, now))
}

pub fn meta_item(job: &Job) -> Item {
    let mut attributes = Attributes::from([
        (SPEC.into(), s(json(&job.spec))),
        (STATUS.into(), s(job.status.as_str())),
        ("tenant_jobs".into(), s(tenant_jobs(&job.spec.tenant))),
        ("job_id".into(), s(job.spec.id.as_str())),
        (SEEN.into(), Value::N(i64::from(job.seen))),
        (WINDOW.into(), Value::N(millis(job.window))),
        (OVER_AT.into(), Value::N(job.spec.expires_at.seconds())),
        ttl(job.spec.expires_at.plus(UNSETTLED)),
    ]);
    if let Some(due) = job.due {
        attributes.insert(DUE.into(), Value::N(due.0));
        attributes.insert(DUE_SHARD.into(), s(due_shard(&job.spec.id)));
    }
    Item { key: meta_key(&job.spec.id), attributes }
}

pub fn read_meta(item: &Item) -> Result<Job, Corrupt> {
    let spec: Spec = get_json(item, SPEC)?;
    let status = get_s(item, STATUS).and_then(Status::parse).ok_or(Corrupt(STATUS))?;
    let end: Option<End> = item.attributes.contains_key(END).then(|| get_json(item, END)).transpose()?;
    Ok(Job {
        spec,
        status,
        started_at: get_n(item, STARTED_AT).map(Timestamp),
        end,
        due: get_n(item, DUE).map(Timestamp),
        seen: get_n(item, SEEN).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        window: Duration::from_millis(get_n(item, WINDOW).and_then(|n| u64::try_from(n).ok()).unwrap_or(60_000)),
        shards_done: u32::try_from(get_set(item, SHARDS_DONE).count()).unwrap_or(u32::MAX),
    })
}

pub fn progress_item(job: &JobId, shard: u32, expires_at: Timestamp) -> Item {
    Item { key: progress_key(job, shard), attributes: Attributes::from([ttl(expires_at.plus(UNSETTLED))]) }
}

pub fn read_progress<'a>(shards: impl IntoIterator<Item = &'a Item>) -> Progress {
    Progress::of(shards.into_iter().flat_map(|item| get_set(item, DONE)))
}

/// The attribute of a progress shard that counts the starts of a chunk, from its second receive on.
/// One of [`SHARD_CHUNKS`] fixed names, because attribute names of changes are static.
pub fn starts_attribute(chunk: u32) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    chunk_attribute(&NAMES, "starts", chunk)
}

/// The attribute of a progress shard that says until when a run may be at work on a chunk.
pub fn held_attribute(chunk: u32) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    chunk_attribute(&NAMES, "held", chunk)
}

/// The attribute of a progress shard that says when the first parked record of a chunk is asked for again. One message is
/// on its way for that time; others that come before it have nothing to do.
pub fn wake_attribute(chunk: u32) -> &'static str {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    chunk_attribute(&NAMES, "wake", chunk)
}

fn chunk_attribute(names: &'static OnceLock<Vec<String>>, prefix: &str, chunk: u32) -> &'static str {
    let names = names.get_or_init(|| (0..SHARD_CHUNKS).map(|n| format!("{prefix}_{n:02}")).collect());
    &names[usize::try_from(chunk % SHARD_CHUNKS).unwrap_or(0)]
}

/// A chunk's records and budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// The index in the job of the first record.
    pub first: u32,
    /// So many records from the start may run; the rest are `skipped`.
    pub funded: u32,
    pub records: Vec<Record>,
}

/// A [`Chunk`] to be stored, of records that are somebody else's: they can be many and large.
#[derive(Debug, Serialize)]
pub struct ChunkOf<'a> {
    pub first: u32,
    pub funded: u32,
    pub records: &'a [Record],
}

pub fn chunk_item(job: &JobId, chunk: u32, content: &ChunkOf<'_>, expires_at: Timestamp) -> Result<Item, Corrupt> {
    let attributes = Attributes::from([(DATA.into(), Value::B(pack(content)?)), ttl(expires_at)]);
    Ok(Item { key: chunk_key(job, chunk), attributes })
}

/// What a run left of its work on a chunk before it had to stop: outcomes by position in the chunk, or the position of
/// the one record that it was about to begin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<(u32, Outcome)>,
    /// Records whose provider answers later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parked: Vec<(u32, Parked)>,
}

/// Names the part that a submission itself puts. It sorts before those of runs, whose names are ULIDs of this age.
const AT_SUBMIT: &str = "0";

/// The outcomes that a chunk's records have from the beginning, kept as those of a run that had to stop: every version
/// takes them as they are, and asks nobody about these records.
pub fn known_item(
    job: &JobId,
    chunk: u32,
    outcomes: Vec<(u32, Outcome)>,
    expires_at: Timestamp,
) -> Result<Item, Corrupt> {
    part_item(job, chunk, AT_SUBMIT, 0, &Part { outcomes, ..Part::default() }, expires_at)
}

/// Of [`known_item`].
pub fn known_key(job: &JobId, chunk: u32) -> Key {
    part_key(job, chunk, AT_SUBMIT, 0)
}

/// What an upstream posted, to be put once.
pub fn call_item(
    of: &CallbackFor,
    nth: usize,
    posted: &serde_json::Value,
    expires_at: Timestamp,
) -> Result<Item, Corrupt> {
    let attributes = Attributes::from([(DATA.into(), Value::B(pack(posted)?)), ttl(expires_at)]);
    Ok(Item { key: call_key(of, nth), attributes })
}

/// What was posted, of one item.
pub fn read_call(item: &Item) -> Result<serde_json::Value, Corrupt> {
    json::read(&unpacked(item)?).map_err(|_| Corrupt(DATA))
}

/// What upstreams posted for a chunk's records, in the order in which it came: by position in the chunk and provider. The
/// items stand in the order of their keys.
pub fn read_calls(items: &[Item]) -> Result<BTreeMap<(u32, String), Vec<serde_json::Value>>, Corrupt> {
    let of = |item: &Item| {
        let mut parts = item.key.sk.split('#').skip(3);
        Some((parts.next()?.parse().ok()?, parts.next()?.to_owned()))
    };
    let mut calls = BTreeMap::<_, Vec<_>>::new();
    for (of, item) in items.iter().filter_map(|item| of(item).map(|of| (of, item))) {
        calls.entry(of).or_default().push(read_call(item)?);
    }
    Ok(calls)
}

pub fn part_item(
    job: &JobId,
    chunk: u32,
    run: &str,
    k: u32,
    part: &Part,
    expires_at: Timestamp,
) -> Result<Item, Corrupt> {
    let attributes = Attributes::from([(DATA.into(), Value::B(pack(part)?)), ttl(expires_at)]);
    Ok(Item { key: part_key(job, chunk, run, k), attributes })
}

/// Splits what belongs to records so that each group fits one item even where nothing compresses.
pub fn groups<T: Serialize>(of_records: Vec<(u32, T)>) -> Vec<Vec<(u32, T)>> {
    let mut groups: Vec<Vec<_>> = Vec::new();
    let mut bytes = usize::MAX;
    for entry in of_records {
        let size = json(&entry).len();
        if bytes.saturating_add(size) > MAX_PAYLOAD_BYTES {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(group) = groups.last_mut() {
            group.push(entry);
        }
    }
    groups
}

/// The items of a chunk's result: the head, to be put if absent, and before it the overflow that the head names.
pub fn result_items(
    job: &JobId,
    chunk: u32,
    run: &str,
    outcomes: &[Outcome],
    expires_at: Timestamp,
) -> Result<(Vec<Item>, Item), Corrupt> {
    let packed = pack(&outcomes)?;
    let head = |attributes: Attributes| Item { key: result_key(job, chunk), attributes };
    if packed.len() <= MAX_PAYLOAD_BYTES {
        return Ok((Vec::new(), head(Attributes::from([(DATA.into(), Value::B(packed)), ttl(expires_at)]))));
    }
    let mut overflow = Vec::new();
    for (k, group) in (0_u32..).zip(groups((0..).zip(outcomes.iter().cloned()).collect())) {
        let attributes = Attributes::from([(DATA.into(), Value::B(pack(&group)?)), ttl(expires_at)]);
        overflow.push(Item { key: overflow_key(job, chunk, run, k), attributes });
    }
    let count = i64::try_from(overflow.len()).unwrap_or(i64::MAX);
    let head = head(Attributes::from([("run".into(), s(run)), ("items".into(), Value::N(count)), ttl(expires_at)]));
    Ok((overflow, head))
}

/// All that is stored of one chunk.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChunkState {
    pub chunk: Option<Chunk>,
    /// The outcome of every record, once there is a result.
    pub result: Option<Vec<Outcome>>,
    /// Finished by runs that had to stop, by position in the chunk; the earliest run's answer counts.
    pub finished: BTreeMap<u32, Outcome>,
    /// How often a record was begun on its own since it was last parked.
    pub begun: BTreeMap<u32, u32>,
    /// Parked by runs before, as the latest left them; what has finished since is in `finished` too.
    pub parked: BTreeMap<u32, Parked>,
}

/// `CHUNK#n` of the sort key of any of a chunk's items.
fn chunk_key_of(sk: &str) -> &str {
    sk.match_indices('#').nth(1).map_or(sk, |(at, _)| &sk[..at])
}

/// The chunk, if each of its records has a place in a job.
fn placed(chunk: Chunk) -> Result<Chunk, Corrupt> {
    let records = u32::try_from(chunk.records.len()).ok();
    records.and_then(|n| chunk.first.checked_add(n)).map(|_| chunk).ok_or(Corrupt(DATA))
}

/// Reads a range of chunks. Overflow that no head names is passed over, and so are the parts of a chunk that has its result.
pub fn read_chunks(items: &[Item]) -> Result<BTreeMap<u32, ChunkState>, Corrupt> {
    let mut chunks: BTreeMap<u32, ChunkState> = BTreeMap::new();
    let mut heads: BTreeMap<u32, (&str, i64)> = BTreeMap::new();
    let mut overflow: BTreeMap<(u32, &str), Vec<&Item>> = BTreeMap::new();
    let ended: BTreeSet<&str> = items.iter().filter_map(|item| item.key.sk.strip_suffix("#RESULT")).collect();
    for item in items {
        let mut parts = item.key.sk.split('#');
        let (Some("CHUNK"), Some(n)) = (parts.next(), parts.next().and_then(|n| n.parse().ok())) else { continue };
        let state = chunks.entry(n).or_default();
        match (parts.next(), parts.next()) {
            (None, _) => state.chunk = Some(unpack(item).and_then(placed)?),
            (Some("RESULT"), None) => match get_s(item, "run") {
                Some(run) => {
                    heads.insert(n, (run, get_n(item, "items").unwrap_or(0)));
                }
                None => state.result = Some(unpack(item)?),
            },
            (Some("RESULT"), Some(run)) => overflow.entry((n, run)).or_default().push(item),
            // What a result has is not unpacked a second time.
            (Some("PART"), Some(_)) if ended.contains(chunk_key_of(&item.key.sk)) => {}
            (Some("PART"), Some(_)) => {
                // A part that cannot be read is as good as lost: what it had is asked for again.
                let Ok(part) = unpack::<Part>(item) else {
                    tracing::error!(item.pk = %item.key.pk, item.sk = %item.key.sk, "part cannot be read");
                    continue;
                };
                if let Some(at) = part.begun {
                    *state.begun.entry(at).or_default() += 1;
                }
                for (at, outcome) in part.outcomes {
                    state.finished.entry(at).or_insert(outcome);
                }
                for (at, parked) in part.parked {
                    state.begun.remove(&at);
                    state.parked.insert(at, parked);
                }
            }
            _ => {}
        }
    }
    for (n, (run, count)) in heads {
        let items = overflow.remove(&(n, run)).unwrap_or_default();
        if i64::try_from(items.len()) != Ok(count) {
            return Err(Corrupt("result overflow"));
        }
        let mut outcomes: Vec<(u32, Outcome)> = Vec::new();
        for item in items {
            outcomes.extend(unpack::<Vec<(u32, Outcome)>>(item)?);
        }
        outcomes.sort_by_key(|(at, _)| *at);
        chunks.entry(n).or_default().result = Some(outcomes.into_iter().map(|(_, outcome)| outcome).collect());
    }
    Ok(chunks)
}

/// The part of a delivery that never changes.
#[derive(Serialize, Deserialize)]
struct DeliverySpec {
    tenant: TenantId,
    dialect: String,
    event: EventType,
    event_at: Timestamp,
    url: String,
}

pub fn delivery_item(delivery: &Delivery, due: Option<Timestamp>) -> Item {
    let spec = DeliverySpec {
        tenant: delivery.tenant.clone(),
        dialect: delivery.dialect.clone(),
        event: delivery.event,
        event_at: delivery.event_at,
        url: delivery.url.clone(),
    };
    let mut attributes = Attributes::from([(SPEC.into(), s(json(&spec))), ttl(delivery.expires_at)]);
    attributes.insert("expires_ms".into(), Value::N(delivery.expires_at.0));
    for change in delivery_changes(delivery, due) {
        if let Change::Set(name, value) = change {
            attributes.insert(name.into(), value);
        }
    }
    Item { key: delivery_key(&delivery.id), attributes }
}

/// What an update sets of a delivery: all of it that changes, lease and `due` included.
pub fn delivery_changes(delivery: &Delivery, due: Option<Timestamp>) -> Vec<Change> {
    let mut changes = vec![
        Change::Set(STATE, s(delivery.state.as_str())),
        Change::Set(ATTEMPTS, Value::N(delivery.attempts.into())),
        Change::Set("round_start", Value::N(delivery.round_start.into())),
        Change::Set("explicit", Value::N(delivery.explicit.into())),
        Change::Set(NEXT_ATTEMPT_AT, Value::N(delivery.next_attempt_at.0)),
        Change::Set("log", s(json(&delivery.log))),
        Change::Remove(WINDOW),
    ];
    match &delivery.reason {
        Some(reason) => changes.push(Change::Set("reason", s(reason))),
        None => changes.push(Change::Remove("reason")),
    }
    match &delivery.lease {
        Some(lease) => {
            changes.push(Change::Set(LEASE_TOKEN, s(&lease.token)));
            changes.push(Change::Set(LEASE_UNTIL, Value::N(lease.until.0)));
        }
        None => changes.extend([Change::Remove(LEASE_TOKEN), Change::Remove(LEASE_UNTIL)]),
    }
    match due {
        Some(due) => {
            changes.push(Change::Set(DUE, Value::N(due.0)));
            changes.push(Change::Set(DUE_SHARD, s(due_shard(&delivery.id.job))));
        }
        None => changes.extend([Change::Remove(DUE), Change::Remove(DUE_SHARD)]),
    }
    changes
}

pub fn read_delivery(id: &DeliveryId, item: &Item) -> Result<Delivery, Corrupt> {
    let spec: DeliverySpec = get_json(item, SPEC)?;
    let number = |name| get_n(item, name).and_then(|n| u32::try_from(n).ok());
    let lease = get_s(item, LEASE_TOKEN)
        .zip(get_n(item, LEASE_UNTIL))
        .map(|(token, until)| Lease { token: token.to_owned(), until: Timestamp(until) });
    Ok(Delivery {
        id: id.clone(),
        tenant: spec.tenant,
        dialect: spec.dialect,
        event: spec.event,
        event_at: spec.event_at,
        url: spec.url,
        state: get_s(item, STATE).and_then(DeliveryState::parse).ok_or(Corrupt(STATE))?,
        reason: get_s(item, "reason").map(str::to_owned),
        // One more can always be counted.
        attempts: number(ATTEMPTS).filter(|n| *n < u32::MAX).ok_or(Corrupt(ATTEMPTS))?,
        round_start: number("round_start").unwrap_or(0),
        explicit: number("explicit") == Some(1),
        next_attempt_at: get_n(item, NEXT_ATTEMPT_AT).map(Timestamp).ok_or(Corrupt(NEXT_ATTEMPT_AT))?,
        lease,
        log: get_json(item, "log")?,
        expires_at: get_n(item, "expires_ms").map(Timestamp).ok_or(Corrupt("expires_ms"))?,
    })
}

/// What is known of a receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// It said that it is gone; nothing is sent until a caller asks for it.
    pub disabled: bool,
    /// Its last answer took longer than [`crate::domain::delivery::SLOW_AFTER`].
    pub slow: bool,
    /// It asked for a pause until then.
    pub not_before: Option<Timestamp>,
}

pub fn read_endpoint(item: Option<&Item>) -> Endpoint {
    item.map_or_else(Endpoint::default, |item| Endpoint {
        disabled: get_n(item, DISABLED) == Some(1),
        slow: get_n(item, SLOW) == Some(1),
        not_before: get_n(item, NOT_BEFORE).map(Timestamp),
    })
}

pub fn profile_item(profile: &Profile) -> Item {
    Item { key: profile_key(&profile.tenant), attributes: Attributes::from([(SPEC.into(), profile_value(profile))]) }
}

pub fn profile_value(profile: &Profile) -> Value {
    s(json(profile))
}

pub fn read_profile(item: &Item) -> Result<Profile, Corrupt> {
    get_json(item, SPEC)
}

pub fn secrets_value(secrets: &[LiveSecret]) -> Value {
    s(json(&secrets))
}

pub fn read_secrets(item: Option<&Item>) -> Result<Vec<LiveSecret>, Corrupt> {
    item.map_or(Ok(Vec::new()), |item| get_json(item, SECRETS))
}

pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> JobId {
        JobId::new(Timestamp(1), [3; 10])
    }

    fn outcomes(n: usize, bytes: usize) -> Vec<Outcome> {
        // Text that hardly compresses: digests in hex.
        let text = |at: usize| (0..bytes / 64).map(|i| digest(&format!("{at}/{i}"))).collect::<String>();
        (0..n)
            .map(|at| Outcome {
                data: serde_json::Map::from_iter([("text".to_owned(), text(at).into())]),
                ..Outcome::without_data(crate::domain::record::OutcomeStatus::Found, None)
            })
            .collect()
    }

    #[test]
    fn a_result_too_big_for_one_item_comes_back_whole() {
        let outcomes = outcomes(6, 200 * 1024);
        let (overflow, head) = result_items(&job(), 7, "run1", &outcomes, Timestamp(0)).unwrap();
        assert!(overflow.len() > 1);
        let stranger = result_items(&job(), 7, "run0", &outcomes[..3], Timestamp(0)).unwrap().0;
        let items: Vec<Item> = stranger.into_iter().chain(overflow).chain([head]).collect();
        assert_eq!(read_chunks(&items).unwrap()[&7].result, Some(outcomes));
    }

    #[test]
    fn parts_are_read_until_there_is_a_result() {
        let part = |chunk| {
            let part = Part { begun: Some(1), outcomes: vec![(0, outcomes(1, 64).remove(0))], parked: Vec::new() };
            part_item(&job(), chunk, "run1", 0, &part, Timestamp(0)).unwrap()
        };
        let result = result_items(&job(), 7, "run1", &outcomes(2, 64), Timestamp(0)).unwrap().1;
        let chunks = read_chunks(&[part(7), result, part(8)]).unwrap();
        assert_eq!((chunks[&7].finished.len(), chunks[&7].begun.len()), (0, 0));
        assert_eq!((chunks[&8].finished.len(), chunks[&8].begun.len()), (1, 1));
        assert_eq!(chunks[&7].result.as_ref().map(Vec::len), Some(2));
    }

    #[test]
    fn numbers_that_cannot_be_counted_on_from_made_every_step_panic() {
        let tenant = TenantId::parse("t").unwrap();
        let (id, at) = (job().delivery(0), Timestamp(0));
        let mut delivery =
            Delivery::new(id.clone(), tenant, "d", EventType::JobCompleted, at, "https://a.example/", at);
        delivery.attempts = u32::MAX;
        assert_eq!(read_delivery(&id, &delivery_item(&delivery, None)), Err(Corrupt(ATTEMPTS)));
        let record = Record::default();
        let item = |first| {
            chunk_item(&job(), 0, &ChunkOf { first, funded: 1, records: std::slice::from_ref(&record) }, at).unwrap()
        };
        assert_eq!(read_chunks(&[item(u32::MAX)]), Err(Corrupt(DATA)));
        assert!(read_chunks(&[item(u32::MAX - 1)]).is_ok());
    }

    #[test]
    fn overflow_that_is_missing_is_corrupt_and_not_a_shorter_result() {
        let (mut overflow, head) = result_items(&job(), 7, "run1", &outcomes(6, 200 * 1024), Timestamp(0)).unwrap();
        overflow.pop();
        overflow.push(head);
        assert_eq!(read_chunks(&overflow), Err(Corrupt("result overflow")));
    }

    #[test]
    fn a_chunk_range_holds_the_chunks_items_and_no_others() {
        let Select::Partition { from, to, .. } = chunk_range(&job(), 1, 1) else { panic!() };
        let inside = |key: Key| key.sk >= from && key.sk <= to;
        assert!(inside(chunk_key(&job(), 1)) && inside(result_key(&job(), 1)));
        assert!(inside(part_key(&job(), 1, "01ARZ", 999)) && inside(overflow_key(&job(), 1, "01ARZ", 999)));
        assert!(!inside(chunk_key(&job(), 0)) && !inside(result_key(&job(), 0)) && !inside(chunk_key(&job(), 2)));
    }

    #[test]
    fn due_keys_are_read_back_and_strangers_are_not() {
        let id = job().delivery(3);
        assert_eq!(due_item(&meta_key(&job())), Some(DueItem::Job(job())));
        assert_eq!(due_item(&delivery_key(&id)), Some(DueItem::Delivery(id)));
        assert_eq!(due_item(&credits_key(&TenantId::parse("t").unwrap())), None);
        assert_eq!(due_item(&progress_key(&job(), 0)), None);
    }
}
