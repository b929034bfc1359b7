//! Regressions of the surfaces.

use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::delivery::{
    Attempt, Delivery, DeliveryState, EventType, LOG_LENGTH, RESPONSE_LOG_BYTES,
};
use shared::domain::ids::JobId;
use shared::domain::record::FailureCode;
use shared::lambda::http::GatewayResponse;
use shared::providers::Answer;
use shared::schema::delivery_item;
use shared::surfaces::SURFACES;
use testkit::harness::{HOOK, ServedApi, World, body, found};

const OPERATIONS: &str = "
[operations.sixtyfour]
find_email = \"any\"
find_email_bulk = \"any\"

[operations.fullenrich]
enrich = \"any\"
";

fn answering(answer: Answer) -> ServedApi {
    ServedApi::new(World::new(), SURFACES, OPERATIONS, move |_| {
        (Duration::ZERO, answer.clone())
    })
}

/// Returns a text of this many bytes, another for each `n`.
fn note(n: usize, bytes: usize) -> String {
    format!("{n:08}").repeat(bytes / 8)
}

#[test]
fn a_task_of_three_megabytes_was_told_and_could_not_be_polled() {
    let mut served = answering(Answer::NotFound);
    let key = served.key().to_owned();
    let lead = |n| json!({"name": format!("John {n}"), "note": note(n, 30_000)});
    let request = json!({"leads": (0..100).map(lead).collect::<Vec<_>>(), "webhook_url": HOOK});
    let answer = body(
        &served.post("/find-email-bulk-async", &[("x-api-key", &key)], &request),
        200,
    );
    served.settle();
    let reported = served.world.receiver.exchanges()[0].json();
    assert_eq!(reported["status"], "completed");
    let task = answer["task_id"].as_str().unwrap();
    let polled = body(
        &served.get(&format!("/job-status/{task}"), &[("x-api-key", &key)]),
        200,
    );
    assert_eq!(polled, reported);
}

#[test]
fn a_batch_of_three_megabytes_was_sent_and_could_not_be_polled() {
    let mut served = answering(Answer::NotFound);
    let bearer = format!("Bearer {}", served.key());
    let contact = |n| {
        json!({"first_name": "A", "last_name": "B", "domain": "example.com",
        "note": note(n, 30_000)})
    };
    let request = json!({"name": "n", "data": (0..100).map(contact).collect::<Vec<_>>(),
        "webhook_url": HOOK});
    let path = "/api/v2/contact/enrich/bulk";
    let answer = body(
        &served.post(path, &[("authorization", &bearer)], &request),
        200,
    );
    served.settle();
    let id = answer["enrichment_id"].as_str().unwrap();
    let polled = served.get(&format!("{path}/{id}"), &[("authorization", &bearer)]);
    assert_eq!(polled.status, 200);
    assert!(
        polled.body == served.world.receiver.exchanges()[0].body,
        "the event and the poll differ"
    );
}

#[test]
fn a_contact_of_40_kb_was_refused_as_one_of_more_than_64() {
    let mut served = answering(Answer::NotFound);
    let bearer = format!("Bearer {}", served.key());
    let mut submit = |bytes| {
        let contact =
            json!({"linkedin_url": "https://www.linkedin.com/in/a", "note": note(1, bytes)});
        let request = json!({"name": "n", "data": [contact]});
        served
            .post(
                "/api/v2/contact/enrich/bulk",
                &[("authorization", &bearer)],
                &request,
            )
            .status
    };
    assert_eq!(
        (submit(40_000), submit(64_000), submit(66_000)),
        (200, 200, 413)
    );
}

#[test]
fn a_leads_own_mode_was_taken_for_the_requests() {
    let mut served = answering(found(json!({"email": "john@gmail.com"})));
    let key = served.key().to_owned();
    let request = json!({"lead": {"name": "John Doe", "mode": "PERSONAL", "verify_emails": false}});
    let answer = body(
        &served.post("/find-email-async", &[("x-api-key", &key)], &request),
        200,
    );
    served.settle();
    let task = answer["task_id"].as_str().unwrap();
    let polled = body(
        &served.get(&format!("/job-status/{task}"), &[("x-api-key", &key)]),
        200,
    );
    let expected = json!({
        "name": "John Doe", "mode": "PERSONAL", "verify_emails": false,
        "email": [["john@gmail.com", "UNKNOWN", "PERSONAL"]],
    });
    assert_eq!(polled["result"], expected);
    let seen: Vec<Value> = served.native(task)["results"]
        .as_array()
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    assert!(
        seen.is_empty() || seen[0]["input"]["mode"] == "PROFESSIONAL",
        "{seen:?}"
    );
}

#[test]
fn a_log_of_deliveries_that_were_answered_in_control_characters_was_no_lambda_response() {
    let mut served = answering(Answer::NotFound);
    let key = served.key().to_owned();
    let records = json!([{"input": {"domain": "a.example"}}]);
    let request = json!({"type": "any", "records": records, "webhook_url": HOOK,
        "webhook_events": {"record.finished": HOOK}});
    let job = body(
        &served.post("/v1/jobs", &[("x-api-key", &key)], &request),
        202,
    );
    served.settle();
    let id = JobId::parse(job["id"].as_str().unwrap()).unwrap();
    let now = served.world.now();
    let attempt = |number| Attempt {
        number,
        at: now,
        latency_ms: Some(20),
        status: Some(500),
        error: Some("status".to_owned()),
        detail: Some("the receiver answered 500; only 2xx is success".to_owned()),
        response: Some("\u{1}".repeat(RESPONSE_LOG_BYTES)),
    };
    let log: Vec<Attempt> = (1..).map(attempt).take(LOG_LENGTH).collect();
    for n in 0..40 {
        let (tenant, expires_at) = (
            served.world.tenant.id.clone(),
            now.plus(Duration::from_secs(9999)),
        );
        let event = EventType::RecordFinished;
        let delivery = Delivery::new(
            id.delivery(n),
            tenant,
            "native",
            event,
            now,
            HOOK,
            expires_at,
        );
        let delivery = Delivery {
            state: DeliveryState::Exhausted,
            attempts: 40,
            log: log.clone(),
            ..delivery
        };
        let item = delivery_item(&delivery, None);
        served
            .world
            .sim
            .store
            .place(&item.key, Some(item.attributes));
    }
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let page = served.get(
            &format!("/v1/jobs/{id}/deliveries?limit=100{cursor}"),
            &[("x-api-key", &key)],
        );
        let answer = serde_json::to_string(&GatewayResponse::from(page.clone())).unwrap();
        assert!(answer.len() <= 6_291_456, "{} bytes", answer.len());
        let shown = body(&page, 200);
        seen += shown["deliveries"].as_array().unwrap().len();
        match shown["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, 40);
}

#[test]
fn a_retry_whose_answer_was_lost_was_not_found_once_its_job_was_erased() {
    let mut served = answering(Answer::Failed {
        code: FailureCode::ProviderError,
        detail: "down".to_owned(),
    });
    let bearer = format!("Bearer {}", served.key());
    let headers = |key| [("authorization", bearer.as_str()), ("idempotency-key", key)];
    let request = json!({"type": "any", "records": [{"input": {"domain": "one.example"}}]});
    let first = body(&served.post("/v1/jobs", &headers("first"), &request), 202);
    served.settle();
    let retry = format!("/v1/jobs/{}/retry", first["id"].as_str().unwrap());
    let made = body(&served.post(&retry, &headers("again"), &Value::Null), 202);
    let path = format!("/v1/jobs/{}", first["id"].as_str().unwrap());
    assert_eq!(
        served.call("DELETE", &path, &headers("erase"), b"").status,
        204
    );
    let repeated = body(&served.post(&retry, &headers("again"), &Value::Null), 202);
    assert_eq!(repeated["id"], made["id"]);
}
