//! The traits by which use cases reach the outside, each method with its durability contract.
//!
//! Every trait has two implementations: the real one (`aws`, `net`, `lambda::system`) and the
//! simulated one of the test crate. One conformance suite runs against both, so what is written
//! here is what is tested.

mod assets;
mod clock;
mod dns;
mod entropy;
mod http;
mod queue;
mod store;

pub use self::assets::{AssetError, Assets, Object, ObjectName};
pub use self::clock::{Clock, within};
pub use self::dns::{Dns, DnsFailure, DnsKind, DnsRecord};
pub use self::entropy::Entropy;
pub use self::http::{HttpAnswer, HttpError, HttpRequest, HttpSender};
pub use self::queue::{MAX_QUEUE_DELAY, Message, Queue, QueueError, QueueName};
pub use self::store::{
    Attributes, Change, Condition, FailedCondition, Item, Key, Put, Query, Select, Store,
    StoreError, Update, Value, Write,
};
