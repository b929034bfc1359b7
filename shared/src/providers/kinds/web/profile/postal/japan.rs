//! Japan's form of an address.

use serde_json::{Map, Value};

use super::parts::before_contact;
use super::town::{MAX_CITY, Town, address, shape};

/// Reads `〒980-0811 仙台市青葉区一番町3-2-17`: Japan's form goes from the large to the small. The part
/// behind the mark may be the next line.
pub(super) fn japanese(line: &str, below: &str) -> Option<Map<String, Value>> {
    let (_, rest) = line.split_once('\u{3012}')?;
    let rest = rest.trim_start();
    let code: String = rest.chars().take(8).map(narrow).collect();
    if shape(&code) != "999-9999" {
        return None;
    }
    let rest = &rest[rest.char_indices().nth(8).map_or(rest.len(), |(at, _)| at)..];
    if rest.starts_with(|c: char| narrow(c).is_ascii_digit()) {
        return None;
    }
    let rest = Some(rest.trim_start())
        .filter(|rest| !rest.is_empty())
        .unwrap_or(below);
    let rest = rest
        .split(['|', '\u{b7}', '\u{ff5c}', '\u{3012}'])
        .next()
        .and_then(|rest| before_contact(rest).next())?;
    let cut = ["TEL", "Tel", "FAX", "Fax", "\u{96fb}\u{8a71}"]
        .iter()
        .filter_map(|word| rest.find(word))
        .min();
    let rest = rest[..cut.unwrap_or(rest.len())].trim_end_matches(|c: char| !c.is_alphanumeric());
    let (region, rest) = match prefecture(rest) {
        Some(end) => (Some(rest[..end].to_owned()), rest[end..].trim_start()),
        None => (None, rest),
    };
    let city = city_in_japan(rest)?;
    let (city, street) = (rest[..city].to_owned(), rest[city..].trim().to_owned());
    let is_street =
        street.contains(|c: char| narrow(c).is_ascii_digit()) && street.chars().count() <= MAX_CITY;
    is_street.then(|| {
        address(
            street,
            Town {
                city,
                region,
                code,
                country: None,
            },
            "",
        )
    })
}

/// Returns a digit or hyphen of double width as a usual one.
fn narrow(c: char) -> char {
    match c {
        '\u{ff10}'..='\u{ff19}' => {
            char::from_u32(u32::from(c) - 0xff10 + u32::from('0')).unwrap_or(c)
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' | '\u{ff0d}' => '-',
        c => c,
    }
}

/// Returns the end of the prefecture that a text begins with: `東京都`, or two or three signs before
/// `県`.
fn prefecture(text: &str) -> Option<usize> {
    let capital = [
        "\u{6771}\u{4eac}\u{90fd}",
        "\u{5317}\u{6d77}\u{9053}",
        "\u{5927}\u{962a}\u{5e9c}",
        "\u{4eac}\u{90fd}\u{5e9c}",
    ];
    let capital = capital
        .iter()
        .find(|name| text.starts_with(**name))
        .map(|name| name.len());
    capital.or_else(|| {
        let (at, c) = text
            .char_indices()
            .take(4)
            .skip(2)
            .find(|(_, c)| *c == '\u{770c}')?;
        Some(at + c.len_utf8())
    })
}

/// Returns the end of the city that a text begins with, or of the ward of Tokyo, or of the town in
/// its district.
fn city_in_japan(text: &str) -> Option<usize> {
    let signs: Vec<(usize, char)> = text.char_indices().take(MAX_CITY).collect();
    let is = |at: usize, of: &[char]| signs.get(at).is_some_and(|(_, c)| of.contains(c));
    let first = (1..signs.len()).find(|at| is(*at, &['\u{5e02}', '\u{533a}', '\u{90e1}']))?;
    let last = if is(first, &['\u{90e1}']) {
        (first + 2..signs.len()).find(|at| is(*at, &['\u{753a}', '\u{6751}']))?
    } else if is(first, &['\u{5e02}']) && is(first + 1, &['\u{5e02}']) {
        // A name with the word in it.
        first + 1
    } else {
        first
    };
    signs[..=last]
        .iter()
        .all(|(_, c)| c.is_alphabetic())
        .then(|| signs.get(last + 1).map_or(text.len(), |(at, _)| *at))
}
