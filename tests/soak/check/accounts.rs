//! The tenants' accounts at the end.

use std::collections::BTreeSet;

use super::events::event;
use super::{CREDITS, Job, ONE_JOB, PRICE, Seen, Tally, known, text};

/// Returns the least and the most credits that a job can have used; they are equal wherever its end
/// was seen or notified. The use of a job deleted before is unknown: at least what was shown, and
/// nothing for what the upstream API did not answer.
fn used(seen: &Seen, job: &Job) -> (u64, u64) {
    let reported = || {
        let events = seen.received.iter().filter(|r| r.key == job.key).map(event);
        let counts = events
            .filter(|e| text(e, "type").starts_with("job."))
            .map(|e| e["data"]["counts"]["found"].as_u64());
        counts.flatten().next().map(|found| found * PRICE)
    };
    let of = |shown: &serde_json::Value| shown["credits"]["used"].as_u64();
    match job.end.as_ref().and_then(of).or_else(reported) {
        Some(used) => (used, used),
        None if job.deleted => {
            // A cached answer costs what a new one does.
            let asked =
                |n: u32| job.awaits.is_some() || seen.answered.contains(&(job.key.clone(), n));
            let answered = (0..job.records).filter(|n| known(job.number(*n)) && asked(*n));
            (
                job.shown.last().and_then(of).unwrap_or(0),
                answered.count() as u64 * PRICE,
            )
        }
        None => (0, 0),
    }
}

pub(super) fn judge(seen: &Seen, tally: &mut Tally) {
    for (tenant, account) in seen.accounts.iter().enumerate() {
        let of: Vec<&Job> = seen.jobs.iter().filter(|j| j.tenant == tenant).collect();
        let (least, most) = of
            .iter()
            .map(|job| used(seen, job))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        let shown = &account.shown;
        let (balance, spent) = (
            &shown["credits"]["balance"],
            shown["credits"]["used"].as_u64().unwrap_or(u64::MAX),
        );
        if !(least..=most).contains(&spent) || *balance != account.granted.saturating_sub(spent) {
            let detail = format!(
                "tenant {tenant} of {} credits: {shown} for {least} to {most}",
                account.granted
            );
            tally.wrong(CREDITS, None, detail);
        }
        if shown["usage"]["open_chunks"] != 0 {
            tally.wrong(
                CREDITS,
                None,
                format!("tenant {tenant} has open chunks: {shown}"),
            );
        }
        let made: BTreeSet<&String> = of
            .iter()
            .filter(|j| !j.deleted)
            .flat_map(|j| &j.ids)
            .collect();
        let listed: BTreeSet<&String> = account.listed.iter().collect();
        if made != listed || listed.len() != account.listed.len() {
            let differ: Vec<_> = made.symmetric_difference(&listed).collect();
            tally.wrong(
                ONE_JOB,
                None,
                format!("tenant {tenant}: listed or submitted, but not both: {differ:?}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::example::caught;
    use super::*;

    #[test]
    fn credits_that_do_not_add_up_are_noticed() {
        caught(CREDITS, |seen| {
            seen.accounts[0].shown["credits"]["balance"] = json!(82);
        });
        caught(CREDITS, |seen| {
            seen.accounts[0].shown["credits"] = json!({"balance": 82, "used": 18});
        });
        caught(CREDITS, |seen| {
            seen.accounts[0].shown["credits"] = json!({"balance": 88, "used": 12});
        });
        caught(CREDITS, |seen| {
            seen.accounts[0].shown["usage"]["open_chunks"] = json!(1);
        });
    }

    #[test]
    fn a_job_that_was_not_submitted_or_is_not_listed_is_noticed() {
        caught(ONE_JOB, |seen| {
            seen.accounts[0].listed.push("job_2".to_owned());
        });
        caught(ONE_JOB, |seen| {
            seen.accounts[0].listed.push("job_1".to_owned());
        });
        caught(ONE_JOB, |seen| seen.accounts[0].listed.clear());
    }
}
