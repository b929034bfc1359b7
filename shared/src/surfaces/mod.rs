//! API surfaces. What one of them says and how it says it is data and pure functions in one folder;
//! everything else uses the [`Surface`] and never asks which one it is. Another surface is a folder
//! here and a line in [`SURFACES`].
//!
//! A folder has `mod.rs` (the [`Surface`]), `routes.rs`, `request.rs` (reads requests),
//! `response.rs` (writes answers), `error.rs`, and `event.rs` (webhook bodies, signatures and
//! retries).

pub mod apione;
pub mod common;
mod contract;
pub mod fullenrich;
pub mod native;
mod registry;
pub mod sixtyfour;
pub mod springbolt;

pub use self::contract::{
    Call, Event, MAX_OWN_SECRET, MAX_URL_CHARS, NOMINAL_PER_RECORD, NewSecret, OwnSecret,
    OwnSecretForm, Reading, ResultsPage, Rotation, Route, Shown, Shows, Signing, Surface,
    SurfaceSetting,
};
pub use self::registry::{
    Routed, SURFACES, check_operations, is_path, list_settings, own_secret_form, parse_setting,
    parse_unset, route, surface,
};
