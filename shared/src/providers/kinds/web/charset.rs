//! Decodes bytes to text as browsers do: byte order mark, then header, then the document's own
//! declaration.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use super::html::Document;
use crate::providers::kinds::charset::{label, reported};

/// The part of a document that is searched for its charset, in bytes. WHATWG HTML says 1024; many
/// sites declare it a little later.
const PRESCAN: usize = 4096;

/// Decodes a body. Malformed parts become U+FFFD. `content_type` is the header's value.
pub(super) fn decode(body: &[u8], content_type: Option<&str>) -> String {
    if let Some((encoding, length)) = Encoding::for_bom(body) {
        return encoding
            .decode_without_bom_handling(&body[length..])
            .0
            .into_owned();
    }
    let said = declaration(body);
    let encoding = reported(content_type).or(said).unwrap_or(UTF_8);
    let (text, broken) = encoding.decode_without_bom_handling(body);
    // UTF-8 can be recognised by itself. Servers claim it of everything; a truncated page ends in
    // half a character.
    if encoding != UTF_8 || !broken || is_mostly_utf8(body) {
        return text.into_owned();
    }
    let other = said.filter(|e| *e != UTF_8).unwrap_or(WINDOWS_1252);
    other.decode_without_bom_handling(body).0.into_owned()
}

/// Returns whether at least as many characters beyond ASCII are whole as are broken.
fn is_mostly_utf8(body: &[u8]) -> bool {
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for chunk in body.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole >= broken
}

/// Returns the encoding that a document declares: by the form of its first tag, in its XML
/// declaration, or in a `<meta>`.
fn declaration(body: &[u8]) -> Option<&'static Encoding> {
    match body {
        [b'<', 0, ..] => return Some(UTF_16LE),
        [0, b'<', ..] => return Some(UTF_16BE),
        _ => {}
    }
    let head = String::from_utf8_lossy(&body[..body.len().min(PRESCAN)]);
    let xml = head
        .trim_start()
        .strip_prefix("<?xml")
        .and_then(|rest| rest.split('>').next());
    let in_meta = || {
        let metas = Document::read(&head).metas;
        metas
            .iter()
            .find_map(|(name, content)| match name.as_str() {
                "charset" => Encoding::for_label(content.as_bytes()),
                "content-type" => label(content, "charset"),
                _ => None,
            })
    };
    let said = xml
        .and_then(|declaration| label(declaration, "encoding"))
        .or_else(in_meta)?;
    Some(match said {
        // A declaration that was found by reading ASCII is not UTF-16 (WHATWG HTML, section
        // 13.2.3.2).
        said if said == UTF_16LE || said == UTF_16BE => UTF_8,
        said if said == X_USER_DEFINED => WINDOWS_1252,
        said => said,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_headers_and_declarations_in_this_order() {
        let latin = b"<html><head><meta charset='iso-8859-1'><title>M\xfcller</title>";
        for (body, header, wanted) in [
            (&latin[..], None, "M\u{fc}ller"),
            (&latin[..], Some("text/html"), "M\u{fc}ller"),
            (&latin[..], Some("text/html; charset=utf-8"), "M\u{fc}ller"),
            (
                b"M\xfcller",
                Some("text/html; charset=UTF-8"),
                "M\u{fc}ller",
            ),
            (b"M\xfcller", None, "M\u{fc}ller"),
            (
                "\u{fc}".as_bytes(),
                Some("text/html; Charset=\"windows-1252\""),
                "\u{c3}\u{bc}",
            ),
            (
                "\u{feff}\u{fc}".as_bytes(),
                Some("text/html; charset=windows-1252"),
                "\u{fc}",
            ),
            (
                b"\xff\xfeM\0\xfc\0",
                Some("text/html; charset=utf-8"),
                "M\u{fc}",
            ),
            (
                b"<?xml version='1.0' encoding='windows-1251'?><a>\xcf\xf0</a>",
                None,
                "\u{41f}\u{440}",
            ),
            (
                b"<meta http-equiv=content-type content=\"text/html; charset=Shift_JIS\">\x83\x65",
                None,
                "\u{30c6}",
            ),
            (b"<meta charset=utf-16>caf\xc3\xa9", None, "caf\u{e9}"),
            (
                b"<meta charset=nonsense>caf\xc3\xa9",
                Some("text/html; charset=also"),
                "caf\u{e9}",
            ),
            (
                b"\x1b$B%F\x1b(B",
                Some("text/html; charset=iso-2022-jp"),
                "\u{30c6}",
            ),
            (
                b"<meta charset=ISO-2022-JP>\x1b$B%F\x1b(B",
                None,
                "\u{30c6}",
            ),
            (b"M\0\xfc\0", Some("text/html; charset=UTF-16LE"), "M\u{fc}"),
            (b"\0M\0\xfc", Some("text/html; charset=utf-16be"), "M\u{fc}"),
            (b"\xfe\xff\0M\0\xfc", None, "M\u{fc}"),
            (b"<\0p\0>\0\xfc\0", None, "<p>\u{fc}"),
            (b"\0<\0?\0x\0m\0l\0?\0>\0\xfc", None, "\u{fc}"),
            (b"\xb9\xfa", Some("text/html; charset=gb18030"), "\u{56fd}"),
            (b"\xb0\xea", Some("text/html;charset=Big5"), "\u{570b}"),
            (
                b"\xb1\xb9",
                Some("text/html; charset=ks_c_5601-1987"),
                "\u{ad6d}",
            ),
            (b"\xd2", Some("text/html; charset=koi8-r"), "\u{440}"),
            (b"<meta charset=x-user-defined>\xfc", None, "\u{fc}"),
            (
                b"\xfc",
                Some("text/html, text/html; charset=iso-8859-1"),
                "\u{fc}",
            ),
            (
                b"\xfc",
                Some("text/html; charset=iso-8859-1, text/html"),
                "\u{fc}",
            ),
            (
                b"<!-- <meta charset=koi8-r> --><meta charset=iso-8859-1>\xfc",
                None,
                "\u{fc}",
            ),
            (
                b"<meta name=description content='charset=koi8-r'><meta charset=iso-8859-1>\xfc",
                None,
                "\u{fc}",
            ),
        ] {
            let text = decode(body, header);
            assert!(text.contains(wanted), "{header:?}: {text:?}");
        }
        assert_eq!(
            decode(
                "caf\u{e9} caf\u{e9} \u{20ac}"
                    .as_bytes()
                    .split_last()
                    .unwrap()
                    .1,
                None
            )
            .matches('\u{e9}')
            .count(),
            2
        );
        assert_eq!(decode(b"", None), "");
    }

    /// Each encoding that can be written, by its name in the header and in the document.
    #[test]
    fn every_encoding_of_the_web_is_read() {
        for (name, text) in [
            ("ibm866", "\u{42f}"),
            ("iso-8859-2", "\u{141}"),
            ("iso-8859-3", "\u{126}"),
            ("iso-8859-4", "\u{138}"),
            ("iso-8859-5", "\u{42f}"),
            ("iso-8859-6", "\u{634}"),
            ("iso-8859-7", "\u{3a9}"),
            ("iso-8859-8", "\u{5d0}"),
            ("iso-8859-8-i", "\u{5d0}"),
            ("iso-8859-10", "\u{112}"),
            ("iso-8859-13", "\u{118}"),
            ("iso-8859-14", "\u{174}"),
            ("iso-8859-15", "\u{20ac}"),
            ("iso-8859-16", "\u{218}"),
            ("koi8-r", "\u{42f}"),
            ("koi8-u", "\u{404}"),
            ("macintosh", "\u{fb01}"),
            ("windows-874", "\u{e01}"),
            ("windows-1250", "\u{141}"),
            ("windows-1251", "\u{42f}"),
            ("windows-1252", "\u{20ac}"),
            ("windows-1253", "\u{3a9}"),
            ("windows-1254", "\u{11e}"),
            ("windows-1255", "\u{5d0}"),
            ("windows-1256", "\u{634}"),
            ("windows-1257", "\u{118}"),
            ("windows-1258", "\u{1a0}"),
            ("x-mac-cyrillic", "\u{42f}"),
            ("gbk", "\u{56fd}"),
            ("gb18030", "\u{56fd}"),
            ("big5", "\u{570b}"),
            ("euc-jp", "\u{30c6}"),
            ("iso-2022-jp", "\u{30c6}"),
            ("shift_jis", "\u{30c6}"),
            ("euc-kr", "\u{ad6d}"),
            ("utf-8", "\u{fc}"),
        ] {
            let encoding = Encoding::for_label(name.as_bytes()).unwrap();
            let page = format!("<meta charset='{name}'><title>{text}</title>");
            let (bytes, _, lost) = encoding.encode(&page);
            assert!(!lost, "{name}");
            assert_eq!(decode(&bytes, None), page, "{name}");
            assert_eq!(
                decode(
                    &encoding.encode(text).0,
                    Some(&format!("text/html; charset={name}"))
                ),
                text,
                "{name}"
            );
        }
    }
}
