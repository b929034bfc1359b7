//! The rules that must hold after a soak, judged by what clients and receivers saw. No stack is
//! needed to judge.

mod accounts;
mod course;
mod erased;
mod events;
#[cfg(test)]
mod example;
mod later;
mod outcomes;
mod upstreams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

pub(crate) use self::upstreams::{Asked, Dead, Later, Post, Question, UpstreamLimits};
use crate::later::POOL;

/// The price of a found record, by `tests/e2e/providers.toml`.
pub(crate) const PRICE: u64 = 3;

/// Returns true if the upstream API knows the number: all but every fifth.
pub(crate) fn known(number: u32) -> bool {
    number % 5 != 4
}

/// One job as its client saw it. Times are since the soak began.
#[derive(Debug, Clone, Default)]
pub(crate) struct Job {
    /// The client's name for it: its idempotency key, the tag of its records and the path of its
    /// receiver.
    pub(crate) key: String,
    pub(crate) tenant: usize,
    /// Every id that an answer to its submission gave.
    pub(crate) ids: BTreeSet<String>,
    pub(crate) records: u32,
    /// The type whose provider answers later, or none for `lookup`.
    pub(crate) awaits: Option<&'static str>,
    /// The place where its records start among the numbers that many jobs ask about; `None` if it
    /// has its own numbers.
    pub(crate) pooled: Option<u32>,
    /// True if it asks for an event of each record besides the one of its end.
    pub(crate) tells_of_records: bool,
    pub(crate) canceled: bool,
    pub(crate) deleted: bool,
    /// From before its submission until its client had read its results.
    pub(crate) began: Duration,
    pub(crate) over: Duration,
    /// The job at each poll of its client, up to the first that showed its end.
    pub(crate) shown: Vec<Value>,
    /// First pages of its results, read while it ran.
    pub(crate) early: Vec<Vec<Value>>,
    /// The job when it was first seen to have ended.
    pub(crate) end: Option<Value>,
    /// The result lines, all pages in order.
    pub(crate) lines: Vec<Value>,
    /// The job at the end of the soak.
    pub(crate) later: Option<Value>,
    pub(crate) deliveries: Vec<Value>,
    /// The time at which its client knew that it was erased.
    pub(crate) erased: Option<Duration>,
    /// Requests about it after that, with the status that answered each.
    pub(crate) after: Vec<(String, u16)>,
    /// Breaches of the API's promises while it ran.
    pub(crate) odd: Vec<String>,
}

impl Job {
    /// The number that a record asks about.
    pub(crate) fn number(&self, n: u32) -> u32 {
        self.pooled.map_or(n, |first| (first + n) % POOL)
    }

    /// The input of a record.
    pub(crate) fn about(&self, n: u32) -> String {
        let whose = if self.pooled.is_some() {
            "pool"
        } else {
            &self.key
        };
        format!("{whose}.{}", self.number(n))
    }
}

/// A receiver's answer to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// 2xx, complete.
    Yes,
    /// 2xx with an endless body: the sender may take it for success.
    Perhaps,
    Gone,
    No,
}

/// One delivery as its receiver saw it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// Since the soak began.
    pub(crate) at: Duration,
    /// The key of the job that it was for, by its path.
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    /// True if the signature is right.
    pub(crate) verified: bool,
    pub(crate) taken: Taken,
}

/// An account at the end of the soak.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) granted: u64,
    /// `GET /v1/account`.
    pub(crate) shown: Value,
    /// The ids that `GET /v1/jobs` lists.
    pub(crate) listed: Vec<String>,
}

/// A job's key and the place of a record in it.
pub(crate) type Place = (String, u32);

/// The lifetime of an instance of enrich. Times are since the soak began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    /// The last time that it was seen to run.
    pub(crate) seen: Duration,
    /// The first time that it was seen to be gone.
    pub(crate) gone: Option<Duration>,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) jobs: Vec<Job>,
    pub(crate) received: Vec<Received>,
    pub(crate) accounts: Vec<Account>,
    /// Records that the upstream API answered correctly at least once.
    pub(crate) answered: BTreeSet<Place>,
    /// Records that it answered badly, or not at all, at least once.
    pub(crate) spoiled: BTreeSet<Place>,
    /// The instances of enrich, by name. Empty where the system does not show them.
    pub(crate) lives: BTreeMap<String, Life>,
    /// Attempts that a delivery has in one round.
    pub(crate) attempts: u64,
    /// Requests to an address that a redirect led to.
    pub(crate) followed: usize,
    pub(crate) later: Later,
    /// Computed at the first use: see [`Seen::asker`].
    pub(crate) askers: OnceLock<BTreeMap<String, (usize, u32)>>,
}

impl Seen {
    /// Returns true if an instance of enrich may have ended by then: it was not seen to run after
    /// that.
    fn ended(&self, instance: &str, by: Duration) -> bool {
        !self.lives.is_empty() && self.lives.get(instance).is_none_or(|life| life.seen < by)
    }

    /// Counts the instances of enrich that ended in a time.
    fn deaths(&self, from: Duration, to: Duration) -> usize {
        let within = |life: &&Life| life.seen <= to && life.gone.is_some_and(|gone| gone >= from);
        self.lives.values().filter(within).count()
    }

    /// Returns the record that asked a question of an upstream that answers later, by the
    /// question's key.
    fn asker(&self, question: &str) -> Option<(&Job, u32)> {
        let askers = self.askers.get_or_init(|| {
            let jobs = self
                .jobs
                .iter()
                .enumerate()
                .filter(|(_, job)| job.awaits.is_some());
            let records = jobs.flat_map(|(at, job)| (0..job.records).map(move |n| (at, job, n)));
            records
                .filter_map(|(at, job, n)| Some((later::question(job, n)?, (at, n))))
                .collect()
        });
        askers.get(question).map(|(at, n)| (&self.jobs[*at], *n))
    }
}

/// A broken rule, and the job that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) job: String,
    pub(crate) detail: String,
}

/// The findings besides violations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) jobs: usize,
    pub(crate) ended: BTreeMap<String, usize>,
    /// By type, the time that their clients spent on them.
    pub(crate) took: BTreeMap<&'static str, Vec<Duration>>,
    pub(crate) records: u64,
    pub(crate) lines: BTreeMap<String, u64>,
    pub(crate) lost_workers: u64,
    /// Records whose lookup was slower than allowed without any fault.
    pub(crate) slow: u64,
    pub(crate) deliveries: BTreeMap<String, u64>,
    pub(crate) requests: usize,
    /// Requests for events of jobs that were erased by then.
    pub(crate) after_erasure: usize,
    pub(crate) later: upstreams::Counts,
    pub(crate) violations: Vec<Violation>,
}

impl Tally {
    /// Counts the violations of a rule.
    pub(crate) fn of(&self, rule: &str) -> usize {
        self.violations.iter().filter(|v| v.rule == rule).count()
    }

    fn wrong(&mut self, rule: &'static str, job: Option<&Job>, detail: String) {
        let job = job.map_or_else(String::new, |j| {
            format!(
                "{} {}",
                j.key,
                j.ids
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(" ")
            )
        });
        self.violations.push(Violation { rule, job, detail });
    }
}

pub(crate) const LOST: &str = "a record is lost";
pub(crate) const STUCK: &str = "a job is stuck";
pub(crate) const OTHER_ID: &str = "one event has one id";
const ODD: &str = "the API keeps its word";
const ONE_JOB: &str = "one key is one job";
const OUTCOME: &str = "an outcome is what the upstream API said";
const COUNTS: &str = "counts are those of the results";
const CREDITS: &str = "credits are charged once";
const FORWARD: &str = "a job goes forward alone";
const STAYS: &str = "a job that has ended stays as it is";
const GONE: &str = "a job that is erased is gone";
const NOTIFIED: &str = "an end is delivered or exhausted";
const SIGNED: &str = "what is sent is signed and the same each time";
const REDIRECT: &str = "no redirect is followed";
const RATE: &str = "an upstream is asked at its rate";
const AT_ONCE: &str = "an instance keeps to its concurrency";
const LET_ALONE: &str = "an upstream that asks to wait is let alone";
const DEAD: &str = "a dead upstream costs a few requests";
const BOUGHT: &str = "a question is bought once";
const CALLBACK: &str = "a callback that was signed is taken, and no other";

/// Checks everything seen against the rules.
pub(crate) fn check(seen: &Seen) -> Tally {
    let mut tally = Tally {
        requests: seen.received.len(),
        ..Tally::default()
    };
    for job in &seen.jobs {
        judge(seen, job, &mut tally);
    }
    outcomes::not_too_many_slow(&mut tally);
    accounts::judge(seen, &mut tally);
    upstreams::judge(seen, &mut tally);
    events::bodies(seen, &mut tally);
    if seen.followed > 0 {
        tally.wrong(
            REDIRECT,
            None,
            format!("{} requests came to where a redirect led", seen.followed),
        );
    }
    tally
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn judge(seen: &Seen, job: &Job, tally: &mut Tally) {
    tally.jobs += 1;
    tally.records += u64::from(job.records);
    for odd in &job.odd {
        tally.wrong(ODD, Some(job), odd.clone());
    }
    if job.ids.len() != 1 {
        return tally.wrong(ONE_JOB, Some(job), format!("{} ids", job.ids.len()));
    }
    course::judge(seen, job, tally);
    if let Some(end) = &job.end {
        outcomes::judge(seen, job, end, tally);
    }
    let status = match &job.end {
        _ if job.deleted => "deleted",
        Some(end) => text(end, "status"),
        None => return tally.wrong(STUCK, Some(job), "it has not ended".to_owned()),
    };
    *tally.ended.entry(status.to_owned()).or_default() += 1;
    tally
        .took
        .entry(job.awaits.unwrap_or("lookup"))
        .or_default()
        .push(job.over.saturating_sub(job.began));
    if job.deleted {
        erased::judge(seen, job, tally);
        events::came(seen, job, None, tally);
    } else {
        events::judge(seen, job, status, tally);
    }
}

#[cfg(test)]
mod tests {
    use super::example::{caught, good};
    use super::*;

    #[test]
    fn a_run_without_fault_has_no_violation() {
        assert_eq!(check(&good()).violations, []);
    }

    #[test]
    fn a_second_job_of_one_key_is_noticed() {
        caught(ONE_JOB, |seen| {
            seen.jobs[0].ids.extend(["job_2".to_owned()]);
        });
    }

    #[test]
    fn a_job_that_hangs_or_an_api_that_breaks_its_word_is_noticed() {
        caught(STUCK, |seen| seen.jobs[0].end = None);
        caught(ODD, |seen| {
            seen.jobs[0]
                .odd
                .push("404 for a job that was accepted".to_owned());
        });
        caught(REDIRECT, |seen| seen.followed = 1);
    }
}
