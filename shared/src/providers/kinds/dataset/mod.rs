//! Tables: CSV or NDJSON files in memory, looked up by key columns or searched for words.
//!
//! A key finds one row, a search a list of them (in the order of `search.rs`). Of rows with the
//! same key the first wins; rows without a usable key, or without a word, are left out.
//!
//! A table of the bundle is read once. One in S3 is checked every
//! [`REFRESH_AFTER`](crate::providers::refresh::table::REFRESH_AFTER), and read again if it has
//! changed, without a deployment. If the new one cannot be read, or is wrong, the one before stays
//! in use.

pub mod config;
mod keys;
mod rows;
mod search;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::{Map, Value};

use self::config::{DatasetConfig, Lookup};
use self::keys::Keys;
use self::rows::{check_header, without_names};
use self::search::Words;
use crate::catalog::ConfigError;
use crate::domain::record::FailureCode;
use crate::ports::{AssetError, ObjectName, within};
use crate::providers::refresh::table::{CachedAsset, Unread};
use crate::providers::{Answer, BuildContext, BuildKind, Ports, Provider, Question};

/// The most time for reading an object.
const READ_LIMIT: Duration = Duration::from_secs(25);

impl BuildKind for DatasetConfig {
    fn build(&self, context: &BuildContext<'_>) -> Result<Arc<dyn Provider>, ConfigError> {
        Ok(Arc::new(Dataset::open(
            &context.provider.name,
            self,
            context.dir,
        )?))
    }
}

/// A table.
///
/// Of a file only the header is read when the table is built: the rows (2 ms for 2,300 of them, as
/// much as all the rest of a start, and 0.2 ms for their text alone) are read when the first record
/// asks. Of an object nothing is read.
pub struct Dataset {
    config: DatasetConfig,
    source: Source,
}

enum Source {
    /// The text is taken when the index is built.
    Held {
        text: Mutex<Text>,
        index: OnceLock<Result<Index, String>>,
    },
    Object {
        name: ObjectName,
        revision: CachedAsset<Revision>,
    },
}

enum Text {
    Whole(Vec<u8>),
    File(PathBuf),
}

impl Text {
    fn take(&mut self) -> Result<Vec<u8>, String> {
        match std::mem::replace(self, Self::Whole(Vec::new())) {
            Self::Whole(text) => Ok(text),
            Self::File(path) => std::fs::read(path).map_err(|e| format!("cannot be read: {e}")),
        }
    }
}

/// A table as it was in S3.
struct Revision {
    tag: String,
    index: Index,
}

impl Revision {
    /// Reads the table as it is now; `None` if it has not changed.
    async fn read(
        config: &DatasetConfig,
        name: &ObjectName,
        before: Option<Arc<Self>>,
        ports: &Ports,
    ) -> Result<Option<Self>, Unread> {
        let tag = before
            .as_ref()
            .map(|before| before.tag.as_str())
            .filter(|tag| !tag.is_empty());
        let read = ports.assets.object(name, tag, config.max_mib * 1024 * 1024);
        let read = within(ports.clock.as_ref(), READ_LIMIT, read).await;
        let read =
            read.unwrap_or_else(|| Err(AssetError::Unavailable("no answer in time".to_owned())));
        let Some(object) = read.map_err(|error| Unread::of(&name.to_string(), &error))? else {
            return Ok(None);
        };
        let wrong = |why: String| Unread::lasting(why.clone()).logged_as(without_names(&why));
        check_header(config, &object.bytes[..]).map_err(|e| wrong(e.to_string()))?;
        let index = Index::checked(config, &object.bytes).map_err(wrong)?;
        Ok(Some(Self {
            tag: object.tag,
            index,
        }))
    }
}

enum Index {
    Keys(Keys),
    Words(Words),
}

impl Index {
    fn read(config: &DatasetConfig, bytes: &[u8]) -> Result<Self, String> {
        match &config.lookup {
            Lookup::Key(key) => {
                let mut keys = Keys::default();
                rows::read(config, bytes, &mut |parts, values| {
                    keys.add(key, parts, values);
                    Ok(())
                })?;
                Ok(Self::Keys(keys))
            }
            Lookup::Search(_) => {
                let mut words = Words::new();
                rows::read(config, bytes, &mut |texts, values| words.add(texts, values))?;
                Ok(Self::Words(words))
            }
        }
    }

    /// Parses a table that has a row that can be found. The error names the table.
    fn checked(config: &DatasetConfig, bytes: &[u8]) -> Result<Self, String> {
        let index = Self::read(config, bytes).map_err(|e| format!("{}: {e}", config.file))?;
        match (&index, index.counts()) {
            (Self::Keys(_), (0, _)) => Err(format!(
                "{}: the table has no row with a usable key",
                config.file
            )),
            (Self::Words(_), (0, _)) => {
                Err(format!("{}: the table has no row with a word", config.file))
            }
            _ => Ok(index),
        }
    }

    /// Returns the number of rows, and of those left out.
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
        f.debug_struct("Dataset")
            .field("file", &self.config.file)
            .finish_non_exhaustive()
    }
}

impl Dataset {
    /// Parses the bytes of the file that `config` names. An error if a column is missing.
    pub fn parse(config: &DatasetConfig, bytes: impl Into<Vec<u8>>) -> Result<Self, ConfigError> {
        let bytes = bytes.into();
        check_header(config, &bytes[..])?;
        Ok(Self::held(config, Text::Whole(bytes)))
    }

    /// Opens the table of provider `name`, in a file below `dir` or in S3. An error if a file
    /// cannot be opened or a column is missing in it; an object is not read yet.
    pub fn open(name: &str, config: &DatasetConfig, dir: &Path) -> Result<Self, ConfigError> {
        if let Some((bucket, key)) = config.object() {
            let name = ObjectName {
                bucket: bucket.to_owned(),
                key: key.to_owned(),
            };
            return Ok(Self {
                config: config.clone(),
                source: Source::Object {
                    name,
                    revision: CachedAsset::default(),
                },
            });
        }
        let path = dir.join(&config.file);
        let unread = |e| {
            config.file_at.error(format!(
                "providers.{name}: {} cannot be read: {e}",
                config.file
            ))
        };
        check_header(config, File::open(&path).map_err(unread)?)?;
        Ok(Self::held(config, Text::File(path)))
    }

    fn held(config: &DatasetConfig, text: Text) -> Self {
        Self {
            config: config.clone(),
            source: Source::Held {
                text: Mutex::new(text),
                index: OnceLock::new(),
            },
        }
    }

    /// Reads the rows, if that is not done yet. Returns their number, and the number of those left
    /// out (no usable key, or one that an earlier row has; no word to search for).
    pub async fn counts(&self, ports: &Ports) -> Result<(usize, usize), String> {
        self.with_index(READ_LIMIT, ports, Index::counts)
            .await
            .map_err(Unread::why)
    }

    /// Does something with the rows.
    async fn with_index<T>(
        &self,
        wait: Duration,
        ports: &Ports,
        work: impl FnOnce(&Index) -> T,
    ) -> Result<T, Unread> {
        match &self.source {
            Source::Held { text, index } => {
                let index = index.get_or_init(|| {
                    let text = text.lock().unwrap_or_else(PoisonError::into_inner).take();
                    Index::checked(
                        &self.config,
                        &text.map_err(|e| format!("{}: {e}", self.config.file))?,
                    )
                });
                index.as_ref().map(work).map_err(Unread::lasting)
            }
            Source::Object { name, revision } => {
                let read = |before: Option<Arc<Revision>>| {
                    let (config, name, ports) = (self.config.clone(), name.clone(), ports.clone());
                    async move { Revision::read(&config, &name, before, &ports).await }.boxed()
                };
                Ok(work(&revision.get(wait, ports, read).await?.index))
            }
        }
    }

    /// Returns a row's fields without the empty ones.
    fn fields(&self, row: &[Value]) -> Map<String, Value> {
        let fields = self
            .config
            .fields
            .iter()
            .zip(row)
            .filter(|(_, value)| !value.is_null());
        fields
            .map(|((name, ..), value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Returns the row that a key finds, or the rows that a search finds.
    fn find(&self, asked: &Asked, index: &Index) -> Map<String, Value> {
        match (&self.config.lookup, asked, index) {
            (Lookup::Key(key), Asked::Key(parts), Index::Keys(keys)) => keys
                .find(key, parts)
                .map(|row| self.fields(row))
                .unwrap_or_default(),
            (Lookup::Search(search), Asked::Words(asked), Index::Words(words)) => {
                let rows = words
                    .find(asked)
                    .map(|row| self.fields(row))
                    .filter(|fields| !fields.is_empty());
                let rows: Vec<Value> = rows.take(search.limit).map(Value::Object).collect();
                let found = (!rows.is_empty()).then(|| (search.output.clone(), Value::Array(rows)));
                found.into_iter().collect()
            }
            _ => Map::new(),
        }
    }
}

/// The target of an input.
enum Asked {
    Key(Vec<String>),
    Words(Vec<String>),
}

#[async_trait]
impl Provider for Dataset {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let asked = match &self.config.lookup {
            Lookup::Key(key) => keys::asked(key, question.input).map(Asked::Key),
            Lookup::Search(search) => search::asked(search, question.input).map(Asked::Words),
        };
        let asked = match asked {
            Ok(asked) => asked,
            Err(why) => return Answer::Invalid(why),
        };
        match self
            .with_index(question.limit / 2, ports, |index| self.find(&asked, index))
            .await
        {
            Ok(fields) if fields.is_empty() => Answer::NotFound,
            Ok(fields) => Answer::Found {
                fields,
                confidence: None,
            },
            // The fault of a table of the bundle names its line.
            Err(unread) if matches!(self.source, Source::Held { .. }) => {
                Answer::failed(FailureCode::ProviderError, without_names(&unread.why()))
            }
            Err(unread) => unread.answer(question, ports),
        }
    }

    async fn inspect(&self, ports: &Ports) -> Result<Vec<String>, String> {
        let (rows, skipped) = self.counts(ports).await?;
        let why = match &self.config.lookup {
            Lookup::Key(_) => "no usable key, or the key of an earlier row",
            Lookup::Search(_) => "no word to search for",
        };
        let left_out = (skipped > 0).then(|| format!("{} left out ({why})", counted(skipped)));
        Ok([format!("{} has {}", self.config.file, counted(rows))]
            .into_iter()
            .chain(left_out)
            .collect())
    }
}

fn counted(rows: usize) -> String {
    if rows == 1 {
        "1 row".to_owned()
    } else {
        format!("{rows} rows")
    }
}
