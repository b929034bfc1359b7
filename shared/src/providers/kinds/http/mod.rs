//! Any JSON API, declared in `providers.toml`.
//!
//! Scheme, host and port are literal in the configuration, so that no input chooses where a request
//! goes. `request.rs` puts values into a request, `response.rs` reads an answer, `later.rs` handles
//! later answers, and `batch.rs` shares a call among records.
//!
//! Error codes: `provider_timeout` (no answer in time), `rate_limited` (429, or 503 with
//! `Retry-After`, for longer than there is time), `provider_error` (everything else). Details have
//! statuses, error classes and names from the configuration, nothing of the exchange.

mod attempt;
mod batch;
pub mod config;
pub(super) mod exchange;
pub(super) mod expression;
pub(super) mod json;
mod later;
mod oauth;
pub(super) mod request;
pub(super) mod response;
pub(super) mod secret;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use self::attempt::{Attempt, HttpProvider};
use self::batch::Batches;
use self::config::HttpConfig;
pub use self::exchange::upstream_advice;
use self::exchange::{Fault, refused};
use self::oauth::Tokens;
use self::request::scalar;
pub use self::request::{MAX_RESPONSE_BYTES, percent_encode};
use self::response::Response;
use crate::catalog::{ConfigError, Secrets, Verify};
use crate::domain::record::FailureCode;
use crate::providers::refresh::secret::RotatingSecret;
use crate::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

impl BuildKind for HttpConfig {
    fn build(&self, context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        let (name, config) = (context.provider.name.clone(), self.clone());
        RotatingSecret::around(context.provider, context.environment, move |secrets| {
            Ok(Arc::new(Http::new(&name, &config, secrets)?))
        })
    }
}

/// An `http` provider with its secrets.
pub struct Http {
    name: String,
    core: Arc<HttpProvider>,
    batches: Batches,
}

impl fmt::Debug for Http {
    /// Leaves out the secrets and all that may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Resolves the secrets. A missing, empty or unusable one is an error that names the variable,
    /// never the value.
    pub fn new(name: &str, config: &HttpConfig, secrets: Secrets<'_>) -> Result<Self, ConfigError> {
        let tokens = config
            .oauth
            .as_ref()
            .map(|oauth| Tokens::new(name, oauth, secrets))
            .transpose()?;
        let secrets = secret::resolve(name, &config.secrets, secrets)?;
        let core = Arc::new(HttpProvider {
            config: config.clone(),
            secrets,
            tokens,
        });
        Ok(Self {
            name: name.to_owned(),
            core,
            batches: Batches::default(),
        })
    }

    fn config(&self) -> &HttpConfig {
        &self.core.config
    }

    /// Puts a question for the first time.
    async fn begin(&self, attempt: &Attempt<'_>) -> Result<Answer, Fault> {
        let input = attempt.question.input;
        for field in &self.config().requires {
            if scalar(input.get(field)).is_none_or(|text| text.is_empty()) {
                return Ok(Answer::Invalid(format!("`{field}` is needed")));
            }
        }
        if let Some(batch) = &self.config().batch {
            return self.batches.share(batch, attempt).await;
        }
        let request = match request::request(&self.config().request, &attempt.known()) {
            Ok(request) => request,
            Err(why) => return Ok(Answer::Invalid(why)),
        };
        let answer = attempt.send(&request).await?;
        let status = answer.status;
        if self.config().not_found_status.contains(&status)
            || (status == 204 && self.config().later.is_none())
        {
            return Ok(Answer::NotFound);
        }
        if self.config().invalid_status.contains(&status) {
            let detail = format!("the provider says that the input is wrong (HTTP {status})");
            return Ok(Answer::failed(FailureCode::ProviderInput, detail));
        }
        if !(200..=299).contains(&status) {
            return Err(refused(status));
        }
        let json = response::json(&answer)?;
        let response = Response::new(&json, status, input);
        Ok(match &self.config().later {
            Some(later) => later::taken(later, &response)
                .unwrap_or_else(|| response.map(&self.config().mapping)),
            None => response.map(&self.config().mapping),
        })
    }
}

#[async_trait]
impl Provider for Http {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let deadline = ports
            .clock
            .now()
            .plus(question.limit.min(self.config().timeout));
        let earlier = self.config().later.as_ref().zip(question.earlier);
        let attempt = Attempt {
            core: &self.core,
            question,
            deadline,
            first: earlier.is_none(),
            ports,
        };
        let answer = match earlier {
            Some((later, earlier)) => later::go_on(later, earlier, &attempt).await,
            None => self.begin(&attempt).await,
        };
        answer.unwrap_or_else(Answer::from)
    }

    fn calls_back(&self) -> bool {
        self.config().calls_back()
    }

    fn takes_turn(&self, question: &Question<'_>) -> bool {
        match (&self.config().later, question.earlier) {
            (Some(later), Some(earlier)) => {
                later.poll.is_some() && (earlier.posted.is_none() || later.verify == Verify::Poll)
            }
            _ => self.config().batch.is_none(),
        }
    }
}
