//! The span of a request, and the ids that its lines carry.

use tracing::field::{Empty, display};
use tracing::{Span, error_span};

use crate::domain::ids::JobId;
use crate::surfaces::common::message::ApiRequest;

/// Opens the span of a request. The ids are recorded when they are known.
pub(super) fn span(request: &ApiRequest) -> Span {
    error_span!(
        "request",
        request.id = request.request_id,
        job.id = Empty,
        chunk = Empty,
        delivery.id = Empty
    )
}

/// Names the request's job in its log lines from here on.
pub(super) fn log_job(id: &JobId) -> Span {
    let span = Span::current();
    span.record("job.id", display(id));
    span
}
