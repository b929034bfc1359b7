//! Callers' actions on deliveries: send one again, or send a test.

use std::time::Duration;

use crate::domain::delivery::{Delivery, EventType};
use crate::domain::error::ApiError;
use crate::domain::ids::{DeliveryId, JobId, TenantId};
use crate::jobs::enrich::finish::enqueue_delivery;
use crate::jobs::idempotency::Idempotency;
use crate::jobs::{Ports, StepError, read, transact};
use crate::ports::{QueueName, StoreError, Write};
use crate::schema;
use crate::schema::{current, delivery_key, read_delivery};

/// The reason of a delivery that a newer job's has superseded; see `order.rs`.
pub(crate) const SUPERSEDED: &str = "superseded";
/// The time that a test delivery is kept.
const TEST_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// Sends an event again, under the same `webhook-id`, with a new round of attempts. One that waits
/// for its next attempt is sent at once; one whose attempt is under way is returned as it is.
pub async fn replay(
    ports: &Ports,
    tenant: &TenantId,
    id: &DeliveryId,
    idempotency: Option<&Idempotency>,
) -> Result<Delivery, ApiError> {
    for _ in 0..8 {
        let repeated = match idempotency {
            Some(key) => key.find(ports, tenant).await?.is_some(),
            None => false,
        };
        let mut delivery = read::delivery(ports, tenant, id).await?;
        if delivery.reason.as_deref() == Some(SUPERSEDED) {
            let detail = "a newer job's event was answered at this URL, and only the latest counts \
                          there; read the results";
            return Err(ApiError::Conflict {
                detail: detail.to_owned(),
            });
        }
        let now = ports.clock.now();
        if repeated
            || delivery
                .lease
                .as_ref()
                .is_some_and(|lease| lease.is_live(now))
        {
            return Ok(delivery);
        }
        let read = (delivery.state, delivery.attempts);
        delivery.replay(now);
        let due = delivery.due(now);
        let mut writes = vec![schema::delivery::replay(&delivery, due, read, now)];
        if let Some(key) = idempotency {
            writes.push(key.claim(tenant, &id.job, &[], now)?);
        }
        match transact(ports, writes).await {
            Ok(()) => {
                enqueue_delivery(ports, &delivery, QueueName::Webhook).await;
                return Ok(delivery);
            }
            Err(StoreError::ConditionFailed(_)) => {}
            Err(error) => return Err(StepError::from(error).into()),
        }
    }
    Err(ApiError::Unavailable {
        retry_after_seconds: 1,
    })
}

/// Sends a signed `webhook.test` event to a URL. It is a delivery like any other, of no job.
pub async fn test(
    ports: &Ports,
    tenant: &TenantId,
    surface: &str,
    url: impl FnOnce() -> Result<String, ApiError>,
    idempotency: Option<&Idempotency>,
) -> Result<Delivery, ApiError> {
    if let Some(key) = idempotency
        && let Some(earlier) = key.find(ports, tenant).await?
    {
        return read::delivery(ports, tenant, &earlier.job.delivery(0)).await;
    }
    let url = url()?;
    let now = ports.clock.now();
    let id = JobId::new(now, ports.random()).delivery(0);
    let event = EventType::WebhookTest;
    let delivery = Delivery::new(
        id.clone(),
        tenant.clone(),
        surface,
        event,
        now,
        &url,
        now.plus(TEST_RETENTION),
    );
    let put = schema::delivery::insert(&delivery, delivery.due(now));
    let mut writes = vec![Write::Put(put)];
    if let Some(key) = idempotency {
        writes.push(key.claim(tenant, &id.job, &[], now)?);
    }
    match transact(ports, writes).await {
        Ok(()) => {}
        Err(StoreError::ConditionFailed(failed)) => {
            // Either our own earlier try, whose answer was lost, or another request with the same
            // key.
            let item = ports
                .store
                .get(&delivery_key(&id))
                .await
                .map_err(StepError::from)?;
            if let Some(item) = current(item, now) {
                return Ok(read_delivery(&id, &item)?);
            }
            let other = failed
                .iter()
                .find(|f| f.at == 1)
                .and_then(|f| f.existing.as_ref());
            let (Some(key), Some(item)) = (idempotency, other) else {
                return Err(ApiError::Internal);
            };
            return read::delivery(ports, tenant, &key.resolve(item)?.job.delivery(0)).await;
        }
        Err(error) => return Err(StepError::from(error).into()),
    }
    enqueue_delivery(ports, &delivery, QueueName::Webhook).await;
    Ok(delivery)
}
