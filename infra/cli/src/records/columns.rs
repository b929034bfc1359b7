//! The places that each column goes to.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::kind::InputKind;

/// The command line's options for columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The column with the caller's id; `id` where nothing is said.
    pub id: Option<String>,
    /// Column → input field.
    pub input: Vec<(String, String)>,
    /// Column → metadata field.
    pub metadata: Vec<(String, String)>,
    /// Columns that stay at home.
    pub omit: Vec<String>,
}

impl Columns {
    /// Reads `COLUMN` or `COLUMN=FIELD`.
    pub fn pair(text: &str) -> Result<(String, String), String> {
        let (column, field) = text.split_once('=').unwrap_or((text, text));
        if column.is_empty() || field.is_empty() {
            return Err("is not COLUMN or COLUMN=FIELD".to_owned());
        }
        Ok((column.to_owned(), field.to_owned()))
    }

    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        let pairs = self
            .input
            .iter()
            .chain(&self.metadata)
            .map(|(column, _)| column);
        pairs.chain(&self.id).chain(&self.omit).map(String::as_str)
    }

    /// The places that each column goes to: several if the command line says so.
    pub(super) fn plan(&self, names: &[String], kind: Option<&InputKind>) -> Vec<Vec<Role>> {
        let mut taken: BTreeSet<String> =
            self.input.iter().map(|(_, field)| field.clone()).collect();
        let mut id_taken = self.id.is_some();
        let mut roles: Vec<Vec<Role>> = names
            .iter()
            .map(|name| {
                let mut roles = Vec::new();
                if self.id.as_deref() == Some(name) {
                    roles.push(Role::Id);
                }
                roles.extend(
                    self.input
                        .iter()
                        .filter(|(c, _)| c == name)
                        .map(|(_, f)| Role::Input(f.clone())),
                );
                roles.extend(
                    self.metadata
                        .iter()
                        .filter(|(c, _)| c == name)
                        .map(|(_, f)| Role::Metadata(f.clone())),
                );
                if self.omit.contains(name) {
                    roles.push(Role::Omit);
                }
                roles
            })
            .collect();
        // Exact names come before similar ones: "domain" before "Domain".
        for bend in [false, true] {
            for (name, roles) in names
                .iter()
                .zip(&mut roles)
                .filter(|(_, roles)| roles.is_empty())
            {
                let field = if bend {
                    name.trim().to_lowercase().replace([' ', '-'], "_")
                } else {
                    name.clone()
                };
                if field == "id" && !id_taken {
                    id_taken = true;
                    roles.push(Role::Id);
                } else if kind.is_some_and(|kind| kind.has(&field)) && taken.insert(field.clone()) {
                    roles.push(Role::Input(field));
                }
            }
        }
        for (name, roles) in names
            .iter()
            .zip(&mut roles)
            .filter(|(_, roles)| roles.is_empty())
        {
            roles.push(Role::Metadata(name.clone()));
        }
        roles
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    Id,
    Input(String),
    Metadata(String),
    Omit,
}

/// The fields that columns are input for.
pub(super) fn inputs(roles: &[Vec<Role>]) -> impl Iterator<Item = &str> {
    roles.iter().flatten().filter_map(|role| match role {
        Role::Input(field) => Some(field.as_str()),
        _ => None,
    })
}

pub(super) fn place<'a>(cells: impl Iterator<Item = (Value, &'a [Role])>) -> Map<String, Value> {
    let (mut record, mut input, mut metadata) = (Map::new(), Map::new(), Map::new());
    for (value, roles) in cells {
        for role in roles {
            match role {
                Role::Id => drop(record.insert("id".to_owned(), value.clone())),
                Role::Input(field) => drop(input.insert(field.clone(), value.clone())),
                Role::Metadata(field) => drop(metadata.insert(field.clone(), value.clone())),
                Role::Omit => {}
            }
        }
    }
    record.insert("input".to_owned(), input.into());
    if !metadata.is_empty() {
        record.insert("metadata".to_owned(), metadata.into());
    }
    record
}
