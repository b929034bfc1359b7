//! Exchanges with an upstream: retries with jitter, `Retry-After`, and the codes of failures.

use std::time::Duration;

use crate::domain::backoff::equal_jitter;
use crate::domain::delivery::retry_after;
use crate::domain::record::FailureCode;
use crate::domain::time::Timestamp;
use crate::ports::{HttpAnswer, HttpError, HttpRequest};
use crate::providers::{Answer, Ports};

/// The pause before the first retry; doubled for each further one, then drawn from its upper half.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The reason for a missing answer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::providers) struct Fault {
    /// The wait that the upstream asks for.
    pub(in crate::providers) wait: Option<Duration>,
    pub(in crate::providers) code: FailureCode,
    /// A text for people, with statuses and error classes and nothing of the exchange.
    pub(in crate::providers) detail: String,
    /// Set if a retry may help.
    pub(in crate::providers) passing: bool,
}

impl Fault {
    fn passing(code: FailureCode, detail: impl Into<String>) -> Self {
        Self {
            wait: None,
            code,
            detail: detail.into(),
            passing: true,
        }
    }

    pub(in crate::providers) fn lasting(detail: impl Into<String>) -> Self {
        Self {
            wait: None,
            code: FailureCode::ProviderError,
            detail: detail.into(),
            passing: false,
        }
    }

    /// Reports that the upstream refuses our credentials, which may have been replaced since they
    /// were read. `how` continues the sentence.
    pub(in crate::providers) fn credentials(how: &str) -> Self {
        let fault = Self::lasting(format!("the provider refused its credentials{how}"));
        Self {
            code: FailureCode::CredentialsRefused,
            ..fault
        }
    }

    pub(in crate::providers) fn timeout() -> Self {
        Self::passing(
            FailureCode::ProviderTimeout,
            "the provider did not answer in time",
        )
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self::failed(fault.code, fault.detail)
    }
}

/// Sends until an answer would not change by a retry, `retries` are used up, or the deadline comes.
/// `ends` are statuses that end it even if they would pass elsewhere.
pub(in crate::providers) async fn exchange(
    ports: &Ports,
    request: &HttpRequest,
    retries: u32,
    deadline: Timestamp,
    ends: &(dyn Fn(u16) -> bool + Sync),
) -> Result<HttpAnswer, Fault> {
    let mut pause = FIRST_PAUSE;
    for attempt in 0.. {
        let left = deadline.since(ports.clock.now());
        if left.is_zero() {
            break;
        }
        let sent = ports
            .http
            .send(HttpRequest {
                deadline: left,
                ..request.clone()
            })
            .await;
        let fault = match sent {
            Ok(answer) if ends(answer.status) => return Ok(answer),
            Ok(answer) => match passing(&answer, ports.clock.now()) {
                Some(fault) => fault,
                None => return Ok(answer),
            },
            Err(error) => broken(&error),
        };
        if !fault.passing {
            return Err(fault);
        }
        let jittered = equal_jitter(pause, ports.entropy.unit());
        let wait = fault.wait.map_or(jittered, |asked| asked.max(jittered));
        let left = deadline.since(ports.clock.now());
        if attempt >= retries || wait >= left {
            return Err(fault);
        }
        ports.clock.sleep(wait).await;
        pause = pause.saturating_mul(2);
    }
    Err(Fault::timeout())
}

/// Returns the fault of an answer that may soon be another one.
fn passing(answer: &HttpAnswer, now: Timestamp) -> Option<Fault> {
    let status = answer.status;
    if !matches!(status, 408 | 425 | 429 | 500 | 502..=504) {
        return None;
    }
    let wait = answer
        .header("retry-after")
        .and_then(|text| retry_after(text, now));
    let limited = status == 429 || (status == 503 && wait.is_some());
    let code = if limited {
        FailureCode::RateLimited
    } else {
        FailureCode::ProviderError
    };
    Some(Fault {
        wait,
        ..Fault::passing(code, format!("the provider answered HTTP {status}"))
    })
}

/// Returns advice about a broken exchange with an upstream: settings and the configuration, nothing
/// of the exchange.
pub fn upstream_advice(error: &HttpError) -> &'static str {
    match error {
        HttpError::Cut { cause, .. } => upstream_advice(cause),
        HttpError::Url(_) => {
            "the URL cannot be used; plain http needs AllowHttp (MILLRACE_ALLOW_HTTP=true)"
        }
        HttpError::Blocked => {
            "the host's address is private or otherwise refused; AllowedCidrs \
             (MILLRACE_ALLOWED_CIDRS) allows networks"
        }
        HttpError::Dns(_) => "the host's name was not resolved; see that it is spelled right",
        HttpError::Connect(_) => {
            "nothing takes connections there; look at host and port, and for a firewall on the way"
        }
        HttpError::Tls(_) => {
            "see that the certificate is valid, for this host and of a known issuer; ExtraCaFile \
             (MILLRACE_EXTRA_CA_FILE) makes one known"
        }
        HttpError::Timeout => "it took longer than it may; `timeout_s` gives it more time",
        HttpError::Protocol(_) => {
            "the connection broke, or the host does not speak HTTP; check host and port"
        }
    }
}

/// Returns the fault of a broken exchange. It has only the class and advice: the texts may quote
/// the URL.
fn broken(error: &HttpError) -> Fault {
    let detail = format!(
        "no answer from the provider ({}): {}",
        error.class(),
        upstream_advice(error)
    );
    match error.cause() {
        HttpError::Timeout => Fault::passing(FailureCode::ProviderTimeout, detail),
        HttpError::Dns(_)
        | HttpError::Connect(_)
        | HttpError::Tls(_)
        | HttpError::Protocol(_)
        | HttpError::Cut { .. } => Fault::passing(FailureCode::ProviderError, detail),
        HttpError::Url(_) | HttpError::Blocked => Fault::lasting(detail),
    }
}

/// Returns the fault of an answer whose status is not a success.
pub(in crate::providers) fn refused(status: u16) -> Fault {
    match status {
        401 | 403 => Fault::credentials(&format!(
            " (HTTP {status}); check the secret in its configuration"
        )),
        402 => Fault {
            code: FailureCode::ProviderUnpaid,
            ..Fault::lasting("the provider wants to be paid (HTTP 402); look at your account there")
        },
        _ => Fault::lasting(format!("the provider answered HTTP {status}")),
    }
}
