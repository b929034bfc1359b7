//! SQS standard queues, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::domain::time::Timestamp;
use shared::ports::{Clock, MAX_QUEUE_DELAY, Message, Queue, QueueError, QueueName};

use super::gate::Extent;
use super::{Gate, Op, SimClock};

/// The largest body and the largest batch. Source: Amazon SQS message quotas (1 MiB since August 2025); 256 KiB is what
/// every region and emulator takes.
const MAX_BODY: usize = 256 * 1024;

/// The longest visibility time-out. Source: Amazon SQS, `ChangeMessageVisibility`.
const MAX_VISIBILITY: Duration = Duration::from_hours(12);

/// A message as a receiver gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub id: String,
    pub body: String,
    pub group: String,
    /// Names this receipt of the message; an older one of the same message is of no use any more.
    pub receipt: String,
    /// 1 the first time.
    pub receive_count: u32,
    pub sent_at: Timestamp,
}

/// The four queues. Messages come out in the order in which they became visible.
#[derive(Debug)]
pub struct SimQueue {
    gate: Arc<Gate>,
    clock: Arc<SimClock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    queues: BTreeMap<QueueName, Vec<Held>>,
    dead: BTreeMap<QueueName, Vec<Received>>,
    visibility: Duration,
    max_receives: u32,
    sent: u64,
    received: u64,
}

#[derive(Debug, Clone)]
struct Held {
    message: Received,
    visible_at: Timestamp,
}

impl SimQueue {
    pub(super) fn new(gate: Arc<Gate>, clock: Arc<SimClock>) -> Self {
        let state = State {
            queues: BTreeMap::new(),
            dead: BTreeMap::new(),
            visibility: Duration::from_mins(12),
            max_receives: u32::MAX,
            sent: 0,
            received: 0,
        };
        Self { gate, clock, state: Mutex::new(state) }
    }

    /// How long a received message stays invisible (720 s unless told), and after how many receives without deletion
    /// it goes to the dead-letter queue instead of out again (never unless told).
    pub fn configure(&self, visibility: Duration, max_receives: u32) {
        let mut state = self.state.lock().unwrap();
        state.visibility = visibility;
        state.max_receives = max_receives;
    }

    /// Receives up to `max` visible messages and makes them invisible for the visibility time-out.
    pub fn receive(&self, queue: QueueName, max: usize) -> Vec<Received> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let State { queues, dead, visibility, max_receives, received, .. } = &mut *state;
        let held = queues.entry(queue).or_default();
        held.sort_by_key(|held| held.visible_at);
        let mut out = Vec::new();
        held.retain_mut(|held| {
            if held.visible_at > now || out.len() >= max {
                return true;
            }
            if held.message.receive_count >= *max_receives {
                dead.entry(queue).or_default().push(held.message.clone());
                return false;
            }
            *received += 1;
            held.message.receive_count += 1;
            held.message.receipt = format!("receipt-{received}");
            held.visible_at = now.plus(*visibility);
            out.push(held.message.clone());
            true
        });
        out
    }

    /// Deletes a message by its latest receipt. An older one deletes nothing, and that is no error. Source: Amazon SQS,
    /// `DeleteMessage`: with an old receipt handle "the message might not be deleted".
    pub fn delete(&self, queue: QueueName, receipt: &str) {
        let mut state = self.state.lock().unwrap();
        state.queues.entry(queue).or_default().retain(|held| receipt.is_empty() || held.message.receipt != receipt);
    }

    /// Everything in the queue, visible or not, in the order of sending.
    pub fn peek(&self, queue: QueueName) -> Vec<Received> {
        let state = self.state.lock().unwrap();
        let mut all: Vec<Received> =
            state.queues.get(&queue).into_iter().flatten().map(|h| h.message.clone()).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The dead-letter queue of a queue.
    pub fn dead_letters(&self, queue: QueueName) -> Vec<Received> {
        self.state.lock().unwrap().dead.get(&queue).cloned().unwrap_or_default()
    }

    /// When the next message of any queue is or becomes visible.
    pub fn next_visible(&self) -> Option<Timestamp> {
        self.state.lock().unwrap().queues.values().flatten().map(|held| held.visible_at).min()
    }

    /// Loses every message of a queue, received ones too.
    pub fn lose(&self, queue: QueueName) {
        self.state.lock().unwrap().queues.remove(&queue);
    }

    /// Puts a second copy of a message into the queue, visible now, as standard queues sometimes do.
    pub fn duplicate(&self, queue: QueueName, id: &str) {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let held = state.queues.entry(queue).or_default();
        if let Some(copy) = held.iter().find(|held| held.message.id == id).cloned() {
            let message = Received { receipt: String::new(), ..copy.message };
            held.push(Held { message, visible_at: now });
        }
    }

    fn accept(&self, queue: QueueName, messages: &[Message]) -> Result<(), QueueError> {
        if messages.iter().any(|message| message.body.is_empty() || message.body.len() > MAX_BODY) {
            return Err(QueueError("a body is empty or over 256 KiB".to_owned()));
        }
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        for message in messages {
            state.sent += 1;
            let held = Held {
                message: Received {
                    id: format!("message-{:08}", state.sent),
                    body: message.body.clone(),
                    group: message.group.clone(),
                    receipt: String::new(),
                    receive_count: 0,
                    sent_at: now,
                },
                visible_at: now.plus(whole_seconds(message.delay.min(MAX_QUEUE_DELAY))),
            };
            state.queues.entry(queue).or_default().push(held);
        }
        Ok(())
    }

    fn hide(&self, queue: QueueName, receipt: &str, delay: Duration) -> Result<(), QueueError> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let held = state
            .queues
            .entry(queue)
            .or_default()
            .iter_mut()
            .find(|held| !receipt.is_empty() && held.message.receipt == receipt && held.visible_at > now);
        match held {
            Some(held) => {
                held.visible_at = now.plus(whole_seconds(delay.min(MAX_VISIBILITY)));
                Ok(())
            }
            None => Err(QueueError("no message in flight has this receipt".to_owned())),
        }
    }
}

/// SQS counts whole seconds; a part counts as one more, so that nothing comes early.
fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

fn lost(_: super::gate::Failure) -> QueueError {
    QueueError("lost in the simulation".to_owned())
}

#[async_trait]
impl Queue for SimQueue {
    async fn send(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        for batch in messages.chunks(10) {
            let effect = |extent| match extent {
                Extent::Whole => self.accept(queue, batch),
                Extent::FirstHalf => self.accept(queue, &batch[..batch.len() / 2]),
            };
            self.gate.call(Op::Send, format!("{queue:?} x{}", batch.len()), lost, effect).await?;
        }
        Ok(())
    }

    async fn postpone(&self, queue: QueueName, receipt: &str, delay: Duration) -> Result<(), QueueError> {
        let effect = |_| self.hide(queue, receipt, delay);
        self.gate.call(Op::Postpone, format!("{queue:?} {receipt}"), lost, effect).await
    }
}
