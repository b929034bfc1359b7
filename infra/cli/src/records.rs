//! Records from files: CSV and NDJSON in, the parts of one or more jobs out. Every bad line is
//! reported, with its number.

mod columns;
mod faults;
mod kind;

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value};
use shared::domain::job::{MAX_BODY_BYTES, MAX_RECORDS};
use shared::domain::json;
use shared::domain::record::{MAX_DEPTH, MAX_RECORD_BYTES, depth, is_blank, present};
use shared::domain::rows::{Lines, MARK, Rows, decode};

pub use self::columns::Columns;
use self::columns::{Role, inputs, place};
pub use self::faults::{Fault, by_kind};
pub use self::kind::InputKind;
use crate::headers::{likely, option};
use crate::screen::plain;

/// The most characters of a record's id. Source: the API's limits.
const MAX_ID_CHARS: usize = 256;
/// A record over its limit is sent, and ends invalid, up to this many bytes: a request must hold
/// it.
const MAX_SENT_BYTES: usize = 1024 * 1024;
/// The most characters of what is said about one line.
const MAX_FAULT_CHARS: usize = 400;
/// A request reaches the function as a JSON string inside a JSON event of at most 6,291,456 bytes,
/// where every quote and backslash of the body takes one more. What is left is for the event's
/// other members. Source: AWS Lambda quotas.
const MAX_ESCAPED_BYTES: usize = 6_291_456 - 128 * 1024;

/// A record, ready to be sent, and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub line: u64,
    pub json: Vec<u8>,
}

/// The forms of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A header line and cells apart by what the file shows: its `sep=` line, else its first rows.
    Table,
    /// A header line and cells apart by this byte.
    Csv(u8),
    /// One JSON object a line.
    Ndjson,
}

/// The contents of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub records: Vec<Record>,
    /// Of records that the server would find invalid: one a record, in the order of the lines.
    pub unfit: Vec<Fault>,
    /// Of rows that are no records.
    pub passed: Vec<Fault>,
}

/// Reads a file: all of its records, or everything that is wrong with it.
pub fn read(
    bytes: &[u8],
    form: Form,
    columns: &Columns,
    kind: Option<&InputKind>,
) -> Result<Vec<Record>, Vec<Fault>> {
    let Contents { records, unfit, .. } = read_leniently(bytes, form, columns, kind)?;
    if unfit.is_empty() {
        Ok(records)
    } else {
        Err(unfit)
    }
}

/// As [`read`], but keeps records that the server would find invalid, with their faults beside
/// them.
///
/// # Errors
/// Everything that is wrong with the file, where lines of it cannot be read or sent as records.
pub fn read_leniently(
    bytes: &[u8],
    form: Form,
    columns: &Columns,
    kind: Option<&InputKind>,
) -> Result<Contents, Vec<Fault>> {
    let mut reader = Reader {
        columns,
        kind,
        faults: Vec::new(),
        read: Contents::default(),
    };
    match (decode(bytes), form) {
        (Err(why), _) => reader.fault(0, why),
        (Ok(bytes), Form::Table) => reader.csv(&bytes, None),
        (Ok(bytes), Form::Csv(delimiter)) => reader.csv(&bytes, Some(delimiter)),
        (Ok(bytes), Form::Ndjson) => reader.ndjson(&bytes),
    }
    if reader.faults.is_empty() && reader.read.records.is_empty() {
        reader.fault(0, "the file has no records");
    }
    if reader.faults.is_empty() {
        return Ok(reader.read);
    }
    reader.faults.append(&mut reader.read.unfit);
    reader.faults.sort_by_key(|fault| fault.line);
    Err(reader.faults)
}

/// The names of a header, for a text.
fn listed(names: &[String]) -> String {
    let named: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.is_empty())
        .collect();
    named.join(", ")
}

struct Reader<'a> {
    columns: &'a Columns,
    kind: Option<&'a InputKind>,
    faults: Vec<Fault>,
    read: Contents,
}

impl Reader<'_> {
    /// The text may quote the file, and is shown on a terminal.
    fn fault(&mut self, line: u64, text: impl AsRef<str>) {
        self.faults.push(Fault {
            line,
            text: plain(text.as_ref(), MAX_FAULT_CHARS),
        });
    }

    fn csv(&mut self, bytes: &[u8], delimiter: Option<u8>) {
        let (mut rows, mut lines) = (Rows::new(bytes, delimiter), Lines::new(bytes));
        let (line, names) = match rows.header() {
            None => return,
            Some((at, Ok(names))) => (lines.number(at), names),
            Some((at, Err(why))) => return self.fault(lines.number(at), why),
        };
        let bare = |c: char| c.is_whitespace() || c == '\u{feff}';
        let names: Vec<String> = names
            .iter()
            .map(|name| name.trim_matches(bare).to_owned())
            .collect();
        let Some(roles) = self.header(line, &names) else {
            return;
        };
        while let Some((at, cells)) = rows.next_row() {
            let line = lines.number(at);
            let cells = match cells {
                Ok(cells) => cells,
                Err(why) => {
                    self.fault(line, why);
                    continue;
                }
            };
            let unnamed =
                |(name, cell): (&String, &&str)| name.is_empty() && !cell.trim().is_empty();
            if let Some(at) = names.iter().zip(&cells).position(unnamed) {
                self.fault(line, format!("cell {} has no name in the header", at + 1));
                continue;
            }
            let cells = cells
                .iter()
                .zip(&roles)
                .filter(|(cell, _)| !cell.trim().is_empty());
            let record = place(cells.map(|(cell, roles)| (Value::from(cell.trim()), &roles[..])));
            self.take(line, record);
        }
        let mut lines = Lines::new(bytes);
        let passed = rows.repeated().iter();
        let passed = passed.map(|at| Fault {
            line: lines.number(*at),
            text: "repeats the header, passed over".into(),
        });
        self.read.passed.extend(passed);
    }

    fn header(&mut self, line: u64, names: &[String]) -> Option<Vec<Vec<Role>>> {
        if let [only] = names
            && let Some(found) = [';', '\t', ','].into_iter().find(|c| only.contains(*c))
        {
            self.fault(
                line,
                format!("the header is one cell; are cells apart by {found:?}? See --delimiter"),
            );
            return None;
        }
        for name in self
            .columns
            .named()
            .filter(|name| !names.iter().any(|n| n == name))
        {
            let has = listed(names);
            self.fault(line, format!("no column {name:?}; there are {has}"));
        }
        let roles = self.columns.plan(names, self.kind);
        self.repeated(line, names, &roles);
        if self.faults.is_empty() {
            self.lacking(line, names, &roles);
        }
        self.faults.is_empty().then_some(roles)
    }

    /// Faults of columns that are used and share their name.
    fn repeated(&mut self, line: u64, names: &[String], roles: &[Vec<Role>]) {
        for (at, name) in names
            .iter()
            .enumerate()
            .filter(|(at, name)| !name.is_empty() && !names[..*at].contains(name))
        {
            let places: Vec<usize> = (at..names.len()).filter(|at| names[*at] == *name).collect();
            let used = places
                .iter()
                .any(|at| roles[*at].iter().any(|role| *role != Role::Omit));
            if places.len() > 1 && used {
                let places: Vec<String> = places.iter().map(|at| (at + 1).to_string()).collect();
                let times = if places.len() == 2 {
                    "twice".to_owned()
                } else {
                    format!("{} times", places.len())
                };
                let places = places.join(" and ");
                self.fault(
                    line,
                    format!(
                        "the header has {name:?} {times}, in columns {places}; rename one, or \
                        --omit them"
                    ),
                );
            }
        }
    }

    /// Faults of a header without the columns that the type needs.
    fn lacking(&mut self, line: u64, names: &[String], roles: &[Vec<Role>]) {
        let fields: Vec<&str> = inputs(roles).collect();
        let hint = self.hint(names, roles);
        match self.kind {
            _ if fields.is_empty() => {
                let wanted = match self.kind {
                    Some(kind) => format!("type {} needs {}", kind.name, kind.needs()),
                    None => "the key may not ask what the type needs".to_owned(),
                };
                let hint = hint.unwrap_or_else(|| {
                    "Name one: --input COLUMN=FIELD; or, where that is a record already, put a \
                     line with the columns' names above it"
                        .to_owned()
                });
                self.fault(
                    line,
                    format!(
                        "no column is input ({wanted}); there are {}. {hint}",
                        listed(names)
                    ),
                );
            }
            Some(kind) if !kind.served(|field| fields.contains(&field)) => {
                let hint = hint.map(|hint| format!(". {hint}")).unwrap_or_default();
                let fields = fields.join(", ");
                self.fault(
                    line,
                    format!(
                        "input is only {fields}; type {} needs {}{hint}",
                        kind.name,
                        kind.needs()
                    ),
                );
            }
            _ => {}
        }
    }

    /// Suggests columns that were not named for the inputs that the type lacks.
    fn hint(&self, names: &[String], roles: &[Vec<Role>]) -> Option<String> {
        let kind = self.kind?;
        let mapped: Vec<&str> = inputs(roles).collect();
        let mut missing: Vec<&str> = Vec::new();
        for field in kind.inputs.iter().flatten() {
            if !mapped.contains(&field.as_str()) && !missing.contains(&field.as_str()) {
                missing.push(field);
            }
        }
        let free = names.iter().zip(roles).filter(|(name, roles)| {
            let own = matches!(&roles[..], [Role::Metadata(_)]);
            own && !name.is_empty() && !self.columns.named().any(|named| named == name.as_str())
        });
        let free: Vec<&str> = free.map(|(name, _)| name.as_str()).collect();
        let pairs = likely(&free, &missing);
        let found = |field: &str| mapped.contains(&field) || pairs.iter().any(|(_, f)| *f == field);
        // One set of fields is enough.
        let set = kind
            .inputs
            .iter()
            .find(|set| set.iter().all(|field| found(field)));
        let pairs = pairs
            .iter()
            .filter(|(_, field)| set.is_none_or(|set| set.iter().any(|f| f == field)));
        let options: Vec<String> = pairs
            .map(|(column, field)| option(&plain(column, 80), field))
            .collect();
        (!options.is_empty()).then(|| format!("Did you mean {}?", options.join(" ")))
    }

    fn ndjson(&mut self, bytes: &[u8]) {
        let mut unseen: BTreeSet<&str> = self.columns.named().collect();
        let mut rows = false;
        for (at, text) in bytes.split(|b| *b == b'\n').enumerate() {
            let line = at as u64 + 1;
            // Joined files keep their byte order marks.
            let text = text.strip_prefix(MARK).unwrap_or(text);
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let object = match json::read(text) {
                Ok(Value::Object(object)) => object,
                Ok(_) => {
                    self.fault(line, "is not a JSON object");
                    continue;
                }
                Err(error) => {
                    // serde_json has the better words, and its value is not what is sent.
                    let why = match serde_json::from_slice::<Value>(text) {
                        Err(error) if error.is_eof() => "breaks off".to_owned(),
                        Err(error) => reason(&error),
                        Ok(_) => error.to_string(),
                    };
                    self.fault(line, format!("is not a JSON object on one line: {why}"));
                    continue;
                }
            };
            let whole = object.get("input").is_some_and(Value::is_object)
                && object
                    .keys()
                    .all(|key| matches!(key.as_str(), "id" | "input" | "metadata"));
            if whole {
                self.take(line, object);
                continue;
            }
            rows = true;
            let names: Vec<String> = object.keys().cloned().collect();
            let roles = self.columns.plan(&names, self.kind);
            unseen.retain(|name| !object.contains_key(*name));
            if inputs(&roles).next().is_none()
                && let (Some(kind), Some(hint)) = (self.kind, self.hint(&names, &roles))
            {
                self.fault(
                    line,
                    format!(
                        "has no input: type {} needs {}. {hint}",
                        kind.name,
                        kind.needs()
                    ),
                );
                continue;
            }
            let cells = object.into_iter().map(|(_, value)| value).zip(&roles);
            let cells = cells.filter(|(value, _)| !is_blank(value));
            let record = place(cells.map(|(value, roles)| (value, &roles[..])));
            self.take(line, record);
        }
        if rows && self.faults.is_empty() {
            for name in unseen {
                self.fault(0, format!("no line has a member {name:?}"));
            }
        }
    }

    /// Adds a record, and reports its faults as the server would, as far as a line number helps.
    fn take(&mut self, line: u64, mut record: Map<String, Value>) {
        if let Some(Value::Number(id)) = record.get("id") {
            let id = id.to_string();
            record.insert("id".to_owned(), id.into());
        }
        let unfit = match present(&record, "id") {
            Some(Value::String(id)) if id.chars().count() > MAX_ID_CHARS => {
                Some(format!("the id is longer than {MAX_ID_CHARS} characters"))
            }
            None | Some(Value::String(_)) => None,
            Some(_) => Some("the id is neither a text nor a number".to_owned()),
        };
        let input = record.get("input").and_then(Value::as_object);
        let lack = |input: &Map<String, Value>| match self.kind {
            Some(kind) => kind.lack(input),
            None => input.is_empty().then(|| "has no input".to_owned()),
        };
        let unfit = unfit.or_else(|| input.and_then(lack));
        let record = Value::Object(record);
        // In the body it stands one level deeper, and the server refuses the whole of it.
        if depth(&record) + 1 >= MAX_DEPTH {
            return self.fault(line, format!("nests deeper than {} levels", MAX_DEPTH - 2));
        }
        let json = record.to_string().into_bytes();
        let large = format!(
            "is larger than a record may be, which is at most {MAX_RECORD_BYTES} bytes as JSON"
        );
        if json.len() > MAX_SENT_BYTES {
            return self.fault(line, large);
        }
        let unfit = unfit.or_else(|| (json.len() > MAX_RECORD_BYTES).then_some(large));
        if let Some(text) = unfit {
            self.read.unfit.push(Fault {
                line,
                text: plain(&text, MAX_FAULT_CHARS),
            });
        }
        self.read.records.push(Record { line, json });
    }
}

/// serde's words without its own line number, which is always 1 here.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next().unwrap_or(&text);
    format!("{words} (column {})", error.column())
}

/// Where records are cut into jobs: as many as a job and a request take. `around` is the size of a
/// request without them.
pub fn split(records: &[Record], around: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut from, mut bytes, mut escaped) = (0, around, 2 * around);
    for (at, record) in records.iter().enumerate() {
        // One for the comma.
        let size = record.json.len() + 1;
        let quotes = record
            .json
            .iter()
            .filter(|b| matches!(b, b'"' | b'\\'))
            .count();
        let full = at - from == MAX_RECORDS
            || bytes + size > MAX_BODY_BYTES
            || escaped + size + quotes > MAX_ESCAPED_BYTES;
        if full && at > from {
            parts.push(from..at);
            (from, bytes, escaped) = (at, around, 2 * around);
        }
        bytes += size;
        escaped += size + quotes;
    }
    if from < records.len() {
        parts.push(from..records.len());
    }
    parts
}

#[cfg(test)]
mod tests;
