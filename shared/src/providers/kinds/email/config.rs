//! `kind = "email_check"`: whether mail to an address is likely to arrive.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::{ConfigError, KindConfig, Place, Settings, Table};

/// What is known about an e-mail address without asking its mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EmailCheckConfig {
    /// The input field that holds the address; `email` where the file says nothing.
    pub input: String,
    /// A file of domains that hand out addresses to be thrown away, one a line. Without it nothing is said about that.
    pub disposable: Option<(String, Place)>,
    /// A file of domains where anybody gets a mailbox for nothing, one a line. Without it nothing is said about that.
    pub free: Option<(String, Place)>,
    /// For all questions to the name server together, 1 to 30 s; 10 s where the file says nothing.
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
