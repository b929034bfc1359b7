//! Promises of the simulated world itself.

mod entropy;
mod mapping;
mod ports;
mod schema;
