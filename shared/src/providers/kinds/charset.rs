//! The encoding of answers and pages, by the labels of the WHATWG Encoding Standard.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::domain::rows::unmarked_utf_16_is_little_endian;

/// The longest name of an encoding, in bytes.
const MAX_LABEL: usize = 64;

/// Returns the text of an answer in JSON. A byte order mark counts first, then the zeros beside the
/// first character, which JSON has in UTF-16 alone, then the header; otherwise it is UTF-8. Valid
/// UTF-8 is read as such under the names of single octets too: servers add those to anything they
/// send. `None` if the bytes do not fit the encoding: a guess would be sold as data.
pub(super) fn text<'b>(body: &'b [u8], content_type: Option<&str>) -> Option<Cow<'b, str>> {
    let (encoding, mark) = Encoding::for_bom(body).unwrap_or_else(|| {
        let encoding = match unmarked_utf_16_is_little_endian(body) {
            Some(false) => UTF_16BE,
            Some(true) => UTF_16LE,
            None => reported(content_type)
                .filter(|reported| !reported.is_single_byte() || std::str::from_utf8(body).is_err())
                .unwrap_or(UTF_8),
        };
        (encoding, 0)
    });
    encoding.decode_without_bom_handling_and_without_replacement(&body[mark..])
}

/// Returns the encoding that a `Content-Type` names; of several headers that were joined, the last
/// one counts.
pub(super) fn reported(content_type: Option<&str>) -> Option<&'static Encoding> {
    content_type?
        .rsplit(',')
        .find_map(|value| label(value, "charset"))
}

/// Returns the encoding behind the first `name=` that names one.
pub(super) fn label(text: &str, name: &str) -> Option<&'static Encoding> {
    let text = text.to_ascii_lowercase();
    text.match_indices(name).find_map(|(at, word)| {
        let value = text[at + word.len()..]
            .trim_start()
            .strip_prefix('=')?
            .trim_start()
            .trim_start_matches(['"', '\'']);
        let value = &value[..value.floor_char_boundary(MAX_LABEL)];
        let end = value
            .find(|c: char| c.is_whitespace() || "\"';,/>?".contains(c))
            .unwrap_or(value.len());
        Encoding::for_label(&value.as_bytes()[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answers_text_is_read_by_mark_then_header_then_as_utf_8() {
        let json = |charset: &str| format!("application/json; charset={charset}");
        for (body, header, wanted) in [
            (
                &b"{\"a\":\"M\xfcller\"}"[..],
                Some(json("iso-8859-1")),
                Some("{\"a\":\"M\u{fc}ller\"}"),
            ),
            (b"\"\x80\"", Some(json("ISO-8859-1")), Some("\"\u{20ac}\"")),
            (
                b"\xcf\xf0",
                Some(json("windows-1251")),
                Some("\u{41f}\u{440}"),
            ),
            (
                b"\xcf\xf0",
                Some(json("\"cp1251\"")),
                Some("\u{41f}\u{440}"),
            ),
            (
                b"\x83\x65",
                Some("text/json;Charset=Shift_JIS".to_owned()),
                Some("\u{30c6}"),
            ),
            (
                b"\"\0\xfc\0\"\0",
                Some(json("utf-16le")),
                Some("\"\u{fc}\""),
            ),
            (
                b"\xff\xfe\"\0\xfc\0\"\0",
                Some(json("utf-8")),
                Some("\"\u{fc}\""),
            ),
            (b"\xfe\xff\0\"\0\xfc\0\"", None, Some("\"\u{fc}\"")),
            (
                b"\xfe\xff\0\"\0\xfc\0\"",
                Some(json("utf-16")),
                Some("\"\u{fc}\""),
            ),
            (
                b"\xfe\xff\0\"\0\xfc\0\"",
                Some(json("utf-16le")),
                Some("\"\u{fc}\""),
            ),
            (b"\0\"\0\xfc\0\"", Some(json("utf-16")), Some("\"\u{fc}\"")),
            (b"\"\0\xfc\0\"\0", Some(json("utf-16")), Some("\"\u{fc}\"")),
            (
                b"\"\0\xfc\0\"\0",
                Some(json("utf-16be")),
                Some("\"\u{fc}\""),
            ),
            (b"\0{\0}", Some(json("utf-8")), Some("{}")),
            (b"{\0}\0", None, Some("{}")),
            (b"\0{\0}", Some("application/json".to_owned()), Some("{}")),
            (
                b"\xef\xbb\xbf\"\xc3\xbc\"",
                Some(json("iso-8859-1")),
                Some("\"\u{fc}\""),
            ),
            (
                b"\"M\xc3\xbcller\"",
                Some(json("iso-8859-1")),
                Some("\"M\u{fc}ller\""),
            ),
            (
                b"\"\xe2\x82\xac\"",
                Some(json("us-ascii")),
                Some("\"\u{20ac}\""),
            ),
            (
                b"\"\xc3\xbc\"",
                Some(json("x-user-defined")),
                Some("\"\u{fc}\""),
            ),
            (
                b"\"\xd0\x9f\"",
                Some(json("windows-1251")),
                Some("\"\u{41f}\""),
            ),
            (
                b"\"\xc3\xbc \xfc\"",
                Some(json("iso-8859-1")),
                Some("\"\u{c3}\u{bc} \u{fc}\""),
            ),
            (b"\"\xe3\x81\x82\xe3\x82\"", Some(json("shift_jis")), None),
            (b"\xc4\xe3", Some(json("gbk")), Some("\u{4f60}")),
            (b"\xc2\xa1", Some(json("gbk")), Some("\u{9686}")),
            (b"\xc3\xbc", Some(json("no-such")), Some("\u{fc}")),
            (b"\xc3\xbc", None, Some("\u{fc}")),
            (b"", None, Some("")),
            (b"\xfc", None, None),
            (b"\xfc", Some(json("utf-8")), None),
            (b"\xff\xfe\"", None, None),
            (b"\x1b$)C", Some(json("iso-2022-kr")), None),
        ] {
            assert_eq!(
                text(body, header.as_deref()).as_deref(),
                wanted,
                "{body:?} {header:?}"
            );
        }
    }
}
