//! Access: who may see and do what.

use std::collections::BTreeMap;

use serde_json::json;
use shared::domain::ids::JobId;
use shared::ports::{Change, StoreError, Update, Value as Stored};
use shared::schema::{credits_key, meta_key};

use crate::jobs::assert_problem;
use crate::servers::{Answer, Server};
use crate::world::{ROOT, Tenant, aws, aws_request, companies, ports, text, world};

pub(crate) async fn another_tenants_ids_are_not_there() {
    let (tenant, stranger) = (
        Tenant::scheduled("owner", &[]).await,
        Tenant::new("stranger").await,
    );
    let receiver = Server::start(|_, _| Answer::Status(500)).await;
    let job = tenant
        .submit(&companies(&["spotify.com"], Some(&receiver.url("/hook"))))
        .await;
    let delivery = tenant.delivery_once(&job, "exhausted").await;
    let (job_path, delivery_path) = (
        format!("/v1/jobs/{}", text(&job, "id")),
        format!("/v1/deliveries/{}", text(&delivery, "id")),
    );
    let before = (
        tenant.get(&job_path).await.json(200),
        tenant.get(&delivery_path).await.json(200),
    );

    for (method, path) in [
        ("GET", job_path.clone()),
        ("GET", format!("{job_path}?wait=5")),
        ("GET", format!("{job_path}/results")),
        ("GET", format!("{job_path}/results?cursor=0.0")),
        ("GET", format!("{job_path}/deliveries")),
        ("GET", delivery_path.clone()),
        ("POST", format!("{job_path}/cancel")),
        ("POST", format!("{job_path}/retry")),
        ("POST", format!("{delivery_path}/replay")),
        ("DELETE", job_path.clone()),
    ] {
        let theirs = assert_problem(
            &stranger.call(method, &path, &[], b"").await,
            404,
            "not-found",
        );
        // The answer is that for an id that never existed.
        let never = path.replace(&text(&job, "id")[4..], "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        let nobodys = assert_problem(
            &stranger.call(method, &never, &[], b"").await,
            404,
            "not-found",
        );
        assert_eq!(
            (&theirs["title"], &theirs["detail"]),
            (&nobodys["title"], &nobodys["detail"]),
            "{method} {path}"
        );
    }
    let cursor = format!("/v1/jobs?cursor={}", text(&job, "id"));
    assert_eq!(
        stranger.get(&cursor).await.json(200),
        json!({"jobs": [], "next_cursor": null})
    );
    assert_eq!(stranger.get("/v1/jobs").await.json(200)["jobs"], json!([]));
    let after = (
        tenant.get(&job_path).await.json(200),
        tenant.get(&delivery_path).await.json(200),
    );
    assert_eq!(before, after);
    assert_eq!(receiver.got().len(), 1);
}

pub(crate) async fn an_account_shows_what_is_left() {
    let tenant = Tenant::with_credits("account", 77).await;
    let account = tenant.account().await;
    assert_eq!(
        (text(&account, "tenant"), &account["credits"]),
        (tenant.id.as_str(), &json!({"balance": 77, "used": 0}))
    );
    assert_eq!(
        account["limits"],
        json!({"records_per_job": 1000, "body_bytes": 4 << 20, "record_bytes": 64 << 10})
    );
    let types: Vec<&str> = account["types"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| text(t, "type"))
        .collect();
    assert!(
        ["company", "domain", "hem", "lookup"]
            .iter()
            .all(|t| types.contains(t)),
        "{types:?}"
    );
    assert!(
        !account.to_string().contains(&tenant.secret) && !account.to_string().contains(&tenant.key)
    );
}

/// The stack enforces the template's policies, so functions have the same permissions here and on
/// AWS.
pub(crate) async fn status_cannot_write() {
    let (world, tenant) = (world().await, Tenant::new("iam").await);
    let job = tenant.submit(&companies(&["spotify.com"], None)).await;
    tenant.ended(&job).await;
    let key = json!({"TableName": world.config.table,
        "Key": {"pk": {"S": format!("TENANT#{}", tenant.id)}, "sk": {"S": "CREDITS"}}});
    assert_eq!(aws("DynamoDB_20120810.GetItem", ROOT, &key).await.0, 200);
    let (code, answer) = aws("DynamoDB_20120810.GetItem", "AKIAUNKNOWNUNKNOWN00", &key).await;
    assert!(
        (400..=403).contains(&code),
        "unknown credentials read the table: {code} {answer}"
    );

    let session = assumed("status").await;
    let mut config =
        shared::lambda::config::Config::read(&shared::lambda::config::environment).unwrap();
    config.aws.access_key_id = session["AccessKeyId"].clone();
    config.aws.secret_access_key = session["SecretAccessKey"].clone();
    config.aws.session_token = Some(session["SessionToken"].clone());
    let as_status = ports(&config);
    let id = JobId::parse(text(&job, "id")).unwrap();
    assert!(
        as_status.store.get(&meta_key(&id)).await.unwrap().is_some(),
        "its role may read"
    );
    let update = |key| Update {
        key,
        changes: vec![Change::Set("mark", Stored::N(1))],
        condition: None,
    };
    for key in [meta_key(&id), credits_key(&tenant.id)] {
        let refused = as_status.store.update(update(key.clone())).await;
        assert!(
            matches!(refused, Err(StoreError::Refused(_))),
            "{key:?}: {refused:?}"
        );
        assert!(as_status.store.delete_all(vec![key]).await.is_err());
    }
    let message = shared::ports::Message {
        body: "{}".into(),
        delay: std::time::Duration::ZERO,
        group: "x".into(),
    };
    assert!(
        as_status
            .queue
            .send(shared::ports::QueueName::Enrich, vec![message])
            .await
            .is_err()
    );
    assert!(
        !tenant
            .get(&format!("/v1/jobs/{id}"))
            .await
            .text()
            .contains("mark")
    );
}

/// Credentials of a function's role.
async fn assumed(function: &str) -> BTreeMap<String, String> {
    let path = format!("/2015-03-31/functions/millrace-{function}/configuration");
    let configuration = aws_request("GET", &path, "lambda", ROOT, &[], b"")
        .await
        .json(200);
    let role = text(&configuration, "Role")
        .replace(':', "%3A")
        .replace('/', "%2F");
    let form = format!("Action=AssumeRole&Version=2011-06-15&RoleSessionName=test&RoleArn={role}");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let reply = aws_request("POST", "/", "sts", ROOT, &headers, form.as_bytes()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let xml = reply.text();
    let element = |name: &str| {
        let from = xml
            .find(&format!("<{name}>"))
            .unwrap_or_else(|| panic!("no {name} in {xml}"))
            + name.len()
            + 2;
        xml[from..].split('<').next().unwrap_or_default().to_owned()
    };
    ["AccessKeyId", "SecretAccessKey", "SessionToken"]
        .map(|name| (name.to_owned(), element(name)))
        .into()
}
