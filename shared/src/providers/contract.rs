//! What a provider is: what it is asked, what it may use meanwhile, and what it answers.

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

/// What a provider knows about an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Something is known.
    Found {
        /// Fields by name, in the order to show them; never empty.
        fields: Map<String, Value>,
        /// Where the provider says.
        confidence: Option<Confidence>,
    },
    /// Nothing is known about this input.
    NotFound,
    /// The input cannot be what this provider asks for (no domain, no e-mail address).
    Invalid(String),
    /// No answer was to be had. `detail` is for people and holds no secret and no personal datum.
    Failed {
        /// What the record shows as its error.
        code: FailureCode,
        /// For people; at most a line.
        detail: String,
    },
    /// The upstream took the question and will answer later: the record is parked, and asked for again.
    Later(Later),
}

/// How sure an answer is, from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Confidence {
    /// Of every field.
    Same(f64),
    /// Of each field by its name.
    Each(BTreeMap<String, f64>),
}

/// By hand: where numbers keep their text, serde's `untagged` takes some for objects.
impl<'de> Deserialize<'de> for Confidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let same = serde_json::from_str(raw.get()).map(Self::Same);
        same.or_else(|_| serde_json::from_str(raw.get()).map(Self::Each))
            .map_err(de::Error::custom)
    }
}

impl Confidence {
    /// How sure this field is.
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

/// When and how to come back to a question that was taken and not answered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Later {
    /// What the provider needs to find its answer again, such as the upstream's id; handed back as
    /// [`Earlier::upstream_token`]. `None`: nothing was asked yet, and the question is put afresh.
    pub upstream_token: Option<Value>,
    /// Not asked again before, unless the upstream calls back.
    pub poll_after: Duration,
    /// From the first such answer of this provider on: with no answer by then, the provider has failed.
    pub give_up_in: Duration,
    /// Nothing was put to the provider this time: its limits stood before it. What was posted is still unheard, and a look
    /// after a question that was taken is made up for within `give_up_in` of the time at which it would have been given up.
    pub refused: bool,
    /// That the upstream cannot be asked, where that is what is waited for, and not our own rate.
    pub outage: Option<Outage>,
}

/// A question that a provider took before.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    /// As the provider gave it.
    pub upstream_token: Value,
    /// What the upstream posted to [`Question::callback`] since, where it did. It came from outside: the URL was ours, the
    /// content is whatever it is.
    pub posted: Option<Value>,
}

/// One question to a provider.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The fields of the record, by name.
    pub input: &'a Map<String, Value>,
    /// To be answered within this; the caller drops the call when the record's own deadline comes first.
    pub limit: Duration,
    /// The same whenever this record's question is put to this provider, and different for every other: for upstreams that
    /// recognise a repeated request.
    pub key: &'a str,
    /// Where an upstream may post an answer that it gives later. `None` where nobody could reach us.
    pub callback: Option<&'a str>,
    /// The question as it was taken before, where it was.
    pub earlier: Option<&'a Earlier>,
    /// Nothing was found so far and nobody else is left to be asked: to wait is better than to fail.
    pub last: bool,
    /// How long the record may wait for an upstream that cannot be asked, where waiting is all that is left.
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

/// What a provider may use while it answers.
#[derive(Clone)]
pub struct Ports {
    /// Sends requests.
    pub http: Arc<dyn HttpSender>,
    /// Looks up names.
    pub dns: Arc<dyn Dns>,
    /// Reads parameters and objects that are not in the bundle.
    pub assets: Arc<dyn Assets>,
    /// Tells the time, and waits.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// What all processes know together of their upstreams; `None`: each knows its own.
    pub shared: Option<Arc<dyn Store>>,
    /// When the tenant first saw what carries no date; `None`: nobody remembers.
    pub seen: Option<Seen>,
    /// What the requests of this question must pass, where the provider is limited; they are sent through it.
    pub guard: Option<Arc<dyn Guard>>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// Why a request was not sent, and when to try again.
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

/// What became of the requests of one question, or of a call that several questions share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestFate {
    /// One was not sent.
    pub refused: Option<Refused>,
    /// The upstream may have worked on one.
    pub taken: bool,
    /// Until when the upstream wants to be let alone.
    pub asked_to_wait: Option<Timestamp>,
    /// The status with which it refused, where it did.
    pub said: Option<u16>,
}

/// What stands between a provider that is limited and its sender, as far as one must know it whose questions share a call.
#[async_trait]
pub trait Guard: Send + Sync {
    /// The same limits for a call that several questions share, so that it is nobody's own.
    fn for_call(&self) -> Arc<dyn Guard>;

    /// What requests must be sent through.
    fn sender(self: Arc<Self>) -> Arc<dyn HttpSender>;

    /// What became of the requests so far.
    fn fate(&self) -> RequestFate;

    /// Makes what became of a call that of a question in it. Never ends where a request was refused: the question does.
    async fn share(&self, call: RequestFate);
}

/// A source of data about records.
#[async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Answers a question, within its `limit`. A fault is an answer too: `Failed`.
    async fn ask(&self, question: &Question<'_>, ports: &Ports) -> Answer;

    /// Whether it may answer [`Answer::Later`] and can make use of [`Question::callback`].
    fn calls_back(&self) -> bool {
        false
    }

    /// Whether this question is put by a request of its own, which may wait for its turn at a rate before anything else. Others
    /// take a slot when they send, if they do.
    fn takes_turn(&self, _question: &Question<'_>) -> bool {
        true
    }

    /// Reads now what is otherwise read at the first question, and says what there is, such as `2,285 rows`. `Err` says what
    /// is wrong with it.
    async fn inspect(&self, _ports: &Ports) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
}
