//! What the simulated world itself promises.

mod entropy;
mod mapping;
mod ports;
mod schema;
