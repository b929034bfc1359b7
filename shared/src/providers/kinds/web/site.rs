//! `site`: a company's profile from its home page.

use async_trait::async_trait;

use super::fetch::{Agent, Visit};
use super::html::Document;
use super::parked::is_nobodys;
use super::profile::profile;
use crate::catalog::SiteConfig;
use crate::domain::time::Timestamp;
use crate::providers::Confidence;
use crate::providers::{Answer, Ports, Provider, Question};

/// A company's profile from its home page.
#[derive(Debug)]
pub struct Site {
    config: SiteConfig,
    agent: Agent,
}

impl Site {
    /// Makes the provider of a declaration in `providers.toml`.
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
        let mut visit = Visit::new(
            &self.agent,
            ports,
            super::time_for(question, self.config.web.timeout),
        );
        let page = match visit.home(&host).await {
            Ok(page) => page,
            Err(miss) => return miss.into_answer(),
        };
        let document = Document::of(&page);
        if !page.fits || is_nobodys(&page.url, &document) {
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
