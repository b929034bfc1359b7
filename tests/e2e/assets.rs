//! Secrets in SSM parameters and tables in S3.

use serde_json::json;
use testkit::stack::aws_request;

use crate::world::{ROOT, Tenant, text, world};

/// A call of the stack's AWS services that must succeed.
async fn aws(service: &str, (method, path): (&str, &str), headers: &[(&str, &str)], body: &[u8]) {
    let world = world().await;
    let endpoint = world
        .config
        .aws
        .endpoint_url
        .as_deref()
        .expect("the stack's address");
    let answer = aws_request(
        &*world.ports.http,
        endpoint,
        (method, path),
        service,
        ROOT,
        headers,
        body,
    )
    .await;
    let answer = answer.unwrap_or_else(|e| panic!("{service} {path}: {e}"));
    assert_eq!(
        answer.status,
        200,
        "{service} {path}: {}",
        String::from_utf8_lossy(&answer.body)
    );
}

pub(crate) async fn a_secret_in_a_parameter_and_a_table_in_s3_are_read_by_the_deployed_function() {
    let parameter = json!({"Name": "/millrace/e2e/key", "Value": "kept-in-a-parameter",
        "Type": "SecureString"});
    let target = [
        ("x-amz-target", "AmazonSSM.PutParameter"),
        ("content-type", "application/x-amz-json-1.1"),
    ];
    aws(
        "ssm",
        ("POST", "/"),
        &target,
        parameter.to_string().as_bytes(),
    )
    .await;
    aws("s3", ("PUT", "/millrace-e2e"), &[], b"").await;
    let table = "domain,city\nkept.example,Bremen\n";
    aws(
        "s3",
        ("PUT", "/millrace-e2e/tables/cities.csv"),
        &[("content-type", "text/csv")],
        table.as_bytes(),
    )
    .await;

    let tenant = Tenant::new("kept").await;
    let records =
        json!([{"input": {"domain": "www.kept.example"}}, {"input": {"domain": "other.example"}}]);
    let job = tenant
        .submit(&json!({"type": "kept", "records": records}))
        .await;
    let ended = tenant.ended(&job).await;
    assert_eq!(
        (text(&ended, "status"), &ended["counts"]["found"]),
        ("completed", &json!(2)),
        "{ended}"
    );
    let lines = tenant.results(&job, 10).await;
    assert_eq!(lines[0]["data"], json!({"city": "Bremen", "name": "Keyed"}));
    assert_eq!(lines[0]["sources"]["city"]["provider"], "kept-table");
    assert_eq!(lines[1]["data"], json!({"name": "Keyed"}));
    assert_eq!(lines[1]["sources"]["name"]["provider"], "keyed-upstream");
}
