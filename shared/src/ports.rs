//! What the use cases need from the outside, each method with its durability contract.
//!
//! Every trait has two implementations: the real one (`aws`, `net`, `edge::system`) and the simulated one of the test
//! crate. One conformance suite runs against both, so what is written here is what is tested.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::time::Timestamp;

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
    pub pk: String,
    pub sk: String,
}

/// Attributes by name, the primary key not among them.
pub type Attributes = BTreeMap<String, Value>;

/// One item of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub key: Key,
    pub attributes: Attributes,
}

/// What must hold of the stored item for a write to happen.
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
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

/// One change of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Set(&'static str, Value),
    /// Sets only where the attribute is not there yet.
    SetIfAbsent(&'static str, Value),
    /// Adds to a number; an absent one counts as 0.
    Add(&'static str, i64),
    /// Adds elements to a set; an absent one counts as empty. Adding twice changes nothing.
    AddToSet(&'static str, BTreeSet<String>),
    Remove(&'static str),
}

/// Replaces the whole item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    pub item: Item,
    pub condition: Option<Condition>,
}

/// Changes attributes of an item. Without a condition that asks for the item's existence it creates an absent one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub key: Key,
    pub changes: Vec<Change>,
    pub condition: Option<Condition>,
}

/// One action of a transaction. No two actions of a transaction may name the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Put(Put),
    Update(Update),
    Check { key: Key, condition: Condition },
}

/// What a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// Items of one partition, by sort key between `from` and `to`, both inclusive.
    Partition { pk: String, from: String, to: String },
    /// The `by_tenant` index: keys and `status` of the tenant's job heads, the job id strictly before `before`.
    JobsOfTenant { tenant_jobs: String, before: Option<String> },
    /// The `due` index: keys and `due` of what is due in one shard at or before `until` (milliseconds), earliest first.
    Due { due_shard: String, until: i64 },
}

/// A query. Index reads are eventually consistent whatever `consistent` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub select: Select,
    /// At most this many items; an answer with fewer is complete.
    pub limit: usize,
    /// Newest (greatest sort key) first.
    pub descending: bool,
    pub consistent: bool,
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
    /// Nothing was written, because another transaction held one of the items. Try again with jitter; never a verdict.
    #[error("another transaction holds an item of this one")]
    Conflict,
    /// Nothing was written; the table or the account is over its rate.
    #[error("the table is throttled")]
    Throttled,
    /// No answer came. A write may or may not have happened: read, or repeat it under the same condition.
    #[error("the table did not answer: {0}")]
    Unavailable(String),
    /// The call itself is wrong (validation, permission, size). Nothing was written; repeating it is no use.
    #[error("the table refused the call: {0}")]
    Refused(String),
}

/// The table.
///
/// Every write is durable when it answers `Ok`. Every method may answer [`StoreError::Unavailable`] after it took effect.
/// Items come back whether or not their TTL has passed: readers compare `expires_at` themselves.
#[async_trait]
pub trait Store: Send + Sync {
    /// Reads one item, seeing every write that was acknowledged before the call.
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError>;

    /// Reads several items consistently, one answer for each key in the keys' order. Not one snapshot: each item is as
    /// of its own moment. Any number of keys; none may repeat.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError>;

    /// Reads a range, going on over pages until the limit is reached or nothing is left.
    async fn query(&self, query: &Query) -> Result<Vec<Item>, StoreError>;

    /// Puts one item if its condition holds.
    async fn put(&self, put: Put) -> Result<(), StoreError>;

    /// Updates one item if its condition holds, and returns it as it is then.
    async fn update(&self, update: Update) -> Result<Item, StoreError>;

    /// All of the writes or none, at most 100 and 4 MB, if every condition holds.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), StoreError>;

    /// Puts items without conditions, in any order, retrying what the table did not process. On an error some may have
    /// been written: callers use keys that nobody else writes, so that repeating is safe.
    async fn put_all(&self, items: Vec<Item>) -> Result<(), StoreError>;

    /// Deletes items, present or not, retrying what the table did not process. On an error some may be gone: repeat.
    async fn delete_all(&self, keys: Vec<Key>) -> Result<(), StoreError>;
}

/// The queues, by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueName {
    /// Chunks of tenants with little open work.
    Enrich,
    /// Chunks of tenants with much open work.
    EnrichBulk,
    /// First attempts of deliveries.
    Webhook,
    /// Later attempts, and deliveries to slow receivers.
    WebhookRetry,
}

/// The longest delay a queue takes. Source: Amazon SQS, `DelaySeconds`.
pub const MAX_QUEUE_DELAY: Duration = Duration::from_secs(900);

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub body: String,
    /// Whole seconds up to [`MAX_QUEUE_DELAY`]; longer ones are cut to it.
    pub delay: Duration,
    /// The tenant, for fair queues.
    pub group: String,
}

/// Why a queue call gave no answer. A message may have been sent all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the queue did not answer: {0}")]
pub struct QueueError(pub String);

/// The queues. A message is a hint: it may arrive never, once or often, in any order; nothing may depend on it but time.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends messages in batches. `Ok` means all were accepted; on an error some may have been.
    async fn send(&self, queue: QueueName, messages: Vec<Message>) -> Result<(), QueueError>;

    /// Makes a received message visible again after `delay` instead of after the queue's visibility time-out.
    async fn postpone(&self, queue: QueueName, receipt: &str, delay: Duration) -> Result<(), QueueError>;
}

/// An HTTP request to a host outside.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Upper-case method, `GET` or `POST` mostly.
    pub method: String,
    /// Absolute `https:` URL, or `http:` where the operator or `plain_http` allows it.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// One deadline over name resolution, connect, TLS, headers and body.
    pub deadline: Duration,
    /// `http:` is taken whatever the operator says.
    pub plain_http: bool,
    /// The response body is cut after so many bytes (after decompression) and `truncated` set.
    pub max_response_bytes: usize,
}

impl std::fmt::Debug for HttpRequest {
    /// Leaves out headers, query and body: they carry secrets and personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("HttpRequest").field("method", &self.method).field("url", &shown).finish_non_exhaustive()
    }
}

/// An answer, whatever its status. Redirects are not followed.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub truncated: bool,
}

impl HttpAnswer {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl std::fmt::Debug for HttpAnswer {
    /// Leaves out headers and body: they carry personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpAnswer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why an exchange gave no whole answer. The texts name no address that a name resolved to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The URL cannot be used (scheme, host, credentials in it).
    #[error("the URL cannot be used: {0}")]
    Url(String),
    /// The host is, or resolves only to, addresses that are refused.
    #[error("the host's address is not allowed")]
    Blocked,
    #[error("the host name did not resolve: {0}")]
    Dns(String),
    #[error("could not connect: {0}")]
    Connect(String),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("no complete answer before the deadline")]
    Timeout,
    /// The connection broke, or the answer was no HTTP.
    #[error("the exchange broke off: {0}")]
    Protocol(String),
    /// The answer's head came, its body not to the end: `answer` has what did come. Who goes by the head alone reads it;
    /// for everybody else this is the failure that `cause` is.
    #[error("{cause}")]
    Cut { answer: Box<HttpAnswer>, cause: Box<HttpError> },
}

impl HttpError {
    /// Returns what broke the exchange, whether or not a head had come by then.
    pub fn cause(&self) -> &Self {
        match self {
            Self::Cut { cause, .. } => cause.cause(),
            plain => plain,
        }
    }

    /// The error class as the delivery log and provider errors show it.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Cut { cause, .. } => cause.class(),
            Self::Url(_) => "url",
            Self::Blocked => "blocked",
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Timeout => "timeout",
            Self::Protocol(_) => "protocol",
        }
    }
}

/// Everything that leaves to hosts outside.
#[async_trait]
pub trait HttpSender: Send + Sync {
    /// One exchange. It ends by `deadline`, keeps at most `max_response_bytes`, follows no redirect, uses no proxy, and
    /// reaches only global unicast addresses and the networks the operator allows. It never retries. `Ok` is an answer
    /// that came whole or was cut by `max_response_bytes`; where only its head is sure, it is in [`HttpError::Cut`].
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError>;

    /// Gives up connections kept for reuse. Called when an invocation begins: they may have died while it was frozen.
    fn forget_connections(&self) {}

    /// Whether this URL could be sent to at all, without asking the network: scheme, host, literal addresses. With
    /// `plain_http`, `http:` is taken whatever the operator says.
    fn check(&self, url: &str, plain_http: bool) -> Result<(), HttpError>;
}

/// What kind of DNS record is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DnsKind {
    A,
    Aaaa,
    Cname,
    Mx,
    Ns,
    Txt,
}

/// A DNS record's data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsRecord {
    Address(std::net::IpAddr),
    /// A host name, without the dot at its end.
    Cname(String),
    /// Source: RFC 5321 section 5.1. An exchange of no name at all (`.`, here empty) takes no mail: RFC 7505.
    Mx {
        preference: u16,
        exchange: String,
    },
    Ns(String),
    /// The strings of one record, joined; what is not UTF-8 in them replaced.
    Txt(String),
}

/// Why a question to the DNS has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsFailure {
    /// There is no such name, whatever the kind (NXDOMAIN).
    #[error("there is no such name")]
    NoSuchName,
    /// Nobody who could be asked knows. Asking again may help.
    #[error("the name server gave no answer: {0}")]
    Unanswered(String),
}

/// The domain name system, for what is said about a name. Where connections go is [`HttpSender`]'s own business.
#[async_trait]
pub trait Dns: Send + Sync {
    /// The records of one kind that a name has, none where it has none of that kind. Aliases are followed, except where
    /// they are asked for. Ends by itself within seconds.
    async fn look_up(&self, name: &str, kind: DnsKind) -> Result<Vec<DnsRecord>, DnsFailure>;
}

/// Where an object of Amazon S3 is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    pub bucket: String,
    pub key: String,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// An object as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// Another one whenever the content is another (an `ETag`).
    pub tag: String,
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Object {
    /// Leaves out the content: it may be personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("tag", &self.tag).field("bytes", &self.bytes.len()).finish()
    }
}

/// Why something of the operator's could not be read. The texts hold error codes and nothing of the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssetError {
    #[error("there is no such thing")]
    Missing,
    /// The service will not: most often a permission that the function's role does not have.
    #[error("reading it was refused ({0})")]
    Refused(String),
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// No answer, or too many questions. Asking again may help.
    #[error("it could not be read just now ({0})")]
    Unavailable(String),
}

/// What an operator keeps outside of the bundle for providers: secrets in parameters of AWS Systems Manager, tables in Amazon
/// S3. Reading changes nothing.
#[async_trait]
pub trait Assets: Send + Sync {
    /// The value of a parameter, decrypted.
    async fn parameter(&self, name: &str) -> Result<String, AssetError>;

    /// An object's content, `max_bytes` at most; `None` where it is still what it was when it had the tag `unless`.
    async fn object(
        &self,
        name: &ObjectName,
        unless: Option<&str>,
        max_bytes: usize,
    ) -> Result<Option<Object>, AssetError>;
}

/// Time.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    async fn sleep(&self, duration: Duration);
}

/// Randomness, fit for ids and secrets.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);

    /// A number in `0.0..1.0`, for jitter.
    fn unit(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Runs `work` under a deadline. `None` when the time was up first; the work is dropped then.
pub async fn within<T>(clock: &dyn Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    use futures_util::future::{Either, select};
    match select(std::pin::pin!(work), clock.sleep(limit)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}
