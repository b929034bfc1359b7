//! Outside hosts, as closures.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shared::domain::time::Timestamp;
use shared::ports::{Clock, HttpAnswer, HttpError, HttpRequest, HttpSender};

use super::{Gate, Op, SimClock};

/// A host's answer to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The time of the whole exchange. From the request's deadline on it is a time-out instead.
    pub after: Duration,
    pub result: Result<HttpAnswer, HttpError>,
}

impl Reply {
    /// An answer at once.
    pub fn status(status: u16) -> Self {
        Self::body(status, Vec::new())
    }

    /// An answer with a body at once.
    pub fn body(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let answer = HttpAnswer {
            status,
            headers: Vec::new(),
            body: body.into(),
            truncated: false,
        };
        Self {
            after: Duration::ZERO,
            result: Ok(answer),
        }
    }

    /// A JSON answer at once.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::body(status, body.to_string()).header("content-type", "application/json")
    }

    /// No answer.
    pub fn error(error: HttpError) -> Self {
        Self {
            after: Duration::ZERO,
            result: Err(error),
        }
    }

    /// Adds a header; the name in lower case.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(answer) = &mut self.result {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Sends the head and the existing part of the body, and then breaks off with this error.
    /// [`HttpError::Timeout`] is a body that drips until the request's deadline.
    #[must_use]
    pub fn cut(mut self, cause: HttpError) -> Self {
        self.result = self.result.and_then(|answer| {
            Err(HttpError::Cut {
                answer: Box::new(answer),
                cause: Box::new(cause),
            })
        });
        self
    }

    /// Returns how long the exchange takes under this deadline.
    pub fn took(&self, deadline: Duration) -> Duration {
        match &self.result {
            Err(HttpError::Cut { cause, .. }) if **cause == HttpError::Timeout => deadline,
            _ => self.after.min(deadline),
        }
    }

    /// Returns the status of the head, if one comes by the deadline.
    pub fn head(&self, deadline: Duration) -> Option<u16> {
        match &self.result {
            _ if self.after >= deadline => None,
            Ok(answer) => Some(answer.status),
            Err(HttpError::Cut { answer, .. }) => Some(answer.status),
            Err(_) => None,
        }
    }

    /// Delays the answer by this time.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

/// A request that reached its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub at: Timestamp,
    pub request: HttpRequest,
}

type Host = Box<dyn FnMut(&HttpRequest) -> Reply + Send>;

/// A sender to hosts that are closures, found by the longest prefix of the URL.
pub struct SimHttp {
    gate: Arc<Gate>,
    clock: Arc<SimClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    hosts: Vec<(String, Host)>,
    refused: Vec<(String, HttpError)>,
    sent: Vec<Sent>,
}

impl fmt::Debug for SimHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimHttp").finish_non_exhaustive()
    }
}

impl SimHttp {
    pub(super) fn new(gate: Arc<Gate>, clock: Arc<SimClock>) -> Self {
        Self {
            gate,
            clock,
            state: Mutex::default(),
        }
    }

    /// Answers every request to URLs with this prefix. A second one for the same prefix replaces
    /// the first.
    pub fn on(&self, prefix: &str, host: impl FnMut(&HttpRequest) -> Reply + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.hosts.retain(|(known, _)| known != prefix);
        state.hosts.push((prefix.to_owned(), Box::new(host)));
    }

    /// Refuses URLs with this prefix, in `check` and in `send`, as the guard of the real sender
    /// would.
    pub fn refuse(&self, prefix: &str, error: HttpError) {
        self.state
            .lock()
            .unwrap()
            .refused
            .push((prefix.to_owned(), error));
    }

    /// Returns the requests that reached a host so far, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.state.lock().unwrap().sent.clone()
    }

    fn exchange(&self, request: &HttpRequest) -> Reply {
        let mut state = self.state.lock().unwrap();
        state.sent.push(Sent {
            at: self.clock.now(),
            request: request.clone(),
        });
        let host = state
            .hosts
            .iter_mut()
            .filter(|(prefix, _)| request.url.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len());
        match host {
            Some((_, host)) => host(request),
            None => Reply::error(HttpError::Dns("no such host in the simulation".to_owned())),
        }
    }
}

#[async_trait]
impl HttpSender for SimHttp {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        self.check(&request.url, request.plain_http)?;
        // By its parts, because its `Debug` hides secret and personal data.
        self.gate.note_content(&(
            &request.url,
            &request.headers,
            request.body.as_slice(),
            request.deadline,
            request.plain_http,
            request.max_response_bytes,
        ));
        let subject = format!(
            "{} {}",
            request.method,
            request.url.split(['?', '#']).next().unwrap_or_default()
        );
        // A lost answer is a time-out at the deadline: the sender cannot know that the host had it.
        let reply = self
            .gate
            .call(
                Op::Http,
                subject,
                |_| HttpError::Timeout,
                |_| Ok(self.exchange(&request)),
            )
            .await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => Reply::error(error).after(request.deadline),
        };
        if reply.after >= request.deadline {
            self.clock.sleep(request.deadline).await;
            return Err(HttpError::Timeout);
        }
        let took = reply.took(request.deadline);
        if !took.is_zero() {
            self.clock.sleep(took).await;
        }
        let mut result = reply.result;
        if let Ok(answer) = &mut result
            && answer.body.len() > request.max_response_bytes
        {
            answer.body.truncate(request.max_response_bytes);
            answer.truncated = true;
        }
        result
    }

    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError> {
        let taken = url.starts_with("https://") || (plain_http && url.starts_with("http://"));
        if !taken {
            return Err(HttpError::Url("only https is allowed".to_owned()));
        }
        let state = self.state.lock().unwrap();
        state
            .refused
            .iter()
            .find(|(prefix, _)| url.starts_with(prefix.as_str()))
            .map_or(Ok(()), |(_, e)| Err(e.clone()))
    }
}
