//! Results as files that other programs read: cells that no spreadsheet takes for a formula, lines
//! that no reader splits.

use std::borrow::Cow;

use serde_json::Value;

/// Characters that make a cell a formula in some spreadsheet. Sources: OWASP, CSV injection (the
/// full-width signs too); OWASP ASVS 5.0, 1.2.10 (the null character).
const BEGINS_FORMULA: [char; 12] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\0', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// Returns a text as a cell of a CSV file: with an apostrophe in front where a spreadsheet would
/// take it for a formula.
pub fn cell(text: &str) -> Cow<'_, str> {
    if text.starts_with(BEGINS_FORMULA) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns a value as one line of NDJSON, without its end. JSON lets U+0085, U+2028 and U+2029
/// stand as they are, but many readers of lines end one there; they are escaped.
pub fn json_line(value: &Value) -> String {
    // Outside of strings JSON has none of these.
    let text = value.to_string();
    if !text.contains(['\u{85}', '\u{2028}', '\u{2029}']) {
        return text;
    }
    text.replace('\u{85}', "\\u0085")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_that_begins_a_formula_is_guarded() {
        for sign in BEGINS_FORMULA {
            assert_eq!(cell(&format!("{sign}1+1")), format!("'{sign}1+1"));
        }
        for text in ["", "a=1", "1-2", " x", "'=1", "\u{ff1e}=", "caf\u{e9}"] {
            assert_eq!(cell(text), text);
        }
    }

    #[test]
    fn a_line_has_no_end_within_for_any_reader() {
        let value = json!({"a\u{2028}b": "c\u{2029}d\u{85}e\nf\u{b}\u{c}\u{1c}", "g": "\\u2028"});
        let line = json_line(&value);
        let ends = [
            '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
            '\u{2029}',
        ];
        assert!(!line.contains(ends), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
        assert_eq!(json_line(&json!({"a": "b"})), r#"{"a":"b"}"#);
    }
}
