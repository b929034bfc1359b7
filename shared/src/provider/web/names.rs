//! Names of companies: in titles of pages, and held against the domain.

use url::Url;

use super::owner;
use super::parked::is_notice;
use super::titles::segments;
use crate::domain::organisation;
use crate::provider::suffix;

/// The longest name that a company has on a page, in bytes.
const MAX_NAME: usize = 120;
/// The most words of a part of a title that is taken for a name by its place and length alone.
const MAX_WORDS: usize = 4;
/// The most words that are looked through for the domain's in a longer part, and the most that are together a name.
const MAX_LOOKED_THROUGH: usize = 30;
const MAX_NAME_WORDS: usize = 6;
/// The shortest spelling that tells something within a longer one.
const MIN_TELLING: usize = 3;

/// How well a name fits a domain, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    Nothing,
    /// A word of it is in the domain, or its initials are the domain.
    Part,
    /// It spells the domain.
    Whole,
}

/// Whether a text is no company's name: what templates and tools are delivered with, words for a home page, and notices.
pub(super) fn is_generic(name: &str) -> bool {
    let lower = name.to_lowercase();
    let lower = lower.trim_matches(|c: char| !c.is_alphanumeric());
    lower.is_empty() || name.len() > MAX_NAME || GENERIC.contains(&lower) || is_notice(name)
}

/// The same on the site of a host: who makes a template is called as it is.
pub(super) fn is_generic_at(name: &str, host: &str) -> bool {
    is_generic(name) && (is_notice(name) || fit(name, host) != Fit::Whole)
}

/// Whether a text is only the address of the page.
pub(super) fn is_address(name: &str, host: &str) -> bool {
    let name = name.trim().trim_end_matches('/').to_lowercase();
    let name = name.split_once("://").map_or(name.as_str(), |(_, rest)| rest);
    let name = name.strip_prefix("www.").unwrap_or(name);
    let host = host.strip_prefix("www.").unwrap_or(host);
    name == host || name == owner(host) || suffix::a_labels(name).is_ok_and(|name| name == host || name == owner(host))
}

/// How well a name fits the domain of a host.
pub(super) fn fit(name: &str, host: &str) -> Fit {
    if name.len() > MAX_NAME {
        return Fit::Nothing;
    }
    let label = label(host);
    if organisation::spells(&label, name) || is_address(name, host) {
        return Fit::Whole;
    }
    let label = organisation::spellings(&label).into_iter().next_back().map(|words| words.concat()).unwrap_or_default();
    let telling = |text: &str| text.chars().count() >= MIN_TELLING;
    let part = organisation::spellings(name).iter().any(|words| {
        let spelled = words.concat();
        let initials: String = words.iter().filter_map(|word| word.chars().next()).collect();
        let first = words.first().map_or("", String::as_str);
        (telling(&label) && holds(words, &label))
            || (telling(&spelled) && (label.starts_with(&spelled) || label.ends_with(&spelled)))
            || (first.chars().count() > MIN_TELLING && label.starts_with(first))
            || (words.len() > 1 && initials == label)
    });
    if part { Fit::Part } else { Fit::Nothing }
}

/// Whether words next to each other are together this one.
fn holds(words: &[String], wanted: &str) -> bool {
    (0..words.len()).any(|from| {
        let mut rest = wanted;
        { words[from..].iter() }.any(|word| {
            let fits = rest.strip_prefix(word.as_str());
            let whole = fits == Some("");
            rest = fits.unwrap_or("\0");
            whole
        })
    })
}

/// The first label of a domain, in its own letters and without hyphens.
fn label(host: &str) -> String {
    let first = owner(host).split('.').next().unwrap_or_default();
    let (unicode, _) = idna::domain_to_unicode(first);
    unicode.replace('-', "")
}

/// What a part of a title is a name by, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evidence {
    /// Its place and length.
    Place,
    /// It fits the domain in part.
    Part,
    /// It has a legal form.
    Form,
    /// It spells the domain.
    Domain,
}

/// The part of a title that is the name, and by what. Of several equal ones the shortest, then the first: home pages put the
/// name first or last, and what they say of it is longer.
pub(super) fn in_title<'t>(title: &'t str, url: &Url) -> Option<(&'t str, Evidence)> {
    let host = url.host_str().unwrap_or_default();
    let whole = without_greeting(title.trim());
    let parts: Vec<&str> = segments(whole).take(20).collect();
    // A title that is only the address is that of a page which nobody has given one.
    if let [only] = parts[..]
        && is_address(only, host)
    {
        return None;
    }
    let parts: Vec<&str> = parts.into_iter().map(without_greeting).filter(|part| !is_generic(part)).collect();
    let rated = parts.iter().filter_map(|part| {
        let words = part.split_whitespace().count();
        let evidence = match fit(part, host) {
            // The address again says nothing of the name.
            Fit::Whole if is_address(part, host) => Evidence::Place,
            Fit::Whole => Evidence::Domain,
            _ if words <= 2 * MAX_WORDS && has_form(part) => Evidence::Form,
            fit if words > MAX_WORDS || (fit == Fit::Part && part.contains(", ")) => {
                let name = within(part, host).or((words <= MAX_WORDS).then_some(*part))?;
                return Some((name, Evidence::Part, name.split_whitespace().count()));
            }
            Fit::Part => Evidence::Part,
            Fit::Nothing => Evidence::Place,
        };
        Some((*part, evidence, words))
    });
    // The last of equal ones would win.
    let best = rated.rev().max_by(|(_, one, words), (_, other, others)| one.cmp(other).then(others.cmp(words)))?;
    Some((best.0, best.1))
}

/// The name in what a site calls itself, where a slogan stands with it: `Acme GmbH - Anvils, hammers` is `Acme GmbH` at
/// `acme.example`. Nothing where it is one part, all of them together are the name, or none of them spells the domain or has
/// a legal form: a place or a trade is in the domain as well (`Müller Bau - Berlin` at `dachdecker-berlin.example`).
pub(super) fn without_slogan<'t>(said: &'t str, url: &Url) -> Option<&'t str> {
    segments(said).nth(1)?;
    if fit(said, url.host_str().unwrap_or_default()) == Fit::Whole {
        return None;
    }
    in_title(said, url).filter(|(_, evidence)| *evidence > Evidence::Part).map(|(name, _)| name)
}

/// Whether anything speaks for a name besides where it was said: the domain, the page's title, another name.
pub(super) fn is_backed(name: &str, host: &str, others: &[Option<&str>]) -> bool {
    // Whole words: `Apply to us` says nothing of `App`.
    let words = |text: &str| {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        format!(" {} ", words.collect::<Vec<_>>().join(" "))
    };
    let wanted = words(name);
    fit(name, host) != Fit::Nothing || others.iter().flatten().any(|other| words(other).contains(&wanted))
}

/// The words of a longer part that spell the domain: `Buy anvils at Acme GmbH, Berlin` says `Acme GmbH` at `acme.example`.
fn within<'t>(part: &'t str, host: &str) -> Option<&'t str> {
    let label = label(host);
    let mut at = 0;
    let words = part.split(' ').take(MAX_LOOKED_THROUGH).map(|word| {
        let from = at;
        at += word.len() + 1;
        (from, from + word.len())
    });
    let words: Vec<(usize, usize)> = words.collect();
    words.iter().enumerate().find_map(|(at, (from, _))| {
        let ends = words[at..].iter().take(MAX_NAME_WORDS).rev();
        let names =
            ends.map(|(_, to)| part[*from..*to].trim_matches(|c: char| !c.is_alphanumeric() && c != '.' && c != ')'));
        { names }.find(|name| organisation::spells(&label, name))
    })
}

/// Whether a legal form ends a part of a title, written as forms are: a sentence may end with the same letters.
fn has_form(part: &str) -> bool {
    let last = part.split_whitespace().next_back().unwrap_or_default();
    last.chars().any(|c| c.is_alphabetic() && !c.is_lowercase()) && organisation::has_legal_form(part)
}

/// `Welcome to Acme!` is `Acme`.
fn without_greeting(text: &str) -> &str {
    let text = text.trim_matches(|c: char| c == '!' || c.is_whitespace());
    let greeted = GREETINGS.iter().find_map(|greeting| {
        let start = text.get(..greeting.len())?;
        (start.to_lowercase() == *greeting).then(|| text[greeting.len()..].trim_start())
    });
    greeted.filter(|rest| !rest.is_empty()).unwrap_or(text)
}

/// With what a home page greets, in lower case.
const GREETINGS: [&str; 20] = [
    "welcome to the ",
    "welcome to ",
    "welcome at ",
    "home of ",
    "home page of ",
    "homepage of ",
    "official website of ",
    "herzlich willkommen bei ",
    "willkommen bei ",
    "willkommen auf ",
    "bienvenue chez ",
    "bienvenue sur ",
    "bienvenidos a ",
    "bienvenido a ",
    "benvenuti in ",
    "benvenuti su ",
    "benvenuti da ",
    "bem-vindo \u{e0} ",
    "welkom bij ",
    "v\u{e4}lkommen till ",
];

/// What is nobody's name, in lower case.
const GENERIC: &[&str] = &[
    // Home pages.
    "home",
    "homepage",
    "home page",
    "home-page",
    "main",
    "main page",
    "mainpage",
    "welcome",
    "welcome page",
    "start",
    "start page",
    "startpage",
    "index",
    "index.html",
    "index.php",
    "index.htm",
    "default",
    "landing page",
    "official site",
    "official website",
    "official web site",
    "the official site",
    "the official website",
    "official home page",
    "website",
    "web site",
    "site",
    "webseite",
    "startseite",
    "willkommen",
    "herzlich willkommen",
    "offizielle website",
    "offizielle webseite",
    "offizielle homepage",
    "accueil",
    "page d'accueil",
    "bienvenue",
    "site officiel",
    "site web officiel",
    "inicio",
    "p\u{e1}gina de inicio",
    "p\u{e1}gina principal",
    "bienvenido",
    "bienvenidos",
    "sitio oficial",
    "sitio web oficial",
    "web oficial",
    "pagina iniziale",
    "benvenuti",
    "benvenuto",
    "sito ufficiale",
    "in\u{ed}cio",
    "p\u{e1}gina inicial",
    "bem-vindo",
    "site oficial",
    "welkom",
    "offici\u{eb}le website",
    "hem",
    "startsida",
    "v\u{e4}lkommen",
    "hjem",
    "forside",
    "forsiden",
    "velkommen",
    "etusivu",
    "tervetuloa",
    "strona g\u{142}\u{f3}wna",
    "witamy",
    "\u{fa}vod",
    "\u{fa}vodn\u{ed} str\u{e1}nka",
    "f\u{151}oldal",
    "kezd\u{151}lap",
    "acas\u{103}",
    "pagina principal\u{103}",
    "ana sayfa",
    "anasayfa",
    "\u{433}\u{43b}\u{430}\u{432}\u{43d}\u{430}\u{44f}",
    "\u{433}\u{43b}\u{430}\u{432}\u{43d}\u{430}\u{44f} \u{441}\u{442}\u{440}\u{430}\u{43d}\u{438}\u{446}\u{430}",
    "\u{433}\u{43e}\u{43b}\u{43e}\u{432}\u{43d}\u{430}",
    "\u{3b1}\u{3c1}\u{3c7}\u{3b9}\u{3ba}\u{3ae}",
    "\u{30db}\u{30fc}\u{30e0}",
    "\u{30c8}\u{30c3}\u{30d7}",
    "\u{30c8}\u{30c3}\u{30d7}\u{30da}\u{30fc}\u{30b8}",
    "\u{516c}\u{5f0f}\u{30b5}\u{30a4}\u{30c8}",
    "\u{9996}\u{9875}",
    "\u{4e3b}\u{9875}",
    "\u{5b98}\u{65b9}\u{7f51}\u{7ad9}",
    "\u{5b98}\u{7f51}",
    "\u{d648}",
    "\u{d648}\u{d398}\u{c774}\u{c9c0}",
    // Other pages that stand in a home page's place.
    "blog",
    "news",
    "shop",
    "store",
    "online shop",
    "onlineshop",
    "online store",
    "contact",
    "contact us",
    "kontakt",
    "about",
    "about us",
    "\u{fc}ber uns",
    "services",
    "products",
    "login",
    "log in",
    "sign in",
    "anmelden",
    "impressum",
    "menu",
    "loading",
    "english",
    "deutsch",
    "en",
    "de",
    "fr",
    // What templates and tools are delivered with.
    "untitled",
    "untitled document",
    "untitled page",
    "unbenanntes dokument",
    "document",
    "no title",
    "new page",
    "title",
    "page title",
    "site title",
    "your site title",
    "site name",
    "sitename",
    "your site name",
    "website name",
    "your website name",
    "company name",
    "your company",
    "your company name",
    "my company",
    "my site",
    "mysite",
    "my website",
    "my blog",
    "my wordpress",
    "my wordpress site",
    "my wordpress blog",
    "mein blog",
    "meine website",
    "meine webseite",
    "mi sitio",
    "mi sitio web",
    "mon site",
    "mon site web",
    "il mio sito",
    "wordpress",
    "just another wordpress site",
    "joomla",
    "joomla!",
    "drupal",
    "wix",
    "wix.com",
    "wix website",
    "mysite 1",
    "squarespace",
    "shopify",
    "my store",
    "mystore",
    "webflow",
    "jimdo",
    "weebly",
    "ghost",
    "hugo",
    "jekyll",
    "your awesome title",
    "my new hugo site",
    "react app",
    "vite app",
    "vite + react",
    "vite + react + ts",
    "vite + vue",
    "vite + vue + ts",
    "vite + svelte",
    "vue app",
    "create next app",
    "next app",
    "next.js",
    "nuxt",
    "nuxt app",
    "nuxt 3",
    "angular",
    "my app",
    "myapp",
    "astro",
    "astro basics",
    "gatsby",
    "gatsby default starter",
    "svelte app",
    "sveltekit app",
    "sveltekit",
    "laravel",
    "django",
    "ruby on rails",
    "hello world",
    "hello, world",
    "test",
    "demo",
    "example",
    "sample page",
    "lorem ipsum",
    "hompage",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(title: &str) -> Option<(&str, Evidence)> {
        in_title(title, &Url::parse("https://www.acme.example/").unwrap())
    }

    #[test]
    fn names_are_held_against_the_domain() {
        for (name, host, wanted) in [
            ("Acme", "acme.example", Fit::Whole),
            ("ACME GmbH & Co. KG", "www.acme.example", Fit::Whole),
            ("Acme GmbH", "acme-gmbh.example", Fit::Whole),
            ("M\u{fc}ller & S\u{f6}hne", "mueller-und-soehne.example", Fit::Whole),
            ("M\u{fc}ller & S\u{f6}hne", "xn--mllershne-57a4d.example", Fit::Whole),
            ("Smith & Sons Ltd", "smithandsons.example", Fit::Whole),
            ("Smith & Sons Ltd", "smithsonsltd.example", Fit::Whole),
            ("Acme.example", "acme.example", Fit::Whole),
            ("Acme", "acme-anvils.example", Fit::Part),
            ("Acme", "getacme.example", Fit::Part),
            ("Acme Anvils of Berlin", "acme.example", Fit::Part),
            ("International Business Machines", "ibm.example", Fit::Part),
            ("Anvils for all", "acme.example", Fit::Nothing),
            ("", "acme.example", Fit::Nothing),
        ] {
            assert_eq!(fit(name, host), wanted, "{name} {host}");
        }
    }

    #[test]
    fn the_name_in_a_title_is_found_wherever_it_stands() {
        for (title, wanted) in [
            ("Acme GmbH | Ambosse aus Berlin", Some(("Acme GmbH", Evidence::Domain))),
            ("Ambosse aus Berlin | Acme GmbH", Some(("Acme GmbH", Evidence::Domain))),
            ("Ambosse aus Berlin \u{2013} Schmiedewerk Nord GmbH", Some(("Schmiedewerk Nord GmbH", Evidence::Form))),
            ("Acme Forge \u{2013} Anvils for everybody in town", Some(("Acme Forge", Evidence::Part))),
            ("Nordwerk | Ambosse aus Berlin", Some(("Nordwerk", Evidence::Place))),
            ("Ambosse aus Berlin | Nordwerk", Some(("Nordwerk", Evidence::Place))),
            ("Welcome to Nordwerk!", Some(("Nordwerk", Evidence::Place))),
            ("Willkommen bei Acme", Some(("Acme", Evidence::Domain))),
            ("Acme.example: the official site", Some(("Acme.example", Evidence::Place))),
            ("acme.example", None),
            ("https://www.acme.example/", None),
            ("Home | Startseite", None),
            ("React App", None),
            ("Untitled Document", None),
            ("404 Not Found", None),
            ("We sell many anvils to everybody", None),
            ("Buy anvils and hammers at Acme GmbH, Berlin", Some(("Acme GmbH", Evidence::Part))),
            ("Acme GmbH, Berlin", Some(("Acme GmbH", Evidence::Part))),
            ("Acme, Inc.", Some(("Acme, Inc.", Evidence::Domain))),
            (
                "\u{682a}\u{5f0f}\u{4f1a}\u{793e}\u{6771}\u{4eac}\u{ff5c}\u{516c}\u{5f0f}\u{30b5}\u{30a4}\u{30c8}",
                Some(("\u{682a}\u{5f0f}\u{4f1a}\u{793e}\u{6771}\u{4eac}", Evidence::Form)),
            ),
            ("Anvils, hammers and tongs from Acme", Some(("Acme", Evidence::Part))),
            ("Acme \u{2013} all that smiths ever need | Online Shop", Some(("Acme", Evidence::Domain))),
            ("", None),
        ] {
            assert_eq!(read(title), wanted, "{title}");
        }
    }

    #[test]
    fn a_slogan_is_cut_off_where_the_rest_is_surely_the_name() {
        for (said, host, name) in [
            ("Acme GmbH - Anvils, hammers", "acme.example", Some("Acme GmbH")),
            ("Anvils | Acme", "acme.example", Some("Acme")),
            ("Anvils | Nordwerk GmbH", "acme.example", Some("Nordwerk GmbH")),
            ("M\u{fc}ller Bau - Berlin", "dachdecker-berlin.example", None),
            ("Dr. M\u{fc}ller \u{2013} Zahnarzt", "zahnarzt-mueller.example", None),
            ("Gasthof zum Adler - Hotel", "hotel-adler.example", None),
            ("Acme - Anvils", "acme-anvils.example", None),
            ("Nordwerk", "nordwerk.example", None),
        ] {
            let url = Url::parse(&format!("https://www.{host}/")).unwrap();
            assert_eq!(without_slogan(said, &url), name, "{said} {host}");
        }
    }
}
