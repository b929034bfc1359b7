//! The read parts of a page.

use super::places::Place;

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
    /// Its line (the next one if it has no visible text), and the byte of that line at which it
    /// begins.
    pub(super) line: usize,
    pub(super) at: usize,
}

/// `<img>` that may be the site's logo, with the signs of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) src: String,
    pub(super) alt: String,
    /// The target of the link around it.
    pub(super) link: Option<String>,
    pub(super) place: Place,
    /// Set if its own marks, or those of its parents, call it a logo.
    pub(super) marked: bool,
    /// Set if it is in the site's footer.
    pub(super) footer: bool,
}

/// A line of the visible text, as elements such as `<p>`, `<td>` and `<br>` part it, with single
/// white space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) place: Place,
    /// Set if it is in `<address>`.
    pub(super) address: bool,
}

/// A page's tags, as far as the kinds here read them. URLs are as written.
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
    /// The text of the scripts in the page.
    pub(super) scripts: String,
    /// `<script type="application/ld+json">`.
    pub(super) json_ld: Vec<String>,
    /// The text outside of scripts and styles, with single white space.
    pub(super) text: String,
    /// The same line by line, and of long pages with their end.
    pub(super) lines: Vec<Line>,
}

impl Document {
    /// Returns the first meta of one of these names that is not empty.
    pub(super) fn meta(&self, names: &[&str]) -> Option<&str> {
        let of = |name: &&str| {
            self.metas
                .iter()
                .find(|(n, content)| n == name && !content.is_empty())
        };
        names
            .iter()
            .find_map(of)
            .map(|(_, content)| content.as_str())
    }
}
