//! Versions of the functions, as the ports see them by what they write and read: the previous one,
//! whose formats had less, and a future one, whose formats have more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};
use shared::jobs::Ports;
use shared::ports::{
    Attributes, Change, Condition, Item, Key, Message, Put, Query, Queue, QueueError, QueueName,
    Store, StoreError, Update, Value, Write,
};
use shared::schema::{DONE, END};

use crate::sim::Received;

/// The version of the functions that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Before two sizes in progress: its elements have nine parts and it reads no others, and ends
    /// have no `told_bytes`. Messages do not name their planned attempt (`at`) and lease (`hold`).
    /// Jobs do not say how blanks are shown, and suspended records not why and since when they
    /// wait.
    Previous,
    #[default]
    Current,
    /// Writes attributes, JSON fields, parts of progress elements and fields of messages that no
    /// version so far knows.
    Next,
}

impl Version {
    /// The ports as this version writes and reads them.
    pub(super) fn over(self, ports: &Ports) -> Ports {
        if self == Self::Current {
            return ports.clone();
        }
        Ports {
            store: Arc::new(VersionStore {
                version: self,
                inner: Arc::clone(&ports.store),
                raw: Mutex::default(),
            }),
            queue: Arc::new(VersionQueue {
                version: self,
                inner: Arc::clone(&ports.queue),
            }),
            ..ports.clone()
        }
    }

    /// Messages as this version reads them.
    pub(super) fn received(self, mut batch: Vec<Received>) -> Vec<Received> {
        if self == Self::Previous {
            for message in &mut batch {
                message.body = self.message(&message.body);
            }
        }
        batch
    }

    /// Returns true if this version can read such an element of progress.
    pub(super) fn reads_progress(self, element: &str) -> bool {
        self != Self::Previous || element.split(':').count() == 9
    }

    fn message(self, body: &str) -> String {
        edited(body, |message| match self {
            Self::Previous => forget(message, &["at", "hold", "wake"]),
            Self::Current => {}
            Self::Next => mark(message),
        })
    }
}

/// Edits the value of JSON text; other text stays as it is.
fn edited(text: &str, edit: impl FnOnce(&mut Json)) -> String {
    let Ok(mut value) = serde_json::from_str::<Json>(text) else {
        return text.to_owned();
    };
    edit(&mut value);
    value.to_string()
}

fn forget(value: &mut Json, names: &[&str]) {
    if let Json::Object(fields) = value {
        fields.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// Adds a field to our own objects, not to the words of callers and providers.
fn mark(value: &mut Json) {
    match value {
        Json::Object(fields) => {
            for name in [
                "records",
                "outcomes",
                "parked",
                "webhook",
                "record_webhook",
                "counts",
                "error",
            ] {
                fields.get_mut(name).into_iter().for_each(mark);
            }
            fields.insert("later".to_owned(), json!({"since": 7}));
        }
        Json::Array(values) => values.iter_mut().for_each(mark),
        _ => {}
    }
}

/// Every attribute that holds JSON, or JSON packed.
fn mark_attributes(attributes: &mut Attributes) {
    for (name, value) in attributes.iter_mut() {
        mark_attribute(name, value);
    }
    attributes.insert(LATER.to_owned(), Value::N(7));
}

const LATER: &str = "later";

fn mark_attribute(name: &str, value: &mut Value) {
    match (name, value) {
        ("spec" | "end" | "log" | "secrets", Value::S(text)) => *text = edited(text, mark),
        ("data", Value::B(packed)) => edit_packed(packed, mark),
        _ => {}
    }
}

fn edit_packed(packed: &mut Vec<u8>, edit: impl FnOnce(&mut Json)) {
    let bytes = zstd::bulk::decompress(packed, 32 * 1024 * 1024).expect("packed by the product");
    let text = edited(&String::from_utf8(bytes).expect("JSON"), edit);
    *packed = zstd::bulk::compress(text.as_bytes(), 3).expect("it compressed before");
}

/// A run's checkpoint of a chunk, as the version before wrote it.
fn without_reasons(part: &mut Json) {
    for suspended in part
        .get_mut("parked")
        .and_then(Json::as_array_mut)
        .into_iter()
        .flatten()
    {
        forget(&mut suspended[1], &["outage", "since"]);
    }
}

/// An element of progress as the version before wrote it.
fn nine_parts(element: &str) -> String {
    element
        .splitn(10, ':')
        .take(9)
        .collect::<Vec<_>>()
        .join(":")
}

struct VersionStore {
    version: Version,
    inner: Arc<dyn Store>,
    /// The progress that was read, as it is stored: a condition that it is unchanged means all of
    /// it.
    raw: Mutex<BTreeMap<Key, BTreeSet<String>>>,
}

impl VersionStore {
    fn put_of(&self, mut put: Put) -> Put {
        put.item = self.item_of(put.item);
        put
    }

    fn item_of(&self, mut item: Item) -> Item {
        if self.version == Version::Previous
            && let Some(Value::S(spec)) = item
                .attributes
                .get_mut("spec")
                .filter(|_| item.key.sk == "META")
        {
            *spec = edited(spec, |spec| {
                forget(spec, &["blanks", "form", "phone_details", "settings"]);
            });
        }
        // An upstream's post is its own.
        if self.version == Version::Next && !item.key.sk.starts_with("CHUNK#CALL#") {
            mark_attributes(&mut item.attributes);
        }
        if self.version == Version::Previous
            && item.key.sk.starts_with("CHUNK#")
            && let Some(Value::B(packed)) = item.attributes.get_mut("data")
        {
            edit_packed(packed, without_reasons);
        }
        item
    }

    fn update_of(&self, mut update: Update) -> Update {
        for change in &mut update.changes {
            match (self.version, change) {
                (Version::Previous, Change::AddToSet(name, set)) if *name == DONE => {
                    *set = set.iter().map(|element| nine_parts(element)).collect();
                }
                (Version::Previous, Change::Set(name, Value::S(text))) if *name == END => {
                    *text = edited(text, |end| forget(end, &["told_bytes"]));
                }
                (Version::Next, Change::AddToSet(name, set)) if *name == DONE => {
                    *set = set
                        .iter()
                        .map(|element| format!("{element}:7:later"))
                        .collect();
                }
                (Version::Next, Change::Set(name, value)) => mark_attribute(name, value),
                _ => {}
            }
        }
        if self.version == Version::Next {
            update.changes.push(Change::Set(LATER, Value::N(8)));
        }
        update
    }

    fn write_of(&self, write: Write) -> Write {
        match write {
            Write::Put(put) => Write::Put(self.put_of(put)),
            Write::Update(update) => Write::Update(self.update_of(update)),
            Write::Check { key, condition } if key.sk.starts_with("PROGRESS#") => {
                let condition = self.raw.lock().unwrap().get(&key).map_or(condition, |raw| {
                    if raw.is_empty() {
                        Condition::Absent(DONE)
                    } else {
                        Condition::Equals(DONE, Value::Ss(raw.clone()))
                    }
                });
                Write::Check { key, condition }
            }
            check @ Write::Check { .. } => check,
        }
    }

    /// An item as this version sees it.
    fn seen(&self, mut item: Item) -> Item {
        if self.version != Version::Previous {
            return item;
        }
        if let Some(Value::S(end)) = item.attributes.get_mut(END) {
            *end = edited(end, |end| forget(end, &["told_bytes"]));
        }
        if item.key.sk.starts_with("PROGRESS#") {
            let mut raw = BTreeSet::new();
            if let Some(Value::Ss(done)) = item.attributes.get_mut(DONE) {
                raw.clone_from(done);
                done.retain(|element| self.version.reads_progress(element));
            }
            if matches!(item.attributes.get(DONE), Some(Value::Ss(done)) if done.is_empty()) {
                item.attributes.remove(DONE);
            }
            self.raw.lock().unwrap().insert(item.key.clone(), raw);
        }
        item
    }
}

#[async_trait]
impl Store for VersionStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        Ok(self.inner.get(key).await?.map(|item| self.seen(item)))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        let items = self.inner.get_many(keys).await?;
        Ok(items
            .into_iter()
            .map(|item| item.map(|item| self.seen(item)))
            .collect())
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        Ok(self
            .inner
            .query(query)
            .await?
            .into_iter()
            .map(|item| self.seen(item))
            .collect())
    }

    async fn put(&self, put: Put) -> Result<(), StoreError> {
        self.inner.put(self.put_of(put)).await
    }

    async fn update(&self, update: Update) -> Result<Item, StoreError> {
        Ok(self.seen(self.inner.update(self.update_of(update)).await?))
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.inner
            .transact(
                writes
                    .into_iter()
                    .map(|write| self.write_of(write))
                    .collect(),
            )
            .await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.inner
            .put_all(items.into_iter().map(|item| self.item_of(item)).collect())
            .await
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        self.inner.delete_all(keys).await
    }
}

struct VersionQueue {
    version: Version,
    inner: Arc<dyn Queue>,
}

#[async_trait]
impl Queue for VersionQueue {
    async fn send(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError> {
        let as_it_writes = |message: Message| Message {
            body: self.version.message(&message.body),
            ..message
        };
        self.inner
            .send(queue, messages.into_iter().map(as_it_writes).collect())
            .await
    }

    async fn postpone(
        &self,
        queue: QueueName,
        receipt: &str,
        delay: Duration,
    ) -> Result<(), QueueError> {
        self.inner.postpone(queue, receipt, delay).await
    }
}
