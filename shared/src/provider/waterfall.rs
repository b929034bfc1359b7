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
                let code = if deadline.since(ports.clock.now()).is_zero() { "deadline_exceeded" } else { "timeout" };
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
