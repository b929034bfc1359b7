//! Output for a person: notes and progress on standard error, results on standard output.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::failure::Failure;

/// The least time between two progress lines of a log, unless a job's status changes.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Standard error: a bar where it is a terminal, few plain lines where it is not.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    last_status: String,
}

impl Screen {
    /// Standard error as it is.
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            state: Mutex::default(),
        }
    }

    /// A line for the person, above the bar if there is one.
    pub(crate) fn note(&self, text: &str) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Shows progress. In a log, a change of `status` is worth a line of its own.
    pub(crate) fn progress(&self, done: u64, total: u64, status: &str, detail: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.terminal {
            let bar = state.bar.get_or_insert_with(|| {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                let style =
                    ProgressStyle::with_template("{elapsed:>4} {wide_bar} {pos}/{len}  {msg}");
                bar.set_style(
                    style
                        .unwrap_or_else(|_| ProgressStyle::default_bar())
                        .progress_chars("█▉▊▋▌▍▎▏ "),
                );
                bar.enable_steady_tick(Duration::from_millis(200));
                bar
            });
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(format!("{status}: {detail}"));
            return;
        }
        let recent = state.last_line.is_some_and(|at| at.elapsed() < LINE_EVERY);
        if recent && state.last_status == status {
            return;
        }
        state.last_line = Some(Instant::now());
        status.clone_into(&mut state.last_status);
        eprintln!("{status}: {done}/{total}, {detail}");
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = state.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A line on standard output, written out at once: scripts read it while the command goes on.
pub(crate) fn print(text: impl std::fmt::Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// A number with its thousands apart: `12,345`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Text from outside, fit for a terminal: one line, no control characters, at most `max`
/// characters.
pub(crate) fn plain(text: &str, max: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(max)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(max).is_some() {
        shown.push('…');
    }
    shown
}

/// A member of an answer as text, fit for a terminal; empty where it is none.
pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name]
        .as_str()
        .map(|t| plain(t, 300))
        .unwrap_or_default()
}

/// `1 record`, `2 records`.
pub(crate) fn plural(number: u64, noun: &str) -> String {
    format!(
        "{} {noun}{}",
        thousands(number),
        if number == 1 { "" } else { "s" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_foreign_text() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(plural(1, "record"), "1 record");
        assert_eq!(plain("a\x1b[31mb\nc", 99), "a\u{fffd}[31mb\u{fffd}c");
        assert_eq!(plain("abcdef", 3), "abc…");
    }
}
