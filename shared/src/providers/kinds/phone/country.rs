//! Countries as records name them.

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_normalizer::properties::CanonicalCombiningClassMapBorrowed;
use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};

use super::super::suffix::line_of;

/// Comments, then a line for each name or three-letter code, in the order of their bytes: its
/// [`key`], and the two-letter code. See `infra/data/make_countries.py`.
static NAMES: &str = include_str!("countries.txt");

/// Returns the country that a text names, if it has a numbering plan: two or three letters of ISO
/// 3166-1, or its name in English, in a language of its own, or in one of the ten that most web
/// pages are in.
pub(in crate::providers) fn region(text: &str) -> Option<Region> {
    let planned = |code: &str| {
        let region: Region = code.parse().ok()?;
        PHONE_NUMBER_UTIL
            .get_country_code_for_region(region)
            .map(|_| region)
    };
    planned(text.trim()).or_else(|| planned(two_letters(&key(text))?))
}

fn two_letters(key: &str) -> Option<&'static str> {
    let key_of = |line: &'static str| line.split_once(' ').unwrap_or_default();
    line_of(NAMES, |line| key.cmp(key_of(line).0)).map(|line| key_of(line).1)
}

/// Returns a name without case, marks, spaces and punctuation: `Côte d’Ivoire` is `cotedivoire`.
fn key(name: &str) -> String {
    let decompose = DecomposingNormalizerBorrowed::new_nfkd();
    let classes = CanonicalCombiningClassMapBorrowed::new();
    let counts = |c: &char| match c {
        c if c.is_ascii() => c.is_ascii_alphanumeric(),
        '\u{2000}'..='\u{206f}' | '\u{b7}' | '\u{2bb}' | '\u{2bc}' | '\u{60c}' | '\u{30fb}' => {
            false
        }
        c => classes.get_u8(*c) == 0 && !c.is_whitespace(),
    };
    let lower = decompose.normalize(name).to_lowercase();
    decompose.normalize(&lower).chars().filter(counts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_known_by_code_and_name() {
        for (text, wanted) in [
            ("DE", "DE"),
            ("de", "DE"),
            ("DEU", "DE"),
            ("deu", "DE"),
            ("Germany", "DE"),
            ("GERMANY ", "DE"),
            ("Deutschland", "DE"),
            ("Allemagne", "DE"),
            ("Federal Republic of Germany", "DE"),
            ("USA", "US"),
            ("U.S.A.", "US"),
            ("United States", "US"),
            ("United States of America", "US"),
            ("UK", "GB"),
            ("United Kingdom", "GB"),
            ("Great Britain", "GB"),
            ("England", "GB"),
            ("Österreich", "AT"),
            ("Oesterreich", "AT"),
            ("Osterreich", "AT"),
            ("Schweiz", "CH"),
            ("Suisse", "CH"),
            ("Côte d’Ivoire", "CI"),
            ("Cote d'Ivoire", "CI"),
            ("Ivory Coast", "CI"),
            ("España", "ES"),
            ("Россия", "RU"),
            ("Russian Federation", "RU"),
            ("日本", "JP"),
            ("中国", "CN"),
            ("대한민국", "KR"),
            ("South Korea", "KR"),
            ("भारत", "IN"),
            ("مصر", "EG"),
            ("ישראל", "IL"),
            ("Ελλάδα", "GR"),
            ("Türkiye", "TR"),
            ("Turkey", "TR"),
            ("Czech Republic", "CZ"),
            ("Česko", "CZ"),
            ("The Netherlands", "NL"),
            ("Nederland", "NL"),
            ("Viet Nam", "VN"),
            ("Bosnia & Herzegovina", "BA"),
            ("Hong Kong", "HK"),
            ("XKX", "XK"),
            ("Kosovo", "XK"),
        ] {
            assert_eq!(
                region(text).map(|region| region.to_string()).as_deref(),
                Some(wanted),
                "{text}"
            );
        }
        // Two countries', none's, and one without telephones of its own.
        for text in [
            "Congo",
            "Atlantis",
            "ZZ",
            "ZZZ",
            "",
            " ",
            "D",
            "-",
            "Antarctica",
            "#",
        ] {
            assert_eq!(region(text), None, "{text}");
        }
    }

    #[test]
    fn every_key_is_found_and_in_order() {
        let lines = NAMES.split_once("\n\n").unwrap().1;
        let mut before = "";
        for line in lines.lines() {
            let (name, code) = line.split_once(' ').unwrap();
            assert!(before < name, "{name} is out of order");
            assert_eq!(key(name), name);
            assert_eq!(two_letters(name), Some(code));
            assert!(code.parse::<Region>().is_ok(), "{code}");
            before = name;
        }
    }
}
