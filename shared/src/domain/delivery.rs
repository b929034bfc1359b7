//! Deliveries: one event to one receiver, attempt by attempt, until it is delivered or exhausted.

mod state;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::state::{DeliveryEvent, DeliveryState, next_state};
use super::backoff::{NATIVE_DELAYS, jittered};
use super::ids::{DeliveryId, JobId, TenantId};
use super::lease::Lease;
use super::time::Timestamp;

/// The time from the end of an attempt's exchange to that of its lease, so that the outcome can be
/// recorded under it.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// The time added to a lease because writing it takes time, so that a receiver has its whole
/// time-out.
pub const LEASE_WRITE: Duration = Duration::from_secs(2);
/// The time from the end of a lease, or a missed attempt, to the sweep's check of it.
pub const GRACE: Duration = Duration::from_secs(60);
/// Waits up to this are left to the queue, longer ones to the sweep, which sends the message this
/// long before the end.
pub const QUEUE_HORIZON: Duration = Duration::from_secs(14 * 60);
/// The longest wait a receiver can ask for with `Retry-After`.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(3600);
/// Attempts kept in the log; older ones go first.
pub const LOG_LENGTH: usize = 40;
/// The most retries of a test event.
pub const TEST_RETRIES: usize = 2;
/// Bytes kept of a receiver's answer.
pub const RESPONSE_LOG_BYTES: usize = 1024;
/// A receiver that takes longer than this is slow: its deliveries leave the fast lane.
pub const SLOW_AFTER: Duration = Duration::from_secs(5);
/// The time that facts about a receiver are kept after the last exchange.
pub const ENDPOINT_MEMORY: Duration = Duration::from_secs(7 * 24 * 3600);
/// The number of a job's record events that go through the fast lane: more at once could fill it
/// for as long as a receiver hangs.
pub const FAST_EVENTS: u32 = 10;

/// The rules by which a surface delivers.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a rule of its own, and any may go with any"
)]
pub struct DeliveryRules {
    /// The wait after each failed attempt, counted from its end; after the last the delivery is
    /// exhausted.
    pub delays: Vec<Duration>,
    /// Each wait moves by up to this share of itself.
    pub jitter: f64,
    /// The whole exchange, from name resolution to the last byte of the answer.
    pub timeout: Duration,
    /// 429 and 503 may ask for a longer wait with `Retry-After`, up to [`RETRY_AFTER_CAP`].
    pub honour_retry_after: bool,
    /// 410 ends the delivery and disables the endpoint.
    pub gone_disables: bool,
    /// A tenant's own delays replace these.
    pub tenant_delays: bool,
    /// `http:` receivers are taken whatever the operator says of the others.
    pub plain_http: bool,
    /// The receiver keeps the last event it got on a URL: that of an older job is not sent after
    /// that of a newer one was answered well.
    pub latest_wins: bool,
}

impl DeliveryRules {
    /// The native rules.
    pub fn native() -> Self {
        Self {
            delays: NATIVE_DELAYS.to_vec(),
            jitter: 0.2,
            timeout: Duration::from_secs(20),
            honour_retry_after: true,
            gone_disables: true,
            tenant_delays: true,
            plain_http: false,
            latest_wins: false,
        }
    }

    /// Makes the rules of a surface with a schedule of its own: every answer but 2xx is retried
    /// exactly that long after the failed attempt has ended.
    pub fn exact(delays: &[Duration], timeout: Duration) -> Self {
        Self {
            delays: delays.to_vec(),
            jitter: 0.0,
            timeout,
            honour_retry_after: false,
            gone_disables: false,
            tenant_delays: false,
            plain_http: true,
            latest_wins: false,
        }
    }

    /// These rules with a tenant's own delays, exact, where they may be replaced.
    #[must_use]
    pub fn with_delays(self, delays: Option<Vec<Duration>>) -> Self {
        match delays.filter(|_| self.tenant_delays) {
            Some(delays) => Self {
                delays,
                jitter: 0.0,
                ..self
            },
            None => self,
        }
    }
}

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// The time at which the attempt began.
    pub at: Timestamp,
    /// Milliseconds; absent when the attempt was interrupted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The receiver's status code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// `blocked`, `dns`, `connect`, `tls`, `timeout`, `protocol`, `url`, `interrupted`, or `status`
    /// for an answer that is not a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The error in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The beginning of the receiver's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
}

/// The kinds of events that deliveries bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// A job ended with outcomes for all of its records. Surfaces may show it as another word.
    #[serde(rename = "job.completed")]
    JobCompleted,
    /// A job ended after its tenant canceled it.
    #[serde(rename = "job.canceled")]
    JobCanceled,
    /// A job could not run at all, or expired before its end.
    #[serde(rename = "job.failed")]
    JobFailed,
    /// One record ended, in a job with a webhook for records.
    #[serde(rename = "record.finished")]
    RecordFinished,
    /// A test that a tenant asked for; it belongs to no real job.
    #[serde(rename = "webhook.test")]
    WebhookTest,
}

impl EventType {
    /// Returns the name in bodies, headers, logs and the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobCompleted => "job.completed",
            Self::JobCanceled => "job.canceled",
            Self::JobFailed => "job.failed",
            Self::RecordFinished => "record.finished",
            Self::WebhookTest => "webhook.test",
        }
    }
}

/// One event on its way to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The job and the position in it; stands in keys of the table and in `webhook-id`.
    pub id: DeliveryId,
    /// The tenant whose secrets sign it.
    pub tenant: TenantId,
    /// The surface, by name, that renders the body and plans the attempts.
    pub surface: String,
    /// The event that it brings.
    pub event: EventType,
    /// When the event happened; stands in the body, so it never changes.
    pub event_at: Timestamp,
    /// The receiver, as the tenant gave it at submit.
    pub url: String,
    /// The present state; see [`next_state`].
    pub state: DeliveryState,
    /// Why it is exhausted.
    pub reason: Option<String>,
    /// Attempts begun so far.
    pub attempts: u32,
    /// Attempts begun before the current round; a replay starts a new one.
    pub round_start: u32,
    /// Asked for by a caller: goes to a disabled endpoint too, and enables it again if that answers
    /// well.
    pub explicit: bool,
    /// Of the next attempt, while pending.
    pub next_attempt_at: Timestamp,
    /// The right to make one attempt.
    pub lease: Option<Lease>,
    /// The outcomes of the latest attempts, oldest first.
    pub log: Vec<Attempt>,
    /// The end of its retention: from then on it counts as absent.
    pub expires_at: Timestamp,
}

/// The message that asks for one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryTask {
    /// Version of this format.
    pub v: u8,
    /// The job that the event is about.
    pub job: JobId,
    /// The delivery's position in the job, as in [`DeliveryId`].
    pub delivery: u32,
    /// The attempt it asks for, from 1; dropped when the delivery is elsewhere.
    pub attempt: u32,
    /// When that attempt was planned for; dropped when it is planned for another time by now. An
    /// attempt may be put off many times, and of several messages for it one goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl DeliveryTask {
    /// Asks for an attempt whenever it is planned for.
    pub fn new(id: &DeliveryId, attempt: u32) -> Self {
        Self {
            v: 1,
            job: id.job.clone(),
            delivery: id.n,
            attempt,
            at: None,
        }
    }

    /// Asks for the next attempt as it is planned now.
    pub fn next(delivery: &Delivery) -> Self {
        Self {
            at: Some(delivery.next_attempt_at),
            ..Self::new(&delivery.id, delivery.attempts + 1)
        }
    }
}

/// The next step after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The receiver accepted it; nothing follows.
    Delivered,
    /// Another attempt at this time.
    Retry(Timestamp),
    /// No other attempt follows.
    Exhausted {
        /// The reason as stored and shown, in snake case.
        reason: &'static str,
        /// The receiver said that it is gone for good.
        disable_endpoint: bool,
    },
}

impl Delivery {
    /// Makes a pending delivery whose first attempt is due at `at`, the time of the event.
    pub fn new(
        id: DeliveryId,
        tenant: TenantId,
        surface: &str,
        event: EventType,
        at: Timestamp,
        url: &str,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant,
            surface: surface.to_owned(),
            event,
            event_at: at,
            url: url.to_owned(),
            state: DeliveryState::FIRST,
            reason: None,
            attempts: 0,
            round_start: 0,
            explicit: event == EventType::WebhookTest,
            next_attempt_at: at,
            lease: None,
            log: Vec::new(),
            expires_at,
        }
    }

    /// Returns when the sweep has to check it, if nothing happens before: after the planned attempt
    /// was missed, or early enough to leave a late one to the queue.
    pub fn due(&self, now: Timestamp) -> Timestamp {
        if self.next_attempt_at.since(now) > QUEUE_HORIZON {
            self.next_attempt_at.minus(QUEUE_HORIZON)
        } else {
            self.next_attempt_at.plus(GRACE)
        }
    }

    /// Returns what follows attempt `attempt`, which ended at `now`. `retry_after` is what the
    /// receiver asked for.
    pub fn after(
        &self,
        attempt: &Attempt,
        retry_after: Option<Duration>,
        rules: &DeliveryRules,
        now: Timestamp,
        unit: f64,
    ) -> Next {
        if attempt.error.is_none() {
            return Next::Delivered;
        }
        if attempt.status == Some(410) && rules.gone_disables {
            return Next::Exhausted {
                reason: "endpoint_gone",
                disable_endpoint: true,
            };
        }
        let in_round = usize::try_from(attempt.number.saturating_sub(self.round_start).max(1))
            .unwrap_or(usize::MAX);
        let delays = if self.event == EventType::WebhookTest {
            // A person waits for the result of a test.
            &rules.delays[..rules.delays.len().min(TEST_RETRIES)]
        } else {
            &rules.delays
        };
        let Some(delay) = delays.get(in_round - 1) else {
            return Next::Exhausted {
                reason: "attempts_used_up",
                disable_endpoint: false,
            };
        };
        let planned = jittered(*delay, rules.jitter, unit);
        let asked = retry_after
            .filter(|_| rules.honour_retry_after && matches!(attempt.status, Some(429 | 503)));
        let at = now.plus(planned.max(asked.unwrap_or_default().min(RETRY_AFTER_CAP)));
        if at >= self.expires_at {
            return Next::Exhausted {
                reason: "expired",
                disable_endpoint: false,
            };
        }
        Next::Retry(at)
    }

    /// Returns whether the current round has had its last attempt.
    pub fn round_is_used_up(&self, rules: &DeliveryRules) -> bool {
        let begun = self.attempts.saturating_sub(self.round_start);
        usize::try_from(begun).unwrap_or(usize::MAX) > rules.delays.len()
    }

    /// Adds to the log, which forgets its oldest entries.
    pub fn record(&mut self, attempt: Attempt) {
        self.log.push(attempt);
        let surplus = self.log.len().saturating_sub(LOG_LENGTH);
        self.log.drain(..surplus);
    }

    /// Moves to the state that follows on `event`; where none does, it stays.
    pub fn advance(&mut self, event: DeliveryEvent) {
        let next = next_state(self.state, event);
        debug_assert!(
            next.is_some(),
            "{event:?} of a delivery that is {:?}",
            self.state
        );
        self.state = next.unwrap_or(self.state);
    }

    /// Begins a new round of attempts under the same event id.
    pub fn replay(&mut self, now: Timestamp) {
        self.advance(DeliveryEvent::Replay);
        self.reason = None;
        self.round_start = self.attempts;
        self.explicit = true;
        self.next_attempt_at = now;
    }
}

/// The longest wait that [`retry_after`] returns.
const LONGEST_WAIT: Duration = Duration::from_secs(u32::MAX as u64);

/// Reads `Retry-After`: whole seconds, or an HTTP date in any of its three forms. A date that has
/// passed asks for no wait; waits longer than `u32` has seconds are as long. Sources: RFC 9110,
/// section 10.2.3; RFC 9111, section 1.2.2.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(value.parse().map_or(LONGEST_WAIT, |seconds: u32| {
            Duration::from_secs(seconds.into())
        }));
    }
    http_date(value, now).map(|at| at.since(now).min(LONGEST_WAIT))
}

/// Reads an HTTP date. Source: RFC 9110, section 5.6.7. Whether the day of the week is the date's
/// own is not checked.
///
/// Not by the crate `httpdate`: it takes two-digit years from 70 for those of the last century,
/// whatever the time is.
fn http_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    const DAYS: [&str; 7] = [
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
    ];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month_number = |name: &str| Some(MONTHS.iter().position(|month| *month == name)? + 1);
    let short_day = |name: &str| DAYS.iter().any(|day| day[..3] == *name);
    let digits =
        |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    // A leap second, which no calendar here has, is the second before it.
    let at = |year: &str, month: &str, day: &str, clock: &str| {
        let clock = clock
            .strip_suffix(":60")
            .map_or_else(|| clock.to_owned(), |minute| format!("{minute}:59"));
        let whole = digits(year, 4) && digits(day, 2) && clock.len() == "08:49:37".len();
        Timestamp::parse(&format!(
            "{year}-{:02}-{day}T{clock}Z",
            month_number(month)?
        ))
        .filter(|_| whole)
    };
    let parts: Vec<&str> = text.split(' ').collect();
    match parts[..] {
        // IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`.
        [name, day, month, year, clock, "GMT"] => {
            at(year, month, day, clock).filter(|_| name.strip_suffix(',').is_some_and(short_day))
        }
        // RFC 850: `Sunday, 06-Nov-94 08:49:37 GMT`. The year is the latest such one that is at
        // most 50 years ahead.
        [name, date, clock, "GMT"] => {
            let name = name.strip_suffix(',').filter(|name| DAYS.contains(name));
            let [day, month, year] = date.split('-').collect::<Vec<_>>()[..] else {
                return None;
            };
            name.filter(|_| digits(year, 2))?;
            let (year, today): (u32, _) = (year.parse().ok()?, now.rfc3339());
            let century = today.get(..2)?.parse::<u32>().ok()?;
            let latest = |year: &u32| {
                let earlier = format!(
                    "{:04}-{:02}-{day}T{clock}",
                    year.checked_sub(50)?,
                    month_number(month)?
                );
                (earlier <= today).then_some(*year)
            };
            let years =
                [century + 1, century, century.checked_sub(1)?].map(|century| century * 100 + year);
            at(
                &years.iter().find_map(latest)?.to_string(),
                month,
                day,
                clock,
            )
        }
        // asctime: `Sun Nov  6 08:49:37 1994`, a day of one digit padded by a space.
        [name, month, "", day, clock, year] => {
            at(year, month, &format!("0{day}"), clock).filter(|_| short_day(name) && digits(day, 1))
        }
        [name, month, day, clock, year] => at(year, month, day, clock).filter(|_| short_day(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
