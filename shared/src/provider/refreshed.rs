//! What is read from outside of the bundle, kept in this process, and read again.
//!
//! Whoever finds nothing kept reads, and the others wait for what comes. After [`FRESH`] the first who asks reads again while
//! the others go on with what is kept; what cannot be read again stays in use, whatever the reason: the record that needs it is
//! better served by it than by none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limited::OUTAGE;
use super::{Answer, Later, Question};
use crate::domain::time::Timestamp;
use crate::ports::{AssetError, Clock};

/// What is kept is read again after this long: a new secret is in use within it, at 12 calls an hour and process.
pub const FRESH: Duration = Duration::from_secs(300);
/// Nobody tries again sooner after a failure: the records of a chunk all want to know.
pub const PAUSE: Duration = Duration::from_secs(5);

/// A value of elsewhere.
pub(super) struct Refreshed<T> {
    kept: Mutex<Kept<T>>,
    reading: tokio::sync::Mutex<()>,
}

struct Kept<T> {
    value: Option<Arc<T>>,
    /// When it was last read or tried to.
    read_at: Option<Timestamp>,
    /// Why that failed.
    fault: Option<Unread>,
}

impl<T> Kept<T> {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let good_for = if self.fault.is_none() { FRESH } else { PAUSE };
        self.read_at.is_some_and(|at| now < at.plus(good_for))
    }

    fn known(&self) -> Option<Result<Arc<T>, Unread>> {
        self.value.clone().map(Ok).or_else(|| self.fault.clone().map(Err))
    }
}

/// Why something was not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread {
    /// For people: what it is, why, and what to do.
    why: String,
    /// Asking again may help.
    passing: bool,
}

impl Unread {
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), passing: false }
    }

    /// `what` could not be read.
    pub(super) fn of(what: &str, error: &AssetError) -> Self {
        let advice = match error {
            AssetError::Missing => "; create it, in the region of the functions",
            AssetError::Refused(_) => "; see that it exists, and that the role of enrich may read it",
            AssetError::TooLarge(_) => "; raise `max_mib`",
            AssetError::Unavailable(_) => "",
        };
        Self { why: format!("{what}: {error}{advice}"), passing: matches!(error, AssetError::Unavailable(_)) }
    }

    pub(super) fn why(self) -> String {
        self.why
    }

    /// The answer to a question that needs it. Where it may be there soon, a question that nobody else is left to answer, or that
    /// was taken before, is put again then.
    pub(super) fn answer(self, question: &Question<'_>) -> Answer {
        if self.passing && (question.last || question.earlier.is_some()) {
            let ticket = question.earlier.map(|earlier| earlier.ticket.clone());
            return Answer::Later(Later { ticket, look_in: PAUSE, give_up_in: OUTAGE, refused: true });
        }
        Answer::failed("provider_error", self.why)
    }
}

impl<T> Default for Refreshed<T> {
    fn default() -> Self {
        let kept = Kept { value: None, read_at: None, fault: None };
        Self { kept: Mutex::new(kept), reading: tokio::sync::Mutex::default() }
    }
}

impl<T> Refreshed<T> {
    /// The value. `read` is handed the one that is kept, and says `None` where it is still the same.
    pub(super) async fn get<F>(
        &self,
        clock: &dyn Clock,
        read: impl FnOnce(Option<Arc<T>>) -> F,
    ) -> Result<Arc<T>, Unread>
    where
        F: Future<Output = Result<Option<T>, Unread>>,
    {
        let (known, fresh) = self.look(clock.now());
        let held = match known {
            Some(known) if fresh => return known,
            Some(Ok(value)) => match self.reading.try_lock() {
                Ok(held) => held,
                Err(_) => return Ok(value),
            },
            _ => self.reading.lock().await,
        };
        // Somebody else may have read meanwhile.
        let known = match self.look(clock.now()) {
            (Some(known), true) => known,
            _ => self.read(clock, read).await,
        };
        drop(held);
        known
    }

    /// Another value than `doubted`, which was used to no good: read now, unless somebody did in the last [`PAUSE`]. `None`
    /// where there is no other.
    pub(super) async fn another<F>(
        &self,
        doubted: &Arc<T>,
        clock: &dyn Clock,
        read: impl FnOnce(Option<Arc<T>>) -> F,
    ) -> Option<Arc<T>>
    where
        F: Future<Output = Result<Option<T>, Unread>>,
    {
        let held = self.reading.lock().await;
        let other = |value: &Arc<T>| !Arc::ptr_eq(value, doubted);
        let (known, recent) = {
            let kept = self.kept();
            (kept.value.clone(), kept.read_at.is_some_and(|at| clock.now() < at.plus(PAUSE)))
        };
        let known = match known {
            Some(known) if recent || other(&known) => Some(known),
            _ => self.read(clock, read).await.ok(),
        };
        drop(held);
        known.filter(other)
    }

    /// Reads, and keeps what comes. For who holds `reading`.
    async fn read<F>(&self, clock: &dyn Clock, read: impl FnOnce(Option<Arc<T>>) -> F) -> Result<Arc<T>, Unread>
    where
        F: Future<Output = Result<Option<T>, Unread>>,
    {
        let before = self.kept().value.clone();
        let came = read(before).await;
        let mut kept = self.kept();
        kept.read_at = Some(clock.now());
        kept.fault = None;
        match came {
            Ok(Some(value)) => kept.value = Some(Arc::new(value)),
            Ok(None) => {}
            Err(fault) => {
                if kept.value.is_some() {
                    tracing::warn!(why = fault.why, "what was read earlier stays in use");
                }
                kept.fault = Some(fault);
            }
        }
        kept.known().unwrap_or_else(|| Err(Unread::lasting("nothing was read")))
    }

    /// What is known, and whether it is to be left at that.
    fn look(&self, now: Timestamp) -> (Option<Result<Arc<T>, Unread>>, bool) {
        let kept = self.kept();
        (kept.known(), kept.is_fresh(now))
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
