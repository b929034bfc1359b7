//! A job: its fixed part, its status, and its results.

mod status;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::status::{JobEvent, Status, next_status};
use super::credits::Reservation;
use super::error::InputError;
use super::ids::{JobId, TenantId};
use super::progress::{Counts, Progress};
use super::record::{Blanks, OutcomeError, Record};
use super::tenant::SurfaceSettings;
use super::time::Timestamp;

/// The most records of a job.
pub const MAX_RECORDS: usize = 1000;
/// The most bytes of a request body.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// A job that has not ended so long after its submission is expired: what is left of it fails.
pub const RUN_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// A job's page of results has at most this many bytes. Source: the API's limits.
pub const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// The same page as Lambda returns it, escaped inside a JSON string, has at most this many bytes.
/// Source: Lambda's response limit of 6,291,456 bytes, with room for headers and envelope.
pub const MAX_ESCAPED_PAGE_BYTES: usize = 5_500_000;
/// Results of up to this many bytes go into the webhook; above, only the link to them does.
pub const INLINE_RESULT_BYTES: u64 = 256 * 1024;

/// Where a job's events go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// An absolute URL that the surface has checked.
    pub url: String,
}

/// Records of a submission that cannot be worked on. They keep their places and end `invalid`;
/// nothing is reserved for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InvalidRecords {
    /// Why, by position in the request.
    pub records: BTreeMap<usize, OutcomeError>,
    /// Their first faults with their places, for the answer.
    pub faults: Vec<InputError>,
}

/// A request to start a job, as its surface read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// The surface it came in on, by name.
    pub surface: String,
    /// A type of `providers.toml`.
    pub kind: String,
    /// The surface's own word for the thing that was asked for, where that is more than the type
    /// says.
    pub operation: Option<String>,
    /// The form of its answers and events, for a surface that has several; `None` is the usual one.
    pub form: Option<String>,
    /// The caller's own name for the job, echoed in lists and events.
    pub name: Option<String>,
    /// All of them, the invalid ones too.
    pub records: Vec<Record>,
    /// The records among them that end `invalid`.
    pub invalid: InvalidRecords,
    /// The URL that is notified of the job's end.
    pub webhook: Option<Webhook>,
    /// The URL that is notified of each record's end.
    pub record_webhook: Option<Webhook>,
    /// Replaces the waterfall's order.
    pub providers: Option<Vec<String>>,
    /// The most credits that the job may cost; records past them end `skipped`.
    pub max_credits: Option<u64>,
    /// Where the balance does not cover every record: reserve what there is, instead of refusing
    /// the job.
    pub partial_budget: bool,
    /// Reserves nothing and stores nothing: the answer is [`Accepted::Priced`].
    pub dry_run: bool,
    /// The job whose failed records these are.
    pub retry_of: Option<JobId>,
}

impl Submission {
    /// A submission of records and nothing else.
    pub fn new(surface: &str, kind: impl Into<String>, records: Vec<Record>) -> Self {
        Self {
            surface: surface.to_owned(),
            kind: kind.into(),
            operation: None,
            form: None,
            name: None,
            records,
            invalid: InvalidRecords::default(),
            webhook: None,
            record_webhook: None,
            providers: None,
            max_credits: None,
            partial_budget: false,
            dry_run: false,
            retry_of: None,
        }
    }
}

/// The result of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The job, which is there for good.
    Job {
        /// The job as it was just after its submission, or as it is now where `replayed`.
        view: Box<JobView>,
        /// It was made by an earlier request with the same idempotency key.
        replayed: bool,
        /// Of the records that end `invalid`.
        faults: Vec<InputError>,
    },
    /// A dry run: nothing was stored.
    Priced {
        /// The records that the budget covers, and the credits for them.
        reservation: Reservation,
        /// Records of the submission, the invalid ones among them.
        records: usize,
        /// The most credits that one record can cost.
        price: u32,
        /// The records that would end `invalid`.
        invalid: InvalidRecords,
        /// The reason why every record of such a job would fail, where its type cannot be run.
        unconfigured: Option<String>,
    },
}

/// The part of a job that never changes after its submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The job's own id, made at submit.
    pub id: JobId,
    /// The tenant that pays for it and may see it.
    pub tenant: TenantId,
    /// The surface that it was submitted on, by name: it renders events and results.
    #[serde(rename = "dialect")]
    pub surface: String,
    /// The record type, by its name in `providers.toml`.
    pub kind: String,
    /// The surface's own word for what was asked for; see [`Submission::operation`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The caller's own name for the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The receiver of the event of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// The URL that is notified of each record's end; such a job has one record a chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_webhook: Option<Webhook>,
    /// The providers to ask, in this order, in place of the waterfall's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    /// Records of the job, the invalid ones among them.
    pub total: u32,
    /// Chunks that the records were cut into.
    pub chunks: u32,
    /// Worst-case credits of the records that may run.
    pub reserved: u64,
    /// The most credits that one record can cost.
    pub price: u32,
    /// The time of the submission.
    pub created_at: Timestamp,
    /// After this the job no longer runs.
    pub run_until: Timestamp,
    /// From then on everything of the job counts as absent.
    pub expires_at: Timestamp,
    /// The job whose failed records these are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
    /// The reason why no provider of this type can be asked; such a job fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfigured: Option<String>,
    /// The balance did not cover every record; those past it are `skipped`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub short_of_credits: bool,
    /// The form of its answers and events, for a surface that has several; `None` is the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// The rule for blanks in its results and events.
    #[serde(default, skip_serializing_if = "Blanks::count")]
    pub blanks: Blanks,
    /// Answers and events show the details of phone numbers, such as the type of the line. Unset in
    /// jobs of versions that showed none: an event that was sent is sent again the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub phone_details: bool,
    /// The tenant's choices on its surface at the submission: every answer and event of the job
    /// goes by them.
    #[serde(default, skip_serializing_if = "SurfaceSettings::is_empty")]
    pub settings: SurfaceSettings,
}

impl Spec {
    /// Why this job cannot run at all, if it cannot; it ends `failed`.
    pub fn failure_reason(&self) -> Option<&str> {
        let broke = self.short_of_credits && self.reserved == 0;
        self.unconfigured
            .as_deref()
            .or(broke.then_some("not enough credits for any record"))
    }
}

/// The sums of a job that has ended; written once, with its terminal status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The time of the terminal status.
    pub at: Timestamp,
    /// Records by outcome.
    pub counts: Counts,
    /// Credits of all found records: what the tenant pays.
    pub credits: u64,
    /// Bytes of all result lines as JSON.
    pub bytes: u64,
    /// Bytes of what surfaces without sources show of all records; see [`public_view`].
    #[serde(
        rename = "told_bytes",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub public_bytes: Option<u64>,
    /// The reason of a job that failed as a whole; see [`Spec::failure_reason`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl End {
    /// Returns whether all results go into one response or event of a surface that shows no
    /// sources: up to [`MAX_PAGE_BYTES`] of them, and with the sources, which are read along, not
    /// many times that.
    pub fn fits_one_response(&self) -> bool {
        let most = MAX_PAGE_BYTES as u64;
        self.public_bytes.unwrap_or(self.bytes) <= most && self.bytes <= 4 * most
    }
}

/// Returns what surfaces without sources show of a record, as JSON: as it was sent, its metadata,
/// what was found, the error. Its length is what counts towards what goes into one response of
/// theirs.
pub fn public_view(record: &Record, outcome: Option<&super::record::Outcome>) -> String {
    let found = outcome.map(|outcome| (&outcome.data, &outcome.error));
    serde_json::to_string(&(record.sent(), &record.metadata, found)).unwrap_or_default()
}

/// A job as its head item has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The part that never changes.
    pub spec: Spec,
    /// The status as stored; callers see [`JobView::status`].
    pub status: Status,
    /// The time at which the first chunk was begun.
    pub started_at: Option<Timestamp>,
    /// The sums of a job that has ended.
    pub end: Option<End>,
    /// The time of the sweep's next check.
    pub due: Option<Timestamp>,
    /// Finished chunks at the sweep's last check.
    pub seen: u32,
    /// The time until the sweep checks it again.
    pub window: Duration,
    /// Shards whose every chunk is done.
    pub shards_done: u32,
}

impl Job {
    /// Tells that the retention has passed: the job counts as absent, whatever is still stored.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.spec.expires_at
    }
}

/// A job with its progress, as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// The head item.
    pub job: Job,
    /// Of a live job; a job that has ended has its counts in `end`.
    pub progress: Progress,
    /// The path in front of the API's own, as the caller reaches it. Empty in an event: its bytes
    /// stay the same, whatever address the deployment has meanwhile.
    pub base_path: String,
    /// The providers that its records wait for, where they were read.
    pub waiting_for: Vec<WaitingFor>,
}

/// A provider that records wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingFor {
    /// Its name in `providers.toml`.
    pub provider: String,
    /// The HTTP status that its upstream answered with, where that is why.
    pub status: Option<u16>,
    /// The time at which the first of the records began to wait.
    pub since: Timestamp,
    /// When it is asked again.
    pub until: Timestamp,
}

impl JobView {
    /// A job with its progress.
    pub fn new(job: Job, progress: Progress) -> Self {
        Self {
            job,
            progress,
            base_path: String::new(),
            waiting_for: Vec::new(),
        }
    }

    /// Where the native surface has the results.
    pub fn results_url(&self) -> String {
        format!("{}/v1/jobs/{}/results", self.base_path, self.job.spec.id)
    }

    /// Returns the records by outcome, so far or at the end.
    pub fn counts(&self) -> Counts {
        self.job
            .end
            .as_ref()
            .map_or_else(|| self.progress.counts(), |end| end.counts)
    }

    /// Returns the credits of the found records, so far or at the end.
    pub fn credits_used(&self) -> u64 {
        self.job
            .end
            .as_ref()
            .map_or_else(|| self.progress.credits(), |end| end.credits)
    }

    /// The status as shown: a job with progress is running, whether or not that was stored yet.
    pub fn status(&self) -> Status {
        match self.job.status {
            Status::Queued if self.progress.chunks() > 0 => Status::Running,
            Status::Expiring => Status::Running,
            status => status,
        }
    }

    /// 0 to 100; 100 only when the job has ended.
    pub fn percent(&self) -> u32 {
        let total = u64::from(self.job.spec.total).max(1);
        let done = u64::from(self.counts().total()) * 100 / total;
        let cap = if self.job.status.is_live() { 99 } else { 100 };
        u32::try_from(done).unwrap_or(100).min(cap)
    }

    /// When a live job will have ended if it goes on at its pace so far; `per_record` where it has
    /// none yet. While records wait for a provider, not before that is asked again.
    pub fn estimate(&self, now: Timestamp, per_record: Duration) -> Option<Timestamp> {
        if !self.job.status.is_live() {
            return None;
        }
        let done = self.counts().total();
        let left = self.job.spec.total.saturating_sub(done);
        let pace = match self.job.started_at {
            Some(started) if done > 0 => now.since(started) / done,
            _ => per_record,
        };
        let from = self
            .waiting_for
            .iter()
            .map(|wait| wait.until)
            .fold(now, Timestamp::max);
        Some(
            from.plus(
                pace.saturating_mul(left)
                    .max(Duration::from_secs(1))
                    .min(RUN_LIMIT),
            ),
        )
    }
}

/// A record's place, what went in and what came out: one line of a job's results.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultLine {
    /// Position in the request, from 0.
    pub index: u32,
    /// The input, with the caller's id and metadata.
    pub record: Record,
    /// The result of the record.
    pub outcome: super::record::Outcome,
}

impl ResultLine {
    /// Returns what this line, given as JSON text, takes of a response in whichever form it is
    /// asked for: every quote becomes two in CSV, and each of those two bytes in Lambda's envelope.
    pub fn escaped_bytes(text: &str) -> usize {
        let grow = |b: u8| match b {
            b'"' => 4,
            b'\\' => 2,
            _ => 1,
        };
        text.bytes().map(grow).sum::<usize>() + 2
    }

    /// The line as JSON, in the form of the native API. Its length is what counts towards the
    /// inline limit.
    pub fn to_json(&self) -> Value {
        let outcome = &self.outcome;
        let mut line = Map::new();
        line.insert("index".into(), self.index.into());
        let [id, input, metadata] = self.record.echo();
        line.insert("id".into(), id);
        line.insert("status".into(), outcome.status.as_str().into());
        line.insert("input".into(), input);
        line.insert("metadata".into(), metadata);
        line.insert("data".into(), Value::Object(outcome.data.clone()));
        let sources = outcome.sources.iter().map(|(field, source)| {
            let mut shown = Map::new();
            shown.insert("provider".into(), source.provider.clone().into());
            shown.insert("fetched_at".into(), source.fetched_at.clone().into());
            shown.insert(
                "confidence".into(),
                source.confidence.map_or(Value::Null, Value::from),
            );
            shown.insert(
                "license".into(),
                source.license.clone().map_or(Value::Null, Value::String),
            );
            if source.cached {
                shown.insert("cached".into(), true.into());
            }
            (field.clone(), Value::Object(shown))
        });
        line.insert("sources".into(), Value::Object(sources.collect()));
        line.insert("credits".into(), outcome.credits.into());
        let error = outcome.error.as_ref().map_or(
            Value::Null,
            |e| serde_json::json!({"code": e.code, "detail": e.detail}),
        );
        line.insert("error".into(), error);
        Value::Object(line)
    }
}

/// A record of a job that may still run.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Position in the request, from 0.
    pub index: u32,
    /// The input, with the caller's id and metadata.
    pub record: Record,
    /// `None` while it has none.
    pub outcome: Option<super::record::Outcome>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_from_a_stored_time_at_its_limit_made_the_job_unreadable() {
        let id = JobId::new(Timestamp(0), [0; 10]);
        let spec = Spec {
            tenant: TenantId::parse("t").unwrap(),
            surface: "d".to_owned(),
            kind: "k".to_owned(),
            operation: None,
            name: None,
            webhook: None,
            record_webhook: None,
            providers: None,
            total: u32::MAX,
            chunks: 2,
            reserved: 0,
            price: 0,
            created_at: Timestamp(0),
            run_until: Timestamp(i64::MAX),
            expires_at: Timestamp(i64::MAX),
            retry_of: None,
            unconfigured: None,
            short_of_credits: false,
            form: None,
            blanks: Blanks::Absent,
            phone_details: false,
            settings: SurfaceSettings::new(),
            id,
        };
        let job = Job {
            spec,
            status: Status::Running,
            started_at: Some(Timestamp(i64::MIN)),
            end: None,
            due: None,
            seen: 0,
            window: Duration::ZERO,
            shards_done: 0,
        };
        let view = JobView::new(job, Progress::of(&["0:1:0:0:0:0:0:0:0".to_owned()]));
        let now = Timestamp(1_800_000_000_000);
        assert_eq!(
            view.estimate(now, Duration::ZERO),
            Some(now.plus(RUN_LIMIT))
        );
    }

    #[test]
    fn jobs_without_settings_are_stored_and_read_as_before() {
        let stored = r#"{"id":"job_01ARZ3NDEKTSV4RRFFQ69G5FAV","tenant":"t","dialect":"d","kind":"k","total":1,"chunks":1,"reserved":0,"price":0,"created_at":0,"run_until":1,"expires_at":2,"blanks":"absent"}"#;
        let mut spec: Spec = serde_json::from_str(stored).unwrap();
        assert!(spec.settings.is_empty());
        assert_eq!(serde_json::to_string(&spec).unwrap(), stored);
        spec.settings.insert("tone".to_owned(), "high".to_owned());
        let with = stored.replace("\"absent\"}", r#""absent","settings":{"tone":"high"}}"#);
        assert_eq!(serde_json::to_string(&spec).unwrap(), with);
        assert_eq!(serde_json::from_str::<Spec>(&with).unwrap(), spec);
    }
}
