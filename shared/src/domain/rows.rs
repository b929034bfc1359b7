//! Files of rows as people and programs save them: what the bytes are, what parts cells, and which
//! rows are none or broken. The command line reads records with it, `dataset` its tables.

use std::borrow::Cow;
use std::cmp::Reverse;

/// A byte order mark in UTF-8.
pub const MARK: &[u8] = b"\xef\xbb\xbf";
/// The error of a line that is not UTF-8, with the remedy.
pub const NOT_UTF_8: &str = "is not UTF-8; save the file as UTF-8 (Excel: CSV UTF-8), or convert \
                             it: iconv -f WINDOWS-1252 -t UTF-8";

/// Programs whose own files are taken for tables, by the end of the name, and how each saves one as
/// CSV.
const SPREADSHEETS: [(&[&str], &str); 3] = [
    (
        &["xlsx", "xlsm", "xlsb", "xltx", "xltm", "xls", "xlt"],
        "in Excel: File > Save As > CSV UTF-8 (Comma delimited)",
    ),
    (
        &["ods", "fods", "ots"],
        "in LibreOffice: File > Save As > Text CSV, character set UTF-8",
    ),
    (
        &["numbers"],
        "in Numbers: File > Export To > CSV, encoding UTF-8",
    ),
];
/// A ZIP archive, as .xlsx, .ods and .numbers are, and an OLE compound file, as .xls is.
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];
const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// Says how to save a spreadsheet as CSV, where the end of a file's name is one's.
pub fn spreadsheet_name(extension: &str) -> Option<String> {
    let (_, how) = SPREADSHEETS
        .iter()
        .find(|(ends, _)| ends.contains(&extension))?;
    Some(format!(
        "is a spreadsheet (.{extension}), and this reads CSV or NDJSON; save it as CSV first, {how}"
    ))
}

/// Returns the byte order of UTF-16 without a mark, `None` where the bytes are not that. Text has
/// no NUL: one beside an ASCII character, as JSON and tables begin with, tells which byte comes
/// first (RFC 4627, section 3).
pub(crate) fn unmarked_utf_16_is_little_endian(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [1..=0x7f, 0, ..] => Some(true),
        [0, 1..=0x7f, ..] => Some(false),
        _ => None,
    }
}

/// Returns the bytes as UTF-8 without byte order marks; UTF-16 becomes UTF-8. Anything else stays
/// as it is: its lines are reported later.
///
/// # Errors
/// The file's actual format.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if ZIP.iter().any(|magic| bytes.starts_with(magic)) || bytes.starts_with(OLE) {
        let [(_, excel), (_, office), (_, numbers)] = SPREADSHEETS;
        return Err(format!(
            "the file is a spreadsheet or an archive, whatever its name says; save it as CSV \
             first, {excel}; {office}; {numbers}"
        ));
    }
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Err("the file is UTF-32; save it as UTF-8".to_owned());
    }
    let little = match bytes {
        [0xff, 0xfe, ..] => Some(true),
        [0xfe, 0xff, ..] => Some(false),
        _ => unmarked_utf_16_is_little_endian(bytes),
    };
    let Some(little) = little else {
        let mut rest = bytes;
        while let Some(unmarked) = rest.strip_prefix(MARK) {
            rest = unmarked;
        }
        return Ok(Cow::Borrowed(rest));
    };
    if bytes.len() % 2 == 1 {
        return Err("the file is UTF-16 and breaks off within a character".to_owned());
    }
    let units = bytes.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        }
    });
    let text = char::decode_utf16(units).collect::<Result<String, _>>();
    let text =
        text.map_err(|_| "the file begins as UTF-16 and is not; save it as UTF-8".to_owned())?;
    Ok(Cow::Owned(
        text.trim_start_matches('\u{feff}').as_bytes().to_vec(),
    ))
}

/// The separator in an Excel file's first line `sep=;`, and how long that line is. `sep=` alone
/// names none.
fn sep_line(text: &[u8]) -> Option<(Option<u8>, usize)> {
    let end = text
        .iter()
        .position(|b| matches!(b, b'\r' | b'\n'))
        .unwrap_or(text.len());
    let line = &text[..end];
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let (begin, rest) = line.split_at_checked(4)?;
    if !begin.eq_ignore_ascii_case(b"sep=") {
        return None;
    }
    let separator = match rest {
        [b'\\', b't', rest @ ..] => Some((b'\t', rest)),
        [separator, rest @ ..] if separator.is_ascii() && *separator != b'"' => {
            Some((*separator, rest))
        }
        _ => None,
    };
    let Some((separator, rest)) = separator else {
        return Some((None, end));
    };
    // A program that saved the file again may have filled the line up to the table's width.
    let filled = rest
        .iter()
        .all(|b| *b == separator || matches!(b, b'"' | b' ' | b'\t' | b',' | b';'));
    filled.then_some((Some(separator), end))
}

/// The separator that a table's first rows show: it makes them equally wide, and the header the
/// widest. A comma where none does.
fn separator(text: &[u8]) -> u8 {
    let shape = |separator: u8| {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .from_reader(text);
        let rows = reader.byte_records().take(20).map_while(Result::ok);
        let rows: Vec<_> = rows
            .filter(|row| row.iter().any(|cell| !cell.trim_ascii().is_empty()))
            .collect();
        let header = rows.first().map_or(0, csv::ByteRecord::len);
        // `revenue, EUR` is one name.
        let padded = rows.first().map_or(0, |row| {
            row.iter().filter(|cell| cell.starts_with(b" ")).count()
        });
        // One column is not a choice at all, however even.
        (
            header > 1,
            rows.iter().all(|row| row.len() == header),
            header,
            Reverse(padded),
        )
    };
    // The last of equals wins.
    [b'|', b'\t', b';', b',']
        .into_iter()
        .max_by_key(|separator| shape(*separator))
        .unwrap_or(b',')
}

/// The rows of a CSV file, one after the other. Rows without a filled cell are passed over, and so
/// is the header where it comes again, as in files put together.
#[derive(Debug)]
pub struct Rows<'b> {
    bytes: &'b [u8],
    /// Where the table begins.
    start: usize,
    delimiter: u8,
    reader: csv::Reader<&'b [u8]>,
    row: csv::ByteRecord,
    header: csv::ByteRecord,
    repeated: Vec<usize>,
}

impl<'b> Rows<'b> {
    /// Reads what [`decode`] gave. Without a delimiter cells are apart by what the file shows: its
    /// `sep=` line, else its first rows.
    pub fn new(bytes: &'b [u8], delimiter: Option<u8>) -> Self {
        let named = sep_line(bytes);
        let mut start = named.map_or(0, |(_, end)| end);
        if start > 0 {
            start += bytes[start..]
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count();
            start += if bytes[start..].starts_with(MARK) {
                MARK.len()
            } else {
                0
            };
        }
        let table = &bytes[start..];
        let named = named.and_then(|(separator, _)| separator);
        let delimiter = delimiter.or(named).unwrap_or_else(|| separator(table));
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(table);
        let (row, header) = (csv::ByteRecord::new(), csv::ByteRecord::new());
        Self {
            bytes,
            start,
            delimiter,
            reader,
            row,
            header,
            repeated: Vec::new(),
        }
    }

    /// Reads the first row: where it begins, and the columns' names or what is wrong with it.
    /// `None` where the file has none.
    pub fn header(&mut self) -> Option<(usize, Result<Vec<String>, String>)> {
        let begin = self.advance()?;
        let names = self.row.iter().map(|cell| {
            Some(
                std::str::from_utf8(cell)
                    .ok()?
                    .trim_matches('\u{feff}')
                    .to_owned(),
            )
        });
        let names = names
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| NOT_UTF_8.to_owned());
        self.header = self.row.clone();
        Some((begin, names))
    }

    /// Reads the next row below the header: where it begins, and its cells, the last of which may
    /// be left out, or what is wrong with it.
    pub fn next_row(&mut self) -> Option<(usize, Result<Vec<&str>, String>)> {
        let begin = self.advance()?;
        Some((begin, self.cells(begin)))
    }

    /// Returns where the rows begin that were passed over so far because they repeat the header.
    pub fn repeated(&self) -> &[usize] {
        &self.repeated
    }

    fn place(&self) -> usize {
        self.start
            .saturating_add(usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX))
    }

    /// Reads up to the next row that is one.
    fn advance(&mut self) -> Option<usize> {
        loop {
            let begin = self.place();
            // Memory can be read, and rows of any length are taken.
            if !self.reader.read_byte_record(&mut self.row).unwrap_or(false) {
                return None;
            }
            let blank =
                |cell: &[u8]| std::str::from_utf8(cell).is_ok_and(|cell| cell.trim().is_empty());
            let again =
                self.header.len() > 1 && self.row.iter().map(bare).eq(self.header.iter().map(bare));
            if again {
                self.repeated.push(begin);
            } else if !self.row.iter().all(blank) {
                return Some(begin);
            }
        }
    }

    fn cells(&self, begin: usize) -> Result<Vec<&str>, String> {
        let cells = self
            .row
            .iter()
            .map(std::str::from_utf8)
            .collect::<Result<Vec<_>, _>>();
        let cells = cells.map_err(|_| NOT_UTF_8.to_owned())?;
        let (has, wanted) = (cells.len(), self.header.len());
        if has != wanted || cells.iter().any(|cell| cell.contains(['\r', '\n'])) {
            // A row that a stray quote ran together with others is not one whose last cells were
            // left out.
            let row = self
                .bytes
                .get(begin..self.place().min(self.bytes.len()))
                .unwrap_or_default();
            if !well_quoted(row, self.delimiter) {
                let than = if has == wanted {
                    String::new()
                } else {
                    format!(", the header has {wanted}")
                };
                return Err(format!(
                    "has {has} cells{than}, and quotes that do not match; is one missing?"
                ));
            }
        }
        if let Some(at) = (wanted..has).find(|at| !cells[*at].trim().is_empty()) {
            let text = format!(
                "has {has} cells, the header has {wanted}: cell {} has no column",
                at + 1
            );
            return Err(format!(
                "{text}; is it to be in quotes with the one before?"
            ));
        }
        Ok(cells)
    }
}

/// A cell without white space and marks around it.
fn bare(cell: &[u8]) -> &[u8] {
    let mut cell = cell.trim_ascii();
    while let Some(unmarked) = cell.strip_prefix(MARK) {
        cell = unmarked.trim_ascii();
    }
    cell
}

/// Returns whether every quote of a row that opens a cell is closed where the cell ends.
fn well_quoted(row: &[u8], delimiter: u8) -> bool {
    #[derive(PartialEq)]
    enum At {
        Start,
        Plain,
        Quoted,
        Closed,
    }
    let mut at = At::Start;
    for b in row {
        let ends = *b == delimiter || matches!(b, b'\r' | b'\n');
        at = match (at, b) {
            (At::Quoted, b'"') => At::Closed,
            (At::Start | At::Closed, b'"') | (At::Quoted, _) => At::Quoted,
            (_, _) if ends => At::Start,
            (At::Closed, _) => return false,
            (At::Start | At::Plain, _) => At::Plain,
        };
    }
    at != At::Quoted
}

/// Line numbers by position. The CSV reader's own count stands before blank lines and line ends
/// that it skips later.
#[derive(Debug)]
pub struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    /// Counts in these bytes, from 1.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            line: 1,
        }
    }

    /// Returns the line of the row at this place, which is not before the one asked for last.
    pub fn number(&mut self, begin: usize) -> u64 {
        let rest = self.bytes.get(begin..).unwrap_or_default();
        let begin = begin
            + rest
                .iter()
                .take_while(|b| matches!(b, b'\r' | b'\n'))
                .count();
        let passed = self.bytes.get(self.at..begin).unwrap_or_default();
        // A lone carriage return ends a row as well, and a line in an editor.
        let ends = (0..passed.len()).filter(|at| match passed[*at] {
            b'\n' => true,
            b'\r' => passed.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        self.line += ends.count() as u64;
        self.at = begin;
        self.line
    }
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
        for (mark, rest) in marks
            .iter()
            .zip([&little, &big, utf_8, utf_8, &little, utf_8, &big])
        {
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
            assert_eq!(
                char::from(separator(text.as_bytes())),
                char::from(wanted),
                "{text:?}"
            );
        }
    }

    #[test]
    fn rows_are_read_as_files_have_them() {
        for (text, wanted) in [
            ("a,b\n1\n1,2,,\n\n , \n,,,\n3,4", "1|1 2  |3 4"),
            ("sep=;\r\n\"a\";b\r\n1;2\r\n", "1 2"),
            ("a\tb\n1\t2\n", "1 2"),
            (
                "a,b\n1,2\n\u{feff}a, b\na,b,\n3,4\na,c\n",
                "1 2|a b |3 4|a c",
            ),
            ("\r\na,b\r1,2\r", "1 2"),
            ("a,b\n1,2,3\n\"1\n2\",3\n\"1,2\n", "Err|1\n2 3|Err"),
            ("a,b\n", ""),
        ] {
            let mut rows = Rows::new(text.as_bytes(), None);
            assert_eq!(rows.header().unwrap().1.unwrap(), ["a", "b"], "{text:?}");
            let mut read = Vec::new();
            while let Some((_, cells)) = rows.next_row() {
                read.push(cells.map_or_else(|_| "Err".to_owned(), |cells| cells.join(" ")));
            }
            assert_eq!(read.join("|"), wanted, "{text:?}");
        }
        let text = b"a,b\n1,2\na,b\n\n3,4\n\n\xef\xbb\xbfa , b\n";
        let mut rows = Rows::new(text, None);
        assert!(rows.header().is_some());
        while rows.next_row().is_some() {}
        let mut lines = Lines::new(text);
        let repeated: Vec<u64> = rows.repeated().iter().map(|at| lines.number(*at)).collect();
        assert_eq!(repeated, [3, 7]);
        assert!(Rows::new(b"\n  \n", None).header().is_none());
        assert!(Rows::new(b"\xff,a\n", None).header().unwrap().1.is_err());
    }
}
