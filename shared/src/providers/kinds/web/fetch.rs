//! Fetches pages politely: under our own name, robots.txt first, few redirects, everything within
//! one deadline.
//!
//! Every hop is a new exchange of the sender's, which checks its address again. `http:` is used
//! only if the operator allows it; otherwise a redirect to `http:` is taken to mean `https:`. A
//! redirect may lead to any public host, and [`Page::url`] says where it ended: companies change
//! their names, and the reader of the page judges whether it is still the same company.

mod body;
mod miss;
mod redirects;
mod want;

use std::time::Duration;

use url::Url;

use self::body::{MAX_PAGE_BYTES, every, media_type, robots_text, unpacked};
pub(super) use self::miss::Miss;
use self::redirects::{redirect, refresh};
pub(super) use self::want::Want;
use super::charset;
use super::page::Page;
use super::robots::{MAX_ROBOTS_BYTES, Robots};
use crate::catalog::WebConfig;
use crate::domain::delivery::retry_after;
use crate::domain::record::FailureCode;
use crate::domain::time::Timestamp;
use crate::ports::{DnsFailure, DnsKind, HttpAnswer, HttpError, HttpRequest};
use crate::providers::kinds::suffix;
use crate::providers::{Ports, Question};

/// The most redirects that are followed for one page, and for one robots.txt.
const MAX_REDIRECTS: usize = 3;
/// The longest URL that is followed, in bytes.
const MAX_URL: usize = 1024;
/// The name under which we fetch.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    user_agent: String,
    /// Our name in robots.txt.
    product: String,
}

impl Agent {
    pub(super) fn new(config: &WebConfig) -> Self {
        let own = concat!("Millrace/", env!("CARGO_PKG_VERSION"));
        let user_agent = config.user_agent.clone().unwrap_or_else(|| own.to_owned());
        let token = |c: &char| c.is_ascii_alphabetic() || *c == '-' || *c == '_';
        Self {
            product: user_agent.chars().take_while(token).collect(),
            user_agent,
        }
    }
}

/// Returns the time for the fetches of a question, if a provider has `own` time. A tenth of the
/// question's time stays for reading the pages: an answer that comes as the time ends is lost.
pub(super) fn time_for(question: &Question<'_>, own: Duration) -> Duration {
    (question.limit * 9 / 10).min(own)
}

/// The fetches of one record: each host's robots.txt is kept until the end.
pub(super) struct PageFetch<'a> {
    agent: &'a Agent,
    ports: &'a Ports,
    deadline: Timestamp,
    robots: Vec<(String, Robots)>,
}

impl<'a> PageFetch<'a> {
    pub(super) fn new(agent: &'a Agent, ports: &'a Ports, limit: Duration) -> Self {
        Self {
            agent,
            ports,
            deadline: ports.clock.now().plus(limit),
            robots: Vec::new(),
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.deadline.since(self.ports.clock.now())
    }

    /// Fetches the home page of a host: at its own name and at `www.`, by https, then by http if
    /// that is allowed. A name without such a page is perhaps not in use. A public suffix such as
    /// `nhs.uk` has its site at `www.`.
    pub(super) async fn home(&mut self, host: &str) -> Result<Page, Miss> {
        let schemes: &[&str] = if self.http_allowed() {
            &["https", "http"]
        } else {
            &["https"]
        };
        let mut names = [host.to_owned(), format!("www.{host}")];
        if suffix::registrable(host).is_none() {
            names.reverse();
        }
        let (mut first, mut nothing) = (None, false);
        for scheme in schemes {
            for name in &names {
                let Ok(url) = Url::parse(&format!("{scheme}://{name}/")) else {
                    return Err(Miss::Nothing);
                };
                match self.page(url, Want::Html).await {
                    Err(Miss::Unreachable(error)) => {
                        first.get_or_insert(error);
                    }
                    Err(Miss::Nothing) => nothing = true,
                    other => return other,
                }
            }
            if nothing {
                return Err(Miss::Nothing);
            }
        }
        if matches!(first, Some(HttpError::Dns(_))) && self.no_address(&names).await {
            return Err(Miss::Nothing);
        }
        Err(first.map_or(Miss::Nothing, Miss::Unreachable))
    }

    /// Returns whether the DNS is certain that none of these names has an address.
    async fn no_address(&self, names: &[String]) -> bool {
        for name in names {
            for kind in [DnsKind::A, DnsKind::Aaaa] {
                match self.ports.dns.look_up(name, kind).await {
                    Err(DnsFailure::NoSuchName) => {}
                    Ok(records) if records.is_empty() => {}
                    _ => return false,
                }
            }
        }
        true
    }

    /// Fetches an optional page: it may take half of the remaining time.
    pub(super) async fn other_page(&mut self, url: Url, want: Want) -> Result<Page, Miss> {
        let deadline = self.deadline;
        self.deadline = self.ports.clock.now().plus(self.left() / 2);
        let page = self.page(url, want).await;
        self.deadline = deadline;
        page
    }

    /// Fetches one page, if robots.txt allows it.
    pub(super) async fn page(&mut self, mut url: Url, want: Want) -> Result<Page, Miss> {
        for hop in 0..=MAX_REDIRECTS {
            self.check(&mut url, hop > 0)?;
            if !self.robots(&url, hop > 0).await?.allow(&path(&url)) {
                let host = url.host_str().unwrap_or_default();
                return Err(Miss::Refused(format!(
                    "the robots.txt of {host} does not let us fetch this page"
                )));
            }
            let answer = self
                .get(&url, want.accept(), MAX_PAGE_BYTES)
                .await
                .map_err(|e| Miss::of(e, hop > 0))?;
            if let Some(next) = redirect(&url, &answer) {
                url = next;
                continue;
            }
            let content_type = every(&answer, "content-type");
            return match answer.status {
                200..=299 => {
                    let answer = unpacked(answer)?;
                    let media_type = media_type(content_type.as_deref().unwrap_or_default());
                    let text = || charset::decode(&answer.body, content_type.as_deref());
                    let body = Some(media_type)
                        .filter(|media_type| want.may_be(media_type))
                        .map(|_| text());
                    let body = body.filter(|text| want.fits(media_type, text));
                    let (fits, body) = (body.is_some(), body.unwrap_or_default());
                    let next = Some(&answer).filter(|_| want == Want::Html && fits);
                    if let Some(next) = next.and_then(|answer| refresh(&url, answer, &body)) {
                        url = next;
                        continue;
                    }
                    Ok(Page {
                        url,
                        headers: answer.headers,
                        body,
                        fits,
                    })
                }
                404 | 410 => Err(Miss::Nothing),
                status => Err(self.refusal(status, &answer)),
            };
        }
        Err(Miss::Failed {
            code: FailureCode::ProviderError,
            detail: format!("the site redirects more than {MAX_REDIRECTS} times"),
        })
    }

    fn refusal(&self, status: u16, answer: &HttpAnswer) -> Miss {
        let asks_to_wait = answer
            .header("retry-after")
            .and_then(|t| retry_after(t, self.ports.clock.now()))
            .is_some();
        let limited = status == 429 || (status == 503 && asks_to_wait);
        let code = if limited {
            FailureCode::RateLimited
        } else {
            FailureCode::ProviderError
        };
        let why = match status {
            401 | 403 | 407 | 451 => "; it does not let programs in",
            _ => "",
        };
        Miss::Failed {
            code,
            detail: format!("the site answered HTTP {status}{why}"),
        }
    }

    /// Checks whether the URL may be fetched at all; `http:` becomes `https:` if it is not allowed.
    fn check(&self, url: &mut Url, redirected: bool) -> Result<(), Miss> {
        if url.scheme() == "http" && !self.http_allowed() {
            // Without a port, or with that of http, the port of https is meant now.
            let _ = url.set_scheme("https");
        }
        url.set_fragment(None);
        if url.as_str().len() > MAX_URL {
            return Err(Miss::of(HttpError::Url("too long".to_owned()), redirected));
        }
        self.ports
            .http
            .check(url.as_str(), false)
            .map_err(|e| Miss::of(e, redirected))
    }

    fn http_allowed(&self) -> bool {
        self.ports.http.check("http://example.com/", false).is_ok()
    }

    /// Returns the robots.txt of a URL's origin, fetched once.
    ///
    /// Source: RFC 9309, section 2.3.1. 4xx means that everything is allowed, 5xx that nothing is.
    /// 429 is a limit of rate, not a permission.
    async fn robots(&mut self, url: &Url, redirected: bool) -> Result<&Robots, Miss> {
        let origin = url.origin().ascii_serialization();
        let known = self.robots.iter().position(|(o, _)| *o == origin);
        let at = if let Some(at) = known {
            at
        } else {
            let robots = self.fetch_robots(url, redirected).await?;
            self.robots.push((origin, robots));
            self.robots.len() - 1
        };
        Ok(&self.robots[at].1)
    }

    async fn fetch_robots(&mut self, url: &Url, redirected: bool) -> Result<Robots, Miss> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let Ok(mut url) = url.join("/robots.txt") else {
            return Ok(Robots::default());
        };
        for hop in 0..=MAX_REDIRECTS {
            self.check(&mut url, redirected || hop > 0)?;
            let answer = self
                .get(&url, "text/plain,*/*;q=0.1", MAX_ROBOTS_BYTES)
                .await;
            let answer = answer.map_err(|e| Miss::of(e, redirected || hop > 0))?;
            if let Some(next) = redirect(&url, &answer) {
                url = next;
                continue;
            }
            return match answer.status {
                200..=299 => {
                    let answer = unpacked(answer)?;
                    let robots = Robots::parse(&robots_text(&answer), &self.agent.product);
                    // It was at another host's own place, which is most likely the next one.
                    let origin = url.origin().ascii_serialization();
                    if hop > 0
                        && url.path() == "/robots.txt"
                        && !self.robots.iter().any(|(o, _)| *o == origin)
                    {
                        self.robots.push((origin, robots.clone()));
                    }
                    Ok(robots)
                }
                429 => Err(self.refusal(429, &answer)),
                500..=599 => Err(Miss::Refused(format!(
                    "the robots.txt of {host} answers HTTP {}, so that nothing may be fetched \
                     (RFC 9309)",
                    answer.status
                ))),
                _ => Ok(Robots::default()),
            };
        }
        // Section 2.3.1.2: as if there were none.
        Ok(Robots::default())
    }

    /// Does one exchange; once more if the site asks to be left alone for a moment and there is
    /// time.
    async fn get(
        &self,
        url: &Url,
        accept: &str,
        max_response_bytes: usize,
    ) -> Result<HttpAnswer, HttpError> {
        let mut waited = false;
        loop {
            let deadline = self.left();
            if deadline.is_zero() {
                return Err(HttpError::Timeout);
            }
            let headers = [
                ("user-agent", self.agent.user_agent.as_str()),
                ("accept", accept),
            ];
            let answer = self
                .ports
                .http
                .send(HttpRequest {
                    method: "GET".to_owned(),
                    url: url.to_string(),
                    headers: headers
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .to_vec(),
                    body: Vec::new(),
                    deadline,
                    plain_http: false,
                    max_response_bytes,
                })
                .await?;
            let wait = match answer.status {
                429 | 503 if !waited => answer
                    .header("retry-after")
                    .and_then(|text| retry_after(text, self.ports.clock.now())),
                _ => None,
            };
            match wait {
                Some(wait) if wait < self.left() / 2 => self.ports.clock.sleep(wait).await,
                _ => return Ok(answer),
            }
            waited = true;
        }
    }
}

fn path(url: &Url) -> String {
    url.query().map_or_else(
        || url.path().to_owned(),
        |query| format!("{}?{query}", url.path()),
    )
}

#[cfg(test)]
mod tests;
