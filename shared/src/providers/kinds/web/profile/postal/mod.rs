//! Postal addresses written as lines of a letter.

mod japan;
mod letter;
mod page;
mod parts;
mod street;
#[cfg(test)]
mod tests;
mod town;

pub(super) use self::letter::lines;
pub(super) use self::page::{country, shown};
