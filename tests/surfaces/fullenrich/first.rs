//! Version 1 of the API, and what both versions take beyond the description.

use std::time::Duration;

use serde_json::{Value, json};
use shared::domain::ids::JobId;
use shared::lambda::http::ApiResponse;
use shared::maintenance::tenants;
use shared::schema::{get_s, meta_key};
use shared::surfaces::{SURFACES, parse_setting, parse_unset};
use testkit::harness::{HOOK, ServedApi, Version, World, body, found};

use super::{
    Client, ENRICH, OPERATIONS, REVERSE, assert_refused, batch, id, john, named, profile, served,
    served_by, with, with_credits,
};

const FIRST_ENRICH: &str = "/api/v1/contact/enrich/bulk";
const FIRST_REVERSE: &str = "/api/v1/contact/reverse/email/bulk";

fn contact(lastname: &str) -> Value {
    json!({"firstname": "John", "lastname": lastname, "domain": "example.com"})
}

fn datas(contacts: impl IntoIterator<Item = Value>) -> Value {
    json!({"name": "a batch", "datas": contacts.into_iter().collect::<Vec<_>>()})
}

/// The contact of which nothing is known but what was sent.
fn unknown(firstname: &str, lastname: &str, domain: &str) -> Value {
    json!({
        "firstname": firstname, "lastname": lastname, "domain": domain,
        "most_probable_email": "", "most_probable_email_status": "",
        "most_probable_personal_email": "", "most_probable_personal_email_status": "",
        "most_probable_phone": "", "emails": [], "personal_emails": [], "phones": [],
        "social_medias": [],
    })
}

/// The person of [`profile`] in the form of version 1.
fn first_profile() -> Value {
    json!({
        "linkedin_id": 1234, "linkedin_url": "", "linkedin_handle": "",
        "firstname": "", "lastname": "", "sales_navigator_id": "", "premium_account": false,
        "summary": "", "headline": "", "location": "",
        "position": {
            "title": "", "description": "", "start_at": {"month": 3, "year": 2022}, "end_at": null,
            "company": {
                "linkedin_url": "", "linkedin_handle": "", "name": "", "description": "",
                "website": "", "domain": "", "industry": "", "type": "", "headcount": 0,
                "headcount_range": "",
                "headquarters": {"region": "", "city": "", "country": "", "country_code": "",
                    "postal_code": null, "address_line_1": "", "address_line_2": ""},
            },
        },
    })
}

/// A contact that was found, without the fields that were not asked for.
fn known(lastname: &str) -> Value {
    let mut contact = unknown("John", lastname, "example.com");
    for (name, value) in [
        ("most_probable_email", json!("john.snow@example.com")),
        ("most_probable_email_status", json!("DELIVERABLE")),
        ("most_probable_phone", json!("+1 555 0100")),
        (
            "emails",
            json!([
                {"email": "j.snow@example.com", "status": "CATCH_ALL"},
                {"email": "john.snow@example.com", "status": "DELIVERABLE"},
            ]),
        ),
        (
            "phones",
            json!([
                {"number": "+1 555 0100", "region": "US"},
                {"number": "+33 6 00 00 00 00"},
            ]),
        ),
        ("profile", first_profile()),
    ] {
        contact[name] = value;
    }
    contact
}

fn running(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "status": "IN_PROGRESS", "cost": {"credits": 0}})
}

#[test]
fn an_enrichment_of_version_one_is_submitted_polled_and_reported() {
    let mut served = served();
    let events = json!({"contact_finished": format!("{HOOK}?contact")});
    let sent = datas([
        with(contact("slow7"), "custom", json!({"n": "0"})),
        contact("unknown"),
    ]);
    let sent = with(with(sent, "webhook_url", HOOK), "webhook_events", events);
    let id = id(&served.submit(FIRST_ENRICH, &sent));
    let path = format!("{FIRST_ENRICH}/{id}");
    for seconds in [0, 5] {
        served.world.run_for(Duration::from_secs(seconds));
        assert_eq!(body(&served.poll(&path), 200), running(&id, "a batch"));
    }
    let forced = body(&served.poll(&format!("{path}?forceResults=true")), 200);
    assert_eq!(
        (&forced["status"], &forced["datas"][0]["contact"]),
        (
            &json!("IN_PROGRESS"),
            &unknown("John", "slow7", "example.com")
        )
    );
    served.settle();
    let polled = served.poll(&path);
    let expected = json!({
        "id": id, "name": "a batch", "status": "FINISHED",
        "datas": [
            {"contact": known("slow7"), "custom": {"n": "0"}},
            {"contact": unknown("John", "unknown", "example.com")},
        ],
        "cost": {"credits": 1},
    });
    assert_eq!(body(&polled, 200), expected);
    let reported = served.events("");
    assert_eq!((reported.len(), &reported[0].body), (1, &polled.body));
    assert_eq!(reported[0].header("x-signature-sha1").len(), 40);
    let contacts = served.events("?contact");
    assert_eq!(contacts.len(), 2);
    for event in contacts {
        let contact = &event.json()["datas"][0];
        assert!(
            expected["datas"].as_array().unwrap().contains(contact),
            "{contact}"
        );
    }

    let asked = served.asked.lock().unwrap()[0].clone();
    let given = json!({"first_name": "John", "last_name": "slow7", "domain": "example.com",
        "enrich_fields": ["contact.work_emails", "contact.phones"]});
    assert_eq!(Value::Object(asked), given, "providers see no difference");
    let second = body(&served.poll(&format!("{ENRICH}/{id}")), 200);
    assert_eq!(
        second["data"][0]["input"]["first_name"], "John",
        "the other version shows it in its own form"
    );
}

#[test]
fn a_lookup_of_version_one_is_submitted_polled_and_reported() {
    let mut served = served();
    let sent = batch([
        json!({"email": "slow7@mail.example", "custom": {"n": "0"}}),
        json!({"email": "unknown@mail.example"}),
    ]);
    let id = id(&served.submit(FIRST_REVERSE, &with(sent, "webhook_url", HOOK)));
    let path = format!("{FIRST_REVERSE}/{id}");
    assert_eq!(body(&served.poll(&path), 200), running(&id, "a batch"));
    served.settle();
    let polled = served.poll(&path);
    let found = with(unknown("", "", ""), "profile", first_profile());
    let expected = json!({
        "id": id, "name": "a batch", "status": "FINISHED",
        "datas": [
            {"input": "slow7@mail.example", "contact": found, "custom": {"n": "0"}},
            {"input": "unknown@mail.example", "contact": unknown("", "", "")},
        ],
        "cost": {"credits": 1},
    });
    assert_eq!(body(&polled, 200), expected);
    assert_eq!(served.events("")[0].body, polled.body);
    for other in [FIRST_ENRICH, ENRICH] {
        assert_refused(
            &served.poll(&format!("{other}/{id}")),
            404,
            "error.enrichment.not_found",
        );
    }
    let second = body(&served.poll(&format!("{REVERSE}/{id}")), 200);
    assert_eq!(second["data"][0]["profile"], profile());
}

#[test]
fn version_one_has_its_own_words_for_what_is_wrong() {
    let mut served = served();
    let fields = |fields: Value| datas([with(contact("Snow"), "enrich_fields", fields)]);
    for (sent, code, place) in [
        (
            batch([contact("Snow")]),
            "error.enrichment.data.empty",
            "/datas ",
        ),
        (
            datas([json!({"lastname": "Snow", "domain": "example.com"})]),
            "error.enrichment.first_name.empty",
            "/datas/0/firstname ",
        ),
        (
            datas([
                contact("Snow"),
                json!({"firstname": "A", "domain": "a.example"}),
            ]),
            "error.enrichment.last_name.empty",
            "/datas/1/lastname ",
        ),
        (
            datas([json!({"firstname": "A", "lastname": "B"})]),
            "error.enrichment.domain.empty",
            "/datas/0/domain ",
        ),
        (
            datas([with(contact("Snow"), "custom", json!({"n": 1}))]),
            "error.enrichment.custom.value.type",
            "/datas/0/custom/n ",
        ),
        (
            fields(json!(["contact.work_emails"])),
            "error.enrichment.enrich_field.value",
            "contact.emails",
        ),
        (
            fields(json!([])),
            "error.enrichment.enrich_fields.empty",
            "/datas/0/enrich_fields ",
        ),
    ] {
        let answer = served.submit(FIRST_ENRICH, &sent);
        assert_refused(&answer, 400, code);
        let message = body(&answer, 400)["message"].clone();
        assert!(message.as_str().unwrap().contains(place), "{message}");
    }
    for path in [
        FIRST_ENRICH,
        FIRST_REVERSE,
        "/api/v1/account/keys/verify",
        "/api/v1/account/credits",
    ] {
        let method = if path.contains("account") {
            "GET"
        } else {
            "POST"
        };
        assert_refused(
            &served.call(method, path, &[], b"{}"),
            401,
            "error.authorization.not_set",
        );
    }
    for path in ["account/keys/verify", "account/credits"] {
        assert_eq!(
            body(&served.poll(&format!("/api/v1/{path}")), 200),
            body(&served.poll(&format!("/api/v2/{path}")), 200)
        );
    }
}

#[test]
fn version_one_shows_what_was_asked_for_and_what_was_paid() {
    let mut served = with_credits(1);
    let personal = json!(["contact.personal_emails"]);
    let sent = datas([
        with(contact("Snow"), "enrich_fields", personal),
        contact("Snow"),
    ]);
    let id = id(&served.submit(FIRST_ENRICH, &with(sent, "webhook_url", HOOK)));
    served.settle();
    let polled = served.poll(&format!("{FIRST_ENRICH}/{id}"));
    let shown = body(&polled, 402);
    assert_eq!(
        (&shown["status"], &shown["cost"]["credits"]),
        (&json!("CREDITS_INSUFFICIENT"), &json!(1))
    );
    let first = &shown["datas"][0]["contact"];
    assert_eq!(
        (&first["most_probable_personal_email"], &first["emails"]),
        (&json!("johnsnow@mail.example"), &json!([]))
    );
    assert_eq!(
        shown["datas"][1]["contact"],
        unknown("John", "Snow", "example.com")
    );
    assert_eq!(served.events("")[0].body, polled.body);
}

#[test]
fn the_rest_of_api_v1_stays_apiones() {
    let mut served = served_by("[operations.apione]\ncompany = \"any\"");
    let key = served.key().to_owned();
    let headers = [("x-api-key", key.as_str())];
    let sent = json!({"type": "company", "records": [{"domain": "a.example"}]});
    let made = body(&served.post("/api/v1/async/enrich", &headers, &sent), 200);
    assert!(made["job_id"].is_string(), "{made}");
    let answer = served.get("/api/v1/async/status/x", &headers);
    assert_eq!(body(&answer, 404)["code"], 404, "in ApiOne's form");
}

/// The outcome of a batch: the number of its contacts, or the code of the refusal.
enum Taken {
    Count(usize),
    Refused(&'static str),
}

#[test]
fn invalid_contacts_are_left_out_where_the_caller_says_so() {
    use Taken::{Count, Refused};
    let mut served = served();
    let first = |contacts: &[Value]| datas(contacts.to_vec());
    let second = |contacts: &[Value]| batch(contacts.to_vec());
    let bad_domain = json!({"firstname": "A", "lastname": "B", "domain": "no domain"});
    let no_domain = json!({"firstname": "A", "lastname": "B"});
    let bad_url = json!({"linkedin_url": "https://example.com/x"});
    let nameless = json!({"last_name": "B", "domain": "a.example"});
    let empty = "error.enrichment.data.empty";
    for (path, query, sent, kept) in [
        (
            ENRICH,
            "silentFail=true",
            second(&[nameless.clone(), john(), json!(7), bad_url.clone()]),
            Count(1),
        ),
        (
            ENRICH,
            "silentFail=1",
            second(&[john(), with(john(), "custom", json!({"a": 1})), john()]),
            Count(2),
        ),
        (
            ENRICH,
            "silentFail=false",
            second(&[nameless.clone(), john()]),
            Refused("error.enrichment.first_name.empty"),
        ),
        (
            ENRICH,
            "checkDomain=false",
            second(&[john(), with(john(), "domain", "no domain")]),
            Refused("error.enrichment.domain.invalid"),
        ),
        (
            ENRICH,
            "silentFail=true",
            second(&[nameless, bad_url.clone()]),
            Refused(empty),
        ),
        (ENRICH, "silentFail=true", second(&[]), Refused(empty)),
        (
            REVERSE,
            "silentFail=true",
            batch([
                json!({"email": "a@b.example"}),
                json!({"email": "x"}),
                json!({}),
            ]),
            Count(1),
        ),
        (
            FIRST_ENRICH,
            "silentFail=true",
            first(&[bad_domain.clone(), contact("Snow"), no_domain.clone()]),
            Count(1),
        ),
        (
            FIRST_ENRICH,
            "checkDomain=false&checkLinkedinUrl=false",
            first(&[
                bad_domain,
                contact("Snow"),
                no_domain.clone(),
                bad_url.clone(),
            ]),
            Count(1),
        ),
        (
            FIRST_ENRICH,
            "checkLinkedinUrl=false",
            first(&[contact("Snow"), bad_url, no_domain]),
            Refused("error.enrichment.domain.empty"),
        ),
        (
            FIRST_REVERSE,
            "silentFail=true",
            batch([json!({"email": "x"}), json!({"email": "a@b.example"})]),
            Count(1),
        ),
    ] {
        let answer = served.submit(&format!("{path}?{query}"), &sent);
        match kept {
            Refused(code) => assert_refused(&answer, 400, code),
            Count(count) => {
                let id = id(&answer);
                served.settle();
                let shown = body(&served.poll(&format!("{path}/{id}")), 200);
                let contacts = shown.get("datas").unwrap_or(&shown["data"]);
                assert_eq!(contacts.as_array().unwrap().len(), count, "{query} {sent}");
                assert_eq!(shown["cost"]["credits"], count, "{query} {sent}");
            }
        }
    }
    let large = batch([john(), with(john(), "notes", "x".repeat(70_000))]);
    let answer = served.submit(&format!("{ENRICH}?silentFail=true"), &large);
    assert_refused(&answer, 413, "error.request.too_large");
}

#[test]
fn searches_and_lookups_say_what_to_configure_instead() {
    let mut served = served();
    for (path, remedy) in [
        ("people/search", "[operations.fullenrich]"),
        ("people/lookup", "/api/v2/contact/enrich/bulk"),
        ("company/search", "providers.toml"),
        ("company/lookup", "/v1/jobs"),
    ] {
        let path = format!("/api/v2/{path}");
        let answer = served.submit(&path, &json!({"domain": "a.example"}));
        assert_refused(&answer, 400, "error.operation.not_configured");
        let message = body(&answer, 400)["message"].clone();
        assert!(message.as_str().unwrap().contains(remedy), "{message}");
        assert_refused(
            &served.call("POST", &path, &[], b"{}"),
            401,
            "error.authorization.not_set",
        );
        assert_refused(&served.poll(&path), 405, "error.request.method");
    }
}

#[test]
fn a_poll_of_what_runs_is_answered_as_the_tenant_chose() {
    let mut served = served();
    let tenant = served.world.tenant.id.clone();
    let chosen = parse_setting(SURFACES, "fullenrich.poll=200").expect("a setting");
    let unset = parse_unset(SURFACES, "fullenrich.poll").expect("a setting");
    let poll = |served: &mut ServedApi, id: &str| -> ApiResponse {
        served.poll(&format!("{ENRICH}/{id}"))
    };
    let before = served.enrichment(&batch([named("slow90")]));
    served
        .world
        .call(async |ports| tenants::change_settings(ports, &tenant, &[chosen]).await)
        .unwrap();
    let during = served.enrichment(&batch([named("slow90")]));
    served
        .world
        .call(async |ports| tenants::change_settings(ports, &tenant, &[unset]).await)
        .unwrap();
    served.world.run_for(Duration::from_secs(5));
    assert_refused(
        &poll(&mut served, &before),
        400,
        "error.enrichment.in_progress",
    );
    assert_eq!(
        body(&poll(&mut served, &during), 200),
        running(&during, "a batch"),
        "a job keeps what was chosen at its submission"
    );
    served.settle();
    let ended = [before, during].map(|id| {
        let mut ended = body(&poll(&mut served, &id), 200);
        ended["id"] = Value::Null;
        ended
    });
    assert_eq!(ended[0], ended[1]);
}

#[test]
fn what_a_provider_says_of_a_phone_number_is_shown() {
    let mut served = ServedApi::new(World::new(), SURFACES, OPERATIONS, |_| {
        let phones = json!([
            {"number": "+1", "region": "US", "line_type": "mobile", "line_status": "ACTIVE",
                "ownership_match": "CONFIRMED", "ownership_match_confidence": 90,
                "connect_rate": "HIGH", "other": 1},
            {"number": "+2", "type": "fixed_line"},
            {"number": "+3", "line_type": "pager", "ownership_match_confidence": null},
        ]);
        (Duration::ZERO, found(json!({"phones": phones})))
    });
    let phones = json!([
        {"number": "+1", "region": "US", "line_type": "MOBILE", "line_status": "ACTIVE",
            "ownership_match": "CONFIRMED", "ownership_match_confidence": 90,
            "connect_rate": "HIGH"},
        {"number": "+2", "line_type": "LANDLINE"},
        {"number": "+3", "line_type": "UNKNOWN"},
    ]);
    let second = served.enrichment(&batch([john()]));
    let first = id(&served.submit(FIRST_ENRICH, &datas([contact("Snow")])));
    served.settle();
    let shown = body(&served.poll(&format!("{ENRICH}/{second}")), 200);
    let info = &shown["data"][0]["contact_info"];
    assert_eq!(
        (&info["phones"], &info["most_probable_phone"]),
        (&phones, &phones[0])
    );
    let shown = body(&served.poll(&format!("{FIRST_ENRICH}/{first}")), 200);
    assert_eq!(shown["datas"][0]["contact"]["phones"], phones);
}

/// An event that the previous version sent is sent again by this one with the same bytes.
#[test]
fn a_job_of_a_version_without_phone_details_shows_none() {
    let shown = |version: Version| {
        let mut world = World::new();
        world.deploy(version);
        let mut served = ServedApi::new(world, SURFACES, OPERATIONS, |_| {
            let phones = json!([{"number": "+1", "line_type": "mobile"}]);
            (Duration::ZERO, found(json!({"phones": phones})))
        });
        let job = served.enrichment(&batch([john()]));
        served.world.deploy(Version::Current);
        served.settle();
        let shown = body(&served.poll(&format!("{ENRICH}/{job}")), 200);
        let info = &shown["data"][0]["contact_info"];
        assert_eq!(info["phones"][0], info["most_probable_phone"]);
        info["phones"].clone()
    };
    assert_eq!(shown(Version::Previous), json!([{"number": "+1"}]));
    let detailed = json!([{"number": "+1", "line_type": "MOBILE"}]);
    assert_eq!(shown(Version::Current), detailed);
}

/// A rollback leads to a version that knows the operations by these names alone, and only the form
/// of version 2.
#[test]
fn a_version_that_knows_no_other_form_shows_the_whole_batch() {
    let mut served = served();
    let job = id(&served.submit(FIRST_ENRICH, &datas([contact("Snow")])));
    let head = meta_key(&JobId::parse_uuid(&job).unwrap());
    let item = served.world.sim.store.peek(&head).unwrap();
    let spec: Value = serde_json::from_str(get_s(&item, "spec").unwrap()).unwrap();
    assert_eq!(
        (&spec["operation"], &spec["form"]),
        (&json!("enrich"), &json!("v1"))
    );
}
