//! The API of Sixtyfour: one task a request, announced by one webhook. Requests are checked by
//! the vendor's own schemas, and refused as `FastAPI` does.

mod error;
mod event;
mod request;
mod response;
mod result;
mod routes;
mod tasks;

use self::error::error;
use self::event::{body, delivery, sign};
use self::request::key;
use self::routes::ROUTES;
use self::tasks::TASKS;
use super::{OwnSecretForm, Shows, Surface};
use crate::domain::ids::JobId;
use crate::domain::job::End;

/// The Sixtyfour surface.
pub const SURFACE: Surface = Surface {
    name: "sixtyfour",
    operations: &TASKS,
    routes: ROUTES,
    shows: Shows::Own,
    key,
    id: JobId::uuid,
    parse_id: JobId::parse_uuid,
    error,
    delivery,
    inline: End::fits_one_response,
    body,
    sign,
    settings: &[],
    own_secret: Some(OwnSecretForm {
        prefix: "sk_whsec_",
        may_be_key: false,
    }),
};
