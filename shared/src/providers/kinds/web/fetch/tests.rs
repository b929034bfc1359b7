use super::*;
use crate::domain::record::FailureCode;
use crate::ports::DnsRecord;
use crate::providers::Answer;
use crate::providers::testing::{Script, ports};

const LIMIT: Duration = Duration::from_secs(20);
const HTML: (&str, &str) = ("content-type", "text/html");

fn agent() -> Agent {
    Agent::new(&WebConfig {
        user_agent: Some("Acme-Bot/1.0 (+https://acme.example)".to_owned()),
        timeout: LIMIT,
    })
}

async fn home(tell: impl FnOnce(&Script)) -> (Result<Page, Miss>, Vec<String>) {
    let (ports, script) = ports();
    tell(&script);
    let agent = agent();
    let page = PageFetch::new(&agent, &ports, LIMIT)
        .home("acme.example")
        .await;
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
    let own = Agent::new(&WebConfig {
        user_agent: None,
        timeout: LIMIT,
    });
    assert_eq!(
        (
            own.product.as_str(),
            own.user_agent.starts_with("Millrace/")
        ),
        ("Millrace", true)
    );
}

#[tokio::test]
async fn robots_txt_comes_first_and_each_redirect_is_checked() {
    let (page, urls) = home(|s| {
        s.answer_with(
            301,
            &[("location", "https://www.acme.example/robots.txt")],
            "",
        );
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
    assert!(
        matches!(page, Err(Miss::Refused(ref why)) if why.contains("other.example")),
        "{page:?}"
    );
    assert_eq!(urls.len(), 3, "the page itself was not asked for");
}

#[tokio::test]
async fn what_robots_txt_may_answer() {
    for (status, location, body, wanted) in [
        (
            200,
            None,
            "User-agent: *\nDisallow: /",
            Some("robots_refused"),
        ),
        (503, None, "", Some("robots_refused")),
        (403, None, "", None),
        (200, None, "<html>no robots", None),
        (429, None, "", Some("rate_limited")),
        (301, None, "", None),
    ] {
        let (page, _) = home(|s| {
            s.answer_with(
                status,
                &location
                    .map(|l| ("location", l))
                    .into_iter()
                    .collect::<Vec<_>>(),
                body,
            );
            s.answer_with(200, &[HTML], "<title>Acme</title>");
        })
        .await;
        match (page.map_err(Miss::into_answer), wanted) {
            (Ok(_), None) => {}
            (Err(Answer::Failed { code, .. }), Some(wanted)) => assert_eq!(code.as_str(), wanted),
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
        [
            "https://acme.example/robots.txt",
            "https://www.acme.example/robots.txt",
            "http://acme.example/robots.txt"
        ]
    );
    let (page, urls) = home(|s| (0..4).for_each(|_| s.answer(404, ""))).await;
    assert_eq!(
        (page.unwrap_err(), urls.len()),
        (Miss::Nothing, 4),
        "both names, and not again by http"
    );
}

#[tokio::test]
async fn where_the_bare_name_has_no_page_www_is_asked() {
    for status in [404, 410] {
        let (page, urls) = home(|s| {
            s.answer(404, "");
            s.answer(status, "");
            s.answer(404, "");
            s.answer_with(200, &[HTML], "<title>Acme</title>");
        })
        .await;
        assert_eq!(page.unwrap().url.as_str(), "https://www.acme.example/");
        assert_eq!(urls[1], "https://acme.example/");
    }
    let (page, urls) = home(|s| {
        s.answer(404, "");
        s.answer(404, "");
        s.fail(dns());
    })
    .await;
    assert_eq!(
        (page.unwrap_err(), urls.len()),
        (Miss::Nothing, 3),
        "the site answered, and there is no page"
    );
}

#[tokio::test]
async fn a_public_suffix_is_asked_at_www_and_is_its_own_company() {
    let (ports, script) = ports();
    script.answer(404, "");
    script.answer_with(200, &[HTML], "<title>NHS</title>");
    let agent = agent();
    let page = PageFetch::new(&agent, &ports, LIMIT)
        .home("nhs.uk")
        .await
        .unwrap();
    assert_eq!(page.url.as_str(), "https://www.nhs.uk/");
    for (host, wanted) in [
        ("www.nhs.uk", "nhs.uk"),
        ("nhs.uk", "nhs.uk"),
        ("www.barts.nhs.uk", "barts.nhs.uk"),
        ("www.com", "www.com"),
        ("www.acme.co.uk", "acme.co.uk"),
    ] {
        assert_eq!(super::super::owner(host), wanted, "{host}");
    }
}

#[tokio::test]
async fn a_page_that_sends_its_readers_on_is_followed() {
    for start in [
        "<meta http-equiv=refresh content='0; url=/en/'>",
        "<META HTTP-EQUIV=Refresh CONTENT=\"0;URL='/en/'\">",
        "<meta content='3,/en/' http-equiv=REFRESH><p>We have moved",
        "<base href=/en/><meta http-equiv=refresh content='0 url = \"\"#top'>\
         <meta http-equiv=refresh content=0;./>",
        "<meta http-equiv=refresh content='.5;url=https://acme.example/en/#top'>",
    ] {
        let (page, urls) = home(|s| {
            s.answer(404, "");
            s.answer_with(200, &[HTML], start);
            s.answer_with(200, &[HTML], "<title>Acme</title>");
        })
        .await;
        let page = page.unwrap();
        assert_eq!(
            (page.url.as_str(), page.body.as_str()),
            ("https://acme.example/en/", "<title>Acme</title>"),
            "{start}"
        );
        assert_eq!(urls.len(), 3);
    }
    for stays in [
        "<meta http-equiv=refresh content=300>",
        "<meta http-equiv=refresh content='300;url=/en/'>",
        "<meta http-equiv=refresh content='0;url=/'>",
        "<meta http-equiv=refresh content='0;url=#top'>",
        "<meta http-equiv=refresh content='url=/en/'>",
        "<meta http-equiv=refresh content='0;url=javascript:x()'>",
        "<noscript><meta http-equiv=refresh content='0;url=/noscript'></noscript>",
        "<!-- <meta http-equiv=refresh content='0;url=/en/'> -->",
        "<script>'<meta http-equiv=refresh content=\"0;url=/en/\">'</script>",
        "<p>A refreshing <noscript>",
    ] {
        let (page, urls) = home(|s| {
            s.answer(404, "");
            s.answer_with(200, &[HTML], stays);
        })
        .await;
        assert_eq!(
            (page.unwrap().url.as_str(), urls.len()),
            ("https://acme.example/", 2),
            "{stays}"
        );
    }
}

#[tokio::test]
async fn a_page_that_sends_its_readers_on_is_bound_as_redirects_are() {
    let (page, urls) = home(|s| {
        s.answer(404, "");
        (0..4).for_each(|n| {
            s.answer_with(
                200,
                &[HTML],
                &format!("<meta http-equiv=refresh content='0;url=/{n}'>"),
            );
        });
    })
    .await;
    assert!(
        matches!(
            page,
            Err(Miss::Failed {
                code: FailureCode::ProviderError,
                ..
            })
        ),
        "{page:?}"
    );
    assert_eq!(urls.len(), 5);
    let (page, _) = home(|s| {
        s.answer(404, "");
        s.answer_with(
            200,
            &[HTML, ("refresh", "0; url=https://inside.example/")],
            "<p>",
        );
        s.fail(HttpError::Blocked);
    })
    .await;
    let Err(Miss::Failed { detail, .. }) = page else {
        panic!("{page:?}")
    };
    assert_eq!(
        detail,
        "the site redirects to an address that is not allowed: private or local"
    );
    let (page, _) = home(|s| {
        s.answer(404, "");
        s.answer_with(
            200,
            &[HTML],
            "<meta http-equiv=refresh content='0;url=//other.example/private'>",
        );
        s.answer(200, "User-agent: *\nDisallow: /private");
    })
    .await;
    assert!(matches!(page, Err(Miss::Refused(_))), "{page:?}");
}

fn fits(want: Want, said: Option<&str>, body: &[u8]) -> bool {
    let media_type = media_type(said.unwrap_or_default());
    want.may_be(media_type) && want.fits(media_type, &charset::decode(body, said))
}

#[test]
fn types_are_read_as_browsers_read_them() {
    for (said, fits) in [
        (Some("text/html, text/html"), true),
        (
            Some("text/html; charset=utf-8, text/html; charset=utf-8"),
            true,
        ),
        (Some("text/plain, text/html"), true),
        (Some("text/html, */*"), true),
        (Some("TEXT/HTML;charset=x"), true),
        (Some("html"), true),
        (None, true),
        (Some("text/html, application/pdf"), false),
        (Some("text/plain"), false),
    ] {
        assert_eq!(self::fits(Want::Html, said, b" <p>"), fits, "{said:?}");
    }
    assert!(!fits(Want::Html, None, b"%PDF"));
}

#[test]
fn xhtml_is_a_page_by_what_it_is() {
    let utf16: Vec<u8> = { "\u{feff}<html xmlns='http://www.w3.org/1999/xhtml'>".encode_utf16() }
        .flat_map(u16::to_le_bytes)
        .collect();
    for (body, is_page) in [
        (
            &b"<?xml version='1.0'?><!-- x --><!DOCTYPE html [<!ENTITY a 'b'>]>\n\
            <html xmlns='http://www.w3.org/1999/xhtml'><p/>"[..],
            true,
        ),
        (b"\xef\xbb\xbf <html lang='en'><body>", true),
        (&utf16, true),
        (
            b"<rss><channel><item><title>T</title></item></channel></rss>",
            false,
        ),
        (
            b"<feed xmlns='http://www.w3.org/2005/Atom'><html/></feed>",
            false,
        ),
        (b"<html xmlns='urn:other'>", false),
        (b"<urlset><url/></urlset>", false),
        (b"html", false),
        (b"<", false),
        (b"", false),
    ] {
        for said in ["application/xml; charset=utf-8", "Text/XML"] {
            assert_eq!(
                fits(Want::Html, Some(said), body),
                is_page,
                "{said} {}",
                String::from_utf8_lossy(body)
            );
        }
    }
    assert!(!fits(
        Want::Html,
        Some("image/svg+xml"),
        b"<svg><html/></svg>"
    ));
    for body in [
        "<b>Warning</b>: foreach() in x.php\n<html xmlns='http://www.w3.org/1999/xhtml'>",
        "<html xmlns='http://www.w3.org/TR/REC-html40'>",
        "<head><title>T</title></head>",
    ] {
        assert!(
            fits(Want::Html, Some("application/xhtml+xml"), body.as_bytes()),
            "{body}"
        );
    }
}

#[test]
fn a_feed_is_one_by_what_it_is() {
    let utf16: Vec<u8> = "\u{feff}<rss>"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    for said in [
        None,
        Some("text/html"),
        Some("text/plain"),
        Some("application/octet-stream"),
        Some("application/rss+xml"),
    ] {
        for (body, is_feed) in [
            (&b"<rss>"[..], true),
            (b"\xef\xbb\xbf\n{\"version\":", true),
            (&utf16, true),
            (b"not found", false),
            (b"\x89PNG<", false),
        ] {
            assert_eq!(
                fits(Want::Feed, said, body),
                is_feed,
                "{said:?} {}",
                String::from_utf8_lossy(body)
            );
        }
    }
}

fn packed(codings: &[&str], body: &[u8]) -> HttpAnswer {
    let header = |coding: &&str| ("content-encoding".to_owned(), (*coding).to_owned());
    HttpAnswer {
        status: 200,
        headers: codings.iter().map(header).collect(),
        body: body.to_vec(),
        truncated: false,
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

#[test]
fn content_codings_are_undone_or_said() {
    use std::io::Write;
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(b"<p>").unwrap();
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    raw.write_all(b"<p>").unwrap();
    for (codings, body) in [
        (&["x-gzip"][..], gzip(b"<p>")),
        (&["GZIP"], gzip(b"<p>")),
        (&["gzip, identity"], gzip(b"<p>")),
        (&["gzip", "X-GZip"], gzip(&gzip(b"<p>"))),
        (&["deflate"], zlib.finish().unwrap()),
        (&["deflate"], raw.finish().unwrap()),
        (&["identity"], b"<p>".to_vec()),
        (&["utf-8"], b"<p>".to_vec()),
        (&["none"], b"<p>".to_vec()),
        (&[], b"<p>".to_vec()),
    ] {
        assert_eq!(
            unpacked(packed(codings, &body)).unwrap().body,
            b"<p>",
            "{codings:?}"
        );
    }
    assert!(
        unpacked(packed(&["br"], b"")).unwrap().body.is_empty(),
        "nothing is packed in it"
    );
    for (codings, body) in [
        (&["br"][..], b"\x0b\x01\x80<p>\x03".to_vec()),
        (&["zstd"], b"(\xb5/\xfd".to_vec()),
        (&["x-gzip"], b"<p>".to_vec()),
        (&["GZIP"], gzip(b"<p>")[..12].to_vec()),
        (
            &["gzip, gzip, gzip, gzip"],
            gzip(&gzip(&gzip(&gzip(b"<p>")))),
        ),
    ] {
        let Err(Miss::Failed { code, detail }) = unpacked(packed(codings, &body)) else {
            panic!("{codings:?}")
        };
        assert!(
            code.as_str() == "provider_error" && detail.contains("content coding"),
            "{codings:?}: {detail}"
        );
    }
}

#[test]
fn what_is_packed_is_bounded() {
    let bomb = gzip(&vec![b'a'; 8 * MAX_PAGE_BYTES]);
    let answer = unpacked(packed(&["x-gzip"], &bomb)).unwrap();
    assert_eq!(
        (answer.body.len(), answer.truncated),
        (MAX_PAGE_BYTES, true)
    );
    let mut cut = packed(&["x-gzip"], &bomb[..bomb.len() / 2]);
    cut.truncated = true;
    assert!(
        !unpacked(cut).unwrap().body.is_empty(),
        "of what was cut, what there is"
    );
}

#[tokio::test]
async fn no_such_name_is_not_found_and_silence_is_not() {
    let names = |s: &Script| (0..4).for_each(|_| s.fail(dns()));
    let (page, _) = home(names).await;
    assert_eq!(page.unwrap_err(), Miss::Nothing);
    let (page, _) = home(|s| {
        names(s);
        s.name(
            "acme.example",
            DnsKind::A,
            Err(DnsFailure::Unanswered("servfail".to_owned())),
        );
    })
    .await;
    assert_eq!(page.unwrap_err(), Miss::Unreachable(dns()));
    let (page, _) = home(|s| {
        names(s);
        s.name(
            "www.acme.example",
            DnsKind::A,
            Ok(vec![DnsRecord::Address([192, 0, 2, 1].into())]),
        );
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
        let Err(Miss::Failed { code, detail }) = page else {
            panic!("{page:?}")
        };
        assert_eq!(
            (code.as_str(), detail.as_str()),
            ("rate_limited", "the site answered HTTP 503")
        );
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
    let Err(Miss::Failed { code, detail }) = page else {
        panic!("{page:?}")
    };
    assert_eq!(
        (code.as_str(), detail.as_str()),
        ("provider_error", "the site redirects more than 3 times")
    );
    assert_eq!(urls.len(), 5);
    let (page, _) = home(|s| {
        s.answer(404, "");
        s.answer_with(301, &[("location", "https://inside.example/")], "");
        s.fail(HttpError::Blocked);
    })
    .await;
    let Err(Miss::Failed { detail, .. }) = page else {
        panic!("{page:?}")
    };
    assert_eq!(
        detail,
        "the site redirects to an address that is not allowed: private or local"
    );
    let (page, _) = home(|s| {
        s.answer(404, "");
        s.answer_with(301, &[("location", "javascript:alert(1)")], "");
    })
    .await;
    assert!(
        matches!(
            page,
            Err(Miss::Failed {
                code: FailureCode::ProviderError,
                ..
            })
        ),
        "{page:?}"
    );
}
