use ipnet::IpNet;

use super::embedded::translated;
use super::ranges::{REFUSED_V4, REFUSED_V6};
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn guard(allowed: &[&str]) -> Guard {
    on_lambda(allowed).local(true)
}

fn on_lambda(allowed: &[&str]) -> Guard {
    Guard::new(
        allowed.iter().map(|text| text.parse().unwrap()).collect(),
        PlainHttp::Always,
    )
}

/// First and last address of every refused range, and its neighbours where those are global.
const RANGES: &[(&str, &str, Option<&str>, Option<&str>)] = &[
    ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
    (
        "10.0.0.0",
        "10.255.255.255",
        Some("9.255.255.255"),
        Some("11.0.0.0"),
    ),
    (
        "100.64.0.0",
        "100.127.255.255",
        Some("100.63.255.255"),
        Some("100.128.0.0"),
    ),
    (
        "127.0.0.0",
        "127.255.255.255",
        Some("126.255.255.255"),
        Some("128.0.0.0"),
    ),
    (
        "169.254.0.0",
        "169.254.255.255",
        Some("169.253.255.255"),
        Some("169.255.0.0"),
    ),
    (
        "172.16.0.0",
        "172.31.255.255",
        Some("172.15.255.255"),
        Some("172.32.0.0"),
    ),
    (
        "192.0.0.0",
        "192.0.0.255",
        Some("191.255.255.255"),
        Some("192.0.1.0"),
    ),
    (
        "192.0.2.0",
        "192.0.2.255",
        Some("192.0.1.255"),
        Some("192.0.3.0"),
    ),
    (
        "192.88.99.0",
        "192.88.99.255",
        Some("192.88.98.255"),
        Some("192.88.100.0"),
    ),
    (
        "192.168.0.0",
        "192.168.255.255",
        Some("192.167.255.255"),
        Some("192.169.0.0"),
    ),
    (
        "198.18.0.0",
        "198.19.255.255",
        Some("198.17.255.255"),
        Some("198.20.0.0"),
    ),
    (
        "198.51.100.0",
        "198.51.100.255",
        Some("198.51.99.255"),
        Some("198.51.101.0"),
    ),
    (
        "203.0.113.0",
        "203.0.113.255",
        Some("203.0.112.255"),
        Some("203.0.114.0"),
    ),
    (
        "224.0.0.0",
        "239.255.255.255",
        Some("223.255.255.255"),
        None,
    ),
    ("240.0.0.0", "255.255.255.255", None, None),
    ("255.255.255.255", "255.255.255.255", None, None),
    ("::", "::", None, None),
    ("::1", "::1", None, None),
    ("::2", "::ffff:ffff", None, None),
    ("::ffff:0:0:0", "::ffff:0:ffff:ffff", None, None),
    (
        "64:ff9b:1::",
        "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
        None,
        None,
    ),
    ("100::", "100::ffff:ffff:ffff:ffff", None, None),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", None, None),
    (
        "::3:0:0:0",
        "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        None,
        Some("2000::"),
    ),
    (
        "2001::",
        "2001::ffff:ffff:ffff:ffff:ffff:ffff",
        Some("2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        None,
    ),
    (
        "2001:0:1::",
        "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
        None,
        Some("2001:200::"),
    ),
    (
        "2001:db8::",
        "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("2001:db7:ffff::"),
        Some("2001:db9::"),
    ),
    (
        "2002::",
        "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("2001:ffff:ffff::"),
        Some("2003::"),
    ),
    (
        "3fff::",
        "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("3ffe:ffff::"),
        Some("3fff:1000::"),
    ),
    (
        "4000::",
        "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        Some("3fff:ffff::"),
        None,
    ),
    (
        "5f00::",
        "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        None,
        None,
    ),
    (
        "fc00::",
        "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        None,
        None,
    ),
    ("fd00:ec2::254", "fd00:ec2::254", None, None),
    (
        "fe80::",
        "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        None,
        None,
    ),
    (
        "fec0::",
        "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        None,
        None,
    ),
    (
        "ff00::",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        None,
        None,
    ),
];

#[test]
fn every_special_range_is_refused_and_its_neighbours_are_not() {
    let guard = Guard::default();
    for &(first, last, before, after) in RANGES {
        assert!(!guard.permits(ip(first)), "{first} is permitted");
        assert!(!guard.permits(ip(last)), "{last} is permitted");
        for neighbour in [before, after].into_iter().flatten() {
            assert!(guard.permits(ip(neighbour)), "{neighbour} is refused");
        }
    }
    for global in [
        "1.1.1.1",
        "8.8.8.8",
        "52.95.110.1",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "2620:4f:8000::1",
    ] {
        assert!(guard.permits(ip(global)), "{global} is refused");
    }
}

#[test]
fn every_table_row_refuses_its_edges() {
    let guard = Guard::default();
    for (net, prefix) in REFUSED_V4 {
        let last =
            Ipv4Addr::from_bits(net.to_bits() | u32::MAX.checked_shr(prefix.into()).unwrap_or(0));
        assert!(
            !guard.permits(net.into()) && !guard.permits(last.into()),
            "{net}/{prefix}"
        );
    }
    for (net, prefix) in REFUSED_V6 {
        let last = Ipv6Addr::from_bits(net.to_bits() | u128::MAX >> prefix);
        assert!(
            !guard.permits(net.into()) && !guard.permits(last.into()),
            "{net}/{prefix}"
        );
    }
}

#[test]
fn an_embedded_address_is_judged_itself() {
    let guard = Guard::default();
    for refused in [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "0.0.0.0",
    ] {
        let Ok(v4) = refused.parse::<Ipv4Addr>() else {
            panic!("{refused}")
        };
        let [a, b, c, d] = v4.octets();
        for form in [
            format!("::ffff:{v4}"),
            format!("64:ff9b::{v4}"),
            format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
        ] {
            assert!(!guard.permits(ip(&form)), "{form} is permitted");
        }
    }
    assert!(guard.permits(ip("::ffff:8.8.8.8")));
    assert!(guard.permits(ip("64:ff9b::8.8.8.8")));
    assert!(
        !guard.permits(ip("::8.8.8.8")),
        "the compatible form is deprecated"
    );
    assert!(
        !guard.permits(ip("2002:808:808::1")),
        "6to4 is refused whatever it carries"
    );
    assert!(
        !guard.permits(ip("64:ff9b:1::8.8.8.8")),
        "local-use NAT64 is refused whatever it carries"
    );
}

#[test]
fn an_allowed_network_wins_over_refusal() {
    let guard = guard(&["10.1.0.0/16", "127.0.0.1", "fd00:1::/32"]);
    for permitted in [
        "10.1.2.3",
        "127.0.0.1",
        "fd00:1::5",
        "::ffff:10.1.2.3",
        "64:ff9b::10.1.2.3",
    ] {
        assert!(guard.permits(ip(permitted)), "{permitted} is refused");
    }
    for refused in [
        "10.2.0.0",
        "127.0.0.2",
        "fd00:2::1",
        "::1",
        "::10.1.2.3",
        "2002:a01:203::1",
    ] {
        assert!(!guard.permits(ip(refused)), "{refused} is permitted");
    }
}

#[test]
fn an_allowed_ipv6_network_opens_no_way_to_refused_ipv4() {
    let everything = guard(&["::/0"]);
    assert!(everything.permits(ip("fe80::1")));
    // Teredo with server 8.8.8.8 and client 10.0.0.1 (turned over), and the two the other way
    // round.
    for refused in [
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "2002:a00:1::1",
        "2001:0:808:808::f5ff:fffe",
        "2001:0:a00:1::f7f7:f7f7",
    ] {
        assert!(!everything.permits(ip(refused)), "{refused} is permitted");
    }
    for permitted in [
        "2002:808:808::1",
        "2001:0:808:808::f7f7:f7f7",
        "64:ff9b:1::8.8.8.8",
    ] {
        assert!(everything.permits(ip(permitted)), "{permitted} is refused");
    }
}

/// The examples of RFC 6052 section 2.4, each with what follows its prefix for 192.0.2.33.
const NAT64: [(&str, &str); 6] = [
    ("2001:db8::/32", "2001:db8:c000:221::"),
    ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
    ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
    ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
    ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
    ("2001:db8:122:344::/96", "2001:db8:122:344::192.0.2.33"),
];

/// The address that a translator with this prefix has for `v4`, built bit by bit as RFC 6052
/// section 2.2 draws it.
fn behind(prefix: &str, v4: &str, suffix: u128) -> IpAddr {
    let Ok(IpNet::V6(net)) = prefix.parse() else {
        panic!("{prefix}")
    };
    let (length, v4) = (
        net.prefix_len(),
        u128::from(v4.parse::<Ipv4Addr>().unwrap().to_bits()),
    );
    let bits = (0..32)
        .filter(|bit| v4 & (1 << (31 - bit)) != 0)
        .map(|bit| u32::from(length) + bit);
    // Whatever would reach bit 64 makes room for the octet there.
    let bits = bits.map(|bit| {
        if bit >= 64 && length <= 64 {
            bit + 8
        } else {
            bit
        }
    });
    let embedded: u128 = bits.map(|bit| 1 << (127 - bit)).sum();
    Ipv6Addr::from_bits(net.addr().to_bits() | embedded | suffix).into()
}

#[test]
fn nat64_is_read_at_the_length_of_its_prefix() {
    for (prefix, example) in NAT64 {
        let length = prefix.rsplit_once('/').unwrap().1.parse().unwrap();
        let IpAddr::V6(address) = ip(example) else {
            panic!("{example}")
        };
        assert_eq!(behind(prefix, "192.0.2.33", 0), ip(example), "{prefix}");
        assert_eq!(
            translated(address, length),
            Some(Ipv4Addr::new(192, 0, 2, 33)),
            "{prefix}"
        );
    }
}

#[test]
fn what_an_allowed_prefix_of_nat64_leads_to_is_judged() {
    let local_use = [
        "64:ff9b:1::/48",
        "64:ff9b:1:ab00::/56",
        "64:ff9b:1:abcd::/64",
        "64:ff9b:1:abcd::/96",
    ];
    let global = [
        "2600:1f00::/32",
        "2600:1f00:100::/40",
        "2600:1f00:122:344::/96",
    ];
    for prefix in NAT64
        .map(|(prefix, _)| prefix)
        .into_iter()
        .chain(local_use)
        .chain(global)
    {
        let (lambda, local, inside) = (
            on_lambda(&[prefix]),
            guard(&[prefix]),
            guard(&[prefix, "10.1.0.0/16"]),
        );
        for v4 in ["8.8.8.8", "1.2.3.4", "52.95.110.1", "223.255.255.254"] {
            for guard in [&lambda, &local] {
                assert!(
                    guard.permits(behind(prefix, v4, 0)),
                    "{v4} behind {prefix} is refused"
                );
            }
        }
        for v4 in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "192.168.1.1",
            "172.31.0.2",
            "100.64.0.1",
            "0.0.0.0",
        ] {
            for guard in [&lambda, &local, &inside] {
                assert!(
                    !guard.permits(behind(prefix, v4, 0)),
                    "{v4} behind {prefix} is permitted"
                );
            }
            // A translator reads no bit behind the address.
            let refused =
                v4 == "0.0.0.0" || prefix.ends_with("/96") || !local.permits(behind(prefix, v4, 1));
            assert!(refused, "{v4} behind {prefix}, with a suffix, is permitted");
        }
        assert!(
            inside.permits(behind(prefix, "10.1.2.3", 0)),
            "behind {prefix}"
        );
    }
}

#[test]
fn no_octet_u_hides_what_a_prefix_leads_to() {
    for (prefix, _) in NAT64
        .into_iter()
        .filter(|(prefix, _)| !prefix.ends_with("/96"))
    {
        for u in [1_u128, 0x0a, 0x80, 0xff] {
            let at = |v4| behind(prefix, v4, u << 56);
            for v4 in [
                "127.0.0.1",
                "10.0.0.1",
                "169.254.169.254",
                "192.168.1.1",
                "172.31.0.2",
                "100.64.0.1",
            ] {
                for guard in [on_lambda(&[prefix]), guard(&[prefix])] {
                    assert!(!guard.permits(at(v4)), "{} for {v4} is permitted", at(v4));
                }
            }
            assert!(
                on_lambda(&[prefix]).permits(at("52.95.110.1")),
                "{} is refused",
                at("52.95.110.1")
            );
        }
    }
}

#[test]
fn a_prefix_inside_an_allowed_network_is_judged_too() {
    let prefixes = [
        "fd64:1::/32",
        "fd64:1:200::/40",
        "fd64:1:203::/48",
        "fd64:1:203:400::/56",
        "fd64:1:203:405::/64",
        "fd64:1:203:405:6:7::/96",
        "64:ff9b:1::/48",
        "64:ff9b:1:400::/56",
        "64:ff9b:1:405::/64",
        "64:ff9b:1:405:6:7::/96",
    ];
    for prefix in prefixes {
        let Ok(IpNet::V6(net)) = prefix.parse() else {
            panic!("{prefix}")
        };
        let shortest = if prefix.starts_with("fd") { 0 } else { 47 };
        for wider in shortest..net.prefix_len() {
            let network = IpNet::new(net.addr().into(), wider)
                .unwrap()
                .trunc()
                .to_string();
            let (lambda, local) = (on_lambda(&[&network]), guard(&[&network]));
            for v4 in [
                "127.0.0.1",
                "10.0.0.1",
                "169.254.169.254",
                "192.168.1.1",
                "172.31.0.2",
                "100.64.0.1",
            ] {
                for guard in [&lambda, &local] {
                    assert!(
                        !guard.permits(behind(prefix, v4, 0)),
                        "{v4} behind {prefix} of {network}"
                    );
                    let suffixed = net.prefix_len() < 96 && guard.permits(behind(prefix, v4, 7));
                    assert!(
                        !suffixed,
                        "{v4} behind {prefix} of {network}, with a suffix"
                    );
                }
            }
            for v4 in ["8.8.8.8", "52.95.110.1"] {
                assert!(
                    lambda.permits(behind(prefix, v4, 0)),
                    "{v4} behind {prefix} of {network} is refused"
                );
            }
        }
    }
}

#[test]
fn a_wide_allowed_network_takes_nothing_from_global_addresses() {
    for network in ["::/0", "2000::/3", "2600::/12"] {
        for host in [
            "2606:4700:a00:1::7f00:1",
            "2600:1f18:7f00:1:a9fe:a9fe:c0a8:101",
        ] {
            assert!(
                on_lambda(&[network]).permits(ip(host)),
                "{host} is refused where {network} is allowed"
            );
        }
    }
}

#[test]
fn hosts_of_an_allowed_ipv6_network_are_no_translations() {
    for (network, host) in [
        ("fd00:1::/32", "fd00:1::5"),
        ("fd00:1::/32", "fd00:1:0:7::5"),
        ("fd00:1:2::/48", "fd00:1:2::53"),
        ("fd00:1:2:3::/64", "fd00:1:2:3::1"),
        ("fd00:1:2:3::/64", "fd00:1:2:3:a00:1ff:fe02:304"),
        ("fd00:1:2:3::/96", "fd00:1:2:3::5"),
        ("fd00::/8", "fd00:7f00:1::1"),
        ("fd00:1:2:3::a00:1/128", "fd00:1:2:3::a00:1"),
        ("fd00:1:2:3::/97", "fd00:1:2:3::a00:1"),
        ("fd00:1:2::/48", "fd00:1:2:a::1"),
        ("fd00:1:2::/48", "fd00:1:2:7f::53"),
        ("fd00:1:2::/48", "fd00:1:2:1:1c2d:3e4f:5a6b:7c8d"),
    ] {
        assert!(
            on_lambda(&[network]).permits(ip(host)),
            "{host} of {network} is refused"
        );
    }
}

#[test]
fn on_lambda_nothing_opens_the_machines_own_addresses() {
    let everything = ["0.0.0.0/0", "::/0"];
    let own = [
        "127.0.0.1",
        "127.255.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.0.0",
        "169.254.100.1",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.255.255",
        "::",
        "::1",
        "fe80::1",
        "febf:ffff::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
    ];
    for address in own {
        let lone = format!("{address}/{}", if address.contains(':') { 128 } else { 32 });
        for allowed in [
            &everything[..],
            &[lone.as_str()],
            &["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"],
        ] {
            assert!(
                !on_lambda(allowed).permits(ip(address)),
                "{address} is permitted by {allowed:?}"
            );
        }
        // Elsewhere an operator's word counts.
        assert!(
            guard(&everything).permits(ip(address)),
            "{address} is refused"
        );
    }
    for v4 in own
        .into_iter()
        .filter_map(|own| own.parse::<Ipv4Addr>().ok())
    {
        let [a, b, c, d] = v4.octets();
        for form in [
            format!("::ffff:{v4}"),
            format!("::ffff:0:{v4}"),
            format!("64:ff9b::{v4}"),
            format!("64:ff9b:1::{v4}"),
            format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
            format!("2001:0:{a:02x}{b:02x}:{c:02x}{d:02x}::f7f7:f7f7"),
            format!("2001:0:808:808::{:02x}{:02x}:{:02x}{:02x}", !a, !b, !c, !d),
        ] {
            assert!(
                !on_lambda(&everything).permits(ip(&form)),
                "{form} is permitted"
            );
        }
    }
    for url in [
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
        "http://localhost:9001/",
        "http://a.localhost/",
    ] {
        assert_eq!(
            on_lambda(&everything).check(url, true),
            Err(HttpError::Blocked),
            "{url}"
        );
        assert!(guard(&everything).check(url, true).is_ok(), "{url}");
    }
    for other in [
        "10.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "128.0.0.1",
        "fec0::1",
        "fd00:ec3::1",
        "fd00:1::1",
    ] {
        assert!(
            on_lambda(&everything).permits(ip(other)),
            "{other} is refused"
        );
    }
}

#[test]
fn plain_http_is_the_operators_to_allow_and_to_forbid() {
    for (setting, without, with) in [
        ("false", false, false),
        ("surfaces", false, true),
        ("true", true, true),
        ("0", false, false),
        ("1", true, true),
    ] {
        let guard = Guard::new(Vec::new(), setting.parse().unwrap());
        for (plain_http, taken) in [(false, without), (true, with)] {
            let checked = guard.check("http://example.com/", plain_http);
            assert_eq!(
                checked.is_ok(),
                taken,
                "{setting}, {plain_http}: {checked:?}"
            );
            assert!(guard.check("https://example.com/", plain_http).is_ok());
        }
    }
    assert_eq!(PlainHttp::default(), PlainHttp::Surfaces);
    for bad in ["", "yes", "True", "surface"] {
        assert!(bad.parse::<PlainHttp>().is_err(), "{bad}");
    }
}

#[test]
fn networks_are_read_strictly() {
    assert_eq!(
        "10.1.2.3/8".parse::<Cidr>(),
        Err(BadCidr::HostBits("10.1.2.3/8".into(), "10.0.0.0/8".into()))
    );
    for bad in [
        "",
        "10.0.0.0/33",
        "10.0.0/8",
        "localhost",
        "10.0.0.0/",
        "::/129",
        "10.0.0.0/8,::1",
    ] {
        assert_eq!(
            bad.parse::<Cidr>(),
            Err(BadCidr::Syntax(bad.into())),
            "{bad}"
        );
    }
    assert_eq!("::ffff:10.0.0.0/104".parse::<Cidr>(), "10.0.0.0/8".parse());
    assert_eq!("::1".parse::<Cidr>(), "::1/128".parse());
    assert_eq!(" 127.0.0.0/8 ".parse::<Cidr>(), "127.0.0.0/8".parse());
}

#[test]
fn literals_are_refused_in_every_form() {
    let guard = guard(&[]);
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7F.1",
        "017700000001",
        "0177.0.0.1",
        "00000177.0.0x1",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "0",
        "0.0.0.0",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "a.b.LocalHost.",
        "ｌocalhost",
    ] {
        for url in [
            format!("https://{host}/x"),
            format!("http://{host}:8080/x?y#z"),
        ] {
            assert_eq!(guard.check(&url, false), Err(HttpError::Blocked), "{url}");
        }
    }
    assert!(guard.check("https://8.8.8.8/", false).is_ok());
    assert!(
        guard
            .check("https://[2606:4700::1111]:8443/", false)
            .is_ok()
    );
    assert!(guard.check("https://localhost.example.com/", false).is_ok());
    assert!(guard.check("https://notlocalhost/", false).is_ok());
}

#[test]
fn unusable_urls_differ_from_blocked_ones() {
    let closed = Guard::default();
    for url in [
        "",
        "/hook",
        "hooks.example.com/x",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "https://",
        "https:///",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://:secret@example.com/",
        "https://example.com:25/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://[fe80::1%25eth0]/",
        "https://exa mple.com/",
        "https://a..example.com/",
        "https://example.com../",
        "http://example.com/",
    ] {
        assert!(
            matches!(closed.check(url, false), Err(HttpError::Url(_))),
            "{url}: {:?}",
            closed.check(url, false)
        );
    }
    let long_label = format!("https://{}.example.com/", "a".repeat(64));
    let long_name = format!("https://{}com/", "abcdefg.".repeat(32));
    let long_url = format!("https://example.com/{}", "a".repeat(MAX_URL));
    for url in [long_label, long_name, long_url] {
        assert!(
            matches!(closed.check(&url, false), Err(HttpError::Url(_))),
            "{url}"
        );
    }
}

#[test]
fn a_good_url_is_normalised_and_loses_its_fragment() {
    let checked = Guard::default()
        .check("HTTPS://Bücher.Example:443/a b?c=d#secret", false)
        .unwrap();
    assert_eq!(checked.as_str(), "https://xn--bcher-kva.example/a%20b?c=d");
    assert!(guard(&[]).check("http://example.com/", false).is_ok());
}

#[test]
fn localhost_is_what_its_addresses_are() {
    assert!(
        guard(&["127.0.0.0/8"])
            .check("http://localhost:8080/", false)
            .is_ok()
    );
    assert!(guard(&["::1"]).check("http://x.localhost./", false).is_ok());
    assert_eq!(
        guard(&["10.0.0.0/8"]).check("http://localhost/", false),
        Err(HttpError::Blocked)
    );
}
