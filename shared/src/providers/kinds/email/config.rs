//! `kind = "email_check"`: estimates whether mail to an address arrives.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::{ConfigError, KindConfig, Place, Settings, Table};

/// The facts about an e-mail address that its mailbox need not be asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EmailCheckConfig {
    /// The input field with the address; `email` if the file does not say.
    pub input: String,
    /// A file of domains of disposable addresses, one a line. Without it, answers do not say.
    pub disposable: Option<(String, Place)>,
    /// A file of domains of free mail providers, one a line. Without it, answers do not say.
    pub free: Option<(String, Place)>,
    /// The time for all queries to the name server together, 1 to 30 s; 10 s if the file does not
    /// say.
    pub timeout: Duration,
}

/// The output fields of the `email_check` provider.
pub const EMAIL_CHECK_FIELDS: [&str; 12] = [
    "valid_syntax",
    "normalized",
    "domain",
    "domain_unicode",
    "mx",
    "mx_hosts",
    "disposable",
    "role",
    "free_provider",
    "status",
    "reasons",
    "mailbox_checked",
];

impl KindConfig for EmailCheckConfig {
    const NAME: &'static str = "email_check";
    const KEYS: &'static [&'static [&'static str]] =
        &[&["input", "disposable", "free", "timeout_s"]];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let input = table.input("email")?;
        let list = |name: &str| {
            table
                .get(name)
                .map(|entry| Ok::<_, ConfigError>((entry.file(&[".txt"])?, entry.place())))
                .transpose()
        };
        let timeout = Duration::from_secs(table.number("timeout_s", 1, 30)?.unwrap_or(10));
        Ok(Self {
            input,
            disposable: list("disposable")?,
            free: list("free")?,
            timeout,
        })
    }
}

impl Settings for EmailCheckConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn outputs(&self) -> Option<Vec<String>> {
        let given = |field: &&str| match *field {
            "disposable" => self.disposable.is_some(),
            "free_provider" => self.free.is_some(),
            _ => true,
        };
        Some(
            EMAIL_CHECK_FIELDS
                .iter()
                .filter(|field| given(field))
                .map(|field| (*field).to_owned())
                .collect(),
        )
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout)
    }

    fn places(&mut self) -> Vec<&mut Place> {
        [&mut self.disposable, &mut self.free]
            .into_iter()
            .flatten()
            .map(|(_, at)| at)
            .collect()
    }
}
