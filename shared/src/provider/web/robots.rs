//! robots.txt, by RFC 9309.
//!
//! Our own: of the crates, the one that is a port of Google's matcher has had no release since 2020, and the other brings
//! two parsers along for these rules.

/// What is read of a robots.txt, in bytes. The least that section 2.5 asks for.
pub(super) const MAX_ROBOTS_BYTES: usize = 500 * 1024;

/// What a robots.txt says to one crawler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Robots {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allow: bool,
    /// In the form of [`canonical`], with `*` and a `$` at its end as they are.
    pattern: Vec<u8>,
}

impl Robots {
    /// The rules for the crawler of this product token: those of every group that names it, else of every group for `*`.
    pub(super) fn parse(text: &str, product: &str) -> Self {
        let (mut named, mut any) = (Vec::new(), Vec::new());
        let mut has_own = false;
        // What the group that is being read is for, and whether its first rule came.
        let (mut for_us, mut for_any, mut begun) = (false, false, false);
        for line in text.trim_start_matches('\u{feff}').split(['\n', '\r']) {
            let line = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "user-agent" => {
                    if begun {
                        (for_us, for_any, begun) = (false, false, false);
                    }
                    let token_end = value.find(|c: char| !c.is_ascii_alphabetic() && c != '-' && c != '_');
                    let token = &value[..token_end.unwrap_or(value.len())];
                    for_us |= token.eq_ignore_ascii_case(product);
                    for_any |= value.starts_with('*');
                    has_own |= for_us;
                }
                key @ ("allow" | "disallow") => {
                    begun = true;
                    // An empty value is no rule.
                    if value.is_empty() {
                        continue;
                    }
                    let rule = Rule { allow: key == "allow", pattern: canonical(value) };
                    if for_us {
                        named.push(rule);
                    } else if for_any {
                        any.push(rule);
                    }
                }
                _ => {}
            }
        }
        Self { rules: if has_own { named } else { any } }
    }

    /// Whether a path with its query may be fetched: the longest rule that matches says so, `allow` among equals.
    pub(super) fn allow(&self, path: &str) -> bool {
        if path == "/robots.txt" {
            return true;
        }
        let path = canonical(path);
        let matching = self.rules.iter().filter(|rule| matches(&rule.pattern, &path));
        matching.max_by_key(|rule| (rule.pattern.len(), rule.allow)).is_none_or(|rule| rule.allow)
    }
}

/// Octets in one spelling, so that `%7e`, `%7E` and `~` are equal and `ü` is `%C3%BC` (section 2.2.2).
fn canonical(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| hex::decode(bytes.get(at + 1..at + 3)?).ok()).flatten();
        match (escaped.as_deref(), bytes[at]) {
            (Some([byte]), _) if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => out.push(*byte),
            (Some([byte]), _) => escape(*byte, &mut out),
            (_, byte) if byte.is_ascii_graphic() => out.push(byte),
            (_, byte) => escape(byte, &mut out),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("%{byte:02X}").as_bytes());
}

/// Whether a pattern matches a beginning of the path, or with `$` at its end the whole of it.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (pattern, whole) = pattern.strip_suffix(b"$").map_or((pattern, false), |p| (p, true));
    let mut parts = pattern.split(|b| *b == b'*');
    let Some(mut rest) = parts.next().and_then(|first| path.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let Some(at) = find(rest, part) else { return false };
            rest = &rest[at + part.len()..];
        }
    }
    match (last, whole) {
        (None, whole) => !whole || rest.is_empty(),
        (Some(last), true) => rest.ends_with(last),
        (Some(last), false) => find(rest, last).is_some(),
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() { Some(0) } else { text.windows(part.len()).position(|window| window == part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: &str, path: &str) -> bool {
        Robots::parse(text, "Millrace").allow(path)
    }

    #[test]
    fn groups_are_chosen_by_product_token_and_merged() {
        let text = "# ours\nUser-Agent: other\nDisallow: /\n\nuser-agent: MILLRACE/2.0\nuser-agent: third\nDisallow: /private\n\
                    Sitemap: https://a.example/s.xml\nUser-agent: *\nDisallow: /\nUser-agent: millrace\nAllow: /private/ok\n";
        assert!(allows(text, "/") && allows(text, "/private/ok/x"));
        assert!(!allows(text, "/private") && !allows(text, "/private/x"));
        assert!(!Robots::parse(text, "Fourth").allow("/"), "everybody else is under *");
        assert!(Robots::parse(text, "Fourth").allow("/robots.txt"));
        assert!(!allows("User-agent: *\rDisallow: /", "/"), "lines may end with CR alone");
        assert!(!allows("\u{feff}user-agent : *\ndisallow : / # all", "/"));
        assert!(allows("User-agent: millrace-images\nDisallow: /", "/"), "another product");
        assert!(allows("User-agent: millrace\nUser-agent: *\nDisallow:\n", "/"), "an empty rule forbids nothing");
        assert!(allows("User-agent: *\nDisallow: /\nUser-agent: millrace\n", "/"), "a group of ours without a rule");
        assert!(allows("Disallow: /\n<html>nothing: to see</html>", "/"), "rules of no group are nobody's");
    }

    /// The table of section 2.2.2 and 5 of RFC 9309, and Google's documented examples.
    #[test]
    fn the_longest_match_decides() {
        for (rules, path, wanted) in [
            ("allow: /p\ndisallow: /", "/page", true),
            ("allow: /folder\ndisallow: /folder", "/folder/page", true),
            ("allow: /page\ndisallow: /*.htm", "/page.htm", false),
            ("allow: /$\ndisallow: /", "/", true),
            ("allow: /$\ndisallow: /", "/page.htm", false),
            ("disallow: *.gif$\nallow: /publications/", "/publications/x.gif", true),
            ("disallow: *.gif$", "/x.gif", false),
            ("disallow: *.gif$", "/x.gif?y", true),
            ("disallow: /fish*.php", "/fishheads/catfish.php?id=1", false),
            ("disallow: /fish*.php", "/Fish.PHP", true),
            ("disallow: /a*b*c$", "/abxcbc", false),
            ("disallow: /a*b*c$", "/abxcb", true),
            ("disallow: /foo/bar?baz=https://foo.bar", "/foo/bar?baz=https://foo.bar", false),
            ("disallow: /foo/bar/\u{30c4}", "/foo/bar/%E3%83%84", false),
            ("disallow: /foo/bar/%62%61%7a", "/foo/bar/baz", false),
            ("disallow: /foo/bar/%2f", "/foo/bar/%2F", false),
            ("disallow: /%zz", "/%zz", false),
        ] {
            assert_eq!(allows(&format!("user-agent: *\n{rules}"), path), wanted, "{rules:?} {path}");
        }
    }

    #[test]
    fn hostile_patterns_end() {
        let text = format!("user-agent: *\ndisallow: /{}b$\n", "a*".repeat(200_000));
        assert!(allows(&text, &format!("/{}", "a".repeat(1000))));
    }
}
