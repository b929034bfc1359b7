//! Tables: CSV or NDJSON files held in memory, looked up by key columns or searched for words.
//!
//! A key finds one row, a search a list of them (`search.rs` says in which order). Of rows with the same key the first
//! wins; rows without a usable key, or without a word, are left out.

mod keys;
mod rows;
mod search;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use serde_json::{Map, Value};

use self::keys::Keys;
use self::rows::check_header;
use self::search::Words;
use super::config::{ConfigError, DatasetConfig, Lookup};
use super::{Answer, Ports, Provider, Question};

/// A table.
///
/// Only the header is read when the table is made: the rows (2 ms for 2,300 of them, as much as all the rest of a start,
/// and 0.2 ms for their text alone) are read when the first record asks.
pub struct Dataset {
    config: DatasetConfig,
    /// Taken by the index when it is made.
    source: Mutex<Source>,
    index: OnceLock<Result<Index, String>>,
}

enum Source {
    Text(String),
    File(PathBuf),
}

impl Source {
    fn take(&mut self) -> Result<String, String> {
        match std::mem::replace(self, Self::Text(String::new())) {
            Self::Text(text) => Ok(text),
            Self::File(path) => std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}")),
        }
    }
}

enum Index {
    Keys(Keys),
    Words(Words),
}

impl Index {
    fn read(config: &DatasetConfig, text: &str) -> Result<Self, String> {
        match &config.lookup {
            Lookup::Key(key) => {
                let mut keys = Keys::default();
                rows::read(config, text, &mut |parts, values| {
                    keys.add(key, parts, values);
                    Ok(())
                })?;
                Ok(Self::Keys(keys))
            }
            Lookup::Search(_) => {
                let mut words = Words::new();
                rows::read(config, text, &mut |texts, values| words.add(texts, values))?;
                Ok(Self::Words(words))
            }
        }
    }

    /// How many rows there are, and how many were left out.
    fn counts(&self) -> (usize, usize) {
        match self {
            Self::Keys(keys) => keys.counts(),
            Self::Words(words) => words.counts(),
        }
    }
}

impl fmt::Debug for Dataset {
    /// Leaves out the rows: they may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset").field("file", &self.config.file).finish_non_exhaustive()
    }
}

impl Dataset {
    /// A table from the text of the file that `config` names. An error where a column is missing.
    pub fn parse(config: &DatasetConfig, text: String) -> Result<Self, ConfigError> {
        check_header(config, text.as_bytes())?;
        Ok(Self { config: config.clone(), source: Mutex::new(Source::Text(text)), index: OnceLock::new() })
    }

    /// The table of provider `name` from that file. An error where it cannot be opened or a column is missing.
    pub fn open(name: &str, config: &DatasetConfig, path: PathBuf) -> Result<Self, ConfigError> {
        let unread = |e| config.file_at.error(format!("providers.{name}: {} cannot be read: {e}", config.file));
        check_header(config, File::open(&path).map_err(unread)?)?;
        Ok(Self { config: config.clone(), source: Mutex::new(Source::File(path)), index: OnceLock::new() })
    }

    /// Reads the rows now: how many there are, and how many were left out (no usable key, or one that an earlier row has;
    /// no word to search for).
    pub fn check(&self) -> Result<(usize, usize), String> {
        self.index().map(Index::counts)
    }

    fn index(&self) -> Result<&Index, String> {
        let index = self.index.get_or_init(|| {
            let text = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
            let index = text.and_then(|text| Index::read(&self.config, &text));
            let index = index.map_err(|e| format!("{}: {e}", self.config.file))?;
            match (&index, index.counts()) {
                (Index::Keys(_), (0, _)) => {
                    Err(format!("{}: the table has no row with a usable key", self.config.file))
                }
                (Index::Words(_), (0, _)) => Err(format!("{}: the table has no row with a word", self.config.file)),
                _ => Ok(index),
            }
        });
        index.as_ref().map_err(Clone::clone)
    }

    /// A row's fields; the empty ones left out.
    fn fields(&self, row: &[Value]) -> Map<String, Value> {
        let fields = self.config.fields.iter().zip(row).filter(|(_, value)| !value.is_null());
        fields.map(|((name, ..), value)| (name.clone(), value.clone())).collect()
    }

    /// What is known about an input. `Err` holds the answer where that is no table's business.
    fn answer(&self, input: &Map<String, Value>) -> Result<Map<String, Value>, Answer> {
        let failed = |why| Answer::failed("provider_error", why);
        match &self.config.lookup {
            Lookup::Key(key) => {
                let asked = keys::asked(key, input).map_err(Answer::Invalid)?;
                let Index::Keys(keys) = self.index().map_err(failed)? else { return Err(Answer::NotFound) };
                Ok(keys.find(key, &asked).map(|row| self.fields(row)).unwrap_or_default())
            }
            Lookup::Search(search) => {
                let asked = search::asked(search, input).map_err(Answer::Invalid)?;
                let Index::Words(words) = self.index().map_err(failed)? else { return Err(Answer::NotFound) };
                let rows = words.find(&asked).map(|row| self.fields(row)).filter(|fields| !fields.is_empty());
                let rows: Vec<Value> = rows.take(search.limit).map(Value::Object).collect();
                let found = (!rows.is_empty()).then(|| (search.output.clone(), Value::Array(rows)));
                Ok(found.into_iter().collect())
            }
        }
    }
}

#[async_trait]
impl Provider for Dataset {
    async fn ask(&self, question: &Question<'_>, _ports: &Ports) -> Answer {
        match self.answer(question.input) {
            Ok(fields) if fields.is_empty() => Answer::NotFound,
            Ok(fields) => Answer::Found { fields, confidence: None },
            Err(answer) => answer,
        }
    }

    fn inspect(&self) -> Result<Vec<String>, String> {
        let (rows, skipped) = self.check()?;
        let left_out = (skipped > 0).then(|| format!("{skipped} rows left out"));
        Ok([format!("{} has {rows} rows", self.config.file)].into_iter().chain(left_out).collect())
    }
}

/// What separates words where texts are compared or searched: all but letters, digits, `+` and `#` (as in `C++`).
fn word(c: char) -> char {
    if c.is_alphanumeric() || c == '+' || c == '#' { c } else { ' ' }
}
