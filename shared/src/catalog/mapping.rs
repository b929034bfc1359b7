//! The meaning of a response: which of its values are fields, and when it says that nothing is
//! known.

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::error::ConfigError;
use super::expression::Expr;
use super::reader::{Entry, FIELD_RULE, Table, is_field};

/// The roots that expressions about a response may read.
pub(super) const RESPONSE_ROOTS: [&str; 3] = ["response", "status", "input"];

/// A value of a response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Pick {
    /// A JSON Pointer of RFC 6901.
    Pointer(String),
    /// An expression over `response`, `status` and `input`.
    Expr(Expr),
}

impl Pick {
    /// `"/data/name"` or `{ expr = "response.data.first ~ ' ' ~ response.data.last" }`.
    pub fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        if !matches!(entry.value, DeValue::Table(_)) {
            return Ok(Self::Pointer(entry.pointer()?));
        }
        let inner = entry.table("{ expr = \"response.data.name\" }")?;
        inner.only(&["expr"])?;
        let expr = inner.need("expr", "an expression, such as response.data.name")?;
        Ok(Self::Expr(expr.expression(&RESPONSE_ROOTS)?))
    }

    /// The input fields that it reads.
    pub fn inputs(&self) -> Vec<&str> {
        match self {
            Self::Pointer(_) => Vec::new(),
            Self::Expr(expr) => expr.of("input").collect(),
        }
    }
}

/// The mapping of a response to an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mapping {
    /// (output field, its value). Never empty.
    pub fields: Vec<(String, Pick)>,
    /// Pointers at which an absent, null or empty value means "nothing known".
    pub missing: Vec<String>,
    /// A condition that means "nothing known".
    pub nothing: Option<Expr>,
    /// The answer's confidence: a number from 0 to 1.
    pub confidence: Option<Pick>,
}

impl Mapping {
    /// Its keys in the file, besides `confidence`.
    pub const KEYS: [&str; 2] = ["fields", "not_found"];

    /// Reads `fields`, `not_found`, a `confidence` other than a number, and the statuses that mean
    /// "nothing known".
    pub fn read(table: &Table<'_>) -> Result<(Self, Vec<u16>), ConfigError> {
        let mut fields = Vec::new();
        let fields_entry = table.need(
            "fields",
            "say where in the response each field is, as a JSON Pointer",
        )?;
        for (name, value) in fields_entry.entries()? {
            if !is_field(name) {
                return Err(value.error(FIELD_RULE));
            }
            fields.push((name.to_owned(), Pick::read(&value)?));
        }
        if fields.is_empty() {
            return Err(fields_entry
                .error("fields is empty; write fields = { company_name = \"/data/name\" }"));
        }
        let (mut status, mut missing, mut nothing) = (vec![404], Vec::new(), None);
        if let Some(entry) = table.get("not_found") {
            let inner = entry.table(
                "{ status = [404], missing = [\"/data\"], when = \"response.count == 0\" }",
            )?;
            inner.only(&["status", "missing", "when"])?;
            if let Some(entry) = inner.get("status") {
                status = entry.statuses()?;
            }
            if let Some(entry) = inner.get("missing") {
                missing = entry
                    .array()?
                    .iter()
                    .map(Entry::pointer)
                    .collect::<Result<_, _>>()?;
            }
            nothing = inner
                .get("when")
                .map(|entry| entry.expression(&RESPONSE_ROOTS))
                .transpose()?;
        }
        let computed = table.get("confidence").filter(|entry| !entry.is_number());
        let confidence = match computed {
            // Fails, and reports its fault.
            Some(entry) if entry.is_quoted_number() => {
                return Err(entry
                    .fraction()
                    .err()
                    .unwrap_or_else(|| entry.error("must be a number")));
            }
            entry => entry.map(|entry| Pick::read(&entry)).transpose()?,
        };
        Ok((
            Self {
                fields,
                missing,
                nothing,
                confidence,
            },
            status,
        ))
    }

    /// The input fields that it reads.
    pub fn inputs(&self) -> Vec<String> {
        let picks = self
            .fields
            .iter()
            .map(|(_, pick)| pick)
            .chain(&self.confidence)
            .flat_map(Pick::inputs);
        picks
            .chain(self.nothing.iter().flat_map(|expr| expr.of("input")))
            .map(str::to_owned)
            .collect()
    }
}
