//! Postal codes, and the lines of a town with its code.

use serde_json::{Map, Value};

use crate::providers::kinds::phone;

/// The longest postal code, in bytes.
const MAX_CODE: usize = 10;
/// The longest line of a page that may be part of an address, in bytes.
pub(super) const MAX_LINE: usize = 200;

/// The longest country behind an address, in bytes.
pub(super) const MAX_COUNTRY: usize = 40;

/// The longest city, in characters.
pub(super) const MAX_CITY: usize = 40;

/// The most words of a street and of the postal code's line.
pub(super) const MAX_WORDS: usize = 12;

/// States and provinces in postal lines.
const STATES: &str = "\
    AK AL AR AZ CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH \
    NJ NM NV NY OH OK OR PA PR RI SC SD TN TX UT VA VT WA WI WV WY";
const PROVINCES: &str = "AB BC MB NB NL NS NT NU ON PE QC SK YT";
const TERRITORIES: &str = "ACT NSW NT QLD SA TAS VIC WA";

/// A postal line with the country of its form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Town {
    pub(super) city: String,
    pub(super) region: Option<String>,
    pub(super) code: String,
    pub(super) country: Option<&'static str>,
}

impl Town {
    /// Reads `Town, ST 12345`, `Town, BC V7P 1T4`, `Town VIC 3056`, `Town S3 8SE`, `12345 Town`.
    pub(super) fn of(line: &str) -> Option<Self> {
        if line.len() > MAX_LINE || !line.bytes().any(|b| b.is_ascii_digit()) {
            return None;
        }
        let words: Vec<&str> = line
            .split(' ')
            .map(|word| word.trim_end_matches(','))
            .take(MAX_WORDS)
            .collect();
        Self::before_code(&words).or_else(|| Self::behind_code(line))
    }

    fn before_code(words: &[&str]) -> Option<Self> {
        [2, 1].into_iter().find_map(|count| {
            let (before, code) = words.split_at_checked(words.len().checked_sub(count)?)?;
            let code = code.join(" ");
            let country = Code::of(&code)?.ends?;
            let (region, city) = match regions(country) {
                Some(known) => {
                    let (region, city) = before.split_last()?;
                    let is_known = known.split(' ').any(|known| known == *region);
                    (is_known.then(|| Some((*region).to_owned()))?, city)
                }
                None => (None, before),
            };
            let city = city.join(" ");
            is_city(&city).then_some(Self {
                city,
                region,
                code,
                country: Some(country),
            })
        })
    }

    /// Reads the continental form, with the province of Italy behind it: `59100 Prato (PO)`.
    fn behind_code(line: &str) -> Option<Self> {
        let (line, region) = match line
            .strip_suffix(')')
            .and_then(|line| line.rsplit_once(" ("))
        {
            Some((line, region)) if shape(region) == "AA" => (line, Some(region.to_owned())),
            Some(_) => return None,
            None => (line, None),
        };
        // `D-13053`
        let prefixed = line
            .split_once('-')
            .filter(|(country, _)| matches!(&*shape(country), "A" | "AA"));
        let line = prefixed.map_or(line, |(_, rest)| rest);
        let ends = line
            .match_indices(' ')
            .take(2)
            .map(|(at, _)| line.split_at(at));
        let leads = |code: &str| Code::of(code).is_some_and(|code| code.leads);
        let (code, city) = { ends }.filter(|(code, _)| leads(code)).last()?;
        let (code, city) = (code.to_owned(), city.trim_start());
        is_city(city).then(|| Self {
            city: city.to_owned(),
            region,
            code,
            country: None,
        })
    }
}

/// Returns a code with `9` for each digit and `A` for each capital.
pub(super) fn shape(code: &str) -> String {
    let sign = |c: char| match c {
        '0'..='9' => '9',
        'A'..='Z' => 'A',
        '-' | ' ' => c,
        _ => '?',
    };
    code.chars().take(MAX_CODE + 1).map(sign).collect()
}

fn is_city(text: &str) -> bool {
    let of_name =
        |c: char| c.is_alphabetic() || matches!(c, ' ' | '.' | '\'' | '\u{2019}' | '-' | '/');
    text.starts_with(char::is_uppercase)
        && (2..=MAX_CITY).contains(&text.chars().count())
        && text.chars().all(of_name)
        // A sentence has more words in lower case than a town.
        && text.split(' ').filter(|word| word.starts_with(char::is_lowercase)).count() <= 2
}

pub(super) fn address(street: String, town: Town, behind: &str) -> Map<String, Value> {
    let named = behind.len() <= MAX_COUNTRY
        && behind.chars().count() > 3
        && phone::region(behind).is_some();
    let parts = [
        ("street", Some(street)),
        ("postal_code", Some(town.code)),
        ("city", Some(town.city)),
        ("region", town.region),
        ("country", named.then(|| behind.to_owned())),
    ];
    parts
        .into_iter()
        .filter_map(|(name, part)| Some((name.to_owned(), Value::String(part?))))
        .collect()
}

/// A form of postal codes: `9` is a digit and `A` a capital. Fewer than four digits are as often a
/// house number.
pub(super) struct Code {
    form: &'static str,
    /// The country whose postal lines end with it, behind one of its [`regions`] if it has them
    /// there.
    ends: Option<&'static str>,
    /// Set if it may be before a town.
    leads: bool,
}

impl Code {
    const fn new(form: &'static str, ends: Option<&'static str>, leads: bool) -> Self {
        Self { form, ends, leads }
    }

    /// Returns the form of a text that may be a postal code.
    pub(super) fn of(text: &str) -> Option<&'static Self> {
        let shape = shape(text);
        CODES.iter().find(|code| code.form == shape)
    }
}

const CODES: [Code; 18] = [
    Code::new("9999", Some("AU"), true),
    Code::new("99999", Some("US"), true),
    Code::new("999999", None, false),
    Code::new("99999-9999", Some("US"), false),
    // Of Brazil, Japan, Portugal and Poland.
    Code::new("99999-999", None, false),
    Code::new("999-9999", None, false),
    Code::new("9999-999", None, true),
    Code::new("99-999", None, true),
    // Of the Netherlands, and of Sweden, Greece and the Czech Republic.
    Code::new("9999 AA", None, true),
    Code::new("999 99", None, true),
    Code::new("A9 9AA", Some("GB"), false),
    Code::new("A99 9AA", Some("GB"), false),
    Code::new("AA9 9AA", Some("GB"), false),
    Code::new("AA99 9AA", Some("GB"), false),
    Code::new("A9A 9AA", Some("GB"), false),
    Code::new("AA9A 9AA", Some("GB"), false),
    Code::new("A9A 9A9", Some("CA"), false),
    Code::new("A9A9A9", Some("CA"), false),
];

/// Returns the regions before the code in a country's postal lines.
fn regions(country: &str) -> Option<&'static str> {
    match country {
        "US" => Some(STATES),
        "AU" => Some(TERRITORIES),
        "CA" => Some(PROVINCES),
        _ => None,
    }
}

pub(super) fn has_digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}
