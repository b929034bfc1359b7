//! Runs a record through the providers of its type.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::ask::Run;
use super::request::{Request, WaterfallOutcome};
use super::step::Step;
use super::wait::EarlierWait;
use crate::catalog::RecordType;
use crate::domain::record::{Outcome, without_blanks};
use crate::domain::suspended::{Merged, Suspended};
use crate::providers::{Earlier, Ports};

/// The providers of one type, in order.
#[derive(Debug, Clone)]
pub struct Waterfall {
    kind: Arc<RecordType>,
    steps: Vec<Step>,
}

impl Waterfall {
    /// Joins a type and its providers, in the order in which they are asked.
    pub fn new(kind: Arc<RecordType>, steps: Vec<Step>) -> Self {
        Self { kind, steps }
    }

    /// Returns the record type: its limits and fields, and when it stops.
    pub fn kind(&self) -> &RecordType {
        &self.kind
    }

    /// Returns whether an upstream of this type can use a [`Request::callback`].
    pub fn calls_back(&self) -> bool {
        self.steps.iter().any(|step| step.provider.calls_back())
    }

    /// Returns whether any provider's answers are saved.
    pub fn keeps_answers(&self) -> bool {
        self.steps.iter().any(|step| step.cache.is_some())
    }

    /// Reports the provider that a record waits for before it could ask. Takes at most `limit`.
    pub async fn tell(&self, suspended: &Suspended, limit: Duration, ports: &Ports) {
        let step = self
            .steps
            .iter()
            .find(|step| step.name() == suspended.provider() && !suspended.is_taken());
        if let Some(step) = step {
            step.waits
                .tell(ports, suspended.resume_at, suspended.outage, limit)
                .await;
        }
    }

    /// Works on one record until its outcome is known or a provider answers later. `suspended` is
    /// the outcome of an earlier run, with what the upstream posted since. Never panics by itself,
    /// never answers `skipped` or `canceled`.
    pub async fn run(
        &self,
        request: &Request<'_>,
        suspended: Option<(Suspended, Option<Value>)>,
        ports: &Ports,
    ) -> WaterfallOutcome {
        if let Err(what) = self.kind.usable() {
            return WaterfallOutcome::Done(Outcome::failed("provider_unconfigured", what));
        }
        let (names, merged, mut waited) = self.begin_or_resume(request, suspended);
        // A provider that is gone from the configuration is not waited for any more.
        let gone = names.first().is_some_and(|name| self.step(name).is_none());
        waited.take_if(|_| gone);
        let steps: Vec<&Step> = names.iter().filter_map(|name| self.step(name)).collect();
        let mut run = Run {
            kind: &self.kind,
            request,
            input: &without_blanks(request.input),
            ports,
            deadline: ports.clock.now().plus(request.limit),
            steps: &steps,
            merged,
        };
        for at in 0..steps.len() {
            match run.step(at, waited.take().unwrap_or_default()).await {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(None) => break,
                ControlFlow::Break(Some(progress)) => return progress,
            }
        }
        WaterfallOutcome::Done(run.merged.into_outcome())
    }

    fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name() == name)
    }

    /// Returns the names of the providers to ask, what is known by now, and the earlier wait for
    /// the first of them, if any.
    fn begin_or_resume(
        &self,
        request: &Request<'_>,
        suspended: Option<(Suspended, Option<Value>)>,
    ) -> (Vec<String>, Merged, Option<EarlierWait>) {
        let Some((before, posted)) = suspended else {
            let own = || {
                self.steps
                    .iter()
                    .map(|step| step.name().to_owned())
                    .collect()
            };
            let names = request.order.map_or_else(own, <[String]>::to_vec);
            return (names, Merged::default(), None);
        };
        let waited = EarlierWait {
            give_up_at: Some(before.give_up_at),
            callbacks_seen: before.callbacks_seen,
            // A provider that has not taken the question is not shown the callback.
            has_unseen_callback: posted.is_some() && before.upstream_token.is_some(),
            outage: before.outage,
            since: before.since,
            earlier: before.upstream_token.map(|upstream_token| Earlier {
                upstream_token,
                posted,
            }),
        };
        (before.left, before.merged, Some(waited))
    }
}
