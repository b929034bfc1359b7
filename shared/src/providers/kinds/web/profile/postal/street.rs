//! Streets with a house number.

use super::town::{MAX_COUNTRY, MAX_LINE, MAX_WORDS, has_digit};
use crate::domain::organisation;
use crate::providers::kinds::phone;

/// The most digits of a house number before the street, and behind it: four there are a year.
const MAX_BEFORE: usize = 5;
const MAX_BEHIND: usize = 3;

/// Returns whether one part of a line is a street with a house number before or behind it, and the
/// other parts fit an address.
fn is_street(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || " .,'\u{2019}-/".contains(c);
    let is_number = |word: &str, most: usize| {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        let letter = word[digits..].trim_start_matches(['-', '/']);
        (1..=most).contains(&digits)
            && (letter.chars().count() <= 1 || letter.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_house = |part: &str| {
        let words: Vec<&str> = part.split(' ').filter(|word| !word.is_empty()).collect();
        let [first, .., last] = words[..] else {
            return false;
        };
        let letter =
            words.len() > 2 && last.len() == 1 && is_number(words[words.len() - 2], MAX_BEHIND);
        words
            .iter()
            .any(|word| word.starts_with(char::is_alphabetic))
            && (is_number(first, MAX_BEFORE)
                || is_number(last, MAX_BEHIND)
                || (letter && last.starts_with(char::is_alphabetic)))
    };
    let parts: Vec<&str> = text.split(", ").collect();
    // `Via dei Fossi, 14/C`
    let behind = parts
        .windows(2)
        .any(|two| two[0].starts_with(char::is_alphabetic) && is_number(two[1], MAX_BEHIND));
    text.len() <= MAX_LINE
        && !phone::is_called(text)
        && text.chars().all(fits)
        && text.split(' ').count() <= MAX_WORDS
        && text.bytes().filter(u8::is_ascii_digit).count() <= 10
        && (behind || parts.iter().any(|part| is_house(part)))
}

/// Returns the street of a line without the company before it.
fn street(line: &str) -> Option<String> {
    let mut parts: Vec<&str> = line.trim_end_matches(',').split(", ").collect();
    // `Address: 1 High Street`
    if let Some((_, behind)) = parts[0].split_once(": ") {
        parts[0] = behind;
    }
    while parts.len() > 1 && (organisation::has_legal_form(parts[0]) || parts[0].contains(':')) {
        parts.remove(0);
    }
    if has_digit(line) {
        parts[0] = without_company(parts[0]);
    }
    let street = parts.join(", ");
    is_street(&street).then_some(street)
}

/// Returns `Acme GmbH Weg 1` without the company.
fn without_company(text: &str) -> &str {
    let ends = text
        .match_indices(' ')
        .map(|(at, _)| text.split_at(at))
        .take(MAX_WORDS);
    let is_form = |word: &str| {
        word.chars().any(char::is_uppercase)
            && organisation::has_legal_form(&format!("Acme {word}"))
    };
    let behind =
        ends.filter(|(name, _)| name.rsplit_once(' ').is_some_and(|(_, word)| is_form(word)));
    behind
        .last()
        .map(|(_, street)| street.trim_start())
        .filter(|street| is_street(street))
        .unwrap_or(text)
}

/// Returns a street with the suite or the part of the building in a line of its own, above it or
/// below.
pub(super) fn with_unit(line: &str, above: &str) -> Option<String> {
    match (is_unit(line), is_unit(above)) {
        (true, _) => {
            street(above).map(|street| format!("{street}, {}", line.trim_end_matches(',')))
        }
        (false, true) => {
            street(line).map(|street| format!("{}, {street}", above.trim_end_matches(',')))
        }
        (false, false) => street(line),
    }
}

/// Returns whether a line is a place within a building, and has no street.
fn is_unit(line: &str) -> bool {
    let word = line
        .split([' ', ',', '.'])
        .next()
        .unwrap_or_default()
        .to_lowercase();
    line.len() <= MAX_COUNTRY
        && UNITS.split(' ').any(|unit| unit == word)
        && !phone::is_called(line)
        && !line.split(", ").skip(1).any(is_street)
}

const UNITS: &str = "unit suite ste flat floor level apartment apt room building bldg block studio \
                     b\u{e2}timent bat \u{e9}tage etage geb\u{e4}ude piso planta local edificio \
                     piano interno scala";
