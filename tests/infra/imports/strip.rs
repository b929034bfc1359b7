//! Takes out of a parsed file what only tests compile.

use std::ops::RangeInclusive;

use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Expr, ImplItem, Item, Meta, Stmt, TraitItem};

/// Removes every part under `#[cfg(test)]` or `#[test]`, and returns the lines that they took.
pub(super) fn strip_tests(file: &mut syn::File) -> Vec<RangeInclusive<usize>> {
    let mut strip = Strip {
        removed: Vec::new(),
    };
    if file.attrs.iter().any(is_test) {
        strip.removed.push(0..=usize::MAX);
        file.items.clear();
    }
    strip.visit_file_mut(file);
    strip.removed
}

struct Strip {
    removed: Vec<RangeInclusive<usize>>,
}

impl Strip {
    /// Returns whether a part with these attributes stays.
    fn stays(&mut self, attributes: &[Attribute], part: &impl Spanned) -> bool {
        let Some(first) = attributes.iter().find(|a| is_test(a)) else {
            return true;
        };
        let begin = attributes.first().unwrap_or(first).span().start().line;
        self.removed.push(begin..=part.span().end().line);
        false
    }

    fn retain<T: Spanned>(&mut self, parts: &mut Vec<T>, attributes: impl Fn(&T) -> &[Attribute]) {
        parts.retain(|part| self.stays(attributes(part), part));
    }

    fn retain_listed<T: Spanned, P: Default>(
        &mut self,
        parts: &mut Punctuated<T, P>,
        attributes: impl Fn(&T) -> &[Attribute],
    ) {
        let all = std::mem::take(parts);
        *parts = all
            .into_iter()
            .filter(|part| self.stays(attributes(part), part))
            .collect();
    }
}

impl VisitMut for Strip {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        self.retain(&mut file.items, item_attributes);
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut module.content {
            self.retain(items, item_attributes);
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, item: &mut syn::ItemImpl) {
        self.retain(&mut item.items, |item| match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        });
        visit_mut::visit_item_impl_mut(self, item);
    }

    fn visit_item_trait_mut(&mut self, item: &mut syn::ItemTrait) {
        self.retain(&mut item.items, |item| match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        });
        visit_mut::visit_item_trait_mut(self, item);
    }

    fn visit_item_enum_mut(&mut self, item: &mut syn::ItemEnum) {
        self.retain_listed(&mut item.variants, |variant| &variant.attrs);
        visit_mut::visit_item_enum_mut(self, item);
    }

    fn visit_fields_named_mut(&mut self, fields: &mut syn::FieldsNamed) {
        self.retain_listed(&mut fields.named, |field| &field.attrs);
        visit_mut::visit_fields_named_mut(self, fields);
    }

    fn visit_expr_struct_mut(&mut self, value: &mut syn::ExprStruct) {
        self.retain_listed(&mut value.fields, |field| &field.attrs);
        visit_mut::visit_expr_struct_mut(self, value);
    }

    fn visit_expr_match_mut(&mut self, value: &mut syn::ExprMatch) {
        self.retain(&mut value.arms, |arm| &arm.attrs);
        visit_mut::visit_expr_match_mut(self, value);
    }

    fn visit_block_mut(&mut self, block: &mut syn::Block) {
        self.retain(&mut block.stmts, |statement| match statement {
            Stmt::Local(local) => &local.attrs,
            Stmt::Item(item) => item_attributes(item),
            Stmt::Macro(called) => &called.attrs,
            Stmt::Expr(value, _) => expression_attributes(value),
        });
        visit_mut::visit_block_mut(self, block);
    }
}

fn item_attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Of the expressions that stand as statements.
fn expression_attributes(value: &Expr) -> &[Attribute] {
    match value {
        Expr::Assign(value) => &value.attrs,
        Expr::Block(value) => &value.attrs,
        Expr::Call(value) => &value.attrs,
        Expr::ForLoop(value) => &value.attrs,
        Expr::If(value) => &value.attrs,
        Expr::Macro(value) => &value.attrs,
        Expr::Match(value) => &value.attrs,
        Expr::MethodCall(value) => &value.attrs,
        _ => &[],
    }
}

/// Returns whether an attribute limits its item to tests: `#[test]`, `#[cfg(test)]`,
/// `#[cfg(all(test, …))]`.
fn is_test(attribute: &Attribute) -> bool {
    match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            syn::parse2(list.tokens.clone()).is_ok_and(|m| asks_test(&m))
        }
        _ => false,
    }
}

fn asks_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => {
            let parts = list.parse_args_with(Punctuated::<Meta, syn::Token![,]>::parse_terminated);
            parts.is_ok_and(|parts| parts.iter().any(asks_test))
        }
        _ => false,
    }
}
