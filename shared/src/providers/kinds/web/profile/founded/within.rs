//! Years in sentences without spaces between their words.

use super::called::Names;
use super::words::WORDS;

/// The most characters between a year and its word where words have no spaces between them.
const MAX_WITHIN: usize = 12;

/// Returns the year of `創業1926年`, `1926年に仙台で創業`, `成立于1999年`.
pub(super) fn within(sentence: &str, names: &Names) -> Option<i32> {
    let digit = |c: char| char::from_u32(u32::from(c) - 0xff10 + u32::from('0')).unwrap_or(c);
    let text: String = sentence
        .chars()
        .map(|c| {
            if ('\u{ff10}'..='\u{ff19}').contains(&c) {
                digit(c)
            } else {
                c
            }
        })
        .collect();
    let lower = text.to_lowercase();
    let of = |list: &[&str]| list.iter().any(|word| lower.contains(word));
    let (word, word_at) = WORDS
        .within
        .iter()
        .find_map(|word| Some((*word, lower.find(word)?)))?;
    if of(&WORDS.within_other) {
        return None;
    }
    let numbers: Vec<(usize, &str)> = { lower.split(|c: char| !c.is_ascii_digit()) }
        .filter(|number| number.len() == 4)
        .map(|number| (number.as_ptr() as usize - lower.as_ptr() as usize, number))
        .collect();
    let [(at, number)] = numbers[..] else {
        return None;
    };
    let behind = lower[at + number.len()..].trim_start();
    let (from, between) = if word_at < at {
        (word_at, &lower[word_at + word.len()..at])
    } else {
        (at, lower.get(at + number.len()..word_at)?)
    };
    // `1926年`, with only signs and particles before the year; `創業 1926`.
    let is_glue = |c: char| {
        c.is_whitespace()
            || ":\u{ff1a}\u{306f}\u{306b}\u{4e8e}\u{65bc}\u{81ea}\u{fe55}/".contains(c)
    };
    let is_near = if word_at < at {
        between.chars().all(is_glue) && (behind.is_empty() || behind.starts_with('\u{5e74}'))
    } else {
        behind.starts_with('\u{5e74}')
            && between.chars().count() <= MAX_WITHIN
            && !between.contains(',')
    };
    let before = lower[..from].trim_matches(|c: char| !c.is_alphanumeric());
    let own = before.is_empty()
        || names.within(&before.replace(' ', ""))
        || WORDS.within_own.iter().any(|own| before.contains(own));
    (is_near && own).then(|| number.parse().ok())?
}
