//! Requests that are refused, and the largest that is accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use shared::domain::tenant::Scope;

use crate::jobs::{assert_problem, jobs_of};
use crate::world::{ROOT, Tenant, aws, companies, eventually, request, text, world};

const MAX_BODY: usize = 4 * 1024 * 1024;
const MAX_RECORD: usize = 64 * 1024;

/// Returns the pointers of a problem's errors.
fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"]
        .as_array()
        .map(|errors| errors.iter().map(|e| text(e, "pointer")).collect())
        .unwrap_or_default()
}

pub(crate) async fn bad_requests_are_refused_and_leave_nothing() {
    let tenant = Tenant::new("bad").await;
    bodies(&tenant).await;
    fields(&tenant).await;
    urls(&tenant).await;
    keys(&tenant).await;
    paths(&tenant).await;

    assert_eq!(jobs_of(&tenant).await, 0);
    let account = tenant.account().await;
    assert_eq!(
        (&account["credits"], &account["usage"]),
        (
            &json!({"balance": 100_000, "used": 0}),
            &json!({"open_chunks": 0})
        )
    );
    eventually("table without orphans", async || {
        orphans().await.is_empty().then_some(())
    })
    .await;
}

async fn bodies(tenant: &Tenant) {
    for (what, body) in [
        ("no body", String::new()),
        ("white space", " \r\n".into()),
        ("no JSON", "type=company".into()),
        ("half of it", r#"{"type": "company", "records": ["#.into()),
        ("an array", "[]".into()),
        ("a text", "\"company\"".into()),
        ("two values", "{} {}".into()),
        (
            "deep",
            format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200)),
        ),
    ] {
        let problem = assert_problem(
            &tenant.call("POST", "/v1/jobs", &[], body.as_bytes()).await,
            400,
            "malformed",
        );
        assert!(problem.get("errors").is_none(), "{what}: {problem}");
    }
    let binary = tenant
        .call(
            "POST",
            "/v1/jobs",
            &[("content-type", "application/octet-stream")],
            b"\xff\xfe{}",
        )
        .await;
    assert_problem(&binary, 400, "malformed");

    let mut body = companies(&["spotify.com"], None).to_string();
    body += &" ".repeat(MAX_BODY + 1 - body.len());
    assert_problem(
        &tenant.call("POST", "/v1/jobs", &[], body.as_bytes()).await,
        413,
        "too-large",
    );
    let mut large = companies(&["spotify.com", "stripe.com"], None);
    large["records"][1]["metadata"] = json!({"note": "x".repeat(65 * 1024)});
    large["strict"] = true.into();
    let problem = assert_problem(&tenant.post("/v1/jobs", &large).await, 413, "too-large");
    assert!(text(&problem, "detail").contains("record 1"), "{problem}");
}

async fn fields(tenant: &Tenant) {
    let record = json!({"input": {"domain": "spotify.com"}});
    for (body, expected) in [
        (json!({}), vec!["/type", "/records"]),
        (json!({"type": "company"}), vec!["/records"]),
        (json!({"type": "company", "records": []}), vec!["/records"]),
        (json!({"type": "company", "records": {}}), vec!["/records"]),
        (
            json!({"type": "company", "records": vec![record.clone(); 1001]}),
            vec!["/records"],
        ),
        (json!({"records": [record]}), vec!["/type"]),
        (json!({"type": 7, "records": [record]}), vec!["/type"]),
        (
            json!({"type": "nonsense", "records": [record]}),
            vec!["/type"],
        ),
        (
            json!({"type": "company", "records": ["spotify.com"]}),
            vec!["/records/0"],
        ),
        (
            json!({"type": "company", "records": [{}]}),
            vec!["/records/0/input"],
        ),
        (
            json!({"type": "company", "records": [{"input": "spotify.com"}]}),
            vec!["/records/0/input"],
        ),
        (
            json!({"type": "company", "records": [record], "x/y~z": 1}),
            vec!["/x~1y~0z"],
        ),
        (
            json!({"type": "company", "records": [record], "providers": ["hem"]}),
            vec!["/providers"],
        ),
        (
            json!({"type": "company", "records": [record], "max_credits": -1}),
            vec!["/max_credits"],
        ),
        (
            json!({"type": "company", "records": [record], "dry_run": "yes"}),
            vec!["/dry_run"],
        ),
        (
            json!({"type": "company", "records": [record], "name": 7}),
            vec!["/name"],
        ),
    ] {
        let problem = assert_problem(&tenant.post("/v1/jobs", &body).await, 400, "invalid");
        assert_eq!(pointers(&problem), expected, "{problem}");
    }
    // All of them at once, each in its place.
    let body = json!({"type": "company", "unknown": 1, "webhook_url": "hook", "records": [
        record,
        7,
        {"input": {"domain": "a.example"}, "metadata": []},
        {"input": {"domain": "b.example"}, "extra": true},
        {"id": 5, "input": {"domain": ""}},
        {"input": {"company_name": "Spotify"}},
        {"id": "x".repeat(257), "input": {"domain": "c.example"}},
    ]});
    let problem = assert_problem(&tenant.post("/v1/jobs", &body).await, 400, "invalid");
    let found: BTreeSet<&str> = pointers(&problem).into_iter().collect();
    for at in [
        "/unknown",
        "/webhook_url",
        "/records/1",
        "/records/2/metadata",
        "/records/3/extra",
        "/records/4/id",
        "/records/6/id",
    ] {
        assert!(found.contains(at), "{at}: {problem}");
    }
    for record in ["/records/4/input", "/records/5/input"] {
        assert!(
            found.iter().any(|at| at.starts_with(record)),
            "{record}: {problem}"
        );
    }
    assert!(
        !found.iter().any(|at| at.starts_with("/records/0")),
        "{problem}"
    );
}

async fn urls(tenant: &Tenant) {
    for url in [
        "hook",
        "/hook",
        "//example.com/hook",
        "example.com/hook",
        "ftp://example.com/hook",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://user:secret@example.com/",
        "http://169.254.169.254/latest/meta-data/",
        "http://169.254.169.254.:80/",
        "http://[::1]/",
        "http://[::1]:8080/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0xA9.0xFE.0xA9.0xFE/",
        "http://0251.0376.0251.0376/",
        "http://169.16689662/",
        "http://10.0.0.1/",
        "http://192.168.0.1/",
        "http://0.0.0.0/",
        "http://example.com:25/",
    ] {
        let body = companies(&["spotify.com"], Some(url));
        let problem = assert_problem(&tenant.post("/v1/jobs", &body).await, 400, "invalid");
        assert_eq!(pointers(&problem), ["/webhook_url"], "{url}: {problem}");
        let test = assert_problem(
            &tenant.post("/v1/webhooks/test", &json!({"url": url})).await,
            400,
            "invalid",
        );
        assert_eq!(pointers(&test), ["/url"], "{url}: {test}");
    }
}

async fn keys(tenant: &Tenant) {
    let body = companies(&["spotify.com"], None).to_string();
    let long = format!("Bearer {}", "k".repeat(6000));
    let basic = "Basic dXNlcjpwYXNz";
    let cut = format!("Bearer {}", &tenant.key[..tenant.key.len() - 1]);
    for header in [
        None,
        Some("Bearer wrong"),
        Some("Bearer "),
        Some(basic),
        Some(long.as_str()),
        Some(cut.as_str()),
    ] {
        let headers: Vec<(&str, &str)> = header
            .map(|value| ("authorization", value))
            .into_iter()
            .collect();
        for (method, path, body) in [
            ("POST", "/v1/jobs", body.as_str()),
            ("GET", "/v1/account", ""),
        ] {
            let reply = request(method, path, &headers, body.as_bytes()).await;
            assert_problem(&reply, 401, "unauthorized");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
    }
    let (reads, writes) = (
        tenant.key_with(&[Scope::Read]).await,
        tenant.key_with(&[Scope::Write]).await,
    );
    let post = request(
        "POST",
        "/v1/jobs",
        &[("x-api-key", &reads)],
        body.as_bytes(),
    )
    .await;
    assert!(text(&assert_problem(&post, 403, "forbidden"), "detail").contains("write"));
    assert_eq!(
        request("GET", "/v1/account", &[("x-api-key", &reads)], b"")
            .await
            .status,
        200
    );
    assert_problem(
        &request("GET", "/v1/account", &[("x-api-key", &writes)], b"").await,
        403,
        "forbidden",
    );

    let idempotency = "i".repeat(300);
    for key in ["", idempotency.as_str()] {
        let reply = tenant
            .call(
                "POST",
                "/v1/jobs",
                &[("idempotency-key", key)],
                body.as_bytes(),
            )
            .await;
        assert_eq!(
            pointers(&assert_problem(&reply, 400, "invalid")),
            ["Idempotency-Key"]
        );
    }
}

async fn paths(tenant: &Tenant) {
    for path in [
        "/",
        "/v1",
        "/v2/jobs",
        "/v1/nothing",
        "/v1/jobs/a/b/c",
        "/v1/..%2f..%2fetc",
    ] {
        for method in ["GET", "POST"] {
            assert_problem(&tenant.call(method, path, &[], b"").await, 404, "not-found");
        }
    }
    for (method, path) in [
        ("PUT", "/v1/jobs"),
        ("DELETE", "/v1/jobs"),
        ("POST", "/v1/account"),
        ("PATCH", "/v1/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        ("GET", "/v1/webhooks/test"),
        ("GET", "/v1/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel"),
        ("DELETE", "/v1/webhooks/secret/rotate"),
    ] {
        assert_problem(
            &tenant.call(method, path, &[], b"").await,
            405,
            "method-not-allowed",
        );
    }
    for id in [
        "",
        "job_1",
        "job_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "%00",
        "job_%23META",
        "..",
        "💥",
    ] {
        assert_problem(
            &tenant.get(&format!("/v1/jobs/{id}/results")).await,
            404,
            "not-found",
        );
    }
    for (query, name) in [
        ("?cursor=nonsense", "cursor"),
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?limit=-1", "limit"),
        ("?limit=ten", "limit"),
        ("?status=nonsense", "status"),
        ("?status=deleted", "status"),
    ] {
        let problem = assert_problem(
            &tenant.get(&format!("/v1/jobs{query}")).await,
            400,
            "invalid",
        );
        assert_eq!(pointers(&problem), [name], "{query}");
    }
    let job = "/v1/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for (path, name) in [
        (format!("{job}?wait=soon"), "wait"),
        (format!("{job}?wait=-1"), "wait"),
        (format!("{job}/results?cursor=1.2.3"), "cursor"),
        (format!("{job}/results?cursor=01.2"), "cursor"),
        (format!("{job}/results?limit=1001"), "limit"),
        (format!("{job}/deliveries?cursor=x"), "cursor"),
    ] {
        let problem = assert_problem(&tenant.get(&path).await, 400, "invalid");
        assert_eq!(pointers(&problem), [name], "{path}");
    }
}

/// Partitions of jobs without a head: what a refused submit would leave behind.
async fn orphans() -> Vec<String> {
    let (mut parts, mut start): (BTreeMap<String, BTreeSet<String>>, _) =
        (BTreeMap::new(), Value::Null);
    loop {
        let mut scan =
            json!({"TableName": world().await.config.table, "ProjectionExpression": "pk, sk"});
        if !start.is_null() {
            scan["ExclusiveStartKey"] = start;
        }
        let (code, mut page) = aws("DynamoDB_20120810.Scan", ROOT, &scan).await;
        assert_eq!(code, 200, "{page}");
        for item in page["Items"].as_array().unwrap() {
            let (pk, sk) = (text(&item["pk"], "S"), text(&item["sk"], "S"));
            if let Some(job) = pk.strip_prefix("JOB#") {
                let job = job.split('#').next().unwrap_or_default().to_owned();
                parts.entry(job).or_default().insert(sk.to_owned());
            }
        }
        start = page["LastEvaluatedKey"].take();
        if start.is_null() {
            break;
        }
    }
    let chunky = |keys: &BTreeSet<String>| {
        keys.iter()
            .any(|sk| sk.starts_with("CHUNK") || sk.starts_with("PROGRESS"))
    };
    parts
        .into_iter()
        .filter(|(_, keys)| chunky(keys) && !keys.contains("META"))
        .map(|(job, _)| job)
        .collect()
}

pub(crate) async fn the_largest_request_is_taken() {
    let tenant = Tenant::new("largest").await;
    let record = |n: usize, bytes: usize| {
        let mut record = json!({"id": format!("{n:03}"), "input": {"domain": "spotify.com"},
            "metadata": {"note": ""}});
        let room = bytes - record.to_string().len();
        // Noise, so that no compressor makes it small.
        let noise = (0..room).map(|i| {
            char::from(b"abcdefghijklmnopqrstuvwxyz"[((i * i * 31 + i * 7 + n * 131) >> 3) % 26])
        });
        record["metadata"]["note"] = noise.collect::<String>().into();
        record
    };
    let mut records: Vec<_> = (0..63).map(|n| record(n, MAX_RECORD)).collect();
    let body = |records: &[Value]| json!({"type": "company", "records": records}).to_string();
    let left = MAX_BODY - body(&records).len() - 1;
    records.push(record(63, left));
    let body = body(&records);
    assert_eq!(body.len(), MAX_BODY);
    let job = tenant
        .call("POST", "/v1/jobs", &[], body.as_bytes())
        .await
        .json(202);
    let ended = tenant.ended(&job).await;
    assert_eq!(
        (text(&ended, "status"), &ended["counts"]["found"]),
        ("completed", &json!(64))
    );
    let lines = tenant.results(&job, 1000).await;
    for (line, record) in lines.iter().zip(&records) {
        assert_eq!(
            (&line["id"], &line["metadata"]),
            (&record["id"], &record["metadata"])
        );
    }
    assert_eq!(lines.len(), 64);
}
