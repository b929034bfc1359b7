//! The rows of a table's file.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use super::config::{DatasetConfig, Format, Lookup};
use crate::catalog::ConfigError;
use crate::domain::json;
use crate::domain::rows::{Lines, MARK, Rows, decode};

/// Takes a row: the texts of its key or search columns, and the values of its fields.
type Take<'a> = dyn FnMut(&[&str], Vec<Value>) -> Result<(), String> + 'a;

/// The most names of columns that are shown.
const MAX_NAMES: usize = 20;

/// Hands over every row in the file's order. The error names the line, or a column that no row of
/// an NDJSON table has.
pub(super) fn read(
    config: &DatasetConfig,
    bytes: &[u8],
    take: &mut Take<'_>,
) -> Result<(), String> {
    let bytes = decode(bytes)?;
    let columns: Vec<&str> = match &config.lookup {
        Lookup::Key(key) => key.iter().map(|k| k.column.as_str()).collect(),
        Lookup::Search(search) => search
            .columns
            .iter()
            .map(|(column, _)| column.as_str())
            .collect(),
    };
    match config.format {
        Format::Csv => read_csv(config, &columns, &bytes, take),
        Format::Ndjson => read_ndjson(config, &columns, &bytes, take),
    }
}

fn read_csv(
    config: &DatasetConfig,
    columns: &[&str],
    bytes: &[u8],
    take: &mut Take<'_>,
) -> Result<(), String> {
    let wrong = |at: usize, why: String| format!("line {} {why}", Lines::new(bytes).number(at));
    let mut rows = Rows::new(bytes, None);
    let Some((at, header)) = rows.header() else {
        return Ok(());
    };
    let header = header.map_err(|why| wrong(at, why))?;
    let column = |name: &str| header.iter().position(|h| h == name).unwrap_or(usize::MAX);
    let columns: Vec<usize> = columns.iter().map(|name| column(name)).collect();
    let fields: Vec<usize> = config
        .fields
        .iter()
        .map(|(_, name, _)| column(name))
        .collect();
    while let Some((at, cells)) = rows.next_row() {
        let cells = cells.map_err(|why| wrong(at, why))?;
        let cell = |at: &usize| cells.get(*at).copied().unwrap_or_default();
        let texts: Vec<&str> = columns.iter().map(cell).collect();
        let values = fields.iter().map(cell).map(|text| match text.trim() {
            "" => Value::Null,
            _ => Value::from(text),
        });
        take(&texts, values.collect())?;
    }
    Ok(())
}

fn read_ndjson(
    config: &DatasetConfig,
    columns: &[&str],
    bytes: &[u8],
    take: &mut Take<'_>,
) -> Result<(), String> {
    let lists = matches!(config.lookup, Lookup::Search(_));
    let mut unseen: Vec<&str> = config.columns().map(|(column, _)| column).collect();
    let mut first: Option<Vec<String>> = None;
    for (at, line) in bytes.split(|b| *b == b'\n').enumerate() {
        // Concatenated files keep their byte order marks.
        let line = line.strip_prefix(MARK).unwrap_or(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let row = match json::read_upstream(line) {
            Ok(Value::Object(row)) => Ok(row),
            Ok(_) => Err(0),
            Err(error) => Err(error.column()),
        };
        let row = row.map_err(|column| {
            format!(
                "line {} is not a JSON object, from column {column} on",
                at + 1
            )
        })?;
        unseen.retain(|column| !row.contains_key(*column));
        first.get_or_insert_with(|| row.keys().cloned().collect());
        let texts: Vec<String> = columns
            .iter()
            .map(|column| text_of(row.get(*column), lists))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let values = config
            .fields
            .iter()
            .map(|(_, name, _)| row.get(name).cloned().unwrap_or(Value::Null));
        take(&texts, values.collect())?;
    }
    match (unseen.first(), first) {
        (Some(column), Some(first)) => Err(format!(
            "no row has `{column}`; the first row has {}",
            listed(&first)
        )),
        _ => Ok(()),
    }
}

/// Removes the column names from an error: without a header, they are personal data.
pub(super) fn without_names(why: &str) -> &str {
    let ends =
        ["; it has ", "; the first row has "].map(|begin| why.find(begin).unwrap_or(why.len()));
    &why[..ends.into_iter().min().unwrap_or(why.len())]
}

fn listed(names: &[String]) -> String {
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    format!(
        "{}{more}",
        names
            .iter()
            .take(MAX_NAMES)
            .map(|name| shown(name))
            .collect::<Vec<_>>()
            .join(", ")
    )
}

/// Quotes a name, with invisible characters spelled out.
fn shown(name: &str) -> String {
    let quoted = format!("{name:?}");
    let seen = quoted[1..quoted.len() - 1] == *name
        && !name.is_empty()
        && name.trim() == name
        && !name.contains("  ");
    if seen { name.to_owned() } else { quoted }
}

/// Returns a value as text, to compare with. A list of texts counts only if its words are searched.
fn text_of(value: Option<&Value>, lists: bool) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Array(items)) if lists => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

/// Checks the header, and reads no further if it is as plain as most are.
pub(super) fn check_header(config: &DatasetConfig, table: impl Read) -> Result<(), ConfigError> {
    if config.format != Format::Csv {
        return Ok(());
    }
    let wrong = |e: &dyn fmt::Display| config.file_at.error(format!("{}: {e}", config.file));
    let mut table = BufReader::new(table);
    let mut bytes = Vec::new();
    table.read_until(b'\n', &mut bytes).map_err(|e| wrong(&e))?;
    // A CSV reader builds its tables first, which takes longer than all the rest here; a header
    // seldom needs one.
    let line = std::str::from_utf8(&bytes).unwrap_or_default();
    let first = line
        .trim_start_matches('\u{feff}')
        .split(['\r', '\n'])
        .next()
        .unwrap_or_default();
    if !first.contains(['"', ';', '\t', '|']) {
        let plain: Vec<&str> = first.split(',').collect();
        if config
            .columns()
            .all(|(column, _)| plain.iter().filter(|name| **name == column).count() == 1)
        {
            return Ok(());
        }
    }
    table.read_to_end(&mut bytes).map_err(|e| wrong(&e))?;
    let bytes = decode(&bytes).map_err(|e| wrong(&e))?;
    let Some((at, header)) = Rows::new(&bytes, None).header() else {
        return Err(wrong(
            &"the file is empty; its first line names the columns, separated by commas",
        ));
    };
    let header =
        header.map_err(|why| wrong(&format!("line {} {why}", Lines::new(&bytes).number(at))))?;
    for (column, at) in config.columns() {
        let why = match header.iter().filter(|name| *name == column).count() {
            0 => format!("no column `{}`; it has {}", shown(column), listed(&header)),
            1 => continue,
            times => format!(
                "the column `{}` {times} times; rename all but one",
                shown(column)
            ),
        };
        return Err(at.error(format!("{} has {why}", config.file)));
    }
    Ok(())
}
