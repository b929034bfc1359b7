//! `site`: a company's profile from its home page.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::fetch::{Agent, PageFetch};
use super::html::Document;
use super::parked::is_placeholder;
use super::profile::profile;
use crate::catalog::{ConfigError, KindConfig, Settings, Table, WebConfig};
use crate::domain::time::Timestamp;
use crate::providers::{Answer, BuildContext, BuildKind, Confidence, Ports, Provider, Question};

/// A company's profile from its home page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SiteConfig {
    /// The input field with the domain; `domain` if the file does not say.
    pub input: String,
    /// `user_agent` and `timeout_s`: the fetching of pages.
    pub web: WebConfig,
}

/// The output fields of the `site` provider.
pub const SITE_FIELDS: [&str; 19] = [
    "company_name",
    "legal_name",
    "description",
    "domain",
    "url",
    "logo_url",
    "phones",
    "emails",
    "address",
    "founded_year",
    "employees",
    "employee_range",
    "social_profiles",
    "contact_url",
    "careers_url",
    "feed_url",
    "title",
    "language",
    "redirected_from",
];

impl KindConfig for SiteConfig {
    const NAME: &'static str = "site";
    const KEYS: &'static [&'static [&'static str]] = &[&["input"], &WebConfig::KEYS];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            input: table.input("domain")?,
            web: WebConfig::read(table, 20)?,
        })
    }
}

impl Settings for SiteConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn reads_sites(&self) -> bool {
        true
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(SITE_FIELDS.map(str::to_owned).to_vec())
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.web.timeout)
    }
}

impl BuildKind for SiteConfig {
    fn build(&self, _context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(Arc::new(Site::new(self)))
    }
}

/// The `site` provider.
#[derive(Debug)]
pub struct Site {
    config: SiteConfig,
    agent: Agent,
}

impl Site {
    /// Creates the provider of these settings.
    pub fn new(config: &SiteConfig) -> Self {
        Self {
            config: config.clone(),
            agent: Agent::new(&config.web),
        }
    }
}

#[async_trait]
impl Provider for Site {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let host = match super::host(question.input, &self.config.input) {
            Ok(host) => host,
            Err(why) => return Answer::Invalid(why),
        };
        let mut fetch = PageFetch::new(
            &self.agent,
            ports,
            super::time_for(question, self.config.web.timeout),
        );
        let page = match fetch.home(&host).await {
            Ok(page) => page,
            Err(miss) => return miss.into_answer(),
        };
        let document = Document::of(&page);
        if !page.fits || is_placeholder(&page.url, &document) {
            return Answer::NotFound;
        }
        let profile = profile(&host, &page.url, &document, year(ports.clock.now()));
        if profile.fields.is_empty() {
            return Answer::NotFound;
        }
        Answer::Found {
            fields: profile.fields,
            confidence: Some(Confidence::Each(profile.sure)),
        }
    }
}

fn year(now: Timestamp) -> i32 {
    now.rfc3339()
        .get(..4)
        .and_then(|year| year.parse().ok())
        .unwrap_or(i32::MAX)
}
