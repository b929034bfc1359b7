//! One number out of what people write: links, remarks, labels, extensions, the prefix for calls abroad.

use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex_lite::{Regex, RegexBuilder};
use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, ParseError, PhoneNumber, PhoneNumberFormat,
    PhoneNumberType, Region,
};

use super::labels;
use crate::providers::kinds::email::address::is_invisible;

/// libphonenumber's own bound.
const MAX_CHARS: usize = 250;
/// Of how many places where a number may end or begin each is tried with each.
const MAX_BREAKS: usize = 8;
/// Digits in brackets behind more than so many are a remark: before that they are an area's.
const MAX_BEFORE_REMARK: usize = 6;
/// How many digits a label may have before the number itself: `Line 2:`, `24h`.
const MAX_LABEL_DIGITS: usize = 3;
/// The country codes of plans whose numbers are all of one length, so that words may be longer: North America, Australia.
const LONG_WORDS: [i32; 2] = [1, 61];

/// How many digits stand at most before letters that take the place of a number: those of a service, as in `0800` and `0180 5`.
const MAX_SERVICE: usize = 4;
/// The fewest letters that libphonenumber takes for some to dial.
const MIN_LETTERS: usize = 3;
/// How many digits a number has as it is written, the least in a town and the most of E.164, and how many where another
/// follows. How long it is, and how many digits its extension has.
const DIGITS: std::ops::RangeInclusive<usize> = 6..=15;
const MIN_BEFORE_ANOTHER: usize = 7;
const MAX_WRITTEN: usize = 40;
const MAX_EXTENSION: usize = 7;
/// How many digits a postal code has at most in the countries where as many may be a number.
const MAX_POSTAL_CODE: usize = 5;
/// How many zeros a spreadsheet puts behind the point at most.
const MAX_DECIMALS: usize = 2;
/// How many digits a number has at most without its country's, and without a prefix.
const MAX_NATIONAL: usize = 11;
/// How many digits a second ending has at most.
const MAX_ENDING: usize = 4;

/// Words before an extension that libphonenumber does not know.
const EXTENSIONS: [&str; 8] = [
    "durchwahl",
    "dw",
    "interno",
    "nebenstelle",
    "poste",
    "ramal",
    "toestel",
    "\u{432}\u{43d}",
];

/// The labels of an extension that libphonenumber knows. It finds its `x` in `Fax` and `Box` too.
const LABELS: [&str; 11] = [
    "ext",
    "extn",
    "extension",
    "extensi\u{f3}n",
    "x",
    "xt",
    "xtn",
    "xx",
    "int",
    "anexo",
    "\u{434}\u{43e}\u{431}",
];

/// A remark that begins with a digit or a sign: hours, prices and floors. Any other word behind digits leaves them a number's.
/// Letters that may be anything else are a currency only in brackets, behind a decimal, or before what it is paid for.
const REMARK: &str = r"(?x)[(\[]\s?\d{1,3}\s?CURRENCY\b | [\s,;(\[](?:
    (?:24|7|365)[dhjt]?\s?[/x]\s?(?:24|[5-7]|365)\b
    | \d{1,2}:\d\d\b
    | \d{1,3}(?:st|nd|rd|th|h|p)\b
    | \d{1,3}\.?\s?(?:(?:og|ug|eg|stock|etage|obergeschoss|floor|piano|piso|planta)\b|étage)
    | (?:\d{1,2}(?:[.:]\d\d)?\s?(?:[ap]m|h|uhr)?\s?(?:-|bis|to|till|until|à|a|alle)\s?)?\d{1,3}(?:[.:,]\d\d)?\s?
        (?:[ap]\.?m|h|hrs?|hours?|uhr|std|stunden|uur|ore|horas?|heures?|min)\b
    | \d{1,3}[.,](?:\d{1,3}|-)\s?CURRENCY\b
    | \d{1,3}\s?CURRENCY\.?\s?(?:/|(?:pro|per|par|por|al|je|a)\s)\s?(?:min|anruf|call|appel|llamada|chiamata|chamada|gesprek
        |połączenie|sms|perc|hívás|мин|dk|hovor)
    | \d{1,3}(?:[.,](?:\d{1,3}|-))?\s?(?:
        (?:cents?|cent[ei]simi|centimes|c[eé]ntimos|rappen|pence|groszy|euros?|dollars?|pounds?|francs)\b
        | z[łŁ] | k[čČ] | лв | руб | грн | (?:[A-Z]{1,2})?[€$£¥₽₹₺₴₩₪¢฿₫₦]
        | (?:/|pro|per|par|por|al|je|a)\s?
            (?:min(?:ut[eoa])?|anruf|call|appel|llamada|chiamata|chamada|gesprek|połączenie|sms)\b)
    | [€$£¥₽₹₺₴₩₪¢฿₫₦]\s?\d)";

/// Letters of currencies.
const CURRENCY: &str = "(?:cts?|eur|usd|gbp|chf|s?fr|pln|czk|sek|nok|dkk|kr|huf|ft|ron|lei|bgn|rub|try|tl|inr|rs|rp|jpy|yen|cny|aud\
    |cad|nzd|brl|mxn|zar)";

/// What is a day, with the time or without.
const DATE: &str = r"(?x)^(?:
    (?:19|20)\d\d\s?[-./]\s?(?:0?[1-9]|1[0-2])\s?[-./]\s?(?:0?[1-9]|[12]\d|3[01])
    | (?:0?[1-9]|[12]\d|3[01])\s?[-./]\s?(?:0?[1-9]|[12]\d|3[01])\s?[-./]\s?(?:19|20)\d\d
    )[.,]?(?:(?:T|,?\s)\s?\d{1,2}:\d\d.*|T\d{4,6}Z?)?$";

/// A span of years.
const YEARS: &str = r"^(?:19|20)\d\d\s?-\s?(?:19|20)\d\d[.,]?$";

/// A day with its month in letters. Any three may be a month's in some language.
const DATE_IN_WORDS: &str = r"(?x)^(?:\D*\s)?(?:
    (?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|er|[.\u{ba}])?[\s-](?:(?:of|de)\s)?(?P<month>\D{3,12})[\s-](?:(?:de|del)\s)?(?:19|20)\d\d
    | (?P<first>[^\d\s]{3,12})\s(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?,?\s(?:19|20)\d\d
    )\b[.,]?(?:\D|$)(?:(?:at\s|um\s)?\s?\d{1,2}:\d\d.*)?$";

/// An amount; and a quantity as spreadsheets show large ones, without its last digits.
const AMOUNT: &str = r"^(?:[1-9]\d?(?:\.\d{3}){2,}|[1-9]\d\d(?:\.000){2,})$";
const ROUNDED: &str = r"^\d[.,]\d+e\+?\d+$";

/// Hours or a count before a number that begins with `0`; a count with its sign before any.
const BEFORE: &str = r"^[1-9]\d{0,2}(?P<span>[/-]\d{1,3})?\s+(?P<number>\(?0\d.*)$";
const TIMES: &str = r"^[1-9]\d?\s?(?:[x\u{d7}*]|mal|times)\s+(?P<number>.*)$";

/// Words beside a number that say what it is for; never letters to dial.
const REMARKS: [&str; 40] = [
    "cell",
    "celular",
    "cellulare",
    "central",
    "centrale",
    "desk",
    "direct",
    "direkt",
    "empfang",
    "ext",
    "fax",
    "faks",
    "firma",
    "frau",
    "gratis",
    "handy",
    "herr",
    "home",
    "hotline",
    "kostenlos",
    "main",
    "mob",
    "mobil",
    "mobile",
    "movil",
    "office",
    "phone",
    "portable",
    "privat",
    "private",
    "reception",
    "sekretariat",
    "service",
    "switchboard",
    "tel",
    "telefax",
    "telefon",
    "telephone",
    "work",
    "zentrale",
];

struct Patterns {
    remark: Regex,
    /// What is written with digits, and is no number to call.
    no_number: [Regex; 2],
    date_in_words: Regex,
    years: Regex,
    amount: Regex,
    before: Regex,
    times: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    let pattern = |text: &str| RegexBuilder::new(text).case_insensitive(true).build().ok();
    Some(Patterns {
        remark: pattern(&REMARK.replace("CURRENCY", CURRENCY))?,
        no_number: [pattern(DATE)?, pattern(ROUNDED)?],
        date_in_words: pattern(DATE_IN_WORDS)?,
        years: pattern(YEARS)?,
        amount: pattern(AMOUNT)?,
        before: pattern(BEFORE)?,
        times: pattern(TIMES)?,
    })
});

/// A text without the count before a number: `3 x 030 123456`.
fn without_count(text: &str) -> &str {
    let number = PATTERNS
        .as_ref()
        .and_then(|patterns| patterns.times.captures(text)?.name("number"));
    number
        .map(|number| number.as_str())
        .filter(|number| count(number) >= MIN_BEFORE_ANOTHER)
        .unwrap_or(text)
}

/// Whether a text is a date or a rounded quantity, and so no number, whatever a plan makes of its digits; or a span of years that is
/// no number of the country.
fn is_no_number(text: &str, country: Option<Region>) -> bool {
    let text = text.trim_matches(|c: char| {
        c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | ',' | ';' | ':')
    });
    let is_label = |word: &str| {
        let word = word.to_lowercase();
        word.split(|c: char| !c.is_alphanumeric())
            .any(|word| labels::is_phone(word) || labels::is_number(word))
            || labels::says_fax(&word)
    };
    // All of it, as it is written at home: in Germany a number begins with `0`.
    let is_at_home = || {
        let number = PHONE_NUMBER_UTIL.parse(text, country).ok().filter(is_valid);
        number.is_some_and(|number| {
            let at_home = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::National);
            let digits = text.chars().filter(char::is_ascii_digit);
            at_home.chars().filter(char::is_ascii_digit).eq(digits)
        })
    };
    PATTERNS.as_ref().is_some_and(|patterns| {
        let has_month = |found: regex_lite::Captures<'_>| {
            let month = found.name("month").or_else(|| found.name("first"));
            month.is_some_and(|month| !is_label(month.as_str()))
        };
        patterns
            .no_number
            .iter()
            .any(|pattern| pattern.is_match(text))
            || patterns.date_in_words.captures(text).is_some_and(has_month)
            || (patterns.years.is_match(text) && !is_at_home())
    })
}

/// Where the bracket begins that a place is in, where it is behind a number and so the beginning of a remark.
fn remark_around(before: &str) -> Option<usize> {
    let open = before
        .rfind(['(', '['])
        .filter(|open| !before[*open..].contains([')', ']']))?;
    (count(&before[..open]) > MAX_BEFORE_REMARK).then_some(open)
}

/// Reads a number. The first complete one of several counts, and what stands behind a complete one is a remark, but for an extension.
/// The error says what the text is instead.
pub(super) fn read(text: &str, country: Option<Region>) -> Result<PhoneNumber, &'static str> {
    if text.trim().chars().nth(MAX_CHARS).is_some() {
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

/// Reads the numbers of a link or a text as they are written, where nobody says which country they are of: with plain digits,
/// dashes and spaces, and an extension as `;ext=12` or ` ext. 12`. Nothing of a fax, and nothing of a number with words behind it.
pub(in crate::providers) fn written(text: &str) -> Vec<String> {
    if text.len() > MAX_CHARS * 4 || text.trim().chars().nth(MAX_CHARS).is_some() {
        return Vec::new();
    }
    let text = without_parameters(&plain(text)).unwrap_or_default();
    apart(&text).into_iter().filter_map(as_written).collect()
}

/// The parts of a text with a number each. A slash may also stand within one, so that it counts where the whole is no number of
/// any plan, as in libphonenumber's matcher.
fn apart(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let is_sign = |c: char| matches!(c, ',' | ';' | '/' | '|' | '\n');
    for (at, sign) in text.match_indices(is_sign) {
        let (part, rest) = (&text[start..at], &text[at + 1..]);
        let next = rest
            .split(|c| is_sign(c) && (c != '/' || sign == "/"))
            .next()
            .unwrap_or_default();
        let within = || {
            sign == "/"
                && PHONE_NUMBER_UTIL
                    .parse(&text[start..=at + next.len()], None)
                    .is_ok_and(|n| is_valid(&n))
        };
        // Not the digits of its extension.
        let number = next
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .split(char::is_alphabetic)
            .next();
        let another =
            count(part) >= MIN_BEFORE_ANOTHER && number.map_or(0, count) >= *DIGITS.start();
        if another && !next.starts_with("ext=") && !within() {
            parts.push(part);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn as_written(part: &str) -> Option<String> {
    let is_number = |c: char| c.is_ascii_digit() || "+-(). /".contains(c);
    let start = part.find(|c: char| c.is_ascii_digit() || c == '+')?;
    let label = part[..start].trim_end_matches('(');
    let lower = label.to_lowercase();
    if labels::says_fax(&lower) && !labels::is_for_both(&lower) {
        return None;
    }
    let start = if label.len() < start {
        start - 1
    } else {
        start
    };
    let (number, rest) = part[start..].split_at(
        part[start..]
            .find(|c| !is_number(c))
            .unwrap_or(part.len() - start),
    );
    let number = number.trim_end_matches(['-', '/', '(', ' ', '.']);
    let ending = short_endings(number).next();
    let number = one_written(&number[..ending.unwrap_or(number.len())])?;
    let mut written = number.to_owned();
    if ending.is_some() && rest.contains(char::is_alphanumeric) {
        return None;
    }
    if rest.contains(char::is_alphanumeric) {
        // Extensions are written alike in every country.
        let read = PHONE_NUMBER_UTIL.parse(part, Some(Region::US)).ok()?;
        let extension = read.extension();
        let digits = rest.chars().filter(char::is_ascii_digit);
        if !digits.eq(extension.chars())
            || !(1..=MAX_EXTENSION).contains(&extension.len())
            || !words(part).all(|word| is_extension(word, &read))
        {
            return None;
        }
        let label = if rest.starts_with(';') {
            ";ext="
        } else {
            " ext. "
        };
        written.extend([label, extension]);
    }
    (DIGITS.contains(&count(number)) && number.len() <= MAX_WRITTEN).then_some(written)
}

/// What is written as one number: without a count or hours before it, and neither a date nor an amount.
fn one_written(number: &str) -> Option<&str> {
    let number = number.trim_end_matches(['-', '/', '(', ' ', '.']);
    let Patterns {
        before,
        no_number,
        years,
        amount,
        ..
    } = PATTERNS.as_ref()?;
    let number = match number.rfind('+') {
        Some(at) if at > 0 && &number[..at] != "(" => {
            let single = !number[..at].contains('+') && count(&number[..at]) <= MAX_LABEL_DIGITS;
            single.then(|| &number[at..])?
        }
        Some(_) => number,
        None => {
            // `138 0013 8000` is one number.
            let is_one = |found: &str| {
                count(number) <= MAX_NATIONAL || found.trim_start_matches('(').starts_with("00")
            };
            let behind = before.captures(number).and_then(|found| {
                let behind = found.name("number")?;
                (found.name("span").is_some() || !is_one(behind.as_str())).then_some(behind)
            });
            behind
                .map(|found| found.as_str())
                .filter(|found| count(found) > MIN_BEFORE_ANOTHER)
                .unwrap_or(number)
        }
    };
    let is_other = [&no_number[0], years, amount]
        .iter()
        .any(|pattern| pattern.is_match(number));
    (!is_other).then_some(number)
}

/// Where a second ending of a number begins, as in `030 12345678/79`: behind all digits of the first, and with fewer. The digits of
/// a country count for none.
fn short_endings(text: &str) -> impl Iterator<Item = usize> {
    let is_short = |at: &usize| {
        let (before, behind) = (&text[..*at], &text[at + 1..]);
        let least = MIN_BEFORE_ANOTHER + if before.contains('+') { 2 } else { 0 };
        let in_remark = remark_around(before).is_some();
        let last = before.rsplit('/').next().map_or(0, count);
        let is_sign =
            |c: char| c.is_alphabetic() || matches!(c, ',' | ';' | '/' | '|' | '+' | '\n');
        let ending = behind.split(is_sign).next().map_or(0, count);
        !in_remark
            && count(before) >= least
            && last > MAX_ENDING
            && (1..=MAX_ENDING).contains(&ending)
    };
    text.match_indices('/').map(|(at, _)| at).filter(is_short)
}

/// A text with ASCII's digits, dashes, spaces and signs for those of typography, of full width and of every script, without what
/// nobody sees, and with a word that libphonenumber knows before an extension.
pub(super) fn plain(text: &str) -> String {
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_or_else(|_| text.to_owned(), Into::into);
    let mut plain = String::with_capacity(decoded.len());
    for c in decoded.trim().chars().filter(|c| !is_invisible(*c)) {
        match c {
            '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => plain.push('-'),
            // A long vowel elsewhere.
            '\u{30fc}' if plain.ends_with(|c: char| c.is_ascii_digit()) => plain.push('-'),
            '\u{2044}' | '\u{2215}' => plain.push('/'),
            '\u{ff01}'..='\u{ff5e}' => plain.extend(char::from_u32(u32::from(c) - 0xfee0)),
            // Dots to the eye, and in France between each two digits.
            '·' | '•' | '∙' => plain.push('.'),
            // `( 030 ) 123456`
            ' ' if plain.ends_with('(') => {}
            ')' => {
                plain.truncate(plain.trim_end_matches(' ').len());
                plain.push(')');
            }
            c if c != '\n' && c.is_whitespace() => plain.push(' '),
            c if !c.is_ascii() && c.is_numeric() => {
                let digit = PHONE_NUMBER_UTIL.normalize_digits_only(c.encode_utf8(&mut [0; 4]));
                if digit.is_empty() {
                    plain.push(c);
                } else {
                    plain.push_str(&digit);
                }
            }
            c => plain.push(c),
        }
    }
    let is_label = |word: &&str| EXTENSIONS.contains(&letters(word).to_lowercase().as_str());
    let label = words(&plain)
        .find(is_label)
        .map(|word| (plain.len() - word.len(), letters(word).len()));
    if let Some((at, length)) = label {
        plain.replace_range(at..at + length, "ext");
    }
    plain
}

/// A number without what a spreadsheet that took it for a quantity put behind it: `4930123456.0`, `+4930123456,00`.
fn of_a_sheet(text: &str) -> &str {
    let digits =
        |text: &&str| text.len() >= MIN_BEFORE_ANOTHER && text.bytes().all(|b| b.is_ascii_digit());
    let whole = text
        .trim_end_matches('0')
        .strip_suffix(['.', ','])
        .filter(|whole| (1..=MAX_DECIMALS).contains(&(text.len() - whole.len() - 1)));
    whole
        .filter(|whole| digits(&whole.strip_prefix('+').unwrap_or(whole)))
        .unwrap_or(text)
}

/// A number without the parameters of a `tel:` URI (RFC 3966), but with its extension, and behind the digits that its context gives.
/// `None` where the context is none. The library takes such URIs itself, but minds the case of parameters, and panics on crafted ones
/// (2.2.15: `9;phone-context=a;phone-context=+`), so that it never sees a context.
fn without_parameters(text: &str) -> Option<String> {
    let mut parts = text.split(';');
    let number = parts.next().unwrap_or_default();
    let (mut context, mut kept) = (None, String::new());
    for part in parts {
        match part.split_once('=') {
            Some((name, value)) => match name.trim().to_ascii_lowercase().as_str() {
                "ext" => {
                    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                    kept = format!(";ext={digits}{kept}");
                }
                "phone-context" => context = context.or(Some(value.trim())),
                _ => {}
            },
            // An extension to be dialled later, or another number.
            None => kept.extend([";", part]),
        }
    }
    let global = number.chars().find(|c| c.is_ascii_digit() || *c == '+') == Some('+');
    match context {
        Some(context) if !global => {
            let prefix = if context.starts_with('+') {
                context
            } else {
                ""
            };
            // What stands before the digits is the scheme.
            let digits = number.trim_start_matches(|c: char| !c.is_ascii_digit());
            is_context(context).then(|| format!("{prefix}{digits}{kept}"))
        }
        _ => Some(format!("{number}{kept}")),
    }
}

/// The first digits of numbers in a country, or the name of a domain: RFC 3966, 3.
fn is_context(context: &str) -> bool {
    if let Some(digits) = context.strip_prefix('+') {
        let signs = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.' | '(' | ')');
        return digits.chars().all(signs) && digits.contains(|c: char| c.is_ascii_digit());
    }
    let label = |label: &str| {
        let ends = !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
        ends && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let name = context.strip_suffix('.').unwrap_or(context);
    let top = name.rsplit('.').next().unwrap_or_default();
    name.split('.').all(label) && top.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// The parts of a text that may be a number.
struct Candidates<'t> {
    text: &'t str,
    country: Option<Region>,
    starts: Vec<usize>,
    /// Those before remarks and second endings, then the others, the longest first.
    ends: Vec<usize>,
}

impl<'t> Candidates<'t> {
    fn of(text: &'t str, country: Option<Region>) -> Self {
        let (mut starts, mut ends) = (vec![0], Vec::new());
        let (mut digits, mut begun, mut bracket, mut word) = (0, 0, None, false);
        for (at, c) in text.char_indices() {
            let letter = c.is_alphabetic();
            let sign = matches!(c, ',' | ';' | '/' | '|' | ':' | '\n') || (c == '+' && digits > 0);
            if (letter && !word) || sign {
                // A remark in brackets is one from its bracket on.
                ends.push(bracket.unwrap_or(at));
            }
            if (word && !letter) || sign {
                let start = if c == '+' || (word && !sign) {
                    at
                } else {
                    at + c.len_utf8()
                };
                // Of several before the same digits the last is as good, but for the text's beginning.
                if begun == digits && starts.len() > 1 {
                    starts.pop();
                }
                // Behind digits of something else, such as a postal code, what may be a number by itself.
                if digits <= MAX_LABEL_DIGITS || count(&text[start..]) >= MIN_BEFORE_ANOTHER {
                    starts.push(start);
                }
                begun = digits;
            }
            match c {
                '(' | '[' => bracket = bracket.or(Some(at)),
                ')' | ']' => {
                    let open = bracket.take();
                    ends.extend(open.filter(|open| count(&text[..*open]) > MAX_BEFORE_REMARK));
                }
                _ => digits += usize::from(c.is_ascii_digit()),
            }
            word = letter;
        }
        ends.dedup();
        ends.truncate(MAX_BREAKS);
        ends.push(text.len());
        ends.reverse();
        let remarks = PATTERNS
            .iter()
            .flat_map(|patterns| patterns.remark.find_iter(text))
            .map(|found| found.start());
        // A remark in brackets is one from its bracket on.
        let remarks = remarks.map(|at| remark_around(&text[..at]).unwrap_or(at));
        ends.splice(
            ..0,
            remarks
                .chain(short_endings(text))
                .take(MAX_BREAKS)
                .collect::<Vec<_>>(),
        );
        starts.dedup();
        starts.truncate(MAX_BREAKS);
        Self {
            text,
            country,
            starts,
            ends,
        }
    }

    /// The first part at the first start that is a valid number and nothing else; else the number that letters spell.
    fn complete(&self) -> Option<PhoneNumber> {
        let parts = || self.starts.iter().flat_map(|start| self.from(*start));
        let complete = |part: &&'t str| Some((*part, self.digits(part).filter(is_valid)?));
        let first = parts().find_map(|part| complete(&part));
        // Few digits before a number that can be called from everywhere are a postal code or a house's.
        let is_short = |part: &str| {
            count(part) <= MAX_POSTAL_CODE && !from_digit(part).starts_with(['+', '0'])
        };
        let first = match first {
            Some((part, _)) if is_short(part) => {
                let longer = parts()
                    .filter(|part| count(part) >= MIN_BEFORE_ANOTHER)
                    .find_map(|part| complete(&part));
                longer.or(first)
            }
            first => first,
        };
        let spelled = || self.spelled().into_iter();
        first
            .map(|(_, number)| number)
            .or_else(|| spelled().map(|(_, number)| number).find(is_valid))
            .or_else(|| spelled().find_map(|(part, number)| cut(part, number)))
    }

    /// A number that the plan does not have: with letters where they may be meant, and rather one that it could have, if only
    /// within a town.
    fn likely(&self) -> Option<PhoneNumber> {
        let is = |number: &PhoneNumber, length| {
            PHONE_NUMBER_UTIL.is_possible_number_with_reason(number) == Ok(length)
        };
        let possible = |number: &&PhoneNumber| is(number, NumberLengthType::IsPossible);
        let local = |number: &&PhoneNumber| is(number, NumberLengthType::IsPossibleLocalOnly);
        let spelled: Vec<PhoneNumber> = self
            .spelled()
            .into_iter()
            .map(|(_, number)| number)
            .collect();
        let digits: Vec<PhoneNumber> = self.from(0).filter_map(|part| self.digits(part)).collect();
        let spelled = spelled.iter().find(possible).or(spelled.last());
        let digits = || {
            digits
                .iter()
                .find(possible)
                .or_else(|| digits.iter().find(local))
                .or(digits.first())
        };
        spelled.or_else(digits).cloned()
    }

    /// The part that a fault is told of.
    fn best(&self) -> &'t str {
        self.from(0)
            .find(|part| words(part).next().is_none())
            .unwrap_or(self.text)
    }

    fn from(&self, start: usize) -> impl Iterator<Item = &'t str> {
        let text = self.text;
        // What stands behind a comma is an extension to be dialled only where it is all.
        let is_remark = |end: usize| {
            let tail = text[..end].rfind([',', ';']).map(|at| &text[at + 1..end]);
            let digits = |tail: &str| count(tail) > 0 && !tail.contains(char::is_alphabetic);
            tail.is_some_and(digits) && text[end..].contains(char::is_alphanumeric)
        };
        self.ends
            .iter()
            .filter(move |end| **end > start && !is_remark(**end))
            .map(move |end| &text[start..*end])
    }

    /// A part's number where it is of digits alone, with an extension or without.
    fn digits(&self, part: &str) -> Option<PhoneNumber> {
        if is_no_number(from_digit(part), self.country) {
            return None;
        }
        let number = self.parse(part).ok()?;
        let in_brackets = part
            .trim_end()
            .strip_suffix([')', ']'])
            .and_then(|rest| rest.rfind(['(', '[']));
        let is_remark = |open: &usize| {
            count(&part[..*open]) > MAX_BEFORE_REMARK && !is_extension(&part[open + 1..], &number)
        };
        if in_brackets.as_ref().is_some_and(is_remark) {
            return None;
        }
        let mut words = words(part);
        let alone = match words.next() {
            None => true,
            Some(label) => words.next().is_none() && is_extension(label, &number),
        };
        alone.then_some(number)
    }

    /// Parts with letters to dial, and their numbers: those with an extension first, then the shortest.
    fn spelled(&self) -> Vec<(&'t str, PhoneNumber)> {
        let mut spelled: Vec<_> = self
            .from(0)
            .filter_map(|part| Some((part, self.parse(part).ok()?)))
            .filter(|(part, number)| is_spelled(part, number))
            .collect();
        spelled.reverse();
        spelled.sort_by_key(|(_, number)| number.extension().is_empty());
        spelled
    }

    /// The library's word on a part. `00` is the prefix for calls abroad in most countries, and where it is not, people who have the
    /// number from abroad write it all the same: it counts where it makes a number valid.
    fn parse(&self, part: &str) -> Result<PhoneNumber, ParseError> {
        let util = &*PHONE_NUMBER_UTIL;
        let parsed = util.parse(part, self.country).or_else(|error| {
            // The library wants three digits before letters; Australia has numbers of two.
            let spelled = util.convert_alpha_characters_in_number(part);
            if part.starts_with(|c: char| c.is_ascii_digit()) && spelled != part {
                util.parse(spelled, self.country).map_err(|_| error)
            } else {
                Err(error)
            }
        });
        let Some(country) = self.country else {
            return parsed;
        };
        if let Ok(number) = parsed.as_ref() {
            let with_plus = with_plus(part, number, country);
            if with_plus.is_some() || is_valid(number) {
                return with_plus.map_or(parsed, Ok);
            }
        }
        let mut digits = part
            .char_indices()
            .filter(|(_, c)| c.is_ascii_digit() || *c == '+');
        let abroad = match [digits.next(), digits.next(), digits.next()] {
            [Some((_, '0')), Some((_, '0')), Some((at, '1'..='9'))] => {
                util.parse(format!("+{}", &part[at..]), None).ok()
            }
            _ => None,
        };
        abroad.filter(is_valid).map_or(parsed, Ok)
    }
}

/// The number that a part is with the `+` that it lacks, where it begins with the code of its own country and is read as one of
/// that country all the same: as in German numbers of any length, `49 171 1234567`. Who writes a number for use at home begins with
/// the plan's prefix for it, where there is one; who leaves out that, and writes the country's digits, a blank and a number that
/// is complete by itself, has left out the `+`. `4921 123456`, whose digits are otherwise grouped, is a town's.
fn with_plus(part: &str, number: &PhoneNumber, country: Region) -> Option<PhoneNumber> {
    let util = &*PHONE_NUMBER_UTIL;
    let code = util
        .get_country_code_for_region(country)
        .filter(|code| *code == number.country_code)?
        .to_string();
    let national = number.national_number.to_string();
    let at_home = util.format(number, PhoneNumberFormat::National);
    let has_prefix = !is_valid(number)
        || !at_home
            .chars()
            .filter(char::is_ascii_digit)
            .take(national.len())
            .eq(national.chars());
    let digits = from_digit(part);
    let rest = digits
        .strip_prefix(code.as_str())
        .filter(|_| has_prefix && national.starts_with(&code))?;
    let grouped = rest
        .find(|c: char| !c.is_ascii_digit())
        .is_some_and(|at| count(&rest[at..]) > 0);
    if grouped && rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    util.parse(format!("+{digits}"), None).ok().filter(is_valid)
}

/// A part from its first digit or plus on.
fn from_digit(part: &str) -> &str {
    part.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '+')
}

pub(super) fn is_valid(number: &PhoneNumber) -> bool {
    PHONE_NUMBER_UTIL.is_valid_number(number)
}

/// The words of a part from its first digit on, each with all that stands behind it. `x` is none: it stands for digits that are left
/// out, as of a carrier, or before an extension.
fn words(part: &str) -> impl Iterator<Item = &str> {
    let number = from_digit(part);
    let word = |at: &usize| {
        number[*at..].starts_with(char::is_alphabetic)
            && !number[..*at].ends_with(char::is_alphabetic)
    };
    let starts = number.char_indices().map(|(at, _)| at).filter(word);
    starts
        .map(|at| &number[at..])
        .filter(|word| !matches!(letters(word), "x" | "X" | "xx" | "XX"))
}

/// The first word of a text.
fn letters(text: &str) -> &str {
    text.split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or_default()
}

/// Whether a word is the label of a number's extension.
fn is_extension(label: &str, number: &PhoneNumber) -> bool {
    let word = letters(label);
    let alone = !label[word.len()..].contains(char::is_alphabetic);
    let known = label.starts_with('#') || LABELS.contains(&word.to_lowercase().as_str());
    alone
        && known
        && !number.extension().is_empty()
        && label
            .chars()
            .filter(char::is_ascii_digit)
            .eq(number.extension().chars())
}

/// Whether a part has letters that are meant to be dialled, and are no remark behind a number that misses some digits: both make
/// a number that the plan has, where numbers may have any length. Words are sold
/// - for services, such as `0800`, and stand right behind their digits: the whole is a service's too, and no name with a capital,
///   but in North America;
/// - in North America for every number, and are then in capitals and complete.
fn is_spelled(part: &str, number: &PhoneNumber) -> bool {
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
        let listed = !joined && REMARKS.contains(&letters.to_ascii_lowercase().as_str());
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

/// Whether a number is of a range for services, complete or not.
fn is_service(number: &PhoneNumber) -> bool {
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

/// Whether a complete number is of a range for services.
fn is_sold(number: &PhoneNumber) -> bool {
    use PhoneNumberType::{PersonalNumber, PremiumRate, SharedCost, TollFree, UAN};
    let kind = PHONE_NUMBER_UTIL.get_number_type(number);
    matches!(
        kind,
        TollFree | PremiumRate | SharedCost | PersonalNumber | UAN
    )
}

fn is_capitalised(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(char::is_uppercase) && chars.all(char::is_lowercase)
}

pub(super) fn count(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_digit).count()
}

/// A number whose word is longer than it: whoever dials it dials letters that nobody waits for.
fn cut(part: &str, mut number: PhoneNumber) -> Option<PhoneNumber> {
    let last = words(part)
        .filter(|word| !is_extension(word, &number))
        .last()
        .map(|word| letters(word).len())?;
    let long = number.national_number.to_string().len();
    let cut = LONG_WORDS.contains(&number.country_code)
        && PHONE_NUMBER_UTIL.truncate_too_long_number(&mut number);
    (cut && long - number.national_number.to_string().len() < last).then_some(number)
}
