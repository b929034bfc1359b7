//! A provider's place in a waterfall.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::catalog::{ProviderConfig, RecordType};
use crate::providers::guards::answer_cache::Rules;
use crate::providers::guards::waits::Waits;
use crate::providers::refresh::notice::Notices;
use crate::providers::{Answer, Ports, Provider};

/// On whose terms an answer is merged.
#[derive(Debug, Clone)]
pub(super) struct Contributor {
    /// The provider's.
    pub(super) name: String,
    /// For a record to which it contributes.
    pub(super) credits: u32,
    /// How sure its answers are where they do not say.
    pub(super) confidence: Option<f64>,
    pub(super) license: Option<String>,
}

/// A provider's place in a waterfall.
#[derive(Debug, Clone)]
pub struct Step {
    pub(super) contributor: Contributor,
    pub(super) provider: Arc<dyn Provider>,
    /// What later providers leave it; nothing for one that only computes.
    pub(super) timeout: Option<Duration>,
    /// It may have to wait for its turn, beyond its own time-out.
    pub(super) waits_for_slot: bool,
    /// What it can give; `None` where only its answers show it.
    outputs: Option<Vec<String>>,
    /// How its answers are kept, where they are.
    pub(super) cache: Option<Arc<Rules>>,
    pub(super) notices: Arc<Notices>,
    pub(super) waits: Arc<Waits>,
    /// The fields without which it may not take an input, whatever the type asks for.
    required: Vec<String>,
}

/// A provider's answer as the waterfall takes it.
pub(super) enum Judged {
    Answer(Answer),
    /// The input does not suit this provider, whatever the type asks for.
    Unsuited(String),
}

impl Step {
    /// Creates the step of a provider. `cache` says how its answers are kept, if they are.
    pub fn new(
        config: &ProviderConfig,
        provider: Arc<dyn Provider>,
        cache: Option<Arc<Rules>>,
    ) -> Self {
        Self {
            contributor: Contributor {
                name: config.name.clone(),
                credits: config.credits,
                confidence: config.confidence,
                license: config.license.clone(),
            },
            provider,
            timeout: config.timeout(),
            waits_for_slot: config.limits.rate.is_some(),
            outputs: config.kind.settings().outputs(),
            cache,
            notices: Arc::default(),
            waits: Arc::new(Waits::new(&config.name)),
            required: own_needs(config),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.contributor.name
    }

    /// Nothing of a tenant's own goes into an answer that is kept for all tenants.
    pub(super) fn sees<'p>(&self, ports: &'p Ports) -> Cow<'p, Ports> {
        if self.cache.as_ref().is_some_and(|rules| rules.are_for_all()) {
            Cow::Owned(Ports {
                seen: None,
                ..ports.clone()
            })
        } else {
            Cow::Borrowed(ports)
        }
    }

    /// Tells an input that is wrong for the type from one that lacks a field of this provider's own need.
    pub(super) fn judged(
        &self,
        answer: Answer,
        input: &Map<String, Value>,
        kind: &RecordType,
    ) -> Judged {
        let own = || {
            self.required.iter().any(|field| !input.contains_key(field))
                && kind.check_input(input).is_ok()
        };
        match answer {
            Answer::Invalid(why) if own() => Judged::Unsuited(why),
            answer => Judged::Answer(answer),
        }
    }

    /// Whether it can give any of these fields.
    pub(super) fn gives(&self, wanted: &[&str]) -> bool {
        self.outputs.as_ref().is_none_or(|outputs| {
            outputs
                .iter()
                .any(|output| wanted.contains(&output.as_str()))
        })
    }
}

/// An upstream's own needs stand in its templates too.
fn own_needs(config: &ProviderConfig) -> Vec<String> {
    let settings = config.kind.settings();
    if settings.one_upstream() {
        settings.needs()
    } else {
        settings.required()
    }
}
