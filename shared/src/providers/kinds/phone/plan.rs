//! Answers of the numbering plans about a number.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, PhoneNumberType, Region};

use super::words::{count, digits, from_digit};

/// Returns whether a plan has numbers of this form.
pub(super) fn is_valid(number: &PhoneNumber) -> bool {
    PHONE_NUMBER_UTIL.is_valid_number(number)
}

/// Returns whether a number is of a range for services, complete or not.
pub(super) fn is_service(number: &PhoneNumber) -> bool {
    let is_sold = |national_number| {
        is_sold(&PhoneNumber {
            national_number,
            ..number.clone()
        })
    };
    let powers = || (0..=15).map(|n| 10_u64.pow(n));
    let shorter = powers()
        .map(|power| number.national_number / power)
        .filter(|n| *n > 99);
    let longer = powers().filter_map(|power| number.national_number.checked_mul(power));
    shorter.chain(longer).any(is_sold)
}

/// Returns whether a complete number is of a range for services.
pub(super) fn is_sold(number: &PhoneNumber) -> bool {
    use PhoneNumberType::{PersonalNumber, PremiumRate, SharedCost, TollFree, UAN};
    let kind = PHONE_NUMBER_UTIL.get_number_type(number);
    matches!(
        kind,
        TollFree | PremiumRate | SharedCost | PersonalNumber | UAN
    )
}

/// Returns the number that a part is with a `+`, if it begins with the code of its own country and
/// still reads as a number of that country: German numbers may have any length, so that `49 171
/// 1234567` is one. Numbers for use at home have the plan's prefix, if there is one. If it is
/// absent, and the country's digits, a space and a complete number are there, the `+` was left out.
/// `4921 123456`, whose digits are grouped otherwise, is a town's.
pub(super) fn with_plus(part: &str, number: &PhoneNumber, country: Region) -> Option<PhoneNumber> {
    let util = &*PHONE_NUMBER_UTIL;
    let code = util
        .get_country_code_for_region(country)
        .filter(|code| *code == number.country_code)?
        .to_string();
    let national = number.national_number.to_string();
    let at_home = util.format(number, PhoneNumberFormat::National);
    let has_prefix =
        !is_valid(number) || !digits(&at_home).take(national.len()).eq(national.chars());
    let part = from_digit(part);
    let rest = part
        .strip_prefix(code.as_str())
        .filter(|_| has_prefix && national.starts_with(&code))?;
    let grouped = rest
        .find(|c: char| !c.is_ascii_digit())
        .is_some_and(|at| count(&rest[at..]) > 0);
    if grouped && rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    util.parse(format!("+{part}"), None).ok().filter(is_valid)
}
