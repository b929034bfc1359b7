//! RSS 2.0, RSS 1.0 and Atom: the newest entries' titles, links and dates.

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

use crate::domain::time::Timestamp;

/// How many entries are read of a feed.
const MAX_ENTRIES: usize = 200;
/// The longest title that is kept, in bytes.
const MAX_TITLE: usize = 500;

/// `item` or `entry`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) title: String,
    pub(super) url: Option<String>,
    pub(super) date: Option<Timestamp>,
}

/// What is being read of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Title,
    Link,
    /// When it was published, and when last changed: the first wins.
    Published,
    Updated,
}

/// The entries of a feed, in its order, those without a title left out. A feed that breaks off gives what came before.
/// `url` is the feed's own.
pub(super) fn entries(text: &str, url: &Url) -> Vec<Entry> {
    let mut reader = Reader::from_str(text);
    let settings = reader.config_mut();
    settings.check_end_names = false;
    settings.allow_unmatched_ends = true;
    settings.allow_dangling_amp = true;
    let mut entries = Vec::new();
    let mut open: Option<(Entry, Option<Timestamp>)> = None;
    let (mut part, mut said): (Option<Part>, String) = (None, String::new());
    while entries.len() < MAX_ENTRIES {
        match reader.read_event() {
            Ok(Event::Start(tag)) => match (tag.local_name().as_ref(), &mut open) {
                ("item" | "entry", _) => open = Some(Default::default()),
                (name, Some((entry, _))) => {
                    if name == "link" {
                        atom_link(&tag, entry, url);
                    }
                    // A prefix is a namespace of others' (`media:title`), but for Dublin Core's date.
                    let own = tag.name().prefix().is_none() || name == "date";
                    part = part_of(name).filter(|_| own);
                    said.clear();
                }
                _ => {}
            },
            Ok(Event::Empty(tag)) => {
                if let ("link", Some((entry, _))) = (tag.local_name().as_ref(), &mut open) {
                    atom_link(&tag, entry, url);
                }
            }
            Ok(Event::Text(text)) if part.is_some() => said.push_str(&text.xml10_content()),
            Ok(Event::CData(text)) if part.is_some() => said.push_str(&text.xml10_content()),
            Ok(Event::GeneralRef(name)) if part.is_some() => match name.resolve_char_ref() {
                Ok(Some(c)) => said.push(c),
                _ => said.push_str(resolve_xml_entity(&name).unwrap_or(" ")),
            },
            Ok(Event::End(tag)) => match (tag.local_name().as_ref(), &mut open) {
                ("item" | "entry", Some((entry, updated))) => {
                    entry.date = entry.date.or(*updated);
                    if !entry.title.is_empty() {
                        entries.push(std::mem::take(entry));
                    }
                    open = None;
                }
                (name, Some((entry, updated))) if part.is_some() && part_of(name) == part => {
                    let said = std::mem::take(&mut said);
                    match part.take() {
                        Some(Part::Title) if entry.title.is_empty() => entry.title = title(&said),
                        Some(Part::Link) => {
                            entry.url = entry.url.take().or_else(|| super::links::absolute(url, said.trim()));
                        }
                        Some(Part::Published) => entry.date = entry.date.or_else(|| date(&said)),
                        Some(Part::Updated) => *updated = updated.or_else(|| date(&said)),
                        _ => {}
                    }
                }
                _ => {}
            },
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    entries
}

fn part_of(name: &str) -> Option<Part> {
    Some(match name {
        "title" => Part::Title,
        "link" => Part::Link,
        "pubDate" | "published" | "date" => Part::Published,
        "updated" => Part::Updated,
        _ => return None,
    })
}

/// Atom says a link in an attribute; the one without a relation or `alternate` is the entry's page.
fn atom_link(tag: &BytesStart<'_>, entry: &mut Entry, url: &Url) {
    let attribute = |name: &str| {
        let value = tag.try_get_attribute(name).ok().flatten()?;
        Some(value.normalized_value(XmlVersion::Implicit1_0).ok()?.into_owned())
    };
    let alternate = attribute("rel").is_none_or(|rel| rel == "alternate");
    if let Some(href) = attribute("href").filter(|_| alternate && entry.url.is_none()) {
        entry.url = super::links::absolute(url, &href);
    }
}

/// Titles are plain text or HTML in a text: without its tags, white space single.
fn title(said: &str) -> String {
    let said = if said.contains(['<', '&']) { super::html::Document::read(said).text } else { said.to_owned() };
    let mut title = said.split_whitespace().collect::<Vec<_>>().join(" ");
    title.truncate(title.floor_char_boundary(MAX_TITLE));
    title
}

/// RFC 3339 (Atom), a day of it, or RFC 2822 (RSS).
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let day = || if text.len() == 10 { Timestamp::parse(&format!("{text}T00:00:00Z")) } else { None };
    let rfc2822 = || {
        let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
        Some(Timestamp(at.unix_timestamp().saturating_mul(1000)))
    };
    Timestamp::parse(text).or_else(day).or_else(rfc2822)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Option<String>, Option<String>)> {
        let entries = entries(text, &Url::parse("https://acme.example/blog/feed.xml").unwrap());
        entries.into_iter().map(|e| (e.title, e.url, e.date.map(Timestamp::rfc3339))).collect()
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
                entry("We raised & hired", "https://acme.example/a?x=1&y=2", "2026-01-06T09:00:00.000Z"),
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
                entry("One more", "https://acme.example/one", "2026-01-01T22:00:00.000Z"),
                entry("Two", "https://acme.example/blog/two", "2026-01-01T00:00:00.000Z"),
            ]
        );
    }

    #[test]
    fn broken_and_hostile_feeds_end() {
        let broken =
            "<rss><item><title>One</title></channel></item><item><title>Two & three</title></item><item><title>cut";
        assert_eq!(read(broken), [entry("One", "", ""), entry("Two & three", "", "")]);
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
        for bad in ["", "yesterday", "2026-13-01", "Tue, 99 Jan 2026 10:00:00 GMT"] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }
}
