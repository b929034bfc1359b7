//! The time at which things without a date were first seen, so that they age all the same.
//!
//! One small item for each tenant and site, under hashes: `seen` is a set of `hash:seconds`, one
//! element for each thing that was there at the last visit. It is written if that has changed, on
//! condition that it has not been written since it was read. Nothing depends on a write of it: a
//! thing that was not remembered is as new as on the first day.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::ports::{Clock, Item, Key, Store, StoreError, within};
use crate::schema::seen::{self, read_end, seen_key};

/// The most things that are remembered of one site. With 22 bytes each, an item of 11 KB.
const MAX_THINGS: usize = 500;
/// The time that the table has to answer, and again to take what is new.
const LIMIT: Duration = Duration::from_secs(2);
/// The extra time for which an item is kept, so that not every visit has to extend it.
const SLACK: Duration = Duration::from_secs(7 * 24 * 3600);

/// A tenant's memory of the first time that it saw each thing.
#[derive(Clone)]
pub struct Seen {
    store: Arc<dyn Store>,
    tenant: TenantId,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}

/// The things at one site now.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The site, such as a host.
    pub site: &'a str,
    /// Each thing by a text that identifies it.
    pub things: &'a [String],
    /// The list is complete: anything that is not among `things` is forgotten.
    pub all: bool,
    /// The least time of remembering after the last visit.
    pub remember_for: Duration,
}

impl Seen {
    /// Makes a memory in this table.
    pub fn new(store: Arc<dyn Store>, tenant: TenantId) -> Self {
        Self { store, tenant }
    }

    /// Returns when each of the things was first seen, in their order: now, if it is new. `None`
    /// for those that are not remembered, and for all if the table does not answer. Takes at most
    /// `limit`, and at most four seconds.
    pub async fn since(
        &self,
        shown: Shown<'_>,
        clock: &dyn Clock,
        limit: Duration,
    ) -> Vec<Option<Timestamp>> {
        let began = clock.now();
        let key = seen_key(&self.tenant, shown.site);
        let read = match within(clock, LIMIT.min(limit), self.store.get(&key)).await {
            Some(Ok(item)) => item,
            answer => {
                warn(
                    "when undated news were first seen is not known",
                    answer.and_then(Result::err),
                );
                return vec![None; shown.things.len()];
            }
        };
        let now = clock.now();
        let before = read
            .as_ref()
            .filter(|item| read_end(item).is_some_and(|end| end > now.seconds()))
            .map(seen::read);
        let before = before.unwrap_or_default();
        let hashes: Vec<String> = shown.things.iter().map(|thing| hash(thing)).collect();
        let since = |hash: &String| before.get(hash).copied().unwrap_or(now.seconds());
        let mut kept: BTreeMap<&String, i64> = hashes
            .iter()
            .take(MAX_THINGS)
            .map(|hash| (hash, since(hash)))
            .collect();
        if !shown.all {
            let others = before.iter().filter(|(hash, _)| !hashes.contains(hash));
            kept.extend(
                others
                    .take(MAX_THINGS - kept.len())
                    .map(|(hash, at)| (hash, *at)),
            );
        }
        let needed = now.plus(shown.remember_for);
        let fresh = read
            .as_ref()
            .and_then(read_end)
            .is_some_and(|end| end >= needed.seconds());
        let same = kept.len() == before.len()
            && kept.iter().all(|(hash, at)| before.get(*hash) == Some(at));
        if !(kept.is_empty() || same && fresh) {
            let left = limit.saturating_sub(clock.now().since(began));
            self.remember(
                key,
                read.as_ref(),
                &kept,
                needed.plus(SLACK),
                clock,
                LIMIT.min(left),
            )
            .await;
        }
        hashes
            .iter()
            .map(|hash| kept.get(&hash).map(|at| Timestamp(at * 1_000)))
            .collect()
    }

    async fn remember(
        &self,
        key: Key,
        read: Option<&Item>,
        kept: &BTreeMap<&String, i64>,
        expires_at: Timestamp,
        clock: &dyn Clock,
        limit: Duration,
    ) {
        let update = seen::remember(key, read, kept, expires_at);
        match within(clock, limit, self.store.update(update)).await {
            // Another run was here at the same time.
            Some(Ok(_) | Err(StoreError::ConditionFailed(_))) => {}
            answer => warn(
                "when undated news were first seen is not remembered",
                answer.and_then(Result::err),
            ),
        }
    }
}

fn warn(what: &'static str, error: Option<StoreError>) {
    let why = error.map_or_else(|| "no answer in time".to_owned(), |error| error.to_string());
    tracing::warn!(error = why, "{what}");
}

/// Hashes to nine bytes: two of 500 things collide once in 10^16 sites.
fn hash(thing: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(thing)[..9])
}
