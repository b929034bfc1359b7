//! Letters to dial, as in `1-800-FLOWERS`.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber};

use super::labels;
use super::plan::{is_service, is_sold, is_valid};
use super::words::{is_extension, letters, words};

/// The country codes of plans whose numbers are all of one length, so that words may be longer:
/// North America, Australia.
const LONG_WORDS: [i32; 2] = [1, 61];

/// The most digits before letters that replace a number: those of a service, as in `0800` and `0180
/// 5`.
const MAX_SERVICE: usize = 4;
/// The fewest letters that libphonenumber dials.
const MIN_LETTERS: usize = 3;

/// Returns whether the letters of a part are meant to be dialled, and are not a remark behind an
/// incomplete number: both make a number of the plan, if numbers may have any length. Words are
/// sold
///
/// - for services, such as `0800`, and are right behind their digits: the whole is a service's too,
///   and not a name with a capital, but in North America;
/// - in North America for every number, and are then in capitals and complete.
pub(super) fn is_spelled(part: &str, number: &PhoneNumber) -> bool {
    let mut dialled = words(part)
        .filter(|word| !is_extension(word, number))
        .peekable();
    let Some(first) = dialled.peek().copied() else {
        return false;
    };
    let is_remark = |word: &str| {
        let letters = letters(word);
        let in_brackets = part[..part.len() - word.len()].ends_with(['(', '[']);
        // `HOME-CAR` is another word.
        let joined = word[letters.len()..]
            .strip_prefix('-')
            .is_some_and(|rest| rest.starts_with(char::is_alphabetic));
        let listed = !joined && labels::is_remark(&letters.to_ascii_lowercase());
        let name = number.country_code != 1 && letters.len() > 1 && is_capitalised(letters);
        in_brackets || !letters.is_ascii() || listed || name
    };
    let extension = words(part)
        .find(|word| is_extension(word, number))
        .map_or(number.extension().len(), str::len);
    let behind = &first[..first.floor_char_boundary(first.len().saturating_sub(extension))];
    let spelled = behind.chars().filter(char::is_ascii_alphanumeric).count();
    let before = number
        .national_number
        .to_string()
        .len()
        .saturating_sub(spelled);
    let mut letters = behind.chars().filter(char::is_ascii_alphabetic);
    let capitals = letters.clone().all(|c| c.is_ascii_uppercase());
    let sold =
        is_service(number) && (number.country_code == 1 || !is_valid(number) || is_sold(number));
    letters.nth(MIN_LETTERS - 1).is_some()
        && !dialled.any(is_remark)
        && ((sold && before <= MAX_SERVICE)
            || (number.country_code == 1 && capitals && is_valid(number)))
}

fn is_capitalised(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(char::is_uppercase) && chars.all(char::is_lowercase)
}

/// Returns a number whose word is too long for its plan, without the last letters: dialling them
/// changes nothing.
pub(super) fn cut(part: &str, mut number: PhoneNumber) -> Option<PhoneNumber> {
    let last = words(part)
        .filter(|word| !is_extension(word, &number))
        .last()
        .map(|word| letters(word).len())?;
    let long = number.national_number.to_string().len();
    let cut = LONG_WORDS.contains(&number.country_code)
        && PHONE_NUMBER_UTIL.truncate_too_long_number(&mut number);
    (cut && long - number.national_number.to_string().len() < last).then_some(number)
}
