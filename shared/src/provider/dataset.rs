//! Tables: CSV or NDJSON files with declared key columns, held in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::config::{ConfigError, DatasetConfig, Format, KeyColumn, Normal};
use super::hem::Email;
use super::{Answer, Ports, Provider, Question, suffix};

/// A table. Of rows with the same key the first wins; rows without a usable key are left out.
///
/// Only the header is read when the table is made: the rows (2 ms for 2,300 of them, as much as all the rest of a start,
/// and 0.2 ms for their text alone) are read when the first record asks.
pub struct Dataset {
    config: DatasetConfig,
    /// Taken by the index when it is made.
    source: Mutex<Source>,
    index: OnceLock<Result<Index, String>>,
}

enum Source {
    Text(String),
    File(PathBuf),
}

impl Source {
    fn take(&mut self) -> Result<String, String> {
        match std::mem::replace(self, Self::Text(String::new())) {
            Self::Text(text) => Ok(text),
            Self::File(path) => std::fs::read_to_string(path).map_err(|e| format!("cannot be read: {e}")),
        }
    }
}

#[derive(Default)]
struct Index {
    rows: Vec<Vec<Value>>,
    by_key: HashMap<String, usize>,
    skipped: usize,
}

impl fmt::Debug for Dataset {
    /// Leaves out the rows: they may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset").field("file", &self.config.file).finish_non_exhaustive()
    }
}

/// Separates the parts of a key; no normalised value holds it.
const SEPARATOR: char = '\u{1f}';

impl Dataset {
    /// A table from the text of the file that `config` names. An error where a column is missing.
    pub fn parse(config: &DatasetConfig, text: String) -> Result<Self, ConfigError> {
        check_header(config, text.as_bytes())?;
        Ok(Self { config: config.clone(), source: Mutex::new(Source::Text(text)), index: OnceLock::new() })
    }

    /// The table of provider `name` from that file. An error where it cannot be opened or a column is missing.
    pub fn open(name: &str, config: &DatasetConfig, path: PathBuf) -> Result<Self, ConfigError> {
        let unread = |e| config.file_at.error(format!("providers.{name}: {} cannot be read: {e}", config.file));
        check_header(config, File::open(&path).map_err(unread)?)?;
        Ok(Self { config: config.clone(), source: Mutex::new(Source::File(path)), index: OnceLock::new() })
    }

    /// Reads the rows now: how many there are, and how many were left out (no usable key, or one that an earlier row has).
    pub fn check(&self) -> Result<(usize, usize), String> {
        self.index().map(|index| (index.rows.len(), index.skipped))
    }

    fn index(&self) -> Result<&Index, String> {
        let index = self.index.get_or_init(|| {
            let text = self.source.lock().unwrap_or_else(PoisonError::into_inner).take();
            let index = text.and_then(|text| Index::read(&self.config, &text));
            let index = index.map_err(|e| format!("{}: {e}", self.config.file))?;
            if index.rows.is_empty() {
                return Err(format!("{}: the table has no row with a usable key", self.config.file));
            }
            Ok(index)
        });
        index.as_ref().map_err(Clone::clone)
    }

    /// The keys to try, the likeliest first. `Err` says why the input is none.
    fn keys(&self, input: &Map<String, Value>) -> Result<Vec<String>, String> {
        let mut keys = vec![String::new()];
        for (at, column) in self.config.key.iter().enumerate() {
            let name = &column.input;
            let text = input.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is needed"))?;
            let exact = normalise(column.normal, text).map_err(|why| format!("`{name}` {why}"))?;
            let tries = if column.normal == Normal::Domain { parents(&exact) } else { vec![exact.as_str()] };
            let longer = keys.iter().flat_map(|key| {
                tries
                    .iter()
                    .map(move |part| if at == 0 { (*part).to_owned() } else { format!("{key}{SEPARATOR}{part}") })
            });
            keys = longer.collect();
        }
        Ok(keys)
    }
}

impl Index {
    fn read(config: &DatasetConfig, text: &str) -> Result<Self, String> {
        let mut index = Self::default();
        match config.format {
            Format::Csv => index.read_csv(config, text).map_err(|e| e.to_string())?,
            Format::Ndjson => index.read_ndjson(config, text)?,
        }
        Ok(index)
    }

    fn read_csv(&mut self, config: &DatasetConfig, text: &str) -> Result<(), csv::Error> {
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let header = reader.headers()?.clone();
        let column = |name: &String| header.iter().position(|h| h == name).unwrap_or(usize::MAX);
        let key: Vec<usize> = config.key.iter().map(|k| column(&k.column)).collect();
        let fields: Vec<usize> = config.fields.iter().map(|(_, name, _)| column(name)).collect();
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record)? {
            let parts: Vec<&str> = key.iter().map(|at| record.get(*at).unwrap_or_default()).collect();
            let values = fields.iter().map(|at| match record.get(*at) {
                None | Some("") => Value::Null,
                Some(text) => Value::from(text),
            });
            self.add(&config.key, &parts, values.collect());
        }
        Ok(())
    }

    fn read_ndjson(&mut self, config: &DatasetConfig, text: &str) -> Result<(), String> {
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let row: Map<String, Value> =
                serde_json::from_str(line).map_err(|e| format!("line {} is not a JSON object: {e}", at + 1))?;
            let parts = config.key.iter().map(|k| match row.get(&k.column) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                _ => String::new(),
            });
            let parts: Vec<String> = parts.collect();
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            let values = config.fields.iter().map(|(_, name, _)| row.get(name).cloned().unwrap_or(Value::Null));
            self.add(&config.key, &parts, values.collect());
        }
        Ok(())
    }

    fn add(&mut self, key: &[KeyColumn], parts: &[&str], values: Vec<Value>) {
        let parts: Result<Vec<String>, _> =
            key.iter().zip(parts).map(|(key, text)| normalise(key.normal, text)).collect();
        let Ok(parts) = parts else {
            self.skipped += 1;
            return;
        };
        match self.by_key.entry(parts.join(&SEPARATOR.to_string())) {
            Entry::Occupied(_) => self.skipped += 1,
            Entry::Vacant(entry) => {
                entry.insert(self.rows.len());
                self.rows.push(values);
            }
        }
    }
}

/// Reads no further than the header.
fn check_header(config: &DatasetConfig, table: impl Read) -> Result<(), ConfigError> {
    if config.format != Format::Csv {
        return Ok(());
    }
    let wrong = |e: &dyn fmt::Display| config.file_at.error(format!("{}: {e}", config.file));
    let mut table = BufReader::new(table);
    let mut line = Vec::new();
    table.read_until(b'\n', &mut line).map_err(|e| wrong(&e))?;
    // Spreadsheets begin their files with a byte order mark.
    let line = std::str::from_utf8(&line).map_err(|e| wrong(&e))?.trim_start_matches('\u{feff}');
    let first = line.split(['\r', '\n']).next().unwrap_or_default();
    // A CSV reader builds its tables first, which takes longer than all the rest here; a header seldom needs one.
    let header: Vec<String> = if first.is_empty() || first.contains('"') {
        let mut reader = csv::Reader::from_reader(line.as_bytes().chain(table));
        reader.headers().map_err(|e| wrong(&e))?.iter().map(str::to_owned).collect()
    } else {
        first.split(',').map(str::to_owned).collect()
    };
    let keys = config.key.iter().map(|k| (&k.column, &k.at));
    for (column, at) in keys.chain(config.fields.iter().map(|(_, column, at)| (column, at))) {
        if !header.contains(column) {
            return Err(at.error(format!("{} has no column `{column}`; it has {}", config.file, header.join(", "))));
        }
    }
    Ok(())
}

#[async_trait]
impl Provider for Dataset {
    async fn ask(&self, question: &Question<'_>, _ports: &Ports) -> Answer {
        let keys = match self.keys(question.input) {
            Ok(keys) => keys,
            Err(why) => return Answer::Invalid(why),
        };
        let index = match self.index() {
            Ok(index) => index,
            Err(why) => return Answer::failed("provider_error", why),
        };
        let Some(row) = keys.iter().find_map(|key| index.by_key.get(key)) else { return Answer::NotFound };
        let fields: Map<String, Value> = self
            .config
            .fields
            .iter()
            .zip(&index.rows[*row])
            .filter(|(_, value)| !value.is_null())
            .map(|((name, ..), value)| (name.clone(), value.clone()))
            .collect();
        if fields.is_empty() { Answer::NotFound } else { Answer::Found { fields, confidence: None } }
    }
}

/// A host and its parents down to the registrable domain. Not further: `anybody.github.io` is not `github.io`'s.
fn parents(host: &str) -> Vec<&str> {
    let last = suffix::registrable(host).unwrap_or(host);
    let mut hosts = vec![host];
    let mut rest = host;
    while rest.len() > last.len() {
        let Some((_, parent)) = rest.split_once('.') else { break };
        hosts.push(parent);
        rest = parent;
    }
    hosts
}

/// Legal forms that are left out at the end of a name. Single words after punctuation is gone, so that `S.A.` is not one.
const LEGAL_FORMS: [&str; 17] = [
    "inc",
    "incorporated",
    "llc",
    "ltd",
    "limited",
    "corp",
    "corporation",
    "co",
    "company",
    "plc",
    "gmbh",
    "ag",
    "sa",
    "sas",
    "bv",
    "nv",
    "ab",
];

fn normalise(normal: Normal, text: &str) -> Result<String, &'static str> {
    match normal {
        Normal::Exact => {
            let text = text.trim();
            if text.is_empty() || text.contains(SEPARATOR) { Err("is empty") } else { Ok(text.to_owned()) }
        }
        Normal::Domain => suffix::host(text),
        Normal::Email => Email::parse(text).map(|email| email.plain()),
        Normal::Name => {
            let plain: String =
                text.to_lowercase().replace('&', " and ").replace(['\'', '’', '.'], "").chars().map(word).collect();
            let mut words: Vec<&str> = plain.split(' ').filter(|w| !w.is_empty()).collect();
            if words.len() > 1 && words.last().is_some_and(|w| LEGAL_FORMS.contains(w)) {
                words.pop();
            }
            if words.is_empty() { Err("holds no letter or digit") } else { Ok(words.join(" ")) }
        }
    }
}

fn word(c: char) -> char {
    if c.is_alphanumeric() || c == '+' || c == '#' { c } else { ' ' }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::config::{Config, Kind};
    use super::super::testing::{input, ports, question};
    use super::*;

    fn dataset(file: &str, key: &str, fields: &str, text: &str) -> Result<Dataset, ConfigError> {
        let toml = format!(
            "[types.t]\ninputs = [[\"domain\", \"name\", \"id\", \"email\"]]\nwaterfall = [\"d\"]\n[providers.d]\n\
             kind = \"dataset\"\nfile = \"{file}\"\nkey = {key}\nfields = {fields}\n"
        );
        let config = Config::parse("p.toml", &toml).unwrap();
        let Kind::Dataset(dataset) = &config.providers[0].kind else { panic!("not a dataset") };
        Dataset::parse(dataset, text.to_owned())
    }

    async fn ask(table: &Dataset, value: Value) -> Answer {
        table.ask(&question(&input(value), Duration::from_secs(1)), &ports().0).await
    }

    fn name_of(answer: &Answer) -> Option<&str> {
        match answer {
            Answer::Found { fields, .. } => fields["name"].as_str(),
            _ => None,
        }
    }

    const BY_DOMAIN: &str = "{ domain = { column = \"domain\", as = \"domain\" } }";
    const CSV: &str = "domain,name,color\nexample.co.uk,Example,#112233\nshop.example.co.uk,Shop,\ngithub.io,Pages,\n\
                       bücher.example,Bücher,\n";

    #[tokio::test]
    async fn a_domain_is_found_however_it_is_written_and_below_its_owner() {
        let table = dataset("d.csv", BY_DOMAIN, "{ name = \"name\", color = \"color\" }", CSV).unwrap();
        for (domain, wanted) in [
            ("https://WWW.Example.co.uk/about", Some("Example")),
            ("news.example.co.uk", Some("Example")),
            ("news.shop.example.co.uk", Some("Shop")),
            ("BÜCHER.example", Some("Bücher")),
            ("github.io", Some("Pages")),
            ("anybody.github.io", None),
            ("co.uk", None),
            ("other.co.uk", None),
        ] {
            let answer = ask(&table, serde_json::json!({"domain": domain})).await;
            assert_eq!(name_of(&answer), wanted, "{domain}: {answer:?}");
        }
        let Answer::Found { fields, .. } = ask(&table, serde_json::json!({"domain": "shop.example.co.uk"})).await
        else {
            panic!("not found")
        };
        assert!(!fields.contains_key("color"), "an empty cell is no field");
    }

    #[tokio::test]
    async fn what_is_no_domain_is_invalid() {
        let table = dataset("d.csv", BY_DOMAIN, "{ name = \"name\" }", CSV).unwrap();
        for wrong in ["not a domain", "10.0.0.1", "a@example.com", "\r\n", "a\u{0}.com"] {
            let answer = ask(&table, serde_json::json!({"domain": wrong})).await;
            assert!(matches!(answer, Answer::Invalid(_)), "{wrong:?}: {answer:?}");
        }
        assert!(matches!(ask(&table, serde_json::json!({})).await, Answer::Invalid(_)));
        assert!(matches!(ask(&table, serde_json::json!({"domain": 5})).await, Answer::Invalid(_)));
    }

    #[tokio::test]
    async fn ndjson_keeps_types_and_composite_keys_need_every_part() {
        let text = "{\"id\": 7, \"mail\": \"A@Example.com\", \"n\": {\"x\": [1]}}\n\n{\"id\": 8, \"mail\": \"bad\", \"n\": 1}\n";
        let key = "{ id = \"id\", email = { column = \"mail\", as = \"email\" } }";
        let table = dataset("d.ndjson", key, "{ name = \"n\" }", text).unwrap();
        assert_eq!(table.check(), Ok((1, 1)));
        let Answer::Found { fields, .. } = ask(&table, serde_json::json!({"id": "7", "email": "a@EXAMPLE.com "})).await
        else {
            panic!("not found")
        };
        assert_eq!(fields["name"], serde_json::json!({"x": [1]}));
        assert_eq!(ask(&table, serde_json::json!({"id": "8", "email": "a@example.com"})).await, Answer::NotFound);
    }

    #[tokio::test]
    async fn names_are_compared_without_case_marks_and_legal_form() {
        let key = "{ name = { column = \"name\", as = \"name\" } }";
        let text = "name,domain\n\"Yahoo! Inc.\",yahoo.com\nAT&T,att.com\nCo,co.example\nC++,cpp.example\nYahoo,second.example\n";
        let table = dataset("d.csv", key, "{ name = \"domain\" }", text).unwrap();
        for (name, wanted) in [
            ("yahoo", Some("yahoo.com")),
            ("  YAHOO, Inc", Some("yahoo.com")),
            ("at and t", Some("att.com")),
            ("co", Some("co.example")),
            ("C++", Some("cpp.example")),
            ("c", None),
            ("yahoo japan", None),
        ] {
            assert_eq!(name_of(&ask(&table, serde_json::json!({"name": name})).await), wanted, "{name}");
        }
        assert!(matches!(ask(&table, serde_json::json!({"name": "--- !"})).await, Answer::Invalid(_)));
    }

    #[test]
    fn a_missing_column_is_told_at_once_and_where() {
        let error = dataset("d.csv", BY_DOMAIN, "{ name = \"nmae\" }", CSV).unwrap_err().to_string();
        assert_eq!(error, "p.toml:8:19: d.csv has no column `nmae`; it has domain, name, color");
        let error = dataset("d.csv", "{ domain = \"dom\" }", "{ name = \"name\" }", CSV).unwrap_err().to_string();
        assert_eq!(error, "p.toml:7:18: d.csv has no column `dom`; it has domain, name, color");
        assert!(dataset("d.csv", BY_DOMAIN, "{ name = \"name\" }", &format!("\u{feff}{CSV}")).is_ok());
    }

    #[tokio::test]
    async fn headers_of_every_kind_are_read() {
        for header in [
            "domain,name\n",
            "\u{feff}domain,name\r\n",
            "\"domain\",\"name\"\n",
            "\u{feff}\"na\nme\",domain,name\n",
            "\n\ndomain,name\n",
        ] {
            let first = if header.contains("na\n") { "x,a.com,A\n" } else { "a.com,A\n" };
            let table = dataset("d.csv", BY_DOMAIN, "{ name = \"name\" }", &format!("{header}{first}")).unwrap();
            assert_eq!(name_of(&ask(&table, serde_json::json!({"domain": "a.com"})).await), Some("A"), "{header:?}");
        }
    }

    #[tokio::test]
    async fn broken_rows_fail_and_name_the_line() {
        for (file, text, wanted) in [
            ("d.csv", "domain,name\na.com,A,more\n", "d.csv: CSV error: record 1 (line: 2"),
            ("d.ndjson", "{}\n[1]\n", "d.ndjson: line 2 is not a JSON object"),
            ("d.csv", "domain,name\n", "d.csv: the table has no row with a usable key"),
        ] {
            let table = dataset(file, BY_DOMAIN, "{ name = \"name\" }", text).unwrap();
            let answer = ask(&table, serde_json::json!({"domain": "a.com"})).await;
            let Answer::Failed { code, detail } = answer else { panic!("{answer:?}") };
            assert!(code == "provider_error" && detail.starts_with(wanted), "{detail}");
            assert!(table.check().is_err());
        }
    }
}
