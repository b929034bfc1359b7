//! Recognises digits that are not a number to call: dates, spans of years, amounts.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, Region};

use super::plan::is_valid;
use super::words::digits;
use super::{labels, remarks::pattern};

/// A day, with the time or without.
const DATE: &str = r"(?x)^(?:
    (?:19|20)\d\d\s?[-./]\s?(?:0?[1-9]|1[0-2])\s?[-./]\s?(?:0?[1-9]|[12]\d|3[01])
    | (?:0?[1-9]|[12]\d|3[01])\s?[-./]\s?(?:0?[1-9]|[12]\d|3[01])\s?[-./]\s?(?:19|20)\d\d
    )[.,]?(?:(?:T|,?\s)\s?\d{1,2}:\d\d.*|T\d{4,6}Z?)?$";

/// A span of years.
const YEARS: &str = r"^(?:19|20)\d\d\s?-\s?(?:19|20)\d\d[.,]?$";

/// A day with its month in letters. Any three may be a month's in some language.
const DATE_IN_WORDS: &str = r"(?x)^(?:\D*\s)?(?:
    (?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|er|[.\u{ba}])?[\s-]
        (?:(?:of|de)\s)?(?P<month>\D{3,12})[\s-]
        (?:(?:de|del)\s)?(?:19|20)\d\d
    | (?P<first>[^\d\s]{3,12})\s(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?,?\s(?:19|20)\d\d
    )\b[.,]?(?:\D|$)(?:(?:at\s|um\s)?\s?\d{1,2}:\d\d.*)?$";

/// An amount; and a quantity as spreadsheets show large ones, without its last digits.
const AMOUNT: &str = r"^(?:[1-9]\d?(?:\.\d{3}){2,}|[1-9]\d\d(?:\.000){2,})$";
const ROUNDED: &str = r"^\d[.,]\d+e\+?\d+$";

struct Patterns {
    date: Regex,
    rounded: Regex,
    date_in_words: Regex,
    years: Regex,
    amount: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    Some(Patterns {
        date: pattern(DATE)?,
        rounded: pattern(ROUNDED)?,
        date_in_words: pattern(DATE_IN_WORDS)?,
        years: pattern(YEARS)?,
        amount: pattern(AMOUNT)?,
    })
});

/// Returns whether a text is a date or a rounded quantity, whatever a plan makes of its digits; or
/// a span of years that is not a number of the country.
pub(super) fn is_no_number(text: &str, country: Option<Region>) -> bool {
    let text = text.trim_matches(|c: char| {
        c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | ',' | ';' | ':')
    });
    let is_label = |word: &str| {
        let word = word.to_lowercase();
        word.split(|c: char| !c.is_alphanumeric())
            .any(|word| labels::is_phone(word) || labels::is_number(word))
            || labels::says_fax(&word)
    };
    // The whole text, as it is written at home: in Germany a number begins with `0`.
    let is_at_home = || {
        let number = PHONE_NUMBER_UTIL.parse(text, country).ok().filter(is_valid);
        number.is_some_and(|number| {
            let at_home = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::National);
            digits(&at_home).eq(digits(text))
        })
    };
    PATTERNS.as_ref().is_some_and(|patterns| {
        let has_month = |found: Captures<'_>| {
            let month = found.name("month").or_else(|| found.name("first"));
            month.is_some_and(|month| !is_label(month.as_str()))
        };
        patterns.date.is_match(text)
            || patterns.rounded.is_match(text)
            || patterns.date_in_words.captures(text).is_some_and(has_month)
            || (patterns.years.is_match(text) && !is_at_home())
    })
}

/// Returns whether digits with their signs are a date, a span of years or an amount.
pub(super) fn is_quantity(number: &str) -> bool {
    PATTERNS.as_ref().is_none_or(|patterns| {
        let others = [&patterns.date, &patterns.years, &patterns.amount];
        others.iter().any(|pattern| pattern.is_match(number))
    })
}
