use serde_json::json;
use shared::domain::rows::NOT_UTF_8;

use super::*;

fn kind() -> InputKind {
    let account = json!({"types": [{"type": "company", "inputs": [["domain"], ["company_name",
        "country"]],
        "optional_inputs": ["city"]}, {"type": "hem", "inputs": [["email"]]}]});
    assert_eq!(
        InputKind::find(&account, "tech").unwrap_err(),
        ["company", "hem"]
    );
    InputKind::find(&account, "company").unwrap()
}

fn csv(text: &str, columns: &Columns) -> Result<Vec<(u64, Value)>, Vec<String>> {
    shown(read(
        text.as_bytes(),
        Form::Csv(b','),
        columns,
        Some(&kind()),
    ))
}

fn ndjson(text: &str, columns: &Columns) -> Result<Vec<(u64, Value)>, Vec<String>> {
    shown(read(text.as_bytes(), Form::Ndjson, columns, Some(&kind())))
}

fn shown(read: Result<Vec<Record>, Vec<Fault>>) -> Result<Vec<(u64, Value)>, Vec<String>> {
    read.map(|records| {
        records
            .iter()
            .map(|r| (r.line, serde_json::from_slice(&r.json).unwrap()))
            .collect()
    })
    .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn pairs(texts: &[&str]) -> Vec<(String, String)> {
    texts.iter().map(|t| Columns::pair(t).unwrap()).collect()
}

#[test]
fn columns_find_their_places_by_name() {
    let text = "\u{feff}ID,Domain,crm id,City,notes\r\n1,stripe.com,a-17,,\"two\nlines\"\r\n\r\n\
        ,,,,\r\n2, a.de ,,Bonn,x\r\n";
    let records = csv(text, &Columns::default()).unwrap();
    assert_eq!(
        records,
        [
            (
                2,
                json!({"id": "1", "input": {"domain": "stripe.com"},
                    "metadata": {"crm id": "a-17", "notes": "two\nlines"}})
            ),
            (
                6,
                json!({"id": "2", "input": {"domain": "a.de", "city": "Bonn"},
                    "metadata": {"notes": "x"}})
            ),
        ]
    );
}

#[test]
fn an_exact_name_comes_before_a_similar_one() {
    let records = csv("Domain,domain\nx.com,y.com\n", &Columns::default()).unwrap();
    assert_eq!(
        records,
        [(
            2,
            json!({"input": {"domain": "y.com"}, "metadata": {"Domain": "x.com"}})
        )]
    );
}

#[test]
fn the_command_line_decides_about_columns() {
    let columns = Columns {
        id: Some("key".into()),
        input: pairs(&["site=domain"]),
        metadata: pairs(&["site=seen_as", "city"]),
        omit: vec!["secret".into()],
    };
    let records = csv(
        "key,id,site,domain,city,secret\nk,1,a.com,b.com,Bonn,s\n",
        &columns,
    )
    .unwrap();
    let metadata = json!({"id": "1", "seen_as": "a.com", "domain": "b.com", "city": "Bonn"});
    assert_eq!(
        records,
        [(
            2,
            json!({"id": "k", "input": {"domain": "a.com"}, "metadata": metadata})
        )]
    );

    let wrong = Columns {
        input: pairs(&["web=domain"]),
        ..Columns::default()
    };
    assert_eq!(
        csv("a,b\n1,2\n", &wrong).unwrap_err(),
        ["line 1: no column \"web\"; there are a, b"]
    );
    assert!(Columns::pair("=x").is_err() && Columns::pair("x=").is_err());
}

#[test]
fn every_bad_row_is_reported_with_its_line() {
    let text =
        "id,domain,company_name\n1,a.com,Acme, Inc\n2,,\n\n3,,Acme\n4,d.com,x\n5,\"e.com,x\n";
    let faults = csv(text, &Columns::default()).unwrap_err();
    assert_eq!(
        faults,
        [
            "line 2: has 4 cells, the header has 3: cell 4 has no column; is it to be in quotes \
             with the one before?",
            "line 3: lacks input; type company needs domain, or company_name and country",
            "line 5: lacks input; type company needs domain, or company_name and country",
            "line 7: has 2 cells, the header has 3, and quotes that do not match; is one missing?",
        ]
    );
    let latin = read(
        b"domain\na.com\nm\xfcller.de\n",
        Form::Csv(b','),
        &Columns::default(),
        Some(&kind()),
    );
    assert_eq!(shown(latin).unwrap_err(), [format!("line 3: {NOT_UTF_8}")]);
}

#[test]
fn rows_that_end_invalid_are_sent_and_counted_by_kind() {
    let kind = InputKind {
        name: "hem".into(),
        inputs: vec![vec!["email".into()]],
        optional: Vec::new(),
    };
    let rows: String = (0..40)
        .map(|n| {
            if n % 4 == 0 {
                "x@y.example,a\n"
            } else {
                ",a\n"
            }
        })
        .collect();
    let long = format!("z@y.example,a\n\"{}\",b\n", "e".repeat(MAX_RECORD_BYTES));
    let text = format!("email,note\n{rows}{long}");
    let lenient = |text: &str| {
        read_leniently(
            text.as_bytes(),
            Form::Csv(b','),
            &Columns::default(),
            Some(&kind),
        )
    };
    let Contents { records, unfit, .. } = lenient(&text).unwrap();
    assert_eq!((records.len(), unfit.len()), (42, 31));
    assert_eq!(
        by_kind(&unfit),
        [
            "30 rows: email is missing (lines 3, 4, 5, 7, 8, …)",
            "line 43: is larger than a record may be, which is at most 65536 bytes as JSON"
        ]
    );
    assert_eq!(
        read(
            text.as_bytes(),
            Form::Csv(b','),
            &Columns::default(),
            Some(&kind)
        )
        .unwrap_err(),
        unfit
    );
    // A file that cannot be read as rows fails as a whole, and all faults are reported.
    let faults = lenient("email,note\n,a\nb@c.example,b,c\n").unwrap_err();
    assert_eq!(
        faults.iter().map(|fault| fault.line).collect::<Vec<_>>(),
        [2, 3]
    );
    let two = |line: u64| Fault {
        line,
        text: "is bad".into(),
    };
    assert_eq!(by_kind(&[two(2), two(9)]), ["2 rows: is bad (lines 2, 9)"]);
    assert_eq!(by_kind(&[two(0), two(0)]), ["2 rows: is bad"]);
}

#[test]
fn a_header_that_comes_again_is_told_and_no_record() {
    let read = |text: &str| {
        read_leniently(
            text.as_bytes(),
            Form::Table,
            &Columns::default(),
            Some(&kind()),
        )
    };
    let files = read(
        "domain,city\na.com,Bonn\nDomain,city\n\u{feff}domain,city\nb.com,\n\n domain ,city\n",
    )
    .unwrap();
    assert_eq!(
        files
            .records
            .iter()
            .map(|record| record.line)
            .collect::<Vec<_>>(),
        [2, 3, 5]
    );
    assert_eq!(
        by_kind(&files.passed),
        ["2 rows: repeats the header, passed over (lines 4, 7)"]
    );
    let one = read("domain,city\ndomain,city\na.com,Bonn\n").unwrap();
    assert_eq!(
        by_kind(&one.passed),
        ["line 2: repeats the header, passed over"]
    );
    assert_eq!(
        read("domain\ndomain\n").unwrap().records.len(),
        1,
        "a single cell may be meant"
    );
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
    assert_eq!(
        fault("domain,\na.com,x\n"),
        "line 2: cell 2 has no name in the header"
    );
    assert!(csv("domain,\na.com,\n", &Columns::default()).is_ok());
}

fn table(bytes: &[u8], columns: &Columns) -> Result<Vec<(u64, Value)>, Vec<String>> {
    shown(read(bytes, Form::Table, columns, Some(&kind())))
}

#[test]
fn files_of_spreadsheets_are_read_as_they_come() {
    let utf_16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let wanted = json!({"id": "7", "input": {"domain": "a.com", "city": "K\u{f6}ln"}});
    for (bytes, line) in [
        (
            "sep=;\nid;domain;city\n7;a.com;K\u{f6}ln\n"
                .as_bytes()
                .to_vec(),
            3,
        ),
        (
            "sep=,\r\nid,domain,city\r\n7,a.com,K\u{f6}ln\r\n"
                .as_bytes()
                .to_vec(),
            3,
        ),
        (
            "sep=\t\nid\tdomain\tcity\n7\ta.com\tK\u{f6}ln"
                .as_bytes()
                .to_vec(),
            3,
        ),
        (
            "\u{feff}sep=;\n\u{feff}\"id\";domain;city\n7;a.com;K\u{f6}ln\n"
                .as_bytes()
                .to_vec(),
            3,
        ),
        (
            "\"sep=;\"\r\rid;domain;city\r7;a.com;K\u{f6}ln\r"
                .as_bytes()
                .to_vec(),
            4,
        ),
        (
            "\u{feff}\u{feff}\"id\",\"domain\",\"city\"\n7,a.com,K\u{f6}ln\n"
                .as_bytes()
                .to_vec(),
            2,
        ),
        ("id;domain;city\n7;a.com;K\u{f6}ln\n".as_bytes().to_vec(), 2),
        (
            "id\tdomain\tcity\r7\ta.com\tK\u{f6}ln".as_bytes().to_vec(),
            2,
        ),
        (
            "\n , , \nid,domain,city\n\n   \n,,\n7,a.com,K\u{f6}ln\n\n"
                .as_bytes()
                .to_vec(),
            7,
        ),
        (
            utf_16("\u{feff}id\tdomain\tcity\r\n7\ta.com\tK\u{f6}ln\r\n"),
            2,
        ),
        (
            utf_16("\u{feff}sep=;\r\nid;domain;city\r\n7;a.com;K\u{f6}ln\r\n"),
            3,
        ),
        (utf_16("id,domain,city\r\n7,a.com,K\u{f6}ln\r\n"), 2),
    ] {
        assert_eq!(
            table(&bytes, &Columns::default()),
            Ok(vec![(line, wanted.clone())]),
            "{bytes:?}"
        );
    }
    let given = shown(read(
        b"sep=,\nid;domain\n7;a.com\n",
        Form::Csv(b';'),
        &Columns::default(),
        Some(&kind()),
    ));
    assert_eq!(
        given,
        Ok(vec![(3, json!({"id": "7", "input": {"domain": "a.com"}}))])
    );
    let marked = "{\"domain\": \"a.com\"}\n\u{feff}{\"domain\": \"b.com\"}\n";
    assert_eq!(
        ndjson(&format!("\u{feff}{marked}"), &Columns::default())
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn missing_last_cells_and_empty_ones_too_many_are_taken() {
    let text = "id,domain,city\n1,a.com\n2,b.com,Bonn,, \n3,\"c.com\"\n4,d.com,\"two\nlines\"\n";
    let records = csv(text, &Columns::default()).unwrap();
    let wanted = [
        (2, json!({"id": "1", "input": {"domain": "a.com"}})),
        (
            3,
            json!({"id": "2", "input": {"domain": "b.com", "city": "Bonn"}}),
        ),
        (4, json!({"id": "3", "input": {"domain": "c.com"}})),
        (
            5,
            json!({"id": "4", "input": {"domain": "d.com", "city": "two\nlines"}}),
        ),
    ];
    assert_eq!(records, wanted);
    for row in [
        "2,b.com,Bonn,,x",
        "2,\"b.com,Bonn\n3,c.com,Bonn\n4,d.com,Ulm",
        "2,\"b.com,Bonn\n3,\"c.com\",Bonn",
    ] {
        let faults = csv(
            &format!("id,domain,city\n1,a.com,\n{row}\n"),
            &Columns::default(),
        )
        .unwrap_err();
        assert!(
            faults.len() == 1 && faults[0].starts_with("line 3: has "),
            "{faults:?}"
        );
    }
}

#[test]
fn a_doubled_column_stops_nothing_that_leaves_it_out() {
    let text = "domain,notes,notes,notes\na.com,x,y,z\n";
    let omit = Columns {
        omit: vec!["notes".into()],
        ..Columns::default()
    };
    assert_eq!(
        csv(text, &omit),
        Ok(vec![(2, json!({"input": {"domain": "a.com"}}))])
    );
    let used = |columns: &Columns| csv(text, columns).unwrap_err().join("; ");
    let wanted = "line 1: the header has \"notes\" 3 times, in columns 2 and 3 and 4; rename one, \
        or --omit them";
    assert_eq!(used(&Columns::default()), wanted);
    assert_eq!(
        used(&Columns {
            input: pairs(&["notes=city"]),
            ..Columns::default()
        }),
        wanted
    );
    assert_eq!(
        used(&Columns {
            id: Some("notes".into()),
            ..Columns::default()
        }),
        wanted
    );
}

#[test]
fn a_column_that_is_probably_meant_is_named() {
    for (text, hint) in [
        ("Website\na.com\n", "Did you mean --input Website=domain?"),
        (
            "ID,Company Website,Country\n1,a.com,DE\n",
            "Did you mean --input 'Company Website=domain'?",
        ),
        (
            "Company,Land\nAcme,DE\n",
            "Did you mean --input Company=company_name --input Land=country?",
        ),
        (
            "Company,Country\nAcme,DE\n",
            "Did you mean --input Company=company_name?",
        ),
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
    assert!(
        faults[0].ends_with("Did you mean --input Website=domain?"),
        "{faults:?}"
    );
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
            (
                1,
                json!({"id": "a", "input": {"domain": "a.com"}, "metadata": {"n": [1]}})
            ),
            (
                3,
                json!({"id": "7", "input": {"domain": "b.com"}, "metadata": {"score": 1.5}})
            ),
        ]
    );
}

#[test]
fn every_row_behind_a_lone_carriage_return_was_said_to_be_on_the_line_before() {
    let records = csv("domain\ra.com\rb.com\r\nc.com\n", &Columns::default()).unwrap();
    assert_eq!(
        records.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
        [2, 3, 4]
    );
}

#[test]
fn every_bad_line_of_json_is_reported() {
    let text =
        "{\"domain\": \"a.com\"\n[1]\n{\"x\": 1}\n{\"id\": [], \"domain\": \"c.com\"}\n{a}\n";
    let faults = ndjson(text, &Columns::default()).unwrap_err();
    assert_eq!(
        faults[0],
        "line 1: is not a JSON object on one line: breaks off"
    );
    assert_eq!(faults[1], "line 2: is not a JSON object");
    assert!(
        faults[2].starts_with("line 3: lacks input"),
        "{}",
        faults[2]
    );
    assert_eq!(faults[3], "line 4: the id is neither a text nor a number");
    assert_eq!(
        faults[4],
        "line 5: is not a JSON object on one line: key must be a string (column 2)"
    );
    let columns = Columns {
        omit: vec!["nowhere".into()],
        ..Columns::default()
    };
    assert_eq!(
        ndjson("{\"domain\": \"a.com\"}", &columns).unwrap_err(),
        ["no line has a member \"nowhere\""]
    );
    let long = format!(
        "{{\"domain\": \"a.com\", \"note\": \"{}\"}}",
        "x".repeat(MAX_RECORD_BYTES)
    );
    assert!(ndjson(&long, &Columns::default()).unwrap_err()[0].contains("at most 65536"));
}

#[test]
fn a_line_that_nests_too_deep_was_sent_and_took_the_whole_file_along() {
    let line = |levels: usize| {
        format!(
            "{{\"domain\": \"a.com\", \"x\": {}{}}}",
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    // The record and its metadata are two levels more.
    assert_eq!(ndjson(&line(60), &Columns::default()).unwrap().len(), 1);
    let faults = ndjson(&format!("{}\n{}", line(1), line(61)), &Columns::default()).unwrap_err();
    assert_eq!(faults, ["line 2: nests deeper than 62 levels"]);
}

#[test]
fn a_header_could_write_escape_sequences_to_the_terminal() {
    for text in ["a,\u{1b}[31mb\n1,2\n", "\u{1b}]0;title\u{7},b\n1,2\n"] {
        let columns = Columns {
            omit: vec!["nowhere".into()],
            ..Columns::default()
        };
        for columns in [Columns::default(), columns] {
            let faults = csv(text, &columns).unwrap_err();
            assert!(
                !faults.iter().any(|fault| fault.contains(char::is_control)),
                "{faults:?}"
            );
        }
    }
    let long = format!("{}\n1\n", "x".repeat(100_000));
    assert!(csv(&long, &Columns::default()).unwrap_err()[0].len() < 1000);
}

fn records(count: usize, json: &str) -> Vec<Record> {
    (0..count)
        .map(|at| Record {
            line: at as u64 + 2,
            json: json.as_bytes().to_vec(),
        })
        .collect()
}

#[test]
fn parts_keep_to_the_limits_of_a_job_and_of_a_request() {
    assert_eq!(split(&records(1000, "{}"), 100), vec![0..1000]);
    assert_eq!(
        split(&records(2001, "{}"), 100),
        vec![0..1000, 1000..2000, 2000..2001]
    );
    assert_eq!(split(&[], 100), vec![]);

    let long = records(200, &format!("{{{}}}", "x".repeat(65_000)));
    let parts = split(&long, 100);
    assert!(
        parts
            .iter()
            .all(|part| part.len() * 65_003 + 100 <= MAX_BODY_BYTES),
        "{parts:?}"
    );
    assert_eq!(
        (parts.first().unwrap().start, parts.last().unwrap().end),
        (0, 200)
    );
    assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));

    // All quotes: half as many fit, because the event escapes every one of them.
    let quotes = split(&records(200, &"\"".repeat(65_000)), 100);
    assert!(
        quotes.iter().all(|part| part.len() * 130_001 < 6_291_456),
        "{quotes:?}"
    );
}
