//! A receiver of webhooks with scripted answers that remembers every exchange.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared::domain::time::Timestamp;
use shared::ports::{Clock, HttpRequest};

use crate::sim::{Reply, SimClock};

/// One exchange as the receiver saw it.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub at: Timestamp,
    /// The time of its answer, or the time by which the sender must have given up.
    pub until: Timestamp,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The status it answered; `None` where it gave no answer in time.
    pub status: Option<u16>,
}

impl Exchange {
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map_or("", |(_, v)| v)
    }

    /// The event's id.
    pub fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub fn json(&self) -> serde_json::Value {
        shared::domain::json::read(&self.body).expect("a body is JSON")
    }
}

#[derive(Debug)]
struct State {
    replies: VecDeque<Reply>,
    after: Reply,
    exchanges: Vec<Exchange>,
}

/// Answers with the given replies, one after the other, then for ever with the last one: 200 by
/// default.
#[derive(Debug, Clone)]
pub struct Receiver {
    clock: Arc<SimClock>,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    pub(super) fn new(clock: Arc<SimClock>) -> Self {
        let state = State {
            replies: VecDeque::new(),
            after: Reply::status(200),
            exchanges: Vec::new(),
        };
        Self {
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Plans the next answers.
    pub fn replies(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.lock().unwrap().replies.extend(replies);
    }

    /// Plans the next answers by their status alone.
    pub fn answers(&self, statuses: impl IntoIterator<Item = u16>) {
        self.replies(statuses.into_iter().map(Reply::status));
    }

    /// Sets the answer for when nothing else is planned.
    pub fn from_then_on(&self, reply: Reply) {
        self.state.lock().unwrap().after = reply;
    }

    pub fn exchanges(&self) -> Vec<Exchange> {
        self.state.lock().unwrap().exchanges.clone()
    }

    pub(super) fn take(&self, request: &HttpRequest) -> Reply {
        let mut state = self.state.lock().unwrap();
        let reply = state
            .replies
            .pop_front()
            .unwrap_or_else(|| state.after.clone());
        let at = self.clock.now();
        state.exchanges.push(Exchange {
            at,
            until: at.plus(reply.took(request.deadline)),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            status: reply.head(request.deadline),
        });
        reply
    }

    /// Returns true if two exchanges are no further apart than clocks may differ.
    pub fn near(a: Timestamp, b: Timestamp) -> bool {
        a.since(b).max(b.since(a)) <= Duration::from_secs(1)
    }
}
