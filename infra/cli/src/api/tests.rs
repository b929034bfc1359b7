use super::*;
use testkit::servers::{Reply, Server, closed_port};

/// A client of a server on loopback that does not wait between tries.
pub(crate) fn client(base: &str) -> Api {
    let mut api = Api::new(base, "mr_test", Arc::new(Screen::new())).unwrap();
    api.first_wait = Duration::from_millis(1);
    api
}

/// A problem document of Millrace's.
pub(crate) fn problem(status: u16) -> Reply {
    let body = r#"{"type": "urn:millrace:problem:test", "title": "No", "detail": "because"}"#;
    Reply::new(status, body)
}

#[test]
fn paths_are_joined_to_the_base() {
    let url = |base: &str| {
        let (base, ..) = check_base(base).unwrap();
        let api = client(&base);
        api.url(&Request::get("/v1/jobs").query("cursor", "a b&c"))
            .unwrap()
            .to_string()
    };
    let expected = "http://127.0.0.1:4566/_aws/execute-api/ab12/$default/v1/jobs?cursor=a+b%26c";
    assert_eq!(
        url("http://127.0.0.1:4566/_aws/execute-api/ab12/$default"),
        expected
    );
    assert_eq!(
        url("http://127.0.0.1:4566/_aws/execute-api/ab12/$default/"),
        expected
    );
    assert_eq!(
        url("http://127.0.0.1:4566/_aws/execute-api/ab12/$default/v1"),
        expected
    );
    assert_eq!(
        url("https://api.example.com"),
        "https://api.example.com/v1/jobs?cursor=a+b%26c"
    );
}

#[test]
fn bases_that_cannot_be_meant_are_refused() {
    for base in [
        "",
        "example.com",
        "ftp://example.com",
        "https://u:p@example.com",
        "https://example.com/?a=1",
    ] {
        assert!(check_base(base).is_err(), "{base}");
    }
    let local = |base: &str| check_base(base).unwrap().1;
    assert!(local("http://localhost:1") && local("http://[::1]:1") && local("http://127.0.0.2"));
    assert!(!local("http://localhost.example.com") && !local("http://10.0.0.1"));
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let header = |text: &'static str| {
        HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, HeaderValue::from_static(text))])
    };
    let now = Timestamp(784_111_770_000);
    assert_eq!(
        asked_to_wait(&header("7"), now),
        Some(Duration::from_secs(7))
    );
    assert_eq!(
        asked_to_wait(&header("Sun, 06 Nov 1994 08:49:37 GMT"), now),
        Some(Duration::from_secs(7))
    );
    assert_eq!(
        asked_to_wait(&header("Sunday, 06-Nov-94 08:49:37 GMT"), now),
        Some(Duration::from_secs(7))
    );
    assert_eq!(
        asked_to_wait(&header("Sun Nov  6 08:49:20 1994"), now),
        Some(Duration::ZERO)
    );
    assert_eq!(asked_to_wait(&header("soon"), now), None);
}

#[tokio::test]
async fn tries_again_with_the_same_key_and_body() {
    let answers = vec![
        problem(429).header("retry-after", "0"),
        Reply::new(500, r#"{"message": "Internal Server Error"}"#),
        Reply::raw(""),
        problem(503).header("retry-after", "0"),
        Reply::new(202, r#"{"id": "x"}"#),
    ];
    let server = Server::replying(answers).await;
    let request = Request::post("/v1/jobs", b"{}".to_vec(), "key-1".to_owned());
    let answer = client(&server.url("/base")).send(request).await.unwrap();
    assert_eq!(answer.status, 202);
    let seen = server.got();
    assert_eq!(seen.len(), 5);
    for request in seen {
        assert_eq!(request.get("idempotency-key"), Some("key-1"));
        assert_eq!(request.get("authorization"), Some("Bearer mr_test"));
        assert_eq!(request.body, b"{}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_given_up_on_soon() {
    let server = Server::replying(vec![Reply::raw("")]).await;
    let error = client(&server.url("/base"))
        .send(Request::get("/v1/account"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ApiError::Silent(why) if why.contains("does not answer")),
        "{error:?}"
    );
    assert_eq!(server.got().len(), 4);
}

#[tokio::test]
async fn a_refusal_and_a_fault_of_the_api_are_final() {
    for status in [400, 402, 422, 500, 301] {
        let server = Server::replying(vec![problem(status)]).await;
        let error = client(&server.url("/base"))
            .send(Request::get("/v1/account"))
            .await
            .unwrap_err();
        assert!(error.is(status), "{status}: {error:?}");
        assert_eq!(server.got().len(), 1);
    }
}

#[tokio::test]
async fn a_local_stack_that_is_gone_is_named_with_its_remedy() {
    let reported = async |reply: Reply| {
        let server = Server::replying(vec![reply]).await;
        client(&server.url("/base"))
            .send(Request::get("/v1/account"))
            .await
            .unwrap_err()
            .text(&|_| None)
    };
    let remedy = "set -a; . infra/local/.env; set +a";
    for gone in [
        Reply::new(404, r#"{"message": "Not Found"}"#),
        Reply::new(403, r#"{"message": "Forbidden"}"#),
        problem(401),
        Reply::raw(""),
    ] {
        let reported = reported(gone).await;
        assert!(reported.ends_with(remedy), "{reported}");
    }
    // Millrace's own answer, or a fault, does not point to another stack.
    for there in [problem(404), problem(403), Reply::new(400, "{}")] {
        let reported = reported(there).await;
        assert!(!reported.contains(remedy), "{reported}");
    }
    let (_held, port) = closed_port();
    let base = format!("http://127.0.0.1:{port}/_aws/execute-api/ab12");
    let error = client(&base)
        .send(Request::get("/v1/account"))
        .await
        .unwrap_err();
    assert!(error.text(&|_| None).ends_with(remedy), "{error:?}");
    let mut elsewhere = client(&base);
    elsewhere.local = false;
    let error = elsewhere
        .send(Request::get("/v1/account"))
        .await
        .unwrap_err();
    assert!(!error.text(&|_| None).contains(remedy), "{error:?}");
}

#[tokio::test]
async fn cursors_are_followed_to_the_end_and_to_a_standstill() {
    let page = |lines: &str, next: &str| {
        Reply::new(
            200,
            format!(r#"{{"results": {lines}, "next_cursor": {next}}}"#),
        )
    };
    let server = Server::replying(vec![
        page("[1, 2]", "\"1.0\""),
        page("[3]", "\"2.0\""),
        page("[4]", "null"),
    ])
    .await;
    let mut seen = Vec::new();
    let mut take = |v: Value| {
        seen.push(v.as_u64().unwrap());
        Ok(true)
    };
    let request = Request::get("/v1/jobs/j/results").query("limit", "2");
    assert!(
        follow(
            &client(&server.url("/base")),
            &request,
            "results",
            &mut take
        )
        .await
        .unwrap()
    );
    assert_eq!(seen, [1, 2, 3, 4]);
    let paths: Vec<String> = server.got().iter().map(|r| r.path.clone()).collect();
    assert_eq!(paths[0], "/base/v1/jobs/j/results?limit=2");
    assert_eq!(paths[1], "/base/v1/jobs/j/results?limit=2&cursor=1.0");
    assert_eq!(paths[2], "/base/v1/jobs/j/results?limit=2&cursor=2.0");

    let server = Server::replying(vec![page("[1]", "\"1.0\""), page("[]", "\"1.0\"")]).await;
    assert!(
        !follow(&client(&server.url("/base")), &request, "results", |_| Ok(
            true
        ))
        .await
        .unwrap()
    );
    assert_eq!(server.got().len(), 2);
    let server = Server::replying(vec![page("[1]", "\"1.0\""), page("[1]", "\"1.0\"")]).await;
    assert!(
        follow(&client(&server.url("/base")), &request, "results", |_| Ok(
            true
        ))
        .await
        .is_err()
    );
}
