//! The wait of a record for a provider that answers later.

use std::time::Duration;

use crate::domain::record::FailureCode;
use crate::domain::suspended::Outage;
use crate::domain::time::Timestamp;
use crate::providers::{Answer, Earlier, Later};

/// The least time before a provider is asked again: a suspended record costs a read and a message
/// each time.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// The wait for a provider before this run; by default, none.
#[derive(Debug, Default)]
pub(super) struct EarlierWait {
    /// The question, if it was taken.
    pub(super) earlier: Option<Earlier>,
    /// `None` if the provider was not waited for.
    pub(super) give_up_at: Option<Timestamp>,
    /// The number of its upstream's callbacks that the provider has seen.
    pub(super) callbacks_seen: usize,
    pub(super) has_unseen_callback: bool,
    pub(super) outage: Option<Outage>,
    pub(super) since: Option<Timestamp>,
}

/// The wait for a provider from now on.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) give_up_at: Timestamp,
    /// The time of the last poll, `give_up_at` or later.
    pub(super) last_poll_at: Timestamp,
    pub(super) callbacks_seen: usize,
    pub(super) outage: Option<Outage>,
    pub(super) since: Timestamp,
}

impl EarlierWait {
    /// Returns the wait for the provider after it said that it answers later.
    pub(super) fn goes_on(&self, later: &Later, now: Timestamp) -> Wait {
        // The wait for an answer begins when the question is put, not when it began to wait for
        // that.
        let put_now = self.earlier.is_none() && later.upstream_token.is_some();
        let (outage, since) = if put_now {
            (None, None)
        } else {
            (self.outage, self.since)
        };
        let since = since.unwrap_or(now);
        let anew = now.plus(later.give_up_in);
        let give_up_at = match self.give_up_at {
            None => anew,
            Some(_) if put_now => anew,
            Some(until) if later.upstream_token.is_some() => until,
            // A wait for our own rate, which can be long, has become one for the upstream, or the
            // reverse.
            Some(until) => match (outage, later.outage) {
                (None, Some(_)) => until.min(anew),
                (Some(_), None) => until.max(since.plus(later.give_up_in)),
                _ => until,
            },
        };
        // A poll that our limits put off is made before the question is given up.
        let put_off = later.refused && later.upstream_token.is_some();
        Wait {
            give_up_at,
            last_poll_at: if put_off {
                give_up_at.plus(later.give_up_in)
            } else {
                give_up_at
            },
            // A callback is shown to the provider until it has seen it.
            callbacks_seen: self.callbacks_seen
                + usize::from(self.has_unseen_callback && !later.refused),
            outage: later.outage.map(|new| Outage {
                status: new
                    .status
                    .or_else(|| outage.and_then(|before| before.status)),
            }),
            since,
        }
    }
}

impl Wait {
    /// Returns when to ask again, or `None` if the provider has been waited for long enough.
    pub(super) fn poll_at(&self, poll_after: Duration, now: Timestamp) -> Option<Timestamp> {
        let poll_at = now.plus(poll_after.max(MIN_WAIT)).min(self.last_poll_at);
        (now < self.last_poll_at).then_some(poll_at)
    }

    /// Returns the answer of a provider that did not answer until the wait was over.
    pub(super) fn in_vain(&self, was_put: bool) -> Answer {
        if was_put {
            let detail = "took the question and gave no answer in time";
            Answer::failed(FailureCode::ProviderTimeout, detail)
        } else {
            waited_in_vain(self.outage)
        }
    }
}

/// Returns the answer of a question that could not be put until the wait was over.
fn waited_in_vain(outage: Option<Outage>) -> Answer {
    let Some(Outage { status }) = outage else {
        let detail = "could not be asked in time: its turn never came (`rate`, `concurrency`), or \
                      its secret or table could not be read";
        return Answer::failed(FailureCode::ProviderUnavailable, detail);
    };
    let code = if status == Some(429) {
        FailureCode::RateLimited
    } else {
        FailureCode::ProviderUnavailable
    };
    let did = status.map_or_else(
        || "could not be reached".to_owned(),
        |status| format!("answered HTTP {status}"),
    );
    Answer::failed(
        code,
        format!("{did} until the record had waited long enough (`wait_s`)"),
    )
}
