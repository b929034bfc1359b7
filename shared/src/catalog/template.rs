//! Texts with values in them.

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::expression::Expr;
use super::reader::{Entry, is_field};

/// Text with places for values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Template(pub Vec<Part>);

/// A part of a [`Template`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// The value of an input field.
    Input(String),
    /// The value of a secret.
    Secret(String),
    /// The value of an expression.
    Expr(Expr),
}

impl Part {
    /// The input fields that it cannot do without.
    fn needs(&self) -> Vec<&str> {
        match self {
            Self::Input(name) => vec![name],
            Self::Expr(expr) if !expr.total => expr.of("input").collect(),
            _ => Vec::new(),
        }
    }
}

impl Template {
    /// Returns every input field that is named, needed or not.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|part| match part {
            Part::Input(name) => vec![name.as_str()],
            Part::Expr(expr) => expr.of("input").collect(),
            _ => Vec::new(),
        })
    }

    /// Returns the input fields without which it has no value.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(Part::needs)
    }

    /// Returns the names of the secrets that it reads.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|part| match part {
            Part::Secret(name) => vec![name.as_str()],
            Part::Expr(expr) => expr.of("secret").collect(),
            _ => Vec::new(),
        })
    }

    /// Returns whether it reads anything of a root besides input and secrets.
    pub fn reads(&self, root: &str) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, Part::Expr(expr) if expr.reads(root)))
    }

    /// Reads `text`, whose values are of these roots; the error says what is wrong with it.
    pub fn parse(text: &str, roots: &[&str]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            if start > 0 {
                parts.push(Part::Text(literal(&rest[..start])?));
            }
            rest = &rest[start + 2..];
            let mut fault = None;
            let mut ends = rest.match_indices("}}").map(|(end, _)| end);
            // A `}}` may stand in a text or end a map within the expression: the first one that
            // leaves a valid expression is the end.
            let (part, end) = loop {
                let Some(end) = ends.next() else {
                    return Err(fault.unwrap_or_else(|| "a template's `{{` has no `}}`".to_owned()));
                };
                match Self::value(&rest[..end], roots) {
                    Ok(part) => break (part, end),
                    Err(why) => {
                        fault.get_or_insert(why);
                    }
                }
            };
            parts.push(part);
            rest = &rest[end + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(literal(rest)?));
        }
        Ok(Self(parts))
    }

    fn value(inner: &str, roots: &[&str]) -> Result<Part, String> {
        let inner = inner.trim();
        Ok(match inner.split_once('.') {
            Some(("input", name)) if is_field(name) && roots.contains(&"input") => {
                Part::Input(name.to_owned())
            }
            Some(("secret", name)) if is_field(name) && roots.contains(&"secret") => {
                Part::Secret(name.to_owned())
            }
            _ => Part::Expr(Expr::parse(inner, roots)?),
        })
    }
}

fn literal(text: &str) -> Result<String, String> {
    if text.contains("}}") || text.contains("{%") || text.contains("{#") {
        return Err(
            "only {{ expressions }} are known in templates, such as {{ input.FIELD }}".to_owned(),
        );
    }
    Ok(text.to_owned())
}

impl Entry<'_> {
    /// Reads a template that may read these roots.
    pub fn template(&self, roots: &[&str]) -> Result<Template, ConfigError> {
        Template::parse(self.str()?, roots).map_err(|why| self.error(why))
    }
}
