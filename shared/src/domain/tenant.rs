//! Tenants: who calls, and what they may.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ids::TenantId;
use super::time::Timestamp;

/// The chunks that the fast lane works on at once, unless set otherwise. Source: the template's
/// `EnrichConcurrency`.
pub const ENRICH_CONCURRENCY: u32 = 20;

/// A tenant's share of the fast lane, in open chunks, where this many run there at once; what it
/// brings beyond goes through the bulk lane. A fifth, so that it takes several large tenants at
/// once to keep a small one waiting, and at least one.
pub const fn fast_chunks(concurrency: u32) -> i64 {
    let share = concurrency / 5;
    if share == 0 { 1 } else { share as i64 }
}

/// The choices on one surface: values by the name of the setting. A setting that is missing has its
/// default.
pub type SurfaceSettings = BTreeMap<String, String>;

/// A tenant's settings. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The tenant's id.
    pub tenant: TenantId,
    /// The time at which an operator made the tenant.
    pub created_at: Timestamp,
    /// Replaces the delays of the native retry schedule, in seconds, without jitter. For operators
    /// and tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_schedule: Option<Vec<u64>>,
    /// The choices of an operator for the tenant, by surface. Stored apart from the other members, so
    /// that versions that do not know it leave it as it is.
    #[serde(skip)]
    pub surfaces: BTreeMap<String, SurfaceSettings>,
}

impl Profile {
    /// Returns the delays between attempts where an operator set them.
    pub fn webhook_delays(&self) -> Option<Vec<Duration>> {
        self.webhook_schedule
            .as_ref()
            .map(|s| s.iter().copied().map(Duration::from_secs).collect())
    }
}

/// A change of what a tenant has chosen on a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettingChange<'a> {
    /// The surface's name.
    pub surface: &'a str,
    /// The setting's name.
    pub setting: &'a str,
    /// The new value; `None` for the default.
    pub value: Option<&'a str>,
}

impl SettingChange<'_> {
    /// Applies the change. What is not named stays, known to this version or not.
    pub fn apply(&self, surfaces: &mut BTreeMap<String, SurfaceSettings>) {
        let settings = surfaces.entry(self.surface.to_owned()).or_default();
        match self.value {
            Some(value) => settings.insert(self.setting.to_owned(), value.to_owned()),
            None => settings.remove(self.setting),
        };
        if settings.is_empty() {
            surfaces.remove(self.surface);
        }
    }
}

/// The permissions of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// GET.
    Read,
    /// POST and DELETE.
    Write,
}

impl Scope {
    /// Returns the word for the scope, as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Reads what [`Self::as_str`] writes; `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "read" => Some(Self::Read),
            "write" => Some(Self::Write),
            _ => None,
        }
    }
}

/// Who a request comes from, and what they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The settings of the tenant that the key belongs to.
    pub profile: Profile,
    /// The scopes of the key, not of the tenant.
    pub scopes: BTreeSet<Scope>,
    /// Credits free to reserve.
    pub balance: i64,
    /// Credits used so far, ever.
    pub used: i64,
    /// Chunks of the tenant's live jobs, which decide between the fast and the bulk lane.
    pub open_chunks: i64,
}

impl Caller {
    /// Returns the tenant's id.
    pub fn tenant(&self) -> &TenantId {
        &self.profile.tenant
    }
}

/// The first characters of every API key.
pub const KEY_PREFIX: &str = "mr_";

/// A new API key: `mr_` and 32 random bytes in hex.
pub fn api_key(random: &[u8; 32]) -> String {
    format!("{KEY_PREFIX}{}", hex::encode(random))
}

/// Returns what is stored of a key: SHA-256 in hex. A key has 256 random bits, so a fast hash is
/// enough, and looking one up by its hash leaks nothing of it through timing.
pub fn hash_key(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}
