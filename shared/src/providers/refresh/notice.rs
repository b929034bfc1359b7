//! What operators are told of providers that fail: their log has a line for it, and not one for every record.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::record::FailureCode;
use crate::domain::time::Timestamp;

/// Of one provider and code there is a line at most this often from one process.
const EVERY: Duration = Duration::from_secs(60);
/// The most codes that are told apart; what upstreams say does not make codes, so that there are few.
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
    /// Notes a failure, and logs it unless one was logged just before. `detail` is for people and holds no personal datum.
    pub(crate) fn failed(&self, provider: &str, code: FailureCode, detail: &str, now: Timestamp) {
        let code = code.as_str();
        if let Some(failures) = self.due(code, now) {
            tracing::warn!(provider, code, detail, failures, "a provider failed");
        }
    }

    /// Notes that a record waits because the upstream cannot be asked, with the HTTP status that it answered with where it
    /// did, and logs it unless that was logged just before.
    pub(crate) fn waits(&self, provider: &str, status: Option<u16>, now: Timestamp) {
        if let Some(records) = self.due(&format!("waits: {status:?}"), now) {
            tracing::warn!(provider, status, records, "records wait for a provider");
        }
    }

    /// How many failures with this code there were since the last line, where it is time for another.
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
