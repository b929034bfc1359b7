//! Files of a user (CSV and NDJSON for `millrace submit`) and of an operator (the tables of
//! `dataset` providers).

use std::sync::OnceLock;

use millrace::records::{Columns, Form, InputKind, Record, read, split};
use serde_json::{Map, Value, json};
use shared::catalog::Catalog;
use shared::catalog::Config;
use shared::domain::error::ApiError;
use shared::domain::job::{MAX_BODY_BYTES, MAX_RECORDS};
use shared::domain::record::MAX_RECORD_BYTES;
use shared::providers::kinds::READERS;
use shared::providers::kinds::dataset::Dataset;
use shared::providers::kinds::dataset::config::DatasetConfig;
use shared::providers::{Answer, Ports, Provider as _};
use shared::surfaces::common::message::ApiRequest;
use shared::surfaces::{Call, Reading, Routed, SURFACES, route};

use crate::sim::Sim;

/// The server's catalogue, as the command line knows it.
const CATALOG: &str = r#"
[types.company]
inputs = [["domain"], ["company_name", "country"]]
optional_inputs = ["city"]
waterfall = ["any"]

[providers.any]
kind = "http"
url = "https://any.example/"
fields = { name = "/name" }
"#;

fn kind() -> InputKind {
    let account = json!({"types": [{
        "type": "company", "inputs": [["domain"], ["company_name", "country"]],
        "optional_inputs": ["city"],
    }]});
    InputKind::find(&account, "company").expect("the type is there")
}

/// The first line of an input: `delimiter=;`, `id=…`, `input=COLUMN=FIELD`, `metadata=…`, `omit=…`,
/// separated by tabs; `untyped` where the type is unknown.
fn options(line: &str) -> (u8, Columns, bool) {
    let (mut delimiter, mut columns, mut typed) = (b',', Columns::default(), true);
    for option in line.split('\t') {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "delimiter" => delimiter = value.bytes().next().unwrap_or(b','),
            "id" => columns.id = Some(value.to_owned()),
            "input" => columns.input.extend(Columns::pair(value)),
            "metadata" => columns.metadata.extend(Columns::pair(value)),
            "omit" => columns.omit.push(value.to_owned()),
            "untyped" => typed = false,
            _ => {}
        }
    }
    (delimiter, columns, typed)
}

fn parts(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes
        .iter()
        .position(|b| *b == b'\n')
        .unwrap_or(bytes.len());
    (
        String::from_utf8_lossy(&bytes[..end]).into_owned(),
        bytes.get(end + 1..).unwrap_or_default(),
    )
}

/// A CSV file behind a line of options.
pub fn csv(bytes: &[u8]) {
    let (line, file) = parts(bytes);
    let (delimiter, columns, typed) = options(&line);
    // The command line accepts a printable character or a tab.
    if delimiter == b'\t' || (delimiter.is_ascii_graphic() && delimiter != b'"') {
        check(file, Form::Csv(delimiter), &columns, typed);
    }
}

/// An NDJSON file behind a line of options.
pub fn ndjson(bytes: &[u8]) {
    let (line, file) = parts(bytes);
    let (_, columns, typed) = options(&line);
    check(file, Form::Ndjson, &columns, typed);
}

/// Checks that a file is either read whole, or every fault is reported. The server accepts the
/// records of a file that is read, except for what only the server can judge.
fn check(file: &[u8], form: Form, columns: &Columns, typed: bool) {
    let kind = kind();
    let lines = file.split(|b| matches!(b, b'\n' | b'\r')).count() as u64;
    let records = match read(file, form, columns, typed.then_some(&kind)) {
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in &faults {
                assert!(fault.line <= lines && !fault.text.is_empty(), "{fault:?}");
                assert!(
                    !fault.text.chars().any(char::is_control),
                    "for a terminal: {fault:?}"
                );
            }
            return;
        }
        Ok(records) => records,
    };
    assert!(!records.is_empty());
    assert!(
        records
            .iter()
            .all(|record| (1..=lines).contains(&record.line))
    );
    assert!(
        records.windows(2).all(|two| two[0].line < two[1].line),
        "lines in order"
    );
    for record in &records {
        assert!(record.json.len() <= MAX_RECORD_BYTES);
        let value: Map<String, Value> =
            serde_json::from_slice(&record.json).expect("a record is a JSON object");
        assert!(
            value
                .keys()
                .all(|name| matches!(name.as_str(), "id" | "input" | "metadata")),
            "{value:?}"
        );
        assert!(
            value["input"]
                .as_object()
                .is_some_and(|input| !input.is_empty()),
            "{value:?}"
        );
    }
    let ranges = split(&records, 100);
    assert_eq!(
        ranges.iter().cloned().flatten().collect::<Vec<_>>(),
        (0..records.len()).collect::<Vec<_>>()
    );
    for range in ranges {
        let part = &records[range];
        assert!(
            part.len() <= MAX_RECORDS
                && part.iter().map(|r| r.json.len() + 1).sum::<usize>() <= MAX_BODY_BYTES
        );
        if typed {
            submitted(part);
        }
    }
}

/// Checks that the server's refusals concern single records, so that the user sees their lines.
fn submitted(records: &[Record]) {
    static SERVER: OnceLock<Catalog> = OnceLock::new();
    let catalog = SERVER.get_or_init(|| {
        Catalog::of(&Config::parse(READERS, "server", CATALOG).expect("a configuration"))
    });
    let mut body = b"{\"type\":\"company\",\"records\":[".to_vec();
    for (at, record) in records.iter().enumerate() {
        body.extend_from_slice(if at > 0 { b"," } else { b"" });
        body.extend_from_slice(&record.json);
    }
    body.extend_from_slice(b"]}");
    let request = ApiRequest {
        method: "POST".to_owned(),
        path: "/v1/jobs".to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body,
        request_id: String::new(),
    };
    let Routed::To {
        surface,
        call: Call::Submit { read, .. },
        ..
    } = route(SURFACES, &request)
    else {
        panic!()
    };
    let sim = Sim::new(1);
    match read(
        &request,
        &Reading {
            surface,
            catalog,
            http: sim.http.as_ref(),
        },
    ) {
        Ok(submission) => assert_eq!(submission.records.len(), records.len()),
        Err(ApiError::Invalid(faults)) => {
            let more = |fault: &&shared::domain::error::InputError| !fault.pointer.is_empty();
            for fault in faults.iter().filter(more) {
                assert!(fault.pointer.starts_with("/records/"), "{fault:?}");
            }
        }
        Err(other) => panic!("the server says {other:?} of records that were read without a fault"),
    }
}

/// Tables by the first letter of an input: their form, and how their keys are compared.
const TABLES: [(&str, &str); 8] = [
    ("csv", "exact"),
    ("csv", "domain"),
    ("csv", "name"),
    ("csv", "email"),
    ("ndjson", "exact"),
    ("ndjson", "domain"),
    ("ndjson", "name"),
    ("ndjson", "email"),
];

fn tables() -> &'static [DatasetConfig] {
    static CONFIGS: OnceLock<Vec<DatasetConfig>> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let table = |(form, normal): &(&str, &str)| {
            let toml = format!(
                "[types.t]\ninputs = [[\"key\"]]\nwaterfall = [\"d\"]\n\
                 [providers.d]\nkind = \"dataset\"\nfile = \"t.{form}\"\n\
                 key = {{ key = {{ column = \"Key\", as = \"{normal}\" }} }}\n\
                 fields = {{ name = \"Name\" }}\n"
            );
            let config = Config::parse(READERS, "tables", &toml).unwrap_or_else(|e| panic!("{e}"));
            config.providers[0]
                .kind
                .downcast_ref::<DatasetConfig>()
                .expect("a table")
                .clone()
        };
        TABLES.iter().map(table).collect()
    })
}

/// A table behind a digit that chooses one of eight declarations. It is refused, or every row
/// counts as one that can be found or as one left out. Each key finds the first row with it.
pub fn dataset(bytes: &[u8]) {
    let Some((digit, text)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let config = &tables()[usize::from(*digit) % TABLES.len()];
    let Ok(table) = Dataset::parse(config, text.to_owned()) else {
        return;
    };
    let sim = Sim::new(1);
    let ports = Ports {
        http: sim.http.clone(),
        dns: sim.dns.clone(),
        assets: sim.assets.clone(),
        clock: sim.clock.clone(),
        entropy: sim.entropy.clone(),
        shared: None,
        seen: None,
        guard: None,
    };
    let Ok((rows, skipped)) = sim.finish(table.counts(&ports)) else {
        return;
    };
    // A lone carriage return also ends a row.
    let most = text.split(['\n', '\r']).count();
    assert!(
        rows > 0 && rows + skipped <= most,
        "{rows} and {skipped} rows"
    );
    let ask = |key: &str| {
        let input = Map::from_iter([("key".to_owned(), Value::from(key))]);
        sim.finish(table.ask(&super::answers::question(&input), &ports))
    };
    for key in text.split([',', '\n', '"', '\r']).take(50) {
        match ask(key) {
            Answer::Found { fields, .. } => assert_eq!(fields.keys().collect::<Vec<_>>(), ["name"]),
            Answer::NotFound | Answer::Invalid(_) => {}
            other => panic!("{other:?}"),
        }
    }
}
