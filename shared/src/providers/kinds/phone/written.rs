//! The numbers of a link or a text as they are written, of any country.

use std::ops::RangeInclusive;

use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

use super::labels;
use super::lookalikes::is_quantity;
use super::plain::{MAX_CHARS, is_too_long, plain, without_parameters};
use super::plan::is_valid;
use super::remarks::{short_endings, without_hours};
use super::words::{MAX_LABEL_DIGITS, MIN_BEFORE_ANOTHER, count, digits, is_extension, words};

/// The digits of a number as it is written: the fewest within a town, the most of E.164.
const DIGITS: RangeInclusive<usize> = 6..=15;
/// The longest number as it is written, in bytes.
const MAX_WRITTEN: usize = 40;
/// The most digits of an extension.
const MAX_EXTENSION: usize = 7;

/// Reads the numbers of a link or a text as they are written, if their country is not known: with
/// plain digits, dashes and spaces, and an extension as `;ext=12` or ` ext. 12`. Skips numbers of a
/// fax, and numbers with words behind them.
pub(in crate::providers) fn written(text: &str) -> Vec<String> {
    if text.len() > MAX_CHARS * 4 || is_too_long(text) {
        return Vec::new();
    }
    let text = without_parameters(&plain(text)).unwrap_or_default();
    apart(&text).into_iter().filter_map(as_written).collect()
}

/// Returns the parts of a text with a number each. A slash may also be within one, so that it
/// counts if the whole is not a number of any plan, as in libphonenumber's matcher.
fn apart(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let is_sign = |c: char| matches!(c, ',' | ';' | '/' | '|' | '\n');
    for (at, sign) in text.match_indices(is_sign) {
        let (part, rest) = (&text[start..at], &text[at + 1..]);
        let next = rest
            .split(|c| is_sign(c) && (c != '/' || sign == "/"))
            .next()
            .unwrap_or_default();
        let within = || {
            sign == "/"
                && PHONE_NUMBER_UTIL
                    .parse(&text[start..=at + next.len()], None)
                    .is_ok_and(|n| is_valid(&n))
        };
        // Not the digits of its extension.
        let number = next
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .split(char::is_alphabetic)
            .next();
        let other = count(part) >= MIN_BEFORE_ANOTHER && number.map_or(0, count) >= *DIGITS.start();
        if other && !next.starts_with("ext=") && !within() {
            parts.push(part);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Returns the number of a part as it is written, with its extension.
fn as_written(part: &str) -> Option<String> {
    let is_number = |c: char| c.is_ascii_digit() || "+-(). /".contains(c);
    let start = part.find(|c: char| c.is_ascii_digit() || c == '+')?;
    let label = part[..start].trim_end_matches('(');
    let lower = label.to_lowercase();
    if labels::says_fax(&lower) && !labels::is_for_both(&lower) {
        return None;
    }
    let start = if label.len() < start {
        start - 1
    } else {
        start
    };
    let (number, rest) = part[start..].split_at(
        part[start..]
            .find(|c| !is_number(c))
            .unwrap_or(part.len() - start),
    );
    let number = number.trim_end_matches(['-', '/', '(', ' ', '.']);
    let ending = short_endings(number).next();
    let number = one_written(&number[..ending.unwrap_or(number.len())])?;
    let mut written = number.to_owned();
    if ending.is_some() && rest.contains(char::is_alphanumeric) {
        return None;
    }
    if rest.contains(char::is_alphanumeric) {
        // Extensions are written alike in every country.
        let read = PHONE_NUMBER_UTIL.parse(part, Some(Region::US)).ok()?;
        let extension = read.extension();
        if !digits(rest).eq(extension.chars())
            || !(1..=MAX_EXTENSION).contains(&extension.len())
            || !words(part).all(|word| is_extension(word, &read))
        {
            return None;
        }
        let label = if rest.starts_with(';') {
            ";ext="
        } else {
            " ext. "
        };
        written.extend([label, extension]);
    }
    (DIGITS.contains(&count(number)) && number.len() <= MAX_WRITTEN).then_some(written)
}

/// Returns the text of one number, without a count or hours before it. `None` if it is two numbers,
/// a date or an amount.
fn one_written(number: &str) -> Option<&str> {
    let number = number.trim_end_matches(['-', '/', '(', ' ', '.']);
    let number = match number.rfind('+') {
        Some(at) if at > 0 && &number[..at] != "(" => {
            let single = !number[..at].contains('+') && count(&number[..at]) <= MAX_LABEL_DIGITS;
            single.then(|| &number[at..])?
        }
        Some(_) => number,
        None => without_hours(number),
    };
    (!is_quantity(number)).then_some(number)
}
