use std::time::Duration;

use super::*;
use crate::catalog::Config;
use crate::domain::rows::NOT_UTF_8;
use crate::providers::kinds::READERS;
use crate::providers::testing::{Script, input, ports, question};

fn dataset(file: &str, key: &str, fields: &str, text: &str) -> Result<Dataset, ConfigError> {
    declared(file, &format!("key = {key}"), fields, text)
}

fn declared(file: &str, lookup: &str, fields: &str, text: &str) -> Result<Dataset, ConfigError> {
    read(file, lookup, fields, text.into())
}

fn read(file: &str, lookup: &str, fields: &str, bytes: Vec<u8>) -> Result<Dataset, ConfigError> {
    let toml = format!(
        "[types.t]\ninputs = [[\"domain\", \"name\", \"id\", \"email\", \"keyword\"]]\nwaterfall = [\"d\"]\n\
         [providers.d]\nkind = \"dataset\"\nfile = \"{file}\"\n{lookup}\nfields = {fields}\n"
    );
    let config = Config::parse(READERS, "p.toml", &toml).unwrap();
    let Some(dataset) = config.providers[0].kind.downcast_ref::<DatasetConfig>() else {
        panic!("not a dataset")
    };
    Dataset::parse(dataset, bytes)
}

async fn ask(table: &Dataset, value: Value) -> Answer {
    table
        .ask(&question(&input(value), Duration::from_secs(1)), &ports().0)
        .await
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
    let table = dataset(
        "d.csv",
        BY_DOMAIN,
        "{ name = \"name\", color = \"color\" }",
        CSV,
    )
    .unwrap();
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
    let Answer::Found { fields, .. } =
        ask(&table, serde_json::json!({"domain": "shop.example.co.uk"})).await
    else {
        panic!("not found")
    };
    assert!(
        !fields.contains_key("color"),
        "an empty cell is not a field"
    );
}

#[tokio::test]
async fn what_is_no_domain_is_invalid() {
    let table = dataset("d.csv", BY_DOMAIN, "{ name = \"name\" }", CSV).unwrap();
    for wrong in [
        "not a domain",
        "10.0.0.1",
        "a@example.com",
        "\r\n",
        "a\u{0}.com",
    ] {
        let answer = ask(&table, serde_json::json!({"domain": wrong})).await;
        assert!(
            matches!(answer, Answer::Invalid(_)),
            "{wrong:?}: {answer:?}"
        );
    }
    assert!(matches!(
        ask(&table, serde_json::json!({})).await,
        Answer::Invalid(_)
    ));
    assert!(matches!(
        ask(&table, serde_json::json!({"domain": 5})).await,
        Answer::Invalid(_)
    ));
}

#[tokio::test]
async fn ndjson_keeps_types_and_composite_keys_need_every_part() {
    let text = "{\"id\": 7, \"mail\": \"A@Example.com\", \"n\": {\"x\": [1]}}\n\n{\"id\": 8, \"mail\": \"bad\", \"n\": 1}\n";
    let key = "{ id = \"id\", email = { column = \"mail\", as = \"email\" } }";
    let table = dataset("d.ndjson", key, "{ name = \"n\" }", text).unwrap();
    assert_eq!(table.counts(&ports().0).await, Ok((1, 1)));
    let Answer::Found { fields, .. } = ask(
        &table,
        serde_json::json!({"id": "7", "email": "a@EXAMPLE.com "}),
    )
    .await
    else {
        panic!("not found")
    };
    assert_eq!(fields["name"], serde_json::json!({"x": [1]}));
    assert_eq!(
        ask(
            &table,
            serde_json::json!({"id": "8", "email": "a@example.com"})
        )
        .await,
        Answer::NotFound
    );
}

#[tokio::test]
async fn names_are_compared_without_case_marks_and_legal_form() {
    let key = "{ name = { column = \"name\", as = \"name\" } }";
    let text = "name,domain\n\"Yahoo! Inc.\",yahoo.com\nAT&T,att.com\nCo,co.example\nC++,cpp.example\nYahoo,second.example\n\
         Nestl\u{e9} S.A.,nestle.com\nM\u{fc}ller GmbH & Co. KG,mueller.de\nSchroeder,schroeder.example\n";
    let table = dataset("d.csv", key, "{ name = \"domain\" }", text).unwrap();
    for (name, wanted) in [
        ("yahoo", Some("yahoo.com")),
        ("  YAHOO, Inc", Some("yahoo.com")),
        ("at and t", Some("att.com")),
        ("co", Some("co.example")),
        ("C++", Some("cpp.example")),
        ("c", None),
        ("yahoo japan", None),
        ("Nestle", Some("nestle.com")),
        ("NESTLE\u{301}", Some("nestle.com")),
        ("M\u{fc}ller", Some("mueller.de")),
        ("Mueller Inc", Some("mueller.de")),
        ("Muller S.p.A.", Some("mueller.de")),
        ("Schr\u{f6}der", Some("schroeder.example")),
        ("Schroder", None),
    ] {
        assert_eq!(
            name_of(&ask(&table, serde_json::json!({"name": name})).await),
            wanted,
            "{name}"
        );
    }
    assert!(matches!(
        ask(&table, serde_json::json!({"name": "--- !"})).await,
        Answer::Invalid(_)
    ));
}

#[test]
fn a_missing_column_is_told_at_once_and_where() {
    let error = dataset("d.csv", BY_DOMAIN, "{ name = \"nmae\" }", CSV)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "p.toml:8:19: d.csv has no column `nmae`; it has domain, name, color"
    );
    let error = dataset("d.csv", "{ domain = \"dom\" }", "{ name = \"name\" }", CSV)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "p.toml:7:18: d.csv has no column `dom`; it has domain, name, color"
    );
    assert!(
        dataset(
            "d.csv",
            BY_DOMAIN,
            "{ name = \"name\" }",
            &format!("\u{feff}{CSV}")
        )
        .is_ok()
    );
}

#[test]
fn an_empty_file_and_names_with_blanks_are_told() {
    let reported = |text: &str| {
        dataset("d.csv", BY_DOMAIN, "{ name = \"name\" }", text)
            .unwrap_err()
            .to_string()
    };
    for empty in ["", "\u{feff}", "\n\n", "\r\n", " \n\t\n"] {
        assert_eq!(
            reported(empty),
            "p.toml:6:8: d.csv: the file is empty; its first line names the columns, separated by commas",
            "{empty:?}"
        );
    }
    for (header, listed) in [
        ("domain ,name", "\"domain \", name"),
        ("do\u{a0}main;name", "\"do\\u{a0}main\", name"),
        (
            "\u{200b}domain,company name,,a  b",
            "\"\\u{200b}domain\", company name, \"\", \"a  b\"",
        ),
    ] {
        let wanted = format!("p.toml:7:18: d.csv has no column `domain`; it has {listed}");
        assert_eq!(reported(&format!("{header}\na.com,A\n")), wanted);
    }
    assert!(
        reported("domain,name,domain\na.com,A,b.com\n")
            .ends_with("d.csv has the column `domain` 2 times; rename all but one")
    );
    assert!(reported("PK\u{3}\u{4}").contains("spreadsheet"));
}

#[tokio::test]
async fn tables_are_read_as_spreadsheets_and_people_save_them() {
    let utf_16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    for (file, bytes) in [
        ("d.csv", b"domain,name,city\na.com,A\n\n,,\n b.com ,B,,,\n".to_vec()),
        ("d.csv", b"sep=;\r\ndomain;name;city\r\na.com;A;\r\nb.com;B;\r\n".to_vec()),
        ("d.csv", b"domain\tname\tcity\na.com\tA\t\nb.com\tB\t\n".to_vec()),
        ("d.csv", b"\xef\xbb\xbfname|domain|city\nA|a.com|  \nB|b.com|x\n".to_vec()),
        ("d.csv", b",domain,name,city\n0,a.com,A,\ndomain,name\n1,b.com,B,\n,domain,name,city\n".to_vec()),
        ("d.csv", utf_16("\u{feff}domain\tname\tcity\r\na.com\tA\t\r\nb.com\tB\r\n")),
        ("d.csv", b"\"domain\",\"name\",\"city\"\ra.com,A,\rb.com,B\r".to_vec()),
        ("d.ndjson", b"\xef\xbb\xbf{\"domain\":\"a.com\",\"name\":\"A\",\"city\":NaN}\r\n\r\n \n\xef\xbb\xbf{\"domain\":\"b.com\",\"name\":\"B\"}".to_vec()),
        ("d.ndjson", utf_16("{\"domain\":\"a.com\",\"name\":\"A\",\"city\":null}\n{\"domain\":\"b.com\",\"name\":\"B\"}\n")),
    ] {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let table = read(file, &format!("key = {BY_DOMAIN}"), "{ name = \"name\", city = \"city\" }", bytes);
        let table = table.unwrap_or_else(|e| panic!("{shown}: {e}"));
        for (domain, wanted) in [("a.com", "A"), ("b.com", "B")] {
            let Answer::Found { fields, .. } = ask(&table, serde_json::json!({"domain": domain})).await else {
                panic!("{shown}: {domain}")
            };
            assert_eq!(fields["name"], wanted, "{shown}");
            assert!(domain != "a.com" || !fields.contains_key("city"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_column_that_no_row_has_is_told() {
    let rows = "{\"domain\": \"a.com\", \"staff\": 5}\n{\"domain\": \"b.com\", \"city\": null}\n";
    let reported = async |lookup: &str, field: &str, rows: &str| {
        let table = declared(
            "d.ndjson",
            lookup,
            &format!("{{ name = \"{field}\" }}"),
            rows,
        )
        .unwrap();
        table.inspect(&ports().0).await
    };
    let key = "key = { domain = \"domain\" }";
    let missing = |column: &str| {
        Err(format!(
            "d.ndjson: no row has `{column}`; the first row has domain, staff"
        ))
    };
    assert_eq!(reported(key, "staf", rows).await, missing("staf"));
    assert_eq!(
        reported("key = { domain = \"host\" }", "staff", rows).await,
        missing("host")
    );
    assert_eq!(
        reported(
            "search = { columns = [\"domain\", \"tags\"] }",
            "staff",
            rows
        )
        .await,
        missing("tags")
    );
    // One row that has it is enough, whatever it has there.
    assert_eq!(
        reported(key, "city", rows).await,
        Ok(vec!["d.ndjson has 2 rows".to_owned()])
    );
    let wide = (0..30)
        .map(|n| format!("\"c{n:02}\": 1"))
        .collect::<Vec<_>>()
        .join(", ");
    let why = reported(key, "staff", &format!("{{{wide}}}\n"))
        .await
        .unwrap_err();
    assert!(why.ends_with(", c18, c19, …"), "{why}");
}

#[tokio::test]
async fn rows_that_are_left_out_are_counted_and_why() {
    let table = dataset(
        "d.csv",
        BY_DOMAIN,
        "{ name = \"name\" }",
        "domain,name\na.com,A\na.com,B\n",
    )
    .unwrap();
    assert_eq!(
        table.inspect(&ports().0).await.unwrap(),
        [
            "d.csv has 1 row",
            "1 row left out (no usable key, or the key of an earlier row)"
        ]
    );
    let text = "name,tags,about\nA,x,\nB,,\nC,,-\n";
    let table = declared("d.csv", SEARCH, "{ name = \"name\" }", text).unwrap();
    assert_eq!(
        table.inspect(&ports().0).await.unwrap(),
        ["d.csv has 1 row", "2 rows left out (no word to search for)"]
    );
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
        let first = if header.contains("na\n") {
            "x,a.com,A\n"
        } else {
            "a.com,A\n"
        };
        let table = dataset(
            "d.csv",
            BY_DOMAIN,
            "{ name = \"name\" }",
            &format!("{header}{first}"),
        )
        .unwrap();
        assert_eq!(
            name_of(&ask(&table, serde_json::json!({"domain": "a.com"})).await),
            Some("A"),
            "{header:?}"
        );
    }
}

#[tokio::test]
async fn broken_rows_fail_and_name_the_line() {
    for (file, text, wanted) in [
        (
            "d.csv",
            "domain,name\n\na.com,A,more\n",
            "d.csv: line 3 has 3 cells, the header has 2: cell 3 has no column",
        ),
        (
            "d.csv",
            "domain,name\na.com,\"A\nb.com,B\n",
            "d.csv: line 2 has 2 cells, and quotes that do not match; is one missing?",
        ),
        (
            "d.ndjson",
            "{}\n[1]\n",
            "d.ndjson: line 2 is not a JSON object",
        ),
        (
            "d.csv",
            "domain,name\n",
            "d.csv: the table has no row with a usable key",
        ),
    ] {
        let table = dataset(file, BY_DOMAIN, "{ name = \"name\" }", text).unwrap();
        let answer = ask(&table, serde_json::json!({"domain": "a.com"})).await;
        let Answer::Failed { code, detail } = answer else {
            panic!("{answer:?}")
        };
        assert!(
            code.as_str() == "provider_error" && detail.starts_with(wanted),
            "{detail}"
        );
        assert!(table.inspect(&ports().0).await.is_err());
    }
}

#[tokio::test]
async fn the_longest_prefix_wins() {
    let key = "{ id = { column = \"prefix\", as = \"prefix\" } }";
    let text =
        "prefix,name\n+49,Germany\n+4930,Berlin\n+49 ,again\n/docs/,Docs\n/docs/ü,Umlaut\n,empty\n";
    let table = dataset("d.csv", key, "{ name = \"name\" }", text).unwrap();
    assert_eq!(table.counts(&ports().0).await, Ok((4, 2)));
    for (id, wanted) in [
        ("+493012345678", Some("Berlin")),
        (" +49401", Some("Germany")),
        ("+49", Some("Germany")),
        ("+4", None),
        ("/docs/a/b", Some("Docs")),
        ("/docs/üx", Some("Umlaut")),
        // A prefix's length falls inside a letter of this one.
        ("/docs/€", Some("Docs")),
        ("/Docs/a", None),
    ] {
        assert_eq!(
            name_of(&ask(&table, serde_json::json!({"id": id})).await),
            wanted,
            "{id}"
        );
    }
    let both = "{ id = { column = \"prefix\", as = \"prefix\" }, domain = { column = \"d\", as = \"domain\" } }";
    let text = "prefix,d,name\n/,example.com,Root\n/a,example.com,A\n/,shop.example.com,Shop\n";
    let table = dataset("d.csv", both, "{ name = \"name\" }", text).unwrap();
    let answer = ask(
        &table,
        serde_json::json!({"id": "/a/b", "domain": "shop.example.com"}),
    )
    .await;
    assert_eq!(
        name_of(&answer),
        Some("A"),
        "keys are tried in the order of the input fields"
    );
}

#[tokio::test]
async fn the_longest_network_wins() {
    let key = "{ id = { column = \"net\", as = \"network\" } }";
    let text = "net,name\n10.0.0.0/8,Ten\n10.1.0.0/16,Ten one\n10.1.2.3,Lone\n10.9.9.9/8,again\n2001:db8::/32,Six\n\
                0.0.0.0/0,Any\nnothing,none\n";
    let table = dataset("d.csv", key, "{ name = \"name\" }", text).unwrap();
    assert_eq!(table.counts(&ports().0).await, Ok((5, 2)));
    for (id, wanted) in [
        ("10.1.2.3", Some("Lone")),
        ("10.1.2.4", Some("Ten one")),
        ("10.200.0.1", Some("Ten")),
        ("::ffff:10.1.2.3", Some("Lone")),
        ("192.0.2.1", Some("Any")),
        ("2001:DB8::1", Some("Six")),
        ("2001:db9::1", None),
    ] {
        assert_eq!(
            name_of(&ask(&table, serde_json::json!({"id": id})).await),
            wanted,
            "{id}"
        );
    }
    for wrong in ["10.0.0.0/8", "example.com", " "] {
        let answer = ask(&table, serde_json::json!({"id": wrong})).await;
        assert!(
            matches!(&answer, Answer::Invalid(why) if why == "`id` is not an IP address"),
            "{answer:?}"
        );
    }
}

const SEARCH: &str = "search = { columns = [\"tags\", \"about\"], limit = 3 }";

#[tokio::test]
async fn words_are_found_wherever_they_stand_and_the_weightiest_column_counts() {
    let text = "name,tags,about\nA,software,makes tools\nB,tools,makes software\nC,software tools,\nD,,Software & Tools!\n\
                E,\"SOFTWARE, hardware\",tools for all\nF,,\nG,C++,\nH,softwares,tools\n";
    let table = declared(
        "d.csv",
        SEARCH,
        "{ name = \"name\", about = \"about\" }",
        text,
    )
    .unwrap();
    assert_eq!(table.counts(&ports().0).await, Ok((7, 1)));
    let names =
        async |keyword: &str| match ask(&table, serde_json::json!({"keyword": keyword})).await {
            Answer::Found { fields, .. } => {
                let leads = fields["leads"].as_array().unwrap();
                leads
                    .iter()
                    .map(|lead| lead["name"].as_str().unwrap())
                    .collect::<String>()
            }
            Answer::NotFound => String::new(),
            other => panic!("{other:?}"),
        };
    for (keyword, wanted) in [
        ("software", "ACE"),
        ("Tools", "BCA"),
        ("software tools", "CAB"),
        ("tools software tools", "CAB"),
        ("hardware, software", "E"),
        ("c++", "G"),
        ("c", ""),
        ("software nonsense", ""),
    ] {
        assert_eq!(names(keyword).await, wanted, "{keyword}");
    }
    let Answer::Found { fields, .. } = ask(&table, serde_json::json!({"keyword": "c++"})).await
    else {
        panic!()
    };
    assert_eq!(
        fields["leads"],
        serde_json::json!([{"name": "G"}]),
        "an empty cell is not a field"
    );
    let many = (0..17)
        .map(|n| format!("w{n}"))
        .collect::<Vec<_>>()
        .join(" ");
    for (input, why) in [
        (serde_json::json!({}), "`keyword` is needed"),
        (
            serde_json::json!({"keyword": "-- !"}),
            "`keyword` holds no letter or digit",
        ),
        (
            serde_json::json!({"keyword": many}),
            "`keyword` has more than 16 words",
        ),
    ] {
        assert_eq!(ask(&table, input).await, Answer::Invalid(why.to_owned()));
    }
}

#[tokio::test]
async fn lists_in_ndjson_are_searched_and_values_keep_their_types() {
    let text = "{\"n\": {\"x\": 1}, \"tags\": [\"red wine\", \"cheese\", 5], \"about\": null}\n{\"tags\": \"wine\"}\n";
    let table = declared("d.ndjson", SEARCH, "{ name = \"n\" }", text).unwrap();
    let answer = ask(&table, serde_json::json!({"keyword": "wine cheese"})).await;
    let Answer::Found { fields, .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(fields["leads"], serde_json::json!([{"name": {"x": 1}}]));
    assert_eq!(
        ask(&table, serde_json::json!({"keyword": "5"})).await,
        Answer::NotFound
    );
}

#[test]
fn wrong_searches_and_keys_are_told_where_they_stand() {
    let error = |lookup: &str| {
        declared("d.csv", lookup, "{ name = \"name\" }", "name,tags,about\n")
            .unwrap_err()
            .to_string()
    };
    assert!(
        error("search = { columns = [\"tag\"] }")
            .starts_with("p.toml:7:23: d.csv has no column `tag`")
    );
    let fault = |lookup: &str| {
        let toml = format!(
            "[types.t]\ninputs = [[\"a\", \"b\", \"keyword\"]]\nwaterfall = [\"d\"]\n[providers.d]\nkind = \"dataset\"\n\
             file = \"d.csv\"\n{lookup}\nfields = {{ n = \"n\" }}\n"
        );
        Config::parse(READERS, "p.toml", &toml)
            .unwrap_err()
            .to_string()
    };
    for (lookup, wanted) in [
        (
            "",
            "`key` is missing; say which input field is looked up in which column, or give a search",
        ),
        (
            "search = { columns = [] }",
            "p.toml:7:22: providers.d: search: columns: a search has 1 to 8 columns",
        ),
        (
            "search = { columns = [\"a\", \"a\"] }",
            "`a` is there twice",
        ),
        (
            "search = { columns = [\"a\"], limit = 201 }",
            "limit: must be a whole number from 1 to 200",
        ),
        (
            "search = { columns = [\"a\"], words = 1 }",
            "the key `words` is not known",
        ),
        ("search = [\"a\"]", "search is a table"),
        (
            "key = { a = \"a\" }\nsearch = { columns = [\"a\"] }",
            "p.toml:8:10: providers.d: search: a table has a key or a search",
        ),
        (
            "key = { a = { column = \"a\", as = \"prefix\" }, b = { column = \"b\", as = \"network\" } }",
            "one key has at most one prefix or network",
        ),
        (
            "key = { a = { column = \"a\", as = \"cidr\" } }",
            "as is exact, domain, email, name, prefix or network",
        ),
    ] {
        let reported = fault(lookup);
        assert!(reported.contains(wanted), "{lookup}: {reported}");
    }
}

const S3: &str = "s3://tables/d.csv";

/// The table in S3, and ports behind which it is `text`.
fn in_s3(text: &str) -> (Dataset, Ports, Arc<Script>) {
    let toml = format!(
        "[types.t]\ninputs = [[\"domain\"]]\nwaterfall = [\"d\"]\n[providers.d]\nkind = \"dataset\"\nfile = \"{S3}\"\n\
         key = {BY_DOMAIN}\nfields = {{ name = \"name\" }}\nmax_mib = 1\n"
    );
    let config = Config::parse(READERS, "p.toml", &toml).unwrap();
    let Some(dataset) = config.providers[0].kind.downcast_ref::<DatasetConfig>() else {
        panic!("not a dataset")
    };
    let (ports, script) = ports();
    script.object(S3, text.as_bytes());
    (
        Dataset::open("d", dataset, Path::new("")).unwrap(),
        ports,
        script,
    )
}

async fn ask_in(table: &Dataset, ports: &Ports, domain: &str) -> Answer {
    table
        .ask(
            &question(
                &input(serde_json::json!({"domain": domain})),
                Duration::from_secs(1),
            ),
            ports,
        )
        .await
}

#[tokio::test]
async fn a_table_in_s3_is_read_when_it_is_needed_and_again_when_it_has_changed() {
    let (table, ports, script) = in_s3("domain,name\na.com,A\n");
    assert!(matches!(
        ask_in(&table, &ports, "no domain").await,
        Answer::Invalid(_)
    ));
    assert_eq!(script.reads(), 0);
    let (one, two) = futures_util::join!(
        ask_in(&table, &ports, "a.com"),
        ask_in(&table, &ports, "a.com")
    );
    assert_eq!(
        (name_of(&one), name_of(&two), script.reads()),
        (Some("A"), Some("A"), 1)
    );
    script.object(S3, b"domain,name\na.com,B\n");
    script.pass(Duration::from_secs(299));
    assert_eq!(
        (
            name_of(&ask_in(&table, &ports, "a.com").await),
            script.reads()
        ),
        (Some("A"), 1)
    );
    script.pass(Duration::from_secs(1));
    assert_eq!(
        (
            name_of(&ask_in(&table, &ports, "a.com").await),
            script.reads()
        ),
        (Some("B"), 2)
    );
    // Checked, and still the same.
    script.pass(Duration::from_secs(301));
    assert_eq!(
        (
            name_of(&ask_in(&table, &ports, "a.com").await),
            script.reads()
        ),
        (Some("B"), 3)
    );
}

#[tokio::test]
async fn a_table_that_cannot_be_read_again_stays_in_use() {
    let (table, ports, script) = in_s3("domain,name\na.com,A\n");
    assert_eq!(name_of(&ask_in(&table, &ports, "a.com").await), Some("A"));
    for broken in [
        &b"domain,nmae\na.com,B\n"[..],
        b"domain,name\na.com,B,C\n",
        b"domain,name\n",
        b"\xff\xfe",
        b"",
    ] {
        script.object(S3, broken);
        script.pass(Duration::from_secs(300));
        assert_eq!(
            name_of(&ask_in(&table, &ports, "a.com").await),
            Some("A"),
            "{broken:?}"
        );
    }
    script.assets_fail(Some(AssetError::Refused("403 AccessDenied".to_owned())));
    script.pass(Duration::from_secs(300));
    assert_eq!(name_of(&ask_in(&table, &ports, "a.com").await), Some("A"));
    // And it is tried again.
    script.assets_fail(None);
    script.object(S3, b"domain,name\na.com,B\n");
    script.pass(Duration::from_secs(300));
    assert_eq!(name_of(&ask_in(&table, &ports, "a.com").await), Some("B"));
}

#[tokio::test]
async fn what_is_wrong_with_a_table_in_s3_is_told() {
    for (text, wanted) in [
        (
            &b"domain,nmae\na.com,A\n"[..],
            "p.toml:8:19: s3://tables/d.csv has no column `name`; it has domain, nmae",
        ),
        (
            b"domain,name\n",
            "s3://tables/d.csv: the table has no row with a usable key",
        ),
        (
            b"\xff",
            &format!("p.toml:6:8: s3://tables/d.csv: line 1 {NOT_UTF_8}"),
        ),
        (
            b"domain,name\n\xff,A\n",
            &format!("s3://tables/d.csv: line 2 {NOT_UTF_8}"),
        ),
        (
            &vec![b'x'; 1024 * 1024 + 1],
            "s3://tables/d.csv: it is larger than 1048576 bytes; raise `max_mib`",
        ),
    ] {
        let (table, ports, script) = in_s3("");
        script.object(S3, text);
        let Answer::Failed { code, detail } = ask_in(&table, &ports, "a.com").await else {
            panic!("{wanted}")
        };
        assert!(
            code.as_str() == "provider_error" && !detail.contains("s3:"),
            "no business of a tenant's: {detail}"
        );
        assert_eq!(table.inspect(&ports).await, Err(wanted.to_owned()));
        assert_eq!(script.reads(), 1, "a fault is kept for a moment");
    }
    let (table, ports, script) = in_s3("");
    script.assets_fail(Some(AssetError::Missing));
    let wanted = "s3://tables/d.csv: it does not exist; create it, in the region of the functions";
    assert_eq!(table.inspect(&ports).await, Err(wanted.to_owned()));
}

#[tokio::test]
async fn rows_of_a_table_without_a_header_were_told_to_tenants_and_the_log() {
    let rows = "jane@x.example,Jane Doe\n";
    let fault = dataset("d.csv", BY_DOMAIN, "{ name = \"name\" }", rows)
        .unwrap_err()
        .to_string();
    assert!(
        fault.contains("jane@") && !without_names(&fault).contains("jane@"),
        "{fault}"
    );
    let (table, ports, _) = in_s3(rows);
    let Answer::Failed { detail, .. } = ask_in(&table, &ports, "a.com").await else {
        panic!("no header")
    };
    assert!(!detail.contains("jane@"), "{detail}");
    let table = dataset(
        "d.ndjson",
        BY_DOMAIN,
        "{ name = \"name\" }",
        "\"jane@x.example\"\n",
    )
    .unwrap();
    let Answer::Failed { detail, .. } = ask(&table, serde_json::json!({"domain": "a.com"})).await
    else {
        panic!("no row")
    };
    assert!(
        detail.contains("line 1") && !detail.contains("jane@"),
        "{detail}"
    );
}
