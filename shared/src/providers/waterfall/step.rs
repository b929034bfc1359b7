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

/// The provider's share in an answer that is merged.
#[derive(Debug, Clone)]
pub(super) struct Contributor {
    /// The provider's name.
    pub(super) name: String,
    /// The price of a record to which it contributes.
    pub(super) credits: u32,
    /// The confidence of answers that do not say.
    pub(super) confidence: Option<f64>,
    pub(super) license: Option<String>,
}

/// A provider's place in a waterfall.
#[derive(Debug, Clone)]
pub struct Step {
    pub(super) contributor: Contributor,
    pub(super) provider: Arc<dyn Provider>,
    /// The time that earlier providers leave it; `None` for one that only computes.
    pub(super) timeout: Option<Duration>,
    /// Set if it may have to wait for a slot, beyond its own time-out.
    pub(super) waits_for_slot: bool,
    /// The fields that it can give; `None` if only its answers show them.
    outputs: Option<Vec<String>>,
    /// The rules by which its answers are saved, if they are.
    pub(super) cache: Option<Arc<Rules>>,
    pub(super) notices: Arc<Notices>,
    pub(super) waits: Arc<Waits>,
    /// The fields that it needs, whatever the type wants.
    required: Vec<String>,
}

/// A provider's answer as the waterfall takes it.
pub(super) enum Judged {
    Answer(Answer),
    /// The input does not suit this provider, whatever the type wants.
    Unsuited(String),
}

impl Step {
    /// Creates the step of a provider. `cache` has the rules by which its answers are saved, if
    /// they are.
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

    /// Returns the ports without the tenant's own memory if answers are saved for all tenants.
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

    /// Tells an input that is wrong for the type from one that lacks a field of this provider's own
    /// need.
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

    /// Returns whether it can give any of these fields.
    pub(super) fn gives(&self, wanted: &[&str]) -> bool {
        self.outputs.as_ref().is_none_or(|outputs| {
            outputs
                .iter()
                .any(|output| wanted.contains(&output.as_str()))
        })
    }
}

/// Returns the fields that a provider needs; those of an upstream are also in its templates.
fn own_needs(config: &ProviderConfig) -> Vec<String> {
    let settings = config.kind.settings();
    if settings.one_upstream() {
        settings.needs()
    } else {
        settings.required()
    }
}
