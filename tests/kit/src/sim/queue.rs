//! SQS standard queues, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::domain::time::Timestamp;
use shared::ports::{Clock, MAX_QUEUE_DELAY, Message, Queue, QueueError, QueueName};

use super::gate::{Chain, Extent, Later};
use super::{Gate, Op, SimClock, SimEntropy};

/// The largest body and the largest batch. Source: Amazon SQS message quotas (1 MiB since August
/// 2025); every region and emulator takes 256 KiB.
const MAX_BODY: usize = 256 * 1024;

/// The longest visibility time-out. Source: Amazon SQS, `ChangeMessageVisibility`.
const MAX_VISIBILITY: Duration = Duration::from_hours(12);

/// A message as a receiver gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub id: String,
    pub body: String,
    pub group: String,
    /// This receipt of the message; an older one of the same message is void.
    pub receipt: String,
    /// 1 the first time.
    pub receive_count: u32,
    pub sent_at: Timestamp,
    /// The chain of invocations that sent it.
    pub chain: Chain,
}

/// The faults of a standard queue that a small test does not see. Off by default; shares are of a
/// thousand.
///
/// Source: Amazon SQS developer guide, "standard queues": at-least-once delivery, best-effort
/// ordering.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueFaults {
    /// The share of messages that are stored twice.
    pub duplicate: u32,
    /// True if the next of the visible messages is drawn.
    pub reorder: bool,
    /// The share of receives that hide their message for a drawn part of the visibility time-out
    /// only: it is received again while the work goes on.
    pub early_visibility: u32,
    /// The share of deletions that are forgotten: the message returns although it was done.
    pub undeleted: u32,
    /// The share of messages that come later than asked, by a drawn time up to `late_by`.
    pub late: u32,
    pub late_by: Duration,
}

impl QueueFaults {
    /// No faults.
    pub const NONE: Self = Self {
        duplicate: 0,
        reorder: false,
        early_visibility: 0,
        undeleted: 0,
        late: 0,
        late_by: Duration::ZERO,
    };
}

/// The four queues. Messages come out in the order in which they became visible, unless
/// [`QueueFaults`] says otherwise.
#[derive(Debug)]
pub struct SimQueue {
    gate: Arc<Gate>,
    clock: Arc<SimClock>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    queues: BTreeMap<QueueName, Line>,
    dead: BTreeMap<QueueName, Vec<Received>>,
    visibility: Duration,
    /// Of queues that differ from the others.
    visibilities: BTreeMap<QueueName, Duration>,
    max_receives: u32,
    faults: QueueFaults,
    dice: SimEntropy,
    sent: u64,
    received: u64,
    placed: u64,
}

/// One queue: its messages by the time at which they are visible, then by the order of those times.
type Line = BTreeMap<(Timestamp, u64), Received>;

impl State {
    /// Draws whether a fault of this share happens.
    fn hit(&self, share: u32) -> bool {
        share > 0 && self.dice.below(1000) < share as usize
    }

    /// Draws a time up to this.
    fn some_of(&self, time: Duration) -> Duration {
        let millis = usize::try_from(time.as_millis()).unwrap_or(usize::MAX - 1);
        Duration::from_millis(self.dice.below(millis + 1) as u64)
    }

    /// Returns the place of the next message to receive, if one is visible.
    fn next(&self, queue: QueueName, now: Timestamp) -> Option<(Timestamp, u64)> {
        let mut visible = self
            .queues
            .get(&queue)?
            .range(..=(now, u64::MAX))
            .map(|(at, _)| *at);
        if !self.faults.reorder {
            return visible.next();
        }
        let visible: Vec<_> = visible.collect();
        (!visible.is_empty()).then(|| visible[self.dice.below(visible.len())])
    }

    fn place(&mut self, queue: QueueName, message: Received, visible_at: Timestamp) {
        self.placed += 1;
        self.queues
            .entry(queue)
            .or_default()
            .insert((visible_at, self.placed), message);
    }

    /// Returns the place of the message with this receipt.
    fn find(&self, queue: QueueName, receipt: &str) -> Option<(Timestamp, u64)> {
        let mut line = self.queues.get(&queue)?.iter();
        line.find(|(_, message)| !receipt.is_empty() && message.receipt == receipt)
            .map(|(at, _)| *at)
    }

    fn accept(
        &mut self,
        queue: QueueName,
        messages: &[Message],
        chain: &Chain,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        if messages
            .iter()
            .any(|message| message.body.is_empty() || message.body.len() > MAX_BODY)
        {
            return Err(QueueError("a body is empty or over 256 KiB".to_owned()));
        }
        for message in messages {
            self.sent += 1;
            let received = Received {
                id: format!("message-{:08}", self.sent),
                body: message.body.clone(),
                group: message.group.clone(),
                receipt: String::new(),
                receive_count: 0,
                sent_at: now,
                chain: chain.clone(),
            };
            let copies = if self.hit(self.faults.duplicate) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let late = if self.hit(self.faults.late) {
                    self.some_of(self.faults.late_by)
                } else {
                    Duration::ZERO
                };
                let delay = whole_seconds(message.delay.min(MAX_QUEUE_DELAY)) + late;
                self.place(queue, received.clone(), now.plus(delay));
            }
        }
        Ok(())
    }

    fn hide(
        &mut self,
        queue: QueueName,
        receipt: &str,
        delay: Duration,
        now: Timestamp,
    ) -> Result<(), QueueError> {
        match self
            .find(queue, receipt)
            .filter(|(visible_at, _)| *visible_at > now)
        {
            Some(at) => {
                if let Some(message) = self.take(queue, at) {
                    self.place(
                        queue,
                        message,
                        now.plus(whole_seconds(delay.min(MAX_VISIBILITY))),
                    );
                }
                Ok(())
            }
            None => Err(QueueError(
                "no message in flight has this receipt".to_owned(),
            )),
        }
    }

    fn take(&mut self, queue: QueueName, at: (Timestamp, u64)) -> Option<Received> {
        self.queues.get_mut(&queue)?.remove(&at)
    }
}

impl SimQueue {
    pub(super) fn new(gate: Arc<Gate>, clock: Arc<SimClock>) -> Self {
        let state = State {
            queues: BTreeMap::new(),
            dead: BTreeMap::new(),
            visibility: Duration::from_mins(12),
            visibilities: BTreeMap::new(),
            max_receives: u32::MAX,
            faults: QueueFaults::default(),
            dice: SimEntropy::new(0),
            sent: 0,
            received: 0,
            placed: 0,
        };
        Self {
            gate,
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Sets the time for which a received message stays invisible (720 s by default), and the
    /// receives without deletion after which it goes to the dead-letter queue (never by default).
    pub fn configure(&self, visibility: Duration, max_receives: u32) {
        let mut state = self.state.lock().unwrap();
        state.visibility = visibility;
        state.max_receives = max_receives;
    }

    /// Sets the visibility time-out of one queue.
    pub fn hide_for(&self, queue: QueueName, visibility: Duration) {
        self.state
            .lock()
            .unwrap()
            .visibilities
            .insert(queue, visibility);
    }

    /// Makes these faults from now on; their times are drawn from the seed.
    pub fn misbehave(&self, faults: QueueFaults, seed: u64) {
        let mut state = self.state.lock().unwrap();
        (state.faults, state.dice) = (faults, SimEntropy::new(seed));
    }

    /// Receives up to `max` visible messages and makes them invisible for the visibility time-out.
    pub fn receive(&self, queue: QueueName, max: usize) -> Vec<Received> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let mut out = Vec::new();
        while out.len() < max {
            let Some(at) = state.next(queue, now) else {
                break;
            };
            let Some(mut message) = state.take(queue, at) else {
                break;
            };
            if message.receive_count >= state.max_receives {
                state.dead.entry(queue).or_default().push(message);
                continue;
            }
            state.received += 1;
            message.receive_count += 1;
            message.receipt = format!("receipt-{}", state.received);
            let hidden = state
                .visibilities
                .get(&queue)
                .copied()
                .unwrap_or(state.visibility);
            let early = state.hit(state.faults.early_visibility);
            let visible_at = now.plus(if early { state.some_of(hidden) } else { hidden });
            state.place(queue, message.clone(), visible_at);
            out.push(message);
        }
        out
    }

    /// Deletes a message by its latest receipt. An older one deletes nothing, without an error.
    /// Source: Amazon SQS, `DeleteMessage`: with an old receipt handle "the message might not be
    /// deleted".
    pub fn delete(&self, queue: QueueName, receipt: &str) {
        let mut state = self.state.lock().unwrap();
        if let Some(at) = state.find(queue, receipt)
            && !state.hit(state.faults.undeleted)
        {
            state.take(queue, at);
        }
    }

    /// Returns everything in the queue, visible or not, in the order of sending.
    pub fn peek(&self, queue: QueueName) -> Vec<Received> {
        let state = self.state.lock().unwrap();
        let mut all: Vec<Received> = state
            .queues
            .get(&queue)
            .into_iter()
            .flat_map(|line| line.values())
            .cloned()
            .collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Returns everything in the queues, with the time at which it is visible.
    pub fn waiting(&self) -> Vec<(QueueName, Timestamp, Received)> {
        let state = self.state.lock().unwrap();
        let lines = state.queues.iter();
        lines
            .flat_map(|(queue, line)| {
                line.iter()
                    .map(|((at, _), message)| (*queue, *at, message.clone()))
            })
            .collect()
    }

    /// Returns the dead letters of a queue.
    pub fn dead_letters(&self, queue: QueueName) -> Vec<Received> {
        self.state
            .lock()
            .unwrap()
            .dead
            .get(&queue)
            .cloned()
            .unwrap_or_default()
    }

    /// Returns the time at which the next message of any queue is visible.
    pub fn next_visible(&self) -> Option<Timestamp> {
        let state = self.state.lock().unwrap();
        state
            .queues
            .values()
            .filter_map(|line| line.keys().next())
            .map(|(at, _)| *at)
            .min()
    }

    /// Loses every message of a queue, received ones too.
    pub fn lose(&self, queue: QueueName) {
        self.state.lock().unwrap().queues.remove(&queue);
    }

    /// Puts a message into the queue outside of any call, visible now, as any permitted sender can.
    pub fn place(&self, queue: QueueName, body: &str) {
        let message = Message {
            body: body.to_owned(),
            delay: Duration::ZERO,
            group: "anybody".to_owned(),
        };
        self.state
            .lock()
            .unwrap()
            .accept(queue, &[message], &Chain::new(), self.clock.now())
            .expect("a body that a queue takes");
    }

    /// Puts a second copy of a message into the queue, visible now, as standard queues sometimes
    /// do.
    pub fn duplicate(&self, queue: QueueName, id: &str) {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let copy = state
            .queues
            .get(&queue)
            .and_then(|line| line.values().find(|message| message.id == id))
            .cloned();
        if let Some(copy) = copy {
            state.place(
                queue,
                Received {
                    receipt: String::new(),
                    ..copy
                },
                now,
            );
        }
    }

    /// A call that takes effect when this is called, on the queues as of then.
    fn later(
        &self,
        effect: impl FnOnce(&mut State, Timestamp) -> Result<(), QueueError> + Send + 'static,
    ) -> Later {
        let state = Arc::clone(&self.state);
        Box::new(move |at| effect(&mut state.lock().unwrap(), at).is_ok())
    }
}

/// Rounds up to the whole seconds of SQS, so that nothing comes early.
fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

fn lost(_: super::gate::Failure) -> QueueError {
    QueueError("lost in the simulation".to_owned())
}

#[async_trait]
impl Queue for SimQueue {
    async fn send(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        let chain = self.gate.chain();
        for batch in messages.chunks(10) {
            let effect = |extent| {
                let reached = if extent == Extent::Whole {
                    batch.len()
                } else {
                    batch.len() / 2
                };
                self.state.lock().unwrap().accept(
                    queue,
                    &batch[..reached],
                    &chain,
                    self.clock.now(),
                )
            };
            let later = || {
                let (batch, chain) = (batch.to_vec(), chain.clone());
                self.later(move |state, at| state.accept(queue, &batch, &chain, at))
            };
            self.gate
                .write(
                    Op::Send,
                    format!("{queue:?} x{}", batch.len()),
                    &batch,
                    lost,
                    effect,
                    &later,
                )
                .await?;
        }
        Ok(())
    }

    async fn postpone(
        &self,
        queue: QueueName,
        receipt: &str,
        delay: Duration,
    ) -> Result<(), QueueError> {
        let effect = |_| {
            self.state
                .lock()
                .unwrap()
                .hide(queue, receipt, delay, self.clock.now())
        };
        let later = || {
            let receipt = receipt.to_owned();
            self.later(move |state, at| state.hide(queue, &receipt, delay, at))
        };
        self.gate
            .write(
                Op::Postpone,
                format!("{queue:?} {receipt}"),
                &delay,
                lost,
                effect,
                &later,
            )
            .await
    }
}
