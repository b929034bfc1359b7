//! The purpose that a page is fetched for, and its check.

use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};

/// The purpose that a page is fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::providers::kinds::web) enum Want {
    Html,
    /// RSS, Atom or JSON Feed, which servers give many types.
    Feed,
}

impl Want {
    pub(super) fn accept(self) -> &'static str {
        match self {
            Self::Html => "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1",
            Self::Feed => {
                "application/atom+xml,application/rss+xml,application/feed+json,\
                 application/xml;q=0.9,text/xml;q=0.9,*/*;q=0.1"
            }
        }
    }

    /// Returns whether the type may be right. Types of feeds are not reliable.
    pub(super) fn may_be(self, media_type: &str) -> bool {
        let is = |types: &[&str]| {
            types
                .iter()
                .any(|other| media_type.eq_ignore_ascii_case(other))
        };
        self == Self::Feed || media_type.is_empty() || is(&PAGES) || is(&XML)
    }

    /// Returns whether the type and the text are right.
    pub(super) fn fits(self, media_type: &str, text: &str) -> bool {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        match self {
            // A page is one by its type, whatever its first element is.
            Self::Html
                if PAGES
                    .iter()
                    .any(|page| media_type.eq_ignore_ascii_case(page)) =>
            {
                true
            }
            Self::Html if media_type.is_empty() => text.starts_with('<'),
            Self::Html => is_xhtml(text),
            Self::Feed => text.starts_with(['<', '{']),
        }
    }
}

/// The types of pages, and those of any XML, which XHTML is served with as well (W3C, XHTML Media
/// Types).
const PAGES: [&str; 2] = ["text/html", "application/xhtml+xml"];

const XML: [&str; 2] = ["application/xml", "text/xml"];

/// Returns whether the outermost element of an XML text is that of XHTML.
fn is_xhtml(text: &str) -> bool {
    let mut reader = NsReader::from_str(text);
    loop {
        match reader.read_resolved_event() {
            Ok((namespace, Event::Start(tag))) => {
                let xhtml = Namespace("http://www.w3.org/1999/xhtml");
                let own =
                    [ResolveResult::Unbound, ResolveResult::Bound(xhtml)].contains(&namespace);
                break own && tag.name().as_ref().eq_ignore_ascii_case("html");
            }
            Ok((_, Event::Empty(_) | Event::End(_) | Event::Eof)) | Err(_) => break false,
            Ok(_) => {}
        }
    }
}
