//! A client and a receiver after `FullEnrich`'s documents, run as they are against the deployed
//! stack.

use std::process::Command;

use serde_json::{Value, json};

use crate::servers::{Answer, Server};
use crate::world::{Tenant, eventually, millis, root, text, world};

pub(crate) async fn the_documented_client_and_receiver_see_what_they_were_promised() {
    let url = world().await.url.clone();
    let (tenant, poor) = (
        Tenant::new("fullenrich").await,
        Tenant::with_credits("fullenrich-poor", 1).await,
    );
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("node")
            .arg(root().join("tests/e2e/clients/fullenrich.mjs"))
            .env("BASE_URL", url)
            .env("API_KEY", tenant.key)
            .env("WEBHOOK_SECRET", tenant.secret)
            .env("POOR_API_KEY", poor.key)
            .env("POOR_WEBHOOK_SECRET", poor.secret)
            .env("LISTEN_PORT", "0")
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

pub(crate) async fn the_public_client_of_version_one_works() {
    let url = world().await.url.clone();
    let tenant = Tenant::new("fullenrich-first").await;
    let ran = tokio::task::spawn_blocking(move || {
        Command::new(root().join(".local/clients/bin/python"))
            .arg(root().join("tests/e2e/clients/fullenrich_first.py"))
            .env("BASE_URL", url)
            .env("API_KEY", tenant.key)
            .output()
    });
    let ran = ran.await.unwrap().expect(".local/clients: make built");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(
        ran.status.success() && said.contains("everything that is promised was seen"),
        "{}\n{said}",
        ran.status
    );
}

pub(crate) async fn a_receiver_that_fails_is_tried_a_minute_later() {
    // The tenant's own schedule is for the native surface. This surface has its own, which
    // Retry-After and 410 do not change.
    let tenant = Tenant::scheduled("fullenrich-failing", &[1]).await;
    for answer in [
        Answer::With(503, "Retry-After", "1"),
        Answer::Status(410),
        Answer::With(302, "Location", "/other"),
    ] {
        let receiver = Server::start(move |_, _| answer.clone()).await;
        let sent = json!({"name": "n", "data": [{"email": "a@b.example"}],
            "webhook_url": receiver.url("/hook")});
        let answer = tenant
            .post("/api/v2/contact/reverse/email/bulk", &sent)
            .await
            .json(200);
        let id = text(&answer, "enrichment_id");
        let delivery = eventually("failed attempt", async || {
            let page = tenant
                .get(&format!("/v1/jobs/{id}/deliveries"))
                .await
                .json(200);
            let first: Option<Value> = page["deliveries"].get(0).cloned();
            first.filter(|delivery| delivery["log"].get(0).is_some())
        })
        .await;
        let attempt = &delivery["log"][0];
        assert_eq!(
            (&delivery["state"], &attempt["error"]),
            (&json!("pending"), &json!("status")),
            "{delivery}"
        );
        let ended = millis(&attempt["at"]) + attempt["latency_ms"].as_i64().unwrap();
        let wait = millis(&delivery["next_attempt_at"]) - ended;
        assert!((wait - 60_000).abs() <= 2, "{wait} ms: {delivery}");
        let got = receiver.got();
        assert_eq!(
            (got.len(), got[0].header("x-signature-sha1").len()),
            (1, 40)
        );
        // What was found stays readable.
        let polled = tenant
            .get(&format!("/api/v2/contact/reverse/email/bulk/{id}"))
            .await;
        assert_eq!((polled.status, &polled.body), (200, &got[0].body));
    }
}
