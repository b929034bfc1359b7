//! URLs, addresses and DNS answers: none leads to an address that is not allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use ipnet::IpNet;
use shared::net::{DnsQuery, DnsReply, Guard, PlainHttp};
use shared::ports::DnsRecord;
use simple_dns::TYPE;

/// Every block that the registries do not call globally reachable, and multicast. Sources: IANA
/// IPv4 and IPv6 Special-Purpose Address Registries as of 2025, RFC 5771, RFC 4291. Repeated here,
/// block by block, to check the guard's own table.
const NOT_GLOBAL: &str = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 \
    172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 \
    192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 \
    224.0.0.0/4 240.0.0.0/4 \
    ::/128 ::1/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 \
    2002::/16 3fff::/20 5f00::/16 \
    fc00::/7 fe80::/10 fec0::/10 ff00::/8";

fn is_not_global(address: IpAddr) -> bool {
    static NETS: OnceLock<Vec<IpNet>> = OnceLock::new();
    let nets = NETS.get_or_init(|| {
        NOT_GLOBAL
            .split_whitespace()
            .map(|net| net.parse().expect("a network"))
            .collect()
    });
    nets.iter().any(|net| net.contains(&address))
}

/// Returns the IPv4 address that packets to this one finally reach, if any.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bytes = address.octets();
    let last = || Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15]);
    let nat64 = bytes[..12] == [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
    address.to_ipv4_mapped().or(nat64.then(last))
}

/// Returns true if connecting there may harm, by this module's list.
fn is_harmful(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => is_not_global(address),
        IpAddr::V6(v6) => match carried(v6) {
            Some(v4) => is_not_global(v4.into()),
            // Outside of 2000::/3 nothing is assigned for global unicast.
            None => is_not_global(address) || v6.octets()[0] >> 5 != 1,
        },
    }
}

/// A host that resolvers of the C library read as an IPv4 address: one to four numbers, decimal,
/// octal or hexadecimal.
fn is_numeric_host(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let number = |part: &str| match part.strip_prefix("0x").or(part.strip_prefix("0X")) {
        Some(hex) => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()),
    };
    let parts: Vec<&str> = host.split('.').collect();
    parts.len() <= 4 && parts.into_iter().all(number)
}

/// A URL, of any bytes; the first 16 are an address as well.
pub fn url(bytes: &[u8]) {
    let guard = Guard::default();
    if let Some(octets) = bytes
        .get(..16)
        .and_then(|octets| <[u8; 16]>::try_from(octets).ok())
    {
        let v6 = Ipv6Addr::from(octets);
        let v4 = Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]);
        for address in [v6.into(), v4.into(), v4.to_ipv6_mapped().into()] {
            assert!(
                !(guard.permits(address) && is_harmful(address)),
                "{address} is permitted"
            );
        }
        assert_eq!(guard.permits(v4.into()), !is_not_global(v4.into()), "{v4}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for (guard, plain_http, schemes) in [
        (&guard, false, &["https"][..]),
        (
            &Guard::new(Vec::new(), PlainHttp::Always),
            false,
            &["https", "http"],
        ),
        (&guard, true, &["https", "http"]),
    ] {
        let Ok(url) = guard.check(text, plain_http) else {
            continue;
        };
        assert!(schemes.contains(&url.scheme()), "{url}");
        assert!(
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
            "{url}"
        );
        assert!(url.port() != Some(0) && url.port() != Some(25), "{url}");
        // The sender gets the text of this URL: any parser must read the same.
        let again = guard
            .check(url.as_str(), plain_http)
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(again, url);
        let host = url.host_str().expect("a host");
        assert!(
            host.bytes()
                .all(|b| b.is_ascii_graphic() && !b"/?#@\\%".contains(&b)),
            "{host}"
        );
        if let Ok(address) = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            assert!(!is_harmful(address), "{url}");
        } else {
            assert!(!is_numeric_host(host), "{url}");
            let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            assert!(name.rsplit('.').next() != Some("localhost"), "{url}");
        }
    }
}

/// A message of a name server, to a question for the `A` or `AAAA` records of `hook.example` under
/// the id `0x1234`; the first byte chooses which.
pub fn dns_message(bytes: &[u8]) {
    let Some((choice, message)) = bytes.split_first() else {
        return;
    };
    let kind = if choice % 2 == 0 { TYPE::A } else { TYPE::AAAA };
    let query = DnsQuery::with_id("hook.example", kind, 0x1234).expect("a name");
    let Some(answer) = query.read(message) else {
        return;
    };
    assert!(
        message[..2] == [0x12, 0x34] && message[2] & 0x80 != 0,
        "no answer to this question"
    );
    if let Ok(DnsReply::Whole(addresses)) = answer {
        let records = usize::from(u16::from_be_bytes([message[6], message[7]]));
        assert!(
            addresses.len() <= records,
            "{} addresses of {records} records",
            addresses.len()
        );
        for record in addresses {
            let DnsRecord::Address(address) = record else {
                panic!("{record:?} is not an address")
            };
            assert_eq!(address.is_ipv4(), kind == TYPE::A);
            let there = match address {
                IpAddr::V4(v4) => message.windows(4).any(|window| window == v4.octets()),
                IpAddr::V6(v6) => message.windows(16).any(|window| window == v6.octets()),
            };
            assert!(there, "{address} is not in the message");
        }
    }
}
