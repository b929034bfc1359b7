//! The functions that work on messages, as Lambda runs them: one process for each batch, with a
//! time-out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::SqsEvent;
use shared::domain::chunk::ChunkMessage;
use shared::domain::ids::JobId;
use shared::domain::time::Timestamp;
use shared::jobs::Ports;
use shared::jobs::enrich::step::ChunkOutcome;
use shared::lambda::sqs;
use shared::lambda::sqs::{Batch, Handled, Invocation, NoIdentity};
use shared::maintenance::sweep::Swept;
use shared::ports::{Clock, QueueName, within};
use shared::providers::Registry;
use shared::webhooks::dispatch::Dispatched;

use crate::sim::{Received, Sim, SimClock, mapping};

/// An event of a function, in the order of their ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Happened {
    ChunkOutcome {
        job: JobId,
        chunk: u32,
        receives: u32,
        answer: Result<ChunkOutcome, String>,
    },
    Dispatched {
        job: JobId,
        attempt: u32,
        lane: QueueName,
        answer: Result<Dispatched, String>,
    },
    Swept(Swept),
    /// A message's body that cannot be read.
    Unreadable,
    /// The function's time-out ended it.
    TimedOut,
    /// Its answer was malformed on its way, and Lambda could not read it.
    Malformed,
    /// Lambda stopped it before it began: it had run too often in one chain.
    Stopped(QueueName),
}

/// The times at which runs over each chunk ended without a good answer.
pub type LostRuns = Rc<RefCell<BTreeMap<(JobId, u32), Vec<Timestamp>>>>;

/// The runs of an invocation that have not ended well. Those left when it ends or dies are lost.
struct Unended {
    runs: Vec<(JobId, u32)>,
    lost: LostRuns,
    clock: Arc<SimClock>,
}

impl Drop for Unended {
    fn drop(&mut self) {
        for run in self.runs.drain(..) {
            self.lost
                .borrow_mut()
                .entry(run)
                .or_default()
                .push(self.clock.now());
        }
    }
}

/// Answers that fail the whole batch; see [`mapping`].
const MALFORMED: [&str; 4] = [
    "",
    r#"{"batchItemFailures":["#,
    r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
    r#"{"batchItemFailures":[{"itemIdentifier":"of a different batch"}]}"#,
];

/// One invocation for one batch of messages.
#[derive(Debug)]
pub(super) struct Function {
    pub sim: Sim,
    pub ports: Ports,
    pub happened: Rc<RefCell<Vec<Happened>>>,
    pub lost_runs: LostRuns,
    pub timeout: Duration,
    pub lane: QueueName,
    pub batch: Vec<Received>,
    /// The index of its answer in [`MALFORMED`].
    pub malformed: Option<usize>,
    /// Released when the function ends or dies.
    pub _at_work: Rc<()>,
}

impl Function {
    pub(super) async fn enrich(self, registry: Arc<Registry>) {
        let timeout = self.timeout;
        let asked = self
            .batch
            .iter()
            .filter_map(|message| serde_json::from_str::<ChunkMessage>(&message.body).ok());
        let runs = asked.map(|m| (m.job, m.chunk)).collect();
        let mut unended = Unended {
            runs,
            lost: self.lost_runs.clone(),
            clock: self.sim.clock.clone(),
        };
        let done = self
            .invoke(async |on, event| sqs::enrich(on, &registry, timeout, event).await)
            .await;
        for Handled {
            message,
            receives,
            outcome,
            ..
        } in done
        {
            let answer = outcome.map_err(|error| error.to_string());
            if let (Ok(_), Some(m)) = (&answer, &message)
                && let Some(at) = unended
                    .runs
                    .iter()
                    .position(|(job, chunk)| *job == m.job && *chunk == m.chunk)
            {
                unended.runs.remove(at);
            }
            self.note(message.map(|m| Happened::ChunkOutcome {
                job: m.job,
                chunk: m.chunk,
                receives,
                answer,
            }));
        }
    }

    pub(super) async fn dispatch(self) {
        let done = self
            .invoke(async |on, event| sqs::dispatch(on, event).await)
            .await;
        for Handled {
            message,
            lane,
            outcome,
            ..
        } in done
        {
            let answer = outcome.map_err(|error| error.to_string());
            self.note(message.map(|m| Happened::Dispatched {
                job: m.job,
                attempt: m.attempt,
                lane,
                answer,
            }));
        }
    }

    /// Runs the function on its event and lets the mapping process its answer. Empty if there is
    /// none.
    async fn invoke<M, T>(
        &self,
        function: impl AsyncFn(&Invocation<'_>, SqsEvent) -> Result<Batch<M, T>, NoIdentity>,
    ) -> Vec<Handled<M, T>> {
        let (clock, queues) = (&*self.ports.clock, mapping::queue_urls());
        let invocation = Invocation {
            ports: &self.ports,
            queues: &queues,
            deadline: clock.now().plus(self.timeout),
        };
        let event = serde_json::from_value(mapping::event(self.lane, &self.batch))
            .expect("an event of SQS");
        let Some(done) = within(clock, self.timeout, function(&invocation, event)).await else {
            self.note(Some(Happened::TimedOut));
            return Vec::new();
        };
        let Ok(batch) = done else { return Vec::new() };
        let mut answer = serde_json::to_string(&batch.response()).expect("an answer is JSON");
        if let Some(which) = self.malformed {
            MALFORMED[which % MALFORMED.len()].clone_into(&mut answer);
            self.note(Some(Happened::Malformed));
        }
        mapping::settle(&self.sim.queue, self.lane, &self.batch, &answer);
        batch.0
    }

    fn note(&self, happened: Option<Happened>) {
        self.happened
            .borrow_mut()
            .push(happened.unwrap_or(Happened::Unreadable));
    }
}
