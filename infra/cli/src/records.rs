//! Records from files: CSV and NDJSON in, the parts of one or more jobs out. Every bad line is reported, with its number.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::{Map, Value};
use shared::domain::job::{MAX_BODY_BYTES, MAX_RECORDS};
use shared::domain::json;
use shared::domain::record::{MAX_DEPTH, MAX_RECORD_BYTES, depth, is_blank, present};
use shared::domain::rows::{Lines, MARK, Rows, decode};

use crate::headers::{likely, option};
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

    /// Whether one of the sets is among the fields that `has` knows.
    fn served(&self, has: impl Fn(&str) -> bool) -> bool {
        self.inputs.iter().any(|set| set.iter().all(|field| has(field)))
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

/// What was read of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contents {
    pub records: Vec<Record>,
    /// Of records that the server would find invalid: one a record, in the order of the lines.
    pub unfit: Vec<Fault>,
    /// Of rows that are no records.
    pub passed: Vec<Fault>,
}

/// Reads a file: all of its records, or everything that is wrong with it.
pub fn read(bytes: &[u8], form: Form, columns: &Columns, kind: Option<&Kind>) -> Result<Vec<Record>, Vec<Fault>> {
    let Contents { records, unfit, .. } = read_leniently(bytes, form, columns, kind)?;
    if unfit.is_empty() { Ok(records) } else { Err(unfit) }
}

/// As [`read`], but a record that the server would find invalid is one of the records, and its fault stands beside them.
///
/// # Errors
/// Everything that is wrong with the file, where lines of it cannot be read or sent as records.
pub fn read_leniently(
    bytes: &[u8],
    form: Form,
    columns: &Columns,
    kind: Option<&Kind>,
) -> Result<Contents, Vec<Fault>> {
    let mut reader = Reader { columns, kind, faults: Vec::new(), read: Contents::default() };
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

struct Reader<'a> {
    columns: &'a Columns,
    kind: Option<&'a Kind>,
    faults: Vec<Fault>,
    read: Contents,
}

impl Reader<'_> {
    /// The text may quote the file, and is shown on a terminal.
    fn fault(&mut self, line: u64, text: impl AsRef<str>) {
        self.faults.push(Fault { line, text: plain(text.as_ref(), MAX_FAULT_CHARS) });
    }

    fn csv(&mut self, bytes: &[u8], delimiter: Option<u8>) {
        let (mut rows, mut lines) = (Rows::new(bytes, delimiter), Lines::new(bytes));
        let (line, names) = match rows.header() {
            None => return,
            Some((at, Ok(names))) => (lines.number(at), names),
            Some((at, Err(why))) => return self.fault(lines.number(at), why),
        };
        let bare = |c: char| c.is_whitespace() || c == '\u{feff}';
        let names: Vec<String> = names.iter().map(|name| name.trim_matches(bare).to_owned()).collect();
        let Some(roles) = self.header(line, &names) else { return };
        while let Some((at, cells)) = rows.next_row() {
            let line = lines.number(at);
            let cells = match cells {
                Ok(cells) => cells,
                Err(why) => {
                    self.fault(line, why);
                    continue;
                }
            };
            let unnamed = |(name, cell): (&String, &&str)| name.is_empty() && !cell.trim().is_empty();
            if let Some(at) = names.iter().zip(&cells).position(unnamed) {
                self.fault(line, format!("cell {} has no name in the header", at + 1));
                continue;
            }
            let cells = cells.iter().zip(&roles).filter(|(cell, _)| !cell.trim().is_empty());
            let record = place(cells.map(|(cell, roles)| (Value::from(cell.trim()), &roles[..])));
            self.take(line, record);
        }
        let mut lines = Lines::new(bytes);
        let passed = rows.repeated().iter();
        let passed = passed.map(|at| Fault { line: lines.number(*at), text: "repeats the header, passed over".into() });
        self.read.passed.extend(passed);
    }

    fn header(&mut self, line: u64, names: &[String]) -> Option<Vec<Vec<Role>>> {
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
        for (at, name) in names.iter().enumerate().filter(|(at, name)| !name.is_empty() && !names[..*at].contains(name))
        {
            let places: Vec<usize> = (at..names.len()).filter(|at| names[*at] == *name).collect();
            let used = places.iter().any(|at| roles[*at].iter().any(|role| *role != Role::Omit));
            if places.len() > 1 && used {
                let places: Vec<String> = places.iter().map(|at| (at + 1).to_string()).collect();
                let times = if places.len() == 2 { "twice".to_owned() } else { format!("{} times", places.len()) };
                let places = places.join(" and ");
                self.fault(
                    line,
                    format!("the header has {name:?} {times}, in columns {places}; rename one, or --omit them"),
                );
            }
        }
        if self.faults.is_empty() {
            let fields: Vec<&str> = inputs(&roles).collect();
            let hint = self.hint(names, &roles);
            match self.kind {
                _ if fields.is_empty() => {
                    let wanted = match self.kind {
                        Some(kind) => format!("type {} needs {}", kind.name, kind.needs()),
                        None => "the key may not ask what the type needs".to_owned(),
                    };
                    let hint = hint.unwrap_or_else(|| {
                        "Name one: --input COLUMN=FIELD; or, where that is a record already, put a line with the columns' names above it"
                            .to_owned()
                    });
                    self.fault(line, format!("no column is input ({wanted}); there are {}. {hint}", has()));
                }
                Some(kind) if !kind.served(|field| fields.contains(&field)) => {
                    let hint = hint.map(|hint| format!(". {hint}")).unwrap_or_default();
                    let fields = fields.join(", ");
                    self.fault(
                        line,
                        format!("input is only {fields}; type {} needs {}{hint}", kind.name, kind.needs()),
                    );
                }
                _ => {}
            }
        }
        self.faults.is_empty().then_some(roles)
    }

    /// Asks whether columns that nobody named are what the type lacks.
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
        let set = kind.inputs.iter().find(|set| set.iter().all(|field| found(field)));
        let pairs = pairs.iter().filter(|(_, field)| set.is_none_or(|set| set.iter().any(|f| f == field)));
        let options: Vec<String> = pairs.map(|(column, field)| option(&plain(column, 80), field)).collect();
        (!options.is_empty()).then(|| format!("Did you mean {}?", options.join(" ")))
    }

    fn ndjson(&mut self, bytes: &[u8]) {
        let mut unseen: BTreeSet<&str> = self.columns.named().collect();
        let mut rows = false;
        for (at, text) in bytes.split(|b| *b == b'\n').enumerate() {
            let line = at as u64 + 1;
            // Files put together keep their marks.
            let text = text.strip_prefix(MARK).unwrap_or(text);
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let object = match json::read(text) {
                Ok(Value::Object(object)) => object,
                Ok(_) => {
                    self.fault(line, "is no JSON object");
                    continue;
                }
                Err(error) => {
                    // serde_json has the better words, and its value is not what is sent.
                    let why = match serde_json::from_slice::<Value>(text) {
                        Err(error) if error.is_eof() => "breaks off".to_owned(),
                        Err(error) => reason(&error),
                        Ok(_) => error.to_string(),
                    };
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
            if inputs(&roles).next().is_none()
                && let (Some(kind), Some(hint)) = (self.kind, self.hint(&names, &roles))
            {
                self.fault(line, format!("has no input: type {} needs {}. {hint}", kind.name, kind.needs()));
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
            self.read.unfit.push(Fault { line, text: plain(&text, MAX_FAULT_CHARS) });
        }
        self.read.records.push(Record { line, json });
    }
}

/// The fields that columns are input for.
fn inputs(roles: &[Vec<Role>]) -> impl Iterator<Item = &str> {
    roles.iter().flatten().filter_map(|role| match role {
        Role::Input(field) => Some(field.as_str()),
        _ => None,
    })
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

    use shared::domain::rows::NOT_UTF_8;

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
        let text = "id,domain,company_name\n1,a.com,Acme, Inc\n2,,\n\n3,,Acme\n4,d.com,x\n5,\"e.com,x\n";
        let faults = csv(text, &Columns::default()).unwrap_err();
        assert_eq!(
            faults,
            [
                "line 2: has 4 cells, the header has 3: cell 4 has no column; is it to be in quotes with the one before?",
                "line 3: lacks input; type company needs domain, or company_name and country",
                "line 5: lacks input; type company needs domain, or company_name and country",
                "line 7: has 2 cells, the header has 3, and quotes that do not match; is one missing?",
            ]
        );
        let latin = read(b"domain\na.com\nm\xfcller.de\n", Form::Csv(b','), &Columns::default(), Some(&kind()));
        assert_eq!(shown(latin).unwrap_err(), [format!("line 3: {NOT_UTF_8}")]);
    }

    #[test]
    fn rows_that_end_invalid_are_sent_and_counted_by_kind() {
        let kind = Kind { name: "hem".into(), inputs: vec![vec!["email".into()]], optional: Vec::new() };
        let rows: String = (0..40).map(|n| if n % 4 == 0 { "x@y.example,a\n" } else { ",a\n" }).collect();
        let long = format!("z@y.example,a\n\"{}\",b\n", "e".repeat(MAX_RECORD_BYTES));
        let text = format!("email,note\n{rows}{long}");
        let lenient = |text: &str| read_leniently(text.as_bytes(), Form::Csv(b','), &Columns::default(), Some(&kind));
        let Contents { records, unfit, .. } = lenient(&text).unwrap();
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
        let faults = lenient("email,note\n,a\nb@c.example,b,c\n").unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2, 3]);
        let two = |line: u64| Fault { line, text: "is bad".into() };
        assert_eq!(by_kind(&[two(2), two(9)]), ["2 rows: is bad (lines 2, 9)"]);
        assert_eq!(by_kind(&[two(0), two(0)]), ["2 rows: is bad"]);
    }

    #[test]
    fn a_header_that_comes_again_is_told_and_no_record() {
        let read = |text: &str| read_leniently(text.as_bytes(), Form::Table, &Columns::default(), Some(&kind()));
        let files =
            read("domain,city\na.com,Bonn\nDomain,city\n\u{feff}domain,city\nb.com,\n\n domain ,city\n").unwrap();
        assert_eq!(files.records.iter().map(|record| record.line).collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!(by_kind(&files.passed), ["2 rows: repeats the header, passed over (lines 4, 7)"]);
        let one = read("domain,city\ndomain,city\na.com,Bonn\n").unwrap();
        assert_eq!(by_kind(&one.passed), ["line 2: repeats the header, passed over"]);
        assert_eq!(read("domain\ndomain\n").unwrap().records.len(), 1, "a single cell may be meant");
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
        assert_eq!(
            fault("domain,domain\n"),
            "line 1: the header has \"domain\" twice, in columns 1 and 2; rename one, or --omit them"
        );
        assert!(fault("website\na.com\n").contains("no column is input (type company needs domain"));
        assert_eq!(fault("domain,\na.com,x\n"), "line 2: cell 2 has no name in the header");
        assert!(csv("domain,\na.com,\n", &Columns::default()).is_ok());
    }

    fn table(bytes: &[u8], columns: &Columns) -> Result<Vec<(u64, Value)>, Vec<String>> {
        shown(read(bytes, Form::Table, columns, Some(&kind())))
    }

    #[test]
    fn files_of_spreadsheets_are_read_as_they_come() {
        let utf_16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let wanted = json!({"id": "7", "input": {"domain": "a.com", "city": "K\u{f6}ln"}});
        for (bytes, line) in [
            ("sep=;\nid;domain;city\n7;a.com;K\u{f6}ln\n".as_bytes().to_vec(), 3),
            ("sep=,\r\nid,domain,city\r\n7,a.com,K\u{f6}ln\r\n".as_bytes().to_vec(), 3),
            ("sep=\t\nid\tdomain\tcity\n7\ta.com\tK\u{f6}ln".as_bytes().to_vec(), 3),
            ("\u{feff}sep=;\n\u{feff}\"id\";domain;city\n7;a.com;K\u{f6}ln\n".as_bytes().to_vec(), 3),
            ("\"sep=;\"\r\rid;domain;city\r7;a.com;K\u{f6}ln\r".as_bytes().to_vec(), 4),
            ("\u{feff}\u{feff}\"id\",\"domain\",\"city\"\n7,a.com,K\u{f6}ln\n".as_bytes().to_vec(), 2),
            ("id;domain;city\n7;a.com;K\u{f6}ln\n".as_bytes().to_vec(), 2),
            ("id\tdomain\tcity\r7\ta.com\tK\u{f6}ln".as_bytes().to_vec(), 2),
            ("\n , , \nid,domain,city\n\n   \n,,\n7,a.com,K\u{f6}ln\n\n".as_bytes().to_vec(), 7),
            (utf_16("\u{feff}id\tdomain\tcity\r\n7\ta.com\tK\u{f6}ln\r\n"), 2),
            (utf_16("\u{feff}sep=;\r\nid;domain;city\r\n7;a.com;K\u{f6}ln\r\n"), 3),
            (utf_16("id,domain,city\r\n7,a.com,K\u{f6}ln\r\n"), 2),
        ] {
            assert_eq!(table(&bytes, &Columns::default()), Ok(vec![(line, wanted.clone())]), "{bytes:?}");
        }
        let given = shown(read(b"sep=,\nid;domain\n7;a.com\n", Form::Csv(b';'), &Columns::default(), Some(&kind())));
        assert_eq!(given, Ok(vec![(3, json!({"id": "7", "input": {"domain": "a.com"}}))]));
        let marked = "{\"domain\": \"a.com\"}\n\u{feff}{\"domain\": \"b.com\"}\n";
        assert_eq!(ndjson(&format!("\u{feff}{marked}"), &Columns::default()).unwrap().len(), 2);
    }

    #[test]
    fn missing_last_cells_and_empty_ones_too_many_are_taken() {
        let text = "id,domain,city\n1,a.com\n2,b.com,Bonn,, \n3,\"c.com\"\n4,d.com,\"two\nlines\"\n";
        let records = csv(text, &Columns::default()).unwrap();
        let wanted = [
            (2, json!({"id": "1", "input": {"domain": "a.com"}})),
            (3, json!({"id": "2", "input": {"domain": "b.com", "city": "Bonn"}})),
            (4, json!({"id": "3", "input": {"domain": "c.com"}})),
            (5, json!({"id": "4", "input": {"domain": "d.com", "city": "two\nlines"}})),
        ];
        assert_eq!(records, wanted);
        for row in ["2,b.com,Bonn,,x", "2,\"b.com,Bonn\n3,c.com,Bonn\n4,d.com,Ulm", "2,\"b.com,Bonn\n3,\"c.com\",Bonn"]
        {
            let faults = csv(&format!("id,domain,city\n1,a.com,\n{row}\n"), &Columns::default()).unwrap_err();
            assert!(faults.len() == 1 && faults[0].starts_with("line 3: has "), "{faults:?}");
        }
    }

    #[test]
    fn a_doubled_column_stops_nothing_that_leaves_it_out() {
        let text = "domain,notes,notes,notes\na.com,x,y,z\n";
        let omit = Columns { omit: vec!["notes".into()], ..Columns::default() };
        assert_eq!(csv(text, &omit), Ok(vec![(2, json!({"input": {"domain": "a.com"}}))]));
        let used = |columns: &Columns| csv(text, columns).unwrap_err().join("; ");
        let wanted = "line 1: the header has \"notes\" 3 times, in columns 2 and 3 and 4; rename one, or --omit them";
        assert_eq!(used(&Columns::default()), wanted);
        assert_eq!(used(&Columns { input: pairs(&["notes=city"]), ..Columns::default() }), wanted);
        assert_eq!(used(&Columns { id: Some("notes".into()), ..Columns::default() }), wanted);
    }

    #[test]
    fn a_column_that_is_probably_meant_is_named() {
        for (text, hint) in [
            ("Website\na.com\n", "Did you mean --input Website=domain?"),
            ("ID,Company Website,Country\n1,a.com,DE\n", "Did you mean --input 'Company Website=domain'?"),
            ("Company,Land\nAcme,DE\n", "Did you mean --input Company=company_name --input Land=country?"),
            ("Company,Country\nAcme,DE\n", "Did you mean --input Company=company_name?"),
            ("domian;x\na.com;y\n", "Did you mean --input domian=domain?"),
        ] {
            let faults = table(text.as_bytes(), &Columns::default()).unwrap_err();
            assert!(faults.len() == 1 && faults[0].ends_with(hint), "{faults:?}");
        }
        assert!(
            table(b"e-mail\na@a.com\n", &Columns::default()).unwrap_err()[0]
                .contains("Name one: --input COLUMN=FIELD; or")
        );
        let faults = ndjson("{\"Website\": \"a.com\"}", &Columns::default()).unwrap_err();
        assert!(faults[0].ends_with("Did you mean --input Website=domain?"), "{faults:?}");
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
