//! Requests made from a JSON Schema: some that it allows, and some that break it in one place.
//!
//! Generation is seeded. It knows the keywords that API descriptions use: `$ref`, `allOf`, `anyOf`,
//! `oneOf`, `type`, `enum`, `const`, `format`, bounds of length, size and value, `properties`,
//! `required`, `additionalProperties` and `items`. Two keywords of its own are arrays of values:
//! `x-valid` replaces a generated text, `x-invalid` adds texts that are wrong.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use shared::domain::error::pointer_escape;

use crate::sim::SimEntropy;

/// The fault of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    WrongType,
    MissingRequired,
    NotInEnum,
    TooShort,
    TooLong,
    TooFew,
    TooMany,
    TooSmall,
    TooLarge,
    UnknownMember,
    /// One of `x-invalid`.
    Unlike,
}

impl Fault {
    pub const ALL: [Self; 11] = [
        Self::WrongType,
        Self::MissingRequired,
        Self::NotInEnum,
        Self::TooShort,
        Self::TooLong,
        Self::TooFew,
        Self::TooMany,
        Self::TooSmall,
        Self::TooLarge,
        Self::UnknownMember,
        Self::Unlike,
    ];
}

/// A value that breaks its schema in one place.
#[derive(Debug, Clone)]
pub struct Malformed {
    pub value: Value,
    pub fault: Fault,
    /// JSON Pointer to the place; for a missing member, to where it should be.
    pub pointer: String,
}

/// A place in a generated value that has its own schema.
#[derive(Debug)]
struct Site {
    pointer: String,
    /// The schemas of a value there: the branches of `anyOf` and `oneOf`, or the schema itself.
    branches: Vec<Map<String, Value>>,
}

/// Makes values for the schemas of one document.
#[derive(Debug)]
pub struct Generator<'d> {
    document: &'d Value,
    random: SimEntropy,
    sites: Vec<Site>,
    /// Every word that some enumeration of the document lists: plausible in another one.
    words: Vec<Value>,
}

/// The nesting from which on only required members are made.
const DEPTH: usize = 8;
/// The tries to find a value that can have a fault.
const TRIES: usize = 50;
/// Member names that code may trip over.
const NAMES: [&str; 12] = [
    "name",
    "company",
    "x",
    "a/b",
    "~",
    "0",
    "",
    "__proto__",
    "имя",
    "linkedin_url",
    "with space",
    "a\"b\\",
];
const ALPHABET: [char; 16] = [
    'a', 'b', 'z', 'Q', '0', '9', ' ', '-', '_', '.', '/', '"', '\\', 'ü', '界', '🦀',
];
const JSON_TYPES: [&str; 7] = [
    "null", "boolean", "integer", "number", "string", "array", "object",
];

impl<'d> Generator<'d> {
    /// `document` is the target of a schema's `$ref`.
    pub fn new(document: &'d Value, seed: u64) -> Self {
        let mut words = Vec::new();
        listed(document, &mut words);
        Self {
            document,
            random: SimEntropy::new(seed),
            sites: Vec::new(),
            words,
        }
    }

    /// Makes a value that the schema allows.
    pub fn valid(&mut self, schema: &Value) -> Value {
        self.sites.clear();
        self.value(schema, "", 0)
    }

    /// Makes a value that breaks the schema in one place and in this way; `None` where nothing in
    /// it can be broken so.
    pub fn broken(&mut self, schema: &Value, fault: Fault) -> Option<Malformed> {
        for _ in 0..TRIES {
            let value = self.valid(schema);
            let mut sites = std::mem::take(&mut self.sites);
            while !sites.is_empty() {
                let site = sites.swap_remove(self.random.below(sites.len()));
                if let Some(broken) = self.break_at(&value, &site, fault) {
                    return Some(broken);
                }
            }
        }
        None
    }

    fn one_in(&self, n: usize) -> bool {
        self.random.below(n) == 0
    }

    fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.random.below(from.len())]
    }

    fn between(&self, low: usize, high: usize) -> usize {
        low + self.random.below(high.saturating_sub(low) + 1)
    }

    /// Returns a schema with its `$ref` followed and its `allOf` merged.
    fn flat(&self, schema: &Value) -> Map<String, Value> {
        let Value::Object(members) = schema else {
            return Map::new();
        };
        let mut flat = Map::new();
        if let Some(Value::String(target)) = members.get("$ref") {
            let pointer = target
                .strip_prefix('#')
                .expect("references stay in the document");
            let target = self
                .document
                .pointer(pointer)
                .unwrap_or_else(|| panic!("{target} points nowhere"));
            merge(&mut flat, self.flat(target));
        }
        for part in members
            .get("allOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            merge(&mut flat, self.flat(part));
        }
        let own = members
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "$ref" | "allOf"));
        merge(
            &mut flat,
            own.map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        );
        flat
    }

    /// Returns the schemas of a value, one for each branch.
    fn branches(&self, schema: &Value) -> Vec<Map<String, Value>> {
        let mut flat = self.flat(schema);
        let choice = flat
            .swap_remove("anyOf")
            .or_else(|| flat.swap_remove("oneOf"));
        let Some(Value::Array(choice)) = choice else {
            return vec![flat];
        };
        let with_rest = |branch: Map<String, Value>| {
            let mut whole = flat.clone();
            merge(&mut whole, branch);
            whole
        };
        choice
            .iter()
            .flat_map(|branch| self.branches(branch))
            .map(with_rest)
            .collect()
    }

    fn value(&mut self, schema: &Value, at: &str, depth: usize) -> Value {
        let branches = self.branches(schema);
        let branch = self.pick(&branches).clone();
        self.sites.push(Site {
            pointer: at.to_owned(),
            branches,
        });
        if let Some(Value::Array(values)) = branch.get("enum") {
            return self.pick(values).clone();
        }
        if let Some(value) = branch.get("const") {
            return value.clone();
        }
        if let Some(Value::Array(values)) = branch.get("x-valid") {
            return self.pick(values).clone();
        }
        let types: Vec<&str> = types(&branch).into_iter().collect();
        match *self.pick(&types) {
            "null" => Value::Null,
            "boolean" => self.one_in(2).into(),
            "integer" => self.integer(&branch),
            "number" => self.number(&branch),
            "string" => self.text(&branch).into(),
            "array" => self.array(&branch, at, depth),
            _ => self.object(&branch, at, depth),
        }
    }

    fn integer(&self, branch: &Map<String, Value>) -> Value {
        let bound = |name: &str| branch.get(name).and_then(Value::as_i64);
        let (low, high) = (
            bound("minimum").unwrap_or(-1000),
            bound("maximum").unwrap_or(1_000_000_000),
        );
        let span = u64::try_from(high - low).expect("minimum is below maximum") + 1;
        match self.random.below(6) {
            0 => low.into(),
            1 => high.into(),
            // JSON Schema takes a number without a fraction for an integer, however it is written.
            2 if low <= 3 && 3 <= high => json!(3.0),
            _ => {
                (low + i64::try_from(self.random.next() % span).expect("less than the span")).into()
            }
        }
    }

    fn number(&self, branch: &Map<String, Value>) -> Value {
        let bound = |name: &str, or: f64| branch.get(name).and_then(Value::as_f64).unwrap_or(or);
        let (low, high) = (bound("minimum", -10.0), bound("maximum", 10.0));
        let share = f64::from(u32::try_from(self.random.below(1001)).expect("small")) / 1000.0;
        json!(low + (high - low) * share)
    }

    fn text(&self, branch: &Map<String, Value>) -> String {
        let bound = |name: &str| {
            branch
                .get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        let (low, high) = (bound("minLength").unwrap_or(0), bound("maxLength"));
        let chars = match high {
            Some(high) if self.one_in(4) => high,
            _ if self.one_in(4) => low,
            _ => self.between(low, high.unwrap_or(usize::MAX).min(low + 20)),
        };
        match branch.get("format").and_then(Value::as_str) {
            Some("uri" | "url") => {
                let start = *self.pick(&[
                    "https://hook.example/",
                    "http://hook.example/",
                    "https://hook.example/a?b=c&d=",
                ]);
                let rest = chars.max(low).saturating_sub(start.len());
                (0..rest).fold(start.to_owned(), |url, n| {
                    url + if n % 9 == 8 { "-" } else { "x" }
                })
            }
            Some("email") => format!("{}@mail.example", "e".repeat(self.between(1, 20))),
            Some("uuid") => "550e8400-e29b-41d4-a716-446655440000".to_owned(),
            Some("date-time") => "2026-01-02T03:04:05Z".to_owned(),
            _ => (0..chars).map(|_| *self.pick(&ALPHABET)).collect(),
        }
    }

    fn array(&mut self, branch: &Map<String, Value>, at: &str, depth: usize) -> Value {
        let bound = |name: &str| {
            branch
                .get(name)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        let (low, high) = (bound("minItems").unwrap_or(0), bound("maxItems"));
        let length = match high {
            _ if depth >= DEPTH => low,
            Some(high) if self.one_in(12) => high,
            _ => self.between(low, high.unwrap_or(usize::MAX).min(low + 4)),
        };
        let Some(items) = branch.get("items").cloned() else {
            return (0..length).map(|_| self.any(depth)).collect();
        };
        (0..length)
            .map(|n| self.value(&items, &format!("{at}/{n}"), depth + 1))
            .collect()
    }

    fn object(&mut self, branch: &Map<String, Value>, at: &str, depth: usize) -> Value {
        let required = required(branch);
        let properties = branch
            .get("properties")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let mut object = Map::new();
        for (name, schema) in &properties {
            if required.contains(&name.as_str()) || (depth < DEPTH && self.one_in(2)) {
                let place = format!("{at}/{}", pointer_escape(name));
                object.insert(name.clone(), self.value(schema, &place, depth + 1));
            }
        }
        let further = branch
            .get("additionalProperties")
            .cloned()
            .unwrap_or(Value::Bool(true));
        if further == Value::Bool(false) || depth >= DEPTH {
            return object.into();
        }
        // An object without properties consists of further members; beside properties they are the
        // exception.
        let count = if properties.is_empty() {
            self.between(0, 4)
        } else {
            self.between(0, 3).saturating_sub(2)
        };
        for _ in 0..count {
            let name = *self.pick(&NAMES);
            if properties.contains_key(name) || object.contains_key(name) {
                continue;
            }
            let place = format!("{at}/{}", pointer_escape(name));
            let value = if further.is_object() {
                self.value(&further, &place, depth + 1)
            } else {
                self.any(depth)
            };
            object.insert(name.to_owned(), value);
        }
        object.into()
    }

    /// Makes any JSON.
    fn any(&self, depth: usize) -> Value {
        match self.random.below(if depth >= DEPTH { 6 } else { 8 }) {
            0 => Value::Null,
            1 => self.one_in(2).into(),
            2 => self.integer(&Map::new()),
            3 => self.number(&Map::new()),
            4 | 5 => self.text(&Map::new()).into(),
            6 => (0..self.between(0, 3))
                .map(|_| self.any(depth + 1))
                .collect(),
            _ => {
                let names = (0..self.between(0, 3)).map(|_| (*self.pick(&NAMES)).to_owned());
                Value::Object(names.map(|name| (name, self.any(depth + 1))).collect())
            }
        }
    }

    /// Makes a value of a type.
    fn of_type(&self, name: &str) -> Value {
        match name {
            "null" => Value::Null,
            "boolean" => self.one_in(2).into(),
            "integer" => self
                .pick(&[
                    json!(0),
                    json!(1),
                    json!(-7),
                    json!(18_446_744_073_709_551_615_u64),
                ])
                .clone(),
            "number" => self.pick(&[json!(0.5), json!(-1.25), json!(1e-9)]).clone(),
            "string" => (*self.pick(&["", "1", "true", "null", "{}", "text"])).into(),
            "array" => self.pick(&[json!([]), json!([1]), json!([{}])]).clone(),
            _ => self
                .pick(&[json!({}), json!({"a": 1}), json!({"0": null})])
                .clone(),
        }
    }

    fn break_at(&self, whole: &Value, site: &Site, fault: Fault) -> Option<Malformed> {
        let at = &site.pointer;
        let here = whole.pointer(at).expect("a site is a place of its value");
        // A fault of one type's own shows only where no other branch allows that type.
        let only = |name: &str| {
            let mut takers = site.branches.iter().filter(|b| types(b).contains(name));
            takers.next().filter(|_| takers.next().is_none())
        };
        let bound = |branch: Option<&Map<String, Value>>, name: &str| branch?.get(name)?.as_u64();
        let size = |branch, name| bound(branch, name).and_then(|n| usize::try_from(n).ok());
        let mut pointer = at.clone();
        let wrong = match fault {
            Fault::WrongType => {
                let allowed: BTreeSet<&str> = site.branches.iter().flat_map(types).collect();
                let fits = |t: &&&str| {
                    allowed.contains(**t) || (**t == "integer" && allowed.contains("number"))
                };
                let wrong: Vec<&str> = JSON_TYPES.iter().filter(|t| !fits(t)).copied().collect();
                if wrong.is_empty() {
                    return None;
                }
                self.of_type(wrong[self.random.below(wrong.len())])
            }
            Fault::MissingRequired => {
                let required = required(only("object")?);
                let there: Vec<&&str> = required
                    .iter()
                    .filter(|name| here.get(name).is_some())
                    .collect();
                if there.is_empty() {
                    return None;
                }
                let name = **self.pick(&there);
                pointer = format!("{at}/{}", pointer_escape(name));
                let mut object = here.as_object()?.clone();
                object.shift_remove(name);
                object.into()
            }
            Fault::NotInEnum => {
                let listed = only("string")?.get("enum")?.as_array()?;
                let known = self.pick(listed).as_str()?;
                let near = [
                    known.to_lowercase(),
                    known.to_uppercase(),
                    format!("{known} "),
                    String::new(),
                    "other".into(),
                ];
                let near = near
                    .into_iter()
                    .map(Value::from)
                    .chain(self.words.iter().cloned());
                let near: Vec<Value> = near.filter(|v| !listed.contains(v)).collect();
                self.pick(&near).clone()
            }
            Fault::TooShort => {
                let low = size(only("string"), "minLength").filter(|low| *low > 0)?;
                "x".repeat(self.between(0, low - 1)).into()
            }
            Fault::TooLong => {
                let branch = only("string");
                let high = size(branch, "maxLength")?;
                let start = if branch?.contains_key("format") {
                    "https://hook.example/"
                } else {
                    ""
                };
                // Characters are counted, not bytes.
                let letter = if start.is_empty() { "ü" } else { "x" };
                format!(
                    "{start}{}",
                    letter.repeat(high + self.between(1, 3) - start.len())
                )
                .into()
            }
            Fault::TooFew => {
                let low = size(only("array"), "minItems").filter(|low| *low > 0)?;
                Value::Array(here.as_array()?.iter().take(low - 1).cloned().collect())
            }
            Fault::TooMany => {
                let high = size(only("array"), "maxItems")?;
                let items = here.as_array().filter(|items| !items.is_empty())?;
                Value::Array(
                    items
                        .iter()
                        .cycle()
                        .take(high + self.between(1, 3))
                        .cloned()
                        .collect(),
                )
            }
            Fault::TooSmall => json!(
                only("integer")
                    .or(only("number"))?
                    .get("minimum")?
                    .as_f64()?
                    - 1.0
            ),
            Fault::TooLarge => json!(
                only("integer")
                    .or(only("number"))?
                    .get("maximum")?
                    .as_f64()?
                    + 1.0
            ),
            Fault::UnknownMember => {
                let closed =
                    only("object")?.get("additionalProperties") == Some(&Value::Bool(false));
                let mut object = here.as_object().filter(|_| closed)?.clone();
                pointer = format!("{at}/unknown_member");
                object.insert("unknown_member".to_owned(), Value::Null);
                object.into()
            }
            Fault::Unlike => self
                .pick(only("string")?.get("x-invalid")?.as_array()?)
                .clone(),
        };
        let mut value = whole.clone();
        *value.pointer_mut(at)? = wrong;
        Some(Malformed {
            value,
            fault,
            pointer,
        })
    }
}

/// Collects the texts of every `enum` in a document.
fn listed(schema: &Value, words: &mut Vec<Value>) {
    match schema {
        Value::Object(members) => {
            let own = members
                .get("enum")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            words.extend(own.filter(|word| word.is_string()).cloned());
            members.values().for_each(|member| listed(member, words));
        }
        Value::Array(items) => items.iter().for_each(|item| listed(item, words)),
        _ => {}
    }
}

/// Returns the types that a branch allows.
fn types(branch: &Map<String, Value>) -> BTreeSet<&str> {
    match branch.get("type") {
        Some(Value::String(name)) => BTreeSet::from([name.as_str()]),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ if branch.contains_key("properties") => BTreeSet::from(["object"]),
        _ => JSON_TYPES.into_iter().collect(),
    }
}

fn required(branch: &Map<String, Value>) -> Vec<&str> {
    branch
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Merges both schemas: properties and requirements add up; of anything else the later stands.
fn merge(into: &mut Map<String, Value>, other: Map<String, Value>) {
    for (name, value) in other {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(more)) if name == "properties" => {
                known.extend(more);
            }
            (Some(Value::Array(known)), Value::Array(more)) if name == "required" => {
                known.extend(more);
            }
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

/// Applies a JSON Merge Patch (RFC 7396): null removes a member, an object is merged into one,
/// anything else replaces it.
pub fn patch(document: &mut Value, overlay: &Value) {
    let Value::Object(changes) = overlay else {
        *document = overlay.clone();
        return;
    };
    if !document.is_object() {
        *document = json!({});
    }
    let Value::Object(members) = document else {
        unreachable!("it was just made one")
    };
    for (name, change) in changes {
        if change.is_null() {
            members.shift_remove(name);
        } else {
            patch(members.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}
