//! Cancel: what has not begun ends `canceled`; partial results stay and credits settle when the
//! last chunk has its result.

use std::time::Duration;

use super::{Ports, StepError};
use crate::domain::error::ApiError;
use crate::domain::ids::{JobId, TenantId};
use crate::domain::job::{JobEvent, JobView, Status, next_status};
use crate::jobs::read;
use crate::ports::StoreError;
use crate::schema;

/// The time after an invocation of enrich must have ended, before the sweep takes it for dead.
const MARGIN: Duration = Duration::from_secs(30);

/// Asks a live job to stop; `timeout` is that of enrich. Repeating it, or canceling a canceled job,
/// changes nothing and returns the job.
pub async fn cancel(
    ports: &Ports,
    tenant: &TenantId,
    id: &JobId,
    timeout: Duration,
) -> Result<JobView, ApiError> {
    // The job may change between reading and writing, but only forward and through few states.
    for _ in 0..Status::ALL.len() {
        let view = read::job(ports, tenant, id).await?;
        let next = next_status(view.job.status, JobEvent::Cancel);
        let canceling = match (view.job.status, next) {
            (_, Some(canceling)) => canceling,
            (Status::Canceling | Status::Canceled, None) => return Ok(view),
            (other, None) => {
                let shown = if other == Status::Expiring {
                    "expired"
                } else {
                    other.as_str()
                };
                return Err(ApiError::Conflict {
                    detail: format!("the job is {shown} and cannot be canceled any more"),
                });
            }
        };
        // Waiting messages are handled without a request to any provider; the sweep replaces those
        // that were lost. It checks a running job only once the records under way have ended, with
        // the answers they got. Suspended records end then.
        let now = ports.clock.now();
        let ended = now.plus(timeout + MARGIN);
        let due = if view.job.status == Status::Queued {
            Some(now)
        } else {
            view.job.due.is_none_or(|due| due > ended).then_some(ended)
        };
        let update = schema::job::cancel(&view.job, canceling, due);
        match ports.store.update(update).await {
            Ok(_) => return read::job(ports, tenant, id).await,
            Err(StoreError::ConditionFailed(_)) => {}
            Err(error) => return Err(StepError::from(error).into()),
        }
    }
    Err(ApiError::Unavailable {
        retry_after_seconds: 1,
    })
}
