//! Networks that the operator allows.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A network that the operator allows, such as `10.20.0.0/16`, `fd00:1::/32` or a lone address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr(pub(super) IpNet);

/// Why a text is not a [`Cidr`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCidr {
    /// The text has another form than an address and a prefix length.
    #[error("`{0}` is not a network: write an address and a prefix length, as in 10.0.0.0/8")]
    Syntax(String),
    /// Taking `10.1.2.3/8` for `10.0.0.0/8` would allow sixteen million addresses by a slip.
    #[error("`{0}` has bits set beyond its prefix: write {1}")]
    HostBits(String, String),
}

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let text = text.trim();
        let syntax = || BadCidr::Syntax(text.to_owned());
        let net = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse::<IpNet>().map_err(|_| syntax())?,
        };
        if net.addr() != net.network() {
            return Err(BadCidr::HostBits(text.to_owned(), net.trunc().to_string()));
        }
        // An IPv4-mapped network is the IPv4 network, because mapped addresses are judged as IPv4.
        match net {
            IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.network().to_ipv4_mapped() {
                Some(v4) => IpNet::new(v4.into(), v6.prefix_len() - 96)
                    .map(Self)
                    .map_err(|_| syntax()),
                None => Ok(Self(net)),
            },
            _ => Ok(Self(net)),
        }
    }
}
