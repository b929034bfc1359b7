//! IPv4 addresses inside IPv6 ones: mapped, tunnelled, or to be translated (NAT64).

use std::net::{Ipv4Addr, Ipv6Addr};

/// NAT64's prefixes for local use. Source: RFC 8215.
pub(super) const LOCAL_NAT64_LENGTH: u8 = 48;

/// The lengths that a prefix of NAT64 can have. Source: RFC 6052 section 2.2.
pub(super) const NAT64_LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// The octet `u` of bits 64 to 71, which an IPv4 address is written around.
const U: usize = 8;

/// The octets behind a NAT64 prefix of this length: the IPv4 address, and the suffix that
/// translators ignore. The octet `u` is left out whatever it is, as a translator does. Source: RFC
/// 6052 sections 2.2 and 2.3.
fn octets_behind(address: Ipv6Addr, length: u8) -> impl Iterator<Item = u8> {
    let octets = address.octets();
    (usize::from(length) / 8..octets.len())
        .filter(|at| *at != U)
        .map(move |at| octets[at])
}

/// The IPv4 address behind a NAT64 prefix of this length.
pub(super) fn translated(address: Ipv6Addr, length: u8) -> Option<Ipv4Addr> {
    let mut octets = octets_behind(address, length);
    Some(Ipv4Addr::new(
        octets.next()?,
        octets.next()?,
        octets.next()?,
        octets.next()?,
    ))
}

/// The same, where the address has the very form of a translation: the octet `u` and the suffix are
/// zero, and it leads somewhere. In a prefix of 96 bits the octet is the prefix's own.
pub(super) fn translation(address: Ipv6Addr, length: u8) -> Option<Ipv4Addr> {
    let bare = NAT64_LENGTHS.contains(&length)
        && (length == 96 || address.octets()[U] == 0)
        && octets_behind(address, length)
            .skip(4)
            .all(|octet| octet == 0);
    translated(address, length).filter(|v4| bare && v4.octets()[0] != 0)
}

/// Every IPv4 address that this one can be a translation of, by prefixes of NAT64 within a network
/// of `length` around it.
pub(super) fn readings(address: Ipv6Addr, length: u8) -> impl Iterator<Item = Ipv4Addr> {
    NAT64_LENGTHS
        .into_iter()
        .filter(move |inner| *inner >= length)
        .filter_map(move |inner| translated(address, inner))
}

/// Returns whether no translator sends anything to this address: `0.0.0.0/8`, the first of a /8,
/// which is a network's and no host's, multicast and the reserved space behind it. That is where
/// most host numbers would lead.
pub(super) fn leads_nowhere(v4: Ipv4Addr) -> bool {
    matches!(v4.octets(), [0 | 224.., ..] | [_, 0, 0, 0])
}

/// An IPv4 address inside an IPv6 one.
pub(super) enum Embedded {
    None,
    /// The packets go to this IPv4 address, by the kernel (mapped) or by the network's own gateway
    /// (NAT64).
    Is(Ipv4Addr),
    /// A tunnel or a deprecated form: refused of itself, and what it carries counts besides.
    Through([Option<Ipv4Addr>; 2]),
    /// NAT64 for local use (RFC 8215): where in the address the IPv4 one is depends on the prefix.
    LocalNat64,
}

pub(super) fn embedded(address: Ipv6Addr) -> Embedded {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match s {
        // `::` and `::1` carry nothing and are refused with the rest of `::/96`.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Embedded::None,
        // IPv4-mapped (RFC 4291 section 2.5.5.2).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        // NAT64's well-known prefix (RFC 6052); DNS64 in an IPv6-only subnet answers with it for
        // every IPv4-only host.
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Embedded::Is(v4(high, low)),
        [0x64, 0xff9b, 1, ..] => Embedded::LocalNat64,
        // IPv4-compatible (deprecated, RFC 4291 section 2.5.5.1) and IPv4-translated (RFC 2765);
        // 6to4 (RFC 3056), the router's address.
        [0, 0, 0, 0, 0 | 0xffff, 0, high, low] | [0x2002, high, low, ..] => {
            Embedded::Through([Some(v4(high, low)), None])
        }
        // Teredo (RFC 4380): the server's address, and the client's with all bits turned over.
        [0x2001, 0, server_high, server_low, _, _, high, low] => {
            Embedded::Through([Some(v4(server_high, server_low)), Some(v4(!high, !low))])
        }
        _ => Embedded::None,
    }
}
