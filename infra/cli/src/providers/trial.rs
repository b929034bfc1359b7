//! One record through a type's waterfall on this machine.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use shared::catalog::{Catalog, Config, ConfigError, ProviderConfig, RecordType, parse_config};
use shared::domain::job::ResultLine;
use shared::domain::record::{Outcome, OutcomeStatus, Record};
use shared::providers::kinds::READERS;
use shared::providers::kinds::http::config::HttpConfig;
use shared::providers::waterfall::{Request, WaterfallOutcome};
use shared::providers::{Ports, Provider, Registry, build};

use super::args::Enrich;
use super::machine::{assets, directory, fresh_key, ports, watch};
use crate::failure::Failure;
use crate::screen::{Screen, plain, plural, print, thousands};
use crate::settings::CliSettings;
use crate::watched::TracingSender;

/// The most characters of a value that a person is shown.
const MAX_SHOWN: usize = 100;

/// `millrace enrich`.
pub(crate) async fn enrich(settings: &CliSettings, args: &Enrich) -> Result<(), Failure> {
    let dir = directory(args.dir.as_deref())?;
    let config = parse_config(READERS, &dir).map_err(|error| Failure::failed(error.to_string()))?;
    let input = record(&config, args)?;
    let mut ports = ports(settings)?;
    let config = asked(config, &args.kind, args.providers.as_deref());
    if config
        .providers
        .iter()
        .any(|provider| provider.uses_assets(&|name| settings.get(name)))
    {
        ports.assets = assets(settings, &args.account).await?;
    }
    let registry = registry_of(&config, |provider| {
        build(provider, &dir, &|name| settings.get(name))
    })?;
    let (watched, ports) = watch(config.providers.iter(), args.verbose, settings, ports).await?;
    let trial = Trial {
        config: &config,
        registry: &registry,
        watched: &watched,
        ports: &ports,
    };
    let begun = ports.clock.now();
    let outcome = trial.run(args, &input).await?;
    let status = outcome.status;
    if args.json {
        let record = Record {
            input,
            ..Record::default()
        };
        print(
            ResultLine {
                index: 0,
                record,
                outcome,
            }
            .to_json(),
        )?;
    } else {
        print(outcome_text(
            &outcome,
            ports.clock.now().since(begun),
            &trial.about_nothing(),
        ))?;
    }
    match status {
        OutcomeStatus::Found | OutcomeStatus::NotFound => Ok(()),
        _ => Err(Failure::Reported),
    }
}

/// The record that the command line gives, checked as the API would.
pub(super) fn record(config: &Config, args: &Enrich) -> Result<Map<String, Value>, Failure> {
    let catalog = Catalog::of(config);
    let Some(kind) = catalog.kind(&args.kind) else {
        let known: Vec<&str> = catalog.kinds().map(RecordType::name).collect();
        return Err(Failure::usage(format!(
            "no type {}; there are {}",
            args.kind,
            known.join(", ")
        )));
    };
    let first = kind.inputs().first().and_then(|set| set.first());
    let value = args
        .value
        .as_ref()
        .and_then(|value| Some((first?.clone(), Value::from(value.as_str()))));
    let input: Map<String, Value> = value
        .into_iter()
        .chain(args.input.iter().cloned())
        .collect();
    kind.check_input(&input).map_err(|faults| {
        let faults = faults
            .iter()
            .map(|(pointer, why)| match pointer.strip_prefix('/') {
                Some(field) => format!("{field} {why}"),
                None => format!("a record of type {} {why}", args.kind),
            });
        Failure::usage(faults.collect::<Vec<_>>().join("; "))
    })?;
    if let Some(order) = &args.providers {
        kind.validate_order(order).map_err(|wrong| {
            let known: Vec<&str> = kind.providers().collect();
            let known = if known.is_empty() {
                "no provider".to_owned()
            } else {
                known.join(", ")
            };
            Failure::usage(format!(
                "--providers: {} of type {}, which asks {known}",
                if wrong.is_empty() {
                    "names no provider".to_owned()
                } else {
                    format!("{} is not a provider", wrong.join(", "))
                },
                args.kind
            ))
        })?;
    }
    Ok(input)
}

/// Keeps the providers of one type alone: what others lack, such as a secret, does not matter.
pub(super) fn asked(mut config: Config, kind: &str, order: Option<&[String]>) -> Config {
    config.types.retain(|t| t.name == kind);
    config.operations.clear();
    if let (Some(order), Some(own)) = (order, config.types.first_mut()) {
        own.waterfall.retain(|name| order.contains(name));
    }
    let asked = config
        .types
        .first()
        .map(|t| t.waterfall.clone())
        .unwrap_or_default();
    config
        .providers
        .retain(|provider| asked.contains(&provider.name));
    config
}

pub(super) fn registry_of(
    config: &Config,
    build: impl FnMut(&ProviderConfig) -> Result<Arc<dyn Provider>, ConfigError>,
) -> Result<Registry, Failure> {
    Registry::assemble(config, build).map_err(|error| Failure::failed(error.to_string()))
}

/// A record's way through a type's waterfall on this machine.
pub(super) struct Trial<'a> {
    pub(super) config: &'a Config,
    pub(super) registry: &'a Registry,
    pub(super) watched: &'a TracingSender,
    pub(super) ports: &'a Ports,
}

impl Trial<'_> {
    /// Runs the waterfall until the outcome is known.
    ///
    /// Waits here if a provider answers later, since this machine cannot be called back. Fails
    /// if the upstream answers by callback alone.
    pub(super) async fn run(
        &self,
        args: &Enrich,
        input: &Map<String, Value>,
    ) -> Result<Outcome, Failure> {
        let waterfall = self
            .registry
            .waterfall(&args.kind)
            .ok_or_else(|| Failure::failed("the type is gone"))?;
        let (screen, key, clock) = (Screen::new(), fresh_key(), self.ports.clock.as_ref());
        let mut suspended = None;
        loop {
            let limit = waterfall.kind().record_timeout();
            let order = args.providers.as_deref();
            let request = Request {
                input,
                limit,
                order,
                key: &key,
                callback: None,
                cache: None,
            };
            match waterfall.run(&request, suspended.take(), self.ports).await {
                WaterfallOutcome::Done(outcome) => return Ok(outcome),
                WaterfallOutcome::Suspended(waiting) => {
                    let wait = waiting.resume_at().since(clock.now());
                    screen.note(&self.waits(waiting.provider(), wait)?);
                    clock.sleep(wait).await;
                    suspended = Some((*waiting, None));
                }
            }
        }
    }

    /// Says why a provider is waited for. Fails if waiting would be in vain.
    pub(super) fn waits(&self, name: &str, wait: Duration) -> Result<String, Failure> {
        let provider = self
            .config
            .providers
            .iter()
            .find(|provider| provider.name == name);
        let later = provider.and_then(|provider| {
            let http = provider.kind.downcast_ref::<HttpConfig>()?;
            http.later.as_ref()
        });
        let busy = matches!(self.watched.take_status(), Some(429 | 503));
        match later {
            Some(later) if later.poll.is_none() => Err(Failure::failed(format!(
                "{name} answers by a callback alone, which does not reach this machine; give its \
                 `later` a `poll`, or send the record to a deployment"
            ))),
            Some(_) if !busy => Ok(format!(
                "{name} answers later; asking again in {} s",
                wait.as_secs()
            )),
            _ => Ok(format!(
                "{name} has to wait; asking again in {} s",
                wait.as_secs()
            )),
        }
    }

    /// Returns the text that follows "not found". Empty if sites were read too: the last answer
    /// says little then.
    pub(super) fn about_nothing(&self) -> String {
        let settings = |provider: &ProviderConfig| provider.kind.settings().reads_sites();
        let sites = self.config.providers.iter().any(settings);
        if sites {
            String::new()
        } else {
            self.watched.about_nothing()
        }
    }
}

/// Describes an outcome; `about_nothing` follows "not found".
pub(super) fn outcome_text(outcome: &Outcome, took: Duration, about_nothing: &str) -> String {
    let took = thousands(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    let mut status = outcome.status.as_str().replace('_', " ");
    if outcome.status == OutcomeStatus::NotFound {
        status += about_nothing;
    }
    let mut shown = format!(
        "{status}, {}, {took} ms",
        plural(u64::from(outcome.credits), "credit")
    );
    if let Some(error) = &outcome.error {
        shown += &format!("\n  {}: {}", error.code, plain(&error.detail, 600));
    }
    let source = |field: &str| {
        outcome
            .sources
            .iter()
            .find(|(name, _)| name == field)
            .map(|(_, source)| source)
    };
    let rows: Vec<[String; 3]> = outcome
        .data
        .iter()
        .map(|(field, value)| {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let source = source(field).map(|source| {
                let confidence = source
                    .confidence
                    .map(|c| format!(", confidence {c}"))
                    .unwrap_or_default();
                let license = source
                    .license
                    .as_ref()
                    .map(|l| format!(", {}", plain(l, 60)))
                    .unwrap_or_default();
                format!("{}{confidence}{license}", source.provider)
            });
            [
                field.clone(),
                plain(&value, MAX_SHOWN),
                source.unwrap_or_default(),
            ]
        })
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let (names, values) = (width(0), width(1));
    for [field, value, source] in &rows {
        shown += &format!("\n  {field:names$}  {value:values$}  {source}");
    }
    shown
}
