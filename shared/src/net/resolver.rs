//! Name resolution that returns permitted addresses only.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use simple_dns::TYPE;

use super::deadline::limited;
use super::dns::{DnsError, NameServer, type_of};
use super::guard::{Guard, LOOPBACK, is_localhost};
use crate::ports::{Dns, DnsFailure, DnsKind, DnsRecord, HttpError};

/// The wait for IPv6 addresses once IPv4 ones are there. Source: RFC 8305 section 3.
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// The most addresses of each family that are tried: an answer with hundreds must not become
/// hundreds of connections.
const MAX_PER_FAMILY: usize = 4;

/// Why a name gave no address to connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The name has addresses, and all of them are refused.
    #[error("the name resolves only to refused addresses")]
    Blocked,
    /// The resolver gave no answer; holds its words.
    #[error("{0}")]
    Failed(String),
}

impl From<ResolveError> for HttpError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Blocked => Self::Blocked,
            ResolveError::Failed(why) => Self::Dns(why),
        }
    }
}

/// Resolves names and leaves out the addresses that the [`Guard`] refuses.
///
/// It is the connector's resolver: every connection goes to an address that this returned for it.
/// Nothing is cached, and nothing is asked again between judging an address and connecting to it.
#[derive(Debug, Clone)]
pub struct Resolver {
    guard: Arc<Guard>,
    nameserver: Option<NameServer>,
}

impl Resolver {
    /// With a name server, that one is asked and neither the system's settings nor its hosts file
    /// count. Without, the system's resolver is.
    pub fn new(guard: Arc<Guard>, nameserver: Option<SocketAddr>) -> Self {
        Self {
            guard,
            nameserver: nameserver.map(NameServer),
        }
    }

    /// The permitted addresses of a name, IPv4 first (a function outside a dual-stack subnet has no
    /// IPv6), at most four of each family. Never empty. `localhost` and names below it are loopback
    /// without asking.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let found = match self.nameserver {
            _ if is_localhost(host) => LOOPBACK.to_vec(),
            Some(server) => self
                .ask(server, host)
                .await
                .map_err(|error| ResolveError::Failed(error.to_string()))?,
            None => system(host).await?,
        };
        if found.is_empty() {
            return Err(ResolveError::Failed("the name has no address".into()));
        }
        let (mut usable, mut v6) = (Vec::new(), Vec::new());
        for address in found {
            let family = if address.is_ipv4() {
                &mut usable
            } else {
                &mut v6
            };
            if family.len() < MAX_PER_FAMILY
                && self.guard.permits(address)
                && !family.contains(&address)
            {
                family.push(address);
            }
        }
        usable.append(&mut v6);
        if usable.is_empty() {
            Err(ResolveError::Blocked)
        } else {
            Ok(usable)
        }
    }

    /// Asks for both families at once. One family's failure counts only when the other has no
    /// answer either.
    async fn ask(&self, server: NameServer, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        let v4 = std::pin::pin!(server.addresses(host, TYPE::A));
        let v6 = std::pin::pin!(server.addresses(host, TYPE::AAAA));
        let (v4, v6) = match select(v4, v6).await {
            Either::Left((Ok(v4), v6)) if v4.iter().any(|address| self.guard.permits(*address)) => {
                (
                    Ok(v4),
                    limited(RESOLUTION_DELAY, v6)
                        .await
                        .unwrap_or(Ok(Vec::new())),
                )
            }
            Either::Left((v4, v6)) => (v4, v6.await),
            Either::Right((v6, v4)) => (v4.await, v6),
        };
        match (v4, v6) {
            (Ok(mut v4), Ok(mut v6)) => {
                v4.append(&mut v6);
                Ok(v4)
            }
            (Ok(found), Err(error)) | (Err(error), Ok(found)) => {
                if found.is_empty() {
                    Err(error)
                } else {
                    Ok(found)
                }
            }
            (Err(error), Err(_)) => Err(error),
        }
    }
}

#[async_trait]
impl Dns for Resolver {
    /// Asks the configured name server, or else the first of the system's. Addresses are returned
    /// as they are: no connection is made to what this returns.
    async fn look_up(&self, name: &str, kind: DnsKind) -> Result<Vec<DnsRecord>, DnsFailure> {
        let server = self.nameserver.or_else(NameServer::of_the_system);
        let server = server
            .ok_or_else(|| DnsFailure::Unanswered("the system names no name server".to_owned()))?;
        Ok(server.records(name, type_of(kind)).await?)
    }
}

/// The system's resolver (`getaddrinfo` on a thread of its own). A look-up that is given up on
/// still ends by itself.
async fn system(host: &str) -> Result<Vec<IpAddr>, ResolveError> {
    let found = tokio::net::lookup_host((host, 0))
        .await
        .map_err(|error| ResolveError::Failed(error.to_string()))?;
    Ok(found.map(|address| address.ip()).collect())
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.addresses(name.as_str()).await?;
            // Port 0 stands for the URL's own.
            let addresses: reqwest::dns::Addrs =
                Box::new(found.into_iter().map(|address| (address, 0).into()));
            Ok(addresses)
        })
    }
}
