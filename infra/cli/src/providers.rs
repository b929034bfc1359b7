//! Trying providers out on this machine, without any stack: is `providers.toml` right, and what does a record come to?

mod args;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use shared::aws::AwsClients;
use shared::catalog::{CONFIG_FILE, Catalog, RecordType, parse_config};
use shared::catalog::{Config, Kind, Matching, Pick, ProviderConfig, compiled};
use shared::domain::job::ResultLine;
use shared::domain::record::{Outcome, OutcomeStatus, Record, without_blanks};
use shared::lambda::config::Reach;
use shared::lambda::start::upstreams;
use shared::lambda::system::{NoAssets, SystemClock, SystemEntropy};
use shared::ports::{Assets, Entropy as _, within};
use shared::providers::waterfall::{Progress, Request};
use shared::providers::{Answer, Ports, Provider, Question, Registry, build};
use shared::surfaces::{SURFACES, check_operations};

pub(crate) use self::args::{Check, Compile, Enrich, Providers};
use crate::account::{self, Account};
use crate::failure::Failure;
use crate::sample;
use crate::screen::{Screen, plain, plural, print, thousands};
use crate::settings::Settings;
use crate::watched::{Tell, Veil, Watched};

/// How long a provider that names no time of its own may take for a try.
const TRY_LIMIT: Duration = Duration::from_secs(30);
/// The most characters of what is said about a provider; it may quote its files.
const MAX_ABOUT: usize = 1200;
/// The most characters of a value that a person is shown.
const MAX_SHOWN: usize = 100;

/// `millrace providers check`.
pub(crate) async fn check(settings: &Settings, args: &Check) -> Result<(), Failure> {
    let dir = directory(args.dir.as_deref())?;
    match report(&dir, settings, args, &mut |line| print(line)).await? {
        0 => Ok(()),
        faults => Err(Failure::failed(plural(faults, "fault"))),
    }
}

/// `millrace providers compile`.
pub(crate) fn compile(args: &Compile) -> Result<(), Failure> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => directory(None)?.join(CONFIG_FILE),
    };
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Failure::failed(format!("{shown}: cannot be read: {error}")))?;
    let config =
        Config::parse(&shown, &text).map_err(|error| Failure::failed(error.to_string()))?;
    check_operations(SURFACES, &Catalog::of(&config))
        .map_err(|why| Failure::failed(format!("{shown}: {why}")))?;
    if let Some(output) = &args.output {
        let compiled = compiled::compile(&config, &text)
            .map_err(|error| Failure::failed(error.to_string()))?;
        std::fs::write(output, compiled).map_err(|error| {
            Failure::failed(format!("{}: cannot be written: {error}", output.display()))
        })?;
    }
    Ok(())
}

/// Says what there is to say about a `providers.toml`, line by line as it is found out, and how many faults there are. Every
/// provider is asked once where that is wanted. An error where the file cannot be read at all.
async fn report(
    dir: &Path,
    settings: &Settings,
    args: &Check,
    say: &mut (dyn FnMut(&str) -> Result<(), Failure> + Send),
) -> Result<u64, Failure> {
    let mut report = Report { say, faults: 0 };
    report.all(dir, settings, args).await?;
    Ok(report.faults)
}

struct Report<'s> {
    say: &'s mut (dyn FnMut(&str) -> Result<(), Failure> + Send),
    faults: u64,
}

impl Report<'_> {
    async fn all(&mut self, dir: &Path, settings: &Settings, args: &Check) -> Result<(), Failure> {
        let report = self;
        let config = parse_config(dir).map_err(|error| Failure::failed(error.to_string()))?;
        let known: Vec<&str> = config
            .providers
            .iter()
            .map(|provider| provider.name.as_str())
            .collect();
        if let Some(unknown) = args
            .provider
            .iter()
            .find(|name| !known.contains(&name.as_str()))
        {
            let known = known.join(", ");
            return Err(Failure::usage(format!(
                "--provider: there is no provider {unknown}; there are {known}"
            )));
        }
        // A dry call of some is about those alone.
        let wanted = |provider: &&ProviderConfig| {
            args.provider.is_empty() || args.provider.contains(&provider.name)
        };
        let mut ports = ports(settings)?;
        // Without an account everything else can be looked at all the same.
        let mut no_account = None;
        if config
            .providers
            .iter()
            .filter(wanted)
            .any(|provider| provider.uses_assets(&|name| settings.get(name)))
        {
            match assets(settings, &args.account).await {
                Ok(assets) => ports.assets = assets,
                Err(failure) => {
                    no_account = failure
                        .text()
                        .map(|why| why.trim_start_matches("error: ").to_owned());
                }
            }
        }
        let path = dir.join(CONFIG_FILE);
        report.line(&format!(
            "{}: {}, {}",
            path.display(),
            plural(config.types.len() as u64, "type"),
            plural(config.providers.len() as u64, "provider")
        ))?;
        if args.provider.is_empty()
            && let Err(why) = check_operations(SURFACES, &Catalog::of(&config))
        {
            report.fault(&why)?;
        }
        report.line("providers")?;
        let secrets = |name: &str| settings.get(name);
        let mut built: Vec<(&ProviderConfig, Arc<dyn Provider>)> = Vec::new();
        for provider in config.providers.iter().filter(wanted) {
            let (name, price) = (
                &provider.name,
                plural(u64::from(provider.credits), "credit"),
            );
            let ready = match build(provider, dir, &secrets) {
                Ok(ready) => ready,
                Err(error) => {
                    report.fault(&format!("{name}: {error}"))?;
                    continue;
                }
            };
            let about = match no_account
                .clone()
                .filter(|_| provider.uses_assets(&secrets))
            {
                Some(why) => Err(why),
                None => ready.inspect(&ports).await,
            };
            match about {
                Err(why) => {
                    report.fault(&format!("{}", provider.at.error(format!("{name}: {why}"))))?;
                }
                Ok(about) => {
                    let about = plain(&[vec![price], about].concat().join(", "), MAX_ABOUT);
                    report.line(&format!("  {name}: {about}"))?;
                    built.push((provider, ready));
                }
            }
        }
        if args.provider.is_empty() {
            report.line("types")?;
            for kind in Catalog::of(&config).kinds() {
                report.line(&type_text(kind, &config))?;
            }
        }
        if args.dry_call {
            report.line("dry calls")?;
            let asked = built.iter().map(|(provider, _)| *provider);
            let (watched, ports) = watch(asked, args.verbose, settings, ports).await?;
            for (provider, ready) in built {
                report
                    .tried(provider, ready.as_ref(), &ports, &watched, &args.input)
                    .await?;
            }
        }
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        (self.say)(text)
    }

    fn fault(&mut self, text: &str) -> Result<(), Failure> {
        self.faults += 1;
        self.line(&format!("  fault: {}", plain(text, 600)))
    }

    /// Asks a provider once. A fault where it fails, or finds the input unfit.
    async fn tried(
        &mut self,
        config: &ProviderConfig,
        provider: &dyn Provider,
        ports: &Ports,
        watched: &Watched,
        given: &[(String, Value)],
    ) -> Result<(), Failure> {
        let input = sample::input(&config.kind.settings().needs(), given);
        let input = without_blanks(&input);
        let key = fresh_key();
        let limit = config.timeout().unwrap_or(TRY_LIMIT);
        let question = Question {
            input: &input,
            limit,
            key: &key,
            callback: None,
            earlier: None,
            last: true,
            wait: shared::catalog::DEFAULT_WAIT,
        };
        let begun = ports.clock.now();
        watched.take_status();
        let answer = within(ports.clock.as_ref(), limit, provider.ask(&question, ports)).await;
        let took = thousands(
            u64::try_from(ports.clock.now().since(begun).as_millis()).unwrap_or(u64::MAX),
        );
        let name = &config.name;
        match answer {
            None => self.fault(&format!("{name}: did not answer within {took} ms")),
            Some(Answer::Found { fields, confidence }) => {
                let absent = nothing_at(&absent_fields(config, &fields, confidence.is_some()));
                let fields: Vec<&str> = fields.keys().map(String::as_str).collect();
                self.line(&format!(
                    "  {name}: found {} in {took} ms{absent}",
                    plain(&fields.join(", "), 300)
                ))
            }
            Some(Answer::NotFound) => {
                let absent = nothing_at(
                    &watched
                        .last_json()
                        .map(|json| absent_of(config, &json))
                        .unwrap_or_default(),
                );
                let about = if asks_an_api(config) {
                    watched.about_nothing()
                } else {
                    String::new()
                };
                self.line(&format!("  {name}: not found{about}, in {took} ms{absent}"))
            }
            Some(Answer::Later(_)) => self.line(&format!(
                "  {name}: took the question in {took} ms, and will answer it later"
            )),
            Some(Answer::Invalid(why)) => self.fault(&format!(
                "{name}: this input does not suit it: {why}; give another with --input"
            )),
            Some(Answer::Failed { code, detail }) => {
                self.fault(&format!("{name}: failed after {took} ms: {code}: {detail}"))
            }
        }
    }
}

/// What a provider's mapping looked for in vain, for a line about it.
fn nothing_at(absent: &[String]) -> String {
    if absent.is_empty() {
        String::new()
    } else {
        format!("; nothing at {}", plain(&absent.join(", "), 600))
    }
}

/// Where a value is looked for, and for what.
fn looked_for(field: &str, pick: &Pick) -> String {
    match pick {
        Pick::Pointer(pointer) if pointer.is_empty() => format!("the whole answer ({field})"),
        Pick::Pointer(pointer) => format!("{pointer} ({field})"),
        Pick::Expr(expr) => format!("{{ {} }} ({field})", expr.text),
    }
}

/// The fields of an answer's mapping that it does not have.
fn absent_fields(
    provider: &ProviderConfig,
    fields: &Map<String, Value>,
    confidence: bool,
) -> Vec<String> {
    let Kind::Http(http) = &provider.kind else {
        return Vec::new();
    };
    let absent = http
        .mapping
        .fields
        .iter()
        .filter(|(name, _)| !fields.contains_key(name));
    let sure = http
        .mapping
        .confidence
        .iter()
        .filter(|_| !confidence)
        .map(|pick| looked_for("confidence", pick));
    absent
        .map(|(name, pick)| looked_for(name, pick))
        .chain(sure)
        .collect()
}

/// Which pointers of a mapping find nothing in a response. Nothing where a condition of the file may have decided.
fn absent_of(provider: &ProviderConfig, response: &Value) -> Vec<String> {
    let Kind::Http(http) = &provider.kind else {
        return Vec::new();
    };
    let is_nothing = |value: Option<&Value>| match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(_) => false,
    };
    let mut json = response;
    if let Some(batch) = &http.batch {
        let results = response.pointer(&batch.results).and_then(Value::as_array);
        let Some(first) = results.and_then(|results| results.first()) else {
            return vec![format!("{} (batch.results)", batch.results)];
        };
        if let Matching::Key { pointer, .. } = &batch.matching
            && results
                .into_iter()
                .flatten()
                .all(|result| is_nothing(result.pointer(pointer)))
        {
            return vec![format!("{pointer} (batch.match)")];
        }
        json = first;
    }
    let absent = |pointer: &String| is_nothing(json.pointer(pointer));
    let missing: Vec<String> = http
        .mapping
        .missing
        .iter()
        .filter(|p| absent(p))
        .map(|p| format!("{p} (not_found.missing)"))
        .collect();
    if !missing.is_empty() {
        return missing;
    }
    let fields = http.mapping.fields.iter().filter(|(_, pick)| match pick {
        Pick::Pointer(pointer) => absent(pointer),
        Pick::Expr(_) => http.mapping.nothing.is_none(),
    });
    fields.map(|(name, pick)| looked_for(name, pick)).collect()
}

fn type_text(kind: &RecordType, config: &Config) -> String {
    let sets: Vec<String> = kind.inputs().iter().map(|set| set.join(" and ")).collect();
    let needs = format!("  {}: needs {}", kind.name(), sets.join(", or "));
    match kind.usable() {
        Ok(()) => {
            let price = plural(u64::from(kind.price(None)), "credit");
            let asked = kind.providers().collect::<Vec<_>>().join(", ");
            let served = served_text(kind, config);
            format!("{needs}; at most {price} a record; asks {asked}{served}")
        }
        Err(why) => format!("{needs}; not set up: {why}"),
    }
}
/// Which of a type's sets of inputs each of its providers serves, a line each, and which sets nobody serves. Nothing where
/// there is one set and all serve it.
fn served_text(kind: &RecordType, config: &Config) -> String {
    let providers = || {
        config
            .providers
            .iter()
            .filter(move |provider| kind.providers().any(|name| name == provider.name))
    };
    let shown = |set: &[String]| set.join(" and ");
    // What stands in no set may be there or not.
    let served = |provider: &ProviderConfig, set: &[String]| {
        let needed = provider.kind.settings().required();
        let beyond: Vec<String> = needed
            .into_iter()
            .filter(|field| !set.contains(field))
            .collect();
        let optional = beyond
            .iter()
            .all(|field| kind.optional_inputs().contains(field));
        match &beyond[..] {
            [] => Some(shown(set)),
            beyond if optional => Some(format!("{} (with {})", shown(set), shown(beyond))),
            _ => None,
        }
    };
    let sets = kind.inputs();
    let whole = |provider: &ProviderConfig| {
        sets.iter()
            .all(|set| served(provider, set) == Some(shown(set)))
    };
    if sets.len() == 1 && providers().all(whole) {
        return String::new();
    }
    let mut text = String::new();
    for name in kind.providers() {
        let Some(provider) = providers().find(|provider| provider.name == name) else {
            continue;
        };
        let of: Vec<String> = sets
            .iter()
            .filter_map(|set| served(provider, set))
            .collect();
        let of = if of.is_empty() {
            "no set of inputs alone".to_owned()
        } else {
            of.join(", or ")
        };
        text += &format!("\n    {name}: serves {of}");
    }
    for set in sets
        .iter()
        .filter(|set| providers().all(|provider| served(provider, set).is_none()))
    {
        text += &format!("\n    nobody serves {} alone", shown(set));
    }
    text
}

/// `millrace enrich`.
pub(crate) async fn enrich(settings: &Settings, args: &Enrich) -> Result<(), Failure> {
    let dir = directory(args.dir.as_deref())?;
    let config = parse_config(&dir).map_err(|error| Failure::failed(error.to_string()))?;
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
        _ => Err(Failure::Told),
    }
}

/// The record that the command line gives, checked as the API would.
fn record(config: &Config, args: &Enrich) -> Result<Map<String, Value>, Failure> {
    let catalog = Catalog::of(config);
    let Some(kind) = catalog.kind(&args.kind) else {
        let known: Vec<&str> = catalog.kinds().map(RecordType::name).collect();
        return Err(Failure::usage(format!(
            "there is no type {}; there are {}",
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
                "nobody".to_owned()
            } else {
                known.join(", ")
            };
            Failure::usage(format!(
                "--providers: {} of type {}, which asks {known}",
                if wrong.is_empty() {
                    "names nobody".to_owned()
                } else {
                    format!("{} is no provider", wrong.join(", "))
                },
                args.kind
            ))
        })?;
    }
    Ok(input)
}

/// The providers of one type alone: what others lack, such as a secret, is no matter here.
fn asked(mut config: Config, kind: &str, order: Option<&[String]>) -> Config {
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

fn registry_of(
    config: &Config,
    build: impl FnMut(&ProviderConfig) -> Result<Arc<dyn Provider>, shared::catalog::ConfigError>,
) -> Result<Registry, Failure> {
    Registry::assemble(config, build).map_err(|error| Failure::failed(error.to_string()))
}

/// A record's way through a type's waterfall on this machine.
struct Trial<'a> {
    config: &'a Config,
    registry: &'a Registry,
    watched: &'a Watched,
    ports: &'a Ports,
}

impl Trial<'_> {
    /// Runs the waterfall until the outcome is known, and waits here where a provider answers later: nobody could call back.
    /// An error where a provider's upstream would do nothing else.
    async fn run(&self, args: &Enrich, input: &Map<String, Value>) -> Result<Outcome, Failure> {
        let waterfall = self
            .registry
            .waterfall(&args.kind)
            .ok_or_else(|| Failure::failed("the type is gone"))?;
        let (screen, key, clock) = (Screen::new(), fresh_key(), self.ports.clock.as_ref());
        let mut parked = None;
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
            match waterfall.run(&request, parked.take(), self.ports).await {
                Progress::Done(outcome) => return Ok(outcome),
                Progress::Parked(waiting) => {
                    let wait = waiting.resume_at().since(clock.now());
                    screen.note(&self.waits(waiting.provider(), wait)?);
                    clock.sleep(wait).await;
                    parked = Some((*waiting, None));
                }
            }
        }
    }

    /// What a provider is waited for. An error where that would be in vain.
    fn waits(&self, name: &str, wait: Duration) -> Result<String, Failure> {
        let provider = self
            .config
            .providers
            .iter()
            .find(|provider| provider.name == name);
        let later = provider.and_then(|provider| match &provider.kind {
            Kind::Http(http) => http.later.as_ref(),
            _ => None,
        });
        let busy = matches!(self.watched.take_status(), Some(429 | 503));
        match later {
            Some(later) if later.poll.is_none() => Err(Failure::failed(format!(
                "{name} answers by a callback alone, which does not reach this machine; give its `later` a `poll`, or send \
                 the record to a deployment"
            ))),
            Some(_) if !busy => Ok(format!(
                "{name} answers later; asking again in {} s",
                wait.as_secs()
            )),
            _ => Ok(format!(
                "{name} was told to wait; asking again in {} s",
                wait.as_secs()
            )),
        }
    }

    /// What to add to "not found". Nothing where sites were read too: the last answer says little then.
    fn about_nothing(&self) -> String {
        let sites = self.config.providers.iter().any(asks_sites);
        if sites {
            String::new()
        } else {
            self.watched.about_nothing()
        }
    }
}

fn asks_an_api(provider: &ProviderConfig) -> bool {
    matches!(provider.kind, Kind::Http(_) | Kind::Chat(_))
}

fn asks_sites(provider: &ProviderConfig) -> bool {
    matches!(
        provider.kind,
        Kind::Site(_) | Kind::Tech(_) | Kind::Signals(_) | Kind::DomainFinder(_)
    )
}

/// `about_nothing` follows "not found".
fn outcome_text(outcome: &Outcome, took: Duration, about_nothing: &str) -> String {
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

/// Where `providers.toml` is.
fn directory(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(dir) = named {
        return Ok(dir.to_owned());
    }
    let usual = ["infra", "."]
        .map(PathBuf::from)
        .into_iter()
        .find(|dir| dir.join(CONFIG_FILE).is_file());
    usual.ok_or_else(|| {
        Failure::usage("there is no providers.toml in infra or here; name its directory with --dir")
    })
}

/// The real network, within what the settings allow.
fn ports(settings: &Settings) -> Result<Ports, Failure> {
    let reach = Reach::read(&|name| settings.get(name))
        .map_err(|error| Failure::usage(error.to_string()))?;
    let (http, dns) = upstreams(&reach).map_err(|error| Failure::failed(error.to_string()))?;
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    Ok(Ports {
        http,
        dns,
        assets: Arc::new(NoAssets),
        clock,
        entropy,
        shared: None,
        seen: None,
        guard: None,
    })
}

/// The same ports with their sender watched; what these providers exchange is told on standard error where that is wanted.
async fn watch(
    asked: impl Iterator<Item = &ProviderConfig>,
    verbose: bool,
    settings: &Settings,
    ports: Ports,
) -> Result<(Arc<Watched>, Ports), Failure> {
    let telling = if verbose {
        let screen = Screen::new();
        let tell: Tell = Arc::new(move |line: &str| screen.note(line));
        Some((
            tell,
            Veil::of(asked, settings, ports.assets.as_ref()).await?,
        ))
    } else {
        None
    };
    let watched = Arc::new(Watched::new(
        Arc::clone(&ports.http),
        Arc::clone(&ports.clock),
        telling,
    ));
    Ok((
        Arc::clone(&watched),
        Ports {
            http: watched,
            ..ports
        },
    ))
}

/// What providers need of the AWS account. Connects nowhere yet.
async fn assets(settings: &Settings, account: &Account) -> Result<Arc<dyn Assets>, Failure> {
    let aws = account::settings(settings, account, None).await?;
    let clients = AwsClients::new(&aws).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(Arc::new(
        clients.assets(Arc::new(SystemClock), Arc::new(SystemEntropy)),
    ))
}

/// Another one each time: an upstream that recognises a repeated request shall answer this one.
fn fresh_key() -> String {
    let mut bytes = [0; 16];
    SystemEntropy.fill(&mut bytes);
    format!("millrace-cli-{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests;
