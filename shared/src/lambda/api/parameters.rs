//! Parameters of every surface beside its own words: pages, waiting, and to be carried out once.

use std::time::Duration;

use crate::domain::error::ApiError;
use crate::jobs::idempotency::{Idempotency, MAX_KEY_CHARS};
use crate::surfaces::common::message::ApiRequest;

/// Result lines of a page, unless asked otherwise, and at most.
pub(super) const RESULTS: (usize, usize) = (100, 1000);
/// Jobs and deliveries of a page, unless asked otherwise, and at most.
pub(super) const ROWS: (usize, usize) = (20, 100);

pub(super) fn bad_cursor() -> ApiError {
    ApiError::invalid(
        "cursor",
        "is not one that we issued; pass on next_cursor unchanged",
    )
}

pub(super) fn limit(
    request: &ApiRequest,
    (default, max): (usize, usize),
) -> Result<usize, ApiError> {
    match request.parameter("limit") {
        None => Ok(default),
        Some(text) => {
            let number = text.parse().ok().filter(|n| (1..=max).contains(n));
            number.ok_or_else(|| {
                ApiError::invalid("limit", format!("must be a whole number from 1 to {max}"))
            })
        }
    }
}

pub(super) fn idempotency(request: &ApiRequest) -> Result<Option<Idempotency>, ApiError> {
    // An empty key is refused and not taken for none: its sender counts on it.
    let Some((_, key)) = request
        .headers
        .iter()
        .find(|(name, _)| name == "idempotency-key")
    else {
        return Ok(None);
    };
    let key = key.trim();
    if key.is_empty() || key.chars().count() > MAX_KEY_CHARS {
        let detail = format!("must have 1 to {MAX_KEY_CHARS} characters");
        return Err(ApiError::invalid("Idempotency-Key", detail));
    }
    Ok(Some(Idempotency::new(
        key,
        &request.method,
        &request.path,
        &request.body,
    )))
}

/// Returns how long the caller waits, at most as long as this deployment allows: `?wait=20`, or
/// `Prefer: wait=20` (RFC 7240), in seconds.
pub(super) fn wait(request: &ApiRequest, most: Duration) -> Result<Option<Duration>, ApiError> {
    let seconds = |text: &str| text.trim().trim_matches('"').parse::<u64>().ok();
    let asked = match request.parameter("wait") {
        Some(text) => Some(
            seconds(text)
                .ok_or_else(|| ApiError::invalid("wait", "must be a number of seconds"))?,
        ),
        // A preference that cannot be read is not an error: it may be left out of account.
        None => request.header("prefer").and_then(|value| {
            // Each preference may have parameters of its own behind semicolons; they are not ours.
            value
                .split(',')
                .filter_map(|preference| preference.split(';').next()?.split_once('='))
                .find_map(|(name, value)| {
                    name.trim()
                        .eq_ignore_ascii_case("wait")
                        .then(|| seconds(value))
                        .flatten()
                })
        }),
    };
    Ok(asked.map(|s| Duration::from_secs(s).min(most)))
}
