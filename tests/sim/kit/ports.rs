//! The simulation's own promises: time, faults, determinism.

use std::cell::RefCell;
use std::time::Duration;

use shared::ports::{
    Change, Clock, Condition, HttpError, HttpRequest, HttpSender, Item, Key, Message, Put, Query,
    Queue, QueueName, Select, Store, StoreError, Update, Value, Write, within,
};

use testkit::sim::{Ended, Fault, LateEffects, Op, QueueFaults, Reply, Sim, StoreFaults, at};

fn key(sk: &str) -> Key {
    Key {
        pk: "P".to_owned(),
        sk: sk.to_owned(),
    }
}

fn put(sk: &str) -> Put {
    Put {
        item: Item {
            key: key(sk),
            attributes: [("n".to_owned(), Value::N(1))].into(),
        },
        condition: None,
    }
}

fn message(body: &str) -> Message {
    Message {
        body: body.to_owned(),
        delay: Duration::ZERO,
        group: "t".to_owned(),
    }
}

fn request(url: &str) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        deadline: Duration::from_secs(5),
        plain_http: false,
        max_response_bytes: 4,
    }
}

#[test]
fn sleeping_costs_no_time_and_abandoned_sleeps_move_none() {
    let sim = Sim::new(1);
    let start = sim.clock.now();
    let clock = &*sim.clock;
    sim.finish(async {
        assert_eq!(
            within(
                clock,
                Duration::from_hours(1),
                clock.sleep(Duration::from_secs(2))
            )
            .await,
            Some(())
        );
        assert_eq!(
            within(clock, Duration::from_secs(3), std::future::pending::<()>()).await,
            None
        );
    });
    assert_eq!(sim.clock.now().since(start), Duration::from_secs(5));
    assert_eq!(sim.clock.next_timer(), None);
}

#[test]
fn work_that_waits_for_nothing_is_stuck() {
    assert_eq!(Sim::new(1).run(std::future::pending::<()>()), Ended::Stuck);
}

#[test]
fn each_fault_does_what_it_says() {
    let outcome = |fault| {
        let sim = Sim::new(1);
        sim.gate.inject(at(1, fault));
        let ended = sim.run(sim.store.put(put("a")));
        (ended, sim.store.peek(&key("a")).is_some())
    };
    let lost = || {
        Ended::Done(Err(StoreError::Unavailable(
            "lost in the simulation".to_owned(),
        )))
    };
    assert_eq!(outcome(Fault::Proceed), (Ended::Done(Ok(())), true));
    assert_eq!(outcome(Fault::FailBefore), (lost(), false));
    assert_eq!(outcome(Fault::FailAfter), (lost(), true));
    assert_eq!(outcome(Fault::Die), (Ended::Died, false));
    assert_eq!(outcome(Fault::DieAfter), (Ended::Died, true));
    assert_eq!(
        outcome(Fault::Throttle),
        (Ended::Done(Err(StoreError::Throttled)), false)
    );
    assert_eq!(
        outcome(Fault::Delay(Duration::from_secs(9))),
        (Ended::Done(Ok(())), true)
    );
}

/// A put under the condition that nothing is there, with this fault, and what was there then and
/// ten seconds later. Where `between` says so, another put comes in between.
fn put_late(
    fault: Fault,
    between: bool,
) -> (Ended<Result<(), StoreError>>, [Option<i64>; 2], LateEffects) {
    let sim = Sim::new(1);
    sim.gate.inject(at(1, fault));
    let fresh = |n| {
        let item = Item {
            attributes: [("n".to_owned(), Value::N(n))].into(),
            ..put("a").item
        };
        Put {
            item,
            condition: Some(Condition::ItemAbsent),
        }
    };
    let there = || {
        sim.store.peek(&key("a")).map(|item| {
            if item.attributes["n"] == Value::N(1) {
                1
            } else {
                2
            }
        })
    };
    let ended = sim.run(sim.store.put(fresh(1)));
    let then = there();
    if between {
        let _ = sim.finish(sim.store.put(fresh(2)));
    }
    let owed = sim.clock.owes();
    sim.clock.advance(Duration::from_secs(10));
    assert_eq!(
        (owed, sim.clock.owes()),
        (sim.gate.late_effects() != LateEffects::default(), false)
    );
    (ended, [then, there()], sim.gate.late_effects())
}

#[test]
fn a_write_that_was_given_up_takes_effect_later_if_its_condition_holds_then() {
    let (applied, refused) = (
        LateEffects {
            applied: 1,
            refused: 0,
        },
        LateEffects {
            applied: 0,
            refused: 1,
        },
    );
    let lost = || {
        Ended::Done(Err(StoreError::Unavailable(
            "lost in the simulation".to_owned(),
        )))
    };
    let by = Duration::from_secs(3);
    assert_eq!(
        put_late(Fault::Late(by), false),
        (lost(), [None, Some(1)], applied)
    );
    assert_eq!(
        put_late(Fault::Late(by), true),
        (lost(), [None, Some(2)], refused)
    );
    assert_eq!(
        put_late(Fault::DieLate(by), false),
        (Ended::Died, [None, Some(1)], applied)
    );
    assert_eq!(
        put_late(Fault::DieLate(by), true),
        (Ended::Died, [None, Some(2)], refused)
    );
    assert_eq!(
        put_late(Fault::Again(by), false),
        (Ended::Done(Ok(())), [Some(1), Some(1)], refused)
    );
}

#[test]
fn every_kind_of_write_can_take_effect_later_and_no_read_can() {
    let sim = Sim::new(1);
    sim.gate.start_trace();
    sim.gate.inject(|_| Fault::Late(Duration::from_secs(1)));
    let update = Update {
        key: key("b"),
        changes: vec![Change::Add("n", 1)],
        condition: None,
    };
    sim.finish(async {
        assert!(sim.store.put(put("a")).await.is_err());
        assert!(sim.store.update(update).await.is_err());
        assert!(
            sim.store
                .transact(vec![Write::Put(put("c")), Write::Put(put("d"))])
                .await
                .is_err()
        );
        assert!(sim.store.put_all(vec![put("e").item]).await.is_err());
        assert!(sim.store.get(&key("a")).await.is_err());
        assert!(
            sim.queue
                .send(QueueName::Enrich, vec![message("m")])
                .await
                .is_err()
        );
    });
    assert_eq!(
        (
            sim.store.items().len(),
            sim.queue.peek(QueueName::Enrich).len()
        ),
        (0, 0)
    );
    sim.clock.advance(Duration::from_secs(1));
    assert_eq!(
        (
            sim.store.items().len(),
            sim.queue.peek(QueueName::Enrich).len()
        ),
        (5, 1)
    );
    assert_eq!(
        sim.gate.late_effects(),
        LateEffects {
            applied: 5,
            refused: 0
        }
    );
    assert!(
        sim.gate
            .trace()
            .iter()
            .any(|line| line.ends_with("Update P/b late -> ok")),
        "{:#?}",
        sim.gate.trace()
    );
    let receipt = sim.queue.receive(QueueName::Enrich, 1)[0].receipt.clone();
    sim.finish(async {
        assert!(
            sim.store
                .delete_all(vec![key("a"), key("b")])
                .await
                .is_err()
        );
        assert!(
            sim.queue
                .postpone(QueueName::Enrich, &receipt, Duration::from_secs(5))
                .await
                .is_err()
        );
    });
    assert_eq!(sim.store.items().len(), 5);
    sim.clock.advance(Duration::from_secs(1));
    assert_eq!((sim.store.items().len(), sim.clock.owes()), (3, false));
    sim.clock.advance(Duration::from_secs(5));
    assert_eq!(sim.queue.receive(QueueName::Enrich, 1).len(), 1);
}

#[test]
fn a_batch_can_take_effect_in_part() {
    let sim = Sim::new(1);
    sim.gate.inject(at(2, Fault::FailPartly));
    let items = (0..45).map(|n| put(&format!("{n:02}")).item).collect();
    assert!(matches!(
        sim.finish(sim.store.put_all(items)),
        Err(StoreError::Unavailable(_))
    ));
    assert_eq!(sim.store.items().len(), 25 + 10);
    assert_eq!(sim.gate.count(Op::PutAll), 2);
}

#[test]
fn no_branch_of_a_dead_process_has_an_effect() {
    let sim = Sim::new(1);
    sim.gate.inject(|call| {
        if call.subject == "P/a" {
            Fault::Die
        } else {
            Fault::Proceed
        }
    });
    let both = async {
        let (a, b) =
            futures_util::future::join(sim.store.put(put("a")), sim.store.put(put("b"))).await;
        a.and(b)
    };
    assert_eq!(sim.run(both), Ended::Died);
    assert_eq!(sim.store.items(), []);
}

#[test]
fn hosts_answer_late_wrongly_and_too_much() {
    let sim = Sim::new(1);
    sim.http
        .on("https://a.example/", |_| Reply::body(200, "hello"));
    sim.http.on("https://a.example/slow", |_| {
        Reply::status(200).after(Duration::from_secs(6))
    });
    sim.http.refuse("https://10.", HttpError::Blocked);
    let start = sim.clock.now();
    let answer = sim
        .finish(sim.http.send(request("https://a.example/x?secret")))
        .unwrap();
    assert_eq!(
        (answer.status, answer.body.as_slice(), answer.truncated),
        (200, b"hell".as_slice(), true)
    );
    assert_eq!(sim.clock.now(), start);
    assert_eq!(
        sim.finish(sim.http.send(request("https://a.example/slow"))),
        Err(HttpError::Timeout)
    );
    assert_eq!(sim.clock.now().since(start), Duration::from_secs(5));
    assert_eq!(
        sim.finish(sim.http.send(request("https://10.0.0.1/"))),
        Err(HttpError::Blocked)
    );
    assert_eq!(sim.http.sent().len(), 2);
}

#[test]
fn messages_come_back_until_they_are_dead_letters() {
    let sim = Sim::new(1);
    sim.queue.configure(Duration::from_secs(30), 2);
    sim.finish(sim.queue.send(QueueName::Webhook, vec![message("m")]))
        .unwrap();
    for count in 1..=2 {
        let got = sim.queue.receive(QueueName::Webhook, 10);
        assert_eq!(
            got.iter().map(|m| m.receive_count).collect::<Vec<_>>(),
            [count]
        );
        assert_eq!(sim.queue.receive(QueueName::Webhook, 10), []);
        sim.clock.advance_to(sim.queue.next_visible().unwrap());
    }
    assert_eq!(sim.queue.receive(QueueName::Webhook, 10), []);
    assert_eq!(sim.queue.dead_letters(QueueName::Webhook).len(), 1);
    assert_eq!(sim.queue.peek(QueueName::Webhook), []);
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let trace = |seed| {
        let sim = Sim::new(seed);
        sim.gate.start_trace();
        let mut schedule = sim.schedule(seed);
        for process in 0..4 {
            let (store, clock) = (&*sim.store, &*sim.clock);
            schedule.spawn(format!("writer {process}"), async move {
                for n in 0..5 {
                    store.put(put(&format!("{process}.{n}"))).await.unwrap();
                    clock.sleep(Duration::from_millis(process)).await;
                }
            });
        }
        assert!(schedule.run());
        sim.gate.trace()
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
    assert_eq!(trace(3).len(), 20);
}

#[test]
fn a_killed_process_leaves_the_others_running() {
    let sim = Sim::new(1);
    let done = RefCell::new(Vec::new());
    let mut schedule = sim.schedule(1);
    let (clock, done_ref) = (&*sim.clock, &done);
    let wait = |name: &'static str, seconds| async move {
        clock.sleep(Duration::from_secs(seconds)).await;
        done_ref.borrow_mut().push(name);
    };
    let first = schedule.spawn("first", wait("first", 10));
    schedule.spawn("second", wait("second", 20));
    schedule.run_for(Duration::from_secs(5));
    schedule.kill(first);
    assert!(schedule.run());
    drop(schedule);
    assert_eq!(*done.borrow(), ["second"]);
}

#[test]
fn units_follow_the_published_rules() {
    let sim = Sim::new(1);
    let attributes = [
        ("due_shard".to_owned(), Value::S("0".to_owned())),
        ("due".to_owned(), Value::N(5)),
        ("body".to_owned(), Value::B(vec![0; 1500])),
    ];
    let item = Item {
        key: key("a"),
        attributes: attributes.into(),
    };
    sim.finish(sim.store.put(Put {
        item,
        condition: None,
    }))
    .unwrap();
    let units = sim.store.units();
    assert_eq!((units.writes, units.index_writes), (2, 1));
    // Moving `due` is a deletion and an insertion in the index.
    let changes = vec![Change::Set("due", Value::N(6))];
    sim.finish(sim.store.update(Update {
        key: key("a"),
        changes,
        condition: None,
    }))
    .unwrap();
    let units = sim.store.units();
    assert_eq!((units.writes, units.index_writes), (4, 3));
    sim.finish(sim.store.get(&key("a"))).unwrap();
    assert_eq!(sim.store.units().half_reads, 2);
}

#[test]
fn a_queue_misbehaves_as_it_is_told() {
    let received = |faults: QueueFaults| {
        let sim = Sim::new(1);
        sim.queue.configure(Duration::from_secs(30), 10);
        sim.queue.misbehave(faults, 7);
        let messages = ["a", "b", "c", "d"].map(message).to_vec();
        sim.finish(sim.queue.send(QueueName::Webhook, messages))
            .unwrap();
        let mut bodies = Vec::new();
        for _ in 0..3 {
            for received in sim.queue.receive(QueueName::Webhook, 10) {
                sim.queue.delete(QueueName::Webhook, &received.receipt);
                bodies.push(received.body);
            }
            sim.clock.advance(Duration::from_secs(31));
        }
        bodies.concat()
    };
    let none = QueueFaults::default();
    assert_eq!(received(none), "abcd");
    assert_eq!(
        received(QueueFaults {
            duplicate: 1000,
            ..none
        }),
        "aabbccdd"
    );
    assert_eq!(
        received(QueueFaults {
            undeleted: 1000,
            ..none
        }),
        "abcdabcdabcd"
    );
    let mixed = received(QueueFaults {
        reorder: true,
        ..none
    });
    assert!(mixed != "abcd" && mixed.len() == 4, "{mixed}");
    let late = received(QueueFaults {
        late: 1000,
        late_by: Duration::from_secs(60),
        ..none
    });
    assert!(late.len() == 4 && late != "abcd", "{late}");
}

#[test]
fn a_message_can_come_again_before_its_visibility_time_out() {
    let sim = Sim::new(1);
    sim.queue.misbehave(
        QueueFaults {
            early_visibility: 1000,
            ..QueueFaults::default()
        },
        7,
    );
    sim.finish(sim.queue.send(QueueName::Webhook, vec![message("a")]))
        .unwrap();
    let first = sim.queue.receive(QueueName::Webhook, 1);
    let again = sim.queue.next_visible().unwrap();
    assert!(again.since(sim.clock.now()) < Duration::from_mins(12));
    sim.clock.advance_to(again);
    assert_eq!(sim.queue.receive(QueueName::Webhook, 1)[0].receive_count, 2);
    // Who was first has an old receipt by now.
    sim.queue.delete(QueueName::Webhook, &first[0].receipt);
    assert_eq!(sim.queue.peek(QueueName::Webhook).len(), 1);
}

fn due_item(sk: &str, at: i64) -> Put {
    let attributes = [
        ("due_shard".to_owned(), Value::S("0".to_owned())),
        ("due".to_owned(), Value::N(at)),
    ];
    Put {
        item: Item {
            key: key(sk),
            attributes: attributes.into(),
        },
        condition: None,
    }
}

fn due_at(sim: &Sim) -> Vec<i64> {
    let select = Select::Due {
        due_shard: "0".to_owned(),
        until: i64::MAX,
    };
    let query = Query {
        select,
        limit: 100,
        descending: false,
        consistent: false,
    };
    let found = sim.finish(sim.store.query(&query)).unwrap();
    found
        .iter()
        .map(|item| {
            if let Value::N(at) = item.attributes["due"] {
                at
            } else {
                0
            }
        })
        .collect()
}

#[test]
fn an_index_lags_and_keeps_the_order_of_an_items_writes() {
    for seed in 0..20 {
        let sim = Sim::new(1);
        sim.store.misbehave(
            StoreFaults {
                index_lag: Duration::from_secs(5),
                ..StoreFaults::default()
            },
            seed,
        );
        let mut shown = Vec::new();
        for at in 1..=3 {
            sim.finish(sim.store.put(due_item("a", at))).unwrap();
            shown.extend(due_at(&sim));
            sim.clock.advance(Duration::from_secs(1));
        }
        for _ in 0..6 {
            shown.extend(due_at(&sim));
            sim.clock.advance(Duration::from_secs(1));
        }
        assert!(shown.is_sorted(), "seed {seed}: {shown:?}");
        assert_eq!(due_at(&sim), [3]);
        assert!(
            shown.len() < 9 || shown[1] == 1,
            "seed {seed}: nothing lagged: {shown:?}"
        );
    }
}

#[test]
fn a_read_that_asks_for_nothing_better_is_stale_and_never_from_the_future() {
    let sim = Sim::new(1);
    sim.store.misbehave(
        StoreFaults {
            stale: Duration::from_secs(10),
            ..StoreFaults::default()
        },
        7,
    );
    let read = |consistent| {
        let select = Select::Partition {
            pk: "P".to_owned(),
            from: "a".to_owned(),
            to: "b".to_owned(),
        };
        let query = Query {
            select,
            limit: 100,
            descending: false,
            consistent,
        };
        sim.finish(sim.store.query(&query)).unwrap().len()
    };
    sim.clock.advance(Duration::from_secs(60));
    sim.finish(sim.store.put(put("a"))).unwrap();
    sim.clock.advance(Duration::from_secs(5));
    let seen: Vec<usize> = (0..40).map(|_| read(false)).collect();
    assert!(seen.contains(&0) && seen.contains(&1), "{seen:?}");
    assert!((0..40).all(|_| read(true) == 1));
    sim.clock.advance(Duration::from_secs(6));
    assert!((0..40).all(|_| read(false) == 1));
    sim.finish(sim.store.delete_all(vec![key("a")])).unwrap();
    sim.clock.advance(Duration::from_secs(1));
    let seen: Vec<usize> = (0..40).map(|_| read(false)).collect();
    assert!(seen.contains(&0) && seen.contains(&1), "{seen:?}");
}

#[test]
fn what_expires_is_deleted_late_and_never_early() {
    let sim = Sim::new(1);
    let day = Duration::from_secs(24 * 3600);
    sim.store.misbehave(
        StoreFaults {
            expiry: Some(2 * day),
            ..StoreFaults::default()
        },
        7,
    );
    sim.store.note_changes();
    let end = sim.clock.now().plus(day);
    for n in 0..20 {
        let attributes = [("expires_at".to_owned(), Value::N(end.seconds()))];
        let item = Item {
            key: key(&n.to_string()),
            attributes: attributes.into(),
        };
        sim.finish(sim.store.put(Put {
            item,
            condition: None,
        }))
        .unwrap();
    }
    sim.clock.advance_to(end.minus(Duration::from_secs(1)));
    assert_eq!(
        (sim.store.items().len(), sim.store.take_changes().len()),
        (20, 20)
    );
    sim.clock.advance(day);
    let left = sim.store.items().len();
    assert!(0 < left && left < 20, "{left}");
    sim.clock.advance(day + Duration::from_secs(1));
    assert_eq!(sim.store.items(), []);
    let changes = sim.store.take_changes();
    assert!(changes.len() == 20 && changes.iter().all(|change| change.after.is_none()));
}

#[test]
fn transactions_that_meet_conflict_and_the_dead_let_go() {
    let sim = Sim::new(1);
    sim.store.misbehave(
        StoreFaults {
            transaction: Duration::from_secs(60),
            ..StoreFaults::default()
        },
        7,
    );
    let answers = RefCell::new(Vec::new());
    let mut schedule = sim.schedule(1);
    let (store, clock, answers_ref) = (&*sim.store, &*sim.clock, &answers);
    let doomed = schedule.spawn("doomed", async move {
        let _ = store.transact(vec![Write::Put(put("b"))]).await;
    });
    schedule.spawn("first", async move {
        let answer = store.transact(vec![Write::Put(put("a"))]).await;
        answers_ref.borrow_mut().push(("first", answer));
    });
    schedule.spawn("second", async move {
        clock.sleep(Duration::from_millis(1)).await;
        let both = store
            .transact(vec![Write::Put(put("c")), Write::Put(put("a"))])
            .await;
        answers_ref.borrow_mut().push(("second", both));
        let single = store.put(put("a")).await;
        answers_ref.borrow_mut().push(("single", single));
    });
    schedule.run_for(Duration::from_millis(2));
    schedule.kill(doomed);
    assert!(schedule.run());
    drop(schedule);
    let conflict = Err(StoreError::Conflict);
    assert_eq!(
        *answers.borrow(),
        [
            ("second", conflict.clone()),
            ("single", conflict),
            ("first", Ok(()))
        ]
    );
    assert_eq!(sim.finish(sim.store.put(put("b"))), Ok(()));
}

#[test]
fn changes_say_what_was_there_and_which_belong_together() {
    let sim = Sim::new(1);
    sim.store.note_changes();
    sim.finish(sim.store.put(put("a"))).unwrap();
    sim.finish(sim.store.put(put("a"))).unwrap();
    let check = Write::Check {
        key: key("a"),
        condition: Condition::ItemExists,
    };
    sim.finish(
        sim.store
            .transact(vec![Write::Put(put("b")), check, Write::Put(put("c"))]),
    )
    .unwrap();
    sim.finish(sim.store.delete_all(vec![key("a")])).unwrap();
    let changes = sim.store.take_changes();
    let said: Vec<_> = changes
        .iter()
        .map(|c| {
            (
                c.key.sk.as_str(),
                c.before.is_some(),
                c.after.is_some(),
                c.write,
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("a", false, true, 1),
            ("b", false, true, 3),
            ("c", false, true, 3),
            ("a", true, false, 4)
        ]
    );
    assert_eq!(sim.store.take_changes(), []);
}
