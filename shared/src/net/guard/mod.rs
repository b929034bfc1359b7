//! Which URLs and addresses may be reached. Pure: nothing here asks the network.

mod cidr;
mod embedded;
mod ranges;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, ParseError, Url};

pub use self::cidr::{BadCidr, Cidr};
use self::embedded::{
    Embedded, LOCAL_NAT64_LENGTH, NAT64_LENGTHS, embedded, leads_nowhere, readings, translation,
};
use self::ranges::{is_global_v4, is_global_v6, is_own_v4, is_own_v6};
use crate::ports::HttpError;

/// The longest URL that is taken, in bytes. Twice what browsers and proxies are commonly built for.
const MAX_URL: usize = 8192;

/// The `http:` URLs that are taken: the setting `AllowHttp`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// Nowhere, whatever a surface's document says.
    Never,
    /// By the surfaces whose documents take it, for their receivers.
    #[default]
    Surfaces,
    /// By every surface, and for providers too.
    Always,
}

impl FromStr for PlainHttp {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "false" | "0" => Ok(Self::Never),
            "surfaces" => Ok(Self::Surfaces),
            "true" | "1" => Ok(Self::Always),
            _ => Err(()),
        }
    }
}

/// The rules: which addresses and URLs may be reached.
///
/// Global unicast addresses are permitted, and those of the allowed networks. Everything else is
/// refused, and addresses of the machine itself whatever is allowed: on Lambda the runtime API and
/// the function's credentials are there.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<Cidr>,
    allow_http: PlainHttp,
    local: bool,
}

impl Guard {
    /// Makes the rules with an operator's exceptions: networks, and URLs that may begin with
    /// `http:`.
    pub fn new(allowed: Vec<Cidr>, allow_http: PlainHttp) -> Self {
        Self {
            allowed,
            allow_http,
            local: false,
        }
    }

    /// Lets allowed networks contain the machine's own addresses: for processes that do not run on
    /// Lambda.
    #[must_use]
    pub fn local(self, local: bool) -> Self {
        Self { local, ..self }
    }

    /// Returns whether a connection to this address may be opened.
    ///
    /// An IPv6 address that carries an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) is never
    /// more than that IPv4 address is: an allowed IPv6 network does not open a way round to a
    /// refused IPv4 address.
    pub fn permits(&self, address: IpAddr) -> bool {
        let v6 = match address {
            IpAddr::V4(v4) => {
                return (self.local || !is_own_v4(v4))
                    && (self.allows(address) || is_global_v4(v4));
            }
            IpAddr::V6(v6) => v6,
        };
        if !self.local && is_own_v6(v6) {
            return false;
        }
        match embedded(v6) {
            Embedded::None => {
                (self.allows(address) || is_global_v6(v6)) && self.permits_translated(v6)
            }
            Embedded::Is(v4) => self.permits(v4.into()),
            Embedded::Through(carried) => {
                self.allows(address)
                    && carried
                        .into_iter()
                        .flatten()
                        .all(|v4| self.permits(v4.into()))
            }
            Embedded::LocalNat64 => self.allows(address) && self.permits_local_nat64(v6),
        }
    }

    /// The prefix lengths of the allowed networks around an address.
    fn around(&self, address: Ipv6Addr) -> impl Iterator<Item = u8> {
        self.allowed
            .iter()
            .filter(move |cidr| cidr.0.contains(&IpAddr::V6(address)))
            .map(|cidr| cidr.0.prefix_len())
    }

    /// Returns whether everything that an address of allowed networks may be translated to is
    /// permitted.
    ///
    /// An allowed network may be a prefix of NAT64, have some inside, or have hosts. An address
    /// with the form of a translation by the network itself is judged as that one; any other at
    /// each length that a prefix within the network can have, where what leads nowhere makes it a
    /// host. A translation that ends in zeros can be one at a longer length as well, so a prefix is
    /// to be allowed at its own length.
    fn permits_translated(&self, address: Ipv6Addr) -> bool {
        // Global addresses need no allowance: a network wider than any prefix says nothing about
        // them.
        let shortest = if is_global_v6(address) {
            NAT64_LENGTHS[0]
        } else {
            0
        };
        self.around(address)
            .filter(|length| *length >= shortest)
            .all(|length| {
                if NAT64_LENGTHS.contains(&length) {
                    if address.to_bits() & (u128::MAX >> length) == 0 {
                        return false;
                    }
                    if let Some(v4) = translation(address, length) {
                        return self.permits(v4.into());
                    }
                }
                readings(address, length).all(|v4| leads_nowhere(v4) || self.permits(v4.into()))
            })
    }

    /// The same in the network of NAT64 for local use, which has no hosts: something must be what
    /// it is translated to.
    fn permits_local_nat64(&self, address: Ipv6Addr) -> bool {
        self.around(address).all(|length| {
            let length = length.clamp(LOCAL_NAT64_LENGTH, 96);
            if let Some(v4) = translation(address, length) {
                return self.permits(v4.into());
            }
            let mut somewhere = readings(address, length)
                .filter(|v4| !leads_nowhere(*v4))
                .peekable();
            somewhere.peek().is_some() && somewhere.all(|v4| self.permits(v4.into()))
        })
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|cidr| cidr.0.contains(&address))
    }

    /// Judges a URL without asking the network: form, scheme, credentials, port, literal address,
    /// `localhost`. `plain_http` is a surface's word for taking `http:` too, which counts unless
    /// the operator forbids it. Returns it normalised and without fragment. Names other than
    /// `localhost` are judged when they are resolved.
    ///
    /// Errors: [`HttpError::Url`] when it cannot be used at all, [`HttpError::Blocked`] when its
    /// address is refused.
    pub fn check(&self, url: &str, plain_http: bool) -> Result<Url, HttpError> {
        let refuse = |why: &str| Err(HttpError::Url(why.to_owned()));
        let http = match self.allow_http {
            PlainHttp::Never => false,
            PlainHttp::Surfaces => plain_http,
            PlainHttp::Always => true,
        };
        if url.len() > MAX_URL {
            return Err(HttpError::Url(format!("it is longer than {MAX_URL} bytes")));
        }
        let mut url = Url::parse(url).map_err(|error| match error {
            ParseError::RelativeUrlWithoutBase => {
                HttpError::Url("it is not a whole URL, such as https://example.com/hook".to_owned())
            }
            error => HttpError::Url(error.to_string()),
        })?;
        match url.scheme() {
            "https" => {}
            "http" if http => {}
            "http" => return refuse("only https is allowed"),
            _ if http => return refuse("the scheme is neither https nor http"),
            _ => return refuse("the scheme is not https"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("it carries credentials");
        }
        match url.port() {
            Some(0) => return refuse("port 0 does not exist"),
            // Source: AWS Lambda developer guide, networking: outbound port 25 is blocked.
            Some(25) => return refuse("port 25 cannot be opened from AWS Lambda"),
            _ => {}
        }
        url.set_fragment(None);
        let blocked = match url.host() {
            None => return refuse("it has no host"),
            Some(Host::Ipv4(v4)) => !self.permits(v4.into()),
            Some(Host::Ipv6(v6)) => !self.permits(v6.into()),
            Some(Host::Domain(name)) => {
                if !is_host_name(name) {
                    return refuse("the host name is not valid");
                }
                is_localhost(name) && !LOOPBACK.into_iter().any(|address| self.permits(address))
            }
        };
        if blocked {
            Err(HttpError::Blocked)
        } else {
            Ok(url)
        }
    }
}

/// The addresses of `localhost` and every name below it. Source: RFC 6761 section 6.3: no name
/// server is asked.
pub(super) const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Returns whether a name is `localhost` or ends in `.localhost`, in any case, with or without the
/// root's dot.
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit('.')
        .next()
        .is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

/// Returns whether DNS could carry the name: labels of 1 to 63 bytes, 253 in all. Source: RFC 1035
/// section 2.3.4.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

#[cfg(test)]
mod tests;
