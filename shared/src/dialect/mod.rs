//! API surfaces. What one of them says and how it says it is data and pure functions in one file; everything else asks
//! the [`Surface`] and never which one it is.

pub mod native;

use crate::domain::delivery::{DeliveryRules, EventType};
use crate::domain::job::{JobView, ResultLine};
use crate::domain::signature::Secret;
use crate::domain::time::Timestamp;

/// An event to be told to a receiver.
#[derive(Debug)]
pub struct Event<'a> {
    pub kind: EventType,
    pub at: Timestamp,
    /// The job it is about; a test event is about none.
    pub job: Option<&'a JobView>,
    /// Its results, unless they are too many to go along.
    pub results: Option<&'a [ResultLine]>,
}

/// What a signature covers.
#[derive(Debug)]
pub struct Signing<'a> {
    /// The secrets that sign, newest first.
    pub secrets: &'a [&'a Secret],
    /// The event's id, the same at every attempt.
    pub id: &'a str,
    /// The attempt's time.
    pub at: Timestamp,
    /// The bytes that are sent.
    pub body: &'a [u8],
}

/// How one API surface talks to receivers.
#[derive(Debug, Clone, Copy)]
pub struct Surface {
    pub name: &'static str,
    pub delivery: fn() -> DeliveryRules,
    /// Results up to so many bytes go along with the event.
    pub inline_bytes: u64,
    /// The body of an event: the same bytes every time for the same event.
    pub body: fn(&Event<'_>) -> Vec<u8>,
    /// The headers that sign it.
    pub sign: fn(&Signing<'_>) -> Vec<(String, String)>,
}

/// Every surface.
pub const SURFACES: [Surface; 1] = [native::SURFACE];

/// The surface of that name.
pub fn surface(name: &str) -> Option<&'static Surface> {
    SURFACES.iter().find(|s| s.name == name)
}
