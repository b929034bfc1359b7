//! The course of a job from one reading to the next.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{COUNTS, FORWARD, Job, LOST, OUTCOME, STAYS, Seen, Tally, outcomes, text};

/// Later stages are larger; a job has one of several ends.
fn stage(status: &str) -> u8 {
    match status {
        "queued" => 0,
        "running" => 1,
        "canceling" => 2,
        _ => 3,
    }
}

/// Returns the counters that only grow.
fn growing(shown: &Value) -> BTreeMap<&str, Option<u64>> {
    let counts = shown["counts"].as_object().into_iter().flatten();
    let counts = counts.map(|(name, count)| (name.as_str(), count.as_u64()));
    counts
        .chain([("credits used", shown["credits"]["used"].as_u64())])
        .collect()
}

pub(super) fn judge(seen: &Seen, job: &Job, tally: &mut Tally) {
    for shown in &job.shown {
        if shown["counts"]["total"] != job.records || !job.ids.contains(text(shown, "id")) {
            tally.wrong(
                COUNTS,
                Some(job),
                format!("it is of {} records and shows {shown}", job.records),
            );
        }
        let status = text(shown, "status");
        let asked_for = matches!(status, "canceling" | "canceled") && job.canceled;
        if !matches!(status, "queued" | "running" | "completed") && !asked_for {
            tally.wrong(OUTCOME, Some(job), format!("it was {status}: {shown}"));
        }
    }
    for pair in job.shown.windows(2) {
        let after = growing(&pair[1]);
        let back = growing(&pair[0])
            .iter()
            .any(|(name, before)| *before > after.get(name).copied().flatten());
        if back || stage(text(&pair[0], "status")) > stage(text(&pair[1], "status")) {
            tally.wrong(
                FORWARD,
                Some(job),
                format!("it was {}, and then {}", pair[0], pair[1]),
            );
        }
    }
    // A page read while a job runs ends before the first record without an outcome; its lines stay.
    for page in &job.early {
        if page.len() > job.records as usize {
            tally.wrong(
                LOST,
                Some(job),
                format!("{} lines of {} records", page.len(), job.records),
            );
        }
        for (n, line) in (0..job.records).zip(page) {
            outcomes::place(job, n, line, tally);
            if job.lines.get(n as usize).is_some_and(|last| last != line) {
                tally.wrong(
                    FORWARD,
                    Some(job),
                    format!("line {n} was {line}, and then {}", job.lines[n as usize]),
                );
            } else if outcomes::of(seen, job, n, line) == outcomes::Is::Wrong {
                tally.wrong(OUTCOME, Some(job), format!("line {n} is {line}"));
            }
        }
    }
    if let (Some(end), false) = (&job.end, job.deleted) {
        stays(job, end, tally);
    }
}

fn stays(job: &Job, end: &Value, tally: &mut Tally) {
    let Some(later) = &job.later else {
        return tally.wrong(STAYS, Some(job), "it is not there any more".to_owned());
    };
    for field in ["status", "counts", "credits", "completed_at", "error"] {
        if end[field] != later[field] {
            tally.wrong(
                STAYS,
                Some(job),
                format!("{field} was {} and is {}", end[field], later[field]),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::check;
    use super::super::example::{caught, good, line};
    use super::*;

    #[test]
    fn a_job_that_goes_back_is_noticed() {
        caught(FORWARD, |seen| seen.jobs[0].shown.swap(0, 1));
        caught(FORWARD, |seen| {
            seen.jobs[0].shown[0]["status"] = json!("completed");
        });
        caught(FORWARD, |seen| {
            seen.jobs[0].shown[1]["counts"]["not_found"] = json!(2);
        });
        caught(FORWARD, |seen| {
            seen.jobs[0].shown[1]["credits"]["used"] = json!(18);
        });
        caught(FORWARD, |seen| {
            drop(
                seen.jobs[0].shown[2]["counts"]
                    .as_object_mut()
                    .unwrap()
                    .remove("found"),
            );
        });
    }

    #[test]
    fn a_job_that_is_shown_as_another_is_noticed() {
        caught(COUNTS, |seen| {
            seen.jobs[0].shown[0]["counts"]["total"] = json!(5);
        });
        caught(COUNTS, |seen| seen.jobs[0].shown[0]["id"] = json!("job_2"));
        caught(OUTCOME, |seen| {
            seen.jobs[0].shown[1]["status"] = json!("canceling");
        });
        caught(OUTCOME, |seen| {
            seen.jobs[0].shown[2]["status"] = json!("failed");
        });
    }

    #[test]
    fn an_outcome_that_changed_or_was_never_given_is_noticed() {
        let early = |page: Vec<Value>| move |seen: &mut Seen| seen.jobs[0].early.push(page);
        caught(FORWARD, early(vec![line(0, "not_found")]));
        caught(LOST, early(vec![line(1, "found")]));
        caught(LOST, early((0..7).map(|n| line(n, "found")).collect()));
        let deleted = |page: Vec<Value>| {
            let mut seen = good();
            (seen.jobs[0].lines, seen.jobs[0].end, seen.jobs[0].deleted) = (Vec::new(), None, true);
            seen.jobs[0].early = vec![page];
            check(&seen).of(OUTCOME)
        };
        assert_eq!(
            (
                deleted(vec![line(0, "found")]),
                deleted(vec![line(0, "not_found")])
            ),
            (0, 1)
        );
    }

    #[test]
    fn an_end_that_changes_is_noticed() {
        caught(STAYS, |seen| {
            seen.jobs[0].later.as_mut().unwrap()["status"] = json!("running");
        });
        caught(STAYS, |seen| {
            seen.jobs[0].later.as_mut().unwrap()["counts"]["found"] = json!(6);
        });
        caught(STAYS, |seen| seen.jobs[0].later = None);
    }
}
