//! The reasons for a missing page.

use crate::domain::record::FailureCode;
use crate::ports::HttpError;
use crate::providers::Answer;

/// The reason for a missing page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::providers::kinds::web) enum Miss {
    /// The site or the page does not exist.
    Nothing,
    /// The site's robots.txt forbids it.
    Refused(String),
    /// No connection, or a broken one. Another address of the same site may do.
    Unreachable(HttpError),
    Failed {
        code: FailureCode,
        detail: String,
    },
}

impl Miss {
    pub(in crate::providers::kinds::web) fn into_answer(self) -> Answer {
        match self {
            Self::Nothing => Answer::NotFound,
            Self::Refused(detail) => Answer::failed(FailureCode::RobotsRefused, detail),
            Self::Unreachable(error) => Answer::failed(
                FailureCode::ProviderError,
                format!("the site cannot be reached ({})", error.class()),
            ),
            Self::Failed { code, detail } => Answer::failed(code, detail),
        }
    }

    pub(super) fn timeout() -> Self {
        Self::Failed {
            code: FailureCode::ProviderTimeout,
            detail: "the site did not answer in time".to_owned(),
        }
    }

    pub(super) fn of(error: HttpError, redirected: bool) -> Self {
        let refused = |what: &str| Self::Failed {
            code: FailureCode::ProviderError,
            detail: if redirected {
                format!("the site redirects to {what}")
            } else {
                format!("the site is at {what}")
            },
        };
        // A page that did not arrive whole is missing.
        let cause = match error {
            HttpError::Cut { cause, .. } => *cause,
            cause => cause,
        };
        match cause {
            HttpError::Timeout => Self::timeout(),
            HttpError::Blocked => refused("an address that is not allowed: private or local"),
            HttpError::Url(_) => refused("a URL that cannot be used"),
            other => Self::Unreachable(other),
        }
    }
}
