//! The domain name system.

use async_trait::async_trait;

/// The kinds of DNS records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DnsKind {
    /// Addresses of version 4.
    A,
    /// Addresses of version 6.
    Aaaa,
    /// The name that this one stands for.
    Cname,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
    /// Texts, such as SPF policies.
    Txt,
}

/// A DNS record's data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsRecord {
    /// Of `A` and `AAAA`.
    Address(std::net::IpAddr),
    /// A host name, without the dot at its end.
    Cname(String),
    /// Source: RFC 5321 section 5.1. An exchange of no name at all (`.`, here empty) takes no mail:
    /// RFC 7505.
    Mx {
        /// The lowest is tried first (RFC 5321, section 5.1).
        preference: u16,
        /// The server's name, without the dot at the end.
        exchange: String,
    },
    /// The name of a server, without the dot at the end.
    Ns(String),
    /// The strings of one record, joined; what is not UTF-8 in them replaced.
    Txt(String),
}

/// Why a question to the DNS has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsFailure {
    /// The name does not exist, whatever the kind (NXDOMAIN).
    #[error("the name does not exist")]
    NoSuchName,
    /// No server that could be asked knows. Asking again may help.
    #[error("the name server gave no answer: {0}")]
    Unanswered(String),
}

/// The domain name system, for what is said about a name. Where connections go is the own business
/// of [`HttpSender`](super::HttpSender).
#[async_trait]
pub trait Dns: Send + Sync {
    /// The records of one kind that a name has, none where it has none of that kind. Aliases are
    /// followed, except where they are asked for. Ends by itself within seconds.
    async fn look_up(&self, name: &str, kind: DnsKind) -> Result<Vec<DnsRecord>, DnsFailure>;
}
