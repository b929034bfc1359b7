//! The types of `providers.toml`, without the providers themselves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::catalog::compiled;
use crate::catalog::compiled::{COMPILED_FILE, Unfit};
use crate::catalog::{Config, ConfigError, KindReader, Until};
use crate::domain::record::{is_blank, present};

/// The configuration's name in the directory that holds it.
pub const CONFIG_FILE: &str = "providers.toml";

/// The most characters a required input field may have.
pub const MAX_INPUT_CHARS: usize = 2_048;

/// A type of record as callers see it: its input, its price and its limits.
#[derive(Debug, Clone)]
pub struct RecordType {
    name: String,
    description: String,
    inputs: Vec<Vec<String>>,
    optional_inputs: Vec<String>,
    /// Provider names in the order asked, with the credits each takes for a record it contributes
    /// to.
    waterfall: Vec<(String, u32)>,
    until: Until,
    record_timeout: Duration,
    concurrency: usize,
    wait: Duration,
    unconfigured: Option<String>,
}

impl RecordType {
    /// Returns the type's name, such as `company`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns one line for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Returns the sets of input fields: a record has every field of at least one set.
    pub fn inputs(&self) -> &[Vec<String>] {
        &self.inputs
    }

    /// Returns the fields that a record may have besides.
    pub fn optional_inputs(&self) -> &[String] {
        &self.optional_inputs
    }

    /// Returns the names of the providers in the order they are asked unless a request says
    /// otherwise.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.waterfall.iter().map(|(name, _)| name.as_str())
    }

    /// Returns when the waterfall stops before its end.
    pub fn until(&self) -> &Until {
        &self.until
    }

    /// Returns the most time for one record.
    pub fn record_timeout(&self) -> Duration {
        self.record_timeout
    }

    /// Returns how many records of a chunk are worked on at once, 1 to 64.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Returns how long a record waits for an unavailable upstream that alone could still answer.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Checks that this type can be run. The error says what to configure (for the error
    /// `provider_unconfigured`).
    pub fn usable(&self) -> Result<(), &str> {
        self.unconfigured.as_deref().map_or(Ok(()), Err)
    }

    /// Returns the most credits one record can cost, in the type's own order or in the given one.
    /// Unknown names cost nothing.
    pub fn price(&self, order: Option<&[String]>) -> u32 {
        let asked = |name: &str| order.is_none_or(|o| o.iter().any(|n| n == name));
        let prices = self
            .waterfall
            .iter()
            .filter(|(name, _)| asked(name))
            .map(|(_, credits)| *credits);
        match self.until {
            // Only the first that finds anything is paid.
            Until::Any { confidence: 0.0 } => prices.max().unwrap_or(0),
            Until::Any { .. } | Until::All(_) => prices.fold(0, u32::saturating_add),
        }
    }

    /// Checks the order that a request gives: some of the type's own providers, each once. `Err`
    /// holds the names that are unknown to this type or repeated; an empty order is `Err` without
    /// names.
    pub fn validate_order(&self, order: &[String]) -> Result<(), Vec<String>> {
        let wrong: Vec<String> = order
            .iter()
            .enumerate()
            .filter(|(at, name)| {
                !self.providers().any(|p| p == *name) || order[..*at].contains(name)
            })
            .map(|(_, name)| name.clone())
            .collect();
        if wrong.is_empty() && !order.is_empty() {
            Ok(())
        } else {
            Err(wrong)
        }
    }

    /// Checks that an input has this type's shape: every field of at least one set, each a string
    /// of at most [`MAX_INPUT_CHARS`] characters, and no unknown field. Blank fields count as
    /// absent. `Err` holds every fault as (JSON Pointer into the input, what is wrong).
    pub fn check_input(&self, input: &Map<String, Value>) -> Result<(), Vec<(String, String)>> {
        let known = |name: &str| {
            self.inputs
                .iter()
                .flatten()
                .chain(&self.optional_inputs)
                .any(|f| f == name)
        };
        let mut faults = Vec::new();
        for (name, value) in input.iter().filter(|(_, value)| !is_blank(value)) {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            if !known(name) {
                faults.push((pointer, format!("is not a field of type {}", self.name)));
            } else if self.inputs.iter().flatten().any(|f| f == name)
                && let Some(fault) = text_fault(value)
            {
                faults.push((pointer, fault));
            }
        }
        let missing = |field: &String| present(input, field).is_none();
        if !self.inputs.iter().any(|set| !set.iter().any(missing)) {
            match self.inputs.as_slice() {
                [only] => faults.extend(
                    only.iter()
                        .filter(|field| missing(field))
                        .map(|field| (format!("/{field}"), "is required".to_owned())),
                ),
                sets => {
                    let sets: Vec<String> = sets.iter().map(|set| set.join(" and ")).collect();
                    faults.push((String::new(), format!("needs {}", sets.join(", or "))));
                }
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }
}

fn text_fault(value: &Value) -> Option<String> {
    let Some(text) = value.as_str() else {
        return Some("must be a string".to_owned());
    };
    // Bytes bound characters from above, so that short texts need no counting.
    (text.len() > MAX_INPUT_CHARS && text.chars().count() > MAX_INPUT_CHARS)
        .then(|| format!("is longer than {MAX_INPUT_CHARS} characters"))
}

/// The types of `providers.toml`: enough to check, price and accept a job. No table and no secret
/// is touched.
#[derive(Debug, Clone)]
pub struct Catalog {
    types: Vec<Arc<RecordType>>,
    /// (surface, operation, type).
    operations: Vec<(String, String, String)>,
}

impl Catalog {
    /// Reads `providers.toml` in `dir`, whose providers are of these kinds.
    ///
    /// # Errors
    /// The first fault of the file, with its line and column.
    pub fn load(kinds: &[KindReader], dir: &Path) -> Result<Self, ConfigError> {
        Ok(Self::of(&load_config(kinds, dir)?))
    }

    /// Makes the catalog of a configuration already read.
    pub fn of(config: &Config) -> Self {
        let credits = |name: &String| {
            config
                .providers
                .iter()
                .find(|p| p.name == *name)
                .map_or_else(|| (name.clone(), 0), |p| (name.clone(), p.credits))
        };
        let types = config.types.iter().map(|t| {
            Arc::new(RecordType {
                name: t.name.clone(),
                description: t.description.clone(),
                inputs: t.inputs.clone(),
                optional_inputs: t.optional_inputs.clone(),
                waterfall: t.waterfall.iter().map(credits).collect(),
                until: t.until.clone(),
                record_timeout: t.record_timeout,
                concurrency: t.concurrency,
                wait: t.wait,
                unconfigured: t.unconfigured.clone(),
            })
        });
        Self {
            types: types.collect(),
            operations: config.operations.clone(),
        }
    }

    /// Returns the type of this name.
    pub fn kind(&self, name: &str) -> Option<&RecordType> {
        self.types
            .iter()
            .find(|t| t.name == name)
            .map(AsRef::as_ref)
    }

    /// Returns the name of the type that answers an operation of a surface.
    pub fn operation(&self, surface: &str, operation: &str) -> Option<&str> {
        self.operations
            .iter()
            .find(|(s, o, _)| s == surface && o == operation)
            .map(|(.., kind)| kind.as_str())
    }

    /// Returns every (surface, operation) that is mapped to a type.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.operations
            .iter()
            .map(|(surface, operation, _)| (surface.as_str(), operation.as_str()))
    }

    /// Returns every type, in the file's order, to share with the code that runs it.
    pub(crate) fn shared_kinds(&self) -> &[Arc<RecordType>] {
        &self.types
    }

    /// Returns every type, in the file's order.
    pub fn kinds(&self) -> impl Iterator<Item = &RecordType> {
        self.types.iter().map(AsRef::as_ref)
    }
}

/// Reads `providers.toml` in `dir` at Init; touches no table and no secret. Takes the compiled file
/// where this code made it of this very text, else parses the text. JSON is read in a fraction of
/// the time of TOML with its places, and that is most of what Init computes.
pub fn load_config(kinds: &[KindReader], dir: &Path) -> Result<Config, ConfigError> {
    let (label, text) = config_text(dir)?;
    match read_compiled(kinds, dir, &label, &text) {
        Ok(config) => Ok(config),
        Err(why) => {
            // A checkout has none; one that does not fit is a mistake in how the bundle was made.
            if why == Unfit::Missing {
                tracing::info!(
                    file = label,
                    "{COMPILED_FILE} {why}; reading {CONFIG_FILE} itself"
                );
            } else {
                tracing::warn!(
                    file = label,
                    "{COMPILED_FILE} {why}; reading {CONFIG_FILE} itself"
                );
            }
            Config::parse(kinds, &label, &text)
        }
    }
}

/// Parses and checks `providers.toml` in `dir` itself; touches no table and no secret.
pub fn parse_config(kinds: &[KindReader], dir: &Path) -> Result<Config, ConfigError> {
    let (label, text) = config_text(dir)?;
    Config::parse(kinds, &label, &text)
}

/// Returns the file's name in messages, and its text.
fn config_text(dir: &Path) -> Result<(String, String), ConfigError> {
    let label = dir.join(CONFIG_FILE).display().to_string();
    match std::fs::read_to_string(&label) {
        Ok(text) => Ok((label, text)),
        Err(error) => Err(ConfigError::file(
            &label,
            format!("cannot be read: {error}"),
        )),
    }
}

fn read_compiled(
    kinds: &[KindReader],
    dir: &Path,
    label: &str,
    text: &str,
) -> Result<Config, Unfit> {
    let kept = std::fs::read(dir.join(COMPILED_FILE)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Unfit::Missing,
        _ => Unfit::Unreadable(error.to_string()),
    })?;
    compiled::read(kinds, &kept, label, text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::kinds::{READERS, settings};

    fn infra() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra")
    }

    fn catalog(types: &str) -> Catalog {
        let text = format!("{types}\n[providers.hem]\nkind = \"hem\"\ninput = \"a\"\n");
        Catalog::of(&Config::parse(READERS, "p.toml", &text).unwrap_or_else(|e| panic!("{e}")))
    }

    fn faults(kind: &RecordType, value: &Value) -> Vec<(String, String)> {
        kind.check_input(value.as_object().unwrap())
            .err()
            .unwrap_or_default()
    }

    /// A directory with this `providers.toml` and what was compiled; gone with the test.
    struct Bundle(std::path::PathBuf);

    impl Bundle {
        fn new(name: &str, toml: &str, kept: Option<&[u8]>) -> Self {
            let dir =
                Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/tmp/bundle-{name}"));
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join(CONFIG_FILE), toml).unwrap();
            if let Some(kept) = kept {
                std::fs::write(dir.join(COMPILED_FILE), kept).unwrap();
            }
            Self(dir)
        }
    }

    impl Drop for Bundle {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn init_takes_the_compiled_file_of_this_text_and_the_text_where_it_does_not_fit() {
        let toml = |kind: &str| {
            format!(
                "[types.{kind}]\ninputs = [[\"a\"]]\nwaterfall = [\"h\"]\n[providers.h]\n\
                 kind = \"hem\"\ninput = \"a\"\n"
            )
        };
        let compile = |text: &str| {
            let config = Config::parse(READERS, "elsewhere.toml", text).unwrap();
            compiled::compile(READERS, &config, text, settings).unwrap()
        };
        let (here, there) = (toml("here"), toml("there"));
        let types = |bundle: &Bundle| {
            let config = load_config(READERS, &bundle.0).unwrap();
            let file = bundle.0.join(CONFIG_FILE).display().to_string();
            assert!(
                config
                    .providers
                    .iter()
                    .all(|provider| provider.at.file == file),
                "{config:?}"
            );
            config
                .types
                .into_iter()
                .map(|kind| kind.name)
                .collect::<Vec<_>>()
                .concat()
        };
        // Of another type than the text says, so that it shows which of the two was read.
        let forged = compile(&here).replace("\"here\"", "\"forged\"");
        let cut = &forged.as_bytes()[..forged.len() - 2];
        for (name, kept, read) in [
            ("fits", Some(forged.as_bytes()), "forged"),
            ("missing", None, "here"),
            ("other", Some(compile(&there).as_bytes()), "here"),
            ("cut", Some(cut), "here"),
            ("empty", Some(&[][..]), "here"),
            ("binary", Some(&[0xff; 200][..]), "here"),
        ] {
            assert_eq!(types(&Bundle::new(name, &here, kept)), read, "{name}");
        }
        // A directory cannot be read as a file.
        let bundle = Bundle::new("directory", &here, None);
        std::fs::create_dir(bundle.0.join(COMPILED_FILE)).unwrap();
        assert_eq!(types(&bundle), "here");
        let parsed = parse_config(
            READERS,
            &Bundle::new("parsed", &here, Some(forged.as_bytes())).0,
        )
        .unwrap();
        assert_eq!(parsed.types[0].name, "here", "a check reads the text");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Catalog::load(READERS, Path::new("/nowhere"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("/nowhere/providers.toml: cannot be read: "),
            "{error}"
        );
    }

    #[test]
    fn an_input_has_every_field_of_one_set_and_no_unknown_one() {
        let catalog = catalog(
            "[types.t]\ninputs = [[\"a\"], [\"b\", \"c\"]]\noptional_inputs = [\"n\"]\n\
             waterfall = [\"hem\"]",
        );
        let kind = catalog.kind("t").unwrap();
        for good in [
            json!({"a": "1"}),
            json!({"b": "1", "c": "2"}),
            json!({"a": "1", "c": "2", "n": {"any": [1]}}),
        ] {
            assert_eq!(faults(kind, &good), []);
        }
        let fault = |pointer: &str, detail: &str| (pointer.to_owned(), detail.to_owned());
        assert_eq!(faults(kind, &json!({})), [fault("", "needs a, or b and c")]);
        assert_eq!(
            faults(kind, &json!({"b": "1"})),
            [fault("", "needs a, or b and c")]
        );
        assert_eq!(
            faults(kind, &json!({"a": 5, "x/y~": 1, "c": " "})),
            [
                fault("/a", "must be a string"),
                fault("/x~1y~0", "is not a field of type t")
            ]
        );
        for blank in [
            json!(null),
            json!(""),
            json!(" \t\n"),
            json!("\u{a0}\u{3000}"),
        ] {
            assert_eq!(
                faults(kind, &json!({"a": blank})),
                [fault("", "needs a, or b and c")],
                "{blank}"
            );
            assert_eq!(
                faults(
                    kind,
                    &json!({"a": "1", "b": blank, "n": blank, "unknown": blank})
                ),
                [],
                "{blank}"
            );
        }
        assert_eq!(faults(kind, &json!({"a": "ü".repeat(2048)})), []);
        assert_eq!(
            faults(kind, &json!({"a": "ü".repeat(2049)})),
            [fault("/a", "is longer than 2048 characters")]
        );
        let single = Catalog::load(READERS, &infra()).unwrap();
        assert_eq!(
            faults(single.kind("company").unwrap(), &json!({})),
            [fault("/domain", "is required")]
        );
    }

    #[test]
    fn an_order_names_providers_of_the_type_once() {
        let catalog = Catalog::load(READERS, &infra()).unwrap();
        let company = catalog.kind("company").unwrap();
        let check = |names: &[&str]| {
            company.validate_order(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(check(&["brands"]), Ok(()));
        assert_eq!(
            check(&["hem", "brands", "x"]),
            Err(vec!["hem".to_owned(), "x".to_owned()])
        );
        assert_eq!(check(&["brands", "brands"]), Err(vec!["brands".to_owned()]));
        assert_eq!(check(&[]), Err(vec![]));
    }
}
