//! The events that a job's receiver got, compared with the delivery log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Job, NOTIFIED, OTHER_ID, Received, SIGNED, Seen, Taken, Tally, text};

/// Returns the event in a request's body, or null if there is none.
pub(super) fn event(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap_or_default()
}

/// Judges a job that ended and still exists.
pub(super) fn judge(seen: &Seen, job: &Job, status: &str, tally: &mut Tally) {
    let expected = 1 + if job.tells_of_records {
        job.records as usize
    } else {
        0
    };
    if job.deliveries.len() != expected {
        tally.wrong(
            NOTIFIED,
            Some(job),
            format!("{} deliveries, not {expected}", job.deliveries.len()),
        );
    }
    let ends = job
        .deliveries
        .iter()
        .filter(|d| text(d, "type") == format!("job.{status}"))
        .count();
    if ends != 1 {
        tally.wrong(
            NOTIFIED,
            Some(job),
            format!("{ends} deliveries of its end, {status}"),
        );
    }
    let got: Vec<&Received> = seen.received.iter().filter(|r| r.key == job.key).collect();
    let gone = got.iter().any(|r| r.taken == Taken::Gone);
    for delivery in &job.deliveries {
        let (state, reason, id) = (
            text(delivery, "state"),
            text(delivery, "reason"),
            text(delivery, "event_id"),
        );
        *tally.deliveries.entry(state.to_owned()).or_default() += 1;
        let came: Vec<&&Received> = got.iter().filter(|r| r.id == id).collect();
        let right = match (state, reason) {
            ("delivered", _) => came
                .iter()
                .any(|r| matches!(r.taken, Taken::Yes | Taken::Perhaps)),
            ("exhausted", "attempts_used_up") => {
                delivery["attempts"].as_u64() >= Some(seen.attempts)
            }
            ("exhausted", "endpoint_gone" | "endpoint_disabled") => gone,
            _ => false,
        };
        if !right {
            tally.wrong(
                NOTIFIED,
                Some(job),
                format!("its receiver got {} of {delivery}", came.len()),
            );
        }
    }
    let logged: BTreeSet<&str> = job.deliveries.iter().map(|d| text(d, "event_id")).collect();
    came(seen, job, Some(&logged), tally);
}

/// Each event has one id, which the log knows, where there is a log: an erased job has none. Each
/// event is about this job alone, and reports the end that it had.
pub(super) fn came(seen: &Seen, job: &Job, logged: Option<&BTreeSet<&str>>, tally: &mut Tally) {
    let mut ids: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for received in seen.received.iter().filter(|r| r.key == job.key) {
        let event = event(received);
        let (kind, of) = (text(&event, "type"), &event["data"]);
        ids.entry(format!("{kind} {}", of["result"]["index"]))
            .or_default()
            .insert(&received.id);
        let right = match (kind, &job.end) {
            ("record.finished", _) => job.tells_of_records && job.ids.contains(text(of, "job_id")),
            (_, Some(end)) => {
                kind == format!("job.{}", text(end, "status")) && of["counts"] == end["counts"]
            }
            ("job.canceled", None) => job.canceled && of["counts"]["total"] == job.records,
            ("job.completed", None) => of["counts"]["total"] == job.records,
            _ => false,
        };
        if !right || (kind != "record.finished" && !job.ids.contains(text(of, "id"))) {
            tally.wrong(
                SIGNED,
                Some(job),
                format!("the event tells of something else: {event}"),
            );
        }
    }
    for (what, ids) in ids {
        if ids.len() != 1 || logged.is_some_and(|logged| !ids.is_subset(logged)) {
            tally.wrong(
                OTHER_ID,
                Some(job),
                format!("{what} came as {ids:?}; the log has {logged:?}"),
            );
        }
    }
}

/// Signatures, and the same bytes at every attempt, erased jobs' events included.
pub(super) fn bodies(seen: &Seen, tally: &mut Tally) {
    let mut bodies: BTreeMap<&str, &Received> = BTreeMap::new();
    for received in &seen.received {
        let first = *bodies.entry(&received.id).or_insert(received);
        let job = seen.jobs.iter().find(|j| j.key == received.key);
        if !received.verified {
            tally.wrong(
                SIGNED,
                job,
                format!("the signature of {} is wrong", received.id),
            );
        }
        if (&first.body, &first.key) != (&received.body, &received.key) {
            tally.wrong(
                SIGNED,
                job,
                format!(
                    "{} came with another body or to another receiver",
                    received.id
                ),
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
    fn a_second_id_of_an_event_is_noticed() {
        caught(OTHER_ID, |seen| seen.received[0].id = "evt_2".to_owned());
        caught(OTHER_ID, |seen| {
            seen.jobs[0].deliveries[0]["event_id"] = json!("evt_2");
        });
    }

    #[test]
    fn a_changed_body_is_noticed() {
        caught(SIGNED, |seen| seen.received[1].body.push(b' '));
        caught(SIGNED, |seen| seen.received[0].verified = false);
    }

    #[test]
    fn an_event_of_something_else_is_noticed() {
        let reported = |event: Value| {
            move |seen: &mut Seen| {
                for received in &mut seen.received {
                    received.body = event.to_string().into();
                }
            }
        };
        let counts = json!({"total": 6, "found": 5, "not_found": 1, "failed": 0});
        caught(
            SIGNED,
            reported(json!({"type": "job.completed", "data": {"id": "job_1", "counts": {}}})),
        );
        caught(
            SIGNED,
            reported(json!({"type": "job.completed", "data": {"id": "job_2", "counts": counts}})),
        );
        caught(
            SIGNED,
            reported(json!({"type": "job.canceled", "data": {"id": "job_1", "counts": counts}})),
        );
        let of_a_record =
            json!({"type": "record.finished", "data": {"job_id": "job_1", "result": {"index": 0}}});
        caught(SIGNED, reported(of_a_record));
    }

    #[test]
    fn an_event_that_never_came_is_noticed() {
        caught(NOTIFIED, |seen| seen.received.truncate(1));
        caught(NOTIFIED, |seen| seen.jobs[0].deliveries.clear());
        caught(NOTIFIED, |seen| {
            seen.jobs[0].deliveries[0]["state"] = json!("pending");
        });
        caught(NOTIFIED, |seen| {
            seen.jobs[0].deliveries[0]["type"] = json!("job.canceled");
        });
        let exhausted = |reason: &'static str| {
            move |seen: &mut Seen| {
                seen.jobs[0].deliveries[0]["state"] = json!("exhausted");
                seen.jobs[0].deliveries[0]["reason"] = json!(reason);
            }
        };
        caught(NOTIFIED, exhausted("attempts_used_up"));
        caught(NOTIFIED, exhausted("endpoint_gone"));
    }
}
