//! Names of companies: in titles of pages, and compared with the domain.

use std::sync::LazyLock;

use url::Url;

use super::lists::list;
use super::owner;
use super::parked::is_notice;
use super::titles::segments;
use crate::domain::organisation;
use crate::providers::kinds::suffix;

/// Words of home pages. See the file.
struct Words {
    greetings: Vec<&'static str>,
    generic: Vec<&'static str>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let list = |name| list(include_str!("names/words.txt"), name);
    Words {
        greetings: list("greetings"),
        generic: list("generic"),
    }
});

/// The longest name of a company on a page, in bytes.
const MAX_NAME: usize = 120;
/// The most words of a part of a title that is taken for a name by its place and length alone.
const MAX_WORDS: usize = 4;
/// The most words that are searched for the domain's in a longer part, and the most that are
/// together a name.
const MAX_LOOKED_THROUGH: usize = 30;
const MAX_NAME_WORDS: usize = 6;
/// The shortest spelling that identifies a name within a longer one.
const MIN_TELLING: usize = 3;

/// The fit of a name to a domain, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    Nothing,
    /// A word of it is in the domain, or its initials are the domain.
    Part,
    /// It spells the domain.
    Whole,
}

/// Returns whether a text is not a company's name: defaults of templates and tools, words for a
/// home page, and notices.
pub(super) fn is_generic(name: &str) -> bool {
    let lower = name.to_lowercase();
    let lower = lower.trim_matches(|c: char| !c.is_alphanumeric());
    lower.is_empty() || name.len() > MAX_NAME || WORDS.generic.contains(&lower) || is_notice(name)
}

/// Returns the same on the site of a host: the maker of a template has its name.
pub(super) fn is_generic_at(name: &str, host: &str) -> bool {
    is_generic(name) && (is_notice(name) || fit(name, host) != Fit::Whole)
}

/// Returns whether a text is only the address of the page.
pub(super) fn is_address(name: &str, host: &str) -> bool {
    let name = name.trim().trim_end_matches('/').to_lowercase();
    let name = name
        .split_once("://")
        .map_or(name.as_str(), |(_, rest)| rest);
    let name = name.strip_prefix("www.").unwrap_or(name);
    let host = host.strip_prefix("www.").unwrap_or(host);
    name == host
        || name == owner(host)
        || suffix::a_labels(name).is_ok_and(|name| name == host || name == owner(host))
}

/// Returns how well a name fits the domain of a host.
pub(super) fn fit(name: &str, host: &str) -> Fit {
    if name.len() > MAX_NAME {
        return Fit::Nothing;
    }
    let label = label(host);
    if organisation::spells(&label, name) || is_address(name, host) {
        return Fit::Whole;
    }
    let label = organisation::spellings(&label)
        .into_iter()
        .next_back()
        .map(|words| words.concat())
        .unwrap_or_default();
    let telling = |text: &str| text.chars().count() >= MIN_TELLING;
    let part = organisation::spellings(name).iter().any(|words| {
        let spelled = words.concat();
        let initials: String = words
            .iter()
            .filter_map(|word| word.chars().next())
            .collect();
        let first = words.first().map_or("", String::as_str);
        (telling(&label) && holds(words, &label))
            || (telling(&spelled) && (label.starts_with(&spelled) || label.ends_with(&spelled)))
            || (first.chars().count() > MIN_TELLING && label.starts_with(first))
            || (words.len() > 1 && initials == label)
    });
    if part { Fit::Part } else { Fit::Nothing }
}

/// Returns whether adjacent words together are this one.
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

/// Returns the first label of a domain, in its own letters and without hyphens.
fn label(host: &str) -> String {
    let first = owner(host).split('.').next().unwrap_or_default();
    let (unicode, _) = idna::domain_to_unicode(first);
    unicode.replace('-', "")
}

/// The evidence that a part of a title is a name, the weakest first.
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

/// Returns the part of a title that is the name, with the evidence. Of several equal ones the
/// shortest, then the first: home pages put the name first or last, and slogans are longer.
pub(super) fn in_title<'t>(title: &'t str, url: &Url) -> Option<(&'t str, Evidence)> {
    let host = url.host_str().unwrap_or_default();
    let whole = without_greeting(title.trim());
    let parts: Vec<&str> = segments(whole).take(20).collect();
    // A title that is only the address belongs to a page without one.
    if let [only] = parts[..]
        && is_address(only, host)
    {
        return None;
    }
    let parts: Vec<&str> = parts
        .into_iter()
        .map(without_greeting)
        .filter(|part| !is_generic(part))
        .collect();
    let rated = parts.iter().filter_map(|part| {
        let words = part.split_whitespace().count();
        let evidence = match fit(part, host) {
            // The address alone is not evidence of a name.
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
    let best = rated
        .rev()
        .max_by(|(_, one, words), (_, other, others)| one.cmp(other).then(others.cmp(words)))?;
    Some((best.0, best.1))
}

/// Returns the name in a site's own name with a slogan: `Acme GmbH - Anvils, hammers` is `Acme
/// GmbH` at `acme.example`. `None` if it is one part, all of them together are the name, or none of
/// them spells the domain or has a legal form: a place or a trade is in the domain as well (`Müller
/// Bau - Berlin` at `dachdecker-berlin.example`).
pub(super) fn without_slogan<'t>(said: &'t str, url: &Url) -> Option<&'t str> {
    segments(said).nth(1)?;
    if fit(said, url.host_str().unwrap_or_default()) == Fit::Whole {
        return None;
    }
    in_title(said, url)
        .filter(|(_, evidence)| *evidence > Evidence::Part)
        .map(|(name, _)| name)
}

/// Returns whether anything else supports a name: the domain, the page's title, another name.
pub(super) fn is_backed(name: &str, host: &str, others: &[Option<&str>]) -> bool {
    // Whole words: `Apply to us` does not support `App`.
    let words = |text: &str| {
        let lower = text.to_lowercase();
        let words = lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty());
        format!(" {} ", words.collect::<Vec<_>>().join(" "))
    };
    let wanted = words(name);
    fit(name, host) != Fit::Nothing
        || others
            .iter()
            .flatten()
            .any(|other| words(other).contains(&wanted))
}

/// Returns the words of a longer part that spell the domain: `Buy anvils at Acme GmbH, Berlin` has
/// `Acme GmbH` at `acme.example`.
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
        let names = ends.map(|(_, to)| {
            part[*from..*to].trim_matches(|c: char| !c.is_alphanumeric() && c != '.' && c != ')')
        });
        { names }.find(|name| organisation::spells(&label, name))
    })
}

/// Returns whether a legal form ends a part of a title, written as forms are: a sentence may end
/// with the same letters.
fn has_form(part: &str) -> bool {
    let last = part.split_whitespace().next_back().unwrap_or_default();
    last.chars().any(|c| c.is_alphabetic() && !c.is_lowercase())
        && organisation::has_legal_form(part)
}

/// Removes a greeting: `Welcome to Acme!` is `Acme`.
fn without_greeting(text: &str) -> &str {
    let text = text.trim_matches(|c: char| c == '!' || c.is_whitespace());
    let greeted = WORDS.greetings.iter().find_map(|greeting| {
        let start = text.get(..greeting.len())?;
        let name = text[greeting.len()..].strip_prefix(' ')?;
        (start.to_lowercase() == *greeting).then(|| name.trim_start())
    });
    greeted.filter(|rest| !rest.is_empty()).unwrap_or(text)
}

#[cfg(test)]
mod tests;
