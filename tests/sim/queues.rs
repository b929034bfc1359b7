//! Queues and a table that do what AWS's may do: it costs time and nothing else.

use std::time::Duration;

use shared::domain::error::ApiError;
use shared::domain::job::Status;
use shared::jobs::read;
use shared::ports::QueueName::{Enrich, EnrichBulk, Webhook, WebhookRetry};
use testkit::harness::{Happened, Options, World, domains, submission};
use testkit::sim::{Fault, Op, QueueFaults, Reply, StoreFaults};

use crate::crash::{ended, had_a_delivery};
use crate::{HOUR, MINUTE, SECOND};

const FAULTY_QUEUE: QueueFaults = QueueFaults {
    duplicate: 300,
    reorder: true,
    early_visibility: 300,
    undeleted: 200,
    late: 300,
    late_by: Duration::from_secs(400),
};

const FAULTY_STORE: StoreFaults = StoreFaults {
    index_lag: Duration::from_secs(5),
    stale: Duration::from_secs(3),
    expiry: Some(Duration::from_secs(2 * 24 * 3600)),
    transaction: Duration::from_millis(200),
};

/// Several jobs at once on a world like this; all of them end well.
fn jobs_end_well(options: Options) {
    let seed = options.seed;
    let mut world = World::with(options);
    world.receiver.replies([
        Reply::status(500),
        Reply::status(200).after(8 * SECOND),
        Reply::status(503),
    ]);
    let records = [
        "slow20-0", "found-1", "panic-2", "none-3", "poison-4", "big-5",
    ];
    let jobs: Vec<_> = (0..3).map(|_| world.job(submission(&records))).collect();
    world.settle(20 * HOUR);
    for id in &jobs {
        assert_eq!(
            ended(&world, id, &[Status::Completed]),
            Ok(()),
            "seed {seed}"
        );
        assert_eq!(had_a_delivery(&world, id), Ok(()), "seed {seed}");
    }
}

#[test]
fn queues_that_repeat_reorder_and_forget_cost_time_alone() {
    for seed in 0..20 {
        jobs_end_well(Options {
            seed,
            enrichers: 2,
            dispatchers: 2,
            queue: FAULTY_QUEUE,
            ..Options::default()
        });
    }
}

#[test]
fn a_table_that_lags_and_holds_its_items_costs_time_alone() {
    for seed in 0..20 {
        jobs_end_well(Options {
            seed,
            enrichers: 2,
            dispatchers: 2,
            store: FAULTY_STORE,
            ..Options::default()
        });
    }
}

#[test]
fn messages_that_all_became_dead_letters_cost_time_alone() {
    let mut world = World::new();
    // Every message is given up after one receive, and every process dies at its first call.
    world.sim.queue.configure(Duration::from_secs(30), 1);
    let id = world.job(submission(&domains("found", 130)));
    world.faults(|call| {
        if call.op == Op::GetMany {
            Fault::Die
        } else {
            Fault::Proceed
        }
    });
    let sent = world.sim.queue.peek(Enrich).len();
    world.options.sweeping = false;
    world.run_for(5 * MINUTE);
    assert_eq!(
        (
            sent,
            world.sim.queue.dead_letters(Enrich).len(),
            world.sim.queue.peek(Enrich).len()
        ),
        (3, 3, 0)
    );
    world.faults(|_| Fault::Proceed);
    world.options.sweeping = true;
    world.settle(HOUR);
    assert_eq!(ended(&world, &id, &[Status::Completed]), Ok(()));
    assert_eq!(
        (world.view(&id).counts().found, world.asked().len()),
        (130, 130)
    );
    assert_eq!(had_a_delivery(&world, &id), Ok(()));
}

#[test]
fn a_message_that_no_code_can_read_becomes_a_dead_letter_and_takes_no_neighbour_along() {
    let mut world = World::new();
    world.options.dispatchers = 0;
    let jobs: Vec<_> = (0..3)
        .map(|_| world.job(submission(&["found-0"])))
        .collect();
    world.run_for(SECOND);
    let nonsense = shared::ports::Message {
        body: "{".to_owned(),
        delay: Duration::ZERO,
        group: "acme".to_owned(),
    };
    world
        .call(async |p| p.queue.send(Webhook, vec![nonsense.clone()]).await)
        .expect("sent");
    world.options.dispatchers = 1;
    world.settle(HOUR);
    let unreadable = world
        .happened()
        .iter()
        .filter(|h| **h == Happened::Unreadable)
        .count();
    assert_eq!(
        (unreadable, world.sim.queue.dead_letters(Webhook).len()),
        (10, 1)
    );
    for id in &jobs {
        assert_eq!(had_a_delivery(&world, id), Ok(()));
    }
}

#[test]
fn a_process_that_dies_brings_back_its_whole_batch() {
    let mut world = World::new();
    // An origin that is known to be quick gets a whole batch at once.
    world.job(submission(&["found-0"]));
    world.settle(HOUR);
    let before = world.receiver.exchanges().len();
    world.options.dispatchers = 0;
    let jobs: Vec<_> = (0..3)
        .map(|_| world.job(submission(&["found-0"])))
        .collect();
    world.run_for(SECOND);
    let mut armed = true;
    world.faults(move |call| {
        let hit = call.op == Op::Http && std::mem::take(&mut armed);
        if hit { Fault::Die } else { Fault::Proceed }
    });
    world.options.dispatchers = 1;
    world.run_for(SECOND);
    assert_eq!(world.receiver.exchanges().len(), before);
    assert_eq!(
        [Webhook, WebhookRetry, EnrichBulk].map(|lane| world.sim.queue.peek(lane).len()),
        [3, 0, 0]
    );
    world.settle(HOUR);
    for id in &jobs {
        assert_eq!(had_a_delivery(&world, id), Ok(()));
    }
}

#[test]
fn what_expired_is_not_there_whenever_the_table_deletes_it() {
    let (day, mut lingered) = (24 * HOUR, false);
    for seed in 0..5 {
        let mut world = World::with(Options {
            seed,
            store: FAULTY_STORE,
            ..Options::default()
        });
        let id = world.job(submission(&["found-0", "none-1"]));
        world.settle(HOUR);
        world.options.sweeping = false;
        let head = shared::schema::meta_key(&id);
        let end = world.view(&id).job.spec.expires_at;
        let mut left = Vec::new();
        for _ in 0..34 * 4 {
            world.run_for(day / 4);
            let there = world.sim.store.peek(&head).is_some();
            let found = world.call(async |p| read::job(p, &world.tenant.id, &id).await);
            let over = world.now() >= end;
            assert_eq!(
                found == Err(ApiError::NotFound { what: "job" }),
                over,
                "seed {seed}: {found:?}"
            );
            left.push((over, there));
        }
        lingered |= left.contains(&(true, true));
        assert_eq!(left.last(), Some(&(true, false)), "seed {seed}");
    }
    assert!(lingered, "the table deleted everything at once");
}
