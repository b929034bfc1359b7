//! Springbolt: what a client of theirs sends, is answered, and gets at its callback URL.

use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::domain::backoff::NATIVE_DELAYS;
use shared::domain::ids::JobId;
use shared::domain::record::FailureCode;
use shared::domain::signature::verify;
use shared::lambda::http::ApiResponse;
use shared::maintenance::tenants;
use shared::providers::Answer;
use shared::surfaces::{SURFACES, parse_setting};
use testkit::harness::{Exchange, HOOK, Options, ServedApi, World, body, found};
use testkit::sim::Reply;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const OPERATIONS: &str = "
[operations.springbolt]
enrichment = \"any\"
deanonymization = \"any\"
linkedin_to_phone = \"any\"
linkedin_to_hem = \"any\"
email_to_hem = \"any\"
ip_to_company = \"any\"
organization_domain_finder = \"any\"
keyword_to_lead = \"bare\"
";

/// A request of every operation in the document's words, and the input that its provider gets.
const ASKED: [(&str, &str, &str); 8] = [
    ("enrichment", "companyName", "company_name"),
    ("deanonymization", "hem", "hem"),
    ("linkedin_to_phone", "linkedinUrl", "linkedin_url"),
    ("linkedin_to_hem", "profile_url", "linkedin_url"),
    ("email_to_hem", "emailAddress", "email"),
    ("ip_to_company", "ipAddress", "ip"),
    ("organization_domain_finder", "name", "company_name"),
    ("keyword_to_lead", "keyword", "keyword"),
];

/// The values of an input say what comes of it: `none`, `broken`, `odd` (an input that is none),
/// `huge`, or `N…` for N seconds.
fn answer(input: &Map<String, Value>) -> (Duration, Answer) {
    let text = input
        .values()
        .find_map(Value::as_str)
        .unwrap_or("odd")
        .to_owned();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let answer = match text.trim_start_matches(|c: char| c.is_ascii_digit()) {
        word if word.starts_with("none") => Answer::NotFound,
        word if word.starts_with("broken") => Answer::Failed {
            code: FailureCode::ProviderError,
            detail: "the upstream is out of order".to_owned(),
        },
        word if word.starts_with("odd") => Answer::Invalid("the input has no name".to_owned()),
        word if word.starts_with("huge") => found(json!({"text": "x".repeat(300_000)})),
        _ => found(
            json!({"company_name": "Found Inc", "address": "1 Main St", "employee_count": 400,
                "hq": {"zip_code": 1}}),
        ),
    };
    (Duration::from_secs(digits.parse().unwrap_or(0)), answer)
}

fn served() -> ServedApi {
    with(Options {
        enrichers: 2,
        dispatchers: 2,
        ..Options::default()
    })
}

fn with(options: Options) -> ServedApi {
    ServedApi::new(World::with(options), SURFACES, OPERATIONS, answer)
}

fn post(served: &mut ServedApi, path: &str, sent: &Value) -> ApiResponse {
    let key = served.key().to_owned();
    served.post(path, &[("x-api-key", &key)], sent)
}

/// Asks for the enrichment of a company of this name and returns the request's id.
fn enrich(served: &mut ServedApi, name: &str) -> String {
    let sent = json!({"companyName": name, "callbackUrl": HOOK});
    body(&post(served, "/enrichment", &sent), 200)["resolution"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A request on the native surface, which must be answered so.
fn native(served: &mut ServedApi, method: &str, path: &str, status: u16) -> Value {
    let bearer = format!("Bearer {}", served.key());
    body(
        &served.call(method, path, &[("authorization", &bearer)], b""),
        status,
    )
}

fn delivery(served: &mut ServedApi, id: &str) -> Value {
    native(served, "GET", &format!("/v1/jobs/{id}/deliveries"), 200)["deliveries"][0].clone()
}

/// Returns the only callback that was sent.
#[track_caller]
fn callback(served: &ServedApi) -> Value {
    let exchanges = served.world.receiver.exchanges();
    assert_eq!(exchanges.len(), 1);
    exchanges[0].json()
}

/// The message of an error in the surface's shape.
#[track_caller]
fn refused(response: &ApiResponse, status: u16) -> String {
    let error = body(response, status);
    assert_eq!(
        (&error["success"], &error["status"]),
        (&json!(false), &json!("error")),
        "{error}"
    );
    assert_eq!(error.as_object().map(Map::len), Some(3), "{error}");
    let (_, content_type) = response
        .headers
        .iter()
        .find(|(name, _)| *name == "content-type")
        .unwrap();
    assert_eq!(content_type, "application/json");
    error["message"].as_str().unwrap().to_owned()
}

/// The waits between one attempt's end and the next one's beginning.
fn waits(exchanges: &[Exchange]) -> Vec<Duration> {
    exchanges
        .windows(2)
        .map(|pair| pair[1].at.since(pair[0].until))
        .collect()
}

#[test]
fn a_request_from_its_answer_to_its_callback() {
    let mut served = served();
    let sent = json!({"companyName": "Acme", "callbackUrl": HOOK, "teamSize": 7,
        "nested": {"own_name": [1.5, null]}});
    let response = post(&mut served, "/enrichment", &sent);
    let answer = body(&response, 200);
    let id = answer["resolution"]["id"].as_str().unwrap().to_owned();
    let hex = id.strip_prefix("res_").unwrap();
    assert!(
        hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
        "{id}"
    );
    assert!(
        answer["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty())
    );
    let expected = json!({
        "success": true,
        "status": "processing",
        "message": answer["message"],
        "resolution":
            {"id": id, "status": "processing", "requested_at": "2026-01-01T00:00:00.000Z",
                "callback_url": HOOK},
    });
    assert_eq!(answer, expected);
    served.settle();

    let asked = served.asked.lock().unwrap().clone();
    assert_eq!(
        Value::from(asked[0].clone()),
        json!({"company_name": "Acme", "team_size": 7, "nested": {"own_name": [1.5, null]}})
    );
    let expected = json!({
        "companyName": "Acme", "teamSize": 7, "nested": {"own_name": [1.5, null]},
        "address": "1 Main St", "employeeCount": 400, "hq": {"zip_code": 1},
    });
    assert_eq!(
        callback(&served),
        expected,
        "what was sent stays, what was found stands beside it, and nothing around it"
    );
    let exchanges = served.world.receiver.exchanges();
    let sent = &exchanges[0];
    assert_eq!(
        (sent.url.as_str(), sent.header("content-type")),
        (HOOK, "application/json")
    );
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .map(|name| Some(sent.header(name)));
    let secret = served.world.tenant.secret.clone();
    assert_eq!(
        verify(
            &secret, headers[0], headers[1], headers[2], &sent.body, sent.at
        ),
        Ok(())
    );
}

#[test]
fn every_operation_has_both_spellings_and_both_places() {
    let mut served = served();
    let key = served.key().to_owned();
    let bearer = format!("Bearer {key}");
    let mut jobs = 0;
    for (operation, name, known) in ASKED {
        let hyphens = operation.replace('_', "-");
        let spellings = std::collections::BTreeSet::from([operation, &hyphens]);
        let paths = spellings
            .iter()
            .flat_map(|o| [format!("/{o}"), format!("/lead/resolution/{o}")]);
        for path in paths {
            let headers = if jobs % 2 == 0 {
                ("x-api-key", key.as_str())
            } else {
                ("authorization", bearer.as_str())
            };
            let url = format!("{HOOK}?{jobs}");
            let answer = served.post(
                &path,
                &[headers],
                &json!({name: "Acme", "callbackUrl": url}),
            );
            let id = body(&answer, 200)["resolution"]["id"]
                .as_str()
                .unwrap()
                .to_owned();
            assert_eq!(
                body(&answer, 200)["resolution"]["callback_url"],
                url,
                "{path}"
            );
            served.settle();
            let last = served.world.receiver.exchanges().last().cloned().unwrap();
            assert_eq!(
                (last.url.as_str(), &last.json()[name]),
                (url.as_str(), &json!("Acme")),
                "{path}"
            );
            if operation == "keyword_to_lead" {
                assert_eq!(served.native(&id)["status"], "failed");
            } else {
                let asked = served.asked.lock().unwrap().last().cloned().unwrap();
                assert_eq!(Value::from(asked), json!({known: "Acme"}), "{path}");
            }
            jobs += 1;
        }
    }
    assert_eq!(jobs, 32 - 4, "two operations are one word");
    for path in [
        "/email_to-hem",
        "/email-to-hem/x",
        "/lead/enrichment",
        "/Enrichment",
        "/lead/resolution",
    ] {
        let problem = served.post(path, &[("x-api-key", &key)], &json!({"callbackUrl": HOOK}));
        assert_eq!(problem.status, 404, "{path}");
    }
}

#[test]
fn found_fields_have_the_case_of_the_request() {
    for (callback_name, fields) in [
        (
            "callbackUrl",
            json!({"companyName": "Found Inc", "employeeCount": 400}),
        ),
        (
            "callback_url",
            json!({"company_name": "Found Inc", "employee_count": 400}),
        ),
    ] {
        let mut served = served();
        let sent = json!({"linkedin_url": "x", callback_name: HOOK});
        body(&post(&mut served, "/enrichment", &sent), 200);
        served.settle();
        let mut expected =
            json!({"linkedin_url": "x", "address": "1 Main St", "hq": {"zip_code": 1}});
        expected
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        assert_eq!(callback(&served), expected);
    }
}

#[test]
fn what_was_sent_stays_where_something_else_was_found() {
    let mut served = served();
    let sent = json!({"company_name": "Acme", "EmployeeCount": null, "callbackUrl": HOOK,
        "callback_url": HOOK});
    body(&post(&mut served, "/enrichment", &sent), 200);
    served.settle();
    let expected = json!({"company_name": "Acme", "EmployeeCount": 400, "address": "1 Main St",
        "hq": {"zip_code": 1}});
    assert_eq!(callback(&served), expected);
}

#[test]
fn every_end_without_a_result_is_called_back() {
    for (name, status, says) in [
        ("none", "not_found", "nothing was found"),
        ("broken", "failed", "out of order"),
        ("odd", "failed", "no name"),
        ("huge", "failed", "bytes"),
    ] {
        let mut served = served();
        let id = enrich(&mut served, name);
        served.settle();
        let reported = callback(&served);
        let message = reported["message"].as_str().unwrap();
        assert!(message.contains(says), "{reported}");
        assert_eq!(
            reported,
            json!({"companyName": name, "status": status, "message": message})
        );
        assert_eq!(served.native(&id)["status"], "completed");
    }
}

#[test]
fn a_type_without_a_provider_is_accepted_and_fails() {
    let mut served = served();
    let sent = json!({"keyword": "robots", "callback_url": HOOK});
    let id = body(&post(&mut served, "/keyword-to-lead", &sent), 200)["resolution"]["id"].clone();
    served.settle();
    let reported = callback(&served);
    assert_eq!(reported["status"], "failed");
    assert!(
        reported["message"]
            .as_str()
            .unwrap()
            .contains("add a provider for it to providers.toml"),
        "{reported}"
    );
    assert_eq!(
        (&reported["keyword"], reported.as_object().map(Map::len)),
        (&json!("robots"), Some(3))
    );
    assert_eq!(served.native(id.as_str().unwrap())["status"], "failed");
}

#[test]
fn an_operation_that_is_mapped_to_nothing_is_accepted_and_fails() {
    let mut served = ServedApi::new(World::new(), SURFACES, "", answer);
    enrich(&mut served, "Acme");
    served.settle();
    let reported = callback(&served);
    assert_eq!(
        (&reported["status"], &reported["companyName"]),
        (&json!("failed"), &json!("Acme"))
    );
    assert!(
        reported["message"]
            .as_str()
            .unwrap()
            .contains("[operations.springbolt]"),
        "{reported}"
    );
}

#[test]
fn a_canceled_request_is_called_back_as_failed() {
    let mut served = with(Options {
        enrichers: 0,
        ..Options::default()
    });
    let id = enrich(&mut served, "Acme");
    native(&mut served, "POST", &format!("/v1/jobs/{id}/cancel"), 202);
    served.world.options.enrichers = 1;
    served.settle();
    let reported = callback(&served);
    assert_eq!(
        (&reported["status"], &reported["companyName"]),
        (&json!("failed"), &json!("Acme"))
    );
    assert!(
        reported["message"].as_str().unwrap().contains("canceled"),
        "{reported}"
    );
    assert_eq!(served.native(&id)["status"], "canceled");
}

#[test]
fn a_request_that_outlives_its_time_is_called_back_as_failed() {
    let mut served = with(Options {
        enrichers: 0,
        ..Options::default()
    });
    let id = enrich(&mut served, "Acme");
    served.world.run_for(25 * HOUR);
    served.world.options.enrichers = 1;
    served.settle();
    let reported = callback(&served);
    assert_eq!(
        (&reported["status"], &reported["companyName"]),
        (&json!("failed"), &json!("Acme"))
    );
    assert_eq!(served.native(&id)["status"], "expired");
}

#[test]
fn a_request_is_shown_and_steered_on_the_native_surface_by_its_own_id() {
    let mut served = served();
    let id = enrich(&mut served, "5");
    served.world.run_for(SECOND);
    assert_eq!(served.native(&id)["status"], "running");
    served.settle();
    let shown = served.native(&id);
    assert_eq!(
        (&shown["status"], &shown["counts"]["found"]),
        (&json!("completed"), &json!(1))
    );
    let job = JobId::parse(shown["id"].as_str().unwrap()).unwrap();
    assert_eq!(format!("res_{}", job.hex()), id);
    let results = native(&mut served, "GET", &format!("/v1/jobs/{id}/results"), 200);
    assert_eq!(results["results"][0]["input"], json!({"company_name": "5"}));
    assert_eq!(results["results"][0]["data"]["company_name"], "Found Inc");
    let log = delivery(&mut served, &id);
    assert_eq!(
        (&log["state"], &log["attempts"]),
        (&json!("delivered"), &json!(1))
    );
    native(
        &mut served,
        "POST",
        &format!("/v1/deliveries/{id}/replay"),
        202,
    );
    served.settle();
    let exchanges = served.world.receiver.exchanges();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(
        (exchanges[0].id(), &exchanges[0].body),
        (exchanges[1].id(), &exchanges[1].body)
    );
}

#[test]
fn a_failed_request_can_be_retried_with_its_callback() {
    let mut served = served();
    let id = enrich(&mut served, "broken");
    served.settle();
    native(&mut served, "POST", &format!("/v1/jobs/{id}/retry"), 202);
    served.settle();
    let exchanges = served.world.receiver.exchanges();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[0].json(), exchanges[1].json());
}

#[test]
fn requests_that_cannot_be_taken_say_why_and_leave_nothing() {
    let mut served = served();
    for (sent, says) in [
        (json!({"companyName": "Acme"}), "callbackUrl is required"),
        (
            json!({"companyName": "Acme", "callbackUrl": null}),
            "callbackUrl is required",
        ),
        (json!({"callbackUrl": ""}), "callbackUrl is required"),
        (json!({"callback_url": 7}), "callback_url must be a string"),
        (
            json!({"callbackUrl": ["x"], "callback_url": HOOK}),
            "callbackUrl must be a string",
        ),
        (
            json!({"callbackUrl": HOOK, "callback_url": format!("{HOOK}/2")}),
            "callback_url differs from callbackUrl",
        ),
        (
            json!({"callbackUrl": "ftp://hook.example/"}),
            "callbackUrl cannot be used",
        ),
        (
            json!({"callback_url": "hook.example"}),
            "callback_url cannot be used",
        ),
        (
            json!({"callbackUrl": format!("https://hook.example/{}", "x".repeat(2083))}),
            "callbackUrl is longer than 2083",
        ),
        (json!([{"callbackUrl": HOOK}]), "no object"),
    ] {
        let message = refused(&post(&mut served, "/enrichment", &sent), 400);
        assert!(message.contains(says), "{sent}: {message}");
    }
    let key = served.key().to_owned();
    let headers = [("x-api-key", key.as_str())];
    for sent in [
        "",
        "{",
        "{\"callbackUrl\": \"https://hook.example/\", \"n\": 1e}",
        "\u{feff}{}",
        "null",
    ] {
        refused(
            &served.call("POST", "/enrichment", &headers, sent.as_bytes()),
            400,
        );
    }
    let stored = served.world.sim.store.items();
    assert_eq!(
        stored
            .iter()
            .filter(|item| item.key.pk.starts_with("JOB#"))
            .count(),
        0
    );
}

#[test]
fn a_request_has_at_most_64_kib() {
    let mut served = served();
    let of = |bytes: usize| {
        let sent = json!({"note": "", "callbackUrl": HOOK});
        json!({"note": "x".repeat(bytes - sent.to_string().len()), "callbackUrl": HOOK})
    };
    let message = refused(&post(&mut served, "/enrichment", &of(64 * 1024 + 1)), 413);
    assert!(message.contains("65536"), "{message}");
    body(&post(&mut served, "/enrichment", &of(64 * 1024)), 200);
    let deep = (0..80).fold(json!(1), |inner, _| json!([inner]));
    refused(
        &post(
            &mut served,
            "/enrichment",
            &json!({"deep": deep, "callbackUrl": HOOK}),
        ),
        400,
    );
    let key = served.key().to_owned();
    let huge = format!(
        "{{\"callbackUrl\": \"{HOOK}\", \"x\": \"{}\"}}",
        "x".repeat(4 * 1024 * 1024)
    );
    refused(
        &served.call(
            "POST",
            "/enrichment",
            &[("x-api-key", &key)],
            huge.as_bytes(),
        ),
        413,
    );
}

#[test]
fn errors_have_one_shape() {
    let mut served = served();
    let sent = json!({"companyName": "Acme", "callbackUrl": HOOK});
    let key = served.key().to_owned();
    let unknown: [&[(&str, &str)]; 4] = [
        &[],
        &[("x-api-key", "wrong")],
        &[("authorization", "Basic x")],
        &[("authorization", "Bearer wrong")],
    ];
    for headers in unknown {
        refused(&served.post("/email-to-hem", headers, &sent), 401);
    }
    let not_there = served.get("/enrichment", &[("x-api-key", &key)]);
    assert_eq!(
        not_there
            .headers
            .iter()
            .find(|(n, _)| *n == "allow")
            .map(|(_, v)| v.as_str()),
        Some("POST")
    );
    refused(&not_there, 405);

    let again = [("x-api-key", key.as_str()), ("idempotency-key", "once")];
    let first = body(&served.post("/enrichment", &again, &sent), 200);
    served.settle();
    assert_eq!(
        body(&served.post("/enrichment", &again, &sent), 200),
        first,
        "one key, one request, one answer"
    );
    refused(
        &served.post(
            "/enrichment",
            &again,
            &json!({"companyName": "Other", "callbackUrl": HOOK}),
        ),
        422,
    );
    refused(&served.post("/email_to_hem", &again, &sent), 422);
    served.settle();
    assert_eq!(served.world.receiver.exchanges().len(), 1);

    let mut poor = with(Options {
        credits: 0,
        ..Options::default()
    });
    let message = refused(&post(&mut poor, "/enrichment", &sent), 402);
    assert!(message.contains("credit"), "{message}");
}

#[test]
fn a_callback_is_tried_at_the_times_of_the_native_schedule_to_the_second() {
    let mut served = served();
    served.world.receiver.replies([
        Reply::status(500),
        Reply::status(302).header("location", "https://elsewhere.example/"),
        Reply::status(410),
        Reply::status(429).header("retry-after", "7"),
        Reply::status(503).header("retry-after", "86000"),
        Reply::status(200).after(20 * SECOND),
        Reply::status(400).after(15 * SECOND),
    ]);
    served.world.receiver.from_then_on(Reply::status(404));
    let id = enrich(&mut served, "Acme");
    served.settle();
    let exchanges = served.world.receiver.exchanges();
    assert_eq!(waits(&exchanges), NATIVE_DELAYS);
    assert_eq!(exchanges.len(), 10);
    assert!(
        exchanges
            .iter()
            .all(|e| e.body == exchanges[0].body && e.id() == exchanges[0].id())
    );
    let reported = delivery(&mut served, &id);
    assert_eq!(
        (&reported["state"], &reported["reason"]),
        (&json!("exhausted"), &json!("attempts_used_up"))
    );
    assert_eq!(
        (
            &reported["log"][5]["error"],
            &reported["log"][5]["latency_ms"]
        ),
        (&json!("timeout"), &json!(20_000))
    );
    assert_eq!(
        served.native(&id)["status"],
        "completed",
        "it stays readable"
    );
    // Neither a tenant's own schedule nor a receiver that is gone changes anything for the next.
    let schedule = Some(vec![1, 1]);
    let tenant = served.world.tenant.id.clone();
    served
        .world
        .call(async |p| tenants::set_webhook_schedule(p, &tenant, schedule.clone()).await)
        .unwrap();
    served.world.receiver.from_then_on(Reply::status(410));
    enrich(&mut served, "Other");
    served.settle();
    assert_eq!(
        waits(&served.world.receiver.exchanges()[10..]),
        NATIVE_DELAYS
    );
}

#[test]
fn an_answer_just_within_the_time_is_an_answer() {
    let mut served = served();
    served
        .world
        .receiver
        .replies([Reply::status(204).after(Duration::from_millis(19_900))]);
    let id = enrich(&mut served, "Acme");
    served.settle();
    assert_eq!(delivery(&mut served, &id)["state"], "delivered");
}

#[test]
fn receivers_without_tls_are_called() {
    let mut served = served();
    let sent = json!({"companyName": "Acme", "callbackUrl": "http://hook.example/plain"});
    body(&post(&mut served, "/enrichment", &sent), 200);
    served.settle();
    assert_eq!(
        served.world.receiver.exchanges()[0].url,
        "http://hook.example/plain"
    );
}

#[test]
fn of_two_requests_with_one_url_the_newer_ones_result_stays() {
    let mut served = served();
    let older = enrich(&mut served, "20");
    served.world.run_for(SECOND);
    let newer = enrich(&mut served, "Acme");
    served.settle();
    assert_eq!(callback(&served)["companyName"], "Acme");
    let late = delivery(&mut served, &older);
    assert_eq!(
        (&late["state"], &late["reason"]),
        (&json!("exhausted"), &json!("superseded"))
    );
    let bearer = format!("Bearer {}", served.key());
    let replay = format!("/v1/deliveries/{}/replay", late["id"].as_str().unwrap());
    let refused = body(
        &served.post(&replay, &[("authorization", &bearer)], &json!({})),
        409,
    );
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("only the latest counts"),
        "{refused}"
    );
    assert_eq!((&late["attempts"], &late["log"]), (&json!(0), &json!([])));
    assert_eq!(delivery(&mut served, &newer)["state"], "delivered");
    // Both have their result; only the callback of one is left out.
    assert_eq!(served.native(&older)["counts"]["found"], 1);

    // If the newer one's callback fails, the older one's is sent, and then the newer one's again.
    served.world.receiver.replies([Reply::status(500)]);
    let older = enrich(&mut served, "3");
    served.world.run_for(SECOND);
    enrich(&mut served, "Newer");
    served.settle();
    let names: Vec<Value> = served.world.receiver.exchanges()[1..]
        .iter()
        .map(|e| e.json()["companyName"].clone())
        .collect();
    assert_eq!(names, ["Newer", "3", "Newer"]);
    assert_eq!(delivery(&mut served, &older)["state"], "delivered");
}

#[test]
fn callbacks_are_nested_for_the_operations_that_the_tenant_chose() {
    let mut served = served();
    let tenant = served.world.tenant.id.clone();
    let changes = ["callback_linkedin_to_hem", "callback_ip_to_company"].map(|name| {
        parse_setting(SURFACES, &format!("springbolt.{name}=nested")).expect("a setting")
    });
    served
        .world
        .call(async |p| tenants::change_settings(p, &tenant, &changes).await)
        .unwrap();
    for (operation, input, nested) in [
        ("linkedin_to_hem", "profileUrl", true),
        ("linkedin-to-hem", "profile_url", true),
        ("ip_to_company", "ipAddress", true),
        ("email_to_hem", "emailAddress", false),
        ("deanonymization", "email", false),
    ] {
        for (sent, status) in [("Acme", Value::Null), ("none", json!("not_found"))] {
            let from = served.world.receiver.exchanges().len();
            let path = format!("/lead/resolution/{operation}");
            let request = json!({input: sent, "callbackUrl": HOOK});
            body(&post(&mut served, &path, &request), 200);
            served.settle();
            let called = served.world.receiver.exchanges()[from].json();
            assert_eq!(
                called.get("lead").is_some(),
                nested,
                "{operation}: {called}"
            );
            assert_eq!(called.get("status").cloned().unwrap_or_default(), status);
            let (of, known) = if nested {
                (&called["lead"], !operation.starts_with("ip"))
            } else {
                (&called, false)
            };
            let name = match (nested, known) {
                (true, true) => "linkedin_url",
                (true, false) => "ip",
                (false, _) => input,
            };
            assert_eq!(of[name], sent, "{operation}: {called}");
            let found = if nested {
                "company_name"
            } else {
                "companyName"
            };
            assert_eq!(of.get(found).is_some(), status.is_null(), "{called}");
        }
    }
}
