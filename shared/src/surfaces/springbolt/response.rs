//! The answer to a request that was taken on.

use serde::Serialize;

use super::error::failed;
use crate::domain::ids::JobId;
use crate::domain::job::Accepted;
use crate::domain::time::Timestamp;
use crate::surfaces::common::message::ApiResponse;

pub(super) fn id(job: &JobId) -> String {
    format!("res_{}", job.hex())
}

/// A request that was taken on.
#[derive(Debug, Serialize)]
struct Started<'a> {
    success: bool,
    status: &'static str,
    message: &'static str,
    resolution: Resolution<'a>,
}

#[derive(Debug, Serialize)]
struct Resolution<'a> {
    id: String,
    status: &'static str,
    requested_at: String,
    callback_url: Option<&'a str>,
}

pub(super) fn answer(accepted: &Accepted, _: Timestamp) -> ApiResponse {
    let Accepted::Job { view, .. } = accepted else {
        return failed(500, "this surface has no dry run");
    };
    let spec = &view.job.spec;
    let started = Started {
        success: true,
        status: "processing",
        message: "Your request was taken on; its result goes to the callback URL as soon as it is \
                  there.",
        resolution: Resolution {
            id: id(&spec.id),
            status: "processing",
            requested_at: spec.created_at.rfc3339(),
            callback_url: spec.webhook.as_ref().map(|webhook| webhook.url.as_str()),
        },
    };
    ApiResponse::json(200, &started)
}
