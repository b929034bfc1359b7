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
//! | `RATE#p` | `RATE` | a provider's next free slot, of all processes (`providers::guards::rate_limit`) |
//! | `BREAKER#p` | `BREAKER` | a provider's circuit while it is open (`providers::guards::circuit_breaker`) |
//! | `WAITS#p` | `WAITS` | since when records wait for a provider, and why; only shown (`providers::guards::waits`) |
//! | `CACHE#t#p#hmac(question)` | `CACHE` | a provider's answer; `t` is `*` where all tenants share it (`providers::guards::answer_cache`) |
//! | `SEEN#t#sha256(site)` | `SEEN` | when a tenant first saw what a site shows without a date (`providers::guards::seen`) |
//! | `CACHE` | `KEY` | that HMAC's key |
//!
//! A chunk's items share the prefix of their sort key, so that one query reads all that is known of a chunk, and one
//! range reads inputs and outcomes of neighbouring chunks together.

mod callback;
mod chunk;
mod delivery;
mod due;
mod endpoint;
mod idempotency;
mod item;
mod job;
mod lease;
mod progress;
mod tenant;

pub use self::callback::{
    WAKE_UNTIL, call_item, call_key, call_wake_key, calls_range, read_call, read_calls,
};
pub use self::chunk::{
    Chunk, ChunkOf, ChunkState, Part, chunk_item, chunk_key, chunk_range, groups, known_item,
    known_key, part_item, read_chunks, result_items, result_key, shard_range,
};
pub use self::delivery::{
    ATTEMPT_LEASE, ATTEMPTS, LEASE_TOKEN, LEASE_UNTIL, NEXT_ATTEMPT_AT, STATE, deliveries_range,
    delivery_changes, delivery_item, delivery_key, read_delivery,
};
pub use self::due::{
    DUE, DUE_SHARD, DUE_SHARDS, DueItem, WINDOW, due_item, due_shard, due_shard_name, listed_job,
    tenant_jobs,
};
pub use self::endpoint::{
    DISABLED, Endpoint, NEWEST, NOT_BEFORE, ORIGIN_LEASE, QUICK, SLOW, TURN_JOB, URL_LEASE,
    endpoint_key, latest_key, origin_key, read_endpoint,
};
pub(crate) use self::idempotency::{
    Claim, claim_key, leave_mark, read_claimed_job, read_fingerprint,
};
pub use self::idempotency::{idempotency_key, read_faults};
pub use self::item::{
    Corrupt, EXPIRES_AT, MAX_PAYLOAD_BYTES, OVER_AT, SPEC, current, get_n, get_s, get_set, json,
    millis, s, set,
};
pub(crate) use self::job::settled;
pub use self::job::{
    CALLBACK_KEY, END, SEEN, SHARDS_DONE, STARTED_AT, STATUS, detail_ranges, job_range, meta_item,
    meta_key, read_meta,
};
pub use self::lease::LeaseSlot;
pub use self::progress::{
    DONE, chunk_lease, held_attribute, progress_item, progress_key, read_progress,
    starts_attribute, wake_attribute,
};
pub use self::tenant::{
    BALANCE, OPEN_CHUNKS, SECRETS, USED, api_key_item, api_key_key, credits_key, profile_item,
    profile_key, read_api_key, read_profile, read_secrets, secret_key,
};
pub(crate) use self::tenant::{
    add_to_balance, credits_item, read_credits, read_rotation, replace_profile, rotate_secrets,
    secrets_item,
};
