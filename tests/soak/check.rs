//! What must hold when a soak is over, judged by what clients and receivers saw. No stack is needed to judge.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

/// What a found record costs, as `tests/e2e/providers.toml` says.
pub(crate) const PRICE: u64 = 3;

/// What the upstream API knows: every fifth number is unknown to it.
pub(crate) fn known(number: u32) -> bool {
    number % 5 != 4
}

/// One job as its client saw it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Job {
    /// The client's name for it: its idempotency key, the tag of its records and the path of its receiver.
    pub(crate) key: String,
    pub(crate) tenant: usize,
    /// Every id that an answer to its submission gave.
    pub(crate) ids: BTreeSet<String>,
    pub(crate) records: u32,
    /// Whether it asks for an event of each record besides the one of its end.
    pub(crate) tells_of_records: bool,
    pub(crate) canceled: bool,
    pub(crate) deleted: bool,
    /// From before it was submitted until its client had read its results, on the clock of [`Seen::enrich_kills`].
    pub(crate) began: Duration,
    pub(crate) over: Duration,
    /// As it was when it was first seen to have ended.
    pub(crate) end: Option<Value>,
    /// The result lines, all pages in order.
    pub(crate) lines: Vec<Value>,
    /// As it was when all was over.
    pub(crate) later: Option<Value>,
    pub(crate) deliveries: Vec<Value>,
    /// What went against what the API says while it ran.
    pub(crate) odd: Vec<String>,
}

/// How a receiver answered a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// 2xx, to its end.
    Yes,
    /// 2xx with a body that had no end: the sender may take it for success.
    Perhaps,
    Gone,
    No,
}

/// One delivery as its receiver saw it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The key of the job that it was for, by its path.
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    /// Whether the signature is right.
    pub(crate) verified: bool,
    pub(crate) taken: Taken,
}

/// An account when all was over.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) granted: u64,
    /// `GET /v1/account`.
    pub(crate) shown: Value,
    /// The ids that `GET /v1/jobs` lists.
    pub(crate) listed: Vec<String>,
}

/// Everything that was seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) jobs: Vec<Job>,
    pub(crate) received: Vec<Received>,
    pub(crate) accounts: Vec<Account>,
    /// Records that the upstream API answered badly, or not at all, at least once.
    pub(crate) spoiled: BTreeSet<(String, u32)>,
    /// When enrich was killed, since the soak began.
    pub(crate) enrich_kills: Vec<Duration>,
    /// When calls met an outage or a long delay: from and until.
    pub(crate) slowed: Vec<(Duration, Duration)>,
    /// Attempts that a delivery has in one round.
    pub(crate) attempts: u64,
    /// Requests that came to an address that a redirect led to.
    pub(crate) followed: usize,
}

/// What is wrong, and with which job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) job: String,
    pub(crate) detail: String,
}

/// What was found out, besides violations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) jobs: usize,
    pub(crate) ended: BTreeMap<String, usize>,
    pub(crate) records: u64,
    pub(crate) lines: BTreeMap<String, u64>,
    pub(crate) lost_workers: u64,
    pub(crate) late: u64,
    /// Records whose lookup took longer than its provider's time-out although no fault was made of it.
    pub(crate) slow: u64,
    pub(crate) deliveries: BTreeMap<String, u64>,
    pub(crate) requests: usize,
    pub(crate) violations: Vec<Violation>,
}

impl Tally {
    /// How many violations there are of a rule.
    pub(crate) fn of(&self, rule: &str) -> usize {
        self.violations.iter().filter(|v| v.rule == rule).count()
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
const STAYS: &str = "a job that has ended stays as it is";
const TOLD: &str = "an end is delivered or exhausted";
const SIGNED: &str = "what is sent is signed and the same each time";
const REDIRECT: &str = "no redirect is followed";

/// So many lookups at least may time out on a busy machine: all that one process has under way, by `concurrency` in
/// `tests/e2e/providers.toml`. In a long soak it is one record in a hundred.
const SLOW: u64 = 16;

struct Checker<'a> {
    seen: &'a Seen,
    tally: Tally,
}

/// Holds what was seen against the rules.
pub(crate) fn check(seen: &Seen) -> Tally {
    let mut checker = Checker { seen, tally: Tally::default() };
    for job in &seen.jobs {
        checker.job(job);
    }
    checker.accounts();
    checker.bodies();
    if seen.followed > 0 {
        checker.wrong(REDIRECT, None, format!("{} requests came to where a redirect led", seen.followed));
    }
    let (slow, most) = (checker.tally.slow, SLOW.max(checker.tally.records / 100));
    if slow > most {
        let detail = format!("{slow} lookups timed out without a fault; a busy machine explains {most}");
        checker.wrong(OUTCOME, None, detail);
    }
    checker.tally.requests = seen.received.len();
    checker.tally
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

impl Checker<'_> {
    fn wrong(&mut self, rule: &'static str, job: Option<&Job>, detail: String) {
        let job = job.map_or_else(String::new, |j| {
            format!("{} {}", j.key, j.ids.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
        });
        self.tally.violations.push(Violation { rule, job, detail });
    }

    fn job(&mut self, job: &Job) {
        self.tally.jobs += 1;
        self.tally.records += u64::from(job.records);
        for odd in &job.odd {
            self.wrong(ODD, Some(job), odd.clone());
        }
        if job.ids.len() != 1 {
            return self.wrong(ONE_JOB, Some(job), format!("{} ids", job.ids.len()));
        }
        if job.deleted {
            *self.tally.ended.entry("deleted".to_owned()).or_default() += 1;
            return self.received(job, None);
        }
        let Some(end) = &job.end else { return self.wrong(STUCK, Some(job), "it has not ended".to_owned()) };
        let status = text(end, "status");
        *self.tally.ended.entry(status.to_owned()).or_default() += 1;
        if status != "completed" && !(status == "canceled" && job.canceled) {
            self.wrong(OUTCOME, Some(job), format!("it ended {status}: {end}"));
        }
        match &job.later {
            Some(later) => {
                for field in ["status", "counts", "credits", "completed_at", "error"] {
                    if end[field] != later[field] {
                        self.wrong(STAYS, Some(job), format!("{field} was {} and is {}", end[field], later[field]));
                    }
                }
            }
            None => self.wrong(STAYS, Some(job), "it is not there any more".to_owned()),
        }
        self.lines(job, end);
        self.told(job, status);
    }

    fn lines(&mut self, job: &Job, end: &Value) {
        if job.lines.len() as u64 != u64::from(job.records) {
            self.wrong(LOST, Some(job), format!("{} lines of {} records", job.lines.len(), job.records));
        }
        let in_time = |at: &&Duration| (job.began..=job.over).contains(*at);
        let kills = self.seen.enrich_kills.iter().filter(in_time).count() as u64;
        let slowed = self.seen.slowed.iter().any(|(from, until)| *from <= job.over && job.began <= *until);
        let lost_before = self.tally.lost_workers;
        let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
        for (n, line) in (0..job.records).zip(&job.lines) {
            let expected =
                (json!(n), json!(format!("n{n}")), json!({"n": n}), json!({"key": format!("{}.{n}", job.key)}));
            if (&line["index"], &line["id"], &line["metadata"], &line["input"])
                != (&expected.0, &expected.1, &expected.2, &expected.3)
            {
                self.wrong(LOST, Some(job), format!("line {n} is {line}"));
            }
            let status = text(line, "status");
            *counted.entry(status).or_default() += 1;
            *self.tally.lines.entry(status.to_owned()).or_default() += 1;
            let code = text(&line["error"], "code");
            let right = match status {
                "found" => known(n) && line["data"] == json!({"answer": n}) && line["credits"] == PRICE,
                "not_found" => !known(n) && line["credits"] == 0,
                "canceled" => job.canceled && line["credits"] == 0,
                "failed" => {
                    let spoiled = self.seen.spoiled.contains(&(job.key.clone(), n));
                    let late = code == "deadline_exceeded";
                    let lost = code == "worker_lost";
                    let slow = code == "provider_timeout" && !spoiled;
                    self.tally.lost_workers += u64::from(lost);
                    self.tally.late += u64::from(late && !spoiled);
                    self.tally.slow += u64::from(slow);
                    // How many are lost or slow is judged below and at the end.
                    line["credits"] == 0 && (spoiled || lost || slow || (late && (kills > 0 || slowed)))
                }
                _ => false,
            };
            if !right {
                self.wrong(OUTCOME, Some(job), format!("line {n} is {line}"));
            }
        }
        let lost = self.tally.lost_workers - lost_before;
        if lost * 2 > kills {
            let detail =
                format!("{lost} records are worker_lost, each of which takes two kills of enrich; there were {kills}");
            self.wrong(OUTCOME, Some(job), detail);
        }
        let total: u64 = counted.values().sum();
        for (name, count) in end["counts"].as_object().into_iter().flatten() {
            let expected = if name == "total" { total } else { counted.get(name.as_str()).copied().unwrap_or(0) };
            if *count != expected {
                self.wrong(COUNTS, Some(job), format!("{name} is {count}, and the lines have {expected}"));
            }
        }
        let used = counted.get("found").copied().unwrap_or(0) * PRICE;
        if end["credits"]["used"] != used {
            self.wrong(CREDITS, Some(job), format!("{} used for {used}", end["credits"]["used"]));
        }
    }

    fn told(&mut self, job: &Job, status: &str) {
        let expected = 1 + if job.tells_of_records { job.records as usize } else { 0 };
        if job.deliveries.len() != expected {
            self.wrong(TOLD, Some(job), format!("{} deliveries, not {expected}", job.deliveries.len()));
        }
        let ends = job.deliveries.iter().filter(|d| text(d, "type") == format!("job.{status}")).count();
        if ends != 1 {
            self.wrong(TOLD, Some(job), format!("{ends} deliveries of its end, {status}"));
        }
        let seen: Vec<&Received> = self.seen.received.iter().filter(|r| r.key == job.key).collect();
        let gone = seen.iter().any(|r| r.taken == Taken::Gone);
        for delivery in &job.deliveries {
            let (state, reason, event) =
                (text(delivery, "state"), text(delivery, "reason"), text(delivery, "event_id"));
            *self.tally.deliveries.entry(state.to_owned()).or_default() += 1;
            let came: Vec<&&Received> = seen.iter().filter(|r| r.id == event).collect();
            let right = match (state, reason) {
                ("delivered", _) => came.iter().any(|r| matches!(r.taken, Taken::Yes | Taken::Perhaps)),
                ("exhausted", "attempts_used_up") => delivery["attempts"].as_u64() >= Some(self.seen.attempts),
                ("exhausted", "endpoint_gone" | "endpoint_disabled") => gone,
                _ => false,
            };
            if !right {
                self.wrong(TOLD, Some(job), format!("its receiver got {} of {delivery}", came.len()));
            }
        }
        let logged: BTreeSet<&str> = job.deliveries.iter().map(|d| text(d, "event_id")).collect();
        self.received(job, Some(&logged));
    }

    /// What came to the receiver: one id for each event, and none that the log does not know, where there is a log. A job
    /// that was deleted has neither log nor end any more; each of its events tells of it all the same, and of no other.
    fn received(&mut self, job: &Job, logged: Option<&BTreeSet<&str>>) {
        let seen: Vec<&Received> = self.seen.received.iter().filter(|r| r.key == job.key).collect();
        let mut ids: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for received in &seen {
            let event: Value = serde_json::from_slice(&received.body).unwrap_or_default();
            let what = format!("{} {}", text(&event, "type"), event["data"]["result"]["index"]);
            ids.entry(what).or_default().insert(&received.id);
        }
        for (what, ids) in ids {
            if ids.len() != 1 || logged.is_some_and(|logged| !ids.is_subset(logged)) {
                self.wrong(OTHER_ID, Some(job), format!("{what} came as {ids:?}; the log has {logged:?}"));
            }
        }
        let ends = seen.iter().filter_map(|r| serde_json::from_slice::<Value>(&r.body).ok());
        for event in ends.filter(|e| text(e, "type").starts_with("job.")) {
            let of = &event["data"];
            let counts = match &job.end {
                Some(end) => of["counts"] == end["counts"],
                None => of["counts"]["total"] == job.records,
            };
            if !counts || !job.ids.contains(text(of, "id")) {
                self.wrong(SIGNED, Some(job), format!("the event tells of something else: {event}"));
            }
        }
    }

    fn accounts(&mut self) {
        for (tenant, account) in self.seen.accounts.iter().enumerate() {
            let of: Vec<&Job> = self.seen.jobs.iter().filter(|j| j.tenant == tenant).collect();
            let used = |job: &&Job| job.end.as_ref().and_then(|e| e["credits"]["used"].as_u64()).unwrap_or(0);
            let exact: u64 = of.iter().filter(|j| !j.deleted).map(used).sum();
            // What a deleted job had used by then, nobody can ask any more.
            let most: u64 = of.iter().filter(|j| j.deleted).map(|j| u64::from(j.records) * PRICE).sum();
            let shown = &account.shown;
            let (balance, spent) =
                (&shown["credits"]["balance"], shown["credits"]["used"].as_u64().unwrap_or(u64::MAX));
            if !(exact..=exact + most).contains(&spent) || *balance != account.granted.saturating_sub(spent) {
                let detail =
                    format!("tenant {tenant} of {} credits: {shown} for {exact} and at most {most}", account.granted);
                self.wrong(CREDITS, None, detail);
            }
            if shown["usage"]["open_chunks"] != 0 {
                self.wrong(CREDITS, None, format!("tenant {tenant} has open chunks: {shown}"));
            }
            let made: BTreeSet<&String> = of.iter().filter(|j| !j.deleted).flat_map(|j| &j.ids).collect();
            let listed: BTreeSet<&String> = account.listed.iter().collect();
            if made != listed || listed.len() != account.listed.len() {
                let differ: Vec<_> = made.symmetric_difference(&listed).collect();
                self.wrong(ONE_JOB, None, format!("tenant {tenant}: listed or submitted, but not both: {differ:?}"));
            }
        }
    }

    /// Signatures, and the same bytes at every attempt, deleted jobs' events included.
    fn bodies(&mut self) {
        let mut bodies: BTreeMap<&str, &Received> = BTreeMap::new();
        for received in &self.seen.received {
            let first = *bodies.entry(&received.id).or_insert(received);
            let job = self.seen.jobs.iter().find(|j| j.key == received.key);
            if !received.verified {
                self.wrong(SIGNED, job, format!("the signature of {} is wrong", received.id));
            }
            if (&first.body, &first.key) != (&received.body, &received.key) {
                self.wrong(SIGNED, job, format!("{} came with another body or to another receiver", received.id));
            }
        }
    }
}

/// The checks see what they are for.
#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u32, status: &str) -> Value {
        let data = if status == "found" { json!({"answer": n}) } else { json!({}) };
        json!({"index": n, "id": format!("n{n}"), "metadata": {"n": n}, "input": {"key": format!("k.{n}")}, "status": status,
               "data": data, "credits": if status == "found" { PRICE } else { 0 }, "error": null})
    }

    fn good() -> Seen {
        let counts = json!({"total": 6, "found": 5, "not_found": 1, "failed": 0});
        let end = json!({"id": "job_1", "status": "completed", "counts": counts, "credits": {"used": 15}, "completed_at": "t"});
        let event = json!({"type": "job.completed", "data": {"id": "job_1", "counts": counts}});
        let received = Received {
            key: "k".to_owned(),
            id: "evt_1".to_owned(),
            body: event.to_string().into(),
            verified: true,
            taken: Taken::No,
        };
        let delivery = json!({"event_id": "evt_1", "type": "job.completed", "state": "delivered", "attempts": 2});
        Seen {
            jobs: vec![Job {
                key: "k".to_owned(),
                ids: BTreeSet::from(["job_1".to_owned()]),
                records: 6,
                end: Some(end.clone()),
                later: Some(end),
                lines: (0..6).map(|n| line(n, if known(n) { "found" } else { "not_found" })).collect(),
                deliveries: vec![delivery],
                ..Job::default()
            }],
            received: vec![received.clone(), Received { taken: Taken::Yes, ..received }],
            accounts: vec![Account {
                granted: 100,
                shown: json!({"credits": {"balance": 85, "used": 15}, "usage": {"open_chunks": 0}}),
                listed: vec!["job_1".to_owned()],
            }],
            attempts: 3,
            ..Seen::default()
        }
    }

    #[track_caller]
    fn caught(rule: &str, change: impl FnOnce(&mut Seen)) {
        let mut seen = good();
        change(&mut seen);
        let tally = check(&seen);
        assert!(tally.of(rule) > 0, "not noticed: {rule}; but {:?}", tally.violations);
    }

    #[test]
    fn a_run_without_fault_has_no_violation() {
        assert_eq!(check(&good()).violations, []);
    }

    #[test]
    fn a_lost_record_is_noticed() {
        caught(LOST, |seen| drop(seen.jobs[0].lines.pop()));
        caught(LOST, |seen| seen.jobs[0].lines.swap(1, 2));
        caught(LOST, |seen| seen.jobs[0].lines[2] = line(1, "found"));
        caught(LOST, |seen| seen.jobs[0].lines[3]["metadata"] = json!({}));
    }

    #[test]
    fn an_outcome_that_nobody_gave_is_noticed() {
        caught(OUTCOME, |seen| seen.jobs[0].lines[0]["data"]["answer"] = json!(7));
        caught(OUTCOME, |seen| seen.jobs[0].lines[0] = line(0, "not_found"));
        caught(OUTCOME, |seen| seen.jobs[0].lines[0] = line(0, "canceled"));
        caught(OUTCOME, |seen| seen.jobs[0].lines[0] = line(0, "failed"));
    }

    /// A job from 10 s to 20 s whose first record failed so.
    fn with_failed(code: &str) -> Seen {
        let mut seen = good();
        let job = &mut seen.jobs[0];
        (job.began, job.over) = (Duration::from_secs(10), Duration::from_secs(20));
        job.lines[0] = line(0, "failed");
        job.lines[0]["error"] = json!({"code": code});
        let (counts, credits) = (json!({"total": 6, "found": 4, "not_found": 1, "failed": 1}), json!({"used": 12}));
        for shown in [&mut job.end, &mut job.later] {
            let shown = shown.as_mut().unwrap();
            (shown["counts"], shown["credits"]) = (counts.clone(), credits.clone());
        }
        for received in &mut seen.received {
            received.body =
                json!({"type": "job.completed", "data": {"id": "job_1", "counts": counts}}).to_string().into();
        }
        seen.accounts[0].shown["credits"] = json!({"balance": 88, "used": 12});
        seen
    }

    /// Kills of enrich at these seconds.
    fn killed(mut seen: Seen, at: &[u64]) -> Seen {
        seen.enrich_kills = at.iter().copied().map(Duration::from_secs).collect();
        seen
    }

    #[track_caller]
    fn wrong_outcomes(seen: &Seen, expected: usize) {
        let tally = check(seen);
        assert_eq!((tally.of(OUTCOME), tally.violations.len()), (expected, expected), "{:?}", tally.violations);
    }

    #[test]
    fn a_worker_is_lost_by_two_kills_in_its_jobs_time() {
        wrong_outcomes(&killed(with_failed("worker_lost"), &[11, 19]), 0);
        wrong_outcomes(&killed(with_failed("worker_lost"), &[11]), 1);
        wrong_outcomes(&killed(with_failed("worker_lost"), &[1, 2, 9, 21, 22, 15]), 1);
    }

    #[test]
    fn a_record_is_late_only_beside_a_fault_in_its_jobs_time() {
        wrong_outcomes(&with_failed("deadline_exceeded"), 1);
        wrong_outcomes(&killed(with_failed("deadline_exceeded"), &[9, 21]), 1);
        wrong_outcomes(&killed(with_failed("deadline_exceeded"), &[15]), 0);
        let slowed = |from, until| {
            let mut seen = with_failed("deadline_exceeded");
            seen.slowed = vec![(Duration::from_secs(from), Duration::from_secs(until))];
            seen
        };
        wrong_outcomes(&slowed(8, 9), 1);
        wrong_outcomes(&slowed(21, 23), 1);
        wrong_outcomes(&slowed(9, 11), 0);
        let mut spoiled = with_failed("deadline_exceeded");
        spoiled.spoiled.insert(("k".to_owned(), 1));
        wrong_outcomes(&spoiled, 1);
        spoiled.spoiled.insert(("k".to_owned(), 0));
        wrong_outcomes(&spoiled, 0);
    }

    #[test]
    fn slow_lookups_without_a_fault_are_counted_and_not_too_many() {
        let one = with_failed("provider_timeout");
        wrong_outcomes(&one, 0);
        assert_eq!(check(&one).slow, 1);
        let many = |n: u64| {
            let seen = with_failed("provider_timeout");
            let jobs = (0..n).map(|_| seen.jobs[0].clone()).collect();
            check(&Seen { jobs, ..seen }).of(OUTCOME)
        };
        assert_eq!((many(SLOW), many(SLOW + 1)), (0, 1));
        wrong_outcomes(&with_failed("provider_error"), 1);
    }

    #[test]
    fn what_a_deleted_job_sent_is_judged() {
        let deleted = || {
            let mut seen = good();
            let job = &mut seen.jobs[0];
            (job.deleted, job.end, job.later) = (true, None, None);
            job.lines.clear();
            job.deliveries.clear();
            seen.accounts[0].listed.clear();
            seen
        };
        assert_eq!(check(&deleted()).violations, []);
        let wrong = |rule, change: fn(&mut Seen)| {
            let mut seen = deleted();
            change(&mut seen);
            assert!(check(&seen).of(rule) > 0, "not noticed: {rule}");
        };
        wrong(OTHER_ID, |seen| seen.received[0].id = "evt_2".to_owned());
        wrong(SIGNED, |seen| seen.jobs[0].records = 7);
        wrong(SIGNED, |seen| seen.jobs[0].ids = BTreeSet::from(["job_2".to_owned()]));
        wrong(ONE_JOB, |seen| seen.accounts[0].listed.push("job_1".to_owned()));
        wrong(CREDITS, |seen| seen.accounts[0].shown["credits"] = json!({"balance": 79, "used": 21}));
    }

    #[test]
    fn a_second_id_of_an_event_is_noticed() {
        caught(OTHER_ID, |seen| seen.received[0].id = "evt_2".to_owned());
        caught(OTHER_ID, |seen| seen.jobs[0].deliveries[0]["event_id"] = json!("evt_2"));
    }

    #[test]
    fn a_changed_body_is_noticed() {
        caught(SIGNED, |seen| seen.received[1].body.push(b' '));
        caught(SIGNED, |seen| seen.received[0].verified = false);
        caught(SIGNED, |seen| {
            for received in &mut seen.received {
                received.body = br#"{"type": "job.completed", "data": {"id": "job_1", "counts": {}}}"#.into();
            }
        });
    }

    #[test]
    fn an_event_that_never_came_is_noticed() {
        caught(TOLD, |seen| seen.received.truncate(1));
        caught(TOLD, |seen| seen.jobs[0].deliveries.clear());
        caught(TOLD, |seen| seen.jobs[0].deliveries[0]["state"] = json!("pending"));
        caught(TOLD, |seen| seen.jobs[0].deliveries[0]["type"] = json!("job.canceled"));
        let exhausted = |reason: &'static str| {
            move |seen: &mut Seen| {
                seen.jobs[0].deliveries[0]["state"] = json!("exhausted");
                seen.jobs[0].deliveries[0]["reason"] = json!(reason);
            }
        };
        caught(TOLD, exhausted("attempts_used_up"));
        caught(TOLD, exhausted("endpoint_gone"));
    }

    #[test]
    fn wrong_counts_and_credits_are_noticed() {
        caught(COUNTS, |seen| seen.jobs[0].end.as_mut().unwrap()["counts"]["found"] = json!(6));
        caught(COUNTS, |seen| seen.jobs[0].end.as_mut().unwrap()["counts"]["total"] = json!(7));
        caught(CREDITS, |seen| seen.jobs[0].end.as_mut().unwrap()["credits"]["used"] = json!(18));
        caught(CREDITS, |seen| seen.accounts[0].shown["credits"]["balance"] = json!(82));
        caught(CREDITS, |seen| seen.accounts[0].shown["credits"] = json!({"balance": 82, "used": 18}));
        caught(CREDITS, |seen| seen.accounts[0].shown["usage"]["open_chunks"] = json!(1));
    }

    #[test]
    fn a_second_job_of_one_key_is_noticed() {
        caught(ONE_JOB, |seen| seen.jobs[0].ids.extend(["job_2".to_owned()]));
        caught(ONE_JOB, |seen| seen.accounts[0].listed.push("job_2".to_owned()));
        caught(ONE_JOB, |seen| seen.accounts[0].listed.clear());
    }

    #[test]
    fn a_job_that_hangs_or_changes_is_noticed() {
        caught(STUCK, |seen| seen.jobs[0].end = None);
        caught(STAYS, |seen| seen.jobs[0].later.as_mut().unwrap()["status"] = json!("running"));
        caught(STAYS, |seen| seen.jobs[0].later = None);
        caught(ODD, |seen| seen.jobs[0].odd.push("404 for a job that was accepted".to_owned()));
        caught(REDIRECT, |seen| seen.followed = 1);
    }
}
