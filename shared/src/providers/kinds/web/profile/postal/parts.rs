//! The parts of a line that may be an address.

use crate::providers::kinds::phone;

/// The most words of a part of a line.
const MAX_PARTED: usize = 60;

/// The most parts of a line between commas or other signs: a list is not an address.
pub(super) const MAX_PARTS: usize = 8;

/// Returns the parts of a line, split at separators, and within those at commas. A mail address, a
/// phone or a copyright begins a part.
pub(super) fn parts(line: &str) -> Vec<Vec<&str>> {
    let mut parts = vec![line];
    for sign in [
        " | ",
        " \u{b7} ",
        " \u{2022} ",
        " \u{2014} ",
        " \u{2013} ",
        " - ",
    ] {
        parts = parts
            .iter()
            .flat_map(|part| part.split(sign))
            .take(MAX_PARTS + 1)
            .collect();
    }
    parts = parts.into_iter().flat_map(before_contact).collect();
    parts
        .iter()
        .map(|part| {
            part.trim_end_matches('.')
                .split(", ")
                .map(str::trim)
                .collect()
        })
        .collect()
}

/// Returns a text up to the first contact, and the rest.
pub(super) fn before_contact(text: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = text.split(' ').take(MAX_PARTED).collect();
    let begins_number =
        |word: &str| word.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '(');
    let is_contact = |at: usize| {
        let word = words[at];
        // `Mobile` is a town, too.
        let calls = || {
            word.ends_with([':', '.']) || words.get(at + 1).is_some_and(|next| begins_number(next))
        };
        word.contains(['@', '\u{a9}'])
            || (word.starts_with('+') && begins_number(&word[1..]))
            || ["http://", "https://", "www."]
                .iter()
                .any(|begin| word.starts_with(begin))
            || (calls() && phone::is_called(word))
    };
    let at = (0..words.len()).find(|at| is_contact(*at));
    let at = at.map_or(text.len(), |at| {
        words[..at].iter().map(|word| word.len() + 1).sum()
    });
    let (before, rest) = text.split_at(at);
    [before.trim_end_matches([' ', ',', ';', '(']), rest]
        .into_iter()
        .filter(|part| !part.is_empty())
}
