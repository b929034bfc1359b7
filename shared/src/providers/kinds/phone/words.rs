//! The words and digits of a text that has a number.

use rlibphonenumber::PhoneNumber;

use super::labels;

/// The fewest digits of a number with another one beside it.
pub(super) const MIN_BEFORE_ANOTHER: usize = 7;
/// The most digits of a label before the number itself: `Line 2:`, `24h`.
pub(super) const MAX_LABEL_DIGITS: usize = 3;

/// Returns the ASCII digits of a text.
pub(super) fn digits(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(char::is_ascii_digit)
}

/// Counts the ASCII digits of a text.
pub(super) fn count(text: &str) -> usize {
    digits(text).count()
}

/// Returns a part from its first digit or plus on.
pub(super) fn from_digit(part: &str) -> &str {
    part.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '+')
}

/// Returns the words of a part from its first digit on, each with all the text behind it. `x` is
/// not one: it stands for omitted digits, as of a carrier, or before an extension.
pub(super) fn words(part: &str) -> impl Iterator<Item = &str> {
    let number = from_digit(part);
    let word = |at: &usize| {
        number[*at..].starts_with(char::is_alphabetic)
            && !number[..*at].ends_with(char::is_alphabetic)
    };
    let starts = number.char_indices().map(|(at, _)| at).filter(word);
    starts
        .map(|at| &number[at..])
        .filter(|word| !matches!(letters(word), "x" | "X" | "xx" | "XX"))
}

/// Returns the first word of a text.
pub(super) fn letters(text: &str) -> &str {
    text.split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or_default()
}

/// Returns whether a word is the label of a number's extension.
pub(super) fn is_extension(label: &str, number: &PhoneNumber) -> bool {
    let word = letters(label);
    let alone = !label[word.len()..].contains(char::is_alphabetic);
    let known = label.starts_with('#') || labels::is_read_before_extension(&word.to_lowercase());
    alone && known && !number.extension().is_empty() && digits(label).eq(number.extension().chars())
}
