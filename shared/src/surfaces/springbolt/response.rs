//! The answer to a request that was taken on.

use serde_json::json;

use super::error::failed;
use crate::domain::ids::JobId;
use crate::domain::job::Accepted;
use crate::domain::time::Timestamp;
use crate::surfaces::common::message::ApiResponse;

pub(super) fn id(job: &JobId) -> String {
    format!("res_{}", job.hex())
}

pub(super) fn answer(accepted: &Accepted, _: Timestamp) -> ApiResponse {
    let Accepted::Job { view, .. } = accepted else {
        return failed(500, "this surface has no dry run");
    };
    let spec = &view.job.spec;
    let answer = json!({
        "success": true,
        "status": "processing",
        "message": "Your request was taken on; its result goes to the callback URL as soon as it is there.",
        "resolution": {
            "id": id(&spec.id),
            "status": "processing",
            "requested_at": spec.created_at.rfc3339(),
            "callback_url": spec.webhook.as_ref().map(|webhook| &webhook.url),
        },
    });
    ApiResponse::json(200, &answer)
}
