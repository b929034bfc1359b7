//! The parts that several surfaces share: requests and answers as data, readers, contact fields,
//! numbers as ECMAScript writes them.

pub mod contact;
pub mod ecmascript;
pub mod message;
pub mod read;
