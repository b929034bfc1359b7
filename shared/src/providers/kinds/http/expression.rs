//! The values that expressions of the `http` and `chat` kinds read.

use std::cell::OnceCell;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Environment, Value};
use serde_json::{Map, Value as Json};

use super::super::suffix;
use crate::catalog::expression::{
    Expr, Natives, Written, context, environment, from_json, to_json,
};

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    environment(Natives {
        domain: |text| suffix::host(text).ok(),
        base64: |text| STANDARD.encode(text),
    })
});

/// The values that an expression may read, by root. Each is converted when the first expression
/// reads it.
pub(in crate::providers) struct TemplateValues<'a>(Vec<(&'static str, Root<'a>, OnceCell<Value>)>);

enum Root<'a> {
    Object(&'a Map<String, Json>),
    Value(&'a Json),
    Own(Json),
}

impl<'a> TemplateValues<'a> {
    pub(in crate::providers) fn new() -> Self {
        Self(Vec::new())
    }

    pub(in crate::providers) fn object(
        mut self,
        root: &'static str,
        members: &'a Map<String, Json>,
    ) -> Self {
        self.0.push((root, Root::Object(members), OnceCell::new()));
        self
    }

    pub(in crate::providers) fn value(mut self, root: &'static str, value: &'a Json) -> Self {
        self.0.push((root, Root::Value(value), OnceCell::new()));
        self
    }

    pub(in crate::providers) fn own(mut self, root: &'static str, value: Json) -> Self {
        self.0.push((root, Root::Own(value), OnceCell::new()));
        self
    }

    /// Returns a member of a root that is an object.
    pub(super) fn member(&self, root: &str, name: &str) -> Option<&Json> {
        let (_, value, _) = self.0.iter().find(|(known, ..)| *known == root)?;
        match value {
            Root::Object(members) => members.get(name),
            Root::Value(value) => value.get(name),
            Root::Own(value) => value.get(name),
        }
    }

    fn evaluate(&self, expr: &Expr) -> Result<Option<Value>, String> {
        let read = self.0.iter().filter(|(root, ..)| expr.reads(root));
        let read = read.map(|(root, value, kept)| {
            let value = kept.get_or_init(|| match value {
                Root::Object(members) => {
                    let there = members.iter().filter(|(_, value)| !value.is_null());
                    Value::from_pairs(there.map(|(name, value)| (name.clone(), from_json(value))))
                }
                Root::Value(value) => from_json(value),
                Root::Own(value) => from_json(value),
            });
            ((*root).to_owned(), value.clone())
        });
        expr.eval(&ENVIRONMENT, &context(read))
    }

    /// Computes the value of an expression; `None` if it has none. The error says what does not
    /// fit, without any value.
    pub(in crate::providers) fn eval(&self, expr: &Expr) -> Result<Option<Json>, String> {
        let value = self
            .evaluate(expr)
            .map_err(|kind| format!("`{}` cannot be computed ({kind})", expr.text))?;
        match value {
            None => Ok(None),
            Some(value) => {
                let mut written = Written::default();
                for (_, root, _) in self.0.iter().filter(|(root, ..)| expr.reads(root)) {
                    match root {
                        Root::Object(members) => {
                            members.values().for_each(|value| written.add(value));
                        }
                        Root::Value(value) => written.add(value),
                        Root::Own(value) => written.add(value),
                    }
                }
                to_json(&value, &written)
                    .map(Some)
                    .ok_or_else(|| format!("`{}` has a value that is not JSON", expr.text))
            }
        }
    }

    /// Returns whether a condition holds. A condition over an absent value does not.
    pub(in crate::providers) fn holds(&self, expr: &Expr) -> Result<bool, String> {
        let value = self
            .evaluate(expr)
            .map_err(|kind| format!("`{}` cannot be computed ({kind})", expr.text))?;
        Ok(value.is_some_and(|value| value.is_true()))
    }
}
