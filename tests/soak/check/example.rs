//! A small run without fault, for the tests to break.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Account, Asked, Dead, Job, Later, PRICE, Post, Question, Received, Seen, Taken, UpstreamLimits,
    check, known, later,
};

pub(super) fn line(n: u32, status: &str) -> Value {
    let data = if status == "found" {
        json!({"answer": n})
    } else {
        json!({})
    };
    json!({"index": n, "id": format!("n{n}"), "metadata": {"n": n},
           "input": {"key": format!("k.{n}")}, "status": status,
           "data": data, "credits": if status == "found" { PRICE } else { 0 }, "error": null})
}

/// One job of six records that was seen before its end, notified twice and accepted the second
/// time.
pub(super) fn good() -> Seen {
    let shown = |status: &str, found: u64, not_found: u64| {
        json!({"id": "job_1", "status": status, "completed_at": null,
               "credits": {"used": found * PRICE},
               "counts": {"total": 6, "found": found, "not_found": not_found, "failed": 0}})
    };
    let mut end = shown("completed", 5, 1);
    end["completed_at"] = json!("t");
    let event = json!({"type": "job.completed", "data": {"id": "job_1", "counts": end["counts"]}});
    let received = Received {
        at: Duration::from_secs(5),
        key: "k".to_owned(),
        id: "evt_1".to_owned(),
        body: event.to_string().into(),
        verified: true,
        taken: Taken::No,
    };
    let delivery =
        json!({"event_id": "evt_1", "type": "job.completed", "state": "delivered", "attempts": 2});
    let lines: Vec<Value> = (0..6)
        .map(|n| line(n, if known(n) { "found" } else { "not_found" }))
        .collect();
    Seen {
        jobs: vec![Job {
            key: "k".to_owned(),
            ids: BTreeSet::from(["job_1".to_owned()]),
            records: 6,
            shown: vec![shown("queued", 0, 0), shown("running", 2, 0), end.clone()],
            early: vec![Vec::new(), lines[..2].to_vec()],
            end: Some(end.clone()),
            later: Some(end),
            lines,
            deliveries: vec![delivery],
            ..Job::default()
        }],
        received: vec![
            received.clone(),
            Received {
                taken: Taken::Yes,
                ..received
            },
        ],
        accounts: vec![Account {
            granted: 100,
            shown: json!({"credits": {"balance": 85, "used": 15}, "usage": {"open_chunks": 0}}),
            listed: vec!["job_1".to_owned()],
        }],
        answered: (0..6).map(|n| ("k".to_owned(), n)).collect(),
        attempts: 3,
        ..Seen::default()
    }
}

/// The same with a job whose upstream called back for each record, 2 s after its request, one a
/// second from 10 s on.
pub(super) fn called() -> Seen {
    let mut seen = good();
    seen.jobs[0].awaits = Some("called");
    (seen.jobs[0].began, seen.jobs[0].over) = (at(9), at(20));
    let limits = UpstreamLimits {
        rate: 2.0,
        concurrency: 2,
        timeout: at(2),
        give_up: at(30),
        failures: 3,
        open: at(2),
        kept: Some(at(60)),
    };
    let mut log = Later {
        limits: [("called".to_owned(), limits)].into(),
        ..Later::default()
    };
    for n in 0..6 {
        let key = later::question(&seen.jobs[0], n).unwrap();
        let question = Question {
            provider: "called".to_owned(),
            id: format!("called-{n}"),
            about: format!("k.{n}"),
            taken: at(10 + u64::from(n)),
            ready: Some(at(12 + u64::from(n))),
            direct: false,
        };
        let says = known(n).then(|| format!("k.{n}/called-{n}"));
        if let Some(says) = &says {
            let job = &mut seen.jobs[0];
            for lines in job.early.iter_mut().chain([&mut job.lines]) {
                lines
                    .iter_mut()
                    .filter(|line| line["index"] == n)
                    .for_each(|line| line["data"]["answer"] = json!(says));
            }
        }
        let (began, ended) = (at(12 + u64::from(n)), at(13 + u64::from(n)));
        log.posts.push(Post {
            question: key.clone(),
            forged: false,
            says,
            began,
            ended,
            status: 204,
        });
        log.asked.push(asked(&key, question.taken));
        log.ids.insert(question.id.clone(), key.clone());
        log.questions.insert(key, question);
    }
    seen.later = log;
    seen
}

pub(super) fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A question that was put and taken, and answered within 100 ms.
pub(super) fn asked(key: &str, when: Duration) -> Asked {
    Asked {
        at: when,
        over: Some(when + Duration::from_millis(100)),
        read: Some(when + Duration::from_millis(150)),
        provider: "called".to_owned(),
        instance: "one".to_owned(),
        question: key.to_owned(),
        puts: true,
        taken: true,
        answered: true,
        wait: None,
    }
}

/// The first record's question, as [`called`] has it.
pub(super) fn first() -> String {
    later::question(&called().jobs[0], 0).unwrap()
}

/// The second job, of the same tenant or another. It asks about the first number that [`called`]
/// asked about, and has the answer cached then.
pub(super) fn kept(tenant: usize, began: Duration) -> Seen {
    let mut seen = called();
    let first = seen.jobs.remove(0);
    let pooled = |job: Job| Job {
        pooled: Some(0),
        ..job
    };
    let mut second = Job {
        key: "l".to_owned(),
        ids: ["job_2".to_owned()].into(),
        tenant,
        records: 1,
        ..first.clone()
    };
    (second.began, second.over) = (began, began + at(5));
    second.lines.truncate(1);
    second.lines[0]["data"]["answer"] = json!("pool.0/called-0");
    second.lines[0]["sources"] = json!({"answer": {"provider": "called", "cached": true}});
    second.lines[0]["input"]["key"] = json!("pool.0");
    seen.jobs = vec![pooled(second), pooled(first)];
    seen.later
        .questions
        .values_mut()
        .for_each(|question| question.about = question.about.replace("k.", "pool."));
    seen
}

/// The upstream is dead from 30 s to 34 s; one instance asks it `times` times meanwhile.
pub(super) fn dead(times: u64) -> Seen {
    let mut seen = called();
    seen.later.dead.push(Dead {
        provider: "called".to_owned(),
        from: at(30),
        until: at(34),
    });
    seen.later.limits.get_mut("called").unwrap().rate = 100.0;
    for n in 0..times {
        let when = at(30) + Duration::from_millis(n * 200);
        seen.later.asked.push(Asked {
            taken: false,
            answered: false,
            ..asked(&first(), when)
        });
    }
    seen
}

/// Asserts that this change breaks this rule.
#[track_caller]
pub(super) fn caught(rule: &str, change: impl FnOnce(&mut Seen)) {
    caught_in(good(), rule, change);
}

/// The same for another run.
#[track_caller]
pub(super) fn caught_in(mut seen: Seen, rule: &str, change: impl FnOnce(&mut Seen)) {
    change(&mut seen);
    let tally = check(&seen);
    assert!(
        tally.of(rule) > 0,
        "not noticed: {rule}; but {:?}",
        tally.violations
    );
}
