//! Host names, and the registrable domain of one by the Public Suffix List
//! (<https://publicsuffix.org/list/>).

use std::cmp::Ordering;

/// Comments, an empty line, then one rule a line in byte order. See `infra/data/make_suffixes.py`.
static LIST: &str = include_str!("public_suffixes.txt");

/// Returns the host of a domain name as people write it: `HTTPS://www.Bücher.example./path` gives
/// `xn--bcher-kva.example`. The error says what the value is instead.
pub(super) fn host(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("is an e-mail address or holds a user name, not a domain");
    }
    let authority = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.chars().all(|c| c.is_ascii_digit()) => {
            host
        }
        _ => authority,
    };
    let authority = authority.strip_suffix('.').unwrap_or(authority);
    let host = a_labels(authority)?;
    match host.strip_prefix("www.") {
        Some(bare) if bare.contains('.') => Ok(bare.to_owned()),
        _ => Ok(host),
    }
}

/// Returns a bare domain name in its ASCII form (A-labels), in lower case, with a dot in it.
pub(super) fn a_labels(name: &str) -> Result<String, &'static str> {
    let host = match url::Host::parse(name) {
        Ok(url::Host::Domain(host)) => host,
        Ok(_) => return Err("is an IP address, not a domain"),
        Err(_) => return Err("is not a domain name"),
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() > 253 || !host.contains('.') || !host.split('.').all(label) {
        return Err("is not a domain name");
    }
    Ok(host)
}

/// Returns a host and its parents down to the registrable domain. Not further: `anybody.github.io`
/// is not `github.io`'s.
pub(super) fn parents(host: &str) -> impl Iterator<Item = &str> {
    let last = registrable(host).unwrap_or(host).len();
    std::iter::successors(Some(host), |rest| {
        rest.split_once('.').map(|(_, parent)| parent)
    })
    .take_while(move |rest| rest.len() >= last)
}

/// Returns the registrable domain of a host: `news.shop.example.co.uk` gives `example.co.uk`.
/// `None` for a public suffix itself.
pub(super) fn registrable(host: &str) -> Option<&str> {
    let suffix = public_suffix(host);
    let owner = host.strip_suffix(suffix)?.strip_suffix('.')?;
    let start = owner.rfind('.').map_or(0, |dot| dot + 1);
    Some(&host[start..])
}

/// The labels of the longest rule of the list.
const LONGEST_RULE: usize = 7;

/// Returns the longest rule that matches, by the list's algorithm; the last label if none does.
fn public_suffix(host: &str) -> &str {
    let mut rest = host
        .rmatch_indices('.')
        .nth(LONGEST_RULE - 1)
        .map_or(host, |(dot, _)| &host[dot + 1..]);
    loop {
        let parent = rest.split_once('.').map(|(_, parent)| parent);
        let Some(parent) = parent else { return rest };
        if listed(&format!("!{rest}")) {
            return parent;
        }
        if listed(rest) || listed(&format!("*.{parent}")) {
            return rest;
        }
        rest = parent;
    }
}

/// Returns whether the list has a rule, such as `com` or `co.uk`.
pub(super) fn listed(rule: &str) -> bool {
    line_of(LIST, |line| rule.cmp(line)).is_some()
}

/// Returns the line that is sought, after a list's first empty one. `is_at` compares a line with
/// the sought one.
pub(super) fn line_of<'l>(list: &'l str, is_at: impl Fn(&'l str) -> Ordering) -> Option<&'l str> {
    let mut lines = list.split_once("\n\n").map_or(list, |(_, lines)| lines);
    while !lines.is_empty() {
        let middle = lines.len() / 2;
        let start = lines.as_bytes()[..middle]
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        let line = lines[start..].split('\n').next().unwrap_or_default();
        match is_at(line) {
            Ordering::Equal => return Some(line),
            Ordering::Less => lines = &lines[..start],
            Ordering::Greater => lines = lines.get(start + line.len() + 1..).unwrap_or_default(),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_as_people_write_them() {
        for (text, wanted) in [
            ("stripe.com", "stripe.com"),
            ("  STRIPE.com. ", "stripe.com"),
            ("https://www.stripe.com/jobs?x=1#y", "stripe.com"),
            ("http://shop.example.co.uk:8443", "shop.example.co.uk"),
            ("www.com", "www.com"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_domain() {
        let long = format!("{}.com", "a".repeat(64));
        for text in [
            "",
            " ",
            "localhost",
            "stripe",
            "a@b.com",
            "10.0.0.1",
            "[::1]",
            "0x7f.1",
            "a b.com",
            "a..com",
            "-a.com",
            "a_b .com",
            "http://",
            "a%0d%0ab.com",
            "a\r\nb.com",
            "..",
            &long,
        ] {
            assert!(host(text).is_err(), "{text:?} gave {:?}", host(text));
        }
    }

    /// From the list's own test data (`test_psl.txt`), which is in the public domain.
    #[test]
    fn finds_registrable_domains() {
        for (host, wanted) in [
            ("news.shop.example.co.uk", Some("example.co.uk")),
            ("example.com", Some("example.com")),
            ("com", None),
            ("co.uk", None),
            ("example.example", Some("example.example")),
            ("b.c.mm", Some("b.c.mm")),
            ("a.b.c.mm", Some("b.c.mm")),
            ("c.mm", None),
            ("test.ck", None),
            ("b.test.ck", Some("b.test.ck")),
            ("www.ck", Some("www.ck")),
            ("www.www.ck", Some("www.ck")),
            ("city.kobe.jp", Some("city.kobe.jp")),
            ("www.city.kobe.jp", Some("city.kobe.jp")),
            ("a.b.ide.kyoto.jp", Some("b.ide.kyoto.jp")),
            ("xn--85x722f.com.cn", Some("xn--85x722f.com.cn")),
            (
                "www.xn--85x722f.xn--55qx5d.cn",
                Some("xn--85x722f.xn--55qx5d.cn"),
            ),
            ("foo.github.io", Some("foo.github.io")),
            ("unknown-0001.example", Some("unknown-0001.example")),
            // The longest rule, below many labels more.
            (
                "a.b.c.x.001.test.code-builder-stg.platform.salesforce.com",
                Some("c.x.001.test.code-builder-stg.platform.salesforce.com"),
            ),
            ("x.001.test.code-builder-stg.platform.salesforce.com", None),
        ] {
            assert_eq!(registrable(host), wanted, "{host}");
        }
    }

    #[test]
    fn every_rule_of_the_list_is_found_and_sorted() {
        let (_, rules) = LIST.split_once("\n\n").unwrap();
        let mut before = "";
        for rule in rules.lines() {
            assert!(before < rule, "{rule} is out of order");
            assert!(listed(rule), "{rule}");
            before = rule;
        }
        assert_eq!(
            rules.lines().map(|rule| rule.split('.').count()).max(),
            Some(LONGEST_RULE)
        );
        assert!(!listed("zzzzzz") && !listed("") && !listed("!"));
    }
}
