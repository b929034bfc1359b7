//! What is read from outside, with inputs that are bent by rule; `tests::fuzz` says what must hold.

mod corpus;
