//! JSON as others write it: what was sent comes back as it was sent.
//!
//! A [`Value`] holds the text of its numbers (`serde_json`'s `arbitrary_precision`), but `serde_json`'s own reading of one
//! rewrites exponents (`1e400` to `1e+400`), takes objects with its private keys for something else, and refuses half a
//! surrogate pair. So JSON from outside, and what is stored of it, is read here alone: [`read`], and [`sent`] for the
//! members of what is derived. `to_value` and `json!` read anew what they are given: they are for our own words, and
//! [`object`] is for what was sent.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// The deepest nesting that is read, as of `serde_json`: the stack is finite.
const MAX_DEPTH: usize = 127;
/// Written in front of texts by programs of one vendor; RFC 8259 lets a reader pass over it.
const BOM: &str = "\u{feff}";

/// Why a text is no JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson {
    what: &'static str,
    line: usize,
    column: usize,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
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
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count();
        Self { what, line, column }
    }
}

/// Reads one JSON value. A byte order mark in front is passed over, half a surrogate pair is U+FFFD, numbers keep their
/// text, and of members with the same name the last counts.
///
/// # Errors
/// [`NotJson`] where it is none, or nests deeper than [`MAX_DEPTH`].
pub fn read(bytes: &[u8]) -> Result<Value, NotJson> {
    read_with(bytes, Mode::Plain)
}

/// As [`read`], for what upstreams send: `NaN`, `Infinity` and `-Infinity`, as Python and others write numbers that JSON has
/// none for, are null.
///
/// # Errors
/// As [`read`].
pub fn read_upstream(bytes: &[u8]) -> Result<Value, NotJson> {
    read_with(bytes, Mode::Upstream)
}

/// As [`read`], for those who read it again with JavaScript: what changes on that way is refused, which is a number beyond
/// the doubles, and half a surrogate pair.
///
/// # Errors
/// As [`read`], and for what is refused.
pub fn read_unchanged(bytes: &[u8]) -> Result<Value, NotJson> {
    read_with(bytes, Mode::Unchanged)
}

/// Reads the value that a text begins with, as [`read_upstream`], and its length; what stands behind it is not looked at.
///
/// # Errors
/// Up to where it was read, where it is none.
pub fn read_first(text: &str) -> Result<(Value, usize), usize> {
    let mut reader = Reader { text, at: 0, mode: Mode::Upstream };
    match reader.value(0) {
        Ok(value) => Ok((value, reader.at)),
        Err(_) => Err(reader.at),
    }
}

fn read_with(bytes: &[u8], mode: Mode) -> Result<Value, NotJson> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| NotJson::at("bytes that are not UTF-8", &bytes[..(e.valid_up_to() + 1).min(bytes.len())]))?;
    let mut reader = Reader { text: text.strip_prefix(BOM).unwrap_or(text), at: 0, mode };
    let value = reader.value(0).and_then(|value| match reader.skip_spaces() {
        None => Ok(value),
        Some(_) => Err("trailing characters"),
    });
    value.map_err(|what| {
        let read = (reader.at + 1).min(reader.text.len());
        NotJson::at(what, &reader.text.as_bytes()[..read])
    })
}

/// What is taken beside JSON, or refused of it.
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

/// What Python's `json`, Ruby's, Gson and others write where a number is none.
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
            b'N' | b'I' | b'-' if self.mode == Mode::Upstream && self.no_number() => Ok(Value::Null),
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
        let word = NO_NUMBERS.iter().find(|word| rest.starts_with(word.as_bytes()));
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

    /// Whether the end follows, and not a comma.
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
                let low = self.text.as_bytes()[self.at..].starts_with(b"\\u").then(|| self.unit(self.at + 2)).flatten();
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
        let digits = self.text.get(at..at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
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
        if self.mode == Mode::Unchanged && self.text[start..self.at].parse().is_ok_and(f64::is_infinite) {
            return Err("number out of range");
        }
        // `Number` has no other way in that leaves an exponent as it is.
        Ok(Number::from_string_unchecked(self.text[start..self.at].to_owned()))
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

/// An object of what was sent. `json!` would write its numbers anew.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// What a [`Value`] can stand for.
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
        if let Value::Object(members) = value { Some(members) } else { None }
    }
}

impl<T: Sent> Sent for Option<T> {
    fn of(value: Value) -> Option<Self> {
        if value.is_null() { Some(None) } else { T::of(value).map(Some) }
    }
}

/// For `#[serde(deserialize_with = "json::sent")]`: the member as [`read`] reads it.
///
/// # Errors
/// Where it is no JSON, or other JSON than its type holds.
pub fn sent<'de, D: Deserializer<'de>, T: Sent>(deserializer: D) -> Result<T, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let value = read(raw.get().as_bytes()).map_err(de::Error::custom)?;
    T::of(value).ok_or_else(|| de::Error::custom("another kind of JSON value was expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        read(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
    }

    #[test]
    fn what_was_sent_comes_back_as_it_was_sent() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "1.0",
            "1.10",
            "18446744073709551616",
            "-9223372036854775809",
            "123456789012345678901234567890123456789012345678901234567890",
            "0.12345678901234567890123456789",
            "1e400",
            "1E400",
            "1e+400",
            "-1E-400",
            "1e007",
            "{\"$serde_json::private::Number\":\"1\"}",
            "{\"$serde_json::private::Number\":{\"a\":1}}",
            "{\"$serde_json::private::RawValue\":\"[1,\"}",
            "{\"$serde_json::private::RawValue\":1,\"b\":[{\"$serde_json::private::Number\":\"x\"}]}",
            "[{},[],{\"a\":[]},null,true,false,\"\"]",
            "\"\u{feff}\u{2028}é😀\"",
        ] {
            assert_eq!(again(text), text);
            let value = read(text.as_bytes()).unwrap();
            assert_eq!(object([("a", value)]).to_string(), format!("{{\"a\":{text}}}"));
        }
        assert_eq!(again("{\"a\":1,\"b\":2,\"a\":3}"), "{\"a\":3,\"b\":2}", "the last value at the first one's place");
        assert_eq!(again(" \t\r\n[ 1 , { \"a\" : 2 } ] \n"), "[1,{\"a\":2}]");
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_once_and_in_front_alone() {
        assert_eq!(again("\u{feff}{\"a\":1}"), "{\"a\":1}");
        assert_eq!(again("\u{feff} 1"), "1");
        for text in ["\u{feff}\u{feff}1", " \u{feff}1", "1\u{feff}", "\u{feff}"] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_null_from_upstreams_and_refused_from_clients() {
        for (text, wanted, strict) in [
            ("NaN", "null", false),
            ("-Infinity ", "null", false),
            ("[NaN,Infinity , -Infinity,\n-1]", "[null,null,null,-1]", false),
            (r#"{"a": NaN,"b":-Infinity}"#, r#"{"a":null,"b":null}"#, false),
            (r#"["NaN", ": NaN,", "\"-Infinity"]"#, r#"["NaN",": NaN,","\"-Infinity"]"#, true),
            (r#"{"NaN": "Infinity"}"#, r#"{"NaN":"Infinity"}"#, true),
        ] {
            assert_eq!(read_upstream(text.as_bytes()).unwrap().to_string(), wanted, "{text}");
            let (plain, unchanged) = (read(text.as_bytes()), read_unchanged(text.as_bytes()));
            assert_eq!((plain.is_ok(), unchanged.is_ok()), (strict, strict), "{text}");
        }
        for text in
            ["NaNa", "[NaN1]", "nan", "-NaN", "+Infinity", "Inf", "- Infinity", "{NaN: 1}", "-Infinit", "N", "-"]
        {
            assert!(read_upstream(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(read_first("NaN, and"), Ok((Value::Null, 3)));
    }

    #[test]
    fn half_a_surrogate_pair_is_the_replacement_character() {
        for (escaped, text) in [
            (r"\ud800", "\u{fffd}"),
            (r"\uDC00x", "\u{fffd}x"),
            (r"\ud83d\ude00", "😀"),
            (r"\uD83D\uDE00\ud83d", "😀\u{fffd}"),
            (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ud83d\n", "\u{fffd}\n"),
            (r"\\ud800", "\\ud800"),
            (r"\\\ud800", "\\\u{fffd}"),
            (r"\u0000\u001F\b\f\n\r\t\/\\\u00e9", "\0\u{1f}\u{8}\u{c}\n\r\t/\\é"),
        ] {
            assert_eq!(read(format!("\"{escaped}\"").as_bytes()).unwrap(), text, "{escaped}");
        }
    }

    /// `serde_json` is the judge of everything that it reads in the same way.
    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "tru",
            "nul",
            "True",
            "nan",
            "+1",
            "-",
            "01",
            "-01",
            "1.",
            ".1",
            "1e",
            "1e+",
            "1.e1",
            "0x1",
            "1a",
            "1 2",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "{\"a\" 1}",
            "{,}",
            "\"",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\u+123\"",
            "\"\n\"",
            "\"\u{0}\"",
            "'a'",
            "/* */1",
            "1//",
            "[1}",
            "\u{a0}1",
            "\"\\ud800\\u\"",
            "\"\\ud800\\u12\"",
            "\u{c}1",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?}");
        }
        assert!(read(b"\"\xff\"").is_err());
        assert!(read(b"\"\xed\xa0\x80\"").is_err(), "a surrogate is no UTF-8");
        let fault = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(fault("{\"a\":\n x}"), "expected value at line 2 column 2");
        assert_eq!(fault("[1"), "the end comes too early at line 1 column 2");
        assert_eq!(fault("é é"), "expected value at line 1 column 1");
    }

    #[test]
    fn it_reads_as_deep_as_serde_json_does() {
        for (depth, fits) in [(127, true), (128, false), (4_000_000, false)] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let text = format!("{}0{}", open.repeat(depth), close.repeat(depth));
                assert_eq!(read(text.as_bytes()).is_ok(), fits, "{depth}");
                assert_eq!(serde_json::from_str::<Value>(&text).is_ok(), fits, "{depth}");
            }
        }
    }

    #[test]
    fn what_is_stored_of_it_is_read_as_it_was_sent() {
        #[derive(Debug, PartialEq, serde::Serialize, Deserialize)]
        struct Kept {
            #[serde(deserialize_with = "sent")]
            any: Value,
            #[serde(deserialize_with = "sent")]
            members: Map<String, Value>,
            #[serde(default, deserialize_with = "sent")]
            none: Option<Value>,
            #[serde(default, deserialize_with = "sent")]
            absent: Option<Map<String, Value>>,
            sure: f64,
        }
        let text = r#"{"any":1e400,"members":{"$serde_json::private::Number":"1","n":1E2},"none":null,"sure":0.25}"#;
        let kept: Kept = serde_json::from_str(text).unwrap();
        assert_eq!((kept.any.to_string(), &kept.none, &kept.absent), ("1e400".to_owned(), &None, &None));
        let again = serde_json::to_string(&kept).unwrap();
        assert!(
            again.starts_with(r#"{"any":1e400,"members":{"$serde_json::private::Number":"1","n":1E2},"#),
            "{again}"
        );
        assert_eq!(serde_json::from_slice::<Kept>(again.as_bytes()).unwrap(), kept);
        assert!(serde_json::from_str::<Kept>(&text.replace("{\"$", "[{\"$").replace("},\"none", "}],\"none")).is_err());
    }
}
