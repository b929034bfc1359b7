//! The use cases over ports. Each is one public function that does one step and returns its
//! outcome, so that a test can run it, kill it between any two calls, and run it again.

pub mod authenticate;
pub mod callback;
pub mod cancel;
mod context;
pub mod delete;
pub mod enrich;
pub mod idempotency;
pub mod read;
pub mod retry;
pub mod submit;

pub use self::context::{Ports, StepError};
pub(crate) use self::context::{
    Updated, full_range, transact, transact_and_report, update_with_retry,
};
