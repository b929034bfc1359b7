//! Reads one source file with syn: its modules, the names in each, and every path that its code
//! names.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Lit, Meta, Stmt, UseTree};

use super::measure::{Measures, measure};
use super::strip::strip_tests;

/// The meaning of a name in the scope that declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Binding {
    /// An item that is defined here.
    Item,
    /// An inline module: its scope in the same file.
    Inline(usize),
    /// A module in a file of its own, with the value of `#[path]`.
    Outline(Option<String>),
    /// The path of a `use`.
    Use(Vec<String>),
}

/// A module, or a block of statements that declares items.
#[derive(Debug, Default)]
pub(super) struct Scope {
    pub(super) parent: Option<usize>,
    /// `None` for the file itself and for blocks.
    pub(super) name: Option<String>,
    pub(super) is_block: bool,
    pub(super) names: Vec<(String, Binding)>,
    pub(super) globs: Vec<Vec<String>>,
}

/// A path as written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) scope: usize,
    pub(super) line: usize,
    /// Ends in `*` if a `use` takes everything.
    pub(super) segments: Vec<String>,
    /// Begins with `::`, so with the name of a crate.
    pub(super) from_outside: bool,
}

/// The declarations and paths of one file, without its tests.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The first is the file itself.
    pub(super) scopes: Vec<Scope>,
    pub(super) paths: Vec<Written>,
    pub(super) measures: Measures,
}

impl Source {
    pub(super) fn read(file: &str, text: &str) -> Self {
        let mut parsed = syn::parse_file(text)
            .unwrap_or_else(|e| panic!("{file}:{}: {e}", e.span().start().line));
        let removed = strip_tests(&mut parsed);
        let measures = measure(&parsed, text, &removed);
        let mut reader = Reader {
            source: Self {
                measures,
                ..Self::default()
            },
            scope: 0,
        };
        reader.source.scopes.push(Scope::default());
        reader.declare(parsed.items.iter());
        visit::visit_file(&mut reader, &parsed);
        reader.source
    }
}

struct Reader {
    source: Source,
    scope: usize,
}

impl Reader {
    fn open(&mut self, name: Option<String>) -> usize {
        let is_block = name.is_none();
        self.source.scopes.push(Scope {
            parent: Some(self.scope),
            name,
            is_block,
            ..Scope::default()
        });
        self.source.scopes.len() - 1
    }

    fn within(&mut self, scope: usize, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.scope, scope);
        visit(self);
        self.scope = outer;
    }

    fn bind(&mut self, name: &syn::Ident, binding: Binding) {
        self.source.scopes[self.scope]
            .names
            .push((plain(name), binding));
    }

    fn record(&mut self, line: usize, segments: Vec<String>, from_outside: bool) {
        self.source.paths.push(Written {
            scope: self.scope,
            line,
            segments,
            from_outside,
        });
    }

    /// Enters what the current scope declares, before any path in it is read.
    fn declare<'a>(&mut self, items: impl Iterator<Item = &'a Item>) {
        for item in items {
            match item {
                Item::Const(item) => self.bind(&item.ident, Binding::Item),
                Item::Enum(item) => self.bind(&item.ident, Binding::Item),
                Item::Fn(item) => self.bind(&item.sig.ident, Binding::Item),
                Item::Static(item) => self.bind(&item.ident, Binding::Item),
                Item::Struct(item) => self.bind(&item.ident, Binding::Item),
                Item::Trait(item) => self.bind(&item.ident, Binding::Item),
                Item::TraitAlias(item) => self.bind(&item.ident, Binding::Item),
                Item::Type(item) => self.bind(&item.ident, Binding::Item),
                Item::Union(item) => self.bind(&item.ident, Binding::Item),
                Item::Macro(item) => {
                    if let Some(name) = &item.ident {
                        self.bind(name, Binding::Item);
                    }
                }
                Item::Mod(item) => {
                    let binding = match &item.content {
                        Some(_) => Binding::Inline(self.open(Some(plain(&item.ident)))),
                        None => Binding::Outline(item.attrs.iter().find_map(path_attribute)),
                    };
                    self.bind(&item.ident, binding);
                }
                Item::Use(item) => {
                    self.import(&item.tree, &mut Vec::new(), item.leading_colon.is_some());
                }
                _ => {}
            }
        }
    }

    fn import(&mut self, tree: &UseTree, prefix: &mut Vec<String>, from_outside: bool) {
        match tree {
            UseTree::Path(tree) => {
                prefix.push(plain(&tree.ident));
                self.import(&tree.tree, prefix, from_outside);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix, from_outside);
                }
            }
            UseTree::Glob(glob) => {
                self.source.scopes[self.scope].globs.push(prefix.clone());
                let path = [&prefix[..], &["*".to_owned()]].concat();
                self.record(glob.star_token.spans[0].start().line, path, from_outside);
            }
            UseTree::Name(leaf) => self.imported(&leaf.ident, &leaf.ident, prefix, from_outside),
            UseTree::Rename(leaf) => self.imported(&leaf.ident, &leaf.rename, prefix, from_outside),
        }
    }

    fn imported(
        &mut self,
        leaf: &syn::Ident,
        name: &syn::Ident,
        prefix: &[String],
        from_outside: bool,
    ) {
        let mut path = prefix.to_vec();
        if leaf != "self" || path.is_empty() {
            path.push(plain(leaf));
        }
        self.record(leaf.span().start().line, path.clone(), from_outside);
        let name = if name == "self" {
            path.last().cloned().unwrap_or_default()
        } else {
            plain(name)
        };
        self.source.scopes[self.scope]
            .names
            .push((name, Binding::Use(path)));
    }

    /// Records the paths among the tokens of a macro or an attribute. With `texts`, a text that is
    /// a path counts too.
    fn tokens(&mut self, tokens: TokenStream, texts: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is = |at: usize, c: char| {
            matches!(tokens.get(at),
            Some(TokenTree::Punct(p)) if p.as_char() == c)
        };
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => {
                    self.tokens(group.stream(), texts);
                    at += 1;
                }
                TokenTree::Literal(literal) if texts => {
                    let text = literal.to_string();
                    if let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"')) {
                        let segments = path.segments.iter().map(|s| plain(&s.ident)).collect();
                        self.record(
                            literal.span().start().line,
                            segments,
                            path.leading_colon.is_some(),
                        );
                    }
                    at += 1;
                }
                TokenTree::Ident(first) => {
                    let begun = at;
                    let mut segments = vec![plain(first)];
                    at += 1;
                    while is(at, ':') && is(at + 1, ':') {
                        let Some(TokenTree::Ident(next)) = tokens.get(at + 2) else {
                            break;
                        };
                        segments.push(plain(next));
                        at += 3;
                    }
                    let group = match tokens.get(at + 2) {
                        Some(TokenTree::Group(group)) if is(at, ':') && is(at + 1, ':') => {
                            Some(group)
                        }
                        _ => None,
                    };
                    let before = |c| begun > 0 && is(begun - 1, c);
                    let begins = begun < 2 || !(before(':') && is(begun - 2, ':'));
                    let is_field = before('.') && !(begun > 1 && is(begun - 2, '.'));
                    let is_variable = before('$') && segments[0] != "crate";
                    let line = first.span().start().line;
                    match group {
                        // A `use` inside a macro.
                        Some(group) if group.delimiter() == Delimiter::Brace => {
                            let tree: TokenStream = tokens[begun..at + 3].iter().cloned().collect();
                            if let Ok(tree) = syn::parse2(tree) {
                                self.import(&tree, &mut Vec::new(), !begins);
                            }
                            at += 3;
                        }
                        _ if is_field || is_variable => {}
                        _ => self.record(line, segments, !begins),
                    }
                }
                _ => at += 1,
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    /// `pub(in crate::x)` says who may see an item; it imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    /// Read when the scope was entered.
    fn visit_item_use(&mut self, _: &'ast syn::ItemUse) {}

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = plain(&item.ident);
        let inline = self.source.scopes[self.scope]
            .names
            .iter()
            .find_map(|(known, binding)| match binding {
                Binding::Inline(scope) if *known == name => Some(*scope),
                _ => None,
            });
        if let (Some(scope), Some((_, items))) = (inline, &item.content) {
            self.within(scope, |reader| {
                reader.declare(items.iter());
                for item in items {
                    reader.visit_item(item);
                }
            });
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let items = || {
            block.stmts.iter().filter_map(|s| {
                if let Stmt::Item(item) = s {
                    Some(item)
                } else {
                    None
                }
            })
        };
        if items().next().is_none() {
            return visit::visit_block(self, block);
        }
        let scope = self.open(None);
        self.within(scope, |reader| {
            reader.declare(items());
            visit::visit_block(reader, block);
        });
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| plain(&s.ident)).collect();
        if let Some(first) = path.segments.first() {
            self.record(
                first.ident.span().start().line,
                segments,
                path.leading_colon.is_some(),
            );
        }
        visit::visit_path(self, path);
    }

    /// A constant in a pattern looks like a new variable.
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        let name = plain(&pattern.ident);
        if name.starts_with(char::is_uppercase) {
            self.record(pattern.ident.span().start().line, vec![name], false);
        }
        visit::visit_pat_ident(self, pattern);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let Meta::List(list) = &attribute.meta else {
            return;
        };
        let is = |name| attribute.path().is_ident(name);
        if ![
            "allow", "cfg", "cfg_attr", "deny", "derive", "doc", "expect", "warn",
        ]
        .into_iter()
        .any(is)
        {
            self.tokens(list.tokens.clone(), is("serde"));
        }
    }
}

/// An identifier without `r#`.
fn plain(ident: &syn::Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(meta) = &attribute.meta else {
        return None;
    };
    match &meta.value {
        syn::Expr::Lit(syn::ExprLit {
            lit: Lit::Str(text),
            ..
        }) if meta.path.is_ident("path") => Some(text.value()),
        _ => None,
    }
}
