//! Reads a page's tags: no tree is built, and everything is bounded.
//!
//! Of tree construction (<https://html.spec.whatwg.org/multipage/parsing.html>) this keeps the
//! parts that decide how the text behind a tag is read: elements whose text is not markup, and open
//! elements of SVG and `MathML`.

mod foreign;
mod input;
mod reader;

use std::cell::Cell;
use std::rc::Rc;

use html5gum::{State, Token, Tokenizer};

use self::input::{Bounded, Emitting};
use self::reader::Reader;
pub(super) use super::document::{Anchor, Document, Image, Line};
use super::page::Page;

/// The longest name of a character reference, in bytes, with both signs around it.
const MAX_REFERENCE: usize = 40;

impl Document {
    /// Reads a page by the type that its server gives.
    pub(super) fn of(page: &Page) -> Self {
        let media_type = page
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let media_type = media_type.map_or("", |(_, value)| {
            value.split([';', ',']).next().unwrap_or_default().trim()
        });
        Self::read_as(
            &page.body,
            ["application/xhtml+xml", "application/xml", "text/xml"].contains(&media_type),
        )
    }

    pub(super) fn read(html: &str) -> Self {
        Self::read_as(html, false)
    }

    fn read_as(text: &str, xml: bool) -> Self {
        let foreign = Rc::new(Cell::new(xml));
        let emitter = Emitting::new(Rc::clone(&foreign));
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
            foreign.set(xml || reader.is_in_foreign());
        }
        reader.finish()
    }
}

/// Replaces the character references of a text. One without a semicolon is ignored: in most texts
/// that are not HTML it is a parameter of a URL.
pub(super) fn dereference(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let mut safe = String::with_capacity(text.len());
    for (at, part) in text.split('&').enumerate() {
        if at > 0 {
            let name = part
                .bytes()
                .take(MAX_REFERENCE)
                .take_while(|b| b.is_ascii_alphanumeric() || *b == b'#')
                .count();
            safe.push_str(if name > 0 && part.as_bytes().get(name) == Some(&b';') {
                "&"
            } else {
                "&amp;"
            });
        }
        safe.push_str(part);
    }
    // The tokenizer of pages: one of other types would be in the binary twice.
    let mut tokenizer = Tokenizer::new_with_emitter(Bounded::new(&safe), Emitting::default());
    // The text has no tags.
    tokenizer.set_state(State::RcData);
    let strings = tokenizer.filter_map(|token| match token {
        Ok(Token::String(text)) => Some(String::from_utf8_lossy(&text).into_owned()),
        _ => None,
    });
    strings.collect()
}

#[cfg(test)]
mod tests;
