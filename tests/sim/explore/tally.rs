//! Counts what happens, to notice a schedule generator that has stopped reaching something.

use std::collections::BTreeMap;

use shared::domain::delivery::DeliveryState;
use shared::domain::error::ApiError;
use shared::domain::job::ResultLine;
use shared::jobs::callback::Posted;
use shared::jobs::enrich::step::ChunkOutcome;
use shared::ports::QueueName;
use shared::webhooks::dispatch::Dispatched;
use testkit::harness::{Happened, World};
use testkit::sim::{Call, Fault};

/// Counts by name: how often, and in how many schedules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally(BTreeMap<String, (u64, u64)>);

impl Tally {
    pub(super) fn add(&mut self, name: impl Into<String>, times: u64) {
        if times > 0 {
            let (all, schedules) = self.0.entry(name.into()).or_default();
            *all += times;
            *schedules = 1;
        }
    }

    pub(super) fn one(&mut self, name: impl Into<String>) {
        self.add(name, 1);
    }

    /// `suspended` says whether an upstream has questions that it has not answered.
    pub(super) fn fault(&mut self, call: &Call, fault: Fault, suspended: bool) {
        let kind = match fault {
            Fault::Delay(by) if by > crate::MINUTE / 2 => "Delay, standing still".to_owned(),
            other => format!("{other:?}")
                .split('(')
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        self.one(format!("fault: {kind}"));
        if matches!(fault, Fault::Die | Fault::DieAfter | Fault::DieLate(_)) {
            self.one(format!("killed at: {:?}", call.op));
            let who = call.name.split(' ').next().unwrap_or_default();
            self.one(format!("killed: {who}"));
            self.add(
                "killed: while records are suspended",
                u64::from(suspended && who.starts_with("Enrich")),
            );
        }
    }

    /// Counts what a world shows when all is over.
    pub(super) fn end(&mut self, world: &World) {
        for happened in world.happened() {
            match happened {
                Happened::ChunkOutcome {
                    answer: Ok(ChunkOutcome::Continues),
                    ..
                } => self.one("chunk: continues in another run"),
                Happened::ChunkOutcome {
                    answer: Ok(_),
                    receives,
                    ..
                } if receives > 1 => self.one("chunk: received again"),
                Happened::ChunkOutcome { answer: Err(_), .. } => self.one("chunk: run failed"),
                Happened::ChunkOutcome { .. } | Happened::Swept(_) => {}
                Happened::Dispatched {
                    answer: Ok(done), ..
                } => self.one(match done {
                    Dispatched::Delivered => "attempt: delivered",
                    Dispatched::Retrying => "attempt: to be tried again",
                    Dispatched::Exhausted => "attempt: gave up",
                    Dispatched::Stale => "attempt: stale message",
                    Dispatched::Moved => "attempt: put off",
                    Dispatched::NoTime => "attempt: no time",
                }),
                Happened::Dispatched { answer: Err(_), .. } => self.one("attempt: run failed"),
                Happened::Unreadable => self.one("message: unreadable"),
                Happened::TimedOut => self.one("function: timed out"),
                Happened::Malformed => self.one("function: answer malformed"),
                Happened::Stopped(_) => self.one("function: stopped as a loop"),
            }
        }
        let late = world.sim.gate.late_effects();
        self.add("late effect: applied", late.applied);
        self.add("late effect: refused", late.refused);
        let swept = world.swept();
        self.add("sweep: finished a job", swept.finished.into());
        self.add("sweep: sent chunks again", swept.redriven_chunks.into());
        self.add(
            "sweep: sent deliveries again",
            swept.redriven_deliveries.into(),
        );
        self.add("sweep: erased", swept.erased.into());
        self.add("sweep: expired", swept.expiring.into());
        self.add("sweep: repair failed", swept.errors.into());
        let (suspended, turns) = world.steps.past().suspended();
        self.add("waits: suspended for an answer", suspended as u64);
        self.add("waits: suspended for its turn", turns);
        self.add(
            "waits: polled",
            world
                .upstream
                .taken()
                .iter()
                .map(|taken| taken.polled.len() as u64)
                .sum(),
        );
        self.add(
            "waits: bought again",
            world
                .upstream
                .taken()
                .iter()
                .filter(|taken| taken.bought.len() > 1)
                .count() as u64,
        );
        for post in world.upstream.posts() {
            let answer = match post.answer {
                Some(Ok(Posted::Taken)) => "taken",
                Some(Ok(Posted::NoOp)) => "moot",
                Some(Err(ApiError::NotFound { .. })) if post.forged => "refused",
                Some(Err(ApiError::NotFound { .. })) => "of a job that is gone",
                _ => continue,
            };
            self.one(format!("callback: {answer}"));
        }
        for lane in [
            QueueName::Enrich,
            QueueName::EnrichBulk,
            QueueName::Webhook,
            QueueName::WebhookRetry,
        ] {
            self.add(
                format!("dead letters: {lane:?}"),
                world.sim.queue.dead_letters(lane).len() as u64,
            );
        }
    }

    /// A record of a job whose upstream answers later, as it ended.
    pub(super) fn waited(&mut self, kind: &str, line: &ResultLine) {
        let from = |name: &str| {
            line.outcome
                .sources
                .iter()
                .any(|(_, source)| source.provider == name)
        };
        let code = line.outcome.error.as_ref().map(|error| error.code.as_str());
        let domain = line
            .record
            .input
            .get("domain")
            .and_then(|domain| domain.as_str())
            .unwrap_or_default();
        let script = domain.split('-').next().unwrap_or_default();
        if matches!(script, "never" | "late1500")
            && (kind == "late" && from("second")
                || kind == "vendor" && code == Some("provider_timeout"))
        {
            self.one("waits: given up");
        }
        let cached = line.outcome.sources.iter().any(|(_, source)| source.cached);
        self.add("answer of a provider: kept from before", u64::from(cached));
    }

    /// A delivery as it ended.
    pub(super) fn delivery(&mut self, delivery: &shared::domain::delivery::Delivery) {
        match (&delivery.state, &delivery.reason) {
            (DeliveryState::Exhausted, Some(reason)) => {
                self.one(format!("delivery: exhausted, {reason}"));
            }
            (state, _) => self.one(format!("delivery: {}", state.as_str())),
        }
        self.one(format!("event: {}", delivery.event.as_str()));
        let interrupted = delivery
            .log
            .iter()
            .filter(|attempt| attempt.error.as_deref() == Some("interrupted"));
        self.add("attempt: interrupted", interrupted.count() as u64);
        self.add("delivery: replayed", u64::from(delivery.explicit));
    }

    /// Adds what else happened in the same schedule.
    pub(super) fn join(&mut self, other: Self) {
        for (name, (all, _)) in other.0 {
            self.add(name, all);
        }
    }

    /// Adds another schedule's.
    pub(super) fn merge(&mut self, other: &Self) {
        for (name, (all, schedules)) in &other.0 {
            let sum = self.0.entry(name.clone()).or_default();
            sum.0 += all;
            sum.1 += schedules;
        }
    }

    /// Which of these never happened.
    pub(super) fn missing<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        names
            .iter()
            .filter(|name| !self.0.contains_key(**name))
            .copied()
            .collect()
    }

    /// As a table of text.
    pub(super) fn table(&self, schedules: u64) -> String {
        let head = format!(
            "{:<44} {:>10} {:>13}\n",
            "what happened", "times", "schedules"
        );
        let line = |(name, (all, some)): (&String, &(u64, u64))| {
            let share = some * 1000 / schedules.max(1);
            format!(
                "{name:<44} {all:>10} {some:>7} {:>3}.{}%\n",
                share / 10,
                share % 10
            )
        };
        head + &self.0.iter().map(line).collect::<String>()
    }
}
