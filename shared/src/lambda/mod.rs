//! Where events come in: typed configuration, HTTP requests, SQS batches, telemetry. Each
//! function's `main` wires what is here to the adapters and runs it.

pub mod api;
mod coding;
pub mod config;
pub mod http;
pub mod sqs;
pub mod start;
pub mod system;
pub mod telemetry;
