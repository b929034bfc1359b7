//! Providers and the waterfall over them.
//!
//! A provider answers one question: what do you know about this input? The waterfall (`waterfall.rs`) asks several in
//! order and merges what they find. `config.rs` reads `providers.toml`, which declares types and providers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::ports::{Clock, Entropy, HttpSender};

/// What a provider knows about an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Found {
        /// Fields by name, in the order to show them; never empty.
        fields: Map<String, Value>,
        /// 0 to 1, where the provider says.
        confidence: Option<f64>,
    },
    NotFound,
    /// The input cannot be what this provider asks for (no domain, no e-mail address).
    Invalid(String),
    /// No answer was to be had. `detail` is for people and holds no secret and no personal datum.
    Failed {
        code: String,
        detail: String,
    },
}

/// What a provider may use while it answers.
#[derive(Clone)]
pub struct Ports {
    pub http: Arc<dyn HttpSender>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

/// A source of data about records.
#[async_trait]
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// Answers within `limit`; the caller drops the call when the record's own deadline comes first.
    async fn ask(&self, input: &Map<String, Value>, limit: Duration, ports: &Ports) -> Answer;
}
