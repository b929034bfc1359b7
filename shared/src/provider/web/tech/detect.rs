//! Which technologies what was seen of a site tells.

use std::collections::BTreeMap;

use regex_lite::Captures;
use serde_json::{Map, Value, json};

use super::matcher::{Haystack, lower};
use super::rules::{Pattern, Place, Rules, Technology};
use crate::ports::DnsKind;
use crate::provider::web::html::Document;

/// The longest version that is believed, in bytes. Longer ones are build numbers and hashes.
const MAX_VERSION: usize = 15;
/// How many pieces of evidence are told for a technology.
const MAX_EVIDENCE: usize = 3;
/// How much of a script's URL is told, in characters.
const MAX_TOLD: usize = 120;

/// What was seen of a site.
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

/// A technology with what tells it.
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
        value.insert("confidence".to_owned(), json!(f64::from(self.confidence) / 100.0));
        value.insert("evidence".to_owned(), json!(self.evidence));
        Value::Object(value)
    }

    fn of(technology: &Technology) -> Self {
        let (name, categories) = (technology.name.clone(), technology.categories.clone());
        Self { name, categories, ..Self::default() }
    }
}

/// Every technology that the rules tell, in the rules' order; those that others imply at the end.
pub(super) fn detect(rules: &Rules, seen: &Seen) -> Vec<Detected> {
    let sought = Sought::new(seen);
    let mut found: Vec<Detected> = rules.technologies.iter().filter_map(|t| detect_one(t, &sought)).collect();
    let by_name: BTreeMap<&str, &Technology> = rules.technologies.iter().map(|t| (t.name.as_str(), t)).collect();

    // What needs another technology goes where that is not there, until nothing goes any more.
    loop {
        let (names, categories): (Vec<_>, Vec<_>) =
            found.iter().map(|d| (d.name.clone(), d.categories.clone())).unzip();
        let stays = |d: &Detected| {
            let Some(technology) = by_name.get(d.name.as_str()) else { return true };
            let requires = technology.requires.is_empty() || technology.requires.iter().any(|n| names.contains(n));
            let category = &technology.requires_category;
            requires && (category.is_empty() || categories.iter().flatten().any(|c| category.contains(c)))
        };
        let before = found.len();
        found.retain(stays);
        if found.len() == before {
            break;
        }
    }
    let excluded: Vec<&String> =
        found.iter().filter_map(|d| by_name.get(d.name.as_str())).flat_map(|t| &t.excludes).collect();
    found.retain(|d| !excluded.contains(&&d.name));

    let mut at = 0;
    while let Some(source) = found.get(at).cloned() {
        at += 1;
        let Some(technology) = by_name.get(source.name.as_str()) else { continue };
        for (implied, confidence) in &technology.implies {
            let known = by_name.get(implied.as_str()).filter(|_| !excluded.contains(&implied));
            let Some(known) = known.filter(|_| !found.iter().any(|d| d.name == *implied)) else { continue };
            found.push(Detected {
                confidence: source.confidence.min(*confidence),
                evidence: vec![format!("implied by {}", source.name)],
                ..Detected::of(known)
            });
        }
    }
    found
}

/// What was seen, made ready to be searched many times.
struct Sought<'s> {
    seen: &'s Seen,
    cookies: Vec<(String, String)>,
    html: String,
    scripts: String,
}

impl<'s> Sought<'s> {
    fn new(seen: &'s Seen) -> Self {
        let (html, scripts) = (lower(&seen.html), lower(&seen.page.scripts));
        Self { seen, cookies: cookies(&seen.headers), html, scripts }
    }
}

fn detect_one(technology: &Technology, sought: &Sought<'_>) -> Option<Detected> {
    let mut detected = Detected::of(technology);
    for pattern in &technology.patterns {
        for (told, value) in values(&pattern.place, sought) {
            let Some(version) = try_match(pattern, value) else { continue };
            detected.confidence = detected.confidence.saturating_add(pattern.confidence).min(100);
            if detected.evidence.len() < MAX_EVIDENCE && !detected.evidence.contains(&told) {
                detected.evidence.push(told);
            }
            if version.len() > detected.version.as_ref().map_or(0, String::len) {
                detected.version = Some(version);
            }
            // One match of a pattern is all that it can say.
            break;
        }
    }
    (detected.confidence > 0).then_some(detected)
}

/// What a pattern is matched against, each with the words that tell of it.
fn values<'s>(place: &Place, sought: &'s Sought<'_>) -> Vec<(String, Haystack<'s>)> {
    let seen = sought.seen;
    let named = |what: &str, name: &str, pairs: &'s [(String, String)]| -> Vec<(String, Haystack<'s>)> {
        let same = pairs.iter().filter(|(n, _)| is_name(name, n));
        same.map(|(n, value)| (format!("{what} {n}"), Haystack::short(value))).collect()
    };
    let whole = |what: &str, text: Haystack<'s>| if text.is_empty() { vec![] } else { vec![(what.to_owned(), text)] };
    match place {
        Place::Header(name) => named("header", name, &seen.headers),
        Place::Cookie(name) => named("cookie", name, &sought.cookies),
        Place::Meta(name) => named("meta", name, &seen.page.metas),
        Place::ScriptUrl => {
            let told = |url: &'s String| {
                (format!("script {}", url.chars().take(MAX_TOLD).collect::<String>()), Haystack::short(url))
            };
            seen.script_urls.iter().map(told).collect()
        }
        Place::Script => whole("inline script", Haystack::new(&seen.page.scripts, &sought.scripts)),
        Place::Html => whole("html", Haystack::new(&seen.html, &sought.html)),
        Place::Text => whole("text", Haystack::short(&seen.page.text)),
        Place::Url => whole("url", Haystack::short(&seen.url)),
        Place::Dns(kind) => {
            let records = seen.dns.iter().filter(|(k, _)| k == kind);
            let told = |kind: &DnsKind| format!("dns {}", format!("{kind:?}").to_uppercase());
            records.map(|(kind, value)| (told(kind), Haystack::short(value))).collect()
        }
    }
}

/// Names are exact; a cookie's may end in `*` for any ending, as `_ga_*`.
fn is_name(rule: &str, name: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => rule == name,
    }
}

/// The version where the pattern matches; empty where it tells none.
fn try_match(pattern: &Pattern, value: Haystack<'_>) -> Option<String> {
    let Some(matcher) = &pattern.matcher else { return Some(String::new()) };
    let groups = matcher.find(value)?;
    Some(pattern.version.as_ref().map_or_else(String::new, |template| version(&groups, template)))
}

/// Fills a version's template: `\1` is what the first group matched, `\1?a:b` is `a` where it matched anything and else `b`.
/// Empty where what comes out is no version.
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
            // The chosen part may hold groups of its own.
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

/// Name and value of every cookie that a response sets.
fn cookies(headers: &[(String, String)]) -> Vec<(String, String)> {
    let set = headers.iter().filter(|(name, _)| name == "set-cookie");
    let pair = set.filter_map(|(_, value)| value.split(';').next()?.split_once('='));
    pair.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
