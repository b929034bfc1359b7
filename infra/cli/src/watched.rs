//! What providers ask the network, and what they are answered: remembered, and told to a person who wants to see it.
//!
//! Told are method and URL, and of the answer its status, type, time, size and beginning. Not told are the query, headers and
//! body of a request: they hold secrets. Where the configuration puts a secret into a path, or an upstream repeats it in
//! its answer, it is masked; the answer that holds an access token is not shown at all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use shared::ports::{Assets, Clock, HttpAnswer, HttpError, HttpRequest, HttpSender};
use shared::provider::config::{Kind, ProviderConfig, SecretRef};
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
}

impl Watched {
    /// `telling` is who is told, and what not.
    pub(crate) fn new(inner: Arc<dyn HttpSender>, clock: Arc<dyn Clock>, telling: Option<(Tell, Veil)>) -> Self {
        Self { inner, clock, telling, count: AtomicU64::new(0), last: Mutex::default() }
    }

    /// The status of the last answer; `None` where there was none since it was last taken.
    pub(crate) fn take_status(&self) -> Option<u16> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take()
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
    /// As they are, and as they stand in a path.
    secrets: Vec<String>,
    /// What answers from there is an access token.
    token_urls: Vec<String>,
}

impl Veil {
    /// Of everything that these providers use.
    pub(crate) async fn of(
        providers: impl Iterator<Item = &ProviderConfig>,
        settings: &Settings,
        assets: &dyn Assets,
    ) -> Result<Self, Failure> {
        let (mut secrets, mut parameters, mut token_urls) = (Vec::new(), Vec::new(), Vec::new());
        for provider in providers {
            for secret in provider.kind.settings().secrets() {
                match (secret.known(&|name| settings.get(name)), &secret.from) {
                    (Some(value), _) => secrets.push(value),
                    (None, SecretRef::Parameter(name)) => parameters.push(name.clone()),
                    (None, SecretRef::Env(_)) => {}
                }
            }
            if let Kind::Http(http) = &provider.kind {
                token_urls.extend(http.oauth.iter().map(|oauth| oauth.token_url.clone()));
            }
        }
        parameters.sort_unstable();
        parameters.dedup();
        for name in &parameters {
            let kept = assets.parameter(name).await;
            secrets.push(kept.map_err(|error| Failure::failed(format!("reading the parameter {name}: {error}")))?);
        }
        Ok(Self::new(secrets, token_urls))
    }

    fn new(secrets: Vec<String>, token_urls: Vec<String>) -> Self {
        let mut secrets: Vec<String> = secrets
            .into_iter()
            .filter(|secret| secret.len() >= LEAST_SECRET)
            .flat_map(|secret| [percent_encode(&secret), secret])
            .collect();
        // One may be part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets, token_urls }
    }

    fn masked(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "[secret]"))
    }

    /// A URL without its query.
    fn place(&self, url: &str) -> String {
        plain(&self.masked(url.split(['?', '#']).next().unwrap_or_default()), MAX_PART)
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
        let veil = Veil::new(vec!["s3cr&t".to_owned(), "DE".to_owned()], Vec::new());
        let told = lines(
            "https://api.example.com/s3cr%26t/DE?key=in-a-query",
            veil,
            vec![
                Ok(answer(401, "{\n  \"error\": \"no such key: s3cr&t\",\u{1b}[31m\n  \"country\": \"DE\"\n}\n")),
                Ok(answer(200, &"ü".repeat(700))),
                Ok(HttpAnswer { headers: Vec::new(), truncated: true, ..answer(204, "") }),
            ],
        );
        let told = told.await;
        let asked = |number| format!("> {number} POST https://api.example.com/[secret]/DE");
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
        let veil = Veil::new(vec!["s3cr&t".to_owned()], Vec::new());
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
        assert_eq!(veil.place("https://api.example.com/hidden?hidden"), "https://api.example.com/[secret]");
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
        let veil = Veil::new(Vec::new(), vec![url.to_owned()]);
        let answers = vec![Ok(answer(200, "{\"access_token\": \"t\"}")), Ok(answer(400, "invalid_scope"))];
        let told = lines(url, veil, answers).await;
        assert_eq!(told[1], "< 1 HTTP 200, application/json, T ms, 21 bytes; not shown, it holds an access token");
        assert_eq!(told[3], "< 2 HTTP 400, application/json, T ms, 13 bytes\n    invalid_scope");
    }
}
