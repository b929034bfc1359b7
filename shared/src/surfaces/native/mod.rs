//! The native API, version 1: its requests and its answers. RFC 9457 problems,
//! JSON Pointers, field names in snake case.

mod error;
mod event;
mod request;
mod response;
mod results;
mod routes;

#[cfg(test)]
mod tests;

use self::error::error;
use self::event::{event_body, sign};
use self::request::key;
use self::routes::ROUTES;
use super::{Shows, Surface};
use crate::domain::delivery::DeliveryRules;
use crate::domain::ids::JobId;
use crate::domain::job::INLINE_RESULT_BYTES;

/// The native surface.
pub const SURFACE: Surface = Surface {
    name: "native",
    operations: &[],
    routes: ROUTES,
    shows: Shows::Every,
    key,
    id: JobId::to_string,
    parse_id: JobId::parse,
    error,
    delivery: DeliveryRules::native,
    inline: |end| end.bytes <= INLINE_RESULT_BYTES,
    body: event_body,
    sign,
    settings: &[],
    own_secret: None,
};
