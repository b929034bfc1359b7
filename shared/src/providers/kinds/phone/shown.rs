//! Numbers in the visible text of a page: those with a label, and those in international form.

use std::ops::ControlFlow;

use rlibphonenumber::Region;

use super::plain::plain;
use super::read::read;
use super::words::{self, count};
use super::written::written;
use super::{labels, plan};

/// The most numbers that are returned, and the most that are checked by the plans.
const MAX_SHOWN: usize = 10;
const MAX_TRIED: usize = 100;
/// The fewest digits of a number, and of one that has only a `+` and no label.
const MIN_DIGITS: usize = 6;
const MIN_UNNAMED: usize = 9;
/// The longest text that can be a number with its label, in bytes.
const MAX_LABEL: usize = 60;
const MAX_EXTENSION: usize = 20;
/// The most of a line on either side of a link that is read, in bytes.
const MAX_BESIDE: usize = 200;
/// The most words before a number that may be its label.
const MAX_WORDS: usize = 6;

/// Signs between the parts of a line, with a space on either side.
const SEPARATORS: [&str; 6] = [
    " | ",
    " \u{b7} ",
    " \u{2022} ",
    " \u{2219} ",
    " \u{ff5c} ",
    " // ",
];

/// Letters for such words, and for a fax.
const LETTERS: &str = "t p m c \u{260e} \u{2706} \u{2121}";
/// Words that may be between one of them and the number.
const GLUE: &str = "\
    us our at on now today toll free freephone no nr number numbers num n\u{b0} n\u{ba} \u{2116} \
    unter uns oss \
    ons op p\u{e5} au al allo le the is ist est via direct or office main sales team \
    kontor \u{756a}\u{53f7}";
/// The label before a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Called {
    Phone,
    Fax,
    Nothing,
}

/// Returns the numbers in lines of text, as they are written: behind a label of phones, or with `+`
/// and a country's code; none behind a label of fax. Each is a valid number of its plan, which for
/// one without `+` is that of the country. Without a country there is none.
pub(in crate::providers) fn shown<'l>(
    lines: impl Iterator<Item = &'l str>,
    country: Option<Region>,
) -> Vec<String> {
    let mut reader = Reader {
        country,
        shown: Vec::new(),
        tried: 0,
    };
    let mut before = String::new();
    for line in lines {
        for part in parts(line) {
            // Any other part is neither a number nor its label.
            if !part.contains(|c: char| c.is_numeric()) {
                before = if part.len() <= MAX_LABEL {
                    part.to_lowercase()
                } else {
                    String::new()
                };
                continue;
            }
            if reader.read(part, &before).is_break() {
                return reader.shown;
            }
            before.clear();
        }
    }
    reader.shown
}

/// Collects the numbers of a text, part by part.
struct Reader {
    country: Option<Region>,
    shown: Vec<String>,
    tried: usize,
}

impl Reader {
    /// Reads the numbers of a part of a line. `before` is the part before it, if it had no number.
    /// Breaks once there are enough.
    fn read(&mut self, part: &str, before: &str) -> ControlFlow<()> {
        let part = plain(part);
        let found = Numbers {
            text: &part,
            before,
            at: 0,
            from: 0,
            called: None,
        };
        for (number, extension, called) in found {
            if self.tried >= MAX_TRIED || self.shown.len() >= MAX_SHOWN {
                return ControlFlow::Break(());
            }
            let is_one = match called {
                Called::Phone => true,
                Called::Fax => false,
                Called::Nothing => is_named_by_itself(number),
            };
            if is_one {
                self.tried += 1;
                self.add(number, extension);
            }
        }
        ControlFlow::Continue(())
    }

    /// Adds a number if it is valid: with its extension, if it is valid so.
    fn add(&mut self, number: &str, extension: Option<&str>) {
        let with_extension =
            extension.map(|tail| valid(&[number, " ", tail].concat(), self.country));
        let read = with_extension
            .filter(|read| !read.is_empty())
            .unwrap_or_else(|| valid(number, self.country));
        for number in read {
            if !self.shown.contains(&number) {
                self.shown.push(number);
            }
        }
    }
}

/// Returns the parts of a line; bullets that do not separate stay in the numbers.
fn parts(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest?;
        let cuts = SEPARATORS
            .iter()
            .filter_map(|sign| text.find(sign).map(|at| (at, sign.len())));
        let (part, behind) = match cuts.min() {
            Some((at, long)) => (&text[..at], Some(&text[at + long..])),
            None => (text, None),
        };
        rest = behind;
        Some(part)
    })
}

/// Returns whether a line has a word for phones, as contact blocks do.
pub(in crate::providers) fn is_called(line: &str) -> bool {
    let lower = line.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    words.by_ref().take(MAX_WORDS).any(labels::is_phone) || words.any(labels::has_phone_within)
}

/// Returns whether the text of a link to a number calls it a fax, or the text beside it: the part
/// before its line, and those before and behind it in the line.
pub(in super::super) fn is_fax(number: &str, text: &str, [before, head, rest]: [&str; 3]) -> bool {
    let lower = text.to_lowercase();
    if labels::says_fax(&lower) {
        return !lower
            .split(|c: char| !c.is_alphanumeric())
            .any(labels::is_phone);
    }
    if is_called(text) {
        return false;
    }
    let (before, head) = (
        before.to_lowercase(),
        &head[head.ceil_char_boundary(head.len().saturating_sub(MAX_BESIDE))..],
    );
    let line = plain(&[head, " ", &rest[..rest.floor_char_boundary(MAX_BESIDE)]].concat());
    let digits = |text: &str| words::digits(text).collect::<String>();
    let all = digits(number.split(';').next().unwrap_or_default());
    let telling = &all[all.len().saturating_sub(MIN_DIGITS)..];
    let found = Numbers {
        text: &line,
        before: &before,
        at: 0,
        from: 0,
        called: None,
    };
    let mut same = found
        .filter(|(number, ..)| digits(number).ends_with(telling))
        .map(|(.., called)| called)
        .peekable();
    if same.peek().is_some() {
        return same.all(|called| called == Called::Fax);
    }
    // Its text is not a number: `Fax: <a href="tel:…">send</a>`.
    let head = head
        .rsplit(|c: char| c.is_numeric())
        .next()
        .unwrap_or_default();
    called(if head.contains(char::is_alphabetic) {
        head
    } else {
        &before
    }) == Called::Fax
}

fn is_named_by_itself(number: &str) -> bool {
    number.trim_start_matches('(').starts_with('+') && count(number) >= MIN_UNNAMED
}

/// Returns the valid numbers of a text, as they are written.
fn valid(text: &str, country: Option<Region>) -> Vec<String> {
    let is_valid =
        |number: &String| read(number, country).is_ok_and(|number| plan::is_valid(&number));
    written(text).into_iter().filter(is_valid).collect()
}

/// The possible numbers in a part of a line, each with a possible extension and its label.
struct Numbers<'t> {
    text: &'t str,
    /// The part before, if it had no number.
    before: &'t str,
    at: usize,
    /// The beginning of the words before the next number.
    from: usize,
    /// The label of the last one: it holds for several numbers in a row.
    called: Option<Called>,
}

impl<'t> Iterator for Numbers<'t> {
    type Item = (&'t str, Option<&'t str>, Called);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start =
                self.at + self.text[self.at..].find(|c: char| c.is_ascii_digit() || c == '+')?;
            let start = if self.text[self.from..start].ends_with('(') {
                start - 1
            } else {
                start
            };
            let mut digits = 0;
            let end = self.text[start..].char_indices().find(|(_, c)| {
                digits += usize::from(c.is_ascii_digit());
                !(c.is_ascii_digit() || "-(). /".contains(*c) || (*c == '+' && digits == 0))
            });
            let end = end.map_or(self.text.len(), |(at, _)| start + at);
            let mut number = self.text[start..end].trim_end_matches(['-', '.', ' ', '/', '(', '+']);
            if !number.contains('(') {
                // The end of a bracket around it.
                number = number
                    .split_once(')')
                    .map(|(number, _)| number)
                    .filter(|number| count(number) >= MIN_DIGITS)
                    .unwrap_or(number)
                    .trim_end_matches(['-', '.', ' ', '/', ')']);
            }
            let attached = self.text[..start]
                .chars()
                .next_back()
                .is_some_and(char::is_alphanumeric);
            self.at = end.max(start + 1);
            let rest = &self.text[start + number.len()..];
            let extension = extension(rest);
            if extension.is_none() && rest.starts_with(char::is_alphabetic) {
                // `9am` is not part of it.
                number = number
                    .rsplit_once(' ')
                    .map_or("", |(number, _)| number)
                    .trim_end_matches(['-', '(', ' ']);
            }
            if attached || count(number) < MIN_DIGITS {
                continue;
            }
            let words = &self.text[self.from..start];
            let other = self.called.filter(|_| !words.contains(char::is_alphabetic));
            let words = if words.contains(|c: char| c.is_alphanumeric() || LETTERS.contains(c)) {
                words
            } else {
                self.before
            };
            let mut called = other.unwrap_or_else(|| called(words));
            let behind = rest.trim_start_matches([' ', ',', '(', '[']);
            let behind = behind[..behind.floor_char_boundary(MAX_EXTENSION)].to_lowercase();
            // `(Fax: 030 123457)` has a number of its own.
            let remark = rest
                .trim_start()
                .strip_prefix(['(', '['])
                .map(|remark| remark.split([')', ']']).next());
            let again = remark
                .flatten()
                .unwrap_or(rest)
                .contains(|c: char| c.is_ascii_digit());
            let word = behind.split(|c: char| !c.is_alphanumeric()).next();
            if !again && word.is_some_and(labels::says_fax) {
                called = Called::Fax;
            }
            self.called = Some(called);
            self.from = start + number.len();
            return Some((number, extension, called));
        }
    }
}

/// Returns a word with digits, which may be an extension, unless it is another number.
fn extension(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches([' ', ',', ';']);
    let label = rest
        .find(|c: char| !c.is_alphabetic() && c != '#')
        .filter(|long| *long > 0)?;
    let signs = rest[label..].find(|c: char| !matches!(c, ' ' | '.' | ':' | '#'))?;
    let digits = rest[label + signs..]
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count();
    let end = label + signs + digits;
    let more = rest[end..].trim_start_matches([' ', '-', '/', ':', '.', '(', ')']);
    let whole = !more.starts_with(|c: char| c.is_ascii_digit())
        && !rest[end..].starts_with(char::is_alphabetic);
    let named =
        rest.starts_with('#') || labels::is_shown_before_extension(&rest[..label].to_lowercase());
    (digits > 0 && end <= MAX_EXTENSION && whole && named).then(|| &rest[..end])
}

fn called(words: &str) -> Called {
    let start = words.len().saturating_sub(4 * MAX_LABEL);
    let lower = words[words.ceil_char_boundary(start)..].to_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || c == '\'' || LETTERS.contains(c);
    let mut words = lower
        .split(|c| !is_word(c) || c == ' ')
        .filter(|word| !word.is_empty())
        .rev()
        .peekable();
    if let Some(letter) = words.next_if(|word| word.chars().count() == 1) {
        let alone = words.peek().is_none() || lower.trim_end().ends_with([':', '.']);
        return match letter {
            "f" if alone && labels::is_for_both(&lower) => Called::Phone,
            "f" if alone => Called::Fax,
            letter if alone && labels::is(LETTERS, letter) => Called::Phone,
            _ => Called::Nothing,
        };
    }
    let is_label = |word: &str| labels::is_phone(word) || labels::is_call(word);
    let is_fax = labels::says_fax;
    let mut near = true;
    let mut words = words.take(MAX_WORDS).peekable();
    while let Some(word) = words.next() {
        // `Telefax (Zentrale)`
        if is_fax(word) || (is_label(word) && words.peek().is_some_and(|before| is_fax(before))) {
            let both = labels::is_for_both(&lower);
            return if both && near {
                Called::Phone
            } else if both {
                Called::Nothing
            } else {
                Called::Fax
            };
        }
        if is_label(word) {
            return if near { Called::Phone } else { Called::Nothing };
        }
        near &= labels::is(GLUE, word);
    }
    Called::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_a_text_calls_one_is_told() {
        for (lines, country, wanted) in [
            ("Tel. 0831 / 99 99 80", "DE", &["0831 / 99 99 80"][..]),
            ("Call us at 0114 496 0456", "GB", &["0114 496 0456"]),
            (
                "Call us today: (650) 253-0000 9am-5pm",
                "US",
                &["(650) 253-0000"],
            ),
            ("Phone|650.253.0000", "US", &["650.253.0000"]),
            ("T: 030 123456 | F: 030 123457", "DE", &["030 123456"]),
            (
                "Telefon 030 123456 \u{b7} Telefax 030 123457",
                "DE",
                &["030 123456"],
            ),
            ("Tel.: 030 123456, Fax: 030 123457", "DE", &["030 123456"]),
            ("Tel 030 123456 Fax +49 30 123457", "DE", &["030 123456"]),
            ("Telefon: +49 30 123456 (Fax)", "", &[]),
            (
                "Tel.: 030 1234567 (Fax: 030 1234568)",
                "DE",
                &["030 1234567"],
            ),
            (
                "Tel.: 030 1234567 (Fax 030 1234568)",
                "DE",
                &["030 1234567"],
            ),
            ("Tel.: 030 1234567 [Telefax: -68]", "DE", &["030 1234567"]),
            (
                "Tel.: 030 1234567, Fax: 030 1234568",
                "DE",
                &["030 1234567"],
            ),
            ("Tel.: 030 1234567 (Fax), 030 1234568", "DE", &[]),
            (
                "Fax: 030 1234567 (Tel.: 030 1234568)",
                "DE",
                &["030 1234568"],
            ),
            ("Fax|+49 30 1234567", "DE", &[]),
            ("Fax-Nr.: +49 30 1234567", "DE", &[]),
            ("Telefaxnummer +49 30 1234567", "DE", &[]),
            ("FAX\u{756a}\u{53f7} +81 3-1234-5678", "JP", &[]),
            (
                "\u{672c}\u{793e}\u{30d5}\u{30a1}\u{30c3}\u{30af}\u{30b9} +81 3-1234-5678",
                "JP",
                &[],
            ),
            // Places with the word in their names.
            ("Halifax: +44 1422 345678", "GB", &["+44 1422 345678"]),
            ("Tel. Halifax 01422 345678", "GB", &[]),
            ("Fairfax +1 703-253-0000", "US", &["+1 703-253-0000"]),
            ("Tel. 703-253-0000, Fairfax", "US", &["703-253-0000"]),
            ("Tlf. 32 12 34 56, Faxe", "DK", &["32 12 34 56"]),
            // One line for both.
            ("Tel./Fax: 030 123456", "DE", &["030 123456"]),
            ("Tel/Fax 030 123456", "DE", &["030 123456"]),
            ("Telefon & Fax: 030 123456", "DE", &["030 123456"]),
            ("Telefon & Telefax|030 123456", "DE", &["030 123456"]),
            ("Tel. + Fax: 030 123456", "DE", &["030 123456"]),
            ("Tel.- und Fax-Nr.: 030 123456", "DE", &["030 123456"]),
            ("Tel.-Nr. / Fax-Nr.: 030 123456", "DE", &["030 123456"]),
            ("Fax/Tel.: 030 123456", "DE", &["030 123456"]),
            ("T/F: 030 123456", "DE", &["030 123456"]),
            (
                "T\u{e9}l. et fax : 01 42 68 53 00",
                "FR",
                &["01 42 68 53 00"],
            ),
            ("Tel. e fax: 06 69812345", "IT", &["06 69812345"]),
            (
                "\u{96fb}\u{8a71}\u{30fb}FAX\u{ff1a}03-1234-5678",
                "JP",
                &["03-1234-5678"],
            ),
            ("Tel. 030 123456 / Fax 030 123457", "DE", &["030 123456"]),
            ("Tel. (Zentrale), Fax: 030 123456", "DE", &[]),
            // Signs with spaces.
            ("Tel. ( 030 ) 123456", "DE", &["(030) 123456"]),
            ("Tel. 030 ) 123456", "DE", &["030) 123456"]),
            ("(Tel. 030 123456) 12", "DE", &["030 123456"]),
            ("Telefax (Zentrale): +49 30 1234567", "DE", &[]),
            (
                "Tel: 030 123456 / 0171 1234567",
                "DE",
                &["030 123456", "0171 1234567"],
            ),
            (
                "Tel: 030 123456, 0171 1234567",
                "DE",
                &["030 123456", "0171 1234567"],
            ),
            (
                "T\u{e9}l. 01\u{b7}42\u{b7}68\u{b7}53\u{b7}00",
                "FR",
                &["01.42.68.53.00"],
            ),
            (
                "T\u{e9}l : 01 42 68 53 00 \u{2022} 75001 Paris",
                "FR",
                &["01 42 68 53 00"],
            ),
            (
                "\u{96fb}\u{8a71}\u{756a}\u{53f7}\u{ff1a}03\u{ff0d}1234\u{ff0d}5678",
                "JP",
                &["03-1234-5678"],
            ),
            (
                "\u{422}\u{435}\u{43b}.: 8 (495) 123-45-67",
                "RU",
                &["8 (495) 123-45-67"],
            ),
            ("Ring 031-390 06 42 eller skriv", "SE", &["031-390 06 42"]),
            (
                "Phone: (650) 253-0000 ext. 12",
                "US",
                &["(650) 253-0000 ext. 12"],
            ),
            ("Phone: 650-253-0000x12", "US", &["650-253-0000 ext. 12"]),
            (
                "Zentrale +49 (0)30 1234567, Berlin",
                "",
                &["+49 (0)30 1234567"],
            ),
            (
                "Write or meet us: +1 650-253-0000.",
                "",
                &["+1 650-253-0000"],
            ),
            ("+49 30 1234567|+49 30 1234567", "", &["+49 30 1234567"]),
            // Without a country, without a word, or not of the plan.
            ("Tel. 0831 / 99 99 80", "", &[]),
            ("0831 / 99 99 80", "DE", &[]),
            ("Tel. 0000 0000 00", "DE", &[]),
            ("+1 234 567", "", &[]),
            // Not numbers to call.
            ("Tel. 13.05.2026", "DE", &[]),
            ("Order number 030 1234567", "DE", &[]),
            ("Call for papers until 2026-05-13", "US", &[]),
            ("USt-IdNr. DE301234567, HRB 301234", "DE", &[]),
            ("IBAN DE89 3704 0044 0532 0130 00", "DE", &[]),
            ("+100 000 000 customers, +30% in 2025", "US", &[]),
            ("Phones from 1 299.00 to 6502530000 each", "US", &[]),
            ("Phone cases: order 6502530000", "US", &[]),
        ] {
            assert_eq!(
                shown(lines.split('|').map(str::trim), country.parse().ok()),
                wanted,
                "{lines}"
            );
        }
    }

    #[test]
    fn hostile_lines_are_bounded() {
        let long = |text: &str| text.repeat(4_096 / text.len());
        for line in [
            "Tel 030 123456 ",
            "+49 30 1234567 ",
            "1+",
            "(1",
            "\u{b7} 1 \u{b7}",
            "Tel 1x1 ",
            "+",
            "\u{661}",
        ] {
            let line = long(line);
            assert!(
                shown(std::iter::repeat_n(line.as_str(), 200), Some(Region::DE)).len() <= MAX_SHOWN
            );
        }
    }
}
