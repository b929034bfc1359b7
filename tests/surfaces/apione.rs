//! `ApiOne`: what a client of theirs sends, polls and receives.

use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::domain::record::FailureCode;
use shared::domain::signature::{Secret, verify};
use shared::lambda::http::ApiResponse;
use shared::providers::Answer;
use shared::surfaces::SURFACES;
use testkit::harness::{Exchange, HOOK, Happened, ServedApi, World, body, found};
use testkit::sim::{Fault, Op, Reply};

use crate::receiver::node;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const ENRICH: &str = "/api/v1/async/enrich";
const OPERATIONS: &str =
    "[operations.apione]\ncompany = \"any\"\npeople = \"any\"\nemail = \"any\"\ntech = \"bare\"\n";

/// `N.…` takes N seconds; `none`, `broken` and `huge` in the domain do as they say; without a
/// domain the input is of no use.
fn answer(input: &Map<String, Value>) -> (Duration, Answer) {
    let Some(domain) = input.get("domain").and_then(Value::as_str) else {
        return (
            Duration::ZERO,
            Answer::Invalid("`domain` is needed".to_owned()),
        );
    };
    let seconds = domain
        .split('.')
        .next()
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let answer = if domain.contains("none") {
        Answer::NotFound
    } else if domain.contains("broken") {
        Answer::Failed {
            code: FailureCode::ProviderError,
            detail: "the provider answered HTTP 500".to_owned(),
        }
    } else if domain.contains("huge") {
        found(json!({"text": "x".repeat(230_000)}))
    } else if domain.contains("quotes") {
        found(json!({"text": "\"".repeat(110_000)}))
    } else {
        found(
            json!({"company_name": domain, "industry": "Financial Technology", "2": 1e21,
                "1": 0.5}),
        )
    };
    (Duration::from_secs(seconds), answer)
}

fn served() -> ServedApi {
    ServedApi::new(World::new(), SURFACES, OPERATIONS, answer)
}

fn records(domains: &[&str]) -> Value {
    domains
        .iter()
        .map(|domain| json!({"domain": domain}))
        .collect()
}

fn submission(domains: &[&str]) -> Value {
    json!({"type": "company", "records": records(domains), "webhook_url": HOOK})
}

fn post(served: &mut ServedApi, sent: &Value) -> ApiResponse {
    let key = served.key().to_owned();
    served.post(ENRICH, &[("x-api-key", &key)], sent)
}

fn get(served: &mut ServedApi, path: &str) -> ApiResponse {
    let key = served.key().to_owned();
    served.get(path, &[("x-api-key", &key)])
}

/// Submits what must be taken and returns the job's id.
fn submit(served: &mut ServedApi, sent: &Value) -> String {
    body(&post(served, sent), 200)["job_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn status(served: &mut ServedApi, id: &str) -> Value {
    body(&get(served, &format!("/api/v1/async/status/{id}")), 200)
}

/// A request on the native surface.
fn native(served: &mut ServedApi, method: &str, path: &str, sent: &Value) -> ApiResponse {
    let bearer = format!("Bearer {}", served.key());
    served.call(
        method,
        path,
        &[("authorization", &bearer)],
        sent.to_string().as_bytes(),
    )
}

fn delivery(served: &mut ServedApi, id: &str) -> Value {
    body(
        &native(
            served,
            "GET",
            &format!("/v1/jobs/{id}/deliveries"),
            &Value::Null,
        ),
        200,
    )["deliveries"][0]
        .clone()
}

/// An error in the surface's shape, and its message.
#[track_caller]
fn refused(response: &ApiResponse, code: u16) -> String {
    let error = body(response, code);
    let names: Vec<&str> = error
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        ["status", "code", "message", "request_id"],
        "{error}"
    );
    assert_eq!(
        (&error["status"], &error["code"], &error["request_id"]),
        (&json!("error"), &json!(code), &json!("req-1"))
    );
    let (_, content_type) = response
        .headers
        .iter()
        .find(|(name, _)| *name == "content-type")
        .unwrap();
    assert_eq!(content_type, "application/json");
    error["message"].as_str().unwrap().to_owned()
}

/// Returns the documented receiver's verdict on a delivery with this secret: `good`, or the faults.
fn received(sent: &Exchange, secret: &Secret) -> String {
    let given = json!({
        "body": String::from_utf8(sent.body.clone()).unwrap(),
        "signature": sent.header("x-apione-signature"),
        "secret": secret.reveal(),
    });
    node("apione.mjs", &[given]).remove(0)
}

/// The waits between one attempt's end and the next one's beginning.
fn waits(exchanges: &[Exchange]) -> Vec<Duration> {
    exchanges
        .windows(2)
        .map(|pair| pair[1].at.since(pair[0].until))
        .collect()
}

#[test]
fn a_job_from_submission_to_webhook() {
    let mut served = served();
    let domains = [
        "0.stripe.com",
        "20.none.example",
        "40.broken.example",
        "0.shop.example",
    ];
    let answer = body(&post(&mut served, &submission(&domains)), 200);
    let names: Vec<&str> = answer
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        names,
        [
            "status",
            "job_id",
            "total_records",
            "estimated_completion",
            "estimated_completion_seconds"
        ]
    );
    assert_eq!(
        (&answer["status"], &answer["total_records"]),
        (&json!("success"), &json!(4))
    );
    assert_eq!(
        (
            &answer["estimated_completion"],
            &answer["estimated_completion_seconds"]
        ),
        (&json!("2026-01-01T00:00:01Z"), &json!(1))
    );
    let id = answer["job_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("job_"));

    let queued = status(&mut served, &id);
    let expected = json!({
        "job_id": id, "status": "queued", "progress": 0, "total_records": 4, "successful": 0,
        "not_found": 0, "failed": 0,
        "credits_used": 0, "estimated_completion": "2026-01-01T00:00:01Z",
        "estimated_completion_seconds": 1,
        "results_count": 0,
    });
    assert_eq!(queued, expected);
    served.world.run_for(10 * SECOND);
    let running = status(&mut served, &id);
    assert_eq!(
        (&running["status"], running.get("results")),
        (&json!("processing"), None)
    );
    assert!(
        running["progress"].as_u64().is_some_and(|p| p < 100),
        "{running}"
    );

    served.settle();
    let ended = status(&mut served, &id);
    let results = json!([
        {"status": "success", "input": {"domain": "0.stripe.com"},
            "data": {"company_name": "0.stripe.com", "industry": "Financial Technology",
            "2": 1e21, "1": 0.5}},
        {"status": "not_found", "input": {"domain": "20.none.example"}, "data": null},
        {"status": "failed", "input": {"domain": "40.broken.example"}, "data": null,
            "error": "provider_error: any: the provider answered HTTP 500"},
        {"status": "success", "input": {"domain": "0.shop.example"},
            "data": {"company_name": "0.shop.example", "industry": "Financial Technology",
            "2": 1e21, "1": 0.5}},
    ]);
    let expected = json!({
        "job_id": id, "status": "completed", "progress": 100, "total_records": 4, "successful": 2,
        "not_found": 1,
        "failed": 1, "credits_used": 2, "completed_at": "2026-01-01T00:00:40Z",
        "results_count": 4, "results": results,
    });
    assert_eq!(ended, expected);
    assert_eq!(
        body(
            &get(&mut served, &format!("/api/v1/async/results/{id}")),
            200
        ),
        expected,
        "by the other route too"
    );

    let exchanges = served.world.receiver.exchanges();
    assert_eq!(exchanges.len(), 1);
    let event = exchanges[0].json();
    let expected = json!({
        "event": "job.completed", "job_id": id, "completed_at": "2026-01-01T00:00:40Z",
        "total_records": 4, "successful": 2,
        "not_found": 1, "failed": 1, "credits_used": 2, "results": results,
    });
    assert_eq!(event, expected);
    let text = String::from_utf8(exchanges[0].body.clone()).unwrap();
    assert!(
        text.contains(r#""data":{"1":0.5,"2":1e+21,"company_name""#),
        "{text}"
    );
    assert_eq!(exchanges[0].header("content-type"), "application/json");
    let secret = served.world.tenant.secret.clone();
    assert_eq!(received(&exchanges[0], &secret), "good");
    let of = |name| Some(exchanges[0].header(name));
    let standard = verify(
        &secret,
        of("webhook-id"),
        of("webhook-timestamp"),
        of("webhook-signature"),
        &exchanges[0].body,
        exchanges[0].at,
    );
    assert_eq!(
        standard,
        Ok(()),
        "the headers of Standard Webhooks go along"
    );

    let native = served.native(&id);
    assert_eq!(
        (&native["status"], &native["counts"]["found"]),
        (&json!("completed"), &json!(2))
    );
}

#[test]
fn results_of_a_running_job_are_those_that_are_there() {
    let mut served = served();
    // A chunk has at least 50 records: the first ends long before the second.
    let domains: Vec<String> = (0..100)
        .map(|n| format!("{}.r{n}.example", if n < 50 { 0 } else { 30 }))
        .collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    let id = submit(&mut served, &submission(&domains));
    let path = format!("/api/v1/async/results/{id}");
    let none = body(&get(&mut served, &path), 200);
    assert_eq!(
        (&none["status"], &none["results"], &none["results_count"]),
        (&json!("queued"), &json!([]), &json!(0))
    );
    let some = served
        .world
        .run_until(20 * SECOND, |world| !world.happened().is_empty());
    assert!(some);
    let half = body(&get(&mut served, &path), 200);
    let results = half["results"].as_array().unwrap();
    assert_eq!(
        (&half["status"], results.len(), &half["results_count"]),
        (&json!("processing"), 50, &json!(50))
    );
    assert_eq!(results[49]["input"]["domain"], "0.r49.example");
    assert_eq!(
        (
            &status(&mut served, &id)["progress"],
            &status(&mut served, &id)["results_count"]
        ),
        (&json!(50), &json!(50))
    );
}

#[test]
fn providers_are_asked_by_their_names_and_clients_get_back_what_they_sent() {
    let mut served = served();
    let sent = json!([
        {"firstName": "Ada", "last_name": "L", "company": "Acme", "domain": "a.example",
            "crm": {"b": [1, {"2": 1, "1": 2}]}},
        {"domain": "b.example", "linkedin": "https://linkedin.example/in/b",
            "profileUrl": "https://other.example"},
        {"domain": "c.example", "note": null, "id": 7},
    ]);
    let id = submit(
        &mut served,
        &json!({"type": "people", "records": sent, "webhook_url": HOOK, "priority": "high"}),
    );
    served.settle();
    let asked = served.asked.lock().unwrap().clone();
    let asked: Vec<Value> = asked.into_iter().map(Value::Object).collect();
    let expected = json!([
        {"first_name": "Ada", "last_name": "L", "company_name": "Acme", "domain": "a.example",
            "crm": {"b": [1, {"2": 1, "1": 2}]}},
        {"domain": "b.example", "linkedin_url": "https://linkedin.example/in/b",
            "profileUrl": "https://other.example"},
        {"domain": "c.example", "id": 7},
    ]);
    assert_eq!(Value::Array(asked), expected);
    let ended = status(&mut served, &id);
    let echoed: Vec<&Value> = ended["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["input"])
        .collect();
    assert_eq!(json!(echoed), sent);
    assert_eq!(
        served.world.receiver.exchanges()[0].json()["results"],
        ended["results"]
    );
}

#[test]
fn a_record_of_no_use_is_taken_and_fails_alone() {
    let mut served = served();
    let id = submit(
        &mut served,
        &json!({"type": "email", "records": [{}, {"domain": "a.example"}, {"domain": 5}]}),
    );
    served.settle();
    let ended = status(&mut served, &id);
    let words: Vec<&str> = ended["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["status"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["failed", "success", "failed"]);
    assert_eq!(
        (&ended["status"], &ended["failed"], &ended["successful"]),
        (&json!("completed"), &json!(2), &json!(1))
    );
    assert_eq!(
        ended["results"][0]["error"],
        "invalid_input: `domain` is needed"
    );
    assert_eq!(
        served.world.receiver.exchanges().len(),
        0,
        "it asked for no webhook"
    );
}

#[test]
fn what_is_not_a_submission_is_a_400_in_the_documents_shape() {
    let mut served = served();
    let of = |name: &str, value: Value| {
        let mut sent = submission(&["a.example"]);
        sent[name] = value;
        sent
    };
    let many = |n: usize| {
        (0..n)
            .map(|_| json!({"domain": "none.example"}))
            .collect::<Value>()
    };
    for (sent, reported) in [
        (
            of("type", json!("person")),
            "type must be one of company, people, email, tech, signals",
        ),
        (of("type", json!("Company")), "type must be one of"),
        (of("type", Value::Null), "type must be one of"),
        (
            of("records", Value::Null),
            "records must be an array of 1 to 1000 records",
        ),
        (of("records", json!({})), "records must be an array"),
        (
            of("records", json!([])),
            "records has 0 records; a job has 1 to 1000",
        ),
        (
            of("records", many(1001)),
            "records has 1001 records; a job has 1 to 1000",
        ),
        (
            of("records", json!(["a.example"])),
            "records/0 must be an object",
        ),
        (of("webhook_url", json!(7)), "webhook_url must be a string"),
        (
            of("webhook_url", json!("ftp://hook.example")),
            "webhook_url cannot be used",
        ),
        (
            of(
                "webhook_url",
                json!(format!("https://hook.example/{}", "x".repeat(2083))),
            ),
            "longer than 2083 characters",
        ),
        (json!([1]), "no object"),
    ] {
        let message = refused(&post(&mut served, &sent), 400);
        assert!(message.contains(reported), "{message}");
    }
    let key = served.key().to_owned();
    for (text, reported) in [
        ("", "no body"),
        ("{", "cannot be read as JSON"),
        (
            r#"{"type": "company", "records": [{"domain": "a", "n": 1e400}]}"#,
            "number out of range",
        ),
        (
            r#"{"type": "company", "records": [{"domain": "\ud83d"}]}"#,
            "surrogate",
        ),
        (
            r#"{"type": "company", "records": [{"domain": "\ude00 a"}]}"#,
            "surrogate",
        ),
    ] {
        let message = refused(
            &served.call("POST", ENRICH, &[("x-api-key", &key)], text.as_bytes()),
            400,
        );
        assert!(
            message.contains(reported) || message.contains("hex escape"),
            "{text}: {message}"
        );
    }
    let deep = format!(
        r#"{{"type": "company", "records": [{{"d": {}{}}}]}}"#,
        "[".repeat(70),
        "]".repeat(70)
    );
    let message = refused(
        &served.call("POST", ENRICH, &[("x-api-key", &key)], deep.as_bytes()),
        400,
    );
    assert!(message.contains("64 levels"), "{message}");
    assert_eq!(served.world.accepted.len(), 0, "nothing was stored");

    // At the edges it is taken.
    submit(&mut served, &of("records", many(1000)));
    submit(&mut served, &of("webhook_url", Value::Null));
    let id = submit(
        &mut served,
        &json!({"type": "company", "records": records(&["a.example"])}),
    );
    served.settle();
    assert_eq!(status(&mut served, &id)["status"], "completed");
    assert_eq!(served.world.receiver.exchanges().len(), 1, "null is absent");
}

#[test]
fn sizes_keys_credits_and_paths_are_refused_in_the_documents_shape() {
    let mut served = served();
    let key = served.key().to_owned();
    let fat = json!({"type": "company", "records": [{"domain": "a"}, {"domain": "a",
        "note": "x".repeat(65 * 1024)}]});
    let message = refused(&post(&mut served, &fat), 413);
    assert!(message.contains("record 1 "), "{message}");
    let padding = " ".repeat(4 * 1024 * 1024 + 1);
    refused(
        &served.call("POST", ENRICH, &[("x-api-key", &key)], padding.as_bytes()),
        413,
    );

    let sent = submission(&["a.example"]);
    for headers in [
        vec![],
        vec![("x-api-key", "wrong")],
        vec![("authorization", format!("Bearer {key}").leak() as &str)],
    ] {
        let message = refused(&served.post(ENRICH, &headers, &sent), 401);
        assert!(message.contains("X-API-Key"), "{message}");
    }
    refused(
        &served.call("DELETE", ENRICH, &[("x-api-key", &key)], b""),
        405,
    );
    refused(&get(&mut served, "/api/v1/async/status/job_abc123"), 404);
    refused(
        &get(
            &mut served,
            "/api/v1/async/results/job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        ),
        404,
    );

    let poor = served.world.tenant("poor");
    served
        .world
        .call(async |p| shared::maintenance::tenants::add_credits(p, &poor.id, -100_000).await)
        .unwrap();
    let message = refused(
        &served.post(ENRICH, &[("x-api-key", &poor.api_key)], &sent),
        402,
    );
    assert!(message.contains("1 credits and 0 are free"), "{message}");
}

#[test]
fn only_ones_own_jobs_of_this_surface_are_there() {
    let mut served = served();
    let id = submit(&mut served, &submission(&["a.example"]));
    let other = served.world.tenant("other");
    for path in [
        format!("/api/v1/async/status/{id}"),
        format!("/api/v1/async/results/{id}"),
    ] {
        refused(&served.get(&path, &[("x-api-key", &other.api_key)]), 404);
    }
    let sent = json!({"type": "any", "records": [{"input": {"domain": "a.example"}}]});
    let job = body(&native(&mut served, "POST", "/v1/jobs", &sent), 202);
    refused(
        &get(
            &mut served,
            &format!("/api/v1/async/status/{}", job["id"].as_str().unwrap()),
        ),
        404,
    );
}

#[test]
fn a_repeated_submission_is_the_same_job() {
    let mut served = served();
    let key = served.key().to_owned();
    let headers = [("x-api-key", key.as_str()), ("idempotency-key", "order-1")];
    let first = body(
        &served.post(ENRICH, &headers, &submission(&["a.example"])),
        200,
    );
    let again = body(
        &served.post(ENRICH, &headers, &submission(&["a.example"])),
        200,
    );
    assert_eq!(first, again);
    refused(
        &served.post(ENRICH, &headers, &submission(&["b.example"])),
        422,
    );
    served.settle();
    let after = body(
        &served.post(ENRICH, &headers, &submission(&["a.example"])),
        200,
    );
    assert_eq!(
        (&after["job_id"], &after["estimated_completion_seconds"]),
        (&first["job_id"], &json!(0))
    );
    assert_eq!(
        after["estimated_completion"],
        status(&mut served, first["job_id"].as_str().unwrap())["completed_at"]
    );
    assert_eq!(served.world.receiver.exchanges().len(), 1);
}

#[test]
fn a_type_without_a_provider_ends_failed_and_says_what_to_configure() {
    let mut served = served();
    for (kind, reported) in [
        ("tech", "add a provider for it"),
        ("signals", "no type answers signals"),
    ] {
        let sent = json!({"type": kind, "records": records(&["a.example"]), "webhook_url": HOOK});
        let id = submit(&mut served, &sent);
        served.settle();
        let ended = status(&mut served, &id);
        let error = ended["error"].as_str().unwrap();
        assert_eq!(
            (&ended["status"], error.contains(reported)),
            (&json!("failed"), true),
            "{ended}"
        );
        assert_eq!(ended["results"][0]["status"], "failed");
        let event = served.world.receiver.exchanges().last().unwrap().json();
        assert_eq!(
            (
                &event["event"],
                &event["error"],
                &event["failed"],
                &event["credits_used"]
            ),
            (&json!("job.failed"), &json!(error), &json!(1), &json!(0))
        );
        assert_eq!(event["results"], ended["results"]);
    }
}

#[test]
fn a_canceled_and_an_expired_job_are_failed_with_their_results_so_far() {
    let mut served = served();
    let domains: Vec<String> = (0..100).map(|n| format!("5.r{n}.example")).collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    let begun = |world: &World| {
        world
            .happened()
            .iter()
            .any(|h| matches!(h, Happened::ChunkOutcome { .. }))
    };

    let id = submit(&mut served, &submission(&domains));
    assert!(served.world.run_until(MINUTE, begun));
    let canceling = body(
        &native(
            &mut served,
            "POST",
            &format!("/v1/jobs/{id}/cancel"),
            &Value::Null,
        ),
        202,
    );
    assert_eq!(canceling["status"], "canceling");
    assert_eq!(status(&mut served, &id)["status"], "processing");
    served.settle();
    let ended = status(&mut served, &id);
    assert_eq!(
        (&ended["status"], &ended["error"]),
        (&json!("failed"), &json!("the job was canceled"))
    );
    assert_eq!(
        ended["successful"].as_u64().unwrap() + ended["failed"].as_u64().unwrap(),
        100
    );
    assert!(ended["successful"].as_u64().unwrap() >= 50);
    let event = served.world.receiver.exchanges()[0].json();
    assert_eq!(
        (&event["event"], &event["error"]),
        (&json!("job.failed"), &ended["error"])
    );
    assert_eq!(event["results"], ended["results"]);

    let mut served = self::served();
    let id = submit(&mut served, &submission(&domains));
    assert!(served.world.run_until(MINUTE, begun));
    served.world.options.enrichers = 0;
    served.world.kill_enrichers();
    served.world.run_for(25 * HOUR);
    assert_eq!(status(&mut served, &id)["status"], "processing");
    served.world.options.enrichers = 1;
    served.settle();
    let ended = status(&mut served, &id);
    assert_eq!(
        (&ended["status"], &ended["results_count"]),
        (&json!("failed"), &json!(100))
    );
    assert!(ended["error"].as_str().unwrap().contains("run limit"));
    assert_eq!(
        served.world.receiver.exchanges()[0].json()["event"],
        "job.failed"
    );
}

#[test]
fn a_receiver_that_never_answers_well_is_tried_after_one_five_and_thirty_minutes() {
    let mut served = served();
    served
        .world
        .receiver
        .from_then_on(Reply::status(500).after(3 * SECOND));
    let id = submit(&mut served, &submission(&["a.example", "none.example"]));
    served.settle();
    let exchanges = served.world.receiver.exchanges();
    assert_eq!(
        waits(&exchanges),
        [MINUTE, 5 * MINUTE, 30 * MINUTE],
        "from the end of the failed attempt"
    );
    let reported = delivery(&mut served, &id);
    assert_eq!(
        (
            &reported["state"],
            &reported["reason"],
            &reported["attempts"]
        ),
        (&json!("exhausted"), &json!("attempts_used_up"), &json!(4))
    );
    let secret = served.world.tenant.secret.clone();
    for sent in &exchanges {
        assert_eq!(
            (&sent.body, sent.id()),
            (&exchanges[0].body, exchanges[0].id())
        );
        assert_eq!(
            sent.header("x-apione-signature"),
            exchanges[0].header("x-apione-signature")
        );
        assert_eq!(received(sent, &secret), "good");
    }
    let ended = status(&mut served, &id);
    assert_eq!(
        (&ended["status"], &ended["results_count"]),
        (&json!("completed"), &json!(2))
    );
    assert_eq!(
        body(
            &get(&mut served, &format!("/api/v1/async/results/{id}")),
            200
        ),
        ended
    );

    // A replay begins the schedule anew, with the same event.
    served.world.receiver.from_then_on(Reply::status(200));
    served.world.receiver.answers([500]);
    body(
        &native(
            &mut served,
            "POST",
            &format!("/v1/deliveries/{id}/replay"),
            &Value::Null,
        ),
        202,
    );
    served.settle();
    let all = served.world.receiver.exchanges();
    assert_eq!((all.len(), waits(&all)[4]), (6, MINUTE));
    assert!(
        all.iter()
            .all(|sent| (&sent.body, sent.id()) == (&all[0].body, all[0].id())),
        "one body per job"
    );
}

#[test]
fn every_answer_but_2xx_is_tried_again_on_the_same_schedule() {
    let wait = |status: u16| Reply::status(status).header("retry-after", "7200");
    for replies in [
        [wait(429), wait(503), Reply::status(410)],
        [
            Reply::status(404),
            Reply::status(302).header("location", "https://elsewhere.example/"),
            Reply::status(400),
        ],
        [
            Reply::error(shared::ports::HttpError::Tls("expired".to_owned())),
            Reply::error(shared::ports::HttpError::Dns("gone".to_owned())),
            Reply::error(shared::ports::HttpError::Connect("refused".to_owned())),
        ],
    ] {
        let mut served = served();
        served.world.receiver.replies(replies);
        let id = submit(&mut served, &submission(&["a.example"]));
        served.settle();
        assert_eq!(
            waits(&served.world.receiver.exchanges()),
            [MINUTE, 5 * MINUTE, 30 * MINUTE]
        );
        assert_eq!(delivery(&mut served, &id)["state"], "delivered");
        // 410 has disabled nothing.
        submit(&mut served, &submission(&["b.example"]));
        served.settle();
        assert_eq!(served.world.receiver.exchanges().len(), 5);
    }
}

#[test]
fn a_receiver_has_five_seconds() {
    let mut served = served();
    let almost = Duration::from_millis(4_999);
    served.world.receiver.replies([
        Reply::status(200).after(5 * SECOND),
        Reply::status(204).after(almost),
    ]);
    let id = submit(&mut served, &submission(&["a.example"]));
    served.settle();
    let reported = delivery(&mut served, &id);
    let log = reported["log"].as_array().unwrap();
    assert_eq!(
        (&log[0]["error"], &log[0]["latency_ms"]),
        (&json!("timeout"), &json!(5_000)),
        "{reported}"
    );
    assert_eq!(
        (&log[1]["status_code"], &log[1]["latency_ms"]),
        (&json!(204), &json!(4_999)),
        "{reported}"
    );
    assert_eq!(waits(&served.world.receiver.exchanges()), [MINUTE]);
    assert_eq!(reported["state"], "delivered");
}

#[test]
fn receivers_without_tls_are_told_as_well() {
    let mut served = served();
    let mut sent = submission(&["a.example"]);
    sent["webhook_url"] = "http://hook.example/plain".into();
    let id = submit(&mut served, &sent);
    served.settle();
    assert_eq!(
        served.world.receiver.exchanges()[0].url,
        "http://hook.example/plain"
    );
    assert_eq!(delivery(&mut served, &id)["state"], "delivered");
}

#[test]
fn the_old_secret_signs_until_its_overlap_ends() {
    let mut served = served();
    let old = served.world.tenant.secret.clone();
    let rotated = body(
        &native(
            &mut served,
            "POST",
            "/v1/webhooks/secret/rotate",
            &json!({"overlap_hours": 1}),
        ),
        200,
    );
    let new = Secret::parse(rotated["secret"].as_str().unwrap()).unwrap();
    submit(&mut served, &submission(&["a.example"]));
    served.settle();
    let during = served.world.receiver.exchanges()[0].clone();
    assert_eq!(
        (received(&during, &old), received(&during, &new)),
        ("good".to_owned(), "signature".to_owned())
    );
    let value = during.header("x-apione-signature");
    assert!(
        value.len() == "sha256=".len() + 64 && value.starts_with("sha256="),
        "one value: {value}"
    );
    assert_eq!(during.header("webhook-signature").split(' ').count(), 2);
    served.world.run_for(HOUR);
    // The harness checks every exchange against this; the new secret signed along from the
    // beginning.
    served.world.tenant.secret = new.clone();
    submit(&mut served, &submission(&["a.example"]));
    served.settle();
    let after = served.world.receiver.exchanges()[1].clone();
    assert_eq!(
        (received(&after, &old), received(&after, &new)),
        ("signature".to_owned(), "good".to_owned())
    );
}

#[test]
fn a_thousand_records_are_polled_each_five_seconds_and_done_in_five_minutes() {
    let mut served = served();
    let domains: Vec<String> = (0..1000).map(|n| format!("2.r{n}.example")).collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    let id = submit(&mut served, &submission(&domains));
    let mut seen: Vec<(String, u64)> = Vec::new();
    for _ in 0..60 {
        let now = status(&mut served, &id);
        let (word, progress) = (
            now["status"].as_str().unwrap().to_owned(),
            now["progress"].as_u64().unwrap(),
        );
        assert_eq!(now.get("results").is_some(), word == "completed", "{word}");
        seen.push((word, progress));
        served.world.run_for(5 * SECOND);
    }
    assert!(seen.is_sorted_by_key(|(_, progress)| *progress), "{seen:?}");
    assert_eq!((seen[0].0.as_str(), seen[0].1), ("queued", 0));
    assert!(
        seen.iter()
            .any(|(word, progress)| word == "processing" && (1..100).contains(progress)),
        "{seen:?}"
    );
    assert_eq!(
        seen.last().unwrap(),
        &("completed".to_owned(), 100),
        "{seen:?}"
    );
    let ended = status(&mut served, &id);
    assert_eq!(ended["results_count"], 1000);
    assert_eq!(ended["results"][999]["input"]["domain"], "2.r999.example");
}

#[test]
fn results_past_what_a_response_carries_say_where_they_are() {
    let mut served = served();
    let id = submit(&mut served, &submission(&["huge.example"; 20]));
    served.settle();
    let pages = format!("/v1/jobs/{id}/results");
    let event = served.world.receiver.exchanges()[0].json();
    assert_eq!(
        (&event["event"], &event["successful"], &event["results"]),
        (&json!("job.failed"), &json!(20), &json!([]))
    );
    assert!(event["error"].as_str().unwrap().contains(&pages), "{event}");
    let ended = status(&mut served, &id);
    assert_eq!(
        (&ended["status"], &ended["error"], &ended["results"]),
        (&json!("failed"), &event["error"], &json!([]))
    );
    assert_eq!(
        (&ended["successful"], &ended["credits_used"]),
        (&json!(20), &json!(20))
    );
    let message = refused(
        &get(&mut served, &format!("/api/v1/async/results/{id}")),
        413,
    );
    assert!(message.contains(&pages), "{message}");
    let page = body(&native(&mut served, "GET", &pages, &Value::Null), 200);
    assert!(!page["results"].as_array().unwrap().is_empty());

    // Within 4 MiB of JSON, but not once Lambda has escaped them: the webhook carries them, a
    // response does not.
    let id = submit(&mut served, &submission(&["quotes.example"; 14]));
    served.settle();
    assert_eq!(
        served.world.receiver.exchanges()[1].json()["results"]
            .as_array()
            .unwrap()
            .len(),
        14
    );
    let error = body(
        &get(&mut served, &format!("/api/v1/async/status/{id}")),
        413,
    );
    assert_eq!(
        (&error["status"], &error["code"]),
        (&json!("failed"), &json!(413)),
        "a poller stops at this word"
    );
    assert!(error["error"].as_str().unwrap().contains(&id), "{error}");
}

#[test]
fn records_that_failed_are_tried_again_as_a_job_of_this_surface() {
    let mut served = served();
    let sent = json!({"type": "company", "records": [{"company": "A", "domain": "broken.example"},
        {"domain": "b.example"}]});
    let id = submit(&mut served, &sent);
    served.settle();
    let again = body(
        &native(
            &mut served,
            "POST",
            &format!("/v1/jobs/{id}/retry"),
            &Value::Null,
        ),
        202,
    );
    served.settle();
    let ended = status(&mut served, again["id"].as_str().unwrap());
    assert_eq!(
        (&ended["total_records"], &ended["results"][0]["input"]),
        (&json!(1), &sent["records"][0])
    );
}

#[test]
fn a_table_that_does_not_answer_is_a_503_with_retry_after() {
    let mut served = served();
    served.world.faults(|call| {
        if call.op == Op::PutAll {
            Fault::FailBefore
        } else {
            Fault::Proceed
        }
    });
    let response = post(&mut served, &submission(&["a.example"]));
    let error = body(&response, 503);
    let retry_after = error["retry_after"].as_u64().unwrap();
    assert_eq!(
        (&error["status"], &error["code"]),
        (&json!("error"), &json!(503))
    );
    assert!(
        response
            .headers
            .contains(&("retry-after", retry_after.to_string())),
        "{:?}",
        response.headers
    );
}
