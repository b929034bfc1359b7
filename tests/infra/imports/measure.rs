//! Measures the length and depth of a file's code, and finds items without documentation.

use std::ops::RangeInclusive;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Fields, ImplItem, Item, TraitItem, Visibility};

/// The measures of one file, its tests left out.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    /// Lines that are neither empty nor a comment (begin with `//`).
    pub(crate) code: usize,
    pub(crate) functions: Vec<Function>,
    /// Public items without a doc comment: line and name. The lint `unreachable_pub` ensures that
    /// every `pub` item can be reached.
    pub(crate) undocumented: Vec<(usize, String)>,
}

/// A function, or a method as `Type::method`.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From the line of `fn` to that of the closing brace, blank lines and comments among them.
    pub(crate) lines: usize,
    /// The most blocks of control flow around a statement. The blocks of `if`, `else`, `loop`,
    /// `while` and `for`, the arms of a `match` and a closure's body in braces are one level each;
    /// `else if` is the level of its `if`. What stands inside a macro's arguments is not counted,
    /// and a function inside a function counts by itself.
    pub(crate) levels: usize,
}

/// Measures a parsed file without its tests, which took the lines `removed`.
pub(super) fn measure(
    parsed: &syn::File,
    text: &str,
    removed: &[RangeInclusive<usize>],
) -> Measures {
    let stays = |line: &usize| !removed.iter().any(|removed| removed.contains(line));
    let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let lines = (1..).zip(text.lines());
    let mut measure = Measure::default();
    measure.measures.code = lines.filter(|(n, line)| stays(n) && is_code(line)).count();
    measure.documented(
        &Visibility::Public(syn::token::Pub::default()),
        &parsed.attrs,
        1,
        "the module",
    );
    measure.visit_file(parsed);
    measure.measures
}

#[derive(Default)]
struct Measure {
    measures: Measures,
    /// The type whose methods are read.
    owner: Option<String>,
    /// Around what is read, and the most so far in its function.
    levels: usize,
    most: usize,
}

impl Measure {
    fn documented(
        &mut self,
        visible: &Visibility,
        attributes: &[Attribute],
        line: usize,
        name: &str,
    ) {
        if matches!(visible, Visibility::Public(_))
            && !attributes.iter().any(|a| a.path().is_ident("doc"))
        {
            let owner = self.owner.iter().map(|owner| format!("{owner}::"));
            self.measures
                .undocumented
                .push((line, owner.chain([name.to_owned()]).collect()));
        }
    }

    fn ident(&mut self, visible: &Visibility, attributes: &[Attribute], ident: &syn::Ident) {
        self.documented(
            visible,
            attributes,
            ident.span().start().line,
            &ident.to_string(),
        );
    }

    fn fields(&mut self, fields: &Fields, all_public: bool) {
        for field in fields {
            let public = Visibility::Public(syn::token::Pub::default());
            if let Some(ident) = &field.ident {
                self.ident(
                    if all_public { &public } else { &field.vis },
                    &field.attrs,
                    ident,
                );
            }
        }
    }

    fn owned(&mut self, owner: String, visit: impl FnOnce(&mut Self)) {
        let outer = self.owner.replace(owner);
        visit(self);
        self.owner = outer;
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let (levels, most) = (
            std::mem::take(&mut self.levels),
            std::mem::take(&mut self.most),
        );
        let owner = self.owner.take();
        self.visit_block(block);
        let line = signature.span().start().line;
        let name = owner
            .iter()
            .map(|owner| format!("{owner}::"))
            .chain([signature.ident.to_string()])
            .collect();
        let lines = block.brace_token.span.close().end().line + 1 - line;
        self.measures.functions.push(Function {
            name,
            line,
            lines,
            levels: self.most,
        });
        (self.levels, self.most, self.owner) = (levels, most, owner);
    }

    fn deeper(&mut self, visit: impl FnOnce(&mut Self)) {
        self.levels += 1;
        self.most = self.most.max(self.levels);
        visit(self);
        self.levels -= 1;
    }
}

impl<'ast> Visit<'ast> for Measure {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Const(item) => self.ident(&item.vis, &item.attrs, &item.ident),
            Item::Fn(item) => self.ident(&item.vis, &item.attrs, &item.sig.ident),
            Item::Static(item) => self.ident(&item.vis, &item.attrs, &item.ident),
            Item::Type(item) => self.ident(&item.vis, &item.attrs, &item.ident),
            // One in a file of its own has its documentation there.
            Item::Mod(item) if item.content.is_some() => {
                self.ident(&item.vis, &item.attrs, &item.ident);
            }
            Item::Struct(item) => {
                self.ident(&item.vis, &item.attrs, &item.ident);
                if matches!(item.vis, Visibility::Public(_)) {
                    self.owned(item.ident.to_string(), |measure| {
                        measure.fields(&item.fields, false);
                    });
                }
            }
            Item::Enum(item) => {
                self.ident(&item.vis, &item.attrs, &item.ident);
                for variant in item
                    .variants
                    .iter()
                    .filter(|_| matches!(item.vis, Visibility::Public(_)))
                {
                    self.owned(item.ident.to_string(), |measure| {
                        measure.ident(&item.vis, &variant.attrs, &variant.ident);
                        measure.fields(&variant.fields, true);
                    });
                }
            }
            Item::Trait(item) => {
                self.ident(&item.vis, &item.attrs, &item.ident);
                return self.owned(item.ident.to_string(), |measure| {
                    for part in &item.items {
                        match part {
                            TraitItem::Fn(part) => {
                                measure.ident(&item.vis, &part.attrs, &part.sig.ident);
                            }
                            TraitItem::Const(part) => {
                                measure.ident(&item.vis, &part.attrs, &part.ident);
                            }
                            TraitItem::Type(part) => {
                                measure.ident(&item.vis, &part.attrs, &part.ident);
                            }
                            _ => {}
                        }
                    }
                    visit::visit_item_trait(measure, item);
                });
            }
            Item::Impl(item) => {
                let name = match &*item.self_ty {
                    syn::Type::Path(of) => of
                        .path
                        .segments
                        .last()
                        .map(|segment| segment.ident.to_string()),
                    _ => None,
                };
                return self.owned(name.unwrap_or_default(), |measure| {
                    visit::visit_item_impl(measure, item);
                });
            }
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        match item {
            ImplItem::Fn(item) => self.ident(&item.vis, &item.attrs, &item.sig.ident),
            ImplItem::Const(item) => self.ident(&item.vis, &item.attrs, &item.ident),
            _ => {}
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
    }

    fn visit_expr_if(&mut self, value: &'ast syn::ExprIf) {
        self.visit_expr(&value.cond);
        self.deeper(|measure| measure.visit_block(&value.then_branch));
        match value.else_branch.as_ref().map(|(_, other)| &**other) {
            Some(Expr::If(other)) => self.visit_expr_if(other),
            Some(other) => self.deeper(|measure| measure.visit_expr(other)),
            None => {}
        }
    }

    fn visit_expr_match(&mut self, value: &'ast syn::ExprMatch) {
        self.visit_expr(&value.expr);
        self.deeper(|measure| value.arms.iter().for_each(|arm| measure.visit_arm(arm)));
    }

    fn visit_expr_loop(&mut self, value: &'ast syn::ExprLoop) {
        self.deeper(|measure| measure.visit_block(&value.body));
    }

    fn visit_expr_while(&mut self, value: &'ast syn::ExprWhile) {
        self.visit_expr(&value.cond);
        self.deeper(|measure| measure.visit_block(&value.body));
    }

    fn visit_expr_for_loop(&mut self, value: &'ast syn::ExprForLoop) {
        self.visit_expr(&value.expr);
        self.deeper(|measure| measure.visit_block(&value.body));
    }

    fn visit_expr_closure(&mut self, value: &'ast syn::ExprClosure) {
        match &*value.body {
            Expr::Block(body) => self.deeper(|measure| measure.visit_block(&body.block)),
            body => self.visit_expr(body),
        }
    }
}
