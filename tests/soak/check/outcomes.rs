//! The result lines of a job, with its counts and credits.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{COUNTS, CREDITS, Job, LOST, OUTCOME, PRICE, Seen, Tally, known, later, text};

/// At least this many lookups may time out on a busy machine: all that one process has in flight,
/// by `concurrency` in `tests/e2e/providers.toml`. In a long soak it is one record in a hundred.
const SLOW: u64 = 16;

/// A line's relation to the requests to the upstream API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Right,
    /// `worker_lost`: the kills limit their number.
    Lost,
    /// `deadline_exceeded` or `provider_timeout`, while the upstream API answered its request at
    /// once, or never saw one. Their number is judged at the end. Both mean the same for a type
    /// with one provider, whose limit is the type's. A kill does not explain one: the next run asks
    /// again, with the whole limit. Nor does a slow table: its calls take none of a record's time.
    Slow,
    Wrong,
}

pub(super) fn of(seen: &Seen, job: &Job, n: u32, line: &Value) -> Is {
    if let Some(kind) = job.awaits {
        return later::of(seen, job, kind, n, line);
    }
    let place = (job.key.clone(), n);
    let (answered, spoiled) = (
        seen.answered.contains(&place),
        seen.spoiled.contains(&place),
    );
    let right = match (text(line, "status"), text(&line["error"], "code")) {
        ("found", _) => {
            return if known(n)
                && answered
                && line["data"] == json!({"answer": n})
                && line["credits"] == PRICE
            {
                Is::Right
            } else {
                Is::Wrong
            };
        }
        ("not_found", _) if !known(n) && answered => Is::Right,
        ("canceled", _) if job.canceled => Is::Right,
        ("failed", "worker_lost") => Is::Lost,
        (
            "failed",
            "provider_error" | "rate_limited" | "provider_timeout" | "deadline_exceeded",
        ) if spoiled => Is::Right,
        ("failed", "provider_timeout" | "deadline_exceeded") => Is::Slow,
        _ => Is::Wrong,
    };
    if line["credits"] == 0 {
        right
    } else {
        Is::Wrong
    }
}

/// Checks that a line is about the record in its place.
pub(super) fn place(job: &Job, n: u32, line: &Value, tally: &mut Tally) {
    let expected = (
        json!(n),
        json!(format!("n{n}")),
        json!({"n": n}),
        json!({"key": job.about(n)}),
    );
    let is = (
        &line["index"],
        &line["id"],
        &line["metadata"],
        &line["input"],
    );
    if is != (&expected.0, &expected.1, &expected.2, &expected.3) {
        tally.wrong(LOST, Some(job), format!("line {n} is {line}"));
    }
}

pub(super) fn judge(seen: &Seen, job: &Job, end: &Value, tally: &mut Tally) {
    if job.lines.len() as u64 != u64::from(job.records) {
        tally.wrong(
            LOST,
            Some(job),
            format!("{} lines of {} records", job.lines.len(), job.records),
        );
    }
    let (mut counted, mut lost) = (BTreeMap::<&str, u64>::new(), 0);
    for (n, line) in (0..job.records).zip(&job.lines) {
        place(job, n, line, tally);
        let status = text(line, "status");
        *counted.entry(status).or_default() += 1;
        *tally.lines.entry(status.to_owned()).or_default() += 1;
        tally.later.kept += u64::from(line["sources"]["answer"]["cached"] == true);
        match of(seen, job, n, line) {
            Is::Right => {}
            Is::Lost => lost += 1,
            Is::Slow => tally.slow += 1,
            Is::Wrong => {
                let upstream = if job.awaits.is_some() {
                    later::account(seen, job, n)
                } else {
                    String::new()
                };
                tally.wrong(OUTCOME, Some(job), format!("line {n} is {line}{upstream}"));
            }
        }
    }
    tally.lost_workers += lost;
    let deaths = seen.deaths(job.began, job.over) as u64;
    if lost * 2 > deaths {
        let detail = format!(
            "{lost} records are worker_lost, each of which takes two ends of enrich; \
             there were {deaths}"
        );
        tally.wrong(OUTCOME, Some(job), detail);
    }
    let total: u64 = counted.values().sum();
    for (name, count) in end["counts"].as_object().into_iter().flatten() {
        let expected = if name == "total" {
            total
        } else {
            counted.get(name.as_str()).copied().unwrap_or(0)
        };
        if *count != expected {
            tally.wrong(
                COUNTS,
                Some(job),
                format!("{name} is {count}, and the lines have {expected}"),
            );
        }
    }
    let used = counted.get("found").copied().unwrap_or(0) * PRICE;
    if end["credits"]["used"] != used {
        tally.wrong(
            CREDITS,
            Some(job),
            format!("{} used for {used}", end["credits"]["used"]),
        );
    }
}

/// Only a busy machine explains the slow ones.
pub(super) fn not_too_many_slow(tally: &mut Tally) {
    let (slow, most) = (tally.slow, SLOW.max(tally.records / 100));
    if slow > most {
        let detail =
            format!("{slow} lookups timed out without a fault; a busy machine explains {most}");
        tally.wrong(OUTCOME, None, detail);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::example::{caught, good, line};
    use super::super::{Life, check};
    use super::*;

    #[test]
    fn a_lost_record_is_noticed() {
        caught(LOST, |seen| drop(seen.jobs[0].lines.pop()));
        caught(LOST, |seen| seen.jobs[0].lines.swap(1, 2));
        caught(LOST, |seen| seen.jobs[0].lines[2] = line(1, "found"));
        caught(LOST, |seen| seen.jobs[0].lines[3]["metadata"] = json!({}));
    }

    #[test]
    fn an_outcome_that_was_never_given_is_noticed() {
        caught(OUTCOME, |seen| {
            seen.jobs[0].lines[0]["data"]["answer"] = json!(7);
        });
        caught(OUTCOME, |seen| seen.jobs[0].lines[0] = line(0, "not_found"));
        caught(OUTCOME, |seen| seen.jobs[0].lines[0] = line(0, "canceled"));
        caught(OUTCOME, |seen| seen.jobs[0].lines[0] = line(0, "failed"));
        caught(OUTCOME, |seen| {
            seen.answered.remove(&("k".to_owned(), 0));
        });
        caught(OUTCOME, |seen| {
            seen.answered.remove(&("k".to_owned(), 4));
        });
    }

    #[test]
    fn wrong_counts_and_credits_are_noticed() {
        caught(COUNTS, |seen| {
            seen.jobs[0].end.as_mut().unwrap()["counts"]["found"] = json!(6);
        });
        caught(COUNTS, |seen| {
            seen.jobs[0].end.as_mut().unwrap()["counts"]["total"] = json!(7);
        });
        caught(CREDITS, |seen| {
            seen.jobs[0].end.as_mut().unwrap()["credits"]["used"] = json!(18);
        });
    }

    /// A job from 10 s to 20 s whose first record failed with this code.
    fn with_failed(code: &str) -> Seen {
        let mut seen = good();
        let job = &mut seen.jobs[0];
        (job.began, job.over) = (Duration::from_secs(10), Duration::from_secs(20));
        job.lines[0] = line(0, "failed");
        job.lines[0]["error"] = json!({"code": code});
        let (counts, credits) = (
            json!({"total": 6, "found": 4, "not_found": 1, "failed": 1}),
            json!({"used": 12}),
        );
        for shown in [&mut job.end, &mut job.later] {
            let shown = shown.as_mut().unwrap();
            (shown["counts"], shown["credits"]) = (counts.clone(), credits.clone());
        }
        job.shown.clear();
        job.early.clear();
        for received in &mut seen.received {
            received.body =
                json!({"type": "job.completed", "data": {"id": "job_1", "counts": counts}})
                    .to_string()
                    .into();
        }
        seen.accounts[0].shown["credits"] = json!({"balance": 88, "used": 12});
        seen
    }

    /// Ends of enrich at these seconds.
    fn killed(mut seen: Seen, at: &[u64]) -> Seen {
        let at = at.iter().copied().map(Duration::from_secs);
        seen.lives = at
            .map(|at| {
                (
                    format!("{at:?}"),
                    Life {
                        seen: at,
                        gone: Some(at),
                    },
                )
            })
            .collect();
        seen
    }

    #[track_caller]
    fn wrong_outcomes(seen: &Seen, expected: usize) {
        let tally = check(seen);
        assert_eq!(
            (tally.of(OUTCOME), tally.violations.len()),
            (expected, expected),
            "{:?}",
            tally.violations
        );
    }

    #[test]
    fn a_worker_is_lost_by_two_kills_in_its_jobs_time() {
        wrong_outcomes(&killed(with_failed("worker_lost"), &[11, 19]), 0);
        wrong_outcomes(&killed(with_failed("worker_lost"), &[11]), 1);
        wrong_outcomes(
            &killed(with_failed("worker_lost"), &[1, 2, 9, 21, 22, 15]),
            1,
        );
    }

    #[test]
    fn a_failure_is_right_where_its_own_lookup_was_spoiled() {
        for code in [
            "provider_error",
            "rate_limited",
            "provider_timeout",
            "deadline_exceeded",
        ] {
            let mut spoiled = with_failed(code);
            spoiled.spoiled.insert(("k".to_owned(), 0));
            wrong_outcomes(&spoiled, 0);
            assert_eq!(check(&spoiled).slow, 0);
        }
        let mut other = with_failed("provider_error");
        other.spoiled.insert(("k".to_owned(), 1));
        wrong_outcomes(&other, 1);
        let mut other_code = with_failed("internal_error");
        other_code.spoiled.insert(("k".to_owned(), 0));
        wrong_outcomes(&other_code, 1);
        let mut charged = with_failed("provider_error");
        charged.spoiled.insert(("k".to_owned(), 0));
        charged.jobs[0].lines[0]["credits"] = json!(PRICE);
        wrong_outcomes(&charged, 1);
    }

    /// With or without kills.
    #[test]
    fn lookups_out_of_time_without_a_fault_are_counted_and_not_too_many() {
        for code in ["provider_timeout", "deadline_exceeded"] {
            let one = killed(with_failed(code), &[11, 12, 13]);
            wrong_outcomes(&one, 0);
            assert_eq!(check(&one).slow, 1);
            let many = |n: u64| {
                let jobs = (0..n).map(|_| one.jobs[0].clone()).collect();
                check(&Seen {
                    jobs,
                    ..one.clone()
                })
                .of(OUTCOME)
            };
            assert_eq!((many(SLOW), many(SLOW + 1)), (0, 1));
        }
    }
}
