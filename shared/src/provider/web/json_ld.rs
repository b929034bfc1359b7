//! JSON-LD as pages carry it (<https://schema.org>): the nodes of all blocks, whatever they are nested in.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::domain::json;

/// The most nodes that are looked at on a page.
const MAX_NODES: usize = 5_000;
/// How deep nodes are looked for.
const MAX_DEPTH: usize = 16;
/// The most types of a node that count.
const MAX_TYPES: usize = 20;
/// The longest text that is kept, in bytes, and how much is read for it.
pub(super) const MAX_TEXT: usize = 4_096;
const MAX_READ: usize = 4 * MAX_TEXT;

/// The JSON of a page's blocks. Blocks that are no JSON are left out.
pub(super) fn parse(blocks: &[String]) -> Vec<Value> {
    blocks.iter().filter_map(|block| parse_block(block)).collect()
}

fn parse_block(text: &str) -> Option<Value> {
    let mut text = text.trim().trim_start_matches('\u{feff}');
    for (before, after) in
        [("<!--", "-->"), ("//<![CDATA[", "//]]>"), ("/*<![CDATA[*/", "/*]]>*/"), ("<![CDATA[", "]]>")]
    {
        if let Some(inner) = text.strip_prefix(before) {
            text = inner.trim_end().strip_suffix(after).unwrap_or(inner).trim();
        }
    }
    let text = text.trim_end_matches(';');
    json::read(text.as_bytes()).ok().or_else(|| {
        // Line breaks and tabs inside of strings are a common fault, and mean a space.
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        json::read(plain.as_bytes()).ok()
    })
}

/// A node and whether it stands for itself: at the top of a block, in its array or its `@graph`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) members: &'a Map<String, Value>,
    pub(super) top: bool,
}

/// Every node of a page, in the page's order.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// The first node of each `@id` that says more than it.
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
                if let Some(id) = members.get("@id").and_then(Value::as_str).filter(|_| members.len() > 1) {
                    self.by_id.entry(id).or_insert(members);
                }
                for (name, member) in members {
                    self.add(member, top && name == "@graph", depth + 1);
                }
            }
            _ => {}
        }
    }

    /// A member that is only a reference (`{"@id": …}`) becomes the node it names.
    pub(super) fn resolve(&self, value: &'a Value) -> &'a Map<String, Value> {
        static NOTHING: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        let Some(members) = value.as_object() else { return &NOTHING };
        if members.len() > 1 { members } else { self.named(members).unwrap_or(members) }
    }

    /// The node whose `@id` these members have.
    pub(super) fn named(&self, members: &Map<String, Value>) -> Option<&'a Map<String, Value>> {
        self.by_id.get(members.get("@id")?.as_str()?).copied()
    }
}

/// The types of a node, without the vocabulary's address before them.
pub(super) fn types(node: &Map<String, Value>) -> impl Iterator<Item = &str> {
    list(node.get("@type"))
        .iter()
        .take(MAX_TYPES)
        .filter_map(Value::as_str)
        .map(|name| name.rsplit(['/', '#', ':']).next().unwrap_or(name))
}

/// One value or several: several.
pub(super) fn list(value: Option<&Value>) -> &[Value] {
    match value {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items,
        Some(one) => std::slice::from_ref(one),
    }
}

/// The first text among the values of a member: a string, a number, or an object's `@value` or `name`.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    list(value).iter().find_map(|value| match value {
        Value::String(text) => plain(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(members) => ["@value", "name"].iter().find_map(|name| plain(members.get(*name)?.as_str()?)),
        _ => None,
    })
}

/// White space single, and the entities that generators leave in; nothing where nothing is left, and no more than
/// [`MAX_TEXT`].
pub(super) fn plain(text: &str) -> Option<String> {
    let text = &text[..text.floor_char_boundary(MAX_READ)];
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.contains('&') {
        let entities =
            [("&quot;", "\""), ("&#039;", "'"), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
        for (entity, sign) in entities {
            words = words.replace(entity, sign);
        }
    }
    words.truncate(words.floor_char_boundary(MAX_TEXT));
    (!words.is_empty()).then_some(words)
}

/// Whether a node is an organisation: one of schema.org's subtypes of Organization, which say so by their names' last word.
pub(super) fn is_organization(node: &Map<String, Value>) -> bool {
    const LAST_WORDS: [&str; 31] = [
        "Organization",
        "Corporation",
        "Business",
        "Company",
        "Store",
        "Shop",
        "Service",
        "Restaurant",
        "Hotel",
        "Airline",
        "Agency",
        "Agent",
        "School",
        "University",
        "Clinic",
        "Hospital",
        "Dealer",
        "Establishment",
        "Consortium",
        "Cooperative",
        "Project",
        "NGO",
        "Attorney",
        "Dentist",
        "Bakery",
        "Brewery",
        "Winery",
        "Library",
        "Museum",
        "Contractor",
        "Club",
    ];
    // Of the same last words, but no organisations.
    const OTHERS: [&str; 3] = ["Service", "TaxiService", "BroadcastService"];
    types(node).any(|name| !OTHERS.contains(&name) && LAST_WORDS.iter().any(|word| name.ends_with(word)))
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
                json!({"name": "two lines"})
            ]
        );
        assert!(parse(&["[".repeat(100_000)]).is_empty(), "depth is bounded");
    }

    #[test]
    fn nodes_are_found_in_graphs_and_by_reference() {
        let blocks = [json!({"@context": "https://schema.org", "@graph": [
            {"@type": "WebSite", "publisher": {"@id": "#org"}},
            {"@type": ["http://schema.org/Corporation", "Brand"], "@id": "#org", "name": "Acme", "logo": {"@type": "ImageObject"}},
        ]})];
        let graph = Graph::new(&blocks);
        let tops: Vec<_> = graph.nodes.iter().filter(|n| n.top).flat_map(|n| types(n.members)).collect();
        assert_eq!(tops, ["WebSite", "Corporation", "Brand"]);
        let site = graph.nodes.iter().find(|n| types(n.members).any(|t| t == "WebSite")).unwrap();
        let publisher = graph.resolve(&site.members["publisher"]);
        assert!(is_organization(publisher) && !is_organization(site.members));
        assert_eq!(text(publisher.get("name")).as_deref(), Some("Acme"));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        for (text, length) in
            [("\u{20ac}".repeat(100_000), 4_095), ("x ".repeat(100_000), 4_096), ("&lt;".repeat(100_000), 4_096)]
        {
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
        for (name, wanted) in [
            ("LocalBusiness", true),
            ("NGO", true),
            ("FoodEstablishment", true),
            ("TaxiService", false),
            ("Person", false),
        ] {
            assert_eq!(is_organization(json!({"@type": name}).as_object().unwrap()), wanted, "{name}");
        }
    }
}
