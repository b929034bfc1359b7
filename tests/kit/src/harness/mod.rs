//! A world of simulated ports with everything around the use cases: tenants, providers that do as their input says, a
//! scripted receiver, and a driver that moves messages as Lambda does. `invariants` says what must hold of it.

mod functions;
pub mod invariants;
pub mod isolation;
pub mod mutation;
mod providers;
mod receiver;
mod served;
pub mod upstream;
mod version;
mod world;

pub use functions::{Happened, LostRuns};
pub use providers::{Asked, BIG, CONFIG};
pub use receiver::{Exchange, Receiver};
pub use served::{ServedApi, body, found};
pub use version::Version;
pub use world::{Ended, Options, Tenant, UNFIT, World, domains, invalid, record, submission};

/// The receiver that jobs of [`submission`] tell of their end.
pub const HOOK: &str = "https://hook.example/one";
