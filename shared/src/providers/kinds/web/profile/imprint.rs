//! The name in a copyright line, or in the first line of an imprint.

use crate::domain::organisation;
use crate::providers::kinds::web::html::Line;
use crate::providers::kinds::web::names;
use crate::providers::kinds::web::names::Fit;
use crate::providers::kinds::web::places::Place;

/// The most words of a name, and of the form behind its first word.
const MAX_WORDS: usize = 10;
const MAX_FORM_WORDS: usize = 4;
/// The longest line that is read, and the longest that begins with a name, in bytes.
const MAX_LINE: usize = 1_000;
const MAX_IMPRINT: usize = 200;
/// The most lines that are read from the end, and the most beginnings of their parts.
const MAX_LINES: usize = 2_000;
const MAX_PLACES: usize = 1_500;

/// Signs between the parts of a line, with a space on either side.
const SEPARATORS: [&str; 6] = [
    " | ",
    " \u{b7} ",
    " \u{2022} ",
    " \u{2014} ",
    " \u{2013} ",
    " - ",
];
/// Words before the owner of a copyright.
const BEFORE: &str = "copyright copyrights by the (c) c present heute today";
/// Forms that always have a dot.
const DOTTED: &str = "inc";
/// Forms that have one, where no sentence ends with them.
const ABBREVIATED: &str = "ltd corp";

/// Words that end names of any form.
const TRADED: &str = "co company cie";

/// The number of places with the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    One,
    /// Lines that are apart agree.
    Agree,
    /// They differ.
    Differ,
}

/// Returns the company's name with its legal form from a page's lines: behind `©`, or at the
/// beginning of a line. It has to fit the domain or the company's names.
pub(super) fn legal_name(
    lines: &[Line],
    host: &str,
    company: Option<&str>,
) -> Option<(String, Places)> {
    let mut found: Vec<(bool, String)> = Vec::new();
    let mut places = 0;
    let own = lines
        .iter()
        .rev()
        .filter(|line| line.place != Place::Others && line.text.len() <= MAX_LINE);
    for line in own.take(MAX_LINES) {
        let owned = owned(&line.text).map(|behind| (true, behind));
        let begins = (owned.is_none() && line.text.len() <= MAX_IMPRINT).then(|| parts(&line.text));
        let texts = owned
            .into_iter()
            .chain(begins.into_iter().flatten().map(|part| (false, part)));
        for (owned, text) in texts {
            if places >= MAX_PLACES {
                break;
            }
            let named = named(text, owned);
            places += 1;
            let fits = |name: &String| {
                let first = name.split(' ').next().unwrap_or_default();
                let begins = || owned || names::fit(first, host) != Fit::Nothing;
                // A line may begin with other words than the name's.
                let fit = names::fit(name, host);
                fit == Fit::Whole
                    || (fit == Fit::Part && begins())
                    || company.is_some_and(|company| organisation::same(company, name))
            };
            if let Some(name) = named.filter(fits) {
                found.push((owned, name));
                break;
            }
        }
    }
    let (_, name) = found.iter().find(|(owned, _)| *owned).or(found.last())?;
    let same = found
        .iter()
        .filter(|(_, other)| organisation::same(name, other))
        .count();
    let places = match same {
        _ if same < found.len() => Places::Differ,
        1 => Places::One,
        _ => Places::Agree,
    };
    Some((name.clone(), places))
}

fn parts(line: &str) -> Vec<&str> {
    SEPARATORS.iter().fold(vec![line], |parts, sign| {
        parts.iter().flat_map(|part| part.split(sign)).collect()
    })
}

/// Returns the text behind the sign or word for copyright and its years.
fn owned(line: &str) -> Option<&str> {
    let word = |word: &str| line.to_ascii_lowercase().find(word);
    let at = line
        .find('\u{a9}')
        .or_else(|| word("(c) "))
        .or_else(|| word("copyright"))?;
    let mut rest = line[at..].trim_start_matches('\u{a9}');
    loop {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '(');
        let first = rest
            .split(|c: char| c.is_whitespace() || c == '\u{a9}')
            .next()
            .unwrap_or_default();
        let word = first.trim_matches([',', '.', ':']).to_ascii_lowercase();
        let is_years = word.starts_with(|c: char| c.is_ascii_digit())
            && word.split(|c: char| !c.is_alphanumeric()).all(|part| {
                part.is_empty()
                    || (part.len() == 4 && part.bytes().all(|b| b.is_ascii_digit()))
                    || is(BEFORE, part)
            });
        if first.is_empty() || !(is_years || is(BEFORE, &word)) {
            return Some(rest).filter(|rest| !rest.is_empty());
        }
        rest = &rest[first.len()..];
    }
}

fn is(of: &str, word: &str) -> bool {
    of.split(' ').any(|known| known == word)
}

/// Returns the name that a text begins with, up to its legal form. Unless it is a copyright, only a
/// sign may follow.
fn named(text: &str, owned: bool) -> Option<String> {
    let words: Vec<&str> = text
        .split(' ')
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS + MAX_FORM_WORDS)
        .collect();
    let first = words.first()?;
    if !first.starts_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    let keys: Vec<Option<String>> = (1..=words.len())
        .map(|n| organisation::key(&words[..n].join(" ")))
        .collect();
    let is_form = |n: usize| match n {
        1 => organisation::has_legal_form(first),
        _ => keys[..n - 1].contains(&keys[n - 1]) && is_written_as_form(words[n - 1]),
    };
    let shortest = (1..=words.len().min(MAX_WORDS)).find(|n| is_form(*n))?;
    let longer = (shortest..=words.len().min(shortest + MAX_FORM_WORDS)).rev();
    let whole = longer
        .filter(|n| keys[*n - 1] == keys[shortest - 1] && is_written_as_form(words[n - 1]))
        .max();
    let n = whole.unwrap_or(shortest);
    let last = words[n - 1];
    let ends = n == words.len() || last.ends_with([',', '.', ';', ':']);
    if !owned && !ends {
        return None;
    }
    let bare = last.trim_end_matches([',', ';', ':', '.']);
    let lower = bare.to_lowercase();
    if is(TRADED, &lower) {
        return None;
    }
    let dotted = last[bare.len()..].starts_with('.')
        && (bare.contains('.')
            || is(DOTTED, &lower)
            || (is(ABBREVIATED, &lower) && n == words.len()));
    let bare = if dotted { &last[..=bare.len()] } else { bare };
    Some([&words[..n - 1], &[bare]].concat().join(" "))
}

/// Returns whether a word has capitals or dots as forms do: a sentence may end with the same
/// letters.
fn is_written_as_form(word: &str) -> bool {
    word.chars().any(|c| c.is_alphabetic() && !c.is_lowercase())
        || word.trim_end_matches('.').contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, Places)> {
        let lines: Vec<Line> = text
            .split('\n')
            .map(|text| Line {
                text: text.to_owned(),
                ..Line::default()
            })
            .collect();
        legal_name(&lines, "www.acme.example", None)
    }

    #[test]
    fn the_owner_of_a_copyright_has_a_legal_form() {
        for (text, wanted) in [
            ("\u{a9} 2026 Acme Werke GmbH", "Acme Werke GmbH"),
            (
                "Copyright \u{a9} 2019-present Acme, Inc. Built with Docusaurus.",
                "Acme, Inc.",
            ),
            ("\u{a9} Copyright 2026, Acme Akustik AB.", "Acme Akustik AB"),
            (
                "Copyright (c) 1999\u{2013}2026 by Acme Ltd. All rights reserved.",
                "Acme Ltd",
            ),
            ("\u{a9} 2026 Acme Tools Ltd.", "Acme Tools Ltd."),
            (
                "a@b.example Careers \u{a9} 2026 Acme & Flint Roofing LLC. WA license",
                "Acme & Flint Roofing LLC",
            ),
            (
                "\u{a9} Acme Werke GmbH & Co. KG | Datenschutz",
                "Acme Werke GmbH & Co. KG",
            ),
            ("\u{a9} 2026 Acme S.r.l. - Powered by Nikola", "Acme S.r.l."),
            ("\u{a9} 2026 Acme S.L. Powered by Hexo", "Acme S.L."),
            ("Acme Werke GmbH \u{b7} Musterstr. 1", "Acme Werke GmbH"),
            ("Acme SARL, 12 rue de la Fosse, 75001 Paris", "Acme SARL"),
            (
                "Acme Landscapes Pty Ltd. Site by Tiny Shed",
                "Acme Landscapes Pty Ltd",
            ),
            (
                "\u{a9} 2026 Acme\u{682a}\u{5f0f}\u{4f1a}\u{793e}",
                "Acme\u{682a}\u{5f0f}\u{4f1a}\u{793e}",
            ),
        ] {
            assert_eq!(read(text), Some((wanted.to_owned(), Places::One)), "{text}");
        }
        for text in [
            "\u{a9} 2026 Acme",
            "\u{a9} 2026 Tiny Shed GmbH",
            "\u{a9} 2026",
            "\u{a9}",
            "Acme GmbH is the best that there is",
            "We at Acme GmbH, Berlin",
            "Acme for all",
            "Design: Acme GmbH",
            "Contact Acme GmbH, Berlin",
            "\u{a9} 2026 Acme Tea Co.",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn places_agree_or_differ() {
        let places = read;
        let name = "Acme Werke GmbH".to_owned();
        assert_eq!(
            places("Acme Werke GmbH\nWeg 1\n\u{a9} 2026 Acme Werke GmbH"),
            Some((name.clone(), Places::Agree))
        );
        assert_eq!(
            places("Acme Forge AG\n\u{a9} 2026 Acme Werke GmbH"),
            Some((name, Places::Differ))
        );
    }

    #[test]
    fn hostile_lines_are_bounded() {
        for text in ["\u{a9} 2026 ", "GmbH ", "\u{a9}", "Acme GmbH, ", "(", "| "] {
            let line = text.repeat(MAX_LINE / text.len());
            let _ = read(&vec![line; 5_000].join("\n"));
        }
    }
}
