//! The whole file.

use toml::de::DeTable;

use super::error::ConfigError;
use super::kind::KindReader;
use super::provider::ProviderConfig;
use super::reader::{Source, Table};
use super::types::TypeConfig;

/// The whole file.
#[derive(Debug, Clone)]
pub struct Config {
    /// The types of record, in the file's order. Never empty.
    pub types: Vec<TypeConfig>,
    /// The providers, in the file's order.
    pub providers: Vec<ProviderConfig>,
    /// (surface, operation, type).
    pub operations: Vec<(String, String, String)>,
}

impl Config {
    /// Reads and checks the text of a file whose providers are of these kinds. `file` is its name
    /// in messages.
    ///
    /// # Errors
    /// The first fault, with its line and column.
    pub fn parse(kinds: &[KindReader], file: &str, text: &str) -> Result<Self, ConfigError> {
        let source = Source { file, text };
        let root = DeTable::parse(text).map_err(|e| {
            let at = e.span().unwrap_or_default();
            let place = source.place(at.start);
            match text.get(at).filter(|name| !name.is_empty()) {
                Some(name) if e.message() == "duplicate key" => place.error(format!(
                    "duplicate key: the key or table `{name}` stands twice; remove one, or rename \
                     it"
                )),
                _ => place.error(e.message().to_owned()),
            }
        })?;
        let root = Table::new(source, "the file", root.span().start, root.get_ref());
        root.only(&["types", "providers", "operations"])?;

        let mut providers = Vec::new();
        for (name, value) in root.tables("providers")? {
            providers.push(ProviderConfig::read(kinds, name, &value)?);
        }
        let mut types = Vec::new();
        for (name, value) in root.tables("types")? {
            types.push(TypeConfig::read(name, &value, &providers)?);
        }
        if types.is_empty() {
            return Err(
                root.error("no type is declared; add a [types.NAME] with inputs and a waterfall")
            );
        }
        let mut operations = Vec::new();
        for (surface, table) in root.tables("operations")? {
            for (operation, value) in table.members() {
                let kind = value.str()?;
                if !types.iter().any(|t| t.name == kind) {
                    let known: Vec<&str> = types.iter().map(|t| t.name.as_str()).collect();
                    return Err(value.error(format!(
                        "type `{kind}` does not exist; name one of: {}",
                        known.join(", ")
                    )));
                }
                operations.push((surface.to_owned(), operation.to_owned(), kind.to_owned()));
            }
        }
        Ok(Self {
            types,
            providers,
            operations,
        })
    }
}
