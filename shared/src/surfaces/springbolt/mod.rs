//! Springbolt: one record per call, and the bare result posted to the callback URL that came with
//! it.
//!
//! A client that says `callbackUrl` speaks camel case and is answered in it; one that says
//! `callback_url` gets found fields under the names that providers give them. What it sent comes
//! back as it was sent.

mod error;
mod event;
mod request;
mod response;
mod routes;
mod settings;

use self::error::error;
use self::event::{body, rules, sign};
use self::request::key;
use self::response::id;
use self::routes::ROUTES;
use self::settings::SETTINGS;
use super::{Shows, Surface};
use crate::domain::ids::JobId;
use crate::domain::job::End;

/// The Springbolt surface.
pub const SURFACE: Surface = Surface {
    name: "springbolt",
    operations: &[
        "enrichment",
        "deanonymization",
        "linkedin_to_phone",
        "linkedin_to_hem",
        "email_to_hem",
        "ip_to_company",
        "organization_domain_finder",
        "keyword_to_lead",
    ],
    routes: ROUTES,
    shows: Shows::Own,
    key,
    id,
    parse_id: |text| JobId::parse_hex(text.strip_prefix("res_")?),
    error,
    delivery: rules,
    // One record is never too large.
    inline: End::fits_one_response,
    body,
    sign,
    settings: SETTINGS,
    own_secret: None,
};
