//! A world of simulated ports around the use cases: tenants, providers scripted by their input, a
//! scripted receiver, and a driver that moves messages as Lambda does. `invariants` says what must
//! hold of it.

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

/// The receiver of the events of [`submission`]'s jobs.
pub const HOOK: &str = "https://hook.example/one";
