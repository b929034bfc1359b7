use std::time::Duration;

use serde_json::json;

use super::*;
use crate::catalog::Config;
use crate::domain::record::FailureCode;
use crate::ports::DnsRecord;
use crate::providers::kinds::READERS;
use crate::providers::testing::{Script, input, ports, question};

fn finder(more: &str) -> DomainFinder {
    let toml = format!(
        "[types.t]\ninputs = [[\"company_name\"]]\nwaterfall = [\"f\"]\n[providers.f]\n\
         kind = \"domain_finder\"\n{more}\n"
    );
    let config = Config::parse(READERS, "p.toml", &toml).unwrap_or_else(|e| panic!("{e}"));
    let Some(finder) = config.providers[0]
        .kind
        .downcast_ref::<DomainFinderConfig>()
    else {
        panic!()
    };
    DomainFinder::new(finder)
}

async fn find(name: &str, tell: impl FnOnce(&Script)) -> (Answer, usize) {
    let (ports, script) = ports();
    tell(&script);
    let input = input(json!({ "company_name": name }));
    let answer = finder("tlds = [\"com\", \"io\", \"de\"]")
        .ask(&question(&input, Duration::from_secs(20)), &ports)
        .await;
    (answer, script.requests().len())
}

fn exists(script: &Script, domain: &str) {
    script.name(
        domain,
        DnsKind::A,
        Ok(vec![DnsRecord::Address([192, 0, 2, 1].into())]),
    );
}

fn serves(script: &Script, html: &str) {
    script.answer(404, "");
    script.answer_with(200, &[("content-type", "text/html")], html);
}

fn domain(answer: &Answer) -> Option<(&str, f64)> {
    let Answer::Found { fields, confidence } = answer else {
        return None;
    };
    Some((
        fields["domain"].as_str()?,
        confidence.as_ref()?.of("domain")?,
    ))
}

#[test]
fn names_become_likely_domains() {
    let tlds = ["com", "co.uk"].map(str::to_owned);
    for (name, wanted) in [
        (
            "Acme Anvils, Inc.",
            &[
                "acmeanvils.com",
                "acmeanvils.co.uk",
                "acme-anvils.com",
                "acme-anvils.co.uk",
            ][..],
        ),
        (
            "M\u{fc}ller GmbH",
            &["mueller.com", "mueller.co.uk", "muller.com", "muller.co.uk"],
        ),
        ("Acme GmbH & Co. KG", &["acme.com", "acme.co.uk"]),
        ("Nestl\u{e9} S.A.", &["nestle.com", "nestle.co.uk"]),
        (
            "Booking.com",
            &["booking.com", "bookingcom.com", "bookingcom.co.uk"],
        ),
        ("\u{682a}", &["xn--rhqv96g.com", "xn--rhqv96g.co.uk"]),
    ] {
        let found = candidates(name, &tlds);
        if name == "\u{682a}" {
            assert!(
                found.len() == 2 && found.iter().all(|c| c.starts_with("xn--")),
                "{found:?}"
            );
        } else {
            assert_eq!(found, wanted, "{name}");
        }
    }
    assert!(candidates(&"long ".repeat(60), &tlds).is_empty());
}

#[tokio::test]
async fn the_first_page_that_says_the_name_is_it() {
    let (answer, requests) = find("Acme, Inc.", |s| {
        for domain in ["acme.com", "acme.io", "acme.de"] {
            exists(s, domain);
        }
        serves(s, "<title>Acme Tools of another sort and many words</title>");
        serves(s, r#"<script type="application/ld+json">{"@type":"Corporation","legalName":"ACME Inc"}</script>"#);
    })
    .await;
    assert_eq!((domain(&answer), requests), (Some(("acme.io", 0.9)), 4));
}

#[tokio::test]
async fn how_sure_it_is() {
    for (html, wanted) in [
        ("<meta property=og:site_name content=ACME>", Some(0.8)),
        ("<title>Home | Acme Anvils | Acme</title>", Some(0.7)),
        ("<title>Others</title>", None),
        ("<title>Acme is a short word</title>", None),
        ("<title>Acme</title><p>This domain is for sale", None),
    ] {
        let (answer, _) = find("Acme", |s| {
            exists(s, "acme.com");
            serves(s, html);
        })
        .await;
        assert_eq!(
            domain(&answer).map(|(_, sure)| sure),
            wanted,
            "{html}: {answer:?}"
        );
    }
    let (answer, _) = find("Acme", |s| {
        exists(s, "acme.com");
        s.answer(404, "");
        s.answer_with(301, &[("location", "https://anvils.example/")], "");
        serves(s, "<title>Acme</title>");
    })
    .await;
    assert_eq!(domain(&answer), Some(("anvils.example", 0.63)));
}

#[tokio::test]
async fn the_name_is_the_pages_own_and_another_legal_form_makes_it_less_sure() {
    let org = |name: &str| {
        format!(
            r#"<script type="application/ld+json">{{"@type":"Corporation","legalName":"{name}"}}</script>"#
        )
    };
    for (asked, html, name, wanted) in [
        (
            "Forgehammer SARL",
            "<title>Forgehammer Industries</title>".to_owned(),
            Some("Forgehammer Industries"),
            0.5,
        ),
        (
            "Forgehammer SARL",
            "<title>Home | Forgehammer Industries</title>".to_owned(),
            Some("Forgehammer Industries"),
            0.5,
        ),
        (
            "Forgehammer SARL",
            "<meta property=og:site_name content='Forgehammer Industries'>\
             <title>All the news of Forgehammer today</title>"
                .to_owned(),
            Some("Forgehammer Industries"),
            0.5,
        ),
        (
            "Forgehammer SARL",
            "<title>How you can buy all anvils that Forgehammer has ever made</title>".to_owned(),
            Some("Forgehammer"),
            0.5,
        ),
        ("Hammer Inc.", org("Hammer GmbH"), Some("Hammer GmbH"), 0.6),
        (
            "Hammer Inc.",
            format!(
                "<meta property=og:site_name content=Hammer>{}",
                org("Hammer GmbH")
            ),
            Some("Hammer GmbH"),
            0.6,
        ),
        (
            "Hammer Inc.",
            format!("<title>Hammer Inc.</title>{}", org("Hammer GmbH")),
            Some("Hammer GmbH"),
            0.9,
        ),
        (
            "Hammer Inc.",
            org("Hammer Incorporated"),
            Some("Hammer Incorporated"),
            0.9,
        ),
        ("Hammer", org("Hammer GmbH"), Some("Hammer GmbH"), 0.9),
        ("Hammer Inc.", org("Hammer"), Some("Hammer"), 0.9),
    ] {
        let at = if asked.starts_with('F') {
            "forgehammer.com"
        } else {
            "hammer.com"
        };
        let (answer, _) = find(asked, |s| {
            exists(s, at);
            serves(s, &html);
        })
        .await;
        assert_eq!(domain(&answer), Some((at, wanted)), "{asked} {html}");
        let Answer::Found { fields, .. } = &answer else {
            panic!("{answer:?}")
        };
        assert_eq!(
            fields.get("company_name").and_then(Value::as_str),
            name,
            "{asked} {html}"
        );
    }
}

#[tokio::test]
async fn nothing_is_asked_of_domains_that_do_not_exist() {
    assert_eq!(find("Acme", |_| ()).await, (Answer::NotFound, 0));
    let unanswered = |s: &Script| {
        s.name(
            "acme.com",
            DnsKind::A,
            Err(DnsFailure::Unanswered("servfail".to_owned())),
        );
    };
    let (answer, _) = find("Acme", unanswered).await;
    assert!(
        matches!(
            answer,
            Answer::Failed {
                code: FailureCode::ProviderError,
                ..
            }
        ),
        "{answer:?}"
    );
    for wrong in ["", "!!"] {
        assert!(matches!(find(wrong, |_| ()).await.0, Answer::Invalid(_)));
    }
}

#[tokio::test]
async fn a_site_that_fails_does_not_hide_another() {
    let (answer, _) = find("Acme", |s| {
        exists(s, "acme.com");
        exists(s, "acme.io");
        s.answer(200, "User-agent: *\nDisallow: /");
        serves(s, "<title>Acme</title>");
    })
    .await;
    assert_eq!(domain(&answer), Some(("acme.io", 0.7)));
    let (answer, _) = find("Acme", |s| {
        exists(s, "acme.com");
        s.answer(200, "User-agent: *\nDisallow: /");
    })
    .await;
    assert!(
        matches!(
            answer,
            Answer::Failed {
                code: FailureCode::RobotsRefused,
                ..
            }
        ),
        "{answer:?}"
    );
}
