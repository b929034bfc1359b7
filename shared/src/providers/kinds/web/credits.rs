//! The makers of a site, as its footer names them (`Webdesign by Pixelwerk, Tel. 040 1234567`):
//! their contacts are not the company's.

use std::sync::LazyLock;

use url::Url;

use super::document::{Anchor, Document};
use super::domains::owner;
use super::lists::list;
use super::social::Profile;
use crate::domain::organisation;
use crate::providers::kinds::phone;

/// The longest line that names a maker without a link, in bytes, and that continues with the
/// maker's contacts.
const MAX_UNLINKED: usize = 300;
const MAX_CONTACT: usize = 80;
/// The most lines of a maker's contacts below its name.
const MAX_BELOW: usize = 3;
/// The most bytes between such words and the link to the maker: `: `.
const MAX_GAP: usize = 3;
/// The most makers that are kept and the most names of theirs, and the fewest letters of a name
/// that distinguish them.
const MAX_MAKERS: usize = 20;
const MAX_NAMES: usize = 60;
const MIN_NAME: usize = 4;
/// The longest host (RFC 1035), in bytes.
const MAX_HOST: usize = 253;

/// Words of footers. See the file.
struct Words {
    made_by: Vec<&'static str>,
    works: Vec<&'static str>,
    of_sites: Vec<&'static str>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let list = |name| list(include_str!("credits.txt"), name);
    Words {
        made_by: list("made_by"),
        works: list("works"),
        of_sites: list("of_sites"),
    }
});

/// The makers that a page names.
#[derive(Debug, Default)]
pub(super) struct Credits {
    /// Lines, with the byte from which on each is a maker's.
    from: Vec<(usize, usize)>,
    /// Their domains and names.
    owners: Vec<String>,
    names: Vec<String>,
    own: String,
}

impl Credits {
    pub(super) fn read(base: &Url, page: &Document) -> Self {
        let own = owner(base.host_str().unwrap_or_default());
        let mut credits = Self {
            own: label(own),
            ..Self::default()
        };
        for (number, line) in page.lines.iter().enumerate() {
            if credits.owners.len() >= MAX_MAKERS
                || credits.from.len() >= MAX_MAKERS * (MAX_BELOW + 1)
            {
                break;
            }
            let first = page.anchors.partition_point(|anchor| anchor.line < number);
            let anchors = page.anchors[first..]
                .iter()
                .take_while(|anchor| anchor.line == number);
            let links: Vec<(&Anchor, String)> = anchors
                .filter_map(|anchor| Some((anchor, site(base, anchor)?)))
                .collect();
            let is_linked = |end: usize| {
                let near = links.partition_point(|(anchor, _)| anchor.at < end);
                { links[near..].iter() }
                    .take_while(|(anchor, _)| anchor.at <= end + MAX_GAP)
                    .any(|(_, site)| site != own)
            };
            let Some(Credit { at, end, goes_on }) = credit(&line.text, is_linked) else {
                continue;
            };
            let behind = || links.iter().filter(|(anchor, _)| anchor.at >= at);
            // The maker's own site.
            if behind().any(|(_, site)| site == own)
                || credits.is_own_text(line.text.get(end..).unwrap_or_default())
            {
                continue;
            }
            credits.from.push((number, at));
            for (anchor, site) in behind() {
                credits.add(anchor, site);
            }
            if goes_on {
                let below = page.lines[number + 1..].iter().take(MAX_BELOW);
                let is_contact = |text: &str| {
                    text.len() <= MAX_CONTACT && (phone::is_called(text) || text.contains('@'))
                };
                let below = below.take_while(|line| is_contact(&line.text)).count();
                credits
                    .from
                    .extend((1..=below).map(|more| (number + more, 0)));
            }
        }
        credits
    }

    /// Adds a maker by the link to its site.
    fn add(&mut self, anchor: &Anchor, site: &str) {
        if !self.owners.iter().any(|maker| maker == site) {
            if self.owners.len() >= MAX_MAKERS {
                return;
            }
            self.owners.push(site.to_owned());
        }
        if self.names.len() >= MAX_NAMES {
            return;
        }
        let spelled = organisation::spellings(&anchor.text).into_iter();
        for name in spelled.map(|words| words.concat()).chain([label(site)]) {
            let tells = name.chars().count() >= MIN_NAME && name != self.own;
            if tells && !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }

    /// Returns the part of a line that is the company's.
    pub(super) fn own_part<'l>(&self, number: usize, line: &'l str) -> &'l str {
        let from = self
            .from
            .iter()
            .find(|(of, _)| *of == number)
            .map(|(_, at)| *at);
        from.map_or(line, |at| line.get(..at).unwrap_or_default())
    }

    /// Returns whether a link is where a maker is named, and does not lead to a profile or an
    /// address of the company's own name.
    pub(super) fn holds(&self, anchor: &Anchor, base: &Url) -> bool {
        let holds = self
            .from
            .iter()
            .any(|(line, at)| *line == anchor.line && anchor.at >= *at);
        holds && !self.is_own_link(anchor, base)
    }

    /// Returns whether a link leads to a profile of the company's name or to an address of its own.
    fn is_own_link(&self, anchor: &Anchor, base: &Url) -> bool {
        let Ok(url) = base.join(&anchor.href) else {
            return false;
        };
        if url.scheme() == "mailto" {
            return domain(url.path()).is_some_and(|domain| self.is_own_domain(domain));
        }
        Profile::of(&url).is_some_and(|profile| self.is_own(profile.name()))
    }

    /// Returns whether a mail address is a maker's.
    pub(super) fn has_mail(&self, mail: &str) -> bool {
        if self.owners.is_empty() {
            return false;
        }
        let Some(domain) = domain(mail) else {
            return false;
        };
        !self.is_own_domain(domain) && self.owners.iter().any(|maker| maker == domain)
    }

    /// Returns whether a profile is a maker's: its name is the maker's, or begins with it and
    /// continues with another word.
    pub(super) fn has_profile(&self, profile: &Profile) -> bool {
        if self.names.is_empty() || self.is_own(profile.name()) {
            return false;
        }
        let (mut name, mut ends, mut before) = (String::new(), Vec::new(), ' ');
        for c in profile.name().chars() {
            if !c.is_alphanumeric() || (before.is_lowercase() && c.is_uppercase()) {
                ends.push(name.len());
            }
            name.push_str(&glued(c.encode_utf8(&mut [0; 4])));
            before = c;
        }
        ends.push(name.len());
        self.names
            .iter()
            .any(|maker| name.starts_with(maker.as_str()) && ends.contains(&maker.len()))
    }

    /// Returns whether a name has the company's in it; a short one must be a word of its own.
    fn is_own(&self, name: &str) -> bool {
        if self.own.chars().count() >= MIN_NAME {
            return glued(name).contains(&self.own);
        }
        !self.own.is_empty() && words(name).any(|word| glued(word) == self.own)
    }

    /// Returns whether the text behind the words for a maker names the company. A short name must
    /// be its beginning.
    fn is_own_text(&self, text: &str) -> bool {
        if self.own.chars().count() >= MIN_NAME {
            return glued(text).contains(&self.own);
        }
        words(text)
            .next()
            .is_some_and(|word| glued(word) == self.own)
    }

    fn is_own_domain(&self, domain: &str) -> bool {
        !self.own.is_empty() && label(domain) == self.own
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// Returns the domain of a mail address.
fn domain(mail: &str) -> Option<&str> {
    let (_, host) = mail.rsplit_once('@')?;
    (host.len() <= MAX_HOST).then(|| owner(host))
}

/// Returns the owner's name in a domain.
fn label(domain: &str) -> String {
    glued(domain.split('.').next().unwrap_or_default())
}

/// Returns the site that a link leads to; `None` if it is a profile on a network, or not a web
/// page.
fn site(base: &Url, anchor: &Anchor) -> Option<String> {
    let url = base
        .join(&anchor.href)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let host = url.host_str().filter(|host| host.len() <= MAX_HOST)?;
    if Profile::of(&url).is_some() {
        return None;
    }
    Some(owner(host).to_owned())
}

/// The part of a line that names the maker of the site.
struct Credit {
    at: usize,
    /// The end of the words.
    end: usize,
    /// Set if the maker's contacts may be in the lines below.
    goes_on: bool,
}

/// Returns the first part of a line that names the maker of the site. `is_linked` returns whether a
/// link to another site begins at a byte, or just behind.
fn credit(text: &str, is_linked: impl Fn(usize) -> bool) -> Option<Credit> {
    let lower = Some(text.to_lowercase()).filter(|lower| lower.len() == text.len());
    let lower = lower.unwrap_or_else(|| text.to_ascii_lowercase());
    let found = |words: &[&str], by: bool| {
        let places = words.iter().flat_map(|words| lower.match_indices(words));
        let places = places.filter_map(|(at, words)| {
            let end = at + words.len();
            let (before, behind) = (&lower[..at], &lower[end..]);
            let whole = words.chars().next_back().is_some_and(|c| c >= '\u{3000}')
                || (!before.ends_with(char::is_alphanumeric)
                    && !behind.starts_with(char::is_alphanumeric));
            if !whole {
                return None;
            }
            let before = before.trim_end();
            let begins = before.is_empty()
                || before.ends_with([
                    '|', '\u{b7}', '\u{2022}', '-', '\u{2013}', '\u{2014}', '.', ',', ';', '/',
                    '&', '+', '(', '\u{a9}',
                ]);
            let linked = is_linked(end);
            let named = begins
                && lower.len() <= MAX_UNLINKED
                && (by || behind.trim_start().starts_with([':', '\u{ff1a}']))
                && begins_with_name(text.get(end..).unwrap_or_default());
            let goes_on = linked && WORDS.of_sites.iter().any(|of| words.contains(of));
            (linked || named).then_some(Credit { at, end, goes_on })
        });
        places.min_by_key(|credit| credit.at)
    };
    [found(&WORDS.made_by, true), found(&WORDS.works, false)]
        .into_iter()
        .flatten()
        .min_by_key(|credit| credit.at)
}

/// Returns whether a text begins with a possible name: a capitalised word that does not announce a
/// number.
fn begins_with_name(text: &str) -> bool {
    let signs = [':', '\u{ff1a}', '"', '\'', '\u{201e}', '\u{201c}', '\u{ab}'];
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || signs.contains(&c));
    let capital = |c: char| c.is_alphabetic() && !c.is_lowercase();
    let word = text.split([' ', ':']).next().unwrap_or_default();
    let long = word.chars().filter(|c| c.is_alphanumeric()).count() > 1;
    long && text.starts_with(capital) && !phone::is_called(word)
}

fn glued(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::links::PageLinks;
    use super::super::profile::profile;
    use super::*;
    use crate::providers::testing::timed;

    fn read_at(domain: &str, html: &str) -> super::super::profile::Profile {
        let url = Url::parse(&format!("https://www.{domain}/")).unwrap();
        profile(domain, &url, &Document::read(html), 2026)
    }

    fn read(html: &str) -> super::super::profile::Profile {
        read_at("baeckerei-mueller.de", html)
    }

    const MAKER: &str = "<a href='https://www.pixelwerk.example'>Pixelwerk GmbH</a>";
    const CONTACTS: &str = "Tel. 040 1234567 <a href='tel:+49401234567'>call</a> \
        <a href='mailto:info@pixelwerk.example'>Mail</a> \
        <a href='https://www.linkedin.com/company/pixelwerk'>LinkedIn</a>";

    #[test]
    fn a_makers_contacts_are_not_the_companys() {
        for credit in [
            "Webdesign by",
            "Umsetzung:",
            "Realisierung",
            "Realisierung:",
            "Website by",
            "Site r\u{e9}alis\u{e9} par",
            "R\u{e9}alisation :",
            "Dise\u{f1}o web:",
            "Dise\u{f1}o web",
            "Konzept & Umsetzung:",
            "\u{a9} 2026 B\u{e4}ckerei M\u{fc}ller Webdesign by",
            "\u{a9} 2026 | Designed and developed by",
            "Realizzato da",
            "Ontwikkeld door",
            "Desenvolvido por",
            "Webdesign & Hosting:",
            "\u{420}\u{430}\u{437}\u{440}\u{430}\u{431}\u{43e}\u{442}\u{43a}\u{430} \
             \u{441}\u{430}\u{439}\u{442}\u{430}:",
        ] {
            for contacts in [
                format!("{credit} {MAKER}, {CONTACTS}"),
                format!("{credit} {MAKER}<br>{CONTACTS}"),
            ] {
                let reported = read(&format!(
                    "<html lang=de><title>B\u{e4}ckerei M\u{fc}ller</title><footer>\
                     <p>{contacts}</footer>"
                ));
                for absent in ["phones", "emails", "social_profiles"] {
                    assert!(
                        !reported.fields.contains_key(absent),
                        "{contacts}: {:?}",
                        reported.fields
                    );
                }
                let own = "<p>Tel. 030 123456 <a href='tel:+4930123456'>call</a> \
                           <a href='mailto:brot@gmx.de'>Mail</a>\
                    <a href='https://www.instagram.com/baeckereimueller'>Instagram</a>";
                let reported = read(&format!(
                    "<html lang=de><footer>{own}<p>{contacts}</footer>"
                ));
                assert_eq!(
                    reported.fields["phones"],
                    json!(["+4930123456"]),
                    "{contacts}"
                );
                assert_eq!(
                    reported.fields["emails"],
                    json!(["brot@gmx.de"]),
                    "{contacts}"
                );
                let profiles = reported.fields["social_profiles"].as_object().unwrap();
                assert_eq!(
                    profiles.keys().collect::<Vec<_>>(),
                    ["instagram"],
                    "{contacts}"
                );
            }
        }
        // Without a link, and elsewhere than beside the maker's name.
        let reported =
            read("<html lang=de><footer><p>Webdesign: Pixelwerk GmbH, Tel. 040 1234567</footer>");
        assert!(
            !reported.fields.contains_key("phones"),
            "{:?}",
            reported.fields
        );
        let apart = "<div><a href='mailto:info@pixelwerk.example'>Mail</a></div><div>\
                     <a href='https://x.com/pixelwerk'>X</a></div>";
        let reported = read(&format!("<footer>{apart}<p>Umsetzung: {MAKER}</footer>"));
        assert!(
            !reported.fields.contains_key("emails")
                && !reported.fields.contains_key("social_profiles"),
            "{:?}",
            reported.fields
        );
    }

    #[test]
    fn what_only_looks_like_a_makers_is_the_companys() {
        for (html, phone) in [
            // A maker's own site, and one that sells such works.
            (
                "<p>Website by <a href='/'>B\u{e4}ckerei M\u{fc}ller</a>, Tel. 030 123456",
                "030 123456",
            ),
            (
                "<p>Webdesign by Baeckerei-Mueller, Tel. 030 123456",
                "030 123456",
            ),
            (
                "<p>Webdesign und Umsetzung aus einer Hand, Tel. 030 123456",
                "030 123456",
            ),
            (
                "<p>Tel. 030 123456 | Webdesign by <a href='https://p.example'>P</a>",
                "030 123456",
            ),
            (
                "<p>Our designs: <a href='https://p.example'>P</a><p>Tel. 030 123456",
                "030 123456",
            ),
        ] {
            let reported = read(&format!("<html lang=de><footer>{html}</footer>"));
            assert_eq!(
                reported.fields.get("phones"),
                Some(&json!([phone])),
                "{html}"
            );
        }
    }

    const OWN: &str = "<p>Tel. <a href='tel:+4930123456'>030 123456</a><p>\
                       <a href='mailto:brot@gmx.de'>brot@gmx.de</a>";

    #[test]
    fn the_lines_below_are_a_makers_only_where_the_words_are_of_sites_and_linked() {
        let shop = "<a href='https://www.shopify.com'>Shopify</a>";
        for credit in [
            format!("Powered by {shop}"),
            format!("powered by {shop}"),
            format!("Hosted by {shop}"),
            format!("Made by {shop}"),
            format!("Created by {shop}"),
            format!("Crafted by {shop}"),
            format!("Erstellt von {shop}"),
            format!("Hosting: {shop}"),
            format!("Design {shop}"),
            format!("Webdesign und Hosting: {shop}"),
            "Powered by <a href='https://translate.google.com'><img alt=Google>Translate</a>"
                .to_owned(),
            "Powered by Translate".to_owned(),
            "Powered by".to_owned(),
            "Webdesign by Pixelwerk".to_owned(),
            "Umsetzung: Pixelwerk GmbH".to_owned(),
        ] {
            let reported = read(&format!("<html lang=de><footer><p>{credit}{OWN}</footer>"));
            assert_eq!(
                reported.fields.get("phones"),
                Some(&json!(["+4930123456"])),
                "{credit}"
            );
            assert_eq!(
                reported.fields.get("emails"),
                Some(&json!(["brot@gmx.de"])),
                "{credit}"
            );
        }
        let reported = read(&format!(
            "<html lang=de><footer><p>Powered by {MAKER}, {CONTACTS}</footer>"
        ));
        for absent in ["phones", "emails", "social_profiles"] {
            assert!(
                !reported.fields.contains_key(absent),
                "{:?}",
                reported.fields
            );
        }
    }

    #[test]
    fn only_a_name_without_a_link_is_a_makers() {
        for (domain, html, phone) in [
            (
                "brot.co.uk",
                "Made by hand in Bristol<p>Tel. 0117 496 0123",
                "0117 496 0123",
            ),
            (
                "brot.co.uk",
                "Our bread. Made by hand. Call 0117 496 0123",
                "0117 496 0123",
            ),
            (
                "brot.co.uk",
                "Crafted by hand, tel. 0117 496 0123",
                "0117 496 0123",
            ),
            ("brot.de", "Hosting: Tel. 030 123456", "030 123456"),
            ("brot.de", "Hosting: Telefon: 030 123456", "030 123456"),
            (
                "brot.de",
                "Hosting: T 030 123456, Tel. 030 123456",
                "030 123456",
            ),
            ("brot.de", "Design: +49 30 123456", "+49 30 123456"),
            ("brot.de", "Konzept: tel. 030 123456", "030 123456"),
            ("brot.de", "Webdesign by: Tel. 030 123456", "030 123456"),
        ] {
            let reported = read_at(domain, &format!("<footer><p>{html}</footer>"));
            assert_eq!(
                reported.fields.get("phones"),
                Some(&json!([phone])),
                "{html}"
            );
        }
        for html in [
            "Umsetzung: Pixelwerk, Tel. 040 1234567",
            "Webdesign by \u{201e}Pixelwerk\u{201c}, Tel. 040 1234567",
            "Hosting: \u{dc}berland GmbH, Tel. 040 1234567",
        ] {
            let reported = read(&format!("<html lang=de><footer><p>{html}</footer>"));
            assert!(
                !reported.fields.contains_key("phones"),
                "{html}: {:?}",
                reported.fields
            );
        }
    }

    #[test]
    fn what_has_the_companys_name_is_its_own_and_only_what_has_the_makers_is_the_makers() {
        let studio = "Webdesign by <a href='https://studio.de'>Studio</a>";
        let maker = |domain: &str| format!("Powered by <a href='https://{domain}'>X</a>");
        let linked = |href: &str| format!("<a href='{href}'>there</a>");
        for (domain, html, own) in [
            (
                "hammer.de",
                format!(
                    "{}<p>{studio}",
                    linked("https://www.instagram.com/studiohamm")
                ),
                true,
            ),
            (
                "hammer.de",
                format!("{}<p>{studio}", linked("https://www.instagram.com/studio")),
                false,
            ),
            (
                "hammer.de",
                format!(
                    "{}<p>{studio}",
                    linked("https://www.instagram.com/studio.berlin")
                ),
                false,
            ),
            (
                "hammer.de",
                format!("{}<p>{studio}", linked("https://x.com/StudioBerlin")),
                false,
            ),
            (
                "hammer.de",
                format!("{}<p>{studio}", linked("https://x.com/mystudio")),
                true,
            ),
            (
                "bmw.de",
                format!(
                    "{} | {}",
                    maker("x.de"),
                    linked("https://www.linkedin.com/company/bmw")
                ),
                true,
            ),
            (
                "bmw.de",
                format!(
                    "{} | {}",
                    maker("x.de"),
                    linked("https://www.linkedin.com/company/bmw-group")
                ),
                true,
            ),
            (
                "bmw.de",
                format!(
                    "{} | {}",
                    maker("x.de"),
                    linked("https://www.linkedin.com/company/xbmwx")
                ),
                false,
            ),
            (
                "ix.de",
                format!(
                    "{}<p>{}",
                    linked("https://x.com/pixelwerk"),
                    maker("pixelwerk.de")
                ),
                false,
            ),
        ] {
            let base = Url::parse(&format!("https://{domain}/")).unwrap();
            let found = PageLinks::read(
                &base,
                &Document::read(&format!("<footer><p>{html}</footer>")),
            );
            assert_eq!(!found.profiles.is_empty(), own, "{html}: {found:?}");
        }
        for (domain, html, own) in [
            (
                "bmw.de",
                format!("{} | {}", maker("x.de"), linked("mailto:info@bmw.de")),
                true,
            ),
            (
                "bmw.de",
                format!("{} | {}", maker("x.de"), linked("mailto:info@mail.bmw.com")),
                true,
            ),
            (
                "bmw.de",
                format!("{} | {}", maker("x.de"), linked("mailto:info@x.de")),
                false,
            ),
            (
                "bmw.de",
                format!(
                    "{}<p>{}",
                    maker("bmw-design.de"),
                    linked("mailto:info@bmw-design.de")
                ),
                false,
            ),
            (
                "hammer.de",
                format!("{} | {}", maker("x.de"), linked("mailto:info@hammer.com")),
                true,
            ),
            (
                "hammer.de",
                format!(
                    "{} | {}",
                    maker("x.de"),
                    linked("mailto:info@hammerwerbung.de")
                ),
                false,
            ),
        ] {
            let reported = read_at(domain, &format!("<footer><p>{html}</footer>"));
            assert_eq!(
                reported.fields.contains_key("emails"),
                own,
                "{html}: {:?}",
                reported.fields
            );
        }
    }

    #[test]
    fn pages_of_makers_and_mails_do_not_hold_the_thread() {
        let bound = std::time::Duration::from_secs(10);
        let many = |part: &dyn Fn(usize) -> String, size: usize| {
            let mut page = String::new();
            for n in 0.. {
                if page.len() > size {
                    break;
                }
                page += &part(n);
            }
            page
        };
        let makers = |n: usize| format!("<a href=//m{n}.de>Maker {n}</a> ");
        let mails = |n: usize| format!("<a href=mailto:a@{}m{n}.de>m</a>", "a.".repeat(40));
        let profiles = |n: usize| format!("<a href=//x.com/some_one_{n}>x</a>");
        let credits = |n: usize| format!("made by <a href=//www.baeckerei-mueller.de/{n}>a</a> ");
        let half = 512 * 1024;
        for page in [
            format!(
                "<p>Webdesign by {}<p>{}",
                many(&makers, half),
                many(&mails, half)
            ),
            format!(
                "<p>Webdesign by {}<p>{}",
                many(&makers, half),
                many(&profiles, half)
            ),
            format!("<p>{}", many(&credits, 2 * half)),
            many(&|n| format!("<p>Webdesign by {}", makers(n)), 2 * half),
        ] {
            let document = Document::read(&page);
            let base = Url::parse("https://www.baeckerei-mueller.de/").unwrap();
            let credits = Credits::read(&base, &document);
            assert!(credits.owners.len() <= MAX_MAKERS && credits.names.len() <= MAX_NAMES + 2);
            let (_, took) = timed(|| read(&page));
            assert!(took < bound, "{}: {took:?}", &page[..60]);
        }
    }
}
