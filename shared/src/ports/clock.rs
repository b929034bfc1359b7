//! Time.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::time::Timestamp;

/// Time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Returns the time now. It may go back where a machine's clock is set.
    fn now(&self) -> Timestamp;
    /// Waits for a duration, or longer where the function is frozen meanwhile.
    async fn sleep(&self, duration: Duration);
}

/// Runs `work` under a deadline. `None` when the time was up first; the work is dropped then.
pub async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    use futures_util::future::{Either, select};
    match select(std::pin::pin!(work), clock.sleep(limit)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}
