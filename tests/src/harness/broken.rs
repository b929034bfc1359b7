//! Stores that break one promise each. The invariants must find every one of them out.

use std::sync::Arc;

use async_trait::async_trait;
use shared::ports::{Item, Key, Put, Query, Store, StoreError, Update, Write};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A result is put whether or not there is one.
    ResultOverwrites,
    /// The end of a job does not look at the status it ends.
    EndLooksAtNothing,
    /// The transaction that ends a job becomes single writes.
    EndIsSplit,
    /// The idempotency key is taken whether or not it is free.
    KeyIsTakenTwice,
    /// An attempt's lease is written over another's.
    LeaseIsStolen,
    /// Credits are not settled.
    NothingIsSettled,
    /// Progress forgets what was there.
    ProgressIsReplaced,
    /// The event of a record is not put, and nobody is told.
    RecordEventIsLost,
    /// The turn to send to a URL is taken whether or not it is free, and whatever was sent there before.
    TurnIsStolen,
}

/// A store with that fault.
#[derive(Clone)]
pub struct BrokenStore {
    pub inner: Arc<dyn Store>,
    pub how: Broken,
}

impl std::fmt::Debug for BrokenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokenStore").field("how", &self.how).finish_non_exhaustive()
    }
}

fn key_of(write: &Write) -> &Key {
    match write {
        Write::Put(put) => &put.item.key,
        Write::Update(update) => &update.key,
        Write::Check { key, .. } => key,
    }
}

#[async_trait]
impl Store for BrokenStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        self.inner.get_many(keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        self.inner.query(query).await
    }

    async fn put(&self, mut put: Put) -> Result<(), StoreError> {
        if self.how == Broken::ResultOverwrites && put.item.key.sk.ends_with("#RESULT") {
            put.condition = None;
        }
        if self.how == Broken::RecordEventIsLost && put.item.key.sk.starts_with("DELIVERY#") {
            return Ok(());
        }
        self.inner.put(put).await
    }

    async fn update(&self, mut update: Update) -> Result<Item, StoreError> {
        let sk = update.key.sk.clone();
        match self.how {
            Broken::TurnIsStolen if sk == "LATEST" => update.condition = None,
            Broken::LeaseIsStolen if sk.starts_with("DELIVERY#") => update.condition = None,
            Broken::ProgressIsReplaced if sk.starts_with("PROGRESS#") => {
                for change in &mut update.changes {
                    if let shared::ports::Change::AddToSet(name, set) = change.clone() {
                        *change = shared::ports::Change::Set(name, shared::ports::Value::Ss(set));
                    }
                }
            }
            _ => {}
        }
        self.inner.update(update).await
    }

    async fn transact(&self, mut writes: Vec<Write>) -> Result<(), StoreError> {
        let ends = writes.iter().any(|w| matches!(w, Write::Update(u) if u.key.sk == "META"));
        match self.how {
            Broken::EndLooksAtNothing if ends => {
                for write in &mut writes {
                    match write {
                        Write::Update(update) if update.key.sk == "META" => update.condition = None,
                        Write::Put(put) => put.condition = None,
                        _ => {}
                    }
                }
            }
            Broken::EndIsSplit if ends => {
                for write in writes {
                    self.inner.transact(vec![write]).await?;
                }
                return Ok(());
            }
            Broken::KeyIsTakenTwice => {
                for write in &mut writes {
                    if let Write::Put(put) = write
                        && put.item.key.sk == "IDEM"
                    {
                        put.condition = None;
                    }
                }
            }
            Broken::NothingIsSettled if ends => writes.retain(|write| key_of(write).sk != "CREDITS"),
            _ => {}
        }
        self.inner.transact(writes).await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.inner.put_all(items).await
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        self.inner.delete_all(keys).await
    }
}
