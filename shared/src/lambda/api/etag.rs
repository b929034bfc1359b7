//! The tag of a watched job.

use sha2::{Digest, Sha256};

use crate::domain::job::WaitingFor;

/// Two parts, the second only where records wait for providers.
pub(super) fn etag(state: &str, waiting_for: &[WaitingFor]) -> String {
    let digest = |text: &[u8], bytes| hex::encode(&Sha256::digest(text)[..bytes]);
    let state = digest(state.as_bytes(), 16);
    let waits: Vec<_> = waiting_for
        .iter()
        .map(|wait| (&wait.provider, wait.status, wait.since.0, wait.until.0))
        .collect();
    // Weak: the estimate, which only the clock moves, is left out of it.
    if waits.is_empty() {
        return format!("W/\"{state}\"");
    }
    format!(
        "W/\"{state}.{}\"",
        digest(format!("{waits:?}").as_bytes(), 4)
    )
}

/// Weak comparison (RFC 9110, section 13.1.2).
pub(super) fn matches_tag(tags: &str, tag: &str) -> bool {
    let opaque = |t: &str| t.trim().trim_start_matches("W/").to_owned();
    tags.split(',')
        .any(|t| t.trim() == "*" || opaque(t) == opaque(tag))
}

/// The same by the first part alone.
pub(super) fn matches_state(tags: &str, tag: &str) -> bool {
    let state = |t: &str| {
        t.trim()
            .trim_start_matches("W/")
            .trim_matches('"')
            .split('.')
            .next()
            .map(str::to_owned)
    };
    tags.split(',')
        .any(|t| t.trim() == "*" || state(t) == state(tag))
}
