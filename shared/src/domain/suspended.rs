//! A record between two runs: what is kept of it while its provider answers later.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::json;
use super::record::{OutcomeError, Source};
use super::time::Timestamp;

/// A record between two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspended {
    /// The providers still to be asked, first the one that is waited for. Never empty.
    pub(crate) left: Vec<String>,
    pub(crate) merged: Merged,
    #[serde(rename = "ticket")]
    #[serde(
        default,
        deserialize_with = "json::sent",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) upstream_token: Option<Value>,
    pub(crate) resume_at: Timestamp,
    pub(crate) give_up_at: Timestamp,
    /// The number of its upstream's posts that the provider has seen: it is shown each of them
    /// once.
    #[serde(default, rename = "heard_posts", skip_serializing_if = "is_none_yet")]
    pub(crate) callbacks_seen: usize,
    /// That the upstream cannot be asked, where that is what is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outage: Option<Outage>,
    /// When the record was first suspended at this provider, for whatever reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none_yet(callbacks_seen: &usize) -> bool {
    *callbacks_seen == 0
}

impl Suspended {
    /// When to go on, unless the upstream calls back before.
    pub fn resume_at(&self) -> Timestamp {
        self.resume_at
    }

    /// Returns whether the provider has taken the question, and is not yet to be asked it.
    pub fn is_taken(&self) -> bool {
        self.upstream_token.is_some()
    }

    /// Returns how many of its upstream's posts the provider has seen.
    pub fn callbacks_seen(&self) -> usize {
        self.callbacks_seen
    }

    /// Returns whether `later` is the same but for the time of the next poll and the upstream's
    /// latest response.
    pub fn waits_as(&self, later: &Self) -> bool {
        Self {
            resume_at: later.resume_at,
            outage: later.outage,
            ..self.clone()
        } == *later
    }

    /// The provider that is waited for.
    pub fn provider(&self) -> &str {
        self.left.first().map_or("", String::as_str)
    }
}

/// The answers of the providers so far, merged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Merged {
    #[serde(default, deserialize_with = "json::sent")]
    pub(crate) data: Map<String, Value>,
    #[serde(default)]
    pub(crate) sources: Vec<(String, Source)>,
    /// The prices of the providers that found something.
    #[serde(default)]
    pub(crate) prices: Vec<(String, u32)>,
    #[serde(default)]
    pub(crate) said_no: bool,
    #[serde(default)]
    pub(crate) failure: Option<OutcomeError>,
    #[serde(default)]
    pub(crate) invalid: Option<String>,
    /// Why the first provider that the input does not suit cannot take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unsuited: Option<String>,
}

/// An upstream that cannot be asked: it has too many requests, is unavailable, or its circuit is
/// open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// The HTTP status that it answered with; `None` where it did not answer, or others met it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}
