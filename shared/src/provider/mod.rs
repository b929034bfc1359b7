//! Providers and the waterfall over them.
//!
//! A provider answers one question: what do you know about this input? The waterfall (`waterfall.rs`) asks several in
//! order and merges what they find. `config.rs` reads `providers.toml`, which declares types and providers.
//!
//! [`Catalog`] is what the file says about types (inputs, prices, limits) and is all that `submit` loads. [`Registry`]
//! is a catalog with its providers built: tables opened, secrets of the environment resolved. `enrich` loads that.

pub mod breaker;
pub mod cache;
mod charset;
pub mod chat;
pub mod config;
pub mod dataset;
mod email;
pub mod email_check;
pub mod hem;
pub mod http;
pub mod ip;
mod keyed;
pub mod limit;
pub mod limited;
mod notice;
pub mod phone;
pub mod refreshed;
pub mod seen;
mod suffix;
#[cfg(test)]
mod testing;
pub mod waits;
pub mod waterfall;
pub mod web;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use self::cache::Cache;
use self::chat::Chat;
pub use self::config::ConfigError;
use self::config::compiled::{self, COMPILED_FILE, Unfit};
use self::config::{Config, Kind, ProviderConfig, SecretConfig, Until};
use self::dataset::Dataset;
use self::email_check::EmailCheck;
use self::hem::Hem;
use self::http::Http;
use self::ip::IpDatabases;
use self::keyed::Keyed;
use self::limited::Limited;
use self::phone::Phone;
use self::seen::Seen;
pub use self::waterfall::Waterfall;
use self::web::{DomainFinder, Signals, Site, Tech};
use crate::domain::ids::TenantId;
use crate::domain::record::{is_blank, present};
use crate::ports::{Assets, Clock, Dns, Entropy, HttpSender, Store};

/// The configuration's name in the directory that holds it.
pub const CONFIG_FILE: &str = "providers.toml";

/// The most characters a required input field may have.
pub const MAX_INPUT_CHARS: usize = 2_048;

/// What a provider knows about an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Found {
        /// Fields by name, in the order to show them; never empty.
        fields: Map<String, Value>,
        /// Where the provider says.
        confidence: Option<Confidence>,
    },
    NotFound,
    /// The input cannot be what this provider asks for (no domain, no e-mail address).
    Invalid(String),
    /// No answer was to be had. `detail` is for people and holds no secret and no personal datum.
    Failed {
        code: String,
        detail: String,
    },
    /// The upstream took the question and will answer later: the record is parked, and asked for again.
    Later(Later),
}

/// How sure an answer is, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Confidence {
    /// Of every field.
    Same(f64),
    /// Of each field by its name.
    Each(BTreeMap<String, f64>),
}

/// By hand: where numbers keep their text, serde's `untagged` takes some for objects.
impl<'de> Deserialize<'de> for Confidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let same = serde_json::from_str(raw.get()).map(Self::Same);
        same.or_else(|_| serde_json::from_str(raw.get()).map(Self::Each)).map_err(de::Error::custom)
    }
}

impl Confidence {
    /// How sure this field is.
    pub fn of(&self, field: &str) -> Option<f64> {
        match self {
            Self::Same(confidence) => Some(*confidence),
            Self::Each(fields) => fields.get(field).copied(),
        }
    }
}

impl From<f64> for Confidence {
    fn from(confidence: f64) -> Self {
        Self::Same(confidence)
    }
}

/// When and how to come back to a question that was taken and not answered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Later {
    /// What the provider needs to find its answer again, such as the upstream's id; handed back as
    /// [`Earlier::ticket`]. `None`: nothing was asked yet, and the question is put afresh.
    pub ticket: Option<Value>,
    /// Not asked again before, unless the upstream calls back.
    pub look_in: Duration,
    /// From the first such answer of this provider on: with no answer by then, the provider has failed.
    pub give_up_in: Duration,
    /// Nothing was put to the provider this time: its limits stood before it. What was posted is still unheard, and a look
    /// after a question that was taken is made up for within `give_up_in` of the time at which it would have been given up.
    pub refused: bool,
    /// That the upstream cannot be asked, where that is what is waited for, and not our own rate.
    pub outage: Option<Outage>,
}

/// An upstream that cannot be asked: it has too many requests, is unavailable, or its circuit is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// The HTTP status that it answered with; `None` where it did not answer, or others met it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// A question that a provider took before.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// As the provider gave it.
    pub ticket: Value,
    /// What the upstream posted to [`Question::callback`] since, where it did. It came from outside: the URL was ours, the
    /// content is whatever it is.
    pub posted: Option<Value>,
}

/// One question to a provider.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub input: &'a Map<String, Value>,
    /// To be answered within this; the caller drops the call when the record's own deadline comes first.
    pub limit: Duration,
    /// The same whenever this record's question is put to this provider, and different for every other: for upstreams that
    /// recognise a repeated request.
    pub key: &'a str,
    /// Where an upstream may post an answer that it gives later. `None` where nobody could reach us.
    pub callback: Option<&'a str>,
    /// The question as it was taken before, where it was.
    pub earlier: Option<&'a Earlier>,
    /// Nothing was found so far and nobody else is left to be asked: to wait is better than to fail.
    pub last: bool,
    /// How long the record may wait for an upstream that cannot be asked, where waiting is all that is left.
    pub wait: Duration,
}

impl Answer {
    pub(crate) fn failed(code: &str, detail: impl Into<String>) -> Self {
        Self::Failed { code: code.to_owned(), detail: detail.into() }
    }
}

/// What a provider may use while it answers.
#[derive(Clone)]
pub struct Ports {
    pub http: Arc<dyn HttpSender>,
    pub dns: Arc<dyn Dns>,
    pub assets: Arc<dyn Assets>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// What all processes know together of their upstreams; `None`: each knows its own.
    pub shared: Option<Arc<dyn Store>>,
    /// Earlier answers, where any are kept.
    pub cache: Option<Arc<Cache>>,
    /// When the tenant first saw what carries no date; `None`: nobody remembers.
    pub seen: Option<Seen>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// A source of data about records.
#[async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer;

    /// Whether it may answer [`Answer::Later`] and can make use of [`Question::callback`].
    fn calls_back(&self) -> bool {
        false
    }

    /// Whether this question is put by a request of its own, which may wait for its turn at a rate before anything else. Others
    /// take a slot when they send, if they do.
    fn takes_turn(&self, _question: &Question<'_>) -> bool {
        true
    }

    /// Reads now what is otherwise read at the first question, and says what there is, such as `2,285 rows`. `Err` says what
    /// is wrong with it.
    async fn inspect(&self, _ports: &Ports) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}

/// The value of a secret; `None` where there is none.
pub type Secrets<'a> = &'a dyn Fn(&SecretConfig) -> Option<String>;

/// The value of an environment variable; `None` where it is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A type of record as callers see it: what it needs, what it costs, how it is run.
#[derive(Debug, Clone)]
pub struct RecordType {
    name: String,
    description: String,
    inputs: Vec<Vec<String>>,
    optional_inputs: Vec<String>,
    /// Provider names in the order asked, with the credits each takes for a record it contributes to.
    waterfall: Vec<(String, u32)>,
    until: Until,
    record_timeout: Duration,
    concurrency: usize,
    wait: Duration,
    unconfigured: Option<String>,
}

impl RecordType {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The sets of input fields: a record has every field of at least one set.
    pub fn inputs(&self) -> &[Vec<String>] {
        &self.inputs
    }

    /// Fields that a record may have besides.
    pub fn optional_inputs(&self) -> &[String] {
        &self.optional_inputs
    }

    /// The names of the providers in the order they are asked unless a request says otherwise.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.waterfall.iter().map(|(name, _)| name.as_str())
    }

    /// When the waterfall stops before its end.
    pub fn until(&self) -> &Until {
        &self.until
    }

    /// How long one record may take.
    pub fn record_timeout(&self) -> Duration {
        self.record_timeout
    }

    /// How many records of a chunk are worked on at once, 1 to 64.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// How long a record waits for an upstream that cannot be asked, where nobody else could answer.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Whether this type can be run at all; where not, what to configure (for the error `provider_unconfigured`).
    pub fn usable(&self) -> Result<(), &str> {
        self.unconfigured.as_deref().map_or(Ok(()), Err)
    }

    /// The most credits one record can cost, in the type's own order or in the given one. Unknown names cost nothing.
    pub fn price(&self, order: Option<&[String]>) -> u32 {
        let asked = |name: &str| order.is_none_or(|o| o.iter().any(|n| n == name));
        let prices = self.waterfall.iter().filter(|(name, _)| asked(name)).map(|(_, credits)| *credits);
        match self.until {
            // The first that finds anything is the only one that is paid.
            Until::Any { confidence: 0.0 } => prices.max().unwrap_or(0),
            Until::Any { .. } | Until::All(_) => prices.fold(0, u32::saturating_add),
        }
    }

    /// Whether a request may override the order so: some of the type's own providers, each once. `Err` holds the names
    /// that are unknown to this type or repeated; an empty order is `Err` without names.
    pub fn validate_order(&self, order: &[String]) -> Result<(), Vec<String>> {
        let wrong: Vec<String> = order
            .iter()
            .enumerate()
            .filter(|(at, name)| !self.providers().any(|p| p == *name) || order[..*at].contains(name))
            .map(|(_, name)| name.clone())
            .collect();
        if wrong.is_empty() && !order.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// Whether an input has the shape this type asks for: every field of at least one set, each a string of at most
    /// [`MAX_INPUT_CHARS`] characters, and no field that the type does not know. Blank fields count as absent. `Err` holds
    /// every fault as (JSON Pointer into the input, what is wrong).
    pub fn check_input(&self, input: &Map<String, Value>) -> Result<(), Vec<(String, String)>> {
        let known = |name: &str| self.inputs.iter().flatten().chain(&self.optional_inputs).any(|f| f == name);
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
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

fn text_fault(value: &Value) -> Option<String> {
    let Some(text) = value.as_str() else { return Some("must be a string".to_owned()) };
    // Bytes bound characters from above, so that short texts need no counting.
    (text.len() > MAX_INPUT_CHARS && text.chars().count() > MAX_INPUT_CHARS)
        .then(|| format!("is longer than {MAX_INPUT_CHARS} characters"))
}

/// What `providers.toml` says about types: enough to check, price and accept a job. No table and no secret is touched.
#[derive(Debug, Clone)]
pub struct Catalog {
    types: Vec<Arc<RecordType>>,
    /// (surface, operation, type).
    operations: Vec<(String, String, String)>,
}

impl Catalog {
    /// Reads `providers.toml` in `dir`.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        Ok(Self::of(&load_config(dir)?))
    }

    /// The catalog of a configuration already read.
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
        Self { types: types.collect(), operations: config.operations.clone() }
    }

    pub fn kind(&self, name: &str) -> Option<&RecordType> {
        self.types.iter().find(|t| t.name == name).map(AsRef::as_ref)
    }

    /// The name of the type that answers an operation of a surface.
    pub fn operation(&self, surface: &str, operation: &str) -> Option<&str> {
        self.operations.iter().find(|(s, o, _)| s == surface && o == operation).map(|(.., kind)| kind.as_str())
    }

    /// Every (surface, operation) that is mapped to a type.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.operations.iter().map(|(surface, operation, _)| (surface.as_str(), operation.as_str()))
    }

    /// Every type, in the file's order.
    pub fn kinds(&self) -> impl Iterator<Item = &RecordType> {
        self.types.iter().map(AsRef::as_ref)
    }
}

/// A catalog with its providers ready to answer.
#[derive(Debug)]
pub struct Registry {
    catalog: Catalog,
    waterfalls: Vec<Waterfall>,
    cache_secrets: cache::Secrets,
}

impl Registry {
    /// Reads `providers.toml` in `dir` and the tables it names, and resolves its secrets. Every provider that is
    /// declared must be complete: a missing table, column or variable is an error that names it. A table's rows, and what is
    /// outside of the bundle, are read when the first record asks.
    pub fn load(dir: &Path, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let config = load_config(dir)?;
        Self::assemble(&config, |provider| build(provider, dir, environment))
    }

    /// A registry whose providers are made by `build`, one call for each provider of the configuration.
    pub fn assemble(
        config: &Config,
        mut build: impl FnMut(&ProviderConfig) -> Result<Arc<dyn Provider>, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let catalog = Catalog::of(config);
        let mut built = BTreeMap::new();
        for provider in &config.providers {
            let read = match &provider.kind {
                Kind::Chat(_) => chat::as_named,
                _ => std::convert::identity,
            };
            let limited = Limited::around(provider, build(provider)?, read);
            built.insert(provider.name.as_str(), (provider, limited));
        }
        let waterfalls = catalog
            .types
            .iter()
            .map(|kind| {
                let steps = kind.providers().filter_map(|name| built.get(name));
                let steps = steps.map(|(provider, built)| waterfall::Step::new(provider, built.clone())).collect();
                Waterfall::new(kind.clone(), steps)
            })
            .collect();
        Ok(Self { catalog, waterfalls, cache_secrets: cache::Secrets::default() })
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub fn kind(&self, name: &str) -> Option<&RecordType> {
        self.catalog.kind(name)
    }

    /// Earlier answers of a type's providers to questions of this tenant, for a run over records with these inputs; `None`
    /// where none are kept.
    pub fn cache<'i>(
        &self,
        kind: &str,
        store: &Arc<dyn Store>,
        tenant: &TenantId,
        inputs: impl IntoIterator<Item = &'i Map<String, Value>>,
    ) -> Option<Arc<Cache>> {
        self.waterfall(kind).filter(|waterfall| waterfall.keeps_answers())?;
        let inputs = inputs.into_iter().cloned().collect();
        Some(Arc::new(Cache::new(store.clone(), self.cache_secrets.clone(), tenant.to_string(), inputs)))
    }

    /// The waterfall of a type: `registry.waterfall("company")?.run(&request, None, ports).await`.
    pub fn waterfall(&self, name: &str) -> Option<&Waterfall> {
        self.waterfalls.iter().find(|w| w.kind().name == name)
    }
}

/// Reads `providers.toml` in `dir` at Init; touches no table and no secret. Takes what the bundle step read of it where that
/// was made of this very text by this code, and parses the text where not. Reading JSON takes a fraction of what reading
/// TOML with its places takes, and it is most of what Init computes.
pub fn load_config(dir: &Path) -> Result<Config, ConfigError> {
    let (label, text) = config_text(dir)?;
    match read_compiled(dir, &text) {
        Ok(mut config) => {
            config.relabel(&label);
            Ok(config)
        }
        Err(why) => {
            // There is none in a checkout; one that does not fit is a mistake of whoever made the bundle.
            if why == Unfit::Missing {
                tracing::info!(file = label, "{COMPILED_FILE} {why}; reading {CONFIG_FILE} itself");
            } else {
                tracing::warn!(file = label, "{COMPILED_FILE} {why}; reading {CONFIG_FILE} itself");
            }
            Config::parse(&label, &text)
        }
    }
}

/// Parses and checks `providers.toml` in `dir` itself; touches no table and no secret.
pub fn parse_config(dir: &Path) -> Result<Config, ConfigError> {
    let (label, text) = config_text(dir)?;
    Config::parse(&label, &text)
}

/// The file's name in messages, and its text.
fn config_text(dir: &Path) -> Result<(String, String), ConfigError> {
    let label = dir.join(CONFIG_FILE).display().to_string();
    match std::fs::read_to_string(&label) {
        Ok(text) => Ok((label, text)),
        Err(error) => Err(ConfigError::file(&label, format!("cannot be read: {error}"))),
    }
}

fn read_compiled(dir: &Path, text: &str) -> Result<Config, Unfit> {
    let kept = std::fs::read(dir.join(COMPILED_FILE)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Unfit::Missing,
        _ => Unfit::Unreadable(error.to_string()),
    })?;
    compiled::read(&kept, text)
}

/// A provider, with its files below `dir` opened and its secrets of the environment resolved.
pub fn build(
    provider: &ProviderConfig,
    dir: &Path,
    environment: Environment<'_>,
) -> Result<Arc<dyn Provider>, ConfigError> {
    let name = provider.name.clone();
    Ok(match &provider.kind {
        Kind::Chat(chat) => {
            let chat = chat.clone();
            Keyed::around(provider, environment, move |secrets| Ok(Arc::new(Chat::new(&name, &chat, secrets)?)))?
        }
        Kind::Dataset(table) => Arc::new(Dataset::open(&name, table, dir)?),
        Kind::EmailCheck(check) => Arc::new(EmailCheck::open(&name, check, dir)?),
        Kind::Hem(hem) => Arc::new(Hem::new(hem)),
        Kind::Http(http) => {
            let http = http.clone();
            Keyed::around(provider, environment, move |secrets| Ok(Arc::new(Http::new(&name, &http, secrets)?)))?
        }
        Kind::Ip(ip) => Arc::new(IpDatabases::open(&name, ip, dir)?),
        Kind::Phone(phone) => Arc::new(Phone::new(phone)),
        Kind::Site(site) => Arc::new(Site::new(site)),
        Kind::Tech(tech) => Arc::new(Tech::open(&name, tech, dir.join(&tech.rules))?),
        Kind::DomainFinder(finder) => Arc::new(DomainFinder::new(finder)),
        Kind::Signals(signals) => Arc::new(Signals::new(signals)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::{input, outcome, ports};
    use super::*;
    use crate::domain::record::OutcomeStatus;

    fn infra() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra")
    }

    fn catalog(types: &str) -> Catalog {
        let text = format!("{types}\n[providers.hem]\nkind = \"hem\"\ninput = \"a\"\n");
        Catalog::of(&Config::parse("p.toml", &text).unwrap_or_else(|e| panic!("{e}")))
    }

    fn faults(kind: &RecordType, value: Value) -> Vec<(String, String)> {
        kind.check_input(&input(value)).err().unwrap_or_default()
    }

    #[tokio::test]
    async fn the_shipped_file_answers() {
        let registry = Registry::load(&infra(), &|_| None).unwrap_or_else(|e| panic!("{e}"));
        let (ports, _script) = ports();
        let limit = Duration::from_secs(5);
        let run = async |kind: &str, value: Value| {
            outcome(registry.waterfall(kind).unwrap(), value, limit, None, &ports).await
        };
        let outcome = run("company", json!({"domain": "https://open.Spotify.com/x"})).await;
        assert_eq!(outcome.data["company_name"], "Spotify");
        assert_eq!(outcome.sources[0].1.license.as_deref(), Some("CC0-1.0"));
        assert_eq!(run("company", json!({"domain": "unknown-0001.example"})).await.status, OutcomeStatus::NotFound);
        assert_eq!(run("company", json!({"domain": "no domain"})).await.status, OutcomeStatus::Invalid);
        assert_eq!(run("domain", json!({"company_name": "spotify"})).await.data["domain"], "spotify.com");
        let outcome = run("hem", json!({"email": "User@Example.com"})).await;
        assert_eq!(outcome.data["hashes"]["uid2"]["sha256_base64"], "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ=");
        for blank in [json!(""), Value::Null, json!("\u{a0} ")] {
            let outcome = run("phone-check", json!({"phone": "+14155552671", "country": blank})).await;
            assert_eq!(outcome.status, OutcomeStatus::Found, "{blank}: {outcome:?}");
        }
        for known in [json!({"company_name": "Spotify AB"}), json!({"domain": "spotify.com", "company_name": " "})] {
            assert_eq!(run("company-by-name", known).await.data["company_name"], "Spotify");
        }
        let usable = registry.catalog().kinds().filter(|kind| kind.usable().is_ok()).map(RecordType::name);
        assert_eq!(
            usable.collect::<Vec<_>>(),
            [
                "company",
                "domain",
                "company-profile",
                "hem",
                "email-check",
                "phone-check",
                "company-by-name",
                "tech",
                "signals"
            ]
        );
        assert!(registry.kind("nothing").is_none() && registry.waterfall("nothing").is_none());
    }

    /// What `infra/local/demo/make_domains.py` promises of its file.
    #[tokio::test]
    async fn the_demonstration_ends_as_its_maker_says() {
        let registry = Registry::load(&infra(), &|_| None).unwrap();
        let company = registry.waterfall("company").unwrap();
        let (ports, _script) = ports();
        let mut counts = BTreeMap::new();
        let mut reader = csv::Reader::from_path(infra().join("local/demo/domains-1000.csv")).unwrap();
        for row in reader.records() {
            let value = json!({"domain": &row.unwrap()[1]});
            assert_eq!(company.kind().check_input(&input(value.clone())), Ok(()), "{value:?}");
            let outcome = outcome(company, value, Duration::from_secs(5), None, &ports).await;
            *counts.entry(outcome.status.as_str()).or_insert(0) += 1;
        }
        assert_eq!(counts, BTreeMap::from([("found", 700), ("invalid", 20), ("not_found", 280)]));
    }

    /// A directory with this `providers.toml` and what was compiled; gone with the test.
    struct Bundle(std::path::PathBuf);

    impl Bundle {
        fn new(name: &str, toml: &str, kept: Option<&[u8]>) -> Self {
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/tmp/bundle-{name}"));
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
                "[types.{kind}]\ninputs = [[\"a\"]]\nwaterfall = [\"h\"]\n[providers.h]\nkind = \"hem\"\ninput = \"a\"\n"
            )
        };
        let compile = |text: &str| compiled::compile(&Config::parse("elsewhere.toml", text).unwrap(), text).unwrap();
        let (here, there) = (toml("here"), toml("there"));
        let types = |bundle: &Bundle| {
            let config = load_config(&bundle.0).unwrap();
            let file = bundle.0.join(CONFIG_FILE).display().to_string();
            assert!(config.providers.iter().all(|provider| provider.at.file == file), "{config:?}");
            config.types.into_iter().map(|kind| kind.name).collect::<Vec<_>>().concat()
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
        let parsed = parse_config(&Bundle::new("parsed", &here, Some(forged.as_bytes())).0).unwrap();
        assert_eq!(parsed.types[0].name, "here", "a check reads the text");
    }

    #[test]
    fn a_missing_file_or_table_is_named() {
        let error = Catalog::load(Path::new("/nowhere")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/providers.toml: cannot be read: "), "{error}");
        let text = "[types.t]\ninputs = [[\"a\"]]\nwaterfall = [\"d\"]\n[providers.d]\nkind = \"dataset\"\nfile = \"no.csv\"\n\
                    key = { a = \"a\" }\nfields = { b = \"b\" }\n";
        let config = Config::parse("p.toml", text).unwrap();
        let error =
            Registry::assemble(&config, |p| build(p, Path::new("/nowhere"), &|_| None)).unwrap_err().to_string();
        assert!(error.starts_with("p.toml:6:8: providers.d: no.csv cannot be read: "), "{error}");
    }

    #[test]
    fn an_input_has_every_field_of_one_set_and_no_unknown_one() {
        let catalog =
            catalog("[types.t]\ninputs = [[\"a\"], [\"b\", \"c\"]]\noptional_inputs = [\"n\"]\nwaterfall = [\"hem\"]");
        let kind = catalog.kind("t").unwrap();
        for good in [json!({"a": "1"}), json!({"b": "1", "c": "2"}), json!({"a": "1", "c": "2", "n": {"any": [1]}})] {
            assert_eq!(faults(kind, good), []);
        }
        let fault = |pointer: &str, detail: &str| (pointer.to_owned(), detail.to_owned());
        assert_eq!(faults(kind, json!({})), [fault("", "needs a, or b and c")]);
        assert_eq!(faults(kind, json!({"b": "1"})), [fault("", "needs a, or b and c")]);
        assert_eq!(
            faults(kind, json!({"a": 5, "x/y~": 1, "c": " "})),
            [fault("/a", "must be a string"), fault("/x~1y~0", "is not a field of type t")]
        );
        for blank in [json!(null), json!(""), json!(" \t\n"), json!("\u{a0}\u{3000}")] {
            assert_eq!(faults(kind, json!({"a": blank})), [fault("", "needs a, or b and c")], "{blank}");
            assert_eq!(faults(kind, json!({"a": "1", "b": blank, "n": blank, "unknown": blank})), [], "{blank}");
        }
        assert_eq!(faults(kind, json!({"a": "ü".repeat(2048)})), []);
        assert_eq!(faults(kind, json!({"a": "ü".repeat(2049)})), [fault("/a", "is longer than 2048 characters")]);
        let single = Catalog::load(&infra()).unwrap();
        assert_eq!(faults(single.kind("company").unwrap(), json!({})), [fault("/domain", "is required")]);
    }

    #[test]
    fn an_order_names_providers_of_the_type_once() {
        let catalog = Catalog::load(&infra()).unwrap();
        let company = catalog.kind("company").unwrap();
        let check = |names: &[&str]| company.validate_order(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(check(&["brands"]), Ok(()));
        assert_eq!(check(&["hem", "brands", "x"]), Err(vec!["hem".to_owned(), "x".to_owned()]));
        assert_eq!(check(&["brands", "brands"]), Err(vec!["brands".to_owned()]));
        assert_eq!(check(&[]), Err(vec![]));
    }

    #[tokio::test]
    async fn a_type_without_providers_says_what_to_configure() {
        let text = "[types.phone]\ninputs = [[\"a\"]]\nwaterfall = []\nunconfigured = \"needs a vendor: add an http provider\"";
        let config = Config::parse("p.toml", text).unwrap();
        let registry = Registry::assemble(&config, |_| unreachable!("there is no provider")).unwrap();
        assert_eq!(registry.kind("phone").unwrap().usable(), Err("needs a vendor: add an http provider"));
        let run = registry.waterfall("phone").unwrap();
        let outcome = outcome(run, json!({"a": "1"}), Duration::from_secs(1), None, &ports().0).await;
        assert_eq!(outcome.error.unwrap().code, "provider_unconfigured");
    }
}
