//! Numbers as people, web pages, spreadsheets and links write them, with plain signs.

use percent_encoding::percent_decode_str;
use rlibphonenumber::PHONE_NUMBER_UTIL;

use super::labels;
use super::words::{MIN_BEFORE_ANOTHER, digits, letters, words};
use crate::providers::kinds::email::address::is_invisible;

/// The longest text that is read, in characters: libphonenumber's own bound.
pub(super) const MAX_CHARS: usize = 250;

/// The most zeros that a spreadsheet puts behind the point.
const MAX_DECIMALS: usize = 2;

/// Returns whether a text is longer than any number.
pub(super) fn is_too_long(text: &str) -> bool {
    text.trim().chars().nth(MAX_CHARS).is_some()
}

/// Returns a text with ASCII's digits, dashes, spaces and signs for those of typography, of full
/// width and of every script, without invisible characters, and with a word that libphonenumber
/// knows before an extension.
pub(super) fn plain(text: &str) -> String {
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_or_else(|_| text.to_owned(), Into::into);
    let mut plain = String::with_capacity(decoded.len());
    for c in decoded.trim().chars().filter(|c| !is_invisible(*c)) {
        match c {
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => plain.push('-'),
            // Elsewhere it is a long vowel.
            '\u{30fc}' if plain.ends_with(|c: char| c.is_ascii_digit()) => plain.push('-'),
            '\u{2044}' | '\u{2215}' => plain.push('/'),
            '\u{ff01}'..='\u{ff5e}' => plain.extend(char::from_u32(u32::from(c) - 0xfee0)),
            // They look like dots, and in France separate each two digits.
            '·' | '•' | '∙' => plain.push('.'),
            // `( 030 ) 123456`
            ' ' if plain.ends_with('(') => {}
            ')' => {
                plain.truncate(plain.trim_end_matches(' ').len());
                plain.push(')');
            }
            c if c != '\n' && c.is_whitespace() => plain.push(' '),
            c if !c.is_ascii() && c.is_numeric() => {
                let digit = PHONE_NUMBER_UTIL.normalize_digits_only(c.encode_utf8(&mut [0; 4]));
                if digit.is_empty() {
                    plain.push(c);
                } else {
                    plain.push_str(&digit);
                }
            }
            c => plain.push(c),
        }
    }
    let is_label = |word: &&str| labels::is_unread_before_extension(&letters(word).to_lowercase());
    let label = words(&plain)
        .find(is_label)
        .map(|word| (plain.len() - word.len(), letters(word).len()));
    if let Some((at, length)) = label {
        plain.replace_range(at..at + length, "ext");
    }
    plain
}

/// Returns a number without the decimals that a spreadsheet added: `4930123456.0`,
/// `+4930123456,00`.
pub(super) fn of_a_sheet(text: &str) -> &str {
    let digits =
        |text: &&str| text.len() >= MIN_BEFORE_ANOTHER && text.bytes().all(|b| b.is_ascii_digit());
    let whole = text
        .trim_end_matches('0')
        .strip_suffix(['.', ','])
        .filter(|whole| (1..=MAX_DECIMALS).contains(&(text.len() - whole.len() - 1)));
    whole
        .filter(|whole| digits(&whole.strip_prefix('+').unwrap_or(whole)))
        .unwrap_or(text)
}

/// Returns a number without the parameters of a `tel:` URI (RFC 3966), but with its extension, and
/// behind the digits of its context. `None` if the context is not valid. libphonenumber takes such
/// URIs itself, but minds the case of parameters, and the crate panics on crafted ones (2.2.15:
/// `9;phone-context=a;phone-context=+`), so that it never sees a context.
pub(super) fn without_parameters(text: &str) -> Option<String> {
    let mut parts = text.split(';');
    let number = parts.next().unwrap_or_default();
    let (mut context, mut kept) = (None, String::new());
    for part in parts {
        match part.split_once('=') {
            Some((name, value)) => match name.trim().to_ascii_lowercase().as_str() {
                "ext" => {
                    let digits: String = digits(value).collect();
                    kept = format!(";ext={digits}{kept}");
                }
                "phone-context" => context = context.or(Some(value.trim())),
                _ => {}
            },
            // An extension to be dialled later, or another number.
            None => kept.extend([";", part]),
        }
    }
    let global = number.chars().find(|c| c.is_ascii_digit() || *c == '+') == Some('+');
    match context {
        Some(context) if !global => {
            let prefix = if context.starts_with('+') {
                context
            } else {
                ""
            };
            // The text before the digits is the scheme.
            let digits = number.trim_start_matches(|c: char| !c.is_ascii_digit());
            is_context(context).then(|| format!("{prefix}{digits}{kept}"))
        }
        _ => Some(format!("{number}{kept}")),
    }
}

/// Returns whether a context is the first digits of numbers in a country, or the name of a domain:
/// RFC 3966, section 3.
fn is_context(context: &str) -> bool {
    if let Some(digits) = context.strip_prefix('+') {
        let signs = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.' | '(' | ')');
        return digits.chars().all(signs) && digits.contains(|c: char| c.is_ascii_digit());
    }
    let label = |label: &str| {
        let ends = !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
        ends && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let name = context.strip_suffix('.').unwrap_or(context);
    let top = name.rsplit('.').next().unwrap_or_default();
    name.split('.').all(label) && top.starts_with(|c: char| c.is_ascii_alphabetic())
}
