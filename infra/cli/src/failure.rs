//! The end of a command that does not succeed: its message and its exit code.

use std::process::ExitCode;

/// The reason why a command ends without success.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line or the settings are wrong. Code 2, as clap's own.
    Usage(String),
    /// Anything else. Code 1.
    Failed(String),
    /// All went well, but a job ended other than `completed`; its line says how. Code 3.
    Ended,
    /// Not as it should be, and what was printed says why. Code 1.
    Reported,
    /// Ctrl-C, with what there is to say about it. Code 130, as shells have it.
    Interrupted(String),
    /// Standard output was closed, as by `| head`. Code 0.
    PipeClosed,
}

impl Failure {
    /// A failure in the words of its cause.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// A wrong command line.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// Returns the text for standard error, if any.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Usage(text) | Self::Failed(text) => Some(format!("error: {text}")),
            Self::Interrupted(text) => Some(text.clone()),
            Self::Ended | Self::Reported | Self::PipeClosed => None,
        }
    }

    /// The exit code of the process.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) | Self::Reported => 1,
            Self::Usage(_) => 2,
            Self::Ended => 3,
            Self::Interrupted(_) => 130,
            Self::PipeClosed => 0,
        })
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::PipeClosed;
        }
        Self::Failed(error.to_string())
    }
}
