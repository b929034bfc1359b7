//! The forms of domains, addresses and URLs of people.

/// Returns whether a text names a host of at least two labels, of whichever script; `http://`
/// before it and a path behind it are let pass, as people paste them. Lengths are those of RFC
/// 1035, section 2.3.4.
pub(super) fn is_domain(text: &str) -> bool {
    let text = text.trim();
    let host = without_scheme(text)
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let letter = |c: char| {
        c.is_ascii_alphanumeric() || (!c.is_ascii() && !c.is_whitespace() && !c.is_control())
    };
    let fits = |label: &&str| {
        (1..=63).contains(&label.chars().count())
            && label.chars().all(|c| letter(c) || c == '-' || c == '_')
            && label.starts_with(letter)
            && label.ends_with(letter)
    };
    // A last label of digits alone is an address.
    let top = labels
        .last()
        .is_some_and(|top| !top.bytes().all(|b| b.is_ascii_digit()));
    labels.len() >= 2 && host.chars().count() <= 253 && top && labels.iter().all(fits)
}

/// Returns whether a text is an address that mail can go to, as far as its form tells. Lengths are
/// those of RFC 5321, section 4.5.3.1, and its erratum 1690.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    (1..=64).contains(&local.chars().count())
        && text.chars().count() <= 254
        && !local.contains(odd)
        && !domain.contains([':', '/', '?', '#'])
        && !domain.contains(odd)
        && is_domain(domain)
}

/// Returns whether a text is the URL of a person on `LinkedIn` or its Sales Navigator; the scheme
/// may be missing.
pub(super) fn is_linkedin_profile(text: &str) -> bool {
    let (host, path) = without_scheme(text.trim())
        .split_once('/')
        .unwrap_or_default();
    let host = host.to_ascii_lowercase();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    let person = match segments[..] {
        ["in" | "pub", name, ..] | ["sales", "lead" | "people", name, ..] => {
            !name.is_empty() && !name.contains(char::is_whitespace)
        }
        _ => false,
    };
    let country =
        |sub: &str| !sub.is_empty() && sub.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    person && (host == "linkedin.com" || host.strip_suffix(".linkedin.com").is_some_and(country))
}

fn without_scheme(text: &str) -> &str {
    let scheme = ["https://", "http://"].into_iter().find(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    &text[scheme.map_or(0, str::len)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_told_from_what_is_none() {
        let label = "a".repeat(63);
        for good in [
            "example.com",
            "WWW.Example.CO.UK",
            "a-b_c.example",
            "münchen.example",
            "xn--mnchen-3ya.example",
            "例え.テスト",
            " example.com ",
            "https://example.com",
            "HTTP://example.com/about?x#y",
            "1.example",
            &format!("{label}.example"),
        ] {
            assert!(is_domain(good), "{good}");
        }
        for bad in [
            "",
            "example",
            "exa mple.com",
            ".example.com",
            "example..com",
            "example.com.",
            "-a.example",
            "a-.example",
            "1.2.3.4",
            "a@b.example",
            "example.com:443",
            "ftp://example.com",
            "http://",
            "a.b\u{a0}c",
            "a,b.example",
            &format!("a{label}.example"),
            &format!("{}example", "abcdefgh.".repeat(28)),
        ] {
            assert!(!is_domain(bad), "{bad}");
        }
    }

    #[test]
    fn people_on_linkedin_are_told_from_companies_and_other_hosts() {
        for good in [
            "https://www.linkedin.com/in/demoge",
            "http://LinkedIn.com/in/demoge/",
            "fr.linkedin.com/in/j%C3%A9r%C3%B4me?trk=1#x",
            "https://www.linkedin.com/in/ACwAACLLwaIBKi655883b",
            "https://www.linkedin.com/sales/lead/ACw,NAME_SEARCH,x",
            "https://www.linkedin.com/sales/people/ACw",
            "https://www.linkedin.com/pub/x/1/2/3",
        ] {
            assert!(is_linkedin_profile(good), "{good}");
        }
        for bad in [
            "",
            "demoge",
            "linkedin.com",
            "https://www.linkedin.com/in/",
            "https://www.linkedin.com/in/?x=1",
            "https://www.linkedin.com/company/x",
            "https://linkedin.com.evil.example/in/x",
            "https://evillinkedin.com/in/x",
            "https://evil.example/@www.linkedin.com/in/x",
            "https://evil.example?.linkedin.com/in/x",
            "ftp://linkedin.com/in/x",
            "https://www.linkedin.com/in/two words",
        ] {
            assert!(!is_linkedin_profile(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_are_told_from_what_is_none() {
        for good in [
            "a@b.example",
            "John.Snow+x@mail.example.co.uk",
            "ü@münchen.example",
            &format!("{}@b.example", "a".repeat(64)),
        ] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "@b.example",
            "a@",
            "a b@c.example",
            "a@b@c.example",
            "a@https://b.example",
            "a@b.example/x",
            " a@b.example",
            "a@b.example ",
            &format!("{}@b.example", "a".repeat(65)),
            &format!("{}@{}example", "a".repeat(60), "abcdefg.".repeat(24)),
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
