//! The sweep: each gap it is there for, repaired, once.

use shared::domain::job::{Status, Submission};
use shared::ports::{QueueName, Value};
use shared::schema::delivery_key;
use testkit::harness::{Happened, Options, World, domains, submission};
use testkit::sim::{Fault, Op};

use crate::{HOUR, MINUTE, SECOND};

/// Lets the first call of this kind that matches go wrong.
fn once(world: &World, op: Op, subject: &'static str, fault: Fault) {
    let mut armed = true;
    world.faults(move |call| {
        let hit = call.op == op && call.subject.contains(subject) && std::mem::take(&mut armed);
        if hit { fault } else { Fault::Proceed }
    });
}

#[test]
fn two_sweeps_at_once_redrive_once() {
    for seed in 0..20 {
        let mut world = World::with(Options {
            seed,
            sweeping: false,
            enrichers: 0,
            ..Options::default()
        });
        world.job(submission(&domains("found", 100)));
        world.sim.queue.lose(QueueName::Enrich);
        world.sim.clock.advance(61 * SECOND);
        world.sweep();
        world.sweep();
        world.run_for(SECOND);
        assert_eq!(world.swept().redriven_chunks, 2, "seed {seed}");
        assert_eq!(
            world.sim.queue.peek(QueueName::Enrich).len(),
            2,
            "seed {seed}"
        );
    }
}

#[test]
fn the_lost_chunks_of_a_large_job_all_went_through_the_bulk_lane() {
    let mut world = World::with(Options {
        enrichers: 0,
        sweeping: false,
        ..Options::default()
    });
    let lanes = |world: &World| {
        [QueueName::Enrich, QueueName::EnrichBulk].map(|lane| world.sim.queue.peek(lane).len())
    };
    let lose = |world: &World| {
        [QueueName::Enrich, QueueName::EnrichBulk].map(|lane| world.sim.queue.lose(lane))
    };
    world.job(submission(&domains("found", 1000)));
    let [fast, bulk] = lanes(&world);
    assert_eq!(i64::try_from(fast).unwrap(), world.options.fast_chunks);
    lose(&world);
    world.sim.clock.advance(61 * SECOND);
    world.sweep();
    world.run_for(SECOND);
    assert_eq!(lanes(&world), [fast, bulk], "not as at submit");
    // The share is the tenant's: with another of its jobs open, it is used up by that one's chunks.
    world.job(submission(&domains("found", 1000)));
    lose(&world);
    world.sim.clock.advance(5 * MINUTE);
    world.sweep();
    world.run_for(SECOND);
    assert_eq!(
        lanes(&world),
        [0, 2 * (fast + bulk)],
        "a tenant's two jobs had a share each"
    );
    world.options = Options {
        enrichers: 4,
        sweeping: true,
        ..world.options
    };
    world.settle(6 * HOUR);
}

#[test]
fn what_was_accepted_and_never_enqueued_runs_within_two_minutes() {
    let mut world = World::new();
    once(&world, Op::Send, "", Fault::FailBefore);
    let id = world.job(submission(&domains("found", 10)));
    world.settle(2 * MINUTE + SECOND);
    assert_eq!(world.view(&id).counts().found, 10);
}

#[test]
fn a_lost_message_is_sent_again() {
    let mut world = World::with(Options {
        enrichers: 2,
        ..Options::default()
    });
    let id = world.job(submission(&domains("slow1", 200)));
    world.run_for(2 * SECOND);
    world.sim.queue.lose(QueueName::Enrich);
    world.settle(10 * MINUTE);
    assert_eq!(world.view(&id).counts().found, 200);
}

#[test]
fn a_dead_worker_is_replaced_before_the_queue_would() {
    let mut world = World::new();
    let id = world.job(submission(&domains("slow20", 10)));
    world.run_for(5 * SECOND);
    world.kill_enrichers();
    let start = world.now();
    let done = world.run_until(HOUR, |world| !world.view(&id).job.status.is_live());
    assert!(
        done && world.now().since(start) < 5 * MINUTE,
        "{:?}",
        world.now().since(start)
    );
    world.settle(HOUR);
}

#[test]
fn an_end_whose_writer_died_is_written() {
    let mut world = World::new();
    world.job(submission(&domains("found", 10)));
    once(&world, Op::Transact, "META", Fault::Die);
    world.settle(HOUR);
    assert_eq!(world.swept().finished, 1);
}

#[test]
fn a_lost_task_is_sent_again() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0"]));
    once(&world, Op::Send, "Webhook", Fault::FailBefore);
    world.settle(5 * MINUTE);
    assert_eq!(world.receiver.exchanges().len(), 1);
    assert_eq!(world.swept().redriven_deliveries, 1);
    assert_eq!(world.view(&id).status(), Status::Completed);
}

#[test]
fn a_far_attempt_is_handed_to_the_queue_fourteen_minutes_before() {
    let mut world = World::new();
    let schedule = Some(vec![3600]);
    world
        .call(async |p| {
            shared::maintenance::tenants::set_webhook_schedule(
                p,
                &world.tenant.id,
                schedule.clone(),
            )
            .await
        })
        .unwrap();
    world.receiver.answers([500]);
    world.job(submission(&["found-0"]));
    let start = world.now();
    world.run_for(45 * MINUTE);
    assert_eq!(world.sim.queue.next_visible(), None);
    world.run_for(2 * MINUTE);
    assert_eq!(world.sim.queue.next_visible(), Some(start.plus(HOUR)));
    world.settle(HOUR);
    let times: Vec<_> = world
        .receiver
        .exchanges()
        .iter()
        .map(|e| e.at.since(start))
        .collect();
    assert_eq!(times, [std::time::Duration::ZERO, HOUR]);
}

#[test]
fn a_job_that_moves_is_left_alone() {
    let mut world = World::new();
    // Chunk after chunk takes most of a minute, on one worker.
    let domains: Vec<String> = (0..600).map(|n| format!("slow12-{n}")).collect();
    let id = world.job(submission(&domains));
    world.settle(HOUR);
    assert_eq!(world.view(&id).counts().found, 600);
    assert_eq!(world.swept().redriven_chunks, 0);
    assert!(domains.iter().all(|d| world.asked_of(d) == 1));
}

#[test]
fn a_job_that_stands_still_is_looked_at_less_and_less_often() {
    let mut world = World::new();
    world.options.enrichers = 0;
    world.job(submission(&domains("found", 10)));
    world.run_for(5 * HOUR);
    // After 1, 3, 7, 15 and 31 minutes, then every 30.
    let redriven = world.swept().redriven_chunks;
    assert!((10..=16).contains(&redriven), "{redriven}");
    world.options.enrichers = 1;
    world.settle(HOUR);
}

#[test]
fn redrives_that_waited_together_do_not_give_a_healthy_chunk_up() {
    // No process died: the queue was slow, and then delivered everything at once.
    let mut world = World::new();
    world.options.enrichers = 0;
    let id = world.job(submission(&domains("slow20", 10)));
    world.run_for(8 * HOUR);
    world.options.enrichers = 20;
    world.settle(HOUR);
    assert_eq!(world.view(&id).counts().found, 10);
}

#[test]
fn healthy_records_of_a_lane_that_was_behind_were_given_up_as_lost() {
    // No process died: each chunk takes many invocations, and its messages wait longer than a lease
    // lasts.
    let mut world = World::new();
    let id = world.job(Submission {
        kind: "patient".to_owned(),
        ..submission(&domains("slow60", 500))
    });
    assert!(
        world.run_until(20 * HOUR, |world| !world.view(&id).status().is_live()),
        "the job has not ended"
    );
    assert_eq!(
        (
            world.view(&id).counts().found,
            world.view(&id).counts().failed
        ),
        (500, 0)
    );
    world.settle(HOUR);
}

#[test]
fn deliveries_that_expired_stayed_due_for_ever() {
    let mut world = World::new();
    world
        .receiver
        .from_then_on(testkit::sim::Reply::status(500));
    let id = world.job(submission(&["found-0"]));
    world.run_for(MINUTE);
    // Its time is over, and the table has not removed it yet.
    let key = delivery_key(&id.delivery(0));
    let mut attributes = world.sim.store.peek(&key).unwrap().attributes;
    attributes.insert("expires_at".to_owned(), Value::N(world.now().seconds()));
    world.sim.store.place(&key, Some(attributes));
    world.run_for(HOUR);
    let left = world.sim.store.peek(&key).unwrap();
    assert!(
        !left.attributes.contains_key("due"),
        "the sweep meets it every minute, before all others"
    );
}

#[test]
fn an_item_that_cannot_be_read_kept_its_place_at_the_front() {
    let mut world = World::new();
    let id = world.job(submission(&["found-0"]));
    world.sim.queue.lose(QueueName::Enrich);
    let key = shared::schema::meta_key(&id);
    let whole = world.sim.store.peek(&key).unwrap().attributes;
    let mut mutation = whole.clone();
    mutation.insert("spec".to_owned(), Value::S("{}".to_owned()));
    world.sim.store.place(&key, Some(mutation));
    world.run_for(10 * MINUTE);
    let errors = world.swept().errors;
    assert!(
        (1..=4).contains(&errors),
        "{errors} looks at an item that cannot be read"
    );
}

#[test]
fn the_sweep_costs_little_when_there_is_nothing_to_do() {
    let mut world = World::new();
    world.run_for(HOUR + SECOND);
    let runs = world
        .happened()
        .iter()
        .filter(|h| matches!(h, Happened::Swept(_)))
        .count();
    assert_eq!(runs, 60);
    assert_eq!(world.sim.gate.calls(), 60 * 8);
}
