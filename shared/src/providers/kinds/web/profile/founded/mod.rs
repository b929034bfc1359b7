//! The year in which a company was founded, in what its page says.
//!
//! A year counts where a sentence says that the company was founded in it, or what it has done
//! since. What says the same of an office, a product, a customer or a person does not.

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
