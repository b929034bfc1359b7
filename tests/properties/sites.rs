//! The output of sites, people and programs, with pieces that readers stumble over in any place.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use testkit::fuzz::sites;

use crate::{Input, config};

/// A text with up to `most` pieces, or characters of any kind, put in.
fn with(
    text: impl Strategy<Value = String>,
    pieces: &'static [&'static str],
    most: usize,
) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        12 => select(pieces).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    (text, vec((any::<Index>(), piece), 0..=most)).prop_map(|(mut text, pieces)| {
        for (at, piece) in pieces {
            let at = text.floor_char_boundary(at.index(text.len() + 1));
            text.insert_str(at, &piece);
        }
        text
    })
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(texts).prop_map(str::to_owned)
}

/// Numbers as they are written, some of them malformed.
fn numbers() -> impl Strategy<Value = String> {
    const NUMBERS: &[&str] = &[
        "",
        "+49 30 123456",
        "030 / 12 34 56-78",
        "0049 (0)171 1234567",
        "+1 (650) 253-0000",
        "555-0100 / 555-0101",
        "tel:030-123456;phone-context=+49",
        "tel:+1-650-253-0000;ext=12",
        "1-800-FLOWERS",
        "0800 REISEBUERO",
        "13 CATS",
        "+39 02 1234567",
        "01 23 45 67 89",
        "+800 1234 5678",
        "+49 30 12 Zentrale",
    ];
    const PIECES: &[&str] = &[
        "+",
        "00",
        "0",
        "1",
        "7",
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
        ";phone-context=+44",
        "FLOWERS",
        " Zentrale",
        " Durchwahl 9",
        " oder 030 123457",
        "\u{2013}",
        "\u{a0}",
        "\u{661}",
        "\u{ff11}",
        "\u{30fc}",
        "%2B",
        "[",
        "]",
        "~",
        "Büro ",
    ];
    with(one_of(NUMBERS), PIECES, 4)
}

/// Addresses as they are written, some of them malformed.
fn addresses() -> impl Strategy<Value = String> {
    const ADDRESSES: &[&str] = &[
        "",
        "jane.doe+x@x.com",
        "\"Doe, Jane\" <jane@x.com>;",
        "Jane Doe jane@x.com",
        "mailto:jos%C3%A9@x.com?subject=Hi",
        "mailto:a@x.com;b@y.com",
        "J\u{30c}ane@bu\u{308}cher.example",
        "\u{915}\u{94d}@xn--bcher-kva.example",
        "jane@\u{ff58}\u{ff0e}com",
        "j.doe+x@gmail.com",
        "'o'brien@x.com'",
        "jane@x.com (Jane)",
    ];
    const PIECES: &[&str] = &[
        "Doe ",
        ".",
        "@",
        "@x.com",
        "xn--",
        "co",
        " uk",
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
        "\t",
        "mailto:",
        "?to=b@x.com",
        "%40",
        "%00",
        "&",
        "//",
        "=",
        "\u{301}",
        "\u{30c}",
        "J",
        "\u{200d}",
        "\u{200b}",
        "\u{feff}",
        "\u{130}",
        "\u{1e9e}",
        "\u{df}",
        "\u{3a3}",
        "\u{3002}",
        "-",
        "|",
        "\\",
        "!",
        "ﬁ",
    ];
    with(one_of(ADDRESSES), PIECES, 3)
}

fn feeds() -> impl Strategy<Value = Input> {
    const ROOTS: &[&str] = &[
        "<rss><channel>",
        "<rss xmlns='urn:x' xmlns:a='http://www.w3.org/2005/Atom' \
         xmlns:dc='http://purl.org/dc/elements/1.1/'>",
        "<feed xmlns='http://www.w3.org/2005/Atom'>",
        "\u{feff}<?xml version='1.0'?><rdf:RDF xmlns='http://purl.org/rss/1.0/' \
         xmlns:dc='http://purl.org/dc/terms/'>",
    ];
    const ENTRIES: &[&str] = &[
        "<item><title>One</title><link>/one</link>\
         <pubDate>Tue, 06 Jan 2026 10:00:00 +0100</pubDate></item>",
        "<item><title><![CDATA[A <b>b</b> &amp; c]]></title>\
         <guid>https://acme.example/?a&b=c</guid><dc:date>2026-01-05</dc:date></item>",
        "<item><title>&amp;lt;T&amp;gt; & &eacute;\n two</title>\
         <source><title>no</title></source></item>",
        "<entry><title type='html'>&lt;i&gt;x&lt;/i&gt; y</title>\
         <link href='//x.example/a'/><updated>2026-01-05T10:00:60Z</updated></entry>",
        "<entry><title type='xhtml'><div>a<br/>b</div></title>\
         <link rel='self' href='/s'/><published>9999-12-31T23:59:59-23:59</published></entry>",
        "<a:entry><a:title>T</a:title><a:link href='../t#x'/>\
         <a:updated>2026-01-05 10:00 CET</a:updated></a:entry>",
    ];
    const PIECES: &[&str] = &[
        "</item>",
        "<item>",
        "</entry>",
        "<entry>",
        "</x:item>",
        "</a:entry>",
        "</channel>",
        "</rss>",
        "<title>",
        "</title>",
        "</p>",
        "<p>",
        "<br>",
        "<x:title>",
        "<source>",
        "xmlns='urn:y' ",
        "&amp;",
        "&lt;",
        "&#0;",
        "&#13;",
        "&#x85;",
        "&x;",
        "&",
        "<b>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "'",
        "\n",
        "\t",
        "\u{a0}",
        "\u{2028}",
        "  ",
        "javascript:x",
        "https://",
        "#",
    ];
    let entries = vec(select(ENTRIES), 1..5).prop_map(|entries| entries.concat());
    let feed = (select(ROOTS), entries).prop_map(|(root, entries)| format!("{root}{entries}"));
    with(feed, PIECES, 4).prop_map(|text| Input(format!("200\n\n{text}").into_bytes()))
}

/// Home pages with any of the numbers and addresses above.
fn pages() -> impl Strategy<Value = Input> {
    const HEADS: &[&str] = &[
        "200",
        "200",
        "200\ncontent-type: text/html; charset=windows-1251",
        "200\ncontent-type: text/html; charset=gb18030",
        "200\ncontent-type: text/html; charset=iso-2022-jp",
        "200\ncontent-type: application/xml",
        "200\nrefresh: 0;url=/x",
    ];
    const BLOCKS: &[&str] = &[
        "<a href='/careers#x'>Jobs</a>",
        "<a href='https://x.com/acme'>X</a>",
        "<link rel=icon href='//x.example/i'>",
        "<link rel=alternate type=application/rss+xml href='/f#x'>",
        "<base href=/de/>",
        "<base href='data:x'>",
        "<svg><style/></svg>",
        "<meta charset=shift_jis>",
        "<meta property=og:site_name content='Acme'>",
        "<script type=application/ld+json>\
         {\"@type\":\"Organization\",\"name\":\"Acme\",\"logo\":\"//x.example/l\",\
         \"sameAs\":[\"x.com/a\",\"javascript:x\"]}</script>",
    ];
    const PIECES: &[&str] = &[
        "<",
        ">",
        "'",
        "\"",
        "&uuml;",
        "&#x110000;",
        "<!--",
        "-->",
        "<title>",
        "</script>",
        "<svg>",
        "</html>",
        "{",
        "]",
        ",",
        "javascript:",
        "//[",
        "https:",
        "#",
        "%",
        "\u{feff}",
        "ü",
        "\0",
        "<html xmlns='http://www.w3.org/1999/xhtml'>",
    ];
    let block = prop_oneof![
        one_of(BLOCKS),
        numbers().prop_map(|n| format!("<a href='{}'>call</a>", n.replace('\'', "&#39;"))),
        numbers().prop_map(|n| format!("<a href='tel:{}'>call</a>", n.replace('\'', "&#39;"))),
        addresses().prop_map(|address| {
            format!(
                "<a href='mailto:{}'>write</a>",
                address.replace('\'', "&#39;")
            )
        }),
        (numbers(), addresses()).prop_map(|(number, address)| {
            let node = json!({"@type": "Organization", "name": "Acme", "telephone": number,
                "email": [address]});
            format!("<script type=application/ld+json>{node}</script>")
        }),
    ];
    let page = vec(block, 1..5)
        .prop_map(|blocks| format!("<html><title>Acme GmbH | Home</title>{}", blocks.concat()));
    (select(HEADS), with(page, PIECES, 3))
        .prop_map(|(head, page)| Input(format!("{head}\n\n{page}").into_bytes()))
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_number_is_read_as_itself(
        country in select(&["", "US", "DE", "AU", "Italy", "BR", "x"][..]),
        text in numbers(),
    ) {
        sites::phone(format!("{country}\n{text}").as_bytes());
    }

    #[test]
    fn an_address_is_read_as_itself(text in addresses()) {
        sites::email(text.as_bytes());
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
