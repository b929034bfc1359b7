//! Postal addresses that are written as lines of a letter.

use serde_json::{Map, Value};

use crate::domain::organisation;
use crate::provider::phone;
use crate::provider::web::html::Line;
use crate::provider::web::places::Place;

/// The most lines of an address.
const MAX_LINES: usize = 6;
/// The longest postal code, in bytes.
const MAX_CODE: usize = 10;
/// The longest line of a page that may be part of an address, in bytes; how many lines around it may say whose it is.
const MAX_LINE: usize = 200;
const NEAR: usize = 4;
/// The most lines of a page that are held against what says whose they are.
const MAX_PLACES: usize = 50;
/// The longest country that stands behind an address, in bytes.
const MAX_COUNTRY: usize = 40;

/// The most parts of a line between commas or other signs: a list is no address.
const MAX_PARTS: usize = 8;
/// The longest city, in characters.
const MAX_CITY: usize = 40;
/// The most digits of a house's number before the street, and behind it: four there are a year.
const MAX_BEFORE: usize = 5;
const MAX_BEHIND: usize = 3;
/// The most words of a street and of the postal code's line.
const MAX_WORDS: usize = 12;

/// States and provinces as postal lines have them.
const STATES: &str = "\
    AK AL AR AZ CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ NM NV NY OH OK OR PA PR \
    RI SC SD TN TX UT VA VT WA WI WV WY";
const PROVINCES: &str = "AB BC MB NB NL NS NT NU ON PE QC SK YT";
const TERRITORIES: &str = "ACT NSW NT QLD SA TAS VIC WA";

/// A postal line with the country that its form says.
#[derive(Debug, PartialEq, Eq)]
struct Town {
    city: String,
    region: Option<String>,
    code: String,
    country: Option<&'static str>,
}

impl Town {
    /// `Town, ST 12345`, `Town, BC V7P 1T4`, `Town VIC 3056`, `Town S3 8SE`, `12345 Town`.
    fn of(line: &str) -> Option<Self> {
        if line.len() > MAX_LINE || !line.bytes().any(|b| b.is_ascii_digit()) {
            return None;
        }
        let words: Vec<&str> = line.split(' ').map(|word| word.trim_end_matches(',')).take(MAX_WORDS).collect();
        Self::before_code(&words).or_else(|| Self::behind_code(line))
    }

    fn before_code(words: &[&str]) -> Option<Self> {
        let is = |of: &str, word: &str| of.split(' ').any(|known| known == word);
        let of = |city: &[&str], region: Option<&str>, code: String, country| {
            let city = city.join(" ");
            let region = region.map(str::to_owned);
            is_city(&city).then_some(Self { city, region, code, country: Some(country) })
        };
        match words {
            [city @ .., state, code] if is(STATES, state) && matches!(&*shape(code), "99999" | "99999-9999") => {
                of(city, Some(state), (*code).to_owned(), "US")
            }
            [city @ .., state, code] if is(TERRITORIES, state) && shape(code) == "9999" => {
                of(city, Some(state), (*code).to_owned(), "AU")
            }
            [city @ .., province, one, two]
                if is(PROVINCES, province) && shape(one) == "A9A" && shape(two) == "9A9" =>
            {
                of(city, Some(province), format!("{one} {two}"), "CA")
            }
            [city @ .., one, two]
                if matches!(&*shape(one), "A9" | "A99" | "AA9" | "AA99" | "A9A" | "AA9A") && shape(two) == "9AA" =>
            {
                of(city, None, format!("{one} {two}"), "GB")
            }
            _ => None,
        }
    }

    /// As on the continent, with the province of Italy behind it: `59100 Prato (PO)`.
    fn behind_code(line: &str) -> Option<Self> {
        let (line, region) = match line.strip_suffix(')').and_then(|line| line.rsplit_once(" (")) {
            Some((line, region)) if shape(region) == "AA" => (line, Some(region.to_owned())),
            Some(_) => return None,
            None => (line, None),
        };
        // `D-13053`
        let prefixed = line.split_once('-').filter(|(country, _)| matches!(&*shape(country), "A" | "AA"));
        let line = prefixed.map_or(line, |(_, rest)| rest);
        let (first, rest) = line.split_once(' ')?;
        let (code, city) = match rest.split_once(' ') {
            Some((second, city)) if matches!(&*shape(&format!("{first} {second}")), "999 99" | "9999 AA") => {
                (format!("{first} {second}"), city)
            }
            _ if matches!(&*shape(first), "9999" | "99999" | "99-999") => (first.to_owned(), rest),
            _ => return None,
        };
        is_city(city).then(|| Self { city: city.to_owned(), region, code, country: None })
    }
}

/// A code with `9` for each digit and `A` for each capital.
fn shape(code: &str) -> String {
    let sign = |c: char| match c {
        '0'..='9' => '9',
        'A'..='Z' => 'A',
        '-' | ' ' => c,
        _ => '?',
    };
    code.chars().take(MAX_CODE + 1).map(sign).collect()
}

fn is_city(text: &str) -> bool {
    let of_name = |c: char| c.is_alphabetic() || matches!(c, ' ' | '.' | '\'' | '\u{2019}' | '-' | '/');
    text.starts_with(char::is_uppercase)
        && (2..=MAX_CITY).contains(&text.chars().count())
        && text.chars().all(of_name)
        // A sentence has more words in lower case than a town.
        && text.split(' ').filter(|word| word.starts_with(char::is_lowercase)).count() <= 2
}

/// Whether one part of a line is a street with the number of a house before it or behind, and nothing in it is no address.
fn is_street(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || " .,'\u{2019}-/".contains(c);
    let is_number = |word: &str, most: usize| {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        let letter = word[digits..].trim_start_matches(['-', '/']);
        (1..=most).contains(&digits) && (letter.chars().count() <= 1 || letter.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_house = |part: &str| {
        let words: Vec<&str> = part.split(' ').filter(|word| !word.is_empty()).collect();
        let [first, .., last] = words[..] else { return false };
        let letter = words.len() > 2 && last.len() == 1 && is_number(words[words.len() - 2], MAX_BEHIND);
        words.iter().any(|word| word.starts_with(char::is_alphabetic))
            && (is_number(first, MAX_BEFORE)
                || is_number(last, MAX_BEHIND)
                || (letter && last.starts_with(char::is_alphabetic)))
    };
    let parts: Vec<&str> = text.split(", ").collect();
    // `Via dei Fossi, 14/C`
    let behind = parts.windows(2).any(|two| two[0].starts_with(char::is_alphabetic) && is_number(two[1], MAX_BEHIND));
    text.len() <= MAX_LINE
        && !phone::is_called(text)
        && text.chars().all(fits)
        && text.split(' ').count() <= MAX_WORDS
        && text.bytes().filter(u8::is_ascii_digit).count() <= 10
        && (behind || parts.iter().any(|part| is_house(part)))
}

/// The parts of a line: what separators part, and what commas part within that.
fn parts(line: &str) -> Vec<Vec<&str>> {
    let mut parts = vec![line];
    for sign in [" | ", " \u{b7} ", " \u{2022} ", " \u{2014} ", " \u{2013} ", " - "] {
        parts = parts.iter().flat_map(|part| part.split(sign)).take(MAX_PARTS + 1).collect();
    }
    parts.iter().map(|part| part.trim_end_matches('.').split(", ").map(str::trim).collect()).collect()
}

/// The country that the form of a postal line says: the first of the page's own.
pub(super) fn country(lines: &[Line]) -> Option<&'static str> {
    let own = lines.iter().filter(|line| line.place != Place::Others && line.text.len() <= MAX_LINE);
    own.flat_map(|line| parts(&line.text)).find_map(|part| {
        let tail = part.len().saturating_sub(2);
        let town = |text: &str| Town::of(text).and_then(|town| town.country);
        town(&part[tail..].join(", ")).or_else(|| town(part.last()?))
    })
}

/// The address in a page's lines: a street with the number of a house, and behind it a postal line. It counts where the page says
/// that it is its own: in `<address>`, in the header or footer, or near the company's name, its mail or its phone. Of several towns
/// none is the company's.
pub(super) fn shown(lines: &[Line]) -> Option<Map<String, Value>> {
    let own = |at: &usize| {
        let line = &lines[*at];
        line.place != Place::Others && line.text.len() <= MAX_LINE && line.text.bytes().any(|b| b.is_ascii_digit())
    };
    let found = (0..lines.len()).filter(own).filter_map(|at| Some((at, in_line(lines, at)?)));
    let found = found.take(MAX_PLACES).filter(|(at, _)| is_own(lines, *at)).map(|(_, address)| address);
    let found: Vec<_> = found.collect();
    let code = |address: &Map<String, Value>| address.get("postal_code").cloned();
    // The longest says where the others are short.
    let first = found.iter().rev().max_by_key(|address| address.len())?;
    found.iter().all(|address| code(address) == code(first)).then(|| first.clone())
}

fn is_own(lines: &[Line], at: usize) -> bool {
    let near = &lines[at.saturating_sub(NEAR)..(at + NEAR + 1).min(lines.len())];
    let says = |line: &Line| {
        let text = &line.text;
        text.len() <= MAX_LINE
            && (text.contains('@')
                || parts(text).iter().flatten().any(|part| organisation::has_legal_form(part))
                || phone::is_called(text))
    };
    lines[at].address || lines[at].place == Place::Frame || near.iter().any(says)
}

fn in_line(lines: &[Line], at: usize) -> Option<Map<String, Value>> {
    let text = |at: usize| lines.get(at).map(|line| line.text.as_str()).filter(|text| text.len() <= MAX_LINE);
    let here = parts(text(at)?);
    // Everything that may be before it, the nearest last.
    let above: Vec<&str> = (at.saturating_sub(3)..at).filter_map(text).collect();
    let below = text(at + 1).unwrap_or_default();
    if here.len() > MAX_PARTS || here.iter().any(|part| part.len() > MAX_PARTS) {
        return None;
    }
    here.iter().enumerate().find_map(|(nth, part)| {
        let behind = here.get(nth + 1).and_then(|next| next.first()).copied().unwrap_or(below);
        // The longest tail that is a postal line.
        for from in 0..part.len() {
            for to in (from + 1..=part.len()).rev().take(3) {
                let Some(town) = Town::of(&part[from..to].join(", ")) else { continue };
                let behind = part.get(to).copied().unwrap_or(behind);
                let before = if from > 0 {
                    part[..from].join(", ")
                } else if nth > 0 {
                    here[nth - 1].join(", ")
                } else {
                    above.last().copied().unwrap_or_default().to_owned()
                };
                if let Some(street) = street(&before) {
                    return Some(address(street, town, behind));
                }
            }
        }
        // In Britain the code has a line of its own.
        let ([code], [.., streets, city]) = (&part[..], &above[..]) else { return None };
        let town =
            Town::of(&format!("{city} {code}")).filter(|town| town.country == Some("GB") && town.city == *city)?;
        Some(address(street(streets)?, town, behind))
    })
}

/// The street of a line without the company that stands before it.
fn street(line: &str) -> Option<String> {
    let mut parts: Vec<&str> = line.trim_end_matches(',').split(", ").collect();
    while parts.len() > 1 && (organisation::has_legal_form(parts[0]) || parts[0].contains(':')) {
        parts.remove(0);
    }
    let street = parts.join(", ");
    is_street(&street).then_some(street)
}

fn address(street: String, town: Town, behind: &str) -> Map<String, Value> {
    let named = behind.len() <= MAX_COUNTRY && behind.chars().count() > 3 && phone::region(behind).is_some();
    let parts = [
        ("street", Some(street)),
        ("postal_code", Some(town.code)),
        ("city", Some(town.city)),
        ("region", town.region),
        ("country", named.then(|| behind.to_owned())),
    ];
    parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), Value::String(part?)))).collect()
}

/// The parts of an address in lines: the street, the place, and the country where there is a line for it. Nothing where the
/// place is not written as one (`Portland, ME, 04101`, `North Vancouver, BC V7P 1T4`, `80331 München`) or no house has a number before it.
pub(super) fn lines(text: &str) -> Option<Map<String, Value>> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_LINES).collect();
    let is_named = |line: &str| !has_digit(line) && !line.contains(',');
    let (country, lines) = match lines.split_last()? {
        (country, rest) if rest.len() > 1 && is_named(country) => (Some(*country), rest),
        _ => (None, &lines[..]),
    };
    let (place, street) = lines.split_last().filter(|(_, street)| street.iter().any(|line| has_digit(line)))?;
    let (city, region, code) = place_of(place)?;
    let parts = [
        ("street", Some(street.join(", "))),
        ("postal_code", Some(code)),
        ("city", Some(city)),
        ("region", region),
        ("country", country.map(str::to_owned)),
    ];
    Some(parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), Value::String(part?)))).collect())
}

/// The city, the region and the postal code of a line.
fn place_of(line: &str) -> Option<(String, Option<String>, String)> {
    let parts: Vec<&str> = line.split(',').map(str::trim).collect();
    let is_name = |text: &str| !text.is_empty() && !has_digit(text);
    let (city, region, code) = match parts[..] {
        [city, region, code] => (city.to_owned(), Some(region.to_owned()), code.to_owned()),
        [city, rest] => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (region, code) = words.split_at(words.iter().position(|word| has_digit(word))?);
            (city.to_owned(), Some(region.join(" ")), code.join(" "))
        }
        [line] => {
            let words: Vec<&str> = line.split_whitespace().collect();
            // `1012 AB Amsterdam`, `114 55 Stockholm`, `80331 München`.
            let codes = [2, 1].into_iter().filter_map(|count| Some((words.get(..count)?.join(" "), &words[count..])));
            let (code, city) =
                { codes }.find(|(code, _)| is_code(code) && code.starts_with(|c: char| c.is_ascii_digit()))?;
            // `1200 High Street` begins with the number of a house.
            let street = city.last()?.trim_end_matches('.').to_lowercase();
            (Some(city.join(" ")).filter(|_| !STREETS.split(' ').any(|word| word == street))?, None, code)
        }
        _ => return None,
    };
    let region = region.filter(|region| !region.is_empty());
    (is_name(&city) && region.as_deref().is_none_or(is_name) && is_code(&code)).then_some((city, region, code))
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

/// Whether a text has the form of a postal code.
fn is_code(text: &str) -> bool {
    CODES.contains(&shape(text).as_str())
}

/// The forms of postal codes: `9` is a digit and `A` a capital. Fewer than four digits are as often the number of a house.
const CODES: [&str; 18] = [
    "9999",
    "99999",
    "999999",
    // Of the United States, Brazil, Japan, Portugal and Poland.
    "99999-9999",
    "99999-999",
    "999-9999",
    "9999-999",
    "99-999",
    // Of the Netherlands, and of Sweden, Greece and the Czech Republic.
    "9999 AA",
    "999 99",
    // Of the United Kingdom.
    "A9 9AA",
    "A99 9AA",
    "AA9 9AA",
    "AA99 9AA",
    "A9A 9AA",
    "AA9A 9AA",
    // Of Canada.
    "A9A 9A9",
    "A9A9A9",
];

/// How streets' names end where the number of the house is in front of them.
const STREETS: &str = "street st road rd avenue ave boulevard blvd lane ln drive dr way court ct place pl parkway pkwy \
    highway hwy square sq terrace close crescent circle mews quay row broadway";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(text: &str) -> Vec<Line> {
        let line = |text: &str| Line { text: text.to_owned(), ..Line::default() };
        text.split('\n').map(line).collect()
    }

    #[test]
    fn an_address_in_a_page_is_found_by_its_postal_line() {
        for (text, wanted) in [
            (
                "Acme GmbH\nPlauener Str. 160\n13053 Berlin\nDeutschland",
                json!({"street": "Plauener Str. 160", "postal_code": "13053", "city": "Berlin", "country": "Deutschland"}),
            ),
            (
                "Acme GmbH, Plauener Str. 160, 13053 Berlin",
                json!({"street": "Plauener Str. 160", "postal_code": "13053", "city": "Berlin"}),
            ),
            (
                "Acme SARL \u{2014} 12 rue de la Fosse, 75001 Paris",
                json!({"street": "12 rue de la Fosse", "postal_code": "75001", "city": "Paris"}),
            ),
            (
                "Acme S.r.l. - Via dei Fossi, 14/C - 59100 Prato (PO)",
                json!({"street": "Via dei Fossi, 14/C", "postal_code": "59100", "city": "Prato", "region": "PO"}),
            ),
            (
                "27 Shore Road, South Hero, VT 05486 | a@acme.example",
                json!({"street": "27 Shore Road", "city": "South Hero", "region": "VT", "postal_code": "05486"}),
            ),
            (
                "1210 Marine Drive, Suite 204\nNorth Vancouver, BC V7P 1T4\nPhone: 1",
                json!({"street": "1210 Marine Drive, Suite 204", "city": "North Vancouver", "region": "BC", "postal_code": "V7P 1T4"}),
            ),
            (
                "41 Sydney Rd, Brunswick VIC 3056\nAcme Pty Ltd",
                json!({"street": "41 Sydney Rd", "city": "Brunswick", "region": "VIC", "postal_code": "3056"}),
            ),
            (
                "a@acme.example\n10 Green Lane\nLondon SW1A 1AA\nUnited Kingdom",
                json!({"street": "10 Green Lane", "city": "London", "postal_code": "SW1A 1AA", "country": "United Kingdom"}),
            ),
            (
                "Unit 6, Kelham Works, 20 Green Lane\nSheffield\nS3 8SE\nUnited Kingdom\nPhone 1",
                json!({"street": "Unit 6, Kelham Works, 20 Green Lane", "city": "Sheffield", "postal_code": "S3 8SE",
                    "country": "United Kingdom"}),
            ),
        ] {
            assert_eq!(shown(&page(text)).map(Value::Object), Some(wanted), "{text}");
        }
        for text in [
            "",
            "Plauener Str. 160\n13053 Berlin",
            "Acme GmbH\nSince 1999\n2000 Customers in 12 countries",
            "Acme GmbH\nTop 10\n5000 happy customers",
            "Acme GmbH\n13053 Berlin",
            "Acme GmbH\nWeg 1, 80331 M\u{fc}nchen\nRing 2, 10117 Berlin",
            "a@acme.example\nHRB 4160\n10117 Berlin",
            "Acme GmbH\nTel. 030 123\n10117 Berlin",
            "Acme GmbH\nSince 1926\n10117 Berlin",
        ] {
            assert_eq!(shown(&page(text)), None, "{text}");
        }
        assert_eq!(country(&page("See us\n27 Shore Road, South Hero, VT 05486")), Some("US"));
        assert_eq!(country(&page("Acme\n20 Green Lane, London, SW1A 1AA")), Some("GB"));
        assert_eq!(country(&page("12345 Berlin")), None);
    }

    #[test]
    fn an_address_in_lines_has_parts() {
        for (text, parts) in [
            (
                "88 Fore Street, Suite 3\nPortland, ME, 04101\nUnited States",
                json!({"street": "88 Fore Street, Suite 3", "city": "Portland", "region": "ME", "postal_code": "04101",
                    "country": "United States"}),
            ),
            (
                "1210 Marine Drive\n North Vancouver, BC V7P 1T4 \n",
                json!({"street": "1210 Marine Drive", "city": "North Vancouver", "region": "BC", "postal_code": "V7P 1T4"}),
            ),
            (
                "Acme GmbH\nWeg 1\n80331 München\nDeutschland",
                json!({"street": "Acme GmbH, Weg 1", "city": "München", "postal_code": "80331", "country": "Deutschland"}),
            ),
            (
                "Weg 1\n1012 AB Amsterdam\nNetherlands",
                json!({"street": "Weg 1", "city": "Amsterdam", "postal_code": "1012 AB", "country": "Netherlands"}),
            ),
            (
                "Sveav\u{e4}gen 5\n114 55 Stockholm",
                json!({"street": "Sveav\u{e4}gen 5", "city": "Stockholm", "postal_code": "114 55"}),
            ),
            (
                "10 High Street\nLondon, SW1A 1AA\nUnited Kingdom",
                json!({"street": "10 High Street", "city": "London", "postal_code": "SW1A 1AA", "country": "United Kingdom"}),
            ),
            ("5 Quay\nSydney, 2000", json!({"street": "5 Quay", "city": "Sydney", "postal_code": "2000"})),
        ] {
            assert_eq!(lines(text).map(Value::Object), Some(parts), "{text}");
        }
        for text in [
            "",
            "1 Road, Springfield",
            "Springfield\nUS",
            "1 Road\nSpringfield",
            "1 Road\nFlat 5, 2 up",
            "04101 York",
            // Numbers of houses, halls and hours.
            "Acme Corp\n123 Main Street",
            "Unit 4\n12 High Street\nUnited Kingdom",
            "Suite 400\n1200 High Street",
            "Acme GmbH\nIndustriestra\u{df}e, Halle 5",
            "Acme Srl\nVia Roma, 1200",
            "Opening hours\n9 am to 5 pm",
            "Unit 4\n1200, High, 12345",
            "1 Road\n80331",
        ] {
            assert_eq!(lines(text), None, "{text}");
        }
    }
}
