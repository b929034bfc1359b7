//! The lines of records whose providers answer later, compared with the upstreams' logs.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::outcomes::Is;
use super::{Asked, Job, PRICE, Seen, known, text};

/// The detail of a failure after the upstream took the question.
const GIVEN_UP: &str = "took the question and gave no answer in time";

/// The key of the question that a record puts to the only provider of its type; the upstream gets
/// it as `Idempotency-Key`. `None` if its job has no id.
pub(super) fn question(job: &Job, n: u32) -> Option<String> {
    let (id, provider) = (job.ids.first()?, job.awaits?);
    Some(hex::encode(Sha256::digest(format!("{id}/{n}\n{provider}"))))
}

/// Classifies a line by what its upstream was asked and said.
pub(super) fn of(seen: &Seen, job: &Job, kind: &str, n: u32, line: &Value) -> Is {
    let Some(key) = question(job, n) else {
        return Is::Wrong;
    };
    let right = match (text(line, "status"), text(&line["error"], "code")) {
        ("found", _) => {
            let right =
                known(job.number(n)) && line["credits"] == PRICE && said(seen, job, &key, line);
            return if right { Is::Right } else { Is::Wrong };
        }
        ("not_found", _) if !known(job.number(n)) && looked(seen, job, &key, n) => Is::Right,
        ("canceled", _) if job.canceled => Is::Right,
        ("failed", "worker_lost") => Is::Lost,
        (
            "failed",
            "provider_error" | "rate_limited" | "provider_timeout" | "deadline_exceeded",
        ) if spoiled(seen, &key) => Is::Right,
        ("failed", "provider_timeout") if text(&line["error"], "detail").contains(GIVEN_UP) => {
            if in_vain(seen, kind, &key) {
                Is::Right
            } else {
                Is::Wrong
            }
        }
        ("failed", "provider_timeout" | "deadline_exceeded") => Is::Slow,
        _ => Is::Wrong,
    };
    if line["credits"] == 0 {
        right
    } else {
        Is::Wrong
    }
}

/// Describes, for people, the upstream's part in a record.
pub(super) fn account(seen: &Seen, job: &Job, n: u32) -> String {
    let Some(key) = question(job, n) else {
        return String::new();
    };
    let mut said = vec![format!(
        "; its upstream: {:?}",
        seen.later.questions.get(&key)
    )];
    for asked in seen
        .later
        .asked
        .iter()
        .filter(|asked| asked.question == key)
    {
        let (what, how) = (
            if asked.puts { "put" } else { "looked" },
            if asked.answered {
                "answered"
            } else {
                "spoiled"
            },
        );
        said.push(format!(
            "{what} at {:?} by {}, {how} at {:?}",
            asked.at, asked.instance, asked.over
        ));
    }
    for post in seen
        .later
        .posts
        .iter()
        .filter(|post| post.question == key && !post.forged)
    {
        said.push(format!(
            "called back {:?} to {:?}: {}",
            post.began, post.ended, post.status
        ));
    }
    said.join("; ")
}

/// A found answer must be the upstream's answer to this question, or a cached one. The upstream
/// gave a cached one to this tenant about the same number, not too long ago.
fn said(seen: &Seen, job: &Job, key: &str, line: &Value) -> bool {
    let answer = text(&line["data"], "answer");
    if line["data"] != json!({"answer": answer}) {
        return false;
    }
    let (id, again) = answer.rsplit_once('/').map_or(("", false), |(_, id)| {
        id.strip_suffix(" again")
            .map_or((id, false), |id| (id, true))
    });
    let Some((theirs, asked)) = seen
        .later
        .ids
        .get(id)
        .and_then(|key| seen.later.questions.get_key_value(key))
    else {
        return false;
    };
    let of_this_answer = format!("{}/{id}{}", asked.about, if again { " again" } else { "" });
    if answer != of_this_answer || (again && !came_first(seen, theirs, answer)) {
        return false;
    }
    if line["sources"]["answer"]["cached"] != true {
        return theirs == key;
    }
    let Some((asker, m)) = seen.asker(theirs) else {
        return false;
    };
    let kept = seen
        .later
        .limits
        .get(&asked.provider)
        .and_then(|limits| limits.kept);
    let reported = seen
        .later
        .asked
        .iter()
        .filter(|a| a.question == *theirs && a.answered)
        .filter_map(|a| a.over);
    let reported = reported.chain(
        seen.later
            .posts
            .iter()
            .filter(|p| p.question == *theirs && !p.forged)
            .map(|p| p.ended),
    );
    // It is cached when the asking record takes it, at the latest when its client saw that.
    let taken = reported.chain([asker.over]).max();
    let fresh = kept
        .zip(taken)
        .is_some_and(|(kept, taken)| job.began <= taken + kept);
    asker.tenant == job.tenant
        && asker.awaits == job.awaits
        && asker.about(m) == asked.about
        && fresh
}

/// A second post counts only where the first had not been acknowledged by then.
fn came_first(seen: &Seen, key: &str, answer: &str) -> bool {
    let posts = || {
        seen.later
            .posts
            .iter()
            .filter(|post| post.question == key && !post.forged)
    };
    let Some(this) = posts().find(|post| post.says.as_deref() == Some(answer)) else {
        return false;
    };
    !posts()
        .any(|other| other.says != this.says && other.status == 204 && other.ended <= this.began)
}

/// Returns true if the upstream was asked about this number for this tenant.
fn looked(seen: &Seen, job: &Job, key: &str, n: u32) -> bool {
    let for_this_tenant = |theirs: &String| {
        seen.asker(theirs)
            .is_some_and(|(asker, m)| asker.tenant == job.tenant && asker.about(m) == job.about(n))
    };
    seen.later.questions.contains_key(key)
        || (job.pooled.is_some() && seen.later.questions.keys().any(for_this_tenant))
}

/// Returns true if the last request about a question was not answered or, where several instances
/// put it, any request.
fn spoiled(seen: &Seen, key: &str) -> bool {
    let asked: Vec<&Asked> = seen
        .later
        .asked
        .iter()
        .filter(|asked| asked.question == key)
        .collect();
    let Some(last) = asked.last() else {
        return false;
    };
    let several = asked.iter().any(|one| one.instance != last.instance);
    !last.answered || (several && asked.iter().any(|one| !one.answered))
}

/// Returns true if the upstream took the question and did not answer it in time. An upstream that
/// only calls back: an answer acknowledged in time must have been seen. One that can be polled must
/// have been polled once more when the time was over. That time started before the upstream's
/// count, by the question's time on its way.
fn in_vain(seen: &Seen, kind: &str, key: &str) -> bool {
    let (Some(question), Some(limits)) =
        (seen.later.questions.get(key), seen.later.limits.get(kind))
    else {
        return false;
    };
    let put = seen
        .later
        .asked
        .iter()
        .filter(|asked| asked.question == key && asked.puts && asked.taken);
    let until = (put.map(|asked| asked.at).max().unwrap_or(question.taken) + limits.give_up)
        .saturating_sub(limits.timeout);
    if question.direct {
        return false;
    }
    if kind == "called" {
        let reported =
            |post: &&super::Post| post.question == key && !post.forged && post.status == 204;
        return seen
            .later
            .posts
            .iter()
            .filter(reported)
            .all(|post| post.ended > until);
    }
    let last = seen
        .later
        .asked
        .iter()
        .rfind(|asked| asked.question == key)
        .map_or(Duration::ZERO, |asked| asked.at);
    last >= until && question.ready.is_none_or(|ready| ready > last)
}

#[cfg(test)]
mod tests {
    use super::super::example::{asked, at, called, caught_in, first, kept};
    use super::super::{OUTCOME, Post, Tally, check};
    use super::*;

    fn caught(change: impl FnOnce(&mut Seen)) {
        caught_in(called(), OUTCOME, change);
    }

    /// The first record failed with this detail.
    fn failed(detail: &str) -> Seen {
        let mut seen = called();
        seen.jobs[0].lines[0] = super::super::example::line(0, "failed");
        seen.jobs[0].lines[0]["error"] =
            json!({"code": "provider_timeout", "detail": format!("called: {detail}")});
        seen.jobs[0].early.clear();
        seen
    }

    fn outcomes(seen: &Seen) -> usize {
        check(seen).of(OUTCOME)
    }

    #[test]
    fn a_run_without_fault_has_no_violation() {
        let tally: Tally = check(&called());
        assert_eq!(tally.violations, []);
        assert_eq!(
            (
                tally.later.questions,
                tally.later.requests,
                tally.later.posts
            ),
            (6, 6, 6)
        );
    }

    #[test]
    fn what_the_upstream_did_not_say_of_this_record_is_noticed() {
        for other in [
            "k.1/called-1",
            "k.0/called-1",
            "k.0/called-9",
            "forged",
            "unverified",
            "k.0/called-0 again",
        ] {
            caught(|seen| seen.jobs[0].lines[0]["data"]["answer"] = json!(other));
        }
        caught(|seen| seen.jobs[0].lines[0]["data"]["more"] = json!(1));
        caught(|seen| seen.jobs[0].lines[0]["credits"] = json!(PRICE + 1));
        caught(|seen| seen.later.questions.clear());
        // Not found is the answer to another question.
        caught(|seen| {
            drop(
                seen.later
                    .questions
                    .remove(&question(&seen.jobs[0], 4).unwrap()),
            );
        });
    }

    #[test]
    fn a_second_answer_counts_where_the_first_was_not_acknowledged_before() {
        let said_again = |began: u64, status: u16| {
            let mut seen = called();
            let says = "k.0/called-0 again".to_owned();
            seen.jobs[0].early.clear();
            seen.jobs[0].lines[0]["data"]["answer"] = json!(says);
            seen.later.posts[0].status = status;
            let post = Post {
                began: at(began),
                ended: at(began + 1),
                says: Some(says),
                ..seen.later.posts[0].clone()
            };
            seen.later.posts.push(Post {
                status: 204,
                ..post
            });
            outcomes(&seen)
        };
        assert_eq!(
            (said_again(12, 204), said_again(14, 0), said_again(14, 204)),
            (0, 0, 1)
        );
    }

    #[test]
    fn a_kept_answer_is_this_tenants_and_not_too_old() {
        // The other job's lines do not say what its questions were about; they are not checked
        // here.
        let right = |seen: &Seen| {
            let job = &seen.jobs[0];
            of(seen, job, "called", 0, &job.lines[0]) == Is::Right
        };
        assert!(right(&kept(0, at(80))));
        assert!(!right(&kept(1, at(80))), "another tenant's");
        assert!(!right(&kept(0, at(81))), "too old");
        let mut asked_anew = kept(0, at(80));
        asked_anew.jobs[0].lines[0]["sources"]["answer"]["cached"] = json!(false);
        assert!(!right(&asked_anew));
    }

    #[test]
    fn a_question_that_was_answered_in_time_was_not_given_up() {
        let given_up = failed(GIVEN_UP);
        assert_eq!(outcomes(&given_up), 1);
        let posted = |change: &dyn Fn(&mut Post)| {
            let mut seen = given_up.clone();
            change(&mut seen.later.posts[0]);
            outcomes(&seen)
        };
        assert_eq!(posted(&|post| post.ended = at(41)), 0, "too late");
        assert_eq!(posted(&|post| post.status = 0), 0, "never");
        assert_eq!(posted(&|post| post.forged = true), 0, "by somebody else");
    }

    /// For an upstream that can be polled.
    #[test]
    fn a_question_is_asked_after_before_it_is_given_up() {
        let polled = |ready: Option<u64>, looks: &[u64]| {
            let mut seen = called();
            let limits = seen.later.limits["called"].clone();
            seen.later.limits.insert("hinted".to_owned(), limits);
            seen.later.questions.get_mut(&first()).unwrap().ready = ready.map(at);
            seen.later.asked.extend(looks.iter().map(|look| Asked {
                puts: false,
                ..asked(&first(), at(*look))
            }));
            in_vain(&seen, "hinted", &first())
        };
        assert!(polled(None, &[20, 40]) && polled(Some(41), &[20, 40]));
        assert!(!polled(Some(39), &[20, 40]), "it was answered");
        assert!(
            !polled(Some(39), &[20]) && !polled(None, &[]),
            "it was not asked when its time was over"
        );
    }

    #[test]
    fn a_failure_is_right_where_the_last_request_was_spoiled() {
        let unanswered = failed("no answer from the provider (timeout)");
        assert_eq!(
            (outcomes(&unanswered), check(&unanswered).slow),
            (0, 1),
            "a busy machine"
        );
        let last = |one: Asked, two: Asked| {
            let mut seen = failed("x");
            seen.jobs[0].lines[0]["error"]["code"] = json!("provider_error");
            seen.later.asked[0] = one;
            seen.later.asked.push(two);
            outcomes(&seen)
        };
        let good = |s| asked(&first(), at(s));
        let bad = |s| Asked {
            answered: false,
            ..good(s)
        };
        let by_two = |s| Asked {
            instance: "two".to_owned(),
            ..good(s)
        };
        assert_eq!(
            (
                last(good(10), bad(19)),
                last(bad(10), good(19)),
                last(bad(10), by_two(19))
            ),
            (0, 1, 0)
        );
    }
}
