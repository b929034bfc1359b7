//! Values from outside of the bundle, cached in this process and refreshed.
//!
//! The first caller reads, and the others wait with it. After [`REFRESH_AFTER`] the value is read
//! again while the cached one stays in use. If that fails, the cached one stays, whatever the
//! reason: it serves a record better than none.
//!
//! A reading has no owner: every caller polls it, and one whose time is up leaves it to the next,
//! so that a reading may take longer than any record.

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

/// The age at which a value is read again, give or take a fifth, so that processes which began
/// together do not read together for ever. A new secret is in use within it, at 12 calls an hour
/// and process.
pub const REFRESH_AFTER: Duration = Duration::from_secs(300);
/// The least time before another try after a failure: the records of a chunk all want to know.
pub const PAUSE: Duration = Duration::from_secs(5);
/// The same while a cached value serves.
const PAUSE_WITH_VALUE: Duration = Duration::from_secs(30);
/// The time that the first caller of a reading waits for it if there is a cached value.
const WAIT_WITH_VALUE: Duration = Duration::from_millis(500);
/// The time that a record waits for this value before the next provider is asked instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// The result of a reading: `None` if the value has not changed.
pub(crate) type Reading<T> = BoxFuture<'static, Result<Option<T>, Unread>>;

/// A cached value from outside.
pub(crate) struct CachedAsset<T>(Arc<Mutex<CacheState<T>>>);

struct CacheState<T> {
    value: Option<Arc<T>>,
    /// The reason why the last reading failed, if it did.
    fault: Option<Unread>,
    /// The time to read again.
    until: Option<Timestamp>,
    rejected_at: Option<Timestamp>,
    reading: Option<Shared<BoxFuture<'static, ()>>>,
}

/// The reason why a value could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unread {
    /// For the operator: what it is, why, and what to do. Tenants do not see it.
    why: String,
    /// The same for the log, without any of the content.
    logged: Option<String>,
    /// Set if a retry may help.
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

    /// Makes the same with other words for the log.
    pub(crate) fn logged_as(self, logged: &str) -> Self {
        Self {
            logged: Some(logged.to_owned()),
            ..self
        }
    }

    /// Says that it is not read yet.
    pub(crate) fn soon() -> Self {
        Self {
            why: "it is still being read".to_owned(),
            logged: None,
            passing: true,
        }
    }

    /// Says that `what` could not be read.
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

    /// Answers a question that needs the value. A value that may be there soon is waited for: for a
    /// while if another provider could be asked, longer if not or if the question was taken before.
    pub(crate) fn answer(self, question: &Question<'_>, ports: &Ports) -> Answer {
        if !self.passing {
            let detail = "what this provider needs cannot be read; the operator's log and \
                          `millrace providers check` say why";
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
    /// Returns the value; if there is none, waits at most `wait` for it. `read` is handed the
    /// cached one.
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
                    // This call only drives it on.
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

    /// Returns another value than `rejected`, which did not work. Reads it now, unless that was
    /// done for the same reason in the last [`PAUSE`]. `None` if there is no other value within
    /// `wait`.
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

    /// Returns the reading that is under way, or a new one.
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

    /// Stores the result of a reading.
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
