//! The use cases over simulated ports: what they do, and that no crash changes it.

mod assets;
mod controls;
mod crash;
mod deliveries;
mod endings;
mod explore;
mod interference;
mod invalid;
mod jobs;
mod kit;
mod late;
mod latest;
mod limits;
mod log;
mod pairs;
mod queues;
mod records;
mod recursion;
mod reviewed;
mod runs;
mod sites;
mod stored;
mod sweeps;
mod tenancy;
mod threads;
mod twelfth;
mod upstreams;
mod versions;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// The enrich function's time-out in the harness.
const ENRICH_TIMEOUT: Duration = Duration::from_secs(120);
