//! Detects technologies by the traces of a site.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use regex_lite::Captures;
use serde_json::{Map, Value, json};

use super::matcher::{Budget, Haystack};
use super::rules::{Name, OtherNames, Pattern, Place, Rules, Technology};
use crate::ports::DnsKind;
use crate::providers::kinds::web::html::Document;

/// The longest version that is believed, in bytes. Longer ones are build numbers and hashes.
const MAX_VERSION: usize = 15;
/// The most pieces of evidence that are shown for a technology.
const MAX_EVIDENCE: usize = 3;
/// The most of a script's URL that is shown, in characters.
const MAX_TOLD: usize = 120;

/// For headers, cookies and metas of one name, script URLs, and DNS records: the most that are
/// matched, and the most bytes of each and of all together.
const MAX_OF_A_NAME: usize = 16;
const MAX_PIECES: usize = 200;
const MAX_VALUE: usize = 4 * 1024;
/// The most of a name that is compared with a pattern, in bytes.
const MAX_NAME: usize = 128;
const MAX_SCRIPT_URL: usize = 512;
const MAX_TOGETHER: usize = 64 * 1024;

/// The traces seen on a site.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) url: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) html: String,
    pub(super) page: Document,
    /// Every script's absolute URL.
    pub(super) script_urls: Vec<String>,
    /// DNS records as texts.
    pub(super) dns: Vec<(DnsKind, String)>,
}

/// A technology with its evidence.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Detected {
    pub(super) name: String,
    pub(super) categories: Vec<String>,
    pub(super) version: Option<String>,
    /// 0 to 100.
    pub(super) confidence: u8,
    pub(super) evidence: Vec<String>,
}

impl Detected {
    pub(super) fn to_json(&self) -> Value {
        let mut value = Map::new();
        value.insert("name".to_owned(), json!(self.name));
        value.insert("categories".to_owned(), json!(self.categories));
        if let Some(version) = &self.version {
            value.insert("version".to_owned(), json!(version));
        }
        value.insert(
            "confidence".to_owned(),
            json!(f64::from(self.confidence) / 100.0),
        );
        value.insert("evidence".to_owned(), json!(self.evidence));
        Value::Object(value)
    }

    fn of(technology: &Technology) -> Self {
        let (name, categories) = (technology.name.clone(), technology.categories.clone());
        Self {
            name,
            categories,
            ..Self::default()
        }
    }
}

/// Returns every technology that the rules detect, in the rules' order; implied ones at the end.
pub(super) fn detect(rules: &Rules, seen: &Seen) -> Vec<Detected> {
    detect_within(rules, seen, &Budget::default())
}

fn detect_within(rules: &Rules, seen: &Seen, budget: &Budget) -> Vec<Detected> {
    let sought = Sought::new(seen, budget);
    let found = rules
        .technologies
        .iter()
        .filter_map(|t| detect_one(t, &sought))
        .collect();
    settled(rules, found, true)
}

/// Returns the technologies that no site can show: they have no usable pattern, and no detectable
/// one implies them, or they need another that is never found.
pub(super) fn never_found(rules: &Rules) -> Vec<&str> {
    let shown = |technology: &&Technology| {
        technology
            .patterns
            .iter()
            .any(|pattern| pattern.confidence > 0)
    };
    let all = rules.technologies.iter().filter(shown);
    let all = all
        .map(|technology| Detected {
            confidence: 100,
            ..Detected::of(technology)
        })
        .collect();
    let found = settled(rules, all, false);
    let found: BTreeSet<&str> = found
        .iter()
        .map(|detected| detected.name.as_str())
        .collect();
    rules
        .technologies
        .iter()
        .map(|t| t.name.as_str())
        .filter(|name| !found.contains(name))
        .collect()
}

/// Returns the found technologies and those that they imply, without those that need a missing one
/// and, if `exclude`, those that others exclude.
fn settled(rules: &Rules, mut found: Vec<Detected>, exclude: bool) -> Vec<Detected> {
    let by_name: BTreeMap<&str, &Technology> = rules
        .technologies
        .iter()
        .map(|t| (t.name.as_str(), t))
        .collect();

    // A technology that needs a missing one is dropped, until none is.
    loop {
        let (names, categories): (Vec<_>, Vec<_>) = found
            .iter()
            .map(|d| (d.name.clone(), d.categories.clone()))
            .unzip();
        let stays = |d: &Detected| {
            let Some(technology) = by_name.get(d.name.as_str()) else {
                return true;
            };
            let requires = technology.requires.is_empty()
                || technology.requires.iter().any(|n| names.contains(n));
            let category = &technology.requires_category;
            requires
                && (category.is_empty()
                    || categories.iter().flatten().any(|c| category.contains(c)))
        };
        let before = found.len();
        found.retain(stays);
        if found.len() == before {
            break;
        }
    }
    let excluding = found
        .iter()
        .filter(|_| exclude)
        .filter_map(|d| by_name.get(d.name.as_str()));
    let excluded: Vec<&String> = excluding.flat_map(|t| &t.excludes).collect();
    found.retain(|d| !excluded.contains(&&d.name));

    let mut at = 0;
    while let Some(source) = found.get(at).cloned() {
        at += 1;
        let Some(technology) = by_name.get(source.name.as_str()) else {
            continue;
        };
        for (implied, confidence) in &technology.implies {
            let known = by_name
                .get(implied.as_str())
                .filter(|_| !excluded.contains(&implied));
            let Some(known) = known.filter(|_| !found.iter().any(|d| d.name == *implied)) else {
                continue;
            };
            found.push(Detected {
                confidence: source.confidence.min(*confidence),
                evidence: vec![format!("implied by {}", source.name)],
                ..Detected::of(known)
            });
        }
    }
    found
}

/// A text that patterns are matched against, and its evidence.
struct Piece<'s> {
    reported: String,
    text: &'s str,
    lower: String,
}

impl<'s> Piece<'s> {
    fn new(reported: String, text: &'s str, most: usize) -> Self {
        let text = &text[..text.floor_char_boundary(most)];
        Self {
            reported,
            text,
            lower: text.to_ascii_lowercase(),
        }
    }

    fn whole(reported: &str, text: &'s str) -> Vec<Self> {
        if text.is_empty() {
            vec![]
        } else {
            vec![Self::new(reported.to_owned(), text, usize::MAX)]
        }
    }

    /// Limits the pieces to those that are matched.
    fn capped(pieces: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut total = 0;
        let fits = |piece: &Self| {
            total += piece.text.len();
            total <= MAX_TOGETHER
        };
        pieces.take(MAX_PIECES).take_while(fits).collect()
    }
}

/// Pieces by names in lower case.
type Named<'s> = BTreeMap<String, Vec<Piece<'s>>>;

/// The traces, prepared for many searches.
struct Sought<'s> {
    headers: Named<'s>,
    cookies: Named<'s>,
    metas: Named<'s>,
    script_urls: Vec<Piece<'s>>,
    scripts: Vec<Piece<'s>>,
    html: Vec<Piece<'s>>,
    text: Vec<Piece<'s>>,
    url: Vec<Piece<'s>>,
    dns: Vec<(DnsKind, Piece<'s>)>,
    budget: &'s Budget,
}

impl<'s> Sought<'s> {
    fn new(seen: &'s Seen, budget: &'s Budget) -> Self {
        fn named<'s>(what: &str, pairs: impl Iterator<Item = (&'s str, &'s str)>) -> Named<'s> {
            let mut named = Named::new();
            for (name, value) in pairs {
                let same = named.entry(name.to_lowercase()).or_default();
                if same.len() < MAX_OF_A_NAME {
                    same.push(Piece::new(format!("{what} {name}"), value, MAX_VALUE));
                }
            }
            named
        }
        fn pairs(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
            pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
        }
        let script = |url: &'s String| {
            Piece::new(
                format!("script {}", url.chars().take(MAX_TOLD).collect::<String>()),
                url,
                MAX_SCRIPT_URL,
            )
        };
        let dns = seen.dns.iter().take(MAX_PIECES).map(|(kind, value)| {
            (
                *kind,
                Piece::new(
                    format!("dns {}", format!("{kind:?}").to_uppercase()),
                    value,
                    MAX_VALUE,
                ),
            )
        });
        Self {
            headers: named("header", pairs(&seen.headers)),
            cookies: named("cookie", cookies(&seen.headers)),
            metas: named("meta", pairs(&seen.page.metas)),
            script_urls: Piece::capped(seen.script_urls.iter().map(script)),
            scripts: Piece::whole("inline script", &seen.page.scripts),
            html: Piece::whole("html", &seen.html),
            text: Piece::whole("text", &seen.page.text),
            url: Piece::whole("url", &seen.url),
            dns: dns.collect(),
            budget,
        }
    }

    /// Returns the pieces that a pattern is matched against.
    fn pieces(&self, place: &Place) -> Vec<&Piece<'s>> {
        match place {
            Place::Header(name) => of_name(name, &self.headers, self.budget),
            Place::Cookie(name) => of_name(name, &self.cookies, self.budget),
            Place::Meta(name) => of_name(name, &self.metas, self.budget),
            Place::ScriptUrl => self.script_urls.iter().collect(),
            Place::Script => self.scripts.iter().collect(),
            Place::Html => self.html.iter().collect(),
            Place::Text => self.text.iter().collect(),
            Place::Url => self.url.iter().collect(),
            Place::Dns(kind) => self
                .dns
                .iter()
                .filter(|(k, _)| k == kind)
                .map(|(_, piece)| piece)
                .collect(),
        }
    }
}

/// Returns the pieces of the names that a rule is for.
fn of_name<'p, 's>(rule: &Name, named: &'p Named<'s>, budget: &Budget) -> Vec<&'p Piece<'s>> {
    let spelled = named.get(&rule.text).into_iter().flatten();
    match &rule.other {
        OtherNames::None => spelled.collect(),
        OtherNames::Beginning => {
            let beginning = rule.text.trim_end_matches('*');
            let from = named.range::<str, _>((Bound::Included(beginning), Bound::Unbounded));
            let same = from.take_while(|(name, _)| name.starts_with(beginning));
            same.flat_map(|(_, pieces)| pieces)
                .take(MAX_OF_A_NAME)
                .collect()
        }
        OtherNames::Matching(matcher) => {
            let fits = |name: &str| {
                let text = &name[..name.floor_char_boundary(MAX_NAME)];
                matcher
                    .find(Haystack { text, lower: text }, budget)
                    .is_some()
            };
            let others = named
                .iter()
                .take(MAX_PIECES)
                .filter(|(name, _)| **name != rule.text && fits(name));
            spelled
                .chain(others.flat_map(|(_, pieces)| pieces))
                .take(MAX_OF_A_NAME)
                .collect()
        }
    }
}

fn detect_one(technology: &Technology, sought: &Sought<'_>) -> Option<Detected> {
    let mut detected = Detected::of(technology);
    for pattern in &technology.patterns {
        for piece in sought.pieces(&pattern.place) {
            let haystack = Haystack {
                text: piece.text,
                lower: &piece.lower,
            };
            let Some(version) = try_match(pattern, haystack, sought.budget) else {
                continue;
            };
            detected.confidence = detected
                .confidence
                .saturating_add(pattern.confidence)
                .min(100);
            if detected.evidence.len() < MAX_EVIDENCE
                && !detected.evidence.contains(&piece.reported)
            {
                detected.evidence.push(piece.reported.clone());
            }
            if version.len() > detected.version.as_ref().map_or(0, String::len) {
                detected.version = Some(version);
            }
            // One match of a pattern is enough.
            break;
        }
    }
    (detected.confidence > 0).then_some(detected)
}

/// Returns the version if the pattern matches; empty if it has none.
fn try_match(pattern: &Pattern, value: Haystack<'_>, budget: &Budget) -> Option<String> {
    let Some(matcher) = &pattern.matcher else {
        return Some(String::new());
    };
    let groups = matcher.find(value, budget)?;
    Some(
        pattern
            .version
            .as_ref()
            .map_or_else(String::new, |template| version(&groups, template)),
    )
}

/// Fills a version's template: `\1` is the first group's match, `\1?a:b` is `a` if it matched
/// anything and else `b`. Empty if the result is not a version.
fn version(groups: &Captures<'_>, template: &str) -> String {
    let group = |digit: char| {
        let group = groups.get(usize::try_from(digit.to_digit(10)?).ok()?)?;
        Some(group.as_str().to_owned())
    };
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let Some(digit) = after.chars().next().filter(char::is_ascii_digit) else {
            rest = after;
            continue;
        };
        let text = group(digit).unwrap_or_default();
        rest = &after[1..];
        if let Some(choice) = rest.strip_prefix('?') {
            let (yes, no) = choice.split_once(':').unwrap_or((choice, ""));
            let chosen = if text.is_empty() { no } else { yes };
            // The chosen part may have groups of its own.
            out.push_str(&(1..=9).fold(chosen.to_owned(), |chosen, n| {
                let digit = char::from_digit(n, 10).unwrap_or('0');
                chosen.replace(&format!("\\{digit}"), &group(digit).unwrap_or_default())
            }));
            rest = "";
        } else {
            out.push_str(&text);
        }
    }
    out.push_str(rest);
    let version = out.trim().to_owned();
    let fits = !version.is_empty()
        && version.len() <= MAX_VERSION
        && version.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if fits { version } else { String::new() }
}

/// Returns name and value of every cookie that a response sets.
fn cookies(headers: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    let set = headers.iter().filter(|(name, _)| name == "set-cookie");
    let pair = set.filter_map(|(_, value)| value.split(';').next()?.split_once('='));
    pair.map(|(name, value)| (name.trim(), value.trim()))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
