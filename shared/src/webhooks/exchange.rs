//! One exchange with a receiver, and its log entry.

use std::time::Duration;

use crate::domain::delivery::{Attempt, Delivery, RESPONSE_LOG_BYTES, retry_after};
use crate::domain::signature::{LiveSecret, live};
use crate::domain::time::Timestamp;
use crate::jobs::Ports;
use crate::ports::{HttpAnswer, HttpError, HttpRequest};
use crate::surfaces::{Signing, Surface};

/// The most of a receiver's answer that is read.
const MAX_RESPONSE_BYTES: usize = 16 * 1024;

/// The secrets that a delivery is signed with.
pub(crate) struct WebhookSecrets {
    /// The tenant's.
    pub(crate) tenant: Vec<LiveSecret>,
    /// Those that the tenant chose for the delivery's surface.
    pub(crate) own: Vec<LiveSecret>,
}

/// Sends a signed event, and waits for its answer.
pub(crate) async fn exchange(
    ports: &Ports,
    surface: &Surface,
    delivery: &Delivery,
    secrets: &WebhookSecrets,
    body: Vec<u8>,
    at: Timestamp,
    deadline: Duration,
) -> Result<HttpAnswer, HttpError> {
    let event = delivery.id.event();
    let signing = Signing {
        secrets: &live(&secrets.tenant, at),
        own: &live(&secrets.own, at),
        id: &event,
        event: delivery.event,
        attempt: delivery.attempts,
        at,
        body: &body,
    };
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    headers.extend((surface.sign)(&signing));
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: delivery.url.clone(),
        headers,
        body,
        deadline,
        plain_http: (surface.delivery)().plain_http,
        max_response_bytes: MAX_RESPONSE_BYTES,
    };
    ports.http.send(request).await
}

/// Returns the log entry of an exchange, and the wait that the receiver asked for.
pub(crate) fn describe(
    number: u32,
    begun: Timestamp,
    ended: Timestamp,
    answer: &Result<HttpAnswer, HttpError>,
) -> (Attempt, Option<Duration>) {
    let latency = u64::try_from(ended.since(begun).as_millis()).unwrap_or(u64::MAX);
    let entry = Attempt {
        number,
        at: begun,
        latency_ms: Some(latency),
        status: None,
        error: None,
        detail: None,
        response: None,
    };
    // The head decides: a receiver that sent it has the event, whatever becomes of the body.
    let (answer, cut) = match answer {
        Ok(answer) => (answer, None),
        Err(HttpError::Cut { answer, cause }) => (
            &**answer,
            Some(format!("its body did not come whole: {cause}")),
        ),
        Err(error) => {
            let (error, detail) = (Some(error.class().to_owned()), Some(error.to_string()));
            return (
                Attempt {
                    error,
                    detail,
                    ..entry
                },
                None,
            );
        }
    };
    let success = (200..300).contains(&answer.status);
    let refused = (!success).then(|| {
        format!(
            "the receiver answered {}; only 2xx is success",
            answer.status
        )
    });
    let said: Vec<String> = refused.into_iter().chain(cut).collect();
    let start = &answer.body[..answer.body.len().min(RESPONSE_LOG_BYTES)];
    let attempt = Attempt {
        status: Some(answer.status),
        error: (!success).then(|| "status".to_owned()),
        detail: (!said.is_empty()).then(|| said.join("; ")),
        response: (!start.is_empty()).then(|| String::from_utf8_lossy(start).into_owned()),
        ..entry
    };
    (
        attempt,
        answer
            .header("retry-after")
            .and_then(|v| retry_after(v, ended)),
    )
}
