//! Shares a record's time among its providers.

use std::time::Duration;

use super::step::Step;

/// Returns the time that a provider may take of what is left: its own time-out, cut so that the
/// later ones keep theirs, but never below an equal share.
pub(super) fn share(left: Duration, own: Option<Duration>, later: &[&Step]) -> Duration {
    let wanted_later: Duration = later.iter().filter_map(|s| s.timeout).sum();
    let waiting = later.iter().filter(|s| s.timeout.is_some()).count();
    let equal = left / u32::try_from(waiting + 1).unwrap_or(u32::MAX);
    let free = left.saturating_sub(wanted_later).max(equal);
    own.map_or(free, |own| own.min(free))
}
