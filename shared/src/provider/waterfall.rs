//! The waterfall: asks a type's providers in order until it has what the type wants, and merges what they find.
//!
//! How answers become one outcome:
//! - any field found: `found`, whatever else failed. The first provider to give a field wins it;
//! - nothing found and at least one said no: `not_found`. Where others could not answer, `error` names the first of
//!   them, so that a reader can tell "nobody has it" from "nobody that could be asked has it";
//! - every provider that the input suits failed: `failed`, with the first one's code;
//! - the input suits no provider: `invalid`.
//!
//! Credits are the sum over the providers that contributed at least one field; anything but `found` costs nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::config::{ProviderConfig, Until};
use super::{Answer, Ports, Provider, RecordType};
use crate::domain::record::{MAX_OUTCOME_BYTES, Outcome, OutcomeError, OutcomeStatus, Source};
use crate::ports::within;

/// A provider's place in a waterfall.
#[derive(Debug, Clone)]
pub struct Step {
    name: String,
    provider: Arc<dyn Provider>,
    credits: u32,
    confidence: Option<f64>,
    license: Option<String>,
    /// What later providers leave it; nothing for one that only computes.
    timeout: Option<Duration>,
}

impl Step {
    pub fn new(config: &ProviderConfig, provider: Arc<dyn Provider>) -> Self {
        Self {
            name: config.name.clone(),
            provider,
            credits: config.credits,
            confidence: config.confidence,
            license: config.license.clone(),
            timeout: config.timeout(),
        }
    }
}

/// The providers of one type, in order.
#[derive(Debug, Clone)]
pub struct Waterfall {
    kind: Arc<RecordType>,
    steps: Vec<Step>,
}

impl Waterfall {
    pub fn new(kind: Arc<RecordType>, steps: Vec<Step>) -> Self {
        Self { kind, steps }
    }

    pub fn kind(&self) -> &RecordType {
        &self.kind
    }

    /// Works on one record for at most `limit`. `order` overrides the type's own order; names that the type does not
    /// have are passed over (see [`RecordType::validate_order`]). Never panics by itself, never answers `skipped` or
    /// `canceled`.
    pub async fn run(
        &self,
        input: &Map<String, Value>,
        limit: Duration,
        order: Option<&[String]>,
        ports: &Ports,
    ) -> Outcome {
        if let Err(what) = self.kind.usable() {
            return Outcome::failed("provider_unconfigured", what);
        }
        let steps: Vec<&Step> = match order {
            None => self.steps.iter().collect(),
            Some(names) => names.iter().filter_map(|n| self.steps.iter().find(|s| s.name == *n)).collect(),
        };
        let deadline = ports.clock.now().plus(limit);
        let mut merged = Merged::default();
        for (at, step) in steps.iter().enumerate() {
            let left = deadline.since(ports.clock.now());
            let limit = share(left, step.timeout, &steps[at + 1..]);
            let answer = if limit.is_zero() {
                None
            } else {
                within(ports.clock.as_ref(), limit, step.provider.ask(input, limit, ports)).await
            };
            let answer = answer.unwrap_or_else(|| {
                let code =
                    if deadline.since(ports.clock.now()).is_zero() { "deadline_exceeded" } else { "provider_timeout" };
                Answer::failed(code, "did not answer in time")
            });
            merged.take(step, answer, ports);
            if merged.satisfies(self.kind.until()) {
                break;
            }
        }
        merged.into_outcome()
    }
}

/// How long a provider may take of what is left: its own time-out, cut so that the later ones keep theirs, but never
/// below an equal share.
fn share(left: Duration, own: Option<Duration>, later: &[&Step]) -> Duration {
    let wanted_later: Duration = later.iter().filter_map(|s| s.timeout).sum();
    let waiting = later.iter().filter(|s| s.timeout.is_some()).count();
    let equal = left / u32::try_from(waiting + 1).unwrap_or(u32::MAX);
    let free = left.saturating_sub(wanted_later).max(equal);
    own.map_or(free, |own| own.min(free))
}

/// What the providers said so far.
#[derive(Default)]
struct Merged {
    data: Map<String, Value>,
    sources: Vec<(String, Source)>,
    credits: u32,
    said_no: bool,
    failure: Option<OutcomeError>,
    invalid: Option<String>,
}

impl Merged {
    fn take(&mut self, step: &Step, answer: Answer, ports: &Ports) {
        match answer {
            Answer::Found { fields, confidence } => self.add(step, fields, confidence, ports),
            Answer::NotFound => self.said_no = true,
            Answer::Invalid(why) => {
                self.invalid.get_or_insert(why);
            }
            Answer::Failed { code, detail } => {
                self.failure.get_or_insert_with(|| OutcomeError::new(&code, format!("{}: {detail}", step.name)));
            }
        }
    }

    fn add(&mut self, step: &Step, fields: Map<String, Value>, confidence: Option<f64>, ports: &Ports) {
        let source = Source {
            provider: step.name.clone(),
            fetched_at: ports.clock.now().rfc3339(),
            confidence: confidence.or(step.confidence),
            license: step.license.clone(),
        };
        let before = self.data.len();
        for (name, value) in fields {
            if !value.is_null() && !self.data.contains_key(&name) {
                self.sources.push((name.clone(), source.clone()));
                self.data.insert(name, value);
            }
        }
        if self.data.len() > before {
            self.credits = self.credits.saturating_add(step.credits);
        } else if self.data.is_empty() {
            self.said_no = true;
        }
    }

    fn satisfies(&self, until: &Until) -> bool {
        match until {
            Until::Any => !self.data.is_empty(),
            Until::Fields(fields) => fields.iter().all(|f| self.data.contains_key(f)),
        }
    }

    fn into_outcome(self) -> Outcome {
        if self.data.is_empty() {
            return match (self.said_no, self.failure, self.invalid) {
                (true, failure, _) => Outcome::without_data(OutcomeStatus::NotFound, failure),
                (false, Some(failure), _) => Outcome::without_data(OutcomeStatus::Failed, Some(failure)),
                (false, None, Some(why)) => {
                    Outcome::without_data(OutcomeStatus::Invalid, Some(OutcomeError::new("invalid_input", why)))
                }
                (false, None, None) => Outcome::failed("no_provider", "no provider was asked"),
            };
        }
        let outcome = Outcome {
            status: OutcomeStatus::Found,
            data: self.data,
            sources: self.sources,
            credits: self.credits,
            error: None,
        };
        let mut size = Count(0);
        if serde_json::to_writer(&mut size, &outcome).is_err() || size.0 > MAX_OUTCOME_BYTES {
            return Outcome::failed(
                "outcome_too_large",
                format!("the found data is {} bytes as JSON; at most {MAX_OUTCOME_BYTES} are kept", size.0),
            );
        }
        outcome
    }
}

/// Counts bytes written and keeps none.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use serde_json::json;

    use super::super::Registry;
    use super::super::config::Config;
    use super::super::testing::{Script, input, ports};
    use super::*;

    /// Answers what it is told, after so long, and notes what it was given.
    #[derive(Debug)]
    struct Fixed {
        answer: Answer,
        takes: Duration,
        limits: Mutex<Vec<Duration>>,
    }

    #[async_trait]
    impl Provider for Fixed {
        async fn ask(&self, _input: &Map<String, Value>, limit: Duration, ports: &Ports) -> Answer {
            self.limits.lock().unwrap().push(limit);
            if !self.takes.is_zero() {
                ports.clock.sleep(self.takes).await;
            }
            self.answer.clone()
        }
    }

    struct Fixture {
        registry: Registry,
        providers: BTreeMap<String, Arc<Fixed>>,
        ports: Ports,
        _script: Arc<Script>,
    }

    impl Fixture {
        /// Providers `a`, `b`, … worth 1, 2, 4, … credits, in that order.
        fn new(until: &str, answers: Vec<(Answer, Duration)>) -> Self {
            let names: Vec<String> = (b'a'..).take(answers.len()).map(|c| char::from(c).to_string()).collect();
            let mut toml = format!(
                "[types.t]\ninputs = [[\"x\"]]\nrecord_timeout_s = 10\nwaterfall = {names:?}\nuntil = {until}\n"
            );
            for (at, name) in names.iter().enumerate() {
                let provider = format!(
                    "[providers.{name}]\nkind = \"http\"\nurl = \"https://h.example/\"\ntimeout_s = 8\ncredits = {}\n\
                     license = \"L-{name}\"\nconfidence = 0.5\nfields = {{ n = \"/n\", m = \"/m\" }}\n",
                    1 << at
                );
                toml.push_str(&provider);
            }
            let config = Config::parse("p.toml", &toml).unwrap();
            let fixed =
                answers.into_iter().map(|(answer, takes)| Arc::new(Fixed { answer, takes, limits: Mutex::default() }));
            let providers: BTreeMap<String, Arc<Fixed>> = names.into_iter().zip(fixed).collect();
            let registry = Registry::assemble(&config, |p| Ok(providers[&p.name].clone())).unwrap();
            let (ports, script) = ports();
            Self { registry, providers, ports, _script: script }
        }

        async fn run(&self, seconds: u64, order: Option<&[&str]>) -> Outcome {
            let order: Option<Vec<String>> = order.map(|o| o.iter().map(|n| (*n).to_owned()).collect());
            let waterfall = self.registry.waterfall("t").unwrap();
            waterfall.run(&input(json!({"x": "1"})), Duration::from_secs(seconds), order.as_deref(), &self.ports).await
        }

        fn asked(&self) -> String {
            self.providers
                .iter()
                .filter(|(_, p)| !p.limits.lock().unwrap().is_empty())
                .map(|(n, _)| n.as_str())
                .collect()
        }
    }

    fn now(answer: Answer) -> (Answer, Duration) {
        (answer, Duration::ZERO)
    }

    fn found(fields: Value) -> Answer {
        Answer::Found { fields: input(fields), confidence: None }
    }

    fn no() -> Answer {
        Answer::NotFound
    }

    fn broken() -> Answer {
        Answer::failed("provider_error", "broken")
    }

    fn invalid() -> Answer {
        Answer::Invalid("is no x".to_owned())
    }

    #[tokio::test]
    async fn the_first_to_give_a_field_wins_it_and_only_contributors_are_paid() {
        let f = Fixture::new(
            "[\"n\", \"m\"]",
            vec![
                now(found(json!({"n": 1, "null": null}))),
                now(found(json!({"n": 2}))),
                now(Answer::Found { fields: input(json!({"n": 3, "m": 3})), confidence: Some(0.75) }),
                now(found(json!({"m": 4}))),
            ],
        );
        let outcome = f.run(10, None).await;
        assert_eq!(outcome.status, OutcomeStatus::Found);
        assert_eq!(Value::Object(outcome.data), json!({"n": 1, "m": 3}));
        assert_eq!(outcome.credits, 1 + 4, "b repeated what a had said");
        assert_eq!(f.asked(), "abc", "satisfied after c");
        let source = |name: &str, confidence| Source {
            provider: name.to_owned(),
            fetched_at: "2026-01-01T00:00:00.000Z".to_owned(),
            confidence: Some(confidence),
            license: Some(format!("L-{name}")),
        };
        assert_eq!(outcome.sources, [("n".to_owned(), source("a", 0.5)), ("m".to_owned(), source("c", 0.75))]);
    }

    #[tokio::test]
    async fn any_stops_at_the_first_that_found_something() {
        let answers = || vec![now(no()), now(broken()), now(found(json!({"n": 1}))), now(found(json!({"m": 1})))];
        let f = Fixture::new("\"any\"", answers());
        let outcome = f.run(10, None).await;
        assert_eq!((outcome.status, outcome.credits, outcome.error), (OutcomeStatus::Found, 4, None));
        assert_eq!(f.asked(), "abc");
        let f = Fixture::new("\"any\"", answers());
        let outcome = f.run(10, Some(&["d", "nobody", "a"])).await;
        assert_eq!((outcome.credits, f.asked().as_str()), (8, "d"));
    }

    #[tokio::test]
    async fn without_data_the_answers_decide() {
        use OutcomeStatus::{Failed, Invalid, NotFound};
        for (answers, status, code) in [
            (vec![no(), no()], NotFound, None),
            (vec![broken(), broken()], Failed, Some("provider_error")),
            (vec![broken(), no()], NotFound, Some("provider_error")),
            (vec![no(), broken()], NotFound, Some("provider_error")),
            (vec![invalid(), invalid()], Invalid, Some("invalid_input")),
            (vec![invalid(), no()], NotFound, None),
            (vec![invalid(), broken()], Failed, Some("provider_error")),
            (vec![found(json!({"n": null})), broken()], NotFound, Some("provider_error")),
        ] {
            let f = Fixture::new("\"any\"", answers.iter().cloned().map(now).collect());
            let outcome = f.run(10, None).await;
            assert_eq!(outcome.status, status, "{answers:?}");
            assert_eq!(outcome.error.as_ref().map(|e| e.code.as_str()), code, "{answers:?}");
            assert_eq!(outcome.credits, 0);
            assert_eq!(f.asked(), "ab");
        }
    }

    #[tokio::test]
    async fn a_slow_first_provider_leaves_time_for_the_later_ones() {
        let slow = (found(json!({"n": 1})), Duration::from_mins(1));
        let f = Fixture::new("\"any\"", vec![slow, now(broken()), now(found(json!({"m": 2})))]);
        let outcome = f.run(12, None).await;
        assert_eq!(Value::Object(outcome.data), json!({"m": 2}));
        let limit = |name: &str| f.providers[name].limits.lock().unwrap()[0];
        assert_eq!(limit("a"), Duration::from_secs(4), "an equal share");
        assert_eq!((limit("b"), limit("c")), (Duration::from_secs(4), Duration::from_secs(8)));
    }

    #[tokio::test]
    async fn a_record_never_outlives_its_limit() {
        let slow = || (found(json!({"n": 1})), Duration::from_mins(1));
        let f = Fixture::new("\"any\"", vec![slow(), slow()]);
        let before = f.ports.clock.now();
        let outcome = f.run(3, None).await;
        assert_eq!(f.ports.clock.now().since(before), Duration::from_secs(3));
        let error = outcome.error.unwrap();
        assert_eq!((outcome.status, error.code.as_str()), (OutcomeStatus::Failed, "provider_timeout"));
        let outcome = f.run(0, None).await;
        assert_eq!(outcome.error.unwrap().code, "deadline_exceeded");
        let f = Fixture::new("\"any\"", vec![slow()]);
        assert_eq!(f.run(3, None).await.error.unwrap().code, "deadline_exceeded");
    }

    #[tokio::test]
    async fn an_outcome_that_is_too_large_fails_and_costs_nothing() {
        let f = Fixture::new("\"any\"", vec![now(found(json!({"n": "x".repeat(MAX_OUTCOME_BYTES)})))]);
        let outcome = f.run(10, None).await;
        assert_eq!((outcome.status, outcome.credits), (OutcomeStatus::Failed, 0));
        assert_eq!(outcome.error.unwrap().code, "outcome_too_large");
        assert!(outcome.data.is_empty() && outcome.sources.is_empty());
    }

    #[test]
    fn prices_are_the_worst_case() {
        let price = |until: &str, order: Option<&[&str]>| {
            let f = Fixture::new(until, vec![now(no()), now(no()), now(no())]);
            let order: Option<Vec<String>> = order.map(|o| o.iter().map(|n| (*n).to_owned()).collect());
            f.registry.kind("t").unwrap().price(order.as_deref())
        };
        assert_eq!(price("\"any\"", None), 4);
        assert_eq!(price("[\"n\"]", None), 7);
        assert_eq!(price("\"any\"", Some(&["b", "a"])), 2);
        assert_eq!(price("[\"n\"]", Some(&["c", "a"])), 5);
        assert_eq!(price("[\"n\"]", Some(&["nobody"])), 0);
    }
}
