//! Test support: the simulated ports, and a world built of them; a deployed stack, and servers that
//! it talks to.

pub mod authority;
pub mod fuzz;
pub mod harness;
pub mod names;
pub mod schema;
pub mod servers;
pub mod sim;
pub mod stack;
pub mod stored;
pub mod upstreams;
