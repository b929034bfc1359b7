//! One attempt at a question, and the state that it shares with those before and after it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::config::HttpConfig;
use super::exchange::{Fault, exchange};
use super::expression::TemplateValues;
use super::oauth::Tokens;
use crate::domain::time::Timestamp;
use crate::ports::{HttpAnswer, HttpRequest};
use crate::providers::{Ports, Question};

/// The parts that the calls of a provider share.
pub(super) struct HttpProvider {
    pub(super) config: HttpConfig,
    /// The texts of the secrets, by their names in templates.
    pub(super) secrets: Map<String, Value>,
    pub(super) tokens: Option<Tokens>,
}

impl HttpProvider {
    /// Does one exchange with its retries, under the identity that the upstream knows. `ends` are
    /// statuses whose meaning the configuration knows.
    pub(super) async fn send(
        &self,
        request: &HttpRequest,
        deadline: Timestamp,
        ends: &(dyn Fn(u16) -> bool + Sync),
        ports: &Ports,
    ) -> Result<HttpAnswer, Fault> {
        let Some(tokens) = &self.tokens else {
            return exchange(ports, request, self.config.retries, deadline, ends).await;
        };
        let token = tokens.token(None, deadline, ports).await?;
        let answer = exchange(
            ports,
            &bearing(request, &token),
            self.config.retries,
            deadline,
            ends,
        )
        .await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        // Tokens may be revoked before they end: once, a new one is tried.
        let token = tokens.token(Some(&token), deadline, ports).await?;
        exchange(
            ports,
            &bearing(request, &token),
            self.config.retries,
            deadline,
            ends,
        )
        .await
    }
}

fn bearing(request: &HttpRequest, token: &str) -> HttpRequest {
    let mut request = request.clone();
    request
        .headers
        .push(("authorization".to_owned(), format!("Bearer {token}")));
    request
}

/// One call of [`Provider::ask`](crate::providers::Provider::ask).
pub(super) struct Attempt<'a> {
    pub(super) core: &'a Arc<HttpProvider>,
    pub(super) question: &'a Question<'a>,
    pub(super) deadline: Timestamp,
    /// Set if the question is put, and not polled.
    pub(super) first: bool,
    pub(super) ports: &'a Ports,
}

impl<'a> Attempt<'a> {
    pub(super) fn config(&self) -> &'a HttpConfig {
        &self.core.config
    }

    /// Returns the values that the templates of a request may read.
    pub(super) fn known(&self) -> TemplateValues<'a> {
        let question = self.question;
        let callback = question
            .callback
            .map_or(json!({}), |url| json!({"url": url}));
        TemplateValues::new()
            .object("input", question.input)
            .object("secret", &self.core.secrets)
            .own("request", json!({"key": question.key}))
            .own("callback", callback)
    }

    pub(super) async fn send(&self, request: &HttpRequest) -> Result<HttpAnswer, Fault> {
        let ends = |status: u16| self.first && self.means_something(status);
        self.core
            .send(request, self.deadline, &ends, self.ports)
            .await
    }

    /// Returns whether the configuration says what a status means.
    fn means_something(&self, status: u16) -> bool {
        self.config().not_found_status.contains(&status)
            || self.config().invalid_status.contains(&status)
    }
}
