//! Processes that end in the middle of their work, by `kill -9`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::ids::{DeliveryId, JobId};
use shared::ports::Key;

use crate::servers::{Answer, Got, Server, Upstream, key};
use crate::world::{
    Tenant, assert_counts, invoke, kill_peer, killed, lookups, text, verify, world,
};

/// The API's answer about a number: it knows all but every fifth.
fn known(number: u32) -> Answer {
    if number % 5 == 4 {
        Answer::Status(404)
    } else {
        Answer::Json(json!({"answer": number}))
    }
}

/// Makes the API answer nothing from record `from` on while the returned flag is set.
async fn held_from(tag: &str, from: u32) -> Arc<AtomicBool> {
    let holds = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&holds);
    let script = move |n, _| {
        if n >= from && asked.load(Ordering::SeqCst) {
            Answer::NeverAnswer
        } else {
            known(n)
        }
    };
    world().await.upstream.script(tag, script);
    holds
}

/// Kills the process that waits for record `from` or a later one; from then on the API answers.
async fn kill_held(tag: &str, from: u32, holds: &AtomicBool) {
    let held = |got: &[Got]| {
        Upstream::of(got, tag)
            .into_iter()
            .find(|g| key(g).is_some_and(|(_, n)| n >= from))
    };
    let got = world()
        .await
        .upstream
        .server
        .wait("held lookup", |got| held(got).is_some())
        .await;
    kill_peer(held(&got).unwrap().peer, "enrich").await;
    holds.store(false, Ordering::SeqCst);
}

/// Runs the sweep as soon as this item is due, not at the next minute.
pub(crate) async fn sweep_when_due(item: Key) {
    let ports = &world().await.ports;
    let item = ports.store.get(&item).await.unwrap().expect("the item");
    let Some(shared::ports::Value::N(due)) = item.attributes.get("due") else {
        panic!("nothing due: {item:?}")
    };
    let wait = u64::try_from(due - ports.clock.now().0).unwrap_or(0);
    assert!(wait < 200_000, "due in {wait} ms");
    tokio::time::sleep(Duration::from_millis(wait + 1)).await;
    invoke("sweep", &json!({})).await;
}

async fn assert_settled(
    tenant: &Tenant,
    job: &Value,
    found: u64,
    not_found: u64,
    receiver: &Server,
) {
    assert_eq!(text(job, "status"), "completed");
    assert_counts(job, &[("found", found), ("not_found", not_found)]);
    assert_eq!(job["credits"]["used"], found * 3);
    let account = tenant.account().await;
    assert_eq!(
        account["credits"],
        json!({"balance": 100_000 - found * 3, "used": found * 3})
    );
    assert_eq!(account["usage"]["open_chunks"], 0);

    let lines = tenant.results(job, 1000).await;
    for (n, line) in lines.iter().enumerate() {
        let status = if n % 5 == 4 { "not_found" } else { "found" };
        assert_eq!(
            (&line["index"], text(line, "id"), text(line, "status")),
            (&json!(n), &*format!("n{n}"), status)
        );
        if status == "found" {
            assert_eq!(line["data"]["answer"], n);
        }
    }
    assert_eq!(lines.len() as u64, found + not_found);

    tenant.delivery(job, "delivered").await;
    let got = receiver.wait("webhook", |got| !got.is_empty()).await;
    let ids: std::collections::BTreeSet<&str> =
        got.iter().map(|g| g.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(got[0].json()["data"]["counts"], job["counts"]);
    verify(&got[0], &tenant.secret).await;
}

/// One chunk, so that nothing moves after the kill: the sweep finds it.
pub(crate) async fn a_killed_enrich_process_costs_time_and_nothing_else() {
    let tenant = Tenant::new("killed").await;
    let receiver = Server::start(|_, _| Answer::Status(204)).await;
    // The first ten answers arrive and are lost with the process; the next ones never come.
    let holds = held_from("killed", 10).await;
    let job = tenant
        .submit(&lookups("killed", 40, Some(&receiver.url("/hook"))))
        .await;
    kill_held("killed", 10, &holds).await;
    killed("crashes::a_killed_enrich_process_costs_time_and_nothing_else");

    let now = tenant
        .get(&format!("/v1/jobs/{}", text(&job, "id")))
        .await
        .json(200);
    assert_eq!(
        (text(&now, "status"), &now["progress"]),
        ("running", &json!(0))
    );
    sweep_when_due(shared::schema::meta_key(
        &JobId::parse(text(&job, "id")).unwrap(),
    ))
    .await;
    let job = tenant.ended(&job).await;
    assert_settled(&tenant, &job, 32, 8, &receiver).await;
}

/// Three chunks of fifty, the last one killed: the queue returns it even if the sweep does not see
/// to it first.
pub(crate) async fn a_chunk_whose_process_was_killed_comes_back_beside_its_neighbours() {
    let tenant = Tenant::new("third").await;
    let receiver = Server::start(|_, _| Answer::Status(200)).await;
    let holds = held_from("third", 110).await;
    let job = tenant
        .submit(&lookups("third", 150, Some(&receiver.url("/hook"))))
        .await;
    kill_held("third", 110, &holds).await;
    killed("crashes::a_chunk_whose_process_was_killed_comes_back_beside_its_neighbours");

    let job = tenant.ended(&job).await;
    assert_settled(&tenant, &job, 120, 30, &receiver).await;
    // Records with a result were not asked about again.
    let again = Upstream::of(&world().await.upstream.server.got(), "third");
    for n in 0..100 {
        assert_eq!(
            again
                .iter()
                .filter(|g| key(g).is_some_and(|(_, k)| k == n))
                .count(),
            1,
            "record {n}"
        );
    }
}

pub(crate) async fn an_attempt_whose_process_was_killed_shows_as_interrupted() {
    let (world, tenant) = (world().await, Tenant::scheduled("interrupted", &[1]).await);
    let receiver = Server::start(|n, _| {
        if n == 0 {
            Answer::NeverAnswer
        } else {
            Answer::Status(204)
        }
    })
    .await;
    let sent = tenant
        .post("/v1/webhooks/test", &json!({"url": receiver.url("/hook")}))
        .await
        .json(202);
    let got = receiver.wait("attempt", |got| !got.is_empty()).await;
    kill_peer(got[0].peer, "dispatch").await;
    killed("crashes::an_attempt_whose_process_was_killed_shows_as_interrupted");

    let id = DeliveryId::parse(text(&sent, "id")).unwrap();
    sweep_when_due(shared::schema::delivery_key(&id)).await;
    let delivery = tenant
        .delivery_at(&format!("/v1/deliveries/{id}"), "delivered")
        .await;
    let log = delivery["log"].as_array().unwrap();
    assert_eq!(
        (&delivery["attempts"], log.len()),
        (&json!(2), 2),
        "{delivery}"
    );
    assert_eq!(
        (text(&log[0], "error"), &log[1]["status_code"]),
        ("interrupted", &json!(204))
    );
    let got = receiver.got();
    assert_eq!(
        (got.len(), &got[0].body, got[0].header("webhook-id")),
        (2, &got[1].body, got[1].header("webhook-id"))
    );
    verify(&got[1], &tenant.secret).await;
    assert!(world.ports.clock.now() > got[1].at);
}
