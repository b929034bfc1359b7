//! The client of the native API: joined URLs, one idempotency key over all tries, and patience
//! where it helps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method};
use serde_json::Value;
use shared::domain::backoff::{doubled, equal_jitter};
use shared::domain::delivery::retry_after;
use shared::domain::time::Timestamp;
use shared::lambda::system::SystemClock;
use shared::ports::Clock;
use url::{Host, Url};

use crate::failure::Failure;
use crate::problem::Problem;
use crate::screen::Screen;

/// Tries of one request, the first included.
const TRIES: u32 = 7;
/// Tries of a server that has never answered: it is more likely absent than busy.
const FIRST_TRIES: u32 = 4;
/// The longest wait between two tries of its own accord.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// A server that asks for more patience than this is reported instead.
const LONGEST_ASKED: Duration = Duration::from_secs(120);
/// API Gateway answers within 30 s or not at all.
const PATIENCE: Duration = Duration::from_secs(40);
/// API Gateway hands out at most 10 MB.
const MAX_ANSWER_BYTES: usize = 12 * 1024 * 1024;

/// The hint for a server on this machine: most likely the local stack, which may have restarted.
const OTHER_STACK: &str = "If this is the local stack: each make up starts it anew, with another \
    URL and key. Once it is up, read them again:\n    set -a; . infra/local/.env; set +a";

/// A deployment, and a key to it.
pub(crate) struct Api {
    client: Client,
    base: String,
    /// It is on this machine.
    local: bool,
    key: HeaderValue,
    screen: Arc<Screen>,
    first_wait: Duration,
    answered: AtomicBool,
}

/// One request. `path` begins with `/v1/`.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    method: Method,
    path: &'a str,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl<'a> Request<'a> {
    /// A GET.
    pub(crate) fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A DELETE.
    pub(crate) fn delete(path: &'a str) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path)
        }
    }

    /// A POST that may be sent again, because its key says that it is the same.
    pub(crate) fn post(path: &'a str, body: Vec<u8>, idempotency_key: String) -> Self {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("idempotency-key", idempotency_key),
        ];
        Self {
            method: Method::POST,
            body,
            headers,
            ..Self::get(path)
        }
    }

    /// Adds a parameter to the query.
    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A successful answer: 2xx, or 304.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
    /// Null without a body.
    pub(crate) json: Value,
}

/// The reason why a request got no such answer.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The API refused, at this try.
    Refused { problem: Problem, tries: u32 },
    /// No answer, after all tries.
    Silent(String),
}

impl ApiError {
    /// Describes the error; `line` maps the position of a record to its line in the file.
    pub(crate) fn text(&self, line: &dyn Fn(usize) -> Option<u64>) -> String {
        match self {
            Self::Refused { problem, .. } => problem.text(line),
            Self::Silent(why) => why.clone(),
        }
    }

    /// Returns whether the API refused with this status.
    pub(crate) fn is(&self, status: u16) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem.status == status)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Failed(error.text(&|_| None))
    }
}

/// The outcome of one try.
enum Try {
    Done(Answer),
    Refused(Problem),
    Again {
        why: String,
        asked: Option<Duration>,
        problem: Option<Problem>,
    },
}

impl Api {
    /// A client of the deployment at `base`, which may have a path. Connects nowhere yet.
    pub(crate) fn new(base: &str, key: &str, screen: Arc<Screen>) -> Result<Self, Failure> {
        let (base, local, plain) =
            check_base(base).map_err(|why| Failure::usage(format!("the URL {base:?} {why}")))?;
        let mut key = HeaderValue::from_str(&format!("Bearer {}", key.trim()))
            .map_err(|_| Failure::usage("the API key has characters that no key has"))?;
        key.set_sensitive(true);
        if plain && !local {
            screen.note("warning: http: sends the API key in the clear; use https:");
        }
        // Fails only where a provider is installed already, which is then this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .user_agent(concat!("millrace-cli/", env!("CARGO_PKG_VERSION")))
            // The key goes to the host that was named and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10));
        if local {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| Failure::failed(format!("no HTTP client: {}", causes(&error))))?;
        Ok(Self {
            client,
            base,
            local,
            key,
            screen,
            first_wait: Duration::from_millis(500),
            answered: AtomicBool::new(false),
        })
    }

    /// The screen that notes go to.
    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Sends a request until it is answered, or trying again is of no use.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, ApiError> {
        let url = self
            .url(&request)
            .map_err(|why| ApiError::Silent(format!("no URL for this request: {why}")))?;
        let mut tries = 1;
        loop {
            let (why, asked, problem) = match self.attempt(&request, url.clone()).await {
                Try::Done(answer) => return Ok(answer),
                Try::Refused(problem) => {
                    return Err(ApiError::Refused {
                        problem: self.hinted(problem),
                        tries,
                    });
                }
                Try::Again {
                    why,
                    asked,
                    problem,
                } => (why, asked, problem),
            };
            let wait = asked.unwrap_or_else(|| self.backoff(tries));
            let most = if self.answered.load(Ordering::Relaxed) {
                TRIES
            } else {
                FIRST_TRIES
            };
            if tries >= most || wait > LONGEST_ASKED {
                let never = self.local && !self.answered.load(Ordering::Relaxed);
                let why = if never {
                    format!("{why}\n{OTHER_STACK}")
                } else {
                    why
                };
                return Err(
                    problem.map_or(ApiError::Silent(why), |problem| ApiError::Refused {
                        problem,
                        tries,
                    }),
                );
            }
            self.screen.note(&format!(
                "{why}; trying again in {:.1} s",
                wait.as_secs_f64()
            ));
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    /// Recognises a stack that is gone: it does not know the key, or another server answers 404.
    fn hinted(&self, mut problem: Problem) -> Problem {
        let foreign = problem.kind.is_empty() && matches!(problem.status, 403 | 404);
        if self.local && (foreign || problem.status == 401) {
            problem.hint = Some(OTHER_STACK);
        }
        problem
    }

    /// Half of a doubling wait for certain, half by chance.
    fn backoff(&self, tries: u32) -> Duration {
        let full = doubled(self.first_wait, LONGEST_WAIT, tries);
        let mut byte = [0];
        let chance = getrandom::fill(&mut byte).map_or(0.5, |()| f64::from(byte[0]) / 255.0);
        equal_jitter(full, chance)
    }

    fn url(&self, request: &Request<'_>) -> Result<Url, url::ParseError> {
        let mut url = Url::parse(&format!("{}{}", self.base, request.path))?;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }

    async fn attempt(&self, request: &Request<'_>, url: Url) -> Try {
        let host = url.authority().to_owned();
        let mut call = self
            .client
            .request(request.method.clone(), url)
            .header("authorization", self.key.clone())
            .header("accept", "application/json")
            .timeout(PATIENCE);
        for (name, value) in &request.headers {
            call = call.header(*name, value);
        }
        if !request.body.is_empty() {
            call = call.body(request.body.clone());
        }
        let silent = |error: &reqwest::Error| Try::Again {
            why: format!("{host} does not answer: {}", causes(error)),
            asked: None,
            problem: None,
        };
        let mut response = match call.send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => {
                return Try::Refused(Problem::read(
                    0,
                    format!("{{\"title\": {:?}}}", causes(&error)).as_bytes(),
                ));
            }
            Err(error) => return silent(&error),
        };
        self.answered.store(true, Ordering::Relaxed);
        let status = response.status().as_u16();
        let asked = asked_to_wait(response.headers(), SystemClock.now());
        let etag = response
            .headers()
            .get("etag")
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER_BYTES => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    return Try::Refused(Problem::read(
                        status,
                        br#"{"title": "the answer is too large"}"#,
                    ));
                }
                Ok(None) => break,
                Err(error) => return silent(&error),
            }
        }
        if (200..300).contains(&status) || status == 304 {
            if body.is_empty() {
                return Try::Done(Answer {
                    status,
                    etag,
                    json: Value::Null,
                });
            }
            return match shared::domain::json::read(&body) {
                Ok(json) => Try::Done(Answer { status, etag, json }),
                Err(_) => Try::Refused(Problem::read(status, b"")),
            };
        }
        let problem = Problem::read(status, &body);
        // A 500 of the gateway means that a function broke off; one of Millrace itself is final.
        let passes =
            matches!(status, 429 | 502 | 503 | 504) || (status == 500 && problem.kind.is_empty());
        if passes {
            return Try::Again {
                why: format!("{host} answers {status}"),
                asked,
                problem: Some(problem),
            };
        }
        Try::Refused(problem)
    }
}

impl std::fmt::Debug for Api {
    /// Leaves out the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// The base without its last slash, whether it is this machine, and whether it is plain `http:`.
fn check_base(base: &str) -> Result<(String, bool, bool), String> {
    let url = Url::parse(base.trim()).map_err(|error| format!("cannot be read: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither https: nor http:".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment; give the base that /v1/… follows".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has credentials in it; give the key with --key".to_owned());
    }
    let local = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    };
    let shown = url.as_str().trim_end_matches('/');
    // A URL that ends in the API's own prefix means the same place.
    let shown = shown.strip_suffix("/v1").unwrap_or(shown);
    Ok((shown.to_owned(), local, url.scheme() == "http"))
}

/// The wait that an answer asks for.
fn asked_to_wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    retry_after(headers.get("retry-after")?.to_str().ok()?, now)
}

/// An error and what caused it; reqwest's own words leave the cause out.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        words.push(cause.to_string());
        next = cause.source();
    }
    // The URL is in the first one; the last says why.
    match &words[..] {
        [only] => only.clone(),
        [.., last] => last.clone(),
        [] => String::new(),
    }
}

/// A new idempotency key.
pub(crate) fn new_key() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("no randomness: {error}")))?;
    Ok(hex::encode(bytes))
}

/// Follows a cursor over pages of `path`, handing each member of `member` to `take` until it says
/// stop with `false`. Returns whether the end was reached; a cursor that stays where it is ends it
/// too, since what follows is not there yet.
pub(crate) async fn follow(
    api: &Api,
    request: &Request<'_>,
    member: &str,
    mut take: impl FnMut(Value) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let mut cursor: Option<String> = None;
    loop {
        let mut page = request.clone();
        if let Some(cursor) = &cursor {
            page = page.query("cursor", cursor.as_str());
        }
        let mut json = api.send(page).await?.json;
        let next = json["next_cursor"].as_str().map(str::to_owned);
        let Value::Array(lines) = json[member].take() else {
            return Err(Failure::failed(format!(
                "the answer of {} has no {member}",
                request.path
            )));
        };
        let empty = lines.is_empty();
        for line in lines {
            if !take(line)? {
                return Ok(false);
            }
        }
        if next.is_none() {
            return Ok(true);
        }
        if empty && (next == cursor || member == "results") {
            return Ok(false);
        }
        if next == cursor {
            return Err(Failure::failed(format!(
                "the cursor of {} does not move",
                request.path
            )));
        }
        cursor = next;
    }
}

#[cfg(test)]
pub(crate) mod tests;
