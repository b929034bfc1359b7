//! `oauth`: access tokens by client credentials (RFC 6749 section 4.4).

use serde::{Deserialize, Serialize};

use super::address::check_url;
use super::error::{ConfigError, Place};
use super::reader::Entry;
use super::secret::SecretConfig;
use super::template::Part;

/// The source of access tokens. They are sent as bearer tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OauthConfig {
    /// The address that gives tokens: an absolute URL without values.
    pub token_url: String,
    /// The client's id.
    pub client_id: SecretConfig,
    /// The client's secret.
    pub client_secret: SecretConfig,
    /// The access to ask for, in the upstream's words, separated by spaces.
    pub scope: Option<String>,
    /// The audience: not of the RFC, but often required.
    pub audience: Option<String>,
    /// The way id and secret are sent.
    pub auth: ClientAuth,
}

/// The way the client authenticates (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientAuth {
    /// In an `Authorization` header.
    Basic,
    /// As parameters of the body.
    Body,
}

impl OauthConfig {
    const EXAMPLE: &'static str = "{ token_url = \"https://…\", client_id = { ssm = \"/…\" }, \
                                   client_secret = { ssm = \"/…\" } }";

    /// Reads the `oauth` table of a provider.
    pub fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        let table = entry.table(Self::EXAMPLE)?;
        table.only(&[
            "token_url",
            "client_id",
            "client_secret",
            "scope",
            "audience",
            "auth",
        ])?;
        let url = table.need("token_url", "the address that gives access tokens")?;
        let template = url.template(&[])?;
        check_url(&template).map_err(|why| url.error(why))?;
        if !template.0.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err(url.error("the address holds no values; write it out"));
        }
        let secret = |name: &str| {
            SecretConfig::read(
                name,
                &table.need(
                    name,
                    "a reference: { ssm = \"/path/of/parameter\" } or { env = \"NAME_OF_VARIABLE\" \
                     }",
                )?,
            )
        };
        let auth = match table.get("auth") {
            None => ClientAuth::Basic,
            Some(entry) => match entry.str()? {
                "basic" => ClientAuth::Basic,
                "body" => ClientAuth::Body,
                other => {
                    return Err(entry.error(format!(
                        "`{other}` is not known; it is \"basic\" or \"body\""
                    )));
                }
            },
        };
        Ok(Self {
            token_url: url.str()?.to_owned(),
            client_id: secret("client_id")?,
            client_secret: secret("client_secret")?,
            scope: table.text("scope")?.map(|(text, _)| text),
            audience: table.text("audience")?.map(|(text, _)| text),
            auth,
        })
    }

    /// Returns the places that it keeps.
    pub fn places(&mut self) -> impl Iterator<Item = &mut Place> {
        [&mut self.client_id.at, &mut self.client_secret.at].into_iter()
    }
}
