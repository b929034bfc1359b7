//! An address written as lines of a letter.

use serde_json::{Map, Value};

use super::town::{Code, has_digit};

/// The most lines of an address.
const MAX_LINES: usize = 6;

/// Returns the parts of an address in lines: the street, the place, and the country if there is a
/// line for it. `None` if the place is not written as one (`Portland, ME, 04101`, `North Vancouver,
/// BC V7P 1T4`, `80331 München`) or no house has a number before it.
pub(in super::super) fn lines(text: &str) -> Option<Map<String, Value>> {
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

/// Returns the city, the region and the postal code of a line.
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
            // `1200 High Street` begins with a house number.
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

/// The ends of street names with the house number before them.
const STREETS: &str = "street st road rd avenue ave boulevard blvd lane ln drive dr way court ct \
                       place pl parkway pkwy highway hwy square sq terrace close crescent circle \
                       mews quay row broadway";
