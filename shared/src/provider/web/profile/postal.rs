//! Postal addresses that are written as lines of a letter.

use serde_json::{Map, Value};

/// The most lines of an address.
const MAX_LINES: usize = 6;
/// The longest postal code, in bytes.
const MAX_CODE: usize = 10;

/// The parts of an address in lines: the street, the place, and the country where there is a line for it. Nothing where the
/// place is not written as one: `Portland, ME, 04101`, `North Vancouver, BC V7P 1T4` or `80331 München`.
pub(super) fn lines(text: &str) -> Option<Map<String, Value>> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(MAX_LINES).collect();
    let is_named = |line: &str| !line.bytes().any(|b| b.is_ascii_digit()) && !line.contains(',');
    let (country, lines) = match lines.split_last()? {
        (country, rest) if rest.len() > 1 && is_named(country) => (Some(*country), rest),
        _ => (None, &lines[..]),
    };
    let (place, street) = lines.split_last().filter(|(_, street)| !street.is_empty())?;
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
    let is_code = |word: &str| word.bytes().any(|b| b.is_ascii_digit());
    let parts: Vec<&str> = line.split(',').map(str::trim).collect();
    if parts.len() > 1 && is_code(parts[0]) {
        return None;
    }
    let (city, region, code) = match parts[..] {
        [city, region, code] if is_code(code) => (city.to_owned(), Some(region.to_owned()), code.to_owned()),
        [city, rest] => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (region, code) = words.split_at(words.iter().position(|word| is_code(word))?);
            (city.to_owned(), Some(region.join(" ")).filter(|region| !region.is_empty()), code.join(" "))
        }
        [line] => {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words.iter().position(|word| !is_code(word)).filter(|at| *at > 0)?;
            let (code, city) = words.split_at(at);
            (city.join(" "), None, code.join(" "))
        }
        _ => return None,
    };
    (code.len() <= MAX_CODE).then_some((city, region, code))
}

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
            ("5 Quay\nSydney, 2000", json!({"street": "5 Quay", "city": "Sydney", "postal_code": "2000"})),
        ] {
            assert_eq!(lines(text).map(Value::Object), Some(parts), "{text}");
        }
        for text in
            ["", "1 Road, Springfield", "Springfield\nUS", "1 Road\nSpringfield", "1 Road\nFlat 5, 2 up", "04101 York"]
        {
            assert_eq!(lines(text), None, "{text}");
        }
    }
}
