//! The base of every use case: the ports it runs over, the error of a step, and writes that are
//! retried.

use std::sync::Arc;

use futures_util::lock::Mutex;

use crate::domain::backoff::store_wait;
use crate::domain::error::ApiError;
use crate::ports::{
    Assets, Clock, Dns, Entropy, HttpSender, Item, Query, Queue, QueueError, Select, Store,
    StoreError, Update, Write,
};
use crate::schema;
use crate::surfaces::Surface;

/// Everything outside, as a use case sees it.
#[derive(Clone)]
pub struct Ports {
    /// The one table.
    pub store: Arc<dyn Store>,
    /// The queues of chunks and of deliveries.
    pub queue: Arc<dyn Queue>,
    /// Sends requests to upstreams and receivers, within the egress policy.
    pub http: Arc<dyn HttpSender>,
    /// Resolves names for the providers that ask about them.
    pub dns: Arc<dyn Dns>,
    /// Reads what operators keep outside of the bundle: parameters and objects.
    pub assets: Arc<dyn Assets>,
    /// Tells the time, and waits.
    pub clock: Arc<dyn Clock>,
    /// Gives random bytes: ids, lease tokens, secrets, jitter.
    pub entropy: Arc<dyn Entropy>,
    /// The surfaces that are served: [`crate::surfaces::SURFACES`], and in tests others.
    pub surfaces: &'static [Surface],
    /// The API's address from outside, without a slash at the end: upstreams that answer later post
    /// there. `None` where they could not.
    pub public_url: Option<String>,
    /// A tenant's share of the fast enrich lane; [`crate::domain::tenant::fast_chunks`].
    pub fast_chunks: i64,
    /// Held while a large event is rendered.
    pub large: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ports").finish_non_exhaustive()
    }
}

impl Ports {
    /// The path of [`Self::public_url`], without a slash at the end: it stands in front of the
    /// API's own paths.
    pub fn base_path(&self) -> &str {
        let url = self.public_url.as_deref().unwrap_or_default();
        let behind = url.split_once("://").map_or("", |(_, rest)| rest);
        behind
            .find('/')
            .map_or("", |at| behind[at..].trim_end_matches('/'))
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }
}

/// The reason why a step did not finish. Running it again is always safe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The table failed or refused, or conflicts outlasted the retries.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A message was not sent. What it asks for is stored, and the sweep sends it.
    #[error("queue: {0}")]
    Queue(#[from] QueueError),
    /// A stored item is not what this version writes.
    #[error("stored item is corrupt: {0}")]
    Corrupt(&'static str),
}

impl From<schema::Corrupt> for StepError {
    fn from(schema::Corrupt(what): schema::Corrupt) -> Self {
        Self::Corrupt(what)
    }
}

impl From<schema::Corrupt> for ApiError {
    fn from(error: schema::Corrupt) -> Self {
        StepError::from(error).into()
    }
}

impl From<StepError> for ApiError {
    /// Tells a caller whether a retry is of use. The cause goes into the log only.
    fn from(error: StepError) -> Self {
        tracing::error!(error = %error, "a request met an error that is not its own");
        match error {
            StepError::Store(StoreError::Refused(_) | StoreError::ConditionFailed(_))
            | StepError::Corrupt(_) => Self::Internal,
            StepError::Store(_) | StepError::Queue(_) => Self::Unavailable {
                retry_after_seconds: 2,
            },
        }
    }
}

/// Reads all of a range, consistently.
pub(crate) async fn full_range(ports: &Ports, select: Select) -> Result<Vec<Item>, StoreError> {
    ports.store.query(&Query::full_range(select)).await
}

/// The most tries of a transaction against conflicts and throttling.
const TRIES: u32 = 6;

/// Runs a transaction, and retries with jitter while others hold its items. It also retries where
/// the answer was lost: the writes carry conditions, and from what a condition found the caller
/// knows its own earlier success from another's.
pub(crate) async fn transact(ports: &Ports, writes: Vec<Write>) -> Result<(), StoreError> {
    transact_and_report(ports, writes).await.0
}

/// As [`transact`], and also returns whether a try before the last got no answer. Such a try may
/// take effect after all the others.
pub(crate) async fn transact_and_report(
    ports: &Ports,
    writes: Vec<Write>,
) -> (Result<(), StoreError>, bool) {
    let (mut attempt, mut unanswered) = (0, false);
    loop {
        match ports.store.transact(writes.clone()).await {
            Err(
                error @ (StoreError::Conflict | StoreError::Throttled | StoreError::Unavailable(_)),
            ) if attempt + 1 < TRIES => {
                unanswered |= matches!(error, StoreError::Unavailable(_));
                attempt += 1;
                pause(ports, attempt).await;
            }
            answer => return (answer, unanswered),
        }
    }
}

/// The outcome of an update.
pub(crate) enum Updated {
    Yes,
    /// Its condition did not hold; the item as it was then.
    No(Option<Item>),
}

/// Updates an item, with more retries than [`transact`]: for what must not be lost to a short
/// outage. The condition must hold again for a try whose answer was lost, or the caller must take
/// what it finds for its own.
pub(crate) async fn update_with_retry(ports: &Ports, update: Update) -> Result<Updated, StepError> {
    let mut tries = 0;
    loop {
        match ports.store.update(update.clone()).await {
            Ok(_) => return Ok(Updated::Yes),
            Err(StoreError::ConditionFailed(failed)) => {
                return Ok(Updated::No(
                    failed.into_iter().find_map(|failed| failed.existing),
                ));
            }
            Err(StoreError::Unavailable(_) | StoreError::Throttled | StoreError::Conflict)
                if tries < 3 =>
            {
                tries += 1;
                pause(ports, tries).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits before try `attempt`.
async fn pause(ports: &Ports, attempt: u32) {
    let wait = store_wait(attempt, ports.entropy.unit());
    ports.clock.sleep(wait).await;
}
