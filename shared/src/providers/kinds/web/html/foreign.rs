//! Elements of SVG and `MathML` that are open, by the rules for parsing tokens in foreign content
//! (<https://html.spec.whatwg.org/multipage/parsing.html#parsing-main-inforeign>).

use html5gum::StartTag;

/// The depth from which on open elements are taken for closed: pages nest a few dozen.
const MAX_OPEN: usize = 256;

/// HTML's start tags that end all foreign elements around them.
const BREAKOUT: [&[u8]; 44] = [
    b"b",
    b"big",
    b"blockquote",
    b"body",
    b"br",
    b"center",
    b"code",
    b"dd",
    b"div",
    b"dl",
    b"dt",
    b"em",
    b"embed",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"h5",
    b"h6",
    b"head",
    b"hr",
    b"i",
    b"img",
    b"li",
    b"listing",
    b"menu",
    b"meta",
    b"nobr",
    b"ol",
    b"p",
    b"pre",
    b"ruby",
    b"s",
    b"small",
    b"span",
    b"strong",
    b"strike",
    b"sub",
    b"sup",
    b"table",
    b"tt",
    b"u",
    b"ul",
    b"var",
];

/// The kind of content of an open element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Elements of SVG or `MathML`.
    Foreign,
    /// HTML, but for its glyphs: a `MathML` text integration point.
    Text,
    /// HTML: an HTML integration point.
    Html,
    /// `annotation-xml`, in which an `svg` is one of HTML's.
    Annotation,
}

#[derive(Debug)]
struct Open {
    name: Vec<u8>,
    math: bool,
    content: Content,
}

/// The foreign elements that are open, outermost first. HTML's within them are not kept.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    open: Vec<Open>,
}

impl Foreign {
    /// Returns whether any is open.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Returns whether the innermost element that is open is a foreign one, as far as is kept.
    pub(super) fn is_current(&self) -> bool {
        self.open
            .last()
            .is_some_and(|open| open.content != Content::Html)
    }

    /// Takes a start tag; returns whether it is one of HTML's.
    pub(super) fn start(&mut self, tag: &StartTag<()>, xml: bool) -> bool {
        let name = tag.name.as_slice();
        let font = || {
            ["color", "face", "size"]
                .iter()
                .any(|name| tag.attributes.contains_key(name.as_bytes()))
        };
        if !xml
            && !self.takes_html(name)
            && (BREAKOUT.contains(&name) || (name == b"font" && font()))
        {
            self.break_out();
        }
        let root = matches!(name, b"svg" | b"math");
        let html = self.takes_html(name);
        if html && !root {
            return true;
        }
        let math = if html {
            name == b"math"
        } else {
            self.open.last().is_some_and(|open| open.math)
        };
        if !tag.self_closing && self.open.len() < MAX_OPEN {
            let encoding = tag
                .attributes
                .get(&b"encoding"[..])
                .map(|value| value.to_ascii_lowercase());
            let content = match (math, name) {
                (true, b"mi" | b"mo" | b"mn" | b"ms" | b"mtext") => Content::Text,
                (true, b"annotation-xml") => match encoding.as_deref() {
                    Some(b"text/html" | b"application/xhtml+xml") => Content::Html,
                    _ => Content::Annotation,
                },
                (false, b"foreignobject" | b"desc" | b"title") => Content::Html,
                _ => Content::Foreign,
            };
            self.open.push(Open {
                name: name.to_vec(),
                math,
                content,
            });
        }
        false
    }

    /// Takes an end tag.
    pub(super) fn end(&mut self, name: &[u8], xml: bool) {
        if let Some(at) = self.open.iter().rposition(|open| open.name == name) {
            self.open.truncate(at);
        } else if !xml && matches!(name, b"p" | b"br") && self.is_current() {
            self.break_out();
        }
    }

    /// Returns whether a start tag is read by HTML's rules here.
    fn takes_html(&self, name: &[u8]) -> bool {
        self.open.last().is_none_or(|open| match open.content {
            Content::Foreign => false,
            Content::Text => !matches!(name, b"mglyph" | b"malignmark"),
            Content::Html => true,
            Content::Annotation => name == b"svg",
        })
    }

    /// Ends all up to an element that may contain HTML.
    fn break_out(&mut self) {
        while self
            .open
            .last()
            .is_some_and(|open| matches!(open.content, Content::Foreign | Content::Annotation))
        {
            self.open.pop();
        }
    }
}
