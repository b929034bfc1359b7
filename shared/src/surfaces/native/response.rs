//! The answers of the native API: jobs, deliveries, secrets, the account.

use serde::Serialize;
use serde_json::Value;

use super::error::Fault;
use crate::catalog::Catalog;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::ids::JobId;
use crate::domain::job::{Accepted, JobView, MAX_BODY_BYTES, MAX_RECORDS};
use crate::domain::record::{FailureCode, MAX_RECORD_BYTES};
use crate::domain::signature::Secret;
use crate::domain::tenant::Caller;
use crate::domain::time::Timestamp;
use crate::surfaces::common::message::{ApiResponse, json_members};
use crate::surfaces::{NOMINAL_PER_RECORD, NewSecret};

/// A job.
#[derive(Debug, Serialize)]
pub(super) struct Job<'a> {
    id: &'a str,
    object: &'static str,
    #[serde(rename = "type")]
    record_type: &'a str,
    name: Option<&'a str>,
    status: &'static str,
    progress: u32,
    counts: JobCounts,
    credits: JobCredits,
    error: Option<&'a str>,
    retry_of: Option<&'a str>,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    estimated_completion_at: Option<String>,
    expires_at: String,
    results_url: String,
}

/// A job's records by outcome.
#[derive(Debug, Serialize)]
struct JobCounts {
    total: u32,
    found: u32,
    not_found: u32,
    failed: u32,
    invalid: u32,
    skipped: u32,
    canceled: u32,
}

#[derive(Debug, Serialize)]
struct JobCredits {
    reserved: u64,
    used: u64,
}

impl<'a> Job<'a> {
    /// Shows a job. `now` is what the estimate is reckoned from; an ended job has none, so that its
    /// form never changes.
    pub(super) fn new(view: &'a JobView, now: Timestamp) -> Self {
        let (spec, end, counts) = (&view.job.spec, view.job.end.as_ref(), view.counts());
        Self {
            id: spec.id.as_str(),
            object: "job",
            record_type: &spec.kind,
            name: spec.name.as_deref(),
            status: view.status().as_str(),
            progress: view.percent(),
            counts: JobCounts {
                total: spec.total,
                found: counts.found,
                not_found: counts.not_found,
                failed: counts.failed,
                invalid: counts.invalid,
                skipped: counts.skipped,
                canceled: counts.canceled,
            },
            credits: JobCredits {
                reserved: spec.reserved,
                used: view.credits_used(),
            },
            error: end.and_then(|end| end.error.as_deref()),
            retry_of: spec.retry_of.as_ref().map(JobId::as_str),
            created_at: spec.created_at.rfc3339(),
            started_at: view.job.started_at.map(Timestamp::rfc3339),
            completed_at: end.map(|end| end.at.rfc3339()),
            estimated_completion_at: view
                .estimate(now, NOMINAL_PER_RECORD)
                .map(Timestamp::rfc3339),
            expires_at: spec.expires_at.rfc3339(),
            results_url: view.results_url(),
        }
    }
}

/// A job that is polled: while it runs, with the providers that it waits for.
#[derive(Debug, Serialize)]
struct PolledJob<'a> {
    #[serde(flatten)]
    job: Job<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<Vec<Wait<'a>>>,
}

/// A provider that records wait for.
#[derive(Debug, Serialize)]
struct Wait<'a> {
    provider: &'a str,
    status: Option<u16>,
    since: String,
    until: String,
}

/// A job that was taken on, with the faults of the records that end `invalid`.
#[derive(Debug, Serialize)]
struct AcceptedJob<'a> {
    #[serde(flatten)]
    job: Job<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault<'a>>,
}

/// The price of a job.
#[derive(Debug, Serialize)]
struct Estimate<'a> {
    object: &'static str,
    records: usize,
    invalid: usize,
    credits: EstimateCredits,
    skipped: usize,
    warnings: Vec<Warning<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault<'a>>,
}

#[derive(Debug, Serialize)]
struct EstimateCredits {
    per_record_at_most: u32,
    reserved: u64,
}

#[derive(Debug, Serialize)]
struct Warning<'a> {
    code: &'static str,
    detail: &'a str,
}

#[derive(Debug, Serialize)]
struct JobPage<'a> {
    jobs: Vec<Job<'a>>,
    next_cursor: Option<&'a str>,
}

/// Writes what a job's `ETag` is made from: the job without what the clock alone changes.
pub(super) fn job_state(view: &JobView) -> String {
    let mut state = json_members(&Job::new(view, view.job.spec.created_at));
    state.swap_remove("estimated_completion_at");
    Value::Object(state).to_string()
}

pub(super) fn show_job(view: &JobView, now: Timestamp) -> ApiResponse {
    let waits = view.waiting_for.iter().map(|wait| Wait {
        provider: &wait.provider,
        status: wait.status,
        since: wait.since.rfc3339(),
        until: wait.until.rfc3339(),
    });
    let polled = PolledJob {
        job: Job::new(view, now),
        waiting_for: view.job.status.is_live().then(|| waits.collect()),
    };
    ApiResponse::json(200, &polled)
}

pub(super) fn canceling(view: &JobView, now: Timestamp) -> ApiResponse {
    ApiResponse::json(202, &Job::new(view, now))
}

/// Answers a submission.
pub(super) fn accepted(accepted: &Accepted, now: Timestamp) -> ApiResponse {
    match accepted {
        Accepted::Priced {
            reservation,
            records,
            price,
            invalid,
            unconfigured,
        } => {
            let valid = records - invalid.records.len();
            let warnings = unconfigured.iter().map(|detail| Warning {
                code: FailureCode::ProviderUnconfigured.as_str(),
                detail,
            });
            let estimate = Estimate {
                object: "estimate",
                records: *records,
                invalid: invalid.records.len(),
                credits: EstimateCredits {
                    per_record_at_most: *price,
                    reserved: reservation.reserved,
                },
                skipped: valid - reservation.funded,
                warnings: warnings.collect(),
                errors: Fault::list(&invalid.faults),
            };
            ApiResponse::json(200, &estimate)
        }
        Accepted::Job { view, faults, .. } => {
            let left = view
                .estimate(now, NOMINAL_PER_RECORD)
                .map_or(0, |at| at.since(now).as_secs());
            let shown = AcceptedJob {
                job: Job::new(view, now),
                errors: Fault::list(faults),
            };
            ApiResponse::json(202, &shown)
                .with("location", format!("/v1/jobs/{}", view.job.spec.id))
                .with("retry-after", left.clamp(1, 30).to_string())
        }
    }
}

pub(super) fn job_page(jobs: &[JobView], next: Option<&JobId>, now: Timestamp) -> ApiResponse {
    let page = JobPage {
        jobs: jobs.iter().map(|view| Job::new(view, now)).collect(),
        next_cursor: next.map(JobId::as_str),
    };
    ApiResponse::json(200, &page)
}

/// A delivery and its log.
#[derive(Debug, Serialize)]
struct ShownDelivery<'a> {
    id: String,
    object: &'static str,
    event_id: String,
    #[serde(rename = "type")]
    event: &'static str,
    url: &'a str,
    state: &'static str,
    reason: Option<&'a str>,
    attempts: u32,
    next_attempt_at: Option<String>,
    created_at: String,
    log: Vec<ShownAttempt<'a>>,
}

/// One attempt of a delivery.
#[derive(Debug, Serialize)]
struct ShownAttempt<'a> {
    number: u32,
    at: String,
    status_code: Option<u16>,
    latency_ms: Option<u64>,
    error: Option<&'a str>,
    detail: Option<&'a str>,
    response: Option<&'a str>,
}

impl<'a> ShownDelivery<'a> {
    fn new(delivery: &'a Delivery) -> Self {
        let log = delivery.log.iter().map(|attempt| ShownAttempt {
            number: attempt.number,
            at: attempt.at.rfc3339(),
            status_code: attempt.status,
            latency_ms: attempt.latency_ms,
            error: attempt.error.as_deref(),
            detail: attempt.detail.as_deref(),
            response: attempt.response.as_deref(),
        });
        let pending = delivery.state == DeliveryState::Pending;
        Self {
            id: delivery.id.to_string(),
            object: "delivery",
            event_id: delivery.id.event(),
            event: delivery.event.as_str(),
            url: &delivery.url,
            state: delivery.state.as_str(),
            reason: delivery.reason.as_deref(),
            attempts: delivery.attempts,
            next_attempt_at: pending.then(|| delivery.next_attempt_at.rfc3339()),
            created_at: delivery.event_at.rfc3339(),
            log: log.collect(),
        }
    }
}

#[derive(Debug, Serialize)]
struct DeliveryPage<'a> {
    deliveries: Vec<ShownDelivery<'a>>,
    next_cursor: Option<String>,
}

pub(super) fn show_delivery(shown: &Delivery) -> ApiResponse {
    ApiResponse::json(200, &ShownDelivery::new(shown))
}

pub(super) fn replaying(shown: &Delivery) -> ApiResponse {
    ApiResponse::json(202, &ShownDelivery::new(shown))
}

pub(super) fn testing(shown: &Delivery) -> ApiResponse {
    ApiResponse::json(202, &ShownDelivery::new(shown))
        .with("location", format!("/v1/deliveries/{}", shown.id))
}

pub(super) fn delivery_page(deliveries: &[Delivery], next: Option<u32>) -> ApiResponse {
    let page = DeliveryPage {
        deliveries: deliveries.iter().map(ShownDelivery::new).collect(),
        next_cursor: next.map(|next| next.to_string()),
    };
    ApiResponse::json(200, &page)
}

/// A new webhook secret.
#[derive(Serialize)]
struct WebhookSecret<'a> {
    object: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    surface: Option<&'a str>,
    /// Not of a surface's own: the tenant has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    previous_expires_at: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'static [Warning<'static>],
}

const IS_KEY: &[Warning<'static>] = &[Warning {
    code: "secret_is_api_key",
    detail: "the secret is an API key and is stored as it is, which keys are nowhere else; a text \
             of its own is safer",
}];

pub(super) fn rotated(new: &NewSecret<'_>) -> ApiResponse {
    let shown = WebhookSecret {
        object: "webhook_secret",
        surface: new.surface,
        secret: new.secret.map(Secret::reveal),
        previous_expires_at: new.previous_expires_at.map(Timestamp::rfc3339),
        warnings: if new.is_key { IS_KEY } else { &[] },
    };
    ApiResponse::json(200, &shown)
}

/// The caller's account.
#[derive(Debug, Serialize)]
struct Account<'a> {
    object: &'static str,
    tenant: &'a str,
    credits: AccountCredits,
    usage: Usage,
    limits: AccountLimits,
    types: Vec<OfferedType<'a>>,
}

#[derive(Debug, Serialize)]
struct AccountCredits {
    balance: i64,
    used: i64,
}

#[derive(Debug, Serialize)]
struct Usage {
    open_chunks: i64,
}

/// The limits of a request.
#[derive(Debug, Serialize)]
struct AccountLimits {
    records_per_job: usize,
    body_bytes: usize,
    record_bytes: usize,
}

/// A type that a job can ask for.
#[derive(Debug, Serialize)]
struct OfferedType<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    description: &'a str,
    inputs: &'a [Vec<String>],
    optional_inputs: &'a [String],
    providers: Vec<&'a str>,
    credits_per_record_at_most: u32,
    usable: bool,
}

pub(super) fn show_account(caller: &Caller, catalog: &Catalog) -> ApiResponse {
    let types = catalog.kinds().map(|kind| OfferedType {
        name: kind.name(),
        description: kind.description(),
        inputs: kind.inputs(),
        optional_inputs: kind.optional_inputs(),
        providers: kind.providers().collect(),
        credits_per_record_at_most: kind.price(None),
        usable: kind.usable().is_ok(),
    });
    let account = Account {
        object: "account",
        tenant: caller.tenant().as_str(),
        credits: AccountCredits {
            balance: caller.balance,
            used: caller.used,
        },
        usage: Usage {
            open_chunks: caller.open_chunks,
        },
        limits: AccountLimits {
            records_per_job: MAX_RECORDS,
            body_bytes: MAX_BODY_BYTES,
            record_bytes: MAX_RECORD_BYTES,
        },
        types: types.collect(),
    };
    ApiResponse::json(200, &account)
}
