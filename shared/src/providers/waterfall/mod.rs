//! The waterfall: asks a type's providers in order until it has what the type wants, and merges what they find.
//!
//! How answers become one outcome:
//! - any field found: `found`, whatever else failed. The first provider to give a field wins it, unless the type wants the
//!   field with more confidence than that: then the more confident answer takes its place;
//! - nothing found and at least one said no: `not_found`. Where others could not answer, `error` names the first of
//!   them, so that a reader can tell "nobody has it" from "nobody that could be asked has it";
//! - every provider that the input suits failed: `failed`, with the first one's code;
//! - the input is not what the type asks for: `invalid`; it suits no provider, each for a need of its own: `failed`, with
//!   `provider_input`.
//!
//! Credits are the sum over the providers that the found fields came from; anything but `found` costs nothing.
//!
//! A provider may take a question and answer later. Then the run ends as [`Progress::Parked`], which holds all that is known
//! by then and can be stored; a later run goes on from there.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Answer, Earlier, Later, Ports, Provider, Question};
use crate::catalog::RecordType;
use crate::catalog::{ProviderConfig, Until};
use crate::domain::record::{
    FailureCode, MAX_DEPTH, MAX_OUTCOME_BYTES, Outcome, OutcomeError, OutcomeStatus, Source, depth,
    is_blank, without_blanks,
};
use crate::domain::suspended::Merged;
use crate::domain::suspended::Outage;
pub use crate::domain::suspended::Parked;
use crate::ports::within;
use crate::providers::Confidence;
use crate::providers::guards::answer_cache::{Cache, Rules};
use crate::providers::guards::waits::Waits;
use crate::providers::refresh::notice::Notices;

/// On whose terms an answer is merged.
#[derive(Debug, Clone)]
struct Terms {
    /// The provider's.
    name: String,
    /// For a record to which it contributes.
    credits: u32,
    /// How sure its answers are where they do not say.
    confidence: Option<f64>,
    license: Option<String>,
}

/// A provider's place in a waterfall.
#[derive(Debug, Clone)]
pub struct Step {
    terms: Terms,
    provider: Arc<dyn Provider>,
    /// What later providers leave it; nothing for one that only computes.
    timeout: Option<Duration>,
    /// It may have to wait for its turn, beyond its own time-out.
    takes_turns: bool,
    /// What it can give; `None` where only its answers show it.
    outputs: Option<Vec<String>>,
    /// How its answers are kept, where they are.
    cache: Option<Arc<Rules>>,
    notices: Arc<Notices>,
    waits: Arc<Waits>,
    /// The fields without which it may not take an input, whatever the type asks for.
    required: Vec<String>,
}

/// A provider's answer as the waterfall takes it.
enum Judged {
    Answer(Answer),
    /// The input does not suit this provider, whatever the type asks for.
    Unsuited(String),
}

impl Step {
    pub fn new(config: &ProviderConfig, provider: Arc<dyn Provider>) -> Self {
        Self {
            terms: Terms {
                name: config.name.clone(),
                credits: config.credits,
                confidence: config.confidence,
                license: config.license.clone(),
            },
            provider,
            timeout: config.timeout(),
            takes_turns: config.limits.rate.is_some(),
            outputs: config.kind.settings().outputs(),
            cache: Rules::of(config),
            notices: Arc::default(),
            waits: Arc::new(Waits::new(&config.name)),
            required: own_needs(config),
        }
    }

    fn name(&self) -> &str {
        &self.terms.name
    }

    /// Nothing of a tenant's own goes into an answer that is kept for all tenants.
    fn sees<'p>(&self, ports: &'p Ports) -> Cow<'p, Ports> {
        if self.cache.as_ref().is_some_and(|rules| rules.are_for_all()) {
            Cow::Owned(Ports {
                seen: None,
                ..ports.clone()
            })
        } else {
            Cow::Borrowed(ports)
        }
    }

    /// Tells an input that is wrong for the type from one that lacks a field of this provider's own need.
    fn judged(&self, answer: Answer, input: &Map<String, Value>, kind: &RecordType) -> Judged {
        let own = || {
            self.required.iter().any(|field| !input.contains_key(field))
                && kind.check_input(input).is_ok()
        };
        match answer {
            Answer::Invalid(why) if own() => Judged::Unsuited(why),
            answer => Judged::Answer(answer),
        }
    }

    /// Whether it can give any of these fields.
    fn gives(&self, wanted: &[&str]) -> bool {
        self.outputs.as_ref().is_none_or(|outputs| {
            outputs
                .iter()
                .any(|output| wanted.contains(&output.as_str()))
        })
    }
}

/// An upstream's own needs stand in its templates too.
fn own_needs(config: &ProviderConfig) -> Vec<String> {
    let settings = config.kind.settings();
    if settings.one_upstream() {
        settings.needs()
    } else {
        settings.required()
    }
}

/// One record's turn at a waterfall.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// As it was sent; providers see nothing of it that is blank.
    pub input: &'a Map<String, Value>,
    /// How long this run may take.
    pub limit: Duration,
    /// Overrides the type's own order; names that the type does not have are passed over (see
    /// [`RecordType::validate_order`]).
    pub order: Option<&'a [String]>,
    /// Names the record, the same at every run.
    pub key: &'a str,
    /// The URL at which a provider's upstream can leave its answer, by the provider's name. `None` where nobody could
    /// reach us.
    pub callback: Option<&'a (dyn Fn(&str) -> String + Sync)>,
    /// Earlier answers, where any are kept.
    pub cache: Option<&'a Cache>,
}

impl std::fmt::Debug for Request<'_> {
    /// Leaves out the input.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("key", &self.key)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// How far a run came.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    Done(Outcome),
    /// A provider answers later.
    Parked(Box<Parked>),
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

    /// Whether an upstream of this type can make use of a [`Request::callback`].
    pub fn calls_back(&self) -> bool {
        self.steps.iter().any(|step| step.provider.calls_back())
    }

    /// Whether any provider's answers are kept.
    pub fn keeps_answers(&self) -> bool {
        self.steps.iter().any(|step| step.cache.is_some())
    }

    /// Tells callers whom a record waits for that could not put its question. Takes at most `limit`.
    pub async fn tell(&self, parked: &Parked, limit: Duration, ports: &Ports) {
        let step = self
            .steps
            .iter()
            .find(|step| step.name() == parked.provider() && !parked.is_taken());
        if let Some(step) = step {
            step.waits
                .tell(ports, parked.resume_at, parked.outage, limit)
                .await;
        }
    }

    /// Works on one record until its outcome is known or a provider answers later. `parked` is what an earlier run came to,
    /// with what the upstream posted since. Never panics by itself, never answers `skipped` or `canceled`.
    pub async fn run(
        &self,
        request: &Request<'_>,
        parked: Option<(Parked, Option<Value>)>,
        ports: &Ports,
    ) -> Progress {
        if let Err(what) = self.kind.usable() {
            return Progress::Done(Outcome::failed("provider_unconfigured", what));
        }
        let input = without_blanks(request.input);
        let (names, mut merged, mut waiting, heard);
        let before = parked
            .as_ref()
            .map_or((None, None), |(before, _)| (before.outage, before.since));
        if let Some((before, posted)) = parked {
            // Who has not taken the question is shown nothing.
            heard = (before.heard, posted.is_some() && before.ticket.is_some());
            (names, merged) = (before.left, before.merged);
            waiting = Some((
                before.ticket.map(|ticket| Earlier { ticket, posted }),
                before.give_up_at,
            ));
        } else {
            let own = || {
                self.steps
                    .iter()
                    .map(|step| step.name().to_owned())
                    .collect()
            };
            names = request.order.map_or_else(own, <[String]>::to_vec);
            (merged, waiting, heard) = (Merged::default(), None, (0, false));
        }
        // Who was waited for and is gone from the configuration is not waited for any more.
        let gone = waiting.is_some()
            && names
                .first()
                .is_some_and(|name| !self.steps.iter().any(|s| s.name() == *name));
        waiting.take_if(|_| gone);
        let steps: Vec<&Step> = names
            .iter()
            .filter_map(|name| self.steps.iter().find(|step| step.name() == *name))
            .collect();
        let deadline = ports.clock.now().plus(request.limit);
        for (at, step) in steps.iter().enumerate() {
            let (earlier, give_up_at) = waiting
                .take()
                .map_or((None, None), |(e, until)| (e, Some(until)));
            let (heard, posted) = if give_up_at.is_some() {
                heard
            } else {
                (0, false)
            };
            // What was asked for is taken, whatever else came meanwhile.
            if give_up_at.is_none()
                && !merged
                    .wanted(self.kind.until())
                    .is_none_or(|wanted| step.gives(&wanted))
            {
                continue;
            }
            // A question that was taken is answered by who took it.
            let kept = match (&step.cache, request.cache) {
                (Some(rules), Some(cache)) if earlier.is_none() => {
                    let reading = cache.look_up(rules, &input, ports);
                    within(
                        ports.clock.as_ref(),
                        deadline.since(ports.clock.now()),
                        reading,
                    )
                    .await
                    .flatten()
                }
                _ => None,
            };
            let (answer, origin) = if let Some(kept) = kept {
                let origin = Origin {
                    fetched_at: kept.fetched_at.clone(),
                    cached: true,
                };
                (kept.answer(), origin)
            } else {
                let left = deadline.since(ports.clock.now());
                let own = step.timeout.filter(|_| !step.takes_turns);
                let limit = share(left, own, &steps[at + 1..]);
                let answer = if limit.is_zero() {
                    None
                } else {
                    let key =
                        hex::encode(Sha256::digest(format!("{}\n{}", request.key, step.name())));
                    let callback = request
                        .callback
                        .filter(|_| step.provider.calls_back())
                        .map(|url| url(step.name()));
                    let question = Question {
                        input: &input,
                        limit,
                        key: &key,
                        callback: callback.as_deref(),
                        earlier: earlier.as_ref(),
                        last: at + 1 == steps.len() && merged.data.is_empty(),
                        wait: self.kind.wait(),
                    };
                    within(
                        ports.clock.as_ref(),
                        limit,
                        step.provider.ask(&question, &step.sees(ports)),
                    )
                    .await
                };
                let answer = answer.unwrap_or_else(|| {
                    let code = if deadline.since(ports.clock.now()).is_zero() {
                        FailureCode::DeadlineExceeded
                    } else {
                        FailureCode::ProviderTimeout
                    };
                    Answer::failed(code, "did not answer in time")
                });
                let answer = match answer {
                    Answer::Later(Later {
                        ticket,
                        look_in,
                        give_up_in,
                        refused,
                        outage,
                    }) => {
                        // What was posted is shown to the provider until it has seen it.
                        let heard = heard + usize::from(posted && !refused);
                        let now = ports.clock.now();
                        // Of a question that was only waiting to be put, the wait for its answer begins when it is put.
                        let put_now = earlier.is_none() && ticket.is_some();
                        let before = if give_up_at.is_some() && !put_now {
                            before
                        } else {
                            (None, None)
                        };
                        let since = before.1.unwrap_or(now);
                        let give_up_at = match give_up_at {
                            None => now.plus(give_up_in),
                            Some(_) if put_now => now.plus(give_up_in),
                            Some(until) if ticket.is_some() => until,
                            // A wait for our own rate, which can be long, has become one for the upstream, or ceased to be.
                            Some(until) => match (before.0, outage) {
                                (None, Some(_)) => until.min(now.plus(give_up_in)),
                                (Some(_), None) => until.max(since.plus(give_up_in)),
                                _ => until,
                            },
                        };
                        let outage = outage.map(|outage| Outage {
                            status: outage
                                .status
                                .or_else(|| before.0.and_then(|before| before.status)),
                        });
                        if let Some(outage) = outage {
                            step.notices.waits(step.name(), outage.status, now);
                        }
                        if let Some(unfit) = merged.unfit(ticket.as_ref()) {
                            return Progress::Done(unfit);
                        }
                        // A look that limits of ours put off is made before the question is given up.
                        let put_off = refused && ticket.is_some();
                        let until = if put_off {
                            give_up_at.plus(give_up_in)
                        } else {
                            give_up_at
                        };
                        if now < until {
                            let resume_at = now.plus(look_in.max(MIN_WAIT)).min(until);
                            let left = steps[at..]
                                .iter()
                                .map(|step| step.name().to_owned())
                                .collect();
                            return Progress::Parked(Box::new(Parked {
                                left,
                                merged,
                                ticket,
                                resume_at,
                                give_up_at,
                                heard,
                                outage,
                                since: Some(since),
                            }));
                        }
                        if ticket.is_some() {
                            Answer::failed(
                                FailureCode::ProviderTimeout,
                                "took the question and gave no answer in time",
                            )
                        } else {
                            waited_in_vain(outage)
                        }
                    }
                    answer => answer,
                };
                let now = ports.clock.now();
                if let Answer::Failed { code, detail } = &answer {
                    step.notices.failed(step.name(), *code, detail, now);
                }
                if let (Some(rules), Some(cache)) = (&step.cache, request.cache) {
                    cache.keep(rules, &input, &answer, now).await;
                }
                if matches!(answer, Answer::Found { .. } | Answer::NotFound) {
                    let waited = give_up_at.is_some() && before.0.is_some();
                    step.waits
                        .over(ports, waited, deadline.since(ports.clock.now()) / 2)
                        .await;
                }
                (
                    answer,
                    Origin {
                        fetched_at: now.rfc3339(),
                        cached: false,
                    },
                )
            };
            let answer = step.judged(answer, &input, &self.kind);
            merged.take(&step.terms, answer, self.kind.until(), &origin);
            if merged
                .wanted(self.kind.until())
                .is_some_and(|wanted| wanted.is_empty())
            {
                break;
            }
        }
        Progress::Done(merged.into_outcome())
    }
}

/// What becomes of a question that could not be put until the wait was over.
fn waited_in_vain(outage: Option<Outage>) -> Answer {
    let Some(Outage { status }) = outage else {
        let detail = "could not be asked in time: its turn never came (`rate`, `concurrency`), or its secret or table could \
                      not be read";
        return Answer::failed(FailureCode::ProviderUnavailable, detail);
    };
    let code = if status == Some(429) {
        FailureCode::RateLimited
    } else {
        FailureCode::ProviderUnavailable
    };
    let did = status.map_or_else(
        || "could not be reached".to_owned(),
        |status| format!("answered HTTP {status}"),
    );
    Answer::failed(
        code,
        format!("{did} until the record had waited long enough (`wait_s`)"),
    )
}

/// Nobody is asked again sooner: a parked record costs a read and a message each time.
const MIN_WAIT: Duration = Duration::from_secs(1);

/// How long a provider may take of what is left: its own time-out, cut so that the later ones keep theirs, but never
/// below an equal share.
fn share(left: Duration, own: Option<Duration>, later: &[&Step]) -> Duration {
    let wanted_later: Duration = later.iter().filter_map(|s| s.timeout).sum();
    let waiting = later.iter().filter(|s| s.timeout.is_some()).count();
    let equal = left / u32::try_from(waiting + 1).unwrap_or(u32::MAX);
    let free = left.saturating_sub(wanted_later).max(equal);
    own.map_or(free, |own| own.min(free))
}

/// Where an answer came from.
struct Origin {
    /// RFC 3339, UTC.
    fetched_at: String,
    cached: bool,
}

impl Merged {
    fn take(&mut self, from: &Terms, answer: Judged, until: &Until, origin: &Origin) {
        let answer = match answer {
            Judged::Answer(answer) => answer,
            Judged::Unsuited(why) => {
                self.unsuited
                    .get_or_insert_with(|| format!("{}: {why}", from.name));
                return;
            }
        };
        match answer {
            Answer::Found { fields, confidence } => {
                self.add(from, fields, confidence.as_ref(), until, origin);
            }
            Answer::NotFound => self.said_no = true,
            Answer::Invalid(why) => {
                self.invalid.get_or_insert(why);
            }
            Answer::Failed { code, detail } => {
                // What may pass says more than an input that never will.
                if code != FailureCode::ProviderInput {
                    self.failure
                        .take_if(|before| before.is(FailureCode::ProviderInput));
                }
                self.failure.get_or_insert_with(|| {
                    OutcomeError::new(code.as_str(), format!("{}: {detail}", from.name))
                });
            }
            // Whoever waits was parked before.
            Answer::Later(_) => {}
        }
    }

    fn add(
        &mut self,
        from: &Terms,
        fields: Map<String, Value>,
        confidence: Option<&Confidence>,
        until: &Until,
        origin: &Origin,
    ) {
        let source = |field: &str| Source {
            provider: from.name.clone(),
            fetched_at: origin.fetched_at.clone(),
            confidence: confidence
                .and_then(|said| said.of(field))
                .or(from.confidence),
            license: from.license.clone(),
            cached: origin.cached,
        };
        let mut gave = false;
        for (name, value) in fields.into_iter().filter(|(_, value)| !is_blank(value)) {
            let source = source(&name);
            match self.sources.iter_mut().find(|(field, _)| *field == name) {
                None => self.sources.push((name.clone(), source)),
                Some((_, before))
                    if sure(before) < threshold(until, &name) && sure(&source) > sure(before) =>
                {
                    *before = source;
                }
                Some(_) => continue,
            }
            self.data.insert(name, value);
            gave = true;
        }
        if gave {
            self.prices.push((from.name.clone(), from.credits));
        } else if self.data.is_empty() {
            self.said_no = true;
        }
    }

    /// What becomes of a record that cannot be kept until its provider answers, if it cannot: what was found so far must fit an
    /// outcome, and be read again.
    fn unfit(&self, ticket: Option<&Value>) -> Option<Outcome> {
        if self
            .data
            .values()
            .chain(ticket)
            .any(|value| depth(value) > MAX_DEPTH)
        {
            let detail = format!("a provider's answer nests deeper than {MAX_DEPTH} levels");
            return Some(Outcome::failed("outcome_too_deep", detail));
        }
        let mut size = Count(0);
        let written = serde_json::to_writer(&mut size, &(self, ticket));
        (written.is_err() || size.0 > MAX_OUTCOME_BYTES).then(|| too_large(size.0))
    }

    /// The fields that are still wanted; `None` where it is not about single fields, and anything helps.
    fn wanted<'u>(&self, until: &'u Until) -> Option<Vec<&'u str>> {
        let source = |field: &str| {
            self.sources
                .iter()
                .find(|(name, _)| name == field)
                .map(|(_, source)| source)
        };
        match until {
            Until::Any { confidence } => self
                .sources
                .iter()
                .any(|(_, source)| sure(source) >= *confidence)
                .then(Vec::new),
            Until::All(fields) => {
                let open = fields
                    .iter()
                    .filter(|(field, least)| source(field).is_none_or(|s| sure(s) < *least));
                Some(open.map(|(field, _)| field.as_str()).collect())
            }
        }
    }

    fn into_outcome(self) -> Outcome {
        if self.data.is_empty() {
            return match (self.said_no, self.failure, self.invalid) {
                (true, failure, _) => Outcome::without_data(OutcomeStatus::NotFound, failure),
                (false, Some(failure), _) => {
                    Outcome::without_data(OutcomeStatus::Failed, Some(failure))
                }
                (false, None, Some(why)) => Outcome::without_data(
                    OutcomeStatus::Invalid,
                    Some(OutcomeError::new("invalid_input", why)),
                ),
                (false, None, None) => match self.unsuited {
                    Some(why) => Outcome::failed(FailureCode::ProviderInput.as_str(), why),
                    None => Outcome::failed("no_provider", "no provider was asked"),
                },
            };
        }
        // Who gave only what a surer answer replaced is not paid.
        let contributed = |name: &str| {
            self.sources
                .iter()
                .any(|(_, source)| source.provider == name)
        };
        let prices = self
            .prices
            .iter()
            .filter(|(name, _)| contributed(name))
            .map(|(_, credits)| *credits);
        let credits = prices.fold(0, u32::saturating_add);
        let outcome = Outcome {
            status: OutcomeStatus::Found,
            data: self.data,
            sources: self.sources,
            credits,
            error: None,
        };
        let mut size = Count(0);
        if serde_json::to_writer(&mut size, &outcome).is_err() || size.0 > MAX_OUTCOME_BYTES {
            return too_large(size.0);
        }
        outcome
    }
}

fn too_large(bytes: usize) -> Outcome {
    let detail =
        format!("the found data is {bytes} bytes as JSON; at most {MAX_OUTCOME_BYTES} are kept");
    Outcome::failed("outcome_too_large", detail)
}

/// How sure a source is; one that does not say is not sure at all.
fn sure(source: &Source) -> f64 {
    source.confidence.unwrap_or(0.0)
}

/// How sure a field's source should be.
fn threshold(until: &Until, field: &str) -> f64 {
    match until {
        Until::Any { confidence } => *confidence,
        Until::All(fields) => fields
            .iter()
            .find(|(name, _)| name == field)
            .map_or(0.0, |(_, least)| *least),
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
    use std::collections::{BTreeMap, VecDeque};
    use std::sync::Mutex;

    use async_trait::async_trait;
    use serde_json::json;

    use super::super::Registry;
    use super::super::testing::{Script, input, outcome, ports};
    use super::*;
    use crate::catalog::Config;
    use crate::domain::time::Timestamp;

    /// Answers what it is told, after so long, and notes what it was given.
    #[derive(Debug)]
    struct Fixed {
        answer: Answer,
        takes: Duration,
        limits: Mutex<Vec<Duration>>,
    }

    #[async_trait]
    impl Provider for Fixed {
        async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
            self.limits.lock().unwrap().push(question.limit);
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
            let names: Vec<String> = (b'a'..)
                .take(answers.len())
                .map(|c| char::from(c).to_string())
                .collect();
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
            let fixed = answers.into_iter().map(|(answer, takes)| {
                Arc::new(Fixed {
                    answer,
                    takes,
                    limits: Mutex::default(),
                })
            });
            let providers: BTreeMap<String, Arc<Fixed>> = names.into_iter().zip(fixed).collect();
            let registry = Registry::assemble(&config, |p| Ok(providers[&p.name].clone())).unwrap();
            let (ports, script) = ports();
            Self {
                registry,
                providers,
                ports,
                _script: script,
            }
        }

        async fn run(&self, seconds: u64, order: Option<&[&str]>) -> Outcome {
            let order: Option<Vec<String>> =
                order.map(|o| o.iter().map(|n| (*n).to_owned()).collect());
            let waterfall = self.registry.waterfall("t").unwrap();
            let limit = Duration::from_secs(seconds);
            outcome(
                waterfall,
                json!({"x": "1"}),
                limit,
                order.as_deref(),
                &self.ports,
            )
            .await
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
        Answer::Found {
            fields: input(fields),
            confidence: None,
        }
    }

    fn no() -> Answer {
        Answer::NotFound
    }

    fn broken() -> Answer {
        Answer::failed(FailureCode::ProviderError, "broken")
    }

    fn invalid() -> Answer {
        Answer::Invalid("is no x".to_owned())
    }

    #[tokio::test]
    async fn the_first_to_give_a_field_wins_it_and_only_contributors_are_paid() {
        let f = Fixture::new(
            "[\"n\", \"m\"]",
            vec![
                now(found(
                    json!({"n": 1, "null": null, "empty": "", "m": " \u{a0}"}),
                )),
                now(found(json!({"n": 2, "m": null}))),
                now(Answer::Found {
                    fields: input(json!({"n": 3, "m": 3})),
                    confidence: Some(0.75.into()),
                }),
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
            cached: false,
        };
        assert_eq!(
            outcome.sources,
            [
                ("n".to_owned(), source("a", 0.5)),
                ("m".to_owned(), source("c", 0.75))
            ]
        );
    }

    #[tokio::test]
    async fn any_stops_at_the_first_that_found_something() {
        let answers = || {
            vec![
                now(no()),
                now(broken()),
                now(found(json!({"n": 1}))),
                now(found(json!({"m": 1}))),
            ]
        };
        let f = Fixture::new("\"any\"", answers());
        let outcome = f.run(10, None).await;
        assert_eq!(
            (outcome.status, outcome.credits, outcome.error),
            (OutcomeStatus::Found, 4, None)
        );
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
            (
                vec![
                    no(),
                    Answer::failed(FailureCode::ProviderUnpaid, "HTTP 402"),
                ],
                NotFound,
                Some("provider_unpaid"),
            ),
            (vec![invalid(), invalid()], Invalid, Some("invalid_input")),
            (vec![invalid(), no()], NotFound, None),
            (vec![invalid(), broken()], Failed, Some("provider_error")),
            (
                vec![found(json!({"n": ""})), broken()],
                NotFound,
                Some("provider_error"),
            ),
            (
                vec![found(json!({"n": null})), broken()],
                NotFound,
                Some("provider_error"),
            ),
        ] {
            let f = Fixture::new("\"any\"", answers.iter().cloned().map(now).collect());
            let outcome = f.run(10, None).await;
            assert_eq!(outcome.status, status, "{answers:?}");
            assert_eq!(
                outcome.error.as_ref().map(|e| e.code.as_str()),
                code,
                "{answers:?}"
            );
            assert_eq!(outcome.credits, 0);
            assert_eq!(f.asked(), "ab");
        }
    }

    #[tokio::test]
    async fn a_providers_own_need_is_no_fault_of_the_record() {
        use OutcomeStatus::{Failed, Found, Invalid, NotFound};
        let text = "[types.t]\ninputs = [[\"x\"], [\"y\"]]\nwaterfall = [\"a\", \"b\"]\n\
                    [providers.a]\nkind = \"http\"\nrequires = [\"y\"]\nurl = \"https://h.example/\"\nfields = { n = \"/n\" }\n\
                    [providers.b]\nkind = \"http\"\nurl = \"https://h.example/\"\nfields = { n = \"/n\" }\n";
        let config = Config::parse("p.toml", text).unwrap();
        let refused = || Answer::failed(FailureCode::ProviderInput, "HTTP 422");
        for (field, first, second, status, code) in [
            ("x", invalid(), refused(), Failed, Some("provider_input")),
            ("x", invalid(), broken(), Failed, Some("provider_error")),
            ("x", invalid(), no(), NotFound, None),
            ("x", invalid(), found(json!({"n": 1})), Found, None),
            ("x", refused(), broken(), Failed, Some("provider_error")),
            ("x", refused(), no(), NotFound, Some("provider_input")),
            ("y", invalid(), invalid(), Invalid, Some("invalid_input")),
            ("z", invalid(), invalid(), Invalid, Some("invalid_input")),
        ] {
            let mut answers = vec![second.clone(), first.clone()];
            let registry = Registry::assemble(&config, |_| {
                Ok(Arc::new(Turns(Mutex::new(
                    answers.pop().into_iter().collect(),
                ))))
            });
            let (registry, (ports, _)) = (registry.unwrap(), ports());
            let limit = Duration::from_secs(5);
            let outcome = outcome(
                registry.waterfall("t").unwrap(),
                json!({field: "1"}),
                limit,
                None,
                &ports,
            )
            .await;
            let told = outcome.error.as_ref().map(|error| error.code.as_str());
            assert_eq!(
                (outcome.status, told),
                (status, code),
                "{field} {first:?} {second:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_vendor_that_never_stops_refusing_is_named_with_its_status() {
        for (status, code, named) in [
            (Some(429), "rate_limited", "a: answered HTTP 429 "),
            (Some(503), "provider_unavailable", "a: answered HTTP 503 "),
            (None, "provider_unavailable", "a: could not be reached "),
        ] {
            let said = || outage(status, 30);
            // First a long wait for the rate that is configured, then one for the vendor.
            let first = vec![later(None, 86_400), said(), said()];
            let Progress::Done(outcome) = turns(first, vec![broken()], &[1_000, 30]).await else {
                panic!("{status:?}")
            };
            let error = outcome.error.unwrap();
            assert_eq!(
                (outcome.status, error.code.as_str()),
                (OutcomeStatus::Failed, code)
            );
            assert!(error.detail.starts_with(named), "{}", error.detail);
        }
    }

    #[tokio::test]
    async fn an_upstream_that_answers_again_ends_the_wait_for_it() {
        // Refused for a moment, then kept from it by our own rate for longer than `wait_s`, refused again, and asked.
        let rounds = vec![
            outage(Some(429), 30),
            later(None, 86_400),
            outage(Some(429), 30),
            later(None, 86_400),
        ];
        let Progress::Parked(parked) = turns(rounds, vec![], &[10, 600, 10]).await else {
            panic!()
        };
        assert_eq!(parked.outage, None);
        assert_eq!(
            parked.give_up_at.since(parked.since.unwrap()),
            Duration::from_secs(86_400),
            "all together"
        );
    }

    /// The upstream cannot be asked.
    fn outage(status: Option<u16>, give_up_s: u64) -> Answer {
        let Answer::Later(later) = later(None, give_up_s) else {
            panic!()
        };
        Answer::Later(Later {
            outage: Some(Outage { status }),
            ..later
        })
    }

    fn sure_of(fields: Value, confidence: f64) -> Answer {
        Answer::Found {
            fields: input(fields),
            confidence: Some(confidence.into()),
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_sure_enough_is_asked_on_and_replaced_by_a_surer_one() {
        let answers = || {
            vec![
                now(sure_of(json!({"n": 1, "m": 1}), 0.4)),
                now(sure_of(json!({"n": 2}), 0.3)),
                now(sure_of(json!({"n": 3}), 0.9)),
                now(sure_of(json!({"n": 4, "m": 4}), 1.0)),
            ]
        };
        let f = Fixture::new("{ confidence = 0.8 }", answers());
        let outcome = f.run(10, None).await;
        assert_eq!(f.asked(), "abc", "c is sure enough");
        assert_eq!(
            Value::Object(outcome.data),
            json!({"n": 3, "m": 1}),
            "what nobody knows better stays"
        );
        assert_eq!(outcome.credits, 1 + 4, "b gave nothing that was used");
        let f = Fixture::new("{ all = [\"n\", \"m\"], confidence = 0.8 }", answers());
        let outcome = f.run(10, None).await;
        assert_eq!(
            (f.asked().as_str(), Value::Object(outcome.data)),
            ("abcd", json!({"n": 3, "m": 4}))
        );
        assert_eq!(outcome.credits, 4 + 8, "a's fields were all replaced");
        let f = Fixture::new("{ all = { n = 0.9, m = 0 } }", answers());
        let outcome = f.run(10, None).await;
        assert_eq!(
            (f.asked().as_str(), Value::Object(outcome.data)),
            ("abc", json!({"n": 3, "m": 1}))
        );
        assert_eq!(
            outcome
                .sources
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>(),
            ["n", "m"]
        );
    }

    #[tokio::test]
    async fn a_provider_that_can_give_nothing_that_is_wanted_is_not_asked() {
        let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\", \"b\", \"c\"]\nuntil = [\"n\", \"m\"]\n\
                    [providers.a]\nkind = \"http\"\nurl = \"https://h.example/\"\nfields = { n = \"/n\" }\n\
                    [providers.b]\nkind = \"http\"\nurl = \"https://h.example/\"\nfields = { n = \"/n\", o = \"/o\" }\n\
                    [providers.c]\nkind = \"http\"\nurl = \"https://h.example/\"\nfields = { m = \"/m\" }\n";
        let config = Config::parse("p.toml", text).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let registry = Registry::assemble(&config, |p| {
            Ok(Arc::new(Noting {
                name: p.name.clone(),
                asked: Arc::clone(&asked),
            }))
        });
        let registry = registry.unwrap();
        let (ports, _script) = ports();
        let limit = Duration::from_secs(5);
        let outcome = outcome(
            registry.waterfall("t").unwrap(),
            json!({"x": "1"}),
            limit,
            None,
            &ports,
        )
        .await;
        assert_eq!(
            (outcome.status, asked.lock().unwrap().join("")),
            (OutcomeStatus::Found, "ac".to_owned())
        );
    }

    /// Finds `n` as `a` and `b`, and `m` as `c`.
    #[derive(Debug)]
    struct Noting {
        name: String,
        asked: Arc<Mutex<Vec<String>>>,
    }

    #[async_trait]
    impl Provider for Noting {
        async fn ask(&self, _: &Question<'_>, _: &Ports) -> Answer {
            self.asked.lock().unwrap().push(self.name.clone());
            found(if self.name == "c" {
                json!({"m": 1})
            } else {
                json!({"n": 1})
            })
        }
    }

    /// Key, callback and what was taken before, of a question.
    type Heard = (String, Option<String>, Option<Earlier>);

    /// Takes the question, and answers at the second look or when it was posted to.
    #[derive(Debug, Default)]
    struct Slow {
        questions: Mutex<Vec<Heard>>,
    }

    #[async_trait]
    impl Provider for Slow {
        async fn ask(&self, question: &Question<'_>, _: &Ports) -> Answer {
            let mut questions = self.questions.lock().unwrap();
            questions.push((
                question.key.to_owned(),
                question.callback.map(str::to_owned),
                question.earlier.cloned(),
            ));
            let posted = question.earlier.and_then(|earlier| earlier.posted.clone());
            match posted {
                Some(posted) if posted != Value::Null => found(posted),
                _ => Answer::Later(Later {
                    ticket: Some(json!(questions.len())),
                    look_in: Duration::from_secs(60),
                    give_up_in: Duration::from_secs(150),
                    refused: false,
                    outage: None,
                }),
            }
        }

        fn calls_back(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn a_parked_record_goes_on_where_it_was_whatever_was_stored_between() {
        let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\", \"slow\", \"c\"]\nuntil = [\"n\", \"m\"]\n\
                    [providers.a]\nkind = \"http\"\nurl = \"https://h.example/\"\nfields = { n = \"/n\" }\ncredits = 2\n\
                    [providers.slow]\nkind = \"http\"\nurl = \"https://h.example/\"\nfields = { m = \"/m\" }\ncredits = 3\n\
                    [providers.c]\nkind = \"http\"\nurl = \"https://h.example/\"\nfields = { m = \"/m\" }\ncredits = 4\n";
        let config = Config::parse("p.toml", text).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let slow = Arc::new(Slow::default());
        let registry = Registry::assemble(&config, |p| -> Result<Arc<dyn Provider>, _> {
            let noting = || {
                Arc::new(Noting {
                    name: p.name.clone(),
                    asked: Arc::clone(&asked),
                })
            };
            Ok(if p.name == "slow" {
                slow.clone()
            } else {
                noting()
            })
        });
        let registry = registry.unwrap();
        let waterfall = registry.waterfall("t").unwrap();
        assert!(waterfall.calls_back());
        let (ports, script) = ports();
        let value = input(json!({"x": "1"}));
        let url = |provider: &str| format!("https://api.example/{provider}");
        let request = Request {
            input: &value,
            limit: Duration::from_secs(5),
            order: None,
            key: "record",
            callback: Some(&url),
            cache: None,
        };
        let run = async |parked| match waterfall.run(&request, parked, &ports).await {
            Progress::Parked(parked) => {
                // As it is stored.
                let text = serde_json::to_string(&parked).unwrap();
                Err(serde_json::from_str::<Parked>(&text).unwrap())
            }
            Progress::Done(outcome) => Ok(outcome),
        };
        let first = run(None).await.unwrap_err();
        let began = ports.clock.now();
        assert_eq!(
            (first.provider(), first.resume_at(), first.heard()),
            ("slow", began.plus(Duration::from_secs(60)), 0)
        );
        script.pass(Duration::from_secs(60));
        let second = run(Some((first.clone(), Some(Value::Null))))
            .await
            .unwrap_err();
        assert_eq!(second.heard(), 1, "a posted answer is shown once");
        assert!(!first.waits_as(&second));
        assert_eq!(*asked.lock().unwrap(), ["a"], "nobody is asked twice");
        // Whatever the provider says, the whole wait began with its first answer.
        script.pass(Duration::from_secs(60));
        let third = run(Some((second.clone(), None))).await.unwrap_err();
        assert_eq!(third.resume_at(), began.plus(Duration::from_secs(150)));
        let done = run(Some((third.clone(), Some(json!({"m": 7})))))
            .await
            .unwrap();
        assert_eq!(
            (Value::Object(done.data), done.credits),
            (json!({"n": 1, "m": 7}), 5)
        );
        script.pass(Duration::from_secs(60));
        let done = run(Some((third, None))).await.unwrap();
        assert_eq!(
            (Value::Object(done.data), done.credits),
            (json!({"n": 1, "m": 1}), 6),
            "given up: c was asked"
        );
        let questions = slow.questions.lock().unwrap();
        assert!(questions.iter().all(|(key, url, _)| *key == questions[0].0
            && url.as_deref() == Some("https://api.example/slow")));
        assert_eq!(
            questions[1].2,
            Some(Earlier {
                ticket: json!(1),
                posted: Some(Value::Null)
            })
        );
    }

    /// Gives these answers one after the other.
    #[derive(Debug)]
    struct Turns(Mutex<VecDeque<Answer>>);

    #[async_trait]
    impl Provider for Turns {
        async fn ask(&self, _: &Question<'_>, _: &Ports) -> Answer {
            self.0
                .lock()
                .unwrap()
                .pop_front()
                .expect("no further question")
        }
    }

    fn later(ticket: Option<Value>, give_up_s: u64) -> Answer {
        let (look_in, give_up_in) = (Duration::from_secs(10), Duration::from_secs(give_up_s));
        Answer::Later(Later {
            ticket,
            look_in,
            give_up_in,
            refused: false,
            outage: None,
        })
    }

    /// A look after a question that was taken is put off.
    fn refused(give_up_s: u64) -> Answer {
        let (look_in, give_up_in) = (Duration::from_secs(10), Duration::from_secs(give_up_s));
        Answer::Later(Later {
            ticket: Some(json!(1)),
            look_in,
            give_up_in,
            refused: true,
            outage: None,
        })
    }

    /// Runs of one record with a first and a second provider that wants `n` and `m`.
    async fn turns(first: Vec<Answer>, second: Vec<Answer>, pauses: &[u64]) -> Progress {
        let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\", \"b\"]\nuntil = [\"n\", \"m\"]\n\
                    [providers.a]\nkind = \"http\"\nurl = \"https://h.example/\"\nfields = { n = \"/n\" }\n\
                    [providers.b]\nkind = \"http\"\nurl = \"https://h.example/\"\nfields = { m = \"/m\" }\n";
        let config = Config::parse("p.toml", text).unwrap();
        let mut answers = vec![second, first];
        let registry = Registry::assemble(&config, |_| {
            Ok(Arc::new(Turns(Mutex::new(
                answers.pop().unwrap_or_default().into(),
            ))))
        });
        let registry = registry.unwrap();
        let (ports, script) = ports();
        let value = input(json!({"x": "1"}));
        let limit = Duration::from_secs(5);
        let request = Request {
            input: &value,
            limit,
            order: None,
            key: "record",
            callback: None,
            cache: None,
        };
        let waterfall = registry.waterfall("t").unwrap();
        let mut progress = waterfall.run(&request, None, &ports).await;
        for pause in pauses {
            script.pass(Duration::from_secs(*pause));
            let Progress::Parked(parked) = progress else {
                panic!("{progress:?}")
            };
            progress = waterfall.run(&request, Some((*parked, None)), &ports).await;
        }
        progress
    }

    #[tokio::test]
    async fn what_cannot_be_kept_or_read_again_was_parked_and_wedged_its_chunk() {
        let deep = (0..100).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
        let large = Value::String("x".repeat(MAX_OUTCOME_BYTES));
        for (value, code) in [(deep, "outcome_too_deep"), (large, "outcome_too_large")] {
            let first = vec![found(json!({"n": value}))];
            let progress = turns(first, vec![later(Some(json!(1)), 100)], &[]).await;
            let Progress::Done(outcome) = progress else {
                panic!("{code}")
            };
            assert_eq!(
                (outcome.error.unwrap().code.as_str(), outcome.credits),
                (code, 0)
            );
            let progress = turns(vec![later(Some(value), 100)], vec![], &[]).await;
            assert!(matches!(progress, Progress::Done(_)), "{code} in a ticket");
        }
    }

    #[tokio::test]
    async fn what_was_posted_was_lost_where_a_limit_kept_it_from_its_provider() {
        for (second, heard) in [(refused(100), 0), (later(Some(json!(1)), 100), 1)] {
            let Progress::Parked(first) =
                turns(vec![later(Some(json!(1)), 100)], vec![], &[]).await
            else {
                panic!()
            };
            let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\"]\n[providers.a]\nkind = \"http\"\n\
                        url = \"https://h.example/\"\nfields = { n = \"/n\" }\n";
            let config = Config::parse("p.toml", text).unwrap();
            let registry = Registry::assemble(&config, |_| {
                Ok(Arc::new(Turns(Mutex::new(vec![second.clone()].into()))))
            })
            .unwrap();
            let (value, ports) = (input(json!({"x": "1"})), ports().0);
            let limit = Duration::from_secs(5);
            let request = Request {
                input: &value,
                limit,
                order: None,
                key: "record",
                callback: None,
                cache: None,
            };
            let again = registry.waterfall("t").unwrap().run(
                &request,
                Some((*first, Some(json!("posted")))),
                &ports,
            );
            let Progress::Parked(parked) = again.await else {
                panic!()
            };
            assert_eq!(parked.heard(), heard);
        }
    }

    /// A run that had put it died; the upstream answered, and the next run was first kept from putting it again.
    #[tokio::test]
    async fn what_was_posted_was_taken_for_heard_by_a_question_that_was_only_put() {
        let text = "[types.t]\ninputs = [[\"x\"]]\nwaterfall = [\"a\"]\n[providers.a]\nkind = \"http\"\n\
                    url = \"https://h.example/\"\nfields = { n = \"/n\" }\n";
        let config = Config::parse("p.toml", text).unwrap();
        let answers = vec![
            later(None, 100),
            later(Some(json!(1)), 100),
            later(Some(json!(1)), 100),
        ];
        let provider = Arc::new(Turns(Mutex::new(answers.into())));
        let registry = Registry::assemble(&config, |_| Ok(provider.clone())).unwrap();
        let (value, ports) = (input(json!({"x": "1"})), ports().0);
        let limit = Duration::from_secs(5);
        let request = Request {
            input: &value,
            limit,
            order: None,
            key: "record",
            callback: None,
            cache: None,
        };
        let mut before = None;
        for (taken, heard) in [(false, 0), (true, 0), (true, 1)] {
            let again = registry
                .waterfall("t")
                .unwrap()
                .run(&request, before, &ports)
                .await;
            let Progress::Parked(parked) = again else {
                panic!("{again:?}")
            };
            assert_eq!((parked.is_taken(), parked.heard()), (taken, heard));
            before = Some((*parked, Some(json!("posted"))));
        }
    }

    #[tokio::test]
    async fn a_question_that_was_put_late_was_given_up_by_the_time_it_had_waited_to_be_put() {
        let answers = || vec![later(None, 100), later(Some(json!(1)), 150)];
        let Progress::Parked(parked) = turns(answers(), vec![], &[90]).await else {
            panic!("not parked")
        };
        let began = Timestamp(1_767_225_600_000);
        assert_eq!(
            parked.give_up_at,
            began.plus(Duration::from_secs(240)),
            "150 s from when it was put"
        );
        let again = vec![later(None, 100), later(None, 100)];
        let Progress::Parked(parked) = turns(again, vec![], &[90]).await else {
            panic!("not parked")
        };
        assert_eq!(
            parked.give_up_at,
            began.plus(Duration::from_secs(100)),
            "waiting on is no new wait"
        );
    }

    #[tokio::test]
    async fn a_question_was_given_up_unasked_because_its_last_look_was_put_off() {
        let taken = || later(Some(json!(1)), 100);
        let answers = vec![
            taken(),
            refused(600),
            refused(600),
            found(json!({"n": 1, "m": 2})),
        ];
        let Progress::Done(outcome) = turns(answers, vec![], &[150, 10, 10]).await else {
            panic!("not done")
        };
        assert_eq!(outcome.status, OutcomeStatus::Found);
        let code = |progress| match progress {
            Progress::Done(outcome) => outcome.error.map(|error| error.code),
            Progress::Parked(_) => None,
        };
        let nothing = || vec![Answer::NotFound];
        let asked = turns(vec![taken(), refused(600), taken()], nothing(), &[150, 10]).await;
        assert_eq!(
            code(asked).as_deref(),
            Some("provider_timeout"),
            "the look that was made up for is the last"
        );
        let never = turns(
            vec![taken(), refused(600), refused(600)],
            nothing(),
            &[150, 560],
        )
        .await;
        assert_eq!(
            code(never).as_deref(),
            Some("provider_timeout"),
            "nor is it put off for ever"
        );
    }

    #[tokio::test]
    async fn a_slow_first_provider_leaves_time_for_the_later_ones() {
        let slow = (found(json!({"n": 1})), Duration::from_mins(1));
        let f = Fixture::new(
            "\"any\"",
            vec![slow, now(broken()), now(found(json!({"m": 2})))],
        );
        let outcome = f.run(12, None).await;
        assert_eq!(Value::Object(outcome.data), json!({"m": 2}));
        let limit = |name: &str| f.providers[name].limits.lock().unwrap()[0];
        assert_eq!(limit("a"), Duration::from_secs(4), "an equal share");
        assert_eq!(
            (limit("b"), limit("c")),
            (Duration::from_secs(4), Duration::from_secs(8))
        );
    }

    #[tokio::test]
    async fn a_record_never_outlives_its_limit() {
        let slow = || (found(json!({"n": 1})), Duration::from_mins(1));
        let f = Fixture::new("\"any\"", vec![slow(), slow()]);
        let before = f.ports.clock.now();
        let outcome = f.run(3, None).await;
        assert_eq!(f.ports.clock.now().since(before), Duration::from_secs(3));
        let error = outcome.error.unwrap();
        assert_eq!(
            (outcome.status, error.code.as_str()),
            (OutcomeStatus::Failed, "provider_timeout")
        );
        let outcome = f.run(0, None).await;
        assert_eq!(outcome.error.unwrap().code, "deadline_exceeded");
        let f = Fixture::new("\"any\"", vec![slow()]);
        assert_eq!(
            f.run(3, None).await.error.unwrap().code,
            "deadline_exceeded"
        );
    }

    #[tokio::test]
    async fn an_outcome_that_is_too_large_fails_and_costs_nothing() {
        let f = Fixture::new(
            "\"any\"",
            vec![now(found(json!({"n": "x".repeat(MAX_OUTCOME_BYTES)})))],
        );
        let outcome = f.run(10, None).await;
        assert_eq!(
            (outcome.status, outcome.credits),
            (OutcomeStatus::Failed, 0)
        );
        assert_eq!(outcome.error.unwrap().code, "outcome_too_large");
        assert!(outcome.data.is_empty() && outcome.sources.is_empty());
    }

    #[test]
    fn prices_are_the_worst_case() {
        let price = |until: &str, order: Option<&[&str]>| {
            let f = Fixture::new(until, vec![now(no()), now(no()), now(no())]);
            let order: Option<Vec<String>> =
                order.map(|o| o.iter().map(|n| (*n).to_owned()).collect());
            f.registry.kind("t").unwrap().price(order.as_deref())
        };
        assert_eq!(price("\"any\"", None), 4);
        assert_eq!(price("[\"n\"]", None), 7);
        assert_eq!(price("\"any\"", Some(&["b", "a"])), 2);
        assert_eq!(price("[\"n\"]", Some(&["c", "a"])), 5);
        assert_eq!(price("[\"n\"]", Some(&["nobody"])), 0);
    }
}
