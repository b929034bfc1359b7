//! The address in a page's lines.

use serde_json::{Map, Value};

use super::japan::japanese;
use super::parts::{MAX_PARTS, parts};
use super::street::with_unit;
use super::town::{MAX_COUNTRY, MAX_LINE, Town, address, has_digit};
use crate::domain::organisation;
use crate::providers::kinds::phone;
use crate::providers::kinds::web::html::Line;
use crate::providers::kinds::web::places::Place;

/// The most lines around an address that may name its owner.
const NEAR: usize = 4;
/// The most lines of a page that are compared with their owners' names.
const MAX_PLACES: usize = 50;

/// Returns the country of a postal line's form: the first of the page's own.
pub(in super::super) fn country(lines: &[Line]) -> Option<&'static str> {
    let own = lines
        .iter()
        .filter(|line| line.place != Place::Others && line.text.len() <= MAX_LINE);
    own.flat_map(|line| parts(&line.text)).find_map(|part| {
        let tail = part.len().saturating_sub(2);
        let town = |text: &str| Town::of(text).and_then(|town| town.country);
        town(&part[tail..].join(", ")).or_else(|| town(part.last()?))
    })
}

/// Returns the address in a page's lines: a street with a house number, and behind it a postal
/// line. It counts if the page says that it is its own: in `<address>`, in the header or footer, or
/// near the company's name, its mail or its phone. Of several towns, only one called the head
/// office is the company's.
pub(in super::super) fn shown(lines: &[Line]) -> Option<Map<String, Value>> {
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
    // The longest has the parts that the others lack.
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
    // Any of the page's addresses may be beside a mail or a phone.
    let least = if has(Own::Marked) { Own::Near } else { Own::No };
    only(least, Own::Marked).filter(|_| has(Own::Near) || has(Own::Marked))
}

/// The strength of the evidence that an address is the page's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Own {
    No,
    /// A mail or a phone is near.
    Near,
    /// It is in `<address>`, in the site's frame, or near a name with a legal form.
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

/// Returns whether the line of an address, or one above it without another town, calls it the head
/// office.
fn is_head_office(lines: &[Line], at: usize) -> bool {
    let is_said = |text: &str| {
        let text = text.split_once(": ").map_or(text, |(label, _)| label);
        let lower = text.to_lowercase();
        let words: Vec<&str> = lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let mut known = HEAD_OFFICES
            .split(", ")
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

/// Names for the head office, in the ten languages with the most sites and some close behind them.
const HEAD_OFFICES: &str = "\
    head office, headquarters, hq, main office, registered office, hauptsitz, firmensitz, \
    zentrale, hauptverwaltung, siège, siège social, maison mère, sede central, sede social, sede \
    principal, oficina central, oficinas centrales, sede legale, sede centrale, sede principale, \
    matriz, hoofdkantoor, hoofdzetel, siedziba, siedziba główna, centrala, головной офис, genel \
    merkez, huvudkontor, hovedkontor, pääkonttori, 本社, 总部, 總部";

fn in_line(lines: &[Line], at: usize) -> Option<Map<String, Value>> {
    let text = |at: usize| {
        lines
            .get(at)
            .map(|line| line.text.as_str())
            .filter(|text| text.len() <= MAX_LINE)
    };
    let here = parts(text(at)?);
    // The lines that may be before it, the nearest last.
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
