//! The table's items: their keys, and how domain types are stored in them.
//!
//! | pk | sk | what |
//! | --- | --- | --- |
//! | `TENANT#t` | `PROFILE`, `CREDITS` | settings; balance and open chunks |
//! | `SECRET#t` | `WEBHOOK` | live webhook secrets, and those of single surfaces |
//! | `KEY#sha256(key)` | `KEY` | API key → tenant, scopes |
//! | `IDEM#t#sha256(key)` | `IDEM` | request fingerprint → job, and the faults in its answer |
//! | `JOB#j` | `META`, `PROGRESS#s`, `DELIVERY#d` | head, progress sets, deliveries |
//! | `JOB#j#s` | `CHUNK#n` | input records |
//! | `JOB#j#s` | `CHUNK#n#PART#run#k` | outcomes or attempts of a run; run `0`: of submit |
//! | `JOB#j#s` | `CHUNK#CALL#n#r#provider` | an upstream's first post for record r of chunk n |
//! | `JOB#j#s` | `CHUNK#CALL#n#r#provider#k` | its later posts |
//! | `JOB#j#s` | `CHUNK#CALL#n#WAKE` | until when a message for these is on its way |
//! | `JOB#j#s` | `CHUNK#n#RESULT`, `CHUNK#n#RESULT#run#k` | the outcomes; their overflow |
//! | `ENDPOINT#t#sha256(url)` | `ENDPOINT` | disabled, slow, not before |
//! | `ENDPOINT#t#sha256(url)` | `LATEST` | the URL's lease, and its newest job |
//! | `ENDPOINT#t#sha256(origin)` | `ORIGIN` | quick, or the origin's lease |
//! | `RATE#p` | `RATE` | a provider's next free slot (`providers::guards::rate_limit`) |
//! | `BREAKER#p` | `BREAKER` | an open circuit (`providers::guards::circuit_breaker`) |
//! | `WAITS#p` | `WAITS` | records' wait for a provider; only shown (`providers::guards::waits`) |
//! | `CACHE#t#p#hmac(request)` | `CACHE` | an answer (`providers::guards::answer_cache`) |
//! | `SEEN#t#sha256(site)` | `SEEN` | first sights of undated things (`providers::guards::seen`) |
//! | `CACHE` | `KEY` | that HMAC's key |
//!
//! Of an answer, `t` is `*` where all tenants share it.
//!
//! A chunk's items share the prefix of their sort key, so that one query reads all that is known of
//! a chunk, and one range reads inputs and outcomes of neighbouring chunks together.
//!
//! Each item has a file: its key, how it is read, and every write of it as a named function, with
//! the condition under which it takes effect. Nothing outside names an attribute (a test in
//! `tests/infra` checks that).

pub(crate) mod answer;
pub(crate) mod breaker;
mod callback;
mod chunk;
pub(crate) mod delivery;
mod due;
pub(crate) mod endpoint;
mod idempotency;
mod item;
pub(crate) mod job;
pub(crate) mod latest;
mod lease;
pub(crate) mod origin;
pub(crate) mod progress;
pub(crate) mod rate;
pub(crate) mod seen;
mod tenant;
pub(crate) mod waits;

pub use self::callback::{call_key, calls_range, read_call, read_calls};
pub(crate) use self::callback::{enqueue_callbacks, insert_call};
pub use self::chunk::{
    Chunk, ChunkOf, ChunkState, Part, chunk_item, chunk_key, chunk_range, groups, known_item,
    known_key, part_item, read_chunks, result_items, result_key, shard_range,
};
pub use self::delivery::{
    ATTEMPTS, LEASE_TOKEN, LEASE_UNTIL, STATE, deliveries_range, delivery_item, delivery_key,
    read_delivery,
};
pub use self::due::{
    DUE, DUE_SHARD, DUE_SHARDS, DueItem, due_item, due_shard, due_shard_name, listed_job,
    tenant_jobs,
};
pub(crate) use self::due::{end_due, move_due, read_due};
pub use self::endpoint::{Endpoint, endpoint_key, read_endpoint};
pub(crate) use self::idempotency::{
    Claim, claim_key, leave_mark, read_claimed_job, read_fingerprint,
};
pub use self::idempotency::{idempotency_key, read_faults};
pub use self::item::{Corrupt, EXPIRES_AT, MAX_PAYLOAD_BYTES, current, get_n, get_s, get_set};
pub(crate) use self::item::{insert, insert_with, json, overwrite};
pub use self::job::{
    CALLBACK_KEY, END, STATUS, detail_ranges, job_range, meta_item, meta_key, read_meta,
};
pub use self::latest::{NEWEST, latest_key};
pub use self::origin::origin_key;
pub use self::progress::{DONE, attempts_attribute, held_attribute, progress_key, read_progress};
pub use self::tenant::{
    BALANCE, OPEN_CHUNKS, USED, api_key_key, credits_key, profile_key, read_api_key, read_profile,
    read_secrets, secret_key,
};
pub(crate) use self::tenant::{
    OwnSecrets, add_to_balance, api_key_item, credits_item, profile_item, read_credits,
    read_own_secrets, read_rotation, replace_own_secrets, replace_profile, replace_settings,
    reserve, rotate_secrets, secrets_item, settle, tenant_exists,
};
