//! What the links of a page lead to: profiles, contact, careers, feeds.

use percent_encoding::percent_decode_str;
use url::Url;

use super::html::{Anchor, Document};
use super::owner;
use super::places::Place;
use super::social::{Candidate, Profile};

/// The longest URL that is kept, in bytes, once it is absolute.
const MAX_URL: usize = 2_048;
/// The longest host that there can be, in bytes (RFC 1035).
const MAX_HOST: usize = 253;

/// Where applications for jobs are taken for many companies.
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

/// Everything of interest that a page links to; URLs are absolute, none is twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Profiles on networks, whoever they belong to. See [`choose`](super::social::choose).
    pub(super) profiles: Vec<Candidate>,
    pub(super) phones: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) contact: Option<String>,
    pub(super) careers: Option<String>,
    pub(super) feeds: Vec<String>,
}

impl Found {
    pub(super) fn read(base: &Url, page: &Document) -> Self {
        let mut found = Self::default();
        for link in &page.links {
            let feed = ["application/rss+xml", "application/atom+xml"].contains(&link.media_type.as_str());
            // Feeds of comments tell what visitors say.
            if feed && link.rel.split(' ').any(|r| r == "alternate") && !link.href.contains("comments") {
                found.feeds.extend(absolute(base, &link.href));
            }
        }
        let marked = |href: &str| Profile::of(&base.join(href).ok()?);
        let head = page.links.iter().filter(|link| link.rel.split(' ').any(|rel| rel == "me"));
        found.profiles.extend(head.filter_map(|link| {
            let (place, label) = (Place::Body, String::new());
            Some(Candidate { profile: marked(&link.href)?, place, own: true, label })
        }));
        let own = base.host_str().filter(|host| host.len() <= MAX_HOST).map(owner);
        for anchor in &page.anchors {
            found.follow(base, own, anchor);
        }
        // What cards and articles say of who publishes them.
        let account = page.meta(&["twitter:site"]).map(|name| name.trim_start_matches('@'));
        let account = account.and_then(|name| marked(&format!("https://x.com/{name}")));
        let publisher = page.meta(&["article:publisher"]).and_then(marked);
        for candidate in &mut found.profiles {
            candidate.own |= [&account, &publisher].into_iter().flatten().any(|own| own.same(&candidate.profile));
        }
        found.feeds = distinct(found.feeds.into_iter());
        found.phones = distinct(found.phones.into_iter());
        found.emails = distinct(found.emails.into_iter());
        found
    }

    /// `own` is whose site it is.
    fn follow(&mut self, base: &Url, own: Option<&str>, anchor: &Anchor) {
        let Ok(url) = base.join(&anchor.href) else { return };
        match url.scheme() {
            "tel" => self.phones.extend(phone(url.path())),
            "mailto" => self.emails.extend(email(url.path())),
            "http" | "https" => {
                let Some(link) = Link::new(&url, own) else { return };
                if let Some(profile) = Profile::of(&url) {
                    let own = anchor.rel.split(' ').any(|rel| rel == "me");
                    self.profiles.push(Candidate { profile, place: anchor.place, own, label: anchor.text.clone() });
                } else if link.leads_to(anchor, &JOBS, &JOB_BOARDS) {
                    self.careers.get_or_insert_with(|| plain(&url));
                } else if link.leads_to(anchor, &CONTACT, &[]) {
                    self.contact.get_or_insert_with(|| plain(&url));
                } else if link.own && is_feed(&url) {
                    self.feeds.push(plain(&url));
                }
            }
            _ => {}
        }
    }
}

/// A web URL with whose it is, which is looked up once.
struct Link<'u> {
    url: &'u Url,
    host: &'u str,
    owner: &'u str,
    /// Whether it leads to the company's own site.
    own: bool,
}

impl<'u> Link<'u> {
    /// Nothing where the URL is longer than is kept, or its host than any can be.
    fn new(url: &'u Url, own: Option<&str>) -> Option<Self> {
        let host = url.host_str().filter(|host| host.len() <= MAX_HOST && url.as_str().len() <= MAX_URL)?;
        let owner = owner(host);
        Some(Self { url, host, owner, own: own == Some(owner) })
    }

    /// Whether it leads to one of these by its last path segments or its text, on the company's own site or one of `hosts`.
    fn leads_to(&self, anchor: &Anchor, words: &[&str], hosts: &[&str]) -> bool {
        if hosts.contains(&self.owner) {
            return true;
        }
        if !self.own {
            return false;
        }
        let label = self.host.split('.').next().unwrap_or_default();
        let segments = self.url.path_segments().into_iter().flatten().filter(|s| !s.is_empty()).take(3);
        let named = segments.map(|s| s.split('.').next().unwrap_or_default().to_ascii_lowercase());
        let said = anchor.text.to_lowercase().replace(' ', "-");
        words.contains(&label) || words.contains(&said.as_str()) || { named }
            .any(|segment| words.contains(&segment.as_str()))
    }
}

/// Words for where jobs are, in the languages with the most sites.
const JOBS: [&str; 14] = [
    "careers",
    "career",
    "jobs",
    "join-us",
    "joinus",
    "work-with-us",
    "we-are-hiring",
    "hiring",
    "vacancies",
    "karriere",
    "stellenangebote",
    "recrutement",
    "empleo",
    "lavora-con-noi",
];

/// Words for where to write to.
const CONTACT: [&str; 8] =
    ["contact", "contact-us", "contactus", "kontakt", "contacto", "contatti", "contatto", "impressum"];

fn is_feed(url: &Url) -> bool {
    let last =
        url.path_segments().into_iter().flatten().rfind(|s| !s.is_empty()).unwrap_or_default().to_ascii_lowercase();
    ["feed", "rss", "rss.xml", "feed.xml", "atom.xml", "index.xml"].contains(&last.as_str())
}

/// The network and the profile's URL, where it leads to one.
pub(super) fn social(url: &Url) -> Option<(&'static str, String)> {
    let profile = Profile::of(url)?;
    Some((profile.network, profile.url))
}

/// What relative links are relative to.
pub(super) fn base(url: &Url, page: &Document) -> Url {
    let base = page.base.as_deref().and_then(|href| url.join(href).ok());
    base.filter(|base| matches!(base.scheme(), "http" | "https")).unwrap_or_else(|| url.clone())
}

/// A link as an absolute web URL; nothing where it is longer than is kept.
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

/// A phone number as written, if it can be one: 6 to 15 digits (E.164 has 15 at most).
pub(super) fn phone(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8_lossy();
    let text = text.trim().trim_start_matches("tel:").trim();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let fits = text.len() <= 40 && text.chars().all(|c| c.is_ascii_digit() || "+-().\u{a0} /".contains(c));
    ((6..=15).contains(&digits) && fits).then(|| text.to_owned())
}

/// An e-mail address in lower case, without what a link adds to it.
pub(super) fn email(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8_lossy();
    let text = text.trim().trim_start_matches("mailto:").split(['?', ',']).next()?.trim().to_lowercase();
    let (local, domain) = text.rsplit_once('@')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let host = domain.contains('.') && domain.chars().all(|c| c.is_alphanumeric() || c == '.' || c == '-');
    (text.len() <= 254 && !local.is_empty() && local.chars().all(plain) && host).then_some(text)
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
    use crate::provider::testing::timed;

    #[test]
    fn links_are_told_apart() {
        let html = "<base href=/en/><link rel=alternate type=application/rss+xml href=/feed><link rel=alternate type=application/rss+xml \
            href=/comments/feed><a href='https://www.linkedin.com/company/acme/?trk=x'>L</a><a href=https://linkedin.com/in/john>J</a>\
            <a href=https://twitter.com/intent/tweet?x=y>T</a><a href=//twitter.com/acme>T</a><a href=https://facebook.com/sharer.php?u=1>F</a>\
            <a href=https://youtube.com/@acme>Y</a><a href='tel:+1%20(555)%20010-9999'>call</a><a href=tel:12>no</a>\
            <a href='mailto:Sales%40acme.example?subject=x'>m</a><a href='mailto:nobody'>m</a><a href=about>Us</a>\
            <a href=about/jobs.html#top>Jobs</a><a href=https://boards.greenhouse.io/acme>All jobs</a><a href=/hallo>Kontakt</a>\
            <a href=https://other.example/contact>no</a><a href=/blog/atom.xml>a</a><a href=javascript:void(0)>x</a><a href='https://['>x</a>";
        let page = Document::read(html);
        let url = Url::parse("https://www.acme.example/").unwrap();
        let found = Found::read(&base(&url, &page), &page);
        let profiles: Vec<_> = found.profiles.iter().map(|candidate| candidate.profile.url.as_str()).collect();
        assert_eq!(
            profiles,
            ["https://www.linkedin.com/company/acme", "https://twitter.com/acme", "https://youtube.com/@acme"]
        );
        assert_eq!(found.phones, ["+1 (555) 010-9999"]);
        assert_eq!(found.emails, ["sales@acme.example"]);
        assert_eq!(found.careers.as_deref(), Some("https://www.acme.example/en/about/jobs.html"));
        assert_eq!(found.contact.as_deref(), Some("https://www.acme.example/hallo"));
        assert_eq!(found.feeds, ["https://www.acme.example/feed", "https://www.acme.example/blog/atom.xml"]);
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
            let (found, took) = timed(|| Found::read(&base(&url, &page), &page));
            assert_eq!(found, Found::default());
            assert!(took < std::time::Duration::from_secs(15), "{took:?}");
        }
        let long = Url::parse(&format!("https://{}x.com/acme", "a.".repeat(130))).unwrap();
        assert_eq!((social(&long), social(&Url::parse("https://m.x.com/acme").unwrap()).is_some()), (None, true));
    }
}
