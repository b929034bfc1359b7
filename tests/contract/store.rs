//! The contract of stores.

use std::collections::BTreeSet;
use std::pin::Pin;

use futures_util::future::join_all;
use shared::ports::{
    Attributes, Change, Condition, FailedCondition, Item, Key, Put, Query, Select, Store,
    StoreError, Update, Value, Write,
};
use testkit::sim::{Sim, item_size};

use crate::emulator::{Emulator, EmulatorName, TABLE};
use crate::wire;

type Case = for<'a> fn(&'a dyn Store) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One list for both runs; on the simulation each case is a test.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        const CASES: &[(&str, Case)] = &[$((stringify!($name), |store| Box::pin($name(store)))),*];

        mod simulated {
            $(#[test]
            fn $name() {
                let sim = testkit::sim::Sim::new(1);
                sim.finish(super::$name(&*sim.store));
            })*
        }
    };
}

cases!(
    an_absent_item_reads_as_none,
    every_kind_of_value_comes_back_as_it_was,
    a_put_replaces_the_whole_item,
    every_condition_holds_where_it_says,
    every_condition_is_the_same_in_a_transaction,
    a_text_is_neither_more_nor_less_than_a_number,
    a_failed_condition_shows_the_item_and_changes_nothing,
    an_update_creates_unless_it_asks_for_existence,
    an_update_returns_the_new_item,
    changes_of_each_kind,
    adding_to_a_set_twice_changes_nothing,
    a_change_of_the_wrong_type_is_refused,
    a_refused_change_takes_the_others_with_it,
    an_update_that_contradicts_itself_is_refused,
    an_empty_set_or_condition_is_refused,
    a_transaction_writes_all,
    a_transaction_writes_nothing_and_names_every_failed_condition,
    a_transaction_of_the_same_key_twice_is_refused,
    a_transaction_has_one_to_a_hundred_actions,
    a_wrong_action_in_a_transaction_refuses_all_of_it,
    an_item_holds_400_kilobytes_and_no_more,
    many_reads_keep_the_order_of_the_keys,
    a_repeated_key_is_refused_in_batches,
    an_empty_batch_is_fine,
    a_range_is_inclusive_and_stays_in_its_partition,
    a_query_stops_at_its_limit,
    a_query_goes_on_over_pages,
    a_range_that_ends_before_it_begins_is_refused,
    jobs_of_a_tenant_are_found_newest_first,
    the_tenant_index_shows_keys_and_status,
    what_is_due_comes_earliest_first,
    an_item_leaves_the_due_index_with_its_attribute,
    the_due_index_shows_keys_only,
    many_puts_and_deletes,
    an_oversize_item_refuses_a_batch,
    an_empty_key_is_refused,
    an_index_key_of_the_wrong_type_is_refused,
    one_of_many_concurrent_puts_wins,
    concurrent_additions_all_count,
);

fn key(pk: &str, sk: &str) -> Key {
    Key {
        pk: pk.to_owned(),
        sk: sk.to_owned(),
    }
}

fn s(text: &str) -> Value {
    Value::S(text.to_owned())
}

fn ss(elements: &[&str]) -> BTreeSet<String> {
    elements
        .iter()
        .map(|element| (*element).to_owned())
        .collect()
}

fn item(key: &Key, attributes: &[(&str, Value)]) -> Item {
    let attributes: Attributes = attributes
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    Item {
        key: key.clone(),
        attributes,
    }
}

fn put(item: &Item, condition: Option<Condition>) -> Put {
    Put {
        item: item.clone(),
        condition,
    }
}

async fn place(store: &dyn Store, item: &Item) {
    store.put(put(item, None)).await.unwrap();
}

fn update(key: &Key, changes: Vec<Change>, condition: Option<Condition>) -> Update {
    Update {
        key: key.clone(),
        changes,
        condition,
    }
}

fn refused<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
}

fn range(pk: &str, from: &str, to: &str) -> Query {
    let select = Select::Partition {
        pk: pk.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    Query {
        select,
        limit: 1000,
        descending: false,
        consistent: true,
    }
}

fn sort_keys(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.key.sk.as_str()).collect()
}

async fn an_absent_item_reads_as_none(store: &dyn Store) {
    assert_eq!(store.get(&key("absent", "x")).await, Ok(None));
}

async fn every_kind_of_value_comes_back_as_it_was(store: &dyn Store) {
    let all = item(
        &key("values", "é/#:\u{1F9EA}"),
        &[
            ("status", s("a reserved word for a name")),
            ("name with spaces", s("line\nbreak \"quoted\" \u{1F9EA}")),
            ("empty text", s("")),
            ("zero", Value::N(0)),
            ("least", Value::N(i64::MIN)),
            ("most", Value::N(i64::MAX)),
            ("bytes", Value::B((0..=255).collect())),
            ("no bytes", Value::B(Vec::new())),
            ("set", Value::Ss(ss(&["b", "a", "é"]))),
        ],
    );
    place(store, &all).await;
    assert_eq!(store.get(&all.key).await, Ok(Some(all)));
}

async fn a_put_replaces_the_whole_item(store: &dyn Store) {
    let key = key("replace", "x");
    place(store, &item(&key, &[("old", Value::N(1))])).await;
    let new = item(&key, &[("new", Value::N(2))]);
    place(store, &new).await;
    assert_eq!(store.get(&key).await, Ok(Some(new)));
}

/// Conditions, and whether they hold for an item with `text: "t"`, `number: 5`, `bytes: [1]`, `set:
/// {a, b}` and for no item.
fn conditions() -> Vec<(Condition, bool, bool)> {
    use Condition::{Absent, All, Any, AtLeast, AtMost, Equals, ItemAbsent, ItemExists};
    vec![
        (ItemAbsent, false, true),
        (ItemExists, true, false),
        (Equals("text", s("t")), true, false),
        (Equals("text", s("T")), false, false),
        (Equals("number", Value::N(5)), true, false),
        (Equals("number", Value::N(-5)), false, false),
        (Equals("bytes", Value::B(vec![1])), true, false),
        (Equals("set", Value::Ss(ss(&["b", "a"]))), true, false),
        (Equals("set", Value::Ss(ss(&["a"]))), false, false),
        (Equals("number", s("5")), false, false),
        (Equals("missing", s("t")), false, false),
        (Absent("missing"), true, true),
        (Absent("text"), false, true),
        (AtMost("number", 5), true, false),
        (AtMost("number", 4), false, false),
        (AtLeast("number", 5), true, false),
        (AtLeast("number", 6), false, false),
        (AtLeast("number", -6), true, false),
        (AtMost("missing", 1), false, false),
        (All(vec![ItemExists, AtMost("number", 9)]), true, false),
        (All(vec![ItemExists, Absent("text")]), false, false),
        (All(vec![ItemExists]), true, false),
        (
            Any(vec![All(vec![Any(vec![
                AtMost("number", 9),
                Absent("number"),
            ])])]),
            true,
            true,
        ),
        (Any(vec![ItemAbsent, AtMost("number", 9)]), true, true),
        (Any(vec![ItemAbsent, AtMost("number", 1)]), false, true),
        (
            All(vec![
                Any(vec![Absent("lease"), AtMost("lease", 1)]),
                Any(vec![
                    All(vec![ItemExists, Equals("text", s("t"))]),
                    Absent("number"),
                ]),
            ]),
            true,
            true,
        ),
        // Without its parentheses the nested part would let this one through.
        (
            All(vec![Any(vec![ItemExists, ItemAbsent]), Absent("number")]),
            false,
            true,
        ),
        (
            Any(vec![
                All(vec![ItemAbsent, ItemExists]),
                Equals("number", Value::N(5)),
            ]),
            true,
            false,
        ),
    ]
}

fn conditioned(key: &Key) -> Item {
    let set = Value::Ss(ss(&["a", "b"]));
    item(
        key,
        &[
            ("text", s("t")),
            ("number", Value::N(5)),
            ("bytes", Value::B(vec![1])),
            ("set", set),
        ],
    )
}

/// Returns true if the condition held, false if only the condition failed.
fn holds<T: std::fmt::Debug>(
    result: &Result<T, StoreError>,
    expected: bool,
    condition: &Condition,
) {
    let as_expected = match result {
        Ok(_) => expected,
        Err(StoreError::ConditionFailed(_)) => !expected,
        Err(_) => false,
    };
    assert!(as_expected, "{condition:?}: {result:?}");
}

async fn a_text_is_neither_more_nor_less_than_a_number(store: &dyn Store) {
    let key = key("unlike", "x");
    let stored = conditioned(&key);
    place(store, &stored).await;
    for condition in [
        Condition::AtMost("text", i64::MAX),
        Condition::AtLeast("text", i64::MIN),
    ] {
        holds(
            &store.put(put(&stored, Some(condition.clone()))).await,
            false,
            &condition,
        );
        let check = Write::Check {
            key: key.clone(),
            condition: condition.clone(),
        };
        holds(&store.transact(vec![check]).await, false, &condition);
    }
}

async fn every_condition_holds_where_it_says(store: &dyn Store) {
    for (n, (condition, of_item, of_none)) in conditions().into_iter().enumerate() {
        let there = key("conditions", &format!("there-{n:03}"));
        let stored = conditioned(&there);
        place(store, &stored).await;
        let result = store.put(put(&stored, Some(condition.clone()))).await;
        holds(&result, of_item, &condition);
        let mark = vec![Change::Set("mark", Value::N(1))];
        let result = store
            .update(update(&there, mark.clone(), Some(condition.clone())))
            .await;
        holds(&result, of_item, &condition);

        let gone = key("conditions", &format!("gone-{n:03}"));
        let result = store
            .update(update(&gone, mark, Some(condition.clone())))
            .await;
        holds(&result, of_none, &condition);
        assert_eq!(
            store.get(&gone).await.unwrap().is_some(),
            of_none,
            "{condition:?}"
        );
    }
}

async fn every_condition_is_the_same_in_a_transaction(store: &dyn Store) {
    let there = key("checks", "there");
    place(store, &conditioned(&there)).await;
    for (condition, of_item, of_none) in conditions() {
        for (key, expected) in [(there.clone(), of_item), (key("checks", "gone"), of_none)] {
            let result = store
                .transact(vec![Write::Check {
                    key,
                    condition: condition.clone(),
                }])
                .await;
            holds(&result, expected, &condition);
        }
    }
}

async fn a_failed_condition_shows_the_item_and_changes_nothing(store: &dyn Store) {
    let key = key("failed", "x");
    let first = item(
        &key,
        &[
            ("n", Value::N(1)),
            ("bytes", Value::B(vec![7])),
            ("set", Value::Ss(ss(&["a"]))),
        ],
    );
    place(store, &first).await;
    let expected = || {
        let existing = Some(first.clone());
        StoreError::ConditionFailed(vec![FailedCondition { at: 0, existing }])
    };
    let second = item(&key, &[("n", Value::N(2))]);
    assert_eq!(
        store.put(put(&second, Some(Condition::ItemAbsent))).await,
        Err(expected())
    );
    let two = Condition::Equals("n", Value::N(2));
    let result = store
        .update(update(&key, vec![Change::Add("n", 5)], Some(two)))
        .await;
    assert_eq!(result, Err(expected()));
    assert_eq!(store.get(&key).await, Ok(Some(first)));
}

async fn an_update_creates_unless_it_asks_for_existence(store: &dyn Store) {
    let (free, guarded) = (key("create", "free"), key("create", "guarded"));
    let change = || vec![Change::Set("n", Value::N(1))];
    let created = item(&free, &[("n", Value::N(1))]);
    assert_eq!(
        store.update(update(&free, change(), None)).await,
        Ok(created.clone())
    );
    assert_eq!(store.get(&free).await, Ok(Some(created)));
    let result = store
        .update(update(&guarded, change(), Some(Condition::ItemExists)))
        .await;
    assert_eq!(
        result,
        Err(StoreError::ConditionFailed(vec![FailedCondition {
            at: 0,
            existing: None
        }]))
    );
    assert_eq!(store.get(&guarded).await, Ok(None));
}

async fn an_update_returns_the_new_item(store: &dyn Store) {
    let key = key("returns", "x");
    place(store, &item(&key, &[("kept", s("k")), ("n", Value::N(1))])).await;
    let result = store
        .update(update(
            &key,
            vec![Change::Add("n", 1)],
            Some(Condition::ItemExists),
        ))
        .await;
    assert_eq!(
        result,
        Ok(item(&key, &[("kept", s("k")), ("n", Value::N(2))]))
    );
}

async fn changes_of_each_kind(store: &dyn Store) {
    let key = key("changes", "x");
    place(
        store,
        &item(
            &key,
            &[
                ("there", Value::N(10)),
                ("gone", s("x")),
                ("set", Value::Ss(ss(&["a"]))),
            ],
        ),
    )
    .await;
    let changes = vec![
        Change::Set("text", s("t")),
        Change::SetIfAbsent("there", Value::N(99)),
        Change::SetIfAbsent("first", Value::N(1)),
        Change::Add("counted", -3),
        Change::AddToSet("set", ss(&["b", "c"])),
        Change::AddToSet("new set", ss(&["x"])),
        Change::Remove("gone"),
        Change::Remove("never there"),
    ];
    let after = item(
        &key,
        &[
            ("there", Value::N(10)),
            ("text", s("t")),
            ("first", Value::N(1)),
            ("counted", Value::N(-3)),
            ("set", Value::Ss(ss(&["a", "b", "c"]))),
            ("new set", Value::Ss(ss(&["x"]))),
        ],
    );
    assert_eq!(
        store.update(update(&key, changes, None)).await,
        Ok(after.clone())
    );
    assert_eq!(store.get(&key).await, Ok(Some(after)));
    let result = store
        .update(update(&key, vec![Change::Add("there", -15)], None))
        .await
        .unwrap();
    assert_eq!(result.attributes["there"], Value::N(-5));
}

async fn adding_to_a_set_twice_changes_nothing(store: &dyn Store) {
    let key = key("set twice", "x");
    let add = || {
        update(
            &key,
            vec![Change::AddToSet("done", ss(&["17: 48 found"]))],
            None,
        )
    };
    let once = store.update(add()).await.unwrap();
    assert_eq!(store.update(add()).await, Ok(once));
}

async fn a_change_of_the_wrong_type_is_refused(store: &dyn Store) {
    let key = key("wrong type", "x");
    let before = item(&key, &[("text", s("t"))]);
    place(store, &before).await;
    refused(
        &store
            .update(update(&key, vec![Change::Add("text", 1)], None))
            .await,
    );
    refused(
        &store
            .update(update(
                &key,
                vec![Change::AddToSet("text", ss(&["a"]))],
                None,
            ))
            .await,
    );
    assert_eq!(store.get(&key).await, Ok(Some(before)));
}

async fn a_refused_change_takes_the_others_with_it(store: &dyn Store) {
    let key = key("refused whole", "x");
    let before = item(&key, &[("text", s("t"))]);
    place(store, &before).await;
    let changes = || vec![Change::Set("n", Value::N(1)), Change::Add("text", 1)];
    refused(
        &store
            .transact(vec![Write::Update(update(&key, changes(), None))])
            .await,
    );
    assert_eq!(store.get(&key).await, Ok(Some(before.clone())));
    refused(&store.update(update(&key, changes(), None)).await);
    assert_eq!(store.get(&key).await, Ok(Some(before)));
}

async fn an_update_that_contradicts_itself_is_refused(store: &dyn Store) {
    let key = key("contradicts", "x");
    refused(&store.update(update(&key, vec![], None)).await);
    refused(
        &store
            .update(update(
                &key,
                vec![Change::Set("a", Value::N(1)), Change::Add("a", 1)],
                None,
            ))
            .await,
    );
    refused(
        &store
            .update(update(&key, vec![Change::Set("sk", s("y"))], None))
            .await,
    );
    assert_eq!(store.get(&key).await, Ok(None));
}

async fn an_empty_set_or_condition_is_refused(store: &dyn Store) {
    let key = key("empty", "x");
    refused(
        &store
            .update(update(
                &key,
                vec![Change::AddToSet("a", BTreeSet::new())],
                None,
            ))
            .await,
    );
    refused(
        &store
            .update(update(
                &key,
                vec![Change::Set("a", Value::Ss(BTreeSet::new()))],
                None,
            ))
            .await,
    );
    let with_empty = item(&key, &[("a", Value::Ss(BTreeSet::new()))]);
    refused(&store.put(put(&with_empty, None)).await);
    refused(&store.put_all(vec![with_empty]).await);
    let fine = item(&key, &[]);
    for condition in [Condition::All(vec![]), Condition::Any(vec![])] {
        refused(&store.put(put(&fine, Some(condition))).await);
    }
    assert_eq!(store.get(&key).await, Ok(None));
}

async fn a_transaction_writes_all(store: &dyn Store) {
    let [a, b, c] = ["a", "b", "c"].map(|sk| key("all", sk));
    let checked = item(&c, &[("n", Value::N(1))]);
    place(store, &checked).await;
    let writes = vec![
        Write::Put(put(
            &item(&a, &[("n", Value::N(1))]),
            Some(Condition::ItemAbsent),
        )),
        Write::Update(update(&b, vec![Change::Add("n", 2)], None)),
        Write::Check {
            key: c.clone(),
            condition: Condition::AtLeast("n", 1),
        },
    ];
    store.transact(writes).await.unwrap();
    let after = store.get_many(&[a.clone(), b.clone(), c]).await.unwrap();
    let expected = [
        item(&a, &[("n", Value::N(1))]),
        item(&b, &[("n", Value::N(2))]),
        checked,
    ];
    assert_eq!(after, expected.map(Some));
}

async fn a_transaction_writes_nothing_and_names_every_failed_condition(store: &dyn Store) {
    let [fine, poor, absent, taken] =
        ["fine", "poor", "absent", "taken"].map(|sk| key("nothing", sk));
    let poor_item = item(&poor, &[("balance", Value::N(3))]);
    let taken_item = item(&taken, &[("job", s("j1")), ("bytes", Value::B(vec![1, 2]))]);
    place(store, &poor_item).await;
    place(store, &taken_item).await;
    let writes = vec![
        Write::Put(put(&item(&fine, &[]), Some(Condition::ItemAbsent))),
        Write::Update(update(
            &poor,
            vec![Change::Add("balance", -5)],
            Some(Condition::AtLeast("balance", 5)),
        )),
        Write::Check {
            key: absent.clone(),
            condition: Condition::ItemExists,
        },
        Write::Put(put(
            &item(&taken, &[("job", s("j2"))]),
            Some(Condition::ItemAbsent),
        )),
    ];
    let failed = |at, existing| FailedCondition { at, existing };
    assert_eq!(
        store.transact(writes).await,
        Err(StoreError::ConditionFailed(vec![
            failed(1, Some(poor_item.clone())),
            failed(2, None),
            failed(3, Some(taken_item.clone())),
        ]))
    );
    let after = store.get_many(&[fine, poor, absent, taken]).await.unwrap();
    assert_eq!(after, [None, Some(poor_item), None, Some(taken_item)]);
}

async fn a_transaction_of_the_same_key_twice_is_refused(store: &dyn Store) {
    let key = key("same key", "x");
    let writes = vec![
        Write::Check {
            key: key.clone(),
            condition: Condition::ItemAbsent,
        },
        Write::Put(put(&item(&key, &[]), None)),
    ];
    refused(&store.transact(writes).await);
    assert_eq!(store.get(&key).await, Ok(None));
}

async fn a_transaction_has_one_to_a_hundred_actions(store: &dyn Store) {
    let writes = |n: usize| -> Vec<Write> {
        (0..n)
            .map(|n| Write::Put(put(&item(&key("hundred", &format!("{n:03}")), &[]), None)))
            .collect()
    };
    refused(&store.transact(Vec::new()).await);
    refused(&store.transact(writes(101)).await);
    assert_eq!(
        store.query(&range("hundred", "0", "9")).await,
        Ok(Vec::new())
    );
    store.transact(writes(100)).await.unwrap();
    assert_eq!(
        store
            .query(&range("hundred", "0", "9"))
            .await
            .unwrap()
            .len(),
        100
    );
}

async fn a_wrong_action_in_a_transaction_refuses_all_of_it(store: &dyn Store) {
    let [fine, text] = ["fine", "text"].map(|sk| key("wrong action", sk));
    place(store, &item(&text, &[("n", s("no number"))])).await;
    let writes = vec![
        Write::Put(put(&item(&fine, &[]), None)),
        Write::Update(update(&text, vec![Change::Add("n", 1)], None)),
    ];
    refused(&store.transact(writes).await);
    assert_eq!(store.get(&fine).await, Ok(None));
}

/// An item of exactly this size.
fn weighing(key: &Key, bytes: usize) -> Item {
    let empty = item_size(&item(key, &[("b", Value::B(Vec::new()))]));
    item(key, &[("b", Value::B(vec![7; bytes - empty]))])
}

async fn an_item_holds_400_kilobytes_and_no_more(store: &dyn Store) {
    let [largest, larger, grown] = ["largest", "larger", "grown"].map(|sk| key("400 KB", sk));
    let limit = 400 * 1024;
    let item = weighing(&largest, limit);
    place(store, &item).await;
    assert_eq!(store.get(&largest).await, Ok(Some(item)));
    let too_large = weighing(&larger, limit + 1);
    refused(&store.put(put(&too_large, None)).await);
    refused(
        &store
            .transact(vec![Write::Put(put(&too_large, None))])
            .await,
    );
    let before = weighing(&grown, limit - 10);
    place(store, &before).await;
    let grow = || {
        update(
            &grown,
            vec![Change::Set("more", s("more than ten bytes"))],
            None,
        )
    };
    refused(&store.update(grow()).await);
    refused(&store.transact(vec![Write::Update(grow())]).await);
    assert_eq!(
        store.get_many(&[larger, grown]).await,
        Ok(vec![None, Some(before)])
    );
}

async fn many_reads_keep_the_order_of_the_keys(store: &dyn Store) {
    let keys: Vec<Key> = (0..230)
        .rev()
        .map(|n| key("many", &format!("{n:03}")))
        .collect();
    let items: Vec<Item> = keys
        .iter()
        .step_by(2)
        .map(|key| item(key, &[("sk copy", s(&key.sk))]))
        .collect();
    store.put_all(items.clone()).await.unwrap();
    let got = store.get_many(&keys).await.unwrap();
    assert_eq!(got.len(), keys.len());
    for (n, got) in got.into_iter().enumerate() {
        assert_eq!(
            got,
            if n % 2 == 0 {
                Some(items[n / 2].clone())
            } else {
                None
            }
        );
    }
}

async fn a_repeated_key_is_refused_in_batches(store: &dyn Store) {
    let mut keys: Vec<Key> = (0..120)
        .map(|n| key("repeats", &format!("{n:03}")))
        .collect();
    keys.push(keys[0].clone());
    refused(&store.get_many(&keys).await);
    refused(
        &store
            .put_all(keys.iter().map(|key| item(key, &[])).collect())
            .await,
    );
    refused(&store.delete_all(keys).await);
}

async fn an_empty_batch_is_fine(store: &dyn Store) {
    assert_eq!(store.get_many(&[]).await, Ok(Vec::new()));
    assert_eq!(store.put_all(Vec::new()).await, Ok(()));
    assert_eq!(store.delete_all(Vec::new()).await, Ok(()));
}

async fn a_range_is_inclusive_and_stays_in_its_partition(store: &dyn Store) {
    let keys = ["CHUNK#001", "CHUNK#002", "CHUNK#003", "META"].map(|sk| key("range", sk));
    store
        .put_all(keys.iter().map(|key| item(key, &[])).collect())
        .await
        .unwrap();
    place(store, &item(&key("range2", "CHUNK#002"), &[])).await;
    let found = store
        .query(&range("range", "CHUNK#001", "CHUNK#003"))
        .await
        .unwrap();
    assert_eq!(sort_keys(&found), ["CHUNK#001", "CHUNK#002", "CHUNK#003"]);
    let found = store
        .query(&range("range", "CHUNK#002", "CHUNK#002"))
        .await
        .unwrap();
    assert_eq!(sort_keys(&found), ["CHUNK#002"]);
    let found = store
        .query(&range("range", "CHUNK#", "CHUNK#~"))
        .await
        .unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(store.query(&range("range", "D", "L")).await, Ok(Vec::new()));
}

async fn a_query_stops_at_its_limit(store: &dyn Store) {
    let keys: Vec<Key> = (0..10).map(|n| key("limit", &n.to_string())).collect();
    store
        .put_all(keys.iter().map(|key| item(key, &[])).collect())
        .await
        .unwrap();
    let all = range("limit", "0", "9");
    let found = store
        .query(&Query {
            limit: 3,
            ..all.clone()
        })
        .await
        .unwrap();
    assert_eq!(sort_keys(&found), ["0", "1", "2"]);
    let found = store
        .query(&Query {
            limit: 3,
            descending: true,
            consistent: false,
            ..all.clone()
        })
        .await
        .unwrap();
    assert_eq!(sort_keys(&found), ["9", "8", "7"]);
    assert_eq!(
        store
            .query(&Query {
                limit: 10,
                ..all.clone()
            })
            .await
            .unwrap()
            .len(),
        10
    );
    assert_eq!(
        store.query(&Query { limit: 0, ..all }).await,
        Ok(Vec::new())
    );
}

async fn a_query_goes_on_over_pages(store: &dyn Store) {
    // A page ends at 1 MB.
    let items: Vec<Item> = (0..9)
        .map(|n| weighing(&key("pages", &n.to_string()), 300_000))
        .collect();
    for item in &items {
        place(store, item).await;
    }
    let all = range("pages", "0", "9");
    assert_eq!(store.query(&all).await.unwrap(), items);
    let found = store
        .query(&Query {
            limit: 7,
            descending: true,
            ..all
        })
        .await
        .unwrap();
    assert_eq!(sort_keys(&found), ["8", "7", "6", "5", "4", "3", "2"]);
}

async fn a_range_that_ends_before_it_begins_is_refused(store: &dyn Store) {
    refused(&store.query(&range("backwards", "b", "a")).await);
}

fn job(tenant: &str, job: &str, status: &str) -> Item {
    let attributes = [
        ("tenant_jobs", s(tenant)),
        ("job_id", s(job)),
        ("status", s(status)),
        ("secret", s("not for the index")),
    ];
    item(&key(&format!("JOB#{tenant}{job}"), "META"), &attributes)
}

fn jobs(tenant: &str, before: Option<&str>, limit: usize) -> Query {
    let select = Select::JobsOfTenant {
        tenant_jobs: tenant.to_owned(),
        before: before.map(str::to_owned),
    };
    // An index cannot be read consistently, and must not fail when asked to.
    Query {
        select,
        limit,
        descending: true,
        consistent: true,
    }
}

async fn jobs_of_a_tenant_are_found_newest_first(store: &dyn Store) {
    for (tenant, id) in [
        ("t1", "j1"),
        ("t1", "j2"),
        ("t1", "j3"),
        ("t1", "j4"),
        ("t2", "j9"),
    ] {
        place(store, &job(tenant, id, "running")).await;
    }
    place(
        store,
        &item(&key("JOB#t1j5", "META"), &[("tenant_jobs", s("t1"))]),
    )
    .await;
    let ids = |found: Vec<Item>| {
        found
            .into_iter()
            .map(|item| item.attributes["job_id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(store.query(&jobs("t1", None, 10)).await.unwrap()),
        ["j4", "j3", "j2", "j1"].map(s)
    );
    assert_eq!(
        ids(store.query(&jobs("t1", Some("j3"), 10)).await.unwrap()),
        ["j2", "j1"].map(s)
    );
    assert_eq!(
        ids(store.query(&jobs("t1", Some("j4"), 2)).await.unwrap()),
        ["j3", "j2"].map(s)
    );
    assert_eq!(store.query(&jobs("t3", None, 10)).await, Ok(Vec::new()));
}

async fn the_tenant_index_shows_keys_and_status(store: &dyn Store) {
    let head = job("projected", "j1", "running");
    place(store, &head).await;
    let seen = |status: &str| {
        let attributes = [
            ("tenant_jobs", s("projected")),
            ("job_id", s("j1")),
            ("status", s(status)),
        ];
        vec![item(&head.key, &attributes)]
    };
    assert_eq!(
        store.query(&jobs("projected", None, 10)).await,
        Ok(seen("running"))
    );
    store
        .update(update(
            &head.key,
            vec![Change::Set("status", s("completed"))],
            None,
        ))
        .await
        .unwrap();
    assert_eq!(
        store.query(&jobs("projected", None, 10)).await,
        Ok(seen("completed"))
    );
    store.delete_all(vec![head.key]).await.unwrap();
    assert_eq!(
        store.query(&jobs("projected", None, 10)).await,
        Ok(Vec::new())
    );
}

fn due_item(shard: &str, sk: &str, due: i64) -> Item {
    item(
        &key("due", sk),
        &[
            ("due_shard", s(shard)),
            ("due", Value::N(due)),
            ("body", s("not for the index")),
        ],
    )
}

fn due(shard: &str, until: i64, limit: usize) -> Query {
    let select = Select::Due {
        due_shard: shard.to_owned(),
        until,
    };
    Query {
        select,
        limit,
        descending: false,
        consistent: false,
    }
}

async fn what_is_due_comes_earliest_first(store: &dyn Store) {
    for (sk, at) in [("a", 1_000), ("b", 30), ("c", 200), ("d", 201)] {
        place(store, &due_item("order", sk, at)).await;
    }
    place(store, &due_item("order2", "e", 1)).await;
    assert_eq!(
        sort_keys(&store.query(&due("order", 200, 10)).await.unwrap()),
        ["b", "c"]
    );
    assert_eq!(
        sort_keys(&store.query(&due("order", 9_999, 3)).await.unwrap()),
        ["b", "c", "d"]
    );
    assert_eq!(store.query(&due("order", 29, 10)).await, Ok(Vec::new()));
}

async fn an_item_leaves_the_due_index_with_its_attribute(store: &dyn Store) {
    let thing = due_item("leaves", "x", 100);
    place(store, &thing).await;
    store
        .update(update(
            &thing.key,
            vec![Change::Set("due", Value::N(500))],
            None,
        ))
        .await
        .unwrap();
    assert_eq!(store.query(&due("leaves", 499, 10)).await, Ok(Vec::new()));
    assert_eq!(store.query(&due("leaves", 500, 10)).await.unwrap().len(), 1);
    store
        .transact(vec![Write::Update(update(
            &thing.key,
            vec![Change::Remove("due")],
            None,
        ))])
        .await
        .unwrap();
    assert_eq!(
        store.query(&due("leaves", i64::MAX, 10)).await,
        Ok(Vec::new())
    );
}

async fn the_due_index_shows_keys_only(store: &dyn Store) {
    let thing = due_item("keys only", "k", 7);
    place(store, &thing).await;
    let seen = item(
        &thing.key,
        &[("due_shard", s("keys only")), ("due", Value::N(7))],
    );
    assert_eq!(store.query(&due("keys only", 7, 10)).await, Ok(vec![seen]));
}

async fn many_puts_and_deletes(store: &dyn Store) {
    let keys: Vec<Key> = (0..60).map(|n| key("batch", &format!("{n:02}"))).collect();
    let items = |value| {
        keys.iter()
            .map(|key| item(key, &[("n", Value::N(value))]))
            .collect::<Vec<_>>()
    };
    place(store, &item(&keys[30], &[("old", s("replaced"))])).await;
    store.put_all(items(1)).await.unwrap();
    store.put_all(items(2)).await.unwrap();
    assert_eq!(store.query(&range("batch", "0", "9")).await, Ok(items(2)));
    store.delete_all(keys[5..].to_vec()).await.unwrap();
    store.delete_all(keys[4..].to_vec()).await.unwrap();
    assert_eq!(
        store.query(&range("batch", "0", "9")).await.unwrap().len(),
        4
    );
}

async fn an_oversize_item_refuses_a_batch(store: &dyn Store) {
    let large = weighing(&key("oversize batch", "x"), 400 * 1024 + 1);
    refused(&store.put_all(vec![large]).await);
}

async fn an_empty_key_is_refused(store: &dyn Store) {
    for key in [key("", "x"), key("x", "")] {
        refused(&store.get(&key).await);
        refused(&store.put(put(&item(&key, &[]), None)).await);
        refused(
            &store
                .update(update(&key, vec![Change::Set("a", Value::N(1))], None))
                .await,
        );
        refused(&store.get_many(&[key]).await);
    }
}

async fn an_index_key_of_the_wrong_type_is_refused(store: &dyn Store) {
    let key = key("index type", "x");
    refused(
        &store
            .put(put(
                &item(&key, &[("due_shard", s("0")), ("due", s("soon"))]),
                None,
            ))
            .await,
    );
    refused(
        &store
            .put(put(
                &item(&key, &[("due_shard", s("")), ("due", Value::N(1))]),
                None,
            ))
            .await,
    );
    assert_eq!(store.get(&key).await, Ok(None));
}

async fn one_of_many_concurrent_puts_wins(store: &dyn Store) {
    let key = key("race", "x");
    let puts = (0..8).map(|n| {
        let item = item(&key, &[("writer", Value::N(n))]);
        async move { (n, store.put(put(&item, Some(Condition::ItemAbsent))).await) }
    });
    let results = join_all(puts).await;
    let winners: Vec<i64> = results
        .iter()
        .filter(|(_, result)| result.is_ok())
        .map(|(n, _)| *n)
        .collect();
    assert_eq!(winners.len(), 1, "{results:?}");
    let stored = item(&key, &[("writer", Value::N(winners[0]))]);
    let lost = StoreError::ConditionFailed(vec![FailedCondition {
        at: 0,
        existing: Some(stored),
    }]);
    assert!(
        results
            .into_iter()
            .all(|(n, result)| n == winners[0] || result == Err(lost.clone()))
    );
}

async fn concurrent_additions_all_count(store: &dyn Store) {
    let key = key("additions", "x");
    let updates = (0..12).map(|n| {
        let changes = vec![
            Change::Add("sum", 1),
            Change::AddToSet("who", ss(&[n.to_string().as_str()])),
        ];
        store.update(update(&key, changes, None))
    });
    for result in join_all(updates).await {
        result.unwrap();
    }
    let stored = store.get(&key).await.unwrap().unwrap();
    assert_eq!(stored.attributes["sum"], Value::N(12));
    assert!(matches!(&stored.attributes["who"], Value::Ss(set) if set.len() == 12));
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name).chain([METER])
}

#[test]
fn on_ministack() {
    on(EmulatorName::MiniStack);
}

#[test]
fn on_moto() {
    on(EmulatorName::Moto);
}

fn on(kind: EmulatorName) {
    let stack = Emulator::start(kind);
    stack.create_table();
    stack.run_all(CASES, |_, case| {
        let store = wire::clients(stack.port, false).store(TABLE, wire::clock(), wire::entropy());
        wire::block_on(case(&store));
    });
}

const METER: &str = "the_meter_and_the_simulation_count_the_same_units";

#[test]
fn the_meter_and_the_simulation_count_the_same_units() {
    for kind in [EmulatorName::MiniStack, EmulatorName::Moto] {
        let stack = Emulator::start(kind);
        stack.create_table();
        stack.run_all(&[(METER, ())], |_, ()| meter(&stack));
    }
}

/// The meter reads what the emulator reports, and the simulation counts the same.
fn meter(stack: &Emulator) {
    let clients = wire::clients(stack.port, true);
    let store = clients.store(TABLE, wire::clock(), wire::entropy());
    let sim = Sim::new(1);
    wire::block_on(metered_work(&store));
    sim.finish(metered_work(&*sim.store));
    let reading = clients.meter().unwrap().snapshot_and_reset();
    let sum = |of: fn(&shared::aws::Usage) -> f64| reading.values().map(of).sum::<f64>();
    let units = sim.store.units();
    let count = |units: u64| f64::from(u32::try_from(units).unwrap());
    assert_eq!(reading["dynamodb.PutItem"].calls, 1);
    assert_eq!(reading["dynamodb.TransactWriteItems"].calls, 1);
    assert!(
        (sum(|u| u.read_units) - count(units.half_reads) / 2.0).abs() < 0.1,
        "{reading:?} {units:?}"
    );
    assert!(
        (sum(|u| u.write_units) - count(units.writes + units.index_writes)).abs() < 0.1,
        "{reading:?} {units:?}"
    );
}

async fn metered_work(store: &dyn Store) {
    let thing = due_item("metered", "m", 7);
    place(store, &thing).await;
    let put_one = Write::Put(put(
        &weighing(&key("metered", "one"), 1_500),
        Some(Condition::ItemAbsent),
    ));
    store.transact(vec![put_one]).await.unwrap();
    store
        .put_all(vec![weighing(&key("metered", "large"), 5_000)])
        .await
        .unwrap();
    store.get(&thing.key).await.unwrap();
}
