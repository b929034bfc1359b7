//! Reads one number in text as people write it: links, remarks, labels, extensions, prefixes.

use rlibphonenumber::{ParseError, PhoneNumber, Region};

use super::candidates::Candidates;
use super::lookalikes::is_no_number;
use super::plain::{is_too_long, of_a_sheet, plain, without_parameters};
use super::remarks::without_count;
use super::words::from_digit;

/// Reads a number. The first complete one of several counts, and the text behind it is a remark,
/// but for an extension. The error says what the text is instead.
pub(super) fn read(text: &str, country: Option<Region>) -> Result<PhoneNumber, &'static str> {
    if is_too_long(text) {
        return Err("is too long for a phone number");
    }
    let text = plain(text);
    if is_no_number(&text, country) {
        return Err("is not a phone number");
    }
    let text =
        without_parameters(without_count(of_a_sheet(&text))).ok_or("is not a phone number")?;
    let candidates = Candidates::of(&text, country);
    if let Some(number) = candidates.complete().or_else(|| candidates.likely()) {
        return Ok(number);
    }
    let best = candidates.best();
    if is_no_number(from_digit(best), country) {
        return Err("is not a phone number");
    }
    candidates.parse(best).map_err(|error| match error {
        ParseError::InvalidCountryCode if country.is_none() && !text.contains('+') => {
            "has no country: write it with + and the country's code, or give the country"
        }
        ParseError::InvalidCountryCode => "begins with a country code that does not exist",
        ParseError::NotANumber(_) => "is not a phone number",
        ParseError::TooShortAfterIdd | ParseError::TooShortNsn => "is too short for a phone number",
        ParseError::TooLongNsn => "is too long for a phone number",
    })
}
