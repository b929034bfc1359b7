//! Who made a site, as its footer says (`Webdesign by Pixelwerk, Tel. 040 1234567`): what stands there is not the company's.

use url::Url;

use super::document::{Anchor, Document};
use super::domains::owner;
use super::social::Profile;
use crate::domain::organisation;
use crate::providers::kinds::phone;

/// The longest line that names a maker without a link, in bytes, and that goes on with the maker's contacts.
const MAX_UNLINKED: usize = 300;
const MAX_CONTACT: usize = 80;
/// How many lines a maker's contacts have at most below its name.
const MAX_BELOW: usize = 3;
/// How many bytes there are at most between such words and the link to the maker: `: `.
const MAX_GAP: usize = 3;
/// The most makers that are kept, and the fewest letters of a name that tells them from others.
const MAX_MAKERS: usize = 20;
const MIN_NAME: usize = 4;

/// Words before a maker's name, in lower case.
const MADE_BY: &[&str] = &[
    "website by",
    "site by",
    "web design by",
    "webdesign by",
    "design by",
    "designed by",
    "developed by",
    "development by",
    "created by",
    "crafted by",
    "built by",
    "made by",
    "powered by",
    "hosted by",
    "webdesign von",
    "website von",
    "design von",
    "erstellt von",
    "umgesetzt von",
    "realisiert von",
    "realisiert durch",
    "realisierung durch",
    "umsetzung durch",
    "umsetzung von",
    "programmiert von",
    "r\u{e9}alis\u{e9} par",
    "cr\u{e9}\u{e9} par",
    "con\u{e7}u par",
    "d\u{e9}velopp\u{e9} par",
    "propuls\u{e9} par",
    "webdesign par",
    "dise\u{f1}o web por",
    "dise\u{f1}ado por",
    "desarrollado por",
    "realizado por",
    "creado por",
    "realizzato da",
    "sviluppato da",
    "creato da",
    "desenvolvido por",
    "criado por",
    "feito por",
    "ontwikkeld door",
    "gemaakt door",
    "gerealiseerd door",
    "website door",
    "webdesign door",
    "projekt i wykonanie",
    "wykonanie strony",
    "\u{441}\u{430}\u{439}\u{442} \u{440}\u{430}\u{437}\u{440}\u{430}\u{431}\u{43e}\u{442}\u{430}\u{43d}",
    "\u{440}\u{430}\u{437}\u{440}\u{430}\u{431}\u{43e}\u{442}\u{43a}\u{430} \u{441}\u{430}\u{439}\u{442}\u{430}",
    "\u{441}\u{43e}\u{437}\u{434}\u{430}\u{43d}\u{438}\u{435} \u{441}\u{430}\u{439}\u{442}\u{430}",
    "\u{7f51}\u{7ad9}\u{5efa}\u{8bbe}",
    "\u{6280}\u{672f}\u{652f}\u{6301}",
];
/// Words for what a maker did, with its name behind a colon or in a link.
const WORKS: &[&str] = &[
    "webdesign",
    "hosting",
    "web design",
    "web-design",
    "webdesign & hosting",
    "umsetzung",
    "realisierung",
    "realisation",
    "programmierung",
    "gestaltung",
    "konzept",
    "konzeption",
    "design",
    "r\u{e9}alisation",
    "r\u{e9}alisation du site",
    "cr\u{e9}ation",
    "cr\u{e9}ation du site",
    "cr\u{e9}ation site internet",
    "conception",
    "dise\u{f1}o web",
    "dise\u{f1}o",
    "desarrollo web",
    "desarrollo",
    "realizzazione",
    "realizzazione sito",
    "web agency",
    "desenvolvimento",
    "realisatie",
    "ontwerp",
    "realizacja",
    "wykonanie",
    "webbdesign",
    "website development",
    "web development",
    "site design",
];

/// The makers that a page names.
#[derive(Debug, Default)]
pub(super) struct Credits {
    /// Lines, and from which byte on each is a maker's.
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
            own: glued(own.split('.').next().unwrap_or_default()),
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
                links
                    .iter()
                    .any(|(anchor, site)| (end..=end + MAX_GAP).contains(&anchor.at) && site != own)
            };
            let Some(at) = credit(&line.text, is_linked) else {
                continue;
            };
            let behind = || links.iter().filter(|(anchor, _)| anchor.at >= at);
            // A maker's own site.
            if behind().any(|(_, site)| site == own)
                || credits.is_own(line.text.get(at..).unwrap_or_default())
            {
                continue;
            }
            credits.from.push((number, at));
            for (anchor, site) in behind() {
                let label = glued(site.split('.').next().unwrap_or_default());
                let spelled = organisation::spellings(&anchor.text)
                    .into_iter()
                    .map(|words| words.concat());
                let names = spelled
                    .chain([label])
                    .filter(|name| name.chars().count() >= MIN_NAME && *name != credits.own);
                credits.names.extend(names.collect::<Vec<_>>());
                credits.owners.push(site.clone());
            }
            let below = page.lines[number + 1..].iter().take(MAX_BELOW);
            let is_contact = |text: &str| {
                text.len() <= MAX_CONTACT && (phone::is_called(text) || text.contains('@'))
            };
            let below = below.take_while(|line| is_contact(&line.text)).count();
            credits
                .from
                .extend((1..=below).map(|more| (number + more, 0)));
        }
        credits
    }

    /// The part of a line that is the company's.
    pub(super) fn own_part<'l>(&self, number: usize, line: &'l str) -> &'l str {
        let from = self
            .from
            .iter()
            .find(|(of, _)| *of == number)
            .map(|(_, at)| *at);
        from.map_or(line, |at| line.get(..at).unwrap_or_default())
    }

    /// Whether a link stands where a maker is named, and is none to a profile or an address of the company's own name.
    pub(super) fn holds(&self, anchor: &Anchor, base: &Url) -> bool {
        let holds = self
            .from
            .iter()
            .any(|(line, at)| *line == anchor.line && anchor.at >= *at);
        holds && !self.is_own(&Self::named(anchor, base))
    }

    /// The name of the profile that a link leads to, or the domain of its address.
    fn named(anchor: &Anchor, base: &Url) -> String {
        let Ok(url) = base.join(&anchor.href) else {
            return String::new();
        };
        if url.scheme() == "mailto" {
            return url.path().rsplit('@').next().unwrap_or_default().to_owned();
        }
        Profile::of(&url)
            .map(|profile| profile.name().to_owned())
            .unwrap_or_default()
    }

    /// Whether a mail address is a maker's.
    pub(super) fn has_mail(&self, mail: &str) -> bool {
        let host = mail.rsplit('@').next().unwrap_or_default();
        self.owners.iter().any(|maker| maker == owner(host))
    }

    /// Whether a profile is a maker's.
    pub(super) fn has_profile(&self, profile: &Profile) -> bool {
        let name = glued(profile.name());
        let own = !self.own.is_empty() && name.contains(&self.own);
        !own && self.names.iter().any(|maker| name.contains(maker.as_str()))
    }

    fn is_own(&self, text: &str) -> bool {
        self.own.chars().count() >= MIN_NAME && glued(text).contains(&self.own)
    }
}

/// Whose site a link leads to; nothing where it is a profile on a network, or no web page.
fn site(base: &Url, anchor: &Anchor) -> Option<String> {
    let url = base
        .join(&anchor.href)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let host = url.host_str().filter(|_| Profile::of(&url).is_none())?;
    Some(owner(host).to_owned())
}

/// Where a line begins to name who made the site. `is_linked`: whether a link to another site begins at a byte, or just behind.
fn credit(text: &str, is_linked: impl Fn(usize) -> bool) -> Option<usize> {
    let lower = Some(text.to_lowercase()).filter(|lower| lower.len() == text.len());
    let lower = lower.unwrap_or_else(|| text.to_ascii_lowercase());
    let found = |words: &[&str], by: bool| {
        let places = words.iter().flat_map(|words| lower.match_indices(words));
        let places = places.filter(|(at, words)| {
            let (before, behind) = (&lower[..*at], &lower[at + words.len()..]);
            let whole = words.chars().next_back().is_some_and(|c| c >= '\u{3000}')
                || (!before.ends_with(char::is_alphanumeric)
                    && !behind.starts_with(char::is_alphanumeric));
            let before = before.trim_end();
            let begins = before.is_empty()
                || before.ends_with([
                    '|', '\u{b7}', '\u{2022}', '-', '\u{2013}', '\u{2014}', '.', ',', ';', '/',
                    '&', '+', '(', '\u{a9}',
                ]);
            let named = begins
                && lower.len() <= MAX_UNLINKED
                && (by || behind.trim_start().starts_with(':'));
            whole && (named || is_linked(at + words.len()))
        });
        places.map(|(at, _)| at).min()
    };
    [found(MADE_BY, true), found(WORKS, false)]
        .into_iter()
        .flatten()
        .min()
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

    use super::super::profile::profile;
    use super::*;

    fn read(html: &str) -> super::super::profile::Profile {
        profile(
            "baeckerei-mueller.de",
            &Url::parse("https://www.baeckerei-mueller.de/").unwrap(),
            &Document::read(html),
            2026,
        )
    }

    const MAKER: &str = "<a href='https://www.pixelwerk.example'>Pixelwerk GmbH</a>";
    const CONTACTS: &str = "Tel. 040 1234567 <a href='tel:+49401234567'>call</a> \
        <a href='mailto:info@pixelwerk.example'>Mail</a> <a href='https://www.linkedin.com/company/pixelwerk'>LinkedIn</a>";

    #[test]
    fn a_makers_contacts_are_not_the_companys() {
        for credit in [
            "Webdesign by",
            "Umsetzung:",
            "Realisierung",
            "Realisierung:",
            "Website by",
            "powered by",
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
            "Webdesign und Hosting:",
            "\u{420}\u{430}\u{437}\u{440}\u{430}\u{431}\u{43e}\u{442}\u{43a}\u{430} \u{441}\u{430}\u{439}\u{442}\u{430}:",
        ] {
            for contacts in [
                format!("{credit} {MAKER}, {CONTACTS}"),
                format!("{credit} {MAKER}<br>{CONTACTS}"),
            ] {
                let told = read(&format!(
                    "<html lang=de><title>B\u{e4}ckerei M\u{fc}ller</title><footer><p>{contacts}</footer>"
                ));
                for absent in ["phones", "emails", "social_profiles"] {
                    assert!(
                        !told.fields.contains_key(absent),
                        "{contacts}: {:?}",
                        told.fields
                    );
                }
                let own = "<p>Tel. 030 123456 <a href='tel:+4930123456'>call</a> <a href='mailto:brot@gmx.de'>Mail</a>\
                    <a href='https://www.instagram.com/baeckereimueller'>Instagram</a>";
                let told = read(&format!(
                    "<html lang=de><footer>{own}<p>{contacts}</footer>"
                ));
                assert_eq!(told.fields["phones"], json!(["+4930123456"]), "{contacts}");
                assert_eq!(told.fields["emails"], json!(["brot@gmx.de"]), "{contacts}");
                let profiles = told.fields["social_profiles"].as_object().unwrap();
                assert_eq!(
                    profiles.keys().collect::<Vec<_>>(),
                    ["instagram"],
                    "{contacts}"
                );
            }
        }
        // Without a link, and elsewhere than beside the maker's name.
        let told =
            read("<html lang=de><footer><p>Webdesign: Pixelwerk GmbH, Tel. 040 1234567</footer>");
        assert!(!told.fields.contains_key("phones"), "{:?}", told.fields);
        let apart = "<div><a href='mailto:info@pixelwerk.example'>Mail</a></div><div><a href='https://x.com/pixelwerk'>X</a></div>";
        let told = read(&format!("<footer>{apart}<p>Umsetzung: {MAKER}</footer>"));
        assert!(
            !told.fields.contains_key("emails") && !told.fields.contains_key("social_profiles"),
            "{:?}",
            told.fields
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
            let told = read(&format!("<html lang=de><footer>{html}</footer>"));
            assert_eq!(told.fields.get("phones"), Some(&json!([phone])), "{html}");
        }
    }
}
