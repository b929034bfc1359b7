//! What is read from outside of the bundle, kept in this process, and read again.
//!
//! Whoever finds nothing kept reads, and the others wait with it. After [`REFRESH_AFTER`] it is read again while what is kept stays in
//! use; what cannot be read again stays in use, whatever the reason: a record that needs it is better served by it than by none.
//!
//! A reading belongs to nobody: whoever asks drives it on, and one whose time is up leaves it to the next, so that what takes
//! longer than any record may is read all the same.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use crate::domain::record::FailureCode;
use crate::domain::time::Timestamp;
use crate::ports::{AssetError, within};
use crate::providers::guards::guarded::later;
use crate::providers::{Answer, Ports, Question};

/// What is kept is read again after this long, give or take a fifth, so that processes which began together do not read
/// together for ever: a new secret is in use within it, at 12 calls an hour and process.
pub const REFRESH_AFTER: Duration = Duration::from_secs(300);
/// Nobody tries again sooner after a failure: the records of a chunk all want to know.
pub const PAUSE: Duration = Duration::from_secs(5);
/// The same where something is kept that serves meanwhile.
const PAUSE_WITH_VALUE: Duration = Duration::from_secs(30);
/// With something kept, whoever begins a reading waits for it this long.
const WAIT_WITH_VALUE: Duration = Duration::from_millis(500);
/// A record whose provider could be asked once this is read waits so long before the next provider is asked instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a reading comes to: `None` where it is what it was.
pub(crate) type Reading<T> = BoxFuture<'static, Result<Option<T>, Unread>>;

/// A value of elsewhere.
pub(crate) struct CachedAsset<T>(Arc<Mutex<CacheState<T>>>);

struct CacheState<T> {
    value: Option<Arc<T>>,
    /// Why the last reading failed, if it did.
    fault: Option<Unread>,
    /// When to read again.
    until: Option<Timestamp>,
    rejected_at: Option<Timestamp>,
    reading: Option<Shared<BoxFuture<'static, ()>>>,
}

/// Why something was not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    /// For the operator: what it is, why, and what to do. Not for tenants, who have no business with it.
    why: String,
    /// The same for the log, where it must hold nothing of the content.
    logged: Option<String>,
    /// Asking again may help.
    passing: bool,
}

impl Unread {
    pub(crate) fn lasting(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            logged: None,
            passing: false,
        }
    }

    /// As [`lasting`](Self::lasting), with other words for the log.
    pub(crate) fn logged_as(self, logged: &str) -> Self {
        Self {
            logged: Some(logged.to_owned()),
            ..self
        }
    }

    /// It is not read yet.
    pub(crate) fn soon() -> Self {
        Self {
            why: "it is still being read".to_owned(),
            logged: None,
            passing: true,
        }
    }

    /// `what` could not be read.
    pub(crate) fn of(what: &str, error: &AssetError) -> Self {
        let advice = match error {
            AssetError::Missing => "; create it, in the region of the functions",
            AssetError::Refused(_) => {
                "; see that it exists, and that the role of enrich may read it"
            }
            AssetError::TooLarge(_) => "; raise `max_mib`",
            AssetError::Unavailable(_) => "",
        };
        let passing = matches!(error, AssetError::Unavailable(_));
        Self {
            why: format!("{what}: {error}{advice}"),
            logged: None,
            passing,
        }
    }

    pub(crate) fn why(self) -> String {
        self.why
    }

    /// The answer to a question that needs it. What may be there soon is waited for: for a while where somebody else could be
    /// asked, longer where nobody could or the question was taken before.
    pub(crate) fn answer(self, question: &Question<'_>, ports: &Ports) -> Answer {
        if !self.passing {
            let detail = "what this provider needs cannot be read; the operator's log and `millrace providers check` say why";
            return Answer::failed(FailureCode::ProviderError, detail);
        }
        let waits = question.last || question.earlier.is_some();
        let patience = if waits {
            question.wait
        } else {
            PATIENCE.min(question.wait)
        };
        later(
            ports.clock.now().plus(PAUSE),
            patience,
            question,
            true,
            None,
            ports,
        )
    }
}

impl<T> Default for CachedAsset<T> {
    fn default() -> Self {
        let kept = CacheState {
            value: None,
            fault: None,
            until: None,
            rejected_at: None,
            reading: None,
        };
        Self(Arc::new(Mutex::new(kept)))
    }
}

impl<T: Send + Sync + 'static> CachedAsset<T> {
    /// The value, waited for at most `wait` where there is none. `read` is handed the one that is kept.
    pub(crate) async fn get(
        &self,
        wait: Duration,
        ports: &Ports,
        read: impl FnOnce(Option<Arc<T>>) -> Reading<T>,
    ) -> Result<Arc<T>, Unread> {
        let (reading, wait) = {
            let mut kept = lock(&self.0);
            let known = kept.known();
            if let Some(known) = known.clone().filter(|_| kept.is_fresh(ports.clock.now())) {
                return known;
            }
            let begun = kept.reading.is_some();
            let reading = self.reading(&mut kept, ports, read);
            match known {
                Some(Ok(value)) if begun => {
                    drop(kept);
                    // Only helped on.
                    let _ = reading.now_or_never();
                    return Ok(value);
                }
                Some(Ok(_)) => (reading, WAIT_WITH_VALUE.min(wait)),
                _ => (reading, wait),
            }
        };
        let done = within(ports.clock.as_ref(), wait, reading).await;
        let known = lock(&self.0).known();
        match known {
            Some(Err(_)) | None if done.is_none() => Err(Unread::soon()),
            known => known.unwrap_or_else(|| Err(Unread::soon())),
        }
    }

    /// Another value than `rejected`, which was used to no good: read now, unless somebody did for the same reason in the last
    /// [`PAUSE`]. `None` where there is no other within `wait`.
    pub(crate) async fn replacement(
        &self,
        rejected: &Arc<T>,
        wait: Duration,
        ports: &Ports,
        read: impl FnOnce(Option<Arc<T>>) -> Reading<T>,
    ) -> Option<Arc<T>> {
        let other = |kept: &CacheState<T>| {
            kept.value
                .clone()
                .filter(|value| !Arc::ptr_eq(value, rejected))
        };
        let reading = {
            let mut kept = lock(&self.0);
            if let Some(value) = other(&kept) {
                return Some(value);
            }
            let now = ports.clock.now();
            if kept.reading.is_none() {
                if kept.rejected_at.is_some_and(|at| now < at.plus(PAUSE)) {
                    return None;
                }
                kept.rejected_at = Some(now);
            }
            self.reading(&mut kept, ports, read)
        };
        within(ports.clock.as_ref(), wait, reading).await;
        other(&lock(&self.0))
    }

    /// The reading that is under way, or a new one.
    fn reading(
        &self,
        kept: &mut CacheState<T>,
        ports: &Ports,
        read: impl FnOnce(Option<Arc<T>>) -> Reading<T>,
    ) -> Shared<BoxFuture<'static, ()>> {
        if let Some(reading) = &kept.reading {
            return reading.clone();
        }
        let (all, ports, read) = (
            Arc::downgrade(&self.0),
            ports.clone(),
            read(kept.value.clone()),
        );
        let reading = async move {
            let came = AssertUnwindSafe(read).catch_unwind().await;
            let came = came.unwrap_or_else(|_| {
                Err(Unread::lasting("reading it broke; the log has the cause"))
            });
            if let Some(all) = all.upgrade() {
                lock(&all).note(came, &ports);
            }
        };
        let reading = reading.boxed().shared();
        kept.reading = Some(reading.clone());
        reading
    }
}

impl<T> CacheState<T> {
    fn known(&self) -> Option<Result<Arc<T>, Unread>> {
        self.value
            .clone()
            .map(Ok)
            .or_else(|| self.fault.clone().map(Err))
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Keeps what came of a reading.
    fn note(&mut self, came: Result<Option<T>, Unread>, ports: &Ports) {
        let fresh = REFRESH_AFTER.mul_f64(0.8 + 0.4 * ports.entropy.unit());
        let wait = match &came {
            Err(_) if self.value.is_none() => PAUSE,
            Err(fault) if fault.passing => PAUSE_WITH_VALUE,
            _ => fresh,
        };
        self.until = Some(ports.clock.now().plus(wait));
        self.reading = None;
        if let Err(fault) = &came {
            let why = fault.logged.as_ref().unwrap_or(&fault.why);
            tracing::warn!(
                why,
                stays = self.value.is_some(),
                "what a provider needs was not read"
            );
        }
        self.fault = came.as_ref().err().cloned();
        if let Ok(Some(value)) = came {
            self.value = Some(Arc::new(value));
        }
    }
}

fn lock<T>(kept: &Mutex<CacheState<T>>) -> MutexGuard<'_, CacheState<T>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
