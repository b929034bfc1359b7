//! Records from files: CSV and NDJSON in, the parts of one or more jobs out. Every bad line is reported, with its number.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::{Map, Value};
use shared::domain::job::{MAX_BODY_BYTES, MAX_RECORDS};
use shared::domain::json;
use shared::domain::record::{MAX_DEPTH, MAX_RECORD_BYTES, depth, is_blank, present};

use crate::screen::{plain, thousands};

/// The most characters of a record's id. Source: the API's limits.
const MAX_ID_CHARS: usize = 256;
/// A record that is over its limit is sent, and ends invalid, up to so many bytes: a request must hold it.
const MAX_SENT_BYTES: usize = 1024 * 1024;
/// The lines that are named of a fault that several have.
const LINES_SHOWN: usize = 5;
/// The most characters of what is said about one line.
const MAX_FAULT_CHARS: usize = 400;
/// A request reaches the function as a JSON string inside a JSON event of at most 6,291,456 bytes, where every quote and
/// backslash of the body takes one more. What is left is for the event's other members. Source: AWS Lambda quotas.
const MAX_ESCAPED_BYTES: usize = 6_291_456 - 128 * 1024;

/// What a type wants to know of a record, from `GET /v1/account`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    pub name: String,
    /// A record has every field of at least one of these sets.
    pub inputs: Vec<Vec<String>>,
    /// Fields that may come along.
    pub optional: Vec<String>,
}

impl Kind {
    /// Finds a type in the answer of `GET /v1/account`; the error lists those there are.
    pub fn find(account: &Value, name: &str) -> Result<Self, Vec<String>> {
        let kinds = account["types"].as_array().map(Vec::as_slice).unwrap_or_default();
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
        };
        match kinds.iter().find(|kind| kind["type"] == name) {
            Some(kind) => Ok(Self {
                name: name.to_owned(),
                inputs: kind["inputs"].as_array().into_iter().flatten().map(texts).collect(),
                optional: texts(&kind["optional_inputs"]),
            }),
            None => Err(kinds.iter().filter_map(|kind| kind["type"].as_str().map(str::to_owned)).collect()),
        }
    }

    fn has(&self, field: &str) -> bool {
        self.inputs.iter().flatten().chain(&self.optional).any(|f| f == field)
    }

    /// `domain, or company_name and country`.
    fn needs(&self) -> String {
        self.inputs.iter().map(|set| set.join(" and ")).collect::<Vec<_>>().join(", or ")
    }

    /// What an input lacks, if it lacks something; the same words for every input of which the same is missing.
    fn lack(&self, input: &Map<String, Value>) -> Option<String> {
        let missing = |set: &[String]| -> Vec<String> {
            set.iter().filter(|field| present(input, field).is_none()).cloned().collect()
        };
        if self.inputs.iter().any(|set| missing(set).is_empty()) {
            return None;
        }
        Some(match &self.inputs[..] {
            [only] => match &missing(only)[..] {
                [field] => format!("{field} is missing"),
                fields => format!("{} are missing", fields.join(" and ")),
            },
            _ => format!("lacks input; type {} needs {}", self.name, self.needs()),
        })
    }
}

/// What the command line says about columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// The column with the caller's id; `id` where nothing is said.
    pub id: Option<String>,
    /// Column → input field.
    pub input: Vec<(String, String)>,
    /// Column → metadata field.
    pub metadata: Vec<(String, String)>,
    /// Columns that stay at home.
    pub omit: Vec<String>,
}

impl Columns {
    /// Reads `COLUMN` or `COLUMN=FIELD`.
    pub fn pair(text: &str) -> Result<(String, String), String> {
        let (column, field) = text.split_once('=').unwrap_or((text, text));
        if column.is_empty() || field.is_empty() {
            return Err("is no COLUMN or COLUMN=FIELD".to_owned());
        }
        Ok((column.to_owned(), field.to_owned()))
    }

    fn named(&self) -> impl Iterator<Item = &str> {
        let pairs = self.input.iter().chain(&self.metadata).map(|(column, _)| column);
        pairs.chain(&self.id).chain(&self.omit).map(String::as_str)
    }

    /// What becomes of each column. A column may go to several places if the command line says so.
    fn plan(&self, names: &[String], kind: Option<&Kind>) -> Vec<Vec<Role>> {
        let mut taken: BTreeSet<String> = self.input.iter().map(|(_, field)| field.clone()).collect();
        let mut id_taken = self.id.is_some();
        let mut roles: Vec<Vec<Role>> = names
            .iter()
            .map(|name| {
                let mut roles = Vec::new();
                if self.id.as_deref() == Some(name) {
                    roles.push(Role::Id);
                }
                roles.extend(self.input.iter().filter(|(c, _)| c == name).map(|(_, f)| Role::Input(f.clone())));
                roles.extend(self.metadata.iter().filter(|(c, _)| c == name).map(|(_, f)| Role::Metadata(f.clone())));
                if self.omit.contains(name) {
                    roles.push(Role::Omit);
                }
                roles
            })
            .collect();
        // Names as they are come before names that have to be bent: "domain" before "Domain".
        for bend in [false, true] {
            for (name, roles) in names.iter().zip(&mut roles).filter(|(_, roles)| roles.is_empty()) {
                let field = if bend { name.trim().to_lowercase().replace([' ', '-'], "_") } else { name.clone() };
                if field == "id" && !id_taken {
                    id_taken = true;
                    roles.push(Role::Id);
                } else if kind.is_some_and(|kind| kind.has(&field)) && taken.insert(field.clone()) {
                    roles.push(Role::Input(field));
                }
            }
        }
        for (name, roles) in names.iter().zip(&mut roles).filter(|(_, roles)| roles.is_empty()) {
            roles.push(Role::Metadata(name.clone()));
        }
        roles
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Id,
    Input(String),
    Metadata(String),
    Omit,
}

/// A record, ready to be sent, and the line it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub line: u64,
    pub json: Vec<u8>,
}

/// What is wrong with a line; line 0 is the file as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub line: u64,
    pub text: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 { f.write_str(&self.text) } else { write!(f, "line {}: {}", self.line, self.text) }
    }
}

/// Faults by their kind, in the order in which the kinds come up: how many rows have it, and where the first of them are.
pub fn by_kind(faults: &[Fault]) -> Vec<String> {
    let mut kinds: Vec<(&str, Vec<&Fault>)> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in faults {
        let at = *places.entry(&fault.text).or_insert(kinds.len());
        match kinds.get_mut(at) {
            Some((_, of_kind)) => of_kind.push(fault),
            None => kinds.push((&fault.text, vec![fault])),
        }
    }
    let told = kinds.into_iter().map(|(text, of_kind)| match &of_kind[..] {
        [only] => only.to_string(),
        several => {
            let lines: Vec<String> =
                several.iter().filter(|fault| fault.line > 0).map(|fault| fault.line.to_string()).collect();
            let more = if lines.len() > LINES_SHOWN { ", …" } else { "" };
            let lines = lines.into_iter().take(LINES_SHOWN).collect::<Vec<_>>().join(", ");
            let places = if lines.is_empty() { String::new() } else { format!(" (lines {lines}{more})") };
            format!("{} rows: {text}{places}", thousands(several.len() as u64))
        }
    });
    told.collect()
}

/// The two forms of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A header line and cells apart by this byte.
    Csv(u8),
    /// One JSON object a line.
    Ndjson,
}

/// Reads a file: all of its records, or everything that is wrong with it.
pub fn read(bytes: &[u8], form: Form, columns: &Columns, kind: Option<&Kind>) -> Result<Vec<Record>, Vec<Fault>> {
    let (records, unfit) = read_leniently(bytes, form, columns, kind)?;
    if unfit.is_empty() { Ok(records) } else { Err(unfit) }
}

/// As [`read`], but a record that the server would find invalid is one of the records, and its fault stands beside them: one
/// a record, in the order of the lines.
///
/// # Errors
/// Everything that is wrong with the file, where lines of it cannot be read or sent as records.
pub fn read_leniently(
    bytes: &[u8],
    form: Form,
    columns: &Columns,
    kind: Option<&Kind>,
) -> Result<(Vec<Record>, Vec<Fault>), Vec<Fault>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = Reader { columns, kind, records: Vec::new(), faults: Vec::new(), unfit: Vec::new() };
    match form {
        Form::Csv(delimiter) => reader.csv(bytes, delimiter),
        Form::Ndjson => reader.ndjson(bytes),
    }
    if reader.faults.is_empty() && reader.records.is_empty() {
        reader.fault(0, "the file has no records");
    }
    if reader.faults.is_empty() {
        return Ok((reader.records, reader.unfit));
    }
    reader.faults.append(&mut reader.unfit);
    reader.faults.sort_by_key(|fault| fault.line);
    Err(reader.faults)
}

struct Reader<'a> {
    columns: &'a Columns,
    kind: Option<&'a Kind>,
    records: Vec<Record>,
    faults: Vec<Fault>,
    /// Of records that are sent all the same.
    unfit: Vec<Fault>,
}

impl Reader<'_> {
    /// The text may quote the file, and is shown on a terminal.
    fn fault(&mut self, line: u64, text: impl AsRef<str>) {
        self.faults.push(Fault { line, text: plain(text.as_ref(), MAX_FAULT_CHARS) });
    }

    fn csv(&mut self, bytes: &[u8], delimiter: u8) {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
        let mut lines = Lines { bytes, at: 0, line: 1 };
        let mut row = csv::ByteRecord::new();
        let mut header: Option<(Vec<String>, Vec<Vec<Role>>)> = None;
        loop {
            let begin = usize::try_from(reader.position().byte()).unwrap_or(usize::MAX);
            match reader.read_byte_record(&mut row) {
                Ok(true) => {}
                Ok(false) => return,
                // The source is memory and rows of any length are taken.
                Err(error) => return self.fault(0, format!("the file cannot be read as CSV: {error}")),
            }
            let line = lines.number(begin);
            let cells: Result<Vec<&str>, _> = row.iter().map(std::str::from_utf8).collect();
            let Ok(cells) = cells else {
                self.fault(line, "is not UTF-8; save the file as UTF-8");
                if header.is_none() {
                    return;
                }
                continue;
            };
            let Some((names, roles)) = &header else {
                let names: Vec<String> = cells.iter().map(|cell| cell.trim().to_owned()).collect();
                let Some(roles) = self.header(line, &names) else { return };
                header = Some((names, roles));
                continue;
            };
            if cells.iter().all(|cell| cell.trim().is_empty()) {
                continue;
            }
            if cells.len() != names.len() {
                let text = format!("has {} of the header's {} cells; is a quote missing?", cells.len(), names.len());
                self.fault(line, text);
                continue;
            }
            if let Some(at) = (0..cells.len()).find(|at| names[*at].is_empty() && !cells[*at].trim().is_empty()) {
                self.fault(line, format!("cell {} has no name in the header", at + 1));
                continue;
            }
            let cells = cells.iter().zip(roles).filter(|(cell, _)| !cell.trim().is_empty());
            let record = place(cells.map(|(cell, roles)| (Value::from(cell.trim()), &roles[..])));
            self.take(line, record);
        }
    }

    fn header(&mut self, line: u64, names: &[String]) -> Option<Vec<Vec<Role>>> {
        if names.iter().all(String::is_empty) {
            self.fault(line, "the header has no names");
            return None;
        }
        let mut seen = BTreeSet::new();
        for name in names.iter().filter(|name| !name.is_empty()) {
            if !seen.insert(name) {
                self.fault(line, format!("the header has {name:?} twice"));
            }
        }
        if let [only] = names
            && let Some(found) = [';', '\t', ','].into_iter().find(|c| only.contains(*c))
        {
            self.fault(line, format!("the header is one cell; are cells apart by {found:?}? See --delimiter"));
            return None;
        }
        let has = || names.iter().filter(|n| !n.is_empty()).cloned().collect::<Vec<_>>().join(", ");
        for name in self.columns.named().filter(|name| !names.iter().any(|n| n == name)) {
            self.fault(line, format!("there is no column {name:?}; there are {}", has()));
        }
        let roles = self.columns.plan(names, self.kind);
        if self.faults.is_empty() && !roles.iter().flatten().any(|role| matches!(role, Role::Input(_))) {
            let wanted = match self.kind {
                Some(kind) => format!("type {} needs {}", kind.name, kind.needs()),
                None => "the key may not ask what the type needs".to_owned(),
            };
            let text = format!("no column is input ({wanted}); there are {}. Name one: --input COLUMN=FIELD", has());
            self.fault(line, text);
        }
        self.faults.is_empty().then_some(roles)
    }

    fn ndjson(&mut self, bytes: &[u8]) {
        let mut unseen: BTreeSet<&str> = self.columns.named().collect();
        let mut rows = false;
        for (at, text) in bytes.split(|b| *b == b'\n').enumerate() {
            let line = at as u64 + 1;
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let object = match json::read(text).or_else(|_| serde_json::from_slice(text)) {
                Ok(Value::Object(object)) => object,
                Ok(_) => {
                    self.fault(line, "is no JSON object");
                    continue;
                }
                Err(error) => {
                    let why = if error.is_eof() { "breaks off".to_owned() } else { reason(&error) };
                    self.fault(line, format!("is no JSON object on one line: {why}"));
                    continue;
                }
            };
            let whole = object.get("input").is_some_and(Value::is_object)
                && object.keys().all(|key| matches!(key.as_str(), "id" | "input" | "metadata"));
            if whole {
                self.take(line, object);
                continue;
            }
            rows = true;
            let names: Vec<String> = object.keys().cloned().collect();
            let roles = self.columns.plan(&names, self.kind);
            unseen.retain(|name| !object.contains_key(*name));
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

    /// Keeps a record, and says what the server would find wrong with it, as far as a line number helps.
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
        let large = format!("is larger than a record may be, which is at most {MAX_RECORD_BYTES} bytes as JSON");
        if json.len() > MAX_SENT_BYTES {
            return self.fault(line, large);
        }
        let unfit = unfit.or_else(|| (json.len() > MAX_RECORD_BYTES).then_some(large));
        if let Some(text) = unfit {
            self.unfit.push(Fault { line, text: plain(&text, MAX_FAULT_CHARS) });
        }
        self.records.push(Record { line, json });
    }
}

/// serde's words without its own line number, which is always 1 here.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next().unwrap_or(&text);
    format!("{words} (column {})", error.column())
}

fn place<'a>(cells: impl Iterator<Item = (Value, &'a [Role])>) -> Map<String, Value> {
    let (mut record, mut input, mut metadata) = (Map::new(), Map::new(), Map::new());
    for (value, roles) in cells {
        for role in roles {
            match role {
                Role::Id => drop(record.insert("id".to_owned(), value.clone())),
                Role::Input(field) => drop(input.insert(field.clone(), value.clone())),
                Role::Metadata(field) => drop(metadata.insert(field.clone(), value.clone())),
                Role::Omit => {}
            }
        }
    }
    record.insert("input".to_owned(), input.into());
    if !metadata.is_empty() {
        record.insert("metadata".to_owned(), metadata.into());
    }
    record
}

/// Line numbers by position. The CSV reader's own count stands before blank lines and line ends that it skips later.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    fn number(&mut self, begin: usize) -> u64 {
        let rest = self.bytes.get(begin..).unwrap_or_default();
        let begin = begin + rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
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

/// Where records are cut into jobs: as many as a job and a request take. `around` is the size of a request without them.
pub fn split(records: &[Record], around: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut from, mut bytes, mut escaped) = (0, around, 2 * around);
    for (at, record) in records.iter().enumerate() {
        // One for the comma.
        let size = record.json.len() + 1;
        let quotes = record.json.iter().filter(|b| matches!(b, b'"' | b'\\')).count();
        let full =
            at - from == MAX_RECORDS || bytes + size > MAX_BODY_BYTES || escaped + size + quotes > MAX_ESCAPED_BYTES;
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
mod tests {
    use serde_json::json;

    use super::*;

    fn kind() -> Kind {
        let account = json!({"types": [{"type": "company", "inputs": [["domain"], ["company_name", "country"]],
            "optional_inputs": ["city"]}, {"type": "hem", "inputs": [["email"]]}]});
        assert_eq!(Kind::find(&account, "tech").unwrap_err(), ["company", "hem"]);
        Kind::find(&account, "company").unwrap()
    }

    fn csv(text: &str, columns: &Columns) -> Result<Vec<(u64, Value)>, Vec<String>> {
        shown(read(text.as_bytes(), Form::Csv(b','), columns, Some(&kind())))
    }

    fn ndjson(text: &str, columns: &Columns) -> Result<Vec<(u64, Value)>, Vec<String>> {
        shown(read(text.as_bytes(), Form::Ndjson, columns, Some(&kind())))
    }

    fn shown(read: Result<Vec<Record>, Vec<Fault>>) -> Result<Vec<(u64, Value)>, Vec<String>> {
        read.map(|records| records.iter().map(|r| (r.line, serde_json::from_slice(&r.json).unwrap())).collect())
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    fn pairs(texts: &[&str]) -> Vec<(String, String)> {
        texts.iter().map(|t| Columns::pair(t).unwrap()).collect()
    }

    #[test]
    fn columns_find_their_places_by_name() {
        let text = "\u{feff}ID,Domain,crm id,City,notes\r\n1,stripe.com,a-17,,\"two\nlines\"\r\n\r\n,,,,\r\n2, a.de ,,Bonn,x\r\n";
        let records = csv(text, &Columns::default()).unwrap();
        assert_eq!(
            records,
            [
                (
                    2,
                    json!({"id": "1", "input": {"domain": "stripe.com"}, "metadata": {"crm id": "a-17", "notes": "two\nlines"}})
                ),
                (6, json!({"id": "2", "input": {"domain": "a.de", "city": "Bonn"}, "metadata": {"notes": "x"}})),
            ]
        );
    }

    #[test]
    fn an_exact_name_comes_before_a_bent_one() {
        let records = csv("Domain,domain\nx.com,y.com\n", &Columns::default()).unwrap();
        assert_eq!(records, [(2, json!({"input": {"domain": "y.com"}, "metadata": {"Domain": "x.com"}}))]);
    }

    #[test]
    fn the_command_line_decides_about_columns() {
        let columns = Columns {
            id: Some("key".into()),
            input: pairs(&["site=domain"]),
            metadata: pairs(&["site=seen_as", "city"]),
            omit: vec!["secret".into()],
        };
        let records = csv("key,id,site,domain,city,secret\nk,1,a.com,b.com,Bonn,s\n", &columns).unwrap();
        let metadata = json!({"id": "1", "seen_as": "a.com", "domain": "b.com", "city": "Bonn"});
        assert_eq!(records, [(2, json!({"id": "k", "input": {"domain": "a.com"}, "metadata": metadata}))]);

        let wrong = Columns { input: pairs(&["web=domain"]), ..Columns::default() };
        assert_eq!(csv("a,b\n1,2\n", &wrong).unwrap_err(), ["line 1: there is no column \"web\"; there are a, b"]);
        assert!(Columns::pair("=x").is_err() && Columns::pair("x=").is_err());
    }

    #[test]
    fn every_bad_row_is_reported_with_its_line() {
        let text = "id,domain,company_name\n1,a.com\n2,,\n\n3,,Acme\n4,d.com,x\n5,\"e.com,x\n";
        let faults = csv(text, &Columns::default()).unwrap_err();
        assert_eq!(
            faults,
            [
                "line 2: has 2 of the header's 3 cells; is a quote missing?",
                "line 3: lacks input; type company needs domain, or company_name and country",
                "line 5: lacks input; type company needs domain, or company_name and country",
                "line 7: has 2 of the header's 3 cells; is a quote missing?",
            ]
        );
        let latin = read(b"domain\na.com\nm\xfcller.de\n", Form::Csv(b','), &Columns::default(), Some(&kind()));
        assert_eq!(shown(latin).unwrap_err(), ["line 3: is not UTF-8; save the file as UTF-8"]);
    }

    #[test]
    fn rows_that_end_invalid_are_sent_and_counted_by_kind() {
        let kind = Kind { name: "hem".into(), inputs: vec![vec!["email".into()]], optional: Vec::new() };
        let rows: String = (0..40).map(|n| if n % 4 == 0 { "x@y.example,a\n" } else { ",a\n" }).collect();
        let long = format!("z@y.example,a\n\"{}\",b\n", "e".repeat(MAX_RECORD_BYTES));
        let text = format!("email,note\n{rows}{long}");
        let lenient = |text: &str| read_leniently(text.as_bytes(), Form::Csv(b','), &Columns::default(), Some(&kind));
        let (records, unfit) = lenient(&text).unwrap();
        assert_eq!((records.len(), unfit.len()), (42, 31));
        assert_eq!(
            by_kind(&unfit),
            [
                "30 rows: email is missing (lines 3, 4, 5, 7, 8, …)",
                "line 43: is larger than a record may be, which is at most 65536 bytes as JSON"
            ]
        );
        assert_eq!(read(text.as_bytes(), Form::Csv(b','), &Columns::default(), Some(&kind)).unwrap_err(), unfit);
        // What cannot be read as rows takes the file along, and nothing is left unsaid.
        let faults = lenient("email,note\n,a\nb@c.example\n").unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2, 3]);
        let two = |line: u64| Fault { line, text: "is bad".into() };
        assert_eq!(by_kind(&[two(2), two(9)]), ["2 rows: is bad (lines 2, 9)"]);
        assert_eq!(by_kind(&[two(0), two(0)]), ["2 rows: is bad"]);
    }

    #[test]
    fn headers_that_cannot_be_meant_are_refused() {
        let fault = |text: &str| csv(text, &Columns::default()).unwrap_err().join("; ");
        assert_eq!(fault(""), "the file has no records");
        assert_eq!(fault("domain\n"), "the file has no records");
        assert_eq!(
            fault("domain;name\na;b\n"),
            "line 1: the header is one cell; are cells apart by ';'? See --delimiter"
        );
        assert_eq!(fault("domain,domain\n"), "line 1: the header has \"domain\" twice");
        assert!(fault("website\na.com\n").contains("no column is input (type company needs domain"));
        assert_eq!(fault("domain,\na.com,x\n"), "line 2: cell 2 has no name in the header");
        assert!(csv("domain,\na.com,\n", &Columns::default()).is_ok());
    }

    #[test]
    fn lines_of_json_are_records_or_rows() {
        let text = concat!(
            "{\"id\": \"a\", \"input\": {\"domain\": \"a.com\"}, \"metadata\": {\"n\": [1]}}\r\n\n",
            "{\"id\": 7, \"domain\": \"b.com\", \"score\": 1.5, \"gone\": null, \"empty\": \"\"}\n",
        );
        let records = ndjson(text, &Columns::default()).unwrap();
        assert_eq!(
            records,
            [
                (1, json!({"id": "a", "input": {"domain": "a.com"}, "metadata": {"n": [1]}})),
                (3, json!({"id": "7", "input": {"domain": "b.com"}, "metadata": {"score": 1.5}})),
            ]
        );
    }

    #[test]
    fn every_row_behind_a_lone_carriage_return_was_said_to_be_on_the_line_before() {
        let records = csv("domain\ra.com\rb.com\r\nc.com\n", &Columns::default()).unwrap();
        assert_eq!(records.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn every_bad_line_of_json_is_reported() {
        let text = "{\"domain\": \"a.com\"\n[1]\n{\"x\": 1}\n{\"id\": [], \"domain\": \"c.com\"}\n{a}\n";
        let faults = ndjson(text, &Columns::default()).unwrap_err();
        assert_eq!(faults[0], "line 1: is no JSON object on one line: breaks off");
        assert_eq!(faults[1], "line 2: is no JSON object");
        assert!(faults[2].starts_with("line 3: lacks input"), "{}", faults[2]);
        assert_eq!(faults[3], "line 4: the id is neither a text nor a number");
        assert_eq!(faults[4], "line 5: is no JSON object on one line: key must be a string (column 2)");
        let columns = Columns { omit: vec!["nowhere".into()], ..Columns::default() };
        assert_eq!(ndjson("{\"domain\": \"a.com\"}", &columns).unwrap_err(), ["no line has a member \"nowhere\""]);
        let long = format!("{{\"domain\": \"a.com\", \"note\": \"{}\"}}", "x".repeat(MAX_RECORD_BYTES));
        assert!(ndjson(&long, &Columns::default()).unwrap_err()[0].contains("at most 65536"));
    }

    #[test]
    fn a_line_that_nests_too_deep_was_sent_and_took_the_whole_file_along() {
        let line =
            |levels: usize| format!("{{\"domain\": \"a.com\", \"x\": {}{}}}", "[".repeat(levels), "]".repeat(levels));
        // The record and its metadata are two levels more.
        assert_eq!(ndjson(&line(60), &Columns::default()).unwrap().len(), 1);
        let faults = ndjson(&format!("{}\n{}", line(1), line(61)), &Columns::default()).unwrap_err();
        assert_eq!(faults, ["line 2: nests deeper than 62 levels"]);
    }

    #[test]
    fn a_header_could_write_escape_sequences_to_the_terminal() {
        for text in ["a,\u{1b}[31mb\n1,2\n", "\u{1b}]0;title\u{7},b\n1,2\n"] {
            let columns = Columns { omit: vec!["nowhere".into()], ..Columns::default() };
            for columns in [Columns::default(), columns] {
                let faults = csv(text, &columns).unwrap_err();
                assert!(!faults.iter().any(|fault| fault.contains(char::is_control)), "{faults:?}");
            }
        }
        let long = format!("{}\n1\n", "x".repeat(100_000));
        assert!(csv(&long, &Columns::default()).unwrap_err()[0].len() < 1000);
    }

    fn records(count: usize, json: &str) -> Vec<Record> {
        (0..count).map(|at| Record { line: at as u64 + 2, json: json.as_bytes().to_vec() }).collect()
    }

    #[test]
    fn parts_keep_to_the_limits_of_a_job_and_of_a_request() {
        assert_eq!(split(&records(1000, "{}"), 100), vec![0..1000]);
        assert_eq!(split(&records(2001, "{}"), 100), vec![0..1000, 1000..2000, 2000..2001]);
        assert_eq!(split(&[], 100), vec![]);

        let long = records(200, &format!("{{{}}}", "x".repeat(65_000)));
        let parts = split(&long, 100);
        assert!(parts.iter().all(|part| part.len() * 65_003 + 100 <= MAX_BODY_BYTES), "{parts:?}");
        assert_eq!((parts.first().unwrap().start, parts.last().unwrap().end), (0, 200));
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));

        // All quotes: half as many fit, because the event escapes every one of them.
        let quotes = split(&records(200, &"\"".repeat(65_000)), 100);
        assert!(quotes.iter().all(|part| part.len() * 130_001 < 6_291_456), "{quotes:?}");
    }
}
