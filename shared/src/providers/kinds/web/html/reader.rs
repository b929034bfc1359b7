//! Reads a page's tags and texts, one after the other.

use std::collections::BTreeMap;

use html5gum::{HtmlString, Spanned, StartTag, State};

use super::foreign::Foreign;
use crate::providers::kinds::web::document::{Anchor, Document, Image, Line, Link};
use crate::providers::kinds::web::places::{Marks, Part, Place, Places};

/// The most links, scripts and the like of each sort that are kept of a page.
const MAX_ITEMS: usize = 2_000;
/// The most images: the logo is near a page's beginning.
const MAX_IMAGES: usize = 50;
/// The longest URL that is kept, in bytes.
const MAX_URL: usize = 2_048;
/// The longest title, description or anchor text, in bytes.
const MAX_TEXT: usize = 4_096;
/// The most of all inline scripts that is kept, in bytes.
pub(super) const MAX_SCRIPTS: usize = 256 * 1024;
/// The most of the visible text that is kept, in bytes.
pub(super) const MAX_VISIBLE: usize = 16 * 1024;
/// The most lines of it, and the most bytes of them all: numbers and addresses are at a page's end.
const MAX_LINES: usize = 20_000;
const MAX_LINED: usize = 512 * 1024;
/// Elements within a line.
const INLINE: &str = "a abbr b bdi bdo big cite code data em font i img ins kbd label mark nobr q \
                      s samp small span strike strong sub sup time tt u var wbr";

/// The element that the next text belongs to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Inside {
    #[default]
    Body,
    Title,
    Script,
    JsonLd,
    /// Styles and data that are not read.
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    document: Document,
    inside: Inside,
    /// The text so far of a title or script, which markup declarations may part.
    held: String,
    anchor: Option<Anchor>,
    line: Line,
    /// The bytes of all lines.
    lined: usize,
    anchor_part: Part,
    places: Places,
    foreign: Foreign,
    /// Set if it is XML, where text is never anything but markup.
    xml: bool,
    /// Set if its author wrote XML: a self-closing element is empty, even where browsers disagree.
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

/// Adds text with single white space, up to `most` bytes.
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

/// Returns the attributes of a tag that describe its part: `role`, `class` and `id`.
fn marks(tag: &StartTag<()>) -> [String; 3] {
    ["role", "class", "id"].map(|name| attribute(&tag.attributes, name).unwrap_or_default())
}

impl Reader {
    pub(super) fn new(text: &str, xml: bool) -> Self {
        Self {
            xml,
            xhtml: xml || text.trim_start().starts_with("<?xml"),
            ..Self::default()
        }
    }

    pub(super) fn doctype(&mut self, public_identifier: Option<&HtmlString>) {
        self.xhtml |= public_identifier.is_some_and(|id| {
            id.windows(5)
                .any(|word| word.eq_ignore_ascii_case(b"xhtml"))
        });
    }

    /// Returns the state for the text behind a tag, if it is not markup.
    pub(super) fn start(&mut self, tag: &StartTag<()>) -> Option<State> {
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

    pub(super) fn end(&mut self, name: &[u8]) {
        self.foreign.end(name, self.xml);
        self.close(name);
    }

    /// Returns whether the element that is open is one of SVG or `MathML`.
    pub(super) fn is_in_foreign(&self) -> bool {
        self.foreign.is_current()
    }

    /// Returns the document, at the end of the text.
    pub(super) fn finish(mut self) -> Document {
        self.end_line();
        self.end_anchor();
        self.end_element();
        self.document
    }

    /// Begins a line if the element that begins or ends here does.
    fn part_lines(&mut self, name: &[u8]) {
        if !INLINE.split(' ').any(|inline| inline.as_bytes() == name) {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.text.is_empty() && self.document.lines.len() < MAX_LINES && self.lined < MAX_LINED
        {
            self.lined += line.text.len();
            self.document.lines.push(line);
        }
    }

    fn open(&mut self, tag: &StartTag<()>) {
        self.part_lines(&tag.name);
        let page = &mut self.document;
        let attributes = &tag.attributes;
        let [role, class, id] = marks(tag);
        self.places.open(
            &tag.name,
            Marks {
                role: &role,
                names: [&class, &id],
            },
        );
        match tag.name.as_slice() {
            b"html" => {
                self.xhtml |= attribute(attributes, "xmlns").is_some();
                let language =
                    || attribute(attributes, "lang").or_else(|| attribute(attributes, "xml:lang"));
                page.language = page.language.take().or_else(language);
            }
            b"base" => page.base = page.base.take().or_else(|| url(attributes, "href")),
            b"meta" if page.metas.len() < MAX_ITEMS => {
                page.metas.extend(
                    attribute(attributes, "charset").map(|name| ("charset".to_owned(), name)),
                );
                let name = ["property", "name", "itemprop", "http-equiv"]
                    .iter()
                    .find_map(|n| attribute(attributes, n));
                if let (Some(name), Some(mut content)) = (name, attribute(attributes, "content")) {
                    content.truncate(content.floor_char_boundary(MAX_TEXT));
                    page.metas.push((name.to_lowercase(), content));
                }
            }
            b"link" if page.links.len() < MAX_ITEMS => {
                if let (Some(rel), Some(href)) =
                    (attribute(attributes, "rel"), url(attributes, "href"))
                {
                    let media_type = attribute(attributes, "type")
                        .unwrap_or_default()
                        .to_lowercase();
                    page.links.push(Link {
                        rel: rel.to_lowercase(),
                        href,
                        media_type,
                    });
                }
            }
            b"a" => self.open_anchor(tag),
            b"img" => {
                if let Some(anchor) = self.anchor.as_mut().filter(|anchor| anchor.text.is_empty()) {
                    add_words(
                        &mut anchor.text,
                        &attribute(attributes, "alt").unwrap_or_default(),
                        MAX_TEXT,
                    );
                }
                self.add_image(tag);
            }
            b"title" => {
                self.inside = if self.foreign.is_open() {
                    Inside::Body
                } else {
                    Inside::Title
                }
            }
            b"style" | b"textarea" | b"iframe" | b"noembed" | b"noframes" => {
                self.inside = Inside::Nothing;
            }
            b"script" => self.open_script(tag),
            _ => {}
        }
    }

    fn open_anchor(&mut self, tag: &StartTag<()>) {
        self.end_anchor();
        let text = attribute(&tag.attributes, "aria-label")
            .or_else(|| attribute(&tag.attributes, "title"));
        let mut words = String::new();
        add_words(&mut words, &text.unwrap_or_default(), MAX_TEXT);
        let says = |name| {
            attribute(&tag.attributes, name)
                .unwrap_or_default()
                .to_lowercase()
        };
        let rel = [says("rel"), says("itemprop")].join(" ").trim().to_owned();
        let [role, class, id] = marks(tag);
        let part = self.places.part(Marks {
            role: &role,
            names: [&class, &id],
        });
        self.anchor_part = part;
        let place = part.place;
        let href = url(&tag.attributes, "href").or_else(|| url(&tag.attributes, "xlink:href"));
        let (line, at) = (self.document.lines.len(), self.line.text.len());
        self.anchor = href.map(|href| Anchor {
            href,
            text: words,
            rel,
            place,
            line,
            at,
        });
    }

    fn add_image(&mut self, tag: &StartTag<()>) {
        if self.document.images.len() >= MAX_IMAGES {
            return;
        }
        let attributes = &tag.attributes;
        // Lazy images have a blank as `src`.
        let sources = ["src", "data-src"]
            .into_iter()
            .filter_map(|name| url(attributes, name));
        let Some(src) = { sources }.find(|src| !src.starts_with("data:")) else {
            return;
        };
        let [role, class, id] = marks(tag);
        let part = self.places.part(Marks {
            role: &role,
            names: [&class, &id],
        });
        let link = self.anchor.as_ref();
        let property = attribute(attributes, "itemprop").unwrap_or_default();
        let mut alt = String::new();
        add_words(
            &mut alt,
            &attribute(attributes, "alt").unwrap_or_default(),
            MAX_TEXT,
        );
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
        if let Some(src) =
            url(&tag.attributes, "src").filter(|_| page.script_urls.len() < MAX_ITEMS)
        {
            page.script_urls.push(src);
        }
        let kind = attribute(&tag.attributes, "type")
            .unwrap_or_default()
            .to_lowercase();
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
            b"title" | b"script" | b"style" | b"textarea" | b"iframe" | b"noembed"
            | b"noframes" => self.end_element(),
            b"a" => self.end_anchor(),
            _ => {}
        }
    }

    /// Ends a title or script, and stores its text.
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
                page.scripts
                    .push_str(&held[..held.floor_char_boundary(room)]);
                page.scripts.push('\n');
            }
            Inside::JsonLd if page.json_ld.len() < MAX_ITEMS && !held.is_empty() => {
                page.json_ld.push(held);
            }
            _ => {}
        }
    }

    fn end_anchor(&mut self) {
        self.anchor_part = Part::default();
        if let Some(anchor) = self
            .anchor
            .take()
            .filter(|_| self.document.anchors.len() < MAX_ITEMS)
        {
            self.document.anchors.push(anchor);
        }
    }

    pub(super) fn text(&mut self, bytes: &[u8]) {
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
