//! `[types.NAME]`: a record's input, its providers, and when to stop.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::error::ConfigError;
use super::provider::ProviderConfig;
use super::reader::{Entry, FIELD_RULE, Table, is_field};

/// When a waterfall stops before its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Until {
    /// As soon as a provider finds anything with enough confidence.
    Any {
        /// The least confidence, 0 to 1. At 0 any find will do, whatever its provider says of it.
        confidence: f64,
    },
    /// As soon as each of these fields is there with its confidence (field, 0 to 1). Never empty.
    /// A provider that can give none of those still wanted is not asked.
    All(Vec<(String, f64)>),
}

/// `[types.NAME]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TypeConfig {
    /// NAME of the table: 1 to 64 lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// A record has every field of at least one set.
    pub inputs: Vec<Vec<String>>,
    /// Fields that may be there besides.
    pub optional_inputs: Vec<String>,
    /// Provider names in the order asked; empty only where `unconfigured` says why.
    pub waterfall: Vec<String>,
    /// When the waterfall stops before its end.
    pub until: Until,
    /// The most time for one record, 1 to 100 s; 30 s by default.
    pub record_timeout: Duration,
    /// Records of a chunk at once, 1 to 64; 16 by default.
    pub concurrency: usize,
    /// The longest wait of a record for an unavailable upstream that alone could still answer, 0 to
    /// 86,400 s.
    #[serde(default = "default_wait")]
    pub wait: Duration,
    /// The advice on what to configure before this type can be used.
    pub unconfigured: Option<String>,
}

/// The default of [`TypeConfig::wait`].
pub const DEFAULT_WAIT: Duration = Duration::from_secs(600);

fn default_wait() -> Duration {
    DEFAULT_WAIT
}

impl TypeConfig {
    pub(super) fn read(
        name: &str,
        table: &Table<'_>,
        providers: &[ProviderConfig],
    ) -> Result<Self, ConfigError> {
        table.only(&[
            "description",
            "inputs",
            "optional_inputs",
            "waterfall",
            "until",
            "record_timeout_s",
            "concurrency",
            "wait_s",
            "unconfigured",
        ])?;
        let description = table
            .text("description")?
            .map(|(text, _)| text)
            .unwrap_or_default();

        let inputs = Self::read_inputs(table)?;
        let optional_inputs = table
            .get("optional_inputs")
            .map_or(Ok(Vec::new()), |e| e.fields())?;

        let unconfigured = table.text("unconfigured")?.map(|(text, _)| text);
        let fields: Vec<&String> = inputs.iter().flatten().chain(&optional_inputs).collect();
        let waterfall = Self::read_waterfall(table, providers, &fields, unconfigured.is_none())?;
        let until = match table.get("until") {
            None => Until::Any { confidence: 0.0 },
            Some(entry) => {
                let until = Until::read(&entry)?;
                let asked = providers.iter().filter(|p| waterfall.contains(&p.name));
                until.check(&entry, asked.map(|p| p.kind.settings().outputs()))?;
                until
            }
        };
        Ok(Self {
            name: name.to_owned(),
            description,
            inputs,
            optional_inputs,
            waterfall,
            until,
            record_timeout: Duration::from_secs(
                table.number("record_timeout_s", 1, 100)?.unwrap_or(30),
            ),
            concurrency: usize::try_from(table.number("concurrency", 1, 64)?.unwrap_or(16))
                .unwrap_or(16),
            wait: table
                .number("wait_s", 0, 86_400)?
                .map_or_else(default_wait, Duration::from_secs),
            unconfigured,
        })
    }
}

impl TypeConfig {
    fn read_inputs(table: &Table<'_>) -> Result<Vec<Vec<String>>, ConfigError> {
        let entry = table.need(
            "inputs",
            "say which fields a record has, such as inputs = [[\"domain\"]]",
        )?;
        let mut inputs = Vec::new();
        for set in Self::sets(&entry)? {
            let fields = set.fields()?;
            if fields.is_empty() {
                return Err(set.error("a set of inputs needs at least one field"));
            }
            inputs.push(fields);
        }
        if inputs.is_empty() {
            return Err(
                entry.error("inputs is empty; name at least one set, such as [[\"domain\"]]")
            );
        }
        Ok(inputs)
    }

    /// Reads the providers to ask. Their own needs are among `fields`; there is one exactly where
    /// the type is `configured`.
    fn read_waterfall(
        table: &Table<'_>,
        providers: &[ProviderConfig],
        fields: &[&String],
        configured: bool,
    ) -> Result<Vec<String>, ConfigError> {
        let entry = table.need(
            "waterfall",
            "name the providers to ask, such as waterfall = [\"brands\"]",
        )?;
        let mut waterfall: Vec<String> = Vec::new();
        for item in entry.array()? {
            let asked = item.str()?;
            let Some(provider) = providers.iter().find(|p| p.name == asked) else {
                let known: Vec<&str> = providers.iter().map(|p| p.name.as_str()).collect();
                return Err(item.error(format!(
                    "provider `{asked}` does not exist; add [providers.{asked}] or name one of: {}",
                    known.join(", ")
                )));
            };
            if waterfall.iter().any(|n| n == asked) {
                return Err(item.error(format!(
                    "`{asked}` is named twice in this waterfall; remove one"
                )));
            }
            let needs = provider.kind.settings().needs();
            if let Some(missing) = needs.iter().find(|field| !fields.contains(field)) {
                return Err(item.error(format!(
                    "`{asked}` asks for the input `{missing}`, which this type does not have; add \
                     it to inputs or optional_inputs"
                )));
            }
            waterfall.push(asked.to_owned());
        }
        if waterfall.is_empty() && configured {
            return Err(entry.error(
                "the waterfall is empty; name a provider, or say in `unconfigured` what has to be \
                 configured",
            ));
        }
        if let Some(entry) = table.get("unconfigured").filter(|_| !waterfall.is_empty()) {
            return Err(entry.error(
                "the waterfall names providers; remove `unconfigured`, or no provider is asked",
            ));
        }
        Ok(waterfall)
    }

    /// Returns the lists in `inputs`.
    fn sets<'t>(entry: &Entry<'t>) -> Result<Vec<Entry<'t>>, ConfigError> {
        let flat = |value: &DeValue<'_>| match value {
            DeValue::String(name) => Some(if is_field(name) {
                name.to_string()
            } else {
                "domain".to_owned()
            }),
            _ => None,
        };
        let reported = |entry: &Entry<'_>, name: String| {
            entry.error(format!(
                "inputs is a list of lists, each of fields that are enough together: [[\"{name}\"]]"
            ))
        };
        if let Some(name) = flat(entry.value) {
            return Err(reported(entry, name));
        }
        let sets = entry.array()?;
        match sets.iter().find_map(|set| Some((set, flat(set.value)?))) {
            Some((set, name)) => Err(reported(set, name)),
            None => Ok(sets),
        }
    }
}

impl Until {
    /// Reads `"any"`, `["a", "b"]`, `{ confidence = 0.8 }`, `{ all = ["a", "b"], confidence = 0.8
    /// }` or `{ all = { a = 0.9, b = 0 } }`.
    fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        const RULE: &str = "until is \"any\", a list of output fields, or { all = [ … ], \
                            confidence = 0.8 } with one or both";
        match entry.value {
            DeValue::String(text) if text == "any" => Ok(Self::Any { confidence: 0.0 }),
            DeValue::Array(_) => Self::all(entry, 0.0),
            DeValue::Table(inner) => {
                let inner = Table::new(entry.source, &entry.path, entry.at, inner);
                inner.only(&["all", "confidence"])?;
                let confidence = inner
                    .get("confidence")
                    .map(|entry| entry.fraction())
                    .transpose()?;
                match (inner.get("all"), confidence) {
                    (None, None) => Err(entry.error(RULE)),
                    (None, Some(confidence)) => Ok(Self::Any { confidence }),
                    (Some(all), confidence) => Self::all(&all, confidence.unwrap_or(0.0)),
                }
            }
            _ => Err(entry.error(RULE)),
        }
    }

    /// Checks that providers with these outputs give its fields. One whose fields only its answers
    /// show (`None`) may give any.
    fn check(
        &self,
        entry: &Entry<'_>,
        outputs: impl Iterator<Item = Option<Vec<String>>>,
    ) -> Result<(), ConfigError> {
        let Self::All(fields) = self else {
            return Ok(());
        };
        let Some(given) = outputs.collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        let given = given.concat();
        let Some((field, _)) = fields.iter().find(|(field, _)| !given.contains(field)) else {
            return Ok(());
        };
        Err(entry.error(format!(
            "no provider of this waterfall gives `{field}`, so that it would never stop early; \
             correct the name or remove it"
        )))
    }

    fn all(entry: &Entry<'_>, confidence: f64) -> Result<Self, ConfigError> {
        let fields: Vec<(String, f64)> = match entry.value {
            DeValue::Table(_) => {
                let own = entry.entries()?.into_iter().map(|(name, own)| {
                    if is_field(name) {
                        Ok((name.to_owned(), own.fraction()?))
                    } else {
                        Err(own.error(FIELD_RULE))
                    }
                });
                own.collect::<Result<_, _>>()?
            }
            _ => entry
                .fields()?
                .into_iter()
                .map(|field| (field, confidence))
                .collect(),
        };
        if fields.is_empty() {
            return Err(entry.error("until is empty; write \"any\" or name fields"));
        }
        Ok(Self::All(fields))
    }
}
