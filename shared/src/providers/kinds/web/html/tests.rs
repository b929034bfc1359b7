use super::reader::{MAX_SCRIPTS, MAX_VISIBLE};
use super::*;

#[test]
fn reads_what_browsers_read_of_broken_html() {
    let html = "<!doctype html><HTML LANG=en-GB><head><base href=/en/><TITLE>\n Acme &amp; Sons\n &ndash; Anvils </title>\
        <meta name=Description content='Anvils &quot;for all&quot;'><meta property=\"og:site_name\" content=Acme>\
        <meta content=empty><link REL='alternate' type='application/rss+xml' href='/feed?a=1&amp;b=2'>\
        <style>a { content: '<title>no</title>' }</style><svg><title>Icon</title></svg>\
        <script type='application/LD+json; charset=utf-8'>{\"name\": \"</b> is text\"}</script>\
        <script async src=//cdn.example/x.js></script><script>var a = '<a href=/no>';</script>\
        <body><p>One<p>Two <b>three</i> <a href='/jobs' class=\"x\">Work <span>with</span> us\
        <a href=\"mailto:hi@acme.example\" title=Mail></a><!-- <a href=/hidden> --><a>no target</a>\
        <textarea><a href=/no></textarea><a href='/last'>unclosed <script>";
    let page = Document::read(html);
    assert_eq!(page.language.as_deref(), Some("en-GB"));
    assert_eq!(page.base.as_deref(), Some("/en/"));
    assert_eq!(page.title.as_deref(), Some("Acme & Sons \u{2013} Anvils"));
    assert_eq!(
        page.meta(&["og:title", "description"]),
        Some("Anvils \"for all\"")
    );
    assert_eq!(page.meta(&["og:site_name"]), Some("Acme"));
    assert_eq!(page.links[0].href, "/feed?a=1&b=2");
    assert_eq!(page.json_ld, ["{\"name\": \"</b> is text\"}"]);
    assert_eq!(page.script_urls, ["//cdn.example/x.js"]);
    assert_eq!(page.scripts, "var a = '<a href=/no>';\n");
    let anchors: Vec<_> = page
        .anchors
        .iter()
        .map(|a| (a.href.as_str(), a.text.as_str()))
        .collect();
    assert_eq!(
        anchors,
        [
            ("/jobs", "Work with us"),
            ("mailto:hi@acme.example", "Mail"),
            ("/last", "unclosed")
        ]
    );
    assert_eq!(
        page.text,
        "Icon One Two three Work with us no target unclosed"
    );
}

/// The text behind each is read: the title in the first place, and the link at the end.
#[test]
fn foreign_elements_end_as_in_browsers() {
    for start in [
        "<svg><style/></svg>",
        "<svg><script/></svg>",
        "<svg><title/></svg>",
        "<svg><script href='x'/><path d=''/></svg>",
        "<svg><style>a { }</style><g><textarea/></g></svg>",
        "<svg><style><!-- a --> b</svg>",
        "<svg><foreignObject><p>x</foreignObject></svg>",
        "<svg><foreignObject><svg><style/></svg></foreignObject></svg>",
        "<svg><iframe/><xmp/><plaintext/><noembed/></svg>",
        "<svg/>",
        "<svg><desc>x</desc><g>",
        "<svg><g><style>a<p></p>",
        "<svg><script>1</p>",
        "<svg><font color=red>",
        "<math><style/><mi>x</mi></math>",
        "<math><mtext><b>x</b></mtext><annotation-xml encoding='text/html'><p>x</p></annotation-xml></math>",
        "<math><annotation-xml><svg><style/></svg></annotation-xml></math>",
        "<svg><style><![CDATA[ a > b { } </style> ]]></style></svg>",
        "<noscript><p>Please turn on scripts</noscript>",
        "<iframe src=x>no<a href=/no>no</a></iframe>",
        "<noframes><title>no</title></noframes>",
    ] {
        let page = Document::read(&format!(
            "{start}<div><title>Acme</title><a href=/end>end</a></div>"
        ));
        assert_eq!(page.title.as_deref(), Some("Acme"), "{start}");
        assert_eq!(
            page.anchors.last().map(|a| a.href.as_str()),
            Some("/end"),
            "{start}"
        );
        assert!(
            page.text.ends_with("end") && !page.text.contains("{ }"),
            "{start}: {}",
            page.text
        );
    }
    let page = Document::read(
        "<svg><title>Icon</title><a xlink:href=/svg><text>In</text></a></svg><![CDATA[x]]><title>T</title>",
    );
    assert_eq!(
        (page.title.as_deref(), page.text.as_str()),
        (Some("T"), "Icon In")
    );
    assert_eq!(
        (page.anchors[0].href.as_str(), page.anchors[0].text.as_str()),
        ("/svg", "In")
    );
    let page = Document::read("<svg><text><![CDATA[a <b> &amp; c]]></text></svg>");
    assert_eq!(page.text, "a <b> &amp; c");
    // A slash has no meaning in HTML.
    let page = Document::read(
        "<!doctype html><script src=/a /><title>no</title></script><title>Yes</title><p/>x",
    );
    assert_eq!(
        (
            page.title.as_deref(),
            page.script_urls.len(),
            page.text.as_str()
        ),
        (Some("Yes"), 1, "x")
    );
}

#[test]
fn xhtml_is_read_as_its_author_wrote_it() {
    let body = "<head><script src=\"/a.js\"/><style type=\"text/css\"/><title>A &amp; B</title>\
        <script type=\"application/ld+json\">{\"a\": 1}</script></head><body><a name=\"top\"/><a href=\"/x\"/>y</body></html>";
    let strict = "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">";
    for start in [
        format!("{strict}<html>"),
        "<?xml version=\"1.0\"?><html>".to_owned(),
        "<html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"de\">".to_owned(),
    ] {
        let page = Document::read(&format!("{start}{body}"));
        assert_eq!(
            (page.title.as_deref(), page.script_urls.len()),
            (Some("A & B"), 1),
            "{start}"
        );
        assert_eq!(
            (page.json_ld.len(), page.text.as_str()),
            (1, "y"),
            "{start}"
        );
        let anchors: Vec<_> = page
            .anchors
            .iter()
            .map(|anchor| (anchor.href.as_str(), anchor.text.as_str()))
            .collect();
        assert_eq!(anchors, [("/x", "")]);
    }
    let of = |media_type: &str, body: &str| {
        Document::of(&Page {
            url: url::Url::parse("https://acme.example/").unwrap(),
            headers: vec![("Content-Type".to_owned(), media_type.to_owned())],
            body: body.to_owned(),
            fits: true,
        })
    };
    let page = of(
        "application/xhtml+xml; charset=utf-8",
        "<html><head><script src='a.js'/><title>A <![CDATA[& B]]></title><script type='application/ld+json'><![CDATA[{\"a\": \"</b>\"}]]>\
         </script><script>a &lt; b</script></head><body><iframe/><textarea/>x</body></html>",
    );
    assert_eq!(
        (page.title.as_deref(), page.text.as_str()),
        (Some("A & B"), "x")
    );
    assert_eq!(
        (&page.json_ld[..], page.scripts.as_str()),
        (&["{\"a\": \"</b>\"}".to_owned()][..], "a < b\n")
    );
    assert_eq!(
        of("text/html", "<title/>x</title>y").title.as_deref(),
        Some("x")
    );
}

#[test]
fn references_are_read_in_texts_that_are_no_html() {
    for (text, wanted) in [
        (
            "Smith &#8217;n&#8217; Sons &#038; Co",
            "Smith \u{2019}n\u{2019} Sons & Co",
        ),
        (
            "Caf&eacute; &#x1F600; &NotEqualTilde; &amp;amp;",
            "Caf\u{e9} \u{1f600} \u{2242}\u{338} &amp;",
        ),
        ("/?a=1&copy=2&reg", "/?a=1&copy=2&reg"),
        (
            "<b>R&D</b> &unknown; &; &#; & &lt;/title&gt;",
            "<b>R&D</b> &unknown; &; &#; & </title>",
        ),
        ("", ""),
    ] {
        assert_eq!(dereference(text), wanted, "{text}");
    }
}

#[test]
fn hostile_pages_are_bounded() {
    let many = "<a href=/x>x</a><meta name=a content=b><script src=/y></script><script>z</script>"
        .repeat(5_000);
    let page = Document::read(&many);
    assert_eq!(
        (page.anchors.len(), page.metas.len(), page.script_urls.len()),
        (2_000, 2_000, 2_000)
    );
    for html in [
        "<".repeat(300_000),
        "<a ".repeat(100_000),
        format!("<a {}>", "x=y ".repeat(100_000)),
        format!("<a href={}>", "x".repeat(300_000)),
        format!("<title>{}", "\u{fc}".repeat(300_000)),
        format!("<script>{}", "\u{fc}".repeat(300_000)),
        format!(
            "<meta name=description content={}>",
            "\u{fc}".repeat(10_000)
        ),
        "<!--".repeat(100_000),
        "&".repeat(300_000),
        "\0\u{fffd}".repeat(10_000),
        "<svg>".repeat(200_000),
        format!("{}{}", "<svg><g>".repeat(60_000), "</x>".repeat(120_000)),
        "<math><mi><svg><desc>".repeat(50_000),
    ] {
        let page = Document::read(&html);
        assert!(
            page.anchors.len() < 2
                && page.scripts.len() <= MAX_SCRIPTS + 1
                && page.text.len() <= MAX_VISIBLE
        );
    }
}

#[test]
fn a_tag_of_endless_attributes_does_not_overflow_the_stack() {
    for attribute in ["a=\"\" ", "a=\">\" ", "a='' ", "a = \"b\"\n"] {
        let page = format!(
            "<title>Before</title><a {}>x</a>",
            attribute.repeat(200_000)
        );
        assert_eq!(
            Document::read(&page).title.as_deref(),
            Some("Before"),
            "{attribute}"
        );
    }
    let many = "<a title=\"x\" href=\"/y\" class=\"z\">x</a>".repeat(500);
    assert_eq!(
        Document::read(&many).anchors.len(),
        500,
        "the bound is for one tag"
    );
}
