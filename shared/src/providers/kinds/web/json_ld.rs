//! JSON-LD in pages (<https://schema.org>): the nodes of all blocks, at any depth.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonc_parser::{JsonValue, ParseOptions, parse_to_value};
use serde_json::{Map, Value};

use super::html;
use crate::domain::json;

/// The most nodes of a page that are read.
const MAX_NODES: usize = 5_000;
/// The depth to which nodes are read.
const MAX_DEPTH: usize = 16;
/// The most types of a node that count.
const MAX_TYPES: usize = 20;
/// The longest text that is kept, in bytes, and the most that is read for it.
pub(super) const MAX_TEXT: usize = 4_096;
const MAX_READ: usize = 4 * MAX_TEXT;

/// Each type with its parents, separated by spaces.
static TYPES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let lines = include_str!("schema_types.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines
        .map(|line| line.split_once(' ').unwrap_or((line, "")))
        .collect()
});

/// Returns the JSON of a page's blocks, with the bare names of schema.org's terms. Blocks that are
/// not JSON are left out.
pub(super) fn parse(blocks: &[String]) -> Vec<Value> {
    blocks
        .iter()
        .filter_map(|block| parse_block(block))
        .collect()
}

fn parse_block(text: &str) -> Option<Value> {
    let text = unwrap(text);
    let mut value = json::read(text.as_bytes()).ok().or_else(|| lenient(text))?;
    shorten(&mut value);
    Some(value)
}

/// Takes off what hides a block from old browsers and from XML, and the semicolon of a script.
/// Wrappers within one another that are taken off: each costs a look through the text.
const MAX_WRAPPERS: usize = 16;

fn unwrap(text: &str) -> &str {
    let mut text = text;
    for _ in 0..MAX_WRAPPERS {
        let before = text.len();
        text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0');
        for start in ["<![CDATA[", "//<![CDATA[", "/*<![CDATA[*/"] {
            text = text.strip_prefix(start).unwrap_or(text);
        }
        if let Some(inner) = text.strip_prefix("<!--") {
            // A comment of its own, or one around the JSON.
            let end = inner
                .find("-->")
                .filter(|end| inner.find(['{', '[']).is_none_or(|json| *end < json));
            text = end.map_or(inner, |end| &inner[end + 3..]);
        }
        for end in [";", "//]]>", "/*]]>*/", "]]>", "//-->", "-->"] {
            text = text.strip_suffix(end).unwrap_or(text);
        }
        if text.len() == before {
            break;
        }
    }
    text
}

/// Reads common variants of JSON: with comments, trailing or missing commas, bare names, and
/// control characters in texts.
fn lenient(text: &str) -> Option<Value> {
    fn read(value: JsonValue<'_>) -> Value {
        match value {
            JsonValue::Null => Value::Null,
            JsonValue::Boolean(value) => Value::Bool(value),
            JsonValue::Number(text) => json::read(text.as_bytes()).unwrap_or_default(),
            JsonValue::String(text) => Value::String(text.into_owned()),
            JsonValue::Array(items) => items.into_iter().map(read).collect(),
            JsonValue::Object(members) => members
                .into_iter()
                .map(|(name, value)| (name.into_owned(), read(value)))
                .collect(),
        }
    }
    // Lines end comments; other control characters mean a space everywhere.
    let text: String = text
        .chars()
        .map(|c| {
            if c.is_control() && !"\r\n".contains(c) {
                ' '
            } else {
                c
            }
        })
        .collect();
    parse_to_value(&text, &ParseOptions::default())
        .ok()
        .flatten()
        .map(read)
}

/// Renames members as schema.org's own context does: `schema:name` and its address are `name`,
/// `type` is `@type`.
fn shorten(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(members) => {
            let alias = |name: &str| match name {
                "type" if !members.contains_key("@type") => "@type",
                "id" if !members.contains_key("@id") => "@id",
                _ => "",
            };
            if members
                .keys()
                .any(|name| term(name) != name || !alias(name).is_empty())
            {
                let short: Vec<String> = { members.keys() }
                    .map(|name| {
                        Some(alias(name))
                            .filter(|a| !a.is_empty())
                            .unwrap_or(term(name))
                            .to_owned()
                    })
                    .collect();
                *members = short
                    .into_iter()
                    .zip(std::mem::take(members).into_iter().map(|(_, value)| value))
                    .collect();
            }
            members.values_mut().for_each(shorten);
        }
        _ => {}
    }
}

/// Returns the name of one of schema.org's terms, however it is written.
fn term(name: &str) -> &str {
    let rest = name
        .strip_prefix("https://")
        .or_else(|| name.strip_prefix("http://"))
        .unwrap_or(name);
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    rest.strip_prefix("schema.org/")
        .or_else(|| name.strip_prefix("schema:"))
        .unwrap_or(name)
}

/// A node, and whether it is independent: at the top of a block, in its array or its `@graph`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) members: &'a Map<String, Value>,
    pub(super) top: bool,
}

/// Every node of a page, in the page's order.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// The first node of each `@id` with any other member.
    by_id: HashMap<&'a str, &'a Map<String, Value>>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(blocks: &'a [Value]) -> Self {
        let mut graph = Self::default();
        for block in blocks {
            graph.add(block, true, 0);
        }
        graph
    }

    fn add(&mut self, value: &'a Value, top: bool, depth: usize) {
        if depth > MAX_DEPTH || self.nodes.len() >= MAX_NODES {
            return;
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.add(item, top, depth + 1)),
            Value::Object(members) => {
                self.nodes.push(Node { members, top });
                if let Some(id) = members
                    .get("@id")
                    .and_then(Value::as_str)
                    .filter(|_| members.len() > 1)
                {
                    self.by_id.entry(id).or_insert(members);
                }
                for (name, member) in members {
                    self.add(member, top && name == "@graph", depth + 1);
                }
            }
            _ => {}
        }
    }

    /// Resolves a member that is only a reference (`{"@id": …}`) to the node that it names.
    pub(super) fn resolve(&self, value: &'a Value) -> &'a Map<String, Value> {
        static NOTHING: std::sync::LazyLock<Map<String, Value>> =
            std::sync::LazyLock::new(Map::new);
        let Some(members) = value.as_object() else {
            return &NOTHING;
        };
        if members.len() > 1 {
            members
        } else {
            self.named(members).unwrap_or(members)
        }
    }

    /// Returns the node whose `@id` these members have.
    pub(super) fn named(&self, members: &Map<String, Value>) -> Option<&'a Map<String, Value>> {
        self.by_id.get(members.get("@id")?.as_str()?).copied()
    }
}

/// Returns the types of a node, those of schema.org by their bare names.
pub(super) fn types(node: &Map<String, Value>) -> impl Iterator<Item = &str> {
    list(node.get("@type"))
        .iter()
        .take(MAX_TYPES)
        .filter_map(Value::as_str)
        .map(|name| term(name.trim()))
}

/// Returns whether a node is of a type of schema.org or of one below it. Only the types in
/// `schema_types.txt` are below another.
pub(super) fn is_a(node: &Map<String, Value>, wanted: &str) -> bool {
    fn below(name: &str, wanted: &str) -> bool {
        name == wanted
            || TYPES
                .get(name)
                .is_some_and(|parents| parents.split(' ').any(|parent| below(parent, wanted)))
    }
    types(node).any(|name| below(name, wanted))
}

/// Returns a value as a list.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    match value {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items,
        Some(Value::Object(members)) if members.contains_key("@list") => list(members.get("@list")),
        Some(Value::Object(members)) if members.contains_key("@set") => list(members.get("@set")),
        Some(one) => std::slice::from_ref(one),
    }
}

/// Returns the first text among the values of a member: a string, a number, or an object's `@value`
/// or `name`.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    list(value).iter().find_map(|value| match value {
        Value::String(text) => plain(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(members) => ["@value", "name"]
            .iter()
            .find_map(|name| plain(members.get(*name)?.as_str()?)),
        _ => None,
    })
}

/// Returns a text with single white space and without character references; `None` if it is empty.
/// At most [`MAX_TEXT`].
pub(super) fn plain(text: &str) -> Option<String> {
    let text = &text[..text.floor_char_boundary(MAX_READ)];
    let text = html::dereference(text);
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.truncate(words.floor_char_boundary(MAX_TEXT));
    (!words.is_empty()).then_some(words)
}

/// Returns whether a node is an organisation.
pub(super) fn is_organization(node: &Map<String, Value>) -> bool {
    is_a(node, "Organization")
}

/// Returns the names of an organisation or a site: its name, then its legal name and its first
/// other one.
pub(super) fn names(node: &Map<String, Value>) -> impl Iterator<Item = String> {
    ["name", "legalName", "alternateName"]
        .iter()
        .filter_map(|member| text(node.get(*member)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn blocks_are_read_as_people_write_them() {
        let blocks: Vec<String> = [
            "{\"@type\": \"Organization\", \"name\": \"A\"};",
            "<!--\n[{\"@type\": \"WebSite\"}]\n-->",
            "//<![CDATA[\n{\"a\": 1}\n//]]>",
            "{\"name\": \"two\nlines\"}",
            "{\"broken\": ",
            "",
        ]
        .map(str::to_owned)
        .to_vec();
        let read = parse(&blocks);
        assert_eq!(
            read,
            [
                json!({"@type": "Organization", "name": "A"}),
                json!([{"@type": "WebSite"}]),
                json!({"a": 1}),
                json!({"name": "two\nlines"})
            ]
        );
        assert!(parse(&["[".repeat(100_000)]).is_empty(), "depth is bounded");
    }

    /// As the reference extractors read them: extruct, with Python's `strict=False` and jstyleson.
    #[test]
    fn blocks_are_read_with_the_faults_that_people_make() {
        for block in [
            r#"{"name": "A", "list": [1, 2,],}"#,
            "{\"name\": \"A\", // the name\n \"list\": [1, /* two */ 2]}",
            "// Organization\n{\"name\": \"A\", \"list\": [1, 2]}",
            "<!-- Yoast --> {\"name\": \"A\", \"list\": [1, 2]}",
            "<!-- {\"name\": \"A\", \"list\": [1, 2]} -->",
            "<!--//--><![CDATA[//><!--\n{\"name\": \"A\", \"list\": [1, 2]}\n//--><!]]>",
            "/* <![CDATA[ */ {\"name\": \"A\", \"list\": [1, 2]} /* ]]> */",
            "<![CDATA[{\"name\": \"A\", \"list\": [1, 2]};]]>",
            "\u{feff}{\"name\": \"A\", \"list\": [1, 2]}\0",
            "{\"name\"\u{1}: \"A\",\u{b} \"list\": [1, 2]}",
            "{name: 'A', 'list': [1, 2]}",
            "{\"name\": \"A\"\n \"list\": [1, 2]};;",
            r#"{"schema:name": "A", "http://schema.org/list": [1, 2]}"#,
        ] {
            assert_eq!(
                parse(&[block.to_owned()]),
                [json!({"name": "A", "list": [1, 2]})],
                "{block}"
            );
        }
        let odd = parse(&["{\"a\": \"It\\'s\t// no \u{7}comment\", \"b\": NaN,}".to_owned()]);
        assert_eq!(odd, [json!({"a": "It's // no  comment", "b": null})]);
        for broken in [
            "{\"a\": ",
            "{\"a\": alert(1)}",
            "var x = {};",
            "<p>no</p>",
            "// nothing",
        ] {
            assert!(parse(&[broken.to_owned()]).is_empty(), "{broken}");
        }
        for deep in [
            "[".repeat(200_000),
            "{\"a\":".repeat(100_000),
            "[1,".repeat(300_000),
            "/*".repeat(300_000),
        ] {
            assert!(parse(&[deep]).is_empty());
        }
    }

    #[test]
    fn types_are_those_of_schema_org() {
        let organization =
            |name: &str| is_organization(json!({"@type": name}).as_object().unwrap());
        for name in [
            "Organization",
            "LocalBusiness",
            "Corporation",
            "NGO",
            "AutoRepair",
            "Pharmacy",
            "FoodEstablishment",
            "Dentist",
            "HairSalon",
            "Plumber",
            "Electrician",
            "Bakery",
            "BarOrPub",
            "CafeOrCoffeeShop",
            "GroceryStore",
            "Hotel",
            "Hospital",
            "CollegeOrUniversity",
            "SportsTeam",
            "MusicGroup",
            "NewsMediaOrganization",
            "OnlineStore",
            "VeterinaryCare",
            "Locksmith",
            "schema:Corporation",
            "http://schema.org/AutoRepair",
            "https://schema.org/Pharmacy",
            "https://www.schema.org/Hotel",
        ] {
            assert!(organization(name), "{name}");
        }
        for name in [
            "GovernmentService",
            "Service",
            "TaxiService",
            "BroadcastService",
            "FinancialProduct",
            "Person",
            "Brand",
            "Product",
            "WebSite",
            "Place",
            "CreativeWork",
            "Company",
            "foaf:Organization",
            "https://acme.example/Organization",
            "",
        ] {
            assert!(!organization(name), "{name}");
        }
        assert!(is_a(
            json!({"@type": ["Thing", "FAQPage"]}).as_object().unwrap(),
            "WebPage"
        ));
        let node = &parse(&[r##"{"type": "schema:Corporation", "id": "#a"}"##.to_owned()])[0];
        assert!(is_organization(node.as_object().unwrap()) && node["@id"] == "#a");
    }

    #[test]
    fn every_type_has_its_parents_in_the_table() {
        assert!(TYPES.len() > 200);
        for (name, parents) in TYPES.iter() {
            let roots = ["Organization", "WebPage", "WebSite"];
            let known = parents.split(' ').all(|parent| TYPES.contains_key(parent));
            assert!(
                if parents.is_empty() {
                    roots.contains(name)
                } else {
                    known
                },
                "{name}: {parents}"
            );
        }
    }

    #[test]
    fn nodes_are_found_in_graphs_and_by_reference() {
        let blocks = [json!({"@context": "https://schema.org", "@graph": [
            {"@type": "WebSite", "publisher": {"@id": "#org"}},
            {"@type": ["http://schema.org/Corporation", "Brand"], "@id": "#org", "name": "Acme",
             "logo": {"@type": "ImageObject"}},
        ]})];
        let graph = Graph::new(&blocks);
        let tops: Vec<_> = graph
            .nodes
            .iter()
            .filter(|n| n.top)
            .flat_map(|n| types(n.members))
            .collect();
        assert_eq!(tops, ["WebSite", "Corporation", "Brand"]);
        let site = graph
            .nodes
            .iter()
            .find(|n| types(n.members).any(|t| t == "WebSite"))
            .unwrap();
        let publisher = graph.resolve(&site.members["publisher"]);
        assert!(is_organization(publisher) && !is_organization(site.members));
        assert_eq!(text(publisher.get("name")).as_deref(), Some("Acme"));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        for (text, length) in [
            ("\u{20ac}".repeat(100_000), 4_095),
            ("x ".repeat(100_000), 4_096),
            ("&lt;".repeat(100_000), 4_096),
        ] {
            assert_eq!(plain(&text).map(|text| text.len()), Some(length));
        }
    }

    #[test]
    fn texts_and_types() {
        for (value, wanted) in [
            (json!(" a\n b "), Some("a b")),
            (json!(["", "x"]), Some("x")),
            (json!({"@value": "v", "@language": "en"}), Some("v")),
            (json!(1999), Some("1999")),
            (json!("R&amp;D"), Some("R&D")),
            (json!(null), None),
            (json!({"a": 1}), None),
        ] {
            assert_eq!(text(Some(&value)).as_deref(), wanted, "{value}");
        }
    }
}
