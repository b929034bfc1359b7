//! Addresses as servers and proxies log them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::public::is_public;

/// Returns the first public address of a text; the first of all if none is public.
///
/// An address may have a port, brackets and a zone, and may be one of a list: of `X-Forwarded-For`,
/// whose first is the client's, or of `Forwarded` (RFC 7239). Members that are none, such as
/// `unknown` and `_hidden`, are skipped.
pub(super) fn read(text: &str) -> Option<IpAddr> {
    let text = without_name(text.trim());
    let members: Vec<&str> = text.split([',', ';', ' ', '\t', '\n', '\r']).collect();
    let forwarded = members.iter().any(|member| forwarder(member).is_some());
    let nodes = members.into_iter().filter_map(|member| {
        if forwarded {
            forwarder(member)
        } else {
            Some(member)
        }
    });
    let mut addresses = nodes
        .filter_map(address)
        .map(|address| address.to_canonical())
        .peekable();
    let first = addresses.peek().copied();
    addresses.find(|address| is_public(*address)).or(first)
}

/// Returns a text without the name of a header before it. Names of headers with addresses have a
/// dash, but for one.
fn without_name(text: &str) -> &str {
    let name = |name: &str| {
        let token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        token && (name.contains('-') || name.eq_ignore_ascii_case("forwarded"))
    };
    text.split_once(':')
        .filter(|(head, _)| name(head.trim()))
        .map_or(text, |(_, rest)| rest)
}

/// Returns the node of a `for` parameter.
fn forwarder(member: &str) -> Option<&str> {
    let (name, node) = member.split_once('=')?;
    name.eq_ignore_ascii_case("for").then_some(node)
}

/// Reads one address, perhaps with a port; that of RFC 7239 may be a name such as `_http`.
fn address(node: &str) -> Option<IpAddr> {
    let node = node.trim_matches(['"', '\'']);
    let node = node.split_once(":_").map_or(node, |(node, _)| node);
    let bare = match (node.find('%'), node.find(']')) {
        (Some(zone), Some(end)) if zone < end => format!("{}{}", &node[..zone], &node[end..]),
        (Some(zone), None) => node[..zone].to_owned(),
        _ => node.to_owned(),
    };
    let inside = || {
        bare.strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
            .map(IpAddr::from)
    };
    let with_port = || bare.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    bare.parse().ok().or_else(inside).or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_out_of_what_is_logged() {
        for (text, wanted) in [
            ("1.2.3.4", "1.2.3.4"),
            (" 1.2.3.4\n", "1.2.3.4"),
            ("1.2.3.4:4711", "1.2.3.4"),
            ("2a00:1234::1", "2a00:1234::1"),
            ("[2a00:1234::1]", "2a00:1234::1"),
            ("[2a00:1234::1]:4711", "2a00:1234::1"),
            ("\"[2a00:1234::1]:4711\"", "2a00:1234::1"),
            ("2A00:1234:0:0::1", "2a00:1234::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:80", "fe80::1"),
            ("2a00:1234::1%0", "2a00:1234::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
            ("[::ffff:1.2.3.4]:80", "1.2.3.4"),
            ("::FFFF:0102:0304", "1.2.3.4"),
            // X-Forwarded-For.
            ("1.2.3.4, 5.6.7.8", "1.2.3.4"),
            ("1.2.3.4,5.6.7.8", "1.2.3.4"),
            ("10.0.0.1, 192.168.0.1, 1.2.3.4, 5.6.7.8", "1.2.3.4"),
            ("unknown, 1.2.3.4", "1.2.3.4"),
            ("-, 127.0.0.1, [2a00:1234::1]:80", "2a00:1234::1"),
            ("X-Forwarded-For: 10.0.0.1, 1.2.3.4:80", "1.2.3.4"),
            ("cf-connecting-ip:1.2.3.4", "1.2.3.4"),
            ("10.0.0.1 1.2.3.4", "1.2.3.4"),
            ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
            // RFC 7239, 4 and 6, with public addresses.
            ("for=1.2.3.4;proto=http;by=203.0.113.43", "1.2.3.4"),
            ("for=1.2.3.4, for=5.6.7.8", "1.2.3.4"),
            ("For=\"[2a00:1234:cafe::17]:4711\"", "2a00:1234:cafe::17"),
            ("by=5.6.7.8;for=1.2.3.4", "1.2.3.4"),
            ("by=5.6.7.8; for=1.2.3.4", "1.2.3.4"),
            (
                "for=\"_gazonk\", for=10.0.0.1:99, for=unknown, for=\"1.2.3.4:_port\", for=5.6.7.8",
                "1.2.3.4",
            ),
            (
                "Forwarded: for=10.0.0.1, FOR=\"[2a00:1234::1]\"",
                "2a00:1234::1",
            ),
        ] {
            assert_eq!(
                read(text).map(|address| address.to_string()).as_deref(),
                Some(wanted),
                "{text}"
            );
        }
        for text in [
            "",
            ",",
            "example.com",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.4/32",
            "01.2.3.4",
            "1.2.3.4:99999",
            "unknown",
            "for=unknown",
            "for=",
            "[1.2.3.4",
            "2a00:1234::1]",
            "[]",
            "%",
            "a%b]c",
            "]%[",
            "by=1.2.3.4;for=_x",
            "fade:",
            "x-real-ip:",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
