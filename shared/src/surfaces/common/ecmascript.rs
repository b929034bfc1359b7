//! JSON as ECMAScript writes it.
//!
//! Some receivers sign not the bytes they got but `JSON.stringify(JSON.parse(body))`. What is
//! written here is a fixed point of that, byte for byte: numbers are doubles in ECMAScript's
//! notation, and members that are array indices come first in ascending order, the others in
//! insertion order. Source: ECMA-262, `Number::toString`, `OrdinaryOwnPropertyKeys` and
//! `QuoteJSONString`. A [`Value`] holds no lone surrogates and each name once, so nothing else is
//! left to decide.

use serde_json::{Map, Value};

/// The largest array index, 2^32 - 2. Larger whole numbers are names like any other.
const MAX_INDEX: u64 = 4_294_967_294;

/// The bytes of a value.
pub fn to_vec(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, value);
    out
}

fn write(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        // The nearest double, as JSON.parse has it; JSON.stringify writes null for one that is
        // infinite.
        Value::Number(number) => match number.as_f64() {
            Some(number) => number_to(out, number),
            None => out.extend_from_slice(b"null"),
        },
        Value::String(text) => string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => object(out, members),
    }
}

fn object(out: &mut Vec<u8>, members: &Map<String, Value>) {
    let mut indices: Vec<_> = members
        .iter()
        .filter_map(|(name, value)| Some((index(name)?, name, value)))
        .collect();
    indices.sort_unstable_by_key(|(index, ..)| *index);
    let first = indices.into_iter().map(|(_, name, value)| (name, value));
    let rest = members.iter().filter(|(name, _)| index(name).is_none());
    out.push(b'{');
    for (at, (name, value)) in first.chain(rest).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        write(out, value);
    }
    out.push(b'}');
}

/// The array index that a name is, if it is one: decimal without leading zeros, at most
/// [`MAX_INDEX`].
fn index(name: &str) -> Option<u64> {
    let digits = (1..=10).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| name.parse().ok())??;
    ((name == "0" || !name.starts_with('0')) && number <= MAX_INDEX).then_some(number)
}

fn number_to(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(ryu_js::Buffer::new().format(number).as_bytes());
}

/// `serde_json` escapes what ECMAScript does: quote, backslash and the controls below U+0020, in
/// the same way.
fn string(out: &mut Vec<u8>, text: &str) {
    // Writing a text to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::json::read;

    fn again(json: &str) -> String {
        String::from_utf8(to_vec(&read(json.as_bytes()).unwrap())).unwrap()
    }

    /// Left is what is parsed, right what node 20 answers to `JSON.stringify(JSON.parse(left))`.
    #[test]
    fn numbers_print_as_ecmascript_prints_them() {
        for (given, wanted) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("-1", "-1"),
            ("1E2", "100"),
            ("0.1", "0.1"),
            ("9007199254740991", "9007199254740991"),
            ("9007199254740993", "9007199254740992"),
            ("-9007199254740993", "-9007199254740992"),
            ("18446744073709551615", "18446744073709552000"),
            ("9223372036854775807", "9223372036854776000"),
            ("-9223372036854775808", "-9223372036854776000"),
            ("99999999999999999999", "100000000000000000000"),
            ("999999999999999900000", "999999999999999900000"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1.5e300", "1.5e+300"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("-1.25e-9", "-1.25e-9"),
            ("5e-324", "5e-324"),
            ("2e-324", "0"),
            ("2.2250738585072014e-308", "2.2250738585072014e-308"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("1e400", "null"),
            ("-1e400", "null"),
            ("1e-400", "0"),
        ] {
            assert_eq!(again(given), wanted, "{given}");
        }
    }

    #[test]
    fn array_indices_come_first_in_ascending_order_at_every_depth() {
        let given = concat!(
            r#"{"b":1,"10":2,"9":[{"x":1,"1":2,"0":3}],"01":4,"4294967295":5,"4294967294":6,"#,
            r#""-1":7,"":8,"1.0":9,"__proto__":{"2":1,"1":2},"0":10,"toJSON":11}"#
        );
        let wanted = concat!(
            r#"{"0":10,"9":[{"0":3,"1":2,"x":1}],"10":2,"4294967294":6,"b":1,"01":4,"#,
            r#""4294967295":5,"-1":7,"":8,"1.0":9,"__proto__":{"1":2,"2":1},"toJSON":11}"#
        );
        assert_eq!(again(given), wanted);
        assert_eq!(
            again(r#"{"a":1,"b":2,"a":3}"#),
            r#"{"a":3,"b":2}"#,
            "the last value at the first one's place"
        );
    }

    #[test]
    fn texts_escape_what_ecmascript_escapes_and_nothing_more() {
        let given =
            r#""\u0000\b\t\n\u000b\f\r\u001F \"\\\/ \u007f\u2028\u2029\ud83d\ude00\ufeff\u00e9""#;
        let wanted = concat!(
            r#""\u0000\b\t\n\u000b\f\r\u001f \"\\/ "#,
            "\u{7f}\u{2028}\u{2029}\u{1f600}\u{feff}\u{e9}\""
        );
        assert_eq!(again(given), wanted);
        assert_eq!(
            again(r#"[{},[],{"a":[]},null,true,false]"#),
            r#"[{},[],{"a":[]},null,true,false]"#
        );
    }
}
