//! The number of people who work for a company.

use serde_json::Value;

use crate::providers::kinds::web::json_ld::text;

/// Returns the number of employees, or the range of it as `51-200` or `1001+`: a number, a text, or
/// `QuantitativeValue`.
pub(super) fn employees(value: &Value) -> (Option<u64>, Option<String>) {
    let Some(node) = value.as_object() else {
        return text(Some(value)).map_or((None, None), |text| staff(&text));
    };
    let count = |name: &str| text(node.get(name)).and_then(|text| staff(&text).0);
    let range = match (count("minValue"), count("maxValue")) {
        (Some(least), Some(most)) => span(least, most),
        (Some(least), None) => (None, Some(format!("{least}+"))),
        _ => (None, None),
    };
    if range != (None, None) {
        return range;
    }
    text(node.get("value")).map_or((None, None), |text| staff(&text))
}

fn span(least: u64, most: u64) -> (Option<u64>, Option<String>) {
    match least.cmp(&most) {
        std::cmp::Ordering::Less => (None, Some(format!("{least}-{most}"))),
        std::cmp::Ordering::Equal => (Some(least), None),
        std::cmp::Ordering::Greater => (None, None),
    }
}

/// Returns the number of people in a text: `120`, `1,001-5,000`, `51 to 200 employees`, `10,001+`,
/// `> 500`. `None` if it has words that could mean something else.
fn staff(text: &str) -> (Option<u64>, Option<String>) {
    let text = text.trim().to_lowercase();
    let text = PEOPLE
        .iter()
        .find_map(|word| text.strip_suffix(word))
        .unwrap_or(&text)
        .trim();
    let above = [
        "more than ",
        "over ",
        ">=",
        "\u{2265}",
        ">",
        "\u{fc}ber ",
        "mehr als ",
        "plus de ",
    ];
    if let Some(rest) = above.iter().find_map(|word| text.strip_prefix(word)) {
        return (None, number(rest).map(|least| format!("{least}+")));
    }
    if let Some(least) = text.strip_suffix('+') {
        return (None, number(least).map(|least| format!("{least}+")));
    }
    let dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let parts = text.split_once(dash).or_else(|| {
        [" to ", " bis ", " \u{e0} "]
            .iter()
            .find_map(|to| text.split_once(to))
    });
    match parts {
        Some((least, most)) => match (number(least), number(most)) {
            (Some(least), Some(most)) => span(least, most),
            _ => (None, None),
        },
        None => (number(text), None),
    }
}

/// Words behind a number of people.
const PEOPLE: [&str; 9] = [
    "employees",
    "employee",
    "people",
    "staff",
    "mitarbeiter",
    "mitarbeitende",
    "salari\u{e9}s",
    "empleados",
    "dipendenti",
];

/// Reads a whole number, with separators of thousands or without.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    // A fraction may only be of zeros.
    let text = text
        .strip_suffix(".0")
        .or_else(|| text.strip_suffix(".00"))
        .unwrap_or(text);
    let parted = |c: char| matches!(c, ',' | '.' | '\'' | '\u{2019}') || c.is_whitespace();
    let mut groups = text.split(parted);
    let first = groups.next()?;
    let groups: Vec<&str> = groups.collect();
    let fits = groups.iter().all(|group| group.len() == 3)
        && (groups.is_empty() || (1..=3).contains(&first.len()));
    let digits = [&[first], &groups[..]].concat().concat();
    (fits && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}
