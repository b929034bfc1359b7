//! The operations, and the version of the API that a job came in on.

use crate::domain::job::JobView;

/// The operations, as `providers.toml` maps them.
pub(super) const ENRICH: &str = "enrich";

pub(super) const REVERSE: &str = "reverse_email";

/// The form of jobs that came in on version 1, as stored.
const FIRST: &str = "v1";

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
        if view.job.spec.form.as_deref() == Some(FIRST) {
            Self::First
        } else {
            Self::Second
        }
    }

    /// Returns the form that is stored with a job.
    pub(super) fn form(self) -> Option<String> {
        (self == Self::First).then(|| FIRST.to_owned())
    }
}

/// Returns whether a job is one of this operation, of either version.
pub(super) fn is(view: &JobView, operation: &str) -> bool {
    view.job.spec.operation.as_deref() == Some(operation)
}
