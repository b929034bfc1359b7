//! The year in which a company was founded, from its page.
//!
//! A year counts if a sentence says that the company was founded in it, or has done something
//! since. The same about an office, a product, a customer or a person does not count.

mod called;
mod marks;
mod page;
mod sentence;
#[cfg(test)]
mod tests;
mod tokens;
mod within;
mod words;

pub(super) use self::page::year_in;
pub(super) use self::sentence::Said;
