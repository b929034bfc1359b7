//! Faults of `providers.toml`, its tables and its secrets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use shared::catalog::{
    CONFIG_FILE, Catalog, Config, Matching, Pick, ProviderConfig, RecordType, parse_config,
};
use shared::domain::record::without_blanks;
use shared::ports::within;
use shared::providers::kinds::READERS;
use shared::providers::kinds::http::config::HttpConfig;
use shared::providers::{Answer, Ports, Provider, Question, build};
use shared::surfaces::{SURFACES, check_operations};

use super::args::Check;
use super::machine::{assets, directory, fresh_key, ports, watch};
use crate::account::Account;
use crate::failure::Failure;
use crate::sample;
use crate::screen::{plain, plural, print, thousands};
use crate::settings::CliSettings;
use crate::watched::TracingSender;

/// The time limit of a try for a provider that names none of its own.
const TRY_LIMIT: Duration = Duration::from_secs(30);
/// The most characters of what is said about a provider; it may quote its files.
const MAX_ABOUT: usize = 1200;

/// `millrace providers check`.
pub(crate) async fn check(settings: &CliSettings, args: &Check) -> Result<(), Failure> {
    let dir = directory(args.dir.as_deref())?;
    match report(&dir, settings, args, &mut |line| print(line)).await? {
        0 => Ok(()),
        faults => Err(Failure::failed(plural(faults, "fault"))),
    }
}

/// Reports on a `providers.toml` line by line and returns the number of faults. Asks every
/// provider once if wanted. Fails if the file cannot be read at all.
pub(super) async fn report(
    dir: &Path,
    settings: &CliSettings,
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
    async fn all(
        &mut self,
        dir: &Path,
        settings: &CliSettings,
        args: &Check,
    ) -> Result<(), Failure> {
        let config =
            parse_config(READERS, dir).map_err(|error| Failure::failed(error.to_string()))?;
        let wanted = wanted(&config, &args.provider)?;
        let mut ports = ports(settings)?;
        // Without an account everything else can still be checked.
        let no_account = connect(&mut ports, &wanted, settings, &args.account).await;
        self.line(&format!(
            "{}: {}, {}",
            dir.join(CONFIG_FILE).display(),
            plural(config.types.len() as u64, "type"),
            plural(config.providers.len() as u64, "provider")
        ))?;
        if args.provider.is_empty()
            && let Err(why) = check_operations(SURFACES, &Catalog::of(&config))
        {
            self.fault(&why)?;
        }
        self.line("providers")?;
        let mut built = Vec::new();
        for provider in wanted {
            let ready = self.built(provider, dir, settings, &ports, no_account.as_deref());
            built.extend(ready.await?.map(|ready| (provider, ready)));
        }
        if args.provider.is_empty() {
            self.line("types")?;
            for kind in Catalog::of(&config).kinds() {
                self.line(&type_text(kind, &config))?;
            }
        }
        if args.dry_call {
            self.line("dry calls")?;
            let asked = built.iter().map(|(provider, _)| *provider);
            let (watched, ports) = watch(asked, args.verbose, settings, ports).await?;
            for (provider, ready) in built {
                self.tried(provider, ready.as_ref(), &ports, &watched, &args.input)
                    .await?;
            }
        }
        Ok(())
    }

    /// Builds a provider and describes it. A fault if it cannot be built, or lacks something.
    async fn built(
        &mut self,
        provider: &ProviderConfig,
        dir: &Path,
        settings: &CliSettings,
        ports: &Ports,
        no_account: Option<&str>,
    ) -> Result<Option<Arc<dyn Provider>>, Failure> {
        let secrets = |name: &str| settings.get(name);
        let name = &provider.name;
        let ready = match build(provider, dir, &secrets) {
            Ok(ready) => ready,
            Err(error) => {
                self.fault(&format!("{name}: {error}"))?;
                return Ok(None);
            }
        };
        let about = match no_account.filter(|_| provider.uses_assets(&secrets)) {
            Some(why) => Err(why.to_owned()),
            None => ready.inspect(ports).await,
        };
        match about {
            Err(why) => {
                self.fault(&format!("{}", provider.at.error(format!("{name}: {why}"))))?;
                Ok(None)
            }
            Ok(about) => {
                let price = plural(u64::from(provider.credits), "credit");
                let about = plain(&[vec![price], about].concat().join(", "), MAX_ABOUT);
                self.line(&format!("  {name}: {about}"))?;
                Ok(Some(ready))
            }
        }
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
        watched: &TracingSender,
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

/// The providers that a check is about: those that were named, or all.
fn wanted<'c>(config: &'c Config, named: &[String]) -> Result<Vec<&'c ProviderConfig>, Failure> {
    let known = || {
        config
            .providers
            .iter()
            .map(|provider| provider.name.as_str())
    };
    if let Some(unknown) = named
        .iter()
        .find(|name| known().all(|known| known != *name))
    {
        let known = known().collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!(
            "--provider: no provider {unknown}; there are {known}"
        )));
    }
    let wanted = |provider: &&ProviderConfig| named.is_empty() || named.contains(&provider.name);
    Ok(config.providers.iter().filter(wanted).collect())
}

/// Gives the ports what these providers need of the AWS account. Returns the reason if no account
/// is known.
async fn connect(
    ports: &mut Ports,
    wanted: &[&ProviderConfig],
    settings: &CliSettings,
    account: &Account,
) -> Option<String> {
    let secrets = |name: &str| settings.get(name);
    if !wanted.iter().any(|provider| provider.uses_assets(&secrets)) {
        return None;
    }
    match assets(settings, account).await {
        Ok(assets) => {
            ports.assets = assets;
            None
        }
        Err(failure) => failure
            .text()
            .map(|why| why.trim_start_matches("error: ").to_owned()),
    }
}

/// Lists where a provider's mapping found nothing, for a line about it.
fn nothing_at(absent: &[String]) -> String {
    if absent.is_empty() {
        String::new()
    } else {
        format!("; nothing at {}", plain(&absent.join(", "), 600))
    }
}

/// Names the place of a value, and its field.
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
    let Some(http) = provider.kind.downcast_ref::<HttpConfig>() else {
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

/// Lists the pointers of a mapping that find nothing in a response. Empty where a condition of the
/// file may have decided.
fn absent_of(provider: &ProviderConfig, response: &Value) -> Vec<String> {
    let Some(http) = provider.kind.downcast_ref::<HttpConfig>() else {
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

/// Lists which of a type's input sets each of its providers serves, and which sets none serves
/// alone. Empty if the type has one set and all serve it.
fn served_text(kind: &RecordType, config: &Config) -> String {
    let providers = || {
        config
            .providers
            .iter()
            .filter(move |provider| kind.providers().any(|name| name == provider.name))
    };
    let shown = |set: &[String]| set.join(" and ");
    // A field that is in no set is optional.
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
        text += &format!("\n    no provider serves {} alone", shown(set));
    }
    text
}

fn asks_an_api(provider: &ProviderConfig) -> bool {
    provider.kind.settings().one_upstream()
}
