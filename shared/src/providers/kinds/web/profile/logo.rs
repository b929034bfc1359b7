//! The logo that a page shows.

use url::Url;

use super::super::html::{Document, Image};
use super::super::names::{self, Fit};
use super::super::places::Place;
use super::super::{links, owner};

/// The ends of pictures' names.
const PICTURES: [&str; 8] = [
    ".png", ".svg", ".jpg", ".jpeg", ".webp", ".gif", ".ico", ".avif",
];

/// Words in the name, the folder or the text of a picture that is not a logo, or that is another
/// company's.
const NO_LOGO: [&str; 15] = [
    "flag",
    "flags",
    "lang",
    "language",
    "search",
    "menu",
    "cart",
    "payment",
    "payments",
    "visa",
    "mastercard",
    "paypal",
    "seal",
    "badge",
    "press",
];
/// Paths of the default logos and icons of systems.
const DELIVERED: [&str; 9] = [
    "s0.wp.com/i/",
    "s2.wp.com/i/",
    "s.w.org/",
    "/lib/tpl/dokuwiki/images/",
    "/core/themes/",
    "/cassiopeia/images/",
    "/resources/assets/",
    "//img1.wsimg.com/isteam/ip/static/",
    "//www.weebly.com/uploads/reseller/assets/",
];

/// Returns whether a picture is the platform's own.
pub(super) fn is_delivered(url: &str) -> bool {
    DELIVERED.iter().any(|place| url.contains(place))
}

/// Returns the first picture that leads home from the page's frame, or that is called a logo and
/// leads to no other page.
pub(super) fn shown(page: &Document, base: &Url, host: &str) -> Option<String> {
    page.images.iter().find_map(|image| {
        let url = links::absolute(base, &image.src)?;
        is_logo(image, &Url::parse(&url).ok()?, base, host).then_some(url)
    })
}

fn is_logo(image: &Image, url: &Url, base: &Url, host: &str) -> bool {
    let stem = stem(&image.src);
    let said = || {
        url.path_segments()
            .into_iter()
            .flatten()
            .chain([image.alt.as_str()])
            .flat_map(words)
    };
    if image.place == Place::Others
        || is_language(stem)
        || said().any(|word| NO_LOGO.contains(&word.as_str()))
        || is_delivered(url.as_str())
    {
        return false;
    }
    let home = image
        .link
        .as_deref()
        .map(|link| leads_home(link, base, host));
    let named = image.marked
        || words(stem)
            .chain(words(&image.alt))
            .any(|word| word == "logo");
    let fits = [&image.alt, stem].into_iter().any(|said| {
        let said: Vec<String> = words(said)
            .filter(|word| !word.is_empty() && word != "logo")
            .collect();
        names::fit(&said.join(" "), host) != Fit::Nothing
    });
    let own = url
        .host_str()
        .is_some_and(|other| owner(other) == owner(host));
    match home {
        Some(Home::No) => false,
        // Seals and logos of sponsors and makers are there.
        _ if image.footer => named && fits,
        Some(Home::Root) if image.place == Place::Frame => true,
        Some(Home::Root | Home::Language) => named,
        None if image.place == Place::Frame => named && (own || image.marked || fits),
        // Those of customers are in the text as well.
        None => named && (fits || (own && stem == "logo")),
    }
}

/// The target of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    Root,
    /// The home page in one of the site's languages, as in a switch between them.
    Language,
    No,
}

fn leads_home(link: &str, base: &Url, host: &str) -> Home {
    let Ok(url) = base.join(link) else {
        return Home::No;
    };
    let index = |name: &str| {
        name.split('.')
            .next()
            .is_some_and(|name| ["index", "home", "start"].contains(&name))
    };
    let mut path = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|segment| !segment.is_empty());
    let (first, rest) = (path.next(), path.next());
    let ours = url
        .host_str()
        .is_some_and(|other| owner(other) == owner(host));
    if !ours || url.query().is_some() {
        return Home::No;
    }
    match first {
        _ if url.path() == base.path() => Home::Root,
        Some(name) if is_language(name) && rest.is_none_or(index) => Home::Language,
        first if first.is_none_or(index) && rest.is_none_or(index) => Home::Root,
        _ => Home::No,
    }
}

/// Returns whether a name is a language: `de` and `de-CH`.
fn is_language(name: &str) -> bool {
    let (language, region) = name.split_once(['-', '_']).unwrap_or((name, "xx"));
    [language, region]
        .iter()
        .all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// Returns whether an address is that of a picture, by its end.
pub(super) fn is_picture(url: &str) -> bool {
    let path = url
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_lowercase();
    PICTURES.iter().any(|end| path.ends_with(end))
}

/// Returns the name of a file without its end.
fn stem(url: &str) -> &str {
    let file = url
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .rsplit('/')
        .next()
        .unwrap_or_default();
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logo_is_the_sites_own() {
        for (html, logo) in [
            (
                "<header><a href=/><img src=/a.png></a></header>",
                Some("/a.png"),
            ),
            (
                "<header><a href='https://www.acme.example'><img src=/a.png></a></header>",
                Some("/a.png"),
            ),
            (
                "<nav><a href=/><img src=data:image/gif;base64,R0 data-src=/a.png></a></nav>",
                Some("/a.png"),
            ),
            ("<nav><a href=.><img src=/a.png></a></nav>", Some("/a.png")),
            (
                "<div class=site-logo><a href=/de-CH/><img src=/a.png></a></div>",
                Some("/a.png"),
            ),
            (
                "<a class='navbar__logo' href=/index.html><span><img src=/a.png></span></a>",
                Some("/a.png"),
            ),
            (
                "<header><img src=/a.png alt='Acme logo'></header>",
                Some("/a.png"),
            ),
            ("<p><img src=/img/logo.jpg></p>", Some("/img/logo.jpg")),
            (
                "<p><img src=/x.jpg><img src=/i/acme-logo.svg alt=Acme></p>",
                Some("/i/acme-logo.svg"),
            ),
            (
                "<img itemprop=logo alt='Acme Anvils' src=/a.png>",
                Some("/a.png"),
            ),
            (
                "<footer><img src=/acme-logo.svg alt='Acme logo'></footer>",
                Some("/acme-logo.svg"),
            ),
            (
                "<header><a href=/><img src=/Design/Logos/a.png></a></header>",
                Some("/Design/Logos/a.png"),
            ),
            // Other pictures, and logos of others.
            (
                "<header><a href=/de><img src=/i/german.svg></a><a href=/>\
                 <img src=/a.png></a></header>",
                Some("/a.png"),
            ),
            (
                "<header><a href=/><img src=/flags/gb.svg></a><a href=/>\
                 <img src=/a.png></a></header>",
                Some("/a.png"),
            ),
            ("<header><a href=/><img src=/i/en.png></a></header>", None),
            (
                "<header><ul class=lang-switch><li><a href=/>\
                 <img src=/i/english.png></a></ul></header>",
                None,
            ),
            (
                "<header><a href=/ class=search-toggle><img src=/i/lens.svg></a></header>",
                None,
            ),
            (
                "<header><a href=/><img src=/i/search.svg></a></header>",
                None,
            ),
            (
                "<div class=press><img src=https://times.example/logo.png></div>",
                None,
            ),
            ("<p><img src=https://times.example/logo.png></p>", None),
            ("<footer><img src=/i/visa-logo.svg alt=Visa></footer>", None),
            ("<footer><img src=/i/bolt-logo.svg></footer>", None),
            (
                "<footer><a href=/><img src=/trusted.png></a></footer>",
                None,
            ),
            ("<div class=payment><img src=/logo.png></div>", None),
            (
                "<div class=logo-wall><img src=/logo.png></div><ul class=logo-grid><li>\
                 <img src=/logo.svg></ul>",
                None,
            ),
            (
                "<div class=client-logos><img src=/logo.png></div><div class=logos>\
                 <img src=/logo.svg></div>",
                None,
            ),
            (
                "<header><img class=logo \
                 src=https://s2.wp.com/i/logo/wpcom-gray-white.png></header>",
                None,
            ),
            (
                "<header><a href=/><img src=/lib/tpl/dokuwiki/images/logo.png></a></header>",
                None,
            ),
            (
                "<header><a href=/shop><img src=/logo.png></a></header>",
                None,
            ),
            (
                "<header><a href=https://other.example/><img src=/logo.png></a></header>",
                None,
            ),
            (
                "<header><img src=/hero.jpg></header><a href=/><img src=/b.png></a>",
                None,
            ),
            (
                "<div class=customer-logos><img src=/logo.png alt=Acme></div>",
                None,
            ),
            ("<p><img src=/logos/bolt.png alt='Bolt logo'></p>", None),
            (
                "<header><a href=/><img src=data:image/gif;base64,R0></a></header>",
                None,
            ),
        ] {
            let base = Url::parse("https://www.acme.example/").unwrap();
            let wanted = logo.map(|logo| format!("https://www.acme.example{logo}"));
            assert_eq!(
                shown(&Document::read(html), &base, "www.acme.example"),
                wanted,
                "{html}"
            );
        }
    }
}
