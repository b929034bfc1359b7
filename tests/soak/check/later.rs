//! The lines of records whose providers answer later, held against what their upstreams saw and said.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::outcomes::Is;
use super::{Asked, Job, PRICE, Seen, known, text};

/// The key of the question that a record puts to the only provider of its type: what the upstream gets as its
/// `Idempotency-Key`. `None`: its job has no id.
pub(super) fn question(job: &Job, n: u32) -> Option<String> {
    let (id, provider) = (job.ids.first()?, job.awaits?);
    Some(hex::encode(Sha256::digest(format!("{id}/{n}\n{provider}"))))
}

/// How a line stands to what its upstream was asked and said.
pub(super) fn of(seen: &Seen, job: &Job, kind: &str, n: u32, line: &Value) -> Is {
    let Some(key) = question(job, n) else { return Is::Wrong };
    let right = match (text(line, "status"), text(&line["error"], "code")) {
        ("found", _) => {
            let right = known(job.number(n)) && line["credits"] == PRICE && said(seen, job, &key, line);
            return if right { Is::Right } else { Is::Wrong };
        }
        ("not_found", _) if !known(job.number(n)) && looked(seen, job, &key, n) => Is::Right,
        ("canceled", _) if job.canceled => Is::Right,
        ("failed", "worker_lost") => Is::Lost,
        ("failed", "provider_error" | "rate_limited" | "provider_timeout" | "deadline_exceeded") if spoiled(seen, &key) => {
            Is::Right
        }
        ("failed", "provider_timeout") if in_vain(seen, kind, &key) => Is::Right,
        ("failed", "provider_timeout" | "deadline_exceeded") => Is::Slow,
        _ => Is::Wrong,
    };
    if line["credits"] == 0 { right } else { Is::Wrong }
}

/// A found answer is one that the upstream gave to this question, or a kept one that it gave to this tenant about the same
/// number not too long ago.
fn said(seen: &Seen, job: &Job, key: &str, line: &Value) -> bool {
    let answer = text(&line["data"], "answer");
    if line["data"] != json!({"answer": answer}) {
        return false;
    }
    let (id, again) = answer.rsplit_once('/').map_or(("", false), |(_, id)| {
        id.strip_suffix(" again").map_or((id, false), |id| (id, true))
    });
    let Some((theirs, asked)) = seen.later.ids.get(id).and_then(|key| seen.later.questions.get_key_value(key)) else {
        return false;
    };
    let of_this_answer = format!("{}/{id}{}", asked.about, if again { " again" } else { "" });
    if answer != of_this_answer || (again && !came_first(seen, theirs, answer)) {
        return false;
    }
    if line["sources"]["answer"]["cached"] != true {
        return theirs == key;
    }
    let Some((asker, m)) = seen.asker(theirs) else { return false };
    let kept = seen.later.limits.get(&asked.provider).and_then(|limits| limits.kept);
    let told = seen.later.asked.iter().filter(|a| a.question == *theirs && a.answered).filter_map(|a| a.over);
    let told = told.chain(seen.later.posts.iter().filter(|p| p.question == *theirs && !p.forged).map(|p| p.ended)).max();
    let fresh = kept.zip(told).is_some_and(|(kept, told)| job.began <= told + kept);
    asker.tenant == job.tenant && asker.awaits == job.awaits && asker.about(m) == asked.about && fresh
}

/// What was posted a second time counts only where the first had not been acknowledged by then.
fn came_first(seen: &Seen, key: &str, answer: &str) -> bool {
    let posts = || seen.later.posts.iter().filter(|post| post.question == key && !post.forged);
    let Some(this) = posts().find(|post| post.says.as_deref() == Some(answer)) else { return false };
    !posts().any(|other| other.says != this.says && other.status == 204 && other.ended <= this.began)
}

/// The upstream was asked about this number for this tenant.
fn looked(seen: &Seen, job: &Job, key: &str, n: u32) -> bool {
    let for_this_tenant = |theirs: &String| {
        seen.asker(theirs).is_some_and(|(asker, m)| asker.tenant == job.tenant && asker.about(m) == job.about(n))
    };
    seen.later.questions.contains_key(key) || (job.pooled.is_some() && seen.later.questions.keys().any(for_this_tenant))
}

/// The last request about a question was not answered, or, where several instances put it, any.
fn spoiled(seen: &Seen, key: &str) -> bool {
    let asked: Vec<&Asked> = seen.later.asked.iter().filter(|asked| asked.question == key).collect();
    let Some(last) = asked.last() else { return false };
    let several = asked.iter().any(|one| one.instance != last.instance);
    !last.answered || (several && asked.iter().any(|one| !one.answered))
}

/// The upstream took the question and did not answer it in time. Where it calls back and nothing else, an answer that was
/// acknowledged in time must have been seen.
fn in_vain(seen: &Seen, kind: &str, key: &str) -> bool {
    let (Some(question), Some(limits)) = (seen.later.questions.get(key), seen.later.limits.get(kind)) else { return false };
    let put = seen.later.asked.iter().filter(|asked| asked.question == key && asked.puts && asked.taken);
    let until = put.map(|asked| asked.at).max().unwrap_or(question.taken) + limits.give_up;
    if question.direct {
        return false;
    }
    if kind == "called" {
        let told = |post: &&super::Post| post.question == key && !post.forged && post.status == 204;
        return seen.later.posts.iter().filter(told).all(|post| post.ended > until);
    }
    question.ready.is_none_or(|ready| ready > until)
}
