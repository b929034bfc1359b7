//! The operations, and the version of the API that a job came in on.

use crate::domain::job::JobView;

/// The operations, as `providers.toml` maps them.
pub(super) const ENRICH: &str = "enrich";

pub(super) const REVERSE: &str = "reverse_email";

/// The ending of the operations of jobs that came in on version 1.
const FIRST: &str = "_v1";

/// A version of the API. Its batches are sent to webhooks in its form; each version reads the
/// batches of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    First,
    Second,
}

impl Version {
    /// Returns the version that a job came in on.
    pub(super) fn of(view: &JobView) -> Self {
        let operation = view.job.spec.operation.as_deref();
        if operation.is_some_and(|operation| operation.ends_with(FIRST)) {
            Self::First
        } else {
            Self::Second
        }
    }

    /// Returns an operation as it is stored with a job.
    pub(super) fn stored(self, operation: &str) -> String {
        match self {
            Self::First => format!("{operation}{FIRST}"),
            Self::Second => operation.to_owned(),
        }
    }
}

/// Returns whether a job is one of this operation, of either version.
pub(super) fn is(view: &JobView, operation: &str) -> bool {
    let stored = view.job.spec.operation.as_deref().unwrap_or_default();
    stored.strip_suffix(FIRST).unwrap_or(stored) == operation
}
