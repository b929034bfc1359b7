//! RSS, Atom and JSON Feed: the newest entries' titles, links and dates.
//!
//! quick-xml reads the XML and its namespaces. The crates that read whole feeds (`feed-rs` 3.0 was
//! tried) refuse a feed with a bare `&`, with `&eacute;`, with an extra tag, or truncated at our
//! limit of bytes; the entries before the fault are still news.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, NamespaceResolver, ResolveResult};
use serde_json::Value;
use url::Url;

use super::html::{Document, dereference};
use super::{dates, links};
use crate::domain::json;
use crate::domain::time::Timestamp;

/// The most entries of a feed that are read.
const MAX_ENTRIES: usize = 200;
/// The longest title that is kept, in bytes.
const MAX_TITLE: usize = 500;
/// The longest text of a title, link or date that is read, in bytes.
const MAX_SAID: usize = 64 * 1024;
/// The depth to which elements are distinguished; deeper ones count as the text of their parent.
const MAX_DEPTH: usize = 128;

/// `item` or `entry`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) title: String,
    pub(super) url: Option<String>,
    pub(super) date: Option<Timestamp>,
}

/// Returns the entries of a feed, in its order, without those that have no title. A truncated feed
/// gives its beginning. `url` is the feed's own.
pub(super) fn entries(text: &str, url: &Url) -> Vec<Entry> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut entries = if text.starts_with('{') {
        of_json(text, url)
    } else {
        Reading::new(url).of_xml(text)
    };
    entries.retain(|entry| !entry.title.is_empty());
    entries.truncate(MAX_ENTRIES);
    entries
}

/// Reads JSON Feed, version 1 and 1.1. Source: <https://www.jsonfeed.org/version/1.1/>.
fn of_json(text: &str, url: &Url) -> Vec<Entry> {
    let feed: Value = json::read(text.as_bytes()).unwrap_or_default();
    let versioned = feed["version"]
        .as_str()
        .is_some_and(|version| version.contains("jsonfeed.org/version/1"));
    let items = feed["items"].as_array().filter(|_| versioned);
    let items = items.into_iter().flatten();
    items
        .map(|item| {
            let text = |name: &str| {
                item[name]
                    .as_str()
                    .map(str::trim)
                    .filter(|text| !text.is_empty())
            };
            Entry {
                title: text("title")
                    .map(|title| words(&dereference(title)))
                    .unwrap_or_default(),
                url: text("url")
                    .or_else(|| text("external_url"))
                    .and_then(|href| links::absolute(url, href)),
                date: ["date_published", "date_modified"]
                    .iter()
                    .find_map(|name| dates::read(text(name)?)),
            }
        })
        .collect()
}

/// The vocabulary of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vocabulary {
    /// RSS of any version. Its elements have no namespace, or one of several.
    Rss,
    Atom,
    /// Dublin Core, elements or terms.
    Dublin,
    Others,
}

impl Vocabulary {
    fn of(namespace: &ResolveResult<'_>) -> Self {
        match namespace {
            ResolveResult::Unbound => Self::Rss,
            // Some write `https` for the name's `http`.
            ResolveResult::Bound(Namespace(uri)) => match after(uri, "://").trim_end_matches('/') {
                "www.w3.org/2005/Atom" | "purl.org/atom/ns#" => Self::Atom,
                "purl.org/dc/elements/1.1" | "purl.org/dc/terms" => Self::Dublin,
                "purl.org/rss/1.0"
                | "my.netscape.com/rdf/simple/0.9"
                | "channel.netscape.com/rdf/simple/0.9"
                | "backend.userland.com/rss2"
                | "backend.userland.com/RSS2"
                | "blogs.law.harvard.edu/tech/rss" => Self::Rss,
                _ => Self::Others,
            },
            // Not declared, as where a template was copied in part.
            ResolveResult::Unknown(prefix) => match prefix.as_str() {
                "atom" => Self::Atom,
                "dc" | "dcterms" => Self::Dublin,
                _ => Self::Others,
            },
        }
    }
}

fn after<'t>(text: &'t str, sign: &str) -> &'t str {
    text.split_once(sign).map_or(text, |(_, rest)| rest)
}

/// The form of an element's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Html,
    /// RSS does not say.
    Either,
}

/// The part of an entry that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Title(Form),
    Link,
    /// RSS's id of the entry, which is its link unless it says otherwise.
    Permalink,
    /// The time of publication, and of the last change: the first wins.
    Published,
    Updated,
}

impl Part {
    /// Returns the part of an entry that an element is, by its attributes if its name does not
    /// tell.
    fn of(of: Vocabulary, name: &str, attribute: impl Fn(&str) -> Option<String>) -> Option<Self> {
        Some(match (of, name) {
            (Vocabulary::Rss, "title") => Self::Title(Form::Either),
            (Vocabulary::Atom, "title") => Self::Title(match attribute("type").as_deref() {
                Some("html" | "text/html") => Form::Html,
                _ => Form::Plain,
            }),
            (Vocabulary::Rss, "link") => Self::Link,
            (Vocabulary::Rss, "guid")
                if attribute("isPermaLink").is_none_or(|is| is != "false") =>
            {
                Self::Permalink
            }
            (Vocabulary::Rss, "pubDate" | "published")
            | (Vocabulary::Atom, "published" | "issued" | "created")
            | (Vocabulary::Dublin, "date" | "issued" | "created") => Self::Published,
            (Vocabulary::Rss | Vocabulary::Atom, "updated" | "modified")
            | (Vocabulary::Dublin, "modified") => Self::Updated,
            _ => return None,
        })
    }
}

/// A part whose element is open; `at` is the element's place among the open ones.
struct Open {
    part: Part,
    at: usize,
    said: String,
}

/// An unfinished entry whose element is open, with the element's place among the open ones.
#[derive(Default)]
struct Draft {
    at: usize,
    /// The unknown default namespace of its element, if there is one: its own parts are in the
    /// same.
    namespace: Option<String>,
    entry: Entry,
    permalink: Option<String>,
    updated: Option<Timestamp>,
    /// The place of an open `source`: its contents are about the feed that the entry is from.
    source: Option<usize>,
}

struct Reading<'u> {
    url: &'u Url,
    entries: Vec<Entry>,
    draft: Option<Draft>,
    open: Option<Open>,
    /// The open elements, by their names as written. An end tag of none of them is ignored; one of
    /// an outer element ends those within. The outermost stays open: its declarations hold to the
    /// end of the text.
    elements: Vec<String>,
    /// It has a level for each of them.
    namespaces: NamespaceResolver,
}

impl<'u> Reading<'u> {
    fn new(url: &'u Url) -> Self {
        let namespaces = NamespaceResolver::default();
        Self {
            url,
            entries: Vec::new(),
            draft: None,
            open: None,
            elements: Vec::new(),
            namespaces,
        }
    }

    fn of_xml(mut self, text: &str) -> Vec<Entry> {
        let mut reader = Reader::from_str(text);
        let settings = reader.config_mut();
        settings.check_end_names = false;
        settings.allow_unmatched_ends = true;
        settings.allow_dangling_amp = true;
        while self.entries.len() < MAX_ENTRIES {
            match reader.read_event() {
                Ok(Event::Start(tag)) => self.element(&tag, false),
                Ok(Event::Empty(tag)) => self.element(&tag, true),
                Ok(Event::End(tag)) => self.end(tag.name().as_ref()),
                Ok(Event::Text(text)) => self.say(&text.xml10_content()),
                Ok(Event::CData(text)) => self.say(&text.xml10_content()),
                Ok(Event::GeneralRef(name)) if self.open.is_some() => {
                    let whole = format!("&{};", &*name);
                    let reference = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#');
                    let said = dereference(&whole);
                    // An entity that only the feed's own document type declares; or none, but a
                    // bare `&` and a `;` far behind.
                    self.say(if reference && said == whole {
                        " "
                    } else {
                        &said
                    });
                }
                Ok(Event::Eof) | Err(_) => break,
                Ok(_) => {}
            }
        }
        self.entries
    }

    fn say(&mut self, text: &str) {
        if let Some(open) = &mut self.open {
            let room = MAX_SAID.saturating_sub(open.said.len());
            open.said.push_str(&text[..text.floor_char_boundary(room)]);
        }
    }

    fn element(&mut self, tag: &BytesStart<'_>, empty: bool) {
        // Declarations over the limit are ignored.
        let _ = self.namespaces.push(tag);
        let (of, namespace) = self.vocabulary(tag);
        self.start(of, namespace, tag, empty);
        if empty || self.elements.len() >= MAX_DEPTH {
            self.namespaces.pop();
        } else {
            self.elements.push(tag.name().as_ref().to_owned());
        }
    }

    /// Returns the vocabulary of an element. Some feeds have a default namespace of their own,
    /// which is then the entry's.
    fn vocabulary(&self, tag: &BytesStart<'_>) -> (Vocabulary, Option<String>) {
        let (namespace, _) = self.namespaces.resolve_element(tag.name());
        let of = Vocabulary::of(&namespace);
        let ResolveResult::Bound(Namespace(uri)) = namespace else {
            return (of, None);
        };
        let own = match &self.draft {
            Some(draft) => draft.namespace.as_deref() == Some(uri),
            None => {
                tag.name().prefix().is_none()
                    && self.is_feed()
                    && uri != "http://www.w3.org/1999/xhtml"
            }
        };
        if of == Vocabulary::Others && own {
            (Vocabulary::Rss, Some(uri.to_owned()))
        } else {
            (of, None)
        }
    }

    /// Returns whether the outermost element is that of a feed: pages and site maps contain entries
    /// as well.
    fn is_feed(&self) -> bool {
        let root = self
            .elements
            .first()
            .map(|name| name.rsplit(':').next().unwrap_or_default());
        root.is_some_and(|root| ["rss", "RDF", "feed", "channel"].contains(&root))
    }

    fn start(
        &mut self,
        of: Vocabulary,
        namespace: Option<String>,
        tag: &BytesStart<'_>,
        empty: bool,
    ) {
        let name = tag.local_name();
        let name = name.as_ref();
        let at = self.elements.len();
        if matches!(
            (of, name),
            (Vocabulary::Rss, "item" | "entry") | (Vocabulary::Atom, "entry")
        ) {
            // The end of the one before is missing.
            self.end_entry();
            self.draft = (!empty).then(|| Draft {
                at,
                namespace,
                ..Draft::default()
            });
            return;
        }
        let Some(draft) = &mut self.draft else { return };
        if let Some(open) = &mut self.open {
            // Markup within a title.
            if ["p", "div", "br", "li", "td", "h1", "h2", "h3"].contains(&name) {
                open.said.push(' ');
            }
            return;
        }
        let own = matches!(of, Vocabulary::Rss | Vocabulary::Atom);
        if own && name == "source" {
            draft.source = draft.source.or((!empty).then_some(at));
        }
        if draft.source.is_some() {
            return;
        }
        let attribute = |name: &str| {
            let value = tag
                .attributes()
                .with_checks(false)
                .flatten()
                .find(|a| a.key.as_ref() == name)?;
            Some(dereference(&value.value))
        };
        if own && name == "link" {
            // Atom has links in attributes; the one without a relation or `alternate` is the
            // entry's page.
            let alternate = attribute("rel").is_none_or(|rel| rel == "alternate");
            if let Some(href) = attribute("href").filter(|_| alternate && draft.entry.url.is_none())
            {
                draft.entry.url = links::absolute(self.url, href.trim());
            }
        }
        if let Some(part) = Part::of(of, name, attribute).filter(|_| !empty) {
            self.open = Some(Open {
                part,
                at,
                said: String::new(),
            });
        }
    }

    fn end(&mut self, name: &str) {
        let Some(at) = self.elements.iter().rposition(|open| open == name) else {
            return;
        };
        if let Some(Open { part, said, .. }) = self
            .open
            .take_if(|open| open.at >= at)
            .filter(|open| open.at == at)
        {
            self.part(part, &said);
        }
        if let Some(draft) = &mut self.draft {
            draft.source.take_if(|source| *source >= at);
        }
        if self.draft.as_ref().is_some_and(|draft| draft.at >= at) {
            self.end_entry();
        }
        for _ in at.max(1)..self.elements.len() {
            self.elements.pop();
            self.namespaces.pop();
        }
    }

    fn end_entry(&mut self) {
        self.open = None;
        let Some(Draft {
            mut entry,
            permalink,
            updated,
            ..
        }) = self.draft.take()
        else {
            return;
        };
        entry.url = entry.url.or(permalink);
        entry.date = entry.date.or(updated);
        if !entry.title.is_empty() {
            self.entries.push(entry);
        }
    }

    fn part(&mut self, part: Part, said: &str) {
        let Some(draft) = &mut self.draft else { return };
        let (entry, said) = (&mut draft.entry, said.trim());
        match part {
            Part::Title(form) if entry.title.is_empty() => entry.title = title(said, form),
            Part::Link => {
                entry.url = entry
                    .url
                    .take()
                    .or_else(|| links::absolute(self.url, said).filter(|_| !said.is_empty()));
            }
            Part::Permalink if said.starts_with("http") => {
                draft.permalink = draft
                    .permalink
                    .take()
                    .or_else(|| links::absolute(self.url, said));
            }
            Part::Published => entry.date = entry.date.or_else(|| dates::read(said)),
            Part::Updated => draft.updated = draft.updated.or_else(|| dates::read(said)),
            _ => {}
        }
    }
}

/// Elements that titles have in feeds. `List<T>` has none.
const MARKUP: [&str; 30] = [
    "a", "abbr", "b", "bdi", "big", "br", "cite", "code", "del", "div", "em", "font", "h1", "h2",
    "h3", "i", "img", "ins", "kbd", "mark", "p", "q", "s", "small", "span", "strong", "sub", "sup",
    "tt", "u",
];

/// The same in capitals; a single capital is more often a type.
const MARKUP_LOUD: [&str; 6] = ["BR", "DIV", "EM", "FONT", "SPAN", "STRONG"];

/// Returns a title as plain text.
fn title(said: &str, form: Form) -> String {
    let marked = || {
        let tags = said
            .split('<')
            .skip(1)
            .map(|rest| rest.trim_start_matches('/'));
        let names = tags.filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next());
        names
            .filter(|name| !name.is_empty())
            .all(|name| MARKUP.contains(&name) || MARKUP_LOUD.contains(&name))
    };
    match form {
        Form::Plain => words(said),
        Form::Either if said.contains('<') && !marked() => words(&dereference(said)),
        Form::Html | Form::Either if said.contains('<') => words(&Document::read(said).text),
        Form::Html | Form::Either => words(&dereference(said)),
    }
}

/// Joins words by single spaces, up to the limit.
fn words(said: &str) -> String {
    let mut title = said.split_whitespace().collect::<Vec<_>>().join(" ");
    title.truncate(title.floor_char_boundary(MAX_TITLE));
    title
}

#[cfg(test)]
mod tests;
