//! Millrace's common crate: everything the five functions and the command line do, behind ports.
//!
//! Direction of imports, kept by `tests/infra`: `edge, aws, net → app, dialect, provider → ports → domain`.
//! `domain` is pure: no I/O, no clock, no randomness.

pub mod app;
pub mod aws;
pub mod dialect;
pub mod domain;
pub mod edge;
pub mod net;
pub mod ports;
pub mod provider;
