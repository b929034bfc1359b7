//! Log lines for operators about providers that fail: one for many records.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::record::FailureCode;
use crate::domain::time::Timestamp;

/// The least time between two lines of one process about the same provider and code.
const EVERY: Duration = Duration::from_secs(60);
/// The most codes that are counted apart. Upstreams cannot add codes, so there are few.
const MAX_CODES: usize = 32;

/// The failures of one provider, in the waterfall of one type.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<BTreeMap<String, Tally>>);

#[derive(Debug)]
struct Tally {
    at: Timestamp,
    since: u64,
}

impl Notices {
    /// Notes a failure, and logs it unless one was logged just before. `detail` is for people and
    /// has no personal datum.
    pub(crate) fn failed(&self, provider: &str, code: FailureCode, detail: &str, now: Timestamp) {
        let code = code.as_str();
        if let Some(failures) = self.due(code, now) {
            tracing::warn!(provider, code, detail, failures, "a provider failed");
        }
    }

    /// Notes that a record waits because the upstream cannot be asked, with its HTTP status if it
    /// answered; logs it unless that was logged just before.
    pub(crate) fn waits(&self, provider: &str, status: Option<u16>, now: Timestamp) {
        if let Some(records) = self.due(&format!("waits: {status:?}"), now) {
            tracing::warn!(provider, status, records, "records wait for a provider");
        }
    }

    /// Returns the number of failures with this code since the last line, if another line is due.
    fn due(&self, code: &str, now: Timestamp) -> Option<u64> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tallies) = tallies.get_mut(code) {
            tallies.since += 1;
            if now < tallies.at.plus(EVERY) {
                return None;
            }
            tallies.at = now;
            return Some(std::mem::take(&mut tallies.since));
        }
        if tallies.len() >= MAX_CODES {
            return None;
        }
        tallies.insert(code.to_owned(), Tally { at: now, since: 0 });
        Some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_provider_has_a_line_a_minute_and_every_failure_is_counted() {
        let (notices, begin) = (Notices::default(), Timestamp(1_767_225_600_000));
        let at = |seconds: u64| begin.plus(Duration::from_secs(seconds));
        assert_eq!(notices.due("provider_error", at(0)), Some(1));
        assert_eq!(
            notices.due("provider_timeout", at(0)),
            Some(1),
            "another code is another line"
        );
        for second in 1..60 {
            assert_eq!(notices.due("provider_error", at(second)), None);
        }
        assert_eq!(notices.due("provider_error", at(60)), Some(60));
        assert_eq!(notices.due("provider_error", at(61)), None);
        assert_eq!(notices.due("provider_error", at(200)), Some(2));
    }
}
