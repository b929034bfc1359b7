//! Captures log lines.

use std::io::{self, Write};
use std::sync::{Arc, LazyLock, Mutex};

use shared::lambda::telemetry;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Log lines in memory.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("no panic while writing")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has no interest, and asks to be consulted each time.
struct Undecided;

impl Subscriber for Undecided {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Subscribers that live to the end of the process. With at most one subscriber in the process,
/// `tracing-core` 0.1.36 asks the current thread's subscriber alone whether a call site is of
/// interest. A test without one, on another thread, then silences the call site for a test that has
/// one. With two more it asks all of them, and these two leave it open.
static OTHERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [Dispatch::new(Undecided), Dispatch::new(Undecided)]);

/// Runs `work` and returns what it logs, down to `level`, beside what it returns.
///
/// # Panics
/// Where a line is not UTF-8.
pub fn logged<T>(level: Level, work: impl FnOnce() -> T) -> (T, String) {
    LazyLock::force(&OTHERS);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = telemetry::subscriber(level, move || writer.clone());
    let done = tracing::subscriber::with_default(subscriber, work);
    let logged = lines.0.lock().expect("no panic while writing");
    let text = String::from_utf8(logged.clone()).expect("lines are UTF-8");
    (done, text)
}

/// Runs `work` and looks through what it logs, down to `debug`.
///
/// # Panics
/// Where a line holds one of the secrets or [`PERSONAL`](super::PERSONAL) data, or more than 8 KiB,
/// or reports a handler that panicked.
pub fn without_secrets<T>(secrets: &[&str], work: impl FnOnce() -> T) -> T {
    let (done, logged) = logged(Level::DEBUG, work);
    for line in logged.lines() {
        let begin: String = line.chars().take(300).collect();
        for secret in secrets.iter().copied().chain([super::PERSONAL]) {
            assert!(!line.contains(secret), "{secret} is in the log: {begin}");
        }
        assert!(
            line.len() <= 8 * 1024,
            "a log line of {} bytes: {begin}",
            line.len()
        );
        assert!(!line.contains("panic"), "{begin}");
    }
    done
}
