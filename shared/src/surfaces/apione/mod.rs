//! The asynchronous enrichment of `ApiOne`: one route to submit, two to read, one event at the end.
//! `docs/surfaces/apione.md` says what of it is theirs and what had to be decided.
//!
//! Every body is written by [`ecmascript`]: their receivers sign `JSON.stringify` of what they
//! parsed, not what they got.

mod error;
mod event;
mod request;
mod response;
mod routes;

use self::error::error;
use self::event::{delivery, event_body, sign};
use self::request::{OPERATIONS, key};
use self::routes::ROUTES;
use super::{OwnSecretForm, Shows, Surface};
use crate::domain::ids::JobId;
use crate::domain::job::End;

/// The `apione` surface.
pub const SURFACE: Surface = Surface {
    name: "apione",
    operations: &OPERATIONS,
    routes: ROUTES,
    shows: Shows::Own,
    key,
    id: JobId::to_string,
    parse_id: JobId::parse,
    error,
    delivery,
    inline: End::fits_one_response,
    body: event_body,
    sign,
    settings: &[],
    own_secret: Some(OwnSecretForm {
        prefix: "",
        may_be_key: false,
    }),
};
