//! The company's names, as words.

use super::tokens::{Token, tokens};
use crate::providers::kinds::web::names::Fit;
use crate::providers::kinds::web::{names, owner};

/// The most words of a name, and the fewest letters of a founder's name.
const MAX_NAME: usize = 10;
const MIN_SURNAME: usize = 4;

/// The company's names, as words.
pub(super) struct Names {
    /// Whole names and their beginnings, the longest first.
    names: Vec<Vec<String>>,
    /// Words that may be its founder's name.
    pub(super) surnames: Vec<String>,
}

impl Names {
    pub(super) fn of<'n>(names: impl Iterator<Item = &'n str>, host: &str) -> Self {
        let mut all: Vec<Vec<String>> = Vec::new();
        let mut surnames = Vec::new();
        for name in names {
            let tokens = tokens(name);
            let words: Vec<String> = tokens
                .iter()
                .take(MAX_NAME)
                .map(|token| token.text.clone())
                .collect();
            let one = |word: &String| words.len() == 1 || names::fit(word, host) == Fit::Whole;
            all.extend((2..=words.len()).map(|n| words[..n].to_vec()));
            all.extend(
                words
                    .first()
                    .filter(|word| one(word))
                    .map(|word| vec![word.clone()]),
            );
            let may_be = |word: &&String| {
                word.chars().count() >= MIN_SURNAME && names::fit(word, host) != Fit::Nothing
            };
            surnames.extend(words.iter().filter(may_be).cloned());
        }
        let label = owner(host).split('.').next().unwrap_or_default();
        all.push(tokens(label).into_iter().map(|token| token.text).collect());
        all.retain(|name| name.concat().chars().count() > 1);
        all.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Self {
            names: all,
            surnames,
        }
    }

    /// Returns the number of words from here on that are the company's name.
    pub(super) fn at(&self, tokens: &[Token]) -> Option<usize> {
        let is = |name: &&Vec<String>| {
            name.len() <= tokens.len()
                && name
                    .iter()
                    .zip(tokens)
                    .all(|(word, token)| *word == token.text)
        };
        self.names.iter().find(is).map(Vec::len)
    }

    /// Returns whether a text without spaces has one of the names.
    pub(super) fn within(&self, text: &str) -> bool {
        let long = |name: &str| name.chars().count() > 1;
        self.names
            .iter()
            .any(|name| long(&name.concat()) && text.contains(&name.concat()))
    }
}
