//! One e-mail address, out of the forms that people and programs write it in.
//!
//! The syntax is that of RFC 5321 and RFC 5322 with the letters of RFC 6531 and RFC 6532: a
//! dot-atom, where every character beyond ASCII counts as one of an atom, `@`, and a domain name
//! that IDNA knows. Crates for this were tried and left: in `email_address` 0.2.9 a letter's code
//! point is held against patterns of UTF-8 bytes, so that the Devanagari virama is refused;
//! `addr-spec` 0.10.4 takes `a;b@x.com` and is built on unsafe code; `mail-parser` 0.11.9 takes
//! headers of messages apart and judges no address. None knows links, invisible marks, or quotes
//! around the whole.

use icu_normalizer::ComposingNormalizerBorrowed;
use percent_encoding::percent_decode_str;

use crate::providers::kinds::suffix;

/// The longest text that is searched for an address, in bytes: a link may contain a whole letter.
const MAX_TEXT: usize = 8192;
/// RFC 5321, 4.5.3.1.1 and 4.5.3.1.3 (a path of 256 octets has angle brackets). Octets, not
/// characters: RFC 6531, 3.3.
const MAX_LOCAL: usize = 64;
const MAX_ADDRESS: usize = 254;
/// The most pairs of quotes and brackets around an address.
const MAX_PAIRS: usize = 4;

const PAIRS: [(char, char); 18] = [
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('“', '”'),
    ('„', '“'),
    ('‘', '’'),
    ('„', '”'),
    ('”', '”'),
    ('‚', '‘'),
    ('‚', '’'),
    ('«', '»'),
    ('»', '«'),
    ('‹', '›'),
    ('›', '‹'),
    ('「', '」'),
    ('<', '>'),
    ('(', ')'),
    ('[', ']'),
];
/// Schemes before an address, which are not part of it. Exchange writes `SMTP:`.
const SCHEMES: [&str; 4] = ["smtp:", "email:", "e-mail:", "mail:"];

/// Words that lead to an address.
const TOWARDS: [&str; 5] = ["an", "at", "to", "unter", "via"];

/// The errors of [`Email::parse`] on a text without an address, on one with several, and on one
/// where words beside the address may be a part of it.
pub(crate) const WRONG: &str = "is not an e-mail address";
const SEVERAL: &str = "holds more than one e-mail address";
const BESIDE: &str = "holds more than an e-mail address: write it alone, or as Name <name@host>";

/// An e-mail address in lower case and in Unicode's form NFC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email {
    local: String,
    domain: String,
    a_labels: String,
}

impl Email {
    /// Reads an address as people write it, or as a program shows it: `jane@x.com`, `Jane
    /// <jane@x.com>`, `"Doe, Jane" <jane@x.com>`, `jane@x.com (Jane)`,
    /// `mailto:jane%40x.com?subject=Hi`, with quotes, white space, or a `;` behind it. Words beside
    /// it are skipped if none can be a piece of it: `Jane Doe jane@x.com` is read, and `jane
    /// doe@x.com` is not.
    ///
    /// At most 64 bytes before the `@`, and 254 in all with the domain as A-labels. Names in quotes
    /// (`"a b"@x.com`) are refused: no mail provider gives them.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = reported(text).ok_or(WRONG)?;
        let members: Vec<&str> = apart(&text)
            .into_iter()
            .filter(|member| !edges(member).is_empty())
            .collect();
        let found = distinct(members.iter().copied());
        match &found[..] {
            [_, _, ..] => return Err(SEVERAL),
            // Another member of the list that is not an address may be a piece of this one.
            [one]
                if members
                    .iter()
                    .all(|member| mailbox(member).as_ref() == Some(one)) =>
            {
                return Ok(one.clone());
            }
            _ => {}
        }
        mailbox(&text)
            .or_else(|| among_words(&text))
            .ok_or_else(|| match distinct(text.split(is_sign)).len() {
                0 => WRONG,
                1 => BESIDE,
                _ => SEVERAL,
            })
    }

    /// Reads every address of a list or of a `mailto:` link, in its order and none twice. Anything
    /// else is skipped.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        let Some(text) = reported(text) else {
            return Vec::new();
        };
        let all = distinct(apart(&text).into_iter());
        if all.is_empty() {
            among_words(&text).into_iter().collect()
        } else {
            all
        }
    }

    /// Returns the address itself; a domain in letters beyond ASCII stays in them.
    pub(crate) fn plain(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// Returns the part before the `@`.
    pub(crate) fn local(&self) -> &str {
        &self.local
    }

    /// Returns the part after the `@`: A-labels if it was written in ASCII, else U-labels.
    pub(crate) fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the part after the `@` as A-labels.
    pub(crate) fn a_labels(&self) -> &str {
        &self.a_labels
    }
}

/// Returns the visible text of a text or a link.
fn reported(text: &str) -> Option<String> {
    (text.len() <= MAX_TEXT).then(|| recipients(&visible(text)))?
}

/// Returns the addresses among texts, none twice.
fn distinct<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<Email> {
    let mut kept: Vec<Email> = Vec::new();
    for email in texts.filter_map(mailbox) {
        if !kept.contains(&email) {
            kept.push(email);
        }
    }
    kept
}

/// Returns a text without invisible characters, in form NFC and without white space around it.
fn visible(text: &str) -> String {
    let seen: Vec<char> = text.chars().filter(|c| !is_invisible(*c)).collect();
    let beyond = |at: Option<usize>| {
        at.and_then(|at| seen.get(at))
            .is_some_and(|c| !c.is_ascii())
    };
    let mut kept = String::with_capacity(text.len());
    for (at, &c) in seen.iter().enumerate() {
        // Persian and Indic words need them; elsewhere they were copied by accident.
        let joiner = matches!(c, '\u{200c}' | '\u{200d}');
        if !joiner || (beyond(at.checked_sub(1)) && beyond(Some(at + 1))) {
            kept.push(c);
        }
    }
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&kept);
    composed.trim().to_owned()
}

/// Returns whether a character is invisible, and does not change the letters around it: marks of
/// direction, of line breaks, and of a file's beginning. Source: Unicode,
/// `Default_Ignorable_Code_Point`, without the joiners.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
    )
}

/// Returns whether a character separates addresses.
fn is_sign(c: char) -> bool {
    c.is_whitespace() || ",;:<>()[]\"|".contains(c)
}

/// Splits a list at each `,` and `;` outside of quotes and brackets.
fn apart(text: &str) -> Vec<&str> {
    let (mut members, mut start) = (Vec::new(), 0);
    let (mut quoted, mut inside, mut escaped) = (false, 0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '<' | '(' => inside += 1,
            '>' | ')' => inside = inside.saturating_sub(1),
            ',' | ';' if inside == 0 => {
                members.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(&text[start..]);
    members
}

/// Reads the address in one mailbox of RFC 5322, with the usual text around it.
fn mailbox(text: &str) -> Option<Email> {
    let text = bare(text);
    let within = |open: char, close: char| {
        let (before, inner) = text.strip_suffix(close)?.rsplit_once(open)?;
        // `Jane <jane@x.com> Joe <joe@x.com>`
        let other = before.contains(open) && !before.contains('"');
        (inner.contains('@') && !other).then_some(inner)
    };
    if let Some(inner) = within('<', '>').or_else(|| within('[', ']')) {
        return address(inner).filter(|email| !holds_another(text, email));
    }
    // A comment is a name in older mail.
    if let Some((before, _)) = text.strip_suffix(')').and_then(|text| text.split_once('('))
        && before.contains('@')
    {
        return address(before).filter(|email| !holds_another(text, email));
    }
    if let Some((_, behind)) = text.strip_prefix('(').and_then(|text| text.split_once(')')) {
        return address(behind).filter(|email| !holds_another(text, email));
    }
    address(text)
}

/// Returns whether a text has an address beside one, but for a name in quotes.
fn holds_another(text: &str, email: &Email) -> bool {
    let unquoted = text.split('"').step_by(2);
    unquoted
        .flat_map(|text| text.split(is_sign))
        .filter_map(address)
        .any(|other| other != *email)
}

/// Returns the one address in a text with words about it. If only a blank separates them, a word
/// before may be a piece of the address, as in `jane doe@x.com`, and one behind a piece of the
/// domain, as in `jane@x.co uk`. So it is read only where that cannot be: behind a sign, behind a
/// word that announces it or is found in it, and behind a name in capitals with such a word.
fn among_words(text: &str) -> Option<Email> {
    if let Some((before, rest)) = text.split_once('<') {
        let (inner, behind) = rest.split_once('>')?;
        return address(inner).filter(|_| {
            ![before, behind]
                .iter()
                .any(|words| words.contains(['@', '<', '>']))
        });
    }
    let mut words = text.split_whitespace();
    let before: Vec<&str> = words
        .by_ref()
        .take_while(|word| !word.contains('@'))
        .collect();
    let address = text.split_whitespace().nth(before.len())?;
    let behind: Vec<&str> = text.split_whitespace().skip(before.len() + 1).collect();
    let email = mailbox(address).filter(|_| !behind.iter().any(|word| word.contains('@')))?;
    let is_apart =
        |word: &str| word.ends_with([':', '|', '•', '·', '–', '—', ')', '>', '=']) || word == "-";
    let lower = |word: &str| {
        word.trim_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase()
    };
    let is_in_it = |word: &str| word.chars().nth(2).is_some() && email.local.contains(word);
    let initials = || {
        before
            .iter()
            .filter_map(|word| word.chars().next())
            .flat_map(char::to_lowercase)
    };
    let last = before.last().copied().unwrap_or(":");
    let word = lower(last);
    let names_it = is_in_it(&word)
        || matches!(&*word, "email" | "e-mail" | "mail")
        || (before.len() > 1 && TOWARDS.contains(&&*word));
    // A name that is repeated is repeated in pieces.
    let once = || before.iter().filter(|other| lower(other) == word).count() == 1;
    let is_name = last.starts_with(char::is_uppercase)
        && once()
        && (before.iter().any(|word| is_in_it(&lower(word))) || email.local.chars().eq(initials()));
    let starts = address.starts_with(|c| PAIRS.iter().any(|(open, _)| *open == c));
    let ends =
        address.ends_with(|c: char| ",;".contains(c) || PAIRS.iter().any(|(_, close)| *close == c));
    let is_label = |word: &&str| suffix::listed(&word.trim_matches('.').to_lowercase());
    let free = starts || is_apart(last) || names_it || is_name;
    (free && (ends || !behind.first().is_some_and(is_label))).then_some(email)
}

/// Returns a text without the pairs of quotes and brackets around it.
fn bare(text: &str) -> &str {
    let mut text = edges(text);
    for _ in 0..MAX_PAIRS {
        let inside = |(open, close): &(char, char)| {
            let inner = text.strip_prefix(*open)?.strip_suffix(*close)?;
            // `<a@x.com> <b@x.com>` is in no pair; an apostrophe may be a letter of a name.
            (matches!(open, '\'' | '`') || !inner.contains([*open, *close])).then_some(inner)
        };
        let Some(inner) = PAIRS.iter().find_map(inside) else {
            break;
        };
        text = edges(inner);
    }
    text
}

/// Returns a text without the sign that ends a sentence or a member of a list.
fn edges(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';'))
        .trim_end_matches(|c: char| {
            c.is_whitespace() || matches!(c, ',' | ';' | '.' | ':' | '!' | '?')
        })
}

/// Returns the decoded recipients of a link (RFC 6068), and any other text as it is. Some links
/// have the slashes of others.
fn recipients(text: &str) -> Option<String> {
    let Some(link) = without_scheme(text, "mailto:") else {
        return Some(text.to_owned());
    };
    let (to, fields) = link
        .trim_start_matches('/')
        .split_once('?')
        .unwrap_or((link.trim_start_matches('/'), ""));
    let more = fields.split('&').filter_map(|field| field.split_once('='));
    let more = more
        .filter(|(name, _)| name.eq_ignore_ascii_case("to"))
        .map(|(_, to)| to);
    let all = std::iter::once(to)
        .chain(more)
        .filter(|to| !to.is_empty())
        .collect::<Vec<_>>()
        .join(",");
    Some(visible(&percent_decode_str(&all).decode_utf8().ok()?))
}

fn without_scheme<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| rest.trim_start())
}

/// Reads an address with nothing around it but quotes and a scheme.
fn address(text: &str) -> Option<Email> {
    // Of a pair of brackets, one half stays behind where lists are cut.
    let text = recipients(bare(text).trim_start_matches('<').trim_end_matches('>'))?;
    let text = SCHEMES
        .iter()
        .find_map(|scheme| without_scheme(&text, scheme))
        .unwrap_or(&text);
    // Letters may come apart when their case changes, as U+0130 does.
    let lower = text.to_lowercase();
    let lower = ComposingNormalizerBorrowed::new_nfc().normalize(&lower);
    let (local, domain) = lower.rsplit_once('@')?;
    // Quotes that quote nothing make no difference: RFC 5321, 4.1.2.
    let local = local
        .strip_prefix('"')
        .and_then(|local| local.strip_suffix('"'))
        .unwrap_or(local);
    if !(1..=MAX_LOCAL).contains(&local.len())
        || local.starts_with('’')
        || local.ends_with('’')
        || !local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
    {
        return None;
    }
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if !domain.chars().all(|c| name(c) || !c.is_ascii()) {
        return None;
    }
    let a_labels = suffix::a_labels(domain).ok()?;
    // As mapped too: letters beyond ASCII may map to a sign that no mail host has.
    if !a_labels.chars().all(name) || a_labels.ends_with('.') {
        return None;
    }
    if local.len() + 1 + a_labels.len() > MAX_ADDRESS {
        return None;
    }
    let domain = if domain.is_ascii() {
        domain.to_owned()
    } else {
        idna::domain_to_unicode(&a_labels).0
    };
    Some(Email {
        local: local.to_owned(),
        domain,
        a_labels,
    })
}

/// Returns whether a character belongs to an atom: RFC 5322, 3.2.3, and RFC 6532, 3.2. White space
/// and control characters beyond ASCII do not: text on the net has none (RFC 5198).
fn is_atext(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
    } else {
        !c.is_whitespace() && !c.is_control() && !is_invisible(c) && !is_quote(c)
    }
}

/// Returns whether a character is a quotation mark beyond ASCII, other than the apostrophe.
fn is_quote(c: char) -> bool {
    matches!(c, '«' | '»' | '‘' | '‚'..='‟' | '‹' | '›' | '「'..='』' | '〝'..='〟' | '｢' | '｣')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_out_of_the_forms_that_it_is_written_in() {
        for (text, wanted) in [
            ("jane@x.com", "jane@x.com"),
            (" Jane.Doe+x@X.com\t", "jane.doe+x@x.com"),
            ("Jane <jane@x.com>", "jane@x.com"),
            ("Jane<jane@x.com>", "jane@x.com"),
            ("<jane@x.com>", "jane@x.com"),
            ("< jane@x.com >;", "jane@x.com"),
            ("\"Doe, Jane\" <jane@x.com>", "jane@x.com"),
            ("'Doe, Jane' <jane@x.com>", "jane@x.com"),
            ("Doe, Jane <jane@x.com>", "jane@x.com"),
            ("\"jane@x.com\" <jane@x.com>", "jane@x.com"),
            ("\"x <y@z.com>\" <jane@x.com>", "jane@x.com"),
            ("jane@x.com <jane@x.com>", "jane@x.com"),
            ("jane@x.com<mailto:jane@x.com>", "jane@x.com"),
            ("Doe, Jane [mailto:jane@x.com]", "jane@x.com"),
            ("[jane@x.com](mailto:jane@x.com)", "jane@x.com"),
            ("jane@x.com (Jane Doe)", "jane@x.com"),
            ("(Jane) jane@x.com", "jane@x.com"),
            (
                "mailto:jane@x.com?subject=Hello%20you&cc=joe@x.com",
                "jane@x.com",
            ),
            ("<mailto:jane@x.com?cc=joe@x.com,bob@x.com>", "jane@x.com"),
            ("mailto:jane@x.com?cc=joe@x.com,bob@x.com", "jane@x.com"),
            ("MAILTO:Jane%2Bnews%40x.com", "jane+news@x.com"),
            ("mailto:jos%C3%A9@x.com", "josé@x.com"),
            ("SMTP:jane@x.com", "jane@x.com"),
            ("E-Mail: jane@x.com", "jane@x.com"),
            ("jane@x.com;", "jane@x.com"),
            ("jane@x.com,", "jane@x.com"),
            ("jane@x.com.", "jane@x.com"),
            ("jane@x.com ; ", "jane@x.com"),
            ("\"jane@x.com\"", "jane@x.com"),
            ("'jane@x.com'", "jane@x.com"),
            ("“jane@x.com”", "jane@x.com"),
            ("\"<jane@x.com>\"", "jane@x.com"),
            ("„jane@x.com“", "jane@x.com"),
            ("„jane@x.com”", "jane@x.com"),
            ("‚jane@x.com‘", "jane@x.com"),
            ("‘jane@x.com’", "jane@x.com"),
            ("›jane@x.com‹", "jane@x.com"),
            ("‹jane@x.com›", "jane@x.com"),
            ("»jane@x.com«", "jane@x.com"),
            ("「jane@x.com」", "jane@x.com"),
            ("o’brien@x.com", "o’brien@x.com"),
            ("(jane@x.com)", "jane@x.com"),
            ("jane@x.com>", "jane@x.com"),
            ("<jane@x.com", "jane@x.com"),
            ("jane@x.com; jane@x.com", "jane@x.com"),
            ("jane@x.com, , jane@x.com;", "jane@x.com"),
            ("\"jane.doe\"@x.com", "jane.doe@x.com"),
            ("mailto://jane@x.com", "jane@x.com"),
            ("mailto:?to=jane@x.com&subject=x", "jane@x.com"),
            // Words beside it.
            ("Jane Doe jane@x.com", "jane@x.com"),
            ("Jane Doe j.doe@x.com", "j.doe@x.com"),
            ("Doe, Jane, jane@x.com", "jane@x.com"),
            ("Jane van der Berg jvdb@x.com", "jvdb@x.com"),
            ("Jane Doe, Acme jane@x.com", "jane@x.com"),
            ("email: jane@x.com", "jane@x.com"),
            ("jane doe doe@x.com", "doe@x.com"),
            ("write to jane@x.com", "jane@x.com"),
            ("Contact: jane@x.com", "jane@x.com"),
            ("E-Mail jane@x.com", "jane@x.com"),
            ("Acme Inc. - jane@x.com", "jane@x.com"),
            ("Acme | jane@x.com | Berlin", "jane@x.com"),
            ("Acme (jane@x.com)", "jane@x.com"),
            ("jane@x.com Jane Doe", "jane@x.com"),
            ("jane@x.com - Acme", "jane@x.com"),
            ("jane@x.com, Acme Inc.", "jane@x.com"),
            ("Jane Doe <jane@x.com> (work)", "jane@x.com"),
            ("Jane Doe <jane@x.com>, Acme Inc.", "jane@x.com"),
            ("Please write to jane@x.com!", "jane@x.com"),
            // It is invisible.
            ("\u{feff}jane@x.com\u{200b}", "jane@x.com"),
            ("\u{a0}jane@x.com\u{a0}", "jane@x.com"),
            ("\u{202a}jane@x.com\u{202c}", "jane@x.com"),
            ("jane@\u{200b}x.com", "jane@x.com"),
            ("ja\u{ad}ne\u{200d}@x.com", "jane@x.com"),
            ("\u{3000}jane@x.com\u{2028}", "jane@x.com"),
            // Letters beyond ASCII.
            ("jose\u{301}@x.com", "jos\u{e9}@x.com"),
            ("JOSE\u{301}@x.com", "jos\u{e9}@x.com"),
            ("\u{212b}ngstrom@x.com", "ångstrom@x.com"),
            ("संपर्क@डाटामेल.भारत", "संपर्क@डाटामेल.भारत"),
            ("用户@例子.广告", "用户@例子.广告"),
            ("θσερ@εχαμπλε.ψομ", "θσερ@εχαμπλε.ψομ"),
            ("Dörte@Sörensen.example.com", "dörte@sörensen.example.com"),
            ("коля@пример.рф", "коля@пример.рф"),
            ("ผู้ใช้@ตัวอย่าง.ไทย", "ผู้ใช้@ตัวอย่าง.ไทย"),
            ("می\u{200c}خواهم@x.com", "می\u{200c}خواهم@x.com"),
            ("❤\u{fe0f}@x.com", "❤\u{fe0f}@x.com"),
            ("jane@Bu\u{308}cher.example", "jane@bücher.example"),
            ("jane@xn--bcher-kva.example", "jane@xn--bcher-kva.example"),
            ("jane@ｘ．com", "jane@x.com"),
            ("jane@例子。广告", "jane@例子.广告"),
            ("jane@faß.de", "jane@faß.de"),
            ("o'brien@x.com", "o'brien@x.com"),
            ("'o'brien@x.com'", "o'brien@x.com"),
            ("a!#$%&'*+-/=?^_`{|}~b@x.com", "a!#$%&'*+-/=?^_`{|}~b@x.com"),
        ] {
            assert_eq!(
                Email::parse(text).map(|email| email.plain()).as_deref(),
                Ok(wanted),
                "{text:?}"
            );
        }
    }

    #[test]
    fn lengths_are_counted_in_octets() {
        let local =
            |letter: &str, n: usize| Email::parse(&format!("{}@x.com", letter.repeat(n))).is_ok();
        assert!(local("a", 64) && !local("a", 65));
        assert!(local("é", 32) && !local("é", 33));
        assert!(local("e\u{301}", 32));
        let host = format!("{0}.{0}.{0}b.com", "b".repeat(61));
        assert!(Email::parse(&format!("{}@{host}", "a".repeat(63))).is_ok());
        assert!(Email::parse(&format!("{}@{host}", "a".repeat(64))).is_err());
        assert!(Email::parse(&format!("a@{}.com", "b".repeat(64))).is_err());
        assert!(Email::parse(&format!("{} <a@x.com>", "b".repeat(MAX_TEXT))).is_err());
    }

    #[test]
    fn a_list_is_no_address() {
        for text in [
            "jane@x.com, joe@x.com",
            "jane@x.com;joe@x.com",
            "Jane <jane@x.com>, Joe <joe@x.com>",
            "\"Doe, Jane\" <jane@x.com>; joe@x.com;",
            "jane@x.com joe@x.com",
            "mailto:jane@x.com,joe@x.com?subject=x",
            "jane@x.com\r\njoe@x.com",
        ] {
            assert_eq!(Email::parse(text), Err(SEVERAL), "{text:?}");
        }
    }

    /// Cut at every place, with an odd piece in every place: there is an answer, and an address
    /// that was read reads as itself.
    #[test]
    fn malformed_forms_end_in_an_answer_and_addresses_read_as_themselves() {
        let odd = [
            "", "\"", "<", ">", "(", ")", "[", "@", ";", ",", "mailto:", "%", "%c3", "\u{301}",
            "\u{200d}", "\u{feff}", "İ", "\\",
        ];
        for form in [
            "\"Doe, Jane\" <mailto:jos%C3%A9@Bücher.example>;",
            "(x) संपर्क@डाटामेल.भारत (y)",
            "a@x.com, b@y.com",
        ] {
            for (at, _) in form.char_indices() {
                let (head, tail) = form.split_at(at);
                for text in odd.iter().flat_map(|odd| {
                    [
                        format!("{head}{odd}"),
                        format!("{head}{odd}{tail}"),
                        format!("{odd}{tail}"),
                    ]
                }) {
                    if let Ok(email) = Email::parse(&text) {
                        assert_eq!(
                            Email::parse(&email.plain()).as_ref(),
                            Ok(&email),
                            "{text:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b.com",
            "a@b",
            "a@@b.com",
            "a@b@c.com",
            "a@b c.com",
            ".a@b.com",
            "a.@b.com",
            "a..b@c.com",
            "\"a b\"@c.com",
            "\"\"@c.com",
            "a@10.0.0.1",
            "a@[::1]",
            "a@[192.0.2.1]",
            "a@b.com/x",
            "a@b%2ecom",
            "a@b_c.com",
            "a@b\u{fe4d}c.com",
            "a@b.\u{ff3f}c.com",
            "a@-b.com",
            "a@b..com",
            "a@https://b.com",
            "a@b\u{301}\u{a0}.com",
            "mailto:%ff@b.com",
            "jane@ x.com",
            "jane @x.com",
            "‚jane@x.com",
            "jane«@x.com",
            "’jane@x.com",
        ] {
            assert_eq!(Email::parse(text), Err(WRONG), "{text:?}");
        }
    }

    #[test]
    fn what_may_be_a_piece_of_an_address_is_not_passed_over() {
        for text in [
            "a b@c.com",
            "a,b@c.com",
            "a, b@c.com",
            "a;b@c.com",
            "a:b@c.com",
            "a\r\nbcc:x@y.com",
            "a\u{85}b@c.com",
            "a\u{2003}b@c.com",
            "jane doe@x.com",
            "Sales Team info@x.com",
            "Unser Sales Team info@x.com",
            "email jane doe@x.com",
            "e-mail: jane doe@x.com",
            "Contact - jane doe@x.com",
            "my address is jane doe@x.com",
            "Vorname Nachname vorname nachname@x.com",
            "Vorname Nachname Vorname Nachname@x.com",
            "Jane Doe jane doe@x.com",
            "mailto:Email jane doe@x.com",
            "jane@x.co uk",
            "jane@x.co .uk",
            "<a@b.com> <c>",
            "mailto:a%0ab@b.com",
        ] {
            assert_eq!(Email::parse(text), Err(BESIDE), "{text:?}");
        }
        for text in [
            "Jane <jane@x.com> Joe <joe@x.com>",
            "Jane jane@x.com Joe joe@x.com",
            "jane@x.com or joe@x.com",
            "x:jane@x.com y:joe@x.com",
            "Jane <jane@x.com> [bob@y.com]",
            "bob@y.com [jane@x.com]",
            "bob@y.com <jane@x.com>",
            "[bob@y.com](mailto:jane@x.com)",
            "jane@x.com (bob@y.com)",
            "(bob@y.com) jane@x.com",
        ] {
            assert_eq!(Email::parse(text), Err(SEVERAL), "{text:?}");
        }
    }

    #[test]
    fn every_address_of_a_link_is_read() {
        for (text, wanted) in [
            (
                "mailto:a@acme.example;b@acme.example",
                &["a@acme.example", "b@acme.example"][..],
            ),
            (
                "mailto:a@acme.example,%20B@Acme.example?subject=x",
                &["a@acme.example", "b@acme.example"],
            ),
            (
                "mailto:a%40acme.example%3Bb%40acme.example",
                &["a@acme.example", "b@acme.example"],
            ),
            ("MailTo:%20a@acme.example%20", &["a@acme.example"]),
            ("mailto://a@acme.example", &["a@acme.example"]),
            (
                "mailto:?to=a@acme.example&cc=no@acme.example",
                &["a@acme.example"],
            ),
            (
                "mailto:a@acme.example?to=b@acme.example",
                &["a@acme.example", "b@acme.example"],
            ),
            (
                "mailto:Jane%20Doe%20%3Cjane@acme.example%3E",
                &["jane@acme.example"],
            ),
            ("mailto:mailto:a@acme.example", &["a@acme.example"]),
            ("mailto:a@acme.example.", &["a@acme.example"]),
            ("a@acme.example", &["a@acme.example"]),
            ("Office: a@acme.example", &["a@acme.example"]),
            ("Jane <a@acme.example>, a@acme.example", &["a@acme.example"]),
            ("mailto:a@acme..example;nobody;@acme.example", &[]),
            ("mailto:?subject=a@acme.example", &[]),
            ("mailto:Email jane doe@acme.example", &[]),
            ("mailto:Email%20jane%20doe@acme.example", &[]),
        ] {
            assert_eq!(
                Email::all(text)
                    .iter()
                    .map(Email::plain)
                    .collect::<Vec<_>>(),
                wanted,
                "{text}"
            );
        }
    }
}
