//! Leases of URLs, for receivers that keep the last event they got on a URL: exchanges with such a
//! URL never overlap, and the event of an older job is not sent once that of a newer one was
//! answered well.
//!
//! The URL's lease is taken before the attempt's own and lasts as long. One that ran out belongs to
//! an attempt that died unrecorded. It may have been answered well, so older jobs leave the URL to
//! its repetition, for as long as that is to be expected.

use std::time::Duration;

use crate::domain::delivery::Delivery;
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::jobs::{Ports, StepError, Updated, update_with_retry};
use crate::schema::latest;

/// The time that an older job's attempt waits for a lost one of a newer job to be repeated. The
/// sweep does that within minutes; the job may as well have been erased.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// The wait while another attempt is under way: at first this, then an eighth of the event's age,
/// so that many events behind a receiver that hangs do not cost more and more.
const SOON: Duration = Duration::from_secs(2);
const SHARE: u32 = 8;
/// The wait while an attempt is to be repeated, and the longest wait.
const LATER: Duration = Duration::from_secs(30);

/// The outcome of asking for the URL's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UrlAdmission {
    Mine,
    /// The event of a newer job was answered well.
    Superseded,
    /// Another attempt is under way, or is to be repeated; ask again at that time.
    Wait(Timestamp),
}

/// Takes the URL's lease for the attempt of this lease.
pub(crate) async fn take(
    ports: &Ports,
    delivery: &Delivery,
    lease: &Lease,
) -> Result<UrlAdmission, StepError> {
    let (now, job) = (ports.clock.now(), delivery.id.job.created_at());
    let update = latest::take(delivery, lease, now, now.minus(PATIENCE));
    Ok(match update_with_retry(ports, update).await? {
        Updated::Yes => UrlAdmission::Mine,
        Updated::No(found) => {
            let found = found.as_ref();
            let newest = found.and_then(latest::read_newest);
            if newest.is_some_and(|newest| newest > job) {
                UrlAdmission::Superseded
            } else {
                let held = found.and_then(latest::read_lease);
                let at_work = held.is_none_or(|lease| lease.is_live(now));
                let grown = (now.since(delivery.event_at) / SHARE).clamp(SOON, LATER);
                UrlAdmission::Wait(ports.clock.now().plus(if at_work { grown } else { LATER }))
            }
        }
    })
}

/// Gives the URL's lease back after an attempt that was not answered well, or not made. If this
/// write is lost, the lease runs out.
pub(crate) async fn give_back(ports: &Ports, delivery: &Delivery, lease: &Lease) {
    if let Err(error) = update_with_retry(ports, latest::give_back(delivery, lease)).await {
        tracing::warn!(error = %error, "lease of the URL not given back; it runs out");
    }
}

/// Stores that the event was answered well, and gives the URL's lease back. Unless this is written
/// the attempt does not count: it is repeated then, after whatever older event was sent meanwhile.
pub(crate) async fn answered(
    ports: &Ports,
    delivery: &Delivery,
    lease: &Lease,
) -> Result<(), StepError> {
    if let Updated::No(_) = update_with_retry(ports, latest::answered(delivery, lease)).await? {
        // It was written and the answer lost, or the lease ran out and is another's by now. What is
        // known stays known.
        update_with_retry(ports, latest::remember(delivery)).await?;
    }
    Ok(())
}
