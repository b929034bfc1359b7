//! Any synchronous JSON API, declared in `providers.toml`.
//!
//! Values are encoded for where they stand: percent-encoded in path and query (and never `.` or `..` as a whole path
//! segment), free of control characters in headers, through `serde_json` in bodies. Scheme, host and port are literal in the
//! configuration, so that no input chooses where a request goes.
//!
//! Error codes: `provider_timeout` (no answer in time), `rate_limited` (429, or 503 with `Retry-After`, for longer than
//! there is time), `provider_error` (everything else). Details hold statuses and error classes, nothing of the exchange.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::config::{BodyTemplate, ConfigError, HttpConfig, Part, Template};
use super::{Answer, Ports, Provider, Question, Secrets};
use crate::domain::delivery::retry_after;
use crate::domain::time::Timestamp;
use crate::ports::{HttpAnswer, HttpError, HttpRequest};

/// The most bytes that are read of a response.
pub const MAX_RESPONSE_BYTES: usize = 1024 * 1024;

/// The pause before the first retry; doubled for each further one, then drawn from its upper half.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// An `http` provider with its secrets.
pub struct Http {
    name: String,
    config: HttpConfig,
    secrets: BTreeMap<String, String>,
}

impl fmt::Debug for Http {
    /// Leaves out the secrets and whatever may hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Http {
    /// Resolves the secrets. A missing, empty or unusable one is an error that names the variable, never the value.
    pub fn new(name: &str, config: &HttpConfig, secrets: Secrets<'_>) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        for (secret, variable, at) in &config.secrets {
            let value = secrets(variable).filter(|v| !v.is_empty()).ok_or_else(|| {
                at.error(format!("providers.{name} needs the environment variable {variable}, which is not set"))
            })?;
            if value.chars().any(char::is_control) {
                return Err(at.error(format!(
                    "providers.{name}: the environment variable {variable} holds a line break or another control character"
                )));
            }
            values.insert(secret.clone(), value);
        }
        Ok(Self { name: name.to_owned(), config: config.clone(), secrets: values })
    }

    /// The request without its deadline. `Err` says which input does not suit it.
    fn request(&self, input: &Map<String, Value>) -> Result<HttpRequest, String> {
        for field in &self.config.requires {
            if scalar(input.get(field)).is_none_or(|text| text.is_empty()) {
                return Err(format!("`{field}` is needed"));
            }
        }
        let mut url = self.render(&self.config.url, input, percent_encode)?;
        check_segments(&url)?;
        for (name, template) in &self.config.query {
            if Self::absent(template, input) {
                continue;
            }
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&percent_encode(name)?);
            url.push('=');
            for part in &template.0 {
                url.push_str(&percent_encode(&self.value(part, input)?)?);
            }
        }
        let mut headers = Vec::new();
        for (name, template) in &self.config.headers {
            headers.push((name.clone(), self.render(template, input, header_value)?));
        }
        let mut default = |name: &str, value: &str| {
            if !headers.iter().any(|(n, _)| n == name) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        };
        default("accept", "application/json");
        let mut body = Vec::new();
        if let Some(template) = &self.config.body {
            default("content-type", "application/json");
            let value = self.body(template, input)?.unwrap_or(Value::Null);
            body = serde_json::to_vec(&value).map_err(|_| "the input is no JSON".to_owned())?;
        }
        Ok(HttpRequest {
            method: self.config.method.clone().into_owned(),
            url,
            headers,
            body,
            deadline: Duration::ZERO,
            plain_http: false,
            max_response_bytes: MAX_RESPONSE_BYTES,
        })
    }

    /// Literal text as it is, values through `encode`.
    fn render(
        &self,
        template: &Template,
        input: &Map<String, Value>,
        encode: fn(&str) -> Result<String, String>,
    ) -> Result<String, String> {
        let mut out = String::new();
        for part in &template.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                _ => out.push_str(&encode(&self.value(part, input)?)?),
            }
        }
        Ok(out)
    }

    fn value(&self, part: &Part, input: &Map<String, Value>) -> Result<String, String> {
        match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Secret(name) => Ok(self.secrets.get(name).cloned().unwrap_or_default()),
            Part::Input(name) => {
                scalar(input.get(name)).ok_or_else(|| format!("`{name}` must be a string, a number or a boolean"))
            }
        }
    }

    /// Whether a template names an optional field that this input does not have.
    fn absent(template: &Template, input: &Map<String, Value>) -> bool {
        template.0.iter().any(|part| matches!(part, Part::Input(name) if input.get(name).is_none_or(Value::is_null)))
    }

    /// `None` where an optional field is absent: the member is left out.
    fn body(&self, template: &BodyTemplate, input: &Map<String, Value>) -> Result<Option<Value>, String> {
        Ok(Some(match template {
            BodyTemplate::Literal(value) => value.clone(),
            BodyTemplate::Text(template) if Self::absent(template, input) => return Ok(None),
            BodyTemplate::Text(Template(parts)) => match parts.as_slice() {
                [Part::Input(name)] => input.get(name).cloned().unwrap_or(Value::Null),
                parts => {
                    let texts: Result<String, String> = parts.iter().map(|part| self.value(part, input)).collect();
                    Value::String(texts?)
                }
            },
            BodyTemplate::Array(items) => {
                let items: Result<Vec<_>, _> = items.iter().map(|item| self.body(item, input)).collect();
                Value::Array(items?.into_iter().flatten().collect())
            }
            BodyTemplate::Object(members) => {
                let mut object = Map::new();
                for (name, member) in members {
                    if let Some(value) = self.body(member, input)? {
                        object.insert(name.clone(), value);
                    }
                }
                Value::Object(object)
            }
        }))
    }

    /// What a complete exchange means. `Err` means that trying again may help, and how long the upstream asks to wait.
    fn read(&self, answer: &HttpAnswer, now: Timestamp) -> Result<Answer, Retry> {
        let status = answer.status;
        if self.config.not_found_status.contains(&status) || status == 204 {
            return Ok(Answer::NotFound);
        }
        if self.config.invalid_status.contains(&status) {
            return Ok(Answer::Invalid(format!("the provider says that the input is wrong (HTTP {status})")));
        }
        match status {
            200..=299 => Ok(self.map(answer)),
            401 | 403 => Ok(Answer::failed(
                "provider_error",
                format!("the provider refused its credentials (HTTP {status}); check the secret in its configuration"),
            )),
            408 | 425 | 429 | 500 | 502..=504 => {
                let wait = answer.header("retry-after").and_then(|text| retry_after(text, now));
                let limited = status == 429 || (status == 503 && wait.is_some());
                let code = if limited { "rate_limited" } else { "provider_error" };
                Err(Retry { wait, code, detail: format!("the provider answered HTTP {status}") })
            }
            _ => Ok(Answer::failed("provider_error", format!("the provider answered HTTP {status}"))),
        }
    }

    fn map(&self, answer: &HttpAnswer) -> Answer {
        if answer.truncated {
            return Answer::failed(
                "provider_error",
                format!("the provider's response is larger than {MAX_RESPONSE_BYTES} bytes"),
            );
        }
        let Some(response) = parse(&answer.body) else {
            return Answer::failed("provider_error", "the provider's response is not JSON");
        };
        let missing = |pointer: &String| response.pointer(pointer).is_none_or(is_empty);
        if self.config.not_found_missing.iter().any(missing) {
            return Answer::NotFound;
        }
        let mut fields = Map::new();
        for (name, pointer) in &self.config.fields {
            if let Some(value) = response.pointer(pointer).filter(|value| !is_empty(value)) {
                fields.insert(name.clone(), value.clone());
            }
        }
        if fields.is_empty() { Answer::NotFound } else { Answer::Found { fields, confidence: None } }
    }
}

/// A fault that may pass.
struct Retry {
    wait: Option<Duration>,
    code: &'static str,
    detail: String,
}

#[async_trait]
impl Provider for Http {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let request = match self.request(question.input) {
            Ok(request) => request,
            Err(why) => return Answer::Invalid(why),
        };
        let deadline = ports.clock.now().plus(question.limit.min(self.config.timeout));
        let mut pause = FIRST_PAUSE;
        for attempt in 0.. {
            let left = deadline.since(ports.clock.now());
            if left.is_zero() {
                break;
            }
            let sent = ports.http.send(HttpRequest { deadline: left, ..request.clone() }).await;
            let retry = match sent {
                Ok(answer) => match self.read(&answer, ports.clock.now()) {
                    Ok(answer) => return answer,
                    Err(retry) => retry,
                },
                Err(error) => match failure(&error) {
                    Ok(retry) => retry,
                    Err(answer) => return answer,
                },
            };
            let jittered = pause.mul_f64(0.5 + ports.entropy.unit() / 2.0);
            let wait = retry.wait.map_or(jittered, |asked| asked.max(jittered));
            let left = deadline.since(ports.clock.now());
            if attempt >= self.config.retries || wait >= left {
                return Answer::failed(retry.code, retry.detail);
            }
            ports.clock.sleep(wait).await;
            pause = pause.saturating_mul(2);
        }
        Answer::failed("provider_timeout", "the provider did not answer in time")
    }
}

/// Whether a broken exchange may be tried again. Only the class is told: the texts may quote the URL.
fn failure(error: &HttpError) -> Result<Retry, Answer> {
    let detail = format!("no answer from the provider ({})", error.class());
    match error {
        HttpError::Timeout => Ok(Retry { wait: None, code: "provider_timeout", detail }),
        HttpError::Dns(_) | HttpError::Connect(_) | HttpError::Tls(_) | HttpError::Protocol(_) => {
            Ok(Retry { wait: None, code: "provider_error", detail })
        }
        HttpError::Url(_) | HttpError::Blocked => Err(Answer::failed("provider_error", detail)),
    }
}

/// Reads JSON. Lone surrogates, which an escape can write and UTF-8 cannot, become U+FFFD: one of them in one text is no
/// reason to lose an answer.
fn parse(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).or_else(|_| serde_json::from_slice(&without_lone_surrogates(body))).ok()
}

/// The same JSON with `\ufffd` for each escape of half a surrogate pair. Outside texts there are no escapes.
fn without_lone_surrogates(json: &[u8]) -> Vec<u8> {
    let unit = |at: usize| {
        let digits = json.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let (mut out, mut at) = (Vec::with_capacity(json.len()), 0);
    while at < json.len() {
        let (taken, lone) = match (unit(at), unit(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => (12, false),
            (Some(0xD800..=0xDFFF), _) => (6, true),
            // The second byte of an escape, which may be another backslash, begins none.
            _ if json[at] == b'\\' => (2, false),
            _ => (1, false),
        };
        let end = (at + taken).min(json.len());
        out.extend_from_slice(if lone { b"\\ufffd" } else { &json[at..end] });
        at = end;
    }
    out
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Everything but RFC 3986's unreserved characters, so that a value is one segment or one query value whatever it holds.
#[allow(clippy::unnecessary_wraps, reason = "one signature with header_value")]
fn percent_encode(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    Ok(out)
}

fn header_value(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("the input holds a line break or another control character".to_owned());
    }
    Ok(text.to_owned())
}

/// URL parsers take `.` and `..` segments as steps through the path, encoded or not.
fn check_segments(url: &str) -> Result<(), String> {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.split('?').next().unwrap_or_default();
    if path.split('/').skip(1).any(|segment| matches!(segment, "." | "..")) {
        return Err("the input cannot stand in a path".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::config::{Config, Kind};
    use super::super::testing::{input, ports, question};
    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    fn provider(body: &str) -> Http {
        let toml = format!(
            "[types.t]\ninputs = [[\"domain\"]]\noptional_inputs = [\"country\", \"employees\"]\nwaterfall = [\"api\"]\n\
             [providers.api]\nkind = \"http\"\n{body}\n"
        );
        let config = Config::parse("p.toml", &toml).unwrap_or_else(|e| panic!("{e}"));
        let Kind::Http(http) = &config.providers[0].kind else { panic!("not http") };
        Http::new("api", http, &|name| (name == "API_KEY").then(|| "s3cr&t \"key".to_owned())).unwrap()
    }

    const GET: &str = "url = \"https://api.example.com/v1/{{ input.domain }}\"\nfields = { name = \"/data/name\" }\n";

    fn found(answer: &Answer) -> Option<&Map<String, Value>> {
        if let Answer::Found { fields, .. } = answer { Some(fields) } else { None }
    }

    fn failed(answer: &Answer) -> (&str, &str) {
        let Answer::Failed { code, detail } = answer else { panic!("{answer:?}") };
        (code, detail)
    }

    #[tokio::test]
    async fn asks_and_maps_the_response() {
        let api = provider(
            "method = \"POST\"\nurl = \"https://api.example.com/v1/find?plain=1\"\n\
             query = { q = \"{{ input.domain }}\", c = \"{{ input.country }}\" }\n\
             headers = { Authorization = \"Bearer {{ secret.key }}\" }\n\
             body = { domain = \"{{ input.domain }}\", n = \"{{ input.employees }}\", note = \"for {{ input.domain }}\", fixed = 3, \
             list = [\"{{ input.country }}\", true] }\n\
             secrets = { key = { env = \"API_KEY\" } }\nrequires = [\"domain\"]\n\
             fields = { name = \"/data/name\", staff = \"/data/a~1b/0\", gone = \"/x\", empty = \"/data/empty\" }",
        );
        let (ports, script) = ports();
        script.answer(200, r#"{"data": {"name": "Müller", "a/b": [12], "empty": ""}}"#);
        let answer = api.ask(&question(&input(json!({"domain": "a\"b&c=d", "employees": 12})), LIMIT), &ports).await;
        assert_eq!(found(&answer), Some(&input(json!({"name": "Müller", "staff": 12}))));
        let request = &script.requests()[0];
        assert_eq!(request.url, "https://api.example.com/v1/find?plain=1&q=a%22b%26c%3Dd");
        assert_eq!(request.method, "POST");
        assert!(request.headers.contains(&("authorization".to_owned(), "Bearer s3cr&t \"key".to_owned())));
        assert!(request.headers.contains(&("content-type".to_owned(), "application/json".to_owned())));
        assert_eq!(
            serde_json::from_slice::<Value>(&request.body).unwrap(),
            json!({"domain": "a\"b&c=d", "n": 12, "note": "for a\"b&c=d", "fixed": 3, "list": [true]})
        );
        assert_eq!(request.max_response_bytes, MAX_RESPONSE_BYTES);
    }

    #[tokio::test]
    async fn no_value_reaches_host_scheme_or_another_part() {
        let api = provider(GET);
        for (value, wanted) in [
            ("evil.com/../../x", Some("https://api.example.com/v1/evil.com%2F..%2F..%2Fx")),
            ("@evil.com", Some("https://api.example.com/v1/%40evil.com")),
            ("a?b#c", Some("https://api.example.com/v1/a%3Fb%23c")),
            ("a\r\nHost: evil", Some("https://api.example.com/v1/a%0D%0AHost%3A%20evil")),
            ("{{ secret.key }}", Some("https://api.example.com/v1/%7B%7B%20secret.key%20%7D%7D")),
            ("\\\\evil", Some("https://api.example.com/v1/%5C%5Cevil")),
            ("ü%2e", Some("https://api.example.com/v1/%C3%BC%252e")),
            ("..", None),
            (".", None),
            ("", None),
        ] {
            let (ports, script) = ports();
            script.answer(404, "");
            let answer = api.ask(&question(&input(json!({"domain": value})), LIMIT), &ports).await;
            let urls: Vec<String> = script.requests().into_iter().map(|r| r.url).collect();
            match wanted {
                Some(url) => {
                    assert_eq!(urls, [url], "{value:?}");
                    assert_eq!(url::Url::parse(url).unwrap().host_str(), Some("api.example.com"));
                }
                None => {
                    assert!(matches!(answer, Answer::Invalid(_)) && urls.is_empty(), "{value:?}: {answer:?} {urls:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn values_side_by_side_make_no_step_through_the_path() {
        let api = provider(
            "url = \"https://api.example.com/v1/.{{ input.domain }}/{{ input.country }}{{ input.employees }}\"\n\
             fields = { name = \"/name\" }",
        );
        for value in [
            json!({"domain": ".", "country": "a", "employees": "b"}),
            json!({"domain": "a", "country": ".", "employees": "."}),
        ] {
            let (ports, script) = ports();
            assert!(matches!(api.ask(&question(&input(value), LIMIT), &ports).await, Answer::Invalid(_)));
            assert!(script.requests().is_empty());
        }
    }

    #[tokio::test]
    async fn a_header_takes_no_line_break() {
        let api = provider(&format!("{GET}headers = {{ x-domain = \"{{{{ input.domain }}}}\" }}"));
        for value in ["a\r\nx: y", "a\nb", "a\u{0}b", "a\u{7f}b", "a\u{85}b"] {
            let (ports, script) = ports();
            let answer = api.ask(&question(&input(json!({"domain": value})), LIMIT), &ports).await;
            assert!(matches!(answer, Answer::Invalid(_)), "{value:?}: {answer:?}");
            assert!(script.requests().is_empty());
        }
    }

    #[tokio::test]
    async fn inputs_that_do_not_suit_are_invalid_and_not_sent() {
        let api = provider(GET);
        for value in [json!({}), json!({"domain": null}), json!({"domain": ["a"]}), json!({"domain": {"a": 1}})] {
            let (ports, script) = ports();
            assert!(matches!(api.ask(&question(&input(value), LIMIT), &ports).await, Answer::Invalid(_)));
            assert!(script.requests().is_empty());
        }
    }

    #[tokio::test]
    async fn half_a_surrogate_pair_in_one_text_lost_the_whole_answer() {
        let api = provider("url = \"https://api.example.com/\"\nfields = { name = \"/name\", staff = \"/staff\" }");
        for (name, wanted) in [
            (r"a\ud83db", "a\u{fffd}b"),
            (r"\uDE00", "\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
            (r"\ud83d\u0041\ude00", "\u{fffd}A\u{fffd}"),
            (r"\\ud83d \ud83d", "\\ud83d \u{fffd}"),
            (r"\\\ud83d", "\\\u{fffd}"),
            (r"\ud83d\n", "\u{fffd}\n"),
        ] {
            let (ports, script) = ports();
            script.answer(200, &format!(r#"{{"name": "{name}", "staff": 7}}"#));
            let answer = api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await;
            assert_eq!(found(&answer), Some(&input(json!({"name": wanted, "staff": 7}))), "{name}");
        }
        for broken in
            [r#"{"name": "\ud83d"#, r#"{"name": "\ud83d\"#, r#"{"name": "\ud8"#, r#"{"name": "\u+123"}"#, "\\"]
        {
            let (ports, script) = ports();
            script.answer(200, broken);
            let answer = api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await;
            assert_eq!(failed(&answer), ("provider_error", "the provider's response is not JSON"), "{broken}");
        }
    }

    #[tokio::test]
    async fn not_found_by_status_by_missing_path_and_by_no_field() {
        let api = provider(&format!(
            "{GET}not_found = {{ status = [404, 410], missing = [\"/data\"] }}\ninvalid_status = [422]"
        ));
        for (status, body) in [
            (404, "whatever"),
            (410, ""),
            (204, ""),
            (200, "{}"),
            (200, r#"{"data": {}}"#),
            (200, r#"{"data": null}"#),
            (200, r#"{"data": {"name": null}}"#),
            (200, r#"{"data": {"name": ""}}"#),
        ] {
            let (ports, script) = ports();
            script.answer(status, body);
            assert_eq!(
                api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await,
                Answer::NotFound,
                "{status} {body}"
            );
        }
        let (ports, script) = ports();
        script.answer(422, "");
        assert!(matches!(api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await, Answer::Invalid(_)));
    }

    #[tokio::test]
    async fn passing_faults_are_retried_with_growing_pauses() {
        let api = provider(&format!("{GET}retries = 3"));
        let (ports, script) = ports();
        script.answer(500, "");
        script.fail(HttpError::Connect("to https://api.example.com/v1/secret".to_owned()));
        script.answer(429, "");
        script.answer(200, r#"{"data": {"name": "A"}}"#);
        let answer = api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await;
        assert!(found(&answer).is_some(), "{answer:?}");
        let slept = script.slept();
        assert_eq!(slept.len(), 3);
        for (pause, most) in slept.iter().zip([250, 500, 1000]) {
            let (least, most) = (Duration::from_millis(most / 2), Duration::from_millis(most));
            assert!((least..=most).contains(pause), "{slept:?}");
        }
    }

    #[tokio::test]
    async fn retries_end() {
        let api = provider(&format!("{GET}retries = 1"));
        let (ports, script) = ports();
        for _ in 0..5 {
            script.answer(503, "");
        }
        let answer = api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await;
        assert_eq!(failed(&answer), ("provider_error", "the provider answered HTTP 503"));
        assert_eq!(script.requests().len(), 2);
    }

    #[tokio::test]
    async fn retry_after_is_honoured_while_there_is_time() {
        let api = provider(&format!("{GET}timeout_s = 60"));
        let (ports, script) = ports();
        script.answer_with(429, &[("retry-after", "7")], "");
        // The scripted clock begins at 2026-01-01T00:00:00Z.
        script.answer_with(503, &[("retry-after", "Thu, 01 Jan 2026 00:00:17 GMT")], "");
        script.answer(200, r#"{"data": {"name": "A"}}"#);
        let answer = api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await;
        assert!(found(&answer).is_some(), "{answer:?}");
        assert_eq!(script.slept(), [Duration::from_secs(7), Duration::from_secs(10)]);

        let (ports, script) = super::super::testing::ports();
        script.answer_with(429, &[("retry-after", "61")], "");
        let answer = api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await;
        assert_eq!(failed(&answer).0, "rate_limited");
        assert!(script.slept().is_empty(), "it does not wait for what comes too late");
    }

    #[tokio::test]
    async fn the_shorter_of_limit_and_time_out_bounds_every_attempt() {
        let api = provider(&format!("{GET}timeout_s = 5\nretries = 5"));
        for (limit, wanted) in [(60, 5), (2, 2)] {
            let (ports, script) = ports();
            script.slow(Duration::from_secs(wanted), HttpError::Timeout);
            let answer = api.ask(&question(&input(json!({"domain": "a"})), Duration::from_secs(limit)), &ports).await;
            assert_eq!(failed(&answer).0, "provider_timeout");
            let deadlines: Vec<Duration> = script.requests().iter().map(|r| r.deadline).collect();
            assert_eq!(deadlines, [Duration::from_secs(wanted)]);
        }
    }

    #[tokio::test]
    async fn final_faults_are_not_retried_and_tell_nothing_of_the_exchange() {
        let api = provider(&format!(
            "{GET}headers = {{ a = \"{{{{ secret.key }}}}\" }}\nsecrets = {{ key = {{ env = \"API_KEY\" }} }}"
        ));
        assert!(!format!("{api:?}").contains("s3cr"));
        for (status, body) in [(401, "s3cr&t"), (403, ""), (400, "s3cr&t"), (302, ""), (200, "<html>s3cr&t"), (200, "")]
        {
            let (ports, script) = ports();
            script.answer(status, body);
            let answer = api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await;
            let (code, detail) = failed(&answer);
            assert_eq!(code, "provider_error");
            assert!(!detail.contains("s3cr") && !detail.contains("html"), "{detail}");
            assert_eq!(script.requests().len(), 1, "{status}");
        }
        let (ports, script) = ports();
        script.truncated(200, r#"{"data": {"name": "A"}}"#);
        let answer = api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await;
        assert!(failed(&answer).1.contains("larger than 1048576"));
        for error in [HttpError::Blocked, HttpError::Url("https://x/?key=s3cr".to_owned())] {
            let (ports, script) = super::super::testing::ports();
            script.fail(error);
            let answer = api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports).await;
            assert!(!failed(&answer).1.contains("s3cr"));
            assert_eq!(script.requests().len(), 1);
        }
    }

    #[test]
    fn a_missing_secret_names_its_variable() {
        let toml = format!(
            "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"my-api\"]\n[providers.my-api]\nkind = \"http\"\n{GET}\
             headers = {{ a = \"{{{{ secret.key }}}}\" }}\nsecrets = {{ key = {{ env = \"CRM_API_KEY\" }} }}\n"
        );
        let config = Config::parse("p.toml", &toml).unwrap();
        let Kind::Http(http) = &config.providers[0].kind else { panic!() };
        let error = Http::new("my-api", http, &|_| None).unwrap_err().to_string();
        assert_eq!(error, "p.toml:9:19: providers.my-api needs the environment variable CRM_API_KEY, which is not set");
        let error = Http::new("my-api", http, &|_| Some("topsecret\n".to_owned())).unwrap_err().to_string();
        assert!(error.contains("CRM_API_KEY") && !error.contains("topsecret"), "{error}");
    }
}
