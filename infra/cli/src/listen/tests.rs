use clap::Parser;
use shared::domain::signature::headers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::args::{Cli, Command};

const BODY: &str = r#"{"type":"job.completed","data":{"id":"job_1","status":"completed","counts":{"total":3,"found":2,"not_found":1}}}"#;

fn receiver(extra: &[&str]) -> Arc<Receiver> {
    let args = Cli::try_parse_from(["millrace", "listen"].iter().chain(extra)).unwrap();
    let Command::Listen(args) = args.command else {
        panic!("not listen")
    };
    Receiver::new(vec![Secret::new(&[1; 32]), Secret::new(&[2; 32])], &args)
}

/// Sends as a sender does: an event signed at a time with the secret made of that byte.
fn signed(secret: u8, id: &str, at: Timestamp, body: &str) -> Vec<(String, String)> {
    headers(&[&Secret::new(&[secret; 32])], id, at, body.as_bytes())
}

fn judge(receiver: &Receiver, headers: &[(String, String)], body: &str, at: Timestamp) -> Verdict {
    let delivery = Delivery {
        id: Some(&headers[0].1),
        timestamp: Some(&headers[1].1),
        signatures: Some(&headers[2].1),
        body: body.as_bytes(),
    };
    receiver.judge(&delivery, at)
}

#[test]
fn signatures_are_judged() {
    let (receiver, at) = (receiver(&[]), Timestamp(1_800_000_000_000));
    let verdict = |secret, sent: Timestamp, body| {
        judge(&receiver, &signed(secret, "evt_1", sent, BODY), body, at)
    };
    assert_eq!(verdict(9, at, BODY).refused, Some(Unverified::Signature));
    assert_eq!(verdict(1, at, "{}").refused, Some(Unverified::Signature));
    assert_eq!(
        verdict(1, at.minus(Duration::from_secs(301)), BODY).refused,
        Some(Unverified::Timestamp)
    );
    assert_eq!(
        verdict(1, at.plus(Duration::from_secs(301)), BODY).refused,
        Some(Unverified::Timestamp)
    );
    let good = Verdict {
        answer: StatusCode::OK,
        attempt: 1,
        duplicate: false,
        refused: None,
    };
    assert_eq!(verdict(1, at, BODY), good);
    assert_eq!(
        verdict(2, at, BODY),
        Verdict {
            attempt: 2,
            duplicate: true,
            ..good
        }
    );
    assert_eq!(
        receiver.tally(),
        Tally {
            verified: 2,
            refused: 4,
            taken: 1
        }
    );
    let none = Delivery {
        id: None,
        timestamp: None,
        signatures: None,
        body: b"",
    };
    assert_eq!(receiver.judge(&none, at).refused, Some(Unverified::Headers));
}

#[test]
fn scripted_answers_are_given_in_order_and_a_failure_is_not_taken() {
    let (receiver, at) = (
        receiver(&["--answer", "500,503,200", "--once", "1"]),
        Timestamp(1_800_000_000_000),
    );
    let mut answers = Vec::new();
    for n in 1..=4 {
        let verdict = judge(&receiver, &signed(1, "evt_1", at, BODY), BODY, at);
        answers.push((verdict.answer.as_u16(), verdict.attempt, verdict.duplicate));
        assert_eq!(receiver.over.borrow().is_some(), n >= 3);
    }
    assert_eq!(
        answers,
        [
            (500, 1, false),
            (503, 2, false),
            (200, 3, false),
            (200, 4, true)
        ]
    );
    assert!(
        Scripted::parse("200,").is_err()
            && Scripted::parse("100").is_err()
            && Scripted::parse("x").is_err()
    );
}

#[test]
fn lines_say_verified_only_of_what_is() {
    let (receiver, at) = (receiver(&[]), Timestamp(1_769_850_900_000));
    let sent = signed(1, "evt_1\u{1b}[2J", at, BODY);
    let line = |body: &str| {
        let delivery = Delivery {
            id: Some(&sent[0].1),
            timestamp: Some(&sent[1].1),
            signatures: Some(&sent[2].1),
            body: body.as_bytes(),
        };
        as_text(&delivery, &receiver.judge(&delivery, at), at)
    };
    let good = "2026-01-31T09:15:00.000Z verified job.completed evt_1\u{fffd}[2J (attempt 1) -> \
        200  job_1 completed, 3 records: 2 found, 1 not found";
    assert_eq!(line(BODY), good);
    let bad = line("{\"type\": \"verified\"}");
    assert!(
        bad.contains("REFUSED") && !bad.contains("verified"),
        "{bad}"
    );
}

#[test]
fn a_records_event_names_its_job_and_place() {
    let (receiver, at) = (receiver(&[]), Timestamp(1_769_850_900_000));
    let body = r#"{"type":"record.finished","data":{"job_id":"job_1","result":{"index":7,"status":"not_found"}}}"#;
    let sent = signed(1, "evt_1", at, body);
    let delivery = Delivery {
        id: Some(&sent[0].1),
        timestamp: Some(&sent[1].1),
        signatures: Some(&sent[2].1),
        body: body.as_bytes(),
    };
    let verdict = receiver.judge(&delivery, at);
    assert!(as_text(&delivery, &verdict, at).ends_with("-> 200  job_1 record 7 not_found"));
    let json = as_json(&delivery, &verdict, at);
    assert_eq!(
        (&json["job"], &json["record"], &json["status"]),
        (&json!("job_1"), &json!(7), &json!("not_found"))
    );
}

async fn post(
    address: std::net::SocketAddr,
    path: &str,
    headers: &[(String, String)],
    body: &str,
) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut text = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    stream
        .write_all(format!("{text}\r\n{body}").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_server_ends_after_enough_and_answers_until_then() {
    let receiver = receiver(&["--once", "2", "--path", "/hook", "--json"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = tokio::spawn({
        let receiver = Arc::clone(&receiver);
        async move { serve(listener, &receiver).await }
    });
    // Keeps a connection open in silence; the command does not wait for it.
    let silent = TcpStream::connect(address).await.unwrap();
    let good = signed(1, "evt_1", now(), BODY);
    assert_eq!(post(address, "/hook", &good, BODY).await, "HTTP/1.1 200 OK");
    assert_eq!(post(address, "/hook", &good, BODY).await, "HTTP/1.1 200 OK");
    assert_eq!(
        post(address, "/hook", &good, "{}").await,
        "HTTP/1.1 400 Bad Request"
    );
    assert_eq!(
        post(address, "/other", &good, BODY).await,
        "HTTP/1.1 404 Not Found"
    );
    let huge = [(
        "content-length".to_owned(),
        (MAX_BODY_BYTES + 1).to_string(),
    )];
    assert!(
        post(address, "/hook", &huge, "")
            .await
            .starts_with("HTTP/1.1 4")
    );
    assert_eq!(
        post(address, "/hook", &signed(2, "evt_2", now(), BODY), BODY).await,
        "HTTP/1.1 200 OK"
    );
    running.await.unwrap().unwrap();
    assert_eq!(
        receiver.tally(),
        Tally {
            verified: 3,
            refused: 1,
            taken: 2
        }
    );
    drop(silent);
}
