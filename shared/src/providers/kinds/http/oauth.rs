//! Access tokens by client credentials (RFC 6749 section 4.4), cached in this process until shortly
//! before they end.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::sync::Mutex;

use super::exchange::{Fault, exchange};
use super::request::percent_encode;
use super::{response, secret};
use crate::catalog::Secrets;
use crate::catalog::{ClientAuth, ConfigError, OauthConfig};
use crate::domain::time::Timestamp;
use crate::ports::HttpRequest;
use crate::providers::Ports;

/// The time before its end at which a token is renewed, or a tenth of its life, if that is less.
const SLACK: Duration = Duration::from_secs(60);

/// The life of a token whose answer does not say.
const UNKNOWN_LIFE: Duration = Duration::from_mins(5);

/// The longest life that is believed.
const LONGEST_LIFE: u64 = 86_400;

/// The codes of RFC 6749 section 5.2: the only words of a refusal that are repeated.
const CODES: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// The tokens of one client, one at a time. A caller that finds none requests one, and the others
/// wait for it.
pub(super) struct Tokens {
    request: HttpRequest,
    kept: Mutex<Option<AccessToken>>,
}

struct AccessToken {
    token: String,
    until: Timestamp,
}

impl Tokens {
    pub(super) fn new(
        name: &str,
        config: &OauthConfig,
        secrets: Secrets<'_>,
    ) -> Result<Self, ConfigError> {
        let wanted = [config.client_id.clone(), config.client_secret.clone()];
        let resolved = secret::resolve(name, &wanted, secrets)?;
        let value = |name: &str| {
            resolved
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let (id, secret) = (value("client_id"), value("client_secret"));
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(config.scope.as_deref().map(|scope| ("scope", scope)));
        form.extend(
            config
                .audience
                .as_deref()
                .map(|audience| ("audience", audience)),
        );
        let mut headers = vec![
            ("accept".to_owned(), "application/json".to_owned()),
            (
                "content-type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            ),
        ];
        match config.auth {
            ClientAuth::Basic => {
                let pair =
                    STANDARD.encode(format!("{}:{}", percent_encode(id), percent_encode(secret)));
                headers.push(("authorization".to_owned(), format!("Basic {pair}")));
            }
            ClientAuth::Body => form.extend([("client_id", id), ("client_secret", secret)]),
        }
        let pairs: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value)))
            .collect();
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: config.token_url.clone(),
            headers,
            body: pairs.join("&").into_bytes(),
            deadline: Duration::ZERO,
            plain_http: false,
            max_response_bytes: 64 * 1024,
        };
        Ok(Self {
            request,
            kept: Mutex::new(None),
        })
    }

    /// Returns a token that is valid now and is not the refused one.
    pub(super) async fn token(
        &self,
        refused: Option<&str>,
        deadline: Timestamp,
        ports: &Ports,
    ) -> Result<String, Fault> {
        let mut kept = self.kept.lock().await;
        if let Some(AccessToken { token, until }) = kept.as_ref()
            && ports.clock.now() < *until
            && refused != Some(token)
        {
            return Ok(token.clone());
        }
        *kept = None;
        let answer = exchange(ports, &self.request, 1, deadline, &|_| false).await?;
        let json = response::json(&answer);
        if !(200..=299).contains(&answer.status) {
            let said = json
                .as_ref()
                .ok()
                .and_then(|json| json.get("error")?.as_str());
            let code = said
                .filter(|code| CODES.contains(code))
                .unwrap_or("no reason that RFC 6749 knows");
            return Err(Fault::credentials(&format!(
                ": no access token (HTTP {}, {code}); check client_id, client_secret and scope",
                answer.status
            )));
        }
        let json = json?;
        let token = json
            .get("access_token")
            .and_then(Value::as_str)
            .filter(|token| is_token(token));
        let token = token
            .ok_or_else(|| Fault::lasting("the answer of token_url has no usable access_token"))?
            .to_owned();
        let life = json
            .get("expires_in")
            .and_then(|life| life.as_u64().or_else(|| life.as_str()?.parse().ok()));
        let life = life.map_or(UNKNOWN_LIFE, |seconds| {
            Duration::from_secs(seconds.min(LONGEST_LIFE))
        });
        let until = ports
            .clock
            .now()
            .plus(life.saturating_sub(SLACK.min(life / 10)));
        *kept = Some(AccessToken {
            token: token.clone(),
            until,
        });
        Ok(token)
    }
}

/// Returns whether it can be sent in a header (RFC 6750 section 2.1, and all other printable
/// ASCII).
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic())
}
