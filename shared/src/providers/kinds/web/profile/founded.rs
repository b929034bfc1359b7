//! The year in which a company was founded, in what its page says.
//!
//! A year counts where a sentence says that the company was founded in it, or what it has done since. What says the same of an
//! office, a product, a customer or a person does not.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::LazyLock;

use crate::providers::kinds::web::html::Line;
use crate::providers::kinds::web::names;
use crate::providers::kinds::web::names::Fit;
use crate::providers::kinds::web::owner;
use crate::providers::kinds::web::places::Place;

/// The longest line and sentence that are read, in bytes.
const MAX_LINE: usize = 8 * 1024;
const MAX_SENTENCE: usize = 400;
/// The most sentences with a year that are read.
const MAX_SENTENCES: usize = 1_000;
/// The most words between a verb and its year, and between a name and what is said of it.
const MAX_BETWEEN: usize = 10;
const MAX_ASIDE: usize = 2;
/// The most words beside a year that has no verb, and of a sentence with `since`.
const MAX_BADGE: usize = 3;
const MAX_SINCE: usize = 25;
/// The longest label of a year in a line of its own, in bytes.
const MAX_LABEL: usize = 60;
/// The most words of a name, and the fewest letters of a founder's name.
const MAX_NAME: usize = 10;
const MIN_SURNAME: usize = 4;
/// The most characters between a year and its word where words have no spaces between them.
const MAX_WITHIN: usize = 12;

/// Signs that end a sentence wherever they stand, and those that do between spaces.
const ENDS: &str = "!?;|\u{3002}\u{ff01}\u{ff1f}\u{b7}\u{2022}\u{2026}\u{a9}\u{ff5c}";
const DASHES: &str = "-\u{2013}\u{2014}";
/// Words whose dot ends no sentence.
const ABBREVIATED: &str = "est estd gegr zal zał inc ltd co corp bros gebr dr mr mrs st nr no";

/// What a word is for, as sets.
mod sort {
    pub(super) const FOUNDED: u32 = 1;
    pub(super) const FOUNDS: u32 = 1 << 1;
    pub(super) const EST: u32 = 1 << 2;
    pub(super) const LABEL: u32 = 1 << 3;
    pub(super) const SINCE: u32 = 1 << 4;
    pub(super) const SINCE_BEHIND: u32 = 1 << 5;
    pub(super) const WORK: u32 = 1 << 6;
    pub(super) const BEGAN: u32 = 1 << 7;
    pub(super) const STORY: u32 = 1 << 8;
    pub(super) const OWN: u32 = 1 << 9;
    pub(super) const WE: u32 = 1 << 10;
    pub(super) const IT: u32 = 1 << 11;
    pub(super) const BE: u32 = 1 << 12;
    pub(super) const PREP: u32 = 1 << 13;
    pub(super) const LINK: u32 = 1 << 14;
    pub(super) const OTHER: u32 = 1 << 15;
    pub(super) const NEWS: u32 = 1 << 16;
    pub(super) const UNIT: u32 = 1 << 17;
    /// The company's name.
    pub(super) const NAME: u32 = 1 << 18;
    /// What makes a sentence worth reading.
    pub(super) const ANY: u32 = FOUNDED | FOUNDS | EST | LABEL | SINCE | SINCE_BEHIND | BEGAN;
    /// What has no meaning of its own beside a year.
    pub(super) const FILL: u32 = LINK | PREP | BE;

    /// The sets by their names in the data, in order.
    pub(super) const NAMES: &str = "founded founds est label since since_behind work began story own we it be prep link other news unit";
}

/// What says the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// A verb or a noun of founding.
    Founded,
    /// What has been done since, a badge, or how it began.
    Since,
}

/// Phrases of a language by their first word, the longest first.
type Phrases = HashMap<&'static str, Vec<(Vec<&'static str>, u32)>>;

struct Words {
    languages: Vec<Phrases>,
    within: Vec<&'static str>,
    within_own: Vec<&'static str>,
    within_other: Vec<&'static str>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let mut words = Words {
        languages: vec![],
        within: vec![],
        within_own: vec![],
        within_other: vec![],
    };
    let mut languages: BTreeMap<&str, Phrases> = BTreeMap::new();
    for line in include_str!("founded.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let mut parts = line.split('\t');
        let (Some(sort), Some(language), Some(phrases)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let list = phrases.split(", ");
        match sort {
            "within" => words.within.extend(list),
            "within_own" => words.within_own.extend(list),
            "within_other" => words.within_other.extend(list),
            _ => {
                let Some(nth) = sort::NAMES.split(' ').position(|name| name == sort) else {
                    continue;
                };
                let known = languages.entry(language).or_default();
                for phrase in list {
                    let phrase: Vec<&str> = phrase.split(' ').collect();
                    let same = known.entry(phrase[0]).or_default();
                    match same.iter_mut().find(|(other, _)| *other == phrase) {
                        Some((_, sorts)) => *sorts |= 1 << nth,
                        None => same.push((phrase, 1 << nth)),
                    }
                }
            }
        }
    }
    words.languages = languages.into_values().collect();
    for phrases in words
        .languages
        .iter_mut()
        .flat_map(|language| language.values_mut())
    {
        phrases.sort_by_key(|(phrase, _)| std::cmp::Reverse(phrase.len()));
    }
    words
});

/// The company's names, as words.
struct Names {
    /// Whole names and their beginnings, the longest first.
    names: Vec<Vec<String>>,
    /// Words that may be its founder's name.
    surnames: Vec<String>,
}

impl Names {
    fn of<'n>(names: impl Iterator<Item = &'n str>, host: &str) -> Self {
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

    /// How many words from here on are the company's name.
    fn at(&self, tokens: &[Token]) -> Option<usize> {
        let is = |name: &&Vec<String>| {
            name.len() <= tokens.len()
                && name
                    .iter()
                    .zip(tokens)
                    .all(|(word, token)| *word == token.text)
        };
        self.names.iter().find(is).map(Vec::len)
    }

    /// Whether a text without spaces has one of the names.
    fn within(&self, text: &str) -> bool {
        let long = |name: &str| name.chars().count() > 1;
        self.names
            .iter()
            .any(|name| long(&name.concat()) && text.contains(&name.concat()))
    }
}

#[derive(Debug, Default)]
struct Token {
    /// In lower case.
    text: String,
    capital: bool,
    /// A comma or a bracket stands before it.
    comma: bool,
    year: Option<i32>,
    sorts: u32,
    /// It goes on with the phrase that the token before is of.
    goes_on: bool,
}

impl Token {
    fn is(&self, sorts: u32) -> bool {
        self.sorts & sorts != 0
    }
}

/// The words of a sentence; numbers with what belongs to them, so that `1999-2005` and `1.999` are no years.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens: Vec<Token> = Vec::new();
    let (mut at, mut comma) = (0, false);
    while at < chars.len() {
        let from = at;
        let c = chars[at];
        if c.is_ascii_digit() {
            let in_number = |at: usize| {
                let next = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
                next(at)
                    || (chars
                        .get(at)
                        .is_some_and(|c| ".,/-:\u{2013}'\u{2019}".contains(*c))
                        && next(at + 1))
            };
            while in_number(at) {
                at += 1;
            }
            let digits = at;
            while chars.get(at).is_some_and(|c| c.is_alphanumeric()) {
                at += 1;
            }
            let number: String = chars[from..digits].iter().collect();
            let behind: String = chars[digits..at].iter().collect();
            let sign = |at: Option<usize>| at.and_then(|at| chars.get(at)).copied().unwrap_or(' ');
            let before = sign(from.checked_sub(1));
            let tail = [sign(Some(at)), sign(Some(at + 1))];
            let is_price = "$\u{a3}\u{20ac}#+-/.".contains(before)
                && !(before == '.' && from > 1 && chars[from - 2].is_alphabetic())
                || matches!(
                    tail,
                    [',', '-' | '\u{2013}']
                        | ['\'' | '\u{2019}', 's']
                        | ['+' | '%' | '/' | '-' | '\u{2013}', _]
                )
                || "$\u{a3}\u{20ac}%".contains(tail[1]);
            let is_word = behind.is_empty() || matches!(behind.as_str(), "r" | "\u{433}");
            let year = (is_word && !is_price).then(|| year(&number)).flatten();
            tokens.push(Token {
                text: number + &behind,
                comma,
                year,
                ..Token::default()
            });
            comma = false;
        } else if c.is_alphabetic() {
            while chars
                .get(at)
                .is_some_and(|c| c.is_alphabetic() || ('\u{300}'..='\u{36f}').contains(c))
            {
                at += 1;
            }
            let word: String = chars[from..at].iter().collect();
            tokens.push(Token {
                text: word.to_lowercase(),
                capital: c.is_uppercase(),
                comma,
                ..Token::default()
            });
            comma = false;
        } else {
            comma |= ",()\u{3001}".contains(c);
            at += 1;
        }
    }
    tokens
}

/// The year of `1999`, `01.05.1999` or `1999-05-01`.
fn year(number: &str) -> Option<i32> {
    let parts: Vec<&str> = number.split(['.', '/', '-']).collect();
    let year = match parts[..] {
        [year] => year,
        [day, month, year] if day.len() <= 2 && month.len() <= 2 => year,
        [year, month, day] if day.len() == 2 && month.len() == 2 => year,
        _ => return None,
    };
    Some(year)
        .filter(|year| year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()))?
        .parse()
        .ok()
}

/// The sentences of a line, without those that say whose copyright it is.
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

/// The year in which a company was founded, as its page's lines say. `called` are its names. Of several years none is told, but
/// what says that it was founded goes before what has been since.
pub(super) fn year_in<'n>(
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

/// A year that has a line of its own, with the line that may be its label: the one before it, or the one behind it as below counters.
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

/// Whether four digits stand together.
fn has_year(text: &str) -> bool {
    let is_digit = |c: &char| c.is_ascii_digit() || ('\u{ff10}'..='\u{ff19}').contains(c);
    let mut together = 0;
    text.chars().any(|c| {
        together = if is_digit(&c) { together + 1 } else { 0 };
        together == 4
    })
}

struct Sentence {
    tokens: Vec<Token>,
    years: Vec<usize>,
}

impl Sentence {
    /// The words of a sentence with what they are for in a language; nothing where no year or no word of it makes it worth reading.
    fn read(text: &str, words: &Phrases, names: &Names) -> Option<Self> {
        let mut tokens = tokens(text);
        mark(&mut tokens, words, names);
        let any = tokens.iter().fold(0, |any, token| any | token.sorts);
        let next_is = |at: usize| {
            tokens
                .get(at + 1)
                .is_some_and(|next| next.is(sort::UNIT) && !next.comma)
        };
        let years: Vec<usize> = (0..tokens.len())
            .filter(|at| tokens[*at].year.is_some() && !next_is(*at))
            .collect();
        (any & sort::ANY != 0 && !years.is_empty()).then_some(Self { tokens, years })
    }

    fn founded(
        &self,
        before: &str,
        in_line: bool,
        words: &Phrases,
        names: &Names,
    ) -> Option<(i32, Said)> {
        let heads = |sorts: u32| (0..self.tokens.len()).filter(move |at| self.starts(*at, sorts));
        let sure = heads(sort::FOUNDED)
            .find_map(|at| {
                self.participle(at, || in_line && is_about_company(before, words, names))
            })
            .or_else(|| heads(sort::FOUNDS).find_map(|at| self.active(at)))
            .or_else(|| heads(sort::LABEL).find_map(|at| self.label(at)));
        let others = || {
            { heads(sort::EST) }
                .find_map(|at| self.badge(at))
                .or_else(|| {
                    heads(sort::SINCE | sort::SINCE_BEHIND)
                        .find_map(|at| self.since(at, before, words, names))
                })
                .or_else(|| heads(sort::BEGAN).find_map(|at| self.began(at, names)))
        };
        let year = |at: usize| self.tokens[at].year;
        { sure.and_then(year).map(|year| (year, Said::Founded)) }
            .or_else(|| others().and_then(year).map(|year| (year, Said::Since)))
    }

    fn starts(&self, at: usize, sorts: u32) -> bool {
        self.tokens[at].is(sorts) && !self.tokens[at].goes_on
    }

    /// Where the phrase ends that begins here.
    fn end(&self, at: usize) -> usize {
        (at + 1..self.tokens.len())
            .find(|at| !self.tokens[*at].goes_on)
            .unwrap_or(self.tokens.len())
    }

    fn any(&self, range: Range<usize>, sorts: u32) -> bool {
        self.tokens
            .get(range)
            .unwrap_or_default()
            .iter()
            .any(|token| token.is(sorts))
    }

    fn all(&self, range: Range<usize>, sorts: u32) -> bool {
        self.tokens
            .get(range)
            .unwrap_or_default()
            .iter()
            .all(|token| token.is(sorts))
    }

    /// How many words it has.
    fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The year of a verb: the one beside it, or the only one of the sentence.
    fn year_of(&self, verb: usize) -> Option<usize> {
        let end = self.end(verb);
        let beside = |year: &&usize| {
            (**year >= end && self.all(end..**year, sort::FILL))
                || (**year < verb && self.all(**year + 1..verb, sort::FILL))
        };
        let near = |year: &&usize| year.abs_diff(verb) <= MAX_BETWEEN;
        let beside: Vec<usize> = self.years.iter().filter(beside).copied().collect();
        match (&beside[..], &self.years[..]) {
            ([year], _) => Some(*year),
            ([], [year]) => Some(*year).filter(|year| near(&year)),
            _ => None,
        }
    }

    /// `Acme was founded in 1999`, `Founded in 1999`, `1926 gegründet`.
    fn participle(&self, verb: usize, it_is_company: impl Fn() -> bool) -> Option<usize> {
        let year = self.year_of(verb)?;
        let end = self.end(verb);
        let hi = end.max(year + 1);
        if self.any(0..hi, sort::OTHER) {
            return None;
        }
        let is_filled = |at: &usize| *at == year || self.tokens[*at].is(sort::FILL);
        let meant: Vec<usize> = (0..verb).filter(|at| !is_filled(at)).collect();
        let passive = self.any(0..verb, sort::BE);
        if meant.is_empty() {
            return self.is_told_of_company(hi).then_some(year);
        }
        let subject = |sorts: u32| {
            let own = (0..verb).rev().find(|at| self.tokens[*at].is(sorts))?;
            // Up to the verb, or to what makes it passive.
            let to = (own + 1..verb)
                .find(|at| self.tokens[*at].is(sort::BE))
                .unwrap_or(verb);
            let aside = (own + 1..to).filter(|at| !is_filled(at)).count();
            let in_a_place = self
                .tokens
                .get(own + 1)
                .is_some_and(|token| token.is(sort::PREP));
            let between = (own + 1..verb).filter(|at| !is_filled(at)).count();
            (aside <= if in_a_place { MAX_ASIDE } else { 0 } && between <= MAX_BETWEEN)
                .then_some(own)
        };
        // `We founded a school`, `Acme founded schools`.
        let is_active =
            !passive && end < self.len() && end != year && !self.tokens[end].is(sort::PREP);
        let told = if passive {
            subject(sort::NAME | sort::OWN | sort::WE).is_some()
                || (self.any(0..verb, sort::IT) && meant.len() == 1 && it_is_company())
        } else {
            !is_active && subject(sort::NAME | sort::OWN).is_some()
        };
        told.then_some(year)
    }

    /// Whether what stands behind a participle without a subject can be told of the company: `, we make anvils`.
    fn is_told_of_company(&self, from: usize) -> bool {
        let rest = &self.tokens[from.min(self.len())..];
        let Some(comma) = rest.iter().position(|token| token.comma) else {
            return !rest.iter().any(|token| token.is(sort::OTHER)) || rest[0].is(sort::PREP);
        };
        let rest = &rest[comma..];
        let own = rest
            .iter()
            .position(|token| token.is(sort::NAME | sort::OWN | sort::WE));
        let other = rest.iter().position(|token| token.is(sort::OTHER));
        match (own, other) {
            (Some(own), Some(other)) => own < other,
            (Some(_), None) => true,
            (None, None) => rest.len() <= MAX_BADGE,
            (None, Some(_)) => false,
        }
    }

    /// `1926 gründete Ernst Hallmann die Firma`, `Jane Doe founded Acme in 1999`.
    fn active(&self, verb: usize) -> Option<usize> {
        let year = self.year_of(verb)?;
        let end = self.end(verb);
        let to = (end + 1..self.len())
            .find(|at| self.tokens[*at].comma)
            .unwrap_or(self.len());
        let object = (end..to.min(end + MAX_BETWEEN))
            .find(|at| self.tokens[*at].is(sort::NAME | sort::OWN))?;
        // `the first company`, `another firm`, `Acme's school`
        let object_ends = self.end(object);
        let is_whole = object_ends >= to
            || object_ends == year
            || self.tokens[object_ends].is(sort::FILL)
            || self.tokens[object_ends].text.len() == 1;
        let between = (end..object).filter(|at| {
            *at != year && !self.tokens[*at].is(sort::FILL) && !self.tokens[*at].capital
        });
        (is_whole && between.count() == 0 && !self.any(0..self.len(), sort::OTHER)).then_some(year)
    }

    /// `Gründungsjahr: 1926`.
    fn label(&self, label: usize) -> Option<usize> {
        let end = self.end(label);
        let year = *self.years.first().filter(|year| **year >= end)?;
        let is_plain = self.all(end..year, sort::FILL | sort::OWN | sort::NAME);
        (label == 0 && is_plain && self.years.len() == 1 && !self.any(0..self.len(), sort::OTHER))
            .then_some(year)
    }

    /// `Acme Forge Est. 1987`.
    fn badge(&self, est: usize) -> Option<usize> {
        let year = self.end(est);
        let before = (0..est)
            .filter(|at| !self.tokens[*at].is(sort::FILL))
            .count();
        let is_badge = before <= MAX_BADGE || self.any(0..est, sort::NAME);
        (self.years == [year] && is_badge && !self.any(0..self.len(), sort::OTHER)).then_some(year)
    }

    /// `Family business since 1987`, `Seit 1926`.
    fn since(&self, since: usize, before: &str, words: &Phrases, names: &Names) -> Option<usize> {
        let year = if self.tokens[since].is(sort::SINCE) {
            let end = self.end(since);
            (end..self.len())
                .find(|at| self.tokens[*at].year.is_some() || !self.tokens[*at].is(sort::LINK))
        } else {
            (0..since)
                .rev()
                .find(|at| self.tokens[*at].year.is_some() || !self.tokens[*at].is(sort::LINK))
        };
        let year = year.filter(|year| self.years == [*year])?;
        if self.len() > MAX_SINCE || self.any(0..self.len(), sort::OTHER | sort::NEWS) {
            return None;
        }
        let is_said = |at: &usize| {
            let token = &self.tokens[*at];
            !token.is(sort::FILL | sort::NAME | sort::SINCE | sort::SINCE_BEHIND | sort::WORK)
                && *at != year
        };
        let others = (0..self.len()).filter(is_said).count();
        let alone = !self.any(0..self.len(), sort::WORK | sort::NAME);
        let told = if alone {
            // Whose it is may stand above: a person with an office, a customer.
            let mut above = tokens(before);
            mark(&mut above, words, names);
            others == 0 && !above.iter().any(|token| token.is(sort::OTHER | sort::NEWS))
        } else {
            self.any(0..self.len(), sort::WORK) || others <= MAX_ASIDE
        };
        told.then_some(year)
    }

    /// `It all began in 1926`, `1926 begann Ernst Hallmann in der Küche`.
    fn began(&self, verb: usize, names: &Names) -> Option<usize> {
        let year = self.year_of(verb)?;
        let is_founder = |at: usize| {
            let named = names.surnames.contains(&self.tokens[at].text) && self.tokens[at].capital;
            let given = at.checked_sub(1).map(|before| &self.tokens[before]);
            named
                && given.is_some_and(|given| {
                    given.capital && given.sorts == 0 && !names.surnames.contains(&given.text)
                })
        };
        let subject = (0..self.len())
            .any(|at| self.tokens[at].is(sort::STORY) && at.abs_diff(verb) <= MAX_BADGE)
            || (0..self.len()).any(is_founder);
        let is_other = self.any(0..self.len(), sort::OTHER | sort::NEWS | sort::WE);
        (self.years.len() == 1 && subject && !is_other).then_some(year)
    }
}

/// Says of words what they are for: the company's name before all, then the longest phrase.
fn mark(tokens: &mut [Token], words: &Phrases, names: &Names) {
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

/// Whether a sentence begins with the company.
fn is_about_company(text: &str, words: &Phrases, names: &Names) -> bool {
    let mut tokens = tokens(text);
    mark(&mut tokens, words, names);
    tokens
        .iter()
        .find(|token| !token.is(sort::FILL))
        .is_some_and(|token| token.is(sort::NAME | sort::OWN | sort::WE))
}

/// The year of `創業1926年`, `1926年に仙台で創業`, `成立于1999年`.
fn within(sentence: &str, names: &Names) -> Option<i32> {
    let digit = |c: char| char::from_u32(u32::from(c) - 0xff10 + u32::from('0')).unwrap_or(c);
    let text: String = sentence
        .chars()
        .map(|c| {
            if ('\u{ff10}'..='\u{ff19}').contains(&c) {
                digit(c)
            } else {
                c
            }
        })
        .collect();
    let lower = text.to_lowercase();
    let of = |list: &[&str]| list.iter().any(|word| lower.contains(word));
    let (word, word_at) = WORDS
        .within
        .iter()
        .find_map(|word| Some((*word, lower.find(word)?)))?;
    if of(&WORDS.within_other) {
        return None;
    }
    let numbers: Vec<(usize, &str)> = { lower.split(|c: char| !c.is_ascii_digit()) }
        .filter(|number| number.len() == 4)
        .map(|number| (number.as_ptr() as usize - lower.as_ptr() as usize, number))
        .collect();
    let [(at, number)] = numbers[..] else {
        return None;
    };
    let behind = lower[at + number.len()..].trim_start();
    let (from, between) = if word_at < at {
        (word_at, &lower[word_at + word.len()..at])
    } else {
        (at, lower.get(at + number.len()..word_at)?)
    };
    // `1926年`, and before the year nothing but signs and particles; `創業 1926`.
    let is_glue = |c: char| {
        c.is_whitespace()
            || ":\u{ff1a}\u{306f}\u{306b}\u{4e8e}\u{65bc}\u{81ea}\u{fe55}/".contains(c)
    };
    let is_near = if word_at < at {
        between.chars().all(is_glue) && (behind.is_empty() || behind.starts_with('\u{5e74}'))
    } else {
        behind.starts_with('\u{5e74}')
            && between.chars().count() <= MAX_WITHIN
            && !between.contains(',')
    };
    let before = lower[..from].trim_matches(|c: char| !c.is_alphanumeric());
    let own = before.is_empty()
        || names.within(&before.replace(' ', ""))
        || WORDS.within_own.iter().any(|own| before.contains(own));
    (is_near && own).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Vec<Line> {
        text.split('\n')
            .map(|text| Line {
                text: text.to_owned(),
                ..Line::default()
            })
            .collect()
    }

    fn read(text: &str) -> Option<(i32, Said)> {
        let names = [
            "Hallmann Draht",
            "Hallmann Draht GmbH",
            "\u{9752}\u{8449}\u{8a08}\u{5668}",
        ];
        year_in(
            &page(text),
            "www.hallmann-draht.example",
            names.into_iter(),
            2026,
        )
    }

    #[test]
    fn a_company_was_founded_where_a_sentence_says_so() {
        for (text, year) in [
            ("Founded in 1999", 1999),
            ("Founded in 1999 by two brothers in Leeds.", 1999),
            ("Founded: 1999", 1999),
            ("Employees\n12\nFounded\n1999\nOffices\n2", 1999),
            ("1999\nYear established\n12\nEmployees", 1999),
            ("Founded on May 3, 1999", 1999),
            ("Established 1987", 1987),
            ("Hallmann Draht was founded in 1926.", 1926),
            ("Hallmann Draht GmbH, founded in 1926, makes springs.", 1926),
            (
                "Founded in 1926, Hallmann Draht makes springs in Berlin.",
                1926,
            ),
            (
                "In 1926 the company was founded in Berlin by Ernst Hallmann.",
                1926,
            ),
            ("We are proud of what we do. We were founded in 1926.", 1926),
            (
                "Hallmann Draht makes springs. It was established in 1926 in Berlin.",
                1926,
            ),
            ("Jane Doe founded the company in 1999.", 1999),
            ("In 1926, Ernst Hallmann founded Hallmann Draht.", 1926),
            ("Family-owned | Established in 1987 | Leeds", 1987),
            (
                "\u{a9} 1999\u{2013}2026 Hallmann Draht. Established 1926.",
                1926,
            ),
            ("Gegr\u{fc}ndet 1926", 1926),
            (
                "Hallmann Draht wurde 1926 in Berlin von Ernst Hallmann gegr\u{fc}ndet.",
                1926,
            ),
            ("Gr\u{fc}ndungsjahr: 1926", 1926),
            ("1926 gr\u{fc}ndete Ernst Hallmann die Firma.", 1926),
            ("Unser Unternehmen wurde im Jahr 1926 gegr\u{fc}ndet", 1926),
            (
                "Fond\u{e9}e en 1962, notre entreprise fabrique des ressorts.",
                1962,
            ),
            (
                "L\u{2019}entreprise a \u{e9}t\u{e9} fond\u{e9}e en 1962 \u{e0} Lyon.",
                1962,
            ),
            ("Fundada en 1999", 1999),
            ("La empresa fue fundada en 1999 por dos hermanos.", 1999),
            ("Fundada em 1985", 1985),
            ("A empresa foi fundada em 1985.", 1985),
            ("Fondata nel 1950", 1950),
            ("L'azienda \u{e8} stata fondata nel 1950", 1950),
            ("Opgericht in 1911", 1911),
            ("Ons bedrijf werd in 1911 opgericht.", 1911),
            ("Firma zosta\u{142}a za\u{142}o\u{17c}ona w 1991 r.", 1991),
            (
                "\u{41a}\u{43e}\u{43c}\u{43f}\u{430}\u{43d}\u{438}\u{44f} \u{43e}\u{441}\u{43d}\u{43e}\u{432}\u{430}\u{43d}\u{430} \u{432} 1998 \u{433}\u{43e}\u{434}\u{443}.",
                1998,
            ),
            ("\u{15e}irketimiz 1975 y\u{131}l\u{131}nda kuruldu.", 1975),
            ("Grundat 1947", 1947),
            ("\u{5275}\u{696d}1926\u{5e74}", 1926),
            (
                "\u{8a2d}\u{7acb}\u{ff1a}1950\u{5e74}4\u{6708}1\u{65e5}",
                1950,
            ),
            (
                "\u{9752}\u{8449}\u{8a08}\u{5668}\u{306f}1950\u{5e74}\u{306b}\u{4ed9}\u{53f0}\u{3067}\u{5275}\u{696d}\u{3057}\u{307e}\u{3057}\u{305f}\u{3002}",
                1950,
            ),
            ("\u{516c}\u{53f8}\u{6210}\u{7acb}\u{4e8e}1999\u{5e74}", 1999),
            // What says that it was founded goes before what has been since.
            ("Founded in 1926\nServing Leeds since 1950", 1926),
        ] {
            assert_eq!(read(text), Some((year, Said::Founded)), "{text}");
        }
    }

    #[test]
    fn a_company_is_as_old_as_what_it_has_done_since() {
        for (text, year) in [
            ("Since 1926", 1926),
            ("SINCE 1926", 1926),
            ("Est. 1987", 1987),
            ("Fine springs \u{b7} Est. 1987", 1987),
            ("Hallmann Draht \u{2013} since 1926", 1926),
            ("Family-owned and operated since 1987", 1987),
            ("Proudly serving Boise since 1998.", 1998),
            ("Family business since 1987 \u{a9} 2026 Hallmann", 1987),
            ("It all began in 1926 in a kitchen.", 1926),
            ("Our story began in 1926", 1926),
            ("seit 1926", 1926),
            ("Gefertigt in Berlin-Marzahn seit 1926.", 1926),
            ("Ihr Partner seit 1926", 1926),
            ("Seit 1926 fertigen wir Federn.", 1926),
            (
                "1926 begann Ernst Hallmann mit einer Wickelbank in der K\u{fc}che.",
                1926,
            ),
            ("Depuis 1962", 1962),
            ("Artisans depuis 1962", 1962),
            ("Empresa familiar desde 1999", 1999),
            ("Desde 1999", 1999),
            ("Dal 1950", 1950),
            ("Artigiani dal 1950", 1950),
            ("Familiebedrijf sinds 1911", 1911),
            ("Tradycja od 1991 roku", 1991),
            (
                "\u{420}\u{430}\u{431}\u{43e}\u{442}\u{430}\u{435}\u{43c} \u{441} 1998 \u{433}\u{43e}\u{434}\u{430}",
                1998,
            ),
            ("1975'ten beri", 1975),
            ("Sedan 1947", 1947),
        ] {
            assert_eq!(read(text), Some((year, Said::Since)), "{text}");
        }
    }

    #[test]
    fn other_years_are_no_year_of_founding() {
        for text in [
            "\u{a9} 1999\u{2013}2026 Hallmann Draht",
            "\u{a9} 1999 Hallmann Draht GmbH",
            "Copyright 1999 Hallmann Draht. All rights reserved.",
            "\u{a9} since 1999 Hallmann Draht",
            "1999",
            "1987\nFounded\n2005\nMoved to Leeds",
            "Foundry\n1999",
            "Since 2019 we have had a new product",
            "Since 2019 we also sell e-bikes.",
            "Jane Doe, CEO since 2012",
            "Jane Doe has been working here since 2015.",
            "Jane has been with us since 2015",
            "Member since 2015",
            "Customer since 2016",
            "M\u{fc}ller AG, customer\nSince 2016",
            "Jane Doe\nCEO\nSince 2012",
            "ISO 9001 certified since 2010",
            "Hallmann Draht has sponsored the city cup since 2015.",
            "The town was founded in 1237.",
            "Founded in 1088, the University of Bologna is the oldest.",
            "The University of Bologna was founded in 1088.",
            "Bologna has a university. It was founded in 1088.",
            "Our Polish subsidiary was founded in 2003.",
            "The Hallmann Foundation was established in 2010.",
            "We founded a school in 2003.",
            "Hallmann Draht founded a school in 2003.",
            "In 2010 Hallmann Draht bought Meyer GmbH, founded in 1950.",
            "Hallmann Draht works with Meyer, founded in 1950.",
            "We have founded 1200 companies",
            "Founded in the 1990s",
            "Founded in the 1990's",
            "Founded around 1850",
            "Founded 1926\nFounded 1950",
            "Since 1926\nSeit 1950",
            "Founded in 2099",
            "Founded in 0999",
            "Founded in 1999-2005",
            "Trusted by 1500 customers since day one",
            "seit 2000 Jahren",
            "Seit 2019 bieten wir auch Laserschnitt an.",
            "Gesch\u{e4}ftsf\u{fc}hrer seit 2012",
            "Mitglied seit 1999",
            "Zertifiziert seit 2010",
            "1999 gr\u{fc}ndete er die Stiftung",
            "Die Stadt wurde 1237 gegr\u{fc}ndet und unsere Firma liegt mittendrin.",
            "1995 begann die Firma Meyer mit dem Export.",
            "Sofas hechos a mano desde 1500 \u{20ac}",
            "desde 1999 \u{20ac}",
            "od 1999 z\u{142}",
            "od 1999,-",
            "depuis 2000 ans",
            "Cliente desde 2015",
            "Notre filiale a \u{e9}t\u{e9} fond\u{e9}e en 2003.",
            "Directrice depuis 2012",
            "Aperto dal 2 al 5 maggio 1999",
            "1926\u{5e74}\u{306b}\u{5de5}\u{5834}\u{3092}\u{8a2d}\u{7acb}",
            "\u{6771}\u{4eac}\u{5927}\u{5b66}\u{306f}1877\u{5e74}\u{8a2d}\u{7acb}",
            "\u{5206}\u{516c}\u{53f8}\u{6210}\u{7acb}\u{4e8e}2005\u{5e74}",
            "Godfather's pizza at 1926 Main Street since you asked",
            "Family owned since before you were born. Open 9-1730.",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let others = Line {
            text: "Founded in 1999".to_owned(),
            place: Place::Others,
            ..Line::default()
        };
        assert_eq!(
            year_in(&[others], "acme.example", ["Acme"].into_iter(), 2026),
            None
        );
    }

    #[test]
    fn every_sort_of_words_is_known() {
        for line in include_str!("founded.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let sort = line.split('\t').next().unwrap_or_default();
            assert!(
                sort.starts_with("within") || sort::NAMES.split(' ').any(|name| name == sort),
                "{line}"
            );
            assert_eq!(line.split('\t').count(), 3, "{line}");
        }
    }
}
