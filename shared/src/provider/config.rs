//! `providers.toml`: the types of record and the providers behind them.
//!
//! Self-contained on purpose (std, serde, toml and `serde_json`): `build.rs` includes this file, so that a wrong
//! `infra/providers.toml` stops the build with the same message that stops the function's Init.
//!
//! Templates are text with `{{ input.FIELD }}` and `{{ secret.NAME }}`. That is a strict subset of minijinja's language,
//! so that files stay valid if it is ever wanted; minijinja itself was measured at 700 KB of binary.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A place in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub file: String,
    /// From 1; 0 where the fault is the whole file's.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl Place {
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError { at: self.clone(), message: message.into() }
    }
}

/// What is wrong with the configuration, where, and what to do: `FILE:LINE:COLUMN: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub at: Place,
    pub message: String,
}

impl ConfigError {
    /// A fault of a whole file.
    pub fn file(file: &str, message: impl Into<String>) -> Self {
        Self { at: Place { file: file.to_owned(), line: 0, column: 0 }, message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.line == 0 {
            return write!(f, "{}: {}", self.at.file, self.message);
        }
        write!(f, "{}:{}:{}: {}", self.at.file, self.at.line, self.at.column, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// When a waterfall stops before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Until {
    /// As soon as a provider found anything.
    Any,
    /// As soon as all of these fields are there.
    Fields(Vec<String>),
}

/// `[types.NAME]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TypeConfig {
    pub name: String,
    /// One line for people.
    pub description: String,
    /// A record has every field of at least one set.
    pub inputs: Vec<Vec<String>>,
    /// Fields that may be there besides.
    pub optional_inputs: Vec<String>,
    /// Provider names in the order asked; empty only where `unconfigured` says why.
    pub waterfall: Vec<String>,
    pub until: Until,
    /// 1 to 100 s; 30 s where the file says nothing.
    pub record_timeout: Duration,
    /// Records of a chunk at once, 1 to 64; 16 where the file says nothing.
    pub concurrency: usize,
    /// What to configure before this type can be used.
    pub unconfigured: Option<String>,
}

/// `[providers.NAME]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProviderConfig {
    pub name: String,
    pub at: Place,
    /// 0 to 1.
    pub confidence: Option<f64>,
    /// SPDX identifier or the provider's own words.
    pub license: Option<String>,
    /// 0 to 1000, for a record to which it contributed a field; 1 where the file says nothing.
    pub credits: u32,
    pub kind: Kind,
}

impl ProviderConfig {
    /// The longest this provider takes for one record; nothing where it only computes.
    pub fn timeout(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Http(http) => Some(http.timeout),
            Kind::Dataset(_) | Kind::Hem(_) => None,
        }
    }
}

/// `kind = …` and what belongs to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Kind {
    Dataset(DatasetConfig),
    Hem(HemConfig),
    Http(Box<HttpConfig>),
}

/// A table in a file beside `providers.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DatasetConfig {
    /// Relative to the directory of `providers.toml`, without `..`.
    pub file: String,
    pub format: Format,
    pub file_at: Place,
    /// All of them must match. Never empty.
    pub key: Vec<KeyColumn>,
    /// (output field, column, place), in the order to show them. Never empty.
    pub fields: Vec<(String, String, Place)>,
}

/// How a table is written, by the end of its file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// `.csv`: the first line names the columns.
    Csv,
    /// `.ndjson` or `.jsonl`: a JSON object a line.
    Ndjson,
}

/// `key = { INPUT = { column = …, as = … } }`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyColumn {
    pub input: String,
    pub column: String,
    pub normal: Normal,
    pub at: Place,
}

/// How key values are made comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Normal {
    /// As they are, but for white space around them.
    Exact,
    /// Host names in their ASCII form; a lookup tries the host, then its parents down to the registrable domain.
    Domain,
    /// E-mail addresses, trimmed and in lower case.
    Email,
    /// Names of organisations: lower case, letters and digits, without a trailing legal form.
    Name,
}

/// The hashes of an e-mail address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HemConfig {
    /// The input field that holds the address; `email` where the file says nothing.
    pub input: String,
}

/// A synchronous JSON API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HttpConfig {
    /// `GET`, `POST` or `PUT`.
    pub method: Cow<'static, str>,
    /// Scheme, host and port are literal.
    pub url: Template,
    /// Added to the URL.
    pub query: Vec<(String, Template)>,
    /// Names in lower case.
    pub headers: Vec<(String, Template)>,
    pub body: Option<BodyTemplate>,
    /// (name in templates, environment variable, place).
    pub secrets: Vec<(String, String, Place)>,
    /// Input fields without which this provider is not asked.
    pub requires: Vec<String>,
    /// (output field, JSON Pointer of RFC 6901 into the response). Never empty.
    pub fields: Vec<(String, String)>,
    /// Statuses that mean "nothing known"; 404 where the file says nothing.
    pub not_found_status: Vec<u16>,
    /// Pointers at which an absent, null or empty value means "nothing known".
    pub not_found_missing: Vec<String>,
    /// Statuses that mean "this input is wrong".
    pub invalid_status: Vec<u16>,
    /// For one record, retries included, 1 to 100 s; 20 s where the file says nothing.
    pub timeout: Duration,
    /// After the first attempt, 0 to 5; 2 where the file says nothing.
    pub retries: u32,
}

/// Text with places for values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template(pub Vec<Part>);

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    Text(String),
    Input(String),
    Secret(String),
}

impl Template {
    fn inputs(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter_map(|p| if let Part::Input(name) = p { Some(name) } else { None })
    }

    fn secrets(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter_map(|p| if let Part::Secret(name) = p { Some(name) } else { None })
    }

    /// Reads `text`; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            let Some(end) = rest[start..].find("}}") else {
                return Err("a template's `{{` has no `}}`".to_owned());
            };
            let inner = rest[start + 2..start + end].trim();
            parts.push(match inner.split_once('.') {
                Some(("input", name)) if is_field(name) => Part::Input(name.to_owned()),
                Some(("secret", name)) if is_field(name) => Part::Secret(name.to_owned()),
                _ => {
                    return Err(format!(
                        "`{{{{ {inner} }}}}` is not known; write {{{{ input.FIELD }}}} or {{{{ secret.NAME }}}}"
                    ));
                }
            });
            rest = &rest[start + end + 2..];
        }
        if rest.contains("}}") || text.contains("{%") || text.contains("{#") {
            return Err("only {{ input.FIELD }} and {{ secret.NAME }} are known in templates".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

/// A JSON body. A text that is nothing but one `{{ input.FIELD }}` takes the field's value with its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BodyTemplate {
    Text(Template),
    Literal(serde_json::Value),
    Array(Vec<BodyTemplate>),
    Object(Vec<(String, BodyTemplate)>),
}

impl BodyTemplate {
    fn each_template(&self, visit: &mut impl FnMut(&Template)) {
        match self {
            Self::Text(template) => visit(template),
            Self::Literal(_) => {}
            Self::Array(items) => items.iter().for_each(|i| i.each_template(visit)),
            Self::Object(members) => members.iter().for_each(|(_, m)| m.each_template(visit)),
        }
    }
}

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    pub types: Vec<TypeConfig>,
    pub providers: Vec<ProviderConfig>,
    /// (surface, operation, type).
    pub operations: Vec<(String, String, String)>,
}

impl Config {
    /// Every place in it belongs to this file from now on.
    pub fn relabel(&mut self, file: &str) {
        for provider in &mut self.providers {
            file.clone_into(&mut provider.at.file);
            match &mut provider.kind {
                Kind::Dataset(table) => {
                    let columns = table.key.iter_mut().map(|k| &mut k.at);
                    let fields = table.fields.iter_mut().map(|(_, _, at)| at);
                    columns.chain(fields).chain([&mut table.file_at]).for_each(|at| file.clone_into(&mut at.file));
                }
                Kind::Http(http) => http.secrets.iter_mut().for_each(|(_, _, at)| file.clone_into(&mut at.file)),
                Kind::Hem(_) => {}
            }
        }
    }

    /// Reads and checks the text of a file; `file` is its name in messages. The first fault is the error.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let source = Source { file, text };
        let root = DeTable::parse(text).map_err(|e| {
            let at = e.span().map_or(0, |s| s.start);
            source.place(at).error(e.message().to_owned())
        })?;
        let root = Table::new(source, "the file", root.span().start, root.get_ref());
        root.only(&["types", "providers", "operations"])?;

        let mut providers = Vec::new();
        for (name, value) in root.tables("providers")? {
            providers.push(read_provider(name, &value)?);
        }
        let mut types = Vec::new();
        for (name, value) in root.tables("types")? {
            types.push(read_type(name, &value, &providers)?);
        }
        if types.is_empty() {
            return Err(root.error("there is no type; add a [types.NAME] with inputs and a waterfall"));
        }
        let mut operations = Vec::new();
        for (surface, table) in root.tables("operations")? {
            for (operation, value) in table.members() {
                let kind = value.str()?;
                if !types.iter().any(|t| t.name == kind) {
                    let known: Vec<&str> = types.iter().map(|t| t.name.as_str()).collect();
                    return Err(value.error(format!("there is no type `{kind}`; name one of: {}", known.join(", "))));
                }
                operations.push((surface.to_owned(), operation.to_owned(), kind.to_owned()));
            }
        }
        Ok(Self { types, providers, operations })
    }
}

fn read_type(name: &str, table: &Table<'_>, providers: &[ProviderConfig]) -> Result<TypeConfig, ConfigError> {
    table.only(&[
        "description",
        "inputs",
        "optional_inputs",
        "waterfall",
        "until",
        "record_timeout_s",
        "concurrency",
        "unconfigured",
    ])?;
    let description = table.text("description")?.map(|(text, _)| text).unwrap_or_default();

    let inputs_entry = table.need("inputs", "say which fields a record has, such as inputs = [[\"domain\"]]")?;
    let mut inputs = Vec::new();
    for set in inputs_entry.array()? {
        let fields = set.fields()?;
        if fields.is_empty() {
            return Err(set.error("a set of inputs needs at least one field"));
        }
        inputs.push(fields);
    }
    if inputs.is_empty() {
        return Err(inputs_entry.error("inputs is empty; name at least one set, such as [[\"domain\"]]"));
    }
    let optional_inputs = table.get("optional_inputs").map_or(Ok(Vec::new()), |e| e.fields())?;

    let unconfigured = table.text("unconfigured")?.map(|(text, _)| text);
    let waterfall_entry = table.need("waterfall", "name the providers to ask, such as waterfall = [\"brands\"]")?;
    let mut waterfall: Vec<String> = Vec::new();
    for item in waterfall_entry.array()? {
        let asked = item.str()?;
        let Some(provider) = providers.iter().find(|p| p.name == asked) else {
            let known: Vec<&str> = providers.iter().map(|p| p.name.as_str()).collect();
            return Err(item.error(format!(
                "there is no provider `{asked}`; add [providers.{asked}] or name one of: {}",
                known.join(", ")
            )));
        };
        if waterfall.iter().any(|n| n == asked) {
            return Err(item.error(format!("`{asked}` is named twice in this waterfall; remove one")));
        }
        let known = |field: &String| inputs.iter().flatten().chain(&optional_inputs).any(|f| f == field);
        if let Some(missing) = needs(provider).iter().find(|field| !known(field)) {
            return Err(item.error(format!(
                "`{asked}` asks for the input `{missing}`, which this type does not have; add it to inputs or \
                 optional_inputs"
            )));
        }
        waterfall.push(asked.to_owned());
    }
    if waterfall.is_empty() && unconfigured.is_none() {
        return Err(waterfall_entry
            .error("the waterfall is empty; name a provider, or say in `unconfigured` what has to be configured"));
    }
    if let Some(entry) = table.get("unconfigured").filter(|_| !waterfall.is_empty()) {
        return Err(entry.error("the waterfall names providers; take `unconfigured` out, or nobody is asked"));
    }

    let until = match table.get("until") {
        None => Until::Any,
        Some(entry) => match entry.value {
            DeValue::String(text) if text == "any" => Until::Any,
            DeValue::Array(_) => {
                let fields = entry.fields()?;
                if fields.is_empty() {
                    return Err(entry.error("until is empty; write \"any\" or name fields"));
                }
                let given = |field: &String| {
                    providers.iter().any(|p| waterfall.contains(&p.name) && outputs(p).iter().any(|o| o == field))
                };
                if let Some(field) = fields.iter().find(|f| !given(f)) {
                    return Err(entry.error(format!(
                        "no provider of this waterfall gives `{field}`, so that it would never stop early; correct the \
                         name or remove it"
                    )));
                }
                Until::Fields(fields)
            }
            _ => return Err(entry.error("until is \"any\" or a list of output fields")),
        },
    };
    Ok(TypeConfig {
        name: name.to_owned(),
        description,
        inputs,
        optional_inputs,
        waterfall,
        until,
        record_timeout: Duration::from_secs(table.number("record_timeout_s", 1, 100)?.unwrap_or(30)),
        concurrency: usize::try_from(table.number("concurrency", 1, 64)?.unwrap_or(16)).unwrap_or(16),
        unconfigured,
    })
}

/// The input fields without which a provider cannot be asked.
fn needs(provider: &ProviderConfig) -> Vec<String> {
    match &provider.kind {
        Kind::Dataset(dataset) => dataset.key.iter().map(|k| k.input.clone()).collect(),
        Kind::Hem(hem) => vec![hem.input.clone()],
        Kind::Http(http) => {
            let mut fields = http.requires.clone();
            http.each_template(&mut |t| fields.extend(t.inputs().cloned()));
            fields
        }
    }
}

/// The output field of the `hem` provider.
pub const HEM_FIELD: &str = "hashes";

fn outputs(provider: &ProviderConfig) -> Vec<String> {
    match &provider.kind {
        Kind::Dataset(dataset) => dataset.fields.iter().map(|(name, ..)| name.clone()).collect(),
        Kind::Hem(_) => vec![HEM_FIELD.to_owned()],
        Kind::Http(http) => http.fields.iter().map(|(name, _)| name.clone()).collect(),
    }
}

const COMMON: [&str; 4] = ["kind", "confidence", "license", "credits"];

fn read_provider(name: &str, table: &Table<'_>) -> Result<ProviderConfig, ConfigError> {
    let kind_entry = table.need("kind", "say which: dataset, hem or http")?;
    let kind = match kind_entry.str()? {
        "dataset" => Kind::Dataset(read_dataset(table)?),
        "hem" => {
            table.only_and(&COMMON, &["input"])?;
            let input = match table.get("input") {
                None => "email".to_owned(),
                Some(entry) => entry.field()?,
            };
            Kind::Hem(HemConfig { input })
        }
        "http" => Kind::Http(Box::new(read_http(table)?)),
        other => {
            return Err(kind_entry.error(format!("there is no kind of provider `{other}`; it is dataset, hem or http")));
        }
    };
    let confidence = match table.get("confidence") {
        None => None,
        Some(entry) => {
            let number = match entry.value {
                DeValue::Float(f) => f.as_str().replace('_', "").parse::<f64>().ok(),
                DeValue::Integer(i) if i.radix() == 10 => i.as_str().parse::<f64>().ok(),
                _ => None,
            };
            let Some(number) = number.filter(|n| (0.0..=1.0).contains(n)) else {
                return Err(entry.error("confidence is a number from 0 to 1"));
            };
            Some(number)
        }
    };
    Ok(ProviderConfig {
        name: name.to_owned(),
        at: table.source.place(table.at),
        confidence,
        license: table.text("license")?.map(|(text, _)| text),
        credits: u32::try_from(table.number("credits", 0, 1000)?.unwrap_or(1)).unwrap_or(1),
        kind,
    })
}

fn read_dataset(table: &Table<'_>) -> Result<DatasetConfig, ConfigError> {
    table.only_and(&COMMON, &["file", "key", "fields"])?;
    let file_entry = table.need("file", "name the table, such as file = \"data/brands.csv\"")?;
    let file = file_entry.str()?.to_owned();
    let safe = !file.starts_with('/') && !file.contains('\\') && file.split('/').all(|p| !matches!(p, "" | "." | ".."));
    if !safe {
        return Err(file_entry.error("file is a path below the directory of this file, without `..`"));
    }
    let format = match file.rsplit_once('.') {
        Some((_, "csv")) => Format::Csv,
        Some((_, "ndjson" | "jsonl")) => Format::Ndjson,
        _ => return Err(file_entry.error("file ends in .csv, .ndjson or .jsonl")),
    };
    let key_entry = table.need("key", "say which input field is looked up in which column")?;
    let mut key = Vec::new();
    for (input, entry) in key_entry.entries()? {
        let (column, normal) = match entry.value {
            DeValue::String(column) => (column.to_string(), Normal::Exact),
            DeValue::Table(inner) => {
                let inner = Table::new(entry.source, &entry.path, entry.at, inner);
                inner.only(&["column", "as"])?;
                let column = inner.need("column", "name the column of the table")?.str()?.to_owned();
                let normal = match inner.get("as") {
                    None => Normal::Exact,
                    Some(entry) => match entry.str()? {
                        "exact" => Normal::Exact,
                        "domain" => Normal::Domain,
                        "email" => Normal::Email,
                        "name" => Normal::Name,
                        other => {
                            return Err(
                                entry.error(format!("`{other}` is not known here; as is exact, domain, email or name"))
                            );
                        }
                    },
                };
                (column, normal)
            }
            _ => return Err(entry.error("a key is a column's name, or { column = \"…\", as = \"domain\" }")),
        };
        if !is_field(input) {
            return Err(entry.error(FIELD_RULE));
        }
        key.push(KeyColumn { input: input.to_owned(), column, normal, at: entry.place() });
    }
    if key.is_empty() {
        return Err(key_entry.error("key is empty; write key = { INPUT = \"COLUMN\" }"));
    }
    let fields_entry = table.need("fields", "say which column gives which output field")?;
    let mut fields = Vec::new();
    for (name, entry) in fields_entry.entries()? {
        if !is_field(name) {
            return Err(entry.error(FIELD_RULE));
        }
        fields.push((name.to_owned(), entry.str()?.to_owned(), entry.place()));
    }
    if fields.is_empty() {
        return Err(fields_entry.error("fields is empty; write fields = { OUTPUT = \"COLUMN\" }"));
    }
    Ok(DatasetConfig { file, format, file_at: file_entry.place(), key, fields })
}

impl HttpConfig {
    fn each_template(&self, visit: &mut impl FnMut(&Template)) {
        visit(&self.url);
        self.query.iter().chain(&self.headers).for_each(|(_, t)| visit(t));
        if let Some(body) = &self.body {
            body.each_template(visit);
        }
    }
}

fn read_http(table: &Table<'_>) -> Result<HttpConfig, ConfigError> {
    table.only_and(
        &COMMON,
        &[
            "method",
            "url",
            "query",
            "headers",
            "body",
            "secrets",
            "requires",
            "fields",
            "not_found",
            "invalid_status",
            "timeout_s",
            "retries",
        ],
    )?;
    let method = match table.get("method") {
        None => "GET",
        Some(entry) => match entry.str()? {
            "GET" => "GET",
            "POST" => "POST",
            "PUT" => "PUT",
            other => return Err(entry.error(format!("the method `{other}` is not known; it is GET, POST or PUT"))),
        },
    };
    let url_entry =
        table.need("url", "the address of the API, such as https://api.example.com/v1/{{ input.domain }}")?;
    let url = url_entry.template()?;
    check_url(url_entry.str()?, &url).map_err(|why| url_entry.error(why))?;

    let mut query = Vec::new();
    if let Some(entry) = table.get("query") {
        for (name, value) in entry.entries()? {
            query.push((name.to_owned(), value.template()?));
        }
    }
    let mut headers: Vec<(String, Template)> = Vec::new();
    if let Some(entry) = table.get("headers") {
        for (name, value) in entry.entries()? {
            let lower = name.to_ascii_lowercase();
            check_header_name(&lower).map_err(|why| value.error(why))?;
            if headers.iter().any(|(n, _)| *n == lower) {
                return Err(value.error(format!("the header `{lower}` is there twice; remove one")));
            }
            let template = value.template()?;
            if template
                .0
                .iter()
                .any(|p| matches!(p, Part::Text(t) if t.contains(|c: char| c.is_control() && c != '\t')))
            {
                return Err(value.error("a header value has no line breaks or control characters"));
            }
            headers.push((lower, template));
        }
    }
    let body = match table.get("body") {
        None => None,
        Some(entry) if method == "GET" => return Err(entry.error("a GET has no body; use POST, or `query`")),
        Some(entry) => Some(read_body(&entry)?),
    };
    let mut secrets = Vec::new();
    if let Some(entry) = table.get("secrets") {
        for (name, value) in entry.entries()? {
            let DeValue::Table(inner) = value.value else {
                return Err(value.error("a secret is a reference: { env = \"NAME_OF_VARIABLE\" }; never the value"));
            };
            let inner = Table::new(value.source, &value.path, value.at, inner);
            inner.only(&["env"])?;
            let env = inner.need("env", "the name of the environment variable that holds the secret")?;
            let variable = env.str()?;
            if variable.is_empty() || !variable.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(env.error("the name of an environment variable has letters, digits and _ only"));
            }
            if !is_field(name) {
                return Err(value.error(FIELD_RULE));
            }
            secrets.push((name.to_owned(), variable.to_owned(), value.place()));
        }
    }
    let mut fields = Vec::new();
    let fields_entry = table.need("fields", "say where in the response each field is, as a JSON Pointer")?;
    for (name, value) in fields_entry.entries()? {
        if !is_field(name) {
            return Err(value.error(FIELD_RULE));
        }
        fields.push((name.to_owned(), value.pointer()?));
    }
    if fields.is_empty() {
        return Err(fields_entry.error("fields is empty; write fields = { company_name = \"/data/name\" }"));
    }
    let (mut not_found_status, mut not_found_missing) = (vec![404], Vec::new());
    if let Some(entry) = table.get("not_found") {
        let DeValue::Table(inner) = entry.value else {
            return Err(entry.error("not_found is a table: { status = [404], missing = [\"/data\"] }"));
        };
        let inner = Table::new(entry.source, &entry.path, entry.at, inner);
        inner.only(&["status", "missing"])?;
        if let Some(entry) = inner.get("status") {
            not_found_status = entry.statuses()?;
        }
        if let Some(entry) = inner.get("missing") {
            not_found_missing = entry.array()?.iter().map(Entry::pointer).collect::<Result<_, _>>()?;
        }
    }
    let invalid_status = table.get("invalid_status").map_or(Ok(Vec::new()), |e| e.statuses())?;
    if let Some(both) = invalid_status.iter().find(|s| not_found_status.contains(s)) {
        return Err(
            table.error(format!("the status {both} cannot mean both not_found and invalid; remove it from one"))
        );
    }

    let mut http = HttpConfig {
        method: Cow::Borrowed(method),
        url,
        query,
        headers,
        body,
        secrets,
        requires: Vec::new(),
        fields,
        not_found_status,
        not_found_missing,
        invalid_status,
        timeout: Duration::from_secs(table.number("timeout_s", 1, 100)?.unwrap_or(20)),
        retries: u32::try_from(table.number("retries", 0, 5)?.unwrap_or(2)).unwrap_or(2),
    };
    let (mut used, mut unknown_secret) = (Vec::<String>::new(), None);
    http.each_template(&mut |template| {
        used.extend(template.inputs().cloned());
        if let Some(name) = template.secrets().find(|name| !http.secrets.iter().any(|(n, ..)| n == *name)) {
            unknown_secret.get_or_insert_with(|| name.clone());
        }
    });
    if let Some(name) = unknown_secret {
        return Err(table.error(format!(
            "a template names {{{{ secret.{name} }}}}, which is not declared; add secrets = {{ {name} = {{ env = \"…\" }} }}"
        )));
    }
    used.sort();
    used.dedup();
    http.requires = match table.get("requires") {
        None => used,
        Some(entry) => {
            let requires = entry.fields()?;
            let fixed = http.url.inputs().chain(http.headers.iter().flat_map(|(_, t)| t.inputs()));
            if let Some(missing) = fixed.into_iter().find(|f| !requires.contains(f)) {
                return Err(entry.error(format!(
                    "the URL or a header uses `{missing}`, which can only be left out of query and body; add it to \
                     requires"
                )));
            }
            requires
        }
    };
    Ok(http)
}

/// A URL template's scheme, host and port must be literal: nobody's input chooses where a request goes.
fn check_url(text: &str, template: &Template) -> Result<(), String> {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
        return Err("the URL begins with https:// (or http:// where the operator allows it), written out".to_owned());
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains("{{") || authority.contains("}}") {
        return Err("the host of the URL is written out; a template may stand in the path and in query only".to_owned());
    }
    if authority.contains('@') {
        return Err("the URL holds no user or password; use a header with {{ secret.NAME }}".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let good = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.split('.').all(|label| {
                    !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                })
        }
    };
    if !good {
        return Err(format!("`{host}` is not a host name; write it in ASCII (xn--… for other letters)"));
    }
    if port.is_some_and(|p| p.parse::<u16>().map_or(true, |p| p == 0)) {
        return Err("the URL's port is a number from 1 to 65535".to_owned());
    }
    if rest.contains('#') {
        return Err("the URL has no fragment".to_owned());
    }
    let literal = |part: &Part| if let Part::Text(text) = part { Some(text.to_ascii_lowercase()) } else { None };
    let literals: Vec<String> = template.0.iter().filter_map(literal).collect();
    if literals.iter().any(|t| !t.chars().all(|c| c.is_ascii_graphic())) {
        return Err("the URL has no spaces, control or non-ASCII characters; percent-encode them".to_owned());
    }
    // URL parsers walk up on these, encoded or not, and a value beside one could make one.
    let dots = rest.split('?').next().unwrap_or_default().split('/').any(|segment| matches!(segment, "." | ".."));
    if dots || literals.iter().any(|t| t.contains("%2e")) {
        return Err("the URL's path has no `.` or `..` segments and no %2E; write the path that is meant".to_owned());
    }
    Ok(())
}

fn check_header_name(lower: &str) -> Result<(), String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if lower.is_empty() || !lower.chars().all(token) {
        return Err(format!("`{lower}` is not the name of a header"));
    }
    // The sender's own business; letting a file set them would desynchronise the message.
    if matches!(lower, "host" | "content-length" | "transfer-encoding" | "connection" | "te" | "upgrade" | "trailer") {
        return Err(format!("the header `{lower}` is set by the sender; remove it"));
    }
    Ok(())
}

fn read_body(entry: &Entry<'_>) -> Result<BodyTemplate, ConfigError> {
    Ok(match entry.value {
        DeValue::String(_) => BodyTemplate::Text(entry.template()?),
        DeValue::Boolean(b) => BodyTemplate::Literal((*b).into()),
        DeValue::Integer(i) => {
            let number = i64::from_str_radix(&i.as_str().replace('_', ""), i.radix());
            BodyTemplate::Literal(number.map_err(|_| entry.error("this number is too large"))?.into())
        }
        DeValue::Float(f) => {
            let number = f.as_str().replace('_', "").parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            BodyTemplate::Literal(number.ok_or_else(|| entry.error("JSON has no such number"))?.into())
        }
        DeValue::Datetime(_) => return Err(entry.error("JSON has no dates; put it in quotes")),
        DeValue::Array(_) => BodyTemplate::Array(entry.array()?.iter().map(read_body).collect::<Result<_, _>>()?),
        DeValue::Table(_) => {
            let members = entry.entries()?;
            let members = members.iter().map(|(name, value)| Ok(((*name).to_owned(), read_body(value)?)));
            BodyTemplate::Object(members.collect::<Result<_, ConfigError>>()?)
        }
    })
}

const FIELD_RULE: &str = "a field's name has 1 to 64 letters, digits and _";

fn is_field(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
}

/// The text a span points into.
#[derive(Clone, Copy)]
struct Source<'t> {
    file: &'t str,
    text: &'t str,
}

impl Source<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Place {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// A table and where it stands.
struct Table<'t> {
    source: Source<'t>,
    path: String,
    at: usize,
    entries: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    fn new(source: Source<'t>, path: &str, at: usize, entries: &'t DeTable<'t>) -> Self {
        Self { source, path: path.to_owned(), at, entries }
    }

    fn error(&self, message: impl fmt::Display) -> ConfigError {
        self.source.place(self.at).error(format!("{}: {message}", self.path))
    }

    fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        self.only_and(known, &[])
    }

    fn only_and(&self, known: &[&str], more: &[&str]) -> Result<(), ConfigError> {
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

    fn get(&self, name: &str) -> Option<Entry<'t>> {
        let (_, value) = self.entries.iter().find(|(key, _)| key.get_ref() == name)?;
        Some(Entry::new(self.source, format!("{}: {name}", self.path), value))
    }

    fn need(&self, name: &str, advice: &str) -> Result<Entry<'t>, ConfigError> {
        self.get(name).ok_or_else(|| self.error(format!("`{name}` is missing; {advice}")))
    }

    fn text(&self, name: &str) -> Result<Option<(String, Entry<'t>)>, ConfigError> {
        self.get(name).map(|entry| Ok((entry.str()?.to_owned(), entry))).transpose()
    }

    fn number(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, ConfigError> {
        let Some(entry) = self.get(name) else { return Ok(None) };
        let number = match entry.value {
            DeValue::Integer(i) => u64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok(),
            _ => None,
        };
        match number {
            Some(number) if (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(entry.error(format!("must be a whole number from {least} to {most}"))),
        }
    }

    /// Every member.
    fn members(&self) -> impl Iterator<Item = (&'t str, Entry<'t>)> {
        self.entries.iter().map(|(key, value)| {
            let name: &'t str = key.get_ref();
            (name, Entry::new(self.source, format!("{}: {name}", self.path), value))
        })
    }

    /// The tables of a table by name, in the file's order.
    fn tables(&self, name: &str) -> Result<Vec<(&'t str, Table<'t>)>, ConfigError> {
        let Some(entry) = self.get(name) else { return Ok(Vec::new()) };
        let DeValue::Table(inner) = entry.value else {
            return Err(entry.error(format!("must be tables, [{name}.NAME]")));
        };
        let mut tables = Vec::new();
        for (key, value) in inner {
            let key_name: &'t str = key.get_ref();
            let at = key.span().start;
            if !is_name(key_name) {
                let rule = "a name has 1 to 64 lower-case letters, digits, - and _";
                return Err(self.source.place(at).error(format!("{name}.{key_name}: {rule}")));
            }
            let DeValue::Table(entries) = value.get_ref() else {
                return Err(self.source.place(at).error(format!("{name}.{key_name} must be a table")));
            };
            tables.push((key_name, Table::new(self.source, &format!("{name}.{key_name}"), at, entries)));
        }
        tables.sort_by_key(|(_, table)| table.at);
        Ok(tables)
    }
}

/// A value and where it stands.
struct Entry<'t> {
    source: Source<'t>,
    path: String,
    at: usize,
    value: &'t DeValue<'t>,
}

impl<'t> Entry<'t> {
    fn new(source: Source<'t>, path: String, value: &'t Spanned<DeValue<'t>>) -> Self {
        Self { source, path, at: value.span().start, value: value.get_ref() }
    }

    fn place(&self) -> Place {
        self.source.place(self.at)
    }

    fn error(&self, message: impl fmt::Display) -> ConfigError {
        self.place().error(format!("{}: {message}", self.path))
    }

    fn str(&self) -> Result<&'t str, ConfigError> {
        match self.value {
            DeValue::String(text) if !text.is_empty() => Ok(text),
            _ => Err(self.error("must be a text in quotes, not empty")),
        }
    }

    fn field(&self) -> Result<String, ConfigError> {
        let name = self.str()?;
        if is_field(name) { Ok(name.to_owned()) } else { Err(self.error(FIELD_RULE)) }
    }

    fn array(&self) -> Result<Vec<Entry<'t>>, ConfigError> {
        match self.value {
            DeValue::Array(items) => {
                Ok(items.iter().map(|item| Entry::new(self.source, self.path.clone(), item)).collect())
            }
            _ => Err(self.error("must be a list, [ … ]")),
        }
    }

    /// A list of field names, none twice.
    fn fields(&self) -> Result<Vec<String>, ConfigError> {
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

    fn statuses(&self) -> Result<Vec<u16>, ConfigError> {
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

    /// The members of a table, in the file's order.
    fn entries(&self) -> Result<Vec<(&'t str, Entry<'t>)>, ConfigError> {
        let DeValue::Table(inner) = self.value else {
            return Err(self.error("must be a table, { NAME = … }"));
        };
        let mut entries: Vec<(usize, &'t str, Entry<'t>)> = inner
            .iter()
            .map(|(key, value): (&'t Spanned<DeString<'t>>, _)| {
                let name: &'t str = key.get_ref();
                (key.span().start, name, Entry::new(self.source, format!("{}.{name}", self.path), value))
            })
            .collect();
        entries.sort_by_key(|(at, ..)| *at);
        Ok(entries.into_iter().map(|(_, name, entry)| (name, entry)).collect())
    }

    fn template(&self) -> Result<Template, ConfigError> {
        Template::parse(self.str()?).map_err(|why| self.error(why))
    }

    /// A JSON Pointer, RFC 6901. Chosen because it names exactly one place and `serde_json` follows it by itself.
    fn pointer(&self) -> Result<String, ConfigError> {
        let text = self.str()?;
        let escapes = text.match_indices('~').all(|(at, _)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1')));
        if text.starts_with('/') && escapes {
            return Ok(text.to_owned());
        }
        let advice = text.strip_prefix("$.").map(|path| format!("; write \"/{}\"", path.replace('.', "/")));
        Err(self.error(format!("`{text}` is not a JSON Pointer (RFC 6901){}", advice.unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[types.company]\ninputs = [[\"domain\"]]\nwaterfall = [\"brands\"]\n\n[providers.brands]\n\
                        kind = \"dataset\"\nfile = \"data/b.csv\"\nkey = { domain = \"domain\" }\nfields = { name = \"name\" }\n";

    const HTTP: &str = "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"api\"]\n[providers.api]\nkind = \"http\"\n\
                        url = \"https://api.example.com/{{ input.domain }}\"\nfields = { name = \"/name\" }\n";

    fn error(text: &str) -> String {
        match Config::parse("p.toml", text) {
            Ok(_) => panic!("accepted:\n{text}"),
            Err(e) => e.to_string(),
        }
    }

    /// `text` with its one `from` replaced.
    fn with(text: &str, from: &str, to: &str) -> String {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    }

    #[test]
    fn reads_a_file_and_fills_in_defaults() {
        let config = Config::parse("p.toml", GOOD).unwrap();
        let company = &config.types[0];
        assert_eq!(company.inputs, [["domain"]]);
        assert_eq!(company.until, Until::Any);
        assert_eq!((company.record_timeout, company.concurrency), (Duration::from_secs(30), 16));
        assert_eq!((config.providers[0].credits, config.providers[0].confidence), (1, None));
        let config = Config::parse("p.toml", HTTP).unwrap();
        let Kind::Http(http) = &config.providers[0].kind else { panic!() };
        assert_eq!((http.method.as_ref(), http.retries, http.timeout), ("GET", 2, Duration::from_secs(20)));
        assert_eq!((&*http.requires, &*http.not_found_status), (&["domain".to_owned()][..], &[404][..]));
    }

    #[test]
    fn the_shipped_file_and_its_commented_example_are_right() {
        let text = include_str!("../../../infra/providers.toml");
        Config::parse("infra/providers.toml", text).unwrap();
        let (before, example) = text.split_once("# [providers.my-api]\n").unwrap();
        let (example, _) = example.split_once("\n#\n").unwrap();
        // Other lines are explanations.
        let example =
            example.lines().map(|l| l.trim_start_matches(['#', ' '])).filter(|l| l.split(' ').nth(1) == Some("="));
        let example = example.collect::<Vec<_>>().join("\n");
        let text = format!(
            "{}[providers.my-api]\n{example}",
            with(
                before,
                "inputs = [[\"domain\"]]\nwaterfall = [\"brands\"]",
                "inputs = [[\"domain\"]]\noptional_inputs = \
                 [\"country\"]\nwaterfall = [\"brands\", \"my-api\"]"
            )
        );
        let config = Config::parse("example", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert!(matches!(config.providers.last().unwrap().kind, Kind::Http(_)));
    }

    #[test]
    fn faults_name_line_column_and_what_to_do() {
        for (text, wanted) in [
            (
                with(GOOD, "waterfall =", "unconfigured = \"x\"\nwaterfall ="),
                "p.toml:3:16: types.company: unconfigured: the waterfall names providers; take `unconfigured` out",
            ),
            (
                with(GOOD, "waterfall", "waterfal"),
                "p.toml:3:1: types.company: the key `waterfal` is not known; known here are",
            ),
            (
                with(GOOD, "[\"brands\"]", "[\"brand\"]"),
                "p.toml:3:14: types.company: waterfall: there is no provider `brand`; add [providers.brand] or name one of: brands",
            ),
            (
                with(GOOD, "[\"brands\"]", "[\"brands\", \"brands\"]"),
                "p.toml:3:24: types.company: waterfall: `brands` is named twice",
            ),
            (with(GOOD, "[\"brands\"]", "[]"), "p.toml:3:13: types.company: waterfall: the waterfall is empty"),
            (
                with(GOOD, "inputs = [[\"domain\"]]\n", ""),
                "p.toml:1:8: types.company: `inputs` is missing; say which fields",
            ),
            (with(GOOD, "[[\"domain\"]]", "[]"), "p.toml:2:10: types.company: inputs: inputs is empty"),
            (
                with(GOOD, "[[\"domain\"]]", "[[]]"),
                "p.toml:2:11: types.company: inputs: a set of inputs needs at least one field",
            ),
            (with(GOOD, "[[\"domain\"]]", "[[\"a/b\"]]"), "p.toml:2:12: types.company: inputs: a field's name has"),
            (
                with(GOOD, "[[\"domain\"]]", "[[\"name\"]]"),
                "p.toml:3:14: types.company: waterfall: `brands` asks for the input `domain`, which this type does not have",
            ),
            (
                with(GOOD, "\n\n[prov", "\nuntil = [\"nmae\"]\n[prov"),
                "p.toml:4:9: types.company: until: no provider of this waterfall gives `nmae`",
            ),
            (
                with(GOOD, "\n\n[prov", "\nuntil = \"all\"\n[prov"),
                "p.toml:4:9: types.company: until: until is \"any\" or a list",
            ),
            (
                with(GOOD, "\n\n[prov", "\nrecord_timeout_s = 101\n[prov"),
                "p.toml:4:20: types.company: record_timeout_s: must be a whole number from 1 to 100",
            ),
            (
                with(GOOD, "\n\n[prov", "\nconcurrency = 0\n[prov"),
                "p.toml:4:15: types.company: concurrency: must be a whole number from 1 to 64",
            ),
            (with(GOOD, "\n\n[prov", "\nconcurrency = -1\n[prov"), "p.toml:4:15: types.company: concurrency: must be"),
            (
                with(GOOD, "\"dataset\"", "\"datset\""),
                "p.toml:6:8: providers.brands: kind: there is no kind of provider `datset`; it is dataset, hem or http",
            ),
            (with(GOOD, "kind = \"dataset\"\n", ""), "p.toml:5:12: providers.brands: `kind` is missing"),
            (with(GOOD, "data/b.csv", "../b.csv"), "p.toml:7:8: providers.brands: file: file is a path below"),
            (with(GOOD, "data/b.csv", "/etc/b.csv"), "p.toml:7:8: providers.brands: file: file is a path below"),
            (with(GOOD, "data/b.csv", "data/b.xls"), "p.toml:7:8: providers.brands: file: file ends in"),
            (
                with(GOOD, "{ domain = \"domain\" }", "{ domain = { column = \"d\", as = \"url\" } }"),
                "p.toml:8:39: providers.brands: key.domain: as: `url` is not known",
            ),
            (with(GOOD, "{ domain = \"domain\" }", "{}"), "p.toml:8:7: providers.brands: key: key is empty"),
            (
                format!("{GOOD}confidence = 1.5\n"),
                "p.toml:10:14: providers.brands: confidence: confidence is a number from 0 to 1",
            ),
            (
                format!("{GOOD}confidence = nan\n"),
                "p.toml:10:14: providers.brands: confidence: confidence is a number from 0 to 1",
            ),
            (
                format!("{GOOD}credits = 1001\n"),
                "p.toml:10:11: providers.brands: credits: must be a whole number from 0 to 1000",
            ),
            (format!("{GOOD}kind = \"hem\"\n"), "p.toml:10:1: duplicate key"),
            (format!("{GOOD}[providers.brands]\n"), "p.toml:10:12: duplicate key"),
            (format!("{GOOD}[providers.Brands]\nkind = \"hem\"\n"), "p.toml:10:12: providers.Brands: a name has"),
            (format!("{GOOD}[other]\n"), "p.toml:10:2: the file: the key `other` is not known"),
            (format!("{GOOD}x = \n"), "p.toml:10:"),
            (String::new(), "p.toml:1:1: the file: there is no type"),
            ("[types.tä\n".to_owned(), "p.toml:1:"),
        ] {
            let error = error(&text);
            assert!(error.starts_with(wanted), "wanted {wanted}\n   got {error}");
        }
    }

    #[test]
    fn faults_of_an_http_provider() {
        let url = "https://api.example.com/{{ input.domain }}";
        for (to, wanted) in [
            ("https://{{ input.domain }}/x", "the host of the URL is written out"),
            ("https://api.{{ input.domain }}.com/x", "the host of the URL is written out"),
            ("https://api.example.com{{ input.domain }}", "the host of the URL is written out"),
            ("https://api.example.com:{{ input.domain }}/", "the host of the URL is written out"),
            ("{{ input.domain }}://api.example.com/", "the URL begins with https://"),
            ("ftp://api.example.com/", "the URL begins with https://"),
            ("/v1", "the URL begins with https://"),
            ("https://", "`` is not a host name"),
            ("https://user:pw@api.example.com/", "the URL holds no user or password"),
            ("https://api..example.com/", "is not a host name"),
            ("https://bücher.example/", "is not a host name"),
            ("https://[::g]/", "is not a host name"),
            ("https://api.example.com:0/", "port is a number"),
            ("https://api.example.com:99999/", "port is a number"),
            ("https://api.example.com/a#b", "no fragment"),
            ("https://api.example.com/a b", "no spaces"),
            ("https://api.example.com/a b/{{ input.domain }}", "no spaces"),
            ("https://api.example.com/ü/{{ input.domain }}", "no spaces"),
            ("https://api.example.com/a/../{{ input.domain }}", "no `.` or `..` segments"),
            ("https://api.example.com/%2E{{ input.domain }}", "no `.` or `..` segments"),
            ("https://api.example.com/{{ input.domain", "`{{` has no `}}`"),
            ("https://api.example.com/{{ domain }}", "`{{ domain }}` is not known"),
            ("https://api.example.com/{{ input.domain | upper }}", "is not known"),
            ("https://api.example.com/{% if x %}", "only {{ input.FIELD }}"),
            ("https://api.example.com/{{ env.HOME }}", "`{{ env.HOME }}` is not known"),
        ] {
            let error = error(&with(HTTP, url, to));
            assert!(error.starts_with("p.toml:6:7: providers.api: url: ") && error.contains(wanted), "{to}: {error}");
        }
        for (line, wanted) in [
            ("method = \"DELETE\"", "p.toml:8:10: providers.api: method: the method `DELETE` is not known"),
            ("body = { a = 1 }", "p.toml:8:8: providers.api: body: a GET has no body"),
            (
                "headers = { \"a b\" = \"x\" }",
                "p.toml:8:21: providers.api: headers.a b: `a b` is not the name of a header",
            ),
            (
                "headers = { Host = \"x\" }",
                "p.toml:8:20: providers.api: headers.Host: the header `host` is set by the sender",
            ),
            (
                "headers = { a = \"x\\r\\ny: z\" }",
                "p.toml:8:17: providers.api: headers.a: a header value has no line breaks",
            ),
            (
                "headers = { a = \"1\", A = \"2\" }",
                "p.toml:8:26: providers.api: headers.A: the header `a` is there twice",
            ),
            (
                "headers = { a = \"{{ secret.key }}\" }",
                "p.toml:4:12: providers.api: a template names {{ secret.key }}, which is not declared",
            ),
            ("secrets = { key = \"abc\" }", "p.toml:8:19: providers.api: secrets.key: a secret is a reference"),
            (
                "secrets = { key = { env = \"A B\" } }",
                "p.toml:8:27: providers.api: secrets.key: env: the name of an environment variable",
            ),
            (
                "secrets = { key = { ssm = \"A\" } }",
                "p.toml:8:21: providers.api: secrets.key: the key `ssm` is not known",
            ),
            ("requires = []", "p.toml:8:12: providers.api: requires: the URL or a header uses `domain`"),
            (
                "query = { c = \"{{ input.country }}\" }",
                "p.toml:3:14: types.t: waterfall: `api` asks for the input `country`",
            ),
            ("not_found = { status = [99] }", "p.toml:8:25: providers.api: not_found: status: an HTTP status"),
            (
                "not_found = { missing = [\"data\"] }",
                "p.toml:8:26: providers.api: not_found: missing: `data` is not a JSON Pointer",
            ),
            ("invalid_status = [404]", "p.toml:4:12: providers.api: the status 404 cannot mean both"),
            ("timeout_s = 0", "p.toml:8:13: providers.api: timeout_s: must be a whole number from 1 to 100"),
            ("retries = 6", "p.toml:8:11: providers.api: retries: must be a whole number from 0 to 5"),
        ] {
            let error = error(&format!("{HTTP}{line}\n"));
            assert!(error.starts_with(wanted), "wanted {wanted}\n   got {error}");
        }
        let error = error(&with(HTTP, "\"/name\"", "\"$.data.name\""));
        assert_eq!(
            error,
            "p.toml:7:19: providers.api: fields.name: `$.data.name` is not a JSON Pointer (RFC 6901); write \"/data/name\""
        );
    }
}
