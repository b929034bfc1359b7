use std::collections::VecDeque;
use std::time::Duration;

use shared::catalog::Config;
use shared::lambda::system::SystemClock;
use shared::ports::{AssetError, Object, ObjectName};
use shared::providers::kinds::READERS;

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
    HttpAnswer {
        status,
        headers,
        body: body.into(),
        truncated: false,
    }
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

/// Returns the lines shown for exchanges with `url`, without their times.
async fn lines(
    url: &str,
    redactor: Redactor,
    answers: Vec<Result<HttpAnswer, HttpError>>,
) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let tell: Sink = Arc::new(move |line: &str| log.lock().unwrap().push(line.to_owned()));
    let count = answers.len();
    let inner = Arc::new(Scripted(Mutex::new(answers.into())));
    let watched = TracingSender::new(inner, Arc::new(SystemClock), Some((tell, redactor)));
    for _ in 0..count {
        let _ = watched.send(request(url)).await;
    }
    let lines = lines.lock().unwrap();
    lines.iter().map(|line| without_time(line)).collect()
}

fn without_time(line: &str) -> String {
    let Some((before, after)) = line.split_once(" ms") else {
        return line.to_owned();
    };
    format!(
        "{}T ms{after}",
        before.trim_end_matches(|c: char| c.is_ascii_digit() || c == ',')
    )
}

#[tokio::test]
async fn an_exchange_is_told_without_its_secrets() {
    let redactor = Redactor::new(&["s3cr&t".to_owned(), "DE".to_owned()], Vec::new());
    let reported = lines(
        "https://api.example.com/s3cr%26t/DE?key=S3CR%26T&domain=a.com#s3cr&t",
        redactor,
        vec![
            Ok(answer(
                401,
                "{\n  \"error\": \"no such key: s3cr&t\",\u{1b}[31m\n  \"country\": \"DE\"\n}\n",
            )),
            Ok(answer(200, &"ü".repeat(700))),
            Ok(HttpAnswer {
                headers: Vec::new(),
                truncated: true,
                ..answer(204, "")
            }),
        ],
    );
    let reported = reported.await;
    let asked = |number| {
        format!("> {number} POST https://api.example.com/[secret]/DE?key=[secret]&domain=a.com")
    };
    assert_eq!(reported[0], asked(1));
    assert_eq!(
        reported[1],
        "< 1 HTTP 401, application/json, T ms, 61 bytes\n    \
         { \"error\": \"no such key: [secret]\",\u{fffd}[31m \"country\": \"DE\" }"
    );
    assert_eq!(reported[2], asked(2));
    assert_eq!(
        reported[3],
        format!(
            "< 2 HTTP 200, application/json, T ms, 1,400 bytes\n    {}…",
            "ü".repeat(600)
        )
    );
    assert_eq!(
        reported[5],
        "< 3 HTTP 204, no content type, T ms, more than 0 bytes"
    );
}

#[tokio::test]
async fn a_broken_exchange_says_what_to_look_at() {
    let redactor = Redactor::new(&["s3cr&t".to_owned()], Vec::new());
    let reported = lines(
        "https://api.example.com/",
        redactor,
        vec![
            Err(HttpError::Blocked),
            Err(HttpError::Tls("no s3cr&t".to_owned())),
        ],
    );
    let reported = reported.await;
    assert_eq!(
        reported[1],
        "< 1 no answer after T ms (blocked): the host's address is not allowed; the host's address \
         is private or otherwise refused; AllowedCidrs (MILLRACE_ALLOWED_CIDRS) allows networks"
    );
    assert!(
        reported[3]
            .starts_with("< 2 no answer after T ms (tls): TLS failed: no [secret]; see that"),
        "{reported:?}"
    );
}

#[test]
fn a_secret_is_masked_in_every_form_that_a_request_can_give_it() {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    for secret in [
        "s3cr&t k\u{e9}y+/",
        "abcd",
        "id-1:p\u{e4}ss/w\"rd?",
        "0123456789abcdef",
        " spaced ",
    ] {
        let redactor = Redactor::new(&[secret.to_owned()], Vec::new());
        let mut forms = vec![
            secret.to_owned(),
            secret.to_uppercase(),
            secret.to_lowercase(),
            secret.trim().to_owned(),
        ];
        forms.push(percent_encode(secret).to_ascii_lowercase());
        for form in [
            percent_encode(secret),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        ] {
            forms.extend([percent_encode(&form), form]);
        }
        forms.push(
            serde_json::to_string(secret)
                .unwrap()
                .trim_matches('"')
                .to_owned(),
        );
        for (before, after) in [
            ("", ""),
            ("a:", ""),
            ("ab:", ""),
            ("abc:", ""),
            ("", ":x"),
            ("user", ":"),
        ] {
            let text = format!("{before}{secret}{after}");
            let encoded = [STANDARD.encode(&text), URL_SAFE.encode(&text)];
            forms.extend(
                encoded
                    .iter()
                    .map(|text| percent_encode(text))
                    .chain(encoded.clone()),
            );
        }
        for form in forms {
            let shown =
                redactor.masked(&format!("https://a.example/x?before=1&key={form}&after=2"));
            assert!(
                shown.contains("[secret]") && shown.contains("before=1&key="),
                "{form} in {shown}"
            );
            let left = shown.replace("[secret]", "");
            let left = left
                .split("key=")
                .nth(1)
                .unwrap()
                .trim_end_matches("&after=2");
            // The neighbours of a secret in base 64 stay, and nothing of its own.
            assert!(
                !left.contains(secret.trim()) && left.len() < form.len(),
                "{left} of {form}"
            );
        }
        assert_eq!(
            redactor.masked("https://a.example/companies?domain=b.example"),
            "https://a.example/companies?domain=b.example"
        );
    }
}

#[test]
fn a_query_parameter_of_a_secret_is_masked_whatever_it_comes_to() {
    let toml = "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"a\"]\n[providers.a]\n\
        kind = \"http\"\n\
        url = \"https://api.example.com/x?v=1&k={{ secret.key }}\"\nfields = { name = \"/name\" }\n\
        query = { part = \"{{ secret.key | split('-') | first }}\", domain = \"{{ input.domain \
        }}\" }\n\
        secrets = { key = { env = \"K\" } }\n";
    let config = Config::parse(READERS, "p.toml", toml).unwrap_or_else(|e| panic!("{e}"));
    let Some(http) = config.providers[0].kind.downcast_ref::<HttpConfig>() else {
        panic!("{config:?}")
    };
    let redactor = Redactor {
        places: vec![Places::of(&http.request)],
        ..Redactor::new(&[], Vec::new())
    };
    assert_eq!(
        redactor.place("https://api.example.com/x?v=1&k=abc&part=ab&domain=b.com"),
        "https://api.example.com/x?v=1&k=[secret]&part=[secret]&domain=b.com"
    );
}

#[tokio::test]
async fn a_piece_of_a_url_that_reads_a_secret_is_masked_whatever_it_comes_to() {
    let url = "https://api.example.com/v1/{{ secret.key | split('-') | first }}/c-{{ secret.key | \
        replace('-', '') }}\
        /{{ input.domain }}?v=1&{{ secret.key | last }}&k={{ (input.domain ~ secret.key) | base64 \
        }}\
        &{{ secret.key | length }}={{ input.domain }}&a=b";
    let toml = format!(
        "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"a\"]\n[providers.a]\nkind = \"http\"\n\
         url = \"{url}\"\n\
         fields = {{ name = \"/name\" }}\nsecrets = {{ key = {{ env = \"K\" }} }}\n\
         headers = {{ \"X-Sign\" = \"Custom {{{{ secret.key | replace('-', '_') }}}}\" }}\n"
    );
    let config = Config::parse(READERS, "p.toml", &toml).unwrap_or_else(|e| panic!("{e}"));
    let Some(http) = config.providers[0].kind.downcast_ref::<HttpConfig>() else {
        panic!("{config:?}")
    };
    let redactor = || Redactor {
        places: vec![Places::of(&http.request)],
        ..Redactor::new(&["to-ken-x".to_owned()], Vec::new())
    };
    let sent = "https://api.example.com/v1/to/c-tokenx/b.com?v=1&x&k=Yi5jb210by1rZW4teA%3D%3D&8=b.com&a=b&page=2";
    let shown = "https://api.example.com/v1/[secret]/[secret]/b.com?v=1&[secret]&k=[secret]&[secret]&a=b&page=2";
    assert_eq!(redactor().place(sent), shown);
    assert_eq!(
        redactor().place("https://api.example.com/v2/to/c/b.com?v=1"),
        "https://api.example.com/v2/to/c/b.com?v=1"
    );

    let echo = "no key c-tokenx, signed to_ken_x, nor Yi5jb210by1rZW4teA==";
    let mut request = request(sent);
    request
        .headers
        .push(("x-sign".to_owned(), "Custom to_ken_x".to_owned()));
    let redactor = redactor();
    redactor.learn_request(&request);
    let reported = redactor.reported(sent, &Ok(answer(403, echo)), 1);
    assert!(
        reported.ends_with("no key [secret], signed [secret], nor [secret]"),
        "{reported}"
    );
}

struct OneParameter(Result<String, AssetError>);

#[async_trait]
impl Assets for OneParameter {
    async fn parameter(&self, name: &str) -> Result<String, AssetError> {
        assert_eq!(name, "/millrace/key");
        self.0.clone()
    }

    async fn object(
        &self,
        _: &ObjectName,
        _: Option<&str>,
        _: usize,
    ) -> Result<Option<Object>, AssetError> {
        Err(AssetError::Missing)
    }
}

#[tokio::test]
async fn secrets_of_the_account_are_masked_and_nothing_is_shown_without_knowing_them() {
    let toml = "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"a\"]\n[providers.a]\n\
        kind = \"http\"\n\
        url = \"https://api.example.com/{{ secret.key }}\"\nfields = { name = \"/name\" }\n\
        secrets = { key = { ssm = \"/millrace/key\" } }\n\
        oauth = { token_url = \"https://login.example.com/t\", client_id = { \
        ssm = \"/millrace/key\" }, client_secret = { ssm = \"/millrace/key\" } }\n";
    let config = Config::parse(READERS, "p.toml", toml).unwrap_or_else(|e| panic!("{e}"));
    let settings = CliSettings::default();
    let kept = OneParameter(Ok("hidden".to_owned()));
    let redactor = Redactor::of(config.providers.iter(), &settings, &kept)
        .await
        .unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(
        redactor.place("https://api.example.com/hidden?hidden"),
        "https://api.example.com/[secret]?[secret]"
    );
    assert_eq!(redactor.token_urls, ["https://login.example.com/t"]);
    let refused = OneParameter(Err(AssetError::Refused("AccessDenied".to_owned())));
    let failure = Redactor::of(config.providers.iter(), &settings, &refused)
        .await
        .err()
        .and_then(|f| f.text());
    assert!(
        failure
            .as_ref()
            .is_some_and(|text| text.starts_with("error: reading the parameter /millrace/key: ")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn the_last_status_stays_until_it_is_taken() {
    let answers = VecDeque::from([
        Ok(answer(200, "")),
        Ok(answer(404, "")),
        Err(HttpError::Timeout),
    ]);
    let watched = TracingSender::new(
        Arc::new(Scripted(Mutex::new(answers))),
        Arc::new(SystemClock),
        None,
    );
    for _ in 0..3 {
        let _ = watched.send(request("https://api.example.com/")).await;
    }
    assert_eq!(
        watched.about_nothing(),
        " (HTTP 404; --verbose shows the answer)"
    );
    assert_eq!(
        (watched.take_status(), watched.about_nothing().as_str()),
        (None, "")
    );
}

#[tokio::test]
async fn an_access_token_is_not_shown_and_its_refusal_is() {
    let url = "https://login.example.com/token";
    let redactor = Redactor::new(&[], vec![url.to_owned()]);
    let answers = vec![
        Ok(answer(200, "{\"access_token\": \"tok-1\"}")),
        Ok(answer(400, "invalid_scope tok-1")),
    ];
    let reported = lines(url, redactor, answers).await;
    assert_eq!(
        reported[1],
        "< 1 HTTP 200, application/json, T ms, 25 bytes; not shown, it holds an access token"
    );
    assert_eq!(
        reported[3],
        "< 2 HTTP 400, application/json, T ms, 19 bytes\n    invalid_scope [secret]"
    );
}
