//! The targets of a page's links: profiles, contact, careers, feeds.

use std::collections::HashMap;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use url::Url;

use super::credits::Credits;
use super::html::{Anchor, Document};
use super::owner;
use super::places::Place;
use super::social::{Candidate, Profile};
use crate::domain::organisation;
use crate::providers::kinds::email::address::Email;
use crate::providers::kinds::phone;

/// The longest URL that is kept, in bytes, once it is absolute.
const MAX_URL: usize = 2_048;
/// The longest host, in bytes (RFC 1035).
const MAX_HOST: usize = 253;

/// Sites where many companies take applications for jobs.
pub(super) const JOB_BOARDS: [&str; 12] = [
    "greenhouse.io",
    "lever.co",
    "ashbyhq.com",
    "workable.com",
    "personio.com",
    "personio.de",
    "recruitee.com",
    "teamtailor.com",
    "smartrecruiters.com",
    "bamboohr.com",
    "breezy.hr",
    "myworkdayjobs.com",
];

/// Media types of feeds, as pages name them.
const FEEDS: [&str; 4] = [
    "application/rss+xml",
    "application/atom+xml",
    "application/feed+json",
    "application/rdf+xml",
];

/// The links of a page that matter; URLs are absolute, none is twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PageLinks {
    /// Profiles on networks, the company's or not. See [`choose`](super::social::choose).
    pub(super) profiles: Vec<Candidate>,
    pub(super) phones: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) contact: Option<String>,
    imprint: Option<String>,
    pub(super) careers: Option<String>,
    pub(super) feeds: Vec<String>,
}

impl PageLinks {
    pub(super) fn read(base: &Url, page: &Document) -> Self {
        Self::read_without(&Credits::read(base, page), base, page)
    }

    /// Reads the same without the links of the site's makers.
    pub(super) fn read_without(credits: &Credits, base: &Url, page: &Document) -> Self {
        let mut found = Self::default();
        for link in &page.links {
            let media_type = link.media_type.split(';').next().unwrap_or_default().trim();
            let feed = FEEDS
                .iter()
                .any(|feed| media_type.eq_ignore_ascii_case(feed));
            // Feeds of comments are written by visitors.
            if feed
                && link.rel.split(' ').any(|r| r == "alternate")
                && !link.href.contains("comments")
            {
                found.feeds.extend(absolute(base, &link.href));
            }
        }
        let marked = |href: &str| Profile::of(&base.join(href).ok()?);
        let head = page
            .links
            .iter()
            .filter(|link| link.rel.split(' ').any(|rel| rel == "me"));
        found.profiles.extend(head.filter_map(|link| {
            let (place, label) = (Place::Body, String::new());
            Some(Candidate {
                profile: marked(&link.href)?,
                place,
                own: true,
                label,
            })
        }));
        let own = base
            .host_str()
            .filter(|host| host.len() <= MAX_HOST)
            .map(owner);
        for anchor in page
            .anchors
            .iter()
            .filter(|anchor| !credits.holds(anchor, base))
        {
            found.follow(base, own, anchor, page);
        }
        found
            .profiles
            .retain(|candidate| !credits.has_profile(&candidate.profile));
        // The accounts that cards and articles name as the publisher's.
        let account = page
            .meta(&["twitter:site"])
            .map(|name| name.trim_start_matches('@'));
        let account = account.and_then(|name| marked(&format!("https://x.com/{name}")));
        let publisher = page.meta(&["article:publisher"]).and_then(marked);
        for candidate in &mut found.profiles {
            candidate.own |= [&account, &publisher]
                .into_iter()
                .flatten()
                .any(|own| own.same(&candidate.profile));
        }
        found.contact = found.contact.take().or_else(|| found.imprint.take());
        found.feeds = distinct(found.feeds.into_iter());
        found.phones = distinct(found.phones.into_iter());
        found.emails = distinct(found.emails.into_iter());
        found.emails.retain(|mail| !credits.has_mail(mail));
        found
    }

    /// Follows a link. `own` is the site's domain.
    fn follow(&mut self, base: &Url, own: Option<&str>, anchor: &Anchor, page: &Document) {
        // As written: to a parser of URLs, `tel://+49 30 1` has a host.
        let scheme = anchor
            .href
            .split_once(':')
            .map_or("", |(scheme, _)| scheme)
            .trim();
        if scheme.eq_ignore_ascii_case("tel") {
            if !is_fax(anchor, page) {
                self.phones.extend(phone::written(&anchor.href));
            }
            return;
        }
        if scheme.eq_ignore_ascii_case("mailto") {
            self.emails.extend(emails(&anchor.href));
            return;
        }
        let Ok(url) = base.join(&anchor.href) else {
            return;
        };
        match url.scheme() {
            "http" | "https" => {
                let Some(link) = Link::new(&url, own) else {
                    return;
                };
                if let Some(profile) = Profile::of(&url) {
                    let own = anchor
                        .rel
                        .split(' ')
                        .any(|rel| matches!(rel, "me" | "sameas"));
                    self.profiles.push(Candidate {
                        profile,
                        place: anchor.place,
                        own,
                        label: anchor.text.clone(),
                    });
                    return;
                }
                match link.leads_to(anchor) {
                    Some(Leads::Jobs) => {
                        self.careers.get_or_insert_with(|| plain(&url));
                    }
                    Some(Leads::Contact) => {
                        self.contact.get_or_insert_with(|| plain(&url));
                    }
                    Some(Leads::Imprint) => {
                        self.imprint.get_or_insert_with(|| plain(&url));
                    }
                    None if link.own && is_feed(&url) => self.feeds.push(plain(&url)),
                    None => {}
                }
            }
            _ => {}
        }
    }
}

/// Returns whether a link to a number is called a fax: by its own text, in its line, or in the line
/// before if that has no number, as in two cells of a table. In two such lines, the labels are
/// apart from their numbers.
fn is_fax(anchor: &Anchor, page: &Document) -> bool {
    let line = |number: usize| page.lines.get(number).map_or("", |line| line.text.as_str());
    let label = |back: usize| {
        let label = anchor.line.checked_sub(back).map(line).unwrap_or_default();
        Some(label)
            .filter(|label| label.len() <= MAX_SAID && !label.contains(|c: char| c.is_numeric()))
    };
    let before = label(1)
        .filter(|_| !label(2).is_some_and(phone::is_called))
        .unwrap_or_default();
    let (head, rest) = line(anchor.line)
        .split_at_checked(anchor.at)
        .unwrap_or_default();
    phone::is_fax(&anchor.href, &anchor.text, [before, head, rest])
}

/// A web URL with its owner, which is looked up once.
struct Link<'u> {
    url: &'u Url,
    host: &'u str,
    owner: &'u str,
    /// Set if it leads to the company's own site.
    own: bool,
}

impl<'u> Link<'u> {
    /// Returns `None` if the URL is longer than the limit, or its host than any host.
    fn new(url: &'u Url, own: Option<&str>) -> Option<Self> {
        let host = url
            .host_str()
            .filter(|host| host.len() <= MAX_HOST && url.as_str().len() <= MAX_URL)?;
        let owner = owner(host);
        Some(Self {
            url,
            host,
            owner,
            own: own == Some(owner),
        })
    }

    /// Returns its target by its last path segments or its text, on the company's own site, or by
    /// its host.
    fn leads_to(&self, anchor: &Anchor) -> Option<Leads> {
        if JOB_BOARDS.contains(&self.owner) {
            return Some(Leads::Jobs);
        }
        if !self.own {
            return None;
        }
        let label = self.host.split('.').next().unwrap_or_default();
        let segments = self
            .url
            .path_segments()
            .into_iter()
            .flatten()
            .filter(|s| !s.is_empty())
            .take(3);
        let named = segments.map(|s| s.split('.').next().unwrap_or_default());
        let named =
            named.filter_map(|segment| leads(&percent_decode_str(segment).decode_utf8_lossy()));
        named.chain(leads(label)).chain(leads(&anchor.text)).min()
    }
}

/// The targets of a site's links, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leads {
    Jobs,
    Contact,
    Imprint,
}

/// The longest text that can name a link's target, in bytes.
const MAX_SAID: usize = 100;

/// The words of links, by their normal form. See the file.
static WORDS: LazyLock<HashMap<String, Leads>> = LazyLock::new(|| {
    let lines = include_str!("words.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    let words = lines.filter_map(|line| {
        let (sort, words) = line.split_once('\t')?;
        let sort = match sort {
            "jobs" => Leads::Jobs,
            "contact" => Leads::Contact,
            _ => Leads::Imprint,
        };
        let (_, words) = words.split_once('\t')?;
        Some(
            words
                .split(", ")
                .filter_map(move |word| Some((organisation::key(word)?, sort))),
        )
    });
    words.flatten().collect()
});

/// Returns the target that a text or a part of a path names, without the number of jobs behind it,
/// and once if it is repeated.
fn leads(said: &str) -> Option<Leads> {
    let key = organisation::key(Some(said).filter(|said| said.len() <= MAX_SAID)?)?;
    let words: Vec<&str> = key
        .split(' ')
        .filter(|word| !word.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    let half = &words[..words.len() / 2];
    let words = if half.len() * 2 == words.len() && half == &words[half.len()..] {
        half
    } else {
        &words[..]
    };
    WORDS.get(&words.join(" ")).copied().or_else(|| {
        let mut joined = words
            .split(|word| JOINERS.contains(word))
            .map(|part| part.join(" "));
        let is_jobs = |part: &String| {
            WORDS.get(part) == Some(&Leads::Jobs) && !FIELDS.contains(&part.as_str())
        };
        (words.iter().any(|word| JOINERS.contains(word)) && joined.any(|part| is_jobs(&part)))
            .then_some(Leads::Jobs)
    })
}

/// Words between two things that a link leads to.
const JOINERS: [&str; 8] = ["und", "and", "et", "y", "e", "og", "och", "en"];
/// Words for jobs that beside another are as often a company's trade: `Employment and labour law`.
const FIELDS: [&str; 11] = [
    "employment",
    "recruitment",
    "recruit",
    "hiring",
    "recrutement",
    "emploi",
    "empleo",
    "trabajo",
    "emprego",
    "lavoro",
    "praca",
];

fn is_feed(url: &Url) -> bool {
    let last = url
        .path_segments()
        .into_iter()
        .flatten()
        .rfind(|s| !s.is_empty())
        .unwrap_or_default()
        .to_ascii_lowercase();
    [
        "feed",
        "rss",
        "rss.xml",
        "feed.xml",
        "atom.xml",
        "index.xml",
    ]
    .contains(&last.as_str())
}

/// Returns the network and the profile's URL, if it leads to one.
pub(super) fn social(url: &Url) -> Option<(&'static str, String)> {
    let profile = Profile::of(url).filter(|profile| !profile.is_default())?;
    Some((profile.network, profile.url))
}

/// Returns the base of relative links.
pub(super) fn base(url: &Url, page: &Document) -> Url {
    let base = page.base.as_deref().and_then(|href| url.join(href).ok());
    base.filter(|base| matches!(base.scheme(), "http" | "https"))
        .unwrap_or_else(|| url.clone())
}

/// Returns a link as an absolute web URL; `None` if it is longer than the limit.
pub(super) fn absolute(base: &Url, href: &str) -> Option<String> {
    let url = base.join(href).ok().filter(|_| href.len() <= MAX_URL)?;
    let fits = matches!(url.scheme(), "http" | "https") && url.as_str().len() <= MAX_URL;
    fits.then(|| plain(&url))
}

fn plain(url: &Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    url.to_string()
}

/// Returns the addresses of a `mailto:` link or a text.
pub(super) fn emails(text: &str) -> Vec<String> {
    Email::all(text)
        .into_iter()
        .map(|email| email.plain())
        .collect()
}

pub(super) fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for value in values.take(1_000) {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::timed;

    #[test]
    fn links_are_told_apart() {
        let html = "<base href=/en/><link rel=alternate type=application/rss+xml href=/feed>\
            <link rel=alternate type=application/rss+xml href=/comments/feed>\
            <a href='https://www.linkedin.com/company/acme/?trk=x'>L</a>\
            <a href=https://linkedin.com/in/john>J</a>\
            <a href=https://twitter.com/intent/tweet?x=y>T</a><a href=//twitter.com/acme>T</a>\
            <a href=https://facebook.com/sharer.php?u=1>F</a>\
            <a href=https://youtube.com/@acme>Y</a><a href='tel:+1%20(555)%20010-9999'>call</a>\
            <a href=tel:12>no</a>\
            <a href='mailto:Sales%40acme.example?subject=x'>m</a><a href='mailto:nobody'>m</a>\
            <a href=about>Us</a>\
            <a href=about/jobs.html#top>Jobs</a>\
            <a href=https://boards.greenhouse.io/acme>All jobs</a><a href=/hallo>Kontakt</a>\
            <a href=https://other.example/contact>no</a><a href=/blog/atom.xml>a</a>\
            <a href=javascript:void(0)>x</a><a href='https://['>x</a>";
        let page = Document::read(html);
        let url = Url::parse("https://www.acme.example/").unwrap();
        let found = PageLinks::read(&base(&url, &page), &page);
        let profiles: Vec<_> = found
            .profiles
            .iter()
            .map(|candidate| candidate.profile.url.as_str())
            .collect();
        assert_eq!(
            profiles,
            [
                "https://www.linkedin.com/company/acme",
                "https://twitter.com/acme",
                "https://youtube.com/@acme"
            ]
        );
        assert_eq!(found.phones, ["+1 (555) 010-9999"]);
        assert_eq!(found.emails, ["sales@acme.example"]);
        assert_eq!(
            found.careers.as_deref(),
            Some("https://www.acme.example/en/about/jobs.html")
        );
        assert_eq!(
            found.contact.as_deref(),
            Some("https://www.acme.example/hallo")
        );
        assert_eq!(
            found.feeds,
            [
                "https://www.acme.example/feed",
                "https://www.acme.example/blog/atom.xml"
            ]
        );
    }

    #[test]
    fn contact_and_jobs_are_known_in_the_languages_of_the_web() {
        for (said, wanted) in [
            ("Contact us \u{2192}", Leads::Contact),
            ("Cont\u{e1}ctenos", Leads::Contact),
            ("kontaktieren-sie-uns", Leads::Contact),
            (
                "\u{304a}\u{554f}\u{3044}\u{5408}\u{308f}\u{305b}",
                Leads::Contact,
            ),
            ("Nous contacter", Leads::Contact),
            ("fale-conosco", Leads::Contact),
            (
                "\u{41a}\u{41e}\u{41d}\u{422}\u{410}\u{41a}\u{422}\u{42b}",
                Leads::Contact,
            ),
            ("Contattaci", Leads::Contact),
            ("Neem contact op", Leads::Contact),
            ("Skontaktuj si\u{119}", Leads::Contact),
            ("\u{8054}\u{7cfb}\u{6211}\u{4eec}", Leads::Contact),
            ("Jobs (12)", Leads::Jobs),
            ("Careers Careers", Leads::Jobs),
            ("We\u{2019}re hiring!", Leads::Jobs),
            ("Trabaja con nosotros", Leads::Jobs),
            ("offene_stellen", Leads::Jobs),
            ("\u{63a1}\u{7528}\u{60c5}\u{5831}", Leads::Jobs),
            ("offres-demploi", Leads::Jobs),
            ("Trabalhe conosco", Leads::Jobs),
            (
                "\u{412}\u{430}\u{43a}\u{430}\u{43d}\u{441}\u{438}\u{438}",
                Leads::Jobs,
            ),
            ("lavora-con-noi", Leads::Jobs),
            ("Werken bij", Leads::Jobs),
            ("Oferty pracy", Leads::Jobs),
            ("ausbildung-und-stellen", Leads::Jobs),
            ("Karriere & Ausbildung", Leads::Jobs),
            ("Training and jobs", Leads::Jobs),
            ("Formation et carri\u{e8}res", Leads::Jobs),
            ("Job og karriere", Leads::Jobs),
            ("Impressum", Leads::Imprint),
        ] {
            assert_eq!(leads(said), Some(wanted), "{said}");
        }
        for said in [
            "",
            "Steve Jobs",
            "contact lenses",
            "Products",
            "Steve Jobs and Apple",
            "employment-and-labour-law",
            "und",
            &"jobs ".repeat(50),
        ] {
            assert_eq!(leads(said), None, "{said}");
        }
        assert!(WORDS.len() > 200, "{}", WORDS.len());
        let found = |html: &str| {
            let (page, url) = (
                Document::read(html),
                Url::parse("https://www.acme.example/").unwrap(),
            );
            PageLinks::read(&base(&url, &page), &page).contact
        };
        let imprint = "<a href=/i>Impressum</a>";
        assert_eq!(
            found(imprint).as_deref(),
            Some("https://www.acme.example/i")
        );
        assert_eq!(
            found(&format!("{imprint}<a href=/k>Kontakt</a>")).as_deref(),
            Some("https://www.acme.example/k")
        );
    }

    /// Twenty look-ups of each label of each host would be 40 million for this page.
    #[test]
    fn links_to_hosts_of_many_labels_do_not_hold_the_thread() {
        let anchors = (0..2_000)
            .map(|n| format!("<a href='//{}{n}.example/'>x</a>", "a.".repeat(1_000)))
            .collect::<Vec<_>>()
            .concat();
        let near = (0..2_000)
            .map(|n| format!("<a href='//{}{n}.example/'>x</a>", "a.".repeat(120)))
            .collect::<Vec<_>>()
            .concat();
        let url = Url::parse("https://www.acme.example/").unwrap();
        for html in [anchors, near] {
            let page = Document::read(&html);
            assert_eq!(page.anchors.len(), 2_000);
            let (found, took) = timed(|| PageLinks::read(&base(&url, &page), &page));
            assert_eq!(found, PageLinks::default());
            assert!(took < std::time::Duration::from_secs(15), "{took:?}");
        }
        let long = Url::parse(&format!("https://{}x.com/acme", "a.".repeat(130))).unwrap();
        assert_eq!(
            (
                social(&long),
                social(&Url::parse("https://m.x.com/acme").unwrap()).is_some()
            ),
            (None, true)
        );
    }
}
