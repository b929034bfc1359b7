//! What a surface is: its routes, its words for requests and answers, its events and how they are signed.

use std::time::Duration;

use crate::catalog::Catalog;
use crate::domain::delivery::{Delivery, DeliveryRules, EventType};
use crate::domain::error::ApiError;
use crate::domain::ids::JobId;
use crate::domain::job::{Accepted, End, Entry, JobView, ResultLine, Submission};
use crate::domain::signature::Secret;
use crate::domain::tenant::Caller;
use crate::domain::time::Timestamp;
use crate::ports::{HttpError, HttpSender};
use crate::surfaces::common::message::{ApiRequest, ApiResponse};

/// One API surface.
#[derive(Debug, Clone, Copy)]
pub struct Surface {
    /// Stands in stored jobs and in `providers.toml`; never changes.
    pub name: &'static str,
    /// What it offers, as `[operations.NAME]` of `providers.toml` maps it to types; a surface that asks for types by their
    /// own names has none.
    pub operations: &'static [&'static str],
    pub routes: &'static [Route],
    /// Whose jobs it shows.
    pub shows: Shows,
    /// The API key, from the surface's own header.
    pub key: for<'a> fn(&'a ApiRequest) -> Option<&'a str>,
    /// A job's id as this surface writes it.
    pub id: fn(&JobId) -> String,
    /// Reads what `id` writes.
    pub parse_id: fn(&str) -> Option<JobId>,
    /// What a request that was not carried out is answered. `Allow`, `Retry-After` and `WWW-Authenticate` are added to it.
    pub error: fn(&ApiError, &ApiRequest) -> ApiResponse,
    pub delivery: fn() -> DeliveryRules,
    /// Whether the results of a job with this end go along with its event.
    pub inline: fn(&End) -> bool,
    /// The body of an event: the same bytes every time for the same event.
    pub body: fn(&Event<'_>) -> Vec<u8>,
    /// The headers that sign it.
    pub sign: fn(&Signing<'_>) -> Vec<(String, String)>,
}

/// Which jobs a surface shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// Those submitted on it.
    Own,
    /// Every one, by the id of whichever surface.
    Every,
}

/// One operation of a surface.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// With a leading slash; a segment in braces takes any one segment.
    pub path: &'static str,
    pub call: Call,
}

/// What an operation does, with the surface's words for the request and the answer.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    /// Starts a job.
    Submit {
        read: fn(&ApiRequest, &Reading<'_>) -> Result<Submission, ApiError>,
        answer: fn(&Accepted, Timestamp) -> ApiResponse,
    },
    /// Starts a job of the records that failed in another.
    Retry {
        answer: fn(&Accepted, Timestamp) -> ApiResponse,
    },
    /// Stops what has not begun.
    Cancel {
        show: fn(&JobView, Timestamp) -> ApiResponse,
    },
    /// Erases a job; 204.
    Delete,
    /// Shows a job, with its records where `records` asks for them.
    Job {
        records: fn(&ApiRequest, &JobView) -> bool,
        show: fn(&Shown<'_>) -> Result<ApiResponse, ApiError>,
    },
    /// Shows a job with an `ETag` made of `state`; `?wait=` or `Prefer: wait=` holds the answer until it ends.
    Watch {
        show: fn(&JobView, Timestamp) -> ApiResponse,
        state: fn(&JobView) -> String,
    },
    /// Lists the tenant's jobs; `?status=`, `?cursor=`, `?limit=`.
    Jobs {
        show: fn(&[JobView], Option<&JobId>, Timestamp) -> ApiResponse,
    },
    /// A page of results; `?cursor=`, `?limit=`.
    Results {
        show: fn(&ResultsPage<'_>) -> ApiResponse,
    },
    /// The delivery log of a job; `?cursor=`, `?limit=`.
    Deliveries {
        show: fn(&[Delivery], Option<u32>) -> ApiResponse,
    },
    /// One delivery.
    Delivery { show: fn(&Delivery) -> ApiResponse },
    /// Sends an event again; takes a delivery's id, or a job's for the event of its end.
    Replay { show: fn(&Delivery) -> ApiResponse },
    /// Sends a test event.
    TestWebhook {
        read: fn(&ApiRequest, &Reading<'_>) -> Result<String, ApiError>,
        show: fn(&Delivery) -> ApiResponse,
    },
    /// Makes a new webhook secret; `read` says how long the one before signs along.
    RotateSecret {
        read: fn(&ApiRequest) -> Result<Duration, ApiError>,
        show: fn(&Secret, Option<Timestamp>) -> ApiResponse,
    },
    /// Shows the caller.
    Account {
        show: fn(&Caller, &Catalog) -> ApiResponse,
    },
}

/// A job to be shown.
#[derive(Debug)]
pub struct Shown<'a> {
    pub request: &'a ApiRequest,
    pub view: &'a JobView,
    /// Every record in input order, where the operation asked for them.
    pub records: Option<&'a [Entry]>,
    pub now: Timestamp,
}

/// A page of results to be shown.
#[derive(Debug)]
pub struct ResultsPage<'a> {
    pub request: &'a ApiRequest,
    pub job: &'a JobId,
    pub lines: &'a [ResultLine],
    /// Whether it is the first page.
    pub first: bool,
    /// The cursor of the next page.
    pub next: Option<String>,
    pub limit: usize,
}

/// What reading a request may look at besides the request.
pub struct Reading<'a> {
    pub surface: &'a Surface,
    pub catalog: &'a Catalog,
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
/// What a record is expected to take until its job has a pace of its own.
pub const NOMINAL_PER_RECORD: Duration = Duration::from_millis(10);

impl Reading<'_> {
    /// The type that answers an operation of this surface, as `providers.toml` maps it. An operation that it does not map
    /// gets a name that no type has, so that its job ends with the reason.
    pub fn kind(&self, operation: &str) -> String {
        let mapped = self.catalog.operation(self.surface.name, operation);
        mapped.map_or_else(
            || format!("{}.{operation}", self.surface.name),
            str::to_owned,
        )
    }

    /// Why a URL cannot be delivered to, in words.
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

/// An event to be told to a receiver.
#[derive(Debug)]
pub struct Event<'a> {
    pub kind: EventType,
    pub at: Timestamp,
    /// The job it is about; a test event is about none. Of a record's event only `job.spec` may be used: the rest still
    /// changes, and every attempt has the same body.
    pub job: Option<&'a JobView>,
    /// Of a job's event: its results, unless they are more than go along (`Surface::inline`). Of a record's event: its line alone.
    pub results: Option<&'a [ResultLine]>,
}

/// What a signature covers.
#[derive(Debug)]
pub struct Signing<'a> {
    /// The secrets that sign, newest first.
    pub secrets: &'a [&'a Secret],
    /// The event's id, the same at every attempt.
    pub id: &'a str,
    pub event: EventType,
    /// From 1, of this delivery.
    pub attempt: u32,
    /// The attempt's time.
    pub at: Timestamp,
    /// The bytes that are sent.
    pub body: &'a [u8],
}
