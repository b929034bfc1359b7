//! API surfaces. What one of them says and how it says it is data and pure functions in one file; everything else asks
//! the [`Surface`] and never which one it is. A further surface is a file here and a line in [`SURFACES`].

pub mod apione;
pub mod common;
mod contract;
pub mod fullenrich;
pub mod native;
mod registry;
pub mod sixtyfour;
pub mod springbolt;

pub use self::contract::{
    Call, Event, MAX_URL_CHARS, Reading, ResultsPage, Route, Shown, Shows, Signing, Surface,
};
pub use self::registry::{Routed, SURFACES, check_operations, is_path, route, surface};
