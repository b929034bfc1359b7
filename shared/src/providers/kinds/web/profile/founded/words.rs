//! Words by their use beside a year, by language.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// The uses of a word, as sets.
pub(super) mod sort {
    pub(in super::super) const FOUNDED: u32 = 1;
    pub(in super::super) const FOUNDS: u32 = 1 << 1;
    pub(in super::super) const EST: u32 = 1 << 2;
    pub(in super::super) const LABEL: u32 = 1 << 3;
    pub(in super::super) const SINCE: u32 = 1 << 4;
    pub(in super::super) const SINCE_BEHIND: u32 = 1 << 5;
    pub(in super::super) const WORK: u32 = 1 << 6;
    pub(in super::super) const BEGAN: u32 = 1 << 7;
    pub(in super::super) const STORY: u32 = 1 << 8;
    pub(in super::super) const OWN: u32 = 1 << 9;
    pub(in super::super) const WE: u32 = 1 << 10;
    pub(in super::super) const IT: u32 = 1 << 11;
    pub(in super::super) const BE: u32 = 1 << 12;
    pub(in super::super) const PREP: u32 = 1 << 13;
    pub(in super::super) const LINK: u32 = 1 << 14;
    pub(in super::super) const OTHER: u32 = 1 << 15;
    pub(in super::super) const NEWS: u32 = 1 << 16;
    pub(in super::super) const UNIT: u32 = 1 << 17;
    /// The company's name.
    pub(in super::super) const NAME: u32 = 1 << 18;
    /// The words that make a sentence worth reading.
    pub(in super::super) const ANY: u32 =
        FOUNDED | FOUNDS | EST | LABEL | SINCE | SINCE_BEHIND | BEGAN;
    /// The words without a meaning of their own beside a year.
    pub(in super::super) const FILL: u32 = LINK | PREP | BE;

    /// The sets by their names in the data, in order.
    pub(in super::super) const NAMES: &str = "founded founds est label since since_behind work \
                                              began story own we it be prep link other news unit";
}

/// Phrases of a language by their first word, the longest first.
pub(super) type Phrases = HashMap<&'static str, Vec<(Vec<&'static str>, u32)>>;

pub(super) struct Words {
    pub(super) languages: Vec<Phrases>,
    pub(super) within: Vec<&'static str>,
    pub(super) within_own: Vec<&'static str>,
    pub(super) within_other: Vec<&'static str>,
}

pub(super) static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let mut words = Words {
        languages: vec![],
        within: vec![],
        within_own: vec![],
        within_other: vec![],
    };
    let mut languages: BTreeMap<&str, Phrases> = BTreeMap::new();
    for line in include_str!("words.txt")
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
