//! Tables: CSV or NDJSON files with declared key columns, held in memory.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::config::{ConfigError, DatasetConfig, Format, KeyColumn, Normal};
use super::hem::Email;
use super::{Answer, Ports, Provider, suffix};

/// A table, ready to be looked up in. Of rows with the same key the first wins.
pub struct Dataset {
    key: Vec<KeyColumn>,
    fields: Vec<String>,
    rows: Vec<Vec<Value>>,
    by_key: HashMap<String, usize>,
    skipped: usize,
}

impl fmt::Debug for Dataset {
    /// Leaves out the rows: they may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("rows", &self.rows.len())
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}

/// Separates the parts of a key; no normalised value holds it.
const SEPARATOR: char = '\u{1f}';

impl Dataset {
    /// Reads the text of the file that `config` names.
    pub fn parse(config: &DatasetConfig, text: &str) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut table = Self {
            key: config.key.clone(),
            fields: config.fields.iter().map(|(name, ..)| name.clone()).collect(),
            rows: Vec::new(),
            by_key: HashMap::new(),
            skipped: 0,
        };
        match config.format {
            Format::Csv => table.read_csv(config, text)?,
            Format::Ndjson => table.read_ndjson(config, text)?,
        }
        if table.rows.is_empty() {
            return Err(config.file_at.error(format!("{}: the table has no row with a usable key", config.file)));
        }
        Ok(table)
    }

    /// How many rows had no usable key, or one that an earlier row has.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    fn read_csv(&mut self, config: &DatasetConfig, text: &str) -> Result<(), ConfigError> {
        let broken = |e: csv::Error| config.file_at.error(format!("{}: {e}", config.file));
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(broken)?.clone();
        let column = |name: &str, at: &super::config::Place| {
            header.iter().position(|h| h == name).ok_or_else(|| {
                let known: Vec<&str> = header.iter().collect();
                at.error(format!("{} has no column `{name}`; it has {}", config.file, known.join(", ")))
            })
        };
        let key: Vec<usize> = config.key.iter().map(|k| column(&k.column, &k.at)).collect::<Result<_, _>>()?;
        let fields: Vec<usize> = config.fields.iter().map(|(_, c, at)| column(c, at)).collect::<Result<_, _>>()?;
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(broken)? {
            let parts = key.iter().map(|at| record.get(*at).unwrap_or_default().to_owned());
            let values = fields.iter().map(|at| match record.get(*at) {
                None | Some("") => Value::Null,
                Some(text) => Value::from(text),
            });
            self.add(&parts.collect::<Vec<_>>(), values.collect());
        }
        Ok(())
    }

    fn read_ndjson(&mut self, config: &DatasetConfig, text: &str) -> Result<(), ConfigError> {
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let row: Map<String, Value> = serde_json::from_str(line).map_err(|e| {
                config.file_at.error(format!("{}: line {} is not a JSON object: {e}", config.file, at + 1))
            })?;
            let parts = config.key.iter().map(|k| match row.get(&k.column) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                _ => String::new(),
            });
            let values = config.fields.iter().map(|(_, column, _)| row.get(column).cloned().unwrap_or(Value::Null));
            self.add(&parts.collect::<Vec<_>>(), values.collect());
        }
        Ok(())
    }

    fn add(&mut self, parts: &[String], values: Vec<Value>) {
        let parts: Result<Vec<String>, _> =
            self.key.iter().zip(parts).map(|(key, text)| normalise(key.normal, text)).collect();
        let Ok(parts) = parts else {
            self.skipped += 1;
            return;
        };
        let row = self.rows.len();
        let mut taken = false;
        self.by_key.entry(parts.join(&SEPARATOR.to_string())).and_modify(|_| taken = true).or_insert(row);
        if taken {
            self.skipped += 1;
        } else {
            self.rows.push(values);
        }
    }

    fn look_up(&self, input: &Map<String, Value>) -> Result<Option<&[Value]>, String> {
        let mut keys = vec![String::new()];
        for (at, column) in self.key.iter().enumerate() {
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
        Ok(keys.iter().find_map(|key| self.by_key.get(key)).map(|row| self.rows[*row].as_slice()))
    }
}

#[async_trait]
impl Provider for Dataset {
    async fn ask(&self, input: &Map<String, Value>, _limit: Duration, _ports: &Ports) -> Answer {
        let row = match self.look_up(input) {
            Ok(Some(row)) => row,
            Ok(None) => return Answer::NotFound,
            Err(why) => return Answer::Invalid(why),
        };
        let fields: Map<String, Value> = self
            .fields
            .iter()
            .zip(row)
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
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
    use super::super::config::{Config, Kind};
    use super::super::testing::{input, ports};
    use super::*;

    fn dataset(file: &str, key: &str, fields: &str, text: &str) -> Result<Dataset, ConfigError> {
        let toml = format!(
            "[types.t]\ninputs = [[\"domain\", \"name\", \"id\", \"email\"]]\nwaterfall = [\"d\"]\n[providers.d]\n\
             kind = \"dataset\"\nfile = \"{file}\"\nkey = {key}\nfields = {fields}\n"
        );
        let config = Config::parse("p.toml", &toml).unwrap();
        let Kind::Dataset(dataset) = &config.providers[0].kind else { panic!("not a dataset") };
        Dataset::parse(dataset, text)
    }

    async fn ask(table: &Dataset, value: Value) -> Answer {
        table.ask(&input(value), Duration::from_secs(1), &ports().0).await
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
        assert_eq!(table.skipped(), 1);
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
    fn faults_of_the_table_name_the_place() {
        let error = dataset("d.csv", BY_DOMAIN, "{ name = \"nmae\" }", CSV).unwrap_err().to_string();
        assert_eq!(error, "p.toml:8:19: d.csv has no column `nmae`; it has domain, name, color");
        let error =
            dataset("d.csv", BY_DOMAIN, "{ name = \"name\" }", "domain,name\na.com,A,more\n").unwrap_err().to_string();
        assert!(error.starts_with("p.toml:6:8: d.csv: CSV error: record 1 (line: 2"), "{error}");
        let error = dataset("d.ndjson", BY_DOMAIN, "{ name = \"name\" }", "{}\n[1]\n").unwrap_err().to_string();
        assert!(error.contains("d.ndjson: line 2 is not a JSON object"), "{error}");
        let error = dataset("d.csv", BY_DOMAIN, "{ name = \"name\" }", "domain,name\n").unwrap_err().to_string();
        assert!(error.contains("no row with a usable key"), "{error}");
    }
}
