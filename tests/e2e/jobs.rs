//! Jobs from submit to their end.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::domain::ids::JobId;
use shared::ports::{Query, Select};
use shared::schema::{job_range, meta_key, shard_range, tenant_jobs};

use crate::crashes::sweep_when_due;
use crate::servers::{Answer, Gate, Server, Upstream, key};
use crate::world::{
    Reply, Tenant, assert_counts, companies, lookups, millis, root, text, verify, world,
};

fn rows(file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    // Parses as much CSV as these two files need: quotes only around a cell with a comma, none
    // inside.
    let cells = |line: &str| {
        let (mut cells, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                _ => cells.last_mut().unwrap().push(c),
            }
        }
        cells
    };
    text.lines().skip(1).map(cells).collect()
}

pub(crate) async fn a_thousand_domains() {
    let tenant = Tenant::new("thousand").await;
    let receiver = Server::start(|_, _| Answer::Status(200)).await;
    let input = rows("infra/local/demo/domains-1000.csv");
    let records: Vec<_> = input
        .iter()
        .map(|row| {
            json!({"id": row[0], "input": {"domain": row[1]},
                "metadata": {"crm_id": row[2], "nested": [1.5, null]}})
        })
        .collect();
    let body = json!({"type": "company", "name": "All of it", "records": records,
        "webhook_url": receiver.url("/done")});
    let reply = tenant.post("/v1/jobs", &body).await;
    let job = reply.json(202);
    assert_eq!(
        reply.header("location"),
        format!("/v1/jobs/{}", text(&job, "id"))
    );
    assert!(reply.header("retry-after").parse::<u32>().is_ok());
    assert_eq!(job["credits"], json!({"reserved": 1000, "used": 0}));

    let job = tenant.ended(&job).await;
    assert_eq!(
        (text(&job, "status"), text(&job, "name"), &job["progress"]),
        ("completed", "All of it", &json!(100))
    );
    assert_counts(&job, &[("found", 700), ("not_found", 280), ("invalid", 20)]);
    assert_eq!(job["credits"], json!({"reserved": 1000, "used": 700}));
    let account = tenant.account().await;
    assert_eq!(account["credits"], json!({"balance": 99_300, "used": 700}));
    assert_eq!(account["usage"]["open_chunks"], 0);
    assert!(millis(&job["created_at"]) <= millis(&job["started_at"]));
    assert!(millis(&job["started_at"]) <= millis(&job["completed_at"]));

    let brands: std::collections::BTreeMap<String, String> = {
        let header = std::fs::read_to_string(root().join("infra/data/brands.csv")).unwrap();
        let header: Vec<&str> = header.lines().next().unwrap().split(',').collect();
        let column = |name: &str| header.iter().position(|c| *c == name).unwrap();
        let (domain, name) = (column("domain"), column("name"));
        rows("infra/data/brands.csv")
            .into_iter()
            .map(|row| (row[domain].clone(), row[name].clone()))
            .collect()
    };
    let lines = tenant.results(&job, 333).await;
    assert_eq!(lines.len(), 1000);
    for (n, (line, row)) in lines.iter().zip(&input).enumerate() {
        assert_eq!(
            (&line["index"], text(line, "id")),
            (&json!(n), row[0].as_str())
        );
        assert_eq!(line["input"], json!({"domain": row[1]}));
        assert_eq!(
            line["metadata"],
            json!({"crm_id": row[2], "nested": [1.5, null]})
        );
        let domain = row[1].trim().to_lowercase();
        let domain = domain
            .trim_start_matches("https://")
            .split('/')
            .next()
            .unwrap()
            .trim_end_matches('.');
        let name = ["", "www.", "news."]
            .iter()
            .find_map(|p| brands.get(domain.strip_prefix(p)?));
        match (text(line, "status"), name) {
            ("found", Some(name)) => {
                assert_eq!(
                    (text(&line["data"], "company_name"), &line["credits"]),
                    (name.as_str(), &json!(1))
                );
                assert_eq!(line["sources"]["company_name"]["provider"], "brands");
                assert!(line["error"].is_null());
            }
            ("not_found", None) => {
                assert!(
                    domain.starts_with("unknown-")
                        && line["credits"] == 0
                        && line["data"] == json!({}),
                    "{line}"
                );
            }
            ("invalid", None) => {
                assert!(!line["error"].is_null() && line["credits"] == 0, "{line}");
            }
            (status, name) => panic!("{} is {status}, known as {name:?}", row[1]),
        }
    }

    tenant.delivery(&job, "delivered").await;
    let got = receiver.wait("webhook", |got| !got.is_empty()).await;
    assert_eq!((got.len(), got[0].path.as_str()), (1, "/done"));
    let event = got[0].json();
    assert_eq!(
        (text(&event, "type"), &event["timestamp"]),
        ("job.completed", &job["completed_at"])
    );
    assert_eq!(
        (&event["data"]["counts"], &event["data"]["id"]),
        (&job["counts"], &job["id"])
    );
    // The event holds them if they fit into 256 KB; receivers rely on that rule.
    match event["data"]["results"].as_array() {
        Some(results) => assert_eq!(results, &lines),
        None => assert!(lines.iter().map(|l| l.to_string().len() + 1).sum::<usize>() > 256 * 1000),
    }
    verify(&got[0], &tenant.secret).await;
}

pub(crate) async fn the_same_submit_twice_is_one_job() {
    let (tenant, other) = (Tenant::new("twice").await, Tenant::new("twice-other").await);
    let body = companies(&["spotify.com", "unknown.example"], None).to_string();
    let post = async |tenant: &Tenant, body: &str| {
        tenant
            .call(
                "POST",
                "/v1/jobs",
                &[("idempotency-key", "order-66")],
                body.as_bytes(),
            )
            .await
    };
    let first = post(&tenant, &body).await.json(202);
    let again = post(&tenant, &body).await.json(202);
    assert_eq!(first["id"], again["id"]);
    let changed = post(&tenant, &body.replace("spotify", "stripe")).await;
    assert_problem(&changed, 422, "idempotency-mismatch");
    assert_ne!(
        post(&other, &body).await.json(202)["id"],
        first["id"],
        "a key is one tenant's"
    );

    let ended = tenant.ended(&first).await;
    assert_counts(&ended, &[("found", 1), ("not_found", 1)]);
    assert_eq!(
        post(&tenant, &body).await.json(202)["status"],
        "completed",
        "the job as it is now"
    );
    assert_eq!(
        tenant.account().await["credits"],
        json!({"balance": 99_999, "used": 1})
    );
    assert_eq!(jobs_of(&tenant).await, 1);
}

pub(crate) async fn five_equal_submits_at_once_are_one_job() {
    let tenant = Tenant::new("five").await;
    let domains: Vec<String> = (0..200).map(|n| format!("unknown-{n}.example")).collect();
    let body = companies(
        &domains.iter().map(String::as_str).collect::<Vec<_>>(),
        None,
    )
    .to_string();
    let replies = join_all((0..5).map(|_| {
        tenant.call(
            "POST",
            "/v1/jobs",
            &[("idempotency-key", "at once")],
            body.as_bytes(),
        )
    }));
    let replies: Vec<Value> = replies.await.iter().map(|reply| reply.json(202)).collect();
    let ids: BTreeSet<&str> = replies.iter().map(|job| text(job, "id")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_counts(&tenant.ended(&replies[0]).await, &[("not_found", 200)]);
    assert_eq!(jobs_of(&tenant).await, 1);
    let account = tenant.account().await;
    assert_eq!(
        (
            &account["credits"]["balance"],
            &account["usage"]["open_chunks"]
        ),
        (&json!(100_000), &json!(0))
    );
}

/// Returns the tenant's stored jobs, even those that the API does not show.
pub(crate) async fn jobs_of(tenant: &Tenant) -> usize {
    let select = Select::JobsOfTenant {
        tenant_jobs: tenant_jobs(&tenant.id),
        before: None,
    };
    let query = Query {
        select,
        limit: 1000,
        descending: true,
        consistent: false,
    };
    world().await.ports.store.query(&query).await.unwrap().len()
}

#[track_caller]
pub(crate) fn assert_problem(reply: &Reply, status: u16, kind: &str) -> Value {
    let problem = reply.json(status);
    assert_eq!(
        reply.header("content-type"),
        "application/problem+json",
        "{problem}"
    );
    assert_eq!(
        (&problem["status"], text(&problem, "type")),
        (&json!(status), &*format!("urn:millrace:problem:{kind}"))
    );
    for member in ["title", "detail", "request_id"] {
        assert!(
            !text(&problem, member).is_empty(),
            "{member} is empty: {problem}"
        );
    }
    problem
}

pub(crate) async fn a_waiting_get_answers_when_the_job_changes() {
    let (world, tenant) = (world().await, Tenant::new("waiting").await);
    let gate = Gate::default();
    let held = gate.clone();
    world.upstream.script("waiting", move |n, _| {
        if n == 0 {
            Answer::After(held.clone(), json!({"answer": n}))
        } else {
            Answer::Json(json!({"answer": n}))
        }
    });
    let job = tenant.submit(&lookups("waiting", 2, None)).await;
    let path = format!("/v1/jobs/{}", text(&job, "id"));
    world
        .upstream
        .server
        .wait("lookup", |got| !Upstream::of(got, "waiting").is_empty())
        .await;

    let running = tenant.get(&path).await;
    assert_eq!(running.json(200)["status"], "running");
    let tag = running.header("etag").to_owned();
    assert!(
        tag.starts_with("W/\"") && tag.ends_with('"'),
        "what the clock changes is not in it, so it is weak: {tag}"
    );
    let same = tenant
        .call("GET", &path, &[("if-none-match", &tag)], b"")
        .await;
    assert_eq!(
        (same.status, same.header("etag"), same.body.len()),
        (304, tag.as_str(), 0)
    );
    let strong = format!("\"other\", {}", tag.trim_start_matches("W/"));
    assert_eq!(
        tenant
            .call("GET", &path, &[("if-none-match", &strong)], b"")
            .await
            .status,
        304
    );

    // The simulation shows, in its own time, how soon the answer follows the change.
    gate.open();
    let waiting = async |tag: &str| {
        tenant
            .call(
                "GET",
                &path,
                &[("prefer", "wait=20"), ("if-none-match", tag)],
                b"",
            )
            .await
    };
    let (mut waited, mut before) = (waiting(&tag).await, tag.clone());
    while waited.status == 304 || waited.json(200)["status"] == "running" {
        // Either nothing changed in 20 s, or the chunk's outcomes were stored before the job ended,
        // which is a change too.
        assert_eq!(waited.status == 304, waited.header("etag") == before);
        before = waited.header("etag").to_owned();
        waited = waiting(&before).await;
    }
    let ended = waited.json(200);
    assert_eq!(
        (text(&ended, "status"), waited.header("preference-applied")),
        ("completed", "wait=20")
    );
    assert_counts(&ended, &[("found", 2)]);
    assert_ne!(waited.header("etag"), tag);

    let tag = waited.header("etag").to_owned();
    let same = tenant
        .call(
            "GET",
            &format!("{path}?wait=20"),
            &[("if-none-match", &tag)],
            b"",
        )
        .await;
    assert_eq!(same.status, 304);
}

pub(crate) async fn a_canceled_job_keeps_what_it_has_and_can_be_retried() {
    let (world, tenant) = (world().await, Tenant::new("cancel").await);
    let receiver = Server::start(|_, _| Answer::Status(200)).await;
    // Four answers arrive at once. The others occupy the chunk's sixteen places until their limit
    // of 18 s on this stack. More follow unless the run has seen the cancellation: it polls every 3
    // s.
    world.upstream.script("cancel", |n, before| {
        if n >= 4 && before == 0 {
            Answer::NeverAnswer
        } else {
            Answer::Json(json!({"answer": n}))
        }
    });
    let job = tenant
        .submit(&lookups("cancel", 60, Some(&receiver.url("/hook"))))
        .await;
    let path = format!("/v1/jobs/{}", text(&job, "id"));
    world
        .upstream
        .server
        .wait("lookups", |got| Upstream::of(got, "cancel").len() >= 20)
        .await;

    assert_problem(
        &tenant.post(&format!("{path}/retry"), &Value::Null).await,
        409,
        "conflict",
    );
    assert_eq!(
        tenant
            .post(&format!("{path}/cancel"), &Value::Null)
            .await
            .json(202)["status"],
        "canceling"
    );
    let again = tenant
        .post(&format!("{path}/cancel"), &Value::Null)
        .await
        .json(202);
    assert!(["canceling", "canceled"].contains(&text(&again, "status")));
    let ended = tenant.ended(&job).await;
    assert_eq!(text(&ended, "status"), "canceled");
    let asked = Upstream::of(&world.upstream.server.got(), "cancel");
    let asked: BTreeSet<u32> = asked.iter().filter_map(|got| Some(key(got)?.1)).collect();
    let failed = asked.len() as u64 - 4;
    assert!(
        (16..56).contains(&failed),
        "{failed} of 60 were asked after the first four"
    );
    assert_counts(
        &ended,
        &[("found", 4), ("failed", failed), ("canceled", 56 - failed)],
    );
    assert_eq!(
        tenant.account().await["credits"],
        json!({"balance": 99_988, "used": 12})
    );
    tenant.delivery(&job, "delivered").await;
    assert_eq!(text(&receiver.got()[0].json(), "type"), "job.canceled");

    let retried = tenant
        .post(&format!("{path}/retry"), &Value::Null)
        .await
        .json(202);
    assert_eq!(retried["retry_of"], job["id"]);
    let retried = tenant.ended(&retried).await;
    assert_counts(&retried, &[("found", failed)]);
    let lines = tenant.results(&retried, 100).await;
    let ids: Vec<&str> = lines.iter().map(|line| text(line, "id")).collect();
    assert_eq!(
        ids,
        asked
            .range(4..)
            .map(|n| format!("n{n}"))
            .collect::<Vec<_>>()
    );
    assert_eq!(tenant.account().await["credits"]["used"], 12 + 3 * failed);
}

pub(crate) async fn a_deleted_job_leaves_a_tombstone() {
    let tenant = Tenant::new("deleted").await;
    let receiver = Server::start(|_, _| Answer::Status(200)).await;
    let job = tenant
        .submit(&companies(&["spotify.com"], Some(&receiver.url("/hook"))))
        .await;
    tenant.ended(&job).await;
    let delivery = tenant.delivery(&job, "delivered").await;
    let (path, id) = (
        format!("/v1/jobs/{}", text(&job, "id")),
        JobId::parse(text(&job, "id")).unwrap(),
    );
    assert_eq!(tenant.call("DELETE", &path, &[], b"").await.status, 204);

    for path in [
        path.clone(),
        format!("{path}/results"),
        format!("{path}/deliveries"),
    ] {
        assert_problem(&tenant.get(&path).await, 404, "not-found");
    }
    assert_problem(
        &tenant
            .get(&format!("/v1/deliveries/{}", text(&delivery, "id")))
            .await,
        404,
        "not-found",
    );
    assert_problem(
        &tenant.call("DELETE", &path, &[], b"").await,
        404,
        "not-found",
    );
    for call in ["cancel", "retry"] {
        assert_problem(
            &tenant.post(&format!("{path}/{call}"), &Value::Null).await,
            404,
            "not-found",
        );
    }
    assert_eq!(tenant.get("/v1/jobs").await.json(200)["jobs"], json!([]));
    let left = |select| Query {
        select,
        limit: 100,
        descending: false,
        consistent: true,
    };
    let store = &world().await.ports.store;
    let items = store.query(&left(job_range(&id))).await.unwrap();
    assert_eq!(
        items.iter().map(|i| i.key.sk.as_str()).collect::<Vec<_>>(),
        ["META"]
    );
    assert!(
        !format!("{items:?}").contains("hook"),
        "the receiver's address is erased too"
    );
    assert_eq!(store.query(&left(shard_range(&id, 0))).await.unwrap(), []);
    assert_eq!(
        tenant.account().await["credits"],
        json!({"balance": 99_999, "used": 1}),
        "what was found stays charged"
    );
}

pub(crate) async fn a_job_deleted_while_it_runs_stays_gone() {
    let (world, tenant) = (world().await, Tenant::new("gone-live").await);
    let receiver = Server::start(|_, _| Answer::Status(200)).await;
    world.upstream.script("gone", |n, _| {
        if n < 8 {
            Answer::Json(json!({"answer": n}))
        } else {
            Answer::NeverAnswer
        }
    });
    let job = tenant
        .submit(&lookups("gone", 20, Some(&receiver.url("/hook"))))
        .await;
    let (path, id) = (
        format!("/v1/jobs/{}", text(&job, "id")),
        JobId::parse(text(&job, "id")).unwrap(),
    );
    world
        .upstream
        .server
        .wait("lookups", |got| Upstream::of(got, "gone").len() >= 20)
        .await;
    assert_eq!(tenant.call("DELETE", &path, &[], b"").await.status, 204);
    assert_problem(&tenant.get(&path).await, 404, "not-found");
    let settled = tenant.account().await;
    assert_eq!(
        settled["credits"],
        json!({"balance": 100_000, "used": 0}),
        "no chunk had its result"
    );
    assert_eq!(settled["usage"]["open_chunks"], 0);

    // The run in progress ends within seconds; the second erasure follows any such run.
    sweep_when_due(meta_key(&id)).await;
    let all = |select| Query {
        select,
        limit: 100,
        descending: false,
        consistent: true,
    };
    let store = &world.ports.store;
    let items = store.query(&all(job_range(&id))).await.unwrap();
    assert_eq!(
        items.iter().map(|i| i.key.sk.as_str()).collect::<Vec<_>>(),
        ["META"]
    );
    assert!(!items[0].attributes.contains_key("due"), "{items:?}");
    assert_eq!(store.query(&all(shard_range(&id, 0))).await.unwrap(), []);
    assert_eq!(tenant.account().await, settled);
    assert!(receiver.got().is_empty(), "a deleted job sends nothing");
}

pub(crate) async fn jobs_are_listed_newest_first_and_by_status() {
    let (world, tenant) = (world().await, Tenant::new("list").await);
    let mut ids = Vec::new();
    for domain in ["spotify.com", "a.example", "b.example"] {
        let job = tenant.submit(&companies(&[domain], None)).await;
        tenant.ended(&job).await;
        ids.insert(0, text(&job, "id").to_owned());
    }
    let gate = Gate::default();
    let held = gate.clone();
    world.upstream.script("list", move |_, _| {
        Answer::After(held.clone(), json!({"answer": 1}))
    });
    let job = tenant.submit(&lookups("list", 1, None)).await;
    ids.insert(0, text(&job, "id").to_owned());
    world
        .upstream
        .server
        .wait("lookup", |got| !Upstream::of(got, "list").is_empty())
        .await;

    let list = async |query: &str| {
        let page = tenant.get(&format!("/v1/jobs{query}")).await.json(200);
        let ids: Vec<String> = page["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|j| text(j, "id").to_owned())
            .collect();
        (ids, page["next_cursor"].as_str().map(str::to_owned))
    };
    let (running, completed) = (
        list("?status=running").await,
        list("?status=completed").await,
    );
    assert_eq!(
        (running.0.as_slice(), completed.0.as_slice()),
        (&ids[..1], &ids[1..])
    );
    assert_eq!(list("?status=failed").await.0, Vec::<String>::new());
    assert_eq!(list("").await.0, ids);

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, next) = list(&format!("?limit=2{cursor}")).await;
        assert!(page.len() <= 2);
        seen.extend(page);
        let Some(next) = next else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ids);
    gate.open();
    tenant.ended(&job).await;
}

pub(crate) async fn credits_bound_what_runs() {
    let tenant = Tenant::with_credits("poor", 2).await;
    let three = companies(&["spotify.com", "stripe.com", "github.com"], None);
    let refused = tenant.post("/v1/jobs", &three).await;
    assert_problem(&refused, 402, "not-enough-credits");
    assert_eq!(jobs_of(&tenant).await, 0);

    let mut dry = three.clone();
    (dry["dry_run"], dry["max_credits"]) = (json!(true), json!(1));
    let priced = tenant.post("/v1/jobs", &dry).await.json(200);
    assert_eq!(
        (&priced["credits"]["reserved"], &priced["skipped"]),
        (&json!(1), &json!(2)),
        "{priced}"
    );
    assert_eq!(
        (
            jobs_of(&tenant).await,
            &tenant.account().await["credits"]["balance"]
        ),
        (0, &json!(2))
    );

    let mut bounded = three;
    bounded["max_credits"] = json!(2);
    let job = tenant.submit(&bounded).await;
    assert_eq!(job["credits"]["reserved"], 2);
    let ended = tenant.ended(&job).await;
    assert_eq!(ended["counts"]["skipped"], 1);
    assert_eq!(
        text(&tenant.results(&job, 10).await[2], "status"),
        "skipped"
    );
    let used = ended["counts"]["found"].as_i64().unwrap();
    assert_eq!(
        tenant.account().await["credits"],
        json!({"balance": 2 - used, "used": used})
    );
}
