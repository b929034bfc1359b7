//! Virtual time.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use shared::domain::time::Timestamp;
use shared::ports::Clock;

/// A clock that stands still until it is told to move, by [`advance`](Self::advance) or by the driver of
/// [`Sim::run`](super::Sim::run), which jumps to the next timer when nothing else can run.
#[derive(Debug)]
pub struct SimClock(Mutex<Time>);

#[derive(Debug)]
struct Time {
    now: Timestamp,
    /// By when they ring, then by when they were set.
    timers: BTreeMap<(Timestamp, u64), Waker>,
    set: u64,
}

impl Default for SimClock {
    fn default() -> Self {
        // 2026-01-01T00:00:00Z: a date that stored timestamps can be told from zero by.
        Self(Mutex::new(Time { now: Timestamp(1_767_225_600_000), timers: BTreeMap::new(), set: 0 }))
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
        due.into_values().for_each(Waker::wake);
    }

    /// When the next sleeper wakes.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.0.lock().unwrap().timers.keys().next().map(|(at, _)| *at)
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().now
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.now().plus(duration);
        Sleep { clock: self, until, timer: None }.await;
    }
}

/// A dropped sleep takes its timer along, so that an abandoned deadline never drags the time forward.
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
        time.timers.insert((self.until, timer), context.waker().clone());
        drop(time);
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            self.clock.0.lock().unwrap().timers.remove(&(self.until, timer));
        }
    }
}
