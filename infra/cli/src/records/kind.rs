//! The inputs of a record type.

use serde_json::{Map, Value};
use shared::domain::record::present;

/// The inputs of a record type, from `GET /v1/account`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputKind {
    pub name: String,
    /// A record has every field of at least one of these sets.
    pub inputs: Vec<Vec<String>>,
    /// Optional fields.
    pub optional: Vec<String>,
}

impl InputKind {
    /// Finds a type in the answer of `GET /v1/account`; the error lists those there are.
    pub fn find(account: &Value, name: &str) -> Result<Self, Vec<String>> {
        let kinds = account["types"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let texts = |value: &Value| -> Vec<String> {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect()
        };
        match kinds.iter().find(|kind| kind["type"] == name) {
            Some(kind) => Ok(Self {
                name: name.to_owned(),
                inputs: kind["inputs"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(texts)
                    .collect(),
                optional: texts(&kind["optional_inputs"]),
            }),
            None => Err(kinds
                .iter()
                .filter_map(|kind| kind["type"].as_str().map(str::to_owned))
                .collect()),
        }
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.inputs
            .iter()
            .flatten()
            .chain(&self.optional)
            .any(|f| f == field)
    }

    /// `domain, or company_name and country`.
    pub(super) fn needs(&self) -> String {
        self.inputs
            .iter()
            .map(|set| set.join(" and "))
            .collect::<Vec<_>>()
            .join(", or ")
    }

    /// Describes what an input lacks, if anything; inputs that lack the same get the same words.
    pub(super) fn lack(&self, input: &Map<String, Value>) -> Option<String> {
        let missing = |set: &[String]| -> Vec<String> {
            set.iter()
                .filter(|field| present(input, field).is_none())
                .cloned()
                .collect()
        };
        if self.inputs.iter().any(|set| missing(set).is_empty()) {
            return None;
        }
        Some(match &self.inputs[..] {
            [only] => match &missing(only)[..] {
                [field] => format!("{field} is missing"),
                fields => format!("{} are missing", fields.join(" and ")),
            },
            _ => format!("lacks input; type {} needs {}", self.name, self.needs()),
        })
    }

    /// Returns whether `has` knows every field of one of the sets.
    pub(super) fn served(&self, has: impl Fn(&str) -> bool) -> bool {
        self.inputs
            .iter()
            .any(|set| set.iter().all(|field| has(field)))
    }
}
