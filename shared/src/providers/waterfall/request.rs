//! The request to a waterfall, and the outcome of a run.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::record::Outcome;
use crate::domain::suspended::Suspended;
use crate::providers::guards::answer_cache::Cache;

/// A request to run one record through a waterfall.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The input as sent; providers do not see its blank fields.
    pub input: &'a Map<String, Value>,
    /// The time that this run may take.
    pub limit: Duration,
    /// Overrides the type's own order; names that the type does not have are ignored (see
    /// [`RecordType::validate_order`](crate::catalog::RecordType::validate_order)).
    pub order: Option<&'a [String]>,
    /// Identifies the record, the same at every run.
    pub key: &'a str,
    /// The URL for a later answer of a provider's upstream, by the provider's name. `None` if
    /// upstreams cannot reach us.
    pub callback: Option<&'a (dyn Fn(&str) -> String + Sync)>,
    /// Saved answers, if any are saved.
    pub cache: Option<&'a Cache>,
}

impl std::fmt::Debug for Request<'_> {
    /// Leaves out the input.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("key", &self.key)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum WaterfallOutcome {
    /// The record has ended; never `skipped` or `canceled`.
    Done(Outcome),
    /// A provider answers later.
    Suspended(Box<Suspended>),
}
