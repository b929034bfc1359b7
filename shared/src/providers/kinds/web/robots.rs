//! robots.txt, by RFC 9309 and, where that leaves it open, as Google's parser reads it.
//!
//! The parser is our own, because no crate passes the RFC's examples: `robotxt` 0.7 fails those of
//! sections 2.2.2 and 2.2.3 (`%2A`, `%24`, reserved characters) and names with a version,
//! `robotstxt` is Google's matcher as of 2020, which compares escapes as they are spelled, and
//! `texting_robots` depends on `nom` and `regex`.

/// The most of a robots.txt that is read, in bytes. The least that section 2.5 asks for.
pub(super) const MAX_ROBOTS_BYTES: usize = 500 * 1024;
/// The most of a line that is read, in bytes, as Google does.
const MAX_LINE: usize = 8 * 2083 - 1;

/// The rules of a robots.txt for one crawler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Robots {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allow: bool,
    /// The pattern in the form of [`canonical`], with `*` and a `$` at its end as they are.
    pattern: Vec<Octet>,
}

/// An octet and its spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Octet {
    byte: u8,
    spelling: Spelling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Plain,
    Escaped,
    /// Of a path alone: both spellings are the same here.
    Either,
}

const ANY: Octet = Octet {
    byte: b'*',
    spelling: Spelling::Plain,
};
const END: Octet = Octet {
    byte: b'$',
    spelling: Spelling::Plain,
};

impl Octet {
    /// Returns whether an octet of a pattern is this one of a path.
    fn is(self, path: Self) -> bool {
        self.byte == path.byte
            && (path.spelling == Spelling::Either || self.spelling == path.spelling)
    }

    /// Returns the length of its spelling.
    fn len(self) -> usize {
        if self.spelling == Spelling::Escaped {
            3
        } else {
            1
        }
    }
}

impl Rule {
    fn new(allow: bool, pattern: &str) -> Self {
        Self {
            allow,
            pattern: canonical(pattern, true),
        }
    }

    fn len(&self) -> usize {
        self.pattern.iter().map(|octet| octet.len()).sum()
    }
}

impl Robots {
    /// Returns the rules for the crawler of this product token: those of every group that names it,
    /// else of every group for `*`.
    pub(super) fn parse(text: &str, product: &str) -> Self {
        let (mut named, mut any) = (Vec::new(), Vec::new());
        let mut has_own = false;
        // The crawlers of the present group, and whether its first rule came.
        let (mut for_us, mut for_any, mut begun) = (false, false, false);
        // The rest of a broken byte order mark is not text.
        for line in text
            .trim_start_matches(['\u{feff}', '\u{fffd}'])
            .split(['\n', '\r'])
        {
            let line = &line[..line.floor_char_boundary(MAX_LINE)];
            let line = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line.split_once(':').or_else(|| two_words(line)) else {
                continue;
            };
            let value = value.trim();
            let allow = match key.trim().to_ascii_lowercase().as_str() {
                "user-agent" | "useragent" | "user agent" => {
                    if begun {
                        (for_us, for_any, begun) = (false, false, false);
                    }
                    let token_end =
                        value.find(|c: char| !c.is_ascii_alphabetic() && c != '-' && c != '_');
                    let token = &value[..token_end.unwrap_or(value.len())];
                    for_us |= token.eq_ignore_ascii_case(product);
                    for_any |= value.split_whitespace().next() == Some("*");
                    has_own |= for_us;
                    continue;
                }
                "allow" => true,
                "disallow" | "dissallow" | "dissalow" | "disalow" | "diasllow" | "disallaw" => {
                    false
                }
                _ => continue,
            };
            begun = true;
            let rules = match (for_us, for_any) {
                // An empty value is not a rule.
                _ if value.is_empty() => continue,
                (true, _) => &mut named,
                (false, true) => &mut any,
                (false, false) => continue,
            };
            rules.push(Rule::new(allow, value));
            // A site that allows the index allows the directory.
            if let Some(at) = value
                .rfind('/')
                .filter(|at| allow && value[*at..].starts_with("/index.htm"))
            {
                rules.push(Rule::new(allow, &format!("{}$", &value[..=at])));
            }
        }
        Self {
            rules: if has_own { named } else { any },
        }
    }

    /// Returns whether a path with its query may be fetched: the longest rule that matches decides,
    /// `allow` among equals.
    pub(super) fn allow(&self, path: &str) -> bool {
        if path == "/robots.txt" {
            return true;
        }
        let path = canonical(path, false);
        let matching = self
            .rules
            .iter()
            .filter(|rule| matches(&rule.pattern, &path));
        matching
            .max_by_key(|rule| (rule.len(), rule.allow))
            .is_none_or(|rule| rule.allow)
    }
}

/// Returns key and value if the colon was forgotten.
fn two_words(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    let pair = (words.next()?, words.next()?);
    words.next().is_none().then_some(pair)
}

/// Returns octets in one spelling, so that `%7e`, `%7E` and `~` are equal, `ü` is `%C3%BC` (section
/// 2.2.2), and `%2A` is a `*` of the path (section 2.2.3). A separator whose escape has another
/// meaning keeps its spelling. Where it does not separate (`/` in a query, `&` before it), a path
/// has it in either. A pattern does not show where its query begins: the path that it is compared
/// with does.
fn canonical(text: &str, is_pattern: bool) -> Vec<Octet> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let (mut at, mut in_query) = (0, false);
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| hex::decode(bytes.get(at + 1..at + 3)?).ok())
            .flatten();
        let escaped = escaped.and_then(|octets| octets.first().copied());
        let byte = escaped.unwrap_or(bytes[at]);
        let plain = match (escaped, byte) {
            (Some(_), b'*' | b'$' | b'#' | b'/' | b'?' | b'&' | b'=' | b'+') | (_, b'%') => false,
            (None, b'*') => is_pattern,
            (None, b'$') => is_pattern && at + 1 == bytes.len(),
            (_, byte) => byte.is_ascii_graphic(),
        };
        let separates = match byte {
            b'/' | b'?' => !in_query,
            b'&' | b'=' | b'+' => in_query,
            _ => true,
        };
        let spelling = match plain {
            _ if !is_pattern && !separates => Spelling::Either,
            true => Spelling::Plain,
            false => Spelling::Escaped,
        };
        out.push(Octet { byte, spelling });
        in_query |= bytes[at] == b'?';
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}

/// Returns whether a pattern matches the beginning of the path, or with `$` at its end the whole of
/// it.
fn matches(pattern: &[Octet], path: &[Octet]) -> bool {
    let (pattern, whole) = pattern
        .strip_suffix(&[END])
        .map_or((pattern, false), |p| (p, true));
    let mut parts = pattern.split(|octet| *octet == ANY);
    let Some(mut rest) = parts
        .next()
        .filter(|first| begins(path, first))
        .map(|first| &path[first.len()..])
    else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let Some(at) = find(rest, part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
    }
    match (last, whole) {
        (None, whole) => !whole || rest.is_empty(),
        (Some(last), true) => {
            rest.len() >= last.len() && begins(&rest[rest.len() - last.len()..], last)
        }
        (Some(last), false) => find(rest, last).is_some(),
    }
}

fn begins(path: &[Octet], part: &[Octet]) -> bool {
    path.len() >= part.len() && part.iter().zip(path).all(|(octet, path)| octet.is(*path))
}

fn find(path: &[Octet], part: &[Octet]) -> Option<usize> {
    if part.is_empty() {
        Some(0)
    } else {
        path.windows(part.len())
            .position(|window| begins(window, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: &str, path: &str) -> bool {
        Robots::parse(text, "Millrace").allow(path)
    }

    #[test]
    fn groups_are_chosen_by_product_token_and_merged() {
        let text = "# ours\nUser-Agent: other\nDisallow: /\n\nuser-agent: MILLRACE/2.0\n\
                    user-agent: third\nDisallow: /private\n\
                    Sitemap: https://a.example/s.xml\nUser-agent: *\nDisallow: /\n\
                    User-agent: millrace\nAllow: /private/ok\n";
        assert!(allows(text, "/") && allows(text, "/private/ok/x"));
        assert!(!allows(text, "/private") && !allows(text, "/private/x"));
        assert!(
            !Robots::parse(text, "Fourth").allow("/"),
            "everybody else is under *"
        );
        assert!(Robots::parse(text, "Fourth").allow("/robots.txt"));
        assert!(
            !allows("User-agent: *\rDisallow: /", "/"),
            "lines may end with CR alone"
        );
        assert!(!allows("\u{feff}user-agent : *\ndisallow : / # all", "/"));
        assert!(
            allows("User-agent: millrace-images\nDisallow: /", "/"),
            "another product"
        );
        assert!(
            allows("User-agent: millrace\nUser-agent: *\nDisallow:\n", "/"),
            "an empty rule forbids nothing"
        );
        assert!(
            allows("User-agent: *\nDisallow: /\nUser-agent: millrace\n", "/"),
            "a group of ours without a rule"
        );
        assert!(
            allows("Disallow: /\n<html>nothing: to see</html>", "/"),
            "rules outside of a group are ignored"
        );
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
            (
                "disallow: *.gif$\nallow: /publications/",
                "/publications/x.gif",
                true,
            ),
            ("disallow: *.gif$", "/x.gif", false),
            ("disallow: *.gif$", "/x.gif?y", true),
            ("disallow: /fish*.php", "/fishheads/catfish.php?id=1", false),
            ("disallow: /fish*.php", "/Fish.PHP", true),
            ("disallow: /a*b*c$", "/abxcbc", false),
            ("disallow: /a*b*c$", "/abxcb", true),
            (
                "disallow: /foo/bar?baz=https://foo.bar",
                "/foo/bar?baz=https://foo.bar",
                false,
            ),
            ("disallow: /foo/bar/\u{30c4}", "/foo/bar/%E3%83%84", false),
            ("disallow: /foo/bar/%62%61%7a", "/foo/bar/baz", false),
            ("disallow: /foo/bar/%2f", "/foo/bar/%2F", false),
            ("disallow: /%zz", "/%zz", false),
        ] {
            assert_eq!(
                allows(&format!("user-agent: *\n{rules}"), path),
                wanted,
                "{rules:?} {path}"
            );
        }
    }

    /// Sections 2.2.2 and 2.2.3.
    #[test]
    fn octets_are_compared_in_one_spelling() {
        for (rule, path, wanted) in [
            ("/foo/bar?baz=quz", "/foo/bar?baz=quz", false),
            (
                "/foo/bar?baz=https://foo.bar",
                "/foo/bar?baz=https%3A%2F%2Ffoo.bar",
                false,
            ),
            (
                "/foo/bar?baz=https%3a%2f%2ffoo.bar",
                "/foo/bar?baz=https://foo.bar",
                false,
            ),
            ("/foo/bar/\u{30c4}", "/foo/bar/%E3%83%84", false),
            ("/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", false),
            ("/foo/bar/%62%61%7A", "/foo/bar/baz", false),
            ("/foo/bar/%62%61%7A", "/foo/bar/%62%61%7a", false),
            (
                "/path/file-with-a-%2A.html",
                "/path/file-with-a-*.html",
                false,
            ),
            (
                "/path/file-with-a-%2A.html",
                "/path/file-with-a-%2a.html",
                false,
            ),
            (
                "/path/file-with-a-%2A.html",
                "/path/file-with-a-x.html",
                true,
            ),
            (
                "/path/file-with-a-*.html",
                "/path/file-with-a-*.html",
                false,
            ),
            ("/path/foo-%24", "/path/foo-$", false),
            ("/path/foo-%24", "/path/foo-$bar", false),
            ("/path/foo-%24", "/path/foo-", true),
            ("/path/foo-%24$", "/path/foo-$bar", true),
            ("/path/foo-$", "/path/foo-", false),
            ("/path/foo-$", "/path/foo-$", true),
            ("/this/path/exactly$", "/this/path/exactly", false),
            ("/this/path/exactly$", "/this/path/exactly/not", true),
            ("/this/*/exactly", "/this/or/that/exactly", false),
            ("/a$b", "/a$b/c", false),
            ("/a$b", "/a", true),
            // A separator differs from its escape.
            ("/a%2Fb", "/a/b", true),
            ("/a%3Fb", "/a?b", true),
            ("/a?b%26c", "/a?b&c", true),
            ("/a?b%3Dc", "/a?b=c", true),
            ("/a%3Bb", "/a;b", false),
            // A rule that is spelled as the path forbids it, wherever the query begins.
            ("/a%2Fb", "/a%2fb", false),
            ("/*url=http%3A%2F%2F", "/go?url=http%3A%2F%2Fx", false),
            ("/*url=http%3A%2F%2F", "/go?url=http://x", false),
            ("/*url=http://", "/go?url=http%3A%2F%2Fx", false),
            ("/*%26print", "/a?b%26print", false),
            ("/*%26print", "/a?b&print", true),
            ("/*%26print", "/a&print", false),
            ("*%2Fsecret", "/x?p=%2Fsecret", false),
            ("*%2Fsecret", "/x%2Fsecret", false),
            ("*%2Fsecret", "/x/secret", true),
            ("/*a=b%2Bc", "/x?a=b%2Bc", false),
            ("/*a=b%2Bc", "/x?a=b+c", true),
            ("/*%3Fq$", "/x?y=%3Fq", false),
            ("/*%3Fq$", "/x?q", true),
            ("/*?q", "/x?y=%3Fq", false),
            ("/a%3Db*%2Fc%3D", "/a=b/d?e=%2Fc%3Df", false),
            ("/100%", "/100%25", false),
            ("/100%25", "/100%25", false),
        ] {
            assert_eq!(
                allows(&format!("user-agent: *\ndisallow: {rule}"), path),
                wanted,
                "{rule} {path}"
            );
        }
    }

    /// Section 5.1.
    #[test]
    fn the_simple_example_of_the_rfc() {
        let text = "User-Agent: *\nDisallow: *.gif$\nDisallow: /example/\nAllow: /publications/\n\n\
                    User-Agent: foobot\nDisallow:/\nAllow:/example/page.html\n\
                    Allow:/example/allowed.gif\n\n\
                    User-Agent: barbot\nUser-Agent: bazbot\nDisallow: /example/page.html\n\n\
                    User-Agent: quxbot\n";
        for (agent, path, wanted) in [
            ("other", "/", true),
            ("other", "/example/page.html", false),
            ("other", "/a.gif", false),
            ("other", "/publications/a", true),
            ("foobot", "/", false),
            ("FooBot", "/example/page.html", true),
            ("foobot", "/example/allowed.gif", true),
            ("foobot", "/publications/", false),
            ("barbot", "/example/page.html", false),
            ("bazbot", "/example/page.html", false),
            ("BAZBOT", "/example/other.gif", true),
            ("quxbot", "/example/page.html", true),
        ] {
            assert_eq!(
                Robots::parse(text, agent).allow(path),
                wanted,
                "{agent} {path}"
            );
        }
        // Section 5.2.
        let text =
            "User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n";
        assert!(!Robots::parse(text, "foobot").allow("/example/page/disallowed.gif"));
        assert!(Robots::parse(text, "foobot").allow("/example/page/other.gif"));
    }

    /// The cases of Google's parser's own tests, but where the RFC's own examples say otherwise
    /// (`%62`) or a path is not a path.
    #[test]
    fn robots_are_read_as_googles_parser_does() {
        let groups = "allow: /foo/bar/\n\nuser-agent: FooBot\ndisallow: /\nallow: /x/\n\
                      user-agent: BarBot\ndisallow: /\n\
                      allow: /y/\n\n\nallow: /w/\nuser-agent: BazBot\n\nuser-agent: FooBot\n\
                      allow: /z/\ndisallow: /\n";
        for (agent, path, wanted) in [
            ("FooBot", "/x/b", true),
            ("FooBot", "/z/d", true),
            ("FooBot", "/y/c", false),
            ("BarBot", "/y/c", true),
            ("BarBot", "/w/a", true),
            ("BarBot", "/z/d", false),
            ("BazBot", "/z/d", true),
            ("FooBot", "/foo/bar/", false),
            ("BarBot", "/foo/bar/", false),
            ("BazBot", "/foo/bar/", false),
        ] {
            assert_eq!(
                Robots::parse(groups, agent).allow(path),
                wanted,
                "{agent} {path}"
            );
        }
        for (text, agent, path, wanted) in [
            ("", "FooBot", "/", true),
            ("user-agent: FooBot\ndisallow: /\n", "", "/", true),
            ("user-agent: FooBot\ndisallow: /\n", "FooBot", "/x/y", false),
            ("foo: FooBot\nbar: /\n", "FooBot", "/x/y", true),
            ("user-agent FooBot\ndisallow /\n", "FooBot", "/x/y", false),
            (
                "User-agent: BarBot\nSitemap: https://a/s\nUser-agent: *\nDisallow: /\n",
                "BarBot",
                "/",
                false,
            ),
            (
                "User-agent: FooBot\nUnknown-Line: x\nUser-agent: *\nDisallow: /\n",
                "FooBot",
                "/",
                false,
            ),
            (
                "uSeR-aGeNt: FooBot\nAlLoW: /x/\ndIsAlLoW: /\n",
                "FooBot",
                "/x/y",
                true,
            ),
            (
                "USER-AGENT: FooBot\nALLOW: /x/\nDISALLOW: /\n",
                "FooBot",
                "/a/b",
                false,
            ),
            (
                "User-Agent: FoO bAr\nAllow: /x/\nDisallow: /\n",
                "foo",
                "/a/b",
                false,
            ),
            (
                "User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n",
                "Foo",
                "/x/y",
                true,
            ),
            (
                "User-Agent: *\nDisallow: /\nUser-Agent: Foo Bar\nAllow: /x/\nDisallow: /\n",
                "Foo Bar",
                "/x/y",
                false,
            ),
            ("user-agent: * any\ndisallow: /\n", "FooBot", "/", false),
            ("user-agent: *any\ndisallow: /\n", "FooBot", "/", true),
            (
                "user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n",
                "FooBot",
                "/x/y",
                false,
            ),
            (
                "user-agent: *\nallow: /\nuser-agent: FooBot\ndisallow: /\n",
                "BarBot",
                "/x/y",
                true,
            ),
            (
                "user-agent: FooBot\ndisallow: /X/\n",
                "FooBot",
                "/x/y",
                true,
            ),
            (
                "user-agent: FooBot\ndisallow: /x/page.html\nallow: /x/\n",
                "FooBot",
                "/x/page.html",
                false,
            ),
            (
                "user-agent: FooBot\ndisallow: \nallow: \n",
                "FooBot",
                "/x/page.html",
                true,
            ),
            (
                "user-agent: FooBot\ndisallow: /\nallow: /\n",
                "FooBot",
                "/x/page.html",
                true,
            ),
            (
                "user-agent: FooBot\ndisallow: /x\nallow: /x/\n",
                "FooBot",
                "/x",
                false,
            ),
            (
                "user-agent: FooBot\ndisallow: /x\nallow: /x/\n",
                "FooBot",
                "/x/",
                true,
            ),
            (
                "user-agent: FooBot\nallow: /x/page.\ndisallow: /*.html\n",
                "FooBot",
                "/x/page.html",
                true,
            ),
            (
                "user-agent: FooBot\nallow: /x/page.\ndisallow: /*.html\n",
                "FooBot",
                "/x/y.html",
                false,
            ),
            (
                "User-agent: *\nDisallow: /x/\nUser-agent: FooBot\nDisallow: /y/\n",
                "FooBot",
                "/x/page",
                true,
            ),
            (
                "User-agent: F\nDisallow: /foo/bar/quz\nAllow: /foo/*/qux\n",
                "F",
                "/foo/bar/quz",
                false,
            ),
            (
                "User-agent: F\n# Disallow: /\nDisallow: /foo/quz#qux\nAllow: /\n",
                "F",
                "/foo/quz",
                false,
            ),
            (
                "User-agent: F\n# Disallow: /\nDisallow: /foo/quz#qux\nAllow: /\n",
                "F",
                "/foo/bar",
                true,
            ),
            (
                "User-Agent: *\nAllow: /slash/index.html\nDisallow: /\n",
                "F",
                "/slash/",
                true,
            ),
            (
                "User-Agent: *\nAllow: /slash/index.html\nDisallow: /\n",
                "F",
                "/slash/index.htm",
                false,
            ),
            (
                "User-Agent: *\nAllow: /slash/index.html\nDisallow: /\n",
                "F",
                "/slash/index.html",
                true,
            ),
            (
                "User-Agent: *\nAllow: /slash/index.html\nDisallow: /\n",
                "F",
                "/slash/other",
                false,
            ),
            (
                "user-agent: F\ndisallow: /\nallow: /fish*\n",
                "F",
                "/fish.html?id=anything",
                true,
            ),
            (
                "user-agent: F\ndisallow: /\nallow: /fish*\n",
                "F",
                "/?id=fish",
                false,
            ),
            (
                "user-agent: F\ndisallow: /\nallow: /fish/\n",
                "F",
                "/fish/?salmon",
                true,
            ),
            (
                "user-agent: F\ndisallow: /\nallow: /fish/\n",
                "F",
                "/fish.html",
                false,
            ),
            (
                "user-agent: F\ndisallow: /\nallow: /*.php\n",
                "F",
                "/index?f=filename.php/",
                true,
            ),
            (
                "user-agent: F\ndisallow: /\nallow: /*.php\n",
                "F",
                "/index?php",
                false,
            ),
            (
                "user-agent: F\ndisallow: /\nallow: /*.php$\n",
                "F",
                "/folder/filename.php",
                true,
            ),
            (
                "user-agent: F\ndisallow: /\nallow: /*.php$\n",
                "F",
                "/filename.php5",
                false,
            ),
            (
                "user-agent: F\ndisallow: /\nallow: /*.php$\n",
                "F",
                "/filename.php?parameters",
                false,
            ),
            (
                "User-Agent: F\rAllow: /some/path\rUser-Agent: G\r\r\rDisallow: /\r",
                "G",
                "/",
                false,
            ),
            (
                "User-Agent: F\r\nAllow: /some/path\r\nUser-Agent: G\n\r\n\nDisallow: /",
                "G",
                "/",
                false,
            ),
            ("\u{feff}User-Agent: F\nDisallow: /\n", "F", "/", false),
            ("User-Agent: F\n\u{feff}Disallow: /\n", "F", "/", true),
            ("useragent: F\ndissallow: /\n", "F", "/", false),
        ] {
            assert_eq!(
                Robots::parse(text, agent).allow(path),
                wanted,
                "{text:?} {agent} {path}"
            );
        }
        for (mark, wanted) in [
            (&b"\xef\xbb"[..], false),
            (b"\xef", false),
            (b"\xef\x11\xbf", true),
        ] {
            let text = [mark, b"User-Agent: F\nDisallow: /\n"].concat();
            assert_eq!(
                Robots::parse(&String::from_utf8_lossy(&text), "F").allow("/"),
                wanted,
                "{mark:?}"
            );
        }
        let long = format!("/x/{}", "a".repeat(MAX_LINE - "disallow: /x/".len() - 1));
        let cut = format!("user-agent: F\ndisallow: {long}/qux\n");
        assert!(
            Robots::parse(&cut, "F").allow("/fux")
                && !Robots::parse(&cut, "F").allow(&format!("{long}/fux"))
        );
    }

    #[test]
    fn hostile_patterns_end() {
        let stars = "a*".repeat((MAX_LINE - "disallow: /b$".len()) / 2);
        let line = format!("disallow: /{stars}b$\n");
        let text = format!(
            "user-agent: *\n{}",
            line.repeat(MAX_ROBOTS_BYTES / line.len())
        );
        let path = format!("/{}", "a".repeat(stars.len()));
        assert!(
            allows(&text, &path) && !allows(&text, &format!("{path}b")),
            "the ends of the lines are tried"
        );
    }
}
