//! Compares numbers, however they are written.

/// The fewest digits of a number without its country that identify it.
const MIN_TELLING: usize = 7;
/// The longest code of a country.
const MAX_COUNTRY_CODE: usize = 3;

/// Returns whether two numbers are one: digit for digit, or one with its country and the other
/// without.
pub(super) fn same(one: &str, other: &str) -> bool {
    let (one, other) = (Number::of(one), Number::of(other));
    let within = |whole: &Number, part: &Number| {
        let national = part.digits.trim_start_matches('0');
        let code = whole.digits.strip_suffix(national).map(str::len);
        let telling = whole.international && !part.international && national.len() >= MIN_TELLING;
        telling && code.is_some_and(|code| (1..=MAX_COUNTRY_CODE).contains(&code))
    };
    one.extension == other.extension
        && (one.digits == other.digits || within(&one, &other) || within(&other, &one))
}

struct Number {
    digits: String,
    international: bool,
    extension: String,
}

impl Number {
    fn of(text: &str) -> Self {
        let digits = |text: &str| {
            text.chars()
                .filter(char::is_ascii_digit)
                .collect::<String>()
        };
        let (main, extension) = text.split_at(text.find([';', 'e']).unwrap_or(text.len()));
        let all = digits(main);
        let behind_zeros = all.strip_prefix("00").map(str::to_owned);
        let international = behind_zeros.is_some() || main.trim_start().starts_with('+');
        Self {
            digits: behind_zeros.unwrap_or(all),
            international,
            extension: digits(extension),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_with_its_country_and_without() {
        for (one, other, are) in [
            ("+1-253-555-0142", "+12535550142", true),
            ("+61 3 5550 1837", "(03) 5550 1837", true),
            ("0041812570123", "+41 81 257 01 23", true),
            ("(207) 555-0142", "2075550142", true),
            ("+1 207 555 0142", "(207) 555-0142", true),
            ("+44 20 7946 0321", "020 7946 0321", true),
            ("+49 30 123456;ext=12", "+49 30 123456 ext. 12", true),
            ("+49 30 123456", "+49 30 123456 ext. 12", false),
            ("+49 30 123456", "+49 30 123457", false),
            ("+49 30 123456", "123456", false),
            ("020 7946 0321", "7946 0321", false),
            ("+1 617 555 0138", "+44 617 555 0138", false),
        ] {
            assert_eq!(same(one, other), are, "{one} {other}");
            assert_eq!(same(other, one), are, "{other} {one}");
        }
    }
}
