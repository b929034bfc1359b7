//! What a file's bytes are before anybody reads lines from them: an encoding, and what is no text at all.

use std::borrow::Cow;
use std::cmp::Reverse;

/// Programs whose own files are taken for tables, by the end of the name, and how each saves one as CSV.
const SPREADSHEETS: [(&[&str], &str); 3] = [
    (&["xlsx", "xlsm", "xlsb", "xltx", "xltm", "xls", "xlt"], "in Excel: File > Save As > CSV UTF-8 (Comma delimited)"),
    (&["ods", "fods", "ots"], "in LibreOffice: File > Save As > Text CSV, character set UTF-8"),
    (&["numbers"], "in Numbers: File > Export To > CSV, encoding UTF-8"),
];
/// A ZIP archive, as .xlsx, .ods and .numbers are, and an OLE compound file, as .xls is.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// Says how to save a spreadsheet as CSV, where the end of a file's name is one's.
pub(crate) fn spreadsheet_name(extension: &str) -> Option<String> {
    let (_, how) = SPREADSHEETS.iter().find(|(ends, _)| ends.contains(&extension))?;
    Some(format!("is a spreadsheet (.{extension}), and this reads CSV or NDJSON; save it as CSV first, {how}"))
}

/// The bytes as UTF-8 without byte order marks; UTF-16 becomes UTF-8. What is neither stays as it is: its lines are told later.
/// The error says what the file is instead.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if ZIP.iter().any(|magic| bytes.starts_with(magic)) || bytes.starts_with(OLE) {
        let [(_, excel), (_, office), (_, numbers)] = SPREADSHEETS;
        return Err(format!(
            "the file is a spreadsheet or an archive, whatever its name says; save it as CSV first, {excel}; {office}; {numbers}"
        ));
    }
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Err("the file is UTF-32; save it as UTF-8".to_owned());
    }
    // Text has no NUL: without a mark, one beside an ASCII character tells which byte comes first.
    let little = match bytes {
        [0xff, 0xfe, ..] | [1..=0x7f, 0, ..] => true,
        [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] => false,
        _ => {
            let mut rest = bytes;
            while let Some(unmarked) = rest.strip_prefix(b"\xef\xbb\xbf") {
                rest = unmarked;
            }
            return Ok(Cow::Borrowed(rest));
        }
    };
    if bytes.len() % 2 == 1 {
        return Err("the file is UTF-16 and breaks off within a character".to_owned());
    }
    let units = bytes.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    });
    let text = char::decode_utf16(units).collect::<Result<String, _>>();
    let text = text.map_err(|_| "the file begins as UTF-16 and is not; save it as UTF-8".to_owned())?;
    Ok(Cow::Owned(text.trim_start_matches('\u{feff}').as_bytes().to_vec()))
}

/// The separator in an Excel file's first line `sep=;`, and how long that line is. `sep=` alone names none.
pub(crate) fn sep_line(text: &[u8]) -> Option<(Option<u8>, usize)> {
    let end = text.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(text.len());
    let line = &text[..end];
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let (begin, rest) = line.split_at_checked(4)?;
    if !begin.eq_ignore_ascii_case(b"sep=") {
        return None;
    }
    let separator = match rest {
        [b'\\', b't', rest @ ..] => Some((b'\t', rest)),
        [separator, rest @ ..] if separator.is_ascii() && *separator != b'"' => Some((*separator, rest)),
        _ => None,
    };
    let Some((separator, rest)) = separator else { return Some((None, end)) };
    // A program that saved the file again may have filled the line up to the table's width.
    let filled = rest.iter().all(|b| *b == separator || matches!(b, b'"' | b' ' | b'\t' | b',' | b';'));
    filled.then_some((Some(separator), end))
}

/// The separator that a table's first rows show: it makes them equally wide, and the header the widest. A comma where none does.
pub(crate) fn separator(text: &[u8]) -> u8 {
    let shape = |separator: u8| {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(text);
        let rows = reader.byte_records().take(20).map_while(Result::ok);
        let rows: Vec<_> = rows.filter(|row| row.iter().any(|cell| !cell.trim_ascii().is_empty())).collect();
        let header = rows.first().map_or(0, csv::ByteRecord::len);
        // `revenue, EUR` is one name.
        let padded = rows.first().map_or(0, |row| row.iter().filter(|cell| cell.starts_with(b" ")).count());
        // One column is no choice at all, however even.
        (header > 1, rows.iter().all(|row| row.len() == header), header, Reverse(padded))
    };
    // The last of equals wins.
    [b'|', b'\t', b';', b','].into_iter().max_by_key(|separator| shape(*separator)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_become_utf_8() {
        let text = "domain\tn\u{e9}\u{1f600}\r\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let utf_8 = text.as_bytes();
        let marks: [&[u8]; 7] = [
            b"\xff\xfe",
            b"\xfe\xff",
            b"\xef\xbb\xbf",
            b"\xef\xbb\xbf\xef\xbb\xbf",
            b"\xff\xfe\xff\xfe",
            b"",
            b"\xfe\xff\xfe\xff",
        ];
        for (mark, rest) in marks.iter().zip([&little, &big, utf_8, utf_8, &little, utf_8, &big]) {
            assert_eq!(decode(&[mark, rest].concat()).unwrap(), utf_8, "{mark:?}");
        }
        assert_eq!(decode(&little).unwrap(), utf_8);
        assert_eq!(decode(&big).unwrap(), utf_8);
        assert_eq!(decode(b"m\xfcller").unwrap(), &b"m\xfcller"[..]);
        for (bytes, why) in [
            (&b"\xff\xfea"[..], "breaks off"),
            (b"\xff\xfe\x00\xd8a\0", "is not"),
            (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
            (b"PK\x03\x04rest", "spreadsheet"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "spreadsheet"),
        ] {
            assert!(decode(bytes).unwrap_err().contains(why), "{bytes:?}");
        }
    }

    #[test]
    fn a_first_line_may_name_the_separator() {
        for (text, wanted) in [
            ("sep=;\na;b", Some((Some(b';'), 5))),
            ("SEP=,\r\n", Some((Some(b','), 5))),
            ("sep=\t\na", Some((Some(b'\t'), 5))),
            ("sep=\\t\na", Some((Some(b'\t'), 6))),
            ("\"sep=;\"\na", Some((Some(b';'), 7))),
            ("sep=|;;;\na", Some((Some(b'|'), 8))),
            ("sep=", Some((None, 4))),
            ("sep=\u{a7}\n", Some((None, 6))),
            ("sep=a b c,d\n", None),
            ("separator\n", None),
            ("se", None),
        ] {
            assert_eq!(sep_line(text.as_bytes()), wanted, "{text:?}");
        }
    }

    #[test]
    fn rows_show_their_separator() {
        for (text, wanted) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1;2\n", b';'),
            ("a\tb\n1\t2\n", b'\t'),
            ("a|b\n1|2\n", b'|'),
            ("name;revenue, EUR;cost, EUR\nx;1,5;2,5\n", b';'),
            ("name;\"a, b, c\"\nx;y\n", b';'),
            ("domain\na.com\n", b','),
            ("domain\na;b;c\n", b','),
            ("a,b;c\n1,2;3\n", b','),
            ("", b','),
        ] {
            assert_eq!(char::from(separator(text.as_bytes())), char::from(wanted), "{text:?}");
        }
    }
}
