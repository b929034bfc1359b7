//! Reads a sentence for the year of foundation.

use std::ops::Range;

use super::called::Names;
use super::marks::{is_about_company, mark};
use super::tokens::{Token, tokens};
use super::words::{Phrases, sort};

/// The most words between a verb and its year, and between a name and its verb.
const MAX_BETWEEN: usize = 10;
const MAX_ASIDE: usize = 2;
/// The most words beside a year that has no verb, and of a sentence with `since`.
const MAX_BADGE: usize = 3;
const MAX_SINCE: usize = 25;

/// The kind of sentence with the year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Said {
    /// A verb or a noun of founding.
    Founded,
    /// An activity since then, a badge, or a beginning.
    Since,
}

pub(super) struct Sentence {
    tokens: Vec<Token>,
    years: Vec<usize>,
}

impl Sentence {
    /// Returns the words of a sentence with their uses in a language; `None` if it has no year or
    /// no such word.
    pub(super) fn read(text: &str, words: &Phrases, names: &Names) -> Option<Self> {
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

    pub(super) fn founded(
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

    /// Returns the end of the phrase that begins here.
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

    /// Returns the number of words.
    fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Returns the year of a verb: the one beside it, or the only one of the sentence.
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

    /// Reads `Acme was founded in 1999`, `Founded in 1999`, `1926 gegründet`.
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
            // Up to the verb, or to the word that makes it passive.
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
        let reported = if passive {
            subject(sort::NAME | sort::OWN | sort::WE).is_some()
                || (self.any(0..verb, sort::IT) && meant.len() == 1 && it_is_company())
        } else {
            !is_active && subject(sort::NAME | sort::OWN).is_some()
        };
        reported.then_some(year)
    }

    /// Returns whether the text behind a participle without a subject can be about the company: `,
    /// we make anvils`.
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

    /// Reads `1926 gründete Ernst Hallmann die Firma`, `Jane Doe founded Acme in 1999`.
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

    /// Reads `Gründungsjahr: 1926`.
    fn label(&self, label: usize) -> Option<usize> {
        let end = self.end(label);
        let year = *self.years.first().filter(|year| **year >= end)?;
        let is_plain = self.all(end..year, sort::FILL | sort::OWN | sort::NAME);
        (label == 0 && is_plain && self.years.len() == 1 && !self.any(0..self.len(), sort::OTHER))
            .then_some(year)
    }

    /// Reads `Acme Forge Est. 1987`.
    fn badge(&self, est: usize) -> Option<usize> {
        let year = self.end(est);
        let before = (0..est)
            .filter(|at| !self.tokens[*at].is(sort::FILL))
            .count();
        let is_badge = before <= MAX_BADGE || self.any(0..est, sort::NAME);
        (self.years == [year] && is_badge && !self.any(0..self.len(), sort::OTHER)).then_some(year)
    }

    /// Reads `Family business since 1987`, `Seit 1926`.
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
        let reported = if alone {
            // Its subject may be above: a person with an office, a customer.
            let mut above = tokens(before);
            mark(&mut above, words, names);
            others == 0 && !above.iter().any(|token| token.is(sort::OTHER | sort::NEWS))
        } else {
            self.any(0..self.len(), sort::WORK) || others <= MAX_ASIDE
        };
        reported.then_some(year)
    }

    /// Reads `It all began in 1926`, `1926 begann Ernst Hallmann in der Küche`.
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
