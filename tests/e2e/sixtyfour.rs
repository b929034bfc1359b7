//! Sixtyfour's surface: a client and a receiver written from the vendor's documents, against the
//! deployed stack.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::world::{Tenant, root, text, world};

/// Runs the client and returns its last line of output.
async fn client(tenant: &Tenant) -> Value {
    let (url, key, secret) = (
        world().await.url.clone(),
        tenant.key.clone(),
        tenant.secret.clone(),
    );
    let output = tokio::task::spawn_blocking(move || {
        let mut node = Command::new("node");
        node.arg(root().join("tests/e2e/clients/sixtyfour.mjs"))
            .env("BASE_URL", url)
            .env("API_KEY", key)
            .env("WEBHOOK_SECRET", secret)
            .stdin(Stdio::null());
        node.output().expect("node")
    });
    let output = output.await.unwrap();
    let (said, faults) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}\n{faults}");
    println!("{said}");
    serde_json::from_str(said.lines().last().unwrap()).unwrap()
}

/// Eight operations, polled and notified; a retry schedule of 1, 2, 4, 8 and 16 s; errors. The
/// native surface shows the same.
pub(crate) async fn their_client_works_unchanged() {
    let tenant = Tenant::new("sixtyfour").await;
    let summary = client(&tenant).await;
    let task = text(&summary, "flaky");
    let job = tenant.get(&format!("/v1/jobs/{task}")).await.json(200);
    assert_eq!(
        (text(&job, "status"), &job["counts"]["found"]),
        ("completed", &json!(1)),
        "{job}"
    );
    let log = tenant
        .get(&format!("/v1/jobs/{task}/deliveries"))
        .await
        .json(200);
    let codes: Vec<&Value> = log["deliveries"][0]["log"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["status_code"])
        .collect();
    assert_eq!(codes, [500, 500, 500, 500, 500, 200], "{log}");
    assert_eq!(text(&log["deliveries"][0], "state"), "delivered");
}
