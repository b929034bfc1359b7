//! Retry: a new job of the records that failed, or that no provider knew while one could not be
//! asked.

use super::Ports;
use super::idempotency::Idempotency;
use super::submit::{Pricing, accept, earlier};
use crate::domain::error::ApiError;
use crate::domain::ids::{JobId, TenantId};
use crate::domain::job::{Accepted, Submission};
use crate::domain::tenant::Caller;
use crate::jobs::read::{ResultCursor, job, missing, results};

/// Submits what [`read`] reads, at the prices of its type.
pub async fn retry(
    ports: &Ports,
    caller: &Caller,
    id: &JobId,
    pricing: impl FnOnce(&Submission) -> Pricing,
    idempotency: Option<&Idempotency>,
) -> Result<Accepted, ApiError> {
    // Before the job is read: it may have been erased since the answer that this caller did not
    // get.
    if let Some(accepted) = earlier(ports, caller, idempotency).await? {
        return Ok(accepted);
    }
    let submission = read(ports, caller.tenant(), id).await?;
    let pricing = pricing(&submission);
    accept(ports, caller, submission, &pricing, idempotency).await
}

/// Reads the submission that retries a job: the records that [may be
/// retried](crate::domain::record::Outcome::may_be_retried), in order, with the job's own webhooks
/// and providers. The budget was the old job's and is not carried over. The tenant's settings of
/// the surface are read anew, as at every submission. 409 while the job is not over, or when
/// nothing failed.
pub async fn read(ports: &Ports, tenant: &TenantId, id: &JobId) -> Result<Submission, ApiError> {
    let view = job(ports, tenant, id).await?;
    if view.job.status.is_live() {
        return Err(ApiError::Conflict {
            detail: "the job is not over; wait for its end or cancel it".to_owned(),
        });
    }
    let mut records = Vec::new();
    let mut next = Some(ResultCursor::default());
    while let Some(cursor) = next {
        let page = results(ports, &view, cursor, usize::MAX).await?;
        if page.lines.is_empty() && page.next.is_some() {
            return Err(missing(ports, id, "results of an ended job").await);
        }
        let again = page
            .lines
            .into_iter()
            .filter(|line| line.outcome.may_be_retried());
        records.extend(again.map(|line| line.record));
        next = page.next;
    }
    if records.is_empty() {
        return Err(ApiError::Conflict {
            detail: "no record of the job failed, and no provider did; there is nothing to retry"
                .to_owned(),
        });
    }
    let spec = view.job.spec;
    Ok(Submission {
        operation: spec.operation,
        form: spec.form,
        name: spec.name,
        webhook: spec.webhook,
        record_webhook: spec.record_webhook,
        providers: spec.providers,
        retry_of: Some(id.clone()),
        ..Submission::new(&spec.surface, spec.kind, records)
    })
}
