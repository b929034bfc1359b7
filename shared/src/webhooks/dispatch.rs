//! Dispatch: one attempt of one delivery, under a lease.
//!
//! The lease is written before the exchange and counts the attempt, so an attempt that died before
//! it was recorded still counts, and shows as `interrupted`. The exchange always ends before the
//! lease does: two attempts of one delivery never overlap.

use std::time::Duration;

use super::exchange::{WebhookSecrets, describe, exchange};
use super::origin::OriginAdmission;
use super::render::body;
use crate::domain::delivery::{
    Attempt, Delivery, DeliveryEvent, DeliveryRules, DeliveryState, DeliveryTask, GRACE,
    LEASE_MARGIN, LEASE_WRITE, Next, QUEUE_HORIZON, RETRY_AFTER_CAP, SLOW_AFTER,
};
use crate::domain::lease::Lease;
use crate::domain::time::Timestamp;
use crate::jobs::enrich::finish::enqueue_delivery;
use crate::jobs::{Ports, StepError, update_with_retry};
use crate::ports::{Item, QueueName, StoreError};
use crate::schema;
use crate::schema::endpoint::{self, Lesson};
use crate::schema::{
    Endpoint, current, delivery_key, endpoint_key, origin_key, profile_key, read_delivery,
    read_endpoint, read_own_secrets, read_profile, read_secrets, secret_key,
};
use crate::surfaces::{Surface, surface};
use crate::webhooks::order;
use crate::webhooks::order::UrlAdmission;
use crate::webhooks::replay::SUPERSEDED;

/// The most that an attempt may be ahead of its time: clocks differ.
const EARLY: Duration = Duration::from_secs(1);

/// The outcome of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatched {
    /// The receiver took the event; the delivery is over.
    Delivered,
    /// The attempt failed, and another is planned.
    Retrying,
    /// The attempt failed and was the last; only a replay sends the event again.
    Exhausted,
    /// The message asks for an attempt that is not the next one, or the delivery is over or gone.
    Stale,
    /// The message was sent on: it is early, or the receiver belongs in the other lane because it
    /// is slow or not yet known to be quick.
    Moved,
    /// Too little of the invocation is left; the message has to come back.
    NoTime,
}

/// The message that asks for an attempt, as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryReceipt {
    /// The queue that it came from.
    pub lane: QueueName,
    /// When the invocation ends.
    pub deadline: Timestamp,
}

/// Everything that decides how an attempt is made.
struct AttemptContext {
    endpoint: Endpoint,
    rules: DeliveryRules,
    secrets: WebhookSecrets,
    origin: OriginAdmission,
}

/// Makes the attempt that the message asks for.
pub async fn step(
    ports: &Ports,
    message: &DeliveryTask,
    receipt: &DeliveryReceipt,
) -> Result<Dispatched, StepError> {
    let id = message.job.delivery(message.delivery);
    let now = ports.clock.now();
    let Some(item) = current(ports.store.get(&delivery_key(&id)).await?, now) else {
        return Ok(Dispatched::Stale);
    };
    let delivery = read_delivery(&id, &item)?;
    let leased = delivery.lease.as_ref().is_some_and(|l| l.is_live(now));
    let elsewhere = message.at.is_some_and(|at| at != delivery.next_attempt_at);
    if delivery.state != DeliveryState::Pending
        || message.attempt != delivery.attempts + 1
        || elsewhere
        || leased
    {
        return Ok(Dispatched::Stale);
    }
    if delivery.next_attempt_at.since(now) > EARLY {
        hand_on(ports, &delivery, receipt.lane, now).await;
        return Ok(Dispatched::Moved);
    }
    let Some(surface) = surface(ports.surfaces, &delivery.surface) else {
        return Err(StepError::Corrupt("dialect"));
    };

    let Stored {
        endpoint,
        rules,
        secrets,
        origin,
    } = read_stored(ports, surface, &delivery, now).await?;
    if endpoint.disabled && !delivery.explicit && rules.gone_disables {
        return give_up(ports, delivery, "endpoint_disabled").await;
    }
    // Only an attempt that died unrecorded can have been the last without ending the delivery.
    if delivery.lease.is_some() && delivery.round_is_used_up(&rules) {
        return give_up(ports, delivery, "attempts_used_up").await;
    }
    if endpoint.slow && receipt.lane == QueueName::Webhook {
        enqueue_delivery(ports, &delivery, QueueName::WebhookRetry).await;
        return Ok(Dispatched::Moved);
    }
    let asked_to_wait = endpoint
        .not_before
        .filter(|at| at.since(now) > EARLY && rules.honour_retry_after);
    if let Some(at) = asked_to_wait.filter(|_| !delivery.explicit) {
        return put_off(ports, delivery, at).await;
    }
    if receipt.deadline.since(now) < rules.timeout + 2 * LEASE_MARGIN {
        return Ok(Dispatched::NoTime);
    }
    let (secrets, mut origin) = (
        webhook_secrets(secrets.as_ref(), &delivery.surface)?,
        OriginAdmission::new(&delivery, origin, now),
    );
    if receipt.lane == QueueName::Webhook && !origin.enter(ports, now.plus(lease_of(&rules))).await
    {
        enqueue_delivery(ports, &delivery, QueueName::WebhookRetry).await;
        return Ok(Dispatched::Moved);
    }
    let mut known = AttemptContext {
        endpoint,
        rules,
        secrets,
        origin,
    };
    let done = render_and_send(ports, surface, delivery, &mut known, receipt.deadline).await;
    known.origin.leave(ports).await;
    done
}

/// The items stored beside a delivery.
struct Stored {
    endpoint: Endpoint,
    /// The surface's, with the tenant's own delays.
    rules: DeliveryRules,
    secrets: Option<Item>,
    origin: Option<Item>,
}

/// Reads what decides how an attempt is made.
async fn read_stored(
    ports: &Ports,
    surface: &Surface,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Stored, StepError> {
    let (tenant, url) = (&delivery.tenant, &delivery.url);
    let keys = [
        secret_key(tenant),
        endpoint_key(tenant, url),
        origin_key(tenant, url),
        profile_key(tenant),
    ];
    let items = ports.store.get_many(&keys).await?;
    let [secrets, endpoint, origin, profile] =
        <[_; 4]>::try_from(items).map_err(|_| StepError::Corrupt("read"))?;
    let profile = profile.as_ref().map(read_profile).transpose()?;
    let delays = profile.and_then(|profile| profile.webhook_delays());
    Ok(Stored {
        endpoint: read_endpoint(current(endpoint, now).as_ref()),
        rules: (surface.delivery)().with_delays(delays),
        secrets,
        origin,
    })
}

/// Reads the secrets that sign for a tenant on a surface.
fn webhook_secrets(item: Option<&Item>, surface: &str) -> Result<WebhookSecrets, StepError> {
    let own = read_own_secrets(item)?.remove(surface);
    Ok(WebhookSecrets {
        tenant: read_secrets(item)?,
        own: own.map(|own| own.secrets).unwrap_or_default(),
    })
}

/// Returns the time of an attempt's lease.
fn lease_of(rules: &DeliveryRules) -> Duration {
    LEASE_WRITE + rules.timeout + LEASE_MARGIN
}

async fn render_and_send(
    ports: &Ports,
    surface: &Surface,
    delivery: Delivery,
    known: &mut AttemptContext,
    deadline: Timestamp,
) -> Result<Dispatched, StepError> {
    let Some(body) = body(ports, surface, &delivery).await? else {
        return Ok(Dispatched::Stale);
    };
    // Others may have been rendered first.
    if deadline.since(ports.clock.now()) < known.rules.timeout + 2 * LEASE_MARGIN {
        return Ok(Dispatched::NoTime);
    }
    attempt(ports, surface, delivery, known, body).await
}

/// Sends a message on for an attempt whose time has not come; one that is far off is left to the
/// sweep.
async fn hand_on(ports: &Ports, delivery: &Delivery, lane: QueueName, now: Timestamp) {
    if delivery.next_attempt_at.since(now) <= QUEUE_HORIZON {
        enqueue_delivery(ports, delivery, lane).await;
    }
}

async fn attempt(
    ports: &Ports,
    surface: &Surface,
    mut delivery: Delivery,
    known: &mut AttemptContext,
    body: Vec<u8>,
) -> Result<Dispatched, StepError> {
    let AttemptContext {
        endpoint,
        rules,
        secrets,
        origin,
    } = known;
    let now = ports.clock.now();
    let held = Lease::random(ports.random(), now.plus(lease_of(rules)));
    if rules.latest_wins {
        match order::take(ports, &delivery, &held).await? {
            UrlAdmission::Mine => {}
            UrlAdmission::Superseded => return give_up(ports, delivery, SUPERSEDED).await,
            UrlAdmission::Wait(at) => return put_off(ports, delivery, at).await,
        }
    }
    let leased = lease(ports, &mut delivery, &held).await;
    let begun = ports.clock.now();
    let left = held.until.minus(LEASE_MARGIN).since(begun);
    // The lease took so long to write that another may be under way by now.
    let late = left.is_zero();
    if late || leased != Ok(true) {
        if rules.latest_wins {
            order::give_back(ports, &delivery, &held).await;
        }
        return leased.map(|_| Dispatched::Stale);
    }
    let answer = exchange(
        ports,
        surface,
        &delivery,
        secrets,
        body,
        begun,
        left.min(rules.timeout),
    )
    .await;
    let ended = ports.clock.now();
    let (attempt, asked) = describe(delivery.attempts, begun, ended, &answer);
    let asked =
        asked.filter(|_| rules.honour_retry_after && matches!(attempt.status, Some(429 | 503)));
    let asked = asked.map(|wait| wait.min(RETRY_AFTER_CAP));
    tracing::info!(
        delivery.attempt = attempt.number,
        http.status = attempt.status,
        error.class = attempt.error.as_deref(),
        latency_ms = attempt.latency_ms,
        "delivery attempted"
    );

    let next = delivery.after(&attempt, asked, rules, ended, ports.entropy.unit());
    if rules.latest_wins && next == Next::Delivered {
        order::answered(ports, &delivery, &held).await?;
    } else if rules.latest_wins {
        order::give_back(ports, &delivery, &held).await;
    }
    origin
        .learn(
            ports,
            attempt.status.is_some() && ended.since(begun) <= SLOW_AFTER,
        )
        .await;
    learn(ports, &delivery, endpoint, &attempt, &next, asked, ended).await;
    conclude(ports, delivery, attempt, &next, &held, ended).await
}

/// Records the outcome of an attempt, which gives its lease back, and sends the message for the
/// next one.
async fn conclude(
    ports: &Ports,
    mut delivery: Delivery,
    attempt: Attempt,
    next: &Next,
    held: &Lease,
    ended: Timestamp,
) -> Result<Dispatched, StepError> {
    delivery.record(attempt);
    delivery.lease = None;
    let outcome = match next {
        Next::Delivered => {
            delivery.advance(DeliveryEvent::Deliver);
            Dispatched::Delivered
        }
        Next::Retry(at) => {
            delivery.advance(DeliveryEvent::Retry);
            delivery.next_attempt_at = *at;
            Dispatched::Retrying
        }
        Next::Exhausted { reason, .. } => {
            delivery.advance(DeliveryEvent::Exhaust);
            delivery.reason = Some((*reason).to_owned());
            Dispatched::Exhausted
        }
    };
    let due = (delivery.state == DeliveryState::Pending).then(|| delivery.due(ended));
    let record = schema::delivery::record(&delivery, due, held);
    // Where the condition does not hold, an earlier try recorded it, or the delivery was erased.
    update_with_retry(ports, record).await?;
    if outcome == Dispatched::Retrying {
        hand_on(ports, &delivery, QueueName::WebhookRetry, ended).await;
    }
    Ok(outcome)
}

/// Writes the lease of the next attempt, which counts it. Returns whether this attempt may be made.
async fn lease(ports: &Ports, delivery: &mut Delivery, lease: &Lease) -> Result<bool, StepError> {
    let (now, planned) = (ports.clock.now(), delivery.attempts);
    record_interrupted(delivery);
    delivery.attempts += 1;
    delivery.next_attempt_at = now;
    delivery.lease = Some(lease.clone());
    let due = lease.until.plus(GRACE);
    let take = schema::delivery::lease(delivery, due, planned, now);
    match ports.store.update(take).await {
        Ok(_) => Ok(true),
        Err(StoreError::ConditionFailed(_)) => Ok(false),
        // No answer came: if the lease is ours, the attempt is made.
        Err(StoreError::Unavailable(cause)) => {
            let item = ports.store.get(&delivery_key(&delivery.id)).await?;
            if item.is_some_and(|item| schema::delivery::holds(&item, lease)) {
                Ok(true)
            } else {
                Err(StoreError::Unavailable(cause).into())
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Logs the previous attempt, where it left a lease and no outcome.
fn record_interrupted(delivery: &mut Delivery) {
    if delivery.lease.take().is_none() {
        return;
    }
    let detail = "the sender ended before it could record what came of this attempt";
    delivery.record(Attempt {
        number: delivery.attempts,
        at: delivery.next_attempt_at,
        latency_ms: None,
        status: None,
        error: Some("interrupted".to_owned()),
        detail: Some(detail.to_owned()),
        response: None,
    });
}

/// Stores what changes how the next delivery goes to a receiver: only what this exchange showed, so
/// that two exchanges at once do not undo each other's. If this write is lost, the next exchange
/// finds it out again.
async fn learn(
    ports: &Ports,
    delivery: &Delivery,
    known: &Endpoint,
    attempt: &Attempt,
    next: &Next,
    asked: Option<Duration>,
    now: Timestamp,
) {
    let slow = attempt
        .latency_ms
        .is_some_and(|ms| u128::from(ms) > SLOW_AFTER.as_millis());
    let gone = matches!(
        next,
        Next::Exhausted {
            disable_endpoint: true,
            ..
        }
    );
    let back = known.disabled && delivery.explicit && *next == Next::Delivered;
    let lesson = Lesson {
        slow: (slow != known.slow).then_some(slow),
        pause: asked.filter(|_| attempt.error.is_some()),
        disabled: (gone || back).then_some(gone),
    };
    let key = endpoint_key(&delivery.tenant, &delivery.url);
    let Some(update) = endpoint::learn(key, known, &lesson, now) else {
        return;
    };
    match ports.store.update(update).await {
        Ok(_) | Err(StoreError::ConditionFailed(_)) => {}
        Err(error) => {
            tracing::warn!(error = %error, "the findings of the exchange were not stored");
        }
    }
}

/// Ends a delivery without an attempt.
async fn give_up(
    ports: &Ports,
    mut delivery: Delivery,
    reason: &str,
) -> Result<Dispatched, StepError> {
    let planned = delivery.next_attempt_at;
    record_interrupted(&mut delivery);
    delivery.advance(DeliveryEvent::Exhaust);
    delivery.reason = Some(reason.to_owned());
    change(ports, planned, &delivery, None, Dispatched::Exhausted).await
}

/// Moves the next attempt to when the receiver wants it, or is free for it.
async fn put_off(
    ports: &Ports,
    mut delivery: Delivery,
    until: Timestamp,
) -> Result<Dispatched, StepError> {
    let (now, planned) = (ports.clock.now(), delivery.next_attempt_at);
    // Its time is that of the previous attempt, until it is written over.
    record_interrupted(&mut delivery);
    delivery.next_attempt_at = until;
    let due = Some(delivery.due(now));
    let moved = change(ports, planned, &delivery, due, Dispatched::Moved).await?;
    if moved == Dispatched::Moved {
        hand_on(ports, &delivery, QueueName::WebhookRetry, now).await;
    }
    Ok(moved)
}

/// Writes a delivery without an attempt, if its next one is still planned for `planned`.
async fn change(
    ports: &Ports,
    planned: Timestamp,
    delivery: &Delivery,
    due: Option<Timestamp>,
    outcome: Dispatched,
) -> Result<Dispatched, StepError> {
    let update = schema::delivery::replan(delivery, due, planned, ports.clock.now());
    match ports.store.update(update).await {
        Ok(_) => Ok(outcome),
        Err(StoreError::ConditionFailed(_)) => Ok(Dispatched::Stale),
        Err(error) => Err(error.into()),
    }
}
