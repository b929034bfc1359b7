//! Deleted jobs: they are not found any more, and no event of them follows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{GONE, Job, Seen, Tally};

/// An attempt that read the job before it was erased may still be made within its invocation; that
/// time-out is in `infra/template.yaml`.
const GRACE: Duration = Duration::from_secs(60);

pub(super) fn judge(seen: &Seen, job: &Job, tally: &mut Tally) {
    // A client that could not delete it has said so.
    let Some(erased) = job.erased else { return };
    if job.after.is_empty() {
        tally.wrong(GONE, Some(job), "it was not checked".to_owned());
    }
    for (request, status) in job.after.iter().filter(|(_, status)| *status != 404) {
        tally.wrong(
            GONE,
            Some(job),
            format!(
                "erased after {} s; {request} answers {status}",
                erased.as_secs()
            ),
        );
    }
    let mut late: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for received in seen
        .received
        .iter()
        .filter(|r| r.key == job.key && r.at > erased)
    {
        late.entry(&received.id)
            .or_default()
            .push(received.at.saturating_sub(erased));
    }
    for (id, after) in late {
        tally.after_erasure += after.len();
        // Attempts of one delivery never overlap, so that only one can have started before.
        if after.len() > 1 || after.iter().any(|after| *after > GRACE) {
            tally.wrong(
                GONE,
                Some(job),
                format!("{id} was sent so long after it was erased: {after:?}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::super::example::good;
    use super::super::{CREDITS, ONE_JOB, OTHER_ID, SIGNED, check};
    use super::*;

    /// A job that was deleted after 10 s. Its end was notified before, seen by its client or not.
    fn deleted() -> Seen {
        let mut seen = good();
        let job = &mut seen.jobs[0];
        (job.deleted, job.end, job.later) = (true, None, None);
        job.erased = Some(Duration::from_secs(10));
        job.after = vec![("GET /v1/jobs/job_1".to_owned(), 404)];
        job.shown.truncate(2);
        job.lines.clear();
        job.deliveries.clear();
        seen.accounts[0].listed.clear();
        seen
    }

    #[track_caller]
    fn noticed(rule: &str, change: impl FnOnce(&mut Seen)) {
        let mut seen = deleted();
        change(&mut seen);
        let tally = check(&seen);
        assert!(
            tally.of(rule) > 0,
            "not noticed: {rule}; but {:?}",
            tally.violations
        );
    }

    #[test]
    fn a_job_deleted_before_or_after_its_end_has_no_violation() {
        assert_eq!(check(&deleted()).violations, []);
        let (mut ended, whole) = (deleted(), good());
        (ended.jobs[0].end, ended.jobs[0].lines) =
            (whole.jobs[0].end.clone(), whole.jobs[0].lines.clone());
        assert_eq!(check(&ended).violations, []);
    }

    #[test]
    fn a_job_that_is_still_there_is_noticed() {
        noticed(GONE, |seen| {
            seen.jobs[0]
                .after
                .push(("GET /v1/jobs/job_1/results".to_owned(), 200));
        });
        noticed(GONE, |seen| {
            seen.jobs[0].after.push(("POST /v1/jobs".to_owned(), 202));
        });
        noticed(GONE, |seen| seen.jobs[0].after.clear());
        noticed(ONE_JOB, |seen| {
            seen.accounts[0].listed.push("job_1".to_owned());
        });
    }

    #[test]
    fn an_event_after_the_erasure_is_noticed_unless_it_was_on_its_way() {
        let at = |seconds: u64| Duration::from_secs(seconds);
        let mut on_its_way = deleted();
        on_its_way.received[1].at = at(69);
        let tally = check(&on_its_way);
        assert_eq!(
            (tally.violations.len(), tally.after_erasure),
            (0, 1),
            "{:?}",
            tally.violations
        );
        noticed(GONE, |seen| seen.received[1].at = at(71));
        noticed(GONE, |seen| {
            (seen.received[0].at, seen.received[1].at) = (at(11), at(12));
        });
    }

    #[test]
    fn what_an_erased_job_sent_is_judged() {
        noticed(OTHER_ID, |seen| seen.received[0].id = "evt_2".to_owned());
        noticed(SIGNED, |seen| seen.jobs[0].records = 7);
        noticed(SIGNED, |seen| {
            seen.jobs[0].ids = BTreeSet::from(["job_2".to_owned()]);
        });
        let body = json!({"type": "job.canceled", "data": {"id": "job_1", "counts": {"total": 6}}})
            .to_string();
        noticed(SIGNED, |seen| seen.received[0].body = body.into());
    }

    /// Its end was notified, so that its use is known.
    #[test]
    fn credits_that_an_erased_job_kept_or_got_are_noticed() {
        let used = |used: u64| {
            move |seen: &mut Seen| {
                seen.accounts[0].shown["credits"] = json!({"balance": 100 - used, "used": used});
            }
        };
        noticed(CREDITS, used(12));
        noticed(CREDITS, used(18));
        noticed(CREDITS, |seen| {
            seen.accounts[0].shown["credits"]["balance"] = json!(82);
        });
        noticed(CREDITS, |seen| {
            seen.accounts[0].shown["usage"]["open_chunks"] = json!(1);
        });
        // Without an event, it is what was shown before, or more, up to what was found.
        let untold = |change: &dyn Fn(&mut Seen)| {
            let mut seen = deleted();
            seen.received.clear();
            change(&mut seen);
            check(&seen).of(CREDITS)
        };
        let shown = deleted().jobs[0].shown[1]["credits"]["used"]
            .as_u64()
            .unwrap();
        assert_eq!((shown, untold(&used(6)), untold(&used(15))), (6, 0, 0));
        assert_eq!((untold(&used(3)), untold(&used(18))), (1, 1));
        let unanswered = |seen: &mut Seen| {
            seen.answered.remove(&("k".to_owned(), 0));
        };
        assert_eq!(untold(&unanswered), 1);
    }
}
