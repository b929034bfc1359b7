//! The question put to a waterfall, and how far a run came.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::record::Outcome;
use crate::domain::suspended::Suspended;
use crate::providers::guards::answer_cache::Cache;

/// One record's turn at a waterfall.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// As it was sent; providers see nothing of it that is blank.
    pub input: &'a Map<String, Value>,
    /// How long this run may take.
    pub limit: Duration,
    /// Overrides the type's own order; names that the type does not have are passed over (see
    /// [`RecordType::validate_order`](crate::catalog::RecordType::validate_order)).
    pub order: Option<&'a [String]>,
    /// Names the record, the same at every run.
    pub key: &'a str,
    /// The URL at which a provider's upstream can leave its answer, by the provider's name. `None` where nobody could
    /// reach us.
    pub callback: Option<&'a (dyn Fn(&str) -> String + Sync)>,
    /// Earlier answers, where any are kept.
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

/// How far a run came.
#[derive(Debug, Clone, PartialEq)]
pub enum WaterfallOutcome {
    /// The record has ended; never `skipped` or `canceled`.
    Done(Outcome),
    /// A provider answers later.
    Suspended(Box<Suspended>),
}
