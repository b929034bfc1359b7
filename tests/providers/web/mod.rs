//! The providers that read web sites, with the real sender, guard, TLS and resolver: sites of all
//! sorts on loopback.

mod corpus;
mod internet;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use shared::catalog::Config;
use shared::domain::record::{Outcome, OutcomeStatus};
use shared::ports::{DnsKind, DnsRecord};
use shared::providers::kinds::READERS;
use shared::providers::waterfall::{Request, WaterfallOutcome};
use shared::providers::{Answer, Provider, Question, Registry, build};
use testkit::servers::Reply;

use self::internet::{Internet, Page};

/// The limit of a test: only a failing one waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

const PROVIDERS: &str = r#"
[types.t]
inputs = [["domain"]]
waterfall = ["site"]
[providers.site]
kind = "site"
user_agent = "Acme-Bot/1.0 (+https://acme.example/bot)"
[providers.other]
kind = "site"
[providers.impatient]
kind = "site"
timeout_s = 1
[providers.impatient-signals]
kind = "signals"
timeout_s = 8
[providers.impatient-finder]
kind = "domain_finder"
tlds = ["com", "de"]
timeout_s = 8
[providers.signals]
kind = "signals"
[providers.tech]
kind = "tech"
rules = "data/technologies.json"
"#;

fn infra() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra")
}

fn provider(name: &str) -> Arc<dyn Provider> {
    let config = Config::parse(READERS, "providers.toml", PROVIDERS).unwrap();
    let provider = config.providers.iter().find(|p| p.name == name).unwrap();
    build(provider, &infra(), &|_| None).unwrap()
}

async fn ask(net: &Internet, name: &str, domain: &str) -> Answer {
    let Value::Object(input) = json!({ "domain": domain }) else {
        panic!()
    };
    let question = Question {
        input: &input,
        limit: PATIENCE,
        key: "record",
        callback: None,
        earlier: None,
        last: true,
        wait: shared::catalog::DEFAULT_WAIT,
    };
    provider(name).ask(&question, &net.ports).await
}

/// Asks as a waterfall does: within the provider's time-out; a later answer is lost.
async fn ask_in_time(net: &Internet, name: &str, input: Value) -> Answer {
    let Value::Object(input) = input else {
        panic!()
    };
    let limit = Duration::from_secs(8);
    let question = Question {
        input: &input,
        limit,
        key: "record",
        callback: None,
        earlier: None,
        last: true,
        wait: shared::catalog::DEFAULT_WAIT,
    };
    let answer = tokio::time::timeout(limit, async {
        provider(name).ask(&question, &net.ports).await
    })
    .await;
    answer.expect("what was found is lost")
}

fn fields(answer: Answer) -> Value {
    let Answer::Found { fields, .. } = answer else {
        panic!("{answer:?}")
    };
    Value::Object(fields)
}

fn failed(answer: Answer) -> (String, String) {
    let Answer::Failed { code, detail } = answer else {
        panic!("{answer:?}")
    };
    (code.as_str().to_owned(), detail)
}

/// Runs the shipped configuration.
async fn run(net: &Internet, kind: &str, input: Value) -> Outcome {
    let registry = Registry::load(&infra(), &|_| None).unwrap();
    let Value::Object(input) = input else {
        panic!()
    };
    let request = Request {
        input: &input,
        limit: PATIENCE,
        order: None,
        key: "record",
        callback: None,
        cache: None,
    };
    match registry
        .waterfall(kind)
        .unwrap()
        .run(&request, None, &net.ports)
        .await
    {
        WaterfallOutcome::Done(outcome) => outcome,
        WaterfallOutcome::Suspended(suspended) => panic!("{suspended:?}"),
    }
}

fn source<'o>(outcome: &'o Outcome, field: &str) -> (&'o str, f64) {
    let (_, source) = outcome
        .sources
        .iter()
        .find(|(name, _)| name == field)
        .unwrap_or_else(|| panic!("{field}"));
    (&source.provider, source.confidence.unwrap_or(-1.0))
}

const ACME: &str = r#"<html lang=de><head><title>Willkommen | Acme</title><meta charset=iso-8859-1>
<script type="application/ld+json">{"@context":"https://schema.org","@type":"Corporation","name":"Acme","legalName":"Acme M~ller GmbH",
 "url":"https://acme.test/","logo":"/logo.svg","sameAs":["https://www.linkedin.com/company/acme"]}</script>
<body><p>Ambosse<div><a href=/kontakt>Kontakt<a href="mailto:hallo@acme.test">Mail</b></table>"#;

/// Acme's page at another domain, in Latin-1: the umlaut is one byte.
fn latin1(domain: &str) -> Vec<u8> {
    ACME.replace("acme.test", domain)
        .bytes()
        .map(|b| if b == b'~' { 0xfc } else { b })
        .collect()
}

#[tokio::test]
async fn a_company_profile_merges_the_table_and_the_site_with_a_source_for_each_field() {
    // It claims to be UTF-8, which it is not.
    let net = Internet::start(&["spotify.com", "www.spotify.com"], |host, path| {
        match (host, path) {
            ("spotify.com", "/robots.txt") => Page::redirect("https://www.spotify.com/robots.txt"),
            (_, "/robots.txt") => Page::text("User-agent: *\nDisallow: /private"),
            ("spotify.com", "/") => Page::redirect("https://www.spotify.com/"),
            _ => Page::html_as("text/html; charset=utf-8", latin1("spotify.com")),
        }
    })
    .await;
    let outcome = run(&net, "company-profile", json!({"domain": "spotify.com"})).await;
    assert_eq!(outcome.status, OutcomeStatus::Found, "{outcome:?}");
    assert_eq!(
        (
            &outcome.data["company_name"],
            source(&outcome, "company_name")
        ),
        (&json!("Spotify"), ("brands", 0.9))
    );
    assert_eq!(
        (&outcome.data["legal_name"], source(&outcome, "legal_name")),
        (&json!("Acme M\u{fc}ller GmbH"), ("site", 0.95))
    );
    assert_eq!(source(&outcome, "brand_color").0, "brands");
    assert_eq!(
        (&outcome.data["emails"], source(&outcome, "emails")),
        (&json!(["hallo@spotify.com"]), ("site", 0.7))
    );
    assert_eq!(
        outcome.data["social_profiles"],
        json!({"linkedin": "https://www.linkedin.com/company/acme"})
    );
    assert_eq!(
        (&outcome.data["language"], &outcome.data["url"]),
        (&json!("de"), &json!("https://www.spotify.com/"))
    );
    assert_eq!(outcome.credits, 2);
}

#[tokio::test]
async fn robots_txt_is_asked_first_by_our_name_and_obeyed() {
    let net = Internet::start(&["acme.test"], |_, path| match path {
        "/robots.txt" => Page::text("User-agent: acme-bot\nDisallow: /\n\nUser-agent: *\nAllow: /"),
        _ => Page::html(latin1("acme.test")),
    })
    .await;
    let (code, detail) = failed(ask(&net, "site", "acme.test").await);
    assert_eq!(
        (code.as_str(), detail.contains("acme.test")),
        ("robots_refused", true),
        "{detail}"
    );
    let got = net.got();
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(
        got[0].contains("GET /robots.txt")
            && got[0].contains("Acme-Bot/1.0 (+https://acme.example/bot)"),
        "{got:?}"
    );
    // Another name is allowed.
    assert_eq!(
        fields(ask(&net, "other", "acme.test").await)["company_name"],
        "Acme"
    );
}

#[tokio::test]
async fn bodies_without_end_are_cut_and_read() {
    // Packed once, before any request: packing takes longer than a site may.
    let packed = |head: &[u8], filler: u8, megabytes: u64, tail: &[u8]| {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(head).unwrap();
        std::io::copy(
            &mut std::io::repeat(filler).take(megabytes << 20),
            &mut bomb,
        )
        .unwrap();
        bomb.write_all(tail).unwrap();
        let packed = bomb.finish().unwrap();
        assert!(packed.len() < 2 << 20, "{}", packed.len());
        packed
    };
    let robots = packed(
        b"User-agent: *\nDisallow: /no\n",
        b'#',
        64,
        b"\nDisallow: /\n",
    );
    let page = packed(
        b"<title>Bomb</title>",
        b' ',
        256,
        b"<meta property=og:site_name content=Beyond>",
    );
    let net = Internet::start(
        &["bomb.test", "endless.test", "robots-bomb.test"],
        move |host, path| match (host, path) {
            ("robots-bomb.test", "/robots.txt") => {
                Page::html(robots.clone()).header("content-encoding", "gzip")
            }
            (_, "/robots.txt") => Page::status(404),
            ("bomb.test", _) => Page::html(page.clone()).header("content-encoding", "gzip"),
            ("endless.test", _) => Page::endless(Page::html(b"<title>Endless</title>".to_vec())),
            _ => Page::html(b"<title>Robots bomb</title>".to_vec()),
        },
    )
    .await;
    for (domain, title) in [
        ("bomb.test", "Bomb"),
        ("endless.test", "Endless"),
        ("robots-bomb.test", "Robots bomb"),
    ] {
        let found = fields(ask(&net, "site", domain).await);
        assert_eq!(found["title"], title);
        assert!(
            !found.to_string().contains("Beyond"),
            "what is behind the bound was read: {found}"
        );
    }
}

#[tokio::test]
async fn slow_and_silent_sites_end_at_the_time_out() {
    let net = Internet::start(
        &["drip.test", "silent.test", "robots-drip.test"],
        |host, path| match (host, path) {
            ("robots-drip.test", "/robots.txt") => Page::dripping(Page::text("User-agent: *\n")),
            (_, "/robots.txt") => Page::status(404),
            ("drip.test", _) => Page::dripping(Page::html(b"<title>Drip</title>".to_vec())),
            _ => Page::silence(),
        },
    )
    .await;
    for domain in ["drip.test", "silent.test", "robots-drip.test"] {
        let (code, detail) = failed(ask(&net, "impatient", domain).await);
        assert_eq!(
            (code.as_str(), detail.as_str()),
            ("provider_timeout", "the site did not answer in time")
        );
    }
}

#[tokio::test]
async fn redirects_end_and_lead_nowhere_inside() {
    let hosts = [
        "loop.test",
        "literal.test",
        "inside.test",
        "named.test",
        "far.test",
        "new.test",
        "metadata.test",
    ];
    let net = Internet::start(&hosts, |host, path| match (host, path) {
        (_, "/robots.txt") => Page::status(404),
        ("loop.test", _) => Page::redirect("https://loop.test/"),
        ("literal.test", _) => Page::redirect("https://10.0.0.7/"),
        ("metadata.test", _) => Page::redirect("https://169.254.169.254/latest/meta-data/"),
        // The name resolves to a private address.
        ("named.test", _) => Page::redirect("https://private.test/"),
        ("far.test", _) => Page::redirect("https://new.test/home"),
        _ => Page::html(b"<title>New</title>".to_vec()),
    })
    .await;
    let (code, detail) = failed(ask(&net, "site", "loop.test").await);
    assert_eq!(
        (code.as_str(), detail.as_str()),
        ("provider_error", "the site redirects more than 3 times")
    );
    for domain in ["literal.test", "named.test", "metadata.test"] {
        let (code, detail) = failed(ask(&net, "site", domain).await);
        let wanted = "the site redirects to an address that is not allowed: private or local";
        assert_eq!(
            (code.as_str(), detail.as_str()),
            ("provider_error", wanted),
            "{domain}"
        );
    }
    let (_, detail) = failed(ask(&net, "site", "private.test").await);
    assert_eq!(
        detail,
        "the site is at an address that is not allowed: private or local"
    );
    let found = fields(ask(&net, "site", "far.test").await);
    assert_eq!(
        (&found["domain"], &found["redirected_from"]),
        (&json!("new.test"), &json!("far.test"))
    );
}

/// A page as gzip, under any name of the coding.
fn packed_as(coding: &str, html: &str) -> Reply {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(html.as_bytes()).unwrap();
    Page::html(packed.finish().unwrap()).header("content-encoding", coding)
}

#[tokio::test]
async fn pages_come_as_browsers_get_them() {
    let hosts = [
        "www.apex.test",
        "apex.test",
        "meta.test",
        "twice.test",
        "www.nhs.uk",
        "x.test",
        "upper.test",
        "br.test",
    ];
    let hosts = [&hosts[..], &["inward.test", "jis.test"]].concat();
    let net = Internet::start(&hosts, |host, path| match (host, path) {
        (_, "/robots.txt") | ("apex.test", _) => Page::status(404),
        ("www.apex.test", _) => Page::html(b"<title>Apex</title>".to_vec()),
        ("meta.test", "/") => {
            Page::html(b"<meta http-equiv=refresh content='0; url=/home'>".to_vec())
        }
        ("meta.test", _) => Page::html(b"<title>Meta</title>".to_vec()),
        ("inward.test", _) => {
            Page::html(b"<meta http-equiv=refresh content='0;url=https://private.test/'>".to_vec())
        }
        ("twice.test", _) => {
            Page::html_as("text/html, text/html", b"<title>Twice</title>".to_vec())
        }
        ("jis.test", _) => Page::html_as(
            "text/html; charset=iso-2022-jp",
            b"<title>\x1b$B%F\x1b(B</title>".to_vec(),
        ),
        ("x.test", _) => packed_as("x-gzip", "<title>X</title>"),
        ("upper.test", _) => packed_as("GZIP", "<title>Upper</title>"),
        ("br.test", _) => packed_as("br", "<title>Br</title>"),
        _ => Page::html(b"<title>NHS</title>".to_vec()),
    })
    .await;
    for (domain, title, url) in [
        ("apex.test", "Apex", "https://www.apex.test/"),
        ("meta.test", "Meta", "https://meta.test/home"),
        ("twice.test", "Twice", "https://twice.test/"),
        ("jis.test", "\u{30c6}", "https://jis.test/"),
        ("x.test", "X", "https://x.test/"),
        ("upper.test", "Upper", "https://upper.test/"),
        ("nhs.uk", "NHS", "https://www.nhs.uk/"),
    ] {
        let found = fields(ask(&net, "site", domain).await);
        assert_eq!(
            (&found["title"], &found["url"]),
            (&json!(title), &json!(url)),
            "{domain}"
        );
        assert_eq!(
            (&found["domain"], found.get("redirected_from")),
            (&json!(domain), None),
            "{domain}"
        );
    }
    let (code, detail) = failed(ask(&net, "site", "br.test").await);
    assert_eq!(
        (code.as_str(), detail.contains("\"br\"")),
        ("provider_error", true),
        "{detail}"
    );
    let (code, detail) = failed(ask(&net, "site", "inward.test").await);
    assert_eq!(
        (code.as_str(), detail.contains("private or local")),
        ("provider_error", true),
        "{detail}"
    );
}

#[tokio::test]
async fn what_is_not_found_and_what_failed() {
    let hosts = [
        "gone.test",
        "pdf.test",
        "parked.test",
        "new.test",
        "empty.test",
        "busy.test",
        "broken.test",
        "closed.test",
    ];
    let net = Internet::start(&hosts, |host, path| match (host, path) {
        (_, "/robots.txt") | ("gone.test", _) => Page::status(404),
        ("pdf.test", _) => Page::html_as("application/pdf", b"<title>no</title>".to_vec()),
        ("parked.test", _) => {
            Page::html(b"<title>parked.test</title><p>This domain is for sale!".to_vec())
        }
        ("new.test", _) => {
            Page::html(b"<title>Welcome to nginx!</title><h1>Welcome to nginx!</h1>".to_vec())
        }
        ("empty.test", _) => Page::html(Vec::new()),
        ("busy.test", _) => Page::status(429).header("retry-after", "3600"),
        ("closed.test", _) => Page::status(403),
        _ => Page::status(500),
    })
    .await;
    for domain in [
        "gone.test",
        "pdf.test",
        "parked.test",
        "new.test",
        "empty.test",
        "no-such-name.test",
    ] {
        assert_eq!(
            ask(&net, "site", domain).await,
            Answer::NotFound,
            "{domain}"
        );
    }
    for (domain, code, detail) in [
        ("busy.test", "rate_limited", "the site answered HTTP 429"),
        (
            "broken.test",
            "provider_error",
            "the site answered HTTP 500",
        ),
        (
            "closed.test",
            "provider_error",
            "the site answered HTTP 403; it does not let programs in",
        ),
        // The name exists; the certificate is another host's.
        (
            "stranger.test",
            "provider_error",
            "the site cannot be reached (tls)",
        ),
    ] {
        assert_eq!(
            failed(ask(&net, "site", domain).await),
            (code.to_owned(), detail.to_owned())
        );
    }
    assert!(matches!(
        ask(&net, "site", "not a domain").await,
        Answer::Invalid(_)
    ));
    assert_eq!(
        net.got()
            .iter()
            .filter(|r| r.contains("busy.test") && r.contains("GET / "))
            .count(),
        1,
        "no storm"
    );
}

#[tokio::test]
async fn plain_http_is_used_only_where_the_operator_allows_it() {
    let serve = |_: &str, path: &str| {
        if path == "/" {
            Page::html(latin1("acme.test"))
        } else {
            Page::status(404)
        }
    };
    let net = Internet::plain(&["acme.test"], true, serve).await;
    assert_eq!(
        fields(ask(&net, "site", "acme.test").await)["url"],
        "http://acme.test/"
    );
    let net = Internet::plain(&["acme.test"], false, serve).await;
    assert_eq!(
        failed(ask(&net, "site", "acme.test").await).0,
        "provider_error"
    );
    assert!(
        net.got().iter().all(|r| !r.contains("http://")),
        "{:?}",
        net.got()
    );
}

#[tokio::test]
async fn technologies_by_page_and_by_dns() {
    let net = Internet::start(
        &["acme.test", "www.acme.test", "shy.test", "down.test"],
        |host, path| match (host, path) {
            ("shy.test", "/robots.txt") => Page::text("User-agent: *\nDisallow: /"),
            (_, "/robots.txt") => Page::status(404),
            ("down.test", _) => Page::status(503),
            _ => Page::html(
                b"<meta name=generator content='WordPress 6.4'>\
                    <script src=/wp-includes/js/jquery.js>"
                    .to_vec(),
            )
            .header("server", "nginx/1.25.3")
            .header("set-cookie", "PHPSESSID=secret; path=/"),
        },
    )
    .await;
    let mx = || {
        Ok(vec![DnsRecord::Mx {
            preference: 1,
            exchange: "aspmx.l.google.com".to_owned(),
        }])
    };
    net.record("acme.test", DnsKind::Mx, mx());
    net.record("shy.test", DnsKind::Mx, mx());
    let outcome = run(&net, "tech", json!({"domain": "https://www.acme.test/x"})).await;
    assert_eq!(source(&outcome, "technologies"), ("tech", 0.8));
    let all = outcome.data["technologies"].as_array().unwrap();
    let named = |name: &str| {
        all.iter()
            .find(|t| t["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {all:?}"))
    };
    assert_eq!(
        named("WordPress"),
        &json!({"name": "WordPress", "categories": ["CMS", "Blogs"], "version": "6.4",
            "confidence": 1.0, "evidence": ["meta generator", "html",
                "script https://acme.test/wp-includes/js/jquery.js"]})
    );
    assert_eq!(
        (&named("Nginx")["version"], &named("PHP")["evidence"]),
        (&json!("1.25.3"), &json!(["cookie PHPSESSID"]))
    );
    assert_eq!(named("Google Workspace")["evidence"], json!(["dns MX"]));
    assert!(
        !outcome.data["technologies"].to_string().contains("secret"),
        "no cookie's value is shown"
    );

    let refused = fields(ask(&net, "tech", "shy.test").await);
    assert_eq!(
        refused["technologies"].as_array().unwrap().len(),
        1,
        "the DNS alone: {refused}"
    );
    assert_eq!(
        failed(ask(&net, "tech", "down.test").await).0,
        "provider_error"
    );
    assert_eq!(
        ask(&net, "tech", "no-such-name.test").await,
        Answer::NotFound
    );
}

#[tokio::test]
async fn a_domain_is_found_by_its_name() {
    let net = Internet::start(
        &["quuxwerk.com", "quuxwerk.io", "quuxwerk.de"],
        |host, path| match (host, path) {
            (_, "/robots.txt") => Page::status(404),
            ("quuxwerk.com", _) => {
                Page::html(b"<title>quuxwerk.com</title><p>Buy this domain".to_vec())
            }
            ("quuxwerk.io", _) => Page::html(b"<title>A library</title>".to_vec()),
            _ => Page::html(
                b"<title>Start</title><meta property=og:site_name content='QUUXWERK GmbH'>"
                    .to_vec(),
            ),
        },
    )
    .await;
    let outcome = run(&net, "domain", json!({"company_name": "Quuxwerk GmbH"})).await;
    assert_eq!(outcome.data["domain"], "quuxwerk.de", "{outcome:?}");
    assert_eq!(source(&outcome, "domain"), ("domain-finder", 0.8));
    let outcome = run(
        &net,
        "domain",
        json!({"company_name": "Nobody Knows It Ltd"}),
    )
    .await;
    assert_eq!(
        (outcome.status, outcome.error),
        (OutcomeStatus::NotFound, None)
    );
    // The table knows it, and no site is asked.
    let before = net.got().len();
    assert_eq!(
        source(
            &run(&net, "domain", json!({"company_name": "Spotify"})).await,
            "domain"
        )
        .0,
        "brand-names"
    );
    assert_eq!(net.got().len(), before);
}

#[tokio::test]
async fn news_by_feed_and_positions_by_careers_page() {
    let net = Internet::start(&["acme.test", "quiet.test"], |host, path| {
        match (host, path) {
            (_, "/robots.txt") => Page::text("User-agent: *\nDisallow: /private"),
            ("quiet.test", _) => Page::html(b"<title>Quiet</title>".to_vec()),
            (_, "/news.atom") => Page::html_as(
                "application/octet-stream",
                b"<?xml version='1.0' encoding='iso-8859-1'?><feed><entry>\
                <title>M\xfcller joins</title><link href='/n/1'/></entry></feed>"
                    .to_vec(),
            ),
            (_, "/jobs") => Page::html(
                b"<script type='application/ld+json'>\
                {\"@type\":\"JobPosting\",\"title\":\"Smith\"}</script>"
                    .to_vec(),
            ),
            _ => Page::html(
                b"<link rel=alternate type=application/atom+xml href=/news.atom>\
                <a href=/jobs>Jobs</a>"
                    .to_vec(),
            ),
        }
    })
    .await;
    let outcome = run(&net, "signals", json!({"domain": "acme.test"})).await;
    assert_eq!(
        outcome.data["signals"],
        json!([
            {"kind": "news", "title": "M\u{fc}ller joins", "url": "https://acme.test/n/1",
                "source": "https://acme.test/news.atom"},
            {"kind": "hiring", "title": "Smith", "source": "https://acme.test/jobs"}
        ])
    );
    assert_eq!(
        (&outcome.data["open_positions"], source(&outcome, "signals")),
        (&json!(1), ("signals", 0.8))
    );
    assert_eq!(ask(&net, "signals", "quiet.test").await, Answer::NotFound);
    let outcome = run(&net, "signals", json!({"company_name": "Acme"})).await;
    let reported = outcome.error.map(|error| error.code);
    assert_eq!(
        (outcome.status, reported.as_deref()),
        (OutcomeStatus::Failed, Some("provider_input"))
    );
}

#[tokio::test]
async fn what_was_found_is_not_lost_to_a_page_that_never_comes() {
    let hosts = ["acme.test", "mute.test", "quuxwerk.com", "quuxwerk.de"];
    let net = Internet::start(&hosts, |host, path| match (host, path) {
        (_, "/robots.txt") => Page::status(404),
        ("quuxwerk.com", _) => Page::html(b"<title>All about Quuxwerk and more</title>".to_vec()),
        ("quuxwerk.de", _) | (_, "/feed") | ("mute.test", "/jobs") => Page::silence(),
        (_, "/jobs") => Page::html(
            b"<script type='application/ld+json'>\
                {\"@type\":\"JobPosting\",\"title\":\"Smith\"}</script>"
                .to_vec(),
        ),
        _ => Page::html(
            b"<link rel=alternate type=application/rss+xml href=/feed><a href=/jobs>Jobs</a>"
                .to_vec(),
        ),
    })
    .await;
    let (acme, mute, found) = tokio::join!(
        ask_in_time(&net, "impatient-signals", json!({"domain": "acme.test"})),
        ask_in_time(&net, "impatient-signals", json!({"domain": "mute.test"})),
        ask_in_time(
            &net,
            "impatient-finder",
            json!({"company_name": "Quuxwerk"})
        ),
    );
    let (acme, mute, found) = (fields(acme), fields(mute), fields(found));
    assert_eq!(
        acme["open_positions"], 1,
        "the feed leaves time for the positions: {acme}"
    );
    assert_eq!(mute, json!({"careers_url": "https://mute.test/jobs"}));
    assert_eq!(found["domain"], "quuxwerk.com");
}
