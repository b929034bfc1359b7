//! Trying providers on this machine, without any stack: is `providers.toml` right, and what is a
//! record's outcome?

mod args;
mod check;
mod compile;
mod machine;
mod trial;

pub(crate) use self::args::{Enrich, Providers};
pub(crate) use self::check::check;
pub(crate) use self::compile::compile;
pub(crate) use self::trial::enrich;

#[cfg(test)]
mod tests;
