//! `kind = "dataset"`: a table in a file beside `providers.toml`.

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::reader::{FIELD_RULE, Table, is_field};
use super::{COMMON, ConfigError, Place, Settings};

/// A table in a file beside `providers.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatasetConfig {
    /// Relative to the directory of `providers.toml`, without `..`.
    pub file: String,
    pub format: Format,
    pub file_at: Place,
    /// All of them must match. Never empty.
    pub key: Vec<KeyColumn>,
    /// (output field, column, place), in the order to show them. Never empty.
    pub fields: Vec<(String, String, Place)>,
}

/// How a table is written, by the end of its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// `.csv`: the first line names the columns.
    Csv,
    /// `.ndjson` or `.jsonl`: a JSON object a line.
    Ndjson,
}

/// `key = { INPUT = { column = …, as = … } }`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyColumn {
    pub input: String,
    pub column: String,
    pub normal: Normal,
    pub at: Place,
}

/// How key values are made comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Normal {
    /// As they are, but for white space around them.
    Exact,
    /// Host names in their ASCII form; a lookup tries the host, then its parents down to the registrable domain.
    Domain,
    /// E-mail addresses, trimmed and in lower case.
    Email,
    /// Names of organisations: lower case, letters and digits, without a trailing legal form.
    Name,
}

impl DatasetConfig {
    pub(super) fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        table.only_and(&COMMON, &["file", "key", "fields"])?;
        let file_entry = table.need("file", "name the table, such as file = \"data/brands.csv\"")?;
        let file = file_entry.file()?;
        let format = match file.rsplit_once('.') {
            Some((_, "csv")) => Format::Csv,
            Some((_, "ndjson" | "jsonl")) => Format::Ndjson,
            _ => return Err(file_entry.error("file ends in .csv, .ndjson or .jsonl")),
        };
        let key_entry = table.need("key", "say which input field is looked up in which column")?;
        let mut key = Vec::new();
        for (input, entry) in key_entry.entries()? {
            let (column, normal) = match entry.value {
                DeValue::String(column) => (column.to_string(), Normal::Exact),
                DeValue::Table(inner) => {
                    let inner = Table::new(entry.source, &entry.path, entry.at, inner);
                    inner.only(&["column", "as"])?;
                    let column = inner.need("column", "name the column of the table")?.str()?.to_owned();
                    let normal = match inner.get("as") {
                        None => Normal::Exact,
                        Some(entry) => match entry.str()? {
                            "exact" => Normal::Exact,
                            "domain" => Normal::Domain,
                            "email" => Normal::Email,
                            "name" => Normal::Name,
                            other => {
                                return Err(entry.error(format!(
                                    "`{other}` is not known here; as is exact, domain, email or name"
                                )));
                            }
                        },
                    };
                    (column, normal)
                }
                _ => return Err(entry.error("a key is a column's name, or { column = \"…\", as = \"domain\" }")),
            };
            if !is_field(input) {
                return Err(entry.error(FIELD_RULE));
            }
            key.push(KeyColumn { input: input.to_owned(), column, normal, at: entry.place() });
        }
        if key.is_empty() {
            return Err(key_entry.error("key is empty; write key = { INPUT = \"COLUMN\" }"));
        }
        let fields_entry = table.need("fields", "say which column gives which output field")?;
        let mut fields = Vec::new();
        for (name, entry) in fields_entry.entries()? {
            if !is_field(name) {
                return Err(entry.error(FIELD_RULE));
            }
            fields.push((name.to_owned(), entry.str()?.to_owned(), entry.place()));
        }
        if fields.is_empty() {
            return Err(fields_entry.error("fields is empty; write fields = { OUTPUT = \"COLUMN\" }"));
        }
        Ok(Self { file, format, file_at: file_entry.place(), key, fields })
    }
}

impl Settings for DatasetConfig {
    fn needs(&self) -> Vec<String> {
        self.key.iter().map(|k| k.input.clone()).collect()
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(self.fields.iter().map(|(name, ..)| name.clone()).collect())
    }

    fn places(&mut self) -> Vec<&mut Place> {
        let columns = self.key.iter_mut().map(|k| &mut k.at);
        let fields = self.fields.iter_mut().map(|(_, _, at)| at);
        columns.chain(fields).chain([&mut self.file_at]).collect()
    }
}
