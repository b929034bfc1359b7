//! The parts of a surface: its routes, its words for requests and answers, its events and how they
//! are signed.

use std::time::Duration;

use crate::catalog::Catalog;
use crate::domain::delivery::{Delivery, DeliveryRules, EventType};
use crate::domain::error::ApiError;
use crate::domain::ids::JobId;
use crate::domain::job::{Accepted, End, Entry, JobView, ResultLine, Submission};
use crate::domain::signature::Secret;
use crate::domain::tenant::{Caller, SurfaceSettings};
use crate::domain::time::Timestamp;
use crate::ports::{HttpError, HttpSender};
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

/// One API surface.
#[derive(Debug, Clone, Copy)]
pub struct Surface {
    /// The name in stored jobs and in `providers.toml`; it never changes.
    pub name: &'static str,
    /// Its operations, as `[operations.NAME]` of `providers.toml` maps it to types; a surface that
    /// takes types by their own names has none.
    pub operations: &'static [&'static str],
    /// The paths that it answers.
    pub routes: &'static [Route],
    /// The jobs that it shows.
    pub shows: Shows,
    /// The API key, from the surface's own header.
    pub key: for<'a> fn(&'a ApiRequest) -> Option<&'a str>,
    /// A job's id as this surface writes it.
    pub id: fn(&JobId) -> String,
    /// Reads what `id` writes.
    pub parse_id: fn(&str) -> Option<JobId>,
    /// Makes the answer of a request that was not carried out. `Allow`, `Retry-After` and
    /// `WWW-Authenticate` are added to it.
    pub error: fn(&ApiError, &ApiRequest) -> ApiResponse,
    /// The schedule of attempts, and the receivers that it allows.
    pub delivery: fn() -> DeliveryRules,
    /// Returns whether the results of a job with this end are sent with its event.
    pub inline: fn(&End) -> bool,
    /// The body of an event: the same bytes every time for the same event.
    pub body: fn(&Event<'_>) -> Vec<u8>,
    /// The headers that sign it.
    pub sign: fn(&Signing<'_>) -> Vec<(String, String)>,
    /// The choices that a tenant has on it.
    pub settings: &'static [SurfaceSetting],
    /// The form of a webhook secret that a tenant chooses for this surface. `None` where the vendor
    /// has no signature of its own.
    pub own_secret: Option<OwnSecretForm>,
}

impl Surface {
    /// Returns the setting of that name.
    pub fn setting(&self, name: &str) -> Option<&'static SurfaceSetting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// Returns what a tenant has chosen on this surface, of the settings and values that there are.
    pub fn chosen(&self, stored: &SurfaceSettings) -> SurfaceSettings {
        stored
            .iter()
            .filter(|(name, value)| {
                self.setting(name)
                    .is_some_and(|setting| setting.value(value).is_some())
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// The form of a webhook secret that a tenant chooses: what the vendor's receivers take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnSecretForm {
    /// Its first characters.
    pub prefix: &'static str,
    /// Set if it may be an API key, which is stored then.
    pub may_be_key: bool,
}

/// The fewest characters of a tenant's own webhook secret, without its prefix.
const MIN_OWN_SECRET: usize = 24;
/// The most characters of a tenant's own webhook secret, with its prefix.
pub const MAX_OWN_SECRET: usize = 256;

impl OwnSecretForm {
    /// Returns why a text has not this form, in words that do not repeat it.
    pub fn fault(&self, text: &str) -> Option<String> {
        let fits = text.strip_prefix(self.prefix).is_some_and(|rest| {
            rest.len() >= MIN_OWN_SECRET
                && text.len() <= MAX_OWN_SECRET
                && text.bytes().all(|byte| byte.is_ascii_graphic())
        });
        (!fits).then(|| {
            let least = MIN_OWN_SECRET + self.prefix.len();
            let begin = match self.prefix {
                "" => String::new(),
                prefix => format!(" that begin with {prefix}"),
            };
            format!(
                "must be {least} to {MAX_OWN_SECRET} visible ASCII characters{begin}, without spaces"
            )
        })
    }
}

/// A request to replace a webhook secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The time for which the previous secret also signs.
    pub overlap: Duration,
    /// The surface whose own secret is meant; `None` for the tenant's.
    pub own: Option<OwnSecret>,
}

/// A tenant's own secret for a surface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSecret {
    /// The surface's name.
    pub surface: String,
    /// The secret, unchecked; `None` where the tenant's secret is to sign again.
    pub secret: Option<Secret>,
}

/// A webhook secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSecret<'a> {
    /// The secret that was made. One that the tenant chose is not shown.
    pub secret: Option<&'a Secret>,
    /// The surface whose own secret it is.
    pub surface: Option<&'a str>,
    /// The time at which the previous one ends, if it still signs.
    pub previous_expires_at: Option<Timestamp>,
    /// The secret is an API key.
    pub is_key: bool,
}

/// A choice that a tenant has on a surface whose clients differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SurfaceSetting {
    /// The name as it is stored; it never changes.
    pub name: &'static str,
    /// The values that it may have. The first is the default.
    pub values: &'static [&'static str],
    /// Its purpose, in one line.
    pub help: &'static str,
}

impl SurfaceSetting {
    /// Returns the value of that name.
    pub fn value(&self, text: &str) -> Option<&'static str> {
        self.values.iter().find(|value| **value == text).copied()
    }

    /// Returns the value that was chosen, or the default. A stored value that does not exist is the
    /// default.
    pub fn of(&self, settings: &SurfaceSettings) -> &'static str {
        let chosen = settings.get(self.name).and_then(|text| self.value(text));
        chosen
            .or_else(|| self.values.first().copied())
            .unwrap_or_default()
    }
}

/// The jobs that a surface shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// Those submitted on it.
    Own,
    /// All jobs, by the id of any surface.
    Every,
}

/// One operation of a surface.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The path, with a leading slash; a segment in braces takes any one segment.
    pub path: &'static str,
    /// The use case, and the words for it.
    pub call: Call,
}

/// The use case of an operation, with the surface's words for the request and the answer.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    /// Starts a job.
    Submit {
        /// Makes a submission of the request.
        read: fn(&ApiRequest, &Reading<'_>) -> Result<Submission, ApiError>,
        /// Makes the answer of a submission, at the present time.
        answer: fn(&Accepted, Timestamp) -> ApiResponse,
    },
    /// Starts a job of the records that failed in another.
    Retry {
        /// Makes the answer of a submission, at the present time.
        answer: fn(&Accepted, Timestamp) -> ApiResponse,
    },
    /// Stops what has not begun.
    Cancel {
        /// Makes the answer of the job as it is after the call, at the present time.
        show: fn(&JobView, Timestamp) -> ApiResponse,
    },
    /// Erases a job; 204.
    Delete,
    /// Shows a job, with its records where `records` asks for them.
    Job {
        /// Returns whether the request wants the job's records too.
        records: fn(&ApiRequest, &JobView) -> bool,
        /// Makes the answer.
        show: fn(&Shown<'_>) -> Result<ApiResponse, ApiError>,
    },
    /// Shows a job with an `ETag` made of `state`; `?wait=` or `Prefer: wait=` delays the
    /// answer until it ends.
    Watch {
        /// Makes the answer of the job, at the present time.
        show: fn(&JobView, Timestamp) -> ApiResponse,
        /// Returns a text that differs whenever the answer does.
        state: fn(&JobView) -> String,
    },
    /// Lists the tenant's jobs; `?status=`, `?cursor=`, `?limit=`.
    Jobs {
        /// Makes the answer of a page of jobs, the id that the next page begins after, and the
        /// present time.
        show: fn(&[JobView], Option<&JobId>, Timestamp) -> ApiResponse,
    },
    /// A page of results; `?cursor=`, `?limit=`.
    Results {
        /// Makes the answer.
        show: fn(&ResultsPage<'_>) -> ApiResponse,
    },
    /// The delivery log of a job; `?cursor=`, `?limit=`.
    Deliveries {
        /// Makes the answer of a page of deliveries and the position that the next page begins at.
        show: fn(&[Delivery], Option<u32>) -> ApiResponse,
    },
    /// One delivery.
    Delivery {
        /// Makes the answer.
        show: fn(&Delivery) -> ApiResponse,
    },
    /// Sends an event again; takes a delivery's id, or a job's for the event of its end.
    Replay {
        /// Makes the answer of the delivery as it is after the call.
        show: fn(&Delivery) -> ApiResponse,
    },
    /// Sends a test event.
    TestWebhook {
        /// Reads the URL to send to.
        read: fn(&ApiRequest, &Reading<'_>) -> Result<String, ApiError>,
        /// Makes the answer of the delivery that was begun.
        show: fn(&Delivery) -> ApiResponse,
    },
    /// Makes a new webhook secret, or takes a surface's own.
    RotateSecret {
        /// Reads which secret is replaced, and how long the previous one also signs.
        read: fn(&ApiRequest) -> Result<Rotation, ApiError>,
        /// Makes the answer.
        show: fn(&NewSecret<'_>) -> ApiResponse,
    },
    /// Shows the caller.
    Account {
        /// Makes the answer of the caller's balance and scopes and the types there are.
        show: fn(&Caller, &Catalog) -> ApiResponse,
    },
}

/// A job to be shown.
#[derive(Debug)]
pub struct Shown<'a> {
    /// The request, for its query and its path.
    pub request: &'a ApiRequest,
    /// The job with its progress.
    pub view: &'a JobView,
    /// Every record in input order, if the operation needs them.
    pub records: Option<&'a [Entry]>,
    /// The present time, for estimates.
    pub now: Timestamp,
}

/// A page of results to be shown.
#[derive(Debug)]
pub struct ResultsPage<'a> {
    /// The request, for its `Accept` header and its query.
    pub request: &'a ApiRequest,
    /// The job that the results are of.
    pub job: &'a JobId,
    /// The lines of the page, in input order.
    pub lines: &'a [ResultLine],
    /// Set on the first page.
    pub first: bool,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// The most lines that the request allows.
    pub limit: usize,
}

/// The context for reading a request.
pub struct Reading<'a> {
    /// The surface that the request came in on.
    pub surface: &'a Surface,
    /// The record types and operations of `providers.toml`.
    pub catalog: &'a Catalog,
    /// Judges URLs of webhooks; sends nothing.
    pub http: &'a dyn HttpSender,
}

impl std::fmt::Debug for Reading<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("surface", &self.surface.name)
            .finish_non_exhaustive()
    }
}

/// The most characters of a URL.
pub const MAX_URL_CHARS: usize = 2083;
/// The time that a record is expected to take until its job has a pace of its own.
pub const NOMINAL_PER_RECORD: Duration = Duration::from_millis(10);

impl Reading<'_> {
    /// Returns the type that answers an operation of this surface, as `providers.toml` maps it. An
    /// operation that it does not map gets a name that no type has, so that its job ends with the
    /// reason.
    pub fn kind(&self, operation: &str) -> String {
        let mapped = self.catalog.operation(self.surface.name, operation);
        mapped.map_or_else(
            || format!("{}.{operation}", self.surface.name),
            str::to_owned,
        )
    }

    /// Returns why a URL cannot be delivered to, in words.
    pub fn url_fault(&self, url: &str) -> Option<String> {
        if url.chars().count() > MAX_URL_CHARS {
            return Some(format!("is longer than {MAX_URL_CHARS} characters"));
        }
        match self.http.check(url, (self.surface.delivery)().plain_http) {
            Ok(()) => None,
            Err(HttpError::Blocked) => Some(
                "points to an address that is not allowed (private, local or reserved)".to_owned(),
            ),
            Err(HttpError::Url(why)) => Some(format!("cannot be used: {why}")),
            Err(other) => Some(other.to_string()),
        }
    }
}

/// An event for a receiver.
#[derive(Debug)]
pub struct Event<'a> {
    /// The kind of event.
    pub kind: EventType,
    /// The time of the event, the same at every attempt.
    pub at: Timestamp,
    /// The job it is about; a test event is about none. Of a record's event only `job.spec` may be
    /// used: the rest still changes, and every attempt has the same body.
    pub job: Option<&'a JobView>,
    /// Of a job's event: its results, if they fit (`Surface::inline`). Of a record's event: its
    /// line.
    pub results: Option<&'a [ResultLine]>,
}

/// The parts that a signature covers.
#[derive(Debug)]
pub struct Signing<'a> {
    /// The tenant's secrets that sign, newest first.
    pub secrets: &'a [&'a Secret],
    /// Those that the tenant chose for this surface, newest first; mostly none.
    pub own: &'a [&'a Secret],
    /// The event's id, the same at every attempt.
    pub id: &'a str,
    /// The kind of event, for surfaces that name it in a header.
    pub event: EventType,
    /// From 1, of this delivery.
    pub attempt: u32,
    /// The attempt's time.
    pub at: Timestamp,
    /// The bytes that are sent.
    pub body: &'a [u8],
}

impl Signing<'_> {
    /// Returns the secrets of the vendor's own signature, newest first.
    pub fn vendor(&self) -> &[&Secret] {
        if self.own.is_empty() {
            self.secrets
        } else {
            self.own
        }
    }
}
