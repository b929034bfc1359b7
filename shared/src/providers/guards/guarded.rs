//! A provider whose upstream is protected: its HTTP requests keep a shared rate and a concurrency,
//! and stop while the circuit is open. It wraps any provider, between it and the sender, so that
//! every attempt counts, retries too.
//!
//! If a request may not be sent, then by the reason:
//! - No slot or place is free in time: the record is suspended and asked again ([`Answer::Later`]).
//!   A question that sends its own request waits for its first slot as long as its record has time
//!   beyond the provider's own time-out. Anything else that a request waits for takes at most half
//!   of its time. The provider fails, with `rate_limited`, only if another request of the same
//!   question was taken before.
//! - The circuit is open: `provider_unavailable` at once, so that the waterfall goes on. The record
//!   waits instead, for the type's `wait_s` at most, for the last provider that could find
//!   anything, so that a short outage fails no record; and for one that has already taken the
//!   question, since its answer is paid for.
//!
//! If the upstream itself says that it is busy (429, or 503 with `Retry-After`) for longer than
//! there is time, the record waits in the same way for the last provider that could find anything.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::poll_fn;
use tokio::sync::Semaphore;

use crate::catalog::ProviderConfig;
use crate::domain::delivery::retry_after;
use crate::domain::record::FailureCode;
use crate::domain::suspended::Outage;
use crate::domain::time::Timestamp;
use crate::ports::{HttpAnswer, HttpError, HttpRequest, HttpSender, within};
use crate::providers::guards::circuit_breaker::{Breaker, Pass};
use crate::providers::guards::rate_limit::{Limiter, Slot, TooLate};
use crate::providers::{Answer, Guard, Later, Ports, Provider, Question, Refused, RequestFate};

/// The time for which a record waits for a slot at an upstream that is busy with others.
pub const BUSY: Duration = Duration::from_secs(24 * 3600);
/// The least pause of an upstream that says that it has too many requests.
const BREATHER: Duration = Duration::from_secs(10);
/// The longest time for which a record is suspended at once.
const LONGEST_SUSPENSION: Duration = Duration::from_secs(900);
/// The grid of the times at which records are asked again: those of one chunk together, because
/// each time costs a run.
const TOGETHER: Duration = Duration::from_secs(2);

/// A provider behind its limits.
pub struct Guarded {
    inner: Arc<dyn Provider>,
    limits: Arc<Guards>,
}

struct Guards {
    limiter: Option<Limiter>,
    places: Option<Semaphore>,
    breaker: Option<Breaker>,
    /// All requests go to one upstream, so that a refusal is its own.
    one_upstream: bool,
    /// The status of its last refusal; 0 once it has given any other answer.
    said: AtomicU16,
    /// The provider's own time-out.
    timeout: Duration,
    read: ReadAnswer,
}

/// Rewrites an answer to what it means to its provider, before it is judged by its status.
pub(crate) type ReadAnswer = fn(HttpAnswer) -> HttpAnswer;

impl Guards {
    /// Returns the known outage: the circuit is not closed, or the upstream refused and has given
    /// no other answer since.
    fn outage(&self) -> Option<Outage> {
        let said = Some(self.said.load(Ordering::Relaxed)).filter(|status| *status > 0);
        let circuit = self.breaker.as_ref().and_then(Breaker::outage);
        circuit.or(said.map(|status| Outage {
            status: Some(status),
        }))
    }

    /// Waits for the first slot, if there is a rate, and returns what is left of the question's
    /// limit.
    async fn first_slot(
        &self,
        limit: Duration,
        ports: &Ports,
    ) -> Result<(Option<Slot>, Duration), Refused> {
        let Some(limiter) = &self.limiter else {
            return Ok((None, limit));
        };
        let began = ports.clock.now();
        if let Some(breaker) = &self.breaker {
            breaker.check(ports).await.map_err(Refused::Open)?;
        }
        let wait = limit.saturating_sub(self.timeout).max(limit / 2);
        let slot = limiter.take(ports, began.plus(wait)).await.map_err(busy)?;
        let left = limit.saturating_sub(ports.clock.now().since(began));
        Ok((Some(slot), left.min(self.timeout)))
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Guarded {
    /// Wraps `provider`, or returns it as it is if the configuration limits nothing. The results of
    /// its requests are judged by what `read` makes of the answers.
    pub(crate) fn around(
        of: &ProviderConfig,
        provider: Arc<dyn Provider>,
        read: ReadAnswer,
    ) -> Arc<dyn Provider> {
        let (name, config) = (&of.name, &of.limits);
        if config.rate.is_none() && config.concurrency.is_none() && config.breaker.is_none() {
            return provider;
        }
        let limits = Guards {
            limiter: config.rate.as_ref().map(|rate| Limiter::new(name, rate)),
            places: config.concurrency.map(Semaphore::new),
            breaker: config
                .breaker
                .as_ref()
                .map(|rules| Breaker::new(name, rules)),
            one_upstream: of.kind.settings().one_upstream(),
            said: AtomicU16::new(0),
            timeout: of.timeout().unwrap_or(Duration::MAX),
            read,
        };
        Arc::new(Self {
            inner: provider,
            limits: Arc::new(limits),
        })
    }
}

fn busy(TooLate { at, held }: TooLate) -> Refused {
    Refused::Busy { at, held }
}

/// Runs the work until it ends or a request of it is refused, and then drops it with all that it
/// owns.
async fn unless_refused<T>(guard: &dyn Guard, work: impl Future<Output = T>) -> Result<T, Refused> {
    let mut work = pin!(work);
    let watched = poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => guard
            .fate()
            .refused
            .map_or(Poll::Pending, |refused| Poll::Ready(Err(refused))),
    });
    watched.await
}

impl Guarded {
    fn answer_to(
        &self,
        refused: Refused,
        question: &Question<'_>,
        taken: bool,
        ports: &Ports,
    ) -> Answer {
        match refused {
            Refused::Busy { at, held } if !taken || question.earlier.is_some() => {
                let outage = self.limits.outage().or(held);
                let give_up_in = if outage.is_some() {
                    question.wait
                } else {
                    BUSY
                };
                later(at, give_up_in, question, !taken, outage, ports)
            }
            Refused::Busy { .. } => Answer::failed(
                FailureCode::RateLimited,
                "another attempt would have come too late for the rate that is configured; raise \
                 `rate` or `timeout_s`",
            ),
            Refused::Open(at) if question.last || question.earlier.is_some() => {
                let outage = self.limits.outage().unwrap_or_default();
                later(at, question.wait, question, !taken, Some(outage), ports)
            }
            Refused::Open(at) => Answer::failed(
                FailureCode::ProviderUnavailable,
                format!(
                    "the provider kept failing and is not asked before {at}; look at its own status"
                ),
            ),
        }
    }
}

#[async_trait]
impl Provider for Guarded {
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer {
        let (mut slot, mut limit) = (None, question.limit);
        if self.inner.takes_turn(question) {
            (slot, limit) = match self.limits.first_slot(question.limit, ports).await {
                Ok(first_slot) => first_slot,
                Err(refused) => return self.answer_to(refused, question, false, ports),
            };
        }
        let sender = Arc::new(Sender::new(&self.limits, slot, ports));
        let inside = Ports {
            http: sender.clone(),
            guard: Some(sender.clone()),
            ..ports.clone()
        };
        let inner = Question { limit, ..*question };
        let answer = unless_refused(sender.as_ref(), self.inner.ask(&inner, &inside)).await;
        if let (Some(limiter), Some(slot)) = (&self.limits.limiter, sender.take_slot()) {
            limiter.give_back(slot);
        }
        let fate = sender.fate();
        match answer {
            Ok(Answer::Failed { code, detail }) => {
                if code == FailureCode::RateLimited && question.last && !fate.taken {
                    // Not as soon as the upstream says: each try is several requests to one that
                    // has too many.
                    let soonest = ports.clock.now().plus(BREATHER);
                    let until = fate
                        .asked_to_wait
                        .map_or(soonest, |until| until.max(soonest));
                    let outage = Outage { status: fate.said };
                    return later(until, question.wait, question, false, Some(outage), ports);
                }
                Answer::Failed { code, detail }
            }
            Ok(answer) => answer,
            Err(refused) => self.answer_to(refused, question, fate.taken, ports),
        }
    }

    fn calls_back(&self) -> bool {
        self.inner.calls_back()
    }

    async fn inspect(&self, ports: &Ports) -> Result<Vec<String>, String> {
        self.inner.inspect(ports).await
    }
}

/// The fate of the requests of a call that several questions share.
#[derive(Default)]
pub(crate) struct SharedFate(Option<Arc<dyn Guard>>);

impl SharedFate {
    /// Begins a call with these ports; returns also the ports that it sends through.
    pub(crate) fn begin(ports: &Ports) -> (Self, Ports) {
        let Some(guard) = &ports.guard else {
            return (Self(None), ports.clone());
        };
        let call = guard.for_call();
        let inside = Ports {
            http: call.clone().sender(),
            guard: Some(call.clone()),
            ..ports.clone()
        };
        (Self(Some(call)), inside)
    }

    /// Does the call's work; `None`: a request of it was refused.
    pub(crate) async fn run<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match &self.0 {
            Some(call) => unless_refused(call.as_ref(), work).await.ok(),
            None => Some(work.await),
        }
    }

    /// Adds the call's fate to that of a question in it, which was asked with these ports. Never
    /// ends if a request was refused: the question does.
    pub(crate) async fn share(&self, ports: &Ports) {
        if let (Some(call), Some(own)) = (&self.0, &ports.guard) {
            own.share(call.fate()).await;
        }
    }
}

/// Answers that the question is to be asked again soon after `at`.
pub(crate) fn later(
    at: Timestamp,
    give_up_in: Duration,
    question: &Question<'_>,
    refused: bool,
    outage: Option<Outage>,
    ports: &Ports,
) -> Answer {
    let grid = i64::try_from(TOGETHER.as_millis()).unwrap_or(1);
    let at = Timestamp(at.0.saturating_add(grid).div_euclid(grid) * grid);
    let upstream_token = question
        .earlier
        .map(|earlier| earlier.upstream_token.clone());
    let poll_after = at.since(ports.clock.now()).min(LONGEST_SUSPENSION);
    Answer::Later(Later {
        upstream_token,
        poll_after,
        give_up_in,
        refused,
        outage,
    })
}

/// The sender that the provider uses.
struct Sender {
    limits: Arc<Guards>,
    fate: Mutex<RequestFate>,
    /// The slot of the first request.
    slot: Mutex<Option<Slot>>,
    ports: Ports,
}

impl Sender {
    fn new(limits: &Arc<Guards>, slot: Option<Slot>, ports: &Ports) -> Self {
        Self {
            limits: limits.clone(),
            fate: Mutex::default(),
            slot: Mutex::new(slot),
            ports: ports.clone(),
        }
    }

    fn take_slot(&self) -> Option<Slot> {
        self.slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn known(&self) -> MutexGuard<'_, RequestFate> {
        self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the question: the caller reads its fate, and the provider is not polled again.
    async fn refuse<T>(&self, why: Refused) -> T {
        self.known().refused.get_or_insert(why);
        std::future::pending().await
    }

    /// Applies a result to the circuit, the schedule and the question.
    async fn judge(&self, result: &Result<HttpAnswer, HttpError>, pass: Option<&Pass>) {
        let asked_to_wait = result
            .as_ref()
            .ok()
            .filter(|answer| matches!(answer.status, 429 | 503))
            .and_then(|answer| retry_after(answer.header("retry-after")?, self.ports.clock.now()));
        let refusal = result.as_ref().ok().map(|answer| answer.status);
        let refusal = refusal.filter(|status| *status == 429 || asked_to_wait.is_some());
        if let Some(status) = refusal {
            self.known().said = Some(status);
        }
        let (failed, taken) = match result {
            Ok(answer) => {
                let failed = answer.status >= 500 && asked_to_wait.is_none();
                // A refused request was not worked on.
                (failed, !matches!(answer.status, 401..=403 | 429 | 503))
            }
            Err(HttpError::Timeout | HttpError::Protocol(_) | HttpError::Cut { .. }) => {
                (true, true)
            }
            Err(_) => (true, false),
        };
        if taken {
            self.known().taken = true;
        }
        if let Some(wait) = asked_to_wait {
            self.known().asked_to_wait = Some(self.ports.clock.now().plus(wait));
        }
        // One of many hosts speaks for itself alone.
        if self.limits.one_upstream {
            if refusal.is_some() || result.is_ok() {
                self.limits
                    .said
                    .store(refusal.unwrap_or_default(), Ordering::Relaxed);
            }
            match (&self.limits.limiter, refusal) {
                (Some(limiter), Some(status)) => {
                    limiter
                        .back_off(&self.ports, asked_to_wait.unwrap_or_default(), status)
                        .await;
                }
                (Some(limiter), None) if result.is_ok() => limiter.answered(&self.ports).await,
                _ => {}
            }
        }
        if let (Some(breaker), Some(pass)) = (&self.limits.breaker, pass) {
            let status = result.as_ref().ok().map(|answer| answer.status);
            breaker
                .report(&self.ports, pass, failed.then_some(Outage { status }))
                .await;
        }
    }
}

#[async_trait]
impl Guard for Sender {
    fn for_call(&self) -> Arc<dyn Guard> {
        Arc::new(Self::new(&self.limits, None, &self.ports))
    }

    fn sender(self: Arc<Self>) -> Arc<dyn HttpSender> {
        self
    }

    fn fate(&self) -> RequestFate {
        *self.known()
    }

    async fn share(&self, call: RequestFate) {
        {
            let mut own = self.known();
            own.taken |= call.taken;
            own.said = call.said.or(own.said);
            own.asked_to_wait = call.asked_to_wait.or(own.asked_to_wait);
        }
        if let Some(refused) = call.refused {
            self.refuse::<()>(refused).await;
        }
    }
}

#[async_trait]
impl HttpSender for Sender {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let clock = self.ports.clock.as_ref();
        let deadline = clock.now().plus(request.deadline);
        let latest = clock.now().plus(request.deadline / 2);
        let slot = self.take_slot();
        // With a slot, that was done; doing it again would take the time for which the slot is
        // good.
        if slot.is_none()
            && let Some(breaker) = &self.limits.breaker
            && let Err(at) = breaker.check(&self.ports).await
        {
            return self.refuse(Refused::Open(at)).await;
        }
        let _place = match &self.limits.places {
            None => None,
            Some(places) => {
                match within(clock, latest.since(clock.now()), places.acquire()).await {
                    Some(Ok(place)) => Some(place),
                    _ => {
                        return self
                            .refuse(Refused::Busy {
                                at: latest,
                                held: None,
                            })
                            .await;
                    }
                }
            }
        };
        if let Some(limiter) = &self.limits.limiter
            && !slot.is_some_and(|slot| limiter.holds(&slot, clock.now()))
            && let Err(late) = limiter.take(&self.ports, latest).await
        {
            return self.refuse(busy(late)).await;
        }
        let pass = match &self.limits.breaker {
            None => None,
            Some(breaker) => match breaker.admit(&self.ports).await {
                Ok(pass) => Some(pass),
                Err(at) => return self.refuse(Refused::Open(at)).await,
            },
        };
        let left = deadline.since(clock.now());
        let mut in_flight = InFlight {
            sender: self,
            pass: pass.as_ref(),
            late: deadline.minus(left / 10),
            completed: false,
        };
        let result = self
            .ports
            .http
            .send(HttpRequest {
                deadline: left,
                ..request
            })
            .await
            .map(self.limits.read);
        in_flight.completed = true;
        self.judge(&result, pass.as_ref()).await;
        result
    }

    fn forget_connections(&self) {
        self.ports.http.forget_connections();
    }

    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError> {
        self.ports.http.check(url, plain_http)
    }
}

/// A request under way. Dropped close to its deadline, it counts as failed.
struct InFlight<'a> {
    sender: &'a Sender,
    pass: Option<&'a Pass>,
    late: Timestamp,
    completed: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if self.completed || self.sender.ports.clock.now() < self.late {
            return;
        }
        if let (Some(breaker), Some(pass)) = (&self.sender.limits.breaker, self.pass) {
            breaker.count(&self.sender.ports, pass, Some(Outage::default()));
        }
    }
}
