//! The rows of a table's file.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use super::super::config::{ConfigError, DatasetConfig, Format, Lookup};
use crate::domain::json;

/// Takes a row: the texts of its key or search columns, and the values of its fields.
type Take<'a> = dyn FnMut(&[&str], Vec<Value>) -> Result<(), String> + 'a;

/// At most so many names of columns are told.
const MAX_NAMES: usize = 20;

/// Hands over every row in the file's order. The error names the line, or a column that no row of an NDJSON table has.
pub(super) fn read(config: &DatasetConfig, text: &str, take: &mut Take<'_>) -> Result<(), String> {
    // Spreadsheets begin their files with a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let columns: Vec<&str> = match &config.lookup {
        Lookup::Key(key) => key.iter().map(|k| k.column.as_str()).collect(),
        Lookup::Search(search) => search.columns.iter().map(|(column, _)| column.as_str()).collect(),
    };
    match config.format {
        Format::Csv => read_csv(config, &columns, text, take),
        Format::Ndjson => read_ndjson(config, &columns, text, take),
    }
}

fn read_csv(config: &DatasetConfig, columns: &[&str], text: &str, take: &mut Take<'_>) -> Result<(), String> {
    let told = |e: csv::Error| e.to_string();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(told)?.clone();
    let column = |name: &str| header.iter().position(|h| h == name).unwrap_or(usize::MAX);
    let columns: Vec<usize> = columns.iter().map(|name| column(name)).collect();
    let fields: Vec<usize> = config.fields.iter().map(|(_, name, _)| column(name)).collect();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(told)? {
        let texts: Vec<&str> = columns.iter().map(|at| record.get(*at).unwrap_or_default()).collect();
        let values = fields.iter().map(|at| match record.get(*at) {
            None | Some("") => Value::Null,
            Some(text) => Value::from(text),
        });
        take(&texts, values.collect())?;
    }
    Ok(())
}

fn read_ndjson(config: &DatasetConfig, columns: &[&str], text: &str, take: &mut Take<'_>) -> Result<(), String> {
    let lists = matches!(config.lookup, Lookup::Search(_));
    let mut unseen: Vec<&str> = config.columns().map(|(column, _)| column).collect();
    let mut first: Option<Vec<String>> = None;
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let row = match json::read_upstream(line.as_bytes()) {
            Ok(Value::Object(row)) => Ok(row),
            Ok(_) => Err(0),
            Err(error) => Err(error.column()),
        };
        let row = row.map_err(|column| format!("line {} is not a JSON object, from column {column} on", at + 1))?;
        unseen.retain(|column| !row.contains_key(*column));
        first.get_or_insert_with(|| row.keys().cloned().collect());
        let texts: Vec<String> = columns.iter().map(|column| text_of(row.get(*column), lists)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let values = config.fields.iter().map(|(_, name, _)| row.get(name).cloned().unwrap_or(Value::Null));
        take(&texts, values.collect())?;
    }
    match (unseen.first(), first) {
        (Some(column), Some(first)) => Err(format!("no row has `{column}`; the first row has {}", listed(&first))),
        _ => Ok(()),
    }
}

/// What is wrong, without the names that the table has: where it has no header, they are somebody's data.
pub(super) fn without_names(why: &str) -> &str {
    let ends = ["; it has ", "; the first row has "].map(|begin| why.find(begin).unwrap_or(why.len()));
    &why[..ends.into_iter().min().unwrap_or(why.len())]
}

fn listed(names: &[String]) -> String {
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    format!("{}{more}", names.iter().take(MAX_NAMES).map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// A value to compare with. A list of texts counts only where words are searched in it.
fn text_of(value: Option<&Value>, lists: bool) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Array(items)) if lists => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

/// Reads no further than the header.
pub(super) fn check_header(config: &DatasetConfig, table: impl Read) -> Result<(), ConfigError> {
    if config.format != Format::Csv {
        return Ok(());
    }
    let wrong = |e: &dyn fmt::Display| config.file_at.error(format!("{}: {e}", config.file));
    let mut table = BufReader::new(table);
    let mut line = Vec::new();
    table.read_until(b'\n', &mut line).map_err(|e| wrong(&e))?;
    let line = std::str::from_utf8(&line).map_err(|e| wrong(&e))?.trim_start_matches('\u{feff}');
    let first = line.split(['\r', '\n']).next().unwrap_or_default();
    // A CSV reader builds its tables first, which takes longer than all the rest here; a header seldom needs one.
    let header: Vec<String> = if first.is_empty() || first.contains('"') {
        let mut reader = csv::Reader::from_reader(line.as_bytes().chain(table));
        reader.headers().map_err(|e| wrong(&e))?.iter().map(str::to_owned).collect()
    } else {
        first.split(',').map(str::to_owned).collect()
    };
    if header.iter().all(String::is_empty) {
        return Err(wrong(&"the file is empty; its first line names the columns, separated by commas"));
    }
    for (column, at) in config.columns() {
        if !header.iter().any(|h| h == column) {
            let glued = header.iter().any(|h| h.contains([';', '\t']));
            let advice = if glued { "; columns are separated by commas" } else { "" };
            let known = listed(&header);
            return Err(at.error(format!("{} has no column `{column}`; it has {known}{advice}", config.file)));
        }
    }
    Ok(())
}
