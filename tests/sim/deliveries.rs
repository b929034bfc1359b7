//! Deliveries: the times of attempts, their contents, and what ends them.

use std::time::Duration;

use shared::domain::backoff::NATIVE_DELAYS;
use shared::domain::delivery::{Delivery, DeliveryState, DeliveryTask};
use shared::domain::ids::JobId;
use shared::domain::job::{self, Submission};
use shared::domain::signature::{Secret, verify};
use shared::domain::time::Timestamp;
use shared::jobs::idempotency::Idempotency;
use shared::jobs::{delete, read};
use shared::maintenance::tenants;
use shared::ports::{HttpError, QueueName};
use shared::webhooks::dispatch;
use shared::webhooks::dispatch::Dispatched;
use shared::webhooks::{replay, secrets};
use testkit::harness::{Exchange, HOOK, Happened, Options, World, submission};
use testkit::sim::{Fault, Op, Reply};

use Dispatched::{Delivered, Moved};
use QueueName::{Webhook, WebhookRetry};

use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND};

fn schedule(world: &World, seconds: &[u64]) {
    let seconds = Some(seconds.to_vec());
    world
        .call(async |p| tenants::set_webhook_schedule(p, &world.tenant.id, seconds.clone()).await)
        .unwrap();
}

fn delivery(world: &World, id: &JobId) -> Delivery {
    world
        .call(async |p| read::delivery(p, &world.tenant.id, &id.delivery(0)).await)
        .unwrap()
}

fn times(world: &World) -> Vec<Duration> {
    let exchanges = world.receiver.exchanges();
    exchanges
        .iter()
        .map(|e| e.at.since(exchanges[0].at))
        .collect()
}

fn signed_by(secret: &Secret, sent: &Exchange) -> bool {
    let (id, at, signature) = ("webhook-id", "webhook-timestamp", "webhook-signature");
    let headers = (
        Some(sent.header(id)),
        Some(sent.header(at)),
        Some(sent.header(signature)),
    );
    verify(secret, headers.0, headers.1, headers.2, &sent.body, sent.at).is_ok()
}

fn small() -> Submission {
    submission(&["found-0"])
}

#[test]
fn a_receiver_that_fails_twice_gets_three_attempts_at_the_schedules_times() {
    let mut world = World::new();
    schedule(&world, &[1, 2]);
    world.receiver.answers([500, 500, 200]);
    let id = world.job(small());
    world.settle(HOUR);
    assert_eq!(times(&world), [Duration::ZERO, SECOND, 3 * SECOND]);
    let delivery = delivery(&world, &id);
    assert_eq!(
        (delivery.state, delivery.attempts),
        (DeliveryState::Delivered, 3)
    );
    let statuses: Vec<_> = delivery.log.iter().map(|a| a.status).collect();
    assert_eq!(statuses, [Some(500), Some(500), Some(200)]);
    assert!(
        world
            .receiver
            .exchanges()
            .iter()
            .all(|e| e.id() == id.event(0))
    );
}

#[test]
fn the_native_schedule_is_kept_within_its_jitter_until_it_is_exhausted() {
    for seed in 0..2 {
        let mut world = World::with(Options {
            seed,
            ..Options::default()
        });
        world.receiver.from_then_on(Reply::status(500));
        let id = world.job(small());
        world.settle(100 * HOUR);
        let times = times(&world);
        assert_eq!(times.len(), 10);
        for (n, delay) in NATIVE_DELAYS.iter().enumerate() {
            let waited = times[n + 1].saturating_sub(times[n]);
            assert!(
                waited >= delay.mul_f64(0.8) && waited <= delay.mul_f64(1.2) + 2 * SECOND,
                "{n}: {waited:?}"
            );
        }
        let delivery = delivery(&world, &id);
        assert_eq!(
            (delivery.state, delivery.reason.as_deref()),
            (DeliveryState::Exhausted, Some("attempts_used_up"))
        );
        // The queue made every attempt on time: the sweep had nothing to redrive.
        assert_eq!(
            world
                .receiver
                .exchanges()
                .iter()
                .filter(|e| e.status == Some(500))
                .count(),
            10
        );
    }
}

#[test]
fn a_receiver_that_is_gone_gets_nothing_more_until_it_is_asked_for() {
    let mut world = World::new();
    world.receiver.answers([410]);
    let first = world.job(small());
    world.settle(HOUR);
    let second = world.job(submission(&["found-1"]));
    world.settle(HOUR);
    assert_eq!(world.receiver.exchanges().len(), 1);
    assert_eq!(
        delivery(&world, &first).reason.as_deref(),
        Some("endpoint_gone")
    );
    assert_eq!(
        delivery(&world, &second).reason.as_deref(),
        Some("endpoint_disabled")
    );
    // A replay goes there all the same, and its success enables it again.
    world
        .call(async |p| replay::replay(p, &world.tenant.id, &second.delivery(0), None).await)
        .unwrap();
    world.settle(HOUR);
    world.job(submission(&["found-2"]));
    world.settle(HOUR);
    assert_eq!(world.receiver.exchanges().len(), 3);
}

#[test]
fn a_receiver_may_ask_for_a_pause_up_to_an_hour() {
    let mut world = World::new();
    let wait = |status: u16, seconds: &str| Reply::status(status).header("retry-after", seconds);
    world
        .receiver
        .replies([wait(429, "120"), wait(503, "99999")]);
    let id = world.job(small());
    world.run_for(10 * SECOND);
    // Another event for the same receiver waits as well.
    let other = world.job(submission(&["found-1"]));
    world.settle(3 * HOUR);
    let of = |id: &JobId| -> Vec<Duration> {
        let exchanges = world.receiver.exchanges();
        let start = exchanges[0].at;
        exchanges
            .iter()
            .filter(|e| e.id() == id.event(0))
            .map(|e| e.at.since(start))
            .collect()
    };
    let (mine, others) = (of(&id), of(&other));
    assert!(others[0] >= 120 * SECOND, "{others:?}");
    let mut all = [mine, others].concat();
    all.sort();
    assert!(all[1] >= 120 * SECOND && all[1] <= 122 * SECOND, "{all:?}");
    assert!(
        all.iter()
            .any(|t| *t >= 120 * SECOND + HOUR && *t <= 124 * SECOND + HOUR),
        "{all:?}"
    );
}

#[test]
fn a_refused_address_is_logged_as_blocked_and_tried_again() {
    let mut world = World::new();
    schedule(&world, &[1]);
    world
        .sim
        .http
        .refuse("https://inside.example/", HttpError::Blocked);
    let webhook = Some(job::Webhook {
        url: "https://inside.example/x".to_owned(),
    });
    let id = world.job(Submission { webhook, ..small() });
    world.settle(HOUR);
    let delivery = delivery(&world, &id);
    assert_eq!(delivery.state, DeliveryState::Exhausted);
    let classes: Vec<_> = delivery
        .log
        .iter()
        .map(|a| a.error.as_deref().unwrap_or(""))
        .collect();
    assert_eq!(classes, ["blocked", "blocked"]);
}

#[test]
fn redirects_timeouts_and_broken_answers_are_tried_again() {
    let mut world = World::new();
    schedule(&world, &[1, 1, 1, 1]);
    world.receiver.replies([
        Reply::status(302).header("location", "https://elsewhere.example/"),
        Reply::status(200).after(30 * SECOND),
        Reply::error(HttpError::Tls("expired".to_owned())),
        Reply::error(HttpError::Protocol("reset".to_owned())),
        Reply::body(200, "x".repeat(5000)),
    ]);
    let id = world.job(small());
    world.settle(HOUR);
    let delivery = delivery(&world, &id);
    let log: Vec<_> = delivery
        .log
        .iter()
        .map(|a| a.error.clone().unwrap_or_else(|| "ok".to_owned()))
        .collect();
    assert_eq!(log, ["status", "timeout", "tls", "protocol", "ok"]);
    assert_eq!(
        delivery.log[4].response.as_ref().map(String::len),
        Some(1024)
    );
    assert_eq!(delivery.log[1].latency_ms, Some(20_000));
}

/// Every way in which a body can arrive incomplete.
fn broken_bodies(status: u16) -> Vec<Reply> {
    let begun = || Reply::body(status, "{\"o").header("retry-after", "120");
    vec![
        begun().cut(HttpError::Protocol(
            "connection closed before message completed".to_owned(),
        )),
        begun().cut(HttpError::Protocol("connection reset by peer".to_owned())),
        begun().cut(HttpError::Protocol("invalid chunk size line".to_owned())),
        begun().cut(HttpError::Protocol("invalid gzip header".to_owned())),
        begun().cut(HttpError::Timeout),
        Reply::body(status, "x".repeat(100_000)).header("retry-after", "120"),
    ]
}

#[test]
fn a_2xx_head_is_success_whatever_becomes_of_the_body() {
    for status in [200, 202, 204, 299] {
        for reply in broken_bodies(status) {
            let mut world = World::new();
            world.receiver.replies([reply.clone()]);
            let id = world.job(small());
            world.settle(100 * HOUR);
            let delivery = delivery(&world, &id);
            assert_eq!(
                (delivery.state, delivery.attempts),
                (DeliveryState::Delivered, 1),
                "{reply:?}"
            );
            assert_eq!(world.receiver.exchanges().len(), 1, "{reply:?}");
            let attempt = &delivery.log[0];
            assert_eq!(
                (attempt.status, attempt.error.as_deref()),
                (Some(status), None),
                "{reply:?}"
            );
            let response = attempt.response.as_deref().unwrap_or_default();
            assert!(response == "{\"o" || response.len() == 1024, "{response}");
            assert_eq!(
                attempt.detail.is_some(),
                reply.result.is_err(),
                "{attempt:?}"
            );
        }
    }
}

#[test]
fn a_refusals_head_counts_whatever_becomes_of_its_body() {
    for (place, _) in broken_bodies(0).iter().enumerate() {
        for (status, state, second) in [
            (410, DeliveryState::Exhausted, None),
            (429, DeliveryState::Delivered, Some(120 * SECOND)),
            (503, DeliveryState::Delivered, Some(120 * SECOND)),
            (500, DeliveryState::Delivered, Some(SECOND)),
        ] {
            let reply = broken_bodies(status)[place].clone();
            let mut world = World::new();
            schedule(&world, &[1, 2]);
            world.receiver.replies([reply.clone(), Reply::status(200)]);
            let id = world.job(small());
            world.settle(HOUR);
            let delivery = delivery(&world, &id);
            assert_eq!(delivery.state, state, "{reply:?}");
            let attempt = &delivery.log[0];
            assert_eq!(
                (attempt.status, attempt.error.as_deref()),
                (Some(status), Some("status")),
                "{reply:?}"
            );
            let ended = attempt
                .at
                .plus(Duration::from_millis(attempt.latency_ms.unwrap()));
            let waited = delivery.log.get(1).map(|attempt| attempt.at.since(ended));
            match second {
                None => assert_eq!(
                    (waited, delivery.reason.as_deref()),
                    (None, Some("endpoint_gone")),
                    "{reply:?}"
                ),
                Some(at) => {
                    let waited = waited.unwrap();
                    assert!(
                        waited >= at.mul_f64(0.8) && waited <= at.mul_f64(1.2) + 2 * SECOND,
                        "{reply:?}: {waited:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_dripping_receiver_is_slow_although_it_is_delivered_to() {
    let mut world = World::new();
    world
        .receiver
        .from_then_on(Reply::status(200).cut(HttpError::Timeout));
    let first = world.job(small());
    world.settle(HOUR);
    assert_eq!(delivery(&world, &first).log[0].latency_ms, Some(20_000));
    world.job(submission(&["found-1"]));
    world.settle(HOUR);
    let moved = |h: &&Happened| {
        matches!(
            h,
            Happened::Dispatched {
                answer: Ok(Moved),
                ..
            }
        )
    };
    assert_eq!(
        world.happened().iter().filter(moved).count(),
        1,
        "the second leaves the fast lane"
    );
    assert_eq!(world.receiver.exchanges().len(), 2);
}

#[test]
fn a_receiver_asks_for_a_pause_by_any_form_of_date() {
    let asked = Timestamp::parse("2026-01-01T00:05:00Z").unwrap();
    for form in [
        "Thu, 01 Jan 2026 00:05:00 GMT",
        "Thursday, 01-Jan-26 00:05:00 GMT",
        "Thu Jan  1 00:05:00 2026",
    ] {
        let mut world = World::new();
        schedule(&world, &[1]);
        world
            .receiver
            .replies([Reply::status(429).header("retry-after", form)]);
        let id = world.job(small());
        world.settle(HOUR);
        let second = delivery(&world, &id).log[1].at;
        assert!(
            second >= asked.minus(SECOND) && second <= asked.plus(2 * SECOND),
            "{form}: {second}"
        );
    }
}

#[test]
fn a_second_message_during_an_attempt_makes_no_second_attempt() {
    let mut world = World::with(Options {
        dispatchers: 4,
        ..Options::default()
    });
    world
        .receiver
        .replies([Reply::status(200).after(10 * SECOND)]);
    world.job(small());
    assert!(world.run_until(MINUTE, |w| !w.receiver.exchanges().is_empty()));
    let message = world.sim.queue.peek(QueueName::Webhook)[0].id.clone();
    world.sim.queue.duplicate(QueueName::Webhook, &message);
    world.sim.queue.duplicate(QueueName::Webhook, &message);
    world.settle(HOUR);
    assert_eq!(world.receiver.exchanges().len(), 1);
    let stale = |h: &&Happened| {
        matches!(
            h,
            Happened::Dispatched {
                answer: Ok(Dispatched::Stale),
                ..
            }
        )
    };
    assert_eq!(world.happened().iter().filter(stale).count(), 2);
}

#[test]
fn a_job_erased_while_its_event_was_rendered_was_taken_for_corrupt() {
    let records: &[&str] = &["big-0", "big-1", "big-2", "big-3"];
    // Erased wholly between two reads, and in part: one delete of the erasure after the other is
    // late.
    for late in 0..3 {
        let mut world = World::with(Options {
            sweeping: false,
            ..Options::default()
        });
        let (mut reads, mut deletes) = (0, 0);
        world.faults(move |call| {
            if call.op == Op::Query && &*call.name == "Webhook" {
                reads += 1;
                return if reads == 1 {
                    Fault::Delay(5 * SECOND)
                } else {
                    Fault::Proceed
                };
            }
            deletes += u32::from(call.op == Op::DeleteAll);
            if call.op == Op::DeleteAll && deletes == late {
                Fault::FailPartly
            } else {
                Fault::Proceed
            }
        });
        let to = Submission {
            surface: "sixtyfour".to_owned(),
            ..submission(records)
        };
        let id = world.job(to);
        world.run_until(MINUTE, |world| {
            world.working().contains(&"Webhook".to_owned())
        });
        let tenant = world.tenant.id.clone();
        world
            .call(async |p| delete::delete(p, &tenant, &id, ENRICH_TIMEOUT).await)
            .unwrap();
        world.run_for(10 * SECOND);
        let dispatched: Vec<Happened> = world
            .happened()
            .into_iter()
            .filter(|h| matches!(h, Happened::Dispatched { .. }))
            .collect();
        let stale = |h: &Happened| {
            matches!(
                h,
                Happened::Dispatched {
                    answer: Ok(Dispatched::Stale),
                    ..
                }
            )
        };
        assert!(
            dispatched.len() == 1 && stale(&dispatched[0]),
            "{late}: {dispatched:?}"
        );
        world.options.sweeping = true;
        world.settle(HOUR);
    }
}

#[test]
fn an_attempt_whose_sender_died_is_logged_as_interrupted() {
    let mut world = World::new();
    let id = world.job(small());
    let mut armed = true;
    world.faults(move |call| {
        let hit = call.op == Op::Http && std::mem::take(&mut armed);
        if hit { Fault::DieAfter } else { Fault::Proceed }
    });
    world.settle(HOUR);
    let delivery = delivery(&world, &id);
    let log: Vec<_> = delivery
        .log
        .iter()
        .map(|a| (a.number, a.error.clone().unwrap_or_default()))
        .collect();
    assert_eq!(log, [(1, "interrupted".to_owned()), (2, String::new())]);
    let exchanges = world.receiver.exchanges();
    assert_eq!((exchanges.len(), exchanges[0].id()), (2, exchanges[1].id()));
    assert!(times(&world)[1] < 4 * MINUTE);
}

#[test]
fn a_receiver_that_kills_every_sender_was_tried_for_ever() {
    let mut world = World::new();
    schedule(&world, &[1, 2]);
    let id = world.job(small());
    world.faults(|call| {
        if call.op == Op::Http {
            Fault::DieAfter
        } else {
            Fault::Proceed
        }
    });
    world.settle(HOUR);
    let delivery = delivery(&world, &id);
    assert_eq!(
        (delivery.state, delivery.attempts),
        (DeliveryState::Exhausted, 3)
    );
    assert_eq!(delivery.log.len(), 3);
}

#[test]
fn an_interrupted_attempt_was_missing_from_the_log_of_a_disabled_receiver() {
    let mut world = World::new();
    world.receiver.answers([410]);
    let id = world.job(small());
    // The receiver is known to be gone; the sender dies before it records its attempt.
    let mut seen = 0;
    world.faults(move |call| {
        seen += u64::from(call.op == Op::Update && call.subject.contains("DELIVERY"));
        if seen == 2 {
            Fault::Die
        } else {
            Fault::Proceed
        }
    });
    let died = world.run_until(MINUTE, |w| {
        w.receiver.exchanges().len() == 1 && w.working().is_empty()
    });
    assert!(died);
    world.faults(|_| Fault::Proceed);
    world.settle(HOUR);
    let delivery = delivery(&world, &id);
    assert_eq!(
        (delivery.reason.as_deref(), delivery.log.len()),
        (Some("endpoint_disabled"), 1)
    );
}

#[test]
fn a_lease_that_took_a_second_to_write_took_it_from_the_receiver() {
    let mut world = World::new();
    let mut armed = true;
    world.faults(move |call| {
        let lease = call.op == Op::Update
            && call.subject.contains("DELIVERY")
            && std::mem::take(&mut armed);
        if lease {
            Fault::Delay(SECOND)
        } else {
            Fault::Proceed
        }
    });
    world
        .receiver
        .replies([Reply::status(200).after(19 * SECOND + SECOND / 2)]);
    let id = world.job(small());
    world.settle(HOUR);
    assert_eq!(
        (
            delivery(&world, &id).state,
            world.receiver.exchanges().len()
        ),
        (DeliveryState::Delivered, 1)
    );
}

#[test]
fn a_lease_that_was_written_too_late_sends_nothing() {
    let mut world = World::with(Options {
        dispatch_timeout: 5 * MINUTE,
        dispatchers: 2,
        ..Options::default()
    });
    let mut armed = true;
    world.faults(move |call| {
        let lease = call.op == Op::Update
            && call.subject.contains("DELIVERY")
            && std::mem::take(&mut armed);
        if lease {
            Fault::Delay(40 * SECOND)
        } else {
            Fault::Proceed
        }
    });
    let id = world.job(small());
    world.settle(HOUR);
    assert_eq!(
        world.receiver.exchanges().len(),
        1,
        "an exchange began after its lease had run out"
    );
    assert_eq!(delivery(&world, &id).state, DeliveryState::Delivered);
}

#[test]
fn stale_tasks_are_dropped_and_early_ones_moved() {
    let mut world = World::new();
    schedule(&world, &[600]);
    world.receiver.answers([500]);
    let id = world.job(small());
    world.run_for(SECOND);
    let receipt = dispatch::DeliveryReceipt {
        lane: QueueName::WebhookRetry,
        deadline: world.now().plus(MINUTE),
    };
    let dispatched = |attempt| {
        let message = DeliveryTask::new(&id.delivery(0), attempt);
        world
            .call(async |p| dispatch::step(p, &message, &receipt).await)
            .unwrap()
    };
    assert_eq!(dispatched(1), Dispatched::Stale);
    assert_eq!(dispatched(3), Dispatched::Stale);
    world.sim.queue.lose(QueueName::WebhookRetry);
    assert_eq!(dispatched(2), Dispatched::Moved);
    assert_eq!(world.receiver.exchanges().len(), 1);
    world.settle(HOUR);
    assert_eq!(times(&world), [Duration::ZERO, 600 * SECOND]);
}

#[test]
fn an_attempt_is_not_begun_without_the_time_to_end_it() {
    let mut world = World::new();
    world.options.dispatchers = 0;
    let id = world.job(small());
    world.run_for(SECOND);
    let receipt = dispatch::DeliveryReceipt {
        lane: QueueName::Webhook,
        deadline: world.now().plus(29 * SECOND),
    };
    let message = DeliveryTask::new(&id.delivery(0), 1);
    assert_eq!(
        world.call(async |p| dispatch::step(p, &message, &receipt).await),
        Ok(Dispatched::NoTime)
    );
    world.options.dispatchers = 1;
    world.settle(HOUR);
}

/// The dispatch functions' lanes and the outcomes of attempts there.
fn lanes(world: &World) -> Vec<(QueueName, Dispatched)> {
    let dispatched = |happened: &Happened| match happened {
        Happened::Dispatched {
            lane,
            answer: Ok(answer),
            ..
        } => Some((*lane, *answer)),
        _ => None,
    };
    world.happened().iter().filter_map(dispatched).collect()
}

#[test]
fn an_origin_not_known_to_be_quick_gets_one_attempt_at_a_time_in_the_fast_lane() {
    let mut world = World::with(Options {
        enrichers: 2,
        dispatchers: 2,
        ..Options::default()
    });
    world.receiver.replies([Reply::status(200).after(SECOND)]);
    world.job(small());
    world.job(submission(&["found-1"]));
    world.settle(HOUR);
    let mut first = lanes(&world);
    first.sort_by_key(|at| format!("{at:?}"));
    assert_eq!(
        first,
        [
            (Webhook, Delivered),
            (Webhook, Moved),
            (WebhookRetry, Delivered)
        ]
    );
    // Known to be quick from then on.
    world.job(small());
    world.job(submission(&["found-1"]));
    world.settle(HOUR);
    assert_eq!(
        lanes(&world)[3..],
        [(Webhook, Delivered), (Webhook, Delivered)]
    );
}

#[test]
fn a_lease_whose_holder_died_ends_with_its_time() {
    let mut world = World::new();
    let mut once = true;
    world.faults(move |call| {
        let dies = call.op == Op::Http
            && call.subject.contains("hook.example")
            && std::mem::take(&mut once);
        if dies { Fault::Die } else { Fault::Proceed }
    });
    world
        .receiver
        .from_then_on(Reply::error(HttpError::Timeout).after(HOUR));
    world.job(small());
    world.run_for(5 * SECOND);
    world.job(submission(&["found-1"]));
    world.run_for(5 * SECOND);
    assert_eq!(lanes(&world), [(Webhook, Moved)]);
    world.receiver.from_then_on(Reply::status(200));
    world.run_for(30 * SECOND);
    world.job(submission(&["found-2"]));
    world.run_for(5 * SECOND);
    assert_eq!(lanes(&world).last(), Some(&(Webhook, Delivered)));
    world.settle(HOUR);
}

#[test]
fn a_slow_receiver_leaves_the_fast_lane() {
    let mut world = World::new();
    world
        .receiver
        .replies([Reply::status(200).after(8 * SECOND)]);
    world.job(small());
    world.settle(HOUR);
    world.job(submission(&["found-1"]));
    world.settle(HOUR);
    world.job(submission(&["found-2"]));
    world.settle(HOUR);
    assert_eq!(
        lanes(&world),
        [
            (Webhook, Delivered),
            (Webhook, Moved),
            (WebhookRetry, Delivered),
            (Webhook, Delivered)
        ]
    );
}

#[test]
fn a_replay_sends_the_same_event_and_the_same_bytes() {
    let mut world = World::new();
    schedule(&world, &[1]);
    world.receiver.answers([500, 500]);
    let id = world.job(submission(&["found-0", "none-1", "panic-2"]));
    world.settle(HOUR);
    assert_eq!(delivery(&world, &id).state, DeliveryState::Exhausted);
    world.sim.clock.advance(2 * HOUR);
    world.receiver.answers([500]);
    let key = Idempotency::new("k", "POST", "replay", b"");
    let replay = async |p: &shared::jobs::Ports| {
        replay::replay(p, &world.tenant.id, &id.delivery(0), Some(&key))
            .await
            .unwrap()
    };
    assert_eq!(world.call(replay).state, DeliveryState::Pending);
    assert_eq!(world.call(replay).attempts, 2);
    world.settle(HOUR);
    // The same key again starts nothing, although the delivery is over.
    let replay = async |p: &shared::jobs::Ports| {
        replay::replay(p, &world.tenant.id, &id.delivery(0), Some(&key))
            .await
            .unwrap()
    };
    assert_eq!(world.call(replay).state, DeliveryState::Delivered);
    world.settle(HOUR);
    let exchanges = world.receiver.exchanges();
    assert_eq!(exchanges.len(), 4);
    assert!(
        exchanges
            .iter()
            .all(|e| e.id() == id.event(0) && e.body == exchanges[0].body)
    );
    assert_eq!(delivery(&world, &id).log.len(), 4);
}

#[test]
fn a_test_delivery_is_signed_and_of_no_job() {
    let mut world = World::new();
    let key = Idempotency::new("k", "POST", "test", b"");
    let send = async |p: &shared::jobs::Ports| {
        replay::test(
            p,
            &world.tenant.id,
            "native",
            || Ok(HOOK.to_owned()),
            Some(&key),
        )
        .await
        .unwrap()
        .id
    };
    let first = world.call(send);
    assert_eq!(world.call(send), first);
    world.settle(HOUR);
    let exchanges = world.receiver.exchanges();
    assert_eq!(
        (exchanges.len(), exchanges[0].id().to_owned()),
        (1, first.event())
    );
    assert_eq!(exchanges[0].json()["type"], "webhook.test");
    let listed = world
        .call(async |p| read::jobs(p, &world.tenant.id, None, None, 10).await)
        .unwrap();
    assert_eq!(listed.jobs.len(), 0);
}

fn rotate(world: &World, hours: u32) -> Secret {
    world
        .call(async |p| secrets::rotate(p, &world.tenant.id, hours * HOUR, None).await)
        .unwrap()
        .secret
}

#[test]
fn while_secrets_overlap_both_sign_and_then_only_the_new_one() {
    let mut world = World::new();
    schedule(&world, &[3600, 3600 * 24]);
    world.receiver.answers([500, 500]);
    world.job(small());
    world.run_for(MINUTE);
    let old = world.tenant.secret.clone();
    let new = rotate(&world, 2);
    assert_eq!(world.quiet_within(48 * HOUR), Ok(()));
    let exchanges = world.receiver.exchanges();
    let by = |secret: &Secret| {
        exchanges
            .iter()
            .map(|e| signed_by(secret, e))
            .collect::<Vec<_>>()
    };
    assert_eq!(by(&old), [true, true, false]);
    assert_eq!(by(&new), [false, true, true]);
    assert_eq!(exchanges[0].body, exchanges[2].body);
}

#[test]
fn a_repeated_rotation_shows_the_same_secret_until_the_next_one() {
    let world = World::new();
    let key = |name| Idempotency::new(name, "POST", "rotate", b"");
    let ask = |name| {
        world.call(async |p| secrets::rotate(p, &world.tenant.id, HOUR, Some(&key(name))).await)
    };
    let first = ask("a").unwrap();
    assert_eq!(ask("a"), Ok(first.clone()));
    let second = ask("b").unwrap();
    assert_ne!(first.secret, second.secret);
    assert!(ask("a").is_err());
    assert_eq!(ask("b"), Ok(second));
}

#[test]
fn a_rotation_repeated_while_the_first_was_under_way_was_refused() {
    for seed in 0..200 {
        let mut world = World::with(Options {
            seed,
            ..Options::default()
        });
        let answers = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        for n in 0..2 {
            let (ports, tenant, answers) = (
                world.ports.clone(),
                world.tenant.id.clone(),
                answers.clone(),
            );
            world.spawn(&format!("client {n}"), async move {
                let key = Idempotency::new("k", "POST", "rotate", b"");
                let answer = secrets::rotate(&ports, &tenant, HOUR, Some(&key)).await;
                answers.borrow_mut().push(answer);
            });
        }
        world.run_for(SECOND);
        let answers = answers.borrow();
        assert!(
            answers[0].is_ok() && answers[0] == answers[1],
            "seed {seed}: {answers:?}"
        );
    }
}
