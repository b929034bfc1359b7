//! Merges the answers of providers.

use serde_json::{Map, Value};

use super::step::{Contributor, Judged};
use crate::catalog::Until;
use crate::domain::json;
use crate::domain::record::{
    FailureCode, MAX_DEPTH, MAX_OUTCOME_BYTES, Outcome, OutcomeError, OutcomeStatus, Source, depth,
    is_blank,
};
use crate::domain::suspended::Merged;
use crate::providers::{Answer, Confidence};

/// The origin of an answer.
pub(super) struct Origin {
    /// RFC 3339, UTC.
    pub(super) fetched_at: String,
    pub(super) cached: bool,
}

impl Merged {
    pub(super) fn take(
        &mut self,
        from: &Contributor,
        answer: Judged,
        until: &Until,
        origin: &Origin,
    ) {
        let answer = match answer {
            Judged::Answer(answer) => answer,
            Judged::Unsuited(why) => {
                self.unsuited
                    .get_or_insert_with(|| format!("{}: {why}", from.name));
                return;
            }
        };
        match answer {
            Answer::Found { fields, confidence } => {
                self.add(from, fields, confidence.as_ref(), until, origin);
            }
            Answer::NotFound => self.said_no = true,
            Answer::Invalid(why) => {
                self.invalid.get_or_insert(why);
            }
            Answer::Failed { code, detail } => {
                // A failure that may pass says more than an input that never fits.
                if code != FailureCode::ProviderInput {
                    self.failure
                        .take_if(|before| before.is(FailureCode::ProviderInput));
                }
                self.failure.get_or_insert_with(|| {
                    OutcomeError::new(code.as_str(), format!("{}: {detail}", from.name))
                });
            }
            // A record that waits was suspended before.
            Answer::Later(_) => {}
        }
    }

    fn add(
        &mut self,
        from: &Contributor,
        fields: Map<String, Value>,
        confidence: Option<&Confidence>,
        until: &Until,
        origin: &Origin,
    ) {
        let source = |field: &str| Source {
            provider: from.name.clone(),
            fetched_at: origin.fetched_at.clone(),
            confidence: confidence
                .and_then(|said| said.of(field))
                .or(from.confidence),
            license: from.license.clone(),
            cached: origin.cached,
        };
        let mut gave = false;
        for (name, value) in fields.into_iter().filter(|(_, value)| !is_blank(value)) {
            let source = source(&name);
            match self.sources.iter_mut().find(|(field, _)| *field == name) {
                None => self.sources.push((name.clone(), source)),
                Some((_, before))
                    if sure(before) < threshold(until, &name) && sure(&source) > sure(before) =>
                {
                    *before = source;
                }
                Some(_) => continue,
            }
            self.data.insert(name, value);
            gave = true;
        }
        if gave {
            self.prices.push((from.name.clone(), from.credits));
        } else if self.data.is_empty() {
            self.said_no = true;
        }
    }

    /// Returns the failure of a record that cannot be stored while it waits: what was found so far
    /// must fit an outcome, and be readable again.
    pub(super) fn unfit(&self, upstream_token: Option<&Value>) -> Option<Outcome> {
        if self
            .data
            .values()
            .chain(upstream_token)
            .any(|value| depth(value) > MAX_DEPTH)
        {
            let detail = format!("a provider's answer nests deeper than {MAX_DEPTH} levels");
            return Some(Outcome::failed("outcome_too_deep", detail));
        }
        let bytes = json::size(&(self, upstream_token));
        (bytes > MAX_OUTCOME_BYTES).then(|| too_large(bytes))
    }

    /// Returns the fields that are still wanted; `None` if no single fields are, and anything
    /// helps.
    pub(super) fn wanted<'u>(&self, until: &'u Until) -> Option<Vec<&'u str>> {
        let source = |field: &str| {
            self.sources
                .iter()
                .find(|(name, _)| name == field)
                .map(|(_, source)| source)
        };
        match until {
            Until::Any { confidence } => self
                .sources
                .iter()
                .any(|(_, source)| sure(source) >= *confidence)
                .then(Vec::new),
            Until::All(fields) => {
                let open = fields
                    .iter()
                    .filter(|(field, least)| source(field).is_none_or(|s| sure(s) < *least));
                Some(open.map(|(field, _)| field.as_str()).collect())
            }
        }
    }

    pub(super) fn into_outcome(self) -> Outcome {
        if self.data.is_empty() {
            return match (self.said_no, self.failure, self.invalid) {
                (true, failure, _) => Outcome::without_data(OutcomeStatus::NotFound, failure),
                (false, Some(failure), _) => {
                    Outcome::without_data(OutcomeStatus::Failed, Some(failure))
                }
                (false, None, Some(why)) => Outcome::without_data(
                    OutcomeStatus::Invalid,
                    Some(OutcomeError::new("invalid_input", why)),
                ),
                (false, None, None) => match self.unsuited {
                    Some(why) => Outcome::failed(FailureCode::ProviderInput.as_str(), why),
                    None => Outcome::failed("no_provider", "no provider was asked"),
                },
            };
        }
        // A provider whose fields a surer answer replaced is not paid.
        let contributed = |name: &str| {
            self.sources
                .iter()
                .any(|(_, source)| source.provider == name)
        };
        let prices = self
            .prices
            .iter()
            .filter(|(name, _)| contributed(name))
            .map(|(_, credits)| *credits);
        let credits = prices.fold(0, u32::saturating_add);
        let outcome = Outcome {
            status: OutcomeStatus::Found,
            data: self.data,
            sources: self.sources,
            credits,
            error: None,
        };
        let bytes = json::size(&outcome);
        if bytes > MAX_OUTCOME_BYTES {
            return too_large(bytes);
        }
        outcome
    }
}

fn too_large(bytes: usize) -> Outcome {
    let detail =
        format!("the found data is {bytes} bytes as JSON; at most {MAX_OUTCOME_BYTES} are kept");
    Outcome::failed("outcome_too_large", detail)
}

/// Returns a source's confidence; none counts as 0.
fn sure(source: &Source) -> f64 {
    source.confidence.unwrap_or(0.0)
}

/// Returns the confidence that a field's source needs.
fn threshold(until: &Until, field: &str) -> f64 {
    match until {
        Until::Any { confidence } => *confidence,
        Until::All(fields) => fields
            .iter()
            .find(|(name, _)| name == field)
            .map_or(0.0, |(_, least)| *least),
    }
}
