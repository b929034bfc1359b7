//! Events of single records on the native surface, and what every surface shares.

use std::time::Duration;

use serde_json::{Value, json};
use shared::dialect::SURFACES;
use shared::provider::Answer;
use tests::harness::{HOOK, Served, World, body, found};

fn served() -> Served {
    Served::new(World::new(), SURFACES, "", |input| {
        let domain = input["domain"].as_str().unwrap();
        let seconds = domain.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(0);
        let answer = if domain.contains("none") { Answer::NotFound } else { found(json!({"name": domain})) };
        (Duration::from_secs(seconds), answer)
    })
}

fn submission(domains: &[&str]) -> Value {
    let records: Vec<_> = domains.iter().map(|d| json!({"id": d, "input": {"domain": d}})).collect();
    json!({"type": "any", "records": records, "webhook_url": HOOK,
        "webhook_events": {"record.finished": format!("{HOOK}?record")}})
}

#[test]
fn each_record_is_told_as_soon_as_it_has_ended() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let sent = submission(&["0.example", "20.none.example", "40.example"]);
    let job = body(&served.post("/v1/jobs", &[("authorization", &bearer)], &sent), 202);
    let id = job["id"].as_str().unwrap();
    served.world.run_for(Duration::from_secs(10));
    let first = served.world.receiver.exchanges();
    assert_eq!(first.len(), 1, "only what has ended is told");
    assert_eq!(served.native(id)["status"], "running");
    served.settle();
    let exchanges = served.world.receiver.exchanges();
    let events: Vec<Value> = exchanges.iter().map(tests::harness::Exchange::json).collect();
    let types: Vec<_> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(types.iter().filter(|t| **t == "record.finished").count(), 3, "{types:?}");
    assert_eq!(types.iter().filter(|t| **t == "job.completed").count(), 1, "{types:?}");
    let results = body(&served.get(&format!("/v1/jobs/{id}/results"), &[("authorization", &bearer)]), 200);
    for event in events.iter().filter(|e| e["type"] == "record.finished") {
        let result = &event["data"]["result"];
        assert_eq!(result, &results["results"][usize::try_from(result["index"].as_u64().unwrap()).unwrap()]);
        assert_eq!(event["data"]["job_id"], id);
    }
    let ids: std::collections::BTreeSet<_> = exchanges.iter().map(tests::harness::Exchange::id).collect();
    assert_eq!(ids.len(), 4, "each event has an id of its own");
}

#[test]
fn unknown_events_and_urls_that_cannot_be_used_are_refused_with_their_place() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    for (events, place) in [
        (json!({"record.finished": "ftp://x.example"}), "/webhook_events/record.finished"),
        (json!({"record.started": HOOK}), "/webhook_events/record.started"),
        (json!([HOOK]), "/webhook_events"),
    ] {
        let mut sent = submission(&["0.example"]);
        sent["webhook_events"] = events;
        let problem = body(&served.post("/v1/jobs", &[("authorization", &bearer)], &sent), 400);
        assert_eq!(problem["errors"][0]["pointer"], place, "{problem}");
    }
}

#[test]
fn a_job_answers_to_its_id_in_every_surfaces_form() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let sent = json!({"type": "any", "records": [{"input": {"domain": "0.example"}}]});
    let job = body(&served.post("/v1/jobs", &[("authorization", &bearer)], &sent), 202);
    served.settle();
    let id = shared::domain::ids::JobId::parse(job["id"].as_str().unwrap()).unwrap();
    for surface in SURFACES {
        let shown = served.native(&(surface.id)(&id));
        assert_eq!(shown["id"], job["id"], "{}", surface.name);
    }
}
