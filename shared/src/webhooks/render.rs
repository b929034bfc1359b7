//! Renders events: the body that a delivery sends.

use crate::domain::delivery::{Delivery, EventType};
use crate::jobs::enrich::finish::load;
use crate::jobs::read::{ResultCursor, is_gone, results};
use crate::jobs::{Ports, StepError};
use crate::surfaces::{Event, Surface};

/// Events with more results than this are rendered one at a time.
const ONE_AT_A_TIME_BYTES: u64 = 512 * 1024;

/// Renders the event's body. `None` where the job is gone.
pub(crate) async fn body(
    ports: &Ports,
    surface: &Surface,
    delivery: &Delivery,
) -> Result<Option<Vec<u8>>, StepError> {
    match render(ports, surface, delivery).await {
        // Erased between two reads, a job looks like one of which something was lost.
        Err(StepError::Corrupt(what)) => {
            if is_gone(ports, &delivery.id.job).await? {
                Ok(None)
            } else {
                Err(StepError::Corrupt(what))
            }
        }
        rendered => rendered,
    }
}

/// Renders the same bytes at every attempt: everything in them was fixed when the job ended.
async fn render(
    ports: &Ports,
    surface: &Surface,
    delivery: &Delivery,
) -> Result<Option<Vec<u8>>, StepError> {
    let mut event = Event {
        kind: delivery.event,
        at: delivery.event_at,
        job: None,
        results: None,
    };
    if delivery.event == EventType::WebhookTest {
        return Ok(Some((surface.body)(&event)));
    }
    let Some(view) = load(ports, &delivery.id.job).await? else {
        return Ok(None);
    };
    let mut lines = Vec::new();
    if delivery.event == EventType::RecordFinished {
        // Such a job has one record a chunk.
        let cursor = ResultCursor {
            chunk: delivery.id.record().unwrap_or_default(),
            offset: 0,
        };
        lines = results(ports, &view, cursor, 1).await?.lines;
        if lines.is_empty() {
            return Err(StepError::Corrupt("result of a finished record"));
        }
        event.results = Some(&lines);
        event.job = Some(&view);
        return Ok(Some((surface.body)(&event)));
    }
    let Some(end) = &view.job.end else {
        return Err(StepError::Corrupt("end"));
    };
    // Parsed, results take many times their text. One large event is rendered at a time, so that
    // several at once do not take the process down, and with it the attempts of other tenants.
    let large = end.bytes > ONE_AT_A_TIME_BYTES;
    let _alone = if large {
        Some(ports.large.lock().await)
    } else {
        None
    };
    if (surface.inline)(end) {
        let mut next = Some(ResultCursor::default());
        while let Some(cursor) = next {
            let page = results(ports, &view, cursor, usize::MAX).await?;
            if page.lines.is_empty() && page.next.is_some() {
                return Err(StepError::Corrupt("results of an ended job"));
            }
            lines.extend(page.lines);
            next = page.next;
        }
        event.results = Some(&lines);
    }
    event.job = Some(&view);
    Ok(Some((surface.body)(&event)))
}
