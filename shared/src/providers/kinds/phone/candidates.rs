//! The parts of a text that may be a number.

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumber, Region};

use super::lookalikes::is_no_number;
use super::plan::{is_valid, with_plus};
use super::remarks::{self, MAX_BEFORE_REMARK, short_endings};
use super::spelled::{cut, is_spelled};
use super::words::{MAX_LABEL_DIGITS, MIN_BEFORE_ANOTHER, count, from_digit, is_extension, words};

/// The most places where a number may end or begin: each beginning is tried with each end.
const MAX_BREAKS: usize = 8;

/// The most digits of a postal code in the countries where as many may be a number.
const MAX_POSTAL_CODE: usize = 5;

/// The parts of a text that may be a number.
pub(super) struct Candidates<'t> {
    text: &'t str,
    country: Option<Region>,
    starts: Vec<usize>,
    /// Those before remarks and second endings, then the others, the longest first.
    ends: Vec<usize>,
}

impl<'t> Candidates<'t> {
    /// Finds where numbers may begin and end in a text of plain signs.
    pub(super) fn of(text: &'t str, country: Option<Region>) -> Self {
        let (mut starts, mut ends) = (vec![0], Vec::new());
        let (mut digits, mut begun, mut bracket, mut word) = (0, 0, None, false);
        for (at, c) in text.char_indices() {
            let letter = c.is_alphabetic();
            let sign = matches!(c, ',' | ';' | '/' | '|' | ':' | '\n') || (c == '+' && digits > 0);
            if (letter && !word) || sign {
                // A remark in brackets begins at its bracket.
                ends.push(bracket.unwrap_or(at));
            }
            if (word && !letter) || sign {
                let start = if c == '+' || (word && !sign) {
                    at
                } else {
                    at + c.len_utf8()
                };
                // Of several before the same digits the last is as good, but for the text's
                // beginning.
                if begun == digits && starts.len() > 1 {
                    starts.pop();
                }
                // Behind other digits, such as a postal code, a number of its own may begin.
                if digits <= MAX_LABEL_DIGITS || count(&text[start..]) >= MIN_BEFORE_ANOTHER {
                    starts.push(start);
                }
                begun = digits;
            }
            match c {
                '(' | '[' => bracket = bracket.or(Some(at)),
                ')' | ']' => {
                    let open = bracket.take();
                    ends.extend(open.filter(|open| count(&text[..*open]) > MAX_BEFORE_REMARK));
                }
                _ => digits += usize::from(c.is_ascii_digit()),
            }
            word = letter;
        }
        ends.dedup();
        ends.truncate(MAX_BREAKS);
        ends.push(text.len());
        ends.reverse();
        ends.splice(
            ..0,
            remarks::starts(text)
                .chain(short_endings(text))
                .take(MAX_BREAKS)
                .collect::<Vec<_>>(),
        );
        starts.dedup();
        starts.truncate(MAX_BREAKS);
        Self {
            text,
            country,
            starts,
            ends,
        }
    }

    /// Returns the number of the first part at the first start that is a valid number and nothing
    /// else; else the number that letters spell.
    pub(super) fn complete(&self) -> Option<PhoneNumber> {
        let parts = || self.starts.iter().flat_map(|start| self.from(*start));
        let complete = |part: &&'t str| Some((*part, self.digits(part).filter(is_valid)?));
        let first = parts().find_map(|part| complete(&part));
        // Few digits before a number that can be called from everywhere are a postal code or a
        // house number.
        let is_short = |part: &str| {
            count(part) <= MAX_POSTAL_CODE && !from_digit(part).starts_with(['+', '0'])
        };
        let first = match first {
            Some((part, _)) if is_short(part) => {
                let longer = parts()
                    .filter(|part| count(part) >= MIN_BEFORE_ANOTHER)
                    .find_map(|part| complete(&part));
                longer.or(first)
            }
            first => first,
        };
        let spelled = || self.spelled().into_iter();
        first
            .map(|(_, number)| number)
            .or_else(|| spelled().map(|(_, number)| number).find(is_valid))
            .or_else(|| spelled().find_map(|(part, number)| cut(part, number)))
    }

    /// Returns a number that the plan does not have: with letters where they may be meant, and
    /// rather one that it could have, if only within a town.
    pub(super) fn likely(&self) -> Option<PhoneNumber> {
        let is = |number: &PhoneNumber, length| {
            PHONE_NUMBER_UTIL.is_possible_number_with_reason(number) == Ok(length)
        };
        let possible = |number: &&PhoneNumber| is(number, NumberLengthType::IsPossible);
        let local = |number: &&PhoneNumber| is(number, NumberLengthType::IsPossibleLocalOnly);
        let spelled: Vec<PhoneNumber> = self
            .spelled()
            .into_iter()
            .map(|(_, number)| number)
            .collect();
        let digits: Vec<PhoneNumber> = self.from(0).filter_map(|part| self.digits(part)).collect();
        let spelled = spelled.iter().find(possible).or(spelled.last());
        let digits = || {
            digits
                .iter()
                .find(possible)
                .or_else(|| digits.iter().find(local))
                .or(digits.first())
        };
        spelled.or_else(digits).cloned()
    }

    /// Returns the part that an error is about.
    pub(super) fn best(&self) -> &'t str {
        self.from(0)
            .find(|part| words(part).next().is_none())
            .unwrap_or(self.text)
    }

    /// Returns the parts that begin at a place.
    fn from(&self, start: usize) -> impl Iterator<Item = &'t str> {
        let text = self.text;
        // Behind a comma, an extension to be dialled counts only if it is the rest of the text.
        let is_remark = |end: usize| {
            let tail = text[..end].rfind([',', ';']).map(|at| &text[at + 1..end]);
            let digits = |tail: &str| count(tail) > 0 && !tail.contains(char::is_alphabetic);
            tail.is_some_and(digits) && text[end..].contains(char::is_alphanumeric)
        };
        self.ends
            .iter()
            .filter(move |end| **end > start && !is_remark(**end))
            .map(move |end| &text[start..*end])
    }

    /// Reads a part's number where it is of digits alone, with an extension or without.
    fn digits(&self, part: &str) -> Option<PhoneNumber> {
        if is_no_number(from_digit(part), self.country) {
            return None;
        }
        let number = self.parse(part).ok()?;
        let in_brackets = part
            .trim_end()
            .strip_suffix([')', ']'])
            .and_then(|rest| rest.rfind(['(', '[']));
        let is_remark = |open: &usize| {
            count(&part[..*open]) > MAX_BEFORE_REMARK && !is_extension(&part[open + 1..], &number)
        };
        if in_brackets.as_ref().is_some_and(is_remark) {
            return None;
        }
        let mut words = words(part);
        let alone = match words.next() {
            None => true,
            Some(label) => words.next().is_none() && is_extension(label, &number),
        };
        alone.then_some(number)
    }

    /// Returns the parts with letters to dial, and their numbers: those with an extension first,
    /// then the shortest.
    fn spelled(&self) -> Vec<(&'t str, PhoneNumber)> {
        let mut spelled: Vec<_> = self
            .from(0)
            .filter_map(|part| Some((part, self.parse(part).ok()?)))
            .filter(|(part, number)| is_spelled(part, number))
            .collect();
        spelled.reverse();
        spelled.sort_by_key(|(_, number)| number.extension().is_empty());
        spelled
    }

    /// Reads a part by its plan. `00` is the prefix for calls abroad in most countries; elsewhere,
    /// people who have the number from abroad write it all the same. It counts if it makes a number
    /// valid.
    pub(super) fn parse(&self, part: &str) -> Result<PhoneNumber, ParseError> {
        let util = &*PHONE_NUMBER_UTIL;
        let parsed = util.parse(part, self.country).or_else(|error| {
            // The library wants three digits before letters; Australia has numbers of two.
            let spelled = util.convert_alpha_characters_in_number(part);
            if part.starts_with(|c: char| c.is_ascii_digit()) && spelled != part {
                util.parse(spelled, self.country).map_err(|_| error)
            } else {
                Err(error)
            }
        });
        let Some(country) = self.country else {
            return parsed;
        };
        if let Ok(number) = parsed.as_ref() {
            let with_plus = with_plus(part, number, country);
            if with_plus.is_some() || is_valid(number) {
                return with_plus.map_or(parsed, Ok);
            }
        }
        let mut digits = part
            .char_indices()
            .filter(|(_, c)| c.is_ascii_digit() || *c == '+');
        let abroad = match [digits.next(), digits.next(), digits.next()] {
            [Some((_, '0')), Some((_, '0')), Some((at, '1'..='9'))] => {
                util.parse(format!("+{}", &part[at..]), None).ok()
            }
            _ => None,
        };
        abroad.filter(is_valid).map_or(parsed, Ok)
    }
}
