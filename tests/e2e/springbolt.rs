//! The client and the receiver of Springbolt's documentation against the deployed stack, and
//! requests that share a URL.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::servers::{Answer, Got, Server};
use crate::world::{Tenant, eventually, request, root, text, world};

pub(crate) async fn the_documented_client_and_receiver_see_what_they_were_promised() {
    let (url, tenant) = (world().await.url.clone(), Tenant::new("springbolt").await);
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("node")
            .arg(root().join("tests/e2e/clients/springbolt.mjs"))
            .env("BASE_URL", url)
            .env("API_KEY", tenant.key)
            .env("WEBHOOK_SECRET", tenant.secret)
            .env("LISTEN_PORT", "0")
            .env("VENDOR", "1")
            .env("UNCONFIGURED", "deanonymization")
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

/// Sends a request and returns its id.
async fn ask(tenant: &Tenant, operation: &str, sent: &Value) -> String {
    let headers = [
        ("x-api-key", tenant.key.as_str()),
        ("content-type", "application/json"),
    ];
    let answer = request("POST", operation, &headers, sent.to_string().as_bytes())
        .await
        .json(200);
    text(&answer["resolution"], "id").to_owned()
}

/// Returns the delivery of a request, once it is over.
async fn over(tenant: &Tenant, id: &str) -> Value {
    eventually("end of the delivery", async || {
        let page = tenant
            .get(&format!("/v1/jobs/{id}/deliveries"))
            .await
            .json(200);
        page["deliveries"]
            .get(0)
            .filter(|delivery| delivery["state"] != "pending")
            .cloned()
    })
    .await
}

pub(crate) async fn an_older_request_that_ends_later_is_superseded() {
    let tenant = Tenant::new("springbolt-late").await;
    // If the older one comes first, because its record's 18 s are over, the receiver refuses it:
    // its second attempt is then late.
    let older_one = |got: &Got| got.json().get("linkedinUrl").is_some();
    let receiver =
        Server::start(move |_, got| Answer::Status(if older_one(got) { 500 } else { 200 })).await;
    let url = receiver.url("/row");
    let slow = json!({"linkedinUrl": "https://www.linkedin.com/in/held", "callbackUrl": url});
    let older = ask(&tenant, "/linkedin-to-phone", &slow).await;
    let status = tenant.get(&format!("/v1/jobs/{older}")).await.json(200);
    assert!(
        ["queued", "running"].contains(&text(&status, "status")),
        "{status}"
    );
    let newer = ask(
        &tenant,
        "/enrichment",
        &json!({"companyName": "Spotify", "callbackUrl": url}),
    )
    .await;
    assert_eq!(over(&tenant, &newer).await["state"], "delivered");
    world().await.upstream.held.open();
    let late = over(&tenant, &older).await;
    assert_eq!(
        (text(&late, "state"), text(&late, "reason")),
        ("exhausted", "superseded")
    );
    let got = receiver.got();
    let (older_came, newer_came): (Vec<_>, Vec<_>) = got.iter().partition(|got| older_one(got));
    assert_eq!(
        (newer_came.len(), text(&newer_came[0].json(), "domain")),
        (1, "spotify.com")
    );
    assert_eq!(late["attempts"], older_came.len(), "{late}");
    assert!(!older_one(got.last().unwrap()), "the newer one's came last");
    let status = tenant.get(&format!("/v1/jobs/{older}")).await.json(200);
    assert_eq!(text(&status, "status"), "completed");
    let results = tenant
        .get(&format!("/v1/jobs/{older}/results"))
        .await
        .json(200);
    assert!(
        ["found", "failed"].contains(&text(&results["results"][0], "status")),
        "its result is there: {results}"
    );
}

pub(crate) async fn callbacks_to_one_url_come_one_at_a_time_and_the_newest_last() {
    let tenant = Tenant::new("springbolt-turns").await;
    let takes = Duration::from_millis(1_500);
    let receiver = Server::start(move |_, _| Answer::Later(takes, json!({}))).await;
    let mut asked = Vec::new();
    for n in 0..5 {
        let sent = json!({"email": format!("user{n}@example.com"),
            "callbackUrl": receiver.url("/row"), "n": n});
        asked.push(ask(&tenant, "/email-to-hem", &sent).await);
    }
    for (n, id) in asked.iter().enumerate() {
        let delivery = over(&tenant, id).await;
        let superseded = (text(&delivery, "state"), delivery["reason"].as_str())
            == ("exhausted", Some("superseded"));
        assert!(
            superseded || text(&delivery, "state") == "delivered",
            "{n}: {delivery}"
        );
    }
    let got = receiver.got();
    let order: Vec<u64> = got
        .iter()
        .map(|got| got.json()["n"].as_u64().unwrap())
        .collect();
    assert!(order.is_sorted() && order.last() == Some(&4), "{order:?}");
    for pair in got.windows(2) {
        let apart = pair[1].at.since(pair[0].at);
        assert!(
            apart >= takes,
            "{apart:?} between two callbacks of {takes:?}"
        );
    }
}
