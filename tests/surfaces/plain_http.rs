//! Receivers without TLS: the operator's setting `AllowHttp` over every surface.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shared::lambda::system::CheckOnly;
use shared::net::{Guard, PlainHttp};
use shared::providers::Answer;
use shared::surfaces::SURFACES;
use testkit::harness::{ServedApi, World};

#[test]
fn the_operator_allows_or_forbids_plain_http_on_every_surface() {
    for (setting, wanted) in [
        (PlainHttp::Never, [false; 5]),
        // The native surface alone does not take it by itself.
        (PlainHttp::Surfaces, [false, true, true, true, true]),
        (PlainHttp::Always, [true; 5]),
    ] {
        let mut world = World::new();
        world.ports.http = Arc::new(CheckOnly(Guard::new(Vec::new(), setting)));
        let operations = "[operations.apione]\ncompany = \"any\"\n";
        let mut served = ServedApi::new(world, SURFACES, operations, |_| {
            (Duration::ZERO, Answer::NotFound)
        });
        let key = served.key().to_owned();
        let bearer = format!("Bearer {key}");
        let to = "http://hook.example/plain";
        let requests = [
            (
                "/v1/jobs",
                json!({"type": "any", "records": [{"input": {"domain": "a.example"}}],
                    "webhook_url": to}),
            ),
            (
                "/api/v1/async/enrich",
                json!({"type": "company", "records": [{"domain": "a.example"}], "webhook_url": to}),
            ),
            (
                "/company-intelligence-async",
                json!({"target_company": {"company_name": "A"}, "struct": {"a": "b"},
                    "webhook_url": to}),
            ),
            (
                "/email-to-hem",
                json!({"email": "john.doe@example.com", "callbackUrl": to}),
            ),
            (
                "/api/v2/contact/enrich/bulk",
                json!({"name": "n", "webhook_url": to, "data": [{"first_name": "J",
                    "last_name": "D", "domain":
                    "a.example", "enrich_fields": ["contact.work_emails"]}]}),
            ),
        ];
        for ((path, request), taken) in requests.iter().zip(wanted) {
            let response = served.post(
                path,
                &[("authorization", &bearer), ("x-api-key", &key)],
                request,
            );
            let text = String::from_utf8_lossy(&response.body);
            assert_eq!(
                (200..300).contains(&response.status),
                taken,
                "{setting:?} {path}: {} {text}",
                response.status
            );
            assert!(
                taken || (400..500).contains(&response.status),
                "{setting:?} {path}: {text}"
            );
        }
    }
}
