//! Providers and the waterfall over them.
//!
//! A provider answers one question: what do you know about this input? The waterfall asks several
//! in order and merges what they find. The room `catalog` reads `providers.toml`, which declares
//! types and providers, and is all that `submit` loads. [`Registry`] is a catalog with its
//! providers built: tables opened, secrets of the environment resolved. `enrich` loads that.

mod contract;
pub mod guards;
#[macro_use]
mod kind;
pub mod kinds;
pub mod refresh;
mod registry;
#[cfg(test)]
mod testing;
pub mod waterfall;

pub use self::contract::{
    Answer, Confidence, Earlier, Guard, Later, Ports, Provider, Question, Refused, RequestFate,
};
pub use self::kind::{BuildContext, BuildKind, KindBuilder};
pub use self::registry::{Registry, build, build_of};
pub use self::waterfall::Waterfall;
