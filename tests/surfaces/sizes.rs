//! Results of any size: the same by webhook and by poll, and counted once.

use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::surfaces::SURFACES;
use testkit::harness::{HOOK, ServedApi, World, body, found};

const ENRICH: &str = "/api/v1/async/enrich";
const OPERATIONS: &str = "[operations.apione]\ncompany = \"any\"\n";

fn served(answer: impl Fn(&Map<String, Value>) -> Value + Send + Sync + 'static) -> ServedApi {
    ServedApi::new(World::new(), SURFACES, OPERATIONS, move |input| {
        (Duration::ZERO, found(answer(input)))
    })
}

fn submit(served: &mut ServedApi, records: &Value) -> String {
    let key = served.key().to_owned();
    let sent = json!({"type": "company", "records": records, "webhook_url": HOOK});
    body(&served.post(ENRICH, &[("x-api-key", &key)], &sent), 200)["job_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn status(served: &mut ServedApi, id: &str) -> Value {
    let key = served.key().to_owned();
    let response = served.get(
        &format!("/api/v1/async/status/{id}"),
        &[("x-api-key", &key)],
    );
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn fields_that_were_renamed_counted_twice_and_failed_the_poll_of_a_completed_job() {
    let mut served = served(|_| json!({"name": "x"}));
    let records: Value = (0..40)
        .map(|n| {
            json!({"company": "Acme", "domain": format!("r{n}.example"),
            "note": "x".repeat(60_000)})
        })
        .collect();
    let id = submit(&mut served, &records);
    served.settle();
    let event = served.world.receiver.exchanges()[0].json();
    assert_eq!(
        (&event["event"], event["results"].as_array().unwrap().len()),
        (&json!("job.completed"), 40)
    );
    let ended = status(&mut served, &id);
    assert_eq!(
        (&ended["status"], &ended["error"]),
        (&json!("completed"), &Value::Null)
    );
    assert_eq!(ended["results"], event["results"]);
}

#[test]
fn sources_that_no_apione_body_shows_made_a_completed_job_failed() {
    let fields = |n: usize| -> Value {
        (0..n)
            .map(|f| (format!("field_number_{f}"), Value::from("a usual value")))
            .collect::<Map<_, _>>()
            .into()
    };
    let mut served = served(move |_| fields(30));
    let records: Value = (0..1000)
        .map(|n| json!({"domain": format!("r{n}.example")}))
        .collect();
    let id = submit(&mut served, &records);
    served.settle();
    let event = served.world.receiver.exchanges()[0].json();
    let ended = status(&mut served, &id);
    assert_eq!(
        (&event["event"], &ended["status"]),
        (&json!("job.completed"), &json!("completed"))
    );
    assert_eq!(ended["results"].as_array().map(Vec::len), Some(1000));
}
