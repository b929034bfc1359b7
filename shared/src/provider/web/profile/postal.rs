//! Postal addresses that are written as lines of a letter.

use serde_json::{Map, Value};

/// The most lines of an address.
const MAX_LINES: usize = 6;

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
    let shape = |c: char| match c {
        '0'..='9' => '9',
        'A'..='Z' => 'A',
        c => c,
    };
    CODES.contains(&text.chars().map(shape).collect::<String>().as_str())
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
