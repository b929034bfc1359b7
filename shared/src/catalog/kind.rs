//! The kinds of provider.

use serde::{Deserialize, Serialize};

use super::chat::ChatConfig;
use super::dataset::DatasetConfig;
use super::domain_finder::DomainFinderConfig;
use super::email_check::EmailCheckConfig;
use super::error::{ConfigError, Place};
use super::hem::HemConfig;
use super::http::HttpConfig;
use super::ip::IpConfig;
use super::phone::PhoneConfig;
use super::reader::Table;
use super::settings::Settings;
use super::signals::SignalsConfig;
use super::site::SiteConfig;
use super::tech::TechConfig;

/// `kind = …` and what belongs to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Kind {
    Chat(Box<ChatConfig>),
    Dataset(DatasetConfig),
    EmailCheck(EmailCheckConfig),
    Hem(HemConfig),
    Http(Box<HttpConfig>),
    Ip(IpConfig),
    Phone(PhoneConfig),
    Site(SiteConfig),
    Tech(TechConfig),
    DomainFinder(DomainFinderConfig),
    Signals(SignalsConfig),
}

impl Kind {
    const NAMES: [&str; 11] = [
        "chat",
        "dataset",
        "domain_finder",
        "email_check",
        "hem",
        "http",
        "ip",
        "phone",
        "signals",
        "site",
        "tech",
    ];

    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let names = Self::NAMES.join(", ");
        let entry = table.need("kind", &format!("say which: {names}"))?;
        Ok(match entry.str()? {
            "chat" => Self::Chat(Box::new(ChatConfig::read(table)?)),
            "dataset" => Self::Dataset(DatasetConfig::read(table)?),
            "email_check" => Self::EmailCheck(EmailCheckConfig::read(table)?),
            "hem" => Self::Hem(HemConfig::read(table)?),
            "http" => Self::Http(Box::new(HttpConfig::read(table)?)),
            "ip" => Self::Ip(IpConfig::read(table)?),
            "phone" => Self::Phone(PhoneConfig::read(table)?),
            "site" => Self::Site(SiteConfig::read(table)?),
            "tech" => Self::Tech(TechConfig::read(table)?),
            "domain_finder" => Self::DomainFinder(DomainFinderConfig::read(table)?),
            "signals" => Self::Signals(SignalsConfig::read(table)?),
            other => {
                return Err(entry.error(format!(
                    "there is no kind of provider `{other}`; it is one of {names}"
                )));
            }
        })
    }

    pub fn settings(&self) -> &dyn Settings {
        match self {
            Self::Chat(chat) => chat.as_ref(),
            Self::Dataset(dataset) => dataset,
            Self::EmailCheck(check) => check,
            Self::Hem(hem) => hem,
            Self::Http(http) => http.as_ref(),
            Self::Ip(ip) => ip,
            Self::Phone(phone) => phone,
            Self::Site(site) => site,
            Self::Tech(tech) => tech,
            Self::DomainFinder(finder) => finder,
            Self::Signals(signals) => signals,
        }
    }

    /// The same whatever stands around it in the file.
    #[must_use]
    pub fn without_places(mut self) -> Self {
        let nowhere = Place {
            file: String::new(),
            line: 0,
            column: 0,
        };
        self.settings_mut()
            .places()
            .into_iter()
            .for_each(|at| at.clone_from(&nowhere));
        self
    }

    /// Whether `confidence` may say where in an answer it stands.
    pub(super) fn computes_confidence(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    pub(super) fn settings_mut(&mut self) -> &mut dyn Settings {
        match self {
            Self::Chat(chat) => chat.as_mut(),
            Self::Dataset(dataset) => dataset,
            Self::EmailCheck(check) => check,
            Self::Hem(hem) => hem,
            Self::Http(http) => http.as_mut(),
            Self::Ip(ip) => ip,
            Self::Phone(phone) => phone,
            Self::Site(site) => site,
            Self::Tech(tech) => tech,
            Self::DomainFinder(finder) => finder,
            Self::Signals(signals) => signals,
        }
    }
}
