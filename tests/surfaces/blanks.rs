//! `null`, empty texts and white space count as absent on every surface. They hide no found value,
//! and are echoed as sent.

use std::time::Duration;

use serde_json::{Value, json};
use shared::surfaces::SURFACES;
use testkit::harness::{HOOK, ServedApi, Version, World, body, found};

const OPERATIONS: &str = "
[operations.apione]
people = \"any\"
company = \"any\"
[operations.sixtyfour]
find_email = \"any\"
find_phone = \"any\"
enrich_company = \"any\"
[operations.springbolt]
enrichment = \"any\"
[operations.fullenrich]
enrich = \"any\"
reverse_email = \"any\"
";

/// The values that tools send for absent fields. An escaped text stays text in a table of JSON.
fn blanks() -> [Value; 6] {
    [
        Value::Null,
        json!(""),
        json!(" "),
        json!("\t\r\n"),
        json!("\u{a0}"),
        json!("\u{2003}\u{3000}"),
    ]
}

fn served(answer: &Value) -> ServedApi {
    let answer = found(answer.clone());
    ServedApi::new(World::new(), SURFACES, OPERATIONS, move |_| {
        (Duration::ZERO, answer.clone())
    })
}

/// Sends a request with a key in every header that any surface reads; the answer must be one of
/// success.
#[track_caller]
fn submit(served: &mut ServedApi, path: &str, sent: &Value) -> Value {
    let key = served.key().to_owned();
    let bearer = format!("Bearer {key}");
    let response = served.post(
        path,
        &[("x-api-key", &key), ("authorization", &bearer)],
        sent,
    );
    assert!(
        response.status < 300,
        "{path} {sent}: {}",
        String::from_utf8_lossy(&response.body)
    );
    serde_json::from_slice(&response.body).unwrap()
}

#[track_caller]
fn get(served: &mut ServedApi, path: &str) -> Value {
    let key = served.key().to_owned();
    let bearer = format!("Bearer {key}");
    body(
        &served.get(path, &[("x-api-key", &key), ("authorization", &bearer)]),
        200,
    )
}

fn asked(served: &ServedApi) -> Vec<Value> {
    served
        .asked
        .lock()
        .unwrap()
        .iter()
        .cloned()
        .map(Value::Object)
        .collect()
}

#[test]
fn blank_members_of_a_native_job_are_absent() {
    for blank in blanks() {
        let mut served = served(&json!({"name": "Acme"}));
        let sent = json!({"type": "any", "name": blank, "webhook_url": blank,
            "webhook_events": blank, "providers": blank,
            "max_credits": blank, "dry_run": blank, "colour": blank,
            "records": [{"id": blank, "input": {"domain": "a.example", "other": blank},
            "metadata": blank, "note": blank}]});
        let job = submit(&mut served, "/v1/jobs", &sent);
        assert_eq!(
            (&job["name"], &job["counts"]["total"]),
            (&Value::Null, &json!(1)),
            "{sent}"
        );
        served.settle();
        let line = get(
            &mut served,
            &format!("/v1/jobs/{}/results", job["id"].as_str().unwrap()),
        )["results"][0]
            .take();
        assert_eq!(line["status"], "found");
        let echoed = json!([line["id"], line["input"], line["metadata"]]);
        assert_eq!(
            echoed,
            json!([blank, {"domain": "a.example", "other": blank}, blank]),
            "the echo is what was sent"
        );
        assert_eq!(
            asked(&served),
            [json!({"domain": "a.example"})],
            "providers see nothing of it"
        );

        let nested = json!({"type": "any", "webhook_events": {"record.finished": blank},
            "providers": [],
            "records": [{"input": {"domain": "a.example"}, "metadata": {"kept": blank}}]});
        let job = submit(&mut served, "/v1/jobs", &nested);
        let named = json!({"type": "any", "providers": [blank, "any"],
            "records": [{"input": {"domain": "b.example"}}]});
        submit(&mut served, "/v1/jobs", &named);
        served.settle();
        assert_eq!(
            served.world.receiver.exchanges().len(),
            0,
            "no event is sent"
        );
        let line = get(
            &mut served,
            &format!("/v1/jobs/{}/results", job["id"].as_str().unwrap()),
        )["results"][0]
            .take();
        assert_eq!(
            (&line["status"], &line["metadata"]),
            (&json!("found"), &json!({"kept": blank}))
        );
    }
}

#[test]
fn what_is_required_is_missing_where_it_is_blank() {
    let mut served = served(&json!({"name": "Acme"}));
    let bearer = format!("Bearer {}", served.key());
    for blank in blanks() {
        for (sent, place) in [
            (
                json!({"type": blank, "records": [{"input": {"domain": "a.example"}}]}),
                "/type",
            ),
            (json!({"type": "any", "records": blank}), "/records"),
            (
                json!({"type": "any", "records": [{"input": blank}]}),
                "/records/0/input",
            ),
            (
                json!({"type": "any", "records": [{"input": {"domain": blank}}]}),
                "/records/0/input/domain",
            ),
        ] {
            let problem = body(
                &served.post("/v1/jobs", &[("authorization", &bearer)], &sent),
                400,
            );
            let fault = &problem["errors"][0];
            assert_eq!(fault["pointer"], place, "{sent}: {problem}");
            assert!(
                fault["detail"].as_str().unwrap().starts_with("is required"),
                "{problem}"
            );
        }
        let problem = body(
            &served.post(
                "/v1/webhooks/test",
                &[("authorization", &bearer)],
                &json!({"url": blank}),
            ),
            400,
        );
        assert_eq!(problem["errors"][0]["detail"], "is required", "{problem}");
        let rotated = served.post(
            "/v1/webhooks/secret/rotate",
            &[("authorization", &bearer)],
            &json!({"overlap_hours": blank}),
        );
        assert_eq!(rotated.status, 200, "{blank}");
    }
}

#[test]
fn empty_parameters_and_headers_are_not_there() {
    let mut served = served(&json!({"name": "Acme"}));
    let key = served.key().to_owned();
    let bearer = format!("Bearer {key}");
    let job = submit(
        &mut served,
        "/v1/jobs",
        &json!({"type": "any", "records": [{"input": {"domain": "a.example"}}]}),
    );
    served.settle();
    let id = job["id"].as_str().unwrap().to_owned();
    for path in [
        "/v1/jobs?limit=&cursor=&status=".to_owned(),
        "/v1/jobs?limit= &cursor=\t&status=\u{a0}".to_owned(),
        "/v1/jobs?limit=&limit=5".to_owned(),
        format!("/v1/jobs/{id}?wait="),
        format!("/v1/jobs/{id}/results?limit=&cursor="),
        format!("/v1/jobs/{id}/deliveries?limit=&cursor="),
    ] {
        assert_eq!(
            served.get(&path, &[("authorization", &bearer)]).status,
            200,
            "{path}"
        );
    }
    for headers in [
        vec![("authorization", ""), ("x-api-key", key.as_str())],
        vec![("authorization", "Bearer "), ("x-api-key", key.as_str())],
        vec![
            ("authorization", bearer.as_str()),
            ("x-api-key", ""),
            ("prefer", ""),
            ("accept", ""),
            ("if-none-match", ""),
        ],
    ] {
        assert_eq!(
            served.get(&format!("/v1/jobs/{id}"), &headers).status,
            200,
            "{headers:?}"
        );
    }
    let springbolt = served.post(
        "/enrichment",
        &[("x-api-key", ""), ("authorization", &bearer)],
        &json!({"companyName": "Acme", "callbackUrl": HOOK}),
    );
    assert_eq!(springbolt.status, 200);
    // Who sends a key counts on it.
    let empty = served.post(
        "/v1/jobs",
        &[("authorization", &bearer), ("idempotency-key", "")],
        &json!({"type": "any", "records": [{"input": {"domain": "a.example"}}]}),
    );
    assert_eq!(body(&empty, 400)["errors"][0]["pointer"], "Idempotency-Key");
}

#[test]
fn a_blank_field_hides_nothing_on_springbolt() {
    let data = json!({"company_name": "Acme", "employee_count": 400, "city": "", "phones": ["+1"]});
    for blank in blanks() {
        let mut served = served(&data);
        let sent = json!({"domain": "a.example", "companyName": blank, "EmployeeCount": blank,
            "phones": [], "company": blank,
            "organization": "Sent", "note": blank, "callbackUrl": blank, "callback_url": HOOK});
        submit(&mut served, "/enrichment", &sent);
        served.settle();
        assert_eq!(
            asked(&served),
            [json!({"domain": "a.example", "phones": [], "company_name": "Sent"})]
        );
        let reported = served.world.receiver.exchanges()[0].json();
        let expected = json!({"domain": "a.example", "companyName": "Acme", "EmployeeCount": 400,
            "phones": ["+1"],
            "company": blank, "organization": "Sent", "note": blank});
        assert_eq!(reported, expected);
    }
}

#[test]
fn a_blank_field_hides_nothing_on_sixtyfour() {
    let data = json!({"title": "CEO", "employees": 12, "email": "a@acme.example", "phone": "+1",
        "city": ""});
    for blank in blanks() {
        let mut served = served(&data);
        let lead = json!({"name": "John", "full_name": blank, "title": blank, "employees": [],
            "email": blank,
            "phone": blank, "note": blank});
        let email = submit(&mut served, "/find-email-async", &json!({"lead": lead}));
        let phone = submit(
            &mut served,
            "/find-phone-async",
            &json!({"lead": lead, "webhook_url": null}),
        );
        let company = json!({"target_company": {"name": "Acme", "domain": blank,
            "website": "acme.example"},
            "struct": {"title": "their title", "age": "their age"}, "research_plan": blank});
        let company = submit(&mut served, "/company-intelligence-async", &company);
        served.settle();
        for input in asked(&served) {
            let members = input.as_object().unwrap();
            assert!(
                !members
                    .values()
                    .any(|value| value.as_str().is_some_and(|text| text.trim().is_empty())),
                "{input}"
            );
            assert!(
                !members.values().any(Value::is_null) && !members.contains_key("research_plan"),
                "{input}"
            );
            assert!(
                input["full_name"] == "John" || input["domain"] == "acme.example",
                "{input}"
            );
        }
        let mut result = |task: &Value| {
            get(
                &mut served,
                &format!("/job-status/{}", task["task_id"].as_str().unwrap()),
            )["result"]
                .take()
        };
        let mut expected = json!({"name": "John", "full_name": blank, "title": "CEO",
            "employees": 12, "phone": blank,
            "note": blank, "email": [["a@acme.example", "UNKNOWN", "COMPANY"]]});
        // The other operation's field fills the one that was left open.
        expected["phone"] = json!("+1");
        assert_eq!(result(&email), expected);
        let mut expected = expected.clone();
        expected["email"] = json!("a@acme.example");
        assert_eq!(result(&phone), expected);
        let structured = result(&company)["structured_data"].take();
        assert_eq!(
            (&structured["title"], &structured["age"]),
            (&json!("CEO"), &Value::Null)
        );
    }
}

#[test]
fn a_text_answer_with_blanks_does_not_hide_what_others_found() {
    let data = json!({"structured_data": "{\"age\": \"\", \"role\": null, \"city\": \"Bonn\"}",
        "age": 40, "role": "CEO"});
    let mut served = served(&data);
    let sent = json!({"target_company": {"name": "Acme"}, "struct": {"age": "a", "role": "b",
        "city": "c"}});
    let task = submit(&mut served, "/company-intelligence-async", &sent);
    served.settle();
    let shown = get(
        &mut served,
        &format!("/job-status/{}", task["task_id"].as_str().unwrap()),
    );
    assert_eq!(
        shown["result"]["structured_data"],
        json!({"age": 40, "role": "CEO", "city": "Bonn"})
    );
}

#[test]
fn a_blank_field_is_absent_on_apione() {
    for blank in blanks() {
        let mut served = served(&json!({"title": "CEO"}));
        let record = json!({"full_name": blank, "name": "Ada", "company": blank,
            "organization": "Acme", "note": blank});
        let sent = json!({"type": "people", "records": [record], "webhook_url": blank});
        let job = submit(&mut served, "/api/v1/async/enrich", &sent);
        let company =
            json!({"type": "company", "records": [{"domain": blank, "Website": "acme.example"}]});
        submit(&mut served, "/api/v1/async/enrich", &company);
        served.settle();
        let asked = asked(&served);
        assert!(
            asked.contains(&json!({"full_name": "Ada", "company_name": "Acme"})),
            "{asked:?}"
        );
        assert!(
            asked.contains(&json!({"website": "acme.example", "domain": "acme.example"})),
            "{asked:?}"
        );
        let shown = get(
            &mut served,
            &format!("/api/v1/async/results/{}", job["job_id"].as_str().unwrap()),
        );
        assert_eq!(
            shown["results"][0]["input"], record,
            "the echo is what was sent"
        );
        assert_eq!(served.world.receiver.exchanges().len(), 0);
    }
}

#[test]
fn a_blank_field_is_absent_on_fullenrich_but_where_its_page_has_an_error_for_it() {
    for blank in blanks() {
        let mut served = served(
            &json!({"work_emails": ["", {"email": "", "address": "a@acme.example", "status": ""}],
            "phones": [{"number": "+1", "region": ""}], "headline": " ", "title": "CEO"}),
        );
        let contact = json!({"linkedin_url": "https://www.linkedin.com/in/x", "first_name": blank,
            "domain": blank,
            "enrich_fields": null, "custom": null, "crm": blank});
        let sent =
            json!({"name": "n", "data": [contact], "webhook_url": blank, "webhook_events": null});
        let id = submit(&mut served, "/api/v2/contact/enrich/bulk", &sent);
        let sent = json!({"name": "n", "data": [{"email": "a@acme.example", "note": blank,
            "custom": null}],
            "webhook_events": {"contact_finished": blank}});
        submit(&mut served, "/api/v2/contact/reverse/email/bulk", &sent);
        served.settle();
        for input in asked(&served) {
            assert!(
                !input.as_object().unwrap().contains_key("crm") && input.get("note").is_none(),
                "{input}"
            );
        }
        assert_eq!(served.world.receiver.exchanges().len(), 0);
        let path = format!(
            "/api/v2/contact/enrich/bulk/{}",
            id["enrichment_id"].as_str().unwrap()
        );
        let shown = get(&mut served, &path)["data"][0].take();
        assert_eq!(
            shown["input"],
            json!({"professional_network_url": "https://www.linkedin.com/in/x", "crm": blank})
        );
        assert_eq!(
            shown["contact_info"]["work_emails"],
            json!([{"email": "a@acme.example"}])
        );
        assert_eq!(shown["contact_info"]["phones"], json!([{"number": "+1"}]));
        assert!(
            shown["profile"].get("headline").is_none() && shown.get("custom").is_none(),
            "{shown}"
        );

        let bearer = format!("Bearer {}", served.key());
        for (path, sent, code) in [
            (
                "enrich",
                json!({"name": blank, "data": [contact]}),
                "error.enrichment.name.empty",
            ),
            (
                "enrich",
                json!({"name": "n", "data": null}),
                "error.enrichment.data.empty",
            ),
            (
                "reverse/email",
                json!({"name": "n", "data": [{"email": blank}]}),
                "error.reverse.email.empty",
            ),
        ] {
            let answer = served.post(
                &format!("/api/v2/contact/{path}/bulk"),
                &[("authorization", &bearer)],
                &sent,
            );
            assert_eq!(body(&answer, 400)["code"], code, "{sent}");
        }
        // The vendor's description has null for these members and no text.
        for name in ["custom", "enrich_fields"]
            .into_iter()
            .filter(|_| blank.is_string())
        {
            let sent = json!({"name": "n",
                "data": [{"linkedin_url": "https://www.linkedin.com/in/x", name: blank}]});
            let answer = served.post(
                "/api/v2/contact/enrich/bulk",
                &[("authorization", &bearer)],
                &sent,
            );
            assert_eq!(body(&answer, 400)["code"], "error.request.type", "{sent}");
        }
    }
}

#[test]
fn what_a_provider_says_with_blanks_alone_is_not_found_and_costs_nothing() {
    let mut served = served(&json!({"name": "", "city": " \u{a0}", "zip": null}));
    let job = submit(
        &mut served,
        "/v1/jobs",
        &json!({"type": "any", "records": [{"input": {"domain": "a.example"}}]}),
    );
    served.settle();
    let line = get(
        &mut served,
        &format!("/v1/jobs/{}/results", job["id"].as_str().unwrap()),
    )["results"][0]
        .take();
    assert_eq!(
        (&line["status"], &line["credits"]),
        (&json!("not_found"), &json!(0)),
        "{line}"
    );
}

/// The body that the previous version sent, whose attempts this one repeats.
#[test]
fn a_job_of_the_version_before_is_told_as_that_one_tells_of_it() {
    let springbolt = json!({"domain": "a.example", "companyName": "", "EmployeeCount": null,
        "phones": [], "note": " ",
        "callbackUrl": HOOK});
    let lead = json!({"name": "John", "title": "", "employees": [], "email": null, "phone": null});
    let lead = json!({"lead": lead, "webhook_url": HOOK});
    let company =
        json!({"target_company": {"name": "Acme"}, "struct": {"age": "a"}, "webhook_url": HOOK});
    let contact =
        json!({"linkedin_url": "https://www.linkedin.com/in/x", "first_name": " ", "crm": ""});
    let contact = json!({"name": "n", "data": [contact], "webhook_url": HOOK});
    for (path, sent, data, at, then, now) in [
        (
            "/enrichment",
            springbolt,
            json!({"company_name": "Acme", "employee_count": 400, "phones": ["+1"]}),
            "",
            json!({"domain": "a.example", "companyName": "", "EmployeeCount": 400, "phones": [],
                "note": " "}),
            json!({"domain": "a.example", "companyName": "Acme", "EmployeeCount": 400,
                "phones": ["+1"], "note": " "}),
        ),
        (
            "/find-phone-async",
            lead.clone(),
            json!({"title": "CEO", "employees": 12, "email": "a@acme.example", "phone": "+1"}),
            "/result",
            json!({"name": "John", "title": "", "employees": [], "email": null, "phone": "+1"}),
            json!({"name": "John", "title": "CEO", "employees": 12, "email": "a@acme.example",
                "phone": "+1"}),
        ),
        (
            "/find-email-async",
            lead,
            json!({"emails": [{"email": "", "address": "a@acme.example"}], "city": "Bonn"}),
            "/result",
            json!({"name": "John", "title": "", "employees": [], "email": [], "phone": null,
                "city": "Bonn"}),
            json!({"name": "John", "title": "", "employees": [], "email": [["a@acme.example",
                "UNKNOWN", "COMPANY"]],
                "phone": null, "city": "Bonn"}),
        ),
        (
            "/company-intelligence-async",
            company,
            json!({"structured_data": "{\"age\": \"\", \"role\": null}", "age": 40, "role": "CEO"}),
            "/result/structured_data",
            json!({"age": "", "role": null}),
            json!({"age": 40, "role": "CEO"}),
        ),
        (
            "/api/v2/contact/enrich/bulk",
            contact,
            json!({"phones": [{"number": "+1", "region": ""}], "headline": "h"}),
            "/data/0",
            json!({"input": {"professional_network_url": "https://www.linkedin.com/in/x",
                "crm": ""},
                "contact_info": {"most_probable_phone": {"number": "+1", "region": ""},
                    "phones": [{"number": "+1", "region": ""}]}, "profile": {"headline": "h"}}),
            json!({"input": {"professional_network_url": "https://www.linkedin.com/in/x",
                "crm": ""},
                "contact_info": {"most_probable_phone": {"number": "+1"},
                "phones": [{"number": "+1"}]},
                "profile": {"headline": "h"}}),
        ),
    ] {
        for (version, expected) in [
            (Version::Previous, &then),
            (Version::Current, &now),
            (Version::Next, &now),
        ] {
            let answer = found(data.clone());
            let mut world = World::new();
            world.deploy(version);
            let mut served = ServedApi::new(world, SURFACES, OPERATIONS, move |_| {
                (Duration::ZERO, answer.clone())
            });
            submit(&mut served, path, &sent);
            served.world.receiver.answers([500]);
            served.world.run_for(Duration::from_secs(4));
            served.world.deploy(Version::Current);
            served.settle();
            let exchanges = served.world.receiver.exchanges();
            assert_eq!(exchanges.len(), 2, "{path}, {version:?}");
            for exchange in &exchanges {
                assert_eq!(
                    exchange.json().pointer(at),
                    Some(expected),
                    "{path}, {version:?}"
                );
                assert_eq!(exchange.body, exchanges[0].body, "{path}, {version:?}");
            }
        }
    }
}
