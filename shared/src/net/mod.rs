//! Outbound HTTP to hosts that customers name: the only module that names `reqwest`.
//!
//! An address is judged where it is used. Literals in a URL are judged by [`Guard::check`] before
//! anything is opened; names are judged by [`Resolver`], which hands the connector nothing but
//! permitted addresses. The connector opens exactly what the resolver returned and asks no server
//! again, so a name server that changes its answer between a check and a connection gains nothing:
//! no second look-up follows to lie to.

mod deadline;
mod dns;
mod guard;
mod resolver;
mod sender;

pub use dns::{DnsError, DnsQuery, DnsReply};
pub use guard::{BadCidr, Cidr, Guard, PlainHttp};
pub use resolver::{ResolveError, Resolver};
pub use sender::{BadSettings, ReqwestSender, SenderSettings};
