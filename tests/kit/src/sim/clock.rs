//! Virtual time.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use shared::domain::time::Timestamp;
use shared::ports::Clock;

/// An effect that happens by itself at a time.
type Happening = Box<dyn FnOnce(Timestamp) + Send>;

/// The effect of a timer.
enum Ring {
    Wake(Waker),
    Happen(Happening),
}

/// A clock that stands still until it is moved, by [`advance`](Self::advance) or by the driver of
/// [`Sim::run`](super::Sim::run). The driver jumps to the next timer when nothing else can run.
pub struct SimClock(Mutex<Time>);

struct Time {
    now: Timestamp,
    /// By when they ring, then by when they were set.
    timers: BTreeMap<(Timestamp, u64), Ring>,
    set: u64,
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimClock").field(&self.now()).finish()
    }
}

impl Default for SimClock {
    fn default() -> Self {
        // 2026-01-01T00:00:00Z: a date that differs visibly from zero in stored timestamps.
        Self(Mutex::new(Time {
            now: Timestamp(1_767_225_600_000),
            timers: BTreeMap::new(),
            set: 0,
        }))
    }
}

impl SimClock {
    /// Moves time on and wakes the sleepers whose time has come, earliest first.
    pub fn advance(&self, by: Duration) {
        let to = self.now().plus(by);
        self.advance_to(to);
    }

    /// As [`advance`](Self::advance), to a point in time; never backwards.
    pub fn advance_to(&self, to: Timestamp) {
        let due = {
            let mut time = self.0.lock().unwrap();
            time.now = time.now.max(to);
            let after_now = (Timestamp(time.now.0 + 1), 0);
            let later = time.timers.split_off(&after_now);
            std::mem::replace(&mut time.timers, later)
        };
        for ((at, _), ring) in due {
            match ring {
                Ring::Wake(waker) => waker.wake(),
                Ring::Happen(what) => what(at),
            }
        }
    }

    /// Schedules an effect at a time, whichever processes are alive then.
    pub(super) fn call_at(&self, at: Timestamp, what: Happening) {
        let mut time = self.0.lock().unwrap();
        time.set += 1;
        let place = (at, time.set);
        time.timers.insert(place, Ring::Happen(what));
    }

    /// Returns true if an effect is still scheduled.
    pub fn owes(&self) -> bool {
        self.0
            .lock()
            .unwrap()
            .timers
            .values()
            .any(|ring| matches!(ring, Ring::Happen(_)))
    }

    /// Returns the time of the next sleeper.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.0
            .lock()
            .unwrap()
            .timers
            .keys()
            .next()
            .map(|(at, _)| *at)
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().now
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now().plus(duration);
        Sleep {
            clock: self,
            until,
            timer: None,
        }
        .await;
    }
}

/// A dropped sleep removes its timer, so that an abandoned deadline never moves the time forward.
struct Sleep<'a> {
    clock: &'a SimClock,
    until: Timestamp,
    timer: Option<u64>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut time = self.clock.0.lock().unwrap();
        if time.now >= self.until {
            return Poll::Ready(());
        }
        let timer = self.timer.unwrap_or_else(|| {
            time.set += 1;
            time.set
        });
        time.timers
            .insert((self.until, timer), Ring::Wake(context.waker().clone()));
        drop(time);
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.clock
                .0
                .lock()
                .unwrap()
                .timers
                .remove(&(self.until, timer));
        }
    }
}
