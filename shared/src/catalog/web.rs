//! The settings that the kinds that read web sites share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::reader::Table;

/// The settings of requests to sites.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WebConfig {
    /// The `User-Agent`; `Millrace/VERSION` by default. Its first word, without the version, is our
    /// name in robots.txt (RFC 9309, section 2.2.1).
    pub user_agent: Option<String>,
    /// For one record, 1 to 100 s.
    pub timeout: Duration,
}

impl WebConfig {
    /// Their keys in the file.
    pub const KEYS: [&str; 2] = ["user_agent", "timeout_s"];

    /// Reads both keys; `default_seconds` is the time-out if the file does not say.
    pub fn read(table: &Table<'_>, default_seconds: u64) -> Result<Self, ConfigError> {
        let user_agent = table.text("user_agent")?;
        if let Some((text, entry)) = &user_agent {
            let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
            if !begins || text.len() > 256 || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
                return Err(entry.error(
                    "user_agent begins with a name of letters and says whom to ask, such as \
                     \"Acme-Bot/1.0 (+https://acme.example/bot)\": printable ASCII, at most 256 \
                     characters",
                ));
            }
        }
        let seconds = table
            .number("timeout_s", 1, 100)?
            .unwrap_or(default_seconds);
        Ok(Self {
            user_agent: user_agent.map(|(text, _)| text),
            timeout: Duration::from_secs(seconds),
        })
    }
}
