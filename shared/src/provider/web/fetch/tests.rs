use super::*;
use crate::ports::DnsRecord;
use crate::provider::testing::{Script, ports};

const LIMIT: Duration = Duration::from_secs(20);
const HTML: (&str, &str) = ("content-type", "text/html");

fn agent() -> Agent {
    Agent::new(&WebConfig { user_agent: Some("Acme-Bot/1.0 (+https://acme.example)".to_owned()), timeout: LIMIT })
}

async fn home(tell: impl FnOnce(&Script)) -> (Result<Page, Miss>, Vec<String>) {
    let (ports, script) = ports();
    tell(&script);
    let agent = agent();
    let page = Visit::new(&agent, &ports, LIMIT).home("acme.example").await;
    let requests = script.requests();
    for request in &requests {
        assert_eq!(request.headers[0].1, "Acme-Bot/1.0 (+https://acme.example)");
    }
    (page, requests.into_iter().map(|r| r.url).collect())
}

fn dns() -> HttpError {
    HttpError::Dns("no such name".to_owned())
}

#[test]
fn our_name_in_robots_txt_is_the_first_word() {
    assert_eq!(agent().product, "Acme-Bot");
    let own = Agent::new(&WebConfig { user_agent: None, timeout: LIMIT });
    assert_eq!((own.product.as_str(), own.user_agent.starts_with("Millrace/")), ("Millrace", true));
}

#[tokio::test]
async fn robots_txt_comes_first_and_each_redirect_is_checked() {
    let (page, urls) = home(|s| {
        s.answer_with(301, &[("location", "https://www.acme.example/robots.txt")], "");
        s.answer(200, "User-agent: *\nDisallow: /private");
        s.answer_with(302, &[("location", "//www.acme.example/start")], "");
        s.answer_with(200, &[HTML], "<title>Acme</title>");
    })
    .await;
    assert_eq!(page.unwrap().url.as_str(), "https://www.acme.example/start");
    assert_eq!(
        urls,
        [
            "https://acme.example/robots.txt",
            "https://www.acme.example/robots.txt",
            "https://acme.example/",
            "https://www.acme.example/start"
        ]
    );
    let (page, urls) = home(|s| {
        s.answer(404, "");
        s.answer_with(302, &[("location", "https://other.example/private")], "");
        s.answer(200, "User-agent: acme-bot\nDisallow: /private");
    })
    .await;
    assert!(matches!(page, Err(Miss::Refused(ref why)) if why.contains("other.example")), "{page:?}");
    assert_eq!(urls.len(), 3, "the page itself was not asked for");
}

#[tokio::test]
async fn what_robots_txt_may_answer() {
    for (status, location, body, wanted) in [
        (200, None, "User-agent: *\nDisallow: /", Some("robots_refused")),
        (503, None, "", Some("robots_refused")),
        (403, None, "", None),
        (200, None, "<html>no robots", None),
        (429, None, "", Some("rate_limited")),
        (301, None, "", None),
    ] {
        let (page, _) = home(|s| {
            s.answer_with(status, &location.map(|l| ("location", l)).into_iter().collect::<Vec<_>>(), body);
            s.answer_with(200, &[HTML], "<title>Acme</title>");
        })
        .await;
        match (page.map_err(Miss::into_answer), wanted) {
            (Ok(_), None) => {}
            (Err(Answer::Failed { code, .. }), Some(wanted)) => assert_eq!(code, wanted),
            other => panic!("{status}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn other_addresses_are_tried_only_where_none_answers() {
    let (page, urls) = home(|s| {
        s.fail(HttpError::Tls("expired".to_owned()));
        s.fail(HttpError::Connect("refused".to_owned()));
        s.answer(404, "");
        s.answer_with(200, &[HTML], "<p>");
    })
    .await;
    assert_eq!(page.unwrap().url.as_str(), "http://acme.example/");
    assert_eq!(
        urls[..3],
        ["https://acme.example/robots.txt", "https://www.acme.example/robots.txt", "http://acme.example/robots.txt"]
    );
    let (page, urls) = home(|s| {
        s.answer(404, "");
        s.answer(404, "");
    })
    .await;
    assert_eq!((page.unwrap_err(), urls.len()), (Miss::Nothing, 2));
}

#[tokio::test]
async fn no_such_name_is_not_found_and_silence_is_not() {
    let names = |s: &Script| (0..4).for_each(|_| s.fail(dns()));
    let (page, _) = home(names).await;
    assert_eq!(page.unwrap_err(), Miss::Nothing);
    let (page, _) = home(|s| {
        names(s);
        s.name("acme.example", DnsKind::A, Err(DnsFailure::Unanswered("servfail".to_owned())));
    })
    .await;
    assert_eq!(page.unwrap_err(), Miss::Unreachable(dns()));
    let (page, _) = home(|s| {
        names(s);
        s.name("www.acme.example", DnsKind::A, Ok(vec![DnsRecord::Address([192, 0, 2, 1].into())]));
    })
    .await;
    assert_eq!(page.unwrap_err(), Miss::Unreachable(dns()));
}

#[tokio::test]
async fn a_site_that_asks_for_a_moment_gets_it_once() {
    let (page, urls) = home(|s| {
        s.answer(404, "");
        s.answer_with(429, &[("retry-after", "2")], "");
        s.answer_with(200, &[HTML], "<p>");
    })
    .await;
    assert!(page.is_ok() && urls.len() == 3);
    for wait in ["2", "600"] {
        let (page, urls) = home(|s| {
            s.answer(404, "");
            s.answer_with(503, &[("retry-after", wait)], "");
            s.answer_with(503, &[("retry-after", wait)], "");
        })
        .await;
        let Err(Miss::Failed { code, detail }) = page else { panic!("{page:?}") };
        assert_eq!((code, detail.as_str()), ("rate_limited", "the site answered HTTP 503"));
        assert_eq!(urls.len(), if wait == "2" { 3 } else { 2 });
    }
}

#[tokio::test]
async fn redirects_end() {
    let (page, urls) = home(|s| {
        s.answer(404, "");
        (0..4).for_each(|_| s.answer_with(301, &[("location", "/again")], ""));
    })
    .await;
    let Err(Miss::Failed { code, detail }) = page else { panic!("{page:?}") };
    assert_eq!((code, detail.as_str()), ("provider_error", "the site redirects more than 3 times"));
    assert_eq!(urls.len(), 5);
    let (page, _) = home(|s| {
        s.answer(404, "");
        s.answer_with(301, &[("location", "https://inside.example/")], "");
        s.fail(HttpError::Blocked);
    })
    .await;
    let Err(Miss::Failed { detail, .. }) = page else { panic!("{page:?}") };
    assert_eq!(detail, "the site redirects to an address that is not allowed: private or local");
    let (page, _) = home(|s| {
        s.answer(404, "");
        s.answer_with(301, &[("location", "javascript:alert(1)")], "");
    })
    .await;
    assert!(matches!(page, Err(Miss::Failed { code: "provider_error", .. })), "{page:?}");
}
