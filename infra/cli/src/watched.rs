//! The exchanges of providers with the network: remembered, and shown to a person on request.
//!
//! Shown are method and URL, and the answer's status, type, time, size and beginning; the headers
//! and body of a request are not. A piece of a path or query whose template reads a secret is
//! always masked. So is that piece, or a header's value, where the upstream repeats it. A secret
//! anywhere else is masked in its likely forms: encoded, in capitals, inside a base 64 text. An
//! answer with an access token is not shown at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;
use shared::catalog::{Part, ProviderConfig, RequestTemplate, SecretRef, Template};
use shared::ports::{Assets, Clock, HttpAnswer, HttpError, HttpRequest, HttpSender};
use shared::providers::kinds::http::config::HttpConfig;
use shared::providers::kinds::http::{percent_encode, upstream_advice};

use crate::failure::Failure;
use crate::screen::{plain, thousands};
use crate::settings::CliSettings;

/// The most characters of an answer that a person is shown.
const MAX_BODY: usize = 600;
/// The most characters of a URL, a header or a reason.
const MAX_PART: usize = 300;
/// A shorter value is not treated as a secret: masking it would make the rest unreadable.
const LEAST_SECRET: usize = 4;

/// Takes a line for the person.
pub(crate) type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// A sender that is watched.
pub(crate) struct TracingSender {
    inner: Arc<dyn HttpSender>,
    clock: Arc<dyn Clock>,
    telling: Option<(Sink, Redactor)>,
    /// The number of exchanges.
    count: AtomicU64,
    last: Mutex<Option<u16>>,
    /// The last answer's body; empty where there was none since a status was last taken.
    body: Mutex<Vec<u8>>,
}

impl TracingSender {
    /// Wraps a sender; `telling` is where lines go, and what they must not show.
    pub(crate) fn new(
        inner: Arc<dyn HttpSender>,
        clock: Arc<dyn Clock>,
        telling: Option<(Sink, Redactor)>,
    ) -> Self {
        Self {
            inner,
            clock,
            telling,
            count: AtomicU64::new(0),
            last: Mutex::default(),
            body: Mutex::default(),
        }
    }

    /// The status of the last answer; `None` where there was none since it was last taken.
    pub(crate) fn take_status(&self) -> Option<u16> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The JSON of the last answer, if it was one of success.
    pub(crate) fn last_json(&self) -> Option<Value> {
        let status = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        status.filter(|status| (200..=299).contains(status))?;
        serde_json::from_slice(&self.body.lock().unwrap_or_else(PoisonError::into_inner)).ok()
    }

    /// Returns the text that follows "not found": the last status, and how to see the answer.
    pub(crate) fn about_nothing(&self) -> String {
        let Some(status) = self.take_status() else {
            return String::new();
        };
        let advice = if self.telling.is_none() {
            "; --verbose shows the answer"
        } else {
            ""
        };
        format!(" (HTTP {status}{advice})")
    }
}

#[async_trait]
impl HttpSender for TracingSender {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        // Exchanges may overlap: the number says which answer is whose.
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let url = request.url.clone();
        if let Some((tell, redactor)) = &self.telling {
            redactor.learn_request(&request);
            tell(&format!(
                "> {number} {} {}",
                request.method,
                redactor.place(&url)
            ));
        }
        let began = self.clock.now();
        let answer = self.inner.send(request).await;
        if let Some((tell, redactor)) = &self.telling {
            let took = u64::try_from(self.clock.now().since(began).as_millis()).unwrap_or(u64::MAX);
            tell(&format!(
                "< {number} {}",
                redactor.reported(&url, &answer, took)
            ));
        }
        if let Ok(answer) = &answer {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.status);
            self.body
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&answer.body);
        }
        answer
    }

    fn forget_connections(&self) {
        self.inner.forget_connections();
    }

    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError> {
        self.inner.check(url, plain_http)
    }
}

/// Masks what must not be shown. Has no `Debug`.
pub(crate) struct Redactor {
    masks: Mutex<Masks>,
    /// Of every request that may be sent.
    places: Vec<Places>,
    /// URLs whose answers are access tokens.
    token_urls: Vec<String>,
}

/// The forms of secrets, the longest first: one may be part of another. Has no `Debug`.
#[derive(Default)]
struct Masks {
    /// In lower case, and matched in any.
    texts: Vec<String>,
    /// The secrets as parts of a base 64 text, without the letters shared with their neighbours.
    cores: Vec<String>,
}

impl Masks {
    fn add(&mut self, secret: &str) {
        let halves = secret
            .split_once(':')
            .map_or_else(Vec::new, |(first, second)| vec![first, second]);
        for part in [secret, secret.trim()]
            .into_iter()
            .chain(halves)
            .filter(|part| part.len() >= LEAST_SECRET)
        {
            for form in [part.to_owned(), part.to_lowercase(), part.to_uppercase()] {
                self.cores
                    .extend((0..3).flat_map(|before| base64_core(form.as_bytes(), before)));
                let json = serde_json::to_string(&form).unwrap_or_default();
                let query: String = url::form_urlencoded::byte_serialize(form.as_bytes()).collect();
                let path = percent_encode(&form);
                let again = [percent_encode(&path), percent_encode(&query)];
                let texts = [json.trim_matches('"').to_owned(), path, query, form]
                    .into_iter()
                    .chain(again);
                self.texts
                    .extend(texts.map(|text| text.to_ascii_lowercase()));
            }
        }
        for forms in [&mut self.texts, &mut self.cores] {
            forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
            forms.dedup();
        }
    }

    fn mask(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.texts {
            text = masked_where(&text, |text| {
                let at = text.to_ascii_lowercase().find(secret)?;
                Some((at, at + secret.len()))
            });
        }
        for core in &self.cores {
            text = masked_where(&text, |text| {
                let at = text.find(core)?;
                // The letters beside it have the secret's first and last bits.
                let shares = |c: &char| c.is_ascii_alphanumeric() || "+/-_".contains(*c);
                let before = text[..at]
                    .chars()
                    .next_back()
                    .filter(shares)
                    .map_or(0, char::len_utf8);
                let end = at + core.len();
                Some((
                    at - before,
                    end + text[end..]
                        .chars()
                        .next()
                        .filter(shares)
                        .map_or(0, char::len_utf8),
                ))
            });
        }
        text
    }
}

/// The letters that are the secret's own where it begins `before` bytes into a group of three, in
/// both alphabets, plain and as they stand in a URL.
fn base64_core(secret: &[u8], before: usize) -> Vec<String> {
    let encoded = STANDARD_NO_PAD.encode([&[0; 2][..before], secret].concat());
    let own = (before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6;
    let core = encoded.get(own).unwrap_or_default().to_owned();
    let other = core.replace('+', "-").replace('/', "_");
    let escaped = percent_encode(&core);
    vec![core, other, escaped]
}

/// A text without what `find` finds, again and again.
fn masked_where(text: &str, find: impl Fn(&str) -> Option<(usize, usize)>) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some((from, to)) = find(rest) {
        shown += &rest[..from];
        shown += "[secret]";
        rest = &rest[to..];
    }
    shown + rest
}

/// The places in requests of one template with values made of secrets. Has no secret itself.
struct Places {
    /// The URL as it is declared, with [`SECRET`] and [`VALUE`] for what a template puts there.
    url: String,
    /// Names of parameters and of headers.
    query: Vec<String>,
    headers: Vec<String>,
}

const SECRET: char = '\u{1}';
const VALUE: char = '\u{2}';

impl Places {
    fn of(request: &RequestTemplate) -> Self {
        let secret = |part: &Part| match part {
            Part::Secret(_) => true,
            Part::Expr(expr) => expr.reads("secret"),
            Part::Text(_) | Part::Input(_) => false,
        };
        let url = request.url.0.iter().map(|part| match part {
            Part::Text(text) => text.clone(),
            part if secret(part) => SECRET.to_string(),
            _ => VALUE.to_string(),
        });
        let named = |templates: &[(String, Template)]| {
            let named = templates
                .iter()
                .filter(|(_, template)| template.0.iter().any(secret));
            named.map(|(name, _)| name.clone()).collect()
        };
        Self {
            url: url.collect(),
            query: named(&request.query),
            headers: named(&request.headers),
        }
    }

    /// The secret pieces of a URL, each with how much of it is not secret: the mark that it begins
    /// with, and the name of a parameter. Values are encoded, so that none of them begins a piece.
    fn secret_pieces(&self, url: &[&str]) -> Vec<(usize, usize)> {
        let mut secret = Vec::new();
        for (at, piece) in url.iter().enumerate() {
            let Some((name, _)) = piece.split_once('=') else {
                continue;
            };
            let bare = name.trim_start_matches(['?', '&']);
            if self
                .query
                .iter()
                .any(|p| name != bare && (p == bare || percent_encode(p) == bare))
            {
                secret.push((at, name.len() + 1));
            }
        }
        let declared = pieces(&self.url);
        let fits = |(declared, piece): (&&str, &&str)| {
            declared.contains([SECRET, VALUE]) || declared == piece
        };
        if declared.len() > url.len() || !declared.iter().zip(url).all(fits) {
            return secret;
        }
        for (at, declared) in declared
            .iter()
            .enumerate()
            .filter(|(_, declared)| declared.contains(SECRET))
        {
            let literal = declared.split([SECRET, VALUE]).next().unwrap_or_default();
            let mark = usize::from(literal.starts_with(['/', '?', '&']));
            secret.push((at, literal.rfind('=').map_or(mark, |equals| equals + 1)));
        }
        secret
    }
}

/// A URL in pieces, each with the mark that it begins with.
fn pieces(url: &str) -> Vec<&str> {
    let mut marks: Vec<usize> = url
        .match_indices(['/', '?', '&'])
        .map(|(at, _)| at)
        .collect();
    marks.push(url.len());
    let mut from = 0;
    let piece = |to| {
        let piece = &url[from..to];
        from = to;
        piece
    };
    marks.into_iter().map(piece).collect()
}

impl Redactor {
    /// Of everything that these providers use.
    pub(crate) async fn of(
        providers: impl Iterator<Item = &ProviderConfig>,
        settings: &CliSettings,
        assets: &dyn Assets,
    ) -> Result<Self, Failure> {
        let (mut secrets, mut parameters, mut token_urls) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Vec::new();
        for provider in providers {
            for secret in provider.kind.settings().secrets() {
                match (secret.known(&|name| settings.get(name)), &secret.from) {
                    (Some(value), _) => secrets.push(value),
                    (None, SecretRef::Parameter(name)) => parameters.push(name.clone()),
                    (None, SecretRef::Env(_)) => {}
                }
            }
            if let Some(http) = provider.kind.downcast_ref::<HttpConfig>() {
                let poll = http.later.as_ref().and_then(|later| later.poll.as_ref());
                places.extend(std::iter::once(&http.request).chain(poll).map(Places::of));
                token_urls.extend(http.oauth.iter().map(|oauth| oauth.token_url.clone()));
            }
        }
        parameters.sort_unstable();
        parameters.dedup();
        for name in &parameters {
            let kept = assets.parameter(name).await;
            secrets.push(kept.map_err(|error| {
                Failure::failed(format!("reading the parameter {name}: {error}"))
            })?);
        }
        Ok(Self {
            places,
            ..Self::new(&secrets, token_urls)
        })
    }

    fn new(secrets: &[String], token_urls: Vec<String>) -> Self {
        let mut masks = Masks::default();
        for secret in secrets {
            masks.add(secret);
        }
        Self {
            masks: Mutex::new(masks),
            places: Vec::new(),
            token_urls,
        }
    }

    fn masked(&self, text: &str) -> String {
        self.masks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .mask(text)
    }

    /// A URL without its fragment.
    fn place(&self, url: &str) -> String {
        let url = pieces(url.split('#').next().unwrap_or_default());
        let secret = self.secret_pieces(&url);
        let shown = url.iter().enumerate().map(|(at, piece)| {
            match secret.iter().find(|(secret, _)| *secret == at) {
                Some((_, shown)) => format!("{}[secret]", &piece[..*shown]),
                None => (*piece).to_owned(),
            }
        });
        plain(&self.masked(&shown.collect::<String>()), MAX_PART)
    }

    fn secret_pieces(&self, url: &[&str]) -> Vec<(usize, usize)> {
        self.places
            .iter()
            .flat_map(|places| places.secret_pieces(url))
            .collect()
    }

    /// Masks values that were made of secrets in a request, since its answer may repeat them.
    fn learn_request(&self, request: &HttpRequest) {
        let url = pieces(&request.url);
        let of_url = self
            .secret_pieces(&url)
            .into_iter()
            .filter_map(|(at, shown)| {
                let value = url::form_urlencoded::parse(&url[at].as_bytes()[shown..]).next();
                value.map(|(value, _)| value.into_owned())
            });
        let named = |name: &str| {
            self.places
                .iter()
                .any(|places| places.headers.iter().any(|h| h == name))
        };
        let headers = request.headers.iter().filter(|(name, _)| named(name));
        // `Bearer`, `Basic` and the like stand in front of what is secret.
        let of_headers = headers.flat_map(|(_, value)| {
            [
                value.clone(),
                value.rsplit(' ').next().unwrap_or("").to_owned(),
            ]
        });
        let values: Vec<String> = of_url.chain(of_headers).collect();
        let mut masks = self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        for value in values {
            masks.add(&value);
        }
    }

    /// Masks an access token too, since an answer may repeat it.
    fn learn(&self, body: &[u8]) {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
            return;
        };
        let mut masks = self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = members
            .iter()
            .filter(|(name, _)| name.ends_with("token"))
            .filter_map(|(_, value)| value.as_str());
        for token in tokens {
            masks.add(token);
        }
    }

    /// Describes the outcome of an exchange with `url` that took `took` ms.
    fn reported(&self, url: &str, answer: &Result<HttpAnswer, HttpError>, took: u64) -> String {
        let took = thousands(took);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let reason = plain(&self.masked(&error.to_string()), MAX_PART);
                return format!(
                    "no answer after {took} ms ({}): {reason}; {}",
                    error.class(),
                    upstream_advice(error)
                );
            }
        };
        let kind = answer
            .header("content-type")
            .map_or("no content type".to_owned(), |kind| plain(kind, MAX_PART));
        let size = thousands(answer.body.len() as u64);
        let size = if answer.truncated {
            format!("more than {size} bytes")
        } else {
            format!("{size} bytes")
        };
        let head = format!("HTTP {}, {kind}, {took} ms, {size}", answer.status);
        if (200..=299).contains(&answer.status)
            && self.token_urls.iter().any(|token_url| token_url == url)
        {
            self.learn(&answer.body);
            return format!("{head}; not shown, it holds an access token");
        }
        let text = self.masked(&String::from_utf8_lossy(&answer.body));
        // On one line, however the upstream lays it out.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() {
            head
        } else {
            format!("{head}\n    {}", plain(&text, MAX_BODY))
        }
    }
}

#[cfg(test)]
mod tests;
