//! What is logged meanwhile.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use shared::lambda::telemetry;
use tracing::Level;

/// Log lines in memory.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panics while writing")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `work` and returns what it logs, down to `level`, beside what it returns.
///
/// # Panics
/// Where a line is not UTF-8.
pub fn logged<T>(level: Level, work: impl FnOnce() -> T) -> (T, String) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = telemetry::subscriber(level, move || writer.clone());
    let done = tracing::subscriber::with_default(subscriber, work);
    let logged = lines.0.lock().expect("nobody panics while writing");
    let text = String::from_utf8(logged.clone()).expect("lines are UTF-8");
    (done, text)
}

/// Runs `work` and looks through what it logs, down to `debug`.
///
/// # Panics
/// Where a line holds one of the secrets or [`PERSONAL`](super::PERSONAL) data, or more than 8 KiB, or tells of a
/// handler that panicked.
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
