//! A catalog with its providers built: tables opened, secrets of the environment resolved.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::contract::Provider;
use super::waterfall::{Step, Waterfall};
use crate::catalog::{Catalog, RecordType, load_config};
use crate::catalog::{Config, ConfigError, Environment, Kind, ProviderConfig};
use crate::domain::ids::TenantId;
use crate::ports::Store;
use crate::providers::guards::answer_cache;
use crate::providers::guards::answer_cache::Cache;
use crate::providers::guards::guarded::Limited;
use crate::providers::kinds::chat;
use crate::providers::kinds::chat::Chat;
use crate::providers::kinds::dataset::Dataset;
use crate::providers::kinds::email::EmailCheck;
use crate::providers::kinds::hem::Hem;
use crate::providers::kinds::http::Http;
use crate::providers::kinds::ip::IpDatabases;
use crate::providers::kinds::phone::Phone;
use crate::providers::kinds::web::{DomainFinder, Signals, Site, Tech};
use crate::providers::refresh::secret::Keyed;

/// A catalog with its providers ready to answer.
#[derive(Debug)]
pub struct Registry {
    catalog: Catalog,
    waterfalls: Vec<Waterfall>,
    cache_secrets: answer_cache::Secrets,
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
            .shared_kinds()
            .iter()
            .map(|kind| {
                let steps = kind.providers().filter_map(|name| built.get(name));
                let steps = steps
                    .map(|(provider, built)| Step::new(provider, built.clone()))
                    .collect();
                Waterfall::new(kind.clone(), steps)
            })
            .collect();
        Ok(Self {
            catalog,
            waterfalls,
            cache_secrets: answer_cache::Secrets::default(),
        })
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
        self.waterfall(kind)
            .filter(|waterfall| waterfall.keeps_answers())?;
        let inputs = inputs.into_iter().cloned().collect();
        Some(Arc::new(Cache::new(
            store.clone(),
            self.cache_secrets.clone(),
            tenant.to_string(),
            inputs,
        )))
    }

    /// The waterfall of a type: `registry.waterfall("company")?.run(&request, None, ports).await`.
    pub fn waterfall(&self, name: &str) -> Option<&Waterfall> {
        self.waterfalls.iter().find(|w| w.kind().name() == name)
    }
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
            Keyed::around(provider, environment, move |secrets| {
                Ok(Arc::new(Chat::new(&name, &chat, secrets)?))
            })?
        }
        Kind::Dataset(table) => Arc::new(Dataset::open(&name, table, dir)?),
        Kind::EmailCheck(check) => Arc::new(EmailCheck::open(&name, check, dir)?),
        Kind::Hem(hem) => Arc::new(Hem::new(hem)),
        Kind::Http(http) => {
            let http = http.clone();
            Keyed::around(provider, environment, move |secrets| {
                Ok(Arc::new(Http::new(&name, &http, secrets)?))
            })?
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
    use std::time::Duration;

    use serde_json::json;

    use super::super::testing::{input, outcome, ports};
    use super::*;
    use crate::domain::record::OutcomeStatus;

    fn infra() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra")
    }

    #[tokio::test]
    async fn the_shipped_file_answers() {
        let registry = Registry::load(&infra(), &|_| None).unwrap_or_else(|e| panic!("{e}"));
        let (ports, _script) = ports();
        let limit = Duration::from_secs(5);
        let run = async |kind: &str, value: Value| {
            outcome(
                registry.waterfall(kind).unwrap(),
                value,
                limit,
                None,
                &ports,
            )
            .await
        };
        let outcome = run("company", json!({"domain": "https://open.Spotify.com/x"})).await;
        assert_eq!(outcome.data["company_name"], "Spotify");
        assert_eq!(outcome.sources[0].1.license.as_deref(), Some("CC0-1.0"));
        assert_eq!(
            run("company", json!({"domain": "unknown-0001.example"}))
                .await
                .status,
            OutcomeStatus::NotFound
        );
        assert_eq!(
            run("company", json!({"domain": "no domain"})).await.status,
            OutcomeStatus::Invalid
        );
        assert_eq!(
            run("domain", json!({"company_name": "spotify"})).await.data["domain"],
            "spotify.com"
        );
        let outcome = run("hem", json!({"email": "User@Example.com"})).await;
        assert_eq!(
            outcome.data["hashes"]["uid2"]["sha256_base64"],
            "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="
        );
        for blank in [json!(""), Value::Null, json!("\u{a0} ")] {
            let outcome = run(
                "phone-check",
                json!({"phone": "+14155552671", "country": blank}),
            )
            .await;
            assert_eq!(outcome.status, OutcomeStatus::Found, "{blank}: {outcome:?}");
        }
        for known in [
            json!({"company_name": "Spotify AB"}),
            json!({"domain": "spotify.com", "company_name": " "}),
        ] {
            assert_eq!(
                run("company-by-name", known).await.data["company_name"],
                "Spotify"
            );
        }
        let usable = registry
            .catalog()
            .kinds()
            .filter(|kind| kind.usable().is_ok())
            .map(RecordType::name);
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
        let mut reader =
            csv::Reader::from_path(infra().join("local/demo/domains-1000.csv")).unwrap();
        for row in reader.records() {
            let value = json!({"domain": &row.unwrap()[1]});
            assert_eq!(
                company.kind().check_input(&input(value.clone())),
                Ok(()),
                "{value:?}"
            );
            let outcome = outcome(company, value, Duration::from_secs(5), None, &ports).await;
            *counts.entry(outcome.status.as_str()).or_insert(0) += 1;
        }
        assert_eq!(
            counts,
            BTreeMap::from([("found", 700), ("invalid", 20), ("not_found", 280)])
        );
    }

    #[test]
    fn a_missing_table_is_named() {
        let text = "[types.t]\ninputs = [[\"a\"]]\nwaterfall = [\"d\"]\n[providers.d]\nkind = \"dataset\"\nfile = \"no.csv\"\n\
                    key = { a = \"a\" }\nfields = { b = \"b\" }\n";
        let config = Config::parse("p.toml", text).unwrap();
        let error = Registry::assemble(&config, |p| build(p, Path::new("/nowhere"), &|_| None))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("p.toml:6:8: providers.d: no.csv cannot be read: "),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_type_without_providers_says_what_to_configure() {
        let text = "[types.phone]\ninputs = [[\"a\"]]\nwaterfall = []\nunconfigured = \"needs a vendor: add an http provider\"";
        let config = Config::parse("p.toml", text).unwrap();
        let registry =
            Registry::assemble(&config, |_| unreachable!("there is no provider")).unwrap();
        assert_eq!(
            registry.kind("phone").unwrap().usable(),
            Err("needs a vendor: add an http provider")
        );
        let run = registry.waterfall("phone").unwrap();
        let outcome = outcome(
            run,
            json!({"a": "1"}),
            Duration::from_secs(1),
            None,
            &ports().0,
        )
        .await;
        assert_eq!(outcome.error.unwrap().code, "provider_unconfigured");
    }
}
