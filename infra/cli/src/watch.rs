//! Following jobs until they end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use shared::domain::export::json_line;
use shared::domain::ids::JobId;

use crate::api::{Answer, Api, Request};
use crate::failure::Failure;
use crate::screen::{plain, plural, print, text, thousands};

/// The time for which the server holds a request open for a change, in seconds. Source: the API
/// description.
const HOLD_SECONDS: u32 = 20;
/// The least time between two polls of a job, even if the server does not hold them open.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// The longest pause between two of them while nothing changes and none is held open.
const ASK_AT_LEAST_EVERY: Duration = Duration::from_secs(5);
/// Jobs followed at once.
const FOLLOWED_AT_ONCE: usize = 4;

/// Outcomes in the order in which they are shown.
const OUTCOMES: [(&str, &str); 6] = [
    ("found", "found"),
    ("not_found", "not found"),
    ("failed", "failed"),
    ("invalid", "invalid"),
    ("skipped", "skipped"),
    ("canceled", "canceled"),
];

/// `millrace watch`.
pub(crate) async fn watch(api: &Api, ids: &[JobId], as_json: bool) -> Result<(), Failure> {
    let jobs: Vec<Value> = ids.iter().map(|id| json!({"id": id.as_str()})).collect();
    let ended = follow_all(api, &jobs).await?;
    if !as_json {
        for job in &ended {
            print(format!("{} {}", text(job, "id"), text(job, "status")))?;
        }
    }
    conclude(api, &ended, as_json).await
}

/// Follows jobs that were just started.
pub(crate) async fn finish(api: &Api, jobs: &[Value], as_json: bool) -> Result<(), Failure> {
    let ended = follow_all(api, jobs).await?;
    conclude(api, &ended, as_json).await
}

async fn conclude(api: &Api, ended: &[Value], as_json: bool) -> Result<(), Failure> {
    for job in ended {
        if as_json {
            print(json_line(job))?;
        }
        api.screen().note(&summary(job));
        if let Some(why) = commonest_error(api, job).await {
            api.screen().note(&why);
        }
    }
    if ended.iter().all(|job| job["status"] == "completed") {
        Ok(())
    } else {
        Err(Failure::Ended)
    }
}

/// Follows jobs until all have ended, showing how far they are. Ctrl-C leaves them to themselves.
async fn follow_all(api: &Api, jobs: &[Value]) -> Result<Vec<Value>, Failure> {
    let states = Mutex::new(jobs.to_vec());
    let each = |at: usize| {
        let (states, id) = (&states, text(&jobs[at], "id"));
        async move {
            follow_one(api, &id, |job| {
                let mut states = states.lock().unwrap_or_else(PoisonError::into_inner);
                states[at] = job;
                show(api, &states);
            })
            .await
        }
    };
    let all = async {
        let mut running = futures_util::stream::iter((0..jobs.len()).map(each))
            .buffer_unordered(FOLLOWED_AT_ONCE);
        while let Some(ended) = running.next().await {
            ended?;
        }
        Ok(())
    };
    let outcome = tokio::select! {
        outcome = all => outcome,
        _ = tokio::signal::ctrl_c() => {
            let states = states.lock().unwrap_or_else(PoisonError::into_inner);
            let live: Vec<String> = states.iter().filter(|job| !ended(job)).map(|job| text(job,
                "id")).collect();
            Err(Failure::Interrupted(left_alone(&live)))
        }
    };
    api.screen().clear();
    outcome?;
    Ok(states.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn left_alone(live: &[String]) -> String {
    let goes = if live.len() == 1 {
        "goes on; watch it"
    } else {
        "go on; watch them"
    };
    format!(
        "{} {goes} with: millrace watch {}",
        live.join(", "),
        live.join(" ")
    )
}

async fn follow_one(api: &Api, id: &str, mut seen: impl FnMut(Value)) -> Result<(), Failure> {
    let path = format!("/v1/jobs/{id}");
    let mut etag: Option<String> = None;
    let mut pause = ASK_EVERY;
    loop {
        let asked = Instant::now();
        let mut request = Request::get(&path);
        if let Some(etag) = &etag {
            request = request
                .header("prefer", format!("wait={HOLD_SECONDS}"))
                .header("if-none-match", etag);
        }
        let answer: Answer = api.send(request).await?;
        pause = next_pause(pause, answer.status == 304);
        if answer.status != 304 {
            etag = answer.etag.or(etag);
            let over = ended(&answer.json);
            seen(answer.json);
            if over {
                return Ok(());
            }
        }
        tokio::time::sleep(pause.saturating_sub(asked.elapsed())).await;
    }
}

/// Returns the time from one poll to the start of the next. It adds nothing if the server held the
/// last one open for longer. A server that never does is polled less often while nothing changes.
fn next_pause(pause: Duration, unchanged: bool) -> Duration {
    if unchanged {
        (pause * 3 / 2).min(ASK_AT_LEAST_EVERY)
    } else {
        ASK_EVERY
    }
}

/// Returns the commonest errors of the first page of results.
///
/// They tell an account without money, or a vendor that cannot be reached, from records that no
/// provider knows. `None` if no record has an error, or the page cannot be read.
async fn commonest_error(api: &Api, job: &Value) -> Option<String> {
    const PAGE: &str = "1000";
    let number = |name: &str| job["counts"][name].as_u64().unwrap_or(0);
    if number("not_found") + number("failed") == 0 {
        return None;
    }
    let id = text(job, "id");
    let path = format!("/v1/jobs/{id}/results");
    // A remark is not worth the tries of a request that is needed.
    let asked = api.send(Request::get(&path).query("limit", PAGE));
    let page = tokio::time::timeout(Duration::from_secs(10), asked)
        .await
        .ok()?
        .ok()?
        .json;
    let of = if page["next_cursor"].is_null() {
        ""
    } else {
        " of the first results"
    };
    Some(format!(
        "{}; when that is solved: millrace retry {id}",
        commonest(page["results"].as_array()?, of)?
    ))
}

/// Lists the commonest errors with their counts, and the count of all others. Errors of one code
/// are separated by their texts, unless the text names the record.
fn commonest(results: &[Value], of: &str) -> Option<String> {
    const MAX_REPORTED: usize = 3;
    /// Of many texts of one code, one that fewer than 1 in `ONE_IN` records have is counted under
    /// the code.
    const ONE_IN: u64 = 10;
    let mut codes: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for line in results {
        let error = &line["error"];
        if line["status"] != "invalid" && error["code"].is_string() {
            let details = codes.entry(text(error, "code")).or_default();
            *details.entry(text(error, "detail")).or_default() += 1;
        }
    }
    // The number of records, their code, one of their texts, and whether there are others.
    let mut errors: Vec<(u64, String, String, bool)> = Vec::new();
    for (code, details) in codes {
        let total: u64 = details.values().sum();
        let few = details.len() <= MAX_REPORTED;
        let (reported, rest): (Vec<_>, Vec<_>) = { details.into_iter() }
            .partition(|(_, times)| few || (*times > 1 && times * ONE_IN >= total));
        let several = rest.len() > 1;
        let times = rest.iter().map(|(_, times)| times).sum();
        let example = rest.into_iter().next().map(|(detail, _)| detail);
        errors.extend(example.map(|detail| (times, code.clone(), detail, several)));
        errors.extend(
            { reported.into_iter() }.map(|(detail, times)| (times, code.clone(), detail, false)),
        );
    }
    errors.sort_by_key(|(times, ..)| std::cmp::Reverse(*times));
    let others: u64 = errors
        .iter()
        .skip(MAX_REPORTED)
        .map(|(times, ..)| times)
        .sum();
    let reported =
        { errors.into_iter().take(MAX_REPORTED) }.map(|(times, code, detail, several)| {
            let such = if several { ", such as" } else { "" };
            let (records, detail) = (plural(times, "record"), plain(&detail, 300));
            format!("  {records}{of} with {code}{such}: {detail}")
        });
    let others =
        (others > 0).then(|| format!("  {}{of} with other errors", plural(others, "record")));
    let lines: Vec<String> = reported.chain(others).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Returns whether a job has ended.
pub(crate) fn ended(job: &Value) -> bool {
    matches!(
        job["status"].as_str(),
        Some("completed" | "canceled" | "failed" | "expired")
    )
}

fn show(api: &Api, states: &[Value]) {
    let sum = |name: &str| {
        states
            .iter()
            .filter_map(|job| job["counts"][name].as_u64())
            .sum::<u64>()
    };
    let done: u64 = OUTCOMES.iter().map(|(name, _)| sum(name)).sum();
    let status = match states {
        [only] => text(only, "status"),
        _ => format!(
            "{} of {} jobs ended",
            states.iter().filter(|job| ended(job)).count(),
            states.len()
        ),
    };
    api.screen().progress(
        done,
        sum("total"),
        &status,
        &format!("{}{}", counts(sum), waits(states)),
    );
}

/// `; waiting for acme (HTTP 429) until 2026-08-01T12:00:10Z`: the providers that the jobs wait
/// for, each once.
fn waits(jobs: &[Value]) -> String {
    let all = jobs
        .iter()
        .filter_map(|job| job["waiting_for"].as_array())
        .flatten();
    let by_name: BTreeMap<String, &Value> =
        all.map(|wait| (text(wait, "provider"), wait)).collect();
    let reported = by_name.iter().map(|(provider, wait)| {
        let why = wait["status"]
            .as_u64()
            .map(|status| format!(" (HTTP {status})"))
            .unwrap_or_default();
        format!(
            "; waiting for {provider}{why} until {}",
            text(wait, "until")
        )
    });
    reported.collect()
}

/// Lists the counts above zero: `412 found, 15 not found`.
fn counts(of: impl Fn(&str) -> u64) -> String {
    let reported: Vec<String> = OUTCOMES
        .iter()
        .filter_map(|(name, word)| {
            Some(of(name))
                .filter(|n| *n > 0)
                .map(|n| format!("{} {word}", thousands(n)))
        })
        .collect();
    if reported.is_empty() {
        "nothing yet".to_owned()
    } else {
        reported.join(", ")
    }
}

/// A job in one line.
fn summary(job: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let error = job["error"]
        .as_str()
        .map(|e| format!(" ({})", plain(e, 200)))
        .unwrap_or_default();
    format!(
        "{}: {}{error}: {}: {}{}; {} used of {} reserved",
        text(job, "id"),
        text(job, "status"),
        plural(number(&job["counts"]["total"]), "record"),
        counts(|name| number(&job["counts"][name])),
        waits(std::slice::from_ref(job)),
        plural(number(&job["credits"]["used"]), "credit"),
        thousands(number(&job["credits"]["reserved"]))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_counted_by_itself_the_most_frequent_first() {
        let failed = |code: &str, detail: &str| {
            serde_json::json!({"status": "failed",
            "error": {"code": code, "detail": detail}})
        };
        let mut results = vec![
            failed("provider_error", "h: HTTP 500"),
            failed("provider_error", "h: HTTP 401"),
        ];
        results.extend(std::iter::repeat_n(
            failed("provider_error", "h: not JSON"),
            3,
        ));
        results.push(serde_json::json!({"status": "found"}));
        results.push(
            serde_json::json!({"status": "invalid", "error": {"code": "invalid", "detail": "no"}}),
        );
        assert_eq!(
            commonest(&results, "").as_deref(),
            Some(
                "  3 records with provider_error: h: not JSON\n  1 record with provider_error: h: \
                 HTTP 401\n  1 record with provider_error: h: HTTP 500"
            )
        );
        results.extend([failed("rate_limited", "a"), failed("rate_limited", "b")]);
        let reported = commonest(&results, " of the first results").unwrap_or_default();
        assert_eq!(reported.lines().count(), 4, "{reported}");
        assert!(
            reported.ends_with("\n  2 records of the first results with other errors"),
            "{reported}"
        );
        assert_eq!(commonest(&[], ""), None);
    }

    #[test]
    fn errors_whose_text_names_the_record_are_counted_by_their_code() {
        let failed = |code: &str, detail: String| {
            serde_json::json!({"status": "failed",
            "error": {"code": code, "detail": detail}})
        };
        let refused = |n: u32| failed("robots_refused", format!("{n:03}.example: robots.txt"));
        let mut results: Vec<Value> = (0..900).map(refused).collect();
        assert_eq!(
            commonest(&results, "").as_deref(),
            Some("  900 records with robots_refused, such as: 000.example: robots.txt")
        );
        // The same where each record stands there twice.
        results.extend((0..900).map(refused));
        let reported = commonest(&results, "").unwrap_or_default();
        assert!(
            reported.starts_with("  1,800 records with robots_refused, such as: ")
                && reported.lines().count() == 1,
            "{reported}"
        );
        results.truncate(900);
        // Texts that several records share are shown by themselves.
        results.extend((0..140).map(|_| failed("robots_refused", "no robots.txt".to_owned())));
        results.extend((0..50).map(|_| failed("provider_unpaid", "h: HTTP 402".to_owned())));
        results.extend((0..5).map(|n| failed("provider_error", format!("{n}.example: HTTP 500"))));
        assert_eq!(
            commonest(&results, " of the first results").as_deref(),
            Some(
                "  900 records of the first results with robots_refused, such as: 000.example: \
                 robots.txt\n  140 records of the first results with robots_refused: no \
                 robots.txt\n  50 records of the first results with provider_unpaid: h: HTTP \
                 402\n  5 records of the first results with other errors"
            )
        );
    }
    use crate::api::tests::client;
    use testkit::servers::{Reply, Server};

    fn job(status: &str, found: u64) -> String {
        format!(
            r#"{{"id": "job_1", "status": "{status}", "counts": {{"total": 9, "found": {found}}}, "credits": {{"reserved": 7, "used": 2}}}}"#
        )
    }

    #[test]
    fn whom_jobs_wait_for_is_told_once() {
        let wait = |provider: &str, status: Value| {
            json!({"provider": provider, "status": status,
            "since": "s", "until": "2026-08-01T12:00:10Z"})
        };
        let jobs = [
            json!({"waiting_for": [wait("acme", json!(429)), wait("own", Value::Null)]}),
            json!({"waiting_for": [wait("acme", json!(429))]}),
            json!({"waiting_for": []}),
            json!({}),
        ];
        let reported = "; waiting for acme (HTTP 429) until 2026-08-01T12:00:10Z; waiting for own \
            until 2026-08-01T12:00:10Z";
        assert_eq!(
            (waits(&jobs).as_str(), waits(&jobs[2..]).as_str()),
            (reported, "")
        );
    }

    #[tokio::test]
    async fn following_asks_for_changes_and_ends_with_the_job() {
        let server = Server::replying(vec![
            Reply::new(200, job("running", 2)).header("etag", "\"a\""),
            Reply::new(304, ""),
            Reply::new(200, job("completed", 9)).header("etag", "\"b\""),
        ])
        .await;
        watch(
            &client(&server.url("/base")),
            &[JobId::parse("job_01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap()],
            false,
        )
        .await
        .unwrap();
        let seen = server.got();
        assert_eq!(seen.len(), 3);
        assert_eq!(
            (seen[0].get("prefer"), seen[0].get("if-none-match")),
            (None, None)
        );
        assert_eq!(
            (seen[2].get("prefer"), seen[2].get("if-none-match")),
            (Some("wait=20"), Some("\"a\""))
        );

        let server = Server::replying(vec![Reply::new(200, job("canceled", 1))]).await;
        let id = JobId::parse("job_01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        assert_eq!(
            watch(&client(&server.url("/base")), &[id], false).await,
            Err(Failure::Ended)
        );
    }

    #[test]
    fn a_server_that_holds_nobody_is_asked_less_often_until_something_changes() {
        let mut pauses = vec![ASK_EVERY];
        for _ in 0..20 {
            pauses.push(next_pause(pauses[pauses.len() - 1], true));
        }
        assert!(
            pauses
                .windows(2)
                .all(|two| two[1] > two[0] || two[1] == ASK_AT_LEAST_EVERY),
            "{pauses:?}"
        );
        assert_eq!(pauses[20], ASK_AT_LEAST_EVERY);
        assert_eq!(next_pause(pauses[20], false), ASK_EVERY);
    }
}
