//! Ranges of addresses with a purpose of their own.

use std::net::{Ipv4Addr, Ipv6Addr};

/// IPv4 ranges that are refused. Source: IANA IPv4 Special-Purpose Address Registry, and multicast
/// (RFC 5771). Ranges inside these that the registry calls globally reachable (single anycast
/// addresses of protocols) stay refused.
pub(super) const REFUSED_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::BROADCAST, 32),
];

/// The only global unicast space of IPv6. Source: IANA IPv6 Global Unicast Address Assignments. All
/// the rest, such as `::1`, `100::/64`, `5f00::/16`, `fc00::/7`, `fe80::/10`, `fec0::/10` and
/// `ff00::/8`, is refused by not being in it.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Ranges inside [`GLOBAL_V6`] that are refused. Source: IANA IPv6 Special-Purpose Address
/// Registry.
pub(super) const REFUSED_V6: [(Ipv6Addr, u8); 4] = [
    // Protocol assignments, Teredo (2001::/32), benchmarking, ORCHID.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// IPv4 addresses of the machine itself: the unspecified ones, loopback, and link-local, where AWS
/// hands out credentials.
const OWN_V4: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
];

/// The same of IPv6. Source of `fd00:ec2::/32`: Amazon EC2 user guide, instance metadata at
/// `fd00:ec2::254`; Amazon EKS user guide, credentials at `fd00:ec2::23`.
const OWN_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::UNSPECIFIED, 128),
    (Ipv6Addr::LOCALHOST, 128),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32),
];

fn within_v4(address: Ipv4Addr, nets: &[(Ipv4Addr, u8)]) -> bool {
    nets.iter()
        .any(|(net, prefix)| (address.to_bits() ^ net.to_bits()) >> (32 - prefix) == 0)
}

fn within_v6(address: Ipv6Addr, nets: &[(Ipv6Addr, u8)]) -> bool {
    nets.iter()
        .any(|(net, prefix)| (address.to_bits() ^ net.to_bits()) >> (128 - prefix) == 0)
}

pub(super) fn is_global_v4(address: Ipv4Addr) -> bool {
    !within_v4(address, &REFUSED_V4)
}

pub(super) fn is_global_v6(address: Ipv6Addr) -> bool {
    within_v6(address, &[GLOBAL_V6]) && !within_v6(address, &REFUSED_V6)
}

pub(super) fn is_own_v4(address: Ipv4Addr) -> bool {
    within_v4(address, &OWN_V4)
}

pub(super) fn is_own_v6(address: Ipv6Addr) -> bool {
    within_v6(address, &OWN_V6)
}
