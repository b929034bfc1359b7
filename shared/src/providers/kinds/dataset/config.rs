//! `kind = "dataset"`: a table in a file beside `providers.toml`, or in Amazon S3.

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use crate::catalog::{
    ConfigError, Entry, FIELD_RULE, KindConfig, Place, Settings, Table, is_field,
};

/// A table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatasetConfig {
    /// The file, relative to the directory of `providers.toml`, without `..`; or `s3://BUCKET/KEY`.
    pub file: String,
    /// The most MiB of a table in S3, 1 to 64; 16 if the file does not say.
    pub max_mib: usize,
    /// The format of the file.
    pub format: Format,
    /// The place of `file`.
    pub file_at: Place,
    /// `key` or `search`: the way in which rows are found.
    pub lookup: Lookup,
    /// (output field, column, place), in the order to show them. Never empty. With a search, the
    /// fields of each row found.
    pub fields: Vec<(String, String, Place)>,
}

/// The way in which rows are found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Lookup {
    /// By key: the one row whose key columns all match. Never empty; at most one is a prefix or a
    /// network.
    Key(Vec<KeyColumn>),
    /// By words: the rows in which every word of the input occurs.
    Search(Search),
}

/// The format of a table, by the end of its file's name.
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
    /// The input field.
    pub input: String,
    /// The column that it is looked up in.
    pub column: String,
    /// `as`: the form in which both are compared.
    pub normal: Normal,
    /// Its place.
    pub at: Place,
}

/// `search = { columns = […], input = "keyword", limit = 20, output = "leads" }`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Search {
    /// (column, place), the weightiest first. Never empty, at most 8.
    pub columns: Vec<(String, Place)>,
    /// The input field with the words; `keyword` if the file does not say.
    pub input: String,
    /// The output field: a list of objects, the best first; `leads` if the file does not say.
    pub output: String,
    /// The most of them, 1 to 200; 20 if the file does not say.
    pub limit: usize,
}

/// The form in which key values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Normal {
    /// As they are, without white space around them.
    Exact,
    /// Host names in their ASCII form; a lookup tries the host, then its parents down to the
    /// registrable domain.
    Domain,
    /// E-mail addresses, trimmed and in lower case.
    Email,
    /// Names of organisations: lower case, letters and digits, without a trailing legal form.
    Name,
    /// Prefixes of the input, without white space around them; the longest wins.
    Prefix,
    /// Networks (`192.0.2.0/24`, `2001:db8::/32`, a lone address) for an input that is an address;
    /// the longest wins.
    Network,
}

impl Normal {
    fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        Ok(match entry.str()? {
            "exact" => Self::Exact,
            "domain" => Self::Domain,
            "email" => Self::Email,
            "name" => Self::Name,
            "prefix" => Self::Prefix,
            "network" => Self::Network,
            other => {
                return Err(entry.error(format!(
                    "`{other}` is not known here; as is exact, domain, email, name, prefix or \
                     network"
                )));
            }
        })
    }

    /// Returns whether a lookup wants the longest of several keys, which the table's rows decide.
    pub fn is_longest(self) -> bool {
        matches!(self, Self::Prefix | Self::Network)
    }
}

impl KindConfig for DatasetConfig {
    const NAME: &'static str = "dataset";
    const KEYS: &'static [&'static [&'static str]] =
        &[&["file", "key", "search", "fields", "max_mib"]];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let advice = "name the table, such as file = \"data/brands.csv\" or \
                      file = \"s3://bucket/brands.csv\"";
        let file_entry = table.need("file", advice)?;
        let file = table_file(&file_entry)?;
        let max_mib = table.number("max_mib", 1, 64)?;
        if let (Some(entry), false) = (table.get("max_mib"), file.starts_with(S3)) {
            return Err(entry.error(
                "is for tables in S3; one of the bundle has the size that it was deployed with",
            ));
        }
        let format = match file.rsplit_once('.') {
            Some((_, "csv")) => Format::Csv,
            _ => Format::Ndjson,
        };
        let lookup = match (table.get("key"), table.get("search")) {
            (None, Some(entry)) => Lookup::Search(Search::read(&entry)?),
            (Some(_), Some(entry)) => {
                return Err(entry.error(
                    "a table has a key or a search; declare two providers on the same file for \
                     both",
                ));
            }
            (_, None) => Lookup::Key(KeyColumn::read(table)?),
        };
        let fields_entry = table.need("fields", "say which column gives which output field")?;
        let mut fields = Vec::new();
        for (name, entry) in fields_entry.entries()? {
            if !is_field(name) {
                return Err(entry.error(FIELD_RULE));
            }
            fields.push((name.to_owned(), entry.str()?.to_owned(), entry.place()));
        }
        if fields.is_empty() {
            return Err(
                fields_entry.error("fields is empty; write fields = { OUTPUT = \"COLUMN\" }")
            );
        }
        let max_mib = max_mib
            .and_then(|mib| usize::try_from(mib).ok())
            .unwrap_or(16);
        Ok(Self {
            file,
            max_mib,
            format,
            file_at: file_entry.place(),
            lookup,
            fields,
        })
    }
}

impl DatasetConfig {
    /// Returns the bucket and the key of a table in S3.
    pub fn object(&self) -> Option<(&str, &str)> {
        self.file.strip_prefix(S3)?.split_once('/')
    }

    /// Returns the columns that the table must have, each with the place that names it.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &Place)> {
        let (keys, search) = match &self.lookup {
            Lookup::Key(key) => (key.as_slice(), &[][..]),
            Lookup::Search(search) => (&[][..], search.columns.as_slice()),
        };
        let keys = keys.iter().map(|k| (k.column.as_str(), &k.at));
        let search = search.iter().map(|(column, at)| (column.as_str(), at));
        keys.chain(search).chain(
            self.fields
                .iter()
                .map(|(_, column, at)| (column.as_str(), at)),
        )
    }
}

/// The prefix of the name of a table in S3.
const S3: &str = "s3://";

fn table_file(entry: &Entry<'_>) -> Result<String, ConfigError> {
    const ENDS: [&str; 3] = [".csv", ".ndjson", ".jsonl"];
    let Some(place) = entry.str()?.strip_prefix(S3) else {
        return entry.file(&ENDS);
    };
    let rule = "a table in S3 is s3://BUCKET/KEY, and its key ends in .csv, .ndjson or .jsonl";
    let (bucket, key) = place.split_once('/').ok_or_else(|| entry.error(rule))?;
    // Source: Amazon S3 user guide, "Bucket naming rules" and "Naming Amazon S3 objects".
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket.starts_with(ends)
        && bucket.ends_with(ends)
        && bucket
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c));
    let is_key = key.len() <= 1_024
        && !key.chars().any(char::is_control)
        && ENDS.iter().any(|end| key.ends_with(end));
    if is_bucket && is_key {
        Ok(format!("{S3}{place}"))
    } else {
        Err(entry.error(rule))
    }
}

impl KeyColumn {
    fn read(table: &Table<'_>) -> Result<Vec<Self>, ConfigError> {
        let key_entry = table.need(
            "key",
            "say which input field is looked up in which column, or give a search",
        )?;
        let mut key: Vec<Self> = Vec::new();
        for (input, entry) in key_entry.entries()? {
            let (column, normal) = match entry.value {
                DeValue::String(column) => (column.to_string(), Normal::Exact),
                DeValue::Table(_) => {
                    let inner = entry.table("{ column = \"…\" }")?;
                    inner.only(&["column", "as"])?;
                    let column = inner
                        .need("column", "name the column of the table")?
                        .str()?
                        .to_owned();
                    (
                        column,
                        inner
                            .get("as")
                            .map_or(Ok(Normal::Exact), |entry| Normal::read(&entry))?,
                    )
                }
                _ => {
                    return Err(entry.error(
                        "a key is a column's name, or { column = \"…\", as = \"domain\" }",
                    ));
                }
            };
            if !is_field(input) {
                return Err(entry.error(FIELD_RULE));
            }
            if normal.is_longest() && key.iter().any(|k| k.normal.is_longest()) {
                return Err(entry.error("one key has at most one prefix or network"));
            }
            key.push(Self {
                input: input.to_owned(),
                column,
                normal,
                at: entry.place(),
            });
        }
        if key.is_empty() {
            return Err(key_entry.error("key is empty; write key = { INPUT = \"COLUMN\" }"));
        }
        Ok(key)
    }
}

impl Search {
    fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        let example = "{ columns = [\"keywords\"] }";
        let inner = entry
            .table(example)
            .map_err(|_| entry.error(format!("search is a table, {example}")))?;
        inner.only(&["columns", "input", "output", "limit"])?;
        let columns_entry = inner.need(
            "columns",
            "name the columns to search, the weightiest first",
        )?;
        let mut columns: Vec<(String, Place)> = Vec::new();
        for item in columns_entry.array()? {
            let column = item.str()?;
            if columns.iter().any(|(name, _)| name == column) {
                return Err(item.error(format!("`{column}` is there twice; remove one")));
            }
            columns.push((column.to_owned(), item.place()));
        }
        if !(1..=8).contains(&columns.len()) {
            return Err(columns_entry.error("a search has 1 to 8 columns"));
        }
        let field = |name: &str, usual: &str| {
            inner
                .get(name)
                .map_or_else(|| Ok(usual.to_owned()), |entry| entry.field())
        };
        let limit = usize::try_from(inner.number("limit", 1, 200)?.unwrap_or(20)).unwrap_or(20);
        Ok(Self {
            columns,
            input: field("input", "keyword")?,
            output: field("output", "leads")?,
            limit,
        })
    }
}

impl Settings for DatasetConfig {
    fn reads_objects(&self) -> bool {
        self.object().is_some()
    }

    fn needs(&self) -> Vec<String> {
        match &self.lookup {
            Lookup::Key(key) => key.iter().map(|k| k.input.clone()).collect(),
            Lookup::Search(search) => vec![search.input.clone()],
        }
    }

    fn outputs(&self) -> Option<Vec<String>> {
        Some(match &self.lookup {
            Lookup::Key(_) => self.fields.iter().map(|(name, ..)| name.clone()).collect(),
            Lookup::Search(search) => vec![search.output.clone()],
        })
    }

    fn places(&mut self) -> Vec<&mut Place> {
        let columns: Vec<&mut Place> = match &mut self.lookup {
            Lookup::Key(key) => key.iter_mut().map(|k| &mut k.at).collect(),
            Lookup::Search(search) => search.columns.iter_mut().map(|(_, at)| at).collect(),
        };
        let fields = self.fields.iter_mut().map(|(_, _, at)| at);
        columns
            .into_iter()
            .chain(fields)
            .chain([&mut self.file_at])
            .collect()
    }
}
