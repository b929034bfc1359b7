//! The reason of a delivery's end is checked against its log and against the receivers' exchanges.

use std::time::Duration;

use shared::domain::delivery::{Delivery, DeliveryRules, EventType, RETRY_AFTER_CAP, TEST_RETRIES};
use shared::schema::{profile_key, read_profile};
use shared::surfaces::surface;

use super::end::delivery_of;
use super::{End, Verdict};
use crate::harness::{Exchange, World};

fn rules(world: &World, delivery: &Delivery) -> Option<DeliveryRules> {
    let profile = world.sim.store.peek(&profile_key(&delivery.tenant));
    let delays = profile
        .and_then(|item| read_profile(&item).ok())
        .and_then(|profile| profile.webhook_delays());
    surface(world.ports.surfaces, &delivery.surface)
        .map(|surface| (surface.delivery)().with_delays(delays))
}

fn is_good(exchange: &Exchange) -> bool {
    exchange
        .status
        .is_some_and(|status| (200..300).contains(&status))
}

/// A receiver was asked at most once for each attempt.
pub(super) fn no_exchange_without_an_attempt(end: &End, delivery: &Delivery) -> Verdict {
    let event = delivery.id.event();
    let asked = end
        .reported
        .iter()
        .filter(|(_, exchange)| exchange.id() == event)
        .count();
    let most = delivery.attempts as usize;
    if asked <= most {
        Ok(())
    } else {
        Err(format!("{event} was sent {asked} times in {most} attempts"))
    }
}

/// Checks that an exhausted delivery's reason is what happened.
pub(super) fn reason_is_true(world: &World, end: &End, delivery: &Delivery) -> Verdict {
    let (id, Some(rules)) = (&delivery.id, rules(world, delivery)) else {
        return Err(format!("{} has no rules", delivery.id));
    };
    let of_url = || {
        end.reported
            .iter()
            .filter(|(tenant, exchange)| *tenant == delivery.tenant && exchange.url == delivery.url)
    };
    let Some(reason) = delivery.reason.as_deref() else {
        return Err(format!("{id} has no reason"));
    };
    let happened = match reason {
        "attempts_used_up" => {
            let (all, had) = (
                rules.delays.len() + 1,
                (delivery.attempts - delivery.round_start) as usize,
            );
            // A test's last attempt is repeated if it was lost.
            let least = if delivery.event == EventType::WebhookTest {
                all.min(TEST_RETRIES + 1)
            } else {
                all
            };
            (least..=all).contains(&had)
        }
        "endpoint_gone" => {
            let last = delivery.log.last().and_then(|attempt| attempt.status);
            let event = id.event();
            let gone = of_url()
                .any(|(_, exchange)| exchange.id() == event && exchange.status == Some(410));
            rules.gone_disables && last == Some(410) && gone
        }
        "endpoint_disabled" => {
            rules.gone_disables && of_url().any(|(_, exchange)| exchange.status == Some(410))
        }
        "superseded" => {
            let newer = |exchange: &Exchange| {
                delivery_of(exchange)
                    .is_some_and(|other| other.job.created_at() > id.job.created_at())
            };
            rules.latest_wins && of_url().any(|(_, exchange)| newer(exchange) && is_good(exchange))
        }
        "expired" => {
            let longest = rules.delays.iter().max().copied().unwrap_or(Duration::ZERO);
            let wait = longest.mul_f64(1.0 + rules.jitter).max(RETRY_AFTER_CAP) + rules.timeout;
            delivery
                .log
                .last()
                .is_some_and(|last| last.at.plus(wait) >= delivery.expires_at)
        }
        _ => false,
    };
    if happened {
        Ok(())
    } else {
        Err(format!(
            "{id} is exhausted, {reason}, and that is not so: {:?}",
            delivery.log
        ))
    }
}
