//! JSON as others write it: what was sent comes back as it was sent.
//!
//! A [`Value`] holds the text of its numbers (`serde_json`'s `arbitrary_precision`), but
//! `serde_json`'s own reading of one rewrites exponents (`1e400` to `1e+400`), takes objects with
//! its private keys for something else, and refuses half a surrogate pair. So JSON from outside,
//! and what is stored of it, is read here alone: [`read`], and [`sent`] for the members of what is
//! derived. `to_value` and `json!` read anew what they are given: they are for our own words, and
//! [`object`] is for what was sent.

use std::{fmt, io};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// The deepest nesting that is read, as of `serde_json`: the stack is finite.
const MAX_DEPTH: usize = 127;
/// Written in front of texts by programs of one vendor; RFC 8259 lets a reader pass over it.
const BOM: &str = "\u{feff}";

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson {
    what: &'static str,
    line: usize,
    column: usize,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at line {} column {}",
            self.what, self.line, self.column
        )
    }
}

impl std::error::Error for NotJson {}

impl NotJson {
    /// In its line, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    fn at(what: &'static str, before: &[u8]) -> Self {
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = before
            .iter()
            .rev()
            .take_while(|byte| **byte != b'\n')
            .count();
        Self { what, line, column }
    }
}

/// Returns how many bytes a value has as JSON. One that cannot be written counts as more than any
/// bound, and a sum of such sizes still fits.
pub fn size(value: &(impl Serialize + ?Sized)) -> usize {
    const UNWRITABLE: usize = u32::MAX as usize;
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).map_or(UNWRITABLE, |()| count.0)
}

/// Counts the bytes that are written, and stores none.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts the bytes that a text of JSON takes inside a JSON string, as in Lambda's envelope: its
/// quotes and backslashes are escaped.
pub fn escaped_size(text: &[u8]) -> usize {
    let escaped = |byte: &&u8| matches!(**byte, b'"' | b'\\');
    text.len() + text.iter().filter(escaped).count()
}

/// Reads one JSON value. A byte order mark in front is passed over, half a surrogate pair is
/// U+FFFD, numbers keep their text, and of members with the same name the last counts.
///
/// # Errors
/// [`NotJson`] where it is none, or nests deeper than [`MAX_DEPTH`].
pub fn read(bytes: &[u8]) -> Result<Value, NotJson> {
    read_with(bytes, Mode::Plain)
}

/// As [`read`], for what upstreams send: `NaN`, `Infinity` and `-Infinity`, as Python and others
/// write numbers that JSON has none for, are null.
///
/// # Errors
/// As [`read`].
pub fn read_upstream(bytes: &[u8]) -> Result<Value, NotJson> {
    read_with(bytes, Mode::Upstream)
}

/// As [`read`], for those who read it again with JavaScript: what changes on that way is refused,
/// which is a number beyond the doubles, and half a surrogate pair.
///
/// # Errors
/// As [`read`], and for what is refused.
pub fn read_unchanged(bytes: &[u8]) -> Result<Value, NotJson> {
    read_with(bytes, Mode::Unchanged)
}

/// Reads the value that a text begins with, as [`read_upstream`], and its length; what stands
/// behind it is not looked at.
///
/// # Errors
/// Up to where it was read, where it is none.
pub fn read_first(text: &str) -> Result<(Value, usize), usize> {
    let mut reader = Reader {
        text,
        at: 0,
        mode: Mode::Upstream,
    };
    match reader.value(0) {
        Ok(value) => Ok((value, reader.at)),
        Err(_) => Err(reader.at),
    }
}

fn read_with(bytes: &[u8], mode: Mode) -> Result<Value, NotJson> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        NotJson::at(
            "bytes that are not UTF-8",
            &bytes[..(e.valid_up_to() + 1).min(bytes.len())],
        )
    })?;
    let mut reader = Reader {
        text: text.strip_prefix(BOM).unwrap_or(text),
        at: 0,
        mode,
    };
    let value = reader
        .value(0)
        .and_then(|value| match reader.skip_spaces() {
            None => Ok(value),
            Some(_) => Err("trailing characters"),
        });
    value.map_err(|what| {
        let read = (reader.at + 1).min(reader.text.len());
        NotJson::at(what, &reader.text.as_bytes()[..read])
    })
}

/// The syntax that is taken beside JSON, or refused of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Plain,
    Unchanged,
    Upstream,
}

/// Up to the byte that does not fit.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    mode: Mode,
}

/// Words that Python's `json`, Ruby's, Gson and others write where a number is not one.
const NO_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

const ENDS: &str = "the end comes too early";

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_spaces(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn value(&mut self, depth: usize) -> Result<Value, &'static str> {
        match self.skip_spaces().ok_or(ENDS)? {
            b'{' | b'[' if depth == MAX_DEPTH => Err("recursion limit exceeded"),
            b'{' => self.members(depth + 1).map(Value::Object),
            b'[' => self.items(depth + 1).map(Value::Array),
            b'"' => self.string().map(Value::String),
            b'N' | b'I' | b'-' if self.mode == Mode::Upstream && self.no_number() => {
                Ok(Value::Null)
            }
            b'-' | b'0'..=b'9' => self.number().map(Value::Number),
            b't' => self.word("true", true.into()),
            b'f' => self.word("false", false.into()),
            b'n' => self.word("null", Value::Null),
            _ => Err("expected value"),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, &'static str> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err("expected ident");
        }
        self.at += word.len();
        Ok(value)
    }

    fn no_number(&mut self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let word = NO_NUMBERS
            .iter()
            .find(|word| rest.starts_with(word.as_bytes()));
        self.at += word.map_or(0, |word| word.len());
        word.is_some()
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Value>, &'static str> {
        self.at += 1;
        let mut items = Vec::new();
        if self.skip_spaces() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.value(depth)?);
            if self.ends(b']')? {
                return Ok(items);
            }
        }
    }

    fn members(&mut self, depth: usize) -> Result<Map<String, Value>, &'static str> {
        self.at += 1;
        let mut members = Map::new();
        if self.skip_spaces() == Some(b'}') {
            self.at += 1;
            return Ok(members);
        }
        loop {
            if self.skip_spaces().ok_or(ENDS)? != b'"' {
                return Err("key must be a string");
            }
            let name = self.string()?;
            if self.skip_spaces().ok_or(ENDS)? != b':' {
                return Err("expected `:`");
            }
            self.at += 1;
            let value = self.value(depth)?;
            members.insert(name, value);
            if self.ends(b'}')? {
                return Ok(members);
            }
        }
    }

    /// Returns whether the end follows, and not a comma.
    fn ends(&mut self, end: u8) -> Result<bool, &'static str> {
        let next = self.skip_spaces().ok_or(ENDS)?;
        if next != end && next != b',' {
            return Err("expected `,` or the end of the list or object");
        }
        self.at += 1;
        Ok(next == end)
    }

    fn string(&mut self) -> Result<String, &'static str> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text.as_bytes()[self.at..];
            let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            if let Some(control) = rest[..plain].iter().position(|byte| *byte < 0x20) {
                self.at += control;
                return Err("control character (\\u0000-\\u001F) found while parsing a string");
            }
            out.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.peek().ok_or(ENDS)? {
                b'"' => {
                    self.at += 1;
                    return Ok(out);
                }
                _ => out.push(self.escaped()?),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, &'static str> {
        self.at += 1;
        let short = match self.peek().ok_or(ENDS)? {
            own @ (b'"' | b'\\' | b'/') => char::from(own),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit(self.at + 1).ok_or("invalid escape")?;
                self.at += 5;
                let low = self.text.as_bytes()[self.at..]
                    .starts_with(b"\\u")
                    .then(|| self.unit(self.at + 2))
                    .flatten();
                if let Some(Ok(pair)) = low.and_then(|low| char::decode_utf16([first, low]).next())
                    && pair > '\u{ffff}'
                {
                    self.at += 6;
                    return Ok(pair);
                }
                return match char::from_u32(first.into()) {
                    Some(own) => Ok(own),
                    None if self.mode == Mode::Unchanged => Err("half a surrogate pair"),
                    None => Ok(char::REPLACEMENT_CHARACTER),
                };
            }
            _ => return Err("invalid escape"),
        };
        self.at += 1;
        Ok(short)
    }

    /// Four hexadecimal digits.
    fn unit(&self, at: usize) -> Option<u16> {
        let digits = self
            .text
            .get(at..at + 4)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u16::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Result<Number, &'static str> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err("invalid number");
        }
        if self.mode == Mode::Unchanged
            && self.text[start..self.at]
                .parse()
                .is_ok_and(f64::is_infinite)
        {
            return Err("number out of range");
        }
        // `Number` has no other way in that leaves an exponent as it is.
        Ok(Number::from_string_unchecked(
            self.text[start..self.at].to_owned(),
        ))
    }

    /// One digit at least.
    fn digits(&mut self) -> Result<(), &'static str> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        match self.peek() {
            _ if self.at > start => Ok(()),
            None => Err(ENDS),
            Some(_) => Err("invalid number"),
        }
    }
}

/// Makes an object of what was sent. `json!` would write its numbers anew.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    members
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}

/// A type that a [`Value`] can stand for.
pub trait Sent: Sized {
    /// `None` where the value is something else.
    fn of(value: Value) -> Option<Self>;
}

impl Sent for Value {
    fn of(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl Sent for Map<String, Value> {
    fn of(value: Value) -> Option<Self> {
        if let Value::Object(members) = value {
            Some(members)
        } else {
            None
        }
    }
}

impl<T: Sent> Sent for Option<T> {
    fn of(value: Value) -> Option<Self> {
        if value.is_null() {
            Some(None)
        } else {
            T::of(value).map(Some)
        }
    }
}

/// For `#[serde(deserialize_with = "json::sent")]`: the member as [`read`] reads it.
///
/// # Errors
/// Where it is not JSON, or other JSON than its type holds.
pub fn sent<'de, D: Deserializer<'de>, T: Sent>(deserializer: D) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let value = read(raw.get().as_bytes()).map_err(de::Error::custom)?;
    T::of(value).ok_or_else(|| de::Error::custom("another kind of JSON value was expected"))
}

#[cfg(test)]
mod tests;
