//! Postal addresses that are written as lines of a letter.

use serde_json::{Map, Value};

use crate::domain::organisation;
use crate::providers::kinds::phone;
use crate::providers::kinds::web::html::Line;
use crate::providers::kinds::web::places::Place;

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
/// The most words of a part of a line.
const MAX_PARTED: usize = 60;
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

    /// As on the continent, with the province of Italy behind it: `59100 Prato (PO)`.
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
    let of_name =
        |c: char| c.is_alphabetic() || matches!(c, ' ' | '.' | '\'' | '\u{2019}' | '-' | '/');
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
        (1..=most).contains(&digits)
            && (letter.chars().count() <= 1 || letter.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_house = |part: &str| {
        let words: Vec<&str> = part.split(' ').filter(|word| !word.is_empty()).collect();
        let [first, .., last] = words[..] else {
            return false;
        };
        let letter =
            words.len() > 2 && last.len() == 1 && is_number(words[words.len() - 2], MAX_BEHIND);
        words
            .iter()
            .any(|word| word.starts_with(char::is_alphabetic))
            && (is_number(first, MAX_BEFORE)
                || is_number(last, MAX_BEHIND)
                || (letter && last.starts_with(char::is_alphabetic)))
    };
    let parts: Vec<&str> = text.split(", ").collect();
    // `Via dei Fossi, 14/C`
    let behind = parts
        .windows(2)
        .any(|two| two[0].starts_with(char::is_alphabetic) && is_number(two[1], MAX_BEHIND));
    text.len() <= MAX_LINE
        && !phone::is_called(text)
        && text.chars().all(fits)
        && text.split(' ').count() <= MAX_WORDS
        && text.bytes().filter(u8::is_ascii_digit).count() <= 10
        && (behind || parts.iter().any(|part| is_house(part)))
}

/// The parts of a line: what separators part, and what commas part within that. A mail address, a phone or a copyright begins a part.
fn parts(line: &str) -> Vec<Vec<&str>> {
    let mut parts = vec![line];
    for sign in [
        " | ",
        " \u{b7} ",
        " \u{2022} ",
        " \u{2014} ",
        " \u{2013} ",
        " - ",
    ] {
        parts = parts
            .iter()
            .flat_map(|part| part.split(sign))
            .take(MAX_PARTS + 1)
            .collect();
    }
    parts = parts.into_iter().flat_map(before_contact).collect();
    parts
        .iter()
        .map(|part| {
            part.trim_end_matches('.')
                .split(", ")
                .map(str::trim)
                .collect()
        })
        .collect()
}

/// A text up to what is no address, and the rest.
fn before_contact(text: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = text.split(' ').take(MAX_PARTED).collect();
    let begins_number =
        |word: &str| word.starts_with(|c: char| c.is_ascii_digit() || c == '+' || c == '(');
    let is_contact = |at: usize| {
        let word = words[at];
        // `Mobile` is a town, too.
        let calls = || {
            word.ends_with([':', '.']) || words.get(at + 1).is_some_and(|next| begins_number(next))
        };
        word.contains(['@', '\u{a9}'])
            || (word.starts_with('+') && begins_number(&word[1..]))
            || ["http://", "https://", "www."]
                .iter()
                .any(|begin| word.starts_with(begin))
            || (calls() && phone::is_called(word))
    };
    let at = (0..words.len()).find(|at| is_contact(*at));
    let at = at.map_or(text.len(), |at| {
        words[..at].iter().map(|word| word.len() + 1).sum()
    });
    let (before, rest) = text.split_at(at);
    [before.trim_end_matches([' ', ',', ';', '(']), rest]
        .into_iter()
        .filter(|part| !part.is_empty())
}

/// The country that the form of a postal line says: the first of the page's own.
pub(super) fn country(lines: &[Line]) -> Option<&'static str> {
    let own = lines
        .iter()
        .filter(|line| line.place != Place::Others && line.text.len() <= MAX_LINE);
    own.flat_map(|line| parts(&line.text)).find_map(|part| {
        let tail = part.len().saturating_sub(2);
        let town = |text: &str| Town::of(text).and_then(|town| town.country);
        town(&part[tail..].join(", ")).or_else(|| town(part.last()?))
    })
}

/// The address in a page's lines: a street with the number of a house, and behind it a postal line. It counts where the page says
/// that it is its own: in `<address>`, in the header or footer, or near the company's name, its mail or its phone. Of several towns
/// the one of the head office is the company's, or none.
pub(super) fn shown(lines: &[Line]) -> Option<Map<String, Value>> {
    let may_be = |at: &usize| {
        let line = &lines[*at];
        line.place != Place::Others
            && line.text.len() <= MAX_LINE
            && line.text.contains(char::is_numeric)
    };
    let found = (0..lines.len())
        .filter(may_be)
        .filter_map(|at| Some((at, in_line(lines, at)?)));
    let found: Vec<_> = found
        .take(MAX_PLACES)
        .map(|(at, address)| (own(lines, at), address))
        .collect();
    let code = |address: &Map<String, Value>| address.get("postal_code").cloned();
    // The longest says where the others are short.
    let only = |least: Own, most: Own| {
        let found: Vec<_> = found
            .iter()
            .filter(|(own, _)| (least..=most).contains(own))
            .map(|(_, found)| found)
            .collect();
        let first = *found.iter().rev().max_by_key(|address| address.len())?;
        found
            .iter()
            .all(|address| code(address) == code(first))
            .then(|| first.clone())
    };
    let has = |wanted: Own| found.iter().any(|(own, _)| *own == wanted);
    if has(Own::HeadOffice) {
        return only(Own::HeadOffice, Own::HeadOffice);
    }
    // Beside a mail or a phone any of the page's addresses may stand.
    let least = if has(Own::Marked) { Own::Near } else { Own::No };
    only(least, Own::Marked).filter(|_| has(Own::Near) || has(Own::Marked))
}

/// How well a page says that an address is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Own {
    No,
    /// A mail or a phone is near.
    Near,
    /// It stands in `<address>`, in the site's frame, or near a name with a legal form.
    Marked,
    /// It is called the head office.
    HeadOffice,
}

fn own(lines: &[Line], at: usize) -> Own {
    let near = &lines[at.saturating_sub(NEAR)..(at + NEAR + 1).min(lines.len())];
    let mut near = near
        .iter()
        .map(|line| line.text.as_str())
        .filter(|text| text.len() <= MAX_LINE);
    let has_form = |text: &str| {
        parts(text)
            .iter()
            .flatten()
            .any(|part| organisation::has_legal_form(part))
    };
    if is_head_office(lines, at) {
        Own::HeadOffice
    } else if lines[at].address || lines[at].place == Place::Frame || near.clone().any(has_form) {
        Own::Marked
    } else if near.any(|text| {
        text.contains('@')
            || parts(text)
                .iter()
                .flatten()
                .any(|part| phone::is_called(part))
    }) {
        Own::Near
    } else {
        Own::No
    }
}

/// Whether the line of an address, or one above it that is of no other town, calls it the head office.
fn is_head_office(lines: &[Line], at: usize) -> bool {
    let is_said = |text: &str| {
        let text = text.split_once(": ").map_or(text, |(label, _)| label);
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let mut known = HEAD_OFFICES
            .iter()
            .map(|phrase| phrase.split(' ').collect::<Vec<_>>());
        text.len() <= MAX_COUNTRY
            && !has_digit(text)
            && known.any(|phrase| words.windows(phrase.len()).any(|window| window == phrase))
    };
    let above = (at.saturating_sub(NEAR)..at)
        .rev()
        .map(|at| lines[at].text.as_str());
    let above = above.take_while(|text| text.len() <= MAX_LINE && Town::of(text).is_none());
    std::iter::once(lines[at].text.as_str())
        .chain(above)
        .any(is_said)
}

/// What companies call their head office, in the ten languages with the most sites and some close behind them.
const HEAD_OFFICES: [&str; 34] = [
    "head office",
    "headquarters",
    "hq",
    "main office",
    "registered office",
    "hauptsitz",
    "firmensitz",
    "zentrale",
    "hauptverwaltung",
    "si\u{e8}ge",
    "si\u{e8}ge social",
    "maison m\u{e8}re",
    "sede central",
    "sede social",
    "sede principal",
    "oficina central",
    "oficinas centrales",
    "sede legale",
    "sede centrale",
    "sede principale",
    "matriz",
    "hoofdkantoor",
    "hoofdzetel",
    "siedziba",
    "siedziba g\u{142}\u{f3}wna",
    "centrala",
    "\u{433}\u{43e}\u{43b}\u{43e}\u{432}\u{43d}\u{43e}\u{439} \u{43e}\u{444}\u{438}\u{441}",
    "genel merkez",
    "huvudkontor",
    "hovedkontor",
    "p\u{e4}\u{e4}konttori",
    "\u{672c}\u{793e}",
    "\u{603b}\u{90e8}",
    "\u{7e3d}\u{90e8}",
];

fn in_line(lines: &[Line], at: usize) -> Option<Map<String, Value>> {
    let text = |at: usize| {
        lines
            .get(at)
            .map(|line| line.text.as_str())
            .filter(|text| text.len() <= MAX_LINE)
    };
    let here = parts(text(at)?);
    // Everything that may be before it, the nearest last.
    let above: Vec<&str> = (at.saturating_sub(3)..at).filter_map(text).collect();
    let below = text(at + 1).unwrap_or_default();
    if here.len() > MAX_PARTS || here.iter().any(|part| part.len() > MAX_PARTS) {
        return None;
    }
    if let Some(address) = japanese(text(at)?, below) {
        return Some(address);
    }
    here.iter().enumerate().find_map(|(nth, part)| {
        let behind = here
            .get(nth + 1)
            .and_then(|next| next.first())
            .copied()
            .unwrap_or(below);
        // The longest tail that is a postal line.
        for from in 0..part.len() {
            for to in (from + 1..=part.len()).rev().take(3) {
                let Some(town) = Town::of(&part[from..to].join(", ")) else {
                    continue;
                };
                let behind = part.get(to).copied().unwrap_or(behind);
                let before = if from > 0 {
                    part[..from].join(", ")
                } else if nth > 0 {
                    here[nth - 1].join(", ")
                } else {
                    above.last().copied().unwrap_or_default().to_owned()
                };
                let further = if from > 0 || nth > 0 {
                    &[]
                } else {
                    &above[..above.len().saturating_sub(1)]
                };
                if let Some(street) =
                    with_unit(&before, further.last().copied().unwrap_or_default())
                {
                    return Some(address(street, town, behind));
                }
            }
        }
        // In Britain the code has a line of its own.
        let ([code], [further @ .., streets, city]) = (&part[..], &above[..]) else {
            return None;
        };
        let town = Town::of(&format!("{city} {code}"))
            .filter(|town| town.country == Some("GB") && town.city == *city)?;
        Some(address(
            with_unit(streets, further.last().copied().unwrap_or_default())?,
            town,
            behind,
        ))
    })
}

/// A street with the suite or the part of the building that has a line of its own, above it or below.
fn with_unit(line: &str, above: &str) -> Option<String> {
    match (is_unit(line), is_unit(above)) {
        (true, _) => {
            street(above).map(|street| format!("{street}, {}", line.trim_end_matches(',')))
        }
        (false, true) => {
            street(line).map(|street| format!("{}, {street}", above.trim_end_matches(',')))
        }
        (false, false) => street(line),
    }
}

/// Whether a line says where within a building, and has no street.
fn is_unit(line: &str) -> bool {
    let word = line
        .split([' ', ',', '.'])
        .next()
        .unwrap_or_default()
        .to_lowercase();
    line.len() <= MAX_COUNTRY
        && UNITS.split(' ').any(|unit| unit == word)
        && !phone::is_called(line)
        && !line.split(", ").skip(1).any(is_street)
}

const UNITS: &str = "unit suite ste flat floor level apartment apt room building bldg block studio b\u{e2}timent bat \
    \u{e9}tage etage geb\u{e4}ude piso planta local edificio piano interno scala";

/// `〒980-0811 仙台市青葉区一番町3-2-17`: Japan's form goes from the large to the small. What stands behind the mark
/// may be the next line.
fn japanese(line: &str, below: &str) -> Option<Map<String, Value>> {
    let (_, rest) = line.split_once('\u{3012}')?;
    let rest = rest.trim_start();
    let code: String = rest.chars().take(8).map(narrow).collect();
    if shape(&code) != "999-9999" {
        return None;
    }
    let rest = &rest[rest.char_indices().nth(8).map_or(rest.len(), |(at, _)| at)..];
    if rest.starts_with(|c: char| narrow(c).is_ascii_digit()) {
        return None;
    }
    let rest = Some(rest.trim_start())
        .filter(|rest| !rest.is_empty())
        .unwrap_or(below);
    let rest = rest
        .split(['|', '\u{b7}', '\u{ff5c}', '\u{3012}'])
        .next()
        .and_then(|rest| before_contact(rest).next())?;
    let cut = ["TEL", "Tel", "FAX", "Fax", "\u{96fb}\u{8a71}"]
        .iter()
        .filter_map(|word| rest.find(word))
        .min();
    let rest = rest[..cut.unwrap_or(rest.len())].trim_end_matches(|c: char| !c.is_alphanumeric());
    let (region, rest) = match prefecture(rest) {
        Some(end) => (Some(rest[..end].to_owned()), rest[end..].trim_start()),
        None => (None, rest),
    };
    let city = city_in_japan(rest)?;
    let (city, street) = (rest[..city].to_owned(), rest[city..].trim().to_owned());
    let is_street =
        street.contains(|c: char| narrow(c).is_ascii_digit()) && street.chars().count() <= MAX_CITY;
    is_street.then(|| {
        address(
            street,
            Town {
                city,
                region,
                code,
                country: None,
            },
            "",
        )
    })
}

/// A digit or hyphen of double width as a usual one.
fn narrow(c: char) -> char {
    match c {
        '\u{ff10}'..='\u{ff19}' => {
            char::from_u32(u32::from(c) - 0xff10 + u32::from('0')).unwrap_or(c)
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}' | '\u{ff0d}' => '-',
        c => c,
    }
}

/// Where the prefecture ends that a text begins with: `東京都`, or two or three signs before `県`.
fn prefecture(text: &str) -> Option<usize> {
    let capital = [
        "\u{6771}\u{4eac}\u{90fd}",
        "\u{5317}\u{6d77}\u{9053}",
        "\u{5927}\u{962a}\u{5e9c}",
        "\u{4eac}\u{90fd}\u{5e9c}",
    ];
    let capital = capital
        .iter()
        .find(|name| text.starts_with(**name))
        .map(|name| name.len());
    capital.or_else(|| {
        let (at, c) = text
            .char_indices()
            .take(4)
            .skip(2)
            .find(|(_, c)| *c == '\u{770c}')?;
        Some(at + c.len_utf8())
    })
}

/// Where the city ends that a text begins with, or the ward of Tokyo, or the town in its district.
fn city_in_japan(text: &str) -> Option<usize> {
    let signs: Vec<(usize, char)> = text.char_indices().take(MAX_CITY).collect();
    let is = |at: usize, of: &[char]| signs.get(at).is_some_and(|(_, c)| of.contains(c));
    let first = (1..signs.len()).find(|at| is(*at, &['\u{5e02}', '\u{533a}', '\u{90e1}']))?;
    let last = if is(first, &['\u{90e1}']) {
        (first + 2..signs.len()).find(|at| is(*at, &['\u{753a}', '\u{6751}']))?
    } else if is(first, &['\u{5e02}']) && is(first + 1, &['\u{5e02}']) {
        // A name with the word in it.
        first + 1
    } else {
        first
    };
    signs[..=last]
        .iter()
        .all(|(_, c)| c.is_alphabetic())
        .then(|| signs.get(last + 1).map_or(text.len(), |(at, _)| *at))
}

/// The street of a line without the company that stands before it.
fn street(line: &str) -> Option<String> {
    let mut parts: Vec<&str> = line.trim_end_matches(',').split(", ").collect();
    // `Address: 1 High Street`
    if let Some((_, behind)) = parts[0].split_once(": ") {
        parts[0] = behind;
    }
    while parts.len() > 1 && (organisation::has_legal_form(parts[0]) || parts[0].contains(':')) {
        parts.remove(0);
    }
    if has_digit(line) {
        parts[0] = without_company(parts[0]);
    }
    let street = parts.join(", ");
    is_street(&street).then_some(street)
}

/// `Acme GmbH Weg 1` without the company.
fn without_company(text: &str) -> &str {
    let ends = text
        .match_indices(' ')
        .map(|(at, _)| text.split_at(at))
        .take(MAX_WORDS);
    let is_form = |word: &str| {
        word.chars().any(char::is_uppercase)
            && organisation::has_legal_form(&format!("Acme {word}"))
    };
    let behind =
        ends.filter(|(name, _)| name.rsplit_once(' ').is_some_and(|(_, word)| is_form(word)));
    behind
        .last()
        .map(|(_, street)| street.trim_start())
        .filter(|street| is_street(street))
        .unwrap_or(text)
}

fn address(street: String, town: Town, behind: &str) -> Map<String, Value> {
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

/// The parts of an address in lines: the street, the place, and the country where there is a line for it. Nothing where the
/// place is not written as one (`Portland, ME, 04101`, `North Vancouver, BC V7P 1T4`, `80331 München`) or no house has a number before it.
pub(super) fn lines(text: &str) -> Option<Map<String, Value>> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take(MAX_LINES)
        .collect();
    let is_named = |line: &str| !has_digit(line) && !line.contains(',');
    let (country, lines) = match lines.split_last()? {
        (country, rest) if rest.len() > 1 && is_named(country) => (Some(*country), rest),
        _ => (None, &lines[..]),
    };
    let (place, street) = lines
        .split_last()
        .filter(|(_, street)| street.iter().any(|line| has_digit(line)))?;
    let (city, region, code) = place_of(place)?;
    let parts = [
        ("street", Some(street.join(", "))),
        ("postal_code", Some(code)),
        ("city", Some(city)),
        ("region", region),
        ("country", country.map(str::to_owned)),
    ];
    Some(
        parts
            .into_iter()
            .filter_map(|(name, part)| Some((name.to_owned(), Value::String(part?))))
            .collect(),
    )
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
            let codes = [2, 1]
                .into_iter()
                .filter_map(|count| Some((words.get(..count)?.join(" "), &words[count..])));
            let (code, city) = { codes }.find(|(code, _)| {
                Code::of(code).is_some() && code.starts_with(|c: char| c.is_ascii_digit())
            })?;
            // `1200 High Street` begins with the number of a house.
            let street = city.last()?.trim_end_matches('.').to_lowercase();
            (
                Some(city.join(" ")).filter(|_| !STREETS.split(' ').any(|word| word == street))?,
                None,
                code,
            )
        }
        _ => return None,
    };
    let region = region.filter(|region| !region.is_empty());
    (is_name(&city) && region.as_deref().is_none_or(is_name) && Code::of(&code).is_some())
        .then_some((city, region, code))
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
}

/// A form of postal codes: `9` is a digit and `A` a capital. Fewer than four digits are as often the number of a house.
struct Code {
    form: &'static str,
    /// The country whose postal lines end with it, behind one of its [`regions`] where it has them there.
    ends: Option<&'static str>,
    /// It may stand before a town.
    leads: bool,
}

impl Code {
    const fn new(form: &'static str, ends: Option<&'static str>, leads: bool) -> Self {
        Self { form, ends, leads }
    }

    /// The form of a text that may be a postal code.
    fn of(text: &str) -> Option<&'static Self> {
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

/// What stands before the code in a country's postal lines.
fn regions(country: &str) -> Option<&'static str> {
    match country {
        "US" => Some(STATES),
        "AU" => Some(TERRITORIES),
        "CA" => Some(PROVINCES),
        _ => None,
    }
}

/// How streets' names end where the number of the house is in front of them.
const STREETS: &str = "street st road rd avenue ave boulevard blvd lane ln drive dr way court ct place pl parkway pkwy \
    highway hwy square sq terrace close crescent circle mews quay row broadway";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(text: &str) -> Vec<Line> {
        let line = |text: &str| Line {
            text: text.to_owned(),
            ..Line::default()
        };
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
            (
                "Acme GmbH Weg 1, 80331 M\u{fc}nchen a@acme.example Impressum",
                json!({"street": "Weg 1", "postal_code": "80331", "city": "M\u{fc}nchen"}),
            ),
            (
                "Carrer de D\u{e9}nia, 18, 46006 Val\u{e8}ncia hola@acme.example WhatsApp \u{a9} 2026",
                json!({"street": "Carrer de D\u{e9}nia, 18", "postal_code": "46006", "city": "Val\u{e8}ncia"}),
            ),
            (
                "27 Shore Road, South Hero, VT 05486 Phone: (802) 555-0119",
                json!({"street": "27 Shore Road", "city": "South Hero", "region": "VT", "postal_code": "05486"}),
            ),
            (
                "Acme Inc.\n12 Dauphin Street, Mobile, AL 36602",
                json!({"street": "12 Dauphin Street", "city": "Mobile", "region": "AL", "postal_code": "36602"}),
            ),
            (
                "Acme AG\nHauptsitz\nRheinweg 2\n7000 Chur\nWerk Brig\nGliserallee 81\n3902 Brig-Glis",
                json!({"street": "Rheinweg 2", "postal_code": "7000", "city": "Chur"}),
            ),
            (
                "a@acme.example\nLeeds\n1 Mill Lane, Leeds, LS1 4AP\nHead office: 10 Green Lane, London, SW1A 1AA",
                json!({"street": "10 Green Lane", "postal_code": "SW1A 1AA", "city": "London"}),
            ),
            (
                "Acme SAS\nSi\u{e8}ge social :\n12 rue de la Fosse\n75001 Paris\nAgence de Lyon\n3 quai du Port\n69001 Lyon",
                json!({"street": "12 rue de la Fosse", "postal_code": "75001", "city": "Paris"}),
            ),
            (
                "Acme Ltd\nUnit 6, Kelham Works\n20 Green Lane\nSheffield\nS3 8SE",
                json!({"street": "Unit 6, Kelham Works, 20 Green Lane", "city": "Sheffield", "postal_code": "S3 8SE"}),
            ),
            (
                "Acme Inc.\n88 Fore Street\nSuite 3\nPortland, ME 04101",
                json!({"street": "88 Fore Street, Suite 3", "city": "Portland", "region": "ME", "postal_code": "04101"}),
            ),
            (
                "Acme Lda\nAddress: Rua Augusta 12\n1200-192 Lisboa",
                json!({"street": "Rua Augusta 12", "city": "Lisboa", "postal_code": "1200-192"}),
            ),
            (
                "Acme\u{682a}\u{5f0f}\u{4f1a}\u{793e} \u{3012}980-0811 \u{4ed9}\u{53f0}\u{5e02}\u{9752}\u{8449}\u{533a}\u{4e00}\u{756a}\u{753a}3-2-17",
                json!({"street": "\u{9752}\u{8449}\u{533a}\u{4e00}\u{756a}\u{753a}3-2-17", "city": "\u{4ed9}\u{53f0}\u{5e02}", "postal_code": "980-0811"}),
            ),
            (
                "a@acme.example\n\u{3012}\u{ff11}\u{ff10}\u{ff10}\u{2212}\u{ff10}\u{ff10}\u{ff10}\u{ff11}\n\u{6771}\u{4eac}\u{90fd}\u{5343}\u{4ee3}\u{7530}\u{533a}\u{5343}\u{4ee3}\u{7530}1-1 TEL 03-1234-5678",
                json!({"street": "\u{5343}\u{4ee3}\u{7530}1-1", "city": "\u{5343}\u{4ee3}\u{7530}\u{533a}",
                    "region": "\u{6771}\u{4eac}\u{90fd}", "postal_code": "100-0001"}),
            ),
            (
                "a@acme.example\n\u{3012}510-0001 \u{4e09}\u{91cd}\u{770c}\u{56db}\u{65e5}\u{5e02}\u{5e02}\u{516b}\u{7530}2-3",
                json!({"street": "\u{516b}\u{7530}2-3", "city": "\u{56db}\u{65e5}\u{5e02}\u{5e02}",
                    "region": "\u{4e09}\u{91cd}\u{770c}", "postal_code": "510-0001"}),
            ),
        ] {
            assert_eq!(
                shown(&page(text)).map(Value::Object),
                Some(wanted),
                "{text}"
            );
        }
        for text in [
            "",
            // Several places, of which none is called the head office, or two are.
            "Sol\nCalle del Sol 21, bajo\n46003 Valencia\n+34 960 00 01 23\nMar\nAvenida del Mar 8\n12003 Castell\u{f3}\nx\na@acme.example",
            "Head office\nWeg 1\n80331 M\u{fc}nchen\nHead office\nRing 2\n10117 Berlin",
            "Acme Inc.\nSuite 3\nPortland, ME 04101",
            "a@acme.example\n\u{3012}980-0811",
            "a@acme.example\n\u{3012}980-0811 \u{4ed9}\u{53f0}\u{5e02}",
            "a@acme.example\n\u{3012}980-08112 \u{4ed9}\u{53f0}\u{5e02}\u{4e00}\u{756a}\u{753a}3",
            "\u{3012}980-0811 \u{4ed9}\u{53f0}\u{5e02}\u{9752}\u{8449}\u{533a}\u{4e00}\u{756a}\u{753a}3-2-17",
            "Acme GmbH\nRoom 12\n10117 Visitors",
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
        assert_eq!(
            country(&page("See us\n27 Shore Road, South Hero, VT 05486")),
            Some("US")
        );
        assert_eq!(
            country(&page("Acme\n20 Green Lane, London, SW1A 1AA")),
            Some("GB")
        );
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
            (
                "5 Quay\nSydney, 2000",
                json!({"street": "5 Quay", "city": "Sydney", "postal_code": "2000"}),
            ),
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
