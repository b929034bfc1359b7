//! `kind = "chat"`: a model behind an OpenAI-compatible chat endpoint, for research and judgements.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toml::de::DeValue;

use crate::catalog::{
    ConfigError, Entry, KindConfig, Part, Place, SecretConfig, Settings, Table, Template, check_url,
};

/// A model that researches or judges.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChatConfig {
    /// The whole address, `/chat/completions` included.
    pub url: String,
    /// The name of the model, as the endpoint knows it.
    pub model: String,
    /// The bearer token, if there is one.
    pub key: Option<SecretConfig>,
    /// The system message, before the record.
    pub instructions: Template,
    /// The fields wanted of a record without its own `struct`: name to description, or to `{
    /// description, type }`.
    pub structure: Map<String, Value>,
    /// Fields requested besides those of `struct`; none if the file does not say.
    pub extras: Vec<Extra>,
    /// The way of requesting JSON; by a schema if the file does not say.
    pub format: ChatFormat,
    /// Further members of the request, such as `temperature`.
    pub parameters: Map<String, Value>,
    /// Input fields without which this provider is not asked.
    pub requires: Vec<String>,
    /// The time for one record, retries and a round of repair included, 1 to 100 s; 60 s if the
    /// file does not say.
    pub timeout: Duration,
    /// The number of retries of each round, 0 to 5; 1 if the file does not say.
    pub retries: u32,
}

/// A field that is requested of the model besides those of the structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extra {
    /// Its findings in words.
    Notes,
    /// 0 to 10; a tenth of it is the answer's confidence.
    ConfidenceScore,
    /// URLs.
    References,
}

impl Extra {
    const ALL: [Self; 3] = [Self::Notes, Self::ConfidenceScore, Self::References];

    /// The field's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Notes => "notes",
            Self::ConfidenceScore => "confidence_score",
            Self::References => "references",
        }
    }

    fn read_all(entry: &Entry<'_>) -> Result<Vec<Self>, ConfigError> {
        let mut extras = Vec::new();
        for item in entry.array()? {
            let named = item.str()?;
            let Some(extra) = Self::ALL.into_iter().find(|extra| extra.name() == named) else {
                let all = Self::ALL.map(Self::name).join(", ");
                return Err(item.error(format!("there is no extra `{named}`; it is one of {all}")));
            };
            if !extras.contains(&extra) {
                extras.push(extra);
            }
        }
        Ok(extras)
    }
}

/// The form in which JSON is requested, in `response_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChatFormat {
    /// `json_schema`, with a schema made from the structure.
    Schema,
    /// `json_object`.
    Object,
    /// None: by the messages alone.
    Text,
}

impl ChatFormat {
    fn read(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        match entry.str()? {
            "schema" => Ok(Self::Schema),
            "object" => Ok(Self::Object),
            "text" => Ok(Self::Text),
            other => Err(entry.error(format!(
                "the format `{other}` is not known; it is schema, object or text"
            ))),
        }
    }
}

impl KindConfig for ChatConfig {
    const NAME: &'static str = "chat";
    const KEYS: &'static [&'static [&'static str]] = &[&[
        "url",
        "model",
        "key",
        "instructions",
        "struct",
        "extras",
        "format",
        "parameters",
        "requires",
        "timeout_s",
        "retries",
    ]];

    fn read(table: &Table<'_>) -> Result<Self, ConfigError> {
        let url = Self::read_url(&table.need(
            "url",
            "the address of the API, such as https://api.example.com/v1",
        )?)?;
        let model = table
            .need("model", "the name of the model, as the endpoint knows it")?
            .str()?
            .to_owned();
        let key = table
            .get("key")
            .map(|entry| SecretConfig::read("key", &entry))
            .transpose()?;
        let instructions = table
            .need(
                "instructions",
                "tell the model what to do with a record, such as \"Research this company.\"",
            )?
            .template(&["input"])?;
        let structure = table
            .get("struct")
            .map_or(Ok(Map::new()), |entry| Self::read_structure(&entry))?;
        let extras = table
            .get("extras")
            .map_or(Ok(Vec::new()), |entry| Extra::read_all(&entry))?;
        let format = table
            .get("format")
            .map_or(Ok(ChatFormat::Schema), |entry| ChatFormat::read(&entry))?;
        let parameters = table
            .get("parameters")
            .map_or(Ok(Map::new()), |entry| Self::read_parameters(&entry))?;
        let requires = table
            .get("requires")
            .map_or(Ok(Vec::new()), |entry| entry.fields())?;
        let mut needed = instructions.needs();
        if let Some(missing) = needed.find(|field| !requires.iter().any(|r| r == field)) {
            return Err(table.error(format!(
                "the instructions use `{missing}`; add it to requires, or write \
                 {{{{ input.{missing} | default('') }}}}"
            )));
        }
        drop(needed);
        Ok(Self {
            url,
            model,
            key,
            instructions,
            structure,
            extras,
            format,
            parameters,
            requires,
            timeout: Duration::from_secs(table.number("timeout_s", 1, 100)?.unwrap_or(60)),
            retries: u32::try_from(table.number("retries", 0, 5)?.unwrap_or(1)).unwrap_or(1),
        })
    }
}

impl ChatConfig {
    /// The record's own field with the wanted fields.
    pub const STRUCT: &'static str = "struct";

    /// Reads the address of the API and completes it.
    fn read_url(entry: &Entry<'_>) -> Result<String, ConfigError> {
        let template = entry.template(&[])?;
        check_url(&template).map_err(|why| entry.error(why))?;
        let base = entry.str()?.trim_end_matches('/');
        if base.contains('?') || !template.0.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err(entry
                .error("the address has no query and no values; write it out up to the version"));
        }
        Ok(if base.ends_with("/chat/completions") {
            base.to_owned()
        } else {
            format!("{base}/chat/completions")
        })
    }

    fn read_structure(entry: &Entry<'_>) -> Result<Map<String, Value>, ConfigError> {
        let mut structure = Map::new();
        for (name, value) in entry.entries()? {
            if !matches!(value.value, DeValue::String(_) | DeValue::Table(_)) {
                return Err(value.error(
                    "a field is a description, or { description = \"…\", type = \"string\" }",
                ));
            }
            structure.insert(name.to_owned(), value.json()?);
        }
        Ok(structure)
    }

    fn read_parameters(entry: &Entry<'_>) -> Result<Map<String, Value>, ConfigError> {
        let mut parameters = Map::new();
        for (name, value) in entry.entries()? {
            if ["model", "messages", "response_format", "stream", "n"].contains(&name) {
                return Err(
                    value.error("this member of the request is set by the provider; remove it")
                );
            }
            parameters.insert(name.to_owned(), value.json()?);
        }
        Ok(parameters)
    }
}

impl Settings for ChatConfig {
    fn needs(&self) -> Vec<String> {
        self.requires
            .iter()
            .cloned()
            .chain(self.instructions.inputs().map(str::to_owned))
            .collect()
    }

    /// Returns `None`: the model is shown the whole record.
    fn reads(&self) -> Option<Vec<String>> {
        None
    }

    fn required(&self) -> Vec<String> {
        self.requires.clone()
    }

    /// Returns `None`: each record may request fields of its own.
    fn outputs(&self) -> Option<Vec<String>> {
        None
    }

    fn timeout(&self) -> Option<Duration> {
        Some(self.timeout)
    }

    fn one_upstream(&self) -> bool {
        true
    }

    fn secrets(&self) -> Vec<&SecretConfig> {
        self.key.iter().collect()
    }

    fn places(&mut self) -> Vec<&mut Place> {
        self.key.iter_mut().map(|secret| &mut secret.at).collect()
    }
}
