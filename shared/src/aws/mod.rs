//! The table, the queues and the operator's assets on AWS. The only place that names SDK types.
//!
//! Everything is built by hand from [`AwsSettings`]: no configuration chain, no environment, no
//! instance metadata. All services share one HTTP client, so that one TLS configuration is built
//! and one pool kept.

mod assets;
mod client;
mod connector;
mod expression;
mod failure;
mod meter;
mod queue;
mod service;
mod settings;
mod store;
mod transaction;

pub use assets::AwsAssets;
pub use client::AwsClients;
pub use meter::{Meter, Reading, Usage};
pub use queue::SqsQueue;
pub use service::Service;
pub use settings::{AwsLimits, AwsSettings, SettingsError};
pub use store::DynamoStore;
