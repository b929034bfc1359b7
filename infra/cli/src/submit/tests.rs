use super::*;
use crate::api::tests::{client, problem};
use crate::args::{Cli, Command};
use testkit::servers::{Reply, Server};

const ACCOUNT: &str = r#"{"tenant": "t", "types": [{"type": "company", "inputs": [["domain"]]}]}"#;

/// A job that has just been started.
const QUEUED: &str =
    r#"{"id": "job_1", "status": "queued", "credits": {"reserved": 7, "used": 2}}"#;

fn submit_args(extra: &[&str]) -> Submit {
    use clap::Parser;
    let args = [
        "millrace",
        "submit",
        "-",
        "--type",
        "company",
        "--idempotency-key",
        "k",
    ]
    .iter()
    .chain(extra);
    match Cli::try_parse_from(args).unwrap().command {
        Command::Submit(submit) => submit,
        other => panic!("{other:?}"),
    }
}

fn records(count: usize) -> Vec<Record> {
    (0..count)
        .map(|at| Record {
            line: at as u64 + 2,
            json: br#"{"input":{}}"#.to_vec(),
        })
        .collect()
}

#[tokio::test]
async fn bad_rows_are_sent_unless_all_are_or_the_caller_is_strict() {
    let file = std::env::temp_dir().join(format!("millrace-bad-rows-{}.csv", std::process::id()));
    let good = "a.example,x\n".repeat(1000);
    let bad = ",x\n".repeat(1000);
    for (rows, more, jobs) in [
        (format!("{good},x\n"), vec![], Some(1)),
        (format!("{good}{bad}b.example,x\n"), vec![], Some(2)),
        (format!("{good},x\n"), vec!["--strict"], None),
        (bad.clone(), vec![], None),
    ] {
        std::fs::write(&file, format!("domain,note\n{rows}")).unwrap();
        let answer = Reply::new(
            202,
            r#"{"id": "job_1", "errors": [{"pointer": "/records/0/input", "detail": "is bad"}]}"#,
        );
        let server = Server::replying(vec![Reply::new(200, ACCOUNT), answer]).await;
        let args = Submit {
            file: file.clone(),
            ..submit_args(&more)
        };
        let answer = submit(&client(&server.url("/base")), &args).await;
        let sent: Vec<Value> = server
            .got()
            .iter()
            .skip(1)
            .map(|r| serde_json::from_slice(&r.body).unwrap())
            .collect();
        if let Some(jobs) = jobs {
            answer.unwrap();
            let records = sent
                .iter()
                .map(|body| body["records"].as_array().unwrap().len());
            assert_eq!(
                (sent.len(), records.max(), &sent[0]["strict"]),
                (jobs, Some(1000), &Value::Null)
            );
        } else {
            let said = answer.unwrap_err().text().unwrap().clone();
            assert!(
                said.contains("domain is missing") && said.contains("nothing was sent"),
                "{said}"
            );
            assert!(said.lines().count() == 2 && sent.is_empty(), "{said}");
        }
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(
        envelope(&submit_args(&["--strict"]), 1, 1, None)["strict"],
        true
    );
}

#[test]
fn events_go_where_they_are_asked_for() {
    let args = submit_args(&[
        "--webhook",
        "https://a.example",
        "--record-webhook",
        "https://b.example",
    ]);
    let body = envelope(&args, 1, 1, None);
    assert_eq!(body["webhook_url"], "https://a.example");
    assert_eq!(
        body["webhook_events"],
        json!({"record.finished": "https://b.example"})
    );
}

#[tokio::test]
async fn parts_share_the_budget_and_derive_their_keys() {
    let server = Server::replying(vec![Reply::new(202, QUEUED)]).await;
    let args = submit_args(&["--max-credits", "10", "--name", "leads"]);
    let jobs = send_parts(
        &client(&server.url("/base")),
        &args,
        &records(5),
        &[0..2, 2..4, 4..5],
        &BTreeSet::new(),
    )
    .await
    .unwrap();
    assert_eq!(jobs.len(), 3);
    let seen: Vec<(Option<String>, Value)> = server
        .got()
        .iter()
        .map(|r| {
            (
                r.get("idempotency-key").map(str::to_owned),
                serde_json::from_slice(&r.body).unwrap(),
            )
        })
        .collect();
    let reported: Vec<_> = seen
        .iter()
        .map(|(key, body)| {
            let records = body["records"].as_array().unwrap().len();
            (
                key.as_deref().unwrap(),
                body["max_credits"].as_u64().unwrap(),
                body["name"].as_str().unwrap(),
                records,
            )
        })
        .collect();
    assert_eq!(
        reported,
        [
            ("k-1", 10, "leads (1 of 3)", 2),
            ("k-2", 3, "leads (2 of 3)", 2),
            ("k-3", 0, "leads (3 of 3)", 1)
        ]
    );
}

#[tokio::test]
async fn a_refused_part_names_lines_and_how_to_go_on() {
    let fault = r#"{"type": "urn:millrace:problem:invalid", "title": "No", "errors": [{"pointer": "/records/1/input/domain", "detail": "is bad"}]}"#;
    let server = Server::replying(vec![Reply::new(202, QUEUED), Reply::new(400, fault)]).await;
    let args = submit_args(&[]);
    let sent = send_parts(
        &client(&server.url("/base")),
        &args,
        &records(4),
        &[0..2, 2..4],
        &BTreeSet::new(),
    )
    .await;
    let failed = sent.unwrap_err();
    let text = failed.text().unwrap();
    assert!(text.contains("line 5: input/domain: is bad"), "{text}");
    assert!(
        text.contains("1 of 2 jobs were submitted") && text.contains("--idempotency-key k"),
        "{text}"
    );
}

#[tokio::test]
async fn types_come_from_the_account_unless_the_key_may_not_read() {
    let server = Server::replying(vec![Reply::new(200, ACCOUNT)]).await;
    assert_eq!(
        find_kind(&client(&server.url("/base")), "company")
            .await
            .unwrap()
            .unwrap()
            .inputs,
        [["domain"]]
    );
    let unknown = find_kind(&client(&server.url("/base")), "tech")
        .await
        .unwrap_err();
    assert!(matches!(unknown, Failure::Usage(text) if text.contains("offers company")));
    let server = Server::replying(vec![problem(403)]).await;
    assert_eq!(
        find_kind(&client(&server.url("/base")), "company")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn an_interrupted_submission_says_what_was_started_and_how_to_go_on() {
    let second = QUEUED.replace("job_1", "job_2");
    let server = Server::replying(vec![
        Reply::new(202, QUEUED),
        Reply::new(202, second),
        problem(503),
    ])
    .await;
    let stop = async {
        while server.got().len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    let (api, args) = (client(&server.url("/base")), submit_args(&[]));
    let failed = send_until(
        &api,
        &args,
        &records(5),
        &[0..2, 2..4, 4..5],
        &BTreeSet::new(),
        stop,
    )
    .await
    .unwrap_err();
    let Failure::Interrupted(text) = &failed else {
        panic!("{failed:?}")
    };
    assert!(
        text.starts_with("interrupted: 2 of 3 jobs started, 4 of 5 records\n  job_1\n  job_2\n"),
        "{text}"
    );
    assert!(text.contains("lines 6 to 6 may have started"), "{text}");
    assert!(
        text.ends_with("the same command with --idempotency-key k"),
        "{text}"
    );
    assert_eq!(
        format!("{:?}", failed.code()),
        format!("{:?}", std::process::ExitCode::from(130))
    );
}

#[test]
fn the_file_name_tells_the_form() {
    let of = |name: &str| form(Path::new(name), None, None);
    assert_eq!(of("a.CSV").unwrap(), Form::Table);
    assert_eq!(of("a.txt").unwrap(), Form::Table);
    for name in ["a.xlsx", "a.XLS", "a.ods", "a.numbers", "a.xlsm"] {
        let failure = of(name).unwrap_err();
        assert!(
            matches!(&failure, Failure::Usage(text) if text.contains("save it as CSV first")),
            "{failure:?}"
        );
    }
    assert_eq!(
        form(Path::new("a.xls"), Some(InputFormat::Csv), None).unwrap(),
        Form::Table
    );
    assert_eq!(of("a.tsv").unwrap(), Form::Csv(b'\t'));
    assert_eq!(of("a.jsonl").unwrap(), Form::Ndjson);
    assert!(of("-").is_err());
    assert_eq!(
        form(Path::new("-"), Some(InputFormat::Csv), Some(b';')).unwrap(),
        Form::Csv(b';')
    );
}
