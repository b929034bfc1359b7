//! Fetching pages politely: our own name, robots.txt first, few redirects, everything within one deadline.
//!
//! Every hop is a new exchange of the sender's, which judges its address again. `http:` is used only where the operator
//! allows it; a redirect to `http:` is taken to mean `https:` elsewhere. A redirect may lead to any public host, and
//! [`Page::url`] says where it ended: companies change their names, and whether that is still the same company is for the
//! reader of the page to judge.

use std::io::Read;
use std::time::Duration;

use encoding_rs::Encoding;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use url::Url;

use super::html::Document;
use super::page::Page;
use super::robots::{MAX_ROBOTS_BYTES, Robots};
use super::{charset, links};
use crate::domain::delivery::retry_after;
use crate::domain::record::FailureCode;
use crate::domain::time::Timestamp;
use crate::ports::{DnsFailure, DnsKind, HttpAnswer, HttpError, HttpRequest};
use crate::provider::config::WebConfig;
use crate::provider::{Answer, Ports, Question, suffix};

/// What is read of a page, in bytes after decompression.
pub(super) const MAX_PAGE_BYTES: usize = 1024 * 1024;
/// How many redirects are followed for one page, and for one robots.txt.
const MAX_REDIRECTS: usize = 3;
/// Longer URLs are not followed, in bytes.
const MAX_URL: usize = 1024;
/// How far a page is searched for its own redirect, in bytes, and how long that may wait, in seconds.
const MAX_HEAD: usize = 64 * 1024;
const MAX_REFRESH: u64 = 10;
/// More content codings on top of each other are no page.
const MAX_CODINGS: usize = 3;

/// Who we say we are.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    user_agent: String,
    /// What robots.txt calls us.
    product: String,
}

impl Agent {
    pub(super) fn new(config: &WebConfig) -> Self {
        let own = concat!("Millrace/", env!("CARGO_PKG_VERSION"));
        let user_agent = config.user_agent.clone().unwrap_or_else(|| own.to_owned());
        let token = |c: &char| c.is_ascii_alphabetic() || *c == '-' || *c == '_';
        Self { product: user_agent.chars().take_while(token).collect(), user_agent }
    }
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Miss {
    /// There is no such site or no such page.
    Nothing,
    /// The site's robots.txt forbids it.
    Refused(String),
    /// No connection, or none that held. Another address of the same site may do.
    Unreachable(HttpError),
    Failed {
        code: FailureCode,
        detail: String,
    },
}

impl Miss {
    pub(super) fn into_answer(self) -> Answer {
        match self {
            Self::Nothing => Answer::NotFound,
            Self::Refused(detail) => Answer::failed(FailureCode::RobotsRefused, detail),
            Self::Unreachable(error) => {
                Answer::failed(FailureCode::ProviderError, format!("the site cannot be reached ({})", error.class()))
            }
            Self::Failed { code, detail } => Answer::failed(code, detail),
        }
    }

    fn timeout() -> Self {
        Self::Failed { code: FailureCode::ProviderTimeout, detail: "the site did not answer in time".to_owned() }
    }

    fn of(error: HttpError, redirected: bool) -> Self {
        let refused = |what: &str| Self::Failed {
            code: FailureCode::ProviderError,
            detail: if redirected { format!("the site redirects to {what}") } else { format!("the site is at {what}") },
        };
        // A page that did not come whole is none.
        let cause = match error {
            HttpError::Cut { cause, .. } => *cause,
            cause => cause,
        };
        match cause {
            HttpError::Timeout => Self::timeout(),
            HttpError::Blocked => refused("an address that is not allowed: private or local"),
            HttpError::Url(_) => refused("a URL that cannot be used"),
            other => Self::Unreachable(other),
        }
    }
}

/// What a page is fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Html,
    /// RSS, Atom or JSON Feed, which servers give many types.
    Feed,
}

impl Want {
    fn accept(self) -> &'static str {
        match self {
            Self::Html => "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1",
            Self::Feed => {
                "application/atom+xml,application/rss+xml,application/feed+json,application/xml;q=0.9,text/xml;q=0.9,*/*;q=0.1"
            }
        }
    }

    /// Whether it may be that by its type. What types say of feeds means nothing.
    fn may_be(self, media_type: &str) -> bool {
        let is = |types: &[&str]| types.iter().any(|other| media_type.eq_ignore_ascii_case(other));
        self == Self::Feed || media_type.is_empty() || is(&PAGES) || is(&XML)
    }

    /// Whether it is that by its text as well.
    fn fits(self, media_type: &str, text: &str) -> bool {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        match self {
            // What is named as a page is one, whatever its author has done to its first element.
            Self::Html if PAGES.iter().any(|page| media_type.eq_ignore_ascii_case(page)) => true,
            Self::Html if media_type.is_empty() => text.starts_with('<'),
            Self::Html => is_xhtml(text),
            Self::Feed => text.starts_with(['<', '{']),
        }
    }
}

/// The types of pages, and those of any XML, which XHTML is served with as well (W3C, XHTML Media Types).
const PAGES: [&str; 2] = ["text/html", "application/xhtml+xml"];
const XML: [&str; 2] = ["application/xml", "text/xml"];

/// Whether the outermost element of an XML text is that of XHTML.
fn is_xhtml(text: &str) -> bool {
    let mut reader = NsReader::from_str(text);
    loop {
        match reader.read_resolved_event() {
            Ok((namespace, Event::Start(tag))) => {
                let xhtml = Namespace("http://www.w3.org/1999/xhtml");
                let own = [ResolveResult::Unbound, ResolveResult::Bound(xhtml)].contains(&namespace);
                break own && tag.name().as_ref().eq_ignore_ascii_case("html");
            }
            Ok((_, Event::Empty(_) | Event::End(_) | Event::Eof)) | Err(_) => break false,
            Ok(_) => {}
        }
    }
}

/// How long a visit for a question may take, where a provider has so long of its own. A tenth of the question's time stays for
/// what is made of it: an answer that comes as the time ends is lost.
pub(super) fn time_for(question: &Question<'_>, own: Duration) -> Duration {
    (question.limit * 9 / 10).min(own)
}

/// One record's fetches: what each host's robots.txt said is kept until the end.
pub(super) struct Visit<'a> {
    agent: &'a Agent,
    ports: &'a Ports,
    deadline: Timestamp,
    robots: Vec<(String, Robots)>,
}

impl<'a> Visit<'a> {
    pub(super) fn new(agent: &'a Agent, ports: &'a Ports, limit: Duration) -> Self {
        Self { agent, ports, deadline: ports.clock.now().plus(limit), robots: Vec::new() }
    }

    pub(super) fn left(&self) -> Duration {
        self.deadline.since(self.ports.clock.now())
    }

    /// The home page of a host: at its own name and at `www.`, by https, then where that is allowed by http. A
    /// name that has no such page may be one that nobody visits. A public suffix such as `nhs.uk` has its site
    /// at `www.`.
    pub(super) async fn home(&mut self, host: &str) -> Result<Page, Miss> {
        let schemes: &[&str] = if self.http_allowed() { &["https", "http"] } else { &["https"] };
        let mut names = [host.to_owned(), format!("www.{host}")];
        if suffix::registrable(host).is_none() {
            names.reverse();
        }
        let (mut first, mut nothing) = (None, false);
        for scheme in schemes {
            for name in &names {
                let Ok(url) = Url::parse(&format!("{scheme}://{name}/")) else { return Err(Miss::Nothing) };
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

    /// Whether the DNS says for certain that none of these names has an address.
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

    /// A page that is not needed for an answer: it may take half of the time that is left.
    pub(super) async fn other_page(&mut self, url: Url, want: Want) -> Result<Page, Miss> {
        let deadline = self.deadline;
        self.deadline = self.ports.clock.now().plus(self.left() / 2);
        let page = self.page(url, want).await;
        self.deadline = deadline;
        page
    }

    /// One page, if robots.txt allows it.
    pub(super) async fn page(&mut self, mut url: Url, want: Want) -> Result<Page, Miss> {
        for hop in 0..=MAX_REDIRECTS {
            self.check(&mut url, hop > 0)?;
            if !self.robots(&url, hop > 0).await?.allow(&path(&url)) {
                let host = url.host_str().unwrap_or_default();
                return Err(Miss::Refused(format!("the robots.txt of {host} does not let us fetch this page")));
            }
            let answer = self.get(&url, want.accept(), MAX_PAGE_BYTES).await.map_err(|e| Miss::of(e, hop > 0))?;
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
                    let body = Some(media_type).filter(|media_type| want.may_be(media_type)).map(|_| text());
                    let body = body.filter(|text| want.fits(media_type, text));
                    let (fits, body) = (body.is_some(), body.unwrap_or_default());
                    let next = Some(&answer).filter(|_| want == Want::Html && fits);
                    if let Some(next) = next.and_then(|answer| refresh(&url, answer, &body)) {
                        url = next;
                        continue;
                    }
                    Ok(Page { url, headers: answer.headers, body, fits })
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
        let asks_to_wait = answer.header("retry-after").and_then(|t| retry_after(t, self.ports.clock.now())).is_some();
        let limited = status == 429 || (status == 503 && asks_to_wait);
        let code = if limited { FailureCode::RateLimited } else { FailureCode::ProviderError };
        let why = match status {
            401 | 403 | 407 | 451 => "; it does not let programs in",
            _ => "",
        };
        Miss::Failed { code, detail: format!("the site answered HTTP {status}{why}") }
    }

    /// Whether the URL may be asked at all; `http:` becomes `https:` where it is not allowed.
    fn check(&self, url: &mut Url, redirected: bool) -> Result<(), Miss> {
        if url.scheme() == "http" && !self.http_allowed() {
            // No port, or that of http, means that of https now.
            let _ = url.set_scheme("https");
        }
        url.set_fragment(None);
        if url.as_str().len() > MAX_URL {
            return Err(Miss::of(HttpError::Url("too long".to_owned()), redirected));
        }
        self.ports.http.check(url.as_str(), false).map_err(|e| Miss::of(e, redirected))
    }

    fn http_allowed(&self) -> bool {
        self.ports.http.check("http://example.com/", false).is_ok()
    }

    /// The robots.txt of a URL's origin, fetched once.
    ///
    /// Source: RFC 9309, section 2.3.1. 4xx means that everything is allowed, 5xx that nothing is. 429 is taken for what it
    /// says, and not as leave to go on.
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
        let Ok(mut url) = url.join("/robots.txt") else { return Ok(Robots::default()) };
        for hop in 0..=MAX_REDIRECTS {
            self.check(&mut url, redirected || hop > 0)?;
            let answer = self.get(&url, "text/plain,*/*;q=0.1", MAX_ROBOTS_BYTES).await;
            let answer = answer.map_err(|e| Miss::of(e, redirected || hop > 0))?;
            if let Some(next) = redirect(&url, &answer) {
                url = next;
                continue;
            }
            return match answer.status {
                200..=299 => {
                    let answer = unpacked(answer)?;
                    let robots = Robots::parse(&robots_text(&answer), &self.agent.product);
                    // It stood at another host's own place, who will most likely be next.
                    let origin = url.origin().ascii_serialization();
                    if hop > 0 && url.path() == "/robots.txt" && !self.robots.iter().any(|(o, _)| *o == origin) {
                        self.robots.push((origin, robots.clone()));
                    }
                    Ok(robots)
                }
                429 => Err(self.refusal(429, &answer)),
                500..=599 => Err(Miss::Refused(format!(
                    "the robots.txt of {host} answers HTTP {}, so that nothing may be fetched (RFC 9309)",
                    answer.status
                ))),
                _ => Ok(Robots::default()),
            };
        }
        // Section 2.3.1.2: as if there were none.
        Ok(Robots::default())
    }

    /// One exchange; once more where the site asks to be left alone for a moment that there is time for.
    async fn get(&self, url: &Url, accept: &str, max_response_bytes: usize) -> Result<HttpAnswer, HttpError> {
        let mut waited = false;
        loop {
            let deadline = self.left();
            if deadline.is_zero() {
                return Err(HttpError::Timeout);
            }
            let headers = [("user-agent", self.agent.user_agent.as_str()), ("accept", accept)];
            let answer = self
                .ports
                .http
                .send(HttpRequest {
                    method: "GET".to_owned(),
                    url: url.to_string(),
                    headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
                    body: Vec::new(),
                    deadline,
                    plain_http: false,
                    max_response_bytes,
                })
                .await?;
            let wait = match answer.status {
                429 | 503 if !waited => {
                    answer.header("retry-after").and_then(|text| retry_after(text, self.ports.clock.now()))
                }
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
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// Where an answer leads, if it is a redirect.
fn redirect(from: &Url, answer: &HttpAnswer) -> Option<Url> {
    let leads = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
    let next = from.join(answer.header("location").filter(|_| leads)?.trim()).ok()?;
    matches!(next.scheme(), "http" | "https").then_some(next)
}

/// Where a page sends its readers by itself, if soon: `<meta http-equiv="refresh">`, or the header of that name.
/// Not what it does with those who run no scripts: the page is for everybody else.
fn refresh(from: &Url, answer: &HttpAnswer, body: &str) -> Option<Url> {
    let head = &body[..body.floor_char_boundary(MAX_HEAD)];
    let says = || head.as_bytes().windows("refresh".len()).any(|word| word.eq_ignore_ascii_case(b"refresh"));
    let document = if says() { Document::read(&without_noscript(head)) } else { Document::default() };
    let header = answer.header("refresh").and_then(refresh_target).and_then(|target| from.join(target).ok());
    let meta = || links::base(from, &document).join(document.meta(&["refresh"]).and_then(refresh_target)?).ok();
    let mut next = header.or_else(meta)?;
    next.set_fragment(None);
    (matches!(next.scheme(), "http" | "https") && next != *from).then_some(next)
}

/// The URL of `5; url='/next'`, by HTML's shared declarative refresh steps.
fn refresh_target(content: &str) -> Option<&str> {
    let content = content.trim_start();
    let rest = content.trim_start_matches(|c: char| c.is_ascii_digit());
    let time = &content[..content.len() - rest.len()];
    let wait = if time.is_empty() && rest.starts_with('.') { Ok(0) } else { time.parse::<u64>() };
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let target = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ';' || c == ',');
    if target.len() == rest.len() || !wait.is_ok_and(|wait| wait <= MAX_REFRESH) {
        return None;
    }
    let named = target.get(..3).filter(|word| word.eq_ignore_ascii_case("url")).and_then(|_| {
        let value = target[3..].trim_start().strip_prefix('=')?;
        Some(value.trim_start())
    });
    let target = named.unwrap_or(target);
    match target.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        Some(quote) => target[1..].split(quote).next(),
        None => Some(target.trim_end()),
    }
}

fn without_noscript(html: &str) -> String {
    let lower = html.to_ascii_lowercase();
    let (mut kept, mut at) = (String::new(), 0);
    while let Some(start) = lower[at..].find("<noscript") {
        kept.push_str(&html[at..at + start]);
        let Some(end) = lower[at + start..].find("</noscript") else { return kept };
        at += start + end;
    }
    kept + &html[at..]
}

/// Every value of a header, joined as lists are.
fn every(answer: &HttpAnswer, name: &str) -> Option<String> {
    let values: Vec<&str> = answer.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// The media type that a header says: of several the last one, as browsers have it (WHATWG Fetch, "extract a
/// MIME type").
fn media_type(content_type: &str) -> &str {
    let values = content_type.rsplit(',').map(|value| value.split(';').next().unwrap_or_default().trim());
    { values }.find(|value| value.contains('/') && *value != "*/*").unwrap_or_default()
}

/// An answer without the content codings that the sender left on it (RFC 9110, section 8.4.1): names in any
/// case, `x-gzip`, several. What some servers say there, a charset or `none`, is no coding.
fn unpacked(mut answer: HttpAnswer) -> Result<HttpAnswer, Miss> {
    let said = every(&answer, "content-encoding").unwrap_or_default().to_ascii_lowercase();
    let is_coding = |coding: &&str| {
        !matches!(*coding, "" | "identity" | "none") && Encoding::for_label(coding.as_bytes()).is_none()
    };
    let codings: Vec<&str> = said.split(',').map(str::trim).filter(is_coding).collect();
    if answer.body.is_empty() {
        return Ok(answer);
    }
    for (at, coding) in codings.iter().rev().enumerate() {
        let body = answer.body.as_slice();
        let unpacked = match *coding {
            _ if at >= MAX_CODINGS => None,
            "gzip" | "x-gzip" => inflated(MultiGzDecoder::new(body), answer.truncated),
            // Some servers leave the zlib format out.
            "deflate" => inflated(ZlibDecoder::new(body), answer.truncated)
                .or_else(|| inflated(DeflateDecoder::new(body), answer.truncated)),
            _ => None,
        };
        let Some(unpacked) = unpacked else {
            let coding: String = coding.chars().take(40).collect();
            let detail = format!("the site's answer is in a content coding that cannot be undone: {coding:?}");
            return Err(Miss::Failed { code: FailureCode::ProviderError, detail });
        };
        answer.truncated |= unpacked.len() > MAX_PAGE_BYTES;
        answer.body = unpacked;
        answer.body.truncate(MAX_PAGE_BYTES);
    }
    Ok(answer)
}

/// What a decoder reads, a little more than a page at most; of what was cut, what there is.
fn inflated(decoder: impl Read, cut: bool) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let read = decoder.take(MAX_PAGE_BYTES as u64 + 1).read_to_end(&mut body);
    (read.is_ok() || (cut && !body.is_empty())).then_some(body)
}

/// Half a line at the end of what was cut could forbid more than the whole.
fn robots_text(answer: &HttpAnswer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    match text.rfind(['\n', '\r']) {
        Some(end) if answer.truncated => text[..end].to_owned(),
        _ => text.into_owned(),
    }
}

#[cfg(test)]
mod tests;
