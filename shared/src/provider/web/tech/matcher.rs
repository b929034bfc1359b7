//! One pattern, matched in bounded time.
//!
//! The engine's time is linear, but slow: some MB a second. So in a long text a pattern is looked for only around the words
//! that each of its matches must hold (`google-analytics.com/` of `google-analytics\.com/(?:ga|urchin)\.js`), which a search
//! for plain text finds a thousand times faster, and at a few of their places only.

use memchr::memmem;
use regex_lite::{Captures, Regex, RegexBuilder};

/// How large one compiled pattern may be, in bytes.
const MAX_PATTERN: usize = 256 * 1024;
/// Texts up to this length are searched as they are, in bytes; of longer ones a pattern without words sees so much.
const SHORT: usize = 32 * 1024;
/// How far around its words a pattern looks in a long text, in bytes to each side.
const AROUND: usize = 1024;
/// At how many places of each word.
const MAX_PLACES: usize = 8;
/// Shorter words are everywhere, in bytes.
const LEAST_WORD: usize = 3;

/// A text to search in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Haystack<'t> {
    text: &'t str,
    /// The same in ASCII lower case, where the text is long.
    lower: Option<&'t str>,
}

impl<'t> Haystack<'t> {
    /// `lower` is [`lower`] of the text.
    pub(super) fn new(text: &'t str, lower: &'t str) -> Self {
        Self { text, lower: (text.len() > SHORT).then_some(lower) }
    }

    /// A text of a line or two: no more of it is looked at.
    pub(super) fn short(text: &'t str) -> Self {
        Self { text: &text[..text.floor_char_boundary(SHORT)], lower: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// What a long text is searched for words in; empty where the text is short.
pub(super) fn lower(text: &str) -> String {
    if text.len() > SHORT { text.to_ascii_lowercase() } else { String::new() }
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    regex: Regex,
    /// Every match holds one of these. `None`: nothing is known.
    words: Option<Vec<String>>,
    /// Whether the end of the text may be part of a match, which the end of a piece is not.
    ends: bool,
}

impl Matcher {
    /// The error is the reason, without the pattern.
    pub(super) fn new(expression: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(expression).case_insensitive(true).size_limit(MAX_PATTERN).build();
        let ends = expression.replace("\\\\", "").replace("\\$", "").contains('$');
        Ok(Self { regex: regex.map_err(|e| e.to_string())?, words: words(expression), ends })
    }

    /// The groups of a match. In a long text, what is bound to its end is not found.
    pub(super) fn find<'t>(&self, haystack: Haystack<'t>) -> Option<Captures<'t>> {
        let (text, Some(lower)) = (haystack.text, haystack.lower) else { return self.regex.captures(haystack.text) };
        if self.ends {
            return None;
        }
        let Some(words) = &self.words else {
            return self.regex.captures(&text[..text.floor_char_boundary(SHORT)]);
        };
        words.iter().find_map(|word| {
            let mut places = memmem::find_iter(lower.as_bytes(), word).take(MAX_PLACES);
            places.find_map(|at| {
                let from = text.floor_char_boundary(at.saturating_sub(AROUND));
                let to = text.ceil_char_boundary((at + word.len() + AROUND).min(text.len()));
                self.regex.captures(&text[from..to])
            })
        })
    }
}

/// For each alternative of an expression, the longest text that each of its matches holds, in lower case. `None` where an
/// alternative has none, or the expression is bound to the ends of the text or is written in a way that is not followed here.
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
                // Codes of more than one letter: what follows is no text.
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
                        // One class within another, or a bracket that may be meant as a sign.
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
            '^' | '$' => return None,
            _ if depth > 0 => {}
            '|' => {
                end(&mut run, &mut best);
                words.push(std::mem::take(&mut best));
            }
            '?' | '*' | '{' => {
                // What stands before it may not be there.
                run.pop();
                end(&mut run, &mut best);
                if c == '{' {
                    while chars.next()? != '}' {}
                }
            }
            '.' | '+' => end(&mut run, &mut best),
            c if c.is_ascii() => run.push(c.to_ascii_lowercase()),
            _ => end(&mut run, &mut best),
        }
    }
    end(&mut run, &mut best);
    words.push(best);
    words.iter().all(|word| word.len() >= LEAST_WORD).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_pattern_are_in_each_of_its_matches() {
        for (expression, wanted) in [
            (r"google-analytics\.com/(?:ga|urchin)\.js", Some(vec!["google-analytics.com/"])),
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
            ("^abcd", None),
            ("abcd$", None),
            (r"abcd\$", Some(vec!["abcd$"])),
            ("(?i)abcd", None),
            ("[]a]bcd", None),
            ("[^]a]bcd", None),
            ("[a-z[0-9]]bcd", None),
            (r"[\]x]bcde", Some(vec!["bcde"])),
            ("\u{fc}abc\u{fc}", Some(vec!["abc"])),
            (r"ab\.c\d", Some(vec!["ab.c"])),
        ] {
            assert_eq!(words(expression), wanted.map(|w| w.into_iter().map(str::to_owned).collect()), "{expression}");
        }
    }

    #[test]
    fn long_texts_are_searched_around_the_words() {
        let find = |expression: &str, text: &str| {
            let lower = lower(text);
            let found = Matcher::new(expression).unwrap().find(Haystack::new(text, &lower));
            found.map(|c| c.get(0).map_or("", |all| all.as_str()).to_owned())
        };
        let far = "\u{fc} ".repeat(100_000);
        for text in ["<DIV Data-V-1>", &format!("{far}data-v-x {far}<DIV Data-V-1>{far}")] {
            assert_eq!(find(r"<div[^>]* data-v-(\d)", text).as_deref(), Some("<DIV Data-V-1"));
            assert_eq!(find(r"data-w-\d", text), None);
        }
        let late = format!("{far}1");
        assert_eq!(find(r"\d", "1").as_deref(), Some("1"));
        assert_eq!((find(r"\\$", "\\").is_some(), find("\u{fc} $", &far)), (true, None));
        assert_eq!(find(r"^\S", &far).as_deref(), Some("\u{fc}"));
        assert_eq!(find(r"\d", &late), None, "without words only the beginning is searched");
    }
}
