//! `tech`: the technologies that a site is made with, by a file of rules.

pub mod config;
mod detect;
mod matcher;
mod rules;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures_util::future::{join, join_all};
use serde_json::{Map, Value};

use self::config::{TECH_FIELD, TechConfig};
use self::detect::{Seen, detect, never_found};
use self::rules::{Rules, Unusable};
use super::fetch::{Agent, Miss, PageFetch};
use super::html::Document;
use super::page::Page;
use super::{links, owner, parked};
use crate::catalog::ConfigError;
use crate::domain::record::FailureCode;
use crate::ports::{DnsKind, DnsRecord};
use crate::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

impl BuildKind for TechConfig {
    fn build(&self, context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(Arc::new(Tech::open(
            &context.provider.name,
            self,
            context.dir.join(&self.rules),
        )?))
    }
}

/// The technologies that a site is made with.
///
/// The rules are read and compiled when the first record asks: a start has no time for thousands of
/// patterns.
#[derive(Debug)]
pub struct Tech {
    config: TechConfig,
    agent: Agent,
    path: PathBuf,
    rules: OnceLock<Result<Rules, String>>,
}

impl Tech {
    /// Makes the provider with the rules at this path. An error if the file does not exist.
    pub fn open(name: &str, config: &TechConfig, path: PathBuf) -> Result<Self, ConfigError> {
        let unread = |e| {
            config.rules_at.error(format!(
                "providers.{name}: {} cannot be read: {e}",
                config.rules
            ))
        };
        std::fs::metadata(&path).map_err(unread)?;
        Ok(Self {
            config: config.clone(),
            agent: Agent::new(&config.web),
            path,
            rules: OnceLock::new(),
        })
    }

    fn rules(&self) -> Result<&Rules, String> {
        let read = || {
            let text =
                std::fs::read_to_string(&self.path).map_err(|e| format!("cannot be read: {e}"));
            let rules = text.and_then(|text| Rules::parse(&text));
            let rules = rules.map_err(|why| format!("{}: {why}", self.config.rules))?;
            let (technologies, never) = (rules.technologies.len(), never_found(&rules).len());
            tracing::info!(
                file = self.config.rules,
                technologies,
                never_found = never,
                unusable_patterns = rules.unusable.count,
                "technology rules were read"
            );
            Ok(rules)
        };
        self.rules.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

#[async_trait]
impl Provider for Tech {
    /// If robots.txt forbids the page, or no web site answers to the name, the DNS may still help.
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let host = match super::host(question.input, &self.config.input) {
            Ok(host) => host,
            Err(why) => return Answer::Invalid(why),
        };
        let rules = match self.rules() {
            Ok(rules) => rules,
            Err(why) => return Answer::failed(FailureCode::ProviderError, why),
        };
        let mut fetch = PageFetch::new(
            &self.agent,
            ports,
            super::time_for(question, self.config.web.timeout),
        );
        let kinds = rules.dns_kinds();
        let (page, dns) = join(fetch.home(&host), records(ports, &host, &kinds)).await;
        let (mut seen, miss) = match page {
            Ok(page) => match seen(page) {
                Some(seen) => (seen, None),
                None => return Answer::NotFound,
            },
            Err(miss @ (Miss::Nothing | Miss::Refused(_))) => (Seen::default(), Some(miss)),
            Err(miss) => return miss.into_answer(),
        };
        seen.dns = dns;
        let found = detect(rules, &seen);
        if found.is_empty() {
            return miss.map_or(Answer::NotFound, Miss::into_answer);
        }
        let list = found.iter().map(detect::Detected::to_json).collect();
        Answer::Found {
            fields: Map::from_iter([(TECH_FIELD.to_owned(), Value::Array(list))]),
            confidence: None,
        }
    }

    async fn inspect(&self, _ports: &Ports) -> Result<Vec<String>, String> {
        about(&self.config.rules, self.rules()?)
    }
}

/// Describes a file of rules. An error if nothing can be found by it.
fn about(file: &str, rules: &Rules) -> Result<Vec<String>, String> {
    let (all, never) = (rules.technologies.len(), never_found(rules));
    if never.len() == all {
        return Err(format!(
            "{file}: none of its {all} technologies can be found: {NEVER}"
        ));
    }
    let technologies = if all == 1 {
        "technology"
    } else {
        "technologies"
    };
    let mut reported = vec![format!("{file} has {all} {technologies}")];
    if !never.is_empty() {
        let names = named(never.iter().copied(), never.len());
        reported.push(format!(
            "{} of them can never be found ({NEVER}): {names}",
            never.len()
        ));
    }
    let Unusable { count, first } = &rules.unusable;
    if *count > 0 {
        let which = named(first.iter().map(String::as_str), *count);
        let patterns = if *count == 1 { "pattern" } else { "patterns" };
        reported.push(format!(
            "{count} {patterns} passed over that the matcher cannot have: {which}"
        ));
    }
    Ok(reported)
}

/// The reason why a technology is never found.
const NEVER: &str = "they have no pattern that is looked for here";
/// The most technologies that are named.
const MAX_NAMED: usize = 5;

fn named<'n>(names: impl Iterator<Item = &'n str>, all: usize) -> String {
    let names: Vec<&str> = names.take(MAX_NAMED).collect();
    let more = if all > names.len() { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}

/// Returns the traces on a page; `None` if it belongs to no company.
fn seen(page: Page) -> Option<Seen> {
    let document = Document::of(&page);
    if parked::is_parked(&page.url, &document) {
        return None;
    }
    let base = links::base(&page.url, &document);
    let script_urls = document
        .script_urls
        .iter()
        .filter_map(|src| links::absolute(&base, src))
        .collect();
    let (url, headers, html) = (page.url.to_string(), page.headers, page.body);
    Some(Seen {
        url,
        headers,
        html,
        script_urls,
        page: document,
        dns: Vec::new(),
    })
}

/// Returns the records of these kinds, as texts: those of mail and of the zone at the registrable
/// domain, aliases at the host and its `www.`. Records that the DNS does not answer are left out.
async fn records(ports: &Ports, host: &str, kinds: &[DnsKind]) -> Vec<(DnsKind, String)> {
    let names = kinds.iter().flat_map(|kind| match kind {
        DnsKind::Cname => vec![(*kind, host.to_owned()), (*kind, format!("www.{host}"))],
        kind => vec![(*kind, owner(host).to_owned())],
    });
    let asked =
        names.map(|(kind, name)| async move { (kind, ports.dns.look_up(&name, kind).await) });
    let answers = join_all(asked).await.into_iter();
    let records = answers.flat_map(|(kind, answer)| {
        answer
            .unwrap_or_default()
            .into_iter()
            .map(move |r| (kind, r))
    });
    records
        .filter_map(|(kind, record)| match record {
            DnsRecord::Cname(text) | DnsRecord::Ns(text) | DnsRecord::Txt(text) => {
                Some((kind, text))
            }
            DnsRecord::Mx { exchange, .. } => Some((kind, exchange)),
            DnsRecord::Address(_) => None,
        })
        .collect()
}

/// Returns a counter of the technologies that the shipped rules find on a page, for the tests of
/// malformed pages.
#[cfg(test)]
pub(super) fn reads() -> impl Fn(&url::Url, &str) -> usize {
    let rules = Rules::parse(include_str!(
        "../../../../../../infra/data/technologies.json"
    ))
    .unwrap();
    move |url, html| {
        let page = Page {
            url: url.clone(),
            headers: Vec::new(),
            body: html.to_owned(),
            fits: true,
        };
        seen(page).map_or(0, |seen| detect(&rules, &seen).len())
    }
}
