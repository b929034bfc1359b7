//! One step of a run: a provider's saved answer, its own answer, or the suspension of the record.

use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::merge::Origin;
use super::request::{Request, WaterfallOutcome};
use super::step::Step;
use super::time_share::share;
use super::wait::EarlierWait;
use crate::catalog::RecordType;
use crate::domain::record::FailureCode;
use crate::domain::suspended::{Merged, Suspended};
use crate::domain::time::Timestamp;
use crate::ports::within;
use crate::providers::{Answer, Later, Ports, Question};

/// A run over the providers that are left.
pub(super) struct Run<'a> {
    pub(super) kind: &'a RecordType,
    pub(super) request: &'a Request<'a>,
    /// The input without blank fields.
    pub(super) input: &'a Map<String, Value>,
    pub(super) ports: &'a Ports,
    pub(super) deadline: Timestamp,
    pub(super) steps: &'a [&'a Step],
    pub(super) merged: Merged,
}

impl Run<'_> {
    /// Asks a provider and merges its answer. Breaks with `None` once there is enough, or with the
    /// outcome of the run if the record cannot be worked on further.
    pub(super) async fn step(
        &mut self,
        at: usize,
        waited: EarlierWait,
    ) -> ControlFlow<Option<WaterfallOutcome>> {
        if !self.is_worth_asking(at, &waited) {
            return ControlFlow::Continue(());
        }
        let (step, until) = (self.steps[at], self.kind.until());
        let (answer, origin) = match self.kept_answer(step, &waited).await {
            Some(kept) => kept,
            None => self.own_answer(at, &waited).await.map_break(Some)?,
        };
        let answer = step.judged(answer, self.input, self.kind);
        self.merged.take(&step.contributor, answer, until, &origin);
        if self
            .merged
            .wanted(until)
            .is_some_and(|wanted| wanted.is_empty())
        {
            return ControlFlow::Break(None);
        }
        ControlFlow::Continue(())
    }

    /// Returns whether a provider can give what is still wanted. One that was asked before is
    /// always asked again.
    fn is_worth_asking(&self, at: usize, waited: &EarlierWait) -> bool {
        let wanted = || self.merged.wanted(self.kind.until());
        waited.give_up_at.is_some() || wanted().is_none_or(|wanted| self.steps[at].gives(&wanted))
    }

    /// Returns the time that the record has left.
    fn left(&self) -> Duration {
        self.deadline.since(self.ports.clock.now())
    }

    /// Returns the provider's saved answer to the same question, if there is one.
    async fn kept_answer(&self, step: &Step, waited: &EarlierWait) -> Option<(Answer, Origin)> {
        // A question that was taken is answered by the provider that took it.
        if waited.earlier.is_some() {
            return None;
        }
        let (rules, cache) = step.cache.as_ref().zip(self.request.cache)?;
        let reading = cache.look_up(rules, self.input, self.ports);
        let kept = within(self.ports.clock.as_ref(), self.left(), reading).await??;
        let origin = Origin {
            fetched_at: kept.fetched_at.clone(),
            cached: true,
        };
        Some((kept.answer(), origin))
    }

    /// Asks the provider and notes the result. Breaks with the run's outcome if it answers later.
    async fn own_answer(
        &mut self,
        at: usize,
        waited: &EarlierWait,
    ) -> ControlFlow<WaterfallOutcome, (Answer, Origin)> {
        let step = self.steps[at];
        let answer = match self.put_question(at, waited).await {
            Answer::Later(later) => self.suspend(at, later, waited)?,
            answer => answer,
        };
        let now = self.ports.clock.now();
        if let Answer::Failed { code, detail } = &answer {
            step.notices.failed(step.name(), *code, detail, now);
        }
        if let (Some(rules), Some(cache)) = (&step.cache, self.request.cache) {
            cache.remember(rules, self.input, &answer, now).await;
        }
        if matches!(answer, Answer::Found { .. } | Answer::NotFound) {
            let waited = waited.give_up_at.is_some() && waited.outage.is_some();
            step.waits.over(self.ports, waited, self.left() / 2).await;
        }
        let origin = Origin {
            fetched_at: now.rfc3339(),
            cached: false,
        };
        ControlFlow::Continue((answer, origin))
    }

    /// Asks the provider within its share of the time.
    async fn put_question(&self, at: usize, waited: &EarlierWait) -> Answer {
        let (step, clock) = (self.steps[at], self.ports.clock.as_ref());
        let own = step.timeout.filter(|_| !step.waits_for_slot);
        let limit = share(self.left(), own, &self.steps[at + 1..]);
        if !limit.is_zero() {
            let key = format!("{}\n{}", self.request.key, step.name());
            let key = hex::encode(Sha256::digest(key));
            let callback = self.request.callback.filter(|_| step.provider.calls_back());
            let callback = callback.map(|url| url(step.name()));
            let question = Question {
                input: self.input,
                limit,
                key: &key,
                callback: callback.as_deref(),
                earlier: waited.earlier.as_ref(),
                last: at + 1 == self.steps.len() && self.merged.data.is_empty(),
                wait: self.kind.wait(),
            };
            let ports = step.sees(self.ports);
            let asked = within(clock, limit, step.provider.ask(&question, &ports));
            if let Some(answer) = asked.await {
                return answer;
            }
        }
        let code = if self.left().is_zero() {
            FailureCode::DeadlineExceeded
        } else {
            FailureCode::ProviderTimeout
        };
        Answer::failed(code, "did not answer in time")
    }

    /// Suspends the record until its provider is asked again, or returns the answer of a wait in
    /// vain.
    fn suspend(
        &mut self,
        at: usize,
        later: Later,
        waited: &EarlierWait,
    ) -> ControlFlow<WaterfallOutcome, Answer> {
        let (step, now) = (self.steps[at], self.ports.clock.now());
        let wait = waited.goes_on(&later, now);
        if let Some(outage) = wait.outage {
            step.notices.waits(step.name(), outage.status, now);
        }
        if let Some(unfit) = self.merged.unfit(later.upstream_token.as_ref()) {
            return ControlFlow::Break(WaterfallOutcome::Done(unfit));
        }
        let Some(resume_at) = wait.poll_at(later.poll_after, now) else {
            return ControlFlow::Continue(wait.in_vain(later.upstream_token.is_some()));
        };
        let left = self.steps[at..].iter().map(|step| step.name().to_owned());
        ControlFlow::Break(WaterfallOutcome::Suspended(Box::new(Suspended {
            left: left.collect(),
            merged: std::mem::take(&mut self.merged),
            upstream_token: later.upstream_token,
            resume_at,
            give_up_at: wait.give_up_at,
            callbacks_seen: wait.callbacks_seen,
            outage: wait.outage,
            since: Some(wait.since),
        })))
    }
}
