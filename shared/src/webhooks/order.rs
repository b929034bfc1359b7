//! Turns, for receivers that keep the last event they got on a URL: exchanges with such a URL never overlap, and the
//! event of an older job is not sent once that of a newer one was answered well.
//!
//! A turn is taken before the attempt's own lease and lasts as long. One that ran out belongs to an attempt that nobody
//! lived to record. It may have been answered well, so older jobs leave the URL to its repetition, for so long as that is
//! to be expected.

use std::time::Duration;

use crate::domain::delivery::Delivery;
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::jobs::{Ports, StepError, Updated, insist};
use crate::ports::{Change, Condition, Update, Value};
use crate::schema::{EXPIRES_AT, NEWEST, TURN_JOB, URL_LEASE, get_n, latest_key};

/// How long after a newer job's attempt was lost an older one waits for it to be repeated. The sweep does that within
/// minutes; the job may as well have been erased.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// When to ask again while another attempt is under way: at first, and after an eighth of the event's age, so that many
/// events behind a receiver that hangs do not cost more and more.
const SOON: Duration = Duration::from_secs(2);
const SHARE: u32 = 8;
/// When to ask again while one is to be repeated, and at the latest.
const LATER: Duration = Duration::from_secs(30);
/// How much longer than the deliveries of its job the memory of an event lasts.
const BEYOND: Duration = Duration::from_secs(7 * 24 * 3600);

/// What came of asking for the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Mine,
    /// The event of a newer job was answered well.
    Superseded,
    /// Another attempt is under way, or is to be repeated; ask again at that time.
    Wait(Timestamp),
}

/// Takes the turn for the attempt of this lease.
pub(crate) async fn take(
    ports: &Ports,
    delivery: &Delivery,
    lease: &Lease,
) -> Result<Turn, StepError> {
    let (now, job) = (ports.clock.now(), delivery.id.job.created_at());
    let over = Condition::All(vec![
        URL_LEASE.is_over(now),
        Condition::AtMost(TURN_JOB, job.0),
    ]);
    let free = Condition::Any(vec![
        URL_LEASE.is_absent(),
        // An earlier try of this very call, whose answer was lost.
        URL_LEASE.is_held_by(lease),
        over,
        URL_LEASE.is_over(now.minus(PATIENCE)),
    ]);
    let mut changes = URL_LEASE.take(lease);
    changes.extend([Change::Set(TURN_JOB, Value::N(job.0)), expiry(delivery)]);
    let condition = Some(Condition::All(vec![none_newer(job), free]));
    let update = Update {
        key: latest_key(&delivery.tenant, &delivery.url),
        changes,
        condition,
    };
    Ok(match insist(ports, update).await? {
        Updated::Yes => Turn::Mine,
        Updated::No(found) => {
            let found = found.as_ref();
            let newest = found.and_then(|item| get_n(item, NEWEST));
            if newest.is_some_and(|newest| newest > job.0) {
                Turn::Superseded
            } else {
                let held = found.and_then(|item| URL_LEASE.read(item));
                let at_work = held.is_none_or(|lease| lease.is_live(now));
                let grown = (now.since(delivery.event_at) / SHARE).clamp(SOON, LATER);
                Turn::Wait(ports.clock.now().plus(if at_work { grown } else { LATER }))
            }
        }
    })
}

/// Gives the turn back after an attempt that was not answered well, or not made. Lost, it runs out.
pub(crate) async fn give_back(ports: &Ports, delivery: &Delivery, lease: &Lease) {
    let update = Update {
        key: latest_key(&delivery.tenant, &delivery.url),
        changes: released(),
        condition: Some(URL_LEASE.is_held_by(lease)),
    };
    if let Err(error) = insist(ports, update).await {
        tracing::warn!(error = %error, "turn not given back; it runs out");
    }
}

/// Remembers that the event was answered well, and gives the turn back. Unless this is written the attempt does not
/// count: it is repeated then, after whatever older event was sent meanwhile.
pub(crate) async fn answered(
    ports: &Ports,
    delivery: &Delivery,
    lease: &Lease,
) -> Result<(), StepError> {
    let (key, job) = (
        latest_key(&delivery.tenant, &delivery.url),
        delivery.id.job.created_at(),
    );
    let newest = Change::Set(NEWEST, Value::N(job.0));
    let both = Update {
        key: key.clone(),
        changes: released().into_iter().chain([newest.clone()]).collect(),
        condition: Some(Condition::All(vec![
            URL_LEASE.is_held_by(lease),
            none_newer(job),
        ])),
    };
    if let Updated::No(_) = insist(ports, both).await? {
        // Written before and the answer lost, or the turn ran out and is another's by now: what is known stays known.
        let changes = vec![newest, expiry(delivery)];
        insist(
            ports,
            Update {
                key,
                changes,
                condition: Some(none_newer(job)),
            },
        )
        .await?;
    }
    Ok(())
}

/// No job newer than this was told and answered well.
fn none_newer(job: Timestamp) -> Condition {
    Condition::Any(vec![
        Condition::Absent(NEWEST),
        Condition::AtMost(NEWEST, job.0),
    ])
}

/// Whatever is older is gone by then: it was submitted before, and nothing is kept for longer.
fn expiry(delivery: &Delivery) -> Change {
    Change::Set(
        EXPIRES_AT,
        Value::N(delivery.expires_at.plus(BEYOND).seconds()),
    )
}

fn released() -> Vec<Change> {
    let mut changes = URL_LEASE.give_back();
    changes.push(Change::Remove(TURN_JOB));
    changes
}
