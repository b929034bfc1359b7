//! Faults that a review of the code found before they occurred.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::domain::chunk::{ChunkMessage, Start};
use shared::domain::delivery::DeliveryState;
use shared::domain::error::ApiError;
use shared::domain::job::{Accepted, Status, Submission, Webhook};
use shared::domain::record::OutcomeStatus;
use shared::jobs::enrich::step;
use shared::jobs::enrich::step::ChunkOutcome;
use shared::jobs::idempotency::Idempotency;
use shared::jobs::submit::{Pricing, submit};
use shared::jobs::{StepError, delete, read, retry};
use shared::maintenance::{sweep, tenants};
use shared::ports::{HttpAnswer, HttpError, HttpRequest, HttpSender, QueueName, Value};
use shared::schema::{DUE_SHARDS, due_shard, due_shard_name, held_attribute, progress_key};
use shared::webhooks::replay;
use testkit::harness::{Happened, Options, World, domains, submission};
use testkit::sim::{Fault, Op, Reply};

use crate::{ENRICH_TIMEOUT, HOUR, MINUTE, SECOND};

#[test]
fn a_retry_after_late_in_the_schedule_blocked_the_receiver_for_a_day() {
    let mut world = World::new();
    let day = Some(vec![24 * 3600]);
    world
        .call(async |p| tenants::set_webhook_schedule(p, &world.tenant.id, day.clone()).await)
        .unwrap();
    world
        .receiver
        .replies([Reply::status(503).header("retry-after", "1")]);
    world.job(submission(&["found-0"]));
    world.run_for(MINUTE);
    assert_eq!(world.receiver.exchanges().len(), 1);
    world.job(submission(&["found-1"]));
    world.run_for(MINUTE);
    assert_eq!(
        world.receiver.exchanges().len(),
        2,
        "the second job's event waits for the first one's schedule"
    );
}

#[test]
fn a_retry_read_its_idempotency_key_twice() {
    let mut world = World::new();
    let id = world.job(submission(&["fail-0"]));
    world.run_for(MINUTE);
    let reads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reads);
    world.faults(move |call| {
        let read = matches!(call.op, Op::Get | Op::GetMany) && call.subject.contains("IDEM#");
        count.fetch_add(read.into(), Ordering::Relaxed);
        Fault::Proceed
    });
    let (registry, tenant, key) = (
        world.registry.clone(),
        world.tenant.clone(),
        Idempotency::new("k", "POST", "", b""),
    );
    let retried = world.call(async |ports| {
        let caller = World::caller(ports, &tenant).await?;
        retry::retry(
            ports,
            &caller,
            &id,
            |sent| World::pricing(&registry, sent),
            Some(&key),
        )
        .await
    });
    let Ok(Accepted::Job {
        view,
        replayed: false,
        ..
    }) = retried
    else {
        panic!("no new job: {retried:?}")
    };
    assert_eq!(reads.load(Ordering::Relaxed), 1);
    world.learn(&view.job.spec.id, &tenant.id);
    world.settle(HOUR);
}

#[test]
fn a_replay_of_a_delivery_that_waited_did_nothing() {
    let mut world = World::new();
    let hours = Some(vec![3 * 3600]);
    world
        .call(async |p| tenants::set_webhook_schedule(p, &world.tenant.id, hours.clone()).await)
        .unwrap();
    world.receiver.answers([500]);
    let id = world.job(submission(&["found-0"]));
    world.run_for(MINUTE);
    let tenant = world.tenant.id.clone();
    world
        .call(async |p| replay::replay(p, &tenant, &id.delivery(0), None).await)
        .unwrap();
    world.run_for(MINUTE);
    let delivery = world
        .call(async |p| read::delivery(p, &tenant, &id.delivery(0)).await)
        .unwrap();
    assert_eq!(
        (delivery.state, delivery.attempts),
        (DeliveryState::Delivered, 2)
    );
    world.settle(6 * HOUR);
    assert_eq!(world.receiver.exchanges().len(), 2);
}

/// Submits with a pricing other than the registry's, as if `providers.toml` had changed since.
fn submit_under(
    world: &mut World,
    domains: &[String],
    pricing: &Pricing,
) -> shared::domain::ids::JobId {
    let (ports, tenant, pricing) = (world.ports.clone(), world.tenant.clone(), pricing.clone());
    let submission = submission(domains);
    let accepted = world.sim.finish(async move {
        let caller = World::caller(&ports, &tenant).await?;
        submit(&ports, &caller, || Ok((submission, pricing)), None).await
    });
    let shared::domain::job::Accepted::Job { view, .. } = accepted.unwrap() else {
        panic!("no job")
    };
    let tenant = world.tenant.id.clone();
    world.learn(&view.job.spec.id, &tenant);
    view.job.spec.id
}

#[test]
fn a_price_raised_while_a_job_waited_was_charged_beyond_the_reservation() {
    let mut world = World::new();
    let before = world.credits(&world.tenant.id);
    let pricing = Pricing {
        price: 1,
        unconfigured: None,
        retention: 100 * HOUR,
    };
    let id = submit_under(&mut world, &domains("found", 10), &pricing);
    world.settle(HOUR);
    assert!(
        world
            .results(&id)
            .iter()
            .all(|line| line.outcome.credits == 1)
    );
    let after = world.credits(&world.tenant.id);
    assert_eq!(
        before.0 - after.0,
        10,
        "the provider asks for 2 by now, but 1 was dealt"
    );
}

#[test]
fn a_type_configured_after_the_submit_was_charged_and_failed_all_the_same() {
    let mut world = World::new();
    let before = world.credits(&world.tenant.id);
    let pricing = Pricing {
        price: 2,
        unconfigured: Some("name a provider".to_owned()),
        retention: 100 * HOUR,
    };
    let id = submit_under(&mut world, &domains("found", 3), &pricing);
    world.settle(HOUR);
    assert_eq!(world.view(&id).status(), Status::Failed);
    assert!(
        world
            .results(&id)
            .iter()
            .all(|line| line.outcome.status == OutcomeStatus::Failed)
    );
    assert_eq!(
        (world.asked().len(), world.credits(&world.tenant.id).0),
        (0, before.0)
    );
}

#[test]
fn an_answer_nested_too_deep_could_be_stored_and_never_read_again() {
    let mut world = World::new();
    let id = world.job(submission(&[
        "deep64-0",
        "deep65-1",
        "deep125-2",
        "found-3",
    ]));
    world.settle(HOUR);
    let statuses: Vec<_> = world
        .results(&id)
        .iter()
        .map(|line| line.outcome.status)
        .collect();
    let expected = [
        OutcomeStatus::Found,
        OutcomeStatus::Failed,
        OutcomeStatus::Failed,
        OutcomeStatus::Found,
    ];
    assert_eq!(statuses, expected);
}

#[test]
fn a_lease_whose_answer_was_lost_cost_an_attempt() {
    let mut world = World::new();
    let mut once = true;
    world.faults(move |call| {
        let lease = call.op == Op::Update && call.subject.contains("DELIVERY#");
        if lease && std::mem::take(&mut once) {
            Fault::FailAfter
        } else {
            Fault::Proceed
        }
    });
    let id = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    let delivery = world
        .call(async |p| read::delivery(p, &world.tenant.id, &id.delivery(0)).await)
        .unwrap();
    assert_eq!(
        (delivery.attempts, delivery.log.len()),
        (1, 1),
        "{:?}",
        delivery.log
    );
}

#[test]
fn a_grant_whose_answer_was_lost_was_given_twice() {
    let world = World::new();
    let before = world.credits(&world.tenant.id).0;
    let mut once = true;
    world.faults(move |call| {
        let hit = call.op == Op::Transact && std::mem::take(&mut once);
        if hit {
            Fault::FailAfter
        } else {
            Fault::Proceed
        }
    });
    let tenant = &world.tenant.id;
    assert_eq!(
        world
            .call(async |p| tenants::add_credits(p, tenant, 5).await)
            .unwrap(),
        Some(before + 5)
    );
    let unknown = shared::domain::ids::TenantId::parse("unknown").unwrap();
    assert_eq!(
        world
            .call(async |p| tenants::add_credits(p, &unknown, 5).await)
            .unwrap(),
        None
    );
}

#[test]
fn a_chunk_that_ended_while_its_job_was_deleted_was_not_charged() {
    let mut world = World::new();
    let before = world.credits(&world.tenant.id).0;
    let id = world.job(submission(&domains("slow5", 100)));
    // The first of the two chunks ends after 20 s: 50 records, 16 at once, 5 s each.
    world.run_for(18 * SECOND);
    let mut once = true;
    world.faults(move |call| {
        let hit = call.op == Op::Transact && std::mem::take(&mut once);
        if hit {
            Fault::Delay(4 * SECOND)
        } else {
            Fault::Proceed
        }
    });
    let (ports, tenant) = (world.ports.clone(), world.tenant.id.clone());
    world.spawn("client", async move {
        let deleted =
            shared::jobs::delete::delete(&ports, &tenant, &id, crate::ENRICH_TIMEOUT).await;
        assert_eq!(deleted, Ok(()));
    });
    world.settle(HOUR);
    assert_eq!(
        world.credits(&world.tenant.id),
        (before - 100, 100, 0),
        "50 records at 2 had ended"
    );
}

/// A balance below zero is what an operator's correction leaves.
#[test]
fn a_debt_refused_jobs_that_cost_nothing() {
    let mut world = World::new();
    let tenant = world.tenant.id.clone();
    let balance = world.credits(&tenant).0;
    world
        .call(async |p| tenants::add_credits(p, &tenant, -balance - 5).await)
        .unwrap();
    let short = world.job(Submission {
        partial_budget: true,
        ..submission(&domains("found", 2))
    });
    let pricing = Pricing {
        price: 2,
        unconfigured: Some("name a provider".to_owned()),
        retention: 100 * HOUR,
    };
    let unconfigured = submit_under(&mut world, &domains("found", 2), &pricing);
    world.run_for(MINUTE);
    assert_eq!(
        (
            world.view(&short).status(),
            world.view(&short).counts().skipped
        ),
        (Status::Failed, 2)
    );
    assert_eq!(world.view(&unconfigured).status(), Status::Failed);
    assert_eq!(world.credits(&tenant).0, -5);
}

/// Enrich sends the events of records past the fiftieth through the other lane.
#[test]
fn enrich_did_not_know_a_queue_that_it_sends_to() {
    let template = include_str!("../../infra/template.yaml");
    let between = |from: &str, to: &str| {
        template
            .split_once(from)
            .unwrap()
            .1
            .split_once(to)
            .unwrap()
            .0
    };
    let (role, function) = (
        between("\n  EnrichRole:\n", "\n  Enrich:\n"),
        between("\n  Enrich:\n", "\n  # ----"),
    );
    for (variable, queue) in [
        ("MILLRACE_QUEUE_ENRICH", "EnrichQueue"),
        ("MILLRACE_QUEUE_ENRICH_BULK", "EnrichBulkQueue"),
        ("MILLRACE_QUEUE_WEBHOOK", "WebhookQueue"),
        ("MILLRACE_QUEUE_WEBHOOK_RETRY", "WebhookRetryQueue"),
    ] {
        assert!(
            function.contains(&format!("{variable}: !Ref {queue}\n")),
            "{variable}"
        );
        assert!(
            role.contains(&format!("- !GetAtt {queue}.Arn\n")),
            "{queue}"
        );
    }
}

#[test]
fn events_of_one_tenants_records_kept_the_sweep_from_anothers_jobs() {
    let mut world = World::with(Options {
        enrichers: 8,
        dispatchers: 0,
        ..Options::default()
    });
    for _ in 0..3 {
        let hook = Webhook {
            url: "https://hook.example/record".to_owned(),
        };
        world.job(Submission {
            record_webhook: Some(hook),
            ..submission(&domains("found", 1000))
        });
    }
    world.run_for(30 * SECOND);
    // The other tenant's messages are lost; its sixteen jobs lie in all shards of the index.
    world.faults(|call| {
        if call.op == Op::Send {
            Fault::FailBefore
        } else {
            Fault::Proceed
        }
    });
    let other = world.tenant("other");
    let mut jobs = Vec::new();
    for _ in 0..16 {
        let (ports, registry, tenant) =
            (world.ports.clone(), world.registry.clone(), other.clone());
        let sent = submission(&domains("found", 1));
        let accepted = world
            .sim
            .finish(async move { World::request(&ports, &registry, &tenant, sent, None).await });
        let Ok(Accepted::Job { view, .. }) = accepted else {
            panic!("no job")
        };
        jobs.push(view.job.spec.id.clone());
    }
    world.faults(|_| Fault::Proceed);
    let mut waited = Vec::new();
    for minute in 1..60_u32 {
        world.run_for(MINUTE);
        let ended = jobs.iter().filter(|id| {
            let view = world
                .call(async |p| read::job(p, &other.id, id).await)
                .unwrap();
            !view.job.status.is_live()
        });
        waited.push((minute, ended.count()));
        if waited.last().unwrap().1 == jobs.len() {
            break;
        }
    }
    assert!(waited.len() <= 4, "{waited:?}");
}

/// A job with an event for each of this number of records, whose messages to the receiver are all
/// lost.
fn many_events(world: &mut World, records: usize) {
    let hook = Webhook {
        url: "https://hook.example/record".to_owned(),
    };
    world.job(Submission {
        record_webhook: Some(hook),
        webhook: None,
        ..submission(&domains("found", records))
    });
    world.run_for(30 * SECOND);
    for lane in [QueueName::Webhook, QueueName::WebhookRetry] {
        world.sim.queue.lose(lane);
    }
}

#[test]
fn one_tenants_deliveries_took_the_whole_run_of_the_sweep() {
    let mut world = World::with(Options {
        enrichers: 8,
        dispatchers: 0,
        sweeping: false,
        ..Options::default()
    });
    many_events(&mut world, 300);
    world.run_for(2 * MINUTE);
    for woken in [200, 200] {
        // Messages over the tenant's share moved behind the others, and are not polled again at
        // once.
        world.sweep();
        world.run_for(SECOND);
        assert_eq!(world.swept().redriven_deliveries, woken);
    }
    world.run_for(MINUTE);
    world.sweep();
    world.run_for(SECOND);
    assert_eq!(world.swept().redriven_deliveries, 300);
}

#[test]
fn an_event_whose_queue_was_behind_was_sent_again_every_minute() {
    let mut world = World::with(Options {
        dispatchers: 0,
        ..Options::default()
    });
    world.job(submission(&["found-0"]));
    world.run_for(5 * HOUR);
    // After 1, 3, 7 and 15 minutes, then every 30.
    let woken = world.swept().redriven_deliveries;
    assert!((10..=16).contains(&woken), "{woken}");
}

#[test]
fn a_shard_that_could_not_be_read_kept_the_others_unswept() {
    // All chunks fit the tenant's share, so that they are in one lane.
    let mut world = World::with(Options {
        enrichers: 0,
        sweeping: false,
        fast_chunks: 24,
        ..Options::default()
    });
    let jobs: Vec<_> = (0..24)
        .map(|n| world.job(submission(&[format!("found-{n}")])))
        .collect();
    for unread in (0..DUE_SHARDS).map(due_shard_name) {
        world.sim.queue.lose(QueueName::Enrich);
        world.sim.clock.advance(2 * HOUR);
        let subject = format!("due {unread}");
        world.faults(move |call| {
            if call.subject.starts_with(&subject) {
                Fault::FailBefore
            } else {
                Fault::Proceed
            }
        });
        let deadline = world.now().plus(MINUTE);
        let swept = world.call(async |p| sweep::step(p, crate::ENRICH_TIMEOUT, deadline).await);
        assert!(swept.is_err(), "{unread} is not reported");
        let readable = jobs.iter().filter(|job| due_shard(job) != unread).count();
        assert_eq!(
            world.sim.queue.peek(QueueName::Enrich).len(),
            readable,
            "while {unread} is not read"
        );
    }
}

#[test]
fn an_exchange_that_ended_later_undid_a_410() {
    let mut world = World::with(Options {
        enrichers: 2,
        dispatchers: 2,
        ..Options::default()
    });
    world
        .receiver
        .replies([Reply::status(200).after(10 * SECOND), Reply::status(410)]);
    world.job(submission(&["found-0"]));
    world.run_for(SECOND);
    world.job(submission(&["found-1"]));
    world.settle(HOUR);
    let answers: Vec<_> = world
        .receiver
        .exchanges()
        .iter()
        .map(|e| e.status)
        .collect();
    assert_eq!(answers, [Some(200), Some(410)]);
    // Longer than anything else is remembered of a receiver.
    world.sim.clock.advance(8 * 24 * HOUR);
    let id = world.job(submission(&["found-2"]));
    world.settle(HOUR);
    let delivery = world
        .call(async |p| read::delivery(p, &world.tenant.id, &id.delivery(0)).await)
        .unwrap();
    assert_eq!(delivery.reason.as_deref(), Some("endpoint_disabled"));
}

/// Runs the first chunk of the job once, for this message.
fn run(world: &World, message: &ChunkMessage) -> Result<ChunkOutcome, String> {
    let timeout = crate::ENRICH_TIMEOUT;
    let receipt = step::ChunkReceipt {
        lane: QueueName::Enrich,
        receives: 1,
        deadline: world.now().plus(timeout),
        timeout,
    };
    world
        .call(async |p| step::step(p, &world.registry, message, &receipt).await)
        .map_err(|error| error.to_string())
}

#[test]
fn a_run_that_resumed_took_the_hold_of_another() {
    let mut world = World::with(Options {
        enrichers: 0,
        ..Options::default()
    });
    let id = world.job(submission(&["found-0"]));
    let key = progress_key(&id, 0);
    let mut attributes = world.sim.store.peek(&key).unwrap().attributes;
    let held = world.now().plus(MINUTE).0;
    attributes.insert(held_attribute(0).to_owned(), Value::N(held));
    world.sim.store.place(&key, Some(attributes));
    let resume = |lease_until| ChunkMessage {
        lease_until,
        ..ChunkMessage::new(id.clone(), 0, Start::Resume)
    };
    assert_eq!(run(&world, &resume(Some(held - 1))), Ok(ChunkOutcome::NoOp));
    assert_eq!(run(&world, &resume(None)), Ok(ChunkOutcome::NoOp));
    assert_eq!(world.asked(), []);
    assert_eq!(run(&world, &resume(Some(held))), Ok(ChunkOutcome::Done));
}

#[test]
fn a_hold_whose_answer_was_lost_kept_its_own_run_out() {
    let mut world = World::with(Options {
        enrichers: 0,
        ..Options::default()
    });
    let id = world.job(submission(&["found-0"]));
    let mut once = true;
    world.faults(move |call| {
        let takes_chunk = call.op == Op::Update && call.subject.contains("PROGRESS#");
        if takes_chunk && std::mem::take(&mut once) {
            Fault::FailAfter
        } else {
            Fault::Proceed
        }
    });
    assert_eq!(
        run(&world, &ChunkMessage::new(id, 0, Start::Redrive)),
        Ok(ChunkOutcome::Done)
    );
}

#[test]
fn a_page_of_large_outcomes_had_eight_chunks_in_memory_at_once() {
    let mut world = World::new();
    let id = world.job(submission(&domains("big", 70)));
    world.settle(HOUR);
    let view = world.view(&id);
    assert_eq!(view.job.spec.chunks, 2);
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ranges);
    world.faults(move |call| {
        if call.op == Op::Query {
            seen.lock().unwrap().push(call.subject.clone());
        }
        Fault::Proceed
    });
    let page = world
        .call(async |p| read::results(p, &view, read::ResultCursor::default(), 1000).await)
        .unwrap();
    assert!(!page.lines.is_empty() && page.next.is_some());
    let both = |range: &String| range.contains("CHUNK#00000..") && range.contains("..=CHUNK#00001");
    let ranges = ranges.lock().unwrap();
    assert!(!ranges.is_empty() && !ranges.iter().any(both), "{ranges:?}");
}

#[test]
fn a_replay_repeated_under_one_key_was_two_attempts() {
    let mut world = World::new();
    world.receiver.answers([410]);
    let id = world.job(submission(&["found-0"]));
    world.settle(HOUR);
    let (tenant, key) = (
        world.tenant.id.clone(),
        Idempotency::new("again", "POST", "/replay", b""),
    );
    for _ in 0..3 {
        world
            .call(async |p| replay::replay(p, &tenant, &id.delivery(0), Some(&key)).await)
            .unwrap();
        world.settle(HOUR);
    }
    assert_eq!(world.receiver.exchanges().len(), 2);
}

#[test]
fn a_submission_was_refused_for_credits_that_were_there_again() {
    let mut world = World::with(Options {
        credits: 5,
        ..Options::default()
    });
    // The client reserves after another job, and reads what is left after that job's erasure.
    world.faults(|call| match (&*call.name, call.op) {
        ("client", Op::Transact) => Fault::Delay(5 * SECOND),
        ("client", Op::Get) if call.subject.ends_with("/CREDITS") => Fault::Delay(10 * SECOND),
        _ => Fault::Proceed,
    });
    let answer = Arc::new(Mutex::new(None));
    let (ports, registry, tenant) = (
        world.ports.clone(),
        world.registry.clone(),
        world.tenant.clone(),
    );
    let observed = Arc::clone(&answer);
    world.spawn("client", async move {
        let wanted = submission(&domains("found", 2));
        *observed.lock().unwrap() =
            Some(World::request(&ports, &registry, &tenant, wanted, None).await);
    });
    world.run_for(SECOND);
    let other = world.job(submission(&domains("slow60", 2)));
    world.run_for(7 * SECOND);
    let id = world.tenant.id.clone();
    world
        .call(async |p| delete::delete(p, &id, &other, ENRICH_TIMEOUT).await)
        .unwrap();
    world.run_for(MINUTE);
    let answer = answer.lock().unwrap().take().expect("an answer");
    let Ok(Accepted::Job { view, .. }) = answer else {
        panic!("{answer:?}")
    };
    world.learn(&view.job.spec.id, &id);
    world.settle(HOUR);
}

#[test]
fn results_read_during_an_erasure_were_an_error_of_ours() {
    let mut world = World::new();
    let id = world.job(submission(&["big-0", "big-1", "big-2", "big-3"]));
    world.settle(HOUR);
    let view = world.view(&id);
    // The erasure has reached one item of the result's overflow.
    world.faults(|call| {
        if call.op == Op::DeleteAll {
            Fault::FailBefore
        } else {
            Fault::Proceed
        }
    });
    let tenant = world.tenant.id.clone();
    world
        .call(async |p| delete::delete(p, &tenant, &id, ENRICH_TIMEOUT).await)
        .unwrap();
    world.faults(|_| Fault::Proceed);
    let items = world.sim.store.items();
    let overflow = items
        .iter()
        .find(|item| item.key.sk.contains("#RESULT#"))
        .expect("a result of several items");
    world
        .call(async |p| p.store.delete_all(vec![overflow.key.clone()]).await)
        .unwrap();
    let raw =
        world.call(async |p| read::results(p, &view, read::ResultCursor::default(), 10).await);
    assert!(
        matches!(raw, Err(StepError::Corrupt(_))),
        "half of the result is there: {raw:?}"
    );
    let gone = ApiError::NotFound { what: "job" };
    let page = world.call(async |p| read::page(p, &view, read::ResultCursor::default(), 10).await);
    assert_eq!(page, Err(gone.clone()));
    assert_eq!(
        world.call(async |p| read::entries(p, &view).await),
        Err(gone)
    );
    world.settle(HOUR);
}

/// A sender that counts how often its connections were given up.
struct Forgetful {
    inner: Arc<dyn HttpSender>,
    forgotten: AtomicUsize,
}

#[async_trait]
impl HttpSender for Forgetful {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        self.inner.send(request).await
    }

    fn forget_connections(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
    }

    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError> {
        self.inner.check(url, plain_http)
    }
}

#[test]
fn connections_that_died_between_two_invocations_were_used_again() {
    let mut world = World::new();
    let sender = Arc::new(Forgetful {
        inner: world.ports.http.clone(),
        forgotten: AtomicUsize::new(0),
    });
    world.ports.http = sender.clone();
    world.job(submission(&domains("found", 130)));
    world.settle(HOUR);
    let runs = world
        .happened()
        .iter()
        .filter(|happened| matches!(happened, Happened::ChunkOutcome { .. }))
        .count();
    assert_eq!((sender.forgotten.load(Ordering::SeqCst), runs), (runs, 3));
}
