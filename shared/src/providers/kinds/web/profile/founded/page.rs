//! The year in a page's lines.

use std::ops::Range;

use super::called::Names;
use super::sentence::{Said, Sentence};
use super::tokens::{tokens, year};
use super::within::within;
use super::words::{Phrases, WORDS, sort};
use crate::providers::kinds::web::html::Line;
use crate::providers::kinds::web::places::Place;

/// The longest line and sentence that are read, in bytes.
const MAX_LINE: usize = 8 * 1024;
const MAX_SENTENCE: usize = 400;
/// The most sentences with a year that are read.
const MAX_SENTENCES: usize = 1_000;

/// The longest label of a year in a line of its own, in bytes.
const MAX_LABEL: usize = 60;

/// Signs that end a sentence in any place, and those that do between spaces.
const ENDS: &str = "!?;|\u{3002}\u{ff01}\u{ff1f}\u{b7}\u{2022}\u{2026}\u{a9}\u{ff5c}";
const DASHES: &str = "-\u{2013}\u{2014}";
/// Words whose dot ends no sentence.
const ABBREVIATED: &str = "est estd gegr zal zał inc ltd co corp bros gebr dr mr mrs st nr no";

/// Returns the sentences of a line, without those about a copyright.
fn sentences(line: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut from = 0;
    let mut owned = false;
    let mut add = |range: Range<usize>, owned: bool| {
        let sentence = line[range].trim();
        let lower = sentence.to_lowercase();
        if !sentence.is_empty() && !owned && !lower.contains("copyright") && !lower.contains("(c)")
        {
            sentences.push(sentence);
        }
    };
    let bytes = line.as_bytes();
    let is_space = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_none_or(|b| *b == b' ');
    for (at, c) in line.char_indices() {
        let end = at + c.len_utf8();
        let ends = if c == '.' {
            let before = line[from..at]
                .rsplit(|c: char| !c.is_alphanumeric())
                .next()
                .unwrap_or_default();
            let lower = before.to_lowercase();
            let abbreviated = ABBREVIATED.split(' ').any(|word| word == lower)
                || before.chars().count() == 1
                || (before.len() < 3 && before.bytes().all(|b| b.is_ascii_digit()));
            let next = line[end..].trim_start().chars().next();
            is_space(Some(end)) && !abbreviated && next.is_none_or(|c| !c.is_lowercase())
        } else {
            ENDS.contains(c)
                || (DASHES.contains(c) && is_space(at.checked_sub(1)) && is_space(Some(end)))
        };
        if ends {
            add(from..at, owned);
            owned = c == '\u{a9}';
            from = end;
        }
    }
    add(from..line.len(), owned);
    sentences
}

/// Returns the year in which a company was founded, from its page's lines. `called` are its names.
/// Years that differ are ignored, but a sentence about the foundation goes before one about the
/// time since.
pub(in super::super) fn year_in<'n>(
    lines: &[Line],
    host: &str,
    called: impl Iterator<Item = &'n str>,
    this_year: i32,
) -> Option<(i32, Said)> {
    let names = Names::of(called, host);
    let mut found: Vec<(i32, Said)> = Vec::new();
    let mut left = MAX_SENTENCES;
    'lines: for (at, line) in lines.iter().enumerate() {
        if line.place == Place::Others || line.text.len() > MAX_LINE || !has_year(&line.text) {
            continue;
        }
        let above = at
            .checked_sub(1)
            .map(|at| lines[at].text.as_str())
            .filter(|text| text.len() <= MAX_SENTENCE);
        let mut before = above
            .filter(|_| line.text.len() <= MAX_SENTENCE)
            .unwrap_or_default();
        let mut in_line = false;
        let labelled = labelled(lines, at);
        for sentence in sentences(labelled.as_deref().unwrap_or(&line.text)) {
            if sentence.len() <= MAX_SENTENCE && has_year(sentence) {
                if left == 0 {
                    break 'lines;
                }
                left -= 1;
                let read = { WORDS.languages.iter() }.find_map(|words| {
                    Sentence::read(sentence, words, &names)?.founded(before, in_line, words, &names)
                });
                let read =
                    read.or_else(|| within(sentence, &names).map(|year| (year, Said::Founded)));
                found.extend(read.filter(|(year, _)| (1000..=this_year).contains(year)));
            }
            (before, in_line) = (sentence, true);
        }
    }
    let of = |said: Said| {
        found
            .iter()
            .filter(move |(_, how)| *how == said)
            .map(|(year, _)| *year)
    };
    let said = if of(Said::Founded).next().is_some() {
        Said::Founded
    } else {
        Said::Since
    };
    let year = of(said).next()?;
    of(said).all(|other| other == year).then_some((year, said))
}

/// Returns a year in a line of its own, with the line that may be its label: the one before it, or
/// the one behind it as below counters.
fn labelled(lines: &[Line], at: usize) -> Option<String> {
    let is_year = |at: usize| {
        lines
            .get(at)
            .is_some_and(|line| line.text.len() == 4 && year(&line.text).is_some())
    };
    let label = |at: usize| {
        let line = lines.get(at).filter(|line| line.place != Place::Others)?;
        let words = tokens(Some(&line.text).filter(|text| text.len() <= MAX_LABEL)?);
        let is = |language: &Phrases| {
            let phrase: Vec<&str> = words.iter().map(|token| token.text.as_str()).collect();
            let known = phrase
                .first()
                .and_then(|first| language.get(first))
                .into_iter()
                .flatten();
            known.into_iter().any(|(known, sorts)| {
                *known == phrase && sorts & (sort::FOUNDED | sort::LABEL) != 0
            })
        };
        WORDS.languages.iter().any(is).then(|| {
            format!(
                "{} {}",
                line.text,
                lines[if is_year(at + 1) { at + 1 } else { at - 1 }].text
            )
        })
    };
    if !is_year(at) {
        return None;
    }
    let above = at
        .checked_sub(1)
        .filter(|above| above.checked_sub(1).is_none_or(|before| !is_year(before)));
    above.and_then(label).or_else(|| {
        Some(at + 1)
            .filter(|below| !is_year(below + 1))
            .and_then(label)
    })
}

/// Returns whether a text has four digits in a row.
fn has_year(text: &str) -> bool {
    let is_digit = |c: &char| c.is_ascii_digit() || ('\u{ff10}'..='\u{ff19}').contains(c);
    let mut total = 0;
    text.chars().any(|c| {
        total = if is_digit(&c) { total + 1 } else { 0 };
        total == 4
    })
}
