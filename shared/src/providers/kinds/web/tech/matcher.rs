//! One pattern, matched in bounded time.
//!
//! The engine's time is linear, but slow: some MB a second. So a pattern is searched only around
//! the words that each of its matches must contain (`google-analytics.com/` of
//! `google-analytics\.com/(?:ga|urchin)\.js`): a search for plain text is a thousand times faster.
//! In a long text, only a few of their places count. Pages with all of them are bounded by a
//! budget: the bytes that the engine reads for all patterns together.

use std::cell::Cell;

use memchr::memmem;
use regex_lite::{Captures, Regex, RegexBuilder};

/// The largest compiled pattern, in bytes.
const MAX_PATTERN: usize = 256 * 1024;
/// The longest text that is searched whole, in bytes; of longer ones a pattern without words sees
/// only this much.
const SHORT: usize = 32 * 1024;
/// The reach of a pattern around its words in a long text, in bytes to each side.
const AROUND: usize = 1024;
/// The most places of each word.
const MAX_PLACES: usize = 8;
/// The shortest word that is searched, in bytes: shorter ones are everywhere.
const LEAST_WORD: usize = 3;

/// The most of one page that the engine may read for all patterns together, in bytes: some seconds
/// of it. Real pages need a tenth.
const MAX_SEARCHED: usize = 8 * 1024 * 1024;

/// The bytes that the engine may still read for a page.
#[derive(Debug)]
pub(super) struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self::new(MAX_SEARCHED)
    }
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Cell::new(bytes))
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    /// Takes this many bytes; returns whether enough were left.
    fn take(&self, bytes: usize) -> bool {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// A text to search in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Haystack<'t> {
    pub(super) text: &'t str,
    /// The same in ASCII lower case.
    pub(super) lower: &'t str,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    regex: Regex,
    /// Every match contains one of these. `None`: nothing is known.
    words: Option<Vec<String>>,
    /// Set if the beginning or the end of the text may be part of a match: those of a piece are
    /// not.
    starts: bool,
    ends: bool,
}

impl Matcher {
    /// Compiles an expression. The error is the reason, without the pattern.
    pub(super) fn new(expression: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(expression)
            .case_insensitive(true)
            .size_limit(MAX_PATTERN)
            .build();
        let plain = expression
            .replace("\\\\", "")
            .replace("\\$", "")
            .replace("\\^", "")
            .replace("[^", "");
        let (starts, ends) = (plain.contains('^'), plain.contains('$'));
        Ok(Self {
            regex: regex.map_err(|e| e.to_string())?,
            words: words(expression),
            starts,
            ends,
        })
    }

    /// Returns the groups of a match. In a long text, a match that is bound to its end is not
    /// found; nor is any once the budget is spent.
    pub(super) fn find<'t>(&self, haystack: Haystack<'t>, budget: &Budget) -> Option<Captures<'t>> {
        let Haystack { text, lower } = haystack;
        let search = |piece: &'t str| {
            if budget.take(piece.len()) {
                self.regex.captures(piece)
            } else {
                None
            }
        };
        let long = text.len() > SHORT;
        let words = match &self.words {
            _ if budget.is_spent() || (long && self.ends) => return None,
            Some(words) if !long || !self.starts => words,
            _ => return search(&text[..text.floor_char_boundary(SHORT)]),
        };
        if !long {
            return if words
                .iter()
                .any(|word| memmem::find(lower.as_bytes(), word.as_bytes()).is_some())
            {
                search(text)
            } else {
                None
            };
        }
        words.iter().find_map(|word| {
            let mut places = memmem::find_iter(lower.as_bytes(), word).take(MAX_PLACES);
            places.find_map(|at| {
                let from = text.floor_char_boundary(at.saturating_sub(AROUND));
                let to = text.ceil_char_boundary((at + word.len() + AROUND).min(text.len()));
                search(&text[from..to])
            })
        })
    }
}

/// Returns the longest text that each match of each alternative contains, in lower case. `None` if
/// an alternative has none, or the expression has a form that is not analysed here.
fn words(expression: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    // The longest word of this alternative, and the one being read.
    let (mut best, mut run) = (String::new(), String::new());
    let mut depth = 0_usize;
    let end = |run: &mut String, best: &mut String| {
        let run = std::mem::take(run);
        if run.len() > best.len() {
            *best = run;
        }
    };
    let mut chars = expression.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                // Codes of more than one letter: what follows is not text.
                'x' | 'u' | 'U' | 'p' | 'P' | 'k' | 'c' | '0'..='9' => return None,
                c if c.is_ascii_alphanumeric() => end(&mut run, &mut best),
                c if depth == 0 && c.is_ascii() => run.push(c),
                _ => end(&mut run, &mut best),
            },
            '[' => {
                end(&mut run, &mut best);
                let mut first = true;
                loop {
                    match chars.next()? {
                        '\\' => drop(chars.next()?),
                        // One class within another, or a bracket that may be literal.
                        '[' | ']' if first => return None,
                        '[' => return None,
                        ']' => break,
                        '^' if first => continue,
                        _ => {}
                    }
                    first = false;
                }
            }
            '(' => {
                end(&mut run, &mut best);
                depth += 1;
                if chars.next_if_eq(&'?').is_some() && chars.next_if_eq(&':').is_none() {
                    return None;
                }
            }
            ')' => depth = depth.checked_sub(1)?,
            _ if depth > 0 => {}
            '|' => {
                end(&mut run, &mut best);
                words.push(std::mem::take(&mut best));
            }
            '?' | '*' | '{' => {
                // The character before it is optional.
                run.pop();
                end(&mut run, &mut best);
                if c == '{' {
                    while chars.next()? != '}' {}
                }
            }
            '.' | '+' | '^' | '$' => end(&mut run, &mut best),
            c if c.is_ascii() => run.push(c.to_ascii_lowercase()),
            _ => end(&mut run, &mut best),
        }
    }
    end(&mut run, &mut best);
    words.push(best);
    words
        .iter()
        .all(|word| word.len() >= LEAST_WORD)
        .then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_pattern_are_in_each_of_its_matches() {
        for (expression, wanted) in [
            (
                r"google-analytics\.com/(?:ga|urchin)\.js",
                Some(vec!["google-analytics.com/"]),
            ),
            (r"<div [^>]*id=\x22", None),
            (r"<[^>]+\sX-Data[=\s>]", Some(vec!["x-data"])),
            ("abc?d", None),
            ("abcd?ef", Some(vec!["abc"])),
            ("abcde*", Some(vec!["abcd"])),
            ("abcd+e", Some(vec!["abcd"])),
            ("abcd{0,2}e", Some(vec!["abc"])),
            ("cdn-one|cdn-two", Some(vec!["cdn-one", "cdn-two"])),
            ("cdn-one|a", None),
            ("(?:cdn-one|cdn-two)", None),
            ("(abc)?def", Some(vec!["def"])),
            ("^abcd", Some(vec!["abcd"])),
            ("^a|^bcde", None),
            ("^ab(?:c$|d)efg", Some(vec!["efg"])),
            ("abcd$", Some(vec!["abcd"])),
            (r"abcd\$", Some(vec!["abcd$"])),
            ("(?i)abcd", None),
            ("[]a]bcd", None),
            ("[^]a]bcd", None),
            ("[a-z[0-9]]bcd", None),
            (r"[\]x]bcde", Some(vec!["bcde"])),
            ("\u{fc}abc\u{fc}", Some(vec!["abc"])),
            (r"ab\.c\d", Some(vec!["ab.c"])),
        ] {
            assert_eq!(
                words(expression),
                wanted.map(|w| w.into_iter().map(str::to_owned).collect()),
                "{expression}"
            );
        }
    }

    #[test]
    fn long_texts_are_searched_around_the_words() {
        let find = |expression: &str, text: &str| {
            let lower = text.to_ascii_lowercase();
            let found = Matcher::new(expression).unwrap().find(
                Haystack {
                    text,
                    lower: &lower,
                },
                &Budget::default(),
            );
            found.map(|c| c.get(0).map_or("", |all| all.as_str()).to_owned())
        };
        let far = "\u{fc} ".repeat(100_000);
        for text in [
            "<DIV Data-V-1>",
            &format!("{far}data-v-x {far}<DIV Data-V-1>{far}"),
        ] {
            assert_eq!(
                find(r"<div[^>]* data-v-(\d)", text).as_deref(),
                Some("<DIV Data-V-1")
            );
            assert_eq!(find(r"data-w-\d", text), None);
        }
        let late = format!("{far}1");
        assert_eq!(find(r"\d", "1").as_deref(), Some("1"));
        assert_eq!(
            (find(r"\\$", "\\").is_some(), find("\u{fc} $", &far)),
            (true, None)
        );
        assert_eq!(find(r"^\S", &far).as_deref(), Some("\u{fc}"));
        assert_eq!(
            find(r"\d", &late),
            None,
            "without words only the beginning is searched"
        );
    }

    #[test]
    fn short_texts_without_the_words_cost_the_engine_nothing() {
        let budget = Budget::default();
        let cost = |expression: &str, text: &str| {
            let before = budget.0.get();
            let lower = text.to_ascii_lowercase();
            let found = Matcher::new(expression)
                .unwrap()
                .find(
                    Haystack {
                        text,
                        lower: &lower,
                    },
                    &budget,
                )
                .is_some();
            (found, before - budget.0.get())
        };
        assert_eq!(cost("^WordPress ?([\\d.]+)?$", "Drupal"), (false, 0));
        assert_eq!(cost("^WordPress ?([\\d.]+)?$", "WORDPRESS 6"), (true, 11));
        assert_eq!(cost("\\d", "Drupal"), (false, 6));
        budget.0.set(5);
        assert_eq!(
            (cost("\\d", "Drupal 7").0, cost("\\d", "7").0),
            (false, false),
            "what is spent is spent"
        );
    }
}
