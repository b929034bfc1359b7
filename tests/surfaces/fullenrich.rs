//! `FullEnrich`'s surface: what its clients send, poll and receive.

mod described;
mod first;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::domain::delivery::EventType;
use shared::domain::ids::JobId;
use shared::domain::signature::Secret;
use shared::domain::time::Timestamp;
use shared::jobs::{cancel, delete};
use shared::lambda::api::Api;
use shared::lambda::http::{ApiRequest, ApiResponse};
use shared::maintenance::tenants;
use shared::ports::HttpError;
use shared::providers::Answer;
use shared::surfaces::{SURFACES, Signing, Surface, surface};
use shared::webhooks::secrets;
use testkit::harness::{Exchange, HOOK, Options, ServedApi, World, body, found};
use testkit::sim::Reply;

const ENRICH: &str = "/api/v2/contact/enrich/bulk";
const REVERSE: &str = "/api/v2/contact/reverse/email/bulk";
const OPERATIONS: &str = "[operations.fullenrich]\nenrich = \"any\"\nreverse_email = \"any\"";
const MINUTE: Duration = Duration::from_secs(60);

fn fullenrich() -> &'static Surface {
    surface(SURFACES, "fullenrich").unwrap()
}

/// A vendor that takes N seconds over a `slowN` and does not know an `unknown`, by last name or
/// address.
fn answer(input: &Map<String, Value>) -> (Duration, Answer) {
    let name = ["last_name", "email", "linkedin_url"]
        .iter()
        .find_map(|n| input.get(*n)?.as_str())
        .unwrap_or_default();
    let slow = name.split_once("slow").map(|(_, rest)| {
        rest.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    });
    let seconds = slow.and_then(|digits| digits.parse().ok()).unwrap_or(0);
    let answer = if name.contains("unknown") {
        Answer::NotFound
    } else {
        found(contact())
    };
    (Duration::from_secs(seconds), answer)
}

fn contact() -> Value {
    json!({
        "work_emails": [
            {"email": "j.snow@example.com", "status": "risky"},
            {"email": "john.snow@example.com", "status": "valid"},
        ],
        "personal_emails": ["johnsnow@mail.example"],
        "phones": [{"number": "+1 555 0100", "region": "US"}, "+33 6 00 00 00 00"],
        "profile": profile(),
    })
}

/// Numbers and dates as a provider writes them.
fn profile() -> Value {
    json!({
        "full_name": "John Snow",
        "location": {"country_code": "US"},
        "social_profiles": {"professional_network": {"id": 1234, "connection_count": 500}},
        "employment": {"current": {"is_current": true, "start_at": "2022-03-15T00:00:00Z",
        "company": {"headcount": 0}}},
    })
}

fn served_by(operations: &str) -> ServedApi {
    ServedApi::new(World::new(), SURFACES, operations, answer)
}

fn served() -> ServedApi {
    served_by(OPERATIONS)
}

/// With several workers, so that no contact waits for another.
fn busy() -> ServedApi {
    let options = Options {
        enrichers: 4,
        ..Options::default()
    };
    ServedApi::new(World::with(options), SURFACES, OPERATIONS, answer)
}

fn with_credits(credits: i64) -> ServedApi {
    ServedApi::new(
        World::with(Options {
            credits,
            ..Options::default()
        }),
        SURFACES,
        OPERATIONS,
        answer,
    )
}

fn john() -> Value {
    json!({"first_name": "John", "last_name": "Snow", "domain": "example.com"})
}

fn named(last_name: &str) -> Value {
    json!({"first_name": "John", "last_name": last_name, "domain": "example.com"})
}

fn batch(contacts: impl IntoIterator<Item = Value>) -> Value {
    json!({"name": "a batch", "data": contacts.into_iter().collect::<Vec<_>>()})
}

fn with(mut value: Value, name: &str, member: impl Into<Value>) -> Value {
    value[name] = member.into();
    value
}

trait Client {
    fn submit(&mut self, path: &str, body: &Value) -> ApiResponse;
    fn submit_with(&mut self, path: &str, headers: &[(&str, &str)], body: &Value) -> ApiResponse;
    fn enrichment(&mut self, body: &Value) -> String;
    fn lookup(&mut self, body: &Value) -> String;
    fn poll(&mut self, path: &str) -> ApiResponse;
    fn events(&self, query: &str) -> Vec<Exchange>;
}

impl Client for ServedApi {
    fn submit(&mut self, path: &str, body: &Value) -> ApiResponse {
        self.submit_with(path, &[], body)
    }

    fn submit_with(&mut self, path: &str, headers: &[(&str, &str)], body: &Value) -> ApiResponse {
        let bearer = format!("Bearer {}", self.key());
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        self.post(path, &headers, body)
    }

    fn enrichment(&mut self, sent: &Value) -> String {
        id(&self.submit(ENRICH, sent))
    }

    fn lookup(&mut self, sent: &Value) -> String {
        id(&self.submit(REVERSE, sent))
    }

    fn poll(&mut self, path: &str) -> ApiResponse {
        let bearer = format!("Bearer {}", self.key());
        self.get(path, &[("authorization", &bearer)])
    }

    /// Returns the events sent to the URL with this query.
    fn events(&self, query: &str) -> Vec<Exchange> {
        let url = format!("{HOOK}{query}");
        self.world
            .receiver
            .exchanges()
            .into_iter()
            .filter(|e| e.url == url)
            .collect()
    }
}

fn id(response: &ApiResponse) -> String {
    let answer = body(response, 200);
    assert_eq!(answer.as_object().unwrap().len(), 1, "{answer}");
    answer["enrichment_id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn assert_refused(response: &ApiResponse, status: u16, code: &str) {
    let answer = body(response, status);
    assert_eq!(answer["code"], code, "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(!message.is_empty() && message.len() < 1000, "{message}");
    assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
}

#[test]
fn an_enrichment_is_submitted_polled_and_told() {
    let mut served = served();
    let sent = json!({
        "name": "Sales in London",
        "webhook_url": HOOK,
        "data": [{
            "first_name": "John", "last_name": "Snow-slow7", "domain": "example.com",
            "company_name": "Example Inc",
            "linkedin_url": "https://www.linkedin.com/in/demoge/",
            "enrich_fields": ["contact.work_emails", "contact.phones"],
            "custom": {"user_id": "12584"},
        }],
    });
    let id = served.enrichment(&sent);
    assert_eq!(JobId::parse_uuid(&id).unwrap().uuid(), id);
    let path = format!("{ENRICH}/{id}");
    assert_refused(&served.poll(&path), 400, "error.enrichment.in_progress");
    assert_eq!(
        body(&served.poll(&format!("{path}?forceResults=true")), 200)["status"],
        "CREATED"
    );
    served.world.run_for(Duration::from_secs(5));
    assert_refused(&served.poll(&path), 400, "error.enrichment.in_progress");
    assert_refused(
        &served.poll(&format!("{path}?forceResults=false")),
        400,
        "error.enrichment.in_progress",
    );
    let early = body(&served.poll(&format!("{path}?forceResults=true")), 200);
    assert_eq!(
        (&early["status"], &early["cost"]["credits"]),
        (&json!("IN_PROGRESS"), &json!(0))
    );
    assert_eq!(early["data"][0]["contact_info"], json!({}));

    served.settle();
    let polled = served.poll(&path);
    let expected = json!({
        "id": id,
        "name": "Sales in London",
        "status": "FINISHED",
        "data": [{
            "input": {
                "first_name": "John", "last_name": "Snow-slow7", "company_domain": "example.com",
                "company_name": "Example Inc",
                "professional_network_url": "https://www.linkedin.com/in/demoge/",
            },
            "custom": {"user_id": "12584"},
            "contact_info": {
                "most_probable_work_email": {"email": "john.snow@example.com",
                "status": "DELIVERABLE"},
                "most_probable_phone": {"number": "+1 555 0100", "region": "US"},
                "work_emails": [
                    {"email": "j.snow@example.com", "status": "CATCH_ALL"},
                    {"email": "john.snow@example.com", "status": "DELIVERABLE"},
                ],
                "phones": [{"number": "+1 555 0100", "region": "US"},
                {"number": "+33 6 00 00 00 00"}],
            },
            "profile": profile(),
        }],
        "cost": {"credits": 1},
    });
    assert_eq!(body(&polled, 200).to_string(), expected.to_string());
    let events = served.events("");
    assert_eq!(events.len(), 1);
    assert_eq!(
        events[0].body, polled.body,
        "the event's body is the poll's"
    );

    let asked = served.asked.lock().unwrap()[0].clone();
    let given = json!({
        "first_name": "John", "last_name": "Snow-slow7", "domain": "example.com",
        "company_name": "Example Inc",
        "linkedin_url": "https://www.linkedin.com/in/demoge/",
        "enrich_fields": ["contact.work_emails", "contact.phones"],
    });
    assert_eq!(
        Value::Object(asked),
        given,
        "providers are asked by their own names"
    );
    let native = served.native(&id);
    assert_eq!(
        (&native["status"], &native["name"]),
        (&json!("completed"), &json!("Sales in London"))
    );
    assert_eq!(
        served
            .poll(
                &path
                    .to_uppercase()
                    .replace("/API/V2/CONTACT/ENRICH/BULK", ENRICH)
            )
            .body,
        polled.body
    );
}

#[test]
fn a_reverse_lookup_is_submitted_polled_and_told() {
    let mut served = served();
    let sent = json!({
        "name": "Reverse",
        "webhook_url": "http://hook.example/plain",
        "data": [
            {"email": "slow7@mail.example", "custom": {"user_id": "1"}},
            {"email": "unknown@mail.example", "crm": {"id": 7}},
        ],
    });
    let id = served.lookup(&sent);
    let path = format!("{REVERSE}/{id}");
    assert_eq!(body(&served.poll(&path), 200)["status"], "CREATED");
    served.world.run_for(Duration::from_secs(1));
    let early = body(&served.poll(&path), 200);
    assert_eq!(early["status"], "IN_PROGRESS");
    assert_eq!(
        early["data"][0],
        json!({"input": {"email": "slow7@mail.example"}, "custom": {"user_id": "1"}})
    );
    served.settle();
    let polled = served.poll(&path);
    let expected = json!({
        "id": id,
        "name": "Reverse",
        "status": "FINISHED",
        "data": [
            {"input": {"email": "slow7@mail.example"}, "custom": {"user_id": "1"},
                "profile": profile()},
            {"input": {"email": "unknown@mail.example", "crm": {"id": 7}}},
        ],
        "cost": {"credits": 1},
    });
    assert_eq!(body(&polled, 200).to_string(), expected.to_string());
    let exchanges = served.world.receiver.exchanges();
    assert_eq!(
        (exchanges.len(), exchanges[0].url.as_str()),
        (1, "http://hook.example/plain")
    );
    assert_eq!(exchanges[0].body, polled.body);
}

#[test]
fn each_fault_has_its_own_code_and_the_first_is_told() {
    let mut served = served();
    let nameless = json!({"last_name": "Snow", "domain": "example.com"});
    let many = |n: usize| -> Value {
        (0..n)
            .map(|n| (format!("k{n}"), json!("v")))
            .collect::<Map<_, _>>()
            .into()
    };
    let custom = |value: Value| batch([with(john(), "custom", json!({"ok": "yes", "id": value}))]);
    let linkedin = |url: &str| batch([json!({"linkedin_url": url})]);
    for (sent, code) in [
        (json!({}), "error.enrichment.name.empty"),
        (
            json!({"name": "", "data": []}),
            "error.enrichment.name.empty",
        ),
        (
            json!({"name": null, "data": [john()]}),
            "error.enrichment.name.empty",
        ),
        (
            json!({"name": " ", "data": [john()]}),
            "error.enrichment.name.empty",
        ),
        (json!({"name": 5, "data": [john()]}), "error.request.type"),
        (
            json!({"name": "n".repeat(1001), "data": [john()]}),
            "error.enrichment.name.exceeded",
        ),
        (json!({"name": "n"}), "error.enrichment.data.empty"),
        (
            json!({"name": "n", "data": null}),
            "error.enrichment.data.empty",
        ),
        (
            json!({"name": "n", "data": []}),
            "error.enrichment.data.empty",
        ),
        (
            json!({"name": "n", "data": {"0": john()}}),
            "error.request.type",
        ),
        (json!({"name": "n", "data": ["john"]}), "error.request.type"),
        (batch(vec![john(); 101]), "error.enrichment.data.exceeded"),
        (
            with(batch([]), "webhook_url", "ftp://x.example"),
            "error.enrichment.webhook_url",
        ),
        (
            with(batch([john()]), "webhook_url", "hook.example/x"),
            "error.enrichment.webhook_url",
        ),
        (
            with(batch([john()]), "webhook_url", 7),
            "error.enrichment.webhook_url",
        ),
        (
            with(
                batch([john()]),
                "webhook_url",
                format!("{HOOK}{}", "x".repeat(2083)),
            ),
            "error.enrichment.webhook_url",
        ),
        (
            with(
                batch([john()]),
                "webhook_events",
                json!({"contact_finished": "mailto:x"}),
            ),
            "error.enrichment.webhook_url",
        ),
        (
            with(
                batch([john()]),
                "webhook_events",
                json!(["contact_finished"]),
            ),
            "error.request.type",
        ),
        (batch([json!({})]), "error.enrichment.first_name.empty"),
        (batch([nameless]), "error.enrichment.first_name.empty"),
        (
            batch([with(john(), "first_name", "")]),
            "error.enrichment.first_name.empty",
        ),
        (batch([with(john(), "first_name", 5)]), "error.request.type"),
        (
            batch([with(john(), "last_name", Value::Null)]),
            "error.enrichment.last_name.empty",
        ),
        (
            batch([with(john(), "domain", "")]),
            "error.enrichment.domain.empty",
        ),
        (
            batch([with(john(), "domain", "not a domain")]),
            "error.enrichment.domain.invalid",
        ),
        (
            batch([with(john(), "domain", "localhost")]),
            "error.enrichment.domain.invalid",
        ),
        (
            batch([with(john(), "linkedin_url", "https://example.com/in/x")]),
            "error.enrichment.linkedin_url.invalid",
        ),
        (
            linkedin("https://www.linkedin.com/company/example"),
            "error.enrichment.linkedin_url.invalid",
        ),
        (
            linkedin("https://evillinkedin.com/in/x"),
            "error.enrichment.linkedin_url.invalid",
        ),
        (
            linkedin("https://www.linkedin.com/in/"),
            "error.enrichment.linkedin_url.invalid",
        ),
        (
            batch([with(john(), "enrich_fields", json!([]))]),
            "error.enrichment.enrich_fields.empty",
        ),
        (
            batch([with(john(), "enrich_fields", "contact.phones")]),
            "error.request.type",
        ),
        (
            batch([with(
                john(),
                "enrich_fields",
                json!(["contact.phones", "contact.fax"]),
            )]),
            "error.enrichment.enrich_field.value",
        ),
        (
            batch([with(john(), "enrich_fields", json!([5]))]),
            "error.enrichment.enrich_field.value",
        ),
        (custom(json!(12584)), "error.enrichment.custom.value.type"),
        (custom(json!(true)), "error.enrichment.custom.value.type"),
        (custom(Value::Null), "error.enrichment.custom.value.type"),
        (
            custom(json!({"a": "b"})),
            "error.enrichment.custom.value.type",
        ),
        (custom(json!(["a"])), "error.enrichment.custom.value.type"),
        (
            batch([with(john(), "custom", "12584")]),
            "error.request.type",
        ),
        (
            batch([with(john(), "custom", many(21))]),
            "error.enrichment.custom.key.exceeded",
        ),
        (
            custom(json!("ü".repeat(101))),
            "error.enrichment.custom.value.exceeded",
        ),
        // The first contact's last fault comes before the second's first.
        (
            batch([with(john(), "custom", json!({"a": 1})), json!({})]),
            "error.enrichment.custom.value.type",
        ),
    ] {
        assert_refused(&served.submit(ENRICH, &sent), 400, code);
    }
    let email = |email: Value| batch([json!({"email": email})]);
    for (sent, code) in [
        (
            json!({"data": [{"email": "a@b.example"}]}),
            "error.enrichment.name.empty",
        ),
        (batch([]), "error.enrichment.data.empty"),
        (
            batch(vec![json!({"email": "a@b.example"}); 101]),
            "error.enrichment.data.exceeded",
        ),
        (
            with(email(json!("a@b.example")), "webhook_url", "x"),
            "error.enrichment.webhook_url",
        ),
        (batch([json!({})]), "error.reverse.email.empty"),
        (email(json!("")), "error.reverse.email.empty"),
        (email(Value::Null), "error.reverse.email.empty"),
        (email(json!(5)), "error.reverse.email.invalid"),
        (email(json!("a@b")), "error.reverse.email.invalid"),
        (email(json!("@b.example")), "error.reverse.email.invalid"),
        (email(json!("a b@c.example")), "error.reverse.email.invalid"),
        (email(json!("a@b@c.example")), "error.reverse.email.invalid"),
        (
            batch([json!({"email": "a@b.example", "custom": many(11)})]),
            "error.enrichment.custom.key.exceeded",
        ),
        (
            batch([json!({"email": "a@b.example", "custom": {"a": 1}})]),
            "error.enrichment.custom.value.type",
        ),
    ] {
        assert_refused(&served.submit(REVERSE, &sent), 400, code);
    }
    let bearer = format!("Bearer {}", served.key());
    for text in ["", "[]", "{", r#"{"name": "\ud8"}"#] {
        let response = served.call(
            "POST",
            ENRICH,
            &[("authorization", &bearer)],
            text.as_bytes(),
        );
        assert_refused(&response, 400, "error.request.malformed");
    }
    let blocked = with(batch([john()]), "webhook_url", "https://inside.example/x");
    served
        .world
        .sim
        .http
        .refuse("https://inside.example", HttpError::Blocked);
    assert_refused(
        &served.submit(ENRICH, &blocked),
        400,
        "error.enrichment.webhook_url",
    );
    let large = batch([with(john(), "notes", "x".repeat(70_000))]);
    assert_refused(
        &served.submit(ENRICH, &large),
        413,
        "error.request.too_large",
    );
    assert!(
        served
            .world
            .sim
            .store
            .items()
            .iter()
            .all(|item| item.key.sk != "META"),
        "nothing was accepted"
    );
}

#[test]
fn what_is_at_the_edge_is_taken() {
    let mut served = served();
    let custom: Map<String, Value> = (0..20)
        .map(|n| (format!("k{n}"), json!("ü".repeat(100))))
        .collect();
    let mut contacts = vec![john(); 100];
    contacts[0] = with(john(), "custom", custom.clone());
    let sent = with(batch(contacts), "name", "n".repeat(1000));
    let id = served.enrichment(&sent);
    let ten: Map<String, Value> = custom.into_iter().take(10).collect();
    let lookup = served.lookup(&batch(vec![
        json!({"email": "a@b.example", "custom": ten});
        100
    ]));
    served.settle();
    let shown = body(&served.poll(&format!("{ENRICH}/{id}")), 200);
    assert_eq!(
        (
            shown["data"].as_array().unwrap().len(),
            &shown["cost"]["credits"]
        ),
        (100, &json!(100))
    );
    assert_eq!(shown["data"][0]["custom"], sent["data"][0]["custom"]);
    let shown = body(&served.poll(&format!("{REVERSE}/{lookup}")), 200);
    assert_eq!(shown["data"].as_array().unwrap().len(), 100);
}

#[test]
fn contacts_are_taken_in_every_form_of_the_document() {
    let mut served = served();
    let url = "https://www.linkedin.com/in/ACwAACLLwaIBKi655883b";
    let cases = [
        (
            json!({"linkedin_url": url}),
            json!({"professional_network_url": url}),
        ),
        (
            json!({"professional_network_url": "linkedin.com/in/x"}),
            json!({"professional_network_url": "linkedin.com/in/x"}),
        ),
        (
            json!({"linkedin_url": "https://www.linkedin.com/sales/lead/AbC,NAME"}),
            json!({"professional_network_url": "https://www.linkedin.com/sales/lead/AbC,NAME"}),
        ),
        (
            json!({"first_name": "A", "last_name": "B", "company_name": "C", "domain": null,
                "linkedin_url": ""}),
            json!({"first_name": "A", "last_name": "B", "company_name": "C"}),
        ),
        (
            json!({"domain": "MÜNCHEN.example", "company_domain": "other.example",
                "last_name": "B", "first_name": "A"}),
            json!({"company_domain": "MÜNCHEN.example", "last_name": "B", "first_name": "A"}),
        ),
        (
            json!({"first_name": "A", "last_name": "B", "domain": "https://www.example.com/about",
                "crm": {"id": [7, null]}}),
            json!({"first_name": "A", "last_name": "B",
                "company_domain": "https://www.example.com/about", "crm": {"id": [7, null]}}),
        ),
    ];
    let id = served.enrichment(&batch(cases.iter().map(|(sent, _)| sent.clone())));
    served.settle();
    let shown = body(&served.poll(&format!("{ENRICH}/{id}")), 200);
    for (at, (sent, echoed)) in cases.iter().enumerate() {
        let contact = &shown["data"][at];
        assert_eq!(contact["input"].to_string(), echoed.to_string(), "{sent}");
        assert!(
            contact.get("custom").is_none(),
            "what was not sent is not there: {contact}"
        );
    }
}

#[test]
fn only_what_was_asked_for_is_shown_and_by_default_everything() {
    let mut served = served();
    let fields = |fields: Value| with(john(), "enrich_fields", fields);
    let id = served.enrichment(&batch([
        john(),
        fields(json!(["contact.work_emails"])),
        fields(json!([
            "contact.personal_emails",
            "contact.personal_emails"
        ])),
        fields(json!(["contact.phones"])),
        named("unknown"),
    ]));
    served.settle();
    let shown = body(&served.poll(&format!("{ENRICH}/{id}")), 200);
    let names = |at: usize| {
        shown["data"][at]["contact_info"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let all = [
        "most_probable_work_email",
        "most_probable_personal_email",
        "most_probable_phone",
        "work_emails",
        "personal_emails",
        "phones",
    ];
    assert_eq!(names(0), all);
    assert_eq!(names(1), ["most_probable_work_email", "work_emails"]);
    assert_eq!(
        names(2),
        ["most_probable_personal_email", "personal_emails"]
    );
    assert_eq!(
        shown["data"][2]["contact_info"]["personal_emails"],
        json!([{"email": "johnsnow@mail.example"}])
    );
    assert_eq!(names(3), ["most_probable_phone", "phones"]);
    assert_eq!(names(4), Vec::<String>::new());
    assert!(shown["data"][4].get("profile").is_none());
    assert_eq!(
        shown["cost"]["credits"], 4,
        "what is not found costs nothing"
    );
}

#[test]
fn custom_strings_come_back_as_they_were() {
    let mut served = served();
    let custom = json!({
        "": "", "empty": "", "number": "007.50", "null": "null", "__proto__": "x",
        "a b": " padded ",
        "quoted": "\"\\/\u{8}\u{c}\n\r\t", "control": "\u{0}\u{1f}\u{7f}",
        "lines": "\u{2028}\u{2029}\u{feff}",
        "script": "السلام 你好 e\u{301} \u{202e}", "emoji": "👩‍👩‍👧‍👦🏳️‍🌈",
        "last": "\u{10ffff}\u{fffd}",
    });
    let hooked = with(
        batch([with(john(), "custom", custom.clone())]),
        "webhook_url",
        HOOK,
    );
    let hooked = with(
        hooked,
        "webhook_events",
        json!({"contact_finished": format!("{HOOK}?contact")}),
    );
    let id = served.enrichment(&hooked);
    let lookup = served.lookup(&batch([
        json!({"email": "a@b.example", "custom": {"x": custom["control"]}}),
    ]));
    served.settle();
    let shown = body(&served.poll(&format!("{ENRICH}/{id}")), 200);
    assert_eq!(shown["data"][0]["custom"].to_string(), custom.to_string());
    for event in [&served.events("")[0], &served.events("?contact")[0]] {
        assert_eq!(
            event.json()["data"][0]["custom"].to_string(),
            custom.to_string()
        );
    }
    let shown = body(&served.poll(&format!("{REVERSE}/{lookup}")), 200);
    assert_eq!(shown["data"][0]["custom"]["x"], custom["control"]);
}

#[test]
fn an_escaped_custom_string_is_the_string_it_stands_for() {
    let mut served = served();
    let bearer = format!("Bearer {}", served.key());
    let text = r#"{"name": "n", "data": [{"linkedin_url": "linkedin.com/in/x", "custom": {"a": "\u0041\u00fc\ud83d\ude00\/"}}]}"#;
    let id = id(&served.call(
        "POST",
        ENRICH,
        &[("authorization", &bearer)],
        text.as_bytes(),
    ));
    served.settle();
    let shown = body(&served.poll(&format!("{ENRICH}/{id}")), 200);
    assert_eq!(shown["data"][0]["custom"]["a"], "Aü😀/");
}

#[test]
fn the_key_is_asked_for_in_the_documents_words() {
    let mut served = served();
    let key = served.key().to_owned();
    for (header, code) in [
        (None, "error.authorization.not_set"),
        (Some(String::new()), "error.authorization.not_set"),
        (Some(key.clone()), "error.authorization.not_bearer"),
        (
            Some(format!("Basic {key}")),
            "error.authorization.not_bearer",
        ),
        (Some("Bearer".to_owned()), "error.api.key"),
        (Some(format!("Bearer x{key}")), "error.api.key"),
    ] {
        for (method, path) in [
            ("POST", ENRICH),
            ("POST", REVERSE),
            ("GET", "/api/v2/account/keys/verify"),
            ("GET", "/api/v2/account/credits"),
            ("GET", "/api/v2/contact/enrich/bulk/x"),
            ("GET", "/api/v2/contact/reverse/email/bulk/x"),
        ] {
            let headers: Vec<(&str, &str)> = header
                .iter()
                .map(|value| ("authorization", value.as_str()))
                .collect();
            assert_refused(&served.call(method, path, &headers, b""), 401, code);
        }
    }
    let other = served.call(
        "GET",
        "/api/v2/account/credits",
        &[("x-api-key", &key)],
        b"",
    );
    assert_refused(&other, 401, "error.authorization.not_set");
    let spelled = served.call(
        "GET",
        "/api/v2/account/credits",
        &[("authorization", &format!("bearer   {key}"))],
        b"",
    );
    assert_eq!(body(&spelled, 200), json!({"balance": 100_000}));
    let wrong = served.call(
        "GET",
        ENRICH,
        &[("authorization", &format!("Bearer {key}"))],
        b"",
    );
    assert_refused(&wrong, 405, "error.request.method");
}

#[test]
fn a_key_that_may_only_read_is_told_so() {
    let mut served = served();
    let tenant = served.world.tenant.id.clone();
    let scopes = [shared::domain::tenant::Scope::Read].into();
    let key = served
        .world
        .call(async |ports| tenants::create_key(ports, &tenant, &scopes).await)
        .unwrap();
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    assert_refused(
        &served.post(ENRICH, &headers, &batch([john()])),
        403,
        "error.api.key.scope",
    );
    assert_eq!(
        served.get("/api/v2/account/keys/verify", &headers).status,
        200
    );
}

#[test]
fn the_account_has_a_stable_id_of_its_own_and_a_balance() {
    let mut served = served();
    let shown = body(&served.poll("/api/v2/account/keys/verify"), 200);
    let workspace = shown["workspace_id"].as_str().unwrap().to_owned();
    assert_eq!(
        (
            shown.as_object().unwrap().len(),
            workspace.len(),
            &workspace[14..15]
        ),
        (1, 36, "5")
    );
    assert_eq!(
        body(&served.poll("/api/v2/account/keys/verify"), 200),
        shown
    );
    let other = served.world.tenant("other");
    let bearer = format!("Bearer {}", other.api_key);
    let others = body(
        &served.get("/api/v2/account/keys/verify", &[("authorization", &bearer)]),
        200,
    );
    assert_ne!(others["workspace_id"], workspace);
    served.enrichment(&batch([john(), named("unknown")]));
    served.settle();
    assert_eq!(
        body(&served.poll("/api/v2/account/credits"), 200),
        json!({"balance": 99_999})
    );
}

#[test]
fn an_id_is_known_only_where_it_was_given() {
    let mut served = served();
    let (enrichment, lookup) = (
        served.enrichment(&batch([john()])),
        served.lookup(&batch([json!({"email": "a@b.example"})])),
    );
    let bearer = format!("Bearer {}", served.key());
    let native = json!({"type": "any", "records": [{"input": {"domain": "a.example"}}]});
    let native = body(
        &served.post("/v1/jobs", &[("authorization", &bearer)], &native),
        202,
    );
    let native = JobId::parse(native["id"].as_str().unwrap()).unwrap();
    let other = served.world.tenant("other");
    for _ in 0..2 {
        for unknown in [
            lookup.clone(),
            native.uuid(),
            native.to_string(),
            native.hex(),
            "x".to_owned(),
            "%00".to_owned(),
        ] {
            for query in ["", "?forceResults=true"] {
                let answer = served.poll(&format!("{ENRICH}/{unknown}{query}"));
                assert_refused(&answer, 404, "error.enrichment.not_found");
            }
        }
        for unknown in [enrichment.clone(), native.uuid(), "x".to_owned()] {
            assert_refused(
                &served.poll(&format!("{REVERSE}/{unknown}")),
                404,
                "error.reverse.email.not_found",
            );
        }
        let bearer = format!("Bearer {}", other.api_key);
        let headers = [("authorization", bearer.as_str())];
        let theirs = served.get(&format!("{ENRICH}/{enrichment}"), &headers);
        assert_refused(&theirs, 404, "error.enrichment.not_found");
        served.settle();
    }
    for id in [&enrichment, &lookup] {
        assert_eq!(served.native(id)["status"], "completed");
    }
    let (tenant, job) = (
        served.world.tenant.id.clone(),
        JobId::parse_uuid(&enrichment).unwrap(),
    );
    served
        .world
        .call(async |ports| delete::delete(ports, &tenant, &job, 2 * MINUTE).await)
        .unwrap();
    assert_refused(
        &served.poll(&format!("{ENRICH}/{enrichment}")),
        404,
        "error.enrichment.not_found",
    );
}

#[test]
fn each_contact_is_told_as_soon_as_it_is_done() {
    let mut served = busy();
    let hooked = with(
        batch([named("slow30"), john(), named("unknown-slow60")]),
        "webhook_url",
        HOOK,
    );
    let hooked = with(
        hooked,
        "webhook_events",
        json!({"contact_finished": format!("{HOOK}?contact")}),
    );
    let id = served.enrichment(&hooked);
    let path = format!("{ENRICH}/{id}");
    let mut costs = 0;
    for (seconds, reported) in [(2, 1), (35, 2)] {
        let wanted = reported;
        assert!(
            served
                .world
                .run_until(Duration::from_secs(seconds), |world| world
                    .receiver
                    .exchanges()
                    .len()
                    >= wanted)
        );
        assert_refused(&served.poll(&path), 400, "error.enrichment.in_progress");
        let events = served.events("?contact");
        assert_eq!((events.len(), served.events("").len()), (reported, 0));
        let event = events[reported - 1].json();
        assert_eq!(
            (&event["id"], &event["name"], &event["status"]),
            (&json!(id), &json!("a batch"), &json!("IN_PROGRESS"))
        );
        assert_eq!(
            (event["data"].as_array().unwrap().len(), &event["cost"]),
            (1, &json!({"credits": 1}))
        );
        costs += event["cost"]["credits"].as_u64().unwrap();
    }
    served.settle();
    let polled = served.poll(&path);
    let finished = body(&polled, 200);
    let (contacts, batches) = (served.events("?contact"), served.events(""));
    assert_eq!((contacts.len(), batches.len()), (3, 1));
    assert_eq!(batches[0].body, polled.body);
    let last = contacts[2].json();
    assert_eq!(
        (&last["cost"]["credits"], &last["data"][0]["contact_info"]),
        (&json!(0), &json!({}))
    );
    costs += last["cost"]["credits"].as_u64().unwrap();
    assert_eq!(finished["cost"]["credits"], costs);
    for event in &contacts {
        let contact = &event.json()["data"][0];
        assert!(
            finished["data"].as_array().unwrap().contains(contact),
            "{contact}"
        );
    }
    let ids: std::collections::BTreeSet<&str> =
        contacts.iter().chain(&batches).map(Exchange::id).collect();
    assert_eq!(ids.len(), 4, "each event has an id of its own");
}

#[test]
fn contacts_of_a_reverse_lookup_are_told_too() {
    let mut served = busy();
    let sent = batch([
        json!({"email": "slow40@a.example"}),
        json!({"email": "b@a.example"}),
    ]);
    let id = served.lookup(&with(
        sent,
        "webhook_events",
        json!({"contact_finished": format!("{HOOK}?contact")}),
    ));
    assert!(served.world.run_until(Duration::from_secs(5), |world| {
        !world.receiver.exchanges().is_empty()
    }));
    assert_eq!(
        body(&served.poll(&format!("{REVERSE}/{id}")), 200)["status"],
        "IN_PROGRESS"
    );
    served.settle();
    let events = served.events("?contact");
    let first = json!({"input": {"email": "b@a.example"}, "profile": profile()});
    assert_eq!(
        (events.len(), &events[0].json()["data"]),
        (2, &json!([first]))
    );
    assert_eq!(
        served.world.receiver.exchanges().len(),
        2,
        "no event was asked for the batch"
    );
}

#[test]
fn what_is_there_so_far_was_hidden_by_the_slowest_contact() {
    let mut served = served();
    let id = served.enrichment(&batch([
        named("slow90"),
        john(),
        named("slow20"),
        named("unknown"),
    ]));
    let path = format!("{ENRICH}/{id}?forceResults=true");
    served.world.run_for(Duration::from_secs(10));
    let early = body(&served.poll(&path), 200);
    let known = |shown: &Value| -> Vec<bool> {
        shown["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["contact_info"].get("phones").is_some())
            .collect()
    };
    assert_eq!(
        (&early["status"], &early["cost"]["credits"]),
        (&json!("IN_PROGRESS"), &json!(1))
    );
    assert_eq!(known(&early), [false, true, false, false]);
    served.world.run_for(Duration::from_secs(20));
    let later = body(&served.poll(&path), 200);
    assert_eq!(
        (known(&later), &later["cost"]["credits"]),
        (vec![false, true, true, false], &json!(2))
    );
    served.settle();
    let done = body(&served.poll(&path), 200);
    assert_eq!(
        (known(&done), &done["cost"]["credits"]),
        (vec![true, true, true, false], &json!(3))
    );
    assert_eq!(
        served.asked.lock().unwrap().len(),
        4,
        "no provider is asked twice"
    );
}

#[test]
fn a_killed_run_bought_again_what_it_had_had_for_a_while() {
    let mut served = served();
    let id = served.enrichment(&batch([john(), named("slow90")]));
    served.world.run_for(Duration::from_secs(10));
    served.world.kill_enrichers();
    served.settle();
    let asked: Vec<Value> = served
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|input| input["last_name"].clone())
        .collect();
    assert_eq!(asked, ["Snow", "slow90", "slow90"]);
    assert_eq!(
        body(&served.poll(&format!("{ENRICH}/{id}")), 200)["cost"]["credits"],
        2
    );
}

#[test]
fn a_batch_without_credits_for_all_is_accepted_and_says_so() {
    let mut served = with_credits(2);
    let hooked = with(
        batch([john(), named("slow10"), john()]),
        "webhook_url",
        HOOK,
    );
    let id = served.enrichment(&hooked);
    let path = format!("{ENRICH}/{id}");
    served.world.run_for(Duration::from_secs(5));
    assert_refused(&served.poll(&path), 400, "error.enrichment.in_progress");
    assert_eq!(
        body(&served.poll(&format!("{path}?forceResults=true")), 200)["status"],
        "IN_PROGRESS"
    );
    served.settle();
    let polled = served.poll(&path);
    let shown = body(&polled, 402);
    assert_eq!(
        (&shown["status"], &shown["cost"]["credits"]),
        (&json!("CREDITS_INSUFFICIENT"), &json!(2))
    );
    assert_eq!(
        shown["data"][2],
        json!({"input": shown["data"][0]["input"], "contact_info": {}})
    );
    assert_eq!(
        served
            .events("")
            .iter()
            .map(|e| &e.body)
            .collect::<Vec<_>>(),
        [&polled.body]
    );
    assert_eq!(
        body(&served.poll("/api/v2/account/credits"), 200),
        json!({"balance": 0})
    );

    let sent = with(
        batch([json!({"email": "a@b.example"})]),
        "webhook_url",
        format!("{HOOK}?broke"),
    );
    let lookup = served.lookup(&sent);
    served.settle();
    let polled = served.poll(&format!("{REVERSE}/{lookup}"));
    let shown = body(&polled, 402);
    assert_eq!(
        (&shown["status"], &shown["cost"]["credits"]),
        (&json!("CREDITS_INSUFFICIENT"), &json!(0))
    );
    assert_eq!(shown["data"], json!([{"input": {"email": "a@b.example"}}]));
    assert_eq!(
        served
            .events("?broke")
            .iter()
            .map(|e| &e.body)
            .collect::<Vec<_>>(),
        [&polled.body]
    );
    assert_eq!(served.native(&lookup)["status"], "failed");
}

#[test]
fn batches_that_race_for_the_last_credits_share_them() {
    for seed in 0..20 {
        let options = Options {
            seed,
            credits: 3,
            enrichers: 2,
            ..Options::default()
        };
        let mut served = ServedApi::new(World::with(options), SURFACES, OPERATIONS, answer);
        let sent = batch([john(), john()]).to_string().into_bytes();
        let answers: Arc<Mutex<Vec<ApiResponse>>> = Arc::default();
        let api = Arc::new(Api {
            ports: served.world.ports.clone(),
            catalog: served.world.registry.catalog().clone(),
            retention: 600 * MINUTE,
            enrich_timeout: served.world.options.enrich_timeout,
            max_wait: shared::lambda::config::MAX_WAIT,
        });
        for n in 0..2 {
            let request = ApiRequest {
                method: "POST".to_owned(),
                path: ENRICH.to_owned(),
                query: Vec::new(),
                headers: vec![(
                    "authorization".to_owned(),
                    format!("Bearer {}", served.key()),
                )],
                body: sent.clone(),
                request_id: format!("req-{n}"),
            };
            let (api, answers) = (api.clone(), answers.clone());
            served.world.spawn(&format!("client {n}"), async move {
                let answer = api.write(&request).await;
                answers.lock().unwrap().push(answer);
            });
        }
        assert_eq!(served.world.quiet_within(60 * MINUTE), Ok(()));
        let answers = answers.lock().unwrap().clone();
        let mut ends: Vec<(u16, u64)> = answers
            .iter()
            .map(|answer| {
                let polled = served.poll(&format!("{ENRICH}/{}", id(answer)));
                (
                    polled.status,
                    body(&polled, polled.status)["cost"]["credits"]
                        .as_u64()
                        .unwrap(),
                )
            })
            .collect();
        ends.sort_unstable();
        assert_eq!(ends, [(200, 2), (402, 1)], "seed {seed}");
        assert_eq!(
            served.world.credits(&served.world.tenant.id),
            (0, 3, 0),
            "seed {seed}"
        );
    }
}

#[test]
fn a_canceled_batch_shows_what_it_has() {
    let mut served = served();
    let slow = (0..40).map(|n| named(&format!("slow20-{n}")));
    let id = served.enrichment(&with(
        batch([john()].into_iter().chain(slow)),
        "webhook_url",
        HOOK,
    ));
    let lookup = served.lookup(&with(
        batch([json!({"email": "a@b.example"})]),
        "webhook_url",
        format!("{HOOK}?lookup"),
    ));
    served.world.run_for(Duration::from_secs(10));
    let bearer = format!("Bearer {}", served.key());
    for id in [&id, &lookup] {
        let job = JobId::parse_uuid(id).unwrap();
        let tenant = served.world.tenant.id.clone();
        if id == &lookup {
            // It has not begun: the enrichment has the only worker.
            served
                .world
                .call(async |ports| cancel::cancel(ports, &tenant, &job, 2 * MINUTE).await)
                .unwrap();
        } else {
            let answer = served.post(
                &format!("/v1/jobs/{id}/cancel"),
                &[("authorization", &bearer)],
                &json!({}),
            );
            assert_eq!(body(&answer, 202)["id"], job.to_string());
        }
    }
    assert_refused(
        &served.poll(&format!("{ENRICH}/{id}")),
        400,
        "error.enrichment.in_progress",
    );
    assert_eq!(
        body(&served.poll(&format!("{REVERSE}/{lookup}")), 200)["status"],
        "IN_PROGRESS"
    );
    served.settle();
    for (path, query) in [
        (format!("{ENRICH}/{id}"), ""),
        (format!("{REVERSE}/{lookup}"), "?lookup"),
    ] {
        let polled = served.poll(&path);
        let shown = body(&polled, 200);
        assert_eq!(shown["status"], "CANCELED");
        assert_eq!(
            served
                .events(query)
                .iter()
                .map(|e| &e.body)
                .collect::<Vec<_>>(),
            [&polled.body]
        );
    }
    let shown = body(&served.poll(&format!("{ENRICH}/{id}")), 200);
    let known = shown["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["contact_info"].get("phones").is_some())
        .count();
    assert!((1..41).contains(&known), "{known}");
    assert_eq!(shown["cost"]["credits"], known);
}

#[test]
fn an_expired_batch_counts_as_canceled() {
    let mut served = served();
    let id = served.enrichment(&with(batch([john()]), "webhook_url", HOOK));
    served.world.options.enrichers = 0;
    served.world.run_for(Duration::from_secs(25 * 3600));
    served.world.options.enrichers = 1;
    served.settle();
    assert_eq!(served.native(&id)["status"], "expired");
    let polled = served.poll(&format!("{ENRICH}/{id}"));
    assert_eq!(body(&polled, 200)["status"], "CANCELED");
    assert_eq!(served.events("")[0].body, polled.body);
}

#[test]
fn a_type_without_a_provider_finds_nothing_and_finishes() {
    let mut served = served_by("[operations.fullenrich]\nenrich = \"bare\"");
    let events = json!({"contact_finished": format!("{HOOK}?contact")});
    let sent = with(
        with(batch([john(), john()]), "webhook_url", HOOK),
        "webhook_events",
        events,
    );
    let id = served.enrichment(&sent);
    // Nothing is mapped to the other operation at all.
    let lookup = served.lookup(&batch([json!({"email": "a@b.example"})]));
    served.settle();
    let polled = served.poll(&format!("{ENRICH}/{id}"));
    let shown = body(&polled, 200);
    assert_eq!(
        (&shown["status"], &shown["cost"]),
        (&json!("FINISHED"), &json!({"credits": 0}))
    );
    for contact in shown["data"].as_array().unwrap() {
        assert_eq!(contact["contact_info"], json!({}));
    }
    assert_eq!(
        (served.events("?contact").len(), &served.events("")[0].body),
        (2, &polled.body)
    );
    assert_eq!(
        body(&served.poll(&format!("{REVERSE}/{lookup}")), 200)["status"],
        "FINISHED"
    );
    let native = served.native(&id);
    assert_eq!(
        (&native["status"], &native["error"]),
        (
            &json!("failed"),
            &json!("add a provider for it to providers.toml")
        )
    );
    assert_eq!(
        served.native(&lookup)["error"],
        "no type answers reverse_email: name one in [operations.fullenrich] of providers.toml"
    );
}

#[test]
fn the_same_request_twice_under_one_key_is_one_batch() {
    let mut served = served();
    let sent = batch([john()]);
    let key = [("idempotency-key", "k1")];
    let first = id(&served.submit_with(ENRICH, &key, &sent));
    assert_eq!(id(&served.submit_with(ENRICH, &key, &sent)), first);
    served.settle();
    assert_eq!(
        id(&served.submit_with(ENRICH, &key, &sent)),
        first,
        "an ended batch too"
    );
    let other = served.submit_with(ENRICH, &key, &batch([named("other")]));
    assert_refused(&other, 422, "error.idempotency_key.reused");
    assert_ne!(
        served.enrichment(&sent),
        first,
        "without a key each request is its own batch"
    );
    served.settle();
    assert_eq!(
        body(&served.poll("/api/v2/account/credits"), 200),
        json!({"balance": 99_998})
    );
}

#[test]
fn a_failed_delivery_is_tried_every_minute_five_times() {
    let mut served = served();
    // Every kind of failure counts alike, and no answer changes the schedule.
    let asks = |status| Reply::status(status).header("retry-after", "600");
    served.world.receiver.replies([
        Reply::status(500).after(Duration::from_secs(7)),
        Reply::status(302).header("location", HOOK),
        asks(429),
        Reply::status(410),
        Reply::status(200).after(Duration::from_secs(3600)),
        Reply::error(HttpError::Tls("expired".to_owned())),
    ]);
    let id = served.enrichment(&with(batch([john()]), "webhook_url", HOOK));
    served.settle();
    let events = served.events("");
    assert_eq!(events.len(), 6);
    for pair in events.windows(2) {
        assert_eq!(
            pair[1].at.since(pair[0].until),
            MINUTE,
            "from the end of the failed attempt"
        );
        assert_eq!((pair[0].id(), &pair[0].body), (pair[1].id(), &pair[1].body));
    }
    assert_eq!(
        events[4].until.since(events[4].at),
        Duration::from_secs(20),
        "the time-out"
    );
    let bearer = format!("Bearer {}", served.key());
    let log = body(
        &served.get(
            &format!("/v1/jobs/{id}/deliveries"),
            &[("authorization", &bearer)],
        ),
        200,
    );
    let delivery = &log["deliveries"][0];
    assert_eq!(
        (&delivery["state"], &delivery["reason"]),
        (&json!("exhausted"), &json!("attempts_used_up"))
    );
    assert_eq!(
        body(&served.poll(&format!("{ENRICH}/{id}")), 200)["status"],
        "FINISHED"
    );

    // Neither 410 nor 429 has closed the endpoint to the next batch, and a replay goes out under
    // the same id.
    served.enrichment(&with(batch([john()]), "webhook_url", HOOK));
    served.settle();
    assert_eq!(served.events("").len(), 7);
    let replay = served.post(
        &format!("/v1/deliveries/{id}/replay"),
        &[("authorization", &bearer)],
        &json!({}),
    );
    assert_eq!(replay.status, 202);
    served.settle();
    let events = served.events("");
    assert_eq!(
        (events.len(), events[7].id(), &events[7].body),
        (8, events[0].id(), &events[0].body)
    );
}

#[test]
fn an_event_of_a_contact_is_tried_on_the_same_schedule() {
    let mut served = served();
    served.world.receiver.from_then_on(Reply::status(500));
    let sent = with(
        batch([john()]),
        "webhook_events",
        json!({"contact_finished": HOOK}),
    );
    served.enrichment(&sent);
    served.settle();
    let events = served.events("");
    assert_eq!(events.len(), 6);
    assert!(
        events
            .windows(2)
            .all(|pair| pair[1].at.since(pair[0].until) == MINUTE && pair[0].body == pair[1].body)
    );
}

fn signature(secret: &Secret, event: &Exchange) -> String {
    let signing = Signing {
        secrets: &[secret],
        own: &[],
        id: event.id(),
        event: EventType::JobCompleted,
        attempt: 1,
        at: Timestamp(0),
        body: &event.body,
    };
    let headers = (fullenrich().sign)(&signing);
    headers
        .into_iter()
        .find(|(name, _)| name == "x-signature-sha1")
        .map(|(_, value)| value)
        .unwrap()
}

#[test]
fn while_a_secret_is_replaced_the_old_one_signs() {
    let mut served = served();
    let tenant = served.world.tenant.clone();
    let new = served
        .world
        .call(async |ports| secrets::rotate(ports, &tenant.id, 60 * MINUTE, None).await)
        .unwrap()
        .secret;
    let sent = with(batch([john()]), "webhook_url", HOOK);
    served.enrichment(&sent);
    served.settle();
    served.world.run_for(120 * MINUTE);
    served.world.tenant.secret = new.clone();
    served.enrichment(&sent);
    served.settle();
    let events = served.events("");
    assert_eq!(
        events[0].header("x-signature-sha1"),
        signature(&tenant.secret, &events[0])
    );
    assert_eq!(
        events[1].header("x-signature-sha1"),
        signature(&new, &events[1])
    );
    for (event, signatures) in events.iter().zip([2, 1]) {
        assert_eq!(event.header("content-type"), "application/json");
        assert_eq!(
            event.header("webhook-signature").split(' ').count(),
            signatures,
            "Standard Webhooks goes along"
        );
        assert!(!event.header("webhook-timestamp").is_empty());
    }
}

#[test]
fn results_past_a_response_are_said_to_be_elsewhere() {
    let large: fn(&Map<String, Value>) -> (Duration, Answer) = |_| {
        (
            Duration::ZERO,
            found(json!({"profile": {"description": "x".repeat(200_000)}})),
        )
    };
    let mut served = ServedApi::new(World::new(), SURFACES, OPERATIONS, large);
    let id = served.enrichment(&with(batch(vec![john(); 30]), "webhook_url", HOOK));
    served.settle();
    let job = JobId::parse_uuid(&id).unwrap();
    let pages = format!("/v1/jobs/{job}/results");
    let polled = served.poll(&format!("{ENRICH}/{id}"));
    assert_refused(&polled, 413, "error.results.too_large");
    assert!(
        body(&polled, 413)["message"]
            .as_str()
            .unwrap()
            .contains(&pages)
    );
    let reported = served.events("")[0].json();
    assert_eq!(
        (&reported["id"], &reported["status"]),
        (&json!(id), &json!("FINISHED"))
    );
    assert_eq!(
        (&reported["cost"]["credits"], &reported["code"]),
        (&json!(30), &json!("error.results.too_large"))
    );
    assert!(
        reported["message"].as_str().unwrap().contains(&pages) && reported.get("data").is_none()
    );
}
