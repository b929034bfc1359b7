//! What a page says in its tags: no tree is built, and everything is bounded.
//!
//! Of tree construction (<https://html.spec.whatwg.org/multipage/parsing.html>) this keeps what decides how the text behind a tag is
//! read: which element's text is no markup, and which elements of SVG and `MathML` are open.

mod foreign;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Emitter, ForwardingEmitter, HtmlString, Spanned, StartTag, State, Token, Tokenizer};

use self::foreign::Foreign;
use super::fetch::Page;

use super::places::{Marks, Part, Place, Places};

/// The most links, scripts and the like of each sort that are kept of a page.
const MAX_ITEMS: usize = 2_000;
/// The most images: the logo stands near a page's beginning.
const MAX_IMAGES: usize = 50;
/// The longest URL that is kept, in bytes.
const MAX_URL: usize = 2_048;
/// The longest title, description or anchor text, in bytes.
const MAX_TEXT: usize = 4_096;
/// How much of all inline scripts is kept, in bytes.
const MAX_SCRIPTS: usize = 256 * 1024;
/// How much of the visible text is kept, in bytes.
const MAX_VISIBLE: usize = 16 * 1024;

/// The most lines of it, and how much of them all, in bytes: numbers and addresses stand at a page's end.
const MAX_LINES: usize = 20_000;
const MAX_LINED: usize = 512 * 1024;
/// Elements that stand within a line.
const INLINE: &str = "a abbr b bdi bdo big cite code data em font i img ins kbd label mark nobr q s samp small span \
    strike strong sub sup time tt u var wbr";

/// The most quoted attributes of one tag.
const MAX_QUOTED: usize = 300;
/// The longest name of a character reference, in bytes, with both signs around it.
const MAX_REFERENCE: usize = 40;

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
    /// Its line, which is the next one where nothing of its own is in sight, and at which byte of that it begins.
    pub(super) line: usize,
    pub(super) at: usize,
}

/// `<img>` that may be the site's logo, with what says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) src: String,
    pub(super) alt: String,
    /// Where the link leads that it is in.
    pub(super) link: Option<String>,
    pub(super) place: Place,
    /// Its own marks, or those of what it is in, call it a logo.
    pub(super) marked: bool,
    /// It stands in the site's footer.
    pub(super) footer: bool,
}

/// A line of the visible text, as elements such as `<p>`, `<td>` and `<br>` part it, its white space single.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) place: Place,
    /// It stands in `<address>`.
    pub(super) address: bool,
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
    pub(super) images: Vec<Image>,
    pub(super) script_urls: Vec<String>,
    /// The text of scripts that stand in the page.
    pub(super) scripts: String,
    /// `<script type="application/ld+json">`.
    pub(super) json_ld: Vec<String>,
    /// The text that stands outside of scripts and styles, its white space single.
    pub(super) text: String,
    /// The same line by line, and of long pages with their end.
    pub(super) lines: Vec<Line>,
}

impl Document {
    /// Reads a page as what its server says it is.
    pub(super) fn of(page: &Page) -> Self {
        let media_type = page.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let media_type = media_type.map_or("", |(_, value)| value.split([';', ',']).next().unwrap_or_default().trim());
        Self::read_as(&page.body, ["application/xhtml+xml", "application/xml", "text/xml"].contains(&media_type))
    }

    pub(super) fn read(html: &str) -> Self {
        Self::read_as(html, false)
    }

    fn read_as(text: &str, xml: bool) -> Self {
        let foreign = Rc::new(Cell::new(xml));
        let emitter = Emitting { inner: DefaultEmitter::default(), foreign: Rc::clone(&foreign) };
        let mut tokenizer = Tokenizer::new_with_emitter(Bounded::new(text), emitter);
        let mut reader = Reader::new(text, xml);
        while let Some(Ok(token)) = tokenizer.next() {
            match token {
                Token::Doctype(doctype) => reader.doctype(doctype.public_identifier.as_ref()),
                Token::StartTag(tag) => {
                    if let Some(state) = reader.start(&tag) {
                        tokenizer.set_state(state);
                    }
                }
                Token::EndTag(tag) => reader.end(&tag.name),
                Token::String(text) => reader.text(&text),
                _ => {}
            }
            foreign.set(xml || reader.foreign.is_current());
        }
        reader.end_line();
        reader.end_anchor();
        reader.end_element();
        reader.document
    }

    /// The first meta of one of these names that is not empty.
    pub(super) fn meta(&self, names: &[&str]) -> Option<&str> {
        let of = |name: &&str| self.metas.iter().find(|(n, content)| n == name && !content.is_empty());
        names.iter().find_map(of).map(|(_, content)| content.as_str())
    }
}

/// Replaces the character references of a text by what they stand for. One that ends with no semicolon is none: what it is in
/// most texts that are no HTML is a parameter of a URL.
pub(super) fn dereference(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for (at, part) in text.split('&').enumerate() {
        if at > 0 {
            let name = part.bytes().take(MAX_REFERENCE).take_while(|b| b.is_ascii_alphanumeric() || *b == b'#').count();
            safe.push_str(if name > 0 && part.as_bytes().get(name) == Some(&b';') { "&" } else { "&amp;" });
        }
        safe.push_str(part);
    }
    // The tokenizer of pages: one of other types would be in the binary twice.
    let mut tokenizer = Tokenizer::new_with_emitter(Bounded::new(&safe), Emitting::default());
    // Of this text no tag is one.
    tokenizer.set_state(State::RcData);
    let strings = tokenizer.filter_map(|token| match token {
        Ok(Token::String(text)) => Some(String::from_utf8_lossy(&text).into_owned()),
        _ => None,
    });
    strings.collect()
}

/// The default emitter, which knows by us whether a CDATA section can stand here.
#[derive(Default)]
struct Emitting {
    inner: DefaultEmitter,
    foreign: Rc<Cell<bool>>,
}

impl ForwardingEmitter for Emitting {
    type Token = Token;

    fn inner(&mut self) -> &mut impl Emitter<Token = Token> {
        &mut self.inner
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&mut self) -> bool {
        self.foreign.get()
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
    /// The text so far of a title or script, which markup declarations may part.
    held: String,
    anchor: Option<Anchor>,
    line: Line,
    /// How many bytes all lines have.
    lined: usize,
    anchor_part: Part,
    places: Places,
    foreign: Foreign,
    /// It is XML, where no text is anything but markup.
    xml: bool,
    /// Its author wrote XML: an element that its own tag closes is empty, whatever a browser would make of it.
    xhtml: bool,
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

/// What a tag says of its part: `role`, `class` and `id`.
fn marks(tag: &StartTag<()>) -> [String; 3] {
    ["role", "class", "id"].map(|name| attribute(&tag.attributes, name).unwrap_or_default())
}

impl Reader {
    fn new(text: &str, xml: bool) -> Self {
        Self { xml, xhtml: xml || text.trim_start().starts_with("<?xml"), ..Self::default() }
    }

    fn doctype(&mut self, public_identifier: Option<&HtmlString>) {
        self.xhtml |= public_identifier.is_some_and(|id| id.windows(5).any(|word| word.eq_ignore_ascii_case(b"xhtml")));
    }

    /// Returns how the text behind a tag is to be read, where it is no markup.
    fn start(&mut self, tag: &StartTag<()>) -> Option<State> {
        let name = tag.name.as_slice();
        let html = self.foreign.start(tag, self.xml);
        if html {
            if !self.xml {
                // It ended a style or script of SVG.
                self.end_element();
            }
            self.open(tag);
        } else {
            // Of SVG's elements these say something about the page.
            match name {
                b"a" => self.open_anchor(tag),
                b"script" => self.open_script(tag),
                b"style" => self.inside = Inside::Nothing,
                _ => {}
            }
        }
        if tag.self_closing && (!html || self.xhtml) {
            self.close(name);
            return None;
        }
        match name {
            _ if self.xml || !html => None,
            b"title" | b"textarea" => Some(State::RcData),
            b"style" | b"xmp" | b"iframe" | b"noembed" | b"noframes" => Some(State::RawText),
            b"script" => Some(State::ScriptData),
            b"plaintext" => Some(State::PlainText),
            _ => None,
        }
    }

    fn end(&mut self, name: &[u8]) {
        self.foreign.end(name, self.xml);
        self.close(name);
    }

    /// Begins a line where an element does that begins or ends here.
    fn part_lines(&mut self, name: &[u8]) {
        if !INLINE.split(' ').any(|inline| inline.as_bytes() == name) {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.text.is_empty() && self.document.lines.len() < MAX_LINES && self.lined < MAX_LINED {
            self.lined += line.text.len();
            self.document.lines.push(line);
        }
    }

    fn open(&mut self, tag: &StartTag<()>) {
        self.part_lines(&tag.name);
        let page = &mut self.document;
        let attributes = &tag.attributes;
        let [role, class, id] = marks(tag);
        self.places.open(&tag.name, Marks { role: &role, names: [&class, &id] });
        match tag.name.as_slice() {
            b"html" => {
                self.xhtml |= attribute(attributes, "xmlns").is_some();
                let language = || attribute(attributes, "lang").or_else(|| attribute(attributes, "xml:lang"));
                page.language = page.language.take().or_else(language);
            }
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
            b"a" => self.open_anchor(tag),
            b"img" => {
                if let Some(anchor) = self.anchor.as_mut().filter(|anchor| anchor.text.is_empty()) {
                    add_words(&mut anchor.text, &attribute(attributes, "alt").unwrap_or_default(), MAX_TEXT);
                }
                self.add_image(tag);
            }
            b"title" => self.inside = if self.foreign.is_open() { Inside::Body } else { Inside::Title },
            b"style" | b"textarea" | b"iframe" | b"noembed" | b"noframes" => self.inside = Inside::Nothing,
            b"script" => self.open_script(tag),
            _ => {}
        }
    }

    fn open_anchor(&mut self, tag: &StartTag<()>) {
        self.end_anchor();
        let text = attribute(&tag.attributes, "aria-label").or_else(|| attribute(&tag.attributes, "title"));
        let mut words = String::new();
        add_words(&mut words, &text.unwrap_or_default(), MAX_TEXT);
        let says = |name| attribute(&tag.attributes, name).unwrap_or_default().to_lowercase();
        let rel = [says("rel"), says("itemprop")].join(" ").trim().to_owned();
        let [role, class, id] = marks(tag);
        let part = self.places.part(Marks { role: &role, names: [&class, &id] });
        self.anchor_part = part;
        let place = part.place;
        let href = url(&tag.attributes, "href").or_else(|| url(&tag.attributes, "xlink:href"));
        let (line, at) = (self.document.lines.len(), self.line.text.len());
        self.anchor = href.map(|href| Anchor { href, text: words, rel, place, line, at });
    }

    fn add_image(&mut self, tag: &StartTag<()>) {
        if self.document.images.len() >= MAX_IMAGES {
            return;
        }
        let attributes = &tag.attributes;
        // Of an image that is fetched later, `src` is a blank.
        let sources = ["src", "data-src"].into_iter().filter_map(|name| url(attributes, name));
        let Some(src) = { sources }.find(|src| !src.starts_with("data:")) else { return };
        let [role, class, id] = marks(tag);
        let part = self.places.part(Marks { role: &role, names: [&class, &id] });
        let link = self.anchor.as_ref();
        let property = attribute(attributes, "itemprop").unwrap_or_default();
        let mut alt = String::new();
        add_words(&mut alt, &attribute(attributes, "alt").unwrap_or_default(), MAX_TEXT);
        self.document.images.push(Image {
            src,
            alt,
            link: link.map(|anchor| anchor.href.clone()),
            place: match link {
                _ if part.no_logo || self.anchor_part.no_logo => Place::Others,
                Some(anchor) if part.place == Place::Body => anchor.place,
                _ => part.place,
            },
            marked: part.logo || self.anchor_part.logo || property.eq_ignore_ascii_case("logo"),
            footer: part.footer,
        });
    }

    fn open_script(&mut self, tag: &StartTag<()>) {
        let page = &mut self.document;
        if let Some(src) = url(&tag.attributes, "src").filter(|_| page.script_urls.len() < MAX_ITEMS) {
            page.script_urls.push(src);
        }
        let kind = attribute(&tag.attributes, "type").unwrap_or_default().to_lowercase();
        self.inside = match kind.split(';').next().unwrap_or_default().trim() {
            "application/ld+json" => Inside::JsonLd,
            "" | "module" | "text/javascript" | "application/javascript" => Inside::Script,
            _ => Inside::Nothing,
        };
    }

    fn close(&mut self, name: &[u8]) {
        self.part_lines(name);
        self.places.close(name);
        match name {
            b"title" | b"script" | b"style" | b"textarea" | b"iframe" | b"noembed" | b"noframes" => self.end_element(),
            b"a" => self.end_anchor(),
            _ => {}
        }
    }

    /// Takes in what was held of a title or script.
    fn end_element(&mut self) {
        let (page, held) = (&mut self.document, std::mem::take(&mut self.held));
        match std::mem::take(&mut self.inside) {
            Inside::Title if page.title.is_none() => {
                let mut title = String::new();
                add_words(&mut title, &held, MAX_TEXT);
                page.title = Some(title).filter(|title| !title.is_empty());
            }
            Inside::Script if !held.is_empty() => {
                let room = MAX_SCRIPTS - page.scripts.len().min(MAX_SCRIPTS);
                page.scripts.push_str(&held[..held.floor_char_boundary(room)]);
                page.scripts.push('\n');
            }
            Inside::JsonLd if page.json_ld.len() < MAX_ITEMS && !held.is_empty() => page.json_ld.push(held),
            _ => {}
        }
    }

    fn end_anchor(&mut self) {
        self.anchor_part = Part::default();
        if let Some(anchor) = self.anchor.take().filter(|_| self.document.anchors.len() < MAX_ITEMS) {
            self.document.anchors.push(anchor);
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        match self.inside {
            Inside::Title | Inside::Script | Inside::JsonLd => self.held.push_str(&text),
            Inside::Nothing => {}
            Inside::Body => {
                if let Some(anchor) = &mut self.anchor {
                    add_words(&mut anchor.text, &text, MAX_TEXT);
                }
                add_words(&mut self.document.text, &text, MAX_VISIBLE);
                if self.line.text.is_empty() {
                    self.line.place = self.places.part(Marks::default()).place;
                    self.line.address = self.places.is_in("address");
                }
                add_words(&mut self.line.text, &text, MAX_TEXT);
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

    /// What is behind each is read: the title in the first place, and the link at the end.
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
            let page = Document::read(&format!("{start}<div><title>Acme</title><a href=/end>end</a></div>"));
            assert_eq!(page.title.as_deref(), Some("Acme"), "{start}");
            assert_eq!(page.anchors.last().map(|a| a.href.as_str()), Some("/end"), "{start}");
            assert!(page.text.ends_with("end") && !page.text.contains("{ }"), "{start}: {}", page.text);
        }
        let page = Document::read(
            "<svg><title>Icon</title><a xlink:href=/svg><text>In</text></a></svg><![CDATA[x]]><title>T</title>",
        );
        assert_eq!((page.title.as_deref(), page.text.as_str()), (Some("T"), "Icon In"));
        assert_eq!((page.anchors[0].href.as_str(), page.anchors[0].text.as_str()), ("/svg", "In"));
        let page = Document::read("<svg><text><![CDATA[a <b> &amp; c]]></text></svg>");
        assert_eq!(page.text, "a <b> &amp; c");
        // A slash says nothing in HTML.
        let page = Document::read("<!doctype html><script src=/a /><title>no</title></script><title>Yes</title><p/>x");
        assert_eq!((page.title.as_deref(), page.script_urls.len(), page.text.as_str()), (Some("Yes"), 1, "x"));
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
            assert_eq!((page.title.as_deref(), page.script_urls.len()), (Some("A & B"), 1), "{start}");
            assert_eq!((page.json_ld.len(), page.text.as_str()), (1, "y"), "{start}");
            let anchors: Vec<_> =
                page.anchors.iter().map(|anchor| (anchor.href.as_str(), anchor.text.as_str())).collect();
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
        assert_eq!((page.title.as_deref(), page.text.as_str()), (Some("A & B"), "x"));
        assert_eq!((&page.json_ld[..], page.scripts.as_str()), (&["{\"a\": \"</b>\"}".to_owned()][..], "a < b\n"));
        assert_eq!(of("text/html", "<title/>x</title>y").title.as_deref(), Some("x"));
    }

    #[test]
    fn references_are_read_in_texts_that_are_no_html() {
        for (text, wanted) in [
            ("Smith &#8217;n&#8217; Sons &#038; Co", "Smith \u{2019}n\u{2019} Sons & Co"),
            ("Caf&eacute; &#x1F600; &NotEqualTilde; &amp;amp;", "Caf\u{e9} \u{1f600} \u{2242}\u{338} &amp;"),
            ("/?a=1&copy=2&reg", "/?a=1&copy=2&reg"),
            ("<b>R&D</b> &unknown; &; &#; & &lt;/title&gt;", "<b>R&D</b> &unknown; &; &#; & </title>"),
            ("", ""),
        ] {
            assert_eq!(dereference(text), wanted, "{text}");
        }
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
            "<svg>".repeat(200_000),
            format!("{}{}", "<svg><g>".repeat(60_000), "</x>".repeat(120_000)),
            "<math><mi><svg><desc>".repeat(50_000),
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
