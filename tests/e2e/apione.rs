//! The client and the receiver of `ApiOne`'s documentation, run as they are against the deployed
//! stack.

use std::process::Command;

use serde_json::{Value, json};
use testkit::servers::PATIENCE;

use crate::servers::{Answer, Server};
use crate::world::{Tenant, eventually, millis, request, root, text, world};

pub(crate) async fn the_documented_client_and_receiver_see_what_they_were_promised() {
    let (url, tenant) = (world().await.url.clone(), Tenant::new("apione").await);
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("node")
            .arg(root().join("tests/e2e/clients/apione.mjs"))
            .env("BASE_URL", url)
            .env("API_KEY", tenant.key)
            .env("WEBHOOK_SECRET", tenant.secret)
            .env("LISTEN_PORT", "0")
            .env("POLL_MS", "1000")
            .env("MAX_WAIT_MS", PATIENCE.as_millis().to_string())
            .env("PEOPLE", "1")
            .env("UNCONFIGURED", "signals")
            .output()
    });
    let ran = ran.await.unwrap().expect("node");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(
        ran.status.success() && said.contains("every promise was kept"),
        "{}\n{said}",
        ran.status
    );
}

pub(crate) async fn a_silent_receiver_has_five_seconds_and_is_tried_a_minute_later() {
    let tenant = Tenant::scheduled("apione-silent", &[1]).await;
    let receiver = Server::start(|_, _| Answer::NeverAnswer).await;
    let sent = json!({"type": "company", "records": [{"domain": "spotify.com"}],
        "webhook_url": receiver.url("/hook")});
    let headers = [
        ("x-api-key", tenant.key.as_str()),
        ("content-type", "application/json"),
    ];
    let answer = request(
        "POST",
        "/api/v1/async/enrich",
        &headers,
        sent.to_string().as_bytes(),
    )
    .await
    .json(200);
    let path = format!("/v1/jobs/{}/deliveries", text(&answer, "job_id"));
    let delivery = eventually("failed attempt", async || {
        let page = tenant.get(&path).await.json(200);
        let first: Option<Value> = page["deliveries"].get(0).cloned();
        first.filter(|delivery| delivery["log"].get(0).is_some())
    })
    .await;
    let attempt = &delivery["log"][0];
    assert_eq!(
        (&delivery["state"], &attempt["error"]),
        (&json!("pending"), &json!("timeout")),
        "{delivery}"
    );
    let took = attempt["latency_ms"].as_i64().unwrap();
    assert!(took >= 4_990, "{delivery}");
    // The tenant's own schedule of one second is for the native surface; this surface has its own.
    let wait = millis(&delivery["next_attempt_at"]) - millis(&attempt["at"]) - took;
    assert!((wait - 60_000).abs() <= 2, "{wait} ms: {delivery}");
    let got = receiver.got();
    assert_eq!(got.len(), 1);
    assert_eq!(
        (
            text(&got[0].json(), "event"),
            got[0].header("x-apione-signature").len()
        ),
        ("job.completed", 71)
    );
    // What was found stays readable.
    let status = format!("/api/v1/async/status/{}", text(&answer, "job_id"));
    assert_eq!(
        request("GET", &status, &headers, b"").await.json(200)["results"],
        got[0].json()["results"]
    );
}
