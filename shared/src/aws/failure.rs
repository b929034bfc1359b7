//! From the SDK's errors to the ports', by type and error code, never by text.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::CancellationReason;
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};

use super::expression::{self, Raw};
use crate::ports::{FailedCondition, StoreError};

/// The failure of a call, for either service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The service was asked too much and did nothing.
    Throttled,
    /// An item is part of another transaction.
    Conflict,
    /// No answer, or one that leaves open what happened.
    Unavailable(String),
    /// The service understood and will not do it.
    Refused(String),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Throttled => Self::Throttled,
            Failure::Conflict => Self::Conflict,
            Failure::Unavailable(why) => Self::Unavailable(why),
            Failure::Refused(why) => Self::Refused(why),
        }
    }
}

/// Sorts an error. Only codes are kept: messages may quote what an item holds.
pub(super) fn failure<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Failure {
    match error {
        SdkError::ConstructionFailure(_) => {
            Failure::Refused("the request could not be built".to_owned())
        }
        SdkError::TimeoutError(_) => Failure::Unavailable("no answer in time".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Failure::Unavailable("no answer in time".to_owned())
        }
        SdkError::DispatchFailure(_) => Failure::Unavailable("the connection failed".to_owned()),
        SdkError::ResponseError(_) => {
            Failure::Unavailable("the answer could not be read".to_owned())
        }
        SdkError::ServiceError(service) => {
            coded(service.err().code(), service.raw().status().as_u16())
        }
        _ => Failure::Unavailable("an error of a new kind".to_owned()),
    }
}

/// Source of the codes: Amazon `DynamoDB` API reference, "error handling"; Amazon SQS API
/// reference, "common errors".
pub(super) fn coded(code: Option<&str>, status: u16) -> Failure {
    match code {
        Some(
            "ThrottlingException"
            | "Throttling"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "KmsThrottled",
        ) => Failure::Throttled,
        Some("TransactionConflictException" | "ReplicatedWriteConflictException") => {
            Failure::Conflict
        }
        // The transaction that this one repeats may still succeed.
        Some("TransactionInProgressException") => {
            Failure::Unavailable("TransactionInProgressException".to_owned())
        }
        code if status >= 500 => {
            Failure::Unavailable(format!("{status} {}", code.unwrap_or_default()))
        }
        None if status == 429 => Failure::Throttled,
        code => Failure::Refused(format!("{status} {}", code.unwrap_or_default())),
    }
}

/// Returns the error of a cancelled transaction, from one reason for each action.
///
/// A refused action decides, then one that was locked or throttled: the list of failed conditions
/// is complete only where every other action was checked, and callers decide by which of them
/// failed. Source of the codes: Amazon `DynamoDB` API reference, `TransactWriteItems`,
/// `TransactionCanceledException`.
pub(super) fn cancelled(reasons: &[CancellationReason]) -> StoreError {
    let mut failed = Vec::new();
    let (mut held, mut throttled) = (false, false);
    for (at, reason) in reasons.iter().enumerate() {
        match reason.code() {
            None | Some("None") => {}
            Some("ConditionalCheckFailed") => match existing(reason.item.clone()) {
                Ok(existing) => failed.push(FailedCondition { at, existing }),
                Err(error) => return error,
            },
            Some("TransactionConflict") => held = true,
            Some("ThrottlingError" | "ProvisionedThroughputExceeded") => throttled = true,
            Some(code) => return StoreError::Refused(format!("action {at}: {code}")),
        }
    }
    match (held, throttled, failed.is_empty()) {
        (true, _, _) => StoreError::Conflict,
        (_, true, _) => StoreError::Throttled,
        (_, _, false) => StoreError::ConditionFailed(failed),
        _ => StoreError::Unavailable("a transaction was cancelled without a reason".to_owned()),
    }
}

/// Returns the item that a failed condition was checked against.
pub(super) fn existing(raw: Option<Raw>) -> Result<Option<crate::ports::Item>, StoreError> {
    raw.filter(|raw| !raw.is_empty())
        .map(expression::item)
        .transpose()
}

/// Notes that an attempt ended with its effect unknown.
///
/// The SDK repeats such an attempt. If the first did take effect, the second fails on its own
/// doing: its condition no longer holds, or it counts twice. So after an unknown attempt no error
/// may claim that nothing was written, and a write that counts is not repeated at all.
#[derive(Debug, Clone)]
pub(super) struct Unknown {
    seen: Arc<AtomicBool>,
    forbid_retry: bool,
}

impl Unknown {
    pub(super) fn new(forbid_retry: bool) -> Self {
        Self {
            seen: Arc::default(),
            forbid_retry,
        }
    }

    /// Returns the error that the caller may see.
    pub(super) fn honest(&self, error: StoreError) -> StoreError {
        if self.seen.load(Ordering::SeqCst)
            && !matches!(error, StoreError::Unavailable(_) | StoreError::Refused(_))
        {
            return StoreError::Unavailable("an earlier attempt was not answered".to_owned());
        }
        error
    }
}

impl ClassifyRetry for Unknown {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let unknown = match context.output_or_error() {
            Some(Err(error)) if error.is_operation_error() => context
                .response()
                .is_none_or(|response| response.status().is_server_error()),
            Some(Err(_)) => true,
            _ => false,
        };
        if unknown {
            self.seen.store(true, Ordering::SeqCst);
            if self.forbid_retry {
                return RetryAction::RetryForbidden;
            }
        }
        RetryAction::NoActionIndicated
    }

    fn name(&self) -> &'static str {
        "unknown effect"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(codes: &[&str]) -> Vec<CancellationReason> {
        codes
            .iter()
            .map(|code| CancellationReason::builder().code(*code).build())
            .collect()
    }

    #[test]
    fn a_verdict_needs_every_condition_looked_at() {
        let failed = |at| FailedCondition { at, existing: None };
        let verdict = |codes: &[&str]| cancelled(&reasons(codes));
        assert_eq!(
            verdict(&["ConditionalCheckFailed", "None", "ConditionalCheckFailed"]),
            StoreError::ConditionFailed(vec![failed(0), failed(2)])
        );
        assert_eq!(
            verdict(&["ConditionalCheckFailed", "TransactionConflict"]),
            StoreError::Conflict
        );
        assert_eq!(
            verdict(&["ThrottlingError", "ConditionalCheckFailed"]),
            StoreError::Throttled
        );
        assert_eq!(
            verdict(&["ThrottlingError", "TransactionConflict"]),
            StoreError::Conflict
        );
        assert!(matches!(
            verdict(&["TransactionConflict", "ValidationError"]),
            StoreError::Refused(_)
        ));
        assert!(matches!(
            verdict(&["None", "ItemCollectionSizeLimitExceeded"]),
            StoreError::Refused(_)
        ));
        assert!(matches!(verdict(&["None"]), StoreError::Unavailable(_)));
    }

    #[test]
    fn codes_decide_and_texts_do_not() {
        assert_eq!(coded(Some("ThrottlingException"), 400), Failure::Throttled);
        assert_eq!(
            coded(Some("TransactionConflictException"), 400),
            Failure::Conflict
        );
        assert!(matches!(
            coded(Some("TransactionInProgressException"), 400),
            Failure::Unavailable(_)
        ));
        assert!(matches!(
            coded(Some("InternalServerError"), 500),
            Failure::Unavailable(_)
        ));
        assert!(matches!(coded(None, 503), Failure::Unavailable(_)));
        assert!(matches!(
            coded(Some("AccessDeniedException"), 400),
            Failure::Refused(_)
        ));
    }

    #[test]
    fn after_an_unanswered_attempt_nothing_is_claimed() {
        let unknown = Unknown::new(false);
        let failed = StoreError::ConditionFailed(vec![]);
        assert_eq!(unknown.honest(failed.clone()), failed);
        unknown.seen.store(true, Ordering::SeqCst);
        assert!(matches!(unknown.honest(failed), StoreError::Unavailable(_)));
        assert!(matches!(
            unknown.honest(StoreError::Refused(String::new())),
            StoreError::Refused(_)
        ));
    }
}
