//! `DynamoDB`, in memory: the table of `shared::schema` with its two indexes.

mod faults;
mod index;
mod rules;
mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use shared::ports::{
    Attributes, Clock, Item, Key, Put, Query, Select, Store, StoreError, Update, Write,
};

pub use self::faults::StoreFaults;
pub use self::rules::item_size;
use self::rules::{no_repeats, valid_item, valid_key};
use self::table::{Table, key_of};
use super::gate::{Extent, Failure, Later};
use super::{Gate, Op, SimClock, SimEntropy};

/// Capacity consumed, in half units, so that eventually consistent reads count whole.
///
/// Source of the rules: Amazon `DynamoDB` developer guide, "read and write operations".
/// - A write unit is 1 KB of the larger of the item before and after, twice in a transaction; a
///   failed condition costs the item it checked.
/// - A read unit is 4 KB read consistently, half of that otherwise.
/// - An index write counts for every index whose entry changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Units {
    pub half_reads: u64,
    pub writes: u64,
    pub index_writes: u64,
}

/// A change of one item by a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    pub key: Key,
    /// `None` where there was no item.
    pub before: Option<Arc<Item>>,
    /// `None` where there is none any more.
    pub after: Option<Arc<Item>>,
    /// The number of the write; changes of one transaction share it.
    pub write: u64,
}

/// The table. See [`Gate`] for faults; [`items`](Self::items) shows everything, outside of any
/// call.
#[derive(Debug, Clone)]
pub struct SimStore {
    gate: Arc<Gate>,
    clock: Arc<SimClock>,
    table: Arc<Mutex<Table>>,
}

/// The locked items of a transaction, until it has taken effect or its process is gone.
struct TransactionLock<'a> {
    store: &'a SimStore,
    number: u64,
}

impl Drop for TransactionLock<'_> {
    fn drop(&mut self) {
        self.store.table().let_go(self.number);
    }
}

fn fail(failure: Failure) -> StoreError {
    match failure {
        Failure::Lost => StoreError::Unavailable("lost in the simulation".to_owned()),
        Failure::Throttled => StoreError::Throttled,
        Failure::Conflict => StoreError::Conflict,
    }
}

/// The error of reads and batches, which do not report that a transaction has an item.
fn fail_plain(failure: Failure) -> StoreError {
    fail(if failure == Failure::Conflict {
        Failure::Lost
    } else {
        failure
    })
}

impl SimStore {
    pub(super) fn new(gate: Arc<Gate>, clock: Arc<SimClock>) -> Self {
        Self {
            gate,
            clock,
            table: Arc::new(Mutex::new(Table::new())),
        }
    }

    /// Returns the table as of now.
    fn table(&self) -> MutexGuard<'_, Table> {
        let mut table = self.table.lock().unwrap();
        table.catch_up(self.clock.now());
        table
    }

    /// A write that takes effect when it is called, on the table as of then.
    fn later(&self, effect: impl FnOnce(&mut Table) -> bool + Send + 'static) -> Later {
        let table = Arc::clone(&self.table);
        Box::new(move |at| {
            let mut table = table.lock().unwrap();
            table.catch_up(at);
            effect(&mut table)
        })
    }

    /// Makes these faults from now on; their times are drawn from the seed.
    pub fn misbehave(&self, faults: StoreFaults, seed: u64) {
        self.table().misbehave(faults, seed);
    }

    /// Locks the items of a transaction for as long as it takes.
    async fn lock(&self, writes: &[Write]) -> Result<TransactionLock<'_>, StoreError> {
        let held = self.table().lock(writes);
        let Some((number, time)) = held else {
            return Err(StoreError::Conflict);
        };
        let lock = TransactionLock {
            store: self,
            number,
        };
        self.clock.sleep(time).await;
        Ok(lock)
    }

    /// Every item, by key.
    pub fn items(&self) -> Vec<Item> {
        self.table().items().map(|item| Item::clone(item)).collect()
    }

    /// One item, outside of any call.
    pub fn peek(&self, key: &Key) -> Option<Item> {
        self.table().peek(key).map(|item| Item::clone(item))
    }

    /// Returns true if any item has a `due`.
    pub fn any_due(&self) -> bool {
        self.table().any_due()
    }

    /// Counts the items deleted because they had expired, by the first part of the sort key.
    pub fn expired(&self) -> BTreeMap<String, u64> {
        self.table().expired.clone()
    }

    /// Puts or removes an item outside of any call: a test's preparation, or TTL deletion. The
    /// changes leave it out.
    pub fn place(&self, key: &Key, attributes: Option<Attributes>) {
        self.table().place(key, attributes);
    }

    /// Notes every change of an item from now on, for [`take_changes`](Self::take_changes).
    pub fn note_changes(&self) {
        self.table().changes.get_or_insert_default();
    }

    /// Returns the changes since the last time, in order. A write that leaves an item unchanged
    /// does not count.
    pub fn take_changes(&self) -> Vec<Changed> {
        self.table()
            .changes
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Returns the units that the calls consumed so far.
    pub fn units(&self) -> Units {
        self.table().units
    }

    /// Returns all bytes stored, as `DynamoDB` counts items.
    pub fn stored_bytes(&self) -> usize {
        self.table().items().map(|item| item_size(item)).sum()
    }
}

fn subject(key: &Key) -> String {
    format!("{}/{}", key.pk, key.sk)
}

fn subjects<'a>(mut keys: impl Iterator<Item = &'a Key>) -> String {
    let first = keys.next().map(subject).unwrap_or_default();
    format!("{first} +{}", keys.count())
}

/// Returns the part of a batch that takes effect.
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
            Ok(self.table().read(key))
        };
        self.gate
            .call(Op::Get, subject(key), fail_plain, effect)
            .await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        no_repeats(keys.iter())?;
        let mut found = Vec::with_capacity(keys.len());
        for batch in keys.chunks(100) {
            let effect = |_| {
                let mut table = self.table();
                Ok(batch.iter().map(|key| table.read(key)).collect::<Vec<_>>())
            };
            found.extend(
                self.gate
                    .call(Op::GetMany, subjects(batch.iter()), fail_plain, effect)
                    .await?,
            );
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
        self.gate.note_content(query);
        let effect = |_| self.table().query(query);
        self.gate.call(Op::Query, subject, fail_plain, effect).await
    }

    async fn put(&self, put: Put) -> Result<(), StoreError> {
        let effect = |_| self.table().put(&put);
        let later = || {
            let put = put.clone();
            self.later(move |table| table.put(&put).is_ok())
        };
        self.gate
            .write(Op::Put, subject(&put.item.key), &put, fail, effect, &later)
            .await
    }

    async fn update(&self, update: Update) -> Result<Item, StoreError> {
        let effect = |_| self.table().update(&update);
        let later = || {
            let update = update.clone();
            self.later(move |table| table.update(&update).is_ok())
        };
        self.gate
            .write(
                Op::Update,
                subject(&update.key),
                &update,
                fail,
                effect,
                &later,
            )
            .await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let lock = if self.table().slow_transactions() {
            Some(self.lock(&writes).await?)
        } else {
            None
        };
        let effect = |_| {
            self.table()
                .transact(&writes, lock.as_ref().map(|lock| lock.number))
        };
        let later = || {
            let writes = writes.clone();
            self.later(move |table| table.transact(&writes, None).is_ok())
        };
        self.gate
            .write(
                Op::Transact,
                subjects(writes.iter().map(key_of)),
                &writes,
                fail,
                effect,
                &later,
            )
            .await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        no_repeats(items.iter().map(|item| &item.key))?;
        items
            .iter()
            .try_for_each(|item| valid_item(&item.key, &item.attributes))?;
        for batch in items.chunks(25) {
            let effect = |extent| {
                self.table().put_all(reached(batch, extent));
                Ok(())
            };
            let later = || {
                let batch = batch.to_vec();
                self.later(move |table| table.put_all(&batch))
            };
            let subject = subjects(batch.iter().map(|item| &item.key));
            self.gate
                .write(Op::PutAll, subject, &batch, fail_plain, effect, &later)
                .await?;
        }
        Ok(())
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        no_repeats(keys.iter())?;
        for batch in keys.chunks(25) {
            let effect = |extent| {
                self.table().delete_all(reached(batch, extent));
                Ok(())
            };
            let later = || {
                let batch = batch.to_vec();
                self.later(move |table| table.delete_all(&batch))
            };
            self.gate
                .write(
                    Op::DeleteAll,
                    subjects(batch.iter()),
                    &batch,
                    fail_plain,
                    effect,
                    &later,
                )
                .await?;
        }
        Ok(())
    }
}
