//! The file as tables and entries that know where they stand, so that every fault has its line and
//! column.

use std::fmt;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::error::{ConfigError, Place};
use super::expression::Expr;

/// The message for a text that cannot be the name of a field.
pub const FIELD_RULE: &str = "a field's name has 1 to 64 letters, digits and _";

pub(crate) fn is_field(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
}

/// The text a span points into.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
}

impl Source<'_> {
    pub(super) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Place {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A table of the file, and where it stands.
#[derive(Debug)]
pub struct Table<'t> {
    pub(super) source: Source<'t>,
    pub(crate) path: String,
    pub(super) at: usize,
    entries: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    pub(super) fn new(source: Source<'t>, path: &str, at: usize, entries: &'t DeTable<'t>) -> Self {
        Self {
            source,
            path: path.to_owned(),
            at,
            entries,
        }
    }

    /// Creates the error of the whole table, at its place.
    pub fn error(&self, message: impl fmt::Display) -> ConfigError {
        self.source
            .place(self.at)
            .error(format!("{}: {message}", self.path))
    }

    /// Checks that there are no other keys than these.
    ///
    /// # Errors
    /// The first other key, at its place.
    pub fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        self.only_and(known, &[])
    }

    /// Checks that there are no other keys than these and `more`.
    ///
    /// # Errors
    /// The first other key, at its place.
    pub fn only_and(&self, known: &[&str], more: &[&str]) -> Result<(), ConfigError> {
        for key in self.entries.keys() {
            let name: &str = key.get_ref();
            if !known.contains(&name) && !more.contains(&name) {
                let all: Vec<&str> = known.iter().chain(more).copied().collect();
                let place = self.source.place(key.span().start);
                return Err(place.error(format!(
                    "{}: the key `{name}` is not known; known here are {}",
                    self.path,
                    all.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// Returns the value of a key; `None` if it is absent.
    pub fn get(&self, name: &str) -> Option<Entry<'t>> {
        let (_, value) = self.entries.iter().find(|(key, _)| key.get_ref() == name)?;
        Some(Entry::new(
            self.source,
            format!("{}: {name}", self.path),
            value,
        ))
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    /// An absent key; `advice` says what to write.
    pub fn need(&self, name: &str, advice: &str) -> Result<Entry<'t>, ConfigError> {
        self.get(name)
            .ok_or_else(|| self.error(format!("`{name}` is missing; {advice}")))
    }

    /// Reads a text and where it stands; `None` if the key is absent.
    ///
    /// # Errors
    /// A value that is not a text, or an empty text.
    pub fn text(&self, name: &str) -> Result<Option<(String, Entry<'t>)>, ConfigError> {
        self.get(name)
            .map(|entry| Ok((entry.str()?.to_owned(), entry)))
            .transpose()
    }

    /// Reads a whole number within bounds, both included; `None` if the key is absent.
    ///
    /// # Errors
    /// Any other value.
    pub fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, ConfigError> {
        let Some(entry) = self.get(name) else {
            return Ok(None);
        };
        let number = match entry.value {
            DeValue::Integer(i) => {
                u64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok()
            }
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(entry.error(format!("must be a whole number from {least} to {most}"))),
        }
    }

    /// Reads `input`, the name of an input field; `default` if the file does not say.
    ///
    /// # Errors
    /// A value that cannot be a field's name.
    pub fn input(&self, default: &str) -> Result<String, ConfigError> {
        self.get("input")
            .map_or_else(|| Ok(default.to_owned()), |entry| entry.field())
    }

    /// Returns every member.
    pub fn members(&self) -> impl Iterator<Item = (&'t str, Entry<'t>)> {
        self.entries.iter().map(|(key, value)| {
            let name: &'t str = key.get_ref();
            (
                name,
                Entry::new(self.source, format!("{}: {name}", self.path), value),
            )
        })
    }

    /// Returns the tables of a table by name, in the file's order.
    pub fn tables(&self, name: &str) -> Result<Vec<(&'t str, Table<'t>)>, ConfigError> {
        let Some(entry) = self.get(name) else {
            return Ok(Vec::new());
        };
        let DeValue::Table(inner) = entry.value else {
            return Err(entry.error(format!("must be tables, [{name}.NAME]")));
        };
        let mut tables = Vec::new();
        for (key, value) in inner {
            let key_name: &'t str = key.get_ref();
            let at = key.span().start;
            if !is_name(key_name) {
                let rule = "a name has 1 to 64 lower-case letters, digits, - and _";
                return Err(self
                    .source
                    .place(at)
                    .error(format!("{name}.{key_name}: {rule}")));
            }
            let DeValue::Table(entries) = value.get_ref() else {
                return Err(self
                    .source
                    .place(at)
                    .error(format!("{name}.{key_name} must be a table")));
            };
            tables.push((
                key_name,
                Table::new(self.source, &format!("{name}.{key_name}"), at, entries),
            ));
        }
        tables.sort_by_key(|(_, table)| table.at);
        Ok(tables)
    }
}

/// A value of the file, and where it stands.
#[derive(Debug)]
pub struct Entry<'t> {
    pub(super) source: Source<'t>,
    pub(crate) path: String,
    pub(super) at: usize,
    pub(crate) value: &'t DeValue<'t>,
}

impl<'t> Entry<'t> {
    pub(super) fn new(source: Source<'t>, path: String, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self {
            source,
            path,
            at: value.span().start,
            value: value.get_ref(),
        }
    }

    /// Returns where the value stands.
    pub fn place(&self) -> Place {
        self.source.place(self.at)
    }

    /// Creates the error of this value, at its place.
    pub fn error(&self, message: impl fmt::Display) -> ConfigError {
        self.place().error(format!("{}: {message}", self.path))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// A value that is not a text, or an empty text.
    pub fn str(&self) -> Result<&'t str, ConfigError> {
        match self.value {
            DeValue::String(text) if !text.is_empty() => Ok(text),
            _ => Err(self.error("must be a text in quotes, not empty")),
        }
    }

    /// Returns whether it is a number, whole or not.
    pub fn is_number(&self) -> bool {
        matches!(self.value, DeValue::Float(_) | DeValue::Integer(_))
    }

    /// Reads a number from 0 to 1.
    pub fn fraction(&self) -> Result<f64, ConfigError> {
        let number = match self.value {
            DeValue::Float(f) => f.as_str().replace('_', "").parse::<f64>().ok(),
            DeValue::Integer(i) if i.radix() == 10 => i.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let advice = if self.is_quoted_number() {
            "; take the quotes off"
        } else {
            ""
        };
        let wrong = || self.error(format!("a confidence is a number from 0 to 1{advice}"));
        number.filter(|n| (0.0..=1.0).contains(n)).ok_or_else(wrong)
    }

    /// Returns whether it is a number in quotes, usually a mistake.
    pub fn is_quoted_number(&self) -> bool {
        matches!(self.value, DeValue::String(text) if text.trim().parse::<f64>().is_ok())
    }

    /// Reads the name of a file below the directory of `providers.toml`, without `..`. It ends in
    /// one of `ends`, where there are any.
    pub fn file(&self, ends: &[&str]) -> Result<String, ConfigError> {
        let file = self.str()?;
        let name = self.path.rsplit(": ").next().unwrap_or_default();
        let safe = !file.starts_with('/')
            && !file.contains('\\')
            && file.split('/').all(|p| !matches!(p, "" | "." | ".."));
        if !safe {
            return Err(self.error(format!(
                "{name} is a path below the directory of this file, without `..`"
            )));
        }
        if !ends.is_empty() && !ends.iter().any(|end| file.ends_with(end)) {
            let (last, others) = ends.split_last().unwrap_or((&"", &[]));
            let others = others.join(", ");
            let list = if others.is_empty() {
                (*last).to_owned()
            } else {
                format!("{others} or {last}")
            };
            return Err(self.error(format!("{name} ends in {list}")));
        }
        Ok(file.to_owned())
    }

    /// Reads a field's name.
    ///
    /// # Errors
    /// A text that [`FIELD_RULE`] does not allow.
    pub fn field(&self) -> Result<String, ConfigError> {
        let name = self.str()?;
        if is_field(name) {
            Ok(name.to_owned())
        } else {
            Err(self.error(FIELD_RULE))
        }
    }

    /// Returns the elements of a list, each with its place.
    ///
    /// # Errors
    /// A value that is not a list.
    pub fn array(&self) -> Result<Vec<Entry<'t>>, ConfigError> {
        match self.value {
            DeValue::Array(items) => Ok(items
                .iter()
                .map(|item| Entry::new(self.source, self.path.clone(), item))
                .collect()),
            _ => Err(self.error("must be a list, [ … ]")),
        }
    }

    /// Reads a list of field names, none twice.
    pub fn fields(&self) -> Result<Vec<String>, ConfigError> {
        let mut fields = Vec::new();
        for item in self.array()? {
            let field = item.field()?;
            if fields.contains(&field) {
                return Err(item.error(format!("`{field}` is there twice; remove one")));
            }
            fields.push(field);
        }
        Ok(fields)
    }

    /// Reads a list of HTTP statuses, each from 100 to 599.
    ///
    /// # Errors
    /// A value that is not a list, or the first element that is not a status.
    pub fn statuses(&self) -> Result<Vec<u16>, ConfigError> {
        let statuses = self.array()?;
        let statuses = statuses.iter().map(|item| match item.value {
            DeValue::Integer(i) => match i.as_str().parse::<u16>() {
                Ok(status) if (100..=599).contains(&status) => Ok(status),
                _ => Err(item.error("an HTTP status is a number from 100 to 599")),
            },
            _ => Err(item.error("an HTTP status is a number from 100 to 599")),
        });
        statuses.collect()
    }

    /// Returns the members of a table, in the file's order.
    pub fn entries(&self) -> Result<Vec<(&'t str, Entry<'t>)>, ConfigError> {
        let DeValue::Table(inner) = self.value else {
            return Err(self.error("must be a table, { NAME = … }"));
        };
        let mut entries: Vec<(usize, &'t str, Entry<'t>)> = inner
            .iter()
            .map(|(key, value): (&'t Spanned<DeString<'t>>, _)| {
                let name: &'t str = key.get_ref();
                (
                    key.span().start,
                    name,
                    Entry::new(self.source, format!("{}.{name}", self.path), value),
                )
            })
            .collect();
        entries.sort_by_key(|(at, ..)| *at);
        Ok(entries
            .into_iter()
            .map(|(_, name, entry)| (name, entry))
            .collect())
    }

    /// Reads an expression over these roots.
    pub fn expression(&self, roots: &[&str]) -> Result<Expr, ConfigError> {
        Expr::parse(self.str()?, roots).map_err(|why| self.error(why))
    }

    /// Reads a table; `example` shows one.
    pub fn table(&self, example: &str) -> Result<Table<'t>, ConfigError> {
        let DeValue::Table(inner) = self.value else {
            return Err(self.error(format!("must be a table: {example}")));
        };
        Ok(Table::new(self.source, &self.path, self.at, inner))
    }

    /// Converts the value to JSON.
    pub fn json(&self) -> Result<serde_json::Value, ConfigError> {
        Ok(match self.value {
            DeValue::String(text) => text.as_ref().into(),
            DeValue::Boolean(b) => (*b).into(),
            DeValue::Integer(i) => {
                let number = i64::from_str_radix(&i.as_str().replace('_', ""), i.radix());
                number
                    .map_err(|_| self.error("this number is too large"))?
                    .into()
            }
            DeValue::Float(f) => {
                let number = f
                    .as_str()
                    .replace('_', "")
                    .parse::<f64>()
                    .ok()
                    .and_then(serde_json::Number::from_f64);
                number
                    .ok_or_else(|| self.error("JSON has no such number"))?
                    .into()
            }
            DeValue::Datetime(_) => return Err(self.error("JSON has no dates; put it in quotes")),
            DeValue::Array(_) => self
                .array()?
                .iter()
                .map(Self::json)
                .collect::<Result<_, _>>()?,
            DeValue::Table(_) => {
                let members = self.entries()?;
                let members = members
                    .iter()
                    .map(|(name, value)| Ok(((*name).to_owned(), value.json()?)));
                serde_json::Value::Object(members.collect::<Result<_, ConfigError>>()?)
            }
        })
    }

    /// Reads a JSON Pointer, RFC 6901. Chosen because it names exactly one place and `serde_json`
    /// follows it by itself.
    pub fn pointer(&self) -> Result<String, ConfigError> {
        let text = self.str()?;
        let escapes = text
            .match_indices('~')
            .all(|(at, _)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1')));
        if text.starts_with('/') && escapes {
            return Ok(text.to_owned());
        }
        let advice = text
            .strip_prefix("$.")
            .map(|path| format!("; write \"/{}\"", path.replace('.', "/")));
        Err(self.error(format!(
            "`{text}` is not a JSON Pointer (RFC 6901){}",
            advice.unwrap_or_default()
        )))
    }
}
