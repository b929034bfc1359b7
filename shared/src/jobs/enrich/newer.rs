//! Jobs that a newer version accepted: during a deployment, submit may know what enrich does not
//! know yet.

use std::time::Duration;

use crate::domain::job::{Job, Status};
use crate::domain::suspended::Suspended;
use crate::domain::time::Timestamp;
use crate::providers::Registry;

/// The longest that a deployment goes on after submit was updated. What a job of this age names and
/// enrich does not know, enrich will not learn.
pub const DEPLOYED_WITHIN: Duration = Duration::from_secs(15 * 60);
/// The shortest and the longest time until a job's chunk is tried again.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Returns what a job asks for that this version's configuration does not have: its type, a
/// provider for it where submit saw one, one of the providers that the request names, or one that a
/// record waits for.
pub(crate) fn unknown<'a>(
    registry: &Registry,
    job: &'a Job,
    suspended: impl IntoIterator<Item = &'a Suspended>,
) -> Option<String> {
    let spec = &job.spec;
    // Its records end without a request to any provider.
    if spec.unconfigured.is_some() || matches!(job.status, Status::Canceling | Status::Expiring) {
        return None;
    }
    let Some(kind) = registry.kind(&spec.kind) else {
        return Some(format!("type {}", spec.kind));
    };
    if kind.usable().is_err() {
        return Some(format!("a provider for type {}", spec.kind));
    }
    let mut named = spec
        .providers
        .iter()
        .flatten()
        .map(String::as_str)
        .chain(suspended.into_iter().map(Suspended::provider));
    named
        .find(|name| !kind.providers().any(|provider| provider == *name))
        .map(|name| format!("provider {name} of type {}", spec.kind))
}

/// Returns when to try again what is [`unknown`], or `None` where the job is too old to wait for a
/// deployment. The wait grows with the job's age, so that a chunk's messages stay few.
pub(crate) fn try_again_at(job: &Job, now: Timestamp) -> Option<Timestamp> {
    let (created_at, until) = (
        job.spec.created_at,
        job.spec.created_at.plus(DEPLOYED_WITHIN),
    );
    let wait = (now.since(created_at) / 2).clamp(AGAIN.0, AGAIN.1);
    (now < until).then(|| now.plus(wait).min(until))
}
