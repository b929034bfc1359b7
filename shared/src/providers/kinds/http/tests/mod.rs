//! The `http` kind on scripted ports.

mod batch;
mod later;
mod limited;
mod oauth;
mod templates;

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::*;
use crate::catalog::{Config, SecretRef};
use crate::ports::{HttpError, HttpRequest};
use crate::providers::kinds::READERS;
use crate::providers::testing::{input, ports, question};

const LIMIT: Duration = Duration::from_mins(1);

fn provider(body: &str) -> Http {
    let toml = format!(
        "[types.t]\ninputs = [[\"domain\"]]\noptional_inputs = [\"country\", \"employees\"]\n\
         waterfall = [\"api\"]\n\
         [providers.api]\nkind = \"http\"\n{body}\n"
    );
    let config = Config::parse(READERS, "p.toml", &toml).unwrap_or_else(|e| panic!("{e}"));
    let Some(http) = config.providers[0].kind.downcast_ref::<HttpConfig>() else {
        panic!("not http")
    };
    Http::new("api", http, &|secret| {
        (secret.from == SecretRef::Env("API_KEY".to_owned())).then(|| "s3cr&t \"key".to_owned())
    })
    .unwrap()
}

const GET: &str =
    "url = \"https://api.example.com/v1/{{ input.domain }}\"\nfields = { name = \"/data/name\" }\n";

fn found(answer: &Answer) -> Option<&Map<String, Value>> {
    if let Answer::Found { fields, .. } = answer {
        Some(fields)
    } else {
        None
    }
}

fn failed(answer: &Answer) -> (&str, &str) {
    let Answer::Failed { code, detail } = answer else {
        panic!("{answer:?}")
    };
    (code.as_str(), detail)
}

#[tokio::test]
async fn asks_and_maps_the_response() {
    let api = provider(
        "method = \"POST\"\nurl = \"https://api.example.com/v1/find?plain=1\"\n\
         query = { q = \"{{ input.domain }}\", c = \"{{ input.country }}\" }\n\
         headers = { Authorization = \"Bearer {{ secret.key }}\" }\n\
         body = { domain = \"{{ input.domain }}\", n = \"{{ input.employees }}\", \
         note = \"for {{ input.domain }}\", fixed = 3, \
         list = [\"{{ input.country }}\", true] }\n\
         secrets = { key = { env = \"API_KEY\" } }\nrequires = [\"domain\"]\n\
         fields = { name = \"/data/name\", staff = \"/data/a~1b/0\", gone = \"/x\", \
         empty = \"/data/empty\" }",
    );
    let (ports, script) = ports();
    script.answer(
        200,
        r#"{"data": {"name": "Müller", "a/b": [12], "empty": ""}}"#,
    );
    let answer = api
        .ask(
            &question(
                &input(json!({"domain": "a\"b&c=d", "employees": 12})),
                LIMIT,
            ),
            &ports,
        )
        .await;
    assert_eq!(
        found(&answer),
        Some(&input(json!({"name": "Müller", "staff": 12})))
    );
    let request = &script.requests()[0];
    assert_eq!(
        request.url,
        "https://api.example.com/v1/find?plain=1&q=a%22b%26c%3Dd"
    );
    assert_eq!(request.method, "POST");
    assert!(
        request
            .headers
            .contains(&("authorization".to_owned(), "Bearer s3cr&t \"key".to_owned()))
    );
    assert!(
        request
            .headers
            .contains(&("content-type".to_owned(), "application/json".to_owned()))
    );
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
        (
            "evil.com/../../x",
            Some("https://api.example.com/v1/evil.com%2F..%2F..%2Fx"),
        ),
        ("@evil.com", Some("https://api.example.com/v1/%40evil.com")),
        ("a?b#c", Some("https://api.example.com/v1/a%3Fb%23c")),
        (
            "a\r\nHost: evil",
            Some("https://api.example.com/v1/a%0D%0AHost%3A%20evil"),
        ),
        (
            "{{ secret.key }}",
            Some("https://api.example.com/v1/%7B%7B%20secret.key%20%7D%7D"),
        ),
        ("\\\\evil", Some("https://api.example.com/v1/%5C%5Cevil")),
        ("ü%2e", Some("https://api.example.com/v1/%C3%BC%252e")),
        ("..", None),
        (".", None),
        ("", None),
    ] {
        let (ports, script) = ports();
        script.answer(404, "");
        let answer = api
            .ask(&question(&input(json!({"domain": value})), LIMIT), &ports)
            .await;
        let urls: Vec<String> = script.requests().into_iter().map(|r| r.url).collect();
        match wanted {
            Some(url) => {
                assert_eq!(urls, [url], "{value:?}");
                assert_eq!(
                    url::Url::parse(url).unwrap().host_str(),
                    Some("api.example.com")
                );
            }
            None => {
                assert!(
                    matches!(answer, Answer::Invalid(_)) && urls.is_empty(),
                    "{value:?}: {answer:?} {urls:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn values_side_by_side_make_no_step_through_the_path() {
    let api = provider(
        "url = \"https://api.example.com/v1/.{{ input.domain }}/{{ input.country }}\
         {{ input.employees }}\"\n\
         fields = { name = \"/name\" }",
    );
    for value in [
        json!({"domain": ".", "country": "a", "employees": "b"}),
        json!({"domain": "a", "country": ".", "employees": "."}),
    ] {
        let (ports, script) = ports();
        assert!(matches!(
            api.ask(&question(&input(value), LIMIT), &ports).await,
            Answer::Invalid(_)
        ));
        assert!(script.requests().is_empty());
    }
}

#[tokio::test]
async fn a_header_takes_no_line_break() {
    let api = provider(&format!(
        "{GET}headers = {{ x-domain = \"{{{{ input.domain }}}}\" }}"
    ));
    for value in ["a\r\nx: y", "a\nb", "a\u{0}b", "a\u{7f}b", "a\u{85}b"] {
        let (ports, script) = ports();
        let answer = api
            .ask(&question(&input(json!({"domain": value})), LIMIT), &ports)
            .await;
        assert!(
            matches!(answer, Answer::Invalid(_)),
            "{value:?}: {answer:?}"
        );
        assert!(script.requests().is_empty());
    }
}

#[tokio::test]
async fn inputs_that_do_not_suit_are_invalid_and_not_sent() {
    let api = provider(GET);
    for value in [
        json!({}),
        json!({"domain": null}),
        json!({"domain": ["a"]}),
        json!({"domain": {"a": 1}}),
    ] {
        let (ports, script) = ports();
        assert!(matches!(
            api.ask(&question(&input(value), LIMIT), &ports).await,
            Answer::Invalid(_)
        ));
        assert!(script.requests().is_empty());
    }
}

#[tokio::test]
async fn half_a_surrogate_pair_in_one_text_lost_the_whole_answer() {
    let api = provider(
        "url = \"https://api.example.com/\"\nfields = { name = \"/name\", staff = \"/staff\" }",
    );
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
        let answer = api
            .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
            .await;
        assert_eq!(
            found(&answer),
            Some(&input(json!({"name": wanted, "staff": 7}))),
            "{name}"
        );
    }
    for broken in [
        r#"{"name": "\ud83d"#,
        r#"{"name": "\ud83d\"#,
        r#"{"name": "\ud8"#,
        r#"{"name": "\u+123"}"#,
        "\\",
    ] {
        let (ports, script) = ports();
        script.answer(200, broken);
        let answer = api
            .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
            .await;
        assert_eq!(
            failed(&answer),
            ("provider_error", "the provider's response is not JSON"),
            "{broken}"
        );
    }
}

#[tokio::test]
async fn an_answer_is_read_in_its_own_encoding_and_numbers_that_are_none_are_null() {
    let api = provider(
        "url = \"https://api.example.com/\"\nfields = { name = \"/name\", score = \"/score\" }",
    );
    let utf_16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    for (charset, body) in [
        ("", br#"{"name": "M\u00fcller", "score": NaN}"#.to_vec()),
        (
            "; charset=iso-8859-1",
            b"{\"name\": \"M\xfcller\", \"score\": -Infinity}".to_vec(),
        ),
        (
            "; charset=windows-1251",
            br#"{"name": "M\u00fcller", "score": Infinity }"#.to_vec(),
        ),
        (
            "; charset=utf-16",
            utf_16(r#"{"score":NaN,"name":"Müller"}"#),
        ),
        ("", utf_16("\u{feff}{\"score\":null,\"name\":\"Müller\"}")),
        (
            "; charset=latin1",
            "\u{feff}{\"name\":\"Müller\"}".as_bytes().to_vec(),
        ),
    ] {
        let (ports, script) = ports();
        script.answer_bytes(
            200,
            &[("content-type", &format!("application/json{charset}"))],
            &body,
        );
        let answer = api
            .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
            .await;
        assert_eq!(
            found(&answer),
            Some(&input(json!({"name": "Müller"}))),
            "{charset:?} {body:?}"
        );
    }
    let (ports, script) = ports();
    script.answer_bytes(
        200,
        &[("content-type", "application/json; charset=windows-1251")],
        b"{\"name\":\"\xcf\xf0\xe8\"}",
    );
    let answer = api
        .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
        .await;
    assert_eq!(found(&answer), Some(&input(json!({"name": "При"}))));
    // What is not in its encoding is not guessed at.
    for (header, why) in [
        (&[][..], "not UTF-8, and its Content-Type names no charset"),
        (
            &[("content-type", "application/json")],
            "not UTF-8, and its Content-Type names no charset",
        ),
        (
            &[("content-type", "application/json; charset=utf-8")],
            "not in the charset that its Content-Type names",
        ),
    ] {
        let (ports, script) = crate::providers::testing::ports();
        script.answer_bytes(200, header, b"{\"name\":\"M\xfcller\"}");
        let answer = api
            .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
            .await;
        assert_eq!(
            failed(&answer),
            (
                "provider_error",
                format!("the provider's response is {why}").as_str()
            )
        );
    }
}

#[tokio::test]
async fn what_an_answer_holds_is_passed_on_as_it_was_written() {
    const NUMBERS: &str = concat!(
        r#"{"whole":-123456789012345678901234567890,"#,
        r#""wider":340282366920938463463374607431768211456,"long":0.1234567890123456789,"#,
        r#""far":1e400,"form":1.50E+02,"zero":-0}"#
    );
    let api = provider(
        "url = \"https://api.example.com/\"\nfields = { at = \"/numbers\", \
         all = { expr = \"response.numbers\" }, \
         whole = { expr = \"response.numbers.whole | default(1)\" }, \
         wider = { expr = \"[response.numbers.wider] | first\" }, \
         long = { expr = \"response.numbers.long if response.numbers.form > 149 else 1\" }, \
         far = { expr = \"response.numbers.far\" }, \
         double = { expr = \"response.numbers.form * 2\" }, \
         key = \"/key\", computed = { expr = \"response.key\" }, \
         text = { expr = \"response.numbers.whole ~ ''\" } }",
    );
    let key = r#"{"$serde_json::private::Number":"1","$serde_json::private::RawValue":"["}"#;
    let (ports, script) = ports();
    script.answer(
        200,
        &format!("\u{feff}{{\"numbers\":{NUMBERS},\"key\":{key}}}"),
    );
    let answer = api
        .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
        .await;
    let fields = found(&answer).unwrap_or_else(|| panic!("{answer:?}"));
    for (name, written) in [
        ("at", NUMBERS),
        ("all", NUMBERS),
        ("whole", "-123456789012345678901234567890"),
        ("wider", "340282366920938463463374607431768211456"),
        ("long", "0.1234567890123456789"),
        ("far", "1e400"),
        ("double", "300.0"),
        ("key", key),
        ("computed", key),
        ("text", "\"-123456789012345678901234567890\""),
    ] {
        assert_eq!(
            fields.get(name).map(ToString::to_string).as_deref(),
            Some(written),
            "{name}"
        );
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
            api.ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
                .await,
            Answer::NotFound,
            "{status} {body}"
        );
    }
    let (ports, script) = ports();
    script.answer(422, "");
    let answer = api
        .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
        .await;
    let (code, detail) = failed(&answer);
    assert_eq!(code, "provider_input");
    assert!(detail.contains("422"), "{detail}");
}

#[tokio::test]
async fn passing_faults_are_retried_with_growing_pauses() {
    let api = provider(&format!("{GET}retries = 3"));
    let (ports, script) = ports();
    script.answer(500, "");
    script.fail(HttpError::Connect(
        "to https://api.example.com/v1/secret".to_owned(),
    ));
    script.answer(429, "");
    script.answer(200, r#"{"data": {"name": "A"}}"#);
    let answer = api
        .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
        .await;
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
    let answer = api
        .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
        .await;
    assert_eq!(
        failed(&answer),
        ("provider_error", "the provider answered HTTP 503")
    );
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
    let answer = api
        .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
        .await;
    assert!(found(&answer).is_some(), "{answer:?}");
    assert_eq!(
        script.slept(),
        [Duration::from_secs(7), Duration::from_secs(10)]
    );

    let (ports, script) = crate::providers::testing::ports();
    script.answer_with(429, &[("retry-after", "61")], "");
    let answer = api
        .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
        .await;
    assert_eq!(failed(&answer).0, "rate_limited");
    assert!(
        script.slept().is_empty(),
        "it does not wait for what comes too late"
    );
}

#[tokio::test]
async fn the_shorter_of_limit_and_time_out_bounds_every_attempt() {
    let api = provider(&format!("{GET}timeout_s = 5\nretries = 5"));
    for (limit, wanted) in [(60, 5), (2, 2)] {
        let (ports, script) = ports();
        script.slow(Duration::from_secs(wanted), HttpError::Timeout);
        let answer = api
            .ask(
                &question(&input(json!({"domain": "a"})), Duration::from_secs(limit)),
                &ports,
            )
            .await;
        assert_eq!(failed(&answer).0, "provider_timeout");
        let deadlines: Vec<Duration> = script.requests().iter().map(|r| r.deadline).collect();
        assert_eq!(deadlines, [Duration::from_secs(wanted)]);
    }
}

#[tokio::test]
async fn final_faults_are_not_retried_and_tell_nothing_of_the_exchange() {
    let api = provider(&format!(
        "{GET}headers = {{ a = \"{{{{ secret.key }}}}\" }}\n\
         secrets = {{ key = {{ env = \"API_KEY\" }} }}"
    ));
    assert!(!format!("{api:?}").contains("s3cr"));
    for (status, body) in [
        (401, "s3cr&t"),
        (402, "s3cr&t"),
        (403, ""),
        (400, "s3cr&t"),
        (302, ""),
        (200, "<html>s3cr&t"),
        (200, ""),
    ] {
        let (ports, script) = ports();
        script.answer(status, body);
        let answer = api
            .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
            .await;
        let (code, detail) = failed(&answer);
        assert_eq!(
            code,
            if status == 402 {
                "provider_unpaid"
            } else {
                "provider_error"
            }
        );
        assert!(
            status == 200 || detail.contains(&status.to_string()),
            "{detail}"
        );
        assert!(
            !detail.contains("s3cr") && !detail.contains("html"),
            "{detail}"
        );
        assert_eq!(script.requests().len(), 1, "{status}");
    }
    let (ports, script) = ports();
    script.truncated(200, r#"{"data": {"name": "A"}}"#);
    let answer = api
        .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
        .await;
    assert!(failed(&answer).1.contains("larger than 1048576"));
    for (error, advice) in [
        (
            HttpError::Blocked,
            "no answer from the provider (blocked): the host's address is private or otherwise \
             refused; \
          AllowedCidrs (MILLRACE_ALLOWED_CIDRS) allows networks",
        ),
        (
            HttpError::Url("https://x/?key=s3cr".to_owned()),
            "no answer from the provider (url): the URL cannot be used; \
          plain http needs AllowHttp (MILLRACE_ALLOW_HTTP=true)",
        ),
    ] {
        let (ports, script) = crate::providers::testing::ports();
        script.fail(error);
        let answer = api
            .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
            .await;
        assert_eq!(failed(&answer).1, advice);
        assert_eq!(script.requests().len(), 1);
    }
}

#[tokio::test]
async fn what_broke_says_what_to_look_at_and_nothing_of_the_exchange() {
    let api = provider(&format!("{GET}retries = 0"));
    let quoting = || "https://api.example.com/s3cr at 10.0.0.7".to_owned();
    for (error, class, hint) in [
        (HttpError::Dns(quoting()), "(dns)", "spelled right"),
        (HttpError::Connect(quoting()), "(connect)", "host and port"),
        (
            HttpError::Tls(quoting()),
            "(tls)",
            "ExtraCaFile (MILLRACE_EXTRA_CA_FILE)",
        ),
        (
            HttpError::Protocol(quoting()),
            "(protocol)",
            "does not speak HTTP",
        ),
        (HttpError::Timeout, "(timeout)", "`timeout_s`"),
    ] {
        let (ports, script) = crate::providers::testing::ports();
        script.fail(error);
        let answer = api
            .ask(&question(&input(json!({"domain": "a"})), LIMIT), &ports)
            .await;
        let detail = failed(&answer).1;
        assert!(detail.contains(class) && detail.contains(hint), "{detail}");
        assert!(
            !detail.contains("s3cr") && !detail.contains("10.0.0.7"),
            "{detail}"
        );
    }
}

#[test]
fn a_missing_secret_names_its_variable() {
    let toml = format!(
        "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"my-api\"]\n[providers.my-api]\n\
         kind = \"http\"\n{GET}\
         headers = {{ a = \"{{{{ secret.key }}}}\" }}\n\
         secrets = {{ key = {{ env = \"CRM_API_KEY\" }} }}\n"
    );
    let config = Config::parse(READERS, "p.toml", &toml).unwrap();
    let Some(http) = config.providers[0].kind.downcast_ref::<HttpConfig>() else {
        panic!()
    };
    let error = Http::new("my-api", http, &|_| None)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "p.toml:9:19: providers.my-api needs the environment variable CRM_API_KEY, which is not set"
    );
    let error = Http::new("my-api", http, &|_| Some("topsecret\n".to_owned()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("CRM_API_KEY") && !error.contains("topsecret"),
        "{error}"
    );
}
