//! The use cases over ports. Each is one public function that does one step and says what came of it, so that a test can
//! run it, kill it between any two calls, and run it again.

pub mod authenticate;
pub mod callback;
pub mod cancel;
mod context;
pub mod delete;
pub mod deliveries;
pub mod dispatch;
pub mod enrich;
pub mod finish;
mod hold;
pub mod idempotency;
pub mod newer;
mod origin;
pub mod retry;
mod run;
pub mod secrets;
pub mod status;
pub mod submit;
pub mod sweep;
pub mod table;
pub mod tenants;
mod turn;

pub use self::context::{Ports, StepError};
pub(crate) use self::context::{Updated, insist, transact, transact_told};
