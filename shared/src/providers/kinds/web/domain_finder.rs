//! `domain_finder`: a company's domain by its name. Likely domains are looked up in the DNS, and
//! the home pages of those that exist are checked for the name.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::fetch::{Agent, Miss, PageFetch};
use super::html::Document;
use super::json_ld::{self, Graph, is_organization, list, text};
use super::names;
use super::owner;
use super::parked::is_placeholder;
use super::titles::segments;
use crate::catalog::{ConfigError, KindConfig, Settings, Table, WebConfig};
use crate::domain::organisation;
use crate::domain::record::FailureCode;
use crate::ports::{DnsFailure, DnsKind};
use crate::providers::kinds::suffix;
use crate::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

/// The confidence in a domain by the place of the name there.
mod sure {
    pub(super) const JSON_LD: f64 = 0.9;
    pub(super) const OPEN_GRAPH: f64 = 0.8;
    pub(super) const TITLE: f64 = 0.7;
    /// Within a part of the title, word by word.
    pub(super) const IN_TITLE: f64 = 0.5;
    /// The most, if the page has the name with another legal form than the requested one, and not
    /// with that one.
    pub(super) const OTHER_FORM: f64 = 0.6;
    /// The factor for a redirect to another domain: many lead to the domain's buyer.
    pub(super) const REDIRECTED: f64 = 0.9;
    /// The confidence from which on no other domain is tried.
    pub(super) const ENOUGH: f64 = 0.7;
}

/// The most words of a part of a title that may be a name.
const MAX_NAME_WORDS: usize = 6;

/// A company's domain by its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainFinderConfig {
    /// The input field with the name; `company_name` if the file does not say.
    pub input: String,
    /// The top-level domains to try, in this order. Never empty.
    pub tlds: Vec<String>,
    /// The most domains that are looked up in the DNS for a record, 1 to 50.
    pub max_candidates: usize,
    /// The most sites whose home page is fetched for a record, 1 to 10.
    pub max_fetches: usize,
    /// `user_agent` and `timeout_s`: the fetching of pages.
    pub web: WebConfig,
}

/// The output fields of the `domain_finder` provider.
pub const DOMAIN_FINDER_FIELDS: [&str; 2] = ["domain", "company_name"];

/// The top-level domains if the file does not say.
const TLDS: [&str; 10] = [
    "com", "io", "ai", "co", "net", "org", "app", "dev", "de", "co.uk",
];

impl KindConfig for DomainFinderConfig {
    const NAME: &'static str = "domain_finder";
    const KEYS: &'static [&'static [&'static str]] = &[
        &["input", "tlds", "max_candidates", "max_fetches"],
        &WebConfig::KEYS,
    ];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let mut tlds: Vec<String> = Vec::new();
        if let Some(entry) = table.get("tlds") {
            for item in entry.array()? {
                let tld = item.str()?;
                let label = |l: &str| {
                    !l.is_empty()
                        && l.bytes()
                            .all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit())
                };
                if tld.len() > 63 || !tld.split('.').all(label) {
                    return Err(item.error(format!(
                        "`{tld}` is not a top-level domain; write it as in tlds = \
                         [\"com\", \"co.uk\"]"
                    )));
                }
                if tlds.iter().any(|t| t == tld) {
                    return Err(item.error(format!("`{tld}` is there twice; remove one")));
                }
                tlds.push(tld.to_owned());
            }
            if tlds.is_empty() {
                return Err(entry.error(
                    "tlds is empty; name some, such as tlds = [\"com\", \"io\"], or leave it out",
                ));
            }
        } else {
            tlds = TLDS.map(str::to_owned).to_vec();
        }
        let count = |name, most, default| {
            let number = table.number(name, 1, most)?.unwrap_or(default);
            Ok::<_, ConfigError>(usize::try_from(number).unwrap_or(usize::MAX))
        };
        Ok(Self {
            input: table.input("company_name")?,
            tlds,
            max_candidates: count("max_candidates", 50, 20)?,
            max_fetches: count("max_fetches", 10, 4)?,
            web: WebConfig::read(table, 25)?,
        })
    }
}

impl Settings for DomainFinderConfig {
    fn needs(&self) -> Vec<String> {
        vec![self.input.clone()]
    }

    fn reads_sites(&self) -> bool {
        true
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(DOMAIN_FINDER_FIELDS.map(str::to_owned).to_vec())
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.web.timeout)
    }
}

impl BuildKind for DomainFinderConfig {
    fn build(&self, _context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(Arc::new(DomainFinder::new(self)))
    }
}

/// The `domain_finder` provider.
#[derive(Debug)]
pub struct DomainFinder {
    config: DomainFinderConfig,
    agent: Agent,
}

impl DomainFinder {
    /// Creates the provider of these settings.
    pub fn new(config: &DomainFinderConfig) -> Self {
        Self {
            config: config.clone(),
            agent: Agent::new(&config.web),
        }
    }
}

#[async_trait]
impl Provider for DomainFinder {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let field = &self.config.input;
        let Some(name) = question.input.get(field).and_then(Value::as_str) else {
            return Answer::Invalid(format!("`{field}` is needed"));
        };
        if organisation::key(name).is_none() {
            return Answer::Invalid(format!("`{field}` holds no letter or digit"));
        }
        let mut candidates = candidates(name, &self.config.tlds);
        candidates.truncate(self.config.max_candidates);
        let limit = super::time_for(question, self.config.web.timeout);
        let began = ports.clock.now();
        let (existing, unanswered) = existing(ports, candidates).await;

        let (mut best, mut failure): (Option<Find>, Option<Answer>) = (None, None);
        for (at, domain) in existing.iter().take(self.config.max_fetches).enumerate() {
            let left = limit.saturating_sub(ports.clock.now().since(began));
            let others = existing.len().min(self.config.max_fetches) - at;
            // Each may take half of the remaining time, the last one all.
            let share = if others > 1 { left / 2 } else { left };
            match self.look(name, domain, share, ports).await {
                Ok(Some(find)) if best.as_ref().is_none_or(|b| find.confidence > b.confidence) => {
                    best = Some(find);
                }
                Ok(_) => {}
                Err(miss) => {
                    failure.get_or_insert(miss.into_answer());
                }
            }
            if best.as_ref().is_some_and(|b| b.confidence >= sure::ENOUGH) {
                break;
            }
        }
        match (best, failure) {
            (Some(find), _) => find.into_answer(),
            (None, Some(failure)) => failure,
            (None, None) if unanswered => Answer::failed(
                FailureCode::ProviderError,
                "the name server gave no answer; try again later",
            ),
            (None, None) => Answer::NotFound,
        }
    }
}

impl DomainFinder {
    /// Checks whether the company of this name is at this domain.
    async fn look(
        &self,
        name: &str,
        domain: &str,
        limit: std::time::Duration,
        ports: &Ports,
    ) -> Result<Option<Find>, Miss> {
        let page = match PageFetch::new(&self.agent, ports, limit).home(domain).await {
            Err(Miss::Nothing) => return Ok(None),
            other => other?,
        };
        let document = Document::of(&page);
        if !page.fits || is_placeholder(&page.url, &document) {
            return Ok(None);
        }
        Ok(judge(name, domain, &page.url, &document))
    }
}

/// A domain whose page has the name. `company_name` is as the page writes it, if it does.
#[derive(Debug, Clone, PartialEq)]
struct Find {
    domain: String,
    company_name: Option<String>,
    confidence: f64,
}

impl Find {
    fn into_answer(self) -> Answer {
        let fields = [
            ("domain", Some(self.domain)),
            ("company_name", self.company_name),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(n, v)| Some((n.to_owned(), Value::String(v?))));
        let fields: Map<_, _> = fields.collect();
        Answer::Found {
            fields,
            confidence: Some(self.confidence.into()),
        }
    }
}

/// Returns the domains that a company of this name is likely to have, the likeliest first.
fn candidates(name: &str, tlds: &[String]) -> Vec<String> {
    let mut candidates = Vec::new();
    // Some names are domains: Booking.com.
    candidates.extend(
        suffix::host(name)
            .ok()
            .filter(|h| !name.trim().contains(' ') && suffix::registrable(h).is_some()),
    );
    let spelled = organisation::spellings(name);
    // `mueller` alone, as `mueller-soehne`, then `muller`.
    let glued = spelled.iter().map(|words| words.concat());
    let hyphens = spelled
        .first()
        .filter(|words| words.len() > 1)
        .map(|words| words.join("-"));
    let mut spellings: Vec<String> = glued.collect();
    spellings.splice(spellings.len().min(1)..spellings.len().min(1), hyphens);
    for (at, spelling) in spellings.iter().enumerate() {
        // Further spellings are tried at the likeliest domains only.
        let tlds = if at == 0 {
            tlds
        } else {
            &tlds[..tlds.len().min(3)]
        };
        candidates.extend(
            tlds.iter()
                .filter_map(|tld| suffix::host(&format!("{spelling}.{tld}")).ok()),
        );
    }
    let mut seen = std::collections::BTreeSet::new();
    candidates.retain(|c| seen.insert(c.clone()));
    candidates
}

/// Returns those that have an address, in their order, and whether the DNS left any open.
async fn existing(ports: &Ports, candidates: Vec<String>) -> (Vec<String>, bool) {
    let asked = candidates.into_iter().map(|domain| async move {
        for name in [domain.clone(), format!("www.{domain}")] {
            for kind in [DnsKind::A, DnsKind::Aaaa] {
                match ports.dns.look_up(&name, kind).await {
                    Ok(records) if records.is_empty() => {}
                    Ok(_) => return Some(Ok(domain)),
                    // The name has no records, and none below it either (RFC 8020).
                    Err(DnsFailure::NoSuchName) if name == domain => return None,
                    Err(DnsFailure::NoSuchName) => break,
                    Err(DnsFailure::Unanswered(_)) => return Some(Err(())),
                }
            }
        }
        None
    });
    let answers: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    let unanswered = answers.iter().any(Result::is_err);
    (answers.into_iter().flatten().collect(), unanswered)
}

/// Returns whether a page is this company's, with the confidence.
fn judge(name: &str, asked: &str, url: &Url, page: &Document) -> Option<Find> {
    let blocks = json_ld::parse(&page.json_ld);
    let graph = Graph::new(&blocks);
    let organizations = graph
        .nodes
        .iter()
        .map(|node| node.members)
        .filter(|node| is_organization(node));
    let named = organizations.flat_map(|node| {
        ["name", "legalName", "alternateName"].map(|member| list(node.get(member)))
    });
    let named = named.flatten().filter_map(|value| text(Some(value)));
    let said = named.map(|said| (said, sure::JSON_LD));
    let meta = ["og:site_name", "application-name"]
        .into_iter()
        .filter_map(|n| page.meta(&[n]));
    let said = said.chain(meta.map(|said| (said.to_owned(), sure::OPEN_GRAPH)));
    let title = page.title.as_deref().unwrap_or_default();
    let said = said.chain(segments(title).map(|said| (said.to_owned(), sure::TITLE)));
    let said: Vec<(String, f64)> = said.collect();
    let exact = || {
        said.iter()
            .filter(|(said, _)| organisation::same(said, name))
    };
    let agrees = |said: &str| {
        organisation::has_legal_form(said) && !organisation::has_other_form(said, name)
    };
    let other_form = exact().any(|(said, _)| organisation::has_other_form(said, name))
        && !exact().any(|(said, _)| agrees(said));
    let most = if other_form { sure::OTHER_FORM } else { 1.0 };
    let exact = exact()
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(said, sure)| (Some(said.clone()), sure.min(most)));
    let wanted = organisation::spellings(name);
    let in_title = || {
        let holds =
            |words: &[String], wanted: &[String]| words.windows(wanted.len()).any(|w| w == wanted);
        let within = |part: &str| {
            let spelled = organisation::spellings(part);
            spelled
                .iter()
                .any(|words| wanted.iter().any(|wanted| holds(words, wanted)))
        };
        // The page does not have the requested name.
        let own = || {
            let named = said
                .iter()
                .filter(|(_, sure)| *sure > sure::TITLE)
                .map(|(said, _)| said.as_str());
            let titled = names::in_title(title, url).map(|(name, _)| name);
            let short = |said: &&str| said.split_whitespace().count() <= MAX_NAME_WORDS;
            named
                .chain(titled)
                .chain(segments(title))
                .filter(short)
                .find(|said| within(said))
                .map(str::to_owned)
        };
        // One short word is in many titles.
        let telling = wanted
            .iter()
            .all(|words| words.len() > 1 || words.concat().len() >= 5);
        let found = telling && segments(title).any(within);
        found.then(|| (own(), sure::IN_TITLE))
    };
    let (company_name, confidence) = exact.or_else(in_title)?;
    let domain = owner(url.host_str()?).to_owned();
    let moved = domain != owner(asked);
    let confidence = if moved {
        confidence * sure::REDIRECTED
    } else {
        confidence
    };
    Some(Find {
        domain,
        company_name,
        confidence: (confidence * 100.0).round() / 100.0,
    })
}

#[cfg(test)]
mod tests;
