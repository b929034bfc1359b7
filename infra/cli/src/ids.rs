//! Ids as arguments.

use shared::domain::ids::{DeliveryId, JobId};

/// Reads the id of a job.
pub(crate) fn job_id(text: &str) -> Result<JobId, String> {
    JobId::parse(text).ok_or_else(|| "is not a job id (job_…, 30 characters)".to_owned())
}

/// Reads the id of a delivery, or of its event.
pub(crate) fn delivery_id(text: &str) -> Result<DeliveryId, String> {
    let id = DeliveryId::parse(text).or_else(|| DeliveryId::parse_event(text));
    id.ok_or_else(|| {
        "is not a delivery id (dlv_…; `millrace deliveries JOB` lists \
        them)"
            .to_owned()
    })
}
