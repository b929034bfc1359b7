//! Records as callers send them, and the one outcome each of them ends in.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::json;

/// The most bytes a record may have as JSON. Source: the API's limits.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;
/// The most bytes an outcome may have as JSON; a larger one becomes `failed: outcome_too_large`.
pub const MAX_OUTCOME_BYTES: usize = 256 * 1024;

/// The deepest nesting of what is taken in, so that whatever we wrap around it can still be read.
pub const MAX_DEPTH: usize = 64;

/// Returns how deep a value nests: 0 for a text, a number, a truth value or null.
pub fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Returns whether a value is blank, as spreadsheets and forms leave a field: `null`, or text of
/// nothing but white space of Unicode. A blank value counts as absent wherever it is read, and is
/// echoed as it was sent.
pub fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// The member of this name, unless it is blank.
pub fn present<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !is_blank(value))
}

/// The members that are not blank.
pub fn without_blanks(members: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    if !members.values().any(is_blank) {
        return Cow::Borrowed(members);
    }
    let there = members.iter().filter(|(_, value)| !is_blank(value));
    Cow::Owned(
        there
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// The rule for blanks where a job's results are shown. It is stored with the job, because a body
/// that was sent is sent again the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blanks {
    /// Of jobs that were accepted before this was stored: a blank is a value like any other.
    #[default]
    Count,
    /// Of jobs since then: `null` and white space say nothing.
    Absent,
}

impl Blanks {
    /// Returns whether they count.
    pub fn count(&self) -> bool {
        *self == Self::Count
    }

    /// As [`is_blank`], where blanks are absent.
    pub fn is_blank(self, value: &Value) -> bool {
        self == Self::Absent && is_blank(value)
    }

    /// As [`present`], where blanks are absent.
    pub fn present<'a>(self, members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
        members.get(name).filter(|value| !self.is_blank(value))
    }
}

/// One record of a job, as the caller sent it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The caller's own id, echoed. A blank one is none, and echoed all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The known facts, by field name.
    #[serde(deserialize_with = "json::sent")]
    pub input: Map<String, Value>,
    /// The caller's own data, echoed and never read.
    #[serde(
        default,
        deserialize_with = "json::sent",
        skip_serializing_if = "Option::is_none"
    )]
    pub metadata: Option<Map<String, Value>>,
    /// The text in place of `metadata` where that was blank, to be echoed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blank_metadata: Option<String>,
    /// The record as its surface's client wrote it, where `input` has other names or more than
    /// that.
    #[serde(
        default,
        deserialize_with = "json::sent",
        skip_serializing_if = "Option::is_none"
    )]
    pub original: Option<Map<String, Value>>,
    /// `id`, `input` and `metadata` as they were sent, where the members above cannot hold them:
    /// the record has not the form of one, is not worked on, and is echoed from here.
    #[serde(
        default,
        deserialize_with = "json::sent",
        skip_serializing_if = "Option::is_none"
    )]
    pub malformed: Option<Map<String, Value>>,
}

impl Record {
    /// Returns what the client sent, to be echoed.
    pub fn sent(&self) -> &Map<String, Value> {
        self.original.as_ref().unwrap_or(&self.input)
    }

    /// `id`, `input` and `metadata` as a result line shows them.
    pub fn echo(&self) -> [Value; 3] {
        match &self.malformed {
            Some(sent) => {
                ["id", "input", "metadata"].map(|name| sent.get(name).cloned().unwrap_or_default())
            }
            None => [
                self.id.clone().map_or(Value::Null, Value::String),
                Value::Object(self.input.clone()),
                match &self.metadata {
                    Some(metadata) => Value::Object(metadata.clone()),
                    None => self.blank_metadata.clone().into(),
                },
            ],
        }
    }
}

/// The end of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// At least one provider answered with data.
    Found,
    /// Nothing was found, and at least one provider answered that it has nothing; `error` names one
    /// that could not answer.
    NotFound,
    /// Every provider that the input suits could not answer, or the record could not be worked on.
    Failed,
    /// The input cannot be what any of the providers asks for (no domain, no e-mail address).
    Invalid,
    /// The job's budget was used up before this record.
    Skipped,
    /// The job was canceled before this record was begun.
    Canceled,
}

impl OutcomeStatus {
    /// Every status, in the order of [`Counts`](super::progress::Counts).
    pub const ALL: [Self; 6] = [
        Self::Found,
        Self::NotFound,
        Self::Failed,
        Self::Invalid,
        Self::Skipped,
        Self::Canceled,
    ];

    /// Returns the word for the status, as it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
            Self::Skipped => "skipped",
            Self::Canceled => "canceled",
        }
    }
}

/// Where a field came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The provider's name in `providers.toml`.
    pub provider: String,
    /// RFC 3339, UTC.
    pub fetched_at: String,
    /// 0 to 1, where the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// SPDX identifier or the provider's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The answer was kept from `fetched_at` on; no provider was asked for this record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
}

/// Why a record did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeError {
    /// Stable, in snake case: `deadline_exceeded`, `worker_lost`, `provider_error`,
    /// `outcome_too_large`, `invalid_input`, …
    pub code: String,
    /// For people; says what to do where something can be done. Holds no secret.
    pub detail: String,
}

/// The reason why a provider did not answer. All decisions about a failure follow from it; its word
/// is for callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCode {
    /// The upstream no longer takes our credentials. Callers see it as a
    /// [`ProviderError`](Self::ProviderError).
    CredentialsRefused,
    /// The record's own time was over.
    DeadlineExceeded,
    /// Everything else.
    ProviderError,
    /// A provider's own need: a field that the type does not ask for, or a value that the provider
    /// refuses.
    ProviderInput,
    /// No answer in time.
    ProviderTimeout,
    /// The type has no provider that could be asked.
    ProviderUnconfigured,
    /// The provider kept failing, or could not be asked in time.
    ProviderUnavailable,
    /// The vendor wants to be paid first (HTTP 402).
    ProviderUnpaid,
    /// The vendor said that there were too many requests.
    RateLimited,
    /// The site lets no programs in.
    RobotsRefused,
}

impl FailureCode {
    /// Returns the word for the failure in results, the same for failures that callers may not tell
    /// apart.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CredentialsRefused | Self::ProviderError => "provider_error",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::ProviderInput => "provider_input",
            Self::ProviderTimeout => "provider_timeout",
            Self::ProviderUnconfigured => "provider_unconfigured",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::ProviderUnpaid => "provider_unpaid",
            Self::RateLimited => "rate_limited",
            Self::RobotsRefused => "robots_refused",
        }
    }
}

impl std::fmt::Display for FailureCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The most characters of an error's text that are kept: it stands beside every record that met it.
pub const MAX_DETAIL_CHARS: usize = 1_000;

impl OutcomeError {
    /// Returns whether this is a failure of that code.
    pub fn is(&self, code: FailureCode) -> bool {
        self.code == code.as_str()
    }

    /// `detail` is cut after [`MAX_DETAIL_CHARS`].
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL_CHARS) {
            detail.truncate(end);
        }
        Self {
            code: code.to_owned(),
            detail,
        }
    }
}

/// The one outcome of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict on the record.
    pub status: OutcomeStatus,
    /// The found fields; empty unless `found`.
    #[serde(
        default,
        deserialize_with = "json::sent",
        skip_serializing_if = "Map::is_empty"
    )]
    pub data: Map<String, Value>,
    /// The source of each found field, by field name, in the order of `data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<(String, Source)>,
    /// The price of this record; more than 0 only when `found`.
    #[serde(default)]
    pub credits: u32,
    /// The reason where it did not end well, or of a provider that could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<OutcomeError>,
}

impl Outcome {
    /// An outcome without data.
    pub fn without_data(status: OutcomeStatus, error: Option<OutcomeError>) -> Self {
        Self {
            status,
            data: Map::new(),
            sources: Vec::new(),
            credits: 0,
            error,
        }
    }

    /// Makes the outcome of a record that failed.
    pub fn failed(code: &str, detail: impl Into<String>) -> Self {
        Self::without_data(OutcomeStatus::Failed, Some(OutcomeError::new(code, detail)))
    }

    /// Returns whether another try may come to more: it failed, or no provider knew anything while
    /// a provider could not be asked.
    pub fn may_be_retried(&self) -> bool {
        match self.status {
            OutcomeStatus::Failed => true,
            OutcomeStatus::NotFound => self.error.is_some(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_and_white_space_say_nothing_and_everything_else_does() {
        for blank in [
            "",
            " ",
            "\t\r\n",
            "\u{a0}",
            "\u{2003}\u{3000}",
            "\u{85}\u{2028}",
        ] {
            assert!(is_blank(&json!(blank)), "{blank:?}");
        }
        assert!(is_blank(&Value::Null));
        for said in [
            json!("x"),
            json!(" x "),
            json!("null"),
            json!("\u{200b}"),
            json!(0),
            json!(false),
            json!([]),
            json!({}),
        ] {
            assert!(!is_blank(&said), "{said}");
        }
    }

    #[test]
    fn members_that_say_something_keep_their_order() {
        let Value::Object(members) = json!({"z": 1, "a": "", "m": [""], "b": null, "c": "x"})
        else {
            panic!()
        };
        assert_eq!(
            json!(*without_blanks(&members)).to_string(),
            r#"{"z":1,"m":[""],"c":"x"}"#
        );
        assert_eq!(
            (present(&members, "a"), present(&members, "none")),
            (None, None)
        );
        assert_eq!(present(&members, "c"), Some(&json!("x")));
        assert!(matches!(without_blanks(&Map::new()), Cow::Borrowed(_)));
    }
}
