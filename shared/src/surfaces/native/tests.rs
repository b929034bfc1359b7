//! Tests of the native API's requests.

use serde_json::{Value, json};

use super::SURFACE;
use super::error::problem;
use super::request::{MAX_ID_CHARS, read_submission};
use crate::catalog::Catalog;
use crate::domain::error::ApiError;
use crate::domain::job::{InvalidRecords, Submission};
use crate::domain::record::MAX_RECORD_BYTES;
use crate::ports::{HttpError, HttpSender};
use crate::providers::kinds::READERS;
use crate::surfaces::Reading;
use crate::surfaces::common::message::{ApiRequest, json_bytes};

struct Anything;

#[async_trait::async_trait]
impl HttpSender for Anything {
    async fn send(
        &self,
        _: crate::ports::HttpRequest,
    ) -> Result<crate::ports::HttpAnswer, HttpError> {
        Err(HttpError::Timeout)
    }

    fn check(&self, _: &str, _: bool) -> Result<(), HttpError> {
        Ok(())
    }
}

fn read(body: &str) -> Result<Submission, ApiError> {
    let text = concat!(
        "[types.company]\ndescription = \"d\"\ninputs = [[\"domain\"]]\n",
        "unconfigured = \"x\"\nwaterfall = []\n"
    );
    let config = crate::catalog::Config::parse(READERS, "t", text).unwrap();
    let request = ApiRequest {
        method: "POST".to_owned(),
        path: "/v1/jobs".to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        request_id: "r".to_owned(),
    };
    let reading = Reading {
        surface: &SURFACE,
        catalog: &Catalog::of(&config),
        http: &Anything,
    };
    read_submission(&request, &reading)
}

#[test]
fn every_fault_is_reported_at_once_with_its_place() {
    let body = r#"{"type": "company", "colour": 1, "max_credits": -1, "records": [
        {"input": {"domain": "a.example"}}, 7, {"input": {}},
        {"input": {"domain": 5}, "metadata": []}, {"x/y": 1}]}"#;
    let Err(ApiError::Invalid(faults)) = read(body) else {
        panic!("accepted")
    };
    let places: Vec<&str> = faults.iter().map(|f| f.pointer.as_str()).collect();
    let expected = [
        "/colour",
        "/max_credits",
        "/records/1",
        "/records/2/input/domain",
        "/records/3/metadata",
        "/records/3/input/domain",
        "/records/4/x~1y",
        "/records/4/input",
    ];
    assert_eq!(places, expected);
}

/// A request with these records beside a good one.
fn with_good(records: &Value, more: &str) -> Result<Submission, ApiError> {
    let mut all = vec![json!({"id": "good", "input": {"domain": "a.example"}})];
    all.extend(records.as_array().unwrap().iter().cloned());
    read(&format!(
        r#"{{"type": "company", "records": {}{more}}}"#,
        Value::from(all)
    ))
}

#[test]
fn a_bad_record_is_told_apart_with_its_reason_and_its_echo() {
    let long = "x".repeat(MAX_ID_CHARS + 1);
    let large = "x".repeat(MAX_RECORD_BYTES);
    for (sent, code, detail, echo) in [
        (
            json!({"id": "r", "input": {}}),
            "invalid_input",
            "input/domain is required",
            json!(["r", {}, null]),
        ),
        (
            json!({"input": {"domain": "", "x": 1}, "metadata": {"n": 1}}),
            "invalid_input",
            "input/x is not a field of type company; input/domain is required",
            json!([null, {"domain": "", "x": 1}, {"n": 1}]),
        ),
        (
            json!({"id": "r"}),
            "invalid_input",
            "input is required",
            json!(["r", null, null]),
        ),
        (
            json!({"input": "a.example"}),
            "invalid_input",
            "input must be an object",
            json!([null, "a.example", null]),
        ),
        (
            json!({"id": 7, "input": {"domain": "a.example"}, "metadata": {"n": 1}}),
            "invalid_record",
            "id must be a string",
            json!([7, {"domain": "a.example"}, {"n": 1}]),
        ),
        (
            json!({"id": long, "input": {"domain": 5}}),
            "invalid_record",
            "id is longer than 256 characters; input/domain must be a string",
            json!([long, {"domain": 5}, null]),
        ),
        (
            json!({"input": {"domain": "a.example"}, "metadata": [1], "more": 1}),
            "invalid_record",
            "more is unknown; known are id, input, metadata; metadata must be an object",
            json!([null, {"domain": "a.example"}, [1]]),
        ),
        (
            json!("a.example"),
            "invalid_record",
            "must be an object like {\"id\": …, \"input\": {…}}",
            json!([null, "a.example", null]),
        ),
        (
            json!({"id": "r", "input": {"domain": large}, "metadata": {"n": 1}}),
            "record_too_large",
            "is larger than 65536 bytes as JSON; send less with it",
            json!(["r", null, {"n": 1}]),
        ),
        (
            json!({"id": "r", "input": {"domain": "a.example"}, "metadata": {"n": large}}),
            "record_too_large",
            "is larger than 65536 bytes as JSON; send less with it",
            json!(["r", {"domain": "a.example"}, null]),
        ),
    ] {
        let submission =
            with_good(&json!([sent]), "").unwrap_or_else(|error| panic!("{sent}: {error:?}"));
        assert_eq!(submission.records.len(), 2);
        let invalid = &submission.invalid;
        let error = &invalid.records[&1];
        assert_eq!(
            (
                invalid.records.len(),
                error.code.as_str(),
                error.detail.as_str()
            ),
            (1, code, detail),
            "{sent}"
        );
        assert!(
            invalid
                .faults
                .iter()
                .all(|fault| fault.pointer.starts_with("/records/1")),
            "{invalid:?}"
        );
        assert_eq!(json!(submission.records[1].echo()), echo, "{sent}");
        // Alone, or where the caller wants it so, it is refused as a whole.
        for body in [
            with_good(&json!([sent]), r#", "strict": true"#),
            read(&json!({"type": "company", "records": [sent]}).to_string()),
        ] {
            match body.unwrap_err() {
                ApiError::TooLarge { .. } => assert_eq!(code, "record_too_large"),
                ApiError::Invalid(faults) => {
                    assert_eq!(faults.len(), detail.split("; ").count().min(faults.len()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn of_many_bad_records_the_first_faults_are_listed_and_all_are_told_apart() {
    let submission = with_good(
        &json!(vec![json!({"input": {}}); 300]),
        r#", "strict": "","dry_run": false"#,
    )
    .unwrap();
    assert_eq!(
        (
            submission.invalid.records.len(),
            submission.invalid.faults.len()
        ),
        (300, 101)
    );
    assert_eq!(submission.invalid.faults[100].detail, "and 200 more faults");
    let Err(ApiError::Invalid(faults)) = with_good(&json!([7]), r#", "strict": 1"#) else {
        panic!("accepted")
    };
    let places: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(
        places,
        ["/strict", "/records/1"],
        "with a fault of the body all are reported"
    );
    assert!(
        with_good(&json!([]), r#", "strict": true"#)
            .is_ok_and(|submission| submission.invalid == InvalidRecords::default())
    );
}

#[test]
fn a_name_of_megabytes_made_an_answer_too_large_for_lambda() {
    let body = format!(
        r#"{{"type": "company", "{}": 1, "records": [{{"input": {{"domain": "a"}}}}]}}"#,
        "\u{7f}".repeat(3_000_000)
    );
    let error = read(&body).unwrap_err();
    assert!(json_bytes(&problem(&error, "r")).len() < 10_000);
}
