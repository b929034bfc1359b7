//! The table.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

/// A value of the table. Only the kinds that Millrace stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    S(String),
    /// A whole number.
    N(i64),
    /// Bytes (compressed JSON).
    B(Vec<u8>),
    /// A set of strings, never empty.
    Ss(BTreeSet<String>),
}

/// The primary key of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The partition key, such as `JOB#…`.
    pub pk: String,
    /// The sort key within the partition.
    pub sk: String,
}

/// Attributes by name, the primary key not among them.
pub type Attributes = BTreeMap<String, Value>;

/// One item of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The primary key.
    pub key: Key,
    /// Everything else.
    pub attributes: Attributes,
}

/// The condition on the stored item for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// No item has this key.
    ItemAbsent,
    /// An item has this key.
    ItemExists,
    /// The attribute is there and equal.
    Equals(&'static str, Value),
    /// The attribute is not there (also true of an absent item).
    Absent(&'static str),
    /// The attribute is there, a number, and `<=` this.
    AtMost(&'static str, i64),
    /// The attribute is there, a number, and `>=` this.
    AtLeast(&'static str, i64),
    /// Every one of these holds.
    All(Vec<Condition>),
    /// At least one of these holds.
    Any(Vec<Condition>),
}

/// One change of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets an attribute, whether or not it is there.
    Set(&'static str, Value),
    /// Sets only where the attribute is not there yet.
    SetIfAbsent(&'static str, Value),
    /// Adds to a number; an absent one counts as 0.
    Add(&'static str, i64),
    /// Adds elements to a set; an absent one counts as empty. Adding twice changes nothing.
    AddToSet(&'static str, BTreeSet<String>),
    /// Removes an attribute, if it is there.
    Remove(&'static str),
}

/// Replaces the whole item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The item as it will be; attributes that it lacks are gone.
    pub item: Item,
    /// The condition on the item that is there; `None` to write in any case.
    pub condition: Option<Condition>,
}

/// Changes attributes of an item. Without a condition that asks for the item's existence it creates
/// an absent one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The item to change.
    pub key: Key,
    /// The changes, each of another attribute.
    pub changes: Vec<Change>,
    /// The condition on the item that is there; `None` to write in any case.
    pub condition: Option<Condition>,
}

/// One action of a transaction. No two actions of a transaction may name the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Replaces an item.
    Put(Put),
    /// Changes an item.
    Update(Update),
    /// Writes nothing; the transaction fails where the condition does not hold.
    Check {
        /// The item to check.
        key: Key,
        /// The condition on it.
        condition: Condition,
    },
}

/// The items that a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// Items of one partition, by sort key between `from` and `to`, both inclusive.
    Partition {
        /// The partition key.
        pk: String,
        /// The least sort key.
        from: String,
        /// The greatest sort key.
        to: String,
    },
    /// The `by_tenant` index: keys and `status` of the tenant's job heads, the job id strictly
    /// before `before`.
    JobsOfTenant {
        /// The index's partition key, made of the tenant's id.
        tenant_jobs: String,
        /// Goes on after a page, below this job id; `None` begins with the newest.
        before: Option<String>,
    },
    /// The `due` index: keys and `due` of what is due in one shard at or before `until`
    /// (milliseconds), earliest first.
    Due {
        /// The index's partition key, made of the shard's number.
        due_shard: String,
        /// The latest time, in milliseconds since the epoch.
        until: i64,
    },
}

/// A query. Index reads are eventually consistent whatever `consistent` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The items to read.
    pub select: Select,
    /// At most this many items; an answer with fewer is complete.
    pub limit: usize,
    /// Newest (greatest sort key) first.
    pub descending: bool,
    /// Sees every write that was acknowledged before; costs twice as much.
    pub consistent: bool,
}

impl Query {
    /// Reads all of a range, in the order of its keys, with every write that was acknowledged
    /// before.
    pub fn full_range(select: Select) -> Self {
        Self {
            select,
            limit: usize::MAX,
            descending: false,
            consistent: true,
        }
    }
}

/// A condition of a write that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedCondition {
    /// Which action of the transaction, from 0; always 0 for a single write.
    pub at: usize,
    /// The item as it was then, where there was one.
    pub existing: Option<Item>,
}

/// Why a store call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written, because at least one condition did not hold.
    #[error("a write condition did not hold")]
    ConditionFailed(Vec<FailedCondition>),
    /// Nothing was written, because another transaction held one of the items. Try again with
    /// jitter; never a verdict.
    #[error("another transaction holds an item of this one")]
    Conflict,
    /// Nothing was written; the table or the account is over its rate.
    #[error("the table is throttled")]
    Throttled,
    /// No answer came. A write may or may not have happened: read, or repeat it under the same
    /// condition.
    #[error("the table did not answer: {0}")]
    Unavailable(String),
    /// The call itself is wrong (validation, permission, size). Nothing was written; repeating it
    /// does not help.
    #[error("the table refused the call: {0}")]
    Refused(String),
}

/// The table.
///
/// Every write is durable when it answers `Ok`. Every method may answer [`StoreError::Unavailable`]
/// after it took effect. Items come back whether or not their TTL has passed: readers compare
/// `expires_at` themselves.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads one item, seeing every write that was acknowledged before the call.
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError>;

    /// Reads several items consistently, one answer for each key in the keys' order. Not one
    /// snapshot: each item is as of its own moment. Any number of keys; none may repeat.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError>;

    /// Reads a range, going on over pages until the limit is reached or nothing is left.
    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError>;

    /// Puts one item if its condition holds.
    async fn put(&self, put: Put) -> Result<(), StoreError>;

    /// Updates one item if its condition holds, and returns it as it is then.
    async fn update(&self, update: Update) -> Result<Item, StoreError>;

    /// All of the writes or none, at most 100 and 4 MB, if every condition holds.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// Puts items without conditions, in any order, retrying what the table did not process. On an
    /// error some may have been written: callers use keys that no one else writes, so that
    /// repeating is safe.
    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError>;

    /// Deletes items, present or not, retrying what the table did not process. On an error some may
    /// be gone: repeat.
    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError>;
}
