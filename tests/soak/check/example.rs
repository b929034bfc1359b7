//! A small run without fault, for the tests to break.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Account, Job, PRICE, Received, Seen, Taken, check, known};

pub(super) fn line(n: u32, status: &str) -> Value {
    let data = if status == "found" { json!({"answer": n}) } else { json!({}) };
    json!({"index": n, "id": format!("n{n}"), "metadata": {"n": n}, "input": {"key": format!("k.{n}")}, "status": status,
           "data": data, "credits": if status == "found" { PRICE } else { 0 }, "error": null})
}

/// One job of six records that was seen before its end, told twice and taken the second time.
pub(super) fn good() -> Seen {
    let shown = |status: &str, found: u64, not_found: u64| {
        json!({"id": "job_1", "status": status, "completed_at": null, "credits": {"used": found * PRICE},
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
    let delivery = json!({"event_id": "evt_1", "type": "job.completed", "state": "delivered", "attempts": 2});
    let lines: Vec<Value> = (0..6).map(|n| line(n, if known(n) { "found" } else { "not_found" })).collect();
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
        received: vec![received.clone(), Received { taken: Taken::Yes, ..received }],
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

/// This change breaks this rule.
#[track_caller]
pub(super) fn caught(rule: &str, change: impl FnOnce(&mut Seen)) {
    let mut seen = good();
    change(&mut seen);
    let tally = check(&seen);
    assert!(tally.of(rule) > 0, "not noticed: {rule}; but {:?}", tally.violations);
}
