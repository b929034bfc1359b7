//! From bytes to text as browsers do it: byte order mark, then header, then what the document says of itself.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How far a document is searched for its charset, in bytes. WHATWG HTML says 1024; many sites say it a little later.
const PRESCAN: usize = 4096;

/// The text of a body. What cannot be read becomes U+FFFD. `content_type` is the header's value.
pub(super) fn decode(body: &[u8], content_type: Option<&str>) -> String {
    if let Some((encoding, length)) = Encoding::for_bom(body) {
        return encoding.decode_without_bom_handling(&body[length..]).0.into_owned();
    }
    let told = content_type.and_then(|value| label(value.as_bytes()));
    let said = label(&declaration(body));
    let encoding = told.or(said).unwrap_or(UTF_8);
    let (text, broken) = encoding.decode_without_bom_handling(body);
    // UTF-8 says of itself whether it is that. Servers say it of everything; a page that was cut ends in half a character.
    if encoding != UTF_8 || !broken || is_mostly_utf8(body) {
        return text.into_owned();
    }
    let other = said.filter(|e| *e != UTF_8).unwrap_or(WINDOWS_1252);
    other.decode_without_bom_handling(body).0.into_owned()
}

/// Whether at least as many characters beyond ASCII are whole as are broken.
fn is_mostly_utf8(body: &[u8]) -> bool {
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for chunk in body.utf8_chunks() {
        whole += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    whole >= broken
}

/// The part of a document that can hold its declaration: tags `<meta` and the XML declaration, in lower case.
fn declaration(body: &[u8]) -> Vec<u8> {
    let head = body[..body.len().min(PRESCAN)].to_ascii_lowercase();
    let mut found = Vec::new();
    for tag in head.split(|b| *b == b'<') {
        if tag.starts_with(b"meta") || tag.starts_with(b"?xml") {
            found.extend(tag.iter().take_while(|b| **b != b'>'));
            found.push(b' ');
        }
    }
    found
}

/// The encoding behind the first `charset=` or `encoding=` that names one.
fn label(text: &[u8]) -> Option<&'static Encoding> {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let values = text.match_indices("charset").chain(text.match_indices("encoding"));
    let named = values.filter_map(|(at, word)| {
        let value =
            text[at + word.len()..].trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
        let end = value.find(|c: char| c.is_whitespace() || "\"';,/>?".contains(c)).unwrap_or(value.len());
        Encoding::for_label(&value.as_bytes()[..end])
    });
    // What was found by reading ASCII is not UTF-16, whatever it says.
    named.map(|e| if e.is_ascii_compatible() { e } else { UTF_8 }).next()
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
            (b"M\xfcller", Some("text/html; charset=UTF-8"), "M\u{fc}ller"),
            (b"M\xfcller", None, "M\u{fc}ller"),
            ("\u{fc}".as_bytes(), Some("text/html; Charset=\"windows-1252\""), "\u{c3}\u{bc}"),
            ("\u{feff}\u{fc}".as_bytes(), Some("text/html; charset=windows-1252"), "\u{fc}"),
            (b"\xff\xfeM\0\xfc\0", Some("text/html; charset=utf-8"), "M\u{fc}"),
            (b"<?xml version='1.0' encoding='windows-1251'?><a>\xcf\xf0</a>", None, "\u{41f}\u{440}"),
            (b"<meta http-equiv=content-type content=\"text/html; charset=Shift_JIS\">\x83\x65", None, "\u{30c6}"),
            (b"<meta charset=utf-16>caf\xc3\xa9", None, "caf\u{e9}"),
            (b"<meta charset=nonsense>caf\xc3\xa9", Some("text/html; charset=also"), "caf\u{e9}"),
        ] {
            let text = decode(body, header);
            assert!(text.contains(wanted), "{header:?}: {text:?}");
        }
        assert_eq!(
            decode("caf\u{e9} caf\u{e9} \u{20ac}".as_bytes().split_last().unwrap().1, None).matches('\u{e9}').count(),
            2
        );
        assert_eq!(decode(b"", None), "");
    }
}
