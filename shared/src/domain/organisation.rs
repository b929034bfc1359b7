//! Names of organisations: what the ways of writing one name have in common.
//!
//! Case, marks, Unicode's forms, punctuation and legal forms do not count; `&`, `and` and `und` are
//! the same. `Müller`, `Mueller` and `Muller` meet because a name with an umlaut has two spellings.

mod legal_forms;

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use self::legal_forms::{AT_EITHER_END, AT_END, AT_START, WITHOUT_SPACE};

/// The most words of one legal form, where each letter is a word: `S. de R. L. de C. V.`
const MAX_FORM_WORDS: usize = 8;
/// Words for `&` between two words.
const CONJUNCTIONS: [&str; 5] = ["and", "und", "et", "och", "og"];

static END: LazyLock<HashSet<String>> = LazyLock::new(|| without_spaces(AT_END));
static START: LazyLock<HashSet<String>> = LazyLock::new(|| without_spaces(AT_START));

/// With those that stand at either end.
fn without_spaces(forms: &[&str]) -> HashSet<String> {
    forms
        .iter()
        .chain(AT_EITHER_END)
        .map(|form| form.replace(' ', ""))
        .collect()
}

/// Returns the normal form of a name, by which it is looked up: `Nestlé S.A.` is `nestle`,
/// `Johnson und Johnson` is `johnson and johnson`. A name that is only a legal form stays. `None`
/// without any letter or digit.
pub fn key(name: &str) -> Option<String> {
    keys(name).into_iter().next()
}

/// Returns the normal forms of a name: that of [`key`], and where it differs the one with `ä`, `ö`,
/// `ü` as `ae`, `oe`, `ue`.
pub fn keys(name: &str) -> Vec<String> {
    let words = words(name);
    let joined = |german| {
        words
            .iter()
            .map(|word| word.normal(german))
            .collect::<Vec<_>>()
            .join(" ")
    };
    distinct(
        [joined(false), joined(true)]
            .into_iter()
            .filter(|key| !key.is_empty()),
    )
}

/// Returns the words of a name as a host name may spell them, without signs; `müller` is `mueller`
/// first, `muller` second.
pub fn spellings(name: &str) -> Vec<Vec<String>> {
    let words = words(name);
    let spelled = |german| -> Vec<String> {
        let words = words
            .iter()
            .filter(|word| !word.sign)
            .map(|word| word.text(german).replace(['+', '#'], ""));
        words.filter(|word| !word.is_empty()).collect()
    };
    distinct(
        [spelled(true), spelled(false)]
            .into_iter()
            .filter(|words| !words.is_empty()),
    )
}

/// Returns whether a label of a host name spells a name: with its legal form or without, and any
/// word or none for `&`.
pub fn spells(label: &str, name: &str) -> bool {
    let full = split(name);
    let stripped = words(name);
    let label = split(&label.replace('-', ""));
    let joined = |words: &[Word], german, conjunction: Option<&str>| -> String {
        let word = |word: &Word| {
            if word.joins() {
                conjunction.unwrap_or("").to_owned()
            } else {
                word.text(german).replace(['+', '#'], "")
            }
        };
        words.iter().map(word).collect()
    };
    let labels = [false, true].map(|german| joined(&label, german, None));
    let conjunctions = CONJUNCTIONS.iter().map(|word| Some(*word)).chain([None]);
    conjunctions
        .flat_map(|conjunction| [(false, conjunction), (true, conjunction)])
        .any(|(german, conjunction)| {
            [&full, &stripped].iter().any(|words| {
                let spelled = joined(words, german, conjunction);
                !spelled.is_empty() && labels.contains(&spelled)
            })
        })
}

/// Returns whether a name has a legal form: `Acme GmbH`, and not `Acme`.
pub fn has_legal_form(name: &str) -> bool {
    let letters = |words: &[Word]| {
        words
            .iter()
            .filter(|word| !word.joins())
            .map(|word| word.text(false))
            .collect::<String>()
    };
    letters(&words(name)) != letters(&split(name))
}

/// Returns whether two names have legal forms, and none in common: `Acme Inc.` and `Acme GmbH`.
/// Forms in several whole words that are not known by their short one contradict nothing.
pub fn has_other_form(one: &str, other: &str) -> bool {
    let (one, other) = (forms(one), forms(other));
    let known = |forms: &[String]| {
        !forms.is_empty() && (forms.len() == 1 || forms.iter().all(|form| form.len() <= 4))
    };
    known(&one) && known(&other) && one.iter().all(|form| !other.contains(form))
}

/// The words of a name's legal forms, long ones by their short one, and letters alone as one:
/// `S. A.` is `sa`.
fn forms(name: &str) -> Vec<String> {
    let mut kept: Vec<Word> = words(name)
        .into_iter()
        .filter(|word| !word.joins())
        .collect();
    let all = split(name).into_iter().filter(|word| !word.joins());
    let mut forms: Vec<String> = Vec::new();
    let mut single = false;
    for word in all {
        if let Some(at) = kept.iter().position(|kept| *kept == word) {
            kept.remove(at);
            single = false;
            continue;
        }
        let is_letter = word.plain.chars().count() == 1;
        match forms.last_mut().filter(|_| single && is_letter) {
            Some(last) => last.push_str(&word.plain),
            None => forms.push(word.plain),
        }
        single = is_letter;
    }
    // A form that is written without a space is part of a word.
    if !kept.is_empty() {
        return Vec::new();
    }
    let short = |form: &str| {
        LONG_FORMS
            .iter()
            .find(|(long, _)| *long == form)
            .map(|(_, short)| *short)
    };
    if let Some(form) = short(&forms.join(" ")) {
        return vec![form.to_owned()];
    }
    forms
        .iter()
        .map(|form| short(form).unwrap_or(form).to_owned())
        .collect()
}

/// Legal forms in words, and their short one.
const LONG_FORMS: [(&str, &str); 14] = [
    ("aktiengesellschaft", "ag"),
    ("aktiebolag", "ab"),
    ("company", "co"),
    ("corporation", "corp"),
    ("gesellschaft mit beschrankter haftung", "gmbh"),
    ("incorporated", "inc"),
    ("limited", "ltd"),
    ("limited liability company", "llc"),
    ("public limited company", "plc"),
    ("sociedad anonima", "sa"),
    ("sociedad limitada", "sl"),
    ("societa per azioni", "spa"),
    ("societe a responsabilite limitee", "sarl"),
    ("societe anonyme", "sa"),
];

/// Returns whether two names are the same organisation's, as far as their letters tell: spaces do
/// not count either.
pub fn same(one: &str, other: &str) -> bool {
    !glued(one).is_disjoint(&glued(other))
}

/// A name's spellings as one word each, with and without its conjunctions.
fn glued(name: &str) -> BTreeSet<String> {
    let words = words(name);
    let glue = |german, all: bool| {
        let words = words
            .iter()
            .filter(|word| all || !word.joins())
            .map(|word| word.normal(german));
        words.collect::<String>().replace(['+', '#'], "")
    };
    let ways = [(false, true), (false, false), (true, true), (true, false)];
    ways.into_iter()
        .map(|(german, all)| glue(german, all))
        .filter(|text| !text.is_empty())
        .collect()
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Word {
    plain: String,
    /// With `ae` for `ä`, and so on.
    german: String,
    /// It is `&` or `+`.
    sign: bool,
}

impl Word {
    fn text(&self, german: bool) -> &str {
        if german { &self.german } else { &self.plain }
    }

    fn joins(&self) -> bool {
        self.sign || CONJUNCTIONS.contains(&self.plain.as_str())
    }

    fn normal(&self, german: bool) -> &str {
        if self.joins() {
            "and"
        } else {
            self.text(german)
        }
    }

    fn push(&mut self, plain: &str, german: &str) {
        self.plain.push_str(plain);
        self.german.push_str(german);
    }
}

/// The words of a name, without legal forms.
fn words(name: &str) -> Vec<Word> {
    let mut words = split(name);
    if words.iter().all(|word| word.sign) {
        return Vec::new();
    }
    loop {
        while words.len() > 1 && words.last().is_some_and(Word::joins) {
            words.pop();
        }
        let glued = |words: &[Word]| {
            words
                .iter()
                .map(|word| word.normal(false))
                .collect::<String>()
        };
        let most = words.len().min(MAX_FORM_WORDS);
        let at_end = (1..=most)
            .rev()
            .find(|n| END.contains(&glued(&words[words.len() - n..])));
        let at_start = (1..=most)
            .rev()
            .find(|n| START.contains(&glued(&words[..*n])));
        if at_end == Some(words.len()) || at_start == Some(words.len()) {
            return words;
        }
        if let Some(n) = at_end {
            words.truncate(words.len() - n);
        } else if let Some(n) = at_start {
            words.drain(..n);
        } else if !strip_glued(&mut words) {
            return words;
        }
    }
}

/// Takes a form off that is written without a space; returns whether there was one.
fn strip_glued(words: &mut Vec<Word>) -> bool {
    let is_form = |word: &Word| WITHOUT_SPACE.contains(&word.plain.as_str());
    if let [only] = &words[..]
        && is_form(only)
    {
        return false;
    }
    for at in [words.len().saturating_sub(1), 0] {
        let Some(word) = words.get(at) else {
            return false;
        };
        if is_form(word) {
            words.remove(at);
            return true;
        }
        for form in WITHOUT_SPACE {
            let rest = |text: &str| {
                text.strip_suffix(form)
                    .or_else(|| text.strip_prefix(form))
                    .map(str::to_owned)
            };
            if let Some((plain, german)) = rest(&word.plain).zip(rest(&word.german))
                && plain.chars().any(char::is_alphanumeric)
            {
                words[at] = Word {
                    plain,
                    german,
                    sign: false,
                };
                return true;
            }
        }
    }
    false
}

/// The words as they are written, in lower case and without marks.
fn split(name: &str) -> Vec<Word> {
    let compose = ComposingNormalizerBorrowed::new_nfc();
    let classes = CanonicalCombiningClassMapBorrowed::new();
    // Signs of ownership would become letters.
    let text: String = name
        .chars()
        .filter(|c| !matches!(c, '\u{2122}' | '\u{2120}'))
        .collect();
    let text = ComposingNormalizerBorrowed::new_nfkc()
        .normalize(&text)
        .into_owned();
    // Upper case first, so that letters that have one upper case become one: ß and SS, ı and i, ς
    // and σ.
    let text: String = text
        .chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect();
    let text = DecomposingNormalizerBorrowed::new_nfkd()
        .normalize(&text)
        .into_owned();

    let mut words = Vec::new();
    let mut word = Word::default();
    let mut base = ' ';
    for c in text.chars().chain([' ']) {
        if classes.get_u8(c) != 0 {
            mark(&mut word, base, c);
            continue;
        }
        base = c;
        if silent(c) {
            continue;
        }
        if let Some((plain, german)) = letter(c) {
            word.push(plain, german);
        } else if c.is_alphanumeric() || c == '+' || c == '#' {
            let mut buffer = [0; 4];
            let c: &str = c.encode_utf8(&mut buffer);
            word.push(c, c);
        } else {
            end(&mut word, &mut words, &compose);
            if c == '&' {
                words.push(Word {
                    plain: "&".to_owned(),
                    german: "&".to_owned(),
                    sign: true,
                });
            }
        }
    }
    words
}

/// A mark says nothing about a Latin or Greek letter, but an umlaut may be spelled out; of other
/// scripts it is part of the letter.
fn mark(word: &mut Word, base: char, mark: char) {
    match (base, mark) {
        ('a' | 'o' | 'u', '\u{308}') => word.german.push('e'),
        ('\u{435}', '\u{308}') => {}
        _ if base < '\u{400}' => {}
        _ if word.plain.is_empty() => {}
        _ => {
            word.plain.push(mark);
            word.german.push(mark);
        }
    }
}

fn end(word: &mut Word, words: &mut Vec<Word>, compose: &ComposingNormalizerBorrowed<'_>) {
    let word = std::mem::take(word);
    let sign = !word.plain.is_empty() && word.plain.chars().all(|c| c == '+');
    if sign || word.plain.chars().any(char::is_alphanumeric) {
        let composed = |text: &str| compose.normalize(text).into_owned();
        words.push(Word {
            plain: composed(&word.plain),
            german: composed(&word.german),
            sign,
        });
    }
}

/// Letters that are one with others, though Unicode does not take them apart.
fn letter(c: char) -> Option<(&'static str, &'static str)> {
    Some(match c {
        'ß' => ("ss", "ss"),
        'æ' => ("ae", "ae"),
        'œ' => ("oe", "oe"),
        'ø' => ("o", "oe"),
        'ł' => ("l", "l"),
        'đ' | 'ð' => ("d", "d"),
        'þ' => ("th", "th"),
        'ħ' => ("h", "h"),
        'ı' => ("i", "i"),
        'ŧ' => ("t", "t"),
        _ => return None,
    })
}

/// Signs within a word: apostrophes and dots, and what is not seen.
fn silent(c: char) -> bool {
    matches!(
        c,
        '\'' | '`' | '.' | '\u{2bb}' | '\u{2bc}' | '\u{2018}' | '\u{2019}' | '\u{ad}' | '\u{34f}'
            | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{20dd}'..='\u{20e4}'
    )
}

#[cfg(test)]
mod tests;
