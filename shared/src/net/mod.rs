//! Outbound HTTP to hosts that customers name: the only module that names `reqwest`.

mod guard;

pub use guard::{BadCidr, Cidr, Guard};
