//! No file, no function and no room of the common crate is larger than a reader takes in.

use std::collections::BTreeMap;

use crate::imports::{CRATES, Tree, made_up};
use crate::{root, rust_files};

/// Lines of code of a file, as `Measures::code` counts them.
pub(crate) const MOST_CODE: usize = 500;
/// Lines of a function, and its levels, as `Function` counts them.
pub(crate) const MOST_LINES: usize = 80;
pub(crate) const MOST_LEVELS: usize = 4;
/// A room's share of the common crate, in percent, by lines of code and by all lines of its files.
const MOST_SHARE: usize = 25;

/// Rooms by the beginnings of their files below `shared/src/`, the first that fits. Every other
/// folder or file is its own.
const ROOMS: [(&str, &str); 3] = [
    ("providers/kinds/web", "kind web"),
    ("providers/kinds", "other kinds"),
    ("providers/", "rest of providers"),
];

/// Files that are tables of data, which grow with what they list.
pub(crate) const TABLES: &[(&str, &str)] = &[];

/// Files and functions that are still too large, with their greatest sizes. Remove those that
/// shrank.
const KNOWN: &[(&str, usize)] = &[];

/// The room of a file of the common crate.
pub(crate) fn room_of(file: &str) -> Option<&str> {
    let below = file.strip_prefix("shared/src/")?;
    let named = ROOMS
        .iter()
        .find(|(begin, _)| below.starts_with(begin))
        .map(|(_, room)| *room);
    named.or_else(|| {
        below
            .split('/')
            .next()
            .map(|name| name.trim_end_matches(".rs"))
    })
}

/// Lines by room.
pub(crate) fn by_room<'a>(
    files: impl Iterator<Item = (&'a str, usize)>,
) -> BTreeMap<&'a str, usize> {
    let mut rooms = BTreeMap::new();
    for (file, lines) in files {
        if let Some(room) = room_of(file) {
            *rooms.entry(room).or_default() += lines;
        }
    }
    rooms
}

/// Returns the sizes of files and functions that are too large.
fn too_large(tree: &Tree) -> BTreeMap<String, usize> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut note = |what: String, size: usize, most: usize| {
        if size > most {
            let known = found.entry(what).or_default();
            *known = size.max(*known);
        }
    };
    for (file, measures) in tree.files.iter().zip(&tree.measures) {
        if !TABLES.iter().any(|(table, _)| table == file) {
            note(format!("lines of {file}"), measures.code, MOST_CODE);
        }
        for function in &measures.functions {
            note(
                format!("lines of {} in {file}", function.name),
                function.lines,
                MOST_LINES,
            );
            note(
                format!("levels of {} in {file}", function.name),
                function.levels,
                MOST_LEVELS,
            );
        }
    }
    found
}

/// The rooms that have too large a share, and their shares.
fn too_large_rooms(rooms: &BTreeMap<&str, usize>) -> BTreeMap<String, usize> {
    let all: usize = rooms.values().sum();
    let share = |lines: usize| (lines * 100).div_ceil(all.max(1));
    let large = rooms
        .iter()
        .filter(|(_, lines)| share(**lines) > MOST_SHARE);
    large
        .map(|(room, lines)| (format!("percent of {room}"), share(*lines)))
        .collect()
}

#[test]
fn nothing_is_larger_than_a_reader_takes_in() {
    let tree: &Tree = &CRATES;
    let mut found = too_large(tree);
    let files = rust_files("shared/src");
    let lines = |file: &String| {
        std::fs::read_to_string(root().join(file))
            .unwrap()
            .lines()
            .count()
    };
    let code = tree
        .files
        .iter()
        .zip(&tree.measures)
        .map(|(file, measures)| (file.as_str(), measures.code));
    for rooms in [
        by_room(code),
        by_room(files.iter().map(|file| (file.as_str(), lines(file)))),
    ] {
        for (room, share) in too_large_rooms(&rooms) {
            let known = found.entry(room).or_default();
            *known = share.max(*known);
        }
    }
    let most = |what: &str| {
        KNOWN
            .iter()
            .find(|(known, _)| *known == what)
            .map(|(_, size)| *size)
    };
    let new: Vec<String> = found
        .iter()
        .filter(|(w, s)| most(w).is_none_or(|m| **s > m))
        .map(|(w, s)| format!("(\"{w}\", {s}),"))
        .collect();
    assert!(
        new.is_empty(),
        "too large, or larger than KNOWN says:\n{}",
        new.join("\n")
    );
    let gone: Vec<_> = KNOWN
        .iter()
        .filter(|(known, _)| !found.contains_key(*known))
        .collect();
    assert!(
        gone.is_empty(),
        "no longer too large: take them out of KNOWN: {gone:?}"
    );
    let unneeded: Vec<_> = TABLES
        .iter()
        .filter(|(table, _)| !tree.files.iter().any(|file| file == table))
        .collect();
    assert!(unneeded.is_empty(), "no such files: {unneeded:?}");
}

#[test]
fn lines_and_levels_are_counted_as_said() {
    let one = |text: &str| {
        let tree = made_up(&[("shared/src/a.rs", text)]);
        let at = tree
            .files
            .iter()
            .position(|file| file == "shared/src/a.rs")
            .unwrap();
        let measures = &tree.measures[at];
        let functions = measures
            .functions
            .iter()
            .map(|f| (f.name.clone(), f.line, f.lines, f.levels));
        (measures.code, functions.collect::<Vec<_>>())
    };
    let f = |name: &str, line, lines, levels| (name.to_owned(), line, lines, levels);
    for (text, code, functions) in [
        (
            "//! a\n\n/// b\n// c\nfn f() {}\n",
            1,
            vec![f("f", 5, 1, 0)],
        ),
        (
            "#[inline]\nfn f() {\n\n    // a\n    g();\n}\n",
            4,
            vec![f("f", 2, 5, 0)],
        ),
        (
            "fn f() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {}\n}\n",
            1,
            vec![f("f", 1, 1, 0)],
        ),
        (
            "struct S;\nimpl S {\n    #[cfg(test)]\n    fn t() {}\n    fn f() {}\n}\n",
            4,
            vec![f("S::f", 5, 1, 0)],
        ),
        (
            "trait T {\n    fn f() { if a {} }\n    fn g();\n}",
            4,
            vec![f("T::f", 2, 1, 1)],
        ),
        (
            "fn f() { if a { b } else if c { d } else { e } }",
            1,
            vec![f("f", 1, 1, 1)],
        ),
        (
            "fn f() { if a { b } else { match c { _ => d } } }",
            1,
            vec![f("f", 1, 1, 2)],
        ),
        (
            "fn f() { loop { while a { for b in c { if d { (|| { match e { _ => {} } })() } } } } \
             }",
            1,
            vec![f("f", 1, 1, 6)],
        ),
        (
            "fn f() { let Some(a) = b else { return }; a.map(|a| a + 1); { { unsafe { c } } } }",
            1,
            vec![f("f", 1, 1, 0)],
        ),
        (
            "fn f() { if a { fn g() { loop {} } } }",
            1,
            vec![f("g", 1, 1, 1), f("f", 1, 1, 1)],
        ),
        (
            "fn f() { if loop { break a } { b } }",
            1,
            vec![f("f", 1, 1, 1)],
        ),
    ] {
        assert_eq!(one(text), (code, functions), "{text}");
    }
}

#[test]
fn what_is_too_large_is_found() {
    let body = |lines: usize| "    g();\n".repeat(lines);
    let long = format!(
        "fn f() {{\n{}}}\nfn h() {{\n{}}}\n",
        body(MOST_LINES - 1),
        body(MOST_LINES - 2)
    );
    let deep = "fn deep() { loop { loop { loop { loop { loop {} } } } } }\n\
        fn fine() { loop { loop { loop { loop {} } } } }";
    let large = |lines: usize| {
        (0..lines)
            .map(|n| format!("const C{n}: u8 = 0;\n"))
            .collect::<Vec<_>>()
            .concat()
    };
    let tree = made_up(&[
        ("shared/src/a.rs", &long),
        ("infra/cli/src/b.rs", deep),
        ("shared/src/c.rs", &large(MOST_CODE + 1)),
        ("shared/src/d.rs", &large(MOST_CODE)),
    ]);
    let expected = [
        ("levels of deep in infra/cli/src/b.rs", 5),
        ("lines of f in shared/src/a.rs", MOST_LINES + 1),
        ("lines of shared/src/c.rs", MOST_CODE + 1),
    ];
    assert_eq!(
        too_large(&tree),
        expected.map(|(what, size)| (what.to_owned(), size)).into()
    );
    let rooms = by_room(
        [
            ("shared/src/domain/a.rs", 20),
            ("shared/src/providers/kinds/web/a.rs", 10),
            ("shared/src/providers/kinds/http.rs", 20),
            ("shared/src/providers/registry.rs", 20),
            ("shared/src/ports.rs", 29),
            ("infra/cli/src/a.rs", 1000),
        ]
        .into_iter(),
    );
    assert_eq!(
        (
            rooms.len(),
            rooms["kind web"],
            rooms["other kinds"],
            rooms["rest of providers"]
        ),
        (5, 10, 20, 20)
    );
    assert_eq!(
        too_large_rooms(&rooms),
        [("percent of ports".to_owned(), 30)].into()
    );
}
