//! Kinds of provider as `providers.toml` declares them. The caller hands in the known ones.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::Error;
use serde_json::value::RawValue;

use super::code;
use super::error::ConfigError;
use super::reader::Table;
use super::settings::{COMMON, KindConfig, Settings};

/// Reads the declarations of one kind of provider, from TOML and from a compiled file.
#[derive(Debug, Clone, Copy)]
pub struct KindReader {
    name: &'static str,
    keys: &'static [&'static [&'static str]],
    /// Tells the sources apart that it was compiled from.
    code: u64,
    read: fn(&Table<'_>) -> Result<Arc<dyn Settings>, ConfigError>,
    restore: fn(&RawValue) -> Result<Arc<dyn Settings>, Error>,
}

impl KindReader {
    /// Creates the reader of the kind whose settings are `C`. `source` is the file that defines
    /// them: a compiled file of another source is not read.
    #[must_use]
    pub const fn of<C: KindConfig>(source: &[u8]) -> Self {
        Self {
            name: C::NAME,
            keys: C::KEYS,
            code: code::added(code::SEED, source),
            read: |table| Ok(Arc::new(C::read(table)?)),
            restore: |json| Ok(Arc::new(serde_json::from_str::<C>(json.get())?)),
        }
    }

    /// Returns the kind's name, the value of `kind` in the file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the keys that only this kind has.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().copied().flatten().copied()
    }

    pub(super) fn code(&self) -> u64 {
        code::added(self.code, self.name.as_bytes())
    }
}

/// The kind of a declared provider, and its settings.
#[derive(Clone)]
pub struct Kind {
    name: &'static str,
    settings: Arc<dyn Settings>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Kind {
    /// Reads `kind` and the keys that belong to it.
    pub(super) fn read(kinds: &[KindReader], table: &Table<'_>) -> Result<Self, ConfigError> {
        let names = || {
            let mut names: Vec<&str> = kinds.iter().map(KindReader::name).collect();
            names.sort_unstable();
            names.join(", ")
        };
        let entry = table.need("kind", &format!("say which: {}", names()))?;
        let asked = entry.str()?;
        let Some(kind) = kinds.iter().find(|kind| kind.name == asked) else {
            return Err(entry.error(format!(
                "unknown kind of provider `{asked}`; it is one of {}",
                names()
            )));
        };
        table.only_and(&COMMON, &kind.keys.concat())?;
        let settings = (kind.read)(table)?;
        let name = kind.name;
        Ok(Self { name, settings })
    }

    /// Reads the settings of the kind `name` from a compiled file. Their places are in `file`.
    /// Returns `None` if the kind is not known.
    pub(super) fn restore(
        kinds: &[KindReader],
        name: &str,
        json: &RawValue,
        file: &str,
    ) -> Result<Option<Self>, Error> {
        let Some(kind) = kinds.iter().find(|kind| kind.name == name) else {
            return Ok(None);
        };
        let mut settings = (kind.restore)(json)?;
        for at in Arc::get_mut(&mut settings).map_or(Vec::new(), Settings::places) {
            file.clone_into(&mut at.file);
        }
        let name = kind.name;
        Ok(Some(Self { name, settings }))
    }

    /// Returns the kind's name, such as `http`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what is known of every kind's settings.
    #[must_use]
    pub fn settings(&self) -> &dyn Settings {
        self.settings.as_ref()
    }

    /// Returns the settings if they are of this kind.
    #[must_use]
    pub fn downcast_ref<C: KindConfig>(&self) -> Option<&C> {
        let settings: &dyn Any = self.settings.as_ref();
        settings.downcast_ref()
    }
}
