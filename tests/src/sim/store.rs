//! `DynamoDB`, in memory: the table of DESIGN section 3 with its two indexes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::ports::{
    Attributes, Change, Condition, FailedCondition, Item, Key, Put, Query, Select, Store, StoreError, Update, Value,
    Write,
};

use super::gate::{Extent, Failure};
use super::{Gate, Op};

/// The largest item, names included. Source: Amazon `DynamoDB` quotas (400 KB).
const MAX_ITEM: usize = 400 * 1024;
/// Source: Amazon `DynamoDB` quotas, transactions.
const MAX_ACTIONS: usize = 100;
const MAX_TRANSACTION: usize = 4 * 1024 * 1024;
/// Source: Amazon `DynamoDB` quotas, partition and sort key length in bytes.
const MAX_PK: usize = 2048;
const MAX_SK: usize = 1024;

/// Capacity consumed, in half units, so that eventually consistent reads count whole.
///
/// Source of the rules: Amazon `DynamoDB` developer guide, "read and write operations": a write unit is 1 KB of the
/// larger of the item before and after, twice in a transaction, and a failed condition costs what it looked at; a read
/// unit is 4 KB read consistently, half of that otherwise; an index write counts for every index whose entry changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    pub half_reads: u64,
    pub writes: u64,
    pub index_writes: u64,
}

/// The table. See [`Gate`] for faults; [`items`](Self::items) shows everything, outside of any call.
#[derive(Debug)]
pub struct SimStore {
    gate: Arc<Gate>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    items: BTreeMap<Key, Attributes>,
    units: Units,
}

/// The size of an item as `DynamoDB` counts it, in bytes. Source: developer guide, "item sizes and formats"; numbers
/// are approximate there too.
pub fn item_size(item: &Item) -> usize {
    size(&item.key, &item.attributes)
}

fn size(key: &Key, attributes: &Attributes) -> usize {
    let keys = 2 + key.pk.len() + 2 + key.sk.len();
    keys + attributes.iter().map(|(name, value)| name.len() + value_size(value)).sum::<usize>()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::S(text) => text.len(),
        Value::N(number) => {
            let digits = number.unsigned_abs().to_string();
            digits.trim_end_matches('0').len().div_ceil(2) + 1 + usize::from(*number < 0)
        }
        Value::B(bytes) => bytes.len(),
        Value::Ss(set) => set.iter().map(String::len).sum(),
    }
}

fn units(bytes: usize, unit: usize) -> u64 {
    u64::try_from(bytes.div_ceil(unit).max(1)).expect("a size fits 64 bits")
}

fn refused<T>(why: impl Into<String>) -> Result<T, StoreError> {
    Err(StoreError::Refused(why.into()))
}

fn fail(failure: Failure) -> StoreError {
    match failure {
        Failure::Lost => StoreError::Unavailable("lost in the simulation".to_owned()),
        Failure::Throttled => StoreError::Throttled,
        Failure::Conflict => StoreError::Conflict,
    }
}

/// Reads and batches do not answer that a transaction holds an item.
fn fail_plain(failure: Failure) -> StoreError {
    fail(if failure == Failure::Conflict { Failure::Lost } else { failure })
}

impl SimStore {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, table: Mutex::default() }
    }

    /// Every item, by key.
    pub fn items(&self) -> Vec<Item> {
        let table = self.table.lock().unwrap();
        table.items.iter().map(|(key, attributes)| item(key, attributes)).collect()
    }

    /// One item, outside of any call.
    pub fn peek(&self, key: &Key) -> Option<Item> {
        self.table.lock().unwrap().items.get(key).map(|attributes| item(key, attributes))
    }

    /// Puts or removes an item outside of any call: a test's preparation, or TTL deletion.
    pub fn place(&self, key: Key, attributes: Option<Attributes>) {
        let mut table = self.table.lock().unwrap();
        match attributes {
            Some(attributes) => table.items.insert(key, attributes),
            None => table.items.remove(&key),
        };
    }

    /// What the calls consumed so far.
    pub fn units(&self) -> Units {
        self.table.lock().unwrap().units
    }

    /// All bytes stored, as `DynamoDB` counts items.
    pub fn stored_bytes(&self) -> usize {
        self.table.lock().unwrap().items.iter().map(|(key, attributes)| size(key, attributes)).sum()
    }
}

fn item(key: &Key, attributes: &Attributes) -> Item {
    Item { key: key.clone(), attributes: attributes.clone() }
}

fn subject(key: &Key) -> String {
    format!("{}/{}", key.pk, key.sk)
}

fn subjects<'a>(mut keys: impl Iterator<Item = &'a Key>) -> String {
    let first = keys.next().map(subject).unwrap_or_default();
    format!("{first} +{}", keys.count())
}

fn valid_key(key: &Key) -> Result<(), StoreError> {
    if key.pk.is_empty() || key.sk.is_empty() {
        return refused("a key is empty");
    }
    if key.pk.len() > MAX_PK || key.sk.len() > MAX_SK {
        return refused("a key is too long");
    }
    Ok(())
}

fn no_repeats<'a>(keys: impl Iterator<Item = &'a Key>) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    for key in keys {
        valid_key(key)?;
        if !seen.insert(key) {
            return refused("a key repeats");
        }
    }
    Ok(())
}

fn valid_value(value: &Value) -> Result<(), StoreError> {
    match value {
        Value::Ss(set) if set.is_empty() => refused("a set is empty"),
        _ => Ok(()),
    }
}

/// The item as it would be stored: key attributes apart, index keys of their type, size under the limit.
fn valid_item(key: &Key, attributes: &Attributes) -> Result<(), StoreError> {
    valid_key(key)?;
    for (name, value) in attributes {
        valid_value(value)?;
        let fits = match (name.as_str(), value) {
            ("pk" | "sk", _) => false,
            ("tenant_jobs" | "job_id" | "due_shard", value) => matches!(value, Value::S(text) if !text.is_empty()),
            ("due", value) => matches!(value, Value::N(_)),
            _ => true,
        };
        if !fits {
            return refused(format!("attribute {name} cannot hold this"));
        }
    }
    if size(key, attributes) > MAX_ITEM {
        return refused("the item is over 400 KB");
    }
    Ok(())
}

fn valid_condition(condition: &Condition) -> Result<(), StoreError> {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            if parts.is_empty() {
                return refused("a condition of no parts");
            }
            parts.iter().try_for_each(valid_condition)
        }
        Condition::Equals(_, value) => valid_value(value),
        _ => Ok(()),
    }
}

fn valid_changes(changes: &[Change]) -> Result<(), StoreError> {
    if changes.is_empty() {
        return refused("an update without changes");
    }
    let mut names = BTreeSet::new();
    for change in changes {
        let name = match change {
            Change::Set(name, value) | Change::SetIfAbsent(name, value) => {
                valid_value(value)?;
                name
            }
            Change::AddToSet(name, set) => {
                if set.is_empty() {
                    return refused("a set is empty");
                }
                name
            }
            Change::Add(name, _) | Change::Remove(name) => name,
        };
        if matches!(*name, "pk" | "sk") || !names.insert(*name) {
            return refused(format!("attribute {name} is changed twice, or part of the key"));
        }
    }
    Ok(())
}

fn holds(condition: &Condition, stored: Option<&Attributes>) -> bool {
    let attribute = |name: &str| stored.and_then(|attributes| attributes.get(name));
    let number = |name: &str, test: &dyn Fn(i64) -> bool| matches!(attribute(name), Some(Value::N(n)) if test(*n));
    match condition {
        Condition::ItemAbsent => stored.is_none(),
        Condition::ItemExists => stored.is_some(),
        Condition::Equals(name, value) => attribute(name) == Some(value),
        Condition::Absent(name) => attribute(name).is_none(),
        Condition::AtMost(name, bound) => number(name, &|n| n <= *bound),
        Condition::AtLeast(name, bound) => number(name, &|n| n >= *bound),
        Condition::All(parts) => parts.iter().all(|part| holds(part, stored)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, stored)),
    }
}

fn changed(stored: Option<&Attributes>, changes: &[Change]) -> Result<Attributes, StoreError> {
    let mut attributes = stored.cloned().unwrap_or_default();
    for change in changes {
        match change {
            Change::Set(name, value) => {
                attributes.insert((*name).to_owned(), value.clone());
            }
            Change::SetIfAbsent(name, value) => {
                attributes.entry((*name).to_owned()).or_insert_with(|| value.clone());
            }
            Change::Add(name, amount) => match attributes.entry((*name).to_owned()).or_insert(Value::N(0)) {
                Value::N(number) => match number.checked_add(*amount) {
                    Some(sum) => *number = sum,
                    None => return refused(format!("attribute {name} leaves the range of 64 bits")),
                },
                _ => return refused(format!("attribute {name} is no number")),
            },
            Change::AddToSet(name, elements) => {
                match attributes.entry((*name).to_owned()).or_insert_with(|| Value::Ss(BTreeSet::new())) {
                    Value::Ss(set) => set.extend(elements.iter().cloned()),
                    _ => return refused(format!("attribute {name} is no set")),
                }
            }
            Change::Remove(name) => {
                attributes.remove(*name);
            }
        }
    }
    Ok(attributes)
}

/// An item's entry in an index: its sort position and what the index holds of it.
fn by_tenant(key: &Key, attributes: &Attributes) -> Option<(String, String, Item)> {
    let (Value::S(tenant), Value::S(job)) = (attributes.get("tenant_jobs")?, attributes.get("job_id")?) else {
        return None;
    };
    Some((tenant.clone(), job.clone(), projection(key, attributes, &["tenant_jobs", "job_id", "status"])))
}

fn due(key: &Key, attributes: &Attributes) -> Option<(String, i64, Item)> {
    let (Value::S(shard), Value::N(at)) = (attributes.get("due_shard")?, attributes.get("due")?) else {
        return None;
    };
    Some((shard.clone(), *at, projection(key, attributes, &["due_shard", "due"])))
}

fn projection(key: &Key, attributes: &Attributes, names: &[&str]) -> Item {
    let kept = attributes.iter().filter(|(name, _)| names.contains(&name.as_str()));
    Item { key: key.clone(), attributes: kept.map(|(name, value)| (name.clone(), value.clone())).collect() }
}

impl Table {
    fn read(&mut self, key: &Key) -> Option<Item> {
        let found = self.items.get(key).map(|attributes| item(key, attributes));
        self.units.half_reads += 2 * units(found.as_ref().map_or(0, item_size), 4096);
        found
    }

    /// Stores or deletes, and counts what that costs.
    fn write(&mut self, key: &Key, after: Option<Attributes>, factor: u64) {
        let before = self.items.get(key);
        let largest = [before, after.as_ref()].into_iter().flatten().map(|a| size(key, a)).max().unwrap_or(0);
        self.units.writes += factor * units(largest, 1024);
        let tenant = |a: Option<&Attributes>| a.and_then(|a| by_tenant(key, a)).map(|(h, r, i)| ((h, r), i));
        let shard = |a: Option<&Attributes>| a.and_then(|a| due(key, a)).map(|(h, r, i)| ((h, r), i));
        self.units.index_writes +=
            index_writes(tenant(before), tenant(after.as_ref())) + index_writes(shard(before), shard(after.as_ref()));
        match after {
            Some(attributes) => self.items.insert(key.clone(), attributes),
            None => self.items.remove(key),
        };
    }

    fn charge_failed(&mut self, key: &Key, factor: u64) {
        let looked_at = self.items.get(key).map_or(0, |attributes| size(key, attributes));
        self.units.writes += factor * units(looked_at, 1024);
    }

    fn check(&self, key: &Key, condition: Option<&Condition>) -> Result<(), Option<Item>> {
        let stored = self.items.get(key);
        if condition.is_none_or(|condition| holds(condition, stored)) {
            return Ok(());
        }
        Err(stored.map(|attributes| item(key, attributes)))
    }

    fn single(&mut self, key: &Key, condition: Option<&Condition>) -> Result<(), StoreError> {
        self.check(key, condition).map_err(|existing| {
            self.charge_failed(key, 1);
            StoreError::ConditionFailed(vec![FailedCondition { at: 0, existing }])
        })
    }

    fn put(&mut self, put: &Put) -> Result<(), StoreError> {
        valid_item(&put.item.key, &put.item.attributes)?;
        put.condition.as_ref().map_or(Ok(()), valid_condition)?;
        self.single(&put.item.key, put.condition.as_ref())?;
        self.write(&put.item.key, Some(put.item.attributes.clone()), 1);
        Ok(())
    }

    fn update(&mut self, update: &Update) -> Result<Item, StoreError> {
        valid_key(&update.key)?;
        update.condition.as_ref().map_or(Ok(()), valid_condition)?;
        valid_changes(&update.changes)?;
        self.single(&update.key, update.condition.as_ref())?;
        let after = changed(self.items.get(&update.key), &update.changes)?;
        valid_item(&update.key, &after)?;
        self.write(&update.key, Some(after.clone()), 1);
        Ok(Item { key: update.key.clone(), attributes: after })
    }

    fn transact(&mut self, writes: &[Write]) -> Result<(), StoreError> {
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
        let mut failed = Vec::new();
        let mut after = Vec::new();
        for (at, write) in writes.iter().enumerate() {
            let (condition, next) = match write {
                Write::Put(put) => (put.condition.as_ref(), Some(Ok(put.item.attributes.clone()))),
                Write::Update(update) => {
                    (update.condition.as_ref(), Some(changed(self.items.get(&update.key), &update.changes)))
                }
                Write::Check { condition, .. } => (Some(condition), None),
            };
            match self.check(key_of(write), condition) {
                Ok(()) => {
                    // A wrong action refuses the transaction, whatever other conditions say.
                    let next = next.transpose()?;
                    next.as_ref().map_or(Ok(()), |attributes| valid_item(key_of(write), attributes))?;
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
        let sizes = writes.iter().zip(&after).filter_map(|(write, next)| Some(size(key_of(write), next.as_ref()?)));
        if sizes.sum::<usize>() > MAX_TRANSACTION {
            return refused("the transaction is over 4 MB");
        }
        for (write, next) in writes.iter().zip(after) {
            let key = key_of(write);
            match next {
                Some(attributes) => self.write(key, Some(attributes), 2),
                None => self.charge_failed(key, 2),
            }
        }
        Ok(())
    }

    fn query(&mut self, query: &Query) -> Result<Vec<Item>, StoreError> {
        let mut found: Vec<Item> = match &query.select {
            Select::Partition { pk, from, to } => {
                if pk.is_empty() || from.is_empty() || to.is_empty() {
                    return refused("a key is empty");
                }
                if from > to {
                    return refused("the range ends before it begins");
                }
                let key = |sk: &String| Key { pk: pk.clone(), sk: sk.clone() };
                self.items.range(key(from)..=key(to)).map(|(key, attributes)| item(key, attributes)).collect()
            }
            Select::JobsOfTenant { tenant_jobs, before } => {
                if tenant_jobs.is_empty() || before.as_ref().is_some_and(String::is_empty) {
                    return refused("a key is empty");
                }
                let mut entries: Vec<_> = self.items.iter().filter_map(|(key, a)| by_tenant(key, a)).collect();
                entries.retain(|(tenant, job, _)| {
                    tenant == tenant_jobs && before.as_ref().is_none_or(|before| job < before)
                });
                entries.sort_by(|a, b| (&a.1, &a.2.key).cmp(&(&b.1, &b.2.key)));
                entries.into_iter().map(|(_, _, item)| item).collect()
            }
            Select::Due { due_shard, until } => {
                if due_shard.is_empty() {
                    return refused("a key is empty");
                }
                let mut entries: Vec<_> = self.items.iter().filter_map(|(key, a)| due(key, a)).collect();
                entries.retain(|(shard, at, _)| shard == due_shard && at <= until);
                entries.sort_by(|a, b| (a.1, &a.2.key).cmp(&(b.1, &b.2.key)));
                entries.into_iter().map(|(_, _, item)| item).collect()
            }
        };
        if query.descending {
            found.reverse();
        }
        found.truncate(query.limit);
        let consistent = query.consistent && matches!(query.select, Select::Partition { .. });
        self.units.half_reads += units(found.iter().map(item_size).sum(), 4096) * if consistent { 2 } else { 1 };
        Ok(found)
    }
}

/// A new, changed or removed entry is one write; one that moves is two.
fn index_writes<P: PartialEq>(before: Option<(P, Item)>, after: Option<(P, Item)>) -> u64 {
    match (before, after) {
        (None, None) => 0,
        (Some(_), None) | (None, Some(_)) => 1,
        (Some(before), Some(after)) if before.0 != after.0 => 2,
        (Some(before), Some(after)) => u64::from(before.1 != after.1),
    }
}

fn key_of(write: &Write) -> &Key {
    match write {
        Write::Put(put) => &put.item.key,
        Write::Update(update) => &update.key,
        Write::Check { key, .. } => key,
    }
}

/// The part of a batch that takes effect.
fn reached<T>(batch: &[T], extent: Extent) -> &[T] {
    match extent {
        Extent::Whole => batch,
        Extent::FirstHalf => &batch[..batch.len() / 2],
    }
}

#[async_trait]
impl Store for SimStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let effect = |_| {
            valid_key(key)?;
            Ok(self.table.lock().unwrap().read(key))
        };
        self.gate.call(Op::Get, subject(key), fail_plain, effect).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        no_repeats(keys.iter())?;
        let mut found = Vec::with_capacity(keys.len());
        for batch in keys.chunks(100) {
            let effect = |_| {
                let mut table = self.table.lock().unwrap();
                Ok(batch.iter().map(|key| table.read(key)).collect::<Vec<_>>())
            };
            found.extend(self.gate.call(Op::GetMany, subjects(batch.iter()), fail_plain, effect).await?);
        }
        Ok(found)
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        let subject = match &query.select {
            Select::Partition { pk, from, to } => format!("{pk}/{from}..={to}"),
            Select::JobsOfTenant { tenant_jobs, .. } => format!("by_tenant {tenant_jobs}"),
            Select::Due { due_shard, until } => format!("due {due_shard} ..={until}"),
        };
        let effect = |_| self.table.lock().unwrap().query(query);
        self.gate.call(Op::Query, subject, fail_plain, effect).await
    }

    async fn put(&self, put: Put) -> Result<(), StoreError> {
        let effect = |_| self.table.lock().unwrap().put(&put);
        self.gate.call(Op::Put, subject(&put.item.key), fail, effect).await
    }

    async fn update(&self, update: Update) -> Result<Item, StoreError> {
        let effect = |_| self.table.lock().unwrap().update(&update);
        self.gate.call(Op::Update, subject(&update.key), fail, effect).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let effect = |_| self.table.lock().unwrap().transact(&writes);
        self.gate.call(Op::Transact, subjects(writes.iter().map(key_of)), fail, effect).await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        no_repeats(items.iter().map(|item| &item.key))?;
        items.iter().try_for_each(|item| valid_item(&item.key, &item.attributes))?;
        for batch in items.chunks(25) {
            let effect = |extent| {
                let mut table = self.table.lock().unwrap();
                for item in reached(batch, extent) {
                    table.write(&item.key, Some(item.attributes.clone()), 1);
                }
                Ok(())
            };
            self.gate.call(Op::PutAll, subjects(batch.iter().map(|item| &item.key)), fail_plain, effect).await?;
        }
        Ok(())
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        no_repeats(keys.iter())?;
        for batch in keys.chunks(25) {
            let effect = |extent| {
                let mut table = self.table.lock().unwrap();
                for key in reached(batch, extent) {
                    table.write(key, None, 1);
                }
                Ok(())
            };
            self.gate.call(Op::DeleteAll, subjects(batch.iter()), fail_plain, effect).await?;
        }
        Ok(())
    }
}
