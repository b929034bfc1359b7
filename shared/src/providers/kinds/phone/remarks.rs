//! Words and digits beside a number that are not part of it: remarks, counts, second endings.

use std::sync::LazyLock;

use regex_lite::{Regex, RegexBuilder};

use super::words::{MIN_BEFORE_ANOTHER, count};

/// The most digits before a bracket that may be an area's; behind more, the bracket is a remark.
pub(super) const MAX_BEFORE_REMARK: usize = 6;

/// The most digits of a number without its country's, and without a prefix.
const MAX_NATIONAL: usize = 11;
/// The most digits of a second ending.
const MAX_ENDING: usize = 4;

/// A remark that begins with a digit or a sign: hours, prices and floors. Before any other word,
/// digits belong to the number. Ambiguous letters are a currency only in brackets, behind a
/// decimal, or before a unit of time.
const REMARK: &str = r"(?x)[(\[]\s?\d{1,3}\s?CURRENCY\b | [\s,;(\[](?:
    (?:24|7|365)[dhjt]?\s?[/x]\s?(?:24|[5-7]|365)\b
    | \d{1,2}:\d\d\b
    | \d{1,3}(?:st|nd|rd|th|h|p)\b
    | \d{1,3}\.?\s?(?:(?:og|ug|eg|stock|etage|obergeschoss|floor|piano|piso|planta)\b|étage)
    | (?:\d{1,2}(?:[.:]\d\d)?\s?(?:[ap]m|h|uhr)?\s?(?:-|bis|to|till|until|à|a|alle)\s?)?
        \d{1,3}(?:[.:,]\d\d)?\s?
        (?:[ap]\.?m|h|hrs?|hours?|uhr|std|stunden|uur|ore|horas?|heures?|min)\b
    | \d{1,3}[.,](?:\d{1,3}|-)\s?CURRENCY\b
    | \d{1,3}\s?CURRENCY\.?\s?(?:/|(?:pro|per|par|por|al|je|a)\s)\s?(?:min|anruf|call|appel
        |llamada|chiamata|chamada|gesprek|połączenie|sms|perc|hívás|мин|dk|hovor)
    | \d{1,3}(?:[.,](?:\d{1,3}|-))?\s?(?:
        (?:cents?|cent[ei]simi|centimes|c[eé]ntimos|rappen|pence|groszy|euros?
            |dollars?|pounds?|francs)\b
        | z[łŁ] | k[čČ] | лв | руб | грн | (?:[A-Z]{1,2})?[€$£¥₽₹₺₴₩₪¢฿₫₦]
        | (?:/|pro|per|par|por|al|je|a)\s?
            (?:min(?:ut[eoa])?|anruf|call|appel|llamada|chiamata|chamada|gesprek|połączenie|sms)\b)
    | [€$£¥₽₹₺₴₩₪¢฿₫₦]\s?\d)";

/// Letters of currencies.
const CURRENCY: &str = "(?:cts?|eur|usd|gbp|chf|s?fr|pln|czk|sek|nok|dkk|kr|huf|ft|ron|lei|bgn|rub|try|tl|inr\
    |rs|rp|jpy|yen|cny|aud|cad|nzd|brl|mxn|zar)";

/// Hours or a count before a number that begins with `0`; a count with its sign before any.
const BEFORE: &str = r"^[1-9]\d{0,2}(?P<span>[/-]\d{1,3})?\s+(?P<number>\(?0\d.*)$";
const TIMES: &str = r"^[1-9]\d?\s?(?:[x\u{d7}*]|mal|times)\s+(?P<number>.*)$";

struct Patterns {
    remark: Regex,
    before: Regex,
    times: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    Some(Patterns {
        remark: pattern(&REMARK.replace("CURRENCY", CURRENCY))?,
        before: pattern(BEFORE)?,
        times: pattern(TIMES)?,
    })
});

/// Compiles a pattern that takes letters of either case.
pub(super) fn pattern(text: &str) -> Option<Regex> {
    RegexBuilder::new(text).case_insensitive(true).build().ok()
}

/// Returns where the remarks of a text begin, those in brackets with their bracket.
pub(super) fn starts(text: &str) -> impl Iterator<Item = usize> {
    let found = PATTERNS
        .iter()
        .flat_map(move |patterns| patterns.remark.find_iter(text));
    found.map(|found| remark_around(&text[..found.start()]).unwrap_or(found.start()))
}

/// Returns a text without the count before a number: `3 x 030 123456`.
pub(super) fn without_count(text: &str) -> &str {
    let number = PATTERNS
        .as_ref()
        .and_then(|patterns| patterns.times.captures(text)?.name("number"));
    number
        .map(|number| number.as_str())
        .filter(|number| count(number) >= MIN_BEFORE_ANOTHER)
        .unwrap_or(text)
}

/// Returns a number without hours or a count before it, as in `24/7 030 123456`: it begins with
/// `0`.
pub(super) fn without_hours(number: &str) -> &str {
    // `138 0013 8000` is one number.
    let is_one = |found: &str| {
        count(number) <= MAX_NATIONAL || found.trim_start_matches('(').starts_with("00")
    };
    let behind = PATTERNS.as_ref().and_then(|patterns| {
        let found = patterns.before.captures(number)?;
        let behind = found.name("number")?;
        (found.name("span").is_some() || !is_one(behind.as_str())).then_some(behind)
    });
    behind
        .map(|found| found.as_str())
        .filter(|found| count(found) > MIN_BEFORE_ANOTHER)
        .unwrap_or(number)
}

/// Returns the beginning of the bracket that a place is in, if it is behind a number and so a
/// remark.
pub(super) fn remark_around(before: &str) -> Option<usize> {
    let open = before
        .rfind(['(', '['])
        .filter(|open| !before[*open..].contains([')', ']']))?;
    (count(&before[..open]) > MAX_BEFORE_REMARK).then_some(open)
}

/// Returns the beginnings of second endings of a number, as in `030 12345678/79`: behind all digits
/// of the first, and with fewer. The digits of a country do not count.
pub(super) fn short_endings(text: &str) -> impl Iterator<Item = usize> {
    let is_short = |at: &usize| {
        let (before, behind) = (&text[..*at], &text[at + 1..]);
        let least = MIN_BEFORE_ANOTHER + if before.contains('+') { 2 } else { 0 };
        let in_remark = remark_around(before).is_some();
        let last = before.rsplit('/').next().map_or(0, count);
        let is_sign =
            |c: char| c.is_alphabetic() || matches!(c, ',' | ';' | '/' | '|' | '+' | '\n');
        let ending = behind.split(is_sign).next().map_or(0, count);
        !in_remark
            && count(before) >= least
            && last > MAX_ENDING
            && (1..=MAX_ENDING).contains(&ending)
    };
    text.match_indices('/').map(|(at, _)| at).filter(is_short)
}
