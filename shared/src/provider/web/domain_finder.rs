//! `domain_finder`: a company's domain by its name. Likely domains are looked up in the DNS, and the home pages of those that
//! exist are asked whose they are.

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::{Map, Value};
use url::Url;

use super::fetch::{Agent, Miss, Visit};
use super::html::Document;
use super::json_ld::{self, Graph, is_organization, list, text};
use super::parked::is_parked;
use super::{names, owner};
use crate::ports::{DnsFailure, DnsKind};
use crate::provider::config::DomainFinderConfig;
use crate::provider::{Answer, Ports, Provider, Question, suffix};

/// How sure a domain is by what says the name there. Below [`LEAST`] it is no find; at [`ENOUGH`] no other domain is asked.
mod sure {
    pub(super) const JSON_LD: f64 = 0.9;
    pub(super) const OPEN_GRAPH: f64 = 0.8;
    pub(super) const TITLE: f64 = 0.7;
    /// Within a part of the title, word by word.
    pub(super) const IN_TITLE: f64 = 0.5;
    /// What a redirect to another domain leaves of it: many lead to whoever bought the domain.
    pub(super) const REDIRECTED: f64 = 0.9;
    pub(super) const ENOUGH: f64 = 0.7;
}

/// A company's domain by its name.
#[derive(Debug)]
pub struct DomainFinder {
    config: DomainFinderConfig,
    agent: Agent,
}

impl DomainFinder {
    pub fn new(config: &DomainFinderConfig) -> Self {
        Self { config: config.clone(), agent: Agent::new(&config.web) }
    }
}

#[async_trait]
impl Provider for DomainFinder {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let field = &self.config.input;
        let Some(name) = question.input.get(field).and_then(Value::as_str) else {
            return Answer::Invalid(format!("`{field}` is needed"));
        };
        if names::words(name).is_empty() {
            return Answer::Invalid(format!("`{field}` holds no letter or digit"));
        }
        let mut candidates = candidates(name, &self.config.tlds);
        candidates.truncate(self.config.max_candidates);
        let limit = question.limit.min(self.config.web.timeout);
        let began = ports.clock.now();
        let (existing, unanswered) = existing(ports, candidates).await;

        let (mut best, mut failure): (Option<Find>, Option<Answer>) = (None, None);
        for (at, domain) in existing.iter().take(self.config.max_fetches).enumerate() {
            let left = limit.saturating_sub(ports.clock.now().since(began));
            let others = existing.len().min(self.config.max_fetches) - at;
            // Each may take half of what is left, the last one all.
            let share = if others > 1 { left / 2 } else { left };
            match self.look(name, domain, share, ports).await {
                Ok(Some(find)) if best.as_ref().is_none_or(|b| find.confidence > b.confidence) => best = Some(find),
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
            (None, None) if unanswered => Answer::failed("provider_error", "the name server gave no answer; try again later"),
            (None, None) => Answer::NotFound,
        }
    }
}

impl DomainFinder {
    /// Whether the company of this name is at home there.
    async fn look(&self, name: &str, domain: &str, limit: std::time::Duration, ports: &Ports) -> Result<Option<Find>, Miss> {
        let page = match Visit::new(&self.agent, ports, limit).home(domain).await {
            Err(Miss::Nothing) => return Ok(None),
            other => other?,
        };
        let document = Document::read(&page.body);
        if !page.fits || is_parked(&page.url, &document) {
            return Ok(None);
        }
        Ok(judge(name, domain, &page.url, &document))
    }
}

/// A domain whose page says the name.
#[derive(Debug, Clone, PartialEq)]
struct Find {
    domain: String,
    company_name: String,
    confidence: f64,
}

impl Find {
    fn into_answer(self) -> Answer {
        let fields = [("domain", self.domain), ("company_name", self.company_name)];
        let fields: Map<_, _> = fields.into_iter().map(|(n, v)| (n.to_owned(), Value::String(v))).collect();
        Answer::Found { fields, confidence: Some(self.confidence.into()) }
    }
}

/// Domains that a company of this name is likely to have, the likeliest first.
fn candidates(name: &str, tlds: &[String]) -> Vec<String> {
    let mut candidates = Vec::new();
    // Some names are domains: Booking.com.
    candidates.extend(suffix::host(name).ok().filter(|h| !name.trim().contains(' ') && suffix::registrable(h).is_some()));
    let words: Vec<String> = names::words(name);
    let spellings = if words.len() > 1 { vec![words.concat(), words.join("-")] } else { vec![words.concat()] };
    for (at, spelling) in spellings.iter().enumerate() {
        // Hyphens are tried at the likeliest only.
        let tlds = if at == 0 { tlds } else { &tlds[..tlds.len().min(3)] };
        candidates.extend(tlds.iter().filter_map(|tld| suffix::host(&format!("{spelling}.{tld}")).ok()));
    }
    let mut seen = std::collections::BTreeSet::new();
    candidates.retain(|c| seen.insert(c.clone()));
    candidates
}

/// Those that have an address, in their order, and whether the DNS left any open.
async fn existing(ports: &Ports, candidates: Vec<String>) -> (Vec<String>, bool) {
    let asked = candidates.into_iter().map(|domain| async move {
        for name in [domain.clone(), format!("www.{domain}")] {
            for kind in [DnsKind::A, DnsKind::Aaaa] {
                match ports.dns.look_up(&name, kind).await {
                    Ok(records) if records.is_empty() => {}
                    Ok(_) => return Some(Ok(domain)),
                    // The name has nothing of any kind, and nothing below it either (RFC 8020).
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

/// Whether a page says that it is this company's, and how sure that is.
fn judge(name: &str, asked: &str, url: &Url, page: &Document) -> Option<Find> {
    let blocks = json_ld::parse(&page.json_ld);
    let graph = Graph::new(&blocks);
    let organizations = graph.nodes.iter().map(|node| node.members).filter(|node| is_organization(node));
    let named = organizations.flat_map(|node| ["name", "legalName", "alternateName"].map(|member| list(node.get(member))));
    let named = named.flatten().filter_map(|value| text(Some(value)));
    let said = named.map(|said| (said, sure::JSON_LD));
    let meta = ["og:site_name", "application-name"].into_iter().filter_map(|n| page.meta(&[n]));
    let said = said.chain(meta.map(|said| (said.to_owned(), sure::OPEN_GRAPH)));
    let title = page.title.as_deref().unwrap_or_default();
    let said = said.chain(names::segments(title).map(|said| (said.to_owned(), sure::TITLE)));
    let exact = said.filter(|(said, _)| names::same(said, name)).max_by(|a, b| a.1.total_cmp(&b.1));
    let wanted = names::words(name);
    let in_title = || {
        let within = |part: &&str| names::words(part).windows(wanted.len()).any(|w| *w == wanted[..]);
        // One short word is in many titles.
        let telling = wanted.len() > 1 || wanted.concat().len() >= 5;
        names::segments(title).find(within).filter(|_| telling).map(|_| (name.trim().to_owned(), sure::IN_TITLE))
    };
    let (company_name, confidence) = exact.or_else(in_title)?;
    let domain = owner(url.host_str()?).to_owned();
    let moved = domain != owner(asked);
    let confidence = if moved { confidence * sure::REDIRECTED } else { confidence };
    Some(Find { domain, company_name, confidence: (confidence * 100.0).round() / 100.0 })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::ports::DnsRecord;
    use crate::provider::config::{Config, Kind};
    use crate::provider::testing::{Script, input, ports, question};

    fn finder(more: &str) -> DomainFinder {
        let toml = format!(
            "[types.t]\ninputs = [[\"company_name\"]]\nwaterfall = [\"f\"]\n[providers.f]\nkind = \"domain_finder\"\n{more}\n"
        );
        let config = Config::parse("p.toml", &toml).unwrap_or_else(|e| panic!("{e}"));
        let Kind::DomainFinder(finder) = &config.providers[0].kind else { panic!() };
        DomainFinder::new(finder)
    }

    async fn find(name: &str, tell: impl FnOnce(&Script)) -> (Answer, usize) {
        let (ports, script) = ports();
        tell(&script);
        let input = input(json!({ "company_name": name }));
        let answer = finder("tlds = [\"com\", \"io\", \"de\"]").ask(&question(&input, Duration::from_secs(20)), &ports).await;
        (answer, script.requests().len())
    }

    fn exists(script: &Script, domain: &str) {
        script.name(domain, DnsKind::A, Ok(vec![DnsRecord::Address([192, 0, 2, 1].into())]));
    }

    fn serves(script: &Script, html: &str) {
        script.answer(404, "");
        script.answer_with(200, &[("content-type", "text/html")], html);
    }

    fn domain(answer: &Answer) -> Option<(&str, f64)> {
        let Answer::Found { fields, confidence } = answer else { return None };
        Some((fields["domain"].as_str()?, confidence.as_ref()?.of("domain")?))
    }

    #[test]
    fn names_become_likely_domains() {
        let tlds = ["com", "co.uk"].map(str::to_owned);
        for (name, wanted) in [
            ("Acme Anvils, Inc.", &["acmeanvils.com", "acmeanvils.co.uk", "acme-anvils.com", "acme-anvils.co.uk"][..]),
            ("M\u{fc}ller GmbH", &["mueller.com", "mueller.co.uk"]),
            ("Booking.com", &["booking.com", "bookingcom.com", "bookingcom.co.uk"]),
            ("\u{682a}", &["xn--rhqv96g.com", "xn--rhqv96g.co.uk"]),
        ] {
            let found = candidates(name, &tlds);
            if name == "\u{682a}" {
                assert!(found.len() == 2 && found.iter().all(|c| c.starts_with("xn--")), "{found:?}");
            } else {
                assert_eq!(found, wanted, "{name}");
            }
        }
        assert!(candidates(&"long ".repeat(60), &tlds).is_empty());
    }

    #[tokio::test]
    async fn the_first_page_that_says_the_name_is_it() {
        let (answer, requests) = find("Acme, Inc.", |s| {
            ["acme.com", "acme.io", "acme.de"].iter().for_each(|d| exists(s, d));
            serves(s, "<title>Acme Tools of another sort and many words</title>");
            serves(s, r#"<script type="application/ld+json">{"@type":"Corporation","legalName":"ACME Inc"}</script>"#);
        })
        .await;
        assert_eq!((domain(&answer), requests), (Some(("acme.io", 0.9)), 4));
    }

    #[tokio::test]
    async fn how_sure_it_is() {
        for (html, wanted) in [
            ("<meta property=og:site_name content=ACME>", Some(0.8)),
            ("<title>Home | Acme Anvils | Acme</title>", Some(0.7)),
            ("<title>Others</title>", None),
            ("<title>Acme is a short word</title>", None),
            ("<title>Acme</title><p>This domain is for sale", None),
        ] {
            let (answer, _) = find("Acme", |s| {
                exists(s, "acme.com");
                serves(s, html);
            })
            .await;
            assert_eq!(domain(&answer).map(|(_, sure)| sure), wanted, "{html}: {answer:?}");
        }
        let (answer, _) = find("Acme", |s| {
            exists(s, "acme.com");
            s.answer(404, "");
            s.answer_with(301, &[("location", "https://anvils.example/")], "");
            serves(s, "<title>Acme</title>");
        })
        .await;
        assert_eq!(domain(&answer), Some(("anvils.example", 0.63)));
    }

    #[tokio::test]
    async fn nothing_is_asked_of_domains_that_do_not_exist() {
        assert_eq!(find("Acme", |_| ()).await, (Answer::NotFound, 0));
        let unanswered = |s: &Script| s.name("acme.com", DnsKind::A, Err(DnsFailure::Unanswered("servfail".to_owned())));
        let (answer, _) = find("Acme", unanswered).await;
        assert!(matches!(answer, Answer::Failed { ref code, .. } if code == "provider_error"), "{answer:?}");
        for wrong in ["", "!!"] {
            assert!(matches!(find(wrong, |_| ()).await.0, Answer::Invalid(_)));
        }
    }

    #[tokio::test]
    async fn a_site_that_fails_does_not_hide_another() {
        let (answer, _) = find("Acme", |s| {
            exists(s, "acme.com");
            exists(s, "acme.io");
            s.answer(200, "User-agent: *\nDisallow: /");
            serves(s, "<title>Acme</title>");
        })
        .await;
        assert_eq!(domain(&answer), Some(("acme.io", 0.7)));
        let (answer, _) = find("Acme", |s| {
            exists(s, "acme.com");
            s.answer(200, "User-agent: *\nDisallow: /");
        })
        .await;
        assert!(matches!(answer, Answer::Failed { ref code, .. } if code == "robots_refused"), "{answer:?}");
    }
}
