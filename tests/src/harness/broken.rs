//! Ports that break one promise each. For every invariant there is one that it must find out; see `tests/sim/controls.rs`.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shared::app::table::{DUE, DUE_SHARD, LEASE_TOKEN, STATE, get_s};
use shared::domain::delivery::DeliveryState;
use shared::domain::signature::headers;
use shared::ports::{
    Change, Clock, Condition, Entropy, HttpAnswer, HttpError, HttpRequest, HttpSender, Item, Key, Put, Query, Store,
    StoreError, Update, Value, Write,
};

use super::{Tenant, World};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A result is put whether or not there is one.
    ResultOverwrites,
    /// A result is not put, and nobody is told.
    ResultIsNotKept,
    /// The end of a job does not look at the status it ends.
    EndLooksAtNothing,
    /// No change of a job's status looks at the status before.
    StatusLooksAtNothing,
    /// The transaction that ends a job becomes single writes.
    EndIsSplit,
    /// The event of a job's end is left out of the transaction.
    EventIsNotPut,
    /// The idempotency key is taken whether or not it is free.
    KeyIsTakenTwice,
    /// An attempt's lease is written over another's.
    LeaseIsStolen,
    /// What came of an attempt is recorded whoever has the lease.
    OutcomeIsAnybodys,
    /// What came of an attempt is recorded without its entry in the log.
    LogIsForgotten,
    /// Credits are not settled.
    NothingIsSettled,
    /// Credits are reserved whether or not they are there.
    CreditsAreNotAsked,
    /// Progress forgets what was there.
    ProgressIsReplaced,
    /// Updates make the item that they were to find.
    UpdatesCreate,
    /// A new job is not marked for the sweep.
    DueIsForgotten,
    /// The event of a record is not put, and nobody is told.
    RecordEventIsLost,
    /// The turn to send to a URL is taken whether or not it is free, and whatever was sent there before.
    TurnIsStolen,
    /// Items are not deleted, and nobody is told.
    NothingIsErased,
    /// Whoever erases a job's items erases its head too.
    HeadIsErased,
    /// Whose a job is, is taken from the request.
    TenantIsTakenFromTheRequest,
    /// Events are signed with another tenant's secret.
    SecretOfAnother,
    /// Events go to another tenant's receiver.
    ReceiverOfAnother,
    /// Each attempt has a `webhook-id` of its own.
    IdPerAttempt,
    /// Each attempt has a body of its own.
    BodyPerAttempt,
    /// Two jobs get the same id.
    IdsRepeat,
    /// The records of a new job are stored without their ids.
    IdsAreDropped,
    /// A start of a chunk counts as seven.
    StartsCountSeven,
    /// A failed attempt is the last.
    NothingIsTriedAgain,
    /// The sweep does not run.
    SweepSleeps,
}

impl Broken {
    /// Breaks it in this world, from now on. Tenants that are made later are not known to what is broken.
    pub fn install(self, world: &mut World) {
        let tenants = world.tenants.clone();
        match self {
            Self::SweepSleeps => world.options.sweeping = false,
            Self::IdsRepeat => world.ports.entropy = Arc::new(BrokenEntropy(world.ports.entropy.clone())),
            Self::ReceiverOfAnother | Self::IdPerAttempt | Self::BodyPerAttempt => {
                let (inner, clock) = (world.ports.http.clone(), world.ports.clock.clone());
                let sent = Mutex::new(0);
                world.ports.http = Arc::new(BrokenHttp { inner, clock, tenants, sent, how: self });
            }
            Self::TenantIsTakenFromTheRequest => {
                let inner = world.ports.store.clone();
                world.ports.store = Arc::new(CredulousStore { inner, asker: Mutex::default() });
            }
            how => world.ports.store = Arc::new(BrokenStore { inner: world.ports.store.clone(), how }),
        }
    }
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

/// Whether the condition asks for this, alone or among others.
fn asks(condition: Option<&Condition>, part: &dyn Fn(&Condition) -> bool) -> bool {
    condition.is_some_and(|condition| match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().any(|inner| asks(Some(inner), part)),
        single => part(single),
    })
}

impl BrokenStore {
    /// A secret is read from under another tenant's key.
    fn misread(&self, key: &Key) -> Key {
        if self.how != Broken::SecretOfAnother || !key.pk.starts_with("SECRET#") {
            return key.clone();
        }
        let other = if key.pk == "SECRET#acme" { "SECRET#other" } else { "SECRET#acme" };
        Key { pk: other.to_owned(), ..key.clone() }
    }
}

/// Of records that are stored packed.
fn drop_ids(item: &mut Item) {
    let Some(Value::B(packed)) = item.attributes.get_mut("data") else { return };
    let bytes = zstd::bulk::decompress(packed, 32 * 1024 * 1024).expect("packed by the product");
    let mut chunk: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    for record in chunk["records"].as_array_mut().into_iter().flatten() {
        record["id"] = serde_json::Value::Null;
    }
    *packed = zstd::bulk::compress(chunk.to_string().as_bytes(), 3).expect("it compressed before");
}

#[async_trait]
impl Store for BrokenStore {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        self.inner.get(&self.misread(key)).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        let keys: Vec<Key> = keys.iter().map(|key| self.misread(key)).collect();
        self.inner.get_many(&keys).await
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        self.inner.query(query).await
    }

    async fn put(&self, mut put: Put) -> Result<(), StoreError> {
        let sk = &put.item.key.sk;
        match self.how {
            Broken::ResultOverwrites if sk.ends_with("#RESULT") => put.condition = None,
            Broken::ResultIsNotKept if sk.ends_with("#RESULT") => return Ok(()),
            Broken::RecordEventIsLost if sk.starts_with("DELIVERY#") => return Ok(()),
            _ => {}
        }
        self.inner.put(put).await
    }

    async fn update(&self, mut update: Update) -> Result<Item, StoreError> {
        let sk = update.key.sk.clone();
        let releases = update.changes.contains(&Change::Remove(LEASE_TOKEN));
        match self.how {
            Broken::StatusLooksAtNothing if sk == "META" => update.condition = None,
            Broken::TurnIsStolen if sk == "LATEST" => update.condition = None,
            Broken::LeaseIsStolen if sk.starts_with("DELIVERY#") => update.condition = None,
            Broken::OutcomeIsAnybodys if sk.starts_with("DELIVERY#") => {
                let of_lease = |part: &Condition| matches!(part, Condition::Equals(LEASE_TOKEN, _));
                if asks(update.condition.as_ref(), &of_lease) {
                    update.condition = Some(Condition::ItemExists);
                }
            }
            Broken::LogIsForgotten if sk.starts_with("DELIVERY#") && releases => {
                update.changes.retain(|change| !matches!(change, Change::Set("log", _)));
            }
            Broken::UpdatesCreate if asks(update.condition.as_ref(), &|part| *part == Condition::ItemExists) => {
                update.condition = None;
            }
            Broken::ProgressIsReplaced if sk.starts_with("PROGRESS#") => {
                for change in &mut update.changes {
                    if let Change::AddToSet(name, set) = change.clone() {
                        *change = Change::Set(name, Value::Ss(set));
                    }
                }
            }
            Broken::StartsCountSeven if sk.starts_with("PROGRESS#") => {
                for change in &mut update.changes {
                    if let Change::Add(_, starts) = change {
                        *starts *= 7;
                    }
                }
            }
            Broken::NothingIsTriedAgain if sk.starts_with("DELIVERY#") && releases => {
                let pending = Change::Set(STATE, Value::S(DeliveryState::Pending.as_str().to_owned()));
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
        let ends = writes.iter().any(|w| matches!(w, Write::Update(u) if u.key.sk == "META"));
        match self.how {
            Broken::EndLooksAtNothing | Broken::StatusLooksAtNothing if ends => {
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
            Broken::EventIsNotPut => writes.retain(|write| !key_of(write).sk.starts_with("DELIVERY#")),
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
            Broken::CreditsAreNotAsked => {
                for write in &mut writes {
                    if let Write::Update(update) = write
                        && update.key.sk == "CREDITS"
                    {
                        update.condition = None;
                    }
                }
            }
            Broken::DueIsForgotten => {
                for write in &mut writes {
                    if let Write::Put(put) = write
                        && put.item.key.sk == "META"
                    {
                        put.item.attributes.retain(|name, _| name != DUE && name != DUE_SHARD);
                    }
                }
            }
            _ => {}
        }
        self.inner.transact(writes).await
    }

    async fn put_all(&self, mut items: Vec<Item>) -> Result<(), StoreError> {
        if self.how == Broken::IdsAreDropped {
            items.iter_mut().for_each(drop_ids);
        }
        self.inner.put_all(items).await
    }

    async fn delete_all(&self, mut keys: Vec<Key>) -> Result<(), StoreError> {
        match self.how {
            Broken::NothingIsErased => return Ok(()),
            Broken::HeadIsErased => {
                let job = keys.iter().find_map(|key| key.pk.strip_prefix("JOB#")?.split('#').next());
                keys.extend(job.map(|job| Key { pk: format!("JOB#{job}"), sk: "META".to_owned() }));
            }
            _ => {}
        }
        self.inner.delete_all(keys).await
    }
}

/// A store that says of every job and delivery that it is whose key was looked up last.
struct CredulousStore {
    inner: Arc<dyn Store>,
    asker: Mutex<Option<String>>,
}

impl CredulousStore {
    fn told(&self, mut item: Item) -> Item {
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
        Ok(self.inner.get(key).await?.map(|item| self.told(item)))
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        let items = self.inner.get_many(keys).await?;
        Ok(items.into_iter().map(|item| item.map(|item| self.told(item))).collect())
    }

    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError> {
        Ok(self.inner.query(query).await?.into_iter().map(|item| self.told(item)).collect())
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
    how: Broken,
}

#[async_trait]
impl HttpSender for BrokenHttp {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let place = self.tenants.iter().position(|tenant| request.url.starts_with(&tenant.hooks));
        let Some(place) = place else { return self.inner.send(request).await };
        let number = {
            let mut sent = self.sent.lock().unwrap();
            *sent += 1;
            *sent
        };
        let tenant = &self.tenants[place];
        let named = |(name, value): &(String, String)| (name == "webhook-id").then(|| value.clone());
        let mut id = request.headers.iter().find_map(named).unwrap_or_default();
        match self.how {
            Broken::ReceiverOfAnother => {
                let other = &self.tenants[(place + 1) % self.tenants.len()];
                request.url = request.url.replacen(&tenant.hooks, &other.hooks, 1);
            }
            Broken::IdPerAttempt => {
                // The event of another place in the job.
                id = format!("{}_{number}", id.rsplit_once('_').map_or("", |(job, _)| job));
            }
            _ => request.body.extend(format!("{:number$}", "", number = number as usize).into_bytes()),
        }
        request.headers.retain(|(name, _)| !name.starts_with("webhook-"));
        request.headers.extend(headers(&[&tenant.secret], &id, self.clock.now(), &request.body));
        self.inner.send(request).await
    }

    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError> {
        self.inner.check(url, plain_http)
    }
}

/// Randomness that makes the same job id every time; everything else is as random as before.
struct BrokenEntropy(Arc<dyn Entropy>);

/// The random bytes of a job's id, and of nothing else that is drawn.
const ID_BYTES: usize = 10;

impl Entropy for BrokenEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
        if bytes.len() == ID_BYTES {
            bytes.fill(7);
        }
    }
}
