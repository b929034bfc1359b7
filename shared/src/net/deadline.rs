//! The one place that waits on real time.

use std::time::Duration;

/// Runs `work` for at most `limit`. `None` when the time was up first; the work is dropped then,
/// and its sockets closed.
#[expect(
    clippy::disallowed_methods,
    reason = "waits on real sockets, which a simulated clock cannot move"
)]
pub(super) async fn limited<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
