//! Random histories, the same on the simulation and on the emulator, to find what the cases miss.

use std::collections::BTreeSet;

use shared::ports::{
    Attributes, Change, Condition, Item, Key, Put, Query, Select, Store, StoreError, Update, Value,
    Write,
};
use testkit::sim::{Sim, SimEntropy};

use crate::emulator::{Emulator, EmulatorName, TABLE};
use crate::wire;

const NAMES: [&str; 4] = ["a", "b", "due", "due_shard"];

struct Random {
    dice: SimEntropy,
    /// The emulator under test: steps where it differs are left out.
    kind: EmulatorName,
}

impl Random {
    fn below(&self, bound: usize) -> usize {
        self.dice.below(bound)
    }

    fn small(&self) -> i64 {
        i64::try_from(self.below(7)).unwrap() - 3
    }

    fn name(&self) -> &'static str {
        NAMES[self.below(NAMES.len())]
    }

    fn set(&self) -> BTreeSet<String> {
        // Now and then an empty one, which is refused.
        (0..self.below(12).min(3))
            .map(|_| self.below(5).to_string())
            .collect()
    }

    /// Mostly a value that fits the attribute; at times one that an index key or an addition
    /// refuses. Moto takes an index key of any type, so it gets only values that fit.
    fn value(&self, name: &str) -> Value {
        let odd = usize::from(self.kind == EmulatorName::Moto && name.starts_with("due"));
        match (name, self.below(10).max(odd)) {
            ("due_shard", 1..) => Value::S(["x", "y"][self.below(2)].to_owned()),
            ("due", 1..) | (_, 0..5) => Value::N(self.small()),
            (_, 5..7) => Value::S(self.below(3).to_string()),
            (_, 7) => Value::B(vec![1, 2]),
            _ => Value::Ss(self.set()),
        }
    }

    /// An attribute to compare with a number. Moto fails on other types, so it gets one that is
    /// always a number.
    fn compared(&self) -> &'static str {
        if self.kind == EmulatorName::Moto {
            "due"
        } else {
            self.name()
        }
    }

    fn condition(&self, depth: usize) -> Condition {
        let name = self.name();
        let parts = |random: &Self| {
            (0..=random.below(2))
                .map(|_| random.condition(depth + 1))
                .collect()
        };
        match self.below(if depth < 2 { 9 } else { 7 }) {
            0 => Condition::ItemAbsent,
            1 | 2 => Condition::ItemExists,
            3 => Condition::Equals(name, self.value(name)),
            4 => Condition::Absent(name),
            5 => Condition::AtMost(self.compared(), self.small()),
            6 => Condition::AtLeast(self.compared(), self.small()),
            7 => Condition::All(parts(self)),
            _ => Condition::Any(parts(self)),
        }
    }

    fn optional(&self) -> Option<Condition> {
        (self.below(3) > 0).then(|| self.condition(0))
    }

    /// Index keys keep their type: AWS does not document whether the type or the condition is
    /// checked first.
    fn change(&self) -> Change {
        let name = self.name();
        let value = match name {
            "due" => Value::N(self.small()),
            "due_shard" => Value::S("x".to_owned()),
            _ => self.value(name),
        };
        match (self.below(6), name) {
            (3, "a" | "b" | "due") => Change::Add(name, self.small()),
            (4, "a" | "b") => Change::AddToSet(name, self.set()),
            (5, _) => Change::Remove(name),
            (2, _) => Change::SetIfAbsent(name, value),
            _ => Change::Set(name, value),
        }
    }

    fn put(&self, key: Key) -> Put {
        let names: BTreeSet<&str> = (0..self.below(4)).map(|_| self.name()).collect();
        let attributes: Attributes = names
            .into_iter()
            .map(|name| (name.to_owned(), self.value(name)))
            .collect();
        Put {
            item: Item { key, attributes },
            condition: self.optional(),
        }
    }

    fn update(&self, key: Key) -> Update {
        let changes = (0..=self.below(3)).map(|_| self.change()).collect();
        Update {
            key,
            changes,
            condition: self.optional(),
        }
    }

    fn key(&self, seed: u64) -> Key {
        Key {
            pk: format!("history-{seed}"),
            sk: self.below(4).to_string(),
        }
    }

    fn write(&self, key: Key) -> Write {
        match self.below(5) {
            0 | 1 => Write::Put(self.put(key)),
            2 | 3 => Write::Update(self.update(key)),
            _ => Write::Check {
                key,
                condition: self.condition(0),
            },
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(Put),
    Update(Update),
    Transact(Vec<Write>),
    Query(Query),
    DeleteAll(Vec<Key>),
}

fn step(random: &Random, seed: u64) -> Step {
    let key = random.key(seed);
    match random.below(12) {
        0..3 => Step::Put(random.put(key)),
        3..6 => {
            let mut update = random.update(key);
            if random.kind == EmulatorName::Moto {
                // It keeps the changes before the refused one.
                update.changes.truncate(1);
            }
            Step::Update(update)
        }
        // Keys repeat at times, which is refused.
        6..9 => Step::Transact(
            (0..=random.below(3))
                .map(|_| random.write(random.key(seed)))
                .collect(),
        ),
        9 => Step::Query(Query {
            select: Select::Partition {
                pk: key.pk,
                from: random.below(3).to_string(),
                to: "3".to_owned(),
            },
            limit: 1 + random.below(4),
            descending: random.below(2) == 0,
            consistent: true,
        }),
        10 => Step::Query(Query {
            // One item at most is due at a time, because the order of equals is not promised.
            select: Select::Due {
                due_shard: ["x", "y"][random.below(2)].to_owned(),
                until: random.small(),
            },
            limit: 100,
            descending: false,
            consistent: false,
        }),
        _ => Step::DeleteAll(vec![key]),
    }
}

/// The result of a step; the wording of a refusal is each store's own.
#[derive(Debug, PartialEq)]
enum Seen {
    Done,
    Items(Vec<Item>),
    Refused,
    Failed(StoreError),
}

async fn take(store: &dyn Store, step: Step) -> Seen {
    let unordered = matches!(
        &step,
        Step::Query(Query {
            select: Select::Due { .. },
            ..
        })
    );
    let result = match step {
        Step::Put(put) => store.put(put).await.map(|()| None),
        Step::Update(update) => store.update(update).await.map(|item| Some(vec![item])),
        Step::Transact(writes) => store.transact(writes).await.map(|()| None),
        Step::Query(query) => store.query(&query).await.map(Some),
        Step::DeleteAll(keys) => store.delete_all(keys).await.map(|()| None),
    };
    match result {
        Ok(None) => Seen::Done,
        Ok(Some(mut items)) => {
            if unordered {
                items.sort_by(|a, b| a.key.cmp(&b.key));
            }
            Seen::Items(items)
        }
        Err(StoreError::Refused(_)) => Seen::Refused,
        Err(error) => Seen::Failed(error),
    }
}

#[test]
fn the_simulation_and_ministack_tell_the_same_histories() {
    tell(EmulatorName::MiniStack);
}

#[test]
fn the_simulation_and_moto_tell_the_same_histories() {
    tell(EmulatorName::Moto);
}

fn tell(kind: EmulatorName) {
    let stack = Emulator::start(kind);
    stack.create_table();
    let store = wire::clients(stack.port, false).store(TABLE, wire::clock(), wire::entropy());
    let sim = Sim::new(1);
    let (mut done, mut failed, mut refused) = (0, 0, 0);
    // A longer run looks further: MILLRACE_HISTORIES=200.
    let histories = std::env::var("MILLRACE_HISTORIES").map_or(4, |number| number.parse().unwrap());
    for seed in 0..histories {
        let random = Random {
            dice: SimEntropy::new(seed),
            kind,
        };
        for number in 0..150 {
            let step = step(&random, seed);
            let simulated = sim.finish(take(&*sim.store, step.clone()));
            let emulated = wire::block_on(take(&store, step.clone()));
            assert_eq!(
                simulated, emulated,
                "left: simulation, right: {kind:?}; seed {seed}, step {number}: {step:#?}"
            );
            match simulated {
                Seen::Done | Seen::Items(_) => done += 1,
                Seen::Failed(_) => failed += 1,
                Seen::Refused => refused += 1,
            }
        }
    }
    // A generator that only ever fails, or never does, would show nothing.
    assert!(
        done > 200 && failed > 50 && refused > 50,
        "{done} done, {failed} failed, {refused} refused"
    );
}
