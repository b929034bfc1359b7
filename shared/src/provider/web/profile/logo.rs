//! The logo that a page shows.

use url::Url;

use super::super::html::{Document, Image};
use super::super::names::{self, Fit};
use super::super::places::Place;
use super::super::{links, owner};

/// How pictures' names end.
const PICTURES: [&str; 8] = [".png", ".svg", ".jpg", ".jpeg", ".webp", ".gif", ".ico", ".avif"];

/// The first picture that leads home from the page's frame, or that is called a logo and leads nowhere else.
pub(super) fn shown(page: &Document, base: &Url, host: &str) -> Option<String> {
    let logo = page.images.iter().find(|image| is_logo(image, base, host))?;
    links::absolute(base, &logo.src)
}

fn is_logo(image: &Image, base: &Url, host: &str) -> bool {
    let home = image.link.as_deref().map(|link| leads_home(link, base, host));
    let named = image.marked || words(stem(&image.src)).chain(words(&image.alt)).any(|word| word == "logo");
    match (image.place, home) {
        // Customers have logos too.
        (Place::Others, _) | (_, Some(false)) => false,
        (_, Some(true)) => named || image.place == Place::Frame,
        (Place::Frame, None) => named,
        // Those of customers stand in the text as well.
        (Place::Body, None) => named && (stem(&image.src) == "logo" || names::fit(&image.alt, host) != Fit::Nothing),
    }
}

/// Whether a link leads to the site's home page, in any of its languages.
fn leads_home(link: &str, base: &Url, host: &str) -> bool {
    let Ok(url) = base.join(link) else { return false };
    let index = |name: &str| name.split('.').next().is_some_and(|name| ["index", "home", "start"].contains(&name));
    let language = |name: &str| {
        let (language, region) = name.split_once(['-', '_']).unwrap_or((name, "xx"));
        [language, region].iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_alphabetic()))
    };
    let mut path = url.path_segments().into_iter().flatten().filter(|segment| !segment.is_empty());
    let root = path.next().is_none_or(|name| index(name) || language(name)) && path.next().is_none_or(index);
    let ours = url.host_str().is_some_and(|other| owner(other) == owner(host));
    ours && url.query().is_none() && (root || url.path() == base.path())
}

/// Whether an address is that of a picture, as far as its end tells.
pub(super) fn is_picture(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default().to_lowercase();
    PICTURES.iter().any(|end| path.ends_with(end))
}

/// The name of a file without its end.
fn stem(url: &str) -> &str {
    let file = url.split(['?', '#']).next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logo_is_the_sites_own() {
        for (html, logo) in [
            ("<header><a href=/><img src=/a.png></a></header>", Some("/a.png")),
            ("<header><a href='https://www.acme.example'><img src=/a.png></a></header>", Some("/a.png")),
            ("<nav><a href=/de/><img src=data:image/gif;base64,R0 data-src=/a.png></a></nav>", Some("/a.png")),
            ("<nav><a href=.><img src=/a.png></a></nav>", Some("/a.png")),
            ("<div class=site-logo><a href=/de-CH/><img src=/a.png></a></div>", Some("/a.png")),
            ("<a class='navbar__logo' href=/index.html><span><img src=/a.png></span></a>", Some("/a.png")),
            ("<header><img src=/a.png alt='Acme logo'></header>", Some("/a.png")),
            ("<p><img src=/img/logo.jpg></p>", Some("/img/logo.jpg")),
            ("<p><img src=/x.jpg><img src=/i/acme-logo.svg alt=Acme></p>", Some("/i/acme-logo.svg")),
            ("<img itemprop=logo alt='Acme Anvils' src=/a.png>", Some("/a.png")),
            // Pictures that are none, and those of others.
            ("<header><a href=/shop><img src=/logo.png></a></header>", None),
            ("<header><a href=https://other.example/><img src=/logo.png></a></header>", None),
            ("<header><img src=/hero.jpg></header><a href=/><img src=/b.png></a>", None),
            ("<div class=customer-logos><img src=/logo.png alt=Acme></div>", None),
            ("<p><img src=/logos/bolt.png alt='Bolt logo'></p>", None),
            ("<header><a href=/><img src=data:image/gif;base64,R0></a></header>", None),
        ] {
            let base = Url::parse("https://www.acme.example/").unwrap();
            let wanted = logo.map(|logo| format!("https://www.acme.example{logo}"));
            assert_eq!(shown(&Document::read(html), &base, "www.acme.example"), wanted, "{html}");
        }
    }
}
