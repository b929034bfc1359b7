//! What a page says in its tags: no tree is built, and everything is bounded.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, Spanned, StartTag, Token, Tokenizer};
use std::collections::BTreeMap;

use super::places::{Marks, Place, Places};

/// The most links, scripts and the like of each sort that are kept of a page.
const MAX_ITEMS: usize = 2_000;
/// The longest URL that is kept, in bytes.
const MAX_URL: usize = 2_048;
/// The longest title, description or anchor text, in bytes.
const MAX_TEXT: usize = 4_096;
/// How much of all inline scripts is kept, in bytes.
const MAX_SCRIPTS: usize = 256 * 1024;
/// How much of the visible text is kept, in bytes.
const MAX_VISIBLE: usize = 16 * 1024;

/// The most quoted attributes of one tag.
const MAX_QUOTED: usize = 300;

/// `<link>`, with its relations in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) rel: String,
    pub(super) href: String,
    pub(super) media_type: String,
}

/// `<a>` with the text inside, its relations and properties in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) href: String,
    pub(super) text: String,
    pub(super) rel: String,
    pub(super) place: Place,
}

/// A page's tags, as far as anybody here asks for them. URLs are as written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) language: Option<String>,
    pub(super) base: Option<String>,
    pub(super) title: Option<String>,
    /// (`name`, `property`, `itemprop` or `http-equiv` in lower case, `content`).
    pub(super) metas: Vec<(String, String)>,
    pub(super) links: Vec<Link>,
    pub(super) anchors: Vec<Anchor>,
    pub(super) script_urls: Vec<String>,
    /// The text of scripts that stand in the page.
    pub(super) scripts: String,
    /// `<script type="application/ld+json">`.
    pub(super) json_ld: Vec<String>,
    /// The text that stands outside of scripts and styles, its white space single.
    pub(super) text: String,
}

impl Document {
    pub(super) fn read(html: &str) -> Self {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut reader = Reader::default();
        for token in Tokenizer::new_with_emitter(Bounded::new(html), emitter) {
            match token {
                Ok(Token::StartTag(tag)) => reader.open(&tag),
                Ok(Token::EndTag(tag)) => reader.close(&tag.name),
                Ok(Token::String(text)) => reader.text(&text),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        reader.end_anchor();
        reader.document
    }

    /// The first meta of one of these names that is not empty.
    pub(super) fn meta(&self, names: &[&str]) -> Option<&str> {
        let of = |name: &&str| self.metas.iter().find(|(n, content)| n == name && !content.is_empty());
        names.iter().find_map(of).map(|(_, content)| content.as_str())
    }
}

/// A page that ends where a tag has more quoted attributes than any page needs: the tokenizer calls itself for each of them,
/// and 1 MiB of them would overflow the stack, which ends the process.
struct Bounded<'h> {
    rest: &'h [u8],
    quoted: usize,
}

impl<'h> Bounded<'h> {
    fn new(html: &'h str) -> Self {
        Self { rest: html.as_bytes(), quoted: 0 }
    }
}

impl html5gum::Reader for Bounded<'_> {
    type Error = std::fmt::Error;

    fn read_byte(&mut self) -> Result<Option<u8>, Self::Error> {
        let Some((first, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        Ok(Some(*first))
    }

    /// What is sought tells where the tokenizer is: the end of a quoted value, or a tag in a text.
    fn read_until<'b>(&'b mut self, needle: &[u8], _: &'b mut [u8; 4]) -> Result<Option<&'b [u8]>, Self::Error> {
        let Some(first) = self.rest.first() else { return Ok(None) };
        match (needle.contains(&b'"'), needle.contains(&b'<'), needle.contains(&b'=')) {
            (true, _, false) if *first == b'"' => self.quoted += 1,
            (false, true, _) => self.quoted = 0,
            _ => {}
        }
        if self.quoted > MAX_QUOTED {
            return Err(std::fmt::Error);
        }
        let end = self.rest.iter().position(|byte| needle.contains(byte)).unwrap_or(self.rest.len());
        let (read, rest) = self.rest.split_at(end.max(1));
        self.rest = rest;
        Ok(Some(read))
    }

    fn try_read_string(&mut self, text: &[u8], case_sensitive: bool) -> Result<bool, Self::Error> {
        let Some((read, rest)) = self.rest.split_at_checked(text.len()) else { return Ok(false) };
        let same = read == text || (!case_sensitive && read.eq_ignore_ascii_case(text));
        if same {
            self.rest = rest;
        }
        Ok(same)
    }
}

/// What the text that comes next belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Inside {
    #[default]
    Body,
    Title,
    Script,
    JsonLd,
    /// Styles and data of no interest.
    Nothing,
}

#[derive(Debug, Default)]
struct Reader {
    document: Document,
    inside: Inside,
    anchor: Option<Anchor>,
    places: Places,
    /// How many `<svg>` are open: a title in one is not the page's.
    drawings: usize,
}

type Attributes = BTreeMap<HtmlString, Spanned<HtmlString, ()>>;

fn attribute(attributes: &Attributes, name: &str) -> Option<String> {
    let value = attributes.get(name.as_bytes())?;
    let text = String::from_utf8_lossy(value).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn url(attributes: &Attributes, name: &str) -> Option<String> {
    attribute(attributes, name).filter(|url| url.len() <= MAX_URL)
}

/// Adds text with its white space single, up to `most` bytes.
fn add_words(to: &mut String, text: &str, most: usize) {
    for word in text.split_whitespace() {
        if to.len() + word.len() >= most {
            return;
        }
        if !to.is_empty() {
            to.push(' ');
        }
        to.push_str(word);
    }
}

impl Reader {
    fn open(&mut self, tag: &StartTag<()>) {
        let page = &mut self.document;
        let attributes = &tag.attributes;
        let [role, class, id] = ["role", "class", "id"].map(|name| attribute(attributes, name).unwrap_or_default());
        let marks = Marks { role: &role, names: [&class, &id] };
        self.places.open(&tag.name, marks);
        match tag.name.as_slice() {
            b"html" => page.language = page.language.take().or_else(|| attribute(attributes, "lang")),
            b"base" => page.base = page.base.take().or_else(|| url(attributes, "href")),
            b"meta" if page.metas.len() < MAX_ITEMS => {
                page.metas.extend(attribute(attributes, "charset").map(|name| ("charset".to_owned(), name)));
                let name = ["property", "name", "itemprop", "http-equiv"].iter().find_map(|n| attribute(attributes, n));
                if let (Some(name), Some(mut content)) = (name, attribute(attributes, "content")) {
                    content.truncate(content.floor_char_boundary(MAX_TEXT));
                    page.metas.push((name.to_lowercase(), content));
                }
            }
            b"link" if page.links.len() < MAX_ITEMS => {
                if let (Some(rel), Some(href)) = (attribute(attributes, "rel"), url(attributes, "href")) {
                    let media_type = attribute(attributes, "type").unwrap_or_default().to_lowercase();
                    page.links.push(Link { rel: rel.to_lowercase(), href, media_type });
                }
            }
            b"a" => {
                self.end_anchor();
                let text = attribute(attributes, "aria-label").or_else(|| attribute(attributes, "title"));
                let mut words = String::new();
                add_words(&mut words, &text.unwrap_or_default(), MAX_TEXT);
                let says = |name| attribute(attributes, name).unwrap_or_default().to_lowercase();
                let rel = [says("rel"), says("itemprop")].join(" ").trim().to_owned();
                let place = self.places.of(marks);
                self.anchor = url(attributes, "href").map(|href| Anchor { href, text: words, rel, place });
            }
            b"img" => {
                if let Some(anchor) = self.anchor.as_mut().filter(|anchor| anchor.text.is_empty()) {
                    add_words(&mut anchor.text, &attribute(attributes, "alt").unwrap_or_default(), MAX_TEXT);
                }
            }
            b"svg" if !tag.self_closing => self.drawings += 1,
            b"title" if self.drawings == 0 => self.inside = Inside::Title,
            b"style" | b"textarea" => self.inside = Inside::Nothing,
            b"script" => {
                if let Some(src) = url(attributes, "src").filter(|_| page.script_urls.len() < MAX_ITEMS) {
                    page.script_urls.push(src);
                }
                let kind = attribute(attributes, "type").unwrap_or_default().to_lowercase();
                self.inside = match kind.split(';').next().unwrap_or_default().trim() {
                    "application/ld+json" => Inside::JsonLd,
                    "" | "module" | "text/javascript" | "application/javascript" => Inside::Script,
                    _ => Inside::Nothing,
                };
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &[u8]) {
        self.places.close(name);
        match name {
            b"title" | b"script" | b"style" | b"textarea" => self.inside = Inside::Body,
            b"a" => self.end_anchor(),
            b"svg" => self.drawings = self.drawings.saturating_sub(1),
            _ => {}
        }
    }

    fn end_anchor(&mut self) {
        if let Some(anchor) = self.anchor.take().filter(|_| self.document.anchors.len() < MAX_ITEMS) {
            self.document.anchors.push(anchor);
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        let page = &mut self.document;
        let text = String::from_utf8_lossy(bytes);
        match self.inside {
            Inside::Title => {
                if page.title.is_none() {
                    let mut title = String::new();
                    add_words(&mut title, &text, MAX_TEXT);
                    page.title = Some(title).filter(|t| !t.is_empty());
                }
            }
            Inside::Script => {
                let room = MAX_SCRIPTS - page.scripts.len().min(MAX_SCRIPTS);
                page.scripts.push_str(&text[..text.floor_char_boundary(room)]);
                page.scripts.push('\n');
            }
            Inside::JsonLd if page.json_ld.len() < MAX_ITEMS => page.json_ld.push(text.into_owned()),
            Inside::JsonLd | Inside::Nothing => {}
            Inside::Body => {
                if let Some(anchor) = &mut self.anchor {
                    add_words(&mut anchor.text, &text, MAX_TEXT);
                }
                add_words(&mut page.text, &text, MAX_VISIBLE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(page.meta(&["og:title", "description"]), Some("Anvils \"for all\""));
        assert_eq!(page.meta(&["og:site_name"]), Some("Acme"));
        assert_eq!(page.links[0].href, "/feed?a=1&b=2");
        assert_eq!(page.json_ld, ["{\"name\": \"</b> is text\"}"]);
        assert_eq!(page.script_urls, ["//cdn.example/x.js"]);
        assert_eq!(page.scripts, "var a = '<a href=/no>';\n");
        let anchors: Vec<_> = page.anchors.iter().map(|a| (a.href.as_str(), a.text.as_str())).collect();
        assert_eq!(anchors, [("/jobs", "Work with us"), ("mailto:hi@acme.example", "Mail"), ("/last", "unclosed")]);
        assert_eq!(page.text, "Icon One Two three Work with us no target unclosed");
    }

    #[test]
    fn hostile_pages_are_bounded() {
        let many = "<a href=/x>x</a><meta name=a content=b><script src=/y></script><script>z</script>".repeat(5_000);
        let page = Document::read(&many);
        assert_eq!((page.anchors.len(), page.metas.len(), page.script_urls.len()), (2_000, 2_000, 2_000));
        for html in [
            "<".repeat(300_000),
            "<a ".repeat(100_000),
            format!("<a {}>", "x=y ".repeat(100_000)),
            format!("<a href={}>", "x".repeat(300_000)),
            format!("<title>{}", "\u{fc}".repeat(300_000)),
            format!("<script>{}", "\u{fc}".repeat(300_000)),
            format!("<meta name=description content={}>", "\u{fc}".repeat(10_000)),
            "<!--".repeat(100_000),
            "&".repeat(300_000),
            "\0\u{fffd}".repeat(10_000),
        ] {
            let page = Document::read(&html);
            assert!(page.anchors.len() < 2 && page.scripts.len() <= MAX_SCRIPTS + 1 && page.text.len() <= MAX_VISIBLE);
        }
    }

    #[test]
    fn a_tag_of_endless_attributes_does_not_overflow_the_stack() {
        for attribute in ["a=\"\" ", "a=\">\" ", "a='' ", "a = \"b\"\n"] {
            let page = format!("<title>Before</title><a {}>x</a>", attribute.repeat(200_000));
            assert_eq!(Document::read(&page).title.as_deref(), Some("Before"), "{attribute}");
        }
        let many = "<a title=\"x\" href=\"/y\" class=\"z\">x</a>".repeat(500);
        assert_eq!(Document::read(&many).anchors.len(), 500, "the bound is for one tag");
    }
}
