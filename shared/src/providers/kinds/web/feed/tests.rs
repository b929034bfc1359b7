use super::*;

fn read(text: &str) -> Vec<(String, Option<String>, Option<String>)> {
    let entries = entries(
        text,
        &Url::parse("https://acme.example/blog/feed.xml").unwrap(),
    );
    entries
        .into_iter()
        .map(|e| (e.title, e.url, e.date.map(Timestamp::rfc3339)))
        .collect()
}

fn entry(title: &str, url: &str, date: &str) -> (String, Option<String>, Option<String>) {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    (title.to_owned(), some(url), some(date))
}

#[test]
fn rss_and_atom() {
    let rss = "<?xml version='1.0'?><!DOCTYPE rss [<!ENTITY x 'boom'>]><rss><channel><title>Blog</title><link>https://acme.example</link>\
        <item><title><![CDATA[We <b>raised</b> &amp; hired]]></title><link> /a?x=1&amp;y=2 </link><media:title>no</media:title>\
        <pubDate>Tue, 06 Jan 2026 10:00:00 +0100</pubDate></item>\
        <item><title>R&amp;D &#8211; new &x; lab</title><dc:date>2026-01-05</dc:date></item>\
        <item><link>https://acme.example/untitled</link></item></channel></rss>";
    assert_eq!(
        read(rss),
        [
            entry(
                "We raised & hired",
                "https://acme.example/a?x=1&y=2",
                "2026-01-06T09:00:00.000Z"
            ),
            entry("R&D \u{2013} new lab", "", "2026-01-05T00:00:00.000Z"),
        ]
    );
    let atom = "<feed xmlns='http://www.w3.org/2005/Atom'><title>Blog</title><entry><title type='html'>One &lt;i&gt;more&lt;/i&gt;</title>\
        <link rel='self' href='x.atom'/><link rel='alternate' href='../one'/><updated>2026-01-03T00:00:00Z</updated>\
        <published>2026-01-02T00:00:00+02:00</published></entry><entry><title>Two</title><link href='two'></link>\
        <updated>2026-01-01T00:00:00Z</updated></entry></feed>";
    assert_eq!(
        read(atom),
        [
            entry(
                "One more",
                "https://acme.example/one",
                "2026-01-01T22:00:00.000Z"
            ),
            entry(
                "Two",
                "https://acme.example/blog/two",
                "2026-01-01T00:00:00.000Z"
            ),
        ]
    );
}

#[test]
fn broken_and_hostile_feeds_end() {
    let broken = "<rss><item><title>One</title></channel></item><item><title>Two & three</title></item><item><title>cut";
    assert_eq!(
        read(broken),
        [entry("One", "", ""), entry("Two & three", "", "")]
    );
    for text in [
        String::new(),
        "<html><body>no feed".to_owned(),
        "<item>".repeat(100_000),
        "<a>".repeat(100_000),
        "&".repeat(100_000),
        format!("<item><title>{}</title></item>", "&#120;".repeat(50_000)),
        "<item><title>x</title></item>".repeat(10_000),
        "<!DOCTYPE x [<!ENTITY a '&a;&a;'>]><item><title>&a;</title></item>".to_owned(),
    ] {
        assert!(read(&text).len() <= MAX_ENTRIES);
    }
}

#[test]
fn a_default_namespace_of_the_feeds_own_making_is_the_entrys() {
    for text in [
        "<rss xmlns='http://anything.example/ns'><channel><title>B</title><item><title>T</title><link>/t</link></item></channel></rss>",
        "<feed xmlns='urn:x'><entry><title>T</title><link href='/t'/></entry></feed>",
        "<rss xmlns:o='urn:x' xmlns='urn:x'><item><o:title>T</o:title><link>/t</link></item></rss>",
        "<rss><channel xmlns='urn:x'><item><title xmlns='urn:y'>no</title><title>T</title><link>/t</link></item></channel></rss>",
    ] {
        assert_eq!(
            read(text),
            [entry("T", "https://acme.example/t", "")],
            "{text}"
        );
    }
    for text in [
        "<html xmlns='http://www.w3.org/1999/xhtml'><body><entry><title>X</title></entry></body></html>",
        "<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><item><title>X</title></item></urlset>",
        "<rss><div xmlns='http://www.w3.org/1999/xhtml'><item><title>X</title></item></div></rss>",
        "<x:rss xmlns:x='urn:x'><x:item><x:title>T</x:title></x:item></x:rss>",
        "<rss><item><media:item xmlns:media='urn:m'><media:title>T</media:title></media:item></item></rss>",
        "<rss><item><box xmlns='urn:m'><item><title>T</title></item></box></item></rss>",
    ] {
        assert_eq!(read(text), [], "{text}");
    }
}

#[test]
fn an_end_tag_ends_its_own_element_and_no_other() {
    let both = [entry("One", "", ""), entry("Two", "", "")];
    for text in [
        "<rss xmlns:x='urn:x'><item><x:item>a</x:item><title>One</title></item><item></x:item><title>Two</title></item></rss>",
        "<atom:feed xmlns:atom='http://www.w3.org/2005/Atom'></p></p></p></p><atom:entry></b><atom:title>One</atom:title></i>\
         </atom:entry></atom:id></atom:feed><atom:entry><atom:title>Two</atom:title></atom:entry>",
        "<a:feed xmlns:a='http://www.w3.org/2005/Atom'><a:entry><a:title>One</a:title></entry><a:entry><a:title>Two</a:title>\
         </a:entry></a:feed>",
        "<rss><item><title>One</title><item><title>Two</title></item></rss>",
        "<rss><item><title>One<b></title><p><br></item><item><titel>no</title><title>Two</title></item></rss>",
        &format!(
            "<rss><item><title>One</title>{}</item><item><title>Two</title></item></rss>",
            "<br>".repeat(1_000)
        ),
        &format!(
            "<rss><item><title>One</title></item>{}<item><title>Two</title></item></rss>",
            "</item>".repeat(1_000)
        ),
    ] {
        assert_eq!(read(text), both, "{text}");
    }
    // A title without its own end would swallow the rest of its entry.
    assert_eq!(
        read("<rss><item><title>One</titel><link>/x</link></item></rss>"),
        []
    );
    assert_eq!(
        read(
            "<rss><item><source url='/'><b></source><title>T</title></item><item><source><title>no</title></item></rss>"
        ),
        [entry("T", "", "")]
    );
}

#[test]
fn feeds_as_generators_write_them() {
    let dated = |title: &str, url: &str| entry(title, url, "2026-01-05T10:00:00.000Z");
    let atom = |inside: &str| {
        format!("<feed xmlns='http://www.w3.org/2005/Atom'><entry>{inside}</entry></feed>")
    };
    let rss = |inside: &str| {
        format!(
            "<rss version='2.0' xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:media='http://search.yahoo.com/mrss/' \
             xmlns:atom='http://www.w3.org/2005/Atom'><channel><title>Blog</title><item>{inside}</item></channel></rss>"
        )
    };
    let date = "<updated>2026-01-05T10:00:00Z</updated>";
    for (text, expected) in [
        (
            atom(&format!(
                "<title type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'>Less <em>is</em> more<br/>now</div></title>{date}"
            )),
            dated("Less is more now", ""),
        ),
        (atom(&format!("<title>x &lt; y &amp;amp; z</title>{date}")), dated("x < y &amp; z", "")),
        (atom(&format!("<title type='html'>A &amp;amp; B &lt;b&gt;C&lt;/b&gt;</title>{date}")), dated("A & B C", "")),
        (
            atom(&format!(
                "<source><title>Other</title><link href='/other'/><updated>2020-01-01T00:00:00Z</updated></source>\
                 <title>Mine</title><link href='/mine'/>{date}"
            )),
            dated("Mine", "https://acme.example/mine"),
        ),
        (
            atom(&format!(
                "<content type='xhtml'><div xmlns='http://www.w3.org/1999/xhtml'><svg><title>Icon</title></svg></div></content>\
                 <title>Mine</title>{date}"
            )),
            dated("Mine", ""),
        ),
        (
            "<a:feed xmlns:a='https://www.w3.org/2005/Atom/'><a:entry><a:title>T</a:title><a:link href='/t'/>\
             <a:published>2026-01-05T10:00:00Z</a:published></a:entry></a:feed>"
                .to_owned(),
            dated("T", "https://acme.example/t"),
        ),
        (
            "<feed version='0.3' xmlns='http://purl.org/atom/ns#'><entry><title>T</title><issued>2026-01-05T10:00:00Z</issued>\
             <modified>2026-01-06T10:00:00Z</modified></entry></feed>"
                .to_owned(),
            dated("T", ""),
        ),
        (
            "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://purl.org/rss/1.0/' \
             xmlns:dc='http://purl.org/dc/elements/1.1/'><channel><title>B</title></channel><item rdf:about='x'><title>T</title>\
             <link>https://acme.example/r</link><dc:date>2026-01-05T10:00Z</dc:date></item></rdf:RDF>"
                .to_owned(),
            dated("T", "https://acme.example/r"),
        ),
        (
            rss("<guid>https://acme.example/g</guid><title>Caf&eacute; &amp; Co</title><dc:date>2026-01-05 10:00 UTC</dc:date>"),
            dated("Caf\u{e9} & Co", "https://acme.example/g"),
        ),
        (
            rss("<guid isPermaLink='false'>https://acme.example/?p=1</guid><title>T</title><dc:date>2026-01-05 10:00</dc:date>"),
            dated("T", ""),
        ),
        (
            rss("<guid>https://acme.example/?p=1</guid><link>/l</link><media:title>no</media:title><title>T</title>\
                 <atom:updated>2026-01-05T10:00:00Z</atom:updated>"),
            dated("T", "https://acme.example/l"),
        ),
        (
            rss("<source url='https://other.example/feed'>Other</source><title>List&amp;lt;T&amp;gt; and Map&lt;K, V&gt;</title>\
                 <pubDate>Mon, 05 Jan 2026 10:00:00 UTC</pubDate>"),
            dated("List<T> and Map<K, V>", ""),
        ),
        (
            rss("<title>1 &lt; 2 &amp;amp; more</title><pubDate>Mon, 5 Jan 2026 11:00 CET</pubDate>"),
            dated("1 < 2 & more", ""),
        ),
        (
            "<rss><channel><item><title>T</title><dc:date>2026-01-05T10:00:00</dc:date></item></channel></rss>".to_owned(),
            dated("T", ""),
        ),
        (
            rss("<title>Tom & Jerry; a story & Map&lt;A, B&gt;</title><link>/?a=1&b=2;c</link><dc:date>2026-01-05T10:00Z</dc:date>"),
            dated("Tom & Jerry; a story & Map<A, B>", "https://acme.example/?a=1&b=2;c"),
        ),
        (
            r#"{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": 1, "content_text": "no title"},
                    {"id": "2", "url": "/j", "title": "J &amp; K", "date_published": "2026-01-05T11:00:00+01:00"}]}"#
                .to_owned(),
            dated("J & K", "https://acme.example/j"),
        ),
    ] {
        assert_eq!(read(&text), [expected], "{text}");
    }
    assert_eq!(read(r#"{"items": [{"title": "some other API"}]}"#), []);
}
