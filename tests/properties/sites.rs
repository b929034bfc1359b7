//! What sites, people and programs write, put together from pieces that readers stumble over.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tests::fuzz::sites;

use crate::{Input, config};

/// Pieces one after the other, and a few characters of any kind.
fn joined(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![12 => select(pieces).prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

fn phones() -> impl Strategy<Value = Input> {
    const COUNTRIES: &[&str] = &["", "US", "DE", "AU", "Germany", "ITA", "BR", "x"];
    const PIECES: &[&str] = &[
        "+",
        "00",
        "0",
        "+49",
        "49",
        "30",
        "1",
        "-1",
        "+1",
        "650",
        "253",
        "0000",
        "123456",
        "555-0100",
        "0800",
        "13",
        " ",
        " ",
        "-",
        "(",
        ")",
        "/",
        " / ",
        ".",
        ",",
        ";",
        "\n",
        "x",
        " ext. 12",
        ";ext=3",
        ";EXT=",
        "#4",
        "tel:",
        "Tel.: ",
        "Fax ",
        ";phone-context=",
        "+44",
        "example.com",
        "FLOWERS",
        "Zentrale",
        "Durchwahl",
        " oder ",
        "\u{2013}",
        "\u{a0}",
        "\u{661}",
        "\u{ff11}",
        "\u{30fc}",
        "%2B",
        "[",
        "]",
        "~",
        "Büro",
    ];
    (select(COUNTRIES), joined(PIECES, 9)).prop_map(|(country, text)| Input(format!("{country}\n{text}").into_bytes()))
}

fn addresses() -> impl Strategy<Value = Input> {
    const PIECES: &[&str] = &[
        "jane",
        "Doe",
        "doe",
        ".",
        "@",
        "@",
        "x.com",
        "@x.com",
        "gmail.com",
        "bücher.example",
        "xn--",
        "b",
        "co",
        "uk",
        "+x",
        "_",
        "'",
        "\"",
        "<",
        ">",
        "(",
        ")",
        "[",
        "]",
        ",",
        ";",
        ":",
        " ",
        " ",
        "\t",
        "mailto:",
        "mailto:?to=",
        "%40",
        "%00",
        "?subject=x",
        "&",
        "//",
        "=",
        "\u{301}",
        "\u{200d}",
        "\u{200b}",
        "\u{feff}",
        "\u{130}",
        "\u{1e9e}",
        "\u{df}",
        "\u{3a3}",
        "\u{ff0e}",
        "\u{3002}",
        "\u{915}\u{94d}",
        "-",
        "|",
        "\\",
        "!",
        "10.0.0.1",
        "ﬁ",
    ];
    joined(PIECES, 9).prop_map(|text| Input(text.into_bytes()))
}

fn feeds() -> impl Strategy<Value = Input> {
    const PIECES: &[&str] = &[
        "<rss>",
        "<rss xmlns='urn:x'>",
        "<rss xmlns:a='http://www.w3.org/2005/Atom' xmlns:dc='http://purl.org/dc/elements/1.1/'>",
        "<feed xmlns='http://www.w3.org/2005/Atom'>",
        "</feed>",
        "</rss>",
        "<channel>",
        "</channel>",
        "<item>",
        "<item>",
        "</item>",
        "</item>",
        "<entry>",
        "</entry>",
        "<a:entry>",
        "</a:entry>",
        "<x:item>",
        "</x:item>",
        "<title>",
        "<title>",
        "<title type='html'>",
        "<title type='xhtml'>",
        "</title>",
        "</title>",
        "<a:title>",
        "</a:title>",
        "<link>",
        "</link>",
        "<link href='/a'/>",
        "<link href='//[' />",
        "<guid>",
        "</guid>",
        "<source>",
        "</source>",
        "<pubDate>",
        "</pubDate>",
        "<dc:date>",
        "</dc:date>",
        "<updated>",
        "</updated>",
        "Tue, 06 Jan 2026 10:00:00 +0100",
        "2026-01-05",
        "2026-01-05T10:00:60Z",
        "9999-12-31T23:59:59-23:59",
        "https://acme.example/a?b&c",
        "/r#x",
        "javascript:x",
        "One",
        " two ",
        "&amp;",
        "&lt;b&gt;",
        "&amp;lt;",
        "&eacute;",
        "&#0;",
        "&x;",
        "&",
        "<b>",
        "</b>",
        "<br>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<!DOCTYPE x [",
        "'",
        "\n",
        "\u{a0}",
    ];
    joined(PIECES, 30).prop_map(|text| Input(format!("200\n\n<rss>{text}").into_bytes()))
}

fn pages() -> impl Strategy<Value = Input> {
    const HEADS: &[&str] = &[
        "200",
        "200",
        "200\ncontent-type: text/html; charset=windows-1251",
        "200\ncontent-type: text/html; charset=utf-16be",
        "200\ncontent-type: text/html; charset=iso-2022-jp",
        "200\ncontent-type: text/html; charset=gb18030",
        "200\ncontent-type: application/xml",
        "200\ncontent-type: application/xhtml+xml",
        "200\nrefresh: 0;url=/x",
        "404",
    ];
    const PIECES: &[&str] = &[
        "<title>",
        "</title>",
        "Acme GmbH",
        " | ",
        "Home",
        "<meta charset=shift_jis>",
        "<meta name=description content='",
        "'>",
        "<meta property=og:site_name content=Acme>",
        "<base href=/de/>",
        "<base href='data:x'>",
        "<a href='tel:",
        "<a href='mailto:",
        "<a href='/careers'>",
        "<a href='https://x.com/acme'>",
        "<a href='//[",
        "'>x</a>",
        "+49 30 123456",
        "555-0100 / 555-0101",
        ";ext=1",
        "jane@acme.example",
        "%40",
        ";",
        ",",
        "<script type=application/ld+json>",
        "{\"@type\":\"Organization\",",
        "\"name\":\"Acme\",",
        "\"telephone\":\"",
        "\"email\":[\"",
        "\"logo\":\"/l.png\",",
        "\"sameAs\":[\"x.com/a\"],",
        "\"foundingDate\":\"1999\",",
        "\"numberOfEmployees\":\"10,001+\",",
        "\"address\":{\"addressCountry\":\"DE\"},",
        "\",",
        "\"],",
        "\"x\":0}",
        "</script>",
        "<svg>",
        "<style/>",
        "</svg>",
        "<!--",
        "-->",
        "<link rel=icon href=/i>",
        "<link rel=alternate type=application/rss+xml href='/f'>",
        "<html xmlns='http://www.w3.org/1999/xhtml'>",
        "&uuml;",
        "&#x110000;",
        "\u{feff}",
        "ü",
    ];
    let body = prop_oneof![9 => joined(PIECES, 40).prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..40)];
    let title = prop_oneof![Just(&b"<title>Acme</title>"[..]), Just(&b""[..])];
    (select(HEADS), title, body)
        .prop_map(|(head, title, body)| Input([head.as_bytes(), b"\n\n", title, &body].concat()))
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_number_is_read_as_itself(input in phones()) {
        sites::phone(&input.0);
    }

    #[test]
    fn an_address_is_read_as_itself(input in addresses()) {
        sites::email(&input.0);
    }

    #[test]
    fn entries_of_feeds_are_read_as_themselves(input in feeds()) {
        sites::feed(&input.0);
    }

    #[test]
    fn what_a_page_says_is_bounded_and_read_as_itself(input in pages()) {
        sites::page(&input.0);
    }
}
