//! The answers of the native API: jobs, deliveries, secrets, the account.

use serde_json::{Value, json};

use super::error::faults_shown;
use crate::catalog::Catalog;
use crate::domain::delivery::{Delivery, DeliveryState};
use crate::domain::error::InputError;
use crate::domain::ids::JobId;
use crate::domain::job::{Accepted, JobView, MAX_BODY_BYTES, MAX_RECORDS};
use crate::domain::record::{FailureCode, MAX_RECORD_BYTES};
use crate::domain::signature::Secret;
use crate::domain::tenant::Caller;
use crate::domain::time::Timestamp;
use crate::surfaces::NOMINAL_PER_RECORD;
use crate::surfaces::common::message::ApiResponse;

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| at.rfc3339().into())
}

/// A job. `now` is what the estimate is reckoned from; an ended job has none, so that its form never changes.
pub(super) fn job(view: &JobView, now: Timestamp) -> Value {
    let (spec, counts) = (&view.job.spec, view.counts());
    json!({
        "id": spec.id.as_str(),
        "object": "job",
        "type": spec.kind,
        "name": spec.name,
        "status": view.status().as_str(),
        "progress": view.percent(),
        "counts": {
            "total": spec.total,
            "found": counts.found,
            "not_found": counts.not_found,
            "failed": counts.failed,
            "invalid": counts.invalid,
            "skipped": counts.skipped,
            "canceled": counts.canceled,
        },
        "credits": {"reserved": spec.reserved, "used": view.credits_used()},
        "error": view.job.end.as_ref().and_then(|end| end.error.clone()),
        "retry_of": spec.retry_of.as_ref().map(ToString::to_string),
        "created_at": spec.created_at.rfc3339(),
        "started_at": time(view.job.started_at),
        "completed_at": time(view.job.end.as_ref().map(|end| end.at)),
        "estimated_completion_at": time(view.estimate(now, NOMINAL_PER_RECORD)),
        "expires_at": spec.expires_at.rfc3339(),
        "results_url": view.results_url(),
    })
}

/// What a job's `ETag` is made from: the job without what the clock alone changes.
pub(super) fn job_state(view: &JobView) -> String {
    let mut state = job(view, view.job.spec.created_at);
    if let Some(members) = state.as_object_mut() {
        members.swap_remove("estimated_completion_at");
    }
    state.to_string()
}

pub(super) fn show_job(view: &JobView, now: Timestamp) -> ApiResponse {
    let mut shown = job(view, now);
    if let Some(members) = shown.as_object_mut().filter(|_| view.job.status.is_live()) {
        let waits = view.waiting_for.iter().map(|wait| {
            json!({
                "provider": wait.provider,
                "status": wait.status,
                "since": wait.since.rfc3339(),
                "until": wait.until.rfc3339(),
            })
        });
        members.insert("waiting_for".to_owned(), waits.collect());
    }
    ApiResponse::json(200, &shown)
}

pub(super) fn canceling(view: &JobView, now: Timestamp) -> ApiResponse {
    ApiResponse::json(202, &job(view, now))
}

/// The answer to a submission.
pub(super) fn accepted(accepted: &Accepted, now: Timestamp) -> ApiResponse {
    match accepted {
        Accepted::Priced {
            deal,
            records,
            price,
            invalid,
            unconfigured,
        } => {
            let valid = records - invalid.records.len();
            let warnings: Vec<Value> = unconfigured
                .iter()
                .map(|detail| json!({"code": FailureCode::ProviderUnconfigured.as_str(), "detail": detail}))
                .collect();
            let mut estimate = json!({
                "object": "estimate",
                "records": records,
                "invalid": invalid.records.len(),
                "credits": {"per_record_at_most": price, "reserved": deal.reserved},
                "skipped": valid - deal.funded,
                "warnings": warnings,
            });
            show_faults(&mut estimate, &invalid.faults);
            ApiResponse::json(200, &estimate)
        }
        Accepted::Job { view, faults, .. } => {
            let left = view
                .estimate(now, NOMINAL_PER_RECORD)
                .map_or(0, |at| at.since(now).as_secs());
            let mut shown = job(view, now);
            show_faults(&mut shown, faults);
            ApiResponse::json(202, &shown)
                .with("location", format!("/v1/jobs/{}", view.job.spec.id))
                .with("retry-after", left.clamp(1, 30).to_string())
        }
    }
}

pub(super) fn job_page(jobs: &[JobView], next: Option<&JobId>, now: Timestamp) -> ApiResponse {
    let jobs: Vec<_> = jobs.iter().map(|view| job(view, now)).collect();
    ApiResponse::json(
        200,
        &json!({"jobs": jobs, "next_cursor": next.map(JobId::as_str)}),
    )
}

/// Says of an answer what is wrong with records that end `invalid`, where there are any.
fn show_faults(answer: &mut Value, faults: &[InputError]) {
    if !faults.is_empty() {
        answer["errors"] = faults_shown(faults);
    }
}

/// A delivery and its log.
fn delivery(delivery: &Delivery) -> Value {
    let log = delivery.log.iter().map(|attempt| {
        json!({
            "number": attempt.number,
            "at": attempt.at.rfc3339(),
            "status_code": attempt.status,
            "latency_ms": attempt.latency_ms,
            "error": attempt.error,
            "detail": attempt.detail,
            "response": attempt.response,
        })
    });
    let pending = delivery.state == DeliveryState::Pending;
    json!({
        "id": delivery.id.to_string(),
        "object": "delivery",
        "event_id": delivery.id.event(),
        "type": delivery.event.as_str(),
        "url": delivery.url,
        "state": delivery.state.as_str(),
        "reason": delivery.reason,
        "attempts": delivery.attempts,
        "next_attempt_at": time(pending.then_some(delivery.next_attempt_at)),
        "created_at": delivery.event_at.rfc3339(),
        "log": log.collect::<Vec<_>>(),
    })
}

pub(super) fn show_delivery(shown: &Delivery) -> ApiResponse {
    ApiResponse::json(200, &delivery(shown))
}

pub(super) fn replaying(shown: &Delivery) -> ApiResponse {
    ApiResponse::json(202, &delivery(shown))
}

pub(super) fn testing(shown: &Delivery) -> ApiResponse {
    ApiResponse::json(202, &delivery(shown))
        .with("location", format!("/v1/deliveries/{}", shown.id))
}

pub(super) fn delivery_page(deliveries: &[Delivery], next: Option<u32>) -> ApiResponse {
    let rows: Vec<_> = deliveries.iter().map(delivery).collect();
    ApiResponse::json(
        200,
        &json!({"deliveries": rows, "next_cursor": next.map(|n| n.to_string())}),
    )
}

pub(super) fn rotated(secret: &Secret, previous_expires_at: Option<Timestamp>) -> ApiResponse {
    let previous = previous_expires_at.map(Timestamp::rfc3339);
    ApiResponse::json(
        200,
        &json!({"object": "webhook_secret", "secret": secret.reveal(), "previous_expires_at": previous}),
    )
}

pub(super) fn show_account(caller: &Caller, catalog: &Catalog) -> ApiResponse {
    ApiResponse::json(200, &account(caller, catalog))
}

/// The caller's account.
fn account(caller: &Caller, catalog: &Catalog) -> Value {
    let types = catalog.kinds().map(|kind| {
        json!({
            "type": kind.name(),
            "description": kind.description(),
            "inputs": kind.inputs(),
            "optional_inputs": kind.optional_inputs(),
            "providers": kind.providers().collect::<Vec<_>>(),
            "credits_per_record_at_most": kind.price(None),
            "usable": kind.usable().is_ok(),
        })
    });
    json!({
        "object": "account",
        "tenant": caller.tenant().as_str(),
        "credits": {"balance": caller.balance, "used": caller.used},
        "usage": {"open_chunks": caller.open_chunks},
        "limits": {
            "records_per_job": MAX_RECORDS,
            "body_bytes": MAX_BODY_BYTES,
            "record_bytes": MAX_RECORD_BYTES,
        },
        "types": types.collect::<Vec<_>>(),
    })
}
