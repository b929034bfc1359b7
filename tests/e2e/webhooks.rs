//! Deliveries: schedule, signatures, refusals, replays.

use serde_json::{Value, json};

use crate::jobs::assert_problem;
use crate::servers::{Answer, Gate, Got, REFUSED, Server, Upstream};
use crate::world::{Tenant, companies, lookups, millis, text, verify, world};

/// Returns the waits between one attempt's end and the next one's start. Both times are from one
/// clock, cut to milliseconds. None may be shorter than planned. How much longer depends on the
/// machine's load; the simulation has the exact times.
fn waits(delivery: &Value) -> Vec<i64> {
    let log = delivery["log"].as_array().unwrap();
    let end = |a: &Value| millis(&a["at"]) + a["latency_ms"].as_i64().unwrap();
    log.windows(2)
        .map(|pair| millis(&pair[1]["at"]) - end(&pair[0]))
        .collect()
}

pub(crate) async fn two_failures_then_success() {
    let tenant = Tenant::scheduled("retried", &[1, 4]).await;
    let receiver = Server::start(|n, _| Answer::Status(if n < 2 { 500 } else { 200 })).await;
    let job = tenant
        .submit(&companies(
            &["spotify.com", "unknown.example"],
            Some(&receiver.url("/hook")),
        ))
        .await;
    let delivery = tenant.delivery_once(&job, "delivered").await;

    let log = delivery["log"].as_array().unwrap();
    let codes: Vec<_> = log
        .iter()
        .map(|a| {
            (
                a["number"].clone(),
                a["status_code"].clone(),
                a["error"].clone(),
            )
        })
        .collect();
    let expected = [
        (1, 500, json!("status")),
        (2, 500, json!("status")),
        (3, 200, Value::Null),
    ];
    assert_eq!(
        codes,
        expected.map(|(n, code, error)| (json!(n), json!(code), error))
    );
    for (wait, planned) in waits(&delivery).into_iter().zip([1_000, 4_000]) {
        assert!(
            wait >= planned - 2,
            "{wait} ms instead of {planned}: {delivery}"
        );
    }
    assert!(delivery["next_attempt_at"].is_null());

    let got = receiver.got();
    assert_eq!(got.len(), 3);
    let mut stamps = Vec::new();
    for (got, entry) in got.iter().zip(log) {
        assert_eq!(got.header("webhook-id"), text(&delivery, "event_id"));
        assert_eq!(got.body, receiver.got()[0].body);
        let stamp: i64 = got.header("webhook-timestamp").parse().unwrap();
        assert!(
            (stamp * 1000 - millis(&entry["at"])).abs() <= 1_000,
            "{stamp} is not the time of {entry}"
        );
        stamps.push(stamp);
        verify(got, &tenant.secret).await;
    }
    assert!(
        stamps[0] < stamps[2],
        "every attempt is signed anew: {stamps:?}"
    );
}

/// Two records' events have arrived while the third is still being looked up: the upstream does not
/// answer before.
pub(crate) async fn each_record_is_notified_as_soon_as_it_has_ended() {
    let world = world().await;
    let tenant = Tenant::new("records").await;
    let receiver = Server::start(|_, _| Answer::Status(200)).await;
    let gate = Gate::default();
    let third = gate.clone();
    world.upstream.script("ended", move |n, _| {
        let found = json!({"answer": n});
        if n == 2 {
            Answer::After(third.clone(), found)
        } else {
            Answer::Json(found)
        }
    });
    let mut sent = lookups("ended", 3, Some(&receiver.url("/end")));
    sent["webhook_events"] = json!({"record.finished": receiver.url("/record")});
    let job = tenant.submit(&sent).await;
    let index = |got: &Got| got.json()["data"]["result"]["index"].as_u64();
    let early = receiver
        .wait("events of two records", |got| got.len() >= 2)
        .await;
    let mut early: Vec<_> = early[..2].iter().map(index).collect();
    early.sort_unstable();
    assert_eq!(early, [Some(0), Some(1)], "the third was not answered yet");
    assert!(
        Upstream::of(&world.upstream.server.got(), "ended").len() >= 3,
        "it was being looked up"
    );
    gate.open();

    let got = receiver
        .wait("three records and the end", |got| got.len() == 4)
        .await;
    let results = tenant.results(&job, 10).await;
    let mut reported = Vec::new();
    for got in &got {
        verify(got, &tenant.secret).await;
        let event = got.json();
        if got.path == "/end" {
            assert_eq!(event["type"], "job.completed");
            continue;
        }
        assert_eq!(
            (&event["type"], &event["data"]["job_id"]),
            (&json!("record.finished"), &job["id"])
        );
        let index = index(got).unwrap();
        assert_eq!(
            event["data"]["result"],
            results[usize::try_from(index).unwrap()]
        );
        reported.push((index, millis(&event["timestamp"])));
    }
    reported.sort_unstable();
    let [(0, first), (1, second), (2, third)] = reported[..] else {
        panic!("{reported:?}")
    };
    let end = millis(&tenant.ended(&job).await["completed_at"]);
    assert!(
        first.max(second) < third && third <= end,
        "{reported:?}, the end at {end}"
    );
}

pub(crate) async fn a_receiver_that_asks_for_time_gets_it() {
    let tenant = Tenant::scheduled("patience", &[1]).await;
    let receiver = Server::start(|n, _| {
        if n == 0 {
            Answer::With(503, "Retry-After", "4")
        } else {
            Answer::Status(204)
        }
    })
    .await;
    let sent = tenant
        .post("/v1/webhooks/test", &json!({"url": receiver.url("/hook")}))
        .await;
    let path = sent.header("location").to_owned();
    assert_eq!(
        path,
        format!("/v1/deliveries/{}", text(&sent.json(202), "id"))
    );
    let delivery = tenant.delivery_at(&path, "delivered").await;
    assert!(waits(&delivery)[0] >= 3_998, "{delivery}");
}

pub(crate) async fn a_name_of_refused_addresses_is_blocked_at_delivery() {
    let tenant = Tenant::scheduled("blocked", &[]).await;
    for (name, _) in REFUSED {
        // The name alone does not show it: submit accepts it.
        let job = tenant
            .submit(&companies(
                &["spotify.com"],
                Some(&format!("http://{name}:8080/hook")),
            ))
            .await;
        let delivery = tenant.delivery_once(&job, "exhausted").await;
        let log = delivery["log"].as_array().unwrap();
        assert_eq!(
            (log.len(), text(&log[0], "error"), &log[0]["status_code"]),
            (1, "blocked", &Value::Null),
            "{delivery}"
        );
        let shown = delivery.to_string();
        for (_, addresses) in REFUSED {
            assert!(
                addresses.iter().all(|a| !shown.contains(a)),
                "the log shows what {name} resolves to: {shown}"
            );
        }
        assert!(
            world()
                .await
                .names
                .lock()
                .unwrap()
                .iter()
                .any(|asked| asked == name),
            "no query for {name}"
        );
    }
    let job = tenant
        .submit(&companies(
            &["spotify.com"],
            Some("http://nowhere.millrace.example/hook"),
        ))
        .await;
    let delivery = tenant.delivery_once(&job, "exhausted").await;
    assert_eq!(text(&delivery["log"][0], "error"), "dns", "{delivery}");
}

pub(crate) async fn a_rotated_secret_also_signs() {
    let tenant = Tenant::scheduled("rotated", &[]).await;
    let receiver = Server::start(|_, _| Answer::Status(204)).await;
    let send = async || {
        let before = receiver.got().len();
        let sent = tenant
            .post("/v1/webhooks/test", &json!({"url": receiver.url("/hook")}))
            .await
            .json(202);
        tenant
            .delivery_at(
                &format!("/v1/deliveries/{}", text(&sent, "id")),
                "delivered",
            )
            .await;
        receiver.got()[before].clone()
    };
    assert_problem(
        &tenant
            .post("/v1/webhooks/secret/rotate", &json!({"overlap_hours": 73}))
            .await,
        400,
        "invalid",
    );
    let key = [("idempotency-key", "rotation-1")];
    let rotated = tenant
        .call(
            "POST",
            "/v1/webhooks/secret/rotate",
            &key,
            br#"{"overlap_hours": 1}"#,
        )
        .await
        .json(200);
    let again = tenant
        .call(
            "POST",
            "/v1/webhooks/secret/rotate",
            &key,
            br#"{"overlap_hours": 1}"#,
        )
        .await
        .json(200);
    assert_eq!(rotated, again, "one key, one rotation");
    let new = text(&rotated, "secret");
    assert!(new.starts_with("whsec_") && new != tenant.secret);
    let hour = millis(&rotated["previous_expires_at"]) - world().await.ports.clock.now().0;
    assert!((3_500_000..=3_600_000).contains(&hour), "{hour}");

    let got = send().await;
    assert_eq!(got.json()["type"], "webhook.test");
    assert_eq!(got.header("webhook-signature").split(' ').count(), 2);
    verify(&got, &tenant.secret).await;
    verify(&got, new).await;

    let last = tenant
        .post("/v1/webhooks/secret/rotate", &json!({"overlap_hours": 0}))
        .await
        .json(200);
    let got = send().await;
    verify(&got, text(&last, "secret")).await;
    let signatures = got.header("webhook-signature").split(' ').count();
    assert_eq!(
        signatures, 1,
        "no overlap ends the longer one before it too: that is how a secret is taken back"
    );
}

pub(crate) async fn a_receiver_that_is_gone_is_left_alone_until_a_replay() {
    let tenant = Tenant::scheduled("gone", &[1, 1]).await;
    let receiver = Server::start(|n, _| Answer::Status(if n == 0 { 410 } else { 200 })).await;
    let body = companies(&["spotify.com"], Some(&receiver.url("/hook")));
    let first = tenant.submit(&body).await;
    let gone = tenant.delivery_once(&first, "exhausted").await;
    assert_eq!(
        (text(&gone, "reason"), &gone["attempts"]),
        ("endpoint_gone", &json!(1))
    );
    let second = tenant.submit(&body).await;
    let disabled = tenant.delivery_once(&second, "exhausted").await;
    assert_eq!(
        (text(&disabled, "reason"), &disabled["attempts"]),
        ("endpoint_disabled", &json!(0))
    );
    assert_eq!(
        receiver.got().len(),
        1,
        "nothing is sent to a disabled endpoint"
    );

    let path = format!("/v1/deliveries/{}", text(&gone, "id"));
    let key = [("idempotency-key", "again")];
    tenant
        .call("POST", &format!("{path}/replay"), &key, b"")
        .await
        .json(202);
    let replayed = tenant.delivery_at(&path, "delivered").await;
    assert_eq!(replayed["log"].as_array().unwrap().len(), 2);
    tenant
        .call("POST", &format!("{path}/replay"), &key, b"")
        .await
        .json(202);
    let got = receiver.got();
    assert_eq!(got.len(), 2, "one key, one replay");
    assert_eq!(
        (got[0].header("webhook-id"), &got[0].body),
        (got[1].header("webhook-id"), &got[1].body)
    );
    verify(&got[1], &tenant.secret).await;

    let third = tenant.submit(&body).await;
    tenant.delivery_once(&third, "delivered").await;
    let listed = tenant.deliveries(&third).await;
    assert_eq!(
        (listed.len(), text(&listed[0], "type")),
        (1, "job.completed")
    );
}
