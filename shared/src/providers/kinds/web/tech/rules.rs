//! Rules that detect technologies, in the public Wappalyzer format.
//!
//! The file is `{"categories": {ID: {"name": …}}, "technologies": {NAME: …}}`, or `apps` for
//! `technologies` as older files have it, or the technologies alone. Of a technology these are
//! read: `cats`, `headers`, `cookies`, `meta`, `scriptSrc` (and `script`), `scripts`, `html`,
//! `text`, `url`, `dns`, `implies`, `excludes`, `requires`, `requiresCategory`. Members that need a
//! running browser (`js`, `dom`, `css`, `xhr`, …) are ignored.
//!
//! A pattern is an ECMAScript regular expression, matched without case, with `\;version:\1` and
//! `\;confidence:50` behind it. One that the engine cannot compile is skipped and counted, without
//! the rest of its technology: look-around and back-references need unbounded time on hostile
//! pages. Names of headers, cookies and metas may be patterns too: [`Name`].

use serde_json::{Map, Value};

use super::matcher::Matcher;
use crate::domain::json;
use crate::ports::DnsKind;

/// The most unusable patterns that are shown, and the most of each, in characters.
const MAX_TOLD: usize = 3;
const MAX_TOLD_CHARS: usize = 80;

/// The name of a header, a cookie or a meta tag, without case. Sets of rules have literal names,
/// with characters that mean something in patterns (`mybb[lastactive]`), prefixes (`_ga_*`), and
/// patterns, which match anywhere like all others: `SESS[a-f0-9]{32}` is for `SSESS…` too. Brackets
/// alone are literal, unless ranges are in them.
#[derive(Debug, Clone)]
pub(super) struct Name {
    /// The name in lower case.
    pub(super) text: String,
    pub(super) other: OtherNames,
}

/// The names that a rule is for besides the literal one.
#[derive(Debug, Clone)]
pub(super) enum OtherNames {
    None,
    /// Those with the prefix before its `*`.
    Beginning,
    Matching(Matcher),
}

impl Name {
    /// Reads a name. The error is the reason why the engine cannot compile it.
    fn read(text: &str) -> Result<Self, String> {
        let spelled = text.trim();
        let is_sign = |c: char| "\\^$|?*+()[]{}".contains(c);
        let is_pattern = |text: &str| without_brackets(text).contains(is_sign);
        let other = match spelled.strip_suffix('*') {
            Some(beginning) if !is_pattern(beginning) && !beginning.ends_with(['.', ']']) => {
                OtherNames::Beginning
            }
            _ if is_pattern(spelled) => OtherNames::Matching(matcher(spelled)?),
            _ => OtherNames::None,
        };
        Ok(Self {
            text: spelled.to_lowercase(),
            other,
        })
    }
}

/// Removes the brackets of a literal name: `data[id]` is `data`, `SESS[0-9]` stays.
fn without_brackets(name: &str) -> String {
    let mut parts = name.split('[');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let ranges = |inside: &str| {
            let inside = inside.as_bytes();
            !inside.is_empty()
                && inside.len().is_multiple_of(3)
                && inside
                    .chunks(3)
                    .all(|range| range[1] == b'-' && range[0] < range[2])
        };
        match part.split_once(']').filter(|(inside, _)| !ranges(inside)) {
            Some((inside, behind)) => out.extend([inside, behind]),
            None => out.extend(["[", part]),
        }
    }
    out
}

/// The place that a pattern is searched in.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// A response header.
    Header(Name),
    /// A cookie that the response sets.
    Cookie(Name),
    Meta(Name),
    /// The URL of a script.
    ScriptUrl,
    /// The text of scripts in the page.
    Script,
    /// The page as received.
    Html,
    /// The page's visible text.
    Text,
    /// The page's URL.
    Url,
    Dns(DnsKind),
}

/// One pattern and the meaning of its match.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) place: Place,
    /// `None`: presence is enough.
    pub(super) matcher: Option<Matcher>,
    /// The confidence, 0 to 100.
    pub(super) confidence: u8,
    /// A template of the version: `\1`, or `\1?yes:no`.
    pub(super) version: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Technology {
    pub(super) name: String,
    pub(super) categories: Vec<String>,
    pub(super) patterns: Vec<Pattern>,
    /// Each with its confidence, 0 to 100.
    pub(super) implies: Vec<(String, u8)>,
    pub(super) excludes: Vec<String>,
    pub(super) requires: Vec<String>,
    pub(super) requires_category: Vec<String>,
}

/// A set of rules, ready to match.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) technologies: Vec<Technology>,
    pub(super) unusable: Unusable,
}

/// Patterns that the engine cannot compile.
#[derive(Debug, Clone, Default)]
pub(super) struct Unusable {
    pub(super) count: usize,
    /// The first few: technology, member, pattern and reason.
    pub(super) first: Vec<String>,
}

impl Unusable {
    fn add(&mut self, what: String) {
        self.count += 1;
        if self.first.len() < MAX_TOLD {
            self.first.push(what);
        }
    }
}

impl Rules {
    /// Returns the kinds of DNS records that any rule reads.
    pub(super) fn dns_kinds(&self) -> Vec<DnsKind> {
        let mut kinds = Vec::new();
        for pattern in self.technologies.iter().flat_map(|t| &t.patterns) {
            if let Place::Dns(kind) = pattern.place
                && !kinds.contains(&kind)
            {
                kinds.push(kind);
            }
        }
        kinds
    }

    /// Reads the text of a file. The error names the technology, the member and the reason.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let file = json::read(text.as_bytes()).map_err(|e| format!("is not JSON: {e}"))?;
        let file = file.as_object().ok_or("is not an object of technologies")?;
        let whole = ["technologies", "apps"]
            .iter()
            .find_map(|name| file.get(*name));
        let technologies = match whole {
            Some(technologies) => technologies
                .as_object()
                .ok_or("`technologies` is not an object")?,
            None => file,
        };
        let nothing = Map::new();
        let categories = whole
            .and_then(|_| file.get("categories")?.as_object())
            .unwrap_or(&nothing);
        let mut rules = Self::default();
        for (name, value) in technologies {
            let members = value
                .as_object()
                .ok_or_else(|| format!("{name}: is not an object"))?;
            let technology = rules
                .technology(name, members, categories)
                .map_err(|why| format!("{name}: {why}"))?;
            rules.technologies.push(technology);
        }
        if rules.technologies.is_empty() {
            return Err("names no technology".to_owned());
        }
        let known = |name: &String| technologies.contains_key(name);
        for technology in rules.technologies.iter().filter(|_| whole.is_some()) {
            let named = technology.implies.iter().map(|(name, _)| name);
            let named = named
                .chain(&technology.excludes)
                .chain(&technology.requires);
            if let Some(missing) = { named }.find(|name| !known(name)) {
                return Err(format!(
                    "{}: names `{missing}`, which is not a technology of this file",
                    technology.name
                ));
            }
        }
        Ok(rules)
    }

    fn technology(
        &mut self,
        name: &str,
        members: &Map<String, Value>,
        categories: &Map<String, Value>,
    ) -> Result<Technology, String> {
        let mut technology = Technology {
            name: name.to_owned(),
            ..Technology::default()
        };
        for (member, value) in members {
            self.member(&mut technology, member, value, categories)
                .map_err(|why| format!("{member}: {why}"))?;
        }
        Ok(technology)
    }

    /// Reads one member of a technology. The error does not name the member.
    fn member(
        &mut self,
        technology: &mut Technology,
        member: &str,
        value: &Value,
        categories: &Map<String, Value>,
    ) -> Result<(), String> {
        let place = match member {
            "cats" => {
                technology.categories = category_names(value, categories);
                return Ok(());
            }
            "implies" => {
                for text in texts(value)? {
                    let (name, tags) = split_tags(text);
                    technology
                        .implies
                        .push((name.to_owned(), confidence(&tags)?));
                }
                return Ok(());
            }
            "excludes" => {
                technology.excludes = names(value)?;
                return Ok(());
            }
            "requires" => {
                technology.requires = names(value)?;
                return Ok(());
            }
            "requiresCategory" => {
                technology.requires_category = category_names(value, categories);
                return Ok(());
            }
            "headers" | "cookies" | "meta" | "dns" => {
                return self.named_patterns(technology, member, value);
            }
            "scriptSrc" | "script" => Place::ScriptUrl,
            "scripts" => Place::Script,
            "html" => Place::Html,
            "text" => Place::Text,
            "url" => Place::Url,
            _ => return Ok(()),
        };
        for text in texts(value)? {
            let at = |why: String| format!("{member}: {why}");
            self.add(technology, place.clone(), text, &at)?;
        }
        Ok(())
    }

    /// Reads the patterns of a member that has them by name. The error does not name the member.
    fn named_patterns(
        &mut self,
        technology: &mut Technology,
        member: &str,
        value: &Value,
    ) -> Result<(), String> {
        let named = value.as_object().ok_or("is not an object of patterns")?;
        for (key, value) in named {
            let of_key = |why: String| format!("{key}: {why}");
            let texts = texts(value).map_err(of_key)?;
            let place = match member {
                // Names of headers have no colon; some rules end in one.
                "headers" => Name::read(key.trim_end_matches(':')).map(Place::Header),
                "cookies" => Name::read(key).map(Place::Cookie),
                "meta" => Name::read(key).map(Place::Meta),
                _ => match dns_kind(key) {
                    Some(kind) => Ok(Place::Dns(kind)),
                    None => continue,
                },
            };
            let place = match place {
                Ok(place) => place,
                Err(why) => {
                    let why = format!("{}: {member}: {why}", technology.name);
                    self.unusable.add(why);
                    continue;
                }
            };
            for text in texts {
                let at = |why: String| format!("{member}: {key}: {why}");
                self.add(technology, place.clone(), text, &at)
                    .map_err(of_key)?;
            }
        }
        Ok(())
    }

    /// Adds a pattern, unless the engine cannot compile it.
    fn add(
        &mut self,
        technology: &mut Technology,
        place: Place,
        text: &str,
        at: &dyn Fn(String) -> String,
    ) -> Result<(), String> {
        let (expression, tags) = split_tags(text);
        let confidence = confidence(&tags)?;
        let version = tags
            .iter()
            .find_map(|tag| tag.strip_prefix("version:"))
            .map(str::to_owned);
        match (!expression.is_empty())
            .then(|| matcher(expression))
            .transpose()
        {
            Ok(matcher) => technology.patterns.push(Pattern {
                place,
                matcher,
                confidence,
                version,
            }),
            Err(why) => self
                .unusable
                .add(format!("{}: {}", technology.name, at(why))),
        }
        Ok(())
    }
}

fn matcher(expression: &str) -> Result<Matcher, String> {
    Matcher::new(expression).map_err(|why| {
        let end = expression
            .char_indices()
            .nth(MAX_TOLD_CHARS)
            .map_or(expression.len(), |(at, _)| at);
        format!("`{}`: {why}", &expression[..end])
    })
}

fn dns_kind(name: &str) -> Option<DnsKind> {
    Some(match name.to_ascii_uppercase().as_str() {
        "TXT" => DnsKind::Txt,
        "MX" => DnsKind::Mx,
        "NS" => DnsKind::Ns,
        "CNAME" => DnsKind::Cname,
        _ => return None,
    })
}

fn split_tags(text: &str) -> (&str, Vec<&str>) {
    let mut parts = text.split("\\;");
    (parts.next().unwrap_or_default(), parts.collect())
}

fn confidence(tags: &[&str]) -> Result<u8, String> {
    let Some(text) = tags.iter().find_map(|tag| tag.strip_prefix("confidence:")) else {
        return Ok(100);
    };
    let number = text.parse::<u8>().ok().filter(|number| *number <= 100);
    number.ok_or_else(|| format!("the confidence `{text}` is not a number from 0 to 100"))
}

/// Returns the names of the technologies that a member lists, without their tags.
fn names(value: &Value) -> Result<Vec<String>, String> {
    let names = texts(value)?.into_iter();
    Ok(names.map(|text| split_tags(text).0.to_owned()).collect())
}

/// Returns the names of the categories that a member lists by their ids; those without one are left
/// out.
fn category_names(value: &Value, categories: &Map<String, Value>) -> Vec<String> {
    let name = |id: &Value| {
        let id = match id {
            Value::String(id) => id.clone(),
            id => id.to_string(),
        };
        Some(categories.get(&id)?.get("name")?.as_str()?.to_owned())
    };
    one_or_more(value).iter().filter_map(name).collect()
}

fn one_or_more(value: &Value) -> &[Value] {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
}

fn texts(value: &Value) -> Result<Vec<&str>, String> {
    let texts = one_or_more(value)
        .iter()
        .map(Value::as_str)
        .collect::<Option<Vec<_>>>();
    texts.ok_or_else(|| "must be a text or a list of texts".to_owned())
}
