//! What providers ask the network, and what they are answered: remembered, and told to a person who wants to see it.
//!
//! Told are method and URL, and of the answer its status, type, time, size and beginning. Not told are the headers and body of
//! a request. A secret in a path or a query, or one that an upstream repeats in its answer, is masked in every form that a
//! template can give it: encoded, in capitals, as part of a base 64 text. A query parameter whose template reads a secret
//! is masked whatever it comes to. The answer that holds an access token is not shown at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::Value;
use shared::ports::{Assets, Clock, HttpAnswer, HttpError, HttpRequest, HttpSender};
use shared::provider::config::{Kind, Part, ProviderConfig, RequestTemplate, SecretRef};
use shared::provider::http::{percent_encode, upstream_advice};

use crate::failure::Failure;
use crate::screen::{plain, thousands};
use crate::settings::Settings;

/// The most characters of an answer that a person is shown.
const MAX_BODY: usize = 600;
/// The most characters of a URL, a header or a reason.
const MAX_PART: usize = 300;
/// What is shorter is no secret, and masking it would only make the rest unreadable.
const LEAST_SECRET: usize = 4;

/// Takes a line for the person.
pub(crate) type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// A sender that is watched.
pub(crate) struct Watched {
    inner: Arc<dyn HttpSender>,
    clock: Arc<dyn Clock>,
    telling: Option<(Tell, Veil)>,
    /// How many exchanges there were.
    count: AtomicU64,
    last: Mutex<Option<u16>>,
    /// The last answer's body; empty where there was none since a status was last taken.
    body: Mutex<Vec<u8>>,
}

impl Watched {
    /// `telling` is who is told, and what not.
    pub(crate) fn new(inner: Arc<dyn HttpSender>, clock: Arc<dyn Clock>, telling: Option<(Tell, Veil)>) -> Self {
        Self { inner, clock, telling, count: AtomicU64::new(0), last: Mutex::default(), body: Mutex::default() }
    }

    /// The status of the last answer; `None` where there was none since it was last taken.
    pub(crate) fn take_status(&self) -> Option<u16> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The JSON of the last answer, if it was one of success.
    pub(crate) fn last_json(&self) -> Option<Value> {
        let status = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        status.filter(|status| (200..=299).contains(status))?;
        serde_json::from_slice(&self.body.lock().unwrap_or_else(PoisonError::into_inner)).ok()
    }

    /// What to add to "not found": the last status, and how to see the answer.
    pub(crate) fn about_nothing(&self) -> String {
        let Some(status) = self.take_status() else { return String::new() };
        let advice = if self.telling.is_none() { "; --verbose shows the answer" } else { "" };
        format!(" (HTTP {status}{advice})")
    }
}

#[async_trait]
impl HttpSender for Watched {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        // Exchanges may overlap: the number says which answer is whose.
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let url = request.url.clone();
        if let Some((tell, veil)) = &self.telling {
            tell(&format!("> {number} {} {}", request.method, veil.place(&url)));
        }
        let began = self.clock.now();
        let answer = self.inner.send(request).await;
        if let Some((tell, veil)) = &self.telling {
            let took = u64::try_from(self.clock.now().since(began).as_millis()).unwrap_or(u64::MAX);
            tell(&format!("< {number} {}", veil.told(&url, &answer, took)));
        }
        if let Ok(answer) = &answer {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.status);
            self.body.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&answer.body);
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

/// What nobody is shown. Has no `Debug`.
pub(crate) struct Veil {
    masks: Mutex<Masks>,
    /// Query parameters whose values are made of secrets.
    parameters: Vec<String>,
    /// What answers from there is an access token.
    token_urls: Vec<String>,
}

/// The forms of secrets, the longest first: one may be part of another. Has no `Debug`.
#[derive(Default)]
struct Masks {
    /// In small letters, and looked for in any.
    texts: Vec<String>,
    /// What a secret comes to within a base 64 text, without the letters that it shares with its neighbours.
    cores: Vec<String>,
}

impl Masks {
    fn add(&mut self, secret: &str) {
        let halves = secret.split_once(':').map_or_else(Vec::new, |(first, second)| vec![first, second]);
        for part in [secret, secret.trim()].into_iter().chain(halves).filter(|part| part.len() >= LEAST_SECRET) {
            for form in [part.to_owned(), part.to_lowercase(), part.to_uppercase()] {
                self.cores.extend((0..3).flat_map(|before| base64_core(form.as_bytes(), before)));
                let json = serde_json::to_string(&form).unwrap_or_default();
                let query: String = url::form_urlencoded::byte_serialize(form.as_bytes()).collect();
                let path = percent_encode(&form);
                let again = [percent_encode(&path), percent_encode(&query)];
                let texts = [json.trim_matches('"').to_owned(), path, query, form].into_iter().chain(again);
                self.texts.extend(texts.map(|text| text.to_ascii_lowercase()));
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
                // The letters beside it hold the secret's first and last bits.
                let shares = |c: &char| c.is_ascii_alphanumeric() || "+/-_".contains(*c);
                let before = text[..at].chars().next_back().filter(shares).map_or(0, char::len_utf8);
                let end = at + core.len();
                Some((at - before, end + text[end..].chars().next().filter(shares).map_or(0, char::len_utf8)))
            });
        }
        text
    }
}

/// The letters that are the secret's own where it begins `before` bytes into a group of three, in both alphabets, plain and as
/// they stand in a URL.
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

/// The query parameters of a request whose values are made of secrets.
fn secret_parameters(request: &RequestTemplate) -> Vec<String> {
    let secret = |part: &Part| match part {
        Part::Secret(_) => true,
        Part::Expr(expr) => expr.reads("secret"),
        Part::Text(_) | Part::Input(_) => false,
    };
    let named = request.query.iter().filter(|(_, value)| value.0.iter().any(secret)).map(|(name, _)| name.clone());
    let mut found: Vec<String> = named.collect();
    // Those that stand in the URL itself: NAME={{ secret.key }}.
    let mut before = String::new();
    for part in &request.url.0 {
        match part {
            Part::Text(text) => before += text,
            part if secret(part) => {
                let query = before.split_once('?').map_or("", |(_, query)| query);
                let name = query.rsplit('&').next().and_then(|pair| pair.split_once('='));
                found.extend(name.map(|(name, _)| name.to_owned()));
            }
            _ => {}
        }
    }
    found
}

impl Veil {
    /// Of everything that these providers use.
    pub(crate) async fn of(
        providers: impl Iterator<Item = &ProviderConfig>,
        settings: &Settings,
        assets: &dyn Assets,
    ) -> Result<Self, Failure> {
        let (mut secrets, mut parameters, mut token_urls) = (Vec::new(), Vec::new(), Vec::new());
        let mut queries = Vec::new();
        for provider in providers {
            for secret in provider.kind.settings().secrets() {
                match (secret.known(&|name| settings.get(name)), &secret.from) {
                    (Some(value), _) => secrets.push(value),
                    (None, SecretRef::Parameter(name)) => parameters.push(name.clone()),
                    (None, SecretRef::Env(_)) => {}
                }
            }
            if let Kind::Http(http) = &provider.kind {
                let poll = http.later.as_ref().and_then(|later| later.poll.as_ref());
                queries.extend(std::iter::once(&http.request).chain(poll).flat_map(secret_parameters));
                token_urls.extend(http.oauth.iter().map(|oauth| oauth.token_url.clone()));
            }
        }
        parameters.sort_unstable();
        parameters.dedup();
        for name in &parameters {
            let kept = assets.parameter(name).await;
            secrets.push(kept.map_err(|error| Failure::failed(format!("reading the parameter {name}: {error}")))?);
        }
        Ok(Self { parameters: queries, ..Self::new(&secrets, token_urls) })
    }

    fn new(secrets: &[String], token_urls: Vec<String>) -> Self {
        let mut masks = Masks::default();
        for secret in secrets {
            masks.add(secret);
        }
        Self { masks: Mutex::new(masks), parameters: Vec::new(), token_urls }
    }

    fn masked(&self, text: &str) -> String {
        self.masks.lock().unwrap_or_else(PoisonError::into_inner).mask(text)
    }

    /// A URL without its fragment.
    fn place(&self, url: &str) -> String {
        let url = url.split('#').next().unwrap_or_default();
        let Some((path, query)) = url.split_once('?') else { return plain(&self.masked(url), MAX_PART) };
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if self.parameters.iter().any(|p| p == name || percent_encode(p) == name) => {
                format!("{name}=[secret]")
            }
            _ => pair.to_owned(),
        });
        let query = pairs.collect::<Vec<_>>().join("&");
        plain(&self.masked(&format!("{path}?{query}")), MAX_PART)
    }

    /// An access token is a secret too: it may come back in an answer.
    fn learn(&self, body: &[u8]) {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return };
        let mut masks = self.masks.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = members.iter().filter(|(name, _)| name.ends_with("token")).filter_map(|(_, value)| value.as_str());
        for token in tokens {
            masks.add(token);
        }
    }

    /// What became of an exchange with `url` that took `took` ms.
    fn told(&self, url: &str, answer: &Result<HttpAnswer, HttpError>, took: u64) -> String {
        let took = thousands(took);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let reason = plain(&self.masked(&error.to_string()), MAX_PART);
                return format!("no answer after {took} ms ({}): {reason}; {}", error.class(), upstream_advice(error));
            }
        };
        let kind = answer.header("content-type").map_or("no content type".to_owned(), |kind| plain(kind, MAX_PART));
        let size = thousands(answer.body.len() as u64);
        let size = if answer.truncated { format!("more than {size} bytes") } else { format!("{size} bytes") };
        let head = format!("HTTP {}, {kind}, {took} ms, {size}", answer.status);
        if (200..=299).contains(&answer.status) && self.token_urls.iter().any(|token_url| token_url == url) {
            self.learn(&answer.body);
            return format!("{head}; not shown, it holds an access token");
        }
        let text = self.masked(&String::from_utf8_lossy(&answer.body));
        // On one line, however the upstream lays it out.
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() { head } else { format!("{head}\n    {}", plain(&text, MAX_BODY)) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use shared::edge::system::SystemClock;
    use shared::ports::{AssetError, Object, ObjectName};
    use shared::provider::config::Config;

    use super::*;

    struct Scripted(Mutex<VecDeque<Result<HttpAnswer, HttpError>>>);

    #[async_trait]
    impl HttpSender for Scripted {
        async fn send(&self, _: HttpRequest) -> Result<HttpAnswer, HttpError> {
            self.0.lock().unwrap().pop_front().unwrap()
        }

        fn check(&self, _: &str, _: bool) -> Result<(), HttpError> {
            Ok(())
        }
    }

    fn answer(status: u16, body: &str) -> HttpAnswer {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        HttpAnswer { status, headers, body: body.into(), truncated: false }
    }

    fn request(url: &str) -> HttpRequest {
        HttpRequest {
            method: "POST".to_owned(),
            url: url.to_owned(),
            headers: vec![("authorization".to_owned(), "Bearer in-a-header".to_owned())],
            body: b"in-a-body".to_vec(),
            deadline: Duration::from_secs(1),
            plain_http: false,
            max_response_bytes: 1,
        }
    }

    /// What is told of exchanges with `url`, each line without its time.
    async fn lines(url: &str, veil: Veil, answers: Vec<Result<HttpAnswer, HttpError>>) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        let tell: Tell = Arc::new(move |line: &str| log.lock().unwrap().push(line.to_owned()));
        let count = answers.len();
        let inner = Arc::new(Scripted(Mutex::new(answers.into())));
        let watched = Watched::new(inner, Arc::new(SystemClock), Some((tell, veil)));
        for _ in 0..count {
            let _ = watched.send(request(url)).await;
        }
        let lines = lines.lock().unwrap();
        lines.iter().map(|line| without_time(line)).collect()
    }

    fn without_time(line: &str) -> String {
        let Some((before, after)) = line.split_once(" ms") else { return line.to_owned() };
        format!("{}T ms{after}", before.trim_end_matches(|c: char| c.is_ascii_digit() || c == ','))
    }

    #[tokio::test]
    async fn an_exchange_is_told_without_its_secrets() {
        let veil = Veil::new(&["s3cr&t".to_owned(), "DE".to_owned()], Vec::new());
        let told = lines(
            "https://api.example.com/s3cr%26t/DE?key=S3CR%26T&domain=a.com#s3cr&t",
            veil,
            vec![
                Ok(answer(401, "{\n  \"error\": \"no such key: s3cr&t\",\u{1b}[31m\n  \"country\": \"DE\"\n}\n")),
                Ok(answer(200, &"ü".repeat(700))),
                Ok(HttpAnswer { headers: Vec::new(), truncated: true, ..answer(204, "") }),
            ],
        );
        let told = told.await;
        let asked = |number| format!("> {number} POST https://api.example.com/[secret]/DE?key=[secret]&domain=a.com");
        assert_eq!(told[0], asked(1));
        assert_eq!(
            told[1],
            "< 1 HTTP 401, application/json, T ms, 61 bytes\n    \
             { \"error\": \"no such key: [secret]\",\u{fffd}[31m \"country\": \"DE\" }"
        );
        assert_eq!(told[2], asked(2));
        assert_eq!(told[3], format!("< 2 HTTP 200, application/json, T ms, 1,400 bytes\n    {}…", "ü".repeat(600)));
        assert_eq!(told[5], "< 3 HTTP 204, no content type, T ms, more than 0 bytes");
    }

    #[tokio::test]
    async fn a_broken_exchange_says_what_to_look_at() {
        let veil = Veil::new(&["s3cr&t".to_owned()], Vec::new());
        let told = lines(
            "https://api.example.com/",
            veil,
            vec![Err(HttpError::Blocked), Err(HttpError::Tls("no s3cr&t".to_owned()))],
        );
        let told = told.await;
        assert_eq!(
            told[1],
            "< 1 no answer after T ms (blocked): the host's address is not allowed; the host's address is private or \
             otherwise refused; AllowedCidrs (MILLRACE_ALLOWED_CIDRS) allows networks"
        );
        assert!(told[3].starts_with("< 2 no answer after T ms (tls): TLS failed: no [secret]; see that"), "{told:?}");
    }

    #[test]
    fn a_secret_is_masked_in_every_form_that_a_request_can_give_it() {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE};
        for secret in ["s3cr&t k\u{e9}y+/", "abcd", "id-1:p\u{e4}ss/w\"rd?", "0123456789abcdef", " spaced "] {
            let veil = Veil::new(&[secret.to_owned()], Vec::new());
            let mut forms =
                vec![secret.to_owned(), secret.to_uppercase(), secret.to_lowercase(), secret.trim().to_owned()];
            forms.push(percent_encode(secret).to_ascii_lowercase());
            for form in [percent_encode(secret), url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()] {
                forms.extend([percent_encode(&form), form]);
            }
            forms.push(serde_json::to_string(secret).unwrap().trim_matches('"').to_owned());
            for (before, after) in [("", ""), ("a:", ""), ("ab:", ""), ("abc:", ""), ("", ":x"), ("user", ":")] {
                let text = format!("{before}{secret}{after}");
                let encoded = [STANDARD.encode(&text), URL_SAFE.encode(&text)];
                forms.extend(encoded.iter().map(|text| percent_encode(text)).chain(encoded.clone()));
            }
            for form in forms {
                let shown = veil.masked(&format!("https://a.example/x?before=1&key={form}&after=2"));
                assert!(shown.contains("[secret]") && shown.contains("before=1&key="), "{form} in {shown}");
                let left = shown.replace("[secret]", "");
                let left = left.split("key=").nth(1).unwrap().trim_end_matches("&after=2");
                // The neighbours of a secret in base 64 stay, and nothing of its own.
                assert!(!left.contains(secret.trim()) && left.len() < form.len(), "{left} of {form}");
            }
            assert_eq!(
                veil.masked("https://a.example/companies?domain=b.example"),
                "https://a.example/companies?domain=b.example"
            );
        }
    }

    #[test]
    fn a_query_parameter_of_a_secret_is_masked_whatever_it_comes_to() {
        let toml = "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"a\"]\n[providers.a]\nkind = \"http\"\n\
            url = \"https://api.example.com/x?v=1&k={{ secret.key }}\"\nfields = { name = \"/name\" }\n\
            query = { part = \"{{ secret.key | split('-') | first }}\", domain = \"{{ input.domain }}\" }\n\
            secrets = { key = { env = \"K\" } }\n";
        let config = Config::parse("p.toml", toml).unwrap_or_else(|e| panic!("{e}"));
        let Kind::Http(http) = &config.providers[0].kind else { panic!("{config:?}") };
        let veil = Veil { parameters: secret_parameters(&http.request), ..Veil::new(&[], Vec::new()) };
        assert_eq!(
            veil.place("https://api.example.com/x?v=1&k=abc&part=ab&domain=b.com"),
            "https://api.example.com/x?v=1&k=[secret]&part=[secret]&domain=b.com"
        );
    }

    struct Kept(Result<String, AssetError>);

    #[async_trait]
    impl Assets for Kept {
        async fn parameter(&self, name: &str) -> Result<String, AssetError> {
            assert_eq!(name, "/millrace/key");
            self.0.clone()
        }

        async fn object(&self, _: &ObjectName, _: Option<&str>, _: usize) -> Result<Option<Object>, AssetError> {
            Err(AssetError::Missing)
        }
    }

    #[tokio::test]
    async fn secrets_of_the_account_are_masked_and_nothing_is_shown_without_knowing_them() {
        let toml = "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"a\"]\n[providers.a]\nkind = \"http\"\n\
            url = \"https://api.example.com/{{ secret.key }}\"\nfields = { name = \"/name\" }\n\
            secrets = { key = { ssm = \"/millrace/key\" } }\n\
            oauth = { token_url = \"https://login.example.com/t\", client_id = { ssm = \"/millrace/key\" }, \
            client_secret = { ssm = \"/millrace/key\" } }\n";
        let config = Config::parse("p.toml", toml).unwrap_or_else(|e| panic!("{e}"));
        let settings = Settings::default();
        let kept = Kept(Ok("hidden".to_owned()));
        let veil = Veil::of(config.providers.iter(), &settings, &kept).await.unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(veil.place("https://api.example.com/hidden?hidden"), "https://api.example.com/[secret]?[secret]");
        assert_eq!(veil.token_urls, ["https://login.example.com/t"]);
        let refused = Kept(Err(AssetError::Refused("AccessDenied".to_owned())));
        let failure = Veil::of(config.providers.iter(), &settings, &refused).await.err().and_then(|f| f.text());
        assert!(
            failure.as_ref().is_some_and(|text| text.starts_with("error: reading the parameter /millrace/key: ")),
            "{failure:?}"
        );
    }

    #[tokio::test]
    async fn the_last_status_stays_until_it_is_taken() {
        let answers = VecDeque::from([Ok(answer(200, "")), Ok(answer(404, "")), Err(HttpError::Timeout)]);
        let watched = Watched::new(Arc::new(Scripted(Mutex::new(answers))), Arc::new(SystemClock), None);
        for _ in 0..3 {
            let _ = watched.send(request("https://api.example.com/")).await;
        }
        assert_eq!(watched.about_nothing(), " (HTTP 404; --verbose shows the answer)");
        assert_eq!((watched.take_status(), watched.about_nothing().as_str()), (None, ""));
    }

    #[tokio::test]
    async fn an_access_token_is_not_shown_and_its_refusal_is() {
        let url = "https://login.example.com/token";
        let veil = Veil::new(&[], vec![url.to_owned()]);
        let answers = vec![Ok(answer(200, "{\"access_token\": \"tok-1\"}")), Ok(answer(400, "invalid_scope tok-1"))];
        let told = lines(url, veil, answers).await;
        assert_eq!(told[1], "< 1 HTTP 200, application/json, T ms, 25 bytes; not shown, it holds an access token");
        assert_eq!(told[3], "< 2 HTTP 400, application/json, T ms, 19 bytes\n    invalid_scope [secret]");
    }
}
