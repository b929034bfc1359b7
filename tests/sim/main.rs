//! The use cases over simulated ports: what they do, and that no crash changes it.

mod crash;
mod jobs;
