//! The uses of a sentence's words.

use super::called::Names;
use super::tokens::{Token, tokens};
use super::words::{Phrases, sort};

/// Marks words with their uses: the company's name before all, then the longest phrase.
pub(super) fn mark(tokens: &mut [Token], words: &Phrases, names: &Names) {
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        let is = |phrase: &[&str]| {
            phrase.len() <= rest.len()
                && phrase
                    .iter()
                    .zip(rest)
                    .all(|(word, token)| *word == token.text)
        };
        let phrase = || {
            let known = words
                .get(rest[0].text.as_str())?
                .iter()
                .find(|(phrase, _)| is(phrase))?;
            Some((known.0.len(), known.1))
        };
        let name = names.at(rest).map(|long| (long, sort::NAME));
        let (long, sorts) = match (name, phrase()) {
            (Some(name), Some(phrase)) if phrase.0 > name.0 => phrase,
            (Some(name), _) => name,
            (None, phrase) => phrase.unwrap_or((1, 0)),
        };
        for (nth, token) in tokens[at..at + long].iter_mut().enumerate() {
            token.sorts = sorts;
            token.goes_on = nth > 0;
        }
        at += long;
    }
}

/// Returns whether a sentence begins with the company.
pub(super) fn is_about_company(text: &str, words: &Phrases, names: &Names) -> bool {
    let mut tokens = tokens(text);
    mark(&mut tokens, words, names);
    tokens
        .iter()
        .find(|token| !token.is(sort::FILL))
        .is_some_and(|token| token.is(sort::NAME | sort::OWN | sort::WE))
}
