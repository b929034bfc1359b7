//! `docs/ARCHITECTURE.md` names files and items that exist.

use pulldown_cmark::{Event, Parser};
use syn::visit::{self, Visit};

use super::links::has_ending;
use super::{root, source};

/// A file that a page names, and the items in backticks directly after its path.
#[derive(Debug, PartialEq)]
struct Named {
    file: String,
    items: Vec<String>,
}

/// Reads the files that a page names, each with the items after it in the same item of a list:
/// `` `path/to/file.rs` `item`, `Type::method` ``. Prose ends the list of items.
fn named(page: &str) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    let mut follows = false;
    for event in Parser::new(page) {
        match event {
            Event::Code(code) if is_file(&code) => {
                all.push(Named {
                    file: code.to_string(),
                    items: Vec::new(),
                });
                follows = true;
            }
            Event::Code(code) if follows => {
                all.last_mut().unwrap().items.push(code.to_string());
            }
            Event::Text(text) => {
                let separates = |word: &str| ["", ",", "and"].contains(&word);
                follows &= text.split(' ').all(separates);
            }
            Event::SoftBreak => {}
            _ => follows = false,
        }
    }
    all
}

/// A path with a folder, of a Rust file. `NAME` in it stands for one of several.
fn is_file(code: &str) -> bool {
    code.contains('/') && has_ending(code, "rs") && !code.contains("NAME")
}

/// Everything that a file defines, methods and variants also as `Owner::name`.
#[derive(Default)]
struct Defined {
    names: Vec<String>,
    owner: Option<String>,
}

impl Defined {
    fn of(text: &str) -> Self {
        let mut defined = Self::default();
        defined.visit_file(&syn::parse_file(text).unwrap());
        defined
    }

    fn has(&self, item: &str) -> bool {
        self.names.iter().any(|name| name == item)
    }

    fn define(&mut self, name: &syn::Ident) {
        let qualified = self.owner.iter().map(|owner| format!("{owner}::{name}"));
        let all = qualified.chain([name.to_string()]).collect::<Vec<_>>();
        self.names.extend(all);
    }

    fn owned(&mut self, owner: Option<String>, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.owner, owner);
        visit(self);
        self.owner = outer;
    }
}

impl<'ast> Visit<'ast> for Defined {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        use syn::Item;
        match item {
            Item::Const(item) => self.define(&item.ident),
            Item::Enum(item) => self.define(&item.ident),
            Item::Mod(item) => self.define(&item.ident),
            Item::Static(item) => self.define(&item.ident),
            Item::Struct(item) => self.define(&item.ident),
            Item::Trait(item) => self.define(&item.ident),
            Item::Type(item) => self.define(&item.ident),
            _ => {}
        }
        let owner = match item {
            Item::Enum(item) => Some(item.ident.to_string()),
            Item::Trait(item) => Some(item.ident.to_string()),
            Item::Impl(item) => match &*item.self_ty {
                syn::Type::Path(of) => of.path.segments.last().map(|s| s.ident.to_string()),
                _ => None,
            },
            _ => None,
        };
        self.owned(owner, |defined| visit::visit_item(defined, item));
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.define(&signature.ident);
        visit::visit_signature(self, signature);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.define(&item.ident);
    }

    fn visit_trait_item_const(&mut self, item: &'ast syn::TraitItemConst) {
        self.define(&item.ident);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.define(&variant.ident);
    }
}

/// Says which files of a page are not there, and which items they do not define.
fn missing(named: &[Named], text: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for Named { file, items } in named {
        let Some(text) = text(file) else {
            found.push(format!("{file} is missing"));
            continue;
        };
        let defined = Defined::of(&text);
        let unknown = items.iter().filter(|item| !defined.has(item));
        found.extend(unknown.map(|item| format!("{file} defines no {item}")));
    }
    found
}

#[test]
fn the_architecture_names_files_and_items_that_exist() {
    let named = named(&source("docs/ARCHITECTURE.md"));
    let items: usize = named.iter().map(|named| named.items.len()).sum();
    assert!(
        named.len() > 60 && items > 60,
        "{} files, {items} items",
        named.len()
    );
    let found = missing(&named, &|file| {
        std::fs::read_to_string(root().join(file)).ok()
    });
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The check can fail: a made-up page with wrong names.
#[test]
fn names_that_do_not_exist_are_found() {
    let page = "1. `a/b.rs` `go`, `Cart::push`\n   and `LIMIT`: calls `nothing`, as `a/gone.rs` \
        does.\n\
                2. `a/b.rs` `gone`, `Cart`, `Cart::pop`,\n   `Full`, `Size::Full`, \
                `Shop::sell`.\n   - `go` `Store`\n   - `a/b.rs`\n3. `gone` and `b.rs` `gone`\n";
    let code = "pub const LIMIT: u8 = 1;\nfn go() {}\nstruct Cart;\n\
        impl Cart { fn push(&self) {} }\n\
                enum Size { Full }\nmod inner { trait Shop { fn sell(&self); } }";
    let named = named(page);
    assert_eq!(named[0].items, ["go", "Cart::push", "LIMIT"]);
    let text = |file: &str| (file == "a/b.rs").then(|| code.to_owned());
    assert_eq!(
        missing(&named, &text),
        [
            "a/gone.rs is missing",
            "a/b.rs defines no gone",
            "a/b.rs defines no Cart::pop"
        ]
    );
}
