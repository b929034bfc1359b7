//! No two files import each other, by way of others or directly.

use std::collections::BTreeSet;

use crate::imports::{CRATES, Circle, End, Graph, Tree, made_up};

/// Circles that are still there, by their files. A circle that is gone or smaller leaves this list
/// too.
const KNOWN: &[&[&str]] = &[];

/// The circles of a tree as they are shown.
fn shown(circles: &[Circle<'_>]) -> String {
    let one = |circle: &Circle<'_>| format!("{:?}\n{}", circle.files(), circle.witnesses());
    circles.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let graph = Graph::of(&CRATES);
    let circles = graph.circles();
    let new: Vec<Circle<'_>> = circles
        .iter()
        .filter(|c| !KNOWN.contains(&c.files().as_slice()))
        .cloned()
        .collect();
    assert!(
        new.is_empty(),
        "{} circles that KNOWN does not have:\n{}",
        new.len(),
        shown(&new)
    );
    let found: BTreeSet<Vec<&str>> = circles.iter().map(Circle::files).collect();
    let gone: Vec<_> = KNOWN
        .iter()
        .filter(|known| !found.contains(**known))
        .collect();
    assert!(
        gone.is_empty(),
        "no longer circles: take them out of KNOWN: {gone:?}"
    );
}

/// The reader understands what it reads: no path into these crates leads to something that it does
/// not find.
#[test]
fn every_path_into_the_crates_leads_to_an_item() {
    let tree: &Tree = &CRATES;
    assert!(
        tree.files.len() > 150 && tree.named.len() > 20_000,
        "{} {}",
        tree.files.len(),
        tree.named.len()
    );
    let lost = tree
        .named
        .iter()
        .filter(|named| named.ends.contains(&End::Nowhere));
    let lost: Vec<_> = lost
        .map(|n| format!("{}:{}: {}", tree.files[n.file], n.line, n.path.join("::")))
        .collect();
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Each of these sources, as `shared/src/b.rs`, has a circle with `shared/src/a.rs`.
const B: &str = "use crate::a::A;\npub struct B;\npub enum E { X }\npub const C: u8 = 1;\n\
    pub fn g() {}\npub mod m {}";

#[test]
fn a_circle_is_found_however_its_imports_are_written() {
    for (a, line, path) in [
        ("use crate::b::B;", 1, "crate::b::B"),
        (
            "use crate::{\n    b::{self as other, B},\n};",
            2,
            "crate::b::B",
        ),
        (
            "use crate::b as other;\nfn f(_: other::B) {}",
            2,
            "crate::b::B",
        ),
        ("use super::b::B as Other;", 1, "crate::b::B"),
        ("use crate::b::*;\nfn f(_: B) {}", 2, "B"),
        ("use crate::b::E::*;", 1, "crate::b::E::*"),
        ("use crate::b::E::X;", 1, "crate::b::E::X"),
        ("pub use crate::b::B;", 1, "crate::b::B"),
        ("fn f() {\n    crate::b::g();\n}", 2, "crate::b::g"),
        ("fn f() { self::super::b::g() }", 1, "crate::b::g"),
        (
            "fn f() {\n    use super::b;\n    b::g();\n}",
            3,
            "crate::b::g",
        ),
        ("fn f() {\n    use super::b::*;\n    g();\n}", 3, "g"),
        ("fn f(_: &[Option<crate::b::B>]) {}", 1, "crate::b::B"),
        (
            "impl From<crate::b::B> for A { fn from(_: crate::b::B) -> A { A } }",
            1,
            "crate::b::B",
        ),
        ("fn f<T: AsRef<crate::b::B>>() {}", 1, "crate::b::B"),
        (
            "fn f(x: u8) { match x { crate::b::C => {} _ => {} } }",
            1,
            "crate::b::C",
        ),
        (
            "use crate::b::*;\nfn f(x: u8) { match x { C => {} _ => {} } }",
            2,
            "C",
        ),
        (
            "fn f() {\n    println!(\"{}\",\n        crate::b::C);\n}",
            3,
            "crate::b::C",
        ),
        ("fn f() { vec![(1, [crate::b::C])] }", 1, "crate::b::C"),
        (
            "macro_rules! m { () => { $crate::b::g() } }",
            1,
            "crate::b::g",
        ),
        ("m! { use crate::b::{B}; }", 1, "crate::b::B"),
        (
            "#[derive(D)]\nstruct S {\n    #[serde(with = \"crate::b::g\")]\n    s: u8,\n}",
            3,
            "crate::b::g",
        ),
        (
            "#[arg(value_parser = crate::b::g)]\nstruct S;",
            1,
            "crate::b::g",
        ),
        (
            "mod inner {\n    fn f() { super::super::b::g() }\n}",
            2,
            "crate::b::g",
        ),
        (
            "mod inner { pub(super) use crate::b; }\nfn f() { inner::b::g() }",
            2,
            "crate::a::inner::b::g",
        ),
        ("#[cfg(not(test))]\nuse crate::b::B;", 2, "crate::b::B"),
        (
            "#[cfg(any(test, unix))]\nuse crate::b::B;",
            2,
            "crate::b::B",
        ),
    ] {
        let tree = made_up(&[
            ("shared/src/a.rs", &format!("{a}\npub struct A;")),
            ("shared/src/b.rs", B),
        ]);
        let graph = Graph::of(&tree);
        let circles = graph.circles();
        assert_eq!(circles.len(), 1, "{a}");
        assert_eq!(
            circles[0].files(),
            ["shared/src/a.rs", "shared/src/b.rs"],
            "{a}"
        );
        let shown = circles[0].witnesses();
        let witness = format!("  shared/src/a.rs:{line} names {path} of shared/src/b.rs");
        assert!(
            shown.contains(&witness) && shown.contains("shared/src/b.rs:1 names crate::a::A of"),
            "{a}: {shown}"
        );
    }
}

#[test]
fn a_circle_is_found_through_other_files() {
    for (files, members) in [
        // Re-exports lead to the file that defines.
        (
            &[
                (
                    "shared/src/x/mod.rs",
                    "mod a; mod b;\npub use self::a::A;\npub use self::b::*;",
                ),
                ("shared/src/x/a.rs", "use super::B;\npub struct A;"),
                (
                    "shared/src/x/b.rs",
                    "use crate::x::A as Other;\npub struct B;",
                ),
            ][..],
            &["shared/src/x/a.rs", "shared/src/x/b.rs"][..],
        ),
        // A module above that defines something and names what is below.
        (
            &[
                (
                    "shared/src/x/mod.rs",
                    "mod a;\npub struct X;\nfn f() { a::f() }",
                ),
                ("shared/src/x/a.rs", "use super::*;\npub fn f(_: X) {}"),
            ],
            &["shared/src/x/a.rs", "shared/src/x/mod.rs"],
        ),
        // The same where it only re-exports what is below.
        (
            &[
                ("shared/src/x.rs", "mod a;\npub struct X;\npub use a::A;"),
                ("shared/src/x/a.rs", "pub struct A(super::X);"),
            ],
            &["shared/src/x.rs", "shared/src/x/a.rs"],
        ),
        (
            &[
                ("shared/src/a.rs", "use crate::b::B; pub struct A;"),
                ("shared/src/b.rs", "use crate::c::C; pub struct B;"),
                ("shared/src/c.rs", "use crate::a::A; pub struct C;"),
                ("shared/src/d.rs", "use crate::a::A;"),
            ],
            &["shared/src/a.rs", "shared/src/b.rs", "shared/src/c.rs"],
        ),
        (
            &[
                (
                    "infra/cli/src/a.rs",
                    "#[path = \"elsewhere.rs\"]\nmod b;\npub struct A(b::B);",
                ),
                ("infra/cli/src/elsewhere.rs", "use super::A; pub struct B;"),
            ],
            &["infra/cli/src/a.rs", "infra/cli/src/elsewhere.rs"],
        ),
    ] {
        let tree = made_up(files);
        let graph = Graph::of(&tree);
        let circles = graph.circles();
        assert!(
            circles.len() == 1 && circles[0].files() == members,
            "{files:?}: {}",
            shown(&circles)
        );
    }
}

#[test]
fn what_only_looks_like_a_circle_is_none() {
    for a in [
        "// crate::b::g()\n/* use crate::b::B; /* */ */",
        "//! [`crate::b::B`]\n",
        "fn f() { let _ = (\"crate::b::g()\", r#\"use crate::b::B;\"#, 'b'); }",
        "#[doc = \"crate::b::B\"]\nfn f() {}",
        "#[cfg(test)]\nmod tests { use crate::b::B; }",
        "#[cfg(test)]\nuse crate::b::B;",
        "#[cfg(all(test, unix))]\nuse crate::b::B;",
        "#[test]\nfn t() { crate::b::g(); }",
        "struct S;\nimpl S { #[cfg(test)] fn t(_: crate::b::B) {} }",
        "fn f() { #[cfg(test)] crate::b::g(); #[cfg(test)] let _ = crate::b::C; }",
        "struct S { #[cfg(test)] b: crate::b::B }",
        "fn f(x: u8) { match x { #[cfg(test)] crate::b::C => {} _ => {} } }",
        "pub(in crate::b) struct S;",
        "use crate::b;",
        "use crate::b::m;",
        "use crate::b::*;",
        "use crate::b::*;\nfn g() {}\nfn f() { g() }",
        "use other::b::B;",
        "use ::b::B;",
        "mod b { pub fn g() {} }\nfn f() { b::g() }",
        "fn f(x: X) { x.g(); m!(x.b.g()); }",
    ] {
        let tree = made_up(&[
            ("shared/src/a.rs", &format!("{a}\npub struct A;")),
            ("shared/src/b.rs", B),
        ]);
        let graph = Graph::of(&tree);
        assert!(
            graph.circles().is_empty(),
            "{a}: {}",
            shown(&graph.circles())
        );
    }
    // Re-exports are followed; a module that nothing is imported from is in no circle.
    let tree = made_up(&[
        (
            "shared/src/x/mod.rs",
            "mod a; mod b;\npub use self::a::A;\npub use self::b::B;\nuse crate::y::Y;",
        ),
        (
            "shared/src/x/a.rs",
            "use super::B;\nuse super::Y;\npub struct A;",
        ),
        ("shared/src/x/b.rs", "pub struct B;"),
        ("shared/src/y.rs", "pub struct Y;"),
    ]);
    let graph = Graph::of(&tree);
    assert!(graph.circles().is_empty(), "{}", shown(&graph.circles()));
}
