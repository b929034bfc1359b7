//! The waterfall: asks a type's providers in order until it has what the type wants, and merges
//! what they find.
//!
//! Answers become one outcome:
//! - any field found: `found`, whatever else failed. The first provider to give a field wins it,
//!   unless the type wants more confidence than it has: then a surer answer replaces it;
//! - nothing found and at least one provider said no: `not_found`. If others could not answer,
//!   `error` names the first of them, so that a reader can tell a complete search from a partial
//!   one;
//! - every provider that the input suits failed: `failed`, with the first one's code;
//! - the input does not fit the type: `invalid`. If it suits no provider, each for a need of its
//!   own: `failed`, with `provider_input`.
//!
//! Credits are the sum over the providers that the found fields came from; anything but `found`
//! costs nothing.
//!
//! A provider may take a question and answer later. Then the run ends as
//! [`WaterfallOutcome::Suspended`], which has all that is known by then and can be stored; a later
//! run resumes it.

mod ask;
mod merge;
mod request;
mod run;
mod step;
#[cfg(test)]
mod tests;
mod time_share;
mod wait;

pub use self::request::{Request, WaterfallOutcome};
pub use self::run::Waterfall;
pub use self::step::Step;
pub use crate::domain::suspended::Suspended;
