//! Access tokens by client credentials.

use futures_util::future::join_all;

use super::*;
use crate::providers::kinds::READERS;
use crate::providers::testing::{Script, input, ports, question};

const WITH: &str = "url = \"https://api.example.com/v1/{{ input.domain }}\"\nretries = 0\n\
                    fields = { name = \"/name\" }\n\
    oauth = { token_url = \"https://auth.example.com/token\", client_id = { env = \"API_KEY\" }, \
    client_secret = { env = \"API_KEY\" }, \
    scope = \"read all\", audience = \"x/y\"";

fn api(more: &str) -> Http {
    provider(&format!("{WITH}{more} }}"))
}

async fn ask(api: &Http, domain: &str, ports: &Ports) -> Answer {
    let input = input(json!({"domain": domain}));
    api.ask(&question(&input, LIMIT), ports).await
}

fn urls(script: &Script) -> Vec<String> {
    script
        .requests()
        .into_iter()
        .map(|request| request.url)
        .collect()
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    request
        .headers
        .iter()
        .find(|(name, _)| name == "authorization")
        .map(|(_, value)| value.as_str())
}

const NAMED: &str = r#"{"name": "A"}"#;

#[tokio::test]
async fn a_token_is_fetched_once_and_renewed_before_it_ends() {
    let api = api("");
    let (ports, script) = ports();
    script.answer(
        200,
        "\u{feff}{\"access_token\": \"t1\", \"token_type\": \"Bearer\", \"expires_in\": 600}",
    );
    script.answer(200, NAMED);
    script.answer(200, NAMED);
    // Both at once, one token.
    let answers = join_all([ask(&api, "a", &ports), ask(&api, "b", &ports)]).await;
    assert!(
        answers.iter().all(|answer| found(answer).is_some()),
        "{answers:?}"
    );
    assert_eq!(
        urls(&script),
        [
            "https://auth.example.com/token",
            "https://api.example.com/v1/a",
            "https://api.example.com/v1/b"
        ]
    );
    let requests = script.requests();
    assert_eq!(bearer(&requests[1]), Some("Bearer t1"));
    // RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
    assert_eq!(
        bearer(&requests[0]),
        Some("Basic czNjciUyNnQlMjAlMjJrZXk6czNjciUyNnQlMjAlMjJrZXk=")
    );
    assert_eq!(
        String::from_utf8_lossy(&requests[0].body),
        "grant_type=client_credentials&scope=read%20all&audience=x%2Fy"
    );
    // 60 s before its end it is renewed.
    script.pass(Duration::from_secs(539));
    script.answer(200, NAMED);
    ask(&api, "c", &ports).await;
    script.pass(Duration::from_secs(1));
    script.answer(
        200,
        r#"{"access_token": "t2", "token_type": "Bearer", "expires_in": "600"}"#,
    );
    script.answer(200, NAMED);
    ask(&api, "d", &ports).await;
    assert_eq!(
        script
            .requests()
            .iter()
            .filter(|r| r.url.ends_with("/token"))
            .count(),
        2
    );
    assert_eq!(bearer(script.requests().last().unwrap()), Some("Bearer t2"));
}

#[tokio::test]
async fn a_token_is_read_in_its_own_encoding() {
    let (api, (ports, script)) = (api(""), ports());
    let token: Vec<u8> =
        r#"{"access_token": "t1", "expires_in": NaN}"#
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
    script.answer_bytes(
        200,
        &[("content-type", "application/json;charset=UTF-16BE")],
        &token,
    );
    script.answer(200, NAMED);
    assert!(found(&ask(&api, "a", &ports).await).is_some());
    assert_eq!(bearer(&script.requests()[1]), Some("Bearer t1"));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let api = api(", auth = \"body\"");
    let (ports, script) = ports();
    for token in ["t1", "t2"] {
        script.answer(
            200,
            &json!({"access_token": token, "expires_in": 600}).to_string(),
        );
        script.answer(401, "");
    }
    let answer = ask(&api, "a", &ports).await;
    assert!(
        failed(&answer).1.contains("refused its credentials"),
        "{answer:?}"
    );
    let requests = script.requests();
    assert_eq!(
        requests.iter().map(bearer).collect::<Vec<_>>(),
        [None, Some("Bearer t1"), None, Some("Bearer t2")]
    );
    assert!(
        requests[0]
            .body
            .ends_with(b"&client_id=s3cr%26t%20%22key&client_secret=s3cr%26t%20%22key")
    );
}

#[tokio::test]
async fn no_token_is_told_without_any_secret() {
    for (status, body, detail) in [
        (
            401,
            r#"{"error": "invalid_client", "error_description": "s3cr&t"}"#,
            "no access token (HTTP 401, invalid_client)",
        ),
        (
            400,
            r#"{"error": "s3cr&t"}"#,
            "no reason that RFC 6749 knows",
        ),
        (
            200,
            r#"{"access_token": "a\r\nb"}"#,
            "no usable access_token",
        ),
        (200, "{}", "no usable access_token"),
        (200, "s3cr&t", "not JSON"),
    ] {
        let (ports, script) = ports();
        script.answer(status, body);
        let answer = ask(&api(""), "a", &ports).await;
        let (code, reported) = failed(&answer);
        assert!(
            code == "provider_error" && reported.contains(detail) && !reported.contains("s3cr"),
            "{reported}"
        );
        assert_eq!(script.requests().len(), 1);
    }
}

#[test]
fn faults_of_oauth() {
    for (from, to, wanted) in [
        (
            "https://auth.example.com/token",
            "https://{{ input.domain }}/",
            "not known here",
        ),
        (
            "https://auth.example.com/token",
            "ftp://x/",
            "begins with https://",
        ),
        (
            "oauth = {",
            "headers = { Authorization = \"x\" }\noauth = {",
            "remove one",
        ),
        (
            "client_id = { env = \"API_KEY\" }",
            "client_id = \"id\"",
            "a secret is a reference",
        ),
        ("scope = ", "auth = \"jwt\", scope = ", "`jwt` is not known"),
    ] {
        let text = format!("{WITH} }}").replace(from, to);
        let toml = format!(
            "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"api\"]\n[providers.api]\n\
             kind = \"http\"\n{text}\n"
        );
        let error = Config::parse(READERS, "p.toml", &toml)
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted), "{error}");
    }
}
