//! Dates as feeds and job postings write them: RFC 3339, RFC 5322, ctime, and common variants.
//!
//! `time` reads the first two strictly. The crates that read dates of any form guess whether
//! `06/01/2026` is in January or in June; here, an ambiguous date is not read.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use crate::domain::time::Timestamp;

/// The longest text that is read, in bytes.
const MAX_TEXT: usize = 100;
/// The years that RFC 3339 can write, 0 to 9999, in UTC.
const YEARS: RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;

/// 1980, the earliest date of a publication.
const FIRST: Timestamp = Timestamp(315_532_800_000);

const MONTHS: [(&str, Month); 12] = [
    ("january", Month::January),
    ("february", Month::February),
    ("march", Month::March),
    ("april", Month::April),
    ("may", Month::May),
    ("june", Month::June),
    ("july", Month::July),
    ("august", Month::August),
    ("september", Month::September),
    ("october", Month::October),
    ("november", Month::November),
    ("december", Month::December),
];

const WEEKDAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

/// Names of zones, with minutes east of Greenwich. Those of RFC 5322 first, then those of the tz
/// database that only one zone has, or that one zone's feeds use. Any other name is taken as UTC,
/// as RFC 5322 (section 4.3) has it.
static ZONES: LazyLock<HashMap<&str, i32>> = LazyLock::new(|| {
    let zones = [
        ("est", -300),
        ("edt", -240),
        ("cst", -360),
        ("cdt", -300),
        ("mst", -420),
        ("mdt", -360),
        ("pst", -480),
        ("pdt", -420),
        ("akst", -540),
        ("akdt", -480),
        ("hst", -600),
        ("brt", -180),
        ("art", -180),
        ("wet", 0),
        ("west", 60),
        ("bst", 60),
        ("cet", 60),
        ("mez", 60),
        ("met", 60),
        ("cest", 120),
        ("mesz", 120),
        ("mest", 120),
        ("eet", 120),
        ("sast", 120),
        ("eest", 180),
        ("msk", 180),
        ("ist", 330),
        ("sgt", 480),
        ("hkt", 480),
        ("awst", 480),
        ("jst", 540),
        ("kst", 540),
        ("acst", 570),
        ("aest", 600),
        ("acdt", 630),
        ("aedt", 660),
        ("nzst", 720),
        ("nzdt", 780),
    ];
    zones.into_iter().collect()
});

/// Returns the point in time that a text names: in UTC if it names no zone, and at midnight if it
/// names a day alone. Dates before the web are not read: generators write `Mon, 01 Jan 0001` or
/// 1970 if they have no date.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    point(text).map(|(at, _)| at).filter(|at| *at >= FIRST)
}

/// Returns the same for the end of something: if the text names a day or a month alone, the end of
/// that.
pub(super) fn read_end(text: &str) -> Option<Timestamp> {
    const DAY: i64 = 86_400_000;
    let (at, days) = point(text)?;
    Some(Timestamp(
        at.0.saturating_add(DAY * i64::from(days)).min(*YEARS.end()),
    ))
}

/// Returns a point in time, with the number of days that it names, if it names no time.
fn point(text: &str) -> Option<(Timestamp, u8)> {
    let text = Some(text.trim()).filter(|text| text.len() <= MAX_TEXT)?;
    let read = || {
        let mut parts = Parts::default();
        tokens(text)
            .iter()
            .try_for_each(|token| parts.take(token))?;
        parts.point()
    };
    Timestamp::parse(text)
        .map(|at| (at, 0))
        .or_else(read)
        .filter(|(at, _)| YEARS.contains(&at.0))
}

/// Returns the words and numbers of a text, in lower case, without remarks in round brackets. A
/// time is one token, and so is an offset.
fn tokens(text: &str) -> Vec<String> {
    let (mut depth, mut tokens, mut token) = (0_u32, Vec::new(), String::new());
    let lower = text.to_lowercase();
    for c in lower.chars() {
        depth += u32::from(c == '(');
        if depth > 0 || c == ',' || c.is_whitespace() {
            tokens.extend(Some(std::mem::take(&mut token)).filter(|token| !token.is_empty()));
            depth = depth.saturating_sub(u32::from(c == ')'));
            continue;
        }
        // `05-jan-2026`
        if c == '-' && matches!(token.len(), 1 | 2) && is_number(&token, token.len()) {
            tokens.push(std::mem::take(&mut token));
            continue;
        }
        // `10:00z`, `gmt+0200`, `2026-01-05t10:00`: a letter behind a digit or a sign behind a
        // letter begins the next.
        let before = token.chars().last();
        let timed = token.contains(':')
            || is_number(&token, 6)
            || (token.len() == 10 && token.contains('-'));
        let next = match before {
            Some(before) if before.is_ascii_digit() => {
                c.is_alphabetic() || (timed && matches!(c, '+' | '-'))
            }
            Some(before) if before.is_alphabetic() => {
                matches!(c, '+' | '-') || (before == 't' && token.len() == 1 && c.is_ascii_digit())
            }
            _ => false,
        };
        if next {
            tokens.push(std::mem::take(&mut token));
        }
        token.push(c);
    }
    tokens.extend(Some(token).filter(|token| !token.is_empty()));
    tokens
}

#[derive(Debug, Default)]
struct Parts {
    year: Option<i32>,
    month: Option<Month>,
    day: Option<u8>,
    time: Option<Time>,
    /// Minutes east of Greenwich.
    offset: Option<i32>,
    afternoon: Option<bool>,
    /// The month was named before the day.
    month_first: bool,
    /// It names a month alone.
    month_alone: bool,
}

impl Parts {
    /// Takes a token; `None` if it is not a part of a date, or a second one of its kind.
    fn take(&mut self, token: &str) -> Option<()> {
        let first = token.chars().next()?;
        if first.is_alphabetic() {
            return self.word(token.trim_end_matches('.'));
        }
        if matches!(first, '+' | '-')
            && (self.time.is_some() || self.offset.is_some() || token.contains(':'))
        {
            return set(&mut self.offset, offset(token)?).or_else(|| {
                // `GMT+0200`: the offset is from the zone that was named.
                self.offset = (self.offset == Some(0)).then(|| offset(token)).flatten();
                self.offset.map(drop)
            });
        }
        if token.contains(':') {
            return set(&mut self.time, clock(token)?);
        }
        if let Some((year, rest)) = token
            .split_once(['-', '/'])
            .filter(|(year, _)| is_number(year, 4))
        {
            return self.of_iso(year, rest);
        }
        let number = token.trim_start_matches('-').trim_end_matches('.');
        match number.len() {
            8 if is_number(number, 8) && self.day.is_none() => {
                self.of_iso(&number[..4], &format!("{}-{}", &number[4..6], &number[6..]))
            }
            6 if is_number(number, 6) && self.day.is_some() => set(
                &mut self.time,
                clock(&format!(
                    "{}:{}:{}",
                    &number[..2],
                    &number[2..4],
                    &number[4..]
                ))?,
            ),
            4 if is_number(number, 4) => set(&mut self.year, number.parse().ok()?),
            1 | 2 if is_number(number, number.len()) => {
                let (digits, number) = (number.len(), number.parse::<u8>().ok()?);
                match (self.day, self.month) {
                    (None, month) => (self.day, self.month_first) = (Some(number), month.is_some()),
                    // Years of two digits: RFC 5322, section 4.3, in its order.
                    (Some(_), Some(_)) if digits == 2 && !self.month_first => {
                        set(
                            &mut self.year,
                            if number < 50 { 2000 } else { 1900 } + i32::from(number),
                        )?;
                    }
                    _ => return None,
                }
                Some(())
            }
            _ => None,
        }
    }

    fn of_iso(&mut self, year: &str, rest: &str) -> Option<()> {
        self.month_alone = !rest.contains(['-', '/']);
        let (month, day) = rest.split_once(['-', '/']).unwrap_or((rest, "1"));
        set(&mut self.year, year.parse().ok()?)?;
        set(
            &mut self.month,
            Month::try_from(month.parse::<u8>().ok()?).ok()?,
        )?;
        set(&mut self.day, day.parse().ok()?)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let month = MONTHS
            .iter()
            .find(|(name, _)| word.len() >= 3 && name.starts_with(word));
        if let (Some((_, month)), None) = (month, self.month) {
            self.month = Some(*month);
            return Some(());
        }
        let weekday = WEEKDAYS
            .iter()
            .any(|name| word.len() >= 2 && name.starts_with(word));
        match word {
            "am" | "a.m" => return set(&mut self.afternoon, false),
            "pm" | "p.m" => return set(&mut self.afternoon, true),
            "t" | "at" | "of" | "st" | "nd" | "rd" | "th" => return Some(()),
            _ if weekday => return Some(()),
            _ => {}
        }
        // Only behind a time: `yesterday` is not a zone.
        let zoned = self.time.is_some() || (word == "z" && self.day.is_some());
        let named = zoned && word.len() <= 5;
        let minutes = named.then(|| ZONES.get(word).copied().unwrap_or_default())?;
        set(&mut self.offset, minutes)
    }

    fn point(self) -> Option<(Timestamp, u8)> {
        let date = Date::from_calendar_date(self.year?, self.month?, self.day?).ok()?;
        let mut time = self.time.unwrap_or(Time::MIDNIGHT);
        if let Some(afternoon) = self.afternoon {
            let hour =
                Some(time.hour()).filter(|hour| self.time.is_some() && (1..=12).contains(hour))?;
            time = time
                .replace_hour(hour % 12 + if afternoon { 12 } else { 0 })
                .ok()?;
        }
        let offset = UtcOffset::from_whole_seconds(self.offset.unwrap_or_default() * 60).ok()?;
        let at = PrimitiveDateTime::new(date, time).assume_offset(offset);
        let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
        let days = match self.time {
            Some(_) => 0,
            None if self.month_alone => date.month().length(date.year()),
            None => 1,
        };
        Some((Timestamp(i64::try_from(millis).ok()?), days))
    }
}

/// Sets what is not set yet.
fn set<T>(part: &mut Option<T>, value: T) -> Option<()> {
    part.is_none().then(|| *part = Some(value))
}

fn is_number(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())
}

/// Reads `10:00`, `10:00:59`, `10:00:59.123`. A leap second, `:60` (RFC 3339, 5.7), is the one
/// before it. Any other part out of range makes the text unreadable.
fn clock(text: &str) -> Option<Time> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    if parts.next().is_some() || !hour.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (second, fraction) = second.split_once(['.', ',']).unwrap_or((second, "0"));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let milli: u16 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let second = if second == "60" {
        59
    } else {
        second.parse().ok()?
    };
    Time::from_hms_milli(hour.parse().ok()?, minute.parse().ok()?, second, milli).ok()
}

/// Reads `+0100`, `+01:00`, `+01`, in minutes.
fn offset(text: &str) -> Option<i32> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.as_str(), "0"),
        3 | 4 => digits.split_at(digits.len() - 2),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_before_the_web_has_no_date() {
        for text in [
            "Mon, 01 Jan 0001 00:00:00 +0000",
            "0001-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
            "1979-12-31",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(read("1980-01-01T00:00:00Z").is_some());
    }

    #[test]
    fn dates_as_feeds_and_postings_write_them() {
        for (text, expected) in [
            ("2026-01-05T10:00:00Z", "2026-01-05T10:00:00.000Z"),
            (
                "2026-01-05T10:00:00.123456+01:00",
                "2026-01-05T09:00:00.123Z",
            ),
            ("2026-01-05T10:00:00+0100", "2026-01-05T09:00:00.000Z"),
            ("2026-01-05T10:00:00+01", "2026-01-05T09:00:00.000Z"),
            ("2026-01-05T10:00:00", "2026-01-05T10:00:00.000Z"),
            ("2026-01-05T10:00", "2026-01-05T10:00:00.000Z"),
            ("2026-01-05T10:00Z", "2026-01-05T10:00:00.000Z"),
            ("2026-01-05 10:00:00", "2026-01-05T10:00:00.000Z"),
            ("2026-01-05 10:00:00 UTC", "2026-01-05T10:00:00.000Z"),
            ("2026-01-05 10:00:00 +0100", "2026-01-05T09:00:00.000Z"),
            ("2026-01-05 10:00:00.5-05:00", "2026-01-05T15:00:00.500Z"),
            ("2026-01-05t10:00:00z", "2026-01-05T10:00:00.000Z"),
            ("20260105T100000Z", "2026-01-05T10:00:00.000Z"),
            ("20260105T100000+0100", "2026-01-05T09:00:00.000Z"),
            ("20260105", "2026-01-05T00:00:00.000Z"),
            ("2026-01-05", "2026-01-05T00:00:00.000Z"),
            ("2026-01-05+01:00", "2026-01-04T23:00:00.000Z"),
            ("2026-1-5", "2026-01-05T00:00:00.000Z"),
            ("2026/01/05", "2026-01-05T00:00:00.000Z"),
            ("2026-01", "2026-01-01T00:00:00.000Z"),
            ("Mon, 05 Jan 2026 10:00:00 GMT", "2026-01-05T10:00:00.000Z"),
            ("Mon, 05 Jan 2026 10:00:00 UTC", "2026-01-05T10:00:00.000Z"),
            (
                "Mon, 05 Jan 2026 10:00:00 +0100",
                "2026-01-05T09:00:00.000Z",
            ),
            (
                "Mon, 05 Jan 2026 10:00:00 +01:00",
                "2026-01-05T09:00:00.000Z",
            ),
            ("Mon, 05 Jan 2026 10:00:00 CET", "2026-01-05T09:00:00.000Z"),
            ("Mon, 05 Jan 2026 10:00:00 EST", "2026-01-05T15:00:00.000Z"),
            ("Mon, 05 Jan 2026 10:00:00 XYZ", "2026-01-05T10:00:00.000Z"),
            ("Mon, 05 Jan 2026 10:00:00 Z", "2026-01-05T10:00:00.000Z"),
            ("Mon, 05 Jan 2026 10:00:00", "2026-01-05T10:00:00.000Z"),
            ("Mon, 05 Jan 2026 10:00 +0000", "2026-01-05T10:00:00.000Z"),
            (
                "Mon, 05 Jan 2026 10:00:00 GMT+0200",
                "2026-01-05T08:00:00.000Z",
            ),
            (
                "Mon, 05 Jan 2026 10:00:00 +0100 (CET)",
                "2026-01-05T09:00:00.000Z",
            ),
            (
                "Mon, 05 Jan 2026 10:00:00 -0500",
                "2026-01-05T15:00:00.000Z",
            ),
            (
                "Mon, 05 Jan 2026 10:00:00 -0000",
                "2026-01-05T10:00:00.000Z",
            ),
            ("2026-01-05 10:00:00 -0500", "2026-01-05T15:00:00.000Z"),
            ("Mon Jan 05 10:00:00 -0500 2026", "2026-01-05T15:00:00.000Z"),
            ("2026-01-05Z", "2026-01-05T00:00:00.000Z"),
            ("2026-01-05 +01:00", "2026-01-04T23:00:00.000Z"),
            ("Mon,5 Jan 2026 10:00:00 GMT", "2026-01-05T10:00:00.000Z"),
            ("5 Jan 2026 10:00:00 GMT", "2026-01-05T10:00:00.000Z"),
            ("05 Jan 26 10:00:00 GMT", "2026-01-05T10:00:00.000Z"),
            ("Monday, 05-Jan-26 10:00:00 GMT", "2026-01-05T10:00:00.000Z"),
            ("05-Jan-2026", "2026-01-05T00:00:00.000Z"),
            (
                "Tues, 08 Sept 2026 10:00:00 CEST",
                "2026-09-08T08:00:00.000Z",
            ),
            ("Wed, 01 July 2026 10:00:00 PDT", "2026-07-01T17:00:00.000Z"),
            ("Mon Jan  5 10:00:00 2026", "2026-01-05T10:00:00.000Z"),
            ("Mon Jan 5 10:00:00 CET 2026", "2026-01-05T09:00:00.000Z"),
            ("January 5, 2026", "2026-01-05T00:00:00.000Z"),
            ("Jan. 5th, 2026 at 3:30 PM", "2026-01-05T15:30:00.000Z"),
            ("Jan 5, 2026 12:15am", "2026-01-05T00:15:00.000Z"),
            ("Wed, 31 Dec 2025 23:59:60 GMT", "2025-12-31T23:59:59.000Z"),
            ("2026-01-05 10:00:60 CET", "2026-01-05T09:00:59.000Z"),
            ("20260105T100060Z", "2026-01-05T10:00:59.000Z"),
            (" \n2026-01-05\t", "2026-01-05T00:00:00.000Z"),
        ] {
            assert_eq!(
                read(text).map(Timestamp::rfc3339).as_deref(),
                Some(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_sure_is_not_read() {
        for text in [
            "",
            "yesterday",
            "2 days ago",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "06/01/2026",
            "6.1.2026",
            "Mon, 99 Jan 2026 10:00:00 GMT",
            "Mon, 05 Jan 2026 25:00:00 GMT",
            "Mon, 05 Jan 2026 10:00:99 GMT",
            "2026-01-05T10:00:61Z",
            "9999-12-31T23:59:59-23:59",
            "0000-01-01T00:00:00+00:01",
            "Fri, 31 Dec 9999 23:59:59 -2359",
            "2026-01-05 10:60",
            "20260105T100099Z",
            "Mon, 05 Jan 2026 24:00:60 GMT",
            "Mon, 05 Jan 2026 10:00:00 +9900",
            "5 Jan 2026 6 Feb 2026",
            "10:00",
            "Jan 2026",
            "1767607200",
            "5 Jan 2026 13:00 pm",
            "Jan 5-6",
            "March 5 at 10",
            "5 Jan 2026 10:00 +\u{e9}1",
            "5 Jan 2026 10:00 +-1",
            "5 Jan 2026 +1:00:00",
            "\u{e9}",
            "5\u{e9}-\u{e9}5",
            &"1 ".repeat(1000),
            &"(".repeat(90),
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_day_and_a_month_end_when_they_are_over() {
        assert_eq!(
            read_end("2026-02").map(Timestamp::rfc3339).as_deref(),
            Some("2026-03-01T00:00:00.000Z")
        );
        assert_eq!(
            read_end("9999-12-31").map(Timestamp::rfc3339).as_deref(),
            Some("9999-12-31T23:59:59.999Z")
        );
        assert_eq!(
            read_end("2026-01-05").map(Timestamp::rfc3339).as_deref(),
            Some("2026-01-06T00:00:00.000Z")
        );
        assert_eq!(
            read_end("2026-01-05T10:00")
                .map(Timestamp::rfc3339)
                .as_deref(),
            Some("2026-01-05T10:00:00.000Z")
        );
    }
}
