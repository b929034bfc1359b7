//! Unfinished work that an earlier version left, finished by the deployed functions.
//! `tests/sim/stored` makes such a dump, and says what is in it.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use shared::domain::signature::{LiveSecret, verify as verifies};
use shared::ports::{Item, Put, Write};
use shared::schema::{read_secrets, secret_key};
use testkit::stored::{Dump, VERSIONS};

use crate::servers::{Answer, Got, Server, Upstream};
use crate::world::{Tenant, assert_counts, invoke, request, text, verify, world};

pub(crate) async fn what_versions_left_is_finished_with_exact_counts() {
    join_all(VERSIONS.map(finish)).await;
}

/// Restores the dump as if it had just been stored. Independent items come first; then, each at
/// once, the items in which the sweep sees a job.
async fn restore(dump: &Dump) {
    let ports = &world().await.ports;
    let of_job =
        |item: &Item| item.key.pk.starts_with("JOB#") && !item.key.sk.starts_with("CHUNK#");
    let (of_jobs, others): (Vec<Item>, Vec<Item>) = dump.items.iter().cloned().partition(of_job);
    // An answer is cached under the address that gave it, and the table has its own key for them.
    let others = others
        .into_iter()
        .filter(|item| !item.key.pk.starts_with("CACHE"));
    ports.store.put_all(others.collect()).await.unwrap();
    let mut jobs = BTreeMap::<_, Vec<_>>::new();
    for item in of_jobs {
        jobs.entry(item.key.pk.clone())
            .or_default()
            .push(Write::Put(Put {
                item,
                condition: None,
            }));
    }
    for writes in jobs.into_values() {
        ports.store.transact(writes).await.unwrap();
    }
    for (queue, message) in &dump.messages {
        ports
            .queue
            .send(*queue, vec![message.clone()])
            .await
            .unwrap();
    }
}

async fn finish(version: &str) {
    let world = world().await;
    let receiver = Server::start(|_, _| Answer::Status(200)).await;
    let dump = Dump::of(version);
    let (tag, canceled) = (dump.tenant.to_string(), format!("{}-canceled", dump.tenant));
    let known = |n: u32| {
        if n.is_multiple_of(7) {
            Answer::Status(404)
        } else {
            Answer::Json(json!({"answer": n}))
        }
    };
    let [killed, swept] = ["killed", "swept"].map(|end| format!("{tag}-{end}"));
    for tag in [&tag, &canceled, &killed, &swept] {
        world.upstream.script(tag, move |n, _| known(n));
    }
    let dump = dump.restored(
        world.ports.clock.now(),
        text(&dump.expected, "hooks"),
        &receiver.url("/"),
    );
    let expected = &dump.expected;
    let list = |name: &str| {
        expected[name]
            .as_array()
            .unwrap_or_else(|| panic!("{name}"))
            .iter()
    };
    restore(&dump).await;
    let secrets = dump
        .items
        .iter()
        .find(|item| item.key == secret_key(&dump.tenant));
    let secrets = read_secrets(secrets).unwrap();
    let tenant = Tenant {
        id: dump.tenant.clone(),
        key: text(expected, "api_key").to_owned(),
        secret: secrets[0].secret.reveal().to_owned(),
    };

    for post in list("to_post") {
        let path = text(post, "url")
            .strip_prefix("https://api.example")
            .unwrap();
        let headers = [("content-type", "application/json")];
        let posted = request(
            "POST",
            path,
            &headers,
            post["answer"].to_string().as_bytes(),
        )
        .await;
        assert_eq!(posted.status, 204, "{}", posted.text());
    }
    let repeated = &expected["repeated"];
    let key = [("idempotency-key", text(repeated, "key"))];
    let answer = tenant
        .call("POST", "/v1/jobs", &key, text(repeated, "body").as_bytes())
        .await
        .json(202);
    assert_eq!(
        (&answer["id"], &answer["errors"]),
        (&repeated["job"], &repeated["errors"])
    );
    // Work that lost its message is due.
    invoke("sweep", &json!({})).await;

    let listed = tenant.get("/v1/jobs?limit=100").await.json(200);
    for job in list("jobs") {
        assert!(
            listed["jobs"]
                .as_array()
                .unwrap()
                .iter()
                .any(|listed| listed["id"] == job["job"]),
            "{job}"
        );
        let ended = tenant.ended(&json!({"id": job["job"]})).await;
        let counts: Vec<(&str, u64)> = job["counts"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, n)| (name.as_str(), n.as_u64().unwrap()))
            .collect();
        assert_eq!(
            (&ended["status"], &ended["credits"]["used"]),
            (&job["status"], &job["credits"]),
            "{job}: {ended}"
        );
        assert!(
            job["started_at"].is_null() || job["started_at"] == ended["started_at"],
            "{job}: {ended}"
        );
        assert_counts(&ended, &in_order(&counts));
        assert!(shows(&ended, &job["shows"]), "{job}: {ended}");
        let lines = tenant.results(&ended, 1000).await;
        for line in list("lines").filter(|line| line["job"] == job["job"]) {
            let shown = &lines[usize::try_from(line["line"].as_u64().unwrap()).unwrap()];
            assert!(shows(shown, &line["shows"]), "{line}: {shown}");
        }
        assert!(
            lines.iter().enumerate().all(|(n, line)| line["index"] == n),
            "{job}"
        );
        for (status, count) in counts {
            assert_eq!(
                lines.iter().filter(|line| line["status"] == status).count() as u64,
                count,
                "{job}: {status}"
            );
        }
        if text(job, "left") == "waits for an upstream's answer" {
            let name = format!("Name of {}", text(&lines[0]["input"], "domain"));
            assert_eq!(lines[0]["data"]["name"], name, "{job}");
        }
    }

    join_all(list("events").map(|event| reported(&tenant, &receiver, &secrets, event))).await;
    let to_come: Vec<String> = list("events")
        .filter(|event| event["to_come"] == true)
        .map(event_id)
        .collect();
    let got = receiver.got();
    assert!(
        got.iter()
            .all(|got| to_come.iter().any(|id| got.header("webhook-id") == id)),
        "an event came again"
    );
    let native = got.iter().find(|got| got.path == "/untouched").unwrap();
    verify(native, &tenant.secret).await;

    let account = tenant.account().await;
    assert_eq!(
        account["credits"],
        json!({"balance": expected["balance"], "used": expected["used"]})
    );
    assert_eq!(account["usage"]["open_chunks"], 0);

    // Answers are not bought again, and for canceled jobs nothing is requested.
    let asked = world.upstream.server.got();
    let paths = |tag: &str| {
        Upstream::of(&asked, tag)
            .into_iter()
            .map(|got| got.path)
            .collect::<Vec<_>>()
    };
    assert!(list("answered").all(|url| {
        !paths(&tag)
            .iter()
            .any(|path| text_of(url).ends_with(path.as_str()))
    }));
    assert_eq!(
        paths(&tag).len() + list("answered").count(),
        40,
        "each record is asked for once"
    );
    assert_eq!(paths(&canceled), Vec::<String>::new());
    assert!(list("unasked").all(|url| !asked.iter().any(|got| got.path == text_of(url))));
    assert!(
        !asked.iter().any(|got| got.path == "/late"
            && got.json().to_string().contains(&format!(".{tag}.example")))
    );
}

/// Checks that everything expected is shown.
fn shows(shown: &Value, expected: &Value) -> bool {
    let expected = expected.as_object().unwrap();
    expected
        .iter()
        .all(|(pointer, value)| shown.pointer(pointer).unwrap_or(&Value::Null) == value)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Orders counts as the API shows them.
fn in_order<'a>(counts: &[(&'a str, u64)]) -> Vec<(&'a str, u64)> {
    let names = [
        "found",
        "not_found",
        "failed",
        "invalid",
        "skipped",
        "canceled",
    ];
    names
        .iter()
        .filter_map(|name| counts.iter().find(|(known, _)| known == name).copied())
        .collect()
}

/// The `webhook-id` of an event.
fn event_id(event: &Value) -> String {
    text(event, "delivery").replacen("dlv_", "evt_", 1)
}

/// An event that was due has arrived as often as its log says, always the same and signed. One that
/// had been delivered before has not arrived again.
async fn reported(tenant: &Tenant, receiver: &Server, secrets: &[LiveSecret], event: &Value) {
    let delivery = tenant
        .delivery_at(
            &format!("/v1/deliveries/{}", text(event, "delivery")),
            event["state"].as_str().unwrap_or("delivered"),
        )
        .await;
    assert_eq!(
        (&delivery["type"], &delivery["reason"]),
        (&event["type"], &event["reason"]),
        "{delivery}"
    );
    let (id, path) = (event_id(event), format!("/{}", text(event, "path")));
    let got: Vec<Got> = receiver
        .got()
        .into_iter()
        .filter(|got| got.header("webhook-id") == id)
        .collect();
    let before = event["log"].as_array().unwrap();
    let log = delivery["log"].as_array().unwrap();
    assert!(log.starts_with(before), "{event}: {delivery}");
    let answered = log[before.len()..]
        .iter()
        .filter(|attempt| attempt["status_code"] == 200)
        .count();
    assert_eq!(
        (got.len(), answered > 0),
        (answered, event["to_come"] == true),
        "{event}: {delivery}"
    );
    for each in &got {
        assert_eq!((&each.path, &each.body), (&path, &got[0].body), "{event}");
        signed(each, secrets);
        let body = String::from_utf8_lossy(&each.body);
        assert!(
            body.contains(event["says"].as_str().unwrap_or_default()),
            "{event}: {body}"
        );
    }
}

/// Checks that an event is signed with every secret, or, in a header with room for one, with the
/// previous secret.
fn signed(got: &Got, secrets: &[LiveSecret]) {
    let header = |name: &str| Some(got.header(name)).filter(|value| !value.is_empty());
    let [id, at, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(header);
    for live in secrets {
        assert_eq!(
            verifies(&live.secret, id, at, signatures, &got.body, got.at),
            Ok(()),
            "{}",
            got.path
        );
    }
    let mac = |secret: &LiveSecret, parts: &[&[u8]]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.secret.reveal().as_bytes()).unwrap();
        for part in parts {
            mac.update(part);
        }
        hex::encode(mac.finalize().into_bytes())
    };
    let before = secrets.last().unwrap();
    match got.path.as_str() {
        "/apione" => {
            assert_eq!(
                got.header("x-apione-signature"),
                format!("sha256={}", mac(before, &[&got.body]))
            );
        }
        "/sixtyfour" => {
            let signature = got.header("sixtyfour-signature");
            let at = signature
                .strip_prefix("t=")
                .and_then(|rest| rest.split(',').next())
                .unwrap();
            for live in secrets {
                let mac = mac(live, &[at.as_bytes(), b".", &got.body]);
                assert!(signature.contains(&format!("v1={mac}")), "{signature}");
            }
        }
        "/fullenrich" => assert_eq!(got.header("x-signature-sha1").len(), 40),
        _ => {}
    }
}
