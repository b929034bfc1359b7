//! Millrace's common crate: everything the five functions and the command line do, behind ports.
//!
//! Its modules, from the entry points down to the rules: `lambda`; `aws` and `net`; `maintenance`,
//! `webhooks`, `jobs`; `surfaces`; `providers`, `catalog`; `schema`, `ports`, `domain`. Imports go
//! down this list and never up, and no two files import each other: `tests/infra` checks both.
//! `domain` is pure: no I/O, no clock, no randomness.

#![warn(missing_docs)]

pub mod aws;
pub mod catalog;
pub mod domain;
pub mod jobs;
pub mod lambda;
pub mod maintenance;
pub mod net;
pub mod ports;
pub mod providers;
pub mod schema;
pub mod surfaces;
pub mod webhooks;
