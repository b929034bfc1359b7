//! The API of Sixtyfour, checked against its own schemas and its page on webhooks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use shared::domain::ids::JobId;
use shared::domain::record::FailureCode;
use shared::domain::signature::{Secret, verify};
use shared::domain::tenant::Scope;
use shared::lambda::http::ApiResponse;
use shared::maintenance::tenants;
use shared::ports::HttpError;
use shared::providers::Answer;
use shared::surfaces::SURFACES;
use shared::webhooks::secrets;
use testkit::harness::{Exchange, HOOK, Options, ServedApi, World, body, found};
use testkit::schema::Fault;
use testkit::sim::Reply;

use crate::contract::{Contract, Schema};

const PLAIN_HOOK: &str = "http://hook.example/one";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Path, task type and a request of each operation.
fn operations() -> [(&'static str, &'static str, Value); 8] {
    let lead = json!({"name": "John Doe", "company": "Acme Inc",
        "linkedin": "https://linkedin.example/in/jd"});
    [
        ("/find-email-async", "find_email", json!({"lead": lead})),
        (
            "/find-email-bulk-async",
            "find_email_bulk",
            json!({"leads": [lead, {"name": "Jane Roe"}]}),
        ),
        ("/find-phone-async", "find_phone", json!({"lead": lead})),
        (
            "/find-phone-bulk-async",
            "find_phone_bulk",
            json!({"leads": [lead, {"name": "Jane Roe"}]}),
        ),
        (
            "/people-intelligence-async",
            "enrich_lead",
            json!({"lead_info": lead, "struct": {"age": "their age"}}),
        ),
        (
            "/company-intelligence-async",
            "enrich_company",
            json!({"target_company": {"company_name": "Acme"},
                "struct": {"employees": "how many"}}),
        ),
        (
            "/research-agent-async",
            "research_agent",
            json!({"input_data": {"topic": "steel"}}),
        ),
        (
            "/qa-agent-async",
            "qa_agent",
            json!({"data": lead, "qualification_criteria": [{"criteria_name": "size",
                "description": "over 10"}]}),
        ),
    ]
}

/// Every operation answered by this type.
fn mapped(kind: &str) -> String {
    let lines = operations().map(|(_, task, _)| format!("{task} = \"{kind}\"\n"));
    format!("[operations.sixtyfour]\n{}", lines.concat())
}

fn served(
    answer: impl Fn(&Map<String, Value>) -> (Duration, Answer) + Send + Sync + 'static,
) -> ServedApi {
    ServedApi::new(World::new(), SURFACES, &mapped("any"), answer)
}

/// One answer to everything, at once.
fn answering(answer: Answer) -> ServedApi {
    served(move |_| (Duration::ZERO, answer.clone()))
}

fn contract() -> &'static Contract {
    static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
        Contract::new(
            include_str!("schemas/sixtyfour.json"),
            include_str!("schemas/sixtyfour.overlay.json"),
        )
    });
    &CONTRACT
}

fn post(served: &mut ServedApi, path: &str, request: &Value) -> ApiResponse {
    let key = served.key().to_owned();
    served.post(path, &[("x-api-key", &key)], request)
}

fn poll(served: &mut ServedApi, task: &str) -> Value {
    let key = served.key().to_owned();
    body(
        &served.get(&format!("/job-status/{task}"), &[("x-api-key", &key)]),
        200,
    )
}

/// The task's id.
#[track_caller]
fn submit(served: &mut ServedApi, path: &str, request: &Value) -> String {
    static ACCEPTED: LazyLock<Schema<'static>> = LazyLock::new(|| contract().schema("Accepted"));
    let answer = body(&post(served, path, request), 200);
    ACCEPTED.check(&answer);
    answer["task_id"].as_str().unwrap().to_owned()
}

/// The result of a request whose task runs to its end.
#[track_caller]
fn resulting(answer: Answer, path: &str, request: &Value) -> Value {
    let mut served = answering(answer);
    let task = submit(&mut served, path, request);
    served.settle();
    let shown = poll(&mut served, &task);
    ended().check(&shown);
    assert_eq!(shown["status"], "completed", "{shown}");
    shown["result"].clone()
}

fn ended() -> Schema<'static> {
    contract().schema("Ended")
}

/// The names of faults that a 422 tells, with their places.
#[track_caller]
fn faults(response: &ApiResponse) -> Vec<(String, Value)> {
    let answer = body(response, 422);
    contract()
        .response("POST", "/find-email-async", 422)
        .unwrap()
        .check(&answer);
    let reported = answer["detail"].as_array().unwrap().iter();
    reported
        .map(|fault| {
            (
                fault["type"].as_str().unwrap().to_owned(),
                fault["loc"].clone(),
            )
        })
        .collect()
}

#[track_caller]
fn detail(response: &ApiResponse, status: u16) -> String {
    let answer = body(response, status);
    let members = answer.as_object().unwrap();
    assert_eq!(members.keys().collect::<Vec<_>>(), ["detail"]);
    members["detail"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

/// The place of a fault as the answer names it.
fn loc(pointer: &str, request: &Value) -> Value {
    let (mut loc, mut here) = (vec![json!("body")], Some(request));
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        let place = match here {
            Some(Value::Array(_)) => json!(segment.parse::<usize>().unwrap()),
            _ => json!(segment),
        };
        here = match (here, place.as_u64()) {
            (Some(Value::Array(items)), Some(n)) => items.get(usize::try_from(n).unwrap()),
            (Some(other), _) => other.get(&segment),
            (None, _) => None,
        };
        loc.push(place);
    }
    loc.into()
}

#[test]
fn every_request_is_taken_or_refused_as_its_schema_says() {
    use Fault::{
        MissingRequired, NotInEnum, TooFew, TooLong, TooMany, TooShort, Unlike, WrongType,
    };
    let contract = contract();
    let (mut taken, mut refused, mut made) = (0, 0, BTreeSet::new());
    for (seed, (method, path)) in (64..).zip(contract.operations()) {
        if method == "GET" {
            continue;
        }
        // A world each: one slows down with the jobs it stores.
        let mut served = ServedApi::new(World::new(), SURFACES, &mapped("bare"), |_| {
            unreachable!("no provider is asked")
        });
        let key = served.key().to_owned();
        let (accepted, refusal) = (
            contract.response("POST", &path, 200).unwrap(),
            contract.response("POST", &path, 422).unwrap(),
        );
        made.extend(
            contract
                .request("POST", &path)
                .each(seed, 300, |request, broken| {
                    let response = served.post(&path, &[("x-api-key", &key)], request);
                    let Some((place, fault)) = broken else {
                        accepted.check(&body(&response, 200));
                        taken += 1;
                        return;
                    };
                    assert_eq!(
                        response.status, 422,
                        "{fault:?} at {place} of {path} was taken: {request}"
                    );
                    let answer = body(&response, 422);
                    refusal.check(&answer);
                    let reported = answer["detail"].as_array().unwrap();
                    assert!(
                        reported.iter().any(|t| t["loc"] == loc(place, request)),
                        "{fault:?} at {place}: {answer}"
                    );
                    refused += 1;
                }),
        );
    }
    assert_eq!((taken, refused), (800, 1600));
    let all = [
        WrongType,
        MissingRequired,
        NotInEnum,
        TooShort,
        TooLong,
        TooFew,
        TooMany,
        Unlike,
    ];
    assert_eq!(made, BTreeSet::from(all));
}

/// The answers of a provider, one after the other.
fn answers() -> Vec<Answer> {
    let failed = || Answer::Failed {
        code: FailureCode::ProviderError,
        detail: "HTTP 500".to_owned(),
    };
    vec![
        found(
            json!({"emails": [{"email": "a@x.example", "status": "risky"}], "phone": "+1",
                "title": "CEO"}),
        ),
        Answer::NotFound,
        found(
            json!({"email": "b@gmail.com", "email_status": "catch_all", "phones": ["+1",
                {"number": "+2"}]}),
        ),
        failed(),
        found(
            json!({"structured_data": {"a": 1}, "notes": "n", "references": ["https://r.example"],
                "x": [1, {}]}),
        ),
        Answer::Invalid("no".to_owned()),
        found(json!({"structured_data": "{\"a\": 2}", "confidence_score": 7})),
        found(json!({"structured_data": "prose", "references": {"u": "d"}})),
    ]
}

#[test]
fn every_task_is_told_and_polled_as_its_schema_says() {
    let contract = contract();
    let (open, ended) = (
        contract
            .response("GET", "/job-status/{job_id}", 200)
            .unwrap(),
        ended(),
    );
    let (mut count, mut ends) = (0, BTreeMap::new());
    for (seed, (method, path)) in (640..).zip(contract.operations()) {
        if method == "GET" {
            continue;
        }
        let next_answer = AtomicUsize::new(0);
        let mut served = served(move |_| {
            let answers = answers();
            (
                Duration::ZERO,
                answers[next_answer.fetch_add(1, Ordering::Relaxed) % answers.len()].clone(),
            )
        });
        let mut tasks = Vec::new();
        contract
            .request("POST", &path)
            .each(seed, 60, |request, broken| {
                if broken.is_none() {
                    let mut request = request.clone();
                    request["webhook_url"] = json!(if tasks.len() % 2 == 0 {
                        HOOK
                    } else {
                        PLAIN_HOOK
                    });
                    tasks.push(submit(&mut served, &path, &request));
                }
            });
        for task in &tasks {
            let shown = poll(&mut served, task);
            open.check(&shown);
            assert_eq!(shown["status"], "pending");
        }
        served.settle();
        let reported: Vec<Value> = served
            .world
            .receiver
            .exchanges()
            .iter()
            .map(Exchange::json)
            .collect();
        let reported: BTreeMap<&str, &Value> = reported
            .iter()
            .map(|t| (t["task_id"].as_str().unwrap(), t))
            .collect();
        assert_eq!(tasks.len(), reported.len(), "{path}");
        for task in &tasks {
            let shown = poll(&mut served, task);
            open.check(&shown);
            ended.check(&shown);
            assert_eq!(&shown, reported[task.as_str()], "sent and polled alike");
            let end = (
                shown["task_type"].as_str().unwrap().to_owned(),
                shown["status"].as_str().unwrap().to_owned(),
            );
            *ends.entry(end).or_insert(0) += 1;
            count += 1;
        }
    }
    assert_eq!(count, 160);
    for (_, task, _) in operations() {
        let count = |status: &str| {
            ends.get(&(task.to_owned(), status.to_owned()))
                .copied()
                .unwrap_or(0)
        };
        assert!(count("completed") > 0, "{task}: {ends:?}");
        assert_eq!(
            count("failed") > 0,
            !task.ends_with("_bulk"),
            "{task}: {ends:?}"
        );
    }
}

#[test]
fn a_task_is_pending_then_processing_then_completed_and_told() {
    for (path, task_type, mut request) in operations() {
        let mut served = served(|_| (Duration::from_secs(30), found(json!({"title": "CEO"}))));
        request["webhook_url"] = HOOK.into();
        let task = submit(&mut served, path, &request);
        let open =
            |status: &str| json!({"task_id": task, "status": status, "task_type": task_type});
        assert_eq!(poll(&mut served, &task), open("pending"));
        served.world.run_for(Duration::from_secs(10));
        assert_eq!(poll(&mut served, &task), open("processing"));
        served.settle();
        let shown = poll(&mut served, &task);
        assert_eq!(
            (&shown["status"], &shown["task_type"]),
            (&json!("completed"), &json!(task_type))
        );
        let exchanges = served.world.receiver.exchanges();
        assert_eq!(exchanges.len(), 1);
        assert_eq!(exchanges[0].json(), shown);
        assert_eq!(exchanges[0].header("content-type"), "application/json");
        assert_eq!(exchanges[0].header("sixtyfour-event-type"), task_type);
        let native = served.native(&task);
        assert_eq!(
            (&native["status"], &native["counts"]["found"]),
            (&json!("completed"), &native["counts"]["total"])
        );
    }
}

/// Returns whether a delivery is signed with this secret, as the vendor's receivers check it.
fn signed(exchange: &Exchange, secret: &Secret) -> bool {
    let (t, signatures) = exchange
        .header("sixtyfour-signature")
        .split_once(',')
        .unwrap();
    let t = t.strip_prefix("t=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).unwrap();
    mac.update(format!("{t}.").as_bytes());
    mac.update(&exchange.body);
    let expected = hex::encode(mac.finalize().into_bytes());
    let off = exchange.at.seconds().abs_diff(t.parse().unwrap());
    off <= 1
        && signatures
            .split(',')
            .any(|s| s.strip_prefix("v1=") == Some(&expected))
}

#[test]
fn a_delivery_is_signed_over_its_raw_bytes_with_the_secrets_text() {
    let mut served = answering(found(json!({"email": "ü@x.example"})));
    let request = json!({"lead": {"name": "Jürgen \u{2028} \"Ω\""}, "webhook_url": HOOK});
    let task = submit(&mut served, "/find-email-async", &request);
    served.world.receiver.answers([500, 500]);
    served.settle();
    let exchanges = served.world.receiver.exchanges();
    let id = JobId::parse_uuid(exchanges[0].header("sixtyfour-event-id")).expect("a UUID");
    for (attempt, exchange) in (1..).zip(&exchanges) {
        assert!(
            signed(exchange, &served.world.tenant.secret),
            "{:?}",
            exchange.headers
        );
        assert!(!signed(exchange, &Secret::new(&[9; 32])));
        assert_eq!(
            exchange.header("sixtyfour-delivery-attempt"),
            attempt.to_string()
        );
        assert_eq!(exchange.header("sixtyfour-event-id"), id.uuid());
        assert_eq!(exchange.header("sixtyfour-event-type"), "find_email");
        assert_eq!(exchange.body, exchanges[0].body);
        let header = |name| Some(exchange.header(name)).filter(|h| !h.is_empty());
        let standard = verify(
            &served.world.tenant.secret,
            header("webhook-id"),
            header("webhook-timestamp"),
            header("webhook-signature"),
            &exchange.body,
            exchange.at,
        );
        assert_eq!(standard, Ok(()), "Standard Webhooks headers go along");
    }
    assert_eq!(
        (exchanges.len(), exchanges[0].json()["task_id"].as_str()),
        (3, Some(task.as_str()))
    );
}

#[test]
fn during_a_rotation_both_secrets_sign_the_new_one_first() {
    let mut served = answering(Answer::NotFound);
    let (old, day) = (
        served.world.tenant.secret.clone(),
        Duration::from_secs(24 * 3600),
    );
    let tenant = served.world.tenant.id.clone();
    let rotated = served
        .world
        .call(async |ports| secrets::rotate(ports, &tenant, day, None).await)
        .unwrap();
    let request = json!({"lead": {}, "webhook_url": HOOK});
    submit(&mut served, "/find-email-async", &request);
    assert_eq!(served.world.quiet_within(HOUR), Ok(()));
    served.world.run_for(day);
    submit(&mut served, "/find-email-async", &request);
    assert_eq!(served.world.quiet_within(HOUR), Ok(()));
    let exchanges = served.world.receiver.exchanges();
    assert!(signed(&exchanges[0], &old) && signed(&exchanges[0], &rotated.secret));
    let first = exchanges[0]
        .header("sixtyfour-signature")
        .rsplit_once(',')
        .unwrap()
        .0
        .to_owned();
    let alone = Exchange {
        headers: vec![("sixtyfour-signature".to_owned(), first)],
        ..exchanges[0].clone()
    };
    assert!(signed(&alone, &rotated.secret) && !signed(&alone, &old));
    assert!(
        signed(&exchanges[1], &rotated.secret) && !signed(&exchanges[1], &old),
        "the overlap is over"
    );
}

/// When the attempts of one delivery began, in milliseconds after the end of the one before.
fn gaps(exchanges: &[Exchange]) -> Vec<u128> {
    exchanges
        .windows(2)
        .map(|pair| pair[1].at.since(pair[0].until).as_millis())
        .collect()
}

#[test]
fn five_retries_come_1_2_4_8_and_16_seconds_after_each_failure_and_then_none() {
    let after = |reply: Reply| reply.after(Duration::from_millis(1500));
    let replies: [(&str, Reply); 9] = [
        ("500", after(Reply::status(500))),
        ("404", Reply::status(404)),
        (
            "302",
            Reply::status(302).header("location", "https://hook.example/two"),
        ),
        ("410", Reply::status(410)),
        ("429", Reply::status(429).header("retry-after", "3600")),
        ("503", Reply::status(503).header("retry-after", "3600")),
        (
            "connection",
            Reply::error(HttpError::Connect("refused".to_owned())),
        ),
        ("tls", Reply::error(HttpError::Tls("expired".to_owned()))),
        (
            "time-out",
            Reply::status(200).after(Duration::from_secs(11)),
        ),
    ];
    for (name, reply) in replies {
        let mut served = answering(Answer::NotFound);
        served.world.receiver.from_then_on(reply);
        let task = submit(
            &mut served,
            "/find-email-async",
            &json!({"lead": {}, "webhook_url": HOOK}),
        );
        served.settle();
        let exchanges = served.world.receiver.exchanges();
        assert_eq!(gaps(&exchanges), [1000, 2000, 4000, 8000, 16_000], "{name}");
        assert_eq!(
            poll(&mut served, &task)["status"],
            "completed",
            "{name}: still readable"
        );
        let bearer = format!("Bearer {}", served.key());
        let log = body(
            &served.get(
                &format!("/v1/jobs/{task}/deliveries"),
                &[("authorization", &bearer)],
            ),
            200,
        );
        assert_eq!(
            (
                &log["deliveries"][0]["state"],
                &log["deliveries"][0]["attempts"]
            ),
            (&json!("exhausted"), &json!(6))
        );
        // The endpoint is not disabled: the next task is reported at once.
        served.world.receiver.from_then_on(Reply::status(204));
        submit(
            &mut served,
            "/find-email-async",
            &json!({"lead": {}, "webhook_url": HOOK}),
        );
        served.settle();
        assert_eq!(
            served.world.receiver.exchanges().last().unwrap().status,
            Some(204),
            "{name}"
        );
    }
}

#[test]
fn an_attempt_may_take_ten_seconds_and_no_longer() {
    let mut served = answering(Answer::NotFound);
    let slow = |millis| Reply::status(200).after(Duration::from_millis(millis));
    served.world.receiver.replies([slow(10_000), slow(9_999)]);
    submit(
        &mut served,
        "/find-email-async",
        &json!({"lead": {}, "webhook_url": HOOK}),
    );
    served.settle();
    let exchanges = served.world.receiver.exchanges();
    let took: Vec<u128> = exchanges
        .iter()
        .map(|e| e.until.since(e.at).as_millis())
        .collect();
    assert_eq!((took, gaps(&exchanges)), (vec![10_000, 9_999], vec![1000]));
}

#[test]
fn a_replay_tells_the_same_event_again() {
    let mut served = answering(found(json!({"email": "a@x.example"})));
    let task = submit(
        &mut served,
        "/find-email-async",
        &json!({"lead": {}, "webhook_url": PLAIN_HOOK}),
    );
    served.settle();
    let delivery = JobId::parse_uuid(&task).unwrap().end_delivery().to_string();
    let bearer = format!("Bearer {}", served.key());
    body(
        &served.post(
            &format!("/v1/deliveries/{delivery}/replay"),
            &[("authorization", &bearer)],
            &json!({}),
        ),
        202,
    );
    served.settle();
    let exchanges = served.world.receiver.exchanges();
    assert_eq!(exchanges.len(), 2);
    assert_eq!(exchanges[0].body, exchanges[1].body);
    let ids: BTreeSet<&str> = exchanges
        .iter()
        .map(|e| e.header("sixtyfour-event-id"))
        .collect();
    assert_eq!(
        (ids.len(), exchanges[1].header("sixtyfour-delivery-attempt")),
        (1, "2")
    );
    assert_eq!(exchanges[0].url, PLAIN_HOOK);
}

#[test]
fn found_addresses_stand_beside_the_leads_own_fields() {
    let lead = json!({"name": "John Doe", "company": "Acme", "odd": {"kept": [1, null]},
        "title": "his own"});
    let all = found(json!({
        "emails": [{"email": "john.doe@acme.com", "status": "deliverable", "type": "company"},
            {"email": "any@acme.com", "status": "catch-all"}, {"email": "old@acme.com",
                "status": "invalid"},
            {"email": "maybe@acme.com", "status": "risky"}, "jd@gmail.com"],
        "title": "found", "employees": 12,
    }));
    let expected = json!({
        "name": "John Doe", "company": "Acme", "odd": {"kept": [1, null]}, "title": "his own",
        "employees": 12,
        "email": [["john.doe@acme.com", "OK", "COMPANY"], ["any@acme.com", "CATCH_ALL", "COMPANY"],
            ["old@acme.com", "INVALID", "COMPANY"], ["maybe@acme.com", "RISKY", "COMPANY"],
            ["jd@gmail.com", "UNKNOWN", "PERSONAL"]],
    });
    assert_eq!(
        resulting(all.clone(), "/find-email-async", &json!({"lead": lead})),
        expected
    );

    let personal = resulting(
        all,
        "/find-email-async",
        &json!({"lead": lead, "mode": "PERSONAL"}),
    );
    assert_eq!(
        personal["personal_email"],
        json!([["jd@gmail.com", "UNKNOWN", "PERSONAL"]])
    );
    assert_eq!(personal["email"].as_array().unwrap().len(), 4);
}

#[test]
fn nothing_found_is_completed_and_an_address_that_the_lead_came_with_stays() {
    let none = |lead: Value| {
        resulting(
            Answer::NotFound,
            "/find-email-async",
            &json!({ "lead": lead }),
        )
    };
    assert_eq!(
        none(json!({"name": "x"})),
        json!({"name": "x", "email": []})
    );
    let known = json!({"email": [["known@acme.com", "UNKNOWN", "COMPANY"]]});
    assert_eq!(none(json!({"email": "known@acme.com"})), known);
    assert_eq!(none(known.clone()), known, "a result sent in again");
    let phone =
        |answer, lead: Value| resulting(answer, "/find-phone-async", &json!({ "lead": lead }));
    assert_eq!(
        phone(Answer::NotFound, json!({"name": "x"})),
        json!({"name": "x", "phone": ""})
    );
    assert_eq!(
        phone(Answer::NotFound, json!({"phone": "+9"})),
        json!({"phone": "+9"})
    );
    assert_eq!(
        phone(found(json!({"phones": ["+1"]})), json!({"phone": "+9"})),
        json!({"phone": "+1"})
    );
    let several = found(json!({"phones": [{"number": "+1", "region": "US"}, "+33"]}));
    let expected =
        json!({"phone": [{"number": "+1", "region": "US"}, {"number": "+33", "region": null}]});
    assert_eq!(phone(several, json!({})), expected);
}

#[test]
fn a_bulk_result_is_in_input_order_and_shows_what_failed_in_its_place() {
    let mut served = served(|input| match input["full_name"].as_str().unwrap() {
        "slow" => (
            Duration::from_secs(20),
            found(json!({"email": "slow@x.example"})),
        ),
        "none" => (Duration::ZERO, Answer::NotFound),
        "broken" => (
            Duration::ZERO,
            Answer::Failed {
                code: FailureCode::ProviderError,
                detail: "HTTP 500".to_owned(),
            },
        ),
        "wrong" => (
            Duration::ZERO,
            Answer::Invalid("`domain` is needed".to_owned()),
        ),
        name => (
            Duration::ZERO,
            found(json!({"email": format!("{name}@x.example")})),
        ),
    });
    let names = ["slow", "none", "broken", "wrong", "ann"];
    let leads: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(n, name)| json!({"row": n, "name": name}))
        .collect();
    let request = json!({"leads": leads, "webhook_url": HOOK});
    let task = submit(&mut served, "/find-email-bulk-async", &request);
    served.settle();
    let shown = poll(&mut served, &task);
    assert_eq!(served.world.receiver.exchanges()[0].json(), shown);
    let expected = json!([
        {"row": 0, "name": "slow", "email": [["slow@x.example", "UNKNOWN", "COMPANY"]]},
        {"row": 1, "name": "none", "email": []},
        {"row": 2, "name": "broken", "email": [], "error": "provider_error: any: HTTP 500"},
        {"row": 3, "name": "wrong", "email": [], "error": "invalid_input: `domain` is needed"},
        {"row": 4, "name": "ann", "email": [["ann@x.example", "UNKNOWN", "COMPANY"]]},
    ]);
    assert_eq!(
        (&shown["status"], &shown["result"]["results"]),
        (&json!("completed"), &expected)
    );
}

#[test]
fn intelligence_has_fields_notes_references_and_a_score() {
    let ask = |answer, request: &Value| resulting(answer, "/people-intelligence-async", request);
    let request = json!({"lead_info": {"name": "x"}, "struct": {"age": "their age",
        "role": {"type": "str"}}});
    let whole = json!({"structured_data": {"age": 40, "role": null}, "notes": "n",
        "references": {"https://r": "d"},
        "confidence_score": 9.5});
    assert_eq!(
        ask(
            found(json!({"structured_data": {"age": 40}, "notes": "n",
                    "references": [{"url": "https://r",
        "description": "d"}], "confidence_score": 9.5})),
            &request
        ),
        whole
    );
    // Chat endpoints give one text.
    assert_eq!(
        ask(
            found(json!({"structured_data": whole.to_string()})),
            &request
        ),
        whole
    );
    let fields = ask(found(json!({"structured_data": "{\"age\": 41}"})), &request);
    assert_eq!(fields["structured_data"], json!({"age": 41, "role": null}));
    let prose = ask(found(json!({"structured_data": "They are 40."})), &request);
    assert_eq!(
        (&prose["notes"], &prose["structured_data"]["age"]),
        (&json!("They are 40."), &Value::Null)
    );
    // Providers that know nothing of the form.
    let flat = ask(
        Answer::Found {
            fields: Map::from_iter([("age".to_owned(), json!(4))]),
            confidence: Some(0.87.into()),
        },
        &request,
    );
    let expected = json!({"structured_data": {"age": 4, "role": null}, "notes": "",
        "references": {},
        "confidence_score": 8.7});
    assert_eq!(flat, expected);
    let none =
        json!({"structured_data": {}, "notes": "", "references": {}, "confidence_score": 0.0});
    assert_eq!(
        resulting(
            Answer::NotFound,
            "/research-agent-async",
            &json!({"input_data": {}})
        ),
        none
    );
}

#[test]
fn options_reach_the_provider_beside_the_leads_fields_under_canonical_names() {
    let mut served = answering(Answer::NotFound);
    let lead = json!({"name": "John Doe", "companyName": "Acme",
        "linkedin": "https://l.example/jd", "title": "CEO",
        "crm_id": 7, "profile_url": "https://second.example"});
    let request = json!({"lead": lead, "verify_emails": false, "providers": ["findymail", "any"],
        "extra": 1});
    let task = submit(&mut served, "/find-email-async", &request);
    let company = json!({"target_company": {"name": "Acme", "website": "https://acme.example/x"},
        "struct": {"a": "b"},
        "find_people": true, "people_focus_prompt": "sales", "lead_struct": {"c": "d"},
        "research_plan": "look",
        "max_iterations": 3.0, "benchmark": null, "tier": "high", "full_org_chart": true});
    submit(&mut served, "/company-intelligence-async", &company);
    let person = json!({"lead_info": {"first_name": "J", "website": "https://own.example"},
        "tier": "xhigh"});
    submit(&mut served, "/people-intelligence-async", &person);
    submit(
        &mut served,
        "/research-agent-async",
        &json!({"input_data": {"topic": "steel", "struct": "mine"}}),
    );
    let criteria =
        json!([{"criteria_name": "n", "description": "d", "weight": 2, "threshold": 0.5}]);
    let qa = json!({"data": {"email": "a@x.example"}, "qualification_criteria": criteria,
        "struct": {"v": "verdict"}});
    submit(&mut served, "/qa-agent-async", &qa);
    served.settle();
    let asked: Vec<Value> = served
        .asked
        .lock()
        .unwrap()
        .iter()
        .cloned()
        .map(Value::Object)
        .collect();
    let expected = [
        json!({"full_name": "John Doe", "company_name": "Acme",
            "linkedin_url": "https://l.example/jd", "title": "CEO",
            "crm_id": 7, "profile_url": "https://second.example", "verify_emails": false,
            "providers": ["findymail", "any"], "mode": "PROFESSIONAL"}),
        json!({"company_name": "Acme", "website": "https://acme.example/x",
            "domain": "https://acme.example/x",
            "struct": {"a": "b"}, "find_people": true, "people_focus_prompt": "sales",
            "lead_struct": {"c": "d"},
            "research_plan": "look", "max_iterations": 3.0, "tier": "high",
            "full_org_chart": true}),
        json!({"first_name": "J", "website": "https://own.example", "tier": "xhigh",
            "benchmark": true}),
        json!({"topic": "steel", "struct": "mine", "max_iterations": 2, "benchmark": false}),
        json!({"email": "a@x.example", "qualification_criteria": criteria,
            "struct": {"v": "verdict"}, "references": [],
            "max_tool_calls": 10}),
    ];
    for expected in &expected {
        assert!(asked.contains(expected), "{expected}\nnot among {asked:#?}");
    }
    let mut echoed = lead.clone();
    echoed["email"] = json!([]);
    assert_eq!(
        poll(&mut served, &task)["result"],
        echoed,
        "the lead comes back as it was sent"
    );
}

#[test]
fn providers_are_an_order_only_where_all_of_them_are_ours() {
    for (named, kept) in [
        (json!(["any"]), json!(["any"])),
        (json!(["any", "findymail"]), Value::Null),
        (json!(["any", "any"]), Value::Null),
        (json!([]), Value::Null),
        (Value::Null, Value::Null),
    ] {
        let mut served = answering(Answer::NotFound);
        let task = submit(
            &mut served,
            "/find-phone-async",
            &json!({"lead": {}, "providers": named}),
        );
        served.settle();
        let id = JobId::parse_uuid(&task).unwrap();
        assert_eq!(
            json!(served.world.view(&id).job.spec.providers),
            kept,
            "{named}"
        );
        assert_eq!(poll(&mut served, &task)["status"], "completed", "{named}");
        assert_eq!(
            served.asked.lock().unwrap().len(),
            1,
            "{named}: asked all the same"
        );
    }
}

#[test]
fn what_could_not_run_is_failed_with_its_reason_and_told() {
    let failed = |served: &mut ServedApi, task: &str| {
        let shown = poll(served, task);
        contract().schema("Failed").check(&shown);
        let reported: Vec<Value> = served
            .world
            .receiver
            .exchanges()
            .iter()
            .map(Exchange::json)
            .collect();
        assert_eq!(reported, std::slice::from_ref(&shown));
        shown["error"].as_str().unwrap().to_owned()
    };
    let request = json!({"lead": {"name": "x"}, "webhook_url": HOOK});

    let mut served = ServedApi::new(World::new(), SURFACES, &mapped("bare"), |_| unreachable!());
    let task = submit(&mut served, "/find-email-async", &request);
    served.settle();
    assert_eq!(
        failed(&mut served, &task),
        "add a provider for it to providers.toml"
    );
    assert_eq!(
        served.native(&task)["error"],
        "add a provider for it to providers.toml"
    );

    let mut served = ServedApi::new(World::new(), SURFACES, "", |_| unreachable!());
    let task = submit(
        &mut served,
        "/qa-agent-async",
        &json!({"data": {}, "qualification_criteria": [], "webhook_url": HOOK}),
    );
    served.settle();
    assert!(
        failed(&mut served, &task)
            .contains("no type answers qa_agent: name one in [operations.sixtyfour]")
    );

    let mut served = answering(Answer::Failed {
        code: FailureCode::ProviderError,
        detail: "HTTP 500".to_owned(),
    });
    let task = submit(&mut served, "/find-email-async", &request);
    served.settle();
    assert_eq!(failed(&mut served, &task), "provider_error: any: HTTP 500");

    let mut served = self::served(|_| (Duration::from_secs(50), Answer::NotFound));
    let task = submit(
        &mut served,
        "/find-email-bulk-async",
        &json!({"leads": [{}, {}], "webhook_url": HOOK}),
    );
    served.world.run_for(Duration::from_secs(5));
    let bearer = format!("Bearer {}", served.key());
    body(
        &served.post(
            &format!("/v1/jobs/{task}/cancel"),
            &[("authorization", &bearer)],
            &json!({}),
        ),
        202,
    );
    assert_eq!(
        poll(&mut served, &task)["status"],
        "processing",
        "canceling is in progress"
    );
    served.settle();
    let id = JobId::parse_uuid(&task).unwrap();
    let error = failed(&mut served, &task);
    assert!(
        error.contains("canceled") && error.contains(&format!("/v1/jobs/{id}/results")),
        "{error}"
    );

    let mut served = answering(Answer::NotFound);
    served.world.options.enrichers = 0;
    let task = submit(&mut served, "/find-email-async", &request);
    served.world.run_for(25 * HOUR);
    assert_eq!(poll(&mut served, &task)["status"], "processing");
    served.world.options.enrichers = 1;
    served.settle();
    assert_eq!(
        failed(&mut served, &task),
        "the job did not end within its run limit"
    );
}

#[test]
fn a_result_past_4_mib_is_failed_and_names_the_native_pages() {
    let mut served = answering(found(
        json!({"notes": "n".repeat(100_000), "email": "a@x.example"}),
    ));
    let leads: Vec<Value> = (0..50).map(|n| json!({ "n": n })).collect();
    let task = submit(
        &mut served,
        "/find-email-bulk-async",
        &json!({"leads": leads, "webhook_url": HOOK}),
    );
    served.settle();
    let shown = poll(&mut served, &task);
    contract().schema("Failed").check(&shown);
    let pages = format!("/v1/jobs/{}/results", JobId::parse_uuid(&task).unwrap());
    assert!(shown["error"].as_str().unwrap().contains(&pages), "{shown}");
    assert_eq!(served.world.receiver.exchanges()[0].json(), shown);
    let bearer = format!("Bearer {}", served.key());
    let page = body(&served.get(&pages, &[("authorization", &bearer)]), 200);
    assert_eq!(page["results"][0]["status"], "found");
}

#[test]
fn a_hundred_leads_are_a_task_and_a_hundred_and_one_are_refused() {
    let mut served = answering(Answer::NotFound);
    let leads = |n: usize| json!({"leads": vec![json!({"name": "x"}); n]});
    for path in ["/find-email-bulk-async", "/find-phone-bulk-async"] {
        let task = submit(&mut served, path, &leads(100));
        assert_eq!(
            faults(&post(&mut served, path, &leads(101))),
            [("too_long".to_owned(), json!(["body", "leads"]))]
        );
        assert_eq!(
            faults(&post(&mut served, path, &leads(0))),
            [("too_short".to_owned(), json!(["body", "leads"]))]
        );
        served.settle();
        assert_eq!(
            poll(&mut served, &task)["result"]["results"]
                .as_array()
                .unwrap()
                .len(),
            100
        );
    }
}

#[test]
fn all_faults_of_a_request_are_told_at_once_with_their_places() {
    let mut served = answering(Answer::NotFound);
    let request = json!({"data": [], "qualification_criteria": [{"criteria_name": 1,
        "weight": "2", "threshold": null}, 7],
        "references": [{"0": 1, "a/b": null}], "struct": {"x": {}}, "max_tool_calls": 1.5,
        "webhook_url": "ftp://x.example"});
    let reported = faults(&post(&mut served, "/qa-agent-async", &request));
    let expected = [
        ("dict_type", json!(["body", "data"])),
        (
            "string_type",
            json!(["body", "qualification_criteria", 0, "criteria_name"]),
        ),
        (
            "missing",
            json!(["body", "qualification_criteria", 0, "description"]),
        ),
        (
            "float_type",
            json!(["body", "qualification_criteria", 0, "weight"]),
        ),
        ("dict_type", json!(["body", "qualification_criteria", 1])),
        ("string_type", json!(["body", "references", 0, "0"])),
        ("string_type", json!(["body", "references", 0, "a/b"])),
        ("string_type", json!(["body", "struct", "x"])),
        ("int_from_float", json!(["body", "max_tool_calls"])),
        ("url_scheme", json!(["body", "webhook_url"])),
    ];
    assert_eq!(reported, expected.map(|(code, loc)| (code.to_owned(), loc)));
    let answer = body(
        &post(
            &mut served,
            "/find-email-async",
            &json!({"lead": {}, "mode": "BOTH"}),
        ),
        422,
    );
    let fault = &answer["detail"][0];
    assert_eq!(
        (&fault["type"], &fault["input"]),
        (&json!("literal_error"), &json!("BOTH"))
    );
    assert_eq!(fault["msg"], "Input should be 'PROFESSIONAL' or 'PERSONAL'");
    assert!(served.asked.lock().unwrap().is_empty());
}

#[test]
fn bodies_that_are_no_request_are_422_as_well() {
    let mut served = answering(Answer::NotFound);
    let key = served.key().to_owned();
    let deep = format!("{{\"lead\": {}{}}}", "[".repeat(100), "]".repeat(100));
    for (sent, code) in [
        ("", "missing"),
        ("  ", "missing"),
        ("{", "json_invalid"),
        ("[]", "model_attributes_type"),
        ("null", "model_attributes_type"),
        (&deep, "recursion_loop"),
    ] {
        let response = served.call(
            "POST",
            "/find-email-async",
            &[("x-api-key", &key)],
            sent.as_bytes(),
        );
        assert_eq!(
            faults(&response),
            [(code.to_owned(), json!(["body"]))],
            "{sent}"
        );
    }
}

#[test]
fn a_receiver_that_may_not_be_reached_is_refused_and_null_is_none() {
    let mut served = answering(Answer::NotFound);
    served
        .world
        .sim
        .http
        .refuse("https://10.0.0.1/", HttpError::Blocked);
    let with = |url: Value| json!({"lead": {}, "webhook_url": url});
    let place = json!(["body", "webhook_url"]);
    for (url, code) in [
        (json!("https://10.0.0.1/x"), "value_error"),
        (json!("hook"), "url_parsing"),
        (json!(""), "url_parsing"),
        (json!(5), "url_type"),
        (
            json!(format!("{HOOK}{}", "x".repeat(2084 - HOOK.len()))),
            "url_too_long",
        ),
    ] {
        assert_eq!(
            faults(&post(&mut served, "/find-email-async", &with(url))),
            [(code.to_owned(), place.clone())]
        );
    }
    submit(&mut served, "/find-email-async", &with(Value::Null));
    submit(
        &mut served,
        "/find-email-async",
        &with(json!(format!("{HOOK}{}", "x".repeat(2083 - HOOK.len())))),
    );
    served.settle();
    assert_eq!(served.world.receiver.exchanges().len(), 1);
}

#[test]
fn errors_have_a_detail() {
    let mut served = answering(Answer::NotFound);
    let key = served.key().to_owned();
    let lead = json!({"lead": {"name": "x"}});
    let task = submit(&mut served, "/find-email-async", &lead);
    let path = format!("/job-status/{task}");

    for headers in [
        &[][..],
        &[("x-api-key", "mr_no")],
        &[("authorization", &*format!("Bearer {key}"))],
    ] {
        assert!(
            detail(&served.post("/find-email-async", headers, &lead), 401).contains("x-api-key")
        );
        detail(&served.get(&path, headers), 401);
    }
    let read = BTreeSet::from([Scope::Read]);
    let tenant = served.world.tenant.id.clone();
    let reader = served
        .world
        .call(async |p| tenants::create_key(p, &tenant, &read).await)
        .unwrap();
    detail(
        &served.post("/find-email-async", &[("x-api-key", &reader)], &lead),
        403,
    );
    assert_eq!(served.get(&path, &[("x-api-key", &reader)]).status, 200);

    let other = served.world.tenant("other");
    detail(&served.get(&path, &[("x-api-key", &other.api_key)]), 404);
    let native = json!({"type": "any", "records": [{"input": {"domain": "x"}}]});
    let job = body(
        &served.post("/v1/jobs", &[("x-api-key", &key)], &native),
        202,
    );
    let id = JobId::parse(job["id"].as_str().unwrap()).unwrap();
    for unknown in [
        id.uuid(),
        id.to_string(),
        "x".to_owned(),
        "550e8400-e29b-41d4-a716-446655440000".to_owned(),
    ] {
        let answer = detail(
            &served.get(&format!("/job-status/{unknown}"), &[("x-api-key", &key)]),
            404,
        );
        assert_eq!(answer, "there is no such task", "{unknown}");
    }

    let response = served.get("/find-email-async", &[("x-api-key", &key)]);
    detail(&response, 405);
    assert!(response.headers.contains(&("allow", "POST".to_owned())));
    let large = json!({"leads": [{"name": "x"}, {"name": "x".repeat(65 * 1024)}]});
    assert!(detail(&post(&mut served, "/find-email-bulk-async", &large), 413).contains("record 1"));
    detail(
        &served.call(
            "POST",
            "/find-email-async",
            &[("x-api-key", &key)],
            &vec![b' '; 4 * 1024 * 1024 + 1],
        ),
        413,
    );

    served.world.faults(|call| {
        if call.subject.starts_with("KEY#") {
            testkit::sim::Fault::FailBefore
        } else {
            testkit::sim::Fault::Proceed
        }
    });
    let response = served.get(&path, &[("x-api-key", &key)]);
    detail(&response, 503);
    assert!(
        response
            .headers
            .iter()
            .any(|(name, _)| *name == "retry-after")
    );
}

#[test]
fn a_task_that_the_credits_do_not_cover_is_402() {
    let world = World::with(Options {
        credits: 1,
        ..Options::default()
    });
    let mut served = ServedApi::new(world, SURFACES, &mapped("any"), |_| {
        (Duration::ZERO, found(json!({"email": "a@x"})))
    });
    let two = json!({"leads": [{}, {}]});
    assert!(detail(&post(&mut served, "/find-email-bulk-async", &two), 402).contains("2 credits"));
    submit(&mut served, "/find-email-async", &json!({"lead": {}}));
    served.settle();
}

#[test]
fn the_same_request_with_one_idempotency_key_is_one_task() {
    let mut served = answering(Answer::NotFound);
    let key = served.key().to_owned();
    let headers = [("x-api-key", key.as_str()), ("idempotency-key", "k-1")];
    let lead = json!({"lead": {"name": "x"}, "webhook_url": HOOK});
    let first = body(&served.post("/find-email-async", &headers, &lead), 200);
    served.settle();
    assert_eq!(
        body(&served.post("/find-email-async", &headers, &lead), 200),
        first
    );
    served.settle();
    assert_eq!(served.world.receiver.exchanges().len(), 1);
    let other = faults(&served.post("/find-email-async", &headers, &json!({"lead": {}})));
    assert_eq!(
        other,
        [(
            "idempotency_mismatch".to_owned(),
            json!(["header", "Idempotency-Key"])
        )]
    );
    let empty = [("x-api-key", key.as_str()), ("idempotency-key", "")];
    assert_eq!(
        faults(&served.post("/find-email-async", &empty, &lead))[0].1,
        json!(["header", "Idempotency-Key"])
    );
}

#[test]
fn a_retry_on_the_native_surface_is_a_task_here() {
    let next_answer = AtomicUsize::new(0);
    let mut served = served(move |_| match next_answer.fetch_add(1, Ordering::Relaxed) {
        0 => (
            Duration::ZERO,
            Answer::Failed {
                code: FailureCode::ProviderError,
                detail: "HTTP 500".to_owned(),
            },
        ),
        _ => (Duration::ZERO, found(json!({"email": "a@x.example"}))),
    });
    let task = submit(
        &mut served,
        "/find-email-async",
        &json!({"lead": {"name": "x"}, "webhook_url": HOOK}),
    );
    served.settle();
    assert_eq!(poll(&mut served, &task)["status"], "failed");
    let bearer = format!("Bearer {}", served.key());
    let again = served.post(
        &format!("/v1/jobs/{task}/retry"),
        &[("authorization", &bearer)],
        &json!({}),
    );
    let again = JobId::parse(body(&again, 202)["id"].as_str().unwrap())
        .unwrap()
        .uuid();
    served.settle();
    let shown = poll(&mut served, &again);
    assert_eq!(
        (&shown["task_type"], &shown["status"]),
        (&json!("find_email"), &json!("completed"))
    );
    assert_eq!(
        shown["result"],
        json!({"name": "x", "email": [["a@x.example", "UNKNOWN", "COMPANY"]]})
    );
    assert_eq!(served.world.receiver.exchanges().len(), 2);
}

#[test]
fn an_erased_task_is_404() {
    let mut served = answering(Answer::NotFound);
    let task = submit(&mut served, "/find-email-async", &json!({"lead": {}}));
    served.settle();
    let (key, bearer) = (served.key().to_owned(), format!("Bearer {}", served.key()));
    assert_eq!(
        served
            .call(
                "DELETE",
                &format!("/v1/jobs/{task}"),
                &[("authorization", &bearer)],
                b""
            )
            .status,
        204
    );
    detail(
        &served.get(&format!("/job-status/{task}"), &[("x-api-key", &key)]),
        404,
    );
    served.world.run_for(MINUTE);
}
