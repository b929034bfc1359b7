//! The items, their indexes, and the cost of reading and writing them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shared::domain::time::Timestamp;
use shared::ports::{
    Attributes, Condition, FailedCondition, Item, Key, Put, Query, Select, StoreError, Update,
    Write,
};

use super::faults::{Expiry, History, StoreFaults, some_of};
use super::index::{ByJob, ByTime, Index};
use super::rules::{
    MAX_ACTIONS, MAX_TRANSACTION, changed, holds, item_size, no_repeats, refused, size, units,
    valid_changes, valid_condition, valid_item, valid_key,
};
use super::{Changed, SimEntropy, Units};

#[derive(Debug)]
pub(super) struct Table {
    now: Timestamp,
    items: BTreeMap<Key, Arc<Item>>,
    by_tenant: Index<ByJob>,
    due: Index<ByTime>,
    /// Items with a `due`.
    marked: usize,
    /// Writes so far; those of a transaction are one.
    writes: u64,
    faults: StoreFaults,
    dice: SimEntropy,
    history: History,
    expiry: Expiry,
    /// The items deleted because they had expired, by the first part of the sort key.
    pub(super) expired: BTreeMap<String, u64>,
    /// Items of transactions in flight, with their transaction.
    held: BTreeMap<Key, u64>,
    holds: u64,
    pub(super) changes: Option<Vec<Changed>>,
    pub(super) units: Units,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            now: Timestamp(0),
            items: BTreeMap::new(),
            by_tenant: Index::default(),
            due: Index::default(),
            marked: 0,
            writes: 0,
            faults: StoreFaults::default(),
            dice: SimEntropy::new(0),
            history: History::default(),
            expiry: Expiry::default(),
            expired: BTreeMap::new(),
            held: BTreeMap::new(),
            holds: 0,
            changes: None,
            units: Units::default(),
        }
    }

    /// Applies the effects of time up to now.
    pub(super) fn catch_up(&mut self, now: Timestamp) {
        self.now = now;
        self.by_tenant.catch_up(now);
        self.due.catch_up(now);
        while let Some(key) = self.expiry.next(now) {
            self.writes += 1;
            let (before, _) = self.place(&key, None);
            let kind = key.sk.split('#').next().unwrap_or_default();
            *self.expired.entry(kind.to_owned()).or_default() += u64::from(before.is_some());
            self.note(&key, before);
        }
    }

    pub(super) fn misbehave(&mut self, faults: StoreFaults, seed: u64) {
        (self.faults, self.dice, self.expiry) = (faults, SimEntropy::new(seed), Expiry::default());
        if let Some(late) = faults.expiry {
            for (key, item) in &self.items {
                self.expiry.plan(key, Some(item), late, &self.dice);
            }
        }
    }

    /// Locks items for a transaction that takes effect later. Returns its number and delay; `None`
    /// where another has one of them.
    pub(super) fn lock(&mut self, writes: &[Write]) -> Option<(u64, Duration)> {
        if writes
            .iter()
            .any(|write| self.held.contains_key(key_of(write)))
        {
            return None;
        }
        self.holds += 1;
        self.held.extend(
            writes
                .iter()
                .map(|write| (key_of(write).clone(), self.holds)),
        );
        Some((self.holds, some_of(&self.dice, self.faults.transaction)))
    }

    pub(super) fn let_go(&mut self, lock: u64) {
        self.held.retain(|_, by| *by != lock);
    }

    /// Checks that no other transaction has locked the item.
    fn free(&self, key: &Key, lock: Option<u64>) -> Result<(), StoreError> {
        match self.held.get(key) {
            Some(by) if Some(*by) != lock => Err(StoreError::Conflict),
            _ => Ok(()),
        }
    }

    pub(super) fn slow_transactions(&self) -> bool {
        !self.faults.transaction.is_zero()
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.items.values()
    }

    pub(super) fn peek(&self, key: &Key) -> Option<&Arc<Item>> {
        self.items.get(key)
    }

    pub(super) fn any_due(&self) -> bool {
        self.marked > 0
    }

    pub(super) fn read(&mut self, key: &Key) -> Option<Item> {
        let found = self.items.get(key);
        self.units.half_reads += 2 * units(found.map_or(0, |item| item_size(item)), 4096);
        found.map(|item| Item::clone(item))
    }

    /// Stores or removes an item; returns the former one and the writes of the indexes.
    pub(super) fn place(
        &mut self,
        key: &Key,
        after: Option<Attributes>,
    ) -> (Option<Arc<Item>>, u64) {
        let after = after.map(|attributes| {
            Arc::new(Item {
                key: key.clone(),
                attributes,
            })
        });
        let before = match &after {
            Some(item) => self.items.insert(key.clone(), Arc::clone(item)),
            None => self.items.remove(key),
        };
        let marked = |item: &Option<Arc<Item>>| {
            usize::from(
                item.as_ref()
                    .is_some_and(|i| i.attributes.contains_key("due")),
            )
        };
        self.marked = self.marked + marked(&after) - marked(&before);
        let (old, new, now) = (before.as_ref(), after.as_ref(), self.now);
        let lag = || some_of(&self.dice, self.faults.index_lag);
        let index_writes =
            self.by_tenant.follow(old, new, now, lag) + self.due.follow(old, new, now, lag);
        if !self.faults.stale.is_zero() {
            self.history
                .retain(key, before.clone(), now, self.faults.stale);
        }
        if let Some(late) = self.faults.expiry {
            self.expiry.plan(key, after.as_deref(), late, &self.dice);
        }
        (before, index_writes)
    }

    /// Stores or deletes an item, counts the cost, and logs the change.
    fn write(&mut self, key: &Key, after: Option<Attributes>, factor: u64) {
        let new_size = after.as_ref().map_or(0, |attributes| size(key, attributes));
        let (before, index_writes) = self.place(key, after);
        let old_size = before.as_ref().map_or(0, |item| item_size(item));
        self.units.writes += factor * units(old_size.max(new_size), 1024);
        self.units.index_writes += index_writes;
        self.note(key, before);
    }

    fn note(&mut self, key: &Key, before: Option<Arc<Item>>) {
        let Some(changes) = &mut self.changes else {
            return;
        };
        let after = self.items.get(key).cloned();
        if before != after {
            changes.push(Changed {
                key: key.clone(),
                before,
                after,
                write: self.writes,
            });
        }
    }

    /// Puts items without a condition, each on its own. Returns true if there were any.
    pub(super) fn put_all(&mut self, items: &[Item]) -> bool {
        for item in items {
            self.batch_write(&item.key, Some(item.attributes.clone()));
        }
        !items.is_empty()
    }

    /// Deletes items, each on its own. Returns true if any existed.
    pub(super) fn delete_all(&mut self, keys: &[Key]) -> bool {
        let there = keys.iter().any(|key| self.items.contains_key(key));
        for key in keys {
            self.batch_write(key, None);
        }
        there
    }

    fn batch_write(&mut self, key: &Key, after: Option<Attributes>) {
        self.writes += 1;
        self.write(key, after, 1);
    }

    fn charge_failed(&mut self, key: &Key, factor: u64) {
        let looked_at = self.items.get(key).map_or(0, |item| item_size(item));
        self.units.writes += factor * units(looked_at, 1024);
    }

    fn stored(&self, key: &Key) -> Option<&Attributes> {
        self.items.get(key).map(|item| &item.attributes)
    }

    fn check(&self, key: &Key, condition: Option<&Condition>) -> Result<(), Option<Item>> {
        if condition.is_none_or(|condition| holds(condition, self.stored(key))) {
            return Ok(());
        }
        Err(self.items.get(key).map(|item| Item::clone(item)))
    }

    fn single(&mut self, key: &Key, condition: Option<&Condition>) -> Result<(), StoreError> {
        self.check(key, condition).map_err(|existing| {
            self.charge_failed(key, 1);
            StoreError::ConditionFailed(vec![FailedCondition { at: 0, existing }])
        })
    }

    pub(super) fn put(&mut self, put: &Put) -> Result<(), StoreError> {
        valid_item(&put.item.key, &put.item.attributes)?;
        put.condition.as_ref().map_or(Ok(()), valid_condition)?;
        self.free(&put.item.key, None)?;
        self.single(&put.item.key, put.condition.as_ref())?;
        self.writes += 1;
        self.write(&put.item.key, Some(put.item.attributes.clone()), 1);
        Ok(())
    }

    pub(super) fn update(&mut self, update: &Update) -> Result<Item, StoreError> {
        valid_key(&update.key)?;
        update.condition.as_ref().map_or(Ok(()), valid_condition)?;
        valid_changes(&update.changes)?;
        self.free(&update.key, None)?;
        self.single(&update.key, update.condition.as_ref())?;
        let after = changed(self.stored(&update.key), &update.changes)?;
        valid_item(&update.key, &after)?;
        self.writes += 1;
        self.write(&update.key, Some(after.clone()), 1);
        Ok(Item {
            key: update.key.clone(),
            attributes: after,
        })
    }

    pub(super) fn transact(
        &mut self,
        writes: &[Write],
        lock: Option<u64>,
    ) -> Result<(), StoreError> {
        if writes.is_empty() || writes.len() > MAX_ACTIONS {
            return refused("a transaction has 1 to 100 actions");
        }
        no_repeats(writes.iter().map(key_of))?;
        for write in writes {
            match write {
                Write::Put(put) => {
                    put.condition.as_ref().map_or(Ok(()), valid_condition)?;
                    valid_item(&put.item.key, &put.item.attributes)?;
                }
                Write::Update(update) => {
                    update.condition.as_ref().map_or(Ok(()), valid_condition)?;
                    valid_changes(&update.changes)?;
                }
                Write::Check { condition, .. } => valid_condition(condition)?,
            }
        }
        writes
            .iter()
            .try_for_each(|write| self.free(key_of(write), lock))?;
        let mut failed = Vec::new();
        let mut after = Vec::new();
        for (at, write) in writes.iter().enumerate() {
            let (condition, next) = match write {
                Write::Put(put) => (
                    put.condition.as_ref(),
                    Some(Ok(put.item.attributes.clone())),
                ),
                Write::Update(update) => (
                    update.condition.as_ref(),
                    Some(changed(self.stored(&update.key), &update.changes)),
                ),
                Write::Check { condition, .. } => (Some(condition), None),
            };
            match self.check(key_of(write), condition) {
                Ok(()) => {
                    // A wrong action refuses the transaction, whatever other conditions say.
                    let next = next.transpose()?;
                    next.as_ref()
                        .map_or(Ok(()), |attributes| valid_item(key_of(write), attributes))?;
                    after.push(next);
                }
                Err(existing) => failed.push(FailedCondition { at, existing }),
            }
        }
        if !failed.is_empty() {
            for write in writes {
                self.charge_failed(key_of(write), 2);
            }
            return Err(StoreError::ConditionFailed(failed));
        }
        let sizes = writes
            .iter()
            .zip(&after)
            .filter_map(|(write, next)| Some(size(key_of(write), next.as_ref()?)));
        if sizes.sum::<usize>() > MAX_TRANSACTION {
            return refused("the transaction is over 4 MB");
        }
        self.writes += 1;
        for (write, next) in writes.iter().zip(after) {
            let key = key_of(write);
            match next {
                Some(attributes) => self.write(key, Some(attributes), 2),
                None => self.charge_failed(key, 2),
            }
        }
        Ok(())
    }

    pub(super) fn query(&mut self, query: &Query) -> Result<Vec<Item>, StoreError> {
        let found: Vec<Item> = match &query.select {
            Select::Partition { pk, from, to } => {
                if pk.is_empty() || from.is_empty() || to.is_empty() {
                    return refused("a key is empty");
                }
                if from > to {
                    return refused("the range ends before it begins");
                }
                let key = |sk: &String| Key {
                    pk: pk.clone(),
                    sk: sk.clone(),
                };
                let (from, to) = (key(from), key(to));
                if query.consistent || self.faults.stale.is_zero() {
                    let range = self.items.range(from..=to).map(|(_, item)| item);
                    first(range, query, Item::clone)
                } else {
                    let range = self.as_it_was(&from, &to);
                    first(range.iter(), query, Item::clone)
                }
            }
            Select::JobsOfTenant {
                tenant_jobs,
                before,
            } => {
                if tenant_jobs.is_empty() || before.as_ref().is_some_and(String::is_empty) {
                    return refused("a key is empty");
                }
                let older = |at: &ByJob| before.as_ref().is_none_or(|before| at.0 < *before);
                let range = self
                    .by_tenant
                    .part(tenant_jobs)
                    .filter(|(at, _)| older(at))
                    .map(|(_, item)| item);
                first(range, query, Index::<ByJob>::projection)
            }
            Select::Due { due_shard, until } => {
                if due_shard.is_empty() {
                    return refused("a key is empty");
                }
                let range = self
                    .due
                    .part(due_shard)
                    .filter(|(at, _)| at.0 <= *until)
                    .map(|(_, item)| item);
                first(range, query, Index::<ByTime>::projection)
            }
        };
        let consistent = query.consistent && matches!(query.select, Select::Partition { .. });
        self.units.half_reads +=
            units(found.iter().map(item_size).sum(), 4096) * if consistent { 2 } else { 1 };
        Ok(found)
    }
}

impl Table {
    /// Returns a range as it was a drawn time ago.
    fn as_it_was(&self, from: &Key, to: &Key) -> Vec<Arc<Item>> {
        let then = self.now.minus(some_of(&self.dice, self.faults.stale));
        let mut keys = self.history.keys(from, to);
        keys.extend(self.items.range(from..=to).map(|(key, _)| key.clone()));
        keys.iter()
            .filter_map(|key| self.history.at(key, then, self.items.get(key)))
            .collect()
    }
}

/// Returns the first items of a range as the query counts them.
fn first<'a>(
    range: impl DoubleEndedIterator<Item = &'a Arc<Item>>,
    query: &Query,
    show: impl Fn(&Item) -> Item,
) -> Vec<Item> {
    if query.descending {
        range
            .rev()
            .take(query.limit)
            .map(|item| show(item))
            .collect()
    } else {
        range.take(query.limit).map(|item| show(item)).collect()
    }
}

pub(super) fn key_of(write: &Write) -> &Key {
    match write {
        Write::Put(put) => &put.item.key,
        Write::Update(update) => &update.key,
        Write::Check { key, .. } => key,
    }
}
