//! The state machine of jobs: one function says which status follows which.

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted; no chunk has been begun.
    Queued,
    /// At least one chunk has been begun.
    Running,
    /// Canceled by its tenant: records that have not begun end `canceled`.
    Canceling,
    /// Past its run limit; what has not begun ends `failed: job_expired`. Shown as running.
    Expiring,
    /// Every record has an outcome, whichever.
    Completed,
    /// Ended after its tenant canceled it; what was found until then counts.
    Canceled,
    /// Could not run at all; `error` says why.
    Failed,
    /// Ended past its run limit or its retention; what was found until then counts.
    Expired,
    /// Erased; only the tombstone is left.
    Deleted,
}

/// The events of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEvent {
    /// A worker begins its first chunk.
    Begin,
    /// Its tenant cancels it.
    Cancel,
    /// Its run limit has passed.
    PassRunLimit,
    /// Its last chunk has a result.
    Finish,
    /// Its last chunk has a result, and it could not run at all.
    FinishUnrun,
    /// Its retention has passed before it ended.
    OutliveRetention,
    /// Its tenant erases it.
    Delete,
}

/// Returns the status that a job takes on an event, or `None` where the event changes nothing.
///
/// Use cases decide by it what to write, and the simulation checks every write against it.
pub fn next_status(status: Status, event: JobEvent) -> Option<Status> {
    use Status::{
        Canceled, Canceling, Completed, Deleted, Expired, Expiring, Failed, Queued, Running,
    };
    match (event, status) {
        (JobEvent::Begin, Queued) => Some(Running),
        (JobEvent::Cancel, Queued | Running) => Some(Canceling),
        (JobEvent::PassRunLimit, Queued | Running) => Some(Expiring),
        (JobEvent::Finish, Queued | Running) => Some(Completed),
        (JobEvent::FinishUnrun, Queued | Running) => Some(Failed),
        (JobEvent::Finish | JobEvent::FinishUnrun, Canceling) => Some(Canceled),
        (JobEvent::Finish | JobEvent::FinishUnrun, Expiring) => Some(Expired),
        (JobEvent::OutliveRetention, live) if live.is_live() => Some(Expired),
        (JobEvent::Delete, kept) if kept != Deleted => Some(Deleted),
        _ => None,
    }
}

impl Status {
    /// Every status, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Running,
        Self::Canceling,
        Self::Expiring,
        Self::Completed,
        Self::Canceled,
        Self::Failed,
        Self::Expired,
        Self::Deleted,
    ];

    /// The status of a job that has just been submitted.
    pub const FIRST: Self = Self::Queued;

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Expiring => "expiring",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
        }
    }

    /// Reads what [`Self::as_str`] writes; `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }

    /// Returns `true` until the job ends.
    pub fn is_live(self) -> bool {
        matches!(
            self,
            Self::Queued | Self::Running | Self::Canceling | Self::Expiring
        )
    }
}

impl JobEvent {
    /// Every event, for tables and tests.
    pub const ALL: [Self; 7] = [
        Self::Begin,
        Self::Cancel,
        Self::PassRunLimit,
        Self::Finish,
        Self::FinishUnrun,
        Self::OutliveRetention,
        Self::Delete,
    ];

    /// The event of a job whose last chunk has a result; `unrun`: it could not run at all.
    pub fn finish(unrun: bool) -> Self {
        if unrun {
            Self::FinishUnrun
        } else {
            Self::Finish
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_is_stored() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("gone"), None);
    }

    #[test]
    fn a_live_job_can_always_end_and_an_ended_one_can_only_be_erased() {
        for status in Status::ALL {
            for event in [
                JobEvent::Finish,
                JobEvent::FinishUnrun,
                JobEvent::OutliveRetention,
            ] {
                let end = next_status(status, event);
                assert_eq!(end.is_some(), status.is_live(), "{event:?} of {status:?}");
                assert!(end.is_none_or(|end| !end.is_live()));
            }
            for event in JobEvent::ALL.into_iter().filter(|_| !status.is_live()) {
                let erased = event == JobEvent::Delete && status != Status::Deleted;
                let expected = erased.then_some(Status::Deleted);
                assert_eq!(
                    next_status(status, event),
                    expected,
                    "{event:?} of {status:?}"
                );
            }
        }
    }

    #[test]
    fn a_job_that_was_stopped_never_runs_again() {
        for stopped in [Status::Canceling, Status::Expiring] {
            for event in JobEvent::ALL {
                let next = next_status(stopped, event);
                assert!(
                    next.is_none_or(|next| !next.is_live()),
                    "{event:?} of {stopped:?}"
                );
            }
        }
    }
}
