//! The contract of a provider: its questions, its ports, and its answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::domain::record::FailureCode;
use crate::domain::suspended::Outage;
use crate::domain::time::Timestamp;
use crate::ports::{Assets, Clock, Dns, Entropy, HttpSender, Store};
use crate::providers::guards::seen::Seen;

/// An answer about an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Something is known.
    Found {
        /// Fields by name, in the order to show them; never empty.
        fields: Map<String, Value>,
        /// The confidence, where the provider says.
        confidence: Option<Confidence>,
    },
    /// Nothing is known about this input.
    NotFound,
    /// The input cannot be what this provider asks for (no domain, no e-mail address).
    Invalid(String),
    /// No answer could be had. `detail` is for people and has no secret and no personal datum.
    Failed {
        /// The code of the record's error.
        code: FailureCode,
        /// A text for people; at most a line.
        detail: String,
    },
    /// The upstream took the question and will answer later: the record is suspended, and asked for
    /// again.
    Later(Later),
}

/// The confidence of an answer, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Confidence {
    /// One for every field.
    Same(f64),
    /// One for each field, by its name.
    Each(BTreeMap<String, f64>),
}

/// Written by hand: where numbers keep their text, serde's `untagged` takes some for objects.
impl<'de> Deserialize<'de> for Confidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let same = serde_json::from_str(raw.get()).map(Self::Same);
        same.or_else(|_| serde_json::from_str(raw.get()).map(Self::Each))
            .map_err(de::Error::custom)
    }
}

impl Confidence {
    /// Returns the confidence of this field.
    pub fn of(&self, field: &str) -> Option<f64> {
        match self {
            Self::Same(confidence) => Some(*confidence),
            Self::Each(fields) => fields.get(field).copied(),
        }
    }
}

impl From<f64> for Confidence {
    fn from(confidence: f64) -> Self {
        Self::Same(confidence)
    }
}

/// The time and the state for resuming a question that was taken and not answered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Later {
    /// The state that the provider needs to find its answer again, such as the upstream's id;
    /// handed back as [`Earlier::upstream_token`]. `None`: the upstream was not asked yet, and the
    /// question is put afresh.
    pub upstream_token: Option<Value>,
    /// The least time before it is asked again, unless the upstream calls back.
    pub poll_after: Duration,
    /// The time after which the provider has failed, from its first such answer on.
    pub give_up_in: Duration,
    /// Set if the provider's own limits kept the question from it. A callback still counts as
    /// unseen. A poll of a question that was taken is made up for, within `give_up_in` of the time
    /// at which it would have been given up.
    pub refused: bool,
    /// The outage that is waited for; `None` if it is our own rate.
    pub outage: Option<Outage>,
}

/// A question that a provider took before.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// The token, as the provider gave it.
    pub upstream_token: Value,
    /// The callback that the upstream posted to [`Question::callback`] since, if any. It came from
    /// outside: the URL was ours, the content is not checked.
    pub posted: Option<Value>,
}

/// One question to a provider.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The fields of the record, by name.
    pub input: &'a Map<String, Value>,
    /// The time to answer in; the caller drops the call when the record's own deadline comes first.
    pub limit: Duration,
    /// A key that is the same whenever this record's question is put to this provider, and
    /// different for every other: for upstreams that recognise a repeated request.
    pub key: &'a str,
    /// The URL for a later answer of the upstream. `None` if upstreams cannot reach us.
    pub callback: Option<&'a str>,
    /// The earlier state of the question, if it was taken before.
    pub earlier: Option<&'a Earlier>,
    /// Set if nothing was found so far and no other provider is left: to wait is better than to
    /// fail.
    pub last: bool,
    /// The most time that the record may wait for an upstream that cannot be asked, once waiting is
    /// all that is left.
    pub wait: Duration,
}

impl Answer {
    pub(crate) fn failed(code: FailureCode, detail: impl Into<String>) -> Self {
        Self::Failed {
            code,
            detail: detail.into(),
        }
    }
}

/// The ports that a provider may use while it answers.
#[derive(Clone)]
pub struct Ports {
    /// Sends HTTP requests.
    pub http: Arc<dyn HttpSender>,
    /// Looks up names.
    pub dns: Arc<dyn Dns>,
    /// Reads parameters and objects that are not in the bundle.
    pub assets: Arc<dyn Assets>,
    /// Tells the time, and waits.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// The table that all processes share; `None`: each knows its own state.
    pub shared: Option<Arc<dyn Store>>,
    /// The tenant's memory of the first time that it saw undated things; `None`: there is none.
    pub seen: Option<Seen>,
    /// The guard that the requests of this question pass, if the provider is limited.
    pub guard: Option<Arc<dyn Guard>>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// The reason why a request was not sent, and the time of the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No slot or place was free in time.
    Busy {
        /// When to try again.
        at: Timestamp,
        /// Set where the upstream itself asked for a pause: what it answered.
        held: Option<Outage>,
    },
    /// The circuit is open until then.
    Open(Timestamp),
}

/// The fate of the requests of one question, or of a call that several questions share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestFate {
    /// Set if one was not sent.
    pub refused: Option<Refused>,
    /// Set if the upstream may have worked on one.
    pub taken: bool,
    /// The time until which the upstream wants no requests.
    pub asked_to_wait: Option<Timestamp>,
    /// The status with which it refused, if it did.
    pub said: Option<u16>,
}

/// The limits before a provider's sender, for a provider whose questions share a call.
#[async_trait]
pub trait Guard: Send + Sync {
    /// Returns the same limits for a call that several questions share.
    fn for_call(&self) -> Arc<dyn Guard>;

    /// Returns the sender that requests must use.
    fn sender(self: Arc<Self>) -> Arc<dyn HttpSender>;

    /// Returns the fate of the requests so far.
    fn fate(&self) -> RequestFate;

    /// Adds the fate of a call to that of a question in it. Never ends if a request was refused:
    /// the question does.
    async fn share(&self, call: RequestFate);
}

/// A source of data about records.
#[async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Answers a question, within its `limit`. A fault is an answer too: `Failed`.
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer;

    /// Returns whether it may answer [`Answer::Later`] and can use [`Question::callback`].
    fn calls_back(&self) -> bool {
        false
    }

    /// Returns whether this question sends a request of its own, which may wait for a slot before
    /// anything else. Others take a slot when they send, if they do.
    fn takes_turn(&self, _question: &Question<'_>) -> bool {
        true
    }

    /// Reads now what is otherwise read at the first question, and describes it, such as `2,285
    /// rows`. `Err` says what is wrong with it.
    async fn inspect(&self, _ports: &Ports) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}
