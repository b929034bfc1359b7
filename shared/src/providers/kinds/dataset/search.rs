//! Rows by the words in them.
//!
//! A row is found if every word of the input occurs in one of the searched columns: whole words,
//! without case. The best come first: a word counts as much as the weightiest column that has it
//! (the first is the weightiest), and rows of the same weight stay in the file's order.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};

use serde_json::{Map, Value};

use super::config::Search;

/// The most rows of a table that is searched, and the most of its index, by estimate: a fifth of
/// the function's memory. The rows themselves come on top.
const MAX_ROWS: usize = 500_000;
const MAX_BYTES: usize = 192 * 1024 * 1024;
/// The bytes that a word takes besides its letters, and that each row with it takes: the map's and
/// the list's elements, with what allocators and growth add.
const WORD_BYTES: usize = 112;
const ROW_BYTES: usize = 16;
/// The most words of a question.
const MAX_ASKED: usize = 16;
/// The longest word; a longer one is cut and never matches whole.
const MAX_WORD_BYTES: usize = 64;

/// Rows by word.
pub(super) struct Words {
    rows: Vec<Vec<Value>>,
    /// The rows that have a word, in order, each with the weightiest column that has it.
    by_word: HashMap<Box<str>, Vec<(u32, u8)>>,
    /// The index's size, by estimate.
    bytes: usize,
    most: usize,
    skipped: usize,
}

impl Words {
    pub(super) fn new() -> Self {
        Self {
            rows: Vec::new(),
            by_word: HashMap::new(),
            bytes: 0,
            most: MAX_BYTES,
            skipped: 0,
        }
    }

    pub(super) fn counts(&self) -> (usize, usize) {
        (self.rows.len(), self.skipped)
    }

    /// Takes a row; `texts` are its searched columns. An error if the table has become too large to
    /// be searched.
    pub(super) fn add(&mut self, texts: &[&str], values: Vec<Value>) -> Result<(), String> {
        let row = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let mut any = false;
        for (column, text) in (0_u8..).zip(texts) {
            for word in words(text) {
                any = true;
                let rows = match self.by_word.entry(word.into()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        self.bytes += WORD_BYTES + entry.key().len();
                        entry.insert(Vec::new())
                    }
                };
                if rows.last().is_none_or(|(last, _)| *last != row) {
                    rows.push((row, column));
                    self.bytes += ROW_BYTES;
                }
            }
        }
        if !any {
            self.skipped += 1;
            return Ok(());
        }
        self.rows.push(values);
        if self.rows.len() > MAX_ROWS || self.bytes > self.most {
            return Err(format!(
                "the table is too large to be searched: at most {MAX_ROWS} rows and {} MiB of \
                 index; leave rows or columns out",
                self.most / (1024 * 1024)
            ));
        }
        Ok(())
    }

    /// Returns the rows with all these words, the best first.
    pub(super) fn find(&self, asked: &[String]) -> impl Iterator<Item = &[Value]> {
        let lists: Option<Vec<&Vec<(u32, u8)>>> = asked
            .iter()
            .map(|word| self.by_word.get(word.as_str()))
            .collect();
        let mut lists = lists.unwrap_or_default();
        lists.sort_by_key(|rows| rows.len());
        let (rarest, others) = lists
            .split_first()
            .map_or((&[][..], &[][..]), |(first, rest)| (first.as_slice(), rest));
        // Every list is read once, in parallel.
        let mut others: Vec<&[(u32, u8)]> = others.iter().map(|rows| rows.as_slice()).collect();
        let ranked = rarest.iter().filter_map(|(row, column)| {
            let mut rank = u32::from(*column);
            for rows in &mut others {
                *rows = from_row(rows, *row);
                rank += rows
                    .first()
                    .filter(|(found, _)| found == row)
                    .map(|(_, column)| u32::from(*column))?;
            }
            Some(Reverse((rank, *row)))
        });
        // Only the rows that are taken are sorted.
        let mut best = BinaryHeap::from(ranked.collect::<Vec<_>>());
        let next = std::iter::from_fn(move || best.pop());
        next.filter_map(|Reverse((_, row))| self.rows.get(row as usize))
            .map(Vec::as_slice)
    }
}

/// Returns the part of a list from this row or the next one on, found in steps that double: the
/// cost is the logarithm of the distance.
fn from_row(rows: &[(u32, u8)], row: u32) -> &[(u32, u8)] {
    let before = |at: usize| rows.get(at).is_some_and(|(found, _)| *found < row);
    let mut step = 1;
    while before(step - 1) {
        step *= 2;
    }
    let (from, to) = (step / 2, rows.len().min(step));
    &rows[from + rows[from..to].partition_point(|(found, _)| *found < row)..]
}

/// Returns the words of an input, each once. `Err` says why there are none.
pub(super) fn asked(search: &Search, input: &Map<String, Value>) -> Result<Vec<String>, String> {
    let name = &search.input;
    let text = input
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("`{name}` is needed"))?;
    let mut asked: Vec<String> = words(text).collect();
    asked.sort_unstable();
    asked.dedup();
    match asked.len() {
        0 => Err(format!("`{name}` holds no letter or digit")),
        1..=MAX_ASKED => Ok(asked),
        _ => Err(format!("`{name}` has more than {MAX_ASKED} words")),
    }
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let plain: String = text.to_lowercase().chars().map(word).collect();
    let words: Vec<String> = plain
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(cut)
        .collect();
    words.into_iter()
}

/// Returns the separator of words where texts are compared or searched: all but letters, digits,
/// `+` and `#` (as in `C++`).
fn word(c: char) -> char {
    if c.is_alphanumeric() || c == '+' || c == '#' {
        c
    } else {
        ' '
    }
}

fn cut(word: &str) -> String {
    let mut end = word.len().min(MAX_WORD_BYTES);
    while !word.is_char_boundary(end) {
        end -= 1;
    }
    word[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::testing::timed;

    #[test]
    fn a_table_that_is_too_large_says_so() {
        let mut words = Words {
            most: 2 * (WORD_BYTES + 1) + 3 * ROW_BYTES,
            ..Words::new()
        };
        assert_eq!(words.add(&["a b a", "b"], Vec::new()), Ok(()));
        assert_eq!(words.add(&["a", ""], Vec::new()), Ok(()));
        let why = words.add(&["b"], Vec::new()).unwrap_err();
        assert!(
            why.starts_with(
                "the table is too large to be searched: at most 500000 rows and 0 MiB of index"
            ),
            "{why}"
        );
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(40)), "ü".repeat(32));
        assert_eq!(
            words("x".repeat(100).as_str())
                .next()
                .map(|word| word.len()),
            Some(MAX_WORD_BYTES)
        );
    }

    #[test]
    fn lists_are_followed_to_a_row_from_wherever_they_are() {
        let rows: Vec<(u32, u8)> = (0..100).map(|n| (n * 3, 0)).collect();
        for start in 0..=rows.len() {
            for row in 0..=300 {
                let wanted = rows[start..].iter().find(|(found, _)| *found >= row);
                assert_eq!(
                    from_row(&rows[start..], row).first(),
                    wanted,
                    "{start} {row}"
                );
            }
        }
    }

    /// A binary search for each of them would be 7.5 million, and a sort of all rows on top.
    #[test]
    fn words_that_every_row_has_do_not_hold_the_thread() {
        let rows = MAX_ROWS / 5;
        let asked: Vec<String> = (0..MAX_ASKED).map(|n| format!("w{n}")).collect();
        let mut words = Words::new();
        for n in 0..rows {
            words.rows.push(vec![Value::from(n)]);
        }
        let all: Vec<(u32, u8)> = (0..)
            .take(rows)
            .map(|row| (row, u8::from(row % 2 == 0)))
            .collect();
        for word in &asked {
            words.by_word.insert(word.as_str().into(), all.clone());
        }
        let (best, took) = timed(|| {
            words
                .find(&asked)
                .take(3)
                .map(|row| row[0].clone())
                .collect::<Vec<_>>()
        });
        assert_eq!(best, [1, 3, 5]);
        assert!(took < std::time::Duration::from_secs(5), "{took:?}");
    }
}
