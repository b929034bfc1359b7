//! What is known of receivers: of a URL, and of its origin.

use url::Url;

use super::item::{digest, get_n, key};
use super::lease::LeaseSlot;
use crate::domain::ids::TenantId;
use crate::domain::time::Timestamp;
use crate::ports::{Item, Key};

pub const DISABLED: &str = "disabled";
pub const SLOW: &str = "slow";
pub const NOT_BEFORE: &str = "not_before";
/// Of a URL: the right to send to it, as long as the attempt's own lease and with its token.
pub const URL_LEASE: LeaseSlot = LeaseSlot::random("turn", "turn_until");
/// When the job of that attempt was submitted, in milliseconds.
pub const TURN_JOB: &str = "turn_job";
/// When the newest job was submitted whose event was answered well, in milliseconds.
pub const NEWEST: &str = "newest";
/// Present where an origin answers quickly.
pub const QUICK: &str = "quick";
/// Of an origin: the right to find out whether it is quick.
pub const ORIGIN_LEASE: LeaseSlot = LeaseSlot::random("probe", "probe_until");

pub fn endpoint_key(tenant: &TenantId, url: &str) -> Key {
    key(format!("ENDPOINT#{tenant}#{}", digest(url)), "ENDPOINT")
}

/// Kept apart from the receiver's other state, which has an expiry of its own.
pub fn latest_key(tenant: &TenantId, url: &str) -> Key {
    key(endpoint_key(tenant, url).pk, "LATEST")
}

/// Of the URL's origin, which all URLs of one host, scheme and port share.
pub fn origin_key(tenant: &TenantId, url: &str) -> Key {
    let origin =
        Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization());
    key(format!("ENDPOINT#{tenant}#{}", digest(&origin)), "ORIGIN")
}

/// What is known of a receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// It said that it is gone; nothing is sent until a caller asks for it.
    pub disabled: bool,
    /// Its last answer took longer than [`crate::domain::delivery::SLOW_AFTER`].
    pub slow: bool,
    /// It asked for a pause until then.
    pub not_before: Option<Timestamp>,
}

pub fn read_endpoint(item: Option<&Item>) -> Endpoint {
    item.map_or_else(Endpoint::default, |item| Endpoint {
        disabled: get_n(item, DISABLED) == Some(1),
        slow: get_n(item, SLOW) == Some(1),
        not_before: get_n(item, NOT_BEFORE).map(Timestamp),
    })
}
