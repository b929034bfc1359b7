//! `FullEnrich`'s API, versions 1 and 2: bulk enrichment of contacts and reverse lookup of e-mail
//! addresses. Source: its public documentation of webhooks and its `OpenAPI` 3.1 description, and
//! for version 1 what its public clients send and read.
//! `docs/surfaces/fullenrich.md` says where this differs.

mod code;
mod error;
mod event;
mod first;
mod forms;
mod request;
mod response;
mod routes;
mod settings;
mod version;

use self::error::error;
use self::event::{delivery, event_body, sign};
use self::routes::ROUTES;
use self::settings::SETTINGS;
use self::version::{ENRICH, REVERSE};
use super::common::message::ApiRequest;
use super::{OwnSecretForm, Shows, Surface};
use crate::domain::ids::JobId;
use crate::domain::job::End;

/// The surface.
pub const SURFACE: Surface = Surface {
    name: "fullenrich",
    operations: &[ENRICH, REVERSE],
    routes: ROUTES,
    shows: Shows::Own,
    key: ApiRequest::bearer,
    id: JobId::uuid,
    parse_id: JobId::parse_uuid,
    error,
    delivery,
    inline: End::fits_one_response,
    body: event_body,
    sign,
    settings: SETTINGS,
    own_secret: Some(OwnSecretForm {
        prefix: "",
        may_be_key: true,
    }),
};
