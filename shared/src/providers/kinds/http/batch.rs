//! One call for many records.
//!
//! The first record to ask opens a batch and waits a moment for others, or until it is full. The
//! call is a future that all of its records own and any of them polls: one that gives up does not
//! end the call of others, and nothing is sent for those that gave up before. Each keeps its own
//! time limit.
//!
//! Retries, 429 and failures are the call's, and so every record's in it. If the provider's limits
//! refuse one of its requests, each record decides for itself. `not_found` and `invalid_status` do
//! not apply to the call's own status: they are about single records, and a call about many cannot
//! be. A result that is absent or null means "nothing known". But if a later page could not be
//! read, or ordered results do not match the records in number, that is a failure and not a "no".

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, WeakShared, select};
use serde_json::Value;
use tokio::sync::Notify;

use super::attempt::{Attempt, HttpProvider};
use super::exchange::{Fault, refused};
use super::expression::TemplateValues;
use super::json::is_empty;
use super::request::{add_parameter, body, joined, request, scalar};
use super::response::{self, Response};
use crate::catalog::{BatchConfig, Matching};
use crate::domain::time::Timestamp;
use crate::ports::{HttpRequest, within};
use crate::providers::guards::guarded::SharedFate;
use crate::providers::{Answer, Ports};

/// The batch that takes records now.
#[derive(Default)]
pub(super) struct Batches(Mutex<Option<Open>>);

/// A batch before it is sent. The records that wait for it keep it alive.
struct Open {
    places: Arc<Places>,
    call: WeakShared<Call>,
}

type Call = BoxFuture<'static, Arc<Given>>;

/// The records of a batch; empty once it is sent.
struct Places {
    taken: Mutex<Option<Vec<Place>>>,
    full: Notify,
}

/// A record's place in a batch.
struct Place {
    item: Value,
    /// The value of its result at the pointer of [`Matching::Key`].
    key: Option<String>,
    /// Dropped when the record no longer waits.
    waiting: Weak<()>,
}

/// The result of a call.
struct Given {
    /// Results by the place of their record.
    results: BTreeMap<usize, Value>,
    /// The reason why the others have no result, unless nothing is known.
    fault: Option<Fault>,
    /// The fate of the records without a result.
    joint: SharedFate,
}

impl Batches {
    /// Takes a place in the open batch, or opens one with `begin`.
    fn join(
        &self,
        place: Place,
        max: usize,
        begin: impl FnOnce(Arc<Places>) -> Call,
    ) -> (usize, Shared<Call>) {
        let mut open = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(Open { places, call }) = open.as_ref()
            && let Some(call) = call.upgrade()
            && let Some(taken) = places
                .taken
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .as_mut()
            && taken.len() < max
        {
            taken.push(place);
            if taken.len() == max {
                places.full.notify_one();
            }
            return (taken.len() - 1, call);
        }
        let places = Arc::new(Places {
            taken: Mutex::new(Some(vec![place])),
            full: Notify::new(),
        });
        let call = begin(places.clone()).shared();
        // Only a future that was not polled yet can be referred to.
        *open = call.downgrade().map(|call| Open { places, call });
        (0, call)
    }

    /// Puts a question together with others.
    pub(super) async fn share(
        &self,
        batch: &BatchConfig,
        attempt: &Attempt<'_>,
    ) -> Result<Answer, Fault> {
        let (input, waiting) = (attempt.question.input, Arc::new(()));
        let place = {
            let known = TemplateValues::new().object("input", input);
            let item = match body(&batch.item, &known) {
                Ok(Some(item)) => item,
                Ok(None) => {
                    return Ok(Answer::Invalid(
                        "the input has none of the fields that are asked with".to_owned(),
                    ));
                }
                Err(why) => return Ok(Answer::Invalid(why)),
            };
            let key = match &batch.matching {
                Matching::Position => None,
                Matching::Key { key, .. } => match joined(key, &known) {
                    Ok(Some(key)) => Some(key),
                    Ok(None) => {
                        return Ok(Answer::Invalid(
                            "the input lacks what its result is told by".to_owned(),
                        ));
                    }
                    Err(why) => return Ok(Answer::Invalid(why)),
                },
            };
            Place {
                item,
                key,
                waiting: Arc::downgrade(&waiting),
            }
        };
        let (at, call) = self.join(place, batch.max, |places| {
            let (core, ports) = (attempt.core.clone(), attempt.ports.clone());
            async move { Arc::new(core.call(&places, &ports).await) }.boxed()
        });
        let left = attempt.deadline.since(attempt.ports.clock.now());
        let Some(given) = within(attempt.ports.clock.as_ref(), left, call).await else {
            return Err(Fault::timeout());
        };
        match (given.results.get(&at), &given.fault) {
            (Some(result), _) if !is_empty(result) => {
                Ok(Response::new(result, 200, input).map(&attempt.config().mapping))
            }
            (None, Some(fault)) => {
                given.joint.share(attempt.ports).await;
                Err(fault.clone())
            }
            _ => Ok(Answer::NotFound),
        }
    }
}

impl HttpProvider {
    /// Waits until a batch is full or its time is up, and sends it.
    async fn call(&self, places: &Places, ports: &Ports) -> Given {
        let nothing = Given {
            results: BTreeMap::new(),
            fault: None,
            joint: SharedFate::default(),
        };
        let Some(batch) = &self.config.batch else {
            return nothing;
        };
        {
            let (full, waited) = (
                std::pin::pin!(places.full.notified()),
                ports.clock.sleep(batch.wait),
            );
            match select(full, waited).await {
                Either::Left(_) | Either::Right(_) => {}
            }
        }
        let taken = places
            .taken
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()
            .unwrap_or_default();
        let asked: Vec<(usize, Place)> = taken
            .into_iter()
            .enumerate()
            .filter(|(_, place)| place.waiting.strong_count() > 0)
            .collect();
        if asked.is_empty() {
            return nothing;
        }
        let deadline = ports.clock.now().plus(self.config.timeout);
        let items: Vec<Value> = asked.iter().map(|(_, place)| place.item.clone()).collect();
        let (joint, ports) = SharedFate::begin(ports);
        let mut found = Vec::new();
        let fault = joint
            .run(self.pages(batch, items, &mut found, deadline, &ports))
            .await;
        let fault =
            fault.unwrap_or_else(|| Some(Fault::lasting("the provider's limits refused the call")));
        let (results, fault) = given(batch, &asked, found, fault);
        Given {
            results,
            fault,
            joint,
        }
    }

    /// Reads the results of all pages, with the fault that ended it early, if any.
    async fn pages(
        &self,
        batch: &BatchConfig,
        items: Vec<Value>,
        found: &mut Vec<Value>,
        deadline: Timestamp,
        ports: &Ports,
    ) -> Option<Fault> {
        let first = {
            let known = TemplateValues::new()
                .object("secret", &self.secrets)
                .own("items", Value::Array(items));
            request(&self.config.request, &known).and_then(|mut first| {
                let value = body(&batch.body, &known)?.unwrap_or(Value::Null);
                first.body = value.to_string().into_bytes();
                if !first.headers.iter().any(|(name, _)| name == "content-type") {
                    first
                        .headers
                        .push(("content-type".to_owned(), "application/json".to_owned()));
                }
                Ok(first)
            })
        };
        let first = match first {
            Ok(first) => first,
            Err(why) => return Some(Fault::lasting(format!("the call cannot be made: {why}"))),
        };
        let mut next = first.clone();
        for page in 1.. {
            let read = self.page(batch, &next, found, deadline, ports).await;
            next = match read
                .and_then(|mark| mark.map(|mark| following(batch, &first, &mark)).transpose())
            {
                Ok(None) => return None,
                Ok(Some(_)) if page >= batch.pages => {
                    return Some(Fault::lasting(
                        "the provider's answer has more pages than `pages` allows",
                    ));
                }
                Ok(Some(next)) => next,
                Err(fault) => return Some(fault),
            };
        }
        None
    }

    /// Reads one page's results, and the mark of the next.
    async fn page(
        &self,
        batch: &BatchConfig,
        request: &HttpRequest,
        found: &mut Vec<Value>,
        deadline: Timestamp,
        ports: &Ports,
    ) -> Result<Option<String>, Fault> {
        let answer = self.send(request, deadline, &|_| false, ports).await?;
        if !(200..=299).contains(&answer.status) {
            return Err(refused(answer.status));
        }
        let mut json = response::json(&answer)?;
        let mark = batch
            .next
            .as_ref()
            .and_then(|next| scalar(json.pointer(&next.pointer)));
        match json.pointer_mut(&batch.results).map(Value::take) {
            Some(Value::Array(results)) => found.extend(results),
            _ => {
                return Err(Fault::lasting(
                    "the provider's response has no list at `results`",
                ));
            }
        }
        Ok(mark.filter(|mark| !mark.is_empty()))
    }
}

/// Makes the request for the page that a mark leads to. An address must be of the same origin: an
/// answer does not choose where a request, and the secrets in it, go.
fn following(batch: &BatchConfig, first: &HttpRequest, mark: &str) -> Result<HttpRequest, Fault> {
    let mut request = first.clone();
    if let Some(parameter) = batch.next.as_ref().and_then(|next| next.parameter.as_ref()) {
        add_parameter(&mut request.url, parameter, mark);
        return Ok(request);
    }
    let base = url::Url::parse(&first.url)
        .map_err(|_| Fault::lasting("the configured URL cannot be used"))?;
    let next = base.join(mark).ok().filter(|next| {
        next.origin() == base.origin() && next.username().is_empty() && next.password().is_none()
    });
    let next =
        next.ok_or_else(|| Fault::lasting("the provider's next page is not on its own host"))?;
    request.url = next.to_string();
    "GET".clone_into(&mut request.method);
    request.body.clear();
    request.headers.retain(|(name, _)| name != "content-type");
    Ok(request)
}

/// Assigns results to their records.
fn given(
    batch: &BatchConfig,
    asked: &[(usize, Place)],
    found: Vec<Value>,
    fault: Option<Fault>,
) -> (BTreeMap<usize, Value>, Option<Fault>) {
    match &batch.matching {
        Matching::Position => {
            // The results of the pages that were read are in order. If there are too many, or too
            // few without a reason, their records are not known.
            let usable =
                found.len() == asked.len() || (fault.is_some() && found.len() < asked.len());
            let fault = fault.or_else(|| {
                let counts = format!("{} results for {} records", found.len(), asked.len());
                (!usable).then(|| {
                    Fault::lasting(format!(
                        "the provider's results cannot be told apart: {counts}"
                    ))
                })
            });
            let results = asked
                .iter()
                .map(|(at, _)| *at)
                .zip(found)
                .filter(|_| usable)
                .collect();
            (results, fault)
        }
        Matching::Key { pointer, .. } => {
            let mut by_key = BTreeMap::new();
            for result in found {
                if let Some(key) = scalar(result.pointer(pointer)) {
                    by_key.entry(key).or_insert(result);
                }
            }
            let own = |(at, place): &(usize, Place)| {
                Some((*at, by_key.get(place.key.as_ref()?)?.clone()))
            };
            (asked.iter().filter_map(own).collect(), fault)
        }
    }
}
