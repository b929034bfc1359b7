//! A catalog with its providers built: tables opened, secrets of the environment resolved.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::contract::Provider;
use super::kind::{BuildContext, KindBuilder, builder, identity};
use super::kinds::{BUILDERS, READERS};
use super::waterfall::{Step, Waterfall};
use crate::catalog::{Catalog, RecordType, load_config};
use crate::catalog::{Config, ConfigError, Environment, ProviderConfig};
use crate::domain::ids::TenantId;
use crate::ports::Store;
use crate::providers::guards::answer_cache;
use crate::providers::guards::answer_cache::{Cache, Rules};
use crate::providers::guards::guarded::Guarded;

/// A catalog with its providers ready to answer.
#[derive(Debug)]
pub struct Registry {
    catalog: Catalog,
    waterfalls: Vec<Waterfall>,
    cache_secrets: answer_cache::Secrets,
}

impl Registry {
    /// Reads `providers.toml` in `dir` and builds its providers. Every declared provider must be
    /// complete. A table's rows, and what is outside of the bundle, are read when the first record
    /// asks.
    ///
    /// # Errors
    /// The first fault of the file, or the first file, column or variable that is missing.
    pub fn load(dir: &Path, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let config = load_config(READERS, dir)?;
        Self::assemble(&config, |provider| build(provider, dir, environment))
    }

    /// Creates a registry whose providers are made by `build`, called once for each provider of
    /// the configuration.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn assemble(
        config: &Config,
        build: impl FnMut(&ProviderConfig) -> Result<Arc<dyn Provider>, ConfigError>,
    ) -> Result<Self, ConfigError> {
        Self::assemble_of(BUILDERS, config, build)
    }

    /// Does the same as [`assemble`](Self::assemble) for providers of these kinds.
    ///
    /// # Errors
    /// Those of `build`, and a provider of another kind.
    pub fn assemble_of(
        builders: &[KindBuilder],
        config: &Config,
        mut build: impl FnMut(&ProviderConfig) -> Result<Arc<dyn Provider>, ConfigError>,
    ) -> Result<Self, ConfigError> {
        let catalog = Catalog::of(config);
        let mut built = BTreeMap::new();
        for provider in &config.providers {
            let judged = builder_of(builders, provider)?.judged;
            let limited = Guarded::around(provider, build(provider)?, judged);
            let cache = Rules::of(provider, || identity(builders, &provider.kind));
            built.insert(provider.name.as_str(), (provider, limited, cache));
        }
        let waterfalls = catalog
            .shared_kinds()
            .iter()
            .map(|kind| {
                let steps = kind.providers().filter_map(|name| built.get(name));
                let steps = steps
                    .map(|(provider, built, cache)| {
                        Step::new(provider, built.clone(), cache.clone())
                    })
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

    /// Returns the types without their providers.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns the type of this name.
    pub fn kind(&self, name: &str) -> Option<&RecordType> {
        self.catalog.kind(name)
    }

    /// Returns the saved answers of a type's providers for a run of this tenant over records with
    /// these inputs; `None` if none are saved.
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

    /// Returns the waterfall of a type: `registry.waterfall("company")?.run(&request, None,
    /// ports).await`.
    pub fn waterfall(&self, name: &str) -> Option<&Waterfall> {
        self.waterfalls.iter().find(|w| w.kind().name() == name)
    }
}

/// Builds a declared provider: opens its files and resolves its secrets.
///
/// # Errors
/// A file or an environment variable that is missing or unusable, with its place in
/// `providers.toml`.
pub fn build(
    provider: &ProviderConfig,
    dir: &Path,
    environment: Environment<'_>,
) -> Result<Arc<dyn Provider>, ConfigError> {
    build_of(BUILDERS, provider, dir, environment)
}

/// Does the same as [`build`] for a provider of one of these kinds.
///
/// # Errors
/// Those of [`build`], and a provider of another kind.
pub fn build_of(
    builders: &[KindBuilder],
    provider: &ProviderConfig,
    dir: &Path,
    environment: Environment<'_>,
) -> Result<Arc<dyn Provider>, ConfigError> {
    let context = BuildContext {
        provider,
        dir,
        environment,
    };
    let build = builder_of(builders, provider)?.build;
    build(provider.kind.settings(), &context).unwrap_or_else(|| Err(unknown(provider)))
}

fn builder_of(
    builders: &[KindBuilder],
    provider: &ProviderConfig,
) -> Result<KindBuilder, ConfigError> {
    builder(builders, &provider.kind).ok_or_else(|| unknown(provider))
}

/// Returns the error for a provider whose kind can be read and not built.
fn unknown(provider: &ProviderConfig) -> ConfigError {
    let kind = provider.kind.name();
    provider.at.error(format!(
        "providers.{}: nothing builds the kind `{kind}`",
        provider.name
    ))
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

    /// The counts that `infra/local/demo/make_domains.py` promises of its file.
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
        let text = "[types.t]\ninputs = [[\"a\"]]\nwaterfall = [\"d\"]\n[providers.d]\n\
                    kind = \"dataset\"\nfile = \"no.csv\"\n\
                    key = { a = \"a\" }\nfields = { b = \"b\" }\n";
        let config = Config::parse(READERS, "p.toml", text).unwrap();
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
        let text = "[types.phone]\ninputs = [[\"a\"]]\nwaterfall = []\n\
                    unconfigured = \"needs a vendor: add an http provider\"";
        let config = Config::parse(READERS, "p.toml", text).unwrap();
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
