//! Checks the surface against `FullEnrich`'s own description: what it accepts, what it refuses, and
//! the form of every answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use shared::lambda::http::ApiResponse;
use shared::providers::Answer;
use shared::surfaces::SURFACES;
use testkit::harness::{HOOK, Options, ServedApi, World, body, found};
use testkit::schema::Generator;
use testkit::sim::SimEntropy;

use super::{Client, OPERATIONS, john, with};
use crate::contract::{Contract, Schema};

const SERVER: &str = "/api/v2";
/// Requests for each of the two operations; [`spoiled`] makes as many again.
const REQUESTS: usize = 300;
/// Requests to one world: it slows down with the jobs it stores.
const TO_A_WORLD: usize = 10;

fn contract() -> Contract {
    let overlay = include_str!("../schemas/fullenrich.overlay.json");
    Contract::new(include_str!("../schemas/fullenrich.json"), overlay)
}

/// A world whose provider answers with whatever the description calls a person, and addresses of
/// every status.
fn described(seed: u64, credits: i64) -> ServedApi {
    let options = Options {
        seed,
        credits,
        enrichers: 4,
        ..Options::default()
    };
    let count = AtomicU64::new(seed << 32);
    let document: Value = serde_json::from_str(include_str!("../schemas/fullenrich.json")).unwrap();
    ServedApi::new(World::with(options), SURFACES, OPERATIONS, move |_| {
        let seed = count.fetch_add(1, Ordering::Relaxed);
        let person =
            Generator::new(&document, seed).valid(&document["components"]["schemas"]["Person"]);
        let status = [
            "valid",
            "catch_all",
            "risky",
            "invalid",
            "invalid_domain",
            "probable",
            "whatever",
        ];
        let answer = match seed % 5 {
            0 => Answer::NotFound,
            1 => found(
                json!({"emails": ["a@b.example"], "phone": "+1 555 0100", "phone_region": "US",
                    "title": "CEO",
                "full_name": "A B", "linkedin_url": "https://www.linkedin.com/in/x",
                "skills": ["a"], "country": "France"}),
            ),
            _ => found(json!({
                "work_emails": [{"email": "a@b.example",
                "status": status[usize::try_from(seed % 7).unwrap()]}],
                "personal_emails": ["c@d.example"], "phones": [{"number": "+33 1"}],
                "profile": person,
            })),
        };
        (Duration::ZERO, answer)
    })
}

/// The form of each answer, by method, path and status.
struct Forms<'c>(BTreeMap<(String, String, u16), Schema<'c>>);

impl<'c> Forms<'c> {
    fn of(contract: &'c Contract) -> Self {
        let mut forms = BTreeMap::new();
        for (method, path) in contract.operations() {
            for status in [200, 400, 401, 402, 404] {
                if let Some(schema) = contract.response(&method, &path, status) {
                    forms.insert((method.clone(), path.clone(), status), schema);
                }
            }
        }
        Self(forms)
    }

    #[track_caller]
    fn conforms(&self, method: &str, path: &str, status: u16, value: &Value) {
        let form = self.0.get(&(method.to_owned(), path.to_owned(), status));
        form.unwrap_or_else(|| panic!("{method} {path} never answers {status}: {value}"))
            .check(value);
    }

    /// An answer has the form that the description gives to answers of its status.
    #[track_caller]
    fn check(&self, method: &str, path: &str, answer: &ApiResponse) -> Value {
        let value = body(answer, answer.status);
        self.conforms(method, path, answer.status, &value);
        value
    }
}

/// Changes one thing about one contact, for better or worse.
fn spoiled(request: &Value, dice: &SimEntropy) -> Value {
    let mut request = request.clone();
    let contacts = request.get_mut("data").and_then(Value::as_array_mut);
    let Some(contacts) = contacts.filter(|contacts| !contacts.is_empty()) else {
        return request;
    };
    let contact = dice.below(contacts.len());
    let Some(contact) = contacts[contact].as_object_mut() else {
        return request;
    };
    let names: Vec<String> = contact.keys().cloned().collect();
    let any = names
        .get(dice.below(names.len().max(1)))
        .cloned()
        .unwrap_or_else(|| "first_name".to_owned());
    match dice.below(6) {
        0 => drop(contact.shift_remove(&any)),
        1 => drop(contact.insert(any, Value::Null)),
        2 => drop(contact.insert(any, json!(""))),
        3 => drop(contact.insert(any, json!(" \t"))),
        4 => {
            let custom: Map<String, Value> = (0..dice.below(25))
                .map(|n| (format!("k{n}"), json!("v")))
                .collect();
            contact.insert("custom".to_owned(), custom.into());
        }
        _ => {
            let values = [
                json!(7),
                json!(7.5),
                json!(false),
                Value::Null,
                json!([]),
                json!({}),
                json!("ü".repeat(100)),
            ];
            contact.insert(
                "custom".to_owned(),
                json!({"a": "b", "c": values[dice.below(values.len())]}),
            );
        }
    }
    request
}

/// Sends requests made from the schema and spoiled copies, and checks every answer against the
/// description. Returns the numbers of accepted and refused requests.
fn conforms(path: &str, unfinished: u16) -> (usize, usize) {
    let contract = contract();
    let schema: Schema<'_> = contract.request("POST", path);
    let (forms, by_id) = (Forms::of(&contract), format!("{path}/{{enrichment_id}}"));
    let dice = World::dice(11);
    let mut requests = Vec::new();
    let faults = schema.each(7, REQUESTS, |request, _| {
        requests.push(request.clone());
        requests.push(spoiled(request, &dice));
    });
    assert!(faults.len() >= 7, "{faults:?}");
    let (mut taken, mut refused) = (0, 0);
    for (world, requests) in (0..).zip(requests.chunks(TO_A_WORLD)) {
        let mut served = described(world, 100_000);
        let mut ids = Vec::new();
        for request in requests {
            let answer = served.submit(&format!("{SERVER}{path}"), request);
            let allowed = schema.allows(request);
            assert_eq!(
                answer.status == 200,
                allowed,
                "{request}\n{}",
                String::from_utf8_lossy(&answer.body)
            );
            let value = forms.check("POST", path, &answer);
            if !allowed {
                refused += 1;
                continue;
            }
            taken += 1;
            let id = value["enrichment_id"].as_str().unwrap().to_owned();
            let early = served.poll(&format!("{SERVER}{path}/{id}"));
            assert_eq!(early.status, unfinished);
            forms.check("GET", &by_id, &early);
            let forced = served.poll(&format!("{SERVER}{path}/{id}?forceResults=true"));
            assert_eq!(forms.check("GET", &by_id, &forced)["status"], "CREATED");
            ids.push((id, request));
        }
        served.settle();
        for (id, request) in ids {
            let done = served.poll(&format!("{SERVER}{path}/{id}"));
            let value = forms.check("GET", &by_id, &done);
            assert_eq!(
                (done.status, &value["status"], &value["name"]),
                (200, &json!("FINISHED"), &request["name"])
            );
            let (sent, shown) = (
                request["data"].as_array().unwrap(),
                value["data"].as_array().unwrap(),
            );
            assert_eq!(sent.len(), shown.len());
            for (sent, shown) in sent.iter().zip(shown) {
                let custom = sent.get("custom").filter(|custom| !custom.is_null());
                assert_eq!(shown.get("custom"), custom, "{sent}");
                assert!(
                    kept(unfinished == 400, sent, &shown["input"]),
                    "{sent}\n{shown}"
                );
            }
        }
        for event in served.world.receiver.exchanges() {
            forms.conforms("GET", &by_id, 200, &event.json());
        }
    }
    (taken, refused)
}

/// Returns whether the echo has every value that was sent, except options, under any name.
/// `enriched`: of an enrichment, which knows more names than a lookup.
fn kept(enriched: bool, sent: &Value, echo: &Value) -> bool {
    sent.as_object()
        .unwrap()
        .iter()
        .all(|(name, value)| match name.as_str() {
            "custom" => true,
            _ if !enriched => echo.get(name) == Some(value),
            "enrich_fields" => true,
            _ if value.as_str().is_some_and(|text| text.trim().is_empty()) => true,
            "domain" | "company_domain" => value.is_null() || echo.get("company_domain").is_some(),
            "linkedin_url" | "professional_network_url" => {
                value.is_null() || echo.get("professional_network_url").is_some()
            }
            "first_name" | "last_name" | "full_name" | "company_name" => {
                value.is_null() || echo[name] == *value
            }
            _ => echo.get(name) == Some(value),
        })
}

#[test]
fn enrichments_are_taken_refused_and_answered_as_described() {
    let (taken, refused) = conforms("/contact/enrich/bulk", 400);
    println!("{taken} taken, {refused} refused");
    assert!(
        taken + refused == 2 * REQUESTS && taken >= 100 && refused >= 300,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn reverse_lookups_are_taken_refused_and_answered_as_described() {
    let (taken, refused) = conforms("/contact/reverse/email/bulk", 200);
    println!("{taken} taken, {refused} refused");
    assert!(
        taken + refused == 2 * REQUESTS && taken >= 100 && refused >= 300,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn every_other_answer_is_as_described() {
    let contract = contract();
    let forms = Forms::of(&contract);
    let mut served = described(1, 1);
    let bearer = format!("Bearer {}", served.key());
    for (method, path) in contract.operations() {
        let called = format!(
            "{SERVER}{}",
            path.replace("{enrichment_id}", "0197f0b7-1111-7000-8000-000000000000")
        );
        for key in [
            vec![],
            vec![("authorization", "Basic x")],
            vec![("authorization", "Bearer x")],
        ] {
            let answer = served.call(&method, &called, &key, b"{}");
            assert_eq!(answer.status, 401);
            forms.check(&method, &path, &answer);
        }
        let answer = served.call(&method, &called, &[("authorization", &bearer)], b"");
        forms.check(&method, &path, &answer);
    }
    let emails = json!([{"email": "a@b.example"}]);
    for (path, data) in [
        ("/contact/enrich/bulk", json!([john(), john()])),
        ("/contact/reverse/email/bulk", emails),
    ] {
        let sent = with(json!({"name": "short", "data": data}), "webhook_url", HOOK);
        let made = forms.check(
            "POST",
            path,
            &served.submit(&format!("{SERVER}{path}"), &sent),
        );
        served.settle();
        let by_id = format!("{path}/{{enrichment_id}}");
        let answer = served.poll(&format!(
            "{SERVER}{path}/{}",
            made["enrichment_id"].as_str().unwrap()
        ));
        assert_eq!(answer.status, 402);
        forms.check("GET", &by_id, &answer);
        let reported = served.events("").pop().unwrap().json();
        forms.conforms("GET", &by_id, 402, &reported);
    }
}
