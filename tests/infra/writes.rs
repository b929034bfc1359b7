//! The table's items are written and read by the schema alone: nothing else names an attribute.

use crate::imports::{CRATES, End, Tree, made_up};
use crate::source;

/// The places where attributes may be named, by the beginnings of files.
const ALLOWED: [&str; 3] = ["shared/src/schema/", "shared/src/ports/", "shared/src/aws/"];

/// The items that write and read attributes by name, by the room that defines them.
const BY_NAME: [(&str, &[&str]); 2] = [
    (
        "ports",
        &["Attributes", "Change", "Condition", "Put", "Value"],
    ),
    ("schema", &["get_n", "get_s", "get_set"]),
];

/// The attributes' constants that the schema shows to tests.
fn constants(tree: &Tree) -> Vec<String> {
    let files = tree.files.iter();
    let schema = files.filter(|file| file.starts_with(ALLOWED[0]));
    let mut names = Vec::new();
    for file in schema {
        let text = source(file);
        names.extend(text.lines().filter_map(|line| {
            let (name, _) = line.split_once("const ")?.1.split_once(": &str =")?;
            Some(name.to_owned())
        }));
    }
    names
}

/// Returns the names of attributes outside the schema, as `file:line: path`.
fn named_elsewhere(tree: &Tree, constants: &[String]) -> Vec<String> {
    let is_attribute = |name: &String| constants.contains(name);
    let forbidden = |path: &[String], ends: &[End]| {
        let [.., last] = path else { return false };
        let from = |room: &str| {
            let begin = format!("shared/src/{room}/");
            ends.iter()
                .any(|end| matches!(end, End::Item(file) if tree.files[*file].starts_with(&begin)))
        };
        // The variants of a transaction's `Write` only wrap what the schema made.
        let own = || path.iter().take_while(|part| *part != "Write");
        let named = |names: &[&str]| own().any(|part| names.contains(&part.as_str()));
        BY_NAME
            .iter()
            .any(|(room, names)| from(room) && named(names))
            || (from("schema") && is_attribute(last))
    };
    let named = tree.named.iter().filter(|named| {
        let file = &tree.files[named.file];
        file.starts_with("shared/") && !ALLOWED.iter().any(|allowed| file.starts_with(allowed))
    });
    named
        .filter(|named| forbidden(&named.path, &named.ends))
        .map(|named| {
            format!(
                "{}:{}: {}",
                tree.files[named.file],
                named.line,
                named.path.join("::")
            )
        })
        .collect()
}

#[test]
fn only_the_schema_names_attributes() {
    let constants = constants(&CRATES);
    assert!(constants.len() > 30, "{constants:?}");
    let found = named_elsewhere(&CRATES, &constants);
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The check can fail: through a re-export too, and for a constant as for a condition.
#[test]
fn an_attribute_that_is_named_elsewhere_is_found() {
    let constants = ["STATUS".to_owned()];
    for (use_case, line) in [
        ("use crate::ports::{Change, Key};", 1),
        (
            "use crate::ports;\nfn f() { ports::Condition::Absent(\"a\"); }",
            2,
        ),
        ("use crate::schema::{STATUS, meta_key};", 1),
        ("\nfn f() { crate::schema::get_n(item, \"a\"); }", 2),
        ("use crate::ports::Put;", 1),
    ] {
        let tree = made_up(&[
            ("shared/src/ports/mod.rs", "mod store;\npub use store::*;"),
            (
                "shared/src/ports/store.rs",
                "pub enum Change {}\npub enum Condition {}\npub struct Put;\npub struct Key;",
            ),
            ("shared/src/schema/mod.rs", "mod job;\npub use job::*;"),
            (
                "shared/src/schema/job.rs",
                "pub const STATUS: &str = \"s\";\npub fn meta_key() {}\npub fn get_n() {}",
            ),
            ("shared/src/jobs/cancel.rs", use_case),
        ]);
        let found = named_elsewhere(&tree, &constants);
        assert_eq!(found.len(), 1, "{use_case}: {found:?}");
        let begin = format!("shared/src/jobs/cancel.rs:{line}: ");
        assert!(found[0].starts_with(&begin), "{found:?}");
    }
}
