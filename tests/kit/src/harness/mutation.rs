//! Ports that break one promise each. Each invariant must find out at least one of them; see
//! `tests/sim/controls.rs`.

use std::future::pending;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::domain::delivery::DeliveryState;
use shared::domain::job::Status;
use shared::domain::signature::headers;
use shared::ports::{
    Change, Clock, Condition, Entropy, HttpAnswer, HttpError, HttpRequest, HttpSender, Item, Key,
    Put, Query, Store, StoreError, Update, Value, Write,
};
use shared::schema::{
    BALANCE, CALLBACK_KEY, DUE, DUE_SHARD, LEASE_TOKEN, STATE, STATUS, USED, get_s,
};

use super::upstream::GUESSED_KEY;
use super::{Tenant, World};

/// The promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A result is put even if one exists.
    ResultOverwrites,
    /// A result is not put, without an error.
    ResultIsNotKept,
    /// The end of a job does not check the status it ends.
    EndLooksAtNothing,
    /// No change of a job's status checks the status before.
    StatusLooksAtNothing,
    /// The transaction that ends a job becomes single writes.
    EndIsSplit,
    /// The event of a job's end is left out of the transaction.
    EventIsNotPut,
    /// The idempotency key is taken even if it is in use.
    KeyIsTakenTwice,
    /// An attempt's lease is written over another's.
    LeaseIsStolen,
    /// The result of an attempt is recorded whichever attempt has the lease.
    OutcomeIsAnybodys,
    /// The result of an attempt is recorded without its entry in the log.
    LogIsForgotten,
    /// Credits are not settled.
    NothingIsSettled,
    /// Credits are reserved even if they are missing.
    CreditsAreNotAsked,
    /// Progress forgets its earlier elements.
    ProgressIsReplaced,
    /// Updates create the item that they should find.
    UpdatesCreate,
    /// A new job is not marked for the sweep.
    DueIsForgotten,
    /// The event of a record is not put, without an error.
    RecordEventIsLost,
    /// The lease of a URL is taken even if it is live, and whatever was sent there before.
    UrlLeaseIsStolen,
    /// Items are not deleted, without an error.
    NothingIsErased,
    /// The erasure of a job's items erases its head too.
    HeadIsErased,
    /// The owner of a job is taken from the request.
    TenantIsTakenFromTheRequest,
    /// Events are signed with another tenant's secret.
    SecretOfAnother,
    /// Events go to another tenant's receiver.
    ReceiverOfAnother,
    /// Each attempt has its own `webhook-id`.
    IdPerAttempt,
    /// Each attempt has its own body.
    BodyPerAttempt,
    /// Two jobs get the same id.
    IdsRepeat,
    /// The records of a new job are stored without their ids.
    IdsAreDropped,
    /// An attempt at a chunk counts as seven.
    StartsCountSeven,
    /// A failed attempt is the last.
    NothingIsTriedAgain,
    /// The sweep does not run.
    SweepSleeps,
    /// A job is accepted and not stored.
    JobIsNotKept,
    /// The idempotency key is not remembered.
    KeyIsNotKept,
    /// The records of a new job are stored as if they began one place later.
    PlacesAreShifted,
    /// Events that are asked for again are not sent, without an error.
    ReplayIsForgotten,
    /// A balance is read as nothing.
    BalanceReadsZero,
    /// Every job is read as completed.
    JobsReadCompleted,
    /// A request with a key gets no answer.
    KeysAreNotAnswered,
    /// A request to cancel is acknowledged and not stored.
    CancelIsForgotten,
    /// A tombstone is acknowledged and not stored.
    TombstoneIsNotKept,
    /// The result of a chunk is put again after each read of it, with other costs.
    ResultsChange,
    /// A job is erased at no cost, whatever was done of it.
    ErasingIsFree,
    /// The results of an event are read as if nothing had been found.
    EventsSayNothingWasFound,
    /// The link of an event leads to another place.
    EventsLinkElsewhere,
    /// The checkpoints of a run's records are not stored, without an error.
    PartsAreLost,
    /// A post to a callback URL overwrites the post before.
    PostsOverwrite,
    /// A post to a callback URL is stored for the record after that.
    PostsAreMisfiled,
    /// Callback URLs are signed with a key that can be guessed.
    KeysAreKnown,
    /// A chunk whose records wait is polled half a day too late.
    PollsAreFar,
    /// A job that is over is read as running and without its results.
    EndsAreNotSeen,
}

impl Mutation {
    /// Breaks it in this world, from now on. Tenants created later are not affected.
    pub fn install(self, world: &mut World) {
        let tenants = world.tenants.clone();
        match self {
            Self::SweepSleeps => world.options.sweeping = false,
            Self::IdsRepeat => {
                world.ports.entropy = Arc::new(BrokenEntropy(world.ports.entropy.clone()));
            }
            Self::ReceiverOfAnother
            | Self::IdPerAttempt
            | Self::BodyPerAttempt
            | Self::EventsSayNothingWasFound
            | Self::EventsLinkElsewhere => {
                let (inner, clock) = (world.ports.http.clone(), world.ports.clock.clone());
                let sent = Mutex::new(0);
                world.ports.http = Arc::new(BrokenHttp {
                    inner,
                    clock,
                    tenants,
                    sent,
                    how: self,
                });
            }
            how => world.ports.store = how.store(world.ports.store.clone()),
        }
    }

    /// Returns a store that breaks it, if a store can.
    pub fn store(self, inner: Arc<dyn Store>) -> Arc<dyn Store> {
        match self {
            Self::TenantIsTakenFromTheRequest => Arc::new(CredulousStore {
                inner,
                asker: Mutex::default(),
            }),
            how => Arc::new(BrokenStore { inner, how }),
        }
    }
}

/// A store with that fault.
#[derive(Clone)]
pub struct BrokenStore {
    pub inner: Arc<dyn Store>,
    pub how: Mutation,
}

impl std::fmt::Debug for BrokenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokenStore")
            .field("how", &self.how)
            .finish_non_exhaustive()
    }
}

fn key_of(write: &Write) -> &Key {
    match write {
        Write::Put(put) => &put.item.key,
        Write::Update(update) => &update.key,
        Write::Check { key, .. } => key,
    }
}

/// Returns true if the condition requires this, alone or among others.
fn asks(condition: Option<&Condition>, part: &dyn Fn(&Condition) -> bool) -> bool {
    condition.is_some_and(|condition| match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().any(|inner| asks(Some(inner), part))
        }
        single => part(single),
    })
}

impl BrokenStore {
    /// Reads a secret from under another tenant's key.
    fn misread(&self, key: &Key) -> Key {
        if self.how != Mutation::SecretOfAnother || !key.pk.starts_with("SECRET#") {
            return key.clone();
        }
        let other = if key.pk == "SECRET#acme" {
            "SECRET#other"
        } else {
            "SECRET#acme"
        };
        Key {
            pk: other.to_owned(),
            ..key.clone()
        }
    }

    /// Returns an item as it is read.
    fn read(&self, mut item: Item) -> Item {
        match (self.how, item.key.sk.as_str()) {
            (Mutation::BalanceReadsZero, "CREDITS") => {
                item.attributes.insert(BALANCE.to_owned(), Value::N(0));
            }
            (Mutation::JobsReadCompleted, "META") => {
                let completed = Value::S(Status::Completed.as_str().to_owned());
                item.attributes.insert(STATUS.to_owned(), completed);
            }
            (Mutation::EndsAreNotSeen, "META")
                if get_s(&item, STATUS)
                    .and_then(Status::parse)
                    .is_some_and(|status| !status.is_live()) =>
            {
                let running = Value::S(Status::Running.as_str().to_owned());
                item.attributes.insert(STATUS.to_owned(), running);
            }
            _ => {}
        }
        item
    }
}

/// Returns the sort key of a post for the record after this one: `CHUNK#CALL#n#r#provider`.
fn next_record(sk: &str) -> String {
    let parts: Vec<&str> = sk.splitn(5, '#').collect();
    let next = parts[3].parse().unwrap_or(0) + 1;
    format!(
        "{}#{}#{}#{next:05}#{}",
        parts[0], parts[1], parts[2], parts[4]
    )
}

fn replaced(body: &[u8], text: &str, by: &str) -> Vec<u8> {
    String::from_utf8_lossy(body).replace(text, by).into_bytes()
}

/// Removes the ids of packed records.
fn drop_ids(chunk: &mut serde_json::Value) {
    for record in chunk["records"].as_array_mut().into_iter().flatten() {
        record["id"] = serde_json::Value::Null;
    }
}

fn shift_places(chunk: &mut serde_json::Value) {
    if let Some(first) = chunk["first"].as_u64() {
        chunk["first"] = (first + 1).into();
    }
}

fn raise_costs(outcomes: &mut serde_json::Value) {
    for outcome in outcomes.as_array_mut().into_iter().flatten() {
        outcome["credits"] = (outcome["credits"].as_u64().unwrap_or(0) + 1).into();
    }
}

/// Edits packed content.
fn edit_packed(item: &mut Item, edit: impl FnOnce(&mut serde_json::Value)) {
    let Some(Value::B(packed)) = item.attributes.get_mut("data") else {
        return;
    };
    let bytes = zstd::bulk::decompress(packed, 32 * 1024 * 1024).expect("packed by the product");
    let mut chunk: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    edit(&mut chunk);
    *packed = zstd::bulk::compress(chunk.to_string().as_bytes(), 3).expect("it compressed before");
}

fn erases(writes: &[Write]) -> bool {
    let deleted = Change::Set(STATUS, Value::S(Status::Deleted.as_str().to_owned()));
    writes
        .iter()
        .any(|write| matches!(write, Write::Update(update) if update.changes.contains(&deleted)))
}

/// Gives the used credits back too, where a job is erased.
fn give_all_back(writes: &mut [Write]) {
    if !erases(writes) {
        return;
    }
    for write in writes {
        if let Write::Update(update) = write
            && update.key.sk == "CREDITS"
        {
            for change in &mut update.changes {
                if let Change::Add(USED, used) = change {
                    *change = Change::Add(BALANCE, *used);
                }
            }
        }
    }
}

#[async_trait]
impl Store for BrokenStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        if self.how == Mutation::KeysAreNotAnswered && key.sk == "KEY" {
            pending::<()>().await;
        }
        Ok(self
            .inner
            .get(&self.misread(key))
            .await?
            .map(|item| self.read(item)))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        let keys: Vec<Key> = keys.iter().map(|key| self.misread(key)).collect();
        let items = self.inner.get_many(&keys).await?;
        Ok(items
            .into_iter()
            .map(|item| item.map(|item| self.read(item)))
            .collect())
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        let items = self.inner.query(query).await?;
        if self.how == Mutation::ResultsChange {
            for mut item in items
                .iter()
                .filter(|item| item.key.sk.ends_with("#RESULT"))
                .cloned()
            {
                edit_packed(&mut item, raise_costs);
                let _ = self
                    .inner
                    .put(Put {
                        item,
                        condition: None,
                    })
                    .await;
            }
        }
        if self.how == Mutation::EndsAreNotSeen {
            return Ok(items
                .into_iter()
                .filter(|item| !item.key.sk.ends_with("#RESULT"))
                .collect());
        }
        Ok(items)
    }

    async fn put(&self, mut put: Put) -> Result<(), StoreError> {
        let sk = &put.item.key.sk;
        match self.how {
            Mutation::ResultOverwrites if sk.ends_with("#RESULT") => put.condition = None,
            Mutation::ResultIsNotKept if sk.ends_with("#RESULT") => return Ok(()),
            Mutation::RecordEventIsLost if sk.starts_with("DELIVERY#") => return Ok(()),
            Mutation::PartsAreLost if sk.contains("#PART#") => return Ok(()),
            Mutation::PostsOverwrite if sk.starts_with("CHUNK#CALL#") => put.condition = None,
            Mutation::PostsAreMisfiled if sk.starts_with("CHUNK#CALL#") => {
                put.item.key.sk = next_record(sk);
            }
            _ => {}
        }
        self.inner.put(put).await
    }

    async fn update(&self, mut update: Update) -> Result<Item, StoreError> {
        let sk = update.key.sk.clone();
        let releases = update.changes.contains(&Change::Remove(LEASE_TOKEN));
        let canceling = Change::Set(STATUS, Value::S(Status::Canceling.as_str().to_owned()));
        match self.how {
            Mutation::CancelIsForgotten if update.changes.contains(&canceling) => {
                return Ok(self.inner.get(&update.key).await?.unwrap_or(Item {
                    key: update.key,
                    attributes: [].into(),
                }));
            }
            Mutation::StatusLooksAtNothing if sk == "META" => update.condition = None,
            Mutation::UrlLeaseIsStolen if sk == "LATEST" => update.condition = None,
            Mutation::LeaseIsStolen if sk.starts_with("DELIVERY#") => update.condition = None,
            Mutation::OutcomeIsAnybodys if sk.starts_with("DELIVERY#") => {
                let of_lease = |part: &Condition| matches!(part, Condition::Equals(LEASE_TOKEN, _));
                if asks(update.condition.as_ref(), &of_lease) {
                    update.condition = Some(Condition::ItemExists);
                }
            }
            Mutation::LogIsForgotten if sk.starts_with("DELIVERY#") && releases => {
                update
                    .changes
                    .retain(|change| !matches!(change, Change::Set("log", _)));
            }
            Mutation::UpdatesCreate
                if asks(update.condition.as_ref(), &|part| {
                    *part == Condition::ItemExists
                }) =>
            {
                update.condition = None;
            }
            Mutation::ProgressIsReplaced if sk.starts_with("PROGRESS#") => {
                for change in &mut update.changes {
                    if let Change::AddToSet(name, set) = change.clone() {
                        *change = Change::Set(name, Value::Ss(set));
                    }
                }
            }
            Mutation::KeysAreKnown if sk == "META" => {
                for change in &mut update.changes {
                    if let Change::SetIfAbsent(CALLBACK_KEY, Value::B(key)) = change {
                        *key = GUESSED_KEY.to_vec();
                    }
                }
            }
            Mutation::PollsAreFar if sk.starts_with("PROGRESS#") => {
                for change in &mut update.changes {
                    if let Change::Set(name, Value::N(at)) = change
                        && name.starts_with("wake")
                    {
                        *at += 12 * 3600 * 1000;
                    }
                }
            }
            Mutation::StartsCountSeven if sk.starts_with("PROGRESS#") => {
                for change in &mut update.changes {
                    if let Change::Add(_, starts) = change {
                        *starts *= 7;
                    }
                }
            }
            Mutation::NothingIsTriedAgain if sk.starts_with("DELIVERY#") && releases => {
                let pending =
                    Change::Set(STATE, Value::S(DeliveryState::Pending.as_str().to_owned()));
                if update.changes.contains(&pending) {
                    let over = DeliveryState::Exhausted.as_str().to_owned();
                    let gone = [STATE, "reason", DUE, DUE_SHARD];
                    update.changes.retain(|change| {
                        !matches!(
                            change,
                            Change::Set(name, _) | Change::Remove(name) if gone.contains(name)
                        )
                    });
                    update.changes.extend([
                        Change::Set(STATE, Value::S(over)),
                        Change::Set("reason", Value::S("attempts_used_up".to_owned())),
                        Change::Remove(DUE),
                        Change::Remove(DUE_SHARD),
                    ]);
                }
            }
            _ => {}
        }
        self.inner.update(update).await
    }

    async fn transact(&self, mut writes: Vec<Write>) -> Result<(), StoreError> {
        let ends = writes
            .iter()
            .any(|w| matches!(w, Write::Update(u) if u.key.sk == "META"));
        match self.how {
            Mutation::EndLooksAtNothing | Mutation::StatusLooksAtNothing if ends => {
                for write in &mut writes {
                    match write {
                        Write::Update(update) if update.key.sk == "META" => update.condition = None,
                        Write::Put(put) => put.condition = None,
                        _ => {}
                    }
                }
            }
            Mutation::EndIsSplit if ends => {
                for write in writes {
                    self.inner.transact(vec![write]).await?;
                }
                return Ok(());
            }
            Mutation::EventIsNotPut => {
                writes.retain(|write| !key_of(write).sk.starts_with("DELIVERY#"));
            }
            Mutation::KeyIsTakenTwice => {
                for write in &mut writes {
                    if let Write::Put(put) = write
                        && put.item.key.sk == "IDEM"
                    {
                        put.condition = None;
                    }
                }
            }
            Mutation::JobIsNotKept
                if writes
                    .iter()
                    .any(|w| matches!(w, Write::Put(_)) && key_of(w).sk == "META") =>
            {
                return Ok(());
            }
            Mutation::TombstoneIsNotKept if erases(&writes) => return Ok(()),
            Mutation::KeyIsNotKept => writes.retain(|write| key_of(write).sk != "IDEM"),
            Mutation::ReplayIsForgotten => {
                writes.retain(|w| {
                    !(matches!(w, Write::Update(_)) && key_of(w).sk.starts_with("DELIVERY#"))
                });
            }
            Mutation::ErasingIsFree if ends => give_all_back(&mut writes),
            Mutation::NothingIsSettled if ends => {
                writes.retain(|write| key_of(write).sk != "CREDITS");
            }
            Mutation::CreditsAreNotAsked => {
                for write in &mut writes {
                    if let Write::Update(update) = write
                        && update.key.sk == "CREDITS"
                    {
                        update.condition = None;
                    }
                }
            }
            Mutation::DueIsForgotten => {
                for write in &mut writes {
                    if let Write::Put(put) = write
                        && put.item.key.sk == "META"
                    {
                        put.item
                            .attributes
                            .retain(|name, _| name != DUE && name != DUE_SHARD);
                    }
                }
            }
            _ => {}
        }
        self.inner.transact(writes).await
    }

    async fn put_all(&self, mut items: Vec<Item>) -> Result<(), StoreError> {
        match self.how {
            Mutation::IdsAreDropped => items
                .iter_mut()
                .for_each(|item| edit_packed(item, drop_ids)),
            Mutation::PartsAreLost => items.retain(|item| !item.key.sk.contains("#PART#")),
            Mutation::PlacesAreShifted => items
                .iter_mut()
                .for_each(|item| edit_packed(item, shift_places)),
            _ => {}
        }
        self.inner.put_all(items).await
    }

    async fn delete_all(&self, mut keys: Vec<Key>) -> Result<(), StoreError> {
        match self.how {
            Mutation::NothingIsErased => return Ok(()),
            Mutation::HeadIsErased => {
                let job = keys
                    .iter()
                    .find_map(|key| key.pk.strip_prefix("JOB#")?.split('#').next());
                keys.extend(job.map(|job| Key {
                    pk: format!("JOB#{job}"),
                    sk: "META".to_owned(),
                }));
            }
            _ => {}
        }
        self.inner.delete_all(keys).await
    }
}

/// A store that shows every job and delivery as owned by the tenant whose key was looked up last.
struct CredulousStore {
    inner: Arc<dyn Store>,
    asker: Mutex<Option<String>>,
}

impl CredulousStore {
    fn reported(&self, mut item: Item) -> Item {
        let mut asker = self.asker.lock().unwrap();
        if item.key.sk == "KEY" {
            *asker = get_s(&item, "tenant").map(str::to_owned);
        }
        if let (Some(asker), Some(Value::S(spec))) = (&*asker, item.attributes.get_mut("spec"))
            && item.key.pk.starts_with("JOB#")
            && let Ok(mut fields) = serde_json::from_str::<serde_json::Value>(spec)
        {
            fields["tenant"] = asker.as_str().into();
            *spec = fields.to_string();
        }
        item
    }
}

#[async_trait]
impl Store for CredulousStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        Ok(self.inner.get(key).await?.map(|item| self.reported(item)))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        let items = self.inner.get_many(keys).await?;
        Ok(items
            .into_iter()
            .map(|item| item.map(|item| self.reported(item)))
            .collect())
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        Ok(self
            .inner
            .query(query)
            .await?
            .into_iter()
            .map(|item| self.reported(item))
            .collect())
    }

    async fn put(&self, put: Put) -> Result<(), StoreError> {
        self.inner.put(put).await
    }

    async fn update(&self, update: Update) -> Result<Item, StoreError> {
        self.inner.update(update).await
    }

    async fn transact(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.inner.transact(writes).await
    }

    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError> {
        self.inner.put_all(items).await
    }

    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError> {
        self.inner.delete_all(keys).await
    }
}

/// A sender with that fault, whose signatures are right all the same.
struct BrokenHttp {
    inner: Arc<dyn HttpSender>,
    clock: Arc<dyn Clock>,
    tenants: Vec<Tenant>,
    sent: Mutex<u32>,
    how: Mutation,
}

#[async_trait]
impl HttpSender for BrokenHttp {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let place = self
            .tenants
            .iter()
            .position(|tenant| request.url.starts_with(&tenant.hooks));
        let Some(place) = place else {
            return self.inner.send(request).await;
        };
        let number = {
            let mut sent = self.sent.lock().unwrap();
            *sent += 1;
            *sent
        };
        let tenant = &self.tenants[place];
        let named =
            |(name, value): &(String, String)| (name == "webhook-id").then(|| value.clone());
        let mut id = request.headers.iter().find_map(named).unwrap_or_default();
        match self.how {
            Mutation::ReceiverOfAnother => {
                let other = &self.tenants[(place + 1) % self.tenants.len()];
                request.url = request.url.replacen(&tenant.hooks, &other.hooks, 1);
            }
            Mutation::IdPerAttempt => {
                // The event of another place in the job.
                id = format!(
                    "{}_{number}",
                    id.rsplit_once('_').map_or("", |(job, _)| job)
                );
            }
            Mutation::EventsSayNothingWasFound => {
                request.body = replaced(&request.body, "Name of ", "No name of ");
            }
            Mutation::EventsLinkElsewhere => {
                request.body = replaced(&request.body, "/results", "/elsewhere");
            }
            _ => request
                .body
                .extend(format!("{:number$}", "", number = number as usize).into_bytes()),
        }
        request
            .headers
            .retain(|(name, _)| !name.starts_with("webhook-"));
        request.headers.extend(headers(
            &[&tenant.secret],
            &id,
            self.clock.now(),
            &request.body,
        ));
        self.inner.send(request).await
    }

    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError> {
        self.inner.check(url, plain_http)
    }
}

/// Randomness that makes the same job id every time; everything else is as random as before.
struct BrokenEntropy(Arc<dyn Entropy>);

/// The count of random bytes of a job's id, and of nothing else that is drawn.
const ID_BYTES: usize = 10;

impl Entropy for BrokenEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
        if bytes.len() == ID_BYTES {
            bytes.fill(7);
        }
    }
}
