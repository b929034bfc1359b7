//! Malformed pages, feeds, robots.txt and phone numbers, as hostile or broken sites send them: none
//! makes a reader panic or hang.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use url::Url;

use super::html::Document;
use super::robots::Robots;
use super::tech::reads;
use super::{charset, feed, links, parked, profile};
use crate::catalog::Config;
use crate::providers::kinds::READERS;
use crate::providers::kinds::phone::Phone;
use crate::providers::kinds::phone::config::PhoneConfig;
use crate::providers::testing::{input, ports, question, timed};
use crate::providers::{Answer, Provider};

const PAGE: &str = r##"<!doctype html><html lang="de_DE"><head><meta charset="utf-8"><base href="/de/"><title>Start | Acme M&uuml;ller</title>
<meta property="og:site_name" content="Acme"><meta name="description" content="Ambosse &amp; mehr"><meta name=generator content='WordPress 6.4.1'>
<link rel="alternate" type="application/rss+xml" href="/feed"><link rel=icon href=//cdn.acme.example/i.png><svg><title>x</title></svg>
<script type="application/ld+json">{"@context":"https://schema.org","@graph":[{"@type":"WebSite","publisher":{"@id":"#o"}},
{"@type":["Corporation","Brand"],"@id":"#o","name":"Acme","url":"https://acme.example/","logo":{"@id":"#l"},"foundingDate":"1920-05-01",
"numberOfEmployees":{"minValue":51,"maxValue":"200"},"telephone":["+49 30 123456"],"contactPoint":{"email":"mailto:a@acme.example"},
"address":{"streetAddress":"Weg 1","addressCountry":{"name":"DE"}},"sameAs":["https://x.com/acme"]},
{"@type":"ImageObject","@id":"#l","url":"/l.svg"},{"@type":"JobPosting","title":"Schmied","datePosted":"2026-01-01"}]}</script>
<script src="/wp-includes/js/jquery.js?ver=3.7.1"></script><script>window.dataLayer = [];</script></head><body><p>Guten Tag, Ä
<a href="https://www.linkedin.com/company/acme">L</a><a href=jobs.html>Jobs</a><a href="mailto:hallo%40acme.example">M</a>
<a href="tel:+49%2030%20123456">T</a><a href='//xn--mller-kva.example:8443/kontakt#x'>Kontakt</a><!-- c --><textarea><a href=/no></textarea>"##;

const FEED: &str = "<?xml version='1.0' encoding='utf-8'?><!DOCTYPE rss [<!ENTITY x 'y'>]><rss>\
<channel><item><title><![CDATA[A <b>b</b> &amp; c]]></title>\
<link>https://acme.example/?a=1&amp;b=2</link>\
<pubDate>Tue, 06 Jan 2026 10:00:00 +0100</pubDate></item><entry>\
<title type='html'>Ä &lt;i&gt; &#8211; &x;</title>\
<link rel='alternate' href='../one'/><updated>2026-01-03T00:00:00Z</updated>\
<dc:date>2026-01-05</dc:date></entry></channel></rss>";

const ROBOTS: &str = "\u{feff}# all\nUser-agent: Millrace\nUser-agent: *\nDisallow: /a%C3%A4*b$\n\
                      Allow: /*.html$\r\nCrawl-delay: 10\nSitemap: https://acme.example/s.xml\n";

const PHONE: &str = "tel:+49 (0)30 123456;ext=12;phone-context=+49";

/// Bytes in a text's place or behind it.
const ODD: [&[u8]; 22] = [
    b"",
    b"\0",
    b"<",
    b">",
    b"\"",
    b"'",
    b"&",
    b"&#x110000;",
    b"{",
    b"[",
    b"]]>",
    b"<!--",
    b"\\",
    b"\\ud800",
    b"%",
    b"%ff",
    b"*",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    "\u{10ffff}\u{202e}".as_bytes(),
    b"9999999999999999999999999e999",
];

/// Every malformed version: cut at every place, or there a byte changed, an odd piece put in, or a
/// part repeated many times.
fn malformed(text: &str) -> impl Iterator<Item = Vec<u8>> {
    let text = text.as_bytes();
    (0..text.len()).flat_map(move |at| {
        let (head, tail) = text.split_at(at);
        let odd = ODD[at % ODD.len()];
        let part = &tail[..tail.len().min(1 + at % 40)];
        let changed = [head, &[tail[0] ^ (1 << (at % 8))], &tail[1..]].concat();
        let mut versions = vec![head.to_vec(), [head, odd, tail].concat(), changed];
        // Long inputs take long.
        if at % 41 == 0 {
            versions.push([head, &part.repeat(2_000), tail].concat());
            versions.push([head, &odd.repeat(2_000), tail].concat());
        }
        versions
    })
}

fn ends(bytes: &[u8], read: impl FnOnce()) {
    let ((), took) = timed(read);
    assert!(
        took < Duration::from_secs(20),
        "{took:?}: {}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(10_000)])
    );
}

#[test]
fn bent_pages_are_read_to_their_end() {
    let url = Url::parse("https://www.acme.example/").unwrap();
    let detect = reads();
    let whole = Document::read(PAGE);
    let read = profile::profile("acme.example", &url, &whole, 2026);
    assert_eq!(
        (&read.fields["company_name"], read.fields.len() > 12),
        (&json!("Acme"), true),
        "{read:?}"
    );
    assert!(detect(&url, PAGE) > 1);
    for (n, bytes) in malformed(PAGE).enumerate() {
        ends(&bytes, || {
            let text = charset::decode(&bytes, (n % 2 == 0).then_some("text/html"));
            let page = Document::read(&text);
            parked::is_placeholder(&url, &page);
            profile::profile("acme.example", &url, &page, 2026);
            links::PageLinks::read(&links::base(&url, &page), &page);
            // The rules are slow to match in a build for tests.
            if n % 29 == 0 {
                detect(&url, &text);
            }
        });
    }
}

#[test]
fn bent_feeds_and_rules_for_robots_are_read_to_their_end() {
    let url = Url::parse("https://acme.example/blog/feed.xml").unwrap();
    assert_eq!(feed::entries(FEED, &url).len(), 2);
    for bytes in malformed(FEED) {
        ends(&bytes, || {
            feed::entries(&charset::decode(&bytes, None), &url);
        });
    }
    assert!(!Robots::parse(ROBOTS, "Millrace").allow("/a\u{e4}/b"));
    for bytes in malformed(ROBOTS) {
        ends(&bytes, || {
            let robots = Robots::parse(&String::from_utf8_lossy(&bytes), "Millrace");
            for path in ["/", "/a%c3%a4/b", "/x.html", "/%", &"/a%C3%A4".repeat(500)] {
                robots.allow(path);
            }
        });
    }
}

#[test]
fn bent_phone_numbers_are_answered() {
    let toml = "[types.t]\ninputs = [[\"phone\"]]\nwaterfall = [\"p\"]\n[providers.p]\n\
                kind = \"phone\"\ndefault_country = \"DE\"\n";
    let config = Config::parse(READERS, "p.toml", toml).unwrap_or_else(|e| panic!("{e}"));
    let Some(phone) = config.providers[0].kind.downcast_ref::<PhoneConfig>() else {
        panic!()
    };
    let (phone, (ports, _)) = (Phone::new(phone), ports());
    for bytes in malformed(PHONE) {
        let input = input(json!({ "phone": Value::from(String::from_utf8_lossy(&bytes)) }));
        let mut answer = None;
        ends(&bytes, || {
            answer = phone
                .ask(&question(&input, Duration::from_secs(5)), &ports)
                .now_or_never();
        });
        assert!(
            matches!(answer, Some(Answer::Found { .. } | Answer::Invalid(_))),
            "{input:?}: {answer:?}"
        );
    }
}
